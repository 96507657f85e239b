"""Examinations: against NumPy and SciPy on networks made by hand, and as files beside runs."""

from __future__ import annotations

import copy
import hashlib
import io
import itertools
import json
import re
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor, nn

from claims import trained
from claims.core.claim import Claim, Fault
from claims.core.judge import Judged, judge
from claims.core.suite import UnavailableError
from claims.core.verdict import Verdict
from claims.subjects import Evidence
from claims.training import examinations, examine, findings, pictures, quantities, runs
from claims.training.arms import ARMS, Arm
from claims.training.examinations import (
    ACCURACY,
    BLOCKS,
    CHANNELS,
    FALL,
    HIGH_GATES,
    LOW_GATES,
    NUMBERS,
    ONE_BLOCK,
    QUARTERS,
    STEP,
    TOP,
    Array,
    examined,
    spearman,
)
from claims.training.rules import NOT_EXAMINED, AllOf, MeanAbove, Rule
from claims.training.runs import RunError
from nin_ref import data, networks, training
from nin_ref.files import write_atomically
from nin_ref.networks import GlobalAverage, SqueezeExcitation


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute alike everywhere, and leave PyTorch's random numbers as they were."""
    with training.threads(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def normal(*shape: int, seed: int = 0) -> Tensor:
    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return torch.from_numpy(values)


def labelled(count: int, classes: int = 10) -> Tensor:
    return torch.arange(count) % classes


# Class maps ---------------------------------------------------------------------------------------


def averaging(features: nn.Module) -> nn.Module:
    """Return a network that averages class maps."""
    return nn.Sequential(OrderedDict(features=features, head=GlobalAverage()))


class Maps(nn.Module):
    """Class maps by a function of the images."""

    def __init__(self, maps: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x)


def marked(labels: Tensor) -> Tensor:
    """Return images [N, 10, 4, 4] that are 1 in the channel of their class and else noise."""
    images = normal(len(labels), 10, 4, 4).abs() / 100
    images[torch.arange(len(labels)), labels] += 1
    return images


@pytest.mark.parametrize(
    ("maps", "number", "by_chance"),
    [
        (lambda x: x, 100, 0),  # bright exactly where the class is
        (lambda x: 5 * x + 3, 100, 0),
        (lambda x: torch.zeros_like(x), 0, 0),  # no quarter more than any other
        (lambda x: x.flip(2), -100 / 3, 2),  # always another one, which one in three shuffles is
        (lambda x: x.flip(3), -100 / 3, 2),
        (lambda x: x.transpose(2, 3), 50 - 50 / 3, 2),  # two of four quarters keep their places
        (lambda x: x.flip(1), -100 / 9, 2),  # the map of a class that is shown in one of three
    ],
)
def test_quarters_are_found_where_the_maps_say_what_is_where(
    maps: Callable[[Tensor], Tensor], number: float, by_chance: float
) -> None:
    labels = labelled(60)
    found = examined(averaging(Maps(maps)), marked(labels), labels, [QUARTERS])
    assert found[QUARTERS] == pytest.approx(number, abs=by_chance + 1e-9)


def test_mosaics_are_of_four_classes_and_their_other_order_keeps_none_in_place() -> None:
    labels = np.arange(80) % 10
    chosen, elsewhere = examinations.mosaics(labels)
    assert chosen.shape == elsewhere.shape == (2000, 4)
    assert all(len(set(four)) == 4 for four in labels[chosen])
    assert set(chosen.ravel()) == set(range(80))
    counts = np.array([(labels[chosen] == label).sum(0) for label in range(10)])
    assert abs(counts - 200).max() < 6 * 200**0.5  # each class in each quarter alike
    assert (elsewhere != np.arange(4)).all()
    assert (np.sort(elsewhere, axis=1) == np.arange(4)).all()
    assert len({tuple(order) for order in elsewhere}) == 9
    again = examinations.mosaics(labels)
    assert np.array_equal(chosen, again[0])
    assert np.array_equal(elsewhere, again[1])


def test_quarters_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examinations, "MOSAICS", 130)
    network = averaging(nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.ReLU()))
    images, labels = normal(40, 3, 8, 8), labelled(40, 5)
    right = wrong_order = 0
    for four, order in zip(*examinations.mosaics(labels.numpy()), strict=True):
        tiles = [images[int(number)].numpy() for number in four]
        mosaic = np.concatenate(
            [np.concatenate(tiles[:2], axis=2), np.concatenate(tiles[2:], axis=2)], axis=1
        )
        with torch.no_grad():
            maps = network.get_submodule("features")(torch.from_numpy(mosaic)[None])[0].numpy()
        assert maps.shape == (5, 8, 8)
        for quarter, number in enumerate(four):
            of_class = maps[int(labels[int(number)])]
            means = [of_class[r : r + 4, c : c + 4].mean() for r in (0, 4) for c in (0, 4)]
            right += int(np.argmax(means)) == quarter
            wrong_order += int(np.argmax(means)) == order[quarter]
    found = examined(network, images, labels, [QUARTERS])
    assert found[QUARTERS] == pytest.approx(100 * (right - wrong_order) / (4 * 130))
    assert found[QUARTERS] != 0


