"""Verify the committed evidence of the training claims, on a CPU: `make recheck`.

What is found without the data: whatever disagrees with itself, with the declarations or with
another run. That is any changed byte of a file; a file or folder in another's place; a field of the
record that names another recipe, trace, rule, data set, arm or seed, even with all digests made to
fit; a copied run, likewise; an error that is no whole number of images, or at the end not that of
the predictions; weights of another network; rules, traces and verdicts that do not follow. Of 200
random tampers in the tests more than two thirds are found so.

What is not found without the data: losses, errors by whole images, predictions with their error,
and weights, edited with digests made to fit; and runs of one arm that exchanged their seeds. With
the data, the losses of the first steps are computed again from the seed, which finds exchanged runs
and invented ones; the stored weights must predict what is stored, but for 0.5 % of the images; and
runs that took a CPU less than five seconds are trained again and must be equal to the bit, which
finds everything. It takes a machine like that of the run: elsewhere rounding leads a training to
other weights. So, for a run that is not trained again, edited losses and errors of epochs before
the last are not found, nor are edited predictions, if it has no weights or they are few. Where
`--replay-seconds` are too few for all runs, some are left out, each time others.

Examinations are checked likewise: without the data that each is of the run that is there, and that
its accuracy is about that of the run's predictions; with the data as many as `--examine-seconds`
allow are computed again from the weights, each time others. Other numbers of those left out are not
found if they were edited with the digest made to fit. Their pictures must be of the images that are
to be shown, and the means of their class maps must say the class that the run predicts; with the
data, pixels must be equal and maps are computed again.

What no layer can find: another commit, command, version, device, number of stops or time, as long
as it is possible and the digests fit: nothing else depends on them. A false version or device only
spares a run the comparison to the bit. Verdicts about seconds rest on the recorded times.

A run with another recipe or trace is stale and does not count; one that names another rule gets a
note. Neither is a problem by itself.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import itertools
import json
import math
import os
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from claims.training import examine, findings, pictures, rules, runs
from claims.training.arms import ARMS
from claims.training.examinations import ACCURACY, NUMBERS
from claims.training.examine import Tested
from claims.training.reproduce import TRAINING_IMAGES, say
from claims.training.rules import Rule
from claims.training.runs import Array, Run, RunError
from nin_ref import data

if TYPE_CHECKING:
    from nin_ref.training import Images, Recipe

# Of predictions by the stored weights, which are rounded, on any device; of few images, some may be
# so near a tie that rounding decides: in the tiny arm 2 of 256.
AGREEMENT = 0.995
NEAR_TIES = 3

BRIEF = 5.0  # seconds: runs of a CPU that took less are trained again as a whole

# On another device the losses of the first steps differ by rounding, which grows from step to step:
# in ten steps to 0.01 % of the loss for the handwritten network, to 10 % for a residual one. So
# what is allowed is measured on each run: so many times what another precision changes up to that
# step. Other instruction sets and two threads for one gave up to 2.6 times as much, other seeds 300
# to 1100 times in the first step. A share of the loss is added for where the other precision
# happens to change next to nothing; two threads once changed a first loss by 6e-5 of it.
TIMES_ROUNDING = 8
ROUNDING: Mapping[str, tuple[Literal["bf16", "float32", "float64"], float]] = {
    "bf16": ("float32", 5e-4),
    "tf32": ("bf16", 5e-4),
    "float32": ("float64", 1e-5),
    "float64": ("float32", 1e-9),
}

# Of the largest magnitude of all class scores: by so much another class may be ahead of that which
# a run predicts, with its weights rounded to float16.
AHEAD = 0.02
# Of the largest magnitude of all class maps: float16 rounds by half of it, and other devices and
# numbers of threads by a hundredth.
OF_MAPS = 0.001

Traces = Mapping[str, Sequence[float]]


@dataclass
class Report:
    """What a recheck found, and said already: problems, notes, and to how much it applied layers.

    `checked` counts runs by layer, `unchecked` runs or claims by the reason why not.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    unchecked: dict[str, int] = field(default_factory=dict)

    def apply(self, layer: str, problems: Iterable[str]) -> bool:
        """Apply a layer once, and say its problems; returns whether there is none."""
        self.checked[layer] = self.checked.get(layer, 0) + 1
        found = [legible(sentence) for sentence in problems]
        for sentence in found:
            say(f"problem: {sentence}")
        self.problems += found
        return not found

    def note(self, sentence: str) -> None:
        """Say what one should know and what is no problem by itself."""
        self.notes.append(legible(sentence))
        say(f"note: {self.notes[-1]}")

    def skip(self, reason: str) -> None:
        """Count one more that a layer was not applied to."""
        self.unchecked[reason] = self.unchecked.get(reason, 0) + 1


