"""The session: RFC 6455 after the opening handshake, without any I/O.

What it is: a state machine for one connection and one role. Bytes that came go in through
``receive``, events come out as a list; ``send``, ``ping``, ``close`` and the automatic
answers leave their frames in ``output``, from where the connection writes them.

What it must not know: sockets, time, threads, handlers.

How it works. The states are those of RFC 6455, and all transitions are in ``TRANSITIONS``:

    CONNECTING --OPENED--> OPEN --SENT_CLOSE / GOT_CLOSE--> CLOSING --LOST--> CLOSED
         |                  |                                                   ^
         +------LOST--------+---------------------------------------------------+

An event is a ``str`` (a text message), ``bytes`` (a binary message), or one of the classes
below. Parsing stops at the peer's last word: a close frame, or a fault. Both come out as the
last event of their list *without any effect yet*: the state is still OPEN, so that the
handlers of what came before can answer it. Whoever takes the events then calls ``accept``
with the event, and only this sends the close frame. Pings are answered while parsing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from ..exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketPeerException,
    WebSocketProtocolException,
    WebSocketStateException,
)
from .frames import (
    MAX_CONTROL_PAYLOAD,
    OP_BINARY,
    OP_CLOSE,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    FrameHeader,
    apply_mask,
    new_mask,
    parse_header,
    parse_messages,
    serialize,
)
from .messages import MessageAssembler, MessageLimits, decode_text

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


class Role(IntEnum):
    """Which end of the connection this is (RFC 6455 section 5.1: who masks)."""

    CLIENT = 0
    SERVER = 1


class State(IntEnum):
    """The state of a connection; the numbers are those of ``readyState`` in browsers."""

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3


class Input(IntEnum):
    """What makes the state change."""

    OPENED = 0  # the opening handshake succeeded
    SENT_CLOSE = 1
    GOT_CLOSE = 2
    LOST = 3  # the transport has ended, or never was


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.CONNECTING, Input.OPENED): State.OPEN,
    (State.CONNECTING, Input.LOST): State.CLOSED,
    (State.OPEN, Input.SENT_CLOSE): State.CLOSING,
    (State.OPEN, Input.GOT_CLOSE): State.CLOSING,
    (State.OPEN, Input.LOST): State.CLOSED,
    (State.CLOSING, Input.SENT_CLOSE): State.CLOSING,
    (State.CLOSING, Input.GOT_CLOSE): State.CLOSING,
    (State.CLOSING, Input.LOST): State.CLOSED,
}


class Ping(NamedTuple):
    """A ping came; its pong is in the output already."""

    payload: bytes


class Pong(NamedTuple):
    """A pong came."""

    payload: bytes


class Close(NamedTuple):
    """A close frame came, or was sent. Code 1005: it had none (RFC 6455 section 7.1.5)."""

    code: int
    reason: str


class Data(NamedTuple):
    """What is not a whole, decoded message; only on request (see WebSocketSession).

    A fragment: *opcode* is that of its frame, *payload* is str in a text message, and *fin* says
    whether it is the last. Or a whole text message that was not decoded: bytes, OP_TEXT, True.
    """

    opcode: int
    payload: str | bytes
    fin: bool


class Failure(NamedTuple):
    """The peer broke the protocol, or a limit; *error* says how and has the close code."""

    error: WebSocketPeerException


Event = str | bytes | Data | Ping | Pong | Close | Failure

DEFAULT_LIMITS = MessageLimits()


def check_close(code: int, reason: str | bytes = "") -> bytes:
    """Return the payload of a close frame (RFC 6455 section 5.5.1).

    Parameters:
        code: 1000-1003, 1007-1014 or 3000-4999; 1005 for a frame without code and reason.
        reason: at most 123 bytes of UTF-8.

    Raises ValueError when one of them may not be sent.
    """
    if isinstance(reason, str):
        reason = reason.encode()
    else:
        reason.decode()  # raises UnicodeDecodeError, which is a ValueError
    if code == CloseCode.NO_STATUS and not reason:
        return b""
    if not _valid_on_wire(code):
        raise ValueError(f"close code {code} may not be sent (RFC 6455 section 7.4)")
    if len(reason) > MAX_CONTROL_PAYLOAD - 2:
        raise ValueError(f"close reason of {len(reason)} bytes exceeds 123")
    return code.to_bytes(2, "big") + reason


def check_frame(opcode: int, payload: bytes, fin: bool) -> None:
    """Raise ValueError for a frame that must not be sent, or not in this way."""
    if not 0 <= opcode <= 0xF:
        raise ValueError(f"opcode {opcode} is not in 0..15")
    if opcode == OP_CLOSE:
        raise ValueError("a close frame is sent by close(), which begins the closing handshake")
    if opcode > OP_CLOSE and not fin:
        raise ValueError("a control frame cannot be a fragment (RFC 6455 section 5.5)")
    if opcode > OP_CLOSE and len(payload) > MAX_CONTROL_PAYLOAD:
        raise ValueError(f"payload of {len(payload)} bytes exceeds 125 (RFC 6455 section 5.5)")


def _valid_on_wire(code: int) -> bool:
    """RFC 6455 section 7.4.1 and 7.4.2, with the IANA registry's 1012 to 1014."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def _parse_close(payload: bytes) -> Close:
    if not payload:
        return Close(CloseCode.NO_STATUS, "")
    if len(payload) == 1:
        raise WebSocketProtocolException("close frame with a payload of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not _valid_on_wire(code):
        raise WebSocketProtocolException(f"invalid close code {code}")
    return Close(code, decode_text(payload[2:]))


class WebSocketSession:
    """One end of a WebSocket connection.

    Parameters:
        role: client or server.
        limits: what the peer may send.
        decode_text: False: a text message comes as Data with its bytes, whatever they are.
        fragments: True: a fragmented message comes as Data, fragment by fragment.
        new_mask: a client's source of masking keys.

    Attributes:
        state: see the module.
        output: frames to be written, in order; whoever writes them clears the list.
        sent_close, received_close: the close frames, once there were any.
    """

    __slots__ = (
        "_assembler",
        "_decode_text",
        "_ended",
        "_fragments",
        "_frame",
        "_limits",
        "_masked",
        "_new_mask",
        "_received",
        "_tail",
        "output",
        "received_close",
        "role",
        "sent_close",
        "state",
    )

    def __init__(
        self,
        role: Role = Role.CLIENT,
        limits: MessageLimits = DEFAULT_LIMITS,
        *,
        decode_text: bool = True,
        fragments: bool = False,
        new_mask: Callable[[], bytes] = new_mask,
    ) -> None:
        self.role = role
        self.state = State.CONNECTING
        self.output: list[bytes] = []
        self.sent_close: Close | None = None
        self.received_close: Close | None = None
        self._limits = limits
        self._decode_text = decode_text
        self._fragments = fragments
        self._masked = role is Role.SERVER  # whether the peer's frames must be masked
        # Gives the keys to mask our frames with; None: we do not mask (RFC 6455 section 5.1).
        self._new_mask = None if role is Role.SERVER else new_mask
        self._tail = b""  # bytes of a header or control frame that is not complete
        self._frame: FrameHeader | None = None  # the data frame whose payload is coming
        self._received = 0  # bytes of its payload that have come
        self._assembler: MessageAssembler | None = None  # made when a message needs it
        self._ended = False  # the peer's last word was parsed: what follows is discarded

    def _change(self, what: Input) -> None:
        try:
            self.state = TRANSITIONS[self.state, what]
        except KeyError:
            raise WebSocketStateException(
                f"{what.name} is impossible in state {self.state.name}"
            ) from None

    def opened(self) -> None:
        """The opening handshake has succeeded."""
        self._change(Input.OPENED)

    def lost(self) -> None:
        """The transport has ended."""
        self._change(Input.LOST)

    # -- receiving -----------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes that came; return what they complete, in order."""
        events: list[Event] = []
        if self._ended:
            return events
        if self._tail:
            data = self._tail + data
            self._tail = b""
        try:
            pos = 0
            end = len(data)
            if self._frame is not None:
                pos = self._receive_payload(self._frame, data, pos, events)
            while pos < end and not self._ended:
                assembler = self._assembler
                if self._decode_text and (assembler is None or not assembler.in_progress):
                    pos = parse_messages(
                        data, pos, events, self._masked, self._limits.max_message_size
                    )
                    if pos == end:
                        break
                next_pos = self._receive_frame(data, pos, events)
                if next_pos < 0:
                    self._tail = data[pos:]
                    break
                pos = next_pos
        except WebSocketPeerException as exc:
            self._ended = True
            events.append(Failure(exc))
        return events

    def _receive_frame(self, data: bytes, pos: int, events: list[Event]) -> int:
        """Take one frame off the buffer, or its beginning.

        Returns the position behind it, or -1 when it must be seen again with more data.
        """
        header = parse_header(data, pos)
        if header is None:
            return -1
        self._check_header(header)
        if header.opcode >= OP_CLOSE:
            stop = header.start + header.length
            if stop > len(data):
                return -1
            payload = data[header.start : stop]
            if header.mask is not None:
                payload = apply_mask(payload, header.mask)
            self._receive_control(header.opcode, payload, events)
            return stop
        if self._assembler is None:
            self._assembler = MessageAssembler(self._limits, self._decode_text)
        self._assembler.begin_frame(header.opcode, header.length)
        self._frame = header
        self._received = 0
        return self._receive_payload(header, data, header.start, events)

    def _receive_payload(
        self, header: FrameHeader, data: bytes, pos: int, events: list[Event]
    ) -> int:
        """Take what there is of a data frame's payload; return the position behind it."""
        assembler = self._assembler
        assert assembler is not None
        piece = data[pos : pos + header.length - self._received]
        if header.mask is not None:
            # The mask is repeated over the whole payload: this piece may begin inside of it.
            shift = self._received & 3
            piece_mask = header.mask[shift:] + header.mask[:shift]
            self._received += len(piece)
            pos += len(piece)
            piece = apply_mask(piece, piece_mask)
        else:
            self._received += len(piece)
            pos += len(piece)
        complete = self._received == header.length
        assembler.add(piece, last=complete and header.fin)
        if complete:
            self._frame = None
            if self._fragments and not (header.fin and header.opcode):
                payload = assembler.finish() if header.fin else assembler.take()
                events.append(Data(header.opcode, payload, header.fin))
            elif header.fin:
                text = assembler.is_text
                message = assembler.finish()
                plain = self._decode_text or not text
                events.append(message if plain else Data(OP_TEXT, message, True))
        return pos

    def _check_header(self, header: FrameHeader) -> None:
        """Everything that RFC 6455 says about a single frame's header."""
        opcode = header.opcode
        if header.rsv:
            # 5.2: "MUST be 0 unless an extension is negotiated that defines meanings"
            raise WebSocketProtocolException(f"reserved bits {header.rsv:03b} are set")
        if opcode > OP_PONG or OP_BINARY < opcode < OP_CLOSE:
            raise WebSocketProtocolException(f"unknown opcode {opcode}")
        if (header.mask is not None) is not self._masked:
            # 5.1: a client MUST mask all frames, a server MUST NOT mask any.
            raise WebSocketProtocolException(
                "frame from the client is not masked"
                if self._masked
                else "frame from the server is masked"
            )
        if not header.minimal or header.length >= 1 << 63:
            # 5.2: fewest bytes; "the most significant bit MUST be 0"
            raise WebSocketProtocolException("payload length is not encoded as it must be")
        if opcode >= OP_CLOSE:
            if not header.fin:
                # 5.4: "Control frames themselves MUST NOT be fragmented."
                raise WebSocketProtocolException("control frame is fragmented")
            if header.length > MAX_CONTROL_PAYLOAD:
                raise WebSocketProtocolException(
                    f"control frame with a payload of {header.length} bytes"
                )

    def _receive_control(self, opcode: int, payload: bytes, events: list[Event]) -> None:
        if opcode == OP_PING:
            # 5.5.2: "MUST send a Pong frame in response, unless it already received a Close"
            # frame: then we are not here. Behind our own close frame, 5.5.1 forbids only data.
            if self.state is State.OPEN or self.state is State.CLOSING:
                self._write(OP_PONG, payload)
            events.append(Ping(payload))
        elif opcode == OP_PONG:
            events.append(Pong(payload))
        else:
            events.append(_parse_close(payload))
            self._ended = True

    def accept(self, last: Close | Failure) -> None:
        """Let the peer's last word take effect: answer a close frame, or report a fault.

        A close frame is answered with its own content (RFC 6455 section 5.5.1: "it typically
        echos the status code it received"), a fault with the code of its error (7.1.7).
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
        """Whether the peer's close frame came first, and ours was the answer."""
        return self.received_close is not None and self.sent_close is self.received_close

    @property
    def ended(self) -> bool:
        """Whether the peer's last word has come: nothing more will be parsed."""
        return self._ended

    # -- sending -------------------------------------------------------------------------

    def send(self, message: str | bytes | bytearray | memoryview) -> int:
        """Send a message in one frame: text for str, binary for the others.

        Returns the bytes that this adds to the output. Raises TypeError for other types,
        WebSocketStateException before the connection is open, and
        WebSocketConnectionClosedException once it is closing or closed.
        """
        if self.state is not State.OPEN:
            self._refuse()
        if isinstance(message, str):
            opcode, payload = OP_TEXT, message.encode()
        elif isinstance(message, (bytes, bytearray, memoryview)):
            opcode, payload = OP_BINARY, bytes(message)  # bytes stay as they are
        else:
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        # RFC 6455 section 5.3: a fresh key for every frame of a client.
        frame = serialize(opcode, payload, self._new_mask and self._new_mask())
        self.output.append(frame)
        return len(frame)

    def send_frame(self, opcode: int, payload: bytes, fin: bool = True) -> int:
        """Send one frame: a fragment, or a message with an opcode of its own.

        Returns and raises as :meth:`send` does; and ValueError for an opcode that is none, and
        for what RFC 6455 section 5.5 forbids a control frame to be. The sequence of fragments
        is the caller's.
        """
        if self.state is not State.OPEN:
            self._refuse()
        check_frame(opcode, payload, fin)
        return self._write(opcode, payload, fin)

    def ping(self, payload: bytes = b"") -> int:
        """Send a ping. ValueError when the payload exceeds 125 bytes; else as :meth:`send`."""
        return self._send_control(OP_PING, payload)

    def pong(self, payload: bytes = b"") -> int:
        """Send an unsolicited pong (RFC 6455 section 5.5.3). As :meth:`ping`."""
        return self._send_control(OP_PONG, payload)

    def _send_control(self, opcode: int, payload: bytes) -> int:
        if self.state is not State.OPEN:
            self._refuse()
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"payload of {len(payload)} bytes exceeds 125 (RFC 6455 section 5.5)")
        return self._write(opcode, payload)

    def close(self, code: int = CloseCode.NORMAL, reason: str | bytes = "") -> bool:
        """Begin the closing handshake (RFC 6455 section 7.1.2).

        Returns whether a close frame was put out; False when one was before. Raises
        ValueError for a code or reason that may not be sent, WebSocketStateException before
        the connection is open.
        """
        payload = check_close(code, reason)
        if self.state is State.CONNECTING:
            self._refuse()
        if self.state is not State.OPEN or self.sent_close is not None:
            return False
        self._send_close(Close(code, payload[2:].decode()))
        return True

    def _send_close(self, close: Close) -> None:
        self._change(Input.SENT_CLOSE)
        self.sent_close = close
        self._write(OP_CLOSE, check_close(close.code, close.reason))

    def _write(self, opcode: int, payload: bytes, fin: bool = True) -> int:
        frame = serialize(opcode, payload, self._new_mask and self._new_mask(), fin)
        self.output.append(frame)
        return len(frame)

    def _refuse(self) -> None:
        if self.state is State.CONNECTING:
            raise WebSocketStateException("the connection is not open yet")
        raise WebSocketConnectionClosedException("Connection is already closed.")


def _shorten(reason: str) -> str:
    """Cut a reason to what a close frame can hold, at a character's end."""
    return reason.encode()[: MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore")
