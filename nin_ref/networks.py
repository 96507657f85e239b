"""The networks of the training arms, by name: `build("nin", head="linear")`.

All take images, float [N, C, H, W], and return class scores before the softmax, [N, classes]. Image
sizes in the docstrings are those of CIFAR-10, 3 x 32 x 32. Weights are PyTorch's first ones. The
last layer with weights, in the order of the modules, is always the one that gives the classes.

Everything here runs in float64, under autocast to bfloat16, with channels last, and within a
captured CUDA graph. Averages over whole maps and the response normalisation are computed in float32
or better, whatever comes in; only the listing of document 004 keeps its own average.
"""

from __future__ import annotations

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nin_ref import models


def build(name: str, **options: Any) -> nn.Module:
    """Build a network of `NETWORKS`.

    Raises:
        ValueError: if there is no such network, or it has no such option, or not with that value.
    """
    _check("network", name, tuple(NETWORKS))
    known = tuple(inspect.signature(NETWORKS[name]).parameters)
    for option in options:
        _check(f"option of network {name!r}", option, known)
    return NETWORKS[name](**options)


# Network in Network -------------------------------------------------------------------------------


def nin(
    *,
    classes: int = 10,
    in_channels: int = 3,
    widths: Sequence[Sequence[int]] = ((192, 160, 96), (192, 192, 192), (192, 192)),
    kernels: Sequence[int] = (5, 5, 3),
    one_by_ones: int = 2,
    second_pool: str = "max",
    dropout: str | None = "masked",
    rate: float = 0.5,
    batch_norm: bool = False,
    last_relu: bool = True,
    head: str = "mean",
) -> nn.Sequential:
    """Build Network in Network; as it stands, the paper's net for CIFAR-10 with 966,986 parameters.

    `features` makes a map for each class, `head` scores of the maps: 32 x 32, pooled to 16 x 16 and
    8 x 8. See `models.cifar10_nin` and its siblings for the sources, and for the widths and kernels
    of the other data sets.

    Args:
        classes: class maps, and class scores.
        in_channels: channels of the images.
        widths: of the convolution and the two 1x1 ones of each block; the last is `classes`.
        kernels: sides of the first convolution of each block, odd.
        one_by_ones: 1x1 convolutions in each block. Of 1, the one in the middle is gone; of 3, it
            is there twice.
        second_pool: "max", or "average" as in the Caffe variant. Both pool 3x3 by 2 and round up,
            so windows reach over the far border; the average there is that of the pixels within.
        dropout: after each pool; "masked" as in the original, which halves at test what half of the
            masks let through in training, "inverted" as in PyTorch, or None.
        rate: the share that dropout drops.
        batch_norm: put batch normalisation between each convolution and its ReLU, as document 000
            does (lines 56 to 66).
        last_relu: end with a ReLU on the class maps, as the original does. With small first weights
            all of it may fall below zero in the first steps, and stay there.
        head: "mean" or "maximum" of each map; "linear", a fully connected layer on all the maps,
            which must be 8 x 8; "linear-dropout", with dropout of the same kind before it.

    Raises:
        ValueError: for an option with a value that is not named here.
    """
    _check("one_by_ones", one_by_ones, (1, 2, 3))
    _check("head", head, ("mean", "maximum", "linear", "linear-dropout"))
    pools = (_pool("max"), _pool(second_pool))
    layers: list[nn.Module] = []
    blocks = [*widths[:-1], (*widths[-1], classes)]
    for number, ((first, middle, last), kernel) in enumerate(zip(blocks, kernels, strict=True)):
        if number:
            layers += [pools[number - 1], *_dropout(dropout, rate)]
        outputs = (first, *[middle] * (one_by_ones - 1), last)
        block: list[nn.Module] = []
        for position, out_channels in enumerate(outputs):
            side = 1 if position else kernel
            block.append(nn.Conv2d(in_channels, out_channels, side, padding=side // 2))
            block += [nn.BatchNorm2d(out_channels)] if batch_norm else []
            block.append(nn.ReLU())
            in_channels = out_channels
        if number == len(blocks) - 1 and not last_relu:
            block.pop()
        layers.append(nn.Sequential(*block))
    return _featured(layers, _head(head, classes * 8 * 8, classes, _dropout(dropout, rate)))


def plain_nin(*, dropout: str | None = "masked") -> nn.Sequential:
    """Build plain convolutions as costly as `nin`: 968,211 parameters, 222,292,800 multiply-adds.

    Pools and dropout (here by half) are those of `nin`, and like there a ReLU follows each
    convolution and the scores are means of the class maps. With the first width as there, 159 and
    125 come closest in the worse of the two counts, to 0.13 %.
    """
    layers = [
        *_convolution(3, 192, 5),
        _pool("max"),
        *_dropout(dropout, 0.5),
        *_convolution(192, 159, 5),
        _pool("max"),
        *_dropout(dropout, 0.5),
        *_convolution(159, 125, 3),
        *_convolution(125, 10, 3),
    ]
    return _featured(layers, GlobalAverage())


def plain_cnn(*, head: str = "linear") -> nn.Sequential:
    """Build the conventional network on which the paper compares heads (nin-paper:4.6).

    The stages are 64 x 32 x 32, 16 x 16, 8 x 8, 4 x 4, 16 x 4 x 4. The architecture is that of
    Hinton and others (arXiv 1207.0580), written down from memory: three convolutions of 5x5 with a
    pool after each (maximum, average, average; 3x3 by 2, rounded up), response normalisation after
    the first two pools, and a locally connected layer of 3x3 with 16 maps. Paddings that keep the
    size are a guess, and so is the ReLU after the local layer.

    Args:
        head: "linear"; "linear-dropout", with original dropout by half before it; or "mean" of the
            local layer's maps, which then are 10.

    Raises:
        ValueError: for another head.
    """
    _check("head", head, ("linear", "linear-dropout", "mean"))
    maps = 10 if head == "mean" else 16
    layers = [
        *_convolution(3, 64, 5),
        _pool("max"),
        ResponseNormalization(),
        *_convolution(64, 64, 5),
        _pool("average"),
        ResponseNormalization(),
        *_convolution(64, 64, 5),
        _pool("average"),
        LocallyConnected2d(64, maps, 3, size=4),
        nn.ReLU(),
    ]
    return _featured(layers, _head(head, maps * 4 * 4, 10, _dropout("masked", 0.5)))


def wide_mlp() -> nn.Sequential:
    """Build a single hidden layer of 65,536 units: 3072 values to 10 class scores."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3 * 32 * 32, 65_536), nn.ReLU(), nn.Linear(65_536, 10)
    )


# The tricks of document 003 -----------------------------------------------------------------------


def trunk(*, layer: str = "3x3") -> nn.Sequential:
    """Build the network in which the tricks of document 003 take the place of 3x3 convolutions.

    Three stages, 56 x 32 x 32, 112 x 16 x 16 and 224 x 8 x 8, of two layers each, with 2x2 maxima
    between them; then the mean of each map and a linear layer. Batch normalisation and ReLU follow
    every convolution, which therefore has no biases. The first layer, from 3 channels, is a plain
    3x3 convolution always, since half of the tricks mean nothing there; so two variants differ in
    the five layers of `layers` that follow, and in nothing else.

    Args:
        layer: "3x3"; "5x5"; "two-3x3", the second one on as many channels as the first one makes;
            "depthwise-separable", a 3x3 within each channel and a 1x1; "bottleneck", a 1x1 to a
            quarter of the output channels, a 3x3 and a 1x1; "inception", kernels of 1x1, 3x3 and
            5x5 side by side that make 2/7, 4/7 and 1/7 of the channels and have as many weights as
            the 3x3; "squeeze-excitation", the 3x3 with weights of the channels after its ReLU.

    Raises:
        ValueError: for another layer.
    """
    _check("layer", layer, tuple(TRICKS))
    trick = TRICKS[layer]
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        layer2=trick(56, 56),
        pool1=nn.MaxPool2d(2),
        layer3=trick(56, 112),
        layer4=trick(112, 112),
        pool2=nn.MaxPool2d(2),
        layer5=trick(112, 224),
        layer6=trick(224, 224),
    )
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        layer1=nn.Sequential(*_normalised(3, 56, 3)),
        layers=nn.Sequential(layers),
        mean=GlobalAverage(),
        classifier=nn.Linear(224, 10),
    )
    return nn.Sequential(parts)


def _of_kernel(kernel: int) -> Callable[[int, int], nn.Sequential]:
    return lambda inputs, outputs: nn.Sequential(*_normalised(inputs, outputs, kernel))


def _two_3x3(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(*_normalised(inputs, outputs, 3), *_normalised(outputs, outputs, 3))


def _depthwise_separable(inputs: int, outputs: int) -> nn.Sequential:
    depthwise = _normalised(inputs, inputs, 3, groups=inputs)
    return nn.Sequential(*depthwise, *_normalised(inputs, outputs, 1))


def _bottleneck(inputs: int, outputs: int) -> nn.Sequential:
    middle = outputs // 4
    return nn.Sequential(
        *_normalised(inputs, middle, 1),
        *_normalised(middle, middle, 3),
        *_normalised(middle, outputs, 1),
    )


def _squeeze_excitation(inputs: int, outputs: int) -> nn.Sequential:
    gate = SqueezeExcitation(outputs, hidden=outputs // 8)
    return nn.Sequential(*_normalised(inputs, outputs, 3), gate)


class Inception(nn.Module):
    """Convolutions side by side: of the maps, 2/7 by 1x1, 4/7 by 3x3 and 1/7 by 5x5 kernels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.banks = nn.ModuleList(
            nn.Sequential(*_normalised(in_channels, out_channels * sevenths // 7, kernel))
            for kernel, sevenths in ((1, 2), (3, 4), (5, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, out_channels, H, W], small kernels first."""
        return torch.cat([bank(x) for bank in self.banks], dim=1)


class SqueezeExcitation(nn.Module):
    """Weight the channels by a gate between 0 and 1, made of their means by two linear layers.

    `gate` maps [N, C, H, W] to the weights [N, C].
    """

    def __init__(self, channels: int, *, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            GlobalAverage(),
            nn.Linear(channels, hidden),
            nn.ReLU(),
            nn.Linear(hidden, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each map of x [N, C, H, W] by its weight."""
        weights: Tensor = self.gate(x)
        return x * weights[:, :, None, None]


TRICKS: Mapping[str, Callable[[int, int], nn.Module]] = {
    "3x3": _of_kernel(3),
    "5x5": _of_kernel(5),
    "two-3x3": _two_3x3,
    "depthwise-separable": _depthwise_separable,
    "bottleneck": _bottleneck,
    "inception": Inception,
    "squeeze-excitation": _squeeze_excitation,
}


def residual(*, depth: int = 20, skip: bool = True) -> nn.Sequential:
    """Build the residual networks for CIFAR-10 of He and others (arXiv 1512.03385, section 4.2).

    16 x 32 x 32, 32 x 16 x 16 and 64 x 8 x 8; depth 20 has 269,722 parameters, 56 has 853,018.
    Convolutions have no biases. `blocks` are the (depth - 2) / 2 blocks in turn.

    Args:
        depth: layers with weights: 6n + 2 for n blocks in each stage.
        skip: whether the blocks have shortcuts, which hold no parameters; False for the plain
            network beside it, with the same modules otherwise.

    Raises:
        ValueError: for another depth.
    """
    per_stage, rest = divmod(depth - 2, 6)
    if per_stage < 1 or rest:
        raise ValueError(f"depth must be 6n + 2 with n of at least 1, got {depth}")
    blocks: list[nn.Module] = []
    in_channels = 16
    for width in (16, 32, 64):
        for _ in range(per_stage):
            blocks.append(ResidualBlock(in_channels, width, skip=skip))
            in_channels = width
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        layer1=nn.Sequential(*_normalised(3, 16, 3)),
        blocks=nn.Sequential(*blocks),
        mean=GlobalAverage(),
        classifier=nn.Linear(64, 10),
    )
    return nn.Sequential(parts)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them, or none.

    Where the channels grow, the block halves the size of the maps; its shortcut leaves out every
    second row and column then, and adds maps of zeros.
    """

    def __init__(self, in_channels: int, out_channels: int, *, skip: bool) -> None:
        super().__init__()
        self.added = out_channels - in_channels
        self.stride = 2 if self.added else 1
        self.skip = skip
        self.branch = nn.Sequential(
            *_normalised(in_channels, out_channels, 3, stride=self.stride),
            *_normalised(out_channels, out_channels, 3)[:-1],
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, out_channels, H / stride, W / stride]."""
        y: Tensor = self.branch(x)
        if self.skip:
            y = y + self.shortcut(x)
        return y.relu()

    def shortcut(self, x: Tensor) -> Tensor:
        """Return what the block adds to its branch."""
        if not self.added:
            return x
        kept = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, 0, self.added))


# Layers -------------------------------------------------------------------------------------------


class CounterDropout(nn.Module):
    """Dropout of single elements, with a mask that is a function of `key` and place alone.

    So a mask depends neither on the device nor on memory format or precision, and no generator's
    state has to travel with a checkpoint or a CUDA graph. `key` is an int32 tensor [2] on the
    device of the input, which whoever trains sets anew before each step; while it is None, each
    pass draws one from the default generator of the device.

    In training, elements are dropped. Inverted, those kept are divided by the share that is kept on
    average; otherwise, as in the original, all elements are multiplied by that share at test. The
    rate is rounded to 16 bits: 0.2 is 0.2 - 3e-6.

    Raises:
        ValueError: if the rate is not in [0, 1).
    """

    def __init__(self, rate: float, *, inverted: bool) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be in [0, 1), got {rate}")
        self.rate = rate
        self.inverted = inverted
        self.key: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map x [N, C, ...] to as much."""
        if not self.training:
            return x if self.inverted else x * (1 - self.rate)
        kept = x * self.mask(x)
        return kept / (1 - self.rate) if self.inverted else kept

    def mask(self, x: Tensor) -> Tensor:
        """Return, as bool of the shape of x, which elements are kept."""
        key = self.key
        if key is None:
            key = torch.randint(-(2**31), 2**31, (2,), dtype=torch.int32, device=x.device)
        # A word of 32 bits serves two elements, which halves the work. Channels come last, because
        # that is how they lie in memory in training.
        halves = _random_words(key, math.ceil(x.numel() / 2)).view(torch.int16)[: x.numel()]
        kept = halves >= round(self.rate * 2**16) - 2**15
        batch, channels, *sides = x.shape
        return kept.view(batch, *sides, channels).movedim(-1, 1)


def _random_words(key: Tensor, count: int) -> Tensor:
    """Return random int32 [count], a hash of key [2] and place.

    Two rounds of a 32-bit hash of little bias found by Chris Wellons ("lowbias32", 2018). With one
    round, keys that differ by one, as those of two layers may, give masks that resemble each other.
    Even so, keys that share the second part and are close in the first give one mask, shifted.
    """
    words = torch.arange(count, dtype=torch.int32, device=key.device)
    for part in key.unbind():
        words += part
        # Integers wrap; the sign that a shift to the right repeats is masked off.
        words ^= (words >> 16) & 0xFFFF
        words *= 0x7FEB352D
        words ^= (words >> 15) & 0x1FFFF
        words *= 0x846CA68B - 2**32
        words ^= (words >> 16) & 0xFFFF
    return words


class LocallyConnected2d(nn.Module):
    """A convolution whose kernels and biases are another for each place of the output.

    `weight` is [out_channels, in_channels * kernel_size**2, size**2] and `bias` [out_channels,
    size**2]. Padding keeps the maps size x size. Starts like `nn.Conv2d`.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.size = size
        fan_in = in_channels * kernel_size**2
        self.weight = nn.Parameter(torch.empty(out_channels, fan_in, size**2))
        self.bias = nn.Parameter(torch.empty(out_channels, size**2))
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, size, size] to [N, out_channels, size, size]."""
        patches = functional.unfold(x, self.kernel_size, padding=self.kernel_size // 2)
        maps = torch.einsum("nip,oip->nop", patches, self.weight) + self.bias
        return maps.view(len(x), -1, self.size, self.size)


class ResponseNormalization(nn.Module):
    """Divide by (1 + 0.001 m)**0.75, where m is the mean square of nine neighbouring channels.

    Missing neighbours count as zeros. Size and constants are those of `plain_cnn`, from memory.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to as much, in float32 or better."""
        # In bfloat16, 1 + 0.001 m would be 1. On flattened maps PyTorch averages by a pool whose
        # gradient is the same in every run; on maps it takes one that adds in any order.
        flat = x.to(_float32_or_better(x)).flatten(2)
        return functional.local_response_norm(flat, 9, alpha=1e-3, beta=0.75).view_as(x)


class GlobalAverage(nn.Module):
    """The mean of each map."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C], in float32 or better."""
        return x.mean((2, 3), dtype=_float32_or_better(x))


class GlobalMaximum(nn.Module):
    """The maximum of each map."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C]."""
        return x.amax((2, 3))


def _float32_or_better(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


# Parts --------------------------------------------------------------------------------------------


def _convolution(in_channels: int, out_channels: int, kernel: int) -> list[nn.Module]:
    """Return a convolution that keeps the size of the maps, and a ReLU."""
    return [nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2), nn.ReLU()]


def _normalised(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution without biases, batch normalisation and ReLU."""
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=kernel // 2,
        groups=groups,
        bias=False,
    )
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU()]


def _pool(kind: str) -> nn.Module:
    """Return a pool of 3x3 by 2 that rounds sizes up."""
    _check("second_pool", kind, ("max", "average"))
    if kind == "max":
        return nn.MaxPool2d(3, stride=2, ceil_mode=True)
    return nn.AvgPool2d(3, stride=2, ceil_mode=True)


def _dropout(kind: str | None, rate: float) -> list[nn.Module]:
    """Return a dropout layer, or no layer."""
    _check("dropout", kind, ("masked", "inverted", None))
    if kind is None:
        return []
    return [CounterDropout(rate, inverted=kind == "inverted")]


def _head(head: str, features: int, classes: int, dropout: list[nn.Module]) -> nn.Module:
    """Return what makes class scores of maps; a linear layer takes all their `features` values."""
    if head == "mean":
        return GlobalAverage()
    if head == "maximum":
        return GlobalMaximum()
    if head == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(features, classes))
    if not dropout:
        raise ValueError("head 'linear-dropout' needs a dropout, got None")
    return nn.Sequential(nn.Flatten(), *dropout, nn.Linear(features, classes))


def _featured(layers: Sequence[nn.Module], head: nn.Module) -> nn.Sequential:
    """Return the network of these layers and head."""
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers), head=head))


def _check(option: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        listed = ", ".join(map(repr, allowed)) or "none"
        raise ValueError(f"{option} must be one of {listed}; got {value!r}")


NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "nin": nin,
    "plain-nin": plain_nin,
    "plain-cnn": plain_cnn,
    # The listing's option changes nothing, so that no arm shall set it.
    "handwritten": lambda: models.handwritten_nin(),
    "wide-mlp": wide_mlp,
    "trunk": trunk,
    "residual": residual,
    # For tests and rehearsals: a NiN of 5,590 parameters with all that has a state.
    "tiny": partial(
        nin, widths=((16, 16, 8), (16, 16, 16), (16, 16)), kernels=(3, 3, 3), batch_norm=True
    ),
}
