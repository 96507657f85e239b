"""Network in Network: its idea, its blocks, its architecture, its parameters, the paper's results.

Document 001 (lines 10, 56, 63, 79 to 92 and 101 to 104), document 004 (lines 10, 33, 59, 68 and
70), and the paper. `lecture-nin` is the network of document 001, `table-nin` the ImageNet table of
document 004, `handwritten-nin` its listing, `cifar10-nin` the paper's own.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims._steps import steps_that_take, times_as_long
from claims.awaited import awaited
from claims.cases import SEEDS, Convolution, fine, grid, integers, sampled, wide
from claims.checks import Array, close, same
from claims.core.claim import PROOF, Claim, Domain, Fault, Proof, Sample, Subject
from claims.core.verdict import Grade, Holds, HoldsIf, Refuted, Undecided
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import (
    FACTS,
    FORMULAS,
    LAYERS,
    MEASUREMENTS,
    MODELS,
    MODELS_WITH_WEIGHTS,
    OPERATORS,
    Evidence,
    Formulas,
    Layers,
    Models,
    torchvision_models,
    traced,
)
from nin_ref import counting, oracle
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


# MLP-Mixer, which the lecture calls the same thing ------------------------------------------------


@dataclass(frozen=True)
class Mixer:
    """An MLP-Mixer layer, as Tolstikhin et al. define it, and the image that it reads."""

    height: int
    width: int
    channels: int
    hidden: int
    seed: int = 0

    def numbers(self, which: int, *shape: int) -> Array:
        """Return an array of numbers of both signs; the same for the same `which`."""
        return np.random.default_rng([self.seed, which]).standard_normal(shape)

    @property
    def tokens(self) -> Array:
        """The image [H * W, C]: a row for each pixel."""
        return self.numbers(0, self.height * self.width, self.channels)

    @property
    def between_channels(self) -> tuple[Array, Array]:
        """The weights of the perceptron that mixes channels."""
        into = self.numbers(3, self.hidden, self.channels)
        return into, self.numbers(4, self.channels, self.hidden)

    def run(self, ops: Operators, tokens: Array) -> Array:
        """Return what the layer makes of [H * W, C]: it mixes pixels, then channels."""
        pixels = len(tokens)
        between_pixels = self.numbers(1, self.hidden, pixels), self.numbers(2, pixels, self.hidden)
        mixed = tokens + mlp(ops, normalised(tokens).T, *between_pixels).T
        return mixed + mlp(ops, normalised(mixed), *self.between_channels)

    def reached(self, ops: Operators, pixel: int) -> Array:
        """Return which pixels [H, W] of the output change with one pixel of the input."""
        bumped = self.tokens
        bumped[pixel, 0] += 1
        change = abs(self.run(ops, bumped) - self.run(ops, self.tokens)).max(axis=1)
        return np.asarray(change > 1e-9).reshape(self.height, self.width)


def normalised(x: Array) -> Array:
    """Return the rows of x with mean 0 and variance 1."""
    return np.asarray((x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True))


def gelu(x: Array) -> Array:
    """Return the activation of MLP-Mixer, in the tanh form of its reference code."""
    return np.asarray(x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2)


def mlp(ops: Operators, x: Array, into: Array, out_of: Array) -> Array:
    """Return a perceptron with one hidden layer on the rows of x, all biases one."""
    hidden = gelu(ops.linear(np.ascontiguousarray(x), into, np.ones(len(into))))
    return ops.linear(hidden, out_of, np.ones(len(out_of)))


MIXERS = sampled(
    "MLP-Mixer layers of 3 to 6 channels on 4x5 to 6x7 pixels, 7 to 9 hidden units",
    Mixer,
    {"height": (5, 4), "width": (5, 7), "channels": (3, 4), "hidden": (8, 9)},
    {
        "height": st.integers(4, 6),
        "width": st.integers(5, 7),
        "channels": st.integers(3, 6),
        "hidden": st.integers(7, 9),
        "seed": SEEDS,
    },
)

same_as_mixer = Claim(
    "network-in-network/mlp-mixer-is-the-same-thing",
    says="MLP-Mixer and NiN are the same thing: a layer of either lets a pixel of the output "
    "depend on a window of the input only, such as 3x3.",
    cites=["001:56"],
    recorded=Refuted(instead="network-in-network/mlp-mixer-reads-all-pixels-at-once"),
)


@same_as_mixer.judged(
    subject=OPERATORS,
    on=MIXERS,
    flipped_by=[
        faults.wrong(
            "linear layer that keeps its features apart",
            "linear",
            lambda f, x, w, b=None: f(x, w * np.eye(*w.shape), b),
        )
    ],
)
def mixer_reads_a_window(ops: Operators, c: Mixer) -> None:
    outside = c.reached(ops, 0)
    outside[:2, :2] = False
    assert not outside.any(), f"pixel (0, 0) changes {outside.sum()} pixels outside its 3x3 window"


mixer_reads_all = Claim(
    "network-in-network/mlp-mixer-reads-all-pixels-at-once",
    says="One MLP-Mixer layer makes every pixel of its output depend on every pixel of its input.",
    cites=["001:56"],
    recorded=Holds(),
)


@mixer_reads_all.judged(
    subject=OPERATORS,
    on=MIXERS,
    flipped_by=[
        faults.feature_ignored,
        faults.linear_bias_missing,
        faults.linear_weight_transposed,
        faults.linear_in_float32,
    ],
)
def every_pixel_reaches_every_other(ops: Operators, c: Mixer) -> None:
    close(c.run(ops, c.tokens), c.run(oracle, c.tokens), "the Mixer layer")
    for pixel in (0, 2 * c.width + 1, c.height * c.width - 1):
        unreached = np.argwhere(~c.reached(ops, pixel))
        assert not len(unreached), f"pixel {pixel} does not change pixel {unreached[0]}"


mixer_channels = Claim(
    "network-in-network/mlp-mixer-mixes-channels-by-1x1-convolutions",
    says="What MLP-Mixer shares with NiN is the mixing of channels: this half of a Mixer layer is "
    "two 1x1 convolutions.",
    cites=["001:56"],
    recorded=Holds(),
)


@mixer_channels.judged(
    subject=OPERATORS,
    on=MIXERS,
    flipped_by=[
        faults.neighbours_mixed,
        faults.channel_ignored,
        faults.weight_transposed,
        faults.bias_missing,
        faults.axes_swapped,
        faults.conv2d_in_float32,
    ],
)
def channel_mixing_equals_convolutions(ops: Operators, c: Mixer) -> None:
    into, out_of = c.between_channels
    image = c.tokens.T.reshape(1, c.channels, c.height, c.width)
    hidden = gelu(ops.conv2d(image, into[:, :, None, None], np.ones(c.hidden)))
    mixed = ops.conv2d(hidden, out_of[:, :, None, None], np.ones(c.channels))
    expected = mlp(oracle, c.tokens, into, out_of).T.reshape(image.shape)
    close(mixed, expected, "the pair of convolutions")


# NiN blocks ---------------------------------------------------------------------------------------

PAPERS = ("cifar10-nin", "cifar100-nin", "mnist-nin", "svhn-nin")
BLOCKS = {"lecture-nin": 4, "table-nin": 4} | dict.fromkeys((*PAPERS, "handwritten-nin"), 3)
NINS = [name for name in BLOCKS if name != "handwritten-nin"]
EACH_BLOCK = [(name, block) for name, count in BLOCKS.items() for block in range(1, count + 1)]
NOT_HANDWRITTEN = "the network is not the handwritten example"
UNLIKE_HANDWRITTEN: dict[str, Callable[[str], bool]] = {
    NOT_HANDWRITTEN: lambda name: name != "handwritten-nin"
}


def records_of(models: Models, name: str) -> list[counting.LayerRecord]:
    """Return what each layer of a model does with one image of the size it is made for."""
    grey = name == "mnist-nin" or name.startswith("lecture")
    small = 28 if name == "mnist-nin" else 32
    size = small if name in (*PAPERS, "handwritten-nin") else 224
    return traced(models(name), 1, 1 if grey else 3, size, size)


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


def convolutions(model: nn.Module) -> dict[str, Any]:
    """Return the convolutions of a model by name."""
    return {name: model.get_submodule(name) for name in surgeries.of_kind(model, "Conv2d")}


def other(which: int, **options: Any) -> Callable[[nn.Module], None]:
    """Return a change that gives other `options` to one convolution; `which` is its index."""

    def change(model: nn.Module) -> None:
        from torch import nn

        name, old = list(convolutions(model).items())[which]
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

    channels = next(iter(convolutions(model).values())).in_channels
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
    theirs = list(convolutions(models(name)).values())[block - 1].out_channels
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
    for layer in convolutions(model).values():
        if layer.padding == (2, 2):
            layer.padding = (1, 1)


def _for_each(kind: str, other: Callable[[Any], nn.Module]) -> Callable[[nn.Module], None]:
    """Return a change that puts `other(layer)` in the place of every layer of a class."""

    def change(model: nn.Module) -> None:
        for name in surgeries.of_kind(model, kind):
            surgeries.put(model, name, other(model.get_submodule(name)))

    return change


def _global_maximum(mean: Any) -> nn.Module:
    from torch import nn

    return nn.AdaptiveMaxPool2d(mean.output_size)


def _average(pool: Any) -> nn.Module:
    from torch import nn

    return nn.AvgPool2d(pool.kernel_size, pool.stride, ceil_mode=pool.ceil_mode)


max_for_mean = surgeries.surgery(
    "global max for mean", _for_each("AdaptiveAvgPool2d", _global_maximum)
)
averages_for_max_pools = surgeries.surgery(
    "average pools for max pools", _for_each("MaxPool2d", _average)
)

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
    for record in records_of(models, name):
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
    flipped_by=[max_for_mean, surgeries.linear_appended, surgeries.linear_layers_removed],
)
def mean_is_last(models: Models, name: str) -> None:
    records = [record for record in records_of(models, name) if record.kind != "Identity"]
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
        max_for_mean,
    ],
)
def network_follows_its_plan(models: Models, name: str) -> None:
    import torch

    (plan, shape), model = PLANS[name], copy.deepcopy(models(name))
    y = image = np.random.default_rng(1).standard_normal((2, *shape))
    layers = []
    for number, layer in enumerate(convolutions(model).values()):
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
    import z3

    size = z3.Int("size")
    solver = z3.Solver()
    solver.add(size >= 3, formulas.output_size(size, 3, 2) != (size + 1) / 2 - 1)
    assert solver.check() == z3.unsat, f"another number is left of {solver.model()[size]}"


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
    found = [record for record in records_of(models, name) if record.kind == "MaxPool2d"]
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
    on=NINS,
    flipped_by=[surgeries.max_pools_removed, surgeries.first_max_pool_removed],
)
def sizes_fall(models: Models, name: str) -> None:
    layers = convolutions(models(name))
    sizes = [
        record.output_shape[2:]
        for record in records_of(models, name)
        if record.name in layers and layers[record.name].kernel_size != (1, 1)
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
    top = {record.name.partition(".")[0]: record for record in records_of(models, name)}
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
    first = copy.deepcopy(next(iter(convolutions(models(name)).values())))
    assert first.stride == (4, 4), f"the first stride of {name} is {first.stride}"
    first.stride = (1, 1)
    (dense,) = traced(first, 1, first.in_channels, 224, 224)
    all_positions = math.prod(dense.output_shape[2:])
    left = math.prod(records_of(models, name)[0].output_shape[2:])
    assert 15 * left < all_positions, f"{name}: {left} of {all_positions}"
    return {"positions": left, "at stride 1": all_positions, "ratio": all_positions / left}


# Parameters ---------------------------------------------------------------------------------------

PAIRS = [
    ("lecture-nin", "lecture-alexnet"),
    ("lecture-nin", "lecture-vgg11"),
    ("table-nin", "alexnet"),
    ("table-nin", "vgg16"),
]

fewer_parameters = Claim(
    "network-in-network/has-less-than-a-fifth-of-the-parameters",
    says="NiN has far fewer parameters than AlexNet and VGG for as many classes: less than a "
    "fifth.",
    cites=["001:92", "001:102", "001:103", "004:10", "004:33"],
    recorded=Holds(),
)


@fewer_parameters.judged(
    subject=MODELS,
    on=PAIRS,
    flipped_by=[surgeries.linear_layers_removed, surgeries.first_linear_removed],
)
def parameters_are_few(models: Models, pair: tuple[str, str]) -> dict[str, float]:
    nin, other = (counting.parameter_count(models(name)) for name in pair)
    assert 5 * nin < other, f"{pair[0]} has {nin} parameters, {pair[1]} {other}"
    return {"parameters": nin, "of the other": other, "ratio": other / nin}


LECTURE_BLOCKS = ((96, 11), (256, 5), (384, 3))
ALEXNET_CONVOLUTIONS = ((3, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3))


def nin_parameters(formulas: Formulas, in_channels: int, classes: Any) -> Any:
    """Return the parameters of the lecture's NiN; `classes` may be a symbol."""
    total = 0
    for width, window in (*LECTURE_BLOCKS, (classes, 3)):
        total += formulas.nin_block_parameters(in_channels, width, window)
        in_channels = width
    return total


