"""Network in Network: its idea, its blocks, its architecture, its parameters, the paper's results.

Document 001 (lines 10, 56 to 63 and 79 to 104), document 004 (lines 10, 31 to 36, 59, 68 and 70),
and the paper. `lecture-nin` is the network of document 001, `table-nin` the ImageNet table of
document 004, `handwritten-nin` its listing, `cifar10-nin` the paper's own.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims.cases import CONVOLUTIONS, SEEDS, Convolution, covering, grid, integers
from claims.checks import Array, close, same
from claims.core.claim import PROOF, Claim, Domain, Fault, Proof, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted, Undecided
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
    RUNS,
    Evidence,
    Formulas,
    Layers,
    Models,
)
from nin_ref import counting, oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import nn

# The idea: a multilayer perceptron at each pixel --------------------------------------------------

LONG = 2.0**24 + 1  # one bit longer than float32 holds, so that rounding to it inside shows


@dataclass(frozen=True)
class Stack(Convolution):
    """A convolution padded by half its window, and 1x1 convolutions behind it."""

    depth: int = 2
    rectified: bool = True

    @property
    def image(self) -> Array:
        """Input [N, C, H, W] of numbers too long for float32."""
        return self.x * LONG

    @property
    def layers(self) -> list[tuple[Array, Array]]:
        """Weights and biases of all layers, of both signs."""
        out = self.out_channels
        shapes = [self.weight.shape, *[(out, out, 1, 1)] * self.depth]
        return [
            (
                integers(self.seed + 10 + i, *shape),
                integers(self.seed + 50 + i, out, low=-9, high=9) * LONG,
            )
            for i, shape in enumerate(shapes)
        ]

    def run(self, ops: Operators, x: Array) -> Array:
        """Return the output for x, with a ReLU after every layer or after none."""
        (weight, bias), *behind = self.layers
        rectify: Callable[[Array], Array] = ops.relu if self.rectified else np.copy
        y = rectify(ops.conv2d(x, weight, bias, stride=self.stride, padding=self.padding))
        for weight, bias in behind:
            y = rectify(ops.conv2d(y, weight, bias))
        return y


def stack(*, kernel: Pair, **sizes: Any) -> Stack:
    """Return the stack of these sizes, padded by half its window."""
    return Stack(kernel=kernel, padding=(kernel[0] // 2, kernel[1] // 2), **sizes)


def stacks(described: str, **values: Sequence[Any]) -> Domain[Stack]:
    """Return stacks of up to 4 channels in and 5 out whose other parameters take these values."""
    values = {
        "batch": (1, 2),
        "in_channels": (3, 1, 4),
        "out_channels": (5, 2),
        "height": (4, 6),
        "width": (7, 5),
        **values,
    }
    drawn = {name: st.sampled_from(list(options)) for name, options in values.items()}
    return Domain(
        described,
        strategy=st.builds(stack, **drawn, seed=SEEDS),
        covering=covering(values, stack),
        grid=lambda: grid(values, stack),
    )


mlp_per_pixel = Claim(
    "network-in-network/applies-an-mlp-at-each-pixel",
    says="A NiN block applies one and the same multilayer perceptron to the channels of every "
    "pixel on its own.",
    cites=["001:56"],
    recorded=HoldsIf("the first window is 1x1"),
)


@mlp_per_pixel.judged(
    subject=OPERATORS,
    on=stacks(
        "NiN blocks on maps up to 6x7, with windows up to 3x5",
        kernel=((1, 1), (3, 3), (1, 5), (3, 1)),
    ),
    when={"the first window is 1x1": lambda c: c.kernel == (1, 1)},
    flipped_by=[
        faults.neighbours_mixed,
        faults.weight_by_position,
        faults.axes_swapped,
        faults.bias_missing,
        faults.relu_missing,
        faults.last_image_ignored,
    ],
)
def block_equals_mlp_on_pixels(ops: Operators, c: Stack) -> None:
    pixels = c.image.transpose(0, 2, 3, 1)
    for weight, bias in c.layers:
        middle = weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2]
        pixels = oracle.relu(oracle.linear(pixels, middle, bias))
    same(c.run(ops, c.image), pixels.transpose(0, 3, 1, 2), "the block")


micro_network = Claim(
    "network-in-network/stacked-1x1-convolutions-are-the-micro-network",
    says="Stacking 1x1 convolutions on a convolution is the same as sliding a multilayer "
    "perceptron over the patches of the image.",
    cites=["004:31", "001:99"],
    recorded=HoldsIf("a ReLU follows every layer"),
)


@micro_network.judged(
    subject=OPERATORS,
    on=stacks(
        "stacks of 1 to 3 1x1 convolutions on one with a window up to 3x5 and a stride up to 3",
        kernel=((3, 3), (1, 1), (2, 3), (1, 5)),
        stride=((1, 1), (2, 1), (1, 3)),
        depth=(2, 1, 3),
        rectified=(True, False),
    ),
    when={"a ReLU follows every layer": lambda c: c.rectified},
    flipped_by=[
        faults.channel_ignored,
        faults.kernel_flipped,
        faults.kernel_transposed,
        faults.weight_transposed,
        faults.stride_swapped,
        faults.padding_ignored,
        faults.bias_missing,
        faults.relu_missing,
        faults.relu_leaky,
    ],
)
def stack_equals_perceptron_on_patches(ops: Operators, c: Stack) -> None:
    expected = oracle.mlpconv(c.image, c.layers, stride=c.stride, padding=c.padding)
    same(c.run(ops, c.image), expected, "the stack")


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

    def run(self, ops: Operators, tokens: Array) -> Array:
        """Return what the layer makes of [H * W, C]: it mixes pixels, then channels."""
        pixels = len(tokens)
        between_pixels = self.numbers(1, self.hidden, pixels), self.numbers(2, pixels, self.hidden)
        mixed = tokens + mlp(ops, normalised(tokens).T, *between_pixels).T
        return mixed + mlp(ops, normalised(mixed), *self.between_channels)

    @property
    def between_channels(self) -> tuple[Array, Array]:
        """The weights of the perceptron that mixes channels."""
        return (
            self.numbers(3, self.hidden, self.channels),
            self.numbers(4, self.channels, self.hidden),
        )

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


def mixer(**sizes: int) -> Mixer:
    """Return the Mixer layer of these sizes."""
    return Mixer(**sizes)


MIXERS: Domain[Mixer] = Domain(
    "MLP-Mixer layers of 3 to 6 channels on 4x5 to 6x7 pixels, 7 to 9 hidden units",
    strategy=st.builds(
        Mixer,
        height=st.integers(4, 6),
        width=st.integers(5, 7),
        channels=st.integers(3, 6),
        hidden=st.integers(7, 9),
        seed=SEEDS,
    ),
    covering=covering(
        {"height": (4, 6), "width": (5, 7), "channels": (3, 4), "hidden": (8, 9)}, mixer
    ),
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
    says="One MLP-Mixer layer makes every pixel of its output depend on every pixel of its input, "
    "which no NiN block does whose window is smaller than the image.",
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
    ],
)
def every_pixel_reaches_every_other(ops: Operators, c: Mixer) -> None:
    close(c.run(ops, c.tokens), c.run(oracle, c.tokens), "the Mixer layer")
    for pixel in (0, 2 * c.width + 1, c.height * c.width - 1):
        unreached = np.argwhere(~c.reached(ops, pixel))
        assert not len(unreached), f"pixel {pixel} does not change {unreached[0]}"


@mixer_reads_all.judged(
    subject=OPERATORS,
    on=stacks("NiN blocks with 3x3 windows on maps up to 6x7", kernel=((3, 3),)),
    flipped_by=[faults.neighbours_mixed, faults.sum_over_batch, faults.axes_swapped],
)
def block_reads_its_window_only(ops: Operators, c: Stack) -> None:
    y = c.run(ops, c.image)
    same(y, oracle.mlpconv(c.image, c.layers, padding=c.padding), "the block")
    rows, columns = np.ogrid[: c.height, : c.width]
    for row, column in ((0, 0), (2, 3), (c.height - 1, c.width - 1)):
        bumped = c.image.copy()
        bumped[-1, :, row, column] += 100 * LONG
        outside = (abs(rows - row) > 1) | (abs(columns - column) > 1)
        moved = (c.run(ops, bumped) != y)[..., outside].any()
        assert not moved, f"pixel ({row}, {column}) changes pixels outside its window"


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
    ],
)
def channel_mixing_equals_convolutions(ops: Operators, c: Mixer) -> None:
    into, out_of = c.between_channels
    image = c.tokens.T.reshape(1, c.channels, c.height, c.width)
    hidden = gelu(ops.conv2d(image, into[:, :, None, None], np.ones(c.hidden)))
    mixed = ops.conv2d(hidden, out_of[:, :, None, None], np.ones(c.channels))
    expected = mlp(oracle, c.tokens, into, out_of).T.reshape(image.shape)
    close(mixed, expected, "the pair of convolutions")


@mixer_channels.judged(
    subject=OPERATORS,
    on=MIXERS,
    flipped_by=[
        faults.weight_gradient_averaged,
        faults.input_gradient_transposed,
        faults.bias_gradient_missing,
    ],
)
def channel_mixing_learns_as_convolutions_do(ops: Operators, c: Mixer) -> None:
    into, _ = c.between_channels
    image = c.tokens.T.reshape(1, c.channels, c.height, c.width)
    pull = c.numbers(5, c.height * c.width, c.hidden)
    maps = pull.T.reshape(1, c.hidden, c.height, c.width)
    by_image, by_weight, by_bias = ops.conv2d_gradients(image, into[:, :, None, None], maps)
    by_token, by_matrix, by_offset = oracle.linear_gradients(c.tokens, into, pull)
    close(by_image, by_token.T.reshape(image.shape), "the gradient of the image")
    close(by_weight[:, :, 0, 0], by_matrix, "the gradient of the weights")
    close(by_bias, by_offset, "the gradient of the biases")


# NiN blocks ---------------------------------------------------------------------------------------

IMAGES = {
    "lecture-nin": (1, 224, 224),
    "lecture-alexnet": (1, 224, 224),
    "lecture-vgg11": (1, 224, 224),
    "lenet5": (1, 28, 28),
    "mnist-nin": (1, 28, 28),
    "cifar10-nin": (3, 32, 32),
    "cifar100-nin": (3, 32, 32),
    "svhn-nin": (3, 32, 32),
    "handwritten-nin": (3, 32, 32),
}
BLOCKS = {
    "lecture-nin": 4,
    "table-nin": 4,
    "cifar10-nin": 3,
    "cifar100-nin": 3,
    "mnist-nin": 3,
    "svhn-nin": 3,
    "handwritten-nin": 3,
}
NINS = [name for name in BLOCKS if name != "handwritten-nin"]
EACH_BLOCK = [(name, block) for name, count in BLOCKS.items() for block in range(1, count + 1)]
NOT_HANDWRITTEN: dict[str, Callable[[str], bool]] = {
    "the network is not the handwritten example": lambda name: name != "handwritten-nin"
}


def traced(models: Models, name: str) -> list[counting.LayerRecord]:
    """Return what each layer of a model does with one image of the size it is made for."""
    return counting.trace(models(name), 1, *IMAGES.get(name, (3, 224, 224)))


@dataclass
class Stage:
    """A NiN block of a model, and the layers behind it up to the next block."""

    kinds: list[str] = field(default_factory=list)
    convolutions: list[nn.Conv2d] = field(default_factory=list)
    behind: list[nn.Module] = field(default_factory=list)


def stages(model: nn.Module) -> list[Stage]:
    """Split a chain of layers where a convolution has a window larger than 1x1: a block begins."""
    from torch import nn

    found = [Stage()]
    for layer in model.modules():
        if isinstance(layer, nn.Identity) or next(layer.children(), None) is not None:
            continue
        if isinstance(layer, nn.Conv2d):
            if layer.kernel_size != (1, 1) and found != [Stage()]:
                found.append(Stage())
            found[-1].convolutions.append(layer)
        if isinstance(layer, nn.Conv2d | nn.ReLU) and not found[-1].behind:
            found[-1].kinds.append(type(layer).__name__)
        else:
            found[-1].behind.append(layer)
    return found


def _convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    from torch import nn

    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)}


def _grouped(model: nn.Module) -> None:
    from torch import nn

    for name, layer in _convolutions(model).items():
        if layer.kernel_size == (1, 1):
            grouped = nn.Conv2d(layer.in_channels, layer.out_channels, 1, groups=2, device="meta")
            surgeries.put(model, name, grouped)


def _first_window_7(model: nn.Module) -> None:
    from torch import nn

    name, layer = next(iter(_convolutions(model).items()))
    sizes = layer.in_channels, layer.out_channels
    surgeries.put(model, name, nn.Conv2d(*sizes, 7, stride=layer.stride[0], device="meta"))


def _one_map_from_second_block(model: nn.Module) -> None:
    from torch import nn

    layers = _convolutions(model)
    if len(layers) < 7:
        return
    (last, old), (following, behind) = list(layers.items())[5:7]
    surgeries.put(model, last, nn.Conv2d(old.in_channels, 1, 1, device="meta"))
    options = {name: getattr(behind, name) for name in ("kernel_size", "stride", "padding")}
    narrow = nn.Conv2d(1, behind.out_channels, **options, device="meta")
    surgeries.put(model, following, narrow)


def _block_twice(model: nn.Module) -> nn.Module:
    from torch import nn

    from nin_ref.models import nin_block

    channels = next(iter(_convolutions(model).values())).in_channels
    twice = [nin_block(channels, channels, 3, padding=1) for _ in range(2)]
    return nn.Sequential(*twice, model).to("meta").eval()


made_of_blocks = Claim(
    "network-in-network/all-convolutions-are-in-nin-blocks",
    says="The convolutions of NiN come in blocks of three: one with a larger window, then two that "
    "are 1x1 with stride 1 and no padding, each followed by a ReLU.",
    cites=["001:63", "001:88", "001:90", "001:99"],
    recorded=Holds(),
)


@made_of_blocks.judged(
    subject=MODELS,
    on=list(BLOCKS),
    flipped_by=[
        surgeries.relu_layers_removed,
        surgeries.last_convolution_removed,
        surgeries.biases_dropped,
        surgeries.surgery("1x1 convolutions in two groups", _grouped),
        surgeries.surgery("second ReLU removed", surgeries.removed("ReLU", 1)),
    ],
)
def blocks_have_three_convolutions(models: Models, name: str) -> dict[str, int]:
    found = stages(models(name))
    for number, stage in enumerate(found, 1):
        listed = ", ".join(stage.kinds)
        assert stage.kinds == ["Conv2d", "ReLU"] * 3, f"{name}: block {number} is {listed}"
        assert len(stage.convolutions) == 3, f"{name}: convolutions behind block {number}"
        for layer in stage.convolutions:
            assert layer.groups == 1, f"{name}: groups in block {number}"
            assert layer.bias is not None, f"{name}: no bias in block {number}"
        for layer in stage.convolutions[1:]:
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
    flipped_by=[surgeries.surgery("first window of 7x7", _first_window_7)],
)
def windows_are_11_5_3(models: Models, name: str) -> None:
    windows = [stage.convolutions[0].kernel_size for stage in stages(models(name))]
    expected = [(11, 11), (5, 5), (3, 3), (3, 3)]
    assert windows == expected, f"{name} has {', '.join(f'{h}x{w}' for h, w in windows)}"


def _vgg_for_alexnet(models: Models) -> Models:
    return lambda name: models(name.replace("lecture-alexnet", "lecture-vgg11"))


vgg_for_alexnet: Fault[Models] = Fault("VGG for AlexNet", _vgg_for_alexnet)

alexnet_widths = Claim(
    "network-in-network/blocks-are-as-wide-as-alexnet",
    says="The blocks of NiN put out as many channels as the convolutions of AlexNet.",
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
        surgeries.surgery("second block puts out one map", _one_map_from_second_block),
    ],
)
def widths_agree(models: Models, case: tuple[str, int]) -> None:
    name, block = case
    theirs = list(_convolutions(models(name)).values())[block - 1].out_channels
    stage = stages(models("lecture-nin"))[block - 1]
    ours = [layer.out_channels for layer in stage.convolutions]
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
        [(layer.kernel_size, layer.out_channels) for layer in stage.convolutions]
        for stage in stages(models(name))
    ]
    assert all(kinds.count(kind) == 1 for kind in kinds), f"{name}: {kinds}"


# Blocks and pools in turn, and a mean at the end --------------------------------------------------


def _linear_behind_mean(model: nn.Module) -> None:
    from torch import nn

    features = list(_convolutions(model).values())[-1].out_channels
    head = nn.Sequential(nn.Flatten(), nn.Linear(features, features, device="meta"))
    surgeries.put(model, surgeries.of_kind(model, "Flatten")[0], head)


def _pools_of_2x2(model: nn.Module) -> None:
    for name in surgeries.of_kind(model, "MaxPool2d"):
        vars(model.get_submodule(name))["kernel_size"] = 2


def _padding_halved(model: nn.Module) -> None:
    for layer in _convolutions(model).values():
        if layer.padding == (2, 2):
            layer.padding = (1, 1)


def _max_for_mean(model: nn.Module) -> None:
    from torch import nn

    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            surgeries.put(model, name, nn.AdaptiveMaxPool2d(layer.output_size))


max_for_mean = surgeries.surgery("global max for mean", _max_for_mean)
linear_behind_mean = surgeries.surgery("linear layer behind the mean", _linear_behind_mean)

no_linear = Claim(
    "network-in-network/has-no-fully-connected-layer",
    says="NiN has no fully connected layer: no layer with weights sees its whole input at once.",
    cites=["001:56", "001:79", "001:81", "001:92", "001:103"],
    recorded=HoldsIf(*NOT_HANDWRITTEN),
)


@no_linear.judged(
    subject=MODELS,
    on=list(BLOCKS),
    when=NOT_HANDWRITTEN,
    flipped_by=[surgeries.linear_layers_removed, linear_behind_mean],
)
def no_layer_sees_all(models: Models, name: str) -> None:
    for record in traced(models, name):
        sees_all = record.parameters > 0 and math.prod(record.output_shape[2:]) == 1
        assert not sees_all, f"{name}: {record.kind} {record.name}, {record.parameters} parameters"


pool_behind_each = Claim(
    "network-in-network/a-3x3-max-pool-with-stride-2-follows-each-block",
    says="Behind each block of NiN comes a max pool, always 3x3 with stride 2.",
    cites=["001:80", "001:90", "001:103"],
    recorded=HoldsIf("the block is not the last", *NOT_HANDWRITTEN),
)


@pool_behind_each.judged(
    subject=MODELS,
    on=EACH_BLOCK,
    when={
        "the block is not the last": lambda case: case[1] < BLOCKS[case[0]],
        "the network is not the handwritten example": lambda case: case[0] != "handwritten-nin",
    },
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.last_max_pool_removed,
        surgeries.surgery("max pools of 2x2", _pools_of_2x2),
    ],
)
def max_pool_follows(models: Models, case: tuple[str, int]) -> None:
    from torch import nn

    name, block = case
    behind = stages(models(name))[block - 1].behind
    pool: Any = behind[0] if behind else None
    assert isinstance(pool, nn.MaxPool2d), f"{name}: {pool} behind block {block}"
    options = pool.kernel_size, pool.stride, pool.padding, pool.dilation
    assert options == (3, 2, 0, 1), f"{name}: {pool} behind block {block}"


ends_in_mean = Claim(
    "network-in-network/ends-in-global-average-pooling",
    says="The output of NiN is the global average pool of its last block, with no layer behind.",
    cites=["001:81", "001:90", "001:102", "001:103"],
    recorded=HoldsIf(*NOT_HANDWRITTEN),
)


@ends_in_mean.judged(
    subject=MODELS,
    on=list(BLOCKS),
    when=NOT_HANDWRITTEN,
    flipped_by=[max_for_mean, linear_behind_mean, surgeries.linear_layers_removed],
)
def mean_is_last(models: Models, name: str) -> None:
    records = [record for record in traced(models, name) if record.kind != "Identity"]
    last = max(i for i, record in enumerate(records) if record.kind in ("Conv2d", "ReLU"))
    kinds = [record.kind for record in records[last + 1 :]]
    listed = ", ".join(kinds)
    assert kinds[1:] == ["Flatten"], f"behind its last block {name} has {listed}"
    assert kinds[0] in ("AdaptiveAvgPool2d", "AvgPool2d"), f"{name} ends in {listed}"
    assert records[last + 1].output_shape[2:] == (1, 1), f"the mean of {name} is not global"


map_for_each_class = Claim(
    "network-in-network/last-block-has-a-map-for-each-class",
    says="The last block of NiN puts out as many maps as there are classes.",
    cites=["001:81", "001:90", "001:102"],
    recorded=HoldsIf(*NOT_HANDWRITTEN),
)


@map_for_each_class.judged(
    subject=MODELS,
    on=list(BLOCKS),
    when=NOT_HANDWRITTEN,
    flipped_by=[surgeries.outputs_doubled, surgeries.last_convolution_removed],
)
def maps_are_classes(models: Models, name: str) -> None:
    classes = {"table-nin": 1000, "cifar100-nin": 100}.get(name, 10)
    maps = stages(models(name))[-1].convolutions[-1].out_channels
    assert maps == classes, f"{name} has {maps} maps for {classes} classes"


@dataclass(frozen=True)
class Plan:
    """A NiN as a document describes it, and an image small enough to run it on a CPU."""

    image: tuple[int, int, int]
    blocks: tuple[
        tuple[tuple[int, int, int], int, int, int], ...
    ]  # widths, window, stride, padding
    rounds_up: bool


PLANS = {
    "lecture-nin": Plan(
        (1, 127, 95),
        (
            ((96, 96, 96), 11, 4, 0),
            ((256, 256, 256), 5, 1, 2),
            ((384, 384, 384), 3, 1, 1),
            ((10, 10, 10), 3, 1, 1),
        ),
        rounds_up=False,
    ),
    "cifar10-nin": Plan(
        (3, 10, 13),
        (((192, 160, 96), 5, 1, 2), ((192, 192, 192), 5, 1, 2), ((192, 192, 10), 3, 1, 1)),
        rounds_up=True,
    ),
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
    on=list(PLANS),
    flipped_by=[
        surgeries.relu_layers_removed,
        surgeries.biases_dropped,
        surgeries.surgery("padding of 5x5 windows halved", _padding_halved),
        surgeries.last_max_pool_removed,
        surgeries.surgery("last ReLU removed", surgeries.removed("ReLU", -1)),
        max_for_mean,
    ],
)
def network_follows_its_plan(models: Models, name: str) -> None:
    import torch

    plan, model = PLANS[name], copy.deepcopy(models(name)).eval()
    y = image = np.random.default_rng(1).standard_normal((2, *plan.image))
    convolutions = list(_convolutions(model).values())
    for layer in convolutions:
        # PyTorch's initial weights let signals die out, and with them the traces of a fault.
        layer.weight.data *= math.sqrt(6)
    for number, (widths, window, stride, padding) in enumerate(plan.blocks):
        if number:
            y = oracle.max_pool2d(y, (3, 3), stride=(2, 2), ceil_mode=plan.rounds_up)
        layers = []
        for layer in convolutions[3 * number : 3 * number + 3]:
            assert layer.bias is not None, f"{name}: no bias in block {number + 1}"
            layers.append((layer.weight.detach().numpy(), layer.bias.detach().numpy()))
        depths = (y.shape[1], *widths[:2])
        sides = (window, 1, 1)
        for (weight, _), *shape in zip(layers, widths, depths, sides, sides, strict=True):
            assert list(weight.shape) == shape, f"{name}: weights {weight.shape}, not {shape}"
        y = oracle.mlpconv(y, layers, stride=(stride, stride), padding=(padding, padding))
    with torch.no_grad():
        output = model(torch.from_numpy(image)).numpy()
    close(output, oracle.global_avg_pool2d(y), f"the output of {name}")


# Sizes along the way ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pool:
    """A max pool with stride 2 and no padding, and the maps that it reads."""

    window: int
    rounds_up: bool
    height: int
    width: int
    seed: int = 0

    @property
    def maps(self) -> Array:
        """Maps [2, 3, H, W] of both signs, of numbers too long for float32."""
        return integers(self.seed, 2, 3, self.height, self.width, low=-9, high=9) * LONG

    def run(self, ops: Operators) -> Array:
        """Return what the pool makes of the maps."""
        window = (self.window, self.window)
        return ops.max_pool2d(self.maps, window, stride=(2, 2), ceil_mode=self.rounds_up)


def pools(described: str, windows: Sequence[int], rounding: Sequence[bool]) -> Domain[Pool]:
    """Return pools with these windows and ways to round."""
    values: dict[str, Sequence[Any]] = {
        "window": windows,
        "rounds_up": rounding,
        "height": (6, 12, 7, 9),
        "width": (8, 10, 5, 11),
    }
    return Domain(
        described,
        strategy=st.builds(
            Pool,
            window=st.sampled_from(windows),
            rounds_up=st.sampled_from(rounding),
            height=st.integers(3, 14),
            width=st.integers(3, 14),
            seed=SEEDS,
        ),
        # The first two each violate one of the conditions under which a pool halves.
        covering=[
            Pool(windows[-1], rounds_up=False, height=6, width=8),
            Pool(windows[0], rounds_up=rounding[-1], height=6, width=5),
            *covering(values, lambda **sizes: Pool(**sizes)),
        ],
        grid=lambda: grid(values, lambda **sizes: Pool(**sizes)),
    )


HALVING = "a stride-2 max pool halves height and width"

pool_halves = Claim(
    "network-in-network/max-pool-with-stride-2-halves-height-and-width",
    says="A max pool with stride 2 halves height and width.",
    cites=["001:80"],
    recorded=HoldsIf("the window is 2x2, or the pool rounds up", "height and width are even"),
    reading_of=HALVING,
)


@pool_halves.judged(
    subject=OPERATORS,
    on=pools("2x2 and 3x3 max pools on maps up to 14x14", (2, 3), (False, True)),
    when={
        "the window is 2x2, or the pool rounds up": lambda c: c.window == 2 or c.rounds_up,
        "height and width are even": lambda c: c.height % 2 == c.width % 2 == 0,
    },
    flipped_by=[
        faults.max_pool_rounding_swapped,
        faults.mean_for_max,
        faults.max_pool_padded_by_zeros,
    ],
)
def half_is_left(ops: Operators, c: Pool) -> None:
    y = c.run(ops)
    halved = (2 * y.shape[2], 2 * y.shape[3]) == (c.height, c.width)
    assert halved, f"{c.window}x{c.window} makes {y.shape[2]}x{y.shape[3]} of {c.height}x{c.width}"
    same(y, c.run(oracle), "the pool")


def _sizes_that_halve(model: nn.Module) -> None:
    """Make the lecture's maps 56, 28, 14 and 7 high and wide."""
    from torch import nn

    next(iter(_convolutions(model).values())).padding = (5, 5)
    for layer in model.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True