def legible(sentence: str) -> str:
    """Return a sentence on one line, without what could steer a terminal, cut where it is long."""
    line = " ".join(sentence.split())
    shown = "".join(sign if sign.isprintable() else "?" for sign in line)
    return shown if len(shown) <= 500 else f"{shown[:497]}..."


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify all runs, rules and verdicts; returns 1 if there is a problem."""
    parser = argparse.ArgumentParser(
        prog="python -m claims.training recheck",
        description="Verify the committed evidence of the training claims on a CPU.",
    )
    parser.add_argument(
        "--replay-seconds",
        type=float,
        default=1800.0,
        metavar="S",
        help="compute first steps and predictions of runs again, in random order, for about so "
        "long (default: 1800)",
    )
    parser.add_argument(
        "--examine-seconds",
        type=float,
        default=1800.0,
        metavar="S",
        help="examine runs again, in random order, for about so long (default: 1800)",
    )
    parser.add_argument("--results", type=Path, default=runs.RESULTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    report = Report()
    sound = without_data(options.results, report)
    with_data(sound, options.replay_seconds, options.examine_seconds, report)
    summarise(report)
    return 1 if report.problems else 0


def summarise(report: Report) -> None:
    """Say how much was checked, what was not and why, and how many problems there are."""
    say("checked:")
    for layer, count in report.checked.items():
        say(f"  {count:5} {layer}")
    if report.unchecked:
        say("not checked:")
    for reason, count in report.unchecked.items():
        say(f"  {count:5} {reason}")
    say(f"{len(report.problems)} problems, {len(report.notes)} notes")


# Without the data ---------------------------------------------------------------------------------


def without_data(results: Path, report: Report) -> list[Run]:
    """Apply the layers that need no data; returns the runs that are sound and not stale.

    A run with a problem counts for no verdict here.
    """
    from claims.trained import declared_rules

    folders, foreign = entries(results / "runs")
    for sentence in foreign:
        report.apply("foreign files", [sentence])
    read: list[Run] = []
    for folder in folders:
        report.apply("runs by files, digests and predictions", reading(folder, results, read))
    arms = dict.fromkeys(map(arm_of, read))
    say(f"{len(folders)} runs; computing the traces of their {len(arms)} arms")
    traces = {name: ARMS[name].trace() for name in arms}
    sound = []
    for run in read:
        if reason := runs.stale(run, traces):
            report.note(f"{where(run)} is stale and does not count: {reason}")
            report.skip("further: stale runs")
            continue
        record = report.apply("records and curves", record_problems(run))
        if report.apply("weights, present or rightly absent", weights_problems(run)) and record:
            sound.append(run)
    report.apply("comparisons of all runs with each other", copies(sound))
    examinations(read, sound, results, report)
    declared = declared_rules()
    report.apply("rules.json", rules_problems(declared, results))
    report.apply("traces.json", traces_problems(traces, results))
    for sentence in changed_rules(declared, sound):
        report.note(sentence)
    verdicts(declared, sound, results, report)
    return sound


def entries(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the folders of runs, in order, and a sentence for each entry that is none."""
    found: list[Path] = []
    foreign: list[str] = []
    for arm in sorted(folder.iterdir()) if folder.is_dir() else []:
        if arm.name not in ARMS:
            foreign.append(f"runs/{arm.name} is no arm")
        elif arm.is_symlink() or not arm.is_dir():
            foreign.append(f"runs/{arm.name} is no folder")
        else:
            for seed in sorted(arm.iterdir(), key=lambda path: (len(path.name), path.name)):
                if not re.fullmatch("0|[1-9][0-9]{0,8}", seed.name):
                    foreign.append(f"runs/{arm.name}/{seed.name} is no seed")
                elif seed.is_symlink() or not seed.is_dir():
                    foreign.append(f"runs/{arm.name}/{seed.name} is no folder")
                else:
                    found.append(seed)
    return found, foreign


