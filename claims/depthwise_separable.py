"""Depthwise and depthwise separable convolution: what the stages do, together and in what order.

Document 002 (lines 22 to 25) and document 003 (lines 70 to 73). A depthwise separable convolution
is a pair of stages: a depthwise convolution, then a pointwise one. What a 1x1 convolution does by
itself stands in `claims/pointwise.py`, what the pair saves in `claims/separable_savings.py`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._classics import convolutions
from claims._facts import sourced
from claims._separable import (
    NETWORKS,
    Stages,
    is_depthwise,
    none_depthwise,
    on_stages,
    stages_of,
    with_kernel,
)
from claims.cases import Convolution, convolution, covering, integers, wide
from claims.checks import Array, close, same
from claims.core.claim import Claim, Fault, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.fields import perturbed
from claims.subjects import FACTS, LAYERS, MODELS, OPERATORS, Fact, Layers, Models
from nin_ref import oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Separable(Convolution):
    """A depthwise convolution, with one filter a channel, and `filters` of 1x1 after it.

    `alike` gives all channels the same depthwise filter, `rectified` puts a ReLU in between.
    """

    filters: int = 1
    alike: bool = False
    rectified: bool = False

    @functools.cached_property
    def depthwise(self) -> Array:
        """Weights [C, 1, kh, kw] of the first stage, none of them zero."""
        return self.weight[np.zeros(len(self.weight), int)] if self.alike else self.weight

    @functools.cached_property
    def pointwise(self) -> Array:
        """Weights [O, C, 1, 1] of the second stage, none of them zero."""
        numbers = integers(self.seed + 4, self.filters, self.in_channels, 1, 1)
        return np.where(numbers == 0, 5.0, numbers)


def separable(
    *, channels: int, filters: int = 1, rectified: bool = False, **sizes: Any
) -> Separable | None:
    """Return the pair of stages of these sizes, or None if its kernel does not fit the input."""
    first = convolution(in_channels=channels, out_channels=channels, groups=channels, **sizes)
    if first is None:
        return None
    return Separable(**dataclasses.asdict(first), filters=filters, rectified=rectified)


SEPARABLE = Sample(
    "depthwise convolutions of 1 to 2 images, 1 to 4 channels, maps up to 9x8, kernels up to 3x3, "
    "with stride, padding and dilation, and 1 to 5 filters of 1x1 after them",
    covering(
        {
            "batch": (2, 1),
            "channels": (3, 1, 4),
            "height": (6, 9),
            "width": (8, 5),
            "kernel": ((3, 2), (1, 1), (2, 3)),
            "stride": ((1, 1), (2, 3)),
            "padding": ((0, 0), (1, 2)),
            "dilation": ((2, 1), (1, 1), (1, 2)),
            "filters": (5, 2, 1),
            "rectified": (False, True, False),
        },
        separable,
    ),
)

# Standard convolutions ----------------------------------------------------------------------------

reads_all = Claim(
    "depthwise-separable/standard-convolution-reads-all-channels",
    says="Every filter of a standard convolution computes with all channels of its input.",
    cites=["003:70"],
    recorded=HoldsIf("groups = 1"),
)


@reads_all.judged(
    subject=OPERATORS,
    on=Sample(
        "convolutions of 1 to 6 channels, kernels up to 3x2, in 1 to 4 groups",
        [
            Convolution(2, 4, 6, 5, 7, kernel=(3, 2), padding=(1, 0)),
            Convolution(1, 3, 2, 6, 4, stride=(2, 3)),
            Convolution(2, 1, 5, 4, 8, kernel=(2, 3), dilation=(1, 2)),
            Convolution(2, 4, 6, 5, 7, kernel=(3, 2), groups=2),
            Convolution(1, 4, 4, 6, 5, groups=4),
        ],
    ),
    when={"groups = 1": lambda c: c.groups == 1},
    flipped_by=[faults.channel_ignored, faults.filter_ignored, faults.groups_ignored],
)
def each_channel_changes_each_map(ops: Operators, c: Convolution) -> None:
    before = ops.conv2d(c.x, c.weight, c.bias, **c.options)
    for channel in range(c.in_channels):
        changed = c.x.copy()
        # So uneven a change cancels in no window.
        changed[:, channel] += integers(c.seed + 4, *changed[:, channel].shape, low=1, high=2**30)
        after = ops.conv2d(changed, c.weight, c.bias, **c.options)
        reached = (after != before).any(axis=(2, 3)).all(axis=0)
        assert reached.all(), f"channel {channel} leaves map {reached.argmin()} as it is"


CLASSIC = "the convolutions of LeNet and AlexNet are standard ones"

classics_are_standard = Claim(
    "depthwise-separable/lenet-and-alexnet-as-coded-today-have-standard-convolutions",
    says="As the lecture and torchvision build them, LeNet and AlexNet have standard convolutions "
    "only: each filter is as deep as its input.",
    cites=["002:22"],
    recorded=Holds(),
    reading_of=CLASSIC,
)


def _in_two_groups(layer: nn.Conv2d) -> None:
    """Let each filter of a convolution read half of the channels."""
    from torch import nn

    layer.groups, layer.weight = 2, nn.Parameter(layer.weight[:, ::2])


@classics_are_standard.judged(
    subject=MODELS,
    on=["lenet5", "lecture-alexnet", "alexnet"],
    flipped_by=[
        surgeries.surgery(
            "second convolution in two groups", lambda model: _in_two_groups(convolutions(model)[1])
        ),
        surgeries.surgery("no convolutions", surgeries.all_removed("Conv2d")),
    ],
)
def filters_are_as_deep_as_their_input(models: Models, name: str) -> dict[str, int]:
    layers = convolutions(models(name))
    assert layers, f"{name} has no convolution"
    for layer in layers:
        depth = layer.weight.shape[1]
        assert depth == layer.in_channels, f"{name}: filters of depth {depth} in {layer}"
    return {"convolutions": len(layers)}


originals_are_standard = Claim(
    "depthwise-separable/lenet-and-alexnet-as-published-have-standard-convolutions",
    says="As their papers describe them, LeNet-5 and AlexNet have standard convolutions only: no "
    "filter leaves a channel out.",
    cites=["002:22"],
    recorded=Refuted(
        instead="depthwise-separable/lenet-and-alexnet-as-coded-today-have-standard-convolutions"
    ),
    reading_of=CLASSIC,
)

STANDARD = {"lenet/leave-channels-out": "none", "alexnet/groups": "1, 1, 1, 1, 1"}


def with_all_channels(facts: Mapping[str, Fact]) -> Mapping[str, Fact]:
    """Return the facts of a world in which all filters of both networks read all channels."""
    changed = {key: dataclasses.replace(facts[key], value=STANDARD[key]) for key in STANDARD}
    return {**facts, **changed}


@originals_are_standard.judged(
    subject=FACTS,
    on=list(STANDARD),
    flipped_by=[Fault("no filter of either leaves a channel out", with_all_channels)],
)
def no_filter_leaves_a_channel_out(facts: Mapping[str, Fact], key: str) -> None:
    assert facts[key].value == STANDARD[key], f"{key}: {facts[key].value}"


# The depthwise stage ------------------------------------------------------------------------------

channel_by_channel = Claim(
    "depthwise-separable/depthwise-convolves-each-channel-by-itself",
    says="A depthwise convolution convolves each channel with a filter of its own, as if it were "
    "an image by itself, and gives the maps in the order of the channels, which do not meet.",
    cites=["002:23", "003:70-71"],
    recorded=Holds(),
)


@channel_by_channel.judged(
    subject=OPERATORS,
    on=SEPARABLE,
    flipped_by=[
        faults.groups_ignored,
        faults.bias_missing,
        faults.kernel_flipped,
        faults.kernel_transposed,
        faults.stride_swapped,
        faults.padding_ignored,
        faults.padded_by_edge,
        faults.dilation_ignored,
        faults.sum_over_batch,
        faults.filter_ignored,
        faults.weight_by_position,
        faults.conv2d_in_float32,
        faults.wrong(
            "maps in reverse order", "conv2d", lambda f, *a, **o: f(*a, **o)[:, ::-1].copy()
        ),
        faults.wrong(
            "a trace of the mean of all channels added",
            "conv2d",
            lambda f, x, *a, **o: f(x + x.mean(axis=1, keepdims=True) / 1024, *a, **o),
        ),
    ],
)
def channels_are_images_by_themselves(ops: Operators, c: Separable) -> None:
    x, options = wide(c.x), {**c.options, "groups": 1}
    maps = ops.conv2d(x, c.weight, c.bias, **c.options)
    alone = [
        oracle.conv2d(x[:, [channel]], c.weight[[channel]], c.bias[[channel]], **options)
        for channel in range(c.in_channels)
    ]
    same(maps, np.concatenate(alone, axis=1), "the depthwise convolution")


filter_for_each_channel = Claim(
    "depthwise-separable/depthwise-has-a-filter-for-each-channel",
    says="A depthwise convolution has as many filters as its input has channels.",
    cites=["002:23", "003:71"],
    recorded=HoldsIf("depth multiplier 1"),
)


def _doubled(stages: Stages) -> None:
    from torch import nn

    stages.depthwise.weight = nn.Parameter(stages.depthwise.weight.repeat(2, 1, 1, 1))


@filter_for_each_channel.judged(
    subject=MODELS,
    on=NETWORKS,
    flipped_by=[on_stages("two filters for each channel", _doubled), none_depthwise],
)
def as_many_filters_as_channels(models: Models, name: str) -> dict[str, int]:
    layers = list(filter(is_depthwise, convolutions(models(name))))
    assert layers, f"{name} has no depthwise convolution"
    for layer in layers:
        filters, channels = len(layer.weight), layer.in_channels
        assert filters == channels, f"{name}: {filters} filters for {channels} channels"
    return {"depthwise convolutions": len(layers)}


@filter_for_each_channel.judged(
    subject=LAYERS,
    on=Sample(
        "depthwise layers of 3 to 7 channels, depth multiplier 1 to 3",
        [(3, 1), (7, 1), (3, 2), (5, 3)],
    ),
    when={"depth multiplier 1": lambda sizes: sizes[1] == 1},
    flipped_by=[
        wrong_formulas.groups_left_out,
        wrong_formulas.layer(
            "depth multiplier ignored",
            "Conv2d",
            lambda f, i, o, kernel, **more: f(i, i, kernel, **more),
        ),
    ],
)
def layers_have_as_many(layers: Layers, sizes: tuple[int, int]) -> None:
    channels, multiplier = sizes
    layer = layers.Conv2d(channels, multiplier * channels, (3, 2), groups=channels, device="meta")
    filters, *size = layer.state_dict()["weight"].shape
    assert size == [1, 3, 2], f"the filters measure {size[1]}x{size[2]}x{size[0]}"
    assert filters == channels, f"depth multiplier {multiplier}: {filters} for {channels} channels"


as_large_as_the_map = Claim(
    "depthwise-separable/depthwise-filter-is-as-large-as-the-map",
    says="Each filter of a depthwise convolution measures W x H x 1, where W and H are width and "
    "height of the map that it is applied to.",
    cites=["002:23"],
    recorded=Refuted(instead="depthwise-separable/depthwise-filter-is-as-large-as-the-kernel"),
)
as_large_as_the_kernel = Claim(
    "depthwise-separable/depthwise-filter-is-as-large-as-the-kernel",
    says="Each filter of a depthwise convolution is as large as the kernel and one channel deep: "
    "in MobileNetV2 and ShuffleNetV2 3x3x1, on maps of every size.",
    cites=["002:23"],
    recorded=Holds(),
)

large_filters = on_stages(
    "filters as large as the maps", lambda one: with_kernel(one.depthwise, *one.input_size)
)


@as_large_as_the_map.judged(subject=MODELS, on=["mobilenet_v2"], flipped_by=[large_filters])
def filters_measure_what_the_maps_do(models: Models, name: str) -> None:
    for layer, (height, width), *_ in stages_of(models(name)):
        depth, rows, columns = layer.weight.shape[1:]
        assert (depth, rows, columns) == (1, height, width), (
            f"{name}: filters of {columns}x{rows}x{depth} on maps of {width}x{height}"
        )


@as_large_as_the_kernel.judged(
    subject=MODELS,
    on=["mobilenet_v2", "shufflenet_v2_x0_5"],
    flipped_by=[large_filters, none_depthwise],
)
def filters_are_small_on_maps_of_all_sizes(models: Models, name: str) -> dict[str, int]:
    stages = stages_of(models(name))
    assert stages, f"{name} has no depthwise convolution"
    for one in stages:
        size = tuple(one.depthwise.weight.shape[1:])
        assert size == (1, 3, 3), f"{name}: filters {size} on maps of {one.input_size}"
    heights = [one.input_size[0] for one in stages]
    assert max(heights) > 2 * min(heights), f"{name}: all maps are {heights[0]} high"
    return {"height of a map, at least": min(heights), "at most": max(heights)}


# Both stages --------------------------------------------------------------------------------------

TWO_PARTS = "a depthwise separable convolution is a standard one divided into two parts"

pair_is_standard = Claim(
    "depthwise-separable/pair-is-one-standard-convolution",
    says="A depthwise convolution and a pointwise one after it are together a standard convolution "
    "that reads channel c, for map n, with the depthwise filter of c times the pointwise weight.",
    cites=["002:22", "002:25", "003:71-72"],
    recorded=HoldsIf("no activation between the stages"),
    reading_of=TWO_PARTS,
)


@pair_is_standard.judged(
    subject=OPERATORS,
    on=SEPARABLE,
    when={"no activation between the stages": lambda c: not c.rectified},
    flipped_by=[
        faults.channel_ignored,
        faults.filter_ignored,
        faults.weight_transposed,
        faults.kernel_flipped,
        faults.stride_swapped,
        faults.padding_ignored,
        faults.dilation_ignored,
        faults.groups_ignored,
        faults.bias_missing,
        faults.sum_over_batch,
        faults.conv2d_in_float32,
        faults.relu_missing,
    ],
)
def two_stages_are_one(ops: Operators, c: Separable) -> None:
    maps = ops.conv2d(wide(c.x), c.depthwise, c.bias, **c.options)
    bias = integers(c.seed + 5, c.filters, low=1, high=9)
    y = ops.conv2d(ops.relu(maps) if c.rectified else maps, c.pointwise, bias)
    kernels = c.pointwise * c.depthwise[:, 0]
    biases = c.pointwise[:, :, 0, 0] @ c.bias + bias
    expected = oracle.conv2d(wide(c.x), kernels, biases, **{**c.options, "groups": 1})
    same(y, expected, "the pair")


ONE_KERNEL = "each channel is read by all filters with multiples of one kernel"

splits = Claim(
    "depthwise-separable/standard-convolution-splits-into-the-pair",
    says="A standard convolution can be divided into a depthwise and a pointwise one that together "
    "compute the same.",
    cites=["002:22"],
    recorded=HoldsIf(ONE_KERNEL),
    reading_of=TWO_PARTS,
)


@dataclass(frozen=True)
class Filters(Convolution):
    """A standard convolution; `alike` filters read each channel with multiples of one kernel."""

    alike: bool = False

    @functools.cached_property
    def kernels(self) -> Array:
        """Weights [O, C, kh, kw], none of them zero."""
        if not self.alike:
            return self.weight
        multiples = integers(self.seed + 4, self.out_channels, self.in_channels, 1, 1, low=1)
        return multiples * self.weight[:1]

    @functools.cached_property
    def by_channel(self) -> Array:
        """The kernels as matrices [C, O, kh * kw], one for each input channel."""
        return self.kernels.swapaxes(0, 1).reshape(self.in_channels, self.out_channels, -1)


@splits.judged(
    subject=OPERATORS,
    on=Sample(
        "convolutions of 2 to 4 channels with 1 to 5 filters, kernels up to 3x2",
        [
            Filters(2, 3, 5, 6, 8, kernel=(3, 2), padding=(1, 2), alike=True),
            Filters(2, 4, 2, 5, 7, kernel=(2, 3), stride=(1, 2), dilation=(3, 2), alike=True),
            Filters(1, 3, 5, 4, 6),
            Filters(2, 4, 1, 6, 5, kernel=(3, 2)),
            Filters(2, 3, 5, 6, 8, kernel=(3, 2)),
            Filters(1, 2, 2, 6, 5, kernel=(1, 2)),
        ],
    ),
    when={ONE_KERNEL: lambda c: bool((np.linalg.matrix_rank(c.by_channel) == 1).all())},
    flipped_by=[
        faults.weight_transposed,
        faults.kernel_flipped,
        faults.groups_ignored,
        faults.stride_swapped,
        faults.channel_ignored,
    ],
)
def nearest_pair_computes_the_same(ops: Operators, c: Filters) -> None:
    # The first singular vectors make the pair whose joint kernel is nearest; where that one is
    # not the kernel, no pair's is.
    left, values, right = np.linalg.svd(c.by_channel, full_matrices=False)
    depthwise = right[:, 0].reshape(c.in_channels, 1, *c.kernel)
    pointwise = (left[:, :, 0] * values[:, :1]).T[:, :, np.newaxis, np.newaxis].copy()
    maps = ops.conv2d(c.x, depthwise, **{**c.options, "groups": c.in_channels})
    close(ops.conv2d(maps, pointwise), oracle.conv2d(c.x, c.kernels, **c.options), "the pair")


NO_SQUEEZE = "no squeeze-and-excitation between the stages"

pointwise_follows = Claim(
    "depthwise-separable/networks-follow-depthwise-by-pointwise",
    says="In networks of depthwise separable convolutions the next convolution after each "
    "depthwise one is a pointwise one on its maps, standard in that it reads all of them.",
    cites=["002:25", "003:71-72"],
    recorded=HoldsIf(NO_SQUEEZE),
)


@pointwise_follows.judged(
    subject=MODELS,
    on=NETWORKS,
    when={NO_SQUEEZE: lambda name: name != "mobilenet_v3_large"},
    flipped_by=[
        surgeries.surgery(
            "squeeze-and-excitation removed", surgeries.all_removed("SqueezeExcitation")
        ),
        on_stages(
            "3x3 after each depthwise convolution", lambda one: with_kernel(one.pointwise, 3, 3)
        ),
        on_stages(
            "two groups after each depthwise convolution",
            lambda one: _in_two_groups(one.pointwise),
        ),
        none_depthwise,
    ],
)
def the_next_reads_all_maps_by_one_by_one(models: Models, name: str) -> dict[str, int]:
    stages = stages_of(models(name))
    assert stages, f"{name} has no depthwise convolution"
    for one in stages:
        assert one.directly, f"{name}: another convolution reads what {one.depthwise} gives"
        size = tuple(one.pointwise.weight.shape[1:])
        assert size == (one.depthwise.out_channels, 1, 1), f"{name}: the filters measure {size}"
    return {"pairs": len(stages)}


DIFFERENT = "the channels have different depthwise filters"

exchanged = Claim(
    "depthwise-separable/exchanged-stages-compute-something-else",
    says="The depthwise convolution comes first and the pointwise one second: exchanged, with the "
    "same weights, they compute something else.",
    cites=["002:24-25", "003:71-72"],
    recorded=HoldsIf(DIFFERENT),
)


@exchanged.judged(
    subject=OPERATORS,
    on=Sample(
        "pairs of 1 to 4 channels and as many maps, no weight zero, kernels up to 3x2",
        [
            Separable(2, 3, 3, 6, 8, kernel=(3, 2), padding=(1, 2), groups=3, filters=3),
            Separable(1, 4, 4, 5, 7, (2, 3), stride=(2, 1), dilation=(1, 2), groups=4, filters=4),
            Separable(2, 2, 2, 6, 5, groups=2, filters=2),
            Separable(2, 3, 3, 6, 8, kernel=(3, 2), groups=3, filters=3, alike=True),
            Separable(1, 1, 1, 5, 7, kernel=(2, 3), groups=1, filters=1),
        ],
    ),
    when={DIFFERENT: lambda c: bool((c.depthwise != c.depthwise[:1]).any())},
    flipped_by=[
        faults.groups_ignored,
        faults.channel_ignored,
        faults.stride_swapped,
        faults.wrong(
            "every filter that of the first map",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, np.repeat(w[:1], len(w), axis=0), b, **o),
        ),
    ],
)
def other_order_gives_other_maps(ops: Operators, c: Separable) -> None:
    # So uneven an image hides no difference.
    x = integers(c.seed + 6, *c.x.shape, low=1, high=2**30)
    right = ops.conv2d(ops.conv2d(x, c.depthwise, **c.options), c.pointwise)
    other = ops.conv2d(ops.conv2d(x, c.pointwise), c.depthwise, **c.options)
    options = {**c.options, "groups": 1}
    for y, depthwise in ((right, c.depthwise[:, 0]), (other, c.depthwise)):
        same(y, oracle.conv2d(x, c.pointwise * depthwise, **options), "the pair")
    assert (right != other).any(), f"{c.in_channels} channels with one filter: no difference"


# What the stages are called -----------------------------------------------------------------------

names_the_pair = Claim(
    "depthwise-separable/depthwise-convolution-names-both-stages",
    says="Both stages together, filters for the single channels and 1x1 convolutions across them, "
    "are called depthwise convolution.",
    cites=["003:73"],
    recorded=Refuted(instead="depthwise-separable/depthwise-convolution-names-the-first-stage"),
)
names_the_first = Claim(
    "depthwise-separable/depthwise-convolution-names-the-first-stage",
    says="Depthwise convolution is the name of the first stage, the filters for the single "
    "channels; with the 1x1 convolutions it is a depthwise separable convolution.",
    cites=["002:22-25"],
    recorded=Holds(),
)

FIRST_STAGE, BOTH_STAGES = "filters for single channels", "filters for single channels, then 1x1"
names_both = perturbed("a name for both stages", "depthwise-convolution/is", value=BOTH_STAGES)


@names_the_pair.judged(subject=FACTS, on=[BOTH_STAGES], flipped_by=[names_both])
@names_the_first.judged(subject=FACTS, on=[FIRST_STAGE], flipped_by=[names_both])
def is_called_depthwise(facts: Mapping[str, Fact], what: str) -> dict[str, str]:
    fact = facts["depthwise-convolution/is"]
    assert fact.value == what, f"the name means: {fact.value}"
    return sourced(fact)
