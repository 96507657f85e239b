"""The verdicts file: what stands in it, and what happens where it cannot be read or written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import resource
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from claims.core import results
from claims.core.claim import PROOF, Claim, Fault, Proof, Subject
from claims.core.judge import judge
from claims.core.results import ResultsError
from claims.core.verdict import (
    Holds,
    HoldsIf,
    InsufficientEvidenceError,
    Recorded,
    Refuted,
    Undecided,
)

NUMBERS: Subject[range] = Subject("numbers", lambda: range(10))
FAULTS: list[Fault[range]] = [
    Fault("fewer", lambda _: range(9)),
    Fault("more", lambda _: range(11)),
]


def a_claim(recorded: Recorded | None = None, **named: Any) -> Claim:
    recorded = recorded or Holds()
    return Claim("digits/ten", says="There are ten.", cites=["x:1"], recorded=recorded, **named)


def entry(claim: Claim) -> dict[str, Any]:
    return results.entry(claim, judge(claim), ["hypothesis"])


VERSIONS = {"python": platform.python_version(), "hypothesis": metadata.version("hypothesis")}


def test_an_entry_keeps_all_of_a_claim() -> None:
    claim = a_claim(HoldsIf("small"), reading_of="ten", renamed_from="digits/10", cost="cpu")

    @claim.judged(
        subject=NUMBERS, on=[3, 10, 20], when={"small": lambda n: n < 10}, flipped_by=FAULTS[:1]
    )
    def below(numbers: range, n: int) -> dict[str, object]:
        assert n in numbers, f"{n} is none"
        return {"half": n / 7}

    @claim.judged(subject=NUMBERS, on=PROOF, flipped_by=FAULTS[1:])
    def ten(numbers: range, _: Proof) -> None:
        assert len(numbers) == 10

    made = entry(claim)
    assert made == {
        "id": "digits/ten",
        "says": "There are ten.",
        "cites": ["x:1"],
        "reading_of": "ten",
        "renamed_from": "digits/10",
        "cost": "cpu",
        "grade": "proved",
        "recorded": "holds-if",
        "observed": "holds-if",
        "conditions": ["small"],
        "instead": None,
        "reason": "without 'small': 10 is none",
        "counterexample": None,
        "exceptions": [{"case": 10, "message": "10 is none"}],
        "domain": "numbers: 3, 10, 20; all sizes, by proof",
        "cases": {"listed": 3, "proofs": 1},
        "numbers": {"3": {"half": 0.428571}},
        "flips": ["fewer", "more"],
        "digest": results.source_digest(claim),
        "versions": VERSIONS,
    }
    assert {type(made[key]) for key in ("grade", "recorded", "observed")} == {str}


def test_an_entry_gives_every_condition_its_exception() -> None:
    claim = a_claim(HoldsIf("small", "even"))

    @claim.judged(
        subject=NUMBERS,
        on=[2, 3, 12],
        when={"small": lambda n: n < 10, "even": lambda n: n % 2 == 0},
    )
    def below(numbers: range, n: int) -> None:
        assert n in numbers[::2], f"{n} is none"

    assert entry(claim)["reason"] == "without 'small': 12 is none; without 'even': 3 is none"


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [(Undecided("time"), "nothing yet; needs time"), (Holds(), "nothing yet; needs evidence")],
)
def test_an_entry_says_what_evidence_is_missing(recorded: Recorded, reason: str) -> None:
    claim = a_claim(recorded)

    @claim.judged(subject=NUMBERS, on=[1])
    def counted(_: range, n: int) -> None:
        raise InsufficientEvidenceError("nothing yet")

    made = entry(claim)
    assert (made["observed"], made["reason"], made["numbers"]) == ("undecided", reason, {})


def test_an_entry_shows_the_counterexample() -> None:
    claim = a_claim(Refuted(instead="digits/nine"))

    @claim.judged(subject=NUMBERS, on=[9, 10])
    def below(numbers: range, n: int) -> None:
        assert n in numbers, f"{n} is none"

    made = entry(claim)
    assert made["counterexample"] == {"case": 10, "message": "10 is none"}
    assert (made["reason"], made["instead"]) == ("10 is none", "digits/nine")


def declared(statement: Callable[[range, int], object]) -> Claim:
    claim = a_claim()
    claim.judged(subject=NUMBERS, on=[1])(statement)
    return claim


def test_the_digest_is_that_of_the_lines_of_the_statements() -> None:
    def first(numbers: range, n: int) -> None:
        assert n in numbers

        assert n

    def second(
        numbers: range,
        n: int,
    ) -> None:
        assert n

    def third(numbers: range, n: int) -> None:
        for one in numbers:
            assert one != n

    lines = [
        "def first(numbers: range, n: int) -> None:\nassert n in numbers\nassert n",
        "def second(\nnumbers: range,\nn: int,\n) -> None:\nassert n",
        "def third(numbers: range, n: int) -> None:\nfor one in numbers:\nassert one != n",
    ]
    for statement, text in zip((first, second, third), lines, strict=True):
        expected = hashlib.sha256(text.encode()).hexdigest()[:16]
        assert results.source_digest(declared(statement)) == expected
    both = declared(first)
    both.judged(subject=NUMBERS, on=[1])(second)
    expected = hashlib.sha256((lines[0] + lines[1]).encode()).hexdigest()[:16]
    assert results.source_digest(both) == expected


def test_new_entries_replace_old_ones_and_claims_that_are_no_more_go() -> None:
    old, new = {"c": {"n": 1}, "a": {"n": 2}, "b": {"n": 3}}, {"b": {"n": 4}}
    merged = results.merge(old, new)
    assert list(merged.items()) == [("a", {"n": 2}), ("b", {"n": 4}), ("c", {"n": 1})]
    assert results.merge(old, new, known={"b", "c", "d"}).keys() == {"b", "c"}


def test_the_text_of_the_file_is_canonical() -> None:
    assert results.dump({}, {"version": "1.2.0"}) == (
        '{\n "release": {\n  "version": "1.2.0"\n },\n "claims": []\n}\n'
    )
    assert results.dump({"a/1": {"id": "a/1", "says": "1 °C"}}) == (
        '{\n "claims": [\n  {\n   "id": "a/1",\n   "says": "1 °C"\n  }\n ]\n}\n'
    )


def one(id_: str = "digits/ten", **changes: Any) -> dict[str, Any]:
    def counted(numbers: range, n: int) -> None:
        assert n in numbers

    return entry(declared(counted)) | {"id": id_} | changes


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "below" / "verdicts.json"
    assert results.read(path) == {}
    entries = {"a/1": one("a/1", says="1 °C"), "a/2": one("a/2")}
    results.write(path, results.dump(entries))
    assert path.read_text(encoding="utf-8") == results.dump(entries)
    assert results.read(path) == entries


DAMAGED = "verdicts.json is damaged ({}); it was left as it is; restore it from version control "


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"claims"', "Expecting ':' delimiter: line 1 column 10 (char 9)"),
        ("[]", "the top level: [] is not of type 'object'"),
        (json.dumps({"claims": [one(cites=[5])]}), "claims/0/cites/0: 5 is not of type 'string'"),
        (json.dumps({"claims": [one(), one()]}), "an id stands there twice"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "verdicts.json"
    path.write_text(text)
    with pytest.raises(ResultsError) as refused:
        results.read(path)
    assert str(refused.value) == f"{tmp_path}/{DAMAGED.format(says)}or delete it"


def test_a_long_complaint_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    path.write_text(json.dumps({"claims": [], "x" * 300: 1}))
    with pytest.raises(ResultsError) as refused:
        results.read(path)
    said = f"Additional properties are not allowed ('{'x' * 300}"[:200]
    assert f"is damaged (the top level: {said}); it was left" in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError) as refused:
        results.read(tmp_path)
    assert str(refused.value) == f"{tmp_path} cannot be read: Is a directory"
    (tmp_path / "latin").write_bytes(b"\xe9")
    with pytest.raises(ResultsError) as refused:
        results.read(tmp_path / "latin")
    assert str(refused.value) == (
        f"{tmp_path}/latin cannot be read: 'utf-8' codec can't decode byte 0xe9 in position 0: "
        "unexpected end of data"
    )


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "verdicts.json"
    results.write(path, "old")
    seen = []

    def synced(_: int) -> None:
        (other,) = (each for each in tmp_path.iterdir() if each != path)
        assert re.match(r"\.verdicts\.json\..", other.name)
        seen.append((path.read_text(), other.read_text()))

    monkeypatch.setattr(os, "fsync", synced)
    results.write(path, "new")
    assert seen == [("old", "new")]
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    before = path.stat()
    results.write(path, "new")
    assert path.stat() == before
    assert len(seen) == 1


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 99 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (99, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    results.write(path, "old")
    with pytest.raises(ResultsError) as refused, full_disk():
        results.writable(path)
    assert str(refused.value) == f"{path} cannot be written: File too large"
    with pytest.raises(ResultsError) as refused, full_disk():
        results.write(path, "x" * 100)
    assert str(refused.value) == (
        f"{path} cannot be written: File too large; what was there before is untouched"
    )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_or_goes_away_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for attempt in (results.writable, lambda path: results.write(path, "text")):
        with pytest.raises(ResultsError, match="cannot be written: Not a directory"):
            attempt(tmp_path / "file" / "below" / "verdicts.json")
    folder = tmp_path / "folder"
    monkeypatch.setattr(os, "fsync", lambda _: shutil.rmtree(folder))
    with pytest.raises(ResultsError, match="cannot be written: No such file or directory"):
        results.write(folder / "verdicts.json", "text")


def test_only_the_folder_of_the_file_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    path = tmp_path / "one" / "two" / "verdicts.json"
    for _ in range(2):
        results.writable(path)
        results.write(path, "text")
        results.write(tmp_path / "three" / "four" / "other", "text")
    assert [each.name for each in path.parent.iterdir()] == ["verdicts.json"]
