"""Claims, what they are about, the cases they are judged on, and the faults that flip them."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from claims.core.verdict import Grade, Recorded, Verdict

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

S = TypeVar("S")
C = TypeVar("C")
Statement = TypeVar("Statement", bound=Callable[..., object])

Cost = Literal["quick", "cpu", "slow"]
COSTS: tuple[Cost, ...] = ("quick", "cpu", "slow")


@dataclass(frozen=True)
class Subject(Generic[S]):
    """One kind of thing that statements are about.

    `build` makes it; it is called once a process. `grade`, where given, is the grade of evidence
    that such a subject yields whatever the cases are (a count on a real model, a cited fact).
    """

    name: str
    build: Callable[[], S]
    grade: Grade | None = None

    @functools.cached_property
    def value(self) -> S:
        """The subject itself, built on first use."""
        return self.build()


@dataclass(frozen=True)
class Fault(Generic[S]):
    """A changed subject: a planted fault, or a world in which the document would be right.

    `plant` takes the subject and returns the changed one, leaving the original as it was.
    """

    name: str
    plant: Callable[[S], S]


class Proof:
    """The one case of a statement that is proved: it argues for all sizes at once."""

    def __repr__(self) -> str:
        return "for all sizes"


PROOF = Proof()


@dataclass(frozen=True)
class Sample(Generic[C]):
    """Some cases of a larger domain, unlike a list, which claims to be the whole one.

    `described` says what is in the domain, for a reader of the verdicts.
    """

    described: str
    covering: Sequence[C]


@dataclass(frozen=True)
class Domain(Sample[C]):
    """A covering sample that is always judged, and a strategy to draw further cases from.

    `grid` gives all cases of the small grid that `covering` covers; only a soak judges all of it.
    """

    strategy: SearchStrategy[C]
    grid: Callable[[], Iterable[C]] = field(default=lambda: ())


@dataclass(frozen=True)
class Judgement(Generic[S, C]):
    """A statement, the subject it is about, and the cases it is judged on."""

    statement: Callable[[S, C], object]
    subject: Subject[S]
    on: Sequence[C] | Sample[C] | Proof
    when: Mapping[str, Callable[[C], bool]]
    flipped_by: tuple[Fault[S], ...]

    @property
    def grade(self) -> Grade:
        """The grade of evidence that the cases give."""
        if isinstance(self.on, Proof):
            return Grade.PROVED
        if self.subject.grade is not None:
            return self.subject.grade
        return Grade.PROPERTY if isinstance(self.on, Sample) else Grade.EXHAUSTIVE

    @property
    def domain(self) -> str:
        """What the statement was judged on, in words."""
        if isinstance(self.on, Proof):
            return "all sizes, by proof"
        if isinstance(self.on, Sample):
            return self.on.described
        cases = [case_label(case) for case in self.on]
        listed = ", ".join(cases) if len(", ".join(cases)) <= 100 else f"{cases[0]} to {cases[-1]}"
        return f"{self.subject.name}: {listed}"


class Claim:
    """One checkable statement of a document, in our own words, with its recorded verdict.

    `id` reads `topic/what-it-says`. `cites` are places in documents. `reading_of` ties the readings
    of an ambiguous sentence together by a common name. `cost` says where it is judged: `quick`
    (under half a second), `cpu` (seconds), `slow` (training).
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - a claim's id is called that everywhere
        *,
        says: str,
        cites: Sequence[str],
        recorded: Recorded,
        reading_of: str | None = None,
        renamed_from: str | None = None,
        cost: Cost = "quick",
    ) -> None:
        if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9.-]+", id):
            raise ValueError(f"claim id {id!r} must read topic/what-it-says in lower case")
        if not says.strip():
            raise ValueError(f"{id}: says must state the claim")
        if isinstance(cites, str) or not cites:
            raise ValueError(f"{id}: cites must list at least one place in a document")
        if cost not in COSTS:
            raise ValueError(f"{id}: cost must be one of {', '.join(COSTS)}, not {cost!r}")
        self.id = id
        self.says = says
        self.cites = tuple(cites)
        self.recorded = recorded
        self.reading_of = reading_of
        self.renamed_from = renamed_from
        self.cost: Cost = cost
        self.judgements: list[Judgement[Any, Any]] = []

    def judged(
        self,
        *,
        subject: Subject[S],
        on: Sequence[C] | Sample[C] | Proof,
        when: Mapping[str, Callable[[C], bool]] | None = None,
        flipped_by: Sequence[Fault[S]] = (),
    ) -> Callable[[Callable[[S, C], object]], Callable[[S, C], object]]:
        """Judge the claim by the decorated statement on each of the cases.

        The statement raises AssertionError where the claim is false and may return a mapping of
        numbers worth keeping. `when` names conditions as predicates on cases. `flipped_by` lists
        faults under which the observed verdict must differ.
        """

        def declare(statement: Callable[[S, C], object]) -> Callable[[S, C], object]:
            self.judgements.append(
                Judgement(statement, subject, on, dict(when or {}), tuple(flipped_by))
            )
            return statement

        return declare

    @property
    def grade(self) -> Grade:
        """The strongest grade among the claim's judgements."""
        order = list(Grade)
        return min((judgement.grade for judgement in self.judgements), key=order.index)

    def case(self, json: object) -> Any:
        """Return the case that `json` describes, as verdicts and failures print it.

        Raises:
            ValueError: if no judgement of this claim has such a case.
        """
        return self._matching(json)[0][1]

    def check(self, case: object, replaced: Mapping[str, object] | None = None) -> None:
        """Judge the claim on one case; `replaced` maps names of subjects to stand-ins.

        Raises:
            AssertionError: if the claim is false on this case.
            ValueError: if no judgement of this claim has such a case.
        """
        for judgement, found in self._matching(case_json(case)):
            name = judgement.subject.name
            subject = replaced[name] if replaced and name in replaced else judgement.subject.value
            judgement.statement(subject, found)

    def _matching(self, json: object) -> list[tuple[Judgement[Any, Any], Any]]:
        found = []
        for judgement in self.judgements:
            on = judgement.on
            if isinstance(on, Sample):
                kind = type(on.covering[0])
                if not dataclasses.is_dataclass(kind):
                    value = _untuple(json)
                    found += [(judgement, value)] if isinstance(value, kind) else []
                    continue
                fields = [one for one in dataclasses.fields(kind) if one.init]
                needed = {one.name for one in fields if one.default is dataclasses.MISSING}
                known = {one.name for one in fields}
                if isinstance(json, dict) and needed <= json.keys() <= known:
                    values = {name: _untuple(value) for name, value in json.items()}
                    found.append((judgement, kind(**values)))
            else:
                listed: Sequence[Any] = (PROOF,) if isinstance(on, Proof) else on
                found += [(judgement, case) for case in listed if case_json(case) == json]
        if not found:
            raise ValueError(f"{self.id} has no case {json!r}")
        return found

    def problems(self) -> list[str]:
        """Say what is inconsistent in the declaration, a sentence each."""
        found = []
        conditions = {name for judgement in self.judgements for name in judgement.when}
        if missing := set(self.recorded.conditions) - conditions:
            found.append(f"records conditions that no judgement defines: {sorted(missing)}")
        if not self.judgements:
            found.append("has no judgement")
        if self.recorded.verdict != Verdict.UNDECIDED and not any(
            judgement.flipped_by for judgement in self.judgements
        ):
            found.append("is decided but nothing is declared to flip it")
        return [f"{self.id} {problem}" for problem in found]


def case_json(case: object) -> Any:
    """Return a case as JSON: numbers and text as they are, a dataclass without its defaults."""
    if isinstance(case, Proof):
        return repr(case)
    if dataclasses.is_dataclass(case) and not isinstance(case, type):
        return {
            one.name: case_json(getattr(case, one.name))
            for one in dataclasses.fields(case)
            if one.init and getattr(case, one.name) != one.default
        }
    if isinstance(case, tuple | list):
        return [case_json(part) for part in case]
    if case is None or isinstance(case, bool | int | float | str):
        return case
    raise TypeError(f"a case must be a dataclass, a number or text, not {type(case).__name__}")


def case_label(case: object) -> str:
    """Return a short name of a case for a list of cases and for the keys of its numbers."""
    json = case_json(case)
    if isinstance(json, dict):
        return str(json.get("name", ", ".join(f"{name}={value}" for name, value in json.items())))
    return f"({', '.join(map(str, json))})" if isinstance(json, list) else str(json)


def _untuple(value: object) -> object:
    return tuple(_untuple(part) for part in value) if isinstance(value, list) else value
