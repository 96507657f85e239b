"""Runs on disk: written whole or not at all, resumed after any kill, refused where damaged."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from claims.training import runs
from claims.training.arms import ARMS
from nin_ref import data, networks

ARM = ARMS["tiny"]


def make(results: Path, seed: int, **arguments: Any) -> Path | None:
    torch.set_num_threads(1)
    quiet: dict[str, Any] = {"warn": pytest.fail, "report": lambda progress, share: None}
    return runs.make(
        "tiny", ARM, seed, tiny.images(), "cpu", results=results, **{**quiet, **arguments}
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results with two runs of the tiny arm."""
    results = tmp_path_factory.mktemp("results")
    for seed in (0, 1):
        assert make(results, seed) == results / "runs" / "tiny" / str(seed)
    return results


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of a run."""
    return Path(shutil.copytree(finished / "runs" / "tiny" / "0", tmp_path / "tiny" / "0"))


LABELS = data.load("patterns").test_labels


# What is written ----------------------------------------------------------------------------------


def test_a_run_says_what_it_came_from(finished: Path) -> None:
    run = runs.read(finished / "runs" / "tiny" / "1", LABELS)
    record = run.record
    assert (record["arm"], record["seed"], record["resumed"]) == ("tiny", 1, 0)
    assert record["recipe digest"] == ARM.recipe.digest
    assert record["trace"] == ARM.trace()
    assert record["data"] == {"name": "patterns", "sha256": data.load("patterns").digest}
    assert record["versions"]["torch"] == torch.__version__
    assert record["device"]["kind"] == "cpu"
    assert record["collapsed"] is False
    assert len(record["seconds"]) == len(run.curve) == ARM.recipe.epochs
    assert set(run.predictions) == {"test", "4 pixels up", "noise of a half"}
    error = 100 * sum(run.predictions["test"] != LABELS) / len(LABELS)
    assert run.curve[-1]["test error"] == pytest.approx(error)


def test_the_first_seeds_keep_their_weights(finished: Path) -> None:
    kept, other = (finished / "runs" / "tiny" / seed / "weights.pt" for seed in ("0", "1"))
    assert not other.exists()
    weights = torch.load(kept, weights_only=True)
    assert weights["features.0.0.weight"].dtype == torch.float16
    network = networks.build("tiny")
    network.load_state_dict(weights)


def test_nothing_else_is_left(finished: Path) -> None:
    local = finished / "local" / "runs" / "tiny" / "0"
    assert [path.name for path in local.iterdir()] == ["lock"]
    assert sorted(path.name for path in finished.iterdir()) == ["local", "runs"]


def test_rules_that_use_the_arm_are_named(tmp_path: Path) -> None:
    listed = {
        "one/uses": {"arms": ["tiny", "cifar10"], "digest": "aa"},
        "other/does-not": {"arms": ["cifar10"], "digest": "bb"},
    }
    (tmp_path / "rules.json").write_text(json.dumps(listed))
    folder = make(tmp_path, 0)
    assert folder is not None
    assert runs.read(folder, LABELS).record["rules"] == {"one/uses": "aa"}


# Two processes, a full disk, a kill ---------------------------------------------------------------


def test_a_finished_run_is_not_made_again(finished: Path) -> None:
    before = (finished / "runs" / "tiny" / "0" / "run.json").read_bytes()
    assert make(finished, 0) is None
    assert (finished / "runs" / "tiny" / "0" / "run.json").read_bytes() == before


def test_a_run_that_another_process_has_is_left_to_it(tmp_path: Path) -> None:
    with runs.taken(runs.folder_of(tmp_path / "local", "tiny", 0)) as mine:
        assert mine
        assert make(tmp_path, 0) is None
    assert make(tmp_path, 0) is not None


def test_a_full_disk_at_the_end_leaves_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(runs, "_put", full)
        with pytest.raises(OSError, match="No space left"):
            make(tmp_path, 0, checkpoint_interval=0)
    assert not (tmp_path / "runs").exists()
    epochs: list[int] = []
    folder = make(tmp_path, 0, report=lambda progress, share: epochs.append(progress.epoch))
    assert folder is not None
    assert epochs == []
    assert runs.read(folder, LABELS).record["resumed"] == 1


def test_half_a_run_is_never_among_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    sync = os.fsync

    def killed(descriptor: int) -> None:
        sync(descriptor)
        written.append("file")
        if len(written) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, 0)
    assert not (tmp_path / "runs" / "tiny" / "0").exists()
    folder = make(tmp_path, 0)
    assert folder is not None
    runs.read(folder, LABELS)


def train(results: str, seed: int, begun: Connection) -> None:
    """Be a training process, with a checkpoint after each epoch; say when it begins."""
    begun.send("once the modules are there")
    make(Path(results), seed, checkpoint_interval=0, warn=lambda sentence: os.abort())


KILLS = 30


def test_killed_processes_resume_to_the_same_bits(finished: Path, tmp_path: Path) -> None:
    """Kill real training processes at random moments, and compare with runs that nobody killed."""
    processes = multiprocessing.get_context("forkserver")
    # The last one is what PyTorch imports before the first step, which no kill is to wait for.
    modules = ["claims.training.runs", "nin_ref.training", "torch._inductor"]
    processes.set_forkserver_preload(modules)
    moments = random.Random(0)  # noqa: S311 - no secret
    patience = 60.0
    kills = number = resumed = 0
    while number < 2 or kills < KILLS:
        seed, results = number % 2, tmp_path / str(number)
        begun, its = processes.Pipe(duplex=False)
        process = processes.Process(target=train, args=(str(results), seed, its))
        process.start()
        assert begun.poll(60)
        start = time.monotonic()
        process.join(moments.uniform(0, patience))
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
            continue
        assert process.exitcode == 0
        patience = max(0.1, time.monotonic() - start) if not number else patience
        run, whole = (
            runs.read(runs.folder_of(where, "tiny", seed), LABELS) for where in (results, finished)
        )
        assert run.record["files"] == whole.record["files"]
        resumed += run.record["resumed"]
        number += 1
    assert resumed > KILLS / 10, "the kills came too early or too late to mean anything"


# What is refused ----------------------------------------------------------------------------------

Damage = Callable[[Path], object]


def with_record(**fields: Any) -> Damage:
    def damage(run: Path) -> None:
        record = json.loads((run / "run.json").read_bytes())
        for name, value in fields.items():
            record[name.replace("_", " ")] = value
        record["digest"] = runs.record_digest(record)
        (run / "run.json").write_text(json.dumps(record))

    return damage


def refiled(run: Path, name: str, content: bytes) -> None:
    """Put another file in the place of one, and make its digest fit."""
    record = json.loads((run / "run.json").read_bytes())
    record["files"][name] = hashlib.sha256(content).hexdigest()
    record["digest"] = runs.record_digest(record)
    (run / name).write_bytes(content)
    (run / "run.json").write_text(json.dumps(record))


def with_curve(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(run: Path) -> None:
        curve = json.loads((run / "curve.json").read_bytes())
        change(curve)
        refiled(run, "curve.json", json.dumps(curve).encode())

    return damage


def with_predictions(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(run: Path) -> None:
        with np.load(run / "predictions.npz") as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez_compressed(run / "predictions.npz", **arrays)
        refiled(run, "predictions.npz", (run / "predictions.npz").read_bytes())

    return damage


def linked(run: Path) -> None:
    (run / "curve.json").rename(run.parent / "elsewhere")
    (run / "curve.json").symlink_to(run.parent / "elsewhere")


def other_class(arrays: dict[str, Any]) -> None:
    arrays["test"][:2] = (arrays["test"][:2] + 1) % 10


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no record": (lambda run: (run / "run.json").unlink(), "it has no run.json"),
    "no curve": (lambda run: (run / "curve.json").unlink(), "not those that run.json lists"),
    "a file more": (lambda run: (run / "x.py").write_text(""), "x.py does not belong to a run"),
    "weights gone": (lambda run: (run / "weights.pt").unlink(), "not those that run.json lists"),
    "a byte more": (
        lambda run: (run / "weights.pt").write_bytes((run / "weights.pt").read_bytes() + b"x"),
        "not those that run.json lists",
    ),
    "a link": (linked, "curve.json is no plain file"),
    "no JSON": (lambda run: (run / "run.json").write_text("{"), "is damaged (JSONDecodeError"),
    "no object": (lambda run: (run / "run.json").write_text("[]"), "holds no object"),
    "a field twice": (
        lambda run: (run / "run.json").write_text('{"arm": "tiny", "arm": "tiny"}'),
        "a field stands there twice",
    ),
    "another format": (with_record(format=2), "run.json is not of format 1"),
    "unknown field": (with_record(note="x"), "run.json has unknown fields: note"),
    "another arm": (with_record(arm="cifar10"), "it says that its arm is cifar10"),
    "another seed": (with_record(seed=1), "it says that its seed is 1"),
    "seed as text": (with_record(seed="0"), "seed is '0'"),
    "truth for a number": (with_record(resumed=True), "resumed is True"),
    "nested unknown": (with_record(data={"name": "patterns"}), "data is {'name': 'patterns'}"),
    "no device": (
        with_record(device={"kind": "tpu", "name": "x", "threads": 1}),
        "neither cpu nor cuda",
    ),
    "other recipe": (with_record(recipe_digest="0" * 16), "the recipe is not that of its digest"),
    "faster": (
        lambda run: (run / "run.json").write_text(
            (run / "run.json").read_text().replace('"threads": 1', '"threads": 2')
        ),
        "run.json is not what its digest says",
    ),
    "no time": (with_record(seconds=[0.0, 1.0, 1.0]), "an epoch took no time"),
    "backwards": (with_record(finished="2000-01-01T00:00:00+00:00"), "ended before it started"),
    "no date": (with_record(finished="today"), "is damaged (ValueError"),
    "epochs": (with_record(seconds=[1.0, 1.0]), "the curve has not 3 epochs"),
    "collapsed": (with_record(collapsed=True), "it says collapsed: True"),
    "epoch cut": (with_curve(lambda curve: curve["epochs"].pop()), "the curve has not 3 epochs"),
    "a column less": (
        with_curve(lambda curve: curve["epochs"][0].pop("test loss")),
        "a row of the curve has the fields",
    ),
    "negative error": (
        with_curve(lambda curve: curve["epochs"][0].update({"test error": -1.0})),
        "an error is not 0 to 100 %",
    ),
    "text in the curve": (
        with_curve(lambda curve: curve["epochs"][0].update({"test loss": "1"})),
        "a number is missing",
    ),
    "better error": (
        with_curve(lambda curve: curve["epochs"][-1].update({"test error": 1.0})),
        "the curve says 1.00 %",
    ),
    "hidden collapse": (
        with_curve(lambda curve: curve["epochs"][-1].update({"loss in training": 2.3})),
        "it says collapsed: False",
    ),
    "other predictions": (with_predictions(other_class), "the predictions have a test error of"),
    "no such class": (
        with_predictions(lambda arrays: arrays["4 pixels up"].fill(10)),
        "predictions of 4 pixels up have no such class",
    ),
    "a probe less": (
        with_predictions(lambda arrays: arrays.pop("4 pixels up")),
        "predictions are of",
    ),
    "images less": (
        with_predictions(lambda arrays: arrays.update(test=arrays["test"][1:])),
        "predictions of test are uint8 (255,)",
    ),
    "wide numbers": (
        with_predictions(lambda arrays: arrays.update(test=arrays["test"].astype(np.int64))),
        "predictions of test are int64 (256,)",
    ),
    "no archive": (
        lambda run: refiled(run, "predictions.npz", b"PK nothing"),
        "is damaged (BadZipFile",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_wrong_with_a_run_is_said(name: str, run: Path) -> None:
    runs.read(run, LABELS)
    damage, sentence = DAMAGES[name]
    damage(run)
    with pytest.raises(runs.RunError) as refused:
        runs.read(run, LABELS)
    assert str(refused.value).startswith("run tiny/0 is ")
    assert sentence in str(refused.value)


@pytest.mark.parametrize("name", sorted(runs.FIELDS))
def test_each_field_is_needed(name: str, run: Path) -> None:
    record = json.loads((run / "run.json").read_bytes())
    del record[name]
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(runs.RunError):
        runs.read(run, LABELS)


def test_objects_in_predictions_are_never_unpickled(run: Path) -> None:
    with_predictions(lambda arrays: arrays.update(test=np.array([print], dtype=object)))(run)
    with pytest.raises(runs.RunError, match="Object arrays cannot be loaded"):
        runs.read(run, LABELS)


# True labels --------------------------------------------------------------------------------------


def test_true_labels_are_kept_and_known(tmp_path: Path) -> None:
    runs.keep_test_labels("patterns", LABELS, tmp_path)
    assert np.array_equal(runs.test_labels("patterns", tmp_path), LABELS)
    path = tmp_path / "test_labels" / "patterns.npy"
    before = path.read_bytes()
    runs.keep_test_labels("patterns", LABELS, tmp_path)
    assert path.read_bytes() == before
    for damaged, sentence in [
        (before[:-1] + bytes([before[-1] ^ 1]), "does not hold the labels of the published"),
        (before[:-1], "is damaged"),
        (b"", "is damaged"),
    ]:
        path.write_bytes(damaged)
        with pytest.raises(runs.RunError, match=sentence):
            runs.test_labels("patterns", tmp_path)
    path.unlink()
    with pytest.raises(runs.RunError, match="there are no true labels of patterns"):
        runs.test_labels("patterns", tmp_path)


@pytest.mark.parametrize(
    ("changed", "clean"),
    [
        ("", True),
        ("results/runs/tiny/0/run.json", True),
        ("results/examined/tiny/0.json", True),
        ("results/test_labels/patterns.npy", True),
        ("results/rules.json", False),
        ("claims/training/arms.py", False),
        ("new.py", False),
    ],
)
def test_a_checkout_is_clean_whatever_other_runs_left_in_it(
    changed: str, clean: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    for name in ("claims/training/runs.py", "claims/training/arms.py", "results/rules.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as it was")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "all")
    if changed:
        (tmp_path / changed).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / changed).write_text("another")
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "claims" / "training" / "runs.py"))
    assert runs.provenance("cpu")["clean"] is clean
