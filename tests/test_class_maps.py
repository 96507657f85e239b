"""The figures of class maps: what they draw and say of made pictures, and where none are there."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from claims import trained
from claims.report import class_maps
from claims.report.drawing import COLOURS, DARK, INK, for_dark_pages, svg
from claims.training import examinations, examine, runs
from claims.training.arms import ARMS
from claims.training.examinations import FALL, QUARTERS
from claims.training.pictures import Pictures
from claims.training.rules import MeanAbove
from nin_ref import data, training

NAMES = data.CLASS_NAMES["cifar10"]
WRONG = {2: 5, 8: 0}  # a bird as a dog, a ship as an airplane
BRIGHT = ((0, 1, 2, 3), (0, 3, 2, 1))  # where in each mosaic the maps of its classes are brightest


def made() -> Pictures:
    """Return pictures of noise of which eight of ten are right, and six of eight quarters."""
    random = np.random.default_rng(0)
    maps = random.random((10, 10, 8, 8))
    labels = np.arange(10)
    for label in range(10):
        maps[label, WRONG.get(label, label)] += 1
        maps[label, label, 2, 5] += 40  # below the other in the mean: 40 / 64 < 1
    mosaic_labels = np.array([[4, 6, 2, 7], [3, 2, 1, 8]])
    mosaic_maps = random.random((2, 10, 16, 16))
    for mosaic, (classes, places) in enumerate(zip(mosaic_labels, BRIGHT, strict=True)):
        for label, place in zip(classes, places, strict=True):
            down, across = divmod(place, 2)
            rows, columns = (slice(8 * side, 8 * side + 8) for side in (down, across))
            mosaic_maps[mosaic, label, rows, columns] += 1
            mosaic_maps[mosaic, label, 15 - 15 * down, 15 - 15 * across] += 9  # one bright cell
    return Pictures(
        images=random.integers(256, size=(10, 3, 32, 32), dtype=np.uint8),
        labels=labels.astype(np.uint8),
        maps=maps.astype(np.float16),
        mosaics=random.integers(256, size=(2, 3, 64, 64), dtype=np.uint8),
        mosaic_labels=mosaic_labels.astype(np.uint8),
        mosaic_maps=mosaic_maps.astype(np.float16),
    )


def drawn(draw: Any) -> Canvas:
    canvas: Canvas = draw(made(), NAMES)
    return canvas


def panels(canvas: Canvas) -> list[tuple[Any, Any]]:
    """Return the parts of a figure that show a picture, with what they show."""
    every: list[Any] = canvas.axes
    return [(axes, axes.images[0].get_array().data) for axes in every if axes.images]


def test_below_each_image_is_the_map_of_its_class() -> None:
    pictures = made()
    found = panels(drawn(class_maps.draw_images))
    assert len(found) == 20
    for label in range(10):
        (above, image), (below, shown) = found[2 * label : 2 * label + 2]
        assert image.shape == (32, 32, 3)
        assert np.array_equal(image[3, 30], pictures.images[label][:, 3, 30])
        assert np.array_equal(shown, pictures.maps[label, label].astype(np.float32))
        assert below.images[0].get_clim() == (shown.min(), shown.max())
        assert above.get_title() == NAMES[label]
        said = f"\N{BALLOT X} {NAMES[WRONG[label]]}" if label in WRONG else "\N{CHECK MARK} right"
        assert below.get_xlabel() == said
        colour = COLOURS[1] if label in WRONG else INK
        assert to_hex(below.xaxis.label.get_color()) == colour


def test_beside_each_mosaic_are_the_maps_of_its_classes_where_they_are() -> None:
    pictures = made()
    canvas = drawn(class_maps.draw_mosaics)
    canvas.draw_without_rendering()
    found = panels(canvas)
    assert len(found) == 10
    for mosaic in range(2):
        (_, image), *maps = found[5 * mosaic : 5 * mosaic + 5]
        assert np.array_equal(image[3, 40], pictures.mosaics[mosaic][:, 3, 40])
        for quarter, (axes, shown) in enumerate(maps):
            label = int(pictures.mosaic_labels[mosaic, quarter])
            assert np.array_equal(shown, pictures.mosaic_maps[mosaic, label].astype(np.float32))
            right = BRIGHT[mosaic][quarter] == quarter
            sign = "\N{CHECK MARK}" if right else "\N{BALLOT X}"
            assert axes.get_title() == f"{sign} {NAMES[label]}"
            (frame,) = [one for one in axes.patches if isinstance(one, Rectangle)]
            down, across = divmod(quarter, 2)
            assert frame.get_xy() == (8 * across - 0.5, 8 * down - 0.5)
            assert (frame.get_width(), frame.get_height()) == (8, 8)
        places = [axes.get_position() for axes, _ in maps]
        assert places[0].x0 < places[1].x0
        assert places[0].y0 > places[2].y0
        assert places[2].x0 < places[3].x0


def test_words_count_what_is_right() -> None:
    pictures = made()
    assert "classifies 8 of the 10 right; it takes the bird as dog, the ship as airplane." in (
        class_maps.tell_images(pictures, NAMES)
    )
    told = class_maps.tell_mosaics(pictures, NAMES)
    assert "(deer, frog, bird, horse; cat, bird, automobile, ship)" in told
    assert "In 6 of 8 quarters the map of the class is brightest" in told


@pytest.mark.parametrize(
    ("draw", "frames"), [(class_maps.draw_images, 0), (class_maps.draw_mosaics, 8)]
)
def test_figures_are_small_stable_and_can_be_read(draw: Any, frames: int) -> None:
    canvases: list[Canvas] = []

    def draw_it() -> Canvas:
        canvases.append(drawn(draw))
        return canvases[-1]

    text = svg(draw_it)
    assert text == svg(draw_it)
    assert len(text) < 200_000  # noise, which does not compress
    assert text.count("image-rendering:pixelated") >= 10
    frame = "#fffff0"
    colours = set(re.findall(r"#[0-9a-f]{6}\b", text))
    assert INK in colours
    assert colours <= DARK.keys() | {frame}
    assert for_dark_pages(text).count(frame) == text.count(frame) == frames
    assert re.findall('base64[^"]*', for_dark_pages(text)) == re.findall('base64[^"]*', text)
    for element in ET.fromstring(text).iter():  # noqa: S314 - our own
        assert not element.tag.endswith("script")
    canvas = canvases[0]
    canvas.set_dpi(72)
    canvas.draw_without_rendering()
    words: list[Any] = canvas.findobj(Text)
    boxes = [one.get_window_extent() for one in words if one.get_text() and one.get_visible()]
    assert min(one.get_fontsize() for one in words if one.get_text()) >= 9
    for number, box in enumerate(boxes):
        assert canvas.bbox.x0 <= box.x0
        assert box.x1 <= canvas.bbox.x1
        assert canvas.bbox.y0 <= box.y0
        assert box.y1 <= canvas.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_images_of_one_channel_are_grey() -> None:
    axes = Canvas().add_subplot()
    class_maps.show(axes, np.arange(6, dtype=np.uint8).reshape(1, 2, 3))
    assert axes.images[0].get_cmap().name == "gray"
    assert axes.images[0].get_array().shape == (2, 3)  # type: ignore[union-attr]


# With runs ----------------------------------------------------------------------------------------

RULES = {
    "toy/quarters": MeanAbove("tiny", 0.0, quantity=QUARTERS, seeds=2),
    "toy/fall": MeanAbove("tiny", 0.0, quantity=FALL, seeds=2),
    "toy/error": MeanAbove("tiny", 0.0, seeds=2),
}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return results with a run of the tiny arm, at whose class maps rules look."""
    monkeypatch.setattr(trained, "declared_rules", lambda: RULES)
    monkeypatch.setattr(class_maps, "declared_rules", lambda: RULES)
    for name in ("MOSAICS", "COVERED"):
        monkeypatch.setattr(examinations, name, 20)
    tiny.make(tmp_path, 0)
    (tmp_path / "traces.json").write_text(json.dumps({"tiny": ARMS["tiny"].trace()}))
    yield tmp_path
    runs.fresh.cache_clear()


