"""Quantities of a run: on curves and predictions made by hand, against numbers worked out by hand.

Curves halve from epoch to epoch, so that the logarithm falls evenly and a threshold lies at a share
of an epoch that one can see: log 2 is to log 4 as 1 to 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from claims.training import findings, quantities
from claims.training.examinations import FALL, NUMBERS, QUARTERS
from claims.training.quantities import time_to, value
from claims.training.rules import NOT_EXAMINED
from claims.training.runs import ROW, Run

LABELS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], np.uint8)


def wrong(number: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return predictions of which so many of the ten are wrong."""
    return np.where(np.arange(10) < number, (LABELS + 1) % 10, LABELS).astype(np.uint8)


def a_run(
    *, seconds: Sequence[float] = (), errors: Mapping[str, int] | None = None, **columns: object
) -> Run:
    """Return a run with columns of its curve (`training_loss=[4, 2]`) and ten predictions.

    `errors` gives the number of wrong predictions, of 10, by the name of the images. All other
    columns hold a number of their own, so that reading another column shows.
    """
    named = {name.replace("_", " "): list(numbers) for name, numbers in columns.items()}  # type: ignore[call-overload]
    epochs = max([len(numbers) for numbers in named.values()], default=1)
    curve = [
        {
            name: float(named[name][epoch]) if name in named else -100.0 - place - epoch / 8
            for place, name in enumerate(ROW)
        }
        for epoch in range(epochs)
    ]
    predictions = {name: wrong(number) for name, number in (errors or {}).items()}
    return Run(Path("nowhere/runs/tiny/0"), {"seconds": list(seconds)}, curve, [], predictions)


# Numbers at the end of training -------------------------------------------------------------------


def test_errors_are_shares_of_the_true_labels_in_percent() -> None:
    run = a_run(errors={"test": 3})
    assert value("test error", run, LABELS) == pytest.approx(30)
    assert value("test accuracy", run, LABELS) == pytest.approx(70)
    assert value("test error", run, np.roll(LABELS, 5)) == pytest.approx(100)


def test_the_best_accuracy_is_that_of_any_epoch() -> None:
    run = a_run(errors={"test": 3}, test_error=[60, 25, 40, 30])
    assert value("best test accuracy", run, LABELS) == 75
    assert value("test accuracy", run, LABELS) == pytest.approx(70)


def test_the_training_error_is_that_of_the_last_epoch() -> None:
    run = a_run(errors={"test": 3}, training_error=[50, 5, 12])
    assert value("training error", run, LABELS) == 12


def test_the_gap_is_how_much_higher_the_test_error_is() -> None:
    run = a_run(errors={"test": 3}, training_error=[90, 12], test_error=[95, 30])
    assert value("generalisation gap", run, LABELS) == pytest.approx(18)


def test_the_first_gradient_is_that_of_the_first_epoch() -> None:
    assert value("first gradient", a_run(first_gradient=[0.25, 4, 9]), LABELS) == 0.25


# Probes -------------------------------------------------------------------------------------------

SHIFTED = {"4 pixels up": 5, "4 pixels down": 6, "4 pixels left": 8, "4 pixels right": 9}


def test_the_rise_by_a_shift_is_the_mean_over_four_directions() -> None:
    run = a_run(errors={"test": 3, "noise of a tenth": 10, **SHIFTED})
    assert value("rise of test error by shift", run, LABELS) == pytest.approx(70 - 30)


def test_the_rise_by_noise_is_that_of_its_own_strength() -> None:
    run = a_run(errors={"test": 3, "noise of a tenth": 4, "noise of a half": 9})
    assert value("rise of test error by noise", run, LABELS) == pytest.approx(10)
    assert value("rise of test error by noise of a half", run, LABELS) == pytest.approx(60)


def test_a_rise_may_be_negative() -> None:
    run = a_run(errors={"test": 3, "noise of a tenth": 1})
    assert value("rise of test error by noise", run, LABELS) == pytest.approx(-20)


@pytest.mark.parametrize("missing", ["noise of a half", *SHIFTED])
def test_a_run_without_the_probe_has_no_rise(missing: str) -> None:
    probes = {"noise of a half": 4, **SHIFTED}
    del probes[missing]
    run = a_run(errors={"test": 3, **probes})
    quantity = {"noise of a half": "rise of test error by noise of a half"}
    with pytest.raises(KeyError, match=missing):
        value(quantity.get(missing, "rise of test error by shift"), run, LABELS)


