"""Carry finished runs from one machine to another: a zip file, which an import checks throughout.

Needs no more than PyTorch and NumPy.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from claims.training import runs
from claims.training.arms import ARMS

LABELS = re.compile(r"test_labels/([a-z0-9]+)\.npy")
FILE = re.compile(r"runs/([a-z0-9-]+)/(0|[1-9][0-9]*)/([a-z.]+)")


class ArchiveError(Exception):
    """An archive cannot be written, or is refused; one sentence in the user's words."""


def pack(arguments: Sequence[str]) -> int:
    """Pack finished runs into an archive; returns 1 if it cannot be written."""
    parser = argparse.ArgumentParser(
        prog="python -m claims.training pack", description="Pack finished runs into a zip file."
    )
    parser.add_argument("archive", type=Path, help="the file to write; it must not be there yet")
    parser.add_argument("--arms", default="", metavar="A,B", help="only these arms")
    parser.add_argument("--results", type=Path, default=runs.RESULTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    return _told(lambda: packed(options.archive, options.arms, options.results))


def packed(archive: Path, arms: str, results: Path) -> str:
    """Write the archive; returns what was done.

    Raises:
        ArchiveError: if there is nothing to pack, a run is not valid, or the file is there already.
        OSError: if the archive cannot be written; no part of it is left.
    """
    names = [name for name in arms.split(",") if name] or list(ARMS)
    folders = [
        folder
        for name in names
        for folder in sorted((results / "runs" / name).glob("[0-9]*"), key=lambda one: one.name)
    ]
    if not folders:
        raise ArchiveError(f"no finished run of {', '.join(names)} is in {results / 'runs'}")
    files: list[Path] = []
    for folder in folders:
        data = ARMS[folder.parent.name].recipe.data
        runs.read(folder, runs.test_labels(data, results))
        files += sorted(folder.iterdir())
        files.append(results / "test_labels" / f"{data}.npy")
    try:
        with zipfile.ZipFile(archive, "x", zipfile.ZIP_STORED) as made:  # contents are compressed
            for file in dict.fromkeys(files):
                made.write(file, file.relative_to(results).as_posix())
    except FileExistsError:
        raise ArchiveError(f"{archive} is there already; name another file") from None
    except OSError:
        archive.unlink(missing_ok=True)
        raise
    return f"packed {len(folders)} runs into {archive}, {archive.stat().st_size / 2**20:.1f} MiB"


def import_(arguments: Sequence[str]) -> int:
    """Import the runs of archives; returns 1 if one is refused."""
    parser = argparse.ArgumentParser(
        prog="python -m claims.training import",
        description="Check archives that `pack` wrote, and put their runs among the results.",
    )
    parser.add_argument("archives", type=Path, nargs="+", metavar="ARCHIVE")
    parser.add_argument("--results", type=Path, default=runs.RESULTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    return max(
        _told(lambda archive=archive: imported(archive, options.results))  # type: ignore[misc]
        for archive in options.archives
    )


def imported(archive: Path, results: Path) -> str:
    """Put all runs of an archive among the results, or none; returns what was done.

    Raises:
        ArchiveError: if the file is no archive of `pack`, or has a run that is there with another
            content.
        RunError: if a run is not valid.
        OSError: if the runs cannot be written.
    """
    local = results / "local"
    local.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=local) as temporary:
        unpacked = Path(temporary)
        _unpack(archive, unpacked)
        folders = sorted((unpacked / "runs").glob("*/*"))
        if not folders:
            raise ArchiveError(f"{archive} holds no run")
        new = []
        for folder in folders:
            arm, seed = folder.parent.name, int(folder.name)
            labels = runs.test_labels(ARMS[arm].recipe.data, unpacked)
            runs.read(folder, labels)
            there = runs.folder_of(results, arm, seed)
            if not there.exists():
                new.append((folder, there))
            elif _contents(there) != _contents(folder):
                raise ArchiveError(
                    f"{there} is there already with another content; nothing was imported"
                )
        for labels_file in (unpacked / "test_labels").iterdir():
            there = results / "test_labels" / labels_file.name
            if not there.exists():
                there.parent.mkdir(parents=True, exist_ok=True)
                labels_file.rename(there)
        for folder, there in new:
            there.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(there)
    known = len(folders) - len(new)
    return f"imported {len(new)} runs of {archive}" + (f"; {known} were there" if known else "")


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive whose every member is a file of a run or of labels, of a sensible size."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            names = [member.filename for member in members]
            if len(set(names)) != len(names):
                raise ArchiveError(f"{archive} has a file twice")
            for member in members:
                _check_name(member, archive)
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"{archive} is damaged, or no archive of runs ({error})") from error


def _check_name(member: zipfile.ZipInfo, archive: Path) -> None:
    found = FILE.fullmatch(member.filename)
    largest = 2**20
    if found:
        if found[1] not in ARMS:
            raise ArchiveError(f"{archive} has a run of {found[1]}, and there is no such arm")
        largest = runs.LARGEST.get(found[3], 0)
    elif not LABELS.fullmatch(member.filename):
        raise ArchiveError(f"{archive} has a file {member.filename!r}, which belongs to no run")
    if member.file_size > largest:
        raise ArchiveError(f"{archive} has a file {member.filename!r} of a size it cannot have")


def _contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _told(work: Callable[[], str]) -> int:
    try:
        print(work())  # noqa: T201 - a command
    except (ArchiveError, runs.RunError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0
