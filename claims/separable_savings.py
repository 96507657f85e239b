"""What depthwise separable convolutions save, and whether networks lose accuracy by it.

Document 002 (line 22) and document 003 (line 73). The pair of stages, a depthwise convolution and
a pointwise one, stands in the place of a standard convolution with the same kernel and channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from claims._separable import NETWORKS, Stages, on_stages, stages_of, with_kernel
from claims._steps import STEPS, steps_that_take, times_as_long
from claims.core.claim import PROOF, Claim, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted, Undecided
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults.fields import perturbed
from claims.subjects import (
    FACTS,
    FORMULAS,
    LAYERS,
    MEASUREMENTS,
    MODELS,
    Evidence,
    Fact,
    Formulas,
    Layers,
    Models,
)
from claims.trained import trained
from claims.training.rules import Lower, NotWorse
from nin_ref import counting
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Sizes:
    """The sizes of a convolution and of the pair that replaces it."""

    in_channels: int
    out_channels: int
    kernel: Pair = (3, 3)
    bias: bool = False
    stride: int = 1
    padding: int = 0

    def __str__(self) -> str:
        channels = f"{self.in_channels} to {self.out_channels} channels"
        return f"{channels}, kernel {self.kernel[0]}x{self.kernel[1]}"

    @property
    def taps(self) -> int:
        """How many positions the kernel has."""
        return self.kernel[0] * self.kernel[1]


SIZES = Sample(
    "convolutions of 1 to 128 channels on maps of 12x9, kernels of 6 to 35 taps, stride and "
    "padding up to 2",
    [
        Sizes(64, 128, padding=1),
        Sizes(3, 5, (3, 2)),
        Sizes(7, 16, (5, 3), stride=2, padding=2),
        Sizes(16, 4, (1, 7), stride=2, padding=1),
        Sizes(1, 8, (5, 7)),
        Sizes(2, 6, (1, 9)),
    ],
)


class Parameters(NamedTuple):
    """How many parameters a standard convolution has, and each stage of the pair."""

    standard: Any
    depthwise: Any
    pointwise: Any

    @property
    def pair(self) -> Any:
        """The parameters of both stages."""
        return self.depthwise + self.pointwise


def made(layers: Layers, c: Sizes) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Make the standard convolution, the depthwise and the pointwise one."""
    channels, common = c.in_channels, {"bias": c.bias, "device": "meta"}
    place = {"stride": c.stride, "padding": c.padding, **common}
    return (
        layers.Conv2d(channels, c.out_channels, c.kernel, **place),
        layers.Conv2d(channels, channels, c.kernel, groups=channels, **place),
        layers.Conv2d(channels, c.out_channels, 1, **common),
    )


def counted(layers: Layers, c: Sizes) -> Parameters:
    """Count the parameters of real layers."""
    return Parameters(*(counting.parameter_count(layer) for layer in made(layers, c)))


def closed_form(
    formulas: Formulas, *kernel: int, bias: bool = False
) -> tuple[Parameters, tuple[Any, Any, Any]]:
    """Count the parameters for C channels to N, by symbols; return them with C, N and the taps.

    Without a kernel its rows and columns are symbols as well.
    """
    import sympy

    C, N, *sides = sympy.symbols("C N rows columns", integer=True, positive=True)  # noqa: N806
    rows, columns = kernel or sides
    found = Parameters(
        formulas.conv2d_parameters(C, N, rows, columns, bias=bias),
        formulas.conv2d_parameters(C, C, rows, columns, groups=C, bias=bias),
        formulas.conv2d_parameters(C, N, 1, 1, bias=bias),
    )
    return found, (C, N, rows * columns)


multiplier_two = wrong_formulas.layer(
    "two depthwise filters for each channel",
    "Conv2d",
    lambda f, i, o, kernel, **more: f(i, o * (1 + (more.get("groups", 1) > 1)), kernel, **more),
)
pointwise_as_large = wrong_formulas.layer(
    "the second kernel as large as 3x3",
    "Conv2d",
    lambda f, i, o, kernel, **more: f(i, o, 3 if kernel == 1 else kernel, **more),
)
square_kernel = wrong_formulas.layer(
    "kernel taken as square",
    "Conv2d",
    lambda f, i, o, kernel, **more: f(i, o, 1 if kernel == 1 else kernel[0], **more),
)


