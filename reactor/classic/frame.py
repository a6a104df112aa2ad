"""ABNF: a frame as websocket-client's users know it, and the constants that go with it.

What it is: the frame class, with websocket-client's attributes and messages, and the rules for a
single frame.

What it must not know: sockets, connections, sequences of frames (abnf.py).

How it works. The wire format is that of protocols/frames.py, which serializes and masks here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ..base.printable import quoted
from ..exceptions import CloseCode, WebSocketPayloadException, WebSocketProtocolException
from ..protocols.frames import (
    MAX_CONTROL_PAYLOAD,
    OP_BINARY,
    OP_CLOSE,
    OP_CONT,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    apply_mask,
    check_mask,
    new_mask,
    serialize,
)

__all__ = [
    "ABNF",
    "STATUS_ABNORMAL_CLOSED",
    "STATUS_BAD_GATEWAY",
    "STATUS_GOING_AWAY",
    "STATUS_INVALID_EXTENSION",
    "STATUS_INVALID_PAYLOAD",
    "STATUS_MESSAGE_TOO_BIG",
    "STATUS_NORMAL",
    "STATUS_POLICY_VIOLATION",
    "STATUS_PROTOCOL_ERROR",
    "STATUS_SERVICE_RESTART",
    "STATUS_STATUS_NOT_AVAILABLE",
    "STATUS_TLS_HANDSHAKE_ERROR",
    "STATUS_TRY_AGAIN_LATER",
    "STATUS_UNEXPECTED_CONDITION",
    "STATUS_UNSUPPORTED_DATA_TYPE",
    "VALID_CLOSE_STATUS",
    "cannot_decode",
    "check_close",
    "check_frame",
    "is_utf8",
    "to_bytes",
]

STATUS_NORMAL = CloseCode.NORMAL
STATUS_GOING_AWAY = CloseCode.GOING_AWAY
STATUS_PROTOCOL_ERROR = CloseCode.PROTOCOL_ERROR
STATUS_UNSUPPORTED_DATA_TYPE = CloseCode.UNSUPPORTED_DATA
STATUS_STATUS_NOT_AVAILABLE = CloseCode.NO_STATUS
STATUS_ABNORMAL_CLOSED = CloseCode.ABNORMAL
STATUS_INVALID_PAYLOAD = CloseCode.INVALID_PAYLOAD
STATUS_POLICY_VIOLATION = CloseCode.POLICY_VIOLATION
STATUS_MESSAGE_TOO_BIG = CloseCode.MESSAGE_TOO_BIG
STATUS_INVALID_EXTENSION = CloseCode.MISSING_EXTENSION
STATUS_UNEXPECTED_CONDITION = CloseCode.INTERNAL_ERROR
STATUS_SERVICE_RESTART = CloseCode.SERVICE_RESTART
STATUS_TRY_AGAIN_LATER = CloseCode.TRY_AGAIN_LATER
STATUS_BAD_GATEWAY = CloseCode.BAD_GATEWAY
STATUS_TLS_HANDSHAKE_ERROR = CloseCode.TLS_HANDSHAKE

#: The codes allowed in a close frame, besides 3000 to 4999 (RFC 6455 section 7.4).
VALID_CLOSE_STATUS = (
    STATUS_NORMAL,
    STATUS_GOING_AWAY,
    STATUS_PROTOCOL_ERROR,
    STATUS_UNSUPPORTED_DATA_TYPE,
    STATUS_INVALID_PAYLOAD,
    STATUS_POLICY_VIOLATION,
    STATUS_MESSAGE_TOO_BIG,
    STATUS_INVALID_EXTENSION,
    STATUS_UNEXPECTED_CONDITION,
    STATUS_SERVICE_RESTART,
    STATUS_TRY_AGAIN_LATER,
    STATUS_BAD_GATEWAY,
)

#: The first four bits of nearly every frame: the last of its message, no extension.
WHOLE = (1, 0, 0, 0)

#: The number of bytes of a wrong text that an error message shows.
SHOWN = 64

Payload = str | bytes | bytearray | memoryview
MaskKey = Callable[[int], str | bytes]


def _mask_key(_length: int) -> bytes:
    return new_mask()


def to_bytes(data: Any) -> bytes:
    """Return a payload as bytes: text as UTF-8, whatever the opcode."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)  # bytes stay as they are
    raise TypeError(f"the data of a frame is str or bytes, not {type(data).__name__}")


