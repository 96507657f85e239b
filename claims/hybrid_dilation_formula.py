"""The formula of hybrid dilated convolution: what it computes, and whether it tells good rates.

Document 003 (lines 53 and 54).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from claims._dilated_stacks import (
    LARGEST,
    SAWTOOTH,
    TRIPLES,
    Triples,
    assert_proved,
    equivalent_kernel,
    holes_filled,
    no_hole,
    places_read,
    rate_counts_holes,
    rate_one_less,
    rates_doubled,
    square,
    told,
)
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import operators as faults
from claims.subjects import OPERATORS
from nin_ref.operators import Operators

# The formula ------------------------------------------------------------------------------------

Formula = Callable[..., list[Any]]


def formula_of(terms: Callable[[Any, Any], tuple[Any, ...]]) -> Formula:
    """Return the formula that takes the rates and gives M of each layer, from last to first.

    M of the last layer is its rate, that of another the largest of the terms of the next M and its
    own rate; `largest` gives the largest of numbers.
    """

    def formula(rates: Sequence[Any], largest: Callable[..., Any] = max) -> list[Any]:
        found = [rates[-1]]
        for rate in rates[-2::-1]:
            found.insert(0, largest(*terms(found[0], rate)))
        return found

    return formula


largest_distances = formula_of(
    lambda later, rate: (later - 2 * rate, later - 2 * (later - rate), rate)
)

FORMULA: Subject[Formula] = Subject("formula of line 53", lambda: largest_distances)


def other_terms(name: str, terms: Callable[[Any, Any], tuple[Any, ...]]) -> Fault[Formula]:
    """Return a world in which M is the largest of other terms."""
    return Fault(name, lambda _: formula_of(terms))


rate_left_out = other_terms(
    "the rate is none of the terms", lambda later, rate: (later - 2 * rate, 2 * rate - later)
)
later_left_out = other_terms(
    "the next M less twice the rate is none of the terms",
    lambda later, rate: (2 * rate - later, rate),
)
thrice_the_rate = other_terms(
    "the next M less thrice the rate",
    lambda later, rate: (later - 3 * rate, 2 * rate - later, rate),
)


def z3_largest(*values: Any) -> Any:
    """Return the largest of z3's integers."""
    import z3

    return functools.reduce(lambda one, other: z3.If(one >= other, one, other), values)


def distances_stay_within(formula: Formula) -> None:
    """Assert by proof that M bounds the distance of neighbouring pixels read, if the next M does.

    What the later layers read lies from `low` to `high`, with neighbours at most `later` apart; a
    3-wide layer of some rate comes before them. Behind every place but the last a pixel is read
    within M; and a wider kernel, which reads the same again one rate further, leaves it so.
    """
    import z3

    low, high, one, other, place, rate, later = z3.Ints("low high one other place rate later")
    bound = formula((rate, later), z3_largest)[0]

    def near(*pixels: Any) -> Any:
        return z3.Or(*(z3.And(place < pixel, pixel <= place + bound) for pixel in pixels))

    sizes = [rate >= 1, later >= 1]
    between = [one <= place, place < other, other <= one + later]
    what = "M bounds the distance of neighbouring pixels"
    assert_proved(near(one + rate, other - rate, other), *sizes, *between, what=what)
    assert_proved(near(low), *sizes, low - rate <= place, place < low, what=what)
    assert_proved(near(high + rate), *sizes, high <= place, place < high + rate, what=what)


simplified = Claim(
    "hybrid-dilation-formula/m-is-the-rate-or-the-distance-from-twice-it",
    says="The formula gives as M of a layer its rate or, if that is larger, the distance of the "
    "next M from twice the rate; from the last layer, whose M is its rate, back to the first.",
    cites=["003:53-54"],
    recorded=Holds(),
)


@simplified.judged(
    subject=FORMULA,
    on=PROOF,
    flipped_by=[
        rate_left_out,
        later_left_out,
        thrice_the_rate,
        other_terms(
            "twice the next M taken off", lambda m, rate: (m - 2 * rate, 2 * rate - 2 * m, rate)
        ),
        other_terms("middle term left out", lambda m, rate: (m - 2 * rate, rate)),
    ],
)
def rate_or_distance(formula: Formula, _: Proof) -> None:
    import z3

    rate, later = z3.Ints("rate later")
    found, last = formula((rate, later), z3_largest)
    distance = z3.Abs(later - 2 * rate)
    expected = z3.If(rate >= distance, rate, distance)
    assert_proved(z3.And(found == expected, last == later), what="M is one of these")


