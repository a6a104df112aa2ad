"""TLS: the handshake, as a coroutine over loop/steps.py.

What it is: everything between a connected socket and the first byte of HTTP.

What it must not know: addresses, the event loop, HTTP, WebSocket; how a context is made
(contexts.py), and which sessions are kept (sessions.py).

How it works. Each step of a handshake waits until the loop has time for it. After that wait, it is
decided what is verified and what is resumed, and the first step follows at once: no other code can
change the context between the two.
"""

from __future__ import annotations

import socket
import ssl
import traceback
from collections.abc import Mapping
from typing import Any

from ...exceptions import (
    WebSocketCertificateException,
    WebSocketTimeoutException,
    WebSocketTLSException,
)
from ...loop.steps import my_turn, wait
from ..dial.names import server_hostname as name_to_verify
from .contexts import make_context, reason_of
from .nested import NestedTLS
from .sessions import AnySession, Resumption, session_cache

__all__ = ["accept_tls", "connect_tls", "describe_tls", "speaks_no_tls", "speaks_tls", "start_tls"]

# OpenSSL's reasons if the peer's first bytes are not TLS; the second is that of version 3.2+.
NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})


def speaks_tls(sock: Any) -> bool:
    """Return whether bytes that are written to a socket leave it in TLS; any library's socket."""
    return any(hasattr(sock, name) for name in ("getpeercert", "get_peer_certificate"))


def describe_tls(sock: Any) -> str:
    """Return the version of TLS on a socket, and " resumed" if its session was resumed."""
    version = sock.version() if hasattr(sock, "version") else None
    resumed = " resumed" if getattr(sock, "session_reused", False) else ""
    return f"{version or 'TLS'}{resumed}"


