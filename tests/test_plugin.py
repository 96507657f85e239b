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

from claims.core import results
from claims.core.plugin import replay_command

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


def test_a_run_ends_with_where_to_look_next(toy: pytest.Pytester) -> None:
    edit(toy, 'packages=("hypothesis",),', 'closing="Look at [them]!",', "suite.py")
    toy.runpytest("toy").stdout.fnmatch_lines(
        ["1 claim has no verdict yet*", "Look at [[]them]!", "", "=* 5 passed, 1 deselected in *"],
        consecutive=True,
    )
    toy.runpytest("toy", "-k", "nothing").stdout.no_fnmatch_line("Look at*")
    assert "\x1b[1m5 claims: 2 hold, " in toy.runpytest("toy", "--color=yes").stdout.str()


def test_slower_claims_wait_until_asked_for_and_keep_their_verdicts(toy: pytest.Pytester) -> None:
    toy.runpytest("toy").assert_outcomes(passed=5, deselected=1)
    assert verdicts(toy).keys() == QUICK
    toy.runpytest("toy", "-m", "cpu").assert_outcomes(passed=1, deselected=5)
    assert verdicts(toy).keys() == ALL.keys()
    result = toy.runpytest("toy")
    assert verdicts(toy).keys() == ALL.keys()
    since = "verdicts from verdicts.json, not under version control."
    result.stdout.fnmatch_lines([f"1 of these was not judged in this run: {since}"])


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


def test_a_difference_is_shown_with_every_case_that_makes_it(toy: pytest.Pytester) -> None:
    edit(toy, 'recorded=Refuted(instead="numbers/sums-commute")', "recorded=Holds()")
    edit(toy, 'recorded=HoldsIf("divisor is not zero")', "recorded=Holds()")
    edit(toy, "assert 0 <= rest < c.b,", "assert 0 <= rest < c.b and c.a != 6,")
    edit(toy, "c: c.b != 0}", 'c: c.b != 0, "not 6": lambda c: c.a != 6}')
    both = "holds-if (divisor is not zero; not 6)"
    toy.runpytest("toy").stdout.fnmatch_lines(
        [
            "_* numbers/division-is-undone _*",
            f"numbers/division-is-undone: recorded holds, observed {both}",
            "  says    A quotient times the divisor, and the remainder, give back the number.",
            "  false   5 = 0 * 0 + 5",
            """  replay  python -m claims numbers/division-is-undone --case '{"a": 5, "b": 0}'""",
            "  false   6 = 2 * 3 + 0",
            """  replay  python -m claims numbers/division-is-undone --case '{"a": 6, "b": 3}'""",
            "_* numbers/eulers-polynomial-is-prime _*",
            "numbers/eulers-polynomial-is-prime: recorded holds, observed refuted",
            "  says    n squared plus n plus 41 is prime for every n.",
            "  false   numbers.is_prime(n [*] n + n + 41)",
            "  replay  python -m claims numbers/eulers-polynomial-is-prime --case 40",
        ],
        consecutive=True,
    )


def test_a_claim_stands_where_its_first_statement_does(toy: pytest.Pytester) -> None:
    items, _ = toy.inline_genitems("toy")
    lines = (toy.path / "toy" / "numbers.py").read_text().splitlines()
    path, line, name = items[0].location
    assert (path, name) == ("toy/numbers.py", "numbers/sums-commute")
    assert lines[line or 0].startswith("@commutes.judged")


def test_a_worker_tells_what_it_has_met_and_writes_nothing(toy: pytest.Pytester) -> None:
    told: dict[str, Any] = {}

    class Worker:
        @pytest.hookimpl(tryfirst=True)
        def pytest_configure(self, config: pytest.Config) -> None:
            vars(config).update(workerinput={"workerid": "gw0"}, workeroutput=told)

    toy.inline_run("toy", "-p", "no:xdist", plugins=[Worker()])
    replaceable = ALL.keys() - {"numbers/there-are-ten", "numbers/collatz-reaches-one"}
    assert told["claims"] == {
        "met": sorted(ALL),
        "applicable": sorted(replaceable),
        "topics": ["numbers"],
    }
    assert not verdicts_file(toy).exists()


def test_a_helper_may_assert_for_the_statement(toy: pytest.Pytester) -> None:
    helper = "prime(numbers, n)\n\n\ndef prime(numbers, n):\n    assert numbers.is_prime(n)"
    edit(toy, "assert numbers.is_prime(n * n + n + 41)", helper)
    toy.runpytest("toy").assert_outcomes(passed=5, deselected=1)
    shown = verdicts(toy)["numbers/eulers-polynomial-is-prime"]["counterexample"]
    assert shown == {"case": 0, "message": "numbers.is_prime(n)"}


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


