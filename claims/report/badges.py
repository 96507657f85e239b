"""Badges: how many claims are decided, how many are refuted, of when the training evidence is.

Each is an SVG and, beside it, the JSON from which badge services draw one themselves.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from claims.core.verdict import Verdict
from claims.report.exports import legal

INK, LABEL = "#ffffff", "#444c56"
BLUE, AMBER, GREY = "#0b5cad", "#8a5a00", "#57606a"

HEIGHT, PAD, SIZE = 20, 6, 11  # pixels
NARROW, WIDE = " !'(),-.:;I[]fijlrt|", "%@MWmw"


def badges(verdicts: Mapping[str, Mapping[str, Any]], runs_folder: Path) -> dict[str, str]:
    """Return the badges by file name, for these verdicts and the runs in `ARM/SEED/` there.

    The age of the evidence is told as the date of its newest run, so that the same tree gives the
    same badges on any day.

    Raises:
        ValueError: if the record of a run does not say when it finished.
    """
    observed = [entry["observed"] for entry in verdicts.values()]
    decided = len(observed) - observed.count(Verdict.UNDECIDED)
    newest = max((_finished(path) for path in runs_folder.glob("*/*/run.json")), default="")
    told = {
        "decided": ("claims decided", f"{decided} of {len(observed)}", BLUE),
        "refuted": ("claims refuted", str(observed.count(Verdict.REFUTED)), AMBER),
        "evidence": ("newest training run", newest or "none", BLUE if newest else GREY),
    }
    return {f"{name}.svg": svg(*badge) for name, badge in told.items()} | {
        f"{name}.json": endpoint(*badge) for name, badge in told.items()
    }


def endpoint(label: str, message: str, colour: str) -> str:
    """Return a badge as the JSON of a shields endpoint."""
    badge = {"schemaVersion": 1, "label": label, "message": message, "color": colour.lstrip("#")}
    return json.dumps(badge, indent=1) + "\n"


def svg(label: str, message: str, colour: str) -> str:
    """Return a flat badge, as wide as its texts; a reader without a picture hears both."""
    label, message = (" ".join(legal(text).split()) for text in (label, message))
    left, right = _width(label), _width(message)
    border, whole = left + 2 * PAD, left + right + 4 * PAD
    said = escape(f"{label}: {message}")
    size = f'width="{whole}" height="{HEIGHT}" viewBox="0 0 {whole} {HEIGHT}"'
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{said}">',
        f"<title>{said}</title>",
        f'<rect width="{whole}" height="{HEIGHT}" rx="3" fill="{colour}"/>',
        f'<path d="M{border} 0H3a3 3 0 0 0-3 3v14a3 3 0 0 0 3 3h{border - 3}z" fill="{LABEL}"/>',
        f'<g fill="{INK}" font-family="Verdana, DejaVu Sans, sans-serif" font-size="{SIZE}">',
    ]
    for x, text, width in ((PAD, label, left), (border + PAD, message, right)):
        fit = f'textLength="{width}" lengthAdjust="spacingAndGlyphs"'
        rows.append(f'<text x="{x}" y="14" {fit}>{escape(text)}</text>')
    return "\n".join([*rows, "</g>", "</svg>"]) + "\n"


def _width(text: str) -> int:
    """Return about how many pixels Verdana needs; the SVG then fits the text into just these."""
    wide = sum(unicodedata.east_asian_width(one) in "WF" or one in WIDE for one in text)
    narrow = sum(one in NARROW for one in text)
    return max(1, round(3.8 * narrow + 10.8 * wide + 6.6 * (len(text) - narrow - wide)))


def _finished(path: Path) -> str:
    """Return the day, in UTC, on which a run finished."""
    try:
        finished = datetime.fromisoformat(json.loads(path.read_bytes())["finished"])
        return finished.astimezone(UTC).date().isoformat()
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not say when its run finished") from error
