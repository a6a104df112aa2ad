"""Rules: what RFC 6455 says about single frames, independent of the frames before them.

What it is: the checks of frames that are about to be sent, and of frames that were received.

What it must not know: state, sequences of frames, how a fault is answered.
"""

from __future__ import annotations

from typing import Final

from ..exceptions import CloseCode, WebSocketProtocolException
from .events import Close
from .frames import (
    MAX_CONTROL_PAYLOAD,
    OP_BINARY,
    OP_CLOSE,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    FrameHeader,
)
from .messages import decode_text

__all__ = ["RSV1", "check_close", "check_frame", "check_frame_header", "parse_close"]

#: The names of the control frames in error messages.
CONTROL: Final = {OP_CLOSE: "close", OP_PING: "ping", OP_PONG: "pong"}

#: RFC 7692 section 6: set on the first frame of a compressed message.
RSV1: Final = 4


def check_close(code: int, reason: str | bytes = "") -> bytes:
    """Return the payload of a close frame (RFC 6455 section 5.5.1).

    Args:
        code: 1000-1003, 1007-1014 or 3000-4999; 1005 for a frame without code and reason.
        reason: at most 123 bytes of UTF-8 (default empty).

    Raises:
        ValueError: one of them may not be sent.
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
    """Check a frame that is about to be sent as it is.

    Raises:
        ValueError: it must not be sent, or not in this way.
    """
    if not 0 <= opcode <= 0xF:
        raise ValueError(f"opcode {opcode} is not in 0..15")
    if opcode == OP_CLOSE:
        raise ValueError("a close frame is sent by close(), which begins the closing handshake")
    if opcode > OP_CLOSE and not fin:
        raise ValueError("a control frame cannot be a fragment (RFC 6455 section 5.5)")
    if opcode > OP_CLOSE and len(payload) > MAX_CONTROL_PAYLOAD:
        raise ValueError(f"payload of {len(payload)} bytes exceeds 125 (RFC 6455 section 5.5)")


def _valid_on_wire(code: int) -> bool:
    """Return whether a close frame may have this code.

    RFC 6455 sections 7.4.1 and 7.4.2, with the IANA registry's 1012 to 1014.
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def parse_close(payload: bytes) -> Close:
    """Return the close frame with this payload.

    Raises:
        WebSocketProtocolException: no close frame may have this payload.
        WebSocketPayloadException: its reason is not UTF-8.
    """
    if not payload:
        return Close(CloseCode.NO_STATUS, "")
    if len(payload) == 1:
        raise WebSocketProtocolException("Invalid close frame. It has a payload of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not _valid_on_wire(code):
        raise WebSocketProtocolException(f"Invalid close opcode {code}")
    return Close(code, decode_text(payload[2:]))


def check_frame_header(header: FrameHeader, masked: bool | None, compression: bool) -> None:
    """Check a frame that was received.

    Args:
        header: the header of the frame.
        masked: whether it must be masked, that is: whether it comes from a client. None: masked and
            unmasked frames are accepted, and a length need not be in its shortest form.
        compression: whether permessage-deflate was agreed.

    Raises:
        WebSocketProtocolException: the peer must not send such a frame.
    """
    opcode = header.opcode
    if header.rsv and not (
        # RFC 7692 section 6.1: not on control frames, nor on continuation frames
        header.rsv == RSV1 and compression and opcode in (OP_TEXT, OP_BINARY)
    ):
        # 5.2: "MUST be 0 unless an extension is negotiated that defines meanings"
        raise WebSocketProtocolException(
            f"rsv is not implemented, yet: reserved bits {header.rsv:03b} are set"
        )
    if opcode > OP_PONG or OP_BINARY < opcode < OP_CLOSE:
        raise WebSocketProtocolException(f"Invalid opcode {opcode}")
    if masked is not None and (header.mask is not None) is not masked:
        # 5.1: a client MUST mask all frames, a server MUST NOT mask any.
        raise WebSocketProtocolException(
            "frame from the client is not masked" if masked else "frame from the server is masked"
        )
    if not (header.minimal or masked is None) or header.length >= 1 << 63:
        # 5.2: fewest bytes; "the most significant bit MUST be 0"
        raise WebSocketProtocolException("payload length is not correctly encoded")
    if opcode >= OP_CLOSE:
        if not header.fin:
            # 5.4: "Control frames themselves MUST NOT be fragmented."
            raise WebSocketProtocolException(f"Invalid {CONTROL[opcode]} frame. It is a fragment")
        if header.length > MAX_CONTROL_PAYLOAD:
            name = CONTROL[opcode].capitalize()
            fault = "Invalid close frame" if opcode == OP_CLOSE else f"{name} message is too long"
            raise WebSocketProtocolException(
                f"{fault}. A control frame has at most 125 bytes, not {header.length}"
            )
