"""What websocket-client does beside the opening handshake: the trace, and the cookie jar.

What it is: a HandshakeWatch (options.py) for both classic faces.

What it must not know: who connects.
"""

from __future__ import annotations

from ..options import HandshakeWatch
from ..protocols.http11 import Response
from .cookies import CookieJar
from .trace import dump, isEnabledForTrace, trace

__all__ = ["ClassicWatch"]


class ClassicWatch(HandshakeWatch):
    """What websocket-client does beside the opening handshake: the trace, and the cookie jar."""

    def cookie(self, host: str) -> str | None:
        """Return what the jar of the process has for a host."""
        return CookieJar.get(host)

    def request_sent(self, head: bytes) -> None:
        """Trace a request."""
        if isEnabledForTrace():
            dump("request header", head.decode(errors="replace"))

    def response_received(self, host: str, response: Response, head: bytes) -> None:
        """Trace a response, and keep its cookies."""
        if isEnabledForTrace():
            trace("--- response header ---")
            for line in head.decode(errors="replace").split("\r\n")[:-2]:
                trace(line)
            trace("-----------------------")
        for value in response.headers.get_all("Set-Cookie"):
            CookieJar.add(value, host)
