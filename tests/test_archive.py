"""Archives of runs: a roundtrip changes no byte, and an import refuses all else, whole."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from claims.training import archive, runs

Contents = dict[str, bytes]  # of an archive, by name

RECORD = "runs/tiny/0/run.json"
LABELS = "test_labels/patterns.npy"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results with four runs of the tiny arm."""
    results = tmp_path_factory.mktemp("made")
    tiny.make(results, 0, 1, 2, 10)
    return results


@pytest.fixture(scope="module")
def packed(made: Path) -> Path:
    """Return an archive of two of them."""
    path = made.parent / "packed.zip"
    archive.packed(path, ["tiny"], [0, 1], made)
    return path


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return results of another machine, where there is none yet."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def evidence(results: Path) -> Contents:
    """Return all files but the local ones."""
    return {
        path.relative_to(results).as_posix(): path.read_bytes()
        for path in sorted(results.rglob("*"))
        if path.is_file() and "local" not in path.parts
    }


def leftovers(results: Path) -> list[str]:
    return [path.name for path in (results / "local").rglob("*") if path.is_file()]


def do(command: Callable[[list[str]], int], results: Path, *arguments: object) -> int:
    return command(["--results", str(results), *map(str, arguments)])


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a disk without more space."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Packing ------------------------------------------------------------------------------------------


