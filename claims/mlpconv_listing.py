"""The code that document 000 gives for an mlpconv layer: eleven layers of a CIFAR-10 network.

Document 000 (lines 52 to 66).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims._mlpconv import perceptrons
from claims.cases import CONVOLUTIONS, Convolution, fine, integers, sampled
from claims.checks import Array, close, same
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.fields import perturbed
from claims.faults.formulas import layer
from claims.subjects import LAYERS, MODELS, OPERATORS, Layers, Models, model_on_meta
from nin_ref import counting, oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Row:
    """One listed layer: its class in PyTorch, and its arguments by name."""

    layer: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Any:
        """Make the layer."""
        from torch import nn

        return getattr(nn, self.layer)(**self.arguments)


Listing = Mapping[str, Row]

NORM = Row("BatchNorm2d", {"num_features": 192})
ONE_BY_ONE = Row(
    "Conv2d",
    {"in_channels": 192, "out_channels": 192, "kernel_size": 1, "stride": 1, "padding": 0},
)
LISTED: Listing = {
    "56": Row(
        "Conv2d", {**ONE_BY_ONE.arguments, "in_channels": 96, "kernel_size": 5, "padding": 2}
    ),
    "57": NORM,
    "58": Row("ReLU"),
    "59": ONE_BY_ONE,
    "60": NORM,
    "61": Row("ReLU"),
    "62": ONE_BY_ONE,
    "63": NORM,
    "64": Row("ReLU"),
    "65": Row("AvgPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}),
    "66": Row("Dropout", {"p": 0.2}),
}

LISTING: Subject[Listing] = Subject("listing of document 000", lambda: LISTED)
STAGES = (("56", "57", "58"), ("59", "60", "61"), ("62", "63", "64"))
ALL = ["the whole listing"]


def module(listing: Listing, last: str = "66") -> nn.Sequential:
    """Build the listed layers up to a line, named by their lines, in float64 from seed 0."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = nn.Sequential()
        for line, row in listing.items():
            if line <= last:
                made.add_module(line, row.build())
        return made.double()


def maps(*shape: int) -> torch.Tensor:
    """Return maps of whole numbers."""
    import torch

    return torch.from_numpy(integers(0, *shape))


def argument(name: str, line: str, **changed: Any) -> Fault[Listing]:
    """Return a fault that changes arguments of one listed layer."""
    return perturbed(name, line, arguments={**LISTED[line].arguments, **changed})


def replaced(name: str, *lines: str, by: Row) -> Fault[Listing]:
    """Return a fault that puts another layer in the place of the listed ones."""
    return Fault(name, lambda listing: {**listing, **dict.fromkeys(lines, by)})


def swapped(one: str, other: str) -> Fault[Listing]:
    """Return a fault that exchanges two listed layers."""
    return Fault(
        f"lines {one} and {other} exchanged",
        lambda listing: {**listing, one: listing[other], other: listing[one]},
    )


IDENTITY = Row("Identity")
first_padded_less = argument("first convolution padded by 1", "56", padding=1)
first_kernel_3 = argument("first convolution 3x3", "56", kernel_size=3, padding=1)
first_kernel_even = argument("first convolution 4x4", "56", kernel_size=4)
second_kernel_3 = argument("second convolution 3x3", "59", kernel_size=3, padding=1)
second_strided = argument("second convolution of stride 2", "59", stride=2)
third_padded = argument("third convolution padded", "62", padding=1)
second_without_bias = argument("second convolution without bias", "59", bias=False)
norms_left_out = replaced("batch normalisation left out", "57", "60", "63", by=IDENTITY)
first_norm_left_out = replaced("first batch normalisation left out", "57", by=IDENTITY)
no_fixed_statistics = argument("no fixed statistics", "57", track_running_stats=False)
first_norm_after_relu = swapped("57", "58")
relu_leaky = replaced("ReLU leaky", "61", by=Row("LeakyReLU"))
relu_capped = replaced("ReLU capped at six", "61", by=Row("ReLU6"))
last_relu_left_out = replaced("last ReLU left out", "64", by=IDENTITY)
pool_unpadded = argument("pool without padding", "65", padding=0)
pool_of_stride_1 = argument("pool of stride 1", "65", stride=1)
pool_of_2 = argument("pool of 2", "65", kernel_size=2)
pool_for_maximum = replaced(
    "maximum for mean in the pool", "65", by=Row("MaxPool2d", LISTED["65"].arguments)
)
dropout_of_half = argument("dropout of a half", "66", p=0.5)
dropout_of_maps = replaced(
    "dropout of whole maps", "66", by=Row("Dropout2d", LISTED["66"].arguments)
)

