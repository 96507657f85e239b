"""The toy suite: one document, one subject that can be replaced, one topic."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from pathlib import Path

from claims.core.claim import Fault, Subject
from claims.core.document import Document
from claims.core.suite import SubjectError, Suite

HERE = Path(__file__).resolve().parent


class Arithmetic:
    """Whole numbers as Python has them."""

    def add(self, a: int, b: int) -> int:
        return a + b

    def divide(self, a: int, b: int) -> int:
        return a // b if b else 0

    def is_prime(self, n: int) -> bool:
        return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def changed(name: str, **operations: Callable[..., object]) -> Fault[Arithmetic]:
    """Return a fault that puts other operations in the place of the right ones."""

    def plant(base: Arithmetic) -> Arithmetic:
        other = copy.copy(base)
        vars(other).update(operations)
        return other

    return Fault(name, plant)


ARITHMETIC: Subject[Arithmetic] = Subject("arithmetic", Arithmetic)
NUMBERS: Subject[range] = Subject("numbers", lambda: range(10))

OFF_BY_ONE = changed("sum off by one", add=lambda a, b: a + b + (a > 2))
FIRST_ONLY = changed("second summand ignored", add=lambda a, _: a)
ALL_PRIME = changed("every number is prime", is_prime=lambda _: True)


def bring(path: str | None, device: str) -> object:
    """Return the arithmetic at a dotted path."""
    assert device == "cpu"
    module, _, name = str(path).rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as error:
        raise SubjectError(f"{path} does not exist") from error


SUITE = Suite(
    package="toy",
    directory=HERE,
    topics=("numbers",),
    documents=(
        Document("book", "A book about numbers", lines=100),
        Document("note", "A note about numbers", locators=("preface",)),
    ),
    verdicts=HERE / "results" / "verdicts.json",
    replaceable=ARITHMETIC,
    bring=bring,
    catalogue={"arithmetic": (OFF_BY_ONE, FIRST_ONLY, ALL_PRIME)},
    packages=("hypothesis",),
)
