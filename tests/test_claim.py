"""Declarations: what they tell of themselves, and which are refused in what words."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from claims.core.claim import PROOF, Claim, Domain, Fault, Sample, Subject, case_label
from claims.core.document import Document
from claims.core.judge import judge
from claims.core.suite import Suite, claims_of, problems, unknown_id
from claims.core.verdict import Grade, Holds, HoldsIf, NoVerdictError, Refuted, Undecided

NUMBERS: Subject[range] = Subject("numbers", lambda: range(10))
COUNTED: Subject[range] = Subject("real numbers", lambda: range(10), grade=Grade.COUNTED)
FEWER: Fault[range] = Fault("fewer", lambda _: range(9))


def a_claim(id_: str = "digits/ten", **changes: Any) -> Claim:
    named = {"says": "There are ten.", "cites": ["book:1"], "recorded": Holds()}
    return Claim(id_, **{**named, **changes})


def judged(claim: Claim, on: Any, subject: Subject[range] = NUMBERS, **named: Any) -> Claim:
    claim.judged(subject=subject, on=on, **named)(lambda numbers, case: None)
    return claim


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"id_": "digits"},
            "claim id 'digits' must read topic/what-it-says in lower case",
        ),
        ({"says": " \n"}, "digits/ten: says must state the claim"),
        ({"cites": []}, "digits/ten: cites must list at least one place in a document"),
        ({"cites": "book:1"}, "digits/ten: cites must list at least one place in a document"),
        ({"cost": "dear"}, "digits/ten: cost must be one of quick, cpu, slow, not 'dear'"),
    ],
)
def test_a_declaration_that_says_too_little_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match="digits") as refused:
        a_claim(**changes)
    assert str(refused.value) == says


@pytest.mark.parametrize("id_", ["digits/Ten", "digits/ten/more", "/ten", "digits/", "a b/c"])
def test_an_id_has_a_topic_and_a_name_in_lower_case(id_: str) -> None:
    with pytest.raises(ValueError, match="must read topic/what-it-says"):
        a_claim(id_)


def test_a_condition_is_recorded_or_not_declared_at_all() -> None:
    assert HoldsIf("a", "b").conditions == ("a", "b")
    with pytest.raises(ValueError, match="HoldsIf") as refused:
        HoldsIf()
    assert str(refused.value) == (
        "HoldsIf needs at least one condition; without any, record Holds()"
    )


def test_an_inconsistent_declaration_is_told_in_sentences() -> None:
    bare = a_claim(recorded=HoldsIf("small", "even", "odd"))
    assert bare.problems() == [
        "digits/ten records conditions that no judgement defines: ['even', 'odd', 'small']",
        "digits/ten has no judgement",
        "digits/ten is decided but nothing is declared to flip it",
    ]
    judged(bare, [1], when={"small": lambda n: n < 10}, flipped_by=[FEWER])
    judged(bare, [1], when={"even": lambda n: n % 2 == 0, "big": lambda n: n > 9})
    assert bare.problems() == ["digits/ten records conditions that no judgement defines: ['odd']"]
    assert judged(a_claim(recorded=Undecided("time")), [1]).problems() == []


SUITE = Suite(
    package="digits",
    directory=Path(),
    topics=("few", "many"),
    documents=(Document("book", "a book", lines=9),),
    verdicts=Path("verdicts.json"),
)


def test_a_suite_says_what_is_wrong_with_its_claims() -> None:
    sound = judged(a_claim(), [1], flipped_by=[FEWER])
    itself = a_claim("digits/nine", cites=["book:10", "book:2"], recorded=Refuted("digits/nine"))
    judged(itself, [1], flipped_by=[FEWER])
    assert problems(SUITE, [sound, a_claim("digits/eight"), itself]) == [
        "digits/eight has no judgement",
        "digits/eight is decided but nothing is declared to flip it",
        "digits/nine cites badly: 'book:10' is out of range: document book has lines 1 to 9",
        "digits/nine is refuted in favour of itself",
    ]


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide a package with the topics of the suite, two claims in each."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "__init__.py").touch()
    imports = ["from claims.core.claim import Claim", "from claims.core.verdict import Holds"]
    for topic in SUITE.topics:
        claims = [
            f"{name} = Claim('{topic}/{name}', says='.', cites=['x:1'], recorded=Holds())"
            for name in ("one", "two")
        ]
        (folder / f"{topic}.py").write_text("\n".join(imports + claims))
    importlib.invalidate_caches()
    return folder


def test_the_claims_of_a_suite_are_those_of_its_topics(digits: Path) -> None:
    assert list(SUITE.claims()) == ["few/one", "few/two", "many/one", "many/two"]
    assert SUITE.claim("many/one").id == "many/one"
    with pytest.raises(ValueError, match="no claim has the id") as refused:
        SUITE.claim("many/three")
    assert str(refused.value) == (
        "no claim has the id 'many/three'; did you mean many/two or many/one?"
    )


def test_one_claim_may_stand_in_two_topics_but_not_one_id(digits: Path) -> None:
    (digits / "many.py").write_text("from digits.few import one, two")
    assert list(SUITE.claims()) == ["few/one", "few/two"]


def test_two_claims_of_a_suite_with_one_id_are_refused(digits: Path) -> None:
    (digits / "many.py").write_text((digits / "few.py").read_text())
    with pytest.raises(ValueError, match="two claims") as refused:
        SUITE.claims()
    assert str(refused.value) == "two claims have the id 'few/one'"


def test_claims_are_found_alone_and_in_tuples() -> None:
    class Module:
        first = a_claim("digits/one")
        number = 5
        more = (a_claim("digits/two"), 6, a_claim("digits/three"))
        last = a_claim("digits/four")

    assert [claim.id for claim in claims_of(Module)] == [
        "digits/one",
        "digits/two",
        "digits/three",
        "digits/four",
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sums/commmute", "; did you mean sums/commute?"),
        ("sums/commut", "; did you mean sums/commute?"),
        ("order", "; did you mean products/order-of-factors or quotients/order-of-numbers?"),
        ("x/n", "; did you mean x/n3 or x/n2 or x/n1?"),
        ("n1", "; did you mean x/n1 or y/n15 or y/n14 or y/n10 or y/n11 or y/n12?"),
        ("num", "; did you mean nums or quotients/order-of-numbers?"),
        ("zebra", ""),
    ],
)
def test_an_unknown_id_comes_with_those_that_are_near(name: str, hint: str) -> None:
    ids = ["sums/commute", "products/order-of-factors", "quotients/order-of-numbers"]
    ids += ["x/n1", "x/n2", "x/n3", "y/n10", "y/n11", "y/n12", "y/n13", "y/n14", "y/n15", "nums"]
    assert unknown_id(name, dict.fromkeys(ids)) == f"no claim has the id {name!r}{hint}"


@dataclass(frozen=True)
class Named:
    """A case with a name of its own."""

    name: str
    size: int = 1


SAMPLE = Sample("digits of a few numbers", [1, 2])
DRAWN = Domain("numbers", [1, 2], strategy=st.integers())


@pytest.mark.parametrize(
    ("on", "subject", "grade", "domain"),
    [
        ([1, 2], NUMBERS, "exhaustive", "numbers: 1, 2"),
        ([Named("one", 5), Named("two")], NUMBERS, "exhaustive", "numbers: one, two"),
        (range(10**30, 10**30 + 3), COUNTED, "counted", f"real numbers: {10**30}, {10**30 + 1}"),
        (["x" * 49, "y" * 49], NUMBERS, "exhaustive", f"numbers: {'x' * 49}, {'y' * 49}"),
        (["x" * 50, "y", "z" * 50], NUMBERS, "exhaustive", f"numbers: {'x' * 50} to {'z' * 50}"),
        (SAMPLE, NUMBERS, "property", "digits of a few numbers"),
        (DRAWN, COUNTED, "counted", "numbers"),
        (PROOF, COUNTED, "proved", "all sizes, by proof"),
    ],
)
def test_a_judgement_tells_its_grade_and_its_domain(
    on: Any, subject: Subject[range], grade: str, domain: str
) -> None:
    (judgement,) = judged(a_claim(), on, subject).judgements
    assert judgement.grade == grade
    assert judgement.domain.startswith(domain)
    assert len(judgement.domain) <= len(domain) + 35


@pytest.mark.parametrize(
    ("case", "label"),
    [(Named("one", 5), "one"), ((1, "a", (2, 3)), "(1, a, [2, 3])"), ([], "()"), (None, "None")],
)
def test_a_case_has_a_short_name(case: object, label: str) -> None:
    assert case_label(case) == label


@pytest.mark.parametrize(
    ("cases", "says"),
    [
        ([5], "no case meets every condition, so nothing was judged"),
        (
            [1],
            "no case violates only the condition 'small', so whether it is needed was not judged",
        ),
    ],
)
def test_what_cannot_be_decided_is_told_in_a_sentence(cases: list[int], says: str) -> None:
    claim = judged(a_claim(), cases, when={"small": lambda n: n < 5})
    with pytest.raises(NoVerdictError) as undecidable:
        judge(claim)
    assert str(undecidable.value) == says