def _without_weights(right: Any, *sizes: Any, **options: Any) -> Any:
    from torch import nn

    return nn.Identity() if options.get("groups", 1) > 1 else right(*sizes, **options)


depthwise_for_nothing = wrong_formulas.layer(
    "a depthwise stage without weights", "Conv2d", _without_weights
)
WRONG_STAGES = [wrong_formulas.groups_left_out, multiplier_two, pointwise_as_large]
WRONG_COUNTS = [wrong_formulas.groups_forgotten, wrong_formulas.kernel_height_squared]

# How many parameters ------------------------------------------------------------------------------

MORE_THAN_ONE = "(kernel taps - 1) x (output channels - 1) > 1"
MORE_THAN_TWO = "(kernel taps - 1) x (output channels - 1) > 2 where both stages have biases"

fewer = Claim(
    "separable-savings/has-fewer-parameters",
    says="A depthwise separable convolution has fewer parameters than the standard convolution "
    "with the same kernel and channels.",
    cites=["002:22", "003:73"],
    recorded=HoldsIf(MORE_THAN_ONE, MORE_THAN_TWO),
)


@fewer.judged(
    subject=LAYERS,
    on=Sample(
        "convolutions of 2 channels to 1 to 5, kernels of 1 to 9 taps, with and without biases",
        [
            Sizes(2, *sizes)
            for sizes in itertools.product(
                (5, 3, 2, 1), ((3, 3), (2, 2), (3, 1), (1, 2), (1, 1)), (False, True)
            )
        ],
    ),
    when={
        MORE_THAN_ONE: lambda c: (c.taps - 1) * (c.out_channels - 1) > 1,
        MORE_THAN_TWO: lambda c: not c.bias or (c.taps - 1) * (c.out_channels - 1) > 2,
    },
    flipped_by=[*WRONG_STAGES, square_kernel, wrong_formulas.bias_left_out],
)
def the_pair_has_fewer(layers: Layers, c: Sizes) -> None:
    found = counted(layers, c)
    assert found.pair < found.standard, f"{c}: {found.pair} parameters, standard {found.standard}"


@fewer.judged(subject=FORMULAS, on=PROOF, flipped_by=[*WRONG_COUNTS, wrong_formulas.bias_forgotten])
def what_is_saved_is_positive_then(formulas: Formulas, _: Proof) -> None:
    for bias, above in ((False, 1), (True, 2)):
        found, (channels, filters, taps) = closed_form(formulas, bias=bias)
        saved = (found.standard - found.pair).expand()
        expected = (channels * ((taps - 1) * (filters - 1) - above)).expand()
        assert saved == expected, f"{saved} are saved, not {expected}"


ratio = Claim(
    "separable-savings/parameter-ratio",
    says="A depthwise separable convolution has 1 / N + 1 / (kernel height x kernel width) of the "
    "weights of the standard convolution to N channels: it saves a factor below the number of "
    "taps, 9 for 3x3, and nearer to it the more channels come out.",
    cites=["002:22", "003:73"],
    recorded=Holds(),
)


@ratio.judged(subject=LAYERS, on=SIZES, flipped_by=[*WRONG_STAGES, square_kernel])
def one_over_filters_and_one_over_taps(layers: Layers, c: Sizes) -> None:
    found = counted(layers, c)
    share = Fraction(found.pair, found.standard)
    expected = Fraction(1, c.out_channels) + Fraction(1, c.taps)
    assert share == expected, f"{c}: {share} of the weights, not {expected}"


@ratio.judged(subject=FORMULAS, on=PROOF, flipped_by=WRONG_COUNTS)
def whatever_the_sizes(formulas: Formulas, _: Proof) -> None:
    found, (_channels, filters, taps) = closed_form(formulas)
    surplus = (found.pair * filters * taps - found.standard * (filters + taps)).expand()
    assert surplus == 0, f"{found.pair} of {found.standard} are another share"


# "Because of the 1x1 kernel, the parameters generally fall to a ninth" ----------------------------

NINTH = "because of the 1x1 kernel the parameters fall to a ninth"
NINE_TAPS = "the kernel has nine taps"

exactly_a_ninth = Claim(
    "separable-savings/has-a-ninth-of-the-parameters",
    says="With a kernel of 3x3, a depthwise separable convolution has a ninth of the weights of a "
    "standard one.",
    cites=["003:73"],
    recorded=Refuted(instead="separable-savings/parameter-ratio"),
    reading_of=NINTH,
)


