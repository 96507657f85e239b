"""Training runs on disk: `results/runs/ARM/SEED/`, written whole by one process, and checked.

    run.json          what was run, where, when, with which versions; digests of the other files
    curve.json        an epoch a row, and the losses of the first ten steps
    predictions.npz   the predicted class of each test image, and under each probe of the recipe
    weights.pt        the trained weights in float16, for some seeds of an arm

`results/local/runs/ARM/SEED/` has the lock of the process at work and its checkpoint. Nothing here
needs more than PyTorch and NumPy.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import io
import itertools
import json
import math
import os
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from claims.training.arms import ARMS, CLASSES, Arm
from nin_ref.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nin_ref.training import Images, Report

Array = np.ndarray[Any, np.dtype[Any]]

RESULTS = Path(__file__).resolve().parent.parent.parent / "results"

FORMAT = 1
Fields = Mapping[str, type | tuple[type, ...]]
MADE_BY: Fields = {
    "commit": (str, NoneType),
    "clean": (bool, NoneType),
    "code": str,
    "versions": dict,
    "device": dict,
    "command": list,
    "finished": str,
    "digest": str,
}
FIELDS: Fields = {
    "format": int,
    "arm": str,
    "seed": int,
    "recipe": dict,
    "recipe digest": str,
    "trace": list,
    "rules": dict,
    "data": dict,
    "started": str,
    "resumed": int,
    "seconds": list,
    "collapsed": bool,
    "files": dict,
    **MADE_BY,
}
ROW = (
    "loss in training",
    "error in training",
    "first gradient",
    "training loss",
    "training error",
    "test loss",
    "test error",
)
LARGEST = {  # bytes; more is not read
    "run.json": 2**20,
    "curve.json": 2**20,
    "predictions.npz": 2**22,
    "weights.pt": 2**30,
}


class RunError(Exception):
    """A run is damaged, incomplete or contradicts itself; one sentence in the user's words."""


@dataclass(frozen=True)
class Run:
    """A checked run: its record, its curve, and its predictions by the name of the images."""

    folder: Path
    record: Mapping[str, Any]
    curve: Sequence[Mapping[str, float]]
    first_losses: Sequence[float]
    predictions: Mapping[str, Array]


def folder_of(results: Path, arm: str, seed: int) -> Path:
    """Return where a finished run lies."""
    return results / "runs" / arm / str(seed)


