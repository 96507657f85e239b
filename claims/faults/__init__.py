"""The catalogue of faults, shared by all claims: wrong operators, surgeries, wrong closed forms.

A fault takes a subject and returns a changed one; every decided claim names at least one that must
change its verdict. A claim writes a fault of its own only where the catalogue has none.
"""

from __future__ import annotations

from typing import Any

from claims.core.claim import Fault
from claims.faults import models, operators


def _declared(module: object) -> tuple[Fault[Any], ...]:
    return tuple(value for value in vars(module).values() if isinstance(value, Fault))


CATALOGUE: dict[str, tuple[Fault[Any], ...]] = {
    "operators": _declared(operators),
    "models": _declared(models),
}