def test_covers_and_top_activations_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examinations, "COVERED", 30)
    monkeypatch.setattr(examinations, "AT_ONCE", 7)
    network = averaging(nn.Sequential(nn.Conv2d(3, 5, 5, stride=2, padding=2), nn.ReLU()))
    images, labels = normal(40, 3, 8, 8), labelled(40, 5)
    features = network.get_submodule("features")

    def maps_of(image: Array) -> Array:
        with torch.no_grad():
            return np.asarray(features(torch.from_numpy(image)[None])[0].numpy())

    def score(image: Array, cells: Sequence[int] | Array, label: int) -> float:
        covered = image.copy()
        for cell in cells:
            row, column = divmod(int(cell), 4)
            covered[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 0
        return float(maps_of(covered)[label].mean())

    random = np.random.default_rng(0)
    differences = []
    for number in random.permutation(40)[:30]:
        image = images[int(number)].numpy()
        maps = maps_of(image)
        said = int(maps.mean(axis=(1, 2)).argmax())
        bright = sorted(range(16), key=lambda cell: -maps[said].ravel()[cell])[:3]
        anywhere = random.permutation(16)[:3]
        whole = float(maps[said].mean())
        falls = [whole - score(image, cells, said) for cells in (bright, anywhere)]
        differences.append(falls[0] - falls[1])
    found = examined(network, images, labels, [FALL])
    assert list(found) == [ACCURACY, FALL]
    assert found[FALL] == pytest.approx(np.mean(differences), rel=1e-5)
    assert found[FALL] > 0


def test_a_cover_is_of_a_fifth_of_the_cells() -> None:
    """Of 64 cells 13: each pixel's share of the score falls with it, and only that."""
    images = torch.rand(30, 10, 32, 32).round()
    network = averaging(nn.AvgPool2d(4))
    found = examined(network, images, labelled(30), [FALL])[FALL]
    scores = examinations.class_maps(network, images)
    said = scores[torch.arange(30), scores.mean((2, 3)).argmax(1)].flatten(1)
    brightest = said.sort(1, descending=True).values[:, :13].sum(1) / 64
    assert found == pytest.approx(float((brightest - said.mean(1) * 13 / 64).mean()), abs=0.003)


def test_maps_that_say_nothing_of_the_place_fall_no_more() -> None:
    network = averaging(Maps(lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 4, 4)))
    found = examined(network, torch.ones(20, 10, 8, 8), labelled(20), [FALL])
    assert found[FALL] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("head", ["linear", "maximum"])
@pytest.mark.parametrize("quantity", [QUARTERS, FALL])
def test_class_maps_need_a_network_that_averages_them(head: str, quantity: str) -> None:
    network = networks.build("tiny", head=head)
    with pytest.raises(ValueError, match=r"^class maps are of networks whose head is the mean of"):
        examined(network, normal(20, 3, 32, 32), labelled(20), [quantity])


@pytest.mark.parametrize("linear", [False, True])
def test_the_largest_value_of_all_maps_lies_in_that_of_a_class(linear: bool) -> None:
    """Where the sum of a map, and its value at one place, say another class than its maximum."""
    torch.manual_seed(0)
    head = nn.Sequential(nn.Flatten(), nn.Linear(80, 5)) if linear else GlobalAverage()
    maps, labels = normal(45, 5, 4, 4), labelled(45, 5)
    expected = [
        np.unravel_index(of_image.argmax(), of_image.shape)[0] == label
        for of_image, label in zip(maps.numpy(), labels.tolist(), strict=True)
    ]
    network = nn.Sequential(OrderedDict(features=nn.Identity(), head=head))
    found = examined(network, maps, labels, [TOP])
    assert list(found) == [ACCURACY, TOP]
    assert found[TOP] == pytest.approx(100 * np.mean(expected))
    assert 0 < found[TOP] < 100
    assert found[TOP] != found[ACCURACY]


def test_maps_of_another_number_than_that_of_the_classes_belong_to_none() -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(80, 10))
    network = nn.Sequential(OrderedDict(features=nn.Identity(), head=head))
    with pytest.raises(ValueError, match=r"^the network has 5 maps for 10 classes$"):
        examined(network, normal(20, 5, 4, 4), labelled(20), [TOP])