def make(
    name: str,
    arm: Arm,
    seed: int,
    images: Images,
    device: str,
    *,
    results: Path,
    warn: Callable[[str], None],
    report: Report,
    command: Sequence[str] = (),
    checkpoint_interval: float = 60.0,
) -> Path | None:
    """Train one run, or the rest of one, and put it among the results.

    The record says that `command` made it.

    Returns its folder, or None if another process has it in hand or has finished it.

    Raises:
        OSError: if the finished run cannot be written; its checkpoint stays.
        TrainingError: if the recipe does not fit the images.
    """
    import torch

    from nin_ref import training

    finished = folder_of(results, name, seed)
    local = folder_of(results / "local", name, seed)
    with taken(local) as mine:
        if not mine or finished.exists():
            return None
        made_by = provenance(device)
        checkpoint = training.Checkpoint(local / "checkpoint", warn, checkpoint_interval)
        network, progress, predictions = training.train(
            arm.recipe, seed, images, torch.device(device), checkpoint=checkpoint, report=report
        )
        files = {
            "curve.json": _json({"first losses": progress.first_losses, "epochs": progress.curve}),
            "predictions.npz": npz(predictions),
        }
        if seed < arm.weights_of:
            files["weights.pt"] = _weights(network)
        made_by["device"]["threads"] = progress.threads
        record = {
            "format": FORMAT,
            "arm": name,
            "seed": seed,
            "recipe": dataclasses.asdict(arm.recipe),
            "recipe digest": arm.recipe.digest,
            "trace": arm.trace(),
            "rules": rules_that_use(name, results),
            "data": {"name": arm.recipe.data, "sha256": images.digest},
            **made_by,
            "command": list(command),
            "started": progress.started,
            "finished": training.now(),
            "resumed": progress.resumed,
            "seconds": [round(seconds, 4) for seconds in progress.seconds],
            "collapsed": training.collapsed(progress.curve, images.classes),
            "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        }
        record["digest"] = record_digest(record)
        _put({**files, "run.json": _json(record)}, local / "finished", finished)
        (local / "checkpoint").unlink(missing_ok=True)
    return finished


def record_digest(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record, apart from its own digest."""
    others = {name: value for name, value in record.items() if name != "digest"}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def taken(local: Path) -> Iterator[bool]:
    """Hold the lock of a run; gives False where another process has it.

    The system releases it when the process ends, however it ends.
    """
    local.mkdir(parents=True, exist_ok=True)
    with (local / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@functools.cache
def fresh(results: Path, name: str) -> dict[int, tuple[Run, Array]]:
    """Return the runs of an arm that are not stale, by seed, each with the true test labels.

    Raises:
        RunError: if a run is not valid.
    """
    found = {}
    folders = list((results / "runs" / name).glob("[0-9]*"))
    listed = traces(results) if folders else {}
    for folder in folders:
        labels = test_labels(ARMS[name].recipe.data, results)
        run = read(folder, labels)
        if not stale(run, listed):
            found[int(folder.name)] = run, labels
    return found


def traces(results: Path) -> Mapping[str, Sequence[float]]:
    """Return the trace of each arm, as `traces.json` lists them."""
    listed: dict[str, list[float]] = json.loads((results / "traces.json").read_bytes())
    return listed


def stale(run: Run, traces: Mapping[str, Sequence[float]]) -> str:
    """Return why a run says nothing of its arm, which has this trace; empty if it does."""
    name = run.record["arm"]
    if run.record["recipe digest"] != ARMS[name].recipe.digest:
        return "the recipe of the arm has changed"
    if not same_trace(name, run.record["trace"], traces[name]):
        return "the code trains otherwise: the losses of the first steps on noise have changed"
    return ""


def same_trace(name: str, trace: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two traces of an arm agree, up to rounding."""
    pairs = itertools.zip_longest(trace, other, fillvalue=math.nan)
    tolerance = ARMS[name].trace_tolerance
    return all(math.isclose(one, its, rel_tol=tolerance) for one, its in pairs)


def rules(results: Path) -> dict[str, Any]:
    """Return the rules of all training claims by the claims' ids, as `rules.json` lists them."""
    try:
        listed: dict[str, Any] = json.loads((results / "rules.json").read_bytes())
    except FileNotFoundError:
        return {}
    return listed


def rules_that_use(arm: str, results: Path) -> dict[str, str]:
    """Return the digests of the rules that this arm's runs decide, by the ids of their claims."""
    return {id_: rule["digest"] for id_, rule in rules(results).items() if arm in rule["arms"]}


# Of the bytes of the labels, in the order of the published test sets.
TEST_LABELS = {
    "cifar10": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    "cifar100": "4dad7d09c7c97d33f6cb928d705cf4196221316fd6e31bdd978a08ed9103ee0b",
    "mnist": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    "patterns": "b052b7030deaa47ad3c10dc6a7eabf1ce7ac2242e9449fb22f3dc70f74dad281",
}


def keep_test_labels(data: str, labels: Array, results: Path) -> None:
    """Put the true labels of a test set beside the runs, where they are not there yet."""
    path = results / "test_labels" / f"{data}.npy"
    if not path.exists():
        content = io.BytesIO()
        np.save(content, labels)
        write_atomically(path, content.getvalue())


def test_labels(data: str, results: Path) -> Array:
    """Return the true labels of a test set, uint8 [N].

    Raises:
        RunError: if they are not there or not the published ones.
    """
    path = results / "test_labels" / f"{data}.npy"
    try:
        labels: Array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise RunError(f"there are no true labels of {data} beside the runs") from None
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{path} is damaged ({error})") from error
    known = TEST_LABELS.get(data)
    if labels.dtype != np.uint8 or known not in (
        None,
        hashlib.sha256(labels.tobytes()).hexdigest(),
    ):
        raise RunError(f"{path} does not hold the labels of the published test set")
    return labels


# What other runs leave changes nothing of this one.
OTHER_RUNS = [f":(top,exclude)results/{name}" for name in ("runs", "examined", "test_labels")]
CHANGES = ("status", "--porcelain", "--", ":/", *OTHER_RUNS)


def provenance(device: str) -> dict[str, Any]:
    """Return what the outcome comes from: code, versions and device."""
    import torch

    from nin_ref import training

    cuda = device != "cpu"
    return {
        "commit": _git("rev-parse", "HEAD"),
        "clean": None if (changes := _git(*CHANGES)) is None else not changes,
        "code": training.code_digest(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "cuda": str(torch.version.cuda) if cuda else "",
        },
        "device": {
            "kind": "cuda" if cuda else "cpu",
            "name": torch.cuda.get_device_name(device) if cuda else processor(),
        },
    }


def processor() -> str:
    """Return the name of the processor, as precisely as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    """Return what git says of the checkout that this file is in; None where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=True) + "\n").encode()


