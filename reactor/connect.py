"""The connect pipeline: from a URL to an upgraded socket, in one coroutine.

What it is: the client's way through RFC 6455 section 4.1:

    resolve -> dial -> (proxy) -> TLS -> upgrade -> (redirect: again)

What it must not know: who drives it (see tasks.py), sessions, protocol objects.

How it works. One deadline covers all steps, redirects included. Whatever step fails, or is
cancelled in, the socket is closed before the exception leaves. Bytes that came behind the
server's head belong to the first frames, and are part of the result.
"""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from socket import socket

from .exceptions import (
    WebSocketBadStatusException,
    WebSocketConnectException,
    WebSocketHandshakeException,
    WebSocketProxyException,
    WebSocketTimeoutException,
)
from .options import ClientOptions
from .protocols.body import BodyParser
from .protocols.deflate import Agreement, check_answer
from .protocols.handshake import (
    HeaderSource,
    bad_status,
    build_request,
    check_response,
    make_key,
    normalize_headers,
)
from .protocols.http11 import Response
from .proxies import choose_proxy
from .transports.dial import dial, dial_unix
from .transports.exchange import read_response, read_some, sooner, write_all
from .transports.proxy import dial_through
from .transports.resolver import resolve
from .transports.tls import make_context, server_hostname, session_cache, start_tls
from .url import WebSocketURL, join, parse_url, same_origin

__all__ = ["Upgraded", "connect"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})

#: Seconds to wait for the body of a refusal: it is nice to have, the status is what counts.
BODY_PATIENCE = 2.0

#: Meant for one origin: not carried to another one by a redirect (as curl does).
OF_THE_ORIGIN = frozenset({"authorization", "cookie", "host", "proxy-authorization"})


@dataclass(slots=True)
class Upgraded:
    """The result: a socket on which both sides speak WebSocket.

    Attributes:
        sock: connected and non-blocking; an ``ssl.SSLSocket`` for wss.
        url: where it leads, after redirects.
        response: the server's head.
        head: the same as it came.
        subprotocol: what the server chose, or None.
        leftover: the first bytes of the frames that follow.
        agreement: what was settled on compression, or None.
    """

    sock: socket
    url: WebSocketURL
    response: Response
    head: bytes
    subprotocol: str | None
    leftover: bytes
    agreement: Agreement | None = None


async def connect(
    url: str,
    options: ClientOptions,
    header: HeaderSource = None,
    cookie: str | None = None,
    *,
    exact: bool = False,
) -> Upgraded:
    """Open a WebSocket connection up to the end of the opening handshake.

    Parameters:
        url: ws:// or wss://.
        options: see there; ``header`` and ``cookie`` have been evaluated for this attempt.
        header, cookie: what they gave.
        exact: leave what comes behind the server's head in the socket, so that programs can
            wait for it with select(). There is no ``leftover`` then.

    Raises ValueError for a URL or an option that cannot be used, and members of the exception
    tree for everything that the network, the peer or the clock does.
    """
    until = await sooner(None, options.connect_timeout)
    target = parse_url(url)
    headers = normalize_headers(header)
    redirects = 0
    while True:
        try:
            result = await _attempt(target, options, headers, cookie, until, exact)
        except WebSocketBadStatusException:
            raise  # its text is that of websocket-client
        except WebSocketHandshakeException as exc:
            # Who judged the answer does not know whose it is.
            message = f"{exc} (in the opening handshake with {target.host})"
            raise WebSocketHandshakeException(message) from exc
        if isinstance(result, Upgraded):
            return result
        if redirects == options.redirect_limit:
            raise WebSocketHandshakeException(
                f"Redirect limit exhausted: {redirects} redirects, the next one to {result}"
            )
        redirects += 1
        if options.sock is not None:
            options = replace(options, sock=None)
        if not same_origin(target, result):
            headers = [pair for pair in headers if pair[0].lower() not in OF_THE_ORIGIN]
            cookie = None
            # A name to verify is that of the first server too.
            sslopt = {k: v for k, v in (options.sslopt or {}).items() if k != "server_hostname"}
            options = replace(options, host=None, sslopt=sslopt or None)
        target = result


