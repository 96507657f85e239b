"""Bibliographic facts: who wrote what, when, and where it appeared.

Documents 000, 001 and 004. The facts stand in `facts.json`, with their source and how sure we are.
"""

from __future__ import annotations

from collections.abc import Mapping

from claims.core.claim import Claim
from claims.core.verdict import Holds, Refuted
from claims.faults.fields import perturbed
from claims.subjects import FACTS, Fact

arxiv_id = Claim(
    "bibliography/nin-is-arxiv-1312.4400",
    says="Network In Network has the arXiv number 1312.4400.",
    cites=["004:18"],
    recorded=Holds(),
)


@arxiv_id.judged(
    subject=FACTS, on=["1312.4400"], flipped_by=[perturbed("another number", "nin/arxiv-id", value="1409.1556")]
)
def number_is_that_of_the_record(facts: Mapping[str, Fact], number: str) -> None:
    assert facts["nin/arxiv-id"].value == number


venue_lclr = Claim(
    "bibliography/nin-appeared-at-lclr",
    says="Network In Network appeared at LCLR 2014.",
    cites=["004:22"],
    recorded=Refuted(instead="bibliography/nin-appeared-at-iclr"),
)


@venue_lclr.judged(
    subject=FACTS, on=["LCLR 2014"], flipped_by=[perturbed("a venue of that name", "nin/venue", value="LCLR 2014")]
)
def venue_is_lclr(facts: Mapping[str, Fact], venue: str) -> None:
    actual = facts["nin/venue"].value
    assert actual == venue, f"the record says {actual}"
