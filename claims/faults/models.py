"""Surgeries on models: each changes a copy, and leaves the model itself as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from claims.core.claim import Fault
from claims.subjects import Models

if TYPE_CHECKING:
    from torch import nn


def surgery(name: str, change: Callable[[nn.Module], nn.Module | None]) -> Fault[Models]:
    """Return a fault that changes every model; `change` works in place or returns another one."""

    def plant(models: Models) -> Models:
        def changed(model: str) -> nn.Module:
            patient = copy.deepcopy(models(model))
            return change(patient) or patient

        return changed

    return Fault(name, plant)


def of_kind(model: nn.Module, kind: str) -> list[str]:
    """Return the names of a model's layers of a class, in the order of the model."""
    return [name for name, layer in model.named_modules() if type(layer).__name__ == kind]


def put(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer in the place of another."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)


def removed(kind: str, which: int) -> Callable[[nn.Module], None]:
    """Return a change that removes one layer of a class; `which` counts as an index does."""

    def change(model: nn.Module) -> None:
        from torch import nn

        if names := of_kind(model, kind):
            put(model, names[which], nn.Identity())

    return change


def all_removed(kind: str) -> Callable[[nn.Module], None]:
    """Return a change that removes every layer of a class."""

    def change(model: nn.Module) -> None:
        from torch import nn

        for name in of_kind(model, kind):
            put(model, name, nn.Identity())

    return change


def _widened(model: nn.Module) -> None:
    """Give the last linear layer, or else the last convolution, as many outputs again."""
    from torch import nn

    if names := of_kind(model, "Linear"):
        last = model.get_submodule(names[-1])
        assert isinstance(last, nn.Linear)
        put(model, names[-1], nn.Linear(last.in_features, 2 * last.out_features, device="meta"))
    elif names := of_kind(model, "Conv2d"):
        conv = model.get_submodule(names[-1])
        assert isinstance(conv, nn.Conv2d)
        wide = nn.Conv2d(
            conv.in_channels, 2 * conv.out_channels, conv.kernel_size[0], device="meta"
        )
        wide.stride, wide.padding = conv.stride, conv.padding
        put(model, names[-1], wide)


def _biases_dropped(model: nn.Module) -> None:
    for layer in model.modules():
        if getattr(layer, "bias", None) is not None:
            layer.register_parameter("bias", None)


def _padding_dropped(model: nn.Module) -> None:
    from torch import nn

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding = (0, 0)


def _linear_appended(model: nn.Module) -> nn.Module:
    from torch import nn

    last = (of_kind(model, "Linear") or of_kind(model, "Conv2d"))[-1]
    outputs = len(next(model.get_submodule(last).parameters()))
    return nn.Sequential(model, nn.Linear(outputs, outputs, device="meta"))


last_max_pool_removed = surgery("last max pool removed", removed("MaxPool2d", -1))
first_max_pool_removed = surgery("first max pool removed", removed("MaxPool2d", 0))
max_pools_removed = surgery("max pools removed", all_removed("MaxPool2d"))
last_linear_removed = surgery("last linear layer removed", removed("Linear", -1))
first_linear_removed = surgery("first linear layer removed", removed("Linear", 0))
linear_layers_removed = surgery("linear layers removed", all_removed("Linear"))
last_convolution_removed = surgery("last convolution removed", removed("Conv2d", -1))
relu_layers_removed = surgery("ReLU layers removed", all_removed("ReLU"))
dropout_removed = surgery("dropout removed", all_removed("Dropout"))
outputs_doubled = surgery("outputs doubled", _widened)
biases_dropped = surgery("biases dropped", _biases_dropped)
padding_dropped = surgery("padding of convolutions dropped", _padding_dropped)
linear_appended = surgery("linear layer appended", _linear_appended)
