"""The figures that explain: their numbers against closed forms, their SVG, what a reader sees."""

from __future__ import annotations

import functools
import itertools
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from claims.core import results
from claims.report import figures
from claims.report.drawing import COLOURS, DARK, INK, Figure, for_dark_pages, svg
from claims.report.figures import FIGURES
from claims.suite import SUITE

ENTRIES = results.read(SUITE.verdicts)
NAMES = [figure.name for figure in FIGURES]
each = pytest.mark.parametrize("figure", FIGURES, ids=NAMES)


@dataclass(frozen=True)
class Drawing:
    canvas: Canvas
    text: str

    @property
    def words(self) -> list[Text]:
        """What can be read; matplotlib also keeps labels of ticks that it does not draw."""
        undrawn: set[Text] = set()
        axes: Any
        for axes in self.canvas.axes:
            for axis in (axes.xaxis, axes.yaxis):
                labels = {
                    tick.label1 for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
                }
                drawn = axis._update_ticks() if axes.axison else []
                undrawn |= labels - {tick.label1 for tick in drawn}
                undrawn |= set() if axes.axison else {axis.label}
        texts: list[Any] = self.canvas.findobj(Text)
        return [one for one in texts if one.get_visible() and one.get_text() and one not in undrawn]

    @property
    def read(self) -> str:
        return " | ".join(" ".join(one.get_text().split()) for one in self.words)


@functools.cache
def drawing(name: str) -> Drawing:
    (figure,) = (one for one in FIGURES if one.name == name)
    canvases: list[Canvas] = []

    def draw() -> Canvas:
        canvases.append(figure.draw())
        canvases[0].set_dpi(72)  # as in SVG, so that words are measured where they are drawn
        return canvases[0]

    text = svg(draw)
    return Drawing(canvases[0], text)


def panels(name: str) -> list[Any]:
    return list(drawing(name).canvas.axes)


def lines(axes: Any) -> list[Any]:
    return [line for line in axes.lines if line.get_linestyle() not in {"None", ":"}]


def shaded(axes: Any) -> dict[tuple[int, int], float]:
    """How strong the shade of each pixel is, by row and column."""
    strengths = {}
    for patch in axes.patches:
        if not isinstance(patch, Rectangle):  # that is a frame
            vertices: Any = patch.get_path().vertices
            for column, row in vertices.reshape(-1, 5, 2)[:, :4].mean(axis=1):
                strengths[round(row), round(column)] = float(patch.get_alpha() or 0)
    return strengths


def assert_rises_with(strengths: dict[tuple[int, int], float], values: Any) -> None:
    """Assert that pixels of values above zero are shaded, more for more."""
    assert set(strengths) == {(i, j) for i, j in np.argwhere(values)}
    pairs = sorted({(values[place], strength) for place, strength in strengths.items()})
    for (less, weaker), (more, stronger) in itertools.pairwise(pairs):
        assert less < more
        assert weaker < stronger


# What is said about them --------------------------------------------------------------------------


def test_names_are_unique_and_fit_a_file_and_an_address() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in NAMES)
    assert len({figure.title for figure in FIGURES}) == len(FIGURES)


@each
def test_a_figure_illustrates_claims_that_are_judged(figure: Figure) -> None:
    assert figure.claims
    assert len(set(figure.claims)) == len(figure.claims)
    assert set(figure.claims) <= set(ENTRIES)
    assert all(ENTRIES[id_]["observed"] != "undecided" for id_ in figure.claims)


@each
def test_a_figure_is_described_in_sentences(figure: Figure) -> None:
    assert re.fullmatch(r"[A-Z].{80,600}\.", figure.alt)
    assert "  " not in figure.alt
    assert not re.search(r"[{}<>]", figure.alt + figure.title)


