"""Deformable convolution: which pixels its taps read, in which two steps, and between pixels.

Document 003 (lines 58 to 66).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from claims._classics import convolutions
from claims._deformable import (
    DEFORMATIONS,
    OTHER_PLACES,
    OTHER_SUMS,
    OTHER_TAPS,
    SOME_DEFORMATIONS,
    Deformation,
    bias_missing,
    channel_ignored,
    half_a_pixel_on,
    interpolated,
    same_offsets_everywhere,
)
from claims.cases import CONVOLUTIONS, Convolution, integers, wide
from claims.checks import Array, same
from claims.core.claim import Claim, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import MODELS, OPERATORS, Models
from nin_ref import oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import nn

# What a standard convolution reads ----------------------------------------------------------------

squares = Claim(
    "deformable/traditional-kernels-are-square",
    says="The kernels of traditional convolutional networks are all square.",
    cites=["003:58"],
    recorded=Refuted(instead="deformable/standard-convolution-reads-a-fixed-rectangle"),
)


def _squared(model: nn.Module) -> None:
    """Give every oblong kernel the larger of its two sides for both."""
    for layer in convolutions(model):
        layer.kernel_size = (max(layer.kernel_size),) * 2


@squares.judged(
    subject=MODELS,
    on=["inception_v3"],
    flipped_by=[surgeries.surgery("oblong kernels made square", _squared)],
)
def no_kernel_is_oblong(models: Models, name: str) -> None:
    kernels = [layer.kernel_size for layer in convolutions(models(name))]
    oblong = [f"{rows}x{columns}" for rows, columns in kernels if rows != columns]
    assert not oblong, (
        f"{len(oblong)} of {len(kernels)} kernels of {name} are {', '.join(sorted(set(oblong)))}"
    )


def pixels_read(run: Callable[[Array], Array], image: Array) -> Array:
    """Say which pixels of an image [C, H, W] each output position depends on: [H', W', H, W]."""
    channels, *size = image.shape
    # Powers of eleven: no sum of them with weights of -5 to 5 is zero.
    one_pixel = np.eye(math.prod(size)).reshape(-1, 1, *size)
    changes = 11.0 ** np.arange(channels).reshape(-1, 1, 1) * one_pixel
    y = run(np.concatenate([image[np.newaxis], image + changes]))
    changed = (y[1:] != y[:1]).any(axis=1)
    return np.asarray(changed.transpose(1, 2, 0).reshape(*changed.shape[1:], *size))


def pixels_at(places: Array, size: tuple[int, ...]) -> Array:
    """Say which pixels lie at one of the places [T, 2, H', W'] of each output: [H', W', H, W]."""
    row, column = (places[:, axis, :, :, np.newaxis] == np.arange(size[axis]) for axis in (0, 1))
    return np.asarray((row[..., :, np.newaxis] & column[..., np.newaxis, :]).any(axis=0))


def assert_read(found: Array, expected: Array) -> None:
    """Assert that each output position depends on the expected pixels, [H', W', H, W]."""
    assert found.shape == expected.shape, f"the output has the size {found.shape[:2]}"
    for *position, row, column in np.argwhere(found != expected)[:1].tolist():
        does = "reads" if found[*position, row, column] else "does not read"
        raise AssertionError(f"output {position} {does} pixel {[row, column]}")


reads_a_rectangle = Claim(
    "deformable/standard-convolution-reads-a-fixed-rectangle",
    says="Each output of a standard convolution reads a rectangle of pixels, as high and as wide "
    "as the kernel and spaced by the dilation, in a fixed place, whatever the image shows.",
    cites=["003:58"],
    recorded=Holds(),
)


@reads_a_rectangle.judged(
    subject=OPERATORS,
    on=Sample(
        CONVOLUTIONS.described,
        [
            Convolution(2, 4, 2, 7, 9, (3, 2), (1, 1), (1, 2), (1, 3)),
            Convolution(1, 4, 6, 6, 5, (2, 4), (2, 3), (2, 0), (2, 1), groups=2),
            Convolution(1, 2, 2, 7, 6, (1, 1), (3, 1)),
        ],
    ),
    flipped_by=[
        faults.kernel_row_ignored,
        faults.kernel_transposed,
        faults.dilation_ignored,
        faults.stride_swapped,
        faults.one_more_padding,
        faults.neighbours_mixed,
        faults.rectified,
        faults.wrong(
            "moved by what the image shows",
            "conv2d",
            lambda f, x, *a, **o: f(
                np.stack([np.roll(one, int(one[0, 0, 0] > 0), axis=2) for one in x]), *a, **o
            ),
        ),
    ],
)
def every_image_is_read_in_the_same_places(ops: Operators, c: Convolution) -> None:
    placed = Deformation(**dataclasses.asdict(c))
    expected = pixels_at(placed.taps, (c.height, c.width))
    for image in (c.x[0], 100 - 7 * c.x[0]):
        read = pixels_read(lambda x: ops.conv2d(x, c.weight, c.bias, **c.options), image)
        assert_read(read, expected)


# What a deformable convolution reads --------------------------------------------------------------

any_shape = Claim(
    "deformable/takes-any-shape",
    says="The shape of a deformable kernel is free: each tap, at each output position of each "
    "image, reads the pixel that its offset says.",
    cites=["003:58"],
    recorded=Holds(),
)


def read_with(ops: Operators, c: Deformation, image: Array, offsets: Array) -> Array:
    """Assert that an image is read where offsets of whole pixels say, each group by its own.

    Returns which pixels the groups read: [offset groups, H', W', H, W].
    """
    expected = [pixels_at(of_group + c.taps, (c.height, c.width)) for of_group in offsets]
    read = []
    for group, pixels in enumerate(expected):
        members = np.arange(c.in_channels) * c.offset_groups // c.in_channels == group
        weight = abs(c.weight) * members[:, np.newaxis, np.newaxis]

        def run(x: Array, weight: Array = weight) -> Array:
            # Between two images with other offsets, which must not matter.
            batch = np.concatenate([x[:1], x, x[:1]])
            of_each = np.stack([offsets + 1, *[offsets] * len(x), offsets + 1])
            return c.apply(ops, batch, of_each, weight)[1:-1]

        read.append(pixels_read(run, image))
        assert_read(read[-1], pixels)
    return np.stack(read)


@any_shape.judged(
    subject=OPERATORS,
    on=SOME_DEFORMATIONS,
    flipped_by=[
        *OTHER_PLACES,
        *OTHER_TAPS,
    ],
)
def pixels_that_offsets_name_are_read(ops: Operators, c: Deformation) -> None:
    # A place may lie one pixel beyond the image, where nothing is read.
    limits = np.reshape((c.height, c.width), (2, 1, 1))
    places = np.random.default_rng(c.seed).integers(-1, limits + 1, c.offsets.shape)
    for image, of_image in zip(c.x, places, strict=True):
        read_with(ops, c, image, of_image - c.taps)


@dataclass(frozen=True)
class Guided(Deformation):
    """A deformable convolution whose offsets a convolution computes from the image.

    Each offset is a value that the convolution finds in its window, or, if `blank`, zero.
    """

    blank: bool = False

    @functools.cached_property
    def offset_weight(self) -> Array:
        """Weights [2 * offset groups * kh * kw, C, kh, kw] with a single one in each filter."""
        filters = 2 * self.offset_groups * math.prod(self.kernel)
        shape = (filters, self.in_channels, *self.kernel)
        weight = np.zeros((filters, math.prod(shape[1:])))
        if not self.blank:
            chosen = np.random.default_rng(self.seed).integers(weight.shape[1], size=filters)
            weight[np.arange(filters), chosen] = 1
        return weight.reshape(shape)


GUIDED = Sample(
    "some deformable convolutions whose offsets a convolution computes from the image",
    [
        Guided(2, 4, 3, 6, 7, kernel=(3, 2), padding=(1, 1), offset_groups=2, blank=blank)
        for blank in (False, True)
    ]
    + [
        Guided(
            1, 2, 1, 5, 8, kernel=(2, 3), stride=(1, 2), padding=(0, 2), dilation=(2, 1), seed=seed
        )
        for seed in range(3)
    ],
)

follows_the_image = Claim(
    "deformable/reads-other-pixels-in-other-images",
    says="A deformable convolution reads other pixels in other images: where it reads depends on "
    "the image, through the convolution that computes the offsets.",
    cites=["003:58", "003:59"],
    recorded=HoldsIf("the weights of that convolution are not zero"),
)


@follows_the_image.judged(
    subject=OPERATORS,
    on=GUIDED,
    when={"the weights of that convolution are not zero": lambda c: not c.blank},
    flipped_by=[
        faults.offsets_ignored,
        faults.offsets_swapped,
        same_offsets_everywhere,
        faults.shifted,
        faults.weight_by_position,
        faults.wrong("convolution zero", "conv2d", lambda f, *a, **o: 0 * f(*a, **o)),
    ],
)
def two_images_are_read_in_different_places(ops: Operators, c: Guided) -> None:
    images = np.stack([c.x[0], 1 - c.x[0]])
    computed = ops.conv2d(images, c.offset_weight, **c.options)
    same(computed, oracle.conv2d(images, c.offset_weight, **c.options), "the offsets")
    offsets = computed.reshape(2, *c.offsets.shape[1:])
    one, other = (read_with(ops, c, *of) for of in zip(images, offsets, strict=True))
    assert (one != other).any(), "both images are read in the same places"


two_coordinates = Claim(
    "deformable/each-sample-has-two-offsets",
    says="Each sample has two offsets, one down and one across: where they are the same for all "
    "samples, the image is moved by so many rows and columns.",
    cites=["003:60-62"],
    recorded=Holds(),
)


@two_coordinates.judged(
    subject=OPERATORS,
    on=SOME_DEFORMATIONS,
    flipped_by=[
        *OTHER_SUMS,
        faults.offsets_ignored,
        faults.offsets_swapped,
        faults.border_repeated,
        faults.offsets_changed("offsets with the wrong sign", lambda offsets: -offsets),
        faults.offsets_changed("one offset for both", lambda offsets: offsets[:, :, :, :, [0, 0]]),
    ],
)
def image_is_moved_by_rows_and_columns(ops: Operators, c: Deformation) -> None:
    x, reach = wide(c.x), 6
    framed = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    for down, across in ((2, -3), (-1, 0), (0, 3)):
        offsets = np.broadcast_to(np.reshape([down, across], (2, 1, 1)), c.offsets.shape)
        rows, columns = (
            slice(reach - p + move, reach + p + move + size)
            for p, move, size in zip(c.padding, (down, across), x.shape[2:], strict=True)
        )
        options = c.options | {"padding": (0, 0)}
        moved = oracle.conv2d(framed[:, :, rows, columns], c.weight, c.bias, **options)
        y = c.apply(ops, x, offsets, c.weight, c.bias)
        same(y, moved, f"with offsets of {down} and {across} the output")


# Two steps: sample, then convolve -----------------------------------------------------------------

sample_then_convolve = Claim(
    "deformable/samples-then-convolves",
    says="A deformable convolution has two steps: it samples the feature map at the places that "
    "the offsets say, then weighs and adds up the samples as a standard convolution does.",
    cites=["003:63-65"],
    recorded=Holds(),
)


@sample_then_convolve.judged(
    subject=OPERATORS,
    on=DEFORMATIONS,
    flipped_by=[
        *OTHER_PLACES,
        *OTHER_TAPS,
        *OTHER_SUMS,
        faults.offsets_rounded,
        channel_ignored,
    ],
)
def samples_are_convolved(ops: Operators, c: Deformation) -> None:
    x = wide(c.x)
    grouped = x.reshape(c.batch, c.offset_groups, -1, c.height, c.width)
    samples = interpolated(grouped, c.offsets + c.taps)
    samples = samples.reshape(c.batch, c.in_channels, *c.kernel, *c.extents)
    # Side by side, the samples of each output are a window of a convolution with this stride.
    rows, columns = (k * extent for k, extent in zip(c.kernel, c.extents, strict=True))
    windows = samples.transpose(0, 1, 4, 2, 5, 3).reshape(c.batch, c.in_channels, rows, columns)
    expected = oracle.conv2d(windows, c.weight, c.bias, stride=c.kernel)
    same(c.apply(ops, x, c.offsets, c.weight, c.bias), expected, "the deformable convolution")


standard_without_offsets = Claim(
    "deformable/is-standard-without-offsets",
    says="With offsets of zero a deformable convolution is the standard convolution.",
    cites=["003:58", "003:64-65"],
    recorded=Holds(),
)


@standard_without_offsets.judged(
    subject=OPERATORS,
    on=SOME_DEFORMATIONS,
    flipped_by=[
        *OTHER_SUMS,
        faults.border_repeated,
        half_a_pixel_on,
        channel_ignored,
    ],
)
def zero_offsets_change_nothing(ops: Operators, c: Deformation) -> None:
    x = wide(c.x)
    y = c.apply(ops, x, 0 * c.offsets, c.weight, c.bias)
    same(y, oracle.conv2d(x, c.weight, c.bias, **c.options), "the deformable convolution")


@dataclass(frozen=True)
class Spread(Deformation):
    """A convolution whose taps offsets are to spread by a rate."""

    rate: Pair = (2, 2)


dilates = Claim(
    "deformable/offsets-can-dilate-a-kernel",
    says="A dilated convolution is a deformable one with constant offsets, which spread the taps.",
    cites=["003:58"],
    recorded=Holds(),
)


@dilates.judged(
    subject=OPERATORS,
    on=Sample(
        "some convolutions with kernels of odd sides, dilated by 1 to 4",
        [
            Spread(2, 2, 3, 7, 8, (3, 3), padding=(1, 2), rate=(2, 1)),
            Spread(1, 4, 2, 9, 8, (3, 5), (2, 1), padding=(0, 3), rate=(2, 3), offset_groups=2),
            Spread(2, 3, 1, 6, 10, (1, 5), (1, 3), padding=(2, 1), rate=(4, 2), offset_groups=3),
            Spread(1, 2, 4, 9, 7, (5, 3), padding=(2, 0), rate=(3, 4)),
        ],
    ),
    flipped_by=[
        *OTHER_TAPS,
        faults.offsets_ignored,
        faults.offsets_swapped,
        faults.border_repeated,
        faults.deform_conv2d_in_float32,
        bias_missing,
    ],
)
def spread_taps_are_dilated(ops: Operators, c: Spread) -> None:
    x, sides = wide(c.x), zip(c.rate, c.kernel, strict=True)
    spread = [(r - 1) * (np.arange(k) - k // 2) for r, k in sides]
    offsets = np.stack(np.meshgrid(*spread, indexing="ij"), axis=2).reshape(-1, 2, 1, 1)
    y = c.apply(ops, x, np.broadcast_to(offsets, c.offsets.shape), c.weight, c.bias)
    margins = tuple(
        p + (r - 1) * (k // 2) for p, r, k in zip(c.padding, c.rate, c.kernel, strict=True)
    )
    dilated = c.options | {"dilation": c.rate, "padding": margins}
    same(y, oracle.conv2d(x, c.weight, c.bias, **dilated), "the deformable convolution")


# Between pixels -----------------------------------------------------------------------------------

eased = faults.offsets_changed(
    "samples eased from pixel to pixel",
    lambda offsets: np.floor(offsets) + (offsets % 1) ** 2 * (3 - 2 * (offsets % 1)),
)

bilinear = Claim(
    "deformable/samples-are-bilinear",
    says="A sample between pixels is interpolated from the four around it: linearly along the row "
    "and linearly along the column.",
    cites=["003:66"],
    recorded=Holds(),
)


@bilinear.judged(
    subject=OPERATORS,
    on=SOME_DEFORMATIONS,
    flipped_by=[
        faults.offsets_ignored,
        faults.offsets_swapped,
        faults.offsets_rounded,
        faults.deform_conv2d_in_float32,
        eased,
        faults.offsets_changed("samples of the pixel above", np.floor),
    ],
)
def four_pixels_are_weighed(ops: Operators, c: Deformation) -> None:
    x, one = wide(c.x[:, :1]), np.ones((1, 1, 1, 1))
    down, across = integers(c.seed, 2, c.batch, c.height - 1, c.width - 1, low=0, high=8) / 8
    offset = np.zeros((c.batch, 2, c.height, c.width))
    offset[:, 0, :-1, :-1], offset[:, 1, :-1, :-1] = down, across
    corner, right, below, opposite = (
        x[:, 0, row : c.height - 1 + row, column : c.width - 1 + column]
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1))
    )
    upper = (1 - across) * corner + across * right
    lower = (1 - across) * below + across * opposite
    samples = ops.deform_conv2d(x, offset, one)[:, 0, :-1, :-1]
    same(samples, (1 - down) * upper + down * lower, "the samples")


@dataclass(frozen=True)
class Slope(Deformation):
    """A deformable convolution with samples on pixels, as without offsets, or between them."""

    on_pixels: bool = False

    @property
    def start(self) -> Array:
        """Offsets of zero, or of odd eighths."""
        return 0 * self.offsets if self.on_pixels else self.offsets + 1 / 8

    @property
    def step(self) -> Array:
        """Steps of a sixteenth for each sample, down or across."""
        steps = np.random.default_rng(self.seed).permuted(
            np.broadcast_to([[[1.0]], [[0.0]]], self.offsets.shape), axis=3
        )
        return steps / 16


BETWEEN = "no sample lies on a row or column of pixels"

differentiable = Claim(
    "deformable/interpolation-makes-it-differentiable",
    says="Thanks to the interpolation the output has a derivative by each offset.",
    cites=["003:66"],
    recorded=HoldsIf(BETWEEN),
)
SLOPES = Sample(
    "some deformable convolutions, with offsets of zero and of odd eighths of pixels",
    [
        slope
        for on_pixels in (False, True)
        for slope in (
            Slope(2, 2, 3, 6, 5, (3, 2), padding=(1, 0), on_pixels=on_pixels),
            Slope(1, 4, 2, 5, 7, (1, 3), (2, 1), (0, 2), offset_groups=2, on_pixels=on_pixels),
        )
    ],
)


@differentiable.judged(
    subject=OPERATORS,
    on=SLOPES,
    when={BETWEEN: lambda c: not c.on_pixels},
    flipped_by=[
        faults.offsets_ignored,
        faults.offsets_rounded,
        half_a_pixel_on,
        eased,
    ],
)
def slopes_to_both_sides_agree(ops: Operators, c: Slope) -> None:
    offsets = [c.start + steps * c.step for steps in (-1, 0, 1)]
    below, here, above = (c.apply(ops, c.x, each, c.weight) for each in offsets)
    same(above, c.apply(oracle, c.x, offsets[-1], c.weight), "the output after a step")
    for place in np.argwhere(above - here != here - below)[:1].tolist():
        slopes = [16 * float(change[*place]) for change in (here - below, above - here)]
        raise AssertionError(
            f"output {place} has slope {slopes[0]:g} to smaller offsets, {slopes[1]:g} to larger"
        )


jumps = Claim(
    "deformable/nearest-pixels-make-jumps",
    says="Without interpolation, when each sample is the nearest pixel, there is nothing to "
    "differentiate: while offsets grow by a pixel the output jumps once and else stays as it is, "
    "where with interpolation it changes all the way.",
    cites=["003:66"],
    recorded=Holds(),
)


@jumps.judged(
    subject=OPERATORS,
    on=SLOPES,
    flipped_by=[faults.offsets_ignored, faults.offsets_rounded],
)
def output_jumps_once(ops: Operators, c: Slope) -> None:
    offsets = [np.floor(c.offsets) + move / 16 for move in range(17)]
    nearest = [np.floor(each + 0.5) for each in offsets]
    changes = []
    for moved in (nearest, offsets):
        outputs = [c.apply(ops, c.x, each, c.weight) for each in moved]
        same(outputs[-1], c.apply(oracle, c.x, moved[-1], c.weight), "the output after a pixel")
        changes.append(sum((one != other).any() for one, other in pairwise(outputs)))
    assert changes == [1, 16], (
        f"in 16 steps the output changes {changes[0]} times for nearest pixels, {changes[1]} times "
        "with interpolation"
    )