RULE = "rates that satisfy the formula are feasible"
FIRST_IS_ONE, AT_LEAST_THREE = "the first rate is 1", "the kernel is three wide or wider"

any_rates = Claim(
    "hybrid-dilation-formula/formula-alone-leaves-no-holes",
    says="3x3 layers leave no holes if their rates satisfy the formula, which gives M of each "
    "layer from its rate and M of the next.",
    cites=["003:53-54"],
    recorded=Refuted(instead="hybrid-dilation-formula/threshold-leaves-no-holes"),
    reading_of=RULE,
)


@any_rates.judged(
    subject=OPERATORS,
    on=Sample("stacks of some rates, all of which have an M", [(1, 2, 5), (1, 2, 9), (2, 4, 6)]),
    flipped_by=[holes_filled],
)
def whatever_has_an_m_covers(ops: Operators, rates: tuple[int, ...]) -> None:
    kernel = equivalent_kernel(ops, square(rates))
    assert (kernel != 0).all(), (
        f"rates {list(rates)} satisfy it with M = {largest_distances(rates)}, and read "
        f"{int((kernel != 0).sum())} of {kernel.size} pixels"
    )


largest_rates = Claim(
    "hybrid-dilation-formula/formula-for-the-largest-rates-leaves-no-holes",
    says="3x3 layers leave no holes if the largest rates, of the layers up to each one, satisfy "
    "the formula for M.",
    cites=["003:53-54"],
    recorded=HoldsIf(FIRST_IS_ONE),
    reading_of=RULE,
)


@largest_rates.judged(
    subject=OPERATORS,
    on=TRIPLES,
    when={FIRST_IS_ONE: lambda c: c.first == 1},
    flipped_by=[rates_doubled, faults.dilation_ignored, faults.kernel_row_ignored],
)
def largest_rates_so_far_cover(ops: Operators, c: Triples) -> None:
    for rates, places in places_read(ops, c).items():
        if largest_distances(rates) == list(itertools.accumulate(rates, max)):
            assert no_hole(c, rates, places), told(c, rates, places)


@largest_rates.judged(
    subject=FORMULA, on=PROOF, flipped_by=[rate_left_out, later_left_out, thrice_the_rate]
)
def m_of_the_first_layer_is_its_rate(formula: Formula, _: Proof) -> None:
    # That M is the first rate, which is 1: then the next pixel is read behind every one.
    distances_stay_within(formula)


threshold = Claim(
    "hybrid-dilation-formula/threshold-leaves-no-holes",
    says="With the condition that the document leaves out and the paper on hybrid dilated "
    "convolution states, M of the second layer is at most the width of the kernel, rates leave no "
    "holes.",
    cites=["003:53-54", "003:56"],
    recorded=HoldsIf(FIRST_IS_ONE, AT_LEAST_THREE),
    reading_of=RULE,
)


ALL_WIDTHS = Sample(
    f"{TRIPLES.described}, and of layers 2, 4 and 5 wide if that rate is 1",
    [*TRIPLES.covering, *(Triples(1, width) for width in (2, 4, 5))],
)


@threshold.judged(
    subject=OPERATORS,
    on=ALL_WIDTHS,
    when={
        FIRST_IS_ONE: lambda c: c.first == 1,
        AT_LEAST_THREE: lambda c: c.kernel >= 3,
    },
    flipped_by=[rates_doubled, faults.dilation_ignored, rate_counts_holes],
)
def small_m_covers(ops: Operators, c: Triples) -> None:
    for rates, places in places_read(ops, c).items():
        if largest_distances(rates)[1] <= c.kernel:
            assert no_hole(c, rates, places), f"{c.kernel} wide: {told(c, rates, places)}"


@threshold.judged(
    subject=FORMULA, on=PROOF, flipped_by=[rate_left_out, later_left_out, thrice_the_rate]
)
def a_layer_of_rate_one_fills_what_is_left(formula: Formula, _: Proof) -> None:
    import z3

    distances_stay_within(formula)
    one, other, place, width = z3.Ints("one other place width")
    assert_proved(
        place - one < width,
        one <= place,
        place < other,
        other - one <= width,
        what="a layer of rate 1 reads every pixel from one to the next",
    )


RISING = "no rate is smaller than the one before"
UP_TO_THREE, THREE_WIDE = "the kernel is two or three wide", "the kernel is three wide"

