"""The connect pipeline: from a URL to an upgraded socket, in one coroutine.

What it is: the client's way through RFC 6455 section 4.1:

    resolve -> dial -> (tunnel) -> TLS -> upgrade -> (redirect: again)

What it must not know: who drives it (see tasks.py), sessions, protocol objects.

How it works. One deadline covers all steps, redirects included. Whatever step fails, or is
cancelled in, the socket is closed before the exception leaves. Bytes that came behind the
server's head belong to the first frames, and are part of the result.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from socket import socket

from .exceptions import (
    WebSocketConnectException,
    WebSocketHandshakeException,
    WebSocketTimeoutException,
)
from .options import ClientOptions
from .protocols.handshake import (
    HeaderSource,
    bad_status,
    build_request,
    check_response,
    make_key,
    normalize_headers,
)
from .protocols.http11 import BodyParser, HeadParser, Response
from .tasks import now, wait
from .transports.dial import dial, dial_unix
from .transports.resolver import resolve
from .transports.tls import make_context, server_hostname, session_cache, start_tls
from .url import WebSocketURL, join, parse_url, same_origin

__all__ = ["Upgraded", "connect", "read_some", "write_all"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})

#: Seconds to wait for the body of a refusal: it is nice to have, the status is what counts.
BODY_PATIENCE = 2.0

#: Interim responses (status 1xx) before the one that counts.
MAX_INTERIM = 8

#: Not carried to another origin by a redirect (as browsers and curl do).
CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(slots=True)
class Upgraded:
    """The result: a socket on which both sides speak WebSocket.

    Attributes:
        sock: connected and non-blocking; an ``ssl.SSLSocket`` for wss.
        url: where it leads, after redirects.
        response: the server's head.
        subprotocol: what the server chose, or None.
        leftover: the first bytes of the frames that follow.
    """

    sock: socket
    url: WebSocketURL
    response: Response
    subprotocol: str | None
    leftover: bytes


async def connect(
    url: str, options: ClientOptions, header: HeaderSource = None, cookie: str | None = None
) -> Upgraded:
    """Open a WebSocket connection up to the end of the opening handshake.

    Parameters:
        url: ws:// or wss://.
        options: see there; ``header`` and ``cookie`` have been evaluated for this attempt.
        header, cookie: what they gave.

    Raises ValueError for a URL or an option that cannot be used, and members of the exception
    tree for everything that the network, the peer or the clock does.
    """
    until = None
    if options.connect_timeout is not None:
        until = await now() + options.connect_timeout
    target = parse_url(url)
    headers = normalize_headers(header)
    redirects = 0
    while True:
        result = await _attempt(target, options, headers, cookie, until)
        if isinstance(result, Upgraded):
            return result
        if redirects == options.redirect_limit:
            raise WebSocketHandshakeException(
                f"Redirect limit exhausted: {redirects} redirects, the next one to {result}"
            )
        redirects += 1
        if not same_origin(target, result):
            headers = [pair for pair in headers if pair[0].lower() not in CREDENTIALS]
            cookie = None
        target = result


async def _attempt(
    url: WebSocketURL,
    options: ClientOptions,
    headers: Sequence[tuple[str, str]],
    cookie: str | None,
    until: float | None,
) -> Upgraded | WebSocketURL:
    """Connect to *url*; return where it redirects to, if it does."""
    key = make_key()
    # Built first: what cannot be sent is an error before anything is connected.
    request = _request(url, options, headers, cookie, key)
    sock = await _open(url, options, until)
    try:
        await write_all(sock, request, until, url.host)
        response, leftover = await _read_response(sock, url, options, until)
        if response.status != 101:
            result = await _refused(sock, url, response, leftover, options, until)
            sock.close()
            return result
        accepted = check_response(response, key, options.subprotocols, None, headers)
        if isinstance(sock, ssl.SSLSocket):
            # By now the tickets of TLS 1.3 have come (RFC 8446 section 4.6.1).
            session_cache.put(sock, url.port)
        return Upgraded(sock, url, response, accepted.subprotocol, leftover)
    except BaseException:
        sock.close()
        raise


def _request(
    url: WebSocketURL,
    options: ClientOptions,
    headers: Sequence[tuple[str, str]],
    cookie: str | None,
    key: str,
) -> bytes:
    if url.username is not None and not any(n.lower() == "authorization" for n, _ in headers):
        # RFC 7617; the URL is where people keep the credentials of HTTP Basic authentication.
        token = b64encode(f"{url.username}:{url.password or ''}".encode()).decode()
        headers = [*headers, ("Authorization", f"Basic {token}")]
    return build_request(
        None if options.suppress_host else options.host or url.host_header,
        url.resource,
        key,
        origin=None if options.suppress_origin else options.origin or url.origin,
        subprotocols=options.subprotocols,
        headers=headers,
        cookie=cookie,
    )


async def _open(url: WebSocketURL, options: ClientOptions, until: float | None) -> socket:
    """Return a socket connected to the host of *url*, with TLS on it for wss."""
    # A wrong sslopt is an error before anything is connected.
    context = make_context(options.sslopt) if url.secure else None
    if options.unix_path is not None:
        sock = await dial_unix(options.unix_path, until)
    else:
        addresses = await resolve(url.host, url.port, until)
        sock = await dial(
            addresses,
            until=until,
            host_name_for_errors=url.host,
            sockopt=options.sockopt,
            source_address=options.source_address,
        )
    if context is None:
        return sock
    name = server_hostname(options.sslopt, url.host)
    session = session_cache.get(context, name, url.port)
    # start_tls() closes the socket when it fails.
    return await start_tls(sock, context, name, until, session)


async def _read_response(
    sock: socket, url: WebSocketURL, options: ClientOptions, until: float | None
) -> tuple[Response, bytes]:
    """Return the final response's head, and the bytes that came behind it."""
    parser = HeadParser("response", options.head_limits)
    data = await read_some(sock, until, url.host)
    interim = 0
    while True:
        if not data:
            parser.feed_eof()
        response = parser.feed(data)
        if response is None:
            data = await read_some(sock, until, url.host)
        elif response.status == 101 or response.status >= 200:
            return response, parser.leftover
        else:
            # RFC 9110 section 15.2: interim responses may come first, and mean nothing to us.
            interim += 1
            if interim > MAX_INTERIM:
                raise WebSocketHandshakeException(f"{url.host} sent {interim} interim responses")
            data = parser.leftover or await read_some(sock, until, url.host)
            parser = HeadParser("response", options.head_limits)


