"""Offsets of deformable convolutions: where they come from, how they learn, how many there are.

Document 003 (lines 58 to 65).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._deformable import (
    OTHER_PLACES,
    OTHER_TAPS,
    SOME_DEFORMATIONS,
    Deformation,
    interpolated,
    kernel_flipped,
    same_offsets_everywhere,
)
from claims.cases import integers, wide
from claims.checks import Array, same
from claims.core.claim import Claim, Fault, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import operators as faults
from claims.subjects import LAYERS, OPERATORS, Layers, torchvision_models
from nin_ref import oracle
from nin_ref.operators import Operators
from nin_ref.oracle import Pair, output_size

if TYPE_CHECKING:
    import torch
    from torch import nn

Deform = Callable[..., "torch.Tensor"]


def _of_torchvision() -> Deform:
    import torch

    torchvision_models()  # says how to get torchvision where it is missing
    from torchvision.ops import deform_conv2d

    torch.set_num_threads(1)  # the tensors are tiny
    operator: Deform = deform_conv2d
    return operator


DEFORM: Subject[Deform] = Subject("deformable convolution of torchvision", _of_torchvision)


def deform(name: str, change: Callable[..., torch.Tensor]) -> Fault[Deform]:
    """Return a fault that puts `change(right, x, offset, *args)` in torchvision's place."""
    return Fault(name, lambda right: functools.partial(change, right))


# Where the offsets come from ----------------------------------------------------------------------


Window = tuple[Pair, int, int, int]
SIZE = (9, 8)


def extents(window: Window) -> tuple[int, ...]:
    """Return the output size of a kernel with a stride, padding and dilation on maps of `SIZE`."""
    kernel, stride, padding, dilation = window
    return tuple(
        output_size(size, k, stride, padding, dilation)
        for size, k in zip(SIZE, kernel, strict=True)
    )


BRANCHES = Sample(
    "some windows of a deformable convolution and of the one that computes its offsets, in maps of "
    "9x8: kernel, stride, padding and dilation",
    [
        (((3, 3), 1, 1, 1), ((3, 3), 1, 1, 1)),
        (((3, 3), 1, 1, 1), ((1, 1), 1, 0, 1)),
        (((3, 2), 2, 0, 1), ((3, 2), 2, 0, 1)),
        (((2, 3), 2, 2, 2), ((2, 3), 2, 2, 2)),
        (((5, 3), 1, 0, 1), ((3, 2), 1, 0, 2)),
        (((3, 3), 1, 0, 1), ((3, 3), 1, 1, 1)),
        (((3, 3), 2, 1, 1), ((3, 3), 1, 1, 1)),
    ],
)
AS_LARGE = "its maps are as large as the output"

one_more_convolution = Claim(
    "deformable-offsets/one-more-convolution-gives-the-offsets",
    says="One more convolution, run on the same feature map, gives a deformable convolution its "
    "offsets.",
    cites=["003:59"],
    recorded=HoldsIf(AS_LARGE),
)


def _stretched(right: Deform, x: torch.Tensor, offset: torch.Tensor, *args: Any) -> torch.Tensor:
    """Stretch the offsets to the size of the output."""
    import torch

    weight, _, *window = args
    wanted = tuple(map(output_size, x.shape[2:], weight.shape[2:], *window))
    return right(x, torch.nn.functional.interpolate(offset, wanted), *args)


@one_more_convolution.judged(
    subject=DEFORM,
    on=BRANCHES,
    when={AS_LARGE: lambda c: extents(c[0]) == extents(c[1])},
    flipped_by=[
        deform("offsets stretched to the output", _stretched),
        deform("twice the offsets wanted", lambda f, x, o, *args: f(x, o[:, ::2], *args)),
    ],
)
def its_output_is_taken_for_offsets(operator: Deform, c: tuple[Window, Window]) -> None:
    import torch
    from torch import nn

    (kernel, *options), window = c
    x, weight = torch.ones(2, 4, *SIZE), torch.ones(3, 4, *kernel)
    offset = nn.Conv2d(4, 2 * math.prod(kernel), *window)(x)
    try:
        y = operator(x, offset, weight, None, *((one, one) for one in options))
    except RuntimeError:
        y = None
    expected, found = map(extents, c)
    assert y is not None, f"offsets in maps of {found} are refused for an output of {expected}"
    assert tuple(y.shape) == (2, 3, *expected), f"the output has the shape {list(y.shape)}"


