"""What a person reads after a run, line by line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from claims.core import summary


def entry(id_: str, observed: str, grade: str = "exhaustive", reason: str = "") -> dict[str, Any]:
    return {"id": id_, "observed": observed, "grade": grade, "reason": reason}


def by_id(*entries: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in entries}


def verdicts(
    entries: Mapping[str, Mapping[str, Any]],
    found: Iterable[str],
    met: Iterable[str],
    width: int = 80,
) -> list[summary.Line]:
    judged = dict.fromkeys(found)
    return list(summary.verdicts(entries, judged, list(met), "2024-05-06", width))


FOUR = by_id(
    entry("a/true", "holds", "proved"),
    entry("a/conditional", "holds-if"),
    entry("a/false", "refuted", reason="2 is not 3; nor is 4"),
    entry("a/open", "undecided", "trained", reason="0 of 3 runs; needs three runs; or ten"),
)


def test_a_run_is_summed_up_by_verdict_and_evidence() -> None:
    assert verdicts(FOUR, FOUR, FOUR) == [
        ("", {}),
        ("4 claims: 1 holds, 1 holds if ..., 1 refuted, 1 undecided", {"bold": True}),
        ("evidence: 1 proved, 2 exhaustive", {}),
        ("", {}),
        ("Refuted, each by a counterexample:", {"yellow": True}),
        ("  a/false: 2 is not 3; nor is 4", {}),
        ("", {}),
        ("Undecided, for lack of evidence:", {"purple": True}),
        ("  a/open: 0 of 3 runs", {}),
        ("", {}),
    ]


def test_plurals_and_verdicts_that_nothing_has() -> None:
    two = by_id(entry("a/1", "holds"), entry("a/2", "holds"))
    assert verdicts(two, two, two)[1][0] == (
        "2 claims: 2 hold, 0 hold if ..., 0 refuted, 0 undecided"
    )
    assert [line for line, _ in verdicts(two, two, two)[2:]] == ["evidence: 2 exhaustive", ""]


def test_a_run_that_judged_nothing_says_nothing() -> None:
    assert verdicts(FOUR, [], FOUR) == []


def test_what_this_run_did_not_judge_is_told() -> None:
    met = [*FOUR, "a/new", "a/newer"]
    assert verdicts(FOUR, ["a/true"], met)[-2:] == [
        ("3 of these were not judged in this run: verdicts from 2024-05-06.", {}),
        ('2 claims have no verdict yet; -m "not slow" judges the slower ones.', {"red": True}),
    ]
    lines = [line for line, _ in verdicts(FOUR, list(FOUR)[:3], [*FOUR, "a/new"])[-2:]]
    assert lines == [
        "1 of these was not judged in this run: verdicts from 2024-05-06.",
        '1 claim has no verdict yet; -m "not slow" judges the slower ones.',
    ]


def test_only_claims_that_were_met_are_counted() -> None:
    lines = verdicts(FOUR, ["a/true"], ["a/true", "a/false"])
    assert lines[1][0] == "2 claims: 1 holds, 0 hold if ..., 1 refuted, 0 undecided"


@pytest.mark.parametrize(
    ("width", "length", "kept"),
    [(120, 119, 119), (120, 120, 116), (80, 99, 99), (80, 100, 96)],
)
def test_a_long_counterexample_is_cut_to_the_width_of_a_wide_terminal(
    width: int, length: int, kept: int
) -> None:
    reason = "x" * (length - len("  a/1: "))
    one = by_id(entry("a/1", "refuted", reason=reason))
    line = verdicts(one, one, one, width)[-2][0]
    assert line == f"  a/1: {reason}"[:kept] + (" ..." if kept < length else "")


def test_a_cut_leaves_no_space_before_the_dots() -> None:
    reason = "x" * 87 + "  " + "y" * 100
    one = by_id(entry("a/1", "refuted", reason=reason))
    assert verdicts(one, one, one)[-2][0] == "  a/1: " + "x" * 87 + " ..."


def test_an_implementation_is_told_what_passed_failed_and_is_not_provided() -> None:
    found = dict.fromkeys(["a/1", "a/2", "a/3"])
    failed = {"a/3": "a/3: recorded\n  false", "a/4": "!"}
    lines = list(summary.conformance(found, failed, {"a/5": "it has no relu"}, 0, 6))
    assert lines == [
        ("", {}),
        ("Conformance: 2 passed, 2 failed, 1 not provided, 6 not applicable", {"bold": True}),
        ("  not provided  a/5: it has no relu", {"yellow": True}),
        ("  a/3: recorded", {"red": True}),
        ("    false", {"red": True}),
        ("  !", {"red": True}),
    ]
    assert list(summary.conformance(found, {}, {}, 7, 6)) == [
        ("", {}),
        (
            "Conformance: 3 passed, 0 failed, 0 not provided, 7 not run, 6 not applicable",
            {"bold": True},
        ),
    ]


def test_a_soak_counts_each_claim_once() -> None:
    assert list(summary.soak({"a/1": {}, "a/2": {}}, {"a/2": "no", "a/3": "crash"}, 5)) == [
        ("", {}),
        ("Soak with seed 5: 3 claims judged, 2 failed", {"bold": True}),
    ]
    assert list(summary.soak({"a/1": {}}, {}, 0))[1][0] == (
        "Soak with seed 0: 1 claim judged, 0 failed"
    )


def test_flips_count_changed_verdicts_and_their_faults_but_no_crashes() -> None:
    found = {
        "a/1": {"faults": {"one": "refuted", "two": "error"}},
        "a/2": {"faults": {"one": "holds", "three": "refuted"}},
    }
    where = "the matrix is in results/flips.json"
    assert list(summary.flips(found)) == [
        ("", {}),
        (f"3 verdicts changed under 2 faults planted in 2 claims; {where}", {"bold": True}),
    ]
    assert list(summary.flips({})) == []


def git(where: Path, *arguments: str, date: str = "2001-02-03T12:00:00") -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    command = ["git", *identity, *arguments]
    subprocess.run(command, cwd=where, env=os.environ | dates, check=True, capture_output=True)


def test_the_date_of_verdicts_is_that_of_their_last_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "verdicts.json"
    unknown = "verdicts.json, not under version control"
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert summary.committed_on(path) == unknown
    git(tmp_path, "init", "-b", "verdicts.json")
    git(tmp_path, "commit", "--allow-empty", "-m", "nothing yet", date="2001-01-01T12:00:00")
    assert summary.committed_on(path) == unknown
    for date in ("2001-02-03T12:00:00", "2001-02-05T12:00:00"):
        path.write_text(date)
        git(tmp_path, "add", "verdicts.json")
        git(tmp_path, "commit", "-m", "found", date=date)
    git(tmp_path, "commit", "--allow-empty", "-m", "something else", date="2001-03-01T12:00:00")
    assert summary.committed_on(path) == "2001-02-05"
    monkeypatch.setenv("PATH", "")
    assert summary.committed_on(path) == unknown


def test_lines_are_printed_until_the_reader_has_seen_enough(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary.show(["one", "two"])
    assert capsys.readouterr().out == "one\ntwo\n"
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        summary.show(["one", "two"])
        assert os.fstat(gone.fileno()).st_rdev == Path(os.devnull).stat().st_rdev
