"""Channel shuffle: which order it gives, how it is undone, how it lets groups meet.

Document 003 (lines 78 and 79).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from claims._groups import Stack, channels_read
from claims.cases import SEEDS, integers, sampled, wide
from claims.checks import Array, same
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import operators as faults
from claims.subjects import OPERATORS
from nin_ref import oracle
from nin_ref.operators import Operators

# One fixed order ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shuffle:
    """A shuffle of images [2, groups * depth, 3, 4]."""

    groups: int
    depth: int
    seed: int = 0

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return self.groups * self.depth

    @property
    def x(self) -> Array:
        """The images."""
        return wide(integers(self.seed, 2, self.channels, 3, 4))


SHUFFLES = sampled(
    "shuffles of up to 8 groups of up to 9 channels",
    Shuffle,
    {"groups": (3, 1, 2, 4, 6), "depth": (4, 1, 3, 2, 8)},
    {"groups": st.integers(1, 8), "depth": st.integers(1, 9), "seed": SEEDS},
)


def _shuffled_at_random(base: Operators) -> Operators:
    random = np.random.default_rng(0)
    return faults.wrong(
        "", "channel_shuffle", lambda f, x, groups: random.permuted(x, axis=1)
    ).plant(base)


shuffled_in_float32 = faults.in_float32("channel_shuffle")
random_shuffles = Fault("another random order each time", _shuffled_at_random)

random_order = Claim(
    "channel-shuffle/is-random",
    says="The channels are shuffled at random.",
    cites=["003:78"],
    recorded=Refuted(instead="channel-shuffle/is-one-fixed-order"),
)


@random_order.judged(
    subject=OPERATORS,
    on=Sample("some shuffles of 12 channels", [Shuffle(3, 4), Shuffle(4, 3)]),
    flipped_by=[random_shuffles],
)
def orders_differ(ops: Operators, c: Shuffle) -> None:
    numbered = np.arange(12.0).reshape(1, 12, 1, 1)
    orders = {
        tuple(ops.channel_shuffle(numbered, c.groups).ravel().astype(int).tolist())
        for _ in range(20)
    }
    assert len(orders) > 1, (
        f"12 channels in {c.groups} groups come 20 times of 20 in the order "
        f"{' '.join(map(str, *orders))}"
    )


fixed_order = Claim(
    "channel-shuffle/is-one-fixed-order",
    says="A channel shuffle puts the channels in one fixed order, which depends on their number "
    "and the number of groups alone: those of the groups in turn, first channels first.",
    cites=["003:78"],
    recorded=Holds(),
)


@fixed_order.judged(
    subject=OPERATORS,
    on=SHUFFLES,
    flipped_by=[
        faults.shuffle_missing,
        faults.shuffle_inverted,
        faults.shuffle_off_by_one,
        random_shuffles,
        shuffled_in_float32,
        faults.wrong(
            "order by the first image",
            "channel_shuffle",
            lambda f, x, groups: f(x, groups) if x[0].sum() > 0 else x.copy(),
        ),
    ],
)
def groups_are_dealt_out_in_turn(ops: Operators, c: Shuffle) -> None:
    table = c.x.reshape(2, c.groups, c.depth, 3, 4)
    expected = np.stack([table[:, :, place] for place in range(c.depth)], axis=1)
    for sign in (1, -1):
        shuffled = ops.channel_shuffle(sign * c.x, c.groups)
        same(shuffled, sign * expected.reshape(c.x.shape), "the shuffled image")


Order = Callable[[Any, Any, Any], Any]


def _quotient(dividend: Any, divisor: Any) -> Any:
    """Divide, rounding down, as z3's division of positive whole numbers does."""
    return dividend // divisor if isinstance(dividend, int) else dividend / divisor


ORDER: Subject[Order] = Subject(
    "order of a channel shuffle",
    lambda: lambda place, groups, depth: place % groups * depth + _quotient(place, groups),
)


