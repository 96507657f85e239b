"""The figures of the report that explain: what layers read of an image, and what they cost.

Each has functions that compute its numbers, by the project's own code or from real networks, one
that draws it, and one that says in words what it shows. All are `WIDTH` wide, so that letters can
still be read on the page of a telephone, which shows a figure a little smaller.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import EngFormatter, NullLocator, PercentFormatter

from claims.report.drawing import COLOURS, FAINT, INK, PAPER, Figure
from claims.subjects import model_on_meta
from nin_ref import counting, oracle

Array = npt.NDArray[Any]

WIDTH = 4.6  # inches, which are 442 pixels of a page
LINES = ("-", "--", "-.")


# Receptive fields ---------------------------------------------------------------------------------

FIELDS_OF = {"alexnet": "AlexNet", "table-nin": "NiN", "vgg16": "VGG-16"}
IMAGE_SIDE = 224


@functools.cache
def receptive_fields(network: str) -> list[tuple[str, int]]:
    """Return kind and side of field of the convolutions and pools of a network, first to last."""
    from torch import nn

    model = model_on_meta(network)
    layers = list(getattr(model, "features", model).children())
    found = []
    for number, layer in enumerate(layers, start=1):
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            kind = "pool" if isinstance(layer, nn.MaxPool2d) else "convolution"
            kind = "1x1 convolution" if layer.kernel_size == (1, 1) else kind
            side, _ = counting.receptive_field_of(nn.Sequential(*layers[:number]))
            found.append((kind, side))
    return found


def _draw_receptive_fields() -> Canvas:
    canvas = Canvas(figsize=(WIDTH, 4.2))
    axes = canvas.add_subplot(xlabel="number of the layer, pools included")
    axes.set_ylabel("side of what a unit sees, in pixels")
    axes.axhline(IMAGE_SIDE, color=INK, linewidth=1, linestyle=":")
    axes.text(0.3, IMAGE_SIDE + 4, f"the image: {IMAGE_SIDE}")
    markers = {"convolution": ("o", True), "1x1 convolution": ("s", False), "pool": ("v", True)}
    for number, (network, name) in enumerate(FIELDS_OF.items()):
        colour = COLOURS[number]
        kinds, sides = map(np.array, zip(*receptive_fields(network), strict=True))
        layers = np.arange(1, len(sides) + 1)
        axes.plot(layers, sides, LINES[number], color=colour)
        for kind, (marker, full) in markers.items():
            inside = colour if full else PAPER
            chosen = kinds == kind
            axes.plot(layers[chosen], sides[chosen], marker, color=colour, markerfacecolor=inside)
        above = sides[-1] < IMAGE_SIDE - 20  # else the label would lie on that line
        offset, side = ((0, 8), "center") if above else ((8, -3), "left")
        _label(axes, f"{name}: {sides[-1]}", (layers[-1], sides[-1]), offset, ha=side)
    axes.set(xlim=(0, 23.5), ylim=(0, 245), xticks=range(0, 20, 3))
    legend = [
        Line2D([], [], color=INK, linestyle="", marker=marker, label=kind)
        for kind, (marker, _) in markers.items()
    ]
    legend[1].set_markerfacecolor(PAPER)
    canvas.legend(handles=legend, loc="outside lower center", ncols=3, handletextpad=0.1)
    return canvas


def _tell_receptive_fields() -> str:
    ends = {name: receptive_fields(network)[-1][1] for network, name in FIELDS_OF.items()}
    listed = _listed([f"{side} pixels in {name}" for name, side in ends.items()])
    return (
        "Three lines that rise from layer to layer: the side of the square of the image that a "
        "unit sees. Each larger convolution and each pool widens it, a 1x1 convolution does not. "
        f"Behind the last pool or convolution it is {listed}; the image has {IMAGE_SIDE}."
    )


# Gridding -----------------------------------------------------------------------------------------

STACKS = ((2, 2, 2), (1, 2, 5))


@functools.cache
def ways_from(rates: tuple[int, ...]) -> Array:
    """Return how many ways lead from each pixel [H, W] of its field to an output.

    The layers are 3x3 convolutions of these rates; the ways are what weights of one add up to.
    """
    ways = np.ones((1, 1, 1, 1))
    for rate in rates:
        reach = (2 * rate, 2 * rate)
        ways = oracle.conv2d(ways, np.ones((1, 1, 3, 3)), padding=reach, dilation=(rate, rate))
    equivalent_kernel: Array = ways[0, 0]
    return equivalent_kernel


def _draw_gridding() -> Canvas:
    canvas = Canvas(figsize=(WIDTH, 4.4))
    panels = canvas.subplots(2, 2, sharex=True, sharey="row", height_ratios=(5, 3))
    most = max(ways_from(rates).max() for rates in STACKS)
    for (maps, bars), rates, colour in zip(panels.T, STACKS, COLOURS, strict=False):
        ways = ways_from(rates)
        reach = sum(rates)
        _shade(maps, ways / most, colour, (-reach, -reach))
        maps.add_patch(_square(-reach, -reach, len(ways)))
        maps.set_title(
            f"rates {_listed(rates)}:\n{np.count_nonzero(ways)} of {ways.size} pixels read"
        )
        maps.set(aspect="equal", xlim=(-9, 9), ylim=(-9, 9))
        maps.axis("off")
        bars.bar(np.arange(-reach, reach + 1), ways[reach], color=colour)
        highest = ways[reach].max()
        _label(bars, f"at most {highest:.0f}", (0, highest), (0, 4), ha="center")
        bars.set(xlabel="pixels from the middle", xticks=range(-8, 9, 4), ylim=(0, 1.2 * most))
    panels[1, 0].set_ylabel("ways to the output\nfrom the middle row")
    return canvas


def _tell_gridding() -> str:
    gridded, covering = map(ways_from, STACKS)
    return (
        "Two maps of the pixels that an output of three dilated 3x3 layers is computed from. With "
        f"rates {_listed(STACKS[0])} it reads {np.count_nonzero(gridded)} of the {gridded.size} "
        "pixels of its field, every other one of every other row, and that in the middle in "
        f"{gridded.max():.0f} ways; with rates {_listed(STACKS[1])} it reads "
        f"{np.count_nonzero(covering)} of {covering.size}, each in at most {covering.max():.0f} "
        "ways."
    )


# Deformable convolution ---------------------------------------------------------------------------

Offsets = list[tuple[float, float]]

SIDE = 7
MIDDLE = SIDE // 2
TAPS: Offsets = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
OFFSETS: dict[str, Offsets] = {
    "no offsets": [(0, 0)] * 9,
    "offsets that dilate": TAPS,
    "free offsets": [
        *((0.25, -0.5), (-1.5, 0), (-0.25, 0.75)),
        *((0.5, -1.25), (0, 0), (0.25, 1.5)),
        *((1.25, -0.25), (1.5, 0.5), (0.75, 0.25)),
    ],
}
"""Pixels down and across for each tap of a 3x3 kernel, row by row."""
ENLARGED = 2
"""The tap with free offsets that is shown on its own."""


def shares_read(offsets: Offsets) -> Array:
    """Return how much of each pixel [9, 7, 7] each tap reads, for the output in the middle."""
    pixels = np.eye(SIDE**2).reshape(-1, 1, SIDE, SIDE)  # each bright in an image of its own
    positions = (SIDE - 2, SIDE - 2)
    everywhere = np.ravel(offsets).astype(float).reshape(1, 18, 1, 1)
    read = oracle.deform_conv2d(
        pixels,
        np.broadcast_to(everywhere, (len(pixels), 18, *positions)),
        np.eye(9).reshape(9, 1, 3, 3),  # each tap in a channel of its own
    )
    return read[:, :, MIDDLE - 1, MIDDLE - 1].T.reshape(9, SIDE, SIDE)


def _draw_deformable() -> Canvas:
    canvas = Canvas(figsize=(WIDTH, 5.2))
    *panels, near = canvas.subplots(2, 2).flat
    starts: Array = np.add(TAPS, MIDDLE)
    for axes, (name, offsets), colour in zip(panels, OFFSETS.items(), COLOURS, strict=False):
        _shade(axes, 0.4 * shares_read(offsets).sum(axis=0), colour, (0, 0))
        for start, place in zip(starts, starts + offsets, strict=True):
            rows, columns = zip(start, place, strict=True)
            axes.plot(columns, rows, color=INK, linewidth=0.8)
            axes.plot(columns[0], rows[0], "s", color=INK, markerfacecolor=PAPER)
            axes.plot(columns[1], rows[1], "o", color=INK, markersize=3.5)
        axes.set_title(name)
        _show_pixels(axes, 0, 0, SIDE)
    free = OFFSETS["free offsets"]
    shares = shares_read(free)[ENLARGED]
    row, column = starts[ENLARGED] + free[ENLARGED]
    top, left = math.floor(row), math.floor(column)
    panels[-1].add_patch(_square(left, top, 2))
    _shade(near, 0.4 * shares, COLOURS[2], (0, 0))
    for i, j in np.argwhere(shares):
        near.text(j, i - 0.25, str(Fraction(shares[i, j])), ha="center", va="center")
    near.plot(column, row, "o", color=INK)
    near.set_title("one of these, enlarged")
    _show_pixels(near, left, top, 2)
    near.add_patch(_square(left, top, 2))
    legend = [
        Line2D([], [], color=INK, linestyle="", marker="s", markerfacecolor=PAPER),
        Line2D([], [], color=INK, linestyle="", marker="o", markersize=3.5),
    ]
    labels = ["place of a tap", "where it reads"]
    canvas.legend(legend, labels, loc="outside lower center", ncols=2, handletextpad=0.1)
    return canvas


def _show_pixels(axes: Axes, left: int, top: int, side: int) -> None:
    """Show a square part of a map, with lines between the pixels."""
    columns, rows = (left - 0.5, left + side - 0.5), (top - 0.5, top + side - 0.5)
    steps = np.arange(side + 1)
    style: dict[str, Any] = {"color": FAINT, "linewidth": 0.8, "zorder": 1}
    axes.vlines(columns[0] + steps, *rows, **style)
    axes.hlines(rows[0] + steps, *columns, **style)
    axes.set(aspect="equal", xlim=columns, ylim=rows[::-1], xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _tell_deformable() -> str:
    shares = [shares_read(offsets) for offsets in OFFSETS.values()]
    counts = [np.count_nonzero(one.sum(axis=0)) for one in shares]
    enlarged = shares[-1][ENLARGED]
    parts = [str(Fraction(share)) for share in enlarged[enlarged > 0]]
    return (
        "Where the nine taps of a 3x3 kernel read on a map of pixels. Without offsets they read a "
        f"square of {counts[0]} pixels, with offsets that point outwards {counts[1]} pixels two "
        "apart, as a dilated kernel does. With free offsets they read between the pixels and take "
        f"parts of {counts[2]}; one of them is enlarged, and takes {_listed(parts)} of the "
        "pixels around it."
    )


# Cheaper layers -----------------------------------------------------------------------------------

CHANNELS = range(16, 1025, 4)
EXAMPLE = 256
STANDARD, BOTTLENECK, SEPARABLE = "standard 3x3", "bottleneck", "depthwise separable"


def weights_of(channels: int) -> dict[str, int]:
    """Return the weights of three layers with as many channels in as out, without biases.

    The bottleneck has a quarter of the channels in its middle.
    """
    weights = functools.partial(counting.conv2d_parameters, bias=False)
    middle = channels // 4
    outer = weights(channels, middle, 1, 1) + weights(middle, channels, 1, 1)
    depthwise = weights(channels, channels, 3, 3, groups=channels)
    return {
        STANDARD: weights(channels, channels, 3, 3),
        BOTTLENECK: outer + weights(middle, middle, 3, 3),
        SEPARABLE: depthwise + weights(channels, channels, 1, 1),
    }


def meeting() -> int:
    """Return the number of channels with which both cheaper layers have as many weights."""
    rows = {channels: weights_of(channels) for channels in CHANNELS}
    return next(n for n, row in rows.items() if row[BOTTLENECK] == row[SEPARABLE])


def _draw_cheaper_layers() -> Canvas:
    canvas = Canvas(figsize=(WIDTH, 5.4))
    counts, shares = canvas.subplots(2, 1, sharex=True, height_ratios=(4, 3))
    rows = [weights_of(channels) for channels in CHANNELS]
    for number, layer in enumerate((STANDARD, BOTTLENECK, SEPARABLE)):
        style: dict[str, Any] = {"color": COLOURS[number], "linestyle": LINES[number]}
        counts.loglog(CHANNELS, [row[layer] for row in rows], label=layer, **style)
        if layer != STANDARD:
            shares.plot(CHANNELS, [row[layer] / row[STANDARD] for row in rows], **style)
    example = weights_of(EXAMPLE)
    counts.legend()
    counts.set_ylabel("weights")
    counts.yaxis.set_major_formatter(EngFormatter())
    counts.plot([EXAMPLE] * 3, list(example.values()), "o", color=INK)
    several = f"{example[BOTTLENECK]:,} and\n{example[SEPARABLE]:,}"
    _label(counts, f"{example[STANDARD]:,}", (EXAMPLE, example[STANDARD]), (-6, 4), ha="right")
    _label(counts, several, (EXAMPLE, example[BOTTLENECK]), (6, -6), va="top")
    same = meeting()
    share = weights_of(same)[BOTTLENECK] / weights_of(same)[STANDARD]
    shares.plot(same, share, "o", color=INK)
    _label(shares, f"both {share:.1%} with {same} channels", (same, share), (0, -18), ha="center")
    shares.set(xlabel="channels in, and out", ylabel="share of standard", ylim=(0, 0.19))
    shares.set_xticks([16, 64, 256, 1024], ["16", "64", "256", "1024"])
    shares.xaxis.set_minor_locator(NullLocator())
    shares.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return canvas


def _tell_cheaper_layers() -> str:
    example = weights_of(EXAMPLE)
    times = {layer: example[STANDARD] / example[layer] for layer in (BOTTLENECK, SEPARABLE)}
    return (
        "Weights by the number of channels, on logarithmic axes: of a standard 3x3 layer, of a "
        "bottleneck to a quarter of the channels and of a depthwise separable 3x3 layer. With "
        f"{EXAMPLE} channels the standard layer has {example[STANDARD]:,} weights, the bottleneck "
        f"{example[BOTTLENECK]:,}, {times[BOTTLENECK]:.2f} times fewer, and the separable layer "
        f"{example[SEPARABLE]:,}, {times[SEPARABLE]:.2f} times fewer. The share of the bottleneck "
        "is the same with any number of channels; that of the separable layer is larger below "
        f"{meeting()} channels and smaller above."
    )


# Heads --------------------------------------------------------------------------------------------


@functools.cache
def average_weights() -> Array:
    """Return what each score takes of each value of the maps that NiN for CIFAR-10 averages.

    The axes are scores, maps, height and width.
    """
    records = counting.trace(model_on_meta("cifar10-nin"), 1, 3, 32, 32)
    (pool,) = (one for one in records if one.kind == "AdaptiveAvgPool2d")
    maps = pool.input_shape[1:]
    values = np.eye(math.prod(maps)).reshape(-1, *maps)  # each bright on maps of its own
    return oracle.global_avg_pool2d(values).T.reshape(-1, *maps)


def linear_head_parameters() -> int:
    """Return the parameters of a fully connected layer from those maps to as many scores."""
    scores, *maps = average_weights().shape
    return counting.linear_parameters(math.prod(maps), scores)


def _draw_heads() -> Canvas:
    canvas = Canvas(figsize=(WIDTH, 5.5))
    panels = canvas.subplots(2, 2, gridspec_kw={"hspace": 0.08})
    average = average_weights()
    scores, maps, height, width = average.shape
    pixels = height * width
    some = np.cos(np.arange(pixels) ** 2).reshape(height, width)
    learnt = f"{linear_head_parameters():,} learnt"
    heads: dict[str, tuple[str, Array, Array]] = {
        "fully connected": (learnt, np.ones((scores, maps)), some),
        "global average": (
            "nothing learnt",
            np.asarray(average.any(axis=(2, 3))),
            average[0, 0] * pixels,
        ),
    }
    for (blocks, block), head, colour in zip(panels.T, heads.items(), COLOURS, strict=False):
        name, (parameters, read, weights) = head
        blocks.set_title(f"{name}:\n{parameters}")
        blocks.set_xlabel(f"{maps} maps")
        _shade(blocks, 0.4 * read, colour, (0, 0))
        _show_pixels(blocks, 0, 0, scores)
        rows, columns = np.indices((height, width))
        block.scatter(columns, rows, 50 * abs(weights), color=colour, marker="s")
        _show_pixels(block, 0, 0, width)
    panels[0, 0].set_ylabel(f"{scores} scores")
    panels[1, 0].set_title(f"a square of these:\n{pixels} weights")
    panels[1, 1].set_title(f"a square of these:\n1/{pixels} for each pixel")
    return canvas


def _tell_heads() -> str:
    scores, maps, height, width = average_weights().shape
    pixels = height * width
    return (
        f"Which of {maps} maps of {height}x{width} pixels each of {scores} scores comes from. "
        f"With a fully connected layer each score has {pixels} weights for each map, one for a "
        f"pixel: {linear_head_parameters():,} parameters with the biases. With a global average "
        f"each score takes 1/{pixels} of each pixel of its own map and nothing of the others: no "
        "parameters."
    )


# Residual paths -----------------------------------------------------------------------------------

FEW, MANY = 3, 54


def paths_through(blocks: int) -> list[tuple[bool, ...]]:
    """Return the paths through blocks in series, short ones first: which branches they take."""
    return sorted(itertools.product((True, False), repeat=blocks), key=sum)


def path_lengths(blocks: int) -> list[int]:
    """Return the number of paths that take no branch, one branch, and so on."""
    return [math.comb(blocks, taken) for taken in range(blocks + 1)]


def usual_lengths(blocks: int) -> tuple[int, int, float]:
    """Return the narrowest range around the middle that holds 95 % of the paths, and its share."""
    lengths = path_lengths(blocks)
    least = blocks // 2
    while 20 * sum(lengths[least : blocks - least + 1]) < 19 * 2**blocks:
        least -= 1
    return least, blocks - least, sum(lengths[least : blocks - least + 1]) / 2**blocks


def _draw_residual_paths() -> Canvas:
    canvas = Canvas(figsize=(WIDTH, 5.6))
    few, many = canvas.subplots(2, 1, gridspec_kw={"hspace": 0.06})
    colour = COLOURS[0]
    paths = paths_through(FEW)
    for row, path in enumerate(paths):
        few.plot((0, FEW), (row, row), color=INK, linewidth=1)
        for block in np.flatnonzero(path):
            corner = (block + 0.2, row - 0.35)
            few.add_patch(Rectangle(corner, 0.6, 0.7, facecolor=colour, zorder=3))
            place = {"x": block + 0.5, "y": row + 0.05}
            few.text(s=f"block {block + 1}", **place, ha="center", va="center", color=PAPER)
        few.text(FEW + 0.1, row, str(sum(path)), va="center")
    few.set(xlim=(0, FEW + 0.5), ylim=(len(paths) - 0.5, -0.5))
    few.set_title(f"{len(paths)} paths through {FEW} blocks, and their lengths")
    few.axis("off")
    lengths = path_lengths(MANY)
    least, most, share = usual_lengths(MANY)
    bars = many.bar(range(MANY + 1), [paths / 2**MANY for paths in lengths], color=colour)
    for length, bar in enumerate(bars):
        if not least <= length <= most:
            bar.set(facecolor="none", edgecolor=colour)
    many.text(0, 0.08, f"{share:.0%} take\n{least} to {most}\nblocks")
    many.set_title(f"The paths through {MANY} blocks")
    many.set(xlabel="length of the path, in blocks", ylabel="share of the paths")
    many.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return canvas


def _tell_residual_paths() -> str:
    lengths = path_lengths(FEW)
    least, most, share = usual_lengths(MANY)
    return (
        f"Above, the {2**FEW} paths through {FEW} residual blocks, each of which is passed through "
        f"or skipped: {_listed(lengths)} of them pass through {_listed(range(FEW + 1))} blocks. "
        f"Below, how long the paths through {MANY} blocks are: a bell around {MANY // 2}, with "
        f"{share:.0%} of the paths from {least} to {most} blocks long and next to none "
        f"through all {MANY}."
    )


# Parameters ---------------------------------------------------------------------------------------

PARAMETERS_OF = {"alexnet": "AlexNet", "vgg16": "VGG-16", "table-nin": "NiN"}


@functools.cache
def layer_parameters(network: str) -> list[tuple[str, bool, int]]:
    """Return for each layer what it is, whether it is fully connected, and its parameters."""
    from torch import nn

    model = model_on_meta(network)
    found = []
    for name, parameters in counting.layer_parameters(model).items():
        layer = model.get_submodule(name)
        if isinstance(layer, nn.Linear):
            found.append((f"{layer.out_features}", True, parameters))
        elif isinstance(layer, nn.Conv2d):
            sides = "x".join(map(str, layer.kernel_size))
            found.append((f"{sides}, {layer.out_channels}", False, parameters))
    return found


def total_parameters(network: str) -> int:
    """Return the parameters of all layers of a network."""
    return sum(parameters for *_, parameters in layer_parameters(network))


def linear_share(network: str) -> float:
    """Return the share of a network's parameters that its fully connected layers hold."""
    in_linear = [parameters for _, linear, parameters in layer_parameters(network) if linear]
    return sum(in_linear) / total_parameters(network)


