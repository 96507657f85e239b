"""How fast training is: our step against the loop of a tutorial, alternating in one run.

The network is the paper's for CIFAR-10, on noise. The tutorial's loop is a `DataLoader`, float32,
maps first, eager, a loss printed each step. On a GPU also: our step without a CUDA graph and
compiled, and the share of the rate at which the GPU multiplies large bf16 matrices. Then several
processes at once on the device, and, on a CPU, what a stop and a resumption cost, and how long the
recheck of a hundred runs without data takes beside one of ten.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from claims.training import recheck as rechecks
from claims.training import reproduce, runs
from claims.training.arms import ARMS
from nin_ref import data, models, training
from nin_ref.training import Checkpoint, Images, Progress, Training

BATCH = 128
ROUNDS = 5


def main() -> None:
    """Run all comparisons and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=best)
    parser.add_argument("--alone", action="store_true", help="one of the processes at once")
    options = parser.parse_args()
    device = torch.device(options.device)
    steps = 5 if device.type == "cpu" else 200
    if options.alone:
        one_of_several(device, steps)
        return
    step_against_a_tutorial(device, steps)
    several_at_once(device)
    if device.type == "cpu":
        resumption(device)
        recheck()


def step_against_a_tutorial(device: torch.device, steps: int) -> None:
    """Time as many steps of each in turn, on the same images."""
    random = np.random.default_rng(0)
    shape = (steps * BATCH, 3, 32, 32)
    images = random.standard_normal(shape, dtype=np.float32)
    labels = random.integers(0, 10, len(images)).astype(np.uint8)
    ways = {"tutorial": tutorial(images, labels, device), "ours": ours(images, labels, device)}
    if device.type == "cuda":
        ways["without a graph"] = ours(images, labels, device, graphed=False)
        try:
            ways["compiled"] = ours(images, labels, device, compiled=True)
        except RuntimeError as error:  # such as a machine without a C compiler
            say(f"nothing can be compiled here: {str(error).splitlines()[0]}")
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, epoch in ways.items():
            seconds = timed(epoch, device)
            if number:  # the first round warms up
                rates[name].append(len(images) / seconds)
        say(f"round {number} of {ROUNDS}")
    for name in ways.keys() - {"tutorial"}:
        ratios = [mine / its for mine, its in zip(rates[name], rates["tutorial"], strict=True)]
        say(
            f"{name} / tutorial's loop = {statistics.median(ratios):.2f} times the images a "
            f"second (median of {ROUNDS}, {min(ratios):.2f} to {max(ratios):.2f})"
        )
    if device.type == "cuda":
        operations = 3 * 2 * 222.5e6 * statistics.median(rates["ours"])
        say(f"{statistics.median(rates['ours']):.0f} images a second")
        say(f"{100 * operations / matrix_rate(device):.0f} % of the rate of bf16 matrix products")


def tutorial(images: np.ndarray, labels: np.ndarray, device: torch.device) -> Callable[[], object]:
    """Return an epoch as a tutorial would write it."""
    network = models.cifar10_nin().to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    criterion = nn.CrossEntropyLoss()
    dataset = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)))
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True)

    def epoch() -> None:
        running = 0.0
        network.train()
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = criterion(network(inputs.to(device)), targets.to(device))
            loss.backward()
            optimizer.step()
            running += loss.item()

    return epoch


def ours(
    images: np.ndarray,
    labels: np.ndarray,
    device: torch.device,
    *,
    graphed: bool = True,
    compiled: bool = False,
) -> Callable[[], object]:
    """Return an epoch of the CIFAR-10 arm's steps, without the evaluation."""
    recipe = ARMS["cifar10"].recipe
    few = Images(images, labels, images[:BATCH], labels[:BATCH], 10, "noise")
    with training.backends(recipe):
        prepared = Training(recipe, 0, few, device)
        if compiled:
            prepared.network.compile()
        prepared.set_rate(1.0)
        if not graphed:
            prepared.graph = None

    def epoch() -> None:
        with training.backends(recipe):
            prepared.network.train()
            prepared.train_epoch(0, lambda share: None)

    return epoch


