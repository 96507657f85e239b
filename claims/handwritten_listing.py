"""The handwritten network for CIFAR-10: its layers, whether they run, and what it reaches.

Document 004, lines 70 to 112. The listing is kept as data, a line each; `built` makes the network.
"""

from __future__ import annotations

import copy
import importlib
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from claims.cases import integers
from claims.checks import close, differs, same
from claims.core.claim import PROOF, Claim, Fault, Proof, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted, Undecided
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.fields import perturbed
from claims.subjects import (
    FACTS,
    FORMULAS,
    LAYERS,
    MODELS,
    MODELS_WITH_WEIGHTS,
    OPERATORS,
    RUNS,
    Evidence,
    Fact,
    Formulas,
    Layers,
    Models,
)
from nin_ref import counting, oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Line:
    """A line of the listing: a layer class of PyTorch and its arguments.

    An argument may be text: then it is the constructor's parameter of that name.
    """

    line: int
    layer: str
    arguments: Mapping[str, int | bool | str]


Listing = Mapping[str, Line]


def _convolution(line: int, inputs: int, outputs: int, kernel: int, **more: int) -> Line:
    sizes = {"in_channels": inputs, "out_channels": outputs, "kernel_size": kernel}
    return Line(line, "Conv2d", sizes | more)


def _relu(line: int) -> Line:
    return Line(line, "ReLU", {"inplace": True})


# By the names that the layers have in the network.
LINES: Listing = {
    "features.0": _convolution(78, 3, 64, 3, stride=2, padding=1),
    "features.1": _relu(79),
    "features.2": _convolution(80, 64, 64, 1, stride=1),
    "features.3": _relu(81),
    "features.4": _convolution(82, 64, 64, 1, stride=1),
    "features.5": _relu(83),
    "features.6": Line(84, "MaxPool2d", {"kernel_size": 2}),
    "features.7": _convolution(86, 64, 192, 3, padding=1),
    "features.8": _relu(87),
    "features.9": _convolution(88, 192, 192, 1, stride=1),
    "features.10": _relu(89),
    "features.11": _convolution(90, 192, 192, 1, stride=1),
    "features.12": _relu(91),
    "features.13": Line(92, "MaxPool2d", {"kernel_size": 2}),
    "features.14": _convolution(94, 192, 384, 3, padding=1),
    "features.15": _relu(95),
    "features.16": _convolution(96, 384, 384, 1, stride=1),
    "features.17": _relu(97),
    "features.18": _convolution(98, 384, 256, 1, stride=1),
    "features.19": _relu(99),
    "features.20": Line(100, "AvgPool2d", {"kernel_size": 4}),
    "classifier": Line(103, "Linear", {"in_features": 256, "out_features": 10}),
}
LISTING = Subject("listing", lambda: LINES)


def reread(key: str, **arguments: int | bool | str) -> Fault[Listing]:
    """Return a fault that reads arguments of a line as others, or arguments that are not there."""
    told = ", ".join(f"{name}={value}" for name, value in arguments.items())
    return perturbed(f"{key} with {told}", key, arguments={**LINES[key].arguments, **arguments})


def other_layer(key: str, layer: str, **arguments: float) -> Fault[Listing]:
    """Return a fault that reads another layer in a line."""
    return perturbed(f"{layer} for {key}", key, layer=layer, arguments=arguments)


def built(listing: Listing, num_classes: int = 10) -> nn.Sequential:
    """Build the network of the listing without storage; the view of line 107 is `flatten`."""
    import torch
    from torch import nn

    parameters = {"num_classes": num_classes}
    features: OrderedDict[str, nn.Module] = OrderedDict()
    with torch.device("meta"):
        for key, line in listing.items():
            arguments = {
                name: parameters[value] if isinstance(value, str) else value
                for name, value in line.arguments.items()
            }
            features[key.removeprefix("features.")] = getattr(nn, line.layer)(**arguments)
    classifier = features.pop("classifier")
    return nn.Sequential(
        OrderedDict(features=nn.Sequential(features), flatten=nn.Flatten(), classifier=classifier)
    )


def features_of(network: nn.Module) -> nn.Sequential:
    """Return the part of the network before the flattening."""
    from torch import nn

    features = network.get_submodule("features")
    assert isinstance(features, nn.Sequential), f"the features are {features}"
    return features


# Structure and sizes ------------------------------------------------------------------------------

three_mlpconv = Claim(
    "handwritten-listing/stacks-three-mlpconv-layers",
    says="The network stacks three mlpconv layers, each a convolution of 3x3 and two of 1x1 with a "
    "ReLU after each; a max pool follows the first two, an average pool the third, and then comes "
    "a linear layer.",
    cites=["004:77-103"],
    recorded=Holds(),
)
MLPCONV = ["Conv2d 3x3", "ReLU", "Conv2d 1x1", "ReLU", "Conv2d 1x1", "ReLU"]
STACK = [*MLPCONV, "MaxPool2d 2x2", *MLPCONV, "MaxPool2d 2x2", *MLPCONV, "AvgPool2d 4x4", "Linear"]


@three_mlpconv.judged(
    subject=LISTING,
    on=["the lines in order"],
    flipped_by=[
        *(other_layer(key, "Identity") for key in LINES),
        *(
            reread(key, kernel_size=5)
            for key, line in LINES.items()
            if "kernel_size" in line.arguments
        ),
        perturbed("a ReLU before its convolution", "features.1", line=77),
        perturbed("the classifier first", "classifier", line=76),
    ],
)
def lines_stack_up(listing: Listing, _: str) -> None:
    stack = []
    for line in sorted(listing.values(), key=lambda line: line.line):
        kernel = line.arguments.get("kernel_size")
        stack.append(f"{line.layer} {kernel}x{kernel}" if kernel else line.layer)
    assert stack == STACK, f"the layers are {', '.join(stack)}"


@three_mlpconv.judged(
    subject=MODELS,
    on=["handwritten-nin"],
    flipped_by=[
        surgeries.relu_layers_removed,
        surgeries.first_max_pool_removed,
        surgeries.last_linear_removed,
        surgeries.padding_dropped,
        surgeries.biases_dropped,
        surgeries.surgery("first ReLU removed", surgeries.removed("ReLU", 0)),
        surgeries.surgery("last ReLU removed", surgeries.removed("ReLU", -1)),
    ],
)
def network_is_as_listed(models: Models, name: str) -> None:
    network, listed = (
        {
            key: str(layer)
            for key, layer in one.named_modules()
            if key in LINES or not list(layer.children())
        }
        for one in (models(name), built(LINES))
    )
    for key in LINES:
        assert network.get(key) == listed[key], f"{key} is {network.get(key)}, not {listed[key]}"
    assert list(network) == list(listed), f"the network has {', '.join(network)}"


