"""Data sets: what is refused, what is read, how images are preprocessed, what the cache may do.

Damage is done to small files made here in the formats of MNIST, CIFAR and SVHN, and to the real
ones where the environment variable NIN_DATA says where they are.
"""

from __future__ import annotations

import errno
import functools
import gzip
import hashlib
import http.server
import math
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nin_ref import data
from nin_ref.data import DataError, DataSet, Zca

ROOT = Path(__file__).parents[1]
REAL = os.environ.get("NIN_DATA")
needs_real_data = pytest.mark.skipif(REAL is None, reason="NIN_DATA names no folder of real data")
ADVICE = "; run `make data`, or set NIN_DATA to a folder that has the data set"
RAW = Path("MNIST") / "raw"

Damage = Callable[[Path], object]


@pytest.fixture(autouse=True)
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what a test writes out of the user's folders."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NIN_DATA", raising=False)
    return tmp_path / "cache" / "nin-claims"


def toy(seed: int = 0, *, training: int = 60, test: int = 15) -> DataSet:
    """Return random images of 3 x 4 x 5, their pixels correlated and their channels unlike."""
    rng = np.random.default_rng(seed)

    def images(count: int) -> npt.NDArray[np.uint8]:
        walk = rng.integers(-20, 21, (count, 3, 4, 5)).cumsum(axis=3).cumsum(axis=2)
        walk += np.array([90, 120, 150])[:, None, None]
        return walk.clip(0, 255).astype(np.uint8)

    labels = rng.integers(0, 10, training + test).astype(np.uint8)
    return DataSet("toy", images(training), labels[:training], images(test), labels[training:])


