"""Blocks taken apart: the branches that lead from the input of an Inception block to its output.

The topics are `inception`, `bottleneck` and `small_kernels`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claims.core.claim import Fault
from claims.faults.formulas import formula, layer
from claims.faults.models import put, surgery
from claims.subjects import Models
from nin_ref import counting
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import fx, nn

Builder = Callable[..., "nn.Module"]

GOOGLENETS = ["googlenet", "googlenet with 5x5"]
NETWORKS = [*GOOGLENETS, "inception_v3"]


@dataclass(frozen=True)
class Window:
    """A convolution on a branch, or a pool, which has neither channels of its own nor weights.

    Biases, which the blocks of torchvision do not have, would count as weights.
    """

    name: str
    kernel: Pair
    stride: Pair
    in_channels: int = 0
    out_channels: int = 0
    weights: int = 0


Branch = tuple[Window, ...]


@dataclass(frozen=True)
class Block:
    """An Inception block; `branches` holds each way from its input to its output, layer by layer.

    Where a branch forks, each fork counts as a branch.
    """

    name: str
    branches: tuple[Branch, ...]

    @property
    def in_channels(self) -> int:
        """Channels that the block takes."""
        return next(one.in_channels for branch in self.branches for one in convolutions(branch))

    def out_channels(self, branch: Branch) -> int:
        """Channels that a branch adds to the output: those of the block where it only pools."""
        return convolutions(branch)[-1].out_channels if convolutions(branch) else self.in_channels

    @property
    def convolutions(self) -> list[Window]:
        """The convolutions of the block, those in front of a fork once."""
        found = (one for branch in self.branches for one in convolutions(branch))
        return list(dict.fromkeys(found))

    @property
    def made(self) -> int:
        """Channels of all branches together."""
        return sum(self.out_channels(branch) for branch in self.branches)

    @property
    def weights(self) -> int:
        """Weights of all convolutions."""
        return sum(one.weights for one in self.convolutions)


def convolutions(branch: Branch) -> list[Window]:
    """Return the convolutions of a branch, first to last."""
    return [one for one in branch if one.weights]


def field(branch: Branch) -> Pair:
    """Return height and width of the part of the block's input that a branch sees."""
    height, width = (
        counting.receptive_field((one.kernel[axis], one.stride[axis], 1) for one in branch)[0]
        for axis in (0, 1)
    )
    return height, width


def told(*sizes: tuple[int, ...]) -> str:
    """Write heights and widths of windows."""
    return ", ".join("x".join(map(str, size)) for size in sizes)


def network(models: Models, name: str) -> nn.Module:
    """Return a network with Inception blocks; "googlenet with 5x5" has the paper's kernels.

    In torchvision's GoogLeNet a 3x3 kernel stands where the paper has a 5x5.
    """
    model = models(name.removesuffix(" with 5x5"))
    return _with_5x5(model) if name.endswith(" with 5x5") else model


