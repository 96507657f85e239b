"""The NumPy oracle: each operator written down from its formula, to judge other code by.

An image batch is [N, C, H, W]: sample, channel, height, width. Everything with an extent in space
(kernel, stride, padding, dilation) is a pair (height, width). Loops run over the taps of a kernel
and over nothing else; results keep the floating point type of the input, and as the linear
operators only add and multiply, integer-valued input gives exact output.

Every function raises ValueError for arrays that are not floating point, are empty, have other axes
than its docstring says, or do not fit each other, and for pairs that are not two integers in range.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Pair: TypeAlias = tuple[int, int]


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """Slide each filter over the zero-padded image and take an inner product at every position.

    As deep learning does, the kernel is not flipped. Output channels come in `groups` equal blocks,
    block g seeing only block g of the input channels.

    Shapes: x [N, C, H, W], weight [O, C / groups, kh, kw], bias [O], result [N, O, H', W'] with
    the extents of `output_size`.
    Raises: ValueError also if groups do not divide C and O, or no output position exists.
    Source: document 000, line 11 (kernel 1x1); document 003, line 31 (dilation) and line 77
    (groups); Dumoulin and Visin, arXiv 1603.07285.
    """
    _check_convolution(x, weight, groups)
    if bias is not None:
        _check("bias", bias, len(weight), like=x)
    windows = _windows(x, _kernel(weight), stride, padding, dilation)
    output: Array = np.einsum(
        "ngcijyx,gocij->ngoyx", _split(windows, 1, groups), _split(weight, 0, groups)
    )
    output = output.reshape(len(x), len(weight), *output.shape[3:])
    return output if bias is None else output + bias[:, np.newaxis, np.newaxis]


def conv2d_gradients(
    x: Array,
    weight: Array,
    output_gradient: Array,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """Pull a gradient on the output of `conv2d` back to its input, weight and bias.

    Each tap sends the output gradient back to the pixel that it read; weight and bias, shared by
    all positions, collect the sum over samples and positions.

    Shapes: x [N, C, H, W], weight [O, C / groups, kh, kw], output_gradient [N, O, H', W']; the
    results have the shapes of x, weight and bias [O].
    Raises: ValueError as `conv2d` does, and if output_gradient has not the shape of its output.
    Source: the chain rule on the formula of `conv2d`; document 001, line 72 (shared weights).
    """
    _check_convolution(x, weight, groups)
    kernel = _kernel(weight)
    windows = _windows(x, kernel, stride, padding, dilation)
    _check("output_gradient", output_gradient, len(x), len(weight), *windows.shape[4:], like=x)
    pulled = _split(output_gradient, 1, groups)
    weight_gradient = np.einsum("ngcijyx,ngoyx->gocij", _split(windows, 1, groups), pulled)

    taps, margins = _frame(x, kernel, stride, padding, dilation)
    padded_gradient = _pad(np.zeros_like(x), margins, 0)
    for (i, j), place in taps.items():
        sent = np.einsum("ngoyx,goc->ngcyx", pulled, _split(weight[:, :, i, j], 0, groups))
        padded_gradient[place] += sent.reshape(*x.shape[:2], *sent.shape[3:])
    (top, _), (left, _) = margins
    input_gradient = padded_gradient[:, :, top : top + x.shape[2], left : left + x.shape[3]]
    return (
        np.ascontiguousarray(input_gradient),
        weight_gradient.reshape(weight.shape),
        output_gradient.sum(axis=(0, 2, 3)),
    )


def deform_conv2d(
    x: Array,
    offset: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Array:
    """Convolve with taps that read where their offsets point, between pixels if need be.

    A tap reads at the place where it reads in `conv2d`, moved down and across by two offsets. The
    value there is bilinear: a pixel at a distance of (dy, dx) has a share of
    max(0, 1 - |dy|) * max(0, 1 - |dx|), and beyond the image all is zero. Input channels come in
    equal groups with offsets of their own. Offsets are ordered by group, then by tap (row by row);
    each tap has the one down before the one across.

    Shapes: x [N, C, H, W], offset [N, 2 * groups * kh * kw, H', W'], weight [O, C, kh, kw],
    bias [O], result [N, O, H', W'] with the extents of `output_size`.
    Raises: ValueError also if offset has not the channels of a number of groups that divides C, or
    no output position exists.
    Source: document 003, lines 58 to 66; Dai et al., arXiv 1703.06211, section 2.1.
    """
    _check("x", x, "N", "C", "H", "W")
    _check("weight", weight, "O", x.shape[1], "kh", "kw", like=x)
    if bias is not None:
        _check("bias", bias, len(weight), like=x)
    kernel, size = _kernel(weight), x.shape[2:]
    pairs = {"stride": stride, "padding": padding, "dilation": dilation}
    for name, pair in pairs.items():
        _check_pair(name, pair)
    extents = list(map(output_size, size, kernel, *pairs.values()))
    _check("offset", offset, len(x), "2 * groups * kh * kw", *extents, like=x)
    groups, rest = divmod(offset.shape[1], 2 * kernel[0] * kernel[1])
    if rest or x.shape[1] % groups:
        raise ValueError(
            f"offset must have 2 * groups * {kernel[0]} * {kernel[1]} channels for groups that "
            f"divide {x.shape[1]}, got {offset.shape[1]}"
        )
    offsets = offset.reshape(len(x), groups, *kernel, 2, *extents)
    images = _split(x, 1, groups)
    top, left = (np.arange(extents[axis]) * stride[axis] - padding[axis] for axis in (0, 1))
    output = np.zeros((len(x), len(weight), *extents), x.dtype)
    for i, j in np.ndindex(*kernel):
        down, across = offsets[:, :, i, j, 0], offsets[:, :, i, j, 1]
        sampled = np.einsum(
            "ngyxh,ngyxw,ngchw->ngcyx",
            _shares(top[:, np.newaxis] + i * dilation[0] + down, size[0]),
            _shares(left + j * dilation[1] + across, size[1]),
            images,
        )
        output += np.einsum(
            "ncyx,oc->noyx", sampled.reshape(len(x), -1, *extents), weight[..., i, j]
        )
    return output if bias is None else output + bias[:, np.newaxis, np.newaxis]


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Give every output a weighted sum of all features of the last axis, plus its bias.

    Shapes: x [..., F], weight [O, F], bias [O], result [..., O].
    Source: document 001, lines 31 and 68.
    """
    _check("x", x, "...", "F")
    _check("weight", weight, "O", x.shape[-1], like=x)
    if bias is not None:
        _check("bias", bias, len(weight), like=x)
    output: Array = np.einsum("...f,of->...o", x, weight)
    return output if bias is None else output + bias


