"""Bodies: what a server adds to the status with which it refuses an upgrade.

What it is: :class:`BodyParser`, which reads the body of a response, up to a limit.

What it must not know: what the body is for, or what it says.
"""

from __future__ import annotations

import enum
import re

from .http11 import DEFAULT_LIMITS, HeadLimits, Response, has_body

__all__ = ["BodyParser"]

# What is between the data of two chunks: a line end, and the size of the next chunk (RFC 9112
# section 7.1), with extensions, which are ignored.
_BETWEEN = re.compile(rb"\r?\n([0-9A-Fa-f]{1,15})[ \t]{0,16}(?:;[^\n]{0,256})?\r?\n")
_MAX_BETWEEN = 300  # more bytes than it can have
_LENGTH = re.compile(r"[0-9]{1,18}")  # more digits are not a length, but an attack


class _BodyState(enum.Enum):
    """The states of a BodyParser."""

    DATA = enum.auto()  # -> DONE; the body as it is: Content-Length, or until the end
    CHUNKS = enum.auto()  # -> DONE; after the data of a chunk, or in it
    DONE = enum.auto()  # also at the limit, if the body is malformed or the connection ends


class BodyParser:
    """Reads the body of a response that refuses the upgrade, for the error message.

    It never raises because of what the peer sends: a malformed body ends at its first fault, and a
    body over the limit ends at the limit. The part before that is kept.

    Args:
        response: the head, which says how the body ends (RFC 9112 section 6.3).
        limits: at most `max_body_size` bytes are read, including those around chunks.
    """

    __slots__ = ("_body", "_remaining", "_room", "_state", "_unread")

    def __init__(self, response: Response, limits: HeadLimits = DEFAULT_LIMITS) -> None:
        self._body = bytearray()
        self._room = limits.max_body_size  # bytes that may still be read
        self._unread = b"\n"  # chunked coding: as if the data of a chunk had just ended
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
                self._remaining = 0
                return _BodyState.CHUNKS if self._room else _BodyState.DONE
        elif lengths:
            length = lengths.pop()
            if lengths or not _LENGTH.fullmatch(length):
                self._remaining = 0  # nobody knows where such a body ends
            else:
                self._remaining = int(length)
        return _BodyState.DATA if self._remaining and self._room else _BodyState.DONE

    @property
    def body(self) -> bytes:
        """The part of the body that has been read."""
        return bytes(self._body)

    @property
    def done(self) -> bool:
        """Whether nothing more will be read; may be true before anything was fed."""
        return self._state is _BodyState.DONE

    def feed(self, data: bytes) -> bool:
        """Take received bytes (or the head parser's leftover); return whether the body is done."""
        if self._state is not _BodyState.DONE:
            data = data[: self._room]
            self._room -= len(data)
            if self._state is _BodyState.DATA:
                self._take_data(data)
            else:
                self._take_chunks(self._unread + data)
            if not self._room:
                self._state = _BodyState.DONE
        return self.done

    def feed_eof(self) -> None:
        """Take the end of the connection: it ends the body."""
        self._state = _BodyState.DONE

    def _take_data(self, data: bytes) -> None:
        self._body += data[: self._remaining]
        self._remaining -= min(len(data), self._remaining)
        if not self._remaining:
            self._state = _BodyState.DONE

    def _take_chunks(self, data: bytes) -> None:
        body, remaining, position = self._body, self._remaining, 0
        while True:
            end = position + remaining
            body += data[position:end]
            if end > len(data):
                self._remaining, self._unread = end - len(data), b""
                return
            between = _BETWEEN.match(data, end)
            if between is None:
                self._remaining, self._unread = 0, data[end:]
                if not _may_become_more(self._unread):
                    self._state = _BodyState.DONE
                return
            remaining, position = int(between[1], 16), between.end()
            if not remaining:
                # Only trailers follow the last chunk, and they are ignored.
                self._state = _BodyState.DONE
                return


def _may_become_more(data: bytes) -> bool:
    """Return whether the bytes after a chunk's data may begin what must follow it."""
    line = data.removeprefix(b"\r")
    if not line.startswith(b"\n"):
        return not line
    return len(data) < _MAX_BETWEEN and b"\n" not in line[1:]
