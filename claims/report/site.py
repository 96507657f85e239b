"""The pages of the living report, made from the committed tree; no check runs.

`python -m claims.report` writes them to `build/site`. A page can be read without JavaScript, asks
no other host for anything, and shows what verdicts and evidence say, nothing else.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from claims.core import coverage, results, summary
from claims.core.claim import Claim
from claims.core.document import Citation, Document
from claims.core.verdict import Grade, InsufficientEvidenceError, Verdict
from claims.report import (
    badges,
    class_maps,
    difference,
    drawing,
    errata,
    exports,
    figures,
    release,
    training,
)
from claims.subjects import OPERATORS, Evidence
from claims.suite import SUITE
from claims.trained import RULES
from claims.training import rules
from claims.training.arms import ARMS

TEMPLATES = Path(__file__).with_name("templates")
COPIED = ("style.css", "table.js", "icon.svg")
SPOKEN = {verdict.value: summary.SPOKEN[verdict][1] for verdict in Verdict}
CASES = {
    "proofs": ("proofs", "proof"),
    "listed": ("cases listed", "case listed"),
    "covering": ("cases of a covering sample", "case of a covering sample"),
    "drawn": ("cases drawn", "case drawn"),
}
WORST = (Verdict.REFUTED, Verdict.HOLDS_IF, Verdict.UNDECIDED, Verdict.HOLDS)  # a line's colour
GRADES = {
    Grade.PROVED: "for all sizes, by a solver",
    Grade.EXHAUSTIVE: "on the whole of a finite domain",
    Grade.PROPERTY: "on a covering sample and on drawn cases",
    Grade.COUNTED: "counted on real models",
    Grade.MEASURED: "measured side by side, times as ratios",
    Grade.TRAINED: "by a rule on runs of several seeds",
    Grade.CITED: "looked up in a source",
}

Entry = Mapping[str, Any]
Files = dict[str, bytes]


class Check(NamedTuple):
    """One judgement of a claim: on what, and its source."""

    judged_on: str
    source: str


class Place(NamedTuple):
    """A citation as a link."""

    title: str
    where: str
    href: str


@dataclass(frozen=True)
class Row:
    """A line of a document, a locator of a paper, or neighbouring lines that nothing checks."""

    anchor: str
    where: str
    short: str
    entries: Sequence[Entry]
    reason: str
    text: str

    @property
    def worst(self) -> str:
        """The verdict that colours the row; empty where no claim cites it."""
        found = {entry["observed"] for entry in self.entries}
        return next((verdict.value for verdict in WORST if verdict in found), "")


@dataclass(frozen=True)
class OnGpu:
    """How claims about operators were judged on a GPU, once: their ids, and what differed there.

    `stale` are those whose check has changed since, of which this says nothing any more.
    """

    device: str
    versions: Mapping[str, str]
    same: Sequence[str]
    other: Mapping[str, str]
    stale: Sequence[str]


@dataclass(frozen=True)
class SubjectPage:
    """What a subject's page shows; `faults` are those planted in it, with the verdicts changed."""

    name: str
    slug: str
    entries: Sequence[Entry]
    faults: Mapping[str, int]
    on_gpu: OnGpu | None

    @property
    def counts(self) -> Counter[str]:
        """The number of claims by verdict."""
        return Counter(entry["observed"] for entry in self.entries)

    @property
    def caught(self) -> int:
        """The number of changed verdicts over all faults."""
        return sum(self.faults.values())