def npz(arrays: Mapping[str, Array]) -> bytes:
    """Return arrays as a compressed NumPy archive; the same arrays give the same bytes."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]  # NumPy's signature
    return content.getvalue()


def _weights(network: nn.Module) -> bytes:
    import torch

    content = io.BytesIO()
    halved = {
        name: value.cpu().half() if value.is_floating_point() else value.cpu()
        for name, value in network.state_dict().items()
    }
    torch.save(halved, content)
    return content.getvalue()


def _put(files: Mapping[str, bytes], prepared: Path, folder: Path) -> None:
    """Write files into the folder `prepared`, then move it to `folder`, which is not there yet."""
    shutil.rmtree(prepared, ignore_errors=True)
    prepared.mkdir(parents=True)
    for name, content in files.items():
        with (prepared / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    folder.parent.mkdir(parents=True, exist_ok=True)
    prepared.rename(folder)


def read(folder: Path, labels: Array) -> Run:
    """Return a run after checking all that its files say of each other; `labels` [N] are the truth.

    Raises:
        RunError: if a file is missing, damaged or unknown, a field is missing, unknown or of
            another type, a digest differs, or what is said does not follow from the rest.
    """
    where = f"{folder.parent.name}/{folder.name}"
    with blaming(f"run {where}"):
        present = {path.name for path in folder.iterdir()}
        contents = {name: _content(folder / name) for name in sorted(present)}
        require("run.json" in contents, "it has no run.json")
        record = json_object(contents.pop("run.json"))
        _check_record(record)
        require(record["arm"] == folder.parent.name, f"it says that its arm is {record['arm']}")
        require(str(record["seed"]) == folder.name, f"it says that its seed is {record['seed']}")
        digests = {name: hashlib.sha256(one).hexdigest() for name, one in contents.items()}
        require(digests == record["files"], "its files are not those that run.json lists")
        curve = json_object(contents["curve.json"])
        _check_curve(curve, record)
        predictions = arrays(contents["predictions.npz"], LARGEST["predictions.npz"])
        _check_predictions(predictions, record, curve["epochs"][-1], labels)
    return Run(folder, record, curve["epochs"], curve["first losses"], predictions)


@contextlib.contextmanager
def blaming(what: str) -> Iterator[None]:
    """Turn whatever goes wrong while reading damaged files into one sentence."""
    try:
        yield
    except RunError as error:
        raise RunError(f"{what} is not valid: {error}") from error
    except Exception as error:  # damaged files raise almost anything
        reason = f"{type(error).__name__}: {error}"
        raise RunError(f"{what} is damaged ({reason})") from error


def require(condition: bool, otherwise: str) -> None:
    """Raise a RunError unless something is so."""
    if not condition:
        raise RunError(otherwise)


def _content(path: Path) -> bytes:
    require(path.name in LARGEST, f"{path.name} does not belong to a run")
    return plain(path, LARGEST[path.name])


def plain(path: Path, largest: int) -> bytes:
    """Return what is in a plain file of at most so many bytes.

    Raises:
        RunError: if it is no such file.
        OSError: if it cannot be read.
    """
    require(path.is_file() and not path.is_symlink(), f"{path.name} is no plain file")
    require(path.stat().st_size <= largest, f"{path.name} is too large")
    return path.read_bytes()


def json_object(content: bytes) -> dict[str, Any]:
    """Return the object in the text of a JSON file.

    Raises:
        RunError: if it holds something else, or a field twice.
        ValueError: if it is no JSON.
    """
    value = json.loads(content, object_pairs_hook=_without_repetition)
    require(isinstance(value, dict), "a JSON file holds no object")
    found: dict[str, Any] = value
    return found


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    require(len(found) == len(pairs), "a field stands there twice")
    return found


def check_fields(record: Mapping[str, Any], fields: Fields, called: str) -> None:
    """Check the fields of a record, their types, what it says of its origin, and its digest.

    Raises:
        RunError: if something is wrong. A damaged record may raise anything else.
    """
    require(record.get("format") == FORMAT, f"{called} is not of format {FORMAT}")
    unknown, lacking = record.keys() - fields.keys(), fields.keys() - record.keys()
    require(not unknown, f"{called} has unknown fields: {', '.join(sorted(unknown))}")
    require(not lacking, f"{called} lacks {', '.join(sorted(lacking))}")
    for name, kind in fields.items():
        value = record[name]
        right = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        require(right, f"{name} is {value!r}"[:200])
    versions, device = record["versions"], record["device"]
    require(
        versions.keys() == {"python", "numpy", "torch", "cuda"}, f"versions is {versions!r}"[:200]
    )
    require(device.keys() == {"kind", "name", "threads"}, f"device is {device!r}"[:200])
    require(device["kind"] in ("cpu", "cuda"), "the device is neither cpu nor cuda")
    threads = device["threads"]
    require(type(threads) is int and threads > 0, f"it has {threads!r} threads")
    texts = [*versions.values(), device["name"], *record["command"]]
    require(all(isinstance(text, str) for text in texts), "a version or argument is no text")
    require(datetime.fromisoformat(record["finished"]).tzinfo is not None, "its time has no zone")
    require(record_digest(record) == record["digest"], f"{called} is not what its digest says")


def _check_record(record: Mapping[str, Any]) -> None:
    """Check a record, and that the recipe has the digest it is said to have."""
    check_fields(record, FIELDS, "run.json")
    data = record["data"]
    require(data.keys() == {"name", "sha256"}, f"data is {data!r}"[:200])
    texts = [*data.values(), *record["rules"].values(), *record["files"].values()]
    require(all(isinstance(text, str) for text in texts), "a digest or the data's name is no text")
    require(record["seed"] >= 0 and record["resumed"] >= 0, "seed or stops are negative")
    numbers = [*record["trace"], *record["seconds"]]
    require(all(finite(number) for number in numbers), "trace or seconds are no numbers")
    require(min(record["seconds"], default=0) > 0, "an epoch took no time")
    started, finished = (datetime.fromisoformat(record[name]) for name in ("started", "finished"))
    require(started.tzinfo is not None and started <= finished, "it ended before it started")
    digest = hashlib.sha256(json.dumps(record["recipe"], sort_keys=True).encode()).hexdigest()
    require(digest[:16] == record["recipe digest"], "the recipe is not that of its digest")


def finite(number: object) -> bool:
    """Whether a value is a number, and a finite one."""
    return isinstance(number, float | int) and math.isfinite(number)


def _check_curve(curve: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Check that the curve has a row of numbers for each epoch, in the ranges they have."""
    from nin_ref.training import collapsed

    require(curve.keys() == {"first losses", "epochs"}, "curve.json has other fields")
    rows = curve["epochs"]
    epochs = sum(epochs for epochs, _ in record["recipe"]["phases"])
    require(len(rows) == len(record["seconds"]) == epochs, f"the curve has not {epochs} epochs")
    require(0 < len(curve["first losses"]) <= 10, "the curve lacks the first losses")
    numbers = list(curve["first losses"])
    for row in rows:
        require(tuple(row) == ROW, f"a row of the curve has the fields {', '.join(row)}")
        errors = [value for name, value in row.items() if "error" in name]
        require(all(0 <= error <= 100 for error in errors), "an error is not 0 to 100 %")
        numbers += row.values()
    require(all(isinstance(number, float) for number in numbers), "a number is missing")
    claimed = record["collapsed"]
    require(
        claimed == collapsed(rows, CLASSES.get(record["data"]["name"], 10)),
        f"it says collapsed: {claimed}, and its training loss says otherwise",
    )


