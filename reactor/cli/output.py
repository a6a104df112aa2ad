"""Standard output, for commands that print while they run. What it must not know: the text."""

from __future__ import annotations

import os
import sys

__all__ = ["write"]


def write(text: str) -> None:
    """Write to standard output, at once.

    Raises:
        SystemExit: Nobody reads it any more, as behind ``| head``: with the status that a shell
            gives to a program that SIGPIPE has ended. It cannot be written to, as on a disk that is
            full: with 1, and a line on standard error.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as exc:
        # Otherwise the interpreter complains once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(exc, BrokenPipeError):
            raise SystemExit(141) from None
        print(f"reactor: standard output: {exc}", file=sys.stderr)
        raise SystemExit(1) from None
