"""The networks of the arms: what they cost, what each option changes, what their layers compute."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nin_ref import models
from nin_ref.counting import (
    conv2d_multiply_adds,
    conv2d_parameters,
    linear_parameters,
    multiply_adds,
    parameter_count,
    trace,
)
from nin_ref.networks import (
    NETWORKS,
    TRICKS,
    CounterDropout,
    GlobalAverage,
    GlobalMaximum,
    Inception,
    LocallyConnected2d,
    ResidualBlock,
    ResponseNormalization,
    SqueezeExcitation,
    build,
)

Options = dict[str, Any]

MNIST = {
    "in_channels": 1,
    "widths": ((96, 64, 48), (128, 96, 48), (128, 96)),
    "kernels": (5, 5, 5),
}
SVHN = {"widths": ((128, 96, 64), (320, 256, 128), (384, 256)), "kernels": (5, 5, 5)}
WEIGHTED = (nn.Conv2d, nn.Linear, LocallyConnected2d)

# All that an arm may ask for, but for sizes and wide-mlp, whose weights take most of a gigabyte.
VARIANTS: list[tuple[str, Options]] = [
    ("nin", {}),
    *[("nin", {"head": head}) for head in ("maximum", "linear", "linear-dropout")],
    *[("nin", {"one_by_ones": number}) for number in (1, 3)],
    ("nin", {"second_pool": "average", "dropout": "inverted"}),
    ("nin", {"batch_norm": True, "dropout": "inverted", "rate": 0.2}),
    ("nin", {"dropout": None}),
    ("nin", {"last_relu": False}),
    ("plain-nin", {}),
    *[("plain-cnn", {"head": head}) for head in ("linear", "linear-dropout", "mean")],
    ("handwritten", {}),
    *[("trunk", {"layer": layer}) for layer in TRICKS],
    ("residual", {"depth": 20}),
    ("residual", {"depth": 20, "skip": False}),
    ("tiny", {}),
]


def on_meta(name: str, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return build(name, **options)


def seeded(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build(name, **options)


def images(count: int = 2, channels: int = 3, side: int = 32, **kind: Any) -> Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1)).to(
        **kind
    )


def all_of(network: nn.Module, *kinds: type[nn.Module]) -> list[Any]:
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


def convolutions(network: nn.Module) -> list[tuple[int, int, int]]:
    """Inputs, outputs and kernel of each convolution."""
    found = all_of(network, nn.Conv2d)
    return [(conv.in_channels, conv.out_channels, conv.kernel_size[0]) for conv in found]


def kinds(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network.modules() if not list(layer.children())]


def stages(network: nn.Module, *shape: int) -> list[tuple[int, ...]]:
    """Output shapes without the batch, one for each change of shape."""
    found = [shape]
    for record in trace(network, 1, *shape):
        if record.output_shape[1:] != found[-1]:
            found.append(record.output_shape[1:])
    return found[1:]


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Fill the parameters and buffers of one network with those of another, in their order."""
    for one, other in zip(source.state_dict().values(), target.state_dict().values(), strict=True):
        other.copy_(one)


# Sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("nin", {}, 966_986),
        ("nin", {"classes": 100}, 984_356),
        ("nin", MNIST, 349_674),
        ("nin", SVHN, 1_986_026),
        ("nin", {"dropout": None, "second_pool": "average", "head": "maximum"}, 966_986),
        ("nin", {"head": "linear"}, 966_986 + 6_410),
        ("nin", {"head": "linear-dropout"}, 966_986 + 6_410),
        ("nin", {"batch_norm": True}, 966_986 + 2 * (192 + 160 + 96 + 5 * 192 + 10)),
        ("plain-nin", {}, 968_211),
        ("plain-cnn", {}, 76 * 64 + 2 * 1601 * 64 + 4 * 4 * 16 * 577 + 2_570),
        ("plain-cnn", {"head": "mean"}, 76 * 64 + 2 * 1601 * 64 + 4 * 4 * 10 * 577),
        ("handwritten", {}, 1_107_914),
        ("wide-mlp", {}, 3073 * 65_536 + 655_370),
        ("residual", {}, 269_722),
        ("residual", {"depth": 56}, 853_018),
        ("residual", {"depth": 56, "skip": False}, 853_018),
        ("tiny", {}, 5_590),
    ],
)
def test_parameters(name: str, options: Options, parameters: int) -> None:
    assert parameter_count(on_meta(name, **options)) == parameters


