"""What Network in Network costs: parameters, arithmetic, time.

Documents 001 (lines 92 and 102 to 103) and 004 (lines 10 and 33).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claims._classics import convolutions, records_of
from claims._layers import for_all
from claims._steps import steps_that_take, times_as_long
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted, Undecided
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.subjects import (
    FORMULAS,
    MEASUREMENTS,
    MODELS,
    Evidence,
    Formulas,
    Models,
)
from claims.trained import trained
from claims.training.rules import Sooner
from nin_ref import counting

if TYPE_CHECKING:
    from torch import nn

# Parameters ---------------------------------------------------------------------------------------

PAIRS = [
    ("lecture-nin", "lecture-alexnet"),
    ("lecture-nin", "lecture-vgg11"),
    ("table-nin", "alexnet"),
    ("table-nin", "vgg16"),
]

fewer_parameters = Claim(
    "nin-cost/has-less-than-a-fifth-of-the-parameters",
    says="NiN has far fewer parameters than AlexNet and VGG for as many classes: less than a "
    "fifth.",
    cites=["001:92", "001:102", "001:103", "004:10", "004:33"],
    recorded=Holds(),
    renamed_from="network-in-network/has-less-than-a-fifth-of-the-parameters",
)


@fewer_parameters.judged(
    subject=MODELS,
    on=PAIRS,
    flipped_by=[surgeries.linear_layers_removed, surgeries.first_linear_removed],
)
def parameters_are_few(models: Models, pair: tuple[str, str]) -> dict[str, float]:
    nin, other = (counting.parameter_count(models(name)) for name in pair)
    assert 5 * nin < other, f"{pair[0]} has {nin} parameters, {pair[1]} {other}"
    return {"parameters": nin, "of the other": other, "ratio": other / nin}


LECTURE_BLOCKS = ((96, 11), (256, 5), (384, 3))
ALEXNET_CONVOLUTIONS = ((3, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3))


def nin_parameters(formulas: Formulas, in_channels: int, classes: Any) -> Any:
    """Return the parameters of the lecture's NiN; `classes` may be a symbol."""
    total = 0
    for width, window in (*LECTURE_BLOCKS, (classes, 3)):
        total += formulas.nin_block_parameters(in_channels, width, window)
        in_channels = width
    return total


def alexnet_parameters(formulas: Formulas, classes: Any) -> Any:
    """Return the parameters of torchvision's AlexNet; `classes` may be a symbol."""
    total = sum(formulas.conv2d_parameters(i, o, k, k) for i, o, k in ALEXNET_CONVOLUTIONS)
    for features, outputs in ((256 * 6 * 6, 4096), (4096, 4096), (4096, classes)):
        total += formulas.linear_parameters(features, outputs)
    return total


one_1x1_forgotten = wrong_formulas.formula(
    "one 1x1 convolution forgotten",
    "nin_block_parameters",
    lambda f, in_channels, width, window: f(in_channels, width, window) - width * (width + 1),
)

five_more_inputs = wrong_formulas.formula(
    "five more inputs", "linear_parameters", lambda f, i, o, **k: f(i + 5, o, **k)
)

fewer_for_any_classes = Claim(
    "nin-cost/has-fewer-parameters-for-any-number-of-classes",
    says="Whatever the number of classes, NiN for colour images has fewer parameters than AlexNet.",
    cites=["001:92", "001:103"],
    recorded=HoldsIf("at most 5407 classes"),
    renamed_from="network-in-network/has-fewer-parameters-for-any-number-of-classes",
)


@fewer_for_any_classes.judged(
    subject=FORMULAS,
    on=Sample("numbers of classes", [1, 2, 10, 100, 1000, 5407, 5408]),
    when={"at most 5407 classes": lambda classes: classes <= 5407},
    flipped_by=[five_more_inputs, one_1x1_forgotten],
)
def count_is_smaller(formulas: Formulas, classes: int) -> None:
    nin, alexnet = nin_parameters(formulas, 3, classes), alexnet_parameters(formulas, classes)
    assert nin < alexnet, f"for {classes} classes NiN has {nin} parameters, AlexNet {alexnet}"


@fewer_for_any_classes.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[five_more_inputs, one_1x1_forgotten],
)
def smaller_up_to_5407_and_only_there(formulas: Formulas, _: Proof) -> None:
    import z3

    # Over the reals, where z3 is faster: two real numbers of classes to either side of the root.
    classes = z3.Real("classes")
    smaller = nin_parameters(formulas, 3, classes) < alexnet_parameters(formulas, classes)
    solver = z3.Solver()
    few = z3.And(classes >= 1, classes <= 5407)
    solver.add(z3.Or(z3.And(few, z3.Not(smaller)), z3.And(classes >= 5408, smaller)))
    assert solver.check() == z3.unsat, f"otherwise for {solver.model()[classes]} classes"


@fewer_for_any_classes.judged(
    subject=MODELS,
    on=["lecture-nin", "alexnet"],
    flipped_by=[surgeries.biases_dropped, surgeries.outputs_doubled],
)
def closed_forms_count_real_networks(models: Models, name: str) -> None:
    count = counting.parameter_count(models(name))
    formulas = FORMULAS.value
    expected = {
        "lecture-nin": nin_parameters(formulas, 1, 10),
        "alexnet": alexnet_parameters(formulas, 1000),
    }
    assert count == expected[name], f"{name} has {count} parameters, not {expected[name]}"


TEN_AND_HUNDRED = [("cifar10-nin", "cifar100-nin")]

