"""Train what is missing of the training claims' evidence, on the device at hand.

Finished runs stay as they are; a run that was stopped goes on from its checkpoint. Several
processes, on one machine or one file system, share the work: each run is taken by one of them.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from claims.training import runs
from claims.training.arms import ARMS, SHAPES, Arm
from nin_ref import data
from nin_ref.training import Images, Progress, TrainingError

# Operations a second in training, where no run on the device tells better. Measured: two cores of
# a server. A guess: a GPU for data centres.
OPERATIONS_PER_SECOND = {"cpu": 3e11, "cuda": 1.2e14}
TRAINING_IMAGES = {"mnist": 60_000, "svhn": 73_257, "patterns": 512}  # all others 50,000

Planned = tuple[str, int]  # an arm and a seed


class ReproduceError(Exception):
    """The request cannot be met; one sentence in the user's words."""


class OutOfTimeError(Exception):
    """The budget is used up within a run, which goes on next time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """List what is missing and train it; returns 1 where something went wrong."""
    options = parsed(arguments)
    try:
        device = chosen_device(options.device)
        wanted = plan(options.arms, options.seeds, device, options.results)
        if not options.worker:
            announce(wanted, device, options.results)
        if not wanted or options.list:
            return 0
        if device == "cuda" and not options.worker:
            return with_workers(options.together, arguments)
        worker = Worker(device, options.results, deadline(options.budget_minutes))
        return worker.make_all(wanted)
    except (ReproduceError, data.DataError, TrainingError, runs.RunError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    except KeyboardInterrupt:
        say("stopped; the same command goes on from the last checkpoint")
        return 130


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m claims.training reproduce", description=__doc__
    )
    parser.add_argument("--arms", default="", metavar="A,B", help="only these arms")
    parser.add_argument("--seeds", default="", metavar="0,1 or 0-5", help="only these seeds")
    parser.add_argument(
        "--budget-minutes", type=float, default=None, metavar="M", help="whole runs that fit"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    parser.add_argument(
        "--together", type=int, default=1, metavar="K", help="processes on each GPU (default: 1)"
    )
    parser.add_argument("--list", action="store_true", help="only list what is missing")
    parser.add_argument("--results", type=Path, default=runs.RESULTS, help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.budget_minutes is not None and not options.budget_minutes > 0:
        parser.error(f"--budget-minutes must be positive, not {options.budget_minutes:g}")
    if options.together < 1:
        parser.error(f"--together must be at least 1, not {options.together}")
    return options


def chosen_device(asked: str | None) -> str:
    """Return the device to train on."""
    import torch

    if asked == "cuda" and not torch.cuda.is_available():
        raise ReproduceError(
            "PyTorch finds no GPU here; leave out --device to train on the CPU what it can"
        )
    return asked or ("cuda" if torch.cuda.is_available() else "cpu")


def plan(arms: str, seeds: str, device: str, results: Path) -> list[Planned]:
    """Return the missing runs in their fixed order: arm by arm, seed by seed.

    Without names, these are the runs that rules wait for; on a CPU those that it is fit for.
    """
    needed = seeds_needed(results)
    names = [name for name in arms.split(",") if name]
    for name in names:
        if name not in ARMS:
            near = difflib.get_close_matches(name, ARMS, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ReproduceError(f"there is no arm {name!r}{hint}")
    if not names:
        names = [
            name for name in ARMS if name in needed and (device == "cuda" or ARMS[name].on_cpu)
        ]
    chosen = parsed_seeds(seeds)
    return [
        (name, seed)
        for name in ARMS
        if name in names
        for seed in (range(needed.get(name, 1)) if chosen is None else chosen)
        if not runs.folder_of(results, name, seed).exists()
    ]


def seeds_needed(results: Path) -> dict[str, int]:
    """Return how many seeds of each arm the rules need."""
    needed: dict[str, int] = {}
    for rule in runs.rules(results).values():
        for arm, seeds in rule["arms"].items():
            needed[arm] = max(needed.get(arm, 0), seeds)
    return needed


def parsed_seeds(text: str) -> list[int] | None:
    """Return the seeds that `0,2` or `0-5` names; None for an empty text.

    Raises:
        ReproduceError: for anything else.
    """
    if not text:
        return None
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ReproduceError(f"--seeds must read like 0,2 or 0-5, not {text!r}")
        seeds += range(int(first), int(last or first) + 1)
    return sorted(set(seeds))


def announce(wanted: Sequence[Planned], device: str, results: Path) -> None:
    """Say what is missing, how long it would take, and what cannot be made here."""
    known = Rates(device, results)
    total = 0.0
    say(f"to train on {device_name(device)}: {len(wanted)} runs")
    for name in dict.fromkeys(name for name, _ in wanted):
        seeds = [seed for one, seed in wanted if one == name]
        seconds = len(seeds) * known.seconds(name)
        total += seconds
        petaflop = len(seeds) * operations(name) / 1e15
        say(
            f"  {name:32} seeds {','.join(map(str, seeds)):12} about {spelled(seconds)}, "
            f"{petaflop:.3g} PFLOP   {ARMS[name].says}"
        )
    if wanted:
        say(f"  together about {spelled(total)} on one device")
    missing = seeds_needed(results)
    elsewhere = [
        name
        for name in ARMS
        if device == "cpu"
        and not ARMS[name].on_cpu
        and any(
            not runs.folder_of(results, name, seed).exists() for seed in range(missing.get(name, 0))
        )
    ]
    if elsewhere:
        hours = sum(missing[name] * Rates("cuda", results).seconds(name) for name in elsewhere)
        say(f"{len(elsewhere)} arms need a GPU, about {spelled(hours)} of one:")
        say(f"  {', '.join(elsewhere)}")


def device_name(device: str) -> str:
    """Return the name of the device."""
    if device == "cpu":
        return runs.processor()
    import torch

    return torch.cuda.get_device_name()


@functools.cache
def operations(name: str) -> float:
    """Return the floating-point operations of a run: three forward passes a training image."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from nin_ref import networks

    recipe = ARMS[name].recipe
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = networks.build(recipe.network, **recipe.options)
        network.eval()(torch.zeros(1, *SHAPES.get(recipe.data, (3, 32, 32))))
    images = TRAINING_IMAGES.get(recipe.data, 50_000)
    return float(3 * counter.get_total_flops() * images * recipe.epochs)


