"""`python -m claims.report.release VERSION`: freeze the committed verdicts as those of a release.

Writes `results/released.json`, the verdicts with version, date and commit, to which the overview
of the report compares; an entry of CHANGES.md; the version in pyproject.toml and CITATION.cff. It
commits and tags nothing, but says how. `make release VERSION=x.y.z` runs every check before.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from claims.core import results
from claims.core.summary import SPOKEN, show
from claims.core.verdict import Verdict
from claims.report import difference, errata

ROOT = Path(__file__).resolve().parent.parent.parent
NUMBER = r"(0|[1-9][0-9]*)"
VERSION = re.compile(rf"{NUMBER}\.{NUMBER}\.{NUMBER}")
TITLE = """# Changes

Which verdicts changed with each release; written by `make release`.
"""
SHOWN = 5  # of the files or claims that stand in the way

Entries = Mapping[str, results.Entry]


class ReleaseError(Exception):
    """There can be no such release; the message says why."""


@dataclass(frozen=True)
class Release:
    """Which release it is, its day (ISO, in UTC), and the commit whose verdicts it has."""

    version: str
    date: str
    commit: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a release, or with --check only say whether there can be one; returns 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m claims.report.release",
        description="Freeze the committed verdicts as those of a release.",
    )
    parser.add_argument("version", metavar="VERSION", help="three numbers, as in 1.2.0")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    try:
        texts = prepared(options.version)
        if not options.check:
            write(texts)
    except (ReleaseError, results.ResultsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    if not options.check:
        named = " ".join(path.relative_to(ROOT).as_posix() for path in texts)
        tag = f"v{options.version}"
        show(
            [
                f"Version {options.version} is written. To publish it:",
                f"  git add {named}",
                f'  git commit -m "Release {options.version}"',
                f'  git tag -a {tag} -m "Release {options.version}"',
                f"  git push origin HEAD {tag}",
            ]
        )
    return 0


def write(texts: Mapping[Path, str]) -> None:
    """Put the files of a release in their places, each whole or not at all.

    Raises:
        ReleaseError: if one cannot be written.
    """
    for path, text in texts.items():
        try:
            results.write(path, text)
        except results.ResultsError as error:
            raise ReleaseError(
                f"{error}; `git status` shows what is written of the release"
            ) from error


def last(directory: Path) -> tuple[Release, Entries] | None:
    """Return the last release with its verdicts, of the results in a folder; None before the first.

    Raises:
        ResultsError: if its file is damaged.
    """
    path = directory / "released.json"
    if not path.exists():
        return None
    entries = difference.read(path)
    told = json.loads(path.read_bytes()).get("release")
    if told is None:
        raise results.ResultsError(f"{path} is damaged (it does not say of which release it is)")
    return Release(**told), entries


def prepared(version: str) -> dict[Path, str]:
    """Return the files of a release by where they belong, the largest first.

    Raises:
        ReleaseError: if the version is none or not newer than the last one, if the tree has changes
            that are in no commit, or if a verdict is not the recorded one.
        ResultsError: if the verdicts, or those of the last release, cannot be read.
    """
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is not a version; it is three numbers, as in 1.2.0")
    commit = _git("rev-parse", "HEAD").strip()
    if changed := _git("status", "--porcelain", "--untracked-files=all").splitlines():
        raise ReleaseError(
            f"the tree has changes that are in no commit ({_some(changed)}); commit or undo them"
        )
    before = last(ROOT / "results")
    if before and _numbers(version) <= _numbers(before[0].version):
        raise ReleaseError(f"{version} is not newer than {before[0].version}, the last release")
    entries = difference.read(ROOT / "results" / "verdicts.json")
    if wrong := [id_ for id_, one in entries.items() if one["observed"] != one["recorded"]]:
        raise ReleaseError(f"these verdicts are not the recorded ones: {_some(wrong)}")

    release = Release(version, datetime.now(UTC).date().isoformat(), commit)
    changes = ROOT / "CHANGES.md"
    _, mark, older = _text(changes).partition("\n## ") if changes.exists() else ("", "", "")
    pyproject, citation = ROOT / "pyproject.toml", ROOT / "CITATION.cff"
    cited = f"version: {version}\ndate-released: {release.date}"
    return {
        ROOT / "results" / "released.json": results.dump(entries, asdict(release)),
        changes: TITLE + news(release, before[1] if before else None, entries) + mark + older,
        pyproject: _with(pyproject, r'version = ".*"', f'version = "{version}"'),
        citation: _with(citation, r"version: .*(\ndate-released: .*)?", cited),
    }


def news(release: Release, before: Entries | None, entries: Entries) -> str:
    """Return what is new in a release, as a section in Markdown."""
    counts = Counter(one["observed"] for one in entries.values())
    told = ", ".join(f"{counts[verdict]} {SPOKEN[verdict][0]}" for verdict in Verdict)
    lines = [f"## {release.version}, {release.date}", "", f"{len(entries)} claims: {told}.", ""]
    if before is None:
        lines.append("The first release.")
    else:
        changed = difference.differences(before, entries)
        lines += [f"- `{one.id}`: {errata.markdown(difference.brief(one))}" for one in changed]
        lines += [] if changed else ["No verdict changed."]
    return "\n".join(["", *lines, ""])


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def _some(names: Sequence[str]) -> str:
    shown = [" ".join(name.split()) for name in names[:SHOWN]]
    return ", ".join(shown + [f"and {len(names) - SHOWN} more"] * (len(names) > SHOWN))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _with(path: Path, line: str, new: str) -> str:
    """Return a file with other lines in the place of those with the version."""
    text, found = re.subn(rf"^{line}$", new, _text(path), flags=re.MULTILINE)
    if found != 1:
        raise ReleaseError(f"{path} has the version {found} times instead of once")
    return text


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    except FileNotFoundError as error:
        raise ReleaseError("git is not installed") from error
    except subprocess.CalledProcessError as error:
        raise ReleaseError(f"git says: {error.stderr.strip()}") from error


if __name__ == "__main__":
    sys.exit(main())