def several_at_once(device: torch.device) -> None:
    """Time one to four processes that train on the device at once."""
    command = [sys.executable, "-m", "benchmarks.training", "--device", device.type, "--alone"]
    alone = 0.0
    for count in range(1, 1 + (4 if device.type == "cuda" else 2)):
        environment = {**os.environ}
        if device.type == "cpu":
            environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // count))
        processes = [
            subprocess.Popen(  # noqa: S603 - this file
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(count)
        ]
        pipes = [(process.stdin, process.stdout) for process in processes]
        for _, told in pipes:
            assert told is not None
            told.readline()  # it is ready
        for asked, _ in pipes:
            assert asked is not None
            asked.close()  # it begins
        rate = sum(float(told.readline()) for _, told in pipes if told is not None)
        for process in processes:
            process.wait()
        alone = alone or rate
        say(f"{count} at once = {rate / alone:.2f} times the images a second of one")


def one_of_several(device: torch.device, steps: int) -> None:
    """Say that all is ready, wait, train, and say how many images a second that were."""
    noise = np.random.default_rng(0).standard_normal((steps * BATCH, 3, 32, 32), dtype=np.float32)
    epoch = ours(noise, np.zeros(len(noise), dtype=np.uint8), device)
    epoch()
    say("ready")
    sys.stdin.read()
    say(f"{ROUNDS * len(noise) / timed(lambda: [epoch() for _ in range(ROUNDS)], device)}")


def timed(operation: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that an operation takes until the device has done it."""
    start = time.perf_counter()
    operation()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def matrix_rate(device: torch.device) -> float:
    """Return the operations a second of a large product of random bf16 matrices."""
    size = 8192
    left, right = torch.randn(2, size, size, device=device, dtype=torch.bfloat16).unbind()
    seconds = [timed(lambda: left @ right, device) for _ in range(20)]
    return 2 * size**3 / statistics.median(seconds[5:])


def resumption(device: torch.device) -> None:
    """Time what a stop adds to a run of the CIFAR-10 arm: writing and reading its checkpoint."""
    arm = ARMS["cifar10"]
    noise = np.random.default_rng(0).standard_normal((BATCH, 3, 32, 32), dtype=np.float32)
    labels = np.zeros(BATCH, dtype=np.uint8)
    few = Images(noise, labels, noise, labels, 10, "noise")
    with tempfile.TemporaryDirectory() as folder, training.backends(arm.recipe):
        prepared = Training(arm.recipe, 0, few, device)
        checkpoint = Checkpoint(Path(folder) / "checkpoint", say, interval=0)
        progress = Progress(training.now(), torch.get_num_threads())
        written = timed(lambda: checkpoint.save_at_times(prepared, progress), device)
        read = timed(lambda: checkpoint.load(prepared), device)
    name = reproduce.device_name(device.type)
    timings = reproduce.timings_on(device.type, name, runs.RESULTS)
    run = reproduce.expected("cifar10", device.type, timings) / torch.get_num_threads()
    share = 100 * (written + read) / run
    say(f"writing and reading a checkpoint = {share:.4f} % of a run of the CIFAR-10 arm")
    minute = 100 * written / Checkpoint.interval
    say(f"a checkpoint at each interval = {minute:.2f} % of the time")


def recheck() -> None:
    """Time the recheck of a hundred runs without weights against that of ten."""
    arm = ARMS["tiny"]
    patterns = data.load("patterns")
    train, test = data.preprocess(patterns, arm.recipe.preprocessing)
    images = Images(train, patterns.train_labels, test, patterns.test_labels, 10, patterns.digest)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        runs.keep_test_labels("patterns", patterns.test_labels, results)
        for name in ("rules.json", "traces.json", "verdicts.json"):
            shutil.copy(runs.RESULTS / name, results / name)
        for seed in range(arm.weights_of, arm.weights_of + 100):
            runs.make(
                "tiny",
                arm,
                seed,
                images,
                "cpu",
                results=results,
                warn=say,
                report=lambda progress, share: None,
            )
            if seed in (10, 100):
                start = time.perf_counter()
                with contextlib.redirect_stdout(io.StringIO()):
                    sound = rechecks.without_data(results, rechecks.Report())
                seconds[seed] = time.perf_counter() - start
                if len(sound) != seed:
                    sys.exit(f"{len(sound)} of {seed} runs passed the recheck")
    ratio = seconds[100] / seconds[10]
    say(
        f"recheck without data of 100 runs / of 10 = {ratio:.2f} "
        f"({seconds[100]:.1f} s / {seconds[10]:.1f} s)"
    )


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