# Files in the published formats, with small contents.


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def published(
    monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, bytes], root: Path
) -> None:
    """Write the files, and have them be the published ones from now on."""
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content)
    monkeypatch.setitem(data.FILES, name, {file: md5(content) for file, content in files.items()})
    monkeypatch.delitem(data.DIGESTS, name, raising=False)


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with an MNIST of eleven and seven images."""
    rng = np.random.default_rng(1)
    files = {}
    for part, count in (("train", 11), ("t10k", 7)):
        images = struct.pack(">4i", 2051, count, 28, 28) + rng.bytes(count * 28 * 28)
        labels = struct.pack(">2i", 2049, count) + bytes(i % 10 for i in range(count))
        files[str(RAW / f"{part}-images-idx3-ubyte")] = images
        files[str(RAW / f"{part}-labels-idx1-ubyte")] = labels
    published(monkeypatch, "mnist", files, tmp_path / "mnist")
    return tmp_path / "mnist"


def test_the_names_are_those_of_the_files_and_digests() -> None:
    assert set(data.FILES) == set(data.NAMES)
    assert set(data.DIGESTS) == set(data.NAMES) - {"svhn"}


def test_the_published_files_are_those_that_torchvision_knows() -> None:
    from torchvision import datasets

    for name, kind in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        known = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
        assert data.FILES[name] == {f"{kind.base_folder}/{file}": sum_ for file, sum_ in known}
    parts = [datasets.SVHN.split_list[part] for part in ("train", "test")]
    assert data.FILES["svhn"] == {file: sum_ for _, file, sum_ in parts}
    assert set(data.FILES["mnist"]) == {
        str(RAW / file.removesuffix(".gz")) for file, _ in datasets.MNIST.resources
    }


def test_mnist_is_read_as_it_is_stored(mnist: Path) -> None:
    dataset = data.load("mnist", mnist)
    for part, images, labels in (
        ("train", dataset.train_images, dataset.train_labels),
        ("t10k", dataset.test_images, dataset.test_labels),
    ):
        assert images.shape == (len(labels), 1, 28, 28)
        stored = (mnist / RAW / f"{part}-images-idx3-ubyte").read_bytes()
        assert images.tobytes() == stored[16:]
        stored = (mnist / RAW / f"{part}-labels-idx1-ubyte").read_bytes()
        assert labels.tobytes() == stored[8:]
    assert dataset.classes == 10


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read_as_it_is_stored(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    rng = np.random.default_rng(2)
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    names = ["data_batch_1", "data_batch_2", "test_batch"]
    rows = [rng.integers(0, 256, (count, 3 * 32 * 32), dtype=np.uint8) for count in (5, 4, 6)]
    labels = [rng.integers(0, int(name[5:]), len(part)).tolist() for part in rows]
    files = {}
    for file, part, its_labels in zip(names, rows, labels, strict=True):
        batch = {"data": part, "labels": its_labels}
        if name == "cifar100":
            coarse = [label // 5 for label in its_labels]
            batch = {"data": part, "fine_labels": its_labels, "coarse_labels": coarse}
        files[f"{kind.base_folder}/{file}"] = pickle.dumps(batch)
    meta = kind.meta["filename"]
    files[f"{kind.base_folder}/{meta}"] = pickle.dumps({kind.meta["key"]: ["a class"]})
    published(monkeypatch, name, files, tmp_path)
    sums = [[file.rpartition("/")[2], md5(content)] for file, content in files.items()]
    monkeypatch.setattr(kind, "train_list", sums[:2])
    monkeypatch.setattr(kind, "test_list", sums[2:3])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": sums[3][1]})

    dataset = data.load(name, tmp_path)
    assert dataset.train_images.shape == (9, 3, 32, 32)
    assert dataset.train_images.tobytes() == rows[0].tobytes() + rows[1].tobytes()
    assert dataset.train_labels.tolist() == labels[0] + labels[1]
    assert dataset.test_images.tobytes() == rows[2].tobytes()
    assert dataset.test_labels.tolist() == labels[2]
    assert dataset.classes == int(name[5:])


def test_svhn_is_read_as_it_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat
    from torchvision import datasets

    rng = np.random.default_rng(3)
    stored = {}
    for part, count in (("train", 12), ("test", 10)):
        stored[part] = rng.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]
        savemat(tmp_path / f"{part}_32x32.mat", {"X": stored[part], "y": labels})
    files = {file: (tmp_path / file).read_bytes() for file in data.FILES["svhn"]}
    published(monkeypatch, "svhn", files, tmp_path)
    parts = {part: ["", f"{part}_32x32.mat", md5(files[f"{part}_32x32.mat"])] for part in stored}
    monkeypatch.setattr(datasets.SVHN, "split_list", parts)

    dataset = data.load("svhn", tmp_path)
    assert dataset.train_images.shape == (12, 3, 32, 32)
    assert (dataset.train_images[7, 2, 3, 5], dataset.test_images[6, 1, 4, 9]) == (
        stored["train"][3, 5, 2, 7],
        stored["test"][4, 9, 1, 6],
    )
    assert dataset.train_labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]


# What is refused.


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    replace(path, bytes(content))


def replace(path: Path, content: bytes) -> None:
    path.unlink()  # a link to the real file must not be written through
    path.write_bytes(content)


def swap(path: Path) -> None:
    """Exchange the images (or labels) of training and test."""
    other = path.with_name(path.name.replace("train", "t10k"))
    mine, its = path.read_bytes(), other.read_bytes()
    replace(path, its)
    replace(other, mine)


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: list[tuple[Damage, str]] = [
    (Path.unlink, "is missing"),
    (lambda path: replace(path, b""), "is damaged, or another file"),
    (lambda path: replace(path, path.read_bytes()[:-1]), "is damaged, or another file"),
    (lambda path: replace(path, path.read_bytes() + b"\0"), "is damaged, or another file"),
    (flip_a_byte, "is damaged, or another file"),
    (make_a_folder, f"cannot be read ({os.strerror(errno.EISDIR)})"),
    (link_to_itself, f"cannot be read ({os.strerror(errno.ELOOP)})"),
]
DAMAGE_NAMES = ["missing", "empty", "truncated", "longer", "flipped", "folder", "loop"]


@pytest.mark.parametrize(("damage", "said"), DAMAGES, ids=DAMAGE_NAMES)
@pytest.mark.parametrize(
    "file",
    [
        f"{part}-{kind}-ubyte"
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ],
)
def test_a_damaged_file_is_named(mnist: Path, file: str, damage: Damage, said: str) -> None:
    damage(mnist / RAW / file)
    with pytest.raises(DataError) as refused:
        data.load("mnist", mnist)
    assert str(refused.value) == f"mnist in {mnist}: MNIST/raw/{file} {said}{ADVICE}"


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_swapped_files_are_refused(mnist: Path, kind: str) -> None:
    swap(mnist / RAW / f"train-{kind}-ubyte")
    with pytest.raises(DataError, match=f"train-{kind}-ubyte is damaged, or another file; run"):
        data.load("mnist", mnist)


def test_a_missing_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError) as refused:
        data.load("cifar10")
    assert str(refused.value) == f"cifar10 in {tmp_path}/nowhere: there is no such folder{ADVICE}"


def test_a_file_in_place_of_the_folder_is_named(mnist: Path) -> None:
    file = mnist / RAW / "train-images-idx3-ubyte"
    with pytest.raises(DataError, match=f"^mnist in {file}: .*{os.strerror(errno.ENOTDIR)}"):
        data.load("mnist", file)


def test_a_folder_that_may_not_be_read_is_named(
    mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:  # permissions do not bind an administrator
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError) as refused:
        data.load("mnist", mnist)
    said = f"MNIST/raw/train-images-idx3-ubyte cannot be read ({os.strerror(errno.EACCES)})"
    assert str(refused.value) == f"mnist in {mnist}: {said}{ADVICE}"


@pytest.mark.parametrize("use", [data.load, data.download])
def test_an_unknown_name_is_refused(use: Callable[[str], object]) -> None:
    with pytest.raises(DataError) as refused:
        use("cifar")
    assert str(refused.value) == (
        "there is no data set 'cifar'; there are cifar10, cifar100, mnist, svhn, patterns"
    )


class Trap:
    """What creates a file when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.sprung,)


