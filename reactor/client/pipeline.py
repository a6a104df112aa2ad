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
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from socket import socket

from ..base.printable import printable
from ..exceptions import (
    WebSocketBadStatusException,
    WebSocketConnectException,
    WebSocketHandshakeException,
    WebSocketProxyException,
    WebSocketTimeoutException,
    WebSocketTLSException,
)
from ..loop.tasks import my_turn
from ..protocols.deflate import Agreement, check_answer
from ..protocols.http.body import BodyParser
from ..protocols.http.handshake import (
    HeaderSource,
    bad_status,
    build_request,
    check_response,
    make_key,
    normalize_headers,
)
from ..protocols.http.http11 import Response
from ..transports.dial.race import dial_unix
from ..transports.dial.reach import reach
from ..transports.dial.resolver import Answer, forget_answer
from ..transports.exchange import read_more, read_response, send_request, sooner
from ..transports.proxy import Proxy, dial_through
from ..transports.tls.contexts import for_proxy, make_context
from ..transports.tls.handshake import connect_tls, speaks_no_tls, speaks_tls
from ..transports.tls.nested import AnySocket
from ..transports.tls.sessions import Resumption
from .options import ClientOptions
from .proxy_choice import choose_proxy
from .redirects import headers_for_another_origin, options_for_another_origin
from .url import WebSocketURL, join, parse_url, same_origin

__all__ = ["ClientUpgrade", "check_sock", "connect"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})

#: Seconds to wait for the body of a refusal: it is nice to have, the status is what counts.
BODY_PATIENCE = 2.0

#: Bytes of it that are read in one turn, and how often: the pieces are of the server's choice.
BODY_PIECE = 16384
MAX_BODY_READS = 1000


@dataclass(slots=True)
class ClientUpgrade:
    """The result: a socket on which both sides speak WebSocket.

    Attributes:
        sock: connected and non-blocking; an ``ssl.SSLSocket`` for wss, or a NestedTLS through a
            proxy that speaks TLS, too.
        url: where it leads, after redirects.
        response: the server's head.
        head: the same as it came.
        subprotocol: what the server chose, or None.
        leftover: the first bytes of the frames that follow.
        agreement: what was settled on compression, or None.
    """

    sock: AnySocket
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
) -> ClientUpgrade:
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
        if isinstance(result, ClientUpgrade):
            return result
        if redirects == options.redirect_limit:
            raise WebSocketHandshakeException(
                f"Redirect limit exhausted: {redirects} redirects, "
                f"the next one to {printable(str(result))}"
            )
        redirects += 1
        if options.sock is not None:
            options = replace(options, sock=None)
        if not same_origin(target, result):
            headers, cookie = headers_for_another_origin(headers), None
            options = options_for_another_origin(options)
        target = result


def check_sock(url: WebSocketURL, options: ClientOptions) -> None:
    """Raise ValueError for a socket that was given, and would carry wss:// as plain text."""
    sock = options.sock
    if sock is None or not url.secure or options.plain_sock or options.start_tls:
        return
    if not speaks_tls(sock):
        raise ValueError(
            "sock speaks no TLS, as wss:// needs: put TLS on it, or have it put by start_tls=True, "
            "or say so by plain_sock=True if something behind it does that"
        )


