"""Releases: what is frozen and written, and which trees, versions and files are refused."""

from __future__ import annotations

import datetime
import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_results import full_disk

from claims.core import results
from claims.report import difference, release
from claims.suite import SUITE

ROOT = Path(__file__).resolve().parent.parent
ONE = next(one for one in results.read(SUITE.verdicts).values() if one["observed"] == "holds")


def entry(id_: str, observed: str = "holds", **changes: Any) -> dict[str, Any]:
    return ONE | {"id": id_, "observed": observed, "recorded": observed} | changes


class Tree:
    """A checkout with the files that a release reads and writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "-q")
        for name in ("pyproject.toml", "CITATION.cff"):
            (path / name).write_bytes((ROOT / name).read_bytes())
        (path / "results").mkdir()
        self.judge(entry("a/1"), entry("a/2", "refuted"))

    def git(self, *arguments: str) -> str:
        identity = {
            f"GIT_{who}_{what}": "a@b.c"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        command = ["git", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false", *arguments]
        answer = subprocess.run(
            command,
            cwd=self.path,
            env=os.environ | identity,
            check=True,
            capture_output=True,
            text=True,
        )
        return answer.stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "something")

    def judge(self, *entries: dict[str, Any]) -> None:
        content = json.dumps({"claims": entries}, indent=1, ensure_ascii=False) + "\n"
        (self.path / "results" / "verdicts.json").write_text(content)
        self.commit()

    def text(self, name: str) -> str:
        return (self.path / name).read_text()

    def state(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in self.path.rglob("*")
            if path.is_file() and ".git" not in path.parts
        }


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(release, "ROOT", tmp_path / "tree")
    (tmp_path / "tree").mkdir()
    return Tree(tmp_path / "tree")


def refused(tree: Tree, capsys: pytest.CaptureFixture[str], version: str = "9.0.0") -> str:
    """Return why there can be no release; nothing is written."""
    before = tree.state()
    for arguments in ([version, "--check"], [version]):
        assert release.main(arguments) == 1
        out, told = capsys.readouterr()
        assert out == ""
    assert tree.state() == before
    assert re.fullmatch(r"error: .*\n", told)
    return told


def test_a_release_freezes_the_committed_verdicts(tree: Tree) -> None:
    head = tree.git("rev-parse", "HEAD")
    first = datetime.datetime.now(datetime.UTC).date()
    assert release.main(["1.2.0"]) == 0
    days = {str(first), str(datetime.datetime.now(datetime.UTC).date())}
    frozen = json.loads(tree.text("results/released.json"))
    date = frozen["release"].pop("date")
    assert date in days
    assert frozen.pop("release") == {"version": "1.2.0", "commit": head}
    assert frozen == json.loads(tree.text("results/verdicts.json"))
    paths = [tree.path / "results" / name for name in ("released.json", "verdicts.json")]
    assert difference.main(list(map(str, paths))) == 0
    found = release.last(tree.path / "results")
    assert found is not None
    assert found[0] == release.Release("1.2.0", date, head)
    assert list(found[1]) == ["a/1", "a/2"]


def test_the_version_stands_wherever_one_looks_for_it(tree: Tree) -> None:
    before = tree.state()
    for version in ("1.2.0", "1.10.0"):
        assert release.main([version]) == 0
        date = json.loads(tree.text("results/released.json"))["release"]["date"]
        project = tomllib.loads(tree.text("pyproject.toml"))
        cited = yaml.safe_load(tree.text("CITATION.cff"))
        assert project["project"]["version"] == cited["version"] == version
        assert str(cited["date-released"]) == date
        tree.commit()
    for name in ("pyproject.toml", "CITATION.cff"):
        lines = before[name].decode().splitlines()
        dated = {f"date-released: {date}"}
        assert set(tree.text(name).splitlines()) - set(lines) - dated == {
            line.replace("0.1.0", "1.10.0") for line in lines if re.match("version", line)
        }
        assert len(tree.text(name).splitlines()) == len(lines) + (name == "CITATION.cff")


def test_changes_tell_of_each_release_the_newest_first(tree: Tree) -> None:
    dates = []
    for version, verdicts in {
        "0.1.0": [entry("a/1"), entry("a/2", "refuted")],
        "0.1.1": [entry("a/1"), entry("a/2", "refuted"), entry("a/3", "holds-if")],
        "0.2.0": [entry("a/1", "refuted"), entry("a/2", "refuted", conditions=["x | *y*"])],
        "1.0.0": [entry("a/1", "refuted"), entry("a/2", "refuted", conditions=["x | *y*"])],
    }.items():
        tree.judge(*verdicts)
        assert release.main([version]) == 0
        dates.append(json.loads(tree.text("results/released.json"))["release"]["date"])
        tree.commit()
    assert tree.text("CHANGES.md").splitlines() == [
        "# Changes",
        "",
        "Which verdicts changed with each release; written by `make release`.",
        "",
        f"## 1.0.0, {dates[3]}",
        "",
        "2 claims: 0 hold, 0 hold if ..., 2 refuted, 0 undecided.",
        "",
        "No verdict changed.",
        "",
        f"## 0.2.0, {dates[2]}",
        "",
        "2 claims: 0 hold, 0 hold if ..., 2 refuted, 0 undecided.",
        "",
        "- `a/1`: verdict: holds -&gt; refuted",
        "- `a/2`: conditions: none -&gt; x \\| \\*y\\*",
        f"- `a/3`: removed, was holds-if ({ONE['grade']})",
        "",
        f"## 0.1.1, {dates[1]}",
        "",
        "3 claims: 1 hold, 1 hold if ..., 1 refuted, 0 undecided.",
        "",
        f"- `a/3`: new, holds-if ({ONE['grade']})",
        "",
        f"## 0.1.0, {dates[0]}",
        "",
        "2 claims: 1 hold, 0 hold if ..., 1 refuted, 0 undecided.",
        "",
        "The first release.",
    ]


def test_the_commands_that_are_told_publish_the_release(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert release.main(["1.2.0"]) == 0
    title, *commands = capsys.readouterr().out.splitlines()
    assert title == "Version 1.2.0 is written. To publish it:"
    *local, push = [shlex.split(command) for command in commands]
    for git, *arguments in local:
        assert git == "git"
        tree.git(*arguments)
    assert tree.git("status", "--porcelain") == ""
    assert tree.git("rev-parse", "v1.2.0^{commit}") == tree.git("rev-parse", "HEAD")
    assert tree.git("rev-parse", "HEAD^") in tree.text("results/released.json")
    assert push == ["git", "push", "origin", "HEAD", "v1.2.0"]


def test_a_check_writes_nothing(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree.state()
    assert release.main(["1.2.0", "--check"]) == 0
    assert tree.state() == before
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "version",
    [
        "",
        "1",
        "1.2",
        "v1.2.0",
        "1.2.0rc1",
        "1.2.0\n",
        "01.2.0",
        "1.2.3.4",
        "1.-2.0",
        "1.2.\N{ARABIC-INDIC DIGIT THREE}",
    ],
)
def test_what_is_no_version_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    assert "is not a version; it is three numbers, as in 1.2.0" in refused(tree, capsys, version)


@pytest.mark.parametrize("version", ["1.10.0", "1.9.9", "1.2.11", "0.11.0"])
def test_a_version_that_is_not_newer_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    assert release.main(["1.10.0"]) == 0
    tree.commit()
    capsys.readouterr()
    told = refused(tree, capsys, version)
    assert told == f"error: {version} is not newer than 1.10.0, the last release\n"


@pytest.mark.parametrize("name", ["results/verdicts.json", "new.py", "results/new/new.py"])
def test_a_tree_with_changes_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tree.path / name).parent.mkdir(exist_ok=True)
    (tree.path / name).write_text("new")
    told = refused(tree, capsys)
    assert "the tree has changes that are in no commit" in told
    assert name in told
    tree.git("add", "--all")
    assert name in refused(tree, capsys)


def test_many_changes_are_named_in_part(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(7):
        (tree.path / str(number)).write_text("new")
    assert "(?? 0, ?? 1, ?? 2, ?? 3, ?? 4, and 2 more)" in refused(tree, capsys)


def test_verdicts_that_differ_from_the_recorded_ones_are_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.judge(entry("a/1"), entry("a/2", recorded="refuted"))
    assert refused(tree, capsys) == "error: these verdicts are not the recorded ones: a/2\n"


@pytest.mark.parametrize("name", ["released.json", "verdicts.json"])
@pytest.mark.parametrize(
    "content", ["{", "[" * 100_000, '{"claims": [{}]}', '{"release": {"version": "1.2.0"}}']
)
def test_damaged_results_are_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], name: str, content: str
) -> None:
    (tree.path / "results" / name).write_text(content)
    tree.commit()
    assert f"{name} is damaged" in refused(tree, capsys)


@pytest.mark.parametrize(
    "changes", [None, {"version": "1.2"}, {"date": "today"}, {"commit": "HEAD"}, {"more": "1"}]
)
def test_a_release_that_does_not_say_which_it_is_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], changes: dict[str, str] | None
) -> None:
    assert release.main(["1.2.0"]) == 0
    capsys.readouterr()
    content = json.loads(tree.text("results/released.json"))
    told = content.pop("release")
    content |= {"release": told | changes} if changes else {}
    (tree.path / "results" / "released.json").write_text(json.dumps(content))
    tree.commit()
    assert "released.json is damaged" in refused(tree, capsys)


def test_no_verdicts_are_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.git("rm", "-q", "results/verdicts.json")
    tree.commit()
    assert "verdicts.json is not there" in refused(tree, capsys)


def test_a_folder_that_is_no_checkout_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree.path / ".git").rename(tree.path.parent / "elsewhere")
    assert "git says: fatal: not a git repository" in refused(tree, capsys)
    monkeypatch.setenv("PATH", "")
    assert "git is not installed" in refused(tree, capsys)


@pytest.mark.parametrize("name", ["pyproject.toml", "CITATION.cff"])
@pytest.mark.parametrize("times", [0, 2])
def test_a_file_without_the_one_version_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], name: str, times: int
) -> None:
    lines = [line for line in tree.text(name).splitlines() if not line.startswith("version")]
    (tree.path / name).write_text("\n".join([*lines, *['version = "1"', "version: 1"] * times]))
    tree.commit()
    assert f"{name} has the version {times} times instead of once" in refused(tree, capsys)


def test_a_full_disk_is_told_and_damages_nothing(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree.state()
    with full_disk():
        assert release.main(["1.2.0"]) == 1
    assert tree.state() == before
    out, told = capsys.readouterr()
    assert out == ""
    assert told.startswith(f"error: {tree.path / 'results' / 'released.json'} cannot be written: ")
    assert told.endswith("; `git status` shows what is written of the release\n")
    assert release.main(["1.2.0"]) == 0


def dry_run(target: str) -> list[str]:
    """Return the commands of a make target; also where `make` runs this test."""
    command = ["make", "--dry-run", target, "VERSION=1.2.0", "BIN=bin", "READY="]
    environment = {"PATH": os.environ["PATH"]}
    answer = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return answer.stdout.splitlines()


def test_make_asks_before_the_checks_and_again_after_all_of_them() -> None:
    asked = 'bin/python -m claims.report.release "1.2.0"'
    first, submake, *checks, last = dry_run("release")
    assert (first, last) == (f"{asked} --check", asked)
    targets = ["claims", "test", "report-check", "recheck", "lint"]
    assert submake.split()[-5:] == targets
    assert checks == [command for target in targets for command in dry_run(target)]
