"""The repository itself: declarations, committed verdicts, documentation and layout agree."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from claims.core import coverage, results
from claims.core.claim import Claim, Fault
from claims.core.document import Document
from claims.core.judge import judge
from claims.core.suite import claims_of, problems
from claims.core.verdict import Grade, Refuted, Undecided, Verdict
from claims.report.__main__ import README, committed_files
from claims.suite import SUITE

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = SUITE.claims()
ENTRIES = results.read(SUITE.verdicts)
TOPICS = [ROOT / "claims" / f"{topic}.py" for topic in SUITE.topics]


def test_declarations_are_consistent() -> None:
    assert problems(SUITE, CLAIMS.values()) == []


def test_every_module_with_claims_is_a_topic() -> None:
    declaring = {
        path.stem
        for path in (ROOT / "claims").glob("*.py")
        if re.search(r"^\w+ = Claim\(", path.read_text(), re.MULTILINE)
    }
    assert declaring <= set(SUITE.topics)
    assert all(path.is_file() for path in TOPICS)


@pytest.mark.parametrize("topic", SUITE.topics)
def test_a_claim_is_named_after_its_topic(topic: str) -> None:
    claims = claims_of(importlib.import_module(f"claims.{topic}"))
    assert {claim.id.partition("/")[0] for claim in claims} == {topic.replace("_", "-")}


@pytest.mark.parametrize(
    "claim",
    [one for one in CLAIMS.values() if isinstance(one.recorded, Refuted)],
    ids=lambda c: c.id,
)
def test_a_refuted_claim_names_one_that_is_true_instead(claim: Claim) -> None:
    assert isinstance(claim.recorded, Refuted)
    instead = CLAIMS[claim.recorded.instead]
    assert instead.recorded.verdict in (Verdict.HOLDS, Verdict.HOLDS_IF)


def test_readings_of_a_sentence_are_several() -> None:
    names = [claim.reading_of for claim in CLAIMS.values() if claim.reading_of]
    assert [name for name in set(names) if names.count(name) < 2] == []


def test_the_committed_verdicts_are_those_of_the_declared_claims() -> None:
    assert sorted(CLAIMS) == list(ENTRIES)
    for id_, claim in CLAIMS.items():
        entry = ENTRIES[id_]
        assert entry["digest"] == results.source_digest(claim), f"{id_} changed since it was judged"
        assert entry["says"] == claim.says
        assert entry["cites"] == list(claim.cites)
        assert entry["recorded"] == claim.recorded.verdict
        assert entry["observed"] == entry["recorded"]
        assert set(entry["conditions"]) == set(claim.recorded.conditions)


def test_the_matrix_shows_every_declared_flip() -> None:
    matrix = json.loads((ROOT / "results" / "flips.json").read_text())
    assert sorted(matrix) == sorted(CLAIMS)
    for id_, entry in ENTRIES.items():
        assert set(entry["flips"]) <= matrix[id_].keys(), id_


def test_every_fault_of_the_catalogue_changes_some_verdict() -> None:
    matrix = json.loads((ROOT / "results" / "flips.json").read_text())
    caught = {name for found in matrix.values() for name, verdict in found.items()}
    faults = [fault for kind in (SUITE.catalogue or {}).values() for fault in kind]
    assert [fault.name for fault in faults if fault.name not in caught] == []


def test_faults_of_one_subject_have_names_of_their_own() -> None:
    by_name: dict[tuple[str, str], Fault[object]] = {}
    for kind, faults in (SUITE.catalogue or {}).items():
        for fault in faults:
            assert by_name.setdefault((kind, fault.name), fault) is fault
    for claim in CLAIMS.values():
        for judgement in claim.judgements:
            catalogue = (SUITE.catalogue or {}).get(judgement.subject.name, ())
            planted = {*judgement.flipped_by, *catalogue}
            assert len({fault.name for fault in planted}) == len(planted), claim.id
            assert len(set(judgement.flipped_by)) == len(judgement.flipped_by), claim.id


def test_an_undecided_claim_says_what_would_decide_it() -> None:
    for claim in CLAIMS.values():
        if isinstance(claim.recorded, Undecided):
            assert len(claim.recorded.needs.split()) >= 4, claim.id


def imported(path: Path, *, everywhere: bool) -> set[str]:
    """Return the modules that a file imports: at its top level, or anywhere in it."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", TOPICS, ids=lambda path: path.stem)
def test_a_topic_imports_nothing_slow_at_its_top(path: Path) -> None:
    slow = {"torch", "torchvision", "sympy", "z3", "scipy", "matplotlib"}
    assert {name.split(".")[0] for name in imported(path, everywhere=False)} & slow == set()


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("claims/core", r"claims\.(?!core)|nin_ref|torch|numpy"),
        ("nin_ref", r"claims"),
    ],
)
def test_imports_point_one_way(folder: str, forbidden: str) -> None:
    for path in sorted((ROOT / folder).glob("*.py")):
        names = imported(path, everywhere=True)
        wrong = {name for name in names if re.match(forbidden, name)}
        if folder == "nin_ref":
            wrong = {name for name in names if name.split(".")[0] == "claims"}
            wrong |= {name for name in names if path.stem == "oracle" and name.startswith("torch")}
        assert wrong == set(), path


def test_a_topic_does_not_use_another() -> None:
    for path in TOPICS:
        others = {f"claims.{topic}" for topic in SUITE.topics if topic != path.stem}
        assert imported(path, everywhere=True) & others == set(), path


