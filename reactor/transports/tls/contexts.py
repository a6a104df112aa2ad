"""TLS contexts: from ``sslopt`` to an SSLContext, which connections with the same options share.

What it is: everything that is decided before there is a connection: what is verified, and how
strictly.

What it must not know: sockets, names, addresses, the event loop.

How it works. A context with the CA store of the system costs tens of milliseconds and most of
a megabyte, so :func:`make_context` makes one for each distinct ``sslopt`` and keeps it for the
whole process. A context is identified by the content of the options, the environment variables
that act on them, and the age and size of the files that they name: a certificate file that was
renewed leads to a new context. A user can change a context, through the ``sock.context`` of a
connection that has it. From then on, no other connection gets this context.
"""

from __future__ import annotations

import os
import ssl
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ...base.locks import ProcessLock
from ...exceptions import WebSocketException, WebSocketTLSOptionException
from ..dial.names import server_hostname
from .identity import KEYLOG_VARIABLE, identity_of

__all__ = [
    "for_another_host",
    "for_proxy",
    "log_keys",
    "make_context",
    "make_server_context",
    "reason_of",
    "strictness",
]

#: RFC 7301: the protocols inside TLS. (WebSocket over HTTP/2 is another protocol, RFC 8441.)
ALPN_PROTOCOLS = ["http/1.1"]

#: How many contexts make_context keeps.
MAX_CONTEXTS = 64

#: The methods that change a context.
CHANGING_METHODS = (
    "load_cert_chain",
    "load_default_certs",
    "load_dh_params",
    "load_verify_locations",
    "set_alpn_protocols",
    "set_ciphers",
    "set_default_verify_paths",
    "set_ecdh_curve",
    "set_npn_protocols",
    "set_psk_client_callback",
    "set_servername_callback",
)

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
        "keylog_filename",
        "password",
        "ssl_version",
    }
)
#: The keys for one server: its name, and our identity towards it.
OF_ONE_HOST = frozenset({"cert_chain", "certfile", "keyfile", "password", "server_hostname"})

#: The keys that do not shape it: for a ready-made context, or for a single connection.
OTHER_KEYS = frozenset(
    {"context", "do_handshake_on_connect", "server_hostname", "suppress_ragged_eofs"}
)

CA_BUNDLE_VARIABLE = "WEBSOCKET_CLIENT_CA_BUNDLE"
#: The environment variables that act on a context; the last two are OpenSSL's own.
VARIABLES = (CA_BUNDLE_VARIABLE, KEYLOG_VARIABLE, "SSL_CERT_FILE", "SSL_CERT_DIR")

_contexts: OrderedDict[Hashable, _SharedContext] = OrderedDict()
_contexts_lock = ProcessLock(threading.RLock)  # reentrant: a password may be a user's function


def make_context(sslopt: Mapping[str, Any] | None = None) -> ssl.SSLContext:
    """Return the client context for *sslopt*. The same content gives the same context.

    By default, the certificate is verified against the CAs of the system, and its name against the
    host name; TLS 1.2 is the minimum, and ALPN offers "http/1.1". May be called on any thread;
    reads files if the context is new.

    Args:
        sslopt: websocket-client's dictionary; a value of None counts as absent. Keys:

            - ``context``: an SSLContext that is returned as it is; the other keys then have no
              effect
            - ``ca_certs``, ``ca_cert_path``: file and directory of CAs that replace those of the
              system. Without them, the environment variable WEBSOCKET_CLIENT_CA_BUNDLE counts
            - ``cert_reqs`` (CERT_REQUIRED); CERT_NONE also switches ``check_hostname`` off
            - ``check_hostname`` (True)
            - ``certfile``, ``keyfile``, ``password``, or ``cert_chain``, a tuple of the three:
              the certificate of the client
            - ``ciphers``, ``ecdh_curve``: OpenSSL's names
            - ``ssl_version`` (PROTOCOL_TLS_CLIENT)
            - ``keylog_filename``: a file to which secrets are appended; default: what the
              environment variable SSLKEYLOGFILE says. A ``context`` is told of it, too
            - ``server_hostname``: see :func:`~.names.server_hostname`
            - ``suppress_ragged_eofs``: for :func:`start_tls`
            - ``do_handshake_on_connect``: accepted without effect

    Raises:
        ValueError: a key is unknown, or ``server_hostname`` is not a valid name.
        TypeError: ``server_hostname`` is not a str, or ``context`` is not an SSLContext.
        WebSocketException: CERT_NONE together with ``check_hostname=True``.
        WebSocketTLSOptionException: OpenSSL refuses a file or a value; the message names the key.
    """
    options = {key: value for key, value in (sslopt or {}).items() if value is not None}
    unknown = sorted(map(str, options.keys() - CONTEXT_KEYS - OTHER_KEYS))
    if unknown:
        raise ValueError(f"sslopt has no key {', '.join(map(repr, unknown))}")
    server_hostname(options, "")  # raises for an invalid name, before there is a connection
    context = options.get("context")
    if context is not None:
        if not isinstance(context, ssl.SSLContext):
            raise TypeError(f"sslopt['context'] is not an ssl.SSLContext: {context!r}")
        log_keys(context, options.get("keylog_filename"))
        return context

    options = {key: value for key, value in options.items() if key in CONTEXT_KEYS}
    variables = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    identity = identity_of(options, variables)
    with _contexts_lock:
        shared = _contexts.get(identity)
        if shared is None or shared.changed:
            shared = _contexts[identity] = _build_context(options, variables)
            if len(_contexts) > MAX_CONTEXTS:
                _contexts.popitem(last=False)
        _contexts.move_to_end(identity)
        return shared


