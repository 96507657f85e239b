"""What a person reads after a run: counts, counterexamples, what is open, where to look."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from claims.core.verdict import Grade, Verdict

Line = tuple[str, dict[str, bool]]

SPOKEN = {
    Verdict.HOLDS: ("hold", "holds", {"green": True}),
    Verdict.HOLDS_IF: ("hold if ...", "holds if ...", {"cyan": True}),
    Verdict.REFUTED: ("refuted", "refuted", {"yellow": True}),
    Verdict.UNDECIDED: ("undecided", "undecided", {"purple": True}),
}


def verdicts(
    entries: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, object],
    met: Collection[str],
    date: str,
    width: int,
) -> Iterator[Line]:
    """Summarise the verdicts: those of this run and, for the claims not run, the committed ones."""
    if not found:
        return
    shown = {id_: entry for id_, entry in entries.items() if id_ in met}
    yield "", {}
    by_verdict = Counter(entry["observed"] for entry in shown.values())
    yield (
        f"{len(shown)} claims: "
        + ", ".join(
            f"{by_verdict[verdict]} {SPOKEN[verdict][by_verdict[verdict] == 1]}"
            for verdict in Verdict
        ),
        {"bold": True},
    )
    yield f"evidence: {evidence(shown.values())}", {}
    for verdict, title in (
        (Verdict.REFUTED, "Refuted, each by a counterexample:"),
        (Verdict.UNDECIDED, "Undecided, for lack of evidence:"),
    ):
        chosen = [entry for entry in shown.values() if entry["observed"] == verdict]
        if chosen:
            yield "", {}
            yield title, SPOKEN[verdict][2]
        for entry in chosen:
            why = entry["reason"]
            if verdict == Verdict.UNDECIDED:
                why = why.partition(";")[0]  # the claim itself tells what decides it
            yield _fit(f"  {entry['id']}: {why}", max(width, 100)), {}
    yield "", {}
    if earlier := len(shown.keys() - found.keys()):
        were = "was" if earlier == 1 else "were"
        yield f"{earlier} of these {were} not judged in this run: verdicts from {date}.", {}
    if missing := len(set(met) - shown.keys()):
        have = "claim has" if missing == 1 else "claims have"
        yield (
            f'{missing} {have} no verdict yet; -m "not slow" judges the slower ones.',
            {"red": True},
        )


def evidence(entries: Iterable[Mapping[str, Any]]) -> str:
    """Count the decided claims by the grade of their evidence."""
    grades = Counter(entry["grade"] for entry in entries if entry["observed"] != Verdict.UNDECIDED)
    return ", ".join(f"{grades[grade]} {grade}" for grade in Grade if grades[grade])


def _fit(line: str, width: int) -> str:
    return line if len(line) < width else line[: width - 4].rstrip() + " ..."


def conformance(
    found: Mapping[str, object],
    failed: Mapping[str, str],
    not_provided: Mapping[str, str],
    left_out: int,
    other: int,
) -> Iterator[Line]:
    """Summarise how an implementation did on the claims about what it implements.

    `left_out` counts such claims that this run did not judge, `other` those about other subjects.
    """
    passed = len(found.keys() - failed.keys())
    yield "", {}
    counts = [f"{passed} passed", f"{len(failed)} failed", f"{len(not_provided)} not provided"]
    counts += [f"{left_out} not run"] if left_out else []
    yield f"Conformance: {', '.join(counts)}, {other} not applicable", {"bold": True}
    for id_, reason in not_provided.items():
        yield f"  not provided  {id_}: {reason}", {"yellow": True}
    for text in failed.values():
        for line in text.splitlines():
            yield f"  {line}", {"red": True}


def soak(found: Mapping[str, object], failed: Mapping[str, str], seed: int) -> Iterator[Line]:
    """Summarise a soak; the failures themselves stand above it."""
    judged = len(found.keys() | failed.keys())
    yield "", {}
    claims = "claim" if judged == 1 else "claims"
    yield f"Soak with seed {seed}: {judged} {claims} judged, {len(failed)} failed", {"bold": True}


def flips(found: Mapping[str, Mapping[str, Any]]) -> Iterator[Line]:
    """Summarise which faults changed verdicts."""
    if not found:
        return
    changed = Counter(
        fault
        for entry in found.values()
        for fault, verdict in entry["faults"].items()
        if verdict != "error"
    )
    yield "", {}
    yield (
        (
            f"{sum(changed.values())} verdicts changed under {len(changed)} faults "
            f"planted in {len(found)} claims; the matrix is in results/flips.json"
        ),
        {"bold": True},
    )


def committed_on(path: Path) -> str:
    """Return the date of the last commit of a file, for verdicts that this run did not make."""
    git = shutil.which("git")
    command = ["log", "-1", "--format=%cs", "--", path.name]
    if git is not None:
        told = subprocess.run(  # noqa: S603 - fixed arguments
            [git, "-C", str(path.parent), *command], capture_output=True, text=True, check=False
        )
        if told.returncode == 0 and told.stdout.strip():
            return told.stdout.strip()
    return f"{path.name}, not under version control"


def show(lines: Iterable[str]) -> None:
    """Print lines; a reader that has seen enough, such as head, may stop before the last."""
    try:
        for line in lines:
            print(line)  # noqa: T201 - for commands
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
