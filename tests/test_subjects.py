"""Subjects: what they build, and what they say when they cannot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from claims.core.suite import UnavailableError
from claims.core.verdict import InsufficientEvidenceError
from claims.subjects import OUR_MODELS, Evidence, model_on_meta, model_with_weights
from nin_ref import counting


def test_models_on_meta_take_no_memory() -> None:
    model = model_on_meta("vgg16")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert counting.parameter_count(model) == 138_357_544
    assert not model.training


def test_models_with_weights_are_the_same_each_time_and_leave_the_random_state() -> None:
    import torch

    before = torch.random.get_rng_state()
    first = model_with_weights.__wrapped__("lenet5").state_dict()
    second = model_with_weights.__wrapped__("lenet5").state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {tensor.dtype for tensor in first.values()} == {torch.float64}


@pytest.mark.parametrize("name", OUR_MODELS)
def test_our_models_are_the_same_on_meta_and_with_weights(name: str) -> None:
    if counting.parameter_count(model_on_meta(name)) < 2_000_000:
        layers = counting.layer_parameters(model_with_weights(name))
        assert layers == counting.layer_parameters(model_on_meta(name))


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ValueError, match="vgg12"):
        model_on_meta("vgg12")


def test_without_torchvision_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnavailableError, match=r"torchvision is needed .*pip install"):
        model_on_meta.__wrapped__("vgg16")


def test_a_measurement_is_read_or_missing(tmp_path: Path) -> None:
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured" / "speed.json").write_text(json.dumps({"ratio": 2}))
    measured = Evidence(tmp_path).measurement("speed")
    assert measured == {"ratio": 2}
    with pytest.raises(UnavailableError, match="lacks 'seconds' beside 'ratio'"):
        measured["seconds"]
    with pytest.raises(InsufficientEvidenceError, match="no measurement memory"):
        Evidence(tmp_path).measurement("memory")
