"""The workflows: what they run, what they may do, and that only a green tree is published."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PATHS = sorted((ROOT / ".github" / "workflows").iterdir())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def workflow(name: str) -> dict[str, Any]:
    """Return a workflow, every scalar of it as the text that stands there."""
    text = (ROOT / ".github" / "workflows" / name).read_text()
    parsed: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes only texts
    return parsed


WORKFLOWS = {path.name: workflow(path.name) for path in PATHS}
JOBS = {
    f"{name}:{key}": job
    for name, parsed in WORKFLOWS.items()
    for key, job in parsed["jobs"].items()
}
PUBLISH = "ci.yml:publish"
READ_BY_TESTS = ("NIN_DATA", "CHROMIUM")

every_workflow = pytest.mark.parametrize("name", WORKFLOWS)
every_job = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)


def commands(job: dict[str, Any]) -> list[str]:
    """Return what the steps of a job run, in order."""
    return [step["run"] for step in job["steps"] if "run" in step]


def run_by(name: str) -> set[str]:
    return {command for job in WORKFLOWS[name]["jobs"].values() for command in commands(job)}


def actions(job: dict[str, Any], action: str) -> Iterator[dict[str, Any]]:
    """Yield the inputs of the steps of a job that use an action."""
    for step in job["steps"]:
        if step.get("uses", "").startswith(f"{action}@"):
            yield step.get("with", {})


def test_there_is_one_workflow_for_each_push_and_one_for_each_night() -> None:
    assert {name: set(parsed["on"]) for name, parsed in WORKFLOWS.items()} == {
        "ci.yml": {"push", "pull_request"},
        "nightly.yml": {"schedule", "workflow_dispatch"},
    }
    assert WORKFLOWS["ci.yml"]["on"]["push"] == {"branches": ["main"]}


@every_job
def test_everything_that_is_run_is_a_make_target(job: dict[str, Any]) -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    for command in commands(job):
        make, target = command.split(" ")
        assert make == "make"
        assert target in phony[1].split()


@every_job
def test_what_a_job_sets_is_read(job: dict[str, Any]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for variable in job.get("env", {}):
        assert variable in READ_BY_TESTS or f"\n{variable} ?= " in makefile, variable


@every_job
def test_a_job_that_runs_the_tests_promises_them_a_browser(job: dict[str, Any]) -> None:
    assert ("CHROMIUM" in job.get("env", {})) == ("make test" in commands(job))


def test_a_push_runs_all_that_the_check_of_a_change_runs() -> None:
    local = set(re.findall(r"^make [a-z-]+", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    assert local == {"make claims", "make test", "make report-check", "make recheck", "make lint"}
    assert run_by("ci.yml") == local | {"make oldest", "make report"}


def test_a_night_draws_new_seeds_and_tries_the_latest_release() -> None:
    assert run_by("nightly.yml") >= {"make soak", "make latest"}
    soak = JOBS["nightly.yml:soak"]
    assert commands(soak) == ["make soak"]
    assert soak["env"]["FIRST"] == "${{ github.run_number }}000"
    assert 0 < int(soak["env"]["ROUNDS"]) < 1000  # or the seeds of two nights overlap


def test_real_data_are_cached_and_then_used() -> None:
    job = JOBS["nightly.yml:data"]
    (cache,) = actions(job, "actions/cache")
    assert job["env"]["NIN_DATA"] == "${{ github.workspace }}/" + cache["path"]
    assert f"/{cache['path']}/" in (ROOT / ".gitignore").read_text().splitlines()
    (hashed,) = re.findall(r"hashFiles\('([^']+)'\)", cache["key"])
    assert (ROOT / hashed).is_file()
    assert commands(job) == ["make data", "make test", "make recheck"]


@every_workflow
def test_permissions_are_none_but_those_of_each_job(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    for key, job in WORKFLOWS[name]["jobs"].items():
        if f"{name}:{key}" != PUBLISH:
            assert job["permissions"] == {"contents": "read"}, key


def test_only_publishing_may_write_and_it_runs_no_code_of_the_repository() -> None:
    job = JOBS[PUBLISH]
    assert job["permissions"] == {"pages": "write", "id-token": "write"}
    assert [step["uses"].partition("@")[0] for step in job["steps"]] == ["actions/deploy-pages"]


def test_only_a_push_to_main_with_every_job_green_is_published() -> None:
    assert JOBS[PUBLISH]["if"] == "github.event_name == 'push' && github.ref == 'refs/heads/main'"
    others = [key for key in WORKFLOWS["ci.yml"]["jobs"] if f"ci.yml:{key}" != PUBLISH]
    assert sorted(JOBS[PUBLISH]["needs"]) == sorted(others)
    for name, job in JOBS.items():
        assert "continue-on-error" not in str(job), name
        assert name == PUBLISH or "'if'" not in str(job), name


def test_runs_of_main_are_neither_broken_off_nor_overtaken() -> None:
    assert WORKFLOWS["ci.yml"]["concurrency"] == {
        "group": "${{ github.workflow }}-${{ github.ref }}",
        "cancel-in-progress": "${{ github.event_name == 'pull_request' }}",
    }
    assert "concurrency" in WORKFLOWS["nightly.yml"]


def test_what_is_published_was_made_from_an_untouched_tree() -> None:
    job = JOBS["ci.yml:report"]
    # After `make report` the other one would find all that it has just written.
    assert commands(job) == ["make report-check", "make report"]
    (pages,) = actions(job, "actions/upload-pages-artifact")
    assert pages == {"path": "build/site"}
    uploading = [name for name, one in JOBS.items() if "actions/upload" in str(one)]
    assert uploading == ["ci.yml:report"]


def test_no_badge_of_ours_is_green() -> None:
    badges = sorted((ROOT / "results" / "badges").glob("*.json"))
    assert [path.stem for path in badges] == ["decided", "evidence", "refuted"]
    top = (ROOT / "README.md").read_text().partition("\n\nBlog posts")[0]
    for path in badges:
        assert f"](results/badges/{path.stem}.svg)]" in top
        red, green, blue = bytes.fromhex(json.loads(path.read_text())["color"])
        assert green < max(red, blue), f"{path.name} would stay green when main is red"


@every_job
def test_a_job_ends_and_keeps_no_credentials(job: dict[str, Any]) -> None:
    assert int(job["timeout-minutes"]) <= 180
    for inputs in actions(job, "actions/checkout"):
        assert inputs == {"persist-credentials": "false"}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_workflow_knows_no_secret(path: Path) -> None:
    assert not re.search(r"secrets|github\.token|GITHUB_TOKEN|_target", path.read_text())


def test_actions_are_pinned_by_commit_and_each_has_one_pin() -> None:
    pins: dict[str, set[str]] = {}
    for path in PATHS:
        for line in re.findall(r"uses: (.*)", path.read_text()):
            pinned = re.fullmatch(r"(actions/[a-z-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
            assert pinned, f"{path.name}: {line}"
            pins.setdefault(pinned[1], set()).add(pinned[2])
    assert {action for action, pin in pins.items() if len(pin) > 1} == set()


def test_pythons_are_those_of_the_metadata() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert JOBS["ci.yml:claims"]["strategy"] == {"fail-fast": "false", "matrix": {"python": named}}
    given = {
        name: [inputs["python-version"] for inputs in actions(job, "actions/setup-python")]
        for name, job in JOBS.items()
    }
    assert given.pop("ci.yml:claims") == ["${{ matrix.python }}"]
    assert given.pop("ci.yml:oldest") == given.pop("ci.yml:lint") == [named[0]]
    assert given.pop(PUBLISH) == []
    assert [name for name, version in given.items() if version != [named[-1]]] == []


def test_the_oldest_lock_pins_the_lower_bounds() -> None:
    lock = (ROOT / "requirements.oldest.lock").read_text()
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        (bound,) = [one.version for one in requirement.specifier if one.operator == ">="]
        pinned = re.findall(rf"^{requirement.name}==([0-9.]+) ", lock, re.MULTILINE)
        assert [Version(one) for one in pinned] == [Version(bound)], requirement.name


# Stands in for Python: its environments have a python and a pytest that write down how they were
# called. Like the real one, this pytest writes into the results of the folder that it runs in.
FAKE = """#!/bin/sh
if [ "$2" = venv ]; then
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    cp "$0" "$3/bin/pytest"
else
    echo "$(basename "$0") $*" >> "$CALLS"
    case "$0" in *pytest) echo judged > results/verdicts.json ;; esac
