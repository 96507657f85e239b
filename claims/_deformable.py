"""Deformable convolutions with offsets that keep sums exact, what they sample, and wrong ones."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from claims.cases import SEEDS, Convolution, convolution, integers, pairs, sampled
from claims.checks import Array
from claims.core.claim import Sample
from claims.faults import operators as faults
from nin_ref.operators import Operators


@dataclass(frozen=True)
class Deformation(Convolution):
    """A convolution with offsets in quarters of pixels, which keep all sums exact.

    Offsets and the places that taps read are arrays [N, offset groups, kh * kw, 2, H', W'].
    """

    offset_groups: int = 1

    @property
    def extents(self) -> tuple[int, ...]:
        """Height and width of the output."""
        return self.output_gradient.shape[2:]

    @functools.cached_property
    def offsets(self) -> Array:
        """Offsets of up to two and a half pixels."""
        taps = math.prod(self.kernel)
        shape = (self.batch, self.offset_groups, taps, 2, *self.extents)
        return integers(self.seed + 4, *shape, low=-10, high=10) / 4

    @functools.cached_property
    def taps(self) -> Array:
        """Where the taps read without offsets: [kh * kw, 2, H', W'] of rows and columns."""
        rows, columns = (
            np.add.outer(np.arange(k) * d, np.arange(extent) * s - p)
            for k, d, extent, s, p in zip(
                self.kernel, self.dilation, self.extents, self.stride, self.padding, strict=True
            )
        )
        crossed = np.broadcast_arrays(rows[:, None, :, None], columns[:, None, :])
        return np.stack(crossed, axis=2).reshape(-1, 2, *self.extents)

    @property
    def options(self) -> dict[str, Any]:
        """The options as operators take them."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    def apply(
        self, ops: Operators, x: Array, offsets: Array, weight: Array, bias: Array | None = None
    ) -> Array:
        """Run the operator on images with offsets as in `offsets`."""
        flat = offsets.astype(float).reshape(len(x), -1, *self.extents)
        return ops.deform_conv2d(x, flat, weight, bias, **self.options)


def deformation(offset_groups: int, **sizes: Any) -> Deformation | None:
    """Return the deformable convolution of these sizes, or None if they do not fit."""
    made = convolution(**sizes)
    if made is None or made.in_channels % offset_groups:
        return None
    return Deformation(**dataclasses.asdict(made), offset_groups=offset_groups)


DEFORMATIONS = sampled(
    "deformable convolutions of 1 to 3 images, 1 to 4 channels, maps up to 7x8, kernels up to 3x3, "
    "any stride, padding, dilation and offset groups that fit, offsets up to 2.5 pixels",
    deformation,
    {
        "batch": (2, 1),
        "in_channels": (4, 2),
        "out_channels": (3, 1),
        "height": (6, 5),
        "width": (7, 4),
        "kernel": ((3, 2), (1, 1), (2, 3)),
        "stride": ((1, 1), (2, 1)),
        "padding": ((1, 1), (0, 2)),
        "dilation": ((1, 1), (1, 2)),
        "offset_groups": (1, 2),
    },
    {
        "batch": st.integers(1, 3),
        "in_channels": st.sampled_from([2, 4]),
        "out_channels": st.integers(1, 3),
        "height": st.integers(2, 7),
        "width": st.integers(2, 8),
        "kernel": pairs(1, 3),
        "stride": pairs(1, 2),
        "padding": pairs(0, 2),
        "dilation": pairs(1, 2),
        "offset_groups": st.sampled_from([1, 2]),
        "seed": SEEDS,
    },
)
SOME_DEFORMATIONS = Sample(DEFORMATIONS.described, DEFORMATIONS.covering[::3])


def interpolated(x: Array, places: Array) -> Array:
    """Read maps [N, G, C, H, W] at places [N, G, T, 2, H', W']: [N, G, C, T, H', W'].

    A value is the mean of the four pixels around the place, weighted by how near they are; beyond
    the map all is zero.
    """
    framed = np.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1), (1, 1)))
    image, group = np.ogrid[: len(x), : x.shape[1]]
    image, group = image.reshape(-1, 1, 1, 1, 1), group.reshape(-1, 1, 1, 1)
    limits = np.reshape(x.shape[3:], (2, 1, 1))
    values = 0.0
    for corner in itertools.product((0, 1), repeat=2):
        pixel = np.floor(places) + np.reshape(corner, (2, 1, 1))
        nearness = (1 - abs(places - pixel)).prod(axis=3)
        row, column = np.moveaxis(pixel.clip(-1, limits).astype(int) + 1, 3, 0)
        values = values + nearness[..., np.newaxis] * framed[image, group, :, row, column]
    return np.moveaxis(np.asarray(values), -1, 2)


same_offsets_everywhere = faults.offsets_changed(
    "offsets of the first position for all",
    lambda offsets: np.broadcast_to(offsets[..., :1, :1], offsets.shape),
)
same_offsets_for_all_images = faults.offsets_changed(
    "offsets of the first image for all",
    lambda offsets: np.broadcast_to(offsets[:1], offsets.shape),
)
same_offsets_for_all_taps = faults.offsets_changed(
    "offsets of the first tap for all",
    lambda offsets: np.broadcast_to(offsets[:, :, :1, :1], offsets.shape),
)


def _by_column(offsets: Array) -> Array:
    batch, groups, rows, columns, *rest = offsets.shape
    return offsets.reshape(batch, groups, columns, rows, *rest).swapaxes(2, 3)


half_a_pixel_on = faults.offsets_changed(
    "half a pixel added to each offset", lambda offsets: offsets + 0.5
)
taps_by_column = faults.offsets_changed("offsets of the taps column by column", _by_column)
channel_ignored = faults.wrong(
    "last channel ignored by the deformable convolution",
    "deform_conv2d",
    lambda f, x, *a, **o: f(x * (np.arange(x.shape[1]) < x.shape[1] - 1)[:, None, None], *a, **o),
)
bias_missing = faults.wrong(
    "bias of the deformable convolution missing",
    "deform_conv2d",
    lambda f, x, offset, w, b=None, **o: f(x, offset, w, None, **o),
)
kernel_flipped = faults.wrong(
    "kernel of the deformable convolution flipped",
    "deform_conv2d",
    lambda f, x, offset, w, *a, **o: f(x, offset, w[..., ::-1, ::-1].copy(), *a, **o),
)

OTHER_PLACES = (
    faults.offsets_ignored,
    faults.offsets_swapped,
    faults.offsets_of_first_group,
    faults.border_repeated,
    same_offsets_everywhere,
    same_offsets_for_all_images,
)
OTHER_TAPS = (same_offsets_for_all_taps, taps_by_column)
OTHER_SUMS = (bias_missing, kernel_flipped, faults.deform_conv2d_in_float32)
