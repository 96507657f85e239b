"""The committed runs: rules applied to a pair of arms that are the same."""

from __future__ import annotations

import dataclasses

import pytest

from claims.subjects import Evidence
from claims.training import rules, runs
from claims.training.arms import ARMS
from claims.training.rules import Differs, Lower, Rule

PAIR = ONE, OTHER = "handwritten-short", "handwritten-again-short"


def test_the_arms_of_the_pair_differ_in_their_random_numbers_alone() -> None:
    one, other = (ARMS[name].recipe for name in PAIR)
    assert one != other == dataclasses.replace(one, stream=1)


@pytest.mark.parametrize("quantity", ["test error", "generalisation gap", "training error"])
@pytest.mark.parametrize(
    "rule",
    [Lower(ONE, OTHER, 0.0), Lower(OTHER, ONE, 0.0), Differs(ONE, OTHER, 0.01)],
    ids=["lower", "higher", "differs"],
)
def test_two_copies_of_an_arm_are_not_told_apart(rule: Rule, quantity: str) -> None:
    """Written before the runs; that a true rule errs here has a chance of a few per cent."""
    assert isinstance(rule, Lower | Differs)
    rule = dataclasses.replace(rule, quantity=quantity, seeds=3)
    values = Evidence(runs.RESULTS).values({quantity: PAIR})
    assert {arm: sorted(by_seed) for arm, by_seed in values[quantity].items()} == {
        arm: [0, 1, 2] for arm in PAIR
    }
    assert rules.decide(rule, values).outcome == "undecided"
