"""What the report shows of training runs: a page for each arm, figures, and the README's table.

All of it is read from the committed tree: `results/runs`, `rules.json`, `verdicts.json` and
`test_labels`. Nothing is trained. Stale runs count nowhere.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.figure
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from claims.core import summary
from claims.core.verdict import Verdict
from claims.report import class_maps
from claims.report.drawing import COLOURS, FAINT, INK, Figure
from claims.subjects import Evidence
from claims.suite import SUITE
from claims.trained import declared_rules
from claims.training import rules, runs
from claims.training.arms import ARMS
from claims.training.reproduce import counted, spans
from claims.training.rules import MeanAbove, Reaches, Rule, Single, Values
from claims.training.runs import RESULTS, Run
from nin_ref.training import Recipe

Entries = Mapping[str, Mapping[str, Any]]
Array = npt.NDArray[np.float64]
AboutNumber = Reaches | MeanAbove

REPORTED = ("test error", "test accuracy", "best test accuracy")  # what documents give numbers of
HEADS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "heads-on-nin": (
        "heads on the trunk of Network in Network",
        (
            "cifar10-short",
            "cifar10-fc-head-short",
            "cifar10-fc-head-full-rate-short",
            "cifar10-fc-dropout-head-short",
        ),
    ),
    "heads-on-a-plain-network": (
        "heads on plain convolutions",
        ("plain-gap-short", "plain-fc-short", "plain-fc-dropout-short"),
    ),
}
NOTE = (
    "All numbers are percent, *ours* is the mean of n runs. The interval is for one more run where "
    "the claim is that a run gives the number, and of the mean where it is that the mean lies "
    "above it; there is none before all runs are there. *Undecided* with all runs there means that "
    "they spread too far for the rule to tell."
)
WIDTH = 4.6  # inches; wider ones would have small print on a phone
LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class FinishedRun:
    """What a page says of one run; errors in percent, `seconds` of training alone."""

    seed: int
    test_error: float
    best_test_error: float
    training_error: float
    collapsed: bool
    device: str
    threads: int
    versions: Mapping[str, str]
    commit: str | None
    clean: bool | None
    started: str
    finished: str
    resumed: int
    seconds: float
    data: str
    digest: str


@dataclass(frozen=True)
class UsedRule:
    """A rule that looks at the runs of an arm, and what it finds by now.

    `runs` are those there and those needed, by arm. `rates` are the simulated error rates and
    power. `changed`: some run was made before the rule was what it is now. `sensitivity` says what
    the means are without collapsed runs; empty if none collapsed.
    """

    claim: str
    says: str
    verdict: str
    described: str
    digest: str
    runs: Mapping[str, tuple[int, int]]
    found: str
    rates: Mapping[str, float]
    changed: bool
    sensitivity: str


@dataclass(frozen=True)
class ArmPage:
    """All that the page of an arm shows; `waits_for` and `command` are empty if no run is missing.

    `recipe` has its fields in words, `figures` the curves, against a document's number the runs of
    this arm alone, and class maps; the figures of comparisons belong to their claims.
    """

    name: str
    says: str
    recipe: Mapping[str, str]
    recipe_digest: str
    runs: tuple[FinishedRun, ...]
    rules: tuple[UsedRule, ...]
    waits_for: str
    command: str
    figures: tuple[Figure, ...]


# The pages of arms --------------------------------------------------------------------------------


def page(arm: str, verdicts: Entries, results: Path = RESULTS) -> ArmPage:
    """Return what the page of an arm shows.

    Raises:
        RunError, UnavailableError: if a run of the arm, or another that its rules need, is not
            valid.
    """
    found = _runs(arm, results)
    using = {id_: rule for id_, rule in declared_rules().items() if arm in rules.seeds_by_arm(rule)}
    wanted = needed().get(arm, 0)
    missing = [seed for seed in range(wanted) if seed not in found]
    seeds = spans(missing)
    command = f"python -m claims.training reproduce --arms {arm} --seeds {seeds.partition(' ')[2]}"
    fit = "which a CPU trains" if ARMS[arm].on_cpu else "which need a GPU"
    alone = [id_ for id_, rule in using.items() if len(rules.seeds_by_arm(rule)) == 1]
    compared = (comparison(id_, results) for id_ in alone)
    drawn = (curves(arm, results), *compared, *class_maps.figures(arm, results))
    return ArmPage(
        name=arm,
        says=ARMS[arm].says,
        recipe=in_words(ARMS[arm].recipe),
        recipe_digest=ARMS[arm].recipe.digest,
        runs=tuple(_finished(run) for run in found.values()),
        rules=tuple(_used(id_, rule, verdicts[id_], results) for id_, rule in using.items()),
        waits_for=f"{seeds} of {wanted} runs, {fit}" if missing else "",
        command=command if missing else "",
        figures=tuple(figure for figure in drawn if figure),
    )


def in_words(recipe: Recipe) -> dict[str, str]:
    """Return the fields of a recipe as one would tell them."""
    rate = recipe.learning_rate
    phases = (
        f"{rate * factor:g} for {counted(epochs, 'epoch')}" for epochs, factor in recipe.phases
    )
    momentum = f"SGD, momentum {recipe.momentum:g}"
    options = [f"{name.replace('_', ' ')} {value}" for name, value in recipe.options.items()]
    crops = f"random crops after a padding of {recipe.crop} pixels" if recipe.crop else ""
    deviations = recipe.initial_deviations
    normal = f"normal, deviation {', then '.join(map(str, deviations or ()))}; biases 0"
    return {
        "data": recipe.data,
        "preprocessing": recipe.preprocessing,
        "augmentation": ", ".join(filter(None, [crops, "mirror images" * recipe.mirror])) or "none",
        "network": ", ".join([recipe.network, *options]),
        "first weights": "as PyTorch draws them" if deviations is None else normal,
        "optimizer": "Adam" if recipe.optimizer == "adam" else momentum,
        "learning rate": ", then ".join(phases),
        "rate of biases": f"{recipe.bias_rate:g} times that, without weight decay",
        "rate in the last layer": f"{recipe.last_layer_rate:g} times that",
        "weight decay": f"{recipe.weight_decay:g}",
        "batch size": str(recipe.batch_size),
        "precision": recipe.precision,
        "tested on": f"the last {recipe.held_out} training images"
        if recipe.held_out
        else "the test images",
        "also tested under": ", ".join(recipe.probes) or "nothing else",
        "random numbers": f"stream {recipe.stream}",
    }


def _finished(run: Run) -> FinishedRun:
    record, last = run.record, run.curve[-1]
    return FinishedRun(
        seed=record["seed"],
        test_error=last["test error"],
        best_test_error=min(row["test error"] for row in run.curve),
        training_error=last["training error"],
        collapsed=record["collapsed"],
        device=record["device"]["name"],
        threads=record["device"]["threads"],
        versions={name: version for name, version in record["versions"].items() if version},
        commit=record["commit"],
        clean=record["clean"],
        started=record["started"],
        finished=record["finished"],
        resumed=record["resumed"],
        seconds=sum(record["seconds"]),
        data=record["data"]["sha256"],
        digest=record["digest"],
    )


def _used(id_: str, rule: Rule, verdict: Mapping[str, Any], results: Path) -> UsedRule:
    evidence = Evidence(results)
    values = evidence.values(rules.needed(rule))
    seeds_by_arm = rules.seeds_by_arm(rule)
    digest = rules.digest(rule)
    return UsedRule(
        claim=id_,
        says=verdict["says"],
        verdict=verdict["observed"],
        described=rules.described(rule),
        digest=digest,
        runs={
            arm: (sum(seed < seeds for seed in _runs(arm, results)), seeds)
            for arm, seeds in seeds_by_arm.items()
        },
        found=rules.decide(rule, values).reason,
        rates=evidence.rule(id_).get("error rates", {}),
        changed=evidence.ran_under_another_rule(id_, digest, seeds_by_arm),
        sensitivity="; ".join(
            f"{quantity} of {row.arm}: {text}"
            for quantity, parts in _by_quantity(rule).items()
            for row in _rows(parts, results)
            if (text := _without_collapsed(row))
        ),
    )


# The README's table -------------------------------------------------------------------------------


def table(verdicts: Entries, results: Path = RESULTS) -> str:
    """Return documents' numbers beside those of our runs, as Markdown.

    Raises:
        UnavailableError: if a run is not valid.
    """
    rows = [
        "| arm | number | paper | ours | 95 % interval | n | verdict |",
        "| --- | --- | ---: | ---: | --- | ---: | --- |",
    ]
    for id_, rule in declared_rules().items():
        if not isinstance(rule, AboutNumber) or rule.quantity not in REPORTED:
            continue
        (row,) = _rows([rule], results)
        source = _source(id_)
        above = "above " if isinstance(rule, MeanAbove) else ""
        cells = [
            f"`{rule.arm}`",
            rule.quantity,
            f"{above}{rule.value:.2f}" + (f" ({source})" if source != "paper" else ""),
            "" if math.isnan(row.mean) else f"{row.mean:.2f}",
            "" if math.isnan(row.low) else f"{row.low:.2f} to {row.high:.2f}, {row.interval}",
            f"{len(row.values)} of {row.seeds}",
            summary.SPOKEN[Verdict(verdicts[id_]["observed"])][1],
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join([*rows, "", NOTE])


# Curves -------------------------------------------------------------------------------------------


def curves(arm: str, results: Path = RESULTS) -> Figure | None:
    """Return the test and training error of an arm by epoch; None if it has no runs.

    Lines are means and bands ranges of the runs that did not collapse; each of those that did is
    drawn by itself.

    Raises:
        RunError: if a run of the arm is not valid.
    """
    found = _runs(arm, results)
    if not found:
        return None
    collapsed = [seed for seed, run in found.items() if run.record["collapsed"]]
    learned = [seed for seed in found if seed not in collapsed]
    errors = {
        column: {seed: [row[column] for row in run.curve] for seed, run in found.items()}
        for column in ("test error", "training error")
    }
    phases = ARMS[arm].recipe.phases
    numbers = list(_published(arm))

    def draw() -> matplotlib.figure.Figure:
        figure = matplotlib.figure.Figure(figsize=(WIDTH, 3.8))
        ax = figure.subplots()
        entries: list[Line2D] = []
        for place, (column, by_seed) in enumerate(errors.items() if learned else ()):
            lines = np.array([by_seed[seed] for seed in learned])
            label = (
                f"{column}, {lines[:, -1].mean():.2f} % at the end ({counted(len(lines), 'run')})"
            )
            entries.append(_band(ax, lines, place, label))
        for seed in collapsed:
            epochs = range(1, len(errors["test error"][seed]) + 1)
            entries += ax.plot(
                epochs,
                errors["test error"][seed],
                color=COLOURS[3],
                linestyle=":",
                marker="x",
                markevery=max(1, len(epochs) // 10),
                markersize=4,
                label=f"test error of run {seed}, which collapsed",
            )
        for label, error in numbers:
            entries.append(ax.axhline(error, color=INK, linestyle=(0, (1, 2)), label=label))
        _epochs(ax, phases, ARMS[arm].recipe.learning_rate)
        ax.set_ylabel("error (%)")
        if _spans_decades(errors):
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter("{x:g}")
        else:
            ax.set_ylim(0, None)
        figure.legend(handles=entries, loc="outside upper left", fontsize=9)
        return figure

    return Figure(
        name=f"curves-{arm}",
        title=f"Error by epoch, mean and range of the runs: {ARMS[arm].says}",
        tell=lambda: " ".join(_told_curves(arm, errors, learned, numbers)),
        claims=tuple(
            id_ for id_, rule in declared_rules().items() if arm in rules.seeds_by_arm(rule)
        ),
        draw=draw,
    )


def _spans_decades(errors: Mapping[str, Mapping[int, Sequence[float]]]) -> bool:
    """Return whether errors fall so far, as on MNIST, that a linear axis would show its zero only.

    `errors` has those after each epoch by column and seed.
    """
    test = [error for curve in errors["test error"].values() for error in curve]
    lowest = min(min(curve) for by_seed in errors.values() for curve in by_seed.values())
    return lowest > 0 and max(test) > 50 * min(test)


def _told_curves(
    arm: str,
    errors: Mapping[str, Mapping[int, Sequence[float]]],
    learned: Sequence[int],
    numbers: Iterable[tuple[str, float]],
) -> Iterator[str]:
    """Yield sentences on the errors by epoch, `[column][seed]`."""
    tested = errors["test error"]
    epochs = ARMS[arm].recipe.epochs
    others = " of the others" if len(learned) < len(tested) else ""
    yield f"Test and training error of {counted(len(tested), 'run')} of {arm} over {epochs} epochs."
    for seed in (seed for seed in tested if seed not in learned):
        yield f"Run {seed} collapsed: its test error ends at {tested[seed][-1]:.2f} %."
    for column, by_seed in errors.items() if learned else ():
        lines = np.array([by_seed[seed] for seed in learned])
        mean, last = lines.mean(axis=0), lines[:, -1]
        yield (
            f"The mean {column}{others} is {mean[0]:.2f} % after the first epoch, {mean[-1]:.2f} % "
            f"after the last ({last.min():.2f} to {last.max():.2f}), and lowest after epoch "
            f"{mean.argmin() + 1} with {mean.min():.2f} %."
        )
    for label, _ in numbers:
        yield f"A line marks a published number, {label}."


def _published(arm: str) -> Iterator[tuple[str, float]]:
    """Yield the test errors that documents give for an arm, each once, with what to call them."""
    seen = set()
    for id_, rule in declared_rules().items():
        for part in rules.parts(rule):
            if not isinstance(part, AboutNumber) or part.arm != arm:
                continue
            error = part.value if part.quantity == "test error" else 100 - part.value
            if part.quantity in REPORTED and error not in seen:
                seen.add(error)
                accuracy = f" ({part.value:g} % accuracy)" if error != part.value else ""
                yield f"{_source(id_)}: {error:.4g} %{accuracy}", error


def _band(ax: Axes, lines: Array, place: int, label: str) -> Line2D:
    """Draw the mean of lines [N, epochs] and the range about it."""
    epochs = np.arange(1, lines.shape[1] + 1)
    colour, style = COLOURS[place], LINES[place]
    if len(lines) > 1:
        ax.fill_between(
            epochs, lines.min(axis=0), lines.max(axis=0), color=colour, alpha=0.25, linewidth=0
        )
    (line,) = ax.plot(epochs, lines.mean(axis=0), color=colour, linestyle=style, label=label)
    return line


def _epochs(ax: Axes, phases: Sequence[tuple[int, float]], rate: float) -> None:
    """Label the axis of epochs, and mark where the learning rate changes."""
    total = sum(epochs for epochs, _ in phases)
    ax.set(xlabel="epoch", xlim=(1, max(2, total)))
    ax.grid(axis="y")
    start = 0
    for number, (epochs, factor) in enumerate(phases):
        if number:
            ax.axvline(start + 0.5, color=FAINT, linewidth=0.8)
        if len(phases) > 1:
            text = f"{'' if number else 'rate '}{rate * factor:g}"
            ax.annotate(
                text,
                (start + 0.5 if number else 1, 1),
                xycoords=("data", "axes fraction"),
                xytext=(2, 2),
                textcoords="offset points",
                fontsize=8,
            )
        start += epochs


# Runs side by side --------------------------------------------------------------------------------


class Row(NamedTuple):
    """The runs of an arm in a figure: a quantity by seed, None where it was never reached.

    `seeds` runs are needed. With `log` the mean is geometric. It is no number if a run lacks one,
    the interval `low` to `high` also if a run lacks; `interval` says what that is for.
    """

    arm: str
    values: Mapping[int, float | None]
    seeds: int
    collapsed: frozenset[int]
    log: bool
    mean: float
    low: float
    high: float
    interval: str


class Difference(NamedTuple):
    """A difference or ratio of arms with its interval; `holds` says of its rule when that does."""

    label: str
    kind: str
    mean: float
    low: float
    high: float
    coverage: float
    bounds: tuple[float, ...]
    holds: str


class Panel(NamedTuple):
    """What a figure shows of one quantity: runs by arm, documents' numbers, differences."""

    quantity: str
    rows: Sequence[Row]
    numbers: Mapping[str, float]
    differences: Sequence[Difference]


