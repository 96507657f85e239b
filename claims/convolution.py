"""Convolution: a linear operation, its tensors and weights, and what one filter can tell apart.

Documents 000 (lines 11 and 21), 001 (lines 31 and 68) and 003 (line 77).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from claims.cases import CONVOLUTIONS, Convolution, integers, pairs, sampled, wide
from claims.checks import Array, same
from claims.core.claim import PROOF, Claim, Domain, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import operators as faults
from claims.subjects import FORMULAS, LAYERS, OPERATORS, Formulas, Layers
from nin_ref import oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

# A linear operation -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Superposition(Convolution):
    """A convolution of `factor` times one image plus another."""

    factor: int = 2
    biased: bool = False

    @functools.cached_property
    def other(self) -> Array:
        """The other image [N, C, H, W]."""
        return integers(self.seed + 4, *self.x.shape)


def superposition(c: Convolution, factor: int, biased: bool) -> Superposition:
    """Return the convolution with a second image, a factor, and a bias or none."""
    return Superposition(**dataclasses.asdict(c), factor=factor, biased=biased)


SUPERPOSITIONS = Domain(
    f"{CONVOLUTIONS.described}, with and without biases, of sums of images",
    strategy=st.builds(
        superposition, CONVOLUTIONS.strategy, st.sampled_from([-3, -1, 2, 5]), st.booleans()
    ),
    covering=[
        superposition(c, (2, -1, -3)[i % 3], biased=i % 2 == 1)
        for i, c in enumerate(CONVOLUTIONS.covering)
    ],
    grid=lambda: (
        superposition(c, factor=-3, biased=biased)
        for c in CONVOLUTIONS.grid()
        for biased in (False, True)
    ),
)

is_linear = Claim(
    "convolution/is-linear",
    says="A convolution is a linear operation: it takes a multiple of one image plus another to "
    "the same multiple of its output for the one plus its output for the other.",
    cites=["000:21"],
    recorded=HoldsIf("no bias"),
)


@is_linear.judged(
    subject=OPERATORS,
    on=SUPERPOSITIONS,
    when={"no bias": lambda c: not c.biased},
    flipped_by=[
        faults.weight_by_input,
        faults.bias_missing,
        faults.padded_by_edge,
        faults.conv2d_in_float32,
        faults.rectified,
        faults.wrong("output zero", "conv2d", lambda f, *a, **o: np.zeros_like(f(*a, **o))),
    ],
)
def sums_and_multiples_pass_through(ops: Operators, c: Superposition) -> None:
    bias = c.bias if c.biased else None
    images = wide(c.x), c.other
    one, other = (ops.conv2d(x, c.weight, bias, **c.options) for x in images)
    both = ops.conv2d(c.factor * images[0] + images[1], c.weight, bias, **c.options)
    same(both, c.factor * one + other, "the output for the sum")
    if not c.biased:
        one, other = (oracle.conv2d(x, c.weight, **c.options) for x in images)
        same(both, c.factor * one + other, "the output for the sum")


PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@is_linear.judged(
    subject=LAYERS,
    on=Sample("a convolution layer in each padding mode", list(PADDING_MODES)),
    flipped_by=[
        wrong_formulas.padding_added,
        wrong_formulas.layer(
            "every mode pads with zeros",
            "Conv2d",
            lambda f, *a, **o: f(*a, **o | {"padding_mode": "zeros"}),
        ),
    ],
)
def in_every_padding_mode(layers: Layers, mode: str) -> None:
    import torch

    one, other = integers(1, 2, 3, 5, 4), integers(2, 2, 3, 5, 4)
    layer = layers.Conv2d(3, 6, (3, 2), padding=1, padding_mode=mode, bias=False).double()
    for parameter in layer.parameters():
        parameter.data = torch.from_numpy(integers(3, *parameter.shape, low=1))
    weight = integers(3, 6, 3, 3, 2, low=1)
    both: Array = layer(torch.from_numpy(2 * one + other)).detach().numpy()
    margins = ((0, 0), (0, 0), (1, 1), (1, 1))
    padded = [np.pad(x, margins, mode=PADDING_MODES[mode]) for x in (one, other)]  # type: ignore[call-overload]
    expected = 2 * oracle.conv2d(padded[0], weight) + oracle.conv2d(padded[1], weight)
    same(both, expected, f"the output for the sum, padded by {mode!r}")


is_a_matrix = Claim(
    "convolution/is-one-fixed-matrix",
    says="A convolution multiplies every flattened image by one and the same matrix, which holds a "
    "weight where an output reads a pixel and else zero, and adds the biases; its gradients are "
    "those of that matrix.",
    cites=["000:21"],
    recorded=Holds(),
)


def matrix(c: Convolution) -> Array:
    """Write the convolution as an array [O, H', W', C, H, W], tap by tap."""
    sizes = (c.height, c.width)
    entries = np.zeros((*c.output_gradient.shape[2:], *sizes, c.out_channels, c.in_channels))
    blocks = np.kron(
        np.eye(c.groups), np.ones((c.out_channels // c.groups, c.in_channels // c.groups))
    )
    for taps in itertools.product(range(c.kernel[0]), range(c.kernel[1])):
        places = []
        for axis, tap in enumerate(taps):
            outputs = np.arange(entries.shape[axis])
            read = outputs * c.stride[axis] - c.padding[axis] + tap * c.dilation[axis]
            inside = (read >= 0) & (read < sizes[axis])
            places.append((outputs[inside], read[inside]))
        (y, row), (x, column) = places
        weight = np.tile(c.weight[:, :, *taps], c.groups) * blocks
        entries[y[:, None], x, row[:, None], column] = weight
    return entries.transpose(4, 0, 1, 5, 2, 3)


@is_a_matrix.judged(
    subject=OPERATORS,
    on=CONVOLUTIONS,
    flipped_by=[
        faults.kernel_flipped,
        faults.kernel_transposed,
        faults.stride_swapped,
        faults.dilation_ignored,
        faults.groups_interleaved,
        faults.bias_subtracted,
        faults.sum_over_batch,
        faults.conv2d_in_float32,
    ],
)
def convolution_equals_matrix_product(ops: Operators, c: Convolution) -> None:
    expected = wide(np.tensordot(c.x, matrix(c), ((1, 2, 3), (3, 4, 5)))) + c.bias[:, None, None]
    for x, weight in ((wide(c.x), c.weight), (c.x, wide(c.weight))):
        same(ops.conv2d(x, weight, c.bias, **c.options), expected, "the convolution")


@is_a_matrix.judged(
    subject=OPERATORS,
    on=CONVOLUTIONS,
    flipped_by=[
        faults.input_gradient_flipped,
        faults.input_gradient_transposed,
        faults.weight_gradient_of_first_image,
        faults.weight_gradient_averaged,
        faults.bias_gradient_missing,
        faults.conv2d_gradients_in_float32,
    ],
)
def gradients_equal_transposed_product(ops: Operators, c: Convolution) -> None:
    pulled = wide(c.output_gradient)
    of_input, of_weight, of_bias = ops.conv2d_gradients(c.x, c.weight, pulled, **c.options)
    expected = np.tensordot(pulled, matrix(c), 3)
    same(of_input, expected, "the gradient of the input")
    _, expected, _ = oracle.conv2d_gradients(c.x, c.weight, pulled, **c.options)
    same(of_weight, expected, "the gradient of the weights")
    same(of_bias, pulled.sum(axis=(0, 2, 3)), "the gradient of the biases")


# Four axes ----------------------------------------------------------------------------------------

four_axes = Claim(
    "convolution/takes-and-gives-four-axes",
    says="The input and the output of a convolution layer are tensors with four axes.",
    cites=["001:68"],
    recorded=HoldsIf("images come in batches"),
)


@four_axes.judged(
    subject=LAYERS,
    on=Sample("inputs of 2 to 5 axes", [(7, 5), (3, 7, 5), (2, 3, 7, 5), (1, 2, 3, 7, 5)]),
    when={"images come in batches": lambda shape: len(shape) != 3},
    flipped_by=[
        wrong_formulas.padding_added,
        wrong_formulas.layer(
            "output flattened over the batch",
            "Conv2d",
            lambda f, *a, **o: _followed(f(*a, **o), "Flatten", 0, 1),
        ),
        wrong_formulas.layer(
            "single images refused",
            "Conv2d",
            lambda f, *a, **o: _followed(f(*a, **o), "BatchNorm2d", a[1]),
        ),
    ],
)
def no_other_number_of_axes(layers: Layers, shape: tuple[int, ...]) -> None:
    import torch

    layer = layers.Conv2d(3, 4, (2, 3), padding=1)
    try:
        output = tuple(layer(torch.ones(shape)).shape)
    except (RuntimeError, ValueError):
        output = ()
    expected = (2, 4, 8, 5) if len(shape) == 4 else ()
    assert output == expected, (
        f"an input of shape {list(shape)} gives {list(output) or 'no output'}"
    )


def _followed(layer: Any, kind: str, *sizes: int) -> Any:
    from torch import nn

    return nn.Sequential(layer, getattr(nn, kind)(*sizes))


axes_mean = Claim(
    "convolution/axes-are-sample-channel-height-width",
    says="The axes of a convolution's input and output are sample, channel, height and width, in "
    "this order: a number of the input reaches only its own sample, through all filters that see "
    "its channel, in the rows and columns whose windows hold it.",
    cites=["001:68", "000:11"],
    recorded=Holds(),
)


@axes_mean.judged(
    subject=OPERATORS,
    on=CONVOLUTIONS,
    flipped_by=[
        faults.sum_over_batch,
        faults.last_image_ignored,
        faults.channel_ignored,
        faults.kernel_transposed,
        faults.stride_swapped,
        faults.shifted,
        faults.axes_swapped,
        faults.groups_interleaved,
        faults.wrong(
            "last column ignored where the width is even",
            "conv2d",
            lambda f, x, *a, **o: f(
                x if x.shape[3] % 2 else x * (np.arange(x.shape[3]) < x.shape[3] - 1), *a, **o
            ),
        ),
    ],
)
def an_impulse_spreads_over_its_windows(ops: Operators, c: Convolution) -> None:
    before, weights = ops.conv2d(c.x, c.weight, c.bias, **c.options), matrix(c)
    pixels = np.random.default_rng(c.seed).integers((c.height, c.width), size=(c.in_channels, 2))
    pixels[-1] = c.height - 1, c.width - 1
    places = [(channel, *pixel) for channel, pixel in enumerate(pixels.tolist())]
    for image, place in itertools.product(range(c.batch), places):
        bumped = c.x.copy()
        bumped[image][place] += 1
        expected = np.zeros(c.output_gradient.shape)
        expected[image] = weights[:, :, :, *place]
        after = ops.conv2d(bumped, c.weight, c.bias, **c.options)
        same(after - before, expected, f"the effect of place {place} of image {image}")


# How many weights ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """The arguments of a convolution layer."""

    in_channels: int
    out_channels: int
    kernel: Pair
    groups: int = 1
    bias: bool = False
    stride: int = 1
    padding: int = 0

    def __str__(self) -> str:
        kernel = f"{self.kernel[0]}x{self.kernel[1]}"
        bias = "with" if self.bias else "without"
        return (
            f"{self.in_channels} to {self.out_channels} channels, kernel {kernel}, "
            f"groups {self.groups}, {bias} bias"
        )

    def made_of(self, layers: Layers) -> dict[str, int]:
        """Make the layer, and return the size of each of its parameters."""
        layer = layers.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel,
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
            bias=self.bias,
            device="meta",
        )
        return {name: parameter.numel() for name, parameter in layer.named_parameters()}


def layer(**arguments: Any) -> Layer | None:
    """Return the layer of these arguments, or None if its groups do not divide its channels."""
    made = Layer(**arguments)
    return None if made.in_channels % made.groups or made.out_channels % made.groups else made


CONVOLUTION_LAYERS = sampled(
    "convolution layers of 1 to 16 channels, kernels up to 7x7, in 1 to 4 groups",
    layer,
    {
        "in_channels": (1, 4, 6),
        "out_channels": (2, 8),
        "kernel": ((1, 1), (3, 3), (2, 5)),
        "groups": (1, 2),
        "bias": (False, True),
        "stride": (1, 3),
        "padding": (0, 2),
    },
    {
        "in_channels": st.sampled_from([4, 12, 16]),
        "out_channels": st.sampled_from([4, 8]),
        "kernel": pairs(1, 7),
        "groups": st.sampled_from([1, 2, 4]),
        "bias": st.booleans(),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 2),
    },
)

parameters = Claim(
    "convolution/parameter-count",
    says="The number of parameters of a convolution layer is the product of its input channels, "
    "its output channels, and the height and width of its kernel.",
    cites=["001:31"],
    recorded=HoldsIf("groups = 1", "no bias"),
)


@parameters.judged(
    subject=LAYERS,
    on=CONVOLUTION_LAYERS,
    when={"groups = 1": lambda c: c.groups == 1, "no bias": lambda c: not c.bias},
    flipped_by=[
        wrong_formulas.bias_left_out,
        wrong_formulas.groups_left_out,
        wrong_formulas.layer(
            "kernel made square",
            "Conv2d",
            lambda f, i, o, kernel, *a, **options: f(i, o, (kernel[0], kernel[0]), *a, **options),
        ),
    ],
)
def product_of_four_sizes(layers: Layers, c: Layer) -> None:
    expected = c.in_channels * c.out_channels * c.kernel[0] * c.kernel[1]
    counted = sum(c.made_of(layers).values())
    assert counted == expected, f"{c}: {counted} parameters, not {expected}"


@parameters.judged(subject=FORMULAS, on=PROOF, flipped_by=[wrong_formulas.kernel_height_squared])
def formula_is_that_product(formulas: Formulas, _: Proof) -> None:
    import sympy

    sizes = sympy.symbols("C O kh kw", integer=True, positive=True)
    surplus = formulas.conv2d_parameters(*sizes, bias=False) - sympy.Mul(*sizes)
    assert sympy.expand(surplus) == 0, f"the formula has {surplus} parameters more"


all_parameters = Claim(
    "convolution/parameter-count-with-groups-and-bias",
    says="Whatever its stride and padding, a convolution layer in g groups has a g-th of the "
    "weights that it has in one group, and if it has biases one for each output channel.",
    cites=["001:31", "003:77"],
    recorded=Holds(),
)


@all_parameters.judged(
    subject=LAYERS,
    on=CONVOLUTION_LAYERS,
    flipped_by=[wrong_formulas.bias_left_out, wrong_formulas.groups_left_out],
)
def weights_and_biases(layers: Layers, c: Layer) -> None:
    depth = c.in_channels // c.groups
    expected = {"weight": c.out_channels * depth * c.kernel[0] * c.kernel[1]}
    if c.bias:
        expected["bias"] = c.out_channels
    counted = c.made_of(layers)
    assert counted == expected, f"{c}: {counted}, not {expected}"


@all_parameters.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.bias_forgotten,
        wrong_formulas.groups_forgotten,
        wrong_formulas.kernel_height_squared,
    ],
)
def formula_counts_the_same(formulas: Formulas, _: Proof) -> None:
    import sympy

    depth, filters, groups, rows, columns = sympy.symbols(
        "d f g kh kw", integer=True, positive=True
    )
    arguments = (groups * depth, groups * filters, rows, columns)
    for bias in (False, True):
        counted = formulas.conv2d_parameters(*arguments, groups=groups, bias=bias)
        expected = groups * filters * (depth * rows * columns + int(bias))
        surplus = sympy.expand(counted - expected)
        assert surplus == 0, f"with bias={bias} the formula has {surplus} parameters more"


# What a filter and an activation can tell apart ---------------------------------------------------

NEEDS_SEPARABILITY = "convolution and activation need linearly separable instances"

PATCHES = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
LABELLINGS = list(itertools.product((0, 1), repeat=len(PATCHES)))


def separable(points: Array, labels: tuple[int, ...]) -> bool:
    """Whether a hyperplane has the points [P, F] labelled 1 on one side and the others not."""
    import z3

    weights, bias = z3.RealVector("w", points.shape[1]), z3.Real("b")
    solver = z3.Solver()
    for point, label in zip(points.astype(int).tolist(), labels, strict=True):
        height = z3.Sum([w * value for w, value in zip(weights, point, strict=True)]) + bias
        solver.add(height > 0 if label else height <= 0)
    return bool(solver.check() == z3.sat)


def filters(*ranges: Pair) -> tuple[Array, Array]:
    """Return weights and biases of all filters of whole numbers; the last range is the bias's."""
    table = np.array(list(itertools.product(*(range(a, b + 1) for a, b in ranges))), float)
    return table[:, :-1], table[:, -1]


