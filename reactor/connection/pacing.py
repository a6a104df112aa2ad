"""Pacing: a connection takes from its peer only as fast as the peer takes from it.

What it is: what ``on_overflow="pause"`` adds to a connection. While the write queue is above its
high mark, nothing is read, and what was read already is held back. When the queue has fallen to
its low mark, what was held back is delivered first, and then reading goes on.

What it must not know: sockets, what the handlers do.

A message that is sent in fragments may keep the queue full for as long as it likes. Then only what
waits behind it counts.

A peer that takes nothing is not heard meanwhile, so its pongs are not, either. That it is alive
shows in the queue, which shrinks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from ..protocols.events import OPEN
from ..protocols.session import Event, State
from .dispatcher import Owner, deliver

__all__ = ["Pacing", "deliver_paced"]


if TYPE_CHECKING:
    from ..transports.stream import Stream
    from .outbox import Outbox


class Paced(Owner, Protocol):
    """What is needed of a connection."""

    pacing: Pacing | None
    stream: Stream
    _outbox: Outbox | None


class Pacing:
    """What a connection that is paced has in addition.

    Parameters:
        owner: the connection.
        high: the high mark of its write queue, in bytes.

    Attributes:
        held: events that were read and wait for room in the write queue, in order.
    """

    __slots__ = ("_high", "_owner", "held")

    def __init__(self, owner: Paced, high: int) -> None:
        self._owner = owner
        self._high = high
        self.held: list[Event] = []

    @property
    def full(self) -> bool:
        """Whether the peer has to take something before more is sent."""
        owner = self._owner
        if owner.session.state is not OPEN:
            return False  # nothing more is
        if owner._outbox is not None:
            return owner._outbox.size > self._high
        return owner.stream.above_high

    @property
    def behind(self) -> bool:
        """Whether the peer has to take something before more is read."""
        return self.full or (bool(self.held) and self._owner.session.state is OPEN)

    def go_on(self) -> None:
        """Deliver what was held back, as far as there is room."""
        events, self.held = self.held, []
        deliver_paced(self._owner, events)


def deliver_paced(owner: Paced, events: list[Event]) -> None:
    """Deliver *events* in order, as far as there is room for answers; hold the rest back."""
    session, pacing = owner.session, owner.pacing
    assert pacing is not None
    waiting = iter(events)
    try:
        if not pacing.held:
            deliver(owner, _while_there_is_room(pacing, waiting))
    finally:  # KeyboardInterrupt and SystemExit pass through
        if session.state is not State.CLOSED:
            pacing.held.extend(waiting)
            if pacing.behind:
                owner.stream.pause_reading()


def _while_there_is_room(pacing: Pacing, events: Iterator[Event]) -> Iterator[Event]:
    while not pacing.full:
        try:
            event = next(events)
        except StopIteration:
            return
        yield event