lecture_pools_halve = Claim(
    "network-in-network/pools-of-the-lecture-halve-exactly",
    says="Each max pool of the lecture's NiN halves height and width.",
    cites=["001:80"],
    recorded=Refuted(instead="network-in-network/3x3-max-pool-leaves-one-less-than-half"),
    reading_of=HALVING,
)


@lecture_pools_halve.judged(
    subject=MODELS,
    on=["lecture-nin"],
    flipped_by=[surgeries.surgery("padded to 56, pools round up", _sizes_that_halve)],
)
def every_pool_halves(models: Models, name: str) -> None:
    for record in traced(models, name):
        if record.kind == "MaxPool2d":
            (size, _), (left, _) = record.input_shape[2:], record.output_shape[2:]
            assert 2 * left == size, f"{size}x{size} becomes {left}x{left}"


one_less_than_half = Claim(
    "network-in-network/3x3-max-pool-leaves-one-less-than-half",
    says="A 3x3 max pool with stride 2 that neither pads nor rounds up leaves half of the rows and "
    "columns, rounded up, less one.",
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
    expected = (math.ceil(c.height / 2) - 1, math.ceil(c.width / 2) - 1)
    assert y.shape[2:] == expected, f"{y.shape[2:]} are left of {c.height}x{c.width}"
    same(y, c.run(oracle), "the pool")


@one_less_than_half.judged(
    subject=MODELS,
    on=["lecture-nin", "table-nin"],
    flipped_by=[surgeries.surgery("max pools of 2x2", _pools_of_2x2), surgeries.max_pools_removed],
)
def pools_of_networks_say_so(models: Models, name: str) -> None:
    sizes = [r.input_shape[3] for r in traced(models, name) if r.kind == "MaxPool2d"]
    left = [r.output_shape[3] for r in traced(models, name) if r.kind == "MaxPool2d"]
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
    layers = _convolutions(models(name))
    sizes = [
        record.output_shape[2:]
        for record in traced(models, name)
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
    on=[(name, block) for name, block in EACH_BLOCK if name != "handwritten-nin"],
    when={
        "the block is not the last, or there are 1000 classes": lambda case: (
            case[1] < BLOCKS[case[0]] or case[0] == "table-nin"
        ),
        "the network is not the MNIST one": lambda case: case[0] != "mnist-nin",
    },
    flipped_by=[
        surgeries.surgery("second block puts out one map", _one_map_from_second_block),
    ],
)
def channels_rise(models: Models, case: tuple[str, int]) -> None:
    name, block = case
    convolutions = stages(models(name))[block - 1].convolutions
    before, after = convolutions[0].in_channels, convolutions[-1].out_channels
    assert after > before, f"{name}: block {block} turns {before} channels into {after}"


# As the chapter that the lecture follows (001:187) prints them for a 224x224 image.
CHAPTER_SHAPES = [
    (96, 54, 54),
    (96, 26, 26),
    (256, 26, 26),
    (256, 12, 12),
    (384, 12, 12),
    (384, 5, 5),
    (384, 5, 5),
    (10, 5, 5),
    (10, 1, 1),
    (10,),
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
        surgeries.surgery("first window of 7x7", _first_window_7),
    ],
)
def shapes_are_those_of_the_chapter(models: Models, name: str) -> None:
    top = {record.name.partition(".")[0]: record for record in traced(models, name)}
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
    flipped_by=[
        surgeries.surgery(
            "first stride of 2",
            lambda model: vars(next(iter(_convolutions(model).values()))).update(stride=(2, 2)),
        )
    ],
)
def positions_are_few(models: Models, name: str) -> dict[str, float]:
    stride = stages(models(name))[0].convolutions[0].stride
    assert stride == (4, 4), f"{name} has a first stride of {stride}"
    padding = {"lecture-nin": 0, "table-nin": 2}[name]
    dense = (224 + 2 * padding - 11 + 1) ** 2
    left = math.prod(traced(models, name)[0].output_shape[2:])
    assert 15 * left < dense, f"{name}: {left} of {dense}"
    return {"positions": left, "positions at stride 1": dense, "ratio": dense / left}