one_filter = Claim(
    "convolution/one-filter-needs-linear-separability",
    says="A filter followed by a ReLU can respond to exactly the patches of one class only if a "
    "hyperplane separates the classes.",
    cites=["000:21"],
    recorded=Holds(),
    reading_of=NEEDS_SEPARABILITY,
)


@one_filter.judged(
    subject=OPERATORS,
    on=LABELLINGS,
    flipped_by=[faults.relu_absolute, faults.relu_missing, faults.bias_missing, faults.shifted],
)
def filters_reach_what_hyperplanes_separate(ops: Operators, labels: tuple[int, ...]) -> None:
    weight, bias = filters((-2, 2), (-2, 2), (-2, 2))
    scores = ops.conv2d(PATCHES[:, None, None], weight[:, None, None], bias)
    response = ops.relu(scores)[:, :, 0, 0]
    reached = ((response != 0) == np.array(labels)[:, None]).all(axis=0)
    assert reached.any() == separable(PATCHES, labels), (
        f"weights {weight[reached.argmax()]} and bias {bias[reached.argmax()]:g} give {labels}"
        if reached.any()
        else f"no filter gives {labels}"
    )
    expected = np.maximum(PATCHES @ weight.T + bias, 0)
    same(response, expected, "the response")


Activation = Callable[[Any], Any]


