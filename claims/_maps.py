"""Maps in front of a global average, shared by the topics of global average and confidence maps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims.cases import SEEDS, integers, sampled
from claims.checks import Array, close
from claims.core.claim import Fault
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.formulas import layer
from claims.subjects import Layers

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Maps:
    """Feature maps of a batch of images: sizes, and the seed of their numbers."""

    batch: int
    channels: int
    height: int
    width: int
    seed: int = 0

    @functools.cached_property
    def x(self) -> Array:
        """Maps [N, C, H, W] of small integers."""
        return integers(self.seed, self.batch, self.channels, self.height, self.width)

    @functools.cached_property
    def mean(self) -> Array:
        """Sum of each map over its number of pixels [N, C]."""
        return np.asarray(self.x.sum(axis=(2, 3)) / self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height * self.width


SIZES = {"batch": (2, 1), "channels": (4, 1, 7, 2), "height": (5, 1, 14), "width": (3, 8)}
DRAWN = {
    "batch": st.integers(1, 3),
    "channels": st.integers(1, 7),
    "height": st.integers(1, 9),
    "width": st.integers(1, 9),
    "seed": SEEDS,
}
MAPS = sampled("1 to 7 maps of 1 to 3 images, 1x1 to 14x9", Maps, SIZES, DRAWN)

# Sentences that several topics read in their own way.
LESS_COMPLEX = "global average pooling lowers the complexity of the model"
ROBUST = "a network with global average pooling is robust"

# Faults -------------------------------------------------------------------------------------------

weighted_by_place = faults.wrong(
    "global mean weighs each pixel by its place",
    "global_avg_pool2d",
    lambda f, x: f(x * (1 + np.arange(np.prod(x.shape[2:]))).reshape(x.shape[2:])),
)
zeros_not_counted = faults.wrong(
    "global mean of the pixels that are not zero",
    "global_avg_pool2d",
    lambda f, x: x.sum(axis=(2, 3)) / np.maximum((x != 0).sum(axis=(2, 3)), 1),
)

NO_AVERAGE = (
    faults.global_max_for_mean,
    faults.global_sum_for_mean,
    faults.global_mean_of_first_row,
    faults.global_mean_over_channels,
    faults.global_mean_divides_by_height,
    weighted_by_place,
    zeros_not_counted,
)


def _max_for_average(model: nn.Module) -> None:
    from torch import nn

    for name in surgeries.of_kind(model, "AdaptiveAvgPool2d"):
        average: Any = model.get_submodule(name)
        surgeries.put(model, name, nn.AdaptiveMaxPool2d(average.output_size))


def _classes_reversed(model: nn.Module) -> None:
    for name in surgeries.of_kind(model, "Flatten"):
        model.get_submodule(name).register_forward_hook(lambda _layer, _inputs, y: y.flip(1))


max_for_average = surgeries.surgery("global maximum for average", _max_for_average)
classes_reversed = surgeries.surgery("classes in reverse order", _classes_reversed)


def altered(name: str, kind: str, alter: Callable[[nn.Module], object]) -> Fault[Layers]:
    """Return a fault that alters each layer of a class once it is made."""

    def build(right: Callable[..., nn.Module], *args: Any, **options: Any) -> nn.Module:
        made = right(*args, **options)
        alter(made)
        return made

    return layer(name, kind, build)


def computed(name: str, kind: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Fault[Layers]:
    """Return a fault that changes what each layer of a class puts out."""
    return altered(
        name, kind, lambda made: made.register_forward_hook(lambda _layer, _inputs, y: change(y))
    )


def takes_the_average(layers: Layers) -> None:
    """Assert that the pooling layer of which a network is built takes the average."""
    import torch

    maps = integers(0, 2, 3, 5, 4)
    pooled = layers.AdaptiveAvgPool2d(1)(torch.tensor(maps))[:, :, 0, 0]
    close(pooled.numpy(), maps.sum(axis=(2, 3)) / 20, "the pool")