def linear_gradients(x: Array, weight: Array, output_gradient: Array) -> tuple[Array, Array, Array]:
    """Pull a gradient on the output of `linear` back to its input, weight and bias.

    Shapes: x [..., F], weight [O, F], output_gradient [..., O]; the results have the shapes of x,
    weight and bias [O].
    Source: the chain rule on the formula of `linear`.
    """
    _check("x", x, "...", "F")
    _check("weight", weight, "O", x.shape[-1], like=x)
    _check("output_gradient", output_gradient, *x.shape[:-1], len(weight), like=x)
    rows = output_gradient.reshape(-1, len(weight))
    return (
        np.einsum("...o,of->...f", output_gradient, weight),
        np.einsum("no,nf->of", rows, x.reshape(-1, x.shape[-1])),
        rows.sum(axis=0),
    )


def relu(x: Array) -> Array:
    """Replace negative values by zero.

    Shapes: x of any shape, the result of the same.
    Source: document 000, lines 13 and 29.
    """
    _check("x", x, "...")
    return np.maximum(x, 0)


def max_pool2d(
    x: Array, kernel: Pair, *, stride: Pair, padding: Pair = (0, 0), ceil_mode: bool = False
) -> Array:
    """Take the largest value of each window; padding never wins.

    Shapes: x [N, C, H, W], result [N, C, H', W'] with the extents of `output_size`.
    Raises: ValueError also if padding exceeds half the kernel or no output position exists.
    Source: document 001, lines 81 and 90.
    """
    _check("x", x, "N", "C", "H", "W")
    _check_pool_padding(kernel, padding)
    windows = _windows(x, kernel, stride, padding, ceil_mode=ceil_mode, fill=-np.inf)
    return np.asarray(windows.max(axis=(2, 3)))