def told(what: object, part: int, whole: int) -> str:
    """Say how many of how many parameters something has."""
    return f"{what}: {part:,} of {whole:,}, 1 / {whole / part:.2f}"


@exactly_a_ninth.judged(
    subject=LAYERS,
    on=Sample("convolutions of 3x3 to up to 1024 channels", [Sizes(64, 128), Sizes(512, 1024)]),
    flipped_by=[depthwise_for_nothing],
)
def nine_times_as_many_are_standard(layers: Layers, c: Sizes) -> None:
    found = counted(layers, c)
    assert 9 * found.pair == found.standard, told(c, found.pair, found.standard)


THREE_BY_THREE = "the kernel is 3x3"
NINETY = "90 or more output channels, in a network in the mean over its depthwise filters"

about_a_ninth = Claim(
    "separable-savings/has-about-a-ninth-of-the-parameters",
    says="A depthwise separable convolution with a square kernel has a ninth of the weights of a "
    "standard one, to within a tenth of it, and so have all those of a network together.",
    cites=["003:73"],
    recorded=HoldsIf(THREE_BY_THREE, NINETY),
    reading_of=NINTH,
)


def assert_about_a_ninth(what: object, part: int, whole: int) -> None:
    """Assert that one number is a ninth of another to within a tenth of that."""
    assert abs(Fraction(9 * part, whole) - 1) <= Fraction(1, 10), told(what, part, whole)


@about_a_ninth.judged(
    subject=LAYERS,
    on=Sample(
        "convolutions to 8 to 512 channels, kernels of 1x1 to 7x7",
        [
            Sizes(64, 128),
            Sizes(7, 90),
            Sizes(3, 512),
            Sizes(7, 89),
            Sizes(16, 8),
            Sizes(16, 128, (1, 1)),
            Sizes(16, 128, (5, 5)),
            Sizes(3, 512, (7, 7)),
        ],
    ),
    when={
        THREE_BY_THREE: lambda c: c.kernel == (3, 3),
        NINETY: lambda c: c.out_channels >= 90,
    },
    flipped_by=WRONG_STAGES,
)
def within_a_tenth(layers: Layers, c: Sizes) -> None:
    found = counted(layers, c)
    assert_about_a_ninth(c, found.pair, found.standard)


@about_a_ninth.judged(subject=FORMULAS, on=PROOF, flipped_by=[wrong_formulas.groups_forgotten])
def from_ninety_channels_on(formulas: Formulas, _: Proof) -> None:
    found, (channels, filters, _taps) = closed_form(formulas, 3, 3)
    below, above = 9 * found.pair - found.standard, 11 * found.standard - 90 * found.pair
    assert below.expand().is_positive, f"{below} above a ninth"
    expected = (9 * channels * (filters - 90)).expand()
    assert above.expand() == expected, f"{above} below a tenth more, not {expected}"


def weights_of(stages: list[Stages]) -> tuple[int, int]:
    """Count the weights of pairs, and of the standard convolutions that they stand for."""
    pair = sum(one.depthwise.weight.numel() + one.pointwise.weight.numel() for one in stages)
    standard = sum(one.depthwise.weight.numel() * one.pointwise.out_channels for one in stages)
    return pair, standard


@about_a_ninth.judged(
    subject=MODELS,
    on=NETWORKS,
    when={
        THREE_BY_THREE: lambda name: name != "mobilenet_v3_large",
        NINETY: lambda name: name != "shufflenet_v2_x0_5",
    },
    flipped_by=[
        on_stages("depthwise kernels of 9x9", lambda one: with_kernel(one.depthwise, 9, 9)),
        on_stages("depthwise kernels of 1x1", lambda one: with_kernel(one.depthwise, 1, 1)),
        on_stages("pointwise kernels of 3x3", lambda one: with_kernel(one.pointwise, 3, 3)),
    ],
)
def all_pairs_within_a_tenth(models: Models, name: str) -> dict[str, float]:
    stages = stages_of(models(name))
    assert stages, f"{name} has no depthwise convolution"
    pair, standard = weights_of(stages)
    assert_about_a_ninth(name, pair, standard)
    filters = [one.pointwise.out_channels for one in stages for _ in one.depthwise.weight]
    return {"times fewer": standard / pair, "output channels": sum(filters) / len(filters)}


