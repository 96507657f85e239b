"""What rules compare: numbers of one run, by their names.

Errors, accuracies and gaps are in points (per cent); None is a threshold that a run never reached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from claims.training.runs import Run, test_error
from nin_ref.data import Bytes

SHIFTS = ("4 pixels up", "4 pixels down", "4 pixels left", "4 pixels right")
THRESHOLD = re.compile(r"(epochs|seconds) to (training loss|test error) ([0-9.]+)")

QUANTITIES: Mapping[str, Callable[[Run, Bytes], float]] = {
    "test error": lambda run, labels: test_error(run.predictions["test"], labels),
    "test accuracy": lambda run, labels: 100 - test_error(run.predictions["test"], labels),
    "best test accuracy": lambda run, labels: 100 - min(row["test error"] for row in run.curve),
    "training error": lambda run, labels: run.curve[-1]["training error"],
    "generalisation gap": lambda run, labels: (
        test_error(run.predictions["test"], labels) - run.curve[-1]["training error"]
    ),
    "rise of test error by shift": lambda run, labels: rise(run, labels, SHIFTS),
    "rise of test error by noise": lambda run, labels: rise(run, labels, ["noise of a tenth"]),
    "rise of test error by noise of a half": lambda run, labels: rise(
        run, labels, ["noise of a half"]
    ),
}


def value(quantity: str, run: Run, labels: Bytes) -> float | None:
    """Return a quantity of a run; `labels` [N] are the true ones of the test images.

    Raises:
        ValueError: if there is no such quantity.
        KeyError: if the run has no predictions under a probe that the quantity needs.
    """
    if quantity in QUANTITIES:
        return QUANTITIES[quantity](run, labels)
    named = THRESHOLD.fullmatch(quantity)
    if not named:
        raise ValueError(f"there is no quantity {quantity!r} of a run")
    unit, column, threshold = named.groups()
    for number, row in enumerate(run.curve, start=1):
        if row[column] <= float(threshold):
            return float(number) if unit == "epochs" else sum(run.record["seconds"][:number])
    return None


def rise(run: Run, labels: Bytes, probes: Iterable[str]) -> float:
    """Return by how much the test error is higher under some probes, on average."""
    errors = [test_error(run.predictions[probe], labels) for probe in probes]
    return sum(errors) / len(errors) - test_error(run.predictions["test"], labels)
