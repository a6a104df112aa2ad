"""Standard output, for commands that print while they run. What it must not know: the text."""

from __future__ import annotations

import os
import sys

__all__ = ["write"]


def write(text: str) -> None:
    """Write to standard output, at once.

    Raises:
        SystemExit: Nobody reads it any more, as behind ``| head``. With the status that a shell
            gives to a program that SIGPIPE has ended.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Otherwise the interpreter complains once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
