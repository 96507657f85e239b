"""Fully connected heads: what AlexNet's reads, and why it fixes the size of images.

Document 002 (lines 4, 15 and 16).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from claims._classics import ALEXNETS, convolutions, few_hidden_units, linear_layers, records_of
from claims._heads import WRONG_SIZES, Image, last_maps, own_image, parts, run, side, takes
from claims._layers import for_all
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.subjects import FORMULAS, LAYERS, MODELS, Formulas, Layers, Models
from nin_ref import counting
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import nn


def with_maps(name: str, change: Callable[[list[Any]], Iterable[nn.Module]]) -> Fault[Models]:
    """Return a fault that changes the layers on maps, and fits the first linear layer to them."""

    def plant(models: Models) -> Models:
        def changed(network: str) -> nn.Module:
            import torch
            from torch import nn

            on_maps, on_vectors = parts(copy.deepcopy(models(network)), network)
            first = next(layer for layer in on_vectors if isinstance(layer, nn.Linear))
            with torch.device("meta"):
                body = nn.Sequential(*change(on_maps))
                fitted = nn.Linear(run(body, own_image(network)).numel(), first.out_features)
            head = [fitted if layer is first else layer for layer in on_vectors]
            return nn.Sequential(*body, nn.Flatten(), *head)

        return changed

    return Fault(name, plant)


def ending_in(name: str, kept: int | None, kind: str, *sizes: int, **options: int) -> Fault[Models]:
    """Return a fault that puts a layer behind the first `kept` of the layers on maps."""

    def change(on_maps: list[Any]) -> list[nn.Module]:
        from torch import nn

        return [*on_maps[:kept], getattr(nn, kind)(*sizes, **options)]

    return with_maps(name, change)


def striding(name: str, *strides: int) -> Fault[Models]:
    """Return a fault that gives the first layers on maps that have a stride these."""

    def change(on_maps: list[Any]) -> list[nn.Module]:
        having = [layer for layer in on_maps if hasattr(layer, "stride")]
        for layer, stride in zip(having, strides, strict=False):
            layer.stride = (stride, stride)
        return on_maps

    return with_maps(name, change)


strides_of_one = striding("all strides are 1", *8 * [1])
last_pool_missing = with_maps("no pool behind the last convolution", lambda maps: maps[:-1])

# What AlexNet's fully connected layers read -------------------------------------------------------

three_layers = Claim(
    "heads/alexnet-ends-in-three-fully-connected-layers",
    says="The last three layers with weights of AlexNet are fully connected, with 4096, 4096 and "
    "as many outputs as there are classes; those before are convolutions.",
    cites=["002:4"],
    recorded=Holds(),
)


@three_layers.judged(
    subject=MODELS,
    on=ALEXNETS,
    flipped_by=[
        surgeries.last_linear_removed,
        surgeries.linear_appended,
        with_maps("a convolution less", lambda on_maps: [*on_maps[:-3], on_maps[-1]]),
        surgeries.outputs_doubled,
        few_hidden_units,
    ],
)
def weights_end_in_three_linear_layers(models: Models, name: str) -> dict[str, str]:
    layers = [one for one in records_of(models(name), name) if one.parameters]
    kinds = [one.kind for one in layers]
    assert kinds == 5 * ["Conv2d"] + 3 * ["Linear"], f"{name} is {', '.join(kinds)}"
    sizes = [one.output_shape[1] for one in layers[-3:]]
    classes = {"alexnet": 1000, "lecture-alexnet": 10}[name]
    assert sizes == [4096, 4096, classes], f"the last three of {name} have {sizes} outputs"
    return {"parameters of the three": " + ".join(f"{one.parameters:,}" for one in layers[-3:])}


FLATTENS = "the input of the first fully connected layer is a convolution layer, flattened"

flattens_convolution = Claim(
    "heads/alexnet-flattens-a-convolution",
    says="What AlexNet flattens for its first fully connected layer are the maps of a convolution "
    "and its ReLU.",
    cites=["002:4", "002:16"],
    recorded=Refuted(instead="heads/alexnet-flattens-a-max-pool"),
    reading_of=FLATTENS,
)

flattens_pool = Claim(
    "heads/alexnet-flattens-a-max-pool",
    says="What AlexNet flattens is what its convolutional part puts out: the maps of its last "
    "convolution and ReLU, behind a 3x3 max pool with stride 2.",
    cites=["002:4", "002:16"],
    recorded=Holds(),
    reading_of=FLATTENS,
)


def path_to_the_head(model: nn.Module, name: str) -> list[counting.LayerRecord]:
    """Return the layers from the last convolution to the first fully connected one.

    What changes no number is left out: flattening, dropout, and a resizing to the size there is.
    """
    records = records_of(model, name)
    kinds = [one.kind for one in records]
    linear = kinds.index("Linear")
    last = max(place for place, kind in enumerate(kinds[:linear]) if kind == "Conv2d")
    return [
        one
        for one in records[last : linear + 1]
        if one.kind not in {"Flatten", "Dropout"}
        and (one.kind != "AdaptiveAvgPool2d" or one.input_shape != one.output_shape)
    ]


@flattens_convolution.judged(
    subject=MODELS, on=["alexnet", "lecture-alexnet"], flipped_by=[last_pool_missing]
)
def head_reads_a_convolution(models: Models, name: str) -> None:
    convolution, *_, flattened, linear = path_to_the_head(models(name), name)
    _, channels, height, width = convolution.output_shape
    assert flattened.kind == "ReLU", (
        f"{name}: of the {channels}x{height}x{width} values of the last convolution a layer "
        f"{flattened.kind} leaves {linear.input_shape[1]}"
    )


@flattens_pool.judged(
    subject=MODELS,
    on=ALEXNETS,
    flipped_by=[
        last_pool_missing,
        ending_in("average for the last pool", -1, "AvgPool2d", 3, stride=2),
        surgeries.relu_layers_removed,
        ending_in("convolution behind the last pool", None, "Conv2d", 256, 256, 1),
    ],
)
def head_reads_a_max_pool(models: Models, name: str) -> dict[str, str]:
    path = path_to_the_head(models(name), name)
    kinds = [one.kind for one in path]
    assert kinds == ["Conv2d", "ReLU", "MaxPool2d", "Linear"], f"{name} has {', '.join(kinds)}"
    pool: Any = models(name).get_submodule(path[2].name)
    assert (pool.kernel_size, pool.stride) == (3, 2), f"the pool of {name} is {pool}"
    maps, values = path[2].output_shape[1:], path[3].input_shape[1]
    assert values == math.prod(maps), f"{name} flattens {maps} and reads {values} numbers"
    sizes = {"convolution": path[0].output_shape[1:], "flattened": maps}
    return {what: "x".join(map(str, size)) for what, size in sizes.items()}


SIX_BY_SIX = {
    "the image has 223 to 254 rows and columns": lambda c: (
        min(c.rows, c.columns) >= 223 and max(c.rows, c.columns) <= 254
    ),
    "AlexNet is not the lecture's": lambda c: c.network == "alexnet",
}

flattens_6x6x256 = Claim(
    "heads/alexnet-flattens-6x6x256",
    says="The input of AlexNet's first fully connected layer is 256 maps of 6x6.",
    cites=["002:4"],
    recorded=HoldsIf(*SIX_BY_SIX),
)


@flattens_6x6x256.judged(
    subject=MODELS,
    on=Sample(
        "images of 222 to 256 rows and columns",
        [
            Image("alexnet", 224, 224),
            Image("alexnet", 223, 254),
            Image("alexnet", 254, 227),
            Image("alexnet", 222, 224),
            Image("alexnet", 224, 255),
            Image("lecture-alexnet", 224, 224),
        ],
    ),
    when=SIX_BY_SIX,
    flipped_by=[
        surgeries.last_max_pool_removed,
        surgeries.first_max_pool_removed,
        surgeries.padding_dropped,
    ],
)
def maps_are_256_of_6x6(models: Models, c: Image) -> None:
    channels, height, width = last_maps(models, c)
    assert (channels, height, width) == (256, 6, 6), (
        f"{c.network} makes {channels} maps of {height}x{width} of {c}"
    )


@flattens_6x6x256.judged(subject=FORMULAS, on=PROOF, flipped_by=WRONG_SIZES)
def six_rows_from_223_to_254(formulas: Formulas, _: Proof) -> None:
    import z3

    for_all(
        lambda size: (side(formulas, size) == 6) == z3.And(size >= 223, size <= 254),
        low=1,
        what="an exception are images of a side",
    )


# What another image size does to fully connected layers -------------------------------------------

length = Claim(
    "heads/flattened-length-follows-the-image-size",
    says="From an image of H x W pixels, 63 or more each, AlexNet flattens "
    "256 (floor((H + 1) / 32) - 1) (floor((W + 1) / 32) - 1) numbers for its first fully connected "
    "layer.",
    cites=["002:16"],
    recorded=Holds(),
)


@length.judged(subject=FORMULAS, on=PROOF, flipped_by=WRONG_SIZES)
def side_is_a_step_function(formulas: Formulas, _: Proof) -> None:
    for_all(
        lambda size: side(formulas, size) == (size + 1) / 32 - 1,
        low=63,
        what="the last map is another for images of a side",
    )


@length.judged(
    subject=MODELS,
    on=Sample(
        "images of 63 to 1000 rows and columns",
        [
            Image("alexnet", *size)
            for size in [(224, 224), (256, 192), (222, 255), (63, 94), (95, 63), (170, 1000)]
        ],
    ),
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.last_max_pool_removed,
        surgeries.padding_dropped,
        ending_in("a channel more", None, "Conv2d", 256, 257, 1),
        strides_of_one,
    ],
)
def real_alexnet_flattens_as_many(models: Models, c: Image) -> None:
    maps = last_maps(models, c)
    expected = (256, (c.rows + 1) // 32 - 1, (c.columns + 1) // 32 - 1)
    assert maps == expected, f"of {c} it makes maps {maps}, not {expected}"


GROWN = "a side grows by 32 pixels or more and none shrinks"

length_changes = Claim(
    "heads/any-other-image-size-changes-the-flattened-length",
    says="Whenever the image size changes, the number of inputs of AlexNet's first fully connected "
    "layer changes.",
    cites=["002:16"],
    recorded=HoldsIf(GROWN),
)


def grows(sizes: tuple[Pair, Pair]) -> bool:
    """Whether a side grows by 32 pixels or more and none shrinks."""
    more = [after - before for before, after in zip(*sizes, strict=True)]
    return min(more) >= 0 and max(more) >= 32


@length_changes.judged(
    subject=MODELS,
    on=Sample(
        "image sizes of 63 to 1033 rows and columns, and other sizes",
        [
            ((255, 200), (287, 200)),
            ((200, 223), (200, 255)),
            ((63, 95), (95, 126)),
            ((1000, 640), (1033, 640)),
            ((223, 224), (254, 224)),
            ((224, 224), (170, 330)),
        ],
    ),
    when={GROWN: grows},
    flipped_by=[strides_of_one, striding("first stride doubled", 8)],
)
def another_size_another_length(models: Models, sizes: tuple[Pair, Pair]) -> None:
    before, after = (math.prod(last_maps(models, Image("alexnet", *size))) for size in sizes)
    told = " and of ".join(f"{rows}x{columns}" for rows, columns in sizes)
    assert before != after, f"images of {told} pixels give {before:,} numbers"


@length_changes.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.formula(
            "strides one larger",
            "output_size",
            lambda f, size, kernel, stride, padding: f(size, kernel, stride + 1, padding),
        ),
    ],
)
def last_map_grows(formulas: Formulas, _: Proof) -> None:
    import z3

    size, more = z3.Ints("size more")
    before, after = side(formulas, size), side(formulas, size + more)
    solver = z3.Solver()
    solver.add(size >= 63, more >= 0)
    solver.add(z3.Or(before < 1, after < before, z3.And(more >= 32, after == before)))
    assert solver.check() == z3.unsat, f"with {solver.model()} the last map does not grow"


OTHER_LENGTH = "the maps that are flattened have another number of pixels"

refuses_other_maps = Claim(
    "heads/linear-layer-refuses-maps-of-another-size",
    says="A fully connected layer behind flattened maps cannot process maps of another size.",
    cites=["002:16"],
    recorded=HoldsIf(OTHER_LENGTH),
)


def _resizing(right: Callable[..., nn.Module], inputs: int, outputs: int) -> nn.Module:
    from torch import nn

    return nn.Sequential(nn.AdaptiveAvgPool1d(inputs), right(inputs, outputs))


@refuses_other_maps.judged(
    subject=LAYERS,
    on=Sample(
        "some pairs of map sizes up to 12x12",
        [
            ((6, 6), (7, 7)),
            ((6, 6), (6, 5)),
            ((5, 7), (12, 12)),
            ((6, 6), (4, 9)),
            ((5, 7), (7, 5)),
        ],
    ),
    when={OTHER_LENGTH: lambda sizes: math.prod(sizes[0]) != math.prod(sizes[1])},
    flipped_by=[wrong_formulas.layer("the layer resizes its input", "Linear", _resizing)],
)
def only_as_many_pixels_fit(layers: Layers, sizes: tuple[Pair, Pair]) -> None:
    import torch

    own, other = sizes
    head = layers.Sequential(layers.Flatten(), layers.Linear(3 * math.prod(own), 4))
    accepted = []
    for size in (own, other):
        try:
            accepted += [size] if head(torch.ones(2, 3, *size)).shape == (2, 4) else []
        except RuntimeError:
            continue
    assert accepted == [own], f"made for maps of {own}, it processes {accepted}"


FIRST = "it is the first of the three"

other_parameters = Claim(
    "heads/fully-connected-layers-need-other-parameters",
    says="For last maps of another size than 6x6 a fully connected layer of AlexNet needs another "
    "number of parameters.",
    cites=["002:16"],
    recorded=HoldsIf(FIRST, OTHER_LENGTH),
)


@other_parameters.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.formula("inputs ignored", "linear_parameters", lambda f, i, o: f(9216, o)),
    ],
)
def count_grows_with_the_pixels(formulas: Formulas, _: Proof) -> None:
    import sympy

    pixels, others = sympy.symbols("pixels others", integer=True, positive=True)
    before, after = (
        formulas.linear_parameters(256 * number, 4096) for number in (pixels, pixels + others)
    )
    growth = sympy.factor(after - before)
    assert growth.is_positive, f"with {others} pixels more it needs {growth} parameters more"


@other_parameters.judged(
    subject=LAYERS,
    on=Sample(
        "the layers by place, and last maps of up to 15x11",
        [(1, 7, 7), (1, 6, 5), (1, 15, 11), (1, 4, 9), (2, 7, 7), (3, 5, 6)],
    ),
    when={
        FIRST: lambda case: case[0] == 1,
        OTHER_LENGTH: lambda case: case[1] * case[2] != 36,
    },
    flipped_by=[
        wrong_formulas.layer("no biases", "Linear", lambda f, *a, **o: f(*a, **o, bias=False)),
        wrong_formulas.layer(
            "inputs ignored", "Linear", lambda f, i, o, **more: f(9216, o, **more)
        ),
    ],
)
def real_layer_has_another_number(layers: Layers, case: tuple[int, int, int]) -> dict[str, int]:
    place, height, width = case
    counts = []
    for pixels in (36, height * width):
        inputs, outputs = [(256 * pixels, 4096), (4096, 4096), (4096, 1000)][place - 1]
        counts.append(counting.parameter_count(layers.Linear(inputs, outputs, device="meta")))
        assert counts[-1] == outputs * (inputs + 1), f"layer {place} has {counts[-1]:,} parameters"
    assert counts[0] != counts[1], (
        f"layer {place} of three has {counts[1]:,} parameters for maps of 6x6 and of "
        f"{height}x{width}"
    )
    return {"parameters": counts[1]}


# Whether a network with fully connected layers needs images of one size ---------------------------

AS_THEY_ARE = "the last maps are flattened as they are, not resized or averaged"

one_size_only = Claim(
    "heads/networks-with-linear-layers-take-one-image-size",
    says="A convolutional network with fully connected layers processes images of one size only.",
    cites=["002:15", "002:16"],
    recorded=HoldsIf(AS_THEY_ARE, OTHER_LENGTH),
)

AS_MANY_PIXELS = {
    "lenet5": (29, 30),
    "lecture-alexnet": (223, 200),
    "lecture-vgg11": (225, 255),
}


def _resized_and_flattened(model: nn.Module) -> None:
    """Let networks that flatten their last maps resize these before."""
    from torch import nn

    if flattening := surgeries.of_kind(model, "Flatten"):
        values = linear_layers(model)[0].in_features
        side = math.isqrt(values // convolutions(model)[-1].out_channels)
        resizing = nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten())
        surgeries.put(model, flattening[0], resizing)


def _fixed_windows(model: nn.Module) -> None:
    """Put a pool of a fixed window in the place of each that resizes."""
    from torch import nn

    if not surgeries.of_kind(model, "AdaptiveAvgPool2d"):
        return
    for one in counting.trace(model, 1, 3, 224, 224):
        if one.kind == "AdaptiveAvgPool2d":
            window = one.input_shape[2] - one.output_shape[2] + 1
            surgeries.put(model, one.name, nn.AvgPool2d(window, stride=1))


@one_size_only.judged(
    subject=MODELS,
    on=Sample(
        "LeNet, AlexNet, VGG and ResNet on images of other sizes than theirs",
        [
            Image("lenet5", 28, 32),
            Image("lecture-alexnet", 448, 448),
            Image("lecture-vgg11", 256, 224),
            *(Image(network, *size) for network, size in AS_MANY_PIXELS.items()),
            Image("alexnet", 448, 448),
            Image("resnet18", 256, 224),
        ],
    ),
    when={
        AS_THEY_ARE: lambda c: c.network in AS_MANY_PIXELS,
        OTHER_LENGTH: lambda c: (c.rows, c.columns) != AS_MANY_PIXELS.get(c.network),
    },
    flipped_by=[
        surgeries.surgery("last maps resized", _resized_and_flattened),
        surgeries.surgery("pools of a fixed window", _fixed_windows),
    ],
)
def no_other_size_is_taken(models: Models, c: Image) -> None:
    network, own = models(c.network), own_image(c.network)
    assert surgeries.of_kind(network, "Linear"), f"{c.network} has no fully connected layer"
    assert takes([network], own), f"{c.network} does not take {own}"
    assert not takes([network], c), f"{c.network} takes {c} as well as {own}"
