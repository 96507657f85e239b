"""1x1 convolutions: a fully connected layer at each pixel, and what follows from that.

Documents 000 (line 11), 001 (lines 56 to 72) and 004 (lines 122 to 125).
"""

from __future__ import annotations

import numpy as np

from claims.cases import GROUPED_POINTWISE, POINTWISE, Convolution, integers
from claims.checks import same
from claims.core.claim import PROOF, Claim, Proof
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import operators as faults
from claims.subjects import FORMULAS, OPERATORS, Formulas
from nin_ref import oracle
from nin_ref.operators import Operators

# One layer, three descriptions --------------------------------------------------------------------

per_pixel_linear = Claim(
    "pointwise/is-a-linear-layer-per-pixel",
    says="A 1x1 convolution applies one and the same affine map, that of a fully connected layer "
    "with the same weights, to the channels of every pixel.",
    cites=["000:11", "001:56", "001:69-70", "001:72"],
    recorded=Holds(),
)


@per_pixel_linear.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.bias_missing,
        faults.channel_ignored,
        faults.last_image_ignored,
        faults.weight_transposed,
        faults.weight_by_position,
        faults.neighbours_mixed,
        faults.axes_swapped,
    ],
)
def convolution_equals_linear_on_pixels(ops: Operators, c: Convolution) -> None:
    pixels = c.x.transpose(0, 2, 3, 1).reshape(-1, c.in_channels)
    expected = oracle.linear(pixels, c.weight[:, :, 0, 0], c.bias)
    maps = expected.reshape(c.batch, c.height, c.width, c.out_channels).transpose(0, 3, 1, 2)
    same(ops.conv2d(c.x, c.weight, c.bias), maps, "the convolution")


mixes_all_channels = Claim(
    "pointwise/mixes-all-channels",
    says="Every value that a 1x1 convolution puts out depends on all input channels at its pixel.",
    cites=["000:11"],
    recorded=HoldsIf("groups = 1"),
)


@mixes_all_channels.judged(
    subject=OPERATORS,
    on=GROUPED_POINTWISE,
    when={"groups = 1": lambda c: c.groups == 1},
    flipped_by=[faults.channel_ignored, faults.groups_ignored],
)
def every_channel_reaches_every_output(ops: Operators, c: Convolution) -> None:
    y = ops.conv2d(c.x, c.weight, groups=c.groups)
    for channel in range(c.in_channels):
        bumped = c.x.copy()
        bumped[:, channel] += 1
        reached = ops.conv2d(bumped, c.weight, groups=c.groups) != y
        assert reached.all(), f"channel {channel} leaves output {np.argwhere(~reached)[0][1]} alone"


keeps_height_and_width = Claim(
    "pointwise/keeps-height-and-width",
    says="With kernel 1, stride 1 and no padding the output is as high and wide as the input.",
    cites=["001:69"],
    recorded=Holds(),
)


@keeps_height_and_width.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[wrong_formulas.output_size_off_by_one],
)
def no_size_is_changed(formulas: Formulas, _: Proof) -> None:
    import z3

    size = z3.Int("size")
    solver = z3.Solver()
    solver.add(size >= 1, formulas.output_size(size, 1) != size)
    assert solver.check() == z3.unsat, f"size {solver.model()[size]} becomes another"


@keeps_height_and_width.judged(
    subject=OPERATORS, on=POINTWISE, flipped_by=[faults.one_more_padding]
)
def real_convolutions_keep_it(ops: Operators, c: Convolution) -> None:
    shape = ops.conv2d(c.x, c.weight).shape
    assert shape[2:] == (c.height, c.width), f"{c.height}x{c.width} became {shape[2:]}"


keeps_channel_count = Claim(
    "pointwise/keeps-channel-count",
    says="A 1x1 convolution does not change the number of channels.",
    cites=["001:69"],
    recorded=Refuted(instead="pointwise/keeps-height-and-width"),
)


@keeps_channel_count.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.wrong(
            "as many outputs as inputs",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, np.resize(w, (x.shape[1], *w.shape[1:])), b, **o),
        )
    ],
)
def outputs_equal_inputs(ops: Operators, c: Convolution) -> None:
    channels = ops.conv2d(c.x, c.weight).shape[1]
    assert channels == c.in_channels, f"{c.in_channels} channels in, {channels} out"


# The sentence "a 1x1 convolution is equivalent to a fully connected layer" can be read two ways: the
# per-pixel reading above, and this one about the whole flattened image.

equals_whole_image_linear = Claim(
    "pointwise/equals-whole-image-linear",
    says="A fully connected layer on the flattened image is a 1x1 convolution with the same weights.",
    cites=["001:69"],
    recorded=HoldsIf("the map is 1x1"),
    reading_of="a 1x1 convolution is equivalent to a fully connected layer",
)


@equals_whole_image_linear.judged(
    subject=OPERATORS,
    on=POINTWISE,
    when={"the map is 1x1": lambda c: c.height * c.width == 1},
    flipped_by=[faults.neighbours_mixed, faults.bias_missing],
)
def dense_layer_fits_into_the_kernel(ops: Operators, c: Convolution) -> None:
    shape = (c.in_channels, c.height, c.width)
    dense = integers(c.seed, c.out_channels, c.height, c.width, *shape, low=1)
    flat = oracle.linear(
        (abs(c.x) + 1).reshape(c.batch, -1),
        dense.reshape(-1, np.prod(shape)),
        np.repeat(c.bias, c.height * c.width),
    )
    maps = flat.reshape(c.batch, c.out_channels, c.height, c.width)
    kernel = dense[:, 0, 0, :, :1, :1].copy()
    same(ops.conv2d(abs(c.x) + 1, kernel, c.bias), maps, "the convolution")
