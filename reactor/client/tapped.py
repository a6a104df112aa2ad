"""The opening handshakes of a client, told to those who listen to its connections.

What it is: a HandshakeWatch in front of the one of the options. What it must not know: who listens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..connection.wiretap import HandshakeTap, handshake_taps
from .options import ClientOptions, HandshakeWatch

if TYPE_CHECKING:
    from ..connection.connection import Connection
    from ..protocols.http.http11 import Response
    from ..transports.proxy import Proxy
    from ..transports.tls.nested import AnySocket
    from .url import WebSocketURL

__all__ = ["TappedWatch", "tap_handshakes"]


class TappedWatch(HandshakeWatch):
    """Tells a tap, and hands everything on to the watch that there is.

    Args:
        tap: who listens.
        watch: the watch of the options, or None.
    """

    def __init__(self, tap: HandshakeTap, watch: HandshakeWatch | None) -> None:
        self._tap = tap
        self._watch = HandshakeWatch() if watch is None else watch

    def connected(self, url: WebSocketURL, sock: AnySocket) -> None:
        """See HandshakeWatch."""
        self._tap.connected(sock, str(url))
        self._watch.connected(url, sock)

    def cookie(self, url: WebSocketURL) -> str | None:
        """See HandshakeWatch."""
        return self._watch.cookie(url)

    def request_sent(self, head: bytes) -> None:
        """See HandshakeWatch."""
        self._tap.sent(head)
        self._watch.request_sent(head)

    def response_received(self, url: WebSocketURL, response: Response, head: bytes) -> None:
        """See HandshakeWatch."""
        self._tap.received(head)
        self._watch.response_received(url, response, head)

    def body_received(self, body: bytes) -> None:
        """See HandshakeWatch."""
        self._tap.received(body)
        self._watch.body_received(body)

    def closed(self) -> None:
        """See HandshakeWatch."""
        self._tap.closed()
        self._watch.closed()

    def proxy_without_tls(self, proxy: Proxy, error: Exception) -> bool:
        """See HandshakeWatch."""
        return self._watch.proxy_without_tls(proxy, error)


def tap_handshakes(connection: Connection, options: ClientOptions) -> ClientOptions:
    """Return the options for an attempt: where somebody listens, with a watch that tells."""
    taps = handshake_taps(connection.loop, connection)
    if taps is None:
        return options
    return replace(options, watch=TappedWatch(taps, options.watch))
