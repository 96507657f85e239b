"""The catalogue of faults: each changes a copy, and something in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from claims.cases import CONVOLUTIONS, integers, wide
from claims.core.claim import Fault
from claims.faults import CATALOGUE
from claims.faults import operators as faults
from claims.faults.models import all_removed, of_kind, removed, surgery
from claims.subjects import model_on_meta
from nin_ref import counting, oracle
from nin_ref.operators import OPERATORS

MODELS = ["vgg11", "alexnet", "lecture-nin", "handwritten-nin", "googlenet"]


def described(name: str, models: Any) -> str:
    model = models(name)
    return f"{model}{[tuple(p.shape) for p in model.parameters()]}"


@pytest.mark.parametrize("fault", CATALOGUE["models"], ids=lambda fault: fault.name)
def test_a_surgery_changes_a_copy_of_some_model(fault: Fault[Any]) -> None:
    before = [described(name, model_on_meta) for name in MODELS]
    changed = [described(name, fault.plant(model_on_meta)) for name in MODELS]
    assert changed != before
    assert [described(name, model_on_meta) for name in MODELS] == before


@pytest.mark.parametrize("fault", CATALOGUE["operators"], ids=lambda fault: fault.name)
def test_a_wrong_operator_differs_from_the_right_one_in_one_method(fault: Fault[Any]) -> None:
    planted = fault.plant(oracle)
    assert [name for name in OPERATORS if getattr(planted, name) is not getattr(oracle, name)] == [
        name for name in OPERATORS if name in vars(planted)
    ]
    assert len([name for name in OPERATORS if name in vars(planted)]) == 1


@pytest.mark.parametrize(
    "fault",
    [fault for fault in CATALOGUE["operators"] if "conv2d" in vars(fault.plant(oracle))],
    ids=lambda fault: fault.name,
)
def test_a_wrong_convolution_is_wrong_on_the_covering_sample(fault: Fault[Any]) -> None:
    planted = fault.plant(oracle)
    for c in CONVOLUTIONS.covering:
        x = wide(c.x)
        right = oracle.conv2d(x, c.weight, c.bias, **c.options)
        try:
            wrong = planted.conv2d(x, c.weight, c.bias, **c.options)
        except ValueError:  # it does not even fit
            return
        if wrong.shape != right.shape or not np.array_equal(wrong, right):
            return
    pytest.fail(f"{fault.name} changes nothing on {len(CONVOLUTIONS.covering)} convolutions")


def caught(fault: Fault[Any], method: str, *arguments: Any, **options: Any) -> bool:
    """Whether a wrong operator says something else than the right one."""
    right = getattr(oracle, method)(*arguments, **options)
    wrong = getattr(fault.plant(oracle), method)(*arguments, **options)
    return not np.array_equal(wrong, right)


@pytest.mark.parametrize(
    "fault",
    [fault for fault in CATALOGUE["operators"] if "deform_conv2d" in vars(fault.plant(oracle))],
    ids=lambda fault: fault.name,
)
def test_a_wrong_deformable_convolution_is_wrong(fault: Fault[Any]) -> None:
    x, weight = wide(integers(1, 2, 4, 6, 5)), integers(2, 3, 4, 3, 2)
    offset = integers(3, 2, 24, 4, 3, low=-9, high=9) / 4
    assert caught(fault, "deform_conv2d", x, offset, weight, stride=(2, 2), padding=(2, 1))


def test_a_border_that_is_repeated_changes_nothing_inside() -> None:
    x, weight = integers(1, 1, 2, 6, 7, low=1), integers(2, 3, 2, 1, 1)
    offset = np.zeros((1, 2, 6, 7))
    offset[:, 0, 1:-1, 1:-1], offset[:, 1, 1:-1, 1:-1] = 0.5, -0.75
    assert not caught(faults.border_repeated, "deform_conv2d", x, offset, weight)
    offset[0, 0, 5, 3] = 0.5
    assert caught(faults.border_repeated, "deform_conv2d", x, offset, weight)


@pytest.mark.parametrize(
    "fault",
    [fault for fault in CATALOGUE["operators"] if "channel_shuffle" in vars(fault.plant(oracle))],
    ids=lambda fault: fault.name,
)
def test_a_wrong_shuffle_is_wrong(fault: Fault[Any]) -> None:
    assert caught(fault, "channel_shuffle", integers(1, 2, 6, 3, 5), 2)


def test_layers_are_found_and_removed_by_class() -> None:
    assert len(of_kind(model_on_meta("vgg11"), "MaxPool2d")) == 5
    without = surgery("one less", removed("MaxPool2d", -1)).plant(model_on_meta)("vgg11")
    assert of_kind(without, "MaxPool2d") == of_kind(model_on_meta("vgg11"), "MaxPool2d")[:-1]
    bare = surgery("none", all_removed("Linear")).plant(model_on_meta)("vgg11")
    assert of_kind(bare, "Linear") == []
    assert counting.parameter_count(bare) < 10_000_000
