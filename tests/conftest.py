"""What the tests share: pytest's own test harness, and the toy suite laid out for it."""

from __future__ import annotations

import gc
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies  # noqa: F401 - pytester forgets what a run of its own imports first
import jsonschema  # noqa: F401
import pytest
import z3  # noqa: F401

pytest_plugins = ["pytester"]

TOY = Path(__file__).with_name("toy")
INI = "[pytest]\nclaims_suite = toy.suite:SUITE\npythonpath = .\nfilterwarnings = error\n"


@pytest.fixture
def toy(pytester: pytest.Pytester) -> Iterator[pytest.Pytester]:
    """Provide a folder of its own with the toy suite in it."""
    shutil.copytree(TOY, pytester.path / "toy", ignore=shutil.ignore_patterns("__pycache__"))
    (pytester.path / "pytest.ini").write_text(INI)
    yield pytester
    gc.unfreeze()  # the plugin leaves that to the end of the process, which here lives on


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Leave out slow tests unless `-m` names them; put those that run pytest last.

    So a quicker one finds a fault first.
    """
    items.sort(key=lambda item: "toy" in item.fixturenames)
    if "slow" not in config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, which a shell turns off for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