# Times to a threshold -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "epochs"),
    [
        ("4", 2.0),  # exactly there after an epoch
        ("0.5", 3.5),  # halfway from 2 to an eighth in the logarithm
        ("1", 3.25),
        ("2", 3.0),
        ("8", 1.0),  # below it after the first epoch, before which nothing is known
        ("16", 1.0),
        ("100", 1.0),
        ("0.125", 4.0),
        ("0.12", None),
    ],
)
def test_a_threshold_is_crossed_within_an_epoch(threshold: str, epochs: float | None) -> None:
    run = a_run(training_loss=[8, 4, 2, 0.125, 0.25], seconds=[7, 7, 7, 7, 7])
    found = value(f"epochs to training loss {threshold}", run, LABELS)
    assert found == (epochs if epochs is None else pytest.approx(epochs, rel=1e-12))


def test_each_threshold_looks_at_its_own_column() -> None:
    run = a_run(
        training_loss=[4, 1, 0.25, 0.1],
        test_error=[80, 40, 20, 5],
        training_error=[1, 1, 1, 1],
        test_loss=[0.1, 0.1, 0.1, 0.1],
        loss_in_training=[0.1, 0.1, 0.1, 0.1],
    )
    assert value("epochs to training loss 0.5", run, LABELS) == pytest.approx(2.5)
    assert value("epochs to test error 20", run, LABELS) == pytest.approx(3)
    assert value("epochs to test error 10", run, LABELS) == pytest.approx(3.5)


def test_seconds_are_those_of_the_epochs_before_and_of_a_share_of_the_last() -> None:
    run = a_run(training_loss=[8, 2, 0.125, 8], test_error=[80, 40, 20, 5], seconds=[5, 1, 3, 100])
    assert value("seconds to training loss 0.5", run, LABELS) == pytest.approx(5 + 1 + 3 / 2)
    assert value("seconds to training loss 4", run, LABELS) == pytest.approx(5 + 1 / 2)
    assert value("seconds to training loss 9", run, LABELS) == 5
    assert value("seconds to test error 10", run, LABELS) == pytest.approx(5 + 1 + 3 + 100 / 2)
    assert value("seconds to test error 4.9", run, LABELS) is None


def test_only_the_first_crossing_counts() -> None:
    assert time_to(1.0, [4, 0.25, 16, 1 / 16], [1, 1, 1, 1]) == pytest.approx(1.5)
    assert time_to(1.0, [0.25, 16, 1 / 16], [1, 1, 1]) == 1


def test_an_epoch_without_a_logarithm_at_one_end_counts_whole() -> None:
    assert time_to(0.5, [2, math.nan, 0.25], [1, 1, 3]) == 5
    assert time_to(0.5, [2, math.inf, 0.25], [1, 1, 3]) == 5
    assert time_to(0.5, [2, 0.0], [1, 3]) == 4
    assert time_to(0.0, [2, 0.0], [1, 3]) == 4
    assert time_to(0.5, [math.nan, math.nan], [1, 1]) is None


def test_runs_that_cross_in_the_same_epoch_have_times_with_a_spread() -> None:
    times = [
        value("epochs to training loss 0.5", a_run(training_loss=[2, 1, last]), LABELS)
        for last in (0.5, 0.4, 0.3, 0.2)
    ]
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]
    assert len(set(times)) == 4
    assert times[0] == 3
    assert all(isinstance(time, float) and 2 < time <= 3 for time in times)


@pytest.mark.parametrize(
    "name",
    [
        "test eror",
        "epochs to training loss",
        "epochs to training loss 0.5 or so",
        "minutes to training loss 0.5",
        "epochs to training error 5",
    ],
)
def test_a_quantity_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"^there is no quantity '{name}' of a run$"):
        value(name, a_run(errors={"test": 3}), LABELS)


def test_a_number_of_an_examination_is_that_of_the_examined_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = a_run(errors={"test": 3})
    assert value(FALL, run, LABELS) == NOT_EXAMINED
    monkeypatch.setattr(findings, "numbers", lambda one: {FALL: 0.25} if one is run else {})
    assert value(FALL, run, LABELS) == 0.25
    assert value(QUARTERS, run, LABELS) == NOT_EXAMINED
    found = {"tiny": {0: (run, LABELS), 4: (a_run(errors={"test": 3}), LABELS)}}
    assert quantities.values({FALL: ["tiny"]}, found) == {
        FALL: {"tiny": {0: 0.25, 4: NOT_EXAMINED}}
    }


def test_no_quantity_has_the_name_of_another() -> None:
    assert quantities.QUANTITIES.keys().isdisjoint(NUMBERS)


def test_every_listed_quantity_is_a_number() -> None:
    probes = {"test": 3, "noise of a tenth": 4, "noise of a half": 9, **SHIFTED}
    run = a_run(errors=probes, test_error=[30], training_error=[5], first_gradient=[1])
    for name in quantities.QUANTITIES:
        assert type(value(name, run, LABELS)) is float
