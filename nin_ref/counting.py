"""Sizes, parameters, multiply-adds, receptive fields: in closed form, and counted on real models.

The closed forms are plain arithmetic. They take Python integers as well as SymPy and z3 ones, so
that a statement about every size can be proved, and therefore check nothing: a kernel larger than
its padded input gives an output size below one. Everything else takes a PyTorch model and measures
it; torch is imported only there.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from torch import nn


def conv2d_output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """Output height (or width) of a convolution, or of a pool that rounds down."""
    return _floor_divide(size + 2 * padding - dilation * (kernel - 1) - 1, stride) + 1


def conv2d_parameters(
    in_channels: int,
    out_channels: int,
    kernel_height: int,
    kernel_width: int,
    *,
    groups: int = 1,
    bias: bool = True,
) -> int:
    """Weights, plus one bias for each output channel."""
    weights_per_filter = _floor_divide(in_channels, groups) * kernel_height * kernel_width
    return out_channels * (weights_per_filter + int(bias))


def linear_parameters(in_features: int, out_features: int, *, bias: bool = True) -> int:
    """Weights, plus one bias for each output feature."""
    return out_features * (in_features + int(bias))


def nin_block_parameters(in_channels: int, out_channels: int, kernel_size: int) -> int:
    """Parameters of ``models.nin_block``: one convolution and two 1x1 ones, all with biases."""
    return conv2d_parameters(
        in_channels, out_channels, kernel_size, kernel_size
    ) + 2 * conv2d_parameters(out_channels, out_channels, 1, 1)


def conv2d_multiply_adds(
    in_channels: int,
    out_channels: int,
    kernel_height: int,
    kernel_width: int,
    output_height: int,
    output_width: int,
    *,
    groups: int = 1,
) -> int:
    """Multiply-adds for one image: a full filter at each output position, taps on padding included.

    Adding the bias is not counted.
    """
    weights = conv2d_parameters(
        in_channels, out_channels, kernel_height, kernel_width, groups=groups, bias=False
    )
    return weights * output_height * output_width


def receptive_field(layers: Iterable[tuple[int, int, int]]) -> tuple[int, int]:
    """Receptive field of a chain of layers, along one axis.

    ``layers`` holds (kernel, stride, dilation) from input to output. Returns the side in input
    pixels, and the jump: by how many input pixels the fields of neighbouring outputs are apart.
    """
    size, jump = 1, 1
    for kernel, stride, dilation in layers:
        size = size + dilation * (kernel - 1) * jump
        jump = jump * stride
    return size, jump


def _floor_divide(dividend: int, divisor: int) -> int:
    try:
        return dividend // divisor
    except TypeError:
        # z3 has no //; its / of two integers rounds down when the divisor is positive.
        return dividend / divisor  # type: ignore[return-value]


def parameter_count(model: nn.Module) -> int:
    """Count the trainable parameters. Buffers do not count; a shared parameter counts once."""
    return sum(layer_parameters(model).values())


def layer_parameters(model: nn.Module) -> dict[str, int]:
    """Trainable parameters by the name of the layer that holds them, for layers that hold some.

    A shared parameter belongs to the first layer that holds it.
    """
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            counts[name.rpartition(".")[0]] += parameter.numel()
    return dict(counts)


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """What one layer did in one forward pass. Shapes include the batch."""

    name: str
    """As in ``model.named_modules()``."""
    kind: str
    """The class, such as ``Conv2d``."""
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    """Trainable ones that the layer holds, as in ``layer_parameters``."""
    multiply_adds: int
    """Of convolutions and linear layers, for the whole batch, without biases; others have none."""


def trace(model: nn.Module, *input_shape: int) -> list[LayerRecord]:
    """Record each layer of a forward pass in evaluation mode, in the order of execution.

    ``input_shape`` is batch, channels, height, width, or whatever the model takes. A layer is a
    module without children. One that is called twice has two records, under its first name;
    functional calls inside a module's ``forward`` leave none. The pass runs on the meta device
    whatever the model's device: it computes no values, and leaves the model as it was, training
    flags included.

    Raises ValueError if the shape is empty or holds a size below one.
    """
    import torch
    from torch import nn

    _check_shape(input_shape)
    parameters = layer_parameters(model)
    records: list[LayerRecord] = []

    def recorder(name: str) -> Callable[[nn.Module, tuple[torch.Tensor], torch.Tensor], None]:
        def record(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            weights_per_output = 0
            if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
                weights_per_output = layer.weight[0].numel()
            records.append(
                LayerRecord(
                    name=name,
                    kind=type(layer).__name__,
                    input_shape=tuple(inputs[0].shape),
                    output_shape=tuple(output.shape),
                    parameters=parameters.get(name, 0),
                    multiply_adds=output.numel() * weights_per_output,
                )
            )

        return record

    weights = [*model.parameters(), *model.buffers()]
    if any(tensor.device.type != "meta" for tensor in weights):
        model = copy.deepcopy(model).to("meta")
    dtype = next((p.dtype for p in model.parameters()), None)
    hooks = [
        layer.register_forward_hook(recorder(name))
        for name, layer in model.named_modules()
        if next(layer.children(), None) is None
    ]
    training = [module for module in model.modules() if module.training]
    try:
        model.eval()
        with torch.no_grad():
            model(torch.empty(input_shape, dtype=dtype, device="meta"))
    finally:
        for module in training:
            module.training = True
        for hook in hooks:
            hook.remove()
    return records


def multiply_adds(model: nn.Module, *input_shape: int) -> int:
    """Multiply-adds of all convolutions and linear layers for one batch; see ``trace``."""
    return sum(record.multiply_adds for record in trace(model, *input_shape))


def activation_count(model: nn.Module, *input_shape: int) -> int:
    """Output elements of all layers for one batch, those without weights too; see ``trace``."""
    return sum(math.prod(record.output_shape) for record in trace(model, *input_shape))


def gradient_support(
    model: nn.Module, input_shape: tuple[int, ...], *, output_position: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    """Which input pixels can influence one output position, found with autograd.

    The mask is (height, width) for an ``input_shape`` of (batch, channels, height, width).
    ``output_position`` is (row, column) in output maps, (feature,) in output vectors.

    A model's own values can hide a pixel: a zero weight, paths that cancel, a ReLU that is off, a
    maximum found elsewhere. So a copy of the model is measured, in float64 on the CPU and in
    evaluation mode, where each filter takes the mean of its inputs (all weights positive and equal,
    all biases zero), batch normalisation does nothing, and max pools are average pools of the same
    geometry. An input of ones then keeps all values between 0 and 1, so ReLUs are on and nothing
    saturates.

    Raises ValueError if the shape is not that of an image batch, if the output has no such
    position, or if a max pool is dilated.
    """
    import torch
    from torch import nn

    _check_shape(input_shape)
    if len(input_shape) != 4:
        raise ValueError(f"input_shape must be (batch, channels, height, width), got {input_shape}")
    averaging = nn.Sequential(copy.deepcopy(model)).to_empty(device="cpu").double().eval()
    averaging.requires_grad_(requires_grad=False)
    for name, parameter in averaging.named_parameters():
        if parameter.ndim > 1:
            parameter.fill_(1 / parameter[0].numel())
        else:
            parameter.fill_(0 if name.endswith("bias") else 1)
    # A layer may stand in several places.
    for name, layer in list(averaging.named_modules(remove_duplicate=False)):
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
        if isinstance(layer, nn.MaxPool2d):
            if layer.dilation != 1:
                raise ValueError(f"{layer} has no average counterpart, which has no dilation")
            pool = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
            averaging.set_submodule(name, pool)
    image = torch.ones(input_shape, dtype=torch.float64, requires_grad=True)
    output = averaging(image)
    positions = tuple(output.shape[2:] or output.shape[1:])
    if output_position not in itertools.product(*map(range, positions)):
        raise ValueError(
            f"output_position must lie within the output's {positions}, got {output_position}"
        )
    (gradient,) = torch.autograd.grad(output[(..., *output_position)].sum(), image)
    influences: npt.NDArray[np.bool_] = (gradient.sum(dim=(0, 1)) > 0).numpy()
    return influences


def receptive_field_of(model: nn.Sequential) -> tuple[int, int]:
    """Side and jump (see ``receptive_field``) from the convolutions and pools of a chain of layers.

    Raises ValueError for a layer that sees its whole input, linear or adaptive (pass the layers
    before it), and for a window that differs between height and width.
    """
    from torch import nn

    # A layer may stand in several places.
    layers = [layer for _, layer in model.named_modules(remove_duplicate=False)]
    unbounded = (nn.Linear, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
    if found := [layer for layer in layers if isinstance(layer, unbounded)]:
        raise ValueError(
            f"{found[0]} sees its whole input, so it has no receptive field of its own"
        )
    windows = [
        (
            _side(layer.kernel_size),
            _side(layer.stride),
            1 if isinstance(layer, nn.AvgPool2d) else _side(layer.dilation),
        )
        for layer in layers
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)
    ]
    return receptive_field(windows)


def _side(value: int | tuple[int, ...]) -> int:
    """One number for both axes."""
    sides = {value} if isinstance(value, int) else set(value)
    if len(sides) > 1:
        raise ValueError(f"height and width must agree, got {value}")
    return sides.pop()


def _check_shape(shape: tuple[int, ...]) -> None:
    if not shape or min(shape) < 1:
        raise ValueError(f"input sizes must be at least 1, got {shape}")
