"""Gridding: what stacked dilated convolutions of one rate read, and what they leave out.

Document 003 (lines 40 to 43).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from claims._dilated_stacks import (
    TAPS,
    Neighbour,
    Taps,
    assert_proved,
    beside_the_centre,
    dilation_left_out,
    dilation_swapped,
    equivalent_kernel,
    holes_counted,
    in_rates,
    neighbour_error,
    no_holes,
    pixels_seen,
    rate_counts_holes,
    rate_one_less,
    square,
    stride_for_dilation,
    taps_at,
)
from claims.cases import integers
from claims.checks import Array, same
from claims.core.claim import PROOF, Claim, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import operators as faults
from claims.faults.formulas import layer
from claims.subjects import (
    LAYERS,
    OPERATORS,
    Layers,
)
from nin_ref import oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

# Stacks -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stack:
    """Layers with one channel and weights of one seed, which may all be alike."""

    rates: tuple[Pair, ...]
    kernel: Pair = (3, 3)
    seed: int = 0
    alike: bool = False

    @functools.cached_property
    def weights(self) -> list[Array]:
        """Weights [kh, kw] of each layer."""
        shape = (1, 1) if self.alike else self.kernel
        low = 1 if self.alike else -4
        seeds = range(self.seed, self.seed + len(self.rates))
        drawn = [integers(seed, *shape, low=low) for seed in seeds]
        return [np.broadcast_to(numbers, self.kernel).copy() for numbers in drawn]


sums_of_offsets = Claim(
    "gridding/stack-reads-sums-of-tap-offsets",
    says="An output of stacked layers is computed from the pixels to which steps lead, one in each "
    "layer, from the centre of its kernel to a tap; without activations a pixel weighs the sum, "
    "over all ways to it, of the product of the weights on the way.",
    cites=["003:42"],
    recorded=Holds(),
)


@sums_of_offsets.judged(
    subject=OPERATORS,
    on=Sample(
        "stacks of one to three layers, kernels up to 3x4, rates up to 5",
        [
            Stack(((2, 2),)),
            Stack(((2, 2), (2, 2)), seed=3),
            Stack(((1, 3), (2, 1)), kernel=(3, 4), seed=5),
            Stack(((1, 1), (2, 2), (5, 5)), seed=8),
            Stack(((4, 1), (1, 2), (3, 3)), kernel=(2, 3), seed=11),
        ],
    ),
    flipped_by=[
        faults.dilation_ignored,
        dilation_swapped,
        rate_one_less,
        faults.kernel_flipped,
        faults.kernel_row_ignored,
        faults.rectified,
    ],
)
def ways_through_the_taps(ops: Operators, c: Stack) -> None:
    expected = np.zeros(np.sum(c.rates, axis=0) * (np.array(c.kernel) - 1) + 1)
    taps = [
        [(i * down, j * across, weights[i, j]) for i, j in np.ndindex(c.kernel)]
        for (down, across), weights in zip(c.rates, c.weights, strict=True)
    ]
    for way in itertools.product(*taps):
        rows, columns, weights = zip(*way, strict=True)
        expected[sum(rows), sum(columns)] += math.prod(weights)
    same(equivalent_kernel(ops, c.rates, c.weights), expected, "the equivalent kernel")


ONE_RATE = [(rate,) * layers for rate in (2, 3, 1) for layers in (1, 2, 3, 4)]
STACKS = Sample("stacks of one to four 3x3 layers of one rate, 1 to 3", ONE_RATE)

odd_squares = Claim(
    "gridding/stack-of-one-rate-reads-odd-squares",
    says="An output of n stacked 3x3 layers of one rate is computed from (2n + 1) x (2n + 1) "
    "pixels: from itself and the eight around it, from these and the eight around each, and so on.",
    cites=["003:41-42"],
    recorded=Holds(),
)


@odd_squares.judged(
    subject=OPERATORS,
    on=STACKS,
    flipped_by=[
        faults.kernel_row_ignored,
        faults.neighbours_mixed,
        faults.wrong(
            "corners of the kernel ignored",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, w * np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]), **o),
        ),
    ],
)
def pixels_are_counted(ops: Operators, rates: tuple[int, ...]) -> dict[str, int]:
    kernel = equivalent_kernel(ops, square(rates))
    read, expected = int((kernel != 0).sum()), (2 * len(rates) + 1) ** 2
    assert read == expected, f"{len(rates)} layers of rate {rates[0]} read {read} pixels"
    return {"pixels read": read, "pixels of the field": kernel.size}


@odd_squares.judged(
    subject=TAPS,
    on=PROOF,
    flipped_by=[
        beside_the_centre,
        taps_at("the centre left out", lambda rate: (-rate, rate)),
        taps_at("taps two rates away", lambda rate: (-2 * rate, 0, 2 * rate)),
    ],
)
def each_layer_adds_one_rate_on_each_side(taps: Taps, _: Proof) -> None:
    import z3

    layers, place = z3.Ints("layers place")
    reached = z3.Or(*(z3.Abs(place - step) <= layers for step in in_rates(taps)))
    assert_proved(
        reached == (z3.Abs(place) <= layers + 1),
        layers >= 0,
        what="a further layer reads from -n - 1 to n + 1 rates away",
    )


ABOVE_ONE = "the rate is above 1"


def above_one(rates: tuple[int, ...]) -> bool:
    """Whether the first rate is above 1."""
    return rates[0] > 1


def no_sum_is_one(taps: Taps) -> None:
    """Assert by proof that sums of taps of one rate above 1 never are 1."""
    import z3

    in_rates(taps)
    rate, steps = z3.Ints("rate steps")
    assert_proved(rate * steps != 1, rate > 1, what="multiples of the rate are not 1")


holes = Claim(
    "gridding/stack-of-one-rate-leaves-holes",
    says="The equivalent kernel of stacked 3x3 layers of one rate is not contiguous: not all "
    "pixels around a point take part in computing it, and the eight next to it never do.",
    cites=["003:41", "003:43"],
    recorded=HoldsIf(ABOVE_ONE),
)


def no_neighbour(read: Array, rates: tuple[int, ...]) -> None:
    """Assert that the pixel in the middle is read and none of the eight around it."""
    row, column = (size // 2 for size in read.shape)
    count = int(read[row - 1 : row + 2, column - 1 : column + 2].sum())
    assert read[row, column], f"rates {list(rates)}: the pixel in the middle is not read"
    assert count == 1, f"rates {list(rates)}: {count - 1} of the eight pixels around are read"


@holes.judged(
    subject=OPERATORS,
    on=STACKS,
    when={ABOVE_ONE: above_one},
    flipped_by=[faults.dilation_ignored, rate_one_less, faults.neighbours_mixed],
)
def equivalent_kernel_skips_neighbours(ops: Operators, rates: tuple[int, ...]) -> None:
    no_neighbour(equivalent_kernel(ops, square(rates)) != 0, rates)


@holes.judged(
    subject=LAYERS,
    on=Sample(
        "stacks of one to three layers of PyTorch, rates 1 to 3",
        [rates for rates in ONE_RATE if len(rates) < 4],
    ),
    when={ABOVE_ONE: above_one},
    flipped_by=[dilation_left_out, stride_for_dilation],
)
def neighbours_have_no_gradient(layers: Layers, rates: tuple[int, ...]) -> None:
    no_neighbour(pixels_seen(layers, rates), rates)


@holes.judged(subject=TAPS, on=PROOF, flipped_by=[beside_the_centre, no_holes])
def only_multiples_of_the_rate_are_read(taps: Taps, _: Proof) -> None:
    no_sum_is_one(taps)


ALIKE = "all weights of a layer are alike"

centre_weighs_most = Claim(
    "gridding/pixels-near-the-centre-weigh-more",
    says="In the equivalent kernel of two or more 3x3 layers of one rate, with positive weights, "
    "a pixel read weighs more than those of its row or column that are further from the centre, "
    "and the centre most.",
    cites=["003:42"],
    recorded=HoldsIf(ALIKE),
)


@centre_weighs_most.judged(
    subject=OPERATORS,
    on=Sample(
        "stacks of two to four 3x3 layers of rate 2 or 3, weights from 1 to 9",
        [
            Stack(((rate, rate),) * layers, seed=seed, alike=alike)
            for rate, layers, seed in [(2, 2, 0), (2, 3, 4), (3, 2, 9), (2, 4, 12)]
            for alike in (True, False)
        ],
    ),
    when={ALIKE: lambda c: c.alike},
    flipped_by=[
        faults.kernel_row_ignored,
        faults.wrong(
            "centre of the kernel ignored",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, w * (np.arange(9).reshape(3, 3) != 4), **o),
        ),
    ],
)
def weights_fall_away_from_the_centre(ops: Operators, c: Stack) -> None:
    rate, middle = c.rates[0][0], len(c.rates)
    kernel = equivalent_kernel(ops, c.rates, c.weights)[::rate, ::rate]
    largest = np.argwhere(kernel == kernel.max()).tolist()
    assert largest == [[middle, middle]], f"the largest weight stands at {largest[0]}"
    for quarter in (kernel, kernel[::-1], kernel[:, ::-1], kernel[::-1, ::-1]):
        outwards = quarter[middle:, middle:]
        for axis in (0, 1):
            assert (np.diff(outwards, axis=axis) < 0).all(), f"the weights are {kernel.tolist()}"


@centre_weighs_most.judged(
    subject=TAPS,
    on=PROOF,
    flipped_by=[
        taps_at("the centre left out", lambda rate: (-rate, rate)),
        taps_at("only ahead", lambda rate: (0, rate)),
        taps_at("taps two rates away", lambda rate: (-2 * rate, 0, 2 * rate)),
    ],
)
def a_layer_keeps_weights_falling(taps: Taps, _: Proof) -> None:
    import z3

    # Weights that are alike multiply: along each axis those of two layers fall, and a further
    # layer leaves them falling.
    steps = in_rates(taps)
    of_two = Counter(map(sum, itertools.product(steps, steps)))
    assert of_two == {0: 3, -1: 2, 1: 2, -2: 1, 2: 1}, f"two layers give the weights {of_two}"
    near, far, reach = z3.Ints("near far reach")
    weight = z3.Function("weight", z3.IntSort(), z3.IntSort())
    read = [place - step for place in (near, far) for step in steps]
    falling = [z3.Implies(z3.Abs(place) > reach, weight(place) == 0) for place in read]
    for one, other in itertools.permutations(read, 2):
        further = z3.And(z3.Abs(one) < z3.Abs(other), z3.Abs(one) <= reach)
        falling.append(z3.Implies(further, weight(one) > weight(other)))
        falling.append(z3.Implies(z3.Abs(one) == z3.Abs(other), weight(one) == weight(other)))
    at_near, at_far = (z3.Sum(*(weight(at - step) for step in steps)) for at in (near, far))
    nearer = z3.And(z3.Abs(near) < z3.Abs(far), z3.Abs(near) <= reach + 1)
    alike = z3.Implies(z3.Abs(near) == z3.Abs(far), at_near == at_far)
    assert_proved(
        z3.And(alike, z3.Implies(nearer, at_near > at_far)),
        reach >= 2,
        *falling,
        what="weights that fall along an axis still do after a further layer",
    )


phases = Claim(
    "gridding/is-a-standard-stack-on-each-phase",
    says="Layers of rate r, with ReLUs between, are standard layers on each of the r x r images of "
    "every r-th pixel: what is computed from one of these never meets another.",
    cites=["003:41", "003:43"],
    recorded=Holds(),
)


@dataclass(frozen=True)
class Phases:
    """The size of images, and the rates of two layers, each padded by its rate."""

    height: int
    width: int
    rates: Pair


@phases.judged(
    subject=OPERATORS,
    on=Sample(
        "two 3x3 layers of rates 1 to 3 on images up to 11x11",
        [
            Phases(9, 11, (2, 2)),
            Phases(8, 7, (2, 3)),
            Phases(5, 10, (3, 1)),
            Phases(4, 3, (2, 2)),
        ],
    ),
    flipped_by=[
        faults.dilation_ignored,
        dilation_swapped,
        rate_counts_holes,
        faults.neighbours_mixed,
        faults.padding_ignored,
        faults.padded_by_edge,
        faults.relu_missing,
        faults.bias_missing,
        faults.kernel_flipped,
    ],
)
def phases_are_convolved_apart(ops: Operators, c: Phases) -> None:
    image = maps = integers(c.height, 2, 3, c.height, c.width)
    layers = [(integers(1, 4, 3, 3, 3), integers(2, 4)), (integers(3, 2, 4, 3, 3), integers(4, 2))]
    for weight, bias in layers:
        maps = ops.relu(ops.conv2d(maps, weight, bias, padding=c.rates, dilation=c.rates))
    down, across = c.rates
    for row, column in np.ndindex(c.rates):
        phase = image[:, :, row::down, column::across]
        for weight, bias in layers:
            phase = oracle.relu(oracle.conv2d(phase, weight, bias, padding=(1, 1)))
        same(maps[:, :, row::down, column::across], phase, f"the phase of {row}, {column}")


@phases.judged(subject=TAPS, on=PROOF, flipped_by=[beside_the_centre, no_holes, holes_counted])
def taps_step_to_the_next_of_their_phase(taps: Taps, _: Proof) -> None:
    import z3

    places = in_rates(taps)
    assert places == [-1, 0, 1], f"the taps lie at {places} times the rate"
    # The padding by one of a phase is padding of the map: one step off its ends leads outside.
    first, last, rate, size = z3.Ints("first last rate size")
    outside = z3.And(first + taps(rate)[0] < 0, last + taps(rate)[-1] >= size)
    of_phase = [first >= 0, first < rate, last < size, last >= size - rate]
    assert_proved(outside, *of_phase, what="a step off the ends of a phase leads into the padding")


# Lost and fatal -----------------------------------------------------------------------------------

LOST = "stacked dilation loses the continuity of information"

disjoint = Claim(
    "gridding/neighbouring-outputs-share-no-pixel",
    says="Neighbouring outputs of stacked 3x3 layers of one rate are computed from different "
    "pixels throughout: no pixel is read by both.",
    cites=["003:43"],
    recorded=HoldsIf(ABOVE_ONE),
    reading_of=LOST,
)


@disjoint.judged(
    subject=OPERATORS,
    on=STACKS,
    when={ABOVE_ONE: above_one},
    flipped_by=[faults.dilation_ignored, rate_one_less, faults.neighbours_mixed],
)
def pixels_of_neighbours_differ(ops: Operators, rates: tuple[int, ...]) -> None:
    read = np.pad(equivalent_kernel(ops, square(rates)) != 0, 1)
    assert read.any(), f"rates {list(rates)}: no pixel is read"
    for down, across in [(0, 1), (1, 0), (1, 1), (1, -1)]:
        shared = int((read & np.roll(read, (down, across), axis=(0, 1))).sum())
        assert not shared, f"rates {list(rates)}: neighbouring outputs share {shared} pixels"


@disjoint.judged(subject=TAPS, on=PROOF, flipped_by=[beside_the_centre, no_holes])
def what_they_read_differs_by_multiples_of_the_rate(taps: Taps, _: Proof) -> None:
    no_sum_is_one(taps)


pixels_lost = Claim(
    "gridding/stack-of-one-rate-loses-pixels",
    says="Information of the image is lost in stacked layers of one rate: some pixels reach no "
    "output.",
    cites=["003:43"],
    recorded=Refuted(instead="gridding/every-pixel-reaches-an-output"),
    reading_of=LOST,
)

no_pixel_lost = Claim(
    "gridding/every-pixel-reaches-an-output",
    says="Through 3x3 layers that are padded by their rate every pixel of a map reaches an output: "
    "the one at its own place, if no other.",
    cites=["003:43"],
    recorded=Holds(),
)

PADDED = Sample(
    "two or three layers of rates 2 to 4 on maps of 9x11 pixels", [(2, 2, 2), (3, 3), (4, 4, 4)]
)


def _every_second_pixel(f: Callable[..., Any], i: int, o: int, *_: Any, **__: Any) -> Any:
    return f(i, o, 1, stride=2)


def outputs_reached(layers: Layers, rates: tuple[int, ...]) -> Array:
    """Return the gradient [H, W] of the sum of all outputs of a stack with weights of one."""
    import torch

    stack = layers.Sequential(
        *(layers.Conv2d(1, 1, 3, padding=rate, dilation=rate) for rate in rates)
    ).double()
    for weights in stack.parameters():
        weights.data.fill_(1)
    image = torch.zeros(1, 1, 9, 11, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(stack(image).sum(), image)
    reached: Array = gradient[0, 0].numpy()
    return reached


every_second_pixel = layer("every second pixel left out", "Conv2d", _every_second_pixel)


@pixels_lost.judged(subject=LAYERS, on=PADDED, flipped_by=[every_second_pixel])
def some_pixel_reaches_nothing(layers: Layers, rates: tuple[int, ...]) -> None:
    reached = outputs_reached(layers, rates)
    assert (reached == 0).any(), f"rates {list(rates)}: all {reached.size} pixels reach an output"


@no_pixel_lost.judged(subject=LAYERS, on=PADDED, flipped_by=[every_second_pixel])
def all_pixels_reach_something(layers: Layers, rates: tuple[int, ...]) -> None:
    lost = int((outputs_reached(layers, rates) == 0).sum())
    assert not lost, f"rates {list(rates)}: {lost} pixels reach no output"


fatal = Claim(
    "gridding/gridded-stack-cannot-learn-its-neighbour",
    says="There are tasks for which gridding is fatal: to tell the pixel on the right in white "
    "noise, three trained 3x3 layers of one rate do no better than guessing.",
    cites=["003:43"],
    recorded=HoldsIf(ABOVE_ONE),
    cost="cpu",
)


@fatal.judged(
    subject=LAYERS,
    on=Sample(
        "three layers of rate 1, 2 or 3, from two seeds",
        [Neighbour((rate,) * 3, 1, seed) for rate in (2, 3, 1) for seed in (0, 1)],
    ),
    when={ABOVE_ONE: lambda c: above_one(c.rates)},
    flipped_by=[
        dilation_left_out,
        layer(
            "rate 1 taken as 2",
            "Conv2d",
            lambda f, i, o, k, dilation=1: (
                f(i, o, k, dilation=2, padding=1)
                if k > dilation == 1
                else f(i, o, k, dilation=dilation)
            ),
        ),
    ],
)
def error_stays_at_the_variance(layers: Layers, c: Neighbour) -> None:
    error = neighbour_error(layers, c)
    assert error > 0.9, f"rates {list(c.rates)}: the error is {error:.1%} of that of guessing"
