"""Lingering: the end of a stream whose connection is over already.

What it is: :class:`Linger`, the receiver of a stream that has no other receiver any more, and
:class:`Deaf`, that of a stream which has ended.

What it must not know: why the connection has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .stream import Stream, StreamState

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from ..timers import Timer

__all__ = ["Linger"]


class Deaf:
    """A receiver that does nothing."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Discard the bytes."""

    def eof_received(self) -> None:
        """Do nothing: the stream ends without help."""

    def queue_filled(self) -> None:
        """Do nothing."""

    def queue_drained(self) -> None:
        """Do nothing."""

    def write_failed(self) -> None:
        """Do nothing."""

    def connection_lost(self, error: Exception | None) -> None:
        """Do nothing."""


#: The receiver of all streams that have ended: the stream and a Linger would be a cycle.
DEAF = Deaf()


class Linger(Deaf):
    """Keeps a stream until its end, when nothing else uses it any more; from :meth:`start` on.

    The close frame may still be queued, and the peer may still be sending: the socket is
    closed when both have finished, after *timeout* seconds, or with the loop.

    Args:
        loop: the event loop; everything here runs on its thread.
        stream: the stream.
        timeout: the longest time until the socket is closed, in seconds.
        when_closed: called once, when the socket is closed; at once if it is already.
    """

    __slots__ = ("_loop", "_stream", "_timeout", "_timer", "_when_closed")

    def __init__(
        self,
        loop: EventLoop,
        stream: Stream,
        timeout: float,
        when_closed: Callable[[], object] | None = None,
    ) -> None:
        self._loop = loop
        self._stream = stream
        self._timeout = timeout
        self._when_closed = when_closed
        self._timer: Timer | None = None

    def start(self) -> None:
        """Take the stream over, and let it end."""
        loop, stream = self._loop, self._stream
        self._timer = loop.call_later(self._timeout, stream.abort)
        loop.lingering.add(self)
        stream.set_receiver(self)
        stream.close()
        if stream.state is StreamState.CLOSED:
            self._forget()

    def abort(self) -> None:
        """Close the socket now."""
        self._stream.abort()
        self._forget()

    @property
    def unsent(self) -> bool:
        """Whether bytes are still waiting to be sent."""
        return self._stream.queued > 0

    def let_go(self) -> None:
        """In a forked child, close its copy of the socket. The parent's stays open."""
        self._stream.sock.close()

    def _forget(self) -> None:
        assert self._timer is not None, "a Linger begins with start()"
        self._timer.cancel()
        self._loop.lingering.discard(self)
        self._stream.set_receiver(DEAF)
        when_closed, self._when_closed = self._when_closed, None
        if when_closed is not None:
            when_closed()

    def connection_lost(self, error: Exception | None) -> None:
        """Release the stream: it has ended."""
        self._forget()