def reading(folder: Path, results: Path, read: list[Run]) -> Iterator[str]:
    """Read a run with all the checks that reading it makes, and add it to those read."""
    try:
        labels = runs.test_labels(ARMS[folder.parent.name].recipe.data, results)
        read.append(runs.read(folder, labels))
    except RunError as error:
        yield str(error)
    except Exception as error:  # what damaged archives raise is not documented
        yield f"run {folder.parent.name}/{folder.name} is damaged ({type(error).__name__}: {error})"


def arm_of(run: Run) -> str:
    """Return the name of a run's arm."""
    return run.folder.parent.name


def where(run: Run) -> str:
    """Return a run's name in a sentence."""
    return f"run {arm_of(run)}/{run.folder.name}"


def record_problems(run: Run) -> Iterator[str]:
    """Check what a record and a curve say against each other and against what is known."""
    record, recipe = run.record, ARMS[arm_of(run)].recipe
    written = (run.folder / "run.json").read_bytes()
    if written != (json.dumps(record, indent=1) + "\n").encode():
        yield f"{where(run)}: run.json is not laid out as runs are written"
    for text in texts(record):
        if not text.isprintable() or set(text) & set("<>"):
            yield f"{where(run)}: run.json has the text {text!r}, with signs that none has"
    device, versions, digest = record["device"], record["versions"], record["data"]["sha256"]
    known = data.DIGESTS.get(recipe.data, digest)
    if record["data"]["name"] != recipe.data or digest != known:
        yield f"{where(run)}: its data are not {recipe.data} as published"
    if bool(versions["cuda"]) != (device["kind"] == "cuda"):
        yield f"{where(run)}: its device and its version of CUDA do not fit"
    elapsed = datetime.fromisoformat(record["finished"]) - datetime.fromisoformat(record["started"])
    if sum(record["seconds"]) > elapsed.total_seconds() + 2:  # both are rounded to seconds
        yield f"{where(run)}: its epochs took longer than the run"

    steps = TRAINING_IMAGES.get(recipe.data, 50_000) // recipe.batch_size
    if len(run.first_losses) != min(steps, 10):
        yield f"{where(run)}: it has the losses of {len(run.first_losses)} first steps"
    tested = len(run.predictions["test"])
    images = {
        "error in training": steps * recipe.batch_size,
        "training error": tested,
        "test error": tested,
    }
    for (epoch, row), (name, count) in itertools.product(enumerate(run.curve, 1), images.items()):
        wrong = row[name] * count / 100
        if abs(wrong - round(wrong)) > 1e-6:
            yield f"{where(run)}: the {name} of epoch {epoch} is no whole number of {count} images"


