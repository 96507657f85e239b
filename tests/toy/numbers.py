"""Claims about whole numbers, one of each kind."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from claims.core.claim import PROOF, Claim, Domain, Fault, Proof
from claims.core.verdict import Holds, HoldsIf, InsufficientEvidenceError, Refuted, Undecided
from toy.suite import (
    ALL_PRIME,
    ARITHMETIC,
    FIRST_ONLY,
    NUMBERS,
    OFF_BY_ONE,
    Arithmetic,
)


class Lower(Arithmetic):
    """Divides, and takes one away."""

    def divide(self, a: int, b: int) -> int:
        return a // b - 1 if b else 0


class OneMore(Arithmetic):
    """Adds, and then one."""

    def add(self, a: int, b: int) -> int:
        return a + b + 1


TOO_LOW: Fault[Arithmetic] = Fault("quotient too low", lambda _: Lower())
ONE_MORE: Fault[Arithmetic] = Fault("one more", lambda _: OneMore())


@dataclass(frozen=True)
class Two:
    """Two whole numbers."""

    a: int
    b: int
    scale: int = 1


TWO = Domain(
    "pairs of numbers below 1000",
    strategy=st.builds(Two, st.integers(0, 999), st.integers(0, 999)),
    covering=[Two(0, 1), Two(2, 3), Two(5, 0), Two(7, 7)],
    grid=lambda: (Two(a, b) for a in range(12) for b in range(12)),
)

commutes = Claim(
    "numbers/sums-commute",
    says="The order of two summands does not matter.",
    cites=["book:1-2", "note:preface"],
    recorded=Holds(),
)


@commutes.judged(subject=ARITHMETIC, on=TWO, flipped_by=[OFF_BY_ONE, FIRST_ONLY])
def both_orders_agree(numbers: Arithmetic, c: Two) -> None:
    first, second = numbers.add(c.a, c.b), numbers.add(c.b, c.a)
    assert first == second == c.a + c.b, f"{first} and {second}"


undone = Claim(
    "numbers/division-is-undone",
    says="A quotient times the divisor, and the remainder, give back the number.",
    cites=["book:3"],
    recorded=HoldsIf("divisor is not zero"),
)


@undone.judged(
    subject=ARITHMETIC,
    on=[Two(7, 2), Two(6, 3), Two(5, 0), Two(0, 4)],
    when={"divisor is not zero": lambda c: c.b != 0},
    flipped_by=[TOO_LOW],
)
def multiplied_back(numbers: Arithmetic, c: Two) -> dict[str, int]:
    quotient = numbers.divide(c.a, c.b)
    rest = c.a - quotient * c.b
    assert 0 <= rest < c.b, f"{c.a} = {quotient} * {c.b} + {rest}"
    return {"quotient": quotient}


euler = Claim(
    "numbers/eulers-polynomial-is-prime",
    says="n squared plus n plus 41 is prime for every n.",
    cites=["book:4"],
    recorded=Refuted(instead="numbers/sums-commute"),
)


@euler.judged(subject=ARITHMETIC, on=range(50), flipped_by=[ALL_PRIME])
def value_is_prime(numbers: Arithmetic, n: int) -> None:
    assert numbers.is_prime(n * n + n + 41)


odd = Claim(
    "numbers/odd-plus-odd-is-even",
    says="The sum of two odd numbers is even.",
    cites=["book:5"],
    recorded=Holds(),
)


@odd.judged(subject=ARITHMETIC, on=PROOF, flipped_by=[ONE_MORE])
def no_counterexample(numbers: Arithmetic, _: Proof) -> None:
    import z3

    half, other = z3.Ints("half other")
    solver = z3.Solver()
    solver.add(numbers.add(2 * half + 1, 2 * other + 1) % 2 != 0)
    assert solver.check() == z3.unsat


counted = Claim(
    "numbers/there-are-ten",
    says="There are ten digits.",
    cites=["book:6"],
    recorded=Holds(),
    cost="cpu",
)


@counted.judged(subject=NUMBERS, on=["digits"], flipped_by=[Fault("nine", lambda _: range(9))])
def ten(numbers: range, _: str) -> None:
    assert len(numbers) == 10


collatz = Claim(
    "numbers/collatz-reaches-one",
    says="Every Collatz sequence reaches one.",
    cites=["book:7"],
    recorded=Undecided("a proof"),
)


@collatz.judged(subject=NUMBERS, on=["all"])
def proved(_: range, __: str) -> None:
    raise InsufficientEvidenceError("0 of 1 proofs")
