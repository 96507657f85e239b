"""ShuffleNet: which convolutions its units have, where they shuffle, what its figure shows.

Document 003 (lines 75 to 79).
"""

from __future__ import annotations

import copy
import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from claims._classics import convolutions
from claims._facts import sourced, stated
from claims._groups import GROUPS_DEPTHWISE
from claims._layers import remade
from claims.cases import integers
from claims.checks import same
from claims.core.claim import Claim, Fault
from claims.core.verdict import Holds, HoldsIf, Recorded, Refuted
from claims.faults import models as surgeries
from claims.subjects import FACTS, MODELS, Fact, Models
from nin_ref import oracle

if TYPE_CHECKING:
    import torch
    from torch import nn

# Which convolutions -------------------------------------------------------------------------------

UNITS = ["shufflenet/unit", "shufflenet/unit-in-the-authors-code"]
V2 = ["shufflenet_v2_x0_5", "shufflenet_v2_x2_0"]


def units_are(value: str) -> Fault[Mapping[str, Fact]]:
    """Return a world in which units of ShuffleNet consist of other operations."""

    def plant(facts: Mapping[str, Fact]) -> Mapping[str, Fact]:
        return {**facts, **{key: dataclasses.replace(facts[key], value=value) for key in UNITS}}

    return Fault(f"units of {value}", plant)


def described(
    id_: str,
    says: str,
    recorded: Recorded,
    holds: Callable[[list[str]], bool],
    *,
    otherwise: Sequence[str],
    when: str = "",
    among: Sequence[str] = UNITS,
    **options: Any,
) -> Claim:
    """Return a claim about the operations of a unit, in their order, as two sources describe it.

    `otherwise` are units of which the verdict would be another one; the condition `when` is met by
    the sources `among` the two.
    """
    claim = Claim(id_, says=says, recorded=recorded, **options)

    @claim.judged(
        subject=FACTS,
        on=UNITS,
        when={when: lambda key: key in among} if when else {},
        flipped_by=[units_are(each) for each in otherwise],
    )
    def description_says_it(facts: Mapping[str, Fact], key: str) -> dict[str, str]:
        operations = facts[key].value
        assert holds(operations.split(", ")), f"a unit is {operations}"
        return sourced(facts[key])

    return claim


INGREDIENTS = "ShuffleNet combines depthwise and group convolution"

two_techniques = stated(
    "shufflenet/is-depthwise-and-group-convolution",
    "The two techniques that make ShuffleNet are depthwise convolution and group convolution.",
    ["003:75-77"],
    Refuted(instead="shufflenet/is-group-convolution-and-shuffle"),
    key="shufflenet/new-operations",
    value="depthwise convolution, group convolution",
    otherwise="depthwise convolution, group convolution",
    reading_of=INGREDIENTS,
)

two_operations = stated(
    "shufflenet/is-group-convolution-and-shuffle",
    "The two operations new in ShuffleNet are pointwise group convolution and channel shuffle.",
    ["003:75-77"],
    Holds(),
    key="shufflenet/new-operations",
    value="pointwise group convolution, channel shuffle",
    otherwise="depthwise convolution, group convolution",
)

FIRST_VERSION = "it is the first version"

uses_both = described(
    "shufflenet/uses-depthwise-and-group-convolution",
    "The units of ShuffleNet have depthwise convolutions, and convolutions in groups of several "
    "channels.",
    HoldsIf(FIRST_VERSION),
    lambda operations: {"3x3 depthwise convolution", "1x1 group convolution"} <= {*operations},
    otherwise=[
        "1x1 convolution, 3x3 depthwise convolution, 1x1 convolution",
        "1x1 group convolution, channel shuffle, 1x1 group convolution",
    ],
    when=FIRST_VERSION,
    cites=["003:75-77"],
    reading_of=INGREDIENTS,
)


def _one_by_ones_grouped(model: nn.Module) -> None:
    """Make every 1x1 convolution a group convolution."""
    for layer in convolutions(model):
        if layer.kernel_size == (1, 1):
            layer.groups = 2


@uses_both.judged(
    subject=MODELS,
    on=V2,
    when={FIRST_VERSION: lambda _: False},
    flipped_by=[surgeries.surgery("1x1 convolutions in two groups", _one_by_ones_grouped)],
)
def built_units_have_both(models: Models, name: str) -> None:
    groups = [(layer.groups, layer.in_channels) for layer in convolutions(models(name))]
    depthwise = sum(1 < count == channels for count, channels in groups)
    several = sum(1 < count < channels for count, channels in groups)
    assert depthwise, f"{name} has no depthwise convolution"
    assert several, (
        f"of {len(groups)} convolutions of {name} {depthwise} are depthwise, the others ungrouped"
    )