class Rates:
    """How fast a device trains, from the runs made on such a one."""

    def __init__(self, device: str, results: Path) -> None:
        self.measured: dict[str, list[float]] = {}
        for path in results.glob("runs/*/*/run.json"):
            record = json.loads(path.read_bytes())
            if record["device"]["kind"] == device and record["arm"] in ARMS:
                self.measured.setdefault(record["arm"], []).append(sum(record["seconds"]))
        rates = [
            operations(name) / statistics.median(seconds) for name, seconds in self.measured.items()
        ]
        self.rate = statistics.median(rates) if rates else OPERATIONS_PER_SECOND[device]

    def seconds(self, name: str) -> float:
        """Return the expected time of a run of this arm."""
        if name in self.measured:
            return statistics.median(self.measured[name])
        return operations(name) / self.rate


def deadline(minutes: float | None) -> float | None:
    """Return when the budget ends, by the monotonic clock."""
    return None if minutes is None else time.monotonic() + 60 * minutes


def with_workers(together: int, arguments: Sequence[str] | None) -> int:
    """Run processes on each visible GPU, and wait for all of them."""
    import torch

    command = [sys.executable, "-m", "claims.training", "reproduce", "--worker"]
    command += list(sys.argv[2:] if arguments is None else arguments)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    gpus = [name for name in visible if name] or [str(n) for n in range(torch.cuda.device_count())]
    workers = [
        subprocess.Popen(command, env={**os.environ, "CUDA_VISIBLE_DEVICES": gpu})  # noqa: S603
        for gpu in gpus
        for _ in range(together)
    ]
    try:
        return max(worker.wait() for worker in workers)
    except KeyboardInterrupt:
        for worker in workers:
            worker.wait()  # they have been interrupted too
        raise


@dataclass
class Worker:
    """Makes one run after the other on one device."""

    device: str
    results: Path
    until: float | None
    images: dict[tuple[str, str], Images] = field(default_factory=dict)
    said: float = 0.0

    def make_all(self, wanted: Sequence[Planned]) -> int:
        """Make all runs that fit the budget; returns 1 if one of them could not be made."""
        failed = 0
        for name, seed in wanted:
            left = None if self.until is None else self.until - time.monotonic()
            expected = Rates(self.device, self.results).seconds(name)
            if left is not None and expected > left:
                say(f"{name} seed {seed}: about {spelled(expected)}, which the budget has not left")
                continue
            try:
                self.make(name, seed)
            except OutOfTimeError:
                say(f"{name} seed {seed}: the budget is used up; it goes on from its checkpoint")
                break
            except OSError as error:
                failed = 1
                say(f"{name} seed {seed} is not written ({error}); its checkpoint stays as it is")
        return failed

    def make(self, name: str, seed: int) -> None:
        """Make one run, if no other process has it."""
        arm = ARMS[name]
        label = f"{name} seed {seed}"

        def report(progress: Progress, share: float) -> None:
            self.report(label, arm, progress, share)

        folder = runs.make(
            name,
            arm,
            seed,
            self.prepared(arm),
            self.device,
            results=self.results,
            warn=lambda sentence: say(f"{label}: {sentence}"),
            report=report,
        )
        if folder is None:
            say(f"{label}: another process has it")
            return
        run = runs.read(folder, runs.test_labels(arm.recipe.data, self.results))
        ended = "collapsed" if run.record["collapsed"] else "finished"
        say(f"{label}: {ended} with {run.curve[-1]['test error']:.2f} % test error, {folder}")

    def prepared(self, arm: Arm) -> Images:
        """Return the images of an arm, kept for the next one of the same kind."""
        recipe = arm.recipe
        key = recipe.data, recipe.preprocessing
        if key not in self.images:
            say(f"reading {recipe.data}, {recipe.preprocessing}")
            self.images.clear()
            found = data.load(recipe.data)
            train, test = data.preprocess(found, recipe.preprocessing)
            self.images[key] = Images(
                train, found.train_labels, test, found.test_labels, found.classes, found.digest
            )
            runs.keep_test_labels(recipe.data, found.test_labels, self.results)
        return self.images[key]

    def report(self, label: str, arm: Arm, progress: Progress, share: float) -> None:
        """Say now and then how far a run is, and how much time it still takes."""
        if self.until is not None and time.monotonic() > self.until:
            raise OutOfTimeError
        now = time.monotonic()
        if now - self.said < (2 if sys.stdout.isatty() else 30):
            return
        self.said = now
        line = f"{label}: epoch {progress.epoch + share:.1f} of {arm.recipe.epochs}"
        if progress.curve:
            last = progress.curve[-1]
            line += f", loss {last['loss in training']:.3f}, test error {last['test error']:.2f} %"
            seconds = statistics.median(progress.seconds[-5:])
            left = (arm.recipe.epochs - progress.epoch - share) * seconds
            line += f", {seconds:.3g} s an epoch, {spelled(left)} left"
        say(line)


def spelled(seconds: float) -> str:
    """Return a duration as one would say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)  # noqa: T201 - a command