async def _refused(
    sock: socket,
    url: WebSocketURL,
    response: Response,
    leftover: bytes,
    options: ClientOptions,
    until: float | None,
) -> WebSocketURL:
    """Return where a response other than 101 redirects to; raise if it does not."""
    location = response.headers.get("Location")
    if response.status in REDIRECTS and location is not None:
        return join(url, location)
    body = BodyParser(response, options.head_limits)
    patience = await now() + BODY_PATIENCE
    until = patience if until is None else min(until, patience)
    done = body.done or body.feed(leftover)
    while not done:
        try:
            data = await read_some(sock, until, url.host)
        except (WebSocketTimeoutException, OSError):
            break  # what there is of the body is better than losing the status
        if not data:
            body.feed_eof()
        done = not data or body.feed(data)
    raise bad_status(response, body.body)


async def read_some(sock: socket, until: float | None, host: str) -> bytes:
    """Return the next bytes, b"" at the end; part of an opening handshake with *host*."""
    while True:
        try:
            return sock.recv(65536)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            ready = await wait(reads=[sock.fileno()], until=until)
        except ssl.SSLWantWriteError:
            ready = await wait(writes=[sock.fileno()], until=until)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        except OSError as exc:
            raise WebSocketConnectException(
                exc.errno, f"connection to {host} was lost in the opening handshake: {exc}"
            ) from exc
        if not ready:
            raise WebSocketTimeoutException(f"opening handshake with {host} timed out")


async def write_all(sock: socket, data: bytes, until: float | None, host: str) -> None:
    """Send all of *data*; part of an opening handshake with *host*."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[sock.send(rest) :]
            continue
        except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError):
            ready = await wait(writes=[sock.fileno()], until=until)
        except ssl.SSLWantReadError:
            ready = await wait(reads=[sock.fileno()], until=until)
        except OSError as exc:
            raise WebSocketConnectException(
                exc.errno, f"connection to {host} was lost in the opening handshake: {exc}"
            ) from exc
        if not ready:
            raise WebSocketTimeoutException(f"opening handshake with {host} timed out")
