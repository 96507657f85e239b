"""Train what is missing of the training claims' evidence, on the device at hand.

Finished runs stay as they are; a run that was stopped goes on from its checkpoint. Several
processes, on one machine or one file system, share the work: each run is taken by one of them.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import difflib
import functools
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from claims.training import runs
from claims.training.arms import ARMS, SHAPES, Arm
from nin_ref import data
from nin_ref.training import Images, Progress, TrainingError

# Operations a second in training, where no run on the device tells better: of one core (from the
# committed runs of the handwritten network) and, a guess, of a GPU for data centres.
OPERATIONS_PER_SECOND = {"cpu": 3e11, "cuda": 1.2e14}
TRAINING_IMAGES = {"mnist": 60_000, "svhn": 73_257, "patterns": 512}  # all others 50,000
BYTES_OF_A_PROCESS = 3 << 30  # it holds CIFAR in float32 twice
MOST_SEEDS = 10_000  # at once: a slip of the finger should not fill the memory

Planned = tuple[str, int]  # an arm and a seed
Timings = Sequence[Mapping[str, Sequence[float]]]  # seconds by arm, the most telling runs first

# What may go wrong with one run while others can still be made.
FAILURES = (
    OSError,
    MemoryError,
    torch.OutOfMemoryError,
    TrainingError,
    data.DataError,
    runs.RunError,
)


class ReproduceError(Exception):
    """The request cannot be met; one sentence in the user's words."""


class OutOfTimeError(Exception):
    """The budget is used up within a run, which goes on next time."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came; what handles Ctrl-C handles it too."""


def main(arguments: Sequence[str]) -> int:
    """List what is missing and train it.

    Returns:
        0 if nothing went wrong, 1 if a run could not be made or is damaged, 130 after Ctrl-C and
        143 after SIGTERM; wrong arguments exit with 2.
    """
    options = parsed(arguments)
    try:
        with terminated_like_interrupted():
            return reproduced(options)
    except ReproduceError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt as stop:
        if not options.worker:
            say("stopped; the same command goes on from the last checkpoint")
        return 143 if isinstance(stop, Terminated) else 130


def reproduced(options: argparse.Namespace) -> int:
    """Do what the options ask for; returns 1 if a run could not be made or is damaged."""
    device = chosen_device(options.worker or options.device)
    plan = planned(options.arms, options.seeds, device, options.results)
    if options.worker:
        return worker(device, options).make_all(plan.here)
    sound = examined(plan.finished, options.results)
    announce(plan, device, options.results)
    together = options.together or processes(device, len(plan.here))
    if options.list or not plan.here:
        status = 0
    elif device == "cuda" or together > 1:
        environments = environments_of_workers(device, together)
        status = with_workers(environments, arguments_of_workers(device, options))
    else:
        status = worker(device, options).make_all(plan.here)
    return status if sound else 1


def worker(device: str, options: argparse.Namespace) -> Worker:
    """Return what makes runs in this process."""
    return Worker(device, options.results, options.budget_minutes, options.shown)