def test_without_its_last_relu_nin_is_the_same_but_for_the_sign() -> None:
    network, without = seeded("nin").eval(), seeded("nin", last_relu=False).eval()
    with torch.no_grad():
        maps, unclipped = (one.get_submodule("features")(images()) for one in (network, without))
    assert unclipped.min() < 0 < unclipped.max()
    assert torch.equal(unclipped.clamp(min=0), maps)
    assert kinds(network).count("ReLU") == kinds(without).count("ReLU") + 1 == 9


def test_multiply_adds_of_nin() -> None:
    assert round(multiply_adds(on_meta("nin"), 1, 3, 32, 32) / 1e6, 2) == 222.49


def test_plain_convolutions_match_nin_in_both_costs_as_well_as_whole_widths_can() -> None:
    def costs(second: int, third: int) -> tuple[int, int]:
        layers = [(3, 192, 5, 32), (192, second, 5, 16), (second, third, 3, 8), (third, 10, 3, 8)]
        return (
            sum(conv2d_parameters(i, o, k, k) for i, o, k, _ in layers),
            sum(conv2d_multiply_adds(i, o, k, k, side, side) for i, o, k, side in layers),
        )

    def deviation(widths: tuple[int, int]) -> float:
        return max(
            abs(ours / theirs - 1) for ours, theirs in zip(costs(*widths), nin_costs, strict=True)
        )

    nin, plain = on_meta("nin"), on_meta("plain-nin")
    nin_costs = parameter_count(nin), multiply_adds(nin, 1, 3, 32, 32)
    best = min(product(range(100, 220), range(80, 200)), key=deviation)
    assert convolutions(plain) == [
        (3, 192, 5),
        (192, best[0], 5),
        (best[0], best[1], 3),
        (best[1], 10, 3),
    ]
    assert costs(*best) == (parameter_count(plain), multiply_adds(plain, 1, 3, 32, 32))
    assert deviation(best) < 0.0013


def trunk_weights(layer: Callable[[int, int], int]) -> int:
    """Parameters of a trunk of which each layer but the first has as many as `layer` says."""
    layers = [(56, 56), (56, 112), (112, 112), (112, 224), (224, 224)]
    ends = conv2d_parameters(3, 56, 3, 3, bias=False) + 2 * 56 + linear_parameters(224, 10)
    return ends + sum(layer(i, o) for i, o in layers)


@pytest.mark.parametrize(
    ("layer", "of_layer"),
    [
        ("3x3", lambda i, o: 9 * i * o + 2 * o),
        ("5x5", lambda i, o: 25 * i * o + 2 * o),
        ("two-3x3", lambda i, o: 9 * o * (i + o) + 4 * o),
        ("depthwise-separable", lambda i, o: 9 * i + 2 * i + i * o + 2 * o),
        ("bottleneck", lambda i, o: o // 4 * (i + 9 * o // 4 + o + 4) + 2 * o),
        ("inception", lambda i, o: 9 * i * o + 2 * o),
        ("squeeze-excitation", lambda i, o: 9 * i * o + 2 * o + o // 8 * (2 * o + 1) + o),
    ],
)
def test_parameters_of_the_tricks(layer: str, of_layer: Callable[[int, int], int]) -> None:
    network = on_meta("trunk", layer=layer)
    assert parameter_count(network) == trunk_weights(of_layer)


def test_inception_costs_what_the_3x3_costs_layer_by_layer() -> None:
    plain, banks = (on_meta("trunk", layer=layer) for layer in ("3x3", "inception"))
    assert multiply_adds(banks, 1, 3, 32, 32) == multiply_adds(plain, 1, 3, 32, 32)
    of_plain, of_banks = (
        [parameter_count(layer) for layer in network.get_submodule("layers").children()]
        for network in (plain, banks)
    )
    assert of_banks == of_plain


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_of_images_gives_a_score_for_each_class(name: str) -> None:
    assert trace(on_meta(name), 7, 3, 32, 32)[-1].output_shape == (7, 10)


NIN = [(192, 32, 32), (160, 32, 32), (96, 32, 32), (96, 16, 16), (192, 16, 16), (192, 8, 8)]
PLAIN_CNN = [(64, 32, 32), (64, 16, 16), (64, 8, 8), (64, 4, 4)]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("nin", {}, [*NIN, (10, 8, 8), (10,)]),
        ("nin", {"head": "maximum"}, [*NIN, (10, 8, 8), (10,)]),
        ("nin", {"second_pool": "average"}, [*NIN, (10, 8, 8), (10,)]),
        ("nin", {"head": "linear", "classes": 100}, [*NIN, (100, 8, 8), (6400,), (100,)]),
        (
            "plain-nin",
            {},
            [
                (192, 32, 32),
                (192, 16, 16),
                (159, 16, 16),
                (159, 8, 8),
                (125, 8, 8),
                (10, 8, 8),
                (10,),
            ],
        ),
        ("plain-cnn", {}, [*PLAIN_CNN, (16, 4, 4), (256,), (10,)]),
        ("plain-cnn", {"head": "mean"}, [*PLAIN_CNN, (10, 4, 4), (10,)]),
        ("wide-mlp", {}, [(3072,), (65_536,), (10,)]),
        (
            "trunk",
            {},
            [
                (56, 32, 32),
                (56, 16, 16),
                (112, 16, 16),
                (112, 8, 8),
                (224, 8, 8),
                (224,),
                (10,),
            ],
        ),
        ("residual", {}, [(16, 32, 32), (32, 16, 16), (64, 8, 8), (64,), (10,)]),
    ],
)
def test_stages(name: str, options: Options, expected: list[tuple[int, ...]]) -> None:
    assert stages(on_meta(name, **options), 3, 32, 32) == expected