def _relu_in_z3() -> Activation:
    import z3

    return lambda value: z3.If(value > 0, value, z3.RealVal(0))


def _absolute(_: Activation) -> Activation:
    import z3

    return lambda value: z3.If(value > 0, value, -value)


ACTIVATION: Subject[Activation] = Subject("activation", _relu_in_z3)


@one_filter.judged(
    subject=ACTIVATION, on=PROOF, flipped_by=[Fault("absolute value for ReLU", _absolute)]
)
def responses_above_a_threshold_are_a_half_space(activation: Activation, _: Proof) -> None:
    import z3

    value, threshold = z3.Reals("value threshold")
    solver = z3.Solver()
    solver.add(threshold >= 0, (activation(value) > threshold) != (value > threshold))
    assert solver.check() == z3.unsat, f"{solver.model()}: the activation sees another class"

    none, first, second, both = z3.Reals("none first second both")
    solver = z3.Solver()
    solver.add(none + both == first + second)  # what a filter gives for 00, 10, 01 and 11
    solver.add(activation(first) > threshold, activation(second) > threshold)
    solver.add(activation(none) <= threshold, activation(both) <= threshold)
    assert solver.check() == z3.unsat, f"{solver.model()} computes exclusive or"


two_layers = Claim(
    "convolution/two-layers-realise-every-labelling",
    says="Three filters with ReLUs and a 1x1 convolution after them compute every labelling of the "
    "binary patches of two pixels, exclusive or among them.",
    cites=["000:21"],
    recorded=Holds(),
)


