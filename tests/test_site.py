"""The pages of the report: what they say, where they lead, and that a text of a claim stays text.

The site of the committed results is built once, by `built`; that of a made suite of a few claims,
whose texts each test chooses, takes moments.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import json
import posixpath
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from claims.core import results
from claims.core.claim import Claim, Fault, Subject
from claims.core.coverage import CoverageError
from claims.core.document import Document
from claims.core.suite import Suite, UnavailableError
from claims.core.verdict import Holds
from claims.report import __main__ as report
from claims.report import site as module
from claims.report.drawing import Figure
from claims.report.site import Files, site
from claims.report.training import ArmPage, FinishedRun, UsedRule
from claims.suite import SUITE
from claims.trained import RULES
from claims.training import rules
from claims.training.runs import RunError

RESULTS = SUITE.verdicts.parent
ENTRIES = results.read(SUITE.verdicts)
SVG = "{http://www.w3.org/2000/svg}"
SPOKEN = {
    "holds": "holds",
    "holds-if": "holds if ...",
    "refuted": "refuted",
    "undecided": "undecided",
}
WORST = ["refuted", "holds-if", "undecided", "holds"]
WITHOUT_END = {"meta", "link", "img", "input", "source", "br"}
LARGEST = 300_000  # bytes of a page
by_document = pytest.mark.parametrize("document", SUITE.documents, ids=lambda one: one.key)


class Parser(HTMLParser):
    """Makes a tree of a page, and accepts no element that is not closed where it has to be."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = ET.TreeBuilder()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice"
        self.tree.start(tag, {name: value or "" for name, value in attrs})
        self.open.append(tag)
        if tag in WITHOUT_END:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.tree.end(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.tree.data(data)


def parsed(page: bytes) -> ET.Element:
    parser = Parser()
    parser.feed(page.decode())
    parser.close()
    assert not parser.open
    root: ET.Element = parser.tree.close()
    return root


def parsed_pages(files: Files) -> dict[str, ET.Element]:
    return {path: parsed(page) for path, page in files.items() if path.endswith(".html")}


@functools.cache
def built() -> Files:
    """Return the files of the site of the committed results."""
    return site(RESULTS)


@functools.cache
def pages() -> dict[str, ET.Element]:
    return parsed_pages(built())


def said(element: ET.Element | None) -> str:
    """Return the text of an element, as a browser shows it."""
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def with_class(page: ET.Element, name: str) -> list[ET.Element]:
    return [element for element in page.iter() if name in element.get("class", "").split()]


def under(page: ET.Element, heading: str) -> ET.Element:
    """Return what stands in a page below a heading of the second level."""
    (main,) = page.iter("main")
    found = ET.Element("div")
    inside = False
    for element in main:
        if element.tag == "h2":
            inside = said(element) == heading
        elif inside:
            found.append(element)
    return found


# The site as a whole ------------------------------------------------------------------------------


def test_each_claim_document_arm_and_subject_has_a_page() -> None:
    assert {f"claims/{id_}.html" for id_ in ENTRIES} <= built().keys()
    assert {f"documents/{document.key}.html" for document in SUITE.documents} <= built().keys()
    for folder in ("arms", "subjects"):
        listed = {link for link, _ in links(f"{folder}.html") if link.startswith(f"{folder}/")}
        assert listed == {path for path in built() if path.startswith(f"{folder}/")} != set()


def test_every_page_says_what_it_is() -> None:
    titles = Counter(said(page.find("head/title")) for page in pages().values())
    assert titles.most_common(1)[0][1] == 1
    for path, page in pages().items():
        assert built()[path].startswith(b'<!doctype html>\n<html lang="en">'), path
        (heading,) = page.iter("h1")
        assert said(heading), path
        assert said(page.find("head/title")).endswith(" - nin-claims"), path
        assert page.find("head/meta[@charset='utf-8']") is not None, path
        assert page.find("head/meta[@name='viewport']") is not None, path
        levels = [int(element.tag[1]) for element in page.iter() if element.tag in HEADINGS]
        deeper = [later - sooner for sooner, later in itertools.pairwise(levels)]
        assert max(deeper, default=0) <= 1, f"{path} leaves out a level of headings"


HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}


def test_no_page_is_large() -> None:
    assert {path: len(built()[path]) for path in pages() if len(built()[path]) > LARGEST} == {}


def test_the_ids_of_a_page_differ() -> None:
    for path, page in pages().items():
        ids = Counter(element.get("id") for element in page.iter() if "id" in element.attrib)
        assert [id_ for id_, count in ids.items() if count > 1] == [], path


def addresses(page: ET.Element) -> Iterator[str]:
    for element in page.iter():
        for name in {"href", "src", "srcset", "action"} & element.attrib.keys():
            yield element.attrib[name]


def links(path: str) -> Iterator[tuple[str, str]]:
    """Yield the files and fragments that a page leads to or shows."""
    for address in addresses(pages()[path]):
        parts = urlsplit(address)
        assert parts.scheme == parts.netloc == "", f"{path} leads to {address}"
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), parts.path))
        yield (target if parts.path else path), parts.fragment


