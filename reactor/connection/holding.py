"""Holding back: what a connection does with more than one turn may deliver, or the peer takes.

What it is: the part of a connection between its stream and its session. It takes what came in
bounded pieces, sees to the rest of a read and to the peer's end behind it, and decides whether
the stream reads.

What it must not know: time, frames, how a connection begins and ends.

How it works. The session says that it has not finished, and that is the only note of it. As long
as it has not, the stream does not read, so that nothing piles up. The loop calls for the next piece
with its next batch of calls, one piece a turn, so that nobody else is kept waiting. An end of the
stream that is heard of meanwhile lines up behind it: order is that of the loop's calls.

With ``on_overflow="pause"`` there is a second reason to hold back: see pacing.py. It ceases to be
one when nothing can be written any more. So the stream reads unless the user has paused it, a
piece is left, or the peer has to take something first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ..base.marks import calls_user_code
from ..protocols.events import State
from ..protocols.session import Event, WebSocketSession
from .dispatcher import deliver
from .pacing import Pacing, deliver_paced
from .sending import Phase, Sending

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from ..protocols.events import Role
    from .connection import Connection
    from .options import ConnectionOptions

__all__ = ["Holding"]


class Holding(Sending):
    """See the module. Parameters: see Connection."""

    __slots__ = ("_deliver", "_paused", "pacing")

    #: How events get to the handlers.
    _deliver: Callable[[Any, list[Event]], None]

    def __init__(self, loop: EventLoop, options: ConnectionOptions, role: Role) -> None:
        super().__init__(loop, options, role)
        self._forget_what_was_held()

    def _forget_what_was_held(self) -> None:
        """Begin, with a new stream and a new session."""
        self._paused = False  # whether the user wants nothing to be read
        self.pacing: Pacing | None = None
        self._deliver = deliver
        if self.options.on_overflow == "pause":
            self.pacing = Pacing(cast("Connection", self), self.options.water_marks[0])
            self._deliver = deliver_paced

    def data_received(self, data: bytes) -> None:
        """Bytes came; b"": go on with what came before."""
        raise AssertionError("the connection does")

    # -- more than one turn may deliver --------------------------------------------------

    def hold_back(self) -> None:
        """More came than one turn may deliver."""
        self.stream.pause_reading()
        self._loop.call_soon(self._receive_rest, self.session)

    @calls_user_code
    def _receive_rest(self, session: WebSocketSession) -> None:
        try:
            if session.state is not State.CLOSED and not self._behind:
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
        if session.state is State.CLOSED or not (session.unfinished or self.pacing):
            return False
        try:
            self._unpace()
        finally:  # KeyboardInterrupt and SystemExit pass through
            self._loop.call_soon(self._come, session, end, args)
        return True

    def _come(self, session: WebSocketSession, end: Callable[..., None], args: Any) -> None:
        if self._phase is Phase.ATTACHED and self.session is session:
            end(*args)

    # -- more than the peer takes --------------------------------------------------------

    @property
    def _behind(self) -> bool:
        """Whether the peer has to take something before more is read."""
        return self.pacing is not None and self.pacing.behind

    def queue_filled(self) -> None:
        """The write queue is above its high mark."""
        if self._behind:
            self.stream.pause_reading()

    def write_failed(self) -> None:
        """The peer takes nothing any more: what it has said is not held back for that."""
        if self._phase is Phase.ATTACHED:
            try:
                self._unpace()
            finally:  # KeyboardInterrupt and SystemExit pass through
                if self._phase is Phase.ATTACHED:
                    self._read_on()

    def _unpace(self) -> None:
        """Nothing that is sent leaves any more, so nothing has to wait for it."""
        pacing, self.pacing = self.pacing, None
        self._deliver = deliver
        if pacing is not None:
            if self.session.unfinished:
                self.hold_back()
            deliver(cast("Connection", self), pacing.held)

    def outbox_empty(self) -> None:
        """See Outbox."""
        super().outbox_empty()
        self._catch_up_soon()

    def _catch_up_soon(self) -> None:
        """There may be room in the write queue."""
        if self.pacing is not None:
            self._loop.call_soon(self._catch_up, self.session)

    def _catch_up(self, session: WebSocketSession) -> None:
        """Go on with what was held back, and then read."""
        if self.pacing is None or self._phase is not Phase.ATTACHED or self.session is not session:
            return
        try:
            self.pacing.go_on()
        finally:  # KeyboardInterrupt and SystemExit pass through
            if session.unfinished and session.state is not State.CLOSED and not self._behind:
                self.hold_back()
            else:
                self._read_on()

    # -- reading, and not ----------------------------------------------------------------

    def pause_reading(self) -> None:
        """See WebSocketProtocol."""
        self._loop._check_thread()
        if self.state is State.OPEN:  # else the peer's close frame would not be seen
            self._paused = True
            self.stream.pause_reading()

    def resume_reading(self) -> None:
        """See WebSocketProtocol."""
        self._loop._check_thread()
        if self._phase is Phase.ATTACHED:
            self._paused = False
            self._read_on()

    def _read_on(self) -> None:
        """Read, unless something speaks against it."""
        if not (self._paused or self.session.unfinished or self._behind):
            self.stream.start_reading()