def test_a_roundtrip_changes_no_byte(
    made: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.zip"
    assert do(archive.pack, made, path) == 0
    size = f"{path.stat().st_size / 2**20:.2f} MiB"
    assert capsys.readouterr().out == f"packed 4 runs (tiny seeds 0-2,10) into {path}, {size}\n"
    assert do(archive.import_, here, path) == 0
    assert capsys.readouterr().out == f"imported 4 runs (tiny seeds 0-2,10) of {path}\n"
    assert evidence(here) == evidence(made)
    assert leftovers(here) == ["lock"]


def test_an_archive_is_of_the_runs_asked_for(made: Path, tmp_path: Path) -> None:
    archive.packed(tmp_path / "one.zip", ["tiny"], [1], made)
    with zipfile.ZipFile(tmp_path / "one.zip") as opened:
        assert opened.namelist() == [
            "runs/tiny/1/curve.json",
            "runs/tiny/1/predictions.npz",
            "runs/tiny/1/run.json",
            LABELS,
        ]


def test_the_same_runs_give_the_same_archive(made: Path, packed: Path, tmp_path: Path) -> None:
    os.utime(made / RECORD, (0, 0))  # before 1980, of which zip knows nothing
    archive.packed(tmp_path / "again.zip", [], [1, 0], made)
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_what_is_not_packed(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "there.zip"
    there.write_text("mine")
    results = Path(shutil.copytree(made, tmp_path / "results"))
    (results / "runs/tiny/2/curve.json").unlink()
    for name, arguments, sentence in [
        ("there.zip", [], f"{there} is there already; name another file"),
        ("a.zip", ["--seeds", "5"], f"there is no such finished run in {results / 'runs'}"),
        ("a.zip", ["--arms", "mnist"], f"there is no such finished run in {results / 'runs'}"),
        ("a.zip", [], "run tiny/2 is not valid: its files are not those that run.json lists"),
        ("no/a.zip", ["--seeds", "0"], "No such file or directory"),
    ]:
        assert do(archive.pack, results, tmp_path / name, *arguments) == 1
        told = capsys.readouterr()
        assert not told.out
        assert told.err.startswith("error: ")
        assert sentence in told.err
    assert there.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "there.zip"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--arms", "tinny"], "argument --arms: there is no arm 'tinny'; did you mean tiny"),
        (["--seeds", "x"], "argument --seeds: seeds must read like 0,2 or 0-5, not 'x'"),
        ([], "the following arguments are required: archive"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        archive.pack([*arguments, *(["a.zip"] if arguments else [])])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_a_full_disk_leaves_no_half_archive(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with full_disk(10_000):
        assert do(archive.pack, made, tmp_path / "a.zip") == 1
    assert "File too large" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert do(archive.pack, made, tmp_path / "a.zip") == 0


# Importing ----------------------------------------------------------------------------------------


def test_importing_twice_is_harmless(
    packed: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert do(archive.import_, here, packed) == 0
    before = evidence(here)
    capsys.readouterr()
    assert do(archive.import_, here, packed) == 0
    told = capsys.readouterr().out
    assert told == f"{packed} has nothing new; 2 runs (tiny seeds 0-1) were there\n"
    assert evidence(here) == before


def test_only_what_is_new_is_imported(
    made: Path, packed: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.packed(tmp_path / "one.zip", [], [1], made)
    assert do(archive.import_, here, tmp_path / "one.zip", packed) == 0
    assert capsys.readouterr().out == (
        f"imported 1 run (tiny seed 1) of {tmp_path / 'one.zip'}\n"
        f"imported 1 run (tiny seed 0) of {packed}; 1 run (tiny seed 1) was there\n"
    )


def test_one_refused_archive_stops_no_other(
    packed: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert do(archive.import_, here, tmp_path / "none.zip", packed) == 1
    told = capsys.readouterr()
    assert "No such file or directory" in told.err
    assert told.err.endswith("; nothing of it was imported\n")
    assert "imported 2 runs" in told.out


def test_two_imports_at_once_are_refused(
    packed: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with runs.taken(here / "local" / "import") as mine:
        assert mine
        assert do(archive.import_, here, packed) == 1
    assert "another process is importing" in capsys.readouterr().err
    assert do(archive.import_, here, packed) == 0


def stored(path: Path, contents: Contents) -> Path:
    """Write an archive as `pack` does."""
    with zipfile.ZipFile(path, "w") as made:
        for name, content in contents.items():
            made.writestr(zipfile.ZipInfo(name), content)
    return path


def contents_of(path: Path) -> Contents:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def refused(path: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Import what must be refused, without a trace of it; return the sentence."""
    before = evidence(here)
    assert do(archive.import_, here, path) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"error: {path}: ")
    assert told.err.endswith("; nothing of it was imported\n")
    assert evidence(here) == before
    assert leftovers(here) in ([], ["lock"])
    return told.err


def relabelled(contents: Contents) -> Contents:
    labels = np.load(io.BytesIO(contents[LABELS]))
    labels[0] += 1
    content = io.BytesIO()
    np.save(content, labels)
    return {**contents, LABELS: content.getvalue()}


def huge_array(shape: str) -> bytes:
    """Return an array file that claims a shape without having its numbers."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def with_record(contents: Contents, text: bytes) -> Contents:
    return {**contents, RECORD: text}


def with_predictions(contents: Contents, array: bytes) -> Contents:
    """Put another file of predictions into run 0, with digests that fit."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("test.npy", array)
    record = json.loads(contents[RECORD])
    record["files"]["predictions.npz"] = hashlib.sha256(packed.getvalue()).hexdigest()
    record["digest"] = runs.record_digest(record)
    changed = {RECORD: json.dumps(record).encode()}
    return contents | changed | {"runs/tiny/0/predictions.npz": packed.getvalue()}


def moved(contents: Contents, arm: str) -> Contents:
    return {name.replace("/tiny/", f"/{arm}/"): content for name, content in contents.items()}


def without(contents: Contents, *names: str) -> Contents:
    return {name: content for name, content in contents.items() if name not in names}


def added(name: str, content: bytes = b"") -> Callable[[Contents], Contents]:
    return lambda contents: {**contents, name: content}


REFUSED: dict[str, tuple[Callable[[Contents], Contents], str]] = {
    "nothing": (lambda contents: {}, "it holds no run"),
    "labels alone": (lambda contents: {LABELS: contents[LABELS]}, "it holds no run"),
    "unknown file": (
        added("runs/tiny/0/notes.txt"),
        "'runs/tiny/0/notes.txt', which belongs to no",
    ),
    "unknown folder": (added("verdicts.json"), "'verdicts.json', which belongs to no run"),
    "a folder": (added("runs/tiny/3/"), "'runs/tiny/3/', which belongs to no run"),
    "the folder itself": (added("runs/tiny/0/."), "'runs/tiny/0/.', which belongs to no run"),
    "its parent": (added("runs/tiny/0/.."), "'runs/tiny/0/..', which belongs to no run"),
    "upwards": (added("../evil"), "'../evil', which belongs to no run"),
    "upwards within": (added("runs/../../../run.json"), "which belongs to no run"),
    "absolute": (added("/evil/runs/tiny/0/run.json"), "which belongs to no run"),
    "backslashes": (added("runs\\tiny\\0\\run.json"), "which belongs to no run"),
    "a line break": (added("runs/tiny/0/run.json\n"), "which belongs to no run"),
    "a seed with a zero": (added("runs/tiny/00/run.json"), "which belongs to no run"),
    "a long seed": (added(f"runs/tiny/{'1' * 5000}/run.json"), "which belongs to no run"),
    "unknown arm": (
        lambda contents: moved(contents, "evil"),
        "a run of evil, and there is no such",
    ),
    "large record": (added(RECORD, b" " * (2**20 + 1)), "'runs/tiny/0/run.json' of a size that"),
    "large labels": (added(LABELS, bytes(2**20 + 1)), f"{LABELS!r} of a size that it cannot have"),
    "no record": (lambda contents: without(contents, RECORD), "it has no run.json"),
    "another arm": (
        lambda contents: moved(without(contents, LABELS), "handwritten"),
        "no true labels of cifar10",
    ),
    "another seed": (
        lambda contents: {name.replace("/1/", "/3/"): one for name, one in contents.items()},
        "run tiny/3 is not valid: it says that its seed is 1",
    ),
    "a damaged run": (
        lambda contents: with_record(contents, contents[RECORD][:-9]),
        "run tiny/0 is damaged",
    ),
    "no JSON": (lambda contents: with_record(contents, b"\xff"), "run tiny/0 is damaged"),
    "nested JSON": (
        lambda contents: with_record(contents, b"[" * 200_000),
        "run tiny/0 is damaged (RecursionError",
    ),
    "a huge array": (
        lambda contents: with_predictions(contents, huge_array(f"({2**58},)")),
        "run tiny/0 is damaged (",
    ),
    "no labels": (lambda contents: without(contents, LABELS), "no true labels of patterns"),
    "other labels": (relabelled, "does not hold the labels of the published test set"),
    "half the labels": (
        lambda contents: {**contents, LABELS: contents[LABELS][:-1]},
        "patterns.npy is damaged",
    ),
    "huge labels": (added(LABELS, huge_array(f"({2**58},)")), "damaged ("),
    "needless labels": (
        lambda contents: {**contents, "test_labels/mnist.npy": contents[LABELS]},
        "it has true labels of mnist, and no run that needs them",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_archive_is_refused(
    name: str, packed: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, sentence = REFUSED[name]
    path = stored(tmp_path / "wrong.zip", change(contents_of(packed)))
    assert sentence in refused(path, here, capsys)
    assert not (tmp_path / "evil").exists()
    assert not (here / "runs").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("member", "content", "sentence"),
    [
        ({}, b"{}", f"it has a file {RECORD!r} twice"),
        ({"filename": "runs/tiny/3/run.json", "external_attr": stat.S_IFLNK << 16}, b"/", "a link"),
        ({"filename": "runs/tiny/3/run.json", "external_attr": stat.S_IFDIR << 16}, b"", "a link"),
        (
            {"filename": "runs/tiny/3/run.json", "compress_type": zipfile.ZIP_DEFLATED},
            bytes(2**20),
            "which is compressed; `pack` stores files as they are",
        ),
        (
            {"filename": "runs/tiny/3/weights.pt", "compress_type": zipfile.ZIP_LZMA},
            bytes(2**20),
            "which is compressed",
        ),
    ],
)
def test_members_other_than_plain_files_are_refused(
    member: dict[str, Any],
    content: bytes,
    sentence: str,
    packed: Path,
    here: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = shutil.copy(packed, tmp_path / "wrong.zip")
    info = zipfile.ZipInfo(RECORD)
    for name, value in member.items():
        setattr(info, name, value)
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr(info, content)
    assert sentence in refused(Path(path), here, capsys)


def entry_of(content: bytearray, name: str) -> int:
    """Return where the entry of a member begins in the list of all members."""
    return content.rindex(name.encode()) - 46


SIZES = {"packed": 20, "unpacked": 24}


@pytest.mark.parametrize("lie", [-1, 1, 2**19])
@pytest.mark.parametrize("sizes", [["packed"], ["unpacked"], ["packed", "unpacked"]])
def test_sizes_that_are_not_true_are_refused(
    sizes: list[str],
    lie: int,
    packed: Path,
    here: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = bytearray(packed.read_bytes())
    for size in sizes:
        place = entry_of(content, RECORD) + SIZES[size]
        true = int.from_bytes(content[place : place + 4], "little")
        content[place : place + 4] = (true + lie).to_bytes(4, "little")
    path = tmp_path / "wrong.zip"
    path.write_bytes(content)
    refused(path, here, capsys)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [(6, 255, "zip file version 25.5"), (8, 1, "encrypted"), (8, 32, "patched"), (9, 8, "utf-8")],
)
def test_other_kinds_of_zip_are_refused(
    place: int,
    value: int,
    reason: str,
    packed: Path,
    here: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = bytearray(packed.read_bytes())
    content[entry_of(content, RECORD) + place] = value
    if reason == "utf-8":
        content[entry_of(content, RECORD) + 46] = 0xFF  # the first byte of the name
    path = tmp_path / "wrong.zip"
    path.write_bytes(content)
    told = refused(path, here, capsys)
    assert "it is damaged, or no archive of runs (" in told
    assert reason in told


def test_an_archive_unpacks_to_no_more_than_itself(
    packed: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Let many members share the same bytes, in which each finds its own header and all others."""
    count, body = 40, bytes(2**18)
    names = [f"runs/tiny/{number}/predictions.npz" for number in range(100, 100 + count)]
    heads = [b""] * count
    tail, offsets, entries = body, [0] * count, []
    for number in reversed(range(count)):
        name = names[number].encode()
        head = b"PK\x03\x04" + bytes([20, 0, 0, 0, 0, 0, 0, 0, 33, 0])
        head += bytes(4) + len(tail).to_bytes(4, "little") * 2
        heads[number] = head + len(name).to_bytes(2, "little") + b"\0\0" + name
        entries.append((name, len(tail)))
        tail = heads[number] + tail
    for number in range(1, count):
        offsets[number] = offsets[number - 1] + len(heads[number - 1])
    listing = b""
    for (name, size), offset in zip(reversed(entries), offsets, strict=True):
        listing += b"PK\x01\x02" + bytes([20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 33, 0]) + bytes(4)
        listing += size.to_bytes(4, "little") * 2 + len(name).to_bytes(2, "little") + bytes(12)
        listing += offset.to_bytes(4, "little") + name
    end = b"PK\x05\x06\0\0\0\0" + count.to_bytes(2, "little") * 2
    end += len(listing).to_bytes(4, "little") + len(tail).to_bytes(4, "little") + b"\0\0"
    path = tmp_path / "wrong.zip"
    path.write_bytes(tail + listing + end)
    assert zipfile.ZipFile(path).namelist() == names
    assert "its files would be larger than itself" in refused(path, here, capsys)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all" * 100])
def test_what_is_no_archive_is_refused(
    content: bytes, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.zip"
    path.write_bytes(content)
    assert "it is damaged, or no archive of runs" in refused(path, here, capsys)


def test_any_damage_is_refused_or_without_effect(
    made: Path, packed: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cut an archive anywhere, or change a byte: nothing is imported but the true runs."""
    whole = packed.read_bytes()
    moments = random.Random(0)  # noqa: S311 - no secret
    path = tmp_path / "wrong.zip"
    true = evidence(made)
    imports = 0
    for number in range(200):
        content = bytearray(whole)
        # Headers are few among many bytes of content, and at the end.
        first = 0 if number % 2 else len(content) - 1000
        place = moments.randrange(first, len(content))
        if number % 4 < 2:
            content[place] ^= moments.randrange(1, 256)
        else:
            del content[place : place + moments.choice([1, len(content)])]
        path.write_bytes(content)
        status = do(archive.import_, here, path)
        told = capsys.readouterr()
        if status == 0:
            imports += 1
            assert evidence(here).items() <= true.items()
            shutil.rmtree(here)
            here.mkdir()
        else:
            assert told.err.endswith("; nothing of it was imported\n")
            assert not evidence(here)
    assert 0 < imports < 100, "dates and comments are of no consequence; most bytes are"


# What is there already ----------------------------------------------------------------------------


def test_another_run_in_its_place_is_kept(
    packed: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert do(archive.import_, here, packed) == 0
    shutil.rmtree(here / "runs/tiny/0")
    record = json.loads((here / "runs/tiny/1/run.json").read_bytes())
    record["started"] = "2000-01-01T00:00:00+00:00"
    record["digest"] = runs.record_digest(record)
    (here / "runs/tiny/1/run.json").write_text(json.dumps(record))
    capsys.readouterr()
    sentence = f"{here / 'runs/tiny/1'} is there already with another content"
    assert sentence in refused(packed, here, capsys)
    assert not (here / "runs/tiny/0").exists()


def test_other_labels_in_their_place_are_kept(
    packed: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (here / "test_labels").mkdir()
    changed = relabelled(contents_of(packed))[LABELS]
    (here / LABELS).write_bytes(changed)
    assert "does not hold the labels of the published test set" in refused(packed, here, capsys)
    monkeypatch.setattr(runs, "TEST_LABELS", {})  # as for a data set that we have not seen
    sentence = f"its true labels of patterns are not those in {here / LABELS}"
    assert sentence in refused(packed, here, capsys)


# A disk that fails, a kill ------------------------------------------------------------------------


def test_a_full_disk_leaves_nothing(
    packed: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with full_disk(10_000):
        assert "File too large" in refused(packed, here, capsys)
    assert do(archive.import_, here, packed) == 0


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_disk_that_fails_in_the_middle_leaves_nothing(
    moves: int,
    packed: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rename, done = Path.rename, []

    def fails(source: Path, target: Path) -> Path:
        done.append(target)
        if len(done) == moves + 1:
            raise OSError(30, "Read-only file system")
        return rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fails)
        assert "Read-only file system" in refused(packed, here, capsys)
    assert len(done) == 2 * moves + 1
    assert do(archive.import_, here, packed) == 0


def test_a_results_folder_that_cannot_be_written(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refused(packed, tmp_path / "file", capsys)


KILLED = """
import os, pathlib, signal, sys
from claims.training import archive
rename = pathlib.Path.rename
def killed(source, target):
    rename(source, target)
    if target.name == "0":
        os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.rename = killed
archive.import_(sys.argv[1:])
"""


def test_after_a_kill_another_import_completes_the_runs(
    made: Path, packed: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kill the import of an archive after its first run, then import one with fewer runs."""
    archive.packed(tmp_path / "all.zip", [], [], made)
    command = [sys.executable, "-c", KILLED, "--results", str(here), str(tmp_path / "all.zip")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(leftovers(here)) > 1, "the kill came in the middle"
    assert set(evidence(here)) == {LABELS, *(f"runs/tiny/0/{name}" for name in runs.LARGEST)}
    runs.read(here / "runs/tiny/0", runs.test_labels("patterns", here))
    assert do(archive.import_, here, packed) == 0
    told = capsys.readouterr().out
    assert told == f"imported 1 run (tiny seed 1) of {packed}; 1 run (tiny seed 0) was there\n"
    assert evidence(here).items() <= evidence(made).items()
    assert leftovers(here) == ["lock"]
