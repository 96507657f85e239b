"""Wrong operators: each wraps any implementation and changes what one method takes or gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from claims.checks import Array
from claims.core.claim import Fault
from nin_ref.operators import Operators


class _Changed:
    """Operators of which one method is another's."""

    def __init__(self, base: Operators, **methods: Callable[..., Any]) -> None:
        self._base = base
        vars(self).update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)


def wrong(name: str, method: str, change: Callable[..., Any]) -> Fault[Operators]:
    """Return a fault that puts `change(right, *args, **options)` in the place of a method."""

    def plant(base: Operators) -> Operators:
        right = getattr(base, method)

        def changed(*args: Any, **options: Any) -> Any:
            return change(right, *args, **options)

        return cast(Operators, _Changed(base, **{method: changed}))

    return Fault(name, plant)


def _without(x: Array, axis: int) -> Array:
    """Return the array with the last slice along an axis set to zero."""
    changed = x.copy()
    np.moveaxis(changed, axis, 0)[-1] = 0
    return changed


# conv2d ------------------------------------------------------------------------------------------

bias_missing = wrong("bias missing", "conv2d", lambda f, x, w, b=None, **o: f(x, w, None, **o))
bias_subtracted = wrong(
    "bias subtracted",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x, w, None if b is None else -b, **o),
)
channel_ignored = wrong(
    "last channel ignored", "conv2d", lambda f, x, w, b=None, **o: f(_without(x, 1), w, b, **o)
)
last_image_ignored = wrong(
    "last image ignored", "conv2d", lambda f, x, w, b=None, **o: f(_without(x, 0), w, b, **o)
)
kernel_flipped = wrong(
    "kernel flipped", "conv2d", lambda f, x, w, b=None, **o: f(x, w[..., ::-1, ::-1].copy(), b, **o)
)
kernel_transposed = wrong(
    "kernel transposed",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x, w.swapaxes(2, 3).copy(), b, **o),
)


def _weight_transposed(weight: Array) -> Array:
    """Read the weights as if inputs came before outputs in memory."""
    out_channels, depth, *kernel = weight.shape
    return weight.reshape(depth, out_channels, *kernel).swapaxes(0, 1).copy()


weight_transposed = wrong(
    "weight transposed",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x, _weight_transposed(w), b, **o),
)
stride_ignored = wrong(
    "stride ignored", "conv2d", lambda f, x, w, b=None, **o: f(x, w, b, **o | {"stride": (1, 1)})
)
stride_swapped = wrong(
    "stride of height and width swapped",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x, w, b, **o | {"stride": o.get("stride", (1, 1))[::-1]}),
)
padding_ignored = wrong(
    "padding ignored", "conv2d", lambda f, x, w, b=None, **o: f(x, w, b, **o | {"padding": (0, 0)})
)


def _padded_by_edge(
    f: Callable[..., Array], x: Array, w: Array, b: Array | None = None, **o: Any
) -> Array:
    rows, columns = o.get("padding", (0, 0))
    margins = ((0, 0), (0, 0), (rows, rows), (columns, columns))
    return f(np.pad(x, margins, mode="edge"), w, b, **o | {"padding": (0, 0)})


padded_by_edge = wrong("padded by the edge, not by zeros", "conv2d", _padded_by_edge)
one_more_padding = wrong(
    "one more row of padding",
    "conv2d",
    lambda f, x, w, b=None, **o: f(
        x, w, b, **o | {"padding": (o.get("padding", (0, 0))[0] + 1, o.get("padding", (0, 0))[1])}
    ),
)
dilation_ignored = wrong(
    "dilation ignored",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x, w, b, **o | {"dilation": (1, 1)}),
)
groups_ignored = wrong(
    "groups ignored",
    "conv2d",
    lambda f, x, w, b=None, **o: f(
        x, np.tile(w, (1, o.get("groups", 1), 1, 1)), b, **o | {"groups": 1}
    ),
)
groups_interleaved = wrong(
    "groups interleaved",
    "conv2d",
    lambda f, x, w, b=None, **o: f(_interleaved(x, o.get("groups", 1)), w, b, **o),
)


