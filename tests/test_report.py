"""The README's table and picture: what they count, escape and refuse."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from claims.core import results
from claims.report.__main__ import BEGIN, END, picture, table, with_table
from claims.suite import SUITE

ENTRIES = results.read(SUITE.verdicts)
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


def test_only_what_is_between_the_marks_changes() -> None:
    readme = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = with_table(readme, ENTRIES)
    assert new.startswith(f"before\n{BEGIN}\n| topic |")
    assert new.endswith(f"\n{END}\nafter\n")
    assert with_table(new, ENTRIES) == new


@pytest.mark.parametrize("readme", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_readme_without_marks_is_refused(readme: str) -> None:
    with pytest.raises(ValueError, match="lacks the marks"):
        with_table(readme, ENTRIES)


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
