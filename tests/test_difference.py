"""What differs between two verdicts files: each kind of change, its causes, what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from claims.core import results
from claims.report.difference import Change, Difference, brief, differences, main
from claims.suite import SUITE

Verdicts = dict[str, dict[str, Any]]

ENTRIES = results.read(SUITE.verdicts)
ONE = next(one for one in ENTRIES.values() if one["observed"] == "holds")
SHOWN = {"case": {"n": 3}, "message": "3 in, 1 out"}


def entry(id_: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "says": "It is so.",
        "renamed_from": None,
        "grade": "property",
        "digest": "0" * 16,
        "domain": "all",
        "cases": {"listed": 3},
        "numbers": {"here": {"parameters": 10}},
        "versions": {"numpy": "2.4.5", "torch": "2.14.0"},
    }
    return ONE | plain | {"id": id_} | changes


def by_id(*entries: dict[str, Any]) -> Verdicts:
    return {one["id"]: one for one in entries}


def change(**changes: Any) -> Difference:
    (found,) = differences(by_id(entry("a/1")), by_id(entry("a/1", **changes)))
    return found


def written(folder: Path, name: str, *entries: dict[str, Any]) -> str:
    path = folder / name
    path.write_text(results.dump(by_id(*entries)))
    return str(path)


def test_the_same_verdicts_do_not_differ() -> None:
    assert differences(ENTRIES, copy.deepcopy(ENTRIES)) == []


def test_claims_are_told_by_id_and_only_those_that_differ() -> None:
    old = by_id(*(entry(f"a/{n}") for n in (3, 1, 2)))
    new = by_id(entry("a/3", observed="refuted"), entry("a/1"), entry("a/2", grade="proved"))
    assert [one.id for one in differences(old, new)] == ["a/2", "a/3"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"observed": "refuted"}, Change("verdict", "holds", "refuted")),
        ({"conditions": ["b = 1", "c = 2"]}, Change("conditions", "", "b = 1; c = 2")),
        ({"grade": "proved"}, Change("grade", "property", "proved")),
        ({"instead": "a/2"}, Change("true instead", "", "a/2")),
        ({"counterexample": SHOWN}, Change("counterexample", "", '3 in, 1 out (case {"n": 3})')),
        (
            {"exceptions": [SHOWN, SHOWN | {"case": 4}]},
            Change(
                "false without a condition",
                "",
                '3 in, 1 out (case {"n": 3}); 3 in, 1 out (case 4)',
            ),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_changed_part_of_the_verdict_is_told(changes: dict[str, Any], told: Change) -> None:
    found = change(**changes)
    assert (found.changes, found.causes) == ((told,), ())


CAUSES = [
    ({"says": "It is not."}, Change("statement", "It is so.", "It is not.")),
    ({"recorded": "refuted"}, Change("recorded", "holds", "refuted")),
    ({"digest": "1" * 16}, Change("digest of the check", "0" * 16, "1" * 16)),
    ({"domain": "some"}, Change("domain", "all", "some")),
    ({"cases": {"listed": 3, "drawn": 9}}, Change("cases", "3 listed", "3 listed, 9 drawn")),
    (
        {"versions": {"numpy": "2.4.6", "torch": "2.14.0"}},
        Change("version of numpy", "2.4.5", "2.4.6"),
    ),
    ({"versions": {"numpy": "2.4.5"}}, Change("version of torch", "2.14.0", "")),
    ({"numbers": {"here": {"parameters": 12}}}, Change("number here, parameters", "10", "12")),
    (
        {"numbers": {"here": {"parameters": 10}, "there": {"p": 0.5}}},
        Change("number there, p", "", "0.5"),
    ),
]


@pytest.mark.parametrize(("changes", "told"), CAUSES, ids=lambda value: getattr(value, "what", ""))
def test_what_else_differs_is_told_as_a_cause(changes: dict[str, Any], told: Change) -> None:
    found = change(observed="refuted", **changes)
    assert (found.changes, found.causes) == ((Change("verdict", "holds", "refuted"),), (told,))
    assert differences(by_id(entry("a/1")), by_id(entry("a/1", **changes))) == []


def test_evidence_that_has_come_is_told() -> None:
    old = entry("a/1", observed="undecided", reason="0 of 3 runs")
    (found,) = differences(by_id(old), by_id(entry("a/1", reason="ignored")))
    assert found.causes == (Change("evidence missing", "0 of 3 runs", ""),)


def test_new_and_removed_claims_are_told() -> None:
    old, new = entry("a/old"), entry("a/new")
    assert differences(by_id(old), by_id(new)) == [
        Difference("a/new", None, new),
        Difference("a/old", old, None),
    ]


def test_a_renamed_claim_is_one_claim() -> None:
    old = entry("a/old")
    same = entry("b/new", renamed_from="a/old")
    assert differences(by_id(old), by_id(same)) == [Difference("b/new", old, same)]
    other = same | {"observed": "refuted", "digest": "1" * 16}
    (found,) = differences(by_id(old), by_id(other))
    assert found.changes == (Change("verdict", "holds", "refuted"),)
    assert found.causes == (Change("digest of the check", "0" * 16, "1" * 16),)


def test_a_claim_that_was_renamed_long_ago_is_not_renamed_again() -> None:
    renamed = entry("b/new", renamed_from="a/old")
    assert differences(by_id(renamed), by_id(renamed)) == []
    assert differences(by_id(renamed, entry("a/old")), by_id(renamed)) == [
        Difference("a/old", entry("a/old"), None)
    ]


def test_a_new_claim_beside_the_one_it_names_is_new() -> None:
    old, split = entry("a/old"), entry("b/new", renamed_from="a/old")
    assert differences(by_id(old), by_id(old, split)) == [Difference("b/new", None, split)]


def test_of_two_that_name_the_same_origin_one_is_renamed() -> None:
    old = entry("a/old")
    two = [entry(f"b/{n}", renamed_from="a/old") for n in (1, 2)]
    assert differences(by_id(old), by_id(*two)) == [
        Difference("b/1", old, two[0]),
        Difference("b/2", None, two[1]),
    ]


def test_what_became_of_a_claim_is_one_line_without_causes() -> None:
    old = by_id(entry("a/1"), entry("a/2"), entry("a/3"), entry("a/4"))
    new = by_id(
        entry("a/1", observed="refuted", counterexample=SHOWN, digest="1" * 16),
        entry("a/5", observed="undecided"),
        entry("b/3", renamed_from="a/3"),
        entry("b/4", renamed_from="a/4", grade="proved"),
    )
    assert {one.id: brief(one) for one in differences(old, new)} == {
        "a/1": 'verdict: holds -> refuted; counterexample: none -> 3 in, 1 out (case {"n": 3})',
        "a/2": "removed, was holds (property)",
        "a/5": "new, undecided (property)",
        "b/3": "renamed from a/3",
        "b/4": "renamed from a/4; grade: property -> proved",
    }


# The command --------------------------------------------------------------------------------------


def test_the_command_says_what_changed_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = written(
        tmp_path, "old.json", entry("a/1"), entry("a/2"), entry("a/3"), entry("a/5"), entry("a/6")
    )
    new = written(
        tmp_path,
        "new.json",
        entry("a/1", observed="refuted", counterexample=SHOWN, digest="1" * 16),
        entry("a/2", grade="counted"),
        entry("a/4", observed="undecided"),
        entry("a/5"),
        entry("b/6", renamed_from="a/6"),
    )
    assert main([old, new]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "a/1: changed",
        "  verdict: holds -> refuted",
        '  counterexample: none -> 3 in, 1 out (case {"n": 3})',
        "  what else differs:",
        "    digest of the check: 0000000000000000 -> 1111111111111111",
        "a/2: changed",
        "  grade: property -> counted",
        "  nothing else differs",
        "a/3: removed, was holds (property)",
        "a/4: new, undecided (property)",
        "b/6: renamed from a/6",
        "  nothing else differs",
    ]


def test_the_command_says_nothing_where_nothing_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = written(tmp_path, "same.json", entry("a/1"))
    assert main([same, same]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is not there"),
        (b"{", "is damaged"),
        (b"\xff", "cannot be read"),
        (b'{"claims": [{"id": "a/1"}]}', "is damaged"),
        (b'{"claims": ' + b"[" * 100_000, "is damaged"),
        (b'{"claims": ' + b"9" * 5000 + b"}", "is damaged"),
    ],
    ids=["missing", "no JSON", "no text", "fields missing", "nested", "a long number"],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_file_that_cannot_be_read_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    says: str,
    first: bool,
) -> None:
    good, bad = written(tmp_path, "good.json", entry("a/1")), tmp_path / "bad.json"
    if content is not None:
        bad.write_bytes(content)
    assert main([str(bad), good] if first else [good, str(bad)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"error: {bad} {says}")
    assert told.err.count("\n") == 1


def test_a_folder_is_no_verdicts_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), written(tmp_path, "good.json", entry("a/1"))]) == 2
    assert f"{tmp_path} cannot be read" in capsys.readouterr().err


def test_one_file_is_too_few(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["old.json"])
    assert stopped.value.code == 2
    assert "NEW.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\x1b[31mb\x00c\u202ed", r"a\x1b[31mb\x00c\u202ed"),
        ("one\r\n  verdict: holds\ttwo", "one verdict: holds two"),
        ("<b>&amp; 'é'", "<b>&amp; 'é'"),
        ("x" * 5000, "x" * 300 + " ..."),
    ],
)
def test_a_hostile_text_is_a_part_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    old = written(tmp_path, "old.json", entry("a/1"))
    new = written(
        tmp_path, "new.json", entry("a/1", conditions=[text], says=text, versions={text: "1"})
    )
    assert main([old, new]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"  conditions: none -> {told}"
    assert lines[3] == f"    statement: It is so. -> {told}"
    assert any(line.startswith("    version of ") for line in lines)
    assert all(line.isprintable() for line in lines)


def test_the_committed_verdicts_can_be_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = {"claims": [one for one in ENTRIES.values() if one["grade"] != "trained"]}
    (tmp_path / "older.json").write_text(json.dumps(older))
    assert main([str(tmp_path / "older.json"), str(SUITE.verdicts)]) == 1
    trained = sum(one["grade"] == "trained" for one in ENTRIES.values())
    assert capsys.readouterr().out.count(": new, ") == trained > 0