OUTCOMES = {"holds": "holds", "refuted": "is refuted", "undecided": "is undecided"}


def comparison(id_: str, results: Path = RESULTS) -> Figure | None:
    """Return the runs that a claim's rule looks at, and what it compares; None if there are none.

    Raises:
        RunError, UnavailableError: if a run is not valid.
    """
    rule = declared_rules()[id_]
    if not any(_runs(arm, results) for arm in rules.seeds_by_arm(rule)):
        return None
    values = Evidence(results).values(rules.needed(rule))
    decision = rules.decide(rule, values)
    panels = [
        Panel(
            quantity,
            _rows(parts, results),
            {_called(id_, part): part.value for part in parts if isinstance(part, AboutNumber)},
            list(_differences(parts, values)),
        )
        for quantity, parts in _by_quantity(rule).items()
    ]
    return _side_by_side(
        f"runs-{id_.replace('/', '-')}",
        f"The runs that decide {id_}",
        panels,
        (id_,),
        f"By its rule the claim {OUTCOMES[decision.outcome]}: {decision.reason}.",
    )


def heads(results: Path = RESULTS) -> tuple[Figure, ...]:
    """Return test error, time to a loss and gap of the arms that differ in their heads.

    There is a figure where two arms or more have runs.

    Raises:
        RunError, UnavailableError: if a run is not valid.
    """
    found: list[Figure] = []
    for name, (title, group) in HEADS.items():
        arms = [arm for arm in group if _runs(arm, results)]
        if len(arms) < 2:
            continue
        claims = tuple(
            id_
            for id_, rule in declared_rules().items()
            if rules.seeds_by_arm(rule).keys() <= {*arms}
        )
        for quantity, log in (("test error", False), ("epochs to training loss 0.5", True)):
            rows = [_row(arm, quantity, needed().get(arm, 0), results, log=log) for arm in arms]
            slug = f"{quantity.replace(' ', '-')}-{name}"
            titled = f"{quantity.capitalize()}: {title}"
            found.append(_side_by_side(slug, titled, [Panel(quantity, rows, {}, ())], claims))
        titled = f"Test less training error, mean and range of the runs: {title}"
        found.append(_gaps(f"gap-{name}", titled, arms, claims, results))
    return tuple(found)


