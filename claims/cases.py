"""Cases that several topics share: convolutions and feature maps, sizes and numbers drawn together.

Arrays hold small integers, so that linear operations on them are exact in float64. Sizes differ
pairwise wherever they can, so that swapped axes show.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from claims.checks import Array
from claims.core.claim import Domain
from nin_ref.oracle import Pair, output_size

C = TypeVar("C")


def integers(seed: int, *shape: int, low: int = -4, high: int = 4) -> Array:
    """Return an array of whole numbers from low to high, as float64."""
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True).astype(np.float64)


def wide(numbers: Array) -> Array:
    """Scale whole numbers so that float32 would round them; float64 still sums them exactly."""
    return numbers * (2**25 + 1)


def fine(numbers: Array) -> Array:
    """Change whole numbers by a trace that float32 rounds away and float64 still sums exactly."""
    return wide(numbers) / 2**25


@dataclass(frozen=True)
class Convolution:
    """A convolution that fits its input: sizes, options, and the seed of its numbers."""

    batch: int
    in_channels: int
    out_channels: int
    height: int
    width: int
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    seed: int = 0

    @functools.cached_property
    def x(self) -> Array:
        """Input [N, C, H, W]."""
        return integers(self.seed, self.batch, self.in_channels, self.height, self.width)

    @functools.cached_property
    def weight(self) -> Array:
        """Weights [O, C / groups, kh, kw], none of them zero."""
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel)
        numbers = integers(self.seed + 1, *shape)
        return np.where(numbers == 0, 5.0, numbers)

    @functools.cached_property
    def bias(self) -> Array:
        """Biases [O], none of them zero."""
        return integers(self.seed + 2, self.out_channels, low=1, high=9)

    @functools.cached_property
    def output_gradient(self) -> Array:
        """Gradient of a loss by the output [N, O, H', W']."""
        sizes = zip(
            (self.height, self.width),
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        return integers(
            self.seed + 3, self.batch, self.out_channels, *(output_size(*each) for each in sizes)
        )

    @property
    def options(self) -> dict[str, Any]:
        """The options as operators take them."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }


def covering(values: Mapping[str, Sequence[Any]], build: Callable[..., C | None]) -> list[C]:
    """Build cases in which every pair of values of two parameters occurs, if it can.

    `build` takes a value of each parameter and returns None where they do not fit.
    """
    from allpairspy import AllPairs

    names = list(values)
    rows = AllPairs([list(values[name]) for name in names])
    cases = (build(**dict(zip(names, row, strict=True))) for row in rows)
    return [case for case in cases if case is not None]


def convolution(**sizes: Any) -> Convolution | None:
    """Return the convolution of these sizes, or None if its kernel does not fit the input."""
    made = Convolution(**sizes)
    for size, kernel, padding, dilation in zip(
        (made.height, made.width), made.kernel, made.padding, made.dilation, strict=True
    ):
        if size + 2 * padding < dilation * (kernel - 1) + 1:
            return None
    if made.in_channels % made.groups or made.out_channels % made.groups:
        return None
    return made


def grid(values: Mapping[str, Sequence[Any]], build: Callable[..., C | None]) -> Iterable[C]:
    """Build every case of a grid of parameters."""
    for row in itertools.product(*values.values()):
        case = build(**dict(zip(values, row, strict=True)))
        if case is not None:
            yield case


SEEDS = st.integers(0, 2**16)


def sampled(
    described: str,
    build: Callable[..., C | None],
    values: Mapping[str, Sequence[Any]],
    drawn: Mapping[str, st.SearchStrategy[Any]],
) -> Domain[C]:
    """Return cases that `build` makes where it can, else None.

    Parameters take `values` in the covering sample and are `drawn` beyond it.
    """
    return Domain(
        described,
        covering=covering(values, build),
        strategy=st.fixed_dictionaries(dict(drawn))
        .map(lambda sizes: build(**sizes))
        .flatmap(lambda case: st.nothing() if case is None else st.just(case)),
        grid=lambda: grid(values, build),
    )


def convolutions(
    described: str, values: Mapping[str, Sequence[Any]], drawn: Mapping[str, st.SearchStrategy[Any]]
) -> Domain[Convolution]:
    """Return convolutions: `values` of parameters to cover, strategies to draw others from."""
    return sampled(described, convolution, values, {**drawn, "seed": SEEDS})


def pairs(low: int, high: int) -> st.SearchStrategy[Pair]:
    """Draw a (height, width) pair."""
    return st.tuples(st.integers(low, high), st.integers(low, high))


_SIZES: dict[str, Sequence[Any]] = {
    "batch": (1, 2),
    "in_channels": (1, 4, 6),
    "out_channels": (1, 2, 8),
    "height": (3, 5, 1),
    "width": (3, 7),
}
_DRAWN_SIZES = {
    "batch": st.integers(1, 3),
    "in_channels": st.integers(1, 7),
    "out_channels": st.integers(1, 7),
    "height": st.integers(1, 9),
    "width": st.integers(1, 9),
}

POINTWISE = convolutions(
    "1x1 convolutions of 1 to 3 images, 1 to 8 channels, maps up to 9x9",
    _SIZES,
    _DRAWN_SIZES,
)
CONVOLUTIONS = convolutions(
    "convolutions of 1 to 3 images, 1 to 8 channels, maps up to 11x11, kernels up to 4x4, any "
    "stride, padding, dilation and groups that fit",
    {
        "batch": (2, 1),
        "in_channels": (4, 2, 6),
        "out_channels": (2, 6),
        "height": (7, 10),
        "width": (9, 6, 7),
        "kernel": ((3, 2), (1, 1), (2, 4), (3, 3)),
        "stride": ((1, 1), (2, 3), (3, 1)),
        "padding": ((0, 0), (1, 2), (2, 0)),
        "dilation": ((1, 1), (2, 1), (1, 3)),
        "groups": (1, 2),
    },
    {
        **_DRAWN_SIZES,
        "in_channels": st.sampled_from([2, 4, 6]),
        "out_channels": st.sampled_from([2, 4, 6, 8]),
        "height": st.integers(1, 11),
        "width": st.integers(1, 11),
        "kernel": pairs(1, 4),
        "stride": pairs(1, 3),
        "padding": pairs(0, 2),
        "dilation": pairs(1, 3),
        "groups": st.sampled_from([1, 2]),
    },
)