FULL = {"alexnet": 37_752_832 + 16_781_312 + 4_097_000, "vgg16": 102_764_544 + 20_878_312}
TOLD = {
    "receptive-fields": [
        "195 pixels in AlexNet, 195 pixels in NiN and 212 pixels in VGG-16",
        "224",
    ],
    "gridding": [
        f"rates 2, 2 and 2 it reads {7**2} of the {13**2} pixels",
        f"in {(3 + 2 * 2) ** 2} ways",  # 3 + 2 x 2 triples of -1, 0, 1 add up to zero
        f"rates 1, 2 and 5 it reads {17**2} of {17**2}, each in at most {2**2} ways",
    ],
    "deformable-sampling": ["square of 9 pixels", "1/16, 3/16, 3/16 and 9/16"],
    "cheaper-layers": [
        f"{9 * 256**2:,} weights",
        f"{17 * 256**2 // 16:,}, {144 / 17:.2f} times fewer",
        f"{256**2 + 9 * 256:,}, {9 * 256 / (256 + 9):.2f} times fewer",
        "144 channels",
    ],
    "heads": [
        "10 maps of 8x8 pixels each of 10 scores",
        f"{10 * 10 * 64 + 10:,} parameters",
        "takes 1/64 of each pixel",
    ],
    "residual-paths": [
        "the 8 paths through 3 residual blocks",
        "1, 3, 3 and 1 of them pass through 0, 1, 2 and 3 blocks",
        "a bell around 27, with 96% of the paths from 20 to 34 blocks",
    ],
    "parameters": [
        f"{FULL['alexnet'] / 61_100_840:.0%} of the 61,100,840 of AlexNet",
        f"{FULL['vgg16'] / 138_357_544:.0%} of the 138,357,544 of VGG-16",
        "0% of the 7,595,176 of NiN",
        f"{(512 * 7 * 7 + 1) * 4096:,}; no layer of NiN has more than {(3 * 3 * 384 + 1) * 1024:,}",
    ],
}
SHOWN = {
    "receptive-fields": ["AlexNet: 195", "NiN: 195", "VGG-16: 212", "the image: 224"],
    "gridding": ["2, 2 and 2: 49 of 169", "1, 2 and 5: 289 of 289", "at most 49", "at most 2"],
    "deformable-sampling": ["9/16", "3/16 | 3/16", "1/16", "offsets that dilate"],
    "cheaper-layers": ["589,824", "69,632 and 67,840", f"{17 / 144:.1%} with 144 channels"],
    "heads": ["6,410 learnt", "10 maps", "10 scores", "64 weights", "1/64 for each pixel"],
    "residual-paths": ["8 paths through 3 blocks", "0 | block 1 | 1", "96% take 20 to 34 blocks"],
    "parameters": [
        "AlexNet: 61.1 million, 96% fully connected",
        "VGG-16: 138.4 million, 89% fully connected",
        "NiN: 7.6 million, 0% fully connected",
        "102,764,544",
    ],
}


@each
def test_words_give_the_numbers_of_closed_forms(figure: Figure) -> None:
    assert [told for told in TOLD[figure.name] if told not in figure.alt] == []


@each
def test_the_picture_shows_the_same_numbers(figure: Figure) -> None:
    shown = drawing(figure.name).read
    assert [told for told in SHOWN[figure.name] if told not in shown] == []


# Their SVG ----------------------------------------------------------------------------------------


@each
def test_the_same_figure_gives_the_same_bytes(figure: Figure) -> None:
    assert svg(figure.draw) == drawing(figure.name).text


@each
def test_the_svg_is_small_and_needs_nothing_else(figure: Figure) -> None:
    text = drawing(figure.name).text
    assert len(text) < 120_000
    elements = list(ET.fromstring(text).iter())  # noqa: S314 - our own
    tags = {element.tag.rpartition("}")[2] for element in elements}
    assert {"svg", "path"} <= tags
    assert not tags & {"script", "image", "foreignObject", "a"}
    for element in elements:
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert value.startswith("#") or not name.endswith(("href", "src"))
    assert re.findall(r"url\((?!#)|@import", text) == []
    namespaces = ("http://www.w3.org/", "http://purl.org/dc/", "http://creativecommons.org/ns#")
    assert all(one.startswith(namespaces) for one in re.findall(r"\w+://[^\"<]+", text))


@each
def test_figures_change_all_colours_for_dark_pages_and_have_no_background(figure: Figure) -> None:
    light = drawing(figure.name).text
    colours, dark = (re.findall(r"#[0-9a-f]{6}\b", text) for text in (light, for_dark_pages(light)))
    assert INK in colours
    assert set(colours) <= DARK.keys(), "colours that stay the same on a dark page"
    assert dark == [DARK[colour] for colour in colours]
    canvas = drawing(figure.name).canvas
    backgrounds: list[Any] = [canvas.patch, *(axes.patch for axes in canvas.axes)]
    assert all(one.get_facecolor()[3] == 0 for one in backgrounds)


