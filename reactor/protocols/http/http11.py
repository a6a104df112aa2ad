"""HTTP/1.1 as far as a WebSocket needs it: the heads.

Bytes go in, :class:`Request` and :class:`Response` come out. The module must not know about
sockets, time, or what a WebSocket handshake must contain (that is handshake.py).

How it works: :class:`HeadParser` keeps received bytes in one buffer, remembers how far it has
searched for a line end, and handles each line as soon as it is complete. No byte is read twice, so
a head that trickles in byte by byte costs as much as one that arrives at once. Every limit is
checked on the unfinished line as well: an endless head ends at the limit, not at a timeout.

Input is read as strictly as RFC 9112 allows, with two exceptions that the RFC itself names: a bare
LF ends a line, and a few empty lines may precede a request (RFC 9112 section 2.2).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field, fields
from typing import Generic, Literal, NoReturn, TypeVar, cast, overload
from urllib.parse import parse_qs, unquote

from ...base.printable import quoted
from ...exceptions import WebSocketHandshakeException
from .headers import TEXT, TOKEN, Headers

__all__ = [
    "DEFAULT_LIMITS",
    "HeadCutOff",
    "HeadError",
    "HeadLimits",
    "HeadParser",
    "Request",
    "Response",
    "has_body",
    "parse_again",
]

_HEADER_LINE = re.compile(rf"({TOKEN.pattern}):({TEXT})")  # RFC 9112 section 5
_STATUS_LINE = re.compile(  # RFC 9112 section 4
    rf"HTTP/([0-9])\.[0-9] ([1-9][0-9]{{2}})(?: ({TEXT}))?"
)
_REQUEST_LINE = re.compile(  # RFC 9112 section 3
    rf"({TOKEN.pattern}) ([\x21-\x7e]+) (HTTP/([0-9])\.[0-9])"
)

_MAX_EMPTY_LINES = 4  # before a request line
_SHOWN = 60  # bytes of bad input that an error message shows


class HeadError(WebSocketHandshakeException):
    """A head is malformed, too large or cut off.

    Attributes:
        status: the HTTP status (int) with which a server answers such a request.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class HeadCutOff(HeadError):
    """The connection ended before the head was complete."""


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How much of a peer's head and body is read.

    Args:
        max_head_size: bytes of a whole head, including line ends (default 65,536).
        max_header_count: header lines in a head (default 128). A line may be as long as the head.
        max_body_size: bytes that are read of a refusal's body, including those around its chunks
            (default 65,536); 0 reads none.

    Raises:
        ValueError: a limit is negative.
    """

    max_head_size: int = 65536
    max_header_count: int = 128
    max_body_size: int = 65536

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value < 0:
                raise ValueError(f"{limit.name} must not be negative, but is {value}")


DEFAULT_LIMITS = HeadLimits()


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request.

    Attributes:
        method: "GET", for a WebSocket (str).
        target: path and query, as they were sent (str).
        headers: the headers, as they were sent (Headers).
        version: "HTTP/1.0" or "HTTP/1.1" (str).
    """

    method: str
    target: str
    headers: Headers = field(default_factory=Headers)
    version: str = "HTTP/1.1"

    @property
    def path(self) -> str:
        """The path without the query, percent-decoded as UTF-8: "/a b" for "/a%20b?c=1"."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> dict[str, list[str]]:
        """The query by name, decoded, with all values of each in order: {"id": ["1", "2"]}.

        It is parsed anew each time. A name without a value has "".

        Raises:
            ValueError: the query has more than 1,000 pairs.
        """
        query = self.target.partition("?")[2]
        return parse_qs(query, keep_blank_values=True, max_num_fields=1000)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name (RFC 6265 section 4.2); the first of several with one name.

        Values are as they were sent, without quotes around them. They are parsed anew each time.
        """
        cookies: dict[str, str] = {}
        for line in self.headers.get_all("Cookie"):
            for pair in line.split(";"):
                name, equals, value = pair.partition("=")
                value = value.strip()
                if len(value) >= 2 and value[0] == value[-1] == '"':
                    value = value[1:-1]
                if equals and name.strip():
                    cookies.setdefault(name.strip(), value)
        return cookies


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a response. `reason` is "" if the server sent none."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)