def site(directory: Path, documents: Path | None = None) -> Files:
    """Return the files of the site by their paths, for the results in a folder.

    With the folder of the `documents`, their pages show the text beside the verdicts.

    Raises:
        ResultsError: if the verdicts, or those of the last release, cannot be read.
        CoverageError: if a document is not in the folder or is another one.
        ValueError: if other results are damaged.
    """
    entries = results.read(directory / "verdicts.json")
    flips = json.loads((directory / "flips.json").read_bytes())
    declared = SUITE.claims()
    explaining = figures.FIGURES
    of_training = {id_: training.comparison(id_, directory) for id_ in RULES if id_ in entries}
    heads = training.heads(directory)
    arms = [training.page(arm, entries, directory) for arm in ARMS]
    maps = [figure for arm in ARMS for figure in class_maps.figures(arm, directory)]
    lacking = {arm: class_maps.lacking(arm, directory) for arm in ARMS}
    unshown = {
        id_: told for arm, told in lacking.items() for id_ in class_maps.claims_about(arm) if told
    }

    env = environment(entries)
    files: Files = {name: (TEMPLATES / name).read_bytes() for name in COPIED}

    def put(path: str, template: str, *, title: str, description: str, **content: Any) -> None:
        depth = path.count("/")
        page = env.get_template(template).render(
            root="../" * depth, title=f"{title} - nin-claims", description=description, **content
        )
        files[path] = page.encode()

    observed = Counter(entry["observed"] for entry in entries.values())
    of_grade = Counter(
        entry["grade"] for entry in entries.values() if entry["observed"] != Verdict.UNDECIDED
    )
    released, before = release.last(directory) or (None, {})
    changed = difference.differences(before, entries) if released else []
    put(
        "index.html",
        "index.html",
        title="Verdicts",
        description=f"{len(entries)} statements about convolutional networks, with a verdict each",
        section="index.html",
        entries=entries,
        by_id=entries,
        counts={verdict.value: observed[verdict] for verdict in Verdict},
        decided=of_grade.total(),
        grades=[(grade.value, told, of_grade[grade]) for grade, told in GRADES.items()],
        refuted=[one for one in entries.values() if one["observed"] == Verdict.REFUTED],
        undecided=[one for one in entries.values() if one["observed"] == Verdict.UNDECIDED],
        released=released,
        changed=[(one.id, difference.brief(one)) for one in changed],
    )
    topics = sorted({id_.partition("/")[0] for id_ in entries})
    put(
        "claims.html",
        "claims.html",
        title="All claims",
        description="All claims, to be searched and filtered by verdict, grade, topic and document",
        section="claims.html",
        entries=list(entries.values()),
        filters={
            "verdict": SPOKEN,
            "grade": {grade.value: grade.value for grade in Grade},
            "topic": {topic: topic for topic in topics},
            "document": {
                document.key: f"{document.key}: {document.title}" for document in SUITE.documents
            },
        },
    )
    for id_, entry in entries.items():
        shown = [figure for figure in (*explaining, *maps) if id_ in figure.claims]
        put(
            f"claims/{id_}.html",
            "claim.html",
            title=entry["says"],
            description=f"{SPOKEN[entry['observed']]}: {entry['says']}",
            section="claims.html",
            **claim_page(entry, entries, declared[id_], flips.get(id_, {})),
            figures=[*shown, *([found] if (found := of_training.get(id_)) else [])],
            lacking=unshown.get(id_, ""),
        )
    pages = [(one, document_rows(one, entries, documents)) for one in SUITE.documents]
    put(
        "documents.html",
        "documents.html",
        title="Documents",
        description="What became of the statements of each document",
        section="documents.html",
        documents=[(document, counts_of(rows)) for document, rows in pages],
    )
    for document, rows in pages:
        put(
            f"documents/{document.key}.html",
            "document.html",
            title=f"{document.key}: {document.title}",
            description=f"Every line of {document.key} with its verdicts, and its errata",
            section="documents.html",
            document=document,
            rows=rows,
            texts=documents if document.lines else None,
            errata=errata.kinds(SUITE, document, entries),
        )
    put(
        "arms.html",
        "arms.html",
        title="Training",
        description="The training recipes, their runs and what they wait for",
        section="arms.html",
        pages=arms,
        needed=training.needed(),
        figures=heads,
    )
    for page in arms:
        put(
            f"arms/{page.name}.html",
            "arm.html",
            title=page.name,
            description=f"{page.says}: runs, rules, recipe",
            section="arms.html",
            page=page,
            lacking=lacking[page.name],
        )
    subjects = subject_pages(entries, declared, flips, on_gpu(entries, directory))
    put(
        "subjects.html",
        "subjects.html",
        title="Subjects",
        description="What statements are judged on",
        section="subjects.html",
        subjects=subjects,
    )
    for subject in subjects:
        put(
            f"subjects/{subject.slug}.html",
            "subject.html",
            title=subject.name,
            description=f"Claims judged on {subject.name}",
            section="subjects.html",
            subject=subject,
        )
    put(
        "figures.html",
        "figures.html",
        title="Figures",
        description="Pictures of what claims say",
        section="figures.html",
        figures=explaining,
    )
    drawn = [*explaining, *heads, *(one for one in of_training.values() if one)]
    drawn += [figure for page in arms for figure in page.figures]
    for figure in {figure.name: figure for figure in drawn}.values():
        light = drawing.svg(figure.draw)
        files[f"figures/{figure.name}.light.svg"] = light.encode()
        files[f"figures/{figure.name}.dark.svg"] = drawing.for_dark_pages(light).encode()
    for name, content in badges.badges(entries, directory / "runs").items():
        files[f"badges/{name}"] = content.encode()
    files["claims.csv"] = exports.table(entries).encode()
    files["claims.json"] = exports.export(entries, SUITE.documents).encode()
    files["junit.xml"] = exports.junit(entries).encode()
    return files


