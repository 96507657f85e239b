"""Fully convolutional networks: convolutions for AlexNet's fully connected layers, any image size.

Document 002 (lines 4, 5 and 17).
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims._classics import convolutions, linear_layers, records_of
from claims._heads import WRONG_SIZES, Image, last_maps, own_image, parts, run, side, takes
from claims._layers import for_all
from claims._maps import computed
from claims.cases import SEEDS, Convolution, integers, pairs, sampled, wide
from claims.checks import Array, same
from claims.core.claim import PROOF, Claim, Proof, Sample, Subject
from claims.core.verdict import Grade, Holds, HoldsIf
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import (
    FORMULAS,
    LAYERS,
    OPERATORS,
    Formulas,
    Layers,
    Models,
    model_on_meta,
)
from nin_ref import counting, oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    from torch import nn


# The same layers as convolutions ------------------------------------------------------------------


def as_convolutions(
    head: Iterable[nn.Module],
    maps: tuple[int, ...],
    convolution: Callable[..., nn.Module],
    *,
    channels_last: bool = False,
) -> list[nn.Module]:
    """Return a head on maps [C, H, W] with a convolution for each fully connected layer.

    The weights are moved. `channels_last` takes them for those of maps flattened as [H, W, C].
    """
    from torch import nn

    made: list[nn.Module] = []
    channels, *kernel = maps
    for layer in head:
        if not isinstance(layer, nn.Linear):
            made.append(layer)
            continue
        weight: Any = layer.weight.detach()
        like = {"dtype": weight.dtype, "device": weight.device}
        made.append(convolution(channels, layer.out_features, tuple(kernel), **like))
        taken = {
            "weight": weight.unflatten(1, (*kernel, channels)).movedim(3, 1)
            if channels_last
            else weight.unflatten(1, (channels, *kernel)),
            "bias": layer.bias.detach(),
        }
        for name, parameter in made[-1].named_parameters():
            parameter.data = taken[name]
        channels, kernel = layer.out_features, [1, 1]
    return made


@functools.cache
def fully_convolutional(name: str) -> nn.Module:
    """Return a network with a convolution for each fully connected layer, or torchvision's FCN."""
    from torch import nn

    if name == "fcn_resnet50":
        return model_on_meta(name)
    on_maps, on_vectors = parts(model_on_meta(name), name)
    maps = last_maps(model_on_meta, own_image(name))
    return nn.Sequential(*on_maps, *as_convolutions(on_vectors, maps, nn.Conv2d)).eval()


FCNS: Subject[Models] = Subject(
    "fully convolutional networks", lambda: fully_convolutional, Grade.COUNTED
)


def _head_padded(model: nn.Module) -> None:
    for layer in convolutions(model)[-3:]:
        layer.padding = (1, 1)


head_padded = surgeries.surgery("convolutions of the head padded", _head_padded)


def is_a_convolution(place: int, channels: int, kernel: int, filters: int) -> Claim:
    """Return the claim that a fully connected layer of AlexNet is a convolution of these sizes."""
    which = ("first", "second", "third")[place]
    filter_ = f"{kernel}x{kernel}x{channels}"
    claim = Claim(
        f"fully-convolutional/alexnets-{which}-layer-is-{filters}-filters-of-{filter_}",
        says=f"AlexNet's {which} fully connected layer is a convolution with {filters} filters of "
        f"{filter_}: it has as many weights and biases, and puts out 1x1x{filters}.",
        cites=["002:4" if place == 0 else "002:5", "002:17"],
        recorded=Holds(),
    )

    @claim.judged(
        subject=FCNS,
        on=["alexnet"],
        flipped_by=[
            surgeries.first_max_pool_removed,
            surgeries.biases_dropped,
            head_padded,
        ],
    )
    def convolution_has_these_sizes(networks: Models, name: str) -> dict[str, int]:
        layers = [one for one in records_of(networks(name), name) if one.kind == "Conv2d"]
        layer = layers[place - 3]
        weight = networks(name).get_submodule(layer.name).state_dict()["weight"]
        expected = (filters, channels, kernel, kernel)
        assert weight.shape == expected, f"the filters measure {list(weight.shape)}"
        reads, gives = (1, channels, kernel, kernel), (1, filters, 1, 1)
        assert layer.input_shape == reads, f"it reads maps {list(layer.input_shape)}"
        assert layer.output_shape == gives, f"it puts out {list(layer.output_shape)}"
        linear = linear_layers(model_on_meta(name))[place]
        parameters = counting.parameter_count(linear)
        assert layer.parameters == parameters, f"{layer.parameters} parameters, not {parameters}"
        return {"weights": weight.numel(), "biases": filters}

    return claim