pointwise_is_a_ninth = Claim(
    "separable-savings/one-by-one-stage-has-a-ninth-of-the-parameters",
    says="The 1x1 stage by itself has a ninth of the weights of the standard convolution.",
    cites=["003:73"],
    recorded=HoldsIf(NINE_TAPS),
    reading_of=NINTH,
)


@pointwise_is_a_ninth.judged(
    subject=LAYERS,
    on=SIZES,
    when={NINE_TAPS: lambda c: c.taps == 9},
    flipped_by=[pointwise_as_large, square_kernel],
)
def nine_pointwise_stages_are_standard(layers: Layers, c: Sizes) -> None:
    found = counted(layers, c)
    assert 9 * found.pointwise == found.standard, f"{c}: {found.pointwise} of {found.standard}"


@pointwise_is_a_ninth.judged(
    subject=FORMULAS, on=PROOF, flipped_by=[wrong_formulas.kernel_height_squared]
)
def one_weight_for_all_taps(formulas: Formulas, _: Proof) -> None:
    found, (_channels, _filters, taps) = closed_form(formulas)
    surplus = (found.standard - taps * found.pointwise).expand()
    assert surplus == 0, f"{surplus} weights more than one for each tap"


whole_networks = Claim(
    "separable-savings/networks-have-about-a-ninth-of-the-parameters",
    says="A network of depthwise separable convolutions of 3x3 has a ninth of the parameters that "
    "it would have with standard ones, to within a tenth of it.",
    cites=["003:73"],
    recorded=Refuted(instead="separable-savings/has-about-a-ninth-of-the-parameters"),
    reading_of=NINTH,
)


def only_pairs_trained(model: nn.Module) -> None:
    """Freeze all parameters that belong to no pair, so that they do not count."""
    stages = stages_of(model)
    model.requires_grad_(requires_grad=False)
    for one in stages:
        one.depthwise.weight.requires_grad = True
        one.pointwise.weight.requires_grad = True


@whole_networks.judged(
    subject=MODELS,
    on=["mobilenet_v2"],
    flipped_by=[surgeries.surgery("no parameters but those of the pairs", only_pairs_trained)],
)
def networks_have_about_a_ninth(models: Models, name: str) -> None:
    model = models(name)
    pair, standard = weights_of(stages_of(model))
    parameters = counting.parameter_count(model)
    assert_about_a_ninth(name, parameters, parameters - pair + standard)


# "The greatest benefit is that the number of parameters falls" ------------------------------------

GREATEST = "the greatest benefit is that the number of parameters falls"

same_multiply_adds = Claim(
    "separable-savings/multiply-adds-fall-in-the-same-ratio",
    says="A depthwise separable convolution saves multiply-adds in the ratio in which it saves "
    "weights, with any stride and padding of its depthwise stage.",
    cites=["003:73"],
    recorded=Holds(),
    reading_of=GREATEST,
)
more_parameters = Claim(
    "separable-savings/saves-more-parameters-than-multiply-adds",
    says="A depthwise separable convolution has a smaller share of the weights of a standard one "
    "than of its multiply-adds.",
    cites=["003:73"],
    recorded=Refuted(instead="separable-savings/multiply-adds-fall-in-the-same-ratio"),
    reading_of=GREATEST,
)


def shares(layers: Layers, c: Sizes) -> tuple[Fraction, Fraction]:
    """Return what the pair has of the weights and of the multiply-adds of the standard one."""
    standard, *stages = made(layers, c)
    both = layers.Sequential(*stages), standard
    shape = (2, c.in_channels, 12, 9)
    return (
        Fraction(*(counting.parameter_count(one) for one in both)),
        Fraction(*(counting.multiply_adds(one, *shape) for one in both)),
    )


pointwise_padded = wrong_formulas.layer(
    "1x1 kernels padded",
    "Conv2d",
    lambda f, i, o, kernel, **more: f(
        i, o, kernel, **more, **{"padding": 1} if kernel == 1 else {}
    ),
)


@same_multiply_adds.judged(subject=LAYERS, on=SIZES, flipped_by=[pointwise_padded])
def both_shares_are_equal(layers: Layers, c: Sizes) -> None:
    weights, multiply_adds = shares(layers, c)
    assert weights == multiply_adds, f"{c}: {weights} of the weights, {multiply_adds}"


