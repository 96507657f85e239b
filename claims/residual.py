"""Residual networks: what a skip connection adds, and what it does to gradients and depth.

Document 003 (lines 90, 92 and 94); the paths that it opens are the topic `residual_paths`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._blocks import BLOCKS, Blocks, altered, built_otherwise
from claims._residual import (
    BLOCK_FAULTS,
    IDENTITY,
    NOTHING_AFTER,
    SERIES_FAULTS,
    Branch,
    Series,
    built,
    input_halved,
    inputs_of,
    jacobian,
    last_input_added,
    layers_of,
    no_addition,
    outputs,
    residual_halved,
    rewired,
    series,
)
from claims.checks import Array, same
from claims.core.claim import Claim, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults.fields import perturbed
from claims.subjects import FACTS, Fact
from claims.trained import trained
from claims.training.rules import Lower, RatioBelow
from nin_ref import oracle

if TYPE_CHECKING:
    from torch import nn

# What a skip connection adds: three readings ------------------------------------------------------

ONLY_BEFORE = "a skip connection brings in the output of the layer before only"

adds_input = Claim(
    "residual/block-adds-its-input",
    says="A residual block adds what it is given, the output of the block before, to what its "
    "branch makes of it, and applies a ReLU.",
    cites=["003:90", "003:94"],
    recorded=HoldsIf(*IDENTITY),
    reading_of=ONLY_BEFORE,
)


@adds_input.judged(
    subject=BLOCKS,
    on=series(
        "torchvision's two residual blocks", {"blocks": 1}, {"blocks": 1, "projection": True}
    ),
    when=IDENTITY,
    flipped_by=[*BLOCK_FAULTS, residual_halved],
)
def output_is_input_and_branch(blocks: Blocks, c: Series) -> None:
    block, (branch,) = built(blocks, c)
    same(outputs(block, c.x), oracle.relu(c.x + branch(c.x)), f"the output of a {c.kind}")


from_layer_before = Claim(
    "residual/skip-starts-at-the-layer-before",
    says="What the skip connection adds to the output of a layer is the output of the layer right "
    "before it.",
    cites=["003:94"],
    recorded=Refuted(instead="residual/block-adds-its-input"),
    reading_of=ONLY_BEFORE,
)


@from_layer_before.judged(
    subject=BLOCKS,
    on=series("torchvision's two residual blocks", {"blocks": 1}),
    flipped_by=[last_input_added],
)
def output_of_the_layer_before_is_added(blocks: Blocks, c: Series) -> None:
    block, (branch,) = built(blocks, c)
    before = oracle.relu(Branch(branch.layers[:-1], relu_inside=True)(c.x))
    off = (outputs(block, c.x) != oracle.relu(before + branch(c.x))).sum()
    assert not off, (
        f"{c.kind}: {off} of {c.x.size} outputs differ, for added is the block's input, from "
        f"{len(branch.layers)} layers before"
    )


brings_nothing_earlier = Claim(
    "residual/skip-brings-nothing-of-earlier-blocks",
    says="What the skip connection of a block brings in is only what the branch of the block "
    "before has put out, and nothing of earlier ones.",
    cites=["003:94"],
    recorded=Refuted(instead="residual/output-is-the-input-and-all-residuals"),
    reading_of=ONLY_BEFORE,
)


@brings_nothing_earlier.judged(
    subject=BLOCKS,
    on=series("three residual blocks in series", {"relu_after": False}),
    flipped_by=[no_addition],
)
def skip_brings_the_last_residual(blocks: Blocks, c: Series) -> None:
    network, branches = built(blocks, c)
    given: list[Array] = []
    for block in network:
        block.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].numpy().copy()))
    outputs(network, c.x)
    last = branches[1](given[1])
    off = given[2] - last
    assert not off.any(), (
        f"{c.kind}s: of what block 3 is given block 2 has added {last[0, 0, 0, 0]:g} in the first "
        f"pixel, earlier ones and the input {off[0, 0, 0, 0]:g}"
    )


all_residuals = Claim(
    "residual/output-is-the-input-and-all-residuals",
    says="The output of residual blocks in series is their input plus what all their branches have "
    "added to it: so every block is given the sum of all that came before.",
    cites=["003:92", "003:94"],
    recorded=HoldsIf(*NOTHING_AFTER, *IDENTITY),
)


@all_residuals.judged(
    subject=BLOCKS,
    on=series(
        "two to four residual blocks in series",
        {"relu_after": False},
        {"relu_after": False, "blocks": 4},
        {"relu_after": False, "blocks": 2, "relu_inside": False},
        {},
        {"relu_after": False, "projection": True},
    ),
    when=NOTHING_AFTER | IDENTITY,
    flipped_by=SERIES_FAULTS,
)
def output_is_a_telescoping_sum(blocks: Blocks, c: Series) -> None:
    network, branches = built(blocks, c)
    added = [
        branch(given) for branch, given in zip(branches, inputs_of(c, branches, c.x), strict=True)
    ]
    same(outputs(network, c.x), c.x + np.sum(added, axis=0), f"the output of {c.kind}s")


zero_branch = Claim(
    "residual/zero-branch-makes-a-block-the-identity",
    says="A residual block whose last batch norm is zero, as some are at the start of training, "
    "puts out what it is given: more blocks need not compute anything else.",
    cites=["003:90"],
    recorded=HoldsIf("the input is not negative", *IDENTITY),
)


@zero_branch.judged(
    subject=BLOCKS,
    on=series(
        "three residual blocks of which all branches end in zero",
        {"negative": False},
        {},
        {"negative": False, "projection": True},
    ),
    when={"the input is not negative": lambda c: not c.negative} | IDENTITY,
    flipped_by=BLOCK_FAULTS[:-1],  # what is given is not negative
)
def nothing_changes(blocks: Blocks, c: Series) -> None:
    network, branches = built(blocks, c)
    for branch in branches:
        _, norm = branch.layers[-1]
        norm.weight.zero_()
        norm.bias.zero_()
    same(outputs(network, c.x), c.x, f"the output of {c.kind}s")


# Gradients through a skip connection --------------------------------------------------------------

adds_identity = Claim(
    "residual/skip-adds-the-identity-to-the-jacobian",
    says="Because of the skip connection the Jacobian of a block is the identity plus that of its "
    "branch: the gradient at its output reaches its input unchanged, and more is added.",
    cites=["003:90"],
    recorded=HoldsIf(*NOTHING_AFTER, *IDENTITY),
)


@adds_identity.judged(
    subject=BLOCKS,
    on=series(
        "residual blocks at some image",
        {"blocks": 1, "relu_after": False},
        {"blocks": 1, "relu_after": False, "relu_inside": False},
        {"blocks": 1},
        {"blocks": 1, "relu_after": False, "projection": True},
    ),
    when=NOTHING_AFTER | IDENTITY,
    flipped_by=[
        *BLOCK_FAULTS,
        rewired("skip cut off from the gradient", lambda r, shortcut, _: r + shortcut.detach()),
        rewired("branch cut off from the gradient", lambda r, shortcut, _: r.detach() + shortcut),
    ],
)
def jacobian_is_identity_and_branch(blocks: Blocks, c: Series) -> None:
    block, (branch,) = built(blocks, c)
    image = c.x[:1]
    _, slope = branch.jacobians(image)
    same(jacobian(block, image), np.eye(image.size) + slope, f"the Jacobian of a {c.kind}")


# Gradients of deep networks at the start ----------------------------------------------------------


@dataclass(frozen=True)
class Depth:
    """A network of 54 convolutions at the start of training, and its seed.

    `weights` are those that PyTorch starts with, or larger ones by He et al. (arXiv 1502.01852).
    """

    batch_norm: bool
    weights: str
    seed: int

    def __str__(self) -> str:
        return f"{self.weights}'s weights {'with' if self.batch_norm else 'without'} batch norm"


DEPTHS = Sample(
    "27 basic blocks with and without batch norm, two ways to draw the weights, some seeds",
    [
        Depth(batch_norm, weights, seed)
        for batch_norm in (False, True)
        for weights in ("PyTorch", "He")
        for seed in range(3)
    ],
)


def _no_norm(channels: int) -> nn.Module:  # noqa: ARG001 - as batch norms are made
    from torch import nn

    return nn.Identity()


@functools.cache
def growth(blocks: Blocks, c: Depth, *, residual: bool) -> float:
    """Return how many times as large a gradient is at the input of a network as at its output.

    The plain network has the layers of the residual one. Both are in training mode.
    """
    import torch
    from torch import nn

    options: dict[str, Any] = {} if c.batch_norm else {"norm_layer": _no_norm}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(c.seed)
        parts: list[Any] = [blocks.BasicBlock(8, 8, **options).double() for _ in range(27)]
        for conv in [conv for part in parts for conv, _ in layers_of(part)]:
            if c.weights == "He":
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if not residual:
            parts = [
                layer for part in parts for pair in layers_of(part) for layer in (*pair, nn.ReLU())
            ]
        x = torch.randn(4, 8, 8, 8, dtype=torch.float64, requires_grad=True)
        y = nn.Sequential(*parts)(x)
        pulled = torch.randn_like(y)
    (reached,) = torch.autograd.grad(y, x, pulled)
    return float(reached.norm() / pulled.norm())


CAUSE = "deep plain networks get worse because gradients vanish"

gradients_vanish = Claim(
    "residual/gradients-of-a-deep-plain-network-vanish",
    says="In a plain network of 54 convolutions the gradient vanishes on its way back: at the "
    "input it is less than a millionth of that at the output when training starts.",
    cites=["003:90"],
    recorded=HoldsIf("no batch norm", "weights as small as PyTorch draws them"),
    reading_of=CAUSE,
    cost="cpu",
)
no_batch_norm = built_otherwise(
    "batch norms left out",
    lambda right, *sizes, **options: right(*sizes, **options | {"norm_layer": _no_norm}),
    "BasicBlock",
)


def _larger_weights(block: Any) -> None:
    for conv, _ in layers_of(block):
        conv.weight.data *= 3


@gradients_vanish.judged(
    subject=BLOCKS,
    on=DEPTHS,
    when={
        "no batch norm": lambda c: not c.batch_norm,
        "weights as small as PyTorch draws them": lambda c: c.weights == "PyTorch",
    },
    flipped_by=[no_batch_norm, altered("weights tripled", _larger_weights, "BasicBlock")],
)
def little_is_left_at_the_input(blocks: Blocks, c: Depth) -> None:
    share = growth(blocks, c, residual=False)
    assert share < 1e-6, f"{c}: {share:.0e} times as large at the input"


eases_flow = Claim(
    "residual/skips-keep-the-size-of-gradients",
    says="With skip connections gradients reach the early layers more easily: over 54 convolutions "
    "their size changes by a smaller factor, up or down, than without when training starts.",
    cites=["003:90"],
    recorded=HoldsIf("batch norm, or weights as small as PyTorch draws them"),
    cost="cpu",
)


@eases_flow.judged(
    subject=BLOCKS,
    on=DEPTHS,
    when={
        "batch norm, or weights as small as PyTorch draws them": lambda c: (
            c.batch_norm or c.weights == "PyTorch"
        )
    },
    flipped_by=[no_addition, no_batch_norm],
)
def factor_is_smaller_with_skips(blocks: Blocks, c: Depth) -> None:
    plain, residual = (growth(blocks, c, residual=skips) for skips in (False, True))
    assert abs(math.log(residual)) < abs(math.log(plain)), (
        f"{c}: {residual:.0e} with skips, {plain:.0e} without"
    )


SOLVED = "residual networks solve the problem of depth"

do_not_vanish = Claim(
    "residual/gradients-of-a-deep-residual-network-do-not-vanish",
    says="In a residual network of 54 convolutions the gradient does not vanish on its way back: "
    "at the input it is more than a third of that at the output when training starts.",
    cites=["003:90"],
    recorded=Holds(),
    reading_of=SOLVED,
    cost="cpu",
)


@do_not_vanish.judged(subject=BLOCKS, on=DEPTHS, flipped_by=[no_addition, input_halved])
def enough_is_left_at_the_input(blocks: Blocks, c: Depth) -> None:
    share = growth(blocks, c, residual=True)
    assert share > 1 / 3, f"{c}: {share:.0e} times as large at the input"


named_cause = Claim(
    "residual/paper-names-vanishing-gradients-as-cause",
    says="The paper that reports that deeper plain networks get worse gives vanishing gradients as "
    "the cause.",
    cites=["003:90"],
    recorded=Refuted(instead="residual/gradients-of-a-deep-plain-network-vanish"),
    reading_of=CAUSE,
)


@named_cause.judged(
    subject=FACTS,
    on=["vanishing gradients"],
    flipped_by=[
        perturbed("the record agrees", "resnet/cause-of-degradation", value="vanishing gradients")
    ],
)
def record_gives_the_cause(facts: Mapping[str, Fact], cause: str) -> None:
    fact = facts["resnet/cause-of-degradation"]
    assert fact.value == cause, f"the record says {fact.value} ({fact.source})"


DEPTHS_IN_PAPER = [20, 32, 44, 56, 110, 1202]

deeper_is_better = Claim(
    "residual/deeper-is-always-better",
    says="With residual networks depth is no problem any more: in the test errors on CIFAR-10 of "
    "their paper each deeper network is better than the one before.",
    cites=["003:90"],
    recorded=HoldsIf("at most 110 layers"),
    reading_of=SOLVED,
)


@deeper_is_better.judged(
    subject=FACTS,
    on=list(itertools.pairwise(DEPTHS_IN_PAPER)),
    when={"at most 110 layers": lambda depths: depths[1] <= 110},
    flipped_by=[
        perturbed("1202 layers at 6.13 %", "resnet/cifar10-error-1202", value="6.13"),
        perturbed("56 layers at 7.27 %", "resnet/cifar10-error-56", value="7.27"),
    ],
)
def more_layers_lower_the_error(
    facts: Mapping[str, Fact], depths: tuple[int, int]
) -> dict[str, str]:
    shallow, deep = (facts[f"resnet/cifar10-error-{depth}"] for depth in depths)
    assert float(deep.value) < float(shallow.value), (
        f"{deep.value} % with {depths[1]} layers, {shallow.value} % with {depths[0]}"
    )
    return {"shallow": shallow.value, "deep": deep.value, "certainty": deep.certainty}


# What only training decides -----------------------------------------------------------------------

WORSE = "a deeper plain network is hardly better or even worse"

TRAINED = (
    trained(
        "residual/deeper-plain-networks-test-worse",
        says="On CIFAR-10 a plain network of 56 layers has a higher test error than one of 20.",
        cites=["003:90"],
        rule=Lower("plain-20", "plain-56", seeds=5),
        reading_of=WORSE,
    ),
    trained(
        "residual/deeper-plain-networks-train-worse",
        says="On CIFAR-10 a plain network of 56 layers ends with a higher training error than one "
        "of 20, so that it is training that fails and not generalisation.",
        cites=["003:90"],
        rule=Lower("plain-20", "plain-56", quantity="training error", seeds=5),
        reading_of=WORSE,
    ),
    trained(
        "residual/early-layers-of-deep-plain-networks-get-no-gradient",
        says="While a plain network of 56 layers is trained with batch norm its early layers get "
        "hardly any gradient: over the first epoch the first convolution's gradient is on average "
        "less than a hundredth of that in a network of 20 layers.",
        cites=["003:90"],
        rule=RatioBelow("plain-56", "plain-20", ratio=0.01, quantity="first gradient", seeds=5),
        reading_of=CAUSE,
    ),
    trained(
        "residual/deep-residual-networks-beat-plain-ones",
        says="On CIFAR-10 a network of 56 layers has a lower test error with skip connections than "
        "without.",
        cites=["003:90"],
        rule=Lower("residual-56", "plain-56", seeds=5),
        reading_of=SOLVED,
    ),
    trained(
        "residual/deeper-residual-networks-test-better",
        says="On CIFAR-10 a residual network of 56 layers has a lower test error than one of 20.",
        cites=["003:90"],
        rule=Lower("residual-56", "residual-20", seeds=5),
        reading_of=SOLVED,
    ),
)
