"""Coverage of documents: which lines are accounted for, which folder of documents is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from claims import coverage as command
from claims.core import coverage
from claims.core.coverage import CoverageError
from claims.core.document import Citation, Document
from claims.suite import SUITE

CONTENT = "a title\n\nsome text\nmore text\nno newline at the end"
DOCUMENT = Document(
    "007",
    "a note",
    sha256=hashlib.sha256(CONTENT.encode()).hexdigest(),
    lines=5,
    blank="2",
    not_checkable={"1": "a title", "4-5": "an opinion"},
)
CITES = {"a/one": [Citation("007", 3, 3)], "a/two": [Citation("008", 4, 5)]}


def problems(document: Document = DOCUMENT, **cites: tuple[int, int]) -> list[str]:
    found = CITES | {f"a/{id_}": [Citation("007", *span)] for id_, span in cites.items()}
    return coverage.problems(document, coverage.lines(document, found))


def test_each_line_that_is_not_blank_is_listed_with_its_claims_or_the_reason() -> None:
    assert coverage.lines(DOCUMENT, CITES) == [
        coverage.Line(1, (), "a title"),
        coverage.Line(3, ("a/one",)),
        coverage.Line(4, (), "an opinion"),
        coverage.Line(5, (), "an opinion"),
    ]
    assert problems() == []


def test_a_claim_that_cites_a_line_twice_is_listed_once() -> None:
    twice = {"a/one": [Citation("007", 3, 4), Citation("007", 3, 3)]}
    assert coverage.lines(DOCUMENT, twice)[1].claims == ("a/one",)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"not_checkable": {"1": "a title", "4": "an opinion"}}, "007:5 is cited by no claim"),
        ({"not_checkable": {"1": "a title", "3-5": "no"}}, "007:3 is listed .* a/one cites it"),
        ({"not_checkable": {"1-2": "a title", "4-5": "no"}}, "007:2 is listed .* it is blank"),
        ({"blank": ""}, "007:2 is cited by no claim and not listed as not checkable"),
    ],
)
def test_a_line_that_is_not_accounted_for_is_named(changes: dict[str, object], says: str) -> None:
    (problem,) = problems(dataclasses.replace(DOCUMENT, **changes))  # type: ignore[arg-type]
    assert re.search(says, problem)


def test_the_text_is_taken_from_the_file_with_the_key_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "007_note.txt").write_text(CONTENT)
    (tmp_path / "008.txt").write_text("another")
    assert coverage.text(DOCUMENT, tmp_path) == CONTENT.split("\n")


def test_a_folder_without_the_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CoverageError, match=r"no file in .* begins with 007"):
        coverage.text(DOCUMENT, tmp_path)
    (tmp_path / "007").mkdir()
    with pytest.raises(CoverageError, match="cannot be read: Is a directory"):
        coverage.text(DOCUMENT, tmp_path)


def test_another_document_is_refused(tmp_path: Path) -> None:
    other = CONTENT + "\n"
    (tmp_path / "007.txt").write_text(other)
    with pytest.raises(CoverageError) as refused:
        coverage.text(DOCUMENT, tmp_path)
    digests = [hashlib.sha256(text.encode()).hexdigest()[:12] for text in (other, CONTENT)]
    assert str(refused.value) == (
        f"{tmp_path}/007.txt is not the document that was read: "
        f"its SHA-256 is {digests[0]}..., not {digests[1]}..."
    )


@pytest.mark.parametrize("changes", [{"lines": 6}, {"blank": ""}, {"blank": "2-3"}])
def test_lines_declared_otherwise_than_they_are_are_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    (tmp_path / "007.txt").write_text(CONTENT)
    with pytest.raises(CoverageError, match="declared with other lines"):
        coverage.text(dataclasses.replace(DOCUMENT, **changes), tmp_path)  # type: ignore[arg-type]


def test_the_command_counts_the_verdicts_of_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    lines = shown.out.splitlines()
    for document in SUITE.documents:
        if document.lines:
            (header,) = (line for line in lines if line.startswith(f"{document.key}  "))
            assert f"{document.lines} lines, " in header
            assert header.endswith(f"{len(document.blank_lines)} blank")
    assert sum(bool(re.match(r" +[0-9]+  ", line)) for line in lines) == sum(
        document.lines - len(document.blank_lines) for document in SUITE.documents
    )


def test_the_command_says_what_is_wrong_with_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(tmp_path)]) == 1
    assert "error: no file in" in capsys.readouterr().err


def test_the_command_names_a_line_that_is_not_accounted_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = dataclasses.replace(SUITE, documents=[*SUITE.documents, DOCUMENT])
    monkeypatch.setattr(command, "SUITE", suite)
    assert command.main([]) == 1
    assert capsys.readouterr().err == (
        "error: 007:3 is cited by no claim and not listed as not checkable\n"
    )


def test_a_reader_that_stops_early_sees_no_traceback() -> None:
    told = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m claims.coverage | head -1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parent.parent,
    )
    assert told.stderr == ""
    assert told.stdout.startswith("000  ")