def make_server_context(
    certfile: str | os.PathLike[str],
    keyfile: str | os.PathLike[str] | None = None,
    password: str | bytes | Callable[[], str | bytes] | None = None,
) -> ssl.SSLContext:
    """Return a new context for the listening side: TLS 1.2 or newer, ALPN "http/1.1".

    As Python's own contexts, it heeds the environment variable SSLKEYLOGFILE.

    Args:
        certfile: PEM file with the certificate and its chain.
        keyfile: PEM file with the private key; None (default) if it is in *certfile*.
        password: the password of the private key, or a function that returns it; None (default): no
            password.

    Raises:
        WebSocketTLSOptionException: a file cannot be used; the message names it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _require_tls_1_2(context)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    _load_cert_chain(context, certfile, keyfile, password)
    file = os.environ.get(KEYLOG_VARIABLE)
    if file:
        _log_keys_of_the_environment(context, file)
    return context


# --- for another host -------------------------------------------------------------------------

# Copies of users' contexts, each with the strictness that the original had at that time.
_copies: WeakKeyDictionary[ssl.SSLContext, tuple[Hashable, ssl.SSLContext]] = WeakKeyDictionary()


def for_another_host(sslopt: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the options of *sslopt* for a server that they were not meant for.

    The server is verified in the same way, but by its own name, and gets no client certificate. A
    ready-made ``context`` may have loaded a certificate, which cannot be seen or removed: it is
    replaced by a copy, which trusts the CAs that the context has loaded.
    """
    options = for_proxy(sslopt)
    if isinstance(options.get("context"), ssl.SSLContext):
        options["context"] = _without_certificate(options["context"])
    return options or None


