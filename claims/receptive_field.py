"""Receptive fields: which pixels of the image a unit sees, how many, and how much each counts.

Document 002 (lines 13 and 14).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims._narrowed import narrowed
from claims.cases import SEEDS, integers, pairs, sampled
from claims.checks import Array, same
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import MODELS, OPERATORS, Models, traced
from nin_ref import counting
from nin_ref.operators import Operators
from nin_ref.oracle import Pair, output_size

if TYPE_CHECKING:
    from torch import nn

# A closed form that takes (kernel, stride, dilation) of each layer along one axis, first to last,
# and returns the side of the receptive field and how many pixels apart those of neighbours start.
SideAndJump = Callable[[Sequence[tuple[Any, Any, Any]]], tuple[Any, Any]]

SIDE_AND_JUMP: Subject[SideAndJump] = Subject(
    "formula of receptive fields", lambda: counting.receptive_field
)


def misread(name: str, change: Callable[[Any, Any, Any], tuple[Any, Any, Any]]) -> Fault[Any]:
    """Return a closed form that takes each layer for another one."""
    return Fault(name, lambda right: lambda layers: right([change(*each) for each in layers]))


whole_kernel_added = misread("each layer adds its kernel", lambda k, s, d: (k + 1, s, d))
strides_forgotten = misread("strides forgotten", lambda k, _, d: (k, 1, d))
dilation_forgotten = misread("dilation forgotten", lambda k, s, _: (k, s, 1))
own_stride_counted = misread("stride of the layer itself counted", lambda k, s, d: (k, s, d * s))


# Layers in sequence -------------------------------------------------------------------------------

Layer = tuple[str, Pair, Pair, Pair, Pair]


@dataclass(frozen=True)
class Chain:
    """An image and the layers that read it, first to last.

    A layer is its kind, kernel, stride, padding and dilation.
    """

    height: int
    width: int
    layers: tuple[Layer, ...]

    def along(self, axis: int) -> list[tuple[int, int, int, int]]:
        """Return kernel, stride, padding and dilation of each layer along the height or width."""
        return [
            (kernel[axis], stride[axis], padding[axis], dilation[axis])
            for _, kernel, stride, padding, dilation in self.layers
        ]

    def field(self, axis: int, depth: int | None = None) -> tuple[int, int]:
        """Return side and jump of the field behind the first `depth` layers, or behind all."""
        layers = self.along(axis)[:depth]
        return counting.receptive_field(
            (kernel, stride, more) for kernel, stride, _, more in layers
        )


def chain(*layers: Layer | None, spare: Pair = (0, 0)) -> Chain:
    """Return layers and the least image that holds the field of one unit, and pixels to spare."""
    given = Chain(0, 0, tuple(one for one in layers if one is not None))
    return Chain(given.field(0)[0] + spare[0], given.field(1)[0] + spare[1], given.layers)


def convolution(
    kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1)
) -> Layer:
    """Return a convolution."""
    return ("convolution", kernel, stride, padding, dilation)


def pool(kind: str, kernel: Pair, stride: Pair, padding: Pair = (0, 0)) -> Layer:
    """Return an average or a maximum, whose padding may be half the kernel at most."""
    half = (min(padding[0], kernel[0] // 2), min(padding[1], kernel[1] // 2))
    return (kind, kernel, stride, half, (1, 1))


def seen(ops: Operators, c: Chain) -> Array:
    """Return which pixels move which units [H, W, H', W'], by an image for each pixel.

    One pixel is bright and all others dark: with weights of 1 nothing hides it or cancels it.
    """
    pixels = c.height * c.width
    maps = np.eye(pixels).reshape(pixels, 1, c.height, c.width)
    for kind, kernel, stride, padding, dilation in c.layers:
        if kind == "average":
            maps = ops.avg_pool2d(maps, kernel, stride=stride, padding=padding)
        elif kind == "maximum":
            maps = ops.max_pool2d(maps, kernel, stride=stride, padding=padding)
        else:
            ones = np.ones((1, 1, *kernel))
            maps = ops.conv2d(maps, ones, stride=stride, padding=padding, dilation=dilation)
    return np.asarray(maps.reshape(c.height, c.width, *maps.shape[2:]) > 0)


def spans(moved: Array) -> Array:
    """Return how far it is from the first to the last row that moves each unit, both included."""
    last = len(moved) - moved[::-1].argmax(axis=0)
    return np.where(moved.any(axis=0), last - moved.argmax(axis=0), 0)


def padded(c: Chain) -> bool:
    """Whether a layer is padded."""
    return any(padding != (0, 0) for *_, padding, _ in c.layers)


def rows_and_columns(pixels: Array) -> tuple[Array, Array]:
    """Return which rows, and which columns, hold a pixel that moves a unit."""
    return np.asarray(pixels.any(axis=1)), np.asarray(pixels.any(axis=0))


_KERNELS, _STEPS = pairs(1, 3), pairs(1, 2)


def _drawn(padding: st.SearchStrategy[Pair]) -> st.SearchStrategy[Layer]:
    return st.one_of(
        st.builds(convolution, _KERNELS, _STEPS, padding, _STEPS),
        st.builds(pool, st.sampled_from(["average", "maximum"]), _KERNELS, _STEPS, padding),
    )


PLAIN = (
    convolution((3, 2)),
    convolution((2, 3), stride=(2, 1)),
    convolution((2, 3), dilation=(3, 2)),
    convolution((1, 2), stride=(2, 3)),
    pool("average", (2, 3), stride=(1, 2)),
    pool("maximum", (3, 2), stride=(2, 1)),
)
PADDED = (
    convolution((3, 3), padding=(1, 1)),
    convolution((2, 3), stride=(1, 2), padding=(2, 1), dilation=(1, 2)),
    pool("average", (2, 3), stride=(2, 1), padding=(0, 1)),
    pool("maximum", (3, 2), stride=(2, 1), padding=(1, 1)),
)
MIXED = (*PADDED, PLAIN[0], PLAIN[3], PLAIN[5])
LAST = (None, convolution((2, 2)), convolution((1, 3)))
CHAINS = sampled(
    "two or three convolutions, average and max pools, kernels up to 3x3, without padding",
    lambda first, second, last, spare: chain(first, second, last, spare=spare),
    {"first": PLAIN, "second": PLAIN, "last": LAST, "spare": ((1, 2), (0, 0))},
    {
        "first": _drawn(st.just((0, 0))),
        "second": _drawn(st.just((0, 0))),
        "last": st.sampled_from(LAST),
        "spare": pairs(0, 2),
    },
)
PADDED_CHAINS = sampled(
    "two or three convolutions, average and max pools, kernels up to 3x3, with and without padding",
    lambda first, second, last, spare: chain(first, second, last, spare=spare),
    {"first": MIXED, "second": MIXED, "last": LAST, "spare": ((2, 3), (0, 1))},
    {
        "first": _drawn(pairs(0, 2)),
        "second": _drawn(pairs(0, 2)),
        "last": st.sampled_from(LAST),
        "spare": pairs(0, 3),
    },
)

# How large it is ----------------------------------------------------------------------------------

A_UNIT_SEES = "a unit of conv2 sees 5x5 pixels of the image"

# Options of the first and of the second convolution.
TWO_LAYERS: tuple[tuple[dict[str, Pair], dict[str, Pair]], ...] = (
    ({}, {}),
    ({}, {"stride": (2, 3)}),
    ({"stride": (2, 1)}, {}),
    ({"stride": (1, 3)}, {}),
    ({"dilation": (2, 1)}, {}),
    ({}, {"dilation": (1, 2)}),
    ({"padding": (0, 1)}, {}),
    ({}, {"padding": (1, 0)}),
)

three_then_five = Claim(
    "receptive-field/is-3x3-and-then-5x5",
    says="A pixel of the image sees itself, 1x1; with two 3x3 convolutions on the image a unit of "
    "the first sees 3x3 pixels and a unit of the second 5x5, each of these pixels.",
    cites=["002:14"],
    recorded=HoldsIf("the first has stride 1", "neither is dilated", "neither is padded"),
    reading_of=A_UNIT_SEES,
)


@three_then_five.judged(
    subject=OPERATORS,
    on=Sample(
        "two 3x3 convolutions of some strides, paddings and dilations",
        [
            chain(convolution((3, 3), **first), convolution((3, 3), **second), spare=(2, 3))
            for first, second in TWO_LAYERS
        ],
    ),
    when={
        "the first has stride 1": lambda c: c.layers[0][2] == (1, 1),
        "neither is dilated": lambda c: {one[4] for one in c.layers} == {(1, 1)},
        "neither is padded": lambda c: not padded(c),
    },
    flipped_by=[
        faults.kernel_row_ignored,
        faults.neighbours_mixed,
        faults.stride_ignored,
        faults.dilation_ignored,
        faults.one_more_padding,
        faults.row_ignored,
    ],
)
def boxes_of_3_and_5(ops: Operators, c: Chain) -> None:
    for depth, side in enumerate((1, 3, 5)):
        pixels = seen(ops, Chain(c.height, c.width, c.layers[:depth]))
        rows, columns = (spans(moved) for moved in rows_and_columns(pixels))
        for found, expected, what in (
            (rows, side, "rows"),
            (columns, side, "columns"),
            (pixels.sum(axis=(0, 1)), side**2, "pixels"),
        ):
            other = found[found != expected]
            assert not other.size, f"a unit of layer {depth} sees {other[0]} {what}"


@three_then_five.judged(
    subject=SIDE_AND_JUMP,
    on=PROOF,
    flipped_by=[whole_kernel_added, strides_forgotten, dilation_forgotten, own_stride_counted],
)
def other_strides_and_dilations_give_others(side_and_jump: SideAndJump, _: Proof) -> None:
    import z3

    stride, further_stride, *dilations = z3.Ints("stride further_stride dilation further_dilation")
    first, second = (3, stride, dilations[0]), (3, further_stride, dilations[1])
    pixel, *sides = (side_and_jump(layers)[0] for layers in ([], [first], [first, second]))
    assert pixel == 1, f"a pixel sees {pixel} pixels"
    solver = z3.Solver()
    solver.add(*(number >= 1 for number in (stride, further_stride, *dilations)))
    as_said = z3.And(stride == 1, dilations[0] == 1, dilations[1] == 1)
    solver.add(z3.And(sides[0] == 3, sides[1] == 5) != as_said)
    assert solver.check() == z3.unsat, f"an exception: {solver.model()}"


layer_by_layer = Claim(
    "receptive-field/grows-layer-by-layer",
    says="Each layer adds to the side of the receptive field its kernel less one, times its "
    "dilation, times the strides of all layers before it.",
    cites=["002:13"],
    recorded=Holds(),
)


@layer_by_layer.judged(
    subject=SIDE_AND_JUMP,
    on=PROOF,
    flipped_by=[whole_kernel_added, strides_forgotten, dilation_forgotten, own_stride_counted],
)
def a_window_of_windows(side_and_jump: SideAndJump, _: Proof) -> None:
    """Go by induction over the layers: a chain of any depth counts as one layer.

    If the layers up to here let unit n see pixels n * jump to n * jump + side - 1, as no layers do
    with side and jump 1, then a further layer lets its units see windows of such windows.
    """
    import z3

    assert side_and_jump([]) == (1, 1), "without layers a unit is no pixel"
    side, jump, kernel, stride, dilation, unit = z3.Ints("side jump kernel stride dilation unit")
    further_side, further_jump = side_and_jump([(side, jump, 1), (kernel, stride, dilation)])
    first = stride * unit * jump
    last = (stride * unit + dilation * (kernel - 1)) * jump + side - 1
    next_first = stride * (unit + 1) * jump
    solver = z3.Solver()
    solver.add(*(size >= 1 for size in (side, jump, kernel, stride, dilation)))
    solver.add(z3.Or(further_side != last - first + 1, further_jump != next_first - first))
    assert solver.check() == z3.unsat, f"an exception: {solver.model()}"


@layer_by_layer.judged(
    subject=OPERATORS,
    on=CHAINS,
    flipped_by=[
        faults.kernel_row_ignored,
        faults.kernel_transposed,
        faults.stride_ignored,
        faults.dilation_ignored,
        faults.neighbours_mixed,
        faults.average_pool_stride_ignored,
        faults.wrong(
            "max pool reads one row less",
            "max_pool2d",
            lambda f, x, kernel, **o: f(x, (max(kernel[0] - 1, 1), kernel[1]), **o),
        ),
    ],
)
def units_see_so_many_rows(ops: Operators, c: Chain) -> None:
    for axis, moved in enumerate(rows_and_columns(seen(ops, c))):
        found, (side, _) = spans(moved), c.field(axis)
        assert (found == side).all(), (
            f"a unit sees {found[found != side][0]} {('rows', 'columns')[axis]}, not {side}"
        )


# What region it is --------------------------------------------------------------------------------

same_size = Claim(
    "receptive-field/has-one-size-for-all-units-of-a-layer",
    says="The receptive field belongs to the layer: all units of its maps see regions of one size.",
    cites=["002:13", "002:14"],
    recorded=HoldsIf("no layer is padded"),
)


@same_size.judged(
    subject=OPERATORS,
    on=PADDED_CHAINS,
    when={"no layer is padded": lambda c: not padded(c)},
    flipped_by=[
        faults.shifted,
        faults.row_ignored,
        faults.one_more_padding,
        faults.wrong(
            "max pool rounds up",
            "max_pool2d",
            lambda f, x, kernel, **o: f(x, kernel, **o | {"ceil_mode": True}),
        ),
    ],
)
def all_units_see_as_much(ops: Operators, c: Chain) -> None:
    rows, columns = (moved.sum(axis=0) for moved in rows_and_columns(seen(ops, c)))
    for moved, what in ((rows, "rows"), (columns, "columns")):
        assert moved.min() == moved.max(), f"units see {moved.min()} to {moved.max()} {what}"


cut_off = Claim(
    "receptive-field/is-cut-off-at-the-border",
    says="Where a window reaches into the padding a unit sees only what the rest of the window "
    "sees: the corner unit behind two padded 3x3 convolutions sees 3x3 pixels, not 5x5.",
    cites=["002:13", "002:14"],
    recorded=Holds(),
)


def seen_from_within(size: int, layers: Sequence[tuple[int, int, int, int]]) -> list[set[int]]:
    """Return the pixels of one axis that each unit sees, by the definition, map after map."""
    maps = [{pixel} for pixel in range(size)]
    for kernel, stride, padding, dilation in layers:
        units = output_size(len(maps), kernel, stride, padding, dilation)
        windows = (
            [unit * stride - padding + tap * dilation for tap in range(kernel)]
            for unit in range(units)
        )
        maps = [
            set().union(*(maps[place] for place in window if 0 <= place < len(maps)))
            for window in windows
        ]
    return maps


@cut_off.judged(
    subject=OPERATORS,
    on=PADDED_CHAINS,
    flipped_by=[
        faults.padding_ignored,
        faults.kernel_row_ignored,
        faults.neighbours_mixed,
        faults.shifted,
        faults.axes_swapped,
        faults.wrong(
            "padding that wraps around",
            "conv2d",
            lambda f, x, w, b=None, **o: f(
                _wrapped(x, o["padding"]), w, b, **o | {"padding": (0, 0)}
            ),
        ),
    ],
)
def units_see_what_lies_inside(ops: Operators, c: Chain) -> None:
    rows, columns = (
        np.array(
            [
                [pixel in one for one in seen_from_within(size, c.along(axis))]
                for pixel in range(size)
            ]
        )
        for axis, size in enumerate((c.height, c.width))
    )
    expected = np.einsum("hu,wv->hwuv", rows, columns)
    same(seen(ops, c), expected, "which pixels [row, column] move which units")


def _wrapped(x: Array, padding: Pair) -> Array:
    rows, columns = padding
    return np.pad(x, ((0, 0), (0, 0), (rows, rows), (columns, columns)), mode="wrap")


@cut_off.judged(
    subject=OPERATORS,
    on=Sample("two 3x3 convolutions with padding 1", [chain(*2 * [PADDED[0]], spare=(3, 4))]),
    flipped_by=[faults.padding_ignored, faults.one_more_padding],
)
def nine_pixels_in_the_corner(ops: Operators, c: Chain) -> dict[str, int]:
    number = seen(ops, c).sum(axis=(0, 1))
    corner, middle = int(number[0, 0]), int(number[number.shape[0] // 2, number.shape[1] // 2])
    assert (corner, middle) == (9, 25), f"the corner sees {corner} pixels, the middle {middle}"
    return {"pixels seen in the corner": corner, "in the middle": middle}


TOUCHING = (
    "neighbouring taps of each window see fields that touch, "
    "as without dilation and with no stride above its kernel"
)

no_gaps = Claim(
    "receptive-field/has-no-gaps",
    says="The region that a unit sees is a full box: every pixel between its first and last row "
    "and its first and last column moves the unit.",
    cites=["002:13"],
    recorded=HoldsIf(TOUCHING),
)


def taps_touch(c: Chain) -> bool:
    """Whether neighbouring taps of each window see fields that touch or overlap."""
    return all(
        kernel == 1 or dilation * c.field(axis, depth)[1] <= c.field(axis, depth)[0]
        for axis in (0, 1)
        for depth, (kernel, _, _, dilation) in enumerate(c.along(axis))
    )


@no_gaps.judged(
    subject=OPERATORS,
    on=CHAINS,
    when={TOUCHING: taps_touch},
    flipped_by=[
        faults.wrong(
            "middle column of the kernel ignored",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, _without_middle(w), b, **o),
        ),
    ],
)
def every_pixel_of_the_box(ops: Operators, c: Chain) -> None:
    pixels = seen(ops, c)
    rows, columns = (spans(moved) for moved in rows_and_columns(pixels))
    number = pixels.sum(axis=(0, 1))
    gaps = np.argwhere(number != rows * columns)
    assert not len(gaps), (
        f"a unit sees {number[tuple(gaps[0])]} pixels of a box of {rows[tuple(gaps[0])]} x "
        f"{columns[tuple(gaps[0])]}"
    )


def _without_middle(weight: Array) -> Array:
    changed = weight.copy()
    changed[..., weight.shape[3] // 2] *= weight.shape[3] % 2 == 0 or weight.shape[3] == 1
    return changed


@no_gaps.judged(
    subject=SIDE_AND_JUMP,
    on=PROOF,
    flipped_by=[
        whole_kernel_added,
        dilation_forgotten,
        misread("stride counted twice", lambda k, s, d: (k, 2 * s, d)),
    ],
)
def a_further_tap_extends_the_box(side_and_jump: SideAndJump, _: Proof) -> None:
    """Go by induction over layers, and over the taps of the last one.

    Behind all taps but one lies a box, to which the last tap adds the box that it sees. Without
    dilation and with no stride above its kernel fields touch, for if they do so do those behind.
    """
    import z3

    side, jump, kernel, stride, dilation = z3.Ints("side jump kernel stride dilation")
    before, _ = side_and_jump([(side, jump, 1), (kernel - 1, stride, dilation)])
    after, _ = side_and_jump([(side, jump, 1), (kernel, stride, dilation)])
    start = (kernel - 1) * dilation * jump
    solver = z3.Solver()
    solver.add(jump >= 1, side >= 1, kernel >= 2, dilation >= 1, dilation * jump <= side)
    solver.add(z3.Or(start > before, after != start + side))
    assert solver.check() == z3.unsat, f"a gap between taps: {solver.model()}"
    solver.reset()
    further_side, further_jump = side_and_jump([(side, jump, 1), (kernel, stride, 1)])
    solver.add(side >= jump, jump >= 1, kernel >= stride, stride >= 1, further_side < further_jump)
    assert solver.check() == z3.unsat, f"fields behind it that do not touch: {solver.model()}"


# How much its pixels count ------------------------------------------------------------------------

every_image = Claim(
    "receptive-field/counts-every-pixel-in-every-image",
    says="If all weights are positive, each of the 5x5 pixels that a unit of the second 3x3 "
    "convolution sees changes its value, whatever the image holds.",
    cites=["002:14"],
    recorded=HoldsIf("no ReLU between the convolutions"),
    reading_of=A_UNIT_SEES,
)


@dataclass(frozen=True)
class Image:
    """Numbers of a 5x5 image and of two 3x3 kernels, and what stands between the convolutions."""

    rectified: bool
    seed: int

    @functools.cached_property
    def x(self) -> Array:
        """The image [1, 1, 5, 5]."""
        return integers(self.seed, 1, 1, 5, 5)

    @functools.cached_property
    def kernels(self) -> Array:
        """Two kernels [2, 1, 1, 3, 3] of positive weights, whose paths cannot cancel."""
        return integers(self.seed + 1, 2, 1, 1, 3, 3, low=1)


@every_image.judged(
    subject=OPERATORS,
    on=sampled(
        "5x5 images and two 3x3 kernels of positive weights, with and without ReLU in between",
        Image,
        {"rectified": (True, False), "seed": (0, 1, 2)},
        {"rectified": st.booleans(), "seed": SEEDS},
    ),
    when={"no ReLU between the convolutions": lambda c: not c.rectified},
    flipped_by=[
        faults.rectified,
        faults.relu_missing,
        faults.relu_leaky,
        faults.kernel_row_ignored,
        faults.row_ignored,
    ],
)
def every_pixel_changes_the_unit(ops: Operators, c: Image) -> None:
    brighter = np.eye(25).reshape(25, 1, 5, 5)
    maps = ops.conv2d(np.concatenate([c.x, c.x + brighter]), c.kernels[0])
    units = ops.conv2d(ops.relu(maps) if c.rectified else maps, c.kernels[1])[:, 0, 0, 0]
    without_effect = np.count_nonzero(units[1:] == units[0])
    assert not without_effect, f"{without_effect} of the 25 pixels change nothing"


middle_most = Claim(
    "receptive-field/counts-its-middle-most",
    says="If all weights are equal a pixel counts once for each path from it to the unit: most in "
    "the middle of the receptive field, 9 times behind two 3x3 convolutions, and once in a corner.",
    cites=["002:14"],
    recorded=Holds(),
)


def weights_of_pixels(ops: Operators, depth: int, kernel: Pair) -> Array:
    """Return what each pixel adds to the one unit behind convolutions whose weights are all 1."""
    height, width = (depth * (side - 1) + 1 for side in kernel)
    maps = np.eye(height * width).reshape(-1, 1, height, width)
    for _ in range(depth):
        maps = ops.conv2d(maps, np.ones((1, 1, *kernel)))
    return maps.reshape(height, width)


@middle_most.judged(
    subject=OPERATORS,
    on=Sample(
        "stacks of two to five convolutions with equal weights",
        [(2, 3, 3), (3, 3, 5), (4, 2, 3), (5, 3, 2)],
    ),
    flipped_by=[
        faults.kernel_row_ignored,
        faults.shifted,
        faults.neighbours_mixed,
        faults.weight_by_position,
    ],
)
def as_often_as_there_are_paths(ops: Operators, c: tuple[int, int, int]) -> None:
    depth, *kernel = c
    paths = [functools.reduce(np.convolve, depth * [np.ones(side)]) for side in kernel]
    weights = weights_of_pixels(ops, depth, (kernel[0], kernel[1]))
    same(weights, np.outer(*paths), "how often each pixel counts")
    middle = weights[weights.shape[0] // 2, weights.shape[1] // 2]
    assert middle == weights.max(), f"the middle counts {middle:g} times, another {weights.max():g}"
    assert weights[0, 0] == 1 < middle, f"a corner counts {weights[0, 0]:g} times"


# AlexNet ------------------------------------------------------------------------------------------

ALEXNETS = ("alexnet", "lecture-alexnet")
# Sides behind conv1, pool1, conv2, pool2, conv3, conv4, conv5 and pool5.
SIDES = (11, 19, 51, 67, 99, 131, 163, 195)


@functools.cache
def convolutional_part(models: Models, name: str) -> nn.Sequential:
    """Return the convolutions and max pools of a network, with one channel each."""
    from torch import nn

    layers = getattr(models(name), "features", models(name))
    assert isinstance(layers, nn.Sequential)
    flattening = surgeries.of_kind(layers, "Flatten")
    part = narrowed(layers[: int(flattening[0])] if flattening else layers)
    assert isinstance(part, nn.Sequential)
    return part


def rows_and_columns_seen(layers: nn.Module, side: int, unit: int) -> tuple[int, int]:
    """Return how many rows and columns of a square image a unit on the diagonal sees.

    The others see no more: rows depend on a unit's row alone, and columns on its column.
    """
    mask = counting.gradient_support(layers, (1, 1, side, side), output_position=(unit, unit))
    return int(mask.any(axis=1).sum()), int(mask.any(axis=0).sum())


def sides_of_maps(layers: nn.Module, side: int) -> list[int]:
    """Return the side of the maps of a square image behind each layer."""
    return [record.output_shape[2] for record in traced(layers, 1, 1, side, side)]


def _third_convolution_dilated(model: nn.Module) -> None:
    third = model.get_submodule(surgeries.of_kind(model, "Conv2d")[2])
    third.__dict__["dilation"] = third.__dict__["padding"] = (2, 2)


third_convolution_dilated = surgeries.surgery(
    "third convolution dilated", _third_convolution_dilated
)

in_alexnet = Claim(
    "receptive-field/is-11-to-195-pixels-wide-in-alexnet",
    says="In AlexNet a unit away from the border sees 11x11 pixels behind the first convolution, "
    "then 19, 51, 67, 99, 131, 163 and, behind the last pool, 195x195.",
    cites=["002:13"],
    recorded=Holds(),
)


@in_alexnet.judged(
    subject=MODELS,
    on=ALEXNETS,
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.last_max_pool_removed,
        third_convolution_dilated,
    ],
)
def sides_behind_each_layer(models: Models, name: str) -> dict[str, int]:
    layers = convolutional_part(models, name)
    found = [
        rows_and_columns_seen(layers[: number + 1], 320, side // 2)
        for number, side in enumerate(sides_of_maps(layers, 320))
        if type(layers[number]).__name__ in ("Conv2d", "MaxPool2d")
    ]
    assert found == [(side, side) for side in SIDES], f"units of {name} see {found}"
    return {f"layer {number}": side for number, side in enumerate(SIDES, start=1)}


whole_field_unseen = Claim(
    "receptive-field/exceeds-what-any-unit-sees-in-alexnet",
    says="On an image of 224x224 no unit of AlexNet's last maps sees all of its 195x195 pixels: "
    "part of each field lies on padding, and 194x194 pixels are the most that one sees.",
    cites=["002:13"],
    recorded=Holds(),
)


@whole_field_unseen.judged(
    subject=MODELS,
    on=ALEXNETS,
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.last_max_pool_removed,
        third_convolution_dilated,
    ],
)
def at_most_194_rows(models: Models, name: str) -> dict[str, int]:
    layers = convolutional_part(models, name)
    units = range(sides_of_maps(layers, 224)[-1])
    found = [rows_and_columns_seen(layers, 224, unit) for unit in units]
    assert max(found) == (194, 194), f"a unit of {name} sees {max(found)} rows and columns"
    return {"rows seen at most": 194, "at least": min(found)[0]}


fully_connected = Claim(
    "receptive-field/is-the-whole-image-for-alexnets-fully-connected-layers",
    says="A unit of AlexNet's first fully connected layer, a 6x6 window on the last maps with a "
    "field of 355x355, sees all of a 224x224 image.",
    cites=["002:4", "002:13"],
    recorded=HoldsIf("AlexNet is not the lecture's"),
)


@fully_connected.judged(
    subject=MODELS,
    on=ALEXNETS,
    when={"AlexNet is not the lecture's": lambda name: name == "alexnet"},
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.last_max_pool_removed,
        surgeries.first_linear_removed,
        third_convolution_dilated,
    ],
)
def all_rows_and_columns(models: Models, name: str) -> dict[str, int]:
    from torch import nn

    layers, model = convolutional_part(models, name), models(name)
    maps = len(model.get_submodule(surgeries.of_kind(model, "Conv2d")[-1]).get_parameter("bias"))
    inputs = model.get_submodule(surgeries.of_kind(model, "Linear")[0]).get_parameter("weight")
    window = math.isqrt(inputs.shape[1] // maps)
    assert inputs.shape[1] == maps * window**2, f"{inputs.shape[1]} values are no square maps"
    whole = nn.Sequential(*layers, nn.Conv2d(1, 1, window, device="meta"))
    found = rows_and_columns_seen(whole, 224, 0)
    assert found == (224, 224), f"a unit of {name} sees {found} of 224 rows and columns"
    side, _ = counting.receptive_field_of(whole)
    assert (window, side) == (6, 355), f"the field of a {window}x{window} window is {side}x{side}"
    return {"side of the field": side}
