"""The judge: whether a link, or a topic on it, that is silent is dead.

What it is: :class:`Judge`, which every link has.

What it must not know: how a link is dropped, and what a silent topic is told.

How it works. A link is not judged as soon as it looks silent: a slow handler may have kept the loop
from reading, and that is not silence of the service. The loop first gets another turn, in which it
reads what the kernel holds. As long as each turn brings something, there is another one, up to
PATIENCE turns.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .link import Link

__all__ = ["Judge"]

#: Turns at most in which a link that is still being read from is not judged.
PATIENCE = 8


class Judge:
    """Judges one link. The loop's thread only.

    Args:
        link: the link.
        idle_after: seconds after which a link with topics that brings nothing is dead; None: never.

    Attributes:
        judging: whether a judgement is going on.
    """

    __slots__ = ("_busy_since", "_idle_after", "_link", "_patience", "judging")

    def __init__(self, link: Link, idle_after: float | None) -> None:
        self._link = link
        self._idle_after = idle_after
        self._patience = 0
        self._busy_since: float | None = None  # since when there have been topics
        self.judging = False

    def look_at_topics(self) -> None:
        """Note since when there have been topics: without any, nothing is to come."""
        if not self._link.legs:
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = self._link.loop.time()

    def idle_at(self) -> float:
        """Return when the link will have been silent for too long."""
        if self._idle_after is None or self._busy_since is None:
            return inf
        return max(self._link.heard, self._busy_since) + self._idle_after

    def look(self, now: float) -> None:
        """Begin a judgement if the link, or a topic on it, looks silent."""
        link = self._link
        pulse = link.pulse
        silent = now >= self.idle_at() or (pulse is not None and pulse.overdue(now))
        if now >= link.scan_due:
            silent = link.suspects(now) or silent
        if silent:
            # First the loop is to read what the kernel holds: that is the next turn.
            self.judging, self._patience = True, PATIENCE
            link.loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._link.loop.call_soon(self._judge)

    def _judge(self) -> None:
        """Go on: the loop has read what the kernel held, or a part of it."""
        link = self._link
        now, pulse = link.loop.now, link.pulse
        if link.opened_at is None:
            self.judging = False
            return
        if link.heard == now and self._patience:
            self._patience -= 1
            link.loop.call_soon(self._next_turn)
            return
        self.judging = False
        if now >= self.idle_at():
            link.condemned("idle", "silent")
        elif pulse is not None and pulse.overdue(now):
            link.condemned("no heartbeat", "heartbeat not answered")
        else:
            link.acquitted(now)
