"""HTTP/1.1 as far as a WebSocket needs it: the heads.

Bytes go in, :class:`Request` and :class:`Response` come out; :func:`build_head` goes the other
way. The module must not know of sockets, of time, or of what a WebSocket handshake has to
contain (that is handshake.py).

How it works: :class:`HeadParser` keeps what came in one buffer, remembers how far it has looked
for a line end, and handles each line as soon as it is complete. No byte is looked at twice, so
a head that trickles in byte by byte costs as much as one that comes at once. Every limit is
checked on the unfinished line as well: an endless head ends at the limit, not at a timeout.

Input is read as strictly as RFC 9112 allows, with two exceptions that it names itself: a bare
LF ends a line, and a few empty lines may come before a request (RFC 9112 section 2.2).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Generic, Literal, NoReturn, TypeVar, cast, overload

from ..exceptions import WebSocketHandshakeException

__all__ = [
    "HeadCutOff",
    "HeadError",
    "HeadLimits",
    "HeadParser",
    "Headers",
    "Request",
    "Response",
    "build_head",
    "build_headers",
    "check_header",
    "has_body",
    "tokens",
]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # what a field value must not hold: 5.5
_TEXT = r"[^\x00-\x08\x0a-\x1f\x7f]*"  # what it may
_HEADER_LINE = re.compile(rf"({_TOKEN.pattern}):({_TEXT})")  # RFC 9112 section 5
_STATUS_LINE = re.compile(  # RFC 9112 section 4
    rf"HTTP/([0-9])\.[0-9] ([1-9][0-9]{{2}})(?: ({_TEXT}))?"
)
_REQUEST_LINE = re.compile(  # RFC 9112 section 3
    rf"({_TOKEN.pattern}) ([\x21-\x7e]+) (HTTP/([0-9])\.[0-9])"
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

    Parameters:
        max_head_size: bytes of a whole head, line ends included.
        max_header_count: header lines in a head.
        max_line_size: bytes of one line, without its line end.
        max_body_size: bytes that are kept of the body of a refusal; 0 keeps none.

    Raises:
        ValueError: a limit is negative.
    """

    max_head_size: int = 65536
    max_header_count: int = 128
    max_line_size: int = 8192
    max_body_size: int = 65536

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value < 0:
                raise ValueError(f"{limit.name} must not be negative, but is {value}")


_DEFAULT_LIMITS = HeadLimits()


class Headers:
    """Header lines in the order they came; names are looked up whatever their case.

    The pairs are taken as they are: the parser checks what comes in, :func:`build_head` what
    goes out.
    """

    __slots__ = ("_pairs", "_values")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs: list[tuple[str, str]] = []
        self._values: dict[str, list[str]] = {}  # lower-case name -> its values
        for name, value in pairs:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        """Append one header line."""
        self._pairs.append((name, value))
        self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        """Return the value; those of repeated lines joined by ", " (RFC 9110 section 5.3)."""
        return ", ".join(self._values[name.lower()])

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return ``self[name]``, or `default` where there is no such header."""
        values = self._values.get(name.lower())
        return default if values is None else ", ".join(values)

    def get_all(self, name: str) -> list[str]:
        """Return one value for each line of this name, [] where there is none."""
        return list(self._values.get(name.lower(), ()))

    def tokens(self, name: str) -> list[str]:
        """Return the elements of a list header, over all its lines; [] where there is none."""
        value = self.get(name)
        return tokens(value) if value else []

    def items(self) -> list[tuple[str, str]]:
        """Return every line as (name, value), names as they were written."""
        return list(self._pairs)

    def to_dict(self) -> dict[str, str]:
        """Return lower-case names -> values, as websocket-client shows headers to its users.

        Of repeated lines the last one counts, but those of Set-Cookie are joined by "; ".
        """
        return {
            name: "; ".join(values) if name == "set-cookie" else values[-1]
            for name, values in self._values.items()
        }

    def __iter__(self) -> Iterator[str]:
        """Iterate over the distinct names, in lower case."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return the number of distinct names."""
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]  # it can change

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request. `target` is as it was sent, `version` is "HTTP/1.x"."""

    method: str
    target: str
    headers: Headers = field(default_factory=Headers)
    version: str = "HTTP/1.1"


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a response. `reason` is "" where the server sent none."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)


def tokens(value: str) -> list[str]:
    """Split a comma-separated header value; empty elements are dropped (RFC 9110 5.6.1)."""
    return [element for part in value.split(",") if (element := part.strip(" \t"))]


def has_body(status: int) -> bool:
    """Say whether a response with this status has a body at all (RFC 9110 section 6.4.1)."""
    return status >= 200 and status not in (204, 304)


def check_header(name: str, value: str) -> None:
    """Check a header that is to be sent.

    Raises:
        ValueError: the name is not a token, or the value holds a control character, which could
            smuggle in a header (RFC 9110 sections 5.1 and 5.5). The message names the header
            and does not show its value, which may be a secret.
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"header name {name!r} is invalid: it is not a token (RFC 9110 5.6.2)")
    if bad := _CONTROL.search(value):
        raise ValueError(
            f"header {name}: the value holds {bad[0]!r} at position {bad.start()}, "
            "which is not allowed in a header"
        )