def texts(value: object) -> Iterator[str]:
    """Yield all texts of a JSON value, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from itertools.chain(value, *map(texts, value.values()))
    elif isinstance(value, list):
        yield from itertools.chain(*map(texts, value))


def weights_problems(run: Run) -> Iterator[str]:
    """Check that weights are there where they belong, and those of the arm's network."""
    kept, wanted = runs.has_weights(run), run.record["seed"] < ARMS[arm_of(run)].weights_of
    if kept and not wanted:
        yield f"{where(run)} has weights, which its arm does not keep of this seed"
    if wanted and not kept:
        yield f"{where(run)} has no weights, which its arm keeps of this seed"
    if kept:
        try:
            runs.weights(run)
        except RunError as error:
            yield f"{where(run)}: {error}"


def copies(found: Sequence[Run]) -> Iterator[str]:
    """Find runs that have equal results, as no two trainings have.

    Collapsed runs may: they all predict one class. Arms that differ in their schedule share the
    first steps of a seed.
    """
    seen: dict[tuple[str, object], Run] = {}
    for run in found:
        if run.record["collapsed"]:
            continue
        predictions = tuple((name, run.predictions[name].tobytes()) for name in run.predictions)
        for kind, content in {
            "predictions": predictions,
            "curve": json.dumps(run.curve),
            "first losses": json.dumps(run.first_losses),
        }.items():
            other = seen.setdefault((kind, content), run)
            same_seed = other.record["seed"] == run.record["seed"]
            if other is not run and not (kind == "first losses" and same_seed):
                yield f"{where(run)} has the {kind} of {where(other)}, so one is a copy"


# Examinations -------------------------------------------------------------------------------------


def examinations(read: Sequence[Run], sound: Sequence[Run], results: Path, report: Report) -> None:
    """Check all examinations without the data; those of stale runs do not count."""
    by_path = {findings.path_of(run): run for run in read}
    by_path |= {findings.pictures_of(run): run for path, run in by_path.items() if path.exists()}
    for path in sorted((results / "examined").glob("**/*")):
        if path.is_dir() and path.parent.name == "examined" and path.name in ARMS:
            continue
        if (run := by_path.get(path)) is None:
            name = path.relative_to(results)
            report.apply("foreign files", [f"{name} is no examination of a sound run"])
        elif run in sound and path == findings.pictures_of(run):
            report.apply("pictures of class maps", picture_problems(run))
        elif run in sound:
            report.apply("examinations by digests and accuracy", examination_problems(run))
        elif path == findings.path_of(run):
            report.skip("further: examinations of runs that do not count")


def examination_problems(run: Run) -> Iterator[str]:
    """Check an examination against itself and its run."""
    path = findings.path_of(run)
    try:
        record = findings.read(run)
    except RunError as error:
        yield str(error)
        return
    assert record is not None
    if path.read_bytes() != (json.dumps(record, indent=1) + "\n").encode():
        yield f"the examination of {where(run)} is not laid out as they are written"
    for text in texts(record):
        if not text.isprintable() or set(text) & set("<>"):
            yield f"the examination of {where(run)} has the text {text!r}, with signs that none has"
    if not runs.has_weights(run):
        yield f"{where(run)} has an examination and no weights"
    labels = runs.test_labels(ARMS[arm_of(run)].recipe.data, run.folder.parents[2])
    accuracy = 100 - runs.test_error(run.predictions["test"], labels)
    allowed = 100 * max(NEAR_TIES / len(labels), 1 - AGREEMENT)
    if abs(record["numbers"][ACCURACY] - accuracy) > allowed:
        yield (
            f"the examination of {where(run)} has an accuracy of {record['numbers'][ACCURACY]:.2f} "
            f"%, the predictions of the run {accuracy:.2f} %"
        )


