"""The paths through residual blocks: how many, what adds up over them, whether they are a vote.

Document 003 (lines 90 and 92).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from claims._blocks import BLOCKS, Blocks, filled
from claims._residual import (
    CHANNELS,
    HEIGHT,
    KINDS,
    NOTHING_AFTER,
    SERIES_FAULTS,
    WIDTH,
    Condition,
    Series,
    built,
    input_halved,
    inputs_of,
    jacobian,
    last_left_out,
    layers_of,
    no_addition,
    outputs,
    residual_halved,
    series,
    side_by_side,
    width_of,
)
from claims.checks import same
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.trained import trained
from claims.training.rules import AllOf, MeanAbove, MeanBelow

# Paths: counted on blocks -------------------------------------------------------------------------

Path = tuple[bool, ...]


def paths_through(blocks: int) -> list[Path]:
    """Return the paths through blocks in series: for each block whether its branch is taken."""
    return list(itertools.product((False, True), repeat=blocks))


@dataclass(frozen=True)
class Paths:
    """The paths through blocks in series, and in closed form how many there are."""

    listed: Callable[[int], list[Path]]
    number: Callable[[Any], Any]
    of_length: Callable[[Any, Any], Any]


def _paths() -> Paths:
    import sympy

    return Paths(paths_through, number=lambda blocks: 2**blocks, of_length=sympy.binomial)


PATHS: Subject[Paths] = Subject("paths", _paths)


def other_paths(name: str, **forms: Callable[..., Any]) -> Fault[Paths]:
    """Return a world with other paths."""
    return Fault(name, lambda right: dataclasses.replace(right, **forms))


def series_of_gains(blocks: Blocks, kind: str, number: int) -> Callable[[Sequence[int]], str]:
    """Return a function that gives the digits of what blocks in series make of a one.

    It takes the gains by which their branches multiply.
    """
    from torch import nn

    parts = [filled(getattr(blocks, kind)(CHANNELS, width_of(kind)), 0) for _ in range(number)]
    for conv, norm in itertools.chain.from_iterable(map(layers_of, parts)):
        nn.init.dirac_(conv.weight)
        norm.weight.fill_(1)
        norm.bias.zero_()
    network = blocks.Sequential(*parts)
    x = np.zeros((1, CHANNELS, HEIGHT, WIDTH))
    x[:, 0] = 1  # the one channel that the narrow layers of a bottleneck keep

    def digits(gains: Sequence[int]) -> str:
        for part, gain in zip(parts, gains, strict=True):
            layers_of(part)[-1][1].weight.fill_(gain)
        found = np.unique(outputs(network, x)[0, 0])
        assert len(found) == 1, f"{number} {kind}s make {len(found)} numbers of ones"
        return f"{found[0]:.0f}"

    return digits


def gain_of(block: int) -> int:
    """Return a gain by which a sum of products over paths has a digit of its own for each."""
    return int(10 ** (2**block))


GAINS = Sample(
    "one to three residual blocks in series",
    [("BasicBlock", 1), ("BasicBlock", 3), ("Bottleneck", 2), ("Bottleneck", 3)],
)
SUBNETWORKS = "a residual network is a combination of many parallel sub-networks"

eight_paths = Claim(
    "residual-paths/three-blocks-have-eight-paths",
    says="Three residual blocks in series have eight paths from input to output, as each can be "
    "passed through or skipped: n have 2^n, of which C(n, k) pass through k.",
    cites=["003:92"],
    recorded=Holds(),
    reading_of=SUBNETWORKS,
)


@eight_paths.judged(
    subject=PATHS,
    on=PROOF,
    flipped_by=[
        other_paths("a path for each block", number=lambda blocks: blocks + 1),
        other_paths("no path around all blocks", number=lambda blocks: 2**blocks - 1),
        other_paths("one path of each length", of_length=lambda blocks, length: 1),
        other_paths("three paths", listed=lambda blocks: paths_through(blocks)[:3]),
    ],
)
def a_block_doubles_the_paths(paths: Paths, _: Proof) -> None:
    import sympy

    n, k = sympy.symbols("n k", integer=True, positive=True)
    assert paths.number(0) == paths.of_length(0, 0) == 1, "no block must leave one path"
    # A path through one more block is a path that skips it or one that passes through it.
    more = sympy.expand(paths.number(n + 1) - 2 * paths.number(n))
    assert more == 0, f"one more block gives {more} paths more than twice as many"
    both = paths.of_length(n, k) + paths.of_length(n, k - 1)
    off = sympy.combsimp(sympy.sympify(paths.of_length(n + 1, k) - both))
    assert off == 0, f"{off} paths of k blocks too many"
    lengths = [sum(path) for path in paths.listed(3)]
    assert [lengths.count(length) for length in range(4)] == [1, 3, 3, 1], f"of three: {lengths}"


@eight_paths.judged(
    subject=BLOCKS,
    on=GAINS,
    flipped_by=[no_addition, input_halved, residual_halved, side_by_side, last_left_out],
)
def every_path_gives_its_product(blocks: Blocks, c: tuple[str, int]) -> None:
    kind, number = c
    digits = series_of_gains(blocks, kind, number)([gain_of(block) for block in range(number)])
    assert digits == "1" * 2**number, f"{number} {kind}s: a digit for each path gives {digits}"


half_of_the_paths = Claim(
    "residual-paths/each-block-serves-half-of-the-paths",
    says="Half of the paths pass through a given block, four of eight if there are three: they "
    "share its weights, and without it half of the paths are left.",
    cites=["003:92"],
    recorded=Holds(),
)


@half_of_the_paths.judged(
    subject=PATHS,
    on=PROOF,
    flipped_by=[other_paths("a path for each block", number=lambda blocks: blocks + 1)],
)
def others_are_free(paths: Paths, _: Proof) -> None:
    import sympy

    n = sympy.Symbol("n", integer=True, positive=True)
    through = paths.number(n - 1)  # for to pass through a block leaves the choice at the others
    assert sympy.expand(2 * through - paths.number(n)) == 0, f"{through} is not half of the paths"


def paths_changed(blocks: Blocks, kind: str, number: int) -> list[int]:
    """Return for each of some blocks in series in how many paths another gain of it shows."""
    digits = series_of_gains(blocks, kind, number)
    changed = []
    for block in range(number):
        gains = [gain_of(other) * (1 + (other == block)) for other in range(number)]
        changed.append(digits(gains).count("2"))
    return changed


@half_of_the_paths.judged(subject=BLOCKS, on=GAINS, flipped_by=[no_addition, side_by_side])
def a_block_changes_half_of_the_paths(blocks: Blocks, c: tuple[str, int]) -> None:
    changed = paths_changed(blocks, *c)
    assert changed == [2 ** (c[1] - 1)] * c[1], f"{c[1]} blocks change {changed} paths each"


VOTE = "a residual network is a vote of many"

independent_voters = Claim(
    "residual-paths/paths-are-independent-voters",
    says="The sub-networks of three residual blocks are independent of each other as voters are: "
    "what changes a block changes one of them.",
    cites=["003:92"],
    recorded=Refuted(instead="residual-paths/each-block-serves-half-of-the-paths"),
    reading_of=VOTE,
)


@independent_voters.judged(
    subject=BLOCKS, on=[(kind, 3) for kind in KINDS], flipped_by=[side_by_side]
)
def a_block_changes_one_path(blocks: Blocks, c: tuple[str, int]) -> None:
    changed = paths_changed(blocks, *c)
    assert changed == [1, 1, 1], f"one block changes {max(changed)} of 8 paths"


# Paths: summed up ---------------------------------------------------------------------------------

LINEAR: dict[str, Condition] = {
    "the residual branches are linear": lambda c: not (c.relu_inside or c.shifts)
}

is_sum_of_paths = Claim(
    "residual-paths/output-is-the-sum-of-the-paths",
    says="Three residual blocks in series give the sum of the eight networks that their paths are: "
    "on each path alone, branch or shortcut of one block after the other.",
    cites=["003:92"],
    recorded=HoldsIf(*LINEAR, *NOTHING_AFTER),
    reading_of=SUBNETWORKS,
)
is_sum_of_jacobians = Claim(
    "residual-paths/jacobian-is-the-sum-over-the-paths",
    says="The gradient flows through all eight paths of three residual blocks side by side: the "
    "Jacobian is the sum over the paths of the products of the Jacobians of branches and "
    "shortcuts on them, each taken where the network is.",
    cites=["003:90", "003:92"],
    recorded=HoldsIf(*NOTHING_AFTER),
    reading_of=SUBNETWORKS,
)
LIST_OF_PATHS_WRONG = [
    other_paths("no path around all blocks", listed=lambda blocks: paths_through(blocks)[1:]),
    other_paths(
        "paths through all blocks or none",
        listed=lambda blocks: [path[:1] * blocks for path in paths_through(blocks)],
    ),
]


@is_sum_of_paths.judged(subject=PATHS, on=PROOF, flipped_by=LIST_OF_PATHS_WRONG)
@is_sum_of_jacobians.judged(subject=PATHS, on=PROOF, flipped_by=LIST_OF_PATHS_WRONG)
def product_expands_into_paths(paths: Paths, _: Proof) -> None:
    """Expand the product of sums of any two matrices, which need not commute."""
    import sympy

    shortcuts, branches = (sympy.symbols(f"{name}1:4", commutative=False) for name in "SF")
    sums = [one + other for one, other in zip(shortcuts, branches, strict=True)]
    network = sympy.expand(math.prod(sums[::-1]))
    summed = sum(
        math.prod(
            (branches if taken else shortcuts)[at] for at, taken in reversed([*enumerate(path)])
        )
        for path in paths.listed(3)
    )
    assert network == summed, f"off by {network - summed}"


@is_sum_of_paths.judged(
    subject=BLOCKS,
    on=series(
        "two or three residual blocks in series, with ReLUs, shifts and projections or without",
        {"relu_inside": False, "relu_after": False, "shifts": False},
        {"relu_inside": False, "relu_after": False, "shifts": False, "projection": True},
        {"relu_inside": False, "shifts": False, "blocks": 2},
        {"relu_inside": False, "relu_after": False, "blocks": 2},
        {"relu_after": False, "shifts": False, "blocks": 2},
    ),
    when=LINEAR | NOTHING_AFTER,
    flipped_by=SERIES_FAULTS,
)
def output_is_the_sum_over_paths(blocks: Blocks, c: Series) -> None:
    network, branches = built(blocks, c)
    summed = np.zeros_like(c.x)
    for path in paths_through(c.blocks):
        along = c.x
        for branch, taken in zip(branches, path, strict=True):
            along = branch(along) if taken else branch.shortcut(along)
        summed += along
    same(outputs(network, c.x), summed, f"the output of {c.blocks} {c.kind}s")


@is_sum_of_jacobians.judged(
    subject=BLOCKS,
    on=series(
        "two or three residual blocks in series at some image",
        {"relu_after": False},
        {"relu_after": False, "blocks": 2, "projection": True},
        {"blocks": 2},
    ),
    when=NOTHING_AFTER,
    flipped_by=SERIES_FAULTS,
)
def jacobian_is_the_sum_over_paths(blocks: Blocks, c: Series) -> None:
    network, branches = built(blocks, c)
    image = c.x[:1]
    given = inputs_of(c, branches, image)
    slopes = [branch.jacobians(x) for branch, x in zip(branches, given, strict=True)]
    summed = np.zeros((image.size, image.size))
    for path in paths_through(c.blocks):
        along = np.eye(image.size)
        for slope, taken in zip(slopes, path, strict=True):
            along = slope[taken] @ along
        summed += along
    same(jacobian(network, image), summed, f"the Jacobian of {c.blocks} {c.kind}s")


# What only training decides -----------------------------------------------------------------------

ONE_BLOCK = "median rise of test error by a deleted block"

TRAINED = (
    trained(
        "residual-paths/votes-on-after-a-block-is-deleted",
        says="As a vote does without one voter, a trained residual network does without any one "
        "block that keeps the size of its maps, which a plain network does not.",
        cites=["003:92"],
        # Both intervals reach as far from the mean as the outermost of five runs usually lies.
        rule=AllOf(
            (
                MeanBelow("residual-56", 5.0, quantity=ONE_BLOCK, seeds=5),
                MeanAbove("plain-56", 30.0, quantity=ONE_BLOCK, seeds=5),
            )
        ),
        reading_of=VOTE,
    ),
    trained(
        "residual-paths/loses-slowly-as-blocks-are-deleted",
        says="As a vote loses little by little with its voters, the test error of a trained "
        "residual network rises smoothly with the number of blocks that are deleted.",
        cites=["003:92"],
        # 20 draws of 1 to 10 deleted blocks.
        rule=AllOf(
            (
                MeanAbove(
                    "residual-56",
                    0.9,
                    quantity="correlation of the number of deleted blocks and the error",
                    seeds=5,
                ),
                MeanBelow(
                    "residual-56",
                    1 / 3,
                    quantity="largest step of error by deleted blocks as a share of the whole rise",
                    seeds=5,
                ),
            )
        ),
        reading_of=VOTE,
    ),
)
