"""Network in Network in other networks: its layers, its mean, its name, and public code of it.

Documents 001 (lines 10 and 104) and 004 (lines 10, 59 and 68).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from claims._classics import convolutions, records_of
from claims._maps import max_for_average
from claims.core.claim import Claim, Fault, Sample, Subject
from claims.core.verdict import Grade, Holds, HoldsIf
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.subjects import FACTS, LAYERS, MODELS, Layers, Models, torchvision_models
from nin_ref import counting

if TYPE_CHECKING:
    from torch import nn

# NiN in other networks ----------------------------------------------------------------------------

fits_elsewhere = Claim(
    "nin-elsewhere/1x1-convolutions-fit-into-other-networks",
    says="NiN layers are easily put into other networks: two 1x1 convolutions of its width, with "
    "ReLUs, fit behind every convolution and leave the shapes of all other layers as they were.",
    cites=["004:59"],
    recorded=Holds(),
    renamed_from="network-in-network/1x1-convolutions-fit-into-other-networks",
)


@fits_elsewhere.judged(
    subject=LAYERS,
    on=Sample("convolutional networks of torchvision", ["alexnet", "vgg11", "squeezenet1_1"]),
    flipped_by=[wrong_formulas.padding_added, wrong_formulas.bias_left_out],
)
def shapes_stay(layers: Layers, name: str) -> None:
    import torch

    original = MODELS.value(name)
    host = copy.deepcopy(original)
    names = surgeries.of_kind(host, "Conv2d")
    widths = [layer.out_channels for layer in convolutions(host)]
    sizes = dict(zip(names, widths, strict=True))
    with torch.device("meta"):
        for conv, width in sizes.items():
            first, second = (layers.Conv2d(width, width, 1) for _ in range(2))
            inserted = layers.ReLU(), first, layers.ReLU(), second
            surgeries.put(host, conv, layers.Sequential(host.get_submodule(conv), *inserted))
    before = {record.name: record.output_shape for record in records_of(original, name)}
    after = {record.name: record.output_shape for record in records_of(host, name)}
    for layer, shape in before.items():
        now = after[f"{layer}.4" if layer in sizes else layer]
        assert now == shape, f"{name}: {layer} puts out {now}, not {shape}"
    added = counting.parameter_count(host) - counting.parameter_count(original)
    expected = sum(2 * width * (width + 1) for width in sizes.values())
    assert added == expected, f"{name} has {added} parameters more, not {expected}"


LATER = ["vgg16", "googlenet", "resnet50", "squeezenet1_1"]
NOT_VGG: dict[str, Callable[[str], bool]] = {
    "the network is not VGG": lambda name: not name.startswith("vgg")
}

pointwise_recurs = Claim(
    "nin-elsewhere/later-networks-use-1x1-convolutions",
    says="The 1x1 convolutions of NiN recur in later networks, where they are most convolutions.",
    cites=["001:10", "001:104", "004:10"],
    recorded=HoldsIf(*NOT_VGG),
    renamed_from="network-in-network/later-networks-use-1x1-convolutions",
)


def _no_1x1(model: nn.Module) -> None:
    for layer in convolutions(model):
        layer.kernel_size = (3, 3)


@pointwise_recurs.judged(
    subject=MODELS,
    on=LATER,
    when=NOT_VGG,
    flipped_by=[surgeries.surgery("windows of 3x3 throughout", _no_1x1)],
)
def most_windows_are_1x1(models: Models, name: str) -> dict[str, int]:
    windows = [layer.kernel_size for layer in convolutions(models(name))]
    pointwise = windows.count((1, 1))
    assert 2 * pointwise > len(windows), f"{name}: {pointwise} of {len(windows)} are 1x1"
    return {"1x1": pointwise, "convolutions": len(windows)}


mean_recurs = Claim(
    "nin-elsewhere/later-networks-use-global-average-pooling",
    says="The global average pooling of NiN recurs in later networks: it makes their last maps.",
    cites=["001:10", "001:104", "004:10"],
    recorded=HoldsIf(*NOT_VGG),
    renamed_from="network-in-network/later-networks-use-global-average-pooling",
)


@mean_recurs.judged(subject=MODELS, on=LATER, when=NOT_VGG, flipped_by=[max_for_average])
def last_maps_are_means(models: Models, name: str) -> None:
    last = [record for record in records_of(models(name), name) if len(record.output_shape) == 4][
        -1
    ]
    # VGG's pool is adaptive as well, but leaves 7x7 values of a map.
    assert last.kind == "AdaptiveAvgPool2d", f"{name}: the last maps come from {last.kind}"
    assert last.output_shape[2:] == (1, 1), f"{name}: the last maps are {last.output_shape}"
    assert min(last.input_shape[2:]) > 1, f"{name}: the mean is over {last.input_shape}"


def _offered() -> list[str]:
    models = torchvision_models()
    return list(models.list_models(module=models))


OFFERED: Subject[list[str]] = Subject(
    "classification networks of torchvision", _offered, Grade.COUNTED
)

little_used = Claim(
    "nin-elsewhere/torchvision-offers-none",
    says="NiN itself is little used today: torchvision offers no network of that name.",
    cites=["001:10"],
    recorded=Holds(),
    renamed_from="network-in-network/torchvision-offers-none",
)


@little_used.judged(
    subject=OFFERED,
    on=["nin", "network_in_network"],
    flipped_by=[
        Fault("a NiN offered", lambda names: [*names, "nin_imagenet"]),
        Fault("a NiN for CIFAR-10 offered", lambda names: [*names, "cifar10_nin"]),
    ],
)
def none_has_the_name(names: list[str], nin: str) -> dict[str, int]:
    assert {"alexnet", "vgg16", "resnet50"} <= set(names), "the list misses what torchvision has"
    called = [name for name in names if f"_{nin}_" in f"_{name}_"]
    assert not called, f"torchvision offers {', '.join(called)}"
    return {"networks": len(names)}


# Public code --------------------------------------------------------------------------------------

tflearn_layers = Claim(
    "nin-elsewhere/tflearn-example-has-the-layers-of-the-paper",
    says="The TensorFlow code that document 004 points to has the layers of the paper's CIFAR-10 "
    "network, one for one.",
    cites=["004:68"],
    recorded=HoldsIf("the layer is not the second pool"),
    renamed_from="network-in-network/tflearn-example-has-the-layers-of-the-paper",
)


def described(record: counting.LayerRecord, layer: Any) -> str:
    """Return a layer in the words of the fact `nin/tflearn-layers`."""
    if record.kind == "Conv2d":
        height, width = layer.kernel_size
        return f"conv {height}x{width} {layer.out_channels}"
    if record.kind == "MaxPool2d":
        return f"max {layer.kernel_size}x{layer.kernel_size}"
    if record.kind == "AdaptiveAvgPool2d" and record.output_shape[2:] == (1, 1):
        return f"average {record.input_shape[2]}x{record.input_shape[3]}"
    return f"dropout {layer.p}" if record.kind == "Dropout" else record.kind


@tflearn_layers.judged(
    subject=MODELS,
    on=list(range(1, 15)),
    when={"the layer is not the second pool": lambda position: position != 9},
    flipped_by=[
        surgeries.last_max_pool_removed,
        surgeries.dropout_removed,
        surgeries.outputs_doubled,
        max_for_average,
    ],
)
def layer_is_the_same(models: Models, position: int) -> None:
    model = models("cifar10-nin")
    ours = [
        described(record, model.get_submodule(record.name))
        for record in records_of(model, "cifar10-nin")
        if record.kind not in ("ReLU", "Flatten")
    ]
    theirs = FACTS.value["nin/tflearn-layers"].value.split(", ")
    assert len(ours) == len(theirs), f"{len(ours)} layers against {len(theirs)}"
    mine, other = ours[position - 1], theirs[position - 1]
    assert mine == other, f"layer {position} is {other}, in the paper's network {mine}"
