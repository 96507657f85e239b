"""Mutation testing of the reference and of the machinery: `make mutation`.

mutmut changes the code in one place at a time and runs the tests that reach it; one of them must
fail. `survivors.json` lists the mutants that no test can or should tell from the code, each with a
reason. Any other survivor fails this command, and so does an entry that survives no more.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MUTMUT = str(Path(sys.executable).with_name("mutmut"))
EXCUSED = Path(__file__).with_name("survivors.json")
ROOT = EXCUSED.parent.parent

# A crash or an endless loop gives a mutant away, and so does one that breaks the import of a test.
DETECTED = ("timeout", "segfault", "suspicious", "check was interrupted by user")


class Mutant(NamedTuple):
    """What a mutant changes. Its number in mutmut's name of it changes with the code, this not."""

    function: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.function}\n  - {self.old}\n  + {self.new}"


def main() -> int:
    """Run all mutants; returns 1 if one survives without a reason, or a reason has no survivor."""
    # What mutmut kept of an earlier run says nothing of tests that have changed since.
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    command = [MUTMUT, "run", "--max-children", str(os.cpu_count() or 1)]
    ran = subprocess.run(command, cwd=ROOT, check=False)
    if ran.returncode:
        return ran.returncode
    found, listed = set(survivors()), set(excused())
    for mutant in sorted(found - listed):
        print(f"survived: {mutant}")  # noqa: T201 - a command
    for mutant in sorted(listed - found):
        print(f"listed, but no survivor: {mutant}")  # noqa: T201
    print(f"{len(found)} survivors, {len(found & listed)} of them with a reason")  # noqa: T201
    return int(found != listed)


def survivors() -> Iterator[Mutant]:
    """Yield the mutants that no test told from the code, those that no test reaches among them."""
    for line in _mutmut("results").splitlines():
        name, _, status = line.strip().partition(": ")
        if status not in DETECTED:
            yield mutant(name, _mutmut("show", name))


def mutant(name: str, shown: str) -> Mutant:
    """Return the mutant of this name from the difference that mutmut shows of it."""
    function = re.sub(r"\.x[_ǁ](.+)__mutmut_\d+$", r".\1", name).replace("ǁ", ".")
    changes = shown.partition("\n@@")[2].splitlines()[1:]
    old, new = (
        " ".join(" ".join(line[1:] for line in changes if line.startswith(sign)).split())
        for sign in "-+"
    )
    return Mutant(function, old, new)


def excused() -> Iterator[Mutant]:
    """Yield the mutants that are listed, those of one place together, with a reason."""
    for one in json.loads(EXCUSED.read_bytes()):
        yield from (Mutant(one["function"], one["old"], new) for new in one["new"])


def _mutmut(*arguments: str) -> str:
    command = [MUTMUT, *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