LIKE_WEIGHTS = "offsets are trained like ordinary parameters of a kernel"

offsets_are_parameters = Claim(
    "deformable-offsets/offsets-are-parameters",
    says="The offsets themselves are parameters, which training sets once for all images.",
    cites=["003:59"],
    recorded=Refuted(instead="deformable-offsets/weights-of-the-offsets-are-parameters"),
    reading_of=LIKE_WEIGHTS,
)


@offsets_are_parameters.judged(
    subject=LAYERS,
    on=Sample("offsets for kernels of 3x3, of two images each, by seed", [0, 1]),
    flipped_by=[
        wrong_formulas.layer(
            "biases alone for offsets",
            "Conv2d",
            lambda f, *a, **o: _blind(f(*a, **o)),
        )
    ],
)
def two_images_have_the_same_offsets(layers: Layers, seed: int) -> None:
    import torch

    branch = layers.Conv2d(2, 18, 3, padding=1)
    for parameter in branch.parameters():
        parameter.data = torch.from_numpy(integers(seed, *parameter.shape)).float() / 8
    images = torch.from_numpy(integers(seed + 1, 2, 2, 5, 6)).float()
    one, other = branch(images)[:, :2, 0, 0].tolist()
    assert one == other, f"tap 0 in the corner moves by {one} in one image, {other} in another"


def _blind(layer: nn.Module) -> nn.Module:
    layer.register_forward_pre_hook(lambda _layer, inputs: (0 * inputs[0],))
    return layer


gradient_arrives = Claim(
    "deformable-offsets/weights-of-the-offsets-are-parameters",
    says="The weights of the convolution that computes the offsets are ordinary parameters: the "
    "gradient of the loss reaches each of them through the deformable convolution.",
    cites=["003:59"],
    recorded=Holds(),
    reading_of=LIKE_WEIGHTS,
)


def _misled(right: Deform, x: torch.Tensor, offset: torch.Tensor, *args: Any) -> torch.Tensor:
    """Send the gradient of each offset to its neighbour."""
    neighbour = offset.roll(1, dims=1)
    return right(x, offset.detach() + neighbour - neighbour.detach(), *args)


cut_off = deform("offsets cut off from the loss", lambda f, x, o, *a: f(x, o.detach(), *a))
nearest_pixel = deform("nearest pixel for interpolation", lambda f, x, o, *a: f(x, o.round(), *a))


@gradient_arrives.judged(
    subject=DEFORM,
    on=Sample("kernels of 3x1 on maps of 4x5, by seed", [0, 1, 2]),
    flipped_by=[
        cut_off,
        nearest_pixel,
        deform("gradient of a neighbouring offset", _misled),
        deform("gradient halved", lambda f, x, o, *a: f(x, (o + o.detach()) / 2, *a)),
    ],
)
def gradient_is_the_slope_of_the_loss(operator: Deform, seed: int) -> None:
    import torch
    from torch.nn.functional import conv2d

    x, weight, pulled = (
        torch.from_numpy(integers(seed + i, *shape))
        for i, shape in enumerate([(2, 2, 4, 5), (3, 2, 3, 1), (2, 3, 4, 5)])
    )
    weight.requires_grad_()
    # All offsets are odd sixteenths, so that no step below takes a sample across a pixel.
    branch = torch.from_numpy(integers(seed + 3, 6, 2, 1, 1)).div(8).requires_grad_()
    bias = torch.from_numpy(integers(seed + 4, 6)).div(8).add(1 / 16).requires_grad_()

    def loss() -> torch.Tensor:
        return (pulled * operator(x, conv2d(x, branch, bias), weight, None, (1, 1), (1, 0))).sum()

    gradients = torch.autograd.grad(loss(), (branch, bias), allow_unused=True)
    step = 1 / 128
    for parameter, gradient in zip((branch, bias), gradients, strict=True):
        assert gradient is not None, "no gradient arrives"
        assert gradient.all(), "a weight of the offsets has no gradient"
        flat = parameter.detach().view(-1)
        slopes = torch.empty_like(flat)
        for i in range(len(flat)):
            flat[i] += step
            above = loss().item()
            flat[i] -= 2 * step
            slopes[i] = (above - loss().item()) / (2 * step)
            flat[i] += step
        same(gradient.numpy().ravel(), slopes.numpy(), "the gradient")