@dataclass(frozen=True)
class Made:
    """What a layer of the listing makes of a 32x32 image: maps (c, h, w), and its parameters."""

    output: tuple[int, int, int]
    parameters: int = 0


BLOCKS = {
    "first": [
        *[Made((64, 16, 16), (3 * 3 * 3 + 1) * 64), Made((64, 16, 16))],
        *[Made((64, 16, 16), (64 + 1) * 64), Made((64, 16, 16))] * 2,
        Made((64, 8, 8)),
    ],
    "second": [
        *[Made((192, 8, 8), (3 * 3 * 64 + 1) * 192), Made((192, 8, 8))],
        *[Made((192, 8, 8), (192 + 1) * 192), Made((192, 8, 8))] * 2,
        Made((192, 4, 4)),
    ],
    "third": [
        *[Made((384, 4, 4), (3 * 3 * 192 + 1) * 384), Made((384, 4, 4))],
        *[Made((384, 4, 4), (384 + 1) * 384), Made((384, 4, 4))],
        *[Made((256, 4, 4), (384 + 1) * 256), Made((256, 4, 4))],
        Made((256, 1, 1)),
    ],
}


def block_claim(
    block: str,
    says: str,
    lines: str,
    lines_flip: list[Fault[Listing]],
    surgeries_flip: list[Fault[Models]],
) -> Claim:
    """Declare what the layers of a block make of 32x32 images, and their parameters."""
    claim = Claim(f"handwritten-listing/{block}-block", says=says, cites=[lines], recorded=Holds())
    expected = BLOCKS[block]
    first = 7 * list(BLOCKS).index(block)

    def layers_make(network: nn.Module) -> dict[str, int]:
        records = counting.trace(features_of(network)[: first + 7], 1, 3, 32, 32)[first:]
        made = [Made(record.output_shape[1:], record.parameters) for record in records]  # type: ignore[arg-type]
        for record, one, other in zip(records, made, expected, strict=True):
            assert one == other, f"features.{record.name} makes {one}, not {other}"
        return {"parameters": sum(one.parameters for one in made)}

    @claim.judged(subject=LISTING, on=["32x32"], flipped_by=lines_flip)
    def lines_make(listing: Listing, _: str) -> dict[str, int]:
        return layers_make(built(listing))

    @claim.judged(subject=MODELS, on=["handwritten-nin"], flipped_by=surgeries_flip)
    def network_makes(models: Models, name: str) -> dict[str, int]:
        return layers_make(models(name))

    return claim


def without_bias(key: str) -> Fault[Models]:
    """Return a surgery that drops the biases of a layer."""

    def change(model: nn.Module) -> None:
        model.get_submodule(key).register_parameter("bias", None)

    return surgeries.surgery(f"{key} without bias", change)


FIRST_BLOCK = block_claim(
    "first",
    "The first block halves an image of 32x32 by its stride to 64 maps of 16x16, which its pool "
    "halves to 8x8, with 10,112 parameters.",
    "004:78-84",
    [
        reread("features.0", stride=1),
        reread("features.0", padding=0),
        reread("features.0", kernel_size=5),
        reread("features.0", bias=False),
        reread("features.2", padding=1),
        reread("features.4", out_channels=96),
        reread("features.4", groups=2),
        reread("features.6", stride=1),
        reread("features.6", kernel_size=3),
    ],
    [
        surgeries.padding_dropped,
        surgeries.biases_dropped,
        surgeries.first_max_pool_removed,
        without_bias("features.2"),
    ],
)
SECOND_BLOCK = block_claim(
    "second",
    "The second block widens 64 maps of 8x8 to 192 of the same size, which its pool halves to 4x4, "
    "with 184,896 parameters.",
    "004:86-92",
    [
        reread("features.7", stride=2),
        reread("features.7", padding=0),
        reread("features.7", groups=2),
        reread("features.9", bias=False),
        reread("features.9", padding=1),
        reread("features.11", out_channels=384),
        reread("features.13", ceil_mode=True, kernel_size=3),
        reread("features.13", kernel_size=3),
    ],
    [
        surgeries.padding_dropped,
        surgeries.biases_dropped,
        surgeries.last_max_pool_removed,
        without_bias("features.11"),
    ],
)
THIRD_BLOCK = block_claim(
    "third",
    "The third block widens 192 maps of 4x4 to 384, narrows these to 256 and averages each to one "
    "value, with 910,336 parameters.",
    "004:94-100",
    [
        reread("features.14", padding=2),
        reread("features.14", kernel_size=1),
        reread("features.16", bias=False),
        reread("features.18", out_channels=384),
        reread("features.18", groups=2),
        reread("features.20", kernel_size=3, padding=1),
        reread("features.20", kernel_size=2),
    ],
    [
        surgeries.biases_dropped,
        surgeries.last_max_pool_removed,
        surgeries.last_convolution_removed,
        without_bias("features.18"),
    ],
)

whole = Claim(
    "handwritten-listing/has-1107914-parameters",
    says="The network has 1,107,914 parameters, all but 2,570 of them in its convolutions, and "
    "takes 28,887,552 multiply-adds for an image.",
    cites=["004:70", "004:78-103"],
    recorded=Holds(),
)


def count_all(network: nn.Module) -> dict[str, int]:
    """Assert the parameters and multiply-adds of the network against those of its blocks."""
    blocks = [made for block in BLOCKS.values() for made in block]
    in_blocks = sum(made.parameters for made in blocks)
    # A convolution uses each weight once at each position, and its biases not in a product.
    products = sum(
        (made.parameters - made.output[0]) * math.prod(made.output[1:])
        for made in blocks
        if made.parameters
    )
    counts = counting.layer_parameters(network)
    assert counts.get("classifier") == 2_570 == (256 + 1) * 10, f"{counts.get('classifier')} in it"
    total = sum(counts.values())
    assert total == 1_107_914 == in_blocks + 2_570, f"{total:,} parameters"
    taken = counting.multiply_adds(network, 1, 3, 32, 32)
    assert taken == 28_887_552 == products + 2_560, f"{taken:,} multiply-adds"
    return {"parameters": total, "multiply-adds": taken}