def _side_by_side(
    name: str, title: str, panels: Sequence[Panel], claims: tuple[str, ...], ending: str = ""
) -> Figure:
    def draw() -> matplotlib.figure.Figure:
        drawers: list[tuple[Drawer, Panel, float]] = []
        for panel in panels:
            drawers.append((_draw_runs, panel, _height(map(_headed, panel.rows))))
            if panel.differences:
                labels = (difference.label for difference in panel.differences)
                drawers.append((_draw_differences, panel, _height(labels)))
        heights = [height for *_, height in drawers]
        figure = matplotlib.figure.Figure(figsize=(WIDTH, sum(heights) + 0.6 * len(heights) + 0.5))
        axes = figure.subplots(len(heights), height_ratios=heights, squeeze=False)[:, 0]
        legend: dict[str, Line2D] = {}
        for ax, (drawer, panel, height) in zip(axes, drawers, strict=True):
            ax.set(ylim=(-height, 0), yticks=())
            ax.spines["left"].set_visible(False)
            ax.locator_params(axis="x", nbins=7)
            legend |= {str(line.get_label()): line for line in drawer(ax, panel)}
        figure.legend(
            handles=list(legend.values()),
            loc="outside upper left",
            fontsize=9,
            ncols=2,
            columnspacing=1,
            handlelength=1.5,
        )
        return figure

    told = (
        f"{panel.quantity.capitalize()}: {'; '.join([*map(_told, panel.rows), *panel.numbers])}."
        for panel in panels
    )
    alt = " ".join([*told, ending]).strip()
    return Figure(name, title, claims, draw, lambda: alt)