@pytest.mark.parametrize("layer", TRICKS)
def test_tricks_keep_width_and_size_and_leave_the_first_layer_alone(layer: str) -> None:
    network = on_meta("trunk", layer=layer)
    assert convolutions(network)[0] == (3, 56, 3)
    assert kinds(network.get_submodule("layer1")) == ["Conv2d", "BatchNorm2d", "ReLU"]
    layers = network.get_submodule("layers")
    assert isinstance(layers, nn.Sequential)
    maps, found = torch.empty(1, 56, 32, 32, device="meta"), []
    for one in layers:
        maps = one(maps)
        found.append(tuple(maps.shape[1:]))
    assert found == [
        (56, 32, 32),
        (56, 16, 16),
        (112, 16, 16),
        (112, 16, 16),
        (112, 8, 8),
        (224, 8, 8),
        (224, 8, 8),
    ]


# Options of NiN -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "same", "shape"),
    [
        ({}, models.cifar10_nin, (3, 32, 32)),
        ({"classes": 100}, models.cifar100_nin, (3, 32, 32)),
        (MNIST, models.mnist_nin, (1, 28, 28)),
        (SVHN, models.svhn_nin, (3, 32, 32)),
    ],
)
def test_the_papers_nets_are_those_of_models_but_for_the_dropout(
    options: Options, same: Callable[[], nn.Sequential], shape: tuple[int, int, int]
) -> None:
    ours, theirs = build("nin", dropout=None, **options).eval(), same().eval()
    copy_weights(theirs, ours)
    x = images(1, shape[0], shape[1])
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))
    with_dropout = [kind for kind in kinds(on_meta("nin", **options)) if kind != "GlobalAverage"]
    expected = [kind for kind in kinds(same()) if kind not in ("AdaptiveAvgPool2d", "Flatten")]
    assert with_dropout == [kind.replace("Dropout", "CounterDropout") for kind in expected]


@pytest.mark.parametrize(
    ("one_by_ones", "expected"),
    [
        (1, [(3, 192, 5), (192, 96, 1), (96, 192, 5), (192, 192, 1), (192, 192, 3), (192, 10, 1)]),
        (
            3,
            [
                *[(3, 192, 5), (192, 160, 1), (160, 160, 1), (160, 96, 1)],
                *[(96, 192, 5), (192, 192, 1), (192, 192, 1), (192, 192, 1)],
                *[(192, 192, 3), (192, 192, 1), (192, 192, 1), (192, 10, 1)],
            ],
        ),
    ],
)
def test_one_by_ones_are_fewer_or_more(
    one_by_ones: int, expected: list[tuple[int, int, int]]
) -> None:
    network = on_meta("nin", one_by_ones=one_by_ones)
    assert convolutions(network) == expected
    of_block = [*["Conv2d", "ReLU"] * (one_by_ones + 1)]
    between = ["MaxPool2d", "CounterDropout"]
    assert kinds(network) == [*2 * (of_block + between), *of_block, "GlobalAverage"]


def test_average_takes_the_place_of_the_second_maximum_alone() -> None:
    plain, averaging = on_meta("nin"), on_meta("nin", second_pool="average")
    expected = kinds(plain)
    assert expected.count("MaxPool2d") == 2
    second = len(expected) - expected[::-1].index("MaxPool2d") - 1
    expected[second] = "AvgPool2d"
    assert kinds(averaging) == expected
    assert convolutions(averaging) == convolutions(plain)


def test_at_the_border_the_average_is_that_of_the_pixels_within() -> None:
    (pool,) = all_of(on_meta("nin", second_pool="average"), nn.AvgPool2d)
    x = images(1, 2, 16, dtype=torch.float64)
    expected = np.array(
        [
            [
                [
                    plane[2 * row : 2 * row + 3, 2 * column : 2 * column + 3].mean()
                    for column in range(8)
                ]
                for row in range(8)
            ]
            for plane in x[0].numpy()
        ]
    )
    torch.testing.assert_close(pool(x)[0], torch.from_numpy(expected))


