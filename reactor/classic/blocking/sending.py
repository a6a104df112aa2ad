"""Sending on a blocking WebSocket.

What it is: the part of the blocking face that turns messages into frames and writes them.

What it must not know: options, what is received, how the connection was opened.

How it works. Everything that is sent, including close frames and pongs, passes through ``send`` and
``send_frame``, as in websocket-client: programs override these two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...exceptions import WebSocketConnectionClosedException
from ...protocols.deflate import Compression
from ...protocols.events import OPEN
from ...protocols.frames import OP_CLOSE, OP_CONT
from ...protocols.session import State
from ..defaults import sock_opt
from ..errors import CLOSED
from ..frame import ABNF, STATUS_NORMAL, to_bytes
from ..tracing import isEnabledForTrace, trace
from .sock import ClientSocket, close_content

__all__ = ["SendingSocket"]


class SendingSocket(ClientSocket):
    """The part of WebSocket that sends. See there for the public attributes.

    Args:
        settings: socket options and time-out.
        dispatcher: an object whose ``send(sock, data)`` does the writing; or None.
        get_mask_key: see :meth:`set_mask_key`.
        threads: whether several threads use the connection.
    """

    def __init__(
        self,
        settings: sock_opt,
        dispatcher: Any,
        get_mask_key: Callable[[int], str | bytes] | None,
        *,
        threads: bool,
    ) -> None:
        self.get_mask_key = get_mask_key
        self._compression: Compression | None = None
        super().__init__(settings, dispatcher, threads=threads)

    def set_mask_key(self, func: Callable[[int], str | bytes] | None) -> None:
        """Set the function that returns masking keys.

        Args:
            func: is passed the number 4, and returns that many bytes (or characters up to
                U+00FF). None: unpredictable keys, as RFC 6455 section 5.3 demands.
        """
        self.get_mask_key = func

    def send(self, payload: Any, opcode: int = ABNF.OPCODE_TEXT) -> int:
        """Send a message in one frame.

        Args:
            payload: a str is sent as UTF-8, whatever the opcode; or bytes.
            opcode: ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY, ...

        Returns:
            The number of bytes on the wire, header and mask included.

        Raises:
            WebSocketException: as for :meth:`send_frame`.
        """
        frame = ABNF.create_frame(payload, opcode)
        if self._compression is not None and OP_CONT < opcode < OP_CLOSE:
            with self.lock:  # messages are sent in the order in which they were compressed
                self._compress(frame, self._compression)
                try:
                    return self.send_frame(frame)
                except BaseException:
                    self._compression.forget()  # the server has not seen what it refers to
                    raise
        return self.send_frame(frame)

    def _compress(self, frame: ABNF, compression: Compression) -> None:
        payload = to_bytes(frame.data)
        if compression.agreement.wants(payload, None):
            frame.data, frame.rsv1 = compression.compress(payload), 1

    def send_text(self, text_data: str) -> int:
        """Send a text message; see :meth:`send`."""
        return self.send(text_data, ABNF.OPCODE_TEXT)

    def send_bytes(self, data: bytes | bytearray) -> int:
        """Send a binary message; see :meth:`send`."""
        return self.send(data, ABNF.OPCODE_BINARY)

    def send_binary(self, payload: bytes | bytearray) -> int:
        """Send a binary message; see :meth:`send`."""
        return self.send(payload, ABNF.OPCODE_BINARY)

    def send_frame(self, frame: ABNF) -> int:
        """Send a frame, for example a fragment of a message.

        Returns:
            The number of bytes on the wire.

        Raises:
            WebSocketConnectionClosedException: "socket is already closed.": the connection is
                closed or closing.
            ValueError, TypeError: the frame is not valid.
            WebSocketTimeoutException: the server does not read. If no byte of the frame has been
                sent by then, it is as if the call had not been made; otherwise the message of the
                exception says so, and the rest is sent before the next frame.
        """
        if self.get_mask_key:
            frame.get_mask_key = self.get_mask_key
        data = frame.format()
        if frame.opcode < OP_CLOSE and self._session.state > OPEN:
            # RFC 6455 section 5.5.1: "MUST NOT send any more data frames after sending a Close"
            raise WebSocketConnectionClosedException(CLOSED)
        if isEnabledForTrace():
            trace(f"++Sent raw: {data!r}")
            trace(f"++Sent decoded: {frame}")
        self._write(data)
        return len(data)

    def ping(self, payload: str | bytes = "") -> None:
        """Send a ping with at most 125 bytes. It raises what :meth:`send_frame` raises."""
        self.send(payload.encode() if isinstance(payload, str) else payload, ABNF.OPCODE_PING)

    def pong(self, payload: str | bytes = "") -> None:
        """Send a pong with at most 125 bytes. It raises what :meth:`send_frame` raises."""
        self.send(payload.encode() if isinstance(payload, str) else payload, ABNF.OPCODE_PONG)

    def send_close(self, status: int = STATUS_NORMAL, reason: str | bytes = b"") -> None:
        """Send a close frame, unless one was sent already. Then ``connected`` is False.

        Args:
            status: the close code; sent as it is.
            reason: str or bytes. It is cut to the 123 bytes that a close frame can hold.

        Raises:
            ValueError: "code is invalid range": the code is not in 0 to 65535.
            WebSocketException: as for :meth:`send_frame`.
        """
        content = close_content(status, reason)
        with self.lock:
            if self._session.state is State.CLOSED:
                raise WebSocketConnectionClosedException(CLOSED)
            self._session.begin_close(status, content)