# What is asked for -------------------------------------------------------------------------------


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line; `shown` are the arguments that runs may record."""
    hidden = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    hidden.add_argument("--results", type=Path, default=runs.RESULTS)
    hidden.add_argument("--worker", choices=("cpu", "cuda"))
    options, shown = hidden.parse_known_args(arguments)
    parser = argparse.ArgumentParser(
        prog="python -m claims.training reproduce", description=__doc__
    )
    parser.add_argument(
        "--arms", type=chosen_arms, default="", metavar="A,B", help="only these arms"
    )
    parser.add_argument(
        "--seeds", type=chosen_seeds, default="", metavar="0,2-5", help="only these seeds"
    )
    parser.add_argument(
        "--budget-minutes",
        type=minutes,
        default=math.inf,
        metavar="M",
        help="begin only runs that are expected to end in time",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    parser.add_argument(
        "--together",
        type=int,
        metavar="K",
        help="processes on each GPU, or the CPU (default: 1 on a GPU, on a CPU one per core)",
    )
    parser.add_argument("--list", action="store_true", help="only list what is missing")
    parser.parse_args(shown, options)
    options.shown = shown
    if options.together is not None and options.together < 1:
        parser.error(f"--together must be at least 1, not {options.together}")
    return options


def chosen_arms(text: str) -> list[str]:
    """Return the arms that a text like `cifar10,mnist` names, in their fixed order.

    Raises:
        argparse.ArgumentTypeError: if there is no such arm.
    """
    names = [name.strip() for name in text.split(",")] if text else []
    for name in names:
        if name not in ARMS:
            near = difflib.get_close_matches(name, ARMS, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(ARMS)}"
            raise argparse.ArgumentTypeError(f"there is no arm {name!r}; {hint}")
    return [name for name in ARMS if name in names]


def chosen_seeds(text: str) -> list[int]:
    """Return the seeds that a text like `0,2-5` names, in order.

    Raises:
        argparse.ArgumentTypeError: if the text does not read like that, or a seed has over 32 bits.
    """
    seeds: set[int] = set()
    for part in text.split(",") if text else []:
        found = re.fullmatch(r"\s*([0-9]{1,99})\s*(?:-\s*([0-9]{1,99})\s*)?", part)
        if not found:
            raise argparse.ArgumentTypeError(f"seeds must read like 0,2 or 0-5, not {text!r}")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise argparse.ArgumentTypeError(
                f"{part!r} runs backwards; did you mean {last}-{first}?"
            )
        if last >= 2**32:
            raise argparse.ArgumentTypeError(f"a seed must be below 2**32, not {last}")
        if last - first >= MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"{part!r} has more than {MOST_SEEDS:,} seeds")
        seeds.update(range(first, last + 1))
    return sorted(seeds)


def minutes(text: str) -> float:
    """Return a number of minutes.

    Raises:
        argparse.ArgumentTypeError: if it is not positive, or no number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number > 0:
        raise argparse.ArgumentTypeError(f"the minutes must be a positive number, not {text!r}")
    return number