def _interleaved(x: Array, groups: int) -> Array:
    batch, channels, *size = x.shape
    return x.reshape(batch, channels // groups, groups, *size).swapaxes(1, 2).reshape(x.shape)


shifted = wrong(
    "off by one column",
    "conv2d",
    lambda f, x, w, b=None, **o: f(np.roll(x, 1, axis=3), w, b, **o),
)
axes_swapped = wrong(
    "pixels read column by column",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x.swapaxes(2, 3).reshape(x.shape), w, b, **o),
)
neighbours_mixed = wrong(
    "each pixel mixed with its left neighbour",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x + np.roll(x, 1, axis=3), w, b, **o),
)
weight_by_position = wrong(
    "weights differ by position",
    "conv2d",
    lambda f, x, w, b=None, **o: f(
        x * (1 + np.arange(x.shape[2] * x.shape[3]).reshape(1, 1, *x.shape[2:])), w, b, **o
    ),
)
weight_by_input = wrong(
    "weights depend on the input",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x, w * (1 + np.abs(x).sum()), b, **o),
)
sum_over_batch = wrong(
    "images of a batch mixed",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x + x[:1], w, b, **o),
)

kernel_row_ignored = wrong(
    "last row of the kernel ignored",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x, _without(w, 2), b, **o),
)
filter_ignored = wrong(
    "last filter ignored", "conv2d", lambda f, x, w, b=None, **o: f(x, _without(w, 0), b, **o)
)
row_ignored = wrong(
    "last row of pixels ignored",
    "conv2d",
    lambda f, x, w, b=None, **o: f(_without(x, 2), w, b, **o),
)
rectified = wrong(
    "ReLU inside the convolution",
    "conv2d",
    lambda f, x, w, b=None, **o: np.maximum(f(x, w, b, **o), 0),
)


def in_float32(method: str) -> Fault[Operators]:
    """Return an operator that rounds what it takes to float32 and gives the type it took."""

    def rounded(f: Callable[..., Any], *arrays: Any, **options: Any) -> Any:
        single = [a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in arrays]
        y = f(*single, **options)
        kind = arrays[0].dtype
        return tuple(a.astype(kind) for a in y) if isinstance(y, tuple) else y.astype(kind)

    return wrong(f"{method} computed in float32", method, rounded)


conv2d_in_float32 = in_float32("conv2d")
conv2d_gradients_in_float32 = in_float32("conv2d_gradients")
linear_in_float32 = in_float32("linear")
global_avg_pool2d_in_float32 = in_float32("global_avg_pool2d")

# gradients of conv2d -----------------------------------------------------------------------------

weight_gradient_of_first_image = wrong(
    "weight gradient of the first image only",
    "conv2d_gradients",
    lambda f, x, w, g, **o: (f(x, w, g, **o)[0], f(x[:1], w, g[:1], **o)[1], f(x, w, g, **o)[2]),
)
weight_gradient_averaged = wrong(
    "weight gradient averaged over pixels",
    "conv2d_gradients",
    lambda f, x, w, g, **o: (
        f(x, w, g, **o)[0],
        f(x, w, g, **o)[1] / (2 * g.shape[2] * g.shape[3]),
        f(x, w, g, **o)[2],
    ),
)
input_gradient_transposed = wrong(
    "input gradient with transposed weights",
    "conv2d_gradients",
    lambda f, x, w, g, **o: (f(x, _weight_transposed(w), g, **o)[0], *f(x, w, g, **o)[1:]),
)
input_gradient_flipped = wrong(
    "input gradient with flipped kernel",
    "conv2d_gradients",
    lambda f, x, w, g, **o: (f(x, w[..., ::-1, ::-1].copy(), g, **o)[0], *f(x, w, g, **o)[1:]),
)
bias_gradient_missing = wrong(
    "bias gradient missing",
    "conv2d_gradients",
    lambda f, x, w, g, **o: (*f(x, w, g, **o)[:2], np.zeros_like(w[:, 0, 0, 0])),
)

# deform_conv2d -----------------------------------------------------------------------------------


