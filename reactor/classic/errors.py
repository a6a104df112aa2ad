"""The boundary of exceptions: our exceptions become those that websocket-client's users expect.

What it is: :func:`public`, through which every exception of connecting and of a connection passes
on its way into a program; and :func:`of_socket`, the same for exceptions that a socket itself
raises.

What it must not know: where the exceptions go, and how.

How it works. websocket-client passes on the exceptions of the operating system and of ``ssl``
unchanged, and programs check for the exact type: ``type(e) is ConnectionRefusedError``. Our
exceptions name the connection, and have that exception as their cause; so the cause is extracted
again, and ours becomes its cause and a note. Where websocket-client has its own exception, with a
short text, that exception is created; anything else that we know follows its text, or is in the
note.
"""

from __future__ import annotations

import copy
import errno
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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
from .socks_errors import as_of_socks

__all__ = ["CLOSED", "TIMED_OUT", "boundary", "of_socket", "public"]

# The texts of websocket-client.
CLOSED = "socket is already closed."
TIMED_OUT = "Connection timed out"

#: Its text for an invalid head, which comes before ours.
HEAD_FAULTS = (
    ("header line ", "Invalid header: "),
    ("malformed HTTP status line", "Invalid status line: "),
    ("the response is not HTTP/1.x", "Invalid status line: "),
    ("this is not an HTTP response", "Invalid status line: "),
)

_OF_FILES = (FileNotFoundError, ssl.SSLError, ValueError)

#: Its text for a TLS option: the beginning of our text, the exception of OpenSSL, its text.
#: It passes on other exceptions of these options unchanged.
OPTION_FAULTS: tuple[tuple[str, Any, str], ...] = (
    ("sslopt['ciphers']", ssl.SSLError, "SSL cipher configuration failed"),
    ("sslopt['ecdh_curve']", ValueError, "SSL ECDH curve configuration failed"),
    ("sslopt: ca_certs=", _OF_FILES, "SSL CA certificate loading failed"),
    ("WEBSOCKET_CLIENT_CA_BUNDLE=", _OF_FILES, "SSL CA certificate loading failed"),
    ("certfile ", _OF_FILES, "SSL client certificate loading failed"),
)
#: Its text for the last of these, if the certificate is that of ``cert_chain``.
OF_CHAIN = "SSL client certificate configuration failed"

#: Options that contradict each other: our text, and that of websocket-client.
CONTRADICTION = "sslopt: check_hostname=True needs a verified certificate"
CONTRADICTS = (
    "SSL certificate verification configuration failed: "
    "check_hostname cannot be enabled when cert_reqs is CERT_NONE"
)


def public(exc: Exception, sslopt: Mapping[str, Any] | None = None) -> Exception:
    """Return the exception that a program gets for *exc*; often the same one.

    Args:
        exc: the exception that was raised.
        sslopt: the TLS options that were in use.
    """
    if isinstance(exc, WebSocketTLSOptionException):
        known: Exception | None = _option(exc, dict(sslopt or {}))
    else:
        known = next((make(exc) for kind, make in MAKERS if isinstance(exc, kind)), None)
    if known is None or known is exc:
        return exc
    known.__cause__ = exc
    if hasattr(known, "add_note") and str(known) != str(exc):  # since Python 3.11
        known.add_note(str(exc))
    return known


@contextmanager
def boundary(sslopt: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Exceptions that leave the block are changed by :func:`public`."""
    try:
        yield
    except WebSocketException as exc:
        known = public(exc, sslopt)
        if known is exc:
            raise
        raise known from exc


def of_socket(exc: OSError) -> WebSocketException | None:
    """Return our exception for one that a socket has raised; None: pass that one on."""
    if isinstance(exc, TimeoutError):
        return WebSocketTimeoutException(TIMED_OUT)
    if isinstance(exc, ssl.SSLError):
        text = str(exc.args[0]) if exc.args else ""
        # From a wrapper around OpenSSL other than the standard library's.
        return WebSocketTimeoutException(text) if "timed out" in text else None
    return WebSocketConnectionClosedException(CLOSED) if exc.errno == errno.EBADF else None


def _handshake(exc: Exception) -> Exception:
    if isinstance(exc, HeadCutOff) or isinstance(exc.__cause__, HeadCutOff):
        return WebSocketConnectionClosedException(LOST)
    text = str(exc)
    words = next((words for beginning, words in HEAD_FAULTS if text.startswith(beginning)), "")
    return WebSocketException(words + text)


def _address(exc: Exception) -> Exception:
    return exc if exc.__cause__ is None else WebSocketAddressException(exc.__cause__)


def _proxy(exc: Exception) -> Exception:
    text = str(getattr(exc, "strerror", None) or exc)
    if "the proxy socks" in text:
        return as_of_socks(exc)
    cause = exc.__cause__
    if not isinstance(cause, WebSocketException):
        return exc
    # An HTTP proxy counts as an ordinary host until it has been reached.
    if text.startswith("cannot reach the proxy "):
        return public(cause)
    return WebSocketProxyException(str(public(cause)))


def _timeout(exc: Exception) -> Exception:
    """Before there is a connection, a time-out is the operating system's exception."""
    text = str(exc)
    if "the proxy socks" in text:
        return as_of_socks(exc)
    step: BaseException | None = exc
    while step is not None:
        if getattr(step, "connecting", False):
            tls = "in the TLS handshake" in str(step)
            return TimeoutError("The handshake operation timed out" if tls else str(step))
        step = step.__cause__
    return WebSocketProxyException(text) if "with the proxy http" in text else exc


def _option(exc: Exception, sslopt: Mapping[str, Any]) -> Exception:
    cause, text = exc.__cause__, str(getattr(exc, "strerror", None) or exc)
    faults = (fault for fault in OPTION_FAULTS if text.startswith(fault[0]))
    beginning, kinds, words = next(faults, ("", Exception, ""))
    if cause is None or not words:
        return WebSocketException(text)
    if not isinstance(cause, kinds):
        return _innermost(exc)
    if beginning == "certfile " and not sslopt.get("certfile"):
        if isinstance(cause, ValueError):
            return _innermost(exc)
        words = OF_CHAIN
    return WebSocketException(f"{words}: {cause}")


def _contradiction(exc: Exception) -> Exception:
    return WebSocketException(CONTRADICTS) if str(exc).startswith(CONTRADICTION) else exc


def _lost(exc: Exception) -> Exception:
    cause = _innermost(exc)
    return WebSocketTimeoutException(TIMED_OUT) if isinstance(cause, TimeoutError) else cause


def _innermost(exc: Exception) -> Exception:
    """Return a copy of the first exception in the chain, that of the system or of ``ssl``."""
    cause = exc
    while isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    if cause is not exc:
        try:
            return copy.copy(cause)
        except Exception:  # noqa: BLE001 - its class cannot be created from its ``args``
            return OSError(getattr(cause, "errno", None), str(cause))
    # Ours, without a cause: return what the system would have raised.
    return OSError(exc.errno, exc.strerror) if isinstance(exc, OSError) else exc


#: The functions for each class of exceptions; the first that matches is used.
MAKERS: tuple[tuple[type[Exception], Callable[[Exception], Exception]], ...] = (
    (WebSocketBadStatusException, lambda exc: exc),
    (WebSocketHandshakeException, _handshake),
    (WebSocketAddressException, _address),
    (WebSocketProxyException, _proxy),
    (WebSocketTimeoutException, _timeout),
    (WebSocketConnectException, _innermost),
    (WebSocketConnectionClosedException, _lost),
    (WebSocketException, _contradiction),
)
