"""Comparisons: what passes, what fails, and what a failure says."""

from __future__ import annotations

import numpy as np
import pytest

from claims.checks import close, differs, same

X = np.arange(6.0).reshape(2, 3)


def test_equal_arrays_are_the_same() -> None:
    same(X, X.copy())
    same(np.array([np.nan]), np.array([np.nan]))


@pytest.mark.parametrize("compare", [same, close])
@pytest.mark.parametrize(
    ("actual", "says"),
    [
        (X.T, r"it has shape \(3, 2\), expected \(2, 3\)"),
        (X[:, :, None], r"it has shape \(2, 3, 1\)"),
        (X + np.eye(2, 3, 1), r"it is 2 at \[0, 1\], expected 1"),
        (np.where(X == 4, np.nan, X), r"it is nan at \[1, 1\], expected 4"),
        (np.where(X == 4, np.inf, X), r"it is inf at \[1, 1\], expected 4"),
    ],
)
def test_a_difference_is_named(compare: object, actual: object, says: str) -> None:
    assert callable(compare)
    with pytest.raises(AssertionError, match=says):
        compare(actual, X, "it")


def test_rounding_is_close_and_not_the_same() -> None:
    rounded = X * (1 + 1e-15)
    close(rounded, X)
    with pytest.raises(AssertionError):
        same(rounded, X)


@pytest.mark.parametrize(("kind", "error"), [("float64", 1e-10), ("float32", 1e-3)])
def test_more_than_rounding_is_not_close(kind: str, error: float) -> None:
    x = X.astype(kind)
    assert differs(x + np.asarray(error, kind), x)
    assert not differs(x, x)
