"""Driving a reactor in a test until something has happened."""

from __future__ import annotations

import time
from collections.abc import Callable

from reactor.loop import EventLoop


def run_until(loop: EventLoop, condition: Callable[[], object], timeout: float = 5.0) -> None:
    """Run turns of *loop* until *condition* is true; fail after *timeout* real seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise AssertionError(f"{condition} did not come true within {timeout} s")
        loop.run_once(min(remaining, 0.1))
