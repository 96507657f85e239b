"""The reference models against the documents: totals, shapes layer by layer, order of layers."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from nin_ref.counting import LayerRecord, layer_parameters, multiply_adds, parameter_count, trace
from nin_ref.models import (
    cifar10_nin,
    cifar100_nin,
    handwritten_nin,
    lecture_alexnet,
    lecture_nin,
    lecture_vgg11,
    lenet5,
    mlpconv,
    mlpconv_block,
    mnist_nin,
    nin_block,
    svhn_nin,
    table_nin,
)

Shape = tuple[int, ...]
Builder = Callable[[], nn.Sequential]


def on_meta(build: Builder) -> nn.Sequential:
    with torch.device("meta"):
        return build()


def shapes(model: nn.Module, *input_shape: int) -> list[Shape]:
    """Output shapes without the batch, one for each change of shape, the input first."""
    found = [input_shape]
    for record in trace(model, 1, *input_shape):
        if record.output_shape[1:] != found[-1]:
            found.append(record.output_shape[1:])
    return found


def kinds(model: nn.Module) -> list[str]:
    return [
        type(layer).__name__ for layer in model.modules() if not isinstance(layer, nn.Sequential)
    ]


def convolutions(model: nn.Module) -> list[tuple[int, int, int, int, int]]:
    found = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            assert not isinstance(layer.padding, str)
            kernel, stride, padding = (
                side for side, _ in (layer.kernel_size, layer.stride, layer.padding)
            )
            found.append((layer.in_channels, layer.out_channels, kernel, stride, padding))
    return found


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (mlpconv_block, 536_256),
        (partial(mlpconv_block, batch_norm=False), 535_104),
        (lecture_nin, 1_992_166),
        (partial(lecture_nin, in_channels=3), 2_015_398),
        (partial(lecture_nin, in_channels=3, num_classes=100), 2_346_508),
        (partial(lecture_nin, in_channels=3, num_classes=1000), 7_439_608),
        (table_nin, 7_595_176),
        (handwritten_nin, 1_107_914),
        (cifar10_nin, 966_986),
        (cifar100_nin, 984_356),
        (mnist_nin, 349_674),
        (svhn_nin, 1_986_026),
        (lenet5, 61_706),
        (lecture_alexnet, 46_764_746),
        # The arguments reach the first and the last layer only.
        (partial(lecture_alexnet, in_channels=3), 46_764_746 + 2 * 11 * 11 * 96),
        (partial(lecture_alexnet, num_classes=1000), 46_764_746 + 990 * 4097),
        (lecture_vgg11, 128_806_154),
        # As many as torchvision's, which has the same layers.
        (partial(lecture_vgg11, in_channels=3, num_classes=1000), 132_863_336),
    ],
)
def test_documented_parameter_totals(build: Builder, parameters: int) -> None:
    assert parameter_count(on_meta(build)) == parameters


IMAGES: list[tuple[Builder, Shape, int]] = [
    (lecture_nin, (1, 224, 224), 10),
    (table_nin, (3, 224, 224), 1000),
    (handwritten_nin, (3, 32, 32), 10),
    (cifar10_nin, (3, 32, 32), 10),
    (cifar100_nin, (3, 32, 32), 100),
    (mnist_nin, (1, 28, 28), 10),
    (svhn_nin, (3, 32, 32), 10),
    (lenet5, (1, 28, 28), 10),
    (lecture_alexnet, (1, 224, 224), 10),
    (lecture_vgg11, (1, 224, 224), 10),
]


@pytest.mark.parametrize(("build", "image", "classes"), IMAGES)
def test_a_batch_of_images_gives_a_score_for_each_class(
    build: Builder, image: Shape, classes: int
) -> None:
    assert trace(on_meta(build), 7, *image)[-1].output_shape == (7, classes)


@pytest.mark.parametrize("build", [handwritten_nin, cifar10_nin, mnist_nin, svhn_nin, lenet5])
def test_small_nets_run_on_real_numbers(build: Builder) -> None:
    image = next(image for builder, image, _ in IMAGES if builder is build)
    scores = build()(torch.randn(2, *image))
    assert scores.shape == (2, 10)
    assert scores.isfinite().all()


NINS: list[Builder] = [
    lecture_nin,
    table_nin,
    handwritten_nin,
    cifar10_nin,
    cifar100_nin,
    mnist_nin,
    svhn_nin,
]


@pytest.mark.parametrize("build", NINS)
def test_every_nin_stacks_one_wide_and_two_pointwise_convolutions(
    build: Builder,
) -> None:
    kernels = [kernel for _, _, kernel, _, _ in convolutions(on_meta(build))]
    assert kernels[1::3] == kernels[2::3] == [1] * (len(kernels) // 3)
    assert all(kernel > 1 for kernel in kernels[::3])


@pytest.mark.parametrize("build", NINS)
def test_relu_follows_every_convolution(build: Builder) -> None:
    layers = kinds(on_meta(build))
    assert layers.count("ReLU") == layers.count("Conv2d")
    for layer, following in pairwise(layers):
        assert (layer == "Conv2d") == (following == "ReLU")


def test_nin_block_is_three_rectified_convolutions() -> None:
    block = nin_block(3, 4, 3, stride=2, padding=1)
    x = torch.randn(2, 3, 9, 12)
    expected = x
    for layer, stride, padding in zip((0, 2, 4), (2, 1, 1), (1, 0, 0), strict=True):
        weight, bias = block[layer].weight, block[layer].bias
        assert isinstance(weight, torch.Tensor)
        assert isinstance(bias, torch.Tensor)
        expected = functional.conv2d(expected, weight, bias, stride, padding).relu()
    assert block(x).shape == (2, 4, 5, 6)
    assert torch.equal(block(x), expected)


def test_mlpconv_chains_its_widths() -> None:
    assert convolutions(mlpconv(2, (3, 4, 5), 7, stride=2, padding=3)) == [
        (2, 3, 7, 2, 3),
        (3, 4, 1, 1, 0),
        (4, 5, 1, 1, 0),
    ]


def test_mlpconv_listing_of_document_000() -> None:
    stage = ["Conv2d", "BatchNorm2d", "ReLU"]
    with_norm, without = on_meta(mlpconv_block), on_meta(partial(mlpconv_block, batch_norm=False))
    assert kinds(with_norm) == [*stage * 3, "AvgPool2d", "Dropout"]
    assert kinds(without) == [*["Conv2d", "ReLU"] * 3, "AvgPool2d", "Dropout"]
    assert list(layer_parameters(with_norm).values()) == [460_992, 384, 37_056, 384, 37_056, 384]
    assert sum(buffer.numel() for buffer in with_norm.buffers()) == 3 * (192 + 192 + 1)
    for block in (with_norm, without):
        dropout = block[-1]
        assert isinstance(dropout, nn.Dropout)
        assert dropout.p == 0.2
        for height, width in ((16, 16), (15, 8), (1, 2)):
            records = trace(block, 2, 96, height, width)
            assert {record.output_shape for record in records[:-2]} == {(2, 192, height, width)}
            halved = (2, 192, (height + 1) // 2, (width + 1) // 2)
            assert [record.output_shape for record in records[-2:]] == [halved, halved]


def test_mlpconv_listing_pads_its_average_with_zeros() -> None:
    pool = mlpconv_block(1, 1)[-2]
    ninths = (pool(torch.ones(1, 1, 4, 4)) * 9).round()
    assert ninths.tolist() == [[[[4, 6], [6, 9]]]]


def test_mlpconv_listing_takes_other_widths() -> None:
    assert mlpconv_block(2, 5)(torch.randn(3, 2, 7, 8)).shape == (3, 5, 4, 4)


def test_lecture_nin_shrinks_as_the_lecture_says() -> None:
    assert shapes(on_meta(lecture_nin), 1, 224, 224) == [
        (1, 224, 224),
        (96, 54, 54),
        (96, 26, 26),
        (256, 26, 26),
        (256, 12, 12),
        (384, 12, 12),
        (384, 5, 5),
        (10, 5, 5),
        (10, 1, 1),
        (10,),
    ]


def test_lecture_nin_alternates_blocks_and_pools() -> None:
    model = on_meta(lecture_nin)
    block = ["Conv2d", "ReLU"] * 3
    pooled = [*block, "MaxPool2d"]
    assert kinds(model) == [*pooled * 3, "Dropout", *block, "AdaptiveAvgPool2d", "Flatten"]
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.5]


def test_lecture_nin_needs_67_pixels() -> None:
    model = on_meta(lecture_nin)
    assert trace(model, 1, 1, 67, 67)[-1].output_shape == (1, 10)
    with pytest.raises(RuntimeError, match="too small"):
        trace(model, 1, 1, 66, 66)


# Lines 43 to 57 of document 004: side and channels before and after; parameters as computed.
TABLE = {
    "c1": (224, 3, 55, 96, (11 * 11 * 3 + 1) * 96),
    "cccp1": (55, 96, 55, 96, 9_312),
    "cccp2": (55, 96, 55, 96, 9_312),
    "s1": (55, 96, 27, 96, 0),
    "c2": (27, 96, 27, 256, (5 * 5 * 96 + 1) * 256),
    "cccp3": (27, 256, 27, 256, 65_792),
    "cccp4": (27, 256, 27, 256, 65_792),
    "s2": (27, 256, 13, 256, 0),
    "c3": (13, 256, 13, 384, (3 * 3 * 256 + 1) * 384),
    "cccp5": (13, 384, 13, 384, 147_840),
    "cccp6": (13, 384, 13, 384, 147_840),
    "s3": (13, 384, 6, 384, 0),
    "c4": (6, 384, 6, 1024, (3 * 3 * 384 + 1) * 1024),
    "cccp7": (6, 1024, 6, 1024, 1_049_600),
    "cccp8": (6, 1024, 6, 1000, 1_025_000),
}


def test_table_nin_has_the_rows_of_the_table() -> None:
    model = on_meta(table_nin)
    rows = {
        record.name: record
        for record in trace(model, 1, 3, 224, 224)
        if record.kind in {"Conv2d", "MaxPool2d"}
    }

    def numbers(record: LayerRecord) -> tuple[int, int, int, int, int]:
        (_, before, height, width), (_, after, out_height, out_width) = (
            record.input_shape,
            record.output_shape,
        )
        assert (height, out_height) == (width, out_width)
        return height, before, out_height, after, record.parameters

    assert {name: numbers(record) for name, record in rows.items()} == TABLE
    assert list(rows) == list(TABLE)
    assert kinds(model)[-2:] == ["AdaptiveAvgPool2d", "Flatten"]


def test_kernels_strides_and_paddings_of_the_imagenet_nets() -> None:
    def windows(build: Builder) -> list[tuple[int, int, int]]:
        found = [
            (kernel, stride, padding)
            for *_, kernel, stride, padding in convolutions(on_meta(build))
        ]
        return [window for window in found if window != (1, 1, 0)]

    later = [(5, 1, 2), (3, 1, 1), (3, 1, 1)]
    assert windows(lecture_nin) == [(11, 4, 0), *later]
    assert windows(table_nin) == [(11, 4, 2), *later]
    assert windows(lecture_alexnet) == [(11, 4, 1), *later, (3, 1, 1)]


def test_lecture_and_table_pools_overlap() -> None:
    for build in (lecture_nin, table_nin, lecture_alexnet):
        pools = [layer for layer in on_meta(build).modules() if isinstance(layer, nn.MaxPool2d)]
        assert [(pool.kernel_size, pool.stride, pool.ceil_mode) for pool in pools] == [
            (3, 2, False)
        ] * 3


def test_handwritten_nin_has_the_layers_of_the_listing() -> None:
    model = on_meta(handwritten_nin)
    assert convolutions(model) == [
        (3, 64, 3, 2, 1),
        (64, 64, 1, 1, 0),
        (64, 64, 1, 1, 0),
        (64, 192, 3, 1, 1),
        (192, 192, 1, 1, 0),
        (192, 192, 1, 1, 0),
        (192, 384, 3, 1, 1),
        (384, 384, 1, 1, 0),
        (384, 256, 1, 1, 0),
    ]
    rectified = ["Conv2d", "ReLU"] * 3
    pooled = [*rectified, "MaxPool2d"]
    assert kinds(model) == [*pooled * 2, *rectified, "AvgPool2d", "Flatten", "Linear"]
    assert shapes(model, 3, 32, 32) == [
        (3, 32, 32),
        (64, 16, 16),
        (64, 8, 8),
        (192, 8, 8),
        (192, 4, 4),
        (384, 4, 4),
        (256, 4, 4),
        (256, 1, 1),
        (256,),
        (10,),
    ]
    assert parameter_count(model.get_submodule("features")) == 1_105_344
    assert parameter_count(model.get_submodule("classifier")) == 2_570
    assert all(layer.inplace for layer in model.modules() if isinstance(layer, nn.ReLU))


@pytest.mark.parametrize("num_classes", [2, 100])
def test_handwritten_nin_ignores_its_argument(num_classes: int) -> None:
    assert trace(on_meta(partial(handwritten_nin, num_classes)), 1, 3, 32, 32)[-1].output_shape == (
        1,
        10,
    )


def test_handwritten_nin_takes_31_to_62_pixels() -> None:
    model = on_meta(handwritten_nin)
    for size in (31, 62):
        assert trace(model, 1, 3, size, size)[-1].output_shape == (1, 10)
    for size in (30, 63):
        with pytest.raises(RuntimeError):
            trace(model, 1, 3, size, size)


@pytest.mark.parametrize(
    ("build", "widths", "sides", "kernels", "channels"),
    [
        (cifar10_nin, (192, 160, 96, 192, 192, 192, 192, 192, 10), (32, 16, 8), (5, 5, 3), 3),
        (cifar100_nin, (192, 160, 96, 192, 192, 192, 192, 192, 100), (32, 16, 8), (5, 5, 3), 3),
        (mnist_nin, (96, 64, 48, 128, 96, 48, 128, 96, 10), (28, 14, 7), (5, 5, 5), 1),
        (svhn_nin, (128, 96, 64, 320, 256, 128, 384, 256, 10), (32, 16, 8), (5, 5, 5), 3),
    ],
)
def test_the_papers_nets(
    build: Builder,
    widths: Shape,
    sides: tuple[int, int, int],
    kernels: tuple[int, int, int],
    channels: int,
) -> None:
    model = on_meta(build)
    records = trace(model, 1, channels, sides[0], sides[0])
    assert [record.output_shape[1:] for record in records if record.kind == "Conv2d"] == [
        (width, sides[layer // 3], sides[layer // 3]) for layer, width in enumerate(widths)
    ]
    assert [kernel for _, _, kernel, _, _ in convolutions(model)] == [
        kernel for wide in kernels for kernel in (wide, 1, 1)
    ]
    rectified = ["Conv2d", "ReLU"] * 3
    dropped = [*rectified, "MaxPool2d", "Dropout"]
    assert kinds(model) == [*dropped * 2, *rectified, "AdaptiveAvgPool2d", "Flatten"]
    for layer in model.modules():
        if isinstance(layer, nn.MaxPool2d):
            assert (layer.kernel_size, layer.stride, layer.ceil_mode) == (3, 2, True)
        if isinstance(layer, nn.Dropout):
            assert layer.p == 0.5


def test_shapes_of_the_classic_nets() -> None:
    assert shapes(on_meta(lenet5), 1, 28, 28) == [
        (1, 28, 28),
        (6, 28, 28),
        (6, 14, 14),
        (16, 10, 10),
        (16, 5, 5),
        (400,),
        (120,),
        (84,),
        (10,),
    ]
    assert shapes(on_meta(lecture_alexnet), 1, 224, 224) == [
        (1, 224, 224),
        (96, 54, 54),
        (96, 26, 26),
        (256, 26, 26),
        (256, 12, 12),
        (384, 12, 12),
        (256, 12, 12),
        (256, 5, 5),
        (6400,),
        (4096,),
        (10,),
    ]
    assert shapes(on_meta(lecture_vgg11), 1, 224, 224) == [
        (1, 224, 224),
        (64, 224, 224),
        (64, 112, 112),
        (128, 112, 112),
        (128, 56, 56),
        (256, 56, 56),
        (256, 28, 28),
        (512, 28, 28),
        (512, 14, 14),
        (512, 7, 7),
        (25088,),
        (4096,),
        (10,),
    ]


def test_layers_of_the_classic_nets() -> None:
    squashed = ["Conv2d", "Sigmoid", "AvgPool2d"]
    assert kinds(on_meta(lenet5)) == [
        *squashed * 2,
        "Flatten",
        *["Linear", "Sigmoid"] * 2,
        "Linear",
    ]
    rectified = ["Conv2d", "ReLU"]
    pooled = [*rectified, "MaxPool2d"]
    head = ["Flatten", *["Linear", "ReLU", "Dropout"] * 2, "Linear"]
    assert kinds(on_meta(lecture_alexnet)) == [*pooled * 2, *rectified * 2, *pooled, *head]
    double = [*rectified, *pooled]
    assert kinds(on_meta(lecture_vgg11)) == [*pooled * 2, *double * 3, *head]
    for build in (lecture_alexnet, lecture_vgg11):
        model = on_meta(build)
        assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.5] * 2


@pytest.mark.parametrize(
    ("build", "image", "expected"),
    [
        (handwritten_nin, (3, 32, 32), 28_887_552),
        (cifar10_nin, (3, 32, 32), 222_486_528),
        (lenet5, (1, 28, 28), 416_520),
    ],
)
def test_documented_multiply_adds(build: Builder, image: Shape, expected: int) -> None:
    assert multiply_adds(on_meta(build), 1, *image) == expected


def test_an_mlpconv_layer_slides_by_one_over_an_image_without_padding() -> None:
    assert shapes(mlpconv(2, (3, 4, 6), 3), 2, 5, 7)[-1] == (6, 3, 5)
    assert shapes(nin_block(2, 6, 3), 2, 5, 7)[-1] == (6, 3, 5)
