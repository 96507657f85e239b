"""Examine trained networks by their stored weights: `results/examined/ARM/SEED.json`.

Which runs are examined, and how, follows from the rules: those whose quantities are numbers of
`examinations`. A file says of which run it is, by the digest of the run's record, and what made it.
It is evidence of its own beside the runs, since other examinations can be made of the same weights.
Where class maps are examined, that of the first seed also has `pictures`, in `SEED.npz` beside it,
of which it says the digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch
from torch import nn

from claims.training import examinations, pictures, rules, runs
from claims.training.arms import ARMS
from claims.training.examinations import ACCURACY, NUMBERS
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
from claims.training.runs import Array, Run, RunError, require
from nin_ref import data, networks, training
from nin_ref.files import write_atomically

COMMAND = "python -m claims.training examine"
FIELDS: runs.Fields = {
    "format": int,
    "arm": str,
    "seed": int,
    "run": str,
    "data": str,
    "numbers": dict,
    "pictures": (str, NoneType),
    "seconds": float,
    **runs.MADE_BY,
}
LARGEST = 2**16  # bytes
LARGEST_PICTURES = 2**20  # bytes


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
            found = numbers(run)
        except RunError as error:
            raise RunError(
                f"{error}; nothing was changed: restore {path_of(run)}, or move it away to examine "
                "the run anew"
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
            path_of(run).unlink(missing_ok=True)
            write_atomically(pictures_of(run), shown)
        write_atomically(path_of(run), (json.dumps(record, indent=1) + "\n").encode())
        self.made += 1
        say(f"{arm} seed {seed}: examined in {spelled(record['seconds'])}, {path_of(run)}")

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


# What was found -----------------------------------------------------------------------------------


def path_of(run: Run) -> Path:
    """Return where the examination of a run lies."""
    results = run.folder.parents[2]
    return results / "examined" / run.folder.parent.name / f"{run.folder.name}.json"


def pictures_of(run: Run) -> Path:
    """Return where the pictures of a run lie."""
    return path_of(run).with_suffix(".npz")


def numbers(run: Run) -> dict[str, float]:
    """Return the numbers of a run's examination; none where it has not been examined.

    Raises:
        RunError: if the examination is damaged, or of another run.
    """
    record = read(run)
    found: dict[str, float] = record["numbers"] if record else {}
    return found


def read(run: Run) -> dict[str, Any] | None:
    """Return the record of a run's examination after checking it; None if there is none.

    Raises:
        RunError: if it is damaged, has other fields than it should, is of another run, or its
            pictures are not those that it tells of.
    """
    path = path_of(run)
    if not os.path.lexists(path):
        return None
    with blaming(path):
        record = runs.json_object(runs.plain(path, LARGEST))
        check(record, run)
    if os.path.lexists(pictures_of(run)):
        with blaming(pictures_of(run)):
            digest = hashlib.sha256(runs.plain(pictures_of(run), LARGEST_PICTURES)).hexdigest()
            require(digest == record["pictures"], f"it is not what {path.name} tells of")
    elif record["pictures"] is not None:
        with blaming(path):
            raise RunError(f"{pictures_of(run).name} is missing")
    return record


def shown(run: Run) -> Pictures | None:
    """Return the pictures of a run after checking them; None if it has none.

    Raises:
        RunError: if the examination is not valid, or the pictures are damaged or of another shape.
    """
    record = read(run)
    if record is None or record["pictures"] is None:
        return None
    with blaming(pictures_of(run)):
        return pictures.read(pictures_of(run).read_bytes(), ARMS[run.record["arm"]].recipe)


def blaming(path: Path) -> AbstractContextManager[None]:
    """Turn whatever goes wrong while reading a file of an examination into one sentence."""
    return runs.blaming(f"examination {path.parent.name}/{path.name}")


def check(record: Mapping[str, Any], run: Run) -> None:
    """Check fields and types of the record of an examination, and that it is that of a run.

    Raises:
        RunError: if something is wrong. A damaged record may raise anything else.
    """
    runs.check_fields(record, FIELDS, "it")
    of = f"{record['arm']}/{record['seed']}"
    require(of == f"{run.record['arm']}/{run.record['seed']}", f"it says that it is of {of}")
    require(record["run"] == run.record["digest"], "it is of another run than the one there")
    require(record["data"] == run.record["data"]["sha256"], "its data are not those of the run")

    found = record["numbers"]
    foreign = found.keys() - NUMBERS.keys()
    require(not foreign, f"no examination gives {', '.join(sorted(foreign))}")
    require(ACCURACY in found, f"it lacks the {ACCURACY}")
    for name, number in found.items():
        require(isinstance(number, float) and runs.finite(number), f"{name} is {number!r}"[:200])
    if pictures.wanted(record["seed"], found):
        require(record["pictures"] is not None, "it tells of no pictures")
    else:
        require(record["pictures"] is None, "it tells of pictures, and there are to be none")
    require(runs.finite(record["seconds"]) and record["seconds"] >= 0, "it took no time")
