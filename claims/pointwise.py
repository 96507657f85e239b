"""1x1 convolutions: a fully connected layer at each pixel, positions and channels.

Documents 000 (lines 11, 13 and 35), 001 (lines 56, 69 to 72, 101 and 158 to 162), 002 (lines 5,
8 to 11 and 24), 003 (lines 23 and 72) and 004 (lines 31 and 122 to 125).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from claims._pointwise import (
    IN_PLACE,
    KERNELS,
    SPATIAL_POINTWISE,
    WRONG_VALUES,
    maps_of,
    pixels,
)
from claims.cases import POINTWISE, Convolution, integers, wide
from claims.checks import Array, same
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import FORMULAS, LAYERS, MODELS, OPERATORS, Formulas, Layers, Models
from nin_ref import oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    from torch import nn

# The kernel and its sum ---------------------------------------------------------------------------

kernel_spans_channels = Claim(
    "pointwise/kernel-spans-all-channels",
    says="The kernel of a 1x1 convolution really measures 1 x 1 x number of input channels.",
    cites=["000:11", "002:5", "002:24"],
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
    flipped_by=[*WRONG_VALUES, faults.shifted, faults.one_more_padding],
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


def with_zeros(c: Convolution) -> Array:
    """Return weights that are zero where the case has a five, its stand-in for a zero."""
    return np.where(c.weight == 5, 0.0, c.weight)


mixes_all_channels = Claim(
    "pointwise/mixes-all-channels",
    says="Every value that a 1x1 convolution puts out depends on all input channels at its pixel.",
    cites=["000:11", "002:10", "002:11", "002:24", "003:72"],
    recorded=HoldsIf("groups = 1", "no weight is zero"),
)


@mixes_all_channels.judged(
    subject=OPERATORS,
    on=Sample(
        "1x1 convolutions of 2 to 6 channels in 1 or 2 groups, with weights of zero and without",
        [
            Convolution(2, 4, 6, 3, 5, seed=26),
            Convolution(1, 2, 6, 4, 2, seed=29),
            Convolution(2, 3, 2, 4, 5, seed=26),
            Convolution(2, 4, 6, 3, 5),  # this seed draws weights of zero
            Convolution(2, 4, 6, 3, 5, groups=2, seed=26),
        ],
    ),
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
    cites=["000:35", "002:24"],
    recorded=HoldsIf("the kernel is 1x1"),
)


@weighted_sums.judged(
    subject=OPERATORS,
    on=KERNELS,
    when={"the kernel is 1x1": lambda c: c.kernel == (1, 1)},
    flipped_by=[*WRONG_VALUES, faults.shifted, faults.weight_by_position, faults.rectified],
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
    says="A 1x1 convolution is a fully connected layer with the same weights, one affine map for "
    "all pixels: each pixel is a sample, each channel a feature.",
    cites=["000:11", "001:56", "001:69-70", "001:72", "002:24"],
    recorded=Holds(),
    reading_of=LIKE_FULLY_CONNECTED,
)


@per_pixel_linear.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        *WRONG_VALUES,
        faults.bias_missing,
        faults.bias_subtracted,
        faults.weight_by_position,
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


@per_pixel_linear.judged(
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
    flipped_by=[*WRONG_VALUES, faults.bias_missing],
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
    cites=["001:69", "002:5"],
    recorded=HoldsIf("the map is 1x1"),
    reading_of=LIKE_FULLY_CONNECTED,
)


@equals_whole_image_linear.judged(
    subject=OPERATORS,
    on=Sample(
        "1x1 convolutions of 1 or 2 images, maps of 1x1 to 3x2",
        [
            Convolution(2, 3, 5, 1, 1),
            Convolution(1, 4, 2, 1, 1),
            Convolution(3, 1, 5, 1, 1),
            Convolution(2, 3, 5, 1, 3),
            Convolution(1, 4, 2, 3, 2),
        ],
    ),
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
    cites=["001:56", "004:124", "002:10"],
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
    recorded=HoldsIf(*IN_PLACE),
    reading_of=PASSED_ON,
)


@keeps_layout.judged(
    subject=OPERATORS,
    on=SPATIAL_POINTWISE,
    when=IN_PLACE,
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
    cites=["001:69", "002:8"],
    recorded=HoldsIf(*IN_PLACE),
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
    when=IN_PLACE,
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
        *WRONG_VALUES,
        faults.stride_ignored,
        faults.stride_swapped,
        faults.shifted,
        faults.bias_missing,
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
        *WRONG_VALUES,
        faults.padding_ignored,
        faults.padded_by_edge,
        faults.one_more_padding,
        faults.bias_missing,
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
    cites=["001:69", "002:9", "002:24", "003:23", "003:72"],
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


def with_outputs(name: str, outputs: Callable[[int, int], int]) -> Fault[Models]:
    """Return a surgery on all 1x1 convolutions: `outputs` of their outputs and inputs."""

    def change(model: nn.Module) -> None:
        from torch import nn

        for layer in pointwise_layers(model):
            wanted = outputs(layer.out_channels, layer.in_channels)
            layer.weight = nn.Parameter(layer.weight[:1].expand(wanted, -1, -1, -1))

    return surgeries.surgery(name, change)


@networks_keep_channels.judged(
    subject=MODELS,
    on=["lecture-nin", "table-nin", "handwritten-nin", "cifar10-nin"],
    when={"the network is the lecture's": lambda name: name == "lecture-nin"},
    flipped_by=[
        surgeries.outputs_doubled,
        with_outputs("1x1 layers keep the channels", lambda outputs, inputs: inputs),
    ],
)
def one_by_one_layers_keep_channels(models: Models, name: str) -> dict[str, int]:
    sizes = [layer.weight.shape[:2] for layer in pointwise_layers(models(name))]
    assert sizes, f"{name} has no 1x1 convolution"
    for out_channels, in_channels in sizes:
        assert out_channels == in_channels, f"{name} goes from {in_channels} to {out_channels}"
    return {"1x1 layers": len(sizes)}


CHANNELS_CHANGED = "a 1x1 convolution changes the number of channels"

changes_channel_count = Claim(
    "pointwise/changes-the-channel-count",
    says="A 1x1 convolution always changes the number of channels.",
    cites=["002:9"],
    recorded=Refuted(instead="pointwise/gives-one-map-for-each-filter"),
    reading_of=CHANNELS_CHANGED,
)


@changes_channel_count.judged(
    subject=MODELS,
    on=Sample("networks with 1x1 convolutions", ["cifar10-nin", "shufflenet_v2_x1_0"]),
    flipped_by=[
        with_outputs(
            "no 1x1 layer keeps the channels",
            lambda outputs, inputs: 2 * outputs if outputs == inputs else outputs,
        ),
    ],
)
def no_one_by_one_layer_keeps_channels(models: Models, name: str) -> None:
    sizes = [layer.weight.shape[:2] for layer in pointwise_layers(models(name))]
    kept = [inputs for outputs, inputs in sizes if outputs == inputs]
    assert not kept, (
        f"{len(kept)} of {len(sizes)} in {name} keep it, such as {kept[0]} to {kept[0]}"
    )


raises_and_lowers = Claim(
    "pointwise/raises-and-lowers-the-channel-count",
    says="1x1 convolutions serve to raise the number of channels and to lower it: ResNet-50 "
    "and SqueezeNet have some of either kind.",
    cites=["002:9"],
    recorded=Holds(),
    reading_of=CHANNELS_CHANGED,
)


@raises_and_lowers.judged(
    subject=MODELS,
    on=["resnet50", "squeezenet1_0"],
    flipped_by=[
        with_outputs("no 1x1 layer lowers it", max),
        with_outputs("no 1x1 layer raises it", min),
    ],
)
def either_kind_is_there(models: Models, name: str) -> dict[str, int]:
    sizes = [layer.weight.shape[:2] for layer in pointwise_layers(models(name))]
    raising = sum(outputs > inputs for outputs, inputs in sizes)
    lowering = sum(outputs < inputs for outputs, inputs in sizes)
    assert raising, f"no 1x1 convolution of {name} raises the number of channels"
    assert lowering, f"no 1x1 convolution of {name} lowers the number of channels"
    return {"raise it": raising, "lower it": lowering, "keep it": len(sizes) - raising - lowering}
