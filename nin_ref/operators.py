"""Operators under test: what an implementation has to offer, and the implementations of our own.

`Operators` is the contract: NumPy arrays in, NumPy arrays out, so that any library can stand behind
it. The module `nin_ref.oracle` fulfils it as well, and says what each operator means.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nin_ref.oracle import Array, Pair

if TYPE_CHECKING:  # torch takes a second to import, and the contract alone does not need it
    from torch import Tensor


class Operators(Protocol):  # pragma: no mutate block
    """An implementation of the operators that the claims judge.

    Shapes and formulas are those of the function of the same name in `nin_ref.oracle`. Results are
    contiguous and have the floating point type of the first argument. Arguments stay as they were.
    A class may leave out methods; what it raises for arguments that do not fit is its own affair.
    """

    def conv2d(
        self,
        x: Array,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:
        """Convolve [N, C, H, W] with [O, C / groups, kh, kw] and add [O]: document 000, line 11."""

    def conv2d_gradients(
        self,
        x: Array,
        weight: Array,
        output_gradient: Array,
        *,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> tuple[Array, Array, Array]:
        """Return the gradients of input, weight and bias of `conv2d`: document 001, line 72."""

    def deform_conv2d(
        self,
        x: Array,
        offset: Array,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
    ) -> Array:
        """Convolve with taps moved by [N, 2 * groups * kh * kw, H', W']: document 003, line 58."""

    def linear(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Multiply the last axis of [..., F] by [O, F] and add [O]: document 001, line 68."""

    def linear_gradients(
        self, x: Array, weight: Array, output_gradient: Array
    ) -> tuple[Array, Array, Array]:
        """Return the gradients of input, weight and bias of `linear`: document 001, line 68."""

    def relu(self, x: Array) -> Array:
        """Replace negative values of an array of any shape by zero: document 000, line 13."""

    def max_pool2d(
        self,
        x: Array,
        kernel: Pair,
        *,
        stride: Pair,
        padding: Pair = (0, 0),
        ceil_mode: bool = False,
    ) -> Array:
        """Take the largest value of each window of [N, C, H, W]: document 001, line 81."""

    def avg_pool2d(
        self,
        x: Array,
        kernel: Pair,
        *,
        stride: Pair,
        padding: Pair = (0, 0),
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Array:
        """Take the mean of each window of [N, C, H, W]: document 002, line 19."""

    def global_avg_pool2d(self, x: Array) -> Array:
        """Reduce [N, C, H, W] to the mean of each map, [N, C]: document 000, line 41."""

    def channel_shuffle(self, x: Array, groups: int) -> Array:
        """Deal out the channels of the groups of [N, C, H, W] in turn: document 003, line 78."""

    def batch_norm(
        self, x: Array, mean: Array, variance: Array, weight: Array, bias: Array, *, eps: float
    ) -> Array:
        """Standardise [N, C, H, W] with given statistics [C]: document 000, line 57."""

    def softmax(self, x: Array, axis: int) -> Array:
        """Turn scores into shares of one along an axis: document 000, line 41."""

    def cross_entropy(self, logits: Array, target: Array) -> Array:
        """Return the mean loss of [N, K] against [N] as an array []: document 001, line 131."""


OPERATORS: tuple[str, ...] = tuple(name for name in vars(Operators) if not name.startswith("_"))


class TorchOperators:
    """PyTorch's own operators, with gradients by autograd.

    On a CUDA device TF32 is switched off for the whole process, since it drops 13 bits of float32.
    """

    def __init__(self, device: str = "cpu") -> None:
        import torch

        self._torch = torch
        self._functional = torch.nn.functional
        self._device = torch.device(device)
        if self._device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False

    def conv2d(
        self,
        x: Array,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:
        """Convolve as `Operators.conv2d` says."""
        offset = None if bias is None else self._tensor(bias)
        return _array(
            self._conv2d(
                self._tensor(x), self._tensor(weight), offset, stride, padding, dilation, groups
            )
        )

    def conv2d_gradients(
        self,
        x: Array,
        weight: Array,
        output_gradient: Array,
        *,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> tuple[Array, Array, Array]:
        """Differentiate `conv2d` as `Operators.conv2d_gradients` says."""

        def convolve(x: "Tensor", weight: "Tensor", bias: "Tensor") -> "Tensor":
            return self._conv2d(x, weight, bias, stride, padding, dilation, groups)

        return self._gradients(convolve, x, weight, output_gradient)

    def deform_conv2d(
        self,
        x: Array,
        offset: Array,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
    ) -> Array:
        """Convolve as `Operators.deform_conv2d` says.

        Raises:
            ImportError: if torchvision, which has the operator, is not installed.
        """
        image, offsets, filters = map(self._tensor, (x, offset, weight))
        shift = None if bias is None else self._tensor(bias)
        return _array(
            self._deform_conv2d(image, offsets, filters, shift, stride, padding, dilation)
        )

    def linear(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Apply a fully connected layer as `Operators.linear` says."""
        offset = None if bias is None else self._tensor(bias)
        return _array(self._linear(self._tensor(x), self._tensor(weight), offset))

    def linear_gradients(
        self, x: Array, weight: Array, output_gradient: Array
    ) -> tuple[Array, Array, Array]:
        """Differentiate `linear` as `Operators.linear_gradients` says."""
        return self._gradients(self._linear, x, weight, output_gradient)

    def relu(self, x: Array) -> Array:
        """Rectify as `Operators.relu` says."""
        return _array(self._functional.relu(self._tensor(x)))

    def max_pool2d(
        self,
        x: Array,
        kernel: Pair,
        *,
        stride: Pair,
        padding: Pair = (0, 0),
        ceil_mode: bool = False,
    ) -> Array:
        """Pool as `Operators.max_pool2d` says."""
        return _array(
            self._functional.max_pool2d(
                self._tensor(x), kernel, stride, padding, ceil_mode=ceil_mode
            )
        )

    def avg_pool2d(
        self,
        x: Array,
        kernel: Pair,
        *,
        stride: Pair,
        padding: Pair = (0, 0),
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Array:
        """Pool as `Operators.avg_pool2d` says."""
        return _array(
            self._functional.avg_pool2d(
                self._tensor(x), kernel, stride, padding, ceil_mode, count_include_pad
            )
        )

    def global_avg_pool2d(self, x: Array) -> Array:
        """Pool as `Operators.global_avg_pool2d` says."""
        return _array(self._functional.adaptive_avg_pool2d(self._tensor(x), 1).flatten(1))

    def channel_shuffle(self, x: Array, groups: int) -> Array:
        """Shuffle as `Operators.channel_shuffle` says."""
        return _array(self._functional.channel_shuffle(self._tensor(x), groups))

    def batch_norm(
        self, x: Array, mean: Array, variance: Array, weight: Array, bias: Array, *, eps: float
    ) -> Array:
        """Normalise as `Operators.batch_norm` says."""
        centre, spread, scale, shift = map(self._tensor, (mean, variance, weight, bias))
        return _array(
            self._functional.batch_norm(self._tensor(x), centre, spread, scale, shift, eps=eps)
        )

    def softmax(self, x: Array, axis: int) -> Array:
        """Normalise exponentials as `Operators.softmax` says."""
        return _array(self._functional.softmax(self._tensor(x), axis))

    def cross_entropy(self, logits: Array, target: Array) -> Array:
        """Measure the loss as `Operators.cross_entropy` says."""
        return _array(
            self._functional.cross_entropy(
                self._tensor(logits), self._tensor(target.astype(np.int64))
            )
        )

    def _conv2d(
        self,
        x: "Tensor",
        weight: "Tensor",
        bias: "Tensor | None",
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> "Tensor":
        return self._functional.conv2d(x, weight, bias, stride, padding, dilation, groups)

    def _deform_conv2d(
        self,
        x: "Tensor",
        offset: "Tensor",
        weight: "Tensor",
        bias: "Tensor | None",
        stride: Pair,
        padding: Pair,
        dilation: Pair,
    ) -> "Tensor":
        try:
            from torchvision.ops import deform_conv2d
        except ImportError as error:
            raise ImportError(
                f"torchvision is needed and cannot be imported ({error}); "
                "`pip install torchvision` gets it"
            ) from error
        output: Tensor = deform_conv2d(x, offset, weight, bias, stride, padding, dilation)
        return output

    def _linear(self, x: "Tensor", weight: "Tensor", bias: "Tensor | None") -> "Tensor":
        return self._functional.linear(x, weight, bias)

    def _tensor(self, array: Array) -> "Tensor":
        # A copy: views may have negative strides or be read-only, neither of which torch takes.
        return self._torch.tensor(np.ascontiguousarray(array), device=self._device)

    def _gradients(
        self,
        layer: "Callable[[Tensor, Tensor, Tensor], Tensor]",
        x: Array,
        weight: Array,
        output_gradient: Array,
    ) -> tuple[Array, Array, Array]:
        bias = np.zeros(len(weight), weight.dtype)
        leaves = [self._tensor(array).requires_grad_() for array in (x, weight, bias)]
        gradients = self._torch.autograd.grad(layer(*leaves), leaves, self._tensor(output_gradient))
        of_input, of_weight, of_bias = map(_array, gradients)
        return of_input, of_weight, of_bias


class ChannelsLastOperators(TorchOperators):
    """PyTorch's operators on images and filters whose channels lie next to each other in memory."""

    def _tensor(self, array: Array) -> "Tensor":
        tensor = super()._tensor(array)
        if tensor.ndim == 4:
            return tensor.contiguous(memory_format=self._torch.channels_last)
        return tensor


class UnfoldOperators(TorchOperators):
    """Convolution, pooling and fully connected layers as arithmetic on unfolded windows.

    Convolution and linear layers are matrix products, pools reduce a window at a time; autograd
    goes through them. The operators without a window are PyTorch's.
    """

    def max_pool2d(
        self,
        x: Array,
        kernel: Pair,
        *,
        stride: Pair,
        padding: Pair = (0, 0),
        ceil_mode: bool = False,
    ) -> Array:
        """Pool as `Operators.max_pool2d` says."""
        windows = self._pool_windows(
            self._tensor(x), kernel, stride, padding, ceil_mode, border=-np.inf, beyond=-np.inf
        )
        return _array(windows.amax(2))

    def avg_pool2d(
        self,
        x: Array,
        kernel: Pair,
        *,
        stride: Pair,
        padding: Pair = (0, 0),
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Array:
        """Pool as `Operators.avg_pool2d` says."""
        image = self._tensor(x)
        counted = self._torch.ones_like(image[:1, :1])
        sums, counts = (
            self._pool_windows(
                cells, kernel, stride, padding, ceil_mode, border=border, beyond=0
            ).sum(2)
            for cells, border in ((image, 0), (counted, int(count_include_pad)))
        )
        return _array(sums / counts)

    def _conv2d(
        self,
        x: "Tensor",
        weight: "Tensor",
        bias: "Tensor | None",
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> "Tensor":
        (top, left), kernel = padding, (weight.shape[2], weight.shape[3])
        padded = self._functional.pad(x, (left, left, top, top))
        windows = self._windows(padded, kernel, stride, dilation)
        rows, columns = windows.shape[3:]
        blocks = windows.reshape(len(x), groups, -1, rows * columns)
        output = weight.reshape(groups, len(weight) // groups, -1) @ blocks
        output = output.reshape(len(x), len(weight), rows, columns)
        return output if bias is None else output + bias[:, None, None]

    def _deform_conv2d(
        self,
        x: "Tensor",
        offset: "Tensor",
        weight: "Tensor",
        bias: "Tensor | None",
        stride: Pair,
        padding: Pair,
        dilation: Pair,
    ) -> "Tensor":
        kernel, extents = (weight.shape[2], weight.shape[3]), offset.shape[2:]
        offsets = offset.reshape(len(x), -1, kernel[0] * kernel[1], 2, *extents)
        frame = [
            self._torch.arange(-margin, size + margin, dtype=x.dtype, device=x.device)
            for size, margin in zip(x.shape[2:], padding, strict=True)
        ]
        grid = self._torch.stack(self._torch.meshgrid(*frame, indexing="ij"))
        places = self._windows(grid[None], kernel, stride, dilation).swapaxes(1, 2) + offsets
        samples = self._samples(x.reshape(len(x), offsets.shape[1], -1, *x.shape[2:]), places)
        output = weight.flatten(1) @ samples.reshape(len(x), weight[0].numel(), -1)
        output = output.reshape(len(x), len(weight), *extents)
        return output if bias is None else output + bias[:, None, None]

    def _samples(self, x: "Tensor", places: "Tensor") -> "Tensor":
        """Interpolate maps [N, G, C, H, W] at places [N, G, T, 2, Y, X]: [N, G, C, T * Y * X]."""
        height, width = x.shape[3:]
        samples: Tensor = self._torch.zeros(())
        for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
            pixel = places.floor() + places.new_tensor(corner).reshape(2, 1, 1)
            row, column = pixel.unbind(3)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            share = (1 - (places - pixel).abs()).prod(3) * inside
            index = (row * width + column).where(inside, 0).long()
            read = x.flatten(3).gather(
                3, index.flatten(2)[:, :, None].expand(-1, -1, x.shape[2], -1)
            )
            samples = samples + read * share.flatten(2)[:, :, None]
        return samples

    def _linear(self, x: "Tensor", weight: "Tensor", bias: "Tensor | None") -> "Tensor":
        output = x @ weight.T
        return output if bias is None else output + bias

    def _pool_windows(
        self,
        cells: "Tensor",
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
        *,
        border: float,
        beyond: float,
    ) -> "Tensor":
        """Return the windows of a padded image; in ceil mode the last ones may reach beyond it."""
        top, left = padding
        framed = self._functional.pad(cells, (left, left, top, top), value=border)
        if ceil_mode:
            down, right = map(_overhang, cells.shape[2:], kernel, stride, padding)
            framed = self._functional.pad(framed, (0, right, 0, down), value=beyond)
        return self._windows(framed, kernel, stride)

    def _windows(
        self, x: "Tensor", kernel: Pair, stride: Pair, dilation: Pair = (1, 1)
    ) -> "Tensor":
        """Return what the windows of an image hold: [N, C, kh * kw, H', W']."""
        columns: Tensor = self._functional.unfold(x, kernel, dilation, stride=stride)
        rows = (x.shape[2] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
        return columns.reshape(*x.shape[:2], kernel[0] * kernel[1], rows, -1)


def _overhang(size: int, kernel: int, stride: int, padding: int) -> int:
    """Say how far a padded axis must grow (or, below 0, shrink) to end with the last window."""
    last_start = -((kernel - size - 2 * padding) // stride) * stride
    if last_start >= size + padding:
        last_start -= stride
    return last_start + kernel - size - 2 * padding


def _array(tensor: "Tensor") -> Array:
    return tensor.detach().cpu().contiguous().numpy()