@pytest.mark.parametrize(
    ("quantity", "sentence"),
    [
        (TOP, "a network with features, head is needed, not one with layer1"),
        (CHANNELS, "a network with layer1, layers, mean, classifier is needed, not one with feat"),
        (LOW_GATES, "a network with layer1, layers, mean, classifier is needed, not one with feat"),
        (ONE_BLOCK, "a network with layer1, blocks, mean, classifier is needed, not one with feat"),
        (STEP, "a network with layer1, blocks, mean, classifier is needed, not one with feat"),
    ],
)
def test_an_examination_needs_a_network_with_the_parts_it_is_of(
    quantity: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        examined(
            networks.build("trunk" if quantity == TOP else "tiny"),
            normal(20, 3, 32, 32),
            labelled(20),
            [quantity],
        )


def test_gates_need_a_network_with_gates() -> None:
    with pytest.raises(
        ValueError, match=r"^a network with gates is needed, and this one has none$"
    ):
        examined(small_trunk(gated=False), normal(20, 3, 8, 8), labelled(20, 4), [LOW_GATES])


# Lesions ------------------------------------------------------------------------------------------


def small_trunk(*, gated: bool) -> nn.Module:
    """Return a network built like a trunk, with 6, 12 and 22 channels."""

    def layer(inputs: int, outputs: int) -> nn.Module:
        parts = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        if gated and inputs > 3:
            parts.append(SqueezeExcitation(outputs, hidden=4))
        return nn.Sequential(*parts)

    layers = OrderedDict(layer2=layer(6, 12), pool1=nn.MaxPool2d(2), layer3=layer(12, 22))
    network = nn.Sequential(
        OrderedDict(
            layer1=layer(3, 6),
            layers=nn.Sequential(layers),
            mean=GlobalAverage(),
            classifier=nn.Linear(22, 4),
        )
    )
    for name, parameter in network.named_parameters():
        if "gate" in name:
            parameter.data *= 6  # so that gates differ
    return network


def layers_of(network: nn.Module) -> list[nn.Module]:
    return [network.get_submodule(name) for name in ("layer1", "layers.layer2", "layers.layer3")]


def outputs_of(network: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """Return what a layer puts out."""
    outputs: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    with torch.no_grad():
        network(images)
    handle.remove()
    return outputs[0]


def wrong_with(
    network: nn.Module, lesions: Sequence[tuple[nn.Module, Array]], images: Tensor, labels: Tensor
) -> Array:
    """Return which images are wrong with channels of layers set to their means by hooks."""
    means = [outputs_of(network, layer, images).mean((0, 2, 3)) for layer, _ in lesions]

    def lesion(output: Tensor, mean: Tensor, channels: Array) -> Tensor:
        chosen = torch.zeros(output.shape[1]).index_fill(0, torch.from_numpy(channels), 1.0)
        shape = (1, -1, 1, 1)
        return output * (1 - chosen.view(shape)) + (chosen * mean).view(shape)

    handles = [
        layer.register_forward_hook(
            lambda _l, _i, output, mean=mean, channels=channels: lesion(output, mean, channels)
        )
        for (layer, channels), mean in zip(lesions, means, strict=True)
    ]
    with torch.no_grad():
        wrong = (network(images).argmax(1) != labels).numpy()
    for handle in handles:
        handle.remove()
    return np.asarray(wrong)


def balanced(network: nn.Module, images: Tensor) -> Tensor:
    """Let a network say all classes, and return labels of which it gets nine in ten right."""
    classifier = network.get_submodule("classifier")
    assert isinstance(classifier, nn.Linear)
    with torch.no_grad():
        classifier.bias.sub_(network(images).mean(0))
        said: Tensor = network(images).argmax(1)
    said[::10] = (said[::10] + 1) % classifier.out_features
    return said


def test_channels_are_compared_as_by_hooks_and_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy import stats

    monkeypatch.setattr(examinations, "AT_ONCE", 33)
    network, images = small_trunk(gated=False), normal(120, 3, 8, 8)
    network.get_submodule("classifier").weight.data[:, :3] = 0  # type: ignore[operator]
    labels = balanced(network, images)
    expected = []
    for layer in layers_of(network):
        wrong = np.stack(
            [
                wrong_with(network, [(layer, np.array([channel]))], images, labels)
                for channel in range(outputs_of(network, layer, images).shape[1])
            ]
        )
        halves = wrong[:, :60].sum(1), wrong[:, 60:].sum(1)
        expected.append(stats.spearmanr(*halves).statistic)
    found = examined(network, images, labels, [CHANNELS])
    assert found[CHANNELS] == pytest.approx(np.mean(expected), abs=1e-9)
    assert 0 < found[CHANNELS] < 1


def test_channels_that_matter_on_both_halves_alike_correlate_fully() -> None:
    network, images = small_trunk(gated=False), normal(60, 3, 8, 8)
    images = torch.cat([images, images])
    found = examined(network, images, balanced(network, images), [CHANNELS])
    assert found[CHANNELS] == pytest.approx(1)


def test_gates_are_compared_as_by_hooks() -> None:
    network, images = small_trunk(gated=True), normal(150, 3, 8, 8)
    labels = balanced(network, images)
    gated = [layer for layer in layers_of(network)[1:] if isinstance(layer, nn.Sequential)]
    gates = [
        outputs_of(network, layer[-1].get_submodule("gate"), images).mean(0).numpy()
        for layer in gated
    ]
    counts = [1, 2]  # of 12 and of 22

    def error_of(orders: Sequence[Array]) -> float:
        chosen = [order[:count] for order, count in zip(orders, counts, strict=True)]
        lesions = list(zip(gated, chosen, strict=True))
        return 100 * float(wrong_with(network, lesions, images, labels).mean())

    random = np.random.default_rng(0)
    low = error_of([np.argsort(one) for one in gates])
    high = error_of([np.argsort(-one) for one in gates])
    anywhere = np.mean(
        [error_of([random.permutation(len(one)) for one in gates]) for _ in range(10)]
    )
    found = examined(network, images, labels, [LOW_GATES, HIGH_GATES])
    assert list(found) == [ACCURACY, LOW_GATES, HIGH_GATES]
    assert found[LOW_GATES] == pytest.approx(anywhere - low, abs=1e-6)
    assert found[HIGH_GATES] == pytest.approx(high - anywhere, abs=1e-6)
    assert len({low, high, float(anywhere)}) == 3


def residual(*, skip: bool) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a residual network of 6 blocks, 4 of which can be deleted, images and labels."""
    network = networks.build("residual", depth=14, skip=skip)
    images = normal(60, 3, 16, 16)
    for _ in range(30):
        network(images)  # for the statistics of batch normalisation
    network.eval()
    return network, images, balanced(network, images)


def error_without(
    network: nn.Module, places: Sequence[int] | Array, images: Tensor, labels: Tensor
) -> float:
    """Return the error of a copy in which blocks are replaced by the identity."""
    shortened = copy.deepcopy(network)
    blocks = shortened.get_submodule("blocks")
    for place in places:
        blocks._modules[str(place)] = nn.Identity()
    with torch.no_grad():
        return 100 * float((shortened(images).argmax(1) != labels).double().mean())


@pytest.mark.parametrize("skip", [True, False])
def test_a_deleted_block_is_the_identity(skip: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examinations, "AT_ONCE", 25)
    network, images, labels = residual(skip=skip)
    rises = [error_without(network, [place], images, labels) - 10 for place in (0, 1, 3, 5)]
    found = examined(network, images, labels, [ONE_BLOCK])
    assert found[ACCURACY] == pytest.approx(90)
    assert found[ONE_BLOCK] == pytest.approx(np.median(rises))
    assert len(set(rises)) > 1


def test_more_blocks_are_deleted_in_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy import stats

    for name, value in (("MOST_DELETED", 3), ("DRAWS", 4), ("TESTED", 50)):
        monkeypatch.setattr(examinations, name, value)
    network, images, labels = residual(skip=True)
    random = np.random.default_rng(0)
    tested = torch.from_numpy(random.permutation(60)[:50])
    numbers = [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    errors = [
        error_without(
            network, random.permutation([0, 1, 3, 5])[:count], images[tested], labels[tested]
        )
        for count in numbers
    ]
    means = [error_without(network, [], images[tested], labels[tested])]
    means += [float(np.mean(errors[start : start + 4])) for start in (0, 4, 8)]
    found = examined(network, images, labels, [BLOCKS])
    assert list(found) == [ACCURACY, BLOCKS, STEP]
    assert found[BLOCKS] == pytest.approx(stats.spearmanr(numbers, errors).statistic)
    largest = max(later - earlier for earlier, later in itertools.pairwise(means))
    assert found[STEP] == pytest.approx(largest / (means[-1] - means[0]))


def test_an_error_that_does_not_rise_has_no_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examinations, "MOST_DELETED", 3)
    network, images, _ = residual(skip=True)
    network.get_submodule("classifier").weight.data.zero_()  # type: ignore[operator]
    found = examined(network, images, labelled(60), [STEP])
    assert (found[BLOCKS], found[STEP]) == (0.0, 1.0)


@pytest.mark.parametrize("values", [2, 5, 1000])
def test_spearmans_correlation_is_that_of_scipy(values: int) -> None:
    from scipy import stats

    random = np.random.default_rng(values)
    for _ in range(20):
        one, other = random.integers(0, values, (2, 30))
        other = np.where(random.random(30) < 0.5, one, other)
        assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert spearman(one, np.zeros(30)) == spearman(np.zeros(30), one) == 0.0


# All of them --------------------------------------------------------------------------------------

OF_NETWORKS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "nin": (lambda: networks.build("tiny"), [QUARTERS, FALL, TOP]),
    "trunk": (lambda: small_trunk(gated=False), [CHANNELS]),
    "gated trunk": (lambda: small_trunk(gated=True), [LOW_GATES, HIGH_GATES]),
    "residual": (lambda: networks.build("residual", depth=14), [ONE_BLOCK]),
    "deep residual": (lambda: networks.build("residual", depth=38), [BLOCKS, STEP]),
}


@pytest.mark.parametrize("kind", OF_NETWORKS)
def test_an_examination_gives_the_same_numbers_again(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MOSAICS", 20), ("DRAWS", 1)):
        monkeypatch.setattr(examinations, name, value)
    build, numbers = OF_NETWORKS[kind]
    network, images, labels = build(), normal(24, 3, 32, 32), labelled(24)
    network.train()
    found = examined(network, images, labels, numbers)
    assert list(found) == [ACCURACY, *numbers]
    assert {type(number) for number in found.values()} == {float}
    torch.manual_seed(1)
    assert examined(network, images, labels, numbers) == found
    monkeypatch.setattr(examinations, "AT_ONCE", 8)
    for name, number in examined(network, images, labels, numbers).items():
        assert number == pytest.approx(found[name], abs=NUMBERS[name].tolerance)


def test_each_number_is_of_some_kind_of_network() -> None:
    assert [ACCURACY, *(name for _, names in OF_NETWORKS.values() for name in names)] == [*NUMBERS]


@pytest.mark.parametrize("layer", ["3x3", "squeeze-excitation"])
def test_trunks_have_the_layers_whose_channels_are_silenced(layer: str) -> None:
    stages = examinations.stages_of(networks.build("trunk", layer=layer))
    names = [name for name in stages if name.startswith("layer")]
    assert names == [f"layer{number}" for number in range(1, 7)]
    images = normal(2, 3, 32, 32)
    with torch.no_grad():
        means = examinations.means_of_channels(stages, images)
        gates = examinations.means_of_gates(stages, images)
    assert [len(mean) for mean in means.values()] == [56, 56, 112, 112, 224, 224]
    assert list(gates) == (names[1:] if layer == "squeeze-excitation" else [])


def test_the_accuracy_is_the_share_that_is_right() -> None:
    labels = labelled(50)
    images = marked(labels)
    images[:5] = images[:5].flip(1)
    assert examined(averaging(nn.Identity()), images, labels, []) == {ACCURACY: 90.0}


# Files and the command ----------------------------------------------------------------------------

TWO = AllOf(
    (
        MeanAbove("tiny", -1000.0, quantity=QUARTERS, seeds=2),
        MeanAbove("tiny", -1000.0, quantity=FALL, seeds=2),
    )
)
RULES: dict[str, Rule] = {
    "toy/maps": TWO,
    "toy/errors": MeanAbove("handwritten", 10.0, seeds=3),
}


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let rules look at the tiny arm, which keeps the weights of its first two seeds."""
    tiny = Arm(says="tiny", recipe=ARMS["tiny"].recipe, on_cpu=True, weights_of=2)
    monkeypatch.setitem(cast(dict[str, Arm], ARMS), "tiny", tiny)
    monkeypatch.setattr(trained, "RULES", {})
    monkeypatch.setattr(trained, "declared_rules", lambda: RULES)
    monkeypatch.setattr(examinations, "COVERED", 50)
    yield
    runs.fresh.cache_clear()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results with three runs of the tiny arm, of which two have weights."""
    results = tmp_path_factory.mktemp("finished")
    arm = Arm(says="tiny", recipe=ARMS["tiny"].recipe, on_cpu=True, weights_of=2)
    tiny.make(results, 0, 1, 2, arm=arm)
    (results / "traces.json").write_text(json.dumps({"tiny": ARMS["tiny"].trace()}))
    return results


@pytest.fixture
def results(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the results."""
    monkeypatch.setattr(examinations, "MOSAICS", 40)
    return Path(shutil.copytree(finished, tmp_path / "results"))


def do(results: Path, *arguments: str) -> int:
    return examine.main(["--results", str(results), *arguments])


def run_of(results: Path, seed: int = 0) -> runs.Run:
    labels = data.load("patterns").test_labels
    return runs.read(runs.folder_of(results, "tiny", seed), labels)


def file_of(results: Path, seed: int = 0) -> Path:
    return results / "examined" / "tiny" / f"{seed}.json"


def judged_in(claim: Claim, results: Path) -> Judged:
    """Judge a claim by the evidence in a folder."""
    (judgement,) = claim.judgements
    fault = Fault("elsewhere", lambda evidence: Evidence(results))
    return judge(claim, fault=fault, faulty=judgement)


def missing(results: Path) -> str | None:
    """Return what a claim about the class maps of the tiny arm lacks; None where it is decided."""
    runs.fresh.cache_clear()
    claim = trained.trained("toy/maps", says="It is so.", cites=["000:11"], rule=TWO)
    observed = judged_in(claim, results).observation
    assert observed.verdict == (Verdict.UNDECIDED if observed.missing else Verdict.HOLDS)
    return observed.missing


def test_runs_are_examined_once_and_decide_a_claim(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        missing(results) == "2 of 2 runs of tiny, 0 examined: `python -m claims.training examine`"
    )
    assert do(results, "--seeds", "1") == 0
    assert (
        missing(results) == "2 of 2 runs of tiny, 1 examined: `python -m claims.training examine`"
    )
    capsys.readouterr()
    assert do(results) == 0
    said = re.sub(r"in \d+ (s|min),", "in a while,", capsys.readouterr().out)
    assert said.splitlines() == [
        "reading patterns, standardised",
        "tiny seed 0: examining",
        f"tiny seed 0: examined in a while, {file_of(results)}",
        "examined 1 run; 1 run examined before",
    ]
    assert missing(results) is None
    before = file_of(results).read_bytes()
    assert do(results) == 0
    assert capsys.readouterr().out == "examined 0 runs; 2 runs examined before\n"
    assert file_of(results).read_bytes() == before
    assert sorted(path.name for path in (results / "examined").rglob("*")) == [
        "0.json",
        "0.npz",
        "1.json",
        "tiny",
    ]


def test_an_examination_says_what_it_came_from(results: Path) -> None:
    assert do(results, "--arms", "tiny") == 0
    record = json.loads(file_of(results, 1).read_bytes())
    assert record.keys() == findings.FIELDS.keys()
    run = run_of(results, 1)
    assert (record["arm"], record["seed"]) == ("tiny", 1)
    assert (record["run"], record["data"]) == (run.record["digest"], data.load("patterns").digest)
    assert record["command"] == [*examine.COMMAND.split(), "--arms", "tiny"]
    assert record["versions"]["torch"] == torch.__version__
    assert record["device"] == {"kind": "cpu", "name": runs.processor(), "threads": 1}
    assert list(record["numbers"]) == [ACCURACY, QUARTERS, FALL]
    accuracy = 100 - run.curve[-1]["test error"]
    assert record["numbers"][ACCURACY] == pytest.approx(accuracy, abs=1.2)
    labels = data.load("patterns").test_labels
    for name in (QUARTERS, FALL):
        assert quantities.value(name, run, labels) == record["numbers"][name]
    assert quantities.value(CHANNELS, run, labels) == NOT_EXAMINED


def test_the_stored_weights_are_examined(results: Path) -> None:
    """And not others, as a network of its own shows: read from the file, in float32."""
    assert do(results) == 0
    network = networks.build("tiny")
    network.load_state_dict(torch.load(results / "runs/tiny/0/weights.pt", weights_only=True))
    patterns = data.load("patterns")
    _, test = data.preprocess(patterns, "standardised")
    labels = torch.from_numpy(patterns.test_labels.astype(np.int64))
    expected = examined(network, torch.from_numpy(test), labels, [QUARTERS, FALL])
    assert findings.numbers(run_of(results)) == pytest.approx(expected, abs=1e-6)


def test_a_rule_that_asks_for_more_has_its_runs_examined_again(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trained, "declared_rules", lambda: {"toy/maps": TWO.rules[0]})
    assert do(results) == 0
    assert list(findings.numbers(run_of(results))) == [ACCURACY, QUARTERS]
    assert (
        missing(results) == "2 of 2 runs of tiny, 0 examined: `python -m claims.training examine`"
    )
    monkeypatch.setattr(trained, "declared_rules", lambda: RULES)
    assert do(results) == 0
    assert missing(results) is None


def complaint(results: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what is said of something that cannot be examined."""
    capsys.readouterr()
    assert do(results, *arguments) == 1
    return capsys.readouterr().err


def test_what_cannot_be_examined_is_said(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complaint(results, capsys, "--seeds", "2") == (
        "error: tiny seed 2: the run has no weights; its arm keeps those of 2 seeds\n"
    )
    assert complaint(results, capsys, "--arms", "handwritten") == (
        "error: no rule looks at more of handwritten than its predictions\n"
    )
    (results / "runs/tiny/1/weights.pt").write_bytes(b"x")
    assert "error: tiny seed 1: run tiny/1 is not valid: its files" in complaint(results, capsys)
    assert file_of(results, 0).exists()
    assert not file_of(results, 1).exists()

    def absent(name: str) -> None:
        raise data.DataError(f"{name} in nowhere: there is no such folder; run `make data`")

    file_of(results, 0).unlink()
    monkeypatch.setattr(data, "load", absent)
    assert "error: tiny seed 0: patterns in nowhere: there is no such folder" in complaint(
        results, capsys, "--seeds", "0"
    )


def test_runs_that_are_not_there_or_stale_are_left_out(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(results / "runs/tiny/0")
    trace = ARMS["tiny"].trace()
    (results / "traces.json").write_text(json.dumps({"tiny": [2 * loss for loss in trace]}))
    assert do(results) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == "tiny: no finished run of seed 0"
    assert second.startswith("tiny seed 1 is stale and not examined: the code trains otherwise")
    assert last == "examined 0 runs; 0 runs examined before"


def test_other_data_are_refused(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    patterns = data.load("patterns")
    other = data.DataSet(
        "patterns",
        patterns.train_images,
        patterns.train_labels,
        255 - patterns.test_images,
        patterns.test_labels,
    )
    monkeypatch.setattr(data, "load", lambda name: other)
    assert complaint(results, capsys, "--seeds", "0") == (
        "error: tiny seed 0: the run was trained on data with another digest\n"
    )


def put(path: Path, **fields: Any) -> None:
    """Change fields of an examination, with the digest made to fit; those that are ... go."""
    record = json.loads(path.read_bytes()) | fields
    record = {name: value for name, value in record.items() if value is not ...}
    record["digest"] = runs.record_digest(record)
    path.write_text(json.dumps(record, indent=1) + "\n")


NUMBERS_OF = dict.fromkeys((ACCURACY, QUARTERS, FALL, TOP), 1.0)
DAMAGES: list[tuple[dict[str, Any], str]] = [
    *(
        ({name: ...}, f"it lacks {name}")
        for name in findings.FIELDS
        if name not in ("format", "digest")
    ),
    ({"format": 2}, "it is not of format 1"),
    ({"format": ...}, "it is not of format 1"),
    ({"more": 1}, "it has unknown fields: more"),
    ({"arm": "trunk"}, "it says that it is of trunk/0"),
    ({"seed": 1}, "it says that it is of tiny/1"),
    ({"seed": False}, "seed is False"),
    ({"run": "0" * 64}, "it is of another run than the one there"),
    ({"data": "0" * 64}, "its data are not those of the run"),
    ({"pictures": None}, "it tells of no pictures"),
    ({"pictures": 1}, "pictures is 1"),
    (
        {"numbers": {ACCURACY: 1.0, TOP: 1.0}},
        "it tells of pictures, and there are to be none",
    ),
    ({"numbers": [1.0]}, r"numbers is \[1.0\]"),
    ({"numbers": {QUARTERS: 1.0}}, f"it lacks the {ACCURACY}"),
    ({"numbers": NUMBERS_OF | {"luck": 1.0}}, "no examination gives luck"),
    ({"numbers": NUMBERS_OF | {FALL: float("nan")}}, f"{FALL} is nan"),
    ({"numbers": NUMBERS_OF | {FALL: float("inf")}}, f"{FALL} is inf"),
    ({"numbers": NUMBERS_OF | {FALL: "1"}}, f"{FALL} is '1'"),
    ({"numbers": NUMBERS_OF | {FALL: None}}, f"{FALL} is None"),
    ({"versions": {}}, "versions is {}"),
    (
        {"versions": dict.fromkeys(("python", "numpy", "torch", "cuda"), 1)},
        "or argument is no text",
    ),
    ({"command": [1]}, "a version or argument is no text"),
    ({"device": {"kind": "cpu", "name": "x", "threads": 0}}, "it has 0 threads"),
    ({"device": {"kind": "cpu", "name": "x", "threads": True}}, "it has True threads"),
    ({"device": {"kind": "cpu"}}, "device is {'kind': 'cpu'}"),
    ({"seconds": -1.0}, "it took no time"),
    ({"finished": "2026-01-01T00:00:00"}, "its time has no zone"),
]


@pytest.fixture(scope="module")
def examined_results(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results of which one run has been examined."""
    results = Path(shutil.copytree(finished, tmp_path_factory.mktemp("examined") / "results"))
    run = runs.read(results / "runs/tiny/0", data.load("patterns").test_labels)
    patterns = data.load("patterns")
    _, test = data.preprocess(patterns, "standardised")
    tested = examine.Tested(test, patterns.test_images, patterns.test_labels, patterns.digest)
    with training.threads(1), pytest.MonkeyPatch.context() as patched:
        patched.setattr(examinations, "MOSAICS", 40)
        record, shown = examine.made(run, [QUARTERS, FALL], tested, [])
    assert shown
    findings.path_of(run).parent.mkdir(parents=True)
    findings.pictures_of(run).write_bytes(shown)
    findings.path_of(run).write_text(json.dumps(record, indent=1) + "\n")
    return results


@pytest.mark.parametrize(("fields", "sentence"), DAMAGES)
def test_a_file_that_is_not_the_examination_of_its_run_is_refused(
    fields: dict[str, Any], sentence: str, examined_results: Path, tmp_path: Path
) -> None:
    results = Path(shutil.copytree(examined_results, tmp_path / "results"))
    run = run_of(results)
    assert findings.numbers(run)
    put(file_of(results), **fields)
    with pytest.raises(RunError, match=f"^examination tiny/0.json is not valid: .*{sentence}$"):
        findings.numbers(run)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"[" * 60_000, b'{"format": 1, "format": 1}']
)
def test_a_damaged_file_gives_no_verdict_and_stays(
    content: bytes, examined_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Path(shutil.copytree(examined_results, tmp_path / "results"))
    file_of(results).write_bytes(content)
    with pytest.raises(UnavailableError, match=r"^examination tiny/0.json is .*; `make recheck` s"):
        missing(results)
    said = complaint(results, capsys, "--seeds", "0")
    assert said.startswith("error: tiny seed 0: examination tiny/0.json is ")
    assert said.endswith(
        f"; nothing was changed: restore {file_of(results)}, or move it away to examine the run "
        "anew\n"
    )
    assert file_of(results).read_bytes() == content


def test_changed_bytes_links_and_large_files_are_refused(
    examined_results: Path, tmp_path: Path
) -> None:
    results = Path(shutil.copytree(examined_results, tmp_path / "results"))
    run, path = run_of(results), file_of(results)
    content = path.read_text()
    path.write_text(content.replace('"seed": 0', '"seed": 0, "seed": 0'))
    with pytest.raises(RunError, match="a field stands there twice"):
        findings.numbers(run)
    path.write_text(content.replace('"seconds": ', '"seconds": 1'))
    with pytest.raises(RunError, match="it is not what its digest says"):
        findings.numbers(run)
    path.write_text(content + " " * 2**16)
    with pytest.raises(RunError, match=r"0\.json is too large"):
        findings.numbers(run)
    path.write_text(content)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"0\.json is no plain file"):
        findings.numbers(run)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"0\.json is no plain file"):
        findings.numbers(run)


