"""What the report shows of training runs: the committed ones, and made ones of known numbers.

The made runs lie in a folder of results as real ones do, and pass the same checks. Their numbers
are chosen; what is expected of them is worked out here a second time, with SciPy.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from claims.core import results as verdicts
from claims.core.suite import UnavailableError
from claims.report import training as report
from claims.report.drawing import COLOURS, DARK, Figure, for_dark_pages, svg
from claims.report.training import comparison, curves, heads, in_words, mean_interval, page, table
from claims.suite import SUITE
from claims.trained import declared_rules
from claims.training import runs
from claims.training.arms import ARMS
from claims.training.rules import MeanAbove, Reaches
from nin_ref.training import Recipe

VERDICTS = verdicts.read(SUITE.verdicts)
TRACES = runs.traces(runs.RESULTS)
LABELS = runs.test_labels("cifar10", runs.RESULTS)
PAPER = "nin-results/reaches-10.41-on-cifar10"
BEST = "handwritten-results/reaches-76.57-in-its-best-epoch"


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Leave no run of a test in the cache."""
    yield
    runs.fresh.cache_clear()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder of results without runs."""
    shutil.copytree(runs.RESULTS / "test_labels", tmp_path / "test_labels")
    for name in ("rules.json", "traces.json"):
        shutil.copy(runs.RESULTS / name, tmp_path)
    return tmp_path


def put(
    results: Path,
    arm: str,
    *errors: float,
    training: float = 2.0,
    loss: float = 0.3,
    collapsed: Sequence[int] = (),
    **fields: Any,
) -> None:
    """Put runs of an arm among the results, one for each of the final test errors (in percent).

    Errors fall evenly from 90 % to the final one or to `training`, the training loss from 2.4 to
    `loss`, and 1 % more for each further seed. A collapsed run keeps the loss of guessing. `fields`
    are those of the record.
    """
    recipe = ARMS[arm].recipe
    count = recipe.epochs
    for seed, error in enumerate(errors):
        wrong = round(error * len(LABELS) / 100)
        predicted = np.where(np.arange(len(LABELS)) < wrong, (LABELS + 1) % 10, LABELS)
        share = np.linspace(1, 0, count)
        end = loss * (1 + seed / 100)
        losses = np.full(count, 2.31) if seed in collapsed else end + (2.4 - end) * share
        rows = [
            dict(zip(runs.ROW, (one, 50.0, 1.0, one, fit, one, wrong_share), strict=True))
            for one, fit, wrong_share in zip(
                map(float, losses),
                map(float, training + (90 - training) * share),
                map(float, error + (90 - error) * share),
                strict=True,
            )
        ]
        folder = runs.folder_of(results, arm, seed)
        folder.mkdir(parents=True)
        images: Any = dict.fromkeys(("test", *recipe.probes), predicted.astype(np.uint8))
        np.savez_compressed(folder / "predictions.npz", **images)
        (folder / "curve.json").write_text(json.dumps({"first losses": [2.3] * 10, "epochs": rows}))
        record = {
            "format": 1,
            "arm": arm,
            "seed": seed,
            "recipe": dataclasses.asdict(recipe),
            "recipe digest": recipe.digest,
            "trace": TRACES[arm],
            "rules": runs.rules_that_use(arm, results),
            "data": {"name": recipe.data, "sha256": "0" * 64},
            "commit": "c" * 40,
            "clean": True,
            "code": "0" * 16,
            "versions": {"python": "3.11.7", "numpy": "2.4.6", "torch": "2.15.0", "cuda": "13.2"},
            "device": {"kind": "cuda", "name": "a GPU", "threads": 1},
            "command": ["python"],
            "started": "2027-01-01T00:00:00+00:00",
            "finished": "2027-01-01T00:10:00+00:00",
            "resumed": 0,
            "seconds": [0.5] * count,
            "collapsed": seed in collapsed,
            "files": {
                file.name: hashlib.sha256(file.read_bytes()).hexdigest()
                for file in folder.iterdir()
            },
        } | fields
        record["digest"] = runs.record_digest(record)
        (folder / "run.json").write_text(json.dumps(record))


def drawing(figure: Figure | None) -> Any:
    """Return a figure as it is before it becomes SVG."""
    assert figure is not None
    return figure.draw()


def lines(figure: Figure | None, place: int = 0) -> dict[str, list[tuple[Any, Any]]]:
    """Return the points of the lines of one part of a figure, by what the legend calls them."""
    found: dict[str, list[tuple[Any, Any]]] = {}
    for line in drawing(figure).axes[place].get_lines():
        points = (list(map(float, line.get_xdata())), list(map(float, line.get_ydata())))
        found.setdefault(str(line.get_label()), []).append(points)
    return found


def across(figure: Figure | None, label: str, place: int = 0) -> list[float]:
    """Return the horizontal places of all that the legend calls so, from left to right."""
    return sorted(x for xs, _ in lines(figure, place)[label] for x in xs)


def intervals(figure: Figure | None, place: int = 0) -> list[tuple[float, float]]:
    """Return the intervals of one part of a figure, from top to bottom."""
    named = lines(figure, place).items()
    drawn = [one for label, those in named if label.startswith("_child") for one in those]
    return [(xs[0], xs[1]) for xs, ys in sorted(drawn, key=lambda one: -one[1][0])]


def texts(figure: Figure | None, place: int = 0) -> list[str]:
    return [text.get_text() for text in drawing(figure).axes[place].texts]


def legend(figure: Figure | None) -> list[str]:
    (shown,) = drawing(figure).legends
    return [text.get_text() for text in shown.get_texts()]


def by_student(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of a mean by SciPy."""
    low, high = stats.t.interval(
        0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
    )
    return float(low), float(high)


