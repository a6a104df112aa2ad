"""Shared by the examples: an echo server, which is started if no URL is given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def echo_server(*arguments: str) -> Iterator[str]:
    """Yield the URL on the command line; or start an echo server, and yield its URL."""
    if len(sys.argv) > 1:
        yield sys.argv[1]
        return
    command = [sys.executable, "-m", "reactor", "echo", "--port", "0", "--exit-with-stdin"]
    with subprocess.Popen(
        [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield child.stdout.readline().split()[-1]
        finally:
            child.stdin.close()
