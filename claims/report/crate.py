"""`python -m claims.report.crate OUT.zip`: the evidence as an RO-Crate, for archives and search.

An RO-Crate is a folder with `ro-crate-metadata.json`, which says of each file what it is, its size
and its SHA-256. By the Process Run Crate profile it also says of each training run which program,
at which commit and with which versions, made which files from which data. Of the profile, 0.5 is
the newest version that a public validator knows.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shlex
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from claims.training import runs
from claims.training.arms import ARMS
from claims.training.recheck import entries
from claims.training.reproduce import complain, counted
from nin_ref.files import write_atomically

METADATA = "ro-crate-metadata.json"
CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    "https://w3id.org/ro/terms/workflow-run/context",
]
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENSE = "https://spdx.org/licenses/MIT"
PROJECT = "#developers"

FORMATS = {
    ".json": "application/json",
    ".npy": "application/octet-stream",
    ".npz": "application/zip",
    ".pt": "application/zip",
}
DESCRIBED = {
    "rules.json": "The decision rule of each training claim, with its simulated error rates",
    "traces.json": "The losses of the first steps of each arm on noise",
    "verdicts.json": "The observed verdict of each claim, with what it rests on",
    "measured": "Raw samples of times and bytes, with the device and the versions",
    "test_labels": "The true labels of a test set, by which predictions are judged",
    "run.json": "What was run, on what, with which versions; digests of the other files",
    "curve.json": "Losses and errors after each epoch, and the losses of the first ten steps",
    "predictions.npz": "The predicted class of each test image",
    "weights.pt": "The trained weights in float16",
}
HOMES = {
    "python": "https://www.python.org/",
    "numpy": "https://numpy.org/",
    "torch": "https://pytorch.org/",
    "cuda": "https://developer.nvidia.com/cuda-toolkit",
}

Entity = dict[str, Any]


class CrateError(Exception):
    """The evidence cannot be packed as it is; one sentence in the user's words."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the crate; returns 1 if the evidence is not sound or the file cannot be written."""
    parser = argparse.ArgumentParser(
        prog="python -m claims.report.crate",
        description="Write the committed evidence as an RO-Crate, a zip file that says what each "
        "of its files is and what made it.",
    )
    parser.add_argument("archive", type=Path, help="the zip file to write")
    parser.add_argument("--results", type=Path, default=runs.RESULTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        files = crate(options.results)
        write_atomically(options.archive, zipped(files))
    except (CrateError, runs.RunError, OSError) as error:
        complain(str(error))
        return 1
    print(f"wrote {options.archive}, {counted(len(files), 'file')}")  # noqa: T201 - a command
    return 0


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return files as a zip archive; the same files give the same bytes anywhere.

    They are stored as they are, since what compression makes depends on the library.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        for name, one in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o100644 << 16
            made.writestr(member, one)
    return content.getvalue()


def crate(results: Path) -> dict[str, bytes]:
    """Return the files of the crate by name, of which the first is the metadata.

    Raises:
        RunError: if a run is not valid.
        CrateError: if there is no run, or a file that is no evidence.
        OSError: if a file cannot be read.
    """
    folders, foreign = entries(results / "runs")
    if foreign:
        raise CrateError(f"{foreign[0]}, so the evidence is not what it should be")
    if not folders:
        raise CrateError(f"there is no finished run in {results / 'runs'}")
    records = {}
    for folder in folders:
        labels = runs.test_labels(ARMS[folder.parent.name].recipe.data, results)
        records[f"runs/{folder.parent.name}/{folder.name}"] = runs.read(folder, labels).record
    paths = [results / name for name in ("rules.json", "traces.json", "verdicts.json")]
    for folder in (results / "measured", results / "test_labels", *folders):
        paths += sorted(folder.iterdir())
    for path in paths:
        if path.suffix not in FORMATS:
            raise CrateError(f"{path} does not belong to the evidence")
    files = {path.relative_to(results).as_posix(): path.read_bytes() for path in paths}
    graph = {"@context": CONTEXT, "@graph": _graph(files, records)}
    metadata = json.dumps(graph, indent=1, allow_nan=False) + "\n"
    return {METADATA: metadata.encode(), **files}


def _graph(files: Mapping[str, bytes], records: Mapping[str, Mapping[str, Any]]) -> list[Entity]:
    """Return what there is: the crate, who and what made it, the runs and the files."""
    programs: dict[str, Entity] = {}
    inputs: dict[str, Entity] = {}
    actions = []
    for folder, record in records.items():
        program, *needed = _programs(record)
        data = _data(record)
        programs |= {one["@id"]: one for one in (program, *needed)}
        inputs[data["@id"]] = data
        made = [name for name in files if name.startswith(f"{folder}/")]
        actions.append(_action(record, program["@id"], data["@id"], made))
    described = [_file(name, content) for name, content in files.items()]
    newest = max(datetime.fromisoformat(action["endTime"]) for action in actions)
    return [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "conformsTo": {"@id": SPECIFICATION},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "conformsTo": {"@id": PROFILE},
            "name": "Evidence of nin-claims",
            "description": "Training runs, measurements and verdicts on claims about "
            "convolutional networks, each an executable test.",
            "datePublished": newest.astimezone(UTC).date().isoformat(),
            "license": {"@id": LICENSE},
            "author": {"@id": PROJECT},
            "publisher": {"@id": PROJECT},
            "hasPart": _references(one["@id"] for one in described),
            "mentions": _references(one["@id"] for one in actions),
        },
        {
            "@id": PROFILE,
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": PROFILE.rpartition("/")[2],
        },
        {"@id": LICENSE, "@type": "CreativeWork", "name": "MIT License", "url": LICENSE},
        {"@id": PROJECT, "@type": "Organization", "name": "The nin-claims developers"},
        *programs.values(),
        *inputs.values(),
        *actions,
        *described,
    ]


