"""Documents that claims cite, and citations that point into them.

The project quotes no document: it knows each by key, title, digest and line count.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Document:
    """A cited source.

    A document with lines is cited as `KEY:LINE` or `KEY:FIRST-LAST`; one without (a paper) by one
    of its `locators`, as `KEY:LOCATOR`. `blank` lists its blank lines as spans, `not_checkable`
    says of spans of lines why no claim cites them.
    """

    key: str
    title: str
    sha256: str | None = None
    lines: int = 0
    locators: tuple[str, ...] = ()
    blank: str = ""
    not_checkable: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def blank_lines(self) -> frozenset[int]:
        """The numbers of the blank lines."""
        return frozenset(number for span in self.blank.split() for number in self.span(span))

    def span(self, place: str) -> range:
        """Return the lines that `place` names: a line or a span such as `31-32`.

        Raises:
            ValueError: if the form is wrong or the document has no such lines.
        """
        numbers = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", place)
        if numbers is None:
            raise ValueError(f"{place!r} of {self.key!r} is neither a line nor a span of lines")
        first, last = int(numbers[1]), int(numbers[2] or numbers[1])
        if not 1 <= first <= last <= self.lines:
            raise ValueError(
                f"'{self.key}:{place}' is out of range: document {self.key} has lines 1 to "
                f"{self.lines}"
            )
        return range(first, last + 1)


@dataclass(frozen=True)
class Citation:
    """A place in a document: a span of lines, or a locator."""

    document: str
    first: int = 0
    last: int = 0
    locator: str = ""

    def covers(self, other: Citation) -> bool:
        """Whether the two places overlap."""
        if self.document != other.document or self.locator != other.locator:
            return False
        return self.first <= other.last and other.first <= self.last


def parse_citation(text: str, documents: Mapping[str, Document]) -> Citation:
    """Return the place that `text` names, such as `001:31-32` or `nin-paper:4.2`.

    Raises:
        ValueError: if the form is wrong, the document unknown, or the place not in it.
    """
    key, colon, place = text.partition(":")
    if not colon or not place:
        raise ValueError(f"{text!r} is not a citation; write DOCUMENT:LINE, such as 001:31")
    document = documents.get(key)
    if document is None:
        raise ValueError(f"unknown document {key!r} in {text!r}; known: {', '.join(documents)}")
    if document.locators:
        if place not in document.locators:
            raise ValueError(
                f"{key!r} has no place {place!r}; known: {', '.join(document.locators)}"
            )
        return Citation(key, locator=place)
    span = document.span(place)
    return Citation(key, span[0], span[-1])
