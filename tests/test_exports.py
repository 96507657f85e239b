"""The exports: JUnit XML, CSV and JSON say the same of each claim, and hostile texts stay texts."""

from __future__ import annotations

import copy
import csv
import io
import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from claims.core import results
from claims.report import exports
from claims.suite import SUITE

ENTRIES = results.read(SUITE.verdicts)
ONE = next(iter(ENTRIES.values()))
HOSTILE = [
    '</failure><script>alert("1 < 2 & 3")</script>',
    "]]> & <!-- 'quoted' -->",
    "a\x00b\x0b\x1b[31mc\ufffe\ud800",
    "one\r\ntwo\n\tthree",
    "网络 é 🙂" * 4000,
]


def entry(id_: str, recorded: str, observed: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "conditions": [],
        "instead": None,
        "reason": "",
        "reading_of": None,
        "cites": ["000:1"],
    }
    return ONE | plain | {"id": id_, "recorded": recorded, "observed": observed} | changes


def by_id(*entries: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in entries}


def parsed(verdicts: dict[str, dict[str, Any]]) -> ET.Element:
    return ET.fromstring(exports.junit(verdicts).encode())  # noqa: S314 - our own


def cases(verdicts: dict[str, dict[str, Any]]) -> dict[str, ET.Element]:
    return {case.attrib["name"]: case for case in parsed(verdicts).iter("testcase")}


# JUnit --------------------------------------------------------------------------------------------

# The elements and attributes of the schema that Jenkins and pytest go by, those required first;
# `properties` of a test case are what pytest adds to it.
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err", "testsuite"},
    "testcase": {"properties", "skipped", "error", "failure", "system-out", "system-err"},
    "properties": {"property"},
    "property": set(),
    "failure": set(),
    "skipped": set(),
}
ATTRIBUTES = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": ({"name", "tests", "failures", "errors"}, {"skipped", "time", "timestamp"}),
    "testcase": ({"name"}, {"classname", "time"}),
    "properties": (set(), set()),
    "property": ({"name", "value"}, set()),
    "failure": (set(), {"type", "message"}),
    "skipped": (set(), {"type", "message"}),
}


@pytest.mark.parametrize(
    "verdicts",
    [
        ENTRIES,
        {},
        by_id(entry("a/1", "holds", "refuted"), entry("b/1", "holds", "undecided")),
    ],
    ids=["committed", "none", "failing"],
)
def test_the_xml_keeps_the_rules_of_the_schema(verdicts: dict[str, dict[str, Any]]) -> None:
    root = parsed(verdicts)
    assert root.tag == "testsuites"
    for element in root.iter():
        required, optional = ATTRIBUTES[element.tag]
        assert required <= set(element.attrib) <= required | optional
        assert {child.tag for child in element} <= CHILDREN[element.tag]
    for level in (root, *root.iter("testsuite")):
        assert int(level.attrib["tests"]) == len(list(level.iter("testcase")))
        assert int(level.attrib["failures"]) == len(list(level.iter("failure")))
        assert level.attrib["errors"] == "0"
    for suite in root.iter("testsuite"):
        assert int(suite.attrib["skipped"]) == len(list(suite.iter("skipped")))
    for case in root.iter("testcase"):
        assert len(case) <= 2
        assert case[0].tag == "properties"
    assert exports.junit(verdicts).startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites')


def test_each_claim_is_a_test_case_of_its_topic() -> None:
    root = parsed(ENTRIES)
    found = [
        (suite.attrib["name"], case.attrib["classname"], case.attrib["name"])
        for suite in root.iter("testsuite")
        for case in suite.iter("testcase")
    ]
    assert found == [(id_.split("/")[0], id_.split("/")[0], id_) for id_ in ENTRIES]