def test_a_file_of_unknown_content_is_not_unpickled(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    for file in data.FILES["cifar10"]:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(trap)
    with pytest.raises(DataError, match="data_batch_1 is damaged, or another file"):
        data.load("cifar10", tmp_path)
    assert not sprung.exists()
    pickle.loads(trap)  # noqa: S301 - that it would have sprung
    assert sprung.exists()


def test_what_the_reader_raises_becomes_a_sentence(
    mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataError, match=f"^mnist in {mnist}: it cannot be read .*torchvision"):
        data.load("mnist", mnist)


def test_old_files_that_torchvision_prefers_are_not_taken_for_the_data(mnist: Path) -> None:
    import torch

    right = data.load("mnist", mnist)
    (mnist / "MNIST" / "processed").mkdir()
    for part in ("training", "test"):
        stale = (torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3, dtype=torch.long))
        torch.save(stale, mnist / "MNIST" / "processed" / f"{part}.pt")
    data.DIGESTS["mnist"] = right.digest  # the fixture has deleted it, and restores it
    with pytest.raises(DataError) as refused:
        data.load("mnist", mnist)
    assert right.digest in str(refused.value)


def test_arrays_other_than_the_known_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    known = data.DIGESTS["patterns"]
    monkeypatch.setitem(data.DIGESTS, "patterns", 64 * "0")
    with pytest.raises(DataError, match=f"SHA-256 {known}, and {64 * '0'} is expected; .*versions"):
        data.load("patterns")


# The data set itself.


def test_the_digest_covers_names_types_shapes_and_bytes() -> None:
    a, b = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2), np.array([1, 2], np.uint8)
    text = b"train_images |u1 (2, 3, 2, 2)\n" + bytes(range(24)) + b"train_labels |u1 (2,)\n\1\2"
    text += b"test_images |u1 (1, 3, 2, 2)\n" + bytes(range(12)) + b"test_labels |u1 (1,)\n\2"
    dataset = DataSet("toy", a, b, a[:1], b[1:])
    assert dataset.digest == hashlib.sha256(text).hexdigest()
    assert DataSet("other", a, b, a[:1], b[1:]).digest == dataset.digest
    in_other_order = np.asfortranarray(a)
    assert DataSet("toy", in_other_order, b, a[:1], b[1:]).digest == dataset.digest
    assert DataSet("toy", a.swapaxes(2, 3), b, a[:1], b[1:]).digest != dataset.digest


