"""Wrong closed forms and wrong layer classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from claims.core.claim import Fault
from claims.subjects import Formulas, Layers


def formula(name: str, field: str, change: Callable[..., Any]) -> Fault[Formulas]:
    """Return a fault that puts `change(right, *args, **options)` in the place of a closed form."""

    def plant(formulas: Formulas) -> Formulas:
        right = getattr(formulas, field)

        def changed(*args: Any, **options: Any) -> Any:
            return change(right, *args, **options)

        return dataclasses.replace(formulas, **{field: changed})

    return Fault(name, plant)


def layer(name: str, field: str, change: Callable[..., Any]) -> Fault[Layers]:
    """Return a fault that puts `change(right, *args, **options)` in the place of a layer class."""

    def plant(layers: Layers) -> Layers:
        right = getattr(layers, field)

        def changed(*args: Any, **options: Any) -> Any:
            return change(right, *args, **options)

        return dataclasses.replace(layers, **{field: changed})

    return Fault(name, plant)


output_size_off_by_one = formula(
    "output size one too large", "output_size", lambda f, *a, **o: f(*a, **o) + 1
)
padding_counted_once = formula(
    "padding counted on one side only",
    "output_size",
    lambda f, size, kernel, stride=1, padding=0, dilation=1: f(
        size + padding, kernel, stride, 0, dilation
    ),
)
stride_forgotten = formula(
    "stride forgotten",
    "output_size",
    lambda f, size, kernel, stride=1, padding=0, dilation=1: f(size, kernel, 1, padding, dilation),
)
bias_forgotten = formula(
    "biases forgotten in the count",
    "conv2d_parameters",
    lambda f, *a, **o: f(*a, **o | {"bias": False}),
)
groups_forgotten = formula(
    "groups forgotten in the count",
    "conv2d_parameters",
    lambda f, *a, **o: f(*a, **o | {"groups": 1}),
)
kernel_height_squared = formula(
    "kernel taken as square",
    "conv2d_parameters",
    lambda f, i, o, kh, kw, **options: f(i, o, kh, kh, **options),
)

bias_left_out = layer(
    "convolution made without bias", "Conv2d", lambda f, *a, **o: f(*a, **o | {"bias": False})
)
groups_left_out = layer(
    "convolution made without groups", "Conv2d", lambda f, *a, **o: f(*a, **o | {"groups": 1})
)
padding_added = layer(
    "convolution made with one more padding",
    "Conv2d",
    lambda f, *a, **o: f(*a, **o | {"padding": o.get("padding", 0) + 1}),
)
