"""`reproduce`: what it lists, trains, leaves alone and says; of GPUs, which processes it starts."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from claims.training import reproduce, runs
from claims.training.arms import ARMS, Arm
from nin_ref import data
from nin_ref.training import Progress

PROJECT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "claims.training", "reproduce"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
ENVIRONMENT.pop("PYTHONUNBUFFERED", None)  # with it, nothing is left to write at the end


@pytest.fixture(autouse=True)
def own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a command line of its own, for runs record it; and one thread."""
    monkeypatch.setattr(sys, "argv", ["python"])
    torch.set_num_threads(1)


def do(results: Path, *arguments: object) -> int:
    """Run the command here, on a CPU."""
    return reproduce.main(
        [
            *("--results", str(results), "--device", "cpu", "--together", "1"),
            *(str(one) for one in arguments),
        ]
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results with two finished runs, made by the command itself in its own process."""
    results = tmp_path_factory.mktemp("two")
    asked = ["--arms", "tiny", "--seeds", "0-1", "--together", "1"]
    command = [*COMMAND, *asked, f"--results={results}"]
    made = subprocess.run(
        command, capture_output=True, text=True, cwd=PROJECT, env=ENVIRONMENT, check=False
    )
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    (results / "said").write_text(made.stdout)
    return results


@pytest.fixture
def finished(two: Path, tmp_path: Path) -> Path:
    """Return a copy of them."""
    return Path(shutil.copytree(two, tmp_path / "finished"))


def seeds_of(results: Path) -> list[int]:
    return sorted(int(path.parent.name) for path in results.glob("runs/tiny/*/run.json"))


def rules_for(results: Path, **arms: int) -> None:
    """Write rules that need so many seeds of arms."""
    needed = {name.replace("_", "-"): seeds for name, seeds in arms.items()}
    (results / "rules.json").write_text(json.dumps({"a/claim": {"arms": needed, "digest": "d"}}))


# From end to end ----------------------------------------------------------------------------------


def test_the_command_trains_what_is_asked_for(two: Path) -> None:
    said = (two / "said").read_text()
    lines = said.splitlines()
    assert lines[0].startswith(f"to train on {runs.processor()}: 2 runs, together about ")
    assert re.fullmatch(
        r"  tiny +seeds 0-1 +about 1 s, 2\.65e-05 PFLOP   a small network on synthetic patterns, "
        r"for rehearsals",
        lines[1],
    )
    for seed in (0, 1):
        labels = runs.test_labels("patterns", two)
        run = runs.read(two / "runs" / "tiny" / str(seed), labels)
        error = run.curve[-1]["test error"]
        folder = two / "runs" / "tiny" / str(seed)
        assert f"tiny seed {seed}: epoch 0.0 of 3" in lines
        assert f"tiny seed {seed}: finished with {error:.2f} % test error, {folder}" in lines
        assert run.record["command"] == [
            *("python", "-m", "claims.training", "reproduce"),
            *("--arms", "tiny", "--seeds", "0-1", "--together", "1"),
        ]
        assert str(two) not in (folder / "run.json").read_text()
    assert lines[-1] == "made 2 runs"


@pytest.mark.usefixtures("interruptible")
def test_processes_share_the_work_and_go_on_after_a_stop(tmp_path: Path) -> None:
    """Stop two real processes on the same results, and let others finish."""
    command = [*COMMAND, "--arms", "tiny", f"--results={tmp_path}", "--seeds"]

    def started(seeds: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, seeds],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=PROJECT,
            env=ENVIRONMENT,
        )

    def said_by(process: subprocess.Popen[str], until: str = "") -> str:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if until and until in line:
                return "".join(lines)
        process.stdout.close()
        process.wait(60)
        return "".join(lines)

    stopped = [started("0-999"), started("0-999")]
    said = [said_by(process, until=": finished with") for process in stopped]
    for process, stop in zip(stopped, (signal.SIGTERM, signal.SIGINT), strict=True):
        process.send_signal(stop)
    said += [said_by(process) for process in stopped]
    assert [process.returncode for process in stopped] == [143, 130]
    for text in said[2:]:
        assert text.endswith("stopped; the same command goes on from the last checkpoint\n")
    before = seeds_of(tmp_path)

    last = max(before) + 2
    sharing = [started(f"0-{last}"), started(f"0-{last}")]
    said += [said_by(process) for process in sharing]
    assert [process.returncode for process in sharing] == [0, 0]
    assert seeds_of(tmp_path) == list(range(last + 1))
    everything = "".join(said)
    assert "Traceback" not in everything
    for seed in range(last + 1):
        assert everything.count(f"tiny seed {seed}: finished with") <= 1, "made twice"
        runs.read(tmp_path / "runs/tiny" / str(seed), runs.test_labels("patterns", tmp_path))
    made = [int(number) for number in re.findall(r"^made (\d+) runs?", everything, re.MULTILINE)]
    assert sum(made) == last + 1 - len(before)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ([], 2, "usage: python -m claims.training {"),
        (["reproduse"], 2, "usage: python -m claims.training {"),
        (["--help"], 0, "usage: python -m claims.training {"),
        (["reproduce", "--help"], 0, "usage: python -m claims.training reproduce"),
        (["reproduce", "--arms", "x"], 2, "there is no arm 'x'"),
    ],
)
def test_the_first_argument_names_the_command(
    arguments: list[str],
    status: int,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from claims.training.__main__ import main

    monkeypatch.setattr(sys, "argv", ["python", *arguments])
    try:
        ended: object = main()
    except SystemExit as left:
        ended = left.code
    told = capsys.readouterr()
    assert ended == status
    assert sentence in (told.err if status else told.out)
    assert (told.out if status else told.err) == ""


def test_ctrl_c_while_other_commands_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from claims.training import archive
    from claims.training.__main__ import main

    monkeypatch.setattr(sys, "argv", ["python", "pack", "x.zip"])
    monkeypatch.setattr(archive, "packed", interrupts)
    assert main() == 130
    assert capsys.readouterr() == ("stopped\n", "")


def interrupts(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


# Wrong arguments ----------------------------------------------------------------------------------

WRONG = [
    (["--arms", "tinny"], "argument --arms: there is no arm 'tinny'; did you mean tiny"),
    (["--arms", "cifar10-fc"], "did you mean cifar10 or cifar10-fc-head or"),
    (["--arms", "qqq"], "there is no arm 'qqq'; there are cifar10, cifar10-augmented"),
    (["--arms", "tiny,"], "there is no arm ''"),
    (["--seeds", "one"], "argument --seeds: seeds must read like 0,2 or 0-5, not 'one'"),
    (["--seeds=-1"], "seeds must read like 0,2 or 0-5, not '-1'"),
    (["--seeds", "0,,1"], "seeds must read like 0,2 or 0-5, not '0,,1'"),
    (["--seeds", "1.5"], "seeds must read like"),
    (["--seeds", "²"], "seeds must read like"),
    (["--seeds", "5-0"], "'5-0' runs backwards; did you mean 0-5?"),
    (["--seeds", "0-4294967296"], "a seed must be below 2**32, not 4294967296"),
    (["--seeds", "9" * 40], "a seed must be below 2**32"),
    (["--seeds", "9" * 5000], "seeds must read like"),
    (["--seeds", "0-4294967295"], "'0-4294967295' has more than 10,000 seeds"),
    (["--seeds", "5-10005"], "'5-10005' has more than 10,000 seeds"),
    (["--budget-minutes", "0"], "argument --budget-minutes: the minutes must be a positive number"),
    (["--budget-minutes", "-5"], "must be a positive number, not '-5'"),
    (["--budget-minutes", "nan"], "must be a positive number, not 'nan'"),
    (["--budget-minutes", "soon"], "must be a positive number, not 'soon'"),
    (["--together", "0"], "--together must be at least 1, not 0"),
    (["--device", "tpu"], "argument --device: invalid choice: 'tpu'"),
    (["--seed", "0", "--sees", "1"], "unrecognized arguments"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG, ids=lambda one: str(one)[:30])
def test_wrong_arguments(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        do(tmp_path, *arguments)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert sentence in told.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("", []),
        ("0", [0]),
        ("3,1, 1", [1, 3]),
        ("0-2,5", [0, 1, 2, 5]),
        ("7-7", [7]),
        ("2-3,0-2", [0, 1, 2, 3]),
        ("4294967295", [2**32 - 1]),
        ("0-9999", list(range(10_000))),
    ],
)
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    assert reproduce.chosen_seeds(text) == seeds


def test_arms_keep_their_order() -> None:
    assert reproduce.chosen_arms("tiny, mnist,cifar10,tiny") == ["cifar10", "mnist", "tiny"]


def test_a_gpu_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert reproduce.main(["--device", "cuda", "--results", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "error: PyTorch finds no GPU here; leave out --device to train on the CPU what it can\n"
    )


# The plan -----------------------------------------------------------------------------------------


def plan(results: Path, arms: str = "", seeds: str = "", device: str = "cpu") -> reproduce.Plan:
    return reproduce.planned(
        reproduce.chosen_arms(arms), reproduce.chosen_seeds(seeds), device, results
    )


def test_without_names_a_cpu_makes_what_it_is_fit_for(tmp_path: Path) -> None:
    rules_for(tmp_path, handwritten=2, cifar10=1)
    here, elsewhere = [("handwritten", 0), ("handwritten", 1)], [("cifar10", 0)]
    assert plan(tmp_path) == reproduce.Plan(here, elsewhere, [])
    assert plan(tmp_path, device="cuda") == reproduce.Plan(elsewhere + here, [], [])


def test_named_arms_are_made_on_any_device(tmp_path: Path) -> None:
    rules_for(tmp_path, handwritten=2, cifar10=2)
    wanted = [("cifar10", 0), ("cifar10", 1), ("mnist", 0)]
    assert plan(tmp_path, "mnist,cifar10") == reproduce.Plan(wanted, [], [])
    assert plan(tmp_path, "cifar10", "1-2").here == [("cifar10", 1), ("cifar10", 2)]


def test_no_seed_is_added_to_those_that_rules_name(tmp_path: Path) -> None:
    rules_for(tmp_path, handwritten=3, tiny=1)
    assert plan(tmp_path, seeds="0,2-9").here == [
        ("handwritten", 0),
        ("handwritten", 2),
        ("tiny", 0),
    ]


def test_the_rule_that_needs_most_counts(tmp_path: Path) -> None:
    rules = {
        "a": {"arms": {"tiny": 2}, "digest": ""},
        "b": {"arms": {"tiny": 5, "mnist": 1}, "digest": ""},
        "c": {"arms": {"tiny": 3}, "digest": ""},
    }
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    assert reproduce.seeds_needed(tmp_path) == {"tiny": 5, "mnist": 1}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a": 1}', '{"a": {}}', '{"a": {"arms": {"x": "1"}}}']
)
def test_damaged_rules(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rules.json").write_text(text)
    assert do(tmp_path) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"error: {tmp_path / 'rules.json'} is damaged (")
    assert "`python -m claims.training.declared` writes it anew" in told.err


def test_the_rules_that_are_declared_have_a_plan() -> None:
    """Whatever the evidence is by now: each arm that a rule names is known, and has a place."""
    needed = reproduce.seeds_needed(runs.RESULTS)
    found = plan(runs.RESULTS)
    placed = [*found.here, *found.elsewhere, *found.finished]
    assert needed.keys() <= ARMS.keys()
    assert sorted(placed) == sorted((arm, seed) for arm in needed for seed in range(needed[arm]))


# The list -----------------------------------------------------------------------------------------


def test_the_list_says_what_a_cpu_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules_for(tmp_path, handwritten=3, cifar10=2, cifar100=1)
    assert do(tmp_path, "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"to train on {runs.processor()}: 3 runs, together about ")
    assert lines[0].endswith(" on one machine")
    assert re.match(
        r"  handwritten +seeds 0-2 +about [0-9.]+ (min|h), [0-9.]+ PFLOP   the", lines[1]
    )
    assert re.fullmatch(r"2 arms need a GPU, about [0-9.]+ (s|min|h) of one:", lines[2])
    assert re.match(r"  cifar10 +seeds 0-1 +about [0-9.]+ min, 34.7 PFLOP   the paper", lines[3])
    assert re.match(r"  cifar100 +seed 0 +about [0-9.]+ min, [0-9.]+ PFLOP   the authors", lines[4])
    assert lines[5:] == [
        "an arm named with --arms (ARMS=) is trained here all the same, however long it takes"
    ]
    assert not (tmp_path / "runs").exists()


def test_one_arm_needs_and_two_arms_need(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules_for(tmp_path, tiny=1, cifar100=1)
    assert do(tmp_path, "--list") == 0
    said = capsys.readouterr().out
    assert ": 1 run, together" in said
    assert "\n1 arm needs a GPU, about " in said


def test_a_named_arm_needs_no_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules_for(tmp_path, handwritten=3, cifar10=2)
    assert do(tmp_path, "--list", "--arms", "cifar10", "--seeds", "5") == 0
    said = capsys.readouterr().out
    assert "GPU" not in said
    assert re.search(r"  cifar10 +seed 5 +about [0-9.]+ h, 17.4 PFLOP", said)


def test_nothing_is_missing(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules_for(finished, tiny=2)
    assert do(finished) == 0
    assert capsys.readouterr() == ("nothing is missing: 2 runs asked for and finished\n", "")
    assert do(finished, "--seeds", "0") == 0
    assert capsys.readouterr().out == "nothing is missing: 1 run asked for and finished\n"


def test_nothing_is_missing_that_a_cpu_could_train(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules_for(finished, tiny=2, cifar100=3)
    assert do(finished) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "nothing is missing that a CPU is fit to train"
    assert lines[1].startswith("1 arm needs a GPU")


def test_no_rule_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert do(tmp_path) == 0
    assert capsys.readouterr().out == (
        "nothing is missing: no rule waits for such runs; --arms (ARMS=) names others\n"
    )


# Estimates ----------------------------------------------------------------------------------------


def test_operations_are_three_forward_passes_of_each_image() -> None:
    assert reproduce.operations("cifar10") == pytest.approx(
        3 * 2 * 222.49e6 * 50_000 * 260, rel=1e-3
    )
    # 28 of 32 pixels to a side, and 60,000 images of one channel
    each = {
        arm: reproduce.operations(arm) / images / ARMS[arm].recipe.epochs
        for arm, images in (("mnist", 60_000), ("svhn", 73_257))
    }
    assert each["mnist"] < each["svhn"]


def put_run(results: Path, arm: str, seed: int, **fields: Any) -> Path:
    """Write what the estimates read of a run; `name` is that of the device."""
    folder = runs.folder_of(results, arm, seed)
    folder.mkdir(parents=True)
    record = {
        "arm": arm,
        "recipe digest": ARMS[arm].recipe.digest,
        "device": {
            "kind": "cpu",
            "name": fields.pop("name", "A"),
            "threads": fields.pop("threads", 1),
        },
        "seconds": [1.0, 2.0],
        "resumed": 0,
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
    }
    (folder / "run.json").write_text(json.dumps(record | fields.pop("record", fields)))
    return folder


def expected(arm: str, results: Path, kind: str = "cpu") -> float:
    return reproduce.expected(arm, kind, reproduce.timings_on(kind, "A", results))


def test_a_run_takes_as_long_as_those_before(tmp_path: Path) -> None:
    for seed, ended in enumerate(("00:01:00", "00:03:00", "01:00:00")):
        put_run(tmp_path, "mnist", seed, finished=f"2026-01-01T{ended}+00:00")
    assert expected("mnist", tmp_path) == 180


def test_the_time_of_a_stop_is_not_counted(tmp_path: Path) -> None:
    put_run(tmp_path, "mnist", 0, resumed=1)
    assert expected("mnist", tmp_path) == 3


def test_on_a_cpu_the_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_run(tmp_path, "mnist", 0, threads=4)
    assert expected("mnist", tmp_path) == 4 * 60
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    timings = reproduce.timings_on("cpu", "A", tmp_path)
    assert reproduce.estimated([("mnist", 1), ("mnist", 2)], "cpu", timings)[0] == 2 * 4 * 60 / 8
    worker = reproduce.Worker("cpu", tmp_path, 1.0)
    for threads, fits in ((2, False), (5, True)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert worker.fits("mnist", 1) is fits


def test_a_gpu_is_as_fast_with_many_threads_on_its_host(
    gpus: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpus.setattr(torch, "get_num_threads", lambda: 1000)
    seconds = reproduce.expected("cifar10", "cuda", ())
    assert not reproduce.Worker("cuda", tmp_path, 0.9 * seconds / 60).fits("cifar10", 0)
    assert reproduce.Worker("cuda", tmp_path, 1.1 * seconds / 60).fits("cifar10", 0)


def test_runs_on_the_same_device_tell_more(tmp_path: Path) -> None:
    put_run(tmp_path, "mnist", 0, name="B", seconds=[1000.0])
    assert expected("mnist", tmp_path) == 1000
    assert expected("mnist", tmp_path, "cuda") != 1000
    put_run(tmp_path, "mnist", 1)
    assert expected("mnist", tmp_path) == 60
    put_run(tmp_path, "svhn", 0, name="B", seconds=[1000.0])
    ratio = reproduce.operations("svhn") / reproduce.operations("mnist")
    assert expected("svhn", tmp_path) == pytest.approx(60 * ratio)


def test_other_arms_tell_the_pace(tmp_path: Path) -> None:
    guess = expected("cifar10", tmp_path)
    assert guess == reproduce.operations("cifar10") / 3e11
    put_run(tmp_path, "tiny", 0)
    assert expected("cifar10", tmp_path) == guess, "a rehearsal tells nothing of others"
    put_run(tmp_path, "mnist", 0)
    ratio = reproduce.operations("cifar10") / reproduce.operations("mnist")
    assert expected("cifar10", tmp_path) == pytest.approx(60 * ratio)


def test_runs_of_an_older_recipe_tell_nothing(tmp_path: Path) -> None:
    guess = expected("mnist", tmp_path)
    put_run(tmp_path, "mnist", 0, **{"recipe digest": "0" * 16})
    assert expected("mnist", tmp_path) == guess


@pytest.mark.parametrize(
    "fields",
    [
        {"seconds": []},
        {"seconds": ["1"]},
        {"seconds": [math.nan]},
        {"seconds": [10**400]},
        {"seconds": None},
        {"seconds": [math.inf]},
        {"seconds": [-1.0], "resumed": 1},
        {"device": "A"},
        {"device": []},
        {"arm": []},
        {"arm": "unknown"},
        {"started": "today"},
        {"started": "2026-01-01T00:00:00"},
        {"finished": 5},
    ],
    ids=str,
)
def test_a_damaged_record_stops_no_estimate(fields: dict[str, Any], tmp_path: Path) -> None:
    guess = expected("mnist", tmp_path)
    put_run(tmp_path, "mnist", 0, record={"finished": "2026-01-01T00:00:00+00:00", **fields})
    assert expected("mnist", tmp_path) == guess


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 200_000])
def test_a_damaged_file_stops_no_estimate(content: bytes, tmp_path: Path) -> None:
    guess = expected("mnist", tmp_path)
    (put_run(tmp_path, "mnist", 0) / "run.json").write_bytes(content)
    (put_run(tmp_path, "mnist", 1) / "run.json").unlink()
    (tmp_path / "runs/mnist/1/run.json").mkdir()
    assert expected("mnist", tmp_path) == guess


# Finished runs ------------------------------------------------------------------------------------


def test_a_damaged_finished_run_is_named_and_stays(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished / "runs/tiny/1"
    (folder / "curve.json").write_text("{")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert do(finished, "--arms", "tiny", "--seeds", "0-2") == 1
    told = capsys.readouterr()
    assert told.err == (
        "error: tiny seed 1 counts as finished, but run tiny/1 is not valid: its files are not "
        f"those that run.json lists; nothing was changed: restore it, or move {folder} away to "
        "train it anew\n"
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert told.out.endswith("made 1 run\n")
    assert seeds_of(finished) == [0, 1, 2]


def test_a_damaged_finished_run_is_an_error_of_the_list_too(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "runs/tiny/0/run.json").write_text("{")
    assert do(finished, "--arms", "tiny", "--seeds", "0-1", "--list") == 1
    assert "run tiny/0 is damaged (JSONDecodeError" in capsys.readouterr().err
    (finished / "test_labels/patterns.npy").unlink()
    assert do(finished, "--arms", "tiny", "--seeds", "1", "--list") == 1
    assert "there are no true labels of patterns beside the runs" in capsys.readouterr().err


def test_a_stale_run_is_named(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = runs.read(finished / "runs/tiny/0", runs.test_labels("patterns", finished))
    for traces, status in [
        ({"tiny": right.record["trace"]}, ""),
        ({"tiny": [1.0]}, "tiny seed 0 is stale: the code trains otherwise"),
        ({}, ""),
    ]:
        (finished / "traces.json").write_text(json.dumps(traces))
        assert do(finished, "--arms", "tiny", "--seeds", "0") == 0
        told = capsys.readouterr()
        assert told.err == ""
        assert told.out.startswith(status)
        assert (f"; move {finished / 'runs/tiny/0'} away to train it anew\n" in told.out) == bool(
            status
        )
        assert told.out.endswith("nothing is missing: 1 run asked for and finished\n")


# What goes wrong ----------------------------------------------------------------------------------


@pytest.fixture
def with_images(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Let runs be made in no time, without data; return which were."""
    made: list[tuple[str, int]] = []
    monkeypatch.setattr(reproduce.Worker, "prepared", lambda self, arm: None)
    monkeypatch.setattr(
        runs, "make", lambda name, arm, seed, *others, **more: made.append((name, seed))
    )
    return made


def fails_for(seed: int, error: BaseException) -> Callable[..., Path | None]:
    """Return a `make` that fails for one seed."""
    real = runs.make

    def make(name: str, arm: Arm, its: int, *others: Any, **more: Any) -> Path | None:
        if its == seed:
            raise error
        return real(name, arm, its, *others, **more)

    return make


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "the GPU has too little free memory; free"),
        (MemoryError(), "the machine has too little free memory"),
        (
            OSError(28, "No space left on device"),
            "not written ([Errno 28] No space left on device)",
        ),
        (runs.RunError("run tiny/0 is not valid: x"), "run tiny/0 is not valid: x"),
    ],
)
def test_one_run_that_fails_stops_no_other(
    error: BaseException,
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "make", fails_for(0, error))
    assert do(tmp_path, "--arms", "tiny", "--seeds", "0-1") == 1
    told = capsys.readouterr()
    assert told.err.startswith(f"error: tiny seed 0: {sentence}")
    assert told.err.count("\n") == 1
    assert told.out.endswith("made 1 run; could not make 1 run\n")
    assert seeds_of(tmp_path) == [1]


