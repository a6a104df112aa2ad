"""What is said of a connection in a recording: its ends, its heads, its topics.

What it is: functions that look at a connection, or a socket.

What it must not know: packets, files.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ...base.printable import named
from ...client.url import parse_url
from ...feeds.links.wire import Wire
from ...protocols.events import Role
from ...protocols.http.extensions import build_element
from ...protocols.http.handshake import accept_for
from ...protocols.http.headers import build_head
from .packets import Endpoint
from .redact import redact_head

if TYPE_CHECKING:
    from ...connection.connection import Connection
    from ...feeds.links.link import Link
    from ...protocols.deflate import Agreement
    from ...protocols.websocket import WebSocketProtocol

__all__ = ["ADDED", "FEED", "REMOVED", "Topics", "ends_of", "feed_of", "invented_heads"]

#: How comments begin; a replay knows them.
FEED, ADDED, REMOVED = "feed: ", "topics added: ", "topics removed: "

#: Topics in a comment, and comments on one packet.
IN_A_COMMENT, COMMENTS = 100, 20

#: The addresses of what has none: a unix socket.
OURS, THEIRS = bytes((127, 0, 0, 1)), bytes((127, 0, 0, 2))

#: A key that nobody has drawn: that of RFC 6455 section 1.3.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def ends_of(sock: Any) -> tuple[Endpoint, Endpoint]:
    """Return our end of a socket, and the peer's; what is not known has port 0."""
    try:
        ours, theirs = sock.getsockname(), sock.getpeername()
        kind = socket.AF_INET6 if ":" in ours[0] else socket.AF_INET
        if isinstance(ours, tuple) and isinstance(theirs, tuple):
            one, other = (
                Endpoint(socket.inet_pton(kind, str(host).partition("%")[0]), port)
                for host, port, *_ in (ours, theirs)
            )
            return one, other
    except (OSError, TypeError, ValueError, IndexError):
        pass  # it is gone already, or is no socket of IP
    return Endpoint(OURS, 0), Endpoint(THEIRS, 0)


def invented_heads(connection: Connection, credentials: bool) -> tuple[bytes, bytes]:
    """Return request and answer of a connection that is open; what nobody has kept is made up.

    Args:
        connection: an open one.
        credentials: whether they may be shown.
    """
    agreement = connection.session.agreement
    extensions = None if agreement is None else _element(agreement, connection.lifecycle.role)
    request, response = connection.request, connection.response
    if request is None:
        _scheme, _, rest = str(parse_url(connection.url)).partition("://")
        host, slash, target = rest.partition("/")
        lines = [("Host", host), *_upgrade(), ("Sec-WebSocket-Key", KEY)]
        lines += [("Sec-WebSocket-Version", "13"), *_extension(extensions)]
        asked = build_head(f"GET {slash + target or '/'} HTTP/1.1", lines)
    else:
        asked = build_head(f"GET {request.target} HTTP/1.1", request.headers.items())
    if response is None:
        key = KEY if request is None else request.headers.get("Sec-WebSocket-Key", KEY)
        lines = [*_upgrade(), ("Sec-WebSocket-Accept", accept_for(key or KEY))]
        if connection.subprotocol is not None:
            lines.append(("Sec-WebSocket-Protocol", connection.subprotocol))
        lines += _extension(extensions)
    else:
        lines = response.headers.items()
    answer = build_head("HTTP/1.1 101 Switching Protocols", lines)
    if credentials:
        return asked, answer
    return redact_head(asked), redact_head(answer)


def _upgrade() -> list[tuple[str, str]]:
    return [("Upgrade", "websocket"), ("Connection", "Upgrade")]


def _extension(element: str | None) -> list[tuple[str, str]]:
    return [] if element is None else [("Sec-WebSocket-Extensions", element)]


def _element(agreement: Agreement, role: Role) -> str:
    """Return what an answer says that leads to an agreement."""
    sides = [
        (agreement.send_takeover, agreement.send_bits),
        (agreement.receive_takeover, agreement.receive_bits),
    ]
    (client, client_bits), (server, server_bits) = sides if role is Role.CLIENT else sides[::-1]
    return build_element(not server, not client, server_bits, client_bits)


def feed_of(protocol: WebSocketProtocol) -> Link | None:
    """Return the link of a feed that a protocol object serves; None: it serves none."""
    return protocol.link if isinstance(protocol, Wire) else None


class Topics:
    """What comments say of the topics of a link: those that were added, or removed, since the last.

    Args:
        link: the link.
    """

    __slots__ = ("_link", "_said")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._said: dict[Any, None] = {}

    def __call__(self) -> Sequence[str]:
        """Return the comments that are due."""
        legs = self._link.legs
        if legs.keys() == self._said.keys():
            return ()
        added = [topic for topic in legs if topic not in self._said]
        removed = [topic for topic in self._said if topic not in legs]
        self._said = dict.fromkeys(legs)
        return [*_listed(ADDED, added), *_listed(REMOVED, removed)]


def _listed(title: str, topics: Sequence[Any]) -> Iterable[str]:
    for number, start in enumerate(range(0, len(topics), IN_A_COMMENT)):
        if number == COMMENTS:
            yield f"and {len(topics) - start} more"
            return
        yield title + json.dumps(topics[start : start + IN_A_COMMENT], default=named)