def other_order(name: str, order: Order) -> Fault[Order]:
    """Return a fault that puts another order in the place of the shuffle's."""
    return Fault(name, lambda right: order)


one_too_far = other_order("one too far", lambda i, g, n: (i + 1) % g * n + _quotient(i, g))
shuffled_back = other_order("shuffled back", lambda i, g, n: i % n * g + _quotient(i, n))


@fixed_order.judged(
    subject=ORDER,
    on=Sample("some sizes", [Shuffle(3, 4), Shuffle(4, 3), Shuffle(2, 5), Shuffle(1, 6)]),
    flipped_by=[one_too_far, shuffled_back],
)
def formula_deals_out_in_turn(order: Order, c: Shuffle) -> None:
    places = [order(place, c.groups, c.depth) for place in range(c.channels)]
    expected = np.arange(c.channels).reshape(c.groups, c.depth).T.ravel().tolist()
    assert places == expected, f"{c.groups} groups of {c.depth} are put in the order {places}"


def proved(what: str, *facts: Any) -> None:
    """Assert that z3 finds no numbers that meet all these facts."""
    import z3

    solver = z3.Solver()
    solver.add(*facts)
    assert solver.check() == z3.unsat, what


loses_nothing = Claim(
    "channel-shuffle/can-be-undone",
    says="A channel shuffle only rearranges channels: another one, with as many groups as there "
    "were channels in each, puts them back.",
    cites=["003:78"],
    recorded=Holds(),
)


@loses_nothing.judged(
    subject=OPERATORS,
    on=SHUFFLES,
    flipped_by=[
        faults.shuffle_off_by_one,
        shuffled_in_float32,
        faults.wrong(
            "last channel lost",
            "channel_shuffle",
            lambda f, x, groups: f(
                x * (np.arange(x.shape[1]) < x.shape[1] - 1)[:, None, None], groups
            ),
        ),
        random_shuffles,
    ],
)
def second_shuffle_puts_channels_back(ops: Operators, c: Shuffle) -> None:
    once = ops.channel_shuffle(c.x, c.groups)
    same(np.sort(once, axis=1), np.sort(c.x, axis=1), "the channels of the shuffled image")
    same(ops.channel_shuffle(once, c.depth), c.x, "the image shuffled twice")


@loses_nothing.judged(subject=ORDER, on=PROOF, flipped_by=[one_too_far])
def order_with_depth_for_groups_is_the_inverse(order: Order, _: Proof) -> None:
    import z3

    place, groups, depth, source = z3.Ints("place groups depth source")
    facts = [groups >= 1, depth >= 1, place >= 0, place < groups * depth]
    parts = z3.And(source / depth == place % groups, source % depth == place / groups)
    proved("a channel from elsewhere", *facts, source == order(place, groups, depth), z3.Not(parts))
    proved("a place that is not put back", *facts, parts, order(source, depth, groups) != place)


# Where groups meet --------------------------------------------------------------------------------

ENOUGH = "each group has at least as many channels as there are groups"

shuffle_mixes = Claim(
    "channel-shuffle/lets-all-groups-meet",
    says="With a channel shuffle between two group convolutions each output depends on all input "
    "channels.",
    cites=["003:78", "003:79"],
    recorded=HoldsIf(ENOUGH),
)


