"""Global average pooling: what it computes, what it replaces, what it costs and what it risks.

Documents 000 (lines 37 to 47), 001 (lines 81, 90, 102, 131, 137 and 143 to 148) and 004 (lines 35
and 36).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from claims._maps import (
    DRAWN,
    MAPS,
    NO_AVERAGE,
    SIZES,
    Maps,
    altered,
    classes_reversed,
    computed,
    max_for_average,
    takes_the_average,
    weighted_by_place,
)
from claims.awaited import awaited
from claims.cases import SEEDS, integers, pairs, sampled
from claims.checks import Array, close, differs, same
from claims.core.claim import PROOF, Claim, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import (
    FORMULAS,
    LAYERS,
    MODELS,
    MODELS_WITH_WEIGHTS,
    OPERATORS,
    Formulas,
    Layers,
    Models,
    traced,
)
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
    cites=["000:41", "000:48", "001:81", "nin-paper:3.2"],
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


@dataclass(frozen=True)
class Window(Maps):
    """Maps, and how many rows and columns the window of a pool lacks to cover them."""

    shorter: int = 0
    narrower: int = 0


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
    cites=["001:81"],
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
        faults.wrong(
            "average pool always global",
            "avg_pool2d",
            lambda f, x, kernel, **o: x.mean(axis=(2, 3), keepdims=True),
        ),
    ],
)
def pool_gives_the_mean_of_the_map(ops: Operators, c: Window) -> None:
    window = (c.height - c.shorter, c.width - c.narrower)
    pooled = ops.avg_pool2d(c.x, window, stride=window)
    close(pooled, c.mean[:, :, None, None], f"the average over {window}")


one_pixel_per_map = Claim(
    "global-average-pooling/shrinks-each-map-to-one-pixel",
    says="Global pooling, by average or maximum, turns maps of any height and width into 1x1 ones "
    "and leaves the number of channels as it is.",
    cites=["001:148"],
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
    cites=["000:41", "001:148", "nin-paper:3.2"],
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
    DRAWN
    | _AT_LEAST_3
    | {"shift": pairs(0, 4), "wrapped": st.booleans(), "stride": st.sampled_from([1, 2])},
)

shift_invariance = Claim(
    "global-average-pooling/scores-do-not-see-a-shift",
    says="After convolution, ReLU and global average an image that is shifted around its edges has "
    "the same scores.",
    cites=["000:41", "nin-paper:3.2"],
    recorded=HoldsIf("the padding wraps around", "the stride is 1"),
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


# A map for each class -----------------------------------------------------------------------------

INPUTS = {
    "lecture-nin": (1, 1, 224, 224),
    "table-nin": (1, 3, 224, 224),
    "cifar10-nin": (1, 3, 32, 32),
    "cifar100-nin": (1, 3, 32, 32),
    "mnist-nin": (1, 1, 28, 28),
    "svhn-nin": (1, 3, 32, 32),
    "squeezenet1_1": (1, 3, 224, 224),
    "handwritten-nin": (1, 3, 32, 32),
    "resnet18": (1, 3, 224, 224),
}
CLASSES = dict.fromkeys(INPUTS, 10) | {
    "table-nin": 1000,
    "cifar100-nin": 100,
    "squeezenet1_1": 1000,
    "resnet18": 1000,
}
LINEAR_AFTER_POOL = ("handwritten-nin", "resnet18")
NINS = [name for name in INPUTS if name.endswith("nin") and name not in LINEAR_AFTER_POOL]


def head(model: nn.Module, name: str) -> list[counting.LayerRecord]:
    """Return the layers from the one on that leaves no height and width; it must be an average."""
    records = traced(model, *INPUTS[name])
    layers = [i for i, one in enumerate(records) if math.prod(one.output_shape[2:]) == 1]
    assert layers, f"no layer of {name} leaves one value of each map"
    kind = records[layers[0]].kind
    assert "AvgPool" in kind, f"{name} loses height and width in a layer {kind}"
    return records[layers[0] :]


one_map_per_class = Claim(
    "global-average-pooling/averages-one-map-per-class",
    says="In a network that averages its maps globally, as many maps are averaged as there are "
    "classes.",
    cites=["000:48", "001:81", "001:90", "001:102"],
    recorded=HoldsIf("no linear layer follows the average"),
)


@one_map_per_class.judged(
    subject=MODELS,
    on=list(INPUTS),
    when={"no linear layer follows the average": lambda name: name not in LINEAR_AFTER_POOL},
    flipped_by=[surgeries.outputs_doubled, max_for_average],
)
def as_many_maps_as_classes(models: Models, name: str) -> dict[str, int]:
    maps, height, width = head(models(name), name)[0].input_shape[1:]
    assert maps == CLASSES[name], f"{name} averages {maps} maps for {CLASSES[name]} classes"
    return {"maps": maps, "height": height, "width": width}


averages_are_scores = Claim(
    "global-average-pooling/needs-no-linear-layer-behind-it",
    says="In NiN the averages of the last maps are the class scores as they are: no layer that "
    "computes stands between them and the softmax.",
    cites=["000:41", "001:81", "001:90", "004:36"],
    recorded=Holds(),
)


def _rectified(model: nn.Module) -> nn.Module:
    from torch import nn

    return nn.Sequential(model, nn.ReLU())


@averages_are_scores.judged(
    subject=MODELS,
    on=NINS,
    flipped_by=[
        surgeries.linear_appended,
        surgeries.outputs_doubled,
        max_for_average,
        surgeries.surgery("ReLU behind the average", _rectified),
    ],
)
def only_the_shape_changes_after_it(models: Models, name: str) -> None:
    layers = head(models(name), name)
    kinds = [layer.kind for layer in layers[1:]]
    assert set(kinds) <= {"Flatten"}, f"{', '.join(kinds)} follow the average of {name}"
    assert layers[-1].output_shape == (1, CLASSES[name]), (
        f"{name} puts out {layers[-1].output_shape} for {CLASSES[name]} classes"
    )


map_to_class = Claim(
    "global-average-pooling/ties-each-map-to-one-class",
    says="The head of the network ties every map to one class: its pixels count for the score of "
    "this class, each with weight one over height times width, and for no other.",
    cites=["000:45", "001:81", "nin-paper:3.2"],
    recorded=HoldsIf("the head is a global average alone"),
)


@map_to_class.judged(
    subject=OPERATORS,
    on=MAPS,
    flipped_by=[
        *NO_AVERAGE,
        faults.wrong(
            "maps in reverse order", "global_avg_pool2d", lambda f, x: f(x)[:, ::-1].copy()
        ),
    ],
)
def one_pixel_moves_one_average(ops: Operators, c: Maps) -> None:
    impulses = np.eye(c.channels * c.pixels).reshape(-1, c.channels, *c.size)
    moved = ops.global_avg_pool2d(c.x[:1] + impulses) - c.mean[:1]
    close(moved, np.kron(np.eye(c.channels), np.ones((c.pixels, 1))) / c.pixels, "the influence")


# Small images that each network takes; the maps come out 3x5 in the first two.
HEADS = {
    "cifar10-nin": (2, 3, 12, 20),
    "mnist-nin": (2, 1, 12, 20),
    "handwritten-nin": (2, 3, 32, 32),
    "lenet5": (2, 1, 28, 28),
}


@map_to_class.judged(
    subject=MODELS_WITH_WEIGHTS,
    on=Sample("networks with the weights of one seed", list(HEADS)),
    when={
        "the head is a global average alone": lambda name: name not in ("handwritten-nin", "lenet5")
    },
    flipped_by=[max_for_average, classes_reversed],
)
def gradient_of_a_score_is_in_its_map(models: Models, name: str) -> None:
    import torch

    model = models(name)
    outputs: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
        for layer in model.modules()
        if not list(layer.children())
    ]
    scores = model(torch.tensor(integers(0, *HEADS[name])))
    for hook in hooks:
        hook.remove()
    maps = [one for one in outputs if one.ndim == 4 and one[0, 0].numel() > 1][-1]
    for score in range(scores.shape[1]):
        (gradient,) = torch.autograd.grad(scores[1, score], maps, retain_graph=True)
        expected = np.zeros(maps.shape)
        expected[1, score] = 1 / maps[0, 0].numel()
        close(gradient.numpy(), expected, f"the gradient of score {score} of {name} by the maps")


# In place of the fully connected head -------------------------------------------------------------


@dataclass(frozen=True)
class Head(Maps):
    """Maps, and the layer that turns them into class scores."""

    classes: int = 3
    uniform: bool = True
    rectified: bool = False

    @functools.cached_property
    def dense(self) -> Array:
        """Weights of a fully connected head [K, C, H, W], none of them zero."""
        shape = (self.classes, self.channels, *self.size)
        weight = integers(self.seed + 1, *shape, low=1, high=5)
        return np.broadcast_to(weight[:, :, :1, :1], shape).copy() if self.uniform else weight

    @functools.cached_property
    def bias(self) -> Array:
        """Biases [K], none of them zero."""
        return integers(self.seed + 2, self.classes, low=1, high=9)


CLASSIFIERS = sampled(
    "1 to 7 maps of 1 to 3 images, 1x1 to 14x9, and 1 to 6 classes",
    Head,
    SIZES | {"classes": (3, 2), "uniform": (True, False), "rectified": (False, True)},
    DRAWN | {"classes": st.integers(1, 6), "uniform": st.booleans(), "rectified": st.booleans()},
)

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


replaces_linear_head = Claim(
    "global-average-pooling/computes-what-a-linear-head-computes",
    says="What a fully connected head computes from the flattened maps, a 1x1 convolution and "
    "global average pooling compute as well.",
    cites=["000:41", "001:90", "001:102", "004:36"],
    recorded=HoldsIf("the head weighs all pixels of a map alike"),
)


@replaces_linear_head.judged(
    subject=OPERATORS,
    on=CLASSIFIERS,
    when={"the head weighs all pixels of a map alike": lambda c: c.uniform or c.pixels == 1},
    flipped_by=[
        *NO_AVERAGE,
        faults.bias_missing,
        faults.weight_transposed,
        faults.channel_ignored,
    ],
)
def convolution_and_average_give_the_scores(ops: Operators, c: Head) -> None:
    maps = c.x / 3  # so that the averages are no whole numbers
    flat = oracle.linear(maps.reshape(c.batch, -1), c.dense.reshape(c.classes, -1), c.bias)
    # No other kernel comes into question: on constant maps both heads have to agree.
    kernel = c.dense.sum(axis=(2, 3), keepdims=True)
    close(ops.global_avg_pool2d(ops.conv2d(maps, kernel, c.bias)), flat, "convolution and average")


classify_then_average = Claim(
    "global-average-pooling/lets-the-convolution-classify",
    says="Whether a 1x1 convolution scores the classes at every pixel before the average, or a "
    "linear layer with its weights after it, is the same.",
    cites=["000:45", "001:90"],
    recorded=HoldsIf("no ReLU comes between convolution and average"),
)


@classify_then_average.judged(
    subject=OPERATORS,
    on=CLASSIFIERS,
    when={"no ReLU comes between convolution and average": lambda c: not c.rectified},
    flipped_by=[
        *NO_AVERAGE,
        faults.bias_missing,
        faults.weight_transposed,
        faults.weight_by_position,
        faults.relu_missing,
        faults.linear_bias_missing,
    ],
)
def average_of_scores_is_score_of_averages(ops: Operators, c: Head) -> None:
    kernel = integers(c.seed + 3, c.classes, c.channels, 1, 1)
    maps = ops.conv2d(c.x, kernel, c.bias)
    before = ops.global_avg_pool2d(ops.relu(maps) if c.rectified else maps)
    scores = oracle.linear(c.mean, kernel[:, :, 0, 0], c.bias)
    close(ops.linear(c.mean, kernel[:, :, 0, 0], c.bias), scores, "the score of the averages")
    close(before, scores, "the average of the scores")


# Softmax ------------------------------------------------------------------------------------------

softmax_of_averages = Claim(
    "global-average-pooling/gives-probabilities-through-softmax",
    says="Softmax turns the averages into the classes' probabilities: positive shares that add up "
    "to one, in proportion to the exponentials of the averages, the largest for the largest one.",
    cites=["000:41", "001:81"],
    recorded=Holds(),
)


@softmax_of_averages.judged(
    subject=OPERATORS,
    on=MAPS,
    flipped_by=[
        faults.global_max_for_mean,
        faults.global_sum_for_mean,
        weighted_by_place,
        faults.softmax_over_batch,
        faults.softmax_unnormalised,
        faults.softmax_of_negated,
        faults.softmax_overflowing,
    ],
)
def shares_of_one(ops: Operators, c: Maps) -> None:
    exponentials = np.exp(c.mean)
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    for brighter in (0, 1000):  # a common offset changes no proportion
        shares = ops.softmax(ops.global_avg_pool2d(c.x + brighter), 1)
        close(shares, expected, f"the softmax of maps brighter by {brighter}")


@dataclass(frozen=True)
class Scores:
    """Class scores of some samples and their true classes."""

    samples: int
    classes: int
    seed: int = 0

    @functools.cached_property
    def scores(self) -> Array:
        """Scores [N, K], no two of a sample equal."""
        scores = np.random.default_rng(self.seed).normal(0, 2, (self.samples, self.classes))
        return np.asarray(scores, np.float64)

    @functools.cached_property
    def target(self) -> Array:
        """True classes [N]."""
        return np.random.default_rng(self.seed + 1).integers(0, self.classes, self.samples)

    @functools.cached_property
    def shares(self) -> Array:
        """Exponential of each score over the sum of those of its sample [N, K]."""
        return np.asarray(np.exp(self.scores) / np.exp(self.scores).sum(axis=1, keepdims=True))

    @property
    def right(self) -> Array:
        """One for the true class of each sample, else zero [N, K]."""
        return np.eye(self.classes)[self.target]

    @functools.cached_property
    def loss(self) -> Array:
        """Mean over the samples of minus the log of the share of the true class, as an array []."""
        return np.asarray(-np.log((self.shares * self.right).sum(axis=1)).mean())


SCORES = sampled(
    "scores of 1 to 8 samples in 2 to 1000 classes",
    Scores,
    {"samples": (4, 1, 7), "classes": (2, 3, 10, 1000)},
    {"samples": st.integers(1, 8), "classes": st.integers(2, 10), "seed": SEEDS},
)
bare_shares_lost = faults.wrong(
    "loss takes shares, not scores",
    "cross_entropy",
    lambda f, x, t: np.asarray(-x[np.arange(len(t)), t].mean()),
)

needs_softmax_layer = Claim(
    "global-average-pooling/needs-a-softmax-layer-to-classify",
    says="Without a softmax layer behind the averages the network would be trained on another "
    "loss, or would name other classes.",
    cites=["001:131"],
    recorded=Refuted(instead="global-average-pooling/needs-no-softmax-layer-to-classify"),
)


@needs_softmax_layer.judged(subject=OPERATORS, on=SCORES, flipped_by=[bare_shares_lost])
def loss_or_class_changes_without_it(ops: Operators, c: Scores) -> None:
    other_loss = differs(ops.cross_entropy(c.scores, c.target), c.loss)
    other_class = (ops.softmax(c.scores, 1).argmax(axis=1) != c.scores.argmax(axis=1)).any()
    assert other_loss or other_class, (
        "cross-entropy takes the softmax itself, and the largest score has the largest share"
    )


needs_no_softmax_layer = Claim(
    "global-average-pooling/needs-no-softmax-layer-to-classify",
    says="A network that puts out bare scores needs no softmax layer: cross-entropy takes the "
    "softmax itself, and the largest score names the same class as the largest probability.",
    cites=["001:131"],
    recorded=Holds(),
)


@needs_no_softmax_layer.judged(
    subject=OPERATORS,
    on=SCORES,
    flipped_by=[
        faults.loss_summed,
        faults.loss_after_softmax,
        faults.softmax_of_negated,
        faults.softmax_over_batch,
        bare_shares_lost,
        faults.wrong(
            "loss of the last class",
            "cross_entropy",
            lambda f, x, t: f(x, np.full_like(t, x.shape[1] - 1)),
        ),
    ],
)
def loss_and_class_are_the_same(ops: Operators, c: Scores) -> None:
    close(ops.cross_entropy(c.scores, c.target), c.loss, "the loss of the bare scores")
    shares = ops.softmax(c.scores, 1)
    close(shares, c.shares, "the softmax")
    same(shares.argmax(axis=1), c.scores.argmax(axis=1), "the class with the largest share")


softmax_twice = Claim(
    "global-average-pooling/loss-has-a-floor-behind-a-softmax-layer",
    says="With a softmax layer in front of cross-entropy the loss cannot fall below the logarithm "
    "of 1 + (K - 1) / e for K classes, 1.461 for ten, however sure and right the network is.",
    cites=["001:131"],
    recorded=Holds(),
)


@softmax_twice.judged(
    subject=OPERATORS,
    on=SCORES,
    flipped_by=[
        faults.loss_summed,
        faults.softmax_unnormalised,
        faults.softmax_over_batch,
        bare_shares_lost,
    ],
)
def certainty_costs_the_floor(ops: Operators, c: Scores) -> None:
    floor = math.log(1 + (c.classes - 1) / math.e)
    certain = ops.softmax(c.scores + 60 * c.right, 1)
    close(ops.cross_entropy(certain, c.target), np.asarray(floor), "the loss of certainty")
    loss = ops.cross_entropy(ops.softmax(c.scores + 4 * c.right, 1), c.target)
    assert loss > floor, f"the loss is {loss:.4f} for {c.classes} classes, the floor {floor:.4f}"


does_the_work_of_softmax = Claim(
    "global-average-pooling/is-an-alternative-to-softmax",
    says="Adaptive average pooling can stand in for softmax: what it puts out is positive and adds "
    "up to one over the classes.",
    cites=["001:137"],
    recorded=Refuted(instead="global-average-pooling/gives-probabilities-through-softmax"),
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


# What it costs ------------------------------------------------------------------------------------

nothing_to_learn = Claim(
    "global-average-pooling/has-no-learnable-parameters",
    says="Global pooling, by average or maximum, has no learnable parameters and no other state.",
    cites=["000:46", "001:148", "nin-paper:3.2"],
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


LESS_COMPLEX = "global average pooling lowers the complexity of the model"

fewer_parameters = Claim(
    "global-average-pooling/costs-less-than-a-linear-head",
    says="Where NiN ends in a global average, flattening and a fully connected layer would take a "
    "weight and a multiply-add for each class and value of the maps; the average takes neither.",
    cites=["000:39", "001:102", "001:148", "004:36"],
    recorded=Holds(),
    reading_of=LESS_COMPLEX,
)


@fewer_parameters.judged(subject=MODELS, on=NINS, flipped_by=[surgeries.linear_appended])
def average_instead_of_linear_layer(models: Models, name: str) -> dict[str, int]:
    layers = head(models(name), name)
    values, classes = math.prod(layers[0].input_shape), CLASSES[name]
    parameters = sum(layer.parameters for layer in layers)
    multiply_adds = sum(layer.multiply_adds for layer in layers)
    assert parameters == 0, f"the head of {name} has {parameters} parameters"
    assert multiply_adds == 0, f"the head of {name} takes {multiply_adds} multiply-adds"
    return {
        "parameters of a linear head": (values + 1) * classes,
        "multiply-adds of a linear head": values * classes,
        "additions of the average": values,
    }


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
    ratio = sympy.simplify(flat / pooled)
    assert ratio == height * width, f"the factor is {ratio}"


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


classic_heads_replaced = Claim(
    "global-average-pooling/saves-most-parameters-of-alexnet-and-vgg",
    says="AlexNet and VGG lose most of their parameters if a 1x1 convolution with one output per "
    "class and global average pooling take the place of their fully connected layers.",
    cites=["001:102", "004:36"],
    recorded=Holds(),
)


@classic_heads_replaced.judged(
    subject=MODELS,
    on=["alexnet", "vgg11", "vgg16", "lecture-alexnet", "lecture-vgg11"],
    flipped_by=[surgeries.linear_layers_removed],
)
def less_than_half_is_left(models: Models, name: str) -> dict[str, float]:
    model = models(name)
    kept = [model.get_submodule(one) for one in surgeries.of_kind(model, "Conv2d")]
    last_maps = len(next(kept[-1].parameters()))
    classes = 10 if name.startswith("lecture-") else 1000
    classifier = counting.linear_parameters(last_maps, classes)
    left = sum(map(counting.parameter_count, kept)) + classifier
    total = counting.parameter_count(model)
    assert 2 * left < total, f"{name}: {left} of {total} parameters are left"
    return {"parameters": total, "with the average": left, "share left": left / total}


# Behind every convolution? ------------------------------------------------------------------------

BEHIND_EVERY_CONVOLUTION = "a global pooling layer can follow every convolution"

fits_behind_every_convolution = Claim(
    "global-average-pooling/fits-behind-every-convolution",
    says="With a global pooling layer behind every convolution of a network the windows of all "
    "later convolutions and pools still fit the maps, which have one pixel.",
    cites=["001:148"],
    recorded=HoldsIf("every later window above 1x1 is padded"),
    reading_of=BEHIND_EVERY_CONVOLUTION,
)


@fits_behind_every_convolution.judged(
    subject=MODELS,
    on=["resnet18", "lecture-nin", "cifar10-nin", "lecture-alexnet", "lecture-vgg11", "lenet5"],
    when={"every later window above 1x1 is padded": lambda name: name == "resnet18"},
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


# Overfitting --------------------------------------------------------------------------------------


SEEDS_OF_NOISE = Sample("small networks and images of noise from some seeds", [0, 1, 2])
IMAGES = 50
GUESSED = 21  # Guessing gets more of 50 labels in ten classes right once in 1e9 tries.


@functools.cache
def labels_fitted(layers: Layers, seed: int) -> tuple[int, int]:
    """Train a small NiN on random labels of noise images, 300 steps long or until it knows all.

    Returns how many labels it gives right, of the images it saw and of as many that it did not.
    """
    import torch

    def mlpconv(inputs: int, outputs: int) -> list[nn.Module]:
        return [
            layers.Conv2d(inputs, 32, 3, padding=1),
            layers.ReLU(),
            layers.Conv2d(32, 32, 1),
            layers.ReLU(),
            layers.Conv2d(32, outputs, 1),
        ]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = layers.Sequential(
            *mlpconv(1, 32),
            layers.ReLU(),
            layers.MaxPool2d(2),
            *mlpconv(32, 10),
            layers.AdaptiveAvgPool2d(1),
            layers.Flatten(),
        )
        seen, unseen = torch.randn(2, IMAGES, 1, 8, 8)
    labels = torch.arange(IMAGES) % 10
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    loss = layers.CrossEntropyLoss()
    for _ in range(300):
        scores = network(seen)
        if (scores.argmax(1) == labels).all():
            break
        optimiser.zero_grad()
        loss(scores, labels).backward()
        optimiser.step()
    with torch.no_grad():
        right = [int((network(images).argmax(1) == labels).sum()) for images in (seen, unseen)]
    return right[0], right[1]


batch_averaged = computed(
    "images of a batch averaged too",
    "AdaptiveAvgPool2d",
    lambda averages: averages.mean(dim=0).expand_as(averages),
)
brightness_only = computed(
    "convolutions averaged over all places",
    "Conv2d",
    lambda maps: maps.mean(dim=(2, 3), keepdim=True).expand_as(maps),
)

no_overfitting_risk = Claim(
    "global-average-pooling/rules-out-overfitting",
    says="As global average pooling has nothing to learn, a network that ends in it runs no risk "
    "of overfitting: it learns no labels that are mere chance.",
    cites=["000:46"],
    recorded=Refuted(instead="global-average-pooling/lets-a-network-memorise-random-labels"),
    cost="cpu",
)


@no_overfitting_risk.judged(subject=LAYERS, on=SEEDS_OF_NOISE, flipped_by=[batch_averaged])
def random_labels_stay_guesses(layers: Layers, seed: int) -> None:
    fitted, _ = labels_fitted(layers, seed)
    assert fitted <= GUESSED, (
        f"after training {fitted} of {IMAGES} random labels of noise images are right"
    )


memorises_random_labels = Claim(
    "global-average-pooling/lets-a-network-memorise-random-labels",
    says="A network of convolutions that ends in global average pooling can learn the random "
    "labels of noise images by heart, all of them, and then knows nothing of other images.",
    cites=["000:46"],
    recorded=Holds(),
    cost="cpu",
)


@memorises_random_labels.judged(
    subject=LAYERS, on=SEEDS_OF_NOISE, flipped_by=[batch_averaged, brightness_only]
)
def all_labels_by_heart(layers: Layers, seed: int) -> None:
    takes_the_average(layers)
    fitted, guessed = labels_fitted(layers, seed)
    assert fitted == IMAGES, f"{fitted} of {IMAGES} labels learned"
    assert guessed <= GUESSED, f"{guessed} of {IMAGES} labels of new images are right"


# What only training decides -----------------------------------------------------------------------

LESS_OVERFITTING = "global average pooling overfits less than fully connected layers"
SLOWER = "global average pooling makes the network converge more slowly"
WELCH = "Welch's test of 8 against 8 seeds, Holm over the family of heads, delta 0.3 points: "
EPOCHS = (
    "Welch's test of 8 against 8 seeds on the log of the epochs to {}, cifar10 against the fully "
    "connected head at both learning rates of the last layer"
)

trained_heads = (
    awaited(
        "global-average-pooling/overfits-less-than-a-linear-head",
        says="On the mlpconv layers of NiN the accuracy on training images exceeds that on test "
        "images by less if a global average is the head than if a fully connected layer is.",
        cites=["000:39", "000:41", "001:30", "001:102", "001:148", "004:36"],
        needs=WELCH + "gap between training and test accuracy, cifar10 against cifar10-fc-head",
        arms={"cifar10": 8, "cifar10-fc-head": 8},
        reading_of=LESS_OVERFITTING,
    ),
    awaited(
        "global-average-pooling/overfits-less-on-plain-convolutions",
        says="On plain convolutions, too, the gap between training and test accuracy is smaller "
        "with a global average as head than with a fully connected layer.",
        cites=["000:39", "000:41", "001:30", "001:148", "004:36"],
        needs=WELCH + "gap between training and test accuracy, plain-gap against plain-fc",
        arms={"plain-gap": 8, "plain-fc": 8},
        reading_of=LESS_OVERFITTING,
    ),
    awaited(
        "global-average-pooling/needs-more-epochs-to-a-training-loss",
        says="With a global average NiN needs more epochs to come to a training loss of 0.5 than "
        "with a fully connected layer as head.",
        cites=["001:148"],
        needs=EPOCHS.format("training loss 1.0 and 0.5"),
        arms={"cifar10": 8, "cifar10-fc-head": 8, "cifar10-fc-head-full-rate": 8},
        reading_of=SLOWER,
    ),
    awaited(
        "global-average-pooling/needs-more-epochs-to-a-test-error",
        says="With a global average NiN needs more epochs to come to a test error of 20 % than "
        "with a fully connected layer as head.",
        cites=["001:148"],
        needs=EPOCHS.format("test error 30, 20 and 15 %"),
        arms={"cifar10": 8, "cifar10-fc-head": 8, "cifar10-fc-head-full-rate": 8},
        reading_of=SLOWER,
    ),
    awaited(
        "global-average-pooling/is-decisive-for-accuracy",
        says="The head is a key part of NiN's design: with the trunk as it is, replacing the "
        "global average by a global maximum or a fully connected layer changes the test error by "
        "more than 0.3 points.",
        cites=["001:143"],
        needs="intervals for the difference in test error to cifar10, 8 against 8 seeds, Holm over "
        "the other heads, delta 0.3 points",
        arms={"cifar10": 8, "cifar10-fc-head": 8, "cifar10-global-max-head": 8},
    ),
)
