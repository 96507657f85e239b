"""How figures are drawn: in colours that colour-blind readers tell apart, as stable SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cycler
from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

# On a light page: of its background, of lines and words, of what lies behind them.
PAPER, INK, FAINT = "#ffffff", "#1f2328", "#d0d7de"
# For what differs in kind, in this order: each differs from the others in lightness too, and a
# figure tells its parts apart by shape, line or label as well.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#9b4f96")
# What stands for these on a dark page.
DARK = {
    PAPER: "#0d1117",
    INK: "#e6edf3",
    FAINT: "#3d444d",
    **dict(zip(COLOURS, ("#56b4e9", "#f0a35e", "#4fd1a5", "#d6a0d2"), strict=True)),
}

Drawn = Callable[[], Canvas]


@dataclass(frozen=True)
class Figure:
    """A figure, and what is said about it.

    `name` is that of its file, without an ending; `claims` are the ids of those that it
    illustrates; `tell` says what it shows.
    """

    name: str
    title: str
    claims: tuple[str, ...]
    draw: Drawn
    tell: Callable[[], str]

    @property
    def alt(self) -> str:
        """What the figure shows, in words, with the numbers that matter."""
        return self.tell()


def svg(draw: Drawn) -> str:
    """Return a figure as SVG, for a light page; the same figure gives the same text.

    `draw` makes the figure by `matplotlib.figure.Figure`, with the colours above and no others for
    what is to change on a dark page.
    """
    settings: Any = {
        "svg.hashsalt": "claims",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.facecolor": "none",
        "axes.prop_cycle": cycler.cycler(color=COLOURS),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "figure.facecolor": "none",
        "figure.constrained_layout.use": True,
        "grid.color": FAINT,
        "legend.frameon": False,
        "savefig.facecolor": "none",
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with rc_context(settings):
        content = io.StringIO()
        draw().savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return "".join(line.rstrip() + "\n" for line in content.getvalue().splitlines())


def for_dark_pages(light: str) -> str:
    """Return a figure, given as SVG for a light page, in the colours of a dark one."""
    return re.sub("|".join(DARK), lambda colour: DARK[colour[0]], light)