def test_every_link_leads_somewhere() -> None:
    ids = {path: {element.get("id") for element in page.iter()} for path, page in pages().items()}
    for path in pages():
        for target, fragment in links(path):
            assert target in built(), f"{path} leads to {target}"
            if fragment:
                assert fragment in ids[target], f"{path} leads to {target}#{fragment}"


def test_links_into_the_table_choose_what_it_offers() -> None:
    offered = {
        select.attrib["name"]: {option.attrib["value"] for option in select}
        for select in pages()["claims.html"].iter("select")
    }
    chosen = [
        (name, value)
        for page in pages().values()
        for address in addresses(page)
        for name, values in parse_qs(urlsplit(address).query).items()
        for value in values
    ]
    assert {name for name, _ in chosen} == {"verdict", "grade", "topic"}
    assert all(value in offered[name] for name, value in chosen)


def test_a_reader_reaches_everything_from_the_overview() -> None:
    found = ["index.html"]
    for path in found:
        if path in pages():
            found += dict.fromkeys(link for link, _ in links(path) if link not in found)
    badges = {path for path in built() if path.startswith("badges/")}
    assert badges
    assert built().keys() - found == badges


def test_nothing_is_asked_of_another_host() -> None:
    for path, page in pages().items():
        for element in page.iter():
            assert element.tag not in {"iframe", "object", "embed", "base"}, path
            assert not any("//" in value for value in element.attrib.values()), path
            assert not {"style", "action"} & element.attrib.keys(), path
    assert not re.search(rb"url\(|@import|//", built()["style.css"])
    assert not re.search(rb"://|fetch|XMLHttp|import\b|eval", built()["table.js"])


def test_pictures_are_drawings_without_scripts_or_addresses() -> None:
    drawn = {path for path in built() if path.endswith(".svg")}
    assert len(drawn) > 20
    for path in drawn:
        for element in ET.fromstring(built()[path]).iter():  # noqa: S314 - our own
            tag = element.tag.removeprefix(SVG)
            assert tag not in {"script", "foreignObject"}
            for name, value in element.attrib.items():
                assert not name.startswith("on"), path
                inside = "data:image/png;base64," if tag == "image" else "#"
                assert value.startswith(inside) or not name.endswith("href"), path
                assert all(place.startswith("#") for place in re.findall(r"url\((.)", value)), path


def test_each_picture_has_words_and_a_drawing_for_light_and_for_dark() -> None:
    shown = [picture for page in pages().values() for picture in page.iter("picture")]
    assert shown
    for picture in shown:
        dark, light = picture
        assert dark.attrib["media"] == "(prefers-color-scheme: dark)"
        assert dark.attrib["srcset"].endswith(".dark.svg")
        assert light.attrib["src"] == dark.attrib["srcset"].replace(".dark.", ".light.")
        assert len(light.attrib["alt"]) > 20


def test_a_page_needs_no_script() -> None:
    scripts = [(path, one.attrib) for path, page in pages().items() for one in page.iter("script")]
    assert scripts == [("claims.html", {"src": "table.js"})]
    for path, page in pages().items():
        for element in page.iter():
            assert not any(name.startswith("on") for name in element.attrib), path
            hidden = "hidden" in element.attrib
            assert hidden == (element.get("id") == "filters"), f"{path} hides {element.tag}"
    (form,) = pages()["claims.html"].iter("form")
    controls = {"input", "select", "button"}
    assert {one for one in pages()["claims.html"].iter() if one.tag in controls} == {
        one for one in form.iter() if one.tag in controls
    }


