"""What your coroutines may await on the event loop: ``await in_thread(look_up, token)``.

What it is: the public names of loop/steps.py, mainly for an ``async def process_request``.
"""

from __future__ import annotations

from .loop.steps import in_thread, now, sleep, wait

__all__ = ["in_thread", "now", "sleep", "wait"]
