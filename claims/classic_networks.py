"""LeNet, AlexNet and VGG: what they have in common, where their parameters sit, how maps shrink.

Document 001 (lines 19 to 36, 63, 88 and 89).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claims._classics import (
    ALEXNETS,
    ALL_VGGS,
    VGGS,
    convolutions,
    few_hidden_units,
    first_hidden_layer,
    linear_layers,
    million_hidden_units,
    records_of,
)
from claims.core.claim import PROOF, Claim, Proof
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.subjects import FORMULAS, MODELS, Formulas, Models, traced
from nin_ref import counting

if TYPE_CHECKING:
    from torch import nn

CLASSIC = ["lenet5", *ALEXNETS, *ALL_VGGS]


def convolutional_part(model: nn.Module) -> nn.Module:
    """Return the layers before the maps are flattened or resized by an adaptive pool."""
    from torch import nn

    features = getattr(model, "features", None)
    if isinstance(features, nn.Module):
        return features
    return nn.Sequential(
        *itertools.takewhile(lambda layer: not isinstance(layer, nn.Flatten), model.children())
    )


def last_map(records: list[counting.LayerRecord]) -> tuple[int, int, int]:
    """Return channels, height and width of the last map: what the last adaptive pool reads, if any.

    Some networks normalise after that pool, and some call it as a function, which leaves no record.
    """
    pooled = [one.input_shape for one in records if one.kind == "AdaptiveAvgPool2d"]
    maps = [one.output_shape for one in records if len(one.output_shape) == 4]
    _, channels, height, width = (pooled or maps)[-1]
    return channels, height, width


def pools(model: nn.Module) -> list[str]:
    """Return the names of the max and average pools of a network."""
    return [*surgeries.of_kind(model, "MaxPool2d"), *surgeries.of_kind(model, "AvgPool2d")]


# Faults that several of these claims need ---------------------------------------------------------


def _strided(model: nn.Module) -> None:
    """Let convolutions do what the pools did: they then shrink the maps."""
    from torch import nn

    channels = 0
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
        if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride = layer.kernel_size, layer.stride
            strided = nn.Conv2d(channels, channels, kernel, stride, device="meta")
            surgeries.put(model, name, strided)


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


def _third_large_layer(model: nn.Module) -> nn.Module | None:
    from torch import nn

    outputs = linear_layers(model)[-1].out_features
    large = linear_layers(model)[0].out_features >= 4096
    return nn.Sequential(model, nn.Linear(outputs, 10, device="meta")) if large else None


def _batch_norms_inserted(model: nn.Module) -> None:
    from torch import nn

    for name, layer in zip(surgeries.of_kind(model, "Conv2d"), convolutions(model), strict=True):
        norm = nn.BatchNorm2d(layer.out_channels, device="meta")
        surgeries.put(model, name, nn.Sequential(layer, norm))


def _convolutional_head(model: nn.Module) -> None:
    from torch import nn

    for name, layer in zip(surgeries.of_kind(model, "Linear"), linear_layers(model), strict=True):
        pointwise = nn.Conv2d(layer.in_features, layer.out_features, 1, device="meta")
        as_map = nn.Unflatten(1, (layer.in_features, 1, 1))
        surgeries.put(model, name, nn.Sequential(as_map, pointwise, nn.Flatten()))


def _last_pool_before_its_convolution(model: nn.Module) -> None:
    convolution, pool = (surgeries.of_kind(model, kind)[-1] for kind in ("Conv2d", "MaxPool2d"))
    first, second = model.get_submodule(convolution), model.get_submodule(pool)
    surgeries.put(model, convolution, second)
    surgeries.put(model, pool, first)


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
batch_norms_inserted = surgeries.surgery(
    "batch normalisation after each convolution", _batch_norms_inserted
)
convolutional_head = surgeries.surgery("head of 1x1 convolutions", _convolutional_head)
third_large_layer = surgeries.surgery(
    "one more linear layer where there are 4096 units", _third_large_layer
)


# The common pattern -------------------------------------------------------------------------------

common_pattern = Claim(
    "classic-networks/convolutions-and-pools-then-linear-layers",
    says="LeNet, AlexNet and VGG have one pattern: all convolutions and pools come first, and "
    "fully connected layers process what they leave.",
    cites=["001:19"],
    recorded=Holds(),
)


@common_pattern.judged(
    subject=MODELS,
    on=CLASSIC,
    flipped_by=[
        convolution_appended,
        convolutions_for_pools,
        convolutional_head,
        surgeries.linear_layers_removed,
    ],
)
def no_convolution_after_a_linear_layer(models: Models, name: str) -> None:
    order = "".join(
        {"Conv2d": "c", "MaxPool2d": "p", "AvgPool2d": "p", "Linear": "l"}.get(one.kind, "")
        for one in records_of(models(name), name)
    )
    assert {"c", "p", "l"} == set(order), f"{name} has no layers of one kind: {order}"
    assert "l" not in order.rstrip("l"), f"{name} runs in the order {order}"


# What AlexNet and VGG enlarged: four readings -----------------------------------------------------

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
    flipped_by=[only_two_convolutions, third_large_layer, batch_norms_inserted],
)
def only_convolutions_are_added(models: Models, name: str) -> None:
    def weighted(model: nn.Module) -> tuple[int, int]:
        convolutional = len(convolutions(model))
        return convolutional, len(counting.layer_parameters(model)) - convolutional

    convolutional, others = weighted(models(name))
    convolutional_before, others_before = weighted(models("lenet5"))
    assert convolutional > convolutional_before, f"{name} has {convolutional} convolutions"
    assert others == others_before, (
        f"{name} has {others} other layers with weights, LeNet {others_before}"
    )


def growth(models: Models, name: str, measure: str) -> tuple[int, int]:
    """Return by how much convolutions and linear layers exceed LeNet's in a field of the trace."""

    def total(network: str, kind: str) -> int:
        records = records_of(models(network), network)
        return sum(getattr(one, measure) for one in records if one.kind == kind)

    convolutional, linear = (
        total(name, kind) - total("lenet5", kind) for kind in ("Conv2d", "Linear")
    )
    return convolutional, linear