Drawer = Callable[[Axes, Panel], Iterator[Line2D]]
NEVER = ">"  # the marker, at the right end
MEANS = {"of the mean": "mean, 95 % interval", "for one more run": "mean, prediction interval"}
LINE, SPACE = 0.17, 0.4  # inches, of a line of text and below it


def _draw_runs(ax: Axes, panel: Panel) -> Iterator[Line2D]:
    """Draw a mark a run, means with intervals and documents' numbers; yield what is drawn."""
    for row, y in zip(panel.rows, _labelled(ax, map(_headed, panel.rows)), strict=True):
        for label, marker, places in _kinds(row):
            yield from ax.plot(
                places,
                [y + 0.06 + 0.05 * (rank % 3) for rank in range(len(places))],  # to show equal ones
                marker,
                color=COLOURS[0],
                fillstyle="none",
                transform=ax.get_yaxis_transform() if marker == NEVER else ax.transData,
                label=label,
            )
        if not math.isnan(row.low):
            yield _interval(ax, row, y - 0.06, MEANS[row.interval])
        elif not math.isnan(row.mean):
            yield from ax.plot(row.mean, y - 0.06, "D", color=INK, markersize=5, label="mean")
        for label, value in panel.numbers.items():
            yield _tick(ax, value, y, label)
    ax.set_xlabel(f"{panel.quantity}{_unit(panel.quantity)}")


