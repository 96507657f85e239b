"""The badges: what they count, that their texts fit and can be read, and that they stay texts."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from claims.core import results
from claims.report.badges import AMBER, BLUE, GREY, INK, LABEL, badges, endpoint, svg
from claims.suite import SUITE

RUNS = SUITE.verdicts.parent / "runs"
SVG = "{http://www.w3.org/2000/svg}"
TEXTS = [("a", "b"), ("claims decided", "567 of 634"), ("W" * 400, "i" * 400), ("网络", "网" * 30)]


def verdicts(*observed: str) -> dict[str, dict[str, Any]]:
    return {f"a/{number}": {"observed": one} for number, one in enumerate(observed)}


def finish(runs: Path, *times: str) -> Path:
    for seed, time in enumerate(times):
        folder = runs / "arm" / str(seed)
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"finished": time}))
    return runs


def messages(made: dict[str, str]) -> dict[str, str]:
    return {
        name.removesuffix(".json"): json.loads(text)["message"]
        for name, text in made.items()
        if name.endswith(".json")
    }


def test_the_badges_count_decided_and_refuted_claims(tmp_path: Path) -> None:
    told = badges(verdicts("holds", "holds-if", "refuted", "refuted", "undecided"), tmp_path)
    assert messages(told) == {"decided": "4 of 5", "refuted": "2", "evidence": "none"}


def test_evidence_that_is_not_there_is_grey(tmp_path: Path) -> None:
    assert GREY in badges({}, tmp_path)["evidence.svg"]
    finish(tmp_path, "2026-11-21T00:00:00+00:00")
    assert BLUE in badges({}, tmp_path)["evidence.svg"]


def test_the_evidence_is_of_the_newest_run_by_its_day_in_utc(tmp_path: Path) -> None:
    times = ("2026-11-21T23:59:59+00:00", "2026-11-22T23:30:00-02:00", "2026-11-24T01:00:00+02:00")
    assert messages(badges({}, finish(tmp_path, *times)))["evidence"] == "2026-11-23"


@pytest.mark.parametrize(
    "record", ['{"finished": "yesterday"}', '{"finished": 3}', "{}", "[]", "{", "\udc80"]
)
def test_a_run_that_does_not_say_when_it_finished_is_refused(tmp_path: Path, record: str) -> None:
    finish(tmp_path, "2026-11-21T00:00:00+00:00")
    (tmp_path / "arm" / "0" / "run.json").write_text(record, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"arm/0/run\.json does not say when its run finished"):
        badges({}, tmp_path)


def test_the_committed_tree_has_badges_that_agree_with_each_other() -> None:
    made = badges(results.read(SUITE.verdicts), RUNS)
    assert made == badges(results.read(SUITE.verdicts), RUNS)
    assert sorted(made) == [
        f"{name}.{kind}" for name in ("decided", "evidence", "refuted") for kind in ("json", "svg")
    ]
    for name in ("decided", "evidence", "refuted"):
        told = json.loads(made[f"{name}.json"])
        drawn = ET.fromstring(made[f"{name}.svg"])  # noqa: S314 - our own
        assert [text.text for text in drawn.iter(f"{SVG}text")] == [told["label"], told["message"]]
        assert f"#{told['color']}" == drawn.find(f"{SVG}rect").attrib["fill"]  # type: ignore[union-attr]


def test_the_endpoint_has_the_fields_that_services_read() -> None:
    assert json.loads(endpoint('a "b"', "<c>", "#0b5cad")) == {
        "schemaVersion": 1,
        "label": 'a "b"',
        "message": "<c>",
        "color": "0b5cad",
    }


@pytest.mark.parametrize(("label", "message"), TEXTS)
def test_texts_fit_whatever_their_length(label: str, message: str) -> None:
    drawn = ET.fromstring(svg(label, message, BLUE))  # noqa: S314 - our own
    whole = int(drawn.attrib["width"])
    assert drawn.attrib["viewBox"] == f"0 0 {whole} 20"
    path = drawn.find(f"{SVG}path")
    assert path is not None
    border = int(path.attrib["d"].split()[0].removeprefix("M"))
    (left, right) = drawn.iter(f"{SVG}text")
    spans = [
        (int(one.attrib["x"]), int(one.attrib["x"]) + int(one.attrib["textLength"]))
        for one in (left, right)
    ]
    assert spans[0][0] >= 4
    assert spans[0][1] + 4 <= border <= spans[1][0] - 4
    assert spans[1][1] + 4 <= whole


@pytest.mark.parametrize(
    "text", ["claims decided", "claims refuted", "newest training run", "567 of 634", "2026-11-22"]
)
def test_a_text_is_neither_squeezed_nor_stretched(text: str) -> None:
    drawn = ET.fromstring(svg(text, "", BLUE))  # noqa: S314 - our own
    (label, _) = drawn.iter(f"{SVG}text")
    # DejaVu Sans has about the widths of Verdana.
    needed = TextPath((0, 0), text, size=11, prop=FontProperties(family="DejaVu Sans"))
    width = needed.get_extents().width
    assert 0.93 * width <= int(label.attrib["textLength"]) <= 1.1 * width


def test_a_wide_character_has_the_room_of_two() -> None:
    assert 'textLength="324"' in svg("网" * 30, "", BLUE)


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, by WCAG 2."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [LABEL, BLUE, AMBER, GREY])
def test_a_text_has_contrast_enough_for_small_print(colour: str) -> None:
    lighter, darker = luminance(INK), luminance(colour)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


@pytest.mark.parametrize("hostile", ["</text><script>", '" onload="x', "a & b", "x\x00\x1b[0m\ny"])
def test_a_badge_says_hostile_texts_and_does_nothing_else(hostile: str) -> None:
    drawn = ET.fromstring(svg(hostile, "1", BLUE))  # noqa: S314 - our own
    seen = " ".join(hostile.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").split())
    label, message = (one.text for one in drawn.iter(f"{SVG}text"))
    assert (label, message) == (seen, "1")
    assert drawn.attrib["role"] == "img"
    assert drawn.attrib["aria-label"] == f"{seen}: 1"
    assert drawn[0].tag == f"{SVG}title"
    assert drawn[0].text == f"{seen}: 1"
    tags = {element.tag.removeprefix(SVG) for element in drawn.iter()}
    assert tags == {"svg", "title", "rect", "path", "g", "text"}
    assert set(drawn.attrib) == {"width", "height", "viewBox", "role", "aria-label"}