necessary = Claim(
    "hybrid-dilation-formula/rates-without-holes-meet-the-threshold",
    says="Rates that leave no holes satisfy the rule: M of the second layer is at most the width "
    "of the kernel.",
    cites=["003:53-54"],
    recorded=HoldsIf(RISING, UP_TO_THREE),
)


RISING_TRIPLES = Sample(
    f"stacks of three layers of all rates up to {LARGEST}, by the rate of the first: 3 wide "
    "and rising; and where it is 1 also 3 wide ones that do not rise, and rising ones 2, 4, 5 wide",
    [
        *(Triples(first, rising=True) for first in range(1, LARGEST + 1)),
        Triples(1),
        *(Triples(1, width, rising=True) for width in (2, 4, 5)),
    ],
)


@necessary.judged(
    subject=OPERATORS,
    on=RISING_TRIPLES,
    when={RISING: lambda c: c.rising, UP_TO_THREE: lambda c: c.kernel in (2, 3)},
    flipped_by=[faults.dilation_ignored, rate_one_less, rates_doubled],
)
def no_hole_and_small_m(ops: Operators, c: Triples) -> None:
    for rates, places in places_read(ops, c).items():
        second = largest_distances(rates)[1]
        assert second <= c.kernel or not no_hole(c, rates, places), (
            f"{c.kernel} wide: {told(c, rates, places)}, and M of the second layer is {second}"
        )


@necessary.judged(
    subject=FORMULA,
    on=PROOF,
    flipped_by=[
        other_terms("the sum of the next M and the rate", lambda later, rate: (later + rate,)),
        other_terms("M less the rate", lambda later, rate: (later - rate, 2 * rate - later, rate)),
    ],
)
def m_fits_what_came_before(formula: Formula, _: Proof) -> None:
    import z3

    # Every rate fits the field of the smaller ones before it. So does M of each layer, from the
    # last back to the second, before which there is a layer of rate 1: its field is the kernel's
    # width. A layer widens the field by twice its rate, or by the rate alone if it is 2 wide.
    before, rate, later_rate, later = z3.Ints("before rate later_rate later")
    found = formula((rate, later), z3_largest)[0]
    assert_proved(
        z3.And(rate <= found, found <= before),
        rate >= 1,
        rate <= before,
        rate <= later_rate,
        later_rate <= later,
        later <= before + 2 * rate,
        what="M fits the field of the layers before",
    )


# What M is ----------------------------------------------------------------------------------------


def read_as(reached: str, says: str, reading: Formula) -> Claim:
    """Declare that M is what a reading of the document's words gives for the rates."""
    claim = Claim(
        f"hybrid-dilation-formula/m-is-the-largest-rate-{reached}",
        says=says,
        cites=["003:54"],
        recorded=Refuted(
            instead="hybrid-dilation-formula/m-is-the-largest-distance-of-pixels-read"
        ),
        reading_of="M is the largest dilation rate up to a layer",
    )

    @claim.judged(
        subject=FORMULA,
        on=Sample("the rates of the document and the paper", [(1, 2, 5), (1, 2, 9), SAWTOOTH]),
        flipped_by=[Fault("the reading itself", lambda _: reading)],
    )
    def m_is_the_reading(formula: Formula, rates: tuple[int, ...]) -> None:
        found, expected = formula(rates), reading(rates)
        assert found == expected, f"rates {list(rates)}: M = {found}, the largest are {expected}"

    return claim


LARGEST_RATES = (
    read_as(
        "up-to-the-layer",
        "The formula's M of a layer is the largest rate of the layers from the first up to it.",
        lambda rates: [*itertools.accumulate(rates, max)],
    ),
    read_as(
        "from-the-layer-on",
        "The formula's M of a layer is the largest rate of the layers from the last back to it.",
        lambda rates: [*itertools.accumulate(rates[::-1], max)][::-1],
    ),
)


bounds = Claim(
    "hybrid-dilation-formula/m-bounds-the-distance-of-pixels-read",
    says="Neighbouring pixels among those that the layers from one on read are at most its M "
    "apart.",
    cites=["003:53-54"],
    recorded=HoldsIf(AT_LEAST_THREE),
)


def largest_gap(places: list[int]) -> int:
    """Return the largest distance from a place to the next."""
    return max((later - place for place, later in itertools.pairwise(places)), default=0)


