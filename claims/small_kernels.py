"""What stacks of small kernels are: which networks have them, what they see, what they compute.

Document 003 (lines 10, 13, 14 and 17).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from claims import _classics as classics
from claims import _inception as inception
from claims._facts import sourced, stated
from claims._kernel_stacks import (
    box,
    cut_to_3x3,
    other_kernel,
    same_formula,
    seen,
    stack_of,
)
from claims.cases import SEEDS, Convolution, integers, pairs, wide
from claims.checks import Array, same
from claims.core.claim import PROOF, Claim, Domain, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.fields import perturbed
from claims.faults.formulas import formula, layer
from claims.faults.models import put, surgery
from claims.subjects import (
    FACTS,
    FORMULAS,
    LAYERS,
    MODELS,
    OPERATORS,
    Fact,
    Formulas,
    Layers,
    Models,
)
from claims.trained import trained
from claims.training.rules import Lower
from nin_ref import oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair

if TYPE_CHECKING:
    from torch import nn

# Networks with small kernels ----------------------------------------------------------------------

vgg_3x3 = Claim(
    "small-kernels/vgg-has-3x3-kernels-only",
    says="VGG is built of many 3x3 kernels: VGG-11, 13, 16 and 19 of 8, 10, 13 and 16 layers of "
    "them, and of no other kernels.",
    cites=["003:10", "003:19"],
    recorded=Holds(),
)


@vgg_3x3.judged(
    subject=MODELS,
    on=classics.ALL_VGGS,
    flipped_by=[
        other_kernel(0, 5),
        other_kernel(-1, 1),
        surgeries.last_convolution_removed,
        surgeries.padding_dropped,
    ],
)
def all_kernels_are_3x3(models: Models, name: str) -> dict[str, int]:
    found = classics.convolutions(models(name))
    for one in found:
        options = (one.kernel_size, one.stride, one.padding, one.dilation, one.groups)
        assert options == ((3, 3), (1, 1), (1, 1), (1, 1), 1), f"{name} has {one}"
    # The number in the name counts three fully connected layers as well.
    expected = int(name[-2:]) - 3
    assert len(found) == expected, f"{name} has {len(found)} convolutions, not {expected}"
    return {"3x3 kernels": len(found)}


INCEPTION = "Inception puts two 3x3 kernels in the place of a 5x5"
PAIRS, LATER = "1x1, 3x3, two stacked 3x3", "a later Inception network than GoogLeNet, the first"

inception_papers = Claim(
    "small-kernels/inception-papers-have-pairs-of-3x3-kernels",
    says="By the papers on them, the blocks of GoogLeNet and of the Inception network with batch "
    "normalisation have two stacked 3x3 convolutions in the place of a 5x5.",
    cites=["003:10"],
    recorded=HoldsIf(LATER),
    reading_of=INCEPTION,
)


@inception_papers.judged(
    subject=FACTS,
    on=["googlenet/kernels", "bn-inception/kernels"],
    when={LATER: lambda key: key != "googlenet/kernels"},
    flipped_by=[
        perturbed("GoogLeNet has pairs of 3x3", "googlenet/kernels", value=PAIRS),
        perturbed("5x5 with batch normalisation", "bn-inception/kernels", value="1x1, 3x3, 5x5"),
    ],
)
def block_has_pairs(facts: Mapping[str, Fact], key: str) -> dict[str, str]:
    found = facts[key]
    assert found.value == PAIRS, f"the record of {key} says: {found.value}"
    return sourced(found)


no_5x5_left = Claim(
    "small-kernels/inception-v3-has-no-5x5-kernels",
    says="In Inception v3, as torchvision has it, two 3x3 kernels stand in the place of every 5x5: "
    "none is left.",
    cites=["003:10"],
    recorded=Refuted(instead="small-kernels/inception-v3-has-pairs-of-3x3-beside-5x5-kernels"),
    reading_of=INCEPTION,
)
beside_5x5 = Claim(
    "small-kernels/inception-v3-has-pairs-of-3x3-beside-5x5-kernels",
    says="The blocks of Inception v3, as torchvision has it, have four branches with two stacked "
    "3x3 convolutions, which see 5x5, and three with a 5x5.",
    cites=["003:10"],
    recorded=Holds(),
    reading_of=INCEPTION,
)


def _each_5x5_replaced(model: nn.Module) -> None:
    from torch import nn

    for name in surgeries.of_kind(model, "Conv2d"):
        conv: Any = model.get_submodule(name)
        if conv.kernel_size == (5, 5):
            widths = conv.in_channels, conv.out_channels, conv.out_channels
            pair = (nn.Conv2d(i, o, 3, padding=1, device="meta") for i, o in pairwise(widths))
            put(model, name, nn.Sequential(*pair))


def _first_pair_strided(model: nn.Module) -> None:
    first: Any = model.get_submodule("Mixed_5b.branch3x3dbl_2.conv")
    first.stride = (2, 2)


each_5x5_replaced = surgery("two 3x3 for each 5x5", _each_5x5_replaced)


@no_5x5_left.judged(subject=MODELS, on=["inception_v3"], flipped_by=[each_5x5_replaced])
def no_kernel_is_5x5(models: Models, name: str) -> None:
    sizes = [one.kernel_size for one in classics.convolutions(models(name))]
    assert (5, 5) not in sizes, f"{sizes.count((5, 5))} of {len(sizes)} kernels of {name} are 5x5"


@beside_5x5.judged(
    subject=MODELS,
    on=["inception_v3"],
    flipped_by=[
        each_5x5_replaced,
        surgery("stride of 2 within the first pair", _first_pair_strided),
    ],
)
def pairs_and_5x5(models: Models, name: str) -> None:
    branches = [one for block in inception.blocks(models(name)) for one in block.branches]
    both = [pair for branch in branches for pair in pairwise(branch)]
    stacked = [
        pair for pair in both if [one.kernel for one in pair if one.out_channels] == 2 * [(3, 3)]
    ]
    fields = [inception.field(pair) for pair in stacked]
    assert fields == 4 * [(5, 5)], f"stacked 3x3 convolutions of {name} see {fields}"
    large = sum((5, 5) in [one.kernel for one in branch] for branch in branches)
    assert large == 3, f"{large} branches of {name} have a 5x5 convolution"


# What the VGG paper says --------------------------------------------------------------------------

# What the same words can mean: the same pixels, the same functions, fewer of them, as much decay.
EQUIVALENT = "the regularisation of a 5x5 kernel is equivalent to two 3x3 kernels"
ROBUST = "a model of stacked small kernels is regularised and more robust"


observation = stated(
    "small-kernels/vgg-paper-observes-what-stacks-of-3x3-see",
    "The VGG paper observes that two stacked 3x3 convolutions see 5x5 pixels and three 7x7.",
    ["003:13", "003:14"],
    Holds(),
    key="vgg/stacks-of-3x3",
    value="two see 5x5, three see 7x7",
    otherwise="two see 6x6, three see 9x9",
)
regularisation = stated(
    "small-kernels/vgg-paper-calls-a-stack-a-regularised-large-kernel",
    "The VGG paper calls three 3x3 convolutions in the place of a 7x7 a regularisation of this, "
    "which has to decompose into them.",
    ["003:14"],
    Holds(),
    key="vgg/stacks-for-a-7x7",
    value="a regularisation: it must decompose",
    otherwise="no regularisation",
    reading_of=EQUIVALENT,
)
pairs_are_better = stated(
    "small-kernels/vgg-paper-found-pairs-of-3x3-better-than-5x5",
    "The VGG paper found a network with 5x5 kernels in the place of pairs of 3x3 ones to have a "
    "top-1 error 7 % higher.",
    ["003:17"],
    Holds(),
    key="vgg/5x5-for-pairs-of-3x3",
    value="7 % higher top-1 error",
    otherwise="no higher error",
    reading_of=ROBUST,
)

# The same pixels? ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strided:
    """Stacked 3x3 convolutions by their strides, and the pool behind the first (1: none)."""

    strides: tuple[int, ...]
    pool: int = 1


UNSTRIDED = "stride 1 before the last"

same_field = Claim(
    "small-kernels/stacks-of-3x3-see-what-one-large-kernel-sees",
    says="In the place of one layer, n stacked 3x3 convolutions see what one with a kernel of side "
    "2 n + 1 sees: two of them 5x5, three of them 7x7.",
    cites=["003:10", "003:14"],
    recorded=HoldsIf(UNSTRIDED, "no pool between"),
    reading_of=EQUIVALENT,
)


@same_field.judged(
    subject=OPERATORS,
    on=Sample(
        "one to four stacked 3x3 convolutions, some with a stride or a pool",
        [
            *(Strided(strides) for strides in ((1,), (1, 1), (1, 1, 1), (1, 1, 1, 1), (1, 2))),
            *(Strided(strides) for strides in ((2, 1), (1, 2, 1))),
            Strided((1, 1), pool=2),
        ],
    ),
    when={
        UNSTRIDED: lambda c: set(c.strides[:-1]) <= {1},
        "no pool between": lambda c: c.pool == 1,
    },
    flipped_by=[
        faults.kernel_row_ignored,
        faults.stride_ignored,
        faults.one_more_padding,
        faults.neighbours_mixed,
        cut_to_3x3,
    ],
)
def same_pixels_seen(ops: Operators, c: Strided) -> None:
    large = 2 * len(c.strides) + 1
    side = large * max(c.strides) * c.pool
    size = side + 1, side + 2
    expected = box(size, large)
    same(seen(ops, size, [large]), expected, f"what a {large}x{large} kernel sees")
    stacked = seen(ops, size, len(c.strides) * [3], c.strides, c.pool)
    assert (stacked == expected).all(), (
        f"they see {stacked.any(axis=1).sum()}x{stacked.any(axis=0).sum()} pixels, a {large}x"
        f"{large} kernel {large}x{large}"
    )


@same_field.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.output_size_off_by_one,
        wrong_formulas.padding_counted_once,
        formula("size halved", "output_size", lambda f, size, *a, **more: f(size, *a, **more) / 2),
    ],
)
def as_one_kernel_at_any_depth(formulas: Formulas, _: Proof) -> None:
    """Go by induction: a 3x3 behind what sees 2 n + 1 sees 2 n + 3, with and without padding.

    Convolutions put out one unit for an image of just the size that this unit sees.
    """
    import sympy

    size, number = sympy.symbols("size n", positive=True, integer=True)
    side = 2 * number + 1
    same_formula(formulas.output_size(side, side), 1, "units of an image of the kernel's size")
    further = formulas.output_size(formulas.output_size(size, side), 3)
    same_formula(further, formulas.output_size(size, side + 2), "size behind one layer more")
    padded = formulas.output_size(formulas.output_size(size, side, padding=number), 3, padding=1)
    same_formula(padded, size, "size with padding")
    larger = formulas.output_size(size, side + 2, padding=number + 1)
    same_formula(padded, larger, "size with padding behind one layer more")


# The same functions? Every stack is a large kernel ------------------------------------------------


@dataclass(frozen=True)
class Stacked:
    """Stacked 3x3 convolutions on images; `channels` are those before and behind each.

    `stride` is that of the first and `last_stride` that of the last, `padding` that of the first
    and `later_padding` that of the others.
    """

    channels: tuple[int, ...]
    batch: int
    height: int
    width: int
    stride: Pair = (1, 1)
    last_stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    later_padding: Pair = (0, 0)
    rectified: bool = False
    seed: int = 0

    @functools.cached_property
    def x(self) -> Array:
        """Input [N, C, H, W]; float32 would round it."""
        return wide(integers(self.seed, self.batch, self.channels[0], self.height, self.width))

    @functools.cached_property
    def layers(self) -> list[tuple[Array, Array]]:
        """Weights [O, C, 3, 3] and biases [O] of each layer, no bias of them zero."""
        return [
            (integers(self.seed + number, o, i, 3, 3), integers(self.seed + number, o, low=1))
            for number, (i, o) in enumerate(pairwise(self.channels), start=1)
        ]

    @property
    def merged(self) -> tuple[Array, Array]:
        """Kernel [O, C, 2 n + 1, 2 n + 1] and bias [O] of one convolution, tap by tap."""
        (kernel, bias), *further = self.layers
        for weight, offset in further:
            side = kernel.shape[2]
            whole = np.zeros((len(weight), kernel.shape[1], side + 2, side + 2))
            for row, column in np.ndindex(3, 3):
                tap = np.einsum("om,mikl->oikl", weight[:, :, row, column], kernel)
                whole[:, :, row : row + side, column : column + side] += tap
            kernel, bias = whole, offset + np.einsum("omkl,m->o", weight, bias)
        return kernel, bias

    def computed_by(self, ops: Operators) -> Array:
        """Run the layers."""
        maps, last = self.x, len(self.layers) - 1
        strides = [self.stride, *(last - 1) * [(1, 1)], self.last_stride]
        paddings = [self.padding, *last * [self.later_padding]]
        for number, (weight, bias) in enumerate(self.layers):
            maps = ops.conv2d(maps, weight, bias, stride=strides[number], padding=paddings[number])
            if self.rectified and number < last:
                maps = ops.relu(maps)
        return maps


CHANNELS = st.lists(st.integers(1, 3), min_size=3, max_size=4).map(tuple)
NO_ACTIVATION, LATER_UNPADDED = "no activation between", "no padding behind the first"

is_one_convolution = Claim(
    "small-kernels/stacks-of-3x3-are-one-large-convolution",
    says="Whatever two stacked 3x3 convolutions compute, biases included, a 5x5 computes, and "
    "whatever three compute a 7x7.",
    cites=["003:14"],
    recorded=HoldsIf(NO_ACTIVATION, LATER_UNPADDED, UNSTRIDED),
    reading_of=EQUIVALENT,
)


@is_one_convolution.judged(
    subject=OPERATORS,
    on=Domain(
        "two or three 3x3 convolutions of 1 to 4 channels on maps of 8x9 to 13x13",
        covering=[
            Stacked((2, 3, 1), 2, 8, 9, last_stride=(1, 2), padding=(1, 2)),
            Stacked((3, 2, 4, 2), 2, 9, 11, last_stride=(2, 1), padding=(2, 0)),
            Stacked((2, 3, 2), 1, 9, 8, stride=(2, 1)),
            Stacked((2, 1, 3), 1, 8, 9, later_padding=(1, 0)),
            Stacked((2, 1, 3, 1), 1, 10, 9, rectified=True),
        ],
        strategy=st.builds(
            Stacked,
            channels=CHANNELS,
            batch=st.integers(1, 2),
            height=st.integers(11, 13),
            width=st.integers(11, 13),
            stride=st.just((1, 1)) | pairs(1, 2),
            last_stride=pairs(1, 3),
            padding=pairs(0, 2),
            later_padding=st.just((0, 0)) | pairs(0, 1),
            rectified=st.booleans(),
            seed=SEEDS,
        ),
    ),
    when={
        NO_ACTIVATION: lambda c: not c.rectified,
        LATER_UNPADDED: lambda c: c.later_padding == (0, 0),
        UNSTRIDED: lambda c: c.stride == (1, 1),
    },
    flipped_by=[
        faults.kernel_flipped,
        faults.bias_missing,
        faults.padded_by_edge,
        faults.channel_ignored,
        faults.stride_swapped,
        faults.rectified,
        faults.conv2d_in_float32,
    ],
)
def one_convolution_computes_it(ops: Operators, c: Stacked) -> None:
    computed = c.computed_by(ops)  # first, so that a change of its inputs shows
    kernel, bias = c.merged
    expected = oracle.conv2d(c.x, kernel, bias, stride=c.last_stride, padding=c.padding)
    same(computed, expected, f"what {len(c.layers)} convolutions compute")


at_the_border = Claim(
    "small-kernels/padding-changes-only-the-outermost-pixels",
    says="Two 3x3 convolutions padded by one each compute what a 5x5 padded by two computes, but "
    "for the outermost ring of pixels, and three what a 7x7 computes but for two rings.",
    cites=["003:14"],
    recorded=Holds(),
)
padded = functools.partial(Stacked, padding=(1, 1), later_padding=(1, 1))


@at_the_border.judged(
    subject=OPERATORS,
    on=Domain(
        "two or three 3x3 convolutions of 1 to 4 channels on maps of 7x7 to 12x12, padded by one",
        covering=[padded((2, 3, 1), 2, 8, 7), padded((3, 2, 4, 2), 1, 9, 11)],
        strategy=st.builds(
            padded,
            channels=CHANNELS,
            batch=st.integers(1, 2),
            height=st.integers(7, 12),
            width=st.integers(7, 12),
            seed=SEEDS,
        ),
    ),
    flipped_by=[
        faults.padding_ignored,
        faults.padded_by_edge,
        faults.one_more_padding,
        faults.kernel_flipped,
        faults.conv2d_in_float32,
    ],
)
def only_rings_differ(ops: Operators, c: Stacked) -> None:
    stacked = c.computed_by(ops)
    number = len(c.layers)
    kernel, bias = c.merged
    large = oracle.conv2d(c.x, kernel, bias, padding=(number, number))
    assert stacked.shape == large.shape, f"{stacked.shape}, one convolution gives {large.shape}"
    rings = number - 1
    inner = (slice(rings, -rings),) * 2
    same(stacked[..., *inner], large[..., *inner], "the inside of the maps")
    differs = (stacked != large).any(axis=(0, 1))
    for ring in range(rings):
        border = differs[ring : c.height - ring, ring : c.width - ring].copy()
        border[1:-1, 1:-1] = False
        assert border.any(), f"ring {ring} of the maps is the same"


# Not every large kernel is a stack ----------------------------------------------------------------


@functools.cache
def freedom(layers: Layers, channels: tuple[int, ...]) -> tuple[int, int]:
    """Return in how many directions the kernel that stacked 3x3 convolutions compute can vary.

    Beside it stands in how many one large kernel can: one for each of its weights. The rank of all
    derivatives is that at weights from a seed, where it is the largest unless they coincide oddly.
    """
    import torch

    network = stack_of(layers, channels, device="cpu").double()
    names = [name for name, _ in network.named_parameters()]
    weights = tuple(
        torch.tensor(integers(number, *weight.shape))
        for number, weight in enumerate(network.parameters())
    )
    middle = 2 * (len(channels) - 1)
    pixels = torch.zeros(channels[0], channels[0], 2 * middle + 1, 2 * middle + 1).double()
    pixels[range(channels[0]), range(channels[0]), middle, middle] = 1

    def kernel(*weights: torch.Tensor) -> torch.Tensor:
        named = dict(zip(names, weights, strict=True))
        computed: torch.Tensor = torch.func.functional_call(network, named, pixels)
        return computed.flatten()

    parts = torch.func.jacrev(kernel, argnums=tuple(range(len(weights))))(*weights)
    derivatives = torch.cat([part.flatten(1) for part in parts], dim=1)
    return int(torch.linalg.matrix_rank(derivatives)), len(derivatives)


def _four_times_as_wide(sequential: Callable[..., nn.Module], *parts: Any) -> nn.Module:
    from torch import nn

    widths = [parts[0].in_channels, *(4 * one.out_channels for one in parts[:-1])]
    ends = pairwise([*widths, parts[-1].out_channels])
    return sequential(*(nn.Conv2d(i, o, 3, bias=False) for i, o in ends))


four_times_as_wide = layer("four times as many channels between", "Sequential", _four_times_as_wide)
depthwise = layer(
    "each channel on its own", "Conv2d", lambda f, i, *a, **more: f(i, *a, groups=i, **more)
)

every_kernel = Claim(
    "small-kernels/every-5x5-is-two-3x3",
    says="Whatever a 5x5 convolution computes, two stacked 3x3 with as many channels between as "
    "outside and no activation compute, and whatever a 7x7 computes three of them.",
    cites=["003:14"],
    recorded=Refuted(instead="small-kernels/every-5x5-is-two-3x3-with-four-times-the-channels"),
    reading_of=EQUIVALENT,
)
thin = Claim(
    "small-kernels/stacks-restrict-the-large-kernel",
    says="As a regularisation, n stacked 3x3 convolutions that keep the number of channels leave "
    "the large kernel 8 n + 1 of its (2 n + 1) squared directions for each pair of channels: 17 of "
    "25, 25 of 49.",
    cites=["003:14", "003:17"],
    recorded=Holds(),
    reading_of=EQUIVALENT,
)


@every_kernel.judged(
    subject=LAYERS,
    on=Sample(
        "two or three convolutions of one or two channels", [(1, 1, 1), (2, 2, 2), (1, 1, 1, 1)]
    ),
    flipped_by=[four_times_as_wide],
)
def stacks_vary_in_every_direction(layers: Layers, channels: tuple[int, ...]) -> None:
    """What varies in fewer directions than a kernel has weights leaves almost all kernels out."""
    directions, weights = freedom(layers, channels)
    side = 2 * len(channels) - 1
    assert directions == weights, (
        f"{len(channels) - 1} stacked 3x3 kernels vary in {directions} directions, {side}x{side} "
        f"kernels in {weights}"
    )


@thin.judged(
    subject=LAYERS,
    on=Sample(
        "two to four convolutions of one or two channels",
        [(1, 1, 1), (2, 2, 2), (1, 1, 1, 1), (1, 1, 1, 1, 1)],
    ),
    flipped_by=[four_times_as_wide, depthwise],
)
def eight_n_plus_1_directions(layers: Layers, channels: tuple[int, ...]) -> dict[str, float]:
    directions, weights = freedom(layers, channels)
    number = len(channels) - 1
    expected = (8 * number + 1) * channels[0] ** 2
    assert weights == (2 * number + 1) ** 2 * channels[0] ** 2, f"the large kernel has {weights}"
    assert directions == expected, f"{directions} directions of {weights}, not {expected}"
    return {"share of the directions": directions / weights}


wide_stack = Claim(
    "small-kernels/every-5x5-is-two-3x3-with-four-times-the-channels",
    says="Every 5x5 convolution is two stacked 3x3 with four times as many channels between as it "
    "takes, which have more weights than it has.",
    cites=["003:14"],
    recorded=Holds(),
)


def two_for(weight: Array) -> tuple[Array, Array]:
    """Return the weights of two 3x3 convolutions that compute what 5x5 kernels do [O, C, 5, 5].

    The first shifts each channel into the four corners, the second convolves each of the shifted
    maps with the part of the kernels in this corner, of what the corners before it have left.
    """
    channels = range(weight.shape[1])
    left, parts = weight.copy(), []
    shifts = np.zeros((4, len(channels), len(channels), 3, 3))
    for shift, (top, side) in zip(shifts, itertools.product((0, 2), repeat=2), strict=True):
        shift[channels, channels, top, side] = 1
        corner = left[..., top : top + 3, side : side + 3]
        parts.append(corner.copy())
        corner[:] = 0
    return np.concatenate(shifts), np.concatenate(parts, axis=1)


@wide_stack.judged(
    subject=OPERATORS,
    on=Domain(
        "5x5 convolutions of 1 to 2 images, 1 to 5 channels, any stride and padding",
        covering=[
            Convolution(2, 1, 2, 6, 8, (5, 5), stride=(2, 1), padding=(2, 1)),
            Convolution(1, 3, 4, 9, 7, (5, 5), stride=(1, 3), padding=(0, 2)),
            Convolution(2, 5, 1, 6, 7, (5, 5)),
        ],
        strategy=st.builds(
            Convolution,
            batch=st.integers(1, 2),
            in_channels=st.integers(1, 5),
            out_channels=st.integers(1, 5),
            height=st.integers(5, 9),
            width=st.integers(5, 9),
            kernel=st.just((5, 5)),
            stride=pairs(1, 3),
            padding=pairs(0, 2),
            seed=SEEDS,
        ),
    ),
    flipped_by=[
        faults.kernel_flipped,
        faults.channel_ignored,
        faults.bias_missing,
        faults.stride_swapped,
        faults.padding_ignored,
        faults.conv2d_in_float32,
    ],
)
def two_compute_the_same(ops: Operators, c: Convolution) -> None:
    first, second = two_for(c.weight)
    assert len(first) == 4 * c.in_channels, f"{len(first)} channels between"
    assert first.size + second.size > c.weight.size, f"{first.size + second.size} weights"
    maps = ops.conv2d(wide(c.x), first, padding=c.padding)
    two = ops.conv2d(maps, second, c.bias, stride=c.stride)
    same(two, oracle.conv2d(wide(c.x), c.weight, c.bias, **c.options), "what two 3x3 compute")


# The same decay? ----------------------------------------------------------------------------------


def left_by_decay(layers: Layers, number: int, kernel: int) -> float:
    """Return how much a step with weight decay leaves of what stacked convolutions compute.

    The loss has no gradient; learning rate times decay is a quarter.
    """
    import torch

    network = stack_of(layers, (number + 1) * [1], kernel, device="cpu").double()
    for weight in network.parameters():
        weight.data = torch.tensor(integers(number, *weight.shape, low=1))
    pixel = torch.zeros(1, 1, 13, 12, dtype=torch.float64)
    pixel[0, 0, 6, 5] = 1
    before = network(pixel)
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    for weight in trained:
        weight.grad = torch.zeros_like(weight)
    torch.optim.SGD(trained, lr=0.5, weight_decay=0.5).step()
    left = (network(pixel) / before)[before != 0].unique()
    return float(left.item())


def _only_the_first_decays(sequential: Callable[..., nn.Module], *parts: nn.Module) -> nn.Module:
    for part in parts[1:]:
        part.requires_grad_(requires_grad=False)
    return sequential(*parts)


only_the_first_decays = layer("only the first decays", "Sequential", _only_the_first_decays)

same_decay = Claim(
    "small-kernels/weight-decay-shrinks-stacks-as-it-shrinks-one-kernel",
    says="Weight decay, a regularisation, shrinks what two stacked 3x3 kernels compute as much as "
    "what a 5x5 computes, and what three compute as much as a 7x7.",
    cites=["003:14"],
    recorded=Refuted(instead="small-kernels/weight-decay-shrinks-stacks-by-a-power"),
    reading_of=EQUIVALENT,
)
power = Claim(
    "small-kernels/weight-decay-shrinks-stacks-by-a-power",
    says="Weight decay that takes a quarter of each weight leaves three quarters of what one "
    "kernel computes and the n-th power of this of what n stacked kernels compute.",
    cites=["003:14"],
    recorded=Holds(),
)


@same_decay.judged(
    subject=LAYERS,
    on=Sample("one step of SGD on two or three 3x3 kernels", [2, 3]),
    flipped_by=[only_the_first_decays],
)
def as_much_is_left(layers: Layers, number: int) -> None:
    small, large = left_by_decay(layers, number, 3), left_by_decay(layers, 1, 2 * number + 1)
    assert small == large, (
        f"{large:g} is left of one large kernel, {small:g} of {number} small ones"
    )


@power.judged(
    subject=LAYERS,
    on=Sample("one step of SGD on one to four 3x3 kernels", [1, 2, 3, 4]),
    flipped_by=[only_the_first_decays],
)
def power_is_left(layers: Layers, number: int) -> dict[str, float]:
    left = left_by_decay(layers, number, 3)
    assert left == 0.75**number, f"{left:g} is left of {number} kernels"
    return {"left": left}


# What only training decides -----------------------------------------------------------------------

PAIRED = "a network with two 3x3 convolutions in the place of each 5x5"

large_against_small = tuple(
    trained(
        f"small-kernels/pairs-of-3x3-{name}-than-5x5",
        says=says,
        cites=["003:17"],
        rule=Lower("trunk-two-3x3", "trunk-5x5", quantity=quantity, seeds=5),
        reading_of=ROBUST,
    )
    for name, quantity, says in (
        (
            "overfit-less",
            "generalisation gap",
            f"On CIFAR-10, {PAIRED} ends with a smaller gap between training and test error.",
        ),
        (
            "classify-better",
            "test error",
            f"On CIFAR-10, {PAIRED} ends with a lower test error.",
        ),
        (
            "withstand-noise-better",
            "rise of test error by noise of a half",
            f"Noise on the test images of CIFAR-10 costs {PAIRED} less accuracy.",
        ),
    )
)
