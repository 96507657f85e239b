"""The recheck of committed evidence: each layer finds its fault, and 200 tampers are found."""

from __future__ import annotations

import copy
import functools
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tiny
import torch

from claims import trained
from claims.core import results as verdicts
from claims.core.judge import judge
from claims.subjects import RUNS, Evidence
from claims.training import examinations, examine, findings, recheck, rules, runs
from claims.training.arms import ARMS, Arm, changed
from claims.training.examinations import ACCURACY, FALL, NUMBERS, ONE_BLOCK, QUARTERS
from claims.training.recheck import Report
from claims.training.rules import MeanAbove
from nin_ref import data, networks, training
from nin_ref.training import Recipe

OTHER = "tiny-without-dropout"
TRACES = {name: [2.0 + number, 1.5] for number, name in enumerate(("tiny", OTHER))}
HOLDING, REFUTED, OPEN, LACKING = "a/holds", "a/is-refuted", "a/is-open", "a/lacks-runs"
CLOSER = "b/looks-closer"
RULES = {
    HOLDING: MeanAbove("tiny", -1000.0, seeds=2),
    REFUTED: MeanAbove(OTHER, 1000.0, seeds=2),
    OPEN: MeanAbove("tiny", 50.0, seeds=2, alpha=1e-9),
    LACKING: MeanAbove("tiny", 50.0, seeds=3),
    CLOSER: MeanAbove("tiny", 0.0, quantity=FALL, seeds=2),
}


@dataclass(frozen=True, kw_only=True)
class Traced(Arm):
    """An arm whose trace costs nothing; test_training.py has the tests of real ones."""

    name: str

    def trace(self) -> list[float]:
        return TRACES[self.name]


def arms() -> dict[str, Arm]:
    """Return an arm that keeps the weights of its first seed, and one that keeps none."""
    tiny = changed(ARMS["tiny"].recipe, phases=((2, 1.0),))
    bare = changed(tiny, options={"dropout": None})
    return {
        "tiny": Traced(says="tiny", recipe=tiny, name="tiny"),
        OTHER: Traced(says="other", recipe=bare, name=OTHER, weights_of=0),
    }


def rule_entry(rule: MeanAbove) -> dict[str, Any]:
    arms = {rule.arm: rule.seeds}
    return {"rule": rules.described(rule), "digest": rules.digest(rule), "arms": arms}


def entry(id_: str) -> verdicts.Entry:
    """Judge a claim by the runs in the place of the real ones, as the suite does."""
    claim = trained.trained(id_, says="A statement.", cites=["000:1"], rule=RULES[id_])
    return verdicts.entry(claim, judge(claim, replaced={RUNS.name: Evidence(GOOD[0])}), [])


DECLARED = trained.declared_rules
GOOD: list[Path] = []  # where the untouched results of this module are