def _kinds(row: Row) -> Iterator[tuple[str, str, list[float]]]:
    """Yield what kinds of runs a row has: in words, their marker, and their places in order."""
    kinds: dict[tuple[str, str], list[float]] = {}
    for seed, value in row.values.items():
        if value is None:
            kinds.setdefault(("a run that never gets there", NEVER), []).append(0.98)
        elif seed in row.collapsed:
            kinds.setdefault(("a run that collapsed", "x"), []).append(value)
        else:
            kinds.setdefault(("a run", "o"), []).append(value)
    yield from ((*kind, sorted(places)) for kind, places in kinds.items())


def _draw_differences(ax: Axes, panel: Panel) -> Iterator[Line2D]:
    """Draw differences between arms, with intervals and bounds; yield what is drawn."""
    labels = (one.label for one in panel.differences)
    for one, y in zip(panel.differences, _labelled(ax, labels), strict=True):
        yield _interval(ax, one, y, f"{one.kind}, {one.coverage:.4g} % interval")
        for bound in one.bounds:
            yield _tick(ax, bound, y, f"bound: holds {one.holds}")
        points = " (points)" if one.kind == "difference" and _unit(panel.quantity) else ""
        ax.set_xlabel(f"{one.kind} of {panel.quantity}{points}")


def _tick(ax: Axes, x: float, y: float, label: str) -> Line2D:
    ends = [y - SPACE / 2, y + SPACE / 2]
    (tick,) = ax.plot([x, x], ends, color=COLOURS[1], linestyle="--", label=label)
    return tick


