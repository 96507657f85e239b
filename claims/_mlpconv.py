"""What the topics on mlpconv layers share: the networks made of them, changes of their layers.

The topics are `mlpconv`, `mlpconv_listing` and `nin_block`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from claims.faults import models as surgeries

if TYPE_CHECKING:
    from torch import nn

DOCUMENTED = ("lecture-nin", "table-nin", "handwritten-nin")
NETWORKS = (*DOCUMENTED, "cifar10-nin", "cifar100-nin", "mnist-nin", "svhn-nin")


def perceptrons(model: nn.Module) -> list[list[Any]]:
    """Return the convolutions of each mlpconv layer of a network; a pooling layer ends one."""
    found: list[list[Any]] = [[]]
    for layer in model.modules():
        kind = type(layer).__name__
        if kind == "Conv2d":
            found[-1].append(layer)
        elif kind.endswith("Pool2d"):
            found.append([])
    return [layers for layers in found if layers]


def one_by_one(which: slice, **options: Any) -> Callable[[nn.Module], None]:
    """Return a change that puts 1x1 convolutions, or others by `options`, for those `which`."""

    def change(model: nn.Module) -> None:
        from torch import nn

        for name in surgeries.of_kind(model, "Conv2d")[which]:
            layer: Any = model.get_submodule(name)
            changed: dict[str, Any] = {"kernel_size": 1, "device": "meta"} | options
            surgeries.put(model, name, nn.Conv2d(layer.in_channels, layer.out_channels, **changed))

    return change


single_pixels_read = surgeries.surgery("every kernel 1x1", one_by_one(slice(None)))
second_layer_3x3 = surgeries.surgery(
    "second layer 3x3", one_by_one(slice(1, 2), kernel_size=3, padding=1)
)
last_relu_removed = surgeries.surgery("last ReLU removed", surgeries.removed("ReLU", -1))