def test_the_same_tree_gives_the_same_bytes() -> None:
    script = (
        "import hashlib, pathlib, sys\n"
        "from claims.report.site import site\n"
        "for path, content in sorted(site(pathlib.Path(sys.argv[1])).items()):\n"
        "    print(hashlib.sha256(content).hexdigest(), path)\n"
    )
    # Another process hashes texts in another way, so that sets are in another order.
    command = [sys.executable, "-c", script, str(RESULTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    again = {path: digest for digest, path in map(str.split, done.stdout.splitlines())}
    assert again == {path: digest_of(content) for path, content in built().items()}


# What the pages say -------------------------------------------------------------------------------


def test_the_overview_counts_what_the_verdicts_file_has() -> None:
    entries = json.loads(SUITE.verdicts.read_bytes())["claims"]
    page = pages()["index.html"]
    assert f"Here {len(entries)} of them" in said(with_class(page, "lead")[0])
    shown = {
        one.attrib["class"]: said(one.find("a/strong")) for one in with_class(page, "counts")[0]
    }
    assert shown == {name: str(sum(one["observed"] == name for one in entries)) for name in SPOKEN}
    decided = [one for one in entries if one["observed"] != "undecided"]
    (table,) = with_class(page, "grades")
    assert said(table.find("caption")).endswith(f" of the {len(decided)} decided")
    grades = {said(row[0]): said(row[2]) for row in table.iterfind("tbody/tr")}
    assert grades == {grade: str(sum(one["grade"] == grade for one in decided)) for grade in grades}
    assert sum(map(int, grades.values())) == len(decided)


def test_the_overview_says_of_each_refuted_claim_why_and_what_is_true() -> None:
    page = pages()["index.html"]
    told = [
        (link.attrib["href"], said(link), said(why), other.attrib["href"], said(other))
        for one in with_class(page, "refuted")
        if one.tag == "ul"
        for what, why, instead in one
        for link, other in [(what[0], instead[0])]
    ]
    assert told == [
        (
            f"claims/{one['id']}.html",
            shown(one["says"]),
            shown(one["counterexample"]["message"]),
            f"claims/{one['instead']}.html",
            shown(ENTRIES[one["instead"]]["says"]),
        )
        for one in ENTRIES.values()
        if one["observed"] == "refuted"
    ]


def shown(text: str) -> str:
    return " ".join(text.split())


def test_the_overview_says_what_undecided_claims_wait_for() -> None:
    (listed,) = with_class(pages()["index.html"], "undecided")[-1:]
    assert listed.tag == "ul"
    assert [(said(one[0]), said(one[1])) for one in listed] == [
        (shown(one["says"]), shown(one["reason"].partition(";")[0]))
        for one in ENTRIES.values()
        if one["observed"] == "undecided"
    ]


def test_the_table_has_all_claims() -> None:
    (table,) = pages()["claims.html"].iter("table")
    assert [
        (row.attrib["id"], row.attrib["data-topic"], *map(said, row), row[1][0].attrib["href"])
        for row in table.iterfind("tbody/tr")
    ] == [
        (
            id_,
            id_.partition("/")[0],
            SPOKEN[one["observed"]],
            shown(one["says"]),
            one["grade"],
            " ".join(one["cites"]),
            f"claims/{id_}.html",
        )
        for id_, one in ENTRIES.items()
    ]
    for row in table.iterfind("tbody/tr"):
        one = ENTRIES[row.attrib["id"]]
        assert (row.attrib["data-verdict"], row.attrib["data-grade"]) == (
            one["observed"],
            one["grade"],
        )


@pytest.mark.parametrize("verdict", SPOKEN)
def test_the_page_of_a_claim_says_what_was_found(verdict: str) -> None:
    for id_, one in ENTRIES.items():
        if one["observed"] != verdict:
            continue
        page = pages()[f"claims/{id_}.html"]
        told = said(page.find("body/main"))
        assert said(next(page.iter("h1"))) == shown(one["says"])
        assert said(with_class(page, "summary")[0][0]) == SPOKEN[verdict]
        messages = [outcome["message"] for outcome in one["exceptions"]]
        messages += [one["counterexample"]["message"]] if one["counterexample"] else []
        for text in (id_, one["domain"], one["digest"], *one["conditions"], *messages):
            assert shown(text) in told, f"{id_} does not say {text}"
        headings = {said(heading) for heading in page.iter("h2")}
        assert ("Counterexample" in headings) == (verdict == "refuted")
        assert ("Why it is undecided" in headings) == (verdict == "undecided")
        if verdict == "undecided":
            assert said(under(page, "Why it is undecided")[0]) == shown(one["reason"])
        if verdict == "refuted":
            true = ENTRIES[one["instead"]]
            expected = f"{SPOKEN[true['observed']]} {shown(true['says'])}"
            assert said(under(page, "True instead")) == expected


def test_the_faults_of_a_claim_are_those_that_changed_its_verdict() -> None:
    flips = json.loads((RESULTS / "flips.json").read_bytes())
    for id_ in ENTRIES:
        rows = under(pages()[f"claims/{id_}.html"], "Faults that change the verdict").iter("tr")
        told = {said(row[0]): said(row[1]) for row in list(rows)[1:]}
        expected = flips.get(id_, {}).items()
        assert told == {shown(fault): SPOKEN.get(then, then) for fault, then in expected}, id_


@by_document
def test_every_line_of_a_document_is_accounted_for(document: Document) -> None:
    citing: dict[object, list[str]] = {}
    for id_, one in ENTRIES.items():
        places = [SUITE.citation(cite) for cite in one["cites"]]
        mine = [place for place in places if place.document == document.key]
        lines = {line for place in mine for line in range(place.first, place.last + 1)}
        for where in {place.locator for place in mine} if document.locators else lines:
            citing.setdefault(where, []).append(id_)
    (table,) = with_class(pages()[f"documents/{document.key}.html"], "lines")
    found: set[object] = set()
    for row in table.iterfind("tbody/tr"):
        spot = places_of(document, said(row[0]))
        assert not found & spot
        found |= spot
        claims = {id_ for place in spot for id_ in citing.get(place, [])}
        listed = [link.attrib["href"] for link in row[1].iter("a")]
        assert listed == [f"../claims/{id_}.html" for id_ in ENTRIES if id_ in claims]
        verdicts = [ENTRIES[id_]["observed"] for id_ in claims]
        assert row.attrib["class"] == min(verdicts, key=WORST.index, default="")
        if not claims:
            assert {said(row[1])} == {
                f"not checkable: {reason_of(document, place)}"
                for place in spot - document.blank_lines
            }
    assert found | document.blank_lines == set(document.locators or range(1, document.lines + 1))
    coloured = [row for row in table.iterfind("tbody/tr") if row.attrib["class"]]
    (legend,) = with_class(pages()[f"documents/{document.key}.html"], "map")
    assert [(link.attrib["href"], link.attrib["class"]) for link in legend.iter("a")] == [
        (f"#{row.attrib['id']}", row.attrib["class"]) for row in coloured
    ]


def places_of(document: Document, text: str) -> set[object]:
    return {text} if document.locators else set(document.span(text))


def reason_of(document: Document, place: object) -> str:
    if document.locators:
        return "nothing cites it"
    (reason,) = (
        reason for span, reason in document.not_checkable.items() if place in document.span(span)
    )
    return reason


@by_document
def test_a_document_is_not_quoted(document: Document) -> None:
    page = pages()[f"documents/{document.key}.html"]
    assert not with_class(page, "text")
    assert ("DOCUMENTS=DIR" in said(page)) == bool(document.lines)


def test_the_documents_are_counted_by_verdict() -> None:
    (table,) = pages()["documents.html"].iter("table")
    for row, document in zip(table.iterfind("tbody/tr"), SUITE.documents, strict=True):
        citing = [
            one["observed"]
            for one in ENTRIES.values()
            if any(cite.startswith(f"{document.key}:") for cite in one["cites"])
        ]
        assert [int(said(cell)) for cell in row[1:]] == [citing.count(name) for name in SPOKEN]


# A made suite -------------------------------------------------------------------------------------

HARMLESS, HARMLESS_CASE = "Harmless words", "Harmless case"
HOSTILE = (
    "\"'></title></script><script>alert(1)</script><img src=x onerror=alert(2)> &lt &#60 &amp "
    "{{ 7 * 7 }} {% endblock %} <!-- javascript:alert(3) ]]> 网络"
)
HOSTILE_CASE = HOSTILE.replace("'", "")
DRAWN = Subject[None]("operators", lambda: None)
VERSION = {"python": "3.11"}
RELEASE = {"version": "1.2.0", "date": "2026-11-01", "commit": "0" * 40}


class Made(Suite):
    """A suite of claims with the ids that the entries have."""

    def claims(self) -> dict[str, Claim]:
        return {id_: declared(id_, self.closing) for id_ in ("a/false", "a/true", "a/if", "a/open")}


def declared(id_: str, text: str) -> Claim:
    claim = Claim(id_, says=text, cites=["own:1"], recorded=Holds())
    fault: Fault[None] = Fault(text, lambda subject: subject)

    @claim.judged(subject=DRAWN, on=[2], flipped_by=[fault])
    def statement(subject: None, n: int) -> None:
        assert n < 3 > 1, "</code></pre><b>bold</b> &lt;"

    return claim


def entry(id_: str, observed: str, text: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "id": id_,
        "says": text,
        "cites": ["own:1", "paper:4.2"],
        "reading_of": None,
        "renamed_from": text,
        "cost": "quick",
        "grade": "exhaustive",
        "recorded": observed,
        "observed": observed,
        "conditions": [],
        "instead": None,
        "reason": text,
        "counterexample": None,
        "exceptions": [],
        "domain": text,
        "cases": {"listed": 1},
        "numbers": {text: {text: text, "size": 3}},
        "flips": [text],
        "digest": "0123456789abcdef",
        "versions": VERSION | {text: text},
    }
    assert changes.keys() <= plain.keys()
    return plain | changes


def entries_of(text: str, case: str) -> list[dict[str, Any]]:
    shown_case = {"case": {case: [case, 1]}, "message": text}
    return [
        entry(
            "a/false", "refuted", text, instead="a/true", reading_of=text, counterexample=shown_case
        ),
        entry(
            "a/if", "holds-if", text, conditions=[text], exceptions=[shown_case], cites=["own:6"]
        ),
        entry("a/open", "undecided", text),
        entry(
            "a/true", "holds", text, reading_of=text, numbers={text: {text: text}, "b": {"c": 1}}
        ),
    ]


def arm_page(text: str) -> ArmPage:
    run = FinishedRun(
        seed=0,
        test_error=10.0,
        best_test_error=9.0,
        training_error=1.0,
        collapsed=True,
        device=text,
        threads=2,
        versions={text: text},
        commit=None,
        clean=None,
        started=text,
        finished="2026-11-22T12:00",
        resumed=0,
        seconds=60,
        data=text,
        digest="0123456789abcdef",
    )
    rule = UsedRule(
        claim="a/true",
        says=text,
        verdict="holds",
        described=text,
        digest="0123456789abcdef",
        runs={text: (1, 2)},
        found=text,
        rates={text: 0.05},
        changed=True,
        sensitivity=text,
    )
    return ArmPage(
        name="arm",
        says=text,
        recipe={text: text},
        recipe_digest="0123456789abcdef",
        runs=(run,),
        rules=(rule,),
        waits_for=text,
        command=text,
        figures=(),
    )


class Making:
    """Makes sites of the made suite in a folder of a test's own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch

    def site(self, text: str, case: str = HARMLESS_CASE, *, documents: bool = False) -> Files:
        put = self.monkeypatch.setattr
        document = own(text)
        cited = (
            Document("own", text, digest_of(document), 6, blank="2 5", not_checkable={"3-4": text}),
            Document("paper", text, locators=("4.2", "5")),
        )
        put(module, "SUITE", Made("", self.folder, (), cited, self.folder, closing=text))
        figure = Figure("one", text, ("a/true",), never, lambda: text)
        put("claims.report.figures.FIGURES", (figure,))
        put("claims.report.drawing.svg", lambda draw: "<svg/>")
        put("claims.report.training.heads", lambda directory: ())
        put("claims.report.training.page", lambda arm, entries, directory: arm_page(text))
        put(module, "ARMS", {"arm": None})
        entries = entries_of(text, case)
        before = [one | {"conditions": [f"{text} before"]} for one in entries[1:]]
        flips = {"a/true": {text: "refuted"}, "a/if": {text: text}}
        for name, content in {
            "verdicts.json": {"claims": entries},
            "released.json": {"release": RELEASE, "claims": before},
            "flips.json": flips,
        }.items():
            (self.folder / name).write_text(json.dumps(content))
        judged_on_gpu(self.folder, text)
        folder = self.folder / "documents"
        folder.mkdir(exist_ok=True)
        (folder / "own.txt").write_bytes(document)
        return site(self.folder, folder if documents else None)


def judged_on_gpu(folder: Path, text: str, *, device: str | None = None) -> None:
    """Write what was observed there: the same of two claims, else of two; one check has changed."""
    plain: dict[str, Any] = {
        "digest": "0123456789abcdef",
        "observed": "holds",
        "conditions": [],
    }
    found = {
        "a/true": {**plain, "counterexample": None},
        "a/false": {**plain, "observed": "refuted", "counterexample": text},
        "a/if": {**plain, "observed": "holds-if", "counterexample": None},
        "a/open": {"digest": "0123456789abcdef", "error": text},
        "a/gone": {**plain, "counterexample": None},
    }
    found["a/true"] |= {"digest": "0" * 16} if device == "since changed" else {}
    measured = {"device": device or text, "versions": {"torch": text}, "claims": found}
    (folder / "measured").mkdir(exist_ok=True)
    (folder / "measured" / "operators-cuda.json").write_text(json.dumps(measured))


def own(text: str) -> bytes:
    return f"{text}\n\n  {text}\nfour\n\n{text}".encode()


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def never() -> Any:
    raise AssertionError("drawn, though nothing is to be drawn")


@pytest.fixture
def making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Making:
    return Making(tmp_path, monkeypatch)


def on_gpu(files: Files) -> str:
    return said(parsed_pages(files)["subjects/operators.html"])


def test_what_runs_say_begins_with_the_quantity_that_is_compared() -> None:
    shown = pages()
    assert RULES
    for id_, rule in RULES.items():
        said_of_runs = said(shown[f"claims/{id_}.html"])
        numbers = list(ENTRIES[id_]["numbers"].values())
        found = numbers[0].get("found") if numbers else None
        quantities = {part.quantity for part in rules.parts(rule)}
        if found and len(quantities) == 1:
            (quantity,) = quantities
            assert f"What the runs say {quantity.capitalize()}: {found}." in said_of_runs
        else:
            assert ("What the runs say" in said_of_runs) == bool(found)


def test_what_a_gpu_gave_is_compared_claim_by_claim(making: Making) -> None:
    """A condition more is another verdict; a claim that is gone, or has another check, is none."""
    page = on_gpu(making.site("Words"))
    assert "On one (Words, PyTorch Words) 2 of 4 claims have the same verdict as on a CPU. " in page
    assert "1 more were judged there by a check that has changed since." in page
    judged_on_gpu(making.folder, "Else", device="since changed")
    page = on_gpu(site(making.folder))
    assert "On one (since changed, PyTorch Else) 1 of 3 claims have the same verdict" in page
    assert "2 more were judged there" in page
    (making.folder / "measured" / "operators-cuda.json").unlink()
    assert "On a GPU" not in on_gpu(site(making.folder))


def test_a_damaged_measurement_is_named(making: Making) -> None:
    making.site("Words")
    (making.folder / "measured" / "operators-cuda.json").write_text("{")
    with pytest.raises(UnavailableError, match=r"operators-cuda\.json is damaged"):
        site(making.folder)


def elements(page: ET.Element) -> list[list[str]]:
    """Return all of a page: elements, attributes, texts."""
    return [
        [one.tag, *[part for pair in one.items() for part in pair], one.text or "", one.tail or ""]
        for one in page.iter()
    ]


@pytest.mark.parametrize("documents", [False, True], ids=["without texts", "with texts"])
def test_no_text_of_a_claim_becomes_markup(making: Making, documents: bool) -> None:
    harmless = parsed_pages(making.site(HARMLESS, documents=documents))
    hostile = parsed_pages(making.site(HOSTILE, HOSTILE_CASE, documents=documents))
    assert hostile.keys() == harmless.keys()
    case = json.dumps(HOSTILE_CASE, ensure_ascii=False)[1:-1]
    differing = {
        HARMLESS_CASE: case,
        HARMLESS: HOSTILE,
        digest_of(own(HARMLESS)): digest_of(own(HOSTILE)),
    }
    for path, page in harmless.items():
        expected = elements(page)
        for old, new in differing.items():
            expected = [[part.replace(old, new) for part in element] for element in expected]
        assert elements(hostile[path]) == expected, path
    without = {path for path, page in harmless.items() if HARMLESS not in "".join(page.itertext())}
    assert without == {"subjects.html"}, "what has no text of a claim says nothing here"


def test_the_source_of_a_check_stays_text(making: Making) -> None:
    page = parsed(making.site(HARMLESS)["claims/a/true.html"])
    source = under(page, "How it was decided").find("pre/code")
    assert source is not None
    assert len(source) == 0
    assert source.text is not None
    assert source.text in inspect.getsource(declared).replace("\n    ", "\n")
    assert source.text.endswith('assert n < 3 > 1, "</code></pre><b>bold</b> &lt;"')


def test_a_counterexample_can_be_pasted_into_a_shell(making: Making) -> None:
    page = parsed(making.site(HARMLESS, HOSTILE)["claims/a/false.html"])
    command = under(page, "Counterexample").find("pre/code")
    assert command is not None
    *words, case = shlex.split(command.text or "")
    assert words == ["python", "-m", "claims", "a/false", "--case"]
    assert json.loads(case) == {HOSTILE: [HOSTILE, 1]}


def test_the_page_of_a_document_shows_its_text_where_it_is_at_hand(making: Making) -> None:
    own = parsed(making.site(HOSTILE, documents=True)["documents/own.html"])
    (table,) = with_class(own, "lines")
    rows = [(row.attrib["id"], row[1].text, said(row[2])) for row in table.iterfind("tbody/tr")]
    assert [row[:2] for row in rows] == [
        ("L1", HOSTILE),
        ("L3", f"  {HOSTILE}"),
        ("L4", "four"),
        ("L6", HOSTILE),
    ]
    assert rows[1][2] == rows[2][2] == f"not checkable: {HOSTILE}"
    assert "DOCUMENTS=DIR" not in said(own)


def test_without_its_text_neighbouring_lines_that_say_nothing_are_one_row(making: Making) -> None:
    own = parsed(making.site(HARMLESS)["documents/own.html"])
    (table,) = with_class(own, "lines")
    rows = [(row.attrib["id"], *map(said, row)) for row in table.iterfind("tbody/tr")]
    assert [row[:2] for row in rows] == [("L1", "1"), ("L3", "3-4"), ("L6", "6")]
    assert rows[1][2] == f"not checkable: {HARMLESS}"
    assert [row.attrib["class"] for row in table.iterfind("tbody/tr")] == [
        "refuted",
        "",
        "holds-if",
    ]


def test_a_place_that_nothing_cites_is_said_to_be(making: Making) -> None:
    paper = parsed(making.site(HARMLESS, documents=True)["documents/paper.html"])
    (table,) = with_class(paper, "lines")
    assert [(row.attrib["id"], len(row)) for row in table.iterfind("tbody/tr")] == [
        ("4.2", 2),
        ("5", 2),
    ]
    assert said(table.findall("tbody/tr")[1][1]) == "not checkable: nothing cites it"


def test_another_text_than_the_one_that_was_read_is_refused(making: Making) -> None:
    making.site(HARMLESS)
    (making.folder / "documents" / "own.txt").write_text("another")
    with pytest.raises(CoverageError, match=r"own\.txt is not the document that was read"):
        site(making.folder, making.folder / "documents")


def test_the_overview_says_what_changed_since_the_release(making: Making) -> None:
    def changed(files: Files) -> ET.Element:
        return under(parsed(files["index.html"]), "What changed since the last release")

    found = changed(making.site("T"))
    assert said(found.find("p")) == "The last release is version 1.2.0 of 2026-11-01."
    assert [said(one) for one in found.iter("li")] == [
        "a/false: new, refuted (exhaustive)",
        "a/if: conditions: T before -> T",
        "a/open: conditions: T before -> none",
        "a/true: conditions: T before -> none",
    ]
    verdicts, released = making.folder / "verdicts.json", making.folder / "released.json"
    same = {"release": RELEASE, **json.loads(verdicts.read_bytes())}
    released.write_text(json.dumps(same))
    assert said(changed(site(making.folder))) == (
        "The last release is version 1.2.0 of 2026-11-01. No verdict has changed since."
    )
    nothing: dict[str, Any] = same | {"claims": []}
    released.write_text(json.dumps(nothing))
    assert len(list(changed(site(making.folder)).iter("li"))) == 4
    released.unlink()
    assert said(changed(site(making.folder))) == "There is no release yet."


@pytest.mark.parametrize("content", ["{", '{"claims": []}', '{"release": {}, "claims": []}'])
def test_a_damaged_release_is_refused(making: Making, content: str) -> None:
    making.site(HARMLESS)
    (making.folder / "released.json").write_text(content)
    with pytest.raises(results.ResultsError, match=r"released\.json is damaged"):
        site(making.folder)


def test_the_page_of_an_arm_has_its_runs_and_rules(making: Making) -> None:
    page = parsed(making.site(HARMLESS)["arms/arm.html"])
    (row,) = under(page, "Runs").iterfind("div/table/tbody/tr")
    assert [said(cell) for cell in row] == [
        "0",
        "10.00 (collapsed)",
        "9.00",
        "1.00",
        f"{HARMLESS}, 2 threads",
        "1.0",
        f"{HARMLESS} {HARMLESS}",
        "no checkout",
        "2026-11-22 12:00",
        "0123456789abcdef",
    ]
    rule = said(under(page, "Rules that look at its runs"))
    assert rule.startswith(f"holds {HARMLESS} {HARMLESS}. Found: {HARMLESS}; the rule was changed")
    assert f"Runs: 1 of 2 of {HARMLESS}. Simulated: {HARMLESS} 0.050." in rule


def test_class_maps_are_shown_or_said_to_be_missing() -> None:
    rules_of_maps = [id_ for id_, rule in RULES.items() if rules_look_at_maps(rule)]
    assert len(rules_of_maps) > 1
    for id_ in rules_of_maps:
        page = pages()[f"claims/{id_}.html"]
        (arm,) = rules.seeds_by_arm(RULES[id_])
        for where in (page, pages()[f"arms/{arm}.html"]):
            shown = any(one.get("id") == f"class-maps-{arm}" for one in where.iter("figure"))
            missing = f"No class maps can be shown yet: run 0 of {arm} has to be" in said(where)
            assert shown != missing, id_
            assert shown == (RESULTS / "examined" / arm / "0.npz").exists()
    told = "No class maps can be shown yet"
    assert sum(told in said(page) for page in pages().values()) <= 2 * len(rules_of_maps)
    assert told not in said(pages()["arms/handwritten.html"])


def rules_look_at_maps(rule: rules.Rule) -> bool:
    return any("quarters" in one or "cover" in one for one in rules.needed(rule))


def test_damaged_verdicts_are_refused(making: Making) -> None:
    making.site(HARMLESS)
    (making.folder / "verdicts.json").write_text('{"claims": [{}]}')
    with pytest.raises(results.ResultsError, match=r"verdicts\.json is damaged"):
        site(making.folder)


Captured = pytest.CaptureFixture[str]

# Publishing ---------------------------------------------------------------------------------------


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_publishing_puts_a_site_in_the_place_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "build" / "site"
    report.publish({"index.html": b"1", "old/page.html": b"2"}, folder)
    assert tree(tmp_path) == {"build/site/index.html": b"1", "build/site/old/page.html": b"2"}
    report.publish({"index.html": b"3", "new/page.html": b"4"}, folder)
    assert tree(tmp_path) == {"build/site/index.html": b"3", "build/site/new/page.html": b"4"}
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_failing_write_leaves_the_old_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.publish({"index.html": b"1"}, tmp_path / "site")
    write = Path.write_bytes

    def full_disk(path: Path, content: bytes) -> int:
        if path.name == "second.html":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        report.publish({"index.html": b"2", "second.html": b"3"}, tmp_path / "site")
    assert tree(tmp_path) == {"site/index.html": b"1"}
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_site_that_cannot_be_moved_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.publish({"index.html": b"1"}, tmp_path / "site")
    replace = Path.replace

    def refused(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(13, "Permission denied")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(OSError, match="Permission denied"):
        report.publish({"index.html": b"2"}, tmp_path / "site")
    assert tree(tmp_path) == {"site/index.html": b"1"}


@pytest.mark.parametrize(
    "error",
    [
        RunError("run cifar10/0: it has no curve.json"),
        UnavailableError("run cifar10/0: it has no curve.json; `make recheck` says more"),
    ],
)
def test_a_damaged_run_is_said_in_a_sentence(
    error: Exception, made_report: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def fail(documents: Path | None) -> Files:
        raise error

    report.main([])
    before = tree(made_report)
    (made_report / "results" / "verdicts.json").write_text("others")
    monkeypatch.setattr(report, "pages_of_site", fail)
    capsys.readouterr()
    assert report.main([]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"
    assert tree(made_report) == before | {"results/verdicts.json": b"others"}


@pytest.fixture
def made_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of a checkout whose README and pages repeat what its verdicts say."""
    for name in ("claims", "nin_ref", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text("old")
    (tmp_path / "results" / "verdicts.json").write_text("verdicts")

    def verdicts() -> bytes:
        return (tmp_path / "results" / "verdicts.json").read_bytes()

    def pages_of_site(documents: Path | None) -> Files:
        shown = b" with texts" if documents else b""
        return {"index.html": b"page of " + verdicts() + shown, "style.css": b"css"}

    for name, path in {
        "ROOT": tmp_path,
        "README": tmp_path / "README.md",
        "RESULTS": tmp_path / "results",
        "SITE": tmp_path / "build" / "site",
        "MADE_FROM": tmp_path / "build" / "site.made-from",
    }.items():
        monkeypatch.setattr(report, name, path)
    readme = {tmp_path / "README.md": b"readme of "}
    monkeypatch.setattr(
        report,
        "committed_files",
        lambda: {path: start + verdicts() for path, start in readme.items()},
    )
    monkeypatch.setattr(report, "pages_of_site", pages_of_site)
    return tmp_path


def test_the_report_is_written_once_for_each_state_of_the_tree(
    made_report: Path, capsys: Captured
) -> None:
    index = made_report / "build" / "site" / "index.html"
    assert report.main([]) == 0
    assert capsys.readouterr().out == f"2 files of the report: {index}\n"
    assert index.read_bytes() == b"page of verdicts"
    assert (made_report / "README.md").read_bytes() == b"readme of verdicts"
    assert report.main([]) == 0
    assert capsys.readouterr().out == f"{index} is up to date\n"
    (made_report / "results" / "verdicts.json").write_text("others")
    assert report.main([]) == 0
    assert capsys.readouterr().out == f"2 files of the report: {index}\n"
    assert index.read_bytes() == b"page of others"
    assert (made_report / "README.md").read_bytes() == b"readme of others"


def test_a_report_that_was_deleted_is_written_again(made_report: Path, capsys: Captured) -> None:
    report.main([])
    for path in (made_report / "build" / "site").iterdir():
        path.unlink()
    (made_report / "build" / "site").rmdir()
    report.main([])
    assert "up to date" not in capsys.readouterr().out
    assert (made_report / "build" / "site" / "index.html").exists()


def test_texts_of_documents_make_another_report(made_report: Path, capsys: Captured) -> None:
    documents = made_report / "documents"
    documents.mkdir()
    (documents / "000.txt").write_text("text")
    index = made_report / "build" / "site" / "index.html"
    for arguments, content in [
        ([], b"page of verdicts"),
        (["--documents", str(documents)], b"page of verdicts with texts"),
        ([], b"page of verdicts"),
    ]:
        assert report.main(arguments) == 0
        assert index.read_bytes() == content, arguments
    assert "up to date" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "matters"),
    [
        ("README.md", True),
        ("claims/report/templates/base.html", True),
        ("claims/topic.py", True),
        ("nin_ref/models.py", True),
        ("results/runs/arm/0/run.json", True),
        ("documents/000.txt", True),
        ("results/local/times.json", False),
        ("claims/__pycache__/topic.pyc", False),
        ("build/site/index.html", False),
    ],
)
def test_what_the_report_is_made_from(made_report: Path, changed: str, matters: bool) -> None:
    documents = made_report / "documents"
    documents.mkdir()
    before = report.digest_of_inputs(documents)
    path = made_report / changed
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("one")
    added = report.digest_of_inputs(documents)
    path.write_text("two")
    assert (before != added) == (added != report.digest_of_inputs(documents)) == matters


def test_the_check_names_what_differs_is_missing_or_is_too_much(
    made_report: Path, capsys: Captured
) -> None:
    report.main([])
    assert report.main(["--check"]) == 0
    build = made_report / "build" / "site"
    (build / "index.html").write_text("changed by hand")
    (build / "style.css").unlink()
    (build / "left.html").write_text("of an older tree")
    (made_report / "README.md").write_text("by hand")
    before = tree(made_report)
    capsys.readouterr()
    assert report.main(["--check"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"error: {name} is not what the tree gives; `make report` writes it"
        for name in (
            "README.md",
            "build/site/index.html",
            "build/site/left.html",
            "build/site/style.css",
        )
    ]
    assert tree(made_report) == before


def test_the_check_of_a_tree_without_pages_is_about_what_is_committed(
    made_report: Path, capsys: Captured
) -> None:
    assert report.main(["--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: README.md is not what the tree gives; `make report` writes it"
    ]
    (made_report / "README.md").write_text("readme of verdicts")
    assert report.main(["--check"]) == 0
    assert not (made_report / "build").exists()


@pytest.mark.parametrize(
    "error",
    [
        results.ResultsError("verdicts.json is damaged"),
        CoverageError("no file begins with 000"),
        OSError("No space left on device"),
        ValueError("a run is damaged"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_report_that_cannot_be_made_leaves_the_old_one(
    made_report: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, error: Exception
) -> None:
    report.main([])
    before = tree(made_report / "build")
    (made_report / "results" / "verdicts.json").write_text("others")

    def fail(documents: Path | None) -> Files:
        raise error

    monkeypatch.setattr(report, "pages_of_site", fail)
    capsys.readouterr()
    assert report.main([]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"
    assert tree(made_report / "build") == before
    assert (made_report / "README.md").read_bytes() == b"readme of verdicts"