def labels_of_network(ops: Operators, labels: tuple[int, ...]) -> Array:
    """Run the network for a labelling: features a, b and a and b, weighted to interpolate it."""
    first, none, both, second = map(float, labels)
    weight = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])[:, None, None]
    features = ops.relu(ops.conv2d(PATCHES[:, None, None], weight, np.array([0.0, 0.0, -2.0])))
    mixed = np.array([first - none, second - none, both - first - second + none]) / 2
    return ops.conv2d(features, mixed.reshape(1, 3, 1, 1), np.array([none]))


@two_layers.judged(
    subject=OPERATORS,
    on=LABELLINGS,
    flipped_by=[
        faults.relu_missing,
        faults.relu_leaky,
        faults.relu_absolute,
        faults.bias_missing,
        faults.kernel_flipped,
        faults.channel_ignored,
    ],
)
def network_gives_the_labels(ops: Operators, labels: tuple[int, ...]) -> None:
    expected = np.array(labels, float).reshape(4, 1, 1, 1)
    same(labels_of_network(ops, labels), expected, "the network's label")


network_too = Claim(
    "convolution/networks-need-linear-separability",
    says="A network of convolutions and ReLUs can tell only such classes of patches apart as a "
    "hyperplane separates.",
    cites=["000:21"],
    recorded=Refuted(instead="convolution/two-layers-realise-every-labelling"),
    reading_of=NEEDS_SEPARABILITY,
)


