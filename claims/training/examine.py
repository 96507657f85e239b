"""Examine trained networks by their stored weights: `results/examined/ARM/SEED.json`.

Which runs are examined, and how, follows from the rules: those whose quantities are numbers of
`examinations`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from claims.training import examinations, findings, pictures, rules, runs
from claims.training.arms import ARMS
from claims.training.examinations import NUMBERS
from claims.training.pictures import Pictures
from claims.training.reproduce import (
    FAILURES,
    chosen_arms,
    chosen_seeds,
    complain,
    counted,
    say,
    spelled,
)
from claims.training.runs import Array, Run, RunError
from nin_ref import data, networks, training
from nin_ref.files import write_atomically

COMMAND = "python -m claims.training examine"


# The command --------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Examine the runs that rules look at more closely; returns 1 if one could not be examined."""
    hidden = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    hidden.add_argument("--results", type=Path, default=runs.RESULTS)
    options, shown = hidden.parse_known_args(arguments)
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description="Compute from the stored weights of runs, on the CPU, what rules need beyond "
        "predictions. Runs that are examined already stay as they are.",
    )
    parser.add_argument(
        "--arms", type=chosen_arms, default="", metavar="A,B", help="only these arms"
    )
    parser.add_argument(
        "--seeds", type=chosen_seeds, default="", metavar="0,2-5", help="only these seeds"
    )
    parser.parse_args(shown, options)
    worker = Worker(options.results, [*COMMAND.split(), *shown])
    wanted = needed()
    for arm in options.arms:
        if arm not in wanted:
            complain(f"no rule looks at more of {arm} than its predictions")
            worker.failed += 1
    for arm in [name for name in options.arms or ARMS if name in wanted]:
        worker.examine_arm(arm, wanted[arm], options.seeds)
    say(
        f"examined {counted(worker.made, 'run')}; {counted(worker.there, 'run')} examined before"
        + (f"; {worker.failed} failed" if worker.failed else "")
    )
    return int(worker.failed > 0)


def needed() -> dict[str, dict[str, int]]:
    """Return the numbers of examinations that rules need, with the number of seeds, by arm."""
    from claims.trained import declared_rules

    found: dict[str, dict[str, int]] = {}
    for rule in declared_rules().values():
        for part in rules.parts(rule):
            for arm in rules.arms_of(part) if part.quantity in NUMBERS else ():
                of_arm = found.setdefault(arm, {})
                of_arm[part.quantity] = max(part.seeds, of_arm.get(part.quantity, 0))
    return found


@dataclass
class Worker:
    """Examines runs one after the other, and keeps the images for runs of the same kind."""

    results: Path
    command: Sequence[str]
    made: int = 0
    there: int = 0
    failed: int = 0
    kept: tuple[tuple[str, str], Tested] | None = None

    def examine_arm(self, arm: str, quantities: Mapping[str, int], seeds: Sequence[int]) -> None:
        """Examine the finished runs of an arm, of these seeds or of all that a rule needs."""
        asked = seeds or range(max(quantities.values()))
        folders = [runs.folder_of(self.results, arm, seed) for seed in asked]
        missing = [folder.name for folder in folders if not folder.is_dir()]
        if missing:
            say(f"{arm}: no finished run of seed {', '.join(missing)}")
        for folder in folders:
            if folder.name in missing:
                continue
            try:
                self.examine(folder, quantities)
            except FAILURES as error:
                self.failed += 1
                complain(f"{arm} seed {folder.name}: {error}")

    def examine(self, folder: Path, quantities: Mapping[str, int]) -> None:
        """Examine one run, unless that has been done.

        Raises:
            RunError: if the run or its examination is not valid, or it has no weights.
            DataError: if the data set cannot be used.
            OSError: if the examination cannot be written.
        """
        arm, seed = folder.parent.name, folder.name
        run = runs.read(folder, runs.test_labels(ARMS[arm].recipe.data, self.results))
        if reason := runs.stale(run, runs.traces(self.results)):
            say(f"{arm} seed {seed} is stale and not examined: {reason}")
            return
        try:
            found = findings.numbers(run)
        except RunError as error:
            raise RunError(
                f"{error}; nothing was changed: restore {findings.path_of(run)}, or move it away "
                "to examine the run anew"
            ) from error
        if quantities.keys() <= found.keys():
            self.there += 1
            return
        if not runs.has_weights(run):
            raise RunError(
                f"the run has no weights; its arm keeps those of {ARMS[arm].weights_of} seeds"
            )
        images = self.prepared(arm)
        say(f"{arm} seed {seed}: examining")
        record, shown = made(run, list(quantities), images, self.command)
        if shown:
            # While pictures are without the record that tells of them, the run is not examined.
            findings.path_of(run).unlink(missing_ok=True)
            write_atomically(findings.pictures_of(run), shown)
        write_atomically(findings.path_of(run), (json.dumps(record, indent=1) + "\n").encode())
        self.made += 1
        say(f"{arm} seed {seed}: examined in {spelled(record['seconds'])}, {findings.path_of(run)}")

    def prepared(self, arm: str) -> Tested:
        """Return the test images of an arm.

        Raises:
            DataError: if the data set cannot be used.
        """
        recipe = ARMS[arm].recipe
        key = recipe.data, recipe.preprocessing
        if self.kept is None or self.kept[0] != key:
            say(f"reading {recipe.data}, {recipe.preprocessing}")
            found = data.load(recipe.data)
            _, test = data.preprocess(found, recipe.preprocessing)
            self.kept = key, Tested(test, found.test_images, found.test_labels, found.digest)
        return self.kept[1]


