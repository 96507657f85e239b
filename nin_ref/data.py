"""The data sets that networks are trained on, and what is done to their images before.

`load` gives the four arrays of a data set, after two checks: its files are the published ones (so
no unknown pickle is opened), and the arrays made from them are the known ones. `preprocess` turns
the images into what a network sees. `python -m nin_ref.data` downloads; nothing else here does.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import math
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nin_ref.files import write_atomically

Bytes = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

NAMES = ("cifar10", "cifar100", "mnist", "svhn", "patterns")
PREPROCESSINGS = ("whitened", "standardised", "scaled")

# MD5 of the published files. torchvision compares those of CIFAR and SVHN itself, but does not say
# which file is wrong; MNIST's it compares only while downloading.
FILES = {
    "cifar10": {
        "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
        "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
        "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
    "cifar100": {
        "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
        "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "cifar-100-python/meta": "7973b15100ade9c7d40fb424638fde48",
    },
    "mnist": {
        "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "svhn": {
        "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    },
    "patterns": {},
}

# `DataSet.digest` of each. SVHN's is missing because it was not at hand; its files are checked.
DIGESTS = {
    "cifar10": "f34b5ee418b4f5aba83e0feb2fef6e77fe22247f0e58db0703ffda4533e66d19",
    "cifar100": "ed38d7c030042f1093b3d6b1dd06601f47d1e13a39afeb3a825359dcc84d742b",
    "mnist": "ff7b7759284de66b079702efa2b94acc5d89e262156cf05284b2bb125f48de3a",
    "patterns": "71229825b887ad79ca89ba716967c4b43e35f5a57f08a8db94816a59b13b6b1d",
}

CLASS_NAMES = {
    "cifar10": (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
}

# Of the whitening. A change of any of these gives its cached transforms another name.
CONTRAST = 55.0
FILTER_BIAS = 0.1
METHOD_VERSION = 1

CHUNK = 4096  # images that are whitened at once: 100 MB of float64 for CIFAR


class DataError(Exception):
    """A data set that cannot be used; the text says which, where, why, and what to do."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images and labels, to be left as they are: the digest is computed once.

    Raises ValueError if an array has another type or shape than it says here.
    """

    name: str
    train_images: Bytes
    """[N, C, H, W]"""
    train_labels: Bytes
    """[N]"""
    test_images: Bytes
    """[M, C, H, W]"""
    test_labels: Bytes
    """[M]"""

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            images: Bytes = getattr(self, f"{part}_images")
            labels: Bytes = getattr(self, f"{part}_labels")
            bytes_only = images.dtype == labels.dtype == np.uint8
            if not bytes_only or images.ndim != 4 or labels.shape != images.shape[:1]:
                raise ValueError(
                    f"{part}_images and {part}_labels must be uint8 [N, C, H, W] and uint8 [N], "
                    f"got {images.dtype} {images.shape} and {labels.dtype} {labels.shape}"
                )

    @property
    def classes(self) -> int:
        """Number of classes, of which a part of a data set may lack some."""
        return 100 if self.name == "cifar100" else 10

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over names, types, shapes and bytes of the four arrays, in hexadecimal."""
        sha256 = hashlib.sha256()
        for name in ("train_images", "train_labels", "test_images", "test_labels"):
            array = np.ascontiguousarray(getattr(self, name))
            sha256.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            sha256.update(array.data)
        return sha256.hexdigest()


def folder() -> Path:
    """Return where the data sets are: in $NIN_DATA, or else in the user's cache folder."""
    if chosen := os.environ.get("NIN_DATA"):
        return Path(chosen).expanduser()
    return _user_cache() / "data"


def load(name: str, root: Path | None = None) -> DataSet:
    """Return a data set from `root`, by default `folder()`. SVHN comes without its extra images.

    Raises:
        DataError: if there is no such data set, if a file is missing, unreadable or not the
            published one, or if the arrays are not the known ones.
    """
    root = root or folder()
    _check_name(name)
    advice = "run `make data`, or set NIN_DATA to a folder that has the data set"
    for file, md5 in FILES[name].items():
        if problem := _problem(root, file, md5):
            raise DataError(f"{name} in {root}: {problem}; {advice}")
    if name == "patterns":
        dataset = _patterns()
    else:
        try:
            train, test = _torchvision(name, root, download=False)
        except Exception as error:  # what torchvision, Pillow and SciPy raise is not documented
            raise DataError(f"{name} in {root}: it cannot be read ({error}); {advice}") from error
        dataset = DataSet(name, *_images_and_labels(train), *_images_and_labels(test))
    if dataset.digest != DIGESTS.get(name, dataset.digest):
        raise DataError(
            f"{name} in {root}: its images and labels have the SHA-256 {dataset.digest}, and "
            f"{DIGESTS[name]} is expected; the files are right, so what reads them is not: "
            "compare the versions of NumPy and torchvision with requirements.lock"
        )
    return dataset