@whole.judged(
    subject=LISTING,
    on=["32x32"],
    flipped_by=[
        reread("classifier", bias=False),
        reread("classifier", out_features=100),
        reread("features.2", kernel_size=3, padding=1),
        reread("features.16", groups=2),
        reread("features.0", bias=False),
    ],
)
def lines_count(listing: Listing, _: str) -> dict[str, int]:
    return count_all(built(listing))


@whole.judged(
    subject=MODELS,
    on=["handwritten-nin"],
    flipped_by=[
        surgeries.biases_dropped,
        surgeries.outputs_doubled,
        surgeries.last_linear_removed,
        without_bias("features.14"),
        without_bias("classifier"),
    ],
)
def network_counts(models: Models, name: str) -> dict[str, int]:
    return count_all(models(name))


first_halves = Claim(
    "handwritten-listing/first-convolution-halves-rounding-up",
    says="The first convolution, of 3x3 with stride 2 and padding 1, gives half as many rows and "
    "columns, an odd number rounded up.",
    cites=["004:78"],
    recorded=Holds(),
)


@first_halves.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.output_size_off_by_one,
        wrong_formulas.padding_counted_once,
        wrong_formulas.stride_forgotten,
    ],
)
def half_of_one_more(formulas: Formulas, _: Proof) -> None:
    import z3

    size = z3.Int("size")
    solver = z3.Solver()
    solver.add(size >= 1, formulas.output_size(size, 3, 2, 1) != (size + 1) / 2)
    assert solver.check() == z3.unsat, f"not with {solver.model()}"


@first_halves.judged(
    subject=LISTING,
    on=[(3, 4), (4, 7), (7, 12), (31, 33), (32, 32)],
    flipped_by=[
        reread("features.0", padding=0),
        reread("features.0", stride=1),
        reread("features.0", kernel_size=1),
        reread("features.0", dilation=2),
    ],
)
def rows_and_columns_are_halved(listing: Listing, size: tuple[int, int]) -> None:
    import torch

    maps = features_of(built(listing))[0](torch.empty(1, 3, *size, device="meta"))
    halves = (math.ceil(size[0] / 2), math.ceil(size[1] / 2))
    assert maps.shape[2:] == halves, f"{size} gives {tuple(maps.shape[2:])}"


pools_tile = Claim(
    "handwritten-listing/max-pools-tile-the-map",
    says="The max pools, whose stride is left out, have windows of 2x2 side by side, and halve the "
    "rows and columns; an odd last one is left out.",
    cites=["004:84", "004:92"],
    recorded=Holds(),
)


@pools_tile.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[wrong_formulas.output_size_off_by_one, wrong_formulas.stride_forgotten],
)
def half_rounded_down(formulas: Formulas, _: Proof) -> None:
    import z3

    size = z3.Int("size")
    solver = z3.Solver()
    solver.add(size >= 2, formulas.output_size(size, 2, 2) != size / 2)
    assert solver.check() == z3.unsat, f"not with {solver.model()}"


def in_windows_side_by_side(pool: nn.Module, size: tuple[int, int]) -> None:
    """Assert that one pixel alone shows in one output, that of its 2x2 window, or in none."""
    import torch

    rows, columns = size[0] // 2, size[1] // 2
    one_pixel = torch.eye(math.prod(size)).reshape(-1, 1, *size)
    shown = pool(one_pixel).reshape(*size, -1).numpy()
    expected = np.zeros((*size, rows * columns))
    for row, column in np.ndindex(2 * rows, 2 * columns):
        expected[row, column, row // 2 * columns + column // 2] = 1
    same(shown, expected, "what each pixel alone gives")


POOLED = [(2, 2), (4, 6), (5, 7), (3, 8)]


@pools_tile.judged(
    subject=LISTING,
    on=POOLED,
    flipped_by=[
        reread("features.6", stride=1),
        reread("features.13", stride=1),
        reread("features.13", ceil_mode=True),
        reread("features.6", kernel_size=3, stride=2, padding=1),
        other_layer("features.6", "AvgPool2d", kernel_size=2),
    ],
)
def listed_pools_tile(listing: Listing, size: tuple[int, int]) -> None:
    features = features_of(built(listing))
    for pool in (features[6], features[13]):
        in_windows_side_by_side(pool, size)


@pools_tile.judged(
    subject=LAYERS,
    on=POOLED,
    flipped_by=[
        wrong_formulas.layer(
            "stride of one by default",
            "MaxPool2d",
            lambda f, kernel_size, stride=1: f(kernel_size, stride),
        ),
        wrong_formulas.layer(
            "rounding up by default",
            "MaxPool2d",
            lambda f, kernel_size: f(kernel_size, ceil_mode=True),
        ),
    ],
)
def pools_tile_by_default(layers: Layers, size: tuple[int, int]) -> None:
    in_windows_side_by_side(layers.MaxPool2d(kernel_size=2), size)


changes_channels = Claim(
    "handwritten-listing/last-1x1-convolution-narrows-384-maps-to-256",
    says="The last convolution of 1x1 turns 384 maps into 256 of the same size.",
    cites=["004:98"],
    recorded=Holds(),
)


def narrows(network: nn.Module) -> None:
    """Assert that the layer takes all of 384 maps, and gives 256 of their size."""
    import torch

    layer = features_of(network)[18]
    maps = layer(torch.empty(2, 384, 4, 5, device="meta"))
    assert maps.shape == (2, 256, 4, 5), f"the maps are {tuple(maps.shape)}"
    weights = {name: tuple(weight.shape) for name, weight in layer.named_parameters()}
    assert weights == {"weight": (256, 384, 1, 1), "bias": (256,)}, f"the weights are {weights}"


@changes_channels.judged(
    subject=LISTING,
    on=["line 98"],
    flipped_by=[
        reread("features.18", out_channels=384),
        reread("features.18", kernel_size=3, padding=1),
        reread("features.18", padding=1),
        reread("features.18", groups=2),
    ],
)
def line_narrows(listing: Listing, _: str) -> None:
    narrows(built(listing))


@changes_channels.judged(
    subject=MODELS,
    on=["handwritten-nin"],
    flipped_by=[surgeries.biases_dropped, surgeries.last_convolution_removed],
)
def network_narrows(models: Models, name: str) -> None:
    narrows(models(name))


keep_size = Claim(
    "handwritten-listing/other-convolutions-keep-the-size",
    says="The convolutions after the first leave the rows and columns as many as they are.",
    cites=["004:80-98"],
    recorded=Holds(),
)
KEEPING = [f"features.{at}" for at in (2, 4, 7, 9, 11, 14, 16, 18)]


@keep_size.judged(
    subject=LISTING,
    on=KEEPING,
    flipped_by=[
        *(reread(key, stride=2) for key in KEEPING),
        *(reread(key, padding=3) for key in KEEPING),
        reread("features.14", stride=2, padding=3),
        reread("features.7", dilation=2),
    ],
)
def line_keeps_the_size(listing: Listing, key: str) -> None:
    sizes_kept(built(listing), key)


@keep_size.judged(
    subject=MODELS,
    on=["handwritten-nin"],
    flipped_by=[surgeries.padding_dropped],
)
def network_keeps_the_size(models: Models, name: str) -> None:
    for key in KEEPING:
        sizes_kept(models(name), key)


def sizes_kept(network: nn.Module, key: str) -> None:
    """Assert that a layer keeps the size of maps of 9x12."""
    import torch

    layer = network.get_submodule(key)
    maps = layer(torch.empty(1, layer.get_parameter("weight").shape[1], 9, 12, device="meta"))
    assert maps.shape[2:] == (9, 12), f"{key} turns 9x12 into {tuple(maps.shape[2:])}"


@keep_size.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[wrong_formulas.output_size_off_by_one, wrong_formulas.padding_counted_once],
)
def size_is_kept(formulas: Formulas, _: Proof) -> None:
    import z3

    size = z3.Int("size")
    for kernel, padding in ((3, 1), (1, 0)):
        solver = z3.Solver()
        solver.add(size >= 1, formulas.output_size(size, kernel, 1, padding) != size)
        assert solver.check() == z3.unsat, f"{kernel}x{kernel} with {solver.model()}"