def has_body(status: int) -> bool:
    """Return whether a response with this status has a body at all (RFC 9110 section 6.4.1)."""
    return status >= 200 and status not in (204, 304)


def _shown(data: bytes | bytearray | str, kind: str = "") -> str:
    """Quote bad input, or a line of it in latin-1, for an error message.

    Of a request, what follows a question mark is left out: tokens are often in the query.
    """
    text = data.encode("latin-1") if isinstance(data, str) else bytes(data)
    if kind == "request" and b"?" in text:
        text = text[: text.index(b"?")] + b"?..."
    return quoted(text, _SHOWN)


class _State(enum.Enum):
    """The states of a HeadParser."""

    START_LINE = enum.auto()  # -> HEADERS
    HEADERS = enum.auto()  # -> COMPLETE
    COMPLETE = enum.auto()
    FAILED = enum.auto()  # from START_LINE and HEADERS; final, as COMPLETE is


# Bound once: looking a member up in its class takes ten times as long, up to Python 3.11.
_START_LINE, _HEADERS, _COMPLETE, _FAILED = _State


_Head = TypeVar("_Head", Request, Response)


class HeadParser(Generic[_Head]):
    """Reads one head, in pieces of any size.

    Args:
        kind: "response" (the default) or "request".
        limits: how large the head may be.

    Attributes:
        leftover: the bytes after the head, once it is complete. They belong to the body, or to the
            protocol after the upgrade, and must not be lost.
        raw: the bytes of the head, once it is complete: they take an eighth of the memory of the
            parsed head.
    """

    # fmt: off
    __slots__ = ("_buffer", "_empty_lines", "_head", "_header_count", "_kind", "_limits",
                 "_line_start", "_scanned", "_state", "leftover", "raw")
    # fmt: on

    @overload
    def __init__(
        self: HeadParser[Response],
        kind: Literal["response"] = "response",
        limits: HeadLimits = DEFAULT_LIMITS,
    ) -> None: ...

    @overload
    def __init__(
        self: HeadParser[Request], kind: Literal["request"], limits: HeadLimits = DEFAULT_LIMITS
    ) -> None: ...

    def __init__(
        self,
        kind: Literal["response", "request"] = "response",
        limits: HeadLimits = DEFAULT_LIMITS,
    ) -> None:
        self._kind = kind
        self._limits = limits
        self._state = _START_LINE
        self._buffer = bytearray()
        self._line_start = 0  # where in the buffer the unfinished line begins
        self._scanned = 0  # no line end is between _line_start and here
        self._empty_lines = 0  # skipped before a request line
        self._header_count = 0
        self._head: Request | Response | None = None  # set by the start line
        self.leftover = b""
        self.raw = b""

    def feed(self, data: bytes) -> _Head | None:
        """Take received bytes.

        Returns:
            The head once it is complete, None until then.

        Raises:
            HeadError: the head is malformed or over a limit.
            RuntimeError: the parser had finished, or failed, before.
        """
        self._check_unfinished()
        self._buffer += data
        try:
            if not self._read_lines():
                return None
        except HeadError:
            self._state = _FAILED
            raise
        self._state = _COMPLETE
        received = bytes(self._buffer)
        self.leftover = received[self._line_start :]
        self.raw = received[: self._line_start]
        self._buffer.clear()
        return cast(_Head, self._head)

    def feed_eof(self) -> NoReturn:
        """Take the end of the connection, before the head was complete.

        Raises:
            HeadCutOff: always; it says how many bytes were received.
            RuntimeError: the parser had finished, or failed, before.
        """
        self._check_unfinished()
        self._state = _FAILED
        raise HeadCutOff(
            f"the connection ended before the head of the {self._kind} was complete: "
            f"{len(self._buffer)} bytes were received: {_shown(self._buffer, self._kind)}"
        )

    def _check_unfinished(self) -> None:
        if self._state is _COMPLETE or self._state is _FAILED:
            raise RuntimeError(f"this parser is {self._state.name}: it takes no more data")

    def _read_lines(self) -> bool:
        """Handle the complete lines of the buffer; return whether the empty line was among them."""
        buffer, limits = self._buffer, self._limits
        end = buffer.rfind(b"\n", self._scanned) + 1  # 0: no line is complete
        # obs-text is decoded as latin-1: RFC 9110 section 5.5
        lines = buffer[self._line_start : end].decode("latin-1").split("\n")
        for line in lines[:-1]:  # nothing follows the last line end
            self._line_start += len(line) + 1
            if self._line_start > limits.max_head_size:
                raise self._too_large()
            line = line.removesuffix("\r")
            if self._state is _START_LINE:
                self._take_start_line(line)
            elif line:
                self._take_header(line)
            else:
                return True
        self._scanned = len(buffer)
        self._check_unfinished_line()
        return False

    def _check_unfinished_line(self) -> None:
        size = len(self._buffer) - self._line_start
        if self._buffer.endswith(b"\r"):
            size -= 1  # it may belong to the line end
        if len(self._buffer) > self._limits.max_head_size:
            raise self._too_large()
        if self._state is _START_LINE and size > 0:
            self._check_beginning(bytes(self._buffer[self._line_start : self._line_start + 5]))

    def _too_large(self) -> HeadError:
        first = self._state is _START_LINE
        return HeadError(
            f"the {'first line' if first else 'head'} of the {self._kind} is longer than "
            f"max_head_size ({self._limits.max_head_size} bytes) allows",
            status=414 if first else 431,
        )

    def _check_beginning(self, beginning: bytes) -> None:
        """Refuse at once what cannot become a start line: such a peer may never send a line end.

        The usual cases: a server that speaks another protocol, a client that speaks TLS.
        """
        if self._kind == "response":
            possible = b"HTTP/".startswith(beginning)
        else:
            possible = TOKEN.match(beginning.decode("latin-1")) is not None
        if not possible:
            raise HeadError(f"this is not an HTTP {self._kind}: {_shown(self._buffer, self._kind)}")

    def _take_start_line(self, line: str) -> None:
        if self._kind == "response":
            self._head = _parse_status_line(line)
        elif line or self._empty_lines == _MAX_EMPTY_LINES:
            self._head = _parse_request_line(line)
        else:  # RFC 9112 section 2.2
            self._empty_lines += 1
            return
        self._state = _HEADERS

    def _take_header(self, line: str) -> None:
        self._header_count += 1
        if self._header_count > self._limits.max_header_count:
            raise HeadError(
                f"the {self._kind} has more headers than "
                f"max_header_count ({self._limits.max_header_count}) allows",
                status=431,
            )
        match = _HEADER_LINE.fullmatch(line)
        if match is None:
            number = self._header_count
            raise HeadError(f"header line {number} {_header_fault(line)}: {_shown(line)}")
        name, value = match.groups()
        assert self._head is not None  # the start line set it
        self._head.headers.add(name, value.strip(" \t"))


