"""Claims that a fact of `facts.json` has the value that a document states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from claims.core.claim import Claim, Fault
from claims.core.verdict import Holds, Refuted
from claims.faults.fields import perturbed
from claims.subjects import FACTS, Fact


def sourced(fact: Fact) -> dict[str, str]:
    """Return where a fact stands, and how sure it is."""
    return {"source": fact.source, "certainty": fact.certainty}


def record_says(key: str, value: str) -> Fault[Any]:
    """Return a world in which the record of a fact says something else."""
    return perturbed(f"{key} is {value}", key, value=value)


def stated(
    id_: str,
    says: str,
    cites: Sequence[str],
    recorded: Holds | Refuted,
    *,
    key: str,
    value: str,
    otherwise: str,
    reading_of: str | None = None,
) -> Claim:
    """Return the claim that a fact has the value that the document states.

    `otherwise` is what the record would say if the verdict were the other one.
    """
    claim = Claim(id_, says=says, cites=cites, recorded=recorded, reading_of=reading_of)

    @claim.judged(subject=FACTS, on=[value], flipped_by=[record_says(key, otherwise)])
    def record_says_it(facts: Mapping[str, Fact], value: str) -> dict[str, str]:
        assert facts[key].value == value, f"the record says {facts[key].value}"
        return sourced(facts[key])

    return claim