@stride_4.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[wrong_formulas.stride_forgotten, wrong_formulas.output_size_off_by_one],
)
def a_quarter_is_left_rounded_up(formulas: Formulas, _: Proof) -> None:
    import z3

    size, padding = z3.Ints("size padding")
    dense, left = (formulas.output_size(size, 11, stride, padding) for stride in (1, 4))
    solver = z3.Solver()
    solver.add(padding >= 0, size + 2 * padding >= 11, left != (dense + 3) / 4)
    assert solver.check() == z3.unsat, f"not so at {solver.model()}"


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
    assert 5 * nin < other, f"{pair[0]} has {nin}, {pair[1]} has {other}"
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
    layers = [formulas.conv2d_parameters(i, o, k, k) for i, o, k in ALEXNET_CONVOLUTIONS]
    layers += [
        formulas.linear_parameters(256 * 6 * 6, 4096),
        formulas.linear_parameters(4096, 4096),
    ]
    return sum(layers) + formulas.linear_parameters(4096, classes)


one_1x1_forgotten = wrong_formulas.formula(
    "one 1x1 convolution forgotten",
    "nin_block_parameters",
    lambda f, in_channels, width, window: f(in_channels, width, window) - width * (width + 1),
)

fewer_for_any_classes = Claim(
    "network-in-network/has-fewer-parameters-for-any-number-of-classes",
    says="Whatever the number of classes, NiN for colour images has fewer parameters than AlexNet.",
    cites=["001:92", "001:103"],
    recorded=HoldsIf("at most 5407 classes"),
)