def test_a_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A disk has place for small files alone: for no run with weights, but for the other ones."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
    try:
        status = do(tmp_path, "--arms", "tiny", "--seeds", "0-1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    told = capsys.readouterr()
    assert status == 1
    assert re.fullmatch(
        r"error: tiny seed 0: not written \(.*File too large.*\); the same command goes on from "
        r"the last checkpoint\n",
        told.err,
    )
    assert seeds_of(tmp_path) == [1]
    assert do(tmp_path, "--arms", "tiny", "--seeds", "0-1") == 0
    assert seeds_of(tmp_path) == [0, 1]


def test_no_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIN_DATA", str(tmp_path / "none"))
    assert do(tmp_path, "--arms", "handwritten,tiny", "--seeds", "0-1") == 1
    told = capsys.readouterr()
    assert told.err == (
        f"error: handwritten seed 0: cifar10 in {tmp_path / 'none'}: there is no such folder; "
        "run `make data`, or set NIN_DATA to a folder that has the data set\n"
    )
    assert told.out.endswith("made 2 runs; could not make 2 runs\n")
    assert seeds_of(tmp_path) == [0, 1]


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_signals_end_with_a_sentence(
    stop: signal.Signals,
    status: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make(*arguments: object, **more: object) -> None:
        os.kill(os.getpid(), stop)
        time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(runs, "make", make)
    assert do(tmp_path, "--arms", "tiny") == status
    told = capsys.readouterr()
    assert told.out.endswith("stopped; the same command goes on from the last checkpoint\n")
    assert told.err == ""
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_stopped_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop a run in its second epoch, by a signal that arrives while it trains."""
    real = reproduce.Worker.report
    told: list[str] = []

    def report(self: reproduce.Worker, label: str, epochs: int, at: Progress, share: float) -> None:
        if at.epoch == 1 and share > 0 and not told:
            told.append(label)
            os.kill(os.getpid(), signal.SIGTERM)
        real(self, label, epochs, at, share)

    monkeypatch.setattr(reproduce.Worker, "report", report)
    make = runs.make
    monkeypatch.setattr(
        runs, "make", lambda *one, **more: make(*one, **more, checkpoint_interval=0)
    )
    assert do(tmp_path, "--arms", "tiny") == 143
    assert not seeds_of(tmp_path)
    assert do(tmp_path, "--arms", "tiny") == 0
    assert "tiny seed 0: epoch 1.0 of 3, loss" in capsys.readouterr().out
    run = runs.read(tmp_path / "runs/tiny/0", runs.test_labels("patterns", tmp_path))
    assert run.record["resumed"] == 1


def test_a_run_of_another_process_is_left_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with runs.taken(runs.folder_of(tmp_path / "local", "tiny", 0)) as mine:
        assert mine
        assert do(tmp_path, "--arms", "tiny", "--seeds", "0-1") == 0
    said = capsys.readouterr().out
    assert "tiny seed 0: another process has it\n" in said
    assert said.endswith("made 1 run; left 1 run to other processes\n")
    assert seeds_of(tmp_path) == [1]


def test_a_run_that_was_finished_meanwhile_is_not_prepared_for(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = reproduce.Worker("cpu", finished, math.inf)
    assert worker.make_all([("tiny", 0)]) == 0
    assert capsys.readouterr().out == (
        "tiny seed 0: another process has it\nmade 0 runs; left 1 run to other processes\n"
    )


def test_collapsed_runs_are_kept_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate that is too high leads nowhere; other seeds of the same list go on."""
    hot = dataclasses.replace(ARMS["tiny"].recipe, learning_rate=1e6)
    arms = {"tiny": ARMS["tiny"], "hot": dataclasses.replace(ARMS["tiny"], recipe=hot)}
    for module in (reproduce, runs):
        monkeypatch.setattr(module, "ARMS", arms)
    assert do(tmp_path, "--arms", "hot,tiny", "--seeds", "0-1") == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert re.search(r"hot seed 0: collapsed with [0-9.]+ % test error", told.out)
    assert re.search(r"tiny seed 1: finished with [0-9.]+ % test error", told.out)
    assert told.out.endswith(
        "made 4 runs, of which 2 collapsed; collapsed runs are kept and count\n"
    )
    assert len(list(tmp_path.glob("runs/hot/*/run.json"))) == 2


@pytest.mark.parametrize("piped", [True, False])
def test_a_log_that_cannot_be_written_stops_no_training(piped: bool, tmp_path: Path) -> None:
    """Write to a pipe that nobody reads, or to a full disk."""
    code = (
        "import sys; from claims.training import reproduce\n"
        "for n in range(3): reproduce.say('line')\n"
        "print('went on', file=sys.stderr)"
    )
    if piped:
        reading, writing = os.pipe()
        os.close(reading)
    elif Path("/dev/full").exists():
        writing = os.open("/dev/full", os.O_WRONLY)
    else:
        pytest.skip("this system has no /dev/full")
    ended = subprocess.run(
        [sys.executable, "-c", code],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env=ENVIRONMENT,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "went on\n")


# The budget ---------------------------------------------------------------------------------------


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reproduce, "time", clock)
    return clock


def test_whole_runs_that_fit_are_made(
    tmp_path: Path,
    with_images: list[tuple[str, int]],
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    took = {"cifar10": 6000.0, "mnist": 600.0, "handwritten": 1200.0, "tiny": 1.0}
    monkeypatch.setattr(reproduce, "expected", lambda arm, kind, timings: took[arm])

    def make(name: str, arm: Arm, seed: int, *others: object, **more: object) -> None:
        with_images.append((name, seed))
        clock.now += took[name]

    monkeypatch.setattr(runs, "make", make)
    asked = ("--arms", "cifar10,mnist,handwritten,tiny", "--seeds", "0-2")
    assert do(tmp_path, *asked, "--budget-minutes", "41") == 0
    # 41 min are 10 + 10 + 10 for MNIST, then the other 11 are too few for 20.
    assert with_images == [
        ("mnist", 0),
        ("mnist", 1),
        ("mnist", 2),
        *(("tiny", n) for n in range(3)),
    ]
    assert capsys.readouterr().out.endswith(
        "outside the budget of 41 min: cifar10 seeds 0-2, handwritten seeds 0-2; the same command "
        "makes them, or goes on from their checkpoints\n"
    )


def test_a_run_that_has_begun_uses_what_time_there_is(
    tmp_path: Path, with_images: list[tuple[str, int]], clock: Clock
) -> None:
    checkpoint = runs.folder_of(tmp_path / "local", "cifar10", 1) / "checkpoint"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("")
    assert do(tmp_path, "--arms", "cifar10", "--seeds", "0-2", "--budget-minutes", "1") == 0
    assert with_images == [("cifar10", 1)]
    worker = reproduce.Worker("cpu", tmp_path, 1)
    clock.now += 60
    assert not worker.fits("cifar10", 1)


def test_an_overrun_keeps_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reproduce.Worker.report

    def report(self: reproduce.Worker, label: str, epochs: int, at: Progress, share: float) -> None:
        if at.epoch == 1 and share > 0:
            self.until = 0
        real(self, label, epochs, at, share)

    make = runs.make
    with monkeypatch.context() as patched:
        patched.setattr(reproduce.Worker, "report", report)
        patched.setattr(
            runs, "make", lambda *one, **more: make(*one, **more, checkpoint_interval=0)
        )
        assert do(tmp_path, "--arms", "tiny", "--seeds", "0-1", "--budget-minutes", "9") == 0
    said = capsys.readouterr().out
    assert "tiny seed 0: stopped, for the budget is used up\nmade 0 runs\n" in said
    assert "outside the budget of 9 min: tiny seeds 0-1; the same command" in said
    assert (tmp_path / "local/runs/tiny/0/checkpoint").exists()
    assert do(tmp_path, "--arms", "tiny", "--seeds", "0-1", "--budget-minutes", "9") == 0
    run = runs.read(tmp_path / "runs/tiny/0", runs.test_labels("patterns", tmp_path))
    assert run.record["resumed"] == 1
    assert seeds_of(tmp_path) == [0, 1]


# Progress -----------------------------------------------------------------------------------------

ROW = {"loss in training": 1.5, "test error": 33.333}


def lines_of(
    clock: Clock, moments: Sequence[tuple[float, float]], capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """Return what is said of a run, once resumed at epoch 10, at (seconds, epochs) since then."""
    worker = reproduce.Worker("cpu", Path("results"), math.inf)
    start = clock.now
    for seconds, epochs in moments:
        clock.now = start + seconds
        at = 10 + int(epochs)
        progress = Progress("", 1, epoch=at, curve=[ROW] * at, seconds=[1000.0] * at)
        worker.report("arm seed 0", 20, progress, epochs % 1)
    return capsys.readouterr().out.splitlines()


def test_time_left_is_by_the_pace_of_this_process(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = [(0, 0.0), (59, 1.0), (60, 1.5), (119, 1.75), (120, 2.0), (800, 9.5), (4000, 10.0)]
    assert lines_of(clock, moments, capsys) == [
        "arm seed 0: epoch 10.0 of 20, loss 1.500, test error 33.33 %",
        "arm seed 0: epoch 11.5 of 20, loss 1.500, test error 33.33 %, 40 s an epoch, 6 min left",
        "arm seed 0: epoch 12.0 of 20, loss 1.500, test error 33.33 %, 60 s an epoch, 8 min left",
        "arm seed 0: epoch 19.5 of 20, loss 1.500, test error 33.33 %, 84.2 s an epoch, 42 s left",
        "arm seed 0: epoch 20.0 of 20, loss 1.500, test error 33.33 %, 400 s an epoch, 1 s left",
    ]


def test_the_next_run_begins_anew(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    worker = reproduce.Worker("cpu", Path("results"), math.inf)
    worker.report("one", 3, Progress("", 1), 0.0)
    worker.begun = None
    clock.now += 1
    worker.report("other", 3, Progress("", 1), 0.0)
    clock.now += 60
    worker.report("other", 3, Progress("", 1), 0.5)
    assert capsys.readouterr().out.splitlines() == [
        "one: epoch 0.0 of 3",
        "other: epoch 0.0 of 3",
        "other: epoch 0.5 of 3, 120 s an epoch, 5 min left",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (360_000, "100.0 h"),
    ],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert reproduce.spelled(seconds) == text


@pytest.mark.parametrize(
    ("seeds", "text"),
    [([3], "seed 3"), ([0, 1, 2], "seeds 0-2"), ([0, 2, 3, 7], "seeds 0,2-3,7")],
)
def test_seeds_in_words(seeds: list[int], text: str) -> None:
    assert reproduce.spans(seeds) == text


# GPUs ---------------------------------------------------------------------------------------------


class Process:
    """A process of which only the start is real."""

    started: ClassVar[list[tuple[list[str], str]]] = []
    ends: ClassVar[list[int | BaseException]] = []

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        if len(self.started) == len(self.ends):
            raise OSError(11, "Resource temporarily unavailable")
        self.number = len(self.started)
        self.ended = self.terminated = False
        self.started.append((command, env.get("CUDA_VISIBLE_DEVICES", "")))
        RUNNING.append(self)

    def wait(self) -> int:
        end = self.ends[self.number]
        if isinstance(end, BaseException) and not self.terminated:
            raise end
        self.ended = True
        return 143 if isinstance(end, BaseException) else end

    def terminate(self) -> None:
        self.terminated = True


RUNNING: list[Process] = []


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Pretend to have four GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(Process, "started", [])
    monkeypatch.setattr(Process, "ends", [0] * 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    RUNNING.clear()
    yield monkeypatch
    assert all(process.ended for process in RUNNING), "a process was left alone"


@pytest.mark.parametrize(
    ("visible", "count", "together", "expected"),
    [
        (None, 4, [], ["0", "1", "2", "3"]),
        ("", 1, [], ["0"]),
        ("2,3", 2, [], ["2", "3"]),
        ("2, 3", 2, ["--together", "2"], ["2", "2", "3", "3"]),
        ("GPU-8932f937,1", 2, [], ["GPU-8932f937", "1"]),
        ("1,-1,0", 1, [], ["1"]),  # of what follows an invalid one, CUDA sees nothing
    ],
)
def test_each_visible_gpu_has_its_processes(
    visible: str | None,
    count: int,
    together: list[str],
    expected: list[str],
    gpus: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if visible is not None:
        gpus.setenv("CUDA_VISIBLE_DEVICES", visible)
    gpus.setattr(torch.cuda, "device_count", lambda: count)
    shown = ["--arms", "cifar10", "--seeds=0-7", "--budget-minutes", "60", *together]
    assert reproduce.main([*shown[:2], f"--results={tmp_path}", *shown[2:]]) == 0
    command = [sys.executable, "-m", "claims.training", "reproduce", "--worker", "cuda"]
    command += ["--results", str(tmp_path), *shown]
    assert Process.started == [(command, gpu) for gpu in expected]
    assert capsys.readouterr().out.splitlines()[0] == (
        "to train on Some GPU: 8 runs, together about 19 min on one GPU"
    )
    # What a process makes of these arguments:
    options = reproduce.parsed(command[4:])
    assert options.worker == "cuda"
    assert options.results == tmp_path
    assert options.shown == shown
    assert options.budget_minutes == 60


@pytest.mark.parametrize(("together", "threads"), [(2, "4"), (3, "2"), (9, "1")])
def test_processes_share_the_cores_of_a_cpu(
    together: int, threads: str, gpus: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpus.setattr(os, "cpu_count", lambda: 8)
    assert reproduce.environments_of_workers("cpu", together) == [
        {"OMP_NUM_THREADS": threads} for _ in range(together)
    ]
    options = reproduce.parsed(["--arms", "tiny", "--results", str(tmp_path)])
    arguments = reproduce.arguments_of_workers("cpu", options)
    assert arguments == ["--worker", "cpu", "--results", str(tmp_path), "--arms", "tiny"]


@pytest.mark.parametrize(
    ("runs_to_make", "cores", "gigabytes", "processes"),
    [(3, 2, 24, 2), (1, 2, 24, 1), (20, 16, 256, 16), (20, 16, 16, 5), (2, 4, 1, 1)],
)
def test_a_cpu_trains_in_as_many_processes_as_runs_cores_and_memory_allow(
    runs_to_make: int, cores: int, gigabytes: int, processes: int, gpus: pytest.MonkeyPatch
) -> None:
    memory = {"SC_PHYS_PAGES": gigabytes << 18, "SC_PAGE_SIZE": 4096}
    gpus.setattr(os, "cpu_count", lambda: cores)
    gpus.setattr(os, "sysconf", memory.__getitem__)
    assert reproduce.processes("cpu", runs_to_make) == processes
    assert reproduce.processes("cuda", runs_to_make) == 1


def test_on_a_cpu_several_runs_are_made_at_once(gpus: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gpus.setattr(reproduce, "processes", lambda device, count: {("cpu", 3): 3}[device, count])
    shown = ["--arms", "tiny", "--seeds", "0-2", "--device", "cpu"]
    assert reproduce.main([*shown, "--results", str(tmp_path)]) == 0
    assert len(Process.started) == 3
    assert all("--worker" in command for command, _ in Process.started)


def test_images_are_prepared_on_the_device_of_the_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def preprocess(dataset: object, name: str, **options: object) -> tuple[None, None]:
        asked.append((name, options))
        return None, None

    monkeypatch.setattr(data, "preprocess", preprocess)
    reproduce.Worker("cuda", tmp_path, 1.0).prepared(ARMS["tiny"])
    assert asked == [("standardised", {"device": "cuda"})]


def test_two_processes_on_a_cpu_make_each_run_once(tmp_path: Path) -> None:
    shown = ["--arms", "tiny", "--seeds", "0-2", "--device", "cpu", "--together", "2"]
    assert reproduce.main([*shown, "--results", str(tmp_path)]) == 0
    made = sorted((tmp_path / "runs" / "tiny").iterdir())
    assert [folder.name for folder in made] == ["0", "1", "2"]
    commands = [json.loads((one / "run.json").read_bytes())["command"] for one in made]
    assert commands == 3 * [["python", "-m", "claims.training", "reproduce", *shown]]


def test_a_worker_trains_on_its_gpu_and_nothing_else(
    gpus: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[tuple[str, Sequence[object]]] = []

    def make_all(self: reproduce.Worker, wanted: Sequence[object]) -> int:
        made.append((self.device, wanted))
        return 0

    gpus.setattr(reproduce.Worker, "make_all", make_all)
    arguments = ["--worker", "cuda", "--results", str(tmp_path), "--arms", "tiny", "--seeds", "0-1"]
    assert reproduce.main(arguments) == 0
    assert made == [("cuda", [("tiny", 0), ("tiny", 1)])]
    assert not Process.started
    gpus.setattr(torch.cuda, "is_available", lambda: False)
    assert reproduce.main(arguments) == 1, "not on a CPU instead"
    assert len(made) == 1
    assert capsys.readouterr().out == "", "what is missing was listed before"


@pytest.mark.parametrize(
    ("ends", "status", "sentence"),
    [
        ([0, 0, 0, 0], 0, ""),
        ([0, 1, 0, 0], 1, ""),
        ([0, -9, 0, 0], 1, "1 process ended early, with status -9; the same command goes on"),
        ([-9, 0, 2, 0], 1, "2 processes ended early, with status -9, 2; the same command goes on"),
    ],
)
def test_a_process_that_dies_is_told(
    ends: list[int],
    status: int,
    sentence: str,
    gpus: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gpus.setattr(Process, "ends", ends)
    assert reproduce.main(["--arms", "tiny", f"--results={tmp_path}"]) == status
    told = capsys.readouterr().err
    assert told.startswith(f"error: {sentence}") if sentence else told == ""


def test_a_process_that_cannot_start_ends_the_others(
    gpus: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpus.setattr(Process, "ends", [0, 0])
    assert reproduce.main(["--arms", "tiny", f"--results={tmp_path}"]) == 1
    assert "a process cannot be started ([Errno 11]" in capsys.readouterr().err
    assert [process.terminated for process in RUNNING] == [True, True]


@pytest.mark.parametrize(
    ("stop", "status"), [(KeyboardInterrupt(), 130), (reproduce.Terminated(), 143)]
)
def test_a_stop_reaches_all_processes(
    stop: BaseException,
    status: int,
    gpus: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gpus.setattr(Process, "ends", [0, stop, 0, stop])
    assert reproduce.main(["--arms", "tiny", f"--results={tmp_path}"]) == status
    assert all(process.terminated for process in RUNNING)
    assert capsys.readouterr().out.endswith("goes on from the last checkpoint\n")


def test_a_stopped_worker_leaves_the_sentence_to_the_one_that_waits(
    gpus: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpus.setattr(reproduce.Worker, "make_all", interrupts)
    assert reproduce.main(["--worker", "cuda", "--arms", "tiny", f"--results={tmp_path}"]) == 130
    assert capsys.readouterr() == ("", "")
