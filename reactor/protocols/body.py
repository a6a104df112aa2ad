"""Bodies: what a server says beside the status with which it refuses an upgrade.

What it is: :class:`BodyParser`, which reads the body of a response, limited.

What it must not know: who wants to know, or what it says.
"""

from __future__ import annotations

import enum
import re

from .http11 import DEFAULT_LIMITS, HeadLimits, Response, has_body

__all__ = ["BodyParser"]

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")  # RFC 9112 section 7.1
_LENGTH = re.compile(r"[0-9]{1,18}")  # more digits than that are no length, but an attack
_MAX_CHUNK_LINE = 256  # bytes of one chunk size with its extensions


class _BodyState(enum.Enum):
    """Where a BodyParser is."""

    DATA = enum.auto()  # -> DONE; the body as it is: Content-Length, or until the end
    CHUNK_SIZE = enum.auto()  # -> CHUNK_DATA, or DONE after the last chunk
    CHUNK_DATA = enum.auto()  # -> CHUNK_END, or DONE at the limit
    CHUNK_END = enum.auto()  # -> CHUNK_SIZE
    DONE = enum.auto()  # from each of them when the body is malformed or the connection ends


class BodyParser:
    """Reads the body of a response that refuses the upgrade, for the error message.

    It never raises for what the peer sends: a malformed body ends where it goes wrong, and one
    over the limit ends there. What came until then is kept.

    Parameters:
        response: the head, which says how the body ends (RFC 9112 section 6.3).
        limits: `max_body_size` bytes are kept at most.
    """

    __slots__ = ("_body", "_line", "_remaining", "_room", "_state")

    def __init__(self, response: Response, limits: HeadLimits = DEFAULT_LIMITS) -> None:
        self._body = bytearray()
        self._room = limits.max_body_size  # bytes that may still be kept
        self._line = bytearray()  # an unfinished line of the chunked coding
        self._remaining = 0  # bytes until the body, or the current chunk, ends
        self._state = self._first_state(response)

    def _first_state(self, response: Response) -> _BodyState:
        codings = [coding.lower() for coding in response.headers.tokens("Transfer-Encoding")]
        lengths = set(response.headers.tokens("Content-Length"))
        self._remaining = self._room  # right for "until the connection ends"
        if not has_body(response.status):
            self._remaining = 0
        elif codings:
            if codings[-1] == "chunked":
                return _BodyState.CHUNK_SIZE if self._room else _BodyState.DONE
        elif lengths:
            length = lengths.pop()
            if lengths or not _LENGTH.fullmatch(length):
                self._remaining = 0  # nobody knows where such a body ends
            else:
                self._remaining = min(int(length), self._room)
        return _BodyState.DATA if self._remaining else _BodyState.DONE

    @property
    def body(self) -> bytes:
        """What there is of the body so far."""
        return bytes(self._body)

    @property
    def done(self) -> bool:
        """Whether no more is to be read; may be so before anything was fed."""
        return self._state is _BodyState.DONE

    def feed(self, data: bytes) -> bool:
        """Take what came (also the head parser's leftover); return whether the body is done."""
        position = 0
        while position < len(data) and self._state is not _BodyState.DONE:
            if self._state in (_BodyState.DATA, _BodyState.CHUNK_DATA):
                position = self._take_data(data, position)
            else:
                position = self._take_line(data, position)
        return self.done

    def feed_eof(self) -> None:
        """Take the end of the connection: the body is what came."""
        self._state = _BodyState.DONE

    def _take_data(self, data: bytes, position: int) -> int:
        piece = data[position : position + min(self._remaining, self._room)]
        self._body += piece
        self._remaining -= len(piece)
        self._room -= len(piece)
        if self._room == 0 or (self._remaining == 0 and self._state is _BodyState.DATA):
            self._state = _BodyState.DONE
        elif self._remaining == 0:
            self._state = _BodyState.CHUNK_END
        return position + len(piece)

    def _take_line(self, data: bytes, position: int) -> int:
        newline = data.find(b"\n", position)
        end = len(data) if newline < 0 else newline
        if len(self._line) + end - position > _MAX_CHUNK_LINE:
            self._state = _BodyState.DONE
            return end
        self._line += data[position:end]
        if newline >= 0:
            line = bytes(self._line).removesuffix(b"\r")
            self._line.clear()
            self._state = self._after_line(line)
        return end + 1

    def _after_line(self, line: bytes) -> _BodyState:
        if self._state is _BodyState.CHUNK_END:
            return _BodyState.DONE if line else _BodyState.CHUNK_SIZE
        match = _CHUNK_LINE.fullmatch(line)
        self._remaining = int(match[1], 16) if match else 0
        # After the last chunk come only trailers, which nobody asked for.
        return _BodyState.CHUNK_DATA if self._remaining else _BodyState.DONE