def offsets_changed(name: str, change: Callable[[Array], Array]) -> Fault[Operators]:
    """Return a fault that changes the offsets, given as [N, groups, kh, kw, 2, H', W']."""

    def changed(
        f: Callable[..., Array], x: Array, o: Array, w: Array, b: Array | None = None, **more: Any
    ) -> Array:
        offsets = change(o.reshape(len(o), -1, *w.shape[2:], 2, *o.shape[2:]))
        return f(x, offsets.reshape(o.shape), w, b, **more)

    return wrong(name, "deform_conv2d", changed)


offsets_ignored = offsets_changed("offsets ignored", np.zeros_like)
offsets_swapped = offsets_changed(
    "offsets across before those down", lambda offsets: offsets[:, :, :, :, ::-1]
)
offsets_rounded = offsets_changed("nearest pixel for interpolation", np.round)
offsets_of_first_group = offsets_changed(
    "offsets of the first group for all",
    lambda offsets: np.broadcast_to(offsets[:, :1], offsets.shape),
)


def _border_repeated(
    f: Callable[..., Array], x: Array, o: Array, w: Array, b: Array | None = None, **more: Any
) -> Array:
    """Read a larger image, edges repeated, and leave out the positions that this adds."""
    reach, (down, across) = 4, more.get("stride", (1, 1))
    margins = ((0, 0), (0, 0), (reach * down, reach * down), (reach * across, reach * across))
    offsets = np.pad(o, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    y = f(np.pad(x, margins, mode="edge"), offsets, w, b, **more)
    return y[:, :, reach : reach + o.shape[2], reach : reach + o.shape[3]].copy()


border_repeated = wrong("samples beyond the border repeat it", "deform_conv2d", _border_repeated)
deform_conv2d_in_float32 = in_float32("deform_conv2d")

# channel_shuffle ---------------------------------------------------------------------------------

shuffle_missing = wrong("channels not shuffled", "channel_shuffle", lambda f, x, groups: x.copy())
shuffle_inverted = wrong(
    "channels shuffled back", "channel_shuffle", lambda f, x, groups: f(x, x.shape[1] // groups)
)
shuffle_off_by_one = wrong(
    "channels shuffled one too far",
    "channel_shuffle",
    lambda f, x, groups: np.roll(f(x, groups), 1, axis=1),
)

# linear ------------------------------------------------------------------------------------------

linear_bias_missing = wrong("linear bias missing", "linear", lambda f, x, w, b=None: f(x, w))
feature_ignored = wrong(
    "last feature ignored", "linear", lambda f, x, w, b=None: f(_without(x, -1), w, b)
)
linear_weight_transposed = wrong(
    "linear weight transposed",
    "linear",
    lambda f, x, w, b=None: f(x, w.reshape(w.shape[::-1]).T.copy(), b),
)
linear_weight_gradient_halved = wrong(
    "linear weight gradient halved",
    "linear_gradients",
    lambda f, x, w, g: (f(x, w, g)[0], f(x, w, g)[1] / 2, f(x, w, g)[2]),
)
linear_input_gradient_transposed = wrong(
    "linear input gradient with transposed weights",
    "linear_gradients",
    lambda f, x, w, g: (f(x, w.reshape(w.shape[::-1]).T.copy(), g)[0], *f(x, w, g)[1:]),
)

# activations and losses --------------------------------------------------------------------------

relu_missing = wrong("ReLU missing", "relu", lambda f, x: x.copy())
relu_leaky = wrong("ReLU leaky", "relu", lambda f, x: np.where(x > 0, x, 0.125 * x))
relu_absolute = wrong("absolute value for ReLU", "relu", lambda f, x: np.abs(x))
relu_capped = wrong("ReLU capped at one", "relu", lambda f, x: np.minimum(f(x), 1))
softmax_over_batch = wrong(
    "softmax over the wrong axis", "softmax", lambda f, x, axis: f(x, (axis + 1) % x.ndim)
)
softmax_unnormalised = wrong("softmax without its divisor", "softmax", lambda f, x, axis: np.exp(x))
softmax_of_negated = wrong("softmax of negated scores", "softmax", lambda f, x, axis: f(-x, axis))


def _overflowing(_: Callable[..., Array], x: Array, axis: int) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True))


