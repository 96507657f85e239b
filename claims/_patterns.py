"""Noise images in which one of four patterns is planted, and networks that tell which one.

What a network needs to know is local, and each topic plants the patterns where it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from claims.subjects import Layers

KINDS, SIDE = 4, 12
STEPS, BATCH = 200, 64


def patterns_of(seed: int) -> torch.Tensor:
    """Return four patterns [4, 5, 5] of bright and dark pixels."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(KINDS, 5, 5, generator=generator).sign()


def planted(patterns: torch.Tensor, corners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return noise images [N, 1, 12, 12] with a pattern at each corner [N, 2], and its kind [N]."""
    import torch

    noise = torch.randn(len(corners), 1, SIDE, SIDE)
    kinds = torch.arange(len(corners)) % KINDS
    for image, kind, (top, left) in zip(noise, kinds, corners.tolist(), strict=True):
        image[0, top : top + 5, left : left + 5] = patterns[kind]
    return noise, kinds


def train(
    layers: Layers,
    network: nn.Module,
    draw: Callable[[int], tuple[torch.Tensor, torch.Tensor]],
) -> None:
    """Train a network to name the kind of the pattern in images that are drawn anew each step."""
    import torch

    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    loss = layers.CrossEntropyLoss()
    for _ in range(STEPS):
        images, kinds = draw(BATCH)
        optimiser.zero_grad()
        loss(network(images), kinds).backward()
        optimiser.step()


def share_right(network: nn.Module, images: torch.Tensor, kinds: torch.Tensor) -> float:
    """Return the share of images in which the network names the right kind."""
    import torch

    with torch.no_grad():
        return float((network(images).argmax(1) == kinds).float().mean())