def _interval(ax: Axes, one: Row | Difference, y: float, label: str) -> Line2D:
    ax.plot([one.low, one.high], [y, y], "|-", color=INK)
    (mean,) = ax.plot(one.mean, y, "D", color=INK, markersize=5, label=label)
    return mean


def _labelled(ax: Axes, labels: Iterable[str]) -> Iterator[float]:
    """Write labels one below the other, and yield the place below each, in inches."""
    y = 0.0
    for label in labels:
        text = _wrapped(label)
        ax.text(0, y - 0.03, text, va="top", fontsize=9, transform=ax.get_yaxis_transform())
        y -= _height([label])
        yield y + SPACE / 2


def _height(labels: Iterable[str]) -> float:
    """Return the inches that labels take, with the space for what they label."""
    return sum(LINE * (1 + _wrapped(label).count("\n")) + SPACE for label in labels)


def _wrapped(label: str) -> str:
    return "\n".join(textwrap.wrap(label, 60, break_on_hyphens=False))


def _unit(quantity: str) -> str:
    """Return the unit of a quantity; times name theirs, and others have none."""
    if "rise" in quantity or "gap" in quantity:
        return " (points)"
    return " (%)" if quantity.endswith(("error", "accuracy")) else ""


def _headed(row: Row) -> str:
    mean = "" if math.isnan(row.mean) else f": mean {row.mean:.4g}"
    never = sum(value is None for value in row.values.values())
    lacking = f", {never} of them never get there" if never else ""
    return f"{row.arm}{mean}, {len(row.values)} of {row.seeds} runs{lacking}"