# Learning where to look ---------------------------------------------------------------------------


def offset_error(operator: Deform, seed: int, *, cued: bool) -> float:
    """Train to give moved textures; return how far the offsets end up from the displacements.

    The displacement is one and the same for all images or, if `cued`, another one in each image,
    which two channels of the image show. The loss sees only the moved texture, computed from its
    formula. The offsets start from zero, the kernel, trained with them, from random weights.
    """
    import torch
    from torch import nn

    images, side = 16, 12
    grid = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))

    def draw() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        moves = torch.tensor([[0.6, -0.4]]).expand(images, 2)
        cues = torch.zeros(images, 2, side, side)
        if cued:
            moves = 3 * torch.rand(images, 2) - 1.5
            cues = moves[:, :, None, None].expand_as(cues)
        waves, phases = torch.rand(images, 4, 2) - 0.5, torch.rand(images, 4, 1, 1)

        def texture(moves: torch.Tensor) -> torch.Tensor:
            places = grid + moves[:, :, None, None]
            angles = torch.einsum("nkd,ndyx->nkyx", waves, places) + 2 * math.pi * phases
            return angles.cos().sum(dim=1, keepdim=True)

        return torch.cat([texture(0 * moves), cues], dim=1), texture(moves), moves

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        branch, kernel = nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(3, 1, 1)
        for parameter in branch.parameters():
            nn.init.zeros_(parameter)
        # At the kernel's own rate the offsets ran off the image in 3 of 12 runs.
        rates = [
            {"params": branch.parameters(), "lr": 0.01},
            {"params": kernel.parameters(), "lr": 0.03},
        ]
        optimiser = torch.optim.Adam(rates)
        for _ in range(300):
            x, target, _ = draw()
            y = operator(x, branch(x), kernel.weight, kernel.bias)
            loss = (y - target)[:, :, 2:-2, 2:-2].square().mean()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        x, _, moves = draw()
    with torch.no_grad():
        inside = branch(x)[:, :, 2:-2, 2:-2]
        return float((inside - moves[:, :, None, None]).abs().mean())


untaught = [
    cut_off,
    nearest_pixel,
    deform("offsets ignored", lambda f, x, o, *a: f(x, 0 * o, *a)),
    deform("offsets across before those down", lambda f, x, o, *a: f(x, o.flip(1), *a)),
]

no_labels = Claim(
    "deformable-offsets/learns-offsets-without-labels-for-them",
    says="A loss on the output alone trains the offsets, without labels for them: asked for moved "
    "images, they learn by how much these are moved.",
    cites=["003:59"],
    recorded=Holds(),
    cost="cpu",
)


@no_labels.judged(
    subject=DEFORM,
    on=Sample("textures moved by (0.6, -0.4) pixels, by seed", [0, 1]),
    flipped_by=untaught,
)
def displacement_is_recovered(operator: Deform, seed: int) -> None:
    error = offset_error(operator, seed, cued=False)
    assert error < 0.1, "the offsets are off by more than a tenth of a pixel"


looks_where_it_matters = Claim(
    "deformable-offsets/learns-to-look-where-it-matters",
    says="A deformable convolution gathers what matters in each image: where the place of this "
    "differs from image to image, it learns to look there.",
    cites=["003:58", "003:59"],
    recorded=Holds(),
    cost="cpu",
)