def for_proxy(sslopt: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options of *sslopt* for a proxy: as for another host, with the same context."""
    return {
        key: value
        for key, value in (sslopt or {}).items()
        if value is not None and key not in OF_ONE_HOST
    }


def _without_certificate(context: ssl.SSLContext) -> ssl.SSLContext:
    now = strictness(context)
    with _contexts_lock:
        before, copy = _copies.get(context, (None, None))
        if copy is None or before != now:
            copy = _copy(context)
            _copies[context] = now, copy
        return copy


def _copy(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return an equally strict context; whatever it lacks (a CRL) makes it refuse, not trust."""
    copy = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    copy.check_hostname = False
    copy.verify_mode = context.verify_mode
    copy.check_hostname = context.check_hostname
    copy.verify_flags = context.verify_flags
    copy.options = context.options
    copy.minimum_version = context.minimum_version
    copy.maximum_version = context.maximum_version
    names = ":".join(cipher["name"] for cipher in context.get_ciphers())
    copy.set_ciphers(f"{names}:@SECLEVEL={context.security_level}")
    copy.set_alpn_protocols(ALPN_PROTOCOLS)
    if ssl.HAS_NEVER_CHECK_COMMON_NAME:
        copy.hostname_checks_common_name = context.hostname_checks_common_name
    authorities = b"".join(context.get_ca_certs(binary_form=True))
    if authorities:
        copy.load_verify_locations(cadata=authorities)
    elif context.verify_mode != ssl.CERT_NONE:
        copy.load_default_certs()  # certificates in a folder are loaded only when they are needed
    return copy


def strictness(context: ssl.SSLContext) -> Hashable:
    """Return how strictly a context verifies, as a value to compare."""
    return (
        context.verify_mode,
        context.verify_flags,
        context.check_hostname,
        context.hostname_checks_common_name,
        context.minimum_version,
        context.maximum_version,
        context.options,
        context.security_level,
        # Certificates and CRLs can be added to a context, but not taken away.
        tuple(context.cert_store_stats().values()),
    )


# --- making a context -------------------------------------------------------------------------


class _Shared:
    """The mixin of a context that many connections share: it notes changes.

    Attributes:
        changed: whether the context was changed after :meth:`settle`.
    """

    changed: bool

    def settle(self) -> None:
        """Note that the context is complete, and should not be changed any more."""
        self.__dict__["changed"] = False

    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__["changed"] = True
        super().__setattr__(name, value)


def _noting(name: str) -> Callable[..., object]:
    """Return a method that calls the context's method of this name, and notes the change."""

    @wraps(getattr(ssl.SSLContext, name))
    def changing(self: _Shared, *args: Any, **kwargs: Any) -> object:
        self.__dict__["changed"] = True
        return getattr(super(_Shared, self), name)(*args, **kwargs)

    return changing


for _name in CHANGING_METHODS:
    if hasattr(ssl.SSLContext, _name):
        setattr(_Shared, _name, _noting(_name))


@lru_cache(maxsize=4)
def _shared_kind(base: type[ssl.SSLContext]) -> Callable[[int], _SharedContext]:
    """Return the class of contexts that note changes; *base* is the ssl module's class now.

    eventlet and gevent replace that class, and the earlier one does not work any more.
    """
    return type("SharedContext", (_Shared, base), {})


if TYPE_CHECKING:

    class _SharedContext(_Shared, ssl.SSLContext):
        """The type that _shared_kind() returns."""


def _build_context(options: Mapping[str, Any], variables: Mapping[str, str]) -> _SharedContext:
    cert_reqs = options.get("cert_reqs", ssl.CERT_REQUIRED)
    check_hostname = options.get("check_hostname", cert_reqs != ssl.CERT_NONE)
    if check_hostname and cert_reqs == ssl.CERT_NONE:
        raise WebSocketException(
            "sslopt: check_hostname=True needs a verified certificate, but cert_reqs is CERT_NONE"
        )
    version = options.get("ssl_version", ssl.PROTOCOL_TLS_CLIENT)
    with _naming("sslopt['ssl_version']"):
        context = _shared_kind(ssl.SSLContext)(version)
    # Each other value of ssl_version names exactly one version, so that version is wanted.
    if version in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS):
        _require_tls_1_2(context)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    context.check_hostname = False  # in this order: True forbids CERT_NONE, and needs another mode
    with _naming("sslopt['cert_reqs']"):
        context.verify_mode = cert_reqs
    context.check_hostname = bool(check_hostname)
    if ssl.HAS_NEVER_CHECK_COMMON_NAME:
        # RFC 9525 section 2: names are in subjectAltName only.
        context.hostname_checks_common_name = False
    if cert_reqs != ssl.CERT_NONE:
        _load_authorities(context, options, variables)
    _load_client_certificate(context, options)
    if "ciphers" in options:
        with _naming("sslopt['ciphers']"):
            context.set_ciphers(options["ciphers"])
    if "ecdh_curve" in options:
        with _naming("sslopt['ecdh_curve']"):
            context.set_ecdh_curve(options["ecdh_curve"])
    if "keylog_filename" in options:
        log_keys(context, options["keylog_filename"])
    elif KEYLOG_VARIABLE in variables:
        _log_keys_of_the_environment(context, variables[KEYLOG_VARIABLE])
    context.settle()
    return context


def log_keys(context: ssl.SSLContext, file: str | None) -> None:
    """Have the secrets of TLS appended to a file, if it is not so already; None: nothing is done.

    Raises:
        WebSocketTLSOptionException: the file cannot be written to.
    """
    if file is not None and context.keylog_filename != file:
        with _naming(f"keylog_filename {file!r}"):
            context.keylog_filename = file


def _log_keys_of_the_environment(context: ssl.SSLContext, file: str) -> None:
    if not sys.flags.ignore_environment:
        with _naming(f"{KEYLOG_VARIABLE}={file}"):
            context.keylog_filename = file


def _require_tls_1_2(context: ssl.SSLContext) -> None:
    """Refuse the versions that RFC 8996 deprecates; never lower a stricter system setting."""
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
            # Its content is not shown: it may hold the password.
            raise ValueError("cert_chain must be a tuple/list of (certfile, keyfile, password)")
        _load_cert_chain(context, *chain)


def _load_cert_chain(context: ssl.SSLContext, certfile: Any, keyfile: Any, password: Any) -> None:
    def no_password() -> str:
        # Without this, OpenSSL asks on the terminal, and the whole process stops.
        raise ValueError("the private key is encrypted, and there is no password")

    with _naming(f"certfile {certfile!r}, keyfile {keyfile!r}"):
        context.load_cert_chain(certfile, keyfile, no_password if password is None else password)


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Turn what ssl raises into our exception, which names the option at fault."""
    try:
        yield
    except (OSError, TypeError, ValueError) as exc:
        number = exc.errno if isinstance(exc, OSError) else None
        raise WebSocketTLSOptionException(number, f"{what}: {reason_of(exc)}") from exc


def reason_of(exc: Exception) -> str:
    """Return the reason of an error in words, without OpenSSL's file names and line numbers."""
    code = getattr(exc, "reason", None) if isinstance(exc, ssl.SSLError) else None
    if code:
        return str(code).replace("_", " ").lower()
    return getattr(exc, "strerror", None) or str(exc)