# Which images it takes ----------------------------------------------------------------------------


def _averaged_whatever_the_size(model: nn.Module) -> None:
    from torch import nn

    surgeries.put(model, "features.20", nn.AdaptiveAvgPool2d(1))


averaged_whatever_the_size = surgeries.surgery(
    "average over maps of any size", _averaged_whatever_the_size
)

takes_cifar10 = Claim(
    "handwritten-listing/takes-cifar10-images",
    says="The network gives ten scores for each colour image of 32x32.",
    cites=["004:70", "004:105-109"],
    recorded=Holds(),
)


def scores_for(network: nn.Module, images: int, height: int, width: int) -> None:
    """Assert that the network takes the images and gives ten scores for each."""
    import torch

    try:
        scores = network(torch.empty(images, 3, height, width, device="meta"))
    except RuntimeError as error:
        raise AssertionError(f"{height}x{width}: {error}") from error
    assert scores.shape == (images, 10), f"{height}x{width} gives {tuple(scores.shape)}"


@takes_cifar10.judged(
    subject=LISTING,
    on=[1, 3],
    flipped_by=[
        reread("features.0", in_channels=1),
        reread("features.0", stride=1),
        reread("features.20", kernel_size=2),
        reread("classifier", in_features=1024),
        reread("classifier", out_features=100),
    ],
)
def listing_takes_a_batch(listing: Listing, images: int) -> None:
    scores_for(built(listing), images, 32, 32)


@takes_cifar10.judged(
    subject=MODELS,
    on=["handwritten-nin"],
    flipped_by=[surgeries.outputs_doubled, surgeries.last_linear_removed],
)
def network_takes_a_batch(models: Models, name: str) -> None:
    scores_for(models(name), 2, 32, 32)


def sides_between(low: int, high: int) -> dict[str, Callable[[tuple[int, int]], bool]]:
    """Return conditions on the rows and the columns of an image."""
    return {
        f"{low} to {high} rows": lambda size: low <= size[0] <= high,
        f"{low} to {high} columns": lambda size: low <= size[1] <= high,
    }


other_sizes = Claim(
    "handwritten-listing/takes-images-of-31-to-62-pixels",
    says="The network gives ten scores for an image, whatever its height and width.",
    cites=["004:70", "004:100-108"],
    recorded=HoldsIf("31 to 62 rows", "31 to 62 columns"),
)
ACCEPTED = [(32, 32), (31, 62), (62, 31)]
REFUSED = [(30, 40), (63, 40), (40, 30), (40, 63), (1, 32), (32, 129)]


@other_sizes.judged(
    subject=LISTING,
    on=ACCEPTED,
    flipped_by=[
        reread("features.0", padding=0),
        reread("features.13", ceil_mode=True),
        reread("features.20", kernel_size=3),
        reread("features.20", kernel_size=5),
    ],
)
def listing_takes_the_size(listing: Listing, size: tuple[int, int]) -> None:
    scores_for(built(listing), 1, *size)


@other_sizes.judged(
    subject=MODELS,
    on=[*ACCEPTED, *REFUSED],
    when=sides_between(31, 62),
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.padding_dropped,
        surgeries.outputs_doubled,
        averaged_whatever_the_size,
    ],
)
def network_takes_the_size(models: Models, size: tuple[int, int]) -> None:
    scores_for(models("handwritten-nin"), 1, *size)


@other_sizes.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.output_size_off_by_one,
        wrong_formulas.padding_counted_once,
        wrong_formulas.stride_forgotten,
    ],
)
def one_value_a_map_remains(formulas: Formulas, _: Proof) -> None:
    import z3

    side = z3.Int("side")
    pooled = formulas.output_size(formulas.output_size(side, 3, 2, 1), 2, 2)
    averaged = formulas.output_size(formulas.output_size(pooled, 2, 2), 4, 4)
    solver = z3.Solver()
    solver.add(side >= 1, (averaged == 1) != z3.And(side >= 31, side <= 62))
    assert solver.check() == z3.unsat, f"not with {solver.model()}"


# Averaging and the linear layer -------------------------------------------------------------------

averages_all = Claim(
    "handwritten-listing/average-pool-is-global",
    says="The average pool of 4x4 takes the mean over the whole of each map.",
    cites=["004:36", "004:100"],
    recorded=HoldsIf("31 to 38 rows", "31 to 38 columns"),
)
SMALL = [(32, 32), (31, 38), (38, 31)]
LARGE = [(39, 32), (32, 39), (62, 32), (32, 62)]


def mean_of_each_map(network: nn.Module, size: tuple[int, int]) -> None:
    """Assert that the last layer of the features takes means over the maps that reach it."""
    import torch

    features = features_of(network)
    _, _, height, width = features[:-1](torch.empty(1, 3, *size, device="meta")).shape
    maps = integers(height, 2, 5, height, width)
    pooled = features[-1](torch.from_numpy(maps)).numpy()
    what = f"the mean over 4x4 of {height}x{width}"
    close(pooled, maps.mean(axis=(2, 3), keepdims=True), what)