def speaks_no_tls(error: WebSocketTLSException) -> bool:
    """Return whether the peer of a failed handshake has shown no sign of TLS, not even an alert."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return cause.reason in NOT_TLS
    return True  # it has closed, or reset the connection


async def connect_tls(
    sock: socket.socket,
    sslopt: Mapping[str, Any] | None,
    host: str,
    port: int,
    until: float | None,
    *,
    peer: str | None = None,
) -> tuple[ssl.SSLSocket | NestedTLS, Resumption]:
    """Do the client's side of the TLS handshake, and resume a session if there is one.

    Args:
        sock, until: see :func:`start_tls`.
        sslopt: see :func:`~.contexts.make_context`.
        host, port: the server.
        peer: the server's name in exceptions; default: the host.

    Returns:
        The socket that speaks TLS, and the Resumption to finish when data has been read.

    Raises:
        WebSocketException, ValueError, TypeError: as start_tls() and make_context() raise. The
            caller then closes *sock*.
    """
    await _time_to_compute(peer or host, until)
    context, name = make_context(sslopt), name_to_verify(sslopt, host)
    resumption = session_cache.begin(context, name, port)
    tls = await start_tls(sock, context, name, until, resumption.session, host=peer)
    return tls, resumption


async def start_tls(
    sock: socket.socket,
    context: ssl.SSLContext,
    server_hostname: str | None,
    until: float | None,
    session: AnySession | None = None,
    *,
    suppress_ragged_eofs: bool = True,
    host: str | None = None,
) -> ssl.SSLSocket | NestedTLS:
    """Do the client's side of the TLS handshake over a connected socket.

    Args:
        sock: the socket; it may speak TLS already, with a proxy. From here on it belongs to the
            result, and it is closed on failure.
        context: from :func:`make_context`.
        server_hostname: the name to send in SNI and to verify.
        until: point in time (seconds of the driver's clock) at which to give up, or None.
        session: the session of a Resumption (sessions.py), to be resumed if the server agrees.
        suppress_ragged_eofs: True (default): an end without close_notify reads as an end, not as an
            error.
        host: the server's name in exceptions; default: *server_hostname*.

    Returns:
        The SSLSocket, or a NestedTLS over one, non-blocking.

    Raises:
        WebSocketCertificateException: the certificate cannot be verified.
        WebSocketTimeoutException: *until* is reached.
        WebSocketTLSException: the handshake failed for another reason. Each message has the host.
    """
    return await _start(
        sock,
        context,
        host or server_hostname or "the server",
        until,
        server_hostname=server_hostname,
        session=session,
        suppress_ragged_eofs=suppress_ragged_eofs,
    )


async def accept_tls(
    sock: socket.socket, context: ssl.SSLContext, until: float | None
) -> ssl.SSLSocket:
    """Do the server's side of the TLS handshake over an accepted socket.

    Arguments, result and errors are those of :func:`start_tls`; the peer is "the client". The
    caller closes *sock* if an exception is raised.
    """
    await _time_to_compute("the client", until)
    tls = await _start(sock, context, "the client", until, server_side=True)
    assert isinstance(tls, ssl.SSLSocket)
    return tls


async def _start(
    sock: socket.socket,
    context: ssl.SSLContext,
    host: str,
    until: float | None,
    **options: Any,
) -> ssl.SSLSocket | NestedTLS:
    tls: socket.socket | NestedTLS = sock  # the one that has the descriptor
    try:
        sock.setblocking(False)
        tls = wrapped = _wrap(sock, context, **options)
        await _handshake(wrapped, host, until)
    except (OSError, ValueError) as exc:
        tls.close()
        raise _handshake_error(exc, host) from exc
    except BaseException:  # also when the coroutine is cancelled
        tls.close()
        raise
    return wrapped


def _wrap(
    sock: socket.socket,
    context: ssl.SSLContext,
    *,
    session: AnySession | None = None,
    **options: Any,
) -> ssl.SSLSocket | NestedTLS:
    """Return the TLS socket, which has taken the descriptor of *sock*."""
    if isinstance(session, ssl.SSLSession):
        options["session"] = session
        session = None
    # wrap_socket would find these errors too, but only after it has taken the descriptor, which
    # then stays open for as long as the exception lives.
    sock.getpeername()
    (options.get("server_hostname") or "").encode("idna")
    if isinstance(sock, ssl.SSLSocket):
        nested = NestedTLS(sock, context, **options)
        if session is not None:
            session.offer(nested)
        return nested
    try:
        wrapped = context.wrap_socket(sock, do_handshake_on_connect=False, **options)
    except (OSError, ValueError) as exc:
        # The peer may have left meanwhile. Only the frames of wrap_socket refer to the SSLSocket.
        traceback.clear_frames(exc.__traceback__)
        raise
    if wrapped.gettimeout() != 0.0:
        wrapped.setblocking(False)  # eventlet's socket has lost that setting
    if session is not None:
        try:
            session.offer(wrapped)
        except (OSError, ValueError):
            wrapped.close()
            raise
    return wrapped


async def _handshake(tls: ssl.SSLSocket | NestedTLS, host: str, until: float | None) -> None:
    descriptor = (tls.fileno(),)
    while True:
        try:
            tls.do_handshake()
            return
        except ssl.SSLWantReadError:
            writing = False
        except ssl.SSLWantWriteError:
            writing = True
        if writing:
            ready = await wait(writes=descriptor, until=until)
        else:
            ready = await wait(reads=descriptor, until=until)
        if not ready:
            raise _timeout(host)
        await _time_to_compute(host, until)


async def _time_to_compute(host: str, until: float | None) -> None:
    """Wait until the loop has time: keys and certificates cost up to some milliseconds of CPU."""
    if not await my_turn(until):
        raise _timeout(host)


def _timeout(host: str) -> WebSocketTimeoutException:
    error = WebSocketTimeoutException(f"timed out in the TLS handshake with {host}")
    error.connecting = True
    return error


def _handshake_error(exc: OSError | ValueError, host: str) -> WebSocketTLSException:
    """Return our exception for one that do_handshake or wrap_socket raised."""
    number = exc.errno if isinstance(exc, OSError) else None
    error: WebSocketTLSException
    if isinstance(exc, ssl.SSLCertVerificationError):
        error = WebSocketCertificateException(
            number, f"the certificate of {host} cannot be verified: {exc.verify_message}"
        )
        error.verify_code = exc.verify_code
        error.verify_message = exc.verify_message
    elif isinstance(exc, ssl.SSLEOFError) or (
        isinstance(exc, OSError) and not isinstance(exc, ssl.SSLError)
    ):
        error = WebSocketTLSException(
            number, f"the connection was lost in the TLS handshake with {host}: {reason_of(exc)}"
        )
    else:
        hint = ""
        if getattr(exc, "reason", None) in NOT_TLS:
            hint = " (does the server speak TLS on this port?)"
        error = WebSocketTLSException(
            number, f"the TLS handshake with {host} failed: {reason_of(exc)}{hint}"
        )
    if isinstance(exc, ssl.SSLError):
        error.library = getattr(exc, "library", None)  # type: ignore[assignment]
        error.reason = getattr(exc, "reason", None)  # type: ignore[assignment]
    return error
