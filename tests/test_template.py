"""The template that users copy: it does what it offers, and offers less than everything."""

from __future__ import annotations

import numpy as np
import pytest

from claims.cases import CONVOLUTIONS, Convolution
from nin_ref import oracle
from nin_ref.operators import OPERATORS
from nin_ref.template import Mine


@pytest.mark.parametrize("c", CONVOLUTIONS.covering, ids=repr)
def test_its_convolution_is_right(c: Convolution) -> None:
    expected = oracle.conv2d(c.x, c.weight, c.bias, **c.options)
    np.testing.assert_array_equal(Mine().conv2d(c.x, c.weight, c.bias, **c.options), expected)


def test_it_offers_some_operators_only() -> None:
    offered = {name for name in OPERATORS if hasattr(Mine, name)}
    assert offered == {"relu", "conv2d"}
