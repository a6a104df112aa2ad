"""WebSocketProtocol: the class that users subclass.

What it is: the handlers, with defaults that do nothing, and the methods (``send``, ``close``,
...), which are passed on to the connection that owns the object.

What it must not know: how a connection carries out a request.

The handlers of one connection are called in this order, all on the loop's thread:

    on_open [on_message | on_data | on_ping | on_pong]* [on_retry]? [on_error]? on_close

``on_close`` is called exactly once for every ``on_open``, and once for every failed attempt, which
has no ``on_open``. After a reconnect the same object gets the same sequence again, with
``on_reconnect`` instead of ``on_open``.

An exception that a handler raises is logged with its traceback and passed to ``on_error``. It ends
neither the connection nor the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..base.mistakes import known_elsewhere, warn_if_misspelt
from ..exceptions import CloseCode, WebSocketStateException
from .session import State
from .stats import ConnectionStats
from .taken import refuse_assignments

if TYPE_CHECKING:
    from ..loop.answers import Answer
    from ..reactor import Reactor
    from .deflate import Agreement
    from .ending import Ending
    from .http.http11 import Request, Response
    from .interfaces import ConnectionInterface

__all__ = ["WebSocketProtocol"]


T = TypeVar("T")


class _NotConnectedException(WebSocketStateException, AttributeError):
    """An attribute needs a connection. It is an AttributeError for ``hasattr`` and ``inspect``."""


class _NoConnection:
    """Stands in for the connection while there is none."""

    state = State.CLOSED
    stats = ConnectionStats()

    @property
    def sender(self) -> _NoConnection:
        return self

    reader = sender

    def __getattr__(self, name: str) -> Any:
        raise _NotConnectedException(
            f"no {name} without a connection: give the protocol object to Reactor.connect()"
        )


def _warn_of_misspelt(subclass: type) -> None:
    """Warn of methods that are never called, but look as if they were meant to be handlers."""
    handlers = [name for name in vars(WebSocketProtocol) if name.startswith("on_")]
    bases = subclass.__mro__[1:]
    for name, value in vars(subclass).items():
        if name.startswith("_") or not callable(value):
            continue
        if any(name in vars(base) for base in bases):
            continue  # a base calls it, or was warned of
        if name.startswith("on_") or known_elsewhere(name, handlers) is not None:
            warn_if_misspelt(subclass, name, handlers, "a WebSocketProtocol")


class WebSocketProtocol:
    """One WebSocket, from its user's point of view. Subclass it and override handlers."""

    # Private names begin with _reactor_, so that all others are the user's: self._connection, ...

    #: Set by the connection that owns this object.
    _reactor_connection: ConnectionInterface = cast("ConnectionInterface", _NoConnection())

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        _warn_of_misspelt(cls)

    #: The file that frames are traced to; set by reactor.trace().
    _reactor_trace: Any = None

    #: Who listens to this connection: set by reactor.monitor.record().
    _reactor_wiretaps: tuple[Any, ...] = ()

    #: An ErrorLog; set by the dispatcher when a handler first raises.
    _reactor_error_log: Any = None

    @property
    def _reactor_subject(self) -> WebSocketProtocol:
        """What explain(), record() and trace() look at: see connection/subject.py."""
        return self

    # -- handlers ------------------------------------------------------------------------

    def on_open(self) -> None:
        """The connection is open: messages can be sent."""

    def on_reconnect(self) -> None:
        """The connection is open again, after it was lost. Default: :meth:`on_open`."""
        self.on_open()

    def on_message(self, message: str | bytes) -> None:
        """A message was received: str for text, bytes for binary.

        Default: call :meth:`on_text` or :meth:`on_binary`. Override either this method or those.
        """
        if isinstance(message, str):
            self.on_text(message)
        else:
            self.on_binary(message)

    def on_text(self, text: str) -> None:
        """A text message was received, if :meth:`on_message` is not overridden."""

    def on_binary(self, data: bytes) -> None:
        """A binary message was received, if :meth:`on_message` is not overridden."""

    def on_data(self, data: str | bytes, opcode: int, fin: bool) -> None:
        """Data that is not a message was received; only with the options that ask for it.

        With ``fragments=True``: a fragment of a message that consists of several frames, str in a
        text message and bytes in a binary one; with ``fragment_size``, also a part of a frame
        that is longer than this. With ``decode_text=False``: a whole text message, as bytes.

        Args:
            data: the data.
            opcode: the opcode of the frame: 1 text, 2 binary, 0 a further fragment.
            fin: whether the message ends here.
        """

    def on_ping(self, payload: bytes) -> None:
        """A ping was received. The pong has already been queued."""

    def on_pong(self, payload: bytes) -> None:
        """A pong was received."""

    def on_writable(self) -> None:
        """The write queue had risen above its high mark, and has fallen to its low mark."""

    def on_error(self, error: Exception) -> None:
        """Something went wrong: the connection failed, or a handler raised.

        Args:
            error: a member of the tree of :class:`reactor.WebSocketException`, or the exception
                that a handler raised.
        """

    def on_retry(self, attempt: int, delay: float, error: Exception | None) -> float | bool | None:
        """The connection, or an attempt, has ended, and another attempt is planned.

        Called before every wait, ahead of ``on_error`` and ``on_close``; not when
        :meth:`reconnect` changes a wait that has begun.

        Args:
            attempt: the number of the attempt that is planned, 1 for the first one after a stable
                connection (see ``Backoff.reset_after``).
            delay: seconds until that attempt.
            error: the exception that ended the connection or the last attempt, or None.

        Returns:
            None: go on as planned (default). A number: wait so many seconds instead, 0 or more.
            False: give up; ``on_close`` follows, and ``ending.final`` is True.
        """
        return None

    def on_close(self, code: int, reason: str) -> None:
        """The connection, or an attempt, has ended. :attr:`ending` has the details.

        Args:
            code: the peer's close code; 1005 if its close frame had none, 1006 if there was no
                close frame (RFC 6455 section 7.1.5); our own, if the peer violated the protocol.
            reason: the reason that was sent with the code.
        """

    # -- methods -----------------------------------------------------------------------------

    # Twin: protocol_send() in compiled/path.pyx.
    def send(
        self, message: str | bytes | bytearray | memoryview, compress: bool | None = None
    ) -> int:
        """Send a message: text for str, binary for bytes, bytearray and memoryview.

        What cannot be sent at once is queued. This method may be called from any thread.

        Args:
            message: the message.
            compress: whether to compress it; None: if it is long enough (see Deflate). It has no
                effect if compression was not negotiated.

        Returns:
            The number of bytes on the wire (without compression, if the message has to wait).

        Raises:
            TypeError: the message has another type.
            WebSocketStateException: the connection is not open yet.
            WebSocketConnectionClosedException: the connection is closing or closed.
            WebSocketQueueFullException: the write queue has reached its limit, unless the option
                ``on_overflow`` says otherwise.
        """
        return self._reactor_connection.sender.send(message, compress)

    def send_fragments(
        self, fragments: Iterable[str] | Iterable[bytes], compress: bool | None = None
    ) -> None:
        """Send a message piece by piece, so that it need never be in memory as a whole. Any thread.

        The next fragment is taken when the write queue has room, on the loop's thread. Messages
        that are sent meanwhile follow after the last fragment; pings do not wait. If the iterable
        raises, ``on_error`` gets the exception and the connection is closed with 1011: the message
        cannot be completed. ``close`` does not wait for the rest.

        Args:
            fragments: yields str for a text message, or bytes for a binary one; if it yields
                nothing, an empty text message is sent.
            compress: whether to compress the message, if that was negotiated; None: yes.

        Raises:
            TypeError: *fragments* cannot be iterated.
            WebSocketException: as for :meth:`send`.
        """
        self._reactor_connection.sender.send_fragments(fragments, compress)

    def send_fragment(
        self,
        data: str | bytes | bytearray | memoryview,
        fin: bool = False,
        compress: bool | None = None,
    ) -> None:
        """Send the next fragment of a message; the first one begins it. Any thread.

        Messages that are sent before the last fragment follow after it; pings do not wait.

        Args:
            data: str in a text message, bytes in a binary one.
            fin: whether the message ends here; an empty last fragment is fine.
            compress: with the first fragment: whether to compress the message; None: if that was
                negotiated.

        Raises:
            TypeError: the fragment has the wrong type.
            WebSocketStateException: fragments of :meth:`send_fragments` are on their way.
            WebSocketException: as for :meth:`send`.
        """
        self._reactor_connection.sender.send_fragment(data, fin, compress)

    def send_frame(self, opcode: int, payload: bytes, fin: bool = True) -> int:
        """Send one frame with any opcode; for fragments and experiments. Any thread.

        Args:
            opcode: 0 to 15 (RFC 6455 section 5.2).
            payload: the application data.
            fin: whether this is the last fragment of its message.

        Returns:
            The number of bytes on the wire.

        Raises:
            TypeError: The payload is not bytes-like.
            WebSocketException: As for :meth:`send`.
        """
        return self._reactor_connection.sender.send_frame(opcode, payload, fin)

    def ping(self, payload: bytes = b"") -> int:
        """Send a ping of at most 125 bytes (RFC 6455 section 5.5.2). Any thread."""
        return self._reactor_connection.sender.ping(payload)

    def pong(self, payload: bytes = b"") -> int:
        """Send an unsolicited pong (RFC 6455 section 5.5.3). Any thread."""
        return self._reactor_connection.sender.pong(payload)

    def close(
        self, code: int = CloseCode.NORMAL, reason: str = "", timeout: float | None = None
    ) -> None:
        """Close the connection, or give up connecting and reconnecting, for good. Any thread.

        No attempt follows, whatever the option ``reconnect`` says; see :meth:`reconnect` for that.

        It returns at once. ``on_close`` follows when the peer has answered, or after the close
        timeout. Messages received after the call are dropped. If the connection is already closed,
        nothing happens.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 section 7.4).
            reason: at most 123 bytes of UTF-8.
            timeout: seconds that the peer has to answer; default: the option close_timeout.

        Raises:
            ValueError: The code is not one of these, or the reason is too long.
        """
        self._reactor_connection.close(code, reason, timeout)

    def abort(self) -> None:
        """End the connection without a closing handshake, for good. Any thread.

        ``on_close`` follows; no attempt does. See :meth:`reconnect` to open it again.
        """
        self._reactor_connection.abort()

    def reconnect(self, delay: float | None = None, reason: str = "") -> None:
        """Drop this connection, or attempt, and open it again. Client only; any thread.

        It returns at once. ``on_retry``, ``on_close`` (code 1006, and the reason) and, when it is
        open again, ``on_reconnect`` follow. The server is sent a close frame (1001), but its answer
        is not awaited. If the connection is waiting for its next attempt, the wait is changed. A
        connection that has ended without a reconnect policy can be opened again by a call in its
        ``on_close``.

        Args:
            delay: seconds to wait before the attempt; None (default): as the reconnect policy
                says, or at once if there is none. During a wait, None changes nothing.
            reason: for the close frame and for ``on_close``; at most 123 bytes of UTF-8.

        Raises:
            WebSocketConnectionClosedException: the connection was ended for good, by :meth:`close`
                or :meth:`abort`.
            WebSocketStateException: it is a server's connection, or one on a given ``sock``: it
                cannot be opened again.
            ValueError: the delay is negative or infinite, or the reason is too long.
        """
        self._reactor_connection.reconnect(self, delay, reason)

    def run_in_thread(
        self,
        function: Callable[..., T],
        *args: Any,
        then: Callable[[T | None, Exception | None], object] | None = None,
    ) -> Answer[T]:
        """Call ``function(*args)``, which may block, on a helper thread. Any thread.

        It returns at once. At most 32 such calls of the process run at a time; further ones wait.

        Args:
            function: the function.
            *args: its arguments.
            then: called on the loop's thread with two arguments: the result and None, or None and
                the exception that the function raised; also if the connection has ended in the
                meantime. If it raises, ``on_error`` gets the exception. None: ``on_error`` gets an
                exception of the function, unless the answer is awaited.

        Returns:
            The answer, for a coroutine on the loop: see ``Reactor.run_in_thread``.

        Raises:
            TypeError: *function* cannot be called, or is an ``async def``.
            RuntimeError: the reactor is closed.
        """
        answer: Answer[T] = self._reactor_connection.run_in_thread(self, function, args, then)
        return answer

    def pause_reading(self) -> None:
        """Stop reading from the socket, so that TCP holds the peer back.

        Messages that have already been read are still delivered. The loop's thread only.
        """
        self._reactor_connection.reader.pause_reading()

    def resume_reading(self) -> None:
        """Undo :meth:`pause_reading`. The loop's thread only."""
        self._reactor_connection.reader.resume_reading()

    # -- state ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The URL of the latest attempt; for a server, the request's target."""
        return self._reactor_connection.url

    @property
    def state(self) -> State:
        """CONNECTING, OPEN, CLOSING or CLOSED."""
        return self._reactor_connection.state

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose, or None."""
        return self._reactor_connection.subprotocol

    @property
    def compression(self) -> Agreement | None:
        """The negotiated compression, or None."""
        return self._reactor_connection.compression

    @property
    def request(self) -> Request | None:
        """Server side: the upgrade request. It is parsed on each access, so keep the result."""
        return self._reactor_connection.request

    @property
    def response(self) -> Response | None:
        """Client side: the server's answer to the upgrade request. It is parsed on each access."""
        return self._reactor_connection.response

    @property
    def buffered_amount(self) -> int:
        """The number of bytes that were passed to ``send`` and have not left the process."""
        return self._reactor_connection.sender.buffered_amount

    @property
    def stats(self) -> ConnectionStats:
        """What was counted of the connection so far: messages, bytes, round trips, errors, ...

        A snapshot; any thread, at any time, also before the connection is opened and after its end.
        See :class:`reactor.ConnectionStats` for what each number is of, and its unit.
        """
        return self._reactor_connection.stats

    @property
    def latency(self) -> float | None:
        """Seconds between the last ping of the keep-alive and its pong, or None."""
        return self._reactor_connection.latency

    @property
    def loop(self) -> Reactor:
        """The Reactor on which the connection lives."""
        return cast("Reactor", self._reactor_connection.loop.owner)

    @property
    def ending(self) -> Ending | None:
        """How the connection or the latest attempt ended, and what follows; for ``on_close``.

        None while it is open, and before the first attempt has ended. See :class:`reactor.Ending`.
        """
        return self._reactor_connection.ending

    @property
    def last_activity(self) -> float:
        """When bytes were last received, including pongs, in seconds of ``loop.time()``."""
        return self._reactor_connection.last_activity

    @property
    def sock(self) -> Any:
        """The socket, or None; for ``getsockname()``, ``getpeercert()`` and the like."""
        return self._reactor_connection.sock


# Many programs keep their Reactor in ``self.loop``, or numbers in ``self.stats``, themselves.
refuse_assignments(WebSocketProtocol, but=("loop", "stats"))
