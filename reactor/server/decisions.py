"""What ``process_request`` may decide about a client's request.

What it is: the answers that it can return: HTTPResponse, Accept, or None.

What it must not know: sockets, time, how the answer gets to the client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ..base.arguments import parameters, shows
from ..base.mistakes import check_called, did_you_mean
from ..connection.options import ConnectionOptions
from ..protocols.http.answers import build_rejection
from ..protocols.http.handshake import HeaderSource, check_subprotocols, normalize_headers
from ..protocols.http.http11 import Request
from ..protocols.websocket import WebSocketProtocol

if TYPE_CHECKING:
    from socket import socket

    from typing_extensions import Unpack  # type checkers know it: it need not be installed

    from ..connection.options import ConnectionArguments

__all__ = ["Accept", "Decision", "HTTPResponse", "ProcessRequest", "Subprotocols"]

Subprotocols = Sequence[str] | Callable[[Request, tuple[str, ...]], str | None]

_CHANGEABLE = frozenset(option.name for option in fields(ConnectionOptions))


@dataclass(frozen=True)
class HTTPResponse:
    """An answer that ``process_request`` returns instead of a WebSocket; the connection ends.

    Args:
        status: 200 to 599.
        headers: further headers: a dict, a list of pairs or of "Name: value" lines.
            Content-Length is set from the body; Content-Type is text/plain if none is given.
            Errors (400 to 599) get Date and ``X-Content-Type-Options: nosniff``, if not given.
        body: bytes, or str, which is sent as UTF-8. It is not sent with 204 and 304, nor in answer
            to a HEAD request.

    One object may answer any number of requests.

    Raises:
        ValueError, TypeError: a value cannot be sent.
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
        self.to_bytes()  # raises if something cannot be sent

    def to_bytes(self, method: str = "GET", further: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the whole answer to a request with this method.

        Args:
            method: the method of the request.
            further: headers to add, unless the answer has headers of the same name.
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
    """Returned by ``process_request`` to accept a client, and to say how.

    Args:
        protocol: a function without parameters (a class, a ``functools.partial``) that returns
            the protocol object for this client, called once the connection is open; or such an
            object. None: the factory that ``listen`` was given.
        headers: further headers of the answer, Set-Cookie for example.
        subprotocols: in place of the option of ServerOptions, for this client; None: as there.
        process_response: a function that is called with the head of the answer (bytes) before it
            is sent, and returns it or another one; or an HTTPResponse, which is sent instead of a
            WebSocket. It may be an ``async def`` as ``process_request`` may. None: as it is.
        options: the options of :class:`ConnectionOptions` that differ for this client, by name:
            ``max_message_size=1 << 20``.

    The client is still checked: the upgrade must be valid, and the origin allowed.

    Raises:
        TypeError: there is no such option, or *protocol* is neither a function nor a protocol
            object.
    """

    __slots__ = ("headers", "options", "process_response", "protocol", "subprotocols")

    @shows(parameters(ConnectionOptions))
    def __init__(
        self,
        protocol: Callable[[], WebSocketProtocol] | WebSocketProtocol | None = None,
        *,
        headers: HeaderSource = None,
        subprotocols: Subprotocols | None = None,
        process_response: ProcessResponse | None = None,
        **options: Unpack[ConnectionArguments],
    ) -> None:
        if TYPE_CHECKING:
            ConnectionOptions(**options)  # what jedi follows, to know which they are
        usable = protocol is None or callable(protocol) or isinstance(protocol, WebSocketProtocol)
        if not usable:
            raise TypeError(f"protocol must be a function or a protocol object, not {protocol!r}")
        if unknown := options.keys() - _CHANGEABLE:
            name = min(unknown)
            hint = did_you_mean(name, _CHANGEABLE)
            raise TypeError(f"a client has no option {name!r} of its own{hint}")
        if process_response is not None and not callable(process_response):
            raise TypeError(f"process_response must be a function, not {process_response!r}")
        check_called("subprotocols", subprotocols)
        if subprotocols is not None and not callable(subprotocols):
            check_subprotocols(subprotocols)
        check_called("protocol", protocol)
        self.protocol = protocol
        self.headers = normalize_headers(headers)
        self.subprotocols = subprotocols
        self.process_response = process_response
        self.options = options


Decision = HTTPResponse | Accept | None
ProcessResponse = Callable[[bytes], bytes | HTTPResponse | Awaitable[bytes | HTTPResponse]]
ProcessRequest = Callable[[Request, "socket"], Decision | Awaitable[Decision]]