@fewer_for_any_classes.judged(
    subject=FORMULAS,
    on=[2, 10, 100, 1000, 5407, 5408],
    when={"at most 5407 classes": lambda classes: classes <= 5407},
    flipped_by=[
        wrong_formulas.formula(
            "five more inputs", "linear_parameters", lambda f, i, o, **k: f(i + 5, o, **k)
        ),
        one_1x1_forgotten,
    ],
)
def count_is_smaller(formulas: Formulas, classes: int) -> dict[str, float]:
    nin, alexnet = nin_parameters(formulas, 3, classes), alexnet_parameters(formulas, classes)
    assert nin < alexnet, f"for {classes} classes NiN has {nin} parameters, AlexNet {alexnet}"
    return {"NiN": nin, "AlexNet": alexnet}


@fewer_for_any_classes.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.formula(
            "linear layers forgotten", "linear_parameters", lambda f, *a, **o: 0 * f(*a, **o)
        )
    ],
)
def surplus_is_convex_and_negative_at_both_ends(formulas: Formulas, _: Proof) -> None:
    import sympy

    classes = sympy.Symbol("classes", integer=True, positive=True)
    surplus = nin_parameters(formulas, 3, classes) - alexnet_parameters(formulas, classes)
    assert sympy.diff(surplus, classes, 2).is_positive, "the surplus of NiN is not convex"
    for end in (1, 5407):
        more = surplus.subs(classes, end)
        assert more < 0, f"NiN has {more} parameters more for {end} classes"


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


