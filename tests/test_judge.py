"""Judging in one process: draws, numbers, replays, digests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st

from claims.core.claim import PROOF, Claim, Domain, Fault, Sample, Subject, case_json, case_label
from claims.core.judge import Effort, judge
from claims.core.results import entry, source_digest
from claims.core.verdict import Holds, InsufficientEvidenceError, Outcome, Verdict


@dataclass(frozen=True)
class Size:
    """Two sizes and a pair."""

    height: int
    width: int = 1
    stride: tuple[int, int] = (1, 1)


SEEN: list[Any] = []
NOTHING: Subject[list[Any]] = Subject("nothing", lambda: SEEN)
SIZES = Domain(
    "sizes",
    strategy=st.builds(Size, st.integers(1, 10**6)),
    covering=[Size(2, 3), Size(4, 5)],
    grid=lambda: [Size(height) for height in range(1, 8)],
)


@pytest.fixture(autouse=True)
def forget() -> None:
    SEEN.clear()


def a_claim(name: str = "sizes/are-seen") -> Claim:
    return Claim(name, says="Sizes are seen.", cites=["x:1"], recorded=Holds())


def seeing(claim: Claim, on: Any = SIZES, result: object = None) -> Claim:
    @claim.judged(subject=NOTHING, on=on)
    def statement(seen: list[Any], case: Any) -> object:
        seen.append(case)
        return result

    return claim


def drawn(claim: Claim, effort: Effort) -> list[Any]:
    SEEN.clear()
    judge(claim, effort=effort)
    return list(SEEN)


def test_the_sample_comes_first_and_then_the_drawn_cases() -> None:
    judged = judge(seeing(a_claim()))
    assert judged.cases == {"covering": 2, "drawn": 10}
    assert SEEN[:2] == list(SIZES.covering)
    assert len(set(SEEN[2:])) > 5


def test_a_soak_adds_the_grid_and_draws_more() -> None:
    judged = judge(seeing(a_claim()), effort=Effort(drawn=50, whole_grid=True, seed=1))
    assert judged.cases == {"covering": 9, "drawn": 50}


def test_draws_depend_on_claim_and_seed_alone() -> None:
    one, other = seeing(a_claim()), seeing(a_claim("sizes/are-seen-again"))
    assert drawn(one, Effort()) == drawn(seeing(a_claim()), Effort())
    assert drawn(one, Effort()) != drawn(other, Effort())
    assert drawn(one, Effort()) != drawn(one, Effort(seed=1))


def test_numbers_of_listed_cases_are_kept_with_six_digits() -> None:
    numbers = {"share": 1 / 3, "count": 10**9 + 1, "unit": "MB"}
    judged = judge(seeing(a_claim(), [Size(2), Size(3, 4)], numbers))
    expected = {"share": 0.333333, "count": 10**9 + 1, "unit": "MB"}
    assert judged.numbers == {"height=2": expected, "height=3, width=4": expected}
    assert judge(seeing(a_claim(), SIZES, numbers)).numbers == {}


@pytest.mark.parametrize("number", [None, True, [1], 1j])
def test_a_number_is_a_number_or_text(number: object) -> None:
    with pytest.raises(TypeError, match="numbers must be int, float or text"):
        judge(seeing(a_claim(), [1], {"n": number}))


@pytest.mark.parametrize(
    ("case", "json", "label"),
    [
        (3, 3, "3"),
        ("vgg16", "vgg16", "vgg16"),
        ((1, (2, 3)), [1, [2, 3]], "(1, [2, 3])"),
        (Size(2, 3, (1, 2)), {"height": 2, "width": 3, "stride": [1, 2]}, None),
        (Size(2), {"height": 2}, "height=2"),
        (PROOF, "for all sizes", "for all sizes"),
    ],
)
def test_a_case_is_told_as_json(case: object, json: object, label: str | None) -> None:
    assert case_json(case) == json
    if label is not None:
        assert case_label(case) == label


def test_a_case_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="a case must be a dataclass, a number or text, not set"):
        case_json({1})


@pytest.mark.parametrize(
    ("on", "case"),
    [
        (SIZES, Size(7, 3, (2, 1))),
        (SIZES, Size(7)),
        ([1, 2], 2),
        ([(1, 2), (2, 1)], (2, 1)),
        (PROOF, PROOF),
    ],
)
def test_a_case_comes_back_from_its_json_and_is_checked(on: Any, case: object) -> None:
    claim = seeing(a_claim(), on)
    assert claim.case(case_json(case)) == case
    claim.check(claim.case(case_json(case)))
    assert [case] == SEEN


@pytest.mark.parametrize(
    "json", [{"width": 1}, {"height": 1, "depth": 1}, 3, None, "for all sizes"]
)
def test_json_that_is_no_case_is_refused(json: object) -> None:
    with pytest.raises(ValueError, match=r"sizes/are-seen has no case"):
        seeing(a_claim()).case(json)


def test_every_judgement_that_has_the_case_checks_it() -> None:
    claim = seeing(seeing(a_claim(), [1, 2]), [2, 3])
    claim.check(2)
    assert SEEN == [2, 2]
    SEEN.clear()
    claim = seeing(seeing(seeing(a_claim(), Sample("a text", ["x"])), Sample("one", [1])), SIZES)
    seeing(seeing(claim, Sample("five", [5])), [2]).check(2)
    assert SEEN == [2, 2, 2]


def test_a_stand_in_takes_the_place_of_the_subject() -> None:
    other: list[Any] = []
    claim = seeing(a_claim(), [1])
    judge(claim, replaced={"nothing": other})
    claim.check(1, {"nothing": other})
    assert other == [1, 1]
    assert SEEN == []


def test_a_fault_is_planted_in_one_judgement_only() -> None:
    claim = seeing(seeing(a_claim(), [1]), [2])
    planted: list[Any] = []

    def plant(seen: list[Any]) -> list[Any]:
        assert seen is SEEN
        return planted

    fault = Fault("elsewhere", plant)
    judge(claim, fault=fault, faulty=claim.judgements[1])
    assert (SEEN, planted) == ([1], [2])


def test_a_proof_argues_for_all_sizes_at_once() -> None:
    assert judge(seeing(a_claim(), PROOF)).cases == {"proofs": 1}
    assert SEEN == [PROOF]


def refuted(when: Any = None) -> tuple[Claim, list[int]]:
    """Return a claim that is false of sizes above 20, and the heights that it has been asked."""
    claim, asked = a_claim(), []

    @claim.judged(subject=NOTHING, on=SIZES, when=when)
    def low(_: list[Any], c: Size) -> None:
        asked.append(c.height)
        assert c.height <= 20, f"{c.height} is high"

    return claim, asked


def test_a_drawn_counterexample_is_made_small_and_ends_the_search() -> None:
    claim, asked = refuted()
    found = judge(claim)
    shown = found.observation.counterexample
    assert shown == Outcome({"height": 21}, false=True, message="21 is high")
    first = next(number for number, height in enumerate(asked) if height > 20)
    assert found.cases == {"covering": 2, "drawn": first - 1}


def test_a_condition_that_excuses_every_failure_lets_the_search_go_on() -> None:
    found = judge(refuted({"low": lambda c: c.height <= 20})[0])
    assert found.cases == {"covering": 2, "drawn": 10}
    assert found.observation.verdict == "holds-if"


@pytest.mark.parametrize(
    ("cases", "judged", "verdict"), [([1, 9, 2], 2, "refuted"), ([1, 5, 9, 2], 3, "refuted")]
)
def test_a_sample_is_judged_up_to_the_first_counterexample(
    cases: list[int], judged: int, verdict: str
) -> None:
    claim = a_claim()

    @claim.judged(subject=NOTHING, on=Sample("some", cases), when={"not 5": lambda n: n != 5})
    def small(_: list[Any], n: int) -> None:
        assert n < 5

    found = judge(claim)
    assert (found.cases, found.observation.verdict) == ({"covering": judged}, verdict)


def test_missing_evidence_does_not_hide_a_counterexample() -> None:
    claim = a_claim()

    @claim.judged(subject=NOTHING, on=Sample("some", [1, 2, 3]))
    def known(_: list[Any], n: int) -> None:
        if n == 1:
            raise InsufficientEvidenceError("no run of 1")
        assert n == 2

    found = judge(claim)
    assert found.cases == {"covering": 3}
    assert found.observation.verdict == "refuted"


def test_the_strongest_grade_counts() -> None:
    assert seeing(a_claim(), [1]).grade == "exhaustive"
    assert seeing(a_claim()).grade == "property"
    assert seeing(seeing(a_claim()), PROOF).grade == "proved"


def test_an_entry_tells_what_was_judged() -> None:
    claim = seeing(a_claim(), [Size(2)])
    made = entry(claim, judge(claim), ["hypothesis"])
    assert made["observed"] == Verdict.HOLDS
    assert made["cases"] == {"listed": 1}
    assert made["domain"] == "nothing: height=2"
    assert set(made["versions"]) == {"python", "hypothesis"}


def with_statement(statement: Callable[[list[Any], int], object]) -> str:
    claim = a_claim()
    claim.judged(subject=NOTHING, on=[1])(statement)
    return source_digest(claim)


def test_the_digest_is_of_the_whole_statement_and_not_of_its_place() -> None:
    def in_a_function() -> Callable[[list[Any], int], object]:
        def plain(_: list[Any], n: int) -> None:
            assert n == 1

        return plain

    def in_a_block() -> Callable[[list[Any], int], object]:
        if SIZES:

            def plain(_: list[Any], n: int) -> None:
                assert n == 1

        return plain

    def with_another_end(
        _: list[Any],
        n: int,
    ) -> None:
        assert n

        assert n == 1

    first = with_statement(in_a_function())
    assert with_statement(in_a_block()) == first
    other = with_statement(with_another_end)

    def with_another_end(  # type: ignore[no-redef]
        _: list[Any],
        n: int,
    ) -> None:
        assert n

        assert n == 2

    assert len({first, other, with_statement(with_another_end)}) == 3


def test_a_sample_without_a_strategy_is_judged_as_it_is() -> None:
    sample = Sample("pairs of a few sizes", [(1, 2), (3, 4)])
    claim = seeing(a_claim(), sample)
    judged = judge(claim, effort=Effort(drawn=50, whole_grid=True, seed=1))
    assert judged.cases == {"covering": 2}
    assert claim.grade == "property"
    SEEN.clear()
    claim.check(claim.case([5, 6]))
    assert SEEN == [(5, 6)]
    with pytest.raises(ValueError, match="has no case 7"):
        claim.case(7)