@looks_where_it_matters.judged(
    subject=DEFORM,
    on=Sample("textures, each moved by what its image shows, by seed", [0, 1]),
    flipped_by=[
        *untaught,
        deform(
            "one offset for all images",
            lambda f, x, o, *a: f(x, o.mean(dim=0, keepdim=True).expand_as(o), *a),
        ),
    ],
)
def displacement_of_each_image_is_recovered(operator: Deform, seed: int) -> None:
    error = offset_error(operator, seed, cued=True)
    assert error < 0.1, "the offsets are off by more than a tenth of a pixel"


# How many offsets ---------------------------------------------------------------------------------

OFFSET_CHANNELS = "how many channels the offsets take"


def channels_taken(operator: Deform, channels: int, kernel: Pair) -> list[int]:
    """Return how many offset channels the operator takes for a feature map of some channels."""
    import torch

    x, weight = torch.ones(1, channels, *kernel), torch.ones(1, channels, *kernel)
    taken = []
    for offset_channels in range(1, 2 * channels * math.prod(kernel) + 3):
        try:
            operator(x, torch.zeros(1, offset_channels, 1, 1), weight)
        except RuntimeError:
            continue
        taken.append(offset_channels)
    return taken


OFFSET_SIZES = Sample(
    "some feature maps of 2 to 6 channels and kernels of 1x1 to 3x3",
    [(4, (3, 3)), (5, (3, 3)), (6, (2, 2)), (3, (3, 2)), (2, (1, 3)), (4, (1, 2)), (3, (1, 1))],
)

twice_the_channels = Claim(
    "deformable-offsets/offset-channels-are-twice-the-feature-channels",
    says="The convolution that computes the offsets needs twice as many output channels as the "
    "feature map has channels.",
    cites=["003:60-62"],
    recorded=Refuted(instead="deformable-offsets/offset-channels-are-twice-the-taps"),
    reading_of=OFFSET_CHANNELS,
)


