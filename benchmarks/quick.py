"""How fast `make quick` is: against the floor, a bare pytest run that imports what the suite needs.

The two alternate in one run, so that a machine whose speed drifts slows both. Prints the ratio of
medians, the ten slowest claims, what a claim costs, and the peak memory over all processes.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PYTEST = str(Path(sys.executable).with_name("pytest"))
QUICK = ["make", "-s", "quick"]
FLOOR = "import hypothesis, torch, torchvision\n\n\ndef test_nothing() -> None:\n    pass\n"
RUNS = 5


def main() -> None:
    """Run both in turn and print the figures."""
    floors, quicks = [], []
    with tempfile.TemporaryDirectory() as folder:
        test = Path(folder) / "test_floor.py"
        test.write_text(FLOOR)
        bare = [PYTEST, "-q", "-c", "/dev/null", "--rootdir", folder, "-p", "no:cacheprovider"]
        peak = peak_memory(QUICK)  # looking at it takes time, so this run is not timed
        timed([*bare, str(test)])  # and this one fills the caches
        for number in range(1, RUNS + 1):
            floors.append(timed([*bare, str(test)]))
            quicks.append(timed(QUICK))
            say(f"{number} of {RUNS}: floor {floors[-1]:.2f} s, quick {quicks[-1]:.2f} s")
    ratio = statistics.median(quicks) / statistics.median(floors)
    each = sorted(quick / floor for quick, floor in zip(quicks, floors, strict=True))
    say(f"quick / floor = {ratio:.2f} (medians of {RUNS}; pairs {each[0]:.2f} to {each[-1]:.2f})")
    say(f"peak memory over all processes, shared pages counted once: {peak / 1e6:.2f} GB")
    say_costs()


def timed(command: list[str]) -> float:
    """Return the seconds that a command takes."""
    started = time.perf_counter()
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: S603
    seconds = time.perf_counter() - started
    if finished.returncode:
        sys.exit(f"{' '.join(command)} failed with exit status {finished.returncode}")
    return seconds


def peak_memory(command: list[str]) -> float:
    """Return the peak memory of a command and its children in kB."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: S603
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(memory(child) for child in family(process.pid)))
        time.sleep(0.1)
    return peak


def family(parent: int) -> list[int]:
    """Return a process and all that descend from it (Linux; elsewhere only itself)."""
    found = [parent]
    for process in found:
        for path in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += [int(child) for child in path.read_text().split()]
            except OSError:
                continue  # it ended meanwhile
    return found


def memory(process: int) -> float:
    """Return the proportional set size of a process in kB, zero where the system does not say."""
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    return float(found[1]) if found else 0


def say_costs() -> None:
    """Print the slowest claims and the median one, from one run in one process."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-o", "junit_duration_report=call", f"--junitxml={report}"]
        timed([PYTEST, "claims", "-q", *options])
        cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 - our own pytest wrote it
        costs = sorted((float(case.get("time", 0)), case.get("name", "")) for case in cases)
    say(f"median claim: {1000 * statistics.median(cost for cost, _ in costs):.0f} ms")
    say("the ten slowest claims:")
    for seconds, claim in reversed(costs[-10:]):
        say(f"  {1000 * seconds:5.0f} ms  {claim}")


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
