"""The pytest plugin: every claim of a suite is an item, so that `pytest claims` judges them all.

The ini option `claims_suite` names the suite as `package.module:NAME`. Each item observes a verdict
and passes if and only if it is the recorded one. `--flips` plants faults instead, `--subject` and
`--device` judge another implementation, `--soak` judges a thousand drawn cases of those that draw.
Only a plain run writes the verdicts file.
"""

from __future__ import annotations

import gc
import importlib
import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from claims.core import results, summary
from claims.core.claim import Claim, Domain, Fault, Judgement
from claims.core.judge import QUICK, Effort, Judged, judge
from claims.core.suite import (
    NotProvidedError,
    SubjectError,
    Suite,
    UnavailableError,
    claims_of,
    problems,
)
from claims.core.verdict import NoVerdictError, Verdict

CONTEXT: pytest.StashKey[Context] = pytest.StashKey()

PROPERTY = "claim"


class VerdictDiffersError(Exception):
    """The observed verdict is not the recorded one, or a fault did not change it."""


@dataclass
class Context:
    """What one pytest process knows: how to judge, and which claims it has met."""

    suite: Suite
    effort: Effort
    replaced: dict[str, object]
    brought: bool
    flips: bool
    again: tuple[str, ...]
    met: dict[str, Claim] = field(default_factory=dict)
    topics: set[str] = field(default_factory=set)

    @property
    def applicable(self) -> set[str]:
        """The claims met that are about the subject which a user can replace."""
        replaceable = self.suite.replaceable
        return {
            id_
            for id_, claim in self.met.items()
            if any(judgement.subject is replaceable for judgement in claim.judgements)
        }

    @property
    def complete(self) -> bool:
        """Whether every topic of the suite was collected."""
        return self.topics >= set(self.suite.topics)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of a claims run."""
    parser.addini("claims_suite", "suite of claims, as package.module:NAME")
    group = parser.getgroup("claims of documents")
    group.addoption(
        "--subject", metavar="PATH", help="judge the implementation at this dotted path"
    )
    group.addoption("--device", default="cpu", help="device of the implementation (default: cpu)")
    group.addoption("--flips", action="store_true", help="plant every fault; verdicts must change")
    group.addoption(
        "--soak", type=int, metavar="SEED", help="claims that draw: 1000 cases each from this seed"
    )
    group.addoption(
        "--whole-grids", action="store_true", help="with --soak: the whole grids of cases as well"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load the suite named by the configuration and check the options."""
    config.addinivalue_line("markers", "cpu: takes seconds on a CPU; `make claims` judges it")
    config.addinivalue_line("markers", "slow: needs training runs; `make reproduce` makes them")
    name = config.getini("claims_suite")
    if not name:
        return
    module, attribute = name.split(":")
    suite = getattr(importlib.import_module(module), attribute)
    if not _aims_at(config, suite.directory):
        return
    soak = config.getoption("soak")
    subject, device = config.getoption("subject"), config.getoption("device")
    brought = subject is not None or device != "cpu"
    config.stash[CONTEXT] = Context(
        suite=suite,
        effort=QUICK if soak is None else Effort(1000, config.getoption("whole_grids"), soak),
        replaced=_bring(suite, subject, device) if brought else {},
        brought=brought,
        flips=config.getoption("flips"),
        again=_again(subject, device),
    )
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(config, config.stash[CONTEXT]))


def _again(subject: str | None, device: str) -> tuple[str, ...]:
    """Return the options that bring the same implementation again."""
    brought = ("--subject", subject) if subject else ()
    return brought + (("--device", device) if device != "cpu" else ())


def _aims_at(config: pytest.Config, directory: Path) -> bool:
    """Whether the arguments of this run can reach the suite's folder."""
    for argument in config.args:
        path = (config.invocation_params.dir / argument).resolve()
        if path == directory or path in directory.parents or directory in path.parents:
            return True
    return False


def _bring(suite: Suite, subject: str | None, device: str) -> dict[str, object]:
    if suite.replaceable is None or suite.bring is None:
        raise pytest.UsageError("this suite has no subject that --subject or --device replaces")
    try:
        return {suite.replaceable.name: suite.bring(subject, device)}
    except (SubjectError, UnavailableError) as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Spare the garbage collector what the topics import, now and to the end of the process.

    A full collection takes 0.2 s with PyTorch's modules, and there are several, the last ones when
    the interpreter ends.
    """
    if CONTEXT not in session.config.stash:
        return (yield)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the topics of the suite."""
    context = parent.config.stash.get(CONTEXT, None)
    if context is None or file_path.suffix != ".py":
        return None
    if file_path.parent != context.suite.directory or file_path.stem not in context.suite.topics:
        return None
    module: ClaimModule = ClaimModule.from_parent(parent, path=file_path)
    return module