def picture_problems(run: Run) -> Iterator[str]:
    """Check what is shown of a run against the true labels and its predictions."""
    try:
        shown = findings.shown(run)
    except RunError as error:
        yield str(error)
        return
    assert shown is not None
    labels = runs.test_labels(ARMS[arm_of(run)].recipe.data, run.folder.parents[2])
    images, mosaics = pictures.chosen(labels)
    for name, its, true in (
        ("labels", shown.labels, labels[images]),
        ("mosaic_labels", shown.mosaic_labels, labels[mosaics]),
    ):
        if not np.array_equal(its, true):
            yield f"pictures of {where(run)}: {name} are not those of the images to be shown"
    scores = shown.maps.mean((2, 3), dtype=np.float64)
    predicted = run.predictions["test"][images]
    ahead = scores.max(1) - scores[np.arange(len(images)), predicted]
    for number in np.flatnonzero(ahead > AHEAD * np.abs(scores).max()):
        yield (
            f"pictures of {where(run)}: the means of the class maps of test image {images[number]} "
            f"say class {scores[number].argmax()}, the predictions of the run {predicted[number]}"
        )


def pictures_again(run: Run, tested: Tested) -> Iterator[str]:
    """Make the pictures of a run again, and compare: all but maps must be equal."""
    try:
        shown = findings.shown(run)
    except RunError:
        return  # a problem already
    for name, again in vars(examine.pictured(run, tested)).items():
        its = getattr(shown, name).astype(np.float64)
        difference = np.abs(its - again).max()
        allowed = OF_MAPS * np.abs(its).max() if again.dtype == np.float16 else 0
        if difference > allowed:
            yield (
                f"pictures of {where(run)}: {name} differ from those by its weights and the data "
                f"by {difference:.3g}, which may be {allowed:.2g}"
            )


def examined_again(run: Run, tested: Tested, left: float, report: Report) -> None:
    """Make pictures again, and the numbers if that took less than the seconds that are left."""
    try:
        record = findings.read(run)
    except RunError:
        return  # a problem already, as is one without weights
    if record is None or not runs.has_weights(run):
        return
    if record["pictures"]:
        report.apply("pictures of class maps, made again", pictures_again(run, tested))
    if record["seconds"] >= left:
        report.skip("examinations: computing all takes longer than --examine-seconds")
        return
    say(f"examining {where(run)}")
    report.apply("examinations, computed again", number_problems(run, record, tested))


def number_problems(run: Run, record: Mapping[str, Any], tested: Tested) -> Iterator[str]:
    """Examine a run again, and compare the numbers; each has its own tolerance for rounding."""
    numbers = record["numbers"]
    try:
        again = examine.computed(run, list(numbers), tested)
    except ValueError as error:
        yield f"{where(run)} cannot be examined as it is said to have been: {error}"
        return
    for name, number in again.items():
        if name not in numbers or abs(numbers[name] - number) > NUMBERS[name].tolerance:
            yield (
                f"{where(run)}: its {name} is said to be {numbers.get(name)}, and from its weights "
                f"it is {number:.6g}, give or take {NUMBERS[name].tolerance:g}"
            )


# Declarations and verdicts ------------------------------------------------------------------------


