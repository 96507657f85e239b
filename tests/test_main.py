"""The look-up command, on the verdicts that are committed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from claims.__main__ import main
from claims.core import results
from claims.suite import SUITE

ENTRIES = results.read(SUITE.verdicts)
REFUTED = "pointwise/keeps-channel-count"


@pytest.fixture(autouse=True)
def same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the working folder, which bringing an implementation puts on the path."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def told(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(list(arguments)) == status
    captured = capsys.readouterr()
    assert bool(captured.err) == (status == 2)
    return captured.out + captured.err


def test_all_verdicts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys).splitlines()
    assert len(lines) == len(ENTRIES)
    assert any(line.split() == ["refuted", REFUTED] for line in lines)


def test_a_line_shows_the_claims_that_cite_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "001:69")
    assert text.startswith("001:69 in ")
    assert REFUTED in text
    assert "classic-networks/vgg-has-four-blocks" not in text
    assert "classic-networks/vgg-has-four-blocks" in told(capsys, "001:89")


def test_a_claim_is_found_under_the_id_it_had_before(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {REFUTED: ENTRIES[REFUTED] | {"renamed_from": "pointwise/old"}}
    monkeypatch.setattr(results, "read", lambda path: entries)
    assert told(capsys, "pointwise/old").startswith(f"{REFUTED}\n")


def test_a_claim_shows_how_to_see_its_counterexample(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, REFUTED)
    assert ENTRIES[REFUTED]["says"] in text
    assert ENTRIES[REFUTED]["instead"] in text
    script = text.partition("See it fail, in Python:\n\n")[2]
    lines = [line.strip() for line in script.splitlines()]
    assert len(lines) == 5
    with pytest.raises(AssertionError, match=ENTRIES[REFUTED]["reason"]):
        exec("\n".join(lines), {})
    capsys.readouterr()


@pytest.mark.parametrize(
    "id_", [entry["id"] for entry in ENTRIES.values() if entry["counterexample"]]
)
def test_every_counterexample_replays(id_: str, capsys: pytest.CaptureFixture[str]) -> None:
    case = ENTRIES[id_]["counterexample"]["case"]
    text = told(capsys, id_, "--case", json.dumps(case), status=1)
    assert text.startswith("false on this case")


@pytest.mark.parametrize(
    ("id_", "number"),
    [(entry["id"], i) for entry in ENTRIES.values() for i in range(len(entry["exceptions"]))],
)
def test_every_exception_to_a_condition_replays(
    id_: str, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    case = ENTRIES[id_]["exceptions"][number]["case"]
    assert "false on this case" in told(capsys, id_, "--case", json.dumps(case), status=1)


SMALL = '{"batch": 1, "in_channels": 2, "out_channels": %d, "height": 3, "width": 4}'


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([REFUTED, "--case", SMALL % 2], 0, "true on this case"),
        ([REFUTED, "--case", SMALL % 3], 1, "false on this case: 2 channels in, 3 out"),
        ([REFUTED, "--case", SMALL % 3, "--subject", "nin_ref.oracle"], 1, "2 channels in, 3 out"),
        (["pointwise/keeps-chanel-count"], 2, f"did you mean {REFUTED}"),
        (["zebra"], 2, "no claim has the id 'zebra'"),
        (["001:194"], 2, "out of range: document 001 has lines 1 to 193"),
        (["009:1"], 2, "unknown document '009'"),
        (["--case", "1"], 2, "--case needs the id of a claim"),
        ([REFUTED, "--case", "{"], 2, "--case is not JSON"),
        ([REFUTED, "--case", "{}"], 2, "has no case {}"),
        (["no/such-claim", "--case", "{}"], 2, "no claim has the id 'no/such-claim'"),
        ([REFUTED, "--case", SMALL % 3, "--subject", "no.where"], 2, "no.where does not exist"),
        (
            ["global-average-pooling/none", "--case", "1"],
            2,
            "no claim has the id 'global-average-pooling/none'",
        ),
    ],
)
def test_what_is_asked_for_is_answered_or_refused_in_a_sentence(
    arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in told(capsys, *arguments, status=status)


def test_without_verdicts_it_says_how_to_make_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    import claims.suite

    empty = dataclasses.replace(SUITE, verdicts=tmp_path / "verdicts.json")
    monkeypatch.setattr(claims.suite, "SUITE", empty)
    assert "no verdicts yet; `make quick` makes them" in told(capsys, status=2)
    empty.verdicts.write_text("{")
    assert "is damaged" in told(capsys, status=2)


def test_a_reader_that_stops_early_sees_no_traceback() -> None:
    command = f"set -o pipefail; {sys.executable} -m claims | head -1"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert len(run.stdout.splitlines()) == 1