independent_of_classes = Claim(
    "nin-cost/parameters-do-not-depend-on-the-classes",
    says="The number of parameters of NiN does not depend on the number of classes.",
    cites=["001:103"],
    recorded=Refuted(instead="nin-cost/last-block-grows-with-the-square-of-the-classes"),
    renamed_from="network-in-network/parameters-do-not-depend-on-the-classes",
)


@independent_of_classes.judged(
    subject=MODELS, on=TEN_AND_HUNDRED, flipped_by=[surgeries.last_convolution_removed]
)
def counts_agree(models: Models, pair: tuple[str, str]) -> None:
    ten, hundred = (counting.parameter_count(models(name)) for name in pair)
    assert ten == hundred, f"{ten} parameters for 10 classes, {hundred} for 100"


grows_with_classes = Claim(
    "nin-cost/last-block-grows-with-the-square-of-the-classes",
    says="NiN's parameters grow with the number q of classes: the lecture's last block, q wide "
    "throughout, has 2 q^2 + 3459 q; the paper's CIFAR network, q wide at the end only, 193 q.",
    cites=["001:103"],
    recorded=Holds(),
    renamed_from="network-in-network/last-block-grows-with-the-square-of-the-classes",
)


@grows_with_classes.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.formula(
            "biases forgotten", "nin_block_parameters", lambda f, i, o, k: f(i, o, k) - 3 * o
        ),
        one_1x1_forgotten,
    ],
)
def polynomial_in_the_classes(formulas: Formulas, _: Proof) -> None:
    for_all(
        lambda q: formulas.nin_block_parameters(384, q, 3) == 2 * q * q + 3459 * q,
        low=1,
        what="a number of classes",
    )


@grows_with_classes.judged(
    subject=MODELS,
    on=TEN_AND_HUNDRED,
    flipped_by=[surgeries.last_convolution_removed, surgeries.biases_dropped],
)
def each_class_costs_193(models: Models, pair: tuple[str, str]) -> dict[str, int]:
    ten, hundred = (counting.parameter_count(models(name)) for name in pair)
    assert hundred - ten == 90 * 193, f"90 classes cost {hundred - ten} parameters"
    return {"10 classes": ten, "100 classes": hundred}


# Arithmetic and time ------------------------------------------------------------------------------

LONGER = "NiN sometimes takes longer to train"
ALEXNET_PAIRS = PAIRS[::2]


def _nin_with_stride(stride: int) -> Fault[Models]:
    def change(model: nn.Module) -> None:
        if not surgeries.of_kind(model, "Linear"):
            convolutions(model)[0].stride = (stride, stride)

    return surgeries.surgery(f"NiN with a first stride of {stride}", change)


more_arithmetic = Claim(
    "nin-cost/needs-more-multiply-adds-than-alexnet",
    says="NiN can take longer to train than AlexNet, as it needs more multiply-adds for an image.",
    cites=["001:92"],
    recorded=HoldsIf("the networks are not the lecture's"),
    reading_of=LONGER,
    renamed_from="network-in-network/needs-more-multiply-adds-than-alexnet",
)


@more_arithmetic.judged(
    subject=MODELS,
    on=ALEXNET_PAIRS,
    when={"the networks are not the lecture's": lambda pair: pair[0] != "lecture-nin"},
    flipped_by=[_nin_with_stride(2), _nin_with_stride(8)],
)
def arithmetic_is_more(models: Models, pair: tuple[str, str]) -> dict[str, float]:
    nin, alexnet = (sum(r.multiply_adds for r in records_of(models(name), name)) for name in pair)
    assert nin > alexnet, f"{pair[0]} needs {nin} multiply-adds, {pair[1]} {alexnet}"
    return {"multiply-adds": nin, "of AlexNet": alexnet, "ratio": nin / alexnet}


longer_step = Claim(
    "nin-cost/takes-longer-for-a-training-step",
    says="On a CPU, a training step of the lecture's NiN takes longer than one of its AlexNet on "
    "the same batch of 128 images.",
    cites=["001:92"],
    recorded=Holds(),
    reading_of=LONGER,
    renamed_from="network-in-network/takes-longer-for-a-training-step",
)

longer_step_on_gpu = Claim(
    "nin-cost/takes-longer-for-a-training-step-on-a-gpu",
    says="On a GPU, a training step of the lecture's NiN takes longer than one of its AlexNet on "
    "the same batch of 128 images.",
    cites=["001:92"],
    recorded=Undecided("`make measure` on a machine with a GPU"),
    reading_of=LONGER,
    renamed_from="network-in-network/takes-longer-for-a-training-step-on-a-gpu",
)


@longer_step.judged(
    subject=MEASUREMENTS,
    on=["cpu"],
    flipped_by=[
        steps_that_take("as long", {"lecture-nin": 1, "lecture-alexnet": 1}),
        steps_that_take("AlexNet takes longer", {"lecture-nin": 1, "lecture-alexnet": 1.01}),
    ],
)
@longer_step_on_gpu.judged(subject=MEASUREMENTS, on=["cuda"])
def step_is_slower(evidence: Evidence, device: str) -> dict[str, float]:
    ratio = times_as_long(evidence, device, "lecture-nin", "lecture-alexnet")
    assert ratio > 1, f"a step of NiN takes {ratio:.2g} times as long as one of AlexNet"
    return {"ratio": ratio}


more_epochs = trained(
    "nin-cost/needs-more-epochs",
    says="NiN takes more epochs to a training loss of 0.5 than a plain network with a fully "
    "connected head.",
    cites=["001:92"],
    rule=Sooner("plain-fc-short", "cifar10-short"),
    reading_of=LONGER,
    renamed_from="network-in-network/needs-more-epochs",
)
