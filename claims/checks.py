"""Comparisons for statements: exact where arithmetic is, else with one table of tolerances."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Relative to the largest magnitude in the expected array: a few hundred roundings of the format.
TOLERANCES = {"float64": 1e-12, "float32": 2e-5, "float16": 5e-3}


def same(actual: Array, expected: Array, what: str = "the result") -> None:
    """Assert that two arrays agree in shape and in every value.

    Raises:
        AssertionError: naming the first place at which they differ.
    """
    _same_shape(actual, expected, what)
    differs = ~((actual == expected) | (np.isnan(actual) & np.isnan(expected)))
    _nowhere(differs, actual, expected, what)


def close(actual: Array, expected: Array, what: str = "the result") -> None:
    """Assert that two arrays agree in shape and, to the rounding of their format, in value.

    Raises:
        AssertionError: naming the first place at which they differ.
    """
    _same_shape(actual, expected, what)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    tolerance = TOLERANCES[actual.dtype.name] * scale
    _nowhere(~(np.abs(actual - expected) <= tolerance), actual, expected, what)


def differs(actual: Array, other: Array) -> bool:
    """Whether two arrays of one shape differ beyond the rounding of their format."""
    try:
        close(actual, other)
    except AssertionError:
        return True
    return False


def _same_shape(actual: Array, expected: Array, what: str) -> None:
    assert actual.shape == expected.shape, (
        f"{what} has shape {actual.shape}, expected {expected.shape}"
    )


def _nowhere(differs: npt.NDArray[np.bool_], actual: Array, expected: Array, what: str) -> None:
    if differs.any():
        place = tuple(int(index) for index in np.argwhere(differs)[0])
        raise AssertionError(
            f"{what} is {actual[place]:.6g} at {list(place)}, expected {expected[place]:.6g}"
        )
