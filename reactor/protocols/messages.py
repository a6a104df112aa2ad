"""Messages: putting the pieces of data frames together (RFC 6455 sections 5.4, 5.6 and 8.1).

What it is: the assembler of one direction of one connection. It is needed only for messages
that arrive in fragments, or whose frame arrives in several reads; for compressed messages; and for
text that is not decoded.

What it must not know: what frames look like on the wire, or what is done with a message.

How it works. ``begin_frame`` announces a frame by its header. It checks all rules about sequences
and sizes, before any payload is stored. ``add`` takes the payload in pieces, as they arrive.
``finish`` returns the message after its last piece. Text is decoded piece by piece, so a wrong byte
is found as soon as it arrives (RFC 6455 section 8.1 with 7.1.7), and a character may be split
anywhere. A compressed message is inflated piece by piece, and the limit applies to the inflated
bytes: no more than that is ever in memory. A compressed message costs its sender next to nothing,
so what counts is the memory that it takes here.
"""

from __future__ import annotations

import re
import sys
from codecs import utf_8_decode
from dataclasses import dataclass
from typing import Any, Final

from ..exceptions import (
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketProtocolException,
)
from .deflate import Compression
from .frames import OP_CONT, OP_TEXT

__all__ = ["MOST", "MessageAssembler", "MessageLimits", "decode_text"]

#: The greatest possible limit.
MOST = sys.maxsize // 2

#: Bytes of memory that a compressed text may always take: as much as 16 MiB of UTF-8 can.
LARGE_TEXT: Final = 64 * 1024 * 1024

# In UTF-8: the first bytes of characters that make a str take 4 or 2 bytes for each character, and
# the bytes that do not begin a character.
_FOUR_BYTES = re.compile(rb"[\xf0-\xf4]")
_TWO_BYTES = re.compile(rb"[\xc4-\xef]")
_CONTINUATION = bytes(range(0x80, 0xC0))

#: Bytes of memory that a str with characters beyond ASCII takes in addition to them.
_STR_OVERHEAD: Final = sys.getsizeof(chr(0x80) * 1000) - 1001

#: How many pieces are kept before they are joined.
MAX_PIECES = 1024

# glibc's malloc() gives large blocks back to the system as soon as they are freed, until a block of
# that size has been freed once. For a message of 1 MiB, the kernel would make, zero and throw away
# the pages several times: two thirds of the message's cost. This block is never touched. Its price:
# up to twice its size may stay with the process after large messages.
bytes(4 * 1024 * 1024)