class ClaimModule(pytest.Module):
    """A topic: a module whose claims are the items."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item for each claim, or for each claim's flips."""
        context = self.config.stash[CONTEXT]
        context.topics.add(self.path.stem)
        found = claims_of(self.obj)
        for claim in found:
            if context.met.setdefault(claim.id, claim) is not claim:
                raise self.CollectError(f"two claims have the id {claim.id!r}")
        if wrong := problems(context.suite, found):
            raise self.CollectError("\n".join(wrong))
        item = FlipItem if context.flips else ClaimItem
        for claim in found:
            yield item.from_parent(self, name=claim.id, claim=claim)


class ClaimItem(pytest.Item):
    """One claim, judged."""

    def __init__(self, *, claim: Claim, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.claim = claim
        if claim.cost != "quick":
            self.add_marker(claim.cost)

    def runtest(self) -> None:
        """Observe a verdict; it must be the recorded one."""
        context = self.config.stash[CONTEXT]
        judged = judge(self.claim, effort=context.effort, replaced=context.replaced)
        entry = results.entry(self.claim, judged, context.suite.packages)
        self.user_properties.append((PROPERTY, json.dumps(entry)))
        if not judged.observation.agrees_with(self.claim.recorded):
            raise VerdictDiffersError(self._difference(judged, context.again))

    def _difference(self, judged: Judged, again: tuple[str, ...]) -> str:
        claim, observed = self.claim, judged.observation
        lines = [
            f"{claim.id}: recorded {_spelled(claim.recorded)}, observed {_spelled(observed)}",
            f"  says    {claim.says}",
        ]
        shown = [observed.counterexample] if observed.counterexample else observed.exceptions
        for outcome in shown:
            lines.append(f"  false   {outcome.message}")
            lines.append(f"  replay  {replay_command(claim.id, outcome.case, again)}")
        return "\n".join(lines)

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: Any = None,
    ) -> Any:
        """Say what is wrong in a few lines; only an unexpected error shows its traceback."""
        error = excinfo.value
        if isinstance(error, VerdictDiffersError):
            return str(error)
        if isinstance(error, NoVerdictError | SubjectError | UnavailableError | ImportError):
            return f"{self.claim.id}: no verdict: {error}"
        if self.config.stash[CONTEXT].brought:
            return f"{self.claim.id}: no verdict: {type(error).__name__}: {error}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Say where the first statement of the claim stands."""
        line = self.claim.judgements[0].statement.__code__.co_firstlineno
        return self.path, line - 1, self.claim.id  # pytest counts lines from 0


class FlipItem(ClaimItem):
    """One claim under every fault: those declared to flip it must change its verdict."""

    def runtest(self) -> None:
        """Plant each fault in turn and compare the verdict with that of the unchanged subject."""
        context = self.config.stash[CONTEXT]
        plain = judge(self.claim).observation
        found: dict[str, str] = {}
        survivors = []
        for judgement in self.claim.judgements:
            catalogue = context.suite.catalogue.get(judgement.subject.name, ())
            declared = set(judgement.flipped_by)
            for fault in dict.fromkeys([*judgement.flipped_by, *catalogue]):
                verdict = self._under(fault, judgement, must=fault in declared)
                if verdict is None:
                    found.setdefault(fault.name, "error")
                elif verdict.differs_from(plain):
                    found[fault.name] = _spelled(verdict)
                elif fault in declared:
                    survivors.append(fault.name)
        self.user_properties.append((PROPERTY, json.dumps({"faults": found})))
        if survivors:
            raise VerdictDiffersError(
                f"{self.claim.id}: still {_spelled(plain)} under {', '.join(survivors)}"
            )

    def _under(self, fault: Fault[Any], judgement: Judgement[Any, Any], *, must: bool) -> Any:
        """Return the observation under a fault; None where an undeclared one gives an error."""
        try:
            return judge(self.claim, fault=fault, faulty=judgement).observation
        except Exception as error:
            if must:
                raise NoVerdictError(
                    f"the fault {fault.name} makes the check crash instead of changing the "
                    f"verdict: {type(error).__name__}: {error}"
                ) from error
            return None


def _spelled(verdict: Any) -> str:
    if verdict.verdict == Verdict.HOLDS_IF:
        return f"holds-if ({'; '.join(sorted(verdict.conditions))})"
    return str(verdict.verdict)


