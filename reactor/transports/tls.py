"""TLS: from ``sslopt`` to an SSLContext, the handshake, and session resumption.

What it is: everything about TLS that happens before the first byte of HTTP.

What it must not know: names, addresses, the event loop, HTTP, WebSocket.

How it works. A context with the CA store of the system costs tens of milliseconds and most of
a megabyte, so :func:`make_context` makes one per distinct ``sslopt`` and keeps it for the
whole process. What identifies a context is the content of the options, the environment
variables that act on them, and age and size of the files they name: a certificate file that
was renewed gives a new context. :func:`start_tls` is the handshake as a coroutine over
:mod:`reactor.tasks`. A :class:`SessionCache` remembers what a server gave us to shorten the
next handshake.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..exceptions import (
    WebSocketCertificateException,
    WebSocketException,
    WebSocketTimeoutException,
    WebSocketTLSException,
    WebSocketTLSOptionException,
)
from ..tasks import wait

__all__ = [
    "SessionCache",
    "accept_tls",
    "make_context",
    "make_server_context",
    "server_hostname",
    "session_cache",
    "start_tls",
]

#: RFC 7301: what we speak inside TLS. (WebSocket over HTTP/2 is another protocol, RFC 8441.)
ALPN_PROTOCOLS = ["http/1.1"]

#: How many contexts make_context keeps.
MAX_CONTEXTS = 64

#: The keys of sslopt that shape the context.
CONTEXT_KEYS = frozenset(
    {
        "ca_cert_path",
        "ca_certs",
        "cert_chain",
        "cert_reqs",
        "certfile",
        "check_hostname",
        "ciphers",
        "ecdh_curve",
        "keyfile",
        "password",
        "ssl_version",
    }
)
#: The keys that do not: ready-made, or about the single connection.
OTHER_KEYS = frozenset(
    {"context", "do_handshake_on_connect", "server_hostname", "suppress_ragged_eofs"}
)

CA_BUNDLE_VARIABLE = "WEBSOCKET_CLIENT_CA_BUNDLE"
KEYLOG_VARIABLE = "SSLKEYLOGFILE"
#: The variables that act on a context; the last two are OpenSSL's own.
VARIABLES = (CA_BUNDLE_VARIABLE, KEYLOG_VARIABLE, "SSL_CERT_FILE", "SSL_CERT_DIR")

# What OpenSSL finds when the peer's first bytes are not TLS; the second name is that of 3.2+.
NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})

_contexts: OrderedDict[Hashable, ssl.SSLContext] = OrderedDict()
_contexts_lock = threading.RLock()  # reentrant: a password may be a function of the user


def make_context(sslopt: Mapping[str, Any] | None = None) -> ssl.SSLContext:
    """Return the client context for *sslopt*. The same content gives the same context.

    By default the certificate and the host name are verified against the CAs of the system,
    TLS 1.2 is the minimum, and ALPN offers "http/1.1". May be called on any thread; reads
    files when the context is new.

    Parameters:
        sslopt: websocket-client's dictionary; a value of None counts as absent. Keys:

            - ``context``: an SSLContext that is returned as it is, whatever else is given
            - ``ca_certs``, ``ca_cert_path``: file and directory of CAs instead of those of the
              system. Without them, the environment variable WEBSOCKET_CLIENT_CA_BUNDLE
            - ``cert_reqs`` (CERT_REQUIRED); CERT_NONE also switches ``check_hostname`` off
            - ``check_hostname`` (True)
            - ``certfile``, ``keyfile``, ``password``, or ``cert_chain``, a tuple of the three:
              the certificate of the client
            - ``ciphers``, ``ecdh_curve``: names as OpenSSL has them
            - ``ssl_version`` (PROTOCOL_TLS_CLIENT)
            - ``server_hostname``: see :func:`server_hostname`
            - ``suppress_ragged_eofs``: for :func:`start_tls`
            - ``do_handshake_on_connect``: accepted without effect

    Raises ValueError for an unknown key and a ``cert_chain`` that is no tuple of three, TypeError
    for a ``context`` that is none, WebSocketException for CERT_NONE together with
    ``check_hostname=True``, and WebSocketTLSOptionException naming the key whose file or value
    OpenSSL refuses.
    """
    options = {key: value for key, value in (sslopt or {}).items() if value is not None}
    unknown = sorted(map(str, options.keys() - CONTEXT_KEYS - OTHER_KEYS))
    if unknown:
        raise ValueError(f"sslopt has no key {', '.join(map(repr, unknown))}")
    context = options.get("context")
    if context is not None:
        if not isinstance(context, ssl.SSLContext):
            raise TypeError(f"sslopt['context'] is not an ssl.SSLContext: {context!r}")
        return context

    options = {key: value for key, value in options.items() if key in CONTEXT_KEYS}
    variables = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    identity = _identity(options, variables)
    with _contexts_lock:
        context = _contexts.get(identity)
        if context is None:
            context = _contexts[identity] = _build_context(options, variables)
            if len(_contexts) > MAX_CONTEXTS:
                _contexts.popitem(last=False)
        else:
            _contexts.move_to_end(identity)
        return context


def make_server_context(
    certfile: str | os.PathLike[str],
    keyfile: str | os.PathLike[str] | None = None,
    password: str | bytes | Callable[[], str | bytes] | None = None,
) -> ssl.SSLContext:
    """Return a new context for the listening side: TLS 1.2 or newer, ALPN "http/1.1".

    Parameters:
        certfile: PEM file with the certificate and its chain.
        keyfile: PEM file with the private key; None when it is in *certfile*.
        password: of the private key.

    Raises WebSocketTLSOptionException naming the file that can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _require_tls_1_2(context)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    _load_cert_chain(context, certfile, keyfile, password)
    return context