def alexnet_parameters(formulas: Formulas, classes: Any) -> Any:
    """Return the parameters of torchvision's AlexNet; `classes` may be a symbol."""
    total = sum(formulas.conv2d_parameters(i, o, k, k) for i, o, k in ALEXNET_CONVOLUTIONS)
    for features, outputs in ((256 * 6 * 6, 4096), (4096, 4096), (4096, classes)):
        total += formulas.linear_parameters(features, outputs)
    return total


one_1x1_forgotten = wrong_formulas.formula(
    "one 1x1 convolution forgotten",
    "nin_block_parameters",
    lambda f, in_channels, width, window: f(in_channels, width, window) - width * (width + 1),
)

five_more_inputs = wrong_formulas.formula(
    "five more inputs", "linear_parameters", lambda f, i, o, **k: f(i + 5, o, **k)
)

fewer_for_any_classes = Claim(
    "network-in-network/has-fewer-parameters-for-any-number-of-classes",
    says="Whatever the number of classes, NiN for colour images has fewer parameters than AlexNet.",
    cites=["001:92", "001:103"],
    recorded=HoldsIf("at most 5407 classes"),
)


@fewer_for_any_classes.judged(
    subject=FORMULAS,
    on=Sample("numbers of classes", [1, 2, 10, 100, 1000, 5407, 5408]),
    when={"at most 5407 classes": lambda classes: classes <= 5407},
    flipped_by=[five_more_inputs, one_1x1_forgotten],
)
def count_is_smaller(formulas: Formulas, classes: int) -> None:
    nin, alexnet = nin_parameters(formulas, 3, classes), alexnet_parameters(formulas, classes)
    assert nin < alexnet, f"for {classes} classes NiN has {nin} parameters, AlexNet {alexnet}"