def test_all_that_is_inconsistent_in_a_topic_is_told(toy: pytest.Pytester) -> None:
    edit(toy, 'cites=["book:3"]', 'cites=["atlas:3"]')
    edit(toy, ", flipped_by=[ALL_PRIME]", "")
    undecided = "numbers/eulers-polynomial-is-prime is decided but nothing is declared to flip it"
    toy.runpytest("toy").stdout.fnmatch_lines(
        ["numbers/division-is-undone cites badly: unknown document 'atlas' *", undecided],
        consecutive=True,
    )


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


def test_what_cannot_be_written_at_the_end_is_told(
    toy: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise results.ResultsError(f"no room for {path.name}")

    monkeypatch.setattr(results, "write", refuse)
    result = toy.runpytest("toy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["no room for verdicts.json", "5 claims: *", "=* 5 passed*"])


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


@pytest.mark.usefixtures("interruptible")
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
    matrix = {
        "numbers/collatz-reaches-one": {},
        "numbers/division-is-undone": {"quotient too low": "refuted"},
        "numbers/eulers-polynomial-is-prime": {"every number is prime": "holds"},
        "numbers/odd-plus-odd-is-even": {
            "one more": "refuted",
            "sum off by one": "refuted",
            "second summand ignored": "refuted",
        },
        "numbers/sums-commute": {
            "sum off by one": "refuted",
            "second summand ignored": "refuted",
        },
        "numbers/there-are-ten": {"nine": "refuted"},
    }
    result.stdout.fnmatch_lines(
        ["8 verdicts changed under 6 faults planted in 6 claims; the matrix is in *"]
    )
    written = verdicts_file(toy).with_name("flips.json")
    assert written.read_text() == json.dumps(matrix, indent=1) + "\n"
    assert not verdicts_file(toy).exists()
    edit(toy, "numbers/odd-plus-odd-is-even", "numbers/odd-and-odd")
    toy.runpytest("toy", "--flips", "-k", "odd").assert_outcomes(passed=1, deselected=5)
    matrix["numbers/odd-and-odd"] = matrix.pop("numbers/odd-plus-odd-is-even")
    assert json.loads(written.read_text()) == matrix


def test_a_fault_that_changes_nothing_is_named(toy: pytest.Pytester) -> None:
    edit(toy, "first == second == c.a + c.b", "first == second")
    edit(toy, "a + b + (a > 2)", "a + b + 1", "suite.py")
    edit(toy, "add=lambda a, _: a", "add=lambda a, b: a * b", "suite.py")
    result = toy.runpytest("toy", "--flips")
    result.assert_outcomes(passed=4, failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["numbers/sums-commute: still holds under sum off by one, second summand ignored"]
    )


def test_a_crash_is_no_flip(toy: pytest.Pytester) -> None:
    edit(toy, "add=lambda a, _: a", "add=lambda a, _: a // 0", "suite.py")
    result = toy.runpytest("toy", "--flips")
    result.assert_outcomes(passed=4, failed=1, deselected=1)
    says = "makes the check crash instead of changing the verdict: ZeroDivisionError: *"
    result.stdout.fnmatch_lines(
        [f"numbers/sums-commute: no verdict: the fault second summand ignored {says}"]
    )
    matrix = json.loads(verdicts_file(toy).with_name("flips.json").read_text())
    assert matrix["numbers/odd-plus-odd-is-even"]["second summand ignored"] == "error"


def test_the_options_and_marks_are_explained(toy: pytest.Pytester) -> None:
    told = " ".join(toy.runpytest("--help").stdout.str().split())
    assert "claims_suite (string): suite of claims, as package.module:NAME" in told
    assert (
        "claims of documents: "
        "--subject=PATH judge the implementation at this dotted path "
        "--device=DEVICE device of the implementation (default: cpu) "
        "--flips plant every fault; verdicts must change "
        "--soak=SEED claims that draw: 1000 cases each from this seed "
        "--whole-grids with --soak: the whole grids of cases as well "
    ) in told
    toy.runpytest("--markers").stdout.fnmatch_lines(
        [
            "@pytest.mark.cpu: takes seconds on a CPU; `make claims` judges it",
            "@pytest.mark.slow: needs training runs; `make reproduce` makes them",
        ]
    )


def test_a_claim_is_judged_on_a_case_again_by_a_line_for_the_shell() -> None:
    again = ("--subject", "my own.operators")
    assert replay_command("numbers/sums-commute", {"a": 1, "b": [2]}, again) == (
        """python -m claims numbers/sums-commute --case '{"a": 1, "b": [2]}' """
        """--subject 'my own.operators'"""
    )


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
        (
            "Lacking",
            {"passed": 2, "skipped": 2},
            "  not provided  numbers/division-is-undone: toy.brought.Lacking has no divide",
        ),
        (
            "Lacking",
            {"passed": 2, "skipped": 2},
            "Conformance: 2 passed, 0 failed, 2 not provided, 2 not applicable",
        ),
        (
            "Crashing",
            {"passed": 2, "failed": 2},
            "Conformance: 2 passed, 2 failed, 0 not provided, 2 not applicable",
        ),
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


def test_slower_claims_about_an_implementation_are_counted(toy: pytest.Pytester) -> None:
    edit(toy, 'cites=["book:5"],', 'cites=["book:5"], cost="cpu",')
    toy.runpytest("toy", "--subject", "toy.brought.Right").stdout.fnmatch_lines(
        ["Conformance: 3 passed, 0 failed, 0 not provided, 1 not run, 2 not applicable"]
    )


def test_an_unknown_implementation_is_a_wrong_call(toy: pytest.Pytester) -> None:
    result = toy.runpytest("toy", "--subject", "toy.brought.Nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: toy.brought.Nowhere does not exist"])


def test_the_device_reaches_the_implementation_and_the_replay(toy: pytest.Pytester) -> None:
    edit(toy, 'device == "cpu"', 'device == "abacus"', "suite.py")
    result = toy.runpytest("toy", "--subject", "toy.brought.AddsBadly", "--device", "abacus")
    result.assert_outcomes(passed=3, failed=1, deselected=2)
    result.stdout.fnmatch_lines(["*--subject toy.brought.AddsBadly --device abacus"])
    result = toy.runpytest("toy", "--device", "abacus")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: None does not exist"])


@pytest.mark.parametrize("lacking", ["replaceable=ARITHMETIC,", "bring=bring,"])
def test_a_suite_need_not_let_its_subject_be_replaced(toy: pytest.Pytester, lacking: str) -> None:
    edit(toy, lacking, "", "suite.py")
    toy.runpytest("toy").assert_outcomes(passed=5, deselected=1)
    result = toy.runpytest("toy", "--subject", "toy.brought.Right")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: this suite has no subject that --subject or --device replaces"]
    )