def test_batch_norm_stands_between_each_convolution_and_its_relu_and_changes_nothing_else() -> None:
    plain, normalised = kinds(on_meta("nin")), kinds(on_meta("nin", batch_norm=True))
    assert normalised.count("BatchNorm2d") == 9
    assert [kind for kind in normalised if kind != "BatchNorm2d"] == plain
    # The second block is that of document 000 up to the pool.
    second = on_meta("nin", batch_norm=True).get_submodule("features.3")
    listing = models.mlpconv_block()[:9]
    assert kinds(second) == kinds(listing)
    assert [p.shape for p in second.parameters()] == [p.shape for p in listing.parameters()]


@pytest.mark.parametrize("name", ["nin", "plain-nin"])
@pytest.mark.parametrize(
    ("kind", "in_training", "at_test"), [("masked", 1.0, 0.5), ("inverted", 2.0, 1.0)]
)
def test_kinds_of_dropout(name: str, kind: str, in_training: float, at_test: float) -> None:
    dropouts = all_of(on_meta(name, dropout=kind), CounterDropout)
    assert len(dropouts) == 2
    x = images(4) + 10
    for dropout in dropouts:
        dropped = dropout.train()(x)
        kept = dropped != 0
        assert 0.4 < kept.double().mean() < 0.6
        assert torch.equal(dropped, torch.where(kept, in_training * x, 0))
        assert torch.equal(dropout.eval()(x), at_test * x)


def test_the_rate_is_the_share_that_is_dropped() -> None:
    network = on_meta("nin", rate=0.2, head="linear-dropout")
    dropouts = all_of(network, CounterDropout)
    assert len(dropouts) == 3
    for dropout in dropouts:
        assert 0.15 < (dropout(images(8) + 10) == 0).double().mean() < 0.25


@pytest.mark.parametrize("name", ["nin", "plain-nin"])
def test_without_dropout_only_the_dropout_is_gone(name: str) -> None:
    expected = [kind for kind in kinds(on_meta(name)) if kind != "CounterDropout"]
    assert kinds(on_meta(name, dropout=None)) == expected


def test_dropout_follows_the_pools_and_nothing_else_does() -> None:
    for name in ("nin", "plain-nin"):
        found = kinds(on_meta(name))
        after = [found[at - 1] for at, kind in enumerate(found) if kind == "CounterDropout"]
        assert after == ["MaxPool2d", "MaxPool2d"]


# Dropout ------------------------------------------------------------------------------------------


def keyed(first: int, second: int, *, rate: float = 0.5) -> CounterDropout:
    dropout = CounterDropout(rate, inverted=False)
    dropout.key = torch.tensor([first, second], dtype=torch.int32)
    return dropout


def kept(first: int, second: int, *, rate: float = 0.5, count: int = 2**20) -> Tensor:
    return keyed(first, second, rate=rate).mask(torch.empty(1, count))[0]


