"""Claims about trained networks that wait in words: no rule on one number a run expresses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from claims.core.claim import Claim
from claims.core.verdict import Undecided
from claims.subjects import RUNS, Evidence


def awaited(
    id_: str,
    *,
    says: str,
    cites: Sequence[str],
    needs: str,
    arms: Mapping[str, int],
    reading_of: str | None = None,
    renamed_from: str | None = None,
) -> Claim:
    """Return a claim that stays undecided until its runs are there.

    `needs` says which rule decides it; `arms` gives the number of seeds of each training recipe.
    """
    claim = Claim(
        id_,
        says=says,
        cites=cites,
        recorded=Undecided(needs),
        reading_of=reading_of,
        renamed_from=renamed_from,
    )

    @claim.judged(subject=RUNS, on=[" against ".join(arms)])
    def runs_are_there(evidence: Evidence, _: str) -> None:
        evidence.await_runs(arms)

    return claim