layers_as_convolutions = (
    is_a_convolution(0, channels=256, kernel=6, filters=4096),
    is_a_convolution(1, channels=4096, kernel=1, filters=4096),
    is_a_convolution(2, channels=4096, kernel=1, filters=1000),
)

one_position = Claim(
    "fully-convolutional/full-size-kernel-has-one-position",
    says="A kernel as large as the map goes over all of it by standing at one position, whatever "
    "the stride.",
    cites=["002:4", "002:5"],
    recorded=HoldsIf("no padding"),
)

FULL_SIZE = sampled(
    "convolutions with kernels as large as the map of up to 7x7, any stride and padding",
    lambda height, width, **sizes: Convolution(
        height=height, width=width, kernel=(height, width), **sizes
    ),
    {
        "batch": (2, 1),
        "in_channels": (3, 1),
        "out_channels": (4, 1),
        "height": (5, 2),
        "width": (7, 3),
        "stride": ((1, 1), (2, 3)),
        "padding": ((0, 0), (1, 0), (0, 2)),
    },
    {
        "batch": st.integers(1, 3),
        "in_channels": st.integers(1, 4),
        "out_channels": st.integers(1, 4),
        "height": st.integers(1, 7),
        "width": st.integers(1, 7),
        "stride": pairs(1, 4),
        "padding": st.just((0, 0)) | pairs(0, 2),
        "seed": SEEDS,
    },
)


@one_position.judged(
    subject=OPERATORS,
    on=FULL_SIZE,
    when={"no padding": lambda c: c.padding == (0, 0)},
    flipped_by=[
        faults.one_more_padding,
        faults.padding_ignored,
        faults.row_ignored,
        faults.kernel_flipped,
        faults.conv2d_in_float32,
        faults.wrong("map repeated", "conv2d", lambda f, x, *a, **o: f(np.tile(x, 2), *a, **o)),
    ],
)
def one_number_comes_out(ops: Operators, c: Convolution) -> None:
    x = wide(c.x)
    y = ops.conv2d(x, c.weight, **c.options)
    assert y.shape[2:] == (1, 1), f"padded by {c.padding} it has positions {y.shape[2:]}"
    if c.padding == (0, 0):
        same(y[:, :, 0, 0], np.einsum("nchw,ochw->no", x, c.weight), "the sum over the map")


@one_position.judged(subject=FORMULAS, on=PROOF, flipped_by=[wrong_formulas.output_size_off_by_one])
def one_position_for_every_size_and_stride(formulas: Formulas, _: Proof) -> None:
    import z3

    size, stride = z3.Ints("size stride")
    solver = z3.Solver()
    solver.add(size >= 1, stride >= 1, formulas.output_size(size, size, stride, 0) != 1)
    assert solver.check() == z3.unsat, f"with {solver.model()} there are others"


# The same scores ----------------------------------------------------------------------------------

ORDER = "the weights keep the order in which the maps are flattened"
UNTRAINED = "dropout is off"

same_scores = Claim(
    "fully-convolutional/computes-the-same-scores",
    says="With a convolution in the place of each of its three fully connected layers, and their "
    "weights moved, AlexNet gives the scores that it gave.",
    cites=["002:4", "002:5", "002:17"],
    recorded=HoldsIf(ORDER, UNTRAINED),
)


