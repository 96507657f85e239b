"""Closed forms against real layers and proofs; counts on models against independent counts."""

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import sympy
import torch
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nin_ref.counting import (
    LayerRecord,
    activation_count,
    conv2d_multiply_adds,
    conv2d_output_size,
    conv2d_parameters,
    gradient_support,
    layer_parameters,
    linear_parameters,
    multiply_adds,
    nin_block_parameters,
    parameter_count,
    receptive_field,
    receptive_field_of,
    trace,
)
from nin_ref.models import (
    cifar10_nin,
    handwritten_nin,
    lecture_alexnet,
    lecture_nin,
    lecture_vgg11,
    lenet5,
    mlpconv_block,
    nin_block,
    table_nin,
)

Builder = Callable[[], nn.Sequential]


def on_meta(build: Builder) -> nn.Sequential:
    with torch.device("meta"):
        return build()


# Closed forms.


def test_output_size_is_that_of_convolutions_and_of_pools_that_round_down() -> None:
    for kernel, stride, padding, dilation in itertools.product(
        (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2)
    ):
        # The height and the width differ by two, so that swapped axes would show.
        height = dilation * (kernel - 1) + 3
        image = torch.empty(1, 1, height, height + 2, device="meta")
        expected = tuple(
            conv2d_output_size(size, kernel, stride, padding, dilation)
            for size in (height, height + 2)
        )
        convolution = nn.Conv2d(1, 1, kernel, stride, padding, dilation, device="meta")
        assert convolution(image).shape[2:] == expected
        if padding <= kernel // 2:
            assert nn.MaxPool2d(kernel, stride, padding, dilation)(image).shape[2:] == expected


def test_output_size_defaults_to_a_plain_convolution() -> None:
    assert conv2d_output_size(7, 3) == 5


def test_output_size_of_documented_layers() -> None:
    assert [conv2d_output_size(224, 11, 4, padding) for padding in range(4)] == [54, 54, 55, 55]
    assert [conv2d_output_size(size, 3, 2) for size in (55, 27, 13)] == [27, 13, 6]


def test_conv2d_parameters_are_those_of_the_layer() -> None:
    kernels = [(height, width) for height in (1, 2, 5) for width in (1, 2, 5)]
    for kernel, groups, bias in itertools.product(kernels, (1, 2, 3, 6), (False, True)):
        for in_channels, out_channels in ((6, 12), (12, 6)):
            layer = nn.Conv2d(
                in_channels, out_channels, kernel, groups=groups, bias=bias, device="meta"
            )
            counted = conv2d_parameters(
                in_channels, out_channels, *kernel, groups=groups, bias=bias
            )
            assert counted == parameter_count(layer)
    assert conv2d_parameters(3, 96, 11, 11) == 34_944


def test_linear_parameters_are_those_of_the_layer() -> None:
    for in_features, out_features, bias in itertools.product((1, 3, 7), (1, 2, 5), (False, True)):
        layer = nn.Linear(in_features, out_features, bias=bias, device="meta")
        assert linear_parameters(in_features, out_features, bias=bias) == parameter_count(layer)
    assert linear_parameters(16 * 5 * 5, 120) == 48_120


def test_nin_block_parameters_are_those_of_the_block() -> None:
    for in_channels, out_channels, kernel_size in itertools.product((1, 3), (2, 5), (1, 3, 11)):
        block = nin_block(in_channels, out_channels, kernel_size)
        counted = nin_block_parameters(in_channels, out_channels, kernel_size)
        assert counted == parameter_count(block)