def _told(row: Row) -> str:
    """Return a row of a figure in words."""
    shown = ", ".join(
        ("never" if value is None else f"{value:.4g}") + " (collapsed)" * (seed in row.collapsed)
        for seed, value in row.values.items()
    )
    between = f"95 % interval {row.interval} {row.low:.4g} to {row.high:.4g}"
    parts = [_headed(row), shown and f"each {shown}", "" if math.isnan(row.low) else between]
    return ", ".join(filter(None, [*parts, _without_collapsed(row)]))


def _without_collapsed(row: Row) -> str:
    """Return the mean of the runs that did not collapse in words; empty if all did or none."""
    learned = [
        value
        for seed, value in row.values.items()
        if value is not None and seed not in row.collapsed
    ]
    if not row.collapsed or not learned:
        return ""
    return f"mean without collapsed runs {_mean(learned, row.log):.4g} of {len(learned)}"


def _gaps(
    name: str, title: str, arms: Sequence[str], claims: tuple[str, ...], results: Path
) -> Figure:
    """Return by how much the test error exceeds the training error, by epoch."""
    gaps = {
        arm: np.array(
            [
                [row["test error"] - row["training error"] for row in run.curve]
                for run in _runs(arm, results).values()
            ]
        )
        for arm in arms
    }

    def draw() -> matplotlib.figure.Figure:
        figure = matplotlib.figure.Figure(figsize=(WIDTH, 3.8))
        ax = figure.subplots()
        entries = [
            _band(ax, lines, place, f"{arm} ({counted(len(lines), 'run')})")
            for place, (arm, lines) in enumerate(gaps.items())
        ]
        recipe = ARMS[arms[0]].recipe
        _epochs(ax, recipe.phases, recipe.learning_rate)
        ax.set_ylabel("test less training error (points)")
        figure.legend(handles=entries, loc="outside upper left", fontsize=9)
        return figure

    told = (
        f"{arm} ends at {lines[:, -1].mean():.2f} ({lines[:, -1].min():.2f} to "
        f"{lines[:, -1].max():.2f}, {counted(len(lines), 'run')})"
        for arm, lines in gaps.items()
    )
    alt = f"Test error less training error by epoch, in points: {'; '.join(told)}."
    return Figure(name, title, claims, draw, lambda: alt)


# Numbers ------------------------------------------------------------------------------------------


