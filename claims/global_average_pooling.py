"""Global average pooling: what it computes, what it keeps of a map and what it forgets.

Documents 000 (lines 41, 46 and 48), 001 (lines 81, 90 and 148), 002 (lines 19 and 20) and 004
(line 36).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims._maps import (
    DRAWN,
    LESS_COMPLEX,
    MAPS,
    NO_AVERAGE,
    ROBUST,
    SIZES,
    Maps,
    altered,
    weighted_by_place,
)
from claims.cases import integers, pairs, sampled
from claims.checks import Array, close, differs, same
from claims.core.claim import PROOF, Claim, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import FORMULAS, LAYERS, MODELS, OPERATORS, Formulas, Layers, Models
from nin_ref import counting, oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import nn

# What it computes ---------------------------------------------------------------------------------

KIND_OF_POOL = "which value of a map the global pooling layer puts out"

spatial_mean = Claim(
    "global-average-pooling/is-the-spatial-mean",
    says="Global average pooling adds up the values of each map, divides by height times width, "
    "and puts out one number for each map.",
    cites=["000:41", "000:48", "001:81", "002:19", "nin-paper:3.2"],
    recorded=Holds(),
    reading_of=KIND_OF_POOL,
)


@spatial_mean.judged(
    subject=OPERATORS,
    on=MAPS,
    flipped_by=[
        *NO_AVERAGE,
        faults.global_mean_of_positive,
        faults.global_avg_pool2d_in_float32,
        faults.wrong(
            "global median for mean", "global_avg_pool2d", lambda f, x: np.median(x, axis=(2, 3))
        ),
        faults.wrong(
            "global mean over all images",
            "global_avg_pool2d",
            lambda f, x: f(x + x - x.mean(axis=0)),
        ),
    ],
)
def sum_over_number_of_pixels(ops: Operators, c: Maps) -> None:
    close(ops.global_avg_pool2d(c.x), c.mean, "the average")


spatial_maximum = Claim(
    "global-average-pooling/is-the-spatial-maximum",
    says="The global pooling layer at the end of NiN puts out the largest value of each map.",
    cites=["001:81"],
    recorded=Refuted(instead="global-average-pooling/is-the-spatial-mean"),
    reading_of=KIND_OF_POOL,
)


@spatial_maximum.judged(subject=OPERATORS, on=MAPS, flipped_by=[faults.global_max_for_mean])
def largest_value(ops: Operators, c: Maps) -> None:
    largest = c.x.max(axis=(2, 3))
    pooled = ops.global_avg_pool2d(c.x)
    other = np.argwhere(pooled != largest)
    assert not len(other), (
        f"map {other[0][1]} has the maximum {largest[tuple(other[0])]:g}, "
        f"and {pooled[tuple(other[0])]:.3g} comes out"
    )


does_the_work_of_softmax = Claim(
    "global-average-pooling/is-an-alternative-to-softmax",
    says="Adaptive average pooling can stand in for softmax: what it puts out is positive and adds "
    "up to one over the classes.",
    cites=["001:137"],
    recorded=Refuted(instead="average-head/gives-probabilities-through-softmax"),
)


@does_the_work_of_softmax.judged(
    subject=OPERATORS,
    on=MAPS,
    flipped_by=[
        faults.wrong(
            "average turned into shares",
            "global_avg_pool2d",
            lambda f, x: np.exp(f(x)) / np.exp(f(x)).sum(axis=1, keepdims=True),
        )
    ],
)
def averages_are_shares_of_one(ops: Operators, c: Maps) -> None:
    averages = ops.global_avg_pool2d(c.x)
    assert (averages >= 0).all(), f"an average is {averages.min():.3g}"
    totals = averages.sum(axis=1)
    assert not differs(totals, np.ones(c.batch)), f"the averages add up to {totals[0]:.3g}"


fixed_linear_layer = Claim(
    "global-average-pooling/is-a-linear-layer-with-fixed-weights",
    says="Global average pooling takes the place of flattening and a fully connected layer: it is "
    "one whose weights are fixed, one over height times width within a map and zero across maps.",
    cites=["000:41", "001:90", "004:36"],
    recorded=Holds(),
)


@fixed_linear_layer.judged(
    subject=OPERATORS,
    on=MAPS,
    flipped_by=[
        *NO_AVERAGE,
        faults.feature_ignored,
        faults.linear_weight_transposed,
    ],
)
def averages_are_a_matrix_product(ops: Operators, c: Maps) -> None:
    weight = np.kron(np.eye(c.channels), np.ones(c.pixels)) / c.pixels
    close(ops.linear(c.x.reshape(c.batch, -1), weight), c.mean, "the fully connected layer")
    close(ops.global_avg_pool2d(c.x), c.mean, "the average")


fixed_depthwise = Claim(
    "global-average-pooling/is-a-depthwise-convolution-with-fixed-weights",
    says="Global average pooling is a depthwise convolution with a kernel as large as the map, all "
    "its weights one over height times width.",
    cites=["002:19"],
    recorded=Holds(),
)


@fixed_depthwise.judged(
    subject=OPERATORS,
    on=MAPS,
    flipped_by=[
        *NO_AVERAGE,
        faults.channel_ignored,
        faults.groups_ignored,
        faults.kernel_row_ignored,
        faults.last_image_ignored,
    ],
)
def one_window_for_each_map(ops: Operators, c: Maps) -> None:
    weight = np.full((c.channels, 1, *c.size), 1 / c.pixels)
    convolved = ops.conv2d(c.x, weight, groups=c.channels)
    close(convolved, c.mean[:, :, None, None], "the depthwise convolution")
    close(ops.global_avg_pool2d(c.x), c.mean, "the average")


nothing_to_learn = Claim(
    "global-average-pooling/has-no-learnable-parameters",
    says="Global pooling, by average or maximum, has no learnable parameters and no other state.",
    cites=["000:46", "001:148", "002:20", "nin-paper:3.2"],
    recorded=Holds(),
)
# The kinds of layers that pool globally, and what makes each of them do so.
POOLS = {"AdaptiveAvgPool2d": 1, "AvgPool2d": (5, 3), "MaxPool2d": (5, 3)}


def _scaled(pool: nn.Module) -> None:
    import torch

    pool.register_parameter("scale", torch.nn.Parameter(torch.ones(1)))


def _remembering(pool: nn.Module) -> None:
    import torch

    pool.register_buffer("running_mean", torch.zeros(1))


@nothing_to_learn.judged(
    subject=LAYERS,
    on=list(POOLS),
    flipped_by=[
        *(altered(f"{kind} with a learned scale", kind, _scaled) for kind in POOLS),
        altered("average with a running mean", "AdaptiveAvgPool2d", _remembering),
    ],
)
def pool_has_no_state(layers: Layers, kind: str) -> None:
    pool = getattr(layers, kind)(POOLS[kind])
    state = [*dict(pool.named_parameters()), *dict(pool.named_buffers())]
    assert not state, f"{kind} keeps {state}"


# Regions: the whole map, small windows, averages of averages --------------------------------------


@dataclass(frozen=True)
class Window(Maps):
    """Maps, and how many rows and columns the window of a pool lacks to cover them."""

    shorter: int = 0
    narrower: int = 0


always_global = faults.wrong(
    "average pool always global",
    "avg_pool2d",
    lambda f, x, kernel, **o: x.mean(axis=(2, 3), keepdims=True),
)
_AT_LEAST_3 = {"height": st.integers(3, 9), "width": st.integers(3, 9)}
WINDOWS = sampled(
    "average pools whose window covers the maps, or lacks up to two rows or columns of them",
    Window,
    {"batch": (2,), "channels": (3, 1), "height": (5, 4), "width": (7, 3)}
    | {"shorter": (0, 1, 2), "narrower": (0, 1)},
    DRAWN | _AT_LEAST_3 | {"shorter": st.integers(0, 2), "narrower": st.integers(0, 2)},
)

covering_window = Claim(
    "global-average-pooling/is-a-pool-with-a-window-of-the-input-size",
    says="An average pool gives the average of each whole map.",
    cites=["001:81", "002:19"],
    recorded=HoldsIf("the window is as high as the map", "the window is as wide as the map"),
)


@covering_window.judged(
    subject=OPERATORS,
    on=WINDOWS,
    when={
        "the window is as high as the map": lambda c: c.shorter == 0,
        "the window is as wide as the map": lambda c: c.narrower == 0,
    },
    flipped_by=[
        faults.wrong_divisor,
        faults.wrong(
            "height and width of the window swapped",
            "avg_pool2d",
            lambda f, x, kernel, **o: f(x, tuple(np.minimum(kernel[::-1], x.shape[2:])), **o),
        ),
        faults.wrong(
            "average pool takes the maximum",
            "avg_pool2d",
            lambda f, x, kernel, **o: f(
                np.broadcast_to(x.max((2, 3), keepdims=True), x.shape), kernel, **o
            ),
        ),
        always_global,
    ],
)
def pool_gives_the_mean_of_the_map(ops: Operators, c: Window) -> None:
    window = (c.height - c.shorter, c.width - c.narrower)
    pooled = ops.avg_pool2d(c.x, window, stride=window)
    close(pooled, c.mean[:, :, None, None], f"the average over {window}")


@dataclass(frozen=True)
class LocalPool(Maps):
    """Maps, and an average pool of small windows; `counted` says whether zeros of padding count."""

    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)
    padded: bool = False
    counted: bool = True

    @property
    def padding(self) -> Pair:
        """One row and one column at each side, where the window has more than one."""
        rows, columns = (int(self.padded and side > 1) for side in self.kernel)
        return rows, columns

    def windows(self, axis: int) -> list[slice]:
        """Return what each window covers of the rows or columns of the maps."""
        size, kernel, stride = self.size[axis], self.kernel[axis], self.stride[axis]
        padding = self.padding[axis]
        starts = range(-padding, size + padding - kernel + 1, stride)
        return [slice(max(start, 0), start + kernel) for start in starts]


def local_pool(**sizes: Any) -> LocalPool | None:
    """Return an average pool, or None if its windows are larger than the maps."""
    made = LocalPool(**sizes)
    return made if made.windows(0) and made.windows(1) else None


_LOCAL = {"batch": (2,), "channels": (3, 1), "height": (6, 5), "width": (8, 7)} | {
    "kernel": ((2, 2), (3, 3), (2, 3), (1, 2)),
    "stride": ((2, 2), (3, 3), (1, 1), (2, 3)),
}
_DRAWN_LOCAL = DRAWN | _AT_LEAST_3 | {"kernel": pairs(1, 4), "stride": pairs(1, 4)}
LOCAL_POOLS = sampled(
    "average pools with windows up to 4x4, any stride, with and without padding",
    local_pool,
    _LOCAL | {"padded": (False, True), "counted": (True, False)},
    _DRAWN_LOCAL | {"padded": st.booleans(), "counted": st.booleans()},
)

same_but_local = Claim(
    "global-average-pooling/is-local-pooling-on-a-larger-region",
    says="Local average pooling does to each small window of a map, such as 2x2 or 3x3, what "
    "global average pooling does to the whole map.",
    cites=["002:19"],
    recorded=HoldsIf("zeros of padding do not count"),
)


@same_but_local.judged(
    subject=OPERATORS,
    on=LOCAL_POOLS,
    when={"zeros of padding do not count": lambda c: c.padding == (0, 0) or not c.counted},
    flipped_by=[
        faults.wrong_divisor,
        faults.padding_counted_otherwise,
        faults.average_pool_stride_ignored,
        faults.global_sum_for_mean,
        faults.global_mean_divides_by_height,
        faults.global_mean_over_channels,
        faults.wrong(
            "average pool of the positive values only",
            "avg_pool2d",
            lambda f, x, kernel, **o: f(np.maximum(x, 0), kernel, **o),
        ),
    ],
)
def each_window_is_averaged(ops: Operators, c: LocalPool) -> None:
    pooled = ops.avg_pool2d(
        c.x, c.kernel, stride=c.stride, padding=c.padding, count_include_pad=c.counted
    )
    regions = [[c.x[:, :, rows, columns] for columns in c.windows(1)] for rows in c.windows(0)]
    means = [[region.mean(axis=(2, 3)) for region in row] for row in regions]
    close(pooled, np.moveaxis(np.array(means), (0, 1), (2, 3)), "the local average")
    row, column = c.seed % len(regions), c.seed % len(regions[0])
    close(ops.global_avg_pool2d(c.x), c.mean, "the global average")
    whole = ops.global_avg_pool2d(regions[row][column].copy())
    close(whole, means[row][column], f"the global average of window {row}, {column}")


average_of_averages = Claim(
    "global-average-pooling/is-the-average-of-local-averages",
    says="Local average pooling and then the average of what is left give the global average.",
    cites=["002:19"],
    recorded=HoldsIf("the stride is the window", "the windows reach the last row and column"),
)


@average_of_averages.judged(
    subject=OPERATORS,
    on=sampled(
        "average pools with windows up to 4x4 and any stride, without padding",
        local_pool,
        _LOCAL,
        _DRAWN_LOCAL,
    ),
    when={
        "the stride is the window": lambda c: c.stride == c.kernel,
        "the windows reach the last row and column": lambda c: (
            c.windows(0)[-1].stop == c.height and c.windows(1)[-1].stop == c.width
        ),
    },
    flipped_by=[
        *NO_AVERAGE,
        faults.wrong_divisor,
        faults.average_pool_stride_ignored,
        always_global,
    ],
)
def locally_then_globally(ops: Operators, c: LocalPool) -> None:
    local = ops.avg_pool2d(c.x, c.kernel, stride=c.stride)
    close(ops.global_avg_pool2d(local), c.mean, "the average of the local averages")


# One pixel for each map ---------------------------------------------------------------------------

one_pixel_per_map = Claim(
    "global-average-pooling/shrinks-each-map-to-one-pixel",
    says="Global pooling, by average or maximum, turns maps of any height and width into 1x1 ones "
    "and leaves the number of channels as it is.",
    cites=["001:148", "002:19"],
    recorded=Holds(),
)


@one_pixel_per_map.judged(
    subject=FORMULAS, on=PROOF, flipped_by=[wrong_formulas.output_size_off_by_one]
)
def window_of_the_input_size_fits_once(formulas: Formulas, _: Proof) -> None:
    import z3

    size, stride = z3.Ints("size stride")
    solver = z3.Solver()
    solver.add(size >= 1, stride >= 1, formulas.output_size(size, size, stride) != 1)
    assert solver.check() == z3.unsat, f"other than one window: {solver.model()}"


@one_pixel_per_map.judged(
    subject=OPERATORS,
    on=MAPS,
    flipped_by=[
        faults.wrong(
            "global mean over channels too",
            "global_avg_pool2d",
            lambda f, x: f(x).mean(axis=1, keepdims=True),
        ),
        faults.wrong("global mean of each row", "global_avg_pool2d", lambda f, x: x.mean(axis=3)),
        faults.wrong(
            "maximum over channels too",
            "max_pool2d",
            lambda f, x, kernel, **o: f(x, kernel, **o).max(axis=1, keepdims=True),
        ),
        faults.wrong(
            "average pool with a window of one pixel",
            "avg_pool2d",
            lambda f, x, kernel, **o: f(x, (1, 1), **o | {"stride": (1, 1)}),
        ),
    ],
)
def one_number_per_channel(ops: Operators, c: Maps) -> None:
    close(ops.global_avg_pool2d(c.x), c.mean, "the global average")
    average = ops.avg_pool2d(c.x, c.size, stride=c.size)
    close(average, c.mean[:, :, None, None], "the average pool")
    dark = c.x - 9  # so that a maximum with zeros would show
    largest = dark.max(axis=(2, 3), keepdims=True)
    same(ops.max_pool2d(dark, c.size, stride=c.size), largest, "the max pool")


less_behind_the_pool = Claim(
    "global-average-pooling/shrinks-the-layer-that-follows",
    says="A fully connected layer behind a global pool has fewer weights than on the flattened "
    "maps, by a factor of height times width.",
    cites=["001:148"],
    recorded=Holds(),
)


@less_behind_the_pool.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.formula(
            "weights independent of the inputs",
            "linear_parameters",
            lambda f, inputs, outputs, **o: f(outputs, outputs, **o),
        ),
        wrong_formulas.formula(
            "bias counted as a weight",
            "linear_parameters",
            lambda f, inputs, outputs, **o: f(inputs, outputs),
        ),
    ],
)
def factor_is_the_number_of_pixels(formulas: Formulas, _: Proof) -> None:
    import sympy

    channels, height, width, units = sympy.symbols("C H W K", positive=True, integer=True)
    pooled = formulas.linear_parameters(channels, units, bias=False)
    flat = formulas.linear_parameters(channels * height * width, units, bias=False)
    assert flat == height * width * pooled, f"{flat} weights shrink to {pooled}"


@less_behind_the_pool.judged(
    subject=LAYERS,
    on=Sample(
        "linear layers of some sizes, those behind VGG's and AlexNet's maps among them",
        [(512, 7, 7, 4096), (256, 6, 6, 4096), (3, 2, 5, 7)],
    ),
    flipped_by=[
        wrong_formulas.layer(
            "linear layer without its last input",
            "Linear",
            lambda f, inputs, outputs, **o: f(inputs - 1, outputs, **o),
        )
    ],
)
def real_layers_shrink_by_it(layers: Layers, sizes: tuple[int, int, int, int]) -> None:
    channels, height, width, units = sizes
    flat, pooled = (
        counting.parameter_count(layers.Linear(inputs, units, bias=False, device="meta"))
        for inputs in (channels * height * width, channels)
    )
    assert flat == height * width * pooled, f"{flat} weights shrink to {pooled}"


BEHIND_EVERY_CONVOLUTION = "a global pooling layer can follow every convolution"

fits_behind_every_convolution = Claim(
    "global-average-pooling/fits-behind-every-convolution",
    says="With a global pooling layer behind every convolution of a network the windows of all "
    "later convolutions and pools still fit the maps, which have one pixel.",
    cites=["001:148"],
    recorded=HoldsIf("every later window is padded by half of itself"),
    reading_of=BEHIND_EVERY_CONVOLUTION,
)


@fits_behind_every_convolution.judged(
    subject=MODELS,
    on=["resnet18", "lecture-nin", "cifar10-nin", "lecture-alexnet", "lecture-vgg11", "lenet5"],
    when={"every later window is padded by half of itself": lambda name: name == "resnet18"},
    flipped_by=[surgeries.padding_dropped],
)
def windows_find_room(models: Models, name: str) -> None:
    from torch import nn

    kinds = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d
    for later in [layer for layer in models(name).modules() if isinstance(layer, kinds)][1:]:
        for axis in (0, 1):
            window, padding = (
                size if isinstance(size, int) else int(size[axis])
                for size in (later.kernel_size, later.padding)
            )
            assert window <= 1 + 2 * padding, (
                f"{name}: window {window} of {type(later).__name__} with padding {padding} on one "
                "pixel"
            )


pool_spares_the_next_kernel = Claim(
    "global-average-pooling/leaves-the-next-convolution-its-use",
    says="A convolution behind a global pooling layer still uses, and trains, all its weights.",
    cites=["001:148"],
    recorded=HoldsIf("the kernel is one pixel high", "the kernel is one pixel wide"),
    reading_of=BEHIND_EVERY_CONVOLUTION,
)


@dataclass(frozen=True)
class NextConvolution(Maps):
    """Maps to pool, and the kernel of the convolution behind the pool, padded by half of itself."""

    kernel: Pair = (1, 1)


_ODD = st.sampled_from([1, 3, 5])
NEXT_CONVOLUTIONS = sampled(
    "global max pools of 1 to 7 maps, then convolutions of kernel 1, 3 or 5 and padding 0, 1 or 2",
    NextConvolution,
    SIZES | {"kernel": ((3, 3), (1, 1), (1, 3), (5, 1))},
    DRAWN | {"kernel": st.tuples(_ODD, _ODD)},
)


@pool_spares_the_next_kernel.judged(
    subject=OPERATORS,
    on=NEXT_CONVOLUTIONS,
    when={
        "the kernel is one pixel high": lambda c: c.kernel[0] == 1,
        "the kernel is one pixel wide": lambda c: c.kernel[1] == 1,
    },
    flipped_by=[
        faults.weight_gradient_of_first_image,
        faults.mean_for_max,
        faults.wrong(
            "weight gradient of every tap that of the middle one",
            "conv2d_gradients",
            lambda f, x, w, g, **o: (
                f(x, w, g, **o)[0],
                np.broadcast_to(f(x, w, g, **o)[1].max((2, 3), keepdims=True), w.shape),
                f(x, w, g, **o)[2],
            ),
        ),
        faults.wrong(
            "max pool keeps the map's size",
            "max_pool2d",
            lambda f, x, kernel, **o: np.broadcast_to(f(x, kernel, **o), x.shape).copy(),
        ),
    ],
)
def every_weight_has_a_gradient(ops: Operators, c: NextConvolution) -> None:
    maps = integers(c.seed, *c.x.shape, low=1, high=999)
    pooled = ops.max_pool2d(maps, c.size, stride=c.size)
    weight = integers(c.seed + 1, 3, c.channels, *c.kernel, low=1)
    upstream = integers(c.seed + 2, c.batch, 3, *pooled.shape[2:], low=1)
    middle = (c.kernel[0] // 2, c.kernel[1] // 2)
    gradient = ops.conv2d_gradients(pooled, weight, upstream, padding=middle)[1]
    used = np.einsum("no,nc->oc", upstream.mean(axis=(2, 3)), maps.max(axis=(2, 3)))
    same(gradient[:, :, *middle], used, "the gradient of the middle weights")
    assert (gradient != 0).all(), (
        f"{np.count_nonzero(gradient == 0)} of {gradient.size} weights of a kernel {c.kernel} "
        "have gradient zero"
    )


# What it forgets ----------------------------------------------------------------------------------

only_shrinks = Claim(
    "global-average-pooling/only-shrinks-the-maps",
    says="All that a global pooling layer does is to shrink height and width to one: maps that "
    "differed before differ after it.",
    cites=["001:148"],
    recorded=Refuted(instead="global-average-pooling/ignores-the-arrangement-of-pixels"),
)


@only_shrinks.judged(
    subject=OPERATORS,
    on=Sample("rising maps of some sizes", [(2, 2), (3, 5), (1, 4)]),
    flipped_by=[weighted_by_place],
)
def different_maps_stay_different(ops: Operators, size: Pair) -> None:
    rising = np.arange(1.0, size[0] * size[1] + 1).reshape(1, 1, *size)
    falling = rising[:, :, ::-1, ::-1]
    assert differs(ops.global_avg_pool2d(rising), ops.global_avg_pool2d(falling)), (
        f"a map from 1 to {rising.max():g} and its reverse have the same average"
    )


arrangement_lost = Claim(
    "global-average-pooling/ignores-the-arrangement-of-pixels",
    says="Global pooling, by average or maximum, forgets where in a map the values were: if pixels "
    "change places, what it puts out stays the same.",
    cites=["000:41", "001:148", "002:20", "nin-paper:3.2"],
    recorded=Holds(),
)


@arrangement_lost.judged(
    subject=OPERATORS,
    on=MAPS,
    flipped_by=[
        weighted_by_place,
        faults.global_mean_of_first_row,
        faults.mean_for_max,
        faults.wrong(
            "max pool of the first row only",
            "max_pool2d",
            lambda f, x, kernel, **o: f(x[:, :, :1], (1, kernel[1]), **o),
        ),
    ],
)
def shuffled_maps_have_the_same_average(ops: Operators, c: Maps) -> None:
    pixels = c.x.reshape(c.batch, c.channels, -1)
    shuffled = np.random.default_rng(c.seed).permuted(pixels, axis=2).reshape(c.x.shape)
    close(ops.global_avg_pool2d(shuffled), c.mean, "the average of shuffled maps")
    largest = ops.max_pool2d(shuffled, c.size, stride=c.size)[:, :, 0, 0]
    same(largest, pixels.max(axis=2), "the maximum of shuffled maps")


@dataclass(frozen=True)
class ShiftedImages(Maps):
    """Images, how far they are shifted around their edges, and the convolution that reads them."""

    shift: Pair = (1, 2)
    wrapped: bool = True
    stride: int = 1


SHIFTED_IMAGES = sampled(
    "images shifted around their edges, 3x3 convolutions of stride 1 or 2, any of two paddings",
    ShiftedImages,
    {"batch": (2, 1), "channels": (3, 1), "height": (5, 6), "width": (7, 4)}
    | {"shift": ((1, 2), (3, 1)), "wrapped": (True, False), "stride": (1, 2)},
    DRAWN | {"shift": pairs(0, 4), "wrapped": st.booleans(), "stride": st.sampled_from([1, 2])},
)

shift_invariance = Claim(
    "global-average-pooling/scores-do-not-see-a-shift",
    says="After convolution, ReLU and global average an image that is shifted around its edges has "
    "the same scores.",
    cites=["000:41", "002:20", "nin-paper:3.2"],
    recorded=HoldsIf("the padding wraps around", "the stride is 1"),
    reading_of=ROBUST,
)


@shift_invariance.judged(
    subject=OPERATORS,
    on=SHIFTED_IMAGES,
    when={
        "the padding wraps around": lambda c: c.wrapped,
        "the stride is 1": lambda c: c.stride == 1,
    },
    flipped_by=[
        faults.weight_by_position,
        faults.bias_missing,
        faults.kernel_flipped,
        faults.relu_leaky,
        faults.global_mean_of_first_row,
    ],
)
def shifted_image_scores_alike(ops: Operators, c: ShiftedImages) -> None:
    weight = integers(c.seed + 1, 2, c.channels, 3, 3)
    bias = integers(c.seed + 2, 2, low=1)

    def scores(conv: Operators, images: Array) -> Array:
        margins = ((0, 0), (0, 0), (1, 1), (1, 1))
        padded = np.pad(images, margins, mode="wrap" if c.wrapped else "constant")
        maps = conv.relu(conv.conv2d(padded, weight, bias, stride=(c.stride, c.stride)))
        return np.asarray(conv.global_avg_pool2d(maps))

    shifted = np.roll(c.x, c.shift, axis=(2, 3))
    close(scores(ops, shifted), scores(oracle, c.x), "the scores of the shifted image")


SPATIAL = "global average pooling makes fuller use of spatial information"

more_spatial = Claim(
    "global-average-pooling/tells-more-places-apart-than-a-linear-head",
    says="The averages say more about where in a map something is than a fully connected layer on "
    "the flattened map can.",
    cites=["002:20"],
    recorded=Refuted(instead="global-average-pooling/tells-less-apart-than-a-linear-head"),
    reading_of=SPATIAL,
)


@more_spatial.judged(
    subject=OPERATORS,
    on=Sample("one bright pixel in maps of some sizes", [(5, 7), (1, 4), (3, 1)]),
    flipped_by=[weighted_by_place],
)
def more_places_have_their_own_score(ops: Operators, size: Pair) -> None:
    pixels = size[0] * size[1]
    maps = np.eye(pixels).reshape(pixels, 1, *size)
    numbered = ops.linear(maps.reshape(pixels, -1), np.arange(1.0, pixels + 1)[np.newaxis])
    averages, scores = len(np.unique(ops.global_avg_pool2d(maps))), len(np.unique(numbered))
    assert averages >= scores, (
        f"a bright pixel has {pixels} places, {averages} average and {scores} scores in a linear "
        "layer"
    )


uses_all_pixels = Claim(
    "global-average-pooling/uses-every-pixel-of-a-map",
    says="What a global pooling layer puts out rises with each pixel of the map.",
    cites=["002:20"],
    recorded=HoldsIf("it takes the average, not the maximum"),
    reading_of=SPATIAL,
)


@dataclass(frozen=True)
class Pooled(Maps):
    """Maps, and whether they are pooled by their average or their maximum."""

    average: bool = True


@uses_all_pixels.judged(
    subject=OPERATORS,
    on=sampled(
        "1 to 7 maps of 1 to 3 images, 1x1 to 14x9, under an average or a maximum",
        Pooled,
        SIZES | {"average": (True, False)},
        DRAWN | {"average": st.booleans()},
    ),
    when={"it takes the average, not the maximum": lambda c: c.average},
    flipped_by=[
        faults.global_max_for_mean,
        faults.global_mean_of_first_row,
        faults.global_mean_of_positive,
        faults.wrong(
            "max pool takes the average",
            "max_pool2d",
            lambda f, x, kernel, **o: x.mean(axis=(2, 3), keepdims=True),
        ),
    ],
)
def each_pixel_raises_it(ops: Operators, c: Pooled) -> None:
    def pooled(maps: Array) -> Array:
        if c.average:
            return np.asarray(ops.global_avg_pool2d(maps))
        return np.asarray(ops.max_pool2d(maps, c.size, stride=c.size)[:, :, 0, 0])

    brighter = np.eye(c.pixels).reshape(-1, 1, *c.size)
    idle = np.count_nonzero(pooled(c.x[:1] + brighter) <= pooled(c.x[:1]))
    assert not idle, f"of {c.channels * c.pixels} pixels {idle} have no say"


fewer_functions = Claim(
    "global-average-pooling/tells-less-apart-than-a-linear-head",
    says="Global average pooling computes fewer functions than a fully connected head: this one "
    "can score by the place of a bright pixel, to the average all places are one.",
    cites=["001:148"],
    recorded=HoldsIf("the map has more than one pixel"),
    reading_of=LESS_COMPLEX,
)


@fewer_functions.judged(
    subject=OPERATORS,
    on=Sample("one bright pixel in maps of some sizes", [(5, 7), (1, 4), (3, 1), (1, 1)]),
    when={"the map has more than one pixel": lambda size: size != (1, 1)},
    flipped_by=[
        faults.global_mean_of_first_row,
        faults.global_max_for_mean,
        faults.wrong(
            "features averaged", "linear", lambda f, x, w, b=None: f(0 * x + x.mean(), w, b)
        ),
    ],
)
def place_of_the_bright_pixel(ops: Operators, size: Pair) -> None:
    pixels = size[0] * size[1]
    maps = np.eye(pixels).reshape(pixels, 1, *size) - 0.5
    close(ops.global_avg_pool2d(maps), np.full((pixels, 1), 1 / pixels - 0.5), "the average")
    weight = np.arange(1, pixels + 1)[np.newaxis] / 3
    places = ops.linear(maps.reshape(pixels, -1), weight)
    close(places, weight.T - weight.sum() / 2, "the linear head that numbers the places")
    assert len(np.unique(places)) > 1, "there is only one place"