@network_too.judged(subject=OPERATORS, on=LABELLINGS, flipped_by=[faults.relu_missing])
def network_labels_are_separable(ops: Operators, labels: tuple[int, ...]) -> None:
    computed = tuple(int(value) for value in labels_of_network(ops, labels).ravel() > 0.5)
    assert separable(PATCHES, computed), (
        f"a network labels 10, 00, 11, 01 as {computed}, which no hyperplane does"
    )


# Many filters, scattered features -----------------------------------------------------------------


@dataclass(frozen=True)
class Variants:
    """Two concepts, each seen by some filters, of which one or several fire where it is present."""

    first: int
    second: int
    at_once: bool

    @property
    def patterns(self) -> Array:
        """What the filters may show at a pixel: one row of zeros and ones for each possibility."""
        rows: Array = np.array(list(itertools.product((1.0, 0.0), repeat=self.first + self.second)))
        if self.at_once:
            return rows
        firing = np.add.reduceat(rows, [0, self.first], axis=1)
        return rows[(firing <= 1).all(axis=1)]

    @property
    def firing(self) -> Array:
        """How many filters of each concept fire in each pattern [patterns, 2]."""
        return np.add.reduceat(self.patterns, [0, self.first], axis=1)

    @property
    def both_present(self) -> Array:
        """Whether each pattern shows both concepts."""
        return np.asarray((self.firing > 0).all(axis=1))


