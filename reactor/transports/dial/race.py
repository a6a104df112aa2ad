"""Connect to the first of several addresses that answers: Happy Eyeballs (RFC 8305).

What it is: the way from several addresses to one connected socket.

What it must not know: names (except in its messages), TLS, HTTP, WebSocket, which driver runs it.

How it works. Attempts are in flight side by side; each is a non-blocking connect(). The next
address is tried when the newest attempt has failed, or has been silent for the stagger
(RFC 8305 section 5, "Connection Attempt Delay"). The first attempt that succeeds wins, and
all others are closed. Everything is one loop in one coroutine: start the attempts that are due,
then wait for an attempt to end, for the next start, or for the end of the budget. A ``finally``
owns the sockets, so neither an error nor a cancellation can leak one.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

from ...base.addresses import host_and_port
from ...base.tracebacks import without_traceback
from ...exceptions import (
    WebSocketAddressException,
    WebSocketConnectException,
    WebSocketConnectRefusedException,
    WebSocketTimeoutException,
)
from ...loop.steps import now, sleep, wait
from .resolver import Address

__all__ = ["DEFAULT_SOCKET_OPTION", "NO_DESCRIPTORS", "dial", "dial_unix"]

#: RFC 8305 section 8: the recommended Connection Attempt Delay, in seconds.
STAGGER = 0.25

#: The socket options that every connection gets, before the user's: no Nagle delay, and probes
#: that find within a minute that a peer is gone. Options that the platform lacks are left out.
DEFAULT_SOCKET_OPTION: list[tuple[int, int, int]] = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]

# What connect() on a non-blocking socket returns when it goes on in the background.
_IN_PROGRESS = frozenset(
    {0, errno.EINPROGRESS, errno.EINTR, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS)}
)
#: This process, or this machine, is out of file descriptors.
NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
# This machine cannot reach such addresses at all, which says nothing about the host.
_NO_ROUTE = frozenset(
    {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EPROTONOSUPPORT}
)

# The longest pause between two attempts on a Unix socket whose backlog is full, in seconds.
_UNIX_PAUSE = 0.25

FailedDial = tuple[Address, OSError]


async def dial(
    addresses: Sequence[Address],
    *,
    until: float | None,
    host_name_for_errors: str,
    sockopt: Iterable[tuple[Any, ...]] = (),
    source_address: tuple[Any, ...] | None = None,
    stagger: float = STAGGER,
) -> socket.socket:
    """Return a connected, non-blocking TCP socket to the first address that answers.

    Args:
        addresses: the addresses to try, best first; from :func:`~.resolver.resolve`.
        until: point in time (seconds of the driver's clock) at which to give up, or None.
        host_name_for_errors: the host's name in the exceptions.
        sockopt: arguments of setsockopt(), set before connecting and after
            :data:`DEFAULT_SOCKET_OPTION`.
        source_address: the ``(address, port)`` to bind to before connecting: a literal address,
            port 0 for any; None (default): the system chooses.
        stagger: how long an attempt may be silent before the next one starts beside it, in
            seconds (default 0.25).

    Raises:
        WebSocketConnectRefusedException: the host refused.
        WebSocketConnectException: the host could not be reached for another reason, a socket option
            cannot be set, or no file descriptor is left; with errno.
        WebSocketTimeoutException: *until* is reached.
        WebSocketAddressException: *addresses* is empty.
    """
    if not addresses:
        raise WebSocketAddressException(f"no address to connect to for {host_name_for_errors}")
    race = _Race(addresses, [*DEFAULT_SOCKET_OPTION, *sockopt], source_address, stagger)
    host = host_name_for_errors, addresses[0].sockaddr[1]
    try:
        moment = await now()
        while race.queue or race.flying:
            if until is not None and moment >= until:
                raise _timeout(host, race.flying.values(), race.failures)
            race.start_due(moment)
            if race.flying:
                descriptors = [sock.fileno() for sock in race.flying]
                ready = await wait(writes=descriptors, until=race.wake_time(until))
                winner = race.finish(ready)
                if winner is not None:
                    return winner
                moment = await now()
        raise _failed(host, race.failures)
    finally:
        race.close()


async def dial_unix(path: str | bytes | os.PathLike[str], until: float | None) -> socket.socket:
    """Return a connected, non-blocking socket to a Unix domain socket.

    Args:
        path: the path of the socket in the file system (or, on Linux, an abstract name).
        until: point in time (seconds of the driver's clock) at which to give up, or None.

    Raises:
        WebSocketConnectRefusedException: no process listens.
        WebSocketConnectException: connecting failed for another reason; with errno.
        WebSocketTimeoutException: *until* is reached.
    """
    place = f"the Unix socket {os.fsdecode(path)}"
    try:
        return await _connect_unix(os.fspath(path), place, until)
    except ConnectionRefusedError as exc:
        message = f"connection to {place} refused"
        raise WebSocketConnectRefusedException(exc.errno, message) from exc
    except (OSError, ValueError) as exc:  # ValueError: a NUL within the path
        number = exc.errno if isinstance(exc, OSError) else errno.EINVAL
        message = f"cannot connect to {place}: {_words(exc)}"
        raise WebSocketConnectException(number, message) from exc


async def _connect_unix(name: str | bytes, place: str, until: float | None) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    pause = 0.001
    try:
        sock.setblocking(False)
        # EAGAIN: the backlog is full. connect() has then done nothing, and there is no event for
        # which poll() could wait.
        while (error := sock.connect_ex(name)) == errno.EAGAIN:
            moment = await now()
            if until is not None and moment >= until:
                raise WebSocketTimeoutException(f"timed out connecting to {place}")
            await sleep(pause if until is None else min(pause, until - moment))
            pause = min(2 * pause, _UNIX_PAUSE)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock


class _Race:
    """The attempts on the addresses of one host.

    Attributes:
        queue: the addresses that were not tried yet.
        flying: the attempts that have not ended, the oldest first.
        failures: the attempts that failed, in the order in which they ended.
        next_start: when to try the next address of the queue; -inf: at once.
    """

    __slots__ = (
        "_options",
        "_source_address",
        "_stagger",
        "failures",
        "flying",
        "next_start",
        "queue",
    )

    def __init__(
        self,
        addresses: Iterable[Address],
        options: Sequence[tuple[Any, ...]],
        source_address: tuple[Any, ...] | None,
        stagger: float,
    ) -> None:
        self._options = options
        self._source_address = source_address
        self._stagger = stagger
        self.queue = deque(addresses)
        self.flying: dict[socket.socket, Address] = {}
        self.failures: list[FailedDial] = []
        self.next_start = -inf

    def start_due(self, moment: float) -> None:
        """Try the next address, and further ones as long as they fail at once."""
        while self.queue and moment >= self.next_start:
            address = self.queue.popleft()
            try:
                sock = _start(address, self._options, self._source_address)
            except OSError as exc:
                self.failures.append((address, without_traceback(exc)))  # its frames have this
            else:
                self.flying[sock] = address
                self.next_start = moment + self._stagger

    def wake_time(self, until: float | None) -> float | None:
        """Return when to stop waiting, for the next start or because the time is up."""
        if not self.queue:
            return until
        return self.next_start if until is None else min(self.next_start, until)

    def finish(self, ready: set[int]) -> socket.socket | None:
        """Return the first of the ended attempts that succeeded, or None."""
        for sock in [sock for sock in self.flying if sock.fileno() in ready]:
            newest = next(reversed(self.flying))
            address = self.flying.pop(sock)
            error = _outcome(sock, address.sockaddr[1])
            if error is None:
                return sock
            sock.close()
            self.failures.append((address, error))
            if sock is newest:
                self.next_start = -inf
        return None

    def close(self) -> None:
        """Close all attempts that have not ended."""
        for sock in self.flying:
            sock.close()


def _start(
    address: Address, options: Iterable[tuple[Any, ...]], source_address: tuple[Any, ...] | None
) -> socket.socket:
    """Return a socket that is connecting. Raises OSError."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _set_options(sock, options)
        if source_address is not None:
            _bind(sock, source_address)
        error = sock.connect_ex(address.sockaddr)
        if error not in _IN_PROGRESS:
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock


def _set_options(sock: socket.socket, options: Iterable[tuple[Any, ...]]) -> None:
    for option in options:
        try:
            sock.setsockopt(*option)
        except (OSError, TypeError, OverflowError) as exc:
            number = exc.errno if isinstance(exc, OSError) else errno.EINVAL
            raise OSError(number, f"socket option {option!r} refused: {_words(exc)}") from exc


def _bind(sock: socket.socket, source_address: tuple[Any, ...]) -> None:
    try:
        sock.bind(source_address)
    except OSError as exc:
        reason = f"cannot bind to the source address {source_address!r}: {_words(exc)}"
        raise OSError(exc.errno, reason) from exc


def _outcome(sock: socket.socket, port: int) -> OSError | None:
    """Return the error that ended an attempt on a *port*; None: it succeeded."""
    try:
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            return OSError(error, os.strerror(error))
        # The system may choose as our own port the very port of this machine on which nothing
        # listens: then TCP connects the socket to itself (simultaneous open, RFC 9293 section 3.5).
        own = sock.getsockname()
        if own[1] == port and own == sock.getpeername():
            return ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    except OSError as exc:  # connected, and gone again
        return without_traceback(exc)
    return None


# --- error messages -----------------------------------------------------------------------------


def _timeout(
    host: tuple[str, int], silent: Iterable[Address], failures: Sequence[FailedDial]
) -> WebSocketTimeoutException:
    name, port = host
    details = [f"{_name(address)}: no answer" for address in silent] + _list(failures)
    tried = f" ({'; '.join(details)})" if details else ""
    error = WebSocketTimeoutException(f"timed out connecting to {name}:{port}{tried}")
    error.connecting = True
    return error


def _failed(host: tuple[str, int], failures: Sequence[FailedDial]) -> WebSocketConnectException:
    """Return one exception for the attempts on all addresses."""
    name, port = host
    # An address family that this machine lacks (often IPv6) must not hide the other one's error.
    telling = [f for f in failures if f[1].errno not in _NO_ROUTE] or failures
    address, cause = next((f for f in telling if f[1].errno in NO_DESCRIPTORS), telling[0])
    cause.remote_ip = str(address.sockaddr[0])  # type: ignore[attr-defined]  # websocket-client's
    error: WebSocketConnectException
    if cause.errno in NO_DESCRIPTORS:
        error = WebSocketConnectException(
            cause.errno, f"no file descriptor left to connect to {name}:{port}: {_words(cause)}"
        )
    elif all(isinstance(exc, ConnectionRefusedError) for _, exc in telling):
        tried = f" (tried {', '.join(_list(failures))})" if len(failures) > 1 else ""
        error = WebSocketConnectRefusedException(
            cause.errno, f"connection to {name} port {port} refused{tried}"
        )
    else:
        error = WebSocketConnectException(
            cause.errno, f"cannot connect to {name}:{port} ({'; '.join(_list(failures))})"
        )
    error.__cause__ = cause
    return error


def _list(failures: Sequence[FailedDial]) -> list[str]:
    return [f"{_name(address)}: {_words(exc)}" for address, exc in failures]


def _name(address: Address) -> str:
    host, port = address.sockaddr[:2]
    return host_and_port(host, port)


def _words(exc: Exception) -> str:
    return getattr(exc, "strerror", None) or str(exc)