def chosen_device(asked: str | None) -> str:
    """Return the device to train on.

    Raises:
        ReproduceError: if a GPU is asked for and there is none.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise ReproduceError(
            "PyTorch finds no GPU here; leave out --device to train on the CPU what it can"
        )
    return asked or ("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Plan:
    """Runs that are asked for: missing ones to make here or elsewhere, and finished ones."""

    here: list[Planned]
    elsewhere: list[Planned]
    finished: list[Planned]


def planned(arms: Sequence[str], seeds: Sequence[int], device: str, results: Path) -> Plan:
    """Return the runs that are asked for in their fixed order: arm by arm, seed by seed.

    Without names of arms, these are the runs that rules wait for, and a CPU makes only those that
    it is fit for.

    Raises:
        ReproduceError: if `rules.json` is damaged.
    """
    needed = seeds_needed(results)
    if arms:
        asked = [(arm, seed) for arm in arms for seed in (seeds or range(needed.get(arm, 1)))]
    else:
        asked = [
            (arm, seed)
            for arm in ARMS
            for seed in range(needed.get(arm, 0))
            if not seeds or seed in seeds
        ]
    plan = Plan([], [], [])
    for arm, seed in asked:
        if runs.folder_of(results, arm, seed).exists():
            plan.finished.append((arm, seed))
        elif arms or device == "cuda" or ARMS[arm].on_cpu:
            plan.here.append((arm, seed))
        else:
            plan.elsewhere.append((arm, seed))
    return plan


def seeds_needed(results: Path) -> dict[str, int]:
    """Return how many seeds of each arm the rules need.

    Raises:
        ReproduceError: if `rules.json` is damaged.
    """
    needed: dict[str, int] = {}
    try:
        for rule in runs.rules(results).values():
            for arm, seeds in rule["arms"].items():
                needed[arm] = max(needed.get(arm, 0), seeds)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReproduceError(
            f"{results / 'rules.json'} is damaged ({type(error).__name__}: {error}); "
            "`python -m claims.training.declared` writes it anew"
        ) from error
    return needed


# What is said before -----------------------------------------------------------------------------


def examined(finished: Iterable[Planned], results: Path) -> bool:
    """Say which finished runs are damaged or stale; whether none is damaged."""
    sound = True
    for name, seed in finished:
        folder = runs.folder_of(results, name, seed)
        try:
            run = runs.read(folder, runs.test_labels(ARMS[name].recipe.data, results))
        except runs.RunError as error:
            sound = False
            complain(
                f"{name} seed {seed} counts as finished, but {error}; nothing was changed: restore "
                f"it, or move {folder} away to train it anew"
            )
            continue
        with contextlib.suppress(OSError, ValueError, KeyError):  # `recheck` judges traces.json
            if reason := runs.stale(run, runs.traces(results)):
                say(f"{name} seed {seed} is stale: {reason}; move {folder} away to train it anew")
    return sound


def announce(plan: Plan, device: str, results: Path) -> None:
    """Say what is missing, how long it would take, and what cannot be made here."""
    if plan.here:
        name = device_name(device)
        seconds, rows = estimated(plan.here, device, timings_on(device, name, results))
        say(
            f"to train on {name}: {counted(len(plan.here), 'run')}, together about "
            f"{spelled(seconds)} on one {'GPU' if device == 'cuda' else 'machine'}"
        )
    else:
        rows = [nothing_missing(plan)]
    if plan.elsewhere:
        seconds, more = estimated(plan.elsewhere, "cuda", timings_on("cuda", "", results))
        rows.append(
            f"{counted(len(more), 'arm')} {'needs' if len(more) == 1 else 'need'} a GPU, about "
            f"{spelled(seconds)} of one:"
        )
        rows += more
        rows.append(
            "an arm named with --arms (ARMS=) is trained here all the same, however long it takes"
        )
    say("\n".join(rows))


def estimated(planned: Iterable[Planned], kind: str, timings: Timings) -> tuple[float, list[str]]:
    """Return the seconds that runs will take on all cores or one GPU, and a row on each arm."""
    total, rows = 0.0, []
    for arm, seeds in seeds_by_arm(planned):
        seconds = len(seeds) * expected(arm, kind, timings) / (cores() if kind == "cpu" else 1)
        total += seconds
        petaflop = len(seeds) * operations(arm) / 1e15
        rows.append(
            f"  {arm:32} {spans(seeds):14} about {spelled(seconds)}, "
            f"{petaflop:.3g} PFLOP   {ARMS[arm].says}"
        )
    return total, rows


def nothing_missing(plan: Plan) -> str:
    """Return why there is nothing to train here."""
    if plan.elsewhere:
        return "nothing is missing that a CPU is fit to train"
    if plan.finished:
        return f"nothing is missing: {counted(len(plan.finished), 'run')} asked for and finished"
    return "nothing is missing: no rule waits for such runs; --arms (ARMS=) names others"


def device_name(device: str) -> str:
    """Return the name of the device."""
    return runs.processor() if device == "cpu" else torch.cuda.get_device_name()


@functools.cache
def operations(arm: str) -> float:
    """Return the floating-point operations of a run: three forward passes a training image."""
    from torch.utils.flop_counter import FlopCounterMode

    from nin_ref import networks

    recipe = ARMS[arm].recipe
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = networks.build(recipe.network, **recipe.options)
        network.eval()(torch.zeros(1, *SHAPES.get(recipe.data, (3, 32, 32))))
    images = TRAINING_IMAGES.get(recipe.data, 50_000)
    return float(3 * counter.get_total_flops() * images * recipe.epochs)


def timings_on(kind: str, name: str, results: Path) -> Timings:
    """Return how long runs took on devices of this name, and on all of this kind.

    On a CPU these are seconds of a core.
    """
    of_name: dict[str, list[float]] = {}
    of_kind: dict[str, list[float]] = {}
    for path in results.glob("runs/*/*/run.json"):
        # A damaged run tells nothing here; `examined` says so of those that are asked for.
        with contextlib.suppress(
            OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError
        ):
            record = json.loads(path.read_bytes())
            arm, device = record["arm"], record["device"]
            seconds = wall_seconds(record) * (device["threads"] if kind == "cpu" else 1)
            if device["kind"] == kind and record["recipe digest"] == ARMS[arm].recipe.digest:
                of_kind.setdefault(arm, []).append(seconds)
                if device["name"] == name:
                    of_name.setdefault(arm, []).append(seconds)
    return of_name, of_kind


def wall_seconds(record: Mapping[str, Any]) -> float:
    """Return how long a run took; where it was stopped meanwhile, without its evaluations.

    Raises:
        ValueError: if that is no time. A damaged record raises what it raises.
    """
    seconds = math.fsum(record["seconds"])
    if record["resumed"] == 0:
        ended = datetime.fromisoformat(record["finished"])
        seconds = max(seconds, (ended - datetime.fromisoformat(record["started"])).total_seconds())
    if not 0 < seconds < math.inf:
        raise ValueError(f"a run cannot take {seconds} s")
    return seconds


def expected(arm: str, kind: str, timings: Timings) -> float:
    """Return the seconds of a core, or of a GPU, that a run of this arm will take."""
    for measured in timings:
        if arm in measured:
            return statistics.median(measured[arm])
        rates = [
            operations(other) / statistics.median(seconds)
            for other, seconds in measured.items()
            if ARMS[other].recipe.data != "patterns"  # too small to tell of others
        ]
        if rates:
            return operations(arm) / statistics.median(rates)
    return operations(arm) / OPERATIONS_PER_SECOND[kind]


# Processes ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Turn SIGTERM into an exception, as Python does with SIGINT, for the duration."""

    def stop(number: int, frame: object) -> None:  # noqa: ARG001 - a handler has these
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def arguments_of_workers(device: str, options: argparse.Namespace) -> list[str]:
    """Return the arguments of a process on one GPU, or with a share of the CPU's cores."""
    return ["--worker", device, "--results", str(options.results), *options.shown]


