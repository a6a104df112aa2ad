"""Frames: the wire format of RFC 6455 section 5.

What it is: pure functions from bytes to bytes. They mask, serialize, and parse frame headers;
:func:`parse_messages` takes what makes up nearly all traffic: whole data messages, unfragmented,
complete in the buffer; and :func:`parse_pings` takes pings and pongs.

What it must not know: connections, state, what a sequence of frames means.

How it works. Both take what they can and stop, without judging, at the first byte of anything
else: a fragment, a close frame, a frame that is incomplete, too big or malformed. The caller then
looks at that one frame with :func:`parse_header`, and judges it. So the hot loops have no error
paths, and every error is raised in one place.

The functions take and return plain values, keep no state between calls (except for the pool of
masking keys) and use no closures. So a compiled module, frames.pyx, can replace the functions that
every frame passes: it does if it was built, unless the environment variable REACTOR_PURE_PYTHON is
set to anything but "" or "0". ``compiled`` says whether it does.
"""

from __future__ import annotations

import os
import sys
import warnings
from struct import Struct
from typing import Any, Final, NamedTuple

from .events import Ping, Pong

__all__ = [
    "OP_BINARY",
    "OP_CLOSE",
    "OP_CONT",
    "OP_PING",
    "OP_PONG",
    "OP_TEXT",
    "FrameHeader",
    "apply_mask",
    "check_mask",
    "new_mask",
    "parse_header",
    "parse_messages",
    "parse_pings",
    "serialize",
]

# RFC 6455 section 5.2, opcodes. Bit 3 marks the control frames (section 5.5).
OP_CONT: Final = 0x0
OP_TEXT: Final = 0x1
OP_BINARY: Final = 0x2
OP_CLOSE: Final = 0x8
OP_PING: Final = 0x9
OP_PONG: Final = 0xA

_FIN: Final = 0x80
_MASKED: Final = 0x80
_FIN_TEXT: Final = _FIN | OP_TEXT
_FIN_BINARY: Final = _FIN | OP_BINARY
_FIN_PING: Final = _FIN | OP_PING
_FIN_PONG: Final = _FIN | OP_PONG

#: RFC 6455 section 5.5: "All control frames MUST have a payload length of 125 bytes or less".
MAX_CONTROL_PAYLOAD: Final = 125

_pack_short = Struct("!BB").pack
_pack_medium = Struct("!BBH").pack
_pack_long = Struct("!BBQ").pack
_from_bytes = int.from_bytes

#: For payloads of at least this size (bytes), four strided table look-ups beat one big-integer XOR.
_TRANSLATE_FROM: Final = 16384
_xor_tables: list[bytes] = []

_MASKS_PER_DRAW: Final = 512
_masks: list[bytes] = []


class FrameHeader(NamedTuple):
    """What precedes a payload (RFC 6455 section 5.2)."""

    fin: bool
    rsv: int  # the three reserved bits: RSV1 = 4, RSV2 = 2, RSV3 = 1
    opcode: int
    mask: bytes | None
    length: int
    minimal: bool  # whether the length is encoded in the fewest bytes
    start: int  # where in the buffer the payload begins


# Twin: new_mask() in compiled/frames.pyx.
def new_mask() -> bytes:
    """Return a fresh masking key of four unpredictable bytes (RFC 6455 section 5.3).

    Keys come from the operating system's generator, hundreds in one draw: a system call per
    frame would cost more than the masking.

    Raises:
        ValueError: ``os.urandom`` returned less than one key.
    """
    try:
        return _masks.pop()
    except IndexError:
        pool = os.urandom(4 * _MASKS_PER_DRAW)  # may have been replaced by a user's function
        if not isinstance(pool, bytes) or len(pool) < 4:
            raise ValueError(
                f"os.urandom must return at least four bytes, not {pool!r:.60}"
            ) from None
        _masks.extend([pool[i : i + 4] for i in range(4, len(pool) - 3, 4)])  # no call for each
        return pool[:4]


