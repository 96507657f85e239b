"""Fully connected layers: their weights, what they make of a map, their share in classic networks.

Documents 000 (line 39), 001 (lines 19 and 29 to 36, 68), 002 (lines 4 and 5) and 004 (lines 33 to
36).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from claims.cases import SEEDS, Convolution, convolutions, integers, pairs, sampled, wide
from claims.checks import Array, close, same
from claims.core.claim import PROOF, Claim, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import (
    FORMULAS,
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

# From maps to vectors -----------------------------------------------------------------------------


def whole_map(height: int, width: int, **sizes: Any) -> Convolution:
    """Return a convolution whose kernel is as large as the map."""
    return Convolution(height=height, width=width, kernel=(height, width), **sizes)


FLATTENED_SIZES = {
    "batch": (2, 1),
    "in_channels": (3, 1),
    "out_channels": (4, 1, 6),
    "height": (5, 1, 2),
    "width": (7, 1, 5),
}
DRAWN_SIZES = {
    "batch": st.integers(1, 3),
    "in_channels": st.integers(1, 4),
    "out_channels": st.integers(1, 6),
    "height": st.integers(1, 6),
    "width": st.integers(1, 7),
    "seed": SEEDS,
}
FLATTENED = sampled(
    "fully connected layers of 1 to 6 outputs on 1 to 3 images of 1 to 4 channels, up to 7x7",
    whole_map,
    FLATTENED_SIZES,
    DRAWN_SIZES,
)


def flat(array: Array) -> Array:
    """Write each map [C, H, W] of an array as a vector, channel by channel and row by row."""
    return array.reshape(len(array), -1)


two_axes = Claim(
    "fully-connected/maps-samples-of-features",
    says="A fully connected layer takes a tensor of samples and features and gives one of samples "
    "and features, each sample by itself.",
    cites=["001:68"],
    recorded=Holds(),
)


@two_axes.judged(
    subject=OPERATORS,
    on=FLATTENED,
    flipped_by=[
        faults.linear_bias_missing,
        faults.linear_weight_transposed,
        faults.feature_ignored,
        faults.wrong(
            "samples mixed", "linear", lambda f, x, w, b=None: f(x + x.sum(0) - x[0], w, b)
        ),
        faults.linear_in_float32,
    ],
)
def samples_stay_apart(ops: Operators, c: Convolution) -> None:
    x, weight = flat(wide(c.x)), flat(c.weight)
    rows = [[sum(w * v for w, v in zip(f, row, strict=True)) for f in weight] for row in x]
    same(ops.linear(x, weight, c.bias), np.array(rows) + c.bias, "the layer")


last_axis = Claim(
    "fully-connected/acts-on-the-last-axis",
    says="Given more axes than samples and features, or features alone, a fully connected layer "
    "maps the last axis and keeps the others.",
    cites=["001:68"],
    recorded=Holds(),
)


@last_axis.judged(
    subject=OPERATORS,
    on=Sample("inputs of 1 to 4 axes", [(7,), (2, 7), (1, 5, 7), (2, 5, 3, 7)]),
    flipped_by=[
        faults.linear_bias_missing,
        faults.feature_ignored,
        faults.wrong(
            "axes before the last reversed",
            "linear",
            lambda f, x, w, b=None: f(x.reshape(*x.shape[-2::-1], x.shape[-1]), w, b),
        ),
    ],
)
def other_axes_are_samples(ops: Operators, shape: tuple[int, ...]) -> None:
    x, weight, bias = wide(integers(1, *shape)), integers(2, 4, 7), integers(3, 4, low=1, high=9)
    expected = oracle.linear(x.reshape(-1, 7), weight, bias).reshape(*shape[:-1], 4)
    same(ops.linear(x, weight, bias), expected, "the layer")


needs_flattening = Claim(
    "fully-connected/needs-flattened-maps",
    says="Maps must be flattened for a fully connected layer that has an input for each of their "
    "values: it refuses them as they are.",
    cites=["000:39", "001:68"],
    recorded=HoldsIf("the map has more than one row or channel"),
)


@needs_flattening.judged(
    subject=LAYERS,
    on=Sample(
        "some maps of 1 to 16 channels up to 5x7",
        [(3, 5, 7), (1, 5, 7), (3, 1, 7), (16, 5, 5), (1, 1, 7), (1, 1, 1)],
    ),
    when={"the map has more than one row or channel": lambda shape: shape[0] * shape[1] > 1},
    flipped_by=[
        wrong_formulas.layer(
            "the layer flattens",
            "Linear",
            lambda f, i, o, **options: _flattening(f(i, o, **options)),
        ),
        wrong_formulas.layer(
            "inputs for one row only", "Linear", lambda f, i, o, **options: f(7, o, **options)
        ),
    ],
)
def maps_are_refused(layers: Layers, shape: tuple[int, int, int]) -> None:
    import torch

    layer, maps = layers.Linear(int(np.prod(shape)), 4), torch.ones(2, *shape)
    outputs: list[tuple[int, ...] | None] = []
    for given in (layers.Flatten()(maps), maps):
        try:
            outputs.append(tuple(layer(given).shape))
        except RuntimeError:
            outputs.append(None)
    assert outputs[0] == (2, 4), f"flattened maps of {list(shape)} give {outputs[0]}"
    assert outputs[1] is None, f"maps of {list(shape)} are taken as they are, and give {outputs[1]}"


def _flattening(layer: Any) -> Any:
    from torch import nn

    return nn.Sequential(nn.Flatten(), layer)


# How many weights ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dense:
    """The sizes of a fully connected layer on a map, and of a square kernel to compare with."""

    in_channels: int
    height: int
    width: int
    outputs: int
    kernel: int = 3
    bias: bool = False


DENSE_LAYERS = sampled(
    "fully connected layers of up to 200 outputs on maps of up to 32 channels and 9x9 pixels",
    Dense,
    {
        "in_channels": (3, 16, 1),
        "height": (5, 1),
        "width": (7, 2),
        "outputs": (10, 120),
        "bias": (False, True),
    },
    {
        "in_channels": st.integers(1, 32),
        "height": st.integers(1, 9),
        "width": st.integers(1, 9),
        "outputs": st.integers(1, 200),
        "bias": st.booleans(),
    },
)


def size(layer: Any) -> int:
    """Count the parameters of a layer."""
    return sum(parameter.numel() for parameter in layer.parameters())


parameters = Claim(
    "fully-connected/parameter-count",
    says="The number of parameters of a fully connected layer on a map is the product of its "
    "channels, its height, its width and the outputs.",
    cites=["001:31"],
    recorded=HoldsIf("no bias"),
)


@parameters.judged(
    subject=LAYERS,
    on=DENSE_LAYERS,
    when={"no bias": lambda c: not c.bias},
    flipped_by=[
        wrong_formulas.layer(
            "no layer has biases", "Linear", lambda f, *a, **o: f(*a, **o | {"bias": False})
        ),
        wrong_formulas.layer(
            "one input more", "Linear", lambda f, i, o, **options: f(i + 1, o, **options)
        ),
    ],
)
def product_of_four_sizes(layers: Layers, c: Dense) -> None:
    inputs = c.in_channels * c.height * c.width
    counted = size(layers.Linear(inputs, c.outputs, bias=c.bias, device="meta"))
    assert counted == inputs * c.outputs, (
        f"{c.in_channels} maps of {c.height}x{c.width} to {c.outputs} outputs: {counted} "
        f"parameters, not {inputs * c.outputs}"
    )


@parameters.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.formula(
            "a bias always counted",
            "linear_parameters",
            lambda f, *a, **o: f(*a, **o | {"bias": True}),
        )
    ],
)
def formula_is_that_product(formulas: Formulas, _: Proof) -> None:
    import sympy

    channels, height, width, outputs = sympy.symbols("C H W N", integer=True, positive=True)
    counted = formulas.linear_parameters(channels * height * width, outputs, bias=False)
    surplus = sympy.expand(counted - channels * height * width * outputs)
    assert surplus == 0, f"the formula has {surplus} parameters more"


all_parameters = Claim(
    "fully-connected/parameter-count-with-biases",
    says="A fully connected layer with biases has one parameter more for each output: the product "
    "of inputs and outputs, plus the outputs.",
    cites=["001:31"],
    recorded=Holds(),
)


@all_parameters.judged(
    subject=LAYERS,
    on=DENSE_LAYERS,
    flipped_by=[
        wrong_formulas.layer("inputs for outputs", "Linear", lambda f, i, o, **options: f(o, i)),
        wrong_formulas.layer(
            "no layer has biases", "Linear", lambda f, *a, **o: f(*a, **o | {"bias": False})
        ),
    ],
)
def weights_and_biases(layers: Layers, c: Dense) -> None:
    inputs = c.in_channels * c.height * c.width
    counted = size(layers.Linear(inputs, c.outputs, device="meta"))
    assert counted == (inputs + 1) * c.outputs, f"{inputs} to {c.outputs}: {counted} parameters"


@all_parameters.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.formula(
            "inputs for outputs", "linear_parameters", lambda f, i, o, **options: f(o, i, **options)
        ),
        wrong_formulas.formula(
            "biases forgotten",
            "linear_parameters",
            lambda f, *a, **o: f(*a, **o | {"bias": False}),
        ),
    ],
)
def formula_counts_the_same(formulas: Formulas, _: Proof) -> None:
    import sympy

    inputs, outputs = sympy.symbols("F N", integer=True, positive=True)
    surplus = sympy.expand(formulas.linear_parameters(inputs, outputs) - (inputs + 1) * outputs)
    assert surplus == 0, f"the formula has {surplus} parameters more"


ratio = Claim(
    "fully-connected/costs-map-over-kernel-times-a-convolution",
    says="With the same channels in and out, a fully connected layer on a map has as many times "
    "the weights of a convolution as the kernel of the convolution fits into the map by area.",
    cites=["001:31-32"],
    recorded=Holds(),
)


@ratio.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.kernel_height_squared,
        wrong_formulas.formula(
            "inputs counted by channel",
            "linear_parameters",
            lambda f, i, o, **options: f(i.args[0], o, **options),
        ),
    ],
)
def formulas_have_that_ratio(formulas: Formulas, _: Proof) -> None:
    import sympy

    sizes = sympy.symbols("C O H W kh kw", integer=True, positive=True)
    channels, outputs, height, width, rows, columns = sizes
    dense = formulas.linear_parameters(channels * height * width, outputs, bias=False)
    convolution = formulas.conv2d_parameters(channels, outputs, rows, columns, bias=False)
    excess = sympy.simplify(dense / convolution - height * width / (rows * columns))
    assert excess == 0, f"the ratio is larger by {excess}"


@ratio.judged(
    subject=LAYERS,
    on=[Dense(16, 5, 5, 120, 5), Dense(256, 6, 6, 4096, 3), Dense(512, 7, 7, 4096, 3)],
    flipped_by=[
        wrong_formulas.layer(
            "one input more", "Linear", lambda f, i, o, **options: f(i + 1, o, **options)
        ),
        wrong_formulas.layer(
            "kernel one larger",
            "Conv2d",
            lambda f, i, o, kernel, **options: f(i, o, kernel + 1, **options),
        ),
    ],
)
def real_layers_have_it(layers: Layers, c: Dense) -> dict[str, float]:
    inputs = c.in_channels * c.height * c.width
    dense = size(layers.Linear(inputs, c.outputs, bias=False, device="meta"))
    convolution = size(layers.Conv2d(c.in_channels, c.outputs, c.kernel, bias=False, device="meta"))
    assert dense == inputs * c.outputs, f"{dense} weights in the fully connected layer"
    assert dense * c.kernel**2 == convolution * c.height * c.width, f"{dense} : {convolution}"
    return {"fully connected": dense, "convolution": convolution, "ratio": dense / convolution}


# A convolution with a kernel as large as the map --------------------------------------------------

equals_convolution = Claim(
    "fully-connected/equals-full-size-convolution",
    says="A fully connected layer on the flattened map is a convolution without padding whose "
    "kernel is as large as the map: the same weights give the same outputs and gradients.",
    cites=["001:31", "001:34", "002:4", "002:5"],
    recorded=Holds(),
)


@equals_convolution.judged(
    subject=OPERATORS,
    on=FLATTENED,
    flipped_by=[
        faults.bias_missing,
        faults.kernel_flipped,
        faults.channel_ignored,
        faults.axes_swapped,
        faults.one_more_padding,
        faults.linear_bias_missing,
        faults.linear_weight_transposed,
        faults.conv2d_in_float32,
        faults.linear_in_float32,
    ],
)
def both_give_the_same(ops: Operators, c: Convolution) -> None:
    x = wide(c.x)
    expected = oracle.linear(flat(x), flat(c.weight), c.bias)
    same(ops.conv2d(x, c.weight, c.bias), expected[:, :, None, None], "the convolution")
    expected = oracle.conv2d(x, c.weight, c.bias)[:, :, 0, 0]
    same(ops.linear(flat(x), flat(c.weight), c.bias), expected, "the fully connected layer")


@equals_convolution.judged(
    subject=OPERATORS,
    on=FLATTENED,
    flipped_by=[
        faults.input_gradient_flipped,
        faults.weight_gradient_of_first_image,
        faults.bias_gradient_missing,
        faults.linear_weight_gradient_halved,
        faults.linear_input_gradient_transposed,
        faults.conv2d_gradients_in_float32,
        faults.in_float32("linear_gradients"),
    ],
)
def both_have_the_same_gradients(ops: Operators, c: Convolution) -> None:
    gradient = wide(c.output_gradient)
    dense = oracle.linear_gradients(flat(c.x), flat(c.weight), flat(gradient))
    names = ("input", "weight", "bias")
    for name, found, expected in zip(
        names, ops.conv2d_gradients(c.x, c.weight, gradient), dense, strict=True
    ):
        reshaped = expected.reshape(getattr(c, {"input": "x"}.get(name, name)).shape)
        same(found, reshaped, f"the convolution's gradient of the {name}")
    sliding = oracle.conv2d_gradients(c.x, c.weight, gradient)
    for name, found, expected in zip(
        names, ops.linear_gradients(flat(c.x), flat(c.weight), flat(gradient)), sliding, strict=True
    ):
        flattened = expected if name == "bias" else flat(expected)
        same(found, flattened, f"the fully connected layer's gradient of the {name}")


@dataclass(frozen=True)
class Neurons(Convolution):
    """Neurons that read a whole map, with biases or without."""

    biased: bool = False


NEURONS = sampled(
    "1 to 6 neurons, with biases and without, on 1 to 3 images of 1 to 4 channels, up to 7x7",
    lambda height, width, **sizes: Neurons(
        height=height, width=width, kernel=(height, width), **sizes
    ),
    {**FLATTENED_SIZES, "biased": (False, True)},
    {**DRAWN_SIZES, "biased": st.booleans()},
)

neuron = Claim(
    "fully-connected/neuron-is-its-filter-times-the-map",
    says="The output of a neuron that is connected to every value of a map is the activation of "
    "the product of the map with one filter of the map's size, summed up.",
    cites=["002:4"],
    recorded=HoldsIf("the neuron has no bias"),
)


@neuron.judged(
    subject=OPERATORS,
    on=NEURONS,
    when={"the neuron has no bias": lambda c: not c.biased},
    flipped_by=[
        faults.feature_ignored,
        faults.linear_weight_transposed,
        faults.linear_bias_missing,
        faults.linear_in_float32,
        faults.relu_missing,
        faults.relu_leaky,
        faults.relu_absolute,
    ],
)
def activated_product_with_the_filter(ops: Operators, c: Neurons) -> None:
    x, bias = wide(c.x), wide(c.bias) if c.biased else None
    outputs = ops.relu(ops.linear(flat(x), flat(c.weight), bias))
    products = x[:, np.newaxis] * c.weight
    same(outputs, np.maximum(products.sum(axis=(2, 3, 4)), 0), "the neurons")


SLIDING = convolutions(
    "convolutions without padding of 1 to 2 images, 1 to 4 channels, maps up to 9x9",
    {
        "batch": (2, 1),
        "in_channels": (3, 1),
        "out_channels": (4, 1),
        "height": (7, 6),
        "width": (6, 9),
        "kernel": ((2, 3), (5, 4), (1, 6)),
        "stride": ((1, 1), (2, 1), (1, 3)),
    },
    {
        "batch": st.integers(1, 2),
        "in_channels": st.integers(1, 4),
        "out_channels": st.integers(1, 4),
        "height": st.integers(4, 9),
        "width": st.integers(4, 9),
        "kernel": pairs(1, 4),
        "stride": pairs(1, 3),
    },
)

slides = Claim(
    "fully-connected/slides-over-larger-maps-as-a-convolution",
    says="Over a larger map that convolution gives, at every offset, what the fully connected "
    "layer gives for the part of the map that lies under the kernel.",
    cites=["001:31", "002:5"],
    recorded=Holds(),
)


@slides.judged(
    subject=OPERATORS,
    on=SLIDING,
    flipped_by=[
        faults.stride_swapped,
        faults.kernel_transposed,
        faults.kernel_flipped,
        faults.shifted,
        faults.weight_by_position,
        faults.bias_subtracted,
        faults.conv2d_in_float32,
    ],
)
def every_window_is_a_dense_input(ops: Operators, c: Convolution) -> None:
    expected = np.empty(c.output_gradient.shape)
    for y, x in itertools.product(*map(range, expected.shape[2:])):
        top, left = y * c.stride[0], x * c.stride[1]
        window = wide(c.x)[:, :, top : top + c.kernel[0], left : left + c.kernel[1]]
        expected[:, :, y, x] = oracle.linear(flat(window), flat(c.weight), c.bias)
    same(ops.conv2d(wide(c.x), c.weight, c.bias, **c.options), expected, "the convolution")


lenet_hidden_layer = Claim(
    "fully-connected/lenet-hidden-layer-is-a-5x5-convolution",
    says="The layer of LeNet that takes 16 maps of 5x5 to 120 numbers is a 5x5 convolution with "
    "120 filters: with the same 48,120 parameters it gives the same.",
    cites=["001:34"],
    recorded=Holds(),
)


def _columns_first(model: Any) -> None:
    flatten = model.get_submodule(surgeries.of_kind(model, "Flatten")[0])
    flatten.register_forward_pre_hook(lambda _, inputs: (inputs[0].mT,))


@lenet_hidden_layer.judged(
    subject=MODELS_WITH_WEIGHTS,
    on=["lenet5"],
    flipped_by=[
        surgeries.surgery("maps flattened column by column", _columns_first),
        surgeries.biases_dropped,
        surgeries.first_linear_removed,
    ],
)
def lenet_with_a_convolution(models: Models, name: str) -> dict[str, int]:
    import torch

    model: Any = models(name)
    flatten, hidden = (int(surgeries.of_kind(model, kind)[0]) for kind in ("Flatten", "Linear"))
    counted = counting.layer_parameters(model)[str(hidden)]
    assert counted == (16 * 5 * 5 + 1) * 120, f"the layer has {counted} parameters"

    images = torch.from_numpy(integers(1, 2, 1, 28, 28))
    with torch.no_grad():
        maps, numbers = model[:flatten](images).numpy(), model[: hidden + 1](images).numpy()
    assert maps.shape[1:] == (16, 5, 5), f"the layer reads maps of {maps.shape[1:]}"
    weight, bias = (parameter.detach().numpy() for parameter in model[hidden].parameters())
    convolved = oracle.conv2d(maps, weight.reshape(120, 16, 5, 5), bias)
    close(numbers, convolved[:, :, 0, 0], "the hidden layer")
    return {"parameters": counted}


# What becomes of the spatial structure ------------------------------------------------------------

GIVES_UP_STRUCTURE = "a fully connected layer gives up the spatial structure"

pixel_order = Claim(
    "fully-connected/cannot-tell-near-pixels-from-far",
    says="However the pixels of all images are rearranged, a fully connected layer whose weights "
    "are rearranged alike gives what it gave, and so do its gradients: neighbours mean nothing.",
    cites=["001:33"],
    recorded=Holds(),
    reading_of=GIVES_UP_STRUCTURE,
)


@pixel_order.judged(
    subject=OPERATORS,
    on=FLATTENED,
    flipped_by=[
        faults.linear_bias_missing,
        faults.linear_weight_transposed,
        faults.feature_ignored,
        faults.wrong(
            "features blurred with the next",
            "linear",
            lambda f, x, w, b=None: f(x + np.roll(x, 1, axis=-1), w, b),
        ),
        faults.linear_weight_gradient_halved,
        faults.linear_input_gradient_transposed,
        faults.linear_in_float32,
        faults.in_float32("linear_gradients"),
    ],
)
def rearranged_weights_make_up_for_it(ops: Operators, c: Convolution) -> None:
    order = np.random.default_rng(c.seed).permutation(c.height * c.width)

    def rearranged(array: Array) -> Array:
        return flat(array.reshape(*array.shape[:2], -1)[:, :, order])

    expected = oracle.linear(flat(wide(c.x)), flat(c.weight), c.bias)
    same(ops.linear(rearranged(wide(c.x)), rearranged(c.weight), c.bias), expected, "the output")
    gradient = flat(wide(c.output_gradient))
    of_input, of_weight, of_bias = ops.linear_gradients(
        rearranged(c.x), rearranged(c.weight), gradient
    )
    straight = oracle.linear_gradients(flat(c.x), flat(c.weight), gradient)
    same(of_input, rearranged(straight[0].reshape(c.x.shape)), "the gradient of the input")
    same(of_weight, rearranged(straight[1].reshape(c.weight.shape)), "the gradient of the weights")
    same(of_bias, straight[2], "the gradient of the biases")


KERNELS_ON_MAPS = convolutions(
    "convolutions without padding, kernels up to the whole map of up to 5x7",
    {
        "batch": (2, 1),
        "in_channels": (3, 1),
        "out_channels": (4, 1),
        "height": (5,),
        "width": (7,),
        "kernel": ((5, 7), (2, 3), (5, 6), (4, 7), (1, 1)),
    },
    {
        "batch": st.integers(1, 2),
        "in_channels": st.integers(1, 3),
        "out_channels": st.integers(1, 3),
        "height": st.integers(2, 4),
        "width": st.integers(2, 4),
        "kernel": pairs(1, 4),
    },
)

turned_image = Claim(
    "fully-connected/no-kernel-makes-up-for-rearranged-pixels",
    says="A convolution depends on which pixels lie together: when images are turned upside down, "
    "no other weights make it give what it gave.",
    cites=["001:33", "001:19"],
    recorded=HoldsIf("the kernel is smaller than the map"),
)


@turned_image.judged(
    subject=OPERATORS,
    on=KERNELS_ON_MAPS,
    when={"the kernel is smaller than the map": lambda c: c.kernel != (c.height, c.width)},
    flipped_by=[
        faults.neighbours_mixed,
        faults.kernel_flipped,
        faults.channel_ignored,
        faults.weight_by_input,
        faults.weight_by_position,
        faults.axes_swapped,
        faults.wrong(
            "every output sees the whole map",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, w, b, **o) + x.sum(axis=(1, 2, 3), keepdims=True),
        ),
    ],
)
def the_first_output_loses_the_first_pixel(ops: Operators, c: Convolution) -> None:
    bumped = c.x.copy()
    bumped[:, 0, 0, 0] += 1
    upright = oracle.conv2d(c.x, c.weight)
    same(ops.conv2d(c.x, c.weight), upright, "the convolution")
    upright[:, :, 0, 0] += c.weight[:, 0, 0, 0]
    same(ops.conv2d(bumped, c.weight), upright, "the convolution with the first pixel raised")

    # Turned, that pixel is the last one, and no weight of the first output reads it.
    turned, bumped = (x[:, :, ::-1, ::-1].copy() for x in (c.x, bumped))
    effect = ops.conv2d(bumped, c.weight) - ops.conv2d(turned, c.weight)
    assert not effect[:, :, 0, 0].any(), f"a kernel {c.kernel} still reads it, at its last tap"


every_position = Claim(
    "fully-connected/weighs-every-position-on-its-own",
    says="A fully connected layer has for every position and channel of the map a weight of its "
    "own, so where something lies is not lost on it.",
    cites=["001:33", "002:4"],
    recorded=Holds(),
)


@every_position.judged(
    subject=OPERATORS,
    on=FLATTENED,
    flipped_by=[
        faults.feature_ignored,
        faults.linear_weight_transposed,
        faults.linear_bias_missing,
        faults.linear_in_float32,
    ],
)
def one_pixel_gives_its_weights(ops: Operators, c: Convolution) -> None:
    weight = flat(c.weight)
    images = wide(np.eye(weight.shape[1]))  # a pixel of one channel each
    same(ops.linear(images, weight, c.bias), wide(weight).T + c.bias, "the output for each pixel")


loses_positions = Claim(
    "fully-connected/loses-positions",
    says="A fully connected layer gives the same wherever on the map a pattern lies.",
    cites=["001:33"],
    recorded=Refuted(instead="fully-connected/weighs-every-position-on-its-own"),
    reading_of=GIVES_UP_STRUCTURE,
)


@loses_positions.judged(
    subject=OPERATORS,
    on=FLATTENED,
    flipped_by=[
        faults.wrong(
            "one weight for all features",
            "linear",
            lambda f, x, w, b=None: f(x, np.repeat(w[:, :1], w.shape[1], axis=1), b),
        )
    ],
)
def moving_changes_nothing(ops: Operators, c: Convolution) -> None:
    moved = np.roll(c.x, 1, axis=3)
    before, after = (ops.linear(flat(x), flat(c.weight), c.bias) for x in (c.x, moved))
    one = np.unravel_index(abs(after - before).argmax(), before.shape)
    assert (before == after).all(), (
        f"moved one column to the right, a pattern gives {after[one]:g} instead of {before[one]:g}"
    )


# Their share of classic networks ------------------------------------------------------------------

WIDTHS = {
    "lenet5": (16 * 5 * 5, 120, 84, 10),
    "alexnet": (256 * 6 * 6, 4096, 4096, 1000),
    "lecture-alexnet": (256 * 5 * 5, 4096, 4096, 10),
    "lecture-vgg11": (512 * 7 * 7, 4096, 4096, 10),
    **dict.fromkeys(["vgg11", "vgg13", "vgg16", "vgg19"], (512 * 7 * 7, 4096, 4096, 1000)),
}
IN_CONVOLUTIONS = {
    "lenet5": 2_572,
    "alexnet": 2_469_696,
    "lecture-alexnet": 3_723_968,
    "lecture-vgg11": 9_219_328,
    "vgg11": 9_220_480,
    "vgg13": 9_404_992,
    "vgg16": 14_714_688,
    "vgg19": 20_024_384,
}


def parts(models: Models, name: str) -> tuple[int, int]:
    """Count the parameters in fully connected layers, and all parameters of a model."""
    counts = counting.layer_parameters(models(name))
    dense = sum(counts.get(layer, 0) for layer in surgeries.of_kind(models(name), "Linear"))
    return dense, sum(counts.values())


def known_parts(models: Models, name: str) -> tuple[int, int]:
    """Count as `parts` does, and assert that it is what the widths of the layers say."""
    dense, total = parts(models, name)
    expected = sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(WIDTHS[name]))
    assert dense == expected, f"{name} has {dense} in fully connected layers, not {expected}"
    others = total - dense
    assert others == IN_CONVOLUTIONS[name], f"{name} has {others} in its convolutions"
    return dense, total


great_majority = Claim(
    "fully-connected/hold-the-great-majority-of-parameters",
    says="In AlexNet and VGG the great majority of all parameters (more than 85 %) are in the "
    "fully connected layers.",
    cites=["001:29"],
    recorded=Holds(),
)


@great_majority.judged(
    subject=MODELS,
    on=[name for name in WIDTHS if name != "lenet5"],
    flipped_by=[
        surgeries.first_linear_removed,
        surgeries.last_linear_removed,
        surgeries.biases_dropped,
        surgeries.outputs_doubled,
        surgeries.last_convolution_removed,
    ],
)
def dense_layers_outweigh_all(models: Models, name: str) -> dict[str, float]:
    dense, total = known_parts(models, name)
    assert dense > 0.85 * total, f"{name} has {dense} of {total} in fully connected layers"
    return {"fully connected": dense, "all": total, "share": dense / total}


LATER = ["resnet18", "resnet50", "googlenet", "mobilenet_v3_small"]

most_parameters = Claim(
    "fully-connected/hold-most-parameters",
    says="Most parameters of a convolutional network are in its fully connected layers.",
    cites=["000:39", "004:33", "004:36"],
    recorded=HoldsIf("the network is LeNet, AlexNet or VGG"),
)


@most_parameters.judged(
    subject=MODELS,
    on=[*WIDTHS, *LATER],
    when={"the network is LeNet, AlexNet or VGG": lambda name: name in WIDTHS},
    flipped_by=[surgeries.linear_layers_removed, surgeries.biases_dropped],
)
def dense_layers_have_more_than_half(models: Models, name: str) -> dict[str, float]:
    dense, total = (known_parts if name in WIDTHS else parts)(models, name)
    assert 2 * dense > total, f"{name} has {dense} of {total} in fully connected layers"
    return {"fully connected": dense, "all": total, "share": dense / total}


flatten_then_classify = Claim(
    "fully-connected/classify-the-flattened-maps",
    says="The traditional networks flatten the last maps, which are larger than 1x1, to a vector, "
    "and classify it with fully connected layers and nothing else.",
    cites=["000:39", "001:19", "001:32", "004:36", "002:4"],
    recorded=Holds(),
)


def _averaged_first(model: Any) -> None:
    from torch import nn

    pools = surgeries.of_kind(model, "AdaptiveAvgPool2d")
    place = (pools or surgeries.of_kind(model, "Flatten"))[0]
    average = nn.AdaptiveAvgPool2d(1)
    surgeries.put(model, place, average if pools else nn.Sequential(average, nn.Flatten()))
    channels = model.get_submodule(surgeries.of_kind(model, "Conv2d")[-1]).out_channels
    first = surgeries.of_kind(model, "Linear")[0]
    outputs = model.get_submodule(first).out_features
    surgeries.put(model, first, nn.Linear(channels, outputs, device="meta"))


def _convolved_first(model: Any) -> None:
    from torch import nn

    first = surgeries.of_kind(model, "Linear")[0]
    convolution = nn.Conv1d(1, 1, 1, device="meta")
    layers = (nn.Unflatten(1, (1, -1)), convolution, nn.Flatten(), model.get_submodule(first))
    surgeries.put(model, first, nn.Sequential(*layers))


@flatten_then_classify.judged(
    subject=MODELS,
    on=list(WIDTHS),
    flipped_by=[
        surgeries.linear_layers_removed,
        surgeries.last_linear_removed,
        surgeries.surgery("maps averaged first", _averaged_first),
        surgeries.surgery("vector convolved first", _convolved_first),
    ],
)
def vector_holds_the_last_maps(models: Models, name: str) -> dict[str, str | int]:
    image = (1, 28, 28) if name == "lenet5" else (1 if "lecture" in name else 3, 224, 224)
    records = traced(models(name), 1, *image)
    spatial = [record for record in records if len(record.output_shape) == 4]
    after = [one for one in records[records.index(spatial[-1]) + 1 :] if one.parameters]
    kinds = {record.kind for record in after}
    assert kinds == {"Linear"}, f"after the last maps of {name} come layers {sorted(kinds)}"
    _, *maps = spatial[-1].output_shape
    values = int(np.prod(maps))
    assert min(maps[1:]) > 1, f"the last maps of {name} are {maps}"
    assert after[0].input_shape == (1, values), f"{name} classifies {after[0].input_shape}"
    classes = WIDTHS[name][-1]
    assert records[-1].output_shape == (1, classes), f"{name} ends in {records[-1].output_shape}"
    return {"maps": "x".join(map(str, maps)), "vector": values}


# Overfitting --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Noise:
    """Maps of noise [images, 4, 8, 8] with random labels, and whether the head averages them."""

    seed: int
    images: int = 60
    averaged: bool = False


memorises = Claim(
    "fully-connected/head-memorises-random-labels",
    says="A trained fully connected head fits labels that have nothing to do with the images, and "
    "is at chance on new ones.",
    cites=["000:39", "001:30", "004:36"],
    recorded=HoldsIf("the maps are not averaged first", "the images are few"),
)


def _averages_inputs(_: Any, inputs: int, outputs: int) -> Any:  # noqa: ARG001
    from torch import nn

    return nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Linear(1, outputs))


@memorises.judged(
    subject=LAYERS,
    on=Sample(
        "60 or 700 images of noise, from some seeds",
        [*map(Noise, range(3)), Noise(3, averaged=True), Noise(4, images=700)],
    ),
    when={
        "the maps are not averaged first": lambda c: not c.averaged,
        "the images are few": lambda c: c.images < 4 * 8 * 8,
    },
    flipped_by=[
        wrong_formulas.layer("a layer averages its inputs", "Linear", _averages_inputs),
        wrong_formulas.layer(
            "the loss sees no labels",
            "CrossEntropyLoss",
            lambda f, *a, **o: f(*a, **o, label_smoothing=1.0),
        ),
    ],
)
def training_accuracy_is_perfect(layers: Layers, c: Noise) -> None:
    import torch

    rng = np.random.default_rng(c.seed)
    images = torch.from_numpy(rng.standard_normal((c.images + 1000, 4, 8, 8)))
    labels = torch.from_numpy(rng.integers(0, 2, len(images)))
    if c.averaged:
        head = layers.Sequential(
            layers.AdaptiveAvgPool2d(1), layers.Flatten(), layers.Linear(4, 2)
        ).double()
    else:
        head = layers.Sequential(layers.Flatten(), layers.Linear(4 * 8 * 8, 2)).double()
    weights = list(head.parameters())
    loss = layers.CrossEntropyLoss()
    torch.nn.utils.vector_to_parameters(torch.zeros(size(head)).double(), weights)
    for _ in range(60):
        error = loss(head(images[: c.images]), labels[: c.images])
        for weight, gradient in zip(weights, torch.autograd.grad(error, weights), strict=True):
            weight.data -= 0.5 * gradient
    right = head(images).argmax(dim=1) == labels
    fitted, new = right[: c.images].double().mean().item(), right[c.images :].double().mean().item()
    assert fitted == 1, f"{fitted:.0%} of the labels of {c.images} images are fitted"
    assert abs(new - 0.5) < 0.1, f"{new:.0%} of new images are right"  # 6.3 deviations of chance