def download(name: str, root: Path | None = None) -> None:
    """Put the files of a data set into `root`, by default `folder()`, unless they are there.

    Files that differ from the published ones are replaced.

    Raises:
        DataError: if there is no such data set, or if it cannot be fetched or written.
    """
    root = root or folder()
    _check_name(name)
    wrong = [file for file, md5 in FILES[name].items() if _problem(root, file, md5)]
    if not wrong:
        return
    try:
        for file in wrong:  # torchvision would take any MNIST file of the right name
            (root / file).unlink(missing_ok=True)
        _torchvision(name, root, download=True)
    except Exception as error:  # as above, and what the network raises
        raise DataError(
            f"{name} in {root}: it cannot be downloaded ({error}); check the network and the "
            "folder, or set NIN_DATA to a folder that has the data set"
        ) from error


def preprocess(
    dataset: DataSet, preprocessing: str, *, cache: Path | None = None, device: str = "cpu"
) -> tuple[Float32, Float32]:
    """Return the training and the test images as a network sees them, float32 [N, C, H, W].

    - `scaled`: pixels from 0 to 1.
    - `standardised`: each channel has mean 0 and standard deviation 1 on the training images.
    - `whitened`: global contrast normalisation, then ZCA fitted on the training images, all in
      float64. The fitted transform is kept in the folder `cache`, by default one in the user's
      cache folder; if it cannot be written, that is a warning. It is applied on `device`.

    Raises:
        ValueError: if there is no such preprocessing.
    """
    if preprocessing == "whitened":
        zca = _fitted_zca(dataset, cache or _user_cache() / "whitening")
        return (
            _whitened(dataset.train_images, zca, device),
            _whitened(dataset.test_images, zca, device),
        )
    channels = dataset.train_images.shape[1]
    values = np.arange(256)
    if preprocessing == "scaled":
        tables = [values / 255] * channels
    elif preprocessing == "standardised":
        tables = [_standardised(values, dataset.train_images[:, c]) for c in range(channels)]
    else:
        raise ValueError(
            f"preprocessing must be one of {', '.join(PREPROCESSINGS)}, got {preprocessing!r}"
        )
    return _looked_up(dataset.train_images, tables), _looked_up(dataset.test_images, tables)


def global_contrast_normalised(images: Bytes) -> Float64:
    """Subtract from each image its mean and scale it to the L2 norm 55; [N, C, H, W] to [N, D].

    Mean and norm are over all D = C * H * W values. An image of one value becomes zeros.
    """
    rows = images.reshape(len(images), -1).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    norms[norms == 0] = 1  # exact: the mean of equal integers has no rounding error
    rows *= (CONTRAST / norms)[:, None]
    return rows


@dataclass(frozen=True, eq=False)
class Zca:
    """A whitening that stays as close to its input as it can."""

    mean: Float64
    """[D]"""
    matrix: Float64
    """[D, D], symmetric"""

    def apply(self, rows: Float64, device: str = "cpu") -> Float64:
        """Whiten [N, D], which takes a CPU twenty seconds for CIFAR-10, and a GPU none."""
        import torch

        centred = torch.from_numpy(rows - self.mean).to(device)
        whitened: Float64 = (centred @ torch.tensor(self.matrix).to(device)).cpu().numpy()
        return whitened

    def invert(self, whitened: Float64) -> Float64:
        """Return the [N, D] of which `apply` makes `whitened`."""
        rows: Float64 = np.linalg.solve(self.matrix, whitened.T).T + self.mean
        return rows


def fit_zca(rows: Float64) -> Zca:
    """Fit the whitening of [N, D]: centring, then (covariance + 0.1 I) to the power -1/2.

    The covariance has the divisor N. An eigenvalue v of it becomes v / (v + 0.1).
    """
    mean = rows.mean(axis=0)
    covariance = np.zeros((len(mean), len(mean)))
    for start in range(0, len(rows), CHUNK):
        centred = rows[start : start + CHUNK] - mean
        covariance += centred.T @ centred
    covariance /= len(rows)
    eigenvalues, vectors = np.linalg.eigh(covariance + FILTER_BIAS * np.eye(len(mean)))
    return Zca(mean, (vectors / np.sqrt(eigenvalues)) @ vectors.T)


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nin-claims"


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise DataError(f"there is no data set {name!r}; there are {', '.join(NAMES)}")


def _problem(root: Path, file: str, md5: str) -> str:
    """Say what is wrong with a file; nothing if it is the published one."""
    try:
        with (root / file).open("rb") as opened:
            digest = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False))
    except FileNotFoundError:
        return f"{file} is missing" if root.is_dir() else "there is no such folder"
    except OSError as error:
        return f"{file} cannot be read ({error.strerror})"
    return "" if digest.hexdigest() == md5 else f"{file} is damaged, or another file"


def _torchvision(name: str, root: Path, *, download: bool) -> tuple[Any, Any]:
    """Return torchvision's training and test set."""
    from torchvision import datasets

    if name == "svhn":
        return (
            datasets.SVHN(root, split="train", download=download),
            datasets.SVHN(root, split="test", download=download),
        )
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "mnist": datasets.MNIST}
    return (
        kind[name](root, train=True, download=download),
        kind[name](root, train=False, download=download),
    )