def test_evidence_is_shown_and_what_lacks_is_said(results: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    begin = "No class maps can be shown yet: run 0 of tiny has to be "
    assert class_maps.figures("tiny", nowhere) == ()
    assert class_maps.lacking("tiny", nowhere) == f"{begin}trained and examined."
    assert class_maps.figures("tiny", results) == ()
    assert class_maps.lacking("tiny", results) == f"{begin}examined: {examine.COMMAND}."
    assert class_maps.figures("cifar10", results) == ()
    assert class_maps.lacking("cifar10", results) == ""

    with training.threads(1):
        examine.main(["--results", str(results), "--seeds", "0"])
    assert class_maps.lacking("tiny", results) == ""
    images, mosaics = class_maps.figures("tiny", results)
    assert images.claims == ("toy/quarters", "toy/fall")
    assert mosaics.claims == ("toy/quarters",)
    assert images.name != mosaics.name
    assert all("run 0 of tiny" in one.title for one in (images, mosaics))

    ((run, labels),) = runs.fresh(results, "tiny").values()
    first = [labels.tolist().index(label) for label in range(10)]
    right = int((run.predictions["test"][first] == np.arange(10)).sum())
    assert f"classifies {right} of the 10 right" in images.alt
    assert "class 3" in mosaics.alt or "class 5" in mosaics.alt
    assert "data:image/png;base64," in svg(images.draw)

    path = results / "examined" / "tiny" / "0.npz"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(runs.RunError, match=r"^examination tiny/0\.npz is not valid"):
        class_maps.figures("tiny", results)