@pytest.fixture(scope="module", autouse=True)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make two arms, four runs of them, their rules and their verdicts; train each run once more.

    The second training, for the recheck, is kept: it depends on recipe and seed alone.
    """
    results = tmp_path_factory.mktemp("results")
    GOOD[:] = [results]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    (results / "rules.json").write_text(json.dumps({i: rule_entry(r) for i, r in RULES.items()}))
    (results / "traces.json").write_text(json.dumps(TRACES))
    with pytest.MonkeyPatch.context() as patched:
        for name, arm in arms().items():
            patched.setitem(cast(dict[str, Arm], ARMS), name, arm)
            tiny.make(results, 0, 1, name=name, arm=arm)
        # For class maps to find quarters in, and few enough to do so again and again.
        for name, number in (("MOSAICS", 60), ("COVERED", 60)):
            patched.setattr(examinations, name, number)
        patched.setattr(trained, "declared_rules", lambda: RULES)
        examine.main(["--results", str(results)])
        with pytest.MonkeyPatch.context() as briefly:
            briefly.setattr(trained, "RULES", {})
            entries = {id_: entry(id_) for id_ in RULES}
        verdicts.write(results / "verdicts.json", verdicts.dump(entries))
        for module, name in ((training, "train"), (recheck, "first_losses")):
            patched.setattr(module, name, once(getattr(module, name)))
        yield
    torch.set_num_threads(threads)


def once(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of recipe, seed and images that works once for each recipe and seed."""
    kept: dict[tuple[str, int], Any] = {}

    @functools.wraps(work)
    def cached(recipe: Recipe, seed: int, *others: Any) -> Any:
        key = recipe.digest, seed
        if key not in kept:
            kept[key] = work(recipe, seed, *others)
        return kept[key]

    return cached


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a copy of the results."""
    return Path(shutil.copytree(GOOD[0], tmp_path / "results"))


def checked(results: Path) -> Report:
    """Recheck with all layers."""
    report = Report()
    recheck.with_data(recheck.without_data(results, report), 1e6, 1e6, report)
    return report


# What is said of good evidence --------------------------------------------------------------------


def test_good_evidence_passes_all_layers(capsys: pytest.CaptureFixture[str]) -> None:
    assert recheck.main(["--results", str(GOOD[0])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "4 runs; computing the traces of their 2 arms",
        "reading patterns, standardised",
    ]
    replayed = [line.removeprefix("replaying run ").split(", ") for line in lines[2:6]]
    assert {run for run, _ in replayed} == {f"{arm}/{n}" for arm in arms() for n in (0, 1)}
    assert [number for _, number in replayed] == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert lines[-1] == "0 problems, 0 notes"
    counted = lines[lines.index("checked:") + 1 : -1]
    # Which run comes first, and so which layer, is random.
    assert set(counted) == {
        "      4 runs by files, digests and predictions",
        "      4 records and curves",
        "      4 weights, present or rightly absent",
        "      1 comparisons of all runs with each other",
        "      1 examinations by digests and accuracy",
        "      1 pictures of class maps",
        "      1 rules.json",
        "      1 traces.json",
        "      5 verdicts",
        "      4 data sets",
        "      4 first steps",
        "      4 whole runs, trained again",
        "      1 predictions by stored weights",
        "      1 pictures of class maps, made again",
        "      1 examinations, computed again",
    }


def test_no_runs_are_no_problem_but_rules_are_checked(tmp_path: Path) -> None:
    for name in ("rules", "traces", "verdicts"):
        shutil.copy(GOOD[0] / f"{name}.json", tmp_path)
    found = checked(tmp_path)
    assert found.checked["rules.json"] == 1
    assert [problem.split()[:3] for problem in found.problems] == [
        [id_, "is", "undecided"] for id_ in (HOLDING, REFUTED)
    ] + [[f"{id_}:", "verdicts.json", "says"] for id_ in (OPEN, LACKING, CLOSER)]


def test_runs_that_took_long_are_not_trained_again(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recheck, "BRIEF", 0.001)
    assert recheck.main(["--results", str(results)]) == 0
    said = capsys.readouterr().out
    assert "trained again" not in said
    assert "    4 whole: training takes 0.001 s or longer\n" in said


def six_seconds(patched: pytest.MonkeyPatch, name: str, answer: object) -> list[str]:
    """Let a function of recheck take a run that long; returns the runs that it is called for."""
    now, order = [0.0], []

    def work(run: runs.Run, *_: object) -> object:
        now[0] += 6
        order.append(recheck.where(run))
        return answer

    patched.setattr(time, "perf_counter", lambda: now[0])
    patched.setattr(recheck, name, work)
    return order


def test_runs_are_replayed_as_long_as_there_is_time(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recheck.without_data(results, Report())
    order = six_seconds(monkeypatch, "replay", True)
    took = []

    def timed(*arguments: Any) -> float:
        took.append(replay_some(*arguments))
        return took[-1]

    replay_some = recheck.replay_some
    monkeypatch.setattr(recheck, "replay_some", timed)
    first = set()
    for seed in range(20):
        random.seed(seed)
        order.clear()
        report = Report()
        recheck.with_data(found, 11, 0, report)
        assert len(order) == 2
        assert report.checked["data sets"] == len(found)
        left_out = "first steps and weights: all take longer than --replay-seconds"
        assert report.unchecked[left_out] == 2
        first.add(order[0])
    assert len(first) == len(found) == 4, "not each run has its turn"
    assert took == [12] * 20


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # Half of the time is for half of the runs; what they leave of it goes to the others.
        ({"preprocessing": "scaled"}, [({OTHER}, 50, (0, 4)), ({"tiny"}, 87.5, (2, 4))]),
        ({"data": "mnist"}, [({"tiny"}, 100, (2, 4))]),  # which are not here
    ],
)
def test_each_preprocessing_has_its_share_of_the_time(
    results: Path,
    change: dict[str, Any],
    expected: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = data.load

    def but_for_mnist(name: str) -> data.DataSet:
        if name == "mnist":
            raise data.DataError("mnist is not here")
        return load(name)

    found = recheck.without_data(results, Report())
    arm = Arm(says="other", recipe=changed(ARMS[OTHER].recipe, **change))
    monkeypatch.setitem(cast(dict[str, Arm], ARMS), OTHER, arm)
    monkeypatch.setattr(data, "load", but_for_mnist)
    shares = []

    def in_a_quarter(group: list[runs.Run], _: object, left: float, *others: object) -> float:
        shares.append(({recheck.arm_of(run) for run in group}, left, others[:2]))
        return left / 4

    monkeypatch.setattr(recheck, "replay_some", in_a_quarter)
    recheck.with_data(found, 100, 0, Report())
    assert shares == expected


def test_examinations_that_take_long_are_not_computed_again(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--replay-seconds", "0", "--examine-seconds", "0.001"]
    assert recheck.main(["--results", str(results), *arguments]) == 0
    said = capsys.readouterr().out
    assert "computed again" not in said
    assert "    1 examinations: computing all takes longer than --examine-seconds\n" in said


def test_examinations_are_computed_again_as_long_as_there_is_time(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recheck.without_data(results, Report())
    order = six_seconds(monkeypatch, "number_problems", [])
    monkeypatch.setattr(findings, "read", lambda _: {"seconds": 5.0, "pictures": None})
    monkeypatch.setattr(runs, "has_weights", lambda _: True)
    monkeypatch.setattr(recheck, "replay", lambda *_: True)
    first = set()
    for seed in range(20):
        random.seed(seed)
        order.clear()
        report = Report()
        recheck.with_data(found, 1e6, 12, report)
        assert len(order) == 2
        assert report.checked["examinations, computed again"] == 2
        assert list(report.unchecked.values()) == [len(found) - 2]
        first.add(order[0])
    assert len(first) == len(found) == 4, "not each run has its turn"


def test_without_the_data_the_other_layers_do_their_part(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise data.DataError(f"{name} in nowhere: there is no such folder; run `make data`")

    monkeypatch.setattr(data, "load", missing)
    assert recheck.main(["--results", str(results)]) == 0
    said = capsys.readouterr().out
    assert (
        "note: the layers that need data are left out for patterns in nowhere: there is no such "
        "folder; run `make data`\n"
    ) in said
    assert "    4 with the data: patterns is not here\n" in said
    assert "first steps" not in said


def test_the_committed_rules_are_the_declared_ones() -> None:
    declared = DECLARED()
    assert "handwritten-results/ends-at-76.57" in declared
    assert list(recheck.rules_problems(declared, runs.RESULTS)) == []


# Changing evidence --------------------------------------------------------------------------------

Change = Callable[[Path], object]


def record_of(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "run.json").read_bytes())
    return record


def put_record(run: Path, record: dict[str, Any]) -> None:
    """Write a record with its digest made to fit, as runs are written; its examination likewise."""
    record["digest"] = runs.record_digest(record)
    (run / "run.json").write_text(json.dumps(record, indent=1) + "\n")
    if (run.parents[2] / "examined" / run.parent.name / f"{run.name}.json").exists():
        with_examination(run=record["digest"])(run.parents[2])


def put_file(run: Path, name: str, content: bytes) -> None:
    """Write a file of a run, and make the digests fit."""
    (run / name).write_bytes(content)
    record = record_of(run)
    record["files"][name] = hashlib.sha256(content).hexdigest()
    put_record(run, record)


def curve_of(run: Path) -> dict[str, Any]:
    curve: dict[str, Any] = json.loads((run / "curve.json").read_bytes())
    return curve


def put_curve(run: Path, curve: object) -> None:
    put_file(run, "curve.json", (json.dumps(curve, indent=1) + "\n").encode())


def predictions_of(run: Path) -> dict[str, Any]:
    with np.load(run / "predictions.npz") as stored:
        return dict(stored)


def put_predictions(run: Path, arrays: dict[str, Any]) -> None:
    """Write predictions, and make digests and the error of the last epoch fit."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    put_file(run, "predictions.npz", content.getvalue())
    curve = curve_of(run)
    labels = data.load("patterns").test_labels
    curve["epochs"][-1]["test error"] = 100 * float(np.mean(arrays["test"] != labels))
    put_curve(run, curve)