@fewer_for_any_classes.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[five_more_inputs, one_1x1_forgotten],
)
def smaller_up_to_5407_and_only_there(formulas: Formulas, _: Proof) -> None:
    import z3

    classes = z3.Int("classes")
    smaller = nin_parameters(formulas, 3, classes) < alexnet_parameters(formulas, classes)
    solver = z3.Solver()
    solver.add(classes >= 1, smaller != (classes <= 5407))
    assert solver.check() == z3.unsat, f"otherwise for {solver.model()[classes]} classes"


@fewer_for_any_classes.judged(
    subject=MODELS,
    on=["lecture-nin", "alexnet"],
    flipped_by=[surgeries.biases_dropped, surgeries.outputs_doubled],
)
def closed_forms_count_real_networks(models: Models, name: str) -> None:
    count = counting.parameter_count(models(name))
    formulas = FORMULAS.value
    expected = {
        "lecture-nin": nin_parameters(formulas, 1, 10),
        "alexnet": alexnet_parameters(formulas, 1000),
    }
    assert count == expected[name], f"{name} has {count} parameters, not {expected[name]}"


TEN_AND_HUNDRED = [("cifar10-nin", "cifar100-nin")]

independent_of_classes = Claim(
    "network-in-network/parameters-do-not-depend-on-the-classes",
    says="The number of parameters of NiN does not depend on the number of classes.",
    cites=["001:103"],
    recorded=Refuted(instead="network-in-network/last-block-grows-with-the-square-of-the-classes"),
)