added_arithmetic = Claim(
    "classic-networks/added-arithmetic-is-mostly-convolutional",
    says="Most multiply-adds per image that AlexNet and VGG add to LeNet's are in convolutions.",
    cites=["001:20"],
    recorded=Holds(),
    reading_of=ENLARGED,
)


@added_arithmetic.judged(
    subject=MODELS,
    on=[*ALEXNETS, *ALL_VGGS],
    flipped_by=[million_hidden_units],
)
def convolutions_add_more_arithmetic(models: Models, name: str) -> dict[str, float]:
    convolutional, linear = growth(models, name, "multiply_adds")
    assert convolutional > linear, (
        f"{name} adds {convolutional} in convolutions, {linear} elsewhere"
    )
    return {"share": convolutional / (convolutional + linear)}


added_parameters = Claim(
    "classic-networks/added-parameters-are-mostly-convolutional",
    says="Most parameters that AlexNet and VGG add to LeNet's are in convolutions.",
    cites=["001:20"],
    recorded=Refuted(instead="classic-networks/added-parameters-are-mostly-linear"),
    reading_of=ENLARGED,
)


@added_parameters.judged(
    subject=MODELS,
    on=[*ALEXNETS, *ALL_VGGS],
    flipped_by=[surgeries.linear_layers_removed],
)
def convolutions_add_more_parameters(models: Models, name: str) -> None:
    convolutional, linear = growth(models, name, "parameters")
    assert convolutional > linear, (
        f"{name} adds {convolutional:,} parameters in convolutions, {linear:,} in linear layers"
    )


added_linear_parameters = Claim(
    "classic-networks/added-parameters-are-mostly-linear",
    says="More than four fifths of the parameters that AlexNet and VGG add to LeNet's are in fully "
    "connected layers.",
    cites=["001:20", "001:29"],
    recorded=Holds(),
)