def test_what_is_generated_is_current() -> None:
    wanted = committed_files()
    names = {str(path.relative_to(ROOT)) for path in wanted}
    errata = {f"results/errata/{document.key}.md" for document in SUITE.documents}
    badges = {
        f"results/badges/{name}.{kind}"
        for name in ("decided", "refuted", "evidence")
        for kind in ("svg", "json")
    }
    assert names == {"README.md", "results/summary.svg", *errata, *badges}
    wrong = [str(path) for path, content in wanted.items() if path.read_bytes() != content]
    assert not wrong, "run `make report`"


@pytest.mark.parametrize(
    "document", [one for one in SUITE.documents if one.lines], ids=lambda document: document.key
)
def test_every_line_of_a_document_is_cited_or_not_checkable_for_a_reason(
    document: Document,
) -> None:
    cites = {id_: [SUITE.citation(cite) for cite in one.cites] for id_, one in CLAIMS.items()}
    assert coverage.problems(document, coverage.lines(document, cites)) == []


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "claims" / "README.md"]


def test_targets_named_in_the_documentation_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in documents():
        for name in re.findall(r"\bmake ([a-z-]+)", path.read_text()):
            assert name in targets, f"{path.name} names make {name}"


def test_every_target_has_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    told = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert set(phony[1].split()) == told


def test_make_bench_runs_every_benchmark() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.partition("\nbench:")[2].partition("\n\n")[0]
    run = re.findall(r"\bbenchmarks[./](\w+)", recipe)
    assert sorted(run) == sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited == [project["version"]]
    released = ROOT / "results" / "released.json"
    if released.exists():
        assert json.loads(released.read_text())["release"]["version"] == project["version"]
        results.read(released)


def test_files_linked_in_the_documentation_exist() -> None:
    for path in documents():
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} links {target}"


def test_places_and_ids_named_in_the_readme_exist() -> None:
    text = README.read_text()
    for what in re.findall(r"-m claims (\S+)", text):
        if ":" in what:
            SUITE.citation(what)
        else:
            assert what in CLAIMS


def test_every_claim_is_in_the_table_of_what_became_of_statements() -> None:
    text = (ROOT / "claims" / "README.md").read_text()
    assert set(re.findall(r"`([a-z0-9-]+/[a-z0-9.-]+)`", text)) == set(CLAIMS)


def test_claims_that_were_only_tried_are_listed_as_such() -> None:
    text = (ROOT / "claims" / "README.md").read_text()
    section = text.partition("## Universal, but only tried")[2].partition("\n## ")[0]
    tried = {
        id_
        for id_, claim in CLAIMS.items()
        if claim.grade == Grade.PROPERTY
        and claim.recorded.verdict in (Verdict.HOLDS, Verdict.HOLDS_IF)
    }
    assert set(re.findall(r"`([a-z0-9-]+/[a-z0-9.-]+)`", section)) == tried


def test_the_example_of_the_readme_does_what_is_said_of_it() -> None:
    section = README.read_text().partition("## Add a claim")[2].partition("\n## ")[0]
    code = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    names: dict[str, Any] = {}
    exec(
        "from claims.core.claim import Claim\n"
        "from claims.core.verdict import Holds\n"
        "from claims.subjects import OPERATORS\n"
        "from claims.cases import CONVOLUTIONS, Convolution\n"
        "from claims.faults import operators as faults\n"
        "from nin_ref.operators import Operators\n" + code,
        names,
    )
    claim = names["keeps_channels"]
    (judgement,) = claim.judgements
    (fault,) = judgement.flipped_by
    assert problems(SUITE, [claim]) == []
    assert judge(claim).observation.verdict == Verdict.HOLDS
    assert judge(claim, fault=fault, faulty=judgement).observation.verdict == Verdict.HOLDS


def test_subjects_named_in_the_readme_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    from claims.bring import bring_operators

    monkeypatch.setattr(sys, "path", list(sys.path))  # the working folder is put there
    named = re.findall(r"--subject (\S+)", README.read_text())
    assert len(named) >= 2
    for path in named:
        bring_operators(path, "cpu")


def test_the_lock_pins_every_dependency() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *chain.from_iterable(extras.values())]:
        name = re.split(r"[^A-Za-z0-9-]", requirement)[0]
        assert re.search(rf"^{name}==", lock, re.MULTILINE), name


@pytest.mark.parametrize("name", ["requirements.lock", "requirements.oldest.lock"])
def test_a_lock_pins_by_hash_and_names_no_address(name: str) -> None:
    lock = (ROOT / name).read_text()
    assert "http" not in lock
    assert "index" not in lock
    for block in re.split(r"^(?=\S)", lock, flags=re.MULTILINE)[1:]:
        assert re.match(r"[a-z0-9.-]+==", block), block.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), block.splitlines()[0]


def test_an_old_python_and_a_full_disk_are_said_before_setting_up(tmp_path: Path) -> None:
    script = str(ROOT / "claims" / "environment.py")
    told = subprocess.run(
        [sys.executable, script, str(tmp_path / "venv")], capture_output=True, text=True, check=True
    )
    assert "GB of pinned packages" in told.stdout
    for fake, says in (
        ("sys.version_info = (3, 9)", "Python 3.11 or later is needed"),
        (
            "import shutil; shutil.disk_usage = lambda _: types.SimpleNamespace(free=10**9)",
            "1.0 GB",
        ),
    ):
        program = (
            f"import sys, types, runpy; {fake}; sys.argv[1:] = ['venv']; "
            f"runpy.run_path({script!r}, run_name='__main__')"
        )
        refused = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert says in refused.stderr
        assert "Traceback" not in refused.stderr
