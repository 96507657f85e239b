"""Our operators against the oracle, over options in which height and width always differ."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from nin_ref import oracle
from nin_ref.operators import (
    OPERATORS,
    ChannelsLastOperators,
    Operators,
    TorchOperators,
    UnfoldOperators,
)
from nin_ref.oracle import Array, Pair

IMPLEMENTATIONS: list[Operators] = [TorchOperators(), ChannelsLastOperators(), UnfoldOperators()]
ORACLE: Operators = oracle  # mypy checks here that the oracle offers the whole contract

implementations = pytest.mark.parametrize(
    "operators", IMPLEMENTATIONS, ids=lambda operators: type(operators).__name__
)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


class Options(TypedDict):
    """The options of a convolution."""

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int


CONVOLUTIONS: list[tuple[tuple[int, ...], int, Pair, Options]] = [
    # shape, filters, kernel, options
    ((2, 3, 5, 4), 6, (1, 1), Options(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)),
    ((1, 1, 6, 4), 1, (3, 2), Options(stride=(1, 1), padding=(1, 0), dilation=(1, 1), groups=1)),
    ((1, 5, 3, 4), 7, (3, 4), Options(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)),
    ((2, 3, 7, 6), 4, (3, 2), Options(stride=(2, 3), padding=(1, 0), dilation=(2, 1), groups=1)),
    ((1, 4, 6, 8), 6, (2, 3), Options(stride=(3, 1), padding=(2, 3), dilation=(1, 3), groups=2)),
    ((2, 6, 5, 7), 3, (3, 1), Options(stride=(1, 2), padding=(0, 2), dilation=(1, 2), groups=3)),
    ((3, 4, 9, 5), 8, (3, 3), Options(stride=(2, 1), padding=(2, 1), dilation=(2, 1), groups=4)),
    ((1, 2, 1, 8), 3, (1, 5), Options(stride=(2, 2), padding=(0, 1), dilation=(3, 1), groups=1)),
]

POOLS: list[tuple[tuple[int, ...], Pair, Pair, Pair]] = [
    # shape, kernel, stride, padding
    ((2, 3, 6, 5), (3, 2), (2, 1), (0, 0)),
    ((1, 2, 7, 8), (3, 4), (2, 3), (1, 2)),
    ((1, 2, 8, 6), (3, 2), (2, 3), (1, 0)),
    ((2, 1, 5, 8), (2, 3), (2, 2), (1, 1)),
    ((1, 1, 4, 3), (2, 2), (3, 2), (1, 1)),
    ((1, 3, 2, 9), (2, 5), (4, 3), (0, 2)),
]


def integers(seed: int, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> Array:
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


def assert_same(actual: Array, expected: Array, *, exact: bool) -> None:
    """Compare values, type, shape and layout; a hundred roundings are allowed unless exact."""
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.flags["C_CONTIGUOUS"]
    tolerance = 0 if exact else 100 * np.finfo(expected.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@implementations
@dtypes
@pytest.mark.parametrize(("shape", "filters", "kernel", "options"), CONVOLUTIONS)
def test_convolution_and_its_gradients(
    operators: Operators,
    dtype: type[np.floating[Any]],
    shape: tuple[int, ...],
    filters: int,
    kernel: Pair,
    options: Options,
) -> None:
    x, bias = integers(1, shape, dtype), integers(3, (filters,), dtype)
    weight = integers(2, (filters, shape[1] // options["groups"], *kernel), dtype)
    exact = dtype == np.float64
    expected = oracle.conv2d(x, weight, bias, **options)
    assert_same(operators.conv2d(x, weight, bias, **options), expected, exact=exact)
    assert_same(operators.conv2d(x, weight, **options), expected - bias[:, None, None], exact=exact)
    pulled = integers(4, expected.shape, dtype)
    for actual, gradient in zip(
        operators.conv2d_gradients(x, weight, pulled, **options),
        oracle.conv2d_gradients(x, weight, pulled, **options),
        strict=True,
    ):
        assert_same(actual, gradient, exact=exact)


@implementations
@dtypes
@pytest.mark.parametrize("offset_groups", [1, "in_channels"])
@pytest.mark.parametrize(("shape", "filters", "kernel", "options"), CONVOLUTIONS)
def test_deformable_convolution(
    operators: Operators,
    dtype: type[np.floating[Any]],
    shape: tuple[int, ...],
    filters: int,
    kernel: Pair,
    options: Options,
    offset_groups: int | str,
) -> None:
    stride, padding, dilation = options["stride"], options["padding"], options["dilation"]
    x, weight = integers(1, shape, dtype), integers(2, (filters, shape[1], *kernel), dtype)
    bias = integers(3, (filters,), dtype)
    groups = shape[1] if offset_groups == "in_channels" else 1
    extents = map(oracle.output_size, shape[2:], kernel, stride, padding, dilation)
    offset = integers(4, (shape[0], 2 * groups * kernel[0] * kernel[1], *extents), dtype) / 4
    for arguments in ((x, offset, weight), (x, offset, weight, bias), (x, 0 * offset, weight)):
        actual, expected = (
            candidate.deform_conv2d(*arguments, stride=stride, padding=padding, dilation=dilation)
            for candidate in (operators, ORACLE)
        )
        assert_same(actual, expected, exact=dtype == np.float64)


@pytest.mark.parametrize("where", [0.125, 100.25, -99.5])
def test_gradients_of_both_deformable_convolutions_agree(where: float) -> None:
    import torch

    x, weight = (torch.tensor(integers(seed, (2, 4, 5, 4))) for seed in (1, 2))
    offset = torch.tensor(integers(3, (2, 2 * 2 * 20, 3, 3)) / 4 + where)
    gradients = []
    for operators in (TorchOperators(), UnfoldOperators()):
        leaves = [tensor.clone().requires_grad_() for tensor in (x, offset, weight)]
        image, moved, filters = leaves
        output = operators._deform_conv2d(image, moved, filters, None, (1, 2), (1, 2), (1, 1))
        gradients.append(torch.autograd.grad((output**2).sum(), leaves))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_without_torchvision_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("torchvision", "torchvision.ops"):
        monkeypatch.setitem(sys.modules, module, None)
    x, weight = np.ones((1, 2, 3, 4)), np.ones((1, 2, 1, 1))
    with pytest.raises(
        ImportError, match=r"^torchvision is needed .*; `pip install torchvision` gets it$"
    ):
        TorchOperators().deform_conv2d(x, x, weight)
    assert_same(UnfoldOperators().deform_conv2d(x, 0 * x, weight), 2 * x[:, :1], exact=True)


@implementations
@dtypes
@pytest.mark.parametrize("leading", [(), (4,), (2, 3), (2, 3, 4)])
def test_linear_and_its_gradients(
    operators: Operators, dtype: type[np.floating[Any]], leading: tuple[int, ...]
) -> None:
    x, weight = integers(1, (*leading, 5), dtype), integers(2, (6, 5), dtype)
    bias, pulled = integers(3, (6,), dtype), integers(4, (*leading, 6), dtype)
    assert_same(operators.linear(x, weight), oracle.linear(x, weight), exact=True)
    assert_same(operators.linear(x, weight, bias), oracle.linear(x, weight, bias), exact=True)
    for actual, expected in zip(
        operators.linear_gradients(x, weight, pulled),
        oracle.linear_gradients(x, weight, pulled),
        strict=True,
    ):
        assert_same(actual, expected, exact=True)


@implementations
@dtypes
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("shape", "kernel", "stride", "padding"), POOLS)
def test_pools(
    operators: Operators,
    dtype: type[np.floating[Any]],
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
) -> None:
    x = integers(1, shape, dtype) - 20  # all negative: zero padding would win
    assert_same(
        operators.max_pool2d(x, kernel, stride=stride, padding=padding, ceil_mode=ceil_mode),
        oracle.max_pool2d(x, kernel, stride=stride, padding=padding, ceil_mode=ceil_mode),
        exact=True,
    )
    for include in (True, False):
        actual, expected = (
            candidate.avg_pool2d(
                x,
                kernel,
                stride=stride,
                padding=padding,
                ceil_mode=ceil_mode,
                count_include_pad=include,
            )
            for candidate in (operators, ORACLE)
        )
        assert_same(actual, expected, exact=False)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.data())
def test_pool_sizes_follow_one_rule(data: st.DataObject) -> None:
    """Also where the last window of ceil mode just starts, or just does not start, inside."""
    size, kernel, stride = (data.draw(st.integers(1, top)) for top in (9, 5, 6))
    padding = data.draw(st.integers(0, kernel // 2))
    ceil_mode = data.draw(st.booleans())
    x = np.arange(3.0 * size).reshape(1, 1, size, 3)
    options: dict[str, Any] = {
        "stride": (stride, 1),
        "padding": (padding, 0),
        "ceil_mode": ceil_mode,
    }
    try:
        expected = oracle.max_pool2d(x, (kernel, 1), **options)
    except ValueError:
        for operators in IMPLEMENTATIONS:
            with pytest.raises(RuntimeError):
                operators.max_pool2d(x, (kernel, 1), **options)
    else:
        average = oracle.avg_pool2d(x, (kernel, 1), **options)
        for operators in IMPLEMENTATIONS:
            assert_same(operators.max_pool2d(x, (kernel, 1), **options), expected, exact=True)
            assert_same(operators.avg_pool2d(x, (kernel, 1), **options), average, exact=False)


@implementations
@dtypes
def test_operators_without_a_window(operators: Operators, dtype: type[np.floating[Any]]) -> None:
    x = integers(1, (2, 3, 4, 5), dtype)
    mean, weight, bias = (integers(seed, (3,), dtype) for seed in (2, 3, 4))
    variance = np.abs(integers(5, (3,), dtype))
    assert_same(operators.relu(x), oracle.relu(x), exact=True)
    assert_same(operators.global_avg_pool2d(x), oracle.global_avg_pool2d(x), exact=False)
    assert_same(
        operators.batch_norm(x, mean, variance, weight, bias, eps=0.5),
        oracle.batch_norm(x, mean, variance, weight, bias, eps=0.5),
        exact=False,
    )
    dealt = integers(6, (2, 6, 4, 5), dtype)
    for groups in (1, 2, 3, 6):
        shuffled = operators.channel_shuffle(dealt, groups)
        assert_same(shuffled, oracle.channel_shuffle(dealt, groups), exact=True)
    for axis in (0, 1, 3, -1):
        assert_same(operators.softmax(x, axis), oracle.softmax(x, axis), exact=False)


@implementations
@dtypes
@pytest.mark.parametrize("target_dtype", [np.int32, np.int64])
def test_cross_entropy(
    operators: Operators, dtype: type[np.floating[Any]], target_dtype: type[np.integer[Any]]
) -> None:
    logits, target = integers(1, (4, 3), dtype), np.array([0, 2, 1, 1], target_dtype)
    assert_same(
        operators.cross_entropy(logits, target), oracle.cross_entropy(logits, target), exact=False
    )


@implementations
def test_options_left_out_are_those_of_the_oracle(operators: Operators) -> None:
    x, weight, bias = integers(1, (3, 4, 6, 8)), integers(2, (2, 4, 3, 3)), integers(3, (2,))
    assert_same(operators.conv2d(x, weight), oracle.conv2d(x, weight), exact=True)
    offset = np.zeros((3, 18, 4, 6))
    deformed = oracle.deform_conv2d(x, offset, weight, bias)
    assert_same(operators.deform_conv2d(x, offset, weight, bias), deformed, exact=True)
    for gradient, expected in zip(
        operators.conv2d_gradients(x, weight, deformed),
        oracle.conv2d_gradients(x, weight, deformed),
        strict=True,
    ):
        assert_same(gradient, expected, exact=True)
    largest = oracle.max_pool2d(x, (3, 3), stride=(2, 2))
    average = oracle.avg_pool2d(x, (3, 3), stride=(2, 2))
    assert_same(operators.max_pool2d(x, (3, 3), stride=(2, 2)), largest, exact=True)
    assert_same(operators.avg_pool2d(x, (3, 3), stride=(2, 2)), average, exact=False)


@pytest.mark.parametrize("kind", [TorchOperators, ChannelsLastOperators, UnfoldOperators])
def test_all_is_computed_on_the_device_asked_for(kind: type[TorchOperators]) -> None:
    operators, x = kind("meta"), np.ones((1, 2, 4, 5))
    weight = np.ones((3, 2, 1, 1))
    seen: set[str] = set()

    class Devices(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if getattr(function, "__name__", "") == "cpu":
                # The way out of the operator: a tensor of this device has no values to give back.
                seen.add(args[0].device.type)
                return torch.zeros(args[0].shape, dtype=args[0].dtype, device="cpu")
            return function(*args, **(kwargs or {}))

    computations: list[Callable[[], Array]] = [
        lambda: operators.conv2d(x, weight, np.ones(3)),
        lambda: operators.deform_conv2d(x, np.zeros((1, 2, 4, 5)), weight),
        lambda: operators.avg_pool2d(x, (2, 2), stride=(1, 1)),
    ]
    for compute in computations:
        seen.clear()
        with Devices():
            compute()
        assert seen == {"meta"}


@implementations
def test_a_deformable_convolution_may_read_around_a_single_pixel(operators: Operators) -> None:
    x, weight = np.full((1, 1, 1, 1), 8.0), np.ones((1, 1, 1, 1))
    offset = np.array([0.25, -0.5]).reshape(1, 2, 1, 1)
    assert operators.deform_conv2d(x, offset, weight).item() == 3


@implementations
def test_arguments_may_be_views_and_are_left_alone(operators: Operators) -> None:
    x = integers(1, (2, 3, 6, 5))
    x.flags.writeable = False
    view = x[:, ::-1, ::2].swapaxes(2, 3)
    before = x.copy()
    output = operators.relu(view)
    assert_same(output, oracle.relu(view), exact=True)
    output[...] = 7
    assert_same(
        operators.conv2d(view, np.ones((4, 3, 1, 1))),
        oracle.conv2d(view, np.ones((4, 3, 1, 1))),
        exact=True,
    )
    np.testing.assert_array_equal(x, before)


def test_channels_last_reaches_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    seen: list[bool] = []

    def spy(*tensors: object) -> torch.Tensor:
        seen.extend(
            tensor.is_contiguous(memory_format=torch.channels_last)
            for tensor in tensors
            if isinstance(tensor, torch.Tensor)
        )
        return torch.zeros(1)

    monkeypatch.setattr(torch.nn.functional, "conv2d", spy)
    for operators in (TorchOperators(), ChannelsLastOperators()):
        operators.conv2d(np.ones((2, 3, 4, 5)), np.ones((6, 3, 2, 2)))
    assert seen == [False, False, True, True]


def test_unfold_convolution_never_calls_the_one_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for name in ("conv2d", "linear", "max_pool2d", "avg_pool2d"):
        monkeypatch.delattr(torch.nn.functional, name)
    operators = UnfoldOperators()
    x, weight = np.ones((1, 2, 3, 4)), np.ones((2, 2, 1, 1))
    operators.conv2d_gradients(x, weight, operators.conv2d(x, weight))
    operators.linear_gradients(x, np.ones((5, 4)), operators.linear(x, np.ones((5, 4))))
    operators.max_pool2d(x, (2, 2), stride=(1, 1))
    operators.avg_pool2d(x, (2, 2), stride=(1, 1))


def test_cuda_computes_without_tf32() -> None:
    import torch

    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = True
        TorchOperators()
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (True, True)
        TorchOperators("cuda")  # only names the device, so this needs no GPU
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (False, False)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def test_contract_names_every_operator() -> None:
    assert OPERATORS == (
        "conv2d",
        "conv2d_gradients",
        "deform_conv2d",
        "linear",
        "linear_gradients",
        "relu",
        "max_pool2d",
        "avg_pool2d",
        "global_avg_pool2d",
        "channel_shuffle",
        "batch_norm",
        "softmax",
        "cross_entropy",
    )


@pytest.mark.parametrize("name", OPERATORS)
def test_signatures_are_those_of_the_contract(name: str) -> None:
    contract = inspect.signature(getattr(Operators, name))
    arguments = [*contract.parameters.values()][1:]
    defined = inspect.signature(getattr(oracle, name))
    assert [*defined.parameters.values()] == arguments
    assert defined.return_annotation == contract.return_annotation
    for implementation in (TorchOperators, ChannelsLastOperators, UnfoldOperators):
        assert inspect.signature(getattr(implementation, name)) == contract


def test_contract_alone_does_not_import_torch() -> None:
    code = "import sys, nin_ref.operators; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(oracle.__file__).parents[1])
