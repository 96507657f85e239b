"""The handwritten network for CIFAR-10: its layers, the images it takes, and whether it runs.

Document 004, lines 70 to 112. The listing is kept as data, a line each; `built` makes the network.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._layers import (
    Line,
    Listing,
    assert_has_layers,
    other_layer,
    proved,
    remade,
    reread,
    reread_each,
    swapped,
)
from claims.cases import integers, wide
from claims.checks import close, differs, same
from claims.core.claim import Claim, Fault, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.fields import perturbed
from claims.subjects import (
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

if TYPE_CHECKING:
    import torch
    from torch import nn


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

Size = tuple[int, int]


def features_of(listing: Listing) -> nn.Sequential:
    """Build the layers before the view, without storage."""
    import torch
    from torch import nn

    with torch.device("meta"):
        layers = {
            key.removeprefix("features."): line.build()
            for key, line in listing.items()
            if key != "classifier"
        }
    return nn.Sequential(OrderedDict(layers))


def built(listing: Listing, num_classes: int = 10) -> nn.Sequential:
    """Build the network of the listing without storage; the view of line 107 is `flatten`."""
    from torch import nn

    classifier = listing["classifier"].build(num_classes=num_classes).to("meta")
    layers = {"features": features_of(listing), "flatten": nn.Flatten(), "classifier": classifier}
    return nn.Sequential(OrderedDict(layers))


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
        surgeries.padding_dropped,
        surgeries.last_linear_removed,
        surgeries.linear_appended,
        surgeries.surgery("a ReLU in the middle removed", surgeries.removed("ReLU", 4)),
        swapped("features.5", "features.6"),
        remade("features.0", kernel_size=5, padding=2),
        remade("features.2", bias=False),
        remade("features.3", inplace=False),
        remade("features.5", "PReLU"),
        remade("features.13", ceil_mode=True),
        remade("features.16", groups=2),
        remade("features.20", "AdaptiveAvgPool2d", output_size=1),
        remade("features.20", divisor_override=15),
    ],
)
def network_is_as_listed(models: Models, name: str) -> None:
    assert_has_layers(models(name), built(LINES))


# What the layers make of a 32x32 image, ReLUs left out: maps (c, h, w), and their parameters.
BLOCKS = {
    "first": {
        "0": ("Conv2d", 64, 16, 16, (3 * 3 * 3 + 1) * 64),
        "2": ("Conv2d", 64, 16, 16, (64 + 1) * 64),
        "4": ("Conv2d", 64, 16, 16, (64 + 1) * 64),
        "6": ("MaxPool2d", 64, 8, 8, 0),
    },
    "second": {
        "7": ("Conv2d", 192, 8, 8, (3 * 3 * 64 + 1) * 192),
        "9": ("Conv2d", 192, 8, 8, (192 + 1) * 192),
        "11": ("Conv2d", 192, 8, 8, (192 + 1) * 192),
        "13": ("MaxPool2d", 192, 4, 4, 0),
    },
    "third": {
        "14": ("Conv2d", 384, 4, 4, (3 * 3 * 192 + 1) * 384),
        "16": ("Conv2d", 384, 4, 4, (384 + 1) * 384),
        "18": ("Conv2d", 256, 4, 4, (384 + 1) * 256),
        "20": ("AvgPool2d", 256, 1, 1, 0),
    },
}


def passed(network: nn.Module, *sizes: int) -> list[counting.LayerRecord]:
    """Trace colour images of a batch, rows and columns through a network.

    Raises:
        AssertionError: if the network does not take them.
    """
    images, height, width = sizes
    try:
        return traced(network, images, 3, height, width)
    except RuntimeError as error:
        raise AssertionError(f"{height}x{width}: {error}") from error


def block_claim(block: str, says: str, lines: str, flipped_by: Sequence[Fault[Listing]]) -> Claim:
    """Declare what the layers of a block make of 32x32 images, and their parameters."""
    claim = Claim(f"handwritten-listing/{block}-block", says=says, cites=[lines], recorded=Holds())
    expected = BLOCKS[block]

    @claim.judged(subject=LISTING, on=["32x32"], flipped_by=flipped_by)
    def layers_make(listing: Listing, _: str) -> dict[str, int]:
        first, last = int(next(iter(expected))), int(list(expected)[-1])
        records = passed(features_of(listing)[: last + 1], 1, 32, 32)[first:]
        for record in records:
            made = (record.kind, *record.output_shape[1:], record.parameters)
            wanted = expected.get(record.name, made)
            assert made == wanted, f"features.{record.name} makes {made}, not {wanted}"
        total = sum(parameters for *_, parameters in expected.values())
        found = sum(record.parameters for record in records)
        assert found == total, f"{found:,} parameters, not {total:,}"
        return {"parameters": total}

    return claim


FIRST_BLOCK = block_claim(
    "first",
    "The first block halves an image of 32x32 by its stride to 64 maps of 16x16, which its pool "
    "halves to 8x8, with 10,112 parameters.",
    "004:78-84",
    [
        *reread_each("features.0", stride=1, padding=0, kernel_size=5, bias=False),
        reread("features.2", padding=1),
        reread("features.2", kernel_size=3, padding=1),
        reread("features.4", groups=2),
        *reread_each("features.6", stride=1, kernel_size=3),
        other_layer("features.3", "PReLU"),
    ],
)
SECOND_BLOCK = block_claim(
    "second",
    "The second block widens 64 maps of 8x8 to 192 of the same size, which its pool halves to 4x4, "
    "with 184,896 parameters.",
    "004:86-92",
    [
        *reread_each("features.7", stride=2, padding=0, groups=2),
        *reread_each("features.9", bias=False, padding=1),
        reread("features.11", groups=2),
        *reread_each("features.13", stride=1, kernel_size=3),
    ],
)
THIRD_BLOCK = block_claim(
    "third",
    "The third block widens 192 maps of 4x4 to 384, narrows these by a convolution of 1x1 to 256 "
    "and averages each to one value, with 910,336 parameters.",
    "004:94-100",
    [
        *reread_each("features.14", padding=2, kernel_size=1),
        reread("features.16", bias=False),
        *reread_each("features.18", out_channels=384, groups=2, bias=False, padding=1, stride=2),
        reread("features.18", kernel_size=3, padding=1),
        reread("features.20", kernel_size=3, padding=1),
        reread("features.20", kernel_size=2),
        other_layer("features.20", "MaxPool2d", kernel_size=4),
        reread("features.16", stride=2),
    ],
)

whole = Claim(
    "handwritten-listing/has-1107914-parameters",
    says="The network has 1,107,914 parameters, all but 2,570 of them in its convolutions, and "
    "takes 28,887,552 multiply-adds for an image.",
    cites=["004:70", "004:78-103"],
    recorded=Holds(),
)


@whole.judged(
    subject=LISTING,
    on=["32x32"],
    flipped_by=[
        *reread_each("classifier", bias=False, out_features=100),
        reread("features.2", kernel_size=3, padding=1),
        reread("features.16", groups=2),
        reread("features.0", bias=False),
        other_layer("features.12", "PReLU"),
    ],
)
def lines_count(listing: Listing, _: str) -> dict[str, int]:
    made = [each[1:] for block in BLOCKS.values() for each in block.values() if each[-1]]
    in_blocks = sum(parameters for *_, parameters in made)
    # A convolution uses each weight once at each position, and its biases not in a product.
    products = sum((parameters - c) * h * w for c, h, w, parameters in made)
    network = built(listing)
    counts = counting.layer_parameters(network)
    assert counts.get("classifier") == 2_570, f"{counts.get('classifier')} in the linear layer"
    total = sum(counts.values())
    assert total == 1_107_914 == in_blocks + (256 + 1) * 10, f"{total:,} parameters"
    taken = sum(record.multiply_adds for record in passed(network, 1, 32, 32))
    assert taken == 28_887_552 == products + 256 * 10, f"{taken:,} multiply-adds"
    return {"parameters": total, "multiply-adds": taken}


WRONG_SIZES = [
    wrong_formulas.output_size_off_by_one,
    wrong_formulas.padding_counted_once,
    wrong_formulas.stride_forgotten,
]

first_halves = Claim(
    "handwritten-listing/first-convolution-halves-rounding-up",
    says="The first convolution, of 3x3 with stride 2 and padding 1, gives half as many rows and "
    "columns, an odd number rounded up.",
    cites=["004:78"],
    recorded=Holds(),
)


@first_halves.judged(
    subject=LISTING,
    on=Sample("images up to 33 pixels", [(3, 4), (4, 7), (7, 12), (31, 33), (32, 32)]),
    flipped_by=reread_each("features.0", padding=0, stride=1, kernel_size=1, dilation=2),
)
def rows_and_columns_are_halved(listing: Listing, size: Size) -> None:
    halves = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    found = size_after(features_of(listing)[0], size)
    assert found == halves, f"{size} gives {found}"


proved(
    first_halves,
    lambda formulas, n: formulas.output_size(n, 3, 2, 1) == (n + 1) / 2,
    low=1,
    flipped_by=WRONG_SIZES,
)


def size_after(layer: nn.Module, size: Size, channels: int = 3) -> Size:
    """Return the rows and columns that layers make of others."""
    import torch

    _, _, height, width = layer(torch.empty(1, channels, *size, device="meta")).shape
    return height, width


pools_tile = Claim(
    "handwritten-listing/max-pools-tile-the-map",
    says="The max pools, whose stride is left out, have windows of 2x2 side by side, and halve the "
    "rows and columns; an odd last one is left out.",
    cites=["004:84", "004:92"],
    recorded=Holds(),
)


def in_windows_side_by_side(pool: nn.Module, size: Size) -> None:
    """Assert that one pixel alone shows in one output, that of its 2x2 window, or in none."""
    import torch

    rows, columns = size[0] // 2, size[1] // 2
    one_pixel = torch.eye(math.prod(size)).reshape(-1, 1, *size)
    shown = pool(one_pixel).reshape(*size, -1).numpy()
    expected = np.zeros((*size, rows * columns))
    for row, column in np.ndindex(2 * rows, 2 * columns):
        expected[row, column, row // 2 * columns + column // 2] = 1
    same(shown, expected, "what each pixel alone gives")


@pools_tile.judged(
    subject=LISTING,
    on=Sample("maps up to 5x8", [(2, 2), (4, 6), (5, 7), (3, 8)]),
    flipped_by=[
        reread("features.6", stride=1),
        *reread_each("features.13", stride=1, ceil_mode=True),
        reread("features.6", kernel_size=3, stride=2, padding=1),
        other_layer("features.6", "AvgPool2d", kernel_size=2),
    ],
)
def listed_pools_tile(listing: Listing, size: Size) -> None:
    features = features_of(listing)
    for pool in (features[6], features[13]):
        in_windows_side_by_side(pool, size)


proved(
    pools_tile,
    lambda formulas, n: formulas.output_size(n, 2, 2) == n / 2,
    low=2,
    flipped_by=[wrong_formulas.output_size_off_by_one, wrong_formulas.stride_forgotten],
)

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
        *(reread(key, stride=2, padding=3) for key in KEEPING),
        *(reread(key, padding=3) for key in KEEPING),
        reread("features.7", dilation=2),
    ],
)
def line_keeps_the_size(listing: Listing, key: str) -> None:
    layer = built(listing).get_submodule(key)
    found = size_after(layer, (9, 12), layer.get_parameter("weight").shape[1])
    assert found == (9, 12), f"{key} turns 9x12 into {found}"


proved(
    keep_size,
    lambda formulas, n: (formulas.output_size(n, 3, 1, 1) == n) & (formulas.output_size(n, 1) == n),
    low=1,
    flipped_by=[wrong_formulas.output_size_off_by_one, wrong_formulas.padding_counted_once],
)

# Which images it takes ----------------------------------------------------------------------------

takes_cifar10 = Claim(
    "handwritten-listing/takes-cifar10-images",
    says="The network gives ten scores for each colour image of 32x32.",
    cites=["004:70", "004:105-109"],
    recorded=Holds(),
)
other_sizes = Claim(
    "handwritten-listing/takes-images-of-31-to-62-pixels",
    says="The network gives ten scores for an image, whatever its height and width.",
    cites=["004:70", "004:100-108"],
    recorded=HoldsIf("31 to 62 rows", "31 to 62 columns"),
)


def sides_between(low: int, high: int) -> dict[str, Callable[[tuple[int, ...]], bool]]:
    """Return conditions on the rows and the columns of images, the last two of their sizes."""
    return {
        f"{low} to {high} rows": lambda sizes: low <= sizes[-2] <= high,
        f"{low} to {high} columns": lambda sizes: low <= sizes[-1] <= high,
    }


@takes_cifar10.judged(
    subject=LISTING,
    on=Sample("batches of 1 and 3 images", [(1, 32, 32), (3, 32, 32)]),
    flipped_by=[
        *reread_each("features.0", in_channels=1, stride=1),
        reread("features.20", kernel_size=2),
        reread("features.20", stride=1, padding=1),
        *reread_each("classifier", in_features=1024, out_features=100),
    ],
)
@other_sizes.judged(
    subject=LISTING,
    on=Sample(
        "images of 1 to 129 rows and columns",
        [
            *((1, 32, 32), (1, 31, 62), (1, 62, 31), (1, 30, 40), (1, 63, 40)),
            *((1, 40, 30), (1, 40, 63), (1, 1, 32), (1, 32, 129)),
        ],
    ),
    when=sides_between(31, 62),
    flipped_by=[
        reread("features.0", padding=0),
        reread("features.6", kernel_size=1),
        reread("features.13", ceil_mode=True),
        reread("features.20", kernel_size=3),
        reread("features.20", kernel_size=5),
        other_layer("features.20", "AdaptiveAvgPool2d", output_size=1),
        reread("classifier", out_features=100),
    ],
)
def ten_scores_for_each(listing: Listing, sizes: tuple[int, int, int]) -> None:
    scores = passed(built(listing), *sizes)[-1].output_shape
    assert scores == (sizes[0], 10), f"{sizes[1]}x{sizes[2]} gives {scores}"


def side_of_the_last_maps(formulas: Formulas, side: Any) -> Any:
    """Follow the side of an image, a number or a symbol, to the maps that are averaged."""
    halved = formulas.output_size(side, 3, 2, 1)
    return formulas.output_size(formulas.output_size(halved, 2, 2), 2, 2)


proved(
    other_sizes,
    lambda formulas, side: (
        (formulas.output_size(side_of_the_last_maps(formulas, side), 4, 4) == 1)
        == ((side >= 31) & (side <= 62))
    ),
    low=1,
    flipped_by=WRONG_SIZES,
)

# Averaging and the linear layer -------------------------------------------------------------------

averages_all = Claim(
    "handwritten-listing/average-pool-is-global",
    says="The average pool of 4x4 takes the mean over the whole of each map.",
    cites=["004:36", "004:100"],
    recorded=HoldsIf("31 to 38 rows", "31 to 38 columns"),
)


@averages_all.judged(
    subject=LISTING,
    on=Sample(
        "images of 31 to 62 rows and columns",
        [(32, 32), (31, 38), (38, 31), (39, 32), (32, 39), (62, 32), (32, 62)],
    ),
    when=sides_between(31, 38),
    flipped_by=[
        *reread_each("features.20", kernel_size=3, divisor_override=15),
        reread("features.0", stride=1),
        reread("features.6", kernel_size=1),
        other_layer("features.20", "MaxPool2d", kernel_size=4),
        other_layer("features.20", "AdaptiveAvgPool2d", output_size=1),
        other_layer("features.20", "Identity"),
    ],
)
def listed_pool_is_global(listing: Listing, size: Size) -> None:
    import torch

    features = features_of(listing)
    height, width = passed(features, 1, *size)[-1].input_shape[2:]
    maps = integers(height, 2, 5, height, width)
    pooled = features[-1](torch.from_numpy(maps)).numpy()
    what = f"the mean over 4x4 of {height}x{width}"
    close(pooled, maps.mean(axis=(2, 3), keepdims=True), what)


proved(
    averages_all,
    lambda formulas, side: (
        (side_of_the_last_maps(formulas, side) == 4) == ((side >= 31) & (side <= 38))
    ),
    low=1,
    flipped_by=WRONG_SIZES,
)

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
    records = passed(built(listing), 1, 32, 32)
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
    on=Sample(
        "three images of six maps",
        [(4, 4, "linear"), (2, 8, "linear"), (8, 1, "linear"), (4, 4, "ReLU"), (8, 1, "ReLU")],
    ),
    when={"no ReLU follows the convolution": lambda case: case[2] == "linear"},
    flipped_by=[
        *(faults.global_max_for_mean, faults.global_sum_for_mean, faults.global_mean_of_first_row),
        *(faults.global_mean_divides_by_height, faults.bias_missing, faults.linear_bias_missing),
        *(faults.linear_weight_transposed, faults.weight_transposed, faults.relu_missing),
        *(faults.conv2d_in_float32, faults.linear_in_float32, faults.global_avg_pool2d_in_float32),
        *(faults.linear_weight_gradient_halved, faults.weight_gradient_averaged),
        *(faults.weight_gradient_of_first_image, faults.input_gradient_transposed),
        *(faults.linear_input_gradient_transposed, faults.bias_gradient_missing),
        *(faults.conv2d_gradients_in_float32, faults.last_image_ignored, faults.row_ignored),
    ],
)
def mean_and_linear_layer_commute(ops: Operators, case: tuple[int, int, str]) -> None:
    height, width, activation = case
    area = height * width  # 8 or 16, so that a mean of whole numbers is exact
    maps = wide(integers(1, 3, 6, height, width))
    weight, bias = integers(2, 5, 6), integers(3, 5, low=1, high=9)
    kernel = weight[:, :, np.newaxis, np.newaxis].copy()
    expected = np.einsum("nchw,oc->no", maps, weight) / area + bias
    same(ops.linear(ops.global_avg_pool2d(maps), weight, bias), expected, "the linear layer")
    scored = ops.conv2d(maps, kernel, bias)
    if activation == "ReLU":
        scored = ops.relu(scored)
    same(ops.global_avg_pool2d(scored), expected, "the mean of the convolution")

    means, pulled = maps.mean(axis=(2, 3)), integers(4, 3, 5)
    of_means, of_weight, of_bias = ops.linear_gradients(means, weight, pulled)
    same(of_means, pulled @ weight, "the gradient of the means")
    same(of_weight, pulled.T @ means, "the gradient of the linear layer")
    same(of_bias, pulled.sum(axis=0), "the gradient of its bias")
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
        remade("features.20", "MaxPool2d", kernel_size=4),
        remade("features.20", "AvgPool2d", kernel_size=3, stride=4),
    ],
)
def network_ends_in_a_mean(models: Models, name: str) -> None:
    import torch
    from torch import nn

    network = models(name)
    before = list(network.get_submodule("features").children())[:-1]
    with torch.no_grad():
        images = torch.from_numpy(integers(5, 2, 3, 32, 32))
        scores = network(images).numpy()
        maps = nn.Sequential(*before)(images).numpy()
    weights = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    kernel = weights["classifier.weight"][:, :, np.newaxis, np.newaxis]
    scored = oracle.conv2d(maps, kernel, weights["classifier.bias"])
    close(scores, scored.mean(axis=(2, 3)), "the network")


# The lines of code --------------------------------------------------------------------------------

CLASSES = Sample("2 to 1000 classes", [2, 10, 100, 1000])

sets_outputs = Claim(
    "handwritten-listing/num-classes-sets-the-outputs",
    says="The number of outputs is that of classes, which the constructor takes.",
    cites=["004:75", "004:103"],
    recorded=Refuted(instead="handwritten-listing/has-ten-outputs-whatever-the-classes"),
)
ten_outputs = Claim(
    "handwritten-listing/has-ten-outputs-whatever-the-classes",
    says="The network has ten outputs, whatever number of classes its constructor takes.",
    cites=["004:75", "004:103"],
    recorded=Holds(),
)
as_many_as_classes = reread("classifier", out_features="num_classes")


def outputs(listing: Listing, num_classes: int) -> int:
    """Count the outputs of the network that is made for a number of classes."""
    return passed(built(listing, num_classes), 1, 32, 32)[-1].output_shape[1]


@sets_outputs.judged(subject=LISTING, on=CLASSES, flipped_by=[as_many_as_classes])
def outputs_follow_the_classes(listing: Listing, num_classes: int) -> None:
    count = outputs(listing, num_classes)
    assert count == num_classes, f"num_classes={num_classes} gives {count} outputs"


@ten_outputs.judged(
    subject=LISTING,
    on=CLASSES,
    flipped_by=[as_many_as_classes, reread("classifier", out_features=100)],
)
def outputs_are_ten(listing: Listing, num_classes: int) -> None:
    count = outputs(listing, num_classes)
    assert count == 10, f"num_classes={num_classes} gives {count} outputs"


HEADER = """
class Network(nn.Module):
    def __init__(self, num_classes=NUM_CLASSES):
        self.layers = only_looked_up_when_called
