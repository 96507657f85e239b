"""Shared cases: what the samples cover, and that their numbers keep arithmetic exact."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from claims.cases import (
    CONVOLUTIONS,
    Convolution,
    convolution,
    covering,
    grid,
    integers,
    sampled,
    wide,
)
from nin_ref import oracle

VALUES: dict[str, tuple[Any, ...]] = {"a": (1, 2, 3), "b": ("x", "y"), "c": (0, 1, 2, 3)}


def test_every_pair_of_values_is_covered() -> None:
    rows = covering(VALUES, lambda **row: row)
    assert len(rows) < len(list(grid(VALUES, lambda **row: row))) == 24
    for one, other in itertools.combinations(VALUES, 2):
        seen = {(row[one], row[other]) for row in rows}
        assert seen == set(itertools.product(VALUES[one], VALUES[other]))


def test_what_does_not_fit_is_left_out_everywhere() -> None:
    domain = sampled(
        "sums", lambda a, c: a + c if a >= c else None, {"a": VALUES["a"], "c": VALUES["c"]}, {}
    )
    pairs = [(a, c) for a in VALUES["a"] for c in VALUES["c"] if a >= c]
    assert sorted(domain.grid()) == sorted(a + c for a, c in pairs)
    assert set(domain.covering) <= {a + c for a, c in pairs}


@pytest.mark.parametrize(
    "sizes",
    [
        {"kernel": (4, 1)},
        {"kernel": (1, 5), "padding": (2, 0)},
        {"kernel": (2, 2), "dilation": (3, 1)},
        {"groups": 2},
        {"groups": 3, "in_channels": 6},
    ],
)
def test_a_convolution_that_does_not_fit_is_none(sizes: dict[str, Any]) -> None:
    fitting = {"batch": 1, "in_channels": 3, "out_channels": 4, "height": 3, "width": 4}
    assert convolution(**fitting) is not None
    assert convolution(**fitting | sizes) is None


def test_the_sample_meets_every_option_and_tells_axes_apart() -> None:
    sample = CONVOLUTIONS.covering
    assert all(isinstance(c, Convolution) for c in sample)
    for option in ("kernel", "stride", "padding", "dilation"):
        assert any(getattr(c, option)[0] != getattr(c, option)[1] for c in sample)
    assert any(c.groups > 1 and c.in_channels != c.out_channels for c in sample)
    assert any(c.height != c.width and c.batch > 1 for c in sample)


@settings(max_examples=50, deadline=None)
@given(CONVOLUTIONS.strategy)
def test_arithmetic_on_drawn_convolutions_is_exact(c: Convolution) -> None:
    for x in (c.x, wide(c.x)):
        largest = oracle.conv2d(abs(x), abs(c.weight), c.bias, **c.options).max()
        assert largest < 2**53
        y = oracle.conv2d(x, c.weight, c.bias, **c.options)
        np.testing.assert_array_equal(y, np.round(y))
    assert (c.weight != 0).all()
    assert (c.bias != 0).all()


def test_numbers_are_whole_replay_and_lie_in_their_range() -> None:
    numbers = integers(7, 50, 20, low=-2, high=3)
    np.testing.assert_array_equal(numbers, integers(7, 50, 20, low=-2, high=3))
    assert set(np.unique(numbers)) == {-2.0, -1.0, 0.0, 1.0, 2.0, 3.0}
    assert (integers(8, 50) != integers(7, 50)).any()


def test_float32_rounds_wide_numbers() -> None:
    numbers = wide(np.arange(-4.0, 5.0))
    rounded = numbers.astype(np.float32).astype(np.float64)
    assert (rounded != numbers).sum() == 8
