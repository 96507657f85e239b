"""Perturbed fields: a row of a table, a fact, or a line of a listing that says something else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from claims.core.claim import Fault


def perturbed(name: str, key: str, **values: object) -> Fault[Any]:
    """Return a fault that changes fields of one row of a mapping of dataclass rows."""

    def plant(rows: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**rows, key: dataclasses.replace(rows[key], **values)}

    return Fault(name, plant)
