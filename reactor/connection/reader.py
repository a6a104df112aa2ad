"""Reading: what a connection does with what comes.

What it is: :class:`Reader`, which every connection has: the receiver of its stream. It takes the
events out of the session, and has the dispatcher deliver them; notes when something came; sees to
the rest of a read and to the peer's end behind it; and decides whether the stream reads.

What it must not know: timers, frames, how a connection begins and ends.

How it works. More may come than one turn may deliver, or than the peer takes: that is held back.
The session says that it has not finished, and that is the only note of it. As long
as it has not, the stream does not read, so that nothing piles up. The loop calls for the next piece
with its next batch of calls, one piece a turn, so that nobody else is kept waiting. An end of the
stream that is heard of meanwhile lines up behind it: order is that of the loop's calls.

With ``on_overflow="pause"`` there is a second reason to hold back: see pacing.py. It ceases to be
one when nothing can be written any more. So the stream reads unless the user has paused it, a
piece is left, or the peer has to take something first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..base.marks import calls_user_code
from ..protocols.events import Ping, Pong, State
from ..protocols.session import Event, WebSocketSession
from .counting import public_place
from .dispatcher import call_handler, deliver
from .pacing import Pacing, deliver_paced
from .phase import ATTACHED

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Reader"]

#: What says nothing but that the peer is there.
CONTROLS = frozenset({Ping, Pong})


class Reader:
    """See the module.

    Args:
        connection: for whom it reads; it has its options already.

    Attributes:
        message_at: when bytes of messages last came, by the clock of the loop's turns.
        pacing: holds back what the peer has to make room for, with ``on_overflow="pause"``.
    """

    __slots__ = (
        *("_connection", "_control_at", "_deliver", "_frame_at", "_paused"),
        *("message_at", "pacing"),
    )

    #: How events get to the handlers.
    _deliver: Callable[[Any, list[Event]], None]

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.message_at = 0.0
        self._control_at = 0.0  # when pings or pongs last came
        self._frame_at = 0.0  # when bytes last came of a frame that had begun before
        self._paused = False  # whether the user wants nothing to be read
        self.pacing: Pacing | None = None
        self._deliver = deliver

    def begin(self) -> None:
        """Begin, with a new stream and a new session."""
        connection = self._connection
        connection.counters.note_opening(connection.loop.now, self.message_at)
        self.message_at = connection.loop.now
        self._paused = False
        self.pacing = None
        self._deliver = deliver
        if connection.options.on_overflow == "pause":
            self.pacing = Pacing(connection, connection.options.water_marks[0])
            self._deliver = deliver_paced

    # -- what comes ----------------------------------------------------------------------

    # Twin: data_received() in compiled/path.pyx.
    def data_received(self, data: bytes) -> None:
        """Bytes came; b"": go on with what came before."""
        connection = self._connection
        session = connection.session
        if session.within_frame:
            self._frame_at = connection.loop.now
        try:
            events = session.receive(data)
        except Exception as exc:  # noqa: BLE001 - no memory left, or a fault of ours; reported
            connection.broken(exc)
            return
        if session.controls:
            self._controls_came(events)
        else:
            self.message_at = connection.loop.now
        if session.output:
            connection.sender.answer()
        if session.unfinished:
            self.hold_back()
        if events:
            self._deliver(connection, events)

    def _controls_came(self, events: list[Event]) -> None:
        """Pings or pongs came, which are a sign of life but no messages."""
        connection = self._connection
        session = connection.session
        session.controls = False
        self._control_at = now = connection.loop.now
        if session.within_frame or any(type(each) not in CONTROLS for each in events):
            self.message_at = now

    def eof_received(self) -> None:
        """The peer has ended its side, without a close frame of this attempt being seen."""
        if not self._comes_later(self.eof_received):
            # A TLS stream tells of the last data and of the end in one call.
            self._connection.sender.flush()
            self._connection.lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """The stream has ended, without a close frame of this attempt being seen."""
        if not self._comes_later(self.connection_lost, error):
            self._connection.lost(error)

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        connection = self._connection
        return f"{type(connection.protocol).__qualname__} on {public_place(connection)}"

    # -- when something came -------------------------------------------------------------

    @property
    def last_activity(self) -> float:
        """When bytes last came, by the clock of the loop's turns."""
        return max(self.message_at, self._control_at)

    @property
    def moved_at(self) -> float:
        """When bytes last moved in a way that says that the peer is alive, pongs apart.

        It takes what is queued; or it is in the middle of a frame, where no pong can come, or
        was until then.
        """
        connection = self._connection
        frame_at = self.last_activity if connection.session.within_frame else self._frame_at
        return max(connection.stream.progress_at, frame_at)

    @property
    def listening(self) -> bool:
        """Whether what the peer sends would be heard now."""
        return self._connection.stream.reading and not self._behind

    def read_now(self) -> bool:
        """Read what the kernel holds, once. Whether the peer may be alive for all one can tell.

        Its pong may also be in what is held back. Who has paused reading cannot know, and is not
        told. A peer that has to take something first is not heard until it has.
        """
        stream = self._connection.stream
        silent = stream.reading and not stream.read_now()
        if self._behind:
            silent = stream.queued > 0 and not self._paused
        return not silent

    # -- more than one turn may deliver --------------------------------------------------

    def hold_back(self) -> None:
        """More came than one turn may deliver."""
        connection = self._connection
        connection.stream.pause_reading()
        connection.loop.call_soon(self._receive_rest, connection.session)

    @calls_user_code
    def _receive_rest(self, session: WebSocketSession) -> None:
        try:
            if session.state is not State.CLOSED and not self._behind:
                self.data_received(b"")
        finally:  # KeyboardInterrupt and SystemExit pass through
            if session.state is not State.CLOSED:
                self._read_on()

    def _comes_later(self, end: Callable[..., None], *args: Any) -> bool:
        """Whether an end of the stream has to wait, for what came before it.

        Parameters:
            end: what told of it; it is called again later, with *args*.
        """
        session = self._connection.session
        if session.state is State.CLOSED or not (session.unfinished or self.pacing):
            return False
        try:
            self._unpace()
        finally:  # KeyboardInterrupt and SystemExit pass through
            self._connection.loop.call_soon(self._come, session, end, args)
        return True

    def _come(self, session: WebSocketSession, end: Callable[..., None], args: Any) -> None:
        connection = self._connection
        if connection.phase is ATTACHED and connection.session is session:
            end(*args)

    # -- more than the peer takes --------------------------------------------------------

    @property
    def _behind(self) -> bool:
        """Whether the peer has to take something before more is read."""
        return self.pacing is not None and self.pacing.behind

    def queue_filled(self) -> None:
        """The write queue is above its high mark."""
        if self._behind:
            self._connection.stream.pause_reading()

    def queue_drained(self) -> None:
        """The write queue is below its low mark again."""
        self.catch_up_soon()
        connection = self._connection
        outbox = connection.sender.outbox
        if outbox is not None:
            outbox.run()
            if connection.stream.above_high:
                return  # this will come again
        if connection.session.state is State.OPEN:
            call_handler(connection.protocol, connection.protocol.on_writable)

    def write_failed(self) -> None:
        """The peer takes nothing any more: what it has said is not held back for that."""
        connection = self._connection
        if connection.phase is ATTACHED:
            try:
                self._unpace()
            finally:  # KeyboardInterrupt and SystemExit pass through
                if connection.phase is ATTACHED:
                    self._read_on()

    def _unpace(self) -> None:
        """Nothing that is sent leaves any more, so nothing has to wait for it."""
        pacing, self.pacing = self.pacing, None
        self._deliver = deliver
        if pacing is not None:
            if self._connection.session.unfinished:
                self.hold_back()
            deliver(self._connection, pacing.held)

    def catch_up_soon(self) -> None:
        """There may be room in the write queue."""
        if self.pacing is not None:
            self._connection.loop.call_soon(self._catch_up, self._connection.session)

    def _catch_up(self, session: WebSocketSession) -> None:
        """Go on with what was held back, and then read."""
        connection = self._connection
        if self.pacing is None or connection.phase is not ATTACHED:
            return
        if connection.session is not session:
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
        connection = self._connection
        connection.loop._check_thread()
        if connection.state is State.OPEN:  # else the peer's close frame would not be seen
            self._paused = True
            connection.stream.pause_reading()

    def resume_reading(self) -> None:
        """See WebSocketProtocol."""
        self._connection.loop._check_thread()
        if self._connection.phase is ATTACHED:
            self._paused = False
            self._read_on()

    def await_close(self) -> None:
        """A close frame has been sent: read its answer, whatever was paused."""
        self._paused = False
        self.catch_up_soon()
        self._read_on()

    def end(self) -> None:
        """The connection has ended: let go of what was held back."""
        if self.pacing is not None:
            self.pacing.held.clear()

    def _read_on(self) -> None:
        """Read, unless something speaks against it."""
        connection = self._connection
        if not (self._paused or connection.session.unfinished or self._behind):
            connection.stream.start_reading()
