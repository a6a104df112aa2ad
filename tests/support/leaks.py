"""What a test must not leave behind: file descriptors, and threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Threads of the package that end by themselves when their work is done; their names begin so.
HELPER = "reactor-helper"


def open_descriptors() -> dict[int, str]:
    """Return the descriptors of this process, with what they are where the system tells."""
    found = {}
    for name in os.listdir("/dev/fd"):
        try:
            os.fstat(int(name))
        except OSError:
            continue  # the one that listdir itself used
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            found[int(name)] = "?"
    return found


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail when the block leaves a descriptor open or a thread running."""
    descriptors, threads = open_descriptors(), set(threading.enumerate())
    yield
    left = {fd: what for fd, what in open_descriptors().items() if descriptors.get(fd) != what}
    assert not left, f"left open: {left}"
    running = set(threading.enumerate()) - threads
    for thread in running:
        if thread.name.startswith(HELPER):
            thread.join(5.0)
    running = {thread for thread in running if thread.is_alive()}
    assert not running, f"left running: {running}"