@independent_of_classes.judged(
    subject=MODELS, on=TEN_AND_HUNDRED, flipped_by=[surgeries.last_convolution_removed]
)
def counts_agree(models: Models, pair: tuple[str, str]) -> None:
    ten, hundred = (counting.parameter_count(models(name)) for name in pair)
    assert ten == hundred, f"{ten} parameters for 10 classes, {hundred} for 100"


grows_with_classes = Claim(
    "network-in-network/last-block-grows-with-the-square-of-the-classes",
    says="NiN's parameters grow with the number q of classes: the lecture's last block, q wide "
    "throughout, has 2 q^2 + 3459 q; the paper's CIFAR network, q wide at the end only, 193 q.",
    cites=["001:103"],
    recorded=Holds(),
)


@grows_with_classes.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.formula(
            "biases forgotten", "nin_block_parameters", lambda f, i, o, k: f(i, o, k) - 3 * o
        ),
        one_1x1_forgotten,
    ],
)
def polynomial_in_the_classes(formulas: Formulas, _: Proof) -> None:
    import z3

    q = z3.Int("q")
    solver = z3.Solver()
    solver.add(q >= 1, formulas.nin_block_parameters(384, q, 3) != 2 * q * q + 3459 * q)
    assert solver.check() == z3.unsat, f"another count for q = {solver.model()[q]}"


