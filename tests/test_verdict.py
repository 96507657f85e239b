"""The rule that turns outcomes into an observed verdict."""

from __future__ import annotations

import itertools

import pytest

from claims.core.verdict import (
    Holds,
    HoldsIf,
    NoVerdictError,
    Observation,
    Outcome,
    Recorded,
    Refuted,
    Undecided,
    Verdict,
    observe,
)


def outcome(true: bool, *violated: str, missing: str | None = None) -> Outcome:
    false = not true and missing is None
    return Outcome("case", violated=frozenset(violated), false=false, missing=missing)


@pytest.mark.parametrize(
    ("outcomes", "conditions", "verdict", "needed"),
    [
        ([outcome(True)], [], Verdict.HOLDS, ()),
        ([outcome(True), outcome(False)], [], Verdict.REFUTED, ()),
        ([outcome(True), outcome(False, "a")], ["a"], Verdict.HOLDS_IF, ("a",)),
        ([outcome(True), outcome(True, "a")], ["a"], Verdict.HOLDS, ()),
        ([outcome(False), outcome(False, "a")], ["a"], Verdict.REFUTED, ()),
        (
            [outcome(True), outcome(True, "a"), outcome(False, "a"), outcome(False, "b")],
            ["a", "b"],
            Verdict.HOLDS_IF,
            ("a", "b"),
        ),
        (
            [outcome(True), outcome(True, "a"), outcome(False, "b")],
            ["a", "b"],
            Verdict.HOLDS_IF,
            ("b",),
        ),
        (
            [outcome(True), outcome(False, "a"), outcome(False, "b"), outcome(False, "a", "b")],
            ["a", "b"],
            Verdict.HOLDS_IF,
            ("a", "b"),
        ),
        ([outcome(False, missing="runs")], [], Verdict.UNDECIDED, ()),
        ([outcome(True), outcome(False, missing="runs")], [], Verdict.UNDECIDED, ()),
        ([outcome(False, missing="runs"), outcome(False)], [], Verdict.REFUTED, ()),
    ],
)
def test_verdict_follows_from_where_the_statement_was_true(
    outcomes: list[Outcome], conditions: list[str], verdict: Verdict, needed: tuple[str, ...]
) -> None:
    for order in itertools.permutations(outcomes):
        observed = observe(order, conditions)
        assert observed.verdict == verdict
        assert observed.conditions == needed


@pytest.mark.parametrize(
    ("outcomes", "conditions", "says"),
    [
        ([], [], "no case meets every condition"),
        ([outcome(False, "a")], ["a"], "no case meets every condition"),
        ([outcome(True)], ["a"], "no case violates only the condition 'a'"),
        ([outcome(True), outcome(False, "a", "b")], ["a", "b"], "no case violates only"),
        (
            [outcome(True), outcome(True, "a"), outcome(True, "b"), outcome(False, "a", "b")],
            ["a", "b"],
            r"violates \['a', 'b'\] together, but on no case that violates one of them alone",
        ),
    ],
)
def test_cases_that_cannot_decide_give_no_verdict(
    outcomes: list[Outcome], conditions: list[str], says: str
) -> None:
    with pytest.raises(NoVerdictError, match=says):
        observe(outcomes, conditions)


def test_the_first_refuting_case_is_the_counterexample() -> None:
    first = Outcome("first", false=True, message="1")
    second = Outcome("second", false=True, message="2")
    assert observe([outcome(True), first, second]).counterexample is first


def test_each_condition_is_shown_by_a_case_that_violates_it_alone() -> None:
    shown = Outcome("shown", false=True, violated=frozenset({"a"}))
    both = Outcome("both", false=True, violated=frozenset({"a", "b"}))
    outcomes = [both, outcome(True), outcome(False, "b"), shown]
    assert shown in observe(outcomes, ["a", "b"]).exceptions
    assert both not in observe(outcomes, ["a", "b"]).exceptions


OBSERVATIONS = [
    Observation(Verdict.HOLDS),
    Observation(Verdict.HOLDS_IF, ("a",)),
    Observation(Verdict.HOLDS_IF, ("a", "b")),
    Observation(Verdict.REFUTED),
    Observation(Verdict.UNDECIDED),
]
RECORDED: list[Recorded] = [
    Holds(),
    HoldsIf("a"),
    HoldsIf("b", "a"),
    Refuted(instead="x/y"),
    Undecided("time"),
]


def test_observed_and_recorded_agree_only_pairwise() -> None:
    for (i, observed), (j, recorded) in itertools.product(
        enumerate(OBSERVATIONS), enumerate(RECORDED)
    ):
        assert observed.agrees_with(recorded) == (i == j)


def test_observations_differ_unless_verdict_and_conditions_are_the_same() -> None:
    for (i, one), (j, other) in itertools.product(enumerate(OBSERVATIONS), repeat=2):
        assert one.differs_from(other) == (i != j)


def test_holds_if_needs_a_condition() -> None:
    with pytest.raises(ValueError, match="needs at least one condition"):
        HoldsIf()