async def _attempt(
    url: WebSocketURL,
    options: ClientOptions,
    headers: Sequence[tuple[str, str]],
    cookie: str | None,
    until: float | None,
    exact: bool,
) -> ClientUpgrade | WebSocketURL:
    """Connect to *url*; return where it redirects to, if it does."""
    # Hundreds may be asked for at once, or come to the end of their delay.
    if not await my_turn(until, begins=True):
        raise WebSocketTimeoutException(f"timed out before {url.host} was dialled")
    watch = options.watch
    if watch is not None:
        cookie = "; ".join(filter(None, [watch.cookie(url), cookie]))
    key = make_key()
    # Built first: what cannot be sent is an error before anything is connected.
    deflate = options.deflate
    offer = None if deflate is None else deflate.offer()
    request = _request(url, options, headers, cookie, key, offer)
    # A socket that was given has TLS on it, if any, already; unless it says otherwise.
    given = options.sock is not None and not (options.start_tls and not speaks_tls(options.sock))
    needs_tls = url.secure and not given
    if needs_tls:
        make_context(options.sslopt)  # likewise a wrong sslopt
    dialled, early, answer = await _dial(url, options, until)
    sock: AnySocket = dialled
    resumption = None
    try:
        if needs_tls:
            sock, resumption = await _add_tls(dialled, early, url, options, until)
            early = b""
        sent = await send_request(sock, request, until, url.host)
        if watch is not None:
            watch.request_sent(request)
        response, parser = await read_response(
            sock, until, url.host, options.head_limits, early, sent=sent, exact=exact
        )
        answer = None  # somebody speaks HTTP there: the address is right
        if watch is not None:
            watch.response_received(url, response, parser.raw)
        if response.status != 101:
            result = await _refused(sock, url, response, parser.leftover, options, until)
            sock.close()
            return result
        accepted = check_response(
            response, key, options.subprotocols, offer, headers, options.lenient
        )
        agreement = None if deflate is None else check_answer(deflate, accepted.extensions)
        if resumption is not None:
            # By now the tickets of TLS 1.3 have come (RFC 8446 section 4.6.1).
            resumption.finish(sock)
        return ClientUpgrade(
            sock, url, response, parser.raw, accepted.subprotocol, parser.leftover, agreement
        )
    except BaseException:
        sock.close()
        if answer is not None:
            forget_answer(answer)
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
) -> tuple[socket, bytes, Answer | None]:
    """Return a socket on which the host of *url* is heard, what was heard already, and the
    answer of the resolver that led there, if it did."""
    if options.sock is not None:
        check_sock(url, options)
        try:
            options.sock.setblocking(False)
        except OSError as exc:
            raise WebSocketConnectException(exc.errno, f"sock cannot be used: {exc}") from exc
        return options.sock, b"", None
    if options.unix_path is not None:
        return await dial_unix(options.unix_path, until), b"", None
    proxy = choose_proxy(url, options.proxy, options.no_proxy, os.environ)
    if proxy is not None:
        return *await _dial_through(proxy, url, options, until), None
    sock, answer = await reach(
        url.host,
        url.port,
        until=until,
        sockopt=options.sockopt,
        source_address=options.source_address,
    )
    return sock, b"", answer


async def _dial_through(
    proxy: Proxy, url: WebSocketURL, options: ClientOptions, until: float | None
) -> tuple[socket, bytes]:
    """The same through a proxy."""
    until = await sooner(until, options.proxy_timeout)
    own = options.proxy_sslopt
    sslopt = for_proxy(options.sslopt) if own is None else own
    if proxy.kind == "https":
        make_context(sslopt)  # a wrong sslopt is an error before anything is connected
    while True:
        try:
            return await dial_through(
                proxy,
                url.host,
                url.port,
                until=until,
                sockopt=options.sockopt,
                source_address=options.source_address,
                limits=options.head_limits,
                sslopt=sslopt,
            )
        except WebSocketTLSException as exc:
            if not _goes_on_without_tls(proxy, options, exc):
                raise
            proxy = replace(proxy, kind="http")


def _goes_on_without_tls(proxy: Proxy, options: ClientOptions, exc: WebSocketTLSException) -> bool:
    """Whether to try a proxy of the environment again, as one that speaks plain HTTP."""
    watch = options.watch
    if watch is None or options.proxy is not True or not speaks_no_tls(exc):
        return False
    return watch.proxy_without_tls(proxy, exc)


async def _add_tls(
    sock: socket,
    early: bytes,
    url: WebSocketURL,
    options: ClientOptions,
    until: float | None,
) -> tuple[AnySocket, Resumption]:
    """Put TLS on a socket; return it with what its session is resumed from."""
    if early:
        # In TLS the client speaks first (RFC 8446 section 2): this is no TLS server, or the
        # proxy has added something of its own.
        raise WebSocketProxyException(
            f"{len(early)} bytes came through the proxy before TLS with {url.host} began: "
            f"{early[:40]!r}"
        )
    return await connect_tls(sock, options.sslopt, url.host, url.port, until)


async def _refused(
    sock: AnySocket,
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
    until = await sooner(until, BODY_PATIENCE)
    body = BodyParser(response, options.head_limits)
    data = leftover
    try:
        for _ in range(MAX_BODY_READS):
            if body.done or body.feed(data):
                break
            data = await read_more(sock, until, url.host, BODY_PIECE)
            if not data:
                break
    except (WebSocketTimeoutException, OSError):
        pass  # what there is of the body is better than losing the status
    raise bad_status(response, body.body)
