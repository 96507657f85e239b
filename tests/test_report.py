"""The README's table and picture: what they count, escape and refuse."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from claims.core import results
from claims.report.__main__ import MARKS, picture, table, with_part
from claims.report.errata import sheet
from claims.suite import SUITE

ENTRIES = results.read(SUITE.verdicts)
BEGIN, END = MARKS["verdicts"]
ONE = next(iter(ENTRIES.values()))


def entries(**verdicts: str) -> dict[str, Any]:
    made = {}
    for name, verdict in verdicts.items():
        topic, _, rest = name.partition("_")
        made[f"{topic}/{rest}"] = ONE | {"id": f"{topic}/{rest}", "observed": verdict}
    return made


def test_the_table_counts_verdicts_by_topic() -> None:
    rows = table(entries(b_1="holds", b_2="holds", a_1="refuted", b_3="undecided")).splitlines()
    assert rows[2:5] == [
        "| a |  |  | 1 |  |",
        "| b | 2 |  |  | 1 |",
        "| **4 claims** | 2 |  | 1 | 1 |",
    ]


@pytest.mark.parametrize("name", MARKS)
def test_only_what_is_between_the_marks_changes(name: str) -> None:
    begin, end = MARKS[name]
    readme = f"before\n{begin}\nold\n{end}\nafter\n"
    new = with_part(readme, name, "| a table |")
    assert new == f"before\n{begin}\n| a table |\n{end}\nafter\n"
    assert with_part(new, name, "| a table |") == new


@pytest.mark.parametrize("readme", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_readme_without_marks_is_refused(readme: str) -> None:
    with pytest.raises(ValueError, match="lacks the marks"):
        with_part(readme, "verdicts", "| a table |")


def test_the_picture_is_well_formed_whatever_a_claim_says() -> None:
    hostile: dict[str, Any] = copy.deepcopy(entries(a_1="refuted"))
    hostile["a/1"]["reason"] = '</text><script>alert("1 < 2 & 3")</script>'
    texts = [element.text or "" for element in ET.fromstring(picture(hostile)).iter()]  # noqa: S314
    assert any('<script>alert("1 < 2 & 3")' in text for text in texts)
    assert not any("script" in element.tag for element in ET.fromstring(picture(hostile)).iter())  # noqa: S314


def test_long_lists_are_cut_in_the_picture() -> None:
    many = entries(**{f"a_{number}": "refuted" for number in range(30)})
    texts = [element.text for element in ET.fromstring(picture(many)).iter()]  # noqa: S314
    assert texts.count("...") == 1
    assert len([text for text in texts if text and text.startswith("a/")]) == 12


def erratum(id_: str, observed: str, cite: str, **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"reading_of": None, "instead": None, "conditions": [], "reason": ""}
    return ONE | plain | {"id": id_, "observed": observed, "cites": [cite], "says": id_} | changes


def errata_of(key: str, *verdicts: dict[str, Any]) -> list[str]:
    document = next(one for one in SUITE.documents if one.key == key)
    return sheet(SUITE, document, {one["id"]: one for one in verdicts}).splitlines()


def test_an_erratum_says_where_what_is_found_and_what_is_true() -> None:
    lines = errata_of(
        "001",
        erratum("a/wrong", "refuted", "001:19-20", instead="a/true", reason="it is 3"),
        erratum("a/true", "holds", "001:19"),
        erratum("a/sooner", "refuted", "001:3", instead="a/true"),
        erratum("a/elsewhere", "refuted", "000:11", instead="a/true"),
        erratum("a/open", "undecided", "001:19"),
    )
    assert "## Wrong" in lines
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert rows == [
        "| 3 | a/sooner (`a/sooner`) |  | a/true (`a/true`) |",
        "| 19-20 | a/wrong (`a/wrong`) | it is 3 | a/true (`a/true`) |",
    ]


def test_a_sentence_with_a_reading_that_stands_is_ambiguous_not_wrong() -> None:
    wrong = erratum("a/wrong", "refuted", "001:19", instead="a/true", reading_of="what")
    other = erratum("a/other", "refuted", "001:19", instead="a/true", reading_of="what")
    true = erratum("a/true", "holds", "001:19", reading_of="what")
    assert "## Wrong in one reading" in errata_of("001", wrong, true)
    assert "## Wrong" not in errata_of("001", wrong, true)
    both_false = errata_of("001", wrong, other, true | {"reading_of": None})
    assert "## Wrong" in both_false
    assert "## Wrong in one reading" not in both_false


def test_a_condition_is_an_erratum_of_its_own_kind() -> None:
    lines = errata_of(
        "001", erratum("a/if", "holds-if", "001:19", conditions=["x = 1", "y"], reason="without")
    )
    assert "## True under a condition" in lines
    assert lines[-1] == "| 19 | a/if (`a/if`) | without | x = 1; y |"


def test_a_document_without_errata_says_so() -> None:
    assert errata_of("001", erratum("a/true", "holds", "001:19"))[-1] == "None was found."


def test_markup_in_a_claim_stays_text_in_an_errata_sheet() -> None:
    row = errata_of(
        "001",
        erratum("a/if", "holds-if", "001:19", conditions=["a | b"], reason="<b>*1_2*</b>\n\nx"),
    )[-1]
    assert row == r"| 19 | a/if (`a/if`) | &lt;b&gt;\*1\_2\*&lt;/b&gt; x | a \| b |"


def test_a_document_with_locators_has_errata_too() -> None:
    lines = errata_of("nin-paper", erratum("a/if", "holds-if", "nin-paper:4.2", conditions=["c"]))
    assert lines[-1].startswith("| 4.2 | ")