def environment(entries: Mapping[str, Entry]) -> jinja2.Environment:
    """Return the templates, which escape what is put into them and refuse unknown names."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals |= {"SPOKEN": SPOKEN, "CASES": CASES}
    env.filters["tojson_text"] = lambda value: json.dumps(value, ensure_ascii=False)
    env.filters["entry_of"] = entries.__getitem__
    return env


# Claims -------------------------------------------------------------------------------------------


def claim_page(
    entry: Entry, entries: Mapping[str, Entry], claim: Claim, flips: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the page of a claim shows."""
    id_, reading = entry["id"], entry["reading_of"]
    numbers: list[Entry] = list(entry["numbers"].values())
    columns = dict.fromkeys(name for one in numbers for name in one)
    command = ["python", "-m", "claims", id_]
    replay = ""
    if entry["counterexample"]:
        case = json.dumps(entry["counterexample"]["case"], ensure_ascii=False)
        replay = shlex.join([*command, "--case", case])
    return {
        "entry": entry,
        "topic": id_.partition("/")[0],
        "places": [place(SUITE.citation(cite)) for cite in entry["cites"]],
        "replay": replay,
        "instead": entries[entry["instead"]] if entry["instead"] else None,
        "readings": [one for one in entries.values() if reading and one["reading_of"] == reading],
        "corrects": [one for one in entries.values() if one["instead"] == id_],
        "arms": sorted(rules.seeds_by_arm(RULES[id_])) if id_ in RULES else [],
        "checks": checks(claim),
        "columns": list(columns),
        "found": numbers[0].get("found", "") if numbers else "",
        "compared": compared(id_),
        "flips": flips,
        "command": f".venv/bin/pytest claims -k '{id_}'\n.venv/bin/{shlex.join(command)}",
    }


def compared(id_: str) -> str:
    """Return what of runs the rule of a claim compares; nothing if it has none, or several."""
    quantities = {part.quantity for part in rules.parts(RULES[id_])} if id_ in RULES else set()
    return quantities.pop() if len(quantities) == 1 else ""


def checks(claim: Claim) -> list[Check]:
    """Return the judgements of a claim, with the source of their statements."""
    return [
        Check(
            judged_on(judgement.subject.name, judgement.domain),
            textwrap.dedent(inspect.getsource(judgement.statement)).strip(),
        )
        for judgement in claim.judgements
    ]


def judged_on(subject: str, domain: str) -> str:
    """Return what a judgement is about; a domain that is a list begins with the subject's name."""
    return domain if domain.startswith(subject) else f"{subject}: {domain}"


def place(citation: Citation) -> Place:
    """Return a citation as a link to the page of its document."""
    document = SUITE.by_key[citation.document]
    return Place(
        document.key if document.lines else document.title,
        where(citation),
        f"documents/{document.key}.html#{anchor(citation)}",
    )