@dataclass(frozen=True)
class MessageLimits:
    """What a peer may send before the connection is ended with code 1009.

    Attributes:
        max_message_size: bytes of a message, however fragmented, once inflated. Default 16 MiB.
            A compressed text of more than 64 MiB counts by its size in memory, where a str has 1, 2
            or 4 bytes for each of its characters: a kilobyte can become 4 MB.
        max_fragments: frames of a message. Default 65,536 (a one-byte fragment costs us far
            more than the peer).

    Raises:
        ValueError: a limit is not an int, or is out of range; the message names it.
    """

    max_message_size: int = 16 * 1024 * 1024
    max_fragments: int = 65536

    def __post_init__(self) -> None:
        for name in ("max_message_size", "max_fragments"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= MOST:
                raise ValueError(f"{name} must be an int from 0 to {MOST}, not {value!r}")


def decode_text(data: bytes) -> str:
    """Decode a whole text payload.

    Raises:
        WebSocketPayloadException: it is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise _not_utf8(exc) from None


def bytes_per_character(text: str) -> int:
    """Return how many bytes of memory each character of a str takes: 1, 2 or 4."""
    if text.isascii():
        return 1
    if len(text) == 1:  # Python caches these, together with their UTF-8
        return 1 if text < "\u0100" else 2 if text < "\U00010000" else 4
    return (sys.getsizeof(text) - _STR_OVERHEAD) // (len(text) + 1)


def decoded_size(data: bytes) -> int:
    """Return how many bytes of memory this UTF-8 takes once it is decoded to a str."""
    if data.isascii():
        return len(data)
    width = 4 if _FOUR_BYTES.search(data) else 2 if _TWO_BYTES.search(data) else 1
    return width * len(data.translate(None, _CONTINUATION))


def check_decoded_size(data: bytes, limit: int) -> None:
    """Check that a text does not take too much memory as a str.

    Args:
        data: the text in UTF-8, of at most *limit* bytes.
        limit: max_message_size. LARGE_TEXT is always allowed.

    Raises:
        WebSocketMessageTooBigException: it takes too much.
    """
    most = max(limit, LARGE_TEXT)
    if 4 * len(data) > most and (size := decoded_size(data)) > most:
        raise WebSocketMessageTooBigException(
            f"the text takes {size} bytes of memory, which exceeds max_message_size={limit}"
        )


def _not_utf8(exc: UnicodeDecodeError) -> WebSocketPayloadException:
    wrong = exc.object[exc.start : exc.start + 4]
    place = f"{exc.reason} at {wrong!r} (byte {exc.start} of {len(exc.object)})"
    return WebSocketPayloadException(f"cannot decode: not UTF-8, {place}")


class MessageAssembler:
    """Assembles one message after the other.

    Args:
        limits: how large a message may be.
        decode_text: True (default): texts become str. False: texts stay bytes, valid or not.

    Attributes:
        held: how much of the message is kept here: characters or bytes.
        memory: bytes of memory that a compressed message takes so far.
        size: bytes of the message so far: announced by headers, or inflated.
    """

    __slots__ = (
        "_blocks",
        "_characters",
        "_compression",
        "_decode_text",
        "_fragments",
        "_limits",
        "_opcode",
        "_pieces",
        "_undecoded",
        "_width",
        "held",
        "memory",
        "size",
    )

    def __init__(self, limits: MessageLimits, decode_text: bool = True) -> None:
        self._limits = limits
        self._decode_text = decode_text
        #: The opcode of the message in progress; None between messages.
        self._opcode: int | None = None
        self._pieces: list[Any] = []  # all str, or all bytes
        self._blocks: list[Any] = []  # earlier pieces, joined by the thousand
        #: What inflates the message in progress; None: it is not compressed.
        self._compression: Compression | None = None
        self._fragments = 0  # frames begun for the message so far
        self.held = 0
        self.size = 0
        self.memory = 0
        # Of a compressed message: its characters or bytes so far, and the memory of each.
        self._characters = 0
        self._width = 1
        self._undecoded = b""  # at most three bytes: the beginning of a character

    @property
    def in_progress(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._opcode is not None

    @property
    def compressed(self) -> bool:
        """Whether the message in progress is compressed."""
        return self._compression is not None

    @property
    def unconsumed(self) -> int:
        """How many bytes of the last piece must be given to :meth:`add` again."""
        return 0 if self._compression is None else self._compression.unconsumed

    @property
    def is_text(self) -> bool:
        """Whether the message in progress is a text."""
        return self._opcode == OP_TEXT

    def begin_frame(self, opcode: int, length: int, compression: Compression | None = None) -> None:
        """Announce a data frame.

        Args:
            opcode: the opcode of the frame.
            length: the length of its payload, in bytes.
            compression: what inflates the message, if this frame begins a compressed one.

        Raises:
            WebSocketProtocolException: the frame cannot follow the frames before it (RFC 6455
                section 5.4).
            WebSocketMessageTooBigException: a limit is exceeded.
        """
        if opcode == OP_CONT:
            if self._opcode is None:
                raise WebSocketProtocolException("Illegal frame: a continuation without a message")
        elif self._opcode is not None:
            raise WebSocketProtocolException("Illegal frame: a message begins within another one")
        else:
            self._opcode = opcode
            self._compression = compression
        if self._compression is None:
            self.size += length
        self._fragments += 1
        if self.size > self._limits.max_message_size:
            raise WebSocketMessageTooBigException(
                f"message of at least {self.size} bytes exceeds "
                f"max_message_size={self._limits.max_message_size}"
            )
        if self._fragments > self._limits.max_fragments:
            raise WebSocketMessageTooBigException(
                f"message exceeds max_fragments={self._limits.max_fragments}"
            )

    def add(self, piece: bytes, last: bool, most: int = sys.maxsize) -> bytes:
        """Take a piece of the announced frame's payload, unmasked.

        Args:
            piece: the next bytes.
            last: whether they are the last of the message.
            most: about how many bytes of a compressed message this call inflates; ``unconsumed``
                says how many bytes at the end of *piece* must be given again.

        Returns:
            The piece, inflated if the message is compressed.

        Raises:
            WebSocketPayloadException: the text is not UTF-8, found as soon as possible, or the
                message cannot be inflated.
            WebSocketMessageTooBigException: the message inflates beyond its limit.
        """
        if self._compression is not None:
            limit = self._limits.max_message_size
            piece = self._compression.inflate(piece, last, limit - self.size, limit, most)
            self.size += len(piece)
            last = last and not self._compression.unconsumed
        if self._opcode == OP_TEXT and self._decode_text:
            kept: str | bytes = self._decode(piece, last)
        else:
            kept = piece
        if self._compression is not None:
            self._weigh(kept)
        self._pieces.append(kept)
        self.held += len(kept)
        if len(self._pieces) >= MAX_PIECES:
            # A peer that sends byte by byte must not cost fifty times what it sends.
            self._blocks.append(self._empty.join(self._pieces))
            self._pieces.clear()
        return piece

    def _weigh(self, piece: str | bytes) -> None:
        """Count the memory that a piece of a compressed message takes."""
        if isinstance(piece, str):
            self._width = max(self._width, bytes_per_character(piece))
        self._characters += len(piece)
        # One wide character makes all of them wide, once they are joined.
        self.memory = self._characters * self._width
        limit = self._limits.max_message_size
        if self.memory > max(limit, LARGE_TEXT):
            raise WebSocketMessageTooBigException(
                f"compressed text takes at least {self.memory} bytes of memory, which exceeds "
                f"max_message_size={limit}"
            )

    def _decode(self, piece: bytes, last: bool) -> str:
        if self._undecoded:
            piece = self._undecoded + piece
        try:
            text, consumed = utf_8_decode(piece, "strict", last)
        except UnicodeDecodeError as exc:
            raise _not_utf8(exc) from None
        self._undecoded = piece[consumed:]
        if b"\xed\xa0" <= self._undecoded < b"\xee":
            # Certainly a surrogate, but the codec would wait for its third byte.
            wrong = UnicodeDecodeError("utf-8", piece, consumed, len(piece), "surrogate")
            raise _not_utf8(wrong)
        return text

    @property
    def _empty(self) -> Any:
        return "" if self._opcode == OP_TEXT and self._decode_text else b""

    def take(self) -> str | bytes:
        """Return the part of the message that has arrived, and no longer keep it.

        An incomplete character stays for the next time.
        """
        taken: str | bytes = self._empty.join(self._blocks + self._pieces)
        self._pieces.clear()
        self._blocks.clear()
        self.held = 0
        return taken

    def finish(self) -> str | bytes:
        """Return the message, after its last piece, and be ready for the next."""
        message = self.take()
        self._opcode = None
        self._compression = None
        self.size = self.memory = self._characters = 0
        self._width = 1
        self._fragments = 0
        return message