@same_multiply_adds.judged(
    subject=FORMULAS, on=PROOF, flipped_by=[wrong_formulas.output_size_off_by_one]
)
def each_weight_is_used_as_often(formulas: Formulas, _: Proof) -> None:
    import sympy

    # The standard and the depthwise convolution slide alike, and put out maps of height x width.
    height, width = sympy.symbols("height width", integer=True, positive=True)
    found, positions = closed_form(formulas)[0], height * width
    positions_after = formulas.output_size(height, 1) * formulas.output_size(width, 1)
    multiply_adds = found.depthwise * positions + found.pointwise * positions_after
    surplus = (multiply_adds - found.pair * positions).expand()
    assert surplus == 0, f"{surplus} more multiply-adds than one for each weight and position"


@more_parameters.judged(subject=LAYERS, on=SIZES, flipped_by=[pointwise_padded])
def share_of_weights_is_smaller(layers: Layers, c: Sizes) -> None:
    weights, multiply_adds = shares(layers, c)
    assert weights < multiply_adds, f"{c}: {weights} of either"


more_than_time = Claim(
    "separable-savings/saves-more-parameters-than-time-on-a-gpu",
    says="On a GPU, three layers of 256 channels have with depthwise separable convolutions of 3x3 "
    "a smaller share of the parameters of standard ones than of the time of a training step.",
    cites=["003:73"],
    recorded=Undecided("`make measure` on a machine with a GPU"),
    reading_of=GREATEST,
)


TIMED = ("depthwise-separable-layers", "standard-layers")


@more_than_time.judged(
    subject=MEASUREMENTS,
    on=["cuda"],
    flipped_by=[
        steps_that_take("half of the time", dict(zip(TIMED, (1, 2), strict=True))),
        steps_that_take("a tenth of the time", dict(zip(TIMED, (1, 10), strict=True))),
    ],
)
def share_of_time_is_larger(evidence: Evidence, device: str) -> dict[str, float]:
    time = times_as_long(evidence, device, *TIMED)
    pair, standard = (counting.parameter_count(STEPS[name].build()) for name in TIMED)
    share = pair / standard
    assert share < time, f"{time:.1%} of the time with {share:.1%} of the parameters"
    return {"share of the time": time, "share of the parameters": share}


# "The model performs no worse, and may even perform better" ---------------------------------------

PERFORMANCE = "with fewer parameters the model performs no worse, and may perform better"

no_worse = trained(
    "separable-savings/performs-no-worse",
    says="On CIFAR-10, the plain 3x3 network makes no more test errors with depthwise separable "
    "convolutions of the same widths in the place of its standard ones.",
    cites=["003:73"],
    rule=NotWorse("trunk-depthwise-separable", "trunk", margin=0.5),
    reading_of=PERFORMANCE,
)
better = trained(
    "separable-savings/performs-better",
    says="On CIFAR-10, the plain 3x3 network makes fewer test errors with depthwise separable "
    "convolutions of the same widths in the place of its standard ones.",
    cites=["003:73"],
    rule=Lower("trunk-depthwise-separable", "trunk"),
    reading_of=PERFORMANCE,
)

SAME_NUMBER = "the number of parameters stays about the same"

on_imagenet = Claim(
    "separable-savings/published-networks-are-no-less-accurate",
    says="Xception and MobileNet are no less accurate on ImageNet than the networks with standard "
    "convolutions that their papers compare them with.",
    cites=["003:73"],
    recorded=HoldsIf(SAME_NUMBER),
    reading_of=PERFORMANCE,
)


@on_imagenet.judged(
    subject=FACTS,
    on=[("xception", "inception-v3"), ("mobilenet", "mobilenet-of-standard-convolutions")],
    when={SAME_NUMBER: lambda pair: pair[0] == "xception"},
    flipped_by=[
        perturbed("MobileNet as accurate", "mobilenet/imagenet-accuracy", value="71.7"),
        perturbed("Inception more accurate", "inception-v3/imagenet-accuracy", value="79.1"),
    ],
)
def separable_is_no_less_accurate(
    facts: Mapping[str, Fact], pair: tuple[str, str]
) -> dict[str, str]:
    separable, standard = (facts[f"{name}/imagenet-accuracy"] for name in pair)
    assert float(separable.value) >= float(standard.value), (
        f"{pair[0]} has {separable.value} % right, with standard convolutions {standard.value} %"
    )
    return {"sources": f"{separable.source}; {standard.source}"}
