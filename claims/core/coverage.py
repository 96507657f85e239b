"""Coverage: each line of a document is cited by a claim, blank, or not checkable for a reason."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from claims.core.document import Citation, Document


class CoverageError(Exception):
    """A document is not in the folder, cannot be read or is another one; the message says which."""


@dataclass(frozen=True)
class Line:
    """A line that is not blank: the ids of the claims that cite it, or why none does."""

    number: int
    claims: tuple[str, ...]
    not_checkable: str = ""


def lines(document: Document, cites: Mapping[str, Iterable[Citation]]) -> list[Line]:
    """Return the lines of a document that are not blank; `cites` has the places of each claim."""
    reasons = {
        number: reason
        for span, reason in document.not_checkable.items()
        for number in document.span(span)
    }
    citing: dict[int, list[str]] = {}
    for id_, places in cites.items():
        mine = {
            number
            for place in places
            if place.document == document.key
            for number in range(place.first, place.last + 1)
        }
        for number in mine:
            citing.setdefault(number, []).append(id_)
    return [
        Line(number, tuple(citing.get(number, ())), reasons.get(number, ""))
        for number in range(1, document.lines + 1)
        if number not in document.blank_lines
    ]


def problems(document: Document, found: Sequence[Line]) -> list[str]:
    """Say what is wrong with the coverage of a document, a sentence for each line."""
    wrong = []
    for line in found:
        place = f"{document.key}:{line.number}"
        if line.claims and line.not_checkable:
            wrong.append(f"{place} is listed as not checkable, but {line.claims[0]} cites it")
        if not line.claims and not line.not_checkable:
            wrong.append(f"{place} is cited by no claim and not listed as not checkable")
    for span in document.not_checkable:
        wrong += [
            f"{document.key}:{number} is listed as not checkable, but it is blank"
            for number in document.span(span)
            if number in document.blank_lines
        ]
    return wrong


def text(document: Document, directory: Path) -> list[str]:
    """Return the lines of a document from the file in `directory` whose name begins with its key.

    Raises:
        CoverageError: if there is no such file, it cannot be read, or its digest or its blank lines
            are not those of the document that was read.
    """
    paths = sorted(directory.glob(f"{document.key}*"))
    if not paths:
        raise CoverageError(f"no file in {directory} has a name that begins with {document.key}")
    try:
        content = paths[0].read_bytes()
    except OSError as error:
        raise CoverageError(f"{paths[0]} cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != document.sha256:
        raise CoverageError(
            f"{paths[0]} is not the document that was read: "
            f"its SHA-256 is {digest[:12]}..., not {str(document.sha256)[:12]}..."
        )
    found = content.decode().split("\n")
    blank = {number for number, line in enumerate(found, 1) if not line.strip()}
    if len(found) != document.lines or blank != document.blank_lines:
        raise CoverageError(f"{document.key} is declared with other lines than {paths[0]} has")
    return found
