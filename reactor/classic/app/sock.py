"""AppSocket: what ``app.sock`` is while a WebSocketApp is connected.

What it is: the part of websocket-client's WebSocket that makes sense on a reactor.

What it must not know: the app.

How it works. It represents the connection, not the app: if the connection is ended here, the next
attempt follows if there is a reconnect policy, as after an end by the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ...connection.alive import overdue
from ...connection.closing import begin_close, fail
from ...connection.phase import ATTACHED
from ...exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketConnectionLostException,
    WebSocketException,
    WebSocketForkException,
    WebSocketStateException,
)
from ...protocols.frames import OP_BINARY, OP_TEXT
from ...protocols.session import State, check_close
from ..blocking.connect import handshake_response, headers_of
from ..defaults import sock_opt
from ..errors import CLOSED
from ..frame import ABNF, to_bytes

if TYPE_CHECKING:
    from ...client.options import ClientOptions
    from ...connection.connection import Connection
    from ...protocols.websocket import WebSocketProtocol

__all__ = ["AppSocket"]

#: Not open yet, or no longer; or its thread has just closed the loop.
REFUSALS = (WebSocketConnectionClosedException, WebSocketStateException, RuntimeError)


class AppSocket:
    """The class of ``app.sock``: the part of WebSocket that makes sense on a reactor.

    Args:
        connection: the connection that it represents.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sock_opt: sock_opt | None = None

    @property
    def _reactor_subject(self) -> WebSocketProtocol:
        """See connection/subject.py."""
        return self._connection.protocol

    @property
    def sock(self) -> Any:
        """The socket, or None."""
        return self._connection.sock

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._connection.state is State.OPEN

    @property
    def handshake_response(self) -> handshake_response | None:
        """The server's answer, with status, headers, subprotocol; or None."""
        connection = self._connection
        response = connection.response
        if response is None:
            return None
        return handshake_response(response.status, headers_of(response), connection.subprotocol)

    @property
    def close_frame(self) -> ABNF | None:
        """The server's close frame, once it has been received; or None."""
        connection = self._connection
        if connection.response is None:
            return None
        close = connection.session.received_close
        if close is None:
            return None
        return ABNF(1, 0, 0, 0, ABNF.OPCODE_CLOSE, 0, check_close(close.code, close.reason))

    @property
    def sock_opt(self) -> sock_opt:
        """Socket options and time-out, for reading only: changes have no effect."""
        if self._sock_opt is None:
            options = cast("ClientOptions", self._connection.options)
            self._sock_opt = sock_opt(list(options.sockopt), dict(options.sslopt or {}))
        return self._sock_opt

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose, or None."""
        return self._connection.subprotocol

    @property
    def status(self) -> int | None:
        """The HTTP status of the handshake, or None."""
        response = self._connection.response
        return None if response is None else response.status

    @property
    def headers(self) -> dict[str, str] | None:
        """The headers of the server's answer, in lower case, or None."""
        response = self._connection.response
        return None if response is None else headers_of(response)

    def getsubprotocol(self) -> str | None:
        """See :attr:`subprotocol`."""
        return self.subprotocol

    def getstatus(self) -> int | None:
        """See :attr:`status`."""
        return self.status

    def getheaders(self) -> dict[str, str] | None:
        """See :attr:`headers`."""
        return self.headers

    def send(self, payload: Any, opcode: int = OP_TEXT) -> int:
        """Send a message. Any thread.

        Args:
            payload: str (sent as UTF-8) or bytes.
            opcode: one of ABNF.OPCODES.

        Returns:
            The number of bytes on the wire.

        Raises:
            WebSocketConnectionClosedException: the connection is not open.
            ValueError: the opcode is another one.
            TypeError: the data has another type.
        """
        if opcode not in (OP_TEXT, OP_BINARY):
            return self.send_frame(ABNF.create_frame(payload, opcode))
        try:
            return self._connection.sender.send_payload(opcode, to_bytes(payload))
        except REFUSALS as exc:
            raise _refusal(exc) from None

    def send_frame(self, frame: ABNF) -> int:
        """Send one frame, a fragment for example; otherwise like :meth:`send`."""
        if frame.opcode not in ABNF.OPCODES:
            raise ValueError("Invalid OPCODE")
        payload = to_bytes(frame.data)
        if frame.opcode == ABNF.OPCODE_CLOSE:
            code = int.from_bytes(payload[:2], "big") if payload else CloseCode.NO_STATUS
            self.close(code, payload[2:])
            return len(payload)
        try:
            return self._connection.sender.send_frame(frame.opcode, payload, bool(frame.fin))
        except REFUSALS as exc:
            raise _refusal(exc) from None

    def send_text(self, text_data: str) -> int:
        """Send a text message."""
        return self.send(text_data, ABNF.OPCODE_TEXT)

    def send_bytes(self, data: bytes | bytearray) -> int:
        """Send a binary message."""
        return self.send(data, ABNF.OPCODE_BINARY)

    send_binary = send_bytes

    def ping(self, payload: str | bytes = "") -> None:
        """Send a ping."""
        self.send(payload, ABNF.OPCODE_PING)

    def pong(self, payload: str | bytes = "") -> None:
        """Send a pong."""
        self.send(payload, ABNF.OPCODE_PONG)

    def close(
        self, status: int = CloseCode.NORMAL, reason: str | bytes = b"", timeout: float = 3
    ) -> None:
        """Close the connection; a run with reconnect goes on. Any thread; returns at once.

        The arguments are those of WebSocketApp.close(), which also ends the run.
        """
        text = reason if isinstance(reason, str) else bytes(reason).decode()
        check_close(status, text)
        self._connection.on_loop(self._drop, status, text, timeout)

    def send_close(self, status: int = CloseCode.NORMAL, reason: str | bytes = b"") -> None:
        """Begin the closing handshake; the same as :meth:`close`."""
        self.close(status, reason)

    def abort(self) -> None:
        """End the connection without a closing handshake: it counts as lost. Any thread."""
        self._connection.on_loop(self._lose)

    def shutdown(self) -> None:
        """The same as :meth:`abort`; with a ping_timeout, on_error reports an overdue pong."""
        self._connection.on_loop(self._vanish)

    # These act on the socket alone: the connection ends as if the server had ended it, and another
    # attempt follows if there is a reconnect policy.

    def _drop(self, code: int, reason: str, timeout: float | None) -> None:
        connection = self._connection
        connection.sender.closing_soon = False  # there may be a next connection to send on
        if connection.phase is ATTACHED:
            begin_close(connection, code, reason, timeout)

    def _lose(self) -> None:
        connection = self._connection
        connection.sender.closing_soon = False
        if connection.phase is ATTACHED:
            connection.stream.abort()  # connection_lost() follows

    def _vanish(self) -> None:
        connection = self._connection
        if connection.options.ping_interval and connection.options.ping_timeout:
            connection.loop.call_soon(self._overdue)  # before connection_lost() is called
        self._lose()

    def _overdue(self) -> None:
        if self._connection.phase is ATTACHED:
            fail(self._connection, overdue())

    def settimeout(self, timeout: float | None) -> None:
        """Kept for :meth:`gettimeout`, without effect: nothing here waits."""
        self.sock_opt.timeout = timeout

    def gettimeout(self) -> float | None:
        """Return what :meth:`settimeout` was given, or None."""
        return None if self._sock_opt is None else self._sock_opt.timeout

    timeout = property(gettimeout, settimeout)

    def is_ssl(self) -> bool:
        """Whether the connection is over TLS."""
        return hasattr(self.sock, "getpeercert")

    def fileno(self) -> int:
        """The socket's descriptor.

        Raises:
            WebSocketException: there is none.
        """
        if self.sock is None:
            raise WebSocketException("Connection not established")
        return int(self.sock.fileno())


def _refusal(exc: Exception) -> Exception:
    """Return what websocket-client raises: it does not know why there is no connection."""
    if isinstance(exc, (WebSocketForkException, WebSocketConnectionLostException)):
        return exc
    return WebSocketConnectionClosedException(CLOSED)