@averages_all.judged(
    subject=LISTING,
    on=SMALL,
    flipped_by=[
        reread("features.20", kernel_size=3),
        reread("features.20", divisor_override=15),
        reread("features.0", stride=1),
        other_layer("features.20", "MaxPool2d", kernel_size=4),
    ],
)
def listed_pool_is_global(listing: Listing, size: tuple[int, int]) -> None:
    mean_of_each_map(built(listing), size)


@averages_all.judged(
    subject=MODELS,
    on=[*SMALL, *LARGE],
    when=sides_between(31, 38),
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.surgery("average removed", surgeries.removed("AvgPool2d", -1)),
        averaged_whatever_the_size,
    ],
)
def pool_of_the_network_is_global(models: Models, size: tuple[int, int]) -> None:
    mean_of_each_map(models("handwritten-nin"), size)


replaces_linear = Claim(
    "handwritten-listing/averages-instead-of-a-linear-layer",
    says="Global average pooling takes the place of fully connected layers: the means of the maps "
    "are the class scores.",
    cites=["004:36", "004:77-103"],
    recorded=Refuted(
        instead="handwritten-listing/linear-layer-is-a-1x1-convolution-before-the-mean"
    ),
)


@replaces_linear.judged(
    subject=LISTING,
    on=["32x32"],
    flipped_by=[
        Fault(
            "ten maps and no linear layer",
            lambda listing: reread("features.18", out_channels=10).plant(
                other_layer("classifier", "Identity").plant(listing)
            ),
        )
    ],
)
def means_are_the_scores(listing: Listing, _: str) -> None:
    records = counting.trace(built(listing), 1, 3, 32, 32)
    last, flat = records[-1], records[-2].output_shape[1]
    assert last.kind != "Linear", f"a linear layer turns the {flat} means into the scores"
    assert flat == 10, f"there are {flat} means"


before_the_mean = Claim(
    "handwritten-listing/linear-layer-is-a-1x1-convolution-before-the-mean",
    says="A linear layer on the means of maps gives the means of what a 1x1 convolution with its "
    "weights gives.",
    cites=["004:36", "004:100-108"],
    recorded=HoldsIf("no ReLU follows the convolution"),
)


@before_the_mean.judged(
    subject=OPERATORS,
    on=[(4, 4, "linear"), (2, 8, "linear"), (4, 4, "ReLU"), (8, 1, "ReLU")],
    when={"no ReLU follows the convolution": lambda case: case[2] == "linear"},
    flipped_by=[
        faults.global_max_for_mean,
        faults.global_sum_for_mean,
        faults.global_mean_of_first_row,
        faults.global_mean_divides_by_height,
        faults.bias_missing,
        faults.linear_bias_missing,
        faults.linear_weight_transposed,
        faults.weight_transposed,
        faults.relu_missing,
        faults.linear_weight_gradient_halved,
        faults.weight_gradient_averaged,
        faults.weight_gradient_of_first_image,
        faults.input_gradient_transposed,
        faults.linear_input_gradient_transposed,
        faults.bias_gradient_missing,
    ],
)
def mean_and_linear_layer_commute(ops: Operators, case: tuple[int, int, str]) -> None:
    height, width, activation = case
    maps = integers(1, 3, 6, height, width)
    weight, bias = integers(2, 5, 6), integers(3, 5, low=1, high=9)
    # A mean over 8 or 16 whole numbers is exact.
    expected = np.einsum("nchw,oc->no", maps, weight) / (height * width) + bias
    same(ops.linear(ops.global_avg_pool2d(maps), weight, bias), expected, "the linear layer")
    scored = ops.conv2d(maps, weight[:, :, np.newaxis, np.newaxis].copy(), bias)
    if activation == "ReLU":
        scored = ops.relu(scored)
    same(ops.global_avg_pool2d(scored), expected, "the mean of the convolution")

    pulled = integers(4, 3, 5)
    means = maps.mean(axis=(2, 3))
    of_means, of_weight, of_bias = ops.linear_gradients(means, weight, pulled)
    same(of_means, pulled @ weight, "the gradient of the means")
    same(of_weight, pulled.T @ means, "the gradient of the linear layer")
    same(of_bias, pulled.sum(axis=0), "the gradient of its bias")

    area = height * width
    kernel = weight[:, :, np.newaxis, np.newaxis].copy()
    spread = np.broadcast_to(pulled[:, :, np.newaxis, np.newaxis] / area, scored.shape).copy()
    of_maps, of_kernel, of_bias = ops.conv2d_gradients(maps, kernel, spread)
    of_each_pixel = (pulled @ weight)[:, :, np.newaxis, np.newaxis] / area
    same(of_maps, np.broadcast_to(of_each_pixel, maps.shape), "the gradient of the maps")
    same(of_kernel[:, :, 0, 0], pulled.T @ means, "the gradient of the convolution")
    same(of_bias, pulled.sum(axis=0), "the gradient of its bias")


@before_the_mean.judged(
    subject=MODELS_WITH_WEIGHTS,
    on=["handwritten-nin"],
    flipped_by=[
        surgeries.surgery(
            "maximum for the mean", lambda model: _pool_for_the_mean(model, "MaxPool2d", 4)
        ),
        surgeries.surgery(
            "mean of 3x3 only", lambda model: _pool_for_the_mean(model, "AvgPool2d", 3)
        ),
    ],
)
def network_ends_in_a_mean(models: Models, name: str) -> None:
    import torch

    network = models(name)
    with torch.no_grad():
        images = torch.from_numpy(integers(5, 2, 3, 32, 32))
        scores = network(images).numpy()
        maps = features_of(network)[:-1](images).numpy()
    weights = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    kernel = weights["classifier.weight"][:, :, np.newaxis, np.newaxis]
    scored = oracle.conv2d(maps, kernel, weights["classifier.bias"])
    close(scores, scored.mean(axis=(2, 3)), "the network")


def _pool_for_the_mean(model: nn.Module, kind: str, kernel: int) -> None:
    from torch import nn

    surgeries.put(model, "features.20", getattr(nn, kind)(kernel, 4))


# The lines of code --------------------------------------------------------------------------------

CLASSES = [2, 10, 100, 1000]

sets_outputs = Claim(
    "handwritten-listing/num-classes-sets-the-outputs",
    says="The number of outputs is that of classes, which the constructor takes.",
    cites=["004:75", "004:103"],
    recorded=Refuted(instead="handwritten-listing/has-ten-outputs-whatever-the-classes"),
)


