"""The session: RFC 6455 after the opening handshake, without any I/O.

What it is: a state machine for one connection and one role. Received bytes go in through
``receive``, events come out as a list; ``send``, ``ping``, ``close`` and the automatic
answers leave their frames in ``output``, from which the connection writes them.

What it must not know: sockets, time, threads, handlers.

How it works. Its base classes have the state and the output (output.py), and turn received bytes
into events (receiving.py).

An event is a ``str`` (a text message), ``bytes`` (a binary message), or one of the classes in
events.py. Parsing stops at the peer's last word: a close frame, or a fault. Either is the last
event of its list, *without any effect yet*: the state is still OPEN, so that the handlers of
earlier messages can answer them. The caller then passes the event to ``take_last_word``, and only
this sends the close frame. Pings are answered while parsing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketStateException,
)
from .counters import Counters
from .deflate import Agreement, Compression
from .events import OPEN, Close, Data, Event, Failure, Ping, Pong, Role, State
from .frames import (
    MAX_CONTROL_PAYLOAD,
    OP_BINARY,
    OP_CLOSE,
    OP_CONT,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    new_mask,
    serialize,
)
from .messages import MessageLimits
from .output import Input
from .receiving import Receiving
from .rules import RSV1, check_close, check_frame
from .shared import SharedMessage

__all__ = [
    "Close",
    "Data",
    "Event",
    "Failure",
    "Ping",
    "Pong",
    "Role",
    "State",
    "WebSocketSession",
    "check_close",
    "check_frame",
]


DEFAULT_LIMITS = MessageLimits()


class WebSocketSession(Receiving):
    """One end of a WebSocket connection.

    Args:
        role: client (default) or server.
        limits: what the peer may send.
        decode_text: True (default): a text message is a str. False: it is Data with its bytes,
            valid UTF-8 or not.
        fragments: True: a fragmented message becomes Data, fragment by fragment. Default: False.
        fragment_size: with *fragments*: a longer message, in bytes, becomes Data as well, and the
            part of it that has arrived is an event as soon as it is longer than this. None
            (default): frames are not divided.
        lenient: True: a client accepts masked frames, and lengths that are not in their shortest
            form. Default: False.
        new_mask: a client's source of masking keys; each key is checked, see ``check_mask``.
        agreement: what both sides have agreed on permessage-deflate; None (default): no
            compression.
        counters: where everything is counted; None (default): in an object of its own.

    Attributes:
        role: the same.
        state: see the module.
        output: frames to be written, in order; the writer clears the list.
        sent_close, received_close: the close frames, or None as long as there is none.
        tap: the object that is shown the frames, if the session's class does that; else None.
        unfinished: whether the received bytes hold more than one call may take; ``receive(b"")``
            continues.
    """

    __slots__ = (
        "_sending",
        "received_close",
        "sent_close",
        "tap",
    )

    def __init__(
        self,
        role: Role = Role.CLIENT,
        limits: MessageLimits = DEFAULT_LIMITS,
        *,
        decode_text: bool = True,
        fragments: bool = False,
        fragment_size: int | None = None,
        lenient: bool = False,
        new_mask: Callable[[], bytes | str] = new_mask,
        agreement: Agreement | None = None,
        counters: Counters | None = None,
    ) -> None:
        super().__init__(
            role,
            new_mask,
            lenient and role is Role.CLIENT,
            limits,
            decode_text,
            fragments,
            fragment_size,
            None if agreement is None else Compression(agreement),
            counters,
        )
        self.tap: Any = None  # the object that is shown the frames: see connection/tracing.py
        self.sent_close: Close | None = None
        self.received_close: Close | None = None
        # The message that is being sent in fragments: its opcode, and whether it is compressed.
        self._sending: tuple[int, bool] | None = None

    # -- receiving -----------------------------------------------------------------------

    def take_last_word(self, last: Close | Failure) -> None:
        """Let the peer's last word take effect: answer a close frame, or report a fault.

        The answer to a close frame has the same content (RFC 6455 section 5.5.1: "it typically
        echos the status code it received"), the answer to a fault the code of its error (7.1.7).

        Args:
            last: the last event that ``receive`` returned.
        """
        if isinstance(last, Close):
            self._change(Input.GOT_CLOSE)
            self.received_close = answer = last
        else:
            answer = Close(last.error.close_code, _shorten(str(last.error)))
        if self.sent_close is None:
            self._send_close(answer)

    @property
    def closed_by_peer(self) -> bool:
        """Whether the peer sent its close frame first, and ours was the answer."""
        return self.received_close is not None and self.sent_close is self.received_close

    @property
    def agreement(self) -> Agreement | None:
        """What both sides have agreed on permessage-deflate; None: there is no compression."""
        return None if self._compression is None else self._compression.agreement

    @property
    def sending(self) -> bool:
        """Whether a message is being sent in fragments, and has not ended."""
        return self._sending is not None

    # -- sending -------------------------------------------------------------------------

    def send(
        self, message: str | bytes | bytearray | memoryview, compress: bool | None = None
    ) -> int:
        """Send a message in one frame: text for str, binary for the others.

        Args:
            message: the message.
            compress: whether to compress it, if that was agreed; None (default): if it is at least
                as long as the agreement's threshold.

        Returns:
            The number of bytes that this adds to the output.

        Raises:
            TypeError: the message has another type.
            WebSocketStateException: the connection is not open yet, or a message in fragments has
                not ended.
            WebSocketConnectionClosedException: the connection is closing or closed.
        """
        if self.state is not OPEN or self._sending is not None:
            self._refuse()
        if isinstance(message, str):
            opcode, payload = OP_TEXT, message.encode()
        elif isinstance(message, (bytes, bytearray, memoryview)):
            opcode, payload = OP_BINARY, bytes(message)  # bytes stay as they are
        else:
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        if self._compression is not None:
            return self.send_payload(opcode, payload, compress)
        # RFC 6455 section 5.3: a fresh key for every frame of a client.
        frame = serialize(opcode, payload, self._new_mask and self._new_mask())
        self.output.append(frame)
        size = len(frame)
        counters = self.counters
        counters.messages_out += 1
        counters.payload_out += len(payload)
        counters.wire_out += size
        return size

    def send_payload(self, opcode: int, payload: bytes, compress: bool | None = None) -> int:
        """Send a message whose payload is given as bytes; otherwise as :meth:`send`.

        Args:
            opcode: OP_TEXT or OP_BINARY.
            payload: the message; a text in UTF-8.
            compress: as for :meth:`send`.

        Returns:
            The number of bytes that this adds to the output.
        """
        if self.state is not OPEN or self._sending is not None:
            self._refuse()
        self.counters.payload_out += len(payload)
        compression = self._compression
        if compression is not None and compression.agreement.wants(payload, compress):
            return self._write(opcode, compression.compress(payload), rsv=RSV1)
        return self._write(opcode, payload)

    def send_fragment(
        self, data: str | bytes | bytearray | memoryview, fin: bool, compress: bool | None = None
    ) -> int:
        """Send the next fragment of a message; the first one begins it.

        Args:
            data: the fragment. All fragments of a message are str (text), or none is.
            fin: whether the message ends with this fragment.
            compress: whether to compress the message; only the first fragment's counts.

        Returns:
            The number of bytes that this adds to the output.

        Raises:
            TypeError: the fragment has a wrong type, or another type than those before it.
            WebSocketStateException, WebSocketConnectionClosedException: as :meth:`send`.
        """
        if self.state is not OPEN:
            self._refuse()
        if isinstance(data, str):
            opcode, payload = OP_TEXT, data.encode()
        elif isinstance(data, (bytes, bytearray, memoryview)):
            opcode, payload = OP_BINARY, bytes(data)
        else:
            raise TypeError(f"a fragment is str or bytes, not {type(data).__name__}")
        begins = self._sending is None
        if begins:
            self._sending = opcode, self._compression is not None and compress is not False
        assert self._sending is not None
        began_with, compressed = self._sending
        if opcode != began_with:
            raise TypeError(f"earlier fragments of the message were not {type(data).__name__}")
        self.counters.payload_out += len(payload)
        if compressed:
            assert self._compression is not None
            payload = self._compression.compress_fragment(payload, last=fin)
        if fin:
            self._sending = None
        if begins:
            return self._write(opcode, payload, fin, RSV1 if compressed else 0)
        return self._write(OP_CONT, payload, fin)

    def end_fragments(self) -> int:
        """Send the last fragment, an empty one; if it is the only one, an empty text message.

        Returns:
            The number of bytes that this adds to the output. Raises as :meth:`send` does.
        """
        binary = self._sending is not None and self._sending[0] == OP_BINARY
        return self.send_fragment(b"" if binary else "", True)

    def send_shared(self, message: SharedMessage) -> int:
        """Send a message that other connections get, too.

        Returns:
            The number of bytes that this adds to the output. Raises as :meth:`send` does.
        """
        if self._new_mask is not None:
            return self.send_payload(message.opcode, message.payload, message.compress)
        if self.state is not OPEN or self._sending is not None:
            self._refuse()
        compression = self._compression
        if compression is not None and compression.agreement.wants(
            message.payload, message.compress
        ):
            frame = message.compressed(compression.agreement)
            compression.forget()
        else:
            frame = message.plain
        self.output.append(frame)
        counters = self.counters
        counters.messages_out += 1
        counters.payload_out += len(message.payload)
        counters.wire_out += len(frame)
        return len(frame)

    def send_frame(self, opcode: int, payload: bytes, fin: bool = True) -> int:
        """Send one frame as it is: a fragment, or a frame with any opcode.

        The caller is responsible for the sequence of fragments. Nothing is compressed.

        Args:
            opcode: 0 to 15, but not that of a close frame.
            payload: the payload; a text in UTF-8.
            fin: whether this is the final fragment (default True).

        Returns:
            The number of bytes that this adds to the output.

        Raises:
            ValueError: the opcode is invalid, or RFC 6455 section 5.5 forbids such a control frame.
            WebSocketStateException, WebSocketConnectionClosedException: the connection is not open.
        """
        if self.state is not OPEN:
            self._refuse()
        check_frame(opcode, payload, fin)
        if opcode < OP_CLOSE:
            self.counters.payload_out += len(payload)
        return self._write(opcode, payload, fin)

    def ping(self, payload: bytes = b"") -> int:
        """Send a ping.

        Args:
            payload: at most 125 bytes (default empty).

        Returns:
            The number of bytes that this adds to the output.

        Raises:
            ValueError: the payload is longer.
            WebSocketStateException, WebSocketConnectionClosedException: the connection is not open.
        """
        return self._send_control(OP_PING, payload)

    def pong(self, payload: bytes = b"") -> int:
        """Send an unsolicited pong (RFC 6455 section 5.5.3), as :meth:`ping` sends a ping."""
        return self._send_control(OP_PONG, payload)

    def _send_control(self, opcode: int, payload: bytes) -> int:
        if self.state is not OPEN:
            self._refuse()
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"payload of {len(payload)} bytes exceeds 125 (RFC 6455 section 5.5)")
        return self._write(opcode, payload)

    def close(self, code: int = CloseCode.NORMAL, reason: str | bytes = "") -> bool:
        """Begin the closing handshake (RFC 6455 section 7.1.2).

        Args:
            code: the close code (default 1000).
            reason: the close reason, at most 123 bytes of UTF-8 (default empty).

        Returns:
            Whether a close frame was added to the output; False if there was one before.

        Raises:
            ValueError: the code or the reason may not be sent.
            WebSocketStateException: the connection is not open yet.
        """
        payload = check_close(code, reason)
        if self.state is State.CONNECTING:
            self._refuse()
        if self.state is not OPEN or self.sent_close is not None:
            return False
        self._send_close(Close(code, payload[2:].decode()))
        return True

    def _send_close(self, close: Close) -> None:
        self._change(Input.SENT_CLOSE)
        self.sent_close = close
        self._write(OP_CLOSE, check_close(close.code, close.reason))

    def _refuse(self) -> None:
        if self.state is State.CONNECTING:
            raise WebSocketStateException("the connection is not open yet")
        if self.state is State.OPEN:
            raise WebSocketStateException("a message in fragments has not ended yet")
        raise WebSocketConnectionClosedException("Connection is already closed.")


def _shorten(reason: str) -> str:
    """Cut a reason to the size that a close frame can hold, at the end of a character."""
    return reason.encode()[: MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore")
