"""One request and one answer on a non-blocking socket: the steps of an opening handshake.

What it is: coroutines over loop/steps.py for the steps of every handshake, with a server or with a
proxy, on either side of the connection.

What it must not know: the content of requests and answers, what drives the coroutines.

A socket here is a TCP socket or one that speaks TLS; *host* is the peer's name in the exceptions;
*until* is a point in time (seconds of the driver's clock), or None.

A peer that refuses may say so before the whole request was written, and close: the write fails, and
the reason is in the kernel. So a failed write is not the end, and what was received by then is
read.
"""

from __future__ import annotations

import ssl
from socket import MSG_PEEK
from typing import NamedTuple

from ..exceptions import (
    WebSocketConnectException,
    WebSocketHandshakeException,
    WebSocketTimeoutException,
    WebSocketTLSException,
)
from ..loop.steps import now, wait
from ..protocols.http.http11 import HeadLimits, HeadParser, Response
from .tls.contexts import reason_of
from .tls.nested import AnySocket, is_tls

__all__ = [
    "Sent",
    "read_more",
    "read_response",
    "read_some",
    "send_request",
    "sooner",
    "write_all",
]

WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
AT_END = (ssl.SSLEOFError, ssl.SSLZeroReturnError)

#: Interim responses (status 1xx) before the one that counts.
MAX_INTERIM = 8


async def sooner(until: float | None, seconds: float | None) -> float | None:
    """Return the earlier point in time: *until*, or a number of *seconds* from now."""
    if seconds is None:
        return until
    end = await now() + seconds
    return end if until is None else min(until, end)


async def read_some(
    sock: AnySocket, until: float | None, host: str, max_size: int = 65536, flags: int = 0
) -> bytes:
    """Return the next bytes.

    Args:
        sock, until, host: see the module.
        max_size: the greatest number of bytes (default 65,536).
        flags: those of recv() (default 0).

    Returns:
        The bytes; b"" at the end.

    Raises:
        WebSocketConnectException: the connection is lost.
        WebSocketTimeoutException: *until* is reached.
    """
    while True:
        try:
            return sock.recv(max_size, flags)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            ready = await wait(reads=[sock.fileno()], until=until)
        except ssl.SSLWantWriteError:
            ready = await wait(writes=[sock.fileno()], until=until)
        except AT_END:
            return b""
        except OSError as exc:
            raise _lost(exc, host) from exc
        if not ready:
            raise _timeout(host)


async def read_more(
    sock: AnySocket, until: float | None, host: str, max_size: int = 65536
) -> bytes:
    """Return the next bytes as :func:`read_some` does, in a later turn of the loop.

    For data that arrives in several pieces: the peer chooses their number, and a peer that is
    always ahead of us (with one byte in each TLS record, say) must not block the loop.
    """
    pending = getattr(sock, "pending", None)
    if pending is not None and pending():  # wait() does not see what TLS has decrypted already
        await wait(until=await now())
    elif sock.fileno() >= 0 and not await wait(reads=[sock.fileno()], until=until):
        raise _timeout(host)
    return await read_some(sock, until, host, max_size)


async def write_all(sock: AnySocket, data: bytes, until: float | None, host: str) -> None:
    """Send all of *data*. Raises as :func:`read_some` does."""
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
            raise _lost(exc, host) from exc
        if not ready:
            raise _timeout(host)


class Sent(NamedTuple):
    """The outcome of sending a request.

    Attributes:
        early: the first byte of an answer that arrived before everything was sent; the rest was not
            sent.
        failure: the error that ended the sending, or None. It is raised if there is no answer.
    """

    early: bytes = b""
    failure: WebSocketConnectException | None = None


NOTHING_AMISS = Sent()