@grows_with_classes.judged(
    subject=MODELS,
    on=TEN_AND_HUNDRED,
    flipped_by=[surgeries.last_convolution_removed, surgeries.biases_dropped],
)
def each_class_costs_193(models: Models, pair: tuple[str, str]) -> dict[str, int]:
    ten, hundred = (counting.parameter_count(models(name)) for name in pair)
    assert hundred - ten == 90 * 193, f"90 classes cost {hundred - ten} parameters"
    return {"10 classes": ten, "100 classes": hundred}


# Arithmetic and time ------------------------------------------------------------------------------

LONGER = "NiN sometimes takes longer to train"
ALEXNET_PAIRS = PAIRS[::2]


def _nin_with_stride(stride: int) -> Fault[Models]:
    def change(model: nn.Module) -> None:
        if not surgeries.of_kind(model, "Linear"):
            other(0, stride=stride)(model)

    return surgeries.surgery(f"NiN with a first stride of {stride}", change)


more_arithmetic = Claim(
    "network-in-network/needs-more-multiply-adds-than-alexnet",
    says="NiN can take longer to train than AlexNet, as it needs more multiply-adds for an image.",
    cites=["001:92"],
    recorded=HoldsIf("the networks are not the lecture's"),
    reading_of=LONGER,
)


@more_arithmetic.judged(
    subject=MODELS,
    on=ALEXNET_PAIRS,
    when={"the networks are not the lecture's": lambda pair: pair[0] != "lecture-nin"},
    flipped_by=[_nin_with_stride(2), _nin_with_stride(8)],
)
def arithmetic_is_more(models: Models, pair: tuple[str, str]) -> dict[str, float]:
    nin, alexnet = (sum(r.multiply_adds for r in records_of(models, name)) for name in pair)
    assert nin > alexnet, f"{pair[0]} needs {nin} multiply-adds, {pair[1]} {alexnet}"
    return {"multiply-adds": nin, "of AlexNet": alexnet, "ratio": nin / alexnet}


longer_step = Claim(
    "network-in-network/takes-longer-for-a-training-step",
    says="On a CPU, a training step of the lecture's NiN takes longer than one of its AlexNet on "
    "the same batch of 128 images.",
    cites=["001:92"],
    recorded=Holds(),
    reading_of=LONGER,
)

longer_step_on_gpu = Claim(
    "network-in-network/takes-longer-for-a-training-step-on-a-gpu",
    says="On a GPU, a training step of the lecture's NiN takes longer than one of its AlexNet on "
    "the same batch of 128 images.",
    cites=["001:92"],
    recorded=Undecided("`make measure` on a machine with a GPU"),
    reading_of=LONGER,
)


@longer_step.judged(
    subject=MEASUREMENTS,
    on=["cpu"],
    flipped_by=[
        steps_that_take("as long", {"lecture-nin": 1, "lecture-alexnet": 1}),
        steps_that_take("AlexNet takes longer", {"lecture-nin": 1, "lecture-alexnet": 1.01}),
    ],
)
@longer_step_on_gpu.judged(subject=MEASUREMENTS, on=["cuda"])
def step_is_slower(evidence: Evidence, device: str) -> dict[str, float]:
    ratio = times_as_long(evidence, device, "lecture-nin", "lecture-alexnet")
    assert ratio > 1, f"a step of NiN takes {ratio:.2g} times as long as one of AlexNet"
    return {"ratio": ratio}


more_epochs = awaited(
    "network-in-network/needs-more-epochs",
    says="NiN takes more epochs to a training loss of 0.5 than a plain network with a fully "
    "connected head.",
    cites=["001:92"],
    needs="8 runs of each: Welch's test on the logarithm of the number of epochs",
    arms={"cifar10": 8, "plain-fc": 8},
    reading_of=LONGER,
)

# NiN in other networks ----------------------------------------------------------------------------

fits_elsewhere = Claim(
    "network-in-network/1x1-convolutions-fit-into-other-networks",
    says="NiN layers are easily put into other networks: two 1x1 convolutions of its width, with "
    "ReLUs, fit behind every convolution and leave the shapes of all other layers as they were.",
    cites=["004:59"],
    recorded=Holds(),
)


