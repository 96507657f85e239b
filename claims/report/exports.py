"""The verdicts for other programs: JUnit XML for CI, CSV for spreadsheets, JSON with a schema."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from claims.core.document import Document
from claims.core.verdict import Verdict

SCHEMA = Path(__file__).with_name("export.schema.json")

Entry = Mapping[str, Any]

ILLEGAL = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
FORMULA = re.compile(r"[\t\n\r]|\s*[-=+@\uFF1D\uFF0B\uFF0D\uFF20]")  # the last four: full width
COLUMNS = (
    "id",
    "says",
    "verdict",
    "grade",
    "conditions",
    "instead",
    "reason",
    "cites",
    "reading_of",
    "domain",
    "cases",
    "digest",
)
SHARED = (  # what the export says in the words of the verdicts file
    "recorded",
    "grade",
    "conditions",
    "instead",
    "reason",
    "counterexample",
    "exceptions",
    "cites",
    "reading_of",
    "renamed_from",
    "domain",
    "cases",
    "numbers",
    "flips",
    "digest",
    "versions",
)


def junit(verdicts: Mapping[str, Entry]) -> str:
    """Return the verdicts as JUnit XML: a test suite per topic, a test case per claim.

    A test case fails where the observed verdict is not the recorded one, and only there; a claim
    that is undecided as recorded is skipped with the reason.
    """
    topics: dict[str, list[Entry]] = {}
    for entry in verdicts.values():
        topics.setdefault(_topic(entry), []).append(entry)
    root = ET.Element("testsuites", {"name": "claims"} | _counts(verdicts.values()))
    for topic, entries in topics.items():
        suite = ET.SubElement(root, "testsuite", {"name": topic} | _counts(entries))
        suite.set("skipped", str(sum(map(_skipped, entries))))
        for entry in entries:
            _add_case(suite, entry)
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def legal(text: str) -> str:
    """Replace the characters that XML cannot hold, such as most control characters."""
    return ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)


def _topic(entry: Entry) -> str:
    return str(entry["id"]).partition("/")[0]


def _differs(entry: Entry) -> bool:
    return bool(entry["observed"] != entry["recorded"])


def _skipped(entry: Entry) -> bool:
    return entry["observed"] == Verdict.UNDECIDED and not _differs(entry)


def _counts(entries: Iterable[Entry]) -> dict[str, str]:
    entries = list(entries)
    return {
        "tests": str(len(entries)),
        "failures": str(sum(map(_differs, entries))),
        "errors": "0",
    }


def _add_case(suite: ET.Element, entry: Entry) -> None:
    case = ET.SubElement(suite, "testcase", classname=_topic(entry), name=entry["id"])
    properties = ET.SubElement(case, "properties")
    told = {
        "verdict": entry["observed"],
        "conditions": "; ".join(entry["conditions"]),
        "grade": entry["grade"],
        "cites": " ".join(entry["cites"]),
    }
    for name, value in told.items():
        if value:
            ET.SubElement(properties, "property", name=name, value=legal(value))
    if _differs(entry):
        message = f"recorded {entry['recorded']}, observed {entry['observed']}"
        failure = ET.SubElement(case, "failure", type="verdict", message=message)
        failure.text = legal("\n".join(filter(None, (entry["says"], entry["reason"]))))
    elif _skipped(entry):
        ET.SubElement(case, "skipped", message=legal(entry["reason"]))


def table(verdicts: Mapping[str, Entry]) -> str:
    """Return the verdicts as CSV (RFC 4180), a row per claim.

    A cell that a spreadsheet would take for a formula begins with an apostrophe instead.
    """
    content = io.StringIO(newline="")
    writer = csv.writer(content, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for entry in verdicts.values():
        joined = {
            "verdict": entry["observed"],
            "conditions": "; ".join(entry["conditions"]),
            "cites": " ".join(entry["cites"]),
            "cases": "; ".join(f"{number} {kind}" for kind, number in entry["cases"].items()),
        }
        writer.writerow(_cell({**entry, **joined}[column] or "") for column in COLUMNS)
    return content.getvalue()


def _cell(text: str) -> str:
    return f"'{legal(text)}" if FORMULA.match(text) else legal(text)


def export(verdicts: Mapping[str, Entry], documents: Sequence[Document]) -> str:
    """Return the verdicts and what is cited as JSON that `export.schema.json` describes."""
    exported = {
        "$schema": SCHEMA.name,
        "format": 1,
        "documents": [
            {"key": document.key, "title": document.title, "sha256": document.sha256}
            for document in documents
        ],
        "claims": [
            {
                "id": entry["id"],
                "topic": _topic(entry),
                "says": entry["says"],
                "verdict": entry["observed"],
            }
            | {name: entry[name] for name in SHARED}
            for entry in verdicts.values()
        ],
    }
    return json.dumps(exported, indent=1, allow_nan=False) + "\n"