def for_one_more(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % prediction interval for one more value by SciPy."""
    scale = np.std(values, ddof=1) * np.sqrt(1 + 1 / len(values))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=scale)
    return float(low), float(high)


SIX = (10.2, 10.55, 10.31, 10.74, 10.4, 10.47)
WORSE = (12.4, 12.1, 12.9, 12.55, 12.35, 12.0, 12.7, 12.2)
BETTER = (11.0, 11.25, 10.9, 11.1, 11.3, 10.8, 11.05, 11.4)


# Intervals ----------------------------------------------------------------------------------------


def test_the_interval_of_a_mean_is_students() -> None:
    mean, low, high = mean_interval(SIX)
    assert mean == pytest.approx(np.mean(SIX))
    assert (low, high) == pytest.approx(by_student(SIX))


def test_the_interval_of_a_geometric_mean_is_that_of_the_logarithms() -> None:
    mean, low, high = mean_interval(SIX, log=True)
    assert mean == pytest.approx(stats.gmean(SIX))
    assert (low, high) == pytest.approx(np.exp(by_student([float(np.log(one)) for one in SIX])))
    assert mean < np.mean(SIX)


def test_one_number_has_no_interval() -> None:
    with pytest.raises(ValueError, match="an interval needs two numbers at least, not 1"):
        mean_interval([10.4])


# The README's table -------------------------------------------------------------------------------


def cells(arm: str, number: str, results: Path = runs.RESULTS) -> list[str]:
    """Return the rest of the row of an arm and what was measured."""
    (row,) = (
        row
        for row in table(VERDICTS, results).splitlines()
        if row.startswith(f"| `{arm}` | {number} |")
    )
    return [cell.strip() for cell in row.split("|")[3:-1]]


def test_the_table_has_what_the_verdicts_say_of_the_committed_runs() -> None:
    numbers = VERDICTS[BEST]["numbers"]["handwritten"]
    assert cells("handwritten", "best test accuracy") == [
        "above 76.57 (document 004)",
        f"{numbers['estimate']:.2f}",
        f"{numbers['low']:.2f} to {numbers['high']:.2f}, of the mean",
        "3 of 3",
        "holds",
    ]
    numbers = VERDICTS["handwritten-results/ends-at-76.57"]
    interval, verdict = cells("handwritten", "test accuracy")[2:5:2]
    assert interval.removesuffix(", for one more run") in numbers["reason"]
    assert verdict == numbers["observed"] == "undecided"


def test_the_table_has_each_claim_on_a_number_of_a_document_and_no_other() -> None:
    rows = table(VERDICTS).splitlines()
    known = [
        rule
        for id_, rule in declared_rules().items()
        if isinstance(rule, Reaches | MeanAbove)
        and id_.startswith(("nin-results/", "handwritten-results/"))
    ]
    assert [row.split("|")[1].strip() for row in rows if row.startswith("| `")] == [
        f"`{rule.arm}`" for rule in known
    ]
    assert len(known) == 13
    assert {rule.alpha for rule in known} == {0.05}, "the heading says 95 %"
    assert rows[-2] == ""
    assert "percent" in rows[-1]


def test_a_row_without_runs_says_how_many_are_needed(results: Path) -> None:
    assert cells("cifar10", "test error", results) == ["10.41", "", "", "0 of 6", "undecided"]
    assert cells("handwritten", "test accuracy", results)[3] == "0 of 3"


def test_some_runs_have_a_mean_and_no_interval(results: Path) -> None:
    put(results, "cifar10", 10.0, 11.0)
    assert cells("cifar10", "test error", results) == ["10.41", "10.50", "", "2 of 6", "undecided"]


def test_all_runs_have_the_prediction_interval_and_further_ones_do_not_count(results: Path) -> None:
    put(results, "cifar10", *SIX, 50.0)
    low, high = for_one_more(SIX)
    assert cells("cifar10", "test error", results)[:4] == [
        "10.41",
        f"{np.mean(SIX):.2f}",
        f"{low:.2f} to {high:.2f}, for one more run",
        "6 of 6",
    ]


def test_the_verdict_of_a_row_is_the_observed_one() -> None:
    changed = {**VERDICTS, PAPER: VERDICTS[PAPER] | {"observed": "refuted"}}
    rows = table(changed).splitlines()
    assert sum("refuted" in row for row in rows) == 1
    assert next(row for row in rows if row.startswith("| `cifar10` |")).endswith("| refuted |")


# Curves -------------------------------------------------------------------------------------------


def test_curves_are_means_with_the_range_over_seeds(results: Path) -> None:
    put(results, "cifar10", *SIX)
    figure = curves("cifar10", results)
    drawn = lines(figure)
    test, fit = (
        f"test error, {np.mean(SIX):.2f} % at the end (6 runs)",
        "training error, 2.00 % at the end (6 runs)",
    )
    assert legend(figure) == [test, fit, "paper: 10.41 %"]
    ((epochs, errors),) = drawn[test]
    assert epochs == list(range(1, 261))
    assert errors == pytest.approx(np.linspace(90, np.mean(SIX), 260))
    assert drawn[fit][0][1] == pytest.approx(np.linspace(90, 2, 260))
    assert drawn["paper: 10.41 %"][0][1] == [10.41, 10.41]
    bands = [band.get_paths()[0].vertices for band in drawing(figure).axes[0].collections]
    at_the_end = [band[band[:, 0] == 260, 1] for band in bands]
    assert [end.min() for end in at_the_end] == pytest.approx([min(SIX), 2])
    assert [end.max() for end in at_the_end] == pytest.approx([max(SIX), 2])


@pytest.mark.parametrize(
    ("error", "training", "scale"),
    [(10.0, 0.1, "linear"), (1.9, 0.1, "linear"), (1.7, 0.1, "log"), (0.5, 0.0, "linear")],
)
def test_errors_that_fall_far_are_on_a_logarithmic_axis(
    results: Path, error: float, training: float, scale: str
) -> None:
    put(results, "cifar10", error, error + 0.1, training=training)
    axes = drawing(curves("cifar10", results)).axes[0]
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    assert low <= training < 90 <= high
    numbers = [label.get_text() for label in axes.get_yticklabels()]
    assert {"0.1", "1", "10"} <= set(numbers) if scale == "log" else low == 0


def test_phases_of_the_learning_rate_are_marked(results: Path) -> None:
    put(results, "cifar10", *SIX)
    figure = curves("cifar10", results)
    marks = [xs for those in lines(figure).values() for xs, ys in those if ys == [0, 1]]
    assert [xs[0] for xs in marks if len(xs) == 2 and xs[0] == xs[1]] == [200.5, 230.5]
    assert texts(figure) == ["rate 0.1", "0.01", "0.001"]


def test_one_phase_is_not_marked() -> None:
    assert texts(curves("handwritten")) == []


def test_curves_say_the_numbers_of_the_committed_runs() -> None:
    figure = curves("handwritten")
    assert figure is not None
    assert figure.name == "curves-handwritten"
    assert BEST in figure.claims
    last = [
        json.loads((runs.RESULTS / "runs" / "handwritten" / seed / "curve.json").read_bytes())
        for seed in "012"
    ]
    ends = [one["epochs"][-1]["test error"] for one in last]
    means = np.mean([[row["test error"] for row in one["epochs"]] for one in last], axis=0)
    assert "3 runs of handwritten over 40 epochs" in figure.alt
    assert f"{np.mean(ends):.2f} % after the last ({min(ends)} to {max(ends)})" in figure.alt
    lowest = f"lowest after epoch {means.argmin() + 1} with {means.min():.2f} %"
    assert lowest in figure.alt
    assert "document 004: 23.43 % (76.57 % accuracy)" in figure.alt
    assert [label for label in legend(figure) if "document" in label] == [
        "document 004: 23.43 % (76.57 % accuracy)"
    ]
    assert lines(figure)[legend(figure)[-1]][0][1] == pytest.approx([23.43, 23.43])


def test_a_collapsed_run_is_drawn_beside_the_others(results: Path) -> None:
    put(results, "cifar10", 10.0, 90.0, 11.0, collapsed=[1])
    figure = curves("cifar10", results)
    assert figure is not None
    assert legend(figure) == [
        "test error, 10.50 % at the end (2 runs)",
        "training error, 2.00 % at the end (2 runs)",
        "test error of run 1, which collapsed",
        "paper: 10.41 %",
    ]
    assert lines(figure)["test error of run 1, which collapsed"][0][1] == [90.0] * 260
    assert "3 runs of cifar10" in figure.alt
    assert "Run 1 collapsed: its test error ends at 90.00 %." in figure.alt
    assert "The mean test error of the others" in figure.alt


def test_collapsed_runs_alone_have_no_mean(results: Path) -> None:
    put(results, "cifar10", 90.0, 90.0, collapsed=[0, 1])
    figure = curves("cifar10", results)
    assert figure is not None
    assert "mean" not in figure.alt
    assert [label for label in legend(figure) if "at the end" in label] == []


def test_one_run_has_a_curve_without_a_band(results: Path) -> None:
    put(results, "cifar10", 10.0)
    figure = curves("cifar10", results)
    assert len(drawing(figure).axes[0].collections) == 0
    assert legend(figure)[0] == "test error, 10.00 % at the end (1 run)"


def test_no_runs_have_no_curves(results: Path) -> None:
    assert curves("cifar10", results) is None


# Runs side by side --------------------------------------------------------------------------------


def test_runs_stand_beside_the_number_of_the_paper(results: Path) -> None:
    put(results, "cifar10", *SIX)
    figure = comparison(PAPER, results)
    assert figure is not None
    assert across(figure, "a run") == pytest.approx(sorted(SIX))
    assert across(figure, "mean, prediction interval") == pytest.approx([np.mean(SIX)])
    assert intervals(figure) == [pytest.approx(for_one_more(SIX))]
    assert across(figure, "paper: 10.41 %") == [10.41, 10.41]
    assert texts(figure) == [f"cifar10: mean {np.mean(SIX):.4g}, 6 of 6 runs"]
    assert drawing(figure).axes[0].get_xlabel() == "test error (%)"
    assert figure.claims == (PAPER,)
    assert "each 10.2, 10.55, 10.31, 10.74, 10.4, 10.47" in figure.alt
    assert "paper: 10.41 %" in figure.alt
    assert "By its rule the claim holds: 10.41 is inside the 95 % prediction" in figure.alt


def test_of_equal_runs_each_is_seen(results: Path) -> None:
    put(results, "cifar10", 10.2, 10.4, 10.5, 10.5, 10.3, 10.5)
    ((across_, heights),) = lines(comparison(PAPER, results))["a run"]
    assert across_ == pytest.approx([10.2, 10.3, 10.4, 10.5, 10.5, 10.5])
    assert min(np.diff(sorted(heights[3:]))) > 0.04


def test_the_figure_of_a_mean_above_a_number_has_the_interval_of_the_mean() -> None:
    figure = comparison(BEST)
    assert figure is not None
    numbers = VERDICTS[BEST]["numbers"]["handwritten"]
    assert intervals(figure) == [pytest.approx((numbers["low"], numbers["high"]), rel=1e-5)]
    assert legend(figure) == ["a run", "mean, 95 % interval", "document 004: 76.57 %"]
    assert figure.alt.endswith(f"{numbers['found'].partition(';')[0]}.")


HEAD = "nin-results/mean-beats-a-fully-connected-head"


def test_two_arms_stand_side_by_side_with_their_difference(results: Path) -> None:
    put(results, "cifar10-short", *BETTER)
    put(results, "cifar10-fc-head-short", *WORSE)
    figure = comparison(HEAD, results)
    assert figure is not None
    assert intervals(figure) == [
        pytest.approx(by_student(WORSE)),
        pytest.approx(by_student(BETTER)),
    ]
    # The family's other rules lack runs, so Holm's method tests this one at a quarter of alpha.
    difference = stats.ttest_ind(WORSE, BETTER, equal_var=False).confidence_interval(1 - 0.05 / 4)
    assert intervals(figure, 1) == [pytest.approx((difference.low, difference.high))]
    estimate = np.mean(WORSE) - np.mean(BETTER)
    assert across(figure, "difference, 98.75 % interval", 1) == pytest.approx([estimate])
    assert across(figure, "bound: holds above 0.3", 1) == [0.3, 0.3]
    assert texts(figure, 1) == ["cifar10-fc-head-short \N{MINUS SIGN} cifar10-short"]
    assert legend(figure) == [
        "a run",
        "mean, 95 % interval",
        "difference, 98.75 % interval",
        "bound: holds above 0.3",
    ]
    assert drawing(figure).axes[1].get_xlabel() == "difference of test error (points)"
    assert (
        f"By its rule the claim holds: cifar10-fc-head-short - cifar10-short is {estimate:.4g}"
        in (figure.alt)
    )


def test_a_ratio_is_that_of_geometric_means(results: Path) -> None:
    with_dropout, without = (10.4, 10.6, 10.5), (14.9, 14.2, 14.6)
    put(results, "cifar10", *with_dropout)
    put(results, "cifar10-no-dropout", *without)
    figure = comparison("nin-results/dropout-cuts-the-error-by-more-than-a-fifth", results)
    assert across(figure, "mean, 95 % interval") == pytest.approx(
        [stats.gmean(with_dropout), stats.gmean(without)]
    )
    assert across(figure, "ratio, 95 % interval", 1) == pytest.approx(
        [stats.gmean(with_dropout) / stats.gmean(without)]
    )
    difference = stats.ttest_ind(np.log(with_dropout), np.log(without), equal_var=False)
    both = difference.confidence_interval(0.95)
    assert intervals(figure, 1) == [pytest.approx((np.exp(both.low), np.exp(both.high)))]
    assert across(figure, "bound: holds below 0.8", 1) == pytest.approx([0.8, 0.8])
    assert drawing(figure).axes[1].get_xlabel() == "ratio of test error"


def test_a_difference_in_either_direction_has_two_bounds(results: Path) -> None:
    put(results, "cifar10-short", *BETTER)
    put(results, "cifar10-fc-head-short", *WORSE)
    figure = comparison("average-head/is-decisive-for-accuracy", results)
    beyond = "bound: holds beyond \N{PLUS-MINUS SIGN}0.3"
    assert across(figure, beyond, 1) == [-0.3, -0.3, 0.3, 0.3]
    put(results, "cifar10", 22.0, 22.3, 22.1)
    put(results, "handwritten", 22.1, 22.2, 22.4)
    runs.fresh.cache_clear()
    figure = comparison("handwritten-results/is-as-accurate-as-the-papers-network", results)
    assert "bound: holds within \N{PLUS-MINUS SIGN}0.3" in legend(figure)


def test_arms_without_all_runs_have_no_interval_and_no_difference(results: Path) -> None:
    put(results, "cifar10-short", *BETTER)
    put(results, "cifar10-fc-head-short", 12.0, 13.0)
    figure = comparison(HEAD, results)
    assert figure is not None
    assert len(drawing(figure).axes) == 1
    assert across(figure, "mean") == [12.5]
    assert intervals(figure) == [pytest.approx(by_student(BETTER))]
    assert texts(figure)[0] == "cifar10-fc-head-short: mean 12.5, 2 of 8 runs"
    assert "2 of 8 runs, each 12, 13; cifar10-short" in figure.alt
    assert "the claim is undecided: 2 of 8 runs of cifar10-fc-head-short" in figure.alt


def test_an_arm_without_runs_is_named(results: Path) -> None:
    put(results, "cifar10-short", *BETTER)
    assert texts(comparison(HEAD, results))[0] == "cifar10-fc-head-short, 0 of 8 runs"


def test_no_runs_at_all_have_no_figure(results: Path) -> None:
    assert comparison(HEAD, results) is None


def test_a_collapsed_run_counts_and_is_marked(results: Path) -> None:
    errors = (10.0, 11.0, 90.0, 10.5, 10.5, 10.5)
    put(results, "cifar10", *errors, collapsed=[2])
    figure = comparison(PAPER, results)
    assert figure is not None
    assert across(figure, "a run that collapsed") == [90.0]
    assert len(across(figure, "a run")) == 5
    assert across(figure, "mean, prediction interval") == pytest.approx([np.mean(errors)])
    assert "90 (collapsed)" in figure.alt
    assert "mean without collapsed runs 10.5 of 5" in figure.alt


SOONER = "compute/many-parameters-in-the-head-converge-faster"


def test_runs_that_never_get_there_stand_at_the_edge(results: Path) -> None:
    put(results, "plain-fc-short", *WORSE)
    put(results, "plain-gap-short", *BETTER, loss=0.7)
    figure = comparison(SOONER, results)
    assert figure is not None
    assert across(figure, "a run that never gets there") == [0.98] * 8
    assert texts(figure)[1] == "plain-gap-short, 8 of 8 runs, 8 of them never get there"
    assert "8 of them never get there, each never, never" in figure.alt
    assert "the claim holds: 8 of 16 runs never get there" in figure.alt
    assert drawing(figure).axes[0].get_xlabel() == "epochs to training loss 0.5"
    assert len(drawing(figure).axes) == 1


def test_each_quantity_of_a_rule_has_its_own_part(results: Path) -> None:
    for arm, loss in (("cifar10-short", 0.3), ("cifar10-fc-head-short", 0.1)):
        put(results, arm, *BETTER, loss=loss)
    put(results, "cifar10-fc-head-full-rate-short", *BETTER, loss=0.05)
    figure = comparison("average-head/needs-more-epochs-to-a-training-loss", results)
    labels = [ax.get_xlabel() for ax in drawing(figure).axes]
    assert labels == [
        "epochs to training loss 1.0",
        "ratio of epochs to training loss 1.0",
        "epochs to training loss 0.5",
        "ratio of epochs to training loss 0.5",
    ]
    assert len(texts(figure)) == 3
    assert texts(figure, 1) == [
        "cifar10-fc-head-short / cifar10-short",
        "cifar10-fc-head-full-rate-short / cifar10-short",
    ]


@pytest.mark.parametrize(
    ("quantity", "unit"),
    [
        ("test error", " (%)"),
        ("best test accuracy", " (%)"),
        ("rise of test error", " (points)"),
        ("generalisation gap", " (points)"),
        ("epochs to test error 20", ""),
        ("first gradient", ""),
    ],
)
def test_axes_have_units(quantity: str, unit: str) -> None:
    assert report._unit(quantity) == unit


def test_the_figures_of_all_rules_can_be_drawn_when_their_runs_are_there(results: Path) -> None:
    for name in ("trunk", "trunk-5x5", "trunk-two-3x3"):
        put(results, name, *WORSE)
    drawn = [comparison(id_, results) for id_, rule in declared_rules().items()]
    assert len([drawing(one) for one in drawn if one]) >= 4


# Heads --------------------------------------------------------------------------------------------


def test_heads_stand_side_by_side(results: Path) -> None:
    put(results, "cifar10-short", *BETTER, training=4.0)
    put(results, "cifar10-fc-head-short", *WORSE, training=1.0, loss=0.05)
    figures = {figure.name: figure for figure in heads(results)}
    assert list(figures) == [
        "test-error-heads-on-nin",
        "epochs-to-training-loss-0.5-heads-on-nin",
        "gap-heads-on-nin",
    ]
    assert intervals(figures["test-error-heads-on-nin"]) == [
        pytest.approx(by_student(BETTER)),
        pytest.approx(by_student(WORSE)),
    ]
    times = figures["epochs-to-training-loss-0.5-heads-on-nin"]
    by_arm = [sorted(xs) for xs, _ in lines(times)["a run"]]
    assert across(times, "mean, 95 % interval") == pytest.approx(sorted(map(stats.gmean, by_arm)))
    gap = figures["gap-heads-on-nin"]
    ((_, gaps),) = lines(gap)["cifar10-short (8 runs)"]
    assert gaps == pytest.approx(np.linspace(0, np.mean(BETTER) - 4, 100))
    end = f"{np.mean(WORSE) - 1:.2f} ({min(WORSE) - 1:.2f} to {max(WORSE) - 1:.2f}, 8 runs)"
    assert f"cifar10-fc-head-short ends at {end}" in gap.alt
    assert HEAD in gap.claims
    assert "average-head/overfits-less-than-a-linear-head" in gap.claims
    assert "nin-results/mean-beats-a-fully-connected-head-with-dropout" not in gap.claims


def test_one_head_is_beside_nothing(results: Path) -> None:
    put(results, "cifar10-short", *BETTER)
    assert heads(results) == ()


def test_heads_are_arms_of_one_schedule() -> None:
    for _, group in report.HEADS.values():
        assert len({ARMS[arm].recipe.phases for arm in group}) == 1
        assert len(group) <= len(COLOURS)


# Pages of arms ------------------------------------------------------------------------------------


def test_the_page_of_an_arm_says_what_its_runs_are() -> None:
    shown = page("handwritten", VERDICTS)
    record = json.loads((runs.RESULTS / "runs" / "handwritten" / "1" / "run.json").read_bytes())
    run = shown.runs[1]
    assert [one.seed for one in shown.runs] == [0, 1, 2]
    assert (run.commit, run.clean, run.digest) == (
        record["commit"],
        record["clean"],
        record["digest"],
    )
    assert (run.started, run.finished) == (record["started"], record["finished"])
    assert (run.device, run.threads) == (record["device"]["name"], record["device"]["threads"])
    assert run.seconds == pytest.approx(sum(record["seconds"]))
    assert run.versions == {name: one for name, one in record["versions"].items() if one}
    assert "cuda" not in run.versions
    assert run.data == record["data"]["sha256"]
    assert (run.collapsed, run.resumed) == (False, record["resumed"])
    assert (run.test_error, run.best_test_error, run.training_error) == (22.05, 21.24, 3.27)
    assert [one.test_error == one.best_test_error for one in shown.runs] == [True, False, False]
    assert (shown.waits_for, shown.command) == ("", "")
    assert shown.recipe_digest == ARMS["handwritten"].recipe.digest
    assert [figure.name for figure in shown.figures] == [
        "curves-handwritten",
        "runs-handwritten-results-reaches-76.57-in-its-best-epoch",
        "runs-handwritten-results-ends-at-76.57",
    ]


def test_the_page_of_an_arm_says_what_its_rules_find() -> None:
    best, _, accurate = page("handwritten", VERDICTS).rules
    published = runs.rules(runs.RESULTS)[BEST]
    assert (best.claim, best.verdict, best.says) == (BEST, "holds", VERDICTS[BEST]["says"])
    assert (best.described, best.digest) == (published["rule"], published["digest"])
    assert best.rates == published["error rates"]
    assert {"false alarm", "power"} <= best.rates.keys()
    assert best.runs == {"handwritten": (3, 3)}
    assert best.found == VERDICTS[BEST]["numbers"]["handwritten"]["found"].partition(";")[0]
    assert (best.changed, best.sensitivity) == (False, "")
    assert accurate.runs == {"handwritten": (3, 3), "cifar10": (0, 3)}
    assert accurate.found == "3 of 3 runs of handwritten, 0 of 3 runs of cifar10"


def test_an_arm_without_runs_says_what_it_waits_for(results: Path) -> None:
    shown = page("cifar10", VERDICTS, results)
    assert shown.waits_for == "seeds 0-5 of 6 runs, which need a GPU"
    assert shown.command == "python -m claims.training reproduce --arms cifar10 --seeds 0-5"
    assert (shown.runs, shown.figures) == ((), ())
    assert shown.rules[0].claim == PAPER
    assert page("handwritten", VERDICTS, results).waits_for == (
        "seeds 0-2 of 3 runs, which a CPU trains"
    )


def test_an_arm_with_some_runs_waits_for_the_others(results: Path) -> None:
    put(results, "cifar10", *SIX[:5])
    shown = page("cifar10", VERDICTS, results)
    assert shown.waits_for == "seed 5 of 6 runs, which need a GPU"
    assert shown.command.endswith("--arms cifar10 --seeds 5")
    assert shown.rules[0].runs == {"cifar10": (5, 6)}
    assert shown.rules[1].runs["cifar10"] == (3, 3)


def test_an_arm_that_no_rule_uses_waits_for_nothing() -> None:
    shown = page("tiny", VERDICTS)
    assert (shown.waits_for, shown.command, shown.rules) == ("", "", ())


def test_a_page_says_what_collapsed_runs_change(results: Path) -> None:
    put(results, "cifar10", 10.0, 11.0, 90.0, 10.5, 10.5, 10.5, collapsed=[2])
    shown = page("cifar10", VERDICTS, results)
    assert [run.collapsed for run in shown.runs] == [False, False, True, False, False, False]
    assert shown.rules[0].sensitivity == (
        "test error of cifar10: mean without collapsed runs 10.5 of 5"
    )


def test_a_page_says_that_a_rule_changed_after_the_runs(results: Path) -> None:
    put(results, "cifar10", *SIX, rules={PAPER: "0" * 16})
    assert page("cifar10", VERDICTS, results).rules[0].changed


def test_stale_runs_are_not_shown(results: Path) -> None:
    put(results, "cifar10", *SIX)
    traces = json.loads((results / "traces.json").read_text())
    traces["cifar10"][0] += 0.1
    (results / "traces.json").write_text(json.dumps(traces))
    assert page("cifar10", VERDICTS, results).runs == ()


def test_pages_of_all_arms_can_be_made() -> None:
    pages = {arm: page(arm, VERDICTS) for arm in ARMS}
    using = {rule.claim for shown in pages.values() for rule in shown.rules}
    assert using == declared_rules().keys()
    for arm, shown in pages.items():
        assert (shown.name, shown.says) == (arm, ARMS[arm].says)
        assert bool(shown.command) == bool(shown.waits_for)


def test_a_damaged_run_is_said(results: Path) -> None:
    put(results, "cifar10", *SIX)
    (runs.folder_of(results, "cifar10", 3) / "curve.json").write_text("{}")
    for ask in (page, lambda arm, verdicts, results: curves(arm, results)):
        with pytest.raises(runs.RunError, match="run cifar10/3 is not valid"):
            ask("cifar10", VERDICTS, results)
    with pytest.raises(UnavailableError, match="run cifar10/3 is not valid"):
        table(VERDICTS, results)


OTHERWISE: Mapping[str, Any] = {
    "data": "cifar100",
    "preprocessing": "scaled",
    "network": "tiny",
    "options": {"head": "linear"},
    "initial_deviations": None,
    "optimizer": "adam",
    "learning_rate": 0.2,
    "bias_rate": 1.0,
    "last_layer_rate": 1.0,
    "momentum": 0.8,
    "weight_decay": 5e-4,
    "batch_size": 64,
    "phases": ((200, 1.0), (30, 0.1), (31, 0.01)),
    "crop": 4,
    "mirror": True,
    "precision": "tf32",
    "held_out": 5000,
    "stream": 1,
    "probes": ("4 pixels up",),
}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Recipe)])
def test_each_field_of_a_recipe_is_told(field: str) -> None:
    told, otherwise = in_words(Recipe()), in_words(Recipe(**{field: OTHERWISE[field]}))
    assert sum(told[name] != otherwise[name] for name in told) == 1


def test_a_recipe_reads_well() -> None:
    told = in_words(ARMS["cifar100"].recipe)
    assert (
        told["learning rate"]
        == "0.02 for 200 epochs, then 0.002 for 30 epochs, then 0.0002 for 30 epochs"
    )
    assert (
        told["first weights"]
        == "normal, deviation 0.001, then 0.01, then 0.01, then 0.05; biases 0"
    )
    assert told["network"] == "nin, classes 100"
    assert in_words(ARMS["tiny"].recipe)["augmentation"] == (
        "random crops after a padding of 2 pixels, mirror images"
    )


# What is drawn ------------------------------------------------------------------------------------


def test_figures_are_small_stable_well_formed_pictures_without_scripts(results: Path) -> None:
    put(results, "cifar10", *SIX[:5], 90.0, collapsed=[5], device=HOSTILE)
    put(results, "cifar10-short", *BETTER)
    put(results, "cifar10-fc-head-short", *WORSE)
    ids = (PAPER, HEAD, "average-head/needs-more-epochs-to-a-training-loss")
    figures = [
        curves("cifar10", results),
        *(comparison(id_, results) for id_ in ids),
        *heads(results),
    ]
    for figure in figures:
        assert figure is not None
        assert re.fullmatch(r"[a-z0-9.-]+", figure.name)
        assert figure.claims
        assert figure.title[0].isupper()
        light = svg(figure.draw)
        assert light == svg(figure.draw)
        assert set(re.findall(r"#[0-9a-f]{6}\b", light)) <= DARK.keys()
        for colour, drawn in ((COLOURS[0], light), (DARK[COLOURS[0]], for_dark_pages(light))):
            assert len(drawn) < 150_000
            assert colour in drawn
            tags = [element.tag for element in ET.fromstring(drawn).iter()]  # noqa: S314
            assert not [tag for tag in tags if "script" in tag]
            links = set(re.findall(r"https?://[^\"<]*", drawn))
            assert all(
                "w3.org" in link or "purl.org" in link or "creativecommons" in link
                for link in links
            ), links


def laid_out(figure: Figure) -> Any:
    """Return a figure as SVG draws it, with everything in its place."""
    drawn: list[Any] = []

    def draw() -> Any:
        drawn.append(figure.draw())
        return drawn[0]

    svg(draw)
    drawn[0].draw_without_rendering()
    return drawn[0]


def test_no_text_is_cut_off_at_the_right(results: Path) -> None:
    put(results, "cifar10", *SIX[:5], 90.0, collapsed=[5])
    for arm in report.HEADS["heads-on-nin"][1]:
        put(results, arm, *WORSE)
    put(results, "plain-gap-short", *BETTER, loss=0.7)
    put(results, "plain-fc-short", *WORSE)
    wide = (
        PAPER,
        SOONER,
        "nin-results/mean-beats-a-fully-connected-head-with-dropout",
        "average-head/needs-more-epochs-to-a-test-error",
        "confidence-maps/mlpconv-layers-make-the-average-accurate",
    )
    for figure in (curves("cifar10", results), *(comparison(id_, results) for id_ in wide)):
        assert figure is not None
        shown = laid_out(figure)
        written = [*shown.legends, *(text for ax in shown.axes for text in ax.texts)]
        assert max(one.get_window_extent().x1 for one in written) < shown.bbox.x1, figure.name


HOSTILE = {"kind": "cuda", "name": "<script>$x^2$</script> & \"'", "threads": 1}


def test_hostile_text_in_a_run_stays_what_it_is(results: Path) -> None:
    put(results, "cifar10", *SIX, device=HOSTILE)
    assert page("cifar10", VERDICTS, results).runs[0].device == HOSTILE["name"]
    assert "script" not in table(VERDICTS, results)


def test_names_of_figures_are_unique(results: Path) -> None:
    put(results, "cifar10-short", *BETTER)
    put(results, "cifar10-fc-head-short", *WORSE)
    put(results, "cifar10", *SIX)
    found = [curves(arm, results) for arm in ARMS]
    found += [comparison(id_, results) for id_ in declared_rules()]
    names = [figure.name for figure in [*found, *heads(results)] if figure]
    assert len(names) == len(set(names)) > 5