# What a reader sees -------------------------------------------------------------------------------


@each
def test_letters_can_be_read_on_a_telephone(figure: Figure) -> None:
    shown = drawing(figure.name)
    width, _ = shown.canvas.get_size_inches()
    assert width == figures.WIDTH
    scale = min(1, 328 / (96 * width))  # 360 pixels less the margins of a page
    for word in shown.words:
        assert float(word.get_fontsize()) * 96 / 72 * scale > 9.5, word.get_text()
        assert "$" not in word.get_text()  # powers would be smaller


@each
def test_no_words_overlap_or_are_cut_off(figure: Figure) -> None:
    shown = drawing(figure.name)
    width, height = shown.canvas.get_size_inches() * shown.canvas.dpi
    boxes = [(word.get_text(), word.get_window_extent()) for word in shown.words]
    assert len(boxes) > 5
    for text, box in boxes:
        inside = min(box.x0, box.y0, width - box.x1, height - box.y1) > -1
        assert inside, f"{text!r} is cut off at {box}"
    for (text, box), (other, second) in itertools.combinations(boxes, 2):
        apart = (
            min(box.x1, second.x1) - max(box.x0, second.x0) < 1
            or min(box.y1, second.y1) - max(box.y0, second.y0) < 1
        )
        assert apart, f"{text!r} overlaps {other!r}"


@each
def test_nothing_lies_beyond_the_axes(figure: Figure) -> None:
    for axes in panels(figure.name):
        points = [patch.get_window_extent().get_points() for patch in axes.patches]
        points += [
            axes.transData.transform(line.get_xydata())
            for line in axes.lines
            if line.get_transform() == axes.transData
        ]
        for corners in points:
            assert (corners > axes.bbox.min - 1).all()
            assert (corners < axes.bbox.max + 1).all()


@pytest.mark.parametrize("name", ["receptive-fields", "cheaper-layers"])
def test_lines_differ_in_more_than_colour(name: str) -> None:
    for axes in panels(name):
        assert len(lines(axes)) > 1
        assert len({line.get_linestyle() for line in lines(axes)}) == len(lines(axes))


# Their numbers ------------------------------------------------------------------------------------

CONVOLUTIONS = {3: "convolution", 5: "convolution", 11: "convolution", 1: "1x1 convolution"}
WINDOWS = {
    # side and stride; a pool has a minus sign
    "alexnet": [(11, 4), (-3, 2), (5, 1), (-3, 2), (3, 1), (3, 1), (3, 1), (-3, 2)],
    "vgg16": [
        *([(3, 1)] * 2 + [(-2, 2)]) * 2,
        *([(3, 1)] * 3 + [(-2, 2)]) * 3,
    ],
    "table-nin": [
        *[(11, 4), (1, 1), (1, 1), (-3, 2), (5, 1), (1, 1), (1, 1), (-3, 2)],
        *[(3, 1), (1, 1), (1, 1), (-3, 2), (3, 1), (1, 1), (1, 1)],
    ],
}


@pytest.mark.parametrize("network", figures.FIELDS_OF)
def test_fields_are_those_of_the_windows(network: str) -> None:
    expected = []
    for number in range(1, len(WINDOWS[network]) + 1):
        first = WINDOWS[network][:number]
        jumps = [math.prod(stride for _, stride in first[:before]) for before in range(number)]
        side = 1 + sum(
            (abs(window) - 1) * jump for (window, _), jump in zip(first, jumps, strict=True)
        )
        expected.append((CONVOLUTIONS.get(first[-1][0], "pool"), side))
    assert figures.receptive_fields(network) == expected


def test_a_line_of_fields_passes_through_all_layers() -> None:
    (axes,) = panels("receptive-fields")
    for line, network in zip(lines(axes), figures.FIELDS_OF, strict=True):
        fields = figures.receptive_fields(network)
        assert list(line.get_xdata()) == list(range(1, len(fields) + 1))
        assert list(line.get_ydata()) == [side for _, side in fields]
    markers = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert sum(len(line.get_xdata()) for line in markers) == 8 + 15 + 18