"""
CLASS_STATEMENT = Subject("class statement of lines 74 and 75", lambda: HEADER)


def restated(name: str, *changes: tuple[str, str]) -> Fault[str]:
    """Return a fault that replaces parts of the class statement."""

    def plant(statement: str) -> str:
        for old, new in changes:
            statement = statement.replace(old, new)
        return statement

    return Fault(name, plant)


DEFINED = "from torch import nn\nNUM_CLASSES = 10"
ten_by_default = ("NUM_CLASSES", "10")
no_base = ("nn.Module", "object")


runs_as_printed = Claim(
    "handwritten-listing/runs-as-printed",
    says="The listing runs as it is printed.",
    cites=["004:74-75"],
    recorded=Refuted(instead="handwritten-listing/runs-once-its-names-are-defined"),
)
runs_with_names = Claim(
    "handwritten-listing/runs-once-its-names-are-defined",
    says="The class statement runs; its base and the default of its argument, unlike the body of "
    "its constructor, are evaluated at once.",
    cites=["004:74-76"],
    recorded=HoldsIf("nn is imported before", "NUM_CLASSES is defined before"),
)


@runs_as_printed.judged(
    subject=CLASS_STATEMENT,
    on=["nothing"],
    flipped_by=[
        restated("names defined before", ("\nclass", f"{DEFINED}\nclass")),
        restated("no names needed", ten_by_default, no_base),
    ],
)
@runs_with_names.judged(
    subject=CLASS_STATEMENT,
    on=["nn, NUM_CLASSES", "nn", "NUM_CLASSES"],
    when={
        "nn is imported before": lambda known: "nn" in known,
        "NUM_CLASSES is defined before": lambda known: "NUM_CLASSES" in known,
    },
    flipped_by=[
        restated("ten by default", ten_by_default),
        restated("no base", no_base),
        restated("a name that nothing defines", ("NUM_CLASSES", "CLASSES")),
        restated("the default looked up when called", ("=NUM_CLASSES", "=None")),
    ],
)
def known_names_suffice(statement: str, known: str) -> None:
    from torch import nn

    names = {
        name: value
        for name, value in (("nn", nn), ("NUM_CLASSES", 10))
        if name in known.split(", ")
    }
    try:
        exec(statement, names)  # noqa: S102 - the text is ours
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
    on=Sample(
        "maps from 1x1 to 4x5, channels first or last in memory",
        [
            *((2, 256, 1, 1, "first"), (2, 256, 1, 1, "last")),
            *((3, 2, 4, 5, "first"), (3, 2, 4, 5, "last"), (1, 4, 3, 1, "last")),
        ],
    ),
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
        why = str(error).split(" (")[0]
        raise AssertionError(f"channels last, {case[2]}x{case[3]}: {why}") from error
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
    on=Sample("a convolution, and a layer that needs its output again", ["Conv2d", "Sigmoid"]),
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
    assert len(parameters) == len(weights), "a bias is missing"
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

    for before, layer in pairwise(features_of(listing)):
        if isinstance(layer, nn.ReLU):
            assert isinstance(before, nn.Conv2d), f"a ReLU comes after {before}"
            maps = torch.full((1, 1, 1, 1), -1.0)
            layer(maps)
            assert maps.item() == 0, f"{layer} makes a copy"


def _leaky(slope: float) -> nn.Module:
    from torch import nn

    return nn.LeakyReLU(slope, inplace=True)


no_modes = Claim(
    "handwritten-listing/has-no-dropout-and-no-batch-norm",
    says="The network has neither dropout nor batch normalisation; in training it gives the same "
    "scores as in evaluation.",
    cites=["004:77-103"],
    recorded=Holds(),
)


@no_modes.judged(
    subject=MODELS_WITH_WEIGHTS,
    on=["handwritten-nin"],
    flipped_by=[
        remade("features.19", "Dropout", p=0.5),
        remade("features.19", "BatchNorm2d", num_features=256),
        # With zeros for all maps, two images would have the same scores in any mode.
        remade("features.19", "Hardshrink", lambd=1e9),
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
