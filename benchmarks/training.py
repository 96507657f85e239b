"""How fast training is: our step against the loop of a tutorial, alternating in one run.

The network is the paper's for CIFAR-10, on noise. The tutorial's loop is a `DataLoader`, float32,
maps first, eager, a loss printed each step. On a GPU also: the share of the rate at which it
multiplies large bf16 matrices. Then what a stop and a resumption cost, and how long the recheck of
a hundred runs without data takes beside one of ten.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import statistics
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
    device = torch.device(parser.parse_args().device)
    steps = 5 if device.type == "cpu" else 200
    step_against_a_tutorial(device, steps)
    if device.type == "cpu":
        resumption(device)
        recheck()


def step_against_a_tutorial(device: torch.device, steps: int) -> None:
    """Time as many steps of each in turn, on the same images."""
    random = np.random.default_rng(0)
    shape = (steps * BATCH, 3, 32, 32)
    images = random.standard_normal(shape, dtype=np.float32)
    labels = random.integers(0, 10, len(images)).astype(np.uint8)
    both = {"tutorial": tutorial(images, labels, device), "ours": ours(images, labels, device)}
    rates: dict[str, list[float]] = {name: [] for name in both}
    for number in range(ROUNDS + 1):
        for name, epoch in both.items():
            seconds = timed(epoch, device)
            if number:  # the first round warms up
                rates[name].append(len(images) / seconds)
        say(f"round {number} of {ROUNDS}")
    ratios = [mine / its for mine, its in zip(rates["ours"], rates["tutorial"], strict=True)]
    say(
        f"training step / tutorial's loop = {statistics.median(ratios):.2f} times the images a "
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


def ours(images: np.ndarray, labels: np.ndarray, device: torch.device) -> Callable[[], object]:
    """Return an epoch of the CIFAR-10 arm's steps, without the evaluation."""
    recipe = ARMS["cifar10"].recipe
    few = Images(images, labels, images[:BATCH], labels[:BATCH], 10, "noise")
    with training.backends(recipe):
        prepared = Training(recipe, 0, few, device)
        prepared.set_rate(1.0)

    def epoch() -> None:
        with training.backends(recipe):
            prepared.network.train()
            prepared.train_epoch(0, lambda share: None)

    return epoch


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