@same_scores.judged(
    subject=OPERATORS,
    on=FULL_SIZE,
    flipped_by=[
        faults.bias_missing,
        faults.kernel_flipped,
        faults.channel_ignored,
        faults.filter_ignored,
        faults.weight_transposed,
        faults.axes_swapped,
        faults.one_more_padding,
        faults.relu_missing,
        faults.relu_leaky,
        faults.conv2d_in_float32,
    ],
)
def convolutions_compute_the_head(ops: Operators, c: Convolution) -> None:
    maps = wide(c.x)
    vectors: Array = maps.reshape(c.batch, -1)
    later = [Convolution(1, *pair, 1, 1, seed=c.seed + 4) for pair in ((c.out_channels, 5), (5, 3))]
    for place, layer in enumerate((c, *later)):
        if place:
            maps, vectors = ops.relu(maps), np.maximum(vectors, 0)
        maps = ops.conv2d(maps, layer.weight, layer.bias)
        vectors = oracle.linear(vectors, layer.weight.reshape(len(layer.weight), -1), layer.bias)
    same(maps, vectors[:, :, None, None], "the head of convolutions")


def narrow_alexnet(
    layers: Layers, seed: int, *, padded: bool = True
) -> tuple[list[nn.Module], list[nn.Module]]:
    """Return `parts` of AlexNet a thirty-second as wide, in float64, its weights whole numbers.

    It takes images of one channel.
    """
    import torch
    from torch import nn

    def narrow(layer: nn.Module) -> nn.Module:
        if isinstance(layer, nn.Conv2d):
            made = layers.Conv2d(
                layer.in_channels // 32 or 1,
                layer.out_channels // 32,
                layer.kernel_size,
                stride=layer.stride,
                padding=layer.padding[0] if padded else 0,
            )
        elif isinstance(layer, nn.Linear):
            made = layers.Linear(layer.in_features // 32, layer.out_features // 32)
        elif isinstance(layer, nn.Dropout):
            made = layers.Dropout(layer.p)
        else:
            made = copy.deepcopy(layer)
        for parameter in made.parameters():
            numbers = integers(seed + parameter.numel(), *parameter.shape, low=-2, high=2)
            parameter.data = torch.from_numpy(numbers)
        return made.eval()

    on_maps, on_vectors = parts(model_on_meta("alexnet"), "alexnet")
    return [narrow(layer) for layer in on_maps], [narrow(layer) for layer in on_vectors]


NARROW_MAPS = (8, 6, 6)


@dataclass(frozen=True)
class Converted:
    """A conversion: the seed of all numbers, how weights are arranged, whether dropout drops."""

    seed: int
    channels_last: bool = False
    training: bool = False


def _head_kernel_padded(right: Callable[..., nn.Module], *sizes: Any, **options: Any) -> nn.Module:
    return right(*sizes, **options | ({"padding": 1} if sizes[2] == (6, 6) else {}))


@same_scores.judged(
    subject=LAYERS,
    on=Sample(
        "AlexNet a thirty-second as wide, on images of 1 channel and 224x224 pixels",
        [Converted(1), Converted(2, channels_last=True), Converted(3, training=True)],
    ),
    when={ORDER: lambda c: not c.channels_last, UNTRAINED: lambda c: not c.training},
    flipped_by=[
        wrong_formulas.bias_left_out,
        wrong_formulas.layer("head padded", "Conv2d", _head_kernel_padded),
        wrong_formulas.layer("dropout drops nothing", "Dropout", lambda f, _: f(0.0)),
        computed("filters in reverse order", "Conv2d", lambda maps: maps.flip(1)),
    ],
)
def alexnet_gives_what_it_gave(layers: Layers, c: Converted) -> None:
    import torch
    from torch import nn

    on_maps, on_vectors = narrow_alexnet(layers, c.seed)
    head = as_convolutions(on_vectors, NARROW_MAPS, layers.Conv2d, channels_last=c.channels_last)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(c.seed)
        maps = nn.Sequential(*on_maps)(torch.from_numpy(integers(c.seed, 2, 1, 224, 224)))
        before = nn.Sequential(nn.Flatten(), *on_vectors).train(c.training)(maps).numpy()
        after = nn.Sequential(*head).train(c.training)(maps).numpy()
    assert (before != 0).any(axis=1).all(), "the scores say nothing"
    same(after, before[:, :, None, None], "a score")


scores_of_crops = Claim(
    "fully-convolutional/goes-over-a-larger-image-as-alexnet-would",
    says="On a larger image the converted AlexNet gives the scores that AlexNet gives for the "
    "parts of it that begin at every 32nd row and column.",
    cites=["002:5", "002:17"],
    recorded=HoldsIf("no layer is padded"),
)


@dataclass(frozen=True)
class Larger:
    """An image with more rows and columns than AlexNet needs, in steps of 32."""

    more_rows: int
    more_columns: int
    padded: bool = False


@scores_of_crops.judged(
    subject=LAYERS,
    on=Sample(
        "AlexNet a thirty-second as wide, on images of 1 channel and 2 to 4 parts",
        [Larger(0, 1), Larger(1, 0), Larger(1, 1, padded=True)],
    ),
    when={"no layer is padded": lambda c: not c.padded},
    flipped_by=[
        computed("maps shifted", "Conv2d", lambda maps: maps.roll(1, dims=3)),
        computed(
            "mean of the maps subtracted",
            "Conv2d",
            lambda maps: maps - maps.mean(dim=(2, 3), keepdim=True).round(),
        ),
    ],
)
def each_score_is_that_of_a_part(layers: Layers, c: Larger) -> None:
    import torch
    from torch import nn

    seed, needed = 1, 223 if c.padded else 355
    on_maps, on_vectors = narrow_alexnet(layers, seed, padded=c.padded)
    network = nn.Sequential(*on_maps, nn.Flatten(), *on_vectors)
    converted = nn.Sequential(*on_maps, *as_convolutions(on_vectors, NARROW_MAPS, layers.Conv2d))
    size = needed + 32 * c.more_rows, needed + 32 * c.more_columns
    image = torch.from_numpy(integers(seed, 1, 1, *size))
    with torch.no_grad():
        scores = converted(image).numpy()
        expected = np.empty((1, 31, c.more_rows + 1, c.more_columns + 1))
        for row, column in np.ndindex(expected.shape[2:]):
            part = image[:, :, 32 * row :, 32 * column :][:, :, :needed, :needed]
            expected[:, :, row, column] = network(part).numpy()
    assert (expected != 0).any(axis=1).all(), "the scores say nothing"
    same(scores, expected, "a score")


# Fully convolutional networks ---------------------------------------------------------------------

no_linear_layer = Claim(
    "fully-convolutional/has-no-fully-connected-layer",
    says="In a fully convolutional network no layer is fully connected, and no maps are flattened.",
    cites=["002:17"],
    recorded=Holds(),
)


def _flattened_at_the_end(model: nn.Module) -> nn.Module:
    from torch import nn

    return nn.Sequential(model, nn.Flatten())


@no_linear_layer.judged(
    subject=FCNS,
    on=["alexnet", "fcn_resnet50"],
    flipped_by=[
        surgeries.linear_appended,
        surgeries.surgery("scores flattened", _flattened_at_the_end),
    ],
)
def all_weights_are_in_convolutions(networks: Models, name: str) -> dict[str, int]:
    for kind in ("Linear", "Flatten"):
        found = surgeries.of_kind(networks(name), kind)
        assert not found, f"{name} has a layer {kind}, {found[0]}"
    return {"convolutions": len(surgeries.of_kind(networks(name), "Conv2d"))}


LARGE_ENOUGH = "AlexNet gets 223 or more rows and columns"

any_size = Claim(
    "fully-convolutional/takes-images-of-any-size",
    says="A fully convolutional network, such as AlexNet with convolutions for its fully connected "
    "layers, takes images of any size.",
    cites=["002:17"],
    recorded=HoldsIf(LARGE_ENOUGH),
)


@any_size.judged(
    subject=FCNS,
    on=Sample(
        "images of 1 to 1001 rows and columns",
        [
            Image("alexnet", 223, 223),
            Image("alexnet", 224, 640),
            Image("alexnet", 1001, 333),
            Image("alexnet", 222, 400),
            Image("alexnet", 400, 222),
            Image("fcn_resnet50", 1, 1),
        ],
    ),
    when={LARGE_ENOUGH: lambda c: c.network != "alexnet" or min(c.rows, c.columns) >= 223},
    flipped_by=[
        surgeries.linear_appended,
        surgeries.padding_dropped,
        surgeries.first_max_pool_removed,
        head_padded,
    ],
)
def every_image_is_taken(networks: Models, c: Image) -> None:
    assert takes([networks(c.network)], c), f"{c.network} does not take {c}"


def score_side(formulas: Formulas, size: Any) -> Any:
    """Return the side of the converted AlexNet's maps of scores for an image of that side."""
    return formulas.output_size(side(formulas, size), 6, 1, 0)


@any_size.judged(subject=FORMULAS, on=PROOF, flipped_by=WRONG_SIZES)
def scores_from_223_pixels_on(formulas: Formulas, _: Proof) -> None:
    for_all(
        lambda size: (score_side(formulas, size) >= 1) == (size >= 223),
        low=1,
        what="an exception are images of a side",
    )


output_follows = Claim(
    "fully-convolutional/size-of-the-output-follows-the-image",
    says="The size of what a fully convolutional network puts out is given by the image's: AlexNet "
    "with convolutions for its fully connected layers makes floor((H + 1) / 32) - 6 rows of scores "
    "of H, and a network that scales its scores up again H.",
    cites=["002:17"],
    recorded=Holds(),
)


def _averaged_at_the_end(model: nn.Module) -> nn.Module:
    from torch import nn

    return nn.Sequential(model, nn.AdaptiveAvgPool2d(1))


@output_follows.judged(
    subject=FCNS,
    on=Sample(
        "images of 97 to 1200 rows and columns",
        [
            Image("alexnet", 254, 256),
            Image("alexnet", 255, 223),
            Image("alexnet", 512, 1200),
            Image("fcn_resnet50", 97, 120),
        ],
    ),
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.surgery("scores averaged", _averaged_at_the_end),
        head_padded,
    ],
)
def scores_have_that_size(networks: Models, c: Image) -> None:
    scores = run([networks(c.network)], c)
    if c.network == "alexnet":
        expected = (1, 1000, (c.rows + 1) // 32 - 6, (c.columns + 1) // 32 - 6)
    else:
        scores, expected = scores["out"], (1, 21, c.rows, c.columns)
    assert scores.shape == expected, f"of {c} it makes scores {list(scores.shape)}"


@output_follows.judged(subject=FORMULAS, on=PROOF, flipped_by=WRONG_SIZES)
def scores_step_every_32_pixels(formulas: Formulas, _: Proof) -> None:
    for_all(
        lambda size: score_side(formulas, size) == (size + 1) / 32 - 6,
        low=223,
        what="there are other scores for images of a side",
    )


COUNTS = {"alexnet": 61_100_840, "lecture-vgg11": 128_806_154, "lenet5": 61_706}

same_parameters = Claim(
    "fully-convolutional/has-the-parameters-of-the-fully-connected-layers",
    says="A network has as many parameters with convolutions for its fully connected layers as it "
    "had with these.",
    cites=["002:17"],
    recorded=Holds(),
)


@same_parameters.judged(
    subject=FCNS,
    on=list(COUNTS),
    flipped_by=[
        surgeries.biases_dropped,
        surgeries.outputs_doubled,
        surgeries.last_convolution_removed,
    ],
)
def converted_networks_have_as_many(networks: Models, name: str) -> dict[str, int]:
    before, after = (counting.parameter_count(one(name)) for one in (model_on_meta, networks))
    assert before == COUNTS[name], f"{name} has {before:,} parameters"
    assert after == before, f"{name} has {after:,} parameters with convolutions, {before:,} without"
    return {"parameters": after}


@same_parameters.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.bias_forgotten,
        wrong_formulas.kernel_height_squared,
        wrong_formulas.formula(
            "outputs counted twice",
            "linear_parameters",
            lambda f, i, o, **more: f(i, o, **more) + o,
        ),
    ],
)
def counts_agree_for_all_sizes(formulas: Formulas, _: Proof) -> None:
    import sympy

    channels, height, width, outputs = sympy.symbols("C H W N", integer=True, positive=True)
    convolution = formulas.conv2d_parameters(channels, outputs, height, width)
    linear = formulas.linear_parameters(channels * height * width, outputs)
    expected = outputs * (channels * height * width + 1)
    for counted in (convolution, linear):
        surplus = sympy.expand(counted - expected)
        assert surplus == 0, f"the formula has {surplus} parameters more"
