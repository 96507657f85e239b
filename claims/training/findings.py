"""What examinations have found: `results/examined/ARM/SEED.json`, and `SEED.npz` with pictures.

A file says of which run it is, by the digest of the run's record, and what made it. It is evidence
of its own beside the runs, since other examinations can be made of the same weights. Where class
maps are examined, that of the first seed also has `pictures`, of which it says the digest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import NoneType
from typing import Any

from claims.training import pictures, runs
from claims.training.arms import ARMS
from claims.training.examinations import ACCURACY, NUMBERS
from claims.training.pictures import Pictures
from claims.training.runs import Run, RunError, require

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