@fits_elsewhere.judged(
    subject=LAYERS,
    on=Sample(
        "convolutional networks of torchvision", ["alexnet", "vgg11", "vgg16", "squeezenet1_1"]
    ),
    flipped_by=[wrong_formulas.padding_added, wrong_formulas.bias_left_out],
)
def shapes_stay(layers: Layers, name: str) -> None:
    import torch

    models = MODELS.value
    host = copy.deepcopy(models(name))
    sizes = {conv: layer.out_channels for conv, layer in convolutions(host).items()}
    with torch.device("meta"):
        for conv, width in sizes.items():
            first, second = (layers.Conv2d(width, width, 1) for _ in range(2))
            inserted = layers.ReLU(), first, layers.ReLU(), second
            surgeries.put(host, conv, layers.Sequential(host.get_submodule(conv), *inserted))
    before = {record.name: record.output_shape for record in records_of(models, name)}
    after = {record.name: record.output_shape for record in records_of(lambda _: host, name)}
    for layer, shape in before.items():
        now = after[f"{layer}.4" if layer in sizes else layer]
        assert now == shape, f"{name}: {layer} puts out {now}, not {shape}"
    added = counting.parameter_count(host) - counting.parameter_count(models(name))
    expected = sum(2 * width * (width + 1) for width in sizes.values())
    assert added == expected, f"{name} has {added} parameters more, not {expected}"


LATER = ["vgg16", "vgg19", "googlenet", "resnet50", "squeezenet1_1", "efficientnet_b0"]
NOT_VGG: dict[str, Callable[[str], bool]] = {
    "the network is not VGG": lambda name: not name.startswith("vgg")
}

pointwise_recurs = Claim(
    "network-in-network/later-networks-use-1x1-convolutions",
    says="The 1x1 convolutions of NiN recur in later networks, where they are most convolutions.",
    cites=["001:10", "001:104", "004:10"],
    recorded=HoldsIf(*NOT_VGG),
)


def _no_1x1(model: nn.Module) -> None:
    for layer in convolutions(model).values():
        layer.kernel_size = (3, 3)


@pointwise_recurs.judged(
    subject=MODELS,
    on=LATER,
    when=NOT_VGG,
    flipped_by=[surgeries.surgery("windows of 3x3 throughout", _no_1x1)],
)
def most_windows_are_1x1(models: Models, name: str) -> dict[str, int]:
    windows = [layer.kernel_size for layer in convolutions(models(name)).values()]
    pointwise = windows.count((1, 1))
    assert 2 * pointwise > len(windows), f"{name}: {pointwise} of {len(windows)} are 1x1"
    return {"1x1": pointwise, "convolutions": len(windows)}


mean_recurs = Claim(
    "network-in-network/later-networks-use-global-average-pooling",
    says="The global average pooling of NiN recurs in later networks: it makes their last maps.",
    cites=["001:10", "001:104", "004:10"],
    recorded=HoldsIf(*NOT_VGG),
)


@mean_recurs.judged(subject=MODELS, on=LATER, when=NOT_VGG, flipped_by=[max_for_mean])
def last_maps_are_means(models: Models, name: str) -> None:
    last = [record for record in records_of(models, name) if len(record.output_shape) == 4][-1]
    # VGG's pool is adaptive as well, but leaves 7x7 values of a map.
    assert last.kind == "AdaptiveAvgPool2d", f"{name}: the last maps come from {last.kind}"
    assert last.output_shape[2:] == (1, 1), f"{name}: the last maps are {last.output_shape}"
    assert min(last.input_shape[2:]) > 1, f"{name}: the mean is over {last.input_shape}"


def _offered() -> list[str]:
    models = torchvision_models()
    return list(models.list_models(module=models))


OFFERED: Subject[list[str]] = Subject(
    "classification networks of torchvision", _offered, Grade.COUNTED
)

little_used = Claim(
    "network-in-network/torchvision-offers-none",
    says="NiN itself is little used today: torchvision offers no network of that name.",
    cites=["001:10"],
    recorded=Holds(),
)


@little_used.judged(
    subject=OFFERED,
    on=["nin", "network_in_network"],
    flipped_by=[
        Fault("a NiN offered", lambda names: [*names, "nin_imagenet"]),
        Fault("a NiN for CIFAR-10 offered", lambda names: [*names, "cifar10_nin"]),
    ],
)
def none_has_the_name(names: list[str], nin: str) -> dict[str, int]:
    assert {"alexnet", "vgg16", "resnet50"} <= set(names), "the list misses what torchvision has"
    called = [name for name in names if f"_{nin}_" in f"_{name}_"]
    assert not called, f"torchvision offers {', '.join(called)}"
    return {"networks": len(names)}


# Public code and the exercise ---------------------------------------------------------------------

