"""Bring your own implementation: find it by dotted path, hold its results to the protocol."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from claims.checks import Array
from claims.core.suite import NotProvidedError, SubjectError, UnavailableError
from nin_ref.operators import OPERATORS, Operators, TorchOperators
from nin_ref.oracle import output_size


def bring_operators(path: str | None, device: str) -> Operators:
    """Return the operators at a dotted path (PyTorch's own for None) on a device.

    The path names a module, an object, or a class or function that makes one; where that takes an
    argument `device`, it gets it. Results are checked against the protocol at every call.

    Raises:
        SubjectError: if nothing is there, it cannot be imported, or it offers no operator.
        UnavailableError: if the device is not there.
    """
    _check_device(device)
    if path is None:
        return cast(Operators, Checked(TorchOperators(device), f"PyTorch on {device}"))
    found = _find(path)
    if callable(found):
        takes_device = "device" in inspect.signature(found).parameters
        try:
            found = found(device=device) if takes_device else found()
        except Exception as error:
            raise SubjectError(f"{path} cannot be made: {_spelled(error)}") from error
    if not any(callable(getattr(found, name, None)) for name in OPERATORS):
        raise SubjectError(
            f"{path} offers none of the operators {', '.join(OPERATORS)}; "
            "the protocol is in nin_ref/operators.py"
        )
    return cast(Operators, Checked(found, path))


def _check_device(device: str) -> None:
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        raise UnavailableError(f"the device {device!r} cannot be used here: {why}") from error


def _find(path: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:  # pytest as a command does not look there, python -m pytest does
        sys.path.insert(0, here)
    names = path.split(".")
    if not all(name.isidentifier() for name in names):
        raise SubjectError(f"{path!r} is not a dotted path such as my_package.my_operators")
    for end in range(len(names), 0, -1):
        module = ".".join(names[:end])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and (module + ".").startswith(error.name + "."):
                continue
            raise SubjectError(f"{path} cannot be imported: {_spelled(error)}") from error
        except Exception as error:
            raise SubjectError(f"{path} cannot be imported: {_spelled(error)}") from error
        for name in names[end:]:
            if not hasattr(found, name):
                raise SubjectError(f"{path} does not exist: {module} has no {name!r}")
            found = getattr(found, name)
        return found
    raise SubjectError(f"{path} does not exist: no module {names[0]!r} can be found")


def _spelled(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".rstrip(
        ": "
    )


class Checked:
    """Operators held to the protocol: every result an array of the right shape and type."""

    def __init__(self, operators: object, path: str) -> None:
        self._operators = operators
        self._path = path

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return an operator that checks what it returns."""
        if name not in OPERATORS:
            raise AttributeError(name)
        operator = getattr(self._operators, name, None)
        if not callable(operator):
            raise NotProvidedError(f"{self._path} has no {name}")
        return functools.partial(self._call, name, operator)

    def _call(self, name: str, operator: Callable[..., Any], *args: Any, **options: Any) -> Any:
        x = args[0]
        arrays = [one for one in (*args, *options.values()) if isinstance(one, np.ndarray)]
        copies = [one.copy() for one in arrays]
        try:
            returned = operator(*args, **options)
        except Exception as error:
            given = f"for an input of shape {x.shape} and type {x.dtype}"
            raise SubjectError(f"{self._path}.{name} raised {_spelled(error)} {given}") from error
        pairs = zip(arrays, copies, strict=True)
        if not all(np.array_equal(one, copy, equal_nan=True) for one, copy in pairs):
            raise SubjectError(f"{self._path}.{name} changed an array that it was given")
        expected = SHAPES[name](*args, **options)
        several = isinstance(expected, list)
        if several and not (isinstance(returned, tuple) and len(returned) == len(expected)):
            raise SubjectError(f"{self._path}.{name} must return a tuple of {len(expected)} arrays")
        results = returned if several else (returned,)
        for result, shape in zip(results, expected if several else [expected], strict=True):
            self._check(name, result, shape, x)
        return returned

    def _check(self, name: str, result: object, shape: tuple[int, ...], x: Array) -> None:
        if not isinstance(result, np.ndarray | np.generic):
            raise SubjectError(
                f"{self._path}.{name} returned {type(result).__name__}, expected a NumPy array"
            )
        if result.shape != shape:
            raise SubjectError(
                f"{self._path}.{name} returned shape {result.shape}, expected {shape} "
                f"for an input of shape {x.shape}"
            )
        if result.dtype != x.dtype:
            raise SubjectError(
                f"{self._path}.{name} returned type {result.dtype}, expected {x.dtype} as its input"
            )


def _conv2d_shape(
    x: Array, weight: Array, _bias: Array | None = None, **options: Any
) -> tuple[int, ...]:
    return (x.shape[0], weight.shape[0], *_map_shape(x, weight.shape[2:], **options))


def _deform_conv2d_shape(x: Array, _offset: Array, *args: Any, **options: Any) -> tuple[int, ...]:
    return _conv2d_shape(x, *args, **options)


def _map_shape(x: Array, kernel: tuple[int, ...], **options: Any) -> tuple[int, ...]:
    axes = []
    for axis in (0, 1):
        sizes = {
            name: options[name][axis]
            for name in ("stride", "padding", "dilation")
            if name in options
        }
        ceil_mode = options.get("ceil_mode", False)
        axes.append(output_size(x.shape[2 + axis], kernel[axis], ceil_mode=ceil_mode, **sizes))
    return tuple(axes)


def _pool_shape(x: Array, kernel: tuple[int, ...], **options: Any) -> tuple[int, ...]:
    return (*x.shape[:2], *_map_shape(x, kernel, **options))


def _gradient_shapes(x: Array, weight: Array, *_: Any, **__: Any) -> list[tuple[int, ...]]:
    return [x.shape, weight.shape, weight.shape[:1]]


def _as_input(x: Array, *_: Any, **__: Any) -> tuple[int, ...]:
    return x.shape


SHAPES: dict[str, Callable[..., Any]] = {
    "conv2d": _conv2d_shape,
    "conv2d_gradients": _gradient_shapes,
    "deform_conv2d": _deform_conv2d_shape,
    "linear": lambda x, weight, bias=None: (*x.shape[:-1], weight.shape[0]),
    "linear_gradients": _gradient_shapes,
    "relu": _as_input,
    "max_pool2d": _pool_shape,
    "avg_pool2d": _pool_shape,
    "global_avg_pool2d": lambda x: x.shape[:2],
    "channel_shuffle": _as_input,
    "batch_norm": _as_input,
    "softmax": _as_input,
    "cross_entropy": lambda logits, target: (),
}
