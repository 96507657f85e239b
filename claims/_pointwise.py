"""Cases and faults that the topics on 1x1 convolutions share."""

from __future__ import annotations

from hypothesis import strategies as st

from claims.cases import Convolution, convolutions, pairs
from claims.checks import Array
from claims.faults import operators as faults

SPATIAL_POINTWISE = convolutions(
    "1x1 convolutions of 1 to 3 images, 1 to 6 channels, maps up to 9x9, any stride, padding and "
    "dilation",
    {
        "batch": (2, 1),
        "in_channels": (3, 4, 1),
        "out_channels": (5, 2, 3),
        "height": (4, 7),
        "width": (4, 9, 6),
        "stride": ((1, 1), (2, 3), (3, 1), (1, 2)),
        "padding": ((0, 0), (1, 2), (2, 0), (0, 1)),
        "dilation": ((1, 1), (3, 2)),
    },
    {
        "batch": st.integers(1, 3),
        "in_channels": st.integers(1, 4),
        "out_channels": st.integers(1, 6),
        "height": st.integers(1, 9),
        "width": st.integers(1, 9),
        "stride": st.just((1, 1)) | pairs(1, 3),
        "padding": st.just((0, 0)) | pairs(0, 2),
        "dilation": pairs(1, 3),
    },
)
KERNELS = convolutions(
    "convolutions of 1 to 3 images, 1 to 5 channels, maps of 4x4 to 9x9, kernels up to 3x3, any "
    "stride and padding",
    {
        "batch": (2, 1),
        "in_channels": (5, 2, 1),
        "out_channels": (4, 1),
        "height": (6, 7),
        "width": (9, 6),
        "kernel": ((1, 1), (3, 3), (1, 3), (3, 1), (2, 3)),
        "stride": ((1, 1), (2, 1), (1, 3)),
        "padding": ((0, 0), (1, 2), (1, 0), (0, 1)),
    },
    {
        "batch": st.integers(1, 3),
        "in_channels": st.integers(1, 5),
        "out_channels": st.integers(1, 4),
        "height": st.integers(4, 9),
        "width": st.integers(4, 9),
        "kernel": pairs(1, 3),
        "stride": pairs(1, 3),
        "padding": st.just((0, 0)) | pairs(0, 2),
    },
)


IN_PLACE = {
    "stride 1": lambda c: c.stride == (1, 1),
    "no padding": lambda c: c.padding == (0, 0),
}

# Of a convolution that is held against its formula, value by value.
WRONG_VALUES = (
    faults.channel_ignored,
    faults.last_image_ignored,
    faults.weight_transposed,
    faults.neighbours_mixed,
    faults.axes_swapped,
    faults.conv2d_in_float32,
)
WRONG_RELU = (faults.relu_missing, faults.relu_leaky, faults.relu_absolute, faults.relu_capped)


def pixels(maps: Array) -> Array:
    """Read maps [N, C, H, W] as samples [N * H * W, C], one for each pixel."""
    return maps.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])


def maps_of(rows: Array, c: Convolution) -> Array:
    """Put samples back where `pixels` took them from."""
    return rows.reshape(c.batch, c.height, c.width, -1).transpose(0, 3, 1, 2)