def where(citation: Citation) -> str:
    """Return a place in words."""
    if citation.locator:
        return citation.locator
    if citation.first == citation.last:
        return f"line {citation.first}"
    return f"lines {citation.first} to {citation.last}"


def anchor(citation: Citation) -> str:
    """Return the fragment of a place on the page of its document, which has no blank lines."""
    if citation.locator:
        return slug(citation.locator)
    blank = SUITE.by_key[citation.document].blank_lines
    lines = range(citation.first, citation.last + 1)
    return f"L{next(number for number in lines if number not in blank)}"


def slug(text: str) -> str:
    """Return a text as a part of an address."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


# Documents ----------------------------------------------------------------------------------------


def document_rows(
    document: Document, entries: Mapping[str, Entry], folder: Path | None
) -> list[Row]:
    """Return the rows of a document's page; neighbouring lines that nothing checks are one row."""
    cites = {id_: [SUITE.citation(cite) for cite in one["cites"]] for id_, one in entries.items()}
    if not document.lines:
        at: dict[str, list[Entry]] = defaultdict(list)
        for id_, places in cites.items():
            for one in places:
                if one.document == document.key:
                    at[one.locator].append(entries[id_])
        return [
            Row(slug(name), name, name, at[name], "nothing cites it", "")
            for name in document.locators
        ]
    texts = coverage.text(document, folder) if folder else None
    rows: list[Row] = []
    for line in coverage.lines(document, cites):
        number = line.number
        text = texts[number - 1] if texts else ""
        cited = [entries[id_] for id_ in line.claims]
        if rows and not cited and rows[-1].reason == line.not_checkable and not texts:
            first = rows.pop().short.partition("-")[0]
            short = f"{first}-{number}"
            rows.append(Row(f"L{first}", f"lines {short}", short, [], line.not_checkable, ""))
        else:
            rows.append(
                Row(f"L{number}", f"line {number}", str(number), cited, line.not_checkable, text)
            )
    return rows


def counts_of(rows: Iterable[Row]) -> Counter[str]:
    """Return the number of claims of a document by verdict."""
    found = {entry["id"]: entry["observed"] for row in rows for entry in row.entries}
    return Counter(found.values())


# Subjects and arms --------------------------------------------------------------------------------


def subject_pages(
    entries: Mapping[str, Entry],
    declared: Mapping[str, Claim],
    flips: Mapping[str, Any],
    gpu: OnGpu | None,
) -> list[SubjectPage]:
    """Return a page for each subject, those with most claims first."""
    judged: dict[str, dict[str, Entry]] = defaultdict(dict)
    faults: dict[str, Counter[str]] = defaultdict(Counter)
    for id_, entry in entries.items():
        for judgement in declared[id_].judgements:
            name = judgement.subject.name
            judged[name][id_] = entry
            for fault in judgement.flipped_by:
                faults[name][fault.name] += fault.name in flips.get(id_, {})
    pages = [
        SubjectPage(
            name,
            slug(name),
            list(found.values()),
            dict(faults[name].most_common()),
            gpu if name == OPERATORS.name else None,
        )
        for name, found in judged.items()
    ]
    return sorted(pages, key=lambda page: (-len(page.entries), page.name))


def on_gpu(entries: Mapping[str, Entry], directory: Path) -> OnGpu | None:
    """Return what `claims.measure.operators` observed on a GPU; None where it never ran.

    Raises:
        UnavailableError: if what it wrote is damaged.
    """
    try:
        measured = Evidence(directory).measurement("operators-cuda")
    except InsufficientEvidenceError:
        return None
    same, other, stale = [], {}, []
    for id_, found in measured["claims"].items():
        entry = entries.get(id_)
        if entry is None or entry["digest"] != found["digest"]:
            stale.append(id_)
        elif "error" in found:
            other[id_] = found["error"]
        elif (found["observed"], found["conditions"]) == (entry["observed"], entry["conditions"]):
            same.append(id_)
        else:
            other[id_] = found["counterexample"] or found["observed"]
    return OnGpu(measured["device"], measured["versions"], same, other, stale)
