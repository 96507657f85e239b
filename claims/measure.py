"""Measure what the measured claims need, on the device at hand: `python -m claims.measure`.

Writes `results/measured/NAME.json`: raw samples in seconds or bytes, with device and versions. What
is compared is timed in the same rounds, one after the other. On a GPU it also judges the claims
about operators there, and keeps what was observed.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._steps import STEPS, Step
from claims.bring import bring_operators
from claims.compute import SHAPES, Product
from claims.core import results
from claims.core.judge import judge
from claims.subjects import OPERATORS, RESULTS
from claims.suite import SUITE

if TYPE_CHECKING:
    import torch

ROUNDS = 15

Measurement = dict[str, Any]

# Of the disk, of nvidia-smi and what it prints, of PyTorch (memory that does not suffice), of a
# machine without the packages that claims need.
FAILURES = (
    results.ResultsError,
    OSError,
    subprocess.SubprocessError,
    ValueError,
    RuntimeError,
    ImportError,
)


def main(arguments: list[str] | None = None) -> int:
    """Make the measurements that the device allows; returns 1 if one cannot be made or written."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m claims.measure", description=__doc__)
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default=best, help="default: %(default)s"
    )
    parser.add_argument(
        "only", nargs="*", metavar="NAME", help="measure only what bears such a name (default: all)"
    )
    options = parser.parse_args(arguments)
    kind: str = options.device
    if kind == "cuda" and best != "cuda":
        parser.error("PyTorch finds no CUDA device here; leave out --device to measure on the CPU")
    makers: dict[str, Callable[[torch.device], Measurement]] = {}
    if kind == "cuda":
        makers["gpu-memory"] = gpu_memory  # first, while this process has not touched the GPU
        makers["operators-cuda"] = operators
    makers[f"matrix-products-{kind}"] = matrix_products
    makers[f"training-steps-{kind}"] = training_steps
    if unknown := [name for name in options.only if name not in makers]:
        parser.error(f"on {kind} there is no {unknown[0]!r}, only {', '.join(makers)}")
    makers = {name: make for name, make in makers.items() if name in (options.only or makers)}
    for name, make in makers.items():
        path = RESULTS / "measured" / f"{name}.json"
        say(f"{name} on {kind}")
        try:
            results.writable(path)
            measured = make(torch.device(kind))
            results.write(path, json.dumps({**setting(kind), **measured}, indent=1) + "\n")
        except FAILURES as error:
            print(f"error: {name} not measured: {error}", file=sys.stderr)  # noqa: T201 - a command
            return 1
        say(f"  wrote {path}")
    return 0


def say(line: str) -> None:
    """Print progress at once."""
    print(line, flush=True)  # noqa: T201 - a command


def setting(kind: str) -> Measurement:
    """Return what a measurement depends on: the device, the threads and the versions."""
    import torch

    from claims.training.runs import processor

    return {
        "device": torch.cuda.get_device_name() if kind == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
    }


def matrix_products(device: torch.device) -> Measurement:
    """Time the products of `claims.compute`, and one pass over the weights of the first ones.

    The right factor lies in memory as a fully connected layer keeps it, transposed.
    """
    import torch
    from torch.nn import functional

    generator = torch.Generator(device).manual_seed(0)
    filled = functools.partial(torch.randn, generator=generator, device=device)
    weights = {shape[1:]: filled(shape[2], shape[1]) for shape in SHAPES}
    one_pass = weights[SHAPES[0][1:]]
    operations: dict[str, Callable[[], object]] = {"pass": one_pass.sum}
    for rows, inner, columns in SHAPES:
        operations[Product(rows, inner, columns).name] = functools.partial(
            functional.linear, filled(rows, inner), weights[inner, columns]
        )
    return {"bytes in a pass": one_pass.nbytes, "seconds": interleaved(operations, device)}


def training_steps(device: torch.device) -> Measurement:
    """Time the training steps of `claims._steps`, in float32."""
    steps = {name: prepared(step, device) for name, step in STEPS.items()}
    return {"seconds": interleaved(steps, device)}


def prepared(step: Step, device: torch.device) -> Callable[[], object]:
    """Return a training step as a function: network, batch and random targets are on the device."""
    import torch

    torch.manual_seed(0)
    network = step.build().to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    images = torch.randn(step.shape, device=device)
    with torch.no_grad():
        targets = torch.randn_like(network(images))

    def train() -> None:
        optimizer.zero_grad()
        (network(images) - targets).square().mean().backward()
        optimizer.step()

    return train


def interleaved(
    operations: dict[str, Callable[[], object]], device: torch.device
) -> dict[str, list[float]]:
    """Time each operation once a round, after a round that only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in operations}
    for number in range(ROUNDS + 1):
        for name, operation in operations.items():
            took = timed(operation, device)
            if number:
                seconds[name].append(took)
        say(f"  round {number} of {ROUNDS}")
    return seconds


def timed(operation: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that an operation takes, on a GPU by its own clock."""
    import torch

    if device.type == "cpu":
        start = time.perf_counter()
        operation()
        return time.perf_counter() - start
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    before.record()
    operation()
    after.record()
    torch.cuda.synchronize()
    return float(before.elapsed_time(after)) / 1000


def operators(device: torch.device) -> Measurement:
    """Judge the quick claims about operators on the device, as `pytest claims --device` does.

    For each claim the digest of its source, and what was observed: a verdict with its conditions
    and counterexample, or an error.
    """
    implementation = bring_operators(None, str(device))
    found = {}
    for claim in SUITE.claims().values():
        subjects = [judgement.subject for judgement in claim.judgements]
        if claim.cost != "quick" or OPERATORS not in subjects:
            continue
        try:
            observation = judge(claim, replaced={OPERATORS.name: implementation}).observation
            counterexample = observation.counterexample
            observed = {
                "observed": observation.verdict.value,
                "conditions": list(observation.conditions),
                "counterexample": counterexample and counterexample.message,
            }
        except ImportError:
            raise
        except Exception as error:  # an error on this device is what was observed
            observed = {"error": f"{type(error).__name__}: {error}"}
        found[claim.id] = {"digest": results.source_digest(claim), **observed}
        if len(found) % 50 == 0:
            say(f"  {len(found)} claims")
    return {"claims": found}


def gpu_memory(device: torch.device) -> Measurement:
    """Return the memory in use on the GPU before this process uses it, and with one number."""
    import torch

    before = used_on_gpu()
    number = torch.ones(1, device=device)
    torch.cuda.synchronize()
    return {
        "bytes before": before,
        "bytes with one number": used_on_gpu(),
        "bytes of the number": number.nbytes,
        "bytes of tensors": torch.cuda.memory_allocated(),
        "bytes kept for tensors": torch.cuda.memory_reserved(),
    }


def used_on_gpu() -> int:
    """Return the bytes in use on the GPU by all processes, as its driver counts them."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    query = [
        "nvidia-smi",
        f"--id={first}",
        "--query-gpu=memory.used",
        "--format=csv,noheader,nounits",
    ]
    answer = subprocess.run(query, capture_output=True, text=True, check=True)  # noqa: S603 - fixed
    return int(answer.stdout) * 2**20


if __name__ == "__main__":
    sys.exit(main())