independent_of_classes = Claim(
    "network-in-network/parameters-do-not-depend-on-the-classes",
    says="The number of parameters of NiN does not depend on the number of classes.",
    cites=["001:103"],
    recorded=Refuted(instead="network-in-network/last-block-grows-with-the-square-of-the-classes"),
)


@independent_of_classes.judged(
    subject=MODELS,
    on=[("cifar10-nin", "cifar100-nin")],
    flipped_by=[surgeries.last_convolution_removed],
)
def counts_agree(models: Models, pair: tuple[str, str]) -> None:
    ten, hundred = (counting.parameter_count(models(name)) for name in pair)
    assert ten == hundred, f"{ten} parameters for 10 classes, {hundred} for 100"


grows_with_classes = Claim(
    "network-in-network/last-block-grows-with-the-square-of-the-classes",
    says="For q classes the last block of the lecture's NiN has 2 q^2 + 3459 q parameters; the "
    "paper's CIFAR network, where only the last layer is q wide, grows by 193 with each class.",
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
    import sympy

    q = sympy.Symbol("q", integer=True, positive=True)
    count = sympy.expand(formulas.nin_block_parameters(384, q, 3))
    assert count == 2 * q**2 + 3459 * q, f"the last block has {count} parameters"


@grows_with_classes.judged(
    subject=MODELS,
    on=["lecture-nin"],
    flipped_by=[surgeries.outputs_doubled, surgeries.biases_dropped],
)
def last_block_counts_34790(models: Models, name: str) -> dict[str, int]:
    layers = stages(models(name))[-1].convolutions
    count = sum(counting.parameter_count(layer) for layer in layers)
    assert count == 2 * 10**2 + 3459 * 10, f"the last block of {name} has {count} parameters"
    return {"parameters": count}


@grows_with_classes.judged(
    subject=MODELS,
    on=[("cifar10-nin", "cifar100-nin")],
    flipped_by=[surgeries.last_convolution_removed, surgeries.biases_dropped],
)
def each_class_costs_193(models: Models, pair: tuple[str, str]) -> dict[str, int]:
    ten, hundred = (counting.parameter_count(models(name)) for name in pair)
    assert hundred - ten == 90 * 193, f"90 classes cost {hundred - ten} parameters"
    return {"10 classes": ten, "100 classes": hundred}


LINEAR_HEADS = ["lenet5", "lecture-alexnet", "lecture-vgg11", "alexnet", "vgg11", "vgg16", "vgg19"]

linear_share = Claim(
    "network-in-network/fully-connected-layers-are-where-to-save",
    says="To have fewer parameters, turn to the fully connected layers: they hold most of them.",
    cites=["004:33", "004:36"],
    recorded=HoldsIf("the network is LeNet, AlexNet or VGG"),
)


@linear_share.judged(
    subject=MODELS,
    on=[*LINEAR_HEADS, "googlenet", "resnet50", "squeezenet1_1", "mobilenet_v2"],
    when={"the network is LeNet, AlexNet or VGG": lambda name: name in LINEAR_HEADS},
    flipped_by=[surgeries.linear_layers_removed],
)
def linear_layers_hold_most(models: Models, name: str) -> dict[str, float]:
    from torch import nn

    model = models(name)
    layers = counting.layer_parameters(model)
    total = sum(layers.values())
    linear = sum(
        count
        for layer, count in layers.items()
        if isinstance(model.get_submodule(layer), nn.Linear)
    )
    assert 2 * linear > total, f"{name}: {linear} of {total} parameters"
    return {"parameters": linear, "share": linear / total}


ends_in_linear = Claim(
    "network-in-network/traditional-networks-end-in-fully-connected-layers",
    says="Traditional convolutional networks end in several fully connected layers: the last three "
    "layers with weights are of that kind, all before are convolutions.",
    cites=["004:36"],
    recorded=Holds(),
)


@ends_in_linear.judged(
    subject=MODELS,
    on=LINEAR_HEADS,
    flipped_by=[surgeries.last_linear_removed, surgeries.first_linear_removed],
)
def three_linear_layers_are_last(models: Models, name: str) -> None:
    model = models(name)
    layers = counting.layer_parameters(model)
    kinds = [type(model.get_submodule(layer)).__name__ for layer in layers]
    expected = ["Conv2d"] * (len(kinds) - 3) + ["Linear"] * 3
    assert kinds == expected, f"{name} has {', '.join(kinds)}"


# Arithmetic and time ------------------------------------------------------------------------------

LONGER = "NiN takes longer to train"
ALEXNET_PAIRS = PAIRS[::2]


def _dense_without_linear(model: nn.Module) -> None:
    if not surgeries.of_kind(model, "Linear"):
        next(iter(_convolutions(model).values())).stride = (2, 2)


more_arithmetic = Claim(
    "network-in-network/needs-more-multiply-adds-than-alexnet",
    says="NiN takes longer to train than AlexNet, as it needs more multiply-adds for an image.",
    cites=["001:92"],
    recorded=Refuted(instead="network-in-network/saves-parameters-but-hardly-any-arithmetic"),
    reading_of=LONGER,
)


@more_arithmetic.judged(
    subject=MODELS,
    on=ALEXNET_PAIRS,
    flipped_by=[surgeries.surgery("NiN with a first stride of 2", _dense_without_linear)],
)
def arithmetic_is_more(models: Models, pair: tuple[str, str]) -> None:
    nin, alexnet = (sum(r.multiply_adds for r in traced(models, name)) for name in pair)
    assert nin > alexnet, f"{pair[0]} needs {nin} multiply-adds, {pair[1]} {alexnet}"


saves_no_arithmetic = Claim(
    "network-in-network/saves-parameters-but-hardly-any-arithmetic",
    says="Of AlexNet's parameters NiN needs less than a fifth, of its multiply-adds between four "
    "fifths and eight fifths.",
    cites=["001:92"],
    recorded=Holds(),
)


@saves_no_arithmetic.judged(
    subject=MODELS,
    on=ALEXNET_PAIRS,
    flipped_by=[
        surgeries.surgery("NiN with a first stride of 2", _dense_without_linear),
        surgeries.linear_layers_removed,
    ],
)
def parameters_fall_and_arithmetic_stays(models: Models, pair: tuple[str, str]) -> dict[str, float]:
    work, other = (sum(r.multiply_adds for r in traced(models, name)) for name in pair)
    parameters_are_few(models, pair)
    assert 0.8 < work / other < 1.6, f"{pair[0]} needs {work} multiply-adds, {pair[1]} {other}"
    return {"multiply-adds": work, "of AlexNet": other, "ratio": work / other}


longer_step = Claim(
    "network-in-network/takes-longer-for-a-training-step",
    says="A training step of NiN takes longer than one of AlexNet on the same batch.",
    cites=["001:92"],
    recorded=Undecided(
        "20 or more timed training steps of lecture-nin and of lecture-alexnet, after a warm-up "
        "and side by side on one device, at batch 128 and 224x224 pixels: the ratio of the medians"
    ),
    reading_of=LONGER,
)


@longer_step.judged(subject=MEASUREMENTS, on=[("lecture-nin", "lecture-alexnet")])
def step_is_slower(evidence: Evidence, pair: tuple[str, str]) -> dict[str, float]:
    seconds = evidence.measurement("training-step")["seconds"]
    nin, alexnet = (float(np.median(seconds[name])) for name in pair)
    assert nin > alexnet, f"{nin} s a step against {alexnet} s"
    return {"ratio": nin / alexnet}


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
    on=["alexnet", "vgg11", "vgg16", "squeezenet1_1"],
    flipped_by=[wrong_formulas.padding_added, wrong_formulas.bias_left_out],
)
def shapes_stay(layers: Layers, name: str) -> dict[str, int]:
    import torch

    models = MODELS.value
    host = copy.deepcopy(models(name))
    widths = {conv: layer.out_channels for conv, layer in _convolutions(host).items()}
    with torch.device("meta"):
        for conv, width in widths.items():
            first, second = (layers.Conv2d(width, width, 1) for _ in range(2))
            inserted = layers.ReLU(), first, layers.ReLU(), second
            surgeries.put(host, conv, layers.Sequential(host.get_submodule(conv), *inserted))
    before = {record.name: record.output_shape for record in traced(models, name)}
    after = {record.name: record.output_shape for record in traced(lambda _: host, name)}
    for layer, shape in before.items():
        now = after[f"{layer}.4" if layer in widths else layer]
        assert now == shape, f"{name}: {layer} puts out {now}, not {shape}"
    added = counting.parameter_count(host) - counting.parameter_count(models(name))
    expected = sum(2 * width * (width + 1) for width in widths.values())
    assert added == expected, f"{name} has {added} parameters more, not {expected}"
    return {"parameters more": added}