no_standard = Claim(
    "shufflenet/has-no-standard-convolution",
    says="ShuffleNet has no standard convolution, none that is larger than 1x1 and sums over all "
    "channels.",
    cites=["003:76"],
    recorded=Refuted(instead="shufflenet/is-depthwise-behind-its-first-layer"),
)


def _first_layer_depthwise(model: nn.Module) -> None:
    convolutions(model)[0].groups = 3


@no_standard.judged(
    subject=MODELS,
    on=V2,
    flipped_by=[surgeries.surgery("first layer depthwise", _first_layer_depthwise)],
)
def no_wide_kernel_sums_over_channels(models: Models, name: str) -> None:
    for layer in convolutions(models(name)):
        assert layer.kernel_size == (1, 1) or layer.groups > 1, (
            f"{name} has an ordinary {layer.kernel_size[0]}x{layer.kernel_size[1]} convolution of "
            f"{layer.in_channels} to {layer.out_channels} channels"
        )


depthwise_behind = described(
    "shufflenet/is-depthwise-behind-its-first-layer",
    "Behind the first layer of ShuffleNet every kernel larger than 1x1 is depthwise.",
    Holds(),
    lambda operations: (
        {one for one in operations if not one.startswith(("1x1 ", "channel "))}
        == {"3x3 depthwise convolution"}
    ),
    otherwise=["1x1 group convolution, channel shuffle, 3x3 group convolution"],
    cites=["003:76"],
)


def _depthwise_in_pairs(model: nn.Module) -> None:
    """Let the depthwise convolutions sum over pairs of channels."""
    for layer in convolutions(model):
        if layer.groups == layer.in_channels:
            layer.groups //= 2


@depthwise_behind.judged(
    subject=MODELS,
    on=V2,
    flipped_by=[
        surgeries.surgery("depthwise convolutions in pairs", _depthwise_in_pairs),
        remade("stage4.3.branch2.5", kernel_size=3, padding=1),
    ],
)
def wide_kernels_of_v2_are_depthwise(models: Models, name: str) -> dict[str, int]:
    behind = [layer for layer in convolutions(models(name))[1:] if layer.kernel_size != (1, 1)]
    assert behind, f"all kernels behind the first layer of {name} are 1x1"
    for layer in behind:
        assert layer.groups == layer.in_channels == layer.out_channels, f"{name} has {layer}"
    return {"depthwise convolutions": len(behind)}


groups_depthwise = described(
    "shufflenet/convolves-its-groups-depthwise",
    "The group convolutions of ShuffleNet are depthwise ones.",
    Refuted(instead="shufflenet/convolves-its-groups-pointwise"),
    lambda operations: not any("group convolution" in one for one in operations),
    otherwise=["channel shuffle, 3x3 depthwise convolution"],
    cites=["003:78"],
    reading_of=GROUPS_DEPTHWISE,
)
groups_pointwise = described(
    "shufflenet/convolves-its-groups-pointwise",
    "The group convolutions of ShuffleNet are 1x1, beside a depthwise one that is 3x3.",
    Holds(),
    lambda operations: (
        {one for one in operations if "convolution" in one}
        == {"1x1 group convolution", "3x3 depthwise convolution"}
    ),
    otherwise=[
        "3x3 group convolution, channel shuffle, 3x3 depthwise convolution",
        "1x1 group convolution, channel shuffle, 1x1 group convolution",
    ],
    cites=["003:78"],
)

# Where it shuffles --------------------------------------------------------------------------------

# The paper has the shuffle before the depthwise convolution, the authors' code has it behind.

before_each = described(
    "shufflenet/shuffle-precedes-each-group-convolution",
    "In ShuffleNet a channel shuffle comes directly before each group convolution.",
    Refuted(instead="shufflenet/shuffles-once-in-a-unit"),
    lambda operations: all(
        "group" not in operation or before == "channel shuffle"
        for before, operation in pairwise(["the unit before", *operations])
    ),
    otherwise=["channel shuffle, 1x1 group convolution, 3x3 depthwise convolution"],
    cites=["003:78"],
)
depthwise_follows = described(
    "shufflenet/depthwise-convolution-follows-the-shuffle",
    "After the channel shuffle ShuffleNet convolves depthwise.",
    HoldsIf("as in the paper, not in the authors' code"),
    lambda operations: ("channel shuffle", "3x3 depthwise convolution") in pairwise(operations),
    otherwise=[
        "1x1 group convolution, channel shuffle, 1x1 group convolution",
        "channel shuffle, 3x3 depthwise convolution",
    ],
    when="as in the paper, not in the authors' code",
    among=UNITS[:1],
    cites=["003:78"],
    reading_of=GROUPS_DEPTHWISE,
)
once_in_a_unit = described(
    "shufflenet/shuffles-once-in-a-unit",
    "ShuffleNet shuffles its channels once in each unit.",
    Holds(),
    lambda operations: operations.count("channel shuffle") == 1,
    otherwise=[
        "1x1 group convolution, 3x3 depthwise convolution, 1x1 group convolution",
        "channel shuffle, 1x1 group convolution, channel shuffle, 1x1 group convolution",
    ],
    cites=["003:78"],
)