tflearn_layers = Claim(
    "network-in-network/tflearn-example-has-the-layers-of-the-paper",
    says="The TensorFlow code that document 004 points to has the layers of the paper's CIFAR-10 "
    "network, one for one.",
    cites=["004:68"],
    recorded=HoldsIf("the layer is not the second pool"),
)


def described(record: counting.LayerRecord, layer: Any) -> str:
    """Return a layer in the words of the fact `nin/tflearn-layers`."""
    if record.kind == "Conv2d":
        height, width = layer.kernel_size
        return f"conv {height}x{width} {layer.out_channels}"
    if record.kind == "MaxPool2d":
        return f"max {layer.kernel_size}x{layer.kernel_size}"
    if record.kind == "AdaptiveAvgPool2d" and record.output_shape[2:] == (1, 1):
        return f"average {record.input_shape[2]}x{record.input_shape[3]}"
    return f"dropout {layer.p}" if record.kind == "Dropout" else record.kind


@tflearn_layers.judged(
    subject=MODELS,
    on=list(range(1, 15)),
    when={"the layer is not the second pool": lambda position: position != 9},
    flipped_by=[
        surgeries.last_max_pool_removed,
        surgeries.dropout_removed,
        surgeries.outputs_doubled,
        max_for_mean,
    ],
)
def layer_is_the_same(models: Models, position: int) -> None:
    model = models("cifar10-nin")
    ours = [
        described(record, model.get_submodule(record.name))
        for record in records_of(models, "cifar10-nin")
        if record.kind not in ("ReLU", "Flatten")
    ]
    theirs = FACTS.value["nin/tflearn-layers"].value.split(", ")
    assert len(ours) == len(theirs), f"{len(ours)} layers against {len(theirs)}"
    mine, other = ours[position - 1], theirs[position - 1]
    assert mine == other, f"layer {position} is {other}, in the paper's network {mine}"


# The paper's results ------------------------------------------------------------------------------
# Where a number is from: [A] the authors' code or README, [S] second-hand, [M] from memory.


def reaches(
    name: str, says: str, cites: Sequence[str], *, arm: str, error: str, half_width: float = 0.75
) -> Claim:
    """Return the claim that an arm reaches the test error of the paper."""
    needs = (
        f"6 runs: holds if the 95 % prediction interval for one more run contains {error} and "
        f"reaches at most {half_width} points to either side, refuted if it does not contain it"
    )
    return awaited(f"network-in-network/{name}", says=says, cites=cites, needs=needs, arms={arm: 6})


def beats(
    name: str, says: str, cites: Sequence[str], *, arms: Mapping[str, int], paper: str
) -> Claim:
    """Return the claim that the first arm has a lower test error than the second."""
    needs = (
        f"{min(arms.values())} runs of each: Welch's test on the errors, Holm over the family of "
        f"comparisons, delta 0.3 points; the paper: {paper}"
    )
    return awaited(f"network-in-network/{name}", says=says, cites=cites, needs=needs, arms=arms)


