"""Citations: what they name, and what is refused."""

from __future__ import annotations

import pytest

from claims.core.document import Citation, Document, parse_citation

DOCUMENTS = {
    "001": Document("001", "notes", lines=193),
    "paper": Document("paper", "a paper", locators=("4.2", "table-1")),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("001:1", Citation("001", 1, 1)),
        ("001:31-32", Citation("001", 31, 32)),
        ("001:193", Citation("001", 193, 193)),
        ("paper:table-1", Citation("paper", locator="table-1")),
    ],
)
def test_a_citation_names_a_place(text: str, expected: Citation) -> None:
    assert parse_citation(text, DOCUMENTS) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("001", "is not a citation; write DOCUMENT:LINE"),
        ("001:", "is not a citation"),
        ("009:1", "unknown document '009'.*known: 001, paper"),
        ("001:0", "out of range: document 001 has lines 1 to 193"),
        ("001:194", "out of range"),
        ("001:190-194", "out of range"),
        ("001:32-31", "out of range"),
        ("001:x", "neither a line nor a span"),
        ("001:-3", "neither a line nor a span"),
        ("001:31:32", "'31:32' of '001' is neither a line nor a span"),
        ("paper:5", "has no place '5'; known: 4.2, table-1"),
    ],
)
def test_a_wrong_citation_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_citation(text, DOCUMENTS)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("001:31-34", "001:34", True),
        ("001:31-34", "001:31", True),
        ("001:31-34", "001:35", False),
        ("001:31-34", "001:30", False),
        ("001:31-34", "001:29-40", True),
        ("paper:4.2", "paper:4.2", True),
        ("paper:4.2", "paper:table-1", False),
        ("paper:4.2", "001:4", False),
    ],
)
def test_places_overlap(one: str, other: str, expected: bool) -> None:
    first, second = parse_citation(one, DOCUMENTS), parse_citation(other, DOCUMENTS)
    assert first.covers(second) == expected
    assert second.covers(first) == expected


def test_blank_lines_are_those_of_the_spans() -> None:
    assert Document("a", "a", lines=9, blank="1 3-5 9").blank_lines == {1, 3, 4, 5, 9}


@pytest.mark.parametrize("blank", ["10", "0", "3-2", "x", "1,2"])
def test_a_span_that_is_not_in_the_document_is_refused(blank: str) -> None:
    with pytest.raises(ValueError, match=r"out of range|neither a line nor a span"):
        _ = Document("a", "a", lines=9, blank=blank).blank_lines
