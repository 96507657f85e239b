"""1x1 convolutions: a fully connected layer at each pixel, and what follows from that.

Document 000 (lines 11, 13 and 35), document 001 (lines 56, 69 to 72, 101 and 158 to 162) and
document 004 (lines 31 and 122 to 125).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from claims.cases import POINTWISE, Convolution, convolutions, integers, pairs, wide
from claims.checks import Array, same
from claims.core.claim import PROOF, Claim, Domain, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import (
    FORMULAS,
    LAYERS,
    MODELS,
    OPERATORS,
    Formulas,
    Layers,
    Models,
)
from nin_ref import oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    from torch import nn

SPATIAL_POINTWISE = convolutions(
    "1x1 convolutions of 1 to 3 images, 1 to 6 channels, maps up to 9x9, any stride, padding and "
    "dilation",
    {
        "batch": (2, 1),
        "in_channels": (3, 4, 1),
        "out_channels": (5, 2, 3),
        "height": (4, 7),
        "width": (4, 9, 6),
        "stride": ((1, 1), (2, 3), (3, 1), (1, 2)),
        "padding": ((0, 0), (1, 2), (2, 0), (0, 1)),
        "dilation": ((1, 1), (3, 2)),
    },
    {
        "batch": st.integers(1, 3),
        "in_channels": st.integers(1, 4),
        "out_channels": st.integers(1, 6),
        "height": st.integers(1, 9),
        "width": st.integers(1, 9),
        "stride": st.just((1, 1)) | pairs(1, 3),
        "padding": st.just((0, 0)) | pairs(0, 2),
        "dilation": pairs(1, 3),
    },
)
SMALL_POINTWISE = convolutions(
    "1x1 convolutions of 1 to 3 images, 1 to 5 channels, maps of 1x1 to 3x3",
    {
        "batch": (2, 1),
        "in_channels": (3, 4, 1),
        "out_channels": (5, 2),
        "height": (1,),
        "width": (1, 3),
    },
    {
        "batch": st.integers(1, 3),
        "in_channels": st.integers(1, 5),
        "out_channels": st.integers(1, 5),
        "height": st.integers(1, 3),
        "width": st.integers(1, 3),
    },
)
KERNELS = convolutions(
    "convolutions of 1 to 3 images, 1 to 5 channels, maps of 4x4 to 9x9, kernels up to 3x3, any "
    "stride and padding",
    {
        "batch": (2, 1),
        "in_channels": (5, 2, 1),
        "out_channels": (4, 1),
        "height": (6, 7),
        "width": (9, 6),
        "kernel": ((1, 1), (3, 3), (1, 3), (3, 1), (2, 3)),
        "stride": ((1, 1), (2, 1), (1, 3)),
        "padding": ((0, 0), (1, 2), (1, 0), (0, 1)),
    },
    {
        "batch": st.integers(1, 3),
        "in_channels": st.integers(1, 5),
        "out_channels": st.integers(1, 4),
        "height": st.integers(4, 9),
        "width": st.integers(4, 9),
        "kernel": pairs(1, 3),
        "stride": pairs(1, 3),
        "padding": st.just((0, 0)) | pairs(0, 2),
    },
)


def pixels(maps: Array) -> Array:
    """Read maps [N, C, H, W] as samples [N * H * W, C], one for each pixel."""
    return maps.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])


def maps_of(rows: Array, c: Convolution) -> Array:
    """Put samples back where `pixels` took them from."""
    return rows.reshape(c.batch, c.height, c.width, -1).transpose(0, 3, 1, 2)


# The kernel and its sum ---------------------------------------------------------------------------

kernel_spans_channels = Claim(
    "pointwise/kernel-spans-all-channels",
    says="The kernel of a 1x1 convolution really measures 1 x 1 x number of input channels.",
    cites=["000:11"],
    recorded=HoldsIf("groups = 1"),
)


@kernel_spans_channels.judged(
    subject=LAYERS,
    on=Sample(
        "some 1x1 layers of 1 to 8 channels in 1 to 4 groups",
        [(3, 5, 1), (1, 4, 1), (6, 4, 1), (6, 4, 2), (4, 8, 4)],
    ),
    when={"groups = 1": lambda sizes: sizes[2] == 1},
    flipped_by=[
        wrong_formulas.groups_left_out,
        wrong_formulas.layer(
            "kernel of 3x3", "Conv2d", lambda f, i, o, kernel, **more: f(i, o, 3, **more)
        ),
        wrong_formulas.layer(
            "inputs and outputs swapped", "Conv2d", lambda f, i, o, *a, **more: f(o, i, *a, **more)
        ),
    ],
)
def each_filter_is_as_deep_as_the_input(layers: Layers, sizes: tuple[int, int, int]) -> None:
    in_channels, out_channels, groups = sizes
    weight = layers.Conv2d(in_channels, out_channels, 1, groups=groups).state_dict()["weight"]
    filters, *kernel = weight.shape
    assert filters == out_channels, f"{filters} filters for {out_channels} output channels"
    assert kernel == [in_channels, 1, 1], (
        f"{in_channels} channels in {groups} groups: the kernel measures {kernel[1]}x{kernel[2]}x"
        f"{kernel[0]}"
    )


@kernel_spans_channels.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.formula(
            "one weight for each output channel",
            "conv2d_parameters",
            lambda f, i, o, *a, **more: f(1, o, *a, **more),
        )
    ],
)
def filters_hold_a_weight_for_each_channel(formulas: Formulas, _: Proof) -> None:
    import sympy

    channels, filters = sympy.symbols("channels filters", integer=True, positive=True)
    weights = formulas.conv2d_parameters(channels, filters, 1, 1, bias=False)
    assert sympy.expand(weights - filters * channels) == 0, f"{weights} weights"


dot_product = Claim(
    "pointwise/takes-a-dot-product-at-every-position",
    says="At every position of the image a 1x1 kernel takes the dot product of its weights with "
    "the values that the channels have there.",
    cites=["000:11", "004:122"],
    recorded=Holds(),
)


@dot_product.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.channel_ignored,
        faults.last_image_ignored,
        faults.weight_transposed,
        faults.shifted,
        faults.axes_swapped,
        faults.one_more_padding,
        faults.conv2d_in_float32,
    ],
)
def position_by_position(ops: Operators, c: Convolution) -> None:
    x, kernels = wide(c.x), c.weight[:, :, 0, 0]
    expected = np.empty((c.batch, c.out_channels, c.height, c.width))
    for image, row, column in np.ndindex(c.batch, c.height, c.width):
        values = x[image, :, row, column]
        expected[image, :, row, column] = (kernels * values).sum(axis=1)
    same(ops.conv2d(x, c.weight), expected, "the convolution")


first_pixel = Claim(
    "pointwise/first-pixel-reads-its-three-channels-only",
    says="In an image of three channels, indexed by height, width and channel, a 1x1 convolution "
    "multiplies and adds for its first pixel the elements [0,0,0], [0,0,1] and [0,0,2] only.",
    cites=["004:125"],
    recorded=Holds(),
)


@first_pixel.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.channel_ignored,
        faults.neighbours_mixed,
        faults.shifted,
        faults.weight_transposed,
        faults.weight_by_input,
        faults.wrong(
            "channels taken for columns",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x.transpose(0, 2, 3, 1).reshape(x.shape), w, b, **o),
        ),
    ],
)
def other_elements_do_not_matter(ops: Operators, c: Convolution) -> None:
    image = wide(2 * integers(c.seed, c.height, c.width, 3) + 1)
    weight = 2 * integers(c.seed + 1, c.out_channels, 3, 1, 1) + 1
    red, green, blue = weight[:, 0, 0, 0], weight[:, 1, 0, 0], weight[:, 2, 0, 0]
    expected = red * image[0, 0, 0] + green * image[0, 0, 1] + blue * image[0, 0, 2]
    for others in (image, image + 100, -image):
        others[0, 0] = image[0, 0]
        y = ops.conv2d(others[np.newaxis].transpose(0, 3, 1, 2), weight)
        same(y[0, :, 0, 0], expected, "the first pixel")


MIXING_POINTWISE = convolutions(
    "1x1 convolutions of 1 to 3 images, 1 to 6 channels in 1 or 2 groups, some weights zero",
    {
        "batch": (2, 1),
        "in_channels": (4, 2),
        "out_channels": (2, 6),
        "height": (3, 4),
        "width": (5, 2),
        "groups": (1, 2),
        "seed": (26, 0, 29),  # of these only 0 draws weights of zero
    },
    {
        "batch": st.integers(1, 3),
        "in_channels": st.sampled_from([1, 2, 3, 4, 6]),
        "out_channels": st.sampled_from([1, 2, 4, 6]),
        "height": st.integers(1, 5),
        "width": st.integers(1, 5),
        "groups": st.sampled_from([1, 2]),
    },
)


def with_zeros(c: Convolution) -> Array:
    """Return weights that are zero where the case has a five, its stand-in for a zero."""
    return np.where(c.weight == 5, 0.0, c.weight)


mixes_all_channels = Claim(
    "pointwise/mixes-all-channels",
    says="Every value that a 1x1 convolution puts out depends on all input channels at its pixel.",
    cites=["000:11"],
    recorded=HoldsIf("groups = 1", "no weight is zero"),
)


@mixes_all_channels.judged(
    subject=OPERATORS,
    on=MIXING_POINTWISE,
    when={
        "groups = 1": lambda c: c.groups == 1,
        "no weight is zero": lambda c: bool(with_zeros(c).all()),
    },
    flipped_by=[
        faults.channel_ignored,
        faults.last_image_ignored,
        faults.groups_ignored,
        faults.shifted,
        faults.wrong(
            "weights of zero counted as one",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, np.where(w == 0, 1, w), b, **o),
        ),
    ],
)
def every_channel_reaches_every_output(ops: Operators, c: Convolution) -> None:
    weight, checkerboard = with_zeros(c), np.indices((c.batch, c.height, c.width)).sum(0) % 2 == 0
    y = ops.conv2d(c.x, weight, groups=c.groups)
    for channel in range(c.in_channels):
        for changed in (checkerboard, ~checkerboard):
            bumped = c.x.copy()
            bumped[:, channel] += changed
            differs = (ops.conv2d(bumped, weight, groups=c.groups) != y).swapaxes(0, 1)
            reached = (differs | ~changed).all(axis=(1, 2, 3))
            assert reached.all(), f"channel {channel} leaves output {reached.argmin()} alone"


weighted_sums = Claim(
    "pointwise/gives-weighted-sums-of-the-maps-before",
    says="What a convolution computes from the maps of the layer before are weighted sums of them, "
    "one weight a map.",
    cites=["000:35"],
    recorded=HoldsIf("the kernel is 1x1"),
)


@weighted_sums.judged(
    subject=OPERATORS,
    on=KERNELS,
    when={"the kernel is 1x1": lambda c: c.kernel == (1, 1)},
    flipped_by=[
        faults.neighbours_mixed,
        faults.shifted,
        faults.weight_by_position,
        faults.weight_transposed,
        faults.last_image_ignored,
        faults.rectified,
    ],
)
def maps_lie_in_the_span(ops: Operators, c: Convolution) -> None:
    x, same_size = wide(c.x), (c.kernel[0] // 2, c.kernel[1] // 2)
    y = ops.conv2d(x, c.weight, padding=same_size)
    assert y.shape[2:] == x.shape[2:], f"maps of {x.shape[2:]} give {y.shape[2:]}"
    assert np.isfinite(y).all(), "the maps overflow"
    before, after = (maps.swapaxes(0, 1).reshape(maps.shape[1], -1) for maps in (x, y))
    rank, joint_rank = (np.linalg.matrix_rank(m) for m in (before, np.vstack([before, after])))
    assert joint_rank == rank, f"maps in a space of {rank} dimensions give some of {joint_rank}"
    weights = c.weight.sum(axis=(2, 3))
    same(y, np.einsum("oc,nchw->nohw", weights, x), "the convolution")


# One layer, three descriptions --------------------------------------------------------------------

LIKE_FULLY_CONNECTED = "a 1x1 convolution is equivalent to a fully connected layer"

per_pixel_linear = Claim(
    "pointwise/is-a-linear-layer-per-pixel",
    says="A 1x1 convolution applies one and the same affine map, that of a fully connected layer "
    "with the same weights, to the channels of every pixel.",
    cites=["000:11", "001:56", "001:69-70", "001:72"],
    recorded=Holds(),
    reading_of=LIKE_FULLY_CONNECTED,
)


@per_pixel_linear.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.bias_missing,
        faults.bias_subtracted,
        faults.channel_ignored,
        faults.last_image_ignored,
        faults.weight_transposed,
        faults.weight_by_position,
        faults.neighbours_mixed,
        faults.axes_swapped,
        faults.conv2d_in_float32,
        faults.wrong(
            "weights rounded to float32",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, w.astype(np.float32).astype(w.dtype), b, **o),
        ),
        faults.wrong(
            "bias left out for a single image",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, w, None if len(x) == 1 else b, **o),
        ),
    ],
)
def convolution_equals_linear_on_pixels(ops: Operators, c: Convolution) -> None:
    for x, weight in ((wide(c.x), c.weight), (c.x, wide(c.weight))):
        expected = oracle.linear(pixels(x), weight[:, :, 0, 0], c.bias)
        same(ops.conv2d(x, weight, c.bias), maps_of(expected, c), "the convolution")


pixels_are_samples = Claim(
    "pointwise/pixels-are-samples-and-channels-features",
    says="A fully connected layer that takes each pixel for a sample and each channel for a "
    "feature computes the 1x1 convolution.",
    cites=["001:56"],
    recorded=Holds(),
)


@pixels_are_samples.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.linear_bias_missing,
        faults.feature_ignored,
        faults.linear_weight_transposed,
        faults.wrong(
            "last sample ignored",
            "linear",
            lambda f, x, w, b=None: f(np.vstack([x[:-1], 0 * x[-1:]]), w, b),
        ),
        faults.linear_in_float32,
    ],
)
def linear_on_pixels_equals_convolution(ops: Operators, c: Convolution) -> None:
    x = wide(c.x)
    rows = ops.linear(pixels(x), c.weight[:, :, 0, 0].copy(), c.bias)
    same(maps_of(rows, c), oracle.conv2d(x, c.weight, c.bias), "the linear layer")


weights_of_linear = Claim(
    "pointwise/has-the-parameters-of-a-linear-layer",
    says="A 1x1 convolution has the weights and biases of a fully connected layer between as many "
    "features as it has channels; a reshape turns the ones into the others.",
    cites=["001:69-70"],
    recorded=Holds(),
)


@weights_of_linear.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.bias_forgotten,
        wrong_formulas.formula(
            "outputs counted twice",
            "linear_parameters",
            lambda f, i, o, **more: f(i, o, **more) + o,
        ),
    ],
)
def counts_agree(formulas: Formulas, _: Proof) -> None:
    import sympy

    inputs, outputs = sympy.symbols("inputs outputs", integer=True, positive=True)
    counts = (
        formulas.conv2d_parameters(inputs, outputs, 1, 1),
        formulas.linear_parameters(inputs, outputs),
    )
    for count in counts:
        assert sympy.expand(count - (inputs * outputs + outputs)) == 0, f"{counts} parameters"


@weights_of_linear.judged(
    subject=LAYERS,
    on=Sample("some layers of 1 to 7 features", [(1, 3), (4, 2), (5, 7), (3, 3)]),
    flipped_by=[
        wrong_formulas.bias_left_out,
        wrong_formulas.padding_added,
        wrong_formulas.layer(
            "linear layer without bias", "Linear", lambda f, i, o: f(i, o, bias=False)
        ),
        wrong_formulas.layer("kernel of 3x3", "Conv2d", lambda f, i, o, kernel: f(i, o, 3)),
    ],
)
def linear_weights_fit_the_convolution(layers: Layers, sizes: tuple[int, int]) -> None:
    import torch

    linear, convolution = layers.Linear(*sizes).double(), layers.Conv2d(*sizes, 1).double()
    taken, fitting = linear.state_dict(), convolution.state_dict()
    counts = [sum(tensor.numel() for tensor in state.values()) for state in (fitting, taken)]
    assert counts[0] == counts[1], f"{counts[0]} parameters against {counts[1]} of a linear layer"
    weight, bias = integers(1, *sizes[::-1]), integers(2, sizes[1], low=1)
    taken = {"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}
    linear.load_state_dict(taken)
    convolution.load_state_dict({key: taken[key].reshape(fitting[key].shape) for key in taken})
    c = Convolution(batch=2, in_channels=sizes[0], out_channels=sizes[1], height=6, width=8)
    expected = pixels(c.x) @ weight.T + bias
    with torch.no_grad():
        same(linear(torch.from_numpy(pixels(c.x))).numpy(), expected, "the linear layer")
        y = convolution(torch.from_numpy(c.x)).numpy()
    same(y, maps_of(expected, c), "the convolution")


trains_as_linear = Claim(
    "pointwise/trains-as-a-linear-layer-per-pixel",
    says="The gradients of a 1x1 convolution are those of a fully connected layer with each pixel "
    "as a sample; that of the weights is a sum over all pixels of all images.",
    cites=["001:56", "001:72"],
    recorded=Holds(),
)


@trains_as_linear.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.weight_gradient_of_first_image,
        faults.weight_gradient_averaged,
        faults.input_gradient_transposed,
        faults.bias_gradient_missing,
        faults.conv2d_gradients_in_float32,
    ],
)
def gradients_are_those_of_linear(ops: Operators, c: Convolution) -> None:
    pulled = wide(c.output_gradient)
    of_input, of_weight, of_bias = ops.conv2d_gradients(c.x, c.weight, pulled)
    rows, weights, biases = oracle.linear_gradients(
        pixels(c.x), c.weight[:, :, 0, 0], pixels(pulled)
    )
    same(of_input, maps_of(rows, c), "the gradient of the input")
    same(of_weight[:, :, 0, 0], weights, "the gradient of the weights")
    same(of_bias, biases, "the gradient of the biases")


# "A 1x1 convolution is equivalent to a fully connected layer" can also be meant of the flattened
# image; then it is true in one direction only.

is_whole_image_linear = Claim(
    "pointwise/is-a-linear-layer-on-the-whole-image",
    says="A 1x1 convolution is a fully connected layer on the flattened image: its weight matrix "
    "is the Kronecker product of the kernel with the identity of the pixels.",
    cites=["001:69"],
    recorded=Holds(),
    reading_of=LIKE_FULLY_CONNECTED,
)


@is_whole_image_linear.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.neighbours_mixed,
        faults.bias_missing,
        faults.weight_transposed,
        faults.axes_swapped,
        faults.conv2d_in_float32,
    ],
)
def kronecker_product_gives_the_maps(ops: Operators, c: Convolution) -> None:
    x, positions = wide(c.x), c.height * c.width
    dense = np.kron(c.weight[:, :, 0, 0], np.eye(positions))
    flat = x.reshape(c.batch, -1) @ dense.T + np.repeat(c.bias, positions)
    maps = flat.reshape(c.batch, c.out_channels, c.height, c.width)
    same(ops.conv2d(x, c.weight, c.bias), maps, "the convolution")


equals_whole_image_linear = Claim(
    "pointwise/equals-whole-image-linear",
    says="A fully connected layer on the flattened image is a 1x1 convolution with the weights of "
    "the first pixel.",
    cites=["001:69"],
    recorded=HoldsIf("the map is 1x1"),
    reading_of=LIKE_FULLY_CONNECTED,
)


@equals_whole_image_linear.judged(
    subject=OPERATORS,
    on=SMALL_POINTWISE,
    when={"the map is 1x1": lambda c: c.height * c.width == 1},
    flipped_by=[
        faults.neighbours_mixed,
        faults.bias_missing,
        faults.weight_transposed,
        faults.rectified,
        faults.conv2d_in_float32,
    ],
)
def dense_layer_fits_into_the_kernel(ops: Operators, c: Convolution) -> None:
    shape, x = (c.in_channels, c.height, c.width), wide(c.x)
    dense = integers(c.seed + 4, c.out_channels, c.height, c.width, *shape)
    flat = oracle.linear(
        x.reshape(c.batch, -1),
        dense.reshape(-1, np.prod(shape)),
        np.repeat(c.bias, c.height * c.width),
    )
    maps = flat.reshape(c.batch, c.out_channels, c.height, c.width)
    kernel = dense[:, 0, 0, :, :1, :1].copy()
    same(ops.conv2d(x, kernel, c.bias), maps, "the convolution")


# The same weights everywhere and for every input --------------------------------------------------

shared_weights = Claim(
    "pointwise/shares-its-weights-among-pixels",
    says="A 1x1 convolution has the same weights for every pixel of every image: pixels with equal "
    "channels become equal, wherever they are.",
    cites=["001:56", "001:72"],
    recorded=Holds(),
)


@shared_weights.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.weight_by_position,
        faults.last_image_ignored,
        faults.neighbours_mixed,
        faults.one_more_padding,
        faults.bias_missing,
        faults.wrong(
            "biases differ by position",
            "conv2d",
            lambda f, *a, **o: f(*a, **o) + np.arange(a[0].shape[3]),
        ),
    ],
)
def equal_pixels_become_equal(ops: Operators, c: Convolution) -> None:
    palette = integers(c.seed, 3, c.in_channels)
    colours = np.random.default_rng(c.seed).integers(3, size=(c.batch, c.height, c.width))
    y = ops.conv2d(palette[colours].transpose(0, 3, 1, 2), c.weight, c.bias)
    painted = (palette @ c.weight[:, :, 0, 0].T + c.bias)[colours]
    same(y, painted.transpose(0, 3, 1, 2), "the convolution")


weights_ignore_input = Claim(
    "pointwise/weights-do-not-depend-on-the-input",
    says="The weights of a 1x1 convolution do not change with what it is given: whatever the "
    "input, one more in a channel adds the weights of that channel.",
    cites=["001:72"],
    recorded=Holds(),
)


@weights_ignore_input.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.weight_by_input,
        faults.channel_ignored,
        faults.weight_transposed,
        faults.rectified,
        faults.wrong(
            "input scaled to at most one",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x / abs(x).max(initial=1), w, b, **o),
        ),
    ],
)
def one_more_adds_the_weights(ops: Operators, c: Convolution) -> None:
    for x in (c.x, 1 - 30 * c.x):
        y = ops.conv2d(x, c.weight, c.bias)
        for channel in range(c.in_channels):
            one_more = x.copy()
            one_more[:, channel] += 1
            added = ops.conv2d(one_more, c.weight, c.bias) - y
            same(added, np.broadcast_to(c.weight[:, channel], y.shape), "what one more adds")


# Positions ----------------------------------------------------------------------------------------

square_transposed = faults.wrong(
    "square maps transposed",
    "conv2d",
    lambda f, x, *a, **o: f(x.swapaxes(2, 3).copy() if x.shape[2] == x.shape[3] else x, *a, **o),
)

PASSED_ON = "a 1x1 convolution passes the spatial information on"

relates_no_positions = Claim(
    "pointwise/relates-no-positions",
    says="A 1x1 convolution relates no two positions: a change at one leaves all others alone.",
    cites=["001:56", "004:124"],
    recorded=Holds(),
)


@relates_no_positions.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.neighbours_mixed,
        faults.shifted,
        faults.axes_swapped,
        faults.weight_by_input,
        faults.wrong(
            "mean of each image added", "conv2d", lambda f, x, *a, **o: f(x + x.mean(), *a, **o)
        ),
        faults.wrong(
            "each column summed up to its row",
            "conv2d",
            lambda f, x, *a, **o: f(x.cumsum(axis=2), *a, **o),
        ),
    ],
)
def change_stays_where_it_is(ops: Operators, c: Convolution) -> None:
    y, more = ops.conv2d(c.x, c.weight), 1.0 + np.arange(c.in_channels)
    for row, column in np.ndindex(c.height, c.width):
        image = (row + column) % c.batch
        changed = c.x.copy()
        changed[image, :, row, column] += more
        expected = np.zeros_like(y)
        expected[image, :, row, column] = c.weight[:, :, 0, 0] @ more
        difference = ops.conv2d(changed, c.weight) - y
        same(difference, expected, f"what a change at {[row, column]} makes")


keeps_layout = Claim(
    "pointwise/keeps-everything-in-its-place",
    says="Where the input of a 1x1 convolution changes, there and only there its output changes.",
    cites=["004:124"],
    recorded=HoldsIf("stride 1", "no padding"),
    reading_of=PASSED_ON,
)


@keeps_layout.judged(
    subject=OPERATORS,
    on=SPATIAL_POINTWISE,
    when={
        "stride 1": lambda c: c.stride == (1, 1),
        "no padding": lambda c: c.padding == (0, 0),
    },
    flipped_by=[
        faults.shifted,
        faults.axes_swapped,
        faults.neighbours_mixed,
        faults.last_image_ignored,
        faults.stride_ignored,
        faults.padding_ignored,
        square_transposed,
    ],
)
def changes_stay_in_place(ops: Operators, c: Convolution) -> None:
    chosen = np.random.default_rng(c.seed).random((c.batch, c.height, c.width)) < 0.3
    changed = c.x.copy()
    changed[:, 0][chosen] += 1
    difference = ops.conv2d(changed, c.weight, **c.options) - ops.conv2d(c.x, c.weight, **c.options)
    shape = difference.shape
    assert shape[2:] == (c.height, c.width), f"{c.height}x{c.width} became {shape[2]}x{shape[3]}"
    same((difference != 0).all(axis=1), chosen, "whether all outputs change")
    same((difference != 0).any(axis=1), chosen, "whether any output changes")


keeps_content = Claim(
    "pointwise/keeps-the-information-of-its-input",
    says="The input of a 1x1 convolution can be recovered from its output.",
    cites=["004:124"],
    recorded=HoldsIf("stride 1", "the weights have the rank of the input channels"),
    reading_of=PASSED_ON,
)


@keeps_content.judged(
    subject=OPERATORS,
    on=SPATIAL_POINTWISE,
    when={
        "stride 1": lambda c: c.stride == (1, 1),
        "the weights have the rank of the input channels": lambda c: (
            np.linalg.matrix_rank(c.weight[:, :, 0, 0]) == c.in_channels
        ),
    },
    flipped_by=[
        faults.channel_ignored,
        faults.last_image_ignored,
        faults.stride_ignored,
        faults.bias_missing,
        faults.axes_swapped,
        faults.rectified,
        square_transposed,
    ],
)
def input_can_be_recovered(ops: Operators, c: Convolution) -> None:
    y = ops.conv2d(c.x, c.weight, c.bias, stride=c.stride)
    positions = [maps.shape[2] * maps.shape[3] for maps in (c.x, y)]
    assert positions[0] == positions[1], f"{positions[1]} of {positions[0]} pixels are read"
    decoded = (pixels(y) - c.bias) @ np.linalg.pinv(c.weight[:, :, 0, 0]).T
    same(maps_of(decoded, c).round(), c.x, "the recovered input")


stack_relates_no_positions = Claim(
    "pointwise/stack-with-batch-norm-relates-no-positions",
    says="In a stack of 1x1 convolutions with batch normalisation and ReLU between them, a change "
    "at one position leaves all others alone.",
    cites=["004:124", "000:59-63"],
    recorded=HoldsIf("batch normalisation is not training"),
)


@stack_relates_no_positions.judged(
    subject=LAYERS,
    on=Sample("a stack of two 1x1 convolutions on maps of 6x7", ["evaluation", "training"]),
    when={"batch normalisation is not training": lambda mode: mode == "evaluation"},
    flipped_by=[
        wrong_formulas.layer(
            "kernel of 3x3, padded",
            "Conv2d",
            lambda f, i, o, kernel, **more: f(i, o, 3, padding=1, **more),
        ),
        wrong_formulas.layer(
            "batch norm without running statistics",
            "BatchNorm2d",
            lambda f, channels: f(channels, track_running_stats=False),
        ),
    ],
)
def change_passes_a_stack_in_place(layers: Layers, mode: str) -> None:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stack = layers.Sequential(
            layers.Conv2d(3, 4, 1), layers.BatchNorm2d(4), layers.ReLU(), layers.Conv2d(4, 5, 1)
        )
    stack.double().train(mode == "training")
    x = torch.from_numpy(integers(0, 2, 3, 6, 7))
    changed = x.clone()
    changed[0, :, 2, 5] += 1
    reached = (stack(changed) != stack(x)).any(dim=1).nonzero().tolist()
    assert reached == [[0, 2, 5]], f"in {mode} one changed pixel changes {len(reached)} of 84"


# Height and width ---------------------------------------------------------------------------------

keeps_height_and_width = Claim(
    "pointwise/keeps-height-and-width",
    says="The output of a 1x1 convolution is as high and as wide as its input.",
    cites=["001:69"],
    recorded=HoldsIf("stride 1", "no padding"),
)


@keeps_height_and_width.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.output_size_off_by_one,
        wrong_formulas.formula(
            "window of kernel x dilation",
            "output_size",
            lambda f, size, kernel, stride, padding, dilation: f(
                size, kernel + dilation - 1, stride, padding
            ),
        ),
    ],
)
def no_size_is_changed(formulas: Formulas, _: Proof) -> None:
    import z3

    size, dilation = z3.Ints("size dilation")
    solver = z3.Solver()
    solver.add(size >= 1, dilation >= 1, formulas.output_size(size, 1, 1, 0, dilation) != size)
    assert solver.check() == z3.unsat, f"with {solver.model()} the size becomes another"


@keeps_height_and_width.judged(
    subject=OPERATORS,
    on=SPATIAL_POINTWISE,
    when={
        "stride 1": lambda c: c.stride == (1, 1),
        "no padding": lambda c: c.padding == (0, 0),
    },
    flipped_by=[
        faults.stride_ignored,
        faults.padding_ignored,
        faults.one_more_padding,
        faults.wrong(
            "last row left out", "conv2d", lambda f, *a, **o: f(*a, **o)[:, :, : -1 or None]
        ),
        faults.wrong(
            "height and width swapped", "conv2d", lambda f, *a, **o: f(*a, **o).swapaxes(2, 3)
        ),
    ],
)
def real_convolutions_keep_it(ops: Operators, c: Convolution) -> None:
    shape = ops.conv2d(c.x, c.weight, **c.options).shape
    assert shape[2:] == (c.height, c.width), f"{c.height}x{c.width} became {shape[2]}x{shape[3]}"


stride_samples = Claim(
    "pointwise/stride-leaves-pixels-out",
    says="With a stride a 1x1 convolution gives every stride-th row and column of what it gives "
    "with stride 1.",
    cites=["001:69"],
    recorded=Holds(),
)


@stride_samples.judged(
    subject=OPERATORS,
    on=SPATIAL_POINTWISE,
    flipped_by=[
        faults.stride_ignored,
        faults.stride_swapped,
        faults.shifted,
        faults.bias_missing,
        faults.conv2d_in_float32,
    ],
)
def every_stride_th_pixel(ops: Operators, c: Convolution) -> None:
    (down, across), x = c.stride, wide(c.x)
    expected = oracle.conv2d(x, c.weight, c.bias)[:, :, ::down, ::across]
    y = ops.conv2d(x, c.weight, c.bias, stride=c.stride, dilation=c.dilation)
    same(y, expected, "the convolution")


padding_adds_biases = Claim(
    "pointwise/padding-adds-a-border-of-biases",
    says="With padding a 1x1 convolution gives what it gives without, in a border of its biases.",
    cites=["001:69"],
    recorded=Holds(),
)


@padding_adds_biases.judged(
    subject=OPERATORS,
    on=SPATIAL_POINTWISE,
    flipped_by=[
        faults.padding_ignored,
        faults.padded_by_edge,
        faults.one_more_padding,
        faults.bias_missing,
        faults.conv2d_in_float32,
    ],
)
def border_holds_biases(ops: Operators, c: Convolution) -> None:
    (rows, columns), x = c.padding, wide(c.x)
    expected = np.empty((c.out_channels, c.batch, c.height + 2 * rows, c.width + 2 * columns))
    expected[...] = c.bias.reshape(-1, 1, 1, 1)
    inside = expected[:, :, rows : rows + c.height, columns : columns + c.width]
    inside[...] = oracle.conv2d(x, c.weight, c.bias).swapaxes(0, 1)
    y = ops.conv2d(x, c.weight, c.bias, padding=c.padding)
    same(y, expected.swapaxes(0, 1), "the convolution")


# Channels -----------------------------------------------------------------------------------------

CHANNELS_KEPT = "1x1 layers do not change the number of channels"

keeps_channel_count = Claim(
    "pointwise/keeps-channel-count",
    says="A 1x1 convolution does not change the number of channels.",
    cites=["001:69"],
    recorded=Refuted(instead="pointwise/gives-one-map-for-each-filter"),
    reading_of=CHANNELS_KEPT,
)


@keeps_channel_count.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.wrong(
            "as many outputs as inputs",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, np.resize(w, (x.shape[1], *w.shape[1:])), b, **o),
        )
    ],
)
def outputs_equal_inputs(ops: Operators, c: Convolution) -> None:
    channels = ops.conv2d(c.x, c.weight).shape[1]
    assert channels == c.in_channels, f"{c.in_channels} channels in, {channels} out"


one_map_per_filter = Claim(
    "pointwise/gives-one-map-for-each-filter",
    says="A 1x1 convolution gives as many channels as it has filters, whatever the input has: each "
    "filter makes one map.",
    cites=["001:69"],
    recorded=Holds(),
)


@one_map_per_filter.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.weight_transposed,
        faults.bias_missing,
        faults.channel_ignored,
        faults.filter_ignored,
        faults.wrong("filters in reverse order", "conv2d", lambda f, *a, **o: f(*a, **o)[:, ::-1]),
    ],
)
def outputs_equal_filters(ops: Operators, c: Convolution) -> None:
    y = ops.conv2d(c.x, c.weight, c.bias)
    assert y.shape[1] == c.out_channels, f"{c.out_channels} filters make {y.shape[1]} maps"
    for filter_, bias, made in zip(c.weight, c.bias, y.swapaxes(0, 1), strict=True):
        same(made, np.tensordot(c.x, filter_[:, 0, 0], (1, 0)) + bias, "the map of a filter")


networks_keep_channels = Claim(
    "pointwise/networks-keep-the-channel-count",
    says="In a network of NiN blocks no 1x1 layer changes the number of channels.",
    cites=["001:69", "004:57", "004:98"],
    recorded=HoldsIf("the network is the lecture's"),
    reading_of=CHANNELS_KEPT,
)


def pointwise_layers(model: nn.Module) -> list[nn.Conv2d]:
    """Return the 1x1 convolutions of a model."""
    from torch import nn

    found = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    return [layer for layer in found if layer.kernel_size == (1, 1)]


def first_widened(model: nn.Module) -> None:
    """Let the first 1x1 convolution double the channels, and the one after it halve them."""
    import torch

    first, second = pointwise_layers(model)[:2]
    first.out_channels, second.in_channels = 2 * first.out_channels, 2 * second.in_channels
    first.weight = torch.nn.Parameter(torch.cat([first.weight, first.weight]))
    second.weight = torch.nn.Parameter(torch.cat([second.weight, second.weight], dim=1))


@networks_keep_channels.judged(
    subject=MODELS,
    on=["lecture-nin", "table-nin", "handwritten-nin", "cifar10-nin"],
    when={"the network is the lecture's": lambda name: name == "lecture-nin"},
    flipped_by=[
        surgeries.outputs_doubled,
        surgeries.surgery("first 1x1 convolution widened", first_widened),
    ],
)
def one_by_one_layers_keep_channels(models: Models, name: str) -> dict[str, int]:
    sizes = [layer.weight.shape[:2] for layer in pointwise_layers(models(name))]
    assert sizes, f"{name} has no 1x1 convolution"
    for out_channels, in_channels in sizes:
        assert out_channels == in_channels, f"{name} goes from {in_channels} to {out_channels}"
    return {"1x1 layers": len(sizes)}


# Images of one channel ----------------------------------------------------------------------------

MEANINGLESS = "a 1x1 convolution of a two-dimensional signal is meaningless"

only_scales = Claim(
    "pointwise/only-scales-and-shifts-the-image",
    says="All that a 1x1 convolution gives is the image with another contrast and brightness.",
    cites=["000:11"],
    recorded=HoldsIf("the image has one channel"),
    reading_of=MEANINGLESS,
)


@only_scales.judged(
    subject=OPERATORS,
    on=POINTWISE,
    when={"the image has one channel": lambda c: c.in_channels == 1},
    flipped_by=[
        faults.channel_ignored,
        faults.neighbours_mixed,
        faults.axes_swapped,
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
    "pointwise/folds-into-the-convolution-after-it",
    says="Directly before another convolution a 1x1 convolution, biases included, adds nothing: "
    "with other weights the other convolution alone gives the same.",
    cites=["000:11"],
    recorded=HoldsIf("the convolution after it is not padded"),
    reading_of=MEANINGLESS,
)


@folds_into_the_next.judged(
    subject=OPERATORS,
    on=KERNELS,
    when={"the convolution after it is not padded": lambda c: c.padding == (0, 0)},
    flipped_by=[
        faults.bias_missing,
        faults.kernel_flipped,
        faults.stride_swapped,
        faults.last_image_ignored,
        faults.rectified,
        faults.conv2d_in_float32,
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
    "pointwise/stays-linear-in-one-channel-with-relu",
    says="To an image of one channel 1x1 convolutions with a ReLU between them do nothing that a "
    "linear filter could not.",
    cites=["000:11"],
    recorded=Refuted(instead="pointwise/gives-absolute-values-of-one-channel"),
    reading_of=MEANINGLESS,
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
    "pointwise/gives-absolute-values-of-one-channel",
    says="Two 1x1 convolutions with a ReLU between them can take the absolute value of an image of "
    "one channel, which no linear filter can.",
    cites=["000:11"],
    recorded=Holds(),
)


@absolute_values.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.relu_missing,
        faults.relu_leaky,
        faults.relu_absolute,
        faults.relu_capped,
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
    "pointwise/relu-after-it-makes-it-nonlinear",
    says="A ReLU after a 1x1 convolution makes the map non-linear.",
    cites=["000:13", "001:101", "001:162"],
    recorded=HoldsIf("the biases do not outweigh the weighted sums"),
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
    flipped_by=[
        faults.relu_missing,
        faults.relu_leaky,
        faults.relu_absolute,
        faults.relu_capped,
        faults.bias_missing,
        faults.channel_ignored,
    ],
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


two_layers_bend = Claim(
    "pointwise/two-layers-are-nonlinear-by-themselves",
    says="Two 1x1 layers after each other are non-linear because they are two.",
    cites=["001:101"],
    recorded=Refuted(instead="pointwise/stack-is-one-convolution"),
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
    "pointwise/stack-is-one-convolution",
    says="Without an activation between them, a convolution and two 1x1 convolutions after it are "
    "together one convolution, with the kernel of the first and the product of the weights.",
    cites=["001:101"],
    recorded=Holds(),
)


@stack_collapses.judged(
    subject=OPERATORS,
    on=KERNELS,
    flipped_by=[
        faults.bias_missing,
        faults.kernel_transposed,
        faults.stride_swapped,
        faults.neighbours_mixed,
        faults.channel_ignored,
        faults.rectified,
        faults.conv2d_in_float32,
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
    "pointwise/stacking-layers-adds-nonlinearity",
    says="Both one and two stacked 1x1 layers add non-linearity: with two channels each they draw "
    "functions of more linear pieces than one layer fewer can have.",
    cites=["001:158-162", "004:31"],
    recorded=HoldsIf("a ReLU follows each layer"),
)


@stacking_bends_more.judged(
    subject=OPERATORS,
    on=list(STACKS),
    when={"a ReLU follows each layer": lambda stack: STACKS[stack][1]},
    flipped_by=[
        faults.relu_missing,
        faults.relu_leaky,
        faults.relu_capped,
        faults.bias_missing,
        faults.neighbours_mixed,
        faults.axes_swapped,
    ],
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
    "pointwise/two-with-relu-are-a-perceptron-per-pixel",
    says="Two 1x1 convolutions with ReLUs act at each pixel as a multilayer perceptron with one "
    "hidden layer on the channels: two fully connected layers, each with a ReLU.",
    cites=["001:56", "001:70", "001:72", "001:101"],
    recorded=Holds(),
)


def through_layers(ops: Operators, x: Array, layers: list[tuple[Array, Array]]) -> Array:
    """Run 1x1 convolutions with a ReLU after each."""
    for weight, bias in layers:
        x = ops.relu(ops.conv2d(x, weight, bias))
    return x


@perceptron_per_pixel.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.relu_missing,
        faults.relu_leaky,
        faults.relu_absolute,
        faults.relu_capped,
        faults.bias_missing,
        faults.weight_transposed,
        faults.neighbours_mixed,
        faults.conv2d_in_float32,
    ],
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
    "pointwise/two-layers-alone-have-two-hidden-layers",
    says="The two 1x1 layers of a NiN block by themselves, of which the second gives the output, "
    "are on the channels of each pixel a multilayer perceptron with two hidden layers.",
    cites=["001:162"],
    recorded=Refuted(instead="pointwise/two-with-relu-are-a-perceptron-per-pixel"),
    reading_of=TWO_HIDDEN_LAYERS,
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
    "pointwise/block-has-two-hidden-layers",
    says="A whole NiN block is, on the patch around each position, a multilayer perceptron with "
    "two hidden layers.",
    cites=["001:72", "001:162"],
    recorded=Holds(),
    reading_of=TWO_HIDDEN_LAYERS,
)


@two_hidden_in_block.judged(
    subject=MODELS,
    on=["lecture-nin"],
    flipped_by=[
        surgeries.relu_layers_removed,
        surgeries.last_convolution_removed,
        third_layer,
    ],
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
        faults.relu_missing,
        faults.relu_leaky,
        faults.relu_capped,
        faults.bias_missing,
        faults.kernel_flipped,
        faults.stride_swapped,
        faults.padding_ignored,
        faults.conv2d_in_float32,
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