if hasattr(os, "register_at_fork"):
    # A forked child must not use the keys that its parent uses.
    os.register_at_fork(after_in_child=_masks.clear)


def check_mask(key: str | bytes) -> bytes:
    """Return the masking key from a user's function as bytes.

    Args:
        key: four bytes, or four characters up to U+00FF.

    Raises:
        ValueError: the key has another length, or other characters.
        TypeError: it is neither str nor bytes.
    """
    if not isinstance(key, (str, bytes, bytearray)):
        raise TypeError(f"a masking key is four bytes, not {key!r}")
    octets = key.encode("latin-1") if isinstance(key, str) else bytes(key)
    if len(octets) != 4:
        raise ValueError(f"a masking key is four bytes, not {key!r}")
    return octets


# Twin: apply_mask() in compiled/frames.pyx.
def apply_mask(data: bytes, mask: bytes) -> bytes:
    """XOR *data* with the four bytes of *mask*, repeated (RFC 6455 section 5.3).

    The operation is its own inverse.
    """
    length = len(data)
    if length >= _TRANSLATE_FROM:
        return _apply_mask_by_tables(data, mask)
    key = (mask * ((length + 3) >> 2))[:length]
    return (_from_bytes(data, "little") ^ _from_bytes(key, "little")).to_bytes(length, "little")


def _apply_mask_by_tables(data: bytes, mask: bytes) -> bytes:
    if not _xor_tables:
        # In one step: other threads must see all of them, or none.
        _xor_tables[:] = [bytes(i ^ key for i in range(256)) for key in range(256)]
    masked = bytearray(data)
    for i in range(4):
        masked[i::4] = data[i::4].translate(_xor_tables[mask[i]])
    return bytes(masked)


# Twin: serialize() in compiled/frames.pyx.
def serialize(
    opcode: int, payload: bytes | str, mask: bytes | None, fin: bool = True, rsv: int = 0
) -> bytes:
    """Return the frame with this payload (RFC 6455 section 5.2).

    Args:
        opcode: 0 to 15.
        payload: the application data, unmasked; a str is sent as UTF-8.
        mask: the masking key; None for an unmasked frame, which only servers send (5.1).
        fin: whether this is the final fragment of a message (default True).
        rsv: the three reserved bits as a number (RSV1 = 4; default 0).
    """
    if isinstance(payload, str):
        payload = payload.encode()
    first = (_FIN if fin else 0) | rsv << 4 | opcode
    length = len(payload)
    second = 0 if mask is None else _MASKED
    if length < 126:
        header = _pack_short(first, second | length)
    elif length < 65536:
        header = _pack_medium(first, second | 126, length)
    else:
        header = _pack_long(first, second | 127, length)
    if mask is None:
        return header + payload
    return header + mask + apply_mask(payload, mask)


# Twin: parse_messages() in compiled/frames.pyx.
def parse_messages(
    data: bytes,
    pos: int,
    messages: list[Any],
    masked: bool,
    limit: int,
    most: int = sys.maxsize,
    counters: Any = None,
) -> int:
    """Take whole, unfragmented messages off the buffer.

    Args:
        data: the buffer.
        pos: where to begin in it.
        messages: the messages are appended here: str for text, bytes for binary.
        masked: whether frames must be masked, that is: whether we are a server (5.1).
        limit: the greatest length of a message, in bytes.
        most: the greatest number of messages.
        counters: a Counters, which counts the messages and their payload; None: nothing does.

    Returns:
        The position of the first frame that was not taken, or the end of the data.
    """
    end = len(data)
    before = most
    size = 0
    while most > 0 and end - pos >= 2:
        first = data[pos]
        if first != _FIN_TEXT and first != _FIN_BINARY:
            break
        length = data[pos + 1]
        if masked:
            length -= _MASKED
        if length < 126:
            if length < 0:
                break
            start = pos + 2
        elif length == 126:
            start = pos + 4
            if start > end:
                break
            length = data[pos + 2] << 8 | data[pos + 3]
            if length < 126:
                break
        elif length == 127:
            start = pos + 10
            if start > end:
                break
            length = _from_bytes(data[pos + 2 : start], "big")
            if length < 65536:
                break
        else:
            break
        if length > limit:
            break
        if masked:
            start += 4
            stop = start + length
            if stop > end:
                break
            payload = apply_mask(data[start:stop], data[start - 4 : start])
        else:
            stop = start + length
            if stop > end:
                break
            payload = data[start:stop]
        if first == _FIN_TEXT:
            try:
                messages.append(payload.decode())
            except UnicodeDecodeError:
                break
        else:
            messages.append(payload)
        pos = stop
        most -= 1
        size += length
    if counters is not None:
        counters.messages_in += before - most
        counters.payload_in += size
    return pos


