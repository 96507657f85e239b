"""Bottlenecks: 1x1 convolutions that compress the channels around a larger kernel.

Document 003 (lines 23 to 29).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims import _inception as inception
from claims._inception import Builder, altered, biases_counted, kernels_3x1, width_forgotten
from claims._layers import for_all, remade
from claims._steps import steps_that_take, times_as_long
from claims.cases import SEEDS, integers, sampled, wide
from claims.checks import Array, close, same
from claims.core.claim import PROOF, Claim, Domain, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Recorded, Refuted, Undecided
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.formulas import layer
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
    model_on_meta,
)
from claims.trained import trained
from claims.training.rules import Sooner
from nin_ref import counting, oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    from torch import nn

# The counts of the example ------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """A layer of as many output as input channels, and a bottleneck that compresses these."""

    channels: int
    middle: int
    kernel: int = 3
    bias: bool = False

    def direct(self, layers: Layers) -> nn.Module:
        """Build the layer without compression."""
        return _chain(layers, (self.channels, self.channels, self.kernel), bias=self.bias)

    def bottleneck(self, layers: Layers) -> nn.Module:
        """Build the bottleneck."""
        outer, inner = self.channels, self.middle
        sizes = (outer, inner, 1), (inner, inner, self.kernel), (inner, outer, 1)
        return _chain(layers, *sizes, bias=self.bias)

    def share(self, layers: Layers) -> Fraction:
        """Return the parameters of the bottleneck over those of the layer."""
        counts = (counting.parameter_count(one(layers)) for one in (self.bottleneck, self.direct))
        return Fraction(*counts)


def _chain(layers: Layers, *sizes: tuple[int, int, int], bias: bool) -> nn.Module:
    """Build convolutions, each (inputs, outputs, kernel), that keep the size of the maps."""
    import torch

    with torch.device("meta"):
        return layers.Sequential(
            *(layers.Conv2d(i, o, k, padding=k // 2, bias=bias) for i, o, k in sizes)
        )


EXAMPLE = Example(256, 64)
WITH_AND_WITHOUT_BIASES = [EXAMPLE, Example(256, 64, bias=True)]
NO_BIASES = {"biases are left out": lambda c: not c.bias}

kernels_as_1x1 = layer(
    "every kernel 1x1", "Conv2d", lambda f, i, o, _k, **more: f(i, o, 1, bias=more["bias"])
)
half_the_filters = layer(
    "half the filters", "Conv2d", lambda f, i, o, k, **more: f(i, (o + 1) // 2, k, **more)
)
depthwise = layer(
    "each filter reads one channel", "Conv2d", lambda f, _i, o, k, **more: f(1, o, k, **more)
)
narrower = layer(
    "56 channels in the middle",
    "Conv2d",
    lambda f, *channels, **more: f(*(56 if size == 64 else size for size in channels), **more),
)
SIZE_FAULTS = (kernels_as_1x1, kernels_3x1, half_the_filters, depthwise)
COUNT_FAULTS = (*SIZE_FAULTS, wrong_formulas.bias_left_out)

direct_count = Claim(
    "bottleneck/direct-layer-has-589824-parameters",
    says="A 3x3 convolution from 256 to 256 channels has 256 x 3 x 3 x 256 = 589,824 parameters.",
    cites=["003:27"],
    recorded=HoldsIf("biases are left out"),
)


@direct_count.judged(
    subject=LAYERS, on=WITH_AND_WITHOUT_BIASES, when=NO_BIASES, flipped_by=COUNT_FAULTS
)
def direct_layer_is_counted(layers: Layers, c: Example) -> None:
    found = counting.parameter_count(c.direct(layers))
    assert found == 589_824, f"it has {found:,} parameters"


bottleneck_count = Claim(
    "bottleneck/has-69632-parameters",
    says="Convolutions of 1x1 from 256 to 64 channels, of 3x3 from 64 to 64 and of 1x1 from 64 to "
    "256 have 16,384 + 36,864 + 16,384 = 69,632 parameters.",
    cites=["003:28"],
    recorded=HoldsIf("biases are left out"),
)
TERMS = [16_384, 36_864, 16_384]


@bottleneck_count.judged(
    subject=LAYERS, on=WITH_AND_WITHOUT_BIASES, when=NO_BIASES, flipped_by=COUNT_FAULTS
)
def bottleneck_is_counted(layers: Layers, c: Example) -> None:
    found = [*counting.layer_parameters(c.bottleneck(layers)).values()]
    assert sum(found) == 69_632, f"they have {sum(found):,} parameters"
    assert found == TERMS, f"they have {' + '.join(map(str, found))} parameters"


# "Nearly a ninth": readings -----------------------------------------------------------------------


def share_of_the_example(
    name: str, says: str, recorded: Recorded, is_so: Callable[[Fraction], bool]
) -> Claim:
    """Return a reading of what is left: a statement about a share of the weights."""
    claim = Claim(
        f"bottleneck/leaves-{name}",
        says=f"The bottleneck of the example leaves {says}",
        cites=["003:29"],
        recorded=recorded,
        reading_of="the bottleneck leaves nearly a ninth of the parameters",
    )

    @claim.judged(subject=LAYERS, on=[EXAMPLE], flipped_by=[narrower])
    def share_is_so(layers: Layers, c: Example) -> dict[str, float]:
        share = c.share(layers)
        assert is_so(share), f"{share} are left; a ninth is 16/144, an eighth 18/144"
        return {"share": float(share), "one in": float(1 / share)}

    return claim


nearly_a_ninth = (
    share_of_the_example(
        "17-of-144-parts",
        "17/144 of the weights of the direct layer, one in 8.47.",
        Holds(),
        lambda share: share == Fraction(17, 144),
    ),
    share_of_the_example(
        "a-ninth-to-within-a-tenth",
        "a ninth of the weights, to within a tenth of it.",
        Holds(),
        lambda share: abs(9 * share - 1) < Fraction(1, 10),
    ),
    share_of_the_example(
        "at-most-a-ninth",
        "a ninth of the weights or less.",
        Refuted(instead="bottleneck/leaves-17-of-144-parts"),
        lambda share: share <= Fraction(1, 9),
    ),
)

# Any width and compression ------------------------------------------------------------------------

EXAMPLES = Sample(
    "bottlenecks of some widths, compressions and kernels",
    [EXAMPLE, Example(12, 5, 1), Example(64, 16, 5), Example(7, 9), Example(10, 1, 7)],
)

general_share = Claim(
    "bottleneck/share-follows-from-compression-and-kernel",
    says="A bottleneck that compresses the channels of a k x k layer to their r-fold has "
    "2 r / k^2 + r^2 of its weights, at any width: for k = 3 and r = 1/4 it is 1/18 + 1/16.",
    cites=["003:28-29"],
    recorded=Holds(),
)


@general_share.judged(subject=LAYERS, on=EXAMPLES, flipped_by=SIZE_FAULTS)
def layers_have_this_share(layers: Layers, c: Example) -> None:
    r = Fraction(c.middle, c.channels)
    share, expected = c.share(layers), 2 * r / c.kernel**2 + r**2
    assert share == expected, f"{c} has {share} of the weights, not {expected}"


def weights(formulas: Formulas, in_channels: Any, out_channels: Any, kernel: Any) -> Any:
    """Return the weights of a square kernel by the closed form."""
    return formulas.conv2d_parameters(in_channels, out_channels, kernel, kernel, bias=False)


def bottleneck_weights(formulas: Formulas, channels: Any, middle: Any, kernel: Any) -> Any:
    """Return the weights of a bottleneck by the closed form."""
    return (
        weights(formulas, channels, middle, 1)
        + weights(formulas, middle, middle, kernel)
        + weights(formulas, middle, channels, 1)
    )


@general_share.judged(subject=FORMULAS, on=PROOF, flipped_by=[biases_counted, width_forgotten])
def formulas_have_this_share(formulas: Formulas, _: Proof) -> None:
    import sympy

    channels, middle, k = sympy.symbols("channels middle k", integer=True, positive=True)
    bottleneck = bottleneck_weights(formulas, channels, middle, k)
    direct, r = weights(formulas, channels, channels, k), middle / channels
    expected = sympy.expand((2 * r / k**2 + r**2) * direct)
    assert sympy.expand(bottleneck - expected) == 0, f"it has {bottleneck} weights, not {expected}"


COMPRESSED = "compressed to less than (sqrt(82) - 1) / 9 = 0.895 of the channels"

fewer_weights = Claim(
    "bottleneck/has-fewer-weights-than-the-direct-layer",
    says="A 1x1 convolution in front of a 3x3 layer, and another that restores the channels, lower "
    "the number of weights.",
    cites=["003:23", "003:25-26"],
    recorded=HoldsIf(COMPRESSED),
)


@fewer_weights.judged(
    subject=LAYERS,
    on=Sample(
        "bottlenecks of some widths and compressions",
        [
            *(Example(256, middle) for middle in (1, 64, 229, 230, 256, 300)),
            *(Example(19, 17), Example(10, 9), Example(1, 1)),
        ],
    ),
    when={COMPRESSED: lambda c: (9 * c.middle + c.channels) ** 2 < 82 * c.channels**2},
    flipped_by=SIZE_FAULTS,
)
def share_is_below_one(layers: Layers, c: Example) -> dict[str, float]:
    share, r = c.share(layers), Fraction(c.middle, c.channels)
    assert share == 2 * r / 9 + r**2, f"{c} has {share} of the weights"
    assert share < 1, f"{c.middle} of {c.channels} channels: {float(share):.3f} times the weights"
    return {"share": float(share)}


@fewer_weights.judged(subject=FORMULAS, on=PROOF, flipped_by=[biases_counted, width_forgotten])
def saving_has_the_sign_of_its_factor(formulas: Formulas, _: Proof) -> None:
    import sympy

    channels, middle = sympy.symbols("channels middle", integer=True, positive=True)
    saved = weights(formulas, channels, channels, 3) - bottleneck_weights(
        formulas, channels, middle, 3
    )
    root = sympy.sqrt(82)
    below = (root - 1) / 9 * channels - middle  # positive if and only if compressed so far
    positive = 9 * (middle + (root + 1) / 9 * channels)
    assert sympy.expand(saved - below * positive) == 0, f"{sympy.factor(saved)} weights are saved"


@functools.cache
def bottlenecks_of(resnet: nn.Module) -> dict[str, inception.Branch]:
    """Return the convolutions of the bottlenecks of a ResNet, in the order in which they run.

    It relies on models that are never changed in place; surgeries work on copies.
    """
    names = surgeries.of_kind(resnet, "Bottleneck")
    return {name: inception.branches(resnet.get_submodule(name))[0] for name in names}


blocks_of_resnet = Claim(
    "bottleneck/blocks-of-resnet-have-less-than-two-fifths-of-the-weights",
    says="The three convolutions of each bottleneck of ResNet-50 have less than two fifths of the "
    "weights of a 3x3 layer with its input and output channels.",
    cites=["003:23"],
    recorded=Holds(),
)


def _not_compressed(model: nn.Module) -> None:
    """Give every bottleneck of a ResNet as many channels in the middle as at its end."""
    from torch import nn

    for name in surgeries.of_kind(model, "Bottleneck"):
        block: Any = model.get_submodule(name)
        channels, stride = block.conv3.out_channels, block.conv2.stride
        options: dict[str, Any] = {"bias": False, "device": "meta"}
        block.conv1 = nn.Conv2d(block.conv1.in_channels, channels, 1, **options)
        block.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, **options)
        block.conv3 = nn.Conv2d(channels, channels, 1, **options)
        block.bn1, block.bn2 = (nn.BatchNorm2d(channels, device="meta") for _ in range(2))


not_compressed = surgeries.surgery("middle as wide as the output", _not_compressed)


@blocks_of_resnet.judged(
    subject=MODELS,
    on=["resnet50"],
    flipped_by=[not_compressed, remade("layer3.2.conv2", kernel_size=(9, 9), padding=(4, 4))],
)
def blocks_have_two_fifths(models: Models, name: str) -> dict[str, float]:
    found, kept, direct = bottlenecks_of(models(name)), 0, 0
    for block, convolutions in found.items():
        weights = sum(one.weights for one in convolutions)
        replaced = 9 * convolutions[0].in_channels * convolutions[-1].out_channels
        assert 5 * weights < 2 * replaced, f"{block} has {weights:,} weights of {replaced:,}"
        kept, direct = kept + weights, direct + replaced
    assert len(found) == 16, f"{name} has {len(found)} bottlenecks"
    return {"share of all": kept / direct}


# Where there are bottlenecks: ResNet, and Inception -----------------------------------------------

resnet_compresses = Claim(
    "bottleneck/example-is-a-block-of-resnet",
    says="In the first stage of ResNet-50 a 1x1 convolution compresses 256 channels to 64, a 3x3 "
    "one works on these, and another 1x1 one restores the 256: 69,632 weights, without biases.",
    cites=["003:23", "003:25-26", "003:28"],
    recorded=Holds(),
)


@resnet_compresses.judged(
    subject=MODELS,
    on=["resnet50"],
    flipped_by=[
        not_compressed,
        remade("layer1.1.conv1", kernel_size=(3, 3), padding=(1, 1)),
        remade("layer1.2.conv2", kernel_size=(1, 1), padding=(0, 0)),
        remade("layer1.2.conv3", kernel_size=(3, 3), padding=(1, 1)),
        remade("layer1.1.conv2", groups=2),
        remade("layer1.2.conv3", bias=True),
    ],
)
def channels_go_to_64_and_back(models: Models, name: str) -> None:
    for block in ("layer1.1", "layer1.2"):
        found = bottlenecks_of(models(name))[block]
        assert_bottleneck(block, found)
        channels = [one.in_channels for one in found] + [found[-1].out_channels]
        assert channels == [256, 64, 64, 256], f"in {block} of {name} channels go {channels}"
        assert [one.weights for one in found] == TERMS, f"{block} of {name} has other weights"


def assert_bottleneck(block: str, convolutions: inception.Branch) -> None:
    """Assert that the convolutions of a block are 1x1, 3x3 and 1x1."""
    kernels = inception.told(*(one.kernel for one in convolutions))
    assert kernels == "1x1, 3x3, 1x1", f"{block} has kernels of {kernels}"


example_is_inception = Claim(
    "bottleneck/example-is-a-kernel-of-inception",
    says="GoogLeNet and Inception v3 have a 3x3 kernel that would lead from 256 channels to 256, "
    "as that of the example, if it were not for the reduction in front of it.",
    cites=["003:25", "003:27"],
    recorded=Refuted(instead="bottleneck/example-is-a-block-of-resnet"),
)


def three_by_three(block: inception.Block) -> list[inception.Window]:
    """Return the 3x3 convolutions of an Inception block."""
    return [one for one in block.convolutions if one.kernel == (3, 3)]


def _lead_to_256(model: nn.Module) -> None:
    """Let a 3x3 kernel of each block make 256 channels."""
    from torch import nn

    for name, made in inception.layers(model).items():
        for one in three_by_three(inception.Block(name, inception.branches(made)))[:1]:
            conv = nn.Conv2d(one.in_channels, 256, 3, padding=1, device="meta")
            surgeries.put(made, one.name, conv)


@example_is_inception.judged(
    subject=MODELS,
    on=inception.NETWORKS,
    flipped_by=[surgeries.surgery("a 3x3 kernel of each block makes 256 channels", _lead_to_256)],
)
def a_block_has_the_kernel_of_the_example(models: Models, name: str) -> None:
    made = {
        one.out_channels
        for block in inception.blocks_of(models, name)
        for one in three_by_three(block)
        if block.in_channels == 256
    }
    assert 256 in made, f"in {name} 3x3 kernels make {sorted(made)} channels of 256"


reduces_first = Claim(
    "bottleneck/inception-reduces-in-front-of-each-larger-kernel",
    says="In Inception a 1x1 convolution that lowers the number of channels stands in front of "
    "each larger kernel.",
    cites=["003:24"],
    recorded=HoldsIf("the network is GoogLeNet"),
)


def _keep_channels(model: nn.Module) -> None:
    """Let the 1x1 convolutions in front of larger kernels keep the number of channels."""
    from torch import nn

    for block in inception.layers(model).values():
        for branch in inception.branches(block):
            if (reduction := inception.reduction_of(branch)) is not None:
                channels = reduction.in_channels
                same_many = nn.Conv2d(channels, channels, 1, bias=False, device="meta")
                surgeries.put(block, reduction.name, same_many)
                inception.widen(block.get_submodule(branch[1].name), channels)


channels_kept = surgeries.surgery("reductions keep the channels", _keep_channels)


@reduces_first.judged(
    subject=MODELS,
    on=inception.NETWORKS,
    when={"the network is GoogLeNet": lambda name: name in inception.GOOGLENETS},
    flipped_by=[channels_kept, inception.without_reductions],
)
def larger_kernels_follow_a_reduction(models: Models, name: str) -> None:
    for block in inception.blocks_of(models, name):
        for branch in block.branches:
            if any(max(one.kernel) > 1 for one in inception.convolutions(branch)):
                reduction = inception.reduction_of(branch)
                assert reduction, f"in {block.name} of {name} a larger kernel reads the input"
                assert reduction.out_channels < block.in_channels, (
                    f"in {block.name} of {name} {block.in_channels} channels become "
                    f"{reduction.out_channels}"
                )


needs_reductions = Claim(
    "bottleneck/inception-without-reductions-has-many-more-weights",
    says="If the larger kernels of Inception read the input of their block themselves, and its "
    "pools passed on all channels, the blocks of a network together would have at least 1.8 times "
    "the weights.",
    cites=["003:24"],
    recorded=Holds(),
)


def weights_without_reductions(block: inception.Block) -> int:
    """Count the weights of a block of which each larger kernel reads the input."""
    weights = {}
    for branch in block.branches:
        first, *later = branch
        if inception.reduction_of(branch):
            first, *later = later
            weights[first.name] = first.weights // first.in_channels * block.in_channels
        elif first.weights:
            weights[first.name] = first.weights
        else:
            continue  # a pool, and perhaps a projection of what it makes
        weights |= {one.name: one.weights for one in later}
    return sum(weights.values())


@needs_reductions.judged(
    subject=MODELS,
    on=inception.NETWORKS,
    flipped_by=[channels_kept, inception.without_reductions],
)
def reductions_save_weights(models: Models, name: str) -> dict[str, float]:
    pairs = [
        (weights_without_reductions(block), block.weights)
        for block in inception.blocks_of(models, name)
    ]
    naive, found = map(sum, zip(*pairs, strict=True))
    assert naive >= 1.8 * found, f"the blocks of {name} have {naive / found:.2f} times the weights"
    ratios = [naive / found for naive, found in pairs]
    return {"times": naive / found, "least": min(ratios), "most": max(ratios)}


restores = Claim(
    "bottleneck/inception-restores-the-channels",
    says="In each block of GoogLeNet and Inception v3 another 1x1 convolution restores the number "
    "of channels behind a reduced 3x3 or larger kernel.",
    cites=["003:24-26"],
    recorded=Refuted(instead="bottleneck/inception-has-no-1x1-behind-a-larger-kernel"),
)


def _restore(model: nn.Module) -> None:
    """Put a 1x1 convolution that restores the channels behind each larger kernel."""
    from torch import nn

    for name, made in inception.layers(model).items():
        block = inception.Block(name, inception.branches(made))
        for one in block.convolutions:
            if max(one.kernel) > 1:
                behind = nn.Conv2d(one.out_channels, block.in_channels, 1, device="meta")
                kernel = made.get_submodule(one.name)
                surgeries.put(made, one.name, nn.Sequential(kernel, behind))


restored = surgeries.surgery("1x1 convolutions behind larger kernels", _restore)


@restores.judged(subject=MODELS, on=inception.NETWORKS, flipped_by=[restored])
def a_1x1_convolution_follows_each_larger_kernel(models: Models, name: str) -> None:
    for block in inception.blocks_of(models, name):
        for branch in block.branches:
            found = inception.convolutions(branch)
            if any(max(one.kernel) > 1 for one in found):
                last = found[-1]
                assert (last.kernel, last.out_channels) == ((1, 1), block.in_channels), (
                    f"{block.name} of {name}: {block.in_channels} channels come in, a branch ends "
                    f"with kernels of {inception.told(last.kernel)} to {last.out_channels}"
                )


nothing_behind = Claim(
    "bottleneck/inception-has-no-1x1-behind-a-larger-kernel",
    says="In no block of GoogLeNet or Inception v3 does a 1x1 convolution follow a larger kernel; "
    "what the larger kernels make is stacked as it is, or read by other larger kernels.",
    cites=["003:24-26"],
    recorded=Holds(),
)


@nothing_behind.judged(subject=MODELS, on=inception.NETWORKS, flipped_by=[restored])
def larger_kernels_come_last(models: Models, name: str) -> None:
    for block in inception.blocks_of(models, name):
        for branch in block.branches:
            kernels = [one.kernel for one in inception.convolutions(branch)]
            assert (1, 1) not in kernels[1:], (
                f"{block.name} of {name}: {inception.told(*kernels)} in a branch"
            )


resnet_restores = Claim(
    "bottleneck/resnet-restores-the-channels",
    says="In a bottleneck of ResNet-50 a 1x1 convolution lowers the number of channels in front of "
    "the 3x3 one, and another one behind it restores the number that came in.",
    cites=["003:26"],
    recorded=HoldsIf("the block is not the first of its stage"),
)


@resnet_restores.judged(
    subject=MODELS,
    on=["blocks inside a stage", "first blocks of a stage"],
    when={"the block is not the first of its stage": lambda which: not which.startswith("first")},
    flipped_by=[
        not_compressed,
        remade("layer3.4.conv3", kernel_size=(3, 3), padding=(1, 1)),
        remade("layer2.1.conv1", kernel_size=(3, 3), padding=(1, 1)),
        remade("layer4.2.conv2", kernel_size=(1, 1), padding=(0, 0)),
    ],
)
def channels_are_lowered_and_restored(models: Models, which: str) -> None:
    for block, found in bottlenecks_of(models("resnet50")).items():
        if block.endswith(".0") != which.startswith("first"):
            continue
        assert_bottleneck(block, found)
        before, (middle, after, made) = found[0].in_channels, (one.out_channels for one in found)
        assert made == before, f"{block}: {before} channels come in, {made} go out"
        assert middle < before, f"{block}: {before} channels become {middle}"
        assert after == middle, f"{block}: the 3x3 kernels make {after} channels of {middle}"


reduction_alone = Claim(
    "bottleneck/reduction-alone-leaves-5-of-18-parts",
    says="With a reduction alone, as Inception has it, 163,840 weights of the example are left, "
    "16,384 + 147,456: 5/18 of those of the direct layer.",
    cites=["003:24", "003:28-29"],
    recorded=Holds(),
)


@reduction_alone.judged(subject=LAYERS, on=[EXAMPLE], flipped_by=[*SIZE_FAULTS, narrower])
def reduction_alone_is_counted(layers: Layers, c: Example) -> None:
    sizes = (c.channels, c.middle, 1), (c.middle, c.channels, c.kernel)
    found = counting.layer_parameters(_chain(layers, *sizes, bias=False))
    assert [*found.values()] == [16_384, 147_456], f"{found} weights"
    share = Fraction(163_840, counting.parameter_count(c.direct(layers)))
    assert share == Fraction(5, 18), f"{share} of the weights are left"


# What stays, and what does not --------------------------------------------------------------------

BOTTLENECK: Subject[Builder] = Subject(
    "torchvision's bottleneck block",
    lambda: type(model_on_meta("resnet50").get_submodule("layer1.1")),
)

keeps_shape_and_field = Claim(
    "bottleneck/keeps-shape-and-receptive-field",
    says="A bottleneck of ResNet that is not the first of its stage gives maps of the shape that "
    "it takes, and each value sees 3x3 pixels, as in the 3x3 layer in whose place it stands.",
    cites=["003:25-26"],
    recorded=Holds(),
)


def _made_with(conv: str, **options: Any) -> Callable[[Any], None]:
    """Return a change that makes a convolution of a block anew, with other options."""

    def change(block: Any) -> None:
        old = block.get_submodule(conv)
        kept = {"kernel_size": old.kernel_size, "padding": old.padding, "bias": False}
        made = type(old)(old.in_channels, old.out_channels, **kept | options)
        surgeries.put(block, conv, made)

    return change


@keeps_shape_and_field.judged(
    subject=BOTTLENECK,
    on=Sample(
        "narrow bottlenecks, a position in their maps of some sizes",
        [(2, 5, 7, 2, 3), (1, 4, 6, 0, 5), (3, 1, 4, 0, 1)],
    ),
    flipped_by=[
        altered("first kernel 3x3", _made_with("conv1", kernel_size=3, padding=1)),
        altered("last kernel 3x3", _made_with("conv3", kernel_size=3, padding=1)),
        altered("middle kernel 1x1", _made_with("conv2", kernel_size=1, padding=0)),
        altered("middle kernel 3x1", _made_with("conv2", kernel_size=(3, 1), padding=(1, 0))),
        altered("middle kernel dilated", _made_with("conv2", dilation=2, padding=2)),
        altered(
            "last row lost",
            lambda block: block.register_forward_hook(lambda _block, _inputs, y: y[:, :, :-1]),
        ),
    ],
)
def shape_and_window_are_those_of_a_3x3_layer(
    build: Builder, c: tuple[int, int, int, int, int]
) -> None:
    import torch

    middle, height, width, row, column = c
    block, shape = build(4 * middle, middle).eval(), (2, 4 * middle, height, width)
    with torch.no_grad():
        made = tuple(block(torch.zeros(shape)).shape)
    assert made == shape, f"maps of shape {shape} become maps of shape {made}"
    seen = counting.gradient_support(block, shape, output_position=(row, column))
    window = np.zeros((height, width), bool)
    window[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
    same(seen, window, "what is seen")


@dataclass(frozen=True)
class Chain:
    """A 1x1, a 3x3 and a 1x1 convolution, the middle one on few channels, and maps for them."""

    batch: int
    in_channels: int
    middle: int
    out_channels: int
    height: int
    width: int
    relu: bool = False
    seed: int = 0

    @functools.cached_property
    def x(self) -> Array:
        """Maps [N, C, H, W]."""
        return integers(self.seed, self.batch, self.in_channels, self.height, self.width)

    @functools.cached_property
    def weights(self) -> tuple[Array, Array, Array]:
        """Weights of the three convolutions."""
        sizes = (
            (self.middle, self.in_channels, 1, 1),
            (self.middle, self.middle, 3, 3),
            (self.out_channels, self.middle, 1, 1),
        )
        first, second, third = (
            integers(self.seed + number, *size) for number, size in enumerate(sizes, 1)
        )
        return first, second, third

    @functools.cached_property
    def direct(self) -> Array:
        """Weights of a 3x3 convolution between the same channels."""
        return integers(self.seed + 4, self.out_channels, self.in_channels, 3, 3)


def through(ops: Any, x: Array, weights: tuple[Array, ...], *, relu: bool) -> Array:
    """Send maps through a bottleneck, with ReLUs between its convolutions or without."""
    first, second, third = weights
    between = ops.relu if relu else lambda maps: maps
    x = between(ops.conv2d(x, first))
    x = between(ops.conv2d(x, second, padding=(1, 1)))
    made: Array = ops.conv2d(x, third)
    return made


CHAINS: Domain[Chain] = sampled(
    "bottlenecks of 1 to 3 images, 1 to 7 channels, maps up to 7x7, with ReLUs or without",
    Chain,
    {
        "batch": (2, 1),
        "in_channels": (4, 2, 6),
        "middle": (2, 7, 1),
        "out_channels": (5, 3),
        "height": (4, 3),
        "width": (5, 1, 6),
        "relu": (False, True),
    },
    {
        "batch": st.integers(1, 3),
        "in_channels": st.integers(1, 7),
        "middle": st.integers(1, 7),
        "out_channels": st.integers(1, 7),
        "height": st.integers(1, 7),
        "width": st.integers(1, 7),
        "relu": st.booleans(),
        "seed": SEEDS,
    },
)
CHAIN_FAULTS = (
    *(faults.channel_ignored, faults.filter_ignored, faults.last_image_ignored, faults.shifted),
    *(faults.weight_transposed, faults.kernel_flipped, faults.padded_by_edge, faults.rectified),
    faults.conv2d_in_float32,
)
LINEAR = "no activation stands between its convolutions"

is_one_layer = Claim(
    "bottleneck/is-one-3x3-layer",
    says="A bottleneck computes what one 3x3 layer computes: that whose matrix of weights at each "
    "tap is the product of the three.",
    cites=["003:25-26"],
    recorded=HoldsIf(LINEAR),
)


@is_one_layer.judged(
    subject=OPERATORS,
    on=CHAINS,
    when={LINEAR: lambda c: not c.relu},
    flipped_by=[*CHAIN_FAULTS, faults.relu_missing],
)
def bottleneck_equals_the_composed_layer(ops: Operators, c: Chain) -> None:
    first, second, third = c.weights
    composed = np.einsum("om,mnhw,nc->ochw", third[..., 0, 0], second, first[..., 0, 0])
    x = wide(c.x)
    made = through(ops, x, c.weights, relu=c.relu)
    same(made, oracle.conv2d(x, composed, padding=(1, 1)), "the bottleneck")


few_dimensions = Claim(
    "bottleneck/outputs-span-no-more-dimensions-than-its-middle",
    says="Whatever a bottleneck without biases gets, with ReLUs between its convolutions or not, "
    "the channels that it gives span no more dimensions than its middle has channels.",
    cites=["003:26"],
    recorded=Holds(),
)


@few_dimensions.judged(subject=OPERATORS, on=CHAINS, flipped_by=[*CHAIN_FAULTS, faults.relu_leaky])
def rank_is_that_of_the_middle(ops: Operators, c: Chain) -> None:
    x = wide(c.x)
    made = through(ops, x, c.weights, relu=c.relu)
    same(made, through(oracle, x, c.weights, relu=c.relu), "the bottleneck")
    rank = np.linalg.matrix_rank(made.swapaxes(0, 1).reshape(c.out_channels, -1))
    assert rank <= c.middle, f"{c.middle} channels in the middle give {rank} dimensions"


AS_WIDE = "its middle is as wide as input and output"

stands_in = Claim(
    "bottleneck/can-compute-what-the-direct-layer-computes",
    says="Some weights let a bottleneck without activations compute what a given 3x3 layer does.",
    cites=["003:25-26"],
    recorded=HoldsIf(AS_WIDE),
)


@stands_in.judged(
    subject=OPERATORS,
    on=CHAINS,
    when={AS_WIDE: lambda c: c.middle >= max(c.in_channels, c.out_channels)},
    flipped_by=[
        *(faults.channel_ignored, faults.filter_ignored, faults.shifted, faults.rectified),
        *(faults.weight_transposed, faults.padded_by_edge),
    ],
)
def nearest_bottleneck_equals_the_layer(ops: Operators, c: Chain) -> None:
    # Weights of a bottleneck that computes it exist if and only if these spaces are small enough.
    outputs = c.direct.reshape(c.out_channels, -1)
    inputs = c.direct.swapaxes(0, 1).reshape(c.in_channels, -1)
    ranks = [int(np.linalg.matrix_rank(matrix)) for matrix in (inputs, outputs)]
    assert max(ranks) <= c.middle, (
        f"{c.middle} channels in the middle; the layer reads {ranks[0]} dimensions of its input "
        f"and gives {ranks[1]}"
    )
    left, right = (np.linalg.svd(matrix)[0][:, : c.middle] for matrix in (outputs, inputs))
    second = np.einsum("om,ochw,cn->mnhw", left, c.direct, right)
    weights = (right.T[..., None, None], second, left[..., None, None])
    made = through(ops, c.x, weights, relu=False)
    close(made, oracle.conv2d(c.x, c.direct, padding=(1, 1)), "the bottleneck")


# Time ---------------------------------------------------------------------------------------------

FASTER = "bottlenecks make training faster"

fewer_multiply_adds = Claim(
    "bottleneck/does-17-of-144-multiply-adds",
    says="On maps of any size the bottleneck of the example does 17/144 of the multiply-adds of "
    "the direct layer, one in 8.47.",
    cites=["003:23"],
    recorded=Holds(),
    reading_of=FASTER,
)


@fewer_multiply_adds.judged(
    subject=LAYERS,
    on=Sample("maps of some sizes", [(56, 56), (14, 20), (1, 3)]),
    flipped_by=[
        *(kernels_3x1, narrower, wrong_formulas.padding_added),
        layer("stride 2", "Conv2d", lambda f, *a, **more: f(*a, **more | {"stride": 2})),
    ],
)
def layers_do_this_share(layers: Layers, size: tuple[int, int]) -> dict[str, int]:
    bottleneck, direct = (
        counting.multiply_adds(one(layers), 1, EXAMPLE.channels, *size)
        for one in (EXAMPLE.bottleneck, EXAMPLE.direct)
    )
    share = Fraction(bottleneck, direct)
    assert share == Fraction(17, 144), f"{size[0]}x{size[1]} pixels: {share} of the multiply-adds"
    assert direct == 589_824 * size[0] * size[1], f"the direct layer does {direct:,}"
    return {"bottleneck": bottleneck, "direct": direct}


@fewer_multiply_adds.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        *(biases_counted, width_forgotten),
        *(wrong_formulas.output_size_off_by_one, wrong_formulas.padding_counted_once),
    ],
)
def every_size_is_kept(formulas: Formulas, _: Proof) -> None:
    for_all(
        lambda side: formulas.output_size(formulas.output_size(side, 1), 3, padding=1) == side,
        low=1,
        what="1x1 and 3x3 kernels on a side",
    )
    bottleneck = bottleneck_weights(formulas, EXAMPLE.channels, EXAMPLE.middle, EXAMPLE.kernel)
    direct = weights(formulas, EXAMPLE.channels, EXAMPLE.channels, EXAMPLE.kernel)
    assert Fraction(bottleneck, direct) == Fraction(17, 144), f"{bottleneck} of {direct} a pixel"


faster_step = Claim(
    "bottleneck/takes-less-time-for-a-training-step-on-a-gpu",
    says="Measured on a GPU, a training step of the bottleneck of the example takes less time than "
    "one of the direct layer.",
    cites=["003:23"],
    recorded=Undecided("python -m claims.measure on a machine with a GPU"),
    reading_of=FASTER,
)


@faster_step.judged(
    subject=MEASUREMENTS,
    on=["cuda"],
    flipped_by=[steps_that_take("longer", {"bottleneck": 1.01, "direct-3x3": 1})],
)
def step_is_shorter(evidence: Evidence, device: str) -> dict[str, float]:
    ratio = times_as_long(evidence, device, "bottleneck", "direct-3x3")
    assert ratio < 1, f"a step of the bottleneck takes {ratio:.2g} times as long"
    return {"ratio": ratio}


reaches_loss_sooner = trained(
    "bottleneck/takes-less-time-to-a-training-loss",
    says="On CIFAR-10 a network of bottlenecks takes less time to a training loss of 0.5 than the "
    "same network of direct 3x3 layers.",
    cites=["003:23"],
    rule=Sooner("trunk-bottleneck", "trunk", quantity="seconds to training loss 0.5", seeds=5),
    reading_of=FASTER,
)