def outputs(network: nn.Module) -> int:
    """Count the scores that the network gives for an image."""
    import torch

    scores: torch.Tensor = network(torch.empty(1, 3, 32, 32, device="meta"))
    return scores.shape[1]


@sets_outputs.judged(
    subject=LISTING,
    on=CLASSES,
    flipped_by=[reread("classifier", out_features="num_classes")],
)
def outputs_follow_the_classes(listing: Listing, num_classes: int) -> None:
    count = outputs(built(listing, num_classes))
    assert count == num_classes, f"num_classes={num_classes} gives {count} outputs"


ten_outputs = Claim(
    "handwritten-listing/has-ten-outputs-whatever-the-classes",
    says="The network has ten outputs, whatever number of classes its constructor takes.",
    cites=["004:75", "004:103"],
    recorded=Holds(),
)
Constructor = Callable[[int], "nn.Module"]
CONSTRUCTOR: Subject[Constructor] = Subject(
    "reference network", lambda: importlib.import_module("nin_ref.models").handwritten_nin
)


@ten_outputs.judged(
    subject=LISTING,
    on=CLASSES,
    flipped_by=[
        reread("classifier", out_features="num_classes"),
        reread("classifier", out_features=100),
    ],
)
def outputs_are_ten(listing: Listing, num_classes: int) -> None:
    count = outputs(built(listing, num_classes))
    assert count == 10, f"num_classes={num_classes} gives {count} outputs"


def built_for_the_classes(num_classes: int) -> nn.Module:
    """Build the network with an output for each class."""
    return built(reread("classifier", out_features="num_classes").plant(LINES), num_classes)


outputs_from_the_classes: Fault[Constructor] = Fault(
    "outputs from the classes", lambda _: built_for_the_classes
)


@ten_outputs.judged(
    subject=CONSTRUCTOR,
    on=CLASSES,
    flipped_by=[outputs_from_the_classes],
)
def outputs_of_the_reference_are_ten(constructor: Constructor, num_classes: int) -> None:
    import torch

    with torch.device("meta"):
        count = outputs(constructor(num_classes))
    assert count == 10, f"num_classes={num_classes} gives {count} outputs"


@dataclass(frozen=True)
class ClassStatement:
    """What lines 74 and 75 evaluate when the class is defined, and the names known before them."""

    base: str = "nn.Module"
    default: str = "NUM_CLASSES"
    known: tuple[str, ...] = ()


ClassStatements = Mapping[str, ClassStatement]
CLASS_STATEMENTS: Subject[ClassStatements] = Subject(
    "class statement of the listing", lambda: {"NIN": ClassStatement()}
)


def restated(name: str, **values: str | tuple[str, ...]) -> Fault[ClassStatements]:
    """Return a fault that states the class otherwise."""
    return perturbed(name, "NIN", **values)


def define(statement: ClassStatement, known: Sequence[str]) -> None:
    """Execute a class statement of this shape where some names are known.

    Raises:
        NameError: if it evaluates a name that is not.
    """
    from torch import nn

    names = {name: {"nn": nn, "NUM_CLASSES": 10}[name] for name in known}
    source = (
        f"class Network({statement.base}):\n"
        f"    def __init__(self, num_classes={statement.default}):\n"
        "        self.unknown = only_looked_up_when_called\n"
    )
    exec(source, names)  # noqa: S102 - the text is ours


runs_as_printed = Claim(
    "handwritten-listing/runs-as-printed",
    says="The listing runs as it is printed.",
    cites=["004:74-75"],
    recorded=Refuted(instead="handwritten-listing/runs-once-its-names-are-defined"),
)


@runs_as_printed.judged(
    subject=CLASS_STATEMENTS,
    on=["NIN"],
    flipped_by=[
        restated("names defined before", known=("nn", "NUM_CLASSES")),
        restated("no names needed", base="object", default="10"),
    ],
)
def printed_names_suffice(statements: ClassStatements, name: str) -> None:
    statement = statements[name]
    try:
        define(statement, statement.known)
    except NameError as error:
        raise AssertionError(str(error)) from error


runs_with_names = Claim(
    "handwritten-listing/runs-once-its-names-are-defined",
    says="The class can be defined: its base and the default of its argument, unlike the body of "
    "its constructor, are evaluated at once.",
    cites=["004:74-75"],
    recorded=HoldsIf("nn is imported before", "NUM_CLASSES is defined before"),
)


@runs_with_names.judged(
    subject=CLASS_STATEMENTS,
    on=[("nn", "NUM_CLASSES"), ("nn",), ("NUM_CLASSES",)],
    when={
        "nn is imported before": lambda known: "nn" in known,
        "NUM_CLASSES is defined before": lambda known: "NUM_CLASSES" in known,
    },
    flipped_by=[
        restated("ten by default", default="10"),
        restated("no base", base="object"),
        restated("a name that nothing defines", default="CLASSES"),
    ],
)
def known_names_suffice(statements: ClassStatements, known: tuple[str, ...]) -> None:
    try:
        define(statements["NIN"], known)
    except NameError as error:
        raise AssertionError(str(error)) from error


View = Callable[["torch.Tensor"], "torch.Tensor"]
VIEW: Subject[View] = Subject("view of line 107", lambda: lambda x: x.view(x.size(0), -1))


def viewed(name: str, change: Callable[[View, torch.Tensor], torch.Tensor]) -> Fault[View]:
    """Return a fault that puts `change(right, x)` in the place of the view."""

    def plant(right: View) -> View:
        return lambda x: change(right, x)

    return Fault(name, plant)


view_flattens = Claim(
    "handwritten-listing/view-flattens-each-image",
    says="The view of a batch of maps puts all values of an image, channel by channel, into a row.",
    cites=["004:107"],
    recorded=HoldsIf("the maps are 1x1 or channels come first in memory"),
)


@view_flattens.judged(
    subject=VIEW,
    on=[
        (2, 256, 1, 1, "first"),
        (2, 256, 1, 1, "last"),
        (3, 2, 4, 5, "first"),
        (3, 2, 4, 5, "last"),
        (1, 4, 3, 1, "last"),
    ],
    when={
        "the maps are 1x1 or channels come first in memory": lambda case: (
            case[2:4] == (1, 1) or case[4] == "first"
        )
    },
    flipped_by=[
        viewed("copied where needed", lambda _, x: x.reshape(x.size(0), -1)),
        viewed("pixel by pixel", lambda f, x: f(x.permute(0, 2, 3, 1).contiguous())),
        viewed("columns before rows", lambda f, x: f(x.transpose(2, 3).contiguous())),
        viewed("images mixed", lambda _, x: x.view(x.size(1), -1)),
    ],
)
def view_gives_rows(view: View, case: tuple[int, int, int, int, str]) -> None:
    import torch

    *sizes, channels = case
    maps = integers(0, *sizes)
    layout = torch.channels_last if channels == "last" else torch.contiguous_format
    x = torch.from_numpy(maps).contiguous(memory_format=layout)
    try:
        rows = view(x).numpy()
    except RuntimeError as error:
        raise AssertionError(f"channels last, {case[2]}x{case[3]}: {error}") from error
    expected = np.array([[v for plane in image for row in plane for v in row] for image in maps])
    same(rows, expected, "the view")


