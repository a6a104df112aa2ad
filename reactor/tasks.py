"""What your coroutines may await on the event loop: ``await in_thread(look_up, token)``.

What it is: the public names of loop/steps.py and answers.py, for an ``async def process_request``
and for the ``login`` of a Feed.
"""

from __future__ import annotations

from .loop.answers import Answer
from .loop.steps import in_thread, now, sleep, wait

__all__ = ["Answer", "in_thread", "now", "sleep", "wait"]
