"""`python -m claims.training COMMAND`: reproduce, examine, recheck, pack, import."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command that the first argument names; returns its exit status."""
    try:
        # PyTorch takes seconds, in which one may press Ctrl-C.
        from claims.training import archive, examine, recheck, reproduce

        commands = {
            "reproduce": reproduce.main,
            "examine": examine.main,
            "recheck": recheck.main,
            "pack": archive.pack,
            "import": archive.import_,
        }
        name = sys.argv[1] if len(sys.argv) > 1 else ""
        if name in commands:
            return commands[name](sys.argv[2:])
    except KeyboardInterrupt:
        print("stopped", flush=True)  # noqa: T201 - a command
        return 130
    asked = name in ("-h", "--help")
    print(
        f"usage: python -m claims.training {{{','.join(commands)}}} ...; each explains --help",
        file=sys.stdout if asked else sys.stderr,
    )
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(main())