def rules_problems(declared: Mapping[str, Rule], results: Path) -> Iterator[str]:
    """Check that rules.json lists the declared rules; its simulated error rates are not redone."""
    try:
        listed = runs.rules(results)
        shown = {id_: (one["rule"], one["digest"], one["arms"]) for id_, one in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"rules.json is damaged ({type(error).__name__}: {error})"
        return
    for id_ in {**declared, **shown}:
        if id_ not in declared:
            yield f"rules.json has a rule of {id_}, which no claim declares"
        elif shown.get(id_) != (
            rules.described(declared[id_]),
            rules.digest(declared[id_]),
            rules.seeds_by_arm(declared[id_]),
        ):
            yield f"rules.json does not have the declared rule of {id_}"


def traces_problems(traces: Traces, results: Path) -> Iterator[str]:
    """Check traces.json, by which claims tell stale runs, for the arms that have runs."""
    try:
        listed = runs.traces(results)
        for name in traces:
            if not runs.same_trace(name, listed[name], traces[name]):
                yield f"traces.json does not have the trace of {name}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield f"traces.json is damaged ({type(error).__name__}: {error})"


def changed_rules(declared: Mapping[str, Rule], found: Sequence[Run]) -> Iterator[str]:
    """Say which rules are not those that the runs were made for."""
    changed: dict[str, list[str]] = {}
    for run in found:
        now = {
            id_: rules.digest(rule)
            for id_, rule in declared.items()
            if arm_of(run) in rules.seeds_by_arm(rule)
        }
        then = run.record["rules"]
        for id_ in {**now, **then}:
            if now.get(id_) != then.get(id_):
                changed.setdefault(id_, []).append(f"{arm_of(run)}/{run.folder.name}")
    for id_, names in changed.items():
        yield f"{id_}: rule changed after the runs {', '.join(names)}"


def verdicts(
    declared: Mapping[str, Rule], found: Sequence[Run], results: Path, report: Report
) -> None:
    """Decide each training claim again, and compare with verdicts.json."""
    from claims.core.results import ResultsError, read

    try:
        recorded = read(results / "verdicts.json")
    except ResultsError as error:
        report.apply("verdicts.json", [str(error)])
        return
    labels = {
        name: runs.test_labels(ARMS[name].recipe.data, results) for name in map(arm_of, found)
    }
    for id_, rule in declared.items():
        report.apply("verdicts", verdict_problems(id_, rule, found, labels, recorded.get(id_)))


def verdict_problems(
    id_: str,
    rule: Rule,
    found: Sequence[Run],
    labels: Mapping[str, Array],
    recorded: Mapping[str, Any] | None,
) -> Iterator[str]:
    """Decide a claim by the runs, and compare outcome, reason and numbers with those recorded."""
    from claims.training import quantities

    if recorded is None:
        yield f"verdicts.json has no verdict of {id_}"
        return
    by_arm: dict[str, dict[int, tuple[Run, Array]]] = collections.defaultdict(dict)
    for run in found:
        by_arm[arm_of(run)][run.record["seed"]] = run, labels[arm_of(run)]
    try:
        decision = rules.decide(rule, quantities.values(rules.needed(rule), by_arm))
    except (ValueError, RunError) as error:
        yield f"{id_} cannot be decided: {error}"
        return
    if recorded["observed"] != decision.outcome:
        yield (
            f"{id_} is {decision.outcome} by the runs ({decision.reason}), and verdicts.json says "
            f"{recorded['observed']}"
        )
        return
    of_case: Mapping[str, Any] = next(iter(recorded["numbers"].values()), {})
    if decision.outcome == "holds":
        told = of_case.get("found")
    elif decision.outcome == "refuted":
        told = recorded["counterexample"]["message"]
    else:
        told = recorded["reason"].partition("; needs ")[0]
    # Behind the reason stands how often the rule errs.
    if told is None or not f"{told}; ".startswith(f"{decision.reason}; "):
        yield f"{id_}: verdicts.json says {told!r}, the runs give {decision.reason!r}"
    for name, number in decision.numbers.items() if decision.outcome == "holds" else ():
        if not close(of_case.get(name), number):
            yield f"{id_}: verdicts.json says {name} {of_case.get(name)}, the runs give {number}"


def close(recorded: object, number: float | str) -> bool:
    """Whether a recorded number, of six digits, is the given one; texts must be equal."""
    if isinstance(number, str) or not isinstance(recorded, int | float):
        return recorded == number
    return math.isclose(recorded, number, rel_tol=1e-5)


# With the data ------------------------------------------------------------------------------------


def with_data(
    found: Sequence[Run], replay_seconds: float, examine_seconds: float, report: Report
) -> None:
    """Apply the layers that need the data sets, to sound runs, for about so many seconds."""
    from nin_ref.training import Images

    replayed_for = examined_for = 0.0
    reached = 0

    def kind(run: Run) -> tuple[str, str]:
        recipe = ARMS[arm_of(run)].recipe
        return recipe.data, recipe.preprocessing

    for name, of_data in itertools.groupby(sorted(found, key=kind), lambda run: kind(run)[0]):
        try:
            dataset = data.load(name)
        except data.DataError as error:
            report.note(f"the layers that need data are left out for {error}")
            for _ in of_data:
                report.skip(f"with the data: {name} is not here")
                reached += 1
            continue
        for preprocessing, group in itertools.groupby(of_data, lambda run: kind(run)[1]):
            say(f"reading {name}, {preprocessing}")
            train, test = data.preprocess(dataset, preprocessing)
            tested = Tested(test, dataset.test_images, dataset.test_labels, dataset.digest)
            images = Images(
                train,
                dataset.train_labels,
                test,
                dataset.test_labels,
                dataset.classes,
                dataset.digest,
            )
            of_group = list(group)
            # Of the time left, the share of these among the runs that are left.
            left = (replay_seconds - replayed_for) * len(of_group) / (len(found) - reached)
            replayed_for += replay_some(of_group, images, left, reached, len(found), report)
            reached += len(of_group)
            for run in random.sample(of_group, len(of_group)):
                start = time.perf_counter()
                examined_again(run, tested, examine_seconds - examined_for, report)
                examined_for += time.perf_counter() - start


def replay_some(
    found: Sequence[Run], images: Images, left: float, before: int, total: int, report: Report
) -> float:
    """Replay runs in random order, for about so many seconds; returns how many it took.

    They come after so many others, `before`, of all `total` runs.
    """
    start = time.perf_counter()
    repeats: dict[str, dict[bool, list[Run]]] = {}
    for number, run in enumerate(random.sample(found, len(found)), before + 1):
        if not report.apply("data sets", data_problems(run, images)):
            continue
        if time.perf_counter() - start >= left:
            report.skip("first steps and weights: all take longer than --replay-seconds")
            continue
        say(f"replaying {where(run)}, {number} of {total}")
        of_arm = repeats.setdefault(arm_of(run), {True: [], False: []})
        of_arm[replay(run, images, report)].append(run)
    for name, of_arm in repeats.items():
        different = [run for run in of_arm[False] if made_here(run)]
        # Processors may share a name and compute otherwise (virtual machines say "AMD EPYC" of
        # many), so a difference says something only where other runs show none.
        for run in different if of_arm[True] else ():
            sentence = f"{where(run)} does not repeat to the bit, as {where(of_arm[True][0])} does"
            report.apply("first steps to the bit", [sentence])
        if different and not of_arm[True]:
            report.note(
                f"no run of {name} repeats to the bit, though this processor has the name of "
                "theirs, so they are judged by tolerance"
            )
    return time.perf_counter() - start


def replay(run: Run, images: Images, report: Report) -> bool:
    """Apply the layers that compute a run again; returns whether it repeats to the bit."""
    from nin_ref import training

    recipe, seed = ARMS[arm_of(run)].recipe, run.record["seed"]
    with training.threads(threads_of(run)):
        losses = first_losses(recipe, seed, images)
        repeats = np.array_equal(losses, run.first_losses, equal_nan=True)
        report.apply("first steps", () if repeats else loss_problems(run, losses, images))
        if not (repeats and made_here(run)):
            report.skip("whole: made on a machine that computes otherwise than this one")
        elif sum(run.record["seconds"]) < BRIEF:
            report.apply("whole runs, trained again", retraining_problems(run, images))
        else:
            report.skip(f"whole: training takes {BRIEF:g} s or longer")
    if runs.has_weights(run):
        report.apply("predictions by stored weights", prediction_problems(run, images))
    return repeats


def data_problems(run: Run, images: Images) -> Iterator[str]:
    """Check that a run was trained on these data, and judged by their labels."""
    if run.record["data"]["sha256"] != images.digest:
        yield f"{where(run)} was trained on data with another digest"
    labels = runs.test_labels(ARMS[arm_of(run)].recipe.data, run.folder.parents[2])
    if not np.array_equal(labels, images.test_labels):
        yield f"{where(run)}: the true labels beside it are not those of the data"


def made_here(run: Run) -> bool:
    """Whether a run says that it was made on a machine like this one."""
    import torch

    device, versions = run.record["device"], run.record["versions"]
    return (
        (device["kind"], device["name"]) == ("cpu", runs.processor())
        and device["threads"] == threads_of(run)
        and (versions["torch"], versions["numpy"]) == (torch.__version__, np.__version__)
    )


def threads_of(run: Run) -> int:
    """Return the number of threads of a run, as far as there are cores."""
    recorded: int = run.record["device"]["threads"]
    return min(recorded, os.cpu_count() or 1)


def first_losses(recipe: Recipe, seed: int, images: Images) -> Array:
    """Compute the losses of the first steps again, from the seed; float64 [at most ten]."""
    import torch

    from nin_ref import training

    with training.backends(recipe):
        begun = training.Training(recipe, seed, images, torch.device("cpu"))
        begun.set_rate(recipe.rate_factor(0))
        begun.network.train()
        count = min(begun.steps, training.FIRST_LOSSES)
        for _ in range(count):
            begun.step()
    losses: Array = begun.losses[:count].double().numpy()
    return losses


def loss_problems(run: Run, replayed: Array, images: Images) -> Iterator[str]:
    """Compare the recorded first losses with replayed ones that differ, allowing for rounding.

    First weights, batches and dropout masks are the same on all devices.
    """
    recipe = ARMS[arm_of(run)].recipe
    precision, share = ROUNDING[recipe.precision]
    other = dataclasses.replace(recipe, precision=precision)
    rounding = np.abs(replayed - first_losses(other, run.record["seed"], images))
    allowed = TIMES_ROUNDING * np.maximum.accumulate(rounding) + share * np.abs(replayed)
    for step, (loss, its, most) in enumerate(zip(run.first_losses, replayed, allowed, strict=True)):
        if not (abs(loss - its) <= most or (math.isnan(loss) and math.isnan(its))):
            yield (
                f"{where(run)}: the loss of step {step + 1} is {loss:.6g}, and from its seed it is "
                f"{its:.6g}, give or take {most:.1g}"
            )
            return  # all later ones follow from the weights then


def prediction_problems(run: Run, images: Images) -> Iterator[str]:
    """Predict by the stored weights, in the precision of the recipe, and compare."""
    import torch

    from nin_ref import training

    recipe = ARMS[arm_of(run)].recipe
    with training.backends(recipe):
        trained = training.Training(recipe, run.record["seed"], images, torch.device("cpu"))
        trained.network.load_state_dict(runs.weights(run))
        predictions = trained.predictions()
    for name, predicted in predictions.items():
        other = int(np.sum(predicted != run.predictions[name]))
        if other > max(NEAR_TIES, (1 - AGREEMENT) * len(predicted)):
            yield (
                f"{where(run)}: its weights predict another class for {other} of {len(predicted)} "
                f"images of {name!r}"
            )


def retraining_problems(run: Run, images: Images) -> Iterator[str]:
    """Train a run again, on a machine like that of the run, and compare to the bit."""
    import torch

    from nin_ref import training

    recipe, seed = ARMS[arm_of(run)].recipe, run.record["seed"]
    network, progress, predictions = training.train(recipe, seed, images, torch.device("cpu"))
    if json.dumps(progress.curve) != json.dumps(run.curve):  # as text, where NaN equals NaN
        yield f"{where(run)}: trained again, it has another curve"
    for name, predicted in predictions.items():
        if not np.array_equal(predicted, run.predictions[name]):
            yield f"{where(run)}: trained again, it has other predictions of {name!r}"
    if runs.has_weights(run):
        stored, state = runs.weights(run), network.state_dict()
        if not all(
            torch.equal(stored[name], state[name].to(one.dtype)) for name, one in stored.items()
        ):
            yield f"{where(run)}: trained again, it has other weights"