in_place = Claim(
    "handwritten-listing/relu-in-place-changes-no-result",
    says="A ReLU in place, which overwrites its input, changes neither outputs nor gradients.",
    cites=["004:79-99"],
    recorded=HoldsIf("a convolution stands before it"),
)


@in_place.judged(
    subject=LAYERS,
    on=["Conv2d", "Sigmoid"],
    when={"a convolution stands before it": lambda before: before == "Conv2d"},
    flipped_by=[
        wrong_formulas.layer("ReLU not in place", "ReLU", lambda f, inplace: f()),
        wrong_formulas.layer("leaky ReLU in place", "ReLU", lambda f, inplace: _leaky(0.125)),
        wrong_formulas.layer("identity for ReLU", "ReLU", lambda f, inplace: _leaky(1.0)),
        wrong_formulas.padding_added,
    ],
)
def results_are_those_of_a_copy(layers: Layers, before: str) -> None:
    import torch
    from torch import nn

    first = layers.Conv2d(3, 4, 3, stride=2, padding=1).double()
    last = layers.Conv2d(4, 5, 1).double()
    weights = [integers(1, 4, 3, 3, 3), integers(2, 4), integers(3, 5, 4, 1, 1), integers(4, 5)]
    parameters = [*first.parameters(), *last.parameters()]
    for parameter, values in zip(parameters, weights, strict=True):
        parameter.data = torch.from_numpy(values)
    image, pulled = integers(5, 2, 3, 7, 9), integers(6, 2, 5, 4, 5)
    x = torch.from_numpy(image).requires_grad_()

    kept = first(x) if before == "Conv2d" else nn.Sigmoid()(first(x))
    overwritten = layers.ReLU(inplace=True)(kept)
    assert overwritten.data_ptr() == kept.data_ptr(), "the ReLU makes a copy"
    output = last(overwritten)
    try:
        output.backward(torch.from_numpy(pulled))
    except RuntimeError as error:
        raise AssertionError(f"after {before}: {str(error).split(':')[0]}") from error

    maps = oracle.conv2d(image, *weights[:2], stride=(2, 2), padding=(1, 1))
    through, *of_last = oracle.conv2d_gradients(oracle.relu(maps), weights[2], pulled)
    gradients = oracle.conv2d_gradients(
        image, weights[0], through * (maps > 0), stride=(2, 2), padding=(1, 1)
    )
    same(output.detach().numpy(), oracle.conv2d(oracle.relu(maps), *weights[2:]), "the output")
    for tensor, expected in zip([x, *parameters], [*gradients, *of_last], strict=True):
        assert tensor.grad is not None, "a gradient is missing"
        same(tensor.grad.numpy(), expected, "a gradient")


@in_place.judged(
    subject=LISTING,
    on=["the listed ReLUs"],
    flipped_by=[
        *(reread(key, inplace=False) for key, line in LINES.items() if line.layer == "ReLU"),
        other_layer("features.0", "Identity"),
    ],
)
def listed_relus_overwrite_a_convolution(listing: Listing, _: str) -> None:
    import torch
    from torch import nn

    for before, layer in pairwise(features_of(built(listing))):
        if isinstance(layer, nn.ReLU):
            assert isinstance(before, nn.Conv2d), f"a ReLU comes after {before}"
            maps = torch.full((1, 1, 1, 1), -1.0)
            layer(maps)
            assert maps.item() == 0, f"{layer} makes a copy"


def _leaky(slope: float) -> nn.Module:
    from torch import nn

    return nn.LeakyReLU(slope, inplace=True)


def _put_before_flattening(model: nn.Module, kind: str, argument: float) -> None:
    from torch import nn

    layer = getattr(nn, kind)(argument).double()
    surgeries.put(model, "flatten", nn.Sequential(layer, nn.Flatten()))


def _weights_zeroed(model: nn.Module) -> None:
    model.get_parameter("classifier.weight").data.zero_()


no_modes = Claim(
    "handwritten-listing/has-no-dropout-and-no-batch-norm",
    says="The network has neither dropout nor batch normalisation; in training it gives the same "
    "scores as in evaluation.",
    cites=["004:77-103"],
    recorded=Holds(),
)


@no_modes.judged(
    subject=LISTING,
    on=["the lines"],
    flipped_by=[
        other_layer("features.12", "Dropout", p=0.5),
        other_layer("features.1", "BatchNorm2d", num_features=64),
    ],
)
def lines_have_neither(listing: Listing, _: str) -> None:
    layers = {line.layer for line in listing.values()}
    only = {"Conv2d", "ReLU", "MaxPool2d", "AvgPool2d", "Linear"}
    assert layers == only, f"the layers are {', '.join(sorted(layers))}"


@no_modes.judged(
    subject=MODELS_WITH_WEIGHTS,
    on=["handwritten-nin"],
    flipped_by=[
        surgeries.surgery("dropout", lambda model: _put_before_flattening(model, "Dropout", 0.5)),
        surgeries.surgery(
            "batch normalisation", lambda model: _put_before_flattening(model, "BatchNorm2d", 256)
        ),
        surgeries.surgery("the same scores for all images", _weights_zeroed),
    ],
)
def modes_agree(models: Models, name: str) -> None:
    import torch

    network = copy.deepcopy(models(name))
    images = torch.from_numpy(integers(7, 2, 3, 32, 32))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        evaluated, trained = (network.train(mode)(images).numpy() for mode in (False, True))
    close(trained, evaluated, "the network in training")
    assert differs(evaluated[0], evaluated[1]), "two images have the same scores"


# What it reaches ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Accuracy:
    """An accuracy as printed, in percent, and the number of test images behind it."""

    percent: str
    images: int

    @property
    def right(self) -> Fraction:
        """How many images it takes to be right."""
        return Fraction(self.percent) / 100 * self.images


