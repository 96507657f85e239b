"""LeNet, AlexNet and VGG: what they have in common, where their parameters sit, how maps shrink.

Document 001 (lines 19 to 36, 63, 88 and 89).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claims.core.claim import PROOF, Claim, Proof
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults.fields import perturbed
from claims.subjects import FACTS, FORMULAS, MODELS, Fact, Formulas, Models
from nin_ref import counting

if TYPE_CHECKING:
    from torch import nn

VGGS = ["vgg11", "vgg13", "vgg16", "vgg19"]
ALL_VGGS = ["lecture-vgg11", *VGGS]
ALEXNETS = ["lecture-alexnet", "alexnet"]
CLASSIC = ["lenet5", *ALEXNETS, *ALL_VGGS]

IMAGES = {"lenet5": (1, 28, 28), "lecture-alexnet": (1, 224, 224), "lecture-vgg11": (1, 224, 224)}


def traced(model: nn.Module, name: str) -> list[counting.LayerRecord]:
    """Trace a network on one image of the size that it is made for."""
    return counting.trace(model, 1, *IMAGES.get(name, (3, 224, 224)))


def convolutional_part(model: nn.Module) -> nn.Module:
    """Return the layers before the maps are flattened, torchvision's adaptive pool not among them."""
    from torch import nn

    features = getattr(model, "features", None)
    if isinstance(features, nn.Module):
        return features
    return nn.Sequential(
        *itertools.takewhile(lambda layer: not isinstance(layer, nn.Flatten), model.children())
    )