async def _attempt(
    url: WebSocketURL,
    options: ClientOptions,
    headers: Sequence[tuple[str, str]],
    cookie: str | None,
    until: float | None,
    exact: bool,
) -> Upgraded | WebSocketURL:
    """Connect to *url*; return where it redirects to, if it does."""
    watch = options.watch
    if watch is not None:
        cookie = "; ".join(filter(None, [watch.cookie(url.host), cookie]))
    key = make_key()
    # Built first: what cannot be sent is an error before anything is connected.
    deflate = options.deflate
    offer = None if deflate is None else deflate.offer()
    request = _request(url, options, headers, cookie, key, offer)
    # Likewise a wrong sslopt. A socket that was given has TLS on it, if any, already.
    context = make_context(options.sslopt) if url.secure and options.sock is None else None
    sock, early = await _dial(url, options, until)
    if context is not None:
        sock, early = await _add_tls(sock, early, context, url, options, until), b""
    try:
        await write_all(sock, request, until, url.host)
        if watch is not None:
            watch.request_sent(request)
        response, parser = await read_response(
            sock, until, url.host, options.head_limits, early, exact=exact
        )
        if watch is not None:
            watch.response_received(url.host, response, parser.raw)
        if response.status != 101:
            result = await _refused(sock, url, response, parser.leftover, options, until)
            sock.close()
            return result
        accepted = check_response(
            response, key, options.subprotocols, offer, headers, options.lenient
        )
        agreement = None if deflate is None else check_answer(deflate, accepted.extensions)
        if isinstance(sock, ssl.SSLSocket):
            # By now the tickets of TLS 1.3 have come (RFC 8446 section 4.6.1).
            session_cache.put(sock, url.port)
        return Upgraded(
            sock, url, response, parser.raw, accepted.subprotocol, parser.leftover, agreement
        )
    except BaseException:
        sock.close()
        raise


def _request(
    url: WebSocketURL,
    options: ClientOptions,
    headers: Sequence[tuple[str, str]],
    cookie: str | None,
    key: str,
    extensions: str | None,
) -> bytes:
    if url.username is not None and not any(n.lower() == "authorization" for n, _ in headers):
        # RFC 7617; the URL is where people keep the credentials of HTTP Basic authentication.
        token = b64encode(f"{url.username}:{url.password or ''}".encode()).decode()
        headers = [*headers, ("Authorization", f"Basic {token}")]
    origin = url.origin if options.origin is None else options.origin
    return build_request(
        None if options.suppress_host else options.host or url.host_header,
        url.resource,
        key,
        origin=None if options.suppress_origin else origin,
        subprotocols=options.subprotocols,
        extensions=extensions,
        headers=headers,
        cookie=cookie,
        connection=options.connection,
    )


async def _dial(
    url: WebSocketURL, options: ClientOptions, until: float | None
) -> tuple[socket, bytes]:
    """Return a socket on which the host of *url* is heard, and what was heard already."""
    if options.sock is not None:
        try:
            options.sock.setblocking(False)
        except OSError as exc:
            raise WebSocketConnectException(exc.errno, f"sock cannot be used: {exc}") from exc
        return options.sock, b""
    if options.unix_path is not None:
        return await dial_unix(options.unix_path, until), b""
    proxy = choose_proxy(url, options.proxy, options.no_proxy, os.environ)
    if proxy is not None:
        return await dial_through(
            proxy,
            url.host,
            url.port,
            until=await sooner(until, options.proxy_timeout),
            sockopt=options.sockopt,
            source_address=options.source_address,
        )
    sock = await dial(
        await resolve(url.host, url.port, until),
        until=until,
        host_name_for_errors=url.host,
        sockopt=options.sockopt,
        source_address=options.source_address,
    )
    return sock, b""


async def _add_tls(
    sock: socket,
    early: bytes,
    context: ssl.SSLContext,
    url: WebSocketURL,
    options: ClientOptions,
    until: float | None,
) -> ssl.SSLSocket:
    """Put TLS on a socket. It is closed when that fails."""
    if early:
        # In TLS the client speaks first (RFC 8446 section 2): this is no TLS server, or the
        # proxy has added something of its own.
        sock.close()
        raise WebSocketProxyException(
            f"{len(early)} bytes came through the proxy before TLS with {url.host} began: "
            f"{early[:40]!r}"
        )
    name = server_hostname(options.sslopt, url.host)
    session = session_cache.get(context, name, url.port)
    return await start_tls(sock, context, name, until, session)


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
    until = await sooner(until, BODY_PATIENCE)
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
