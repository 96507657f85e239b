"""Kernels of several sizes in one layer, as in Inception.

Document 003 (lines 19, 21 and 24).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims import _inception as inception
from claims._classics import ALEXNETS, convolutions
from claims._inception import Builder, altered, biases_counted, kernels_3x1, width_forgotten
from claims._steps import steps_that_take, times_as_long
from claims.cases import SEEDS, integers, sampled, wide
from claims.checks import Array, close, same
from claims.core.claim import PROOF, Claim, Domain, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted, Undecided
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.formulas import layer
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
    model_on_meta,
)
from claims.trained import trained
from claims.training.rules import Lower, Sooner
from nin_ref import counting, oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import nn

# One kernel in each layer -------------------------------------------------------------------------

TRADITIONAL = ["lenet5", *ALEXNETS, "lecture-vgg11", "vgg16"]
ONE_KERNEL = "each layer of a traditional network uses one kernel only"

one_size = Claim(
    "inception/traditional-layer-has-one-kernel-size",
    says="LeNet, AlexNet and VGG are chains: each layer reads what the layer before it made and "
    "nothing else does, so that a map meets kernels of one size only.",
    cites=["003:19"],
    recorded=Holds(),
    reading_of=ONE_KERNEL,
)


def _two_sizes(model: nn.Module) -> None:
    """Put kernels of 3x3 and 5x5 in the place of the last convolution."""
    name = surgeries.of_kind(model, "Conv2d")[-1]
    conv: Any = model.get_submodule(name)
    bank = inception.kernel_bank(conv.in_channels, {3: 5, 5: conv.out_channels})
    surgeries.put(model, name, bank)


@one_size.judged(
    subject=MODELS,
    on=TRADITIONAL,
    flipped_by=[surgery("kernels of two sizes in the last convolution", _two_sizes)],
)
def each_map_is_read_once(models: Models, name: str) -> None:
    from torch import fx

    for node in fx.symbolic_trace(models(name)).graph.nodes:
        readers = len(node.users)
        assert readers <= 1, f"{name}: what {node.name} makes is read {readers} times"


one_filter = Claim(
    "inception/traditional-layer-has-a-single-kernel",
    says="Each convolution of LeNet, AlexNet and VGG has a single kernel.",
    cites=["003:19"],
    recorded=Refuted(instead="inception/traditional-layer-has-one-kernel-size"),
    reading_of=ONE_KERNEL,
)


def _one_filter_each(model: nn.Module) -> None:
    for conv in convolutions(model):
        conv.weight = type(conv.weight)(conv.weight[:1])


@one_filter.judged(
    subject=MODELS,
    on=TRADITIONAL,
    flipped_by=[surgery("one filter in each convolution", _one_filter_each)],
)
def weights_hold_one_filter(models: Models, name: str) -> None:
    for place, conv in enumerate(convolutions(models(name)), 1):
        kernels = len(conv.weight)
        assert kernels == 1, f"convolution {place} of {name} has {kernels} kernels"


# Kernels of several sizes, side by side -----------------------------------------------------------

INCEPTION: Subject[Builder] = Subject(
    "torchvision's Inception block",
    lambda: type(model_on_meta("googlenet").get_submodule("inception3a")),
)


@dataclass(frozen=True)
class Maps:
    """An Inception block and maps for it; `sizes` are the arguments of torchvision's block.

    These are the channels of the input, of the 1x1 kernels, of the 3x3 ones behind their
    reduction, of the larger ones behind theirs, and of the projection of the pool.
    """

    sizes: tuple[int, ...]
    height: int
    width: int
    batch: int = 2
    seed: int = 0

    @functools.cached_property
    def x(self) -> Array:
        """Maps [N, C, H, W]."""
        return integers(self.seed, self.batch, self.sizes[0], self.height, self.width)

    def build(self, build: Builder) -> Any:
        """Make the block, in float64 and in evaluation mode, its weights from the seed."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return build(*self.sizes).double().eval()


NARROW = Sample(
    "narrow Inception blocks on maps of some sizes",
    [Maps((7, 5, 2, 6, 3, 4, 1), 5, 8), Maps((3, 1, 4, 2, 2, 5, 6), 4, 1, batch=1, seed=1)],
)