def server_hostname(sslopt: Mapping[str, Any] | None, host: str) -> str:
    """Return the name to send in SNI and to verify: that of *sslopt* if it has one, else *host*."""
    name: str | None = (sslopt or {}).get("server_hostname")
    # RFC 6874 section 4: the zone of a link-local address means nothing outside this machine.
    return name or host.partition("%")[0]


# --- the identity of a context ----------------------------------------------------------------


class _ById:
    """Stands for a value that can't be hashed, and keeps it alive so its id stays its own."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _identity(options: Mapping[str, Any], variables: Mapping[str, str]) -> Hashable:
    """Return what distinguishes the context of these options from others."""
    chain = options.get("cert_chain")
    paths = [options.get(key) for key in ("ca_certs", "ca_cert_path", "certfile", "keyfile")]
    paths += list(chain)[:2] if isinstance(chain, (list, tuple)) else []
    paths += [value for name, value in variables.items() if name != KEYLOG_VARIABLE]
    return (
        frozenset((key, _hashable(value)) for key, value in options.items()),
        frozenset(variables.items()),
        tuple(_file_stamp(path) for path in paths),
    )


def _hashable(value: object) -> Hashable:
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashable, value))
    if isinstance(value, bytearray):
        return bytes(value)
    try:
        hash(value)
    except TypeError:
        return _ById(value)
    return type(value), value  # the type, because b"" == "" warns under python -b


def _file_stamp(path: Any) -> Hashable:
    """Return what changes when the file is replaced; None where there is no file."""
    try:
        status = os.stat(path)
    except (OSError, TypeError, ValueError):
        return None  # _build_context reports it
    return status.st_mtime_ns, status.st_size, status.st_ino


# --- making a context -------------------------------------------------------------------------


def _build_context(options: Mapping[str, Any], variables: Mapping[str, str]) -> ssl.SSLContext:
    cert_reqs = options.get("cert_reqs", ssl.CERT_REQUIRED)
    check_hostname = options.get("check_hostname", cert_reqs != ssl.CERT_NONE)
    if check_hostname and cert_reqs == ssl.CERT_NONE:
        raise WebSocketException(
            "sslopt: check_hostname=True needs a verified certificate, but cert_reqs is CERT_NONE"
        )
    version = options.get("ssl_version", ssl.PROTOCOL_TLS_CLIENT)
    with _naming("sslopt['ssl_version']"):
        context = ssl.SSLContext(version)
    # The other values of ssl_version name exactly one version, which then is what is wanted.
    if version in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS):
        _require_tls_1_2(context)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    context.check_hostname = False  # in this order: it forbids CERT_NONE, and needs more than that
    with _naming("sslopt['cert_reqs']"):
        context.verify_mode = cert_reqs
    context.check_hostname = bool(check_hostname)
    if cert_reqs != ssl.CERT_NONE:
        _load_authorities(context, options, variables)
    _load_client_certificate(context, options)
    if "ciphers" in options:
        with _naming("sslopt['ciphers']"):
            context.set_ciphers(options["ciphers"])
    if "ecdh_curve" in options:
        with _naming("sslopt['ecdh_curve']"):
            context.set_ecdh_curve(options["ecdh_curve"])
    if KEYLOG_VARIABLE in variables and not sys.flags.ignore_environment:
        with _naming(f"{KEYLOG_VARIABLE}={variables[KEYLOG_VARIABLE]}"):
            context.keylog_filename = variables[KEYLOG_VARIABLE]
    return context


def _require_tls_1_2(context: ssl.SSLContext) -> None:
    """Refuse what RFC 8996 has buried, but never lower a stricter setting of the system."""
    if context.minimum_version < ssl.TLSVersion.TLSv1_2:
        context.minimum_version = ssl.TLSVersion.TLSv1_2


def _load_authorities(
    context: ssl.SSLContext, options: Mapping[str, Any], variables: Mapping[str, str]
) -> None:
    file, directory = options.get("ca_certs"), options.get("ca_cert_path")
    bundle = variables.get(CA_BUNDLE_VARIABLE)
    if file is not None or directory is not None:
        with _naming(f"sslopt: ca_certs={file!r}, ca_cert_path={directory!r}"):
            context.load_verify_locations(cafile=file, capath=directory)
    elif bundle is not None:
        with _naming(f"{CA_BUNDLE_VARIABLE}={bundle}"):
            if os.path.isdir(bundle):
                context.load_verify_locations(capath=bundle)
            else:
                context.load_verify_locations(cafile=bundle)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)


def _load_client_certificate(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    if "certfile" in options:
        _load_cert_chain(
            context, options["certfile"], options.get("keyfile"), options.get("password")
        )
    elif "keyfile" in options:
        raise WebSocketTLSOptionException(None, "sslopt has a keyfile, but no certfile")
    if "cert_chain" in options:
        chain = options["cert_chain"]
        if not isinstance(chain, (tuple, list)) or len(chain) != 3:
            # What it holds is not shown: one of them may be the password.
            raise ValueError("cert_chain must be a tuple/list of (certfile, keyfile, password)")
        _load_cert_chain(context, *chain)


def _load_cert_chain(context: ssl.SSLContext, certfile: Any, keyfile: Any, password: Any) -> None:
    def no_password() -> str:
        # Without this OpenSSL asks on the terminal, and the whole process stands still.
        raise ValueError("the private key is encrypted, and there is no password")

    with _naming(f"certfile {certfile!r}, keyfile {keyfile!r}"):
        context.load_cert_chain(certfile, keyfile, no_password if password is None else password)


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Turn what ssl raises into an exception of ours that names the option at fault."""
    try:
        yield
    except (OSError, TypeError, ValueError) as exc:
        number = exc.errno if isinstance(exc, OSError) else None
        raise WebSocketTLSOptionException(number, f"{what}: {_reason(exc)}") from exc


