"""What a trained network shows beyond its predictions, as numbers that rules compare.

An examination is a function of a network, of test images float32 [N, C, H, W] as its recipe
prepares them, and of their labels [N]; it returns numbers by name. What it chooses, it draws from
generators with fixed seeds, so the same weights give the same numbers, but for rounding. `NUMBERS`
names them all. What each does was fixed before the first of its runs was there. Errors, accuracies
and shares are in points (per cent) unless it says otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nin_ref.networks import GlobalAverage, SqueezeExcitation

Array = np.ndarray[Any, np.dtype[Any]]
Numbers = dict[str, float]
Examination = Callable[[nn.Module, Tensor, Tensor], Numbers]

AT_ONCE = 20  # the activations of 200 fit into no cache, and take twice as long on a CPU

ACCURACY = "test accuracy of the stored weights"
QUARTERS = "quarters found more often than shuffled"
FALL = "fall of the score beyond a random cover"
TOP = "share of top activations in the true class's map"
CHANNELS = "correlation of the rises of error by channel between halves of the images"
LOW_GATES = "rise of test error by random channels beyond that by low gates"
HIGH_GATES = "rise of test error by high gates beyond that by random channels"
ONE_BLOCK = "median rise of test error by a deleted block"
BLOCKS = "correlation of the number of deleted blocks and the error"
STEP = "largest step of error by deleted blocks as a share of the whole rise"


@torch.inference_mode()
def examined(
    network: nn.Module, images: Tensor, labels: Tensor, quantities: Iterable[str]
) -> Numbers:
    """Return the numbers of all examinations that give one of these quantities, and the accuracy.

    Raises:
        ValueError: if a quantity is of another kind of network.
    """
    network = network.eval().to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
    found: Numbers = {}
    for examination in dict.fromkeys([accuracy, *(NUMBERS[one].given_by for one in quantities)]):
        found |= examination(network, images, labels)
    return found


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> Numbers:
    """Classify the images: the float16 weights, in float32."""
    return {ACCURACY: 100 - error(network, images, labels)}


def error(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images with another class than their label, in points."""
    wrong = sum(
        int((network(x).argmax(1) != y).sum()) for x, y in in_parts(images, labels, AT_ONCE)
    )
    return 100 * wrong / len(images)


