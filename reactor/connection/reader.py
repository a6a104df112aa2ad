"""Reading: the way from a connection's stream to its handlers.

What it is: :class:`Reader`, which every connection has, the receiver of its stream. It passes bytes
to the session and the session's events to the dispatcher, notes when bytes came, and decides when
the stream reads.

What it must not know: timers, frames, how a connection begins and ends.

How it works. A read may contain more messages than one turn should deliver. The session then stops
in the middle of it, keeps the rest, and sets ``unfinished``. While it is set, the stream does not
read, so nothing piles up. The next piece is delivered in the loop's next batch of calls, one piece
in each turn, so that other connections need not wait. If the stream ends meanwhile, the end is
queued behind the rest, also as a call of the loop.

With ``on_overflow="pause"`` there is a second reason to hold events back: the peer does not take
our output (see pacing.py). This reason ends when nothing can be written any more. So the stream
reads unless the user has paused it, the session is unfinished, or the peer has to take output
first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..protocols.events import Ping, Pong, State
from ..protocols.session import Event, WebSocketSession
from .closing import broken, lost
from .dispatcher import call_handler, deliver
from .pacing import Pacing, deliver_paced
from .phase import ATTACHED

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Reader"]

#: Events that are signs of life, but no messages.
CONTROLS = frozenset({Ping, Pong})


class Reader:
    """The reading half of one connection. See the module. The loop's thread only.

    Args:
        connection: the connection; its options are set already.

    Attributes:
        message_at: when bytes of messages last came, in seconds of ``loop.now``.
        pacing: holds events back until the peer takes output, with ``on_overflow="pause"``.
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
        self._frame_at = 0.0  # when bytes last came of a frame that had begun earlier
        self._paused = False  # whether the user has paused reading
        self.pacing: Pacing | None = None
        self._deliver = deliver

    def begin(self) -> None:
        """Begin: the connection has a new stream and a new session."""
        connection = self._connection
        connection.counters.note_opening(connection.loop.now, self.message_at)
        self.message_at = connection.loop.now
        self._paused = False
        self.pacing = None
        self._deliver = deliver
        if connection.options.on_overflow == "pause":
            self.pacing = Pacing(connection, connection.options.water_marks[0])
            self._deliver = deliver_paced

    # -- input ---------------------------------------------------------------------------

    # Twin: data_received() in compiled/path.pyx.
    def data_received(self, data: bytes) -> None:
        """Process bytes from the stream; b"": go on with those that the session still has."""
        connection = self._connection
        session = connection.session
        if session.within_frame:
            self._frame_at = connection.loop.now
        try:
            events = session.receive(data)
        except Exception as exc:  # noqa: BLE001 - out of memory, or a bug of ours; reported
            broken(connection, exc)
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
        """Note the time: pings or pongs came, which are signs of life but no messages."""
        connection = self._connection
        session = connection.session
        session.controls = False
        self._control_at = now = connection.loop.now
        if session.within_frame or any(type(each) not in CONTROLS for each in events):
            self.message_at = now

    def eof_received(self) -> None:
        """End: the peer has ended its side of the stream without a close frame."""
        if not self._comes_later(self.eof_received):
            # A TLS stream tells of the last data and of the end in one call.
            self._connection.sender.flush()
            lost(self._connection, None)

    def connection_lost(self, error: Exception | None) -> None:
        """End: the stream has ended without a close frame.

        Args:
            error: why, or None.
        """
        if not self._comes_later(self.connection_lost, error):
            lost(self._connection, error)

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        return self._connection.whose()

    # -- signs of life -------------------------------------------------------------------

    @property
    def last_activity(self) -> float:
        """When bytes last came, in seconds of ``loop.now``."""
        return max(self.message_at, self._control_at)

    @property
    def moved_at(self) -> float:
        """When the peer last gave a sign of life other than a pong, in seconds of ``loop.now``.

        That is when it took bytes from the write queue, or sent bytes in the middle of a frame,
        where it could not send a pong.
        """
        connection = self._connection
        frame_at = self.last_activity if connection.session.within_frame else self._frame_at
        return max(connection.stream.progress_at, frame_at)

    @property
    def listening(self) -> bool:
        """Whether the connection reads what the peer sends."""
        return self._connection.stream.reading and not self._behind

    def read_now(self) -> bool:
        """Read what the kernel holds, once, before the peer is declared dead.

        Returns:
            True: the peer may be alive. Something was read; or reading is paused, so that nobody
            can know; or its pong may be in what is held back. False: it is silent, or does not
            take the output that it has to take first.
        """
        stream = self._connection.stream
        silent = stream.reading and not stream.read_now()
        if self._behind:
            silent = stream.queued > 0 and not self._paused
        return not silent

    # -- more input than one turn may deliver --------------------------------------------

    def hold_back(self) -> None:
        """Deliver the rest of this read in the next turn, and read nothing until then."""
        connection = self._connection
        connection.stream.pause_reading()
        connection.loop.call_soon(self._receive_rest, connection.session)

    def _receive_rest(self, session: WebSocketSession) -> None:
        try:
            if session.state is not State.CLOSED and not self._behind:
                self.data_received(b"")
        finally:  # KeyboardInterrupt and SystemExit pass through
            if session.state is not State.CLOSED:
                self._read_on()

    def _comes_later(self, end: Callable[..., None], *args: Any) -> bool:
        """Queue the end of the stream behind the input that has not been delivered yet.

        Args:
            end: the method that was told of the end; it is called again later.
            *args: its arguments.

        Returns:
            False: there is nothing to wait for; the end is not queued.
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

    # -- more output than the peer takes -------------------------------------------------

    @property
    def _behind(self) -> bool:
        """Whether the peer has to take output before more is read."""
        return self.pacing is not None and self.pacing.behind

    def queue_filled(self) -> None:
        """Called by the stream: the write queue has risen above its high mark."""
        if self._behind:
            self._connection.stream.pause_reading()

    def queue_drained(self) -> None:
        """Called by the stream: the write queue has fallen to its low mark."""
        self.catch_up_soon()
        connection = self._connection
        outbox = connection.sender.outbox
        if outbox is not None:
            outbox.run()
            if connection.stream.above_high:
                return  # the outbox has filled the queue; it will drain again
        if connection.session.state is State.OPEN:
            call_handler(connection.protocol, connection.protocol.on_writable)

    def write_failed(self) -> None:
        """Called by the stream: the peer takes no output any more. Stop waiting for that."""
        try:
            self._unpace()
        finally:  # KeyboardInterrupt and SystemExit pass through
            if self._connection.phase is ATTACHED:  # no handler has ended it
                self._read_on()

    def _unpace(self) -> None:
        """Deliver what pacing holds back: no output leaves any more, so it must not wait."""
        pacing, self.pacing = self.pacing, None
        self._deliver = deliver
        if pacing is not None:
            if self._connection.session.unfinished:
                self.hold_back()
            deliver(self._connection, pacing.held)

    def catch_up_soon(self) -> None:
        """Deliver in the next turn what pacing holds back, if there is room by then."""
        if self.pacing is not None:
            self._connection.loop.call_soon(self._catch_up, self.pacing)

    def _catch_up(self, pacing: Pacing) -> None:
        """Deliver what pacing holds back, as far as there is room; then read."""
        if self.pacing is not pacing:
            return  # the connection has ended, or takes no output any more
        session = self._connection.session
        try:
            pacing.go_on()
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
        if connection.state is State.OPEN:  # in CLOSING, the peer's close frame must be read
            self._paused = True
            connection.stream.pause_reading()

    def resume_reading(self) -> None:
        """See WebSocketProtocol."""
        self._connection.loop._check_thread()
        if self._connection.phase is ATTACHED:
            self._paused = False
            self._read_on()

    def await_close(self) -> None:
        """Read even if the user has paused it: a close frame was sent, and its answer follows."""
        self._paused = False
        self.catch_up_soon()
        self._read_on()

    def end(self) -> None:
        """Drop what is held back: the connection has ended."""
        self.pacing = None
        self._deliver = deliver

    def _read_on(self) -> None:
        """Read, unless there is one of the reasons not to (see the module)."""
        connection = self._connection
        if not (self._paused or connection.session.unfinished or self._behind):
            connection.stream.start_reading()