def weights_of(run: Path) -> dict[str, Any]:
    weights: dict[str, Any] = torch.load(run / "weights.pt", weights_only=True)
    return weights


def put_weights(run: Path, weights: object) -> None:
    content = io.BytesIO()
    torch.save(weights, content)
    put_file(run, "weights.pt", content.getvalue())


def with_record(**fields: Any) -> Change:
    """Change fields of the record, or of an object in it, of tiny/0."""

    def change(results: Path) -> None:
        run = results / "runs" / "tiny" / "0"
        record = record_of(run)
        for name, value in fields.items():
            part = record.get(name.replace("_", " "))
            if isinstance(part, dict) and isinstance(value, dict):
                part.update(value)
            else:
                record[name.replace("_", " ")] = value
        put_record(run, record)

    return change


def with_row(name: str, value: float, epoch: int = 0) -> Change:
    def change(results: Path) -> None:
        run = results / "runs" / "tiny" / "0"
        curve = curve_of(run)
        curve["epochs"][epoch][name] = value
        put_curve(run, curve)

    return change


def with_weights(change: Callable[[dict[str, Any]], object]) -> Change:
    def changed(results: Path) -> None:
        run = results / "runs" / "tiny" / "0"
        weights = weights_of(run)
        change(weights)
        put_weights(run, weights)

    return changed


def with_file(name: str, change: Callable[[Any], object]) -> Change:
    """Change a JSON file beside the runs."""

    def changed(results: Path) -> None:
        content = json.loads((results / name).read_bytes())
        change(content)
        (results / name).write_text(json.dumps(content))

    return changed


def with_entry(id_: str, **fields: Any) -> Change:
    def change(content: dict[str, Any]) -> None:
        for one in content["claims"]:
            if one["id"] == id_:
                one.update(fields)

    return with_file("verdicts.json", change)


def copied(results: Path, source: str, target: str) -> Path:
    """Copy a run over another one, with its seed and arm made to fit as far as that goes."""
    folder = results / "runs" / target
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(results / "runs" / source, folder)
    arm, seed = target.split("/")
    recipe = json.loads(json.dumps(vars(ARMS[arm].recipe)))
    digests = {"recipe": recipe, "recipe digest": ARMS[arm].recipe.digest}
    record = record_of(folder) | digests | {"arm": arm, "seed": int(seed), "trace": TRACES[arm]}
    record["rules"] = {i: rules.digest(r) for i, r in RULES.items() if r.arm == arm}
    if int(seed) >= ARMS[arm].weights_of:
        (folder / "weights.pt").unlink(missing_ok=True)
        record["files"].pop("weights.pt", None)
    put_record(folder, record)
    return folder


def spaced(results: Path) -> None:
    path = results / "runs" / "tiny" / "0" / "run.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed":  0'))


def without_weights(results: Path) -> None:
    run = results / "runs" / "tiny" / "0"
    (run / "weights.pt").unlink()
    record = record_of(run)
    del record["files"]["weights.pt"]
    put_record(run, record)


def weights_of_another_seed(results: Path) -> None:
    weights = weights_of(results / "runs" / "tiny" / "0")
    put_weights(results / "runs" / "tiny" / "1", weights)


def other_predictions(results: Path, count: int) -> None:
    run = results / "runs" / "tiny" / "0"
    arrays = predictions_of(run)
    arrays["noise of a half"][:count] = (arrays["noise of a half"][:count] + 1) % 10
    put_predictions(run, arrays)


def untied(results: Path) -> None:
    """Edit more predictions than rounding explains."""
    other_predictions(results, 4 + 3)


def emptied(path: str) -> Change:
    def change(results: Path) -> None:
        (results / path).parent.mkdir(parents=True, exist_ok=True)
        (results / path).write_bytes(b"")

    return change


def linked(path: str) -> Change:
    def change(results: Path) -> None:
        (results / path).rename(results / "elsewhere")
        (results / path).symlink_to(results / "elsewhere")

    return change


class Bomb:
    """What would write a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


def pickled(results: Path) -> None:
    put_weights(results / "runs" / "tiny" / "0", {"features.0.0.weight": Bomb()})


def bare_pickle(results: Path) -> None:
    put_file(results / "runs" / "tiny" / "0", "weights.pt", pickle.dumps(Bomb()))


def object_arrays(results: Path) -> None:
    run = results / "runs" / "tiny" / "0"
    content = io.BytesIO()
    np.savez(content, test=np.array([Bomb()], dtype=object))
    put_file(run, "predictions.npz", content.getvalue())


def huge(results: Path) -> None:
    with (results / "runs" / "tiny" / "0" / "curve.json").open("wb") as file:
        file.truncate(2**40)


def bad_deflate(results: Path) -> None:
    """Damage compressed bytes within the archive, where NumPy leaves what zlib raises as it is."""
    run = results / "runs" / "tiny" / "0"
    content = bytearray((run / "predictions.npz").read_bytes())
    content[60:120] = bytes(60)
    put_file(run, "predictions.npz", bytes(content))


def nested(results: Path) -> None:
    put_file(results / "runs" / "tiny" / "0", "curve.json", b"[" * 100_000)


def a_file_as_arm(results: Path) -> None:
    shutil.rmtree(results / "runs" / OTHER)
    (results / "runs" / OTHER).write_text("")


def results_of_another_arm(results: Path) -> None:
    copied(results, "tiny/1", f"{OTHER}/1")
    shutil.rmtree(results / "runs" / "tiny" / "1")


def with_examination(**fields: Any) -> Change:
    """Change fields of the examination of tiny/0, with the digest made to fit."""

    def change(results: Path) -> None:
        path = results / "examined" / "tiny" / "0.json"
        record = json.loads(path.read_bytes())
        for name, value in fields.items():
            record[name] = record[name] | value if isinstance(value, dict) else value
        record["digest"] = runs.record_digest(record)
        path.write_text(json.dumps(record, indent=1) + "\n")

    return change


def put_pictures(results: Path, arrays: dict[str, Any]) -> None:
    """Write the pictures of tiny/0, and make the digests fit."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    (results / "examined" / "tiny" / "0.npz").write_bytes(content.getvalue())
    with_examination(pictures=hashlib.sha256(content.getvalue()).hexdigest())(results)


def pictures_of(results: Path) -> dict[str, Any]:
    with np.load(results / "examined" / "tiny" / "0.npz") as stored:
        return dict(stored)