can_do_nothing = Claim(
    "network-in-network/inserted-1x1-convolutions-can-leave-a-network-as-it-was",
    says="A network into which NiN layers are put can still compute all that it could before: with "
    "identity weights two 1x1 convolutions and ReLUs behind a ReLU change nothing.",
    cites=["004:59"],
    recorded=Holds(),
)


@can_do_nothing.judged(
    subject=OPERATORS,
    on=CONVOLUTIONS,
    flipped_by=[
        faults.channel_ignored,
        faults.neighbours_mixed,
        faults.shifted,
        faults.relu_leaky,
        faults.relu_missing,
        faults.groups_ignored,
    ],
)
def identity_weights_change_nothing(ops: Operators, c: Convolution) -> None:
    x = c.x * LONG
    y = ops.relu(ops.conv2d(x, c.weight, c.bias, **c.options))
    identity = np.eye(c.out_channels)[:, :, None, None]
    for _ in range(2):
        y = ops.relu(ops.conv2d(y, identity, np.zeros(c.out_channels)))
    expected = oracle.relu(oracle.conv2d(x, c.weight, c.bias, **c.options))
    same(y, expected, "the convolution with two more behind")


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
    for layer in _convolutions(model).values():
        layer.kernel_size = (3, 3)


@pointwise_recurs.judged(
    subject=MODELS,
    on=LATER,
    when=NOT_VGG,
    flipped_by=[surgeries.surgery("windows of 3x3 throughout", _no_1x1)],
)
def most_windows_are_1x1(models: Models, name: str) -> dict[str, int]:
    windows = [layer.kernel_size for layer in _convolutions(models(name)).values()]
    pointwise = windows.count((1, 1))
    assert 2 * pointwise > len(windows), f"{name}: {pointwise} of {len(windows)} are 1x1"
    return {"1x1": pointwise, "convolutions": len(windows)}


