"""Verdicts: what a declaration records, and what follows from where a statement was true.

The observed verdict is computed by `observe` from outcomes alone; it never sees the recorded one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What is known of a claim."""

    HOLDS = "holds"
    HOLDS_IF = "holds-if"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


class Grade(StrEnum):
    """How strong the evidence is, strongest first."""

    PROVED = "proved"
    EXHAUSTIVE = "exhaustive"
    PROPERTY = "property"
    COUNTED = "counted"
    MEASURED = "measured"
    TRAINED = "trained"
    CITED = "cited"


@dataclass(frozen=True)
class Holds:
    """Recorded: the statement is true on its whole domain."""

    verdict = Verdict.HOLDS
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, init=False)
class HoldsIf:
    """Recorded: the statement is true exactly under these conditions, each of them needed."""

    verdict = Verdict.HOLDS_IF
    conditions: tuple[str, ...]

    def __init__(self, *conditions: str) -> None:
        if not conditions:
            raise ValueError("HoldsIf needs at least one condition; without any, record Holds()")
        object.__setattr__(self, "conditions", conditions)


@dataclass(frozen=True)
class Refuted:
    """Recorded: a counterexample exists; `instead` is the id of a claim that is true."""

    instead: str
    verdict = Verdict.REFUTED
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Undecided:
    """Recorded: no evidence decides it yet; `needs` says what would."""

    needs: str
    verdict = Verdict.UNDECIDED
    conditions: tuple[str, ...] = ()


Recorded = Holds | HoldsIf | Refuted | Undecided


class NoVerdictError(Exception):
    """The check as written cannot decide the claim; the message says what it lacks."""


class InsufficientEvidenceError(Exception):
    """Raised by a statement whose evidence has not been made yet, with what is missing."""


@dataclass(frozen=True)
class Outcome:
    """What one case showed: that the statement is true there, is false, or lacks evidence.

    `case` is the case as JSON, `violated` the names of the conditions that it does not meet,
    `message` what the statement said where it was false, `missing` the evidence that it lacks.
    """

    case: Any
    violated: frozenset[str] = frozenset()
    false: bool = False
    message: str = ""
    missing: str | None = None

    @property
    def refutes(self) -> bool:
        """Whether the statement is false although the case meets every condition."""
        return self.false and not self.violated


@dataclass(frozen=True)
class Observation:
    """An observed verdict with the cases that show it.

    `counterexample` refutes the claim. `exceptions` holds, for each condition of a `holds-if`, a
    case that violates only this condition and on which the statement is false.
    """

    verdict: Verdict
    conditions: tuple[str, ...] = ()
    counterexample: Outcome | None = None
    exceptions: tuple[Outcome, ...] = ()
    missing: str | None = None

    def agrees_with(self, recorded: Recorded) -> bool:
        """Whether a declaration says the same, conditions included."""
        return self.verdict == recorded.verdict and set(self.conditions) == set(recorded.conditions)

    def differs_from(self, other: Observation) -> bool:
        """Whether verdict or conditions are not those of another observation."""
        return (self.verdict, set(self.conditions)) != (other.verdict, set(other.conditions))


def observe(outcomes: Iterable[Outcome], conditions: Sequence[str] = ()) -> Observation:
    """Return the verdict that follows from where a statement was true.

    - false on a case that meets every condition: `refuted` by the first such case;
    - else evidence missing on a case: `undecided`;
    - true on all cases: `holds`, so that a needless condition shows;
    - else `holds-if` those conditions whose violation alone makes the statement false.

    Raises:
        NoVerdictError: if no case meets all conditions, if no case violates only a given one, or if
            the statement fails only where several conditions are violated together.
    """
    outcomes = list(outcomes)
    if all(outcome.violated for outcome in outcomes):
        raise NoVerdictError("no case meets every condition, so nothing was judged")
    for outcome in outcomes:
        if outcome.refutes:
            return Observation(Verdict.REFUTED, counterexample=outcome)
    for outcome in outcomes:
        if outcome.missing is not None:
            return Observation(Verdict.UNDECIDED, missing=outcome.missing)

    needed: dict[str, Outcome] = {}
    for condition in conditions:
        alone = [outcome for outcome in outcomes if outcome.violated == {condition}]
        if not alone:
            raise NoVerdictError(
                f"no case violates only the condition {condition!r}, so whether it is needed "
                "was not judged"
            )
        exception = next((outcome for outcome in alone if outcome.false), None)
        if exception is not None:
            needed[condition] = exception
    for outcome in outcomes:
        if outcome.false and not outcome.violated & needed.keys():
            raise NoVerdictError(
                f"false on {outcome.case!r}, which violates {sorted(outcome.violated)} together, "
                "but on no case that violates one of them alone"
            )
    if not needed:
        return Observation(Verdict.HOLDS)
    return Observation(
        Verdict.HOLDS_IF, conditions=tuple(needed), exceptions=tuple(needed.values())
    )