def avg_pool2d(
    x: Array,
    kernel: Pair,
    *,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Divide the sum of each window by the number of cells that count in it.

    Cells of the image count, cells of the padding if `count_include_pad`, and the overhang that
    `ceil_mode` adds behind the padding never does.

    Shapes: x [N, C, H, W], result [N, C, H', W'] with the extents of `output_size`.
    Raises: ValueError also if padding exceeds half the kernel or no output position exists.
    Source: document 002, line 19; document 000, line 65; PyTorch's AvgPool2d (what counts).
    """
    _check("x", x, "N", "C", "H", "W")
    _check_pool_padding(kernel, padding)
    sums = _windows(x, kernel, stride, padding, ceil_mode=ceil_mode).sum(axis=(2, 3))
    borders = padding if count_include_pad else (0, 0)
    rows, columns = map(
        _counted_cells, sums.shape[2:], x.shape[2:], kernel, stride, padding, borders
    )
    return np.asarray(sums / np.outer(rows, columns).astype(x.dtype))


def global_avg_pool2d(x: Array) -> Array:
    """Add up each map and divide by its number of pixels.

    Shapes: x [N, C, H, W], result [N, C].
    Source: document 000, line 41; document 002, line 19; Lin, Chen and Yan, arXiv 1312.4400,
    section 3.2.
    """
    _check("x", x, "N", "C", "H", "W")
    return np.asarray(x.sum(axis=(2, 3)) / (x.shape[2] * x.shape[3]))


def global_max_pool2d(x: Array) -> Array:
    """Take the largest value of each map.

    Shapes: x [N, C, H, W], result [N, C].
    Source: document 001, line 148.
    """
    _check("x", x, "N", "C", "H", "W")
    return np.asarray(x.max(axis=(2, 3)))


def channel_shuffle(x: Array, groups: int) -> Array:
    """Deal out the channels of equal groups in turn: the first of each, the second of each.

    Channel i of the result is channel (i mod groups) * C / groups + i div groups of x.

    Shapes: x [N, C, H, W], the result of the same.
    Raises: ValueError also if groups do not divide C.
    Source: document 003, line 78; Zhang et al., arXiv 1707.01083, section 3.1.
    """
    _check("x", x, "N", "C", "H", "W")
    channels = x.shape[1]
    if groups < 1 or channels % groups:
        raise ValueError(f"groups must divide {channels} channels, got {groups}")
    position = np.arange(channels)
    source = position % groups * (channels // groups) + position // groups
    return np.asarray(x.take(source, axis=1))


def batch_norm(
    x: Array, mean: Array, variance: Array, weight: Array, bias: Array, *, eps: float
) -> Array:
    """Standardise each channel with the given statistics, then scale and shift it.

    The formula is weight * (x - mean) / sqrt(variance + eps) + bias, channel by channel.

    Shapes: x [N, C, H, W]; mean, variance, weight, bias [C]; the result as x.
    Raises: ValueError also if variance + eps is not positive in every channel.
    Source: document 000, line 57; Ioffe and Szegedy, arXiv 1502.03167, algorithm 1.
    """
    _check("x", x, "N", "C", "H", "W")
    parameters = {"mean": mean, "variance": variance, "weight": weight, "bias": bias}
    for name, value in parameters.items():
        _check(name, value, x.shape[1], like=x)
    if not (variance + eps > 0).all():
        raise ValueError(f"variance + eps must be positive, got {variance} + {eps}")
    centre, spread, scale, shift = (
        value[:, np.newaxis, np.newaxis] for value in parameters.values()
    )
    return np.asarray(scale * (x - centre) / np.sqrt(spread + eps) + shift)


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Return each channel's mean and biased variance over samples and positions.

    Shapes: x [N, C, H, W], both results [C].
    Source: Ioffe and Szegedy, arXiv 1502.03167, algorithm 1 (division by the number of values).
    """
    _check("x", x, "N", "C", "H", "W")
    return x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))


def softmax(x: Array, axis: int) -> Array:
    """Turn scores into positive shares of one along an axis, in proportion to their exponentials.

    Shapes: x of any shape, the result of the same.
    Raises: ValueError also if x has no such axis.
    Source: document 000, line 41; document 001, line 81.
    """
    _check("x", x, "...")
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=axis, keepdims=True))