mean_recurs = Claim(
    "network-in-network/later-networks-use-global-average-pooling",
    says="The global average pooling of NiN recurs in later networks: it makes their last maps.",
    cites=["001:10", "001:104", "004:10"],
    recorded=HoldsIf(*NOT_VGG),
)


@mean_recurs.judged(
    subject=MODELS,
    on=LATER,
    when=NOT_VGG,
    flipped_by=[max_for_mean],
)
def last_maps_are_means(models: Models, name: str) -> None:
    last = [record for record in traced(models, name) if len(record.output_shape) == 4][-1]
    assert last.kind == "AdaptiveAvgPool2d", f"{name}: the last maps come from {last.kind}"
    assert last.output_shape[2:] == (1, 1), f"{name}: the last maps are {last.output_shape}"
    assert min(last.input_shape[2:]) > 1, f"{name}: the mean is over {last.input_shape}"


def _offered() -> list[str]:
    from torchvision import models

    return list(models.list_models(module=models))


OFFERED: Subject[list[str]] = Subject("classification networks of torchvision", _offered)

little_used = Claim(
    "network-in-network/torchvision-offers-none",
    says="NiN itself is little used today: torchvision offers no network of that name.",
    cites=["001:10"],
    recorded=Holds(),
)


@little_used.judged(
    subject=OFFERED,
    on=["nin", "network_in_network"],
    flipped_by=[Fault("a NiN offered", lambda names: [*names, "nin_imagenet"])],
)
def none_has_the_name(names: list[str], nin: str) -> dict[str, int]:
    assert {"alexnet", "vgg16", "resnet50"} <= set(names), "the list misses what torchvision has"
    called = [name for name in names if name.startswith(nin)]
    assert not called, f"torchvision offers {called}"
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
        for record in traced(models, "cifar10-nin")
        if record.kind not in ("ReLU", "Flatten")
    ]
    theirs = FACTS.value["nin/tflearn-layers"].value.split(", ")
    assert len(ours) == len(theirs), f"{len(ours)} layers against {len(theirs)}"
    mine, other = ours[position - 1], theirs[position - 1]
    assert mine == other, f"layer {position} is {other}, in the paper's network {mine}"


exercise = Claim(
    "network-in-network/cifar10-networks-turn-32x32-images-into-ten-scores",
    says="A NiN for CIFAR-10 turns a 32x32 colour image into ten scores.",
    cites=["004:70"],
    recorded=Holds(),
)


@exercise.judged(
    subject=MODELS,
    on=["handwritten-nin", "cifar10-nin"],
    flipped_by=[surgeries.outputs_doubled],
)
def scores_are_ten(models: Models, name: str) -> None:
    records = counting.trace(models(name), 4, 3, 32, 32)
    assert records[-1].output_shape == (4, 10), f"{name} puts out {records[-1].output_shape}"


# The paper's results ------------------------------------------------------------------------------
# Where a number is from: [A] the authors' code or README, [S] second-hand, [M] from memory.


def awaited(
    id_: str,
    says: str,
    cites: Sequence[str],
    needs: str,
    *,
    arms: Mapping[str, int],
    reading_of: str | None = None,
) -> Claim:
    """Return a claim about trained networks that waits for runs; `arms` gives numbers of seeds."""
    claim = Claim(id_, says=says, cites=cites, recorded=Undecided(needs), reading_of=reading_of)

    @claim.judged(subject=RUNS, on=[" against ".join(arms)])
    def runs_are_missing(evidence: Evidence, _: str) -> None:
        evidence.await_runs(arms)

    return claim


def reaches(
    id_: str, says: str, cites: Sequence[str], *, arm: str, error: str, half_width: float = 0.75
) -> Claim:
    """Return the claim that an arm reaches the test error of the paper."""
    needs = (
        f"6 runs: holds if the 95 % prediction interval for one more run contains {error} and "
        f"reaches at most {half_width} points to either side, refuted if it does not contain it"
    )
    return awaited(id_, says, cites, needs, arms={arm: 6})


def beats(
    id_: str, says: str, cites: Sequence[str], *, better: str, worse: str, seeds: int, paper: str
) -> Claim:
    """Return the claim that one arm has a lower test error than another."""
    needs = (
        f"{seeds} runs of each: Welch's test on the errors, Holm over the family of comparisons, "
        f"delta 0.3 points; the paper: {paper}"
    )
    return awaited(id_, says, cites, needs, arms={better: seeds, worse: seeds})


