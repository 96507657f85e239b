"""The oracle against loops over pixels, hand-computed values, laws, and the text of its errors."""

import inspect
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nin_ref import oracle
from nin_ref.oracle import Array, Pair


class Convolution(NamedTuple):
    """A convolution; sizes differ pairwise where they may, so that a swapped axis shows."""

    shape: tuple[int, int, int, int]
    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def x(self) -> Array:
        return integers(1, self.shape)

    @property
    def weight(self) -> Array:
        return integers(2, (self.filters, self.shape[1] // self.groups, *self.kernel))

    @property
    def bias(self) -> Array:
        return integers(3, (self.filters,))

    def conv2d(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        return oracle.conv2d(
            x,
            weight,
            bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def gradients(self, output_gradient: Array) -> tuple[Array, Array, Array]:
        return oracle.conv2d_gradients(
            self.x,
            self.weight,
            output_gradient,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


CONVOLUTIONS = [
    Convolution((2, 3, 5, 4), 6, (1, 1)),
    Convolution((1, 1, 4, 6), 1, (3, 2)),
    Convolution((2, 3, 7, 6), 4, (3, 2), stride=(2, 3), padding=(1, 0), dilation=(2, 1)),
    Convolution((1, 4, 6, 8), 6, (2, 3), stride=(3, 1), padding=(2, 3), dilation=(1, 3), groups=2),
    Convolution((2, 3, 5, 7), 6, (3, 1), stride=(1, 2), padding=(0, 2), groups=3),
]


def integers(seed: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float64)


def windows(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, output: Pair
) -> Iterator[tuple[Pair, list[tuple[Pair, Pair]]]]:
    """Name, for each output position, the taps that fall into the image and the pixels they hit."""
    height, width = x.shape[2:]
    for row, column in np.ndindex(*output):
        hits = []
        for i, j in np.ndindex(*kernel):
            y = row * stride[0] + i * dilation[0] - padding[0]
            z = column * stride[1] + j * dilation[1] - padding[1]
            if 0 <= y < height and 0 <= z < width:
                hits.append(((i, j), (y, z)))
        yield (row, column), hits


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_is_what_a_loop_over_pixels_gives(case: Convolution) -> None:
    x, weight, bias = case.x, case.weight, case.bias
    output = case.conv2d(x, weight, bias)
    depth, block = weight.shape[1], case.filters // case.groups
    expected = np.empty_like(output)
    for (row, column), hits in windows(
        x, case.kernel, case.stride, case.padding, case.dilation, output.shape[2:]
    ):
        for n, o in np.ndindex(len(x), case.filters):
            total = bias[o]
            for (i, j), (y, z) in hits:
                for c in range(depth):
                    total += weight[o, c, i, j] * x[n, o // block * depth + c, y, z]
            expected[n, o, row, column] = total
    assert output.dtype == np.float64
    np.testing.assert_array_equal(output, expected)
    np.testing.assert_array_equal(case.conv2d(x, weight), expected - bias[:, None, None])


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_gradients_are_its_adjoints(case: Convolution) -> None:
    """As conv2d is linear in each argument, <conv(u, w), g> = <u, gradient of x> for every u.

    Taking the unit vectors for u pins down every element of the gradients.
    """
    x, weight, bias = case.x, case.weight, case.bias
    pulled = integers(4, case.conv2d(x, weight).shape)
    of_input, of_weight, of_bias = case.gradients(pulled)
    layers: list[tuple[Array, Array, Callable[[Array], Array]]] = [
        (of_input, x, lambda u: case.conv2d(u, weight)),
        (of_weight, weight, lambda u: case.conv2d(x, u)),
        (of_bias, bias, lambda u: case.conv2d(0 * x, weight, u)),
    ]
    for gradient, argument, layer in layers:
        assert gradient.shape == argument.shape
        for index in np.ndindex(*argument.shape):
            unit = np.zeros_like(argument)
            unit[index] = 1
            assert gradient[index] == (layer(unit) * pulled).sum(), index


def test_kernel_is_not_flipped_and_height_comes_first() -> None:
    x = np.array([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    weight = np.array([[[[1.0, 10.0], [100.0, 1000.0]]]])
    np.testing.assert_array_equal(oracle.conv2d(x, weight), [[[[5421.0, 6532.0]]]])
    impulse = np.zeros((1, 1, 5, 7))
    impulse[0, 0, 2, 3] = 1
    response = oracle.conv2d(impulse, weight, padding=(1, 2), dilation=(1, 2))
    np.testing.assert_array_equal(np.argwhere(response[0, 0]), [[2, 3], [2, 5], [3, 3], [3, 5]])


def test_pairs_may_hold_numpy_integers() -> None:
    case = CONVOLUTIONS[1]
    kernel: Pair = tuple(np.array([2, 3]))
    assert oracle.unfold(case.x, kernel).shape == (1, 6, 12)


def test_nan_reaches_the_windows_that_see_it_and_no_other() -> None:
    x = np.ones((1, 2, 4, 5))
    x[0, 1, 1, 2] = np.nan
    seen = np.zeros((4, 5), dtype=bool)
    seen[:3, 1:4] = True
    for output in (
        oracle.conv2d(x, np.ones((1, 2, 3, 3)), padding=(1, 1))[0, 0],
        oracle.max_pool2d(x, (3, 3), stride=(1, 1), padding=(1, 1))[0, 1],
        oracle.avg_pool2d(x, (3, 3), stride=(1, 1), padding=(1, 1))[0, 1],
    ):
        np.testing.assert_array_equal(np.isnan(output), seen)


def test_groups_see_their_own_block_of_channels_only() -> None:
    x = integers(5, (1, 4, 2, 3))
    weight = np.ones((2, 2, 1, 1))
    expected = np.stack([x[:, 0] + x[:, 1], x[:, 2] + x[:, 3]], axis=1)
    np.testing.assert_array_equal(oracle.conv2d(x, weight, groups=2), expected)


class Deformation(NamedTuple):
    """A deformable convolution with offsets in quarters of pixels, which keep all sums exact."""

    shape: tuple[int, int, int, int]
    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def options(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    @property
    def extents(self) -> tuple[int, ...]:
        sizes = self.shape[2:], self.kernel, self.stride, self.padding, self.dilation
        return tuple(map(oracle.output_size, *sizes))

    @property
    def x(self) -> Array:
        return integers(1, self.shape)

    @property
    def offset(self) -> Array:
        channels = 2 * self.groups * math.prod(self.kernel)
        return integers(2, (self.shape[0], channels, *self.extents)) / 4

    @property
    def weight(self) -> Array:
        return integers(3, (self.filters, self.shape[1], *self.kernel))


DEFORMATIONS = [
    Deformation((2, 3, 5, 4), 6, (1, 1)),
    Deformation((1, 1, 4, 6), 1, (3, 2), padding=(1, 0)),
    Deformation((2, 4, 7, 6), 3, (3, 2), stride=(2, 3), padding=(1, 2), dilation=(2, 1), groups=2),
    Deformation((1, 3, 6, 8), 5, (2, 3), stride=(3, 1), padding=(2, 3), dilation=(1, 3), groups=3),
]


def interpolated(image: Array, down: float, across: float) -> float:
    """Read an image [H, W] at a point by the areas that it shares with the pixels around it."""
    value = 0.0
    for row in (math.floor(down), math.floor(down) + 1):
        for column in (math.floor(across), math.floor(across) + 1):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                value += (1 - abs(down - row)) * (1 - abs(across - column)) * image[row, column]
    return value


@pytest.mark.parametrize("case", DEFORMATIONS)
def test_deformable_convolution_is_what_a_loop_over_pixels_gives(case: Deformation) -> None:
    x, offset, weight, bias = case.x, case.offset, case.weight, integers(4, (case.filters,))
    output = oracle.deform_conv2d(x, offset, weight, bias, **case.options)
    expected = np.empty_like(output)
    for n, o, row, column in np.ndindex(*output.shape):
        total = bias[o]
        for c, i, j in np.ndindex(*weight.shape[1:]):
            group = c * case.groups // x.shape[1]
            tap = (group * case.kernel[0] + i) * case.kernel[1] + j
            down, across = offset[n, 2 * tap : 2 * tap + 2, row, column]
            down += row * case.stride[0] - case.padding[0] + i * case.dilation[0]
            across += column * case.stride[1] - case.padding[1] + j * case.dilation[1]
            total += weight[o, c, i, j] * interpolated(x[n, c], down, across)
        expected[n, o, row, column] = total
    assert output.dtype == np.float64
    np.testing.assert_array_equal(output, expected)
    without = oracle.deform_conv2d(x, offset, weight, **case.options)
    np.testing.assert_array_equal(without, expected - bias[:, None, None])


@pytest.mark.parametrize("case", DEFORMATIONS)
def test_without_offsets_a_deformable_convolution_is_a_convolution(case: Deformation) -> None:
    output = oracle.deform_conv2d(case.x, 0 * case.offset, case.weight, **case.options)
    np.testing.assert_array_equal(output, oracle.conv2d(case.x, case.weight, **case.options))


@pytest.mark.parametrize("case", DEFORMATIONS)
def test_deformable_convolution_is_linear_in_image_and_weight(case: Deformation) -> None:
    images, weights = (
        (case.x, integers(5, case.shape)),
        (case.weight, integers(6, case.weight.shape)),
    )

    def apply(x: Array, weight: Array) -> Array:
        return oracle.deform_conv2d(x, case.offset, weight, **case.options)

    mixed = apply(2 * images[0] + images[1], weights[0])
    np.testing.assert_array_equal(
        mixed, 2 * apply(images[0], weights[0]) + apply(images[1], weights[0])
    )
    mixed = apply(images[0], 2 * weights[0] + weights[1])
    np.testing.assert_array_equal(
        mixed, 2 * apply(images[0], weights[0]) + apply(images[0], weights[1])
    )


def test_first_offset_is_down_and_pixels_beyond_the_border_are_zero() -> None:
    x = np.array([[[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]]])
    one = np.ones((1, 1, 1, 1))
    offset = np.zeros((1, 2, 2, 3))
    offset[:, 0] = 1
    np.testing.assert_array_equal(
        oracle.deform_conv2d(x, offset, one), [[[[8, 16, 32], [0, 0, 0]]]]
    )
    offset[:, 0], offset[:, 1] = 0, 0.25
    expected = [[[[1.25, 2.5, 3], [10, 20, 24]]]]
    np.testing.assert_array_equal(oracle.deform_conv2d(x, offset, one), expected)


@pytest.mark.parametrize("leading", [(), (4,), (2, 3)])
def test_linear_and_its_gradients(leading: tuple[int, ...]) -> None:
    x, weight = integers(1, (*leading, 5)), integers(2, (6, 5))
    bias, pulled = integers(3, (6,)), integers(4, (*leading, 6))
    output = oracle.linear(x, weight, bias)
    of_input, of_weight, of_bias = oracle.linear_gradients(x, weight, pulled)
    expected = np.zeros_like(weight)
    for index in np.ndindex(*leading):
        for o in range(6):
            assert output[(*index, o)] == sum(weight[o] * x[index]) + bias[o]
        for f in range(5):
            assert of_input[(*index, f)] == sum(pulled[index] * weight[:, f])
        expected += np.outer(pulled[index], x[index])
    np.testing.assert_array_equal(oracle.linear(x, weight), output - bias)
    np.testing.assert_array_equal(of_weight, expected)
    np.testing.assert_array_equal(of_bias, pulled.reshape(-1, 6).sum(axis=0))


def test_relu_keeps_positive_values() -> None:
    np.testing.assert_array_equal(oracle.relu(np.array([-2.0, -0.5, 0.0, 3.0])), [0, 0, 0, 3])


POOLS = [
    # shape, kernel, stride, padding, ceil_mode
    ((2, 3, 6, 5), (3, 2), (2, 1), (0, 0), False),
    ((1, 2, 7, 8), (3, 4), (2, 3), (1, 2), False),
    ((1, 2, 8, 6), (3, 2), (2, 3), (1, 0), True),
    ((2, 1, 5, 8), (2, 3), (2, 2), (1, 1), True),
    ((1, 1, 4, 3), (2, 2), (3, 2), (1, 1), True),
]


@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "ceil_mode"), POOLS)
def test_pools_are_what_a_loop_over_pixels_gives(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool
) -> None:
    x = integers(1, shape) - 20  # all negative: zero padding would win
    largest = oracle.max_pool2d(x, kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)
    inside, framed = (
        oracle.avg_pool2d(
            x,
            kernel,
            stride=stride,
            padding=padding,
            ceil_mode=ceil_mode,
            count_include_pad=include,
        )
        for include in (False, True)
    )
    ends = [size + p for size, p in zip(shape[2:], padding, strict=True)]
    for (row, column), hits in windows(x, kernel, stride, padding, (1, 1), largest.shape[2:]):
        pixels = np.stack([x[:, :, y, z] for _, (y, z) in hits])
        assert (largest[:, :, row, column] == pixels.max(axis=0)).all()
        assert (inside[:, :, row, column] == pixels.sum(axis=0) / len(hits)).all()
        counted = [
            sum(start * s - p + tap < end for tap in range(k))
            for start, s, p, k, end in zip(
                (row, column), stride, padding, kernel, ends, strict=True
            )
        ]
        assert (framed[:, :, row, column] == pixels.sum(axis=0) / math.prod(counted)).all()


def test_overhang_of_ceil_mode_never_counts() -> None:
    ones = np.ones((1, 1, 5, 5))
    pooled = oracle.avg_pool2d(ones, (2, 2), stride=(2, 2), ceil_mode=True)
    np.testing.assert_array_equal(pooled, np.ones((1, 1, 3, 3)))


def test_padding_dims_the_border_of_an_average() -> None:
    ones = np.ones((1, 1, 4, 3))
    pooled = oracle.avg_pool2d(ones, (3, 3), stride=(2, 2), padding=(1, 1)) * 9
    np.testing.assert_allclose(pooled, [[[[4, 4], [6, 6]]]], rtol=1e-15)


def test_global_pools_reduce_each_map() -> None:
    x = np.array([[[[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]], [[0.0, -6.0, 0.0], [0.0, 0.0, 0.0]]]])
    np.testing.assert_array_equal(oracle.global_avg_pool2d(x), [[4, -1]])
    np.testing.assert_array_equal(oracle.global_max_pool2d(x), [[9, 0]])


def test_channel_shuffle_deals_the_groups_out_in_turn() -> None:
    x = np.arange(6.0).reshape(1, 6, 1, 1) + np.array([0, 10]).reshape(2, 1, 1, 1)
    for groups, order in ((1, "012345"), (2, "031425"), (3, "024135"), (6, "012345")):
        shuffled = oracle.channel_shuffle(x, groups)
        assert shuffled.flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(shuffled, x[:, list(map(int, order))])


@pytest.mark.parametrize("channels", range(1, 25))
def test_a_channel_shuffle_is_a_transposed_table_and_can_be_undone(channels: int) -> None:
    x = integers(channels, (2, channels, 3, 1))
    for groups in range(1, channels + 1):
        if channels % groups == 0:
            shuffled = oracle.channel_shuffle(x, groups)
            table = x.reshape(2, groups, channels // groups, 3, 1).swapaxes(1, 2)
            np.testing.assert_array_equal(shuffled, table.reshape(x.shape))
            np.testing.assert_array_equal(oracle.channel_shuffle(shuffled, channels // groups), x)


def test_batch_norm_of_known_values() -> None:
    x = np.array([[[[3.0, 5.0]], [[1.0, -1.0]]]])
    statistics = np.array([1.0, 0.0]), np.array([3.0, 0.0])
    scale, shift = np.array([2.0, -1.0]), np.array([10.0, 20.0])
    output = oracle.batch_norm(x, *statistics, scale, shift, eps=1.0)
    np.testing.assert_array_equal(output, [[[[12, 14]], [[19, 21]]]])


def test_batch_statistics_standardise() -> None:
    x = np.array([[[[1.0, 3.0]], [[0.0, 4.0]]], [[[1.0, 3.0]], [[8.0, 0.0]]]])
    mean, variance = oracle.batch_statistics(x)
    np.testing.assert_array_equal(mean, [2, 3])
    np.testing.assert_array_equal(variance, [1, 11])


def test_softmax_of_known_shares() -> None:
    shares = np.array([[1.0, 2.0, 5.0], [1.0, 1.0, 2.0]])
    for axis, total in [(1, [[8], [4]]), (0, [[2, 3, 7]])]:
        expected = shares / total
        np.testing.assert_allclose(oracle.softmax(np.log(shares), axis), expected, rtol=1e-14)
        logarithms = oracle.log_softmax(np.log(shares), axis)
        np.testing.assert_allclose(np.exp(logarithms), expected, rtol=1e-14)


def test_softmax_survives_extreme_scores() -> None:
    scores = np.array([[1000.0, 0.0, -1000.0]])
    np.testing.assert_array_equal(oracle.softmax(scores, 1), [[1, 0, 0]])
    np.testing.assert_array_equal(oracle.log_softmax(scores, 1), [[0, -1000, -2000]])


def test_cross_entropy_averages_over_samples() -> None:
    logits = np.log(np.array([[1.0, 2.0, 5.0], [1.0, 1.0, 2.0]]))
    loss = oracle.cross_entropy(logits, np.array([2, 0]))
    assert loss.shape == ()
    np.testing.assert_allclose(loss, (math.log(8 / 5) + math.log(4)) / 2, rtol=1e-14)


@pytest.mark.parametrize("case", [case for case in CONVOLUTIONS if case.groups == 1])
def test_unfold_puts_channels_before_taps(case: Convolution) -> None:
    x = case.x
    options = {"stride": case.stride, "padding": case.padding, "dilation": case.dilation}
    columns = oracle.unfold(x, case.kernel, **options)
    output = case.conv2d(x, case.weight).shape[2:]
    expected = np.zeros((len(x), x.shape[1], *case.kernel, *output))
    for (row, column), hits in windows(x, case.kernel, **options, output=output):
        for (i, j), (y, z) in hits:
            expected[:, :, i, j, row, column] = x[:, :, y, z]
    np.testing.assert_array_equal(columns, expected.reshape(columns.shape))
    assert columns.shape == (len(x), x.shape[1] * math.prod(case.kernel), math.prod(output))


def test_mlpconv_applies_every_layer_at_every_position() -> None:
    x = integers(1, (2, 3, 6, 5))
    weights = [
        (integers(2, (4, 3, 3, 2)), integers(3, (4,))),
        (integers(4, (6, 4, 1, 1)), integers(5, (6,))),
        (integers(6, (5, 6, 1, 1)), integers(7, (5,))),
    ]
    for depth in (1, 2, 3):
        output = oracle.mlpconv(x, weights[:depth], stride=(2, 1), padding=(1, 0))
        expected = oracle.relu(oracle.conv2d(x, *weights[0], stride=(2, 1), padding=(1, 0)))
        for weight, bias in weights[1:depth]:
            expected = oracle.relu(oracle.conv2d(expected, weight, bias))
        assert expected.any()
        np.testing.assert_array_equal(output, expected)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    size=st.integers(1, 9),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    padding=st.integers(0, 5),
    dilation=st.integers(1, 3),
    ceil_mode=st.booleans(),
)
def test_output_size_counts_windows(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> None:
    span = dilation * (kernel - 1) + 1
    assume(not ceil_mode or 2 * padding <= span)  # the only paddings that pools take
    starts = range(-padding, size + padding, stride)
    if ceil_mode:
        count = sum(start < size and start + span < size + padding + stride for start in starts)
    else:
        count = sum(start + span <= size + padding for start in starts)
    if count:
        assert oracle.output_size(size, kernel, stride, padding, dilation, ceil_mode) == count
    else:
        with pytest.raises(ValueError, match="must hold a window of"):
            oracle.output_size(size, kernel, stride, padding, dilation, ceil_mode)


def test_float32_stays_float32() -> None:
    x, weight, bias = (
        integers(1, shape).astype(np.float32) for shape in [(2, 3, 4, 5), (6, 3, 1, 1), (6,)]
    )
    flat, channels = x[:, 0, 0], (bias[:3], bias[:3] ** 2, bias[:3], bias[:3])
    results = [
        oracle.conv2d(x, weight, bias),
        *oracle.conv2d_gradients(x, weight, oracle.conv2d(x, weight)),
        oracle.deform_conv2d(x, x[:, :2] / 4, weight, bias),
        oracle.channel_shuffle(x, 3),
        oracle.linear(flat, x[0, :, 0], bias[:3]),
        *oracle.linear_gradients(flat, flat, flat[:, :2]),
        oracle.relu(x),
        oracle.max_pool2d(x, (2, 2), stride=(1, 1)),
        oracle.avg_pool2d(x, (2, 2), stride=(1, 1), padding=(1, 1)),
        oracle.global_avg_pool2d(x),
        oracle.global_max_pool2d(x),
        oracle.batch_norm(x, *channels, eps=1e-5),
        *oracle.batch_statistics(x),
        oracle.softmax(x, 1),
        oracle.log_softmax(x, 1),
        oracle.cross_entropy(flat, np.array([0, 4])),
        oracle.unfold(x, (2, 2)),
        oracle.mlpconv(x, [(weight, bias)]),
    ]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}


X = np.ones((2, 4, 5, 6))
W = np.ones((6, 4, 3, 3))
OFFSET = np.ones((2, 36, 3, 4))
ROWS = np.ones((2, 3))
CHANNELS = (np.ones(4),) * 4

REFUSED: list[tuple[Callable[[], object], str]] = [
    (
        lambda: oracle.conv2d(X.tolist(), W),
        "x must be a floating point array [N, C, H, W], got list",
    ),
    (
        lambda: oracle.conv2d(X.astype(int), W),
        "x must be a floating point array [N, C, H, W], got int64",
    ),
    (
        lambda: oracle.conv2d(X[0], W),
        "x must be a non-empty array [N, C, H, W], got [4, 5, 6]",
    ),
    (
        lambda: oracle.conv2d(X[:0], W),
        "x must be a non-empty array [N, C, H, W], got [0, 4, 5, 6]",
    ),
    (
        lambda: oracle.conv2d(X, W[0]),
        "weight must be a non-empty array [O, C / groups, kh, kw], got [4, 3, 3]",
    ),
    (
        lambda: oracle.conv2d(X, W.astype(np.float32)),
        "weight must have the dtype of x, float64, got float32",
    ),
    (
        lambda: oracle.conv2d(X, W[:, :2]),
        "weight must have depth 4 for 4 input channels in 1 groups, got 2",
    ),
    (
        lambda: oracle.conv2d(X, W, groups=2),
        "weight must have depth 2 for 4 input channels in 2 groups, got 4",
    ),
    (
        lambda: oracle.conv2d(X, W, groups=4),
        "groups must divide 4 input and 6 output channels, got 4",
    ),
    (
        lambda: oracle.conv2d(X, W, groups=3),
        "groups must divide 4 input and 6 output channels, got 3",
    ),
    (
        lambda: oracle.conv2d(X, W, groups=0),
        "groups must divide 4 input and 6 output channels, got 0",
    ),
    (
        lambda: oracle.conv2d(X, W, np.ones(4)),
        "bias must be a non-empty array [6], got [4]",
    ),
    (
        lambda: oracle.conv2d(X, W, stride=2),  # type: ignore[arg-type]
        "stride must be two integers (height, width), got 2",
    ),
    (
        lambda: oracle.conv2d(X, W, padding=(1, 1, 1)),  # type: ignore[arg-type]
        "padding must be two integers (height, width), got (1, 1, 1)",
    ),
    (
        lambda: oracle.conv2d(X, W, dilation=(1, 1.5)),  # type: ignore[arg-type]
        "dilation must be two integers (height, width), got (1, 1.5)",
    ),
    (lambda: oracle.conv2d(X, W, stride=(1, 0)), "stride must be at least 1, got 0"),
    (lambda: oracle.conv2d(X, W, dilation=(0, 1)), "dilation must be at least 1, got 0"),
    (lambda: oracle.conv2d(X, W, padding=(0, -1)), "padding must not be negative, got -1"),
    (
        lambda: oracle.conv2d(X, W, dilation=(1, 4), padding=(0, 1)),
        "size 6 with padding 1 must hold a window of 9 cells to give output",
    ),
    (
        lambda: oracle.conv2d_gradients(X, W, np.ones((2, 6, 5, 6))),
        "output_gradient must be a non-empty array [2, 6, 3, 4], got [2, 6, 5, 6]",
    ),
    (
        lambda: oracle.conv2d_gradients(X, W, np.ones((2, 6, 3, 4)), groups=3),
        "groups must divide 4 input and 6 output channels, got 3",
    ),
    (
        lambda: oracle.deform_conv2d(X, OFFSET, W[:, :2]),
        "weight must be a non-empty array [O, 4, kh, kw], got [6, 2, 3, 3]",
    ),
    (
        lambda: oracle.deform_conv2d(X, OFFSET, W, np.ones(4)),
        "bias must be a non-empty array [6], got [4]",
    ),
    (
        lambda: oracle.deform_conv2d(X, OFFSET, W, padding=(1, 0)),
        "offset must be a non-empty array [2, 2 * groups * kh * kw, 5, 4], got [2, 36, 3, 4]",
    ),
    (
        lambda: oracle.deform_conv2d(X, OFFSET.astype(np.float32), W),
        "offset must have the dtype of x, float64, got float32",
    ),
    (
        lambda: oracle.deform_conv2d(X, OFFSET[:, :8], W),
        "offset must have 2 * groups * 3 * 3 channels for groups that divide 4, got 8",
    ),
    (
        lambda: oracle.deform_conv2d(X, np.tile(OFFSET[:, :18], (1, 3, 1, 1)), W),
        "offset must have 2 * groups * 3 * 3 channels for groups that divide 4, got 54",
    ),
    (
        lambda: oracle.deform_conv2d(X, OFFSET, W, stride=2),  # type: ignore[arg-type]
        "stride must be two integers (height, width), got 2",
    ),
    (
        lambda: oracle.channel_shuffle(ROWS, 3),
        "x must be a non-empty array [N, C, H, W], got [2, 3]",
    ),
    (lambda: oracle.channel_shuffle(X, 3), "groups must divide 4 channels, got 3"),
    (lambda: oracle.channel_shuffle(X, 0), "groups must divide 4 channels, got 0"),
    (
        lambda: oracle.linear(ROWS, np.ones((4, 2))),
        "weight must be a non-empty array [O, 3], got [4, 2]",
    ),
    (
        lambda: oracle.linear(ROWS, np.ones((4, 3)), np.ones(3)),
        "bias must be a non-empty array [4], got [3]",
    ),
    (
        lambda: oracle.linear(np.float64(3), np.ones((4, 3))),  # type: ignore[arg-type]
        "x must be a floating point array [..., F], got float64",
    ),
    (
        lambda: oracle.linear(np.asarray(3.0), np.ones((4, 3))),
        "x must be a non-empty array [..., F], got []",
    ),
    (
        lambda: oracle.linear_gradients(ROWS, np.ones((4, 3)), np.ones((3, 4))),
        "output_gradient must be a non-empty array [2, 4], got [3, 4]",
    ),
    (
        lambda: oracle.linear_gradients(ROWS, np.ones((4, 2)), np.ones((2, 4))),
        "weight must be a non-empty array [O, 3], got [4, 2]",
    ),
    (
        lambda: oracle.relu(np.arange(3)),
        "x must be a floating point array [...], got int64",
    ),
    (
        lambda: oracle.max_pool2d(X, (3, 3), stride=(1, 1), padding=(1, 2)),
        "padding must be at most half of kernel (3, 3), got (1, 2)",
    ),
    (
        lambda: oracle.avg_pool2d(X, (3, 3), stride=(1, 1), padding=(2, 1)),
        "padding must be at most half of kernel (3, 3), got (2, 1)",
    ),
    (
        lambda: oracle.avg_pool2d(X, 3, stride=(1, 1)),  # type: ignore[arg-type]
        "kernel must be two integers (height, width), got 3",
    ),
    (
        lambda: oracle.max_pool2d(X, (0, 2), stride=(1, 1)),
        "kernel must be at least 1, got 0",
    ),
    (
        lambda: oracle.global_avg_pool2d(ROWS),
        "x must be a non-empty array [N, C, H, W], got [2, 3]",
    ),
    (
        lambda: oracle.global_max_pool2d(ROWS),
        "x must be a non-empty array [N, C, H, W], got [2, 3]",
    ),
    (
        lambda: oracle.batch_norm(X, *CHANNELS[1:], np.ones(1), eps=1e-5),
        "bias must be a non-empty array [4], got [1]",
    ),
    (
        lambda: oracle.batch_norm(X, CHANNELS[0], -CHANNELS[0], *CHANNELS[2:], eps=1.0),
        "variance + eps must be positive, got [-1. -1. -1. -1.] + 1.0",
    ),
    (
        lambda: oracle.batch_statistics(ROWS),
        "x must be a non-empty array [N, C, H, W], got [2, 3]",
    ),
    (lambda: oracle.softmax(ROWS, 2), "axis 2 is out of bounds for array of dimension 2"),
    (lambda: oracle.log_softmax(ROWS, -3), "axis -3 is out of bounds for array of dimension 2"),
    (
        lambda: oracle.cross_entropy(X, np.array([0, 1])),
        "logits must be a non-empty array [N, K], got [2, 4, 5, 6]",
    ),
    (
        lambda: oracle.cross_entropy(ROWS, np.array([0, 1, 2])),
        "target must be an integer array [2], got int64 [3]",
    ),
    (
        lambda: oracle.cross_entropy(ROWS, np.array([0.0, 1.0])),
        "target must be an integer array [2], got float64 [2]",
    ),
    (
        lambda: oracle.cross_entropy(ROWS, np.array([0, 3])),
        "target must lie in 0..2, got [0 3]",
    ),
    (
        lambda: oracle.cross_entropy(ROWS, np.array([-1, 0])),
        "target must lie in 0..2, got [-1  0]",
    ),
    (
        lambda: oracle.unfold(X, (6, 1)),
        "size 5 with padding 0 must hold a window of 6 cells to give output",
    ),
    (
        lambda: oracle.mlpconv(X, []),
        "weights must hold at least one (weight, bias), got none",
    ),
    (
        lambda: oracle.mlpconv(X, [(W[:, :3], np.ones(6))]),
        "weight of layer 0 must be a non-empty array [O, 4, kh, kw], got [6, 3, 3, 3]",
    ),
    (
        lambda: oracle.mlpconv(X, [(W, np.ones(6)), (np.ones((5, 6, 3, 3)), np.ones(5))]),
        "weight of layer 1 must be a non-empty array [O, 6, 1, 1], got [5, 6, 3, 3]",
    ),
    (
        lambda: oracle.mlpconv(X, [(W, np.ones(6)), (np.ones((5, 6, 1, 1)), np.ones(6))]),
        "bias of layer 1 must be a non-empty array [5], got [6]",
    ),
    (lambda: oracle.output_size(0, 1), "size must be at least 1, got 0"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[text for _, text in REFUSED])
def test_refusals_name_what_came_and_what_was_expected(
    call: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_every_public_function_states_shapes_and_source() -> None:
    functions = inspect.getmembers(oracle, inspect.isfunction)
    public = [(name, function) for name, function in functions if not name.startswith("_")]
    assert len(public) == 19
    for name, function in public:
        text = function.__doc__ or ""
        assert "Source: " in text, name
        assert name == "output_size" or "Shapes: " in text, name