# The layers ---------------------------------------------------------------------------------------

eleven_layers = Claim(
    "mlpconv-listing/is-eleven-layers",
    says="The listed module is a 5x5 convolution from 96 to 192 maps, padded by 2, and two 1x1 "
    "convolutions of 192, each with batch normalisation and a ReLU behind it, then an average over "
    "3x3 by stride 2, padded by 1, and a dropout of 0.2.",
    cites=["000:56-66"],
    recorded=Holds(),
)


def described(made: nn.Module) -> dict[str, object]:
    """Return the class, the options and the sizes of the weights of a layer."""
    options = {
        name: value
        for name, value in vars(made).items()
        if not name.startswith("_") and name != "training"
    }
    sizes = {name: tuple(value.shape) for name, value in made.state_dict().items()}
    return {"class": type(made).__name__} | options | sizes


@eleven_layers.judged(
    subject=LISTING,
    on=list(LISTED),
    flipped_by=[
        *(first_padded_less, first_kernel_3, second_strided, second_without_bias, third_padded),
        *(first_norm_left_out, first_norm_after_relu, last_relu_left_out),
        *(pool_unpadded, pool_of_2, pool_for_maximum, dropout_of_half, dropout_of_maps),
        argument("padding of the pool not counted", "65", count_include_pad=False),
        argument("other constant in a batch normalisation", "63", eps=1e-3),
        Fault("a twelfth layer", lambda listing: {**listing, "67": Row("ReLU")}),
    ],
)
def reference_is_the_listing(listing: Listing, line: str) -> None:
    from nin_ref.models import mlpconv_block

    assert len(listing) == 11, f"{len(listing)} layers are listed"
    reference = mlpconv_block()[list(listing).index(line)]
    listed = listing[line].build()
    assert described(listed) == described(reference), f"{listed} is listed, {reference} is built"


one_by_ones_follow = Claim(
    "mlpconv-listing/is-a-convolution-and-then-one-by-ones",
    says="The listed module starts with a convolution that reads a patch; those after it are 1x1.",
    cites=["000:54", "000:56", "000:59", "000:62"],
    recorded=Holds(),
)


@one_by_ones_follow.judged(
    subject=LISTING,
    on=ALL,
    flipped_by=[
        *(second_kernel_3, swapped("56", "62")),
        argument("first convolution 1x1", "56", kernel_size=1, padding=0),
        replaced("third convolution left out", "62", by=IDENTITY),
    ],
)
def five_and_twice_one(listing: Listing, _: str) -> None:
    ((first, *later),) = perceptrons(module(listing, last="64"))
    kernels = [layer.kernel_size for layer in (first, *later)]
    assert kernels[0] > (1, 1), f"the first convolution is {first}"
    assert kernels[1:] == [(1, 1), (1, 1)], f"the later kernels are {kernels[1:]}"


stages = Claim(
    "mlpconv-listing/each-stage-is-convolution-norm-relu",
    says="Each of the three listed stages convolves, then normalises the batch, then applies ReLU.",
    cites=["000:56-64"],
    recorded=Holds(),
)


@stages.judged(
    subject=LISTING,
    on=STAGES,
    flipped_by=[first_norm_after_relu, norms_left_out, last_relu_left_out],
)
def in_this_order(listing: Listing, lines: tuple[str, ...]) -> None:
    kinds = [listing[line].layer for line in lines if line in listing]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"], f"the stage is {', '.join(kinds)}"


defaults_spelled_out = Claim(
    "mlpconv-listing/one-by-one-arguments-are-the-defaults",
    says="Stride 1 and padding 0 of the listed 1x1 convolutions are what PyTorch takes anyway.",
    cites=["000:59", "000:62"],
    recorded=Holds(),
)


