"""Carry finished runs from one machine to another: a zip file, which an import checks throughout.

The members of an archive are stored as they are, uncompressed, so that it takes no more space
unpacked than packed. Needs no more than PyTorch and NumPy. Examinations are not packed: `examine`
makes them of the weights where the runs are imported.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from claims.training import runs
from claims.training.arms import ARMS
from claims.training.reproduce import chosen_arms, chosen_seeds, complain, counted, listed

LABELS = re.compile(r"test_labels/([a-z0-9]+)\.npy")
FILE = re.compile(r"runs/([a-z0-9-]+)/(0|[1-9][0-9]{0,9})/([a-z.]+)")
LARGEST_LABELS = 2**20  # bytes


class ArchiveError(Exception):
    """An archive cannot be written, or is refused; one sentence in the user's words."""


def pack(arguments: Sequence[str]) -> int:
    """Pack finished runs into an archive; returns 1 if it cannot be written."""
    parser = argparse.ArgumentParser(
        prog="python -m claims.training pack",
        description="Pack finished runs into a zip file, which `import` puts among the results "
        "elsewhere. Where it would be too large, pack arm by arm.",
    )
    parser.add_argument("archive", type=Path, help="the file to write; it must not be there yet")
    parser.add_argument(
        "--arms", type=chosen_arms, default="", metavar="A,B", help="only these arms"
    )
    parser.add_argument(
        "--seeds", type=chosen_seeds, default="", metavar="0,2-5", help="only these seeds"
    )
    parser.add_argument("--results", type=Path, default=runs.RESULTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        done = packed(options.archive, options.arms, options.seeds, options.results)
    except (ArchiveError, runs.RunError, OSError) as error:
        complain(str(error))
        return 1
    print(done)  # noqa: T201 - a command
    return 0


def packed(archive: Path, arms: Sequence[str], seeds: Sequence[int], results: Path) -> str:
    """Write an archive of the finished runs of these arms and seeds, of all where none are named.

    The same runs give the same bytes. Returns what was done.

    Raises:
        ArchiveError: if there is nothing to pack, or the file is there already.
        RunError: if a run is not valid.
        OSError: if the archive cannot be written; no part of it is left.
    """
    if archive.exists():
        raise ArchiveError(f"{archive} is there already; name another file")
    folders = [
        folder
        for arm in arms or ARMS
        for folder in sorted(
            (results / "runs" / arm).glob("[0-9]*"), key=lambda one: (len(one.name), one.name)
        )
        if not seeds or folder.name in map(str, seeds)
    ]
    if not folders:
        raise ArchiveError(f"there is no such finished run in {results / 'runs'}")
    files: dict[Path, None] = {}
    for folder in folders:
        data = ARMS[folder.parent.name].recipe.data
        runs.read(folder, runs.test_labels(data, results))
        files |= dict.fromkeys([*sorted(folder.iterdir()), results / "test_labels" / f"{data}.npy"])
    part = archive.with_name(f"{archive.name}.part")
    try:
        with zipfile.ZipFile(part, "w") as made:
            for file in files:
                member = zipfile.ZipInfo(file.relative_to(results).as_posix())
                member.external_attr = (stat.S_IFREG | 0o644) << 16
                made.writestr(member, file.read_bytes())
        part.replace(archive)
    finally:
        part.unlink(missing_ok=True)
    mebibytes = archive.stat().st_size / 2**20
    return f"packed {_named(folders)} into {archive}, {mebibytes:.2f} MiB"


def import_(arguments: Sequence[str]) -> int:
    """Import the runs of archives; returns 1 if one is refused."""
    parser = argparse.ArgumentParser(
        prog="python -m claims.training import",
        description="Check archives that `pack` wrote, and put their runs among the results: all "
        "runs of an archive, or none.",
    )
    parser.add_argument("archives", type=Path, nargs="+", metavar="ARCHIVE")
    parser.add_argument("--results", type=Path, default=runs.RESULTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    status = 0
    for archive in options.archives:
        try:
            print(imported(archive, options.results))  # noqa: T201 - a command
        except (ArchiveError, runs.RunError, OSError) as error:
            complain(f"{archive}: {error}; nothing of it was imported")
            status = 1
    return status


def imported(archive: Path, results: Path) -> str:
    """Put all runs of an archive among the results, or none; returns what was done.

    A run comes whole or not at all even where the process is killed; the rest of the archive comes
    when it is imported again.

    Raises:
        ArchiveError: if the file is no archive of `pack`, has runs or labels that are there with
            another content, or another process imports.
        RunError: if a run or the labels are not valid.
        OSError: if the archive cannot be read or the runs cannot be written.
    """
    with _unpacked(archive, results / "local" / "import") as unpacked:
        folders = sorted(unpacked.glob("runs/*/*"), key=_place)
        if not folders:
            raise ArchiveError("it holds no run")
        moves = _moves_of_labels(folders, unpacked, results)
        known = []
        for folder in folders:
            arm, seed = _place(folder)
            with _suspicious(f"run {arm}/{seed} is"):
                runs.read(folder, runs.test_labels(ARMS[arm].recipe.data, unpacked))
            there = runs.folder_of(results, arm, seed)
            if not there.exists():
                moves.append((folder, there))
            elif _contents(there) == _contents(folder):
                known.append(folder)
            else:
                raise ArchiveError(f"{there} is there already with another content")
        new = [folder for folder in folders if folder not in known]
        _move(moves)
    told = f"imported {_named(new)} of {archive}" if new else f"{archive} has nothing new"
    return told + (f"; {_named(known)} {'was' if len(known) == 1 else 'were'} there" * bool(known))


@contextlib.contextmanager
def _unpacked(archive: Path, local: Path) -> Iterator[Path]:
    """Unpack an archive of which all members are files of runs or labels, for the duration."""
    with runs.taken(local) as mine:
        if not mine:
            raise ArchiveError("another process is importing; try again when it has finished")
        folder = local / "unpacked"
        try:
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
            for name, content in _members(archive):
                _write(folder / name, content)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files in an archive, after a check that each may be in one."""
    size = archive.stat().st_size
    with archive.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as opened:
                members = opened.infolist()
                _check_members(members, size)
                for member in members:
                    yield member.filename, opened.read(member)
        except ArchiveError:
            raise
        except Exception as error:  # what zipfile raises for hostile bytes is not documented
            raise ArchiveError(f"it is damaged, or no archive of runs ({error})") from error


def _check_members(members: Sequence[zipfile.ZipInfo], size: int) -> None:
    names = collections.Counter(member.filename for member in members)
    for member in members:
        what = f"it has a file {member.filename!r}"
        found, labels = FILE.fullmatch(member.filename), LABELS.fullmatch(member.filename)
        largest = LARGEST_LABELS if labels else runs.LARGEST.get(found[3]) if found else None
        if largest is None:
            raise ArchiveError(f"{what}, which belongs to no run")
        if names[member.filename] > 1:
            raise ArchiveError(f"{what} twice")
        if found and found[1] not in ARMS:
            raise ArchiveError(f"it has a run of {found[1]}, and there is no such arm")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise ArchiveError(f"{what}, which is a link or something else than a file")
        if member.compress_type != zipfile.ZIP_STORED:
            raise ArchiveError(f"{what}, which is compressed; `pack` stores files as they are")
        if member.file_size != member.compress_size or member.file_size > largest:
            raise ArchiveError(f"{what} of a size that it cannot have")
    # Members that overlap could still unpack to more than the archive holds.
    if sum(member.file_size for member in members) > size:
        raise ArchiveError("its files would be larger than itself")


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _moves_of_labels(
    folders: Sequence[Path], unpacked: Path, results: Path
) -> list[tuple[Path, Path]]:
    """Check the true labels in an archive; returns from where to where those that are new go."""
    needed = {ARMS[folder.parent.name].recipe.data for folder in folders}
    moves = []
    for path in sorted(unpacked.glob("test_labels/*")):
        if path.stem not in needed:
            raise ArchiveError(f"it has true labels of {path.stem}, and no run that needs them")
        with _suspicious(f"the true labels of {path.stem} in it are"):
            labels = runs.test_labels(path.stem, unpacked)
        there = results / "test_labels" / path.name
        if not there.exists():
            moves.append((path, there))
        elif not np.array_equal(labels, runs.test_labels(path.stem, results)):
            raise ArchiveError(f"its true labels of {path.stem} are not those in {there}")
    return moves


@contextlib.contextmanager
def _suspicious(what: str) -> Iterator[None]:
    """Turn whatever hostile files do to what reads them into one sentence."""
    try:
        yield
    except runs.RunError:
        raise
    except Exception as error:
        raise ArchiveError(f"{what} damaged ({type(error).__name__}: {error})") from error


def _move(moves: Sequence[tuple[Path, Path]]) -> None:
    """Move all, or none where one cannot be moved."""
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            done.append((source, target))
    except BaseException:
        for source, target in reversed(done):
            target.rename(source)
        raise


def _place(folder: Path) -> tuple[str, int]:
    return folder.parent.name, int(folder.name)


def _named(folders: Sequence[Path]) -> str:
    return f"{counted(len(folders), 'run')} ({listed(map(_place, folders))})"


def _contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}