def mean_interval(values: Sequence[float], *, log: bool = False) -> tuple[float, float, float]:
    """Return the mean of some numbers and its 95 % interval by Student's t.

    With `log` these are of logarithms, and so the geometric mean.

    Raises:
        ValueError: if there are not two numbers at least.
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs two numbers at least, not {len(values)}")
    from scipy import special  # scipy.stats would take three times as long to import

    x = np.log(values) if log else np.asarray(values)
    half = special.stdtrit(len(x) - 1, 0.975) * x.std(ddof=1) / math.sqrt(len(x))
    found = (float(number) for number in (x.mean(), x.mean() - half, x.mean() + half))
    mean, low, high = map(math.exp, found) if log else found
    return mean, low, high


def _mean(values: Sequence[float], log: bool) -> float:
    return float(np.exp(np.log(values).mean()) if log else np.mean(values))


def _rows(parts: Iterable[Single], results: Path) -> list[Row]:
    """Return a row for each arm of rules about one quantity."""
    found: dict[str, Row] = {}
    for part in parts:
        for arm in rules.arms_of(part):
            log = not isinstance(part, Reaches) and rules.contrast_of(part).log
            row = _row(arm, part.quantity, part.seeds, results, log=log)
            if isinstance(part, Reaches) and not math.isnan(row.low):
                numbers = rules.decide(part, {part.quantity: {arm: row.values}}).numbers
                low, high = float(numbers["low"]), float(numbers["high"])
                row = row._replace(low=low, high=high, interval="for one more run")
            found.setdefault(arm, row)
    return list(found.values())


def _row(arm: str, quantity: str, seeds: int, results: Path, *, log: bool) -> Row:
    by_seed = Evidence(results).values({quantity: (arm,)})[quantity][arm]
    values = {
        seed: value
        for seed, value in sorted(by_seed.items())
        if seed < seeds and value != rules.NOT_EXAMINED
    }
    reached = [value for value in values.values() if value is not None]
    mean = low = high = math.nan
    if reached and len(reached) == len(values):
        mean = _mean(reached, log)
        if len(values) == seeds:
            mean, low, high = mean_interval(reached, log=log)
    found = _runs(arm, results)
    collapsed = frozenset(seed for seed in values if found[seed].record["collapsed"])
    return Row(arm, values, seeds, collapsed, log, mean, low, high, "of the mean")


def _differences(parts: Iterable[Single], values: Values) -> Iterator[Difference]:
    """Yield what rules compare, as far as runs give an interval for it."""
    for part in parts:
        if isinstance(part, AboutNumber):
            continue
        contrast = rules.contrast_of(part)
        numbers = rules.decide(part, values).numbers
        if "estimate" not in numbers:
            continue
        minus, plus = (" / ", " / ") if contrast.log else (" \N{MINUS SIGN} ", " + ")
        bound = math.exp(contrast.bound) if contrast.log else contrast.bound
        side = {"above": "beyond", "below": "within"}[contrast.holds]
        yield Difference(
            label=minus.join([plus.join(contrast.plus), *contrast.minus]),
            kind="ratio" if contrast.log else "difference",
            mean=float(numbers["estimate"]),
            low=float(numbers["low"]),
            high=float(numbers["high"]),
            coverage=100 * float(numbers["coverage"]),
            bounds=(-bound, bound) if contrast.absolute else (bound,),
            holds=f"{side} \N{PLUS-MINUS SIGN}{bound:.4g}"
            if contrast.absolute
            else f"{contrast.holds} {bound:.4g}",
        )


# What is in the tree ------------------------------------------------------------------------------


def _runs(arm: str, results: Path) -> dict[int, Run]:
    """Return the runs of an arm that are not stale, in the order of their seeds."""
    return {seed: run for seed, (run, _) in sorted(runs.fresh(results, arm).items())}


def needed() -> dict[str, int]:
    """Return how many runs of each arm the rules need."""
    found: dict[str, int] = {}
    for rule in declared_rules().values():
        for arm, seeds in rules.seeds_by_arm(rule).items():
            found[arm] = max(found.get(arm, 0), seeds)
    return found


def _by_quantity(rule: Rule) -> dict[str, list[Single]]:
    found: dict[str, list[Single]] = {}
    for part in rules.parts(rule):
        found.setdefault(part.quantity, []).append(part)
    return found


def _called(id_: str, part: AboutNumber) -> str:
    """Return what to call the number that a rule is about."""
    if part.quantity in REPORTED:
        return f"{_source(id_)}: {part.value:g} %"
    return f"bound: holds above {part.value:g}"


def _source(id_: str) -> str:
    """Return where the number of a claim is from."""
    documents = {cite.partition(":")[0] for cite in SUITE.claims()[id_].cites}
    return "paper" if "nin-paper" in documents else f"document {min(documents)}"