@pytest.mark.parametrize("recorded", ["holds", "holds-if", "refuted", "undecided"])
@pytest.mark.parametrize("observed", ["holds", "holds-if", "refuted", "undecided"])
def test_a_case_is_red_exactly_where_the_observed_verdict_is_another(
    recorded: str, observed: str
) -> None:
    one = entry("a/1", recorded, observed, reason="it is 3", says="It is 2.")
    case = cases(by_id(one))["a/1"]
    failure, skipped = case.find("failure"), case.find("skipped")
    assert (failure is not None) == (recorded != observed)
    assert (skipped is not None) == (recorded == observed == "undecided")
    if failure is not None:
        assert failure.attrib["message"] == f"recorded {recorded}, observed {observed}"
        assert failure.text == "It is 2.\nit is 3"
    if skipped is not None:
        assert skipped.attrib["message"] == "it is 3"


def test_a_case_has_what_it_rests_on() -> None:
    one = entry("a/1", "refuted", "refuted", grade="counted", cites=["000:1", "001:2-3"])
    other = entry("a/2", "holds-if", "holds-if", grade="proved", conditions=["b = 1", "c = 2"])
    told = {
        id_: {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
        for id_, case in cases(by_id(one, other)).items()
    }
    assert told == {
        "a/1": {"verdict": "refuted", "grade": "counted", "cites": "000:1 001:2-3"},
        "a/2": {
            "verdict": "holds-if",
            "conditions": "b = 1; c = 2",
            "grade": "proved",
            "cites": "000:1",
        },
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_texts_in_xml(text: str) -> None:
    red = entry("a/1", "holds", "refuted", reason=text, says=text, conditions=[text], cites=[text])
    found = cases(by_id(red, entry("a/2", "undecided", "undecided", reason=text)))
    readable = exports.legal(text)
    failure, skipped = found["a/1"].find("failure"), found["a/2"].find("skipped")
    assert failure is not None
    assert skipped is not None
    said = (failure.text or "").replace("\r\n", "\n")
    assert said == f"{readable}\n{readable}".replace("\r\n", "\n")
    assert skipped.attrib["message"] == readable
    values = {one.attrib["name"]: one.attrib["value"] for one in found["a/1"].iter("property")}
    assert values["conditions"] == values["cites"] == readable
    tags = {element.tag for case in found.values() for element in case.iter()}
    assert tags == {"testcase", "properties", "property", "failure", "skipped"}


def test_characters_that_xml_cannot_hold_are_replaced_one_by_one() -> None:
    kept = "\t\n\r ~\x7f\x85\ud7ff\ue000\ufffd\U00010000\U0010ffff"
    assert exports.legal(kept) == kept
    assert exports.legal("\x00\x08\x0b\x0c\x0e\x1f\ud800\udfff\ufffe\uffff") == "\ufffd" * 10


# CSV ----------------------------------------------------------------------------------------------


def rows(verdicts: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(exports.table(verdicts), newline=""), strict=True))


def test_the_table_has_a_row_per_claim() -> None:
    found = rows(ENTRIES)
    assert [row["id"] for row in found] == list(ENTRIES)
    for row, one in zip(found, ENTRIES.values(), strict=True):
        assert ",".join(row) == (
            "id,says,verdict,grade,conditions,instead,reason,cites,reading_of,domain,cases,digest"
        )
        assert row["verdict"] == one["observed"]
        assert row["conditions"].split("; ") == (one["conditions"] or [""])
        assert row["cites"].split(" ") == one["cites"]
        for name in ("says", "grade", "reason", "domain", "digest"):
            assert row[name] == one[name]
        for name in ("instead", "reading_of"):
            assert row[name] == (one[name] or "")


def test_cases_are_counted_by_kind() -> None:
    (row,) = rows(by_id(entry("a/1", "holds", "holds", cases={"covering": 3, "drawn": 10})))
    assert row["cases"] == "3 covering; 10 drawn"


def test_the_table_is_csv_by_the_standard() -> None:
    text = exports.table(by_id(entry("a/1", "holds", "holds", says='say "a,b"\nand c')))
    header, row = text.removesuffix("\r\n").split("\r\n")
    assert header.startswith('"id","says","verdict"')
    assert row.startswith('"a/1","say ""a,b""\nand c","holds"')


FULL_WIDTH = "\uff1d\uff0b\uff0d\uff20"  # which some spreadsheets take for = + - @


@pytest.mark.parametrize("start", [*"=+-@\t\r\n", *FULL_WIDTH, " ="])
def test_no_cell_is_a_formula(start: str) -> None:
    bad = f"{start}1+1"
    one = entry(
        "-a/1",
        "holds",
        bad,
        says=bad,
        grade=bad,
        conditions=[bad],
        instead=bad,
        reason=bad,
        cites=[bad],
        reading_of=bad,
        domain=bad,
        cases={},
        digest=bad,
    )
    (row,) = rows(by_id(one))
    assert row.pop("id") == "'-a/1"
    assert row.pop("cases") == ""
    assert set(row.values()) == {f"'{bad}"}


def test_a_formula_is_as_readable_as_other_texts() -> None:
    (row,) = rows(by_id(entry("a/1", "holds", "holds", says="=\x00")))
    assert row["says"] == "'=\ufffd"


@pytest.mark.parametrize("text", ["1 = 1", "a-b", "'=1", "x@y", "3 + 4"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    (row,) = rows(by_id(entry("a/1", "holds", "holds", says=text)))
    assert row["says"] == text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_one_cell(text: str) -> None:
    (row,) = rows(by_id(entry("a/1", "holds", "holds", says=text, domain="d")))
    assert row["says"] == exports.legal(text)
    assert row["domain"] == "d"
    assert exports.table(by_id(entry("a/1", "holds", "holds", says=text))).encode()


# JSON ---------------------------------------------------------------------------------------------

SCHEMA = json.loads(exports.SCHEMA.read_text())


def exported(verdicts: dict[str, dict[str, Any]] = ENTRIES) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(exports.export(verdicts, SUITE.documents))
    return loaded


def test_the_export_is_what_its_schema_says() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator(SCHEMA).validate(exported())
    assert exported()["$schema"] == exports.SCHEMA.name


def test_the_export_has_all_that_the_verdicts_file_has() -> None:
    for one, (id_, known) in zip(exported()["claims"], ENTRIES.items(), strict=True):
        assert one["topic"] == id_.split("/")[0]
        assert one["verdict"] == known["observed"]
        assert known.keys() - one.keys() == {"observed", "cost"}
        assert all(one[name] == known[name] for name in known.keys() & one.keys())


def test_the_verdict_is_the_observed_one() -> None:
    (one,) = exported(by_id(entry("a/1", "holds", "refuted")))["claims"]
    assert (one["verdict"], one["recorded"]) == ("refuted", "holds")


def test_what_is_cited_is_among_the_documents() -> None:
    titles = {one["key"]: one["title"] for one in exported()["documents"]}
    assert titles == {one.key: one.title for one in SUITE.documents}
    cited = {cite.split(":")[0] for one in exported()["claims"] for cite in one["cites"]}
    assert cited <= titles.keys()


@pytest.mark.parametrize(
    "place", [(), ("documents", 0), ("claims", 0), ("claims", 0, "cases")], ids=str
)
def test_the_schema_knows_every_field(place: tuple[str | int, ...]) -> None:
    changed: Any = exported(dict(list(ENTRIES.items())[:1]))
    inner = changed
    for step in place:
        inner = inner[step]
    inner["extra"] = 1
    assert not Draft202012Validator(SCHEMA).is_valid(changed)


def test_the_schema_wants_every_field() -> None:
    whole = exported(dict(list(ENTRIES.items())[:1]))
    for part in ("claims", "documents"):
        for name in whole[part][0]:
            changed = copy.deepcopy(whole)
            del changed[part][0][name]
            assert not Draft202012Validator(SCHEMA).is_valid(changed), name
    for name in whole:
        assert not Draft202012Validator(SCHEMA).is_valid({**whole, name: None}), name


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_as_they_are_in_json(text: str) -> None:
    one = entry("a/1", "holds", "holds", says=text)
    assert exported(by_id(one))["claims"][0]["says"] == text


def test_no_number_is_beyond_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        exports.export(
            by_id(entry("a/1", "holds", "holds", numbers={"a": {"b": float("nan")}})), ()
        )
