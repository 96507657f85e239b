"""Large kernels and stacks of 3x3: built of layers, what they see, and their formulas.

The topics are `kernel_size` and `small_kernels`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from claims.checks import Array
from claims.core.claim import Fault
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import Layers, Models
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import nn

cut_to_3x3 = faults.wrong(
    "kernels cut to 3x3", "conv2d", lambda f, x, w, *a, **o: f(x, w[..., :3, :3], *a, **o)
)


def other_kernel(which: int, side: int) -> Fault[Models]:
    """Return a surgery that gives one convolution another kernel; `which` counts as an index."""

    def change(model: nn.Module) -> None:
        from torch import nn

        name = surgeries.of_kind(model, "Conv2d")[which]
        conv: Any = model.get_submodule(name)
        channels = conv.in_channels, conv.out_channels
        surgeries.put(model, name, nn.Conv2d(*channels, side, padding=side // 2, device="meta"))

    return surgeries.surgery(f"kernel {which} made {side}x{side}", change)


def stack_of(
    layers: Layers, channels: Sequence[int], kernel: int = 3, *, device: str = "meta"
) -> nn.Module:
    """Build stacked convolutions without biases; `channels` are those before and behind each."""
    return layers.Sequential(
        *(layers.Conv2d(i, o, kernel, bias=False, device=device) for i, o in pairwise(channels))
    )


def seen(
    ops: Operators, size: Pair, kernels: Sequence[int], strides: Iterable[int] = (), pool: int = 1
) -> Array:
    """Return which pixels [H, W] of an image move the first unit behind stacked convolutions.

    Strides are 1 where none are left; an average pool, if larger than 1, is behind the first layer.
    """
    maps = np.eye(size[0] * size[1]).reshape(-1, 1, *size)
    steps = itertools.chain(strides, itertools.repeat(1))
    for number, (kernel, step) in enumerate(zip(kernels, steps, strict=False)):
        maps = ops.conv2d(maps, np.ones((1, 1, kernel, kernel)), stride=(step, step))
        if pool > 1 and number == 0:
            maps = ops.avg_pool2d(maps, (pool, pool), stride=(pool, pool))
    return np.asarray(maps[:, 0, 0, 0].reshape(size) > 0)


def box(size: Pair, side: int) -> Array:
    """Return which pixels [H, W] of an image lie in its top left square."""
    return np.outer(np.arange(size[0]) < side, np.arange(size[1]) < side)


def same_formula(found: Any, expected: Any, what: str) -> None:
    """Assert that two polynomials are the same one."""
    import sympy

    assert sympy.expand(found - expected) == 0, f"{what}: {found}, not {expected}"
