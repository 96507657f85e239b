"""The verdicts file: what a run found, as JSON that a rerun reproduces byte for byte."""

from __future__ import annotations

import functools
import hashlib
import json
import linecache
import os
import platform
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import CodeType
from typing import Any

from claims.core.claim import Claim
from claims.core.judge import Judged
from claims.core.verdict import Outcome, Refuted, Undecided

SCHEMA = Path(__file__).with_name("verdicts.schema.json")

Entry = dict[str, Any]


class ResultsError(Exception):
    """The verdicts file cannot be read or written; the message says why, and what is left."""


def entry(claim: Claim, judged: Judged, packages: Iterable[str]) -> Entry:
    """Return what the verdicts file keeps of one claim."""
    observation = judged.observation
    recorded = claim.recorded
    return {
        "id": claim.id,
        "says": claim.says,
        "cites": list(claim.cites),
        "reading_of": claim.reading_of,
        "renamed_from": claim.renamed_from,
        "cost": claim.cost,
        "grade": claim.grade.value,
        "recorded": recorded.verdict.value,
        "observed": observation.verdict.value,
        "conditions": list(observation.conditions),
        "instead": recorded.instead if isinstance(recorded, Refuted) else None,
        "reason": _reason(claim, judged),
        "counterexample": _shown(observation.counterexample),
        "exceptions": [_shown(outcome) for outcome in observation.exceptions],
        "domain": "; ".join(dict.fromkeys(judgement.domain for judgement in claim.judgements)),
        "cases": judged.cases,
        "numbers": judged.numbers,
        "flips": [fault.name for judgement in claim.judgements for fault in judgement.flipped_by],
        "digest": source_digest(claim),
        "versions": {"python": platform.python_version()}
        | {package: _version(package) for package in packages},
    }


_version = functools.cache(metadata.version)  # it searches the whole environment


def _shown(outcome: Outcome | None) -> dict[str, Any] | None:
    return None if outcome is None else {"case": outcome.case, "message": outcome.message}


def _reason(claim: Claim, judged: Judged) -> str:
    observation = judged.observation
    if observation.counterexample is not None:
        return observation.counterexample.message
    if observation.missing is not None:
        needs = claim.recorded.needs if isinstance(claim.recorded, Undecided) else "evidence"
        return f"{observation.missing}; needs {needs}"
    return "; ".join(
        f"without {condition!r}: {shown.message}"
        for shown in observation.exceptions
        for condition in shown.violated
    )


def source_digest(claim: Claim) -> str:
    """Return 16 hex digits that change with the source of the statements, not with indentation."""
    digest = hashlib.sha256()
    for judgement in claim.judgements:
        digest.update("\n".join(_source(judgement.statement.__code__)).encode())
    return digest.hexdigest()[:16]


def _source(code: CodeType) -> Iterator[str]:
    """Yield the lines of a function without indentation; much quicker than inspect.getsource.

    The function ends before the first line that is indented no deeper than its `def` and does not
    close the parenthesis of its parameters.
    """
    lines = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]
    start = next(number for number, line in enumerate(lines) if line.lstrip().startswith("def "))
    depth = len(lines[start]) - len(lines[start].lstrip())
    for number, line in enumerate(lines):
        text = line.strip()
        inside = len(line) - len(line.lstrip()) > depth or text.startswith(")")
        if number > start and text and not inside:
            return
        if text:
            yield text


def read(path: Path) -> dict[str, Entry]:
    """Return the entries of a verdicts file by id; none if there is no file.

    Raises:
        ResultsError: if the file cannot be read or is not what `write` writes.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} cannot be read: {_why(error)}") from error
    remedy = "it was left as it is; restore it from version control or delete it"
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultsError(f"{path} is damaged ({error}); {remedy}") from error
    schema = json.loads(SCHEMA.read_bytes())
    wrong = best_match(Draft202012Validator(schema).iter_errors(document))
    if wrong is not None:
        place = "/".join(str(part) for part in wrong.absolute_path) or "the top level"
        raise ResultsError(f"{path} is damaged ({place}: {wrong.message[:200]}); {remedy}")
    entries = {one["id"]: one for one in document["claims"]}
    if len(entries) != len(document["claims"]):
        raise ResultsError(f"{path} is damaged (an id stands there twice); {remedy}")
    return entries


def merge(
    old: Mapping[str, Entry], new: Mapping[str, Entry], known: Collection[str] | None = None
) -> dict[str, Entry]:
    """Return the old entries with the new ones in their place.

    `known` are the ids of the whole suite where all of it was collected; only then are entries of
    claims that are no more left out.
    """
    merged = {**old, **new}
    return {id_: merged[id_] for id_ in sorted(merged) if known is None or id_ in known}


def dump(entries: Mapping[str, Entry], release: Mapping[str, str] | None = None) -> str:
    """Return the canonical text of a verdicts file; one of a release says of which."""
    document: dict[str, Any] = {"release": release} if release else {}
    document["claims"] = list(entries.values())
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def write(path: Path, text: str) -> None:
    """Put `text` at `path`, whole or not at all.

    Raises:
        ResultsError: if it cannot be written; what was there before is still there.
    """
    content = text.encode()
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() == content:
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise ResultsError(
            f"{path} cannot be written: {_why(error)}; what was there before is untouched"
        ) from error


def writable(path: Path) -> None:
    """Make sure that `path` could be written now.

    Raises:
        ResultsError: if its folder is read-only or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(bytes(65536))
    except OSError as error:
        raise ResultsError(f"{path} cannot be written: {_why(error)}") from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)
