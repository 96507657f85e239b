"""What rules compare: numbers of one run, by their names.

Errors, accuracies and gaps are in points (per cent). Beside the quantities listed here there are
times, such as "epochs to training loss 0.5" or "seconds to test error 20": when the evaluation
after an epoch first shows no more than this. None is a threshold that a run never reached. Numbers
of `examinations` are quantities too, of runs that have been examined.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from claims.training import findings
from claims.training.arms import SHIFTS
from claims.training.examinations import NUMBERS
from claims.training.rules import NOT_EXAMINED, Value, Values
from claims.training.runs import Run, test_error
from nin_ref.data import Bytes

THRESHOLD = re.compile(r"(epochs|seconds) to (training loss|test error) ([0-9.]+)")

QUANTITIES: Mapping[str, Callable[[Run, Bytes], float]] = {
    "test error": lambda run, labels: test_error(run.predictions["test"], labels),
    "test accuracy": lambda run, labels: 100 - test_error(run.predictions["test"], labels),
    "best test accuracy": lambda run, labels: 100 - min(row["test error"] for row in run.curve),
    "training error": lambda run, labels: run.curve[-1]["training error"],
    # Mean norm over the steps of the first epoch, of the gradient of the first layer's weights.
    "first gradient": lambda run, labels: run.curve[0]["first gradient"],
    "generalisation gap": lambda run, labels: (
        test_error(run.predictions["test"], labels) - run.curve[-1]["training error"]
    ),
    "rise of test error by shift": lambda run, labels: rise(run, labels, SHIFTS),
    "rise of test error by noise": lambda run, labels: rise(run, labels, ["noise of a tenth"]),
    "rise of test error by noise of a half": lambda run, labels: rise(
        run, labels, ["noise of a half"]
    ),
}


def values(
    needed: Mapping[str, Iterable[str]], found: Mapping[str, Mapping[int, tuple[Run, Bytes]]]
) -> Values:
    """Return quantities of runs; `needed` names the arms by the quantity.

    `found` has the runs by arm and seed, each with the true labels [N] of its test images.

    Raises:
        RunError: if an examination that is needed is damaged, or of another run.
    """
    return {
        quantity: {
            arm: {seed: value(quantity, run, labels) for seed, (run, labels) in found[arm].items()}
            for arm in arms
        }
        for quantity, arms in needed.items()
    }


def value(quantity: str, run: Run, labels: Bytes) -> Value:
    """Return a quantity of a run; `labels` [N] are the true ones of the test images.

    Raises:
        ValueError: if there is no such quantity.
        KeyError: if the run has no predictions under a probe that the quantity needs.
        RunError: if the run's examination is needed and damaged, or of another run.
    """
    if quantity in NUMBERS:
        return findings.numbers(run).get(quantity, NOT_EXAMINED)
    if quantity in QUANTITIES:
        return QUANTITIES[quantity](run, labels)
    named = THRESHOLD.fullmatch(quantity)
    if not named:
        raise ValueError(f"there is no quantity {quantity!r} of a run")
    unit, column, threshold = named.groups()
    durations = run.record["seconds"] if unit == "seconds" else [1.0] * len(run.curve)
    return time_to(float(threshold), [row[column] for row in run.curve], durations)


def time_to(threshold: float, values: Sequence[float], durations: Sequence[float]) -> float | None:
    """Return when a falling number first is at a threshold or below, or None if it never is.

    In whole epochs most runs of an arm would take equally long, with no spread to compare by. So
    the logarithm of the number is taken to fall evenly within the epoch that crosses the threshold.
    The first epoch counts as a whole, as nothing is known from before it; so does one with no
    logarithm at one of its ends (a loss that was no number, an error of 0).

    Args:
        threshold: what to come down to.
        values: the number after each epoch.
        durations: how long each epoch took, in epochs or seconds, the unit of the answer.
    """
    before = math.nan
    for number, now in enumerate(values):
        if now <= threshold:
            known = math.isfinite(before) and now > 0
            share = math.log(before / threshold) / math.log(before / now) if known else 1.0
            return sum(durations[:number]) + share * durations[number]
        before = now
    return None


def rise(run: Run, labels: Bytes, probes: Iterable[str]) -> float:
    """Return by how much the test error is higher under some probes, on average."""
    errors = [test_error(run.predictions[probe], labels) for probe in probes]
    return sum(errors) / len(errors) - test_error(run.predictions["test"], labels)
