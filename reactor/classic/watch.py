"""What websocket-client does beside the opening handshake: the trace, and the cookie jar.

What it is: a HandshakeWatch (client/options.py) for both classic faces.

What it must not know: which face connects.
"""

from __future__ import annotations

from ..client.options import HandshakeWatch
from ..client.url import WebSocketURL
from ..protocols.http.http11 import Response
from ..transports.proxy import Proxy
from .cookies import CookieJar
from .tracing import dump, isEnabledForTrace, trace, warning

__all__ = ["ClassicWatch", "text_of"]


def text_of(octets: bytes) -> str:
    """Return the text of a head: decoded as UTF-8, as websocket-client does, or else latin-1."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


class ClassicWatch(HandshakeWatch):
    """What websocket-client does beside the opening handshake: the trace, and the cookie jar."""

    def cookie(self, url: WebSocketURL) -> str | None:
        """Return the value of the process's cookie jar for a URL."""
        return CookieJar.get(url.host, url.resource.partition("?")[0], url.secure)

    def request_sent(self, head: bytes) -> None:
        """Trace a request."""
        if isEnabledForTrace():
            dump("request header", text_of(head))

    def response_received(self, url: WebSocketURL, response: Response, head: bytes) -> None:
        """Trace a response, and keep its cookies."""
        if isEnabledForTrace():
            trace("--- response header ---")
            for line in head.split(b"\n")[:-2]:  # the last line is empty
                trace(text_of(line.removesuffix(b"\r")))
            trace("-----------------------")
        for value in response.headers.get_all("Set-Cookie"):
            CookieJar.add(value, url.host)

    def proxy_without_tls(self, proxy: Proxy, error: Exception) -> bool:
        """Warn, and go on: websocket-client never uses TLS to a proxy, whatever its URL is."""
        warning(f"{error}; plain HTTP is spoken to it, as if its URL began with http://")
        return True
