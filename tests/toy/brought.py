"""Arithmetic brought by a user: right, lacking an operation, or wrong."""

from __future__ import annotations

from claims.core.suite import NotProvidedError, SubjectError
from toy.suite import Arithmetic


class Right(Arithmetic):
    """The same once more."""


class AddsBadly(Arithmetic):
    """Forgets to carry."""

    def add(self, a: int, b: int) -> int:
        return (a + b) % 10


class Lacking:
    """Adds, and nothing else."""

    def add(self, a: int, b: int) -> int:
        return a + b

    def __getattr__(self, name: str) -> object:
        raise NotProvidedError(f"toy.brought.Lacking has no {name}")


class Crashing(Arithmetic):
    """Raises where it should add."""

    def add(self, a: int, b: int) -> int:
        raise SubjectError("toy.brought.Crashing.add raised ValueError: no")


class Textual(Arithmetic):
    """Gives text for a sum, which a check may stumble over."""

    def add(self, a: int, b: int) -> int:
        return f"{a}{b}"  # type: ignore[return-value]
