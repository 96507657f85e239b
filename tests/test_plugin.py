"""The plugin, seen from outside: a toy suite of claims is run as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ALL = {
    "numbers/collatz-reaches-one": ("undecided", "exhaustive"),
    "numbers/division-is-undone": ("holds-if", "exhaustive"),
    "numbers/eulers-polynomial-is-prime": ("refuted", "exhaustive"),
    "numbers/odd-plus-odd-is-even": ("holds", "proved"),
    "numbers/sums-commute": ("holds", "property"),
    "numbers/there-are-ten": ("holds", "exhaustive"),
}
QUICK = ALL.keys() - {"numbers/there-are-ten"}


def verdicts_file(toy: pytest.Pytester) -> Path:
    return toy.path / "toy" / "results" / "verdicts.json"


def verdicts(toy: pytest.Pytester) -> dict[str, Any]:
    return {one["id"]: one for one in json.loads(verdicts_file(toy).read_text())["claims"]}


def edit(toy: pytest.Pytester, old: str, new: str, file: str = "numbers.py") -> None:
    path = toy.path / "toy" / file
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new))


def test_each_kind_of_claim_gets_its_verdict(toy: pytest.Pytester) -> None:
    result = toy.runpytest("toy", "-m", "not slow")
    result.assert_outcomes(passed=6)
    found = verdicts(toy)
    assert {id_: (one["observed"], one["grade"]) for id_, one in found.items()} == ALL
    euler = found["numbers/eulers-polynomial-is-prime"]
    assert euler["counterexample"] == {
        "case": 40,
        "message": "numbers.is_prime(n * n + n + 41)",
    }
    assert euler["instead"] == "numbers/sums-commute"
    division = found["numbers/division-is-undone"]
    assert division["conditions"] == ["divisor is not zero"]
    assert division["exceptions"] == [{"case": {"a": 5, "b": 0}, "message": "5 = 0 * 0 + 5"}]
    assert division["numbers"]["a=7, b=2"] == {"quotient": 3}
    assert found["numbers/sums-commute"]["cases"] == {"covering": 4, "drawn": 10}
    assert found["numbers/collatz-reaches-one"]["reason"] == "0 of 1 proofs; needs a proof"


def test_summary_tells_counts_counterexamples_and_what_is_open(toy: pytest.Pytester) -> None:
    result = toy.runpytest("toy")
    result.stdout.fnmatch_lines(
        [
            "5 claims: 2 hold, 1 holds if ..., 1 refuted, 1 undecided",
            "evidence: 1 proved, 2 exhaustive, 1 property",
            "Refuted, each by a counterexample:",
            "  numbers/eulers-polynomial-is-prime: numbers.is_prime*",
            "Undecided, for lack of evidence:",
            "  numbers/collatz-reaches-one: 0 of 1 proofs",
            "1 claim has no verdict yet*",
        ]
    )


def test_slower_claims_wait_until_asked_for_and_keep_their_verdicts(toy: pytest.Pytester) -> None:
    toy.runpytest("toy").assert_outcomes(passed=5, deselected=1)
    assert verdicts(toy).keys() == QUICK
    toy.runpytest("toy", "-m", "cpu").assert_outcomes(passed=1, deselected=5)
    assert verdicts(toy).keys() == ALL.keys()
    result = toy.runpytest("toy")
    assert verdicts(toy).keys() == ALL.keys()
    result.stdout.fnmatch_lines(["1 of these was not judged in this run*"])


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["-k", "euler"], 1),
        (["toy/numbers.py::numbers/sums-commute"], 1),
        (["toy/numbers.py::numbers/there-are-ten"], 1),
        (["--last-failed"], 5),
    ],
)
def test_a_run_of_some_claims_erases_no_other_verdict(
    toy: pytest.Pytester, arguments: list[str], passed: int
) -> None:
    toy.runpytest("toy", "-m", "not slow")
    before = verdicts_file(toy).read_bytes()
    where = [] if "::" in arguments[0] else ["toy"]
    result = toy.runpytest(*where, *arguments)
    assert result.parseoutcomes()["passed"] == passed
    assert verdicts_file(toy).read_bytes() == before


def test_workers_find_what_one_process_finds(toy: pytest.Pytester) -> None:
    toy.runpytest("toy", "-m", "not slow")
    alone = verdicts_file(toy).read_bytes()
    verdicts_file(toy).unlink()
    toy.runpytest_subprocess("toy", "-m", "not slow", "-n", "2").assert_outcomes(passed=6)
    assert verdicts_file(toy).read_bytes() == alone


@pytest.mark.parametrize("workers", ["0", "2"])
def test_claims_that_are_no_more_leave_the_file(toy: pytest.Pytester, workers: str) -> None:
    toy.runpytest("toy", "-m", "not slow")
    edit(toy, "numbers/sums-commute", "numbers/order-of-summands")
    toy.runpytest_subprocess("toy", "-n", workers)
    assert "numbers/sums-commute" not in verdicts(toy)
    assert "numbers/there-are-ten" in verdicts(toy)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            'recorded=Refuted(instead="numbers/sums-commute")',
            "recorded=Holds()",
            "recorded holds, observed refuted",
        ),
        (
            'recorded=HoldsIf("divisor is not zero")',
            "recorded=Holds()",
            "recorded holds, observed holds-if (divisor is not zero)",
        ),
        (
            'cites=["book:1-2", "note:preface"],\n    recorded=Holds()',
            'cites=["book:1"],\n    recorded=Undecided("time")',
            "recorded undecided, observed holds",
        ),
        (
            'recorded=Undecided("a proof")',
            'recorded=Refuted(instead="numbers/sums-commute")',
            "recorded refuted, observed undecided",
        ),
    ],
)
def test_a_verdict_other_than_the_recorded_one_is_red(
    toy: pytest.Pytester, old: str, new: str, says: str
) -> None:
    edit(toy, old, new)
    if "undecided" in says.partition(",")[2]:
        edit(toy, 'on=["all"])', 'on=["all"], flipped_by=[OFF_BY_ONE])')
    result = toy.runpytest("toy")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*{says}"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_needless_condition_shows(toy: pytest.Pytester) -> None:
    edit(toy, "assert 0 <= rest < c.b", "assert 0 <= rest")
    result = toy.runpytest("toy", "-k", "division")
    result.stdout.fnmatch_lines(["*recorded holds-if (divisor is not zero), observed holds"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("assert numbers.is_prime(n", "assert 1 // 0 + (n", "*ZeroDivisionError*"),
        (
            "return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))",
            "exec('assert n < 0')",
            "*no verdict: an assertion failed inside what is judged*",
        ),
        ("on=range(50)", "on=[]", "*no verdict: no case meets every condition*"),
        (
            "Two(5, 0), Two(0, 4)]",
            "Two(0, 4)]",
            "*no verdict: no case violates only the condition 'divisor is not zero'*",
        ),
    ],
)
def test_a_check_that_cannot_decide_gives_no_verdict(
    toy: pytest.Pytester, old: str, new: str, says: str
) -> None:
    toy.runpytest("toy")
    before = verdicts_file(toy).read_bytes()
    edit(toy, old, new, "suite.py" if "n > 1" in old else "numbers.py")
    result = toy.runpytest("toy")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([says])
    assert verdicts_file(toy).read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('cites=["book:4"]', 'cites=["book:101"]', "*'book:101' is out of range*lines 1 to 100*"),
        ('cites=["book:4"]', 'cites=["atlas:4"]', "*unknown document 'atlas'*book, note*"),
        ('"note:preface"', '"note:index"', "*'note' has no place 'index'*"),
        (
            'HoldsIf("divisor is not zero")',
            'HoldsIf("b > 0")',
            "*conditions that no judgement*b > 0*",
        ),
        (", flipped_by=[ALL_PRIME]", "", "*is decided but nothing is declared to flip it*"),
        (
            'instead="numbers/sums-commute"',
            'instead="numbers/eulers-polynomial-is-prime"',
            "*itself*",
        ),
        (
            '"numbers/sums-commute",\n    says',
            '"Sums Commute",\n    says',
            "*must read topic/what*",
        ),
        (
            'recorded=Undecided("a proof")',
            'recorded=Undecided("a proof"), cost="dear"',
            "*cost must*",
        ),
    ],
)
def test_an_inconsistent_declaration_is_refused(
    toy: pytest.Pytester, old: str, new: str, says: str
) -> None:
    edit(toy, old, new)
    result = toy.runpytest("toy")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([says])


def test_two_claims_with_one_id_are_refused(toy: pytest.Pytester) -> None:
    edit(toy, "numbers/odd-plus-odd-is-even", "numbers/sums-commute")
    result = toy.runpytest("toy")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*two claims have the id 'numbers/sums-commute'*"])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[: len(text) // 2], "*is damaged*"),
        (
            lambda text: text.replace('"observed": "holds"', '"observed": "true"'),
            "*is damaged*'true'*",
        ),
        (lambda text: text.replace('"says"', '"extra": 1,\n  "says"', 1), "*is damaged*'extra'*"),
        (lambda _: '{"claims": [', "*is damaged*"),
        (lambda _: "\udcff", "*cannot be read*"),
    ],
)
def test_a_damaged_verdicts_file_stops_the_run_and_stays(
    toy: pytest.Pytester, damage: Any, says: str
) -> None:
    toy.runpytest("toy")
    path = verdicts_file(toy)
    path.write_bytes(damage(path.read_text()).encode(errors="surrogateescape"))
    before = path.read_bytes()
    result = toy.runpytest("toy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {says}"])
    assert path.read_bytes() == before


def test_results_that_cannot_be_written_stop_the_run_before_it_starts(toy: pytest.Pytester) -> None:
    (toy.path / "toy" / "results").write_text("a file where the folder should be")
    result = toy.runpytest("toy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *verdicts.json cannot be read: Not a directory"])


FULL = "resource.setrlimit(resource.RLIMIT_FSIZE, (999, 999))"


@pytest.mark.parametrize("when", ["before the run", "during the run"])
def test_a_full_disk_loses_nothing(toy: pytest.Pytester, when: str) -> None:
    toy.runpytest("toy")
    before = verdicts_file(toy).read_bytes()
    edit(toy, "The order of two", "The sequence of two")
    program = "import pytest, resource, sys; {}; sys.exit(pytest.main(['toy', '-s']))"
    if when == "during the run":
        edit(toy, "    raise Insuff", f"    import resource\n    {FULL}\n    raise Insuff")
    program = program.format(FULL if when == "before the run" else "None")
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=toy.path, capture_output=True, text=True, check=False
    )
    told = run.stdout + run.stderr
    assert run.returncode == pytest.ExitCode.USAGE_ERROR, told
    assert "verdicts.json cannot be written: File too large" in told
    assert "Traceback" not in told
    assert ("passed" in told) == (when == "during the run")
    assert verdicts_file(toy).read_bytes() == before
    assert [path.name for path in verdicts_file(toy).parent.iterdir()] == ["verdicts.json"]


def test_breaking_off_leaves_the_previous_results(toy: pytest.Pytester) -> None:
    toy.runpytest("toy")
    before = verdicts_file(toy).read_bytes()
    edit(
        toy,
        "raise Insuff",
        "import pathlib, time\n    pathlib.Path('there').touch()\n    time.sleep(60)\n"
        "    raise Insuff",
    )
    edit(toy, "The order of two", "The sequence of two")
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "toy"], cwd=toy.path, stdout=subprocess.PIPE, text=True
    )
    while not (toy.path / "there").exists():
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert verdicts_file(toy).read_bytes() == before


def test_every_fault_flips_and_the_matrix_is_written(toy: pytest.Pytester) -> None:
    result = toy.runpytest("toy", "--flips", "-m", "not slow")
    result.assert_outcomes(passed=6)
    matrix = json.loads(verdicts_file(toy).with_name("flips.json").read_text())
    assert matrix["numbers/sums-commute"] == {
        "sum off by one": "refuted",
        "second summand ignored": "refuted",
    }
    assert matrix["numbers/eulers-polynomial-is-prime"] == {"every number is prime": "holds"}
    assert not verdicts_file(toy).exists()


def test_a_fault_that_changes_nothing_is_named(toy: pytest.Pytester) -> None:
    edit(toy, "first == second == c.a + c.b", "first == second")
    edit(toy, "a + b + (a > 2)", "a + b + 1", "suite.py")
    result = toy.runpytest("toy", "--flips")
    result.assert_outcomes(passed=4, failed=1, deselected=1)
    result.stdout.fnmatch_lines(["numbers/sums-commute: still holds under sum off by one"])


def test_a_crash_is_no_flip(toy: pytest.Pytester) -> None:
    edit(toy, "add=lambda a, _: a", "add=lambda a, _: a // 0", "suite.py")
    result = toy.runpytest("toy", "--flips")
    result.assert_outcomes(passed=4, failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*second summand ignored makes the check crash*ZeroDivision*"])


@pytest.mark.parametrize(
    ("subject", "outcomes", "says"),
    [
        (
            "Right",
            {"passed": 4},
            "Conformance: 4 passed, 0 failed, 0 not provided, 2 not applicable",
        ),
        (
            "AddsBadly",
            {"passed": 3, "failed": 1},
            "*replay  python -m claims numbers/sums-commute *--subject toy.brought.AddsBadly",
        ),
        ("Lacking", {"passed": 2, "skipped": 2}, "  not provided  *toy.brought.Lacking has no*"),
        (
            "Crashing",
            {"passed": 2, "failed": 2},
            "*no verdict: *Crashing.add raised ValueError: no",
        ),
        (
            "Textual",
            {"passed": 2, "failed": 2},
            "numbers/odd-plus-odd-is-even: no verdict: TypeError: *",
        ),
    ],
)
def test_an_implementation_can_be_brought(
    toy: pytest.Pytester, subject: str, outcomes: dict[str, int], says: str
) -> None:
    result = toy.runpytest("toy", "--subject", f"toy.brought.{subject}")
    result.assert_outcomes(**outcomes, deselected=2)
    result.stdout.fnmatch_lines([says])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert not verdicts_file(toy).exists()


def test_an_unknown_implementation_is_a_wrong_call(toy: pytest.Pytester) -> None:
    result = toy.runpytest("toy", "--subject", "toy.brought.Nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: toy.brought.Nowhere does not exist"])


def test_a_soak_judges_what_draws_and_the_whole_grid_if_asked_and_writes_nothing(
    toy: pytest.Pytester,
) -> None:
    edit(toy, "    first, second =", "    assert (c.a, c.b) != (11, 10)\n    first, second =")
    toy.runpytest("toy").assert_outcomes(passed=5, deselected=1)
    before = verdicts_file(toy).read_bytes()
    toy.runpytest("toy", "--soak", "1").assert_outcomes(passed=1, deselected=5)
    result = toy.runpytest("toy", "--soak", "1", "--whole-grids")
    result.assert_outcomes(failed=1, deselected=5)
    result.stdout.fnmatch_lines(["Soak with seed 1: 1 claim judged, 1 failed"])
    assert verdicts_file(toy).read_bytes() == before


def test_drawn_cases_are_shrunk(toy: pytest.Pytester) -> None:
    edit(toy, "    first, second =", "    assert c.a < 20, 'too large'\n    first, second =")
    toy.runpytest("toy", "-k", "commute").assert_outcomes(failed=1, deselected=5)
    assert verdicts(toy)["numbers/sums-commute"]["counterexample"]["case"] == {"a": 20, "b": 0}


def test_a_run_of_other_tests_does_not_touch_the_suite(toy: pytest.Pytester) -> None:
    toy.makepyfile("def test_nothing_else(): assert 1 + 1 == 2")
    toy.runpytest("test_a_run_of_other_tests_does_not_touch_the_suite.py").assert_outcomes(passed=1)
    assert not verdicts_file(toy).exists()