@added_linear_parameters.judged(
    subject=MODELS,
    on=[*ALEXNETS, *ALL_VGGS],
    flipped_by=[few_hidden_units, surgeries.linear_layers_removed],
)
def linear_layers_add_most_parameters(models: Models, name: str) -> dict[str, float]:
    convolutional, linear = growth(models, name, "parameters")
    share = linear / (convolutional + linear)
    assert share > 0.8, f"{name} adds {share:.1%} of its parameters in linear layers"
    return {"share": share}


# The head -----------------------------------------------------------------------------------------

two_large_linear_layers = Claim(
    "classic-networks/end-in-two-large-linear-layers-and-an-output",
    says="AlexNet and VGG end in two fully connected layers of 4096 units and a third, smaller one "
    "that gives the output; no other layer is fully connected.",
    cites=["001:29", "001:89"],
    recorded=Holds(),
)


@two_large_linear_layers.judged(
    subject=MODELS,
    on=[*ALEXNETS, *ALL_VGGS],
    flipped_by=[
        surgeries.first_linear_removed,
        surgeries.last_linear_removed,
        surgeries.linear_appended,
        convolution_appended,
        convolutional_head,
        few_hidden_units,
    ],
)
def two_of_4096_and_a_smaller_one(models: Models, name: str) -> None:
    from torch import nn

    weighted = [one for one in models(name).modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    widths = [layer.out_features for layer in weighted[-3:] if isinstance(layer, nn.Linear)]
    assert widths[:2] == [4096, 4096], f"{name} ends in fully connected layers of {widths}"
    assert len(widths) == 3, f"{name} ends in fully connected layers of {widths}"
    assert widths[2] < 4096, f"{name} puts out {widths[2]} numbers"
    others = linear_layers(models(name))[:-3]
    assert not others, f"{name} has {len(others)} more fully connected layers"


thousand_outputs = Claim(
    "classic-networks/vgg-output-layer-has-1000-outputs",
    says="The last fully connected layer of VGG has 1000 outputs.",
    cites=["001:89"],
    recorded=HoldsIf("the network is made for ImageNet"),
)


@thousand_outputs.judged(
    subject=MODELS,
    on=ALL_VGGS,
    when={"the network is made for ImageNet": lambda name: not name.startswith("lecture")},
    flipped_by=[surgeries.outputs_doubled, surgeries.last_linear_removed, convolutional_head],
)
def a_thousand_numbers_come_out(models: Models, name: str) -> None:
    last = records_of(models(name), name)[-1]
    assert last.kind == "Linear", f"{name} ends in a {last.kind}"
    assert last.output_shape == (1, 1000), f"{name} puts out {last.output_shape[1]} numbers"


first_linear_dominates = Claim(
    "classic-networks/first-linear-layer-holds-most-parameters",
    says="Most parameters of VGG are in the first fully connected layer after the convolutions.",
    cites=["001:36"],
    recorded=Holds(),
)


@first_linear_dominates.judged(
    subject=MODELS,
    on=ALL_VGGS,
    flipped_by=[surgeries.first_linear_removed, convolutional_head, few_hidden_units],
)
def first_linear_has_more_than_half(models: Models, name: str) -> dict[str, float]:
    linear = linear_layers(models(name))
    assert linear, f"{name} has no fully connected layer"
    first = linear[0].in_features * linear[0].out_features + linear[0].out_features
    total = counting.parameter_count(models(name))
    assert 2 * first > total, f"it holds {first:,} of the {total:,} parameters of {name}"
    return {"parameters": first, "share": first / total}


# The map that reaches the head --------------------------------------------------------------------

not_one_pixel = Claim(
    "classic-networks/last-map-is-larger-than-1x1",
    says="The maps that LeNet, AlexNet and VGG hand to their fully connected layers are larger "
    "than 1x1, so that the first of these reads many values of each channel.",
    cites=["001:32"],
    recorded=Holds(),
)


@not_one_pixel.judged(subject=MODELS, on=CLASSIC, flipped_by=[global_last_pool, convolutional_head])
def last_map_has_many_pixels(models: Models, name: str) -> dict[str, int]:
    channels, height, width = last_map(records_of(convolutional_part(models(name)), name))
    linear = linear_layers(models(name))
    assert linear, f"{name} has no fully connected layer"
    inputs, values = linear[0].in_features, channels * height * width
    assert height > 1, f"{name} ends in maps one pixel high"
    assert width > 1, f"{name} ends in maps one pixel wide"
    assert inputs == values, f"{name} reads {inputs} values, its last maps have {values}"
    return {"height": height, "width": width, "inputs": inputs}


OFTEN_7X7 = "after the convolutions the map is often 7x7"

seven_by_seven = Claim(
    "classic-networks/last-map-is-7x7",
    says="The map that LeNet, AlexNet or VGG hands to its fully connected layers is 7x7.",
    cites=["001:32"],
    recorded=HoldsIf("the network is a VGG"),
    reading_of=OFTEN_7X7,
)


@seven_by_seven.judged(
    subject=MODELS,
    on=CLASSIC,
    when={"the network is a VGG": lambda name: name in ALL_VGGS},
    flipped_by=[surgeries.last_max_pool_removed, surgeries.first_max_pool_removed],
)
def classic_map_is_7x7(models: Models, name: str) -> None:
    _, height, width = last_map(records_of(convolutional_part(models(name)), name))
    assert (height, width) == (7, 7), f"{name} hands over {height}x{width}"


FAMILIES = (
    "alexnet",
    "vgg16",
    "googlenet",
    "resnet18",
    "squeezenet1_0",
    "densenet121",
    "mobilenet_v2",
    "shufflenet_v2_x1_0",
    "mnasnet1_0",
    "efficientnet_b0",
    "convnext_tiny",
)

mostly_seven_by_seven = Claim(
    "classic-networks/last-map-is-mostly-7x7",
    says="In most families of ImageNet networks the last map of a 224x224 image is 7x7.",
    cites=["001:32"],
    recorded=Holds(),
    reading_of=OFTEN_7X7,
    cost="cpu",
)


def _first_stride_one(model: nn.Module) -> None:
    convolutions(model)[0].stride = (1, 1)


@mostly_seven_by_seven.judged(
    subject=MODELS,
    on=[f"one network of each of {len(FAMILIES)} families"],
    flipped_by=[surgeries.surgery("first convolution of stride 1", _first_stride_one)],
)
def most_families_reach_7x7(models: Models, _: str) -> dict[str, str]:
    sizes = {name: last_map(records_of(models(name), name))[1:] for name in FAMILIES}
    count = Counter(sizes.values())[(7, 7)]
    assert 2 * count > len(FAMILIES), f"{count} of {len(FAMILIES)} families reach 7x7"
    return {name: f"{height}x{width}" for name, (height, width) in sizes.items()}


# LeNet and AlexNet --------------------------------------------------------------------------------

lenet_16_channels = Claim(
    "classic-networks/lenet-last-convolution-has-16-channels",
    says="The last convolution of LeNet has 16 output channels.",
    cites=["001:34"],
    recorded=Holds(),
)


@lenet_16_channels.judged(
    subject=MODELS,
    on=["lenet5"],
    flipped_by=[last_convolution_widened, surgeries.last_convolution_removed],
)
def sixteen_maps(models: Models, name: str) -> None:
    channels = convolutions(models(name))[-1].out_channels
    assert channels == 16, f"the last convolution has {channels} output channels"


AFTER_THE_CONVOLUTION = "LeNet's maps are 5x5 after its convolutions"

lenet_5x5 = Claim(
    "classic-networks/lenet-last-map-is-5x5",
    says="LeNet hands 5x5 maps to its fully connected layers: half of the 10x10 that its last "
    "convolution leaves of an image padded to 32x32.",
    cites=["001:34"],
    recorded=Holds(),
    reading_of=AFTER_THE_CONVOLUTION,
)


@lenet_5x5.judged(
    subject=MODELS,
    on=["lenet5"],
    flipped_by=[
        surgeries.padding_dropped,
        surgeries.surgery("last pool removed", surgeries.removed("AvgPool2d", -1)),
    ],
)
def pool_leaves_5x5(models: Models, name: str) -> None:
    records = records_of(convolutional_part(models(name)), name)
    sizes = [one.output_shape[2:] for one in records if one.kind in ("Conv2d", "AvgPool2d")]
    assert sizes[-2:] == [(10, 10), (5, 5)], f"the sizes are {sizes}"


@lenet_5x5.judged(
    subject=FORMULAS,
    on=[(28, 2), (32, 0)],
    flipped_by=[wrong_formulas.output_size_off_by_one, wrong_formulas.stride_forgotten],
)
def sizes_by_the_formula(formulas: Formulas, image: tuple[int, int]) -> None:
    size, padding = image
    first = formulas.output_size(formulas.output_size(size, 5, padding=padding), 2, stride=2)
    second = formulas.output_size(first, 5)
    assert second == 10, f"the last convolution leaves {second}"
    last = formulas.output_size(second, 2, stride=2)
    assert last == 5, f"the pool leaves {last}"


lenet_convolution_5x5 = Claim(
    "classic-networks/lenet-last-convolution-puts-out-5x5",
    says="The output of the last convolution of LeNet itself is 5x5.",
    cites=["001:34"],
    recorded=Refuted(instead="classic-networks/lenet-last-map-is-5x5"),
    reading_of=AFTER_THE_CONVOLUTION,
)


@lenet_convolution_5x5.judged(subject=MODELS, on=["lenet5"], flipped_by=[convolutions_for_pools])
def last_convolution_leaves_5x5(models: Models, name: str) -> None:
    records = records_of(convolutional_part(models(name)), name)
    _, _, height, width = [one.output_shape for one in records if one.kind == "Conv2d"][-1]
    assert (height, width) == (5, 5), f"it is {height}x{width}; the pool after it halves that"


lenet_120 = Claim(
    "classic-networks/lenet-first-hidden-layer-has-120-units",
    says="The first hidden fully connected layer of LeNet puts out 120 values, which are the "
    "inputs of the next one.",
    cites=["001:34"],
    recorded=Holds(),
)


@lenet_120.judged(subject=MODELS, on=["lenet5"], flipped_by=[few_hidden_units, convolutional_head])
def hidden_layer_of_120(models: Models, name: str) -> dict[str, int]:
    linear = [one for one in records_of(models(name), name) if one.kind == "Linear"]
    assert len(linear) > 1, f"{name} has {len(linear)} fully connected layers"
    assert linear[0].output_shape == (1, 120), f"it puts out {linear[0].output_shape}"
    assert linear[1].input_shape == (1, 120), f"the next one reads {linear[1].input_shape}"
    return {"parameters": linear[0].parameters}


alexnet_256_channels = Claim(
    "classic-networks/alexnet-last-convolution-has-256-channels",
    says="The last convolution of AlexNet has 256 output channels.",
    cites=["001:35"],
    recorded=Holds(),
)


@alexnet_256_channels.judged(
    subject=MODELS,
    on=ALEXNETS,
    flipped_by=[last_convolution_widened],
)
def two_hundred_fifty_six_maps(models: Models, name: str) -> None:
    channels = convolutions(models(name))[-1].out_channels
    assert channels == 256, f"the last convolution of {name} has {channels} output channels"


# VGG: channels, blocks and how the map shrinks ----------------------------------------------------

vgg_512_channels = Claim(
    "classic-networks/vgg-last-convolution-has-512-channels",
    says="The last convolution of VGG has 512 output channels.",
    cites=["001:36"],
    recorded=Holds(),
)


@vgg_512_channels.judged(subject=MODELS, on=ALL_VGGS, flipped_by=[last_convolution_widened])
def five_hundred_twelve_maps(models: Models, name: str) -> None:
    channels = convolutions(models(name))[-1].out_channels
    assert channels == 512, f"the last convolution of {name} has {channels} output channels"


@dataclass(frozen=True)
class Sized:
    """A network and the height and width of an image for it."""

    network: str
    height: int
    width: int


vgg_7x7 = Claim(
    "classic-networks/vgg-last-map-is-7x7",
    says="The map that VGG hands to its fully connected layers is 7x7.",
    cites=["001:36"],
    recorded=HoldsIf("height is 224 to 255", "width is 224 to 255"),
)


@vgg_7x7.judged(
    subject=MODELS,
    on=[
        Sized(name, height, width)
        for name in VGGS
        for height, width in [
            (224, 224),
            (255, 224),
            (223, 255),
            (256, 224),
            (255, 223),
            (224, 256),
        ]
    ],
    when={
        "height is 224 to 255": lambda c: 224 <= c.height <= 255,
        "width is 224 to 255": lambda c: 224 <= c.width <= 255,
    },
    flipped_by=[surgeries.last_max_pool_removed, first_convolution_unpadded],
)
def vgg_map_is_7x7(models: Models, c: Sized) -> None:
    part = convolutional_part(models(c.network))
    _, height, width = last_map(traced(part, 1, 3, c.height, c.width))
    assert (height, width) == (7, 7), f"{c.height}x{c.width} becomes {height}x{width}"


@vgg_7x7.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[wrong_formulas.output_size_off_by_one, wrong_formulas.padding_counted_once],
)
def five_halvings_leave_seven(formulas: Formulas, _: Proof) -> None:
    import z3

    size = last = z3.Int("size")
    for _block in range(5):
        last = formulas.output_size(formulas.output_size(last, 3, padding=1), 2, stride=2)
    solver = z3.Solver()
    solver.add(size >= 32, (last == 7) != z3.And(size >= 224, size <= 255))
    assert solver.check() == z3.unsat, f"size {solver.model()[size]} is an exception"


