"""How fast the report is: to make it in full, to see that nothing changed, to filter its table.

`make report` writes what differs from the tree, as always. Prints also the size of the largest
pages. The filter is timed in Chromium: a word is searched for and what is left is laid out.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site"
MADE_FROM = ROOT / "build" / "site.made-from"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WORDS = ("pooling", "", "1x1 convolution", "refuted")
RUNS = 20
FILTER = """(word) => {
    const search = document.querySelector("input[name=search]");
    const started = performance.now();
    search.value = word;
    search.dispatchEvent(new Event("input", { bubbles: true }));
    document.body.getBoundingClientRect();
    return performance.now() - started;
}"""


def main() -> None:
    """Make the report twice, look at its pages, filter its table, and print the figures."""
    MADE_FROM.unlink(missing_ok=True)
    say(f"make report, in full: {seconds_of_report():.1f} s")
    say(f"make report, nothing changed: {seconds_of_report():.2f} s")
    pages = sorted(SITE.rglob("*.html"), key=lambda page: page.stat().st_size, reverse=True)
    say(f"{len(pages)} pages, the largest:")
    for page in pages[:5]:
        say(f"  {page.stat().st_size / 1000:5.0f} kB  {page.relative_to(SITE)}")
    say_filtering()


def seconds_of_report() -> float:
    """Return how long `make report` takes."""
    started = time.perf_counter()
    finished = subprocess.run(["make", "-s", "report"], cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: S607
    if finished.returncode:
        sys.exit(f"make report failed with exit status {finished.returncode}")
    return time.perf_counter() - started


def say_filtering() -> None:
    """Print the time that filtering takes, or why it is not known."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        say(f"filtering was not timed: none of {', '.join(CHROMIUM)} is installed")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto((SITE / "claims.html").as_uri())
        rows = page.locator("#claims tbody tr").count()
        words = [WORDS[run % len(WORDS)] for run in range(RUNS)]
        times = [page.evaluate(FILTER, word) for word in words]
        browser.close()
    say(
        f"filtering {rows} claims: {statistics.median(times):.1f} ms "
        f"(median of {RUNS}; {min(times):.1f} to {max(times):.1f})"
    )


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