def arrays(content: bytes, largest: int) -> dict[str, Array]:
    """Return the arrays of a NumPy archive by name, unless they take more bytes; none is unpickled.

    Raises:
        RunError: if they are larger. A damaged archive may raise anything else.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(member.file_size for member in archive.infolist())
        require(size <= largest, "the arrays unpack to too much")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return dict(stored)


def _check_predictions(
    predictions: Mapping[str, Array],
    record: Mapping[str, Any],
    last: Mapping[str, float],
    labels: Array,
) -> None:
    """Check that predictions are classes of as many images, and give the last test error."""
    wanted = {"test", *record["recipe"]["probes"]}
    require(predictions.keys() == wanted, f"predictions are of {', '.join(predictions)}")
    for name, classes in predictions.items():
        right = classes.dtype == np.uint8 and classes.shape == labels.shape
        require(right, f"predictions of {name} are {classes.dtype} {classes.shape}")
        require(
            int(classes.max()) < CLASSES.get(record["data"]["name"], 10),
            f"predictions of {name} have no such class",
        )
    error = test_error(predictions["test"], labels)
    require(
        abs(error - last["test error"]) < 1e-6,
        f"the predictions have a test error of {error:.2f} %, the curve says "
        f"{last['test error']:.2f} %",
    )


def test_error(predictions: Array, labels: Array) -> float:
    """Return the share of wrong predictions in percent."""
    return 100 * float(np.mean(predictions != labels))


def has_weights(run: Run) -> bool:
    """Whether a run has stored weights."""
    return "weights.pt" in run.record["files"]


def weights(run: Run) -> dict[str, Tensor]:
    """Return the stored weights of a run, as they are stored.

    Raises:
        RunError: if they cannot be read, or are not those of the arm's network in float16.
    """
    try:
        return _read_weights(run)
    except Exception as error:  # what PyTorch raises for a damaged file is not documented
        raise RunError(f"its weights cannot be used ({error})") from error


def _read_weights(run: Run) -> dict[str, Tensor]:
    import torch

    from nin_ref import networks

    recipe, path = ARMS[run.folder.parent.name].recipe, run.folder / "weights.pt"
    with torch.device("meta"):
        network = networks.build(recipe.network, **recipe.options)
    wanted = {
        name: (torch.float16 if one.is_floating_point() else one.dtype, one.shape)
        for name, one in network.state_dict().items()
    }
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > sum(kind.itemsize * shape.numel() for kind, shape in wanted.values()) + 2**20:
        raise RunError("they are larger than such a network")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(stored, dict) or not all(map(torch.is_tensor, stored.values())):
        raise RunError("they are no tensors by name")
    if {name: (one.dtype, one.shape) for name, one in stored.items()} != wanted:
        raise RunError("names, shapes or types are not those of the network")
    if not all(bool(torch.isfinite(one).all()) for one in stored.values()):
        raise RunError("one is not finite")
    return stored