@dataclass(frozen=True)
class Tested:
    """Test images of a data set.

    They are preprocessed, float32 [N, C, H, W], and as they are in the data set, uint8 of the same
    shape, with their labels, uint8 [N]; the digest is that of the data set.
    """

    images: Array
    pixels: Array
    labels: Array
    digest: str


def made(
    run: Run, quantities: Sequence[str], images: Tested, command: Sequence[str]
) -> tuple[dict[str, Any], bytes | None]:
    """Examine a run; returns the record of it and pictures, if there are any, as they are written.

    Raises:
        RunError: if the run has been trained on other data, its weights cannot be used, or what is
            to be shown of them is not finite.
    """
    if run.record["data"]["sha256"] != images.digest:
        raise RunError("the run was trained on data with another digest")
    made_by = runs.provenance("cpu")
    made_by["device"]["threads"] = torch.get_num_threads()
    start = time.perf_counter()
    found = computed(run, quantities, images)
    shown = None
    if pictures.wanted(run.record["seed"], found):
        shown = pictures.content(pictured(run, images))
        pictures.read(shown, ARMS[run.record["arm"]].recipe)
    record = {
        "format": runs.FORMAT,
        "arm": run.record["arm"],
        "seed": run.record["seed"],
        "run": run.record["digest"],
        "data": images.digest,
        "numbers": found,
        "pictures": hashlib.sha256(shown).hexdigest() if shown else None,
        **made_by,
        "command": list(command),
        "finished": training.now(),
        "seconds": round(time.perf_counter() - start, 3),
    }
    record["digest"] = runs.record_digest(record)
    return record, shown


def computed(run: Run, quantities: Sequence[str], images: Tested) -> dict[str, float]:
    """Return the numbers that the examinations behind some quantities give of a run.

    Raises:
        RunError: if its weights cannot be used.
    """
    labels = torch.from_numpy(images.labels.astype(np.int64))
    prepared = torch.from_numpy(images.images)
    return examinations.examined(trained(run), prepared, labels, quantities)


def pictured(run: Run, images: Tested) -> Pictures:
    """Return the pictures of a run.

    Raises:
        RunError: if its weights cannot be used.
    """
    return pictures.made(trained(run), images.images, images.pixels, images.labels)


def trained(run: Run) -> nn.Module:
    """Return the network of a run with its stored weights.

    Raises:
        RunError: if they cannot be used.
    """
    recipe = ARMS[run.record["arm"]].recipe
    network = networks.build(recipe.network, **recipe.options)
    network.load_state_dict(runs.weights(run))
    return network
