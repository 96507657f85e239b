"""A global average as the head of a network: a map for each class, no fully connected layer.

Documents 000 (lines 37 to 48), 001 (lines 30, 81, 90, 102, 131, 137, 143 and 148), 002 (line 20)
and 004 (lines 35 and 36).
"""

from __future__ import annotations

import functools
import math
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
    classes_reversed,
    computed,
    max_for_average,
    takes_the_average,
    weighted_by_place,
    zeros_not_counted,
)
from claims._patterns import KINDS, SIDE, patterns_of, planted, share_right, train
from claims.cases import SEEDS, integers, sampled
from claims.checks import Array, close, differs, same
from claims.core.claim import PROOF, Claim, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, NoVerdictError, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import (
    LAYERS,
    MODELS,
    MODELS_WITH_WEIGHTS,
    OPERATORS,
    Layers,
    Models,
    traced,
)
from claims.trained import trained
from claims.training.rules import FAMILIES, Agree, AllOf, Lower, Sooner
from nin_ref import counting, oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    import torch
    from torch import nn


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
    "average-head/averages-one-map-per-class",
    says="In a network that averages its maps globally, as many maps are averaged as there are "
    "classes.",
    cites=["000:48", "001:81", "001:90", "001:102", "002:20"],
    recorded=HoldsIf("no linear layer follows the average"),
    renamed_from="global-average-pooling/averages-one-map-per-class",
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
    "average-head/needs-no-linear-layer-behind-it",
    says="In NiN the averages of the last maps are the class scores as they are: no layer that "
    "computes stands between them and the softmax.",
    cites=["000:41", "001:81", "001:90", "002:20", "004:36"],
    recorded=Holds(),
    renamed_from="global-average-pooling/needs-no-linear-layer-behind-it",
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
    "average-head/ties-each-map-to-one-class",
    says="The head of the network ties every map to one class: its pixels count for the score of "
    "this class, each with weight one over height times width, and for no other.",
    cites=["000:45", "001:81", "002:20", "nin-paper:3.2"],
    recorded=HoldsIf("the head is a global average alone"),
    renamed_from="global-average-pooling/ties-each-map-to-one-class",
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


# In place of a fully connected head ---------------------------------------------------------------


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

replaces_linear_head = Claim(
    "average-head/computes-what-a-linear-head-computes",
    says="What a fully connected head computes from the flattened maps, a 1x1 convolution and "
    "global average pooling compute as well.",
    cites=["000:41", "001:90", "001:102", "004:36"],
    recorded=HoldsIf("the head weighs all pixels of a map alike"),
    renamed_from="global-average-pooling/computes-what-a-linear-head-computes",
)


