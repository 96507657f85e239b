"""Network in Network: its idea, its blocks, how they make a network, and the sizes along the way.

Document 001 (lines 56, 63, 79 to 92, 101 to 103). `lecture-nin` is the network of document 001,
`table-nin` the ImageNet table of document 004, `handwritten-nin` its listing, `cifar10-nin` the
paper's own.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims._classics import convolutions, records_of
from claims._layers import for_all
from claims._maps import max_for_average
from claims.cases import SEEDS, Convolution, fine, grid, integers, sampled, wide
from claims.checks import Array, close, same
from claims.core.claim import PROOF, Claim, Domain, Fault, Proof, Sample
from claims.core.verdict import Holds, HoldsIf
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import (
    FORMULAS,
    MODELS,
    MODELS_WITH_WEIGHTS,
    OPERATORS,
    Formulas,
    Models,
    traced,
)
from nin_ref import oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import nn

# The idea: a multilayer perceptron at each pixel --------------------------------------------------


@dataclass(frozen=True)
class Block(Convolution):
    """A NiN block whose first convolution is padded by half its window."""

    @property
    def image(self) -> Array:
        """Input [N, C, H, W], of both signs."""
        return fine(self.x) / 4

    @property
    def layers(self) -> list[tuple[Array, Array]]:
        """Weights and biases of the three convolutions, of both signs."""
        out = self.out_channels
        shapes = [(out, self.in_channels, *self.kernel), (out, out, 1, 1), (out, out, 1, 1)]
        return [
            (
                integers(self.seed + 10 + i, *shape),
                fine(integers(self.seed + 50 + i, out, low=-9, high=9)) / 4,
            )
            for i, shape in enumerate(shapes)
        ]

    def run(self, ops: Operators, x: Array) -> Array:
        """Return the output for x."""
        for weight, bias in self.layers:
            half = weight.shape[2] // 2, weight.shape[3] // 2
            x = ops.relu(ops.conv2d(x, weight, bias, padding=half))
        return x


BLOCK_SIZES: dict[str, Sequence[Any]] = {
    "batch": (1, 2),
    "in_channels": (3, 1, 4),
    "out_channels": (5, 2),
    "height": (4, 5),
    "width": (4, 7),
    "kernel": ((1, 1), (3, 3), (1, 5), (3, 1)),
}

mlp_per_pixel = Claim(
    "network-in-network/applies-an-mlp-at-each-pixel",
    says="A NiN block applies one and the same multilayer perceptron to the channels of every "
    "pixel on its own.",
    cites=["001:56"],
    recorded=HoldsIf("the first window is 1x1"),
)


@mlp_per_pixel.judged(
    subject=OPERATORS,
    on=sampled(
        "NiN blocks of up to 4 channels in and 5 out, maps up to 5x7, windows up to 3x5",
        Block,
        BLOCK_SIZES,
        {name: st.sampled_from(sizes) for name, sizes in BLOCK_SIZES.items()} | {"seed": SEEDS},
    ),
    when={"the first window is 1x1": lambda c: c.kernel == (1, 1)},
    flipped_by=[
        faults.neighbours_mixed,
        faults.weight_by_position,
        faults.axes_swapped,
        faults.weight_transposed,
        faults.bias_missing,
        faults.relu_missing,
        faults.relu_capped,
        faults.last_image_ignored,
        faults.conv2d_in_float32,
        faults.wrong("ReLU that cuts off below one", "relu", lambda f, x: f(x) * (x >= 1)),
    ],
)
def block_equals_mlp_on_pixels(ops: Operators, c: Block) -> None:
    pixels = c.image.transpose(0, 2, 3, 1)
    for weight, bias in c.layers:
        middle = weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2]
        pixels = oracle.relu(oracle.linear(pixels, middle, bias))
    same(c.run(ops, c.image), pixels.transpose(0, 3, 1, 2), "the block")


# NiN blocks ---------------------------------------------------------------------------------------

OF_THREE = ("cifar10-nin", "cifar100-nin", "mnist-nin", "svhn-nin", "handwritten-nin")
BLOCKS = {"lecture-nin": 4, "table-nin": 4} | dict.fromkeys(OF_THREE, 3)
EACH_BLOCK = [(name, block) for name, count in BLOCKS.items() for block in range(1, count + 1)]
NOT_HANDWRITTEN = "the network is not the handwritten example"
UNLIKE_HANDWRITTEN: dict[str, Callable[[str], bool]] = {
    NOT_HANDWRITTEN: lambda name: name != "handwritten-nin"
}


def blocks(model: nn.Module) -> list[list[Any]]:
    """Split the layers of a chain where a convolution has a window larger than 1x1.

    So each part begins with a block, and holds what follows up to the next block.
    """
    found: list[list[Any]] = [[]]
    for layer in model.modules():
        if type(layer).__name__ == "Identity" or next(layer.children(), None) is not None:
            continue
        begins = type(layer).__name__ == "Conv2d" and layer.kernel_size != (1, 1)
        if begins and within(found[-1]):
            found.append([])
        found[-1].append(layer)
    return found


def within(block: Sequence[Any]) -> list[Any]:
    """Return the convolutions of a block."""
    return [layer for layer in block if type(layer).__name__ == "Conv2d"]


def other(which: int, **options: Any) -> Callable[[nn.Module], None]:
    """Return a change that gives other `options` to one convolution; `which` is its index."""

    def change(model: nn.Module) -> None:
        from torch import nn

        name, old = surgeries.of_kind(model, "Conv2d")[which], convolutions(model)[which]
        kept = ("in_channels", "out_channels", "kernel_size", "stride", "padding")
        new = {option: getattr(old, option) for option in kept} | options
        surgeries.put(model, name, nn.Conv2d(**new, device="meta"))

    return change


def _narrowed(which: int, width: int) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        if len(convolutions(model)) > 6:  # AlexNet has five
            other(which, out_channels=width)(model)
            other(which + 1, in_channels=width)(model)

    return change


def _block_twice(model: nn.Module) -> nn.Module:
    from torch import nn

    from nin_ref.models import nin_block

    channels = convolutions(model)[0].in_channels
    twice = [nin_block(channels, channels, 3, padding=1) for _ in range(2)]
    return nn.Sequential(*twice, model).to("meta").eval()


made_of_blocks = Claim(
    "network-in-network/all-convolutions-are-in-nin-blocks",
    says="The convolutions of NiN come in blocks of three: one with a larger window, then two that "
    "are 1x1 with stride 1 and no padding, each followed by a ReLU.",
    cites=["001:63", "001:88", "001:90", "001:101"],
    recorded=Holds(),
)


@made_of_blocks.judged(
    subject=MODELS,
    on=list(BLOCKS),
    flipped_by=[
        surgeries.relu_layers_removed,
        surgeries.last_convolution_removed,
        surgeries.biases_dropped,
        surgeries.surgery("fifth convolution in two groups", other(4, groups=2)),
        surgeries.surgery("last window 3x3", other(-1, kernel_size=3, padding=1)),
        surgeries.surgery("second ReLU removed", surgeries.removed("ReLU", 1)),
        surgeries.surgery("last ReLU removed", surgeries.removed("ReLU", -1)),
    ],
)
def blocks_have_three_convolutions(models: Models, name: str) -> dict[str, int]:
    found = blocks(models(name))
    for number, layers in enumerate(found, 1):
        kinds = [type(layer).__name__ for layer in layers]
        assert kinds[:6] == ["Conv2d", "ReLU"] * 3, f"{name}: block {number} is {kinds[:6]}"
        assert "Conv2d" not in kinds[6:], f"{name}: a convolution follows block {number}"
        for layer in layers[:6:2]:
            assert layer.groups == 1, f"{name}: groups in block {number}"
            assert layer.bias is not None, f"{name}: no bias in block {number}"
        for layer in layers[2:6:2]:
            options = layer.kernel_size, layer.stride, layer.padding
            assert options == ((1, 1), (1, 1), (0, 0)), f"{name}: {layer} in block {number}"
    assert len(found) == BLOCKS[name], f"{name} has {len(found)} blocks"
    return {"blocks": len(found)}


first_windows = Claim(
    "network-in-network/first-windows-are-11-5-and-3",
    says="The first convolutions of NiN's blocks have windows of 11x11, 5x5 and 3x3.",
    cites=["001:90"],
    recorded=HoldsIf("the images are of ImageNet's size"),
)


@first_windows.judged(
    subject=MODELS,
    on=list(BLOCKS),
    when={"the images are of ImageNet's size": lambda name: name in ("lecture-nin", "table-nin")},
    flipped_by=[surgeries.surgery("first window of 7x7", other(0, kernel_size=7))],
)
def windows_are_11_5_3(models: Models, name: str) -> None:
    windows = [within(layers)[0].kernel_size for layers in blocks(models(name))]
    expected = [(11, 11), (5, 5), (3, 3), (3, 3)]
    assert windows == expected, f"{name} has {', '.join(f'{h}x{w}' for h, w in windows)}"


vgg_for_alexnet: Fault[Models] = Fault(
    "VGG for AlexNet",
    lambda models: lambda name: models(name.replace("lecture-alexnet", "lecture-vgg11")),
)
one_map_from_second_block = surgeries.surgery("second block puts out one map", _narrowed(5, 1))

alexnet_widths = Claim(
    "network-in-network/blocks-are-as-wide-as-alexnet",
    says="The convolutions of NiN's blocks put out as many channels as those of AlexNet, block for "
    "convolution.",
    cites=["001:90"],
    recorded=HoldsIf("the block is not the last", "AlexNet is the original, not torchvision's"),
)


@alexnet_widths.judged(
    subject=MODELS,
    on=[(name, block) for name in ("lecture-alexnet", "alexnet") for block in (1, 2, 3, 4)],
    when={
        "the block is not the last": lambda case: case[1] < 4,
        "AlexNet is the original, not torchvision's": lambda case: case[0] != "alexnet",
    },
    flipped_by=[
        vgg_for_alexnet,
        one_map_from_second_block,
        surgeries.surgery("fifth convolution 100 wide", _narrowed(4, 100)),
    ],
)
def widths_agree(models: Models, case: tuple[str, int]) -> None:
    name, block = case
    theirs = convolutions(models(name))[block - 1].out_channels
    ours = [layer.out_channels for layer in within(blocks(models("lecture-nin"))[block - 1])]
    assert ours == [theirs] * 3, f"block {block} has {ours} channels, {name} {theirs}"


blocks_differ = Claim(
    "network-in-network/no-two-blocks-are-alike",
    says="No two blocks of a NiN are alike: they differ in their windows or in their widths.",
    cites=["001:90"],
    recorded=Holds(),
)


@blocks_differ.judged(
    subject=MODELS,
    on=list(BLOCKS),
    flipped_by=[surgeries.surgery("a block twice", _block_twice)],
)
def blocks_are_pairwise_different(models: Models, name: str) -> None:
    kinds = [
        [(layer.kernel_size, layer.out_channels) for layer in within(layers)]
        for layers in blocks(models(name))
    ]
    assert all(kinds.count(kind) == 1 for kind in kinds), f"{name} has blocks {kinds}"


# Blocks and pools in turn, and a mean at the end --------------------------------------------------


def _pools_of_2x2(model: nn.Module) -> None:
    for name in surgeries.of_kind(model, "MaxPool2d"):
        vars(model.get_submodule(name))["kernel_size"] = 2


def _padding_halved(model: nn.Module) -> None:
    for layer in convolutions(model):
        if layer.padding == (2, 2):
            layer.padding = (1, 1)


def _averages_for_max_pools(model: nn.Module) -> None:
    from torch import nn

    for name in surgeries.of_kind(model, "MaxPool2d"):
        pool: Any = model.get_submodule(name)
        average = nn.AvgPool2d(pool.kernel_size, pool.stride, ceil_mode=pool.ceil_mode)
        surgeries.put(model, name, average)


averages_for_max_pools = surgeries.surgery("average pools for max pools", _averages_for_max_pools)

no_linear = Claim(
    "network-in-network/has-no-fully-connected-layer",
    says="NiN has no fully connected layer: no layer with weights sees its whole input at once.",
    cites=["001:56", "001:79", "001:81", "001:92", "001:103"],
    recorded=HoldsIf(NOT_HANDWRITTEN),
)


@no_linear.judged(
    subject=MODELS,
    on=list(BLOCKS),
    when=UNLIKE_HANDWRITTEN,
    flipped_by=[surgeries.linear_layers_removed, surgeries.linear_appended],
)
def no_layer_sees_all(models: Models, name: str) -> None:
    for record in records_of(models(name), name):
        sees_all = record.parameters > 0 and math.prod(record.output_shape[2:]) == 1
        assert not sees_all, f"{name}: {record.kind} {record.name}, {record.parameters} parameters"


pool_behind_each = Claim(
    "network-in-network/a-3x3-max-pool-with-stride-2-follows-each-block",
    says="Behind each block of NiN comes a max pool, always 3x3 with stride 2.",
    cites=["001:80", "001:90", "001:103"],
    recorded=HoldsIf("the block is not the last", NOT_HANDWRITTEN),
)


@pool_behind_each.judged(
    subject=MODELS,
    on=EACH_BLOCK,
    when={
        "the block is not the last": lambda case: case[1] < BLOCKS[case[0]],
        NOT_HANDWRITTEN: lambda case: case[0] != "handwritten-nin",
    },
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.last_max_pool_removed,
        averages_for_max_pools,
        surgeries.surgery("max pools of 2x2", _pools_of_2x2),
    ],
)
def max_pool_follows(models: Models, case: tuple[str, int]) -> None:
    name, block = case
    pool: Any = next(iter(blocks(models(name))[block - 1][6:]), None)
    assert type(pool).__name__ == "MaxPool2d", f"{name}: {pool} behind block {block}"
    options = pool.kernel_size, pool.stride, pool.padding, pool.dilation
    assert options == (3, 2, 0, 1), f"{name}: {pool} behind block {block}"


ends_in_mean = Claim(
    "network-in-network/ends-in-global-average-pooling",
    says="The output of NiN is the global average pool of its last block, with no layer behind.",
    cites=["001:81", "001:90", "001:102", "001:103"],
    recorded=HoldsIf(NOT_HANDWRITTEN),
)


@ends_in_mean.judged(
    subject=MODELS,
    on=list(BLOCKS),
    when=UNLIKE_HANDWRITTEN,
    flipped_by=[max_for_average, surgeries.linear_appended, surgeries.linear_layers_removed],
)
def mean_is_last(models: Models, name: str) -> None:
    records = [record for record in records_of(models(name), name) if record.kind != "Identity"]
    last = max(i for i, record in enumerate(records) if record.kind in ("Conv2d", "ReLU"))
    mean, *behind = records[last + 1 :]
    kinds = [record.kind for record in behind]
    assert kinds == ["Flatten"], f"behind its mean {name} has {', '.join(kinds)}"
    assert mean.kind in ("AdaptiveAvgPool2d", "AvgPool2d"), f"{name} ends in {mean.kind}"
    assert mean.output_shape[2:] == (1, 1), f"the mean of {name} is not global"


# Stride and padding of each block's first convolution, and an image small enough for a CPU.
PLANS: dict[str, tuple[list[tuple[int, int]], tuple[int, int, int]]] = {
    "lecture-nin": ([(4, 0), (1, 2), (1, 1), (1, 1)], (1, 127, 95)),
    "cifar10-nin": ([(1, 2), (1, 2), (1, 1)], (3, 10, 13)),
}

only_blocks_and_pools = Claim(
    "network-in-network/is-blocks-and-max-pools-up-to-a-mean",
    says="NiN computes nothing but NiN blocks with max pools between them, and a global average at "
    "the end.",
    cites=["001:80", "001:81", "001:103"],
    recorded=Holds(),
)


@only_blocks_and_pools.judged(
    subject=MODELS_WITH_WEIGHTS,
    on=Sample("the networks of the lecture and of the paper's CIFAR-10 experiment", list(PLANS)),
    flipped_by=[
        surgeries.relu_layers_removed,
        surgeries.biases_dropped,
        surgeries.surgery("padding of 5x5 windows halved", _padding_halved),
        surgeries.last_max_pool_removed,
        averages_for_max_pools,
        surgeries.surgery("fourth ReLU removed", surgeries.removed("ReLU", 3)),
        surgeries.surgery("last ReLU removed", surgeries.removed("ReLU", -1)),
        max_for_average,
    ],
)
def network_follows_its_plan(models: Models, name: str) -> None:
    import torch

    (plan, shape), model = PLANS[name], copy.deepcopy(models(name))
    y = image = np.random.default_rng(1).standard_normal((2, *shape))
    layers = []
    for number, layer in enumerate(convolutions(model)):
        # PyTorch's initial weights let signals die out, and with them the traces of a fault.
        layer.weight.data *= math.sqrt(6)
        assert layer.bias is not None, f"{name}: convolution {number + 1} has no bias"
        layers.append((layer.weight.detach().numpy(), layer.bias.detach().numpy()))
    for block, (stride, padding) in enumerate(plan):
        if block:  # the paper's pools round up
            y = oracle.max_pool2d(y, (3, 3), stride=(2, 2), ceil_mode=name == "cifar10-nin")
        three = layers[3 * block : 3 * block + 3]
        y = oracle.mlpconv(y, three, stride=(stride, stride), padding=(padding, padding))
    with torch.no_grad():
        output = model(torch.from_numpy(image)).numpy()
    close(output, oracle.global_avg_pool2d(y), f"the output of {name}")


# Sizes along the way ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pool:
    """A max pool with stride 2 and no padding, and the maps that it reads."""

    window: int
    rounds_up: bool
    size: Pair
    seed: int = 0

    @property
    def maps(self) -> Array:
        """Maps [2, 3, H, W] of both signs."""
        return wide(integers(self.seed, 2, 3, *self.size, low=-9, high=9))

    def run(self, ops: Operators) -> Array:
        """Return what the pool makes of the maps."""
        window = (self.window, self.window)
        return ops.max_pool2d(self.maps, window, stride=(2, 2), ceil_mode=self.rounds_up)


def pools(described: str, windows: Sequence[int], rounding: Sequence[bool]) -> Domain[Pool]:
    """Return pools with these windows and ways to round."""
    values: dict[str, Sequence[Any]] = {
        "window": windows,
        "rounds_up": rounding,
        "size": ((6, 8), (12, 10), (7, 8), (6, 5), (9, 11)),
    }
    return Domain(
        described,
        covering=list(grid(values, Pool)),
        strategy=st.builds(
            Pool,
            window=st.sampled_from(windows),
            rounds_up=st.sampled_from(rounding),
            size=st.tuples(st.integers(3, 14), st.integers(3, 14)),
            seed=SEEDS,
        ),
    )


pool_halves = Claim(
    "network-in-network/max-pool-with-stride-2-halves-height-and-width",
    says="A max pool with stride 2 halves height and width.",
    cites=["001:80"],
    recorded=HoldsIf("the window is 2x2, or the pool rounds up", "height and width are even"),
)


@pool_halves.judged(
    subject=OPERATORS,
    on=pools("2x2 and 3x3 max pools on maps up to 14x14", (2, 3), (False, True)),
    when={
        "the window is 2x2, or the pool rounds up": lambda c: c.window == 2 or c.rounds_up,
        "height and width are even": lambda c: c.size[0] % 2 == c.size[1] % 2 == 0,
    },
    flipped_by=[
        faults.max_pool_rounding_swapped,
        faults.mean_for_max,
        faults.max_pool_padded_by_zeros,
        faults.in_float32("max_pool2d"),
    ],
)
def half_is_left(ops: Operators, c: Pool) -> None:
    y = c.run(ops)
    (height, width), (rows, columns) = c.size, y.shape[2:]
    halved = (2 * rows, 2 * columns) == c.size
    assert halved, f"{c.window}x{c.window} makes {rows}x{columns} of {height}x{width}"
    same(y, c.run(oracle), "the pool")


one_less_than_half = Claim(
    "network-in-network/3x3-max-pool-leaves-one-less-than-half",
    says="A 3x3 max pool with stride 2 that neither pads nor rounds up, such as the lecture's, "
    "leaves half of the rows and columns, rounded up, less one.",
    cites=["001:80", "001:90"],
    recorded=Holds(),
)


@one_less_than_half.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[wrong_formulas.output_size_off_by_one, wrong_formulas.stride_forgotten],
)
def closed_form_says_so(formulas: Formulas, _: Proof) -> None:
    for_all(lambda n: formulas.output_size(n, 3, 2) == (n + 1) / 2 - 1, low=3, what="a side")


@one_less_than_half.judged(
    subject=OPERATORS,
    on=pools("3x3 max pools on maps up to 14x14", (3,), (False,)),
    flipped_by=[faults.max_pool_rounding_swapped, faults.mean_for_max],
)
def real_pools_say_so(ops: Operators, c: Pool) -> None:
    y = c.run(ops)
    expected = tuple(math.ceil(size / 2) - 1 for size in c.size)
    assert y.shape[2:] == expected, f"{y.shape[2:]} are left of {c.size}"
    same(y, c.run(oracle), "the pool")


@one_less_than_half.judged(
    subject=MODELS,
    on=["lecture-nin", "table-nin"],
    flipped_by=[surgeries.surgery("max pools of 2x2", _pools_of_2x2), surgeries.max_pools_removed],
)
def pools_of_networks_say_so(models: Models, name: str) -> None:
    found = [record for record in records_of(models(name), name) if record.kind == "MaxPool2d"]
    sizes = [record.input_shape[3] for record in found]
    left = [record.output_shape[3] for record in found]
    assert left == [math.ceil(size / 2) - 1 for size in sizes], f"{name}: {left} of {sizes}"
    assert len(left) == 3, f"{name} has {len(left)} pools"


maps_shrink = Claim(
    "network-in-network/maps-shrink-from-block-to-block",
    says="From block to block the maps of NiN get lower and narrower.",
    cites=["001:80"],
    recorded=Holds(),
)


@maps_shrink.judged(
    subject=MODELS,
    on=[name for name in BLOCKS if name != "handwritten-nin"],
    flipped_by=[surgeries.max_pools_removed, surgeries.first_max_pool_removed],
)
def sizes_fall(models: Models, name: str) -> None:
    model = models(name)
    firsts = {id(within(layers)[0]) for layers in blocks(model)}
    sizes = [
        record.output_shape[2:]
        for record in records_of(model, name)
        if id(model.get_submodule(record.name)) in firsts
    ]
    for (height, width), (lower, narrower) in itertools.pairwise(sizes):
        assert lower < height, f"{name}: {sizes}"
        assert narrower < width, f"{name}: {sizes}"


channels_grow = Claim(
    "network-in-network/channels-grow-from-block-to-block",
    says="From block to block the number of channels of NiN grows.",
    cites=["001:80"],
    recorded=HoldsIf(
        "the block is not the last, or there are 1000 classes", "the network is not the MNIST one"
    ),
)


@channels_grow.judged(
    subject=MODELS,
    on=EACH_BLOCK,
    when={
        "the block is not the last, or there are 1000 classes": lambda case: (
            case[1] < BLOCKS[case[0]] or case[0] == "table-nin"
        ),
        "the network is not the MNIST one": lambda case: case[0] != "mnist-nin",
    },
    flipped_by=[one_map_from_second_block],
)
def channels_rise(models: Models, case: tuple[str, int]) -> None:
    name, block = case
    layers = within(blocks(models(name))[block - 1])
    before, after = layers[0].in_channels, layers[-1].out_channels
    assert after > before, f"{name}: block {block} turns {before} channels into {after}"


# As the chapter that the lecture follows (001:187) prints them for a 224x224 image.
CHAPTER_SHAPES = [
    *((96, 54, 54), (96, 26, 26)),
    *((256, 26, 26), (256, 12, 12)),
    *((384, 12, 12), (384, 5, 5), (384, 5, 5)),
    *((10, 5, 5), (10, 1, 1), (10,)),
]

lecture_shapes = Claim(
    "network-in-network/lecture-maps-are-54-26-12-and-5",
    says="Of a 224x224 image the lecture's NiN makes 96x54x54, 256x26x26, 384x12x12 and 10x5x5 in "
    "its blocks, and 26, 12 and 5 in its pools.",
    cites=["001:80-81", "001:90", "001:187"],
    recorded=Holds(),
)


@lecture_shapes.judged(
    subject=MODELS,
    on=["lecture-nin"],
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.dropout_removed,
        surgeries.padding_dropped,
        surgeries.outputs_doubled,
        surgeries.surgery("first window of 7x7", other(0, kernel_size=7)),
    ],
)
def shapes_are_those_of_the_chapter(models: Models, name: str) -> None:
    top = {record.name.partition(".")[0]: record for record in records_of(models(name), name)}
    shapes = [record.output_shape[1:] for record in top.values() if record.kind != "Identity"]
    assert shapes == CHAPTER_SHAPES, f"the shapes are {shapes}"


stride_4 = Claim(
    "network-in-network/stride-4-leaves-a-fifteenth-of-the-positions",
    says="The stride of 4 of the first convolution shrinks its output greatly: fewer than one in "
    "fifteen positions are left of those that stride 1 would give.",
    cites=["001:91"],
    recorded=Holds(),
)


@stride_4.judged(
    subject=MODELS,
    on=["lecture-nin", "table-nin"],
    flipped_by=[surgeries.surgery("first stride of 2", other(0, stride=2))],
)
def positions_are_few(models: Models, name: str) -> dict[str, float]:
    first = copy.deepcopy(convolutions(models(name))[0])
    assert first.stride == (4, 4), f"the first stride of {name} is {first.stride}"
    first.stride = (1, 1)
    (dense,) = traced(first, 1, first.in_channels, 224, 224)
    all_positions = math.prod(dense.output_shape[2:])
    left = math.prod(records_of(models(name), name)[0].output_shape[2:])
    assert 15 * left < all_positions, f"{name}: {left} of {all_positions}"
    return {"positions": left, "at stride 1": all_positions, "ratio": all_positions / left}
