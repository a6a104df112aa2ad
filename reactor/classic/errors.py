"""The boundary of exceptions: what websocket-client's users get in the place of ours.

What it is: :func:`public`, through which every exception of connecting and of a connection passes
on its way into a program; and :func:`of_socket`, the same for what a socket raises by itself.

What it must not know: who is told, and how.

How it works. websocket-client raises what the operating system and ``ssl`` raise as it is, and
programs look at the very type: ``type(e) is ConnectionRefusedError``. Our exceptions name the
connection, and have that one as their cause; so it is taken out again, and ours becomes the cause
and a note of it. Where websocket-client has an exception of its own, with few words, that one is
made; what we know besides stands behind its words, or in the note.
"""

from __future__ import annotations

import copy
import errno
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..exceptions import (
    LOST,
    WebSocketAddressException,
    WebSocketBadStatusException,
    WebSocketConnectException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketHandshakeException,
    WebSocketProxyException,
    WebSocketTimeoutException,
    WebSocketTLSOptionException,
)
from ..protocols.http.http11 import HeadCutOff

__all__ = ["CLOSED", "TIMED_OUT", "boundary", "of_socket", "public"]

# websocket-client's words.
CLOSED = "socket is already closed."
TIMED_OUT = "Connection timed out"

#: What it says of a head that is none, before our own words.
HEAD_FAULTS = (
    ("header line ", "Invalid header: "),
    ("malformed HTTP status line", "Invalid status line: "),
    ("the response is not HTTP/1.x", "Invalid status line: "),
    ("this is not an HTTP response", "Invalid status line: "),
)


def public(exc: Exception) -> Exception:
    """Return what to give to a program for an exception; often the same one."""
    known = next((make(exc) for kind, make in MAKERS if isinstance(exc, kind)), None)
    if known is None or known is exc:
        return exc
    known.__cause__ = exc
    if hasattr(known, "add_note") and str(known) != str(exc):  # since Python 3.11
        known.add_note(str(exc))
    return known


@contextmanager
def boundary() -> Iterator[None]:
    """What is raised in the block leaves it as :func:`public` says."""
    try:
        yield
    except WebSocketException as exc:
        known = public(exc)
        if known is exc:
            raise
        raise known from exc


def of_socket(exc: OSError) -> WebSocketException | None:
    """Return the exception of ours for what a socket has raised; None: let that one pass."""
    if isinstance(exc, TimeoutError):
        return WebSocketTimeoutException(TIMED_OUT)
    if isinstance(exc, ssl.SSLError):
        text = str(exc.args[0]) if exc.args else ""
        # From a wrapper around OpenSSL that is not the standard library's.
        return WebSocketTimeoutException(text) if "timed out" in text else None
    return WebSocketConnectionClosedException(CLOSED) if exc.errno == errno.EBADF else None


def _handshake(exc: Exception) -> Exception:
    if isinstance(exc.__cause__, HeadCutOff):
        return WebSocketConnectionClosedException(LOST)
    text = str(exc)
    words = next((words for beginning, words in HEAD_FAULTS if text.startswith(beginning)), "")
    return WebSocketException(words + text)


def _address(exc: Exception) -> Exception:
    return exc if exc.__cause__ is None else WebSocketAddressException(exc.__cause__)


def _proxy(exc: Exception) -> Exception:
    # An HTTP proxy is a host like any other, as long as it has not been reached. (What
    # python-socks raises for another one has no types of its own here, see docs/migrating.md.)
    if not str(getattr(exc, "strerror", None) or exc).startswith("cannot reach the proxy http"):
        return exc
    cause = exc.__cause__
    return public(cause) if isinstance(cause, WebSocketException) else exc


def _timeout(exc: Exception) -> Exception:
    """Before there is a connection, a time-out is the system's."""
    step: BaseException | None = exc
    while step is not None:
        if getattr(step, "connecting", False):
            return TimeoutError(str(exc))
        step = step.__cause__
    return exc


def _option(exc: Exception) -> Exception:
    return WebSocketException(getattr(exc, "strerror", None) or str(exc))


def _lost(exc: Exception) -> Exception:
    cause = _innermost(exc)
    return WebSocketTimeoutException(TIMED_OUT) if isinstance(cause, TimeoutError) else cause


def _innermost(exc: Exception) -> Exception:
    """Return a copy of what the system, or ``ssl``, has raised in the beginning."""
    cause = exc
    while isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    if cause is not exc:
        try:
            return copy.copy(cause)
        except Exception:  # noqa: BLE001 - of a class that cannot be made from its ``args``
            return OSError(getattr(cause, "errno", None), str(cause))
    # Ours, and of nobody else: as what the system would have said.
    return OSError(exc.errno, exc.strerror) if isinstance(exc, OSError) else exc


#: What is made of which exception; the first that fits.
MAKERS: tuple[tuple[type[Exception], Callable[[Exception], Exception]], ...] = (
    (WebSocketBadStatusException, lambda exc: exc),
    (WebSocketHandshakeException, _handshake),
    (WebSocketAddressException, _address),
    (WebSocketProxyException, _proxy),
    (WebSocketTimeoutException, _timeout),
    (WebSocketTLSOptionException, _option),
    (WebSocketConnectException, _innermost),
    (WebSocketConnectionClosedException, _lost),
)
