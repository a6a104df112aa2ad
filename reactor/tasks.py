"""What a coroutine of yours may await on the event loop: ``await in_thread(look_up, token)``.

What it is: the public names of loop/tasks.py, for an ``async def process_request`` above all.
"""

from __future__ import annotations

from .loop.tasks import in_thread, now, sleep, wait

__all__ = ["in_thread", "now", "sleep", "wait"]