def _images_and_labels(part: Any) -> tuple[Bytes, Bytes]:
    """Turn one of torchvision's sets into [N, C, H, W] and [N]."""
    images = np.asarray(part.data)
    if images.ndim == 3:  # MNIST
        images = images[:, None]
    elif images.shape[-1] == 3:  # CIFAR
        images = images.transpose(0, 3, 1, 2)
    labels = part.targets if hasattr(part, "targets") else part.labels
    return np.ascontiguousarray(images), np.asarray(labels).astype(np.uint8)


def _patterns() -> DataSet:
    """Make a small set for tests: 512 and 256 images of 3 x 32 x 32 in ten classes.

    Each class has a pattern of two by two squares of colour. An image is its class's pattern,
    shifted cyclically by any amount, under noise.
    """
    # Unlike what np.random.Generator makes of them, the generator's raw numbers never change.
    generator = np.random.PCG64(0)

    def drawn(*shape: int) -> Bytes:
        words = generator.random_raw(-(-math.prod(shape) // 8)).astype("<u8")
        return words.view(np.uint8)[: math.prod(shape)].reshape(shape)

    squares = drawn(10, 3, 2, 2).repeat(16, axis=2).repeat(16, axis=3)
    labels = (np.arange(768) % 10).astype(np.uint8)
    shifts = drawn(768, 2) % 32
    shifted = np.stack(
        [
            np.roll(squares[label], tuple(shift), axis=(1, 2))
            for label, shift in zip(labels, shifts, strict=True)
        ]
    )
    noise = drawn(*shifted.shape)
    images = ((3 * shifted.astype(np.uint16) + 5 * noise.astype(np.uint16)) // 8).astype(np.uint8)
    return DataSet("patterns", images[:512], labels[:512], images[512:], labels[512:])


def _standardised(values: npt.NDArray[np.int64], channel: Bytes) -> Float64:
    """Centre and scale pixel values as those of the channel; of one value they become zeros."""
    deviation = channel.std(dtype=np.float64)
    table: Float64 = (values - channel.mean(dtype=np.float64)) / (deviation or 1)
    return table


def _looked_up(images: Bytes, tables: Sequence[Float64]) -> Float32:
    """Replace the pixels of each channel by their entries in its table of 256 numbers."""
    looked_up = np.empty(images.shape, np.float32)
    for channel, table in enumerate(tables):
        looked_up[:, channel] = table.astype(np.float32)[images[:, channel]]
    return looked_up


def _whitened(images: Bytes, zca: Zca, device: str) -> Float32:
    """Return the whitened images as float32 [N, C, H, W]."""
    whitened = np.empty(images.shape, np.float32)
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        rows = zca.apply(global_contrast_normalised(chunk), device)
        whitened[start : start + CHUNK] = rows.reshape(chunk.shape)
    return whitened


def _fitted_zca(dataset: DataSet, cache: Path) -> Zca:
    """Read the whitening of the training images from the cache, or fit it and keep it there."""
    made_of = f"{METHOD_VERSION} {CONTRAST} {FILTER_BIAS} {dataset.digest}"
    path = cache / f"zca-{hashlib.sha256(made_of.encode()).hexdigest()}"
    kept = _read_zca(path, math.prod(dataset.train_images.shape[1:]))
    if kept is not None:
        return kept
    zca = fit_zca(global_contrast_normalised(dataset.train_images))
    try:
        _write_zca(path, zca)
    except OSError as error:
        warnings.warn(
            f"The whitening of {dataset.name} cannot be kept in {cache} ({error.strerror}); "
            "the next run will compute it again.",
            stacklevel=3,
        )
    return zca


# The file is a SHA-256 over its own name and what follows (so another's file is not taken for it),
# then the mean and the rows of the matrix: 75 MB for CIFAR. There is no format to get wrong.


def _read_zca(path: Path, dimensions: int) -> Zca | None:
    """Return what `_write_zca` wrote, or nothing if it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(path.name.encode() + content[32:]).digest() != content[:32]:
        return None
    rows = np.frombuffer(content, "<f8", offset=32).reshape(-1, dimensions)
    return Zca(rows[0], rows[1:])


def _write_zca(path: Path, zca: Zca) -> None:
    numbers = np.vstack([zca.mean, zca.matrix]).astype("<f8").tobytes()
    write_atomically(path, hashlib.sha256(path.name.encode() + numbers).digest() + numbers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Download the named data sets and verify them; return 1 if one cannot be had."""
    parser = argparse.ArgumentParser(
        prog="python -m nin_ref.data",
        description=f"Download data sets to {folder()} (NIN_DATA chooses another folder) and "
        f"verify them. There are {', '.join(NAMES)}.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="cifar10, cifar100 and mnist")
    names = parser.parse_args(arguments).names or ["cifar10", "cifar100", "mnist"]
    failed = False
    for name in names:
        try:
            download(name)
            dataset = load(name)
        except DataError as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command
            failed = True
        else:
            print(  # noqa: T201
                f"{name} in {folder()}: {len(dataset.train_images)} training and "
                f"{len(dataset.test_images)} test images, SHA-256 {dataset.digest}",
                flush=True,
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