async def send_request(sock: AnySocket, data: bytes, until: float | None, host: str) -> Sent:
    """Send *data*, a request.

    Returns:
        The outcome, for :func:`read_response`.

    Raises:
        WebSocketTimeoutException: *until* is reached.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[sock.send(rest) :]
            continue
        except WOULD_BLOCK:
            descriptor = (sock.fileno(),)
            if not await wait(reads=descriptor, writes=descriptor, until=until):
                raise _timeout(host) from None
        except OSError as exc:
            return Sent(failure=_lost(exc, host))
        try:
            return Sent(early=sock.recv(1))  # one byte: those after the answer are not ours
        except WOULD_BLOCK:
            pass
        except AT_END:
            break
        except OSError as exc:
            return Sent(failure=_lost(exc, host))
    return Sent()


async def read_line_piece(sock: AnySocket, until: float | None, host: str) -> bytes:
    """Return the next bytes of a line; the bytes after its end stay in the socket.

    Raises as :func:`read_some` does.
    """
    if is_tls(sock):
        # OpenSSL has the whole record already: this does not cost a system call for each byte.
        return await read_some(sock, until, host, 1)
    there = await read_some(sock, until, host, flags=MSG_PEEK)
    size = there.find(b"\n") + 1 or len(there)
    return await read_some(sock, until, host, size) if size else b""


async def read_response(
    sock: AnySocket,
    until: float | None,
    host: str,
    limits: HeadLimits,
    data: bytes = b"",
    *,
    sent: Sent = NOTHING_AMISS,
    exact: bool = False,
) -> tuple[Response, HeadParser[Response]]:
    """Read the head of the final response.

    Args:
        sock, until, host: see the module.
        limits: how large a head may be.
        data: bytes that were read already.
        sent: the result of send_request().
        exact: whether to leave the bytes after the head in the socket (default False).

    Returns:
        The head, and the parser that has its bytes and those after it.

    Raises:
        WebSocketConnectException, WebSocketTimeoutException: as :func:`read_some`. If nothing was
            received, not even a TLS alert, the error that ended the sending is raised.
        WebSocketHandshakeException: the head is malformed or incomplete, or there are too many
            interim responses.
    """
    parser = HeadParser("response", limits)
    # The request was sent only now: an attempt to read would find nothing. But OpenSSL may hold
    # bytes that wait() does not see, and a read of a socket that was closed meanwhile reports that.
    data += sent.early
    there = data or is_tls(sock) or sock.fileno() < 0
    if not there and not await wait(reads=[sock.fileno()], until=until):
        raise _timeout(host)
    try:
        data = data or await (read_line_piece if exact else read_some)(sock, until, host)
    except WebSocketConnectException as exc:
        if sent.failure is None or isinstance(exc, WebSocketTLSException):
            raise
        raise sent.failure from exc
    if not data and sent.failure is not None:
        raise sent.failure
    read = read_line_piece if exact else read_more
    interim = 0
    while True:
        if not data:
            parser.feed_eof()
        response = parser.feed(data)
        if response is None:
            data = await read(sock, until, host)
        elif response.status == 101 or response.status >= 200:
            return response, parser
        else:
            # RFC 9110 section 15.2: interim responses may come first; they are ignored.
            interim += 1
            if interim > MAX_INTERIM:
                raise WebSocketHandshakeException(f"{host} sent {interim} interim responses")
            data = parser.leftover or await read(sock, until, host)
            parser = HeadParser("response", limits)


def _lost(exc: OSError, host: str) -> WebSocketConnectException:
    if not isinstance(exc, ssl.SSLError) or isinstance(exc, AT_END):
        text = f"connection to {host} was lost in the opening handshake: {exc}"
        return WebSocketConnectException(exc.errno, text)
    # An alert, for example: in TLS 1.3, a server refuses our certificate after the handshake.
    text = f"TLS with {host} failed in the opening handshake: {reason_of(exc)}"
    error = WebSocketTLSException(exc.errno, text)
    error.library, error.reason = exc.library, exc.reason
    return error


def _timeout(host: str) -> WebSocketTimeoutException:
    return WebSocketTimeoutException(f"Connection timed out in the opening handshake with {host}")
