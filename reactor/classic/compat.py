"""The names of websocket-client's private modules, which programs import all the same.

What it is: :func:`private_module`, which makes ``websocket._exceptions``, ``websocket._abnf`` and
the others on demand, and :func:`install_as_websocket`, which puts this package in the place of
``websocket`` for code that says ``import websocket``.

What it must not know: what the names do.

How it works. Each private module is a list of names and of the module of ours that has them. The
modules are made when they are asked for, so that nobody pays for them who does not.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

__all__ = ["PRIVATE_MODULES", "install_as_websocket", "private_module"]

_EXCEPTIONS = """WebSocketException WebSocketProtocolException WebSocketPayloadException
    WebSocketConnectionClosedException WebSocketTimeoutException WebSocketProxyException
    WebSocketBadStatusException WebSocketAddressException"""

_STATUSES = """STATUS_NORMAL STATUS_GOING_AWAY STATUS_PROTOCOL_ERROR STATUS_UNSUPPORTED_DATA_TYPE
    STATUS_STATUS_NOT_AVAILABLE STATUS_ABNORMAL_CLOSED STATUS_INVALID_PAYLOAD
    STATUS_POLICY_VIOLATION STATUS_MESSAGE_TOO_BIG STATUS_INVALID_EXTENSION
    STATUS_UNEXPECTED_CONDITION STATUS_SERVICE_RESTART STATUS_TRY_AGAIN_LATER STATUS_BAD_GATEWAY
    STATUS_TLS_HANDSHAKE_ERROR VALID_CLOSE_STATUS"""

#: websocket-client's private modules: our module -> the names that it has of them.
PRIVATE_MODULES: dict[str, dict[str, str]] = {
    "_abnf": {
        "classic.frame": f"ABNF {_STATUSES}",
        "classic.abnf": "continuous_frame frame_buffer",
    },
    "_app": {"classic.app": "WebSocketApp", "classic.defaults": "set_reconnect"},
    "_cookiejar": {"classic.cookies": "SimpleCookieJar"},
    "_core": {"classic.client": "WebSocket create_connection"},
    "_exceptions": {"exceptions": _EXCEPTIONS},
    "_handshake": {
        "classic.cookies": "CookieJar",
        "classic.client": "handshake_response",
        "classic.legacy": "SUPPORTED_REDIRECT_STATUSES SUCCESS_STATUSES VERSION",
    },
    "_http": {
        "classic.legacy": "HAVE_PYTHON_SOCKS ProxyError ProxyTimeoutError ProxyConnectionError",
    },
    "_logging": {
        "classic.trace": """enableTrace dump error warning info debug trace isEnabledForError
        isEnabledForDebug isEnabledForTrace"""
    },
    "_socket": {
        "classic.defaults": "setdefaulttimeout getdefaulttimeout sock_opt",
        "classic.blocking": "recv recv_line send",
        "transports.dial": "DEFAULT_SOCKET_OPTION",
    },
    "_ssl_compat": {
        "classic.legacy": "HAVE_SSL ssl SSLError SSLEOFError SSLWantReadError SSLWantWriteError"
    },
    "_url": {"classic.legacy": "parse_url get_proxy_info"},
    "_utils": {"classic.legacy": "NoLock validate_utf8 extract_err_message extract_error_code"},
}


def private_module(name: str) -> ModuleType:
    """Return one of websocket-client's private modules, made of our names.

    Parameters:
        name: for example ``_exceptions``.

    Raises AttributeError for a name that is no such module.
    """
    package = __package__.rpartition(".")[0]
    try:
        sources = PRIVATE_MODULES[name]
    except KeyError:
        raise AttributeError(f"module {package!r} has no attribute {name!r}") from None
    full_name = f"{package}.{name}"
    module = sys.modules.get(full_name)
    if module is None:
        module = ModuleType(full_name, f"What websocket-client's {name} has.")
        for source, names in sources.items():
            ours = import_module(f"{package}.{source}")
            for each in names.split():
                setattr(module, each, getattr(ours, each))
        sys.modules[full_name] = module
    return module


def install_as_websocket() -> None:
    """Have ``import websocket`` give this package, in the whole process.

    To be called before any code that imports ``websocket``; what has imported websocket-client
    already keeps it.
    """
    package = sys.modules[__package__.rpartition(".")[0]]
    sys.modules["websocket"] = package
    for name in PRIVATE_MODULES:
        sys.modules[f"websocket.{name}"] = private_module(name)