@pytest.mark.parametrize("rate", [0, 0.2, 0.5])
def test_the_mask_is_the_published_hash_of_key_and_place(rate: float) -> None:
    def hashed(x: Any) -> Any:
        x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
        x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
        return x ^ (x >> 16)

    # An odd number of elements, of which most lie where a vectorised loop does not reach.
    x = torch.empty(3, 5, 7, 1)
    places = np.arange(x.numel(), dtype=np.uint64)
    words = hashed((hashed((places // 2 + 2**32 - 7) % 2**32) + 123_456_789) % 2**32)
    halves = (words >> (16 * (places % 2)) & 0xFFFF).astype(np.int64)
    above = (halves + 2**15) % 2**16 >= round(rate * 2**16)  # the top bit is a sign
    expected = torch.from_numpy(above.reshape(3, 7, 1, 5).transpose(0, 3, 1, 2))
    assert torch.equal(keyed(-7, 123_456_789, rate=rate).mask(x), expected)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_the_mask_drops_its_share(rate: float) -> None:
    mask = kept(2, 3, rate=rate)
    bound = 6.1 * (rate * (1 - rate) / len(mask)) ** 0.5  # chance goes beyond in 1e-9
    assert abs(mask.double().mean() - (1 - rate)) < bound


def test_a_rate_of_zero_drops_not_one_in_a_million() -> None:
    assert kept(2, 3, rate=0).all()


LAGS = (1, 2, 3, 8, 32, 96, 192, 96 * 16, 96 * 256, 192 * 64)


@pytest.mark.parametrize(
    ("key", "lags"),
    [
        ((5, 9), LAGS),  # within one mask: neighbours, channels, columns, rows, images
        *[((5 + step, 9 + step), (0, *LAGS)) for step in (1, 2, 3)],  # other layers
        ((5, 10), (0, *LAGS)),
        ((9, 5), (0, *LAGS)),
    ],
)
def test_masks_are_as_independent_as_chance(key: tuple[int, int], lags: tuple[int, ...]) -> None:
    one, other = kept(5, 9), kept(*key)
    for ahead, behind in ((one, other), (other, one)):
        for lag in lags:
            agree = ahead[lag:] == behind[: len(behind) - lag]
            bound = 6.1 * 0.5 / len(agree) ** 0.5
            assert abs(agree.double().mean() - 0.5) < bound, lag


def test_the_mask_depends_on_neither_layout_nor_precision() -> None:
    dropout = keyed(1, 2)
    x = images(2, 6, 5)
    expected = dropout(x) != 0
    assert torch.equal(dropout(x.to(memory_format=torch.channels_last)) != 0, expected)
    assert torch.equal(dropout(x.bfloat16()) != 0, expected)
    # A vector [N, C] is an image of one place.
    assert torch.equal(dropout.mask(x[:, :, 0, 0]), dropout.mask(x[:, :, :1, :1])[:, :, 0, 0])
    assert dropout(x.to(memory_format=torch.channels_last)).is_contiguous(
        memory_format=torch.channels_last
    )


def test_without_a_key_each_mask_is_drawn_from_the_default_generator() -> None:
    dropout, x = CounterDropout(0.5, inverted=False), images()
    torch.manual_seed(3)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(3)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(second, first)


@pytest.mark.parametrize(("inverted", "scale"), [(False, 1.0), (True, 1.25)])
def test_the_gradient_passes_where_elements_were_kept(inverted: bool, scale: float) -> None:
    dropout = CounterDropout(0.2, inverted=inverted)
    dropout.key = torch.tensor([4, 5], dtype=torch.int32)
    x = images(dtype=torch.float64).requires_grad_()
    dropped = dropout(x)
    dropped.backward(torch.ones_like(x))
    assert x.grad is not None
    torch.testing.assert_close(dropped, scale * dropout.mask(x) * x)
    torch.testing.assert_close(x.grad, scale * dropout.mask(x).double())
    torch.testing.assert_close(dropout.eval()(x), x if inverted else 0.8 * x)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_that_is_no_share_is_named(rate: float) -> None:
    with pytest.raises(ValueError, match=rf"rate must be in \[0, 1\), got {rate}"):
        CounterDropout(rate, inverted=True)


# Heads --------------------------------------------------------------------------------------------


def test_heads_by_hand() -> None:
    maps = images(3, 10, 8, dtype=torch.float64)
    by_hand = maps.numpy().reshape(3, 10, 64)
    for head, expected in {"mean": by_hand.mean(2), "maximum": by_hand.max(2)}.items():
        scores = on_meta("nin", head=head).get_submodule("head")(maps)
        torch.testing.assert_close(scores, torch.from_numpy(expected))


@pytest.mark.parametrize(
    ("name", "options", "area"), [("nin", {}, 64), ("plain-cnn", {"head": "mean"}, 16)]
)
def test_a_linear_head_with_equal_weights_on_its_own_map_is_the_mean(
    name: str, options: Options, area: int
) -> None:
    network = seeded(name, **options).eval()
    maps = network.get_submodule("features")(images())
    linear = nn.Linear(10 * area, 10)
    linear.weight.data = torch.eye(10).repeat_interleave(area, 1) / area
    linear.bias.data.zero_()
    if name == "nin":
        head = seeded(name, head="linear").get_submodule("head")
        (inside,) = all_of(head, nn.Linear)
        inside.load_state_dict(linear.state_dict())
    else:
        head = nn.Sequential(nn.Flatten(), linear)
    torch.testing.assert_close(head(maps), network(images()))


@pytest.mark.parametrize(("name", "features"), [("nin", 640), ("plain-cnn", 256)])
def test_dropout_in_the_head_stands_before_its_linear_layer_alone(name: str, features: int) -> None:
    linear, dropout = (on_meta(name, head=head) for head in ("linear", "linear-dropout"))
    assert kinds(linear.get_submodule("head")) == ["Flatten", "Linear"]
    assert kinds(dropout.get_submodule("head")) == ["Flatten", "CounterDropout", "Linear"]
    for network in (linear, dropout):
        (layer,) = all_of(network.get_submodule("head"), nn.Linear)
        assert (layer.in_features, layer.out_features) == (features, 10)
    assert kinds(linear.get_submodule("features")) == kinds(dropout.get_submodule("features"))
    (original,) = all_of(dropout.get_submodule("head"), CounterDropout)
    ones = torch.ones(8, features)
    assert set(original.train()(ones).unique().tolist()) == {0.0, 1.0}
    assert original.eval()(ones).unique().tolist() == [0.5]


def test_only_the_head_depends_on_the_head() -> None:
    expected = kinds(on_meta("nin").get_submodule("features"))
    for head in ("maximum", "linear", "linear-dropout"):
        assert kinds(on_meta("nin", head=head).get_submodule("features")) == expected


# Layers -------------------------------------------------------------------------------------------


def test_local_connections_against_loops() -> None:
    torch.manual_seed(0)
    layer = LocallyConnected2d(2, 3, 3, size=4).double()
    x = images(2, 2, 4, dtype=torch.float64)
    weight = layer.weight.detach().numpy().reshape(3, 2, 3, 3, 4, 4)
    bias = layer.bias.detach().numpy().reshape(3, 4, 4)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = np.empty((2, 3, 4, 4))
    for image, out, row, column in np.ndindex(expected.shape):
        patch = padded[image, :, row : row + 3, column : column + 3]
        expected[image, out, row, column] = (patch * weight[out, ..., row, column]).sum()
    torch.testing.assert_close(layer(x).detach(), torch.from_numpy(expected + bias))


def test_local_connections_with_equal_kernels_are_a_convolution_and_start_like_one() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 16, 3, padding=1)
    layer = LocallyConnected2d(64, 16, 3, size=4)
    for ours, theirs in ((layer.weight, conv.weight), (layer.bias, conv.bias)):
        assert theirs is not None
        bound = 1 / 24  # one over the root of 9 * 64 inputs
        assert 0.9 * bound < theirs.abs().max() <= bound
        assert 0.99 * bound < ours.abs().max() <= bound
        assert abs(ours.mean()) < 0.1 * bound
        ours.data = (
            theirs.data.flatten(1).unsqueeze(-1).expand(*ours.shape[:-1], 16)
            if (ours.ndim == 3)
            else theirs.data[:, None].expand(16, 16)
        )
    x = images(2, 64, 4)
    torch.testing.assert_close(layer(x), conv(x))


def test_response_normalisation_by_hand() -> None:
    x = 20 * images(2, 12, 3, dtype=torch.float64)
    squares = x.numpy() ** 2
    expected = np.empty_like(squares)
    for channel in range(12):
        near = squares[:, max(channel - 4, 0) : channel + 5].sum(1) / 9
        expected[:, channel] = x.numpy()[:, channel] / (1 + 0.001 * near) ** 0.75
    torch.testing.assert_close(ResponseNormalization()(x), torch.from_numpy(expected))


def test_what_bfloat16_would_spoil_is_computed_in_float32() -> None:
    x = (images(2, 12, 5) + 1).bfloat16()
    for layer in (ResponseNormalization(), GlobalAverage()):
        torch.testing.assert_close(layer(x), layer(x.double()).float())
        assert layer(x).dtype == torch.float32
        assert layer(x.double()).dtype == torch.float64


def test_the_maximum_is_no_other_number() -> None:
    assert torch.equal(
        GlobalMaximum()(images().bfloat16()), images().bfloat16().flatten(2).max(2)[0]
    )


def test_pools_and_normalisations_of_the_plain_network() -> None:
    block = ["Conv2d", "ReLU"]
    assert kinds(on_meta("plain-cnn").get_submodule("features")) == [
        *[*block, "MaxPool2d", "ResponseNormalization"],
        *[*block, "AvgPool2d", "ResponseNormalization"],
        *[*block, "AvgPool2d"],
        *["LocallyConnected2d", "ReLU"],
    ]


def test_the_plain_convolutions_pool_and_drop_like_nin() -> None:
    block = ["Conv2d", "ReLU"]
    between = ["MaxPool2d", "CounterDropout"]
    expected = [*block, *between, *block, *between, *block, *block, "GlobalAverage"]
    assert kinds(on_meta("plain-nin")) == expected


def test_the_trunk_pools_by_the_maximum_between_its_stages() -> None:
    block, pool = ["Conv2d", "BatchNorm2d", "ReLU"], ["MaxPool2d"]
    head = ["GlobalAverage", "Linear"]
    assert kinds(on_meta("trunk")) == [*2 * block, *pool, *2 * block, *pool, *2 * block, *head]


def test_inception_is_its_three_banks_side_by_side() -> None:
    torch.manual_seed(0)
    layer = Inception(5, 14).eval()
    banks = [nn.Conv2d(5, maps, side, padding=side // 2) for side, maps in ((1, 4), (3, 8), (5, 2))]
    for ours, bank in zip(all_of(layer, nn.Conv2d), banks, strict=True):
        bank.weight.data = ours.weight.data
        assert bank.bias is not None
        bank.bias.data.zero_()
    x = images(2, 5, 6)
    expected = torch.cat([bank(x) for bank in banks], 1).relu() / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(layer(x), expected)


TRIPLE = ["Conv2d", "BatchNorm2d", "ReLU"]


@pytest.mark.parametrize(
    ("layer", "expected", "sequence"),
    [
        ("3x3", [(56, 112, 3, 1)], TRIPLE),
        ("5x5", [(56, 112, 5, 1)], TRIPLE),
        ("two-3x3", [(56, 112, 3, 1), (112, 112, 3, 1)], 2 * TRIPLE),
        ("depthwise-separable", [(56, 56, 3, 56), (56, 112, 1, 1)], 2 * TRIPLE),
        ("bottleneck", [(56, 28, 1, 1), (28, 28, 3, 1), (28, 112, 1, 1)], 3 * TRIPLE),
        ("inception", [(56, 32, 1, 1), (56, 64, 3, 1), (56, 16, 5, 1)], 3 * TRIPLE),
        (
            "squeeze-excitation",
            [(56, 112, 3, 1)],
            [*TRIPLE, "GlobalAverage", "Linear", "ReLU", "Linear", "Sigmoid"],
        ),
    ],
)
def test_tricks(layer: str, expected: list[tuple[int, int, int, int]], sequence: list[str]) -> None:
    widening = on_meta("trunk", layer=layer).get_submodule("layers.layer3")
    found = [
        (*conv, groups.groups)
        for conv, groups in zip(convolutions(widening), all_of(widening, nn.Conv2d), strict=True)
    ]
    assert found == expected
    assert kinds(widening) == sequence


def test_the_gate_of_squeeze_and_excitation() -> None:
    torch.manual_seed(0)
    layer = SqueezeExcitation(16, hidden=4)
    squeeze, excite = (
        (linear.weight.detach().numpy(), linear.bias.detach().numpy())
        for linear in all_of(layer, nn.Linear)
    )
    x = images(3, 16, 4) + 1
    hidden = np.maximum(x.numpy().mean((2, 3)) @ squeeze[0].T + squeeze[1], 0)
    gate = 1 / (1 + np.exp(-(hidden @ excite[0].T + excite[1])))
    assert hidden.max() > hidden.min() == 0
    torch.testing.assert_close(layer(x).detach(), x * torch.from_numpy(gate)[:, :, None, None])
    torch.testing.assert_close(layer.gate(x).detach(), torch.from_numpy(gate))
    hidden_units = [
        one.out_features
        for one in all_of(
            on_meta("trunk", layer="squeeze-excitation").get_submodule("layers"), nn.Linear
        )
    ]
    assert hidden_units == [7, 56, 14, 112, 14, 112, 28, 224, 28, 224]


# Residual networks --------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [8, 20, 56])
def test_depth_counts_the_layers_with_weights_on_the_way(depth: int) -> None:
    for skip in (True, False):
        network = on_meta("residual", depth=depth, skip=skip)
        assert len(all_of(network, nn.Conv2d, nn.Linear)) == depth
        widths = [block.branch[0].out_channels for block in all_of(network, ResidualBlock)]
        assert widths == [width for width in (16, 32, 64) for _ in range((depth - 2) // 6)]


def test_without_shortcuts_the_same_layers_form_a_chain() -> None:
    network = seeded("residual", depth=8, skip=False).eval()
    layers = all_of(network, nn.Conv2d, nn.BatchNorm2d)
    assert [type(layer).__name__ for layer in layers] == 7 * ["Conv2d", "BatchNorm2d"]
    maps = images()
    for conv, norm in zip(layers[::2], layers[1::2], strict=True):
        maps = norm(conv(maps)).relu()
    (classifier,) = all_of(network, nn.Linear)
    torch.testing.assert_close(network(images()), classifier(maps.mean((2, 3))))


def test_shortcuts_are_all_that_the_plain_network_lacks() -> None:
    with_skips, plain = (seeded("residual", depth=8, skip=skip) for skip in (True, False))
    mine, others = with_skips.state_dict(), plain.state_dict()
    assert mine.keys() == others.keys()
    assert all(torch.equal(mine[name], others[name]) for name in mine)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 3), (3, 5)])
def test_a_block_adds_its_input_at_every_second_place_where_it_halves(
    inputs: int, outputs: int
) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(inputs, outputs, skip=True).eval()
    x = images(2, inputs, 6)
    branch = block.branch(x).detach()
    shortcut = torch.zeros_like(branch)
    step = 1 if inputs == outputs else 2
    for channel, row, column in np.ndindex(inputs, 6 // step, 6 // step):
        shortcut[:, channel, row, column] = x[:, channel, step * row, step * column]
    assert (branch < 0).any()
    torch.testing.assert_close(block(x).detach(), (branch + shortcut).clamp(min=0))


# All networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_the_last_layer_with_weights_gives_the_classes(name: str, options: Options) -> None:
    network = build(name, **options).eval()
    last = all_of(network, *WEIGHTED)[-1]
    torch.nn.init.zeros_(last.weight)
    biases = torch.arange(10.0)
    last.bias.data.copy_(biases if last.bias.ndim == 1 else biases[:, None])
    with torch.no_grad():
        scores = network(images())
    torch.testing.assert_close(scores, biases.expand(2, 10), rtol=1e-4, atol=0)


def test_the_last_layer_of_the_wide_network_gives_the_classes() -> None:
    assert kinds(on_meta("wide-mlp")) == ["Flatten", "Linear", "ReLU", "Linear"]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_memory_format_and_precision_change_little_and_every_weight_learns(
    name: str, options: Options
) -> None:
    network = seeded(name, **options).double()
    for dropout in all_of(network, CounterDropout):
        dropout.key = torch.tensor([1, 2], dtype=torch.int32)
    x, labels = images(4, dtype=torch.float64), torch.arange(4)
    scores = network(x)
    assert scores.dtype == torch.float64
    functional.cross_entropy(scores, labels).backward()  # type: ignore[no-untyped-call]
    gradients = {key: p.grad for key, p in network.named_parameters()}
    unmoved = [key for key, grad in gradients.items() if grad is None or not grad.any()]
    assert not unmoved

    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x.to(memory_format=torch.channels_last)), scores)

    network.float()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(x.float().to(memory_format=torch.channels_last))
    assert (rounded.double() - scores).abs().max() < 0.15 * scores.std()
    functional.cross_entropy(rounded.float(), labels).backward()  # type: ignore[no-untyped-call]
    if isinstance([*network.modules()][-1], GlobalAverage):
        assert rounded.dtype == torch.float32


@pytest.mark.parametrize(("name", "options"), [*VARIANTS, ("wide-mlp", {})])
def test_no_step_of_training_depends_on_a_value_of_a_tensor(name: str, options: Options) -> None:
    network = on_meta(name, **options).train()
    network(torch.empty(2, 3, 32, 32, device="meta")).sum().backward()


def test_a_step_of_the_tiny_network_uses_all_that_has_a_state() -> None:
    network = on_meta("tiny")
    assert {"CounterDropout", "BatchNorm2d"} < set(kinds(network))
    assert multiply_adds(network, 1, 3, 32, 32) < 1_500_000


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "nins",
            {},
            (
                "network must be one of 'nin', 'plain-nin', 'plain-cnn', 'handwritten', "
                "'wide-mlp', 'trunk', 'residual', 'tiny'; got 'nins'"
            ),
        ),
        ("trunk", {"width": 7}, "option of network 'trunk' must be one of 'layer'; got 'width'"),
        (
            "handwritten",
            {"num_classes": 100},
            "option of network 'handwritten' must be one of none; got 'num_classes'",
        ),
        (
            "nin",
            {"head": "max"},
            "head must be one of 'mean', 'maximum', 'linear', 'linear-dropout'; got 'max'",
        ),
        (
            "plain-cnn",
            {"head": "maximum"},
            "head must be one of 'linear', 'linear-dropout', 'mean'; got 'maximum'",
        ),
        ("nin", {"one_by_ones": 0}, "one_by_ones must be one of 1, 2, 3; got 0"),
        ("nin", {"second_pool": "mean"}, "second_pool must be one of 'max', 'average'; got 'mean'"),
        (
            "plain-nin",
            {"dropout": "off"},
            "dropout must be one of 'masked', 'inverted', None; got 'off'",
        ),
        (
            "nin",
            {"head": "linear-dropout", "dropout": None},
            "head 'linear-dropout' needs a dropout, got None",
        ),
        (
            "trunk",
            {"layer": "7x7"},
            (
                "layer must be one of '3x3', '5x5', 'two-3x3', 'depthwise-separable', "
                "'bottleneck', 'inception', 'squeeze-excitation'; got '7x7'"
            ),
        ),
        ("residual", {"depth": 21}, "depth must be 6n + 2 with n of at least 1, got 21"),
        ("residual", {"depth": 2}, "depth must be 6n + 2 with n of at least 1, got 2"),
    ],
)
def test_what_is_unknown_is_named(name: str, options: Options, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message is compared
        on_meta(name, **options)
    assert str(raised.value) == message