def in_parts(images: Tensor, labels: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images and labels, so many at once."""
    return zip(torch.split(images, count), torch.split(labels, count), strict=True)


def parts_of(network: nn.Module, *names: str) -> list[nn.Module]:
    """Return the parts of a network, which must have these names.

    Raises:
        ValueError: if they have others.
    """
    parts = dict(network.named_children())
    if (*parts,) != names:
        raise ValueError(
            f"a network with {', '.join(names)} is needed, not one with {', '.join(parts)}"
        )
    return list(parts.values())


# Class maps ---------------------------------------------------------------------------------------

MOSAICS = 2000
COVERED = 1000  # images
COVER = 1 / 5  # of the cells of a map


def class_maps(network: nn.Module, images: Tensor) -> Tensor:
    """Return the maps [N, classes, h, w] whose means are the class scores.

    Raises:
        ValueError: if the network's scores are no means of maps.
    """
    head = getattr(network, "head", None)
    if type(head) is not GlobalAverage:
        raise ValueError(f"class maps are of networks whose head is the mean of each, not {head}")
    maps: Tensor = network.get_submodule("features")(images)
    return maps


def mosaics(labels: Array) -> tuple[Array, Array]:
    """Choose the images of each mosaic, of four classes, and another order of its quarters.

    Both are [MOSAICS, 4]; quarters are counted row by row, and in the other order none of the four
    classes keeps its quarter.
    """
    random = np.random.default_rng(0)
    of_class = {label: np.flatnonzero(labels == label) for label in np.unique(labels)}
    orders = [order for order in itertools.permutations(range(4)) if (np.arange(4) != order).all()]
    chosen, elsewhere = [], []
    for _ in range(MOSAICS):
        classes = random.permutation(list(of_class))[:4]
        chosen.append([random.choice(of_class[label]) for label in classes])
        elsewhere.append(orders[random.integers(len(orders))])
    return np.array(chosen), np.array(elsewhere)


def quarters(network: nn.Module, images: Tensor, labels: Tensor) -> Numbers:
    """Look in mosaics of 2 x 2 images for the quarter where the map of a class is brightest.

    For each quarter, the map of its class counts as right if its mean is highest in this quarter.
    From the share of right ones is subtracted that which a wrong order of the classes gives.
    """
    chosen, elsewhere = mosaics(labels.numpy())
    brightest = []
    for four in torch.split(torch.from_numpy(chosen), AT_ONCE // 4):
        maps = class_maps(network, mosaic(images[four]))
        brightest.append(brightest_quarters(maps, labels[four]))
    found = torch.cat(brightest).numpy()
    return {QUARTERS: 100 * float((found == np.arange(4)).mean() - (found == elsewhere).mean())}


def mosaic(images: Tensor) -> Tensor:
    """Put four images each together, [N, 4, C, H, W] to [N, C, 2H, 2W], row by row."""
    tiles = images.reshape(-1, 2, 2, *images.shape[2:]).permute(0, 3, 1, 4, 2, 5)
    return tiles.flatten(4, 5).flatten(2, 3)


def brightest_quarters(maps: Tensor, classes: Tensor) -> Tensor:
    """Return in which quarter [N, 4] of maps [N, C, h, w] those of some classes [N, 4] are highest.

    What is highest is the mean of the quarter; quarters are counted row by row.
    """
    means = functional.adaptive_avg_pool2d(maps, 2).flatten(2)
    return means[torch.arange(len(maps))[:, None], classes].argmax(2)


def covers(network: nn.Module, images: Tensor, _: Tensor) -> Numbers:
    """Cover the brightest fifth of the map of the class that the network says, or a random fifth.

    The cover is of whole cells of the map and sets what they stand for in the image to 0, the mean
    of whitened images. The fall beyond a random cover is in the unit of class scores, its mean is
    over 1,000 images.
    """
    random = np.random.default_rng(0)
    chosen = torch.from_numpy(random.permutation(len(images))[:COVERED])
    falls = []
    for x in torch.split(images[chosen], AT_ONCE):
        maps = class_maps(network, x)
        count, cells = len(x), maps[0, 0].numel()
        said = torch.arange(count), network(x).argmax(1)
        fifth = round(COVER * cells)
        bright = maps[said].flatten(1).argsort(dim=1, descending=True, stable=True)[:, :fifth]
        anywhere = np.stack([random.permutation(cells)[:fifth] for _ in range(count)])
        scores = [
            network(covered(x, which, maps.shape[2:]))[said]
            for which in (bright, torch.from_numpy(anywhere))
        ]
        falls.append(scores[1] - scores[0])
    return {FALL: float(torch.cat(falls).double().mean())}


def covered(images: Tensor, cells: Tensor, shape: torch.Size) -> Tensor:
    """Set to 0 what some cells [N, count] of maps of this shape stand for in images."""
    kept = torch.ones(len(images), shape.numel()).scatter(1, cells, 0.0)
    return images * functional.interpolate(kept.view(-1, 1, *shape), size=images.shape[2:])


def top_activations(network: nn.Module, images: Tensor, labels: Tensor) -> Numbers:
    """Count the images whose largest value of all maps lies in that of the true class.

    The map of a class is the one with its number, whatever the head makes of the maps.

    Raises:
        ValueError: if there are not as many maps as classes.
    """
    features, head = parts_of(network, "features", "head")
    right = 0
    for x, y in in_parts(images, labels, AT_ONCE):
        maps = features(x)
        classes = head(maps).shape[1]
        if maps.shape[1] != classes:
            raise ValueError(f"the network has {maps.shape[1]} maps for {classes} classes")
        right += int((maps.amax((2, 3)).argmax(1) == y).sum())
    return {TOP: 100 * right / len(images)}


# Channels of `networks.trunk` ---------------------------------------------------------------------

RANDOM_TENTHS = 10


def stages_of(network: nn.Module) -> dict[str, nn.Module]:
    """Return what a `networks.trunk` does in turn, by name; those called `layer` have channels.

    Raises:
        ValueError: if the network is another one.
    """
    first, layers, mean, classifier = parts_of(network, "layer1", "layers", "mean", "classifier")
    return {
        "layer1": first,
        **dict(layers.named_children()),
        "mean": mean,
        "classifier": classifier,
    }


def means_of_channels(stages: Mapping[str, nn.Module], images: Tensor) -> dict[str, Tensor]:
    """Return the mean of each channel of each layer, [channels], over images and places."""
    sums: dict[str, Tensor] = {}
    for x in torch.split(images, AT_ONCE):
        for name, stage in stages.items():
            x = stage(x)
            if name.startswith("layer"):
                sums[name] = sums.get(name, 0) + x.double().mean((2, 3)).sum(0)
    return {name: (total / len(images)).float() for name, total in sums.items()}


def silenced(maps: Tensor, channels: int | Array, means: Tensor) -> Tensor:
    """Return maps [N, C, H, W] in which some channels have their mean everywhere."""
    without = maps.clone()
    without[:, channels] = means[channels].view(-1, 1, 1)
    return without


def channels(network: nn.Module, images: Tensor, labels: Tensor) -> Numbers:
    """Set each channel of each layer to its mean in turn, and compare two halves of the images.

    Where channels contribute differently, those that raise the error on one half raise it on the
    other: Spearman's correlation over the channels of a layer, from -1 to 1, its mean over the
    layers. Channels of other layers are not compared.
    """
    stages = stages_of(network)
    means = means_of_channels(stages, images)
    half = len(images) // 2
    one, other = (
        wrong_without_each(stages, means, images[part], labels[part])
        for part in (slice(half), slice(half, None))
    )
    return {CHANNELS: float(np.mean([spearman(one[name], other[name]) for name in means]))}


def wrong_without_each(
    stages: Mapping[str, nn.Module], means: Mapping[str, Tensor], images: Tensor, labels: Tensor
) -> dict[str, Array]:
    """Return how many images are classified wrongly without each channel, by layer, [channels]."""
    wrong = {name: np.zeros(len(mean), np.int64) for name, mean in means.items()}
    modules = list(stages.values())
    for x, y in in_parts(images, labels, AT_ONCE):
        for place, (name, stage) in enumerate(stages.items(), 1):
            x = stage(x)
            rest = nn.Sequential(*modules[place:])
            for channel in range(x.shape[1]) if name in means else ():
                scores = rest(silenced(x, channel, means[name]))
                wrong[name][channel] += int((scores.argmax(1) != y).sum())
    return wrong


def gates(network: nn.Module, images: Tensor, labels: Tensor) -> Numbers:
    """Set a tenth of the channels of each gated layer to their means, in all layers at once.

    It is the tenth with the lowest or with the highest mean gates over the images, or a random
    tenth: the mean over 10 of them.
    """
    stages = stages_of(network)
    means = means_of_channels(stages, images)
    mean_gates = means_of_gates(stages, images)
    if not mean_gates:
        raise ValueError("a network with gates is needed, and this one has none")
    random = np.random.default_rng(0)

    def error_without(order: Callable[[Array], Array]) -> float:
        """Return the error without the first tenth of the channels in an order by their gates."""
        parts: list[nn.Module] = []
        for name, stage in stages.items():
            parts.append(stage)
            if name in mean_gates:
                of_layer = mean_gates[name]
                tenth = order(of_layer)[: round(len(of_layer) / 10)]
                parts.append(Silencing(tenth, means[name]))
        return error(nn.Sequential(*parts), images, labels)

    low = error_without(np.argsort)
    high = error_without(lambda values: values.argsort()[::-1].copy())
    anywhere = np.mean(
        [
            error_without(lambda values: random.permutation(len(values)))
            for _ in range(RANDOM_TENTHS)
        ]
    )
    return {LOW_GATES: float(anywhere) - low, HIGH_GATES: high - float(anywhere)}


class Silencing(nn.Module):
    """A layer that sets some channels to their means."""

    def __init__(self, channels: Array, means: Tensor) -> None:
        super().__init__()
        self.channels = channels
        self.means = means

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to as much."""
        return silenced(x, self.channels, self.means)


def means_of_gates(stages: Mapping[str, nn.Module], images: Tensor) -> dict[str, Array]:
    """Return the mean gate of each channel, [channels], of each layer that ends in gates."""
    sums: dict[str, Array] = {}
    for x in torch.split(images, AT_ONCE):
        for name, stage in stages.items():
            if isinstance(stage, nn.Sequential) and isinstance(stage[-1], SqueezeExcitation):
                x = stage[:-1](x)
                sums[name] = sums.get(name, 0) + stage[-1].gate(x).double().sum(0).numpy()
                x = stage[-1](x)
            else:
                x = stage(x)
    return {name: total / len(images) for name, total in sums.items()}


# Blocks of `networks.residual` --------------------------------------------------------------------

MOST_DELETED = 10
DRAWS = 20
TESTED = 1000  # images


def one_block(network: nn.Module, images: Tensor, labels: Tensor) -> Numbers:
    """Delete each block that keeps the size of its maps in turn, so that its input goes on."""
    first, blocks, *last = parts_of(network, "layer1", "blocks", "mean", "classifier")
    assert isinstance(blocks, nn.Sequential)
    wrong = {place: 0 for place, block in enumerate(blocks) if not block.added}
    for x, y in in_parts(images, labels, AT_ONCE):
        x = first(x)
        for place, block in enumerate(blocks):
            if place in wrong:
                scores = nn.Sequential(*blocks[place + 1 :], *last)(x)
                wrong[place] += int((scores.argmax(1) != y).sum())
            x = block(x)
    errors = [100 * count / len(images) for count in wrong.values()]
    return {ONE_BLOCK: float(np.median(errors)) - error(network, images, labels)}


def more_blocks(network: nn.Module, images: Tensor, labels: Tensor) -> Numbers:
    """Delete 1 to 10 blocks that keep the size of their maps, 20 draws each.

    The error is that on 1,000 images, always the same. Its correlation with the number, over all
    draws, is Spearman's, from -1 to 1. Steps are those of the mean over the draws, from the whole
    network on; the largest is a share of the whole rise, 1 if there is no rise.
    """
    first, blocks, *last = parts_of(network, "layer1", "blocks", "mean", "classifier")
    assert isinstance(blocks, nn.Sequential)
    random = np.random.default_rng(0)
    chosen = torch.from_numpy(random.permutation(len(images))[:TESTED])
    images, labels = images[chosen], labels[chosen]
    places = [place for place, block in enumerate(blocks) if not block.added]
    numbers = np.repeat(np.arange(1, MOST_DELETED + 1), DRAWS)
    errors = []
    for number in numbers:
        deleted = random.permutation(places)[:number]
        kept = [block for place, block in enumerate(blocks) if place not in deleted]
        errors.append(error(nn.Sequential(first, *kept, *last), images, labels))
    means = np.reshape(errors, (MOST_DELETED, DRAWS)).mean(1)
    steps = np.diff(means, prepend=error(network, images, labels))
    rise = steps.sum()
    return {
        BLOCKS: spearman(numbers, np.array(errors)),
        STEP: float(steps.max() / rise) if rise > 0 else 1.0,
    }


# Ranks --------------------------------------------------------------------------------------------


def spearman(one: Array, other: Array) -> float:
    """Return Spearman's correlation of two arrays [n]; 0 if one of them has no spread."""
    ranks = [centered_ranks(values) for values in (one, other)]
    spread = float(np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))
    return float(ranks[0] @ ranks[1]) / spread if spread else 0.0


def centered_ranks(values: Array) -> Array:
    """Return the ranks of values [n], less their mean; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (count.cumsum() - (count - 1) / 2)[place]
    ranks -= ranks.mean()
    return ranks


# All numbers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """Which examination gives a number, and by how much rounding elsewhere may change it."""

    given_by: Examination
    tolerance: float


# Rounding decides ties alone. On a trained network, 1,000 images and 300 mosaics, threads, formats
# of memory and float64 changed no count, and the fall by 1e-7. Here is room for ten of 10,000
# images at a tie; of the fall for one that is said to be of another class; of correlations for what
# such images do to the ranks of channels and blocks.
NUMBERS: Mapping[str, Number] = {
    ACCURACY: Number(accuracy, 0.1),
    QUARTERS: Number(quarters, 0.1),
    FALL: Number(covers, 0.001),
    TOP: Number(top_activations, 0.1),
    CHANNELS: Number(channels, 0.02),
    LOW_GATES: Number(gates, 0.1),
    HIGH_GATES: Number(gates, 0.1),
    ONE_BLOCK: Number(one_block, 0.1),
    BLOCKS: Number(more_blocks, 0.01),
    STEP: Number(more_blocks, 0.01),
}
