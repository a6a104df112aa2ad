"""Cancelling tasks for certain.

What it is: :func:`cancel`.

What it must not know: what the tasks do.

How it works. Until Python 3.12, ``asyncio.wait_for`` may swallow a cancellation that comes at the
same time as what it waits for, and the client of NATS uses it for each request. So a task is
cancelled again until it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["cancel"]

#: Seconds before a task that goes on is cancelled again.
AGAIN = 0.1


async def cancel(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks, and wait until they have ended; what they raise is not looked at."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=AGAIN)
        for task in done:
            if not task.cancelled():
                task.exception()