convolutions_shrink = Claim(
    "classic-networks/vgg-convolutions-shrink-the-map",
    says="It is VGG's convolutions that bring the map from 224x224 down to 7x7.",
    cites=["001:36"],
    recorded=Refuted(instead="classic-networks/vgg-max-pools-alone-shrink-the-map"),
)


@convolutions_shrink.judged(subject=MODELS, on=ALL_VGGS, flipped_by=[convolutions_for_pools])
def convolutions_make_maps_smaller(models: Models, name: str) -> None:
    records = records_of(convolutional_part(models(name)), name)
    pairs = [(one.input_shape[2:], one.output_shape[2:]) for one in records if one.kind == "Conv2d"]
    smaller = [after for before, after in pairs if after < before]
    assert smaller, f"each of the {len(pairs)} convolutions of {name} keeps height and width"
    assert smaller[-1] == (7, 7), f"the last of them leaves {smaller[-1]}"


pools_shrink = Claim(
    "classic-networks/vgg-max-pools-alone-shrink-the-map",
    says="Every convolution of VGG keeps height and width, and every max pool halves them.",
    cites=["001:36"],
    recorded=Holds(),
)


@pools_shrink.judged(
    subject=MODELS,
    on=ALL_VGGS,
    flipped_by=[
        convolutions_for_pools,
        first_convolution_unpadded,
        surgeries.max_pools_removed,
    ],
)
def convolutions_keep_and_pools_halve(models: Models, name: str) -> None:
    records = records_of(convolutional_part(models(name)), name)
    assert "MaxPool2d" in {one.kind for one in records}, f"{name} has no max pool"
    for one in records:
        factor = 2 if one.kind == "MaxPool2d" else 1
        halved = tuple(side // factor for side in one.input_shape[2:])
        assert one.output_shape[2:] == halved, (
            f"{one.name} of {name} turns {one.input_shape[2:]} into {one.output_shape[2:]}"
        )


def blocks(model: nn.Module) -> list[int]:
    """Count the convolutions before each max pool, and those after the last one."""
    layers = [type(layer).__name__ for layer in model.modules()]
    stages = "".join({"Conv2d": "c", "MaxPool2d": "p"}.get(kind, "") for kind in layers).split("p")
    return [len(stage) for stage in stages]


vgg_blocks = Claim(
    "classic-networks/vgg-block-is-several-convolutions-and-a-max-pool",
    says="Each block of a VGG is two or more convolutions and one max pool after them.",
    cites=["001:88", "003:10"],
    recorded=HoldsIf("the network is deeper than VGG-11"),
)


@vgg_blocks.judged(
    subject=MODELS,
    on=ALL_VGGS,
    when={"the network is deeper than VGG-11": lambda name: "vgg11" not in name},
    flipped_by=[
        surgeries.last_max_pool_removed,
        surgeries.last_convolution_removed,
        surgeries.max_pools_removed,
    ],
)
def several_convolutions_before_each_pool(models: Models, name: str) -> dict[str, str]:
    *stages, left_over = blocks(models(name))
    assert stages, f"{name} has no max pool"
    assert min(stages) >= 2, f"{name} has blocks of {stages} convolutions"
    assert left_over == 0, f"{name} has {left_over} convolutions after its last max pool"
    return {"convolutions": "-".join(map(str, stages))}


four_blocks = Claim(
    "classic-networks/vgg-has-four-blocks",
    says="The VGG network is made of four VGG blocks.",
    cites=["001:89"],
    recorded=Refuted(instead="classic-networks/vgg-has-five-blocks"),
)


@four_blocks.judged(
    subject=MODELS,
    on=ALL_VGGS,
    flipped_by=[surgeries.first_max_pool_removed, surgeries.last_max_pool_removed],
)
def four_max_pools(models: Models, name: str) -> None:
    *stages, _ = blocks(models(name))
    assert len(stages) == 4, f"{name} has {len(stages)} max pools, one at the end of each block"


five_blocks = Claim(
    "classic-networks/vgg-has-five-blocks",
    says="The VGG network is made of five VGG blocks.",
    cites=["001:89"],
    recorded=Holds(),
)


@five_blocks.judged(
    subject=MODELS,
    on=ALL_VGGS,
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.last_max_pool_removed,
        only_two_convolutions,
        surgeries.surgery("last pool before its convolution", _last_pool_before_its_convolution),
    ],
)
def five_max_pools_after_convolutions(models: Models, name: str) -> None:
    *stages, left_over = blocks(models(name))
    assert len(stages) == 5, f"{name} has {len(stages)} max pools"
    assert all(stages), f"{name} has a max pool without a convolution before it: {stages}"
    assert left_over == 0, f"{name} has {left_over} convolutions after its last max pool"


