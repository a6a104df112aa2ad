"""What ``process_request`` may decide about a client's request.

What it is: the answers that it can give: HTTPResponse, Accept, or None.

What it must not know: sockets, time, how the answer gets to the client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..base.mistakes import check_called, did_you_mean
from ..connection.options import ConnectionOptions
from ..protocols.http.answers import build_rejection
from ..protocols.http.handshake import HeaderSource, normalize_headers
from ..protocols.http.http11 import Request
from ..protocols.websocket import WebSocketProtocol

if TYPE_CHECKING:
    from socket import socket

__all__ = ["Accept", "Decision", "HTTPResponse", "ProcessRequest"]

_CHANGEABLE = frozenset(option.name for option in fields(ConnectionOptions))


@dataclass(frozen=True)
class HTTPResponse:
    """An answer that ``process_request`` gives in place of a WebSocket; the connection ends.

    Parameters:
        status: 200 to 599.
        headers: further headers: a dict, a list of pairs or of "Name: value" lines.
            Content-Length is set from the body; Content-Type is text/plain where none is given.
            Errors (400 to 599) have Date and ``X-Content-Type-Options: nosniff``, if not given.
        body: bytes, or str, which is sent as UTF-8. There is none for 204 and 304, nor for a
            HEAD request.

    Raises ValueError or TypeError for what cannot be sent. One object may answer any number of
    requests.
    """

    status: int
    headers: HeaderSource = None
    body: bytes | str = b""

    def __post_init__(self) -> None:
        for name, kind in (("status", int), ("body", (bytes, str))):
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(f"{name} must not be {type(value).__name__}: {value!r}")
        object.__setattr__(self, "headers", normalize_headers(self.headers))
        self.to_bytes()  # what cannot be sent is an error here

    def to_bytes(self, method: str = "GET", further: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the whole answer to a request with this method.

        Parameters:
            further: headers that it has unless it has some of the same name.
        """
        headers = normalize_headers(self.headers)
        names = {name.lower() for name, _ in headers}
        headers = [pair for pair in further if pair[0].lower() not in names] + headers
        answer = build_rejection(self.status, None, headers, self.body)
        if method == "HEAD":  # RFC 9110 section 9.3.2: as for GET, but without the body
            head, empty_line, _ = answer.partition(b"\r\n\r\n")
            return head + empty_line
        return answer


class Accept:
    """What ``process_request`` returns to take a client, and to say how.

    Parameters:
        protocol: a function without parameters (a class, a ``functools.partial``) that returns
            the protocol object for this client, called once the connection is open; or such an
            object. None: what ``listen`` was given.
        headers: further headers of the answer, Set-Cookie for example.
        options: those of :class:`ConnectionOptions` that differ for this client, by name:
            ``max_message_size=1 << 20``.

    Raises TypeError for another name, or when *protocol* is neither. The client is still
    checked: an upgrade in good form, of an origin that is allowed.
    """

    __slots__ = ("headers", "options", "protocol")

    def __init__(
        self,
        protocol: Callable[[], WebSocketProtocol] | WebSocketProtocol | None = None,
        *,
        headers: HeaderSource = None,
        **options: Any,
    ) -> None:
        usable = protocol is None or callable(protocol) or isinstance(protocol, WebSocketProtocol)
        if not usable:
            raise TypeError(f"protocol must be a function or a protocol object, not {protocol!r}")
        if unknown := options.keys() - _CHANGEABLE:
            name = min(unknown)
            hint = did_you_mean(name, _CHANGEABLE)
            raise TypeError(f"a client has no option {name!r} of its own{hint}")
        check_called("protocol", protocol)
        self.protocol = protocol
        self.headers = normalize_headers(headers)
        self.options = options


Decision = HTTPResponse | Accept | None
ProcessRequest = Callable[[Request, "socket"], Decision | Awaitable[Decision]]
