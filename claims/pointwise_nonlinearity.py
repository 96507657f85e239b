"""What a ReLU adds to 1x1 convolutions: alone they fold into one, with it they are a perceptron.

Documents 000 (lines 11 and 13), 001 (lines 56, 70, 72, 101 and 158 to 162), 002 (line 10) and 004
(line 31).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from claims._pointwise import (
    IN_PLACE,
    KERNELS,
    SPATIAL_POINTWISE,
    WRONG_RELU,
    WRONG_VALUES,
    maps_of,
    pixels,
)
from claims.cases import POINTWISE, Convolution, integers, wide
from claims.checks import Array, same
from claims.core.claim import Claim, Domain, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import MODELS, OPERATORS, Models
from nin_ref import oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    from torch import nn

# Images of one channel ----------------------------------------------------------------------------

MEANINGLESS = "a 1x1 convolution of a two-dimensional signal is meaningless"

only_scales = Claim(
    "pointwise-nonlinearity/only-scales-and-shifts-the-image",
    says="All that a 1x1 convolution gives is the image with another contrast and brightness.",
    cites=["000:11"],
    recorded=HoldsIf("the image has one channel"),
    reading_of=MEANINGLESS,
    renamed_from="pointwise/only-scales-and-shifts-the-image",
)


@only_scales.judged(
    subject=OPERATORS,
    on=POINTWISE,
    when={"the image has one channel": lambda c: c.in_channels == 1},
    flipped_by=[
        faults.channel_ignored,
        faults.last_image_ignored,
        faults.neighbours_mixed,
        faults.axes_swapped,
        faults.conv2d_in_float32,
        faults.weight_by_position,
        faults.bias_missing,
        faults.rectified,
        faults.wrong(
            "values cut off at a million", "conv2d", lambda f, *a, **o: f(*a, **o).clip(-1e6, 1e6)
        ),
    ],
)
def every_map_is_the_image_rescaled(ops: Operators, c: Convolution) -> None:
    x, contrast, brightness = wide(c.x), c.weight[:, 0], c.bias[:, np.newaxis, np.newaxis]
    same(ops.conv2d(x, c.weight, c.bias), contrast * x[:, :1] + brightness, "the convolution")


folds_into_the_next = Claim(
    "pointwise-nonlinearity/folds-into-the-convolution-after-it",
    says="Directly before another convolution a 1x1 convolution, biases included, adds nothing: "
    "with other weights the other convolution alone gives the same.",
    cites=["000:11"],
    recorded=HoldsIf("the convolution after it is not padded"),
    reading_of=MEANINGLESS,
    renamed_from="pointwise/folds-into-the-convolution-after-it",
)


@folds_into_the_next.judged(
    subject=OPERATORS,
    on=KERNELS,
    when={"the convolution after it is not padded": lambda c: c.padding == (0, 0)},
    flipped_by=[
        *WRONG_VALUES,
        faults.bias_missing,
        faults.kernel_flipped,
        faults.stride_swapped,
        faults.rectified,
        faults.wrong(
            "images in reverse order", "conv2d", lambda f, *a, **o: f(*a, **o)[::-1].copy()
        ),
    ],
)
def one_kernel_replaces_two(ops: Operators, c: Convolution) -> None:
    x = wide(integers(c.seed + 4, c.batch, 2, c.height, c.width))
    before = Convolution(c.batch, 2, c.in_channels, c.height, c.width, seed=c.seed + 5)
    hidden = ops.conv2d(x, before.weight, before.bias)
    same(hidden, oracle.conv2d(x, before.weight, before.bias), "the 1x1 convolution")
    folded = np.einsum("ohyx,hc->ocyx", c.weight, before.weight[:, :, 0, 0])
    bias = np.einsum("ohyx,h->o", c.weight, before.bias) + c.bias
    expected = oracle.conv2d(x, folded, bias, **c.options)
    same(ops.conv2d(hidden, c.weight, c.bias, **c.options), expected, "the pair of convolutions")


linear_in_one_channel = Claim(
    "pointwise-nonlinearity/stays-linear-in-one-channel-with-relu",
    says="To an image of one channel 1x1 convolutions with a ReLU between them do nothing that a "
    "linear filter could not.",
    cites=["000:11"],
    recorded=Refuted(instead="pointwise-nonlinearity/gives-absolute-values-of-one-channel"),
    reading_of=MEANINGLESS,
    renamed_from="pointwise/stays-linear-in-one-channel-with-relu",
)


def signs_apart(ops: Operators, x: Array) -> Array:
    """Part one channel into x and -x, rectify both, and add them."""
    apart, together = np.array([1.0, -1.0]), np.array([1.0, 1.0])
    hidden = ops.relu(ops.conv2d(x, apart.reshape(2, 1, 1, 1)))
    return ops.conv2d(hidden, together.reshape(1, 2, 1, 1))


@linear_in_one_channel.judged(subject=OPERATORS, on=POINTWISE, flipped_by=[faults.relu_missing])
def the_pair_is_additive(ops: Operators, c: Convolution) -> None:
    x = abs(c.x[:, :1]) + 1
    up, down, middle = (signs_apart(ops, part) for part in (x, -x, 0 * x))
    same(up + down, 2 * middle, "f(x) + f(-x)")


absolute_values = Claim(
    "pointwise-nonlinearity/gives-absolute-values-of-one-channel",
    says="Two 1x1 convolutions with a ReLU between them can take the absolute value of an image of "
    "one channel, which no linear filter can.",
    cites=["000:11"],
    recorded=Holds(),
    renamed_from="pointwise/gives-absolute-values-of-one-channel",
)


@absolute_values.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        *WRONG_RELU,
        faults.wrong("smooth ReLU", "relu", lambda f, x: x / (1 + np.exp(-x.clip(-50, 50)))),
        faults.channel_ignored,
        faults.shifted,
        faults.conv2d_in_float32,
    ],
)
def the_pair_is_the_absolute_value(ops: Operators, c: Convolution) -> None:
    for x in (c.x[:, :1], wide(c.x[:, :1])):
        same(signs_apart(ops, x), abs(x), "the pair of layers")


# ReLU and non-linearity ---------------------------------------------------------------------------

relu_bends = Claim(
    "pointwise-nonlinearity/relu-after-it-makes-it-nonlinear",
    says="A ReLU after a 1x1 convolution makes the map non-linear.",
    cites=["000:13", "001:101", "001:162", "002:10"],
    recorded=HoldsIf("the biases do not outweigh the weighted sums"),
    renamed_from="pointwise/relu-after-it-makes-it-nonlinear",
)


BENT = Convolution(batch=2, in_channels=3, out_channels=4, height=5, width=7)


def sums_prevail(bias: int) -> bool:
    """Whether some weighted sum in each channel of `BENT` is larger than the bias."""
    largest = abs(oracle.conv2d(BENT.x, BENT.weight)).max(axis=(0, 2, 3))
    return bool((largest > abs(bias)).all())


@relu_bends.judged(
    subject=OPERATORS,
    on=Domain(
        "a 1x1 convolution of 3 to 4 channels with biases of -1000 to 1000",
        covering=[0, 5, -5, 1000, -1000],
        strategy=st.integers(-60, 60),
    ),
    when={"the biases do not outweigh the weighted sums": sums_prevail},
    flipped_by=[*WRONG_RELU, faults.bias_missing, faults.channel_ignored],
)
def midpoint_is_missed(ops: Operators, bias: int) -> None:
    biases, zero = np.full(BENT.out_channels, float(bias)), 0 * BENT.x
    sums = oracle.conv2d(BENT.x, BENT.weight)
    up, down, middle = (
        ops.relu(ops.conv2d(x, BENT.weight, biases)) for x in (BENT.x, -BENT.x, zero)
    )
    for y, total in ((up, sums), (down, -sums), (middle, 0 * sums)):
        same(y, np.maximum(total + bias, 0), "the rectified convolution")
    missed = (up + down != 2 * middle).any(axis=(0, 2, 3))
    assert missed.all(), f"with biases of {bias} channel {missed.argmin()} stays affine"


nonlinear_combination = Claim(
    "pointwise-nonlinearity/with-relu-combines-the-channels-of-the-same-position",
    says="Behind the ReLU after a 1x1 convolution, each value is a non-linear function of the "
    "values that all channels of the layer before have at the same position: their weighted sum "
    "with the bias, where it is positive, and else zero.",
    cites=["002:10"],
    recorded=HoldsIf(*IN_PLACE),
)


@nonlinear_combination.judged(
    subject=OPERATORS,
    on=SPATIAL_POINTWISE,
    when=IN_PLACE,
    flipped_by=[
        *WRONG_RELU,
        *WRONG_VALUES,
        faults.bias_missing,
        faults.stride_ignored,
        faults.padding_ignored,
    ],
)
def sums_of_the_same_position_rectified(ops: Operators, c: Convolution) -> None:
    x = wide(c.x)
    values = ops.relu(ops.conv2d(x, c.weight, c.bias, **c.options))
    sums = pixels(x) @ c.weight[:, :, 0, 0].T + c.bias
    same(values, maps_of(np.where(sums > 0, sums, 0), c), "the rectified convolution")


two_layers_bend = Claim(
    "pointwise-nonlinearity/two-layers-are-nonlinear-by-themselves",
    says="Two 1x1 layers after each other are non-linear because they are two.",
    cites=["001:101"],
    recorded=Refuted(instead="pointwise-nonlinearity/stack-is-one-convolution"),
    renamed_from="pointwise/two-layers-are-nonlinear-by-themselves",
)


@two_layers_bend.judged(
    subject=OPERATORS,
    on=Sample("pairs of 1x1 layers of 3 to 4 to 6 channels, by seed", [1, 2, 3]),
    flipped_by=[faults.weight_by_input, faults.rectified],
)
def pair_misses_the_midpoint(ops: Operators, seed: int) -> None:
    first = Convolution(batch=2, in_channels=3, out_channels=4, height=5, width=7, seed=seed)
    second = Convolution(batch=2, in_channels=4, out_channels=6, height=5, width=7, seed=seed)
    up, down, middle = (
        ops.conv2d(ops.conv2d(x, first.weight, first.bias), second.weight, second.bias)
        for x in (first.x, -first.x, 0 * first.x)
    )
    assert (up + down != 2 * middle).any(), (
        "f(x) + f(-x) = 2 f(0) in all 420 values, as for an affine map"
    )


stack_collapses = Claim(
    "pointwise-nonlinearity/stack-is-one-convolution",
    says="Without an activation between them, a convolution and two 1x1 convolutions after it are "
    "together one convolution, with the kernel of the first and the product of the weights.",
    cites=["001:101", "002:10"],
    recorded=Holds(),
    renamed_from="pointwise/stack-is-one-convolution",
)


@stack_collapses.judged(
    subject=OPERATORS,
    on=KERNELS,
    flipped_by=[
        *WRONG_VALUES,
        faults.bias_missing,
        faults.kernel_transposed,
        faults.stride_swapped,
        faults.rectified,
    ],
)
def weights_multiply(ops: Operators, c: Convolution) -> None:
    x = wide(c.x)
    second, third = integers(c.seed + 4, 3, c.out_channels), integers(c.seed + 5, 2, 3)
    second_bias, third_bias = integers(c.seed + 6, 3, low=1), integers(c.seed + 7, 2, low=1)
    y = ops.conv2d(x, c.weight, c.bias, **c.options)
    y = ops.conv2d(y, second[:, :, np.newaxis, np.newaxis], second_bias)
    y = ops.conv2d(y, third[:, :, np.newaxis, np.newaxis], third_bias)
    product = np.einsum("ph,ho,ocij->pcij", third, second, c.weight)
    bias = third @ (second @ c.bias + second_bias) + third_bias
    same(y, oracle.conv2d(x, product, bias, **c.options), "the stack")


STACKS = {
    "one layer, ReLU": (1, True),
    "two layers, ReLU": (2, True),
    "one layer, no ReLU": (1, False),
    "two layers, no ReLU": (2, False),
}

stacking_bends_more = Claim(
    "pointwise-nonlinearity/stacking-layers-adds-nonlinearity",
    says="Both one and two stacked 1x1 layers add non-linearity: with two channels each they draw "
    "functions of more linear pieces than one layer fewer can have.",
    cites=["001:158-162", "004:31", "002:10"],
    recorded=HoldsIf("a ReLU follows each layer"),
    renamed_from="pointwise/stacking-layers-adds-nonlinearity",
)


@stacking_bends_more.judged(
    subject=OPERATORS,
    on=list(STACKS),
    when={"a ReLU follows each layer": lambda stack: STACKS[stack][1]},
    flipped_by=[*WRONG_RELU, faults.bias_missing, faults.neighbours_mixed, faults.axes_swapped],
)
def tents_are_folded(ops: Operators, stack: str) -> dict[str, int]:
    depth, rectified = STACKS[stack]
    points = np.arange(65.0)  # the pixels of an image of one channel
    y, weights = points.reshape(1, 1, 5, 13), np.array([[1.0], [1.0]])
    tent = np.array([[2.0, -4.0]])
    for _ in range(depth):
        y = ops.conv2d(y, weights[:, :, np.newaxis, np.newaxis], np.array([0.0, -32.0]))
        y = ops.relu(y) if rectified else y
        weights = np.vstack([tent, tent])
    drawn = ops.conv2d(y, tent[:, :, np.newaxis, np.newaxis]).reshape(-1)
    pieces = 1 + int(np.count_nonzero(np.diff(drawn, n=2)))
    # A layer of two ReLUs bends each piece of the layers before it twice at most.
    most_before = 3 ** (depth - 1)
    assert pieces > most_before, f"{stack}: {pieces} linear pieces of at least {most_before + 1}"
    zigzag = points * 2**depth
    same(drawn, abs(zigzag - 128 * (zigzag / 128).round()), "the zigzag")
    return {"linear pieces": pieces, "at most with a layer fewer": most_before}


# The two 1x1 layers of a NiN block as a perceptron ------------------------------------------------

perceptron_per_pixel = Claim(
    "pointwise-nonlinearity/two-with-relu-are-a-perceptron-per-pixel",
    says="Two 1x1 convolutions with ReLUs act at each pixel as a multilayer perceptron with one "
    "hidden layer on the channels: two fully connected layers, each with a ReLU.",
    cites=["001:56", "001:70", "001:72", "001:101"],
    recorded=Holds(),
    renamed_from="pointwise/two-with-relu-are-a-perceptron-per-pixel",
)


def through_layers(ops: Operators, x: Array, layers: list[tuple[Array, Array]]) -> Array:
    """Run 1x1 convolutions with a ReLU after each."""
    for weight, bias in layers:
        x = ops.relu(ops.conv2d(x, weight, bias))
    return x


@perceptron_per_pixel.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[*WRONG_RELU, *WRONG_VALUES, faults.bias_missing],
)
def pixels_run_through_a_perceptron(ops: Operators, c: Convolution) -> None:
    x, out = wide(c.x), Convolution(1, c.out_channels, 3, 1, 1, seed=c.seed + 4)
    rows = pixels(x)
    for layer in (c, out):
        rows = np.maximum(rows @ layer.weight[:, :, 0, 0].T + layer.bias, 0)
    y = through_layers(ops, x, [(c.weight, c.bias), (out.weight, out.bias)])
    same(y, maps_of(rows, c), "the stack")


TWO_HIDDEN_LAYERS = "two 1x1 layers make a multilayer perceptron with two hidden layers"


def rectified_kernels(model: nn.Module) -> Iterator[list[tuple[int, ...]]]:
    """Yield for each block of a network the kernels of its convolutions that a ReLU follows."""
    from torch import nn

    for block in model.children():
        if isinstance(block, nn.Sequential):
            yield [
                layer.kernel_size
                for layer, after in pairwise(block)
                if isinstance(layer, nn.Conv2d) and isinstance(after, nn.ReLU)
            ]


two_hidden_alone = Claim(
    "pointwise-nonlinearity/two-layers-alone-have-two-hidden-layers",
    says="The two 1x1 layers of a NiN block by themselves, of which the second gives the output, "
    "are on the channels of each pixel a multilayer perceptron with two hidden layers.",
    cites=["001:162"],
    recorded=Refuted(instead="pointwise-nonlinearity/two-with-relu-are-a-perceptron-per-pixel"),
    reading_of=TWO_HIDDEN_LAYERS,
    renamed_from="pointwise/two-layers-alone-have-two-hidden-layers",
)


def third_layer_appended(model: nn.Module) -> None:
    """Give every block one more 1x1 convolution with a ReLU."""
    from torch import nn

    for block in model.children():
        if isinstance(block, nn.Sequential):
            block.extend([nn.Conv2d(8, 8, 1, device="meta"), nn.ReLU()])


third_layer = surgeries.surgery("a third 1x1 layer in each block", third_layer_appended)


@two_hidden_alone.judged(
    subject=MODELS,
    on=["lecture-nin"],
    flipped_by=[third_layer],
)
def pointwise_layers_but_the_last_are_hidden(models: Models, name: str) -> None:
    for kernels in rectified_kernels(models(name)):
        layers = kernels.count((1, 1))
        assert layers - 1 == 2, f"{layers} 1x1 layers: {layers - 1} hidden, and the output layer"


two_hidden_in_block = Claim(
    "pointwise-nonlinearity/block-has-two-hidden-layers",
    says="A whole NiN block is, on the patch around each position, a multilayer perceptron with "
    "two hidden layers.",
    cites=["001:72", "001:162"],
    recorded=Holds(),
    reading_of=TWO_HIDDEN_LAYERS,
    renamed_from="pointwise/block-has-two-hidden-layers",
)


@two_hidden_in_block.judged(
    subject=MODELS,
    on=["lecture-nin"],
    flipped_by=[surgeries.relu_layers_removed, surgeries.last_convolution_removed, third_layer],
)
def layers_but_the_last_are_hidden(models: Models, name: str) -> dict[str, int]:
    blocks = list(rectified_kernels(models(name)))
    assert blocks, f"{name} has no blocks"
    for kernels in blocks:
        assert len(kernels) - 1 == 2, f"{len(kernels)} layers: {len(kernels) - 1} hidden"
        assert kernels[1:] == [(1, 1), (1, 1)], f"the kernels are {kernels}"
    return {"blocks": len(blocks), "hidden layers of each": 2}


@two_hidden_in_block.judged(
    subject=OPERATORS,
    on=KERNELS,
    flipped_by=[
        *WRONG_VALUES,
        *WRONG_RELU,
        faults.bias_missing,
        faults.kernel_flipped,
        faults.stride_swapped,
        faults.padding_ignored,
    ],
)
def patches_run_through_a_perceptron(ops: Operators, c: Convolution) -> None:
    sizes = ((c.out_channels, 5), (5, 2))
    later = [Convolution(1, *pair, 1, 1, seed=c.seed + 4) for pair in sizes]
    layers = [(one.weight, one.bias) for one in later]
    x = wide(c.x)
    y = through_layers(ops, ops.relu(ops.conv2d(x, c.weight, c.bias, **c.options)), layers)
    expected = oracle.mlpconv(x, [(c.weight, c.bias), *layers], stride=c.stride, padding=c.padding)
    same(y, expected, "the block")
