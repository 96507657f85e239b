"""What the claims are about, one subject a kind.

Only `OPERATORS` can be replaced from the command line (`pytest claims --subject dotted.path`).
"""

from __future__ import annotations

import functools
import importlib
import json
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from claims.core.claim import Subject
from claims.core.suite import UnavailableError
from claims.core.verdict import Grade, InsufficientEvidenceError
from nin_ref import counting
from nin_ref.counting import LayerRecord
from nin_ref.operators import Operators, TorchOperators

if TYPE_CHECKING:
    from torch import nn

    from claims.training.rules import Values

RESULTS = Path(__file__).resolve().parent.parent / "results"


def _single_thread() -> None:
    """Tensors here are tiny, and one thread is several times faster on them than two."""
    import torch

    torch.set_num_threads(1)


def _operators() -> Operators:
    _single_thread()
    return TorchOperators()


@dataclass(frozen=True)
class Layers:
    """The layer classes of PyTorch that claims name, as the documents' readers meet them."""

    Conv2d: Callable[..., nn.Module]
    Linear: Callable[..., nn.Module]
    MaxPool2d: Callable[..., nn.Module]
    AvgPool2d: Callable[..., nn.Module]
    AdaptiveAvgPool2d: Callable[..., nn.Module]
    BatchNorm2d: Callable[..., nn.Module]
    ReLU: Callable[..., nn.Module]
    Dropout: Callable[..., nn.Module]
    Flatten: Callable[..., nn.Module]
    Sequential: Callable[..., nn.Module]
    CrossEntropyLoss: Callable[..., nn.Module]


def _layers() -> Layers:
    from torch import nn

    _single_thread()
    return Layers(**{name: getattr(nn, name) for name in Layers.__dataclass_fields__})


@dataclass(frozen=True)
class Formulas:
    """Closed forms for sizes and counts; they take Python, SymPy and z3 integers alike."""

    output_size: Callable[..., Any]
    conv2d_parameters: Callable[..., Any]
    linear_parameters: Callable[..., Any]
    nin_block_parameters: Callable[..., Any]


def _formulas() -> Formulas:
    return Formulas(
        output_size=counting.conv2d_output_size,
        conv2d_parameters=counting.conv2d_parameters,
        linear_parameters=counting.linear_parameters,
        nin_block_parameters=counting.nin_block_parameters,
    )


Models = Callable[[str], "nn.Module"]

OUR_MODELS = {
    "lenet5": "lenet5",
    "lecture-alexnet": "lecture_alexnet",
    "lecture-vgg11": "lecture_vgg11",
    "lecture-nin": "lecture_nin",
    "table-nin": "table_nin",
    "handwritten-nin": "handwritten_nin",
    "cifar10-nin": "cifar10_nin",
    "cifar100-nin": "cifar100_nin",
    "mnist-nin": "mnist_nin",
    "svhn-nin": "svhn_nin",
}