@shuffle_mixes.judged(
    subject=OPERATORS,
    on=Sample(
        "some pairs of group convolutions in 2 to 4 groups, and a shuffle between them",
        [
            Stack((6, 4, 8), (2, 2)),
            Stack((6, 9, 3), (3, 3)),
            Stack((3, 12, 6), (3, 3)),
            Stack((8, 20, 12), (4, 4)),
            Stack((6, 6, 9), (3, 3)),
            Stack((8, 12, 4), (4, 4)),
        ],
    ),
    when={ENOUGH: lambda c: c.channels[1] >= c.groups[0] ** 2},
    flipped_by=[
        faults.shuffle_missing,
        faults.groups_ignored,
        faults.channel_ignored,
        faults.wrong(
            "neighbours exchanged",
            "channel_shuffle",
            lambda f, x, groups: np.roll(x, 1, axis=1),
        ),
    ],
)
def outputs_depend_on_all_groups(ops: Operators, c: Stack) -> None:
    read = channels_read(
        lambda x: c.run(ops, x, lambda maps: ops.channel_shuffle(maps, c.groups[0])), c.x
    )
    assert read.all(), (
        f"{c.groups[0]} groups of {c.channels[1] // c.groups[0]} channels: an output depends on "
        f"{read.sum(axis=1).min()} of {c.channels[0]} channels"
    )


@shuffle_mixes.judged(
    subject=ORDER,
    on=PROOF,
    when={ENOUGH: lambda _: True},
    flipped_by=[one_too_far, shuffled_back],
)
def every_group_gets_a_channel_of_every_other(order: Order, _: Proof) -> None:
    import z3

    place, groups, depth, group, start, rounds = z3.Ints("place groups depth group start rounds")
    sizes = [groups >= 1, depth >= 1, place >= 0, place < groups * depth]
    turn, behind = [group >= 0, group < groups], place / groups - rounds
    # That multiples of a number are as far apart as the number, z3 has to be told.
    apart = z3.Or(behind == 0, behind * groups >= groups, behind * groups <= -groups)
    proved("a multiple between zero and the number", groups >= 1, z3.Not(apart))
    of_group, first = order(place, groups, depth) / depth, rounds * groups + group
    proved("a channel out of turn", *sizes, *turn, apart, place == first, of_group != group)

    # A filter reads `depth` places in a row: are these enough, each group has its turn there.
    reached = [z3.And(start <= each, each < start + depth) for each in (first, first + groups)]
    offset = start - rounds * groups
    row = [depth >= groups, offset >= 0, offset < groups]
    proved("a row without the turn of a group", *turn, *row, z3.Not(z3.Or(*reached)))
    # Else the first places hold nothing of the last group.
    few = [depth < groups, place < depth]
    proved("a channel of the last group", *sizes, *few, of_group == groups - 1)


regrouping = Claim(
    "channel-shuffle/is-regrouping",
    says="A channel shuffle before a group convolution, panel (c), is a way to give each of its "
    "groups a part of every group before it, panel (b).",
    cites=["003:79"],
    recorded=Holds(),
)


@regrouping.judged(
    subject=OPERATORS,
    on=Sample(
        "a shuffle and a group convolution of some sizes, parts of equal size",
        [Stack((12, 4), (2,)), Stack((9, 6), (3,)), Stack((18, 3), (3,)), Stack((16, 8), (4,))],
    ),
    flipped_by=[
        faults.shuffle_missing,
        faults.shuffle_off_by_one,
        faults.groups_ignored,
        faults.groups_interleaved,
        faults.conv2d_in_float32,
    ],
)
def groups_take_a_part_of_each(ops: Operators, c: Stack) -> None:
    (channels, filters), (groups,) = c.channels, c.groups
    x, part = wide(np.stack([c.x, -c.x[::-1]])), channels // groups**2
    weight = integers(c.seed, filters, channels // groups, 1, 1)
    # Group k takes part k of every group; the shuffle has the first channels of all parts first.
    taken = x.reshape(2, groups, groups, part, 3, 4).transpose(0, 2, 3, 1, 4, 5)
    parts = np.split(taken.reshape(x.shape), groups, axis=1)
    filters_of = np.split(weight, groups)
    expected = [oracle.conv2d(*each) for each in zip(parts, filters_of, strict=True)]
    y = ops.conv2d(ops.channel_shuffle(x, groups), weight, groups=groups)
    same(y, np.concatenate(expected, axis=1), "the group convolution after the shuffle")