def replay_command(id_: str, case: object, again: tuple[str, ...]) -> str:
    """Return the shell line that judges one claim on one case again."""
    return shlex.join(["python", "-m", "claims", id_, "--case", json.dumps(case), *again])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Skip a claim that needs an operator which the implementation does not provide."""
    try:
        return (yield)
    except NotProvidedError as lack:
        pytest.skip(str(lack))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slower claims unless asked for, and those that this kind of run says nothing on."""
    context = config.stash.get(CONTEXT, None)
    if context is None:
        return
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    named = config.getoption("markexpr") or any("::" in argument for argument in config.args)
    applicable = context.applicable
    for item in items:
        wanted = True
        if isinstance(item, ClaimItem):
            wanted = bool(named) or item.claim.cost == "quick"
            if context.brought:
                wanted &= item.claim.id in applicable
            if context.effort != QUICK:
                wanted &= any(isinstance(one.on, Domain) for one in item.claim.judgements)
        (kept if wanted else left).append(item)
    if left:
        items[:] = kept
        config.hook.pytest_deselected(items=left)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker process say which claims it has met."""
    context = session.config.stash.get(CONTEXT, None)
    output = getattr(session.config, "workeroutput", None)
    if context is not None and output is not None:
        output["claims"] = {
            "met": sorted(context.met),
            "applicable": sorted(context.applicable),
            "topics": sorted(context.topics),
        }


class Recorder:
    """Gathers what the items found and, at the end of a plain run, writes it."""

    def __init__(self, config: pytest.Config, context: Context) -> None:
        self.config = config
        self.context = context
        self.suite = context.suite
        self.found: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, str] = {}
        self.not_provided: dict[str, str] = {}
        self.met: set[str] = set()
        self.applicable: set[str] = set()
        self.old: dict[str, dict[str, Any]] = {}
        self.merged: dict[str, dict[str, Any]]
        self.plain = not context.brought and context.effort == QUICK
        self.path = self.suite.verdicts
        if context.flips:
            self.path = self.path.with_name("flips.json")

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self) -> Iterator[None]:
        """Refuse early what would fail at the end, while worker processes start up."""
        yield
        if not self.plain:
            return
        try:
            self.old = results.read(self.suite.verdicts)
            results.writable(self.path)
        except results.ResultsError as error:
            raise pytest.UsageError(str(error)) from error

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:  # noqa: ARG002
        """Take over what a worker met."""
        told = getattr(node, "workeroutput", {}).get("claims")
        if told:
            self.met |= set(told["met"])
            self.applicable |= set(told["applicable"])
            self.context.topics |= set(told["topics"])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what an item found."""
        id_ = report.nodeid.partition("::")[2]
        for name, value in report.user_properties:
            if name == PROPERTY:
                self.found[id_] = json.loads(str(value))
        if isinstance(report.longrepr, tuple):  # where, and why it was skipped
            self.not_provided[id_] = report.longrepr[2].removeprefix("Skipped: ")
        elif report.failed:
            self.failed[id_] = report.longreprtext

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write what was found, unless the run was broken off."""
        self.met |= set(self.context.met)
        self.applicable |= self.context.applicable
        self.merged = dict(self.old)
        finished = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if not (self.plain and finished and self.found):
            return
        known = self.met if self.context.complete else None
        try:
            if self.context.flips:
                self._write_matrix(known)
            else:
                self.merged = results.merge(self.old, self.found, known)
                results.write(self.path, results.dump(self.merged))
        except results.ResultsError as error:
            self.config.get_terminal_writer().line(f"\n{error}", red=True)
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _write_matrix(self, known: set[str] | None) -> None:
        """Write claim x fault: the verdict under each fault that changes it."""
        try:
            old = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            old = {}
        new = {id_: found["faults"] for id_, found in self.found.items()}
        matrix = results.merge(old, new, known)
        results.write(self.path, json.dumps(matrix, indent=1) + "\n")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what a person wants to know of the run."""
        lines: Iterable[summary.Line]
        width = terminalreporter._tw.fullwidth  # noqa: SLF001 - pytest offers no other way
        if self.context.flips:
            lines = summary.flips(self.found)
        elif self.context.brought:
            other = len(self.met - self.applicable)
            judged = self.found.keys() | self.failed.keys() | self.not_provided.keys()
            slower = len(self.applicable - judged)
            lines = summary.conformance(self.found, self.failed, self.not_provided, slower, other)
        elif self.context.effort != QUICK:
            lines = summary.soak(self.found, self.failed, self.context.effort.seed)
        else:
            date = summary.committed_on(self.suite.verdicts)
            lines = [*summary.verdicts(self.merged, self.found, self.met, date, width)]
            if self.found and self.suite.closing:
                lines.append((self.suite.closing, {}))
        for line, style in lines:
            terminalreporter.line(line, **style)