def test_multiply_adds_are_what_a_convolution_of_ones_adds_up() -> None:
    # Every product is one, so the sum over the output counts them. Circular padding pads with ones.
    for kernel, stride, groups in itertools.product(
        ((1, 1), (3, 2), (2, 5)), ((1, 1), (2, 3)), (1, 2, 4)
    ):
        layer = nn.Conv2d(
            4, 8, kernel, stride, 1, groups=groups, bias=False, padding_mode="circular"
        )
        assert layer.weight.requires_grad
        with torch.no_grad():
            layer.weight.fill_(1)
            ones = layer(torch.ones(1, 4, 6, 9))
        closed_form = conv2d_multiply_adds(4, 8, *kernel, *ones.shape[2:], groups=groups)
        assert closed_form == int(ones.sum())
        assert multiply_adds(layer, 1, 4, 6, 9) == int(ones.sum())
        assert multiply_adds(layer, 3, 4, 6, 9) == 3 * int(ones.sum())


def test_closed_forms_take_sympy_integers() -> None:
    channels, classes, size, padding, kernel = sympy.symbols(
        "c q n p k", positive=True, integer=True
    )
    assert conv2d_output_size(size, 2 * padding + 1, 1, padding) == size
    assert conv2d_output_size(2 * size, 3, 2) == size - 1
    assert sympy.expand(nin_block_parameters(384, classes, 3)) == 2 * classes**2 + 3459 * classes
    assert sympy.expand(conv2d_parameters(channels, classes, kernel, kernel, bias=False)) == (
        channels * classes * kernel**2
    )
    assert conv2d_parameters(channels, channels, 3, 3, groups=channels) == 10 * channels
    assert sympy.expand(linear_parameters(channels * size**2, classes)) == sympy.expand(
        channels * classes * size**2 + classes
    )
    assert (
        sympy.expand(
            conv2d_multiply_adds(channels, classes, 3, 3, size, size)
            - 9 * conv2d_multiply_adds(channels, classes, 1, 1, size, size)
        )
        == 0
    )
    assert conv2d_multiply_adds(channels, classes, 1, 1, 1, 1) == channels * classes
    assert receptive_field([(kernel, 2, 1), (3, 1, padding)]) == (kernel + 4 * padding, 2)


def test_closed_forms_take_z3_integers() -> None:
    size, stride, classes = z3.Ints("n s q")

    def proved(statement: z3.BoolRef) -> bool:
        solver = z3.Solver()
        solver.add(size >= 1, z3.Not(statement))
        return bool(solver.check() == z3.unsat)

    assert proved(conv2d_output_size(size, 3, 1, 1) == size)
    # Rounding down shows below the kernel, where the numerator is negative.
    assert proved(z3.Implies(size < 3, conv2d_output_size(size, 3, 2) == 0))
    assert proved(2 * conv2d_output_size(size, 3, 2, 1) - size <= 1)
    assert not proved(2 * conv2d_output_size(size, 3, 2, 1) == size)
    assert proved(nin_block_parameters(384, classes, 3) == 2 * classes * classes + 3459 * classes)
    assert proved(conv2d_parameters(6, classes, 3, 5, groups=2) == 46 * classes)
    assert proved(receptive_field([(3, stride, 1), (3, 1, 1)])[0] == 3 + 2 * stride)


def test_receptive_fields_of_documented_stacks() -> None:
    assert receptive_field([]) == (1, 1)
    assert receptive_field([(3, 1, 1)] * 3) == (7, 1)
    assert receptive_field([(3, 1, 1), (3, 1, 2), (3, 1, 4)]) == (15, 1)
    alexnet = [(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)]
    fields = [
        receptive_field((kernel, stride, 1) for kernel, stride in alexnet[:depth])
        for depth in range(1, 9)
    ]
    assert [size for size, _ in fields] == [11, 19, 51, 67, 99, 131, 163, 195]
    assert fields[-1] == (195, 32)


# Receptive fields of models.


