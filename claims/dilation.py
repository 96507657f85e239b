"""Dilated convolution: what its rate means, what it reads, and objects small and large.

Document 003 (lines 31 to 37 and 46).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from claims._dilated_stacks import (
    LARGE,
    SMALL,
    TAPS,
    Objects,
    Taps,
    assert_proved,
    beside_the_centre,
    dilation_left_out,
    dilation_swapped,
    equivalent_kernel,
    no_holes,
    objects_told_apart,
    rate_counts_holes,
    rate_one_less,
)
from claims._facts import sourced
from claims.cases import CONVOLUTIONS, Convolution, wide
from claims.checks import Array, same
from claims.core.claim import PROOF, Claim, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.fields import perturbed
from claims.faults.formulas import formula, layer
from claims.subjects import (
    FACTS,
    FORMULAS,
    LAYERS,
    MODELS,
    OPERATORS,
    Fact,
    Formulas,
    Layers,
    Models,
)
from nin_ref import counting, oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

# A kernel with holes ------------------------------------------------------------------------------

standard_kernel = Claim(
    "dilation/standard-kernel-reads-three-by-three",
    says="Each output of a standard 3x3 convolution depends on a square of 3x3 pixels, on all of "
    "them and on no other.",
    cites=["003:31"],
    recorded=Holds(),
)


@standard_kernel.judged(
    subject=OPERATORS,
    on=Sample(
        "3x3 convolutions of an image with 7x9 pixels",
        [
            Convolution(1, 1, 1, 7, 9, (3, 3), stride=stride, seed=seed)
            for stride, seed in [((1, 1), 0), ((2, 1), 1), ((1, 3), 2)]
        ],
    ),
    flipped_by=[
        faults.shifted,
        faults.neighbours_mixed,
        faults.kernel_row_ignored,
        faults.row_ignored,
        faults.stride_swapped,
        faults.wrong(
            "rate 2, and padding to match",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, w, b, **o | {"dilation": (2, 2), "padding": (1, 1)}),
        ),
    ],
)
def window_is_read(ops: Operators, c: Convolution) -> None:
    pixels = np.eye(c.height * c.width).reshape(-1, 1, c.height, c.width)
    outputs = ops.conv2d(pixels, c.weight, **c.options)[:, 0]
    expected = np.zeros_like(outputs, dtype=bool).reshape(c.height, c.width, *outputs.shape[1:])
    for row, column in np.ndindex(outputs.shape[1:]):
        top, left = row * c.stride[0], column * c.stride[1]
        expected[top : top + 3, left : left + 3, row, column] = True
    same(outputs != 0, expected.reshape(outputs.shape), "whether a pixel is read")


DILATED = Sample(
    f"{CONVOLUTIONS.described}, of a rate above 1",
    [one for one in CONVOLUTIONS.covering if one.dilation != (1, 1)],
)


def with_zeros(c: Convolution) -> tuple[Array, dict[str, Any]]:
    """Return the kernel with zeros between its taps, and the options of a standard convolution."""
    down, across = c.dilation
    rows, columns = ((size - 1) * rate + 1 for size, rate in zip(c.kernel, c.dilation, strict=True))
    kernel = np.zeros((*c.weight.shape[:2], rows, columns))
    kernel[:, :, ::down, ::across] = c.weight
    return kernel, c.options | {"dilation": (1, 1)}


zeros_inserted = Claim(
    "dilation/inserts-zeros-between-taps",
    says="A dilated convolution is the standard convolution whose kernel has rate - 1 zeros "
    "between neighbouring taps, and its taps have the gradients that they have there.",
    cites=["003:31"],
    recorded=Holds(),
)


@zeros_inserted.judged(
    subject=OPERATORS,
    on=DILATED,
    flipped_by=[
        faults.dilation_ignored,
        dilation_swapped,
        rate_counts_holes,
        rate_one_less,
        faults.kernel_flipped,
        faults.padding_ignored,
        faults.groups_interleaved,
        faults.bias_missing,
        faults.conv2d_in_float32,
    ],
)
def standard_convolution_with_zeros(ops: Operators, c: Convolution) -> None:
    kernel, options = with_zeros(c)
    expected = oracle.conv2d(wide(c.x), kernel, c.bias, **options)
    same(ops.conv2d(wide(c.x), c.weight, c.bias, **c.options), expected, "the convolution")


@zeros_inserted.judged(
    subject=OPERATORS,
    on=DILATED,
    flipped_by=[
        faults.input_gradient_flipped,
        faults.weight_gradient_of_first_image,
        faults.bias_gradient_missing,
        faults.conv2d_gradients_in_float32,
        faults.wrong(
            "weight gradient flipped",
            "conv2d_gradients",
            lambda f, x, w, g, **o: (
                f(x, w, g, **o)[0],
                f(x[:, :, ::-1, ::-1].copy(), w, g[:, :, ::-1, ::-1].copy(), **o)[1],
                f(x, w, g, **o)[2],
            ),
        ),
    ],
)
def gradients_of_that_convolution(ops: Operators, c: Convolution) -> None:
    kernel, options = with_zeros(c)
    pulled = wide(c.output_gradient)
    expected = oracle.conv2d_gradients(c.x, kernel, pulled, **options)
    of_input, of_weight, of_bias = ops.conv2d_gradients(c.x, c.weight, pulled, **c.options)
    down, across = c.dilation
    same(of_input, expected[0], "the gradient of the input")
    same(of_weight, expected[1][:, :, ::down, ::across], "the gradient of the taps")
    same(of_bias, expected[2], "the gradient of the biases")


@dataclass(frozen=True)
class Kernel:
    """A kernel and its rates."""

    size: Pair
    rates: Pair

    def seen(self, layers: Layers) -> Array:
        """Return by autograd which pixels [H, W] an output of a real layer depends on."""
        made = layers.Conv2d(1, 1, self.size, dilation=self.rates)
        return counting.gradient_support(made, (1, 1, 20, 21), output_position=(1, 0))


THREE_BY_THREE = [Kernel((3, 3), rates) for rates in [(1, 1), (2, 2), (3, 5), (8, 1)]]
OTHER_KERNELS = [Kernel((2, 5), (3, 2)), Kernel((4, 1), (2, 6)), Kernel((1, 2), (1, 4))]

rates_swapped = layer(
    "rates of height and width swapped",
    "Conv2d",
    lambda f, i, o, k, *, dilation: f(i, o, k, dilation=dilation[::-1]),
)
one_rate_less = layer(
    "rate one less",
    "Conv2d",
    lambda f, i, o, k, *, dilation: f(i, o, k, dilation=[max(1, rate - 1) for rate in dilation]),
)
grown_kernel = layer(
    "a larger kernel in place of holes",
    "Conv2d",
    lambda f, i, o, k, *, dilation, **options: f(
        i, o, [(size - 1) * rate + 1 for size, rate in zip(k, dilation, strict=True)], **options
    ),
)

widens = Claim(
    "dilation/widens-the-kernel",
    says="Dilation gives a kernel a wider range: k taps at rate r span k + (k - 1)(r - 1) pixels, "
    "three taps 3, 5, 7 pixels at rates 1, 2, 3.",
    cites=["003:31", "003:46"],
    recorded=Holds(),
)


@widens.judged(
    subject=LAYERS,
    on=Sample("kernels up to 4x5 at rates up to 8", [*THREE_BY_THREE, *OTHER_KERNELS]),
    flipped_by=[dilation_left_out, one_rate_less, rates_swapped],
)
def span_of_the_taps(layers: Layers, c: Kernel) -> dict[str, int]:
    spans = []
    for taps, rate, places in zip(c.size, c.rates, np.nonzero(c.seen(layers)), strict=True):
        spans.append(int(places.max() - places.min()) + 1)
        expected = taps + (taps - 1) * (rate - 1)
        assert spans[-1] == expected, f"{taps} taps at rate {rate} span {spans[-1]} pixels"
    return {"height": spans[0], "width": spans[1]}


@widens.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        formula(
            "rate forgotten",
            "output_size",
            lambda f, size, kernel, stride=1, padding=0, dilation=1: f(
                size, kernel, stride, padding
            ),
        ),
        formula(
            "rate counts the holes",
            "output_size",
            lambda f, size, kernel, stride=1, padding=0, dilation=1: f(
                size, kernel, stride, padding, dilation + 1
            ),
        ),
    ],
)
def sizes_are_those_of_a_kernel_of_that_span(formulas: Formulas, _: Proof) -> None:
    import sympy

    size, taps, rate, stride = sympy.symbols("n k r s", integer=True, positive=True)
    padding = sympy.Symbol("p", integer=True, nonnegative=True)
    dilated = formulas.output_size(size, taps, stride, padding, rate)
    span = taps + (taps - 1) * (rate - 1)
    surplus = sympy.expand(dilated) - sympy.expand(
        formulas.output_size(size, span, stride, padding)
    )
    assert surplus == 0, f"an output is larger by {surplus} than a kernel that wide gives"


nine_taps = Claim(
    "dilation/keeps-nine-taps",
    says="Whatever its rate, a 3x3 kernel reads nine pixels for an output and has nine weights for "
    "each pair of channels.",
    cites=["003:31"],
    recorded=Holds(),
)


@nine_taps.judged(
    subject=LAYERS,
    on=Sample("3x3 kernels at rates up to 8", THREE_BY_THREE),
    flipped_by=[
        grown_kernel,
        layer("a row less", "Conv2d", lambda f, i, o, k, **options: f(i, o, (2, 3), **options)),
        layer(
            "a channel more",
            "Conv2d",
            lambda f, i, o, k, **options: f(i + (i > 1), o, k, **options),
        ),
    ],
)
def nine_pixels_and_nine_weights(layers: Layers, c: Kernel) -> None:
    read = int(c.seen(layers).sum())
    assert read == 9, f"at rates {c.rates} an output reads {read} pixels"
    weights = layers.Conv2d(2, 5, c.size, dilation=c.rates, bias=False).parameters()
    counted = sum(weight.numel() for weight in weights)
    assert counted == 2 * 5 * 9, f"at rates {c.rates} a layer has {counted} weights"


def _kernels_without_holes(model: Any) -> None:
    """Put kernels as wide as the dilated ones in their place."""
    from torch import nn

    for name, conv in list(model.named_modules()):
        if isinstance(conv, nn.Conv2d) and conv.dilation[0] > 1:
            span = 2 * conv.dilation[0] + 1
            sizes = (conv.in_channels, conv.out_channels, span)
            surgeries.put(model, name, nn.Conv2d(*sizes, bias=False, device="meta"))


@nine_taps.judged(
    subject=MODELS,
    on=["deeplabv3_resnet50"],
    flipped_by=[surgeries.surgery("kernels without holes", _kernels_without_holes)],
)
def as_many_weights_as_without_dilation(models: Models, name: str) -> dict[str, int]:
    from torch import nn

    trunk = models(name).get_submodule("backbone")
    weights, plain = (
        {key: tuple(weight.shape) for key, weight in model.named_parameters()}
        for model in (trunk, models("resnet50"))
    )
    dilated = sum(one.dilation[0] > 1 for one in trunk.modules() if isinstance(one, nn.Conv2d))
    assert dilated, f"no layer of {name}'s trunk is dilated"
    for key, shape in weights.items():
        assert shape == plain[key], f"{key} has shape {shape}, {plain[key]} without dilation"
    return {"dilated layers": dilated}


# The rate -----------------------------------------------------------------------------------------

RATE = "the dilation rate is the number of spaces between the points of a kernel"
RATES = [*itertools.product((1, 2, 5), (1, 3)), (4, 7)]

is_distance = Claim(
    "dilation/rate-is-the-distance-between-taps",
    says="The dilation rate is the distance in pixels from each tap to the next, 1 in a standard "
    "kernel.",
    cites=["003:32"],
    recorded=Holds(),
    reading_of=RATE,
)

counts_holes = Claim(
    "dilation/rate-counts-the-holes-between-taps",
    says="The dilation rate is the number of pixels that are left out between a tap and the next.",
    cites=["003:32"],
    recorded=Refuted(instead="dilation/rate-is-the-distance-between-taps"),
    reading_of=RATE,
)


def distances(ops: Operators, rates: Pair) -> list[set[int]]:
    """Return the distances of neighbouring taps of a 3x3 kernel along each axis."""
    kernel = equivalent_kernel(ops, [rates])
    return [{*np.diff(np.unique(places)).tolist()} for places in np.nonzero(kernel)]


@is_distance.judged(
    subject=OPERATORS,
    on=Sample("3x3 kernels of some rates", RATES),
    flipped_by=[faults.dilation_ignored, dilation_swapped, rate_counts_holes, rate_one_less],
)
def taps_are_a_rate_apart(ops: Operators, rates: Pair) -> None:
    apart = distances(ops, rates)
    assert apart == [{rate} for rate in rates], f"at rates {rates} the taps are {apart} apart"


@counts_holes.judged(
    subject=OPERATORS, on=Sample("3x3 kernels of some rates", RATES), flipped_by=[rate_counts_holes]
)
def rate_pixels_are_left_out(ops: Operators, rates: Pair) -> None:
    for rate, apart in zip(rates, distances(ops, rates), strict=True):
        left_out = [distance - 1 for distance in apart]
        assert left_out == [rate], f"at rate {rate} the pixels left out are {left_out}"


@is_distance.judged(
    subject=OPERATORS,
    on=Sample(
        "convolutions of some kernels",
        [Convolution(2, 3, 4, 7, 9, kernel) for kernel in [(3, 3), (2, 4), (1, 1)]],
    ),
    flipped_by=[
        rate_counts_holes,
        faults.kernel_flipped,
        faults.wrong(
            "rate 2 where none is given",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, w, b, **{"dilation": (2, 2)} | o),
        ),
    ],
)
def rate_one_and_no_rate_are_standard(ops: Operators, c: Convolution) -> None:
    views = np.lib.stride_tricks.sliding_window_view(c.x, c.kernel, axis=(2, 3))
    expected = np.einsum("nchwij,ocij->nohw", views, c.weight)
    same(ops.conv2d(c.x, c.weight), expected, "the convolution without a rate")
    same(ops.conv2d(c.x, c.weight, dilation=(1, 1)), expected, "the convolution of rate 1")


hyperparameter = Claim(
    "dilation/rate-is-a-hyperparameter",
    says="The dilation rate is a hyperparameter: whoever makes a layer sets it, and it is none of "
    "the parameters that are trained.",
    cites=["003:32"],
    recorded=Holds(),
)


def _trained_rate(f: Callable[..., Any], *sizes: Any, **options: Any) -> Any:
    import torch

    made = f(*sizes, **options)
    made.register_parameter("rate", torch.nn.Parameter(torch.ones(2)))
    return made


@hyperparameter.judged(
    subject=LAYERS,
    on=Sample("3x3 layers of rates up to 8", [(1, 1), (2, 3), (8, 1)]),
    flipped_by=[layer("rate trained", "Conv2d", _trained_rate), dilation_left_out],
)
def set_and_not_trained(layers: Layers, rates: Pair) -> None:
    made = layers.Conv2d(2, 5, 3, dilation=rates, device="meta")
    trained = sorted(name for name, _ in made.named_parameters())
    assert trained == ["bias", "weight"], f"trained are {', '.join(trained)}"
    assert made.dilation == rates, f"the rates are {made.dilation}, set were {rates}"


# Objects small and large --------------------------------------------------------------------------

ONLY_LARGE = "a large rate serves large objects only, and small ones may be missed"
NO_LARGER = "the object is no larger than the rate"


@dataclass(frozen=True)
class Window:
    """A square object, by its side, and the rate of a 3x3 layer."""

    rate: int
    side: int


def taps_on(ops: Operators, c: Window, margin: int) -> Array:
    """Return how many taps lie on the object, for each place of it up to a margin off the field."""
    read = np.pad(equivalent_kernel(ops, [(c.rate, c.rate)]) != 0, margin)
    windows = np.lib.stride_tricks.sliding_window_view(read, (c.side, c.side))
    return np.asarray(windows.sum(axis=(2, 3)))


one_tap = Claim(
    "dilation/reads-at-most-one-pixel-of-a-small-object",
    says="Wherever an object lies, a 3x3 layer reads at most one of its pixels.",
    cites=["003:46"],
    recorded=HoldsIf(NO_LARGER),
    reading_of=ONLY_LARGE,
)


@one_tap.judged(
    subject=OPERATORS,
    on=Sample(
        "rates up to 6, square objects of side up to 7",
        [Window(rate, side) for rate in range(1, 7) for side in range(1, 8)],
    ),
    when={NO_LARGER: lambda c: c.side <= c.rate},
    flipped_by=[faults.dilation_ignored, rate_one_less],
)
def objects_hold_one_tap_at_most(ops: Operators, c: Window) -> None:
    most = int(taps_on(ops, c, margin=c.side).max())
    assert most == 1, f"at rate {c.rate} up to {most} taps lie on an object of side {c.side}"


@one_tap.judged(subject=TAPS, on=PROOF, flipped_by=[beside_the_centre, no_holes])
def two_taps_do_not_fit(taps: Taps, _: Proof) -> None:
    import z3

    rate, side, start = z3.Ints("rate side start")
    on_it = [z3.And(start <= tap, tap < start + side) for tap in taps(rate)]
    assert_proved(z3.AtMost(*on_it, 1), side >= 1, side <= rate, what="at most one tap fits")


SMALLER = "the object is smaller than the rate"

missed = Claim(
    "dilation/small-object-may-lie-between-the-taps",
    says="An object in the field of a 3x3 layer may lie where the layer reads none of its pixels.",
    cites=["003:46"],
    recorded=HoldsIf(SMALLER),
    reading_of=ONLY_LARGE,
)


@missed.judged(
    subject=OPERATORS,
    on=Sample(
        "rates up to 6, square objects of side up to 6",
        [Window(rate, side) for rate in range(2, 7) for side in range(1, rate + 1)],
    ),
    when={SMALLER: lambda c: c.side < c.rate},
    flipped_by=[faults.dilation_ignored, rate_one_less, rate_counts_holes],
)
def some_place_has_no_tap(ops: Operators, c: Window) -> None:
    fewest = int(taps_on(ops, c, margin=0).min())
    assert fewest == 0, f"at rate {c.rate} an object of side {c.side} always holds a tap"


@missed.judged(subject=TAPS, on=PROOF, flipped_by=[beside_the_centre, no_holes])
def the_place_beside_the_centre_has_none(taps: Taps, _: Proof) -> None:
    import z3

    rate, side = z3.Ints("rate side")
    free = [z3.Or(tap < 1, tap > side) for tap in taps(rate)]
    inside = z3.And(taps(rate)[0] <= 1, side <= taps(rate)[-1])
    assert_proved(z3.And(inside, *free), side >= 1, side < rate, what="no tap is on pixel 1 to s")


trained_for_large = Claim(
    "dilation/large-rate-finds-large-objects-only",
    says="Trained to find bright squares under noise, three 3x3 layers of one rate, at least the "
    "side of the small ones, tell pixels of large ones from the background, but those of small "
    "ones no better than the brightness of one pixel does.",
    cites=["003:46"],
    recorded=Holds(),
    reading_of=ONLY_LARGE,
    cost="cpu",
)


@trained_for_large.judged(
    subject=LAYERS,
    on=Sample(
        f"three layers of rate 4 or 5, squares of side {SMALL} and {LARGE}, from two seeds",
        [Objects((rate,) * 3, seed) for rate in (4, 5) for seed in (0, 1)],
    ),
    flipped_by=[
        dilation_left_out,
        layer("kernels of one pixel", "Conv2d", lambda f, i, o, *_, **__: f(i, o, 1)),
    ],
)
def small_objects_stay_in_the_noise(layers: Layers, c: Objects) -> None:
    small, large = objects_told_apart(layers, c)
    assert large > 0.85, f"rates {list(c.rates)}: large objects are told in {large:.0%} of pairs"
    assert small < 0.76, f"rates {list(c.rates)}: small objects are told in {small:.0%} of pairs"


HIGH, WIDE = "the rate reaches the height of the map", "the rate reaches the width of the map"

centre_tap_only = Claim(
    "dilation/huge-rate-leaves-the-centre-tap",
    says="A 3x3 layer that is padded by its rate does what the 1x1 layer of its centre does.",
    cites=["003:46"],
    recorded=HoldsIf(HIGH, WIDE),
)


@centre_tap_only.judged(
    subject=OPERATORS,
    on=Sample(
        "3x3 layers on maps of 5x7 pixels, rates from 4 to 9",
        [
            Convolution(2, 3, 4, 5, 7, (3, 3), (1, 1), rates, rates, seed=number)
            for number, rates in enumerate([(5, 7), (6, 9), (4, 7), (4, 8), (5, 6), (6, 6)])
        ],
    ),
    when={
        HIGH: lambda c: c.dilation[0] >= c.height,
        WIDE: lambda c: c.dilation[1] >= c.width,
    },
    flipped_by=[
        faults.dilation_ignored,
        dilation_swapped,
        rate_one_less,
        faults.padded_by_edge,
        faults.bias_missing,
        faults.channel_ignored,
    ],
)
def only_the_centre_counts(ops: Operators, c: Convolution) -> None:
    expected = np.einsum("nchw,oc->nohw", c.x, c.weight[:, :, 1, 1]) + c.bias[:, None, None]
    same(ops.conv2d(c.x, c.weight, c.bias, **c.options), expected, "the output")


@centre_tap_only.judged(subject=TAPS, on=PROOF, flipped_by=[beside_the_centre, no_holes])
def other_taps_lie_in_the_padding(taps: Taps, _: Proof) -> None:
    import z3

    rate, place, size = z3.Ints("rate place size")
    outside = [z3.Or(tap == 0, place + tap < 0, place + tap >= size) for tap in taps(rate)]
    assert_proved(
        z3.And(*outside),
        rate >= size,
        place >= 0,
        place < size,
        what="taps beside the centre lie outside the map",
    )


# Papers -------------------------------------------------------------------------------------------

TITLES = {
    "dilated-convolution/title": "Multi-Scale Context Aggregation by Dilated Convolutions",
    "hybrid-dilated-convolution/title": "Understanding Convolution for Semantic Segmentation",
    "deeplab-v3/title": "Rethinking Atrous Convolution for Semantic Image Segmentation",
}

papers = Claim(
    "dilation/papers-have-these-titles",
    says="Three papers on dilated convolution are called as the document lists them.",
    cites=["003:34-37"],
    recorded=Holds(),
)


@papers.judged(
    subject=FACTS,
    on=list(TITLES),
    flipped_by=[perturbed(f"{key} is another", key, value="Another title") for key in TITLES],
)
def titles_are_on_record(facts: Mapping[str, Fact], key: str) -> dict[str, str]:
    fact = facts[key]
    assert fact.value == TITLES[key], f"the record says {fact.value}"
    return sourced(fact)
