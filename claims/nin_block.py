"""The NiN block of the lecture: an mlpconv layer of one width, with two 1x1 convolutions.

Document 001 (lines 60 to 72, 88 to 90, 101 and 151).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from claims._mlpconv import (
    DOCUMENTED,
    NETWORKS,
    last_relu_removed,
    one_by_one,
    perceptrons,
    second_layer_3x3,
    single_pixels_read,
)
from claims.cases import sampled
from claims.core.claim import PROOF, Claim, Domain, Fault, Proof, Subject
from claims.core.verdict import Holds, Refuted
from claims.faults import models as surgeries
from claims.faults.formulas import formula
from claims.subjects import FORMULAS, MODELS, Formulas, Models
from claims.trained import trained
from claims.training.rules import FAMILIES, AllOf
from nin_ref import counting, models, oracle

if TYPE_CHECKING:
    from torch import nn

SECOND = slice(1, 2)
second_layer_strided = surgeries.surgery("second layer strided", one_by_one(SECOND, stride=2))
second_layer_padded = surgeries.surgery("second layer padded", one_by_one(SECOND, padding=1))
second_layer_grouped = surgeries.surgery("second layer in groups", one_by_one(SECOND, groups=2))
second_relu_removed = surgeries.surgery("second ReLU removed", surgeries.removed("ReLU", 1))


def is_one_by_one(layer: Any) -> bool:
    """Whether a convolution reads all channels of each pixel and nothing else."""
    options = (layer.kernel_size, layer.stride, layer.padding, layer.groups)
    return options == ((1, 1), (1, 1), (0, 0), 1)


# What it is made of -------------------------------------------------------------------------------

three_convolutions = Claim(
    "nin-block/is-a-convolution-and-two-one-by-ones",
    says="A NiN block is a convolution followed by two 1x1 ones of stride 1 without padding.",
    cites=["001:69", "001:72", "001:88", "001:101"],
    recorded=Holds(),
)


@three_convolutions.judged(
    subject=MODELS,
    on=NETWORKS,
    flipped_by=[
        *(surgeries.last_convolution_removed, surgeries.first_max_pool_removed),
        *(second_layer_3x3, second_layer_strided, second_layer_padded, second_layer_grouped),
        single_pixels_read,
    ],
)
def larger_kernel_then_two_one_by_ones(models: Models, name: str) -> dict[str, str]:
    blocks = perceptrons(models(name))
    for number, layers in enumerate(blocks, 1):
        assert len(layers) == 3, f"block {number} of {name} has {len(layers)} convolutions"
        assert min(layers[0].kernel_size) > 1, f"block {number} of {name} starts with a 1x1"
        for layer in layers[1:]:
            assert is_one_by_one(layer), f"block {number} of {name} goes on with {layer}"
    return {"first kernels": ", ".join(str(first.kernel_size[0]) for first, *_ in blocks)}


# Blocks of any size -------------------------------------------------------------------------------

Builder = Callable[..., "nn.Sequential"]

NIN_BLOCK: Subject[Builder] = Subject("NiN block", lambda: models.nin_block)


def built(name: str, change: Callable[..., nn.Sequential]) -> Fault[Builder]:
    """Return a fault that builds a block by `change(right, *sizes, **options)`."""
    return Fault(name, lambda right: functools.partial(change, right))


def ending_with(**options: Any) -> Callable[..., nn.Sequential]:
    """Return a way to build a block whose last convolution has these options."""

    def change(right: Builder, *sizes: int, **others: int) -> nn.Sequential:
        block = right(*sizes, **others)
        one_by_one(slice(-1, None), **options)(block)
        return block

    return change


last_kernel_3x3 = built("last convolution 3x3", ending_with(kernel_size=3, padding=1))
last_strided = built("last convolution strided", ending_with(stride=2))
last_padded = built("last convolution padded", ending_with(padding=1))
last_without_bias = built("last convolution without bias", ending_with(bias=False))
last_missing = built("last convolution missing", lambda right, *a, **o: right(*a, **o)[:4])
own_padding_ignored = built(
    "padding ignored", lambda right, *a, **o: right(*a, **o | {"padding": 0})
)
own_stride_ignored = built("stride ignored", lambda right, *a, **o: right(*a, **o | {"stride": 1}))
first_window_fixed = built(
    "first window fixed", lambda right, i, o, _k, **options: right(i, o, 3, **options)
)


def _first_dilated(right: Builder, *sizes: int, **options: int) -> nn.Sequential:
    block = right(*sizes, **options)
    first: Any = block[0]
    first.dilation = (2, 2)
    return block


first_dilated = built("first convolution dilated", _first_dilated)


@dataclass(frozen=True)
class Block:
    """A NiN block and the size of its input."""

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    padding: int
    height: int
    width: int


def block(**sizes: Any) -> Block | None:
    """Return the block of these sizes, or None if its kernel does not fit the input."""
    made = Block(**sizes)
    room = min(made.height, made.width) + 2 * made.padding
    return made if made.kernel_size <= room else None


BLOCKS: Domain[Block] = sampled(
    "NiN blocks of up to 300 channels on maps up to 40x40, kernels up to 11, strides up to 4",
    block,
    {
        "in_channels": (1, 3, 96),
        "out_channels": (10, 4, 256),
        "kernel_size": (11, 5, 3),
        "stride": (1, 4, 2),
        "padding": (0, 2, 1),
        "height": (12, 26, 17),
        "width": (13, 11, 25),
    },
    {
        "in_channels": st.integers(1, 300),
        "out_channels": st.integers(1, 300),
        "kernel_size": st.integers(2, 11),
        "stride": st.integers(1, 4),
        "padding": st.integers(0, 5),
        "height": st.integers(1, 40),
        "width": st.integers(1, 40),
    },
)


def on_meta(build: Builder, c: Block) -> nn.Sequential:
    """Build a block without storage."""
    import torch

    with torch.device("meta"):
        return build(
            c.in_channels, c.out_channels, c.kernel_size, stride=c.stride, padding=c.padding
        )


only_first_is_chosen = Claim(
    "nin-block/leaves-only-the-first-window-to-the-user",
    says="The user of a NiN block sets the window of its first convolution; the later windows are "
    "1x1 whatever that is.",
    cites=["001:90"],
    recorded=Holds(),
)


@only_first_is_chosen.judged(
    subject=NIN_BLOCK,
    on=BLOCKS,
    flipped_by=[
        *(last_kernel_3x3, last_strided, last_padded, last_missing),
        *(first_window_fixed, first_dilated, own_padding_ignored, own_stride_ignored),
    ],
)
def later_windows_are_fixed(build: Builder, c: Block) -> None:
    ((first, *later),) = perceptrons(on_meta(build, c))
    chosen = tuple((value, value) for value in (c.kernel_size, c.stride, c.padding, 1))
    options = (first.kernel_size, first.stride, first.padding, first.dilation)
    assert options == chosen, f"the first is {first}"
    assert len(later) == 2, f"{len(later)} convolutions follow the first"
    for layer in later:
        assert is_one_by_one(layer), f"a later one is {layer}"


relu_after_each = Claim(
    "nin-block/relu-follows-each-convolution",
    says="In a NiN block a ReLU follows each 1x1 convolution, as it follows the first one.",
    cites=["001:70", "000:31"],
    recorded=Holds(),
)


def kinds(model: nn.Module) -> list[str]:
    """Return the classes of the layers of a model, in its order."""
    return [type(layer).__name__ for layer in model.modules() if not [*layer.children()]]


@relu_after_each.judged(
    subject=MODELS,
    on=NETWORKS,
    flipped_by=[surgeries.relu_layers_removed, last_relu_removed, second_relu_removed],
)
def networks_rectify(models: Models, name: str) -> None:
    layers = kinds(models(name))
    for layer, following in zip(layers, [*layers[1:], "nothing"], strict=True):
        assert layer != "Conv2d" or following == "ReLU", f"{following} follows a convolution"


@relu_after_each.judged(
    subject=NIN_BLOCK,
    on=BLOCKS,
    flipped_by=[
        built("last ReLU missing", lambda right, *a, **o: right(*a, **o)[:-1]),
        built("ReLUs before the convolutions", lambda right, *a, **o: right(*a, **o)[::-1]),
    ],
)
def blocks_rectify(build: Builder, c: Block) -> None:
    layers = kinds(on_meta(build, c))
    assert layers == ["Conv2d", "ReLU"] * 3, f"the layers are {', '.join(layers)}"


first_sets_the_size = Claim(
    "nin-block/size-is-that-of-the-first-convolution",
    says="The two 1x1 convolutions of a NiN block leave height and width as the first one made "
    "them.",
    cites=["001:69"],
    recorded=Holds(),
)


@first_sets_the_size.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        formula(
            "a window of one pixel taken as two",
            "output_size",
            lambda f, size, kernel: f(size, kernel + 1),
        )
    ],
)
def one_by_ones_change_no_size(formulas: Formulas, _: Proof) -> None:
    import z3

    first = z3.Int("first")
    solver = z3.Solver()
    solver.add(first >= 1, formulas.output_size(formulas.output_size(first, 1), 1) != first)
    assert solver.check() == z3.unsat, f"{solver.model()[first]} becomes another size"


@first_sets_the_size.judged(
    subject=NIN_BLOCK,
    on=BLOCKS,
    flipped_by=[last_strided, last_padded, own_padding_ignored, own_stride_ignored],
)
def real_blocks_agree(build: Builder, c: Block) -> None:
    import torch

    no_images = torch.empty(0, c.in_channels, c.height, c.width)  # sizes, and no arithmetic
    with torch.no_grad():
        shape = on_meta(build, c).to_empty(device="cpu")(no_images).shape[1:]
    sizes = (
        oracle.output_size(size, c.kernel_size, c.stride, c.padding) for size in (c.height, c.width)
    )
    expected = (c.out_channels, *sizes)
    assert tuple(shape) == expected, f"{tuple(shape)} comes out, {expected} of the first alone"


parameter_count = Claim(
    "nin-block/parameter-count",
    says="A NiN block from c to o channels with a k x k kernel has o (c k^2 + 1) + 2 o (o + 1) "
    "parameters.",
    cites=["001:69", "001:31"],
    recorded=Holds(),
)


def closed_form(c: Any, o: Any, k: Any) -> Any:
    """Return the stated number, for integers and symbols alike."""
    return o * (c * k**2 + 1) + 2 * o * (o + 1)


@parameter_count.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        formula("block without biases", "nin_block_parameters", lambda f, *a: f(*a) - 3 * a[1]),
        formula(
            "block with one 1x1", "nin_block_parameters", lambda f, *a: f(*a) - a[1] ** 2 - a[1]
        ),
    ],
)
def formulas_agree(formulas: Formulas, _: Proof) -> dict[str, int]:
    import sympy

    c, o, k = sympy.symbols("c o k", integer=True)
    difference = sympy.expand(formulas.nin_block_parameters(c, o, k) - closed_form(c, o, k))
    assert difference == 0, f"the counts differ by {difference}"
    return {f"block{sizes}": closed_form(*sizes) for sizes in ((96, 256, 5), (384, 10, 3))}


@parameter_count.judged(
    subject=NIN_BLOCK, on=BLOCKS, flipped_by=[last_kernel_3x3, last_without_bias, last_missing]
)
def real_blocks_have_so_many(build: Builder, c: Block) -> None:
    counted = counting.parameter_count(on_meta(build, c))
    expected = closed_form(c.in_channels, c.out_channels, c.kernel_size)
    assert counted == expected, f"{counted} parameters, expected {expected}"


# Why two 1x1 convolutions? The question offers the number of parameters as the reason -------------

WHY_TWO = "why a NiN block has two 1x1 convolutions rather than one or three"


def thirds_and_firsts(network: nn.Module) -> tuple[int, int]:
    """Count the parameters of one more 1x1 convolution in each block, and of the first ones."""
    blocks = perceptrons(network)
    widths = [layers[-1].out_channels for layers in blocks]
    first = sum(parameter.numel() for layers in blocks for parameter in layers[0].parameters())
    return sum(width * (width + 1) for width in widths), first


third_is_forbidding = Claim(
    "nin-block/third-one-by-one-outweighs-the-first-convolutions",
    says="The number of parameters rules out a third 1x1 convolution in each block: these would "
    "hold more of them than the blocks' first convolutions.",
    cites=["001:151"],
    recorded=Refuted(instead="nin-block/third-one-by-one-adds-at-most-a-sixth"),
    reading_of=WHY_TWO,
)


@third_is_forbidding.judged(subject=MODELS, on=DOCUMENTED, flipped_by=[single_pixels_read])
def third_outweighs_the_first(models: Models, name: str) -> None:
    third, first = thirds_and_firsts(models(name))
    assert third > first, f"{name}: {third:,} in third 1x1s, {first:,} in the first convolutions"


third_adds_a_sixth = Claim(
    "nin-block/third-one-by-one-adds-at-most-a-sixth",
    says="Third 1x1 convolutions would hold less than a quarter of the parameters of the blocks' "
    "first convolutions, and add at most a sixth to those of the network.",
    cites=["001:151"],
    recorded=Holds(),
)


@third_adds_a_sixth.judged(
    subject=MODELS,
    on=NETWORKS,
    flipped_by=[single_pixels_read, surgeries.outputs_doubled],
)
def third_adds_little(models: Models, name: str) -> dict[str, float]:
    network = models(name)
    third, first = thirds_and_firsts(network)
    assert third < first / 4, f"{name}: {third:,} beside {first:,} of the first convolutions"
    share = third / counting.parameter_count(network)
    assert share <= 1 / 6, f"{name} would have {share:.1%} more parameters"
    return {"added share": share, "of the first convolutions": third / first}


two_are_best = trained(
    "nin-block/two-one-by-ones-classify-best",
    says="With two 1x1 convolutions in each block the network classifies CIFAR-10 more accurately "
    "than with one, and than with three.",
    cites=["001:151"],
    rule=AllOf(FAMILIES["1x1 convolutions"]),
    reading_of=WHY_TWO,
)