@replaces_linear_head.judged(
    subject=OPERATORS,
    on=CLASSIFIERS,
    when={"the head weighs all pixels of a map alike": lambda c: c.uniform or c.pixels == 1},
    flipped_by=[
        *(fault for fault in NO_AVERAGE if fault is not zeros_not_counted),
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
    "average-head/lets-the-convolution-classify",
    says="Whether a 1x1 convolution scores the classes at every pixel before the average, or a "
    "linear layer with its weights after it, is the same.",
    cites=["000:45", "001:90", "002:20"],
    recorded=HoldsIf("no ReLU comes between convolution and average"),
    renamed_from="global-average-pooling/lets-the-convolution-classify",
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


fewer_parameters = Claim(
    "average-head/costs-less-than-a-linear-head",
    says="Where NiN ends in a global average, flattening and a fully connected layer would take a "
    "weight and a multiply-add for each class and value of the maps; the average takes neither.",
    cites=["000:39", "001:102", "001:148", "002:20", "004:36"],
    recorded=Holds(),
    renamed_from="global-average-pooling/costs-less-than-a-linear-head",
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


classic_heads_replaced = Claim(
    "average-head/saves-most-parameters-of-alexnet-and-vgg",
    says="AlexNet and VGG lose most of their parameters if a 1x1 convolution with one output per "
    "class and global average pooling take the place of their fully connected layers.",
    cites=["001:102", "004:36"],
    recorded=Holds(),
    renamed_from="global-average-pooling/saves-most-parameters-of-alexnet-and-vgg",
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


# Images of any size -------------------------------------------------------------------------------

# The least side of an image for which all windows of a network find room.
LEAST_SIDE = {
    "lecture-nin": 67,
    "cifar10-nin": 4,
    "squeezenet1_1": 17,
    "resnet18": 1,
    "lenet5": 12,
    "lecture-alexnet": 65,
}
FLATTENING = ("lenet5", "lecture-alexnet")


@dataclass(frozen=True)
class ImageSize:
    """A network, and the size of the image that it is shown."""

    network: str
    height: int
    width: int


def image_sizes() -> list[ImageSize]:
    """Return for each network images of its least size, of larger sizes, and too small ones."""
    sizes = []
    for network, least in LEAST_SIDE.items():
        sizes += [ImageSize(network, least, least + 90)]
        if network not in FLATTENING:
            sizes += [ImageSize(network, least + 151, least)]
            sizes += [ImageSize(network, least + 150, least - 1)] if least > 1 else []
    return sizes


any_size = Claim(
    "average-head/takes-images-of-any-size",
    says="A network takes images of any height and width and gives one score for each class.",
    cites=["002:20"],
    recorded=HoldsIf("it averages its maps, not flattens them", "every window finds room"),
)


@any_size.judged(
    subject=MODELS,
    on=Sample(
        "networks that average or flatten their last maps, images of some sizes", image_sizes()
    ),
    when={
        "it averages its maps, not flattens them": lambda c: c.network not in FLATTENING,
        "every window finds room": lambda c: min(c.height, c.width) >= LEAST_SIDE[c.network],
    },
    flipped_by=[
        surgeries.outputs_doubled,
        surgeries.padding_dropped,
        surgeries.surgery("maps not averaged", surgeries.all_removed("AdaptiveAvgPool2d")),
    ],
)
def one_score_for_each_class(models: Models, c: ImageSize) -> None:
    channels = INPUTS.get(c.network, (1, 1))[1]
    classes = CLASSES.get(c.network, 10)
    size = f"{c.network} on {c.height}x{c.width}"
    try:
        scores = traced(models(c.network), 1, channels, c.height, c.width)[-1].output_shape
    except RuntimeError as error:
        raise AssertionError(f"{size}: {error}") from error
    assert scores[:2] == (1, classes), f"{size} puts out {scores}"
    assert math.prod(scores) == classes, f"{size} puts out {scores}"


@any_size.judged(
    subject=MODELS,
    on=PROOF,
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.last_max_pool_removed,
        surgeries.padding_dropped,
    ],
)
def windows_fit_from_the_least_side_on(models: Models, _: Proof) -> None:
    import z3

    for name, least in LEAST_SIDE.items():
        side = z3.Int("side")
        room = z3.And([rows >= 1 for rows in rows_of_maps(models(name), side)])
        solver = z3.Solver()
        solver.add(side >= 1, room != (side >= least))
        assert solver.check() == z3.unsat, f"{name}: {solver.model()} is an exception"


def rows_of_maps(model: nn.Module, rows: Any) -> list[Any]:
    """Follow the rows of an image, a number or a symbol, through the windows of a network.

    Shortcuts of a ResNet count as if they stood in line: all its windows find room in one row.
    """
    from torch import nn

    found = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride, padding = (
                size if isinstance(size, int) else int(size[0])
                for size in (layer.kernel_size, layer.stride, layer.padding)
            )
            # Rounded up, a pool finds as many places as with a stride less one more rows.
            overhang = stride - 1 if getattr(layer, "ceil_mode", False) else 0
            rows = counting.conv2d_output_size(rows + overhang, kernel, stride, padding)
            found.append(rows)
    return found


# Softmax ------------------------------------------------------------------------------------------

softmax_of_averages = Claim(
    "average-head/gives-probabilities-through-softmax",
    says="Softmax turns the averages into the classes' probabilities: positive shares that add up "
    "to one, in proportion to the exponentials of the averages, the largest for the largest one.",
    cites=["000:41", "001:81", "002:20"],
    recorded=Holds(),
    renamed_from="global-average-pooling/gives-probabilities-through-softmax",
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
    "average-head/needs-a-softmax-layer-to-classify",
    says="Without a softmax layer behind the averages the network would be trained on another "
    "loss, or would name other classes.",
    cites=["001:131"],
    recorded=Refuted(instead="average-head/needs-no-softmax-layer-to-classify"),
    renamed_from="global-average-pooling/needs-a-softmax-layer-to-classify",
)


@needs_softmax_layer.judged(subject=OPERATORS, on=SCORES, flipped_by=[bare_shares_lost])
def loss_or_class_changes_without_it(ops: Operators, c: Scores) -> None:
    other_loss = differs(ops.cross_entropy(c.scores, c.target), c.loss)
    other_class = (ops.softmax(c.scores, 1).argmax(axis=1) != c.scores.argmax(axis=1)).any()
    assert other_loss or other_class, (
        "cross-entropy takes the softmax itself, and the largest score has the largest share"
    )


needs_no_softmax_layer = Claim(
    "average-head/needs-no-softmax-layer-to-classify",
    says="A network that puts out bare scores needs no softmax layer: cross-entropy takes the "
    "softmax itself, and the largest score names the same class as the largest probability.",
    cites=["001:131"],
    recorded=Holds(),
    renamed_from="global-average-pooling/needs-no-softmax-layer-to-classify",
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
    "average-head/loss-has-a-floor-behind-a-softmax-layer",
    says="With a softmax layer in front of cross-entropy the loss cannot fall below the logarithm "
    "of 1 + (K - 1) / e for K classes, 1.461 for ten, however sure and right the network is.",
    cites=["001:131"],
    recorded=Holds(),
    renamed_from="global-average-pooling/loss-has-a-floor-behind-a-softmax-layer",
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


# Robustness ---------------------------------------------------------------------------------------


elsewhere = Claim(
    "average-head/recognises-patterns-where-it-never-saw-them",
    says="A small network that learned to tell patterns apart in one place of noise images tells "
    "them apart in another place as well.",
    cites=["002:20"],
    recorded=HoldsIf("a global average is the head"),
    reading_of=ROBUST,
    cost="cpu",
)


def _first_quarter(pool: nn.Module) -> nn.Module:
    from torch import nn

    return nn.Sequential(nn.ZeroPad2d((0, -SIDE // 2, 0, -SIDE // 2)), pool)


@dataclass(frozen=True)
class PatternsInOnePlace:
    """What reads the maps of the convolution, and the seed of patterns, weights and images."""

    head: str
    seed: int


@elsewhere.judged(
    subject=LAYERS,
    on=Sample(
        "small networks and patterns from some seeds, a global average or a linear layer as head",
        [PatternsInOnePlace(head, seed) for head in ("average", "linear") for seed in (0, 1)],
    ),
    when={"a global average is the head": lambda c: c.head == "average"},
    flipped_by=[
        wrong_formulas.layer(
            "average of the first quarter of the map",
            "AdaptiveAvgPool2d",
            lambda f, size: _first_quarter(f(size)),
        ),
    ],
)
def right_in_another_place(layers: Layers, c: PatternsInOnePlace) -> None:
    import torch

    patterns = patterns_of(c.seed)

    def planted_at(images: int, *place: int) -> tuple[torch.Tensor, torch.Tensor]:
        return planted(patterns, torch.tensor(images * [place]))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(c.seed)
        if c.head == "average":
            head = [layers.Conv2d(8, KINDS, 1), layers.AdaptiveAvgPool2d(1), layers.Flatten()]
        else:
            head = [layers.Flatten(), layers.Linear(8 * SIDE * SIDE, KINDS)]
        network = layers.Sequential(layers.Conv2d(1, 8, 5, padding=2), layers.ReLU(), *head)
        train(layers, network, lambda images: planted_at(images, 1, 2))
        there = share_right(network, *planted_at(400, 1, 2))
        shifted = share_right(network, *planted_at(400, 6, 5))
    if there < 0.8:
        raise NoVerdictError(f"where it was trained the network is right in only {there:.0%}")
    assert shifted >= 0.7, (
        f"head {c.head}: it is right in less than 7 of 10 images with the pattern in another place"
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
    "average-head/rules-out-overfitting",
    says="As global average pooling has nothing to learn, a network that ends in it runs no risk "
    "of overfitting: it learns no labels that are mere chance.",
    cites=["000:46"],
    recorded=Refuted(instead="average-head/lets-a-network-memorise-random-labels"),
    renamed_from="global-average-pooling/rules-out-overfitting",
    cost="cpu",
)


@no_overfitting_risk.judged(subject=LAYERS, on=SEEDS_OF_NOISE, flipped_by=[batch_averaged])
def random_labels_stay_guesses(layers: Layers, seed: int) -> None:
    fitted, _ = labels_fitted(layers, seed)
    assert fitted <= GUESSED, (
        f"after training {fitted} of {IMAGES} random labels of noise images are right"
    )


memorises_random_labels = Claim(
    "average-head/lets-a-network-memorise-random-labels",
    says="A network of convolutions that ends in global average pooling can learn the random "
    "labels of noise images by heart, all of them, and then knows nothing of other images.",
    cites=["000:46"],
    recorded=Holds(),
    renamed_from="global-average-pooling/lets-a-network-memorise-random-labels",
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
ON_NIN = ("cifar10-short", "cifar10-fc-head-short")


def mean_is_later(*quantities: str) -> Agree:
    """Return the rule that by each of these times the mean is later than a fully connected head.

    The authors let the last layer learn at a tenth of the rate, which holds a fully connected one
    up; so it is compared at both rates.
    """
    return Agree(
        tuple(
            Sooner(head, "cifar10-short", quantity=quantity)
            for head in ("cifar10-fc-head-short", "cifar10-fc-head-full-rate-short")
            for quantity in quantities
        )
    )


trained_heads = (
    trained(
        "average-head/overfits-less-than-a-linear-head",
        says="On the mlpconv layers of NiN the accuracy on training images exceeds that on test "
        "images by less if a global average is the head than if a fully connected layer is.",
        cites=["000:39", "000:41", "001:30", "001:102", "001:148", "002:20", "004:36"],
        rule=Lower(*ON_NIN, quantity="generalisation gap", family="heads"),
        reading_of=LESS_OVERFITTING,
        renamed_from="global-average-pooling/overfits-less-than-a-linear-head",
    ),
    trained(
        "average-head/overfits-less-on-plain-convolutions",
        says="On plain convolutions, too, the gap between training and test accuracy is smaller "
        "with a global average as head than with a fully connected layer.",
        cites=["000:39", "000:41", "001:30", "001:148", "002:20", "004:36"],
        rule=Lower(
            "plain-gap-short", "plain-fc-short", quantity="generalisation gap", family="heads"
        ),
        reading_of=LESS_OVERFITTING,
        renamed_from="global-average-pooling/overfits-less-on-plain-convolutions",
    ),
    trained(
        "average-head/loses-less-accuracy-by-a-shift",
        says="With a global average as head NiN loses less accuracy on test images that are "
        "shifted by four pixels than with a fully connected layer.",
        cites=["002:20"],
        # On average over shifts up, down, left and right; zeros move in.
        rule=Lower(*ON_NIN, quantity="rise of test error by shift", family="heads"),
        reading_of=ROBUST,
    ),
    trained(
        "average-head/loses-less-accuracy-by-noise",
        says="With a global average as head NiN loses less accuracy on test images with noise than "
        "with a fully connected layer.",
        cites=["002:20"],
        # Gaussian noise of a tenth of the images' deviation.
        rule=Lower(*ON_NIN, quantity="rise of test error by noise", family="heads"),
        reading_of=ROBUST,
    ),
    trained(
        "average-head/needs-more-epochs-to-a-training-loss",
        says="With a global average NiN needs more epochs to come to a training loss of 0.5 than "
        "with a fully connected layer as head.",
        cites=["001:148"],
        rule=mean_is_later("epochs to training loss 1.0", "epochs to training loss 0.5"),
        reading_of=SLOWER,
        renamed_from="global-average-pooling/needs-more-epochs-to-a-training-loss",
    ),
    trained(
        "average-head/needs-more-epochs-to-a-test-error",
        says="With a global average NiN needs more epochs to come to a test error of 20 % than "
        "with a fully connected layer as head.",
        cites=["001:148"],
        rule=mean_is_later(*(f"epochs to test error {error}" for error in (30, 20, 15))),
        reading_of=SLOWER,
        renamed_from="global-average-pooling/needs-more-epochs-to-a-test-error",
    ),
    trained(
        "average-head/is-decisive-for-accuracy",
        says="The head is a key part of NiN's design: with the trunk as it is, replacing the "
        "global average by a global maximum or a fully connected layer changes the test error by "
        "more than 0.3 points.",
        cites=["001:143"],
        rule=AllOf(FAMILIES["other heads"]),
        renamed_from="global-average-pooling/is-decisive-for-accuracy",
    ),
)