@pytest.mark.parametrize(
    ("arguments", "outcomes"),
    [
        (["."], {"passed": 6, "deselected": 1}),
        (["test_other.py", "toy/numbers.py"], {"passed": 6, "deselected": 1}),
        (["toy/numbers.py::numbers/sums-commute", "test_other.py"], {"passed": 2}),
        (["test_other.py"], {"passed": 1}),
    ],
)
def test_claims_are_judged_beside_other_tests(
    toy: pytest.Pytester, arguments: list[str], outcomes: dict[str, int]
) -> None:
    toy.makepyfile(test_other="def test_nothing_else(): assert 1 + 1 == 2")
    toy.runpytest(*arguments).assert_outcomes(**outcomes)
    assert verdicts_file(toy).exists() == (arguments != ["test_other.py"])


def test_a_run_of_other_tests_does_not_read_the_verdicts(toy: pytest.Pytester) -> None:
    toy.makepyfile(test_other="def test_nothing_else(): assert 1 + 1 == 2")
    verdicts_file(toy).parent.mkdir()
    verdicts_file(toy).write_text("damaged")
    toy.runpytest("test_other.py").assert_outcomes(passed=1)
    assert toy.runpytest("test_other.py", "toy").ret == pytest.ExitCode.USAGE_ERROR


def test_a_soak_draws_a_thousand_cases(toy: pytest.Pytester) -> None:
    edit(toy, "    first, second =", "    print('a pair')\n    first, second =")
    told = toy.runpytest("toy", "--soak", "1", "-s").stdout.str()
    assert told.count("a pair") == 4 + 1000
    edit(toy, '"note:preface"],', '"note:preface"], cost="cpu",')
    toy.runpytest("toy", "--soak", "1").assert_outcomes(deselected=6)
    toy.runpytest("toy", "--soak", "1", "-m", "cpu").assert_outcomes(passed=1, deselected=5)


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
