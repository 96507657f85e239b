"""Say what setting up needs, and stop early where it cannot work. Runs on any Python, by `make`."""

import platform
import shutil
import sys
from pathlib import Path

# What the pinned packages take, in GB: download, on disk. On Linux PyTorch comes with CUDA.
NEEDS = {"Linux": (2.7, 5.9), "Darwin": (0.25, 1.2)}
NEEDED_VERSION = (3, 11)


def main(folder: str) -> str:
    """Return what is about to happen.

    Raises:
        SystemExit: with one sentence, if Python is too old or the disk too full.
    """
    version = platform.python_version()
    if sys.version_info < NEEDED_VERSION:
        sys.exit(
            f"Python 3.11 or later is needed, and {sys.executable} is {version}. "
            "If there is a newer one: make PYTHON=python3.12 quick"
        )
    download, disk = NEEDS.get(platform.system(), NEEDS["Linux"])
    free = shutil.disk_usage(Path(folder).resolve().parent).free / 1e9
    if free < disk:
        sys.exit(
            f"Setting up needs {disk} GB on disk, and {free:.1f} GB are free "
            f"where {folder} would be."
        )
    return (
        f"Setting up {folder} with Python {version}: downloads {download} GB of pinned packages, "
        f"takes {disk} GB on disk ({free:.0f} GB free), a few minutes, once."
    )


if __name__ == "__main__":
    print(main(sys.argv[1]))  # noqa: T201 - a command