@pytest.mark.parametrize("rates", [(1,), (2, 2, 2), (1, 2, 5), (3, 1)])
def test_ways_are_coefficients_of_a_product_of_polynomials(rates: tuple[int, ...]) -> None:
    along = np.ones(1)
    for rate in rates:
        taps = np.zeros(2 * rate + 1)
        taps[::rate] = 1
        along = np.convolve(along, taps)
    assert (figures.ways_from(rates) == np.outer(along, along)).all()
    assert figures.ways_from(rates).sum() == 9 ** len(rates)


@pytest.mark.parametrize("side", [0, 1])
def test_maps_of_gridding_shade_the_pixels_that_are_read(side: int) -> None:
    rates = figures.STACKS[side]
    maps, bars = panels("gridding")[side::2]
    ways = figures.ways_from(rates)
    reach = sum(rates)
    moved = {(i + reach, j + reach): alpha for (i, j), alpha in shaded(maps).items()}
    assert_rises_with(moved, ways)
    assert [round(bar.get_x() + 0.4) for bar in bars.patches] == list(range(-reach, reach + 1))
    assert [bar.get_height() for bar in bars.patches] == list(ways[reach])


@pytest.mark.parametrize("name", figures.OFFSETS)
def test_shares_are_bilinear(name: str) -> None:
    shares = figures.shares_read(figures.OFFSETS[name])
    pixels = np.arange(figures.SIDE)
    taps = itertools.product((2, 3, 4), repeat=2)
    for share, (row, column), (down, across) in zip(
        shares, taps, figures.OFFSETS[name], strict=True
    ):
        rows = np.clip(1 - abs(pixels - row - down), 0, None)
        columns = np.clip(1 - abs(pixels - column - across), 0, None)
        assert (share == np.outer(rows, columns)).all()
    # None is lost beyond the map, and all can be shaded.
    assert shares.sum() == 9
    assert 0.4 * shares.sum(axis=0).max() <= 1


def test_samples_are_drawn_where_they_read_and_the_pixels_shaded() -> None:
    for axes, offsets in zip(panels("deformable-sampling"), figures.OFFSETS.values(), strict=False):
        moved = [line for line in axes.lines if line.get_marker() == "o"]
        found = [(line.get_ydata()[0], line.get_xdata()[0]) for line in moved]
        taps = itertools.product((2, 3, 4), repeat=2)
        assert found == [
            (row + down, column + across)
            for (row, column), (down, across) in zip(taps, offsets, strict=True)
        ]
        assert_rises_with(shaded(axes), figures.shares_read(offsets).sum(axis=0))


def test_one_sample_is_enlarged_with_the_share_of_each_pixel() -> None:
    near = panels("deformable-sampling")[-1]
    (dot,) = near.lines
    assert (dot.get_ydata()[0], dot.get_xdata()[0]) == (2 - 0.25, 4 + 0.75)
    shares = {(1, 4): 1 / 16, (1, 5): 3 / 16, (2, 4): 3 / 16, (2, 5): 9 / 16}
    values = np.zeros((figures.SIDE, figures.SIDE))
    for place, share in shares.items():
        values[place] = share
    assert_rises_with(shaded(near), values)
    written = {(round(word.get_position()[1]), word.get_position()[0]) for word in near.texts}
    assert written == set(shares)
    for word in near.texts:
        column, row = word.get_position()
        assert Fraction(word.get_text()) == shares[round(row), column]


@pytest.mark.parametrize("channels", [16, 64, 144, 256, 1024])
def test_weights_of_the_layers(channels: int) -> None:
    assert figures.weights_of(channels) == {
        figures.STANDARD: 9 * channels**2,
        figures.BOTTLENECK: 17 * channels**2 // 16,
        figures.SEPARABLE: 9 * channels + channels**2,
    }


def test_the_cheaper_layers_meet_where_nine_channels_are_a_sixteenth() -> None:
    assert figures.meeting() == 9 * 16


def test_lines_of_weights_and_shares() -> None:
    counts, shares = panels("cheaper-layers")
    channels = np.array(figures.CHANNELS)
    for line, expected in zip(
        [*counts.lines[:3], *shares.lines[:2]],
        [
            *(9 * channels**2, 17 * channels**2 / 16, channels**2 + 9 * channels),
            *(np.full(len(channels), 17 / 144), 1 / 9 + 1 / channels),
        ],
        strict=True,
    ):
        assert list(line.get_xdata()) == list(channels)
        np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)