def _per_channel(
    right: Deform, x: torch.Tensor, offset: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Resample each channel by two offsets of its own, then convolve."""
    import torch

    channels = x.shape[1]
    if offset.shape[1] != 2 * channels:
        raise RuntimeError("two offsets for each channel are wanted")
    everywhere = offset.expand(-1, -1, *x.shape[2:])
    moved = right(x, everywhere, torch.eye(channels)[:, :, None, None])
    return torch.nn.functional.conv2d(moved, weight)


@twice_the_channels.judged(
    subject=DEFORM,
    on=OFFSET_SIZES,
    flipped_by=[deform("each channel resampled by its own offsets", _per_channel)],
)
def twice_the_feature_channels_are_taken(operator: Deform, sizes: tuple[int, Pair]) -> None:
    channels, kernel = sizes
    taken = channels_taken(operator, channels, kernel)
    assert 2 * channels in taken, (
        f"{channels} channels, kernel {kernel[0]}x{kernel[1]}: {2 * channels} offset channels are "
        f"refused, {', '.join(map(str, taken))} are taken"
    )


twice_the_taps = Claim(
    "deformable-offsets/offset-channels-are-twice-the-taps",
    says="The offsets take two channels for each tap of the kernel, whatever the channels of the "
    "feature map, or so many times that as there are equal groups of channels with offsets of "
    "their own.",
    cites=["003:60-62"],
    recorded=Holds(),
    reading_of=OFFSET_CHANNELS,
)


@twice_the_taps.judged(
    subject=DEFORM,
    on=OFFSET_SIZES,
    flipped_by=[
        deform("each channel resampled by its own offsets", _per_channel),
        deform(
            "a third number for each tap", lambda f, x, o, w: f(x, o[:, : o.shape[1] // 3 * 2], w)
        ),
        deform("any groups", lambda f, x, o, w: f(x[:, :1], o, w[:, :1])),
        deform(
            "one group only", lambda f, x, o, w: f(x[:, :1], o[:, : 4 * w[0, 0].numel()], w[:, :1])
        ),
    ],
)
def two_for_each_tap_and_group_are_taken(operator: Deform, sizes: tuple[int, Pair]) -> None:
    channels, kernel = sizes
    groups = [count for count in range(1, channels + 1) if channels % count == 0]
    expected = [2 * count * math.prod(kernel) for count in groups]
    taken = channels_taken(operator, channels, kernel)
    assert taken == expected, (
        f"{channels} channels, kernel {kernel[0]}x{kernel[1]}: {taken} offset channels are taken"
    )


resampled_map = Claim(
    "deformable-offsets/resampled-map-takes-two-offsets-a-channel",
    says="Where the feature map itself is resampled, each pixel of each channel at a place of its "
    "own, the offsets have twice the channels of the map.",
    cites=["003:60-62"],
    recorded=Holds(),
    reading_of=OFFSET_CHANNELS,
)


def resampled(ops: Operators, x: Array, offsets: Array) -> Array:
    """Move each pixel of each channel of [N, C, H, W] by offsets [N, C, 2, H, W] of its own."""
    identity = np.eye(x.shape[1])[:, :, np.newaxis, np.newaxis]
    return ops.deform_conv2d(x, offsets.reshape(len(x), -1, *x.shape[2:]), identity)


@resampled_map.judged(
    subject=OPERATORS,
    on=SOME_DEFORMATIONS,
    flipped_by=[
        *OTHER_PLACES,
        faults.offsets_rounded,
        faults.deform_conv2d_in_float32,
    ],
)
def each_pixel_of_each_channel_moves(ops: Operators, c: Deformation) -> None:
    x, size = wide(c.x), (c.height, c.width)
    shape = (c.batch, c.in_channels, 2, *size)
    offsets = integers(c.seed + 5, *shape, low=-9, high=9) / 4
    places = (offsets + np.indices(size))[:, :, np.newaxis]
    expected = interpolated(x[:, :, np.newaxis], places)[:, :, 0, 0]
    same(resampled(ops, x, offsets), expected, "the resampled map")


SHARED = "taps that meet at a pixel share its offset"
STAYING = "taps in the padding have none"

resampling_first = Claim(
    "deformable-offsets/resampling-first-is-the-same",
    says="A deformable convolution is the same as to resample the feature map, by an offset for "
    "each pixel, and to convolve the result as usual.",
    cites=["003:60-62", "003:64-65"],
    recorded=HoldsIf(SHARED, STAYING),
    reading_of=OFFSET_CHANNELS,
)


@dataclass(frozen=True)
class Resampling(Deformation):
    """A deformable convolution, and whether its offsets could be those of pixels."""

    shared: bool = True
    staying: bool = True


@resampling_first.judged(
    subject=OPERATORS,
    on=Sample(
        "some deformable convolutions of two images with kernels of several taps",
        [
            Resampling(2, 2, 3, 6, 5, (3, 2), padding=(1, 1), shared=shared, staying=staying)
            for shared, staying in ((True, True), (False, True), (True, False))
        ]
        + [Resampling(2, 3, 2, 5, 7, (2, 3), (2, 1), padding=(0, 2), dilation=(1, 2))],
    ),
    when={SHARED: lambda c: c.shared, STAYING: lambda c: c.staying},
    flipped_by=[
        *OTHER_TAPS,
        faults.offsets_rounded,
        faults.offsets_ignored,
        faults.deform_conv2d_in_float32,
        same_offsets_everywhere,
        kernel_flipped,
    ],
)
def resampled_map_is_convolved(ops: Operators, c: Resampling) -> None:
    x, size = wide(c.x), np.reshape((c.height, c.width), (2, 1, 1))
    field = integers(c.seed + 5, c.batch, 2, c.height, c.width, low=-9, high=9) / 4
    on_a_pixel = ((c.taps >= 0) & (c.taps < size)).all(axis=1, keepdims=True)
    row, column = np.moveaxis(c.taps.clip(0, size - 1), 1, 0)
    of_pixels = np.moveaxis(field[:, :, row, column], 1, 2)
    own = c.offsets[:, 0]
    offsets = np.where(on_a_pixel, of_pixels if c.shared else own, 0 if c.staying else own)
    every_channel = np.stack([field] * c.in_channels, axis=1)
    expected = oracle.conv2d(resampled(oracle, x, every_channel), c.weight, **c.options)
    same(c.apply(ops, x, offsets, c.weight), expected, "the deformable convolution")
