"""Claims about trained networks: a rule, fixed before the runs, decides them by committed runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claims.core.claim import Claim, Fault
from claims.core.verdict import InsufficientEvidenceError, Recorded, Undecided
from claims.subjects import RUNS, Evidence
from claims.training import rules
from claims.training.rules import Rule, Values

RULES: dict[str, Rule] = {}
"""The rules of all claims declared so far, by the claims' ids."""


def trained(
    id_: str,
    *,
    says: str,
    cites: Sequence[str],
    rule: Rule,
    recorded: Recorded | None = None,
    flipped_by: Sequence[Fault[Evidence]] = (),
    reading_of: str | None = None,
    renamed_from: str | None = None,
) -> Claim:
    """Return a claim that a rule decides; without `recorded` it still waits for its runs."""
    RULES[id_] = rule
    claim = Claim(
        id_,
        says=says,
        cites=cites,
        recorded=recorded or Undecided(rules.described(rule)),
        reading_of=reading_of,
        renamed_from=renamed_from,
    )
    arms = rules.seeds_by_arm(rule)

    @claim.judged(subject=RUNS, on=[" against ".join(arms)], flipped_by=flipped_by)
    def rule_decides(evidence: Evidence, _: str) -> dict[str, Any]:
        decision = rules.decide(rule, evidence.values(rules.needed(rule)))
        published = evidence.rule(id_)
        rates = published.get("error rates", {})
        if decision.outcome == "undecided":
            power = f"; expected power {rates['power']:.2g}" if rates else ""
            raise InsufficientEvidenceError(decision.reason + power)
        found = decision.reason
        if evidence.ran_under_another_rule(id_, rules.digest(rule), arms):
            found += "; rule changed after the runs"
        wrongly = "false refutation" if decision.outcome == "refuted" else "false alarm"
        if rates:
            found += f"; rate of a {wrongly} {rates[wrongly]:.2g}"
        assert decision.outcome == "holds", found
        return {"rule": rules.described(rule), "found": found, **decision.numbers, **rates}

    return claim


def declared_rules() -> dict[str, Rule]:
    """Return the rules of all training claims of the suite, by the claims' ids."""
    from claims.suite import SUITE

    return {id_: RULES[id_] for id_ in SUITE.claims() if id_ in RULES}


def runs_with(name: str, values: Values) -> Fault[Evidence]:
    """Return synthetic runs, as `values[quantity][arm][seed]`, in the place of the real ones."""

    @dataclass(frozen=True)
    class Synthetic(Evidence):
        def values(self, needed: Mapping[str, Sequence[str]]) -> Values:  # noqa: ARG002
            return values

    return Fault(name, lambda evidence: Synthetic(evidence.directory))
