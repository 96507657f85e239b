"""Group convolutions: stacks of them, and which channels their outputs depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from claims.cases import integers
from claims.checks import Array
from nin_ref.operators import Operators

# Document 003, line 78; read in two topics.
GROUPS_DEPTHWISE = "the shuffled groups are convolved depthwise"


def channels_read(run: Callable[[Array], Array], x: Array) -> Array:
    """Say which channels of an image [C, H, W] each output channel depends on: [O, C].

    `run` must only add up its inputs with positive weights, so that no effect is cancelled.
    """
    one_channel = np.eye(len(x))[:, :, np.newaxis, np.newaxis]
    y = run(np.concatenate([x[np.newaxis], x + one_channel]))
    changed = (y[1:] != y[:1]).reshape(len(x), y.shape[1], -1)
    return np.asarray(changed.any(axis=2).T)


def assert_read(found: Array, expected: Array) -> None:
    """Assert that each output channel depends on the expected channels."""
    assert found.shape == expected.shape, f"{len(found)} output channels, not {len(expected)}"
    for output, channel in np.argwhere(found != expected)[:1].tolist():
        does = "reads" if found[output, channel] else "does not read"
        raise AssertionError(f"output channel {output} {does} channel {channel}")


@dataclass(frozen=True)
class Stack:
    """Group convolutions on maps of 3x4 with a ReLU after each.

    `channels` has one number more than `groups`: those of the input come first.
    """

    channels: tuple[int, ...]
    groups: tuple[int, ...]
    seed: int = 0

    @property
    def x(self) -> Array:
        """An image [C, H, W] of positive numbers."""
        return integers(self.seed, self.channels[0], 3, 4, low=1)

    def run(
        self, ops: Operators, x: Array, between: Callable[[Array], Array] | None = None
    ) -> Array:
        """Run the layers on a batch, and `between` two of them what it names."""
        for layer, (depth, filters, groups) in enumerate(
            zip(self.channels[:-1], self.channels[1:], self.groups, strict=True)
        ):
            if between is not None and layer:
                x = between(x)
            side = 1 + 2 * (layer % 2)
            weight = integers(self.seed + layer, filters, depth // groups, side, side, low=1)
            x = ops.relu(ops.conv2d(x, weight, padding=(side // 2, side // 2), groups=groups))
        return x