cifar10_error = reaches(
    "network-in-network/reaches-10.41-on-cifar10",
    "NiN has a test error of 10.41 % on CIFAR-10, with dropout and without augmentation.",
    ["004:10", "nin-paper:4.2", "nin-paper:table-1", "nin-paper:table-5"],
    arm="cifar10",
    error="10.41 [S] ([A]: 10.4)",
)

augmented_error = reaches(
    "network-in-network/reaches-8.81-on-cifar10-with-augmentation",
    "NiN has a test error of 8.81 % on CIFAR-10 with dropout, translations and horizontal flips.",
    ["004:10", "nin-paper:4.2", "nin-paper:table-1"],
    arm="cifar10-augmented",
    error="8.81 [S]",
)

no_dropout_error = reaches(
    "network-in-network/reaches-14.51-on-cifar10-without-dropout",
    "NiN has a test error of 14.51 % on CIFAR-10 without dropout and augmentation.",
    ["nin-paper:4.2"],
    arm="cifar10-no-dropout",
    error="14.51 [S]",
)

dropout_cuts = awaited(
    "network-in-network/dropout-cuts-the-error-by-more-than-a-fifth",
    "Dropout between the mlpconv layers cuts the test error on CIFAR-10 by more than 20 %.",
    ["nin-paper:4.2"],
    "3 runs of each: Welch's test that the logarithm of the ratio of errors is below log 0.8; the "
    "paper has one run of each, 14.51 and 10.41 [S], the wording is from memory [M]",
    arms={"cifar10": 3, "cifar10-no-dropout": 3},
)

cifar100_error = reaches(
    "network-in-network/reaches-35.68-on-cifar100",
    "NiN has a test error of 35.68 % on CIFAR-100, with dropout and without augmentation.",
    ["004:10", "nin-paper:4.3", "nin-paper:table-2"],
    arm="cifar100",
    error="35.68 [S]",
)

# The general half-width of 0.75 points says nothing about errors this small.

svhn_error = reaches(
    "network-in-network/reaches-2.35-on-svhn",
    "NiN has a test error of 2.35 % on SVHN.",
    ["nin-paper:4.4", "nin-paper:table-3"],
    arm="svhn",
    error="2.35 [S]",
    half_width=0.2,
)

mnist_error = reaches(
    "network-in-network/reaches-0.47-on-mnist",
    "NiN has a test error of 0.47 % on MNIST, without augmentation.",
    ["nin-paper:4.5", "nin-paper:table-4"],
    arm="mnist",
    error="0.47 [S]",
    half_width=0.1,
)

mlpconv_beats_convolution = beats(
    "network-in-network/mlpconv-layers-beat-plain-convolutions",
    "NiN has a lower test error on CIFAR-10 than a network of plain convolutions with as many "
    "parameters and multiply-adds.",
    ["004:10"],
    better="cifar10",
    worse="cifar10-plain",
    seeds=5,
    paper="it compares with published networks only",
)

# Heads on the trunk of three mlpconv layers

linear_head_error = reaches(
    "network-in-network/reaches-11.59-with-a-fully-connected-head",
    "With a fully connected layer for the mean NiN has a test error of 11.59 % on CIFAR-10.",
    ["nin-paper:4.6", "nin-paper:table-5"],
    arm="cifar10-fc-head",
    error="11.59 [M]",
)

dropout_head_error = reaches(
    "network-in-network/reaches-10.88-with-a-fully-connected-head-and-dropout",
    "With a fully connected layer and dropout for the mean NiN has a test error of 10.88 % on "
    "CIFAR-10.",
    ["nin-paper:4.6", "nin-paper:table-5"],
    arm="cifar10-fc-dropout-head",
    error="10.88 [M]",
)

mean_beats_linear = beats(
    "network-in-network/mean-beats-a-fully-connected-head",
    "On NiN's trunk global average pooling gives a lower test error than a fully connected layer.",
    ["nin-paper:4.6", "nin-paper:table-5"],
    better="cifar10",
    worse="cifar10-fc-head",
    seeds=8,
    paper="10.41 [S] against 11.59 [M]",
)

dropout_helps_linear = beats(
    "network-in-network/dropout-helps-a-fully-connected-head",
    "On NiN's trunk dropout lowers the test error of a fully connected layer.",
    ["nin-paper:4.6", "nin-paper:table-5"],
    better="cifar10-fc-dropout-head",
    worse="cifar10-fc-head",
    seeds=8,
    paper="10.88 [M] against 11.59 [M]",
)

mean_beats_dropout = beats(
    "network-in-network/mean-beats-a-fully-connected-head-with-dropout",
    "On NiN's trunk global average pooling gives a lower test error than a fully connected layer "
    "with dropout.",
    ["nin-paper:4.6", "nin-paper:table-5"],
    better="cifar10",
    worse="cifar10-fc-dropout-head",
    seeds=11,
    paper="10.41 [S] against 10.88 [M], which cannot be told apart",
)

# Heads on a plain convolutional network

plain_linear_error = reaches(
    "network-in-network/plain-network-reaches-17.56-with-a-fully-connected-head",
    "A plain convolutional network with a fully connected head has a test error of 17.56 % on "
    "CIFAR-10.",
    ["nin-paper:4.6"],
    arm="plain-fc",
    error="17.56 [M]",
)

plain_dropout_error = reaches(
    "network-in-network/plain-network-reaches-15.99-with-dropout",
    "A plain convolutional network with a fully connected head and dropout has a test error of "
    "15.99 % on CIFAR-10.",
    ["nin-paper:4.6"],
    arm="plain-fc-dropout",
    error="15.99 [M]",
)

plain_mean_error = reaches(
    "network-in-network/plain-network-reaches-16.46-with-a-mean",
    "A plain convolutional network with global average pooling for its head has a test error of "
    "16.46 % on CIFAR-10.",
    ["nin-paper:4.6"],
    arm="plain-gap",
    error="16.46 [M]",
)

plain_mean_beats_linear = beats(
    "network-in-network/mean-beats-a-fully-connected-head-on-a-plain-network",
    "On a plain convolutional network, too, global average pooling gives a lower test error than a "
    "fully connected layer.",
    ["nin-paper:4.6"],
    better="plain-gap",
    worse="plain-fc",
    seeds=8,
    paper="16.46 [M] against 17.56 [M]",
)

plain_dropout_beats_mean = beats(
    "network-in-network/dropout-beats-a-mean-on-a-plain-network",
    "On a plain convolutional network a fully connected layer with dropout gives a lower test "
    "error than global average pooling.",
    ["nin-paper:4.6"],
    better="plain-fc-dropout",
    worse="plain-gap",
    seeds=8,
    paper="15.99 [M] against 16.46 [M]",
)

more_epochs = awaited(
    "network-in-network/needs-more-epochs",
    "NiN takes more epochs to a training loss of 0.5 than a plain network with a fully connected "
    "head.",
    ["001:92"],
    "8 runs of each: Welch's test on the logarithm of the number of epochs",
    arms={"cifar10": 8, "plain-fc": 8},
    reading_of=LONGER,
)
