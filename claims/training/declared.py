"""Write what follows from the declarations: `results/rules.json` and `results/traces.json`.

`rules.json` has the rule of each training claim with its digest, its arms, and its simulated error
rates; `traces.json` the losses of the first steps of each arm. Runs record both.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from claims.core import results
from claims.trained import declared_rules
from claims.training import rules, runs
from claims.training.arms import ARMS


def main() -> int:
    """Write both files; returns 1 if that is not possible."""
    torch.set_num_threads(1)  # with more, sums in another order differ in the last digits
    try:
        write(runs.RESULTS)
    except results.ResultsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0


def write(directory: Path) -> None:
    """Write both files into a folder, as text that the same tree gives again.

    Raises:
        ResultsError: if a file cannot be written.
    """
    for name, content in (("rules", all_rules()), ("traces", all_traces())):
        results.write(directory / f"{name}.json", json.dumps(content, indent=1) + "\n")


def all_rules() -> dict[str, Any]:
    """Return the rules of all training claims by the claims' ids."""
    return {
        id_: {
            "rule": rules.described(rule),
            "digest": rules.digest(rule),
            "arms": rules.seeds_by_arm(rule),
            "error rates": rules.error_rates(rule),
        }
        for id_, rule in declared_rules().items()
    }


def all_traces() -> dict[str, list[float]]:
    """Return the losses of the first steps of each arm."""
    return {name: arm.trace() for name, arm in ARMS.items()}


if __name__ == "__main__":
    sys.exit(main())