def processes(device: str, count: int) -> int:
    """Return in how many processes to make so many runs: on a CPU several are faster than one."""
    if device == "cuda":
        return 1
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(count, cores(), memory // BYTES_OF_A_PROCESS))


def cores() -> int:
    """Return the number of cores of this machine."""
    return os.cpu_count() or 1


def environments_of_workers(device: str, together: int) -> list[dict[str, str]]:
    """Return what the environment of each process differs in: so many on each GPU or on the CPU."""
    if device == "cpu":
        threads = max(1, cores() // together)
        return together * [{"OMP_NUM_THREADS": str(threads)}]
    count = torch.cuda.device_count()
    # A GPU that is named there may be given by a number or by a long name.
    named = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
    gpus = [gpu.strip() for gpu in named.split(",")[:count]]
    return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus for _ in range(together)]


def with_workers(environments: Iterable[Mapping[str, str]], arguments: Sequence[str]) -> int:
    """Run a process in each environment and wait for all; returns 1 if one did not end well.

    Raises:
        ReproduceError: if a process cannot be started.
    """
    command = [sys.executable, "-m", "claims.training", "reproduce", *arguments]
    workers: list[subprocess.Popen[bytes]] = []
    try:
        for environment in environments:
            started = subprocess.Popen(command, env={**os.environ, **environment})  # noqa: S603
            workers.append(started)
        statuses = [worker.wait() for worker in workers]
    except OSError as error:
        raise ReproduceError(f"a process cannot be started ({error})") from error
    finally:
        for worker in workers:
            worker.terminate()  # does nothing to those that have ended
        for worker in workers:
            worker.wait()
    if died := [status for status in statuses if status not in (0, 1)]:
        complain(
            f"{counted(len(died), 'process')} ended early, with status "
            f"{', '.join(map(str, died))}; the same command goes on with their runs"
        )
    return int(any(statuses))


@dataclass
class Worker:
    """Makes one run after the other on one device, within so many minutes."""

    device: str
    results: Path
    minutes: float
    shown: Sequence[str] = ()  # the arguments that runs record, without folders of this machine
    images: dict[tuple[str, str], Images] = field(default_factory=dict)
    begun: tuple[float, float] | None = None
    said: float = 0.0

    def __post_init__(self) -> None:
        self.until = time.monotonic() + 60 * self.minutes

    def make_all(self, wanted: Sequence[Planned]) -> int:
        """Make all runs that fit the budget; returns 1 if one of them could not be made."""
        count: collections.Counter[str] = collections.Counter()
        absent: set[str] = set()
        late: list[Planned] = []
        for name, seed in wanted:
            if ARMS[name].recipe.data in absent:
                count["failed"] += 1
            elif not self.fits(name, seed):
                late.append((name, seed))
            else:
                try:
                    count[self.make(name, seed)] += 1
                except OutOfTimeError:
                    late.append((name, seed))
                    say(f"{name} seed {seed}: stopped, for the budget is used up")
                except FAILURES as error:
                    count["failed"] += 1
                    complain(f"{name} seed {seed}: {explained(error)}")
                    if isinstance(error, data.DataError):
                        absent.add(ARMS[name].recipe.data)
        say(summarised(count))
        if late:
            say(
                f"outside the budget of {self.minutes:g} min: {listed(late)}; the same command "
                "makes them, or goes on from their checkpoints"
            )
        return int(count["failed"] > 0)

    def fits(self, name: str, seed: int) -> bool:
        """Whether the budget has time for a run; one that has begun uses what time there is."""
        left = self.until - time.monotonic()
        if (runs.folder_of(self.results / "local", name, seed) / "checkpoint").exists():
            return left > 0
        if left == math.inf:
            return True
        timings = timings_on(self.device, device_name(self.device), self.results)
        threads = torch.get_num_threads() if self.device == "cpu" else 1
        return expected(name, self.device, timings) / threads <= left

    def make(self, name: str, seed: int) -> str:
        """Make one run, if no other process has it; returns what became of it.

        Raises:
            OutOfTimeError: if the budget ends meanwhile.
        """
        arm = ARMS[name]
        label = f"{name} seed {seed}"
        self.begun = None

        def report(progress: Progress, share: float) -> None:
            self.report(label, arm.recipe.epochs, progress, share)

        folder = None
        if not runs.folder_of(self.results, name, seed).exists():
            folder = runs.make(
                name,
                arm,
                seed,
                self.prepared(arm),
                self.device,
                results=self.results,
                command=["python", "-m", "claims.training", "reproduce", *self.shown],
                warn=lambda sentence: say(f"{label}: {sentence}"),
                report=report,
            )
        if folder is None:
            say(f"{label}: another process has it")
            return "elsewhere"
        run = runs.read(folder, runs.test_labels(arm.recipe.data, self.results))
        ended = "collapsed" if run.record["collapsed"] else "finished"
        say(f"{label}: {ended} with {run.curve[-1]['test error']:.2f} % test error, {folder}")
        return ended

    def prepared(self, arm: Arm) -> Images:
        """Return the images of an arm, kept for the next one of the same kind.

        Raises:
            DataError: if the data set cannot be used.
        """
        recipe = arm.recipe
        key = recipe.data, recipe.preprocessing
        if key not in self.images:
            say(f"reading {recipe.data}, {recipe.preprocessing}")
            self.images.clear()
            found = data.load(recipe.data)
            train, test = data.preprocess(found, recipe.preprocessing, device=self.device)
            runs.keep_test_labels(recipe.data, found.test_labels, self.results)
            self.images[key] = Images(
                train, found.train_labels, test, found.test_labels, found.classes, found.digest
            )
        return self.images[key]

    def report(self, label: str, epochs: int, progress: Progress, share: float) -> None:
        """Say at first and then now and then how far a run is, and how much time it still takes.

        Raises:
            OutOfTimeError: if the budget is used up.
        """
        now, position = time.monotonic(), progress.epoch + share
        if now > self.until:
            raise OutOfTimeError
        if self.begun is None:
            self.begun = now, position
        elif now - self.said < (10 if sys.stdout.isatty() else 60):
            return
        self.said = now
        line = f"{label}: epoch {position:.1f} of {epochs}"
        if progress.curve:
            last = progress.curve[-1]
            line += f", loss {last['loss in training']:.3f}, test error {last['test error']:.2f} %"
        # The pace is that of this process: earlier epochs may be of another machine.
        since, start = self.begun
        if position > start:
            pace = (now - since) / (position - start)
            line += f", {pace:.3g} s an epoch, {spelled((epochs - position) * pace)} left"
        say(line)


# In words ----------------------------------------------------------------------------------------


def explained(error: BaseException) -> str:
    """Return what went wrong with a run, and what is left of it."""
    if isinstance(error, torch.OutOfMemoryError):
        return "the GPU has too little free memory; free some, or lower --together"
    if isinstance(error, MemoryError):
        return "the machine has too little free memory"
    if isinstance(error, OSError):
        return f"not written ({error}); the same command goes on from the last checkpoint"
    return str(error)


def summarised(count: Mapping[str, int]) -> str:
    """Return what became of the runs, as a sentence."""
    made = count["finished"] + count["collapsed"]
    parts = [f"made {counted(made, 'run')}"]
    if count["collapsed"]:
        parts[0] += f", of which {count['collapsed']} collapsed; collapsed runs are kept and count"
    if count["elsewhere"]:
        parts.append(f"left {counted(count['elsewhere'], 'run')} to other processes")
    if count["failed"]:
        parts.append(f"could not make {counted(count['failed'], 'run')}")
    return "; ".join(parts)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it needs one."""
    plural = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{plural}"


def seeds_by_arm(planned: Iterable[Planned]) -> list[tuple[str, list[int]]]:
    """Return the arms with the seeds of each."""
    by_arm: dict[str, list[int]] = {}
    for arm, seed in planned:
        by_arm.setdefault(arm, []).append(seed)
    return list(by_arm.items())


def listed(planned: Iterable[Planned]) -> str:
    """Return runs as one would list them: `cifar10 seeds 0-2,5, tiny seed 0`."""
    return ", ".join(f"{arm} {spans(seeds)}" for arm, seeds in seeds_by_arm(planned))


def spans(seeds: Sequence[int]) -> str:
    """Return ascending seeds as one would list them: `seeds 0-2,5`."""
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and spans[-1][-1] == seed - 1:
            spans[-1].append(seed)
        else:
            spans.append([seed])
    text = ",".join(str(span[0]) + (f"-{span[-1]}" if span[1:] else "") for span in spans)
    return f"seed{'s' * (len(seeds) != 1)} {text}"


def spelled(seconds: float) -> str:
    """Return a duration as one would say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def say(line: str) -> None:
    """Print at once; a reader that has gone, or a log on a full disk, stops no training."""
    try:
        print(line, flush=True)  # noqa: T201 - a command
    except OSError:
        # What could not be written would be tried again, and fail again, when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(sentence: str) -> None:
    """Print an error where errors go."""
    print(f"error: {sentence}", file=sys.stderr)  # noqa: T201 - a command
