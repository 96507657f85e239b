"""Dense connections: layers that are given everything that came before them, side by side.

Document 003 (line 94).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._blocks import (
    BLOCKS,
    Blocks,
    built_otherwise,
    convolved,
    filled,
    forwarded,
    normalised,
)
from claims.cases import integers
from claims.checks import Array, same
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import models as surgeries
from claims.subjects import MODELS, Models
from nin_ref import oracle

if TYPE_CHECKING:
    from torch import nn

# Dense blocks -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dense:
    """A dense block of torchvision on two images, and a seed.

    Each of its layers makes `growth` maps; `channels` is what the block is given.
    """

    layers: int
    channels: int
    growth: int
    seed: int = 0

    @functools.cached_property
    def x(self) -> Array:
        """Maps [2, C, 3, 4] of small integers."""
        return integers(self.seed, 2, self.channels, 3, 4)


DENSE = Sample(
    "dense blocks of 1 to 4 layers, 3 to 5 channels, growth 1 to 4",
    [Dense(3, 5, 2), Dense(1, 3, 4, seed=1), Dense(4, 4, 1, seed=2)],
)


def built(blocks: Blocks, c: Dense) -> Any:
    """Return the dense block of a case."""
    return filled(blocks.DenseBlock(c.layers, c.channels, 2, c.growth, 0.0), c.seed)


def by_definition(block: Any, x: Array) -> list[Array]:
    """Return what a dense block is given and what each of its layers makes.

    A layer is batch norm, ReLU and convolution, twice, on the concatenation of all that.
    """
    made = [x]
    for layer in block.values():
        given = np.concatenate(made, axis=1)
        hidden = convolved(layer.conv1, oracle.relu(normalised(layer.norm1, given)))
        made.append(convolved(layer.conv2, oracle.relu(normalised(layer.norm2, hidden))))
    return made


def run(block: Any, x: Array) -> tuple[list[Array], list[Array], Array]:
    """Return what each layer of a dense block is given, what it makes, and what the block makes."""
    import torch

    given: list[Array] = []
    made: list[Array] = []
    for layer in block.values():
        layer.norm1.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].numpy()))
        layer.register_forward_hook(lambda _layer, _inputs, y: made.append(y.numpy()))
    return given, made, block(torch.tensor(x)).numpy()


# Faults -------------------------------------------------------------------------------------------


def arranged(
    name: str,
    give: Callable[[list[Any]], list[Any]] = list,
    put_out: Callable[[list[Any]], list[Any]] = list,
) -> Fault[Blocks]:
    """Return a fault that arranges what layers are given, and what the block puts out, otherwise.

    Both functions take the input of the block and the outputs of its layers so far.
    """

    def forward(block: Any, x: Any) -> Any:
        import torch

        made = [x]
        for layer in block.values():
            made.append(layer(give(made)))
        return torch.cat(put_out(made), dim=1)

    return forwarded(name, forward, "DenseBlock")


def _adding(right: Callable[..., Any], layers: int, channels: int, *options: Any) -> Any:
    made = right(layers, channels, *options)
    for name in made:
        made[name] = right(1, channels, *options)["denselayer1"]

    def forward(x: Any) -> Any:
        for layer in made.values():
            x = x + layer(x)
        return x

    made.forward = forward
    return made


def _all_put_out(right: Callable[..., Any], *sizes: Any) -> Any:
    import torch

    made = right(*sizes)
    for layer in made.values():
        layer.register_forward_hook(lambda _, inputs, _y: torch.cat(inputs[0], dim=1))
    return made


adding = built_otherwise("outputs added", _adding, "DenseBlock")
newest_given_first = arranged("newest given first", give=lambda made: made[::-1])
last_given_only = arranged(
    "zeros given for all but the last",
    give=lambda made: [*(0 * one for one in made[:-1]), made[-1]],
)
input_given_only = arranged(
    "zeros given for all but the input", give=lambda made: [made[0], *(0 * one for one in made[1:])]
)
input_not_put_out = arranged("input not put out", put_out=lambda made: made[1:])
last_put_out = arranged("last layer put out alone", put_out=lambda made: made[-1:])

# Superposition: four readings ---------------------------------------------------------------------

SUPERPOSED = "a layer puts out the superposition of what all layers before it have put out"

side_by_side = Claim(
    "dense-connections/layer-is-given-all-outputs-before-it",
    says="Each layer of a dense block is given the block's input and the outputs of all layers "
    "before it, concatenated along the channels.",
    cites=["003:94"],
    recorded=Holds(),
    reading_of=SUPERPOSED,
)


@side_by_side.judged(
    subject=BLOCKS,
    on=DENSE,
    flipped_by=[newest_given_first, last_given_only, input_given_only],
)
def layers_are_given_a_concatenation(blocks: Blocks, c: Dense) -> None:
    block = built(blocks, c)
    made = by_definition(block, c.x)
    given, *_ = run(block, c.x)
    for number, maps in enumerate(given, 1):
        same(maps, np.concatenate(made[:number], axis=1), f"what layer {number} is given")


is_given_the_sum = Claim(
    "dense-connections/layer-is-given-the-sum-of-all-outputs-before-it",
    says="Each layer of a dense block is given the sum of the block's input and of the outputs of "
    "all layers before it.",
    cites=["003:94"],
    recorded=Refuted(instead="dense-connections/layer-is-given-all-outputs-before-it"),
    reading_of=SUPERPOSED,
)


@is_given_the_sum.judged(
    subject=BLOCKS,
    on=Sample("a dense block of which every part has two maps", [Dense(3, 2, 2)]),
    flipped_by=[adding],
)
def layers_are_given_a_sum(blocks: Blocks, c: Dense) -> None:
    given, made, _ = run(built(blocks, c), c.x)
    for number, maps in enumerate(given):
        before = np.sum([c.x, *made[:number]], axis=0)
        assert maps.shape == before.shape, (
            f"layer {number + 1} is given {maps.shape[1]} channels, the sum has {before.shape[1]}"
        )
        same(maps, before, f"what layer {number + 1} is given")


puts_out_all = Claim(
    "dense-connections/layer-puts-out-all-outputs-before-it",
    says="What a layer of a dense block puts out is what all layers before it have put out.",
    cites=["003:94"],
    recorded=Refuted(instead="dense-connections/block-puts-out-all-outputs"),
    reading_of=SUPERPOSED,
)


@puts_out_all.judged(
    subject=BLOCKS,
    on=Sample("a dense block of which every part has two maps", [Dense(2, 2, 2)]),
    flipped_by=[built_otherwise("layers put out what they are given", _all_put_out, "DenseBlock")],
)
def layers_put_out_what_they_are_given(blocks: Blocks, c: Dense) -> None:
    given, made, _ = run(built(blocks, c), c.x)
    for number, (maps, new) in enumerate(zip(given, made, strict=True), 1):
        assert np.array_equal(maps, new), (
            f"layer {number} is given {maps.shape[1]} maps and puts out {new.shape[1]} new ones"
        )


block_puts_out_all = Claim(
    "dense-connections/block-puts-out-all-outputs",
    says="A dense block puts out its input and the outputs of all its layers, concatenated along "
    "the channels; each layer makes new maps of what it is given.",
    cites=["003:94"],
    recorded=Holds(),
    reading_of=SUPERPOSED,
)


@block_puts_out_all.judged(
    subject=BLOCKS,
    on=DENSE,
    flipped_by=[
        newest_given_first,
        last_given_only,
        input_not_put_out,
        last_put_out,
    ],
)
def output_is_a_concatenation(blocks: Blocks, c: Dense) -> None:
    block = built(blocks, c)
    expected = np.concatenate(by_definition(block, c.x), axis=1)
    same(run(block, c.x)[2], expected, "the output of the block")


# How far back, how many channels, how many connections --------------------------------------------


DENSENET = "densenet121"
GROWTH, LAYERS = 32, (6, 12, 24, 16)  # maps that a layer makes, and layers by dense block
AT_START = (64, 128, 256, 512)  # channels that a dense block is given


def channels_given(model: nn.Module) -> list[list[int]]:
    """Return how many channels each dense layer is given, by block."""
    found: list[list[int]] = []
    for block in model.modules():
        if type(block).__name__ == "_DenseBlock":
            layers: list[Any] = list(block.children())
            found.append([int(layer.norm1.num_features) for layer in layers])
    return found


def given_otherwise(name: str, channels: Callable[[int, int, int], int]) -> Fault[Models]:
    """Return a world in which layers are given `channels(start, growth, layers before)`."""

    def change(model: nn.Module) -> None:
        first: Any = model.get_submodule("features.conv0")
        layers: list[Any] = [one for one in model.modules() if type(one).__name__ == "_DenseLayer"]
        for before, layer in enumerate(layers):
            given = channels(first.out_channels, layer.conv2.out_channels, before)
            layer.norm1.num_features = given

    return surgeries.surgery(name, change)


nothing_dropped = given_otherwise(
    "no maps dropped between blocks", lambda start, growth, before: start + growth * before
)
last_layer_given = given_otherwise("last layer given only", lambda start, growth, before: growth)

from_all_layers = Claim(
    "dense-connections/layer-is-given-all-maps-made-in-the-network",
    says="A layer of DenseNet is given all maps that the layers of dense blocks before it in the "
    "network have made, and those that the first dense block starts with.",
    cites=["003:94"],
    recorded=HoldsIf("all those layers are in its own dense block"),
)


@from_all_layers.judged(
    subject=MODELS,
    on=[(DENSENET, block) for block in (1, 2, 3, 4)],
    when={"all those layers are in its own dense block": lambda c: c[1] == 1},
    flipped_by=[nothing_dropped, last_layer_given],
)
def all_maps_made_are_given(models: Models, c: tuple[str, int]) -> None:
    name, block = c
    made = AT_START[0] + GROWTH * sum(LAYERS[: block - 1])
    for number, given in enumerate(channels_given(models(name))[block - 1], 1):
        assert given == made, (
            f"layer {number} of block {block} is given {given} of the {made} maps made before"
        )
        made += GROWTH


@dataclass(frozen=True)
class Counts:
    """In closed form: the channels that a layer is given, and the connections in a block."""

    channels: Callable[[Any, Any, Any], Any]
    connections: Callable[[Any], Any]


COUNTS: Subject[Counts] = Subject(
    "counts of dense blocks",
    lambda: Counts(
        channels=lambda given, growth, layer: given + growth * (layer - 1),
        connections=lambda layers: layers * (layers + 1) / 2,
    ),
)


def other_counts(name: str, **forms: Callable[..., Any]) -> Fault[Counts]:
    """Return a world with other counts."""
    return Fault(name, lambda right: dataclasses.replace(right, **forms))


channels_grow = Claim(
    "dense-connections/channels-grow-linearly",
    says="In a dense block with k0 channels at the start and k new ones from each layer the l-th "
    "layer is given k0 + k (l - 1), and the block puts out k0 + k L from L layers.",
    cites=["003:94"],
    recorded=Holds(),
)


@channels_grow.judged(
    subject=COUNTS,
    on=PROOF,
    flipped_by=[
        other_counts(
            "one layer early", channels=lambda given, growth, layer: given + growth * layer
        ),
        other_counts("outputs added", channels=lambda given, growth, at: given),
        other_counts("doubled", channels=lambda given, growth, at: given * 2 ** (at - 1)),
    ],
)
def each_layer_adds_its_growth(counts: Counts, _: Proof) -> None:
    import sympy

    given, growth, layer = sympy.symbols("k0 k l", positive=True)
    first = counts.channels(given, growth, 1)
    assert first == given, f"the first layer is given {first}"
    now, then = (counts.channels(given, growth, number) for number in (layer, layer + 1))
    assert sympy.expand(then - now - growth) == 0, f"after {now} channels come {then}"


@channels_grow.judged(
    subject=BLOCKS,
    on=DENSE,
    flipped_by=[
        input_not_put_out,
        last_put_out,
        built_otherwise(
            "growth doubled",
            lambda f, n, given, mid, k, drop: f(n, given, mid, 2 * k, drop),
            "DenseBlock",
        ),
    ],
)
def blocks_have_these_channels(blocks: Blocks, c: Dense) -> None:
    given, _, output = run(built(blocks, c), c.x)
    widths = [maps.shape[1] for maps in (*given, output)]
    expected = [c.channels + c.growth * before for before in range(c.layers + 1)]
    assert widths == expected, f"{widths} channels, expected are {expected}"


@channels_grow.judged(subject=MODELS, on=[DENSENET], flipped_by=[nothing_dropped, last_layer_given])
def densenet_has_these_channels(models: Models, name: str) -> dict[str, int]:
    model = models(name)
    found = channels_given(model)
    expected = [
        [start + GROWTH * before for before in range(layers)]
        for start, layers in zip(AT_START, LAYERS, strict=True)
    ]
    assert found == expected, f"{name}: layers are given {found} channels"
    last: Any = model.get_submodule("features.norm5")
    put_out = AT_START[-1] + GROWTH * LAYERS[-1]
    assert last.num_features == put_out, f"{name} puts out {last.num_features} channels"
    return {"dense layers": sum(LAYERS), "channels put out": put_out}


connections = Claim(
    "dense-connections/block-has-l-times-l-plus-1-over-2-connections",
    says="A dense block of L layers has L (L + 1) / 2 direct connections from its input and its "
    "layers to its layers, where layers one after the other have L.",
    cites=["003:94"],
    recorded=Holds(),
)


@connections.judged(
    subject=COUNTS,
    on=PROOF,
    flipped_by=[
        other_counts("one after the other", connections=lambda layers: layers),
        other_counts("without the input", connections=lambda layers: layers * (layers - 1) / 2),
        other_counts("every pair both ways", connections=lambda layers: layers * (layers + 1)),
    ],
)
def each_layer_has_one_connection_more(counts: Counts, _: Proof) -> None:
    import sympy

    layers = sympy.Symbol("L", positive=True)
    assert counts.connections(0) == 0, "a block without layers has none"
    # One more layer is connected with the input and all layers before it.
    more = sympy.expand(counts.connections(layers + 1) - counts.connections(layers))
    assert more == layers + 1, f"one more layer brings {more} connections"


def among(maps: Array, given: Array) -> bool:
    """Whether each of some maps [N, C, H, W] is among the channels of what a layer is given."""
    return all(
        any(np.array_equal(one, other) for other in given.swapaxes(0, 1))
        for one in maps.swapaxes(0, 1)
    )


@connections.judged(subject=BLOCKS, on=DENSE, flipped_by=[last_given_only, input_given_only])
def layers_are_given_what_came_before(blocks: Blocks, c: Dense) -> None:
    given, made, _ = run(built(blocks, c), c.x)
    found = sum(among(source, maps) for maps in given for source in (c.x, *made))
    expected = c.layers * (c.layers + 1) // 2
    assert found == expected, f"{c.layers} layers have {found} connections, not {expected}"