# Twin: parse_pings() in compiled/frames.pyx.
def parse_pings(data: bytes, pos: int, events: list[Any], masked: bool, most: int) -> int:
    """Take whole pings and pongs off the buffer.

    Args:
        data: the buffer.
        pos: where to begin in it.
        events: a Ping or Pong is appended here for each.
        masked: whether frames must be masked, as for :func:`parse_messages`.
        most: the greatest number of frames.

    Returns:
        The position of the first frame that was not taken, or the end of the data.
    """
    end = len(data)
    while most > 0 and end - pos >= 2:
        first = data[pos]
        if first != _FIN_PING and first != _FIN_PONG:
            break
        length = data[pos + 1]
        start = pos + 2
        if masked:
            length -= _MASKED
            start += 4
        stop = start + length
        if not 0 <= length <= MAX_CONTROL_PAYLOAD or stop > end:
            break
        payload = data[start:stop]
        if masked:
            payload = apply_mask(payload, data[start - 4 : start])
        events.append(Ping(payload) if first == _FIN_PING else Pong(payload))
        pos = stop
        most -= 1
    return pos


# Twin: parse_header() in compiled/frames.pyx.
def parse_header(data: bytes, pos: int) -> FrameHeader | None:
    """Parse the frame header at *pos*; return None while it is incomplete.

    Nothing is checked: the header has what the peer has sent.
    """
    end = len(data)
    if end - pos < 2:
        return None
    first, second = data[pos], data[pos + 1]
    start = pos + 2
    length = second & 0x7F
    minimal = True
    if length >= 126:
        size = 2 if length == 126 else 8
        start += size
        if start > end:
            return None
        length = _from_bytes(data[pos + 2 : start], "big")
        # RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length"
        minimal = length >= (126 if size == 2 else 65536)
    mask = None
    if second & _MASKED:
        start += 4
        if start > end:
            return None
        mask = data[start - 4 : start]
    return FrameHeader(
        fin=bool(first & _FIN),
        rsv=first >> 4 & 7,
        opcode=first & 0xF,
        mask=mask,
        length=length,
        minimal=minimal,
        start=start,
    )


#: Whether the compiled functions are in use, and if not, why.
compiled = False
not_compiled = ""

if os.environ.get("REACTOR_PURE_PYTHON", "0") not in ("", "0"):
    not_compiled = "the environment variable REACTOR_PURE_PYTHON is set"
else:  # pragma: no cover - coverage is measured without the twins
    try:
        from ..compiled.counters import Counters as _  # noqa: F401 - for counters.py
        from ..compiled.frames import (  # type: ignore[no-redef]
            apply_mask,
            new_mask,
            parse_header,
            parse_messages,
            parse_pings,
            serialize,
        )
    except ModuleNotFoundError as exc:  # there was no compiler
        not_compiled = f"it was not built: {exc}"
    except ImportError as exc:
        not_compiled = str(exc)
        warnings.warn(f"the compiled frames are not used: {exc}", RuntimeWarning, stacklevel=2)
    else:
        compiled = True