Accuracies = Mapping[str, Accuracy]
BEST: Accuracies = {"best": Accuracy("76.570", images=10_000)}
STATED = Subject("stated accuracy", lambda: BEST)


def stated_as(**values: str | int) -> Fault[Accuracies]:
    """Return a fault that reads the accuracy otherwise."""
    told = ", ".join(f"{name} {value}" for name, value in values.items())
    return perturbed(f"{told} stated", "best", **values)


possible = Claim(
    "handwritten-listing/accuracy-is-possible-on-10000-images",
    says="76.570 % is a possible accuracy on the 10,000 test images of CIFAR-10: 7,657 are right.",
    cites=["004:112"],
    recorded=Holds(),
)


@possible.judged(
    subject=STATED,
    on=["best"],
    flipped_by=[
        stated_as(percent="76.575"),
        stated_as(percent="76.580"),
        stated_as(images=1_000),
    ],
)
def share_is_whole(stated: Accuracies, which: str) -> dict[str, int]:
    right = stated[which].right
    assert right == 7_657, f"{float(right)} images"
    return {"right": int(right)}


resolved = Claim(
    "handwritten-listing/accuracy-is-resolved-to-its-last-digit",
    says="The accuracy, given with three decimals, can differ in the last of them.",
    cites=["004:112"],
    recorded=Refuted(instead="handwritten-listing/accuracy-is-known-to-0.8-points"),
)


@resolved.judged(
    subject=STATED,
    on=["best"],
    flipped_by=[
        stated_as(images=100_000),
        stated_as(percent="76.57"),
    ],
)
def one_image_shows_in_the_last_digit(stated: Accuracies, which: str) -> None:
    accuracy = stated[which]
    digit = Fraction(1, 10 ** len(accuracy.percent.partition(".")[2]))
    one_image = Fraction(100, accuracy.images)
    assert one_image <= digit, f"one image is {float(one_image)} points, the digit {float(digit)}"


uncertain = Claim(
    "handwritten-listing/accuracy-is-known-to-0.8-points",
    says="From 10,000 images an accuracy of 76.57 % is known to 0.8 points, either way: the 95 % "
    "confidence interval reaches from 75.73 to 77.39 %.",
    cites=["004:112"],
    recorded=Holds(),
)


@uncertain.judged(
    subject=STATED,
    on=["best"],
    flipped_by=[
        stated_as(images=40_000),
        stated_as(percent="96.570"),
    ],
)
def wilson_interval_is_as_wide(stated: Accuracies, which: str) -> dict[str, float]:
    accuracy = stated[which]
    share, images, z = float(Fraction(accuracy.percent) / 100), accuracy.images, 1.959964
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = (
        z * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2)) / (1 + z**2 / images)
    )
    low, high = 100 * (middle - half), 100 * (middle + half)
    assert (round(low, 2), round(high, 2)) == (75.73, 77.39), f"{low:.2f} to {high:.2f} %"
    return {"low": low, "high": high}


def known_as(key: str, value: str) -> Fault[Mapping[str, Fact]]:
    """Return a fault that changes the value of a fact."""
    return perturbed(f"{key} of {value}", key, value=value)


shows_gain = Claim(
    "handwritten-listing/shows-the-gain-of-network-in-network",
    says="The example shows that Network in Network raised the accuracy on CIFAR-10: its error is "
    "below that of the networks before.",
    cites=["004:10", "004:112"],
    recorded=Refuted(instead="handwritten-listing/has-twice-the-error-of-the-paper"),
)


def error_of_the_example() -> Fraction:
    """Return the error that the stated accuracy leaves, in percent."""
    return 100 - Fraction(BEST["best"].percent)


@shows_gain.judged(
    subject=FACTS,
    on=["earlier/cifar10-error"],
    flipped_by=[known_as("earlier/cifar10-error", "30.0")],
)
def error_is_below_the_earlier(facts: Mapping[str, Fact], key: str) -> None:
    error, earlier = float(error_of_the_example()), float(facts[key].value)
    assert error < earlier, f"{error:.2f} % error is more than {earlier} % before"


twice_the_error = Claim(
    "handwritten-listing/has-twice-the-error-of-the-paper",
    says="The error of the example is more than twice that of the paper's network without "
    "augmentation.",
    cites=["004:112", "nin-paper:table-1"],
    recorded=Holds(),
)


@twice_the_error.judged(
    subject=FACTS,
    on=["nin/cifar10-error"],
    flipped_by=[known_as("nin/cifar10-error", "12.0")],
)
def error_is_more_than_twice(facts: Mapping[str, Fact], key: str) -> dict[str, float]:
    times = float(error_of_the_example() / Fraction(facts[key].value))
    assert times > 2, f"{times:.2f} times the error"
    return {"times": times}


REACHES = "the network reaches 76.57 %"

best_epoch = Claim(
    "handwritten-listing/reaches-76.57-in-its-best-epoch",
    says="The network reaches a test accuracy of 76.57 % in the best of its epochs.",
    cites=["004:112"],
    recorded=Undecided(
        "the best epoch of each of 6 runs of the listing as printed: holds if the 95 % confidence "
        "interval of their mean lies above 76.57, refuted if below"
    ),
    reading_of=REACHES,
)


@best_epoch.judged(subject=RUNS, on=["best test accuracy"])
def best_epoch_reaches_it(evidence: Evidence, _: str) -> None:
    evidence.await_runs({"handwritten": 6})


last_epoch = Claim(
    "handwritten-listing/ends-at-76.57",
    says="76.57 % is the test accuracy with which the training of the network typically ends.",
    cites=["004:112"],
    recorded=Undecided(
        "the last epoch of each of 6 runs of the listing as printed: holds if the prediction "
        "interval for one more run contains 76.57 and reaches at most 0.75 points either way"
    ),
    reading_of=REACHES,
)


@last_epoch.judged(subject=RUNS, on=["final test accuracy"])
def last_epoch_gives_it(evidence: Evidence, _: str) -> None:
    evidence.await_runs({"handwritten": 6})


as_accurate = Claim(
    "handwritten-listing/is-as-accurate-as-the-papers-network",
    says="The network is as accurate as that of the paper.",
    cites=["004:10", "004:70", "004:112"],
    recorded=Undecided(
        "Welch's test on the final test errors of 6 runs each of the two networks: refuted if the "
        "95 % confidence interval of their difference lies beyond 0.3 points, holds if within"
    ),
)


@as_accurate.judged(subject=RUNS, on=["final test accuracy"])
def errors_agree(evidence: Evidence, _: str) -> None:
    evidence.await_runs({"handwritten": 6, "cifar10": 6})
