"""What image sizes do to the layers of AlexNet and other networks, before a head of any kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._classics import image_of, records_of
from claims.faults import formulas as wrong_formulas
from claims.subjects import Formulas, Models, model_on_meta

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Image:
    """An image of some size for a network."""

    network: str
    rows: int
    columns: int

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns} images"


def own_image(network: str) -> Image:
    """Return an image of the size that a network is made for."""
    return Image(network, *image_of(network)[1:])


def parts(model: nn.Module, name: str) -> tuple[list[nn.Module], list[nn.Module]]:
    """Return the layers that give maps and those behind the last maps, without what links them.

    Torchvision's AlexNet links them by a layer that resizes the last maps. AlexNet has none.
    """
    on_maps: list[nn.Module] = []
    on_vectors: list[nn.Module] = []
    for one in records_of(model, name):
        if one.kind not in {"AdaptiveAvgPool2d", "Flatten"}:
            part = on_maps if len(one.output_shape) == 4 else on_vectors
            part.append(model.get_submodule(one.name))
    return on_maps, on_vectors


def run(layers: Iterable[nn.Module], c: Image) -> Any:
    """Run an image of a size through layers without storage; return what they put out."""
    import torch
    from torch import nn

    image = torch.empty(1, image_of(c.network)[0], c.rows, c.columns, device="meta")
    with torch.no_grad():
        return nn.Sequential(*layers)(image)


def takes(layers: Iterable[nn.Module], c: Image) -> bool:
    """Whether layers make maps of an image of that size; before PyTorch 2.13 empty ones may be."""
    try:
        maps = run(layers, c)
    except RuntimeError:
        return False
    return bool((maps["out"] if isinstance(maps, dict) else maps).numel() > 0)


def last_maps(models: Models, c: Image) -> tuple[int, ...]:
    """Return channels, height and width of the last maps that a network makes of an image."""
    return tuple(run(parts(models(c.network), c.network)[0], c).shape[1:])


def side(formulas: Formulas, size: Any) -> Any:
    """Return the side of AlexNet's last maps for an image of that side, by a closed form."""
    layers: list[Any] = parts(model_on_meta("alexnet"), "alexnet")[0]
    for layer in layers:
        if hasattr(layer, "kernel_size"):  # all windows are square
            options = (layer.kernel_size, layer.stride, layer.padding)
            size = formulas.output_size(size, *(np.max(option).item() for option in options))
    return size


# Faults of the closed form of a layer's output size, for what is proved of AlexNet's sizes.
WRONG_SIZES = [
    wrong_formulas.output_size_off_by_one,
    wrong_formulas.padding_counted_once,
    wrong_formulas.stride_forgotten,
]
