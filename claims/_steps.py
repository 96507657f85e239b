"""Training steps that several topics compare in time: what is timed, and what evidence says of it.

`make measure` times every step of `STEPS` in turn, round after round, and writes
`results/measured/training-steps-DEVICE.json`. A claim compares two of them.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claims._inception import kernel_bank
from claims.core.claim import Fault
from claims.core.verdict import InsufficientEvidenceError
from claims.subjects import OUR_MODELS, Evidence

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Step:
    """A step of training a network or a layer: forward and backward pass and an update by SGD.

    `shape` is that of the batch, [N, C, H, W].
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, int, int, int]


def our_model(name: str) -> nn.Module:
    """Build one of the models of `nin_ref.models` by its name in claims."""
    from nin_ref import models

    built: nn.Module = getattr(models, OUR_MODELS[name])()
    return built


def convolutions(*layers: tuple[int, int, int]) -> nn.Module:
    """Build a chain of convolutions with ReLUs between them; each is (inputs, outputs, kernel).

    Kernels are square and odd, and padding keeps the size of the maps.
    """
    from torch import nn

    chain: list[nn.Module] = []
    for inputs, outputs, kernel in layers:
        chain += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU()]
    return nn.Sequential(*chain[:-1])


def separable_convolutions(layers: int, channels: int) -> nn.Module:
    """Build a chain of depthwise separable convolutions of 3x3 with ReLUs between them."""
    from torch import nn

    chain: list[nn.Module] = []
    for _ in range(layers):
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        chain += [depthwise, nn.Conv2d(channels, channels, 1), nn.ReLU()]
    return nn.Sequential(*chain[:-1])


STEPS: dict[str, Step] = {
    **{
        name: Step(functools.partial(our_model, name), (128, 1, 224, 224))
        for name in ("lecture-nin", "lecture-alexnet")
    },
    # Document 003, lines 8 and 11.
    "one-3x3": Step(lambda: convolutions((64, 64, 3)), (32, 64, 32, 32)),
    "one-5x5": Step(lambda: convolutions((64, 64, 5)), (32, 64, 32, 32)),
    "one-7x7": Step(lambda: convolutions((64, 64, 7)), (32, 64, 32, 32)),
    "two-3x3": Step(lambda: convolutions(*2 * [(64, 64, 3)]), (32, 64, 32, 32)),
    "three-3x3": Step(lambda: convolutions(*3 * [(64, 64, 3)]), (32, 64, 32, 32)),
    # Widths of GoogLeNet's first block, of which the bank of equal cost has the kernels.
    "3x3-layer": Step(lambda: convolutions((192, 224, 3)), (32, 192, 28, 28)),
    "equal-cost-bank": Step(lambda: kernel_bank(192, {1: 64, 3: 128, 5: 32}), (32, 192, 28, 28)),
    "full-width-bank": Step(lambda: kernel_bank(192, {1: 224, 3: 224, 5: 224}), (32, 192, 28, 28)),
    # Document 003, lines 26 to 28.
    "direct-3x3": Step(lambda: convolutions((256, 256, 3)), (32, 256, 28, 28)),
    "bottleneck": Step(
        lambda: convolutions((256, 64, 1), (64, 64, 3), (64, 256, 1)), (32, 256, 28, 28)
    ),
    # Document 003, line 73.
    "standard-layers": Step(lambda: convolutions(*3 * [(256, 256, 3)]), (32, 256, 28, 28)),
    "depthwise-separable-layers": Step(lambda: separable_convolutions(3, 256), (32, 256, 28, 28)),
}


def times_as_long(evidence: Evidence, device: str, one: str, other: str) -> float:
    """Return how many times as long a step of `one` took as one of `other`.

    Both were timed in the same rounds; the median of the ratios counts. Of 15 rounds, the third
    ratio from below and from above enclose the true median with 99 % confidence.

    Raises:
        InsufficientEvidenceError: if no step was timed on that device, or if the rounds do not tell
            which of the two takes longer.
        UnavailableError: if the evidence lacks one of them.
    """
    seconds = evidence.measurement(f"training-steps-{device}")["seconds"]
    times: list[tuple[float, float]] = list(zip(seconds[one], seconds[other], strict=True))
    ratios = sorted(mine / its for mine, its in times)
    rank = max(1, len(ratios) // 5)
    low, high = ratios[rank - 1], ratios[-rank]
    if low <= 1 <= high:
        raise InsufficientEvidenceError(
            f"{one} takes {low:.2f} to {high:.2f} times as long as {other}, which may be as long"
        )
    return statistics.median(ratios)


def steps_that_take(name: str, seconds: Mapping[str, float]) -> Fault[Evidence]:
    """Return synthetic evidence: steps that take so many seconds in each of three rounds."""

    @dataclass(frozen=True)
    class Synthetic(Evidence):
        def measurement(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - the same for all
            return {"seconds": {step: 3 * [took] for step, took in seconds.items()}}

    return Fault(name, lambda evidence: Synthetic(evidence.directory))