# The memory of VGG: four readings of "about 700M" -------------------------------------------------

ABOUT_700M = "VGG takes about 700M of memory"


def about_700(number: float, counted: str) -> None:
    """Assert that a number rounds to seven hundred."""
    assert 650 <= number < 750, f"{number:.0f} {counted}"


def parameters_in_millions(models: Models, name: str) -> float:
    """Count the parameters of a network, in millions."""
    return counting.parameter_count(models(name)) / 1e6


seven_hundred_million_parameters = Claim(
    "classic-networks/vgg-has-700-million-parameters",
    says="VGG has about 700 million parameters.",
    cites=["001:36"],
    recorded=Refuted(instead="classic-networks/vgg-weights-take-531-to-575-megabytes"),
    reading_of=ABOUT_700M,
)


@seven_hundred_million_parameters.judged(
    subject=MODELS,
    on=VGGS,
    flipped_by=[surgeries.surgery("22,800 hidden units", first_hidden_layer(22_800))],
)
def parameters_are_700_million(models: Models, name: str) -> None:
    about_700(parameters_in_millions(models, name), f"million parameters in {name}")


seven_hundred_megabytes_of_weights = Claim(
    "classic-networks/vgg-weights-take-700-megabytes",
    says="The weights of VGG take about 700 MB, at four bytes each.",
    cites=["001:36"],
    recorded=Refuted(instead="classic-networks/vgg-weights-take-531-to-575-megabytes"),
    reading_of=ABOUT_700M,
)


