"""Figures of class maps: where in test images a trained network sees what they show.

They show the pictures that examinations leave beside runs, chosen by `claims.training.pictures`.
Maps are drawn cell by cell, each in the colours from its lowest to its highest value: what counts
is where in itself a map is bright.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle

from claims.report.drawing import COLOURS, INK, Figure
from claims.trained import declared_rules
from claims.training import examine, findings, rules, runs
from claims.training.arms import ARMS
from claims.training.examinations import QUARTERS, brightest_quarters
from claims.training.pictures import QUANTITIES, SEED, Pictures
from claims.training.runs import RESULTS, Array
from nin_ref.data import CLASS_NAMES

WIDTH = 4.6  # inches; wider ones would have small print on a phone
COLUMNS = 5
COLOUR_MAP = "cividis"  # as even to colour-blind readers
FRAME = "ivory"  # to be seen on all colours of a map; dark pages have no other for it
SMALL = 9  # points


def figures(arm: str, results: Path = RESULTS) -> tuple[Figure, ...]:
    """Return what is shown of the class maps of an arm; nothing where nothing is there yet.

    Raises:
        RunError: if a run of the arm, or its examination, is not valid.
    """
    shown = pictures(arm, results)
    if shown is None:
        return ()
    recipe = ARMS[arm].recipe
    names = CLASS_NAMES.get(recipe.data) or [f"class {label}" for label in shown.labels]
    said = f"by run {SEED} of {arm}"
    return (
        Figure(
            name=f"class-maps-{arm}",
            title="The first test image of each class, and below it the map of that class "
            f"{said}. The mean of a map is the score of its class; a cross names the class with "
            "the highest score, where it is another one.",
            claims=claims_about(arm),
            draw=lambda: draw_images(shown, names),
            tell=lambda: tell_images(shown, names),
        ),
        Figure(
            name=f"class-maps-of-mosaics-{arm}",
            title=f"Two mosaics of four test images, and the maps of their four classes {said}, "
            "each where its image is in the mosaic. A frame marks that quarter, and a cross says "
            "that another one is brighter.",
            claims=claims_about(arm, [QUARTERS]),
            draw=lambda: draw_mosaics(shown, names),
            tell=lambda: tell_mosaics(shown, names),
        ),
    )


def lacking(arm: str, results: Path = RESULTS) -> str:
    """Say why no class maps of an arm are shown; nothing where there are, or are to be none.

    Raises:
        RunError: if a run of the arm, or its examination, is not valid.
    """
    if not claims_about(arm) or pictures(arm, results):
        return ""
    there = SEED in runs.fresh(results, arm)
    waits = f"be examined: {examine.COMMAND}" if there else "be trained and examined"
    return f"No class maps can be shown yet: run {SEED} of {arm} has to {waits}."


def claims_about(arm: str, quantities: Sequence[str] = QUANTITIES) -> tuple[str, ...]:
    """Return the ids of the claims whose rules look at one of some quantities of an arm."""
    return tuple(
        id_
        for id_, rule in declared_rules().items()
        if any(
            part.quantity in quantities and arm in rules.arms_of(part) for part in rules.parts(rule)
        )
    )


def pictures(arm: str, results: Path) -> Pictures | None:
    """Return the pictures of an arm that rules look at; None if there are none."""
    found = runs.fresh(results, arm) if claims_about(arm) else {}
    return findings.shown(found[SEED][0]) if SEED in found else None


# Images -------------------------------------------------------------------------------------------


def classified(shown: Pictures) -> Array:
    """Return the class with the highest mean of its map, for each image."""
    classes: Array = shown.maps.mean((2, 3), dtype=np.float64).argmax(1)
    return classes


def draw_images(shown: Pictures, names: Sequence[str]) -> Canvas:
    """Draw each image, and below it the map of its class."""
    of_true_class = shown.maps[np.arange(len(shown.labels)), shown.labels]
    rows = -(-len(shown.labels) // COLUMNS)
    canvas = Canvas(figsize=(WIDTH, 2.3 * rows + 0.25))
    grid = canvas.add_gridspec(3 * rows, COLUMNS, height_ratios=[9, 9, 1] * rows)
    drawn = []
    for number, (image, label, said, of_class) in enumerate(
        zip(shown.images, shown.labels, classified(shown), of_true_class, strict=True)
    ):
        row, column = divmod(number, COLUMNS)
        above, below = (canvas.add_subplot(grid[3 * row + part, column]) for part in range(2))
        show(above, image)
        show(below, of_class)
        above.set_title(names[label], fontsize=SMALL)
        text = "right" if said == label else names[said]
        mark(below.set_xlabel, text, said == label)
        drawn += [above, below]
    add_scale(canvas, drawn)
    return canvas


def tell_images(shown: Pictures, names: Sequence[str]) -> str:
    """Say what the figure of images shows."""
    said = classified(shown)
    wrong = [
        f"the {names[label]} as {names[other]}"
        for label, other in zip(shown.labels, said, strict=True)
        if label != other
    ]
    right = len(said) - len(wrong)
    listed = f"; it takes {', '.join(wrong)}" if wrong else ""
    return (
        f"{len(said)} test images, one of each class, with the map of the true class of each below "
        f"it. The network classifies {right} of the {len(said)} right{listed}."
    )


# Mosaics ------------------------------------------------------------------------------------------


def found_in_own_quarter(shown: Pictures) -> Array:
    """Return for each quarter [2, 4] of mosaics whether the map of its class is brightest there."""
    maps = torch.from_numpy(shown.mosaic_maps.astype(np.float32))
    labels = torch.from_numpy(shown.mosaic_labels.astype(np.int64))
    own: Array = brightest_quarters(maps, labels).numpy() == np.arange(4)
    return own


def draw_mosaics(shown: Pictures, names: Sequence[str]) -> Canvas:
    """Draw each mosaic, and beside it the maps of its classes."""
    maps = np.stack(
        [
            of_all[labels]
            for of_all, labels in zip(shown.mosaic_maps, shown.mosaic_labels, strict=True)
        ]
    )
    canvas = Canvas(figsize=(WIDTH, 2.45 * len(maps) + 0.35))
    grid = canvas.add_gridspec(2 * len(maps), 4)
    drawn = []
    for row, (mosaic, of_classes, labels, right) in enumerate(
        zip(shown.mosaics, maps, shown.mosaic_labels, found_in_own_quarter(shown), strict=True)
    ):
        whole = canvas.add_subplot(grid[2 * row : 2 * row + 2, :2])
        show(whole, mosaic)
        drawn.append(whole)
        for quarter in range(4):
            down, across = divmod(quarter, 2)
            axes = canvas.add_subplot(grid[2 * row + down, 2 + across])
            show(axes, of_classes[quarter])
            height, width = np.array(of_classes[quarter].shape) / 2
            corner = (across * width - 0.5, down * height - 0.5)
            axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=FRAME))
            mark(axes.set_title, names[labels[quarter]], right[quarter])
            drawn.append(axes)
    add_scale(canvas, drawn)
    return canvas


def tell_mosaics(shown: Pictures, names: Sequence[str]) -> str:
    """Say what the figure of mosaics shows."""
    own = found_in_own_quarter(shown)
    listed = "; ".join(", ".join(names[label] for label in four) for four in shown.mosaic_labels)
    return (
        f"{len(own)} mosaics of four test images ({listed}) with the maps of their classes. In "
        f"{own.sum()} of {own.size} quarters the map of the class is brightest where its image is."
    )


# Parts --------------------------------------------------------------------------------------------


def show(axes: Axes, picture: Array) -> None:
    """Show an image [C, H, W], in colours or grey, or a map [h, w]."""
    kind, shown = COLOUR_MAP, picture.astype(np.float32)  # of float16 there are no colours
    if picture.ndim == 3:
        kind, shown = "gray", picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    axes.imshow(shown, cmap=kind, interpolation="none")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def mark(write: Callable[..., object], text: str, right: bool) -> None:
    """Write a label that says whether something is right, by a sign and by its colour."""
    sign = "\N{CHECK MARK}" if right else "\N{BALLOT X}"
    colour = INK if right else COLOURS[1]
    write(f"{sign} {text}", fontsize=SMALL, color=colour)


def add_scale(canvas: Canvas, axes: Any) -> None:
    """Show below some axes in which order the colours of maps are."""
    mappable = ScalarMappable(cmap=COLOUR_MAP)
    bar = canvas.colorbar(mappable, ax=axes, location="bottom", aspect=40, pad=0.02)
    bar.set_ticks([0, 1], labels=["lowest value of each map", "highest"])
    left, right = bar.ax.get_xticklabels()
    left.set_horizontalalignment("left")
    right.set_horizontalalignment("right")
    bar.ax.tick_params(length=0, labelsize=SMALL)
    bar.outline.set_visible(False)
