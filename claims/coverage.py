"""Print what became of each line of the documents.

With the folder of the documents, their digests are verified and each line is shown with its
verdicts.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from claims.core import coverage, results
from claims.core.document import Document
from claims.core.summary import SPOKEN, show
from claims.core.verdict import Verdict
from claims.suite import SUITE

Entries = Mapping[str, Mapping[str, Any]]


def main(arguments: list[str] | None = None) -> int:
    """Print the lines; returns 1 if one is not accounted for or a document is not as declared."""
    parser = argparse.ArgumentParser(prog="python -m claims.coverage", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, help="the folder of the documents")
    directory: Path | None = parser.parse_args(arguments).directory
    shown: list[str] = []
    wrong: list[str] = []
    try:
        entries = results.read(SUITE.verdicts)
        cites = {
            id_: [SUITE.citation(cite) for cite in one["cites"]] for id_, one in entries.items()
        }
        for document in SUITE.documents:
            if document.lines:
                texts = coverage.text(document, directory) if directory else None
                found = coverage.lines(document, cites)
                wrong += coverage.problems(document, found)
                shown += told(document, found, entries, texts)
    except (results.ResultsError, coverage.CoverageError) as error:
        wrong.append(str(error))
    show(shown)
    for problem in wrong:
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201 - a command
    return int(bool(wrong))


def told(
    document: Document,
    found: list[coverage.Line],
    entries: Entries,
    texts: list[str] | None,
) -> Iterator[str]:
    """Say of each line which verdicts its claims have; name the claims where there is a text."""
    cited = sum(bool(line.claims) for line in found)
    yield (
        f"{document.key}  {document.title}: {document.lines} lines, {cited} cited, "
        f"{len(found) - cited} not checkable, {document.lines - len(found)} blank"
    )
    for line in found:
        verdicts = Counter(entries[id_]["observed"] for id_ in line.claims)
        counts = [f"{verdicts[one]} {SPOKEN[one][0]}" for one in Verdict if verdicts[one]]
        said = ", ".join(counts) or f"not checkable: {line.not_checkable or 'for no stated reason'}"
        if texts is None:
            yield f"{line.number:5}  {said}"
            continue
        yield f"{line.number:5}  {texts[line.number - 1].strip()}"
        if not line.claims:
            yield f"         {said}"
        for id_ in line.claims:
            yield f"         {entries[id_]['observed']:10}  {id_}"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