@overload
def parse_again(kind: Literal["response"], raw: bytes) -> Response: ...


@overload
def parse_again(kind: Literal["request"], raw: bytes) -> Request: ...


def parse_again(kind: Literal["response", "request"], raw: bytes) -> Request | Response:
    """Parse the ``raw`` of a HeadParser again, and return the head."""
    head = HeadParser(kind, HeadLimits(len(raw), len(raw))).feed(raw)
    assert head is not None  # it was complete
    return head


def _parse_status_line(line: str) -> Response:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise HeadError(f"malformed HTTP status line: {_shown(line)}")
    major, status, reason = match.groups("")
    if major != "1":
        raise HeadError(f"the response is not HTTP/1.x: {_shown(line)}")
    return Response(int(status), reason)


def _parse_request_line(line: str) -> Request:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise HeadError(f"malformed HTTP request line: {_shown(line, 'request')}")
    method, target, version, major = match.groups()
    if major != "1":
        raise HeadError(f"the request is not HTTP/1.x: {_shown(line, 'request')}", status=505)
    return Request(method, target, version=version)


def _header_fault(line: str) -> str:
    """Return what is wrong with a line that is not a header."""
    name, colon, _ = line.partition(":")
    if line[0] in " \t":
        return "is a folded line, which RFC 9112 section 5.2 forbids"
    if not colon:
        return "has no colon"
    if name.endswith((" ", "\t")):
        return "has whitespace before the colon (RFC 9112 section 5.1)"
    if not TOKEN.fullmatch(name):
        return "has an invalid name (RFC 9110 section 5.1)"
    return "has a control character in its value (RFC 9110 section 5.5)"