def with_pictures(name: str, change: Callable[[Any], Any]) -> Change:
    def changed(results: Path) -> None:
        arrays = pictures_of(results)
        arrays[name] = change(arrays[name])
        put_pictures(results, arrays)

    return changed


def brighter(maps: Any) -> Any:
    """Return maps of which one cell has changed by half a per cent of the largest value."""
    other = maps.astype(np.float64)
    other[1, 2, 3, 4] += 0.005 * np.abs(other).max()
    return other.astype(np.float16)


def maps_by(*, other_weights: bool = False, prepared: bool = True) -> Change:
    """Let the maps be those of weights of another seed, or of images as they are."""

    def changed(results: Path) -> None:
        found, prepared_images = data.load("patterns"), tiny.images().test
        network = networks.build("tiny").eval()
        state = weights_of(results / "runs" / "tiny" / "0")
        if other_weights:
            state = {
                name: value.roll(1, 0) if value.dim() else value for name, value in state.items()
            }
        network.load_state_dict(state)
        images = prepared_images if prepared else found.test_images.astype(np.float32)
        first = [found.test_labels.tolist().index(label) for label in range(10)]
        with torch.no_grad():
            maps = network.get_submodule("features")(torch.from_numpy(images[first]))
        put_pictures(results, pictures_of(results) | {"maps": maps.half().numpy()})

    return changed


def another_seed_examined(results: Path) -> None:
    """Let the other run keep weights and their examination, of the wrong run."""
    folder = results / "examined" / "tiny"
    shutil.copy(folder / "0.json", folder / "1.json")


def examined_without_weights(results: Path) -> None:
    run = results / "runs" / "tiny" / "1"
    another_seed_examined(results)
    record = json.loads((results / "examined" / "tiny" / "1.json").read_bytes())
    record |= {"seed": 1, "run": record_of(run)["digest"], "pictures": None}
    record["digest"] = runs.record_digest(record)
    path = results / "examined" / "tiny" / "1.json"
    path.write_text(json.dumps(record, indent=1) + "\n")


def examination_spaced(results: Path) -> None:
    path = results / "examined" / "tiny" / "0.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed":  0'))