@bounds.judged(
    subject=OPERATORS,
    on=ALL_WIDTHS,
    when={AT_LEAST_THREE: lambda c: c.kernel >= 3},
    flipped_by=[rates_doubled, rate_counts_holes, faults.dilation_ignored],
)
def no_pixels_are_further_apart(ops: Operators, c: Triples) -> None:
    # The layers from one on are a stack of their own: M of its first layer is what is at stake.
    for rates, places in places_read(ops, c).items():
        bound, gap = largest_distances(rates)[0], largest_gap(places)
        assert gap <= bound, f"{c.kernel} wide, rates {list(rates)}: M is {bound}, a gap is {gap}"


@bounds.judged(
    subject=FORMULA, on=PROOF, flipped_by=[rate_left_out, later_left_out, thrice_the_rate]
)
def a_further_layer_keeps_within_its_m(formula: Formula, _: Proof) -> None:
    distances_stay_within(formula)


is_distance = Claim(
    "hybrid-dilation-formula/m-is-the-largest-distance-of-pixels-read",
    says="M of a layer is the largest distance between neighbouring pixels among those that the "
    "layers from it on read.",
    cites=["003:54"],
    recorded=HoldsIf(RISING, THREE_WIDE),
)


@is_distance.judged(
    subject=OPERATORS,
    on=RISING_TRIPLES,
    when={RISING: lambda c: c.rising, THREE_WIDE: lambda c: c.kernel == 3},
    flipped_by=[faults.dilation_ignored, rate_one_less, rates_doubled],
)
def some_pixels_are_so_far_apart(ops: Operators, c: Triples) -> None:
    for rates, places in places_read(ops, c).items():
        first, gap = largest_distances(rates)[0], largest_gap(places)
        assert gap == first, f"{c.kernel} wide, rates {list(rates)}: M is {first}, a gap {gap}"


@is_distance.judged(
    subject=FORMULA,
    on=PROOF,
    flipped_by=[rate_left_out, later_left_out, thrice_the_rate],
)
def a_further_layer_leaves_just_that(formula: Formula, _: Proof) -> None:
    import z3

    distances_stay_within(formula)
    one, other, pixel, high, rate, later = z3.Ints("one other pixel high rate later")
    found = formula((rate, later), z3_largest)[0]
    for step in (-rate, 0, rate):
        # Pixels `later` apart stay apart by this less twice the rate; the last two, which are no
        # nearer to each other than the rate, come to lie a rate apart.
        assert_proved(
            z3.Or(pixel + step <= one + rate, pixel + step >= other - rate),
            rate >= 1,
            z3.Or(pixel <= one, pixel >= other),
            what="nothing is read between",
        )
        assert_proved(
            z3.Or(pixel + step <= high, pixel + step >= high + rate),
            rate >= 1,
            z3.Or(pixel <= high - rate, pixel == high),
            what="nothing is read between the last two",
        )
    assert_proved(
        z3.Or(found == rate, found == later - 2 * rate),
        rate >= 1,
        rate <= later,
        what="M is one of these distances",
    )


# Rates that the document names -----

meets_threshold = Claim(
    "hybrid-dilation-formula/one-two-five-meets-the-threshold",
    says="Rates 1, 2, 5 satisfy the formula with M = 1, 2, 5, of which the second is at most 3, "
    "the width of the kernel.",
    cites=["003:53-54"],
    recorded=Holds(),
)

sawtooth_meets_threshold = Claim(
    "hybrid-dilation-formula/recommended-sawtooth-meets-the-threshold",
    says="The rates 1, 2, 5, 1, 2, 5 that the document recommends satisfy its formula with an M of "
    "the second layer that is at most 3, the width of the kernel.",
    cites=["003:51", "003:53-54"],
    recorded=Refuted(instead="hybrid-dilation-formula/one-two-five-meets-the-threshold"),
)


@meets_threshold.judged(
    subject=FORMULA,
    on=[(1, 2, 5)],
    flipped_by=[
        rate_left_out,
        other_terms("the next M", lambda later, rate: (later, 0)),
        other_terms("the next M less the rate", lambda later, rate: (later - rate, rate)),
    ],
)
def m_is_one_two_five(formula: Formula, rates: tuple[int, ...]) -> None:
    assert formula(rates) == [1, 2, 5], f"M is {formula(rates)}"


@sawtooth_meets_threshold.judged(
    subject=FORMULA,
    on=[SAWTOOTH],
    flipped_by=[
        other_terms("without the second term", lambda later, rate: (later - 2 * rate, rate)),
    ],
)
def second_m_is_at_most_three(formula: Formula, rates: tuple[int, ...]) -> None:
    found = formula(rates)
    assert found[1] <= 3, f"M is {found}, and {found[1]} is above 3"
