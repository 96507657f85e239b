"""The RO-Crate: it lists exactly the evidence, with digests, and says what made each run."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from claims.report.crate import METADATA, CrateError, crate, main, zipped
from claims.training import runs

Files = dict[str, bytes]

SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d\d:\d\d")


@pytest.fixture(scope="module")
def committed() -> Files:
    return crate(runs.RESULTS)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return results with one run, as a copy that may be changed."""
    copied = tmp_path / "results"
    for name in ("measured", "test_labels", "runs/handwritten-short/0"):
        shutil.copytree(runs.RESULTS / name, copied / name)
    for name in ("rules.json", "traces.json", "verdicts.json"):
        shutil.copyfile(runs.RESULTS / name, copied / name)
    return copied


def graph(files: Files) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(files[METADATA])["@graph"]
    return found


def of_type(files: Files, kind: str) -> dict[str, dict[str, Any]]:
    return {one["@id"]: one for one in graph(files) if one["@type"] == kind}


def references(value: object) -> list[str]:
    """Return the ids that a value of an entity refers to."""
    values = value if isinstance(value, list) else [value]
    return [one["@id"] for one in values if isinstance(one, dict)]


# The structure, and what of it can be wrong -------------------------------------------------------


def problems(files: Files) -> list[str]:
    """Say what is wrong with a crate: files, digests, sizes, ids and references."""
    found = []
    entities = graph(files)
    ids = Counter(one["@id"] for one in entities)
    found += [f"{id_} twice" for id_, times in ids.items() if times > 1]
    listed = {unquote(one["@id"]): one for one in entities if one["@type"] == "File"}
    root = next(one for one in entities if one["@id"] == "./")
    parts = {unquote(part) for part in references(root["hasPart"])}
    for name in sorted(files.keys() - {METADATA} | listed.keys() | parts):
        if name not in files or name not in listed or name not in parts:
            found.append(f"{name} not in all of archive, list and root")
            continue
        if listed[name]["sha256"] != hashlib.sha256(files[name]).hexdigest():
            found.append(f"{name} has another digest")
        if listed[name]["contentSize"] != str(len(files[name])):
            found.append(f"{name} has another size")
    for one in entities:
        known = {*ids, "https://w3id.org/ro/crate/1.1"}
        for name, value in one.items():
            found += [f"{one['@id']} {name} {id_}" for id_ in references(value) if id_ not in known]
            if isinstance(value, list) and len(value) < 2:
                found.append(f"{one['@id']} {name} is a list of {len(value)}")
    return found


def test_the_committed_evidence_makes_a_sound_crate(committed: Files) -> None:
    assert problems(committed) == []
    assert next(iter(committed)) == METADATA


def reworded(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Files], None]:
    def applied(files: Files) -> None:
        document = json.loads(files[METADATA])
        change(document["@graph"])
        files[METADATA] = json.dumps(document).encode()

    return applied


def tampered(files: Files) -> None:
    content = files["rules.json"]
    files["rules.json"] = bytes([content[0] ^ 1]) + content[1:]


def of(entities: list[dict[str, Any]], id_: str) -> dict[str, Any]:
    return next(one for one in entities if one["@id"] == id_)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (tampered, "rules.json has another digest"),
        (lambda f: f.update({"rules.json": b"{}"}), "rules.json has another size"),
        (lambda f: f.pop("rules.json"), "rules.json not in all"),
        (lambda f: f.update(extra=b""), "extra not in all"),
        (reworded(lambda g: of(g, "./")["hasPart"].pop(0)), "rules.json not in all"),
        (reworded(lambda g: g.remove(of(g, "rules.json"))), "rules.json not in all"),
        (reworded(lambda g: g.append(of(g, "rules.json"))), "rules.json twice"),
        (reworded(lambda g: g.remove(of(g, "#developers"))), "author #developers"),
    ],
    ids=["tampered", "replaced", "lost", "added", "no part", "unlisted", "twice", "dangling"],
)
def test_a_fault_in_a_crate_is_found(
    committed: Files, fault: Callable[[Files], object], says: str
) -> None:
    files = copy.copy(committed)
    fault(files)
    assert any(says in problem for problem in problems(files)), problems(files)


def test_the_crate_holds_all_evidence_and_nothing_else(committed: Files) -> None:
    there = {"rules.json", "traces.json", "verdicts.json"}
    for folder in ("runs", "measured", "test_labels"):
        paths = (runs.RESULTS / folder).rglob("*")
        there |= {path.relative_to(runs.RESULTS).as_posix() for path in paths if path.is_file()}
    assert committed.keys() - {METADATA} == there
    for name in there:
        assert committed[name] == (runs.RESULTS / name).read_bytes()


# What it says -------------------------------------------------------------------------------------


