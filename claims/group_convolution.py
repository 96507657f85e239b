"""Group convolution: what filters see of the channels, whether groups meet, where it comes from.

Document 003 (lines 77 to 79).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from claims._classics import convolutions
from claims._facts import stated
from claims._groups import GROUPS_DEPTHWISE, Stack, assert_read, channels_read
from claims._layers import remade
from claims.cases import SEEDS, Convolution, convolution, integers, pairs, sampled, wide
from claims.checks import Array, same
from claims.core.claim import Claim, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import operators as faults
from claims.subjects import LAYERS, MODELS, OPERATORS, Layers, Models
from nin_ref import oracle
from nin_ref.operators import Operators


def grouped(depth: int, filters: int, groups: int, **sizes: Any) -> Convolution | None:
    """Return the convolution with `depth` input and `filters` output channels in each group."""
    channels = {"in_channels": groups * depth, "out_channels": groups * filters}
    return convolution(**sizes, **channels, groups=groups)


GROUPED = sampled(
    "convolutions of 1 to 3 images in 2 to 4 groups of 1 to 3 channels, maps of 2x2 to 7x8, "
    "kernels up to 3x3, any stride, padding and dilation that fit",
    grouped,
    {
        "batch": (2, 1),
        "depth": (3, 2, 1),
        "filters": (2, 1),
        "height": (6, 5),
        "width": (7, 4),
        "kernel": ((3, 2), (1, 1), (2, 3)),
        "stride": ((1, 1), (2, 1)),
        "padding": ((1, 1), (0, 2)),
        "dilation": ((1, 1), (1, 2)),
        "groups": (2, 3, 4),
    },
    {
        "batch": st.integers(1, 3),
        "depth": st.integers(1, 3),
        "filters": st.integers(1, 3),
        "height": st.integers(2, 7),
        "width": st.integers(2, 8),
        "kernel": pairs(1, 3),
        "stride": pairs(1, 2),
        "padding": pairs(0, 2),
        "dilation": pairs(1, 2),
        "groups": st.integers(2, 4),
        "seed": SEEDS,
    },
)
SOME_GROUPED = Sample(GROUPED.described, GROUPED.covering[::3])

# What a group convolution is ----------------------------------------------------------------------

results_in_turn = faults.wrong(
    "results of the groups in turn",
    "conv2d",
    lambda f, *a, groups, **o: oracle.channel_shuffle(f(*a, groups=groups, **o), groups),
)

concatenates = Claim(
    "group-convolution/concatenates-convolutions-of-its-groups",
    says="A group convolution convolves each group of channels with filters of its own and puts "
    "the results of the groups one after another.",
    cites=["003:77"],
    recorded=Holds(),
)


@concatenates.judged(
    subject=OPERATORS,
    on=GROUPED,
    flipped_by=[
        faults.groups_ignored,
        faults.groups_interleaved,
        faults.bias_missing,
        faults.channel_ignored,
        faults.filter_ignored,
        faults.stride_swapped,
        faults.conv2d_in_float32,
        results_in_turn,
        faults.wrong(
            "filters of the first group for all",
            "conv2d",
            lambda f, x, w, *a, groups, **o: f(
                x, np.tile(w[: len(w) // groups], (groups, 1, 1, 1)), *a, groups=groups, **o
            ),
        ),
    ],
)
def groups_are_convolved_one_by_one(ops: Operators, c: Convolution) -> None:
    x, options = wide(c.x), {**c.options, "groups": 1}
    parts = (np.split(each, c.groups, axis) for each, axis in ((x, 1), (c.weight, 0), (c.bias, 0)))
    maps = [oracle.conv2d(*of_group, **options) for of_group in zip(*parts, strict=True)]
    y = ops.conv2d(x, c.weight, c.bias, **c.options)
    same(y, np.concatenate(maps, axis=1), "the group convolution")


def same_group(outputs: int, inputs: int, groups: int) -> Array:
    """Say which inputs are in the group of each output: [O, C]."""
    return np.asarray(np.kron(np.eye(groups), np.ones((outputs // groups, inputs // groups))) == 1)


reads_its_group = Claim(
    "group-convolution/a-filter-reads-its-group-only",
    says="A filter of a group convolution computes with some of the input channels only: with all "
    "those of its group, an equal share of them.",
    cites=["003:77", "003:79"],
    recorded=Holds(),
)


@reads_its_group.judged(
    subject=OPERATORS,
    on=SOME_GROUPED,
    flipped_by=[
        faults.groups_ignored,
        faults.groups_interleaved,
        faults.channel_ignored,
        results_in_turn,
        faults.wrong(
            "mean of all channels added",
            "conv2d",
            lambda f, x, *a, **o: f(x + x.mean(axis=1, keepdims=True), *a, **o),
        ),
    ],
)
def outputs_depend_on_their_group(ops: Operators, c: Convolution) -> None:
    read = channels_read(lambda x: ops.conv2d(x, abs(c.weight), **c.options), c.x[0])
    assert_read(read, same_group(c.out_channels, c.in_channels, c.groups))


EVENLY = {
    "groups divide the input channels": lambda c: c.in_channels % c.groups == 0,
    "groups divide the output channels": lambda c: c.out_channels % c.groups == 0,
}


@dataclass(frozen=True)
class Split:
    """A convolution layer in groups."""

    in_channels: int
    out_channels: int
    groups: int


split_evenly = Claim(
    "group-convolution/splits-channels-evenly",
    says="The channels are divided evenly among the groups: each filter is as deep as the input "
    "channels by the groups.",
    cites=["003:79"],
    recorded=HoldsIf(*EVENLY),
)


@split_evenly.judged(
    subject=LAYERS,
    on=Sample(
        "layers of 4 to 9 input channels, 4 to 8 output channels and 2 to 4 groups",
        [Split(*sizes) for sizes in itertools.product((4, 6, 8, 9), (4, 5, 6, 8), (2, 3, 4))],
    ),
    when=EVENLY,
    flipped_by=[
        wrong_formulas.groups_left_out,
        wrong_formulas.layer(
            "channels without a group left out",
            "Conv2d",
            lambda f, i, o, *a, groups: f(i - i % groups, o - o % groups, *a, groups=groups),
        ),
        wrong_formulas.layer(
            "filters as deep as the input",
            "Conv2d",
            lambda f, i, o, *a, groups: f(i * groups, o, *a, groups=groups),
        ),
    ],
)
def every_filter_has_its_share(layers: Layers, c: Split) -> None:
    try:
        layer = layers.Conv2d(c.in_channels, c.out_channels, 1, groups=c.groups)
    except ValueError:
        layer = None
    sizes = f"{c.in_channels} channels to {c.out_channels} in {c.groups} groups"
    assert layer is not None, f"{sizes}: no such layer"
    shape = list(layer.state_dict()["weight"].shape)
    expected = [c.out_channels, c.in_channels // c.groups, 1, 1]
    assert shape == expected, f"{sizes}: weights of shape {shape}"


is_depthwise = Claim(
    "group-convolution/is-depthwise",
    says="To convolve channels in groups is to convolve them depthwise: each output channel is "
    "made from a single input channel.",
    cites=["003:78"],
    recorded=HoldsIf("each group has a single input channel"),
    reading_of=GROUPS_DEPTHWISE,
)


@is_depthwise.judged(
    subject=OPERATORS,
    on=SOME_GROUPED,
    when={"each group has a single input channel": lambda c: c.in_channels == c.groups},
    flipped_by=[
        faults.groups_ignored,
        faults.channel_ignored,
        faults.wrong(
            "first channel of each group alone",
            "conv2d",
            lambda f, x, w, *a, **o: f(x, w * (np.arange(w.shape[1]) == 0)[:, None, None], *a, **o),
        ),
    ],
)
def an_output_reads_one_channel(ops: Operators, c: Convolution) -> None:
    read = channels_read(lambda x: ops.conv2d(x, abs(c.weight), **c.options), c.x[0])
    for count in read.sum(axis=1).tolist():
        assert count == 1, f"{c.in_channels} channels in {c.groups} groups: an output reads {count}"


# Groups that do not meet, and where they do -------------------------------------------------------

MULTIPLES = "each later layer has the groups of the first, or a multiple of their number"

stay_apart = Claim(
    "group-convolution/stacked-groups-do-not-meet",
    says="In stacked group convolutions nothing passes from one group of the first layer to "
    "another: each output depends on all input channels of its own group and on no others.",
    cites=["003:78", "003:79"],
    recorded=HoldsIf(MULTIPLES),
)


@stay_apart.judged(
    subject=OPERATORS,
    on=Sample(
        "some stacks of 2 to 4 group convolutions in 2 to 6 groups",
        [
            Stack((6, 4, 8), (2, 2)),
            Stack((6, 9, 3, 12), (3, 3, 3)),
            Stack((4, 8, 12, 4, 8), (4, 4, 4, 4)),
            Stack((6, 4, 8), (2, 4)),
            Stack((6, 12, 18, 9), (3, 6, 3)),
            Stack((6, 12, 18), (2, 3)),
            Stack((8, 4, 12), (4, 2)),
        ],
    ),
    when={MULTIPLES: lambda c: not any(groups % c.groups[0] for groups in c.groups)},
    flipped_by=[
        faults.groups_ignored,
        faults.groups_interleaved,
        faults.channel_ignored,
        results_in_turn,
    ],
)
def outputs_depend_on_one_group(ops: Operators, c: Stack) -> None:
    read = channels_read(lambda x: c.run(ops, x), c.x)
    assert_read(read, same_group(c.channels[-1], c.channels[0], c.groups[0]))


linear_layer_fuses = Claim(
    "group-convolution/a-linear-layer-fuses-the-groups",
    says="A fully connected layer after group convolutions brings all groups together: each of its "
    "outputs depends on all input channels.",
    cites=["003:79"],
    recorded=Holds(),
)


@linear_layer_fuses.judged(
    subject=OPERATORS,
    on=Sample(
        "a fully connected layer after some stacks of 1 to 3 group convolutions",
        [Stack((6, 4), (2,)), Stack((6, 9, 3), (3, 3)), Stack((4, 8, 12, 4), (4, 4, 4))],
    ),
    flipped_by=[
        faults.channel_ignored,
        faults.wrong(
            "first half of the features alone",
            "linear",
            lambda f, x, w, *a: f(x[:, : x.shape[1] // 2], w[:, : x.shape[1] // 2], *a),
        ),
    ],
)
def linear_outputs_depend_on_everything(ops: Operators, c: Stack) -> None:
    def run(x: Array) -> Array:
        flat = c.run(ops, x).reshape(len(x), -1)
        weight = integers(c.seed + 9, 5, flat.shape[1], low=1)
        y = ops.linear(flat, weight)
        same(y, oracle.linear(flat, weight), "the fully connected layer")
        return y

    assert_read(channels_read(run, c.x), np.ones((5, c.channels[0]), bool))


# AlexNet ------------------------------------------------------------------------------------------

first_in_alexnet = stated(
    "group-convolution/comes-from-alexnet",
    "Group convolution was first used in AlexNet.",
    ["003:77"],
    Holds(),
    key="group-convolution/first",
    value="AlexNet",
    otherwise="ResNeXt",
)

ALEXNET = "AlexNet has group convolutions"

published_alexnet = stated(
    "group-convolution/alexnet-splits-three-convolutions",
    "AlexNet as published has its second, fourth and fifth convolution in two groups, one on each "
    "GPU.",
    ["003:77"],
    Holds(),
    key="alexnet/groups",
    value="1, 2, 1, 2, 2",
    otherwise="1, 1, 1, 1, 1",
    reading_of=ALEXNET,
)
torchvision_alexnet = Claim(
    "group-convolution/torchvision-alexnet-has-groups",
    says="AlexNet as torchvision has it convolves in groups.",
    cites=["003:77"],
    recorded=Refuted(instead="group-convolution/alexnet-splits-three-convolutions"),
    reading_of=ALEXNET,
)


@torchvision_alexnet.judged(
    subject=MODELS, on=["alexnet"], flipped_by=[remade("features.3", groups=2)]
)
def some_convolution_has_groups(models: Models, name: str) -> None:
    groups = [layer.groups for layer in convolutions(models(name))]
    assert max(groups) > 1, f"all {len(groups)} convolutions of torchvision's {name} have one group"