def log_softmax(x: Array, axis: int) -> Array:
    """Take the logarithm of `softmax` without computing a share that may underflow to zero.

    Shapes: x of any shape, the result of the same.
    Raises: ValueError also if x has no such axis.
    Source: the logarithm of the formula of `softmax`.
    """
    _check("x", x, "...")
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def cross_entropy(logits: Array, target: Array) -> Array:
    """Average, over the samples, minus the log of the share that softmax gives to the true class.

    Shapes: logits [N, K], target [N] of integers in 0..K-1, result [] (no axes).
    Raises: ValueError also if a target is not an integer or names no class.
    Source: document 001, line 131 (whether training needs a softmax layer of its own).
    """
    _check("logits", logits, "N", "K")
    samples, classes = logits.shape
    if target.shape != (samples,) or not np.issubdtype(target.dtype, np.integer):
        raise ValueError(
            f"target must be an integer array [{samples}], got {target.dtype} {_axes(target.shape)}"
        )
    if target.min() < 0 or target.max() >= classes:
        raise ValueError(f"target must lie in 0..{classes - 1}, got {target}")
    return np.asarray(-log_softmax(logits, 1)[np.arange(samples), target].mean())


def unfold(
    x: Array,
    kernel: Pair,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Array:
    """Write out each window of the zero-padded image as a column, channel by channel.

    Shapes: x [N, C, H, W], result [N, C * kh * kw, H' * W'] with the extents of `output_size`;
    both products are in row-major order.
    Raises: ValueError also if no output position exists.
    Source: Chellapilla, Puri and Simard (2006), High Performance Convolutional Neural Networks for
    Document Processing.
    """
    _check("x", x, "N", "C", "H", "W")
    windows = _windows(x, kernel, stride, padding, dilation)
    rows, columns = windows.shape[4:]
    return windows.reshape(len(x), -1, rows * columns)


def mlpconv(
    x: Array,
    weights: Sequence[tuple[Array, Array]],
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
) -> Array:
    """Run one small multilayer perceptron with ReLUs on the patch around every position.

    Each layer is max(W f + b, 0) on the column that the layer before left at the same position; the
    first one reads the patch itself. No convolution is called.

    Shapes: x [N, C, H, W]; weights a sequence of (weight, bias), the first weight [O1, C, kh, kw],
    each later one [O, O of the layer before, 1, 1], the biases [O]; result [N, O last, H', W'].
    Raises: ValueError also if there is no layer or no output position exists.
    Source: document 000, lines 29 and 33; Lin, Chen and Yan, arXiv 1312.4400, section 3.1.
    """
    _check("x", x, "N", "C", "H", "W")
    if not weights:
        raise ValueError("weights must hold at least one (weight, bias), got none")
    _check("weight of layer 0", weights[0][0], "O", x.shape[1], "kh", "kw")
    kernel = _kernel(weights[0][0])
    columns = unfold(x, kernel, stride=stride, padding=padding)
    depth, window = x.shape[1], kernel
    for layer, (weight, bias) in enumerate(weights):
        _check(f"weight of layer {layer}", weight, "O", depth, *window, like=x)
        _check(f"bias of layer {layer}", bias, len(weight), like=x)
        affine = weight.reshape(len(weight), -1) @ columns + bias[:, np.newaxis]
        columns = np.maximum(affine, 0)
        depth, window = len(weight), (1, 1)
    height = output_size(x.shape[2], kernel[0], stride[0], padding[0])
    return columns.reshape(len(x), depth, height, -1)


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Count the windows that fit along one axis.

    A window spans dilation * (kernel - 1) + 1 cells of the size + 2 * padding there are. In
    `ceil_mode` one more window may stick out, by less than a stride, if it starts before the
    padding on the right.

    Raises: ValueError if size, kernel, stride or dilation is below 1, padding is negative, or not
    even one window fits.
    Source: Dumoulin and Visin, arXiv 1603.07285, sections 2, 3 and 5; document 001, line 69;
    PyTorch's MaxPool2d (ceil_mode).
    """
    limits = {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}
    for name, value in limits.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if padding < 0:
        raise ValueError(f"padding must not be negative, got {padding}")
    span = dilation * (kernel - 1) + 1
    room = size + 2 * padding - span
    count = (room + stride - 1 if ceil_mode else room) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    if count < 1:
        raise ValueError(
            f"size {size} with padding {padding} must hold a window of {span} cells to give output"
        )
    return count


def _windows(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    *,
    ceil_mode: bool = False,
    fill: float = 0.0,
) -> Array:
    """Collect what each tap reads at each output position: [N, C, kh, kw, H', W']."""
    taps, margins = _frame(x, kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    padded = _pad(x, margins, fill)
    read = np.stack([padded[place] for place in taps.values()], axis=2)
    return read.reshape(*x.shape[:2], *kernel, *read.shape[3:])


_Taps: TypeAlias = dict[Pair, tuple[Any, slice, slice]]


def _frame(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    *,
    ceil_mode: bool = False,
) -> tuple[_Taps, tuple[Pair, Pair]]:
    """Say where each tap reads in a padded image, and the margins (before, after) of each axis."""
    pairs = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    for name, pair in pairs.items():
        _check_pair(name, pair)
    slices, margins = [], []
    for size, k, s, p, d in zip(x.shape[2:], *pairs.values(), strict=True):
        reach = (output_size(size, k, s, p, d, ceil_mode) - 1) * s + 1
        slices.append([slice(d * tap, d * tap + reach, s) for tap in range(k)])
        overhang = reach + d * (k - 1) - size - p
        margins.append((p, max(p, overhang)))
    rows, columns = slices
    taps: _Taps = {
        (i, j): (..., row, column) for i, row in enumerate(rows) for j, column in enumerate(columns)
    }
    return taps, (margins[0], margins[1])


def _pad(x: Array, margins: tuple[Pair, Pair], fill: float) -> Array:
    return np.pad(x, ((0, 0), (0, 0), *margins), constant_values=fill)


def _shares(places: Array, size: int) -> Array:
    """Say how much of each pixel of an axis a bilinear sample at each place takes: [..., size]."""
    return np.asarray(np.maximum(1 - np.abs(places[..., np.newaxis] - np.arange(size)), 0))


def _split(array: Array, axis: int, groups: int) -> Array:
    """Split an axis into [groups, rest]."""
    shape = array.shape
    return array.reshape(*shape[:axis], groups, -1, *shape[axis + 1 :])


def _counted_cells(
    count: int, size: int, kernel: int, stride: int, padding: int, border: int
) -> Array:
    """Count the cells of each window along one axis that lie in the image and in its border."""
    start = np.arange(count) * stride - padding
    return np.minimum(start + kernel, size + border) - np.maximum(start, -border)


def _kernel(weight: Array) -> Pair:
    return weight.shape[2], weight.shape[3]


def _check_convolution(x: Array, weight: Array, groups: int) -> None:
    _check("x", x, "N", "C", "H", "W")
    _check("weight", weight, "O", "C / groups", "kh", "kw", like=x)
    channels, filters = x.shape[1], len(weight)
    if groups < 1 or channels % groups or filters % groups:
        raise ValueError(
            f"groups must divide {channels} input and {filters} output channels, got {groups}"
        )
    if weight.shape[1] * groups != channels:
        raise ValueError(
            f"weight must have depth {channels // groups} for {channels} input channels in "
            f"{groups} groups, got {weight.shape[1]}"
        )


def _check_pool_padding(kernel: Pair, padding: Pair) -> None:
    _check_pair("kernel", kernel)
    _check_pair("padding", padding)
    if 2 * padding[0] > kernel[0] or 2 * padding[1] > kernel[1]:
        raise ValueError(f"padding must be at most half of kernel {kernel}, got {padding}")


def _check_pair(name: str, pair: object) -> None:
    sides = pair if isinstance(pair, tuple) else ()
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) for side in sides):
        raise ValueError(f"{name} must be two integers (height, width), got {pair!r}")


def _check(name: str, array: Array, *axes: str | int, like: Array | None = None) -> None:
    """Refuse an array with other axes (a name: any size; a leading "...": any axes) or dtype."""
    expected = _axes(axes)
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        given = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{name} must be a floating point array {expected}, got {given}")
    shape = array.shape
    if axes[0] == "...":
        axes = axes[1:]
        shape = shape[len(shape) - len(axes) :]
    fits = len(shape) == len(axes) and all(
        isinstance(axis, str) or axis == size for axis, size in zip(axes, shape, strict=True)
    )
    if not fits or array.size == 0:
        raise ValueError(f"{name} must be a non-empty array {expected}, got {_axes(array.shape)}")
    if like is not None and array.dtype != like.dtype:
        raise ValueError(f"{name} must have the dtype of x, {like.dtype}, got {array.dtype}")


def _axes(shape: Sequence[str | int]) -> str:
    return f"[{', '.join(map(str, shape))}]"