def test_the_digest_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = toy()
    first = dataset.digest
    monkeypatch.setattr(hashlib, "sha256", None)
    assert dataset.digest == first


@pytest.mark.parametrize(
    ("images", "labels", "got"),
    [
        (np.zeros((4, 3, 2, 2)), np.zeros(4, np.uint8), r"float64 \(4, 3, 2, 2\) and uint8 \(4,\)"),
        (np.zeros((4, 2, 2), np.uint8), np.zeros(4, np.uint8), r"uint8 \(4, 2, 2\) and"),
        (np.zeros((4, 3, 2, 2), np.uint8), np.zeros(5, np.uint8), r"and uint8 \(5,\)"),
        (np.zeros((4, 3, 2, 2), np.uint8), np.zeros((4, 1), np.uint8), r"and uint8 \(4, 1\)"),
        (np.zeros((4, 3, 2, 2), np.uint8), np.zeros(4, np.int64), r"and int64 \(4,\)"),
    ],
)
def test_arrays_of_other_types_and_shapes_are_refused(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], got: str
) -> None:
    good = (np.zeros((4, 3, 2, 2), np.uint8), np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match=rf"train_images and .*uint8 \[N, C, H, W\].*got .*{got}"):
        DataSet("toy", images, labels, *good)
    with pytest.raises(ValueError, match=rf"test_images and .*got .*{got}"):
        DataSet("toy", *good, images, labels)


