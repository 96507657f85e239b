"""Hybrid dilated convolution: which dilation rates, one after another, leave no holes.

Document 003 (lines 47 to 56); its formula has a topic of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from claims._dilated_stacks import (
    LARGE,
    SAWTOOTH,
    SMALL,
    TAPS,
    TRIPLES,
    Neighbour,
    Objects,
    Taps,
    Triples,
    assert_proved,
    beside_the_centre,
    dilation_left_out,
    equivalent_kernel,
    holes_filled,
    neighbour_error,
    no_hole,
    no_holes,
    objects_told_apart,
    pixels_seen,
    places_read,
    rate_counts_holes,
    rate_one_less,
    rates_doubled,
    square,
    taps_at,
    told,
)
from claims.checks import Array
from claims.core.claim import PROOF, Claim, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.formulas import layer
from claims.subjects import LAYERS, MODELS, OPERATORS, Layers, Models
from nin_ref.operators import Operators

# Rates that the document names --------------------------------------------------------------------


smaller_kernel = layer(
    "kernels of 2x2 pixels", "Conv2d", lambda f, i, o, k, **options: f(i, o, k - 1, **options)
)


def rates_read(
    name: str, says: str, rates: tuple[int, ...], across: int, cites: list[str]
) -> Claim:
    """Declare that 3x3 layers of some rates read so many pixels along each axis of their field."""
    claim = Claim(f"hybrid-dilation/{name}", says=says, cites=cites, recorded=Holds())
    side = 2 * sum(rates) + 1

    def counted(read: Array) -> dict[str, int]:
        count = int((read != 0).sum())
        assert read.shape == (side, side), f"the field has {read.shape[0]}x{read.shape[1]} pixels"
        assert count == across**2, f"{count} of {side}x{side} pixels are read"
        return {"pixels of the field": read.size, "pixels read": count}

    @claim.judged(
        subject=OPERATORS,
        on=[rates],
        flipped_by=[
            faults.dilation_ignored,
            rate_one_less,
            rates_doubled,
            faults.kernel_row_ignored,
        ],
    )
    def read_by_operators(ops: Operators, rates: tuple[int, ...]) -> dict[str, int]:
        return counted(equivalent_kernel(ops, square(rates)))

    @claim.judged(subject=LAYERS, on=[rates], flipped_by=[dilation_left_out, smaller_kernel])
    def read_by_layers(layers: Layers, rates: tuple[int, ...]) -> None:
        counted(pixels_seen(layers, rates))

    return claim


NAMED = (
    rates_read(
        "two-four-six-leaves-holes",
        "Three 3x3 layers of rates 2, 4 and 6 show gridding: of the 25x25 pixels in their field "
        "they read 13x13.",
        (2, 4, 6),
        13,
        ["003:49"],
    ),
    rates_read(
        "one-two-five-covers",
        "Rates 1, 2, 5 are feasible: three such 3x3 layers read all 17x17 pixels of their field.",
        (1, 2, 5),
        17,
        ["003:54", "003:56"],
    ),
    rates_read(
        "recommended-sawtooth-covers",
        "3x3 layers of rates 1, 2, 5, 1, 2, 5 have no gridding: they read all 33x33 pixels of "
        "their field.",
        SAWTOOTH,
        33,
        ["003:51"],
    ),
)


# No common divisor --------------------------------------------------------------------------------

COMMON = "the rates of a stack may have no common divisor above 1"

common_divisor = Claim(
    "hybrid-dilation/common-divisor-leaves-holes",
    says="If the rates of stacked 3x3 layers have a common divisor above 1, gridding occurs: all "
    "distances from an output to the pixels that it reads are multiples of the divisor.",
    cites=["003:49"],
    recorded=Holds(),
    reading_of=COMMON,
)


@common_divisor.judged(
    subject=OPERATORS,
    on=TRIPLES,
    flipped_by=[faults.dilation_ignored, rate_one_less, rate_counts_holes, faults.neighbours_mixed],
)
def multiples_of_the_divisor(ops: Operators, c: Triples) -> None:
    for rates, places in places_read(ops, c).items():
        divisor = math.gcd(*rates)
        assert {0, c.field(rates) - 1} <= {*places}, f"rates {list(rates)} read too small a field"
        between = [place for place in places if place % divisor]
        assert not between, f"rates {list(rates)} read pixels {min(between)} apart"


@common_divisor.judged(subject=TAPS, on=PROOF, flipped_by=[beside_the_centre, no_holes])
def sums_of_multiples_are_multiples(taps: Taps, _: Proof) -> None:
    import sympy

    divisor, factor = sympy.symbols("g m", integer=True, positive=True)
    sum_before = sympy.Symbol("s", integer=True)
    for tap in taps(divisor * factor):
        share = sympy.expand((divisor * sum_before + tap) / divisor)
        assert share.is_integer, f"a layer reads at {tap}, which {divisor} need not divide"


fits = Claim(
    "hybrid-dilation/covers-if-each-rate-fits-the-field-of-the-smaller",
    says="Stacked layers read every pixel of their field if, and only if, each rate is at most the "
    "side of the field that the layers of smaller rates have together: with 3x3 kernels, 1 plus "
    "twice the sum of the smaller rates.",
    cites=["003:49", "003:56"],
    recorded=Holds(),
)


@fits.judged(
    subject=OPERATORS,
    on=Sample(
        f"{TRIPLES.described}, and of layers 2, 4 and 5 wide if that rate is 1 or 2",
        [*TRIPLES.covering, *(Triples(first, width) for first in (1, 2) for width in (2, 4, 5))],
    ),
    flipped_by=[
        faults.dilation_ignored,
        rate_one_less,
        rate_counts_holes,
        faults.wrong(
            "middle of the kernel ignored",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, w * (np.arange(w.shape[3]) != 1), b, **o),
        ),
    ],
)
def every_rate_fits_or_a_hole_is_left(ops: Operators, c: Triples) -> None:
    for rates, places in places_read(ops, c).items():
        ascending = sorted(rates)
        all_fit = all(rate <= c.field(ascending[:i]) for i, rate in enumerate(ascending))
        assert all_fit == no_hole(c, rates, places), f"{c.kernel} wide: {told(c, rates, places)}"


def copies_leave_no_gap(taps: Taps) -> None:
    """Assert by proof that a layer whose rate fits a field without holes only widens it.

    It reads a copy of the field at each tap, and none begins behind the end of the one before.
    """
    import z3

    side, rate = z3.Ints("side rate")
    for one, other in itertools.pairwise(taps(rate)):
        assert_proved(other - one <= side, rate >= 1, rate <= side, what="the field has no gap")


@fits.judged(
    subject=TAPS,
    on=PROOF,
    flipped_by=[
        taps_at("the centre left out", lambda rate: (-rate, rate)),
        taps_at("taps two rates away", lambda rate: (-2 * rate, 0, 2 * rate)),
        no_holes,
    ],
)
def widened_where_it_fits_and_else_holed(taps: Taps, _: Proof) -> None:
    import z3

    copies_leave_no_gap(taps)
    side, rate, larger = z3.Ints("side rate larger")
    steps = [tap - taps(larger)[0] for tap in taps(larger)]
    # Neither a rate that does not fit nor a still larger one gets to the place behind the field.
    missed = [z3.Or(step == 0, step > side) for step in steps]
    assert_proved(
        z3.And(*missed, steps[-1] >= side),
        side >= 1,
        rate > side,
        larger >= rate,
        what="the place behind the field of the smaller rates is a hole",
    )


no_divisor = Claim(
    "hybrid-dilation/no-common-divisor-leaves-no-holes",
    says="Rates without a common divisor above 1 leave no holes.",
    cites=["003:49"],
    recorded=Refuted(instead="hybrid-dilation/covers-if-each-rate-fits-the-field-of-the-smaller"),
)


@no_divisor.judged(subject=OPERATORS, on=TRIPLES, flipped_by=[holes_filled])
def coprime_rates_cover(ops: Operators, c: Triples) -> None:
    for rates, places in places_read(ops, c).items():
        if math.gcd(*rates) == 1:
            assert no_hole(c, rates, places), told(c, rates, places)


in_pairs = Claim(
    "hybrid-dilation/divisor-of-two-rates-leaves-holes",
    says="If any two rates of a stack have a common divisor above 1, gridding occurs.",
    cites=["003:49"],
    recorded=Refuted(instead="hybrid-dilation/common-divisor-leaves-holes"),
    reading_of=COMMON,
)


networks = Claim(
    "hybrid-dilation/segmentation-network-shares-no-divisor",
    says="The rule is about layers one after another: in torchvision's DeepLabv3 the rates of the "
    "last two stages, alone and with a branch of the head, have no common divisor and leave no "
    "hole, though the branches, side by side, have rates 12, 24 and 36.",
    cites=["003:49"],
    recorded=Holds(),
)


def _at_least_two(model: Any) -> None:
    for stage in (model.backbone.layer3, model.backbone.layer4):
        for block in stage:
            block.conv2.dilation = (max(2, block.conv2.dilation[0]),) * 2


def _forty(model: Any) -> None:
    for block in model.backbone.layer4:
        block.conv2.dilation = (40, 40)


@networks.judged(
    subject=MODELS,
    on=["deeplabv3_resnet50"],
    flipped_by=[
        surgeries.surgery("no rate of 1 in the last two stages", _at_least_two),
        surgeries.surgery("rate 40 in the last stage", _forty),
    ],
)
def layers_in_a_row_leave_no_hole(models: Models, name: str) -> dict[str, str]:
    from torch import nn

    stages, head = (
        [
            one.dilation[0]
            for part in parts
            for one in models(name).get_submodule(part).modules()
            if isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3)
        ]
        for parts in (["backbone.layer3", "backbone.layer4"], ["classifier"])
    )
    branches = [rate for rate in head if rate > 1]
    assert branches == [12, 24, 36], f"the branches of {name} have rates {branches}"
    for rates in [stages, *([*stages, branch] for branch in branches)]:
        assert math.gcd(*rates) == 1, f"{name}: {math.gcd(*rates)} divides rates {rates}"
        sums = {0}
        for rate in rates:
            sums = {before + step for before in sums for step in (-rate, 0, rate)}
        assert len(sums) == 2 * sum(rates) + 1, f"{name}: rates {rates} leave holes"
    return {"one after another": str(stages), "side by side": str(branches)}


# Sawtooth -----------------------------------------------------------------------------------------

DESIGN = "rates in a sawtooth prevent gridding"

repeated = Claim(
    "hybrid-dilation/repeated-rates-without-holes-leave-none",
    says="Rates that leave no holes leave none when they are repeated in a cycle either.",
    cites=["003:51"],
    recorded=Holds(),
)


@repeated.judged(
    subject=OPERATORS,
    on=Sample("stacks of up to four layers, twice", [(1, 2, 5), (1, 3), (1, 1, 4), (5, 1, 2, 9)]),
    flipped_by=[rates_doubled, faults.kernel_row_ignored],
)
def twice_leaves_no_hole(ops: Operators, rates: tuple[int, ...]) -> None:
    for times in (1, 2):
        kernel = equivalent_kernel(ops, square(rates * times))
        holes = int((kernel == 0).sum())
        assert not holes, f"rates {list(rates * times)}: {holes} of {kernel.size} pixels unread"


@repeated.judged(
    subject=TAPS,
    on=PROOF,
    flipped_by=[
        taps_at("the centre left out", lambda rate: (-rate, rate)),
        taps_at("taps two rates away", lambda rate: (-2 * rate, 0, 2 * rate)),
    ],
)
def its_rates_fit_its_field(taps: Taps, _: Proof) -> None:
    import z3

    copies_leave_no_gap(taps)
    others, rate = z3.Ints("others rate")
    side = others + taps(rate)[-1] - taps(rate)[0]
    assert_proved(rate <= side, others >= 1, rate >= 1, what="a rate fits a field it was part of")


sawtooth_suffices = Claim(
    "hybrid-dilation/sawtooth-prevents-holes",
    says="Rates in a sawtooth, rising again and again from the same one, leave no holes.",
    cites=["003:51"],
    recorded=Refuted(instead="hybrid-dilation/repeated-rates-without-holes-leave-none"),
    reading_of=DESIGN,
)

sawtooth_needed = Claim(
    "hybrid-dilation/only-a-sawtooth-prevents-holes",
    says="Rates that are no sawtooth, but rise throughout, leave holes.",
    cites=["003:51"],
    recorded=Refuted(instead="hybrid-dilation/order-does-not-matter"),
    reading_of=DESIGN,
)


@sawtooth_suffices.judged(
    subject=OPERATORS,
    on=Sample("sawtooth stacks", [SAWTOOTH, (2, 3, 2, 3), (1, 4, 1, 4, 1, 4)]),
    flipped_by=[holes_filled],
)
def no_hole_is_left(ops: Operators, rates: tuple[int, ...]) -> None:
    kernel = equivalent_kernel(ops, square(rates))
    holes = int((kernel == 0).sum())
    assert not holes, f"rates {list(rates)} leave {holes} of {kernel.size} pixels unread"


@in_pairs.judged(
    subject=OPERATORS,
    on=Sample("stacks with a divisor of two rates", [(2, 4, 6), (1, 2, 4), SAWTOOTH]),
    flipped_by=[rates_doubled],
)
@sawtooth_needed.judged(
    subject=OPERATORS,
    on=Sample("stacks of rates that rise", [(2, 3, 4), tuple(sorted(SAWTOOTH)), (1, 3, 9)]),
    flipped_by=[rates_doubled],
)
def a_hole_is_left(ops: Operators, rates: tuple[int, ...]) -> None:
    kernel = equivalent_kernel(ops, square(rates))
    assert (kernel == 0).any(), f"rates {list(rates)} read all {kernel.size} pixels of their field"


INSIDE = "the pixel's field lies inside the map"


@dataclass(frozen=True)
class Place:
    """A pixel of a map with 17x19 pixels, and the rates of layers, each padded by its rate."""

    rates: tuple[int, ...]
    row: int
    column: int

    @property
    def field_is_inside(self) -> bool:
        """Whether no way through the layers leads out of the map."""
        reach = sum(self.rates)
        return reach <= self.row < 17 - reach and reach <= self.column < 19 - reach


order_does_not_matter = Claim(
    "hybrid-dilation/order-does-not-matter",
    says="Which outputs a pixel reaches, and so what an output reads, is the same in whatever "
    "order the rates of padded layers come.",
    cites=["003:49", "003:51"],
    recorded=HoldsIf(INSIDE),
)


def _in_a_circle(
    f: Callable[..., Array], x: Array, w: Array, b: Array | None = None, **options: Any
) -> Array:
    rows, columns = options["padding"]
    margins = ((0, 0), (0, 0), (rows, rows), (columns, columns))
    return f(np.pad(x, margins, mode="wrap"), w, b, **options | {"padding": (0, 0)})


@order_does_not_matter.judged(
    subject=OPERATORS,
    on=Sample(
        "pixels of a map, and two to four 3x3 layers",
        [
            Place(rates, row, column)
            for rates in [(1, 5), (2, 3), (1, 2, 5), (1, 1, 2, 3)]
            for row, column in [(8, 9), (8, 0), (16, 9)]
        ],
    ),
    when={INSIDE: lambda c: c.field_is_inside},
    flipped_by=[
        faults.shifted,
        faults.wrong("padded in a circle", "conv2d", _in_a_circle),
    ],
)
def orders_reach_the_same(ops: Operators, c: Place) -> None:
    pixel = np.zeros((1, 1, 17, 19))
    pixel[0, 0, c.row, c.column] = 1
    first, *others = itertools.permutations(c.rates)
    reached = {}
    for rates in (first, *others):
        maps = pixel
        for rate in rates:
            maps = ops.conv2d(
                maps, np.ones((1, 1, 3, 3)), padding=(rate, rate), dilation=(rate, rate)
            )
        reached[rates] = maps != 0
    for rates in others:
        differ = int((reached[rates] != reached[first]).sum())
        assert not differ, f"rates {list(first)} and {list(rates)} reach {differ} other outputs"


# Near and far -------------------------------------------------------------------------------------

near_and_far = Claim(
    "hybrid-dilation/small-rates-look-near-and-large-ones-far",
    says="Small rates look at what is near, and large ones at what is far: beside the pixel in the "
    "middle, a 3x3 layer reads only pixels that are its rate away.",
    cites=["003:55"],
    recorded=Holds(),
)


@near_and_far.judged(
    subject=OPERATORS,
    on=Sample("3x3 layers of rates 1 to 6", list(range(1, 7))),
    flipped_by=[faults.dilation_ignored, rate_one_less, rate_counts_holes],
)
def pixels_read_are_a_rate_away(ops: Operators, rate: int) -> None:
    places = np.argwhere(equivalent_kernel(ops, [(rate, rate)])) - rate
    away = set(np.abs(places).max(axis=1).tolist())
    assert away == {0, rate}, f"a layer of rate {rate} reads pixels {sorted(away)} away"


NEXT_IS_READ = "pixels next to the output's own are read"

both_sizes = Claim(
    "hybrid-dilation/sawtooth-finds-small-and-large-objects",
    says="Trained to find bright squares under noise, three 3x3 layers, as of rates 1, 2, 5, tell "
    "the pixels of large squares from the background, and those of small ones better than the "
    "brightness of one pixel does.",
    cites=["003:55"],
    recorded=HoldsIf(NEXT_IS_READ),
    cost="cpu",
)


def next_is_read(c: Objects) -> bool:
    """Whether steps of the rates, one of each layer or none, lead to the next pixel."""
    steps = itertools.product(*((-rate, 0, rate) for rate in c.rates))
    return any(sum(one) == 1 for one in steps)


@both_sizes.judged(
    subject=LAYERS,
    on=Sample(
        f"layers of rates mixed or alike, squares of side {SMALL} and {LARGE}",
        [
            *(Objects((1, 2, 5), seed) for seed in (0, 1)),
            *(Objects(rates, 0) for rates in [(1, 1, 1), (2, 3, 4), (3, 5, 5)]),
        ],
    ),
    when={NEXT_IS_READ: next_is_read},
    flipped_by=[
        dilation_left_out,
        layer("kernels of one pixel", "Conv2d", lambda f, i, o, *_, **__: f(i, o, 1)),
    ],
)
def both_are_told_from_the_background(layers: Layers, c: Objects) -> None:
    small, large = objects_told_apart(layers, c)
    assert large > 0.85, f"rates {list(c.rates)}: large objects are told in {large:.0%} of pairs"
    assert small > 0.76, f"rates {list(c.rates)}: small objects are told in {small:.0%} of pairs"


WITHOUT_HOLES = [(1, 2, 5), (1, 2, 3)]

learns = Claim(
    "hybrid-dilation/rates-without-holes-learn-what-gridding-hides",
    says="Well designed rates avoid gridding in effect: trained to tell a nearby pixel in white "
    "noise, three 3x3 layers get below a fifth of the error of guessing.",
    cites=["003:56"],
    recorded=HoldsIf("the rates leave no holes"),
    cost="cpu",
)


@learns.judged(
    subject=LAYERS,
    on=Sample(
        "pixels 1 and 4 columns away, rates with and without holes there, from two seeds",
        [
            Neighbour(rates, offset, seed)
            for rates, offset in [
                *itertools.product(WITHOUT_HOLES, (1, 4)),
                ((2, 4, 6), 1),
                ((1, 2, 9), 4),
            ]
            for seed in (0, 1)
        ],
    ),
    when={"the rates leave no holes": lambda c: c.rates in WITHOUT_HOLES},
    flipped_by=[
        dilation_left_out,
        layer("kernels of one pixel", "Conv2d", lambda f, i, o, *_, **__: f(i, o, 1)),
    ],
)
def error_falls_below_a_fifth(layers: Layers, c: Neighbour) -> None:
    error = neighbour_error(layers, c)
    assert error < 0.2, (
        f"rates {list(c.rates)}: the error for a pixel {c.offset} away is {error:.0%} of guessing's"
    )
