"""Holding back: what a connection does with more than one turn may deliver.

What it is: the part of a connection between its stream and its session, which takes what came in
bounded pieces. It sees to the rest of a read, and to the peer's end behind it.

What it must not know: time, what is sent, how a connection begins and ends.

How it works. The session says that it has not finished, and that is the only note of it. As long
as it has not, the stream does not read, so that nothing piles up. The loop calls for the next piece
with its next batch of calls, one piece a turn, so that nobody else is kept waiting. An end of the
stream that is heard of meanwhile lines up behind it: order is that of the loop's calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .protocols.events import State
from .protocols.session import WebSocketSession
from .sending import Phase, Sending

__all__ = ["Holding"]


class Holding(Sending):
    """See the module. Parameters: see Connection."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Bytes came; b"": go on with what came before."""
        raise AssertionError("the connection does")

    def _read_on(self) -> None:
        """Read, unless something speaks against it."""
        raise AssertionError("the connection does")

    def hold_back(self) -> None:
        """More came than one turn may deliver."""
        self.stream.pause_reading()
        self._loop.call_soon(self._receive_rest, self.session)

    def _receive_rest(self, session: WebSocketSession) -> None:
        try:
            if session.state is not State.CLOSED:
                self.data_received(b"")
        finally:  # KeyboardInterrupt and SystemExit pass through
            if session.state is not State.CLOSED:
                self._read_on()

    def comes_later(self, end: Callable[..., None], *args: Any) -> bool:
        """Whether an end of the stream has to wait, for what came before it.

        Parameters:
            end: what told of it; it is called again later, with *args*.
        """
        session = self.session
        waits = session.unfinished and session.state is not State.CLOSED
        if waits:
            self._loop.call_soon(self._come, session, end, args)
        return waits

    def _come(self, session: WebSocketSession, end: Callable[..., None], args: Any) -> None:
        if self._phase is Phase.ATTACHED and self.session is session:
            end(*args)
