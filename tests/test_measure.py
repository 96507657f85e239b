"""Measuring: what is written, what is said when it cannot be, and what claims make of it."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from claims import compute, measure, nin_cost, practice
from claims._steps import STEPS, Step
from claims.bring import bring_operators
from claims.checks import Array
from claims.core.claim import Claim
from claims.core.judge import judge
from claims.core.results import read
from claims.core.suite import UnavailableError
from claims.core.verdict import Verdict
from claims.subjects import MEASUREMENTS, RESULTS, Evidence
from claims.suite import SUITE
from nin_ref.operators import Operators, TorchOperators

COMMITTED = RESULTS / "measured" / "matrix-products-cpu.json"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of its own for small measurements of few rounds."""
    shapes = [(1, 6, 4), (2, 6, 4), (5, 5, 5)]
    steps = {
        name: Step(functools.partial(torch.nn.Conv2d, 2, 3, kernel), (2, 2, 7, 6))
        for name, kernel in (("large", 5), ("small", 1))
    }
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(measure, "SHAPES", shapes)
    monkeypatch.setattr(measure, "STEPS", steps)
    monkeypatch.setattr(measure, "ROUNDS", 3)
    return tmp_path


def written(results: Path, name: str = "matrix-products-cpu") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((results / "measured" / f"{name}.json").read_text())
    return found


def shape_of(measured: object) -> object:
    """Return what a measurement holds, without its numbers, names of products and texts."""
    if isinstance(measured, dict):
        return {key: shape_of(value) for key, value in measured.items() if key != "seconds"}
    return type(measured).__name__


def verdict(claim: Claim, directory: Path) -> Verdict:
    replaced = {MEASUREMENTS.name: Evidence(directory)}
    return judge(claim, replaced=replaced).observation.verdict


def put(directory: Path, name: str, content: str) -> None:
    (directory / "measured").mkdir(exist_ok=True)
    (directory / "measured" / f"{name}.json").write_text(content)


def test_what_is_written_has_every_sample_and_says_where_it_was_made(results: Path) -> None:
    before = COMMITTED.read_bytes()
    assert measure.main(["--device", "cpu"]) == 0
    found = written(results)
    assert set(found["seconds"]) == {"pass", "1x6x4", "2x6x4", "5x5x5"}
    for samples in found["seconds"].values():
        assert len(samples) == 3
        assert all(isinstance(sample, float) and sample > 0 for sample in samples)
    assert found["bytes in a pass"] == 4 * 6 * 4
    assert found["versions"]["torch"] == torch.__version__
    assert found["threads"] >= 1
    assert found["device"]
    assert sorted(path.name for path in results.rglob("*") if path.is_file()) == [
        "matrix-products-cpu.json",
        "training-steps-cpu.json",
    ]
    assert COMMITTED.read_bytes() == before


def test_the_committed_measurement_has_the_form_that_is_written(results: Path) -> None:
    committed = json.loads(COMMITTED.read_text())
    assert measure.main(["--device", "cpu"]) == 0
    assert shape_of(committed) == shape_of(written(results))
    products = {compute.Product(*shape).name for shape in compute.SHAPES}
    assert set(committed["seconds"]) == {"pass", *products}
    assert len({len(samples) for samples in committed["seconds"].values()}) == 1
    assert committed["bytes in a pass"] == 4 * 25_088 * 4096


def test_operations_are_timed_in_turn_after_a_round_that_warms_up() -> None:
    order: list[str] = []
    operations: dict[str, Callable[[], object]] = {
        name: functools.partial(order.append, name) for name in "ab"
    }
    seconds = measure.interleaved(operations, torch.device("cpu"))
    assert "".join(order) == "ab" * (measure.ROUNDS + 1)
    assert {name: len(samples) for name, samples in seconds.items()} == {
        "a": measure.ROUNDS,
        "b": measure.ROUNDS,
    }