concatenates = Claim(
    "inception/stacks-its-branches-along-channels",
    says="An Inception block sends its input through several branches and stacks what they make "
    "along the channels, in maps of one height and width.",
    cites=["003:19"],
    recorded=Holds(),
)


def _puts_out(change: Callable[[Any], Any]) -> Callable[[Any], object]:
    """Return an alteration of what a block puts out."""
    return lambda block: block.register_forward_hook(lambda _block, _inputs, y: change(y))


def _third_branch_reads_other_maps(block: Any) -> None:
    block.branch3.register_forward_pre_hook(lambda _branch, inputs: inputs[0].flip(2))


def _average_for_maximum(block: Any) -> None:
    from torch import nn

    block.branch4[0] = nn.AvgPool2d(3, stride=1, padding=1)


@concatenates.judged(
    subject=INCEPTION,
    on=NARROW,
    flipped_by=[
        altered("channels in reverse order", _puts_out(lambda y: y.flip(1))),
        altered("second channel first", _puts_out(lambda y: y[:, [1, 0, *range(2, y.shape[1])]])),
        altered("stacked along rows", _puts_out(lambda y: y.transpose(1, 2))),
        altered("branches added", _puts_out(lambda y: y.sum(dim=1, keepdim=True))),
        altered("last channel lost", _puts_out(lambda y: y[:, :-1])),
        altered("third branch reads other maps", _third_branch_reads_other_maps),
        altered("average for maximum in the pool", _average_for_maximum),
    ],
)
def block_stacks_its_branches(build: Builder, c: Maps) -> None:
    import torch

    block = c.build(build)
    with torch.no_grad():
        y = block(torch.tensor(c.x)).numpy()

    def convolved(x: Array, name: str) -> Array:
        weight = block.get_submodule(f"{name}.conv").weight.detach().numpy()
        padding = (weight.shape[2] // 2, weight.shape[3] // 2)
        # Untrained, batch normalisation only divides by the root of one and its epsilon.
        return oracle.relu(oracle.conv2d(x, weight, padding=padding) / np.sqrt(1.001))

    pooled = oracle.max_pool2d(c.x, (3, 3), stride=(1, 1), padding=(1, 1))
    branches = [
        convolved(c.x, "branch1"),
        convolved(convolved(c.x, "branch2.0"), "branch2.1"),
        convolved(convolved(c.x, "branch3.0"), "branch3.1"),
        convolved(pooled, "branch4.1"),
    ]
    close(y, np.concatenate(branches, axis=1), "the block")


def _each_block(name: str, alter: Callable[[Any], object]) -> Fault[Models]:
    """Return a surgery that alters each Inception block of a network."""

    def alter_all(model: nn.Module) -> None:
        for block in inception.layers(model).values():
            alter(block)

    return surgery(name, alter_all)


@concatenates.judged(
    subject=MODELS,
    on=["googlenet", "inception_v3"],
    flipped_by=[
        _each_block("last channel lost", _puts_out(lambda y: y[:, :-1])),
        _each_block("stacked along rows", _puts_out(lambda y: y.transpose(1, 2))),
    ],
)
def channels_of_branches_add_up(models: Models, name: str) -> dict[str, int]:
    import torch

    layers, found = inception.layers(models(name)), {}
    one_of_each_class = {type(layers[one.name]): one for one in inception.blocks(models(name))}
    for block in one_of_each_class.values():
        maps = torch.empty(2, block.in_channels, 11, 15, device="meta")
        made = found[block.name] = layers[block.name](maps).shape[1]
        assert made == block.made, f"{block.name} of {name} makes {made} channels of {block.made}"
    return found


READ_DIRECTLY = "kernels of several sizes are applied to one map"

read_directly = Claim(
    "inception/kernels-of-several-sizes-read-one-map",
    says="In each block of GoogLeNet the maps that the block gets are read by convolutions of "
    "several sizes.",
    cites=["003:19"],
    recorded=Refuted(instead="inception/branches-see-fields-of-several-sizes"),
    reading_of=READ_DIRECTLY,
)


@read_directly.judged(
    subject=MODELS, on=inception.GOOGLENETS, flipped_by=[inception.without_reductions]
)
def first_convolutions_differ_in_size(models: Models, name: str) -> None:
    for block in inception.blocks_of(models, name):
        first = [branch[0].kernel for branch in block.branches if branch[0].weights]
        assert len(set(first)) > 1, (
            f"{block.name} of {name}: all {len(first)} convolutions that read its input are "
            f"{inception.told(first[0])}"
        )


several_fields = Claim(
    "inception/branches-see-fields-of-several-sizes",
    says="The branches of an Inception block see parts of its input of several sizes.",
    cites=["003:19"],
    recorded=Holds(),
    reading_of=READ_DIRECTLY,
)


def _single_pixels(block: Any) -> None:
    """Make every kernel and every pooling window of a block 1x1."""
    from torch import nn

    for name, made in [*block.named_modules()]:
        if isinstance(made, nn.Conv2d):
            channels, device = (made.in_channels, made.out_channels), made.weight.device
            surgeries.put(block, name, nn.Conv2d(*channels, 1, bias=False, device=device))
        elif isinstance(made, nn.MaxPool2d):
            surgeries.put(block, name, nn.MaxPool2d(1))


single_pixels = _each_block("every kernel 1x1", _single_pixels)


@several_fields.judged(subject=MODELS, on=inception.NETWORKS, flipped_by=[single_pixels])
def fields_differ(models: Models, name: str) -> dict[str, str]:
    found = {}
    for block in inception.blocks_of(models, name):
        fields = [inception.field(branch) for branch in block.branches]
        found[block.name] = inception.told(*fields)
        assert len(set(fields)) > 1, f"branches of {block.name} of {name} see {found[block.name]}"
    return found


def _dilated(block: Any) -> None:
    conv = block.branch2[1].conv
    conv.dilation = conv.padding = (2, 2)


@several_fields.judged(
    subject=INCEPTION,
    on=NARROW,
    flipped_by=[
        altered("every kernel 1x1", _single_pixels),
        altered("3x3 kernels dilated", _dilated),
    ],
)
def fields_are_those_of_the_kernels(build: Builder, c: Maps) -> None:
    block = build(*c.sizes)
    image, middle = (1, c.sizes[0], 9, 11), (4, 5)
    fields = []
    for branch in block.children():
        seen = counting.gradient_support(branch, image, output_position=middle)
        rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
        fields.append((int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1))
    expected = [inception.field(branch) for branch in inception.branches(block)]
    assert fields == expected, f"{inception.told(*fields)} seen, not {inception.told(*expected)}"
    assert len(set(fields)) > 1, f"the branches see {inception.told(*fields)}"


no_five_by_five = Claim(
    "inception/googlenet-of-torchvision-has-no-5x5",
    says="In torchvision's GoogLeNet the branches of a block end with kernels of 1x1, 3x3, 3x3 and "
    "1x1: no block has the 5x5 kernel of the paper.",
    cites=["003:19"],
    recorded=Holds(),
)


@no_five_by_five.judged(
    subject=MODELS,
    on=["googlenet"],
    flipped_by=[
        Fault(
            "5x5 kernels of the paper put back",
            lambda models: lambda name: inception.network(models, f"{name} with 5x5"),
        ),
        single_pixels,
    ],
)
def kernels_are_1x1_and_3x3(models: Models, name: str) -> dict[str, int]:
    for block in inception.blocks(models(name)):
        sizes = inception.told(*(branch[-1].kernel for branch in block.branches))
        assert sizes == "1x1, 3x3, 3x3, 1x1", f"branches of {block.name} end with {sizes}"
    kernels = [inception.told(one.kernel_size) for one in convolutions(models(name))]
    return {size: kernels.count(size) for size in sorted(set(kernels))}


# A bank of kernels is one layer -------------------------------------------------------------------


@dataclass(frozen=True)
class Bank:
    """Kernels of several sizes on the same maps; each keeps its outputs in place by padding."""

    batch: int
    in_channels: int
    kernels: tuple[Pair, ...]
    height: int
    width: int
    stride: Pair = (1, 1)
    seed: int = 0

    @functools.cached_property
    def x(self) -> Array:
        """Maps [N, C, H, W]."""
        return wide(integers(self.seed, self.batch, self.in_channels, self.height, self.width))

    @functools.cached_property
    def weights(self) -> list[Array]:
        """Weights of each size, [O, C, kh, kw]; the first size has two filters, the next three."""
        return [
            integers(self.seed + place, place + 1, self.in_channels, *kernel)
            for place, kernel in enumerate(self.kernels, 1)
        ]

    @functools.cached_property
    def biases(self) -> list[Array]:
        """Biases [O] of each size."""
        return [
            integers(self.seed + 9 + place, len(weight), low=1)
            for place, weight in enumerate(self.weights)
        ]


BANKS: Domain[Bank] = sampled(
    "banks of two to four kernel sizes, odd up to 7x7, on maps of 1x1 to 9x9, any stride",
    Bank,
    {
        "batch": (2, 1),
        "in_channels": (3, 1),
        "kernels": (((1, 1), (3, 3), (5, 5)), ((3, 1), (1, 5)), ((1, 1), (7, 3), (3, 3), (1, 3))),
        "height": (6, 1, 9),
        "width": (8, 4),
        "stride": ((1, 1), (2, 3)),
    },
    {
        "batch": st.integers(1, 3),
        "in_channels": st.integers(1, 4),
        "kernels": st.lists(
            st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5, 7])),
            min_size=2,
            max_size=4,
        ).map(tuple),
        "height": st.integers(1, 9),
        "width": st.integers(1, 9),
        "stride": st.just((1, 1)) | st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "seed": SEEDS,
    },
)

