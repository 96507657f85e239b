"""Networks as several topics meet them: images, layers, heads, values kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from claims.faults import models as surgeries
from claims.subjects import traced
from nin_ref import counting

if TYPE_CHECKING:
    import torch
    from torch import nn

VGGS = ["vgg11", "vgg13", "vgg16", "vgg19"]
ALL_VGGS = ["lecture-vgg11", *VGGS]
ALEXNETS = ["lecture-alexnet", "alexnet"]
IMAGES = {
    **dict.fromkeys(("lecture-alexnet", "lecture-vgg11", "lecture-nin"), (1, 224, 224)),
    **dict.fromkeys(("cifar10-nin", "cifar100-nin", "svhn-nin", "handwritten-nin"), (3, 32, 32)),
    **dict.fromkeys(("lenet5", "mnist-nin"), (1, 28, 28)),
}


def image_of(name: str) -> tuple[int, int, int]:
    """Return channels, height and width of the images that a network is made for."""
    return IMAGES.get(name, (3, 224, 224))


def records_of(model: nn.Module, name: str) -> list[counting.LayerRecord]:
    """Trace a network on one image of the size that it is made for."""
    return traced(model, 1, *image_of(name))


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions of a network, first to last."""
    from torch import nn

    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    """Return the fully connected layers of a network, first to last."""
    from torch import nn

    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)]


def saved_for_backward(model: nn.Module, *shape: int) -> int:
    """Return the bytes that training keeps of one batch for the backward pass, weights left out.

    `shape` is batch, channels, height and width. What several layers keep counts once.
    """
    import torch
    from torch.autograd.graph import saved_tensors_hooks

    weights = {weight.untyped_storage() for weight in model.parameters()}
    storages: set[torch.UntypedStorage] = set()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages.add(tensor.untyped_storage())
        return tensor

    modes = {module: module.training for module in model.modules()}
    model.train()  # A copy of a model of many layers would take longer than all the rest.
    try:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            scores = model(torch.empty(shape, device="meta"))
            labels = torch.empty(shape[0], dtype=torch.long, device="meta")
            torch.nn.functional.cross_entropy(scores, labels)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return sum(storage.nbytes() for storage in storages - weights)


def first_hidden_layer(units: int) -> Callable[[nn.Module], None]:
    """Return a change that gives the first fully connected layer another width."""

    def change(model: nn.Module) -> None:
        from torch import nn

        names = surgeries.of_kind(model, "Linear")
        first, second, *_ = linear_layers(model)
        surgeries.put(model, names[0], nn.Linear(first.in_features, units, device="meta"))
        surgeries.put(model, names[1], nn.Linear(units, second.out_features, device="meta"))

    return change


million_hidden_units = surgeries.surgery("a million hidden units", first_hidden_layer(1_000_000))
few_hidden_units = surgeries.surgery("eight hidden units", first_hidden_layer(8))