def _reason(exc: Exception) -> str:
    """Return what went wrong in words, without OpenSSL's file names and line numbers."""
    code = getattr(exc, "reason", None) if isinstance(exc, ssl.SSLError) else None
    if code:
        return str(code).replace("_", " ").lower()
    return getattr(exc, "strerror", None) or str(exc)


# --- the handshake ----------------------------------------------------------------------------


async def start_tls(
    sock: socket.socket,
    context: ssl.SSLContext,
    server_hostname: str | None,
    until: float | None,
    session: ssl.SSLSession | None = None,
    *,
    suppress_ragged_eofs: bool = True,
) -> ssl.SSLSocket:
    """Do the client's side of the TLS handshake over a connected socket.

    Parameters:
        sock: the socket. From here on it belongs to the SSLSocket: it is detached on success
            and closed on failure.
        context: from :func:`make_context`.
        server_hostname: the name to send in SNI and to verify.
        until: point in time (seconds of the driver's clock) at which to give up, or None.
        session: from :meth:`SessionCache.get`, to be resumed if the server is willing.
        suppress_ragged_eofs: an end without close_notify reads as an end, not as an error.

    Returns the SSLSocket, non-blocking. Raises WebSocketCertificateException when the
    certificate does not verify, WebSocketTimeoutException at *until*, and
    WebSocketTLSException for all else, with the host in each message.
    """
    return await _start(
        sock,
        context,
        server_hostname or "the server",
        until,
        server_hostname=server_hostname,
        session=session,
        suppress_ragged_eofs=suppress_ragged_eofs,
    )


async def accept_tls(
    sock: socket.socket, context: ssl.SSLContext, until: float | None
) -> ssl.SSLSocket:
    """Do the server's side of the TLS handshake over an accepted socket.

    Parameters, result and errors are those of :func:`start_tls`; the peer is "the client".
    """
    return await _start(sock, context, "the client", until, server_side=True)


async def _start(
    sock: socket.socket, context: ssl.SSLContext, host: str, until: float | None, **options: Any
) -> ssl.SSLSocket:
    tls: socket.socket = sock  # the one that has the descriptor
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


