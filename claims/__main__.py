"""Look up verdicts: `python -m claims`, `python -m claims 004:43`, `python -m claims ID`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from claims.core import results
from claims.core.suite import NotProvidedError, SubjectError, Suite, UnavailableError, unknown_id
from claims.core.summary import SPOKEN, show
from claims.core.verdict import Verdict

Entry = Mapping[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Print what is asked for; returns 1 if a case shows a claim false, 2 for a wrong call."""
    parser = argparse.ArgumentParser(
        prog="python -m claims",
        description="Show the verdicts of a document's line or of a claim; judge a case again.",
        epilog="Examples: python -m claims 004:43; python -m claims pointwise/mixes-all-channels",
    )
    parser.add_argument("what", nargs="?", help="a place in a document (004:43) or a claim's id")
    parser.add_argument("--case", metavar="JSON", help="judge the claim on this case alone")
    parser.add_argument(
        "--subject", metavar="PATH", help="with --case: the implementation to judge"
    )
    parser.add_argument("--device", default="cpu", help="with --case: its device (default: cpu)")
    options = parser.parse_args(arguments)
    try:
        return _answer(options)
    except (ValueError, results.ResultsError, SubjectError, UnavailableError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 2


def _answer(options: argparse.Namespace) -> int:
    from claims.suite import SUITE

    if options.case is not None:
        return _replay(SUITE, options)
    entries = results.read(SUITE.verdicts)
    if not entries:
        raise ValueError("no verdicts yet; `make quick` makes them")
    if options.what is None:
        lines = _overview(entries)
    elif ":" in options.what:
        lines = _place(SUITE, options.what, entries)
    else:
        renamed = {one["renamed_from"]: id_ for id_, one in entries.items()}
        id_ = renamed.get(options.what, options.what)
        if id_ not in entries:
            raise ValueError(unknown_id(id_, entries))
        lines = _claim(entries[id_], entries)
    show(lines)
    return 0


def _overview(entries: Mapping[str, Entry]) -> list[str]:
    return [_line(entry) for entry in entries.values()]


def _place(suite: Suite, text: str, entries: Mapping[str, Entry]) -> list[str]:
    place = suite.citation(text)
    document = suite.by_key[place.document]
    found = [
        entry
        for entry in entries.values()
        if any(suite.citation(cite).covers(place) for cite in entry["cites"])
    ]
    lines = [f"{text} in {document.title}: {len(found)} claim{'s' * (len(found) != 1)}", ""]
    lines += [
        f"line {span}: not checkable: {reason}"
        for span, reason in document.not_checkable.items()
        if suite.citation(f"{document.key}:{span}").covers(place)
    ]
    for entry in found:
        lines += [_line(entry), f"             {entry['says']}"]
        if entry["reason"]:
            lines.append(f"             {entry['reason']}")
    return lines


def _line(entry: Entry) -> str:
    return f"{entry['observed']:11}  {entry['id']}"


def _claim(entry: Entry, entries: Mapping[str, Entry]) -> list[str]:
    conditions = f" ({'; '.join(entry['conditions'])})" if entry["conditions"] else ""
    rows = {
        "cited": ", ".join(entry["cites"]),
        "reading of": entry["reading_of"],
        "verdict": SPOKEN[Verdict(entry["observed"])][1] + conditions,
        "because": entry["reason"],
        "evidence": f"{entry['grade']}: "
        + ", ".join(f"{number} {kind}" for kind, number in entry["cases"].items()),
        "domain": entry["domain"],
        "flipped by": ", ".join(entry["flips"]),
    }
    if entry["recorded"] != entry["observed"]:
        rows["recorded"] = entry["recorded"]
    if entry["instead"]:
        corrected = entries.get(entry["instead"])
        rows["true is"] = entry["instead"] + (f": {corrected['says']}" if corrected else "")
    lines = [entry["id"], f"  {entry['says']}", ""]
    lines += [f"  {name:10}  {text}" for name, text in rows.items() if text]
    if entry["numbers"]:
        lines += ["", "  numbers"]
    for case, numbers in entry["numbers"].items():
        told = ", ".join(f"{name} {number}" for name, number in numbers.items())
        lines.append(f"    {case}: {told}")
    shown = [entry["counterexample"]] if entry["counterexample"] else entry["exceptions"]
    if shown:
        lines += ["", "  See it fail, in Python:", ""]
        lines += [f"    {line}" for line in _script(entry["id"], shown[0])]
    return lines


def _script(id_: str, shown: Mapping[str, Any]) -> list[str]:
    return [
        "from claims.suite import SUITE",
        f"claim = SUITE.claim({id_!r})",
        f"case = claim.case({shown['case']!r})",
        "print(claim.says)",
        f"claim.check(case)  # {shown['message']}",
    ]


def _replay(suite: Suite, options: argparse.Namespace) -> int:
    if options.what is None or ":" in options.what:
        raise ValueError("--case needs the id of a claim before it")
    try:
        described = json.loads(options.case)
    except json.JSONDecodeError as error:
        raise ValueError(f"--case is not JSON: {error}") from error
    claim = suite.claim(options.what)
    case = claim.case(described)
    replaced = {}
    if suite.replaceable and suite.bring and (options.subject or options.device != "cpu"):
        replaced[suite.replaceable.name] = suite.bring(options.subject, options.device)
    try:
        claim.check(case, replaced)
    except AssertionError as false:
        print(f"false on this case: {false}")  # noqa: T201 - a command
        return 1
    except NotProvidedError as lack:
        raise ValueError(f"not judged: {lack}") from lack
    print("true on this case")  # noqa: T201 - a command
    return 0


if __name__ == "__main__":
    sys.exit(main())
