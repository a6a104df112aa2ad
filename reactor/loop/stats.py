"""What an event loop reports about itself.

What it is: :class:`LoopStats`.

What it must not know: how the numbers are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LoopStats"]


@dataclass(frozen=True)
class LoopStats:
    """A snapshot of the loop.

    Attributes:
        turns: turns since the loop was made.
        readers, writers: descriptors watched.
        timers: timers armed.
        calls: calls queued.
    """

    turns: int
    readers: int
    writers: int
    timers: int
    calls: int