def build_head(start_line: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a head in bytes, with the empty line that ends it.

    Text is sent as latin-1, a value that doesn't fit into that as UTF-8.

    Raises:
        ValueError: a header, or the start line, cannot be sent (see :func:`check_header`).
    """
    if bad := _CONTROL.search(start_line):
        raise ValueError(f"{bad[0]!r} is not allowed in the line {start_line!r}")
    return _encode(start_line) + b"\r\n" + build_headers(headers) + b"\r\n"


def build_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return header lines in bytes, each with its line end. See :func:`build_head`."""
    lines = []
    for name, value in headers:
        check_header(name, value)
        lines.append(name.encode("ascii") + b": " + _encode(value.strip(" \t")) + b"\r\n")
    return b"".join(lines)


def _encode(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


def _shown(data: bytes | str) -> str:
    """Quote bad input, or a line of it in latin-1, for an error message."""
    if isinstance(data, str):
        data = data.encode("latin-1")
    return repr(data) if len(data) <= _SHOWN else f"{data[:_SHOWN]!r}..."


class _State(enum.Enum):
    """Where a HeadParser is."""

    START_LINE = enum.auto()  # -> HEADERS
    HEADERS = enum.auto()  # -> COMPLETE
    COMPLETE = enum.auto()
    FAILED = enum.auto()  # from START_LINE and HEADERS; final, as COMPLETE is


# Bound once: to look a member up in its class takes ten times as long, up to Python 3.11.
_START_LINE, _HEADERS, _COMPLETE, _FAILED = _State


_Head = TypeVar("_Head", Request, Response)


class HeadParser(Generic[_Head]):
    """Reads one head, however it is cut into pieces.

    Parameters:
        kind: "response" (the default) or "request".
        limits: how large the head may be.

    Attributes:
        leftover: what came after the head (bytes), once it is complete. It belongs to the body,
            or to whatever is spoken after the upgrade, and must not be lost.
        raw: the head as it came (bytes), once it is complete: an eighth of what the parsed one
            takes.
    """

    # fmt: off
    __slots__ = ("_buffer", "_empty_lines", "_head", "_header_count", "_kind", "_limits",
                 "_line_start", "_scanned", "_state", "leftover", "raw")
    # fmt: on

    @overload
    def __init__(
        self: HeadParser[Response],
        kind: Literal["response"] = "response",
        limits: HeadLimits = _DEFAULT_LIMITS,
    ) -> None: ...

    @overload
    def __init__(
        self: HeadParser[Request], kind: Literal["request"], limits: HeadLimits = _DEFAULT_LIMITS
    ) -> None: ...

    def __init__(
        self,
        kind: Literal["response", "request"] = "response",
        limits: HeadLimits = _DEFAULT_LIMITS,
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
        """Take what came; return the head when it is complete, until then None.

        Raises:
            HeadError: the head is malformed or over a limit.
            RuntimeError: the head was complete, or had failed, before.
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
            HeadCutOff: always; it says how many bytes came.
            RuntimeError: the head was complete, or had failed, before.
        """
        self._check_unfinished()
        self._state = _FAILED
        raise HeadCutOff(
            f"the connection ended before the head of the {self._kind} was complete: "
            f"{len(self._buffer)} bytes came: {_shown(bytes(self._buffer))}"
        )

    def _check_unfinished(self) -> None:
        if self._state is _COMPLETE or self._state is _FAILED:
            raise RuntimeError(f"this parser is {self._state.name}: it takes no more data")

    def _read_lines(self) -> bool:
        """Handle the complete lines of the buffer; return whether the empty line came."""
        buffer, limits = self._buffer, self._limits
        end = buffer.rfind(b"\n", self._scanned) + 1  # 0: no line is complete
        # obs-text is read as latin-1: RFC 9110 section 5.5
        lines = buffer[self._line_start : end].decode("latin-1").split("\n")
        for line in lines[:-1]:  # behind the last line end is nothing
            self._line_start += len(line) + 1
            line = line.removesuffix("\r")
            if len(line) > limits.max_line_size or self._line_start > limits.max_head_size:
                raise self._too_large(len(line))
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
        limits = self._limits
        if size > limits.max_line_size or len(self._buffer) > limits.max_head_size:
            raise self._too_large(size)
        if self._state is _START_LINE and size > 0:
            self._check_beginning(bytes(self._buffer[self._line_start : self._line_start + 5]))

    def _too_large(self, line_size: int) -> HeadError:
        limits = self._limits
        if line_size > limits.max_line_size:
            first = self._state is _START_LINE
            return HeadError(
                f"{'the first' if first else 'a header'} line of the {self._kind} is longer than "
                f"max_line_size ({limits.max_line_size} bytes) allows",
                status=414 if first else 431,
            )
        return HeadError(
            f"the head of the {self._kind} is longer than "
            f"max_head_size ({limits.max_head_size} bytes) allows",
            status=431,
        )

    def _check_beginning(self, beginning: bytes) -> None:
        """Refuse what cannot become a start line at once: it may never send a line end.

        The usual cases: a server that speaks something else, a client that speaks TLS.
        """
        if self._kind == "response":
            possible = b"HTTP/".startswith(beginning)
        else:
            possible = _TOKEN.match(beginning.decode("latin-1")) is not None
        if not possible:
            raise HeadError(f"this is not an HTTP {self._kind}: {_shown(bytes(self._buffer))}")

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
        raise HeadError(f"malformed HTTP request line: {_shown(line)}")
    method, target, version, major = match.groups()
    if major != "1":
        raise HeadError(f"the request is not HTTP/1.x: {_shown(line)}", status=505)
    return Request(method, target, version=version)


def _header_fault(line: str) -> str:
    """Say what is wrong with a line that is no header."""
    name, colon, _ = line.partition(":")
    if line[0] in " \t":
        return "is a folded line, which RFC 9112 section 5.2 lets no one send"
    if not colon:
        return "has no colon"
    if name.endswith((" ", "\t")):
        return "has whitespace before the colon (RFC 9112 section 5.1)"
    if not _TOKEN.fullmatch(name):
        return "has an invalid name (RFC 9110 section 5.1)"
    return "has a control character in its value (RFC 9110 section 5.5)"