softmax_overflowing = wrong("softmax overflows on large scores", "softmax", _overflowing)
loss_summed = wrong(
    "loss summed over the batch", "cross_entropy", lambda f, x, t: f(x, t) * x.dtype.type(len(x))
)
loss_after_softmax = wrong(
    "loss of the softmax",
    "cross_entropy",
    lambda f, x, t: f(np.exp(x) / np.exp(x).sum(1, keepdims=True), t),
)

# pooling -----------------------------------------------------------------------------------------


mean_for_max = wrong(
    "middle of the window for max in pooling",
    "max_pool2d",
    lambda f, x, kernel, **o: (f(x, kernel, **o) - f(-x, kernel, **o)) / 2,
)
max_pool_padded_by_zeros = wrong(
    "max pool padded by zeros",
    "max_pool2d",
    lambda f, x, kernel, **o: np.maximum(f(x, kernel, **o), 0),
)
max_pool_rounding_swapped = wrong(
    "max pool rounds the other way",
    "max_pool2d",
    lambda f, x, kernel, **o: f(x, kernel, **o | {"ceil_mode": not o.get("ceil_mode", False)}),
)
wrong_divisor = wrong(
    "average pool divides by one less",
    "avg_pool2d",
    lambda f, x, kernel, **o: f(x, kernel, **o) * np.prod(kernel) / (np.prod(kernel) - 0.5),
)
padding_counted_otherwise = wrong(
    "average pool counts padding the other way",
    "avg_pool2d",
    lambda f, x, kernel, **o: f(
        x, kernel, **o | {"count_include_pad": not o.get("count_include_pad", True)}
    ),
)
average_pool_rounding_swapped = wrong(
    "average pool rounds the other way",
    "avg_pool2d",
    lambda f, x, kernel, **o: f(x, kernel, **o | {"ceil_mode": not o.get("ceil_mode", False)}),
)
average_pool_stride_ignored = wrong(
    "average pool ignores its stride",
    "avg_pool2d",
    lambda f, x, kernel, **o: f(x, kernel, **o | {"stride": (1, 1)}),
)
global_max_for_mean = wrong(
    "global max for mean", "global_avg_pool2d", lambda f, x: x.max(axis=(2, 3))
)
global_sum_for_mean = wrong(
    "global sum for mean", "global_avg_pool2d", lambda f, x: x.sum(axis=(2, 3))
)
global_mean_of_first_row = wrong(
    "global mean of the first row only", "global_avg_pool2d", lambda f, x: x[:, :, 0].mean(axis=2)
)
global_mean_divides_by_height = wrong(
    "global mean divides by the height squared",
    "global_avg_pool2d",
    lambda f, x: f(x) * x.dtype.type(x.shape[3] / x.shape[2]),
)
global_mean_of_positive = wrong(
    "global mean of positive values only", "global_avg_pool2d", lambda f, x: f(np.maximum(x, 0))
)
global_mean_over_channels = wrong(
    "global mean mixes channels",
    "global_avg_pool2d",
    lambda f, x: f(x + x.mean(axis=1, keepdims=True)),
)

# batch normalisation -----------------------------------------------------------------------------

variance_for_deviation = wrong(
    "batch norm divides by the variance",
    "batch_norm",
    lambda f, x, m, v, w, b, *, eps: f(x, m, (v + eps) ** 2 - eps, w, b, eps=eps),
)
eps_ignored = wrong(
    "batch norm without eps",
    "batch_norm",
    lambda f, x, m, v, w, b, *, eps: f(x, m, v - eps, w, b, eps=eps),
)
mean_ignored = wrong(
    "batch norm without centring",
    "batch_norm",
    lambda f, x, m, v, w, b, *, eps: f(x, np.zeros_like(m), v, w, b, eps=eps),
)
shift_ignored = wrong(
    "batch norm without shift",
    "batch_norm",
    lambda f, x, m, v, w, b, *, eps: f(x, m, v, w, np.zeros_like(b), eps=eps),
)