VARIANTS = Sample(
    "two concepts of one to three filters each",
    [
        Variants(first, second, at_once)
        for first, second in ((2, 2), (2, 3), (1, 2), (2, 1))
        for at_once in (True, False)
    ],
)

variants_scatter = Claim(
    "convolution/variants-defeat-one-filter-of-the-next-layer",
    says="Where several filters stand for variants of one concept, no single filter of the next "
    "layer can respond exactly where two such concepts are both present.",
    cites=["000:21"],
    recorded=HoldsIf("each concept has several filters", "its filters may fire together"),
)


@variants_scatter.judged(
    subject=OPERATORS,
    on=VARIANTS,
    when={
        "each concept has several filters": lambda c: min(c.first, c.second) > 1,
        "its filters may fire together": lambda c: c.at_once,
    },
    flipped_by=[
        faults.channel_ignored,
        faults.relu_absolute,
        faults.wrong(
            "positive weights times negative ones",
            "conv2d",
            lambda f, x, w, b=None, **o: f(x, w * (w > 0), **o) * f(x, -w * (w < 0), **o),
        ),
    ],
)
def no_filter_sees_both(ops: Operators, c: Variants) -> None:
    patterns = c.patterns
    weight, bias = filters(*[(-1, 2)] * patterns.shape[1], (-2, 0))
    scores = ops.conv2d(patterns[:, :, None, None], weight[:, :, None, None], bias)
    response = ops.relu(scores)[:, :, 0, 0]
    reached = ((response != 0) == c.both_present[:, None]).all(axis=0)
    best = reached.argmax()
    assert not reached.any(), f"weights {weight[best]} and bias {bias[best]:g} see both concepts"
    same(response, np.maximum(patterns @ weight.T + bias, 0), "the response")
    assert not separable(patterns, tuple(c.both_present)), "a hyperplane separates the patterns"


variants_merge = Claim(
    "convolution/merged-variants-suit-one-filter",
    says="After a 1x1 convolution with ReLU that merges the variants of each concept, one filter "
    "responds exactly where both concepts are present.",
    cites=["000:21"],
    recorded=Holds(),
)


@variants_merge.judged(
    subject=OPERATORS,
    on=VARIANTS,
    flipped_by=[
        faults.relu_missing,
        faults.relu_absolute,
        faults.relu_leaky,
        faults.bias_missing,
        faults.channel_ignored,
        faults.last_image_ignored,
    ],
)
def one_filter_sees_both(ops: Operators, c: Variants) -> None:
    scale = np.array([2.0, 4.0])
    merging = np.zeros((2, c.first + c.second, 1, 1))
    merging[0, : c.first], merging[1, c.first :] = -scale
    scores = ops.conv2d(c.patterns[:, :, None, None], merging, scale)
    same(scores[:, :, 0, 0], scale * (1 - c.firing), "the score for the absence of each concept")
    response = ops.conv2d(ops.relu(scores), -1 / scale[None, :, None, None], np.ones(1))
    same(ops.relu(response)[:, 0, 0, 0], c.both_present.astype(float), "the response")
