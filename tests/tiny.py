"""Runs of a small network on synthetic patterns, for tests to damage, pack and judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from claims.training import runs
from claims.training.arms import ARMS, Arm
from nin_ref import data, training


def images() -> training.Images:
    """Return the patterns as the tiny arm prepares them."""
    found = data.load("patterns")
    train, test = data.preprocess(found, ARMS["tiny"].recipe.preprocessing)
    return training.Images(
        train, found.train_labels, test, found.test_labels, found.classes, found.digest
    )


def make(results: Path, *seeds: int, name: str = "tiny", arm: Arm = ARMS["tiny"]) -> None:
    """Train runs of an arm, with one thread, and put the true labels beside them."""
    prepared = images()
    with training.threads(1):
        for seed in seeds:
            assert runs.make(
                name,
                arm,
                seed,
                prepared,
                "cpu",
                results=results,
                warn=pytest.fail,
                report=lambda progress, share: None,
            )
    runs.keep_test_labels("patterns", prepared.test_labels, results)