@functools.cache
def _with_5x5(model: nn.Module) -> nn.Module:
    from torch import nn

    restored = copy.deepcopy(model)
    for name, conv in [*restored.named_modules()]:
        if name.endswith("branch3.1.conv") and isinstance(conv, nn.Conv2d):
            channels = conv.in_channels, conv.out_channels
            put(restored, name, nn.Conv2d(*channels, 5, padding=2, bias=False, device="meta"))
    return restored


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the Inception blocks of GoogLeNet or Inception v3 as layers, first to last."""
    prefixes = ("inception", "Mixed")
    return {name: one for name, one in model.named_children() if name.startswith(prefixes)}


def blocks_of(models: Models, name: str) -> list[Block]:
    """Return the Inception blocks of a network."""
    return blocks(network(models, name))


@functools.cache
def blocks(model: nn.Module) -> list[Block]:
    """Return the Inception blocks of a model, once for each: many claims ask for them.

    It relies on models that are never changed in place; surgeries work on copies.
    """
    return [Block(name, branches(block)) for name, block in layers(model).items()]


def branches(block: nn.Module) -> tuple[Branch, ...]:
    """Return the ways through a block, each as the convolutions and pools that it meets."""
    from torch import fx

    graph = fx.symbolic_trace(block).graph
    (output,) = (node for node in graph.nodes if node.op == "output")
    return tuple(_ways_to(output, dict(block.named_modules())))


def _ways_to(node: fx.Node, layers: dict[str, nn.Module]) -> list[Branch]:
    """Return the ways from the input of a graph to one of its nodes."""
    if node.op == "placeholder":
        return [()]
    before = [way for other in node.all_input_nodes for way in _ways_to(other, layers)]
    window = _window(node, layers)
    return [(*way, window) for way in before] if window else before


def _window(node: fx.Node, layers: dict[str, nn.Module]) -> Window | None:
    from torch import nn
    from torch.nn import functional

    one = layers.get(str(node.target)) if node.op == "call_module" else None
    if isinstance(one, nn.Conv2d):
        kernel, stride = _pair(one.kernel_size), _pair(one.stride)
        sizes = one.in_channels, one.out_channels, counting.parameter_count(one)
        return Window(str(node.target), kernel, stride, *sizes)
    if isinstance(one, nn.MaxPool2d | nn.AvgPool2d):
        return Window(str(node.target), _pair(one.kernel_size), _pair(one.stride))
    if node.target in (functional.max_pool2d, functional.avg_pool2d):
        given = dict(zip(("input", "kernel_size"), node.args, strict=False)) | node.kwargs
        return Window(node.name, _pair(given["kernel_size"]), _pair(given["stride"]))
    return None


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else value


def reduction_of(branch: Branch) -> Window | None:
    """Return the 1x1 convolution at the start of a branch that another convolution follows."""
    first, *later = branch
    return first if first.weights and first.kernel == (1, 1) and later else None


def _without_reductions(model: nn.Module) -> None:
    """Let each larger kernel read what the 1x1 convolution in front of it read."""
    from torch import nn

    for block in layers(model).values():
        for branch in branches(block):
            if (reduction := reduction_of(branch)) is not None:
                put(block, reduction.name.removesuffix(".conv"), nn.Identity())
                widen(block.get_submodule(branch[1].name), reduction.in_channels)


def widen(conv: Any, in_channels: int) -> None:
    """Let a convolution of a model without storage read another number of channels."""
    size = conv.out_channels, in_channels, *conv.kernel_size
    conv.in_channels, conv.weight = in_channels, type(conv.weight)(conv.weight.new_empty(size))


without_reductions = surgery("1x1 reductions left out", _without_reductions)

# Faults of counts of square kernels, in layers and in closed forms.
kernels_3x1 = layer(
    "kernels as wide as 1", "Conv2d", lambda f, i, o, k, **more: f(i, o, (k, 1), **more)
)
width_forgotten = formula(
    "width of the kernel forgotten",
    "conv2d_parameters",
    lambda f, i, o, kh, _kw, **more: f(i, o, kh, 1, **more),
)
biases_counted = formula(
    "biases counted as well",
    "conv2d_parameters",
    lambda f, *a, **more: f(*a, **more | {"bias": True}),
)


def altered(name: str, alter: Callable[[Any], object]) -> Fault[Builder]:
    """Return a fault that alters each block that a class of torchvision makes."""

    def plant(right: Builder) -> Builder:
        def build(*sizes: int) -> nn.Module:
            block = right(*sizes)
            alter(block)
            return block

        return build

    return Fault(name, plant)


def kernel_bank(in_channels: int, filters: Mapping[int, int]) -> nn.Module:
    """Return square kernels of several sizes on the same maps, stacked along the channels.

    `filters` are their numbers by their side, which is odd; padding keeps the size of the maps.
    """
    import torch
    from torch import nn

    class KernelBank(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sizes = nn.ModuleList(
                nn.Conv2d(in_channels, number, side, padding=side // 2)
                for side, number in filters.items()
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([size(x) for size in self.sizes], dim=1)

    return KernelBank()