def last_map(records: list[counting.LayerRecord]) -> tuple[int, int, int]:
    """Return channels, height and width of the last map that no adaptive pool has resized."""
    shapes = [one.output_shape for one in records if one.kind != "AdaptiveAvgPool2d"]
    _, channels, height, width = [shape for shape in shapes if len(shape) == 4][-1]
    return channels, height, width


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions of a network, first to last."""
    from torch import nn

    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    """Return the fully connected layers of a network, first to last."""
    from torch import nn

    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)]


def pools(model: nn.Module) -> list[str]:
    """Return the names of the max and average pools of a network."""
    return [*surgeries.of_kind(model, "MaxPool2d"), *surgeries.of_kind(model, "AvgPool2d")]


# Faults that several of these claims need ----------------------------------------------------------


def _strided(model: nn.Module) -> None:
    """Let convolutions do what the pools did: they then shrink the maps."""
    from torch import nn

    channels = 0
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
        if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride = layer.kernel_size, layer.stride
            put = nn.Conv2d(channels, channels, kernel, stride, device="meta")  # type: ignore[arg-type]
            surgeries.put(model, name, put)


def _only_two(kind: str) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        from torch import nn

        for name in surgeries.of_kind(model, kind)[2:]:
            surgeries.put(model, name, nn.Identity())

    return change


def _sixteen_channels(model: nn.Module) -> None:
    from torch import nn

    for name in surgeries.of_kind(model, "Conv2d"):
        surgeries.put(model, name, nn.Conv2d(16, 16, 3, device="meta"))


def _global_last_pool(model: nn.Module) -> None:
    from torch import nn

    surgeries.put(model, pools(model)[-1], nn.AdaptiveMaxPool2d(1))


def _last_convolution_widened(model: nn.Module) -> None:
    from torch import nn

    name, last = surgeries.of_kind(model, "Conv2d")[-1], convolutions(model)[-1]
    wide = nn.Conv2d(last.in_channels, last.out_channels + 1, 3, padding=1, device="meta")
    surgeries.put(model, name, wide)


def _first_convolution_unpadded(model: nn.Module) -> None:
    convolutions(model)[0].padding = (0, 0)


def _convolution_appended(model: nn.Module) -> nn.Module:
    from torch import nn

    outputs = linear_layers(model)[-1].out_features
    appended = [nn.Unflatten(1, (outputs, 1, 1)), nn.Conv2d(outputs, 10, 1, device="meta")]
    return nn.Sequential(model, *appended)


def first_hidden_layer(units: int) -> Callable[[nn.Module], None]:
    """Return a change that gives the first fully connected layer another width."""

    def change(model: nn.Module) -> None:
        from torch import nn

        for name, layer, sizes in zip(
            surgeries.of_kind(model, "Linear"),
            linear_layers(model),
            ((None, units), (units, None)),
            strict=False,
        ):
            put = nn.Linear(
                sizes[0] or layer.in_features, sizes[1] or layer.out_features, device="meta"
            )
            surgeries.put(model, name, put)

    return change


convolutions_for_pools = surgeries.surgery("strided convolutions for pools", _strided)
only_two_convolutions = surgeries.surgery("only two convolutions", _only_two("Conv2d"))
only_two_max_pools = surgeries.surgery("only two max pools", _only_two("MaxPool2d"))
sixteen_channels = surgeries.surgery("16 channels everywhere", _sixteen_channels)
global_last_pool = surgeries.surgery("last pool global", _global_last_pool)
last_convolution_widened = surgeries.surgery(
    "last convolution one channel wider", _last_convolution_widened
)
first_convolution_unpadded = surgeries.surgery(
    "first convolution without padding", _first_convolution_unpadded
)
convolution_appended = surgeries.surgery("convolution after the head", _convolution_appended)
million_hidden_units = surgeries.surgery("a million hidden units", first_hidden_layer(1_000_000))
few_hidden_units = surgeries.surgery("eight hidden units", first_hidden_layer(8))


# The common pattern ---------------------------------------------------------------------------------

common_pattern = Claim(
    "classic-networks/convolutions-and-pools-then-linear-layers",
    says="LeNet, AlexNet and VGG have one pattern in common: all convolutions and pools come first, "
    "and fully connected layers process what they leave.",
    cites=["001:19"],
    recorded=Holds(),
)


@common_pattern.judged(
    subject=MODELS,
    on=CLASSIC,
    flipped_by=[
        convolution_appended,
        convolutions_for_pools,
        surgeries.linear_layers_removed,
    ],
)
def no_convolution_after_a_linear_layer(models: Models, name: str) -> None:
    order = "".join(
        {"Conv2d": "c", "MaxPool2d": "p", "AvgPool2d": "p", "Linear": "l"}.get(one.kind, "")
        for one in traced(models(name), name)
    )
    assert {"c", "p", "l"} == set(order), f"{name} has no layers of one kind: {order}"
    assert "l" not in order.rstrip("l"), f"{name} runs in the order {order}"


# What AlexNet and VGG enlarged: four readings ------------------------------------------------------

ENLARGED = "AlexNet and VGG improve on LeNet mainly by a larger and deeper convolutional part"

grows = Claim(
    "classic-networks/convolutional-part-is-wider-and-deeper-than-in-lenet",
    says="AlexNet and VGG have more convolutions, wider ones and more pools than LeNet.",
    cites=["001:20"],
    recorded=Holds(),
    reading_of=ENLARGED,
)


@grows.judged(
    subject=MODELS,
    on=[*ALEXNETS, *ALL_VGGS],
    flipped_by=[only_two_convolutions, only_two_max_pools, sixteen_channels],
)
def more_of_everything_than_lenet(models: Models, name: str) -> dict[str, int]:
    def measures(model: nn.Module) -> dict[str, int]:
        layers = convolutions(model)
        widest = max(layer.out_channels for layer in layers)
        return {"convolutions": len(layers), "widest": widest, "pools": len(pools(model))}

    small, large = measures(models("lenet5")), measures(models(name))
    for what, number in large.items():
        assert number > small[what], f"{name} and LeNet have {what} {number} and {small[what]}"
    return large


added_layers = Claim(
    "classic-networks/added-layers-are-convolutions",
    says="The layers with weights that AlexNet and VGG add to LeNet's are all convolutions.",
    cites=["001:20"],
    recorded=Holds(),
    reading_of=ENLARGED,
)


@added_layers.judged(
    subject=MODELS,
    on=[*ALEXNETS, *ALL_VGGS],
    flipped_by=[only_two_convolutions, surgeries.Fault("linear layer more in AlexNet and VGG", lambda models: lambda name: models(name) if name == "lenet5" else surgeries.linear_appended.plant(models)(name))],
)
def only_convolutions_are_added(models: Models, name: str) -> None:
    added = len(convolutions(models(name))) - len(convolutions(models("lenet5")))
    others = len(linear_layers(models(name))) - len(linear_layers(models("lenet5")))
    assert added > 0, f"{name} adds {added} convolutions"
    assert others == 0, f"{name} adds {others} fully connected layers"
