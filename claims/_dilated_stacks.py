"""Stacks of dilated convolutions: which pixels they read, proofs about it, and what they can learn.

A stack is a chain of convolutions of stride 1. Seen from one output, a layer of rate r reads at
multiples of r, and the stack at sums of these: one from each layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims.checks import Array
from claims.core.claim import Fault, Sample, Subject
from claims.faults import operators as faults
from claims.faults.formulas import layer
from claims.subjects import Layers
from nin_ref import counting
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    import torch
    from torch import nn

# What a stack reads -------------------------------------------------------------------------------


def equivalent_kernel(
    ops: Operators, rates: Sequence[Pair], weights: Sequence[Array] | None = None
) -> Array:
    """Return the one kernel [H, W] that does what a stack of layers with one channel does.

    `weights` [kh, kw] of the layers are ones of size 3x3 unless they are given. It is read off the
    response to one bright pixel, which is the kernel backwards.
    """
    response = np.ones((1, 1, 1, 1))
    for number, (down, across) in enumerate(rates):
        weight = np.ones((3, 3)) if weights is None else weights[number]
        rows, columns = weight.shape
        padding = (down * (rows - 1), across * (columns - 1))
        response = ops.conv2d(
            response, weight[None, None], padding=padding, dilation=(down, across)
        )
    return response[0, 0, ::-1, ::-1]


def square(rates: Sequence[int]) -> list[Pair]:
    """Return the rates of layers that have the same rate for height and width."""
    return [(rate, rate) for rate in rates]


def pixels_seen(layers: Layers, rates: Sequence[int]) -> Array:
    """Return by autograd which pixels [H, W] one output of real layers depends on."""
    stack = layers.Sequential(*(layers.Conv2d(1, 1, 3, dilation=rate) for rate in rates))
    side = 2 * sum(rates) + 1
    return counting.gradient_support(stack, (1, 1, side, side), output_position=(0, 0))


SAWTOOTH = (1, 2, 5, 1, 2, 5)
LARGEST = 9


@dataclass(frozen=True)
class Triples:
    """All stacks of three layers with this first rate, the others up to 9, and kernels this wide.

    Where they are `rising`, only those in which no rate is smaller than the one before.
    """

    first: int
    kernel: int = 3
    rising: bool = False

    @property
    def rates(self) -> list[tuple[int, int, int]]:
        """The rates of each stack."""
        largest = range(1, LARGEST + 1)
        triples = ((self.first, second, third) for second in largest for third in largest)
        return [one for one in triples if not self.rising or list(one) == sorted(one)]

    def field(self, rates: Sequence[int]) -> int:
        """Return the side of the field of a stack, holes included."""
        return (self.kernel - 1) * sum(rates) + 1


TRIPLES = Sample(
    f"stacks of three 3-wide layers of all rates up to {LARGEST}, by the rate of the first",
    [Triples(first) for first in range(1, LARGEST + 1)],
)


def places_read(ops: Operators, c: Triples) -> dict[tuple[int, int, int], list[int]]:
    """Return the places along an axis that an output of each stack reads, ascending from 0.

    They are read off the response to one bright pixel, which spreads backwards, rate after rate.
    """
    longest = c.field((c.first, LARGEST, LARGEST))

    def spread(maps: Array, rate: int) -> Array:
        weight, reach = np.ones((1, 1, 1, c.kernel)), rate * (c.kernel - 1)
        padded = ops.conv2d(maps, weight, padding=(0, reach), dilation=(1, rate))
        return padded[..., :longest]

    pixel = np.zeros((1, 1, 1, longest))
    pixel[..., 0] = 1
    rates = range(1, LARGEST + 1)
    two_layers = np.concatenate([spread(spread(pixel, c.first), rate) for rate in rates])
    three_layers = np.stack([spread(two_layers, rate) for rate in rates], axis=1)
    return {
        rates: np.flatnonzero(three_layers[rates[1] - 1, rates[2] - 1]).tolist()
        for rates in c.rates
    }


def no_hole(c: Triples, rates: Sequence[int], places: list[int]) -> bool:
    """Whether a stack reads all places of its field."""
    return places == list(range(c.field(rates)))


def told(c: Triples, rates: Sequence[int], places: list[int]) -> str:
    """Say how many of the pixels in its field a stack reads."""
    return f"rates {list(rates)} read {len(places)} of {c.field(rates)} pixels along an axis"


dilation_left_out = layer(
    "dilation left out", "Conv2d", lambda f, *sizes, dilation=1, **options: f(*sizes, **options)
)
stride_for_dilation = layer(
    "stride in place of dilation",
    "Conv2d",
    lambda f, *sizes, dilation=1, **options: f(*sizes, stride=dilation, **options),
)


def _at_rates(change: Callable[[Pair], Pair]) -> Callable[..., Array]:
    """Return a change of `conv2d` to other rates, under which the output keeps its size."""

    def convolve(
        right: Callable[..., Array], x: Array, w: Array, b: Array | None = None, **options: Any
    ) -> Array:
        rates = options.get("dilation", (1, 1))
        others = change(rates)
        margins = [
            (0, max(0, (taps - 1) * (other - rate)))
            for taps, rate, other in zip(w.shape[2:], rates, others, strict=True)
        ]
        y = right(np.pad(x, [(0, 0), (0, 0), *margins]), w, b, **options | {"dilation": others})
        rows, columns = right(x, w, b, **options).shape[2:]
        return y[:, :, :rows, :columns].copy()

    return convolve


dilation_swapped = faults.wrong(
    "rates of height and width swapped", "conv2d", _at_rates(lambda rates: rates[::-1])
)
rate_counts_holes = faults.wrong(
    "rate counts the holes", "conv2d", _at_rates(lambda rates: (rates[0] + 1, rates[1] + 1))
)
rates_doubled = faults.wrong(
    "rates doubled", "conv2d", _at_rates(lambda rates: (2 * rates[0], 2 * rates[1]))
)
rate_one_less = faults.wrong(
    "rate one less",
    "conv2d",
    _at_rates(lambda rates: (max(1, rates[0] - 1), max(1, rates[1] - 1))),
)


def _filled(
    right: Callable[..., Array], x: Array, w: Array, b: Array | None = None, **options: Any
) -> Array:
    down, across = options.pop("dilation", (1, 1))
    rows, columns = w.shape[2:]
    beside = np.ix_(
        np.arange((rows - 1) * down + 1) // down, np.arange((columns - 1) * across + 1) // across
    )
    return right(x, w[:, :, *beside], b, **options)


holes_filled = faults.wrong("holes filled with the weights beside them", "conv2d", _filled)

# Proofs -------------------------------------------------------------------------------------------

Taps = Callable[[Any], tuple[Any, ...]]

TAPS: Subject[Taps] = Subject("taps of a 3-wide kernel", lambda: lambda rate: (-rate, 0, rate))


def taps_at(name: str, taps: Taps) -> Fault[Taps]:
    """Return a world in which a layer reads at other places, given its rate."""
    return Fault(name, lambda _: taps)


beside_the_centre = taps_at("the next pixel is read too", lambda rate: (-rate, 0, 1, rate))
holes_counted = taps_at("rate counts the holes", lambda rate: (-rate - 1, 0, rate + 1))
no_holes = taps_at("taps side by side", lambda _: (-1, 0, 1))


def in_rates(taps: Taps) -> list[int]:
    """Return where the taps lie, counted in rates, and assert that these are whole numbers."""
    import sympy

    rate = sympy.Symbol("rate", integer=True, positive=True)
    places = [sympy.simplify(tap / rate) for tap in map(sympy.sympify, taps(rate))]
    for place in places:
        assert place.is_Integer, f"a layer reads at {place * rate}, no multiple of its rate"
    return [int(place) for place in places]


def assert_proved(statement: Any, *assumed: Any, what: str) -> None:
    """Assert by z3 that a statement follows from assumptions."""
    import z3

    solver = z3.Solver()
    solver.add(*assumed, z3.Not(statement))
    result = solver.check()
    assert result == z3.unsat, (
        f"{what}: not for {solver.model()}" if result == z3.sat else f"{what}: no proof"
    )


# What a stack learns ------------------------------------------------------------------------------

STEPS, CHANNELS = 150, 8
SMALL, LARGE = 4, 21


def centre(maps: torch.Tensor, side: int) -> torch.Tensor:
    """Cut the middle out of maps [..., H, W]."""
    top, left = ((size - side) // 2 for size in maps.shape[-2:])
    return maps[..., top : top + side, left : left + side]


def trained(
    layers: Layers,
    rates: Sequence[int],
    seed: int,
    draw: Callable[[int], tuple[torch.Tensor, torch.Tensor]],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Train 3x3 layers of these rates with ReLUs, and a 1x1 layer with one output behind them.

    `draw` gives so many images [N, 1, H, W] and what is wanted of the middle of their outputs,
    [N, h, w]. Returns the outputs for new images and what is wanted of these.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        chain: list[nn.Module] = []
        for number, rate in enumerate(rates):
            chain.append(layers.Conv2d(CHANNELS if number else 1, CHANNELS, 3, dilation=rate))
            chain.append(layers.ReLU())
        stack = layers.Sequential(*chain, layers.Conv2d(CHANNELS, 1, 1)).double()
        optimiser = torch.optim.Adam(stack.parameters(), lr=1e-2)
        for _ in range(STEPS):
            images, wanted = draw(4)
            optimiser.zero_grad()
            loss(centre(stack(images)[:, 0], wanted.shape[-1]), wanted).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        images, wanted = draw(24)
    with torch.no_grad():
        return centre(stack(images)[:, 0], wanted.shape[-1]), wanted


@dataclass(frozen=True)
class Neighbour:
    """To tell from white noise, at each pixel, the pixel so many columns to the right of it."""

    rates: tuple[int, ...]
    offset: int
    seed: int


def neighbour_error(layers: Layers, c: Neighbour) -> float:
    """Train a stack for the task; return its squared error on new noise, as a share of guessing's.

    Guessing 0, the mean, has the variance as its error, and nothing does better that sees
    independent pixels only.
    """
    import torch

    def draw(images: int) -> tuple[torch.Tensor, torch.Tensor]:
        noise = torch.randn(images, 1, *2 * [16 + 2 * sum(c.rates)], dtype=torch.float64)
        return noise, centre(noise.roll(-c.offset, dims=3)[:, 0], 16)

    outputs, wanted = trained(layers, c.rates, c.seed, draw, torch.nn.functional.mse_loss)
    return float((outputs - wanted).square().mean() / wanted.square().mean())


@dataclass(frozen=True)
class Objects:
    """To find squares, one large and some small in an image, by their brightness under noise."""

    rates: tuple[int, ...]
    seed: int


def objects_told_apart(layers: Layers, c: Objects) -> tuple[float, float]:
    """Train a stack for the task; return how well it tells small objects, and large ones.

    That is the share of pairs, of a pixel of such an object and one of the background, in which
    the former has the higher score: one half by chance. Brightness 1 and noise of deviation 1 make
    it 0.76 for the best score that sees one pixel of the object.
    """
    import torch

    side = 48

    def draw(images: int) -> tuple[torch.Tensor, torch.Tensor]:
        sizes = torch.zeros(images, side, side, dtype=torch.long)
        for image in sizes:
            for size in [LARGE] + 12 * [SMALL]:
                top, left = torch.randint(0, side - size + 1, (2,)).tolist()
                around = image[max(top - 1, 0) : top + size + 1, max(left - 1, 0) : left + size + 1]
                if not around.any():
                    image[top : top + size, left : left + size] = size
        noise = torch.randn(images, 1, side, side, dtype=torch.float64)
        return noise + (sizes > 0)[:, None], centre(sizes, 18)

    def loss(scores: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        found = (sizes > 0).double()
        return torch.nn.functional.binary_cross_entropy_with_logits(scores, found)

    scores, sizes = trained(layers, c.rates, c.seed, draw, loss)
    of_background = scores[sizes == 0].sort().values
    small, large = (
        float(torch.searchsorted(of_background, scores[sizes == size]).double().mean())
        / len(of_background)
        for size in (SMALL, LARGE)
    )
    return small, large
