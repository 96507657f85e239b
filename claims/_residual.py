"""Residual blocks of torchvision in series, what they compute by definition, and faults in them.

The topics are `residual` and `residual_paths`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._blocks import Blocks, built_otherwise, convolved, filled, forwarded, normalised
from claims.cases import integers
from claims.checks import Array, same
from claims.core.claim import Fault, Sample
from nin_ref import oracle

if TYPE_CHECKING:
    from torch import nn

CHANNELS, HEIGHT, WIDTH = 4, 2, 3
KINDS = ("BasicBlock", "Bottleneck")


@dataclass(frozen=True)
class Series:
    """Residual blocks of torchvision in series on maps of 4 channels, 2x3, and a seed.

    `relu_inside` and `relu_after` leave the ReLUs in the residual branches and after the addition,
    `shifts` the shifts of the batch norms, `negative` the negative numbers of the maps;
    `projection` puts a 1x1 convolution into each shortcut.
    """

    kind: str
    blocks: int = 3
    relu_inside: bool = True
    relu_after: bool = True
    shifts: bool = True
    projection: bool = False
    negative: bool = True
    seed: int = 0

    @functools.cached_property
    def x(self) -> Array:
        """Maps [2, C, H, W] of small integers."""
        maps = integers(self.seed, 2, CHANNELS, HEIGHT, WIDTH)
        return maps if self.negative else abs(maps)


def series(described: str, *variants: Mapping[str, Any]) -> Sample[Series]:
    """Return blocks in series in some variants: both kinds in the first, then by turns."""
    return Sample(
        described,
        [
            Series(kind, seed=seed, **variant)
            for seed, variant in enumerate(variants)
            for kind in (KINDS if seed == 0 else KINDS[seed % 2 :][:1])
        ],
    )


Condition = Callable[[Series], bool]
NOTHING_AFTER: dict[str, Condition] = {"nothing follows the addition": lambda c: not c.relu_after}
IDENTITY: dict[str, Condition] = {"the shortcut is the identity": lambda c: not c.projection}


@dataclass(frozen=True)
class Branch:
    """The residual branch of a block: convolutions and batch norms, and whether ReLUs lie between.

    `projection` is the convolution in the shortcut beside it, if there is one. All is computed by
    the definitions of the layers.
    """

    layers: Sequence[tuple[Any, Any]]
    relu_inside: bool
    projection: Any = None

    def __call__(self, x: Array) -> Array:
        """Return what the branch adds to what the shortcut makes of x [N, C, H, W]."""
        for at, (conv, norm) in enumerate(self.layers, 1):
            x = normalised(norm, convolved(conv, x))
            x = oracle.relu(x) if self.relu_inside and at < len(self.layers) else x
        return x

    def shortcut(self, x: Array) -> Array:
        """Return what the shortcut makes of x."""
        return x if self.projection is None else convolved(self.projection, x)

    def jacobians(self, x: Array) -> tuple[Array, Array]:
        """Return the derivatives of shortcut and branch at one image, a row for each output."""
        steps = np.eye(x.size).reshape(x.size, *x.shape[1:])
        moved = steps
        for at, (conv, norm) in enumerate(self.layers, 1):
            x, moved = normalised(norm, convolved(conv, x)), convolved(conv, moved)
            moved = normalised(norm, moved) - normalised(norm, np.zeros_like(moved))
            if self.relu_inside and at < len(self.layers):
                x, moved = oracle.relu(x), moved * (x > 0)
        around = self.shortcut(steps)
        return around.reshape(len(steps), -1).T, moved.reshape(len(steps), -1).T


def layers_of(block: Any) -> list[tuple[Any, Any]]:
    """Return the convolutions of a residual block, each with what normalises it."""
    numbers = [number for number in (1, 2, 3) if hasattr(block, f"conv{number}")]
    return [(getattr(block, f"conv{number}"), getattr(block, f"bn{number}")) for number in numbers]


def width_of(kind: str) -> int:
    """Return the width with which a block of a kind makes 4 channels."""
    return CHANNELS if kind == "BasicBlock" else CHANNELS // 4


def built(blocks: Blocks, c: Series) -> tuple[Any, list[Branch]]:
    """Return the blocks of a case in series, and the branch of each."""
    from torch import nn

    parts: list[nn.Module] = []
    branches: list[Branch] = []
    for number in range(c.blocks):
        projection = nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False) if c.projection else None
        block: Any = getattr(blocks, c.kind)(CHANNELS, width_of(c.kind), downsample=projection)
        filled(block, 10 * c.seed + number, shifts=c.shifts)
        branches.append(Branch(layers_of(block), c.relu_inside, projection))
        if c.relu_inside and not c.relu_after:
            # torchvision calls one and the same ReLU inside and after.
            for at, (_, norm) in enumerate(layers_of(block)[:-1], 1):
                setattr(block, f"bn{at}", nn.Sequential(norm, nn.ReLU()))
        if not (c.relu_inside and c.relu_after):
            block.relu = nn.Identity()
        parts.append(
            block if c.relu_inside or not c.relu_after else nn.Sequential(block, nn.ReLU())
        )
    return blocks.Sequential(*parts), branches


def outputs(network: Any, x: Array) -> Array:
    """Return what a network makes of maps."""
    import torch

    maps = torch.tensor(x)
    y: Array = network(maps).numpy()
    same(maps.numpy(), x, "what the network was given")
    return y


def inputs_of(c: Series, branches: Sequence[Branch], x: Array) -> list[Array]:
    """Return what each block of a case is given if the first is given x."""
    found = [x]
    for branch in branches[:-1]:
        summed = branch.shortcut(found[-1]) + branch(found[-1])
        found.append(oracle.relu(summed) if c.relu_after else summed)
    return found


def jacobian(network: Any, x: Array) -> Array:
    """Return the derivatives of a network at one image, a row for each number it puts out."""
    import torch

    copies = torch.tensor(x.repeat(x.size, axis=0), requires_grad=True)
    (rows,) = torch.autograd.grad(network(copies).flatten(1).trace(), copies)
    found: Array = rows.flatten(1).numpy()
    return found


# Faults -------------------------------------------------------------------------------------------


def rewired(name: str, combine: Callable[[Any, Any, Any], Any]) -> Fault[Blocks]:
    """Return a fault in which a block puts out `combine(residual, shortcut, last input)`.

    The last input is what its last convolution is given. The ReLU after the addition stays.
    """

    def forward(block: Any, x: Any) -> Any:
        shortcut = x if block.downsample is None else block.downsample(x)
        *inner, (last, last_norm) = layers_of(block)
        for conv, norm in inner:
            x = block.relu(norm(conv(x)))
        return block.relu(combine(last_norm(last(x)), shortcut, x))

    return forwarded(name, forward, *KINDS)


def _side_by_side(right: Callable[..., Any], *parts: Any) -> Any:
    made = right(*parts)
    made.forward = lambda x: x + sum(part(x) - x for part in parts)
    return made


no_addition = rewired("no addition", lambda residual, shortcut, last: residual)
last_input_added = rewired(
    "input of the last layer added", lambda residual, _, last: residual + last
)
input_halved = rewired("half the input added", lambda residual, x, _: residual + x / 2)
BLOCK_FAULTS = [
    no_addition,
    last_input_added,
    input_halved,
    rewired("input subtracted", lambda residual, x, _: residual - x),
    rewired("input rectified", lambda residual, x, _: residual + x.relu()),
]
residual_halved = rewired("residual halved", lambda residual, x, _: residual / 2 + x)
side_by_side = built_otherwise("blocks side by side", _side_by_side, "Sequential")
last_left_out = built_otherwise(
    "last block left out", lambda right, *parts: right(*parts[:-1]), "Sequential"
)
SERIES_FAULTS = [
    *BLOCK_FAULTS,
    residual_halved,
    side_by_side,
    last_left_out,
    built_otherwise(
        "blocks in reverse order", lambda right, *parts: right(*parts[::-1]), "Sequential"
    ),
]