ERRORS = (
    reaches(
        "reaches-10.41-on-cifar10",
        "NiN has a test error of 10.41 % on CIFAR-10, with dropout and without augmentation.",
        ["004:10", "nin-paper:4.2", "nin-paper:table-1", "nin-paper:table-5"],
        arm="cifar10",
        error="10.41 [S] ([A]: 10.4)",
    ),
    reaches(
        "reaches-8.81-on-cifar10-with-augmentation",
        "NiN has a test error of 8.81 % on CIFAR-10 with dropout, translations and horizontal "
        "flips.",
        ["004:10", "nin-paper:4.2", "nin-paper:table-1"],
        arm="cifar10-augmented",
        error="8.81 [S]",
    ),
    reaches(
        "reaches-14.51-on-cifar10-without-dropout",
        "NiN has a test error of 14.51 % on CIFAR-10 without dropout and augmentation.",
        ["nin-paper:4.2"],
        arm="cifar10-no-dropout",
        error="14.51 [S]",
    ),
    reaches(
        "reaches-35.68-on-cifar100",
        "NiN has a test error of 35.68 % on CIFAR-100, with dropout and without augmentation.",
        ["004:10", "nin-paper:4.3", "nin-paper:table-2"],
        arm="cifar100",
        error="35.68 [S]",
    ),
    # The general half-width of 0.75 points says nothing about errors as small as the next two.
    reaches(
        "reaches-2.35-on-svhn",
        "NiN has a test error of 2.35 % on SVHN.",
        ["nin-paper:4.4", "nin-paper:table-3"],
        arm="svhn",
        error="2.35 [S]",
        half_width=0.2,
    ),
    reaches(
        "reaches-0.47-on-mnist",
        "NiN has a test error of 0.47 % on MNIST, without augmentation.",
        ["nin-paper:4.5", "nin-paper:table-4"],
        arm="mnist",
        error="0.47 [S]",
        half_width=0.1,
    ),
    reaches(
        "reaches-11.59-with-a-fully-connected-head",
        "With a fully connected layer for the mean NiN has a test error of 11.59 % on CIFAR-10.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        arm="cifar10-fc-head",
        error="11.59 [M]",
    ),
    reaches(
        "reaches-10.88-with-a-fully-connected-head-and-dropout",
        "With a fully connected layer and dropout for the mean NiN has a test error of 10.88 % on "
        "CIFAR-10.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        arm="cifar10-fc-dropout-head",
        error="10.88 [M]",
    ),
    reaches(
        "plain-network-reaches-17.56-with-a-fully-connected-head",
        "A plain convolutional network with a fully connected head has a test error of 17.56 % on "
        "CIFAR-10.",
        ["nin-paper:4.6"],
        arm="plain-fc",
        error="17.56 [M]",
    ),
    reaches(
        "plain-network-reaches-15.99-with-dropout",
        "A plain convolutional network with a fully connected head and dropout has a test error "
        "of 15.99 % on CIFAR-10.",
        ["nin-paper:4.6"],
        arm="plain-fc-dropout",
        error="15.99 [M]",
    ),
    reaches(
        "plain-network-reaches-16.46-with-a-mean",
        "A plain convolutional network with global average pooling for its head has a test error "
        "of 16.46 % on CIFAR-10.",
        ["nin-paper:4.6"],
        arm="plain-gap",
        error="16.46 [M]",
    ),
)

COMPARISONS = (
    awaited(
        "network-in-network/dropout-cuts-the-error-by-more-than-a-fifth",
        says="Dropout between the mlpconv layers cuts the test error on CIFAR-10 by more than "
        "20 %.",
        cites=["nin-paper:4.2"],
        needs="3 runs of each: Welch's test that the logarithm of the ratio of errors is below "
        "log 0.8; the paper has one run of each, 14.51 and 10.41 [S], the wording is from "
        "memory [M]",
        arms={"cifar10": 3, "cifar10-no-dropout": 3},
    ),
    beats(
        "mlpconv-layers-beat-plain-convolutions",
        "NiN has a lower test error on CIFAR-10 than a network of plain convolutions with as many "
        "parameters and multiply-adds.",
        ["004:10"],
        arms={"cifar10": 5, "cifar10-plain": 5},
        paper="it compares with published networks only",
    ),
    beats(
        "mean-beats-a-fully-connected-head",
        "On NiN's trunk global average pooling gives a lower test error than a fully connected "
        "layer.",
        ["001:148", "nin-paper:4.6", "nin-paper:table-5"],
        arms={"cifar10": 8, "cifar10-fc-head": 8},
        paper="10.41 [S] against 11.59 [M]",
    ),
    beats(
        "mean-beats-a-fully-connected-head-with-dropout",
        "On NiN's trunk global average pooling gives a lower test error than a fully connected "
        "layer with dropout.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        arms={"cifar10": 11, "cifar10-fc-dropout-head": 11},
        paper="10.41 [S] against 10.88 [M], which cannot be told apart",
    ),
    beats(
        "mean-beats-a-fully-connected-head-on-a-plain-network",
        "On a plain convolutional network, too, global average pooling gives a lower test error "
        "than a fully connected layer.",
        ["001:148", "nin-paper:4.6"],
        arms={"plain-gap": 8, "plain-fc": 8},
        paper="16.46 [M] against 17.56 [M]",
    ),
    beats(
        "dropout-helps-a-fully-connected-head",
        "On NiN's trunk dropout lowers the test error of a fully connected layer.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        arms={"cifar10-fc-dropout-head": 8, "cifar10-fc-head": 8},
        paper="10.88 [M] against 11.59 [M]",
    ),
    beats(
        "dropout-beats-a-mean-on-a-plain-network",
        "On a plain convolutional network a fully connected layer with dropout gives a lower test "
        "error than global average pooling.",
        ["nin-paper:4.6"],
        arms={"plain-fc-dropout": 8, "plain-gap": 8},
        paper="15.99 [M] against 16.46 [M]",
    ),
)
