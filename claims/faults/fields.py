"""Perturbed fields: a row of a table, a fact, or a line of a listing that says something else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from claims.core.claim import Fault

Row = TypeVar("Row", bound=Any)


def perturbed(name: str, key: str, **values: object) -> Fault[Mapping[str, Row]]:
    """Return a fault that changes fields of one row of a mapping of dataclass rows."""

    def plant(rows: Mapping[str, Row]) -> Mapping[str, Row]:
        return {**rows, key: dataclasses.replace(rows[key], **values)}

    return Fault(name, plant)