def test_what_rules_need_is_named_with_its_seeds() -> None:
    assert examine.needed() == {"tiny": {QUARTERS: 2, FALL: 2}}


# Pictures -----------------------------------------------------------------------------------------


def npz_of(results: Path, seed: int = 0) -> Path:
    return results / "examined" / "tiny" / f"{seed}.npz"


def arrays_of(results: Path) -> dict[str, Any]:
    with np.load(npz_of(results), allow_pickle=False) as stored:
        return dict(stored)


def put_pictures(results: Path, content: bytes) -> None:
    """Write pictures, and make the digests fit."""
    npz_of(results).write_bytes(content)
    put(file_of(results), pictures=hashlib.sha256(content).hexdigest())


def packed(arrays: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def side_by_side(tiles: Sequence[Array]) -> Array:
    """Return four images [C, H, W] as one, the first two above."""
    rows = [np.concatenate(tiles[:2], axis=2), np.concatenate(tiles[2:], axis=2)]
    return np.concatenate(rows, axis=1)


def test_pictures_are_of_the_first_images_with_their_maps(examined_results: Path) -> None:
    """Each image by itself through the network of the stored weights, without our functions."""
    patterns = data.load("patterns")
    _, prepared = data.preprocess(patterns, "standardised")
    weights = examined_results / "runs" / "tiny" / "0" / "weights.pt"
    network = networks.build("tiny").eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    features = network.get_submodule("features")

    def maps_of(image: Array) -> Array:
        with torch.no_grad():
            return np.asarray(features(torch.from_numpy(image[None].copy()))[0].numpy())

    labels = patterns.test_labels.tolist()
    first = [labels.index(label) for label in range(10)]
    fours = examinations.mosaics(patterns.test_labels)[0][:2].tolist()
    joined = [side_by_side([prepared[number] for number in four]) for four in fours]
    expected = {
        "images": np.stack([patterns.test_images[number] for number in first]),
        "labels": np.arange(10, dtype=np.uint8),
        "maps": np.stack([maps_of(prepared[number]) for number in first]),
        "mosaics": np.stack(
            [side_by_side([patterns.test_images[number] for number in four]) for four in fours]
        ),
        "mosaic_labels": np.array([[labels[n] for n in four] for four in fours], np.uint8),
        "mosaic_maps": np.stack([maps_of(mosaic) for mosaic in joined]),
    }
    found = arrays_of(examined_results)
    assert list(found) == list(expected)
    for name, array in expected.items():
        its = found[name]
        assert its.shape == array.shape, name
        if "maps" in name:
            assert its.dtype == np.float16
            assert np.abs(its - array).max() < 1e-3 * np.abs(array).max(), name
        else:
            assert its.dtype == array.dtype == np.uint8
            assert np.array_equal(its, array), name
    # So that these would show if they were taken one for the other:
    for name in ("images", "mosaics", "maps", "mosaic_maps"):
        assert not np.array_equal(found[name], found[name].swapaxes(2, 3))
    assert np.ptp(found["maps"].astype(float).mean((2, 3)), axis=1).min() > 0
    pictures = findings.shown(run_of(examined_results))
    assert all(np.array_equal(getattr(pictures, name), its) for name, its in found.items())


def test_maps_that_are_shown_keep_their_sign() -> None:
    labels = labelled(60).numpy().astype(np.uint8)
    prepared = normal(60, 10, 4, 4).numpy()
    pixels = np.zeros(prepared.shape, np.uint8)
    found = pictures.made(averaging(Maps(lambda x: -3 * x)), prepared, pixels, labels)
    assert np.array_equal(found.maps, (-3 * prepared[:10]).astype(np.float16))
    assert found.mosaic_maps.min() < 0


def test_the_first_seed_has_pictures_and_the_record_their_digest(results: Path) -> None:
    assert do(results) == 0
    content = npz_of(results).read_bytes()
    assert len(content) < 100_000
    assert json.loads(file_of(results).read_bytes())["pictures"] == (
        hashlib.sha256(content).hexdigest()
    )
    assert json.loads(file_of(results, 1).read_bytes())["pictures"] is None
    assert not npz_of(results, 1).exists()
    assert findings.shown(run_of(results, 1)) is None
    shutil.rmtree(results / "examined")
    assert findings.shown(run_of(results)) is None
    assert do(results, "--seeds", "0") == 0
    assert npz_of(results).read_bytes() == content


def test_other_quantities_have_no_pictures(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = MeanAbove("tiny", -1000.0, quantity=TOP, seeds=2)
    monkeypatch.setattr(trained, "declared_rules", lambda: {"toy/top": top})
    assert do(results) == 0
    assert json.loads(file_of(results).read_bytes())["pictures"] is None
    assert not npz_of(results).exists()
    monkeypatch.setattr(trained, "declared_rules", lambda: RULES)
    assert do(results) == 0
    assert npz_of(results).exists()
    assert missing(results) is None


@pytest.mark.parametrize("before", ["nothing", "an examination without pictures"])
@pytest.mark.parametrize("written", [0, 1], ids=["before the pictures", "before the record"])
def test_after_a_kill_the_run_is_examined_again(
    before: str, written: int, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before != "nothing":
        top = MeanAbove("tiny", -1000.0, quantity=TOP, seeds=2)
        monkeypatch.setattr(trained, "declared_rules", lambda: {"toy/top": top})
        assert do(results) == 0
        monkeypatch.setattr(trained, "declared_rules", lambda: RULES)
    done: list[Path] = []

    def killed(path: Path, content: bytes) -> None:
        if len(done) == written:
            raise KeyboardInterrupt
        done.append(path)
        write_atomically(path, content + b"left")

    with monkeypatch.context() as briefly:
        briefly.setattr(examine, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            do(results, "--seeds", "0")
    assert done == [npz_of(results)][:written]
    assert findings.numbers(run_of(results)) == {}
    assert do(results) == 0
    assert missing(results) is None
    assert findings.shown(run_of(results)) is not None


def changed_to(name: str, change: Callable[[Array], object]) -> Callable[[dict[str, Any]], None]:
    def changed(arrays: dict[str, Any]) -> None:
        arrays[name] = change(arrays[name])

    return changed


def put_in(name: str, value: float) -> Callable[[dict[str, Any]], None]:
    def changed(arrays: dict[str, Any]) -> None:
        arrays[name].flat[-1] = value

    return changed


WRONG_PICTURES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda arrays: arrays.pop("maps"), "is not valid: the pictures are images, labels, mosaics, "),
    (lambda arrays: arrays.update(more=np.zeros(1)), "is not valid: the pictures are images, lab"),
    (changed_to("maps", lambda x: x.astype(np.float32)), "is not valid: maps are float32 (10, 10,"),
    (changed_to("maps", lambda x: x.astype(">f2")), "is not valid: maps are >f2 (10, 10, "),
    (changed_to("maps", lambda x: x[:, :9]), "is not valid: maps are float16 (10, 9, "),
    (changed_to("images", lambda x: x.view(np.int8)), "is not valid: images are int8 (10, 3, "),
    (changed_to("images", lambda x: x[:9]), "is not valid: images are uint8 (9, 3, 32, 32), not "),
    (changed_to("mosaics", lambda x: x[..., 1:]), "is not valid: mosaics are uint8 (2, 3, 64, 63)"),
    (put_in("maps", np.nan), "is not valid: maps are not finite"),
    (put_in("mosaic_maps", np.inf), "is not valid: mosaic_maps are not finite"),
    (put_in("labels", 10), "is not valid: labels have no such class"),
    (put_in("mosaic_labels", 255), "is not valid: mosaic_labels have no such class"),
    (changed_to("labels", lambda x: np.array([print], object)), "Object arrays cannot be loaded"),
    (lambda arrays: arrays.update(more=np.zeros(2**20)), "is not valid: the arrays unpack to too"),
]


@pytest.mark.parametrize(("change", "sentence"), WRONG_PICTURES)
def test_pictures_of_another_kind_are_refused(
    change: Callable[[dict[str, Any]], object],
    sentence: str,
    examined_results: Path,
    tmp_path: Path,
) -> None:
    results = Path(shutil.copytree(examined_results, tmp_path / "results"))
    arrays = arrays_of(results)
    change(arrays)
    put_pictures(results, packed(arrays))
    with pytest.raises(RunError, match="^examination tiny/0.npz .*" + re.escape(sentence)):
        findings.shown(run_of(results))


def test_pictures_are_those_that_the_record_tells_of(
    examined_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Path(shutil.copytree(examined_results, tmp_path / "results"))
    run, path = run_of(results), npz_of(results)
    content = path.read_bytes()
    other = r"^examination tiny/0\.npz is not valid: it is not what 0\.json tells of$"
    for damaged in (b"", content[:-1], content + b"x", bytes([content[0] ^ 1]) + content[1:]):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=other):
            findings.numbers(run)
        assert "; nothing was changed: restore" in complaint(results, capsys, "--seeds", "0")
        assert path.read_bytes() == damaged
    path.write_bytes(bytes(2**20 + 1))
    with pytest.raises(RunError, match=r"0\.npz is too large"):
        findings.numbers(run)
    path.unlink()
    with pytest.raises(RunError, match=r"^examination tiny/0\.json .*: 0\.npz is missing$"):
        findings.numbers(run)
    (tmp_path / "elsewhere").write_bytes(content)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"0\.npz is no plain file"):
        findings.numbers(run)
    path.unlink()
    put_pictures(results, b"PK")
    with pytest.raises(RunError, match=r"^examination tiny/0\.npz is damaged \(BadZipFile"):
        findings.shown(run)


def test_maps_beyond_float16_are_not_written(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = examinations.class_maps
    monkeypatch.setattr(examinations, "class_maps", lambda *of: 1e6 * maps(*of))
    assert "error: tiny seed 0: maps are not finite" in complaint(results, capsys, "--seeds", "0")
    assert not (results / "examined").exists()
