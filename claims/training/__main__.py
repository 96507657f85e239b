"""`python -m claims.training COMMAND`: reproduce, recheck, pack, import."""

from __future__ import annotations

import sys

from claims.training import archive, reproduce

COMMANDS = {"reproduce": reproduce.main, "pack": archive.pack, "import": archive.import_}


def main() -> int:
    """Run the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        print(f"usage: python -m claims.training {{{','.join(COMMANDS)}}} ...", file=sys.stderr)  # noqa: T201 - a command
        return 2
    return COMMANDS[name](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