FIRST = "features.0.0.weight"
FAULTS: dict[str, tuple[Change, str]] = {
    "a file among arms": (emptied("runs/notes.txt"), "runs/notes.txt is no arm"),
    "unknown arm": (emptied("runs/huge/0/run.json"), "runs/huge is no arm"),
    "a file as arm": (
        a_file_as_arm,
        f"runs/{OTHER} is no folder",
    ),
    "an arm elsewhere": (linked("runs/tiny"), "runs/tiny is no folder"),
    "a run elsewhere": (linked("runs/tiny/0"), "runs/tiny/0 is no folder"),
    "no seed": (emptied("runs/tiny/00/run.json"), "runs/tiny/00 is no seed"),
    "a file as seed": (emptied("runs/tiny/7"), "runs/tiny/7 is no folder"),
    "empty run": (
        lambda results: (results / "runs" / "tiny" / "2").mkdir(),
        "run tiny/2 is not valid: it has no run.json",
    ),
    "a file more": (emptied("runs/tiny/0/x.py"), "x.py does not belong to a run"),
    "a link": (linked("runs/tiny/0/curve.json"), "curve.json is no plain file"),
    "huge": (huge, "curve.json is too large"),
    "no labels": (
        lambda results: shutil.rmtree(results / "test_labels"),
        "there are no true labels of patterns beside the runs",
    ),
    "deflate": (bad_deflate, "run tiny/0 is damaged ("),
    "nested": (nested, "run tiny/0 is damaged (RecursionError"),
    "objects": (object_arrays, "Object arrays cannot be loaded"),
    "layout": (spaced, "run tiny/0: run.json is not laid out as runs are written"),
    "markup": (
        with_record(device={"name": "<script>alert(1)</script>"}),
        "run.json has the text '<script>alert(1)</script>', with signs that none has",
    ),
    "escapes": (
        with_record(command=["\x1b[2J"]),
        "run.json has the text '\\x1b[2J', with signs that none has",
    ),
    "markup as a name": (
        with_record(rules={"<b>": "x"}),
        "run.json has the text '<b>', with signs that none has",
    ),
    "other data": (
        with_record(data={"sha256": "0" * 64}),
        "run tiny/0: its data are not patterns as published",
    ),
    "name of data": (
        with_record(data={"name": "mnist"}),
        "run tiny/0: its data are not patterns as published",
    ),
    "version": (with_record(versions={"numpy": 2}), "a version or argument is no text"),
    "threads": (with_record(device={"threads": "1"}), "it has '1' threads"),
    "no threads": (with_record(device={"threads": 0}), "it has 0 threads"),
    "true threads": (with_record(device={"threads": True}), "it has True threads"),
    "CUDA on a CPU": (
        with_record(versions={"cuda": "13.0"}),
        "its device and its version of CUDA do not fit",
    ),
    "long epochs": (
        with_record(seconds=[1e6, 1.0]),
        "run tiny/0: its epochs took longer than the run",
    ),
    "half an image": (
        with_row("test error", 100 * 100.5 / 256),
        "the test error of epoch 1 is no whole number of 256 images",
    ),
    "part of a training image": (
        with_row("error in training", 33.3, epoch=1),
        "the error in training of epoch 2 is no whole number of 512 images",
    ),
    "first losses": (
        lambda results: put_curve(
            results / "runs" / "tiny" / "0",
            {"first losses": [2.3], "epochs": curve_of(results / "runs" / "tiny" / "0")["epochs"]},
        ),
        "run tiny/0: it has the losses of 1 first steps",
    ),
    "no weights": (without_weights, "run tiny/0 has no weights, which its arm keeps of this seed"),
    "more weights": (
        weights_of_another_seed,
        "run tiny/1 has weights, which its arm does not keep of this seed",
    ),
    "a name less": (
        with_weights(lambda weights: weights.pop(FIRST)),
        "its weights cannot be used (names, shapes or types are not those of the network)",
    ),
    "a shape": (
        with_weights(lambda weights: weights.update({FIRST: weights[FIRST][:1].clone()})),
        "names, shapes or types are not those of the network",
    ),
    "a type": (
        with_weights(lambda weights: weights.update({FIRST: weights[FIRST].float()})),
        "names, shapes or types are not those of the network",
    ),
    "no number": (
        with_weights(lambda weights: weights[FIRST][0, 0, 0].fill_(np.nan)),
        "its weights cannot be used (one is not finite)",
    ),
    "no tensors": (
        lambda results: put_weights(results / "runs" / "tiny" / "0", [1, 2]),
        "its weights cannot be used (they are no tensors by name)",
    ),
    "large weights": (
        with_weights(lambda weights: weights.update(x=torch.zeros(2**19))),
        "its weights cannot be used (they are larger than such a network)",
    ),
    "weights with code": (pickled, "run tiny/0: its weights cannot be used (Weights only load"),
    "a pickle": (bare_pickle, "run tiny/0: its weights cannot be used (File is not a zip file"),
    "a copy": (
        lambda results: copied(results, "tiny/0", "tiny/1"),
        "run tiny/1 has the predictions of run tiny/0, so one is a copy",
    ),
    "a copy of the curve": (
        lambda results: put_curve(
            results / "runs" / "tiny" / "0", curve_of(results / "runs" / "tiny" / "1")
        ),
        "the curve says",
    ),
    "first losses of another seed": (
        lambda results: put_curve(
            results / "runs" / "tiny" / "0",
            curve_of(results / "runs" / "tiny" / "0")
            | {"first losses": curve_of(results / "runs" / "tiny" / "1")["first losses"]},
        ),
        "run tiny/1 has the first losses of run tiny/0, so one is a copy",
    ),
    "a rule less": (
        with_file("rules.json", lambda listed: listed.pop(OPEN)),
        f"rules.json does not have the declared rule of {OPEN}",
    ),
    "a rule more": (
        with_file("rules.json", lambda listed: listed.update({"a/b": listed[OPEN]})),
        "rules.json has a rule of a/b, which no claim declares",
    ),
    "seeds of a rule": (
        with_file("rules.json", lambda listed: listed[OPEN]["arms"].update(tiny=1)),
        f"rules.json does not have the declared rule of {OPEN}",
    ),
    "no rules": (emptied("rules.json"), "rules.json is damaged (JSONDecodeError"),
    "rules as texts": (
        with_file("rules.json", lambda listed: listed.update({OPEN: 1})),
        "rules.json is damaged (TypeError",
    ),
    "traces": (
        with_file("traces.json", lambda listed: listed["tiny"].append(1.0)),
        "traces.json does not have the trace of tiny",
    ),
    "no traces": (emptied("traces.json"), "traces.json is damaged (JSONDecodeError"),
    "a trace less": (
        with_file("traces.json", lambda listed: listed.pop("tiny")),
        "traces.json is damaged (KeyError: 'tiny')",
    ),
    "no verdicts": (emptied("verdicts.json"), "verdicts.json is damaged"),
    "a verdict less": (
        with_file("verdicts.json", lambda content: content["claims"].pop()),
        f"verdicts.json has no verdict of {CLOSER}",
    ),
    "another verdict": (
        with_entry(OPEN, observed="refuted"),
        f"{OPEN} is undecided by the runs (",
    ),
    "another reason": (with_entry(OPEN, reason="x"), f"{OPEN}: verdicts.json says 'x', the runs"),
    "another counterexample": (
        with_entry(REFUTED, counterexample={"case": "x", "message": "y"}),
        f"{REFUTED}: verdicts.json says 'y', the runs give",
    ),
    "another number": (
        with_file(
            "verdicts.json",
            lambda content: content["claims"][0]["numbers"]["tiny"].update(estimate=40.0),
        ),
        f"{HOLDING}: verdicts.json says estimate 40.0, the runs give",
    ),
    "an examination of no run": (
        emptied("examined/tiny/7.json"),
        "examined/tiny/7.json is no examination of a sound run",
    ),
    "a file among examinations": (
        emptied("examined/notes.txt"),
        "examined/notes.txt is no examination of a sound run",
    ),
    "an arm that is none among them": (
        emptied("examined/huge/0.json"),
        "examined/huge is no examination of a sound run",
    ),
    "an empty examination": (
        emptied("examined/tiny/0.json"),
        "examination tiny/0.json is damaged (JSONDecodeError",
    ),
    "a damaged examination decides nothing": (
        emptied("examined/tiny/0.json"),
        f"{CLOSER} cannot be decided: examination tiny/0.json is damaged",
    ),
    "the examination of another run": (
        another_seed_examined,
        "examination tiny/1.json is not valid: it says that it is of tiny/0",
    ),
    "an examination without weights": (
        examined_without_weights,
        "run tiny/1 has an examination and no weights",
    ),
    "a changed picture": (
        lambda results: (results / "examined/tiny/0.npz").write_bytes(b"x"),
        "examination tiny/0.npz is not valid: it is not what 0.json tells of",
    ),
    "a picture of another size": (
        with_pictures("images", lambda images: images[..., 1:]),
        "examination tiny/0.npz is not valid: images are uint8 (10, 3, 32, 31), not uint8 (10, 3, ",
    ),
    "pictures without an examination": (
        lambda results: (results / "examined/tiny/0.json").unlink(),
        "examined/tiny/0.npz is no examination of a sound run",
    ),
    "an examination without its pictures": (
        lambda results: (results / "examined/tiny/0.npz").unlink(),
        "examination tiny/0.json is not valid: 0.npz is missing",
    ),
    "labels of pictures": (
        with_pictures("labels", lambda labels: labels[::-1]),
        "pictures of run tiny/0: labels are not those of the images to be shown",
    ),
    "labels of mosaics": (
        with_pictures("mosaic_labels", lambda labels: labels[:, [0, 2, 1, 3]]),
        "pictures of run tiny/0: mosaic_labels are not those of the images to be shown",
    ),
    "maps of other classes": (
        with_pictures("maps", lambda maps: maps[:, ::-1]),
        "pictures of run tiny/0: the means of the class maps of test image ",
    ),
    "maps of another image": (
        with_pictures("maps", lambda maps: np.roll(maps, 1, axis=0)),
        "pictures of run tiny/0: the means of the class maps of test image ",
    ),
    "a pixel": (
        with_pictures(
            "images", lambda images: images ^ (np.arange(images.size) == 7).reshape(images.shape)
        ),
        "pictures of run tiny/0: images differ from those by its weights and the data by 1, ",
    ),
    "transposed images": (
        with_pictures("images", lambda images: images.swapaxes(2, 3)),
        "pictures of run tiny/0: images differ from those by its weights and the data by ",
    ),
    "mosaics of another order": (
        with_pictures("mosaics", lambda mosaics: np.roll(mosaics, 32, axis=3)),
        "pictures of run tiny/0: mosaics differ from those by its weights and the data by ",
    ),
    "a cell of a map": (
        with_pictures("maps", brighter),
        "pictures of run tiny/0: maps differ from those by its weights and the data by ",
    ),
    "transposed maps": (
        with_pictures("maps", lambda maps: maps.swapaxes(2, 3)),
        "pictures of run tiny/0: maps differ from those by its weights and the data by ",
    ),
    "maps of mosaics of another order": (
        with_pictures("mosaic_maps", lambda maps: maps[..., ::-1]),
        "pictures of run tiny/0: mosaic_maps differ from those by its weights and the data by ",
    ),
    "maps by other weights": (
        maps_by(other_weights=True),
        "pictures of run tiny/0: maps differ from those by its weights and the data by ",
    ),
    "maps of images that are not preprocessed": (
        maps_by(prepared=False),
        "pictures of run tiny/0: maps differ from those by its weights and the data by ",
    ),
    "layout of an examination": (
        examination_spaced,
        "the examination of run tiny/0 is not laid out as they are written",
    ),
    "markup in an examination": (
        with_examination(command=["<b>"]),
        "the examination of run tiny/0 has the text '<b>', with signs that none has",
    ),
    "another accuracy": (
        with_examination(numbers={ACCURACY: 99.0}),
        "the examination of run tiny/0 has an accuracy of 99.00 %, the predictions of the run ",
    ),
    "another fall": (
        with_examination(numbers={FALL: 0.5}),
        f"run tiny/0: its {FALL} is said to be 0.5, and from its weights it is ",
    ),
    "a number of another examination": (
        with_examination(numbers={QUARTERS: 50.0}),
        f"run tiny/0: its {QUARTERS} is said to be 50.0, and from its weights it is ",
    ),
    "numbers of another network": (
        with_examination(numbers={ONE_BLOCK: 50.0}),
        "run tiny/0 cannot be examined as it is said to have been: a network with layer1, blocks, ",
    ),
    "other weights": (
        with_weights(lambda weights: weights[FIRST].neg_()),
        "run tiny/0: its weights predict another class for",
    ),
    "a weight": (
        with_weights(lambda weights: weights[FIRST][0, 0, 0].mul_(1.002)),
        "run tiny/0: trained again, it has other weights",
    ),
    "more predictions than rounding explains": (
        untied,
        "run tiny/0: its weights predict another class for",
    ),
    "a prediction": (
        lambda results: other_predictions(results, 1),
        "run tiny/0: trained again, it has other predictions of 'noise of a half'",
    ),
    "a loss": (
        with_row("test loss", 1.25, epoch=1),
        "run tiny/0: trained again, it has another curve",
    ),
    "results of another arm": (
        results_of_another_arm,
        f"run {OTHER}/1: the loss of step 1 is ",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_and_said(
    name: str, results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    change, sentence = FAULTS[name]
    change(results)
    found = checked(results)
    assert [problem for problem in found.problems if sentence in problem], found.problems
    assert all(problem.isprintable() and len(problem) <= 500 for problem in found.problems)
    assert not (tmp_path / "unpickled").exists()


def test_labels_that_are_not_those_of_the_data_are_found(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they can be of a data set whose labels have no known digest; predictions fit them."""
    monkeypatch.setattr(runs, "TEST_LABELS", {})
    labels = data.load("patterns").test_labels.copy()
    classes = predictions_of(results / "runs" / "tiny" / "0")["test"]
    right, wrong = np.flatnonzero(classes == labels), np.flatnonzero(classes != labels)
    labels[right[0]] = (labels[right[0]] + 1) % 10
    labels[wrong[0]] = classes[wrong[0]]
    (results / "test_labels" / "patterns.npy").unlink()
    runs.keep_test_labels("patterns", labels, results)
    for run in ("tiny/1", f"{OTHER}/0", f"{OTHER}/1"):
        shutil.rmtree(results / "runs" / run)
    assert (
        "run tiny/0: the true labels beside it are not those of the data"
        in checked(results).problems
    )


def test_data_of_another_digest_are_found(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "DIGESTS", {})
    with_record(data={"sha256": "0" * 64})(results)
    assert "run tiny/0 was trained on data with another digest" in checked(results).problems


# Stale runs and changed rules ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_record(trace=[2.0, 1.4999]), "the code trains otherwise: the losses of the first"),
        (with_record(trace=[2.0]), "the code trains otherwise: the losses of the first"),
    ],
)
def test_a_stale_run_is_no_problem_but_counts_for_no_verdict(
    change: Change, reason: str, results: Path
) -> None:
    change(results)
    found = checked(results)
    (note,) = found.notes
    assert note.startswith(f"run tiny/0 is stale and does not count: {reason}")
    assert found.unchecked == {
        "further: stale runs": 1,
        "further: examinations of runs that do not count": 1,
    }
    assert len(found.problems) == 4
    assert f"{HOLDING} is undecided by the runs (1 of 2 runs of tiny)" in found.problems[0]


def test_a_run_by_another_recipe_is_stale(results: Path) -> None:
    run = results / "runs" / OTHER / "0"
    record = record_of(run)
    record["recipe"]["learning_rate"] = 0.1
    text = json.dumps(record["recipe"], sort_keys=True)
    record["recipe digest"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    put_record(run, record)
    stale = f"run {OTHER}/0 is stale and does not count: the recipe of the arm has changed"
    assert checked(results).notes == [stale]


def test_a_rule_that_changed_after_the_runs_is_a_note(results: Path) -> None:
    with_record(rules={OPEN: "0" * 16, "a/gone": "1" * 16})(results)
    found = checked(results)
    assert found.problems == []
    assert found.notes == [
        f"{OPEN}: rule changed after the runs tiny/0",
        "a/gone: rule changed after the runs tiny/0",
    ]


# Other machines -----------------------------------------------------------------------------------


def elsewhere(results: Path, shift: float, **record: Any) -> None:
    """Let the runs of the tiny arm be made elsewhere, with other rounding."""
    for run in (results / "runs" / "tiny").iterdir():
        curve = curve_of(run)
        curve["first losses"] = [loss * (1 + shift) for loss in curve["first losses"]]
        put_curve(run, curve)
        whole = record_of(run)
        for name, fields in record.items():
            whole[name].update(fields)
        put_record(run, whole)


@pytest.mark.parametrize(
    "record",
    [
        {"versions": {"torch": "2.11.0"}},
        {"versions": {"numpy": "2.1.0"}},
        {"device": {"name": "another processor"}},
        {"device": {"threads": 10**9}},
        {"device": {"kind": "cuda"}, "versions": {"cuda": "13.0"}},
    ],
)
def test_runs_of_another_machine_are_judged_by_tolerance(
    record: dict[str, Any], results: Path
) -> None:
    for shift in (0.0, 1e-6):  # equal first steps do not make it a machine like this one
        elsewhere(results, shift, **record)
        found = checked(results)
        assert (found.problems, found.notes) == ([], [])
        assert found.checked["whole runs, trained again"] == 2
        assert list(found.unchecked.items()) == [
            ("whole: made on a machine that computes otherwise than this one", 2)
        ]
    elsewhere(results, 1e-2)
    assert len(checked(results).problems) == 2


def test_where_no_run_repeats_the_machine_is_another_one_of_that_name(results: Path) -> None:
    elsewhere(results, 1e-6)
    found = checked(results)
    assert found.problems == []
    (note,) = found.notes
    assert note.startswith("no run of tiny repeats to the bit, though this processor has the name")


def test_where_other_runs_repeat_a_run_must(results: Path) -> None:
    run = results / "runs" / "tiny" / "0"
    curve = curve_of(run)
    curve["first losses"][3] *= 1 + 1e-6
    put_curve(run, curve)
    problem = "run tiny/0 does not repeat to the bit, as run tiny/1 does"
    assert checked(results).problems == [problem]


# Tampers ------------------------------------------------------------------------------------------

Tamper = Callable[[random.Random, Path], object]

# Nothing else depends on these: while they are possible and the digests fit, no layer can tell.
UNFINDABLE = {
    "commit": "where the code came from; the trace tells whether it trains alike",
    "clean": "likewise",
    "code": "likewise",
    "versions": "what ran then; a wrong one at most spares a run the comparison to the bit",
    "device": "likewise",
    "command": "what was typed",
    "started": "a time",
    "finished": "a time",
    "seconds": "times",
    "resumed": "how often the run was stopped, which changes nothing",
}
FINDABLE = sorted(runs.FIELDS.keys() - UNFINDABLE.keys() - {"digest"})


def any_run(chance: random.Random, results: Path) -> Path:
    return chance.choice(sorted(results.glob("runs/*/*")))


def two_runs(chance: random.Random, results: Path) -> list[Path]:
    return chance.sample(sorted(results.glob("runs/*/*")), 2)


def edited(chance: random.Random, value: Any) -> Any:
    """Return another value, changed in one place."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + chance.choice([-1, 1, 1000])
    if isinstance(value, float):
        return value * (1 + chance.choice([-1, 1]) * 10 ** chance.uniform(-5, 0)) + 1e-7
    if isinstance(value, str):
        place = chance.randrange(len(value) + 1)
        return value[:place] + chance.choice("0aZ") + value[place + chance.randrange(2) :] + "x"
    if not value:
        return {"x": "x"} if isinstance(value, dict) else [1]
    keys: Sequence[Any] = list(value) if isinstance(value, dict) else range(len(value))
    chosen, other = chance.choice(keys), copy.copy(value)
    if chance.random() < 0.2:
        del other[chosen]
    else:
        other[chosen] = edited(chance, value[chosen])
    return other


def bytes_flipped(chance: random.Random, content: bytearray) -> None:
    for _ in range(chance.choice([1, 1, 5])):
        place = chance.randrange(len(content))
        content[place] ^= 1 << chance.randrange(8)


def bytes_removed(chance: random.Random, content: bytearray) -> None:
    place = chance.randrange(len(content))
    del content[place : place + chance.choice([1, 1, 100])]


def bytes_added(chance: random.Random, content: bytearray) -> None:
    place = chance.randrange(len(content) + 1)
    content[place:place] = chance.choice([b" ", b"\n", b"0", b"x", bytes(9)])


def in_bytes(change: Callable[[random.Random, bytearray], object]) -> Tamper:
    def tamper(chance: random.Random, results: Path) -> None:
        path = chance.choice(sorted(any_run(chance, results).iterdir()))
        content = bytearray(path.read_bytes())
        change(chance, content)
        path.write_bytes(content)

    return tamper


def files_swapped(chance: random.Random, results: Path) -> None:
    one, other = two_runs(chance, results)
    name = chance.choice(["run.json", "curve.json", "predictions.npz"])
    contents = [(run / name).read_bytes() for run in (one, other)]
    (other / name).write_bytes(contents[0])
    (one / name).write_bytes(contents[1])


def folders_swapped(chance: random.Random, results: Path) -> None:
    one, other = two_runs(chance, results)
    one.rename(results / "kept")
    other.rename(one)
    (results / "kept").rename(other)


def field_edited(chance: random.Random, results: Path) -> None:
    run = any_run(chance, results)
    record = record_of(run)
    name = chance.choice(sorted(record))
    record[name] = edited(chance, record[name])
    (run / "run.json").write_text(json.dumps(record, indent=1) + "\n")


def field_edited_to_fit(chance: random.Random, results: Path) -> None:
    run = any_run(chance, results)
    record = record_of(run)
    name = chance.choice(FINDABLE)
    record[name] = edited(chance, record[name])
    if name == "recipe":
        text = json.dumps(record["recipe"], sort_keys=True)
        record["recipe digest"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    put_record(run, record)


def curve_edited(chance: random.Random, results: Path) -> None:
    run = any_run(chance, results)
    (run / "curve.json").write_text(json.dumps(edited_curve(chance, run), indent=1) + "\n")


def curve_edited_to_fit(chance: random.Random, results: Path) -> None:
    run = any_run(chance, results)
    put_curve(run, edited_curve(chance, run))


def edited_curve(chance: random.Random, run: Path) -> dict[str, Any]:
    """Return the curve of a run with one other number."""
    curve = curve_of(run)
    part = chance.choice([curve["first losses"], *curve["epochs"]])
    place = chance.choice(list(part) if isinstance(part, dict) else range(len(part)))
    part[place] = edited(chance, part[place])
    return curve


def error_edited_to_fit(chance: random.Random, results: Path) -> None:
    """Edit the test error of an epoch by whole images; that of the last one is not looked at."""
    run = any_run(chance, results)
    curve = curve_of(run)
    row = chance.choice(curve["epochs"][:-1])
    row["test error"] -= 100 * chance.randint(1, 20) / 256
    put_curve(run, curve)


def edited_predictions(chance: random.Random, run: Path) -> dict[str, Any]:
    arrays = predictions_of(run)
    classes = arrays[chance.choice(sorted(arrays))]
    for place in chance.sample(range(len(classes)), chance.choice([1, 2, 20])):
        classes[place] = (classes[place] + chance.randint(1, 9)) % 10
    return arrays


def predictions_edited(chance: random.Random, results: Path) -> None:
    run = any_run(chance, results)
    np.savez_compressed(run / "predictions.npz", **edited_predictions(chance, run))


def predictions_edited_to_fit(chance: random.Random, results: Path) -> None:
    run = any_run(chance, results)
    put_predictions(run, edited_predictions(chance, run))


def edited_weights(chance: random.Random, run: Path) -> dict[str, Any]:
    weights = weights_of(run)
    one = weights[chance.choice(sorted(weights))]
    place = tuple(chance.randrange(side) for side in one.shape)
    one[place] = edited(chance, one[place].item()) + chance.choice([-1, 1])
    return weights


def weights_edited(chance: random.Random, results: Path) -> None:
    run = results / "runs" / "tiny" / "0"
    torch.save(edited_weights(chance, run), run / "weights.pt")


def weights_edited_to_fit(chance: random.Random, results: Path) -> None:
    run = results / "runs" / "tiny" / "0"
    put_weights(run, edited_weights(chance, run))


def examination_edited(chance: random.Random, results: Path) -> None:
    path = results / "examined" / "tiny" / "0.json"
    record = json.loads(path.read_bytes())
    name = chance.choice(sorted(record))
    record[name] = edited(chance, record[name])
    path.write_text(json.dumps(record, indent=1) + "\n")


def examination_edited_to_fit(chance: random.Random, results: Path) -> None:
    path = results / "examined" / "tiny" / "0.json"
    numbers = json.loads(path.read_bytes())["numbers"]
    name = chance.choice(sorted(numbers))
    by = NUMBERS[name].tolerance * chance.choice([-1, 1]) * 10 ** chance.uniform(0.1, 2)
    with_examination(numbers={name: numbers[name] + by})(results)


def pictures_edited(chance: random.Random, results: Path) -> None:
    path = results / "examined" / "tiny" / "0.npz"
    content = bytearray(path.read_bytes())
    chance.choice([bytes_flipped, bytes_removed, bytes_added])(chance, content)
    path.write_bytes(content)


def pictures_edited_to_fit(chance: random.Random, results: Path) -> None:
    """Edit a value by more than rounding, in what does not bear on the predictions."""
    arrays = pictures_of(results)
    name = chance.choice(["images", "mosaics", "mosaic_maps"])
    array = arrays[name]
    place = tuple(chance.randrange(side) for side in array.shape)
    by = 1 if array.dtype == np.uint8 else 0.003 * np.abs(array).max()
    array[place] = array[place] - by if array[place] >= by else array[place] + by
    put_pictures(results, arrays)


def run_copied_to_fit(chance: random.Random, results: Path) -> None:
    """Put a run under another seed of its arm, new or in the place of the run there."""
    source = chance.choice([f"tiny/{seed}" for seed in (0, 1)] + [f"{OTHER}/0", f"{OTHER}/1"])
    arm, seed = source.split("/")
    target = chance.choice([other for other in range(4) if other != int(seed) and other])
    copied(results, source, f"{arm}/{target}")


def runs_exchanged_to_fit(chance: random.Random, results: Path) -> None:
    """Exchange the seeds of the arm that keeps no weights."""
    folder = results / "runs" / OTHER
    shutil.copytree(folder / "0", folder / "2")
    copied(results, f"{OTHER}/1", f"{OTHER}/0")
    copied(results, f"{OTHER}/2", f"{OTHER}/1")
    shutil.rmtree(folder / "2")


FOUND_WITHOUT_DATA: dict[str, Tamper] = {
    "bytes flipped": in_bytes(bytes_flipped),
    "bytes removed": in_bytes(bytes_removed),
    "bytes added": in_bytes(bytes_added),
    "files swapped": files_swapped,
    "folders swapped": folders_swapped,
    "field edited": field_edited,
    "field edited, digests made to fit": field_edited_to_fit,
    "curve edited": curve_edited,
    "predictions edited": predictions_edited,
    "weights edited": weights_edited,
    "run copied, seed and digests made to fit": run_copied_to_fit,
    "examination edited": examination_edited,
    "pictures edited": pictures_edited,
}
FOUND_WITH_DATA: dict[str, Tamper] = {
    "curve edited, digests made to fit": curve_edited_to_fit,
    "error edited by whole images, digests made to fit": error_edited_to_fit,
    "predictions edited, digests and error made to fit": predictions_edited_to_fit,
    "weights edited, digests made to fit": weights_edited_to_fit,
    "runs exchanged, seeds and digests made to fit": runs_exchanged_to_fit,
    "examination edited, digest made to fit": examination_edited_to_fit,
    "pictures edited, digests made to fit": pictures_edited_to_fit,
}
TAMPERS = 200


def test_random_tampers_are_found(tmp_path: Path) -> None:
    chance = random.Random(0)  # noqa: S311 - no secret
    kinds = FOUND_WITHOUT_DATA | FOUND_WITH_DATA
    missed, late = [], []
    for number in range(TAMPERS):
        name = list(kinds)[number % len(kinds)]
        results = tmp_path / str(number)
        shutil.copytree(GOOD[0], results, ignore=shutil.ignore_patterns("local"))
        kinds[name](chance, results)
        report = Report()
        sound = recheck.without_data(results, report)
        if not report.problems and not report.notes:
            late.append(name)
            recheck.with_data(sound, 1e6, 1e6, report)
            if not report.problems:
                missed.append(f"{number}: {name}")
        shutil.rmtree(results)
    assert missed == []
    assert set(late) == set(FOUND_WITH_DATA)
    assert len(late) < TAMPERS / 3


def test_what_cannot_be_found_is_as_the_docstring_says(results: Path) -> None:
    """If a layer finds these one day, the docstring of recheck says too little."""
    run = results / "runs" / "tiny" / "1"
    record = record_of(run)
    possible: dict[str, Any] = {
        "commit": "0" * 40,
        "clean": True,
        "code": "0" * 16,
        "versions": record["versions"] | {"torch": "2.11.0"},
        "device": record["device"] | {"name": "another processor"},
        "command": ["python", "-m", "claims.training", "reproduce"],
        "started": "2020-01-01T00:00:00+00:00",
        "finished": "2030-01-01T00:00:00+00:00",
        "seconds": [1.0, 2.0],
        "resumed": 7,
    }
    assert possible.keys() == UNFINDABLE.keys()
    put_record(run, record | possible)
    found = checked(results)
    assert (found.problems, found.notes) == ([], [])
