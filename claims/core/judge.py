"""Judging: run the statements of a claim on their cases and observe a verdict.

An AssertionError raised by the statement (or by a helper that stands beside it) says that the claim
is false on that case. Anything else that a statement raises is an error, never a verdict.
"""

from __future__ import annotations

import itertools
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claims.core.claim import (
    PROOF,
    Claim,
    Domain,
    Fault,
    Judgement,
    Proof,
    Sample,
    case_json,
    case_label,
)
from claims.core.verdict import (
    InsufficientEvidenceError,
    NoVerdictError,
    Observation,
    Outcome,
    observe,
)

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True)
class Effort:
    """How much is judged: drawn cases, the covering sample or the whole grid, and the seed."""

    drawn: int = 10
    whole_grid: bool = False
    seed: int = 0


QUICK = Effort()


@dataclass
class Judged:
    """What judging a claim gave: the observation, how many cases, numbers worth keeping."""

    observation: Observation
    cases: dict[str, int]
    numbers: dict[str, dict[str, int | float | str]] = field(default_factory=dict)


def judge(
    claim: Claim,
    *,
    effort: Effort = QUICK,
    replaced: Mapping[str, object] | None = None,
    fault: Fault[Any] | None = None,
    faulty: Judgement[Any, Any] | None = None,
) -> Judged:
    """Judge a claim on all its cases.

    `replaced` maps the name of a subject to what stands in for it. `fault` is planted in the
    subject of the judgement `faulty`, and in no other.

    Raises:
        NoVerdictError: if the cases cannot decide the claim.
        Exception: whatever a statement raises that is no AssertionError of its own.
    """
    outcomes: list[Outcome] = []
    counts: dict[str, int] = {}
    numbers: dict[str, dict[str, int | float | str]] = {}
    conditions: dict[str, None] = {}
    for judgement in claim.judgements:
        conditions |= dict.fromkeys(judgement.when)
        name = judgement.subject.name
        subject = replaced[name] if replaced and name in replaced else judgement.subject.value
        if fault is not None and judgement is faulty:
            subject = fault.plant(subject)
        for kind, case, outcome, returned in _outcomes(judgement, subject, effort, claim.id):
            outcomes.append(outcome)
            counts[kind] = counts.get(kind, 0) + 1
            if isinstance(returned, Mapping) and not isinstance(judgement.on, Domain):
                numbers[case_label(case)] = {key: _rounded(returned[key]) for key in returned}
    return Judged(observe(outcomes, tuple(conditions)), counts, numbers)


Judging = Iterator[tuple[str, Any, Outcome, object]]


def _outcomes(
    judgement: Judgement[Any, Any], subject: object, effort: Effort, name: str
) -> Judging:
    on = judgement.on
    if isinstance(on, Proof):
        yield ("proofs", PROOF, *_try(judgement, subject, PROOF))
        return
    if not isinstance(on, Sample):
        for case in on:
            yield ("listed", case, *_try(judgement, subject, case))
        return
    grid = on.grid() if isinstance(on, Domain) and effort.whole_grid else ()
    for case in [*on.covering, *grid]:
        outcome, returned = _try(judgement, subject, case)
        yield "covering", case, outcome, returned
        if outcome.refutes:
            return  # no further case changes that
    if isinstance(on, Domain):
        yield from _drawn(judgement, subject, on.strategy, effort, name)


def _drawn(
    judgement: Judgement[Any, Any],
    subject: object,
    strategy: SearchStrategy[Any],
    effort: Effort,
    name: str,
) -> Judging:
    """Judge cases that Hypothesis draws; a refuting one is shrunk and comes last."""
    from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

    seen: list[tuple[str, Any, Outcome, object]] = []

    class Found(Exception):  # noqa: N818 - ends the search, no error
        pass

    @seed(zlib.crc32(name.encode()) ^ effort.seed)
    @settings(
        max_examples=effort.drawn,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    @given(strategy)
    def search(case: Any) -> None:
        outcome, returned = _try(judgement, subject, case)
        seen.append(("drawn", case, outcome, returned))
        if outcome.refutes:
            raise Found

    try:
        search()
    except Found:
        yield from itertools.takewhile(lambda one: not one[2].refutes, seen)
        yield seen[-1]
    else:
        yield from seen


def _try(judgement: Judgement[Any, Any], subject: object, case: object) -> tuple[Outcome, object]:
    violated = frozenset(name for name, meets in judgement.when.items() if not meets(case))
    outcome = Outcome(case_json(case), violated)
    try:
        returned = judgement.statement(subject, case)
    except InsufficientEvidenceError as lack:
        return replace(outcome, missing=str(lack)), None
    except AssertionError as false:
        if not _own(false, judgement.statement):
            raise NoVerdictError(f"an assertion failed inside what is judged: {false!r}") from false
        return replace(outcome, false=True, message=_message(false)), None
    return outcome, returned


def _own(error: AssertionError, statement: Callable[..., object]) -> bool:
    """Whether the statement, or a module of the same folder, raised the error."""
    raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
    return Path(raised_in).parent == Path(statement.__code__.co_filename).parent


def _message(error: AssertionError) -> str:
    """Return the assertion's own words, or the asserted expression where it has none."""
    if str(error):
        return str(error).splitlines()[0]
    return str(traceback.extract_tb(error.__traceback__)[-1].line).removeprefix("assert ")


def _rounded(value: object) -> int | float | str:
    """Keep six significant digits, so that a rerun elsewhere gives the same number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"a statement returned {value!r}; numbers must be int, float or text")
    return float(f"{value:.6g}") if isinstance(value, float) else value
