"""The list of excused mutants, and how mutmut's names and differences are read."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import mutation
import pytest
from mutation import EXCUSED, ROOT, Mutant

ENTRIES = json.loads(EXCUSED.read_bytes())

SHOWN = """# a name: survived
--- nin_ref/counting.py
+++ nin_ref/counting.py
@@ -1,4 +1,3 @@
 def f(x: int) -> int:
-    return x - y(
-        1
-    )
+    return x -  y(2)
"""


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("nin_ref.counting.x_receptive_field__mutmut_12", "nin_ref.counting.receptive_field"),
        ("nin_ref.counting.x__side__mutmut_1", "nin_ref.counting._side"),
        ("claims.core.claim.xǁClaimǁ__init____mutmut_3", "claims.core.claim.Claim.__init__"),
    ],
)
def test_a_mutant_is_known_by_its_function_and_change(name: str, function: str) -> None:
    assert mutation.mutant(name, SHOWN) == Mutant(function, "return x - y( 1 )", "return x - y(2)")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["function"])
def test_an_excused_mutant_is_one_of_the_code_and_has_a_reason(entry: dict[str, Any]) -> None:
    assert entry.keys() == {"function", "old", "new", "reason"}
    assert len(entry["reason"].split()) >= 4
    *module, name = entry["function"].split(".")
    while not (path := ROOT.joinpath(*module).with_suffix(".py")).exists():
        module, name = module[:-1], module[-1]
    definitions = [
        ast.get_source_segment(path.read_text(), node) or ""
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    ]
    assert any(entry["old"] in " ".join(source.split()) for source in definitions)


def test_excused_mutants_are_sorted_and_listed_once() -> None:
    listed = list(mutation.excused())
    assert listed == sorted(set(listed))


@pytest.mark.parametrize(
    ("results", "status", "told"),
    [
        ("    m.x_f__mutmut_1: survived\n", 0, "1 survivors, 1 of them with a reason\n"),
        (
            "    m.x_f__mutmut_1: timeout\n",
            1,
            "listed, but no survivor: m.f\n  - a\n  + b\n0 survivors, 0 of them with a reason\n",
        ),
        (
            "    m.x_f__mutmut_1: survived\n    m.x_g__mutmut_2: no tests\n",
            1,
            "survived: m.g\n  - a\n  + b\n2 survivors, 1 of them with a reason\n",
        ),
    ],
)
def test_a_survivor_without_a_reason_and_a_reason_without_survivor_fail(
    results: str,
    status: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = tmp_path / "survivors.json"
    listed.write_text(json.dumps([{"function": "m.f", "old": "a", "new": ["b"], "reason": ""}]))
    shown = "# x\n--- a\n+++ b\n@@ -1 +1 @@\n-  a\n+  b\n"
    answers = {"run": "", "results": results, "show": shown}
    tool = tmp_path / "mutmut"
    tool.write_text(f"#!{sys.executable}\nimport sys\nsys.stdout.write({answers!r}[sys.argv[1]])\n")
    tool.chmod(0o755)
    for name, value in {"EXCUSED": listed, "MUTMUT": tool, "ROOT": tmp_path}.items():
        monkeypatch.setattr(mutation, name, value)
    assert mutation.main() == status
    assert capsys.readouterr().out == told
