"""Networks of depthwise separable convolutions, and their pairs of stages.

The topics are `depthwise_separable` and `separable_savings`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from claims.core.claim import Fault
from claims.faults import models as surgeries
from claims.subjects import Models, traced

if TYPE_CHECKING:
    from torch import nn

NETWORKS = ["mobilenet_v2", "mobilenet_v3_large", "shufflenet_v2_x0_5"]

# Sides of 64 n + 1 make the sides of all maps odd, and so a filter as large as a map has a centre.
IMAGE = (1, 3, 193, 129)


def is_depthwise(layer: nn.Conv2d) -> bool:
    """Whether each filter of a convolution reads one of several channels."""
    return layer.groups == layer.in_channels > 1


class Stages(NamedTuple):
    """A depthwise convolution of a network, and what is done with its maps."""

    depthwise: nn.Conv2d
    input_size: tuple[int, ...]
    pointwise: nn.Conv2d
    """The next convolution that reads maps of that shape."""
    directly: bool
    """Whether no other convolution is between them."""


def stages_of(model: nn.Module) -> list[Stages]:
    """Return the depthwise convolutions of a network, with the ones that read their maps."""
    layers: dict[str, Any] = dict(model.named_modules())
    records = [one for one in traced(model, *IMAGE) if one.kind == "Conv2d"]
    found = []
    for place, record in enumerate(records, start=1):
        if not is_depthwise(layers[record.name]):
            continue
        after = records[place:]
        reader = next(one for one in after if one.input_shape == record.output_shape)
        layer, second = layers[record.name], layers[reader.name]
        found.append(Stages(layer, record.input_shape[2:], second, directly=reader is after[0]))
    return found


def on_stages(name: str, change: Callable[[Stages], None]) -> Fault[Models]:
    """Return a surgery that changes all pairs of a network."""

    def each(model: nn.Module) -> nn.Module:
        for stages in stages_of(model):
            change(stages)
        return copy.deepcopy(model)  # This one has not been traced as it was before.

    return surgeries.surgery(name, each)


def with_kernel(layer: nn.Conv2d, *kernel: int) -> None:
    """Give a convolution a kernel of odd sides, padded so that its maps keep their sizes."""
    from torch import nn

    rows, columns = kernel
    layer.kernel_size, layer.padding = (rows, columns), (rows // 2, columns // 2)
    layer.weight = nn.Parameter(layer.weight.new_empty(*layer.weight.shape[:2], rows, columns))


def _standard(stages: Stages) -> None:
    from torch import nn

    layer = stages.depthwise
    layer.groups, layer.weight = 1, nn.Parameter(layer.weight.repeat(1, layer.in_channels, 1, 1))


none_depthwise = on_stages("standard convolutions for depthwise ones", _standard)