def test_an_average_takes_a_share_of_its_own_map() -> None:
    own_map = np.eye(10)[:, :, np.newaxis, np.newaxis]
    assert (figures.average_weights() == own_map * np.full((8, 8), 1 / 64)).all()
    assert figures.linear_head_parameters() == 6_410


def test_squares_of_heads_are_the_weights_that_are_not_zero() -> None:
    full, average, some, alike = panels("heads")
    for axes, squares in ((full, 100), (average, 10)):
        (shade,) = axes.patches
        assert len(shade.get_path().vertices) == 5 * squares
    sizes = [axes.collections[0].get_sizes() for axes in (some, alike)]
    assert [len(one) for one in sizes] == [64, 64]
    assert len(set(sizes[0])) == 64
    assert len(set(sizes[1])) == 1


@pytest.mark.parametrize("blocks", [1, 2, 3, 6])
def test_lengths_count_the_branches_of_each_path(blocks: int) -> None:
    paths = figures.paths_through(blocks)
    assert len(set(paths)) == 2**blocks
    counted = [sum(path) for path in paths]
    assert counted == sorted(counted)
    assert figures.path_lengths(blocks) == [counted.count(n) for n in range(blocks + 1)]


@pytest.mark.parametrize("blocks", [9, 10, 54])
def test_usual_lengths_are_the_narrowest_that_suffice(blocks: int) -> None:
    row = [1]  # of Pascal's triangle
    for _ in range(blocks):
        row = [left + right for left, right in zip([0, *row], [*row, 0], strict=True)]
    least, most, share = figures.usual_lengths(blocks)
    assert least + most == blocks
    assert share == sum(row[least : most + 1]) / 2**blocks >= 0.95
    assert sum(row[least + 1 : most]) / 2**blocks < 0.95


def test_bars_of_the_usual_lengths_are_full() -> None:
    _, many = panels("residual-paths")
    heights = [bar.get_height() for bar in many.patches]
    assert heights == [math.comb(54, length) / 2**54 for length in range(55)]
    full = [place for place, bar in enumerate(many.patches) if bar.get_facecolor()[3] > 0]
    assert full == list(range(20, 35))


def test_boxes_are_the_branches_that_a_path_takes() -> None:
    few, _ = panels("residual-paths")
    places = [(round(box.get_y() + 0.35), round(box.get_x() - 0.2)) for box in few.patches]
    rows = [{block for row, block in places if row == path} for path in range(8)]
    assert rows == [set(), {0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}]


def test_parameters_of_alexnet_follow_from_its_layers() -> None:
    channels = (3, 64, 192, 384, 256, 256)
    sides = (11, 5, 3, 3, 3)
    expected = [
        (f"{side}x{side}, {into}", False, (side * side * of + 1) * into)
        for side, of, into in zip(sides, channels, channels[1:], strict=False)
    ]
    features = (256 * 6 * 6, 4096, 4096, 1000)
    expected += [(str(into), True, (of + 1) * into) for of, into in itertools.pairwise(features)]
    assert figures.layer_parameters("alexnet") == expected


@pytest.mark.parametrize(
    ("network", "layers", "total", "full"),
    [
        ("alexnet", 8, 61_100_840, FULL["alexnet"]),
        ("vgg16", 16, 138_357_544, FULL["vgg16"]),
        ("table-nin", 12, 7_595_176, 0),
    ],
)
def test_parameters_of_networks(network: str, layers: int, total: int, full: int) -> None:
    assert len(figures.layer_parameters(network)) == layers
    assert figures.total_parameters(network) == total
    assert figures.linear_share(network) == full / total


def test_bars_of_parameters_and_which_are_hatched() -> None:
    for axes, network in zip(panels("parameters"), figures.PARAMETERS_OF, strict=True):
        bars = axes.patches
        assert [bar.get_width() * 1e6 for bar in bars] == pytest.approx(
            [parameters for *_, parameters in figures.layer_parameters(network)]
        )
        assert [bar.get_hatch() is not None for bar in bars] == [
            linear for _, linear, _ in figures.layer_parameters(network)
        ]
        assert {to_hex(bar.get_edgecolor()) for bar in bars if bar.get_hatch()} <= {COLOURS[1]}
        assert axes.get_xlim()[1] * 1e6 > 102_764_544
