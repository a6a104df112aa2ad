"""The defaults that websocket-client keeps once for the whole process.

What it is: the default time-out, the default reconnect interval, the default socket options, and
:class:`sock_opt`, in which a WebSocket keeps its own.

What it must not know: which code uses them.
"""

from __future__ import annotations

from typing import Any

from ..timers import Backoff
from ..transports.dial.race import DEFAULT_SOCKET_OPTION

__all__ = [
    "DEFAULT_SOCKET_OPTION",
    "get_reconnect",
    "getdefaulttimeout",
    "set_reconnect",
    "setdefaulttimeout",
    "sock_opt",
]


# Under the names that websocket-client uses.
_default_timeout: float | None = None
RECONNECT: float | Backoff = 0


def setdefaulttimeout(timeout: float | None) -> None:
    """Set the time-out of connections that do not set their own.

    Args:
        timeout: seconds; None for no limit.

    Raises:
        ValueError: the number is negative.
        TypeError: it is not a number.
    """
    global _default_timeout
    check_timeout(timeout)
    _default_timeout = timeout


def getdefaulttimeout() -> float | None:
    """Return the default time-out of connections, in seconds; None for no limit."""
    return _default_timeout


def set_reconnect(reconnectInterval: float | Backoff) -> None:  # noqa: N803 - the name in use
    """Set what ``run_forever`` does after a loss if it is not given ``reconnect``.

    Args:
        reconnectInterval: seconds between attempts, 0 for none, or a Backoff.
    """
    global RECONNECT
    RECONNECT = reconnectInterval


def get_reconnect() -> float | Backoff:
    """Return what :func:`set_reconnect` was given, or 0."""
    return RECONNECT


def check_timeout(timeout: float | None) -> None:
    """Check a time-out.

    Raises:
        ValueError: the number is negative.
        TypeError: it is neither None nor a number.
    """
    try:
        if timeout is None or timeout >= 0:
            return
    except TypeError:
        raise TypeError(f"timeout must be None or a number, not {type(timeout).__name__}") from None
    raise ValueError(f"timeout must be None, or 0 or greater, not {timeout!r}")


class sock_opt:  # noqa: N801 - websocket-client's name
    """Options for the socket of a connection.

    Attributes:
        timeout: the time-out of the connection, in seconds, or None.
        sockopt: arguments of setsockopt() calls; None for [].
        sslopt: options for TLS; None for {}.
    """

    def __init__(self, sockopt: Any, sslopt: dict[str, Any] | None) -> None:
        self.sockopt = [] if sockopt is None else sockopt
        self.sslopt = {} if sslopt is None else sslopt
        self.timeout: float | None = None
