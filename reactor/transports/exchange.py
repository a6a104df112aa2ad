"""One request and one answer on a non-blocking socket: the steps of an opening handshake.

What it is: coroutines over :mod:`reactor.tasks` for what every handshake does, with a server,
with a proxy, on either side of the connection.

What it must not know: what is asked and answered, who drives it.

A socket here is a TCP socket or an ``ssl.SSLSocket``; *host* is how the exceptions call
whoever is at its other end; *until* is a point in time (seconds of the driver's clock), or None.
"""

from __future__ import annotations

import ssl
from socket import MSG_PEEK, socket

from ..exceptions import (
    WebSocketConnectException,
    WebSocketHandshakeException,
    WebSocketTimeoutException,
)
from ..protocols.http11 import HeadLimits, HeadParser, Response
from ..tasks import now, wait

__all__ = ["read_response", "read_some", "sooner", "write_all"]

#: Interim responses (status 1xx) before the one that counts.
MAX_INTERIM = 8


async def sooner(until: float | None, seconds: float | None) -> float | None:
    """Return the point in time that comes first: *until*, or a number of *seconds* from now."""
    if seconds is None:
        return until
    end = await now() + seconds
    return end if until is None else min(until, end)


async def read_some(
    sock: socket, until: float | None, host: str, max_size: int = 65536, flags: int = 0
) -> bytes:
    """Return the next bytes, at most *max_size* of them, b"" at the end.

    *flags* are those of recv(). Raises WebSocketConnectException when the connection is lost,
    and WebSocketTimeoutException at *until*.
    """
    while True:
        try:
            return sock.recv(max_size, flags)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            ready = await wait(reads=[sock.fileno()], until=until)
        except ssl.SSLWantWriteError:
            ready = await wait(writes=[sock.fileno()], until=until)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        except OSError as exc:
            raise _lost(exc, host) from exc
        if not ready:
            raise _timeout(host)


async def write_all(sock: socket, data: bytes, until: float | None, host: str) -> None:
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


async def read_line_piece(sock: socket, until: float | None, host: str) -> bytes:
    """Return the next bytes of a line; what comes behind its end stays in the socket.

    Raises as :func:`read_some` does.
    """
    if isinstance(sock, ssl.SSLSocket):
        # OpenSSL has the whole record already: this is no system call for each byte.
        return await read_some(sock, until, host, 1)
    there = await read_some(sock, until, host, flags=MSG_PEEK)
    size = there.find(b"\n") + 1 or len(there)
    return await read_some(sock, until, host, size) if size else b""


async def read_response(
    sock: socket,
    until: float | None,
    host: str,
    limits: HeadLimits,
    data: bytes = b"",
    *,
    exact: bool = False,
) -> tuple[Response, HeadParser[Response]]:
    """Return the final response's head, and the parser that has its bytes and those behind it.

    Parameters:
        limits: how large a head may be.
        data: what has already been read.
        exact: read nothing that comes behind the head.

    Raises as :func:`read_some` does, and WebSocketHandshakeException for what is no head, an
    end before it is complete, or too many interim responses.
    """
    read = read_line_piece if exact else read_some
    parser = HeadParser("response", limits)
    # The peer was asked only now: an attempt to read would find nothing. But OpenSSL may hold bytes
    # that no wait() sees, and of a socket that somebody has closed meanwhile the read will tell.
    there = data or isinstance(sock, ssl.SSLSocket) or sock.fileno() < 0
    if not there and not await wait(reads=[sock.fileno()], until=until):
        raise _timeout(host)
    data = data or await read(sock, until, host)
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
            # RFC 9110 section 15.2: interim responses may come first, and mean nothing to us.
            interim += 1
            if interim > MAX_INTERIM:
                raise WebSocketHandshakeException(f"{host} sent {interim} interim responses")
            data = parser.leftover or await read(sock, until, host)
            parser = HeadParser("response", limits)


def _lost(exc: OSError, host: str) -> WebSocketConnectException:
    return WebSocketConnectException(
        exc.errno, f"connection to {host} was lost in the opening handshake: {exc}"
    )


def _timeout(host: str) -> WebSocketTimeoutException:
    return WebSocketTimeoutException(f"Connection timed out in the opening handshake with {host}")