def units(model: nn.Module) -> list[Any]:
    """Return the units of torchvision's ShuffleNet, first to last."""
    return [model.get_submodule(name) for name in surgeries.of_kind(model, "InvertedResidual")]


def with_weights(unit: Any) -> Any:
    """Return a copy of a unit on the CPU, for evaluation, its weights drawn from a seed."""
    import torch

    made = copy.deepcopy(unit).to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    for tensor in (*made.parameters(), *made.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5, generator=generator)
    return made


def branches_of(unit: Any, x: torch.Tensor) -> torch.Tensor:
    """Return what a unit puts together: both branches, or half of the input and one branch."""
    import torch

    first, second = x.chunk(2, dim=1) if unit.stride == 1 else (unit.branch1(x), x)
    return torch.cat([first, unit.branch2(second)], dim=1)


def other_forward(name: str, change: Callable[[Any, torch.Tensor], torch.Tensor]) -> Fault[Models]:
    """Return a surgery that gives the units of torchvision's ShuffleNet another forward pass."""

    def alter(model: nn.Module) -> None:
        for unit in units(model):
            unit.forward = types.MethodType(change, unit)

    return surgeries.surgery(name, alter)


def _shuffled(maps: torch.Tensor, groups: int) -> torch.Tensor:
    from torch.nn.functional import channel_shuffle

    return channel_shuffle(maps, groups)


@once_in_a_unit.judged(
    subject=MODELS,
    on=["shufflenet_v2_x0_5"],
    flipped_by=[
        other_forward("units without a shuffle", branches_of),
        other_forward(
            "two shuffles in each unit",
            lambda unit, x: _shuffled(_shuffled(branches_of(unit, x), 2), 2),
        ),
        other_forward(
            "shuffle before each unit", lambda unit, x: branches_of(unit, _shuffled(x, 2))
        ),
        other_forward("shuffle of four groups", lambda unit, x: _shuffled(branches_of(unit, x), 4)),
    ],
)
def each_built_unit_ends_in_its_only_shuffle(models: Models, name: str) -> dict[str, int]:
    import torch

    built = units(models(name))
    for number, on_meta in enumerate(built):
        unit = with_weights(on_meta)
        channels = next(unit.branch2.parameters()).shape[1] * (3 - unit.stride)
        x = torch.from_numpy(integers(number, 1, channels, 3, 4)).float()
        with torch.no_grad():
            joined, y = branches_of(unit, x).numpy(), unit(x).numpy()
        same(y, oracle.channel_shuffle(joined, 2), f"the output of unit {number}")
    return {"units": len(built)}


# What its figure shows ----------------------------------------------------------------------------

# The figure, which the document does not hold, is taken for the paper's first one.

panel_b = stated(
    "shufflenet/panel-b-shows-plain-group-convolution",
    "Panel (b) of figure 1 of the ShuffleNet paper shows plain group convolutions.",
    ["003:79"],
    Refuted(instead="shufflenet/panel-b-shows-groups-that-meet"),
    key="shufflenet/figure-1b",
    value="two stacked group convolutions",
    otherwise="two stacked group convolutions",
)
panel_b_meets = stated(
    "shufflenet/panel-b-shows-groups-that-meet",
    "Panel (b) of figure 1 of the ShuffleNet paper shows two group convolutions, of which the "
    "second takes data from different groups of the first.",
    ["003:79"],
    Holds(),
    key="shufflenet/figure-1b",
    value="the second of two group convolutions takes data from different groups",
    otherwise="two stacked group convolutions",
)

panel_c = stated(
    "shufflenet/panel-c-shows-the-shuffle",
    "Panel (c) of figure 1 of the ShuffleNet paper shows group convolution with channel shuffle.",
    ["003:79"],
    Holds(),
    key="shufflenet/figure-1c",
    value="an equivalent implementation with channel shuffle",
    otherwise="the second of two group convolutions takes data from different groups",
)