def field(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """First row, first column, height and width of the smallest box around the mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], columns[0], int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def assert_fields_agree(
    model: nn.Sequential, input_shape: tuple[int, ...], position: tuple[int, int]
) -> None:
    """Compare the recursion with the gradients of two diagonal neighbours, away from the border."""
    size, jump = receptive_field_of(model)
    row, column = position
    top, left, height, width = field(gradient_support(model, input_shape, output_position=position))
    assert (height, width) == (size, size)
    neighbour = gradient_support(model, input_shape, output_position=(row + 1, column + 1))
    assert field(neighbour) == (top + jump, left + jump, size, size)


@given(
    layers=st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3
    ),
    pooled=st.booleans(),
)
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_recursion_and_gradients_agree_on_drawn_chains(
    layers: list[tuple[int, int, int]], pooled: bool
) -> None:
    chain = nn.Sequential(
        *(nn.Conv2d(1, 1, kernel, stride, dilation=dilation) for kernel, stride, dilation in layers)
    )
    windows = list(layers)
    if pooled:
        chain.append(nn.MaxPool2d(3, 2))
        windows.append((3, 2, 1))
    size, jump = receptive_field(windows)
    assert receptive_field_of(chain) == (size, jump)
    assert_fields_agree(chain, (1, 1, size + jump, size + 2 * jump), (0, 1))


@pytest.mark.parametrize(
    ("build", "depth", "input_shape", "position", "expected"),
    [
        (cifar10_nin, 7, (1, 3, 48, 56), (5, 6), (27, 4)),
        (table_nin, -2, (1, 3, 288, 320), (3, 4), (195, 32)),
        (lecture_nin, -2, (1, 1, 292, 324), (3, 4), (195, 32)),
        (lecture_alexnet, 13, (1, 1, 260, 292), (3, 4), (195, 32)),
        (lenet5, 6, (1, 1, 28, 32), (1, 2), (16, 4)),
        (lecture_vgg11, 21, (1, 1, 224, 256), (2, 3), (150, 32)),
    ],
)
def test_recursion_and_gradients_agree_on_real_models(
    build: Builder,
    depth: int,
    input_shape: tuple[int, ...],
    position: tuple[int, int],
    expected: tuple[int, int],
) -> None:
    maps = on_meta(build)[:depth]
    assert receptive_field_of(maps) == expected
    assert_fields_agree(maps, input_shape, position)


def test_handwritten_nin_sees_33_pixels_from_each_of_its_last_maps() -> None:
    features = on_meta(handwritten_nin).get_submodule("features")
    assert isinstance(features, nn.Sequential)
    assert receptive_field_of(features) == (57, 32)
    assert receptive_field_of(features[:-1]) == (33, 8)
    assert_fields_agree(features[:-1], (1, 3, 72, 80), (4, 5))


def test_a_layer_used_twice_widens_the_field_twice() -> None:
    pool = nn.MaxPool2d(2)
    chain = nn.Sequential(pool, nn.Conv2d(1, 1, 1), pool)
    assert receptive_field_of(chain) == (4, 4)
    assert gradient_support(chain, (1, 1, 4, 4), output_position=(0, 0)).all()
    assert_fields_agree(chain, (1, 1, 8, 12), (0, 1))


@pytest.mark.parametrize(
    "layer", [nn.Linear(4, 2), nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)]
)
def test_fields_end_at_layers_that_see_everything(layer: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"\(.*\) sees its whole input"):
        receptive_field_of(nn.Sequential(nn.Conv2d(1, 1, 3), layer))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(1, 1, (3, 5)),
        nn.Conv2d(1, 1, 3, stride=(1, 2)),
        nn.Conv2d(1, 1, 3, dilation=(1, 2)),
    ],
)
def test_one_number_cannot_tell_a_field_that_is_not_square(layer: nn.Module) -> None:
    with pytest.raises(ValueError, match="height and width must agree"):
        receptive_field_of(nn.Sequential(layer))


def test_gradient_support_shows_the_gaps_of_a_dilated_kernel() -> None:
    mask = gradient_support(nn.Conv2d(2, 3, 2, dilation=3), (1, 2, 5, 6), output_position=(1, 0))
    assert np.argwhere(mask).tolist() == [[1, 0], [1, 3], [4, 0], [4, 3]]


def test_gradient_support_tells_rows_from_columns() -> None:
    mask = gradient_support(nn.Conv2d(1, 1, (1, 3)), (2, 1, 4, 7), output_position=(3, 2))
    assert mask.dtype == np.bool_
    assert mask.shape == (4, 7)
    assert np.argwhere(mask).tolist() == [[3, 2], [3, 3], [3, 4]]


def test_gradient_support_is_cut_at_the_border() -> None:
    mask = gradient_support(nn.Conv2d(1, 1, 5, padding=2), (1, 1, 6, 6), output_position=(0, 5))
    assert field(mask) == (0, 3, 3, 3)


def test_nothing_hides_from_gradient_support() -> None:
    hiding = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Dropout(0.99),
        nn.Conv2d(4, 1, 1),
        nn.Sigmoid(),
    )
    for tensor in itertools.chain(hiding.parameters(), hiding.buffers()):
        tensor.data.fill_(-1)
    before = {name: value.clone() for name, value in hiding.state_dict().items()}
    mask = gradient_support(hiding, (1, 1, 8, 8), output_position=(1, 1))
    assert field(mask) == (2, 2, 4, 4)
    assert mask[2:6, 2:6].all()
    assert hiding.training
    assert all(torch.equal(value, before[name]) for name, value in hiding.state_dict().items())
    assert all(parameter.requires_grad for parameter in hiding.parameters())
    assert isinstance(hiding[3], nn.MaxPool2d)


@pytest.mark.parametrize(("ceil_mode", "last"), [(True, 2), (False, 1)])
def test_gradient_support_keeps_the_geometry_of_max_pools(ceil_mode: bool, last: int) -> None:
    pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=ceil_mode)
    # 4 pixels: windows start at -1, 1 and, rounding up, at 3.
    mask = gradient_support(pool, (1, 1, 4, 4), output_position=(0, last))
    assert field(mask) == ((0, 3, 2, 1) if ceil_mode else (0, 1, 2, 3))
    with pytest.raises(ValueError, match="output_position"):
        gradient_support(pool, (1, 1, 4, 4), output_position=(0, last + 1))


def test_nothing_saturates_after_many_layers() -> None:
    layers = [layer for _ in range(30) for layer in (nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))]
    assert gradient_support(nn.Sequential(*layers, nn.Tanh()), (1, 1, 1, 1), output_position=(0, 0))


def test_saturating_activations_do_not_hide_the_end_of_lenet() -> None:
    mask = gradient_support(lenet5(), (1, 1, 28, 28), output_position=(9,))
    assert mask.all()


@pytest.mark.parametrize("position", [(3, 0), (0, 4), (-1, 0), (0,), (0, 0, 0)])
def test_gradient_support_refuses_positions_outside_the_output(position: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"lie within the output's \(3, 4\)"):
        gradient_support(nn.Conv2d(1, 2, 3), (1, 1, 5, 6), output_position=position)


@pytest.mark.parametrize("input_shape", [(3, 5, 5), (1, 1, 0, 5)])
def test_gradient_support_refuses_what_is_no_image_batch(input_shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        gradient_support(nn.Conv2d(1, 1, 3), input_shape, output_position=(0, 0))


def test_gradient_support_refuses_a_dilated_max_pool() -> None:
    with pytest.raises(ValueError, match="no average counterpart"):
        gradient_support(nn.MaxPool2d(2, dilation=2), (1, 1, 5, 5), output_position=(0, 0))


# Counts of models.


def test_layer_parameters_name_the_layers_that_have_any() -> None:
    assert layer_parameters(on_meta(lenet5)) == {
        "0": 156,
        "3": 2_416,
        "7": 48_120,
        "9": 10_164,
        "11": 850,
    }
    assert layer_parameters(nn.Linear(2, 3)) == {"": 9}


def test_frozen_parameters_and_buffers_do_not_count() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    model[0].requires_grad_(requires_grad=False)
    assert layer_parameters(model) == {"1": 6}
    assert parameter_count(model) == 6


def test_shared_parameters_count_once() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    model = nn.Sequential(first, second, first)
    assert layer_parameters(model) == {"0": 20, "1": 4}
    assert parameter_count(model) == 24
    records = trace(model, 1, 4)
    assert [(record.name, record.parameters) for record in records] == [
        ("0", 20),
        ("1", 4),
        ("0", 20),
    ]


def test_trace_records_each_layer() -> None:
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 6, (3, 1), groups=2), nn.BatchNorm2d(6)),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 5),
    )
    assert trace(model, 3, 2, 6, 7) == [
        LayerRecord("0.0", "Conv2d", (3, 2, 6, 7), (3, 6, 4, 7), 24, 3 * 4 * 7 * 6 * 3),
        LayerRecord("0.1", "BatchNorm2d", (3, 6, 4, 7), (3, 6, 4, 7), 12, 0),
        LayerRecord("1", "MaxPool2d", (3, 6, 4, 7), (3, 6, 2, 3), 0, 0),
        LayerRecord("2", "Flatten", (3, 6, 2, 3), (3, 36), 0, 0),
        LayerRecord("3", "Linear", (3, 36), (3, 5), 185, 3 * 36 * 5),
    ]
    assert multiply_adds(model, 3, 2, 6, 7) == 3 * (4 * 7 * 6 * 3 + 36 * 5)
    assert multiply_adds(nn.Linear(4, 1), 2, 4) == 8
    assert activation_count(model, 3, 2, 6, 7) == 3 * (2 * 6 * 4 * 7 + 2 * 6 * 2 * 3 + 5)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_trace_leaves_the_model_as_it_was(device: str) -> None:
    model = mlpconv_block(2, 3).to(device)
    model[1].eval()
    flags = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    parameters = list(model.parameters())
    assert trace(model, 1, 2, 1, 1)  # in training mode, one value per channel is an error
    with pytest.raises(RuntimeError, match="channel"):
        trace(model, 1, 3, 4, 4)
    assert [module.training for module in model.modules()] == flags
    if device == "cpu":
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(now is then for now, then in zip(model.parameters(), parameters, strict=True))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_trace_takes_models_of_any_precision(dtype: torch.dtype) -> None:
    assert trace(nn.Conv2d(2, 3, 1).to(dtype), 5, 2, 1, 1)[0].output_shape == (5, 3, 1, 1)


def test_trace_takes_models_without_parameters() -> None:
    assert trace(nn.Sequential(nn.ReLU()), 2, 3)[0].output_shape == (2, 3)


def test_trace_gives_the_shapes_of_a_real_forward_pass() -> None:
    model = cifar10_nin()
    seen = []
    for layer in model.modules():
        if not isinstance(layer, nn.Sequential):
            layer.register_forward_hook(lambda _, x, y: seen.append((x[0].shape, y.shape)))
    with torch.no_grad():
        model(torch.zeros(2, 3, 32, 32))
    records = trace(cifar10_nin(), 2, 3, 32, 32)
    assert [(record.input_shape, record.output_shape) for record in records] == seen


@pytest.mark.parametrize("shape", [(), (1, 0, 4, 4), (1, 3, -2, 4)])
def test_trace_refuses_impossible_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"at least 1, got \("):
        trace(nn.ReLU(), *shape)


@pytest.mark.parametrize(
    ("build", "image"),
    [
        (lecture_nin, (1, 224, 224)),
        (table_nin, (3, 224, 224)),
        (handwritten_nin, (3, 32, 32)),
        (cifar10_nin, (3, 32, 32)),
        (lenet5, (1, 28, 28)),
        (lecture_alexnet, (1, 224, 224)),
        (lecture_vgg11, (1, 224, 224)),
    ],
)
def test_multiply_adds_are_half_of_pytorchs_flops(build: Builder, image: tuple[int, ...]) -> None:
    model = on_meta(build)
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(2, *image, device="meta"))
    assert 2 * multiply_adds(model, 2, *image) == counter.get_total_flops()