def test_products_are_those_of_the_shapes_with_the_right_factor_transposed(results: Path) -> None:
    inputs: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    right = torch.nn.functional.linear

    def seen(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        inputs.append((tuple(x.shape), tuple(weight.shape)))
        return right(x, weight)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", seen)
        measure.matrix_products(torch.device("cpu"))
    assert set(inputs) == {((1, 6), (4, 6)), ((2, 6), (4, 6)), ((5, 5), (5, 5))}


def test_claims_about_operators_are_judged_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a bias added twice some verdicts are others; those that never add one stay."""
    on: list[str] = []

    class TwiceBiased(TorchOperators):
        def conv2d(self, x: Array, weight: Array, bias: Array | None = None, **kw: Any) -> Array:
            return super().conv2d(x, weight, None if bias is None else 2 * bias, **kw)

    def bring(path: str | None, device: str) -> Operators:
        assert path is None
        on.append(device)
        return TwiceBiased(device) if len(on) > 1 else bring_operators(path, device)

    monkeypatch.setattr(measure, "bring_operators", bring)
    monkeypatch.setattr(measure, "SUITE", dataclasses.replace(SUITE, topics=("pointwise", "heads")))
    found, biased = (measure.operators(torch.device("cpu"))["claims"] for _ in range(2))
    assert on == ["cpu", "cpu"]
    entries = read(RESULTS / "verdicts.json")
    for id_, one in found.items():
        assert one["digest"] == entries[id_]["digest"]
        assert one["observed"] == entries[id_]["observed"]
        assert one["conditions"] == entries[id_]["conditions"]
        assert (one["counterexample"] is not None) == (one["observed"] == "refuted")
    expected = {
        id_
        for id_, claim in SUITE.claims().items()
        if id_.partition("/")[0] in ("pointwise", "heads")
        and claim.cost == "quick"
        and any(judgement.subject.name == "operators" for judgement in claim.judgements)
    }
    assert found.keys() == biased.keys() == expected
    changed = {id_ for id_ in found if biased[id_].get("observed") != found[id_]["observed"]}
    assert "pointwise/is-a-linear-layer-per-pixel" in changed, changed
    assert len(changed) < len(found)


def test_a_package_that_is_missing_is_no_observation(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'z3'")

    monkeypatch.setattr(measure, "judge", lacking)
    with pytest.raises(ImportError, match="No module named 'z3'"):
        measure.operators(torch.device("cpu"))


def test_training_steps_are_measured_alone_when_asked(results: Path) -> None:
    assert measure.main(["--device", "cpu", "training-steps-cpu"]) == 0
    assert [path.name for path in (results / "measured").iterdir()] == ["training-steps-cpu.json"]
    seconds = written(results, "training-steps-cpu")["seconds"]
    assert {name: len(samples) for name, samples in seconds.items()} == {"large": 3, "small": 3}
    assert all(sample > 0 for samples in seconds.values() for sample in samples)


def test_the_committed_training_steps_are_all_of_them() -> None:
    seconds = written(RESULTS, "training-steps-cpu")["seconds"]
    assert set(seconds) == set(STEPS)
    assert {len(samples) for samples in seconds.values()} == {measure.ROUNDS}


def test_a_training_step_goes_forward_and_backward_and_updates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3, bias=False), torch.nn.BatchNorm2d(3))
    network.eval()
    batches: list[tuple[int, ...]] = []
    network.register_forward_hook(lambda _, inputs, __: batches.append(tuple(inputs[0].shape)))
    train = measure.prepared(Step(lambda: network, (4, 2, 6, 5)), torch.device("cpu"))
    batches.clear()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    train()
    assert batches == [(4, 2, 6, 5)]
    assert network.training
    assert all(not torch.equal(before[name], value) for name, value in network.named_parameters())
    first = {name: value.grad for name, value in network.named_parameters()}
    gradients = {name: value.clone() for name, value in first.items() if value is not None}
    assert gradients.keys() == before.keys()
    train()
    for name, value in network.named_parameters():  # not accumulated over steps
        assert value.grad is not None
        assert value.grad.norm() < 1.5 * gradients[name].norm()


def test_a_name_that_is_not_measured_is_refused(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        measure.main(["--device", "cpu", "gpu-memory"])
    assert stopped.value.code == 2
    assert "on cpu there is no 'gpu-memory', only matrix-products-cpu" in capsys.readouterr().err
    assert list(results.iterdir()) == []


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ([9.0, 2.1, 2.2], Verdict.HOLDS),
        ([0.1, 1.9, 1.8], Verdict.REFUTED),
        ([9.0, 2.1, 1.9], Verdict.UNDECIDED),  # the rounds disagree
        ([2.0, 2.0, 2.0], Verdict.UNDECIDED),
        ([1.0, *9 * [2.1]], Verdict.HOLDS),  # one of ten rounds may be disturbed ...
        ([1.0, 1.0, *8 * [2.1]], Verdict.UNDECIDED),  # ... and no more
    ],
)
def test_training_steps_are_compared_in_the_same_rounds(
    tmp_path: Path, ours: list[float], expected: Verdict
) -> None:
    claim = nin_cost.longer_step_on_gpu
    assert verdict(claim, tmp_path) == Verdict.UNDECIDED
    seconds = {"lecture-nin": ours, "lecture-alexnet": [2.0] * len(ours)}
    put(tmp_path, "training-steps-cuda", json.dumps({"seconds": seconds}))
    assert verdict(claim, tmp_path) == expected


def test_times_are_compared_round_by_round(tmp_path: Path) -> None:
    seconds = {"lecture-nin": [1.1, 3.0, 3.0], "lecture-alexnet": [2.0, 1.0, 2.9]}
    put(tmp_path, "training-steps-cuda", json.dumps({"seconds": seconds}))
    assert verdict(nin_cost.longer_step_on_gpu, tmp_path) == Verdict.UNDECIDED


def test_where_nothing_can_be_written_it_says_so_before_measuring(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (results / "measured").write_text("a file where the folder should be")
    monkeypatch.setattr(measure, "matrix_products", lambda device: pytest.fail("measured"))
    assert measure.main(["--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: matrix-products-cpu not measured: ")
    assert str(results / "measured") in error
    assert "cannot be written" in error


@pytest.mark.parametrize(
    "failure", [RuntimeError("out of memory"), FileNotFoundError("nvidia-smi"), ValueError("[N/A]")]
)
def test_a_measurement_that_fails_leaves_the_old_one(
    results: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
) -> None:
    def failing(device: torch.device) -> measure.Measurement:
        raise failure

    put(results, "matrix-products-cpu", "old")
    monkeypatch.setattr(measure, "matrix_products", failing)
    assert measure.main(["--device", "cpu"]) == 1
    assert capsys.readouterr().err == f"error: matrix-products-cpu not measured: {failure}\n"
    assert (results / "measured" / "matrix-products-cpu.json").read_text() == "old"


def test_without_a_gpu_it_says_what_to_do(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        measure.main(["--device", "cuda"])
    assert stopped.value.code == 2
    assert "no CUDA device here; leave out --device" in capsys.readouterr().err
    assert list(results.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "asked"), [(None, "--id=0"), ("3,1", "--id=3"), ("GPU-5f", "--id=GPU-5f")]
)
def test_the_driver_is_asked_about_the_gpu_that_is_used(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, asked: str
) -> None:
    class Answer:
        stdout = "1250\n"

    queries: list[list[str]] = []

    def run(query: list[str], **options: Any) -> Answer:
        queries.append(query)
        return Answer()

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    monkeypatch.setattr(subprocess, "run", run)
    assert measure.used_on_gpu() == 1250 * 2**20
    assert asked in queries[0]


@pytest.mark.parametrize("content", ["", '{"seconds": {"pa', "\x00"])
def test_damaged_evidence_gives_no_verdict_and_is_named(tmp_path: Path, content: str) -> None:
    put(tmp_path, "matrix-products-cpu", content)
    with pytest.raises(UnavailableError, match=r"matrix-products-cpu\.json is damaged.*make measu"):
        verdict(compute.measured_on_cpu, tmp_path)


def test_evidence_that_lacks_a_sample_gives_no_verdict(tmp_path: Path) -> None:
    measured = json.loads(COMMITTED.read_text())
    measured["seconds"]["pass"].pop()
    put(tmp_path, "matrix-products-cpu", json.dumps(measured))
    with pytest.raises(ValueError, match="shorter"):
        verdict(compute.measured_on_cpu, tmp_path)


@pytest.mark.parametrize(
    ("slow", "expected"),
    [(1.0, Verdict.HOLDS), (3.0, Verdict.REFUTED)],
)
def test_the_gpu_products_are_decided_by_their_measurement(
    tmp_path: Path, slow: float, expected: Verdict
) -> None:
    assert verdict(compute.measured_on_gpu, tmp_path) == Verdict.UNDECIDED
    products = [compute.Product(*shape) for shape in compute.SHAPES]
    moved = {
        c.name: 4 * (c.rows * c.inner + c.inner * c.columns + c.rows * c.columns) for c in products
    }
    seconds = {name: 3 * [slow * size * 1e-9] for name, size in moved.items()}
    measured = {"bytes in a pass": 10**9, "seconds": {**seconds, "pass": 3 * [1.0]}}
    put(tmp_path, "matrix-products-cuda", json.dumps(measured))
    assert verdict(compute.measured_on_gpu, tmp_path) == expected


@pytest.mark.parametrize(
    ("taken", "expected"), [(0.5e9, Verdict.REFUTED), (4e9, Verdict.HOLDS), (6e9, Verdict.REFUTED)]
)
def test_memory_in_use_before_is_not_charged_to_pytorch(
    tmp_path: Path, taken: float, expected: Verdict
) -> None:
    assert verdict(practice.four_gigabytes, tmp_path) == Verdict.UNDECIDED
    measured = {
        "bytes before": 3e9,
        "bytes with one number": 3e9 + taken,
        "bytes of the number": 4,
        "bytes of tensors": 512,
    }
    put(tmp_path, "gpu-memory", json.dumps(measured))
    assert verdict(practice.four_gigabytes, tmp_path) == expected
