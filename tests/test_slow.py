"""`pytest -m slow`: train what the training claims lack, as `make reproduce` does."""

from __future__ import annotations

import pytest

from claims.training import reproduce


@pytest.mark.slow
def test_missing_runs_can_be_made(capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():  # progress of hours is worth seeing
        assert reproduce.main([]) == 0
