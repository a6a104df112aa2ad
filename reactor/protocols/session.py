"""The session: RFC 6455 after the opening handshake, without any I/O.

What it is: a state machine for one connection and one role. Bytes that came go in through
``receive``, events come out as a list; ``send``, ``ping``, ``close`` and the automatic
answers leave their frames in ``output``, from where the connection writes them.

What it must not know: sockets, time, threads, handlers.

How it works. Its base class makes events of the bytes that came: see receiving.py. The states are
those of RFC 6455, and all transitions are in ``TRANSITIONS``:

    CONNECTING --OPENED--> OPEN --SENT_CLOSE / GOT_CLOSE--> CLOSING --LOST--> CLOSED
         |                  |                                                   ^
         +------LOST--------+---------------------------------------------------+

An event is a ``str`` (a text message), ``bytes`` (a binary message), or one of the classes in
events.py. Parsing stops at the peer's last word: a close frame, or a fault. Both come out as the
last event of their list *without any effect yet*: the state is still OPEN, so that the
handlers of what came before can answer it. Whoever takes the events then calls ``accept``
with the event, and only this sends the close frame. Pings are answered while parsing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from ..exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketStateException,
)
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
    check_mask,
    new_mask,
    serialize,
)
from .messages import MessageLimits
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


DEFAULT_LIMITS = MessageLimits()


class WebSocketSession(Receiving):
    """One end of a WebSocket connection.

    Parameters:
        role: client or server.
        limits: what the peer may send.
        decode_text: False: a text message comes as Data with its bytes, whatever they are.
        fragments: True: a fragmented message comes as Data, fragment by fragment.
        fragment_size: with *fragments*: a message of more bytes than this comes as Data, too, and
            what has come of it is an event as soon as it is more. None: frames are not divided.
        lenient: a client takes masked frames, and lengths that are not in their shortest form.
        new_mask: a client's source of masking keys; each is checked, see ``check_mask``.
        agreement: what both sides have settled on permessage-deflate; None: no compression.

    Attributes:
        state: see the module.
        output: frames to be written, in order; whoever writes them clears the list.
        sent_close, received_close: the close frames, once there were any.
        tap: who is shown the frames, where the session's class does that; else None.
        unfinished: there is more in what came than one call may take; ``receive(b"")`` goes on.
    """

    __slots__ = (
        "_new_mask",
        "_sending",
        "output",
        "received_close",
        "role",
        "sent_close",
        "state",
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
    ) -> None:
        super().__init__(
            role is Role.SERVER,  # 5.1: clients mask
            lenient and role is Role.CLIENT,
            limits,
            decode_text,
            fragments,
            fragment_size,
            None if agreement is None else Compression(agreement),
        )
        self.role = role
        self.state = State.CONNECTING
        self.output: list[bytes] = []
        self.tap: Any = None  # is shown the frames, see connection/tracing.py
        self.sent_close: Close | None = None
        self.received_close: Close | None = None
        # The message that we send in fragments: its opcode, and whether it is compressed.
        self._sending: tuple[int, bool] | None = None
        # Gives the keys to mask our frames with; None: we do not mask (RFC 6455 section 5.1).
        self._new_mask = None if role is Role.SERVER else _checked(new_mask)

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

    def _answer(self, events: list[Event]) -> None:
        # 5.5.2: "MUST send a Pong frame in response, unless it already received a Close"
        # frame: then we are not here. Behind our own close frame, 5.5.1 forbids only data.
        if self.state is State.OPEN or self.state is State.CLOSING:
            for event in events:
                if type(event) is Ping:
                    self._write(OP_PONG, event.payload)

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
    def agreement(self) -> Agreement | None:
        """What both sides have settled on permessage-deflate; None: there is no compression."""
        return None if self._compression is None else self._compression.agreement

    @property
    def sending(self) -> bool:
        """Whether a message that is sent in fragments has not ended."""
        return self._sending is not None

    # -- sending -------------------------------------------------------------------------

    def send(
        self, message: str | bytes | bytearray | memoryview, compress: bool | None = None
    ) -> int:
        """Send a message in one frame: text for str, binary for the others.

        Parameters:
            message: the message.
            compress: whether to compress it, where that was agreed; None: if it is as long as
                the agreement's threshold.

        Returns the bytes that this adds to the output. Raises TypeError for other types,
        WebSocketStateException before the connection is open or within a fragmented message,
        and WebSocketConnectionClosedException once it is closing or closed.
        """
        if self.state is not OPEN or self._sending is not None:
            self._refuse()
        if isinstance(message, str):
            opcode = OP_TEXT
        elif isinstance(message, (bytes, bytearray, memoryview)):
            opcode, message = OP_BINARY, bytes(message)  # bytes stay as they are
        else:
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        if self._compression is not None:
            payload = message.encode() if isinstance(message, str) else message
            return self.send_payload(opcode, payload, compress)
        # RFC 6455 section 5.3: a fresh key for every frame of a client.
        frame = serialize(opcode, message, self._new_mask and self._new_mask())
        self.output.append(frame)
        return len(frame)

    def send_payload(self, opcode: int, payload: bytes, compress: bool | None = None) -> int:
        """Send a message whose payload is given as bytes. Else as :meth:`send`.

        Parameters:
            opcode: OP_TEXT or OP_BINARY.
            payload: in UTF-8, for a text.
        """
        if self.state is not OPEN or self._sending is not None:
            self._refuse()
        compression = self._compression
        if compression is not None and compression.agreement.wants(payload, compress):
            return self._write(opcode, compression.compress(payload), rsv=RSV1)
        return self._write(opcode, payload)

    def send_fragment(
        self, data: str | bytes | bytearray | memoryview, fin: bool, compress: bool | None = None
    ) -> int:
        """Send the next fragment of a message; the first one begins it.

        Parameters:
            data: all of a message's fragments are str (text), or none is.
            fin: whether the message ends with this fragment.
            compress: whether to compress the message; only the first fragment's counts.

        Returns and raises as :meth:`send` does. A fragment of the wrong type is a TypeError.
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
            raise TypeError(f"the message's fragments before were not {type(data).__name__}")
        if compressed:
            assert self._compression is not None
            payload = self._compression.compress_fragment(payload, last=fin)
        if fin:
            self._sending = None
        if begins:
            return self._write(opcode, payload, fin, RSV1 if compressed else 0)
        return self._write(OP_CONT, payload, fin)

    def end_fragments(self) -> int:
        """Send the last fragment, an empty one; without one before it, an empty text message.

        Returns and raises as :meth:`send` does.
        """
        binary = self._sending is not None and self._sending[0] == OP_BINARY
        return self.send_fragment(b"" if binary else "", True)

    def send_shared(self, message: SharedMessage) -> int:
        """Send a message that other connections get, too. Returns and raises as :meth:`send`."""
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
        return len(frame)

    def send_frame(self, opcode: int, payload: bytes, fin: bool = True) -> int:
        """Send one frame as it is: a fragment, or a message with an opcode of its own.

        Returns and raises as :meth:`send` does; and ValueError for an opcode that is none, and
        for what RFC 6455 section 5.5 forbids a control frame to be. The sequence of fragments
        is the caller's. Nothing is compressed.
        """
        if self.state is not OPEN:
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
        if self.state is not OPEN:
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
        if self.state is not OPEN or self.sent_close is not None:
            return False
        self._send_close(Close(code, payload[2:].decode()))
        return True

    def _send_close(self, close: Close) -> None:
        self._change(Input.SENT_CLOSE)
        self.sent_close = close
        self._write(OP_CLOSE, check_close(close.code, close.reason))

    def _write(self, opcode: int, payload: bytes, fin: bool = True, rsv: int = 0) -> int:
        frame = serialize(opcode, payload, self._new_mask and self._new_mask(), fin, rsv)
        self.output.append(frame)
        return len(frame)

    def _refuse(self) -> None:
        if self.state is State.CONNECTING:
            raise WebSocketStateException("the connection is not open yet")
        if self.state is State.OPEN:
            raise WebSocketStateException("a message in fragments has not ended yet")
        raise WebSocketConnectionClosedException("Connection is already closed.")


def _checked(source: Callable[[], bytes | str]) -> Callable[[], bytes]:
    """Return a source whose keys are sound: a wrong one would make frames nobody can read."""
    return new_mask if source is new_mask else lambda: check_mask(source())


def _shorten(reason: str) -> str:
    """Cut a reason to what a close frame can hold, at a character's end."""
    return reason.encode()[: MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore")