@defaults_spelled_out.judged(
    subject=LISTING, on=["59", "62"], flipped_by=[second_strided, third_padded, second_without_bias]
)
def same_layer_without_them(listing: Listing, line: str) -> None:
    from torch import nn

    listed, plain = listing[line].build(), nn.Conv2d(192, 192, 1)
    assert described(listed) == described(plain), f"{listed} is not {plain}"


parameter_count = Claim(
    "mlpconv-listing/has-536256-parameters",
    says="The listed module has 536,256 trainable parameters: 460,992 in the 5x5 convolution, "
    "37,056 in each 1x1 one, 384 in each batch normalisation.",
    cites=["000:56-66"],
    recorded=Holds(),
)


@parameter_count.judged(
    subject=LISTING,
    on=ALL,
    flipped_by=[
        *(first_kernel_3, second_kernel_3, second_without_bias, first_norm_left_out),
        argument("first convolution from 3 maps", "56", in_channels=3),
        argument("batch normalisation without weights", "60", affine=False),
        replaced("weights in the last ReLU", "64", by=Row("PReLU")),
    ],
)
def counted_by_layer(listing: Listing, _: str) -> dict[str, int]:
    counted = counting.layer_parameters(module(listing))
    five_by_five, one_by_one, norm = 192 * (96 * 25 + 1), 192 * (192 + 1), 2 * 192
    expected = {"56": five_by_five, "57": norm, "59": one_by_one, "60": norm, "62": one_by_one}
    assert counted == expected | {"63": norm}, f"the layers hold {counted}"
    assert sum(counted.values()) == 536_256, f"{sum(counted.values()):,} parameters"
    return {"5x5": five_by_five, "1x1": one_by_one, "norm": norm, "all": sum(counted.values())}


# The sizes ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """Height and width of the maps that go in."""

    height: int
    width: int


SIZES = sampled(
    "maps from 1x1 to 64x64",
    Size,
    {"height": (1, 16, 5), "width": (2, 31, 64)},
    {"height": st.integers(1, 64), "width": st.integers(1, 64)},
)


def size_after(listing: Listing, size: Any, last: str) -> Any:
    """Follow a height or width, a number or a symbol, through the layers up to a line."""
    for line, row in listing.items():
        if line <= last and "kernel_size" in row.arguments:
            window = (row.arguments[name] for name in ("kernel_size", "stride", "padding"))
            size = counting.conv2d_output_size(size, *window)
    return size


def shape_after(listing: Listing, *lines: str, size: Size) -> tuple[int, ...]:
    """Return channels, height and width of what listed layers put out, one after the other."""
    import torch

    channels = 96 if lines[0] == "56" else 192
    x = torch.empty(0, channels, size.height, size.width)  # no image: sizes, and no arithmetic
    for line in lines:
        with torch.device("meta"):
            made = listing[line].build()
        x = made.to_empty(device="cpu").eval()(x)
    return tuple(x.shape[1:])


convolutions_keep_size = Claim(
    "mlpconv-listing/keeps-height-and-width-up-to-the-pool",
    says="Each layer before the pool, the padded 5x5 convolution included, puts out 192 maps as "
    "high and wide as those that went in.",
    cites=["000:56-64"],
    recorded=Holds(),
)


@convolutions_keep_size.judged(
    subject=LISTING, on=PROOF, flipped_by=[first_padded_less, second_strided, third_padded]
)
def no_size_changes(listing: Listing, _: Proof) -> None:
    import z3

    size = z3.Int("size")
    for line, _norm, _relu in STAGES:
        solver = z3.Solver()
        solver.add(size >= 1, size_after(listing, size, line) != size)
        assert solver.check() == z3.unsat, f"size {solver.model()[size]} changes at line {line}"


@convolutions_keep_size.judged(
    subject=LISTING,
    on=SIZES,
    flipped_by=[
        *(first_kernel_even, second_strided, third_padded),
        argument("third convolution to 190 maps", "62", out_channels=190),
    ],
)
def real_layers_keep_it(listing: Listing, size: Size) -> None:
    expected = (192, size.height, size.width)
    for line in itertools.chain(*STAGES):
        shape = shape_after(listing, line, size=size)
        assert shape == expected, f"line {line} puts out {shape}, not {expected}"