@seven_hundred_megabytes_of_weights.judged(
    subject=MODELS,
    on=VGGS,
    flipped_by=[surgeries.surgery("5500 hidden units", first_hidden_layer(5500))],
)
def weights_take_700_megabytes(models: Models, name: str) -> None:
    about_700(4 * parameters_in_millions(models, name), f"MB of weights in {name}")


seven_hundred_megabytes_with_gradients = Claim(
    "classic-networks/vgg-weights-and-gradients-take-700-megabytes",
    says="The weights of VGG and their gradients together take about 700 MB, at four bytes each.",
    cites=["001:36"],
    recorded=Refuted(instead="classic-networks/vgg-weights-take-531-to-575-megabytes"),
    reading_of=ABOUT_700M,
)


@seven_hundred_megabytes_with_gradients.judged(
    subject=MODELS,
    on=VGGS,
    flipped_by=[surgeries.surgery("2380 hidden units", first_hidden_layer(2380))],
)
def weights_and_gradients_take_700_megabytes(models: Models, name: str) -> None:
    about_700(
        2 * 4 * parameters_in_millions(models, name), f"MB of weights and gradients in {name}"
    )


seven_hundred_megabytes_with_maps = Claim(
    "classic-networks/vgg-weights-and-maps-take-700-megabytes",
    says="The weights of VGG and the outputs of all its layers for one image, each kept apart, "
    "together take about 700 MB, at four bytes each.",
    cites=["001:36"],
    recorded=HoldsIf("the network is VGG-16 or VGG-19"),
    reading_of=ABOUT_700M,
)


