"""How figures are drawn: two themes, colours that colour-blind readers tell apart, stable SVG."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cycler
from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True)
class Theme:
    """Colours of a figure on a light or a dark page; the background is the page's.

    `colours` are for what differs in kind, in this order: each differs from the others in
    lightness too, and a figure tells its parts apart by shape, line or label as well.
    """

    name: str
    paper: str
    ink: str
    faint: str
    colours: tuple[str, ...]


LIGHT = Theme(
    "light", "#ffffff", "#1f2328", "#d0d7de", ("#0072b2", "#d55e00", "#009e73", "#9b4f96")
)
DARK = Theme("dark", "#0d1117", "#e6edf3", "#3d444d", ("#56b4e9", "#f0a35e", "#4fd1a5", "#d6a0d2"))
THEMES = (LIGHT, DARK)

Drawn = Callable[[Theme], Canvas]


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


def svg(draw: Drawn, theme: Theme) -> str:
    """Return a figure as SVG; the same figure gives the same text.

    `draw` makes the figure by `matplotlib.figure.Figure`, with the theme's colours for its default.
    """
    settings: Any = {
        "svg.hashsalt": "claims",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "text.color": theme.ink,
        "axes.edgecolor": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.facecolor": "none",
        "axes.prop_cycle": cycler.cycler(color=theme.colours),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "figure.facecolor": "none",
        "figure.constrained_layout.use": True,
        "grid.color": theme.faint,
        "legend.frameon": False,
        "savefig.facecolor": "none",
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
    }
    with rc_context(settings):
        content = io.StringIO()
        draw(theme).savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return "".join(line.rstrip() + "\n" for line in content.getvalue().splitlines())