def test_the_folder_is_chosen_by_the_environment(
    tmp_path: Path, user_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data.folder() == user_cache / "data"
    monkeypatch.setenv("NIN_DATA", "~/sets")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.folder() == tmp_path / "sets"
    monkeypatch.setenv("NIN_DATA", "")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data.folder() == tmp_path / ".cache" / "nin-claims" / "data"


def test_patterns_are_ten_classes_without_twins() -> None:
    dataset = data.load("patterns")
    assert dataset.train_images.shape == (512, 3, 32, 32)
    assert dataset.test_images.shape == (256, 3, 32, 32)
    for labels in (dataset.train_labels, dataset.test_labels):
        assert set(np.bincount(labels) - len(labels) // 10) == {0, 1}
    images = np.concatenate([dataset.train_images, dataset.test_images])
    assert len({image.tobytes() for image in images}) == 768


def test_patterns_are_learned_in_a_few_epochs_and_not_at_once() -> None:
    import torch
    from torch import nn

    dataset = data.load("patterns")
    train_images, test_images = map(torch.from_numpy, data.preprocess(dataset, "standardised"))
    train_labels = torch.from_numpy(dataset.train_labels).long()
    test_labels = torch.from_numpy(dataset.test_labels).long()
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    accuracy = []
    for _ in range(4):
        for batch in torch.randperm(512).view(16, 32):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(net(train_images[batch]), train_labels[batch])
            torch.autograd.backward(loss)
            optimiser.step()
        with torch.no_grad():
            accuracy.append((net(test_images).argmax(1) == test_labels).float().mean().item())
    assert accuracy[0] < 0.5 < 0.7 < accuracy[3]


# Preprocessing. The oracle takes the singular value decomposition of the images themselves.


def normalised(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    values = np.array([float(value) for value in image.flat])
    values -= values.mean()
    norm = sum(value**2 for value in values) ** 0.5
    return np.array([55 * value / (norm or 1) for value in values])


def whitened_by_svd(dataset: DataSet) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    train = np.stack([normalised(image) for image in dataset.train_images])
    test = np.stack([normalised(image) for image in dataset.test_images])
    mean = train.mean(axis=0)
    _, singular_values, vectors = np.linalg.svd((train - mean) / np.sqrt(len(train)))
    spectrum = np.zeros(train.shape[1])
    spectrum[: len(singular_values)] = singular_values**2
    matrix = vectors.T @ np.diag((spectrum + 0.1) ** -0.5) @ vectors
    return (train - mean) @ matrix, (test - mean) @ matrix


def test_scaled_images_are_pixels_over_255() -> None:
    every_value = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    label = np.zeros(1, np.uint8)
    dataset = DataSet("toy", every_value, label, every_value[..., ::-1], label)
    train, test = data.preprocess(dataset, "scaled")
    assert train.dtype == test.dtype == np.float32
    expected = every_value.astype(np.float32) / np.float32(255)
    assert np.array_equal(train, expected)
    assert np.array_equal(test, expected[..., ::-1])


def test_standardised_images_have_the_training_images_mean_and_deviation() -> None:
    dataset = toy()
    dataset.train_images[:, 1, 0, 0] = 255
    train, test = data.preprocess(dataset, "standardised")
    assert train.dtype == test.dtype == np.float32
    assert train.shape == (60, 3, 4, 5)
    assert train.mean((0, 2, 3), dtype=np.float64) == pytest.approx(np.zeros(3), abs=1e-7)
    assert train.std((0, 2, 3), dtype=np.float64) == pytest.approx(np.ones(3), abs=1e-7)
    for channel in range(3):
        pixels = [int(pixel) for pixel in dataset.train_images[:, channel].flat]
        mean = sum(pixels) / len(pixels)
        deviation = (sum((pixel - mean) ** 2 for pixel in pixels) / len(pixels)) ** 0.5
        expected = (dataset.test_images[:, channel].astype(np.float64) - mean) / deviation
        assert test[:, channel] == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("preprocessing", data.PREPROCESSINGS)
def test_images_of_one_colour_become_zeros_or_stay_finite(preprocessing: str) -> None:
    images = np.full((6, 3, 4, 4), 200, np.uint8)
    dataset = DataSet("toy", images, np.zeros(6, np.uint8), images, np.zeros(6, np.uint8))
    for part in data.preprocess(dataset, preprocessing):
        assert (part == (np.float32(200 / 255) if preprocessing == "scaled" else 0)).all()


def test_an_unknown_preprocessing_is_refused() -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole text is compared
        data.preprocess(toy(), "whiten")
    assert str(refused.value) == (
        "preprocessing must be one of whitened, standardised, scaled, got 'whiten'"
    )


def test_contrast_is_normalised_for_each_image_over_all_its_values() -> None:
    images = toy().train_images
    images[3] = 17
    rows = data.global_contrast_normalised(images)
    assert rows.dtype == np.float64
    assert np.abs(rows.mean(axis=1)).max() < 1e-12
    norms = np.linalg.norm(rows, axis=1)
    assert norms[3] == 0
    assert np.delete(norms, 3) == pytest.approx(np.full(59, 55), rel=1e-13)
    for image, row in zip(images, rows, strict=True):
        assert row == pytest.approx(normalised(image), rel=1e-11, abs=1e-11)


@pytest.fixture(scope="module")
def fitted() -> tuple[npt.NDArray[np.float64], Zca]:
    rows = data.global_contrast_normalised(toy(4, training=500).train_images)
    return rows, data.fit_zca(rows)


def test_the_whitened_training_images_have_mean_zero_and_the_shrunk_spectrum(
    fitted: tuple[npt.NDArray[np.float64], Zca],
) -> None:
    rows, zca = fitted
    whitened = zca.apply(rows)
    assert np.abs(whitened.mean(axis=0)).max() < 1e-12
    before = np.linalg.eigvalsh(np.cov(rows.T, bias=True))
    after = np.linalg.eigvalsh(np.cov(whitened.T, bias=True))
    assert before[-1] > 100 > 0.5 > before[1]
    assert after == pytest.approx(before / (before + 0.1), abs=1e-11)


def test_the_whitening_matrix_is_symmetric_and_positive(
    fitted: tuple[npt.NDArray[np.float64], Zca],
) -> None:
    _, zca = fitted
    assert zca.matrix == pytest.approx(zca.matrix.T, abs=1e-13)
    assert np.linalg.eigvalsh(zca.matrix).min() > 0


def test_whitening_can_be_inverted(fitted: tuple[npt.NDArray[np.float64], Zca]) -> None:
    rows, zca = fitted
    assert zca.invert(zca.apply(rows)) == pytest.approx(rows, abs=1e-10)
    assert zca.apply(zca.invert(rows)) == pytest.approx(rows, abs=1e-10)


def test_images_are_whitened_on_the_device_that_is_named() -> None:
    import torch
    from torch.overrides import TorchFunctionMode

    seen = []

    class Devices(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if getattr(function, "__name__", "") == "cpu":
                # A tensor of this device has a shape and no values to give back.
                seen.append((args[0].device.type, *args[0].shape))
                return torch.zeros(args[0].shape, dtype=args[0].dtype, device="cpu")
            return function(*args, **(kwargs or {}))

    dataset = toy(4, training=30)
    with Devices():
        data.preprocess(dataset, "whitened", device="meta")
    dimensions = math.prod(dataset.train_images.shape[1:])
    assert seen == [("meta", 30, dimensions), ("meta", len(dataset.test_images), dimensions)]


@pytest.mark.parametrize("chunk", [7, 60, 4096])
@pytest.mark.parametrize("training", [200, 30])
def test_whitening_agrees_with_the_oracle_whatever_the_chunk(
    training: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = toy(5, training=training)
    monkeypatch.setattr(data, "CHUNK", chunk)
    train, test = whitened_by_svd(dataset)
    rows = data.global_contrast_normalised(dataset.train_images)
    zca = data.fit_zca(rows)
    assert zca.apply(rows) == pytest.approx(train, abs=1e-9)
    ours = data.preprocess(dataset, "whitened")
    for mine, oracle, images in zip(
        ours, (train, test), (dataset.train_images, dataset.test_images), strict=True
    ):
        assert mine.dtype == np.float32
        assert mine.shape == images.shape
        assert mine == pytest.approx(oracle.reshape(images.shape), rel=1e-6, abs=1e-7)


# The cache of fitted transforms.


def whiten(dataset: DataSet, cache: Path) -> bytes:
    return b"".join(part.tobytes() for part in data.preprocess(dataset, "whitened", cache=cache))


def test_a_whitening_is_fitted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = whiten(toy(), tmp_path / "whitening")
    (file,) = (tmp_path / "whitening").iterdir()
    assert len(file.name.removeprefix("zca-")) == 64
    assert file.stat().st_size == 32 + 8 * (60 + 60 * 60)
    monkeypatch.setattr(data, "fit_zca", None)
    assert whiten(toy(), tmp_path / "whitening") == fresh


def test_the_default_cache_is_the_users(user_cache: Path) -> None:
    data.preprocess(toy(), "whitened")
    assert len(list((user_cache / "whitening").iterdir())) == 1


@pytest.mark.parametrize("changed", ["CONTRAST", "FILTER_BIAS", "METHOD_VERSION", "data"])
def test_another_method_or_other_data_is_another_file(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whiten(toy(), tmp_path)
    dataset = toy()
    if changed == "data":
        dataset.train_images[0, 0, 0, 0] ^= 1
    else:
        monkeypatch.setattr(data, changed, getattr(data, changed) * 2)
    whiten(dataset, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    fresh = whiten(toy(), tmp_path)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    rng = np.random.default_rng(6)
    damaged = [b"", good[:10], good[:32], good[:-1], good[:-8], good + b"\0", b"\0" * len(good)]
    for position in (0, 31, 32, len(good) - 1, *rng.integers(0, len(good), 20)):
        flipped = bytearray(good)
        flipped[position] ^= 1 << rng.integers(0, 8)
        damaged.append(bytes(flipped))
    for content in damaged:
        file.write_bytes(content)
        assert whiten(toy(), tmp_path) == fresh
        assert file.read_bytes() == good
    assert list(tmp_path.iterdir()) == [file]


def test_the_file_of_other_data_is_made_anew(tmp_path: Path) -> None:
    fresh = whiten(toy(), tmp_path / "one")
    whiten(toy(7), tmp_path / "other")
    (file,), (foreign,) = (tmp_path / "one").iterdir(), (tmp_path / "other").iterdir()
    file.write_bytes(foreign.read_bytes())
    assert whiten(toy(), tmp_path / "one") == fresh


def test_a_full_disk_costs_only_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fresh = whiten(toy(), tmp_path / "one")
    monkeypatch.setattr(os, "fsync", fill)
    with pytest.warns(UserWarning, match="whitening") as warned:
        assert whiten(toy(), tmp_path / "two") == fresh
    (warning,) = warned
    assert str(warning.message) == (
        f"The whitening of toy cannot be kept in {tmp_path}/two ({os.strerror(errno.ENOSPC)}); "
        "the next run will compute it again."
    )
    assert warning.filename == __file__
    assert list((tmp_path / "two").iterdir()) == []


def test_a_cache_folder_that_cannot_be_made_costs_only_the_cache(tmp_path: Path) -> None:
    fresh = whiten(toy(), tmp_path / "one")
    (tmp_path / "two").write_text("a file")
    with pytest.warns(UserWarning, match="cannot be kept in .*two"):
        assert whiten(toy(), tmp_path / "two") == fresh


def test_a_file_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.extend(tmp_path.iterdir()))
    whiten(toy(), tmp_path)
    (file,) = tmp_path.iterdir()
    (part,) = seen
    assert part.name.startswith(f".{file.name}.")


# Downloading.


@pytest.fixture
def server(mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serve the small MNIST in place of torchvision's mirrors; yield what was fetched."""
    from torchvision import datasets

    served = tmp_path / "served"
    served.mkdir()
    resources = []
    for file in data.FILES["mnist"]:
        packed = gzip.compress((mnist / file).read_bytes())
        (served / f"{Path(file).name}.gz").write_bytes(packed)
        resources.append((f"{Path(file).name}.gz", md5(packed)))
    fetched: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            if self.command == "GET":
                fetched.append(self.path)

    handler = functools.partial(Handler, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(
            datasets.MNIST, "mirrors", [f"http://127.0.0.1:{listening.server_port}/"]
        )
        monkeypatch.setattr(datasets.MNIST, "resources", resources)
        yield fetched
        listening.shutdown()
        thread.join()


def test_what_is_missing_is_downloaded(mnist: Path, server: list[str], tmp_path: Path) -> None:
    data.download("mnist", tmp_path / "new" / "folder")
    assert len(set(server)) == 4
    ours = data.load("mnist", tmp_path / "new" / "folder")
    assert ours.digest == data.load("mnist", mnist).digest


def test_what_is_damaged_is_downloaded(mnist: Path, server: list[str]) -> None:
    before = data.load("mnist", mnist).digest
    flip_a_byte(mnist / RAW / "t10k-images-idx3-ubyte")
    data.download("mnist", mnist)
    assert server
    assert data.load("mnist", mnist).digest == before


def test_what_is_there_is_not_downloaded(mnist: Path, server: list[str]) -> None:
    data.download("mnist", mnist)
    data.download("patterns", mnist)
    assert server == []


def test_a_failed_download_says_what_to_do(mnist: Path, server: list[str], tmp_path: Path) -> None:
    # Not a missing file: torchvision would leave the connection open, which is a warning.
    flip_a_byte(tmp_path / "served" / "train-labels-idx1-ubyte.gz")
    with pytest.raises(DataError) as refused:
        data.download("mnist", tmp_path / "new")
    said = str(refused.value)
    assert said.startswith(f"mnist in {tmp_path}/new: it cannot be downloaded (")
    assert "train-labels-idx1-ubyte.gz" in said
    assert said.endswith(
        "); check the network and the folder, or set NIN_DATA to a folder that has the data set"
    )
    assert not (tmp_path / "new" / RAW / "train-labels-idx1-ubyte").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=os.strerror(errno.ENOTDIR)):
        data.download("mnist", tmp_path / "file")


def test_the_command_downloads_and_verifies(
    server: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NIN_DATA", str(tmp_path / "new"))
    assert data.main(["mnist"]) == 0
    digest = data.load("mnist").digest
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"mnist in {tmp_path}/new: 11 training and 7 test images, SHA-256 {digest}"
    )


def test_the_command_names_what_failed_and_does_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert data.main(["nist", "patterns"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: there is no data set 'nist'; there are cifar10, ")
    assert captured.out.startswith("patterns in ")


def test_the_command_takes_the_three_common_sets_unless_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def refuse(name: str) -> None:
        asked.append(name)
        raise DataError("no")

    monkeypatch.setattr(data, "download", refuse)
    assert data.main([]) == 1
    assert asked == ["cifar10", "cifar100", "mnist"]


def test_the_command_runs_without_importing_torch() -> None:
    code = (
        "import runpy, sys; sys.argv = ['data', 'patterns']\n"
        "try: runpy.run_module('nin_ref.data', run_name='__main__')\n"
        "except SystemExit as done: code = done.code\n"
        "sys.exit(code or 9 * ('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"SHA-256 {data.DIGESTS['patterns']}\n")


# With the real data.


def linked(name: str, tmp_path: Path) -> Path:
    """Return a folder of links to the real files of a data set."""
    for file in data.FILES[name]:
        (tmp_path / "real" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "real" / file).symlink_to(Path(str(REAL), file).absolute())
    return tmp_path / "real"


@needs_real_data
@pytest.mark.parametrize(
    ("name", "sizes", "means", "deviations"),
    [
        ("cifar10", (50_000, 10_000), (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ("cifar100", (50_000, 10_000), (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
        ("mnist", (60_000, 10_000), (0.1307,), (0.3081,)),
    ],
)
def test_real_data_have_their_known_statistics(
    name: str, sizes: tuple[int, int], means: tuple[float], deviations: tuple[float]
) -> None:
    dataset = data.load(name, Path(str(REAL)))
    assert (len(dataset.train_images), len(dataset.test_images)) == sizes
    pixels = dataset.train_images[:5000].swapaxes(0, 1).reshape(len(means), -1) / 255
    assert pixels.mean(axis=1) == pytest.approx(means, abs=0.01)
    assert pixels.std(axis=1) == pytest.approx(deviations, abs=0.01)
    assert set(np.bincount(dataset.test_labels) * dataset.classes // 1000 - 10) <= set(range(-2, 3))
    # The sky is above: images have their rows from top to bottom.
    if name == "cifar10":
        rows = dataset.train_images[dataset.train_labels == 0].mean(axis=(0, 1, 3))
        assert rows[0] > rows[20]


@needs_real_data
@pytest.mark.parametrize(("damage", "said"), DAMAGES, ids=DAMAGE_NAMES)
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist"])
def test_a_damaged_real_file_is_named(name: str, damage: Damage, said: str, tmp_path: Path) -> None:
    root = linked(name, tmp_path)
    file = min(data.FILES[name], key=lambda file: (root / file).stat().st_size)
    damage(root / file)
    with pytest.raises(DataError) as refused:
        data.load(name, root)
    assert str(refused.value) == f"{name} in {root}: {file} {said}{ADVICE}"


@needs_real_data
def test_one_flipped_byte_in_a_real_batch_is_found(tmp_path: Path) -> None:
    root = linked("cifar10", tmp_path)
    flip_a_byte(root / "cifar-10-batches-py" / "data_batch_4")
    with pytest.raises(DataError, match=r"data_batch_4 is damaged, or another file; run"):
        data.load("cifar10", root)


@needs_real_data
@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_swapped_real_files_are_refused(kind: str, tmp_path: Path) -> None:
    root = linked("mnist", tmp_path)
    swap(root / RAW / f"train-{kind}-ubyte")
    with pytest.raises(DataError, match=f"train-{kind}-ubyte is damaged, or another file; run"):
        data.load("mnist", root)


@needs_real_data
def test_real_images_are_whitened_as_defined() -> None:
    images = data.load("cifar10", Path(str(REAL))).train_images[:3000, :, 8:24]
    rows = data.global_contrast_normalised(images)
    zca = data.fit_zca(rows)
    whitened = zca.apply(rows)
    assert np.abs(whitened.mean(axis=0)).max() < 1e-10
    # W = C (C + 0.1 I)^-1 has C's eigenvectors and the spectrum v / (v + 0.1).
    rows -= rows.mean(axis=0)
    before, after = rows.T @ rows / 3000, whitened.T @ whitened / 3000
    product = after @ before + 0.1 * after
    assert np.abs(product - before).max() < 1e-8
    assert np.abs(zca.matrix - zca.matrix.T).max() < 1e-12
