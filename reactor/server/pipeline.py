"""The server's side of the opening handshake: TLS, request, checks, answer; one coroutine.

What it is: RFC 6455 section 4.2 on an accepted socket, under one deadline. Read from top to
bottom, it tells what happens to a client until its connection is open, or refused.

What it must not know: the listener; what protocol objects do.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from email.utils import formatdate
from inspect import isawaitable
from typing import Any, NamedTuple

from ..base.marks import calls_user_code
from ..base.printable import printable, without_secrets
from ..connection.wiretap import HandshakeTap
from ..exceptions import (
    WebSocketException,
    WebSocketHandshakeException,
    WebSocketTimeoutException,
)
from ..loop.answers import HostTasks
from ..loop.steps import now, wait
from ..loop.within import within
from ..protocols.deflate import Agreement
from ..protocols.http.answers import RejectedUpgrade, build_response, check_request
from ..protocols.http.http11 import HeadError, HeadParser, Request
from ..protocols.http.negotiation import accept_offers
from ..protocols.websocket import WebSocketProtocol
from ..transports.dial.reach import peer_name
from ..transports.exchange import read_more, read_some, write_all
from ..transports.tls.handshake import accept_tls
from .admission import check_origin, choose_subprotocol, further_headers
from .decisions import Accept, HTTPResponse
from .options import ServerOptions

__all__ = ["ServerUpgrade", "accept_upgrade"]

logger = logging.getLogger("reactor.server")

CLIENT = "the client"  # the name of the peer in exceptions

#: Statuses from here on refuse the client, which is logged at level INFO.
LEAST_ERROR = 400

#: Bytes that a client may send before its upgrade is answered. RFC 6455 section 4.1 has it wait. If
#: it sends more, the rest is read later, and we do not notice in the meantime if it leaves.
EARLY = 65536

#: Seconds for which we read from a client that was refused, so that it can read the reason.
FAREWELL = 1.0


class ServerUpgrade(NamedTuple):
    """A client whose opening handshake is complete.

    Attributes:
        sock: an ``ssl.SSLSocket`` with TLS.
        head: the client's request, as received.
        leftover: the bytes received after it.
        protocol: what process_request has chosen, see Accept; None: the factory of ``listen``.
        options: the options for this client.
        subprotocol: the chosen one, or None.
        agreement: the negotiated compression, or None.
    """

    sock: socket.socket
    head: bytes
    leftover: bytes
    protocol: Callable[[], WebSocketProtocol] | WebSocketProtocol | None
    options: ServerOptions
    subprotocol: str | None
    agreement: Agreement | None


class ClientLeft(WebSocketHandshakeException):
    """A client has left before its request was answered."""


class Waiting:
    """A client that waits for the answer to its request: a guard (see loop/steps.py).

    If the client leaves, the wait ends. The bytes that it sends meanwhile are kept.

    Args:
        sock: the client's socket; an ``ssl.SSLSocket`` with TLS.
        received: the bytes received after the request.
    """

    __slots__ = ("_sock", "fd", "over", "received")

    def __init__(self, sock: socket.socket, received: bytes) -> None:
        self._sock = sock
        self.fd = sock.fileno()
        self.over: Exception | None = None
        self.received = received

    @property
    def watching(self) -> bool:
        """Whether to go on reading from the client."""
        return self.over is None and len(self.received) < EARLY

    def look(self) -> None:
        """Read what has been received."""
        try:
            while self.watching:
                data = self._sock.recv(EARLY)
                if not data:
                    self.over = ClientLeft(f"{CLIENT} has left before its request was answered")
                self.received += data
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as exc:
            self.over = ClientLeft(f"{CLIENT} has left before its request was answered: {exc}")


async def accept_upgrade(
    sock: socket.socket,
    options: ServerOptions,
    refusal: HTTPResponse | None = None,
    tap: HandshakeTap | None = None,
    host: HostTasks | None = None,
) -> ServerUpgrade | None:
    """Do TLS and the upgrade on an accepted socket.

    Args:
        sock: non-blocking; it is closed unless it is returned.
        options: see ServerOptions.
        refusal: an answer that is already certain, whatever the request is.
        tap: who is told of the request and of its answer; None (default): nobody.
        host: runs the user's coroutines; None (default): the driver does.

    Returns:
        The client; None if it was sent another answer, as process_request decided.

    Raises:
        WebSocketException: the client has left (also while process_request is awaited, which is
            then closed), was too slow or was rejected.
    """
    until = await now() + options.handshake_timeout
    method = "GET"
    try:
        if options.ssl is not None:
            sock = await accept_tls(sock, options.ssl, until)
        if tap is not None:
            tap.connected(sock, "")
        try:
            request, parser = await _read_request(sock, options, until)
            if tap is not None:
                tap.received(parser.raw)
            method = request.method
            outcome = refusal or await _judge(sock, request, parser, options, until, host)
        except (RejectedUpgrade, HeadError) as exc:
            headers = exc.headers if isinstance(exc, RejectedUpgrade) else None
            await _answer(sock, HTTPResponse(exc.status, headers, f"{exc}\n"), method, until, tap)
            raise
        if isinstance(outcome, HTTPResponse):
            level = logging.INFO if outcome.status >= LEAST_ERROR else logging.DEBUG
            if logger.isEnabledFor(level):
                logger.log(level, "%s: answered %d", _describe(request, sock), outcome.status)
            await _answer(sock, outcome, method, until, tap)
            sock.close()
            if tap is not None:
                tap.closed()
            return None
        upgraded, answer = outcome
        await write_all(sock, answer, until, CLIENT)
        if tap is not None:
            tap.sent(answer)
    except BaseException:
        sock.close()
        if tap is not None:
            tap.closed()
        raise
    return upgraded


async def _read_request(
    sock: socket.socket, options: ServerOptions, until: float
) -> tuple[Request, HeadParser[Request]]:
    """Return the head of the request, and the parser that has its bytes and those after it."""
    parser = HeadParser("request", options.head_limits)
    data = await read_some(sock, until, CLIENT)
    while True:
        if not data:
            parser.feed_eof()
        request = parser.feed(data)
        if request is not None:
            return request, parser
        data = await read_more(sock, until, CLIENT)


async def _judge(
    sock: socket.socket,
    request: Request,
    parser: HeadParser[Request],
    options: ServerOptions,
    until: float,
    host: HostTasks | None,
) -> HTTPResponse | tuple[ServerUpgrade, bytes]:
    """Decide about a request: return an answer, or an upgrade with its answer.

    An exception of the user's functions is logged, and the client gets status 500.

    Raises:
        RejectedUpgrade: the request is rejected.
    """
    try:
        client = Waiting(sock, parser.leftover)
        decision = _AS_EVER
        if options.process_request is not None:
            answered = await _ask(client, until, host, options.process_request, request, sock)
            if isinstance(answered, HTTPResponse):
                return answered
            decision = _checked(answered)
        if decision.options:
            options = options.changed(**decision.options)
        upgrade = check_request(request)
        check_origin(options, request)
        choice = options.subprotocols if decision.subprotocols is None else decision.subprotocols
        subprotocol = choose_subprotocol(choice, request, upgrade.subprotocols)
        headers = [*further_headers(options, request), *decision.headers]
        extensions, agreement = None, None
        if options.deflate is not None:
            extensions, agreement = accept_offers(options.deflate, upgrade.extensions)
        answer = build_response(upgrade.key, subprotocol, extensions, headers)
        if decision.process_response is not None:
            changed = await _ask(client, until, host, decision.process_response, answer)
            if isinstance(changed, HTTPResponse):
                return changed
            if not isinstance(changed, bytes):
                raise TypeError(
                    f"process_response must return bytes or an HTTPResponse, not {changed!r}"
                )
            answer = changed
    except (RejectedUpgrade, ClientLeft):
        raise
    except WebSocketTimeoutException as exc:
        logger.warning("%s: %s", _describe(request, sock), exc)
        return HTTPResponse(503, None, "timed out\n")
    except Exception as exc:  # from the user's functions, or because of what they returned
        what = _describe(request, sock)
        logger.error("%s: exception in the opening handshake", what, exc_info=exc)
        return HTTPResponse(500, None, "internal error\n")
    upgraded = ServerUpgrade(
        sock,
        parser.raw,
        client.received,
        decision.protocol,
        options,
        subprotocol,
        agreement,
    )
    return upgraded, answer


_AS_EVER = Accept()


def _describe(request: Request, sock: socket.socket) -> str:
    """Say in the log what was asked for, and by whom."""
    who = peer_name(sock)
    what = f"{request.method} {without_secrets(request.target)}"
    return printable(f"{what} from {who}" if who else what)


@calls_user_code
async def _ask(
    client: Waiting, until: float, host: HostTasks | None, hook: Callable[..., Any], *args: Any
) -> Any:
    """Return what one of the user's functions answers.

    Raises:
        ClientLeft: the client no longer waits for it.
    """
    answer = hook(*args)
    return await within(until, answer, client, host) if isawaitable(answer) else answer


def _checked(decision: Any) -> Accept:
    if decision is None:
        return _AS_EVER
    if not isinstance(decision, Accept):
        raise TypeError(
            f"process_request must return None, an HTTPResponse or an Accept, not {decision!r}"
        )
    return decision


async def _answer(
    sock: socket.socket,
    response: HTTPResponse,
    method: str,
    until: float,
    tap: HandshakeTap | None,
) -> None:
    """Send an answer that ends the connection, and let the client read it.

    Closing a socket that has unread bytes resets the connection, which can destroy the answer on
    its way: so the write side is shut down, and we read until the client has closed.
    """
    further = []
    if response.status >= 400:
        # RFC 9110 section 6.6.1; and a browser must not take text that we quote for a page.
        further = [("Date", formatdate(usegmt=True)), ("X-Content-Type-Options", "nosniff")]
    try:
        data = response.to_bytes(method, further)
        await write_all(sock, data, until, CLIENT)
        if tap is not None:
            tap.sent(data)
        until = min(until, await now() + FAREWELL)
        if not isinstance(sock, ssl.SSLSocket):
            sock.shutdown(socket.SHUT_WR)
        # One read per turn, as for all connections: this client may never stop.
        while await wait(reads=[sock.fileno()], until=until):
            if not await read_some(sock, until, CLIENT):
                break
    except (WebSocketException, OSError):
        pass  # the client has gone; the reason for its refusal is logged
