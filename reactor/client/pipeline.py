"""The connect pipeline: from a URL to an upgraded socket, in one coroutine.

What it is: the client's side of RFC 6455 section 4.1:

    resolve -> dial -> (proxy) -> TLS -> upgrade -> (redirect: again)

What it must not know: who drives it (see loop/tasks.py), sessions, protocol objects.

How it works. One deadline covers all steps, including redirects. If a step fails or is cancelled,
the socket is closed before the exception is raised. Bytes that came behind the server's head belong
to the first frames, and are part of the result.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from socket import socket

from ..base.mistakes import check_called
from ..base.printable import printable
from ..exceptions import (
    WebSocketBadStatusException,
    WebSocketConnectException,
    WebSocketHandshakeException,
    WebSocketProxyException,
    WebSocketTimeoutException,
    WebSocketTLSException,
)
from ..loop.steps import my_turn, note
from ..protocols.deflate import Agreement
from ..protocols.history import Step
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
from ..protocols.http.negotiation import check_answer, make_offer
from ..transports.dial.race import dial_unix
from ..transports.dial.reach import reach
from ..transports.dial.resolver import Answer, forget_answer
from ..transports.exchange import read_more, read_response, send_request, sooner
from ..transports.proxy import Proxy, dial_through
from ..transports.tls.contexts import for_proxy, make_context
from ..transports.tls.handshake import connect_tls, describe_tls, speaks_no_tls, speaks_tls
from ..transports.tls.nested import AnySocket
from ..transports.tls.sessions import Resumption
from .options import ClientOptions
from .proxy_choice import choose_proxy
from .redirects import headers_for_another_origin, options_for_another_origin
from .url import WebSocketURL, join, parse_url, same_origin

__all__ = ["ClientUpgrade", "check_arguments", "check_sock", "connect"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})

#: Seconds to wait for the body of a refusal. It is only an addition to the status.
BODY_PATIENCE = 2.0

#: Bytes of the body that are read in one turn.
BODY_PIECE = 16384

#: How many reads the body may take: the server decides how large its pieces are.
MAX_BODY_READS = 1000


@dataclass(slots=True)
class ClientUpgrade:
    """The result of the pipeline: a socket on which both sides speak WebSocket.

    Attributes:
        sock: connected and non-blocking; an ``ssl.SSLSocket`` for wss, or a NestedTLS through a
            proxy that itself speaks TLS.
        url: the URL after all redirects.
        response: the head of the server's response.
        head: the same head, as the bytes that came.
        subprotocol: the subprotocol that the server chose, or None.
        leftover: the bytes that came behind the head: the beginning of the frames.
        agreement: the compression that was negotiated, or None.
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
    """Connect, and make the opening handshake.

    Args:
        url: ws:// or wss://.
        options: see ClientOptions; its ``header`` and ``cookie`` are not used.
        header: the headers for this attempt.
        cookie: the cookies for this attempt.
        exact: leave the bytes behind the server's head in the socket, so that a program can wait
            for them with select(). There is no ``leftover`` then.

    Returns:
        The socket, and what was agreed on.

    Raises:
        ValueError: The URL or an option cannot be used.
        WebSocketException: The network, the peer or the deadline prevented it.
    """
    until = await sooner(None, options.connect_timeout)
    target = parse_url(url)
    headers = normalize_headers(header)
    redirects = 0
    while True:
        try:
            result = await _attempt(target, options, headers, cookie, until, exact)
        except WebSocketBadStatusException:
            raise  # the text is the same as websocket-client's
        except WebSocketHandshakeException as exc:
            # The function that checked the response does not know the host.
            message = f"{exc} (in the opening handshake with {target.host})"
            raise WebSocketHandshakeException(message) from exc
        if isinstance(result, ClientUpgrade):
            return result
        if redirects == options.redirect_limit:
            raise WebSocketHandshakeException(
                f"Redirect limit exhausted: {redirects} redirects, "
                f"the next one to {printable(result.shown)}"
            )
        redirects += 1
        await note(Step.REDIRECTED, printable(result.shown))
        if options.sock is not None:
            options = replace(options, sock=None)
        if not same_origin(target, result):
            headers, cookie = headers_for_another_origin(headers), None
            options = options_for_another_origin(options)
        target = result


def check_sock(url: WebSocketURL, options: ClientOptions) -> None:
    """Raise ValueError if ``options.sock`` would carry a wss:// connection as plain text."""
    sock = options.sock
    if sock is None or not url.secure or options.plain_sock or options.start_tls:
        return
    if not speaks_tls(sock):
        raise ValueError(
            "sock speaks no TLS, as wss:// needs: put TLS on it, or have it put by start_tls=True, "
            "or say so by plain_sock=True if something behind it does that"
        )


