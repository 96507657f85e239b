"""Implementations brought from outside: found, refused, and held to the protocol."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from claims.bring import Checked, bring_operators
from claims.core.suite import NotProvidedError, SubjectError, UnavailableError
from nin_ref import oracle
from nin_ref.operators import OPERATORS, TorchOperators

X = np.arange(2.0 * 3 * 5 * 4).reshape(2, 3, 5, 4)
WEIGHT = np.arange(6.0 * 3 * 2 * 3).reshape(6, 3, 2, 3)
GRADIENT = np.ones((2, 6, 4, 2))
CALLS: dict[str, tuple[Any, ...]] = {
    "conv2d": (X, WEIGHT),
    "conv2d_gradients": (X, WEIGHT, GRADIENT),
    "deform_conv2d": (X, np.ones((2, 12, 4, 2)), WEIGHT),
    "linear": (X, np.ones((7, 4))),
    "linear_gradients": (X[:, 0, 0], np.ones((7, 4)), np.ones((2, 7))),
    "relu": (X,),
    "max_pool2d": (X, (2, 3)),
    "avg_pool2d": (X, (2, 3)),
    "global_avg_pool2d": (X,),
    "channel_shuffle": (X, 3),
    "batch_norm": (X, *(np.ones(3),) * 4),
    "softmax": (X, 1),
    "cross_entropy": (X[:, :, 0, 0], np.array([0, 2])),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "max_pool2d": {"stride": (2, 1), "padding": (1, 1), "ceil_mode": True},
    "avg_pool2d": {"stride": (2, 1), "padding": (0, 1)},
    "batch_norm": {"eps": 1e-5},
}


def test_every_operator_is_called_here() -> None:
    assert CALLS.keys() == set(OPERATORS)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("implementation", [oracle, TorchOperators()], ids=["oracle", "torch"])
def test_right_operators_pass_the_protocol(name: str, implementation: object) -> None:
    checked = Checked(implementation, "right")
    expected = getattr(oracle, name)(*CALLS[name], **OPTIONS.get(name, {}))
    returned = getattr(checked, name)(*CALLS[name], **OPTIONS.get(name, {}))
    for one, other in zip(returned, expected, strict=True) if name.endswith("gradients") else []:
        np.testing.assert_allclose(one, other)
    if not name.endswith("gradients"):
        np.testing.assert_allclose(returned, expected)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda y: y[None], r"mine.NAME returned shape \(1,.*expected"),
        (lambda y: y.astype("float32"), "mine.NAME returned type float32, expected float64"),
        (lambda y: y.tolist(), "mine.NAME returned (list|float), expected a NumPy array"),
        (lambda _: None, "mine.NAME returned NoneType, expected a NumPy array"),
        (lambda _: 1 // 0, "mine.NAME raised ZeroDivisionError: .* for an input of shape"),
        (lambda _: exec("assert 0, 'no'"), "mine.NAME raised AssertionError: no for an input"),
    ],
)
def test_what_breaks_the_protocol_is_said_in_a_sentence(name: str, change: Any, says: str) -> None:
    right = getattr(oracle, name)

    def wrong(*arguments: Any, **options: Any) -> Any:
        y = right(*arguments, **options)
        return tuple(change(part) for part in y) if isinstance(y, tuple) else change(y)

    checked = Checked(types.SimpleNamespace(**{name: wrong}), "mine")
    with pytest.raises(SubjectError, match=says.replace("NAME", name)) as caught:
        getattr(checked, name)(*CALLS[name], **OPTIONS.get(name, {}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("position", [0, 1])
def test_an_operator_that_changes_what_it_is_given_is_refused(position: int) -> None:
    given = (X.copy(), WEIGHT.copy())

    def careless(*arrays: Any, **_: Any) -> Any:
        y = oracle.conv2d(*arrays)
        arrays[position][0, 0, 0, 0] += 1
        return y

    checked = Checked(types.SimpleNamespace(conv2d=careless), "mine")
    with pytest.raises(SubjectError, match=r"mine\.conv2d changed an array that it was given"):
        checked.conv2d(*given)


def test_an_array_given_by_name_must_stay_as_it_was_too() -> None:
    def careless(x: Any, *, weight: Any) -> Any:
        y = oracle.conv2d(x, weight)
        weight[0, 0, 0, 0] += 1
        return y

    checked = Checked(types.SimpleNamespace(conv2d=careless), "mine")
    with pytest.raises(SubjectError, match="changed an array that it was given"):
        checked.conv2d(X, weight=WEIGHT.copy())


def test_not_a_number_is_no_change() -> None:
    checked = Checked(types.SimpleNamespace(relu=oracle.relu), "mine")
    np.testing.assert_array_equal(checked.relu(np.array([np.nan, -1.0])), [np.nan, 0])


def test_gradients_come_as_a_tuple_of_three() -> None:
    checked = Checked(types.SimpleNamespace(conv2d_gradients=lambda *_: (X, WEIGHT)), "mine")
    with pytest.raises(SubjectError, match="must return a tuple of 3 arrays"):
        checked.conv2d_gradients(X, WEIGHT, GRADIENT)


def test_an_operator_that_is_missing_is_not_provided() -> None:
    checked = Checked(types.SimpleNamespace(relu=oracle.relu, conv2d=3), "mine")
    np.testing.assert_array_equal(checked.relu(-X), np.zeros_like(X))
    for name in ("linear", "conv2d"):
        with pytest.raises(NotProvidedError, match=f"mine has no {name}"):
            getattr(checked, name)


@pytest.fixture
def package(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "mine" / "operators.py").write_text(
        "from nin_ref.oracle import relu\n"
        "class OnDevice:\n"
        "    def __init__(self, device): self.device = device\n"
        "    def relu(self, x): return x.clip(0) if self.device == 'cpu' else None\n"
        "class Plain:\n"
        "    relu = staticmethod(relu)\n"
        "class Failing:\n"
        "    def __init__(self): raise RuntimeError('no licence')\n"
        "class Nothing: pass\n"
        "plain = Plain()\n"
    )
    (tmp_path / "mine" / "broken.py").write_text("import there_is_no_such_module\n")
    (tmp_path / "mine" / "raising.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("end", ["", ".OnDevice", ".Plain", ".plain"])
def test_modules_classes_and_objects_are_found_from_the_working_folder(end: str) -> None:
    operators = bring_operators(f"mine.operators{end}", "cpu")
    np.testing.assert_array_equal(operators.relu(-X), np.zeros_like(X))


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nowhere.operators", "nowhere.operators does not exist: no module 'nowhere'"),
        ("mine.nothing", "mine.nothing does not exist: mine has no 'nothing'"),
        ("mine.operators.Other", "mine.operators has no 'Other'"),
        ("mine.broken", "mine.broken cannot be imported: .*there_is_no_such_module"),
        ("mine.raising", "mine.raising cannot be imported: ZeroDivisionError: division by zero"),
        ("mine.operators.Failing", "mine.operators.Failing cannot be made: .*: no licence"),
        ("mine.operators.Nothing", "offers none of the operators conv2d, .*the protocol is in"),
        ("", "'' is not a dotted path"),
        ("mine..operators", "is not a dotted path"),
        ("mine/operators.py", "is not a dotted path such as my_package.my_operators"),
    ],
)
def test_what_cannot_be_brought_is_said_in_a_sentence(path: str, says: str) -> None:
    with pytest.raises(SubjectError, match=says) as caught:
        bring_operators(path, "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["cuda:7", "abacus"])
def test_a_device_that_is_not_there_is_said_in_a_sentence(device: str) -> None:
    with pytest.raises(UnavailableError, match=f"the device '{device}' cannot be used here") as c:
        bring_operators(None, device)
    assert "\n" not in str(c.value)
