"""Pacing: a connection takes from its peer only as fast as the peer takes from it.

What it is: what ``on_overflow="pause"`` adds to a connection. While the write queue is above its
high mark, the connection reads nothing, and holds back the events that it has already read. When
the queue has fallen to its low mark, those events are delivered first, and then reading resumes.

What it must not know: sockets, what the handlers do.

A message that is sent in fragments keeps the write queue full by design, as its fragments are
produced when there is room. While one is being sent, only what waits behind it counts.

Nothing is read from a peer that does not take its output, so its pongs are not seen either. A
write queue that shrinks shows that the peer is alive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..protocols.events import OPEN
from ..protocols.session import Event, State
from .dispatcher import deliver

__all__ = ["Pacing", "deliver_paced"]


if TYPE_CHECKING:
    from .connection import Connection


class Pacing:
    """The events that one connection holds back, and when. The loop's thread only.

    Args:
        connection: the connection.
        high: the high mark of its write queue, in bytes.

    Attributes:
        held: events that were read and wait for room in the write queue, in order.
    """

    __slots__ = ("_connection", "_high", "held")

    def __init__(self, connection: Connection, high: int) -> None:
        self._connection = connection
        self._high = high
        self.held: list[Event] = []

    @property
    def full(self) -> bool:
        """Whether the peer has to take something before more is sent."""
        connection = self._connection
        if connection.session.state is not OPEN:
            return False  # nothing more will be sent
        outbox = connection.sender.outbox
        if outbox is not None:
            return outbox.size > self._high
        return connection.stream.above_high

    @property
    def behind(self) -> bool:
        """Whether the peer has to take something before more is read."""
        return self.full or (bool(self.held) and self._connection.session.state is OPEN)

    def go_on(self) -> None:
        """Deliver the events that were held back, as far as there is room."""
        events, self.held = self.held, []
        deliver_paced(self._connection, events)


def deliver_paced(connection: Connection, events: list[Event]) -> None:
    """Deliver events in order while there is room for answers, and hold the rest back.

    Args:
        connection: whose handlers are called; it has a :class:`Pacing`.
        events: what was read, in order.
    """
    session, pacing = connection.session, connection.reader.pacing
    assert pacing is not None
    waiting = iter(events)
    try:
        if not pacing.held:
            deliver(connection, _while_there_is_room(pacing, waiting))
    finally:  # KeyboardInterrupt and SystemExit pass through
        if session.state is not State.CLOSED:
            pacing.held.extend(waiting)
            if pacing.behind:
                connection.stream.pause_reading()


def _while_there_is_room(pacing: Pacing, events: Iterator[Event]) -> Iterator[Event]:
    while not pacing.full:
        try:
            event = next(events)
        except StopIteration:
            return
        yield event