def test_the_metadata_names_the_profile_and_the_licence(committed: Files) -> None:
    document = json.loads(committed[METADATA])
    assert document["@context"] == [
        "https://w3id.org/ro/crate/1.1/context",
        "https://w3id.org/ro/terms/workflow-run/context",
    ]
    entities = document["@graph"]
    assert of(entities, METADATA)["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert of(entities, METADATA)["about"] == {"@id": "./"}
    root = of(entities, "./")
    assert root["conformsTo"] == {"@id": "https://w3id.org/ro/wfrun/process/0.5"}
    assert of(entities, root["conformsTo"]["@id"])["version"] == "0.5"
    assert of(entities, root["license"]["@id"])["name"] == "MIT License"
    assert of(entities, root["author"]["@id"])["@type"] == "Organization"
    finished = [json.loads(path.read_bytes())["finished"] for path in records()]
    assert root["datePublished"] == max(finished)[:10]


def records() -> list[Path]:
    return sorted((runs.RESULTS / "runs").glob("*/*/run.json"))


def test_each_run_is_an_action(committed: Files) -> None:
    actions = of_type(committed, "CreateAction")
    programs = of_type(committed, "SoftwareApplication")
    inputs = of_type(committed, "CreativeWork")
    assert len(actions) == len(records()) > 0
    for path in records():
        record = json.loads(path.read_bytes())
        action = actions[f"#run-{record['arm']}-{record['seed']}"]
        assert (action["startTime"], action["endTime"]) == (record["started"], record["finished"])
        assert SECONDS.fullmatch(action["startTime"])
        assert SECONDS.fullmatch(action["endTime"])
        assert {unquote(id_) for id_ in references(action["result"])} == {
            one.relative_to(runs.RESULTS).as_posix() for one in path.parent.iterdir()
        }
        (data,) = (inputs[id_] for id_ in references(action["object"]))
        assert (data["name"], data["sha256"]) == (record["data"]["name"], record["data"]["sha256"])
        (program,) = (programs[id_] for id_ in references(action["instrument"]))
        assert program["softwareVersion"] == record["commit"]
        assert record["code"] in program["description"]
        assert ("in no commit" in program["description"]) == (not record["clean"])
        needed = {
            programs[id_]["name"]: programs[id_]["softwareVersion"]
            for id_ in references(program["softwareRequirements"])
        }
        assert needed == {name: one for name, one in record["versions"].items() if one}
        assert record["device"]["name"] in action["description"]
        assert " ".join(record["command"]) in action["description"]
    (root,) = of_type(committed, "Dataset").values()
    assert set(references(root["mentions"])) == actions.keys()


# What JSON-LD does not know it drops; these are terms of the two contexts.
TERMS = {
    "CreativeWork": {"about", "conformsTo", "description", "name", "sha256", "url", "version"},
    "Dataset": {
        *("author", "conformsTo", "datePublished", "description", "hasPart", "license"),
        *("mentions", "name", "publisher"),
    },
    "Organization": {"name"},
    "SoftwareApplication": {
        *("description", "name", "softwareRequirements", "softwareVersion", "url"),
    },
    "CreateAction": {
        *("actionStatus", "agent", "description", "endTime", "instrument", "name", "object"),
        *("result", "startTime"),
    },
    "File": {"contentSize", "description", "encodingFormat", "name", "sha256"},
}


def test_only_known_terms_are_used(committed: Files) -> None:
    for one in graph(committed):
        assert one.keys() - {"@id", "@type"} <= TERMS[one["@type"]], one["@id"]


def test_each_file_is_described(committed: Files) -> None:
    formats = {}
    for name, one in of_type(committed, "File").items():
        assert len(one["description"].split()) >= 5
        formats[Path(name).suffix] = one["encodingFormat"]
    assert formats == {
        ".json": "application/json",
        ".npz": "application/zip",
        ".npy": "application/octet-stream",
        ".pt": "application/zip",
    }
    for suffix in (".npz", ".pt"):
        assert all(
            zipfile.is_zipfile(io.BytesIO(content))
            for name, content in committed.items()
            if name.endswith(suffix)
        )


# The same tree, the same bytes --------------------------------------------------------------------


def test_the_same_tree_gives_the_same_bytes(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = crate(results)
    copied = tmp_path / "copied"
    shutil.copytree(results, copied, copy_function=shutil.copyfile)
    (copied / "local").mkdir()
    (copied / "local" / "lock").write_text("not evidence")
    archive = tmp_path / "out.zip"
    archive.write_text("an older one")
    assert main([str(archive), "--results", str(copied)]) == 0
    assert capsys.readouterr().out == f"wrote {archive}, {len(files)} files\n"
    assert archive.read_bytes() == zipped(files)
    with zipfile.ZipFile(archive) as made:
        assert {name: made.read(name) for name in made.namelist()} == files
        for member in made.infolist():
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert member.compress_type == zipfile.ZIP_STORED
            assert member.external_attr >> 16 == 0o100644


def test_one_run_alone_stands_without_a_list(results: Path) -> None:
    files = crate(results)
    assert problems(files) == []
    (root,) = of_type(files, "Dataset").values()
    assert root["mentions"] == {"@id": "#run-handwritten-short-0"}


# What a record may say ----------------------------------------------------------------------------


def rerecord(results: Path, **changes: Any) -> None:
    path = results / "runs" / "handwritten-short" / "0" / "run.json"
    record = json.loads(path.read_bytes()) | changes
    record["digest"] = runs.record_digest(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("commit", "clean", "says"),
    [
        ("c" * 40, True, f"at commit {'c' * 40}; its"),
        ("c" * 40, False, f"at commit {'c' * 40}, with changes that are in no commit; its"),
        ("c" * 40, None, f"at commit {'c' * 40}, or near it; its"),
        (None, None, "of a commit that is not known; its"),
    ],
)
def test_the_program_says_how_well_its_commit_is_known(
    results: Path, commit: str | None, clean: bool | None, says: str
) -> None:
    rerecord(results, commit=commit, clean=clean, code="0123456789abcdef")
    (program,) = (
        one
        for one in of_type(crate(results), "SoftwareApplication").values()
        if one["name"] == "nin-claims"
    )
    assert says in program["description"]
    assert program["softwareVersion"] == (commit or "0123456789abcdef")


def add_run(results: Path) -> None:
    name = "runs/handwritten-short/1"
    shutil.copytree(runs.RESULTS / name, results / name)


def test_a_run_of_other_versions_has_a_program_of_its_own(results: Path) -> None:
    add_run(results)
    versions = {"python": "3.13.1", "numpy": "2.4.6", "torch": "2.15.0", "cuda": "13.2"}
    rerecord(results, versions=versions)
    files = crate(results)
    assert problems(files) == []
    actions = of_type(files, "CreateAction").values()
    assert len({action["instrument"]["@id"] for action in actions}) == 2
    assert "#cuda-13.2" in of_type(files, "SoftwareApplication")


def test_the_date_is_that_of_the_newest_run_in_utc(results: Path) -> None:
    add_run(results)
    rerecord(results, finished="2027-01-01T01:00:00+02:00")
    assert of(graph(crate(results)), "./")["datePublished"] == "2026-12-31"


def test_hostile_texts_stay_texts(results: Path) -> None:
    hostile = '</script>"\n\x00\x1b\u202e\ud800' + "x" * 5000
    versions = {"python": hostile, "numpy": "../x y#z", "torch": "2", "cuda": ""}
    device = {"kind": "cpu", "name": hostile, "threads": 2}
    rerecord(results, command=["python", hostile], versions=versions, device=device)
    files = crate(results)
    assert problems(files) == []
    (action,) = of_type(files, "CreateAction").values()
    assert action["description"] == f"python '{hostile}', on {hostile}, 2 threads"
    for id_ in of_type(files, "SoftwareApplication"):
        assert re.fullmatch(r"#[A-Za-z0-9%._~/-]+", id_)


# What is refused ----------------------------------------------------------------------------------


def change_run(results: Path) -> None:
    (results / "runs" / "handwritten-short" / "0" / "curve.json").write_text("{}")


def add_to_run(results: Path) -> None:
    (results / "runs" / "handwritten-short" / "0" / "notes.txt").write_text("")


def add_arm(results: Path) -> None:
    (results / "runs" / "unknown").mkdir()


def add_measured(results: Path) -> None:
    (results / "measured" / "notes.txt").write_text("")


def remove_runs(results: Path) -> None:
    shutil.rmtree(results / "runs")


def remove_labels(results: Path) -> None:
    (results / "test_labels" / "cifar10.npy").unlink()


def remove_rules(results: Path) -> None:
    (results / "rules.json").unlink()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (change_run, "run handwritten-short/0 is not valid: its files are not those"),
        (add_to_run, "notes.txt does not belong to a run"),
        (add_arm, "runs/unknown is no arm, so the evidence is not what it should be"),
        (add_measured, "measured/notes.txt does not belong to the evidence"),
        (remove_runs, "there is no finished run in"),
        (remove_labels, "there are no true labels of cifar10"),
        (remove_rules, "rules.json"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_evidence_that_is_not_sound_is_refused_in_a_sentence(
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: Callable[[Path], None],
    says: str,
) -> None:
    fault(results)
    archive = tmp_path / "out.zip"
    assert main([str(archive), "--results", str(results)]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith("error: ")
    assert says in told.err
    assert not archive.exists()


def test_a_file_that_cannot_be_written_is_said(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file" / "out.zip"), "--results", str(results)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_crate_errors_are_for_the_caller(results: Path) -> None:
    remove_runs(results)
    with pytest.raises(CrateError, match="no finished run"):
        crate(results)
