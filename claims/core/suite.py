"""A suite: topics with claims, the documents they cite, and where the verdicts are kept."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claims.core.claim import Claim, Fault, Subject
from claims.core.document import Citation, Document, parse_citation
from claims.core.verdict import Refuted


class SubjectError(Exception):
    """An implementation brought by a user does not do what the protocol says; one sentence."""


class NotProvidedError(Exception):
    """An implementation brought by a user lacks an operator that a claim needs."""


class UnavailableError(Exception):
    """A subject cannot be built here, because a package or device is missing; one sentence."""


@dataclass(frozen=True)
class Suite:
    """All that the machinery needs to know of a suite of claims.

    `topics` are the names of the modules with claims, in reading order, inside `package`. `bring`
    makes a user's implementation of the subject `replaceable` from a dotted path (None for the
    suite's own) and a device. `catalogue` lists the faults shared by all claims, by subject name.
    `packages` are the distributions whose versions belong to the evidence. `closing` is the last
    line of a run's summary: where to look next.
    """

    package: str
    directory: Path
    topics: Sequence[str]
    documents: Sequence[Document]
    verdicts: Path
    replaceable: Subject[Any] | None = None
    bring: Callable[[str | None, str], object] | None = None
    catalogue: Mapping[str, Sequence[Fault[Any]]] = field(default_factory=dict)
    packages: Sequence[str] = ()
    closing: str = ""

    @property
    def by_key(self) -> dict[str, Document]:
        """The documents by their keys."""
        return {document.key: document for document in self.documents}

    def citation(self, text: str) -> Citation:
        """Return the place that `text` names; raises ValueError where there is none."""
        return parse_citation(text, self.by_key)

    def claims(self) -> dict[str, Claim]:
        """Import all topics and return their claims by id."""
        found: dict[str, Claim] = {}
        for topic in self.topics:
            for claim in claims_of(importlib.import_module(f"{self.package}.{topic}")):
                if found.setdefault(claim.id, claim) is not claim:
                    raise ValueError(f"two claims have the id {claim.id!r}")
        return found

    def claim(self, id: str) -> Claim:  # noqa: A002 - a claim's id is called that everywhere
        """Return one claim; raises ValueError with the nearest ids where there is none."""
        claims = self.claims()
        if id not in claims:
            raise ValueError(unknown_id(id, claims))
        return claims[id]


def claims_of(module: object) -> list[Claim]:
    """Return the claims that a module declares, alone or in tuples, in their order."""
    found: list[Claim] = []
    for value in vars(module).values():
        if isinstance(value, Claim):
            found.append(value)
        elif isinstance(value, tuple):
            found += [part for part in value if isinstance(part, Claim)]
    return found


def unknown_id(name: str, known: Mapping[str, object]) -> str:
    """Say that no claim has this id, and which ids are near."""
    near = difflib.get_close_matches(name, known, cutoff=0.5)
    near += [known_id for known_id in known if name in known_id and known_id not in near][:3]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no claim has the id {name!r}{hint}"


def problems(suite: Suite, claims: Iterable[Claim]) -> list[str]:
    """Say what is inconsistent in each of these declarations, a sentence each."""
    found = []
    for claim in claims:
        found += claim.problems()
        for cite in claim.cites:
            try:
                suite.citation(cite)
            except ValueError as error:
                found.append(f"{claim.id} cites badly: {error}")
        if isinstance(claim.recorded, Refuted) and claim.recorded.instead == claim.id:
            found.append(f"{claim.id} is refuted in favour of itself")
    return found