def _draw_parameters() -> Canvas:
    canvas = Canvas(figsize=(WIDTH, 8.6))
    sizes = [len(layer_parameters(network)) for network in PARAMETERS_OF]
    panels = canvas.subplots(len(sizes), 1, sharex=True, height_ratios=sizes)
    convolution: dict[str, Any] = {"color": COLOURS[0]}
    full: dict[str, Any] = {"facecolor": "none", "edgecolor": COLOURS[1], "hatch": "////"}
    for axes, (network, name) in zip(panels, PARAMETERS_OF.items(), strict=True):
        rows = layer_parameters(network)
        for place, (_, linear, parameters) in enumerate(rows):
            bar = axes.barh(place, parameters / 1e6, 0.7, **(full if linear else convolution))
            axes.bar_label(bar, [f"{parameters:,}"], padding=3)
        axes.set_yticks(range(len(rows)), [label for label, *_ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        total, share = total_parameters(network) / 1e6, linear_share(network)
        axes.set_title(f"{name}: {total:.1f} million, {share:.0%} fully connected")
    panels[-1].set(xlabel="million parameters", xlim=(0, 140))
    legend = [
        Patch(label="convolution: kernel, filters", **convolution),
        Patch(label="fully connected: outputs", **full),
    ]
    canvas.legend(handles=legend, loc="outside lower center")
    return canvas


def _tell_parameters() -> str:
    told = [
        f"{linear_share(network):.0%} of the {total_parameters(network):,} of {name}"
        for network, name in PARAMETERS_OF.items()
    ]
    *_, largest = max(layer_parameters("vgg16"), key=lambda row: row[-1])
    *_, of_nin = max(layer_parameters("table-nin"), key=lambda row: row[-1])
    return (
        "Bars for the parameters of each layer of three networks. Fully connected layers hold "
        f"{_listed(told)}. The longest bar is the first of these in VGG-16, with {largest:,}; no "
        f"layer of NiN has more than {of_nin:,}."
    )


# What figures share -------------------------------------------------------------------------------


def _shade(axes: Axes, strengths: Array, colour: str, corner: tuple[int, int]) -> None:
    """Shade pixels by their strengths, up to one; those of none not at all.

    `corner` is row and column of the first pixel.
    """
    square = Path.unit_rectangle()
    for strength in np.unique(strengths[strengths > 0]):
        places = np.argwhere(strengths == strength) + corner
        squares = [Path(square.vertices + place[::-1] - 0.5, square.codes) for place in places]
        shape = Path.make_compound_path(*squares)
        alpha = 0.25 + 0.75 * strength**0.5
        axes.add_patch(PathPatch(shape, facecolor=colour, alpha=alpha, linewidth=0))


def _label(
    axes: Axes, text: str, point: tuple[float, float], offset: tuple[int, int], **alignment: Any
) -> None:
    """Write beside a point, that many points of type to the right and up."""
    axes.annotate(text, point, offset, textcoords="offset points", **alignment)


def _square(left: int, top: int, side: int) -> Rectangle:
    """Return a frame around pixels."""
    corner = (left - 0.5, top - 0.5)
    return Rectangle(corner, side, side, fill=False, edgecolor=INK, linewidth=1, zorder=3)


def _listed(parts: Sequence[object]) -> str:
    *most, last = map(str, parts)
    return f"{', '.join(most)} and {last}"


FIGURES: tuple[Figure, ...] = (
    Figure(
        "receptive-fields",
        "How much of an image a unit sees, layer by layer",
        (
            "receptive-field/grows-layer-by-layer",
            "receptive-field/is-11-to-195-pixels-wide-in-alexnet",
            "small-kernels/stacks-of-3x3-see-what-one-large-kernel-sees",
        ),
        _draw_receptive_fields,
        _tell_receptive_fields,
    ),
    Figure(
        "gridding",
        "Which pixels stacked dilated convolutions read",
        (
            "gridding/stack-of-one-rate-leaves-holes",
            "gridding/stack-of-one-rate-reads-odd-squares",
            "gridding/pixels-near-the-centre-weigh-more",
            "hybrid-dilation/one-two-five-covers",
        ),
        _draw_gridding,
        _tell_gridding,
    ),
    Figure(
        "deformable-sampling",
        "Where a deformable convolution reads",
        (
            "deformable/standard-convolution-reads-a-fixed-rectangle",
            "deformable/is-standard-without-offsets",
            "deformable/offsets-can-dilate-a-kernel",
            "deformable/takes-any-shape",
            "deformable/samples-are-bilinear",
        ),
        _draw_deformable,
        _tell_deformable,
    ),
    Figure(
        "cheaper-layers",
        "Weights of a bottleneck and of a depthwise separable convolution",
        (
            "bottleneck/direct-layer-has-589824-parameters",
            "bottleneck/has-69632-parameters",
            "bottleneck/leaves-17-of-144-parts",
            "bottleneck/share-follows-from-compression-and-kernel",
            "separable-savings/parameter-ratio",
            "separable-savings/has-a-ninth-of-the-parameters",
        ),
        _draw_cheaper_layers,
        _tell_cheaper_layers,
    ),
    Figure(
        "heads",
        "What a score is computed from: a fully connected layer and a global average",
        (
            "fully-connected/weighs-every-position-on-its-own",
            "global-average-pooling/has-no-learnable-parameters",
            "global-average-pooling/is-a-linear-layer-with-fixed-weights",
            "average-head/costs-less-than-a-linear-head",
            "average-head/ties-each-map-to-one-class",
        ),
        _draw_heads,
        _tell_heads,
    ),
    Figure(
        "residual-paths",
        "The paths through residual blocks",
        ("residual-paths/three-blocks-have-eight-paths",),
        _draw_residual_paths,
        _tell_residual_paths,
    ),
    Figure(
        "parameters",
        "Where AlexNet, VGG-16 and NiN have their parameters",
        (
            "fully-connected/hold-most-parameters",
            "fully-connected/hold-the-great-majority-of-parameters",
            "classic-networks/first-linear-layer-holds-most-parameters",
            "network-in-network/has-no-fully-connected-layer",
            "nin-cost/has-less-than-a-fifth-of-the-parameters",
        ),
        _draw_parameters,
        _tell_parameters,
    ),
)
