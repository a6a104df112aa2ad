"""What the pages of the monitor share: who may ask, and how files and figures are answered.

What it is: :class:`Access`, which refuses requests; functions that make answers.

What it must not know: what is watched.

How it works. A page of some other site must not read any of this through the user's browser:
requests that name another origin are refused, and without a token the Host header must name this
machine, since a site's name may be made to point at it (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Callable, Mapping
from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import quote

from ...server.decisions import HTTPResponse

if TYPE_CHECKING:
    from ...protocols.http.http11 import Request
    from ..metrics import Metric

__all__ = ["Access", "answer", "read_files"]

logger = logging.getLogger("reactor.monitor")

#: What a browser may do with the page: nothing from elsewhere, and nothing in a frame.
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

#: Files that a browser asks for without the page's token end so; they hold no secret.
OPEN_TO_ALL = (".css", ".js")

#: Names under which a browser on this machine finds it.
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Access:
    """Who may ask.

    Args:
        host: where to listen.
        token: what a request must bring; None: nothing.

    Raises:
        ValueError: *token* is something else, or empty.
    """

    def __init__(self, host: str, token: str | None) -> None:
        if token is not None and (not isinstance(token, str) or not token):
            raise ValueError(f"token must be a text that is not empty, or None, not {token!r}")
        self.host = host
        self._local = _is_local(host)
        self._names = LOCAL_NAMES | {host}
        self._token = token

    def url(self, port: int) -> str:
        """Return the address of the page, with its token."""
        host = self.host
        if host in ("", "0.0.0.0", "::"):
            host = "localhost"
        place = f"[{host}]" if ":" in host else host
        token = "" if self._token is None else f"?token={quote(self._token)}"
        return f"http://{place}:{port}/{token}"

    def warn(self, port: int) -> None:
        """Say it in the log if everybody may ask."""
        if self._token is None and not self._local:
            logger.warning(
                "everybody who reaches %s can read what this program does: give it a token",
                self.url(port),
            )

    def refuse(self, request: Request) -> HTTPResponse | None:
        """Return the answer to a request that may not be asked; None: it may."""
        host = (request.headers.get("Host") or "").lower()
        if self._token is not None:
            if not request.path.endswith(OPEN_TO_ALL) and not hmac.compare_digest(
                _token_of(request).encode(), self._token.encode()
            ):
                challenge = {"WWW-Authenticate": "Bearer"}
                return HTTPResponse(401, challenge, "this page needs its token\n")
        elif self._local and not {host, host.rpartition(":")[0]} & self._names:
            return HTTPResponse(403, None, "ask for localhost, not for another name\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower().partition("://")[2] != host:
            return HTTPResponse(403, None, "pages of other sites may not read this\n")
        return None


def _is_local(host: str) -> bool:
    """Whether only this machine reaches a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_files(files: Mapping[str, tuple[str, str]]) -> dict[str, HTTPResponse]:
    """Return the answers that are files: path -> name in static/ and type."""
    folder = resources.files(__package__) / "static"
    return {
        path: HTTPResponse(200, _headers_of(kind), (folder / name).read_bytes())
        for path, (name, kind) in files.items()
    }


def answer(
    request: Request,
    files: Mapping[str, HTTPResponse],
    stats: Callable[[], str],
    collect: Callable[[], list[Metric]],
    there: str,
) -> HTTPResponse:
    """Return what a request is answered that is not refused, and not the page's WebSocket.

    Args:
        request: the request.
        files: the answers that are files, by path.
        stats: returns the JSON of ``/stats.json``.
        collect: returns the figures of ``/metrics``.
        there: the paths that there are, in words.
    """
    if request.method not in ("GET", "HEAD"):
        return HTTPResponse(405, {"Allow": "GET, HEAD"}, "only GET and HEAD\n")
    if request.path in files:
        return files[request.path]
    if request.path == "/stats.json":
        return HTTPResponse(200, _headers_of("application/json"), stats())
    if request.path == "/metrics":
        return _answer_prometheus(request, collect)
    return HTTPResponse(404, None, f"there are {there}\n")


def _answer_prometheus(request: Request, collect: Callable[[], list[Metric]]) -> HTTPResponse:
    """Return what Prometheus is answered; an error where its package is not there."""
    try:
        from ..prometheus import write_page
    except ImportError as exc:
        return HTTPResponse(501, None, f"/metrics needs the package prometheus_client: {exc}\n")
    kind, body = write_page(collect(), request.headers.get("Accept") or "")
    return HTTPResponse(200, _headers_of(kind), body)


def _headers_of(kind: str) -> list[tuple[str, str]]:
    """Return the headers of an answer of a type."""
    return [*SAFE.items(), ("Content-Type", kind)]


def _token_of(request: Request) -> str:
    scheme, _, credentials = (request.headers.get("Authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return request.query.get("token", [""])[0]
