"""`python -m claims.report.difference OLD.json NEW.json`: which verdicts changed, and why.

Tells of each claim whose verdict, conditions, grade or counterexample is another what it was and
is, and what else differs in the files: the check, what was recorded, the versions, the numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claims.core import results
from claims.core.summary import show
from claims.core.verdict import Verdict

Entry = Mapping[str, Any]

LONGEST = 300  # characters of a value that are shown


@dataclass(frozen=True)
class Change:
    """A part of a claim's entry that is another now, as texts; empty where there is none."""

    what: str
    was: str
    now: str


@dataclass(frozen=True)
class Difference:
    """A claim that has another verdict in one file than in the other.

    `old` is its entry in the old file, None where it is new, `new` that in the new file, None where
    it was removed. `changes` are what the verdict says, `causes` what else differs.
    """

    id: str
    old: Entry | None
    new: Entry | None
    changes: tuple[Change, ...] = ()
    causes: tuple[Change, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the differences; returns 1 if there are any, 2 if a file cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m claims.report.difference",
        description="Say which verdicts differ between two verdicts files, and why. Exits with 0 "
        "if none does, with 1 if some do, with 2 if a file cannot be read.",
    )
    parser.add_argument("old", type=Path, metavar="OLD.json")
    parser.add_argument("new", type=Path, metavar="NEW.json")
    options = parser.parse_args(arguments)
    try:
        old, new = read(options.old), read(options.new)
    except results.ResultsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 2
    found = differences(old, new)
    show(line for difference in found for line in _told(difference))
    return int(bool(found))


def differences(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> list[Difference]:
    """Return the claims with another verdict, new and removed ones included, by id.

    A new claim that says it was renamed from one that is no more is the same claim.
    """
    origins: dict[str, str] = {}  # of renamed claims: the old id by the new one
    for id_, entry in new.items():
        origin = entry["renamed_from"]
        gone = origin in old and origin not in new and origin not in origins.values()
        if id_ not in old and gone:
            origins[id_] = origin
    found = []
    for id_ in sorted(old.keys() | new.keys()):
        if id_ in origins.values():
            continue
        was, now = old.get(origins.get(id_, id_)), new.get(id_)
        if was is None or now is None:
            found.append(Difference(id_, was, now))
            continue
        changes = tuple(_changes(_verdict(was), _verdict(now)))
        if changes or id_ in origins:
            causes = tuple(_changes(_basis(was), _basis(now)))
            found.append(Difference(id_, was, now, changes, causes))
    return found


def brief(difference: Difference) -> str:
    """Return in one line what became of a claim, without the causes."""
    old, new = difference.old, difference.new
    if old is None or new is None:
        entry = new or old or {}
        what = "new," if old is None else "removed, was"
        return f"{what} {entry['observed']} ({entry['grade']})"
    renamed = [f"renamed from {_line(old['id'])}"] if old["id"] != new["id"] else []
    return "; ".join([*renamed, *map(_told_change, difference.changes)])


def _changes(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Change]:
    for what in dict.fromkeys([*was, *now]):
        before, after = was.get(what, ""), now.get(what, "")
        if before != after:
            yield Change(what, before, after)


def _verdict(entry: Entry) -> dict[str, str]:
    """Return what a reader is told of a claim."""
    return {
        "verdict": entry["observed"],
        "conditions": "; ".join(entry["conditions"]),
        "grade": entry["grade"],
        "true instead": entry["instead"] or "",
        "counterexample": _shown(filter(None, [entry["counterexample"]])),
        "false without a condition": _shown(entry["exceptions"]),
    }


def _basis(entry: Entry) -> dict[str, str]:
    """Return what a verdict may depend on."""
    undecided = entry["observed"] == Verdict.UNDECIDED
    return (
        {
            "statement": entry["says"],
            "recorded": entry["recorded"],
            "digest of the check": entry["digest"],
            "domain": entry["domain"],
            "cases": ", ".join(f"{number} {kind}" for kind, number in entry["cases"].items()),
            "evidence missing": entry["reason"] if undecided else "",
        }
        | {f"version of {name}": version for name, version in entry["versions"].items()}
        | {
            f"number {case}, {name}": str(number)
            for case, numbers in entry["numbers"].items()
            for name, number in numbers.items()
        }
    )


def _shown(cases: Iterable[Mapping[str, Any]]) -> str:
    return "; ".join(f"{one['message']} (case {json.dumps(one['case'])})" for one in cases)


def _told(difference: Difference) -> Iterator[str]:
    name, old, new = _line(difference.id), difference.old, difference.new
    if old is None or new is None:
        yield f"{name}: {brief(difference)}"
        return
    renamed = old["id"] != new["id"]
    yield f"{name}: renamed from {_line(old['id'])}" if renamed else f"{name}: changed"
    for change in difference.changes:
        yield f"  {_told_change(change)}"
    yield "  what else differs:" if difference.causes else "  nothing else differs"
    for change in difference.causes:
        yield f"    {_told_change(change)}"


def _told_change(change: Change) -> str:
    was, now = (_line(text) or "none" for text in (change.was, change.now))
    return f"{_line(change.what)}: {was} -> {now}"


def _line(text: str) -> str:
    """Return a text as one line that a terminal only prints, cut where it is very long."""
    text = " ".join(text.split())
    if len(text) > LONGEST:
        text = text[:LONGEST] + " ..."
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def read(path: Path) -> dict[str, results.Entry]:
    """Return the entries of a verdicts file; raises ResultsError if there are none to be had."""
    if not path.exists():
        raise results.ResultsError(f"{path} is not there")
    try:
        return results.read(path)
    except (RecursionError, ValueError) as error:  # nested, or with a number, beyond all measure
        raise results.ResultsError(f"{path} is damaged ({error})") from error


if __name__ == "__main__":
    sys.exit(main())
