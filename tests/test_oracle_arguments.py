"""What the oracle says of every array and pair that it refuses, and what its defaults are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

from nin_ref import oracle
from nin_ref.oracle import Array

X, ROWS = np.ones((2, 4, 5, 6)), np.ones((2, 3))
W, PER_CHANNEL = np.ones((6, 4, 3, 2)), np.ones(4)
IMAGE = "[N, C, H, W]"

# Each operator with arrays that fit, and the axes that it asks of them.
CALLS: dict[str, tuple[Callable[..., object], dict[str, tuple[Array, str]]]] = {
    "conv2d": (
        oracle.conv2d,
        {"x": (X, IMAGE), "weight": (W, "[O, C / groups, kh, kw]"), "bias": (np.ones(6), "[6]")},
    ),
    "conv2d_gradients": (
        oracle.conv2d_gradients,
        {
            "x": (X, IMAGE),
            "weight": (W, "[O, C / groups, kh, kw]"),
            "output_gradient": (np.ones((2, 6, 3, 5)), "[2, 6, 3, 5]"),
        },
    ),
    "deform_conv2d": (
        oracle.deform_conv2d,
        {
            "x": (X, IMAGE),
            "offset": (np.zeros((2, 12, 3, 5)), "[2, 2 * groups * kh * kw, 3, 5]"),
            "weight": (W, "[O, 4, kh, kw]"),
            "bias": (np.ones(6), "[6]"),
        },
    ),
    "linear": (
        oracle.linear,
        {
            "x": (ROWS, "[..., F]"),
            "weight": (np.ones((4, 3)), "[O, 3]"),
            "bias": (PER_CHANNEL, "[4]"),
        },
    ),
    "linear_gradients": (
        oracle.linear_gradients,
        {
            "x": (ROWS, "[..., F]"),
            "weight": (np.ones((4, 3)), "[O, 3]"),
            "output_gradient": (np.ones((2, 4)), "[2, 4]"),
        },
    ),
    "relu": (oracle.relu, {"x": (ROWS, "[...]")}),
    "max_pool2d": (partial(oracle.max_pool2d, kernel=(2, 2), stride=(1, 1)), {"x": (X, IMAGE)}),
    "avg_pool2d": (partial(oracle.avg_pool2d, kernel=(2, 2), stride=(1, 1)), {"x": (X, IMAGE)}),
    "global_avg_pool2d": (oracle.global_avg_pool2d, {"x": (X, IMAGE)}),
    "global_max_pool2d": (oracle.global_max_pool2d, {"x": (X, IMAGE)}),
    "channel_shuffle": (partial(oracle.channel_shuffle, groups=2), {"x": (X, IMAGE)}),
    "batch_norm": (
        partial(oracle.batch_norm, eps=1e-5),
        {
            "x": (X, IMAGE),
            "mean": (PER_CHANNEL, "[4]"),
            "variance": (PER_CHANNEL, "[4]"),
            "weight": (PER_CHANNEL, "[4]"),
            "bias": (PER_CHANNEL, "[4]"),
        },
    ),
    "batch_statistics": (oracle.batch_statistics, {"x": (X, IMAGE)}),
    "softmax": (partial(oracle.softmax, axis=0), {"x": (ROWS, "[...]")}),
    "log_softmax": (partial(oracle.log_softmax, axis=0), {"x": (ROWS, "[...]")}),
    "cross_entropy": (
        partial(oracle.cross_entropy, target=np.array([0, 1])),
        {"logits": (ROWS, "[N, K]")},
    ),
    "unfold": (partial(oracle.unfold, kernel=(2, 2)), {"x": (X, IMAGE)}),
    "mlpconv": (partial(oracle.mlpconv, weights=[(W, np.ones(6))]), {"x": (X, IMAGE)}),
    "mlpconv weights": (
        lambda *each: oracle.mlpconv(X, [(each[0], each[1]), (each[2], each[3])]),
        {
            "weight of layer 0": (W, "[O, 4, kh, kw]"),
            "bias of layer 0": (np.ones(6), "[6]"),
            "weight of layer 1": (np.ones((5, 6, 1, 1)), "[O, 6, 1, 1]"),
            "bias of layer 1": (np.ones(5), "[5]"),
        },
    ),
}


def refusal(call: Callable[..., object], *arguments: object, **named: object) -> str:
    with pytest.raises(ValueError, match="must") as refused:
        call(*arguments, **named)
    return str(refused.value)


@pytest.mark.parametrize("name", CALLS)
def test_every_array_that_does_not_fit_is_refused_by_its_name(name: str) -> None:
    call, parameters = CALLS[name]
    arrays = [array for array, _ in parameters.values()]
    call(*arrays)
    for place, (parameter, (array, axes)) in enumerate(parameters.items()):

        def told(changed: object, place: int = place) -> str:
            return refusal(call, *arrays[:place], changed, *arrays[place + 1 :])

        expected = f"{parameter} must be a floating point array {axes}, got"
        assert told(array.astype(np.int32)) == f"{expected} int32"
        assert told(array.tolist()) == f"{expected} list"
        nothing = np.zeros((0, *array.shape[1:]))
        shape = ", ".join(map(str, nothing.shape))
        assert told(nothing) == f"{parameter} must be a non-empty array {axes}, got [{shape}]"
        if "..." not in axes:
            assert told(np.float64(1) * np.ones(())) == (
                f"{parameter} must be a floating point array {axes}, got float64"
            )
            assert told(np.array(1.0)) == f"{parameter} must be a non-empty array {axes}, got []"
        if parameter not in ("x", "logits", "weight of layer 0") or name == "mlpconv weights":
            assert told(array.astype(np.float32)) == (
                f"{parameter} must have the dtype of x, float64, got float32"
            )


PAIRS: dict[str, tuple[Callable[..., object], Mapping[str, Any]]] = {
    "conv2d": (
        partial(oracle.conv2d, X, W),
        {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)},
    ),
    "deform_conv2d": (
        partial(oracle.deform_conv2d, X, np.zeros((2, 12, 3, 5)), W),
        {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)},
    ),
    "max_pool2d": (
        partial(oracle.max_pool2d, X),
        {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0)},
    ),
    "avg_pool2d": (
        partial(oracle.avg_pool2d, X),
        {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0)},
    ),
    "unfold": (
        partial(oracle.unfold, X),
        {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)},
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_that_is_not_two_integers_is_refused_by_its_name(name: str) -> None:
    call, pairs = PAIRS[name]
    call(**pairs)
    for parameter in pairs:
        for wrong in (1, [1, 1], (1,), (1, 1, 1), (1, 1.0), (None, 1)):
            assert refusal(call, **{**pairs, parameter: wrong}) == (
                f"{parameter} must be two integers (height, width), got {wrong!r}"
            )


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            partial(oracle.deform_conv2d, X, np.zeros((2, 13, 3, 5)), W),
            "offset must have 2 * groups * 3 * 2 channels for groups that divide 4, got 13",
        ),
        (
            partial(oracle.mlpconv, X, []),
            "weights must hold at least one (weight, bias), got none",
        ),
        (
            partial(oracle.cross_entropy, ROWS, np.array([True, False])),
            "target must be an integer array [2], got bool [2]",
        ),
        (
            partial(oracle.cross_entropy, ROWS, np.array([0, 3])),
            "target must lie in 0..2, got [0 3]",
        ),
        (
            partial(oracle.max_pool2d, X, (3, 5), stride=(1, 1), padding=(2, 0)),
            "padding must be at most half of kernel (3, 5), got (2, 0)",
        ),
        (
            partial(oracle.avg_pool2d, X, (5, 3), stride=(1, 1), padding=(0, 2)),
            "padding must be at most half of kernel (5, 3), got (0, 2)",
        ),
        (partial(oracle.output_size, 0, 1), "size must be at least 1, got 0"),
        (partial(oracle.output_size, 1, 0), "kernel must be at least 1, got 0"),
        (partial(oracle.output_size, 1, 1, 0), "stride must be at least 1, got 0"),
        (partial(oracle.output_size, 1, 1, 1, -1), "padding must not be negative, got -1"),
        (partial(oracle.output_size, 1, 1, 1, 0, 0), "dilation must be at least 1, got 0"),
        (
            partial(oracle.output_size, 3, 3, 1, 0, 2),
            "size 3 with padding 0 must hold a window of 5 cells to give output",
        ),
    ],
)
def test_a_refusal_is_one_sentence(call: Callable[..., object], says: str) -> None:
    assert refusal(call) == says


def test_what_is_left_out_is_the_plain_operator() -> None:
    assert oracle.output_size(6, 3) == 4
    assert oracle.output_size(4, 3, 2) == 1
    assert oracle.max_pool2d(np.ones((1, 1, 4, 4)), (3, 3), stride=(2, 2)).shape[2:] == (1, 1)
    assert oracle.avg_pool2d(np.ones((1, 1, 4, 4)), (3, 3), stride=(2, 2)).shape[2:] == (1, 1)
    assert oracle.max_pool2d(np.ones((1, 1, 4, 4)), (3, 3), stride=(1, 1)).shape[2:] == (2, 2)
    unsigned = np.array([0, 1], dtype=np.uint8)
    assert oracle.cross_entropy(ROWS, unsigned) == oracle.cross_entropy(ROWS, np.array([0, 1]))


def test_both_pools_may_end_with_a_window_that_sticks_out() -> None:
    row = np.arange(4.0)[np.newaxis, np.newaxis, np.newaxis]
    assert oracle.max_pool2d(row, (1, 3), stride=(1, 2), ceil_mode=True).ravel().tolist() == [2, 3]
    assert oracle.avg_pool2d(row, (1, 3), stride=(1, 2), ceil_mode=True).ravel().tolist() == [
        1,
        2.5,
    ]


def test_shares_of_slices_far_apart_do_not_underflow() -> None:
    scores = np.array([[0.0, 0.0], [-2000.0, -2000.0]])
    assert (oracle.softmax(scores, 1) == 0.5).all()
    assert (oracle.log_softmax(scores, 1) == np.log(0.5)).all()


def test_statistics_are_those_of_channels() -> None:
    x = np.arange(3.0)[:, np.newaxis, np.newaxis] + np.zeros((2, 3, 4, 5))
    x[1] += 2
    mean, variance = oracle.batch_statistics(x)
    assert (mean == [1, 2, 3]).all()
    assert (variance == [1, 1, 1]).all()


def test_an_mlpconv_layer_keeps_height_and_width_apart() -> None:
    assert oracle.mlpconv(X, [(W, np.ones(6))], stride=(2, 1), padding=(1, 0)).shape == (2, 6, 3, 5)
