"""The mlpconv layer: a small perceptron that slides over the image as a filter does.

Documents 000 (lines 17 to 35 and 50) and 004 (lines 26 to 31). The code that document 000 gives for
the layer is in `mlpconv_listing`, the NiN block of document 001 in `nin_block`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims._mlpconv import (
    NETWORKS,
    last_relu_removed,
    one_by_one,
    perceptrons,
    second_layer_3x3,
    single_pixels_read,
)
from claims.cases import SEEDS, Convolution, convolution, fine, integers, pairs, sampled, wide
from claims.checks import Array, close, same
from claims.core.claim import PROOF, Claim, Domain, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import (
    MODELS,
    MODELS_WITH_WEIGHTS,
    OPERATORS,
    Models,
    model_on_meta,
)
from claims.trained import trained
from claims.training.rules import Lower
from nin_ref import oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import nn

patches_read_once = surgeries.surgery("every kernel but the first 1x1", one_by_one(slice(1, None)))


@dataclass(frozen=True)
class Mlpconv:
    """An mlpconv layer that fits its input: the widths of its layers, the options of the first."""

    batch: int
    in_channels: int
    widths: tuple[int, ...]
    height: int
    width: int
    kernel: Pair
    stride: Pair
    padding: Pair
    seed: int = 0

    @functools.cached_property
    def x(self) -> Array:
        """Input [N, C, H, W]."""
        return integers(self.seed, self.batch, self.in_channels, self.height, self.width)

    @functools.cached_property
    def layers(self) -> list[tuple[Array, Array]]:
        """Weight and bias of each layer."""
        found = []
        depth, kernel = self.in_channels, self.kernel
        for number, width in enumerate(self.widths):
            seed = self.seed + 10 * number + 2
            biases = integers(seed + 1, width, low=-9, high=9)
            found.append(
                (integers(seed, width, depth, *kernel), np.where(biases == 0, 5.0, biases))
            )
            depth, kernel = width, (1, 1)
        return found

    def options(self, number: int) -> dict[str, Any]:
        """Stride and padding of a layer; only the first has any."""
        return {} if number else {"stride": self.stride, "padding": self.padding}


def mlpconv(**sizes: Any) -> Mlpconv | None:
    """Return the mlpconv layer of these sizes, or None if its kernel does not fit the input."""
    made = Mlpconv(**sizes)
    rooms = (made.height + 2 * made.padding[0], made.width + 2 * made.padding[1])
    return made if made.kernel[0] <= rooms[0] and made.kernel[1] <= rooms[1] else None


_DRAWN_MAPS = {
    "batch": st.integers(1, 3),
    "in_channels": st.integers(1, 5),
    "height": st.integers(1, 9),
    "width": st.integers(1, 9),
    "seed": SEEDS,
}
MLPCONVS: Domain[Mlpconv] = sampled(
    "mlpconv layers of 1 to 4 layers up to 6 wide, maps up to 9x9, kernels up to 5x5",
    mlpconv,
    {
        "batch": (2, 1),
        "in_channels": (3, 1),
        "widths": ((4, 5, 2), (2, 6), (5,), (3, 2, 4, 6)),
        "height": (7, 5),
        "width": (6, 7),
        "kernel": ((3, 2), (1, 1), (5, 3)),
        "stride": ((1, 1), (2, 1), (1, 3)),
        "padding": ((0, 0), (1, 2)),
    },
    _DRAWN_MAPS
    | {
        "widths": st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
        "kernel": pairs(1, 5),
        "stride": pairs(1, 3),
        "padding": pairs(0, 2),
    },
)


def activations(ops: Operators, c: Mlpconv, x: Array) -> list[Array]:
    """Return the input and what each layer puts out, convolution by convolution."""
    maps = [x]
    for number, (weight, bias) in enumerate(c.layers):
        maps.append(ops.relu(ops.conv2d(maps[-1], weight, bias, **c.options(number))))
    return maps


one_by_ones_mix_neighbours = faults.wrong(
    "1x1 convolutions mix each pixel with its left neighbour",
    "conv2d",
    lambda f, x, w, b=None, **o: f(
        x + np.roll(x, 1, axis=3) if w.shape[2:] == (1, 1) else x, w, b, **o
    ),
)
square_maps_transposed = faults.wrong(
    "square maps transposed",
    "conv2d",
    lambda f, x, w, b=None, **o: (
        y.swapaxes(2, 3).copy() if (y := f(x, w, b, **o)).shape[2] == y.shape[3] else y
    ),
)


def _padded_before(
    f: Callable[..., Array], x: Array, w: Array, b: Array | None = None, **o: Any
) -> Array:
    rows, columns = o.get("padding", (0, 0))
    margins = ((0, 0), (0, 0), (2 * rows, 0), (2 * columns, 0))
    return f(np.pad(x, margins), w, b, **o | {"padding": (0, 0)})


padded_before = faults.wrong("all padding at the top and the left", "conv2d", _padded_before)

CHANNEL_FAULTS = (faults.bias_missing, faults.channel_ignored, faults.last_image_ignored)
KERNEL_FAULTS = (faults.kernel_flipped, faults.kernel_transposed, faults.kernel_row_ignored)
PLACE_FAULTS = (
    *(faults.shifted, faults.axes_swapped, faults.weight_by_position),
    square_maps_transposed,
)
SIZE_FAULTS = (
    *(faults.stride_swapped, faults.padding_ignored, faults.padded_by_edge),
    padded_before,
)
RELU_FAULTS = (faults.relu_missing, faults.relu_leaky, faults.relu_capped)

# The formula of the first layer does not say what is read at a position: two readings -------------

FIRST_INPUT = "the input of the first layer at a position"

reads_a_patch = Claim(
    "mlpconv/first-layer-reads-the-patch-around-a-pixel",
    says="The first layer of an mlpconv layer puts out, for each pixel, the positive part of a "
    "filter's inner product with the patch centred there, plus a bias: a convolution and a ReLU.",
    cites=["000:29"],
    recorded=HoldsIf("stride 1", "padding (k - 1) / 2"),
    reading_of=FIRST_INPUT,
)


_CENTRED = [((1, 1), (0, 0)), ((3, 5), (1, 2)), ((5, 3), (2, 1)), ((3, 3), (1, 1))]
_NOT_CENTRED = [((3, 5), (0, 0)), ((3, 5), (1, 1)), ((2, 4), (1, 2)), ((1, 1), (1, 0))]


def placed(placement: tuple[tuple[Pair, Pair], Pair], **sizes: Any) -> Convolution | None:
    """Return the convolution with this kernel, padding and stride."""
    (kernel, padding), stride = placement
    return convolution(kernel=kernel, padding=padding, stride=stride, **sizes)


FIRST_LAYERS: Domain[Convolution] = sampled(
    "convolutions of maps up to 9x9, kernels up to 5x5, centred and not, strides up to 3",
    placed,
    {
        "placement": [
            *((window, (1, 1)) for window in (*_CENTRED, *_NOT_CENTRED)),
            *((_CENTRED[1], stride) for stride in ((2, 1), (1, 3))),
        ],
        "batch": (3, 1),
        "in_channels": (5, 1),
        "out_channels": (5, 4),
        "height": (7, 5),
        "width": (6, 5),
    },
    _DRAWN_MAPS
    | {
        "placement": st.tuples(st.sampled_from(_CENTRED), st.just((1, 1)))
        | st.tuples(st.tuples(pairs(1, 5), pairs(0, 2)), pairs(1, 3)),
        "out_channels": st.integers(1, 5),
    },
)


@reads_a_patch.judged(
    subject=OPERATORS,
    on=FIRST_LAYERS,
    when={
        "stride 1": lambda c: c.stride == (1, 1),
        "padding (k - 1) / 2": lambda c: all(
            2 * padding == side - 1 for side, padding in zip(c.kernel, c.padding, strict=True)
        ),
    },
    flipped_by=[
        *(*CHANNEL_FAULTS, *KERNEL_FAULTS, *PLACE_FAULTS, *RELU_FAULTS),
        *(faults.padding_ignored, faults.padded_by_edge, padded_before, faults.stride_ignored),
        faults.conv2d_in_float32,
    ],
)
def positive_part_of_an_inner_product(ops: Operators, c: Convolution) -> None:
    x = fine(c.x)
    half = [side // 2 for side in c.kernel]
    padded = np.pad(x, ((0, 0), (0, 0), *((margin, margin) for margin in half)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, c.kernel, (2, 3))
    around = patches[:, :, : c.height, : c.width]
    products = np.einsum("nchwij,ocij->nohw", around, c.weight)
    expected = np.maximum(products + c.bias[:, np.newaxis, np.newaxis], 0)
    same(ops.relu(ops.conv2d(x, c.weight, c.bias, **c.options)), expected, "the first layer")


reads_a_pixel = Claim(
    "mlpconv/first-layer-reads-one-pixel",
    says="The first layer of an mlpconv layer reads, for each pixel, that pixel's channels alone.",
    cites=["000:29"],
    recorded=Refuted(instead="mlpconv/first-layer-reads-the-patch-around-a-pixel"),
    reading_of=FIRST_INPUT,
)


@reads_a_pixel.judged(subject=MODELS, on=NETWORKS, flipped_by=[single_pixels_read])
def first_kernels_are_one_by_one(models: Models, name: str) -> None:
    for number, (first, *_) in enumerate(perceptrons(models(name)), 1):
        height, width = first.kernel_size
        assert height == width == 1, (
            f"the first kernel of mlpconv layer {number} of {name} is {height}x{width}"
        )


# The layers after it ------------------------------------------------------------------------------

reads_same_pixel = Claim(
    "mlpconv/later-layers-weigh-the-channels-of-one-pixel",
    says="Convolving the maps of the layer before and then applying ReLU gives, at each pixel, the "
    "positive part of a weighted sum of those maps' values at this pixel, plus a bias.",
    cites=["000:31", "000:33", "000:35", "001:70"],
    recorded=HoldsIf("the kernel is 1x1"),
)


def same_padded(kernel: Pair, **sizes: Any) -> Convolution | None:
    """Return the convolution with this odd kernel that keeps the size of its input."""
    return convolution(kernel=kernel, padding=(kernel[0] // 2, kernel[1] // 2), **sizes)


LATER_LAYERS: Domain[Convolution] = sampled(
    "convolutions that keep the size of maps up to 9x9, kernels 1 and 3",
    same_padded,
    {
        "kernel": ((1, 1), (3, 3), (1, 3)),
        "batch": (3, 1),
        "in_channels": (3, 1, 6),
        "out_channels": (4, 3),
        "height": (5, 1),
        "width": (7, 5),
    },
    _DRAWN_MAPS
    | {
        "kernel": st.just((1, 1)) | st.sampled_from([(3, 1), (1, 3), (3, 3)]),
        "out_channels": st.integers(1, 6),
    },
)


@reads_same_pixel.judged(
    subject=OPERATORS,
    on=LATER_LAYERS,
    when={"the kernel is 1x1": lambda c: c.kernel == (1, 1)},
    flipped_by=[
        *(*CHANNEL_FAULTS, *PLACE_FAULTS, *RELU_FAULTS),
        *(faults.weight_transposed, faults.weight_by_input, faults.neighbours_mixed),
        faults.conv2d_in_float32,
    ],
)
def affine_map_of_the_same_pixel(ops: Operators, c: Convolution) -> None:
    before = fine(abs(c.x))  # as a ReLU leaves it
    centre = c.weight[:, :, c.kernel[0] // 2, c.kernel[1] // 2]
    sums = oracle.linear(before.transpose(0, 2, 3, 1), centre, c.bias)
    after = ops.relu(ops.conv2d(before, c.weight, c.bias, **c.options))
    same(after, np.maximum(sums, 0).transpose(0, 3, 1, 2), "the layer")


# A perceptron on every patch ----------------------------------------------------------------------

is_a_perceptron = Claim(
    "mlpconv/is-a-perceptron-slid-over-the-image",
    says="A convolution followed by 1x1 convolutions, with a ReLU after each, applies one and the "
    "same multilayer perceptron to the patch at every position.",
    cites=["000:23", "000:33", "000:35", "001:72", "001:101", "004:30-31"],
    recorded=Holds(),
)


@is_a_perceptron.judged(
    subject=OPERATORS,
    on=MLPCONVS,
    flipped_by=[
        *(*CHANNEL_FAULTS, *KERNEL_FAULTS, *PLACE_FAULTS, *SIZE_FAULTS, *RELU_FAULTS),
        *(faults.weight_transposed, faults.stride_ignored, faults.sum_over_batch),
        *(one_by_ones_mix_neighbours, faults.conv2d_in_float32),
    ],
)
def same_outputs(ops: Operators, c: Mlpconv) -> None:
    x = fine(c.x)
    expected = oracle.mlpconv(x, c.layers, stride=c.stride, padding=c.padding)
    same(activations(ops, c, x)[-1], expected, "the mlpconv layer")


@is_a_perceptron.judged(
    subject=OPERATORS,
    on=MLPCONVS,
    flipped_by=[
        *(faults.weight_gradient_of_first_image, faults.weight_gradient_averaged),
        *(faults.input_gradient_transposed, faults.input_gradient_flipped),
        *(faults.bias_gradient_missing, faults.relu_missing, faults.conv2d_gradients_in_float32),
    ],
)
def same_gradients(ops: Operators, c: Mlpconv) -> None:
    columns = oracle.unfold(c.x, c.kernel, stride=c.stride, padding=c.padding)
    features = [columns.swapaxes(1, 2)]  # [N, positions, values of the patch]
    for weight, bias in c.layers:
        sums = oracle.linear(features[-1], weight.reshape(len(weight), -1), bias)
        features.append(np.maximum(sums, 0))
    maps = activations(ops, c, c.x)
    by_maps = wide(integers(c.seed + 99, *maps[-1].shape))
    by_features = by_maps.reshape(*by_maps.shape[:2], -1).swapaxes(1, 2)
    for number in reversed(range(len(c.layers))):
        weight, _ = c.layers[number]
        by_maps, of_weight, of_bias = ops.conv2d_gradients(
            maps[number], weight, by_maps * (maps[number + 1] > 0), **c.options(number)
        )
        by_features, expected_of_weight, expected_of_bias = oracle.linear_gradients(
            features[number],
            weight.reshape(len(weight), -1),
            by_features * (features[number + 1] > 0),
        )
        expected = expected_of_weight.reshape(weight.shape)
        close(of_weight, expected, f"the weight gradient of layer {number + 1}")
        close(of_bias, expected_of_bias, f"the bias gradient of layer {number + 1}")
    close(by_maps, _sent_back(by_features, c), "the input gradient")


def _sent_back(patches: Array, c: Mlpconv) -> Array:
    """Add up gradients of patches [N, positions, values] at the pixels that these read."""
    pixels = c.x[0].size
    numbered = np.arange(1.0, pixels + 1).reshape(1, *c.x.shape[1:])  # zero is the padding
    read = oracle.unfold(numbered, c.kernel, stride=c.stride, padding=c.padding)[0].T.astype(int)
    sums = [np.bincount(read.ravel(), image.ravel(), pixels + 1)[1:] for image in patches]
    return np.reshape(sums, c.x.shape)


keeps_receptive_field = Claim(
    "mlpconv/works-within-the-receptive-field-of-its-convolution",
    says="However many 1x1 convolutions follow, each output of an mlpconv layer depends on exactly "
    "the patch that its first convolution reads.",
    cites=["000:23", "004:31"],
    recorded=Holds(),
)


@dataclass(frozen=True)
class Stack:
    """A kernel, and how many 1x1 convolutions follow it."""

    kernel: Pair
    one_by_ones: int


@keeps_receptive_field.judged(
    subject=OPERATORS,
    on=Sample(
        "kernels up to 5x5 with up to three 1x1 convolutions behind them, on 6x8 maps",
        [Stack(kernel, ones) for kernel in ((1, 1), (3, 2), (2, 4), (5, 3)) for ones in range(4)],
    ),
    flipped_by=[
        *(faults.neighbours_mixed, faults.shifted, faults.last_image_ignored),
        *(one_by_ones_mix_neighbours, faults.kernel_row_ignored, faults.axes_swapped),
    ],
)
def bumps_inside_the_patch_show(ops: Operators, c: Stack) -> None:
    height, width = 6, 8
    bumps = np.eye(height * width).reshape(-1, 1, height, width)  # one image for each pixel
    maps = ops.relu(ops.conv2d(1 + bumps, np.ones((2, 1, *c.kernel))))
    for _ in range(c.one_by_ones):
        maps = ops.relu(ops.conv2d(maps, np.ones((2, 2, 1, 1))))
    unbumped = np.prod(c.kernel) * 2.0**c.one_by_ones
    rows, columns = (
        np.arange(size)[:, np.newaxis] - np.arange(size - side + 1)  # pixel minus start of a patch
        for size, side in ((height, c.kernel[0]), (width, c.kernel[1]))
    )
    reached = np.einsum(
        "ri,cj->rcij",
        (rows >= 0) & (rows < c.kernel[0]),
        (columns >= 0) & (columns < c.kernel[1]),
        dtype=np.float64,
    )
    channels = reached.reshape(-1, 1, *maps.shape[2:]).repeat(2, axis=1)
    effect = channels * 2.0**c.one_by_ones
    same(maps - unbumped, effect, "the effect of each pixel on each output")


# What the formula counts with n: two readings -----------------------------------------------------

N_LAYERS = "the n layers of the formula"

counts_layers_inside = Claim(
    "mlpconv/formula-counts-the-layers-of-one-mlpconv-layer",
    says="The layers that the formula counts are those inside one mlpconv layer, where only the "
    "first reads a patch and all others read single pixels.",
    cites=["000:27", "000:33"],
    recorded=Holds(),
    reading_of=N_LAYERS,
)


@counts_layers_inside.judged(
    subject=MODELS,
    on=NETWORKS,
    flipped_by=[second_layer_3x3, surgeries.first_max_pool_removed, single_pixels_read],
)
def one_patch_in_each_mlpconv_layer(models: Models, name: str) -> dict[str, int]:
    stacks = perceptrons(models(name))
    for number, layers in enumerate(stacks, 1):
        reads_patch = [layer.kernel_size != (1, 1) for layer in layers]
        assert reads_patch[0], f"mlpconv layer {number} of {name} reads no patch"
        assert not any(reads_patch[1:]), f"mlpconv layer {number} of {name} reads a second patch"
    return {"mlpconv layers": len(stacks), "layers": sum(map(len, stacks))}


counts_layers_of_network = Claim(
    "mlpconv/formula-counts-the-layers-of-the-network",
    says="The layers that the formula counts are all convolutions of the network, where only the "
    "first reads a patch and all others read single pixels.",
    cites=["000:27", "000:33"],
    recorded=Refuted(instead="mlpconv/formula-counts-the-layers-of-one-mlpconv-layer"),
    reading_of=N_LAYERS,
)


@counts_layers_of_network.judged(subject=MODELS, on=NETWORKS, flipped_by=[patches_read_once])
def one_patch_in_the_network(models: Models, name: str) -> None:
    kernels = [layer.kernel_size for layers in perceptrons(models(name)) for layer in layers]
    larger = sum(kernel != (1, 1) for kernel in kernels)
    assert larger == 1, f"{larger} of the {len(kernels)} convolutions of {name} read patches"


# A ReLU after the last layer too ------------------------------------------------------------------


def _smooth(model: nn.Module) -> None:
    from torch import nn

    surgeries.put(model, surgeries.of_kind(model, "ReLU")[-1], nn.ELU())


last_relu_smooth = surgeries.surgery("ELU for the last ReLU", _smooth)

never_negative = Claim(
    "mlpconv/class-scores-are-never-negative",
    says="As the formula has a ReLU after its last layer as well, the class scores of a NiN "
    "network, averages of what that layer puts out, are never negative.",
    cites=["000:33"],
    recorded=HoldsIf("no layer with weights follows the averaging"),
)


@never_negative.judged(
    subject=MODELS_WITH_WEIGHTS,
    on=Sample(
        "NiN networks with weights from seed 0, on three images",
        ["cifar10-nin", "mnist-nin", "lecture-nin", "handwritten-nin"],
    ),
    when={
        "no layer with weights follows the averaging": lambda name: (
            not surgeries.of_kind(model_on_meta(name), "Linear")
        )
    },
    flipped_by=[last_relu_removed, last_relu_smooth, surgeries.relu_layers_removed],
)
def scores_average_positive_parts(models: Models, name: str) -> None:
    import torch

    network = models(name)
    *_, last = (network.get_submodule(name) for name in surgeries.of_kind(network, "Conv2d"))
    sums: list[Array] = []
    hook = last.register_forward_hook(lambda _layer, _x, y: sums.append(y.numpy().copy()))
    with torch.no_grad():
        scores = network(torch.from_numpy(images(network, name))).numpy()
    hook.remove()
    assert (scores >= 0).all(), f"{name} puts out the score {scores.min():.3g}"
    close(scores, oracle.global_avg_pool2d(np.maximum(sums[0], 0)), f"the scores of {name}")


def images(network: nn.Module, name: str) -> Array:
    """Return three images for a network, small ones where it takes them."""
    channels = next(network.parameters()).shape[1]
    side = {"lecture-nin": 67, "handwritten-nin": 32}.get(name, 9)
    return integers(0, 3, channels, side, side)


dead_map_learns_nothing = Claim(
    "mlpconv/dead-class-map-learns-nothing",
    says="Where the sums before the last ReLU are negative everywhere in the map of a class, the "
    "loss has no gradient by the weights and bias of that map, though it has one by the others'.",
    cites=["000:33"],
    recorded=Holds(),
)


@dead_map_learns_nothing.judged(
    subject=MODELS_WITH_WEIGHTS,
    on=Sample(
        "the paper's networks with weights from seed 0, those of map 3 made negative",
        ["cifar10-nin", "mnist-nin"],
    ),
    flipped_by=[last_relu_removed, last_relu_smooth],
)
def dead_map_has_no_gradient(models: Models, name: str) -> None:
    import copy

    import torch

    network = copy.deepcopy(models(name))
    *_, last = (network.get_submodule(name) for name in surgeries.of_kind(network, "Conv2d"))
    with torch.no_grad():
        for parameter in last.parameters():  # what comes in is positive or zero
            parameter.abs_()[3].neg_()
    scores = network(torch.from_numpy(images(network, name)))
    loss = torch.nn.functional.cross_entropy(scores, torch.full((3,), 3))
    gradients = torch.autograd.grad(loss, list(last.parameters()))
    for gradient, (kind, _) in zip(gradients, last.named_parameters(), strict=True):
        largest = gradient.abs().reshape(len(gradient), -1).amax(1)
        assert largest[3] == 0, f"{name}: the {kind} of the dead map gets {largest[3]:.3g}"
        assert (largest > 0).sum() == len(largest) - 1, f"{name}: another map is dead"


# More than a filter and its activation ------------------------------------------------------------

contains_filters = Claim(
    "mlpconv/does-what-a-convolution-with-relu-does",
    says="An mlpconv layer can compute whatever a convolution with ReLU computes: its 1x1 "
    "convolutions need only pass the maps on.",
    cites=["004:28", "004:31"],
    recorded=Holds(),
)


@contains_filters.judged(
    subject=OPERATORS,
    on=MLPCONVS,
    flipped_by=[
        *(*CHANNEL_FAULTS, *KERNEL_FAULTS, *SIZE_FAULTS, *RELU_FAULTS),
        *(one_by_ones_mix_neighbours, faults.conv2d_in_float32),
    ],
)
def identities_pass_maps_on(ops: Operators, c: Mlpconv) -> None:
    x, (weight, bias) = fine(c.x), c.layers[0]
    maps = ops.relu(ops.conv2d(x, weight, bias, **c.options(0)))
    identity = np.eye(len(weight))[:, :, np.newaxis, np.newaxis]
    for _ in c.layers[1:]:
        maps = ops.relu(ops.conv2d(maps, identity, np.zeros(len(weight))))
    expected = np.maximum(oracle.conv2d(x, weight, bias, **c.options(0)), 0)
    same(maps, expected, "the mlpconv layer")


Activation = Callable[[Any], Any]


def _rectified() -> Activation:
    import z3

    return lambda value: z3.If(value > 0, value, 0)


RECTIFIER: Subject[Activation] = Subject("ReLU in symbols", _rectified)

absolute_value: Fault[Activation] = Fault(
    "absolute value for ReLU in symbols", lambda relu: lambda value: relu(value) + relu(-value)
)

no_filter_tells_xor = Claim(
    "mlpconv/one-filter-with-relu-cannot-tell-xor",
    says="No filter with a bias and a ReLU is positive on exactly those pairs of binary pixels "
    "that differ.",
    cites=["000:21", "004:28"],
    recorded=Holds(),
)


@no_filter_tells_xor.judged(subject=RECTIFIER, on=PROOF, flipped_by=[absolute_value])
def no_weights_solve_it(relu: Activation, _: Proof) -> None:
    import z3

    left, right, bias = z3.Reals("left right bias")
    solver = z3.Solver()
    solver.add(relu(bias) <= 0, relu(left + right + bias) <= 0)
    solver.add(relu(left + bias) > 0, relu(right + bias) > 0)
    assert solver.check() == z3.unsat, f"{solver.model()} tells pairs that differ"


computes_xor = Claim(
    "mlpconv/computes-xor-of-neighbours",
    says="An mlpconv layer computes what no filter with ReLU does: one where two neighbouring "
    "binary pixels differ and zero elsewhere.",
    cites=["004:28", "004:31"],
    recorded=Holds(),
)


@computes_xor.judged(
    subject=OPERATORS,
    on=Sample("images that hold all rows of 2 to 5 binary pixels", [2, 3, 4, 5]),
    flipped_by=[
        *(faults.relu_missing, faults.relu_leaky, faults.relu_absolute),
        *(*CHANNEL_FAULTS, faults.shifted, faults.sum_over_batch),
    ],
)
def two_hidden_units_compute_it(ops: Operators, width: int) -> None:
    # All rows of so many bits, once from the top and once from the bottom; neither image ends in a
    # row whose bits are all the same, as that would hide a row left out.
    numbers = np.roll(np.arange(2**width), -2)
    rows = np.stack([numbers, numbers[::-1]])[:, np.newaxis, :, np.newaxis] >> np.arange(width) & 1
    x = rows.astype(np.float64)
    hidden = ops.relu(ops.conv2d(x, np.ones((2, 1, 1, 2)), np.array([0.0, -1.0])))
    y = ops.relu(ops.conv2d(hidden, np.array([1.0, -2.0]).reshape(1, 2, 1, 1), np.zeros(1)))
    same(y, (rows[..., 1:] != rows[..., :-1]).astype(np.float64), "the mlpconv layer")


beats_plain_convolutions = trained(
    "mlpconv/extracts-better-features-than-plain-convolutions",
    says="A network with mlpconv layers classifies CIFAR-10 more accurately than one of plain "
    "convolutions with as many parameters and multiply-adds, as its local features are better.",
    cites=["000:23", "000:50"],
    rule=Lower("cifar10-short", "cifar10-plain-short", family="comparisons"),
)
