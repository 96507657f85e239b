"""A few test images with their class maps, to be looked at: `results/examined/ARM/SEED.npz`.

Nobody chooses them: they are the first test image of each class, and the first mosaics of those in
which `examinations` looks for quarters. Only the first seed of an arm has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from claims.training import examinations, runs
from claims.training.arms import CLASSES, SHAPES
from claims.training.examinations import FALL, QUARTERS
from claims.training.runs import Array, require
from nin_ref import networks
from nin_ref.training import Recipe

SEED = 0
QUANTITIES = (QUARTERS, FALL)  # with one of these, the examination of a run includes pictures
MOSAICS = 2
HEADERS = 2**14  # bytes, more than those of all arrays take


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images as in the data set, their labels, and the maps of all classes by a network.

    Mosaics are of four images each, counted row by row.
    """

    images: Array
    """uint8 [classes, C, H, W]"""
    labels: Array
    """uint8 [classes]"""
    maps: Array
    """float16 [classes, classes, h, w]"""
    mosaics: Array
    """uint8 [2, C, 2H, 2W]"""
    mosaic_labels: Array
    """uint8 [2, 4]"""
    mosaic_maps: Array
    """float16 [2, classes, h', w']"""


def wanted(seed: int, quantities: Iterable[str]) -> bool:
    """Whether the examination of a run for some quantities includes pictures."""
    return seed == SEED and not set(QUANTITIES).isdisjoint(quantities)


def chosen(labels: Array) -> tuple[Array, Array]:
    """Return the numbers of the test images that are shown, of labels [N]: [classes] and [2, 4]."""
    _, first_of_class = np.unique(labels, return_index=True)
    return first_of_class, examinations.mosaics(labels)[0][:MOSAICS]


@torch.inference_mode()
def made(network: nn.Module, prepared: Array, pixels: Array, labels: Array) -> Pictures:
    """Return the pictures of a network.

    Args:
        network: one that averages class maps.
        prepared: the test images as the network sees them, float32 [N, C, H, W].
        pixels: the same as in the data set, uint8 [N, C, H, W].
        labels: the classes of these, uint8 [N].

    Raises:
        ValueError: if the network's scores are no means of maps.
    """
    images, fours = chosen(labels)

    def maps(x: Tensor) -> Array:
        found: Array = examinations.class_maps(network.eval(), x).half().numpy()
        return found

    return Pictures(
        images=pixels[images],
        labels=labels[images],
        maps=maps(torch.from_numpy(prepared[images])),
        mosaics=examinations.mosaic(torch.from_numpy(pixels[fours])).numpy(),
        mosaic_labels=labels[fours],
        mosaic_maps=maps(examinations.mosaic(torch.from_numpy(prepared[fours]))),
    )


def content(pictures: Pictures) -> bytes:
    """Return pictures as they are written; the same ones give the same bytes."""
    return runs.npz(vars(pictures))


def read(content: bytes, recipe: Recipe) -> Pictures:
    """Return the pictures in the bytes of a file, of a run by a recipe.

    Raises:
        RunError: if names, types, shapes or values are not those of such pictures. Damaged bytes
            may raise anything else.
    """
    like = empty(recipe)
    found = runs.arrays(content, sum(one.nbytes for one in vars(like).values()) + HEADERS)
    require(found.keys() == vars(like).keys(), f"the pictures are {', '.join(found)}"[:200])
    for name, array in vars(like).items():
        its = found[name]
        right = (its.dtype, its.shape) == (array.dtype, array.shape)
        require(right, f"{name} are {its.dtype} {its.shape}, not {array.dtype} {array.shape}")
    for name in ("maps", "mosaic_maps"):
        require(bool(np.isfinite(found[name]).all()), f"{name} are not finite")
    for name in ("labels", "mosaic_labels"):
        require(int(found[name].max()) < len(like.labels), f"{name} have no such class")
    return Pictures(**found)


def empty(recipe: Recipe) -> Pictures:
    """Return pictures of a recipe's shapes, all zero.

    Raises:
        ValueError: if the scores of the recipe's network are no means of maps.
    """
    classes = CLASSES.get(recipe.data, 10)
    channels, height, width = SHAPES.get(recipe.data, (3, 32, 32))
    images = np.zeros((classes, channels, height, width), np.uint8)
    mosaics = np.zeros((MOSAICS, channels, 2 * height, 2 * width), np.uint8)
    with torch.device("meta"):
        network = networks.build(recipe.network, **recipe.options).eval()
        shapes = [
            examinations.class_maps(network, torch.empty(one.shape)).shape
            for one in (images, mosaics)
        ]
    maps, mosaic_maps = (np.zeros(shape, np.float16) for shape in shapes)
    return Pictures(
        images=images,
        labels=np.zeros(classes, np.uint8),
        maps=maps,
        mosaics=mosaics,
        mosaic_labels=np.zeros((MOSAICS, 4), np.uint8),
        mosaic_maps=mosaic_maps,
    )