bank_is_one_layer = Claim(
    "inception/bank-is-one-layer-with-zeros-around-its-kernels",
    says="Kernels of several odd sizes on the same maps extract together no other features than "
    "one layer with kernels of the largest size, in which zeros surround the smaller ones.",
    cites=["003:19"],
    recorded=Holds(),
)


@bank_is_one_layer.judged(
    subject=OPERATORS,
    on=BANKS,
    flipped_by=[
        *(faults.shifted, faults.kernel_flipped, faults.kernel_transposed, faults.padded_by_edge),
        *(faults.channel_ignored, faults.filter_ignored, faults.kernel_row_ignored),
        *(faults.stride_ignored, faults.stride_swapped, faults.last_image_ignored),
        *(faults.weight_transposed, faults.rectified, faults.conv2d_in_float32),
        *(faults.bias_missing, faults.bias_subtracted),
    ],
)
def smaller_kernels_are_padded(ops: Operators, c: Bank) -> None:
    reach = (max(rows for rows, _ in c.kernels) // 2, max(columns for _, columns in c.kernels) // 2)
    made, surrounded = [], []
    for weight, bias, (height, width) in zip(c.weights, c.biases, c.kernels, strict=True):
        own = (height // 2, width // 2)
        made.append(ops.conv2d(c.x, weight, bias, stride=c.stride, padding=own))
        zeros = [(whole - part, whole - part) for whole, part in zip(reach, own, strict=True)]
        surrounded.append(np.pad(weight, [(0, 0), (0, 0), *zeros]))
    single = (c.x, np.concatenate(surrounded), np.concatenate(c.biases))
    expected = oracle.conv2d(*single, stride=c.stride, padding=reach)
    same(np.concatenate(made, axis=1), expected, "what the kernels of several sizes make")
    same(ops.conv2d(*single, stride=c.stride, padding=reach), expected, "what the one layer makes")


# How many weights: readings -----------------------------------------------------------------------

MANY_MORE = "a layer of several kernel sizes has many more parameters than one of a single size"


def weights(layers: Layers, in_channels: int, filters: Mapping[int, int]) -> int:
    """Count the weights of square kernels on the same maps; `filters` are numbers by their side."""
    import torch

    with torch.device("meta"):
        return sum(
            counting.parameter_count(layers.Conv2d(in_channels, number, side, bias=False))
            for side, number in filters.items()
        )


def weights_by(formulas: Formulas, in_channels: Any, filters: Mapping[int, Any]) -> Any:
    """Return the weights of square kernels on the same maps by the closed form."""
    return sum(
        formulas.conv2d_parameters(in_channels, number, side, side, bias=False)
        for side, number in filters.items()
    )


full_width = Claim(
    "inception/full-width-bank-has-35-ninths-of-the-weights",
    says="Kernels of 1x1, 3x3 and 5x5, as many of each as a layer of 3x3 kernels has, have "
    "35/9 = 3.9 times the weights of this layer.",
    cites=["003:21"],
    recorded=Holds(),
    reading_of=MANY_MORE,
)


@full_width.judged(subject=FORMULAS, on=PROOF, flipped_by=[width_forgotten, biases_counted])
def thirty_five_for_each_nine(formulas: Formulas, _: Proof) -> None:
    import sympy

    channels, filters = sympy.symbols("channels filters", integer=True, positive=True)
    bank = weights_by(formulas, channels, dict.fromkeys((1, 3, 5), filters))
    single = weights_by(formulas, channels, {3: filters})
    each = channels * filters
    assert (bank, single) == (35 * each, 9 * each), f"{bank} weights, the layer has {single}"


@full_width.judged(
    subject=LAYERS,
    on=Sample("layers of some widths", [(3, 64), (192, 224), (5, 1)]),
    flipped_by=[kernels_3x1],
)
def layers_have_thirty_five_for_each_nine(layers: Layers, sizes: tuple[int, int]) -> None:
    channels, filters = sizes
    bank = weights(layers, channels, dict.fromkeys((1, 3, 5), filters))
    single = weights(layers, channels, {3: filters})
    each = channels * filters
    assert (bank, single) == (35 * each, 9 * each), f"{bank:,} weights, the layer has {single:,}"


@dataclass(frozen=True)
class Shares:
    """How the filters of a layer are shared out among 1x1, 3x3 and 5x5 kernels."""

    in_channels: int
    one: int
    three: int
    five: int

    @property
    def filters(self) -> dict[int, int]:
        """Numbers of filters by the side of the kernel."""
        return {1: self.one, 3: self.three, 5: self.five}

    def both(self, layers: Layers, side: int) -> tuple[int, int]:
        """Count the weights of these filters, and of as many with kernels of one side."""
        single = {side: self.one + self.three + self.five}
        return (
            weights(layers, self.in_channels, self.filters),
            weights(layers, self.in_channels, single),
        )


SHARES = Sample(
    "the shares of GoogLeNet's nine blocks, and equal shares",
    [
        *(Shares(192, 64, 128, 32), Shares(256, 128, 192, 96), Shares(480, 192, 208, 48)),
        *(Shares(512, 160, 224, 64), Shares(512, 128, 256, 64), Shares(512, 112, 288, 64)),
        *(Shares(528, 256, 320, 128), Shares(832, 256, 320, 128), Shares(832, 384, 384, 128)),
        Shares(48, 16, 16, 16),
    ],
)


def assert_difference(
    formulas: Formulas, side: int, expected: Callable[[Any, Any, Any], Any]
) -> None:
    """Assert how many more weights shared filters have than as many with kernels of one side.

    `expected` gives the difference for each input channel by the numbers of 1x1, 3x3 and 5x5.
    """
    import sympy

    channels, *numbers = sympy.symbols("channels one three five", integer=True, positive=True)
    bank = weights_by(formulas, channels, dict(zip((1, 3, 5), numbers, strict=True)))
    more = sympy.expand(bank - weights_by(formulas, channels, {side: sum(numbers)}))
    assert sympy.expand(more - channels * expected(*numbers)) == 0, f"{more} more weights"


FEW_SMALL = "less than twice as many 1x1 as 5x5 kernels"

shared_width = Claim(
    "inception/as-many-filters-have-more-weights-than-a-3x3-layer",
    says="As many filters as a layer of 3x3 kernels has, shared out among 1x1, 3x3 and 5x5, have "
    "more weights than this layer.",
    cites=["003:21", "003:24"],
    recorded=HoldsIf(FEW_SMALL),
    reading_of=MANY_MORE,
)


@shared_width.judged(
    subject=LAYERS,
    on=SHARES,
    when={FEW_SMALL: lambda c: c.one < 2 * c.five},
    flipped_by=[
        kernels_3x1,
        layer("one filter", "Conv2d", lambda f, i, _o, k, **more: f(i, 1, k, **more)),
    ],
)
def shared_filters_have_more_weights(layers: Layers, c: Shares) -> dict[str, float]:
    bank, single = c.both(layers, 3)
    assert bank - single == 8 * c.in_channels * (2 * c.five - c.one), f"{bank - single:,} more"
    assert bank > single, f"{c.one}, {c.three} and {c.five} filters: {bank / single:.2f} times"
    return {"times": bank / single}


@shared_width.judged(subject=MODELS, on=["googlenet with 5x5"], flipped_by=[single_pixels])
def shares_are_those_of_googlenet(models: Models, name: str) -> None:
    for block, c in zip(inception.blocks_of(models, name), SHARES.covering[:-1], strict=True):
        last = {one[-1].kernel: one[-1].out_channels for one in block.branches[:3]}
        filters = {(side, side): number for side, number in c.filters.items()}
        assert (block.in_channels, last) == (c.in_channels, filters), (
            f"{block.name} has {last} filters of {block.in_channels} channels"
        )


@shared_width.judged(subject=FORMULAS, on=PROOF, flipped_by=[width_forgotten])
def five_by_five_outweigh_1x1(formulas: Formulas, _: Proof) -> None:
    assert_difference(formulas, 3, lambda one, _three, five: 8 * (2 * five - one))


more_than_largest = Claim(
    "inception/as-many-filters-have-more-weights-than-a-5x5-layer",
    says="As many filters as a layer of 5x5 kernels has, shared out among 1x1, 3x3 and 5x5, have "
    "more weights than this layer.",
    cites=["003:21"],
    recorded=Refuted(instead="inception/as-many-filters-have-fewer-weights-than-a-5x5-layer"),
    reading_of=MANY_MORE,
)
fewer_than_largest = Claim(
    "inception/as-many-filters-have-fewer-weights-than-a-5x5-layer",
    says="As many filters as a layer of 5x5 kernels has, shared out among 1x1, 3x3 and 5x5, have "
    "fewer weights than this layer.",
    cites=["003:21"],
    recorded=Holds(),
)
smaller_made_7x7 = layer(
    "smaller kernels made 7x7",
    "Conv2d",
    lambda f, i, o, k, **more: f(i, o, 5 if k == 5 else 7, **more),
)


@more_than_largest.judged(subject=LAYERS, on=SHARES, flipped_by=[smaller_made_7x7])
def more_weights_than_5x5(layers: Layers, c: Shares) -> None:
    bank, single = c.both(layers, 5)
    assert bank > single, f"{bank:,} weights, as many filters of 5x5 have {single:,}"


@fewer_than_largest.judged(subject=LAYERS, on=SHARES, flipped_by=[smaller_made_7x7, kernels_3x1])
def fewer_weights_than_5x5(layers: Layers, c: Shares) -> dict[str, float]:
    bank, single = c.both(layers, 5)
    assert bank < single, f"{bank:,} weights, as many filters of 5x5 have {single:,}"
    assert single - bank == c.in_channels * (24 * c.one + 16 * c.three), f"{single - bank:,} fewer"
    return {"times": bank / single}


@fewer_than_largest.judged(subject=FORMULAS, on=PROOF, flipped_by=[width_forgotten])
def each_smaller_kernel_saves(formulas: Formulas, _: Proof) -> None:
    assert_difference(formulas, 5, lambda one, three, _five: -24 * one - 16 * three)


more_than_a_3x3 = Claim(
    "inception/blocks-have-more-weights-than-a-3x3-layer",
    says="Each block of GoogLeNet and Inception v3 has more weights than a 3x3 layer with as many "
    "input and output channels.",
    cites=["003:21"],
    recorded=Refuted(instead="inception/blocks-have-fewer-weights-than-a-3x3-layer"),
    reading_of=MANY_MORE,
)
fewer_than_a_3x3 = Claim(
    "inception/blocks-have-fewer-weights-than-a-3x3-layer",
    says="Each block of GoogLeNet and Inception v3 has less than three fifths of the weights of a "
    "3x3 layer with as many input and output channels.",
    cites=["003:21"],
    recorded=Holds(),
)


def times_a_3x3(models: Models, name: str) -> dict[str, float]:
    """Return how many times the weights of a 3x3 layer of its channels each block has."""
    return {
        block.name: block.weights / (9 * block.in_channels * block.made)
        for block in inception.blocks_of(models, name)
    }


def _kernels_9x9(block: Any) -> None:
    from torch import nn

    for name, conv in [*block.named_modules()]:
        if isinstance(conv, nn.Conv2d):
            channels = conv.in_channels, conv.out_channels
            surgeries.put(block, name, nn.Conv2d(*channels, 9, bias=False, device="meta"))


kernels_9x9 = _each_block("every kernel 9x9", _kernels_9x9)


@more_than_a_3x3.judged(subject=MODELS, on=inception.NETWORKS, flipped_by=[kernels_9x9])
def blocks_have_more_weights(models: Models, name: str) -> None:
    for block, times in times_a_3x3(models, name).items():
        assert times > 1, f"{block} of {name} has {times:.2f} times the weights"


@fewer_than_a_3x3.judged(
    subject=MODELS,
    on=inception.NETWORKS,
    flipped_by=[kernels_9x9, inception.without_reductions],
)
def blocks_have_fewer_weights(models: Models, name: str) -> dict[str, float]:
    found = times_a_3x3(models, name).values()
    assert max(found) < 0.6, f"a block of {name} has {max(found):.2f} times the weights"
    return {"least": min(found), "most": max(found)}


# What only measuring and training decide ----------------------------------------------------------

INEFFICIENT = "a layer of several kernel sizes is inefficient to train"

full_width_slower = Claim(
    "inception/full-width-bank-takes-longer-to-train-on-a-gpu",
    says="Measured on a GPU, a training step of 1x1, 3x3 and 5x5 kernels, as many of each as a "
    "layer of 3x3 kernels has, takes longer than one of this layer.",
    cites=["003:21"],
    recorded=Undecided("python -m claims.measure on a machine with a GPU"),
    reading_of=INEFFICIENT,
)
same_cost_slower = Claim(
    "inception/bank-of-equal-cost-takes-longer-to-train-on-a-gpu",
    says="Measured on a GPU, a training step of 64 kernels of 1x1, 128 of 3x3 and 32 of 5x5 takes "
    "longer than one of 224 kernels of 3x3, which have as many weights and multiply-adds.",
    cites=["003:21"],
    recorded=Undecided("python -m claims.measure on a machine with a GPU"),
    reading_of=INEFFICIENT,
)
shorter = steps_that_take(
    "shorter", {"3x3-layer": 1.01, "full-width-bank": 1, "equal-cost-bank": 1}
)


@full_width_slower.judged(subject=MEASUREMENTS, on=["full-width-bank"], flipped_by=[shorter])
@same_cost_slower.judged(subject=MEASUREMENTS, on=["equal-cost-bank"], flipped_by=[shorter])
def bank_takes_longer(evidence: Evidence, bank: str) -> dict[str, float]:
    ratio = times_as_long(evidence, "cuda", bank, "3x3-layer")
    assert ratio > 1, f"a step takes {ratio:.2g} times as long"
    return {"ratio": ratio}


reaches_loss_later = trained(
    "inception/several-sizes-take-longer-to-a-training-loss",
    says="On CIFAR-10 a network whose layers have kernels of several sizes takes more time to a "
    "training loss of 0.5 than the same network with 3x3 kernels.",
    cites=["003:21"],
    rule=Sooner("trunk", "trunk-inception", quantity="seconds to training loss 0.5", seeds=5),
    reading_of=INEFFICIENT,
)

better = tuple(
    trained(
        f"inception/several-sizes-beat-{size}-kernels",
        says="On CIFAR-10 a network whose layers have kernels of several sizes ends with a lower "
        f"test error than the same network with {size} kernels.",
        cites=["003:19"],
        rule=Lower("trunk-inception", arm, seeds=5),
        reading_of="features of several kernel sizes do better than those of a single one",
    )
    for size, arm in {"3x3": "trunk", "5x5": "trunk-5x5"}.items()
)
