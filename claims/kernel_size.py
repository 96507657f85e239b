"""What the size of a kernel costs, and what two small ones in the place of a large one save.

Document 003 (lines 7 to 9, 11 and 16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from claims import _classics as classics
from claims._kernel_stacks import (
    box,
    cut_to_3x3,
    other_kernel,
    same_formula,
    seen,
    stack_of,
)
from claims._steps import steps_that_take, times_as_long
from claims.checks import same
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Recorded, Refuted, Undecided
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.formulas import formula, layer
from claims.faults.models import surgery
from claims.subjects import (
    FORMULAS,
    LAYERS,
    MEASUREMENTS,
    MODELS,
    OPERATORS,
    Evidence,
    Formulas,
    Layers,
    Models,
)
from claims.trained import trained
from claims.training.rules import Lower
from nin_ref import counting, oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    from torch import nn

always_3x3 = layer("every kernel 3x3", "Conv2d", lambda f, i, o, _, **more: f(i, o, 3, **more))
one_column = layer(
    "kernels of one column", "Conv2d", lambda f, i, o, kernel, **more: f(i, o, (kernel, 1), **more)
)
linear_in_the_kernel = formula(
    "weights grow with the side of the kernel",
    "conv2d_parameters",
    lambda f, i, o, rows, _, **more: f(i, o, rows, 1, **more),
)


def positive(polynomial: Any) -> bool:
    """Whether a polynomial is positive for all non-negative numbers, as its coefficients show."""
    import sympy

    terms = sympy.Poly(sympy.expand(polynomial)).as_dict()
    return min(terms.values()) > 0 and any(sum(powers) == 0 for powers in terms)


# What larger kernels see --------------------------------------------------------------------------


@dataclass(frozen=True)
class TwoSizes:
    """Stacked convolutions of one kernel size, and others with larger kernels."""

    kernel: int
    layers: int
    larger_kernel: int
    larger_layers: int


sees_more = Claim(
    "kernel-size/larger-kernels-see-more",
    says="The larger the kernels of stacked convolutions, the larger their receptive field and the "
    "more pixels they see.",
    cites=["003:7"],
    recorded=HoldsIf("as many layers"),
)


@sees_more.judged(
    subject=OPERATORS,
    on=Sample(
        "one to three convolutions, kernels from 1x1 to 7x7",
        [
            TwoSizes(1, 1, 2, 1),
            TwoSizes(3, 2, 4, 2),
            TwoSizes(2, 3, 3, 3),
            TwoSizes(3, 2, 7, 1),
            TwoSizes(3, 3, 5, 1),
        ],
    ),
    when={"as many layers": lambda c: c.layers == c.larger_layers},
    flipped_by=[faults.kernel_row_ignored, faults.neighbours_mixed, cut_to_3x3],
)
def more_pixels_seen(ops: Operators, c: TwoSizes) -> None:
    pixels = []
    for kernel, layers in ((c.kernel, c.layers), (c.larger_kernel, c.larger_layers)):
        side = 1 + layers * (kernel - 1)
        mask = seen(ops, (side + 1, side + 2), layers * [kernel])
        same(mask, box(mask.shape, side), "which pixels are seen")
        pixels.append(mask.sum())
    fewer, more = pixels
    assert fewer < more, (
        f"{c.layers} kernels of {c.kernel}x{c.kernel} see {fewer} pixels, {c.larger_layers} of "
        f"{c.larger_kernel}x{c.larger_kernel} {more}"
    )


@sees_more.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[formula("every kernel 3x3", "output_size", lambda f, size, _: f(size, 3))],
)
def larger_kernels_leave_fewer_units(formulas: Formulas, _: Proof) -> None:
    """Go by induction: what sees more, under a larger kernel still sees more.

    Unpadded convolutions put out a unit for each place that their receptive field has in the image,
    so that fewer units mean a larger field.
    """
    import sympy

    names = "size field kernel wider larger"
    size, field, kernel, wider, larger = sympy.symbols(names, nonnegative=True, integer=True)
    units = formulas.output_size(formulas.output_size(size, field), kernel)
    fewer = formulas.output_size(formulas.output_size(size, field + wider), kernel + 1 + larger)
    same_formula(units, size - (field + kernel - 1) + 1, "units")
    assert positive(units - fewer), f"{units - fewer} units less"


before_vgg = Claim(
    "kernel-size/networks-before-vgg-start-with-larger-kernels",
    says="Before VGG large kernels were preferred: LeNet reads the image with 5x5 kernels, AlexNet "
    "with 11x11, Network in Network with one of these.",
    cites=["003:7"],
    recorded=Holds(),
)

FIRST_KERNEL = {
    "lenet5": 5,
    "lecture-alexnet": 11,
    "alexnet": 11,
    "cifar10-nin": 5,
    "lecture-nin": 11,
}


@before_vgg.judged(subject=MODELS, on=list(FIRST_KERNEL), flipped_by=[other_kernel(0, 3)])
def first_kernel_is_large(models: Models, name: str) -> None:
    kernel = classics.convolutions(models(name))[0].kernel_size
    assert kernel == 2 * (FIRST_KERNEL[name],), f"the first kernel of {name} is {kernel}"


better_features = trained(
    "kernel-size/larger-kernels-find-better-features",
    says="Larger kernels extract better features: with 5x5 in the place of each 3x3, a network as "
    "deep and as wide classifies CIFAR-10 more accurately.",
    cites=["003:7"],
    rule=Lower("trunk-5x5", "trunk", seeds=5),
)

# What larger kernels cost -------------------------------------------------------------------------

square_growth = Claim(
    "kernel-size/weights-grow-with-the-square-of-the-kernel",
    says="The number of weights soars with the kernel: a k x k kernel has k * k / 9 times those of "
    "a 3x3, so that as many weights make fewer layers of the same width.",
    cites=["003:8", "003:9"],
    recorded=Holds(),
)


@square_growth.judged(
    subject=LAYERS,
    on=Sample("convolutions from 3 to 8 channels, kernels up to 11x11", [1, 3, 5, 7, 11]),
    flipped_by=[always_3x3, one_column],
)
def nine_weights_become_k_squared(layers: Layers, side: int) -> dict[str, float]:
    weights = counting.parameter_count(layers.Conv2d(3, 8, side, bias=False, device="meta"))
    of_3x3 = 3 * 8 * 9
    assert 9 * weights == side**2 * of_3x3, f"{side}x{side}: {weights} weights, 3x3: {of_3x3}"
    return {"times a 3x3": weights / of_3x3}


@square_growth.judged(subject=FORMULAS, on=PROOF, flipped_by=[linear_in_the_kernel])
def by_the_square_for_any_widths(formulas: Formulas, _: Proof) -> None:
    import sympy

    side, before, behind = sympy.symbols("k C O", positive=True, integer=True)
    weights = formulas.conv2d_parameters(before, behind, side, side, bias=False)
    same_formula(weights, side**2 * before * behind, "weights")


@dataclass(frozen=True)
class OnAnImage:
    """A kernel and a larger one on an image, padded so that its size is kept, or not."""

    kernel: int
    larger: int
    height: int
    width: int
    padded: bool = True


PADDED_OR_HALF = (
    "padding keeps the size, or the larger kernel covers half of each side (rounded up) at most"
)

more_arithmetic = Claim(
    "kernel-size/larger-kernels-need-more-multiply-adds",
    says="The larger its kernel, the more multiply-adds a convolution does for an image.",
    cites=["003:8"],
    recorded=HoldsIf(PADDED_OR_HALF),
)


@more_arithmetic.judged(
    subject=LAYERS,
    on=Sample(
        "two kernels on one image, with and without padding",
        [
            OnAnImage(3, 11, 4, 6),
            OnAnImage(3, 5, 9, 12, padded=False),
            OnAnImage(4, 5, 8, 8, padded=False),
            OnAnImage(3, 11, 11, 13, padded=False),
        ],
    ),
    when={PADDED_OR_HALF: lambda c: c.padded or 2 * c.larger <= min(c.height, c.width) + 1},
    flipped_by=[
        always_3x3,
        layer(
            "every second place left out",
            "Conv2d",
            lambda f, i, o, k, **more: f(i, o, k, **more | {"stride": 1 + (k > 3)}),
        ),
    ],
)
def larger_kernel_does_more(layers: Layers, c: OnAnImage) -> None:
    costs = []
    for kernel in (c.kernel, c.larger):
        padding = kernel // 2 if c.padded else 0
        convolution = layers.Conv2d(3, 4, kernel, padding=padding, device="meta")
        costs.append(counting.multiply_adds(convolution, 1, 3, c.height, c.width))
        places = [oracle.output_size(one, kernel, 1, padding) for one in (c.height, c.width)]
        expected = 3 * 4 * kernel**2 * places[0] * places[1]
        assert costs[-1] == expected, f"{costs[-1]:,} with {kernel}x{kernel}, not {expected:,}"
    fewer, more = costs
    assert fewer < more, f"{fewer:,} with a side of {c.kernel}, {more:,} with {c.larger}"


@more_arithmetic.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[linear_in_the_kernel, wrong_formulas.padding_counted_once],
)
def more_for_any_sizes(formulas: Formulas, _: Proof) -> None:
    """Take odd kernels with padding, and any without that cover at most half of the image."""
    import sympy

    names = "height width small grown"
    *beyond, small, grown = sympy.symbols(names, nonnegative=True, integer=True)
    large = small + 1 + grown

    def cost(side: Any, image: Sequence[Any], padding: Any = 0) -> Any:
        places = (formulas.output_size(extent, side, padding=padding) for extent in image)
        counted = formulas.conv2d_parameters(1, 1, side, side, bias=False) * sympy.prod(places)
        expected = (extent + 2 * padding - side + 1 for extent in image)
        same_formula(counted, side**2 * sympy.prod(expected), "multiply-adds")
        return counted

    image = [1 + extent for extent in beyond]
    more = cost(2 * large + 1, image, padding=large) - cost(2 * small + 1, image, padding=small)
    assert positive(more), "not more with padding"
    image = [2 * large + 1 + extent for extent in beyond]
    assert positive(cost(large + 1, image) - cost(small + 1, image)), "not more without padding"


def step_takes_longer(evidence: Evidence, c: tuple[str, str, str]) -> dict[str, float]:
    device, one, other = c
    ratio = times_as_long(evidence, device, one, other)
    assert ratio > 1, f"a step of {one} takes {ratio:.2g} times as long as one of {other}"
    return {"ratio": ratio}


def timed(
    id_: str,
    says: str,
    cites: Sequence[str],
    on_cpu: Recorded,
    *,
    longer: Sequence[tuple[str, str]],
    reading_of: str,
    flipped_by: Sequence[Fault[Evidence]],
) -> tuple[Claim, ...]:
    """Return the claims that the one of each pair of steps takes longer, on a CPU and on a GPU."""
    verdicts = {"CPU": on_cpu, "GPU": Undecided("`make measure` on a machine with a GPU")}
    on_either = [
        Claim(
            f"{id_}-on-a-{device.lower()}",
            says=f"On a {device}, {says}",
            cites=cites,
            recorded=recorded,
            reading_of=reading_of,
        )
        for device, recorded in verdicts.items()
    ]
    for claim, device in zip(on_either, ("cpu", "cuda"), strict=True):
        pairs = [(device, *pair) for pair in longer]
        judged = claim.judged(subject=MEASUREMENTS, on=pairs, flipped_by=flipped_by)
        judged(step_takes_longer)
    return tuple(on_either)


slower = timed(
    "kernel-size/larger-kernels-take-longer",
    "a training step of a convolution takes longer with 5x5 kernels than with 3x3, and longer "
    "still with 7x7.",
    ["003:8"],
    Holds(),
    longer=[("one-5x5", "one-3x3"), ("one-7x7", "one-5x5")],
    reading_of="larger kernels lower the computing performance",
    flipped_by=[
        steps_that_take("5x5 before 3x3", {"one-3x3": 1.01, "one-5x5": 1, "one-7x7": 2}),
        steps_that_take("7x7 before 5x5", {"one-3x3": 1, "one-5x5": 2, "one-7x7": 1.99}),
    ],
)


@dataclass(frozen=True)
class RoomForLayers:
    """An image, and convolutions to be put one behind the other on it."""

    height: int
    width: int
    kernel: int
    padding: int = 0


fewer_fit = Claim(
    "kernel-size/larger-kernels-leave-room-for-fewer-layers",
    says="Large kernels use up the image, so that fewer layers fit on it: on n pixels (n - 1) / "
    "(k - 1) convolutions with k x k kernels, rounded down, one behind the other.",
    cites=["003:9"],
    recorded=HoldsIf("no padding"),
)


@fewer_fit.judged(
    subject=LAYERS,
    on=Sample(
        "kernels from 2x2 to 7x7 on images of 4x6 to 30x13",
        [
            RoomForLayers(8, 9, 2),
            RoomForLayers(8, 20, 3),
            RoomForLayers(30, 13, 5),
            RoomForLayers(15, 16, 7),
            RoomForLayers(4, 6, 5),
            RoomForLayers(8, 9, 3, padding=1),
            RoomForLayers(11, 9, 5, padding=2),
        ],
    ),
    when={"no padding": lambda c: c.padding == 0},
    flipped_by=[
        wrong_formulas.padding_added,
        layer("stride of 2", "Conv2d", lambda f, *a, **more: f(*a, **more | {"stride": 2})),
    ],
)
def no_further_layer_fits(layers: Layers, c: RoomForLayers) -> None:
    import torch

    expected = (min(c.height, c.width) - 1) // (c.kernel - 1)
    convolution = layers.Conv2d(1, 1, c.kernel, padding=c.padding, device="meta")
    maps, number = torch.empty(1, 1, c.height, c.width, device="meta"), 0
    while min(maps.shape[2:]) + 2 * c.padding >= c.kernel and number <= expected:
        maps, number = convolution(maps), number + 1
    assert number == expected, (
        f"{c.kernel}x{c.kernel} with padding {c.padding} on {c.height}x{c.width}: at least {number}"
        f" layers fit, not {expected}"
    )


@fewer_fit.judged(subject=FORMULAS, on=PROOF, flipped_by=[wrong_formulas.output_size_off_by_one])
def each_layer_uses_up_its_kernel_less_one(formulas: Formulas, _: Proof) -> None:
    """Go by induction over the layers: each takes k - 1 of n - 1, and fits if as much is left."""
    import sympy

    size, kernel = sympy.symbols("n k", positive=True, integer=True)
    left = formulas.output_size(size, kernel)
    same_formula(left - 1, (size - 1) - (kernel - 1), "pixels left but one")


# Two small kernels for a large one: parameters ----------------------------------------------------

AS_MANY = "as many channels throughout"


def stack_and_large(layers: Layers, channels: Sequence[int]) -> tuple[int, int]:
    """Return the weights of stacked 3x3 convolutions, and of the one in whose place they stand."""
    ends = channels[0], channels[-1]
    built = stack_of(layers, channels), stack_of(layers, ends, 2 * len(channels) - 1)
    return counting.parameter_count(built[0]), counting.parameter_count(built[1])


eighteen_for_25 = Claim(
    "kernel-size/two-3x3-have-18-weights-for-25",
    says="For each input and output channel two 3x3 kernels have 18 weights where a 5x5 has 25, "
    "and three have 27 where a 7x7 has 49: n have 9 n for (2 n + 1) squared.",
    cites=["003:11", "003:16"],
    recorded=HoldsIf(AS_MANY),
)


@eighteen_for_25.judged(
    subject=LAYERS,
    on=Sample(
        "two to four convolutions of 1 to 64 channels",
        [(1, 1, 1), (64, 64, 64), (5, 5, 5, 5), (2, 2, 2, 2, 2), (3, 64, 64), (4, 6, 6, 4)],
    ),
    when={AS_MANY: lambda channels: len(set(channels)) == 1},
    flipped_by=[always_3x3, one_column],
)
def nine_n_for_2n_plus_1_squared(layers: Layers, channels: tuple[int, ...]) -> dict[str, float]:
    few, many = stack_and_large(layers, channels)
    number = len(channels) - 1
    assert few == 9 * sum(i * o for i, o in pairwise(channels)), f"3x3 kernels have {few:,} weights"
    assert few * (2 * number + 1) ** 2 == many * 9 * number, (
        f"{number} of 3x3 over {'-'.join(map(str, channels))} channels have {few:,} weights, one "
        f"of {2 * number + 1}x{2 * number + 1} has {many:,}"
    )
    return {"share": few / many}


@eighteen_for_25.judged(subject=FORMULAS, on=PROOF, flipped_by=[linear_in_the_kernel])
def the_same_share_at_any_width(formulas: Formulas, _: Proof) -> None:
    import sympy

    width, number = sympy.symbols("C n", positive=True, integer=True)
    side = 2 * number + 1
    few = number * formulas.conv2d_parameters(width, width, 3, 3, bias=False)
    many = formulas.conv2d_parameters(width, width, side, side, bias=False)
    same_formula(many, (side * width) ** 2, "weights of the large kernel")
    same_formula(few * side**2, many * 9 * number, "weights in proportion")


NARROW = "fewer channels between than 25/18 of the harmonic mean of those outside"

any_widths = Claim(
    "kernel-size/two-3x3-have-fewer-weights-than-a-5x5",
    says="Two 3x3 convolutions in the place of a 5x5 have fewer weights than it.",
    cites=["003:11", "003:16"],
    recorded=HoldsIf(NARROW),
)


@any_widths.judged(
    subject=LAYERS,
    on=Sample(
        "channels before, between and behind, those where VGG widens among them",
        [
            *((64, 64, 64), (128, 48, 64), (18, 24, 18), (3, 5, 9)),
            *((3, 64, 64), (64, 128, 128), (18, 25, 18), (1, 2, 1)),
        ],
    ),
    when={NARROW: lambda c: 18 * c[1] * (c[0] + c[2]) < 25 * 2 * c[0] * c[2]},
    flipped_by=[always_3x3, one_column],
)
def two_are_fewer(layers: Layers, channels: tuple[int, int, int]) -> dict[str, float]:
    few, many = stack_and_large(layers, channels)
    before, between, behind = channels
    expected = 9 * between * (before + behind), 25 * before * behind
    assert (few, many) == expected, f"they have {few:,} and {many:,} weights"
    assert few < many, (
        f"over {'-'.join(map(str, channels))} channels two 3x3 have {few:,} weights, a 5x5 has "
        f"{many:,}"
    )
    return {"share": few / many}


@any_widths.judged(subject=FORMULAS, on=PROOF, flipped_by=[linear_in_the_kernel])
def fewer_exactly_there(formulas: Formulas, _: Proof) -> None:
    import sympy

    before, between, behind = sympy.symbols("before between behind", positive=True, integer=True)
    few = sum(
        formulas.conv2d_parameters(*ends, 3, 3, bias=False)
        for ends in pairwise((before, between, behind))
    )
    many = formulas.conv2d_parameters(before, behind, 5, 5, bias=False)
    # Over 9 (before + behind) this is 25/18 of the harmonic mean less the channels between.
    same_formula(many - few, 25 * before * behind - 9 * between * (before + behind), "saved")


SAVED = "small kernels greatly reduce the parameters of VGG"


def stacks_of(model: nn.Module) -> list[list[Any]]:
    """Return the convolutions of a VGG, those between two pools together."""
    found: list[list[Any]] = [[]]
    for one in model.modules():
        kind = type(one).__name__
        if kind == "Conv2d":
            found[-1].append(one)
        elif kind == "MaxPool2d":
            found.append([])
    return [stack for stack in found if stack]


def weights_of_stacks(model: nn.Module) -> list[tuple[int, int]]:
    """Return the weights of each stack of a VGG, and of one convolution in its place.

    That one leads from the same to the same channels and sees as much.
    """
    found = []
    for stack in stacks_of(model):
        side = 1 + sum(one.kernel_size[0] - 1 for one in stack)
        ends = stack[0].in_channels, stack[-1].out_channels
        large = counting.conv2d_parameters(*ends, side, side, bias=False)
        found.append((sum(one.weight.numel() for one in stack), large))
    return found


def saved_share(model: nn.Module) -> tuple[float, float]:
    """Return the share of weights that stacks save: of convolutions, of the whole network."""
    few, many = map(sum, zip(*weights_of_stacks(model), strict=True))
    return 1 - few / many, (many - few) / (counting.parameter_count(model) + many - few)


def _widths_kept(model: nn.Module) -> None:
    """Let each stack take as many channels as it puts out."""
    from torch import nn

    for first, *_ in stacks_of(model):
        first.in_channels = first.out_channels
        first.weight = nn.Parameter(first.weight[:, :1].expand(-1, first.out_channels, -1, -1))


each_row_saves = Claim(
    "kernel-size/each-stack-of-vgg-saves-weights",
    says="Each stack of 3x3 convolutions of VGG has fewer weights than one convolution between the "
    "same channels with a kernel that sees as much.",
    cites=["003:11", "003:16"],
    recorded=Refuted(instead="kernel-size/stacks-save-less-than-a-tenth-of-vgg"),
    reading_of=SAVED,
)


@each_row_saves.judged(
    subject=MODELS,
    on=["vgg13", "vgg16", "vgg19"],
    flipped_by=[surgery("stacks that keep the number of channels", _widths_kept)],
)
def no_row_has_more(models: Models, name: str) -> None:
    for number, (few, many) in enumerate(weights_of_stacks(models(name)), start=1):
        assert few < many, f"stack {number} of {name} has {few:,} weights, one convolution {many:,}"


much_of_vgg = Claim(
    "kernel-size/stacks-save-a-tenth-of-vgg",
    says="Its stacks of 3x3 kernels, compared with one large kernel in the place of each, save VGG "
    "a large part of its parameters: a tenth or more.",
    cites=["003:16"],
    recorded=Refuted(instead="kernel-size/stacks-save-less-than-a-tenth-of-vgg"),
    reading_of=SAVED,
)
little_of_vgg = Claim(
    "kernel-size/stacks-save-less-than-a-tenth-of-vgg",
    says="All its stacks of 3x3 kernels together save VGG 13 to 42 % of the weights of its "
    "convolutions, but less than a tenth of its parameters, most of which are in fully connected "
    "layers.",
    cites=["003:16"],
    recorded=Holds(),
    reading_of=SAVED,
)


@much_of_vgg.judged(subject=MODELS, on=classics.VGGS, flipped_by=[surgeries.linear_layers_removed])
def a_tenth_is_saved(models: Models, name: str) -> None:
    _, share = saved_share(models(name))
    assert share >= 0.1, f"they save {share:.1%} of the parameters of {name}"


@little_of_vgg.judged(
    subject=MODELS,
    on=classics.VGGS,
    flipped_by=[surgeries.last_convolution_removed, surgeries.linear_layers_removed],
)
def little_is_saved(models: Models, name: str) -> dict[str, float]:
    model = models(name)
    of_convolutions, of_all = saved_share(model)
    assert 0.13 < of_convolutions < 0.43, f"of convolutions, {of_convolutions:.1%} of {name}"
    assert of_all < 0.1, f"the stacks save {of_all:.1%} of the parameters of {name}"
    linear = sum(one.weight.numel() for one in classics.linear_layers(model))
    assert 2 * linear > counting.parameter_count(model), f"{linear:,} are fully connected"
    return {"saved of the convolutions": of_convolutions, "saved of all": of_all}


# Two small kernels for a large one: efficiency ----------------------------------------------------

EFFICIENT = "two 3x3 kernels in the place of a 5x5 are more efficient"


@dataclass(frozen=True)
class Replacement:
    """Two 3x3 convolutions in the place of a 5x5 on an image; the last of them has its stride."""

    channels: tuple[int, int, int]
    height: int
    width: int
    padded: bool = True
    stride: int = 1


NOT_WIDER = "no more channels between than on either side"
PADDED_OR_LARGE = "padding keeps the size, or height and width are 11 or more"

less_arithmetic = Claim(
    "kernel-size/two-3x3-need-fewer-multiply-adds-than-a-5x5",
    says="Two 3x3 convolutions in the place of a 5x5 do fewer multiply-adds for an image.",
    cites=["003:8", "003:11"],
    recorded=HoldsIf(NOT_WIDER, PADDED_OR_LARGE, "stride 1"),
    reading_of=EFFICIENT,
)


@less_arithmetic.judged(
    subject=LAYERS,
    on=Sample(
        "images of 5x6 to 28x20, 1 to 64 channels, with and without padding and stride",
        [
            Replacement((1, 1, 1), 5, 6),
            Replacement((9, 7, 8), 11, 12, padded=False),
            Replacement((7, 7, 7), 11, 11, padded=False),
            Replacement((7, 7, 7), 10, 10, padded=False),
            Replacement((8, 8, 8), 12, 9, stride=2),
            Replacement((16, 32, 32), 28, 20),
        ],
    ),
    when={
        NOT_WIDER: lambda c: c.channels[1] <= min(c.channels),
        PADDED_OR_LARGE: lambda c: c.padded or min(c.height, c.width) >= 11,
        "stride 1": lambda c: c.stride == 1,
    },
    flipped_by=[
        always_3x3,
        wrong_formulas.padding_added,
        layer("strides left out", "Conv2d", lambda f, *a, **more: f(*a, **more | {"stride": 1})),
    ],
)
def two_do_fewer(layers: Layers, c: Replacement) -> dict[str, float]:
    before, between, behind = c.channels

    def convolution(i: int, o: int, k: int, stride: int = 1) -> nn.Module:
        padding = k // 2 if c.padded else 0
        return layers.Conv2d(i, o, k, padding=padding, stride=stride, device="meta")

    two = convolution(before, between, 3), convolution(between, behind, 3, c.stride)
    large = convolution(before, behind, 5, c.stride)
    few, many = (
        counting.multiply_adds(one, 1, before, c.height, c.width)
        for one in (layers.Sequential(*two), large)
    )
    assert few < many, f"two 3x3 do {few:,} multiply-adds, a 5x5 {many:,}"
    return {"share": few / many}


@less_arithmetic.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[linear_in_the_kernel, wrong_formulas.padding_counted_once],
)
def fewer_on_any_image(formulas: Formulas, _: Proof) -> None:
    import sympy

    names = "height width further before behind"
    height, width, further, *outside = sympy.symbols(names, nonnegative=True, integer=True)
    between = 1 + further
    before, behind = (between + more for more in outside)

    def through(image: Sequence[Any], kernel: int, padding: int) -> list[Any]:
        return [formulas.output_size(extent, kernel, padding=padding) for extent in image]

    def cost(i: Any, o: Any, kernel: int, places: Sequence[Any]) -> Any:
        weights = formulas.conv2d_parameters(i, o, kernel, kernel, bias=False)
        same_formula(weights, kernel**2 * i * o, "weights")
        return weights * sympy.prod(places)

    for least, padding in ((1, 1), (11, 0)):
        image = [least + height, least + width]
        first, large = through(image, 3, padding), through(image, 5, 2 * padding)
        second = through(first, 3, padding)
        for size in (0, 1):
            left = image[size] - 4 * (1 - padding)
            same_formula(large[size], left, "size behind a 5x5")
            same_formula(second[size], left, "size behind two 3x3")
        two = cost(before, between, 3, first) + cost(between, behind, 3, second)
        assert positive(cost(before, behind, 5, large) - two), f"not fewer on {image}"


as_multiply_adds = {"one-5x5": 25, "two-3x3": 18, "one-7x7": 49, "three-3x3": 27}

faster = timed(
    "kernel-size/two-3x3-are-faster-than-a-5x5",
    "a training step of two 3x3 convolutions takes less time than one of a 5x5, and one of three "
    "less than one of a 7x7.",
    ["003:8", "003:11"],
    Undecided("`make measure` on a CPU where its rounds tell the two apart"),
    longer=[("one-5x5", "two-3x3"), ("one-7x7", "three-3x3")],
    reading_of=EFFICIENT,
    flipped_by=[steps_that_take("time goes with multiply-adds", as_multiply_adds)],
)
