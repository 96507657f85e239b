"""LeNet, AlexNet and VGG: where their parameters sit and how their maps shrink.

Document 001 (lines 16 to 36 and 85 to 89), 000 (line 39) and 004 (line 36).
"""

from __future__ import annotations

from claims.core.claim import Claim
from claims.core.verdict import Holds, Refuted
from claims.faults import models as surgeries
from claims.subjects import MODELS, Models
from nin_ref import counting

VGGS = ["vgg11", "vgg13", "vgg16", "vgg19"]

four_blocks = Claim(
    "classic-networks/vgg-has-four-blocks",
    says="The VGG network is made of four VGG blocks.",
    cites=["001:89"],
    recorded=Refuted(instead="classic-networks/vgg-has-five-blocks"),
)


@four_blocks.judged(subject=MODELS, on=VGGS, flipped_by=[surgeries.last_max_pool_removed])
def four_max_pools(models: Models, name: str) -> None:
    pools = len(surgeries.of_kind(models(name), "MaxPool2d"))
    assert pools == 4, f"{name} has {pools} max pools, one at the end of each block"


first_linear_dominates = Claim(
    "classic-networks/first-linear-layer-holds-most-parameters",
    says="Most parameters of VGG are in the first fully connected layer after the convolutions.",
    cites=["001:36"],
    recorded=Holds(),
)


@first_linear_dominates.judged(
    subject=MODELS, on=VGGS, flipped_by=[surgeries.first_linear_removed]
)
def first_linear_has_more_than_half(models: Models, name: str) -> dict[str, float]:
    layers = counting.layer_parameters(models(name))
    first = layers.get("classifier.0", 0)
    assert 2 * first > sum(layers.values()), f"{name}: {first} of {sum(layers.values())}"
    return {"parameters": first, "share": first / sum(layers.values())}
