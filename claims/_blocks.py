"""Building blocks of torchvision as a subject, and faults in them.

The topics are `squeeze_excitation`, `residual` and `dense_connections`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims.checks import Array
from claims.core.claim import Fault, Subject
from claims.subjects import torchvision_models
from nin_ref import oracle

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Blocks:
    """The classes of torchvision's blocks, and the one that puts modules in series."""

    SqueezeExcitation: Callable[..., nn.Module]
    BasicBlock: Callable[..., nn.Module]
    Bottleneck: Callable[..., nn.Module]
    DenseBlock: Callable[..., nn.Module]
    Sequential: Callable[..., nn.Module]


def _blocks() -> Blocks:
    import torch

    torchvision_models()
    from torchvision.models.densenet import _DenseBlock
    from torchvision.models.resnet import BasicBlock, Bottleneck
    from torchvision.ops import SqueezeExcitation

    torch.set_num_threads(1)  # the tensors are tiny
    return Blocks(SqueezeExcitation, BasicBlock, Bottleneck, _DenseBlock, torch.nn.Sequential)


BLOCKS: Subject[Blocks] = Subject("torchvision blocks", _blocks)


def built_otherwise(name: str, change: Callable[..., Any], *kinds: str) -> Fault[Blocks]:
    """Return a fault that puts `change(right, *args, **options)` in the place of classes."""

    def plant(blocks: Blocks) -> Blocks:
        changed = {kind: functools.partial(change, getattr(blocks, kind)) for kind in kinds}
        return dataclasses.replace(blocks, **changed)

    return Fault(name, plant)


def altered(name: str, alter: Callable[[Any], object], *kinds: str) -> Fault[Blocks]:
    """Return a fault that alters each block of some classes once it is made."""

    def build(right: Callable[..., Any], *args: Any, **options: Any) -> Any:
        made = right(*args, **options)
        alter(made)
        return made

    return built_otherwise(name, build, *kinds)


def forwarded(name: str, forward: Callable[[Any, Any], Any], *kinds: str) -> Fault[Blocks]:
    """Return a fault in which blocks put out `forward(block, x)`."""

    def alter(block: Any) -> None:
        block.forward = functools.partial(forward, block)

    return altered(name, alter, *kinds)


def filled(module: nn.Module, seed: int, *, shifts: bool = True) -> nn.Module:
    """Give a module whole numbers as weights, so that it computes exactly, and return it.

    It is then in float64 and in evaluation mode. Its batch norms scale channels by 1 or 2 and,
    with `shifts`, shift them by up to 2; what they divide by is 1.
    """
    import torch
    from torch import nn

    rng = np.random.default_rng(seed)
    module.double().eval().requires_grad_(requires_grad=False)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.copy_(torch.tensor(rng.integers(-1, 2, layer.weight.shape)))
        elif isinstance(layer, nn.BatchNorm2d):
            layer.eps = 2.0**-10
            layer.running_var = torch.full_like(layer.weight, 1 - layer.eps)
            layer.weight.copy_(torch.tensor(rng.integers(1, 3, layer.weight.shape)))
            layer.bias.copy_(torch.tensor(rng.integers(-2, 3, layer.bias.shape) * shifts))
    return module


def convolved(conv: Any, x: Array) -> Array:
    """Return the convolution by the weights of a layer, from its definition."""
    weight = conv.weight.detach().numpy()
    return oracle.conv2d(x, weight, stride=conv.stride, padding=conv.padding)


def normalised(norm: Any, x: Array) -> Array:
    """Return the batch norm by the weights and statistics of a layer, from its definition."""
    numbers = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    return oracle.batch_norm(x, *(one.detach().numpy() for one in numbers), eps=norm.eps)