fi
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository as `make` sees it, with nothing behind its Python."""
    for folder in ("claims", "nin_ref", "results"):
        (tmp_path / folder).mkdir()
    for name in ("README.md", "LICENSE", "pyproject.toml", "results/verdicts.json"):
        (tmp_path / name).write_text("committed\n")
    for name in ("requirements.lock", "requirements.oldest.lock"):
        (tmp_path / name).write_text("")
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "fake-python").write_text(FAKE)
    (tmp_path / "fake-python").chmod(0o755)
    return tmp_path


def make(tree: Path, target: str, **variables: str) -> list[str]:
    """Return how python and pytest were called, by `make` with these variables around it."""
    calls = tree / "calls"
    calls.unlink(missing_ok=True)
    environment = {"PATH": os.environ["PATH"], "CALLS": str(calls), **variables}
    subprocess.run(["make", target, "PYTHON=" + str(tree / "fake-python")],
                   cwd=tree, env=environment, check=True, capture_output=True)  # fmt: skip
    return calls.read_text().splitlines()


@pytest.mark.parametrize(
    ("target", "lock"),
    [("oldest", "requirements.oldest.lock"), ("latest", "requirements.lock")],
)
def test_other_versions_are_tried_beside_the_tree(tree: Path, target: str, lock: str) -> None:
    for topic in ("old.py", "new.py"):
        (tree / "claims" / topic).write_text("")
        called = make(tree, target)
        assert [path.name for path in (tree / "build" / target / "claims").iterdir()] == [topic]
        (tree / "claims" / topic).unlink()
    assert (tree / "results" / "verdicts.json").read_text() == "committed\n"
    assert (tree / "build" / target / "results" / "verdicts.json").read_text() == "judged\n"
    assert not (tree / ".venv").exists()
    assert called[-1].startswith("pytest claims")

    (tree / lock).write_text("torch==2\n")
    os.utime(tree / lock, (2**32, 2**32))  # newer than the environment
    installs = [call for call in make(tree, target) if "install" in call]
    assert installs[0].endswith(f"--require-hashes -r {lock}")


def test_the_latest_release_comes_after_the_lock_and_before_the_claims(tree: Path) -> None:
    called = make(tree, "latest")
    (upgraded,) = [
        n for n, call in enumerate(called) if call.endswith("--upgrade torch torchvision")
    ]
    assert all("install" in call for call in called[1:upgraded])
    assert len(called[1:upgraded]) == 2
    assert [call.split()[:2] for call in called[upgraded + 1 :]] == [["pytest", "claims"]]


def test_the_tests_say_why_one_was_skipped(tree: Path) -> None:
    (call,) = [call for call in make(tree, "test") if call.startswith("pytest tests")]
    assert call.split()[-1] == "-rs"


def test_a_soak_draws_from_the_first_seed_on(tree: Path) -> None:
    called = make(tree, "soak", FIRST="7000", ROUNDS="2")
    soaked = [call.partition("--soak ")[2] for call in called if "--soak" in call]
    assert soaked == ["7000 --whole-grids", "7001", "7002"]
    assert (tree / ".venv").is_dir()