def _wrap(sock: socket.socket, context: ssl.SSLContext, **options: Any) -> ssl.SSLSocket:
    """Return the SSLSocket that has taken the descriptor of *sock*."""
    # What wrap_socket would find too, but only when the descriptor is already its own: it then
    # stays open for as long as somebody keeps the exception.
    sock.getpeername()
    (options.get("server_hostname") or "").encode("idna")
    try:
        return context.wrap_socket(sock, do_handshake_on_connect=False, **options)
    except (OSError, ValueError) as exc:
        # The peer can have left since. Only the frames of wrap_socket know the SSLSocket.
        traceback.clear_frames(exc.__traceback__)
        raise


async def _handshake(tls: ssl.SSLSocket, host: str, until: float | None) -> None:
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
            error = WebSocketTimeoutException(f"timed out in the TLS handshake with {host}")
            error.connecting = True
            raise error


def _handshake_error(exc: OSError | ValueError, host: str) -> WebSocketTLSException:
    """Return the exception of ours for what do_handshake or wrap_socket raised."""
    number = exc.errno if isinstance(exc, OSError) else None
    error: WebSocketTLSException
    if isinstance(exc, ssl.SSLCertVerificationError):
        error = WebSocketCertificateException(
            number, f"the certificate of {host} does not verify: {exc.verify_message}"
        )
        error.verify_code = exc.verify_code
        error.verify_message = exc.verify_message
    elif isinstance(exc, ssl.SSLEOFError) or (
        isinstance(exc, OSError) and not isinstance(exc, ssl.SSLError)
    ):
        error = WebSocketTLSException(
            number, f"the connection was lost in the TLS handshake with {host}: {_reason(exc)}"
        )
    else:
        hint = ""
        if getattr(exc, "reason", None) in NOT_TLS:
            hint = " (does the server speak TLS on this port?)"
        error = WebSocketTLSException(
            number, f"the TLS handshake with {host} failed: {_reason(exc)}{hint}"
        )
    if isinstance(exc, ssl.SSLError):
        error.library = getattr(exc, "library", None)  # type: ignore[assignment]
        error.reason = getattr(exc, "reason", None)  # type: ignore[assignment]
    return error


# --- session resumption -----------------------------------------------------------------------


class SessionCache:
    """TLS sessions to resume (RFC 8446 section 2.2, RFC 5077): one round trip less, no certificate.

    The newest session of each (context, host, port), at most *limit* of them. A resumed session
    is not verified again, so one is only ever given to the context and the host name that it was
    verified for. May be used from any thread.

    Parameters:
        limit: how many sessions are kept; the one unused for longest goes first.
    """

    __slots__ = ("_limit", "_lock", "_sessions")

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._sessions: OrderedDict[Hashable, ssl.SSLSession] = OrderedDict()

    def get(self, context: ssl.SSLContext, host: str | None, port: int) -> ssl.SSLSession | None:
        """Return the session to resume, or None.

        Parameters:
            context, host: what start_tls gets as context and as server_hostname.
            port: the port of the server.
        """
        key = self._key(context, host, port)
        with self._lock:
            session = self._sessions.get(key)
            if session is not None:
                self._sessions.move_to_end(key)
            return session

    def put(self, tls: ssl.SSLSocket, port: int | None = None) -> bool:
        """Remember the session of an open connection.

        TLS 1.3 servers send it after the handshake: to be called once data has been read.

        Parameters:
            tls: the connection, as start_tls returned it.
            port: the port of the server; None for that of the socket's peer, which through a
                tunnel is the proxy's.

        Returns whether there is a session that can be resumed. Raises OSError when *port* is
        None and the connection is gone.
        """
        session = tls.session
        # Until its ticket has come, a session of TLS 1.3 has neither ticket nor id.
        if session is None or not (session.has_ticket or session.id):
            return False
        if port is None:
            port = tls.getpeername()[1]
        key = self._key(tls.context, tls.server_hostname, port)
        with self._lock:
            self._sessions[key] = session
            self._sessions.move_to_end(key)
            if len(self._sessions) > self._limit:
                self._sessions.popitem(last=False)
        return True

    def clear(self) -> None:
        """Forget all sessions."""
        with self._lock:
            self._sessions.clear()

    def __len__(self) -> int:
        return len(self._sessions)

    @staticmethod
    def _key(context: ssl.SSLContext, host: str | None, port: int) -> Hashable:
        # The context itself, not its id, so that no other can take its place; and how strictly
        # it verifies, because a context can be changed after a session was made with it.
        return context, context.verify_mode, context.check_hostname, host, port


#: The sessions of the whole process.
session_cache = SessionCache()