def check_arguments(url: str | Callable[[], str], options: ClientOptions) -> None:
    """Check what can be checked before the first attempt.

    A mistake found here is an error in the user's call, rather than one in every attempt.

    Raises:
        TypeError: The URL or an option has a wrong type.
        ValueError: The URL or an option cannot be used.
    """
    if isinstance(url, str):
        parsed = parse_url(url)
        if parsed.secure:
            make_context(options.sslopt)
            check_sock(parsed, options)
    elif callable(url):
        check_called("url", url)
    else:
        raise TypeError(f"url must be a str or a function, not {type(url).__name__}")
    if options.proxy_sslopt is not None:
        make_context(options.proxy_sslopt)
    if not callable(options.header):
        normalize_headers(options.header)


async def _attempt(
    url: WebSocketURL,
    options: ClientOptions,
    headers: Sequence[tuple[str, str]],
    cookie: str | None,
    until: float | None,
    exact: bool,
) -> ClientUpgrade | WebSocketURL:
    """Connect to one URL. Return the result, or the URL that the server redirects to."""
    # Hundreds of attempts may begin in the same turn.
    if not await my_turn(until, begins=True):
        raise WebSocketTimeoutException(f"timed out before {url.host} was dialled")
    watch = options.watch
    if watch is not None:
        cookie = "; ".join(filter(None, [watch.cookie(url), cookie]))
    key = make_key()
    # The request is built first, so that a mistake in it is found before anything is connected.
    deflate = options.deflate
    offer = None if deflate is None else make_offer(deflate)
    request = _request(url, options, headers, cookie, key, offer)
    # A socket that was given has TLS on it, if any, already; unless it says otherwise.
    given = options.sock is not None and not (options.start_tls and not speaks_tls(options.sock))
    needs_tls = url.secure and not given
    if needs_tls:
        make_context(options.sslopt)  # so is a mistake in sslopt
    dialled, early, answer = await _dial(url, options, until)
    sock: AnySocket = dialled
    resumption = None
    try:
        if needs_tls:
            sock, resumption = await _add_tls(dialled, early, url, options, until)
            early = b""
            await note(Step.SECURED, describe_tls(sock))
        if watch is not None:
            watch.connected(url, sock)
        sent = await send_request(sock, request, until, url.host)
        if watch is not None:
            watch.request_sent(request)
        response, parser = await read_response(
            sock, until, url.host, options.head_limits, early, sent=sent, exact=exact
        )
        answer = None  # a server that speaks HTTP is there: do not forget the address
        if watch is not None:
            watch.response_received(url, response, parser.raw)
        if response.status != 101:
            result = await _refused(sock, url, response, parser.leftover, options, until)
            sock.close()
            if watch is not None:
                watch.closed()
            return result
        accepted = check_response(
            response, key, options.subprotocols, offer, headers, options.lenient
        )
        agreement = None if deflate is None else check_answer(deflate, accepted.extensions)
        if resumption is not None:
            # The session tickets of TLS 1.3 have come by now (RFC 8446 section 4.6.1).
            resumption.finish(sock)
        return ClientUpgrade(
            sock, url, response, parser.raw, accepted.subprotocol, parser.leftover, agreement
        )
    except BaseException:
        sock.close()
        if watch is not None:
            watch.closed()
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
        # HTTP Basic authentication (RFC 7617) with the credentials of the URL.
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
    """Connect to the host of *url*.

    Returns:
        The socket, bytes that have already come from the host, and the resolver's answer if it was
        asked.
    """
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
        dialled = await _dial_through(proxy, url, options, until)
        await note(Step.PROXIED, printable(f"{proxy.host}:{proxy.port}"))
        return *dialled, None
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
    """Connect to the host of *url* through a proxy. Return the socket, and bytes that have come."""
    until = await sooner(until, options.proxy_timeout)
    own = options.proxy_sslopt
    sslopt = for_proxy(options.sslopt) if own is None else own
    if proxy.kind == "https":
        make_context(sslopt)  # finds a mistake in sslopt before anything is connected
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
    """Return whether to try again with plain HTTP to a proxy from the environment."""
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
    """Make the TLS handshake on a socket. Return the new socket, and its part in resumption."""
    if early:
        # In TLS, the client speaks first (RFC 8446 section 2). So these bytes are not from a TLS
        # server, or the proxy has added them.
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
    """Return the URL that a response redirects to; raise if it is a refusal."""
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
        pass  # report the status, with the part of the body that has come
    if options.watch is not None:
        options.watch.body_received(body.body)
    raise bad_status(response, body.body)