pool_halves = Claim(
    "mlpconv-listing/pool-halves-height-and-width-rounding-up",
    says="The pool halves height and width, rounding up, and dropout leaves them so.",
    cites=["000:65", "000:66"],
    recorded=Holds(),
)


@pool_halves.judged(
    subject=LISTING, on=PROOF, flipped_by=[pool_unpadded, pool_of_stride_1, pool_of_2]
)
def half_for_every_size(listing: Listing, _: Proof) -> None:
    import z3

    size = z3.Int("size")
    solver = z3.Solver()
    solver.add(size >= 1, size_after(listing, size, "66") != (size + 1) / 2)
    assert solver.check() == z3.unsat, f"size {solver.model()[size]} is not halved"


@pool_halves.judged(
    subject=LISTING,
    on=SIZES,
    flipped_by=[
        *(pool_of_stride_1, pool_of_2),
        argument("pool rounds up", "65", ceil_mode=True),
        replaced("dropout flattens", "66", by=Row("Flatten")),
    ],
)
def real_pool_halves(listing: Listing, size: Size) -> None:
    shape = shape_after(listing, "65", "66", size=size)
    expected = (192, -(-size.height // 2), -(-size.width // 2))
    assert shape == expected, f"{size.height}x{size.width} becomes {shape}, not {expected}"


border_dimmed = Claim(
    "mlpconv-listing/pool-dims-the-border",
    says="As the pool's padding counts in its averages, those at the border are drawn towards "
    "zero: on a map of ones to 4/9 at the first corner and 6/9 along the first row and column, "
    "whose ends are lower still where a side is odd.",
    cites=["000:65"],
    recorded=Holds(),
)

PADDED_SIZES = sampled(
    "maps from 2x2 to 20x20",
    Size,
    {"height": (16, 15, 2), "width": (16, 7, 4)},
    {"height": st.integers(2, 20), "width": st.integers(2, 20)},
)


def ninths(x: Array) -> Array:
    """Sum each 3x3 window, at every second pixel of maps framed by zeros, and divide by nine."""
    framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(framed, (3, 3), (2, 3))[:, :, ::2, ::2]
    return np.asarray(windows.sum(axis=(4, 5)) / 9)


@border_dimmed.judged(
    subject=LISTING,
    on=PADDED_SIZES,
    flipped_by=[
        *(pool_for_maximum, pool_of_stride_1),
        argument("padding of the pool not counted", "65", count_include_pad=False),
        argument("pool divides by 8", "65", divisor_override=8),
    ],
)
def ones_become_ninths(listing: Listing, size: Size) -> None:
    import torch

    ones = np.ones((1, 1, size.height, size.width))
    pooled = listing["65"].build()(torch.from_numpy(ones)).numpy()
    close(pooled, ninths(ones), "the pooled map")
    first_row, first_column = (
        pooled[0, 0, 0, : size.width // 2],
        pooled[0, 0, : size.height // 2, 0],
    )
    for line, where in ((first_row, "row"), (first_column, "column")):
        close(9 * line, np.array([4.0, *[6.0] * (len(line) - 1)]), f"nine times the first {where}")


@border_dimmed.judged(
    subject=OPERATORS,
    on=PADDED_SIZES,
    flipped_by=[
        *(faults.padding_counted_otherwise, faults.wrong_divisor),
        *(faults.average_pool_rounding_swapped, faults.average_pool_stride_ignored),
    ],
)
def operators_divide_by_nine(ops: Operators, size: Size) -> None:
    for x in (np.ones((1, 1, size.height, size.width)), integers(0, 2, 3, size.height, size.width)):
        pooled = ops.avg_pool2d(x, (3, 3), stride=(2, 2), padding=(1, 1))
        close(pooled, ninths(x), "the pooled maps")


# The formula, and what batch normalisation adds ---------------------------------------------------

MODES = ["evaluation", "training"]

realises_formula = Claim(
    "mlpconv-listing/realises-the-formula",
    says="With fixed weights and biases the formula of the mlpconv layer gives what the listed "
    "layers up to the pool put out for an image, whatever other images are in the batch.",
    cites=["000:33", "000:54", "000:56-64"],
    recorded=HoldsIf("in evaluation"),
)


@realises_formula.judged(
    subject=LISTING,
    on=Sample("drawn weights and statistics, in evaluation and in training", MODES),
    when={"in evaluation": lambda mode: mode == "evaluation"},
    flipped_by=[
        *(first_padded_less, first_norm_after_relu, no_fixed_statistics),
        *(last_relu_left_out, relu_leaky, relu_capped),
    ],
)
def weights_can_be_folded(listing: Listing, mode: str) -> None:
    import torch

    made = module(listing, last="64").train(mode == "training").requires_grad_(requires_grad=False)
    layers: dict[str, list[Any]] = {"Conv2d": [], "BatchNorm2d": []}
    for made_layer in made:
        layers.setdefault(type(made_layer).__name__, []).append(made_layer)
    perceptron = []
    generator = torch.Generator().manual_seed(0)
    for convolution, norm in zip(layers["Conv2d"], layers["BatchNorm2d"], strict=True):
        assert norm.track_running_stats, "a batch normalisation keeps no statistics"
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            values.uniform_(0.5, 1.5, generator=generator)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = norm.bias + scale * (convolution.bias - norm.running_mean)
        weight = scale[:, None, None, None] * convolution.weight
        perceptron.append((weight.numpy(), bias.numpy()))

    x = 8 * maps(2, 96, 5, 4)
    alone, beside = made(x[:1]).numpy(), made(x).numpy()[:1]
    close(beside, alone, "what the image gives beside another one")
    close(alone, oracle.mlpconv(x[:1].numpy(), perceptron, padding=(2, 2)), "the module")


norm_folds = Claim(
    "mlpconv-listing/batch-norm-with-fixed-statistics-folds-into-the-convolution",
    says="Batch normalisation with fixed statistics, between convolution and ReLU, is a change of "
    "the convolution's weights and biases.",
    cites=["000:33", "000:56-58"],
    recorded=Holds(),
)


@norm_folds.judged(
    subject=OPERATORS,
    on=CONVOLUTIONS,
    flipped_by=[
        *(faults.variance_for_deviation, faults.eps_ignored, faults.mean_ignored),
        *(faults.shift_ignored, faults.bias_missing, faults.channel_ignored, faults.relu_missing),
        *(
            faults.stride_swapped,
            faults.dilation_ignored,
            faults.groups_ignored,
            faults.conv2d_in_float32,
        ),
    ],
)
def scaled_weights_do_the_same(ops: Operators, c: Convolution) -> None:
    mean, shift, weight = (
        integers(c.seed + offset, c.out_channels, low=1, high=9) for offset in (10, 11, 12)
    )
    variance = integers(c.seed + 13, c.out_channels, low=1, high=9) / 8
    x = fine(c.x)
    sums = ops.conv2d(x, c.weight, c.bias, **c.options)
    y = ops.relu(ops.batch_norm(sums, mean, variance, weight, shift, eps=1e-5))
    scale = weight / np.sqrt(variance + 1e-5)
    scaled = c.weight * scale[:, np.newaxis, np.newaxis, np.newaxis]
    expected = oracle.conv2d(x, scaled, shift + scale * (c.bias - mean), **c.options)
    close(y, np.maximum(expected, 0), "the normalised layer")


standardised = Claim(
    "mlpconv-listing/relu-sees-standardised-values",
    says="In training the listed normalisations give each map mean zero and variance one over the "
    "batch, before their weights are learned, so that each ReLU sees both signs.",
    cites=["000:57", "000:60", "000:63"],
    recorded=Holds(),
)


@standardised.judged(
    subject=LISTING,
    on=["57", "60", "63"],
    flipped_by=[
        *(norms_left_out, first_norm_after_relu),
        argument("other constant in a batch normalisation", "63", eps=1e-3),
        replaced(
            "normalisation of each image",
            "60",
            by=Row("GroupNorm", {"num_groups": 1, "num_channels": 192}),
        ),
    ],
)
def mean_zero_variance_one(listing: Listing, line: str) -> None:
    import torch

    x = maps(2, 96, 5, 4)
    with torch.no_grad():
        sums = module(listing, last=str(int(line) - 1))(x).numpy()
        normalised = module(listing, last=line)(x).numpy()
    mean, variance = oracle.batch_statistics(sums)
    ones, zeros = np.ones(192), np.zeros(192)
    expected = oracle.batch_norm(sums, mean, variance, ones, zeros, eps=1e-5)
    close(normalised, expected, f"what line {line} puts out")
    assert (normalised.min(axis=(0, 2, 3)) < 0).all(), f"a map of line {line} has one sign only"


# The biases before batch normalisation ------------------------------------------------------------

BIASED = ["56", "59", "62"]


def effect_of_bias(listing: Listing, line: str, *, training: bool) -> dict[str, Array]:
    """Raise the biases of a convolution by ten: what the line after it puts out, and gradients."""
    import torch

    made = module(listing, last=str(int(line) + 1)).train(training)
    convolution: Any = made.get_submodule(line)
    assert getattr(convolution, "bias", None) is not None, f"line {line} has no biases"
    x = maps(2, 96, 5, 4)
    before = made(x)
    (before * maps(*before.shape)).sum().backward()
    with torch.no_grad():
        convolution.bias += 10
        after = made(x)
    tensors = {"before": before.detach(), "after": after}
    gradients = {"weight": convolution.weight.grad, "bias": convolution.bias.grad}
    return {name: tensor.numpy() for name, tensor in (tensors | gradients).items()}


biases_are_trained = Claim(
    "mlpconv-listing/convolution-biases-are-trained",
    says="The biases that the listed convolutions have by default learn in training.",
    cites=["000:56", "000:59", "000:62"],
    recorded=Refuted(instead="mlpconv-listing/convolution-biases-have-no-effect-in-training"),
)


@biases_are_trained.judged(subject=LISTING, on=BIASED, flipped_by=[norms_left_out])
def biases_get_a_gradient(listing: Listing, line: str) -> None:
    effect = effect_of_bias(listing, line, training=True)
    bias, weight = (abs(effect[name]).max() for name in ("bias", "weight"))
    assert bias > 1e-9 * weight, (
        f"the biases of line {line} get less than 1e-9 of the gradient that its weights get"
    )


no_effect_in_training = Claim(
    "mlpconv-listing/convolution-biases-have-no-effect-in-training",
    says="In training each listed batch normalisation takes away whatever the bias of the "
    "convolution before it adds: the output does not change, and the bias gets no gradient.",
    cites=["000:56-57", "000:59-60", "000:62-63"],
    recorded=Holds(),
)


@no_effect_in_training.judged(
    subject=LISTING,
    on=BIASED,
    flipped_by=[
        *(first_norm_left_out, norms_left_out, first_norm_after_relu, second_without_bias),
    ],
)
def norm_cancels_the_bias(listing: Listing, line: str) -> dict[str, int]:
    effect = effect_of_bias(listing, line, training=True)
    close(effect["after"], effect["before"], "the output after the biases rose by ten")
    bias, weight = (abs(effect[name]).max() for name in ("bias", "weight"))
    assert bias <= 1e-9 * weight, f"the biases' gradient is {bias:.3g}, the weights' {weight:.3g}"
    return {"biases": len(effect["bias"])}


effect_in_evaluation = Claim(
    "mlpconv-listing/convolution-biases-have-an-effect-in-evaluation",
    says="In evaluation, where the statistics are fixed, a change of a listed convolution's bias "
    "changes the normalised output: by as much as the bias, with the statistics of a new layer.",
    cites=["000:56-57", "000:59-60", "000:62-63"],
    recorded=Holds(),
)


@effect_in_evaluation.judged(
    subject=LISTING,
    on=BIASED,
    flipped_by=[no_fixed_statistics, second_without_bias],
)
def bias_moves_the_output(listing: Listing, line: str) -> None:
    effect = effect_of_bias(listing, line, training=False)
    expected = effect["before"] + 10 / np.sqrt(1 + 1e-5)
    close(effect["after"], expected, "the output after the biases rose by ten")


# Dropout ------------------------------------------------------------------------------------------


def hoeffding(draws: int) -> float:
    """How far a share of independent draws is from its probability, but for one case in 1e9."""
    return float(np.sqrt(np.log(2e9) / (2 * draws)))


SEEDS_OF_MASKS = Sample("a million ones, masks from two seeds", [0, 1])


def dropped(listing: Listing, seed: int) -> Array:
    """Return which of a million ones the listed dropout sets to zero in training."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        y: torch.Tensor = listing["66"].build().train()(torch.ones(16, 192, 18, 19))
        return (y == 0).numpy()


drops_a_fifth = Claim(
    "mlpconv-listing/dropout-zeroes-a-fifth",
    says="In training the listed dropout sets a fifth of the values to zero, to within what chance "
    "allows once in 1e9.",
    cites=["000:66"],
    recorded=Holds(),
)


@drops_a_fifth.judged(
    subject=LISTING,
    on=SEEDS_OF_MASKS,
    flipped_by=[
        dropout_of_half,
        argument("dropout keeps a fifth", "66", p=0.8),
        argument("dropout of 0.21", "66", p=0.21),
        replaced("dropout towards another value", "66", by=Row("AlphaDropout", {"p": 0.2})),
    ],
)
def share_is_a_fifth(listing: Listing, seed: int) -> None:
    zeroed = dropped(listing, seed)
    share, bound = float(zeroed.mean()), hoeffding(zeroed.size)
    assert abs(share - 0.2) <= bound, f"{share:.4f} are zero, and chance allows {bound:.4f} off"


drops_single_values = Claim(
    "mlpconv-listing/dropout-drops-single-values",
    says="The listed dropout decides on each value by itself, not on whole maps, rows or images.",
    cites=["000:66"],
    recorded=Holds(),
)


@drops_single_values.judged(
    subject=LISTING, on=SEEDS_OF_MASKS, flipped_by=[dropout_of_maps, dropout_of_half]
)
def neighbours_are_independent(listing: Listing, seed: int) -> None:
    zeroed = dropped(listing, seed)
    for axis, name in enumerate(("images", "maps", "rows", "columns")):
        pairs = np.moveaxis(zeroed, axis, 0)
        pairs = pairs[: len(pairs) // 2 * 2].reshape(-1, 2, *pairs.shape[1:])
        differ = pairs[:, 0] != pairs[:, 1]
        share, bound = float(differ.mean()), hoeffding(differ.size)
        assert abs(share - 2 * 0.2 * 0.8) <= bound, f"neighbouring {name} differ in {share:.4f}"


def hooked(made: nn.Module, output: Callable[[Any, Any], object]) -> nn.Module:
    """Let `output` make of a layer's input and output what it puts out instead."""
    made.register_forward_hook(lambda _layer, inputs, y: output(inputs[0], y))
    return made


def _on_forever(make: Callable[[float], nn.Module], p: float) -> nn.Module:
    from torch.nn import functional

    return hooked(make(p), lambda x, _y: functional.dropout(x, p))


stays_on = layer("dropout that stays on", "Dropout", _on_forever)
not_inverted = layer(
    "dropout as of 2013: nothing scaled in training, all scaled down in evaluation",
    "Dropout",
    lambda f, p: hooked(f(p), lambda _x, y: y * (1 - p)),
)
negative_dropped = layer(
    "dropout and ReLU", "Dropout", lambda f, p: hooked(f(p), lambda _x, y: y.clamp(min=0))
)
half_dropped = layer("dropout of a half", "Dropout", lambda f, _p: f(0.5))


MAPS = Sample("maps of several sizes", [(2, 3, 8, 9), (1, 192, 4, 4), (3, 5, 7, 7)])

survivors_scaled = Claim(
    "mlpconv-listing/dropout-scales-the-survivors",
    says="In training dropout of 0.2 multiplies the values that it leaves by 1.25.",
    cites=["000:66"],
    recorded=Holds(),
)


@survivors_scaled.judged(
    subject=LAYERS,
    on=MAPS,
    flipped_by=[not_inverted, half_dropped, negative_dropped],
)
def five_quarters(layers: Layers, shape: tuple[int, ...]) -> None:
    import torch

    x = maps(*shape) + 0.5  # none of which is zero
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        y = layers.Dropout(0.2).train()(x).numpy()
    for sign in (-1, 0, 1):
        assert (np.sign(y) == sign).any(), "values of one sign, or none, are dropped"
    close(y, np.where(y == 0, 0, 1.25 * x.numpy()), "what dropout puts out")


off_in_evaluation = Claim(
    "mlpconv-listing/dropout-is-off-in-evaluation",
    says="In evaluation dropout changes no value.",
    cites=["000:66"],
    recorded=Holds(),
)


@off_in_evaluation.judged(
    subject=LAYERS,
    on=MAPS,
    flipped_by=[not_inverted, stays_on],
)
def nothing_changes(layers: Layers, shape: tuple[int, ...]) -> None:
    x = maps(*shape) + 0.5
    same(layers.Dropout(0.2).eval()(x).numpy(), x.numpy(), "what dropout puts out")


# Its place in the paper's network -----------------------------------------------------------------

second_of_cifar10 = Claim(
    "mlpconv-listing/has-the-convolutions-of-the-papers-second-layer",
    says="The listed convolutions are those of the second mlpconv layer of the paper's CIFAR-10 "
    "network, and take what its first one puts out, not images of three colours.",
    cites=["000:54", "000:56", "000:59", "000:62"],
    recorded=Holds(),
)


def same_convolutions(listing: Listing, network: nn.Module) -> None:
    ours = perceptrons(module(listing, last="64"))[0]
    found = perceptrons(network)
    assert len(found) == 3, f"{len(found)} mlpconv layers in the network, not 3"
    first, theirs, _ = found
    assert [*map(described, ours)] == [*map(described, theirs)], f"{ours} is not {theirs}"
    assert ours[0].in_channels == first[-1].out_channels != 3, f"{ours[0]} follows {first[-1]}"


@second_of_cifar10.judged(
    subject=LISTING,
    on=["cifar10-nin"],
    flipped_by=[
        *(first_kernel_3, first_padded_less, second_without_bias),
        argument("first convolution from 3 maps", "56", in_channels=3),
    ],
)
def listing_agrees(listing: Listing, name: str) -> None:
    same_convolutions(listing, model_on_meta(name))


@second_of_cifar10.judged(
    subject=MODELS,
    on=["cifar10-nin"],
    flipped_by=[surgeries.padding_dropped, surgeries.biases_dropped],
)
def network_agrees(models: Models, name: str) -> None:
    same_convolutions(LISTED, models(name))


departs_from_paper = Claim(
    "mlpconv-listing/departs-from-the-paper-in-norm-pool-and-dropout",
    says="Around its convolutions and ReLUs the listing differs from the paper's network: it adds "
    "batch normalisation, averages where that takes maxima, and drops 0.2 where that drops 0.5.",
    cites=["000:57", "000:65", "000:66"],
    recorded=Holds(),
)


@departs_from_paper.judged(
    subject=LISTING,
    on=["cifar10-nin"],
    flipped_by=[
        *(norms_left_out, pool_for_maximum, dropout_of_half),
        *(first_norm_after_relu, last_relu_left_out),
    ],
)
def three_differences(listing: Listing, name: str) -> None:
    leaves = [made for made in model_on_meta(name).modules() if not [*made.children()]]
    ends = [place for place, made in enumerate(leaves) if type(made).__name__ == "Dropout"]
    theirs: list[Any] = leaves[ends[0] + 1 : ends[1] + 1]
    expected = []
    for made in theirs:
        kind = type(made).__name__
        expected += ["Conv2d", "BatchNorm2d"] if kind == "Conv2d" else [kind]
    kinds = [row.layer for row in listing.values()]
    assert expected[-2:] == ["MaxPool2d", "Dropout"], f"the paper's layers end in {expected[-2:]}"
    assert kinds == [*expected[:-2], "AvgPool2d", "Dropout"], f"the listed layers are {kinds}"
    dropouts = listing["66"].arguments["p"], theirs[-1].p
    assert dropouts == (0.2, 0.5), f"dropout of {dropouts[0]}, in the paper of {dropouts[1]}"