def torchvision_models() -> ModuleType:
    """Return torchvision's module of models.

    Raises:
        UnavailableError: if torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision.models")
    except ImportError as error:
        raise UnavailableError(
            f"torchvision is needed and cannot be imported ({error}); "
            "`pip install torchvision` gets it"
        ) from error


@functools.cache
def model_on_meta(name: str) -> nn.Module:
    """Return a model without storage: one of ours, or torchvision's of that name.

    Raises:
        UnavailableError: if torchvision is not installed.
        ValueError: if there is no such model.
    """
    import torch

    from nin_ref import models

    if name in OUR_MODELS:
        build: Callable[[], nn.Module] = getattr(models, OUR_MODELS[name])
    else:
        arguments: dict[str, Any] = {"weights": None}
        if name in ("googlenet", "inception_v3"):
            arguments |= {"init_weights": False, "aux_logits": False}
        if name in ("fcn_resnet50", "deeplabv3_resnet50"):
            arguments |= {"weights_backbone": None}
        build = functools.partial(torchvision_models().get_model, name, **arguments)
    with torch.device("meta"):
        return build().eval()


def _models() -> Models:
    return model_on_meta


_TRACES: weakref.WeakKeyDictionary[nn.Module, dict[tuple[int, ...], list[LayerRecord]]] = (
    weakref.WeakKeyDictionary()
)


def traced(model: nn.Module, *input_shape: int) -> list[LayerRecord]:
    """Return `counting.trace`, once for each model and shape: many claims ask the same.

    It relies on models that are never changed in place; surgeries work on copies.
    """
    traces = _TRACES.setdefault(model, {})
    if input_shape not in traces:
        traces[input_shape] = counting.trace(model, *input_shape)
    return traces[input_shape]


@dataclass(frozen=True)
class Fact:
    """A bibliographic fact: what is true, where it stands, and how sure we are.

    `certainty` is `published` (the record itself is known), `second-hand` or `from memory`.
    """

    value: str
    source: str
    certainty: str


@functools.cache
def model_with_weights(name: str) -> nn.Module:
    """Return one of our models in float64 on the CPU, in eval mode, its weights from seed 0."""
    import torch

    from nin_ref import models

    _single_thread()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = getattr(models, OUR_MODELS[name])()
    return model.double().eval()


def _models_with_weights() -> Models:
    return model_with_weights


def _facts() -> Mapping[str, Fact]:
    rows = json.loads(Path(__file__).with_name("facts.json").read_text(encoding="utf-8"))
    return {key: Fact(**row) for key, row in rows.items()}


@dataclass(frozen=True)
class Evidence:
    """Committed evidence: training runs and measurements under `results/`."""

    directory: Path

    def values(self, needed: Mapping[str, Sequence[str]]) -> Values:
        """Return quantities of all valid runs, by quantity, arm and seed.

        `needed` names the arms by the quantity. A run whose arm trains otherwise by now is stale
        and does not count.

        Raises:
            UnavailableError: if a run, or what it was examined for, is damaged.
        """
        from claims.training import quantities, runs

        arms = {arm for names in needed.values() for arm in names}
        try:
            found = {arm: runs.fresh(self.directory, arm) for arm in arms}
            return quantities.values(needed, found)
        except runs.RunError as error:
            raise UnavailableError(f"{error}; `make recheck` says more") from error

    def rule(self, id_: str) -> dict[str, Any]:
        """Return what is published of a claim's rule; nothing if none is."""
        from claims.training import runs

        published: dict[str, Any] = runs.rules(self.directory).get(id_, {})
        return published

    def ran_under_another_rule(self, id_: str, digest: str, arms: Iterable[str]) -> bool:
        """Whether a run of these arms began before the rule of a claim was what it is now."""
        from claims.training import runs

        return any(
            run.record["rules"].get(id_) != digest
            for arm in arms
            for run, _ in runs.fresh(self.directory, arm).values()
        )

    def measurement(self, name: str) -> dict[str, Any]:
        """Return a committed measurement.

        Raises:
            InsufficientEvidenceError: if it has not been made.
            UnavailableError: if the file is damaged.
        """
        path = self.directory / "measured" / f"{name}.json"
        if not path.is_file():
            raise InsufficientEvidenceError(f"no measurement {name}")
        try:
            text = path.read_text(encoding="utf-8")
            measured: dict[str, Any] = json.loads(text, object_hook=Measured)
        except (OSError, ValueError) as error:
            raise UnavailableError(
                f"{path} is damaged ({error}); `make measure` makes it again"
            ) from error
        return measured


class Measured(dict[str, Any]):
    """A part of a measurement that says what is missing from it."""

    def __missing__(self, key: str) -> NoReturn:
        raise UnavailableError(
            f"a measurement lacks {key!r} beside {', '.join(map(repr, self))}; "
            "`make measure` makes it again"
        )


OPERATORS: Subject[Operators] = Subject("operators", _operators)
LAYERS: Subject[Layers] = Subject("pytorch layers", _layers)
FORMULAS: Subject[Formulas] = Subject("formulas", _formulas)
MODELS: Subject[Models] = Subject("models", _models, Grade.COUNTED)
MODELS_WITH_WEIGHTS: Subject[Models] = Subject("models with weights", _models_with_weights)
FACTS: Subject[Mapping[str, Fact]] = Subject("facts", _facts, Grade.CITED)
MEASUREMENTS = Subject("measurements", lambda: Evidence(RESULTS), Grade.MEASURED)
RUNS = Subject("training runs", lambda: Evidence(RESULTS), Grade.TRAINED)