@seven_hundred_megabytes_with_maps.judged(
    subject=MODELS,
    on=VGGS,
    when={"the network is VGG-16 or VGG-19": lambda name: name in ("vgg16", "vgg19")},
    flipped_by=[surgeries.max_pools_removed, few_hidden_units],
)
def weights_and_maps_take_700_megabytes(models: Models, name: str) -> dict[str, float]:
    outputs = counting.activation_count(models(name), 1, 3, 224, 224) / 1e6
    total = 4 * (parameters_in_millions(models, name) + outputs)
    about_700(total, f"MB of weights and outputs in {name}")
    return {"megabytes": total}


VGG_PARAMETERS = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
}

half_a_gigabyte = Claim(
    "classic-networks/vgg-weights-take-531-to-575-megabytes",
    says="VGG-11, 13, 16 and 19 have 132.9, 133.0, 138.4 and 143.7 million parameters: 531, 532, "
    "553 and 575 MB at four bytes each, and twice that with their gradients.",
    cites=["001:36"],
    recorded=Holds(),
)


@half_a_gigabyte.judged(
    subject=MODELS,
    on=VGGS,
    flipped_by=[
        surgeries.last_linear_removed,
        surgeries.last_convolution_removed,
        surgeries.outputs_doubled,
        surgeries.biases_dropped,
        few_hidden_units,
    ],
)
def weights_take_half_a_gigabyte(models: Models, name: str) -> dict[str, float]:
    parameters, expected = counting.parameter_count(models(name)), VGG_PARAMETERS[name]
    assert parameters == expected, f"{name} has {parameters:,} parameters, not {expected:,}"
    megabytes = 4 * parameters / 1e6
    return {"megabytes": megabytes, "with gradients": 2 * megabytes}


# Networks after VGG -------------------------------------------------------------------------------

blocks_repeat = Claim(
    "classic-networks/later-networks-repeat-a-block",
    says="NiN and the networks after VGG repeat a block of their own: one group of two or more "
    "convolutions, four times or more.",
    cites=["001:63"],
    recorded=Holds(),
)


def _blocks_emptied(model: nn.Module) -> None:
    from torch import nn

    for part in model.children():
        for name, _ in list(part.named_children()):
            setattr(part, name, nn.Identity())


@blocks_repeat.judged(
    subject=MODELS,
    on=["lecture-nin", "googlenet", "squeezenet1_0", "resnet18", "mobilenet_v2"],
    flipped_by=[surgeries.surgery("blocks emptied", _blocks_emptied)],
)
def four_blocks_of_one_kind(models: Models, name: str) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    for layer in models(name).modules():
        if len(convolutions(layer)) > 1:
            children = [type(child).__name__ for child in layer.children()]
            kinds[f"{type(layer).__name__} of {'-'.join(children)}"] += 1
    times = max(kinds.values(), default=0)
    assert times >= 4, f"no group of convolutions of {name} comes more than {times} times"
    return {"blocks": times}
