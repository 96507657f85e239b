"""Category confidence maps: the last maps before the global average, and what they say.

Documents 000 (lines 48 and 50) and 002 (lines 13 and 20).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from claims._maps import (
    MAPS,
    NO_AVERAGE,
    Maps,
    classes_reversed,
    computed,
    max_for_average,
    takes_the_average,
    weighted_by_place,
)
from claims._narrowed import narrowed
from claims._patterns import KINDS, SIDE, patterns_of, planted, share_right, train
from claims.cases import POINTWISE, Convolution, integers
from claims.checks import close, same
from claims.core.claim import Claim, Fault, Sample
from claims.core.verdict import Holds, HoldsIf, NoVerdictError, Refuted
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import (
    LAYERS,
    MODELS,
    MODELS_WITH_WEIGHTS,
    OPERATORS,
    Evidence,
    Layers,
    Models,
    traced,
)
from claims.trained import runs_with, trained
from claims.training.rules import Interaction, Lower, MeanAbove
from nin_ref import counting, oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    import torch
    from torch import nn

# The maps and the scores --------------------------------------------------------------------------

last_maps = Claim(
    "confidence-maps/are-the-maps-of-the-last-convolution",
    says="The maps that the last convolution and its ReLU put out are the category confidence "
    "maps: one for each class, with the class score as its average.",
    cites=["000:48", "002:20", "nin-paper:3.2"],
    recorded=HoldsIf("no linear layer follows the average"),
)

# Small images that each network takes; sizes of the maps differ in height and width.
IMAGES = {
    "cifar10-nin": (2, 3, 12, 20),
    "mnist-nin": (2, 1, 12, 20),
    "lecture-nin": (1, 1, 99, 131),
    "handwritten-nin": (2, 3, 32, 32),
}


def _softmax_appended(model: nn.Module) -> nn.Module:
    from torch import nn

    return nn.Sequential(model, nn.Softmax(1))


@last_maps.judged(
    subject=MODELS_WITH_WEIGHTS,
    on=Sample("networks with the weights of one seed", list(IMAGES)),
    when={"no linear layer follows the average": lambda name: name != "handwritten-nin"},
    flipped_by=[
        max_for_average,
        surgeries.surgery("softmax at the end", _softmax_appended),
        classes_reversed,
    ],
)
def averages_of_the_last_maps_are_the_scores(models: Models, name: str) -> None:
    import torch

    model = models(name)
    maps: list[torch.Tensor] = []
    last = model.get_submodule(surgeries.of_kind(model, "Conv2d")[-1])
    hook = last.register_forward_hook(lambda _layer, _inputs, output: maps.append(output.relu()))
    with torch.no_grad():
        scores = model(torch.tensor(integers(0, *IMAGES[name]))).numpy()
    hook.remove()
    averages = maps[0].numpy().sum(axis=(2, 3)) / maps[0][0, 0].numel()
    assert averages.shape == scores.shape, (
        f"{name} has {averages.shape[1]} last maps and {scores.shape[1]} classes"
    )
    close(scores, averages, f"the scores of {name}")


LAST_MLPCONV = "the last mlpconv layer is the last layer of convolutions"
# Images that the networks are made for, and the number of classes.
NINS = {
    "cifar10-nin": ((1, 3, 32, 32), 10),
    "cifar100-nin": ((1, 3, 32, 32), 100),
    "mnist-nin": ((1, 1, 28, 28), 10),
    "lecture-nin": ((1, 1, 224, 224), 10),
    "table-nin": ((1, 3, 224, 224), 1000),
}


def last_mlpconv(model: nn.Module) -> list[str]:
    """Return the names of the convolutions from the last one on that reads more than one pixel."""
    names = surgeries.of_kind(model, "Conv2d")
    sides = [max(model.get_submodule(name).get_parameter("weight").shape[2:]) for name in names]
    return names[max(place for place, side in enumerate(sides) if side > 1) :]


one_convolution = Claim(
    "confidence-maps/last-mlpconv-layer-is-one-convolution",
    says="The last mlpconv layer of NiN is its last convolution.",
    cites=["002:20"],
    recorded=Refuted(instead="confidence-maps/last-mlpconv-layer-ends-in-the-class-maps"),
    reading_of=LAST_MLPCONV,
)


def _one_by_ones_removed(model: nn.Module) -> None:
    from torch import nn

    for name in surgeries.of_kind(model, "Conv2d"):
        if model.get_submodule(name).get_parameter("weight")[0, 0].numel() == 1:
            surgeries.put(model, name, nn.Identity())


@one_convolution.judged(
    subject=MODELS,
    on=list(NINS),
    flipped_by=[surgeries.surgery("1x1 convolutions removed", _one_by_ones_removed)],
)
def one_from_the_last_window_on(models: Models, name: str) -> None:
    number = len(last_mlpconv(models(name)))
    assert number == 1, f"the last mlpconv layer of {name} is {number} convolutions"


ends_in_class_maps = Claim(
    "confidence-maps/last-mlpconv-layer-ends-in-the-class-maps",
    says="The last mlpconv layer of NiN, a convolution and 1x1 convolutions, is the last layer of "
    "convolutions: its last 1x1 convolution puts out one map for each class, which are averaged.",
    cites=["002:20"],
    recorded=Holds(),
    reading_of=LAST_MLPCONV,
)


@ends_in_class_maps.judged(
    subject=MODELS,
    on=list(NINS),
    flipped_by=[
        surgeries.outputs_doubled,
        surgeries.linear_appended,
        surgeries.last_convolution_removed,
        surgeries.relu_layers_removed,
        max_for_average,
    ],
)
def class_maps_are_averaged(models: Models, name: str) -> None:
    shape, classes = NINS[name]
    model = models(name)
    records, first = traced(model, *shape), last_mlpconv(model)[0]
    layers = records[[record.name for record in records].index(first) :]
    kinds = " ".join(layer.kind for layer in layers)
    expected = 3 * "Conv2d ReLU " + "AdaptiveAvgPool2d Flatten"
    assert kinds == expected, f"from its last window on {name} is {kinds}"
    maps = layers[-3].output_shape[1]
    assert maps == classes, f"{name} averages {maps} maps for {classes} classes"


sum_of_contributions = Claim(
    "confidence-maps/a-score-is-the-sum-of-its-pixels-shares",
    says="A class score is the mean brightness of its confidence map, so that every pixel adds its "
    "value over height times width to it: without the pixel the score is less by just this.",
    cites=["000:48"],
    recorded=Holds(),
)


@sum_of_contributions.judged(
    subject=OPERATORS,
    on=MAPS,
    flipped_by=[
        *NO_AVERAGE,
        faults.global_mean_of_positive,
    ],
)
def score_without_a_pixel(ops: Operators, c: Maps) -> None:
    scores = ops.global_avg_pool2d(c.x)
    close(scores, c.mean, "the mean brightness")
    rng = np.random.default_rng(c.seed)
    row, column = rng.integers(c.height), rng.integers(c.width)
    without = c.x.copy()
    without[:, :, row, column] = 0
    share = c.x[:, :, row, column] / c.pixels
    close(scores - ops.global_avg_pool2d(without), share, f"the share of pixel {row}, {column}")


# What a pixel says --------------------------------------------------------------------------------

LIKELIHOOD = "the value of a pixel is how likely the class is there"

pixel_is_probability = Claim(
    "confidence-maps/a-pixel-is-a-probability",
    says="The value of a pixel in a confidence map is how likely its class is at that place, a "
    "number between 0 and 1.",
    cites=["000:48"],
    recorded=Refuted(instead="confidence-maps/brightness-has-no-scale"),
    reading_of=LIKELIHOOD,
)


@pixel_is_probability.judged(subject=OPERATORS, on=POINTWISE, flipped_by=[faults.relu_capped])
def between_zero_and_one(ops: Operators, c: Convolution) -> None:
    maps = ops.relu(ops.conv2d(c.x, c.weight, c.bias))
    assert maps.min() >= 0, f"a pixel of a map has the value {maps.min():g}"
    assert maps.max() <= 1, f"a pixel of a map has the value {maps.max():g}"


no_scale = Claim(
    "confidence-maps/brightness-has-no-scale",
    says="The brightness of confidence maps has no scale of its own: with twice the weights and "
    "biases in the last convolution every pixel is twice as bright, and the largest score still "
    "belongs to the same class.",
    cites=["000:48"],
    recorded=Holds(),
)


@no_scale.judged(
    subject=OPERATORS,
    on=POINTWISE,
    flipped_by=[
        faults.relu_capped,
        faults.bias_missing,
        faults.channel_ignored,
        faults.weight_transposed,
        faults.global_max_for_mean,
        faults.global_mean_divides_by_height,
    ],
)
def twice_as_bright(ops: Operators, c: Convolution) -> None:
    maps = oracle.relu(oracle.conv2d(c.x, c.weight, c.bias))
    brighter = ops.relu(ops.conv2d(c.x, 2 * c.weight, 2 * c.bias))
    same(brighter, 2 * maps, "the brighter maps")
    scores = maps.sum(axis=(2, 3)) / (c.height * c.width)
    brighter_scores = ops.global_avg_pool2d(brighter)
    close(brighter_scores, 2 * scores, "the scores of the brighter maps")


pixel_fixed_by_training = Claim(
    "confidence-maps/a-pixel-is-fixed-by-the-scores",
    says="What is trained are class probabilities, and these say how bright each pixel of each "
    "confidence map is: other maps give other probabilities.",
    cites=["000:48"],
    recorded=Refuted(instead="confidence-maps/different-maps-give-the-same-probabilities"),
    reading_of=LIKELIHOOD,
)


@pixel_fixed_by_training.judged(
    subject=OPERATORS,
    on=Sample("a bright spot in maps of some sizes", [(3, 5, 7), (2, 2, 1), (4, 1, 3)]),
    flipped_by=[weighted_by_place],
)
def moved_spot_changes_probabilities(ops: Operators, size: tuple[int, int, int]) -> None:
    maps = np.zeros((2, *size))
    maps[0, 0, 0, 0] = maps[1, 0, -1, -1] = 9
    here, there = ops.softmax(ops.global_avg_pool2d(maps), 1)
    assert abs(here - there).max() > 1e-9, (
        f"bright spot in the top left or bottom right corner of map 0: {here[0]:.3f} both times"
    )


different_maps = Claim(
    "confidence-maps/different-maps-give-the-same-probabilities",
    says="The class probabilities do not say how bright a pixel is: any field of mean zero may be "
    "added to one map, and any field at all to all maps alike, and they stay as they are.",
    cites=["000:48"],
    recorded=Holds(),
)


@different_maps.judged(
    subject=OPERATORS,
    on=MAPS,
    flipped_by=[
        weighted_by_place,
        faults.global_max_for_mean,
        faults.global_mean_of_positive,
        faults.global_mean_of_first_row,
        faults.softmax_unnormalised,
        faults.softmax_of_negated,
        faults.softmax_over_batch,
    ],
)
def added_fields_are_not_seen(ops: Operators, c: Maps) -> None:
    fields = integers(c.seed + 1, 2, c.height, c.width)
    shuffled = np.random.default_rng(c.seed).permuted(fields[0].ravel()).reshape(c.height, c.width)
    changed = c.x + fields[1]
    changed[:, c.seed % c.channels] += fields[0] - shuffled
    shares = np.exp(c.mean) / np.exp(c.mean).sum(axis=1, keepdims=True)
    close(ops.softmax(ops.global_avg_pool2d(c.x), 1), shares, "the probabilities")
    close(ops.softmax(ops.global_avg_pool2d(changed), 1), shares, "those of the changed maps")


# Places in the map and in the image ---------------------------------------------------------------

IMAGE_SIDE = {
    "cifar10-nin": 32,
    "lecture-nin": 224,
    "table-nin": 224,
    "handwritten-nin": 32,
    "mnist-nin": 28,
}
RECEPTIVE_FIELD = {
    "cifar10-nin": 27,
    "lecture-nin": 195,
    "table-nin": 195,
    "handwritten-nin": 33,
    "mnist-nin": 35,
}
SMALLER = "the receptive field is smaller than the image"


def smaller_than_the_image(name: str) -> bool:
    """Whether the receptive field of a pixel of the last maps is smaller than the image."""
    return RECEPTIVE_FIELD[name] < IMAGE_SIDE[name]


@functools.cache
def parts_seen(models: Models, name: str) -> dict[str, list[tuple[int, int]]]:
    """Return the first and last image row, and column, that each row, and column, of maps sees.

    Pixels from the top right of the maps to the bottom left are asked.
    """
    from torch import nn

    model, side = models(name), IMAGE_SIDE[name]
    trunk = model.get_submodule("features") if name == "handwritten-nin" else model
    assert isinstance(trunk, nn.Sequential)
    maps = narrowed(trunk[: -1 if name == "handwritten-nin" else -2])
    last = traced(maps, 1, 1, side, side)[-1].output_shape[2] - 1
    masks = [
        counting.gradient_support(maps, (1, 1, side, side), output_position=(row, last - row))
        for row in range(last + 1)
    ]
    seen_rows = [np.flatnonzero(mask.any(axis=1)).tolist() for mask in masks]
    seen_columns = [np.flatnonzero(mask.any(axis=0)).tolist() for mask in reversed(masks)]
    return {
        axis: [(seen[0], seen[-1]) for seen in inside]
        for axis, inside in (("row", seen_rows), ("column", seen_columns))
    }


def behind_the_first_relu(
    name: str, change: Callable[[torch.Tensor], torch.Tensor]
) -> Fault[Models]:
    """Return a fault that changes the maps behind the first ReLU."""

    def alter(model: nn.Module) -> None:
        relu = model.get_submodule(surgeries.of_kind(model, "ReLU")[0])
        relu.register_forward_hook(lambda _relu, _inputs, maps: change(maps))

    return surgeries.surgery(name, alter)


mixed = behind_the_first_relu(
    "all places mixed behind the first ReLU",
    lambda maps: maps.mean(dim=(2, 3), keepdim=True).expand_as(maps),
)

own_place = Claim(
    "confidence-maps/a-pixel-looks-at-its-own-place",
    says="Each pixel of a confidence map belongs to a place of the image: what it sees of the "
    "image lies around the same relative place, and each pixel sees another part.",
    cites=["000:48", "002:13"],
    recorded=HoldsIf(SMALLER),
)


@own_place.judged(
    subject=MODELS,
    on=list(IMAGE_SIDE),
    when={SMALLER: smaller_than_the_image},
    flipped_by=[
        mixed,
        behind_the_first_relu("maps upside down", lambda maps: maps.flip(2)),
        behind_the_first_relu("maps mirrored", lambda maps: maps.flip(3)),
        behind_the_first_relu("maps transposed", lambda maps: maps.swapaxes(2, 3)),
    ],
)
def seen_part_moves_with_the_pixel(models: Models, name: str) -> None:
    for axis, spans in parts_seen(models, name).items():
        for pixel, (first, last) in enumerate(spans):
            place = (pixel + 0.5) / len(spans) * IMAGE_SIDE[name]
            assert first <= place <= last + 1, (
                f"{name}: the place is {axis} {place:g}, seen are {first} to {last}"
            )
        for earlier, later in pairwise(spans):
            assert earlier != later, f"{name}: two pixels see the same {axis}s"
            assert earlier[0] <= later[0], f"{name}: a later pixel sees from {axis} {later[0]} on"
            assert earlier[1] <= later[1], f"{name}: a later pixel sees up to {axis} {later[1]}"


part_of_the_image = Claim(
    "confidence-maps/a-pixel-sees-a-part-of-the-image",
    says="A pixel of a confidence map stands for a part of the image: none sees all of it.",
    cites=["000:48"],
    recorded=HoldsIf(SMALLER),
)


@part_of_the_image.judged(
    subject=MODELS,
    on=list(IMAGE_SIDE),
    when={SMALLER: smaller_than_the_image},
    flipped_by=[mixed],
)
def no_pixel_sees_everything(models: Models, name: str) -> dict[str, int]:
    side = IMAGE_SIDE[name]
    spans = parts_seen(models, name)
    widest = max(last - first + 1 for axis in spans.values() for first, last in axis)
    assert widest < side, f"{name}: a pixel sees all {side} rows of the image"
    return {"rows of the image": side, "rows that a pixel sees": widest}


# Where the object is ------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlantedPatterns:
    """Noise images with a 5x5 pattern of one of four kinds, and the kernel that looks for it."""

    kernel: int
    seed: int


def peaks_on_the_pattern(layers: Layers, c: PlantedPatterns) -> float:
    """Train on which pattern an image holds; return how often its class map is brightest on it."""
    import torch

    patterns = patterns_of(c.seed)

    def corners(images: int) -> torch.Tensor:
        return torch.randint(0, SIDE - 4, (images, 2))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(c.seed)
        maps_of = layers.Sequential(
            layers.Conv2d(1, 8, c.kernel, padding=c.kernel // 2),
            layers.ReLU(),
            layers.Conv2d(8, 8, 1),
            layers.ReLU(),
            layers.Conv2d(8, KINDS, 1),
        )
        network = layers.Sequential(maps_of, layers.AdaptiveAvgPool2d(1), layers.Flatten())
        train(layers, network, lambda images: planted(patterns, corners(images)))
        places = corners(400)
        images, kinds = planted(patterns, places)
    right = share_right(network, images, kinds)
    if right < 0.8:
        raise NoVerdictError(f"the network tells the patterns apart in only {right:.0%} of images")
    with torch.no_grad():
        brightest = maps_of(images)[torch.arange(400), kinds].flatten(1).argmax(1)
    found = torch.stack([brightest // SIDE, brightest % SIDE], dim=1)
    return float(((found - places - 2).abs().amax(1) <= 2).float().mean())


BRIGHT_ON_THE_OBJECT = "the map of a class is bright where the object is"

finds_planted_pattern = Claim(
    "confidence-maps/a-map-is-brightest-where-its-object-is",
    says="Trained on class labels alone, a network with a global average makes the confidence map "
    "of the class brightest on the object, here a pattern planted in noise.",
    cites=["000:48", "002:20"],
    recorded=HoldsIf("a pixel sees a small part of the image"),
    reading_of=BRIGHT_ON_THE_OBJECT,
    cost="cpu",
)


@finds_planted_pattern.judged(
    subject=LAYERS,
    on=Sample(
        "small networks and planted patterns from some seeds",
        [PlantedPatterns(kernel, seed) for kernel in (5, 23) for seed in range(2)],
    ),
    when={"a pixel sees a small part of the image": lambda c: c.kernel == 5},
    flipped_by=[
        computed(
            "convolutions shifted by two pixels",
            "Conv2d",
            lambda maps: maps.roll((2, 2), dims=(2, 3)),
        )
    ],
)
def most_peaks_lie_on_the_pattern(layers: Layers, c: PlantedPatterns) -> None:
    takes_the_average(layers)
    share = peaks_on_the_pattern(layers, c)
    assert share >= 0.75, (
        f"kernel {c.kernel} on {SIDE}x{SIDE} images: the map of the class is brightest on the "
        "pattern in less than three of four images"
    )


# What only training decides -----------------------------------------------------------------------

CLASS_MAPS = "cifar10-batch-norm-brief"
FC_MAPS = "cifar10-batch-norm-fc-head-brief"
QUARTERS = "quarters found more often than shuffled"
FALL = "fall of the score beyond a random cover"
TOP = "share of top activations in the true class's map"


def numbers(name: str, quantity: str, *of_maps: float, fc: Sequence[float] = ()) -> Fault[Evidence]:
    """Return synthetic runs with these numbers, of the averaging arm and that with the FC head."""
    by_arm = {CLASS_MAPS: dict(enumerate(of_maps)), FC_MAPS: dict(enumerate(fc))}
    return runs_with(name, {quantity: by_arm})


trained_maps = (
    trained(
        "confidence-maps/maps-find-objects-in-photographs",
        says="In a mosaic of four CIFAR-10 test images of different classes the confidence map of "
        "a class is brightest in the quarter that holds its object.",
        cites=["000:48", "002:20", "nin-paper:4.7"],
        rule=MeanAbove(CLASS_MAPS, 30.0, quantity=QUARTERS, seeds=3),
        recorded=Holds(),
        flipped_by=[
            numbers("maps that are as often bright elsewhere", QUARTERS, 0.4, -0.3, 0.1),
            numbers("maps of which one says nothing", QUARTERS, 60.0, 61.0, 0.2),
            numbers("one run missing", QUARTERS, 60.0, 61.0),
        ],
        reading_of=BRIGHT_ON_THE_OBJECT,
    ),
    trained(
        "confidence-maps/show-what-a-decision-rests-on",
        says="The bright places of a confidence map show on what in the image the network decided: "
        "with them covered the class score falls more than with as large a part elsewhere.",
        cites=["000:48"],
        rule=MeanAbove(CLASS_MAPS, 0.0, quantity=FALL, seeds=3),
        recorded=Holds(),
        flipped_by=[
            numbers("covers that count as little as random ones", FALL, 0.01, -0.01, 0.0),
            numbers("random covers that count more", FALL, -0.8, -0.9, -0.85),
            numbers("one run missing", FALL, 0.9, 0.8),
        ],
    ),
    trained(
        "confidence-maps/average-ties-maps-to-classes",
        says="Training with the global average ties each of the last maps to a class: the largest "
        "value of all maps lies in that of the true class far more often than after training with "
        "a fully connected layer on the same maps.",
        cites=["000:45", "nin-paper:3.2"],
        rule=Lower(FC_MAPS, CLASS_MAPS, delta=30.0, quantity=TOP, seeds=3),
        recorded=Holds(),
        flipped_by=[
            numbers("maps of an FC head as telling", TOP, 80.0, 81.0, 80.5, fc=[79.0, 80.0, 78.0]),
            numbers("maps tied a little better", TOP, 40.0, 39.0, 41.0, fc=[20.0, 21.0, 19.0]),
            numbers("FC runs missing", TOP, 80.0, 81.0, 80.5),
        ],
    ),
    trained(
        "confidence-maps/mlpconv-layers-make-the-average-accurate",
        says="It is the mlpconv layers that make maps precise enough for the average: on them the "
        "global average gains more over a fully connected layer than on plain convolutions.",
        cites=["000:50"],
        rule=Interaction(
            "cifar10-short", "cifar10-fc-head-short", "plain-gap-short", "plain-fc-short"
        ),
    ),
)
