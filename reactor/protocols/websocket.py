"""WebSocketProtocol: the class that users subclass.

What it is: the handlers, with defaults that do nothing, and the methods (``send``, ``close``,
...), which go to the connection that owns the object.

What it must not know: how a connection does what it is asked for.

The handlers of one connection are called in this order, all on the loop's thread:

    on_open [on_message | on_data | on_ping | on_pong]* [on_retry]? [on_error]? on_close

``on_close`` comes exactly once for every ``on_open``, and once for every attempt that never
got that far (then without ``on_open``). After a reconnect the same object sees the same
sequence again, with ``on_reconnect`` in the place of ``on_open``.

An exception that a handler raises is logged with its traceback and given to ``on_error``; it
ends neither the connection nor the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..exceptions import CloseCode, WebSocketStateException
from .session import State
from .taken import refuse_assignments

if TYPE_CHECKING:
    from ..reactor import Reactor
    from .deflate import Agreement
    from .ending import Ending
    from .http.http11 import Request, Response
    from .interfaces import ConnectionInterface

__all__ = ["WebSocketProtocol"]


T = TypeVar("T")


class _NotConnectedException(WebSocketStateException, AttributeError):
    """An attribute is not there without a connection; so ``hasattr`` and ``inspect`` know it."""


class _NoConnection:
    """Stands in for the connection until there is one."""

    state = State.CLOSED

    @property
    def sender(self) -> _NoConnection:
        return self

    reader = sender

    def __getattr__(self, name: str) -> Any:
        raise _NotConnectedException(
            f"no {name} without a connection: give the protocol object to Reactor.connect()"
        )


class WebSocketProtocol:
    """One WebSocket, as its user sees it. Subclass it and override the handlers you need."""

    #: Set by the connection that owns this object.
    _connection: ConnectionInterface = cast("ConnectionInterface", _NoConnection())

    #: Where its frames are shown: set by reactor.trace().
    _trace: Any = None

    #: Set by the dispatcher when a handler raises.
    _error_log: Any = None

    # -- handlers ------------------------------------------------------------------------

    def on_open(self) -> None:
        """The connection is open: messages may be sent."""

    def on_reconnect(self) -> None:
        """The connection is open again, after a drop. Default: :meth:`on_open`."""
        self.on_open()

    def on_message(self, message: str | bytes) -> None:
        """A message came: str for text, bytes for binary.

        Default: :meth:`on_text` or :meth:`on_binary`. Override either this one or those.
        """
        if isinstance(message, str):
            self.on_text(message)
        else:
            self.on_binary(message)

    def on_text(self, text: str) -> None:
        """A text message came, where :meth:`on_message` is not overridden."""

    def on_binary(self, data: bytes) -> None:
        """A binary message came, where :meth:`on_message` is not overridden."""

    def on_data(self, data: str | bytes, opcode: int, fin: bool) -> None:
        """Data came that is not a message; only with the options that ask for it.

        With ``fragments=True``: a fragment of a message that came in several frames, str in a
        text message and bytes in a binary one; with ``fragment_size``, also a part of a frame
        that is longer than this. With ``decode_text=False``: a whole text
        message, as bytes.

        Parameters:
            data: what came.
            opcode: that of the frame: 1 text, 2 binary, 0 a further fragment.
            fin: whether the message ends here.
        """

    def on_ping(self, payload: bytes) -> None:
        """A ping came. The pong is on its way already."""

    def on_pong(self, payload: bytes) -> None:
        """A pong came."""

    def on_writable(self) -> None:
        """The write queue, which had passed its high mark, is below its low mark again."""

    def on_error(self, error: Exception) -> None:
        """Something went wrong: the connection failed, or a handler raised.

        A member of the tree of :class:`reactor.WebSocketException`, or what a handler raised.
        """

    def on_retry(self, attempt: int, delay: float, error: Exception | None) -> float | bool | None:
        """The connection, or an attempt, has ended, and another attempt is planned.

        Called before every wait, ahead of ``on_error`` and ``on_close``; not when
        :meth:`reconnect` changes a wait that has begun.

        Args:
            attempt: the number of the attempt that is planned, 1 for the first one after a stable
                connection (see ``Backoff.reset_after``).
            delay: seconds until then.
            error: what ended the connection or the last attempt, or None.

        Returns:
            None: as planned (default). A number: so many seconds instead, 0 or more. False: give
            up; ``on_close`` follows, and :attr:`ending` says that it was final.
        """
        return None

    def on_close(self, code: int, reason: str) -> None:
        """The connection, or an attempt, is over. :attr:`ending` says more about it.

        Parameters:
            code: the peer's close code; 1005 if its close frame had none, 1006 if there was
                no close frame (RFC 6455 section 7.1.5); our own, if the peer broke the rules.
            reason: the reason that came with it.
        """

    # -- what may be asked of the connection -------------------------------------------------

    # Twin: protocol_send() in compiled/path.pyx.
    def send(
        self, message: str | bytes | bytearray | memoryview, compress: bool | None = None
    ) -> int:
        """Send a message: text for str, binary for bytes, bytearray and memoryview.

        What does not go out at once is queued. May be called from any thread.

        Parameters:
            message: the message.
            compress: whether to compress it; None: if it is long enough (see Deflate). Without
                effect where compression was not agreed.

        Returns the number of bytes on the wire (as they would be without compression, where the
        message has to wait). Raises TypeError for another type of message,
        WebSocketStateException before the connection is open,
        WebSocketConnectionClosedException once it is closing or closed, and
        WebSocketQueueFullException when the write queue has reached its limit, unless the
        option ``on_overflow`` says something else.
        """
        return self._connection.sender.send(message, compress)

    def send_fragments(
        self, fragments: Iterable[str] | Iterable[bytes], compress: bool | None = None
    ) -> None:
        """Send a message piece by piece; it need never be whole in memory. Any thread.

        The next fragment is asked for when the write queue has room, on the loop's thread.
        Messages that are sent meanwhile follow behind; pings do not wait. When the iterable
        raises, ``on_error`` hears of it and the connection is closed with 1011: the message
        cannot be ended. ``close`` does not wait for the rest.

        Parameters:
            fragments: yields str for a text message, or bytes for a binary one; if it yields
                nothing, an empty text message is sent.
            compress: whether to compress the message, where that was agreed; None: yes.

        Raises as :meth:`send` does, and TypeError for what cannot be iterated.
        """
        self._connection.sender.send_fragments(fragments, compress)

    def send_fragment(
        self,
        data: str | bytes | bytearray | memoryview,
        fin: bool = False,
        compress: bool | None = None,
    ) -> None:
        """Send the next fragment of a message; the first one begins it. Any thread.

        Messages that are sent before the last fragment follow behind it; pings do not wait.

        Parameters:
            data: str in a text message, bytes in a binary one.
            fin: whether the message ends here; an empty last fragment is fine.
            compress: with the first fragment: whether to compress the message; None: where
                that was agreed.

        Raises as :meth:`send` does; TypeError for a fragment of the wrong type; and
        WebSocketStateException while fragments of :meth:`send_fragments` are on their way.
        """
        self._connection.sender.send_fragment(data, fin, compress)

    def send_frame(self, opcode: int, payload: bytes, fin: bool = True) -> int:
        """Send one frame with an opcode of your choice; for fragments and experiments.

        Parameters:
            opcode: 0 to 15 (RFC 6455 section 5.2).
            payload: the application data.
            fin: whether this is the last fragment of its message.
        """
        return self._connection.sender.send_frame(opcode, payload, fin)

    def ping(self, payload: bytes = b"") -> int:
        """Send a ping of at most 125 bytes (RFC 6455 section 5.5.2). Any thread."""
        return self._connection.sender.ping(payload)

    def pong(self, payload: bytes = b"") -> int:
        """Send an unsolicited pong (RFC 6455 section 5.5.3). Any thread."""
        return self._connection.sender.pong(payload)

    def close(
        self, code: int = CloseCode.NORMAL, reason: str = "", timeout: float | None = None
    ) -> None:
        """Close the connection, or give up connecting and reconnecting, for good. Any thread.

        No attempt follows, whatever the option ``reconnect`` says; see :meth:`reconnect` for that.

        Returns at once; ``on_close`` follows when the peer has answered, or after the close
        timeout. Messages that come after the call are dropped. Does nothing when the
        connection is closed already.

        Parameters:
            code: 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 section 7.4).
            reason: at most 123 bytes of UTF-8.
            timeout: seconds that the peer has to answer; default: the option close_timeout.

        Raises ValueError for another code or a longer reason.
        """
        self._connection.close(code, reason, timeout)

    def abort(self) -> None:
        """End the connection without a closing handshake, for good. Any thread.

        ``on_close`` follows; no attempt does. See :meth:`reconnect` to open it anew.
        """
        self._connection.abort()

    def reconnect(self, delay: float | None = None, reason: str = "") -> None:
        """Drop this connection, or attempt, and open it anew. Client only; any thread.

        Returns at once. ``on_retry``, ``on_close`` (code 1006, and the reason) and, when it is open
        again, ``on_reconnect`` follow. The server is sent a close frame (1001), whose answer is not
        waited for. While the connection waits for its next attempt, the wait is changed. In the
        ``on_close`` of a connection that has ended without a reconnect policy, it is opened anew.

        Args:
            delay: seconds to wait before; None (default): as the reconnect policy says, and at
                once where there is none. While it waits, None changes nothing.
            reason: for the close frame and for ``on_close``; at most 123 bytes of UTF-8.

        Raises:
            WebSocketConnectionClosedException: It was ended for good, by :meth:`close` or
                :meth:`abort`.
            WebSocketStateException: It is a server's connection, or one on a given ``sock``: there
                is no way to open it anew.
            ValueError: The delay is negative or infinite, or the reason too long.
        """
        self._connection.reconnect(delay, reason)

    def run_in_thread(
        self,
        function: Callable[..., T],
        *args: Any,
        then: Callable[[T | None, Exception | None], object] | None = None,
    ) -> None:
        """Call ``function(*args)``, which may block, on a helper thread. Returns at once.

        At most 32 such calls of the process run at a time; further ones wait. Any thread may ask.

        Args:
            function: what to call; further arguments are passed to it.
            then: called on the loop's thread with two arguments: the result and None, or None and
                the exception that the function has raised; also when the connection has ended
                meanwhile. What it raises goes to ``on_error``. None: the result is dropped, and an
                exception goes to ``on_error``.

        Raises:
            TypeError: The function is none, or an ``async def``.
            RuntimeError: The reactor is closed.
        """
        self._connection.run_in_thread(function, args, then)

    def pause_reading(self) -> None:
        """Read no more from the socket, so that the peer is held back by TCP.

        Messages that were read already are still delivered. The loop's thread only.
        """
        self._connection.reader.pause_reading()

    def resume_reading(self) -> None:
        """Undo :meth:`pause_reading`. The loop's thread only."""
        self._connection.reader.resume_reading()

    # -- what there is to know -----------------------------------------------------------

    @property
    def url(self) -> str:
        """The URL of the latest attempt; for a server, the request's target."""
        return self._connection.url

    @property
    def state(self) -> State:
        """CONNECTING, OPEN, CLOSING or CLOSED."""
        return self._connection.state

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose, or None."""
        return self._connection.subprotocol

    @property
    def compression(self) -> Agreement | None:
        """What was agreed on compression; None: there is none."""
        return self._connection.compression

    @property
    def request(self) -> Request | None:
        """Server side: the upgrade request. Parsed anew each time: keep it if you need it often."""
        return self._connection.request

    @property
    def response(self) -> Response | None:
        """Client side: the server's answer to the upgrade request. Parsed anew each time."""
        return self._connection.response

    @property
    def buffered_amount(self) -> int:
        """Bytes that were sent and have not left the process."""
        return self._connection.sender.buffered_amount

    @property
    def latency(self) -> float | None:
        """Seconds between the last ping of the keep-alive and its pong, or None."""
        return self._connection.latency

    @property
    def loop(self) -> Reactor:
        """The Reactor that the connection lives on."""
        return cast("Reactor", self._connection.loop.owner)

    @property
    def ending(self) -> Ending | None:
        """How the connection, or the latest attempt, ended, and what comes next; for ``on_close``.

        None while it is open, and before the first attempt has ended. See :class:`reactor.Ending`.
        """
        return self._connection.ending

    @property
    def last_activity(self) -> float:
        """When bytes last came, pongs included: seconds of the loop's clock (``loop.time()``)."""
        return self._connection.last_activity

    @property
    def sock(self) -> Any:
        """The socket, or None; for ``getsockname()``, ``getpeercert()`` and the like."""
        return self._connection.sock


# Many a program keeps its Reactor in ``self.loop`` by itself.
refuse_assignments(WebSocketProtocol, but="loop")
