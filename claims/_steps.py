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

from claims.core.claim import Fault
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


STEPS: dict[str, Step] = {
    name: Step(functools.partial(our_model, name), (128, 1, 224, 224))
    for name in ("lecture-nin", "lecture-alexnet")
}


def times_as_long(evidence: Evidence, device: str, one: str, other: str) -> float:
    """Return how many times as long a step of `one` took as one of `other`.

    Both were timed in the same rounds; the median of the ratios counts.

    Raises:
        InsufficientEvidenceError: if no step was timed on that device.
        UnavailableError: if the evidence lacks one of them.
    """
    seconds = evidence.measurement(f"training-steps-{device}")["seconds"]
    pairs = zip(seconds[one], seconds[other], strict=True)
    return statistics.median(mine / its for mine, its in pairs)


def steps_that_take(name: str, seconds: Mapping[str, float]) -> Fault[Evidence]:
    """Return synthetic evidence: steps that take so many seconds in each of three rounds."""

    @dataclass(frozen=True)
    class Synthetic(Evidence):
        def measurement(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - the same for all
            return {"seconds": {step: 3 * [took] for step, took in seconds.items()}}

    return Fault(name, lambda evidence: Synthetic(evidence.directory))