def _programs(record: Mapping[str, Any]) -> list[Entity]:
    """Return the program that made a run, and after it the software that it needed."""
    needed = [
        {
            "@id": f"#{quote(f'{name}-{version}', errors='replace')}",
            "@type": "SoftwareApplication",
            "name": name,
            "softwareVersion": version,
            "url": HOMES[name],
        }
        for name, version in record["versions"].items()
        if version
    ]
    commit, clean = record["commit"], record["clean"]
    state = {True: "", False: ", with changes that are in no commit"}.get(clean, ", or near it")
    made_of = json.dumps([commit, clean, record["code"], record["versions"]])
    program = {
        "@id": f"#nin-claims-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}",
        "@type": "SoftwareApplication",
        "name": "nin-claims",
        "description": "The training loop of nin-claims"
        + (f" at commit {commit}{state}" if commit else ", of a commit that is not known")
        + f"; its code has the digest {record['code']}.",
        "softwareVersion": commit or record["code"],
        "softwareRequirements": _references(one["@id"] for one in needed),
    }
    return [program, *needed]


def _data(record: Mapping[str, Any]) -> Entity:
    name, sha256 = record["data"]["name"], record["data"]["sha256"]
    return {
        "@id": f"#{name}-{sha256[:12]}",
        "@type": "CreativeWork",
        "name": name,
        "description": "A data set that is not in the crate; the SHA-256 is that of its images "
        "and labels, as the training loop computes it.",
        "sha256": sha256,
    }


def _action(record: Mapping[str, Any], program: str, data: str, files: Iterable[str]) -> Entity:
    device = record["device"]
    where = f"on {device['name']}, {counted(device['threads'], 'thread')}"
    return {
        "@id": f"#run-{record['arm']}-{record['seed']}",
        "@type": "CreateAction",
        "name": f"Training of {record['arm']} with seed {record['seed']}",
        "description": f"{shlex.join(record['command']) or 'Made by a program'}, {where}",
        "startTime": record["started"],
        "endTime": record["finished"],
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "agent": {"@id": PROJECT},
        "instrument": {"@id": program},
        "object": {"@id": data},
        "result": _references(map(quote, files)),
    }


def _file(name: str, content: bytes) -> Entity:
    path = Path(name)
    return {
        "@id": quote(name),
        "@type": "File",
        "name": name,
        "description": DESCRIBED.get(path.name) or DESCRIBED[path.parts[0]],
        "contentSize": str(len(content)),
        "encodingFormat": FORMATS[path.suffix],
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _references(ids: Iterable[str]) -> Any:
    """Return what stands for entities in JSON-LD, where one alone stands without a list."""
    found = [{"@id": one} for one in ids]
    return found[0] if len(found) == 1 else found


if __name__ == "__main__":
    sys.exit(main())