class ABNF:
    """One frame (RFC 6455 section 5.2).

    Attributes:
        fin: 1 for the last (or only) frame of a message, else 0.
        rsv1, rsv2, rsv3: the reserved bits, 0 or 1.
        opcode: one of the constants below.
        mask_value: 1 for a frame that is masked when it is sent, as a client's must be.
        data: str or bytes; None means no data.
        get_mask_key: the function that :meth:`format` calls for a masking key, with the length
            as its argument. It returns that many bytes, or characters up to U+00FF.
    """

    OPCODE_CONT = OP_CONT
    OPCODE_TEXT = OP_TEXT
    OPCODE_BINARY = OP_BINARY
    OPCODE_CLOSE = OP_CLOSE
    OPCODE_PING = OP_PING
    OPCODE_PONG = OP_PONG

    #: All opcodes.
    OPCODES = (OPCODE_CONT, OPCODE_TEXT, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG)

    #: Names of the opcodes.
    OPCODE_MAP = {  # noqa: RUF012 - a plain dict, as programs know it
        OPCODE_CONT: "cont",
        OPCODE_TEXT: "text",
        OPCODE_BINARY: "binary",
        OPCODE_CLOSE: "close",
        OPCODE_PING: "ping",
        OPCODE_PONG: "pong",
    }

    #: From these lengths on, the length of a payload is written in a longer form.
    LENGTH_7 = 0x7E
    LENGTH_16 = 1 << 16
    LENGTH_63 = 1 << 63

    def __init__(
        self,
        fin: int = 0,
        rsv1: int = 0,
        rsv2: int = 0,
        rsv3: int = 0,
        opcode: int = OPCODE_TEXT,
        mask_value: int = 1,
        data: Any = "",
    ) -> None:
        self.fin = fin
        self.rsv1 = rsv1
        self.rsv2 = rsv2
        self.rsv3 = rsv3
        self.opcode = opcode
        self.mask_value = mask_value
        self.data: Any = "" if data is None else data
        self.get_mask_key: MaskKey = _mask_key

    def validate(self, skip_utf8_validation: bool = False) -> None:
        """Check a frame that was received.

        Args:
            skip_utf8_validation: do not check whether the reason of a close frame is UTF-8.

        Raises:
            WebSocketProtocolException: RFC 6455 allows no one to send this frame.
        """
        data = to_bytes(self.data)
        rsv = bool(self.rsv1 or self.rsv2 or self.rsv3)
        check_frame(bool(self.fin), rsv, self.opcode, len(data))
        if self.opcode == OP_CLOSE:
            check_close(data, skip_utf8_validation)

    def __str__(self) -> str:
        """Return the frame as the trace shows it."""
        data = self.data if isinstance(self.data, str) else repr(self.data)
        return f"fin={self.fin} opcode={self.opcode} data={data}"

    @staticmethod
    def create_frame(data: Payload | None, opcode: int, fin: int = 1) -> ABNF:
        """Return a frame to be sent by a client.

        Args:
            data: the payload. A str is sent as UTF-8, whatever the opcode.
            opcode: what the frame is.
            fin: 0 if fragments of the same message follow.
        """
        if isinstance(data, str):
            data = data.encode()
        return ABNF(fin, 0, 0, 0, opcode, 1, data)

    def format(self) -> bytes:
        """Return the frame as it is sent, masked with a new key if ``mask_value`` is 1.

        Raises:
            ValueError: a bit is neither 0 nor 1, the opcode is unknown, or the key is not four
                bytes.
            TypeError: the data is neither str nor bytes.
        """
        bits = fin, rsv1, rsv2, rsv3 = self.fin, self.rsv1, self.rsv2, self.rsv3
        if bits != WHOLE and not all(bit in (0, 1) for bit in bits):
            raise ValueError("not 0 or 1")
        if self.opcode not in ABNF.OPCODES:
            raise ValueError("Invalid OPCODE")
        data = to_bytes(self.data)
        if not self.mask_value:
            mask = None
        elif self.get_mask_key is _mask_key:
            mask = new_mask()
        else:
            mask = check_mask(self.get_mask_key(4))
        return serialize(self.opcode, data, mask, bool(fin), rsv1 << 2 | rsv2 << 1 | rsv3)

    def _get_masked(self, mask_key: str | bytes) -> bytes:
        """Return a masking key, followed by the payload masked with it."""
        return check_mask(mask_key) + self.mask(mask_key, self.data)

    @staticmethod
    def mask(mask_key: str | bytes, data: Payload | None) -> bytes:
        """Return *data* masked, or unmasked, with a key of four bytes (RFC 6455 section 5.3)."""
        return apply_mask(b"" if data is None else to_bytes(data), check_mask(mask_key))


# -- the rules for a single frame ---------------------------------------------------------------


def check_frame(fin: bool, rsv: bool, opcode: int, length: int) -> None:
    """Check a header (RFC 6455 sections 5.2 and 5.5), with websocket-client's messages."""
    if rsv:
        raise WebSocketProtocolException("rsv is not implemented, yet")
    if opcode not in ABNF.OPCODES:
        raise WebSocketProtocolException(f"Invalid opcode {opcode!r}")
    if opcode < OP_CLOSE:
        return
    name = ABNF.OPCODE_MAP[opcode]
    if not fin:
        # 5.4: "Control frames themselves MUST NOT be fragmented."
        raise WebSocketProtocolException(f"Invalid {name} frame.")
    if length > MAX_CONTROL_PAYLOAD:
        if opcode == OP_CLOSE:
            raise WebSocketProtocolException("Invalid close frame.")
        raise WebSocketProtocolException(f"{name.capitalize()} message is too long")


def check_close(payload: bytes, skip_utf8_validation: bool) -> None:
    """Check the payload of a close frame (RFC 6455 section 5.5.1)."""
    if not payload:
        return
    if len(payload) == 1:
        raise WebSocketProtocolException("Invalid close frame.")
    if not skip_utf8_validation:
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            error = WebSocketProtocolException("Invalid close frame.")
            error.close_code = STATUS_INVALID_PAYLOAD  # RFC 6455 section 8.1
            raise error from None
    code = int.from_bytes(payload[:2], "big")
    if code not in VALID_CLOSE_STATUS and not 3000 <= code < 5000:
        raise WebSocketProtocolException(f"Invalid close opcode {code!r}")


def is_utf8(data: bytes) -> bool:
    """Whether these bytes are a complete text."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def cannot_decode(data: bytes) -> NoReturn:
    """Raise WebSocketPayloadException for a text that is not UTF-8."""
    raise WebSocketPayloadException(f"cannot decode: {quoted(data, SHOWN)}") from None
