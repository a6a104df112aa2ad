"""Any number of WebSockets on one thread.

    from reactor import Reactor, WebSocketProtocol

What it is: the public names; docs/architecture.md says what is where. Those of ``__all__`` are
native. The names of websocket-client (``reactor.classic.__all__``) are found here as well, so that
its programs run with ``import reactor as websocket``; they are loaded when one is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .client.options import ClientOptions
from .compiled.explain import explain_compiled
from .compiled.replace import compiled
from .connection.broadcast import broadcast
from .exceptions import (
    CloseCode,
    WebSocketAddressException,
    WebSocketBadStatusException,
    WebSocketCertificateException,
    WebSocketConnectException,
    WebSocketConnectionClosedException,
    WebSocketConnectionLostException,
    WebSocketConnectRefusedException,
    WebSocketException,
    WebSocketForkException,
    WebSocketHandshakeException,
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketPeerException,
    WebSocketProtocolException,
    WebSocketProxyConnectException,
    WebSocketProxyConnectRefusedException,
    WebSocketProxyException,
    WebSocketQueueFullException,
    WebSocketStateException,
    WebSocketTimeoutException,
    WebSocketTLSException,
    WebSocketTLSOptionException,
)
from .loop.event_loop import EventLoop
from .protocols.deflate import Deflate
from .protocols.http.http11 import Request, Response
from .protocols.session import State
from .protocols.websocket import WebSocketProtocol
from .reactor import Reactor, ReactorStats
from .server.decisions import Accept, HTTPResponse
from .server.listener import Listener
from .server.options import ServerOptions
from .timers import Backoff, Timer

if TYPE_CHECKING:
    from .classic import (
        ABNF as ABNF,
    )
    from .classic import (
        DEFAULT_SOCKET_OPTION as DEFAULT_SOCKET_OPTION,
    )
    from .classic import (
        STATUS_ABNORMAL_CLOSED as STATUS_ABNORMAL_CLOSED,
    )
    from .classic import (
        STATUS_BAD_GATEWAY as STATUS_BAD_GATEWAY,
    )
    from .classic import (
        STATUS_GOING_AWAY as STATUS_GOING_AWAY,
    )
    from .classic import (
        STATUS_INVALID_EXTENSION as STATUS_INVALID_EXTENSION,
    )
    from .classic import (
        STATUS_INVALID_PAYLOAD as STATUS_INVALID_PAYLOAD,
    )
    from .classic import (
        STATUS_MESSAGE_TOO_BIG as STATUS_MESSAGE_TOO_BIG,
    )
    from .classic import (
        STATUS_NORMAL as STATUS_NORMAL,
    )
    from .classic import (
        STATUS_POLICY_VIOLATION as STATUS_POLICY_VIOLATION,
    )
    from .classic import (
        STATUS_PROTOCOL_ERROR as STATUS_PROTOCOL_ERROR,
    )
    from .classic import (
        STATUS_SERVICE_RESTART as STATUS_SERVICE_RESTART,
    )
    from .classic import (
        STATUS_STATUS_NOT_AVAILABLE as STATUS_STATUS_NOT_AVAILABLE,
    )
    from .classic import (
        STATUS_TLS_HANDSHAKE_ERROR as STATUS_TLS_HANDSHAKE_ERROR,
    )
    from .classic import (
        STATUS_TRY_AGAIN_LATER as STATUS_TRY_AGAIN_LATER,
    )
    from .classic import (
        STATUS_UNEXPECTED_CONDITION as STATUS_UNEXPECTED_CONDITION,
    )
    from .classic import (
        STATUS_UNSUPPORTED_DATA_TYPE as STATUS_UNSUPPORTED_DATA_TYPE,
    )
    from .classic import (
        WebSocket as WebSocket,
    )
    from .classic import (
        WebSocketApp as WebSocketApp,
    )
    from .classic import (
        continuous_frame as continuous_frame,
    )
    from .classic import (
        create_connection as create_connection,
    )
    from .classic import (
        debug as debug,
    )
    from .classic import (
        dump as dump,
    )
    from .classic import (
        enableTrace as enableTrace,
    )
    from .classic import (
        error as error,
    )
    from .classic import (
        frame_buffer as frame_buffer,
    )
    from .classic import (
        getdefaulttimeout as getdefaulttimeout,
    )
    from .classic import (
        install_as_websocket as install_as_websocket,
    )
    from .classic import (
        isEnabledForDebug as isEnabledForDebug,
    )
    from .classic import (
        isEnabledForError as isEnabledForError,
    )
    from .classic import (
        isEnabledForTrace as isEnabledForTrace,
    )
    from .classic import (
        recv as recv,
    )
    from .classic import (
        recv_line as recv_line,
    )
    from .classic import (
        run_forever as run_forever,
    )
    from .classic import (
        send as send,
    )
    from .classic import (
        set_reconnect as set_reconnect,
    )
    from .classic import (
        setdefaulttimeout as setdefaulttimeout,
    )
    from .classic import (
        sock_opt as sock_opt,
    )
    from .classic import (
        trace as trace,
    )
    from .classic import (
        warning as warning,
    )

__version__ = "0.1.0"

__all__ = [
    "Accept",
    "Backoff",
    "ClientOptions",
    "CloseCode",
    "Deflate",
    "EventLoop",
    "HTTPResponse",
    "Listener",
    "Reactor",
    "ReactorStats",
    "Request",
    "Response",
    "ServerOptions",
    "State",
    "Timer",
    "WebSocketAddressException",
    "WebSocketBadStatusException",
    "WebSocketCertificateException",
    "WebSocketConnectException",
    "WebSocketConnectRefusedException",
    "WebSocketConnectionClosedException",
    "WebSocketConnectionLostException",
    "WebSocketException",
    "WebSocketForkException",
    "WebSocketHandshakeException",
    "WebSocketMessageTooBigException",
    "WebSocketPayloadException",
    "WebSocketPeerException",
    "WebSocketProtocol",
    "WebSocketProtocolException",
    "WebSocketProxyConnectException",
    "WebSocketProxyConnectRefusedException",
    "WebSocketProxyException",
    "WebSocketQueueFullException",
    "WebSocketStateException",
    "WebSocketTLSException",
    "WebSocketTLSOptionException",
    "WebSocketTimeoutException",
    "broadcast",
    "compiled",
    "explain_compiled",
    "install_as_websocket",
]


if not TYPE_CHECKING:  # it would let any misspelt name pass

    def __getattr__(name: str) -> Any:
        """Find a name of websocket-client, or one of its private modules."""
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        classic = import_module(".classic", __name__)
        compat = import_module(".classic.compat", __name__)
        known = name in classic.__all__
        value = getattr(classic, name) if known else compat.private_module(name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module(".classic", __name__).__all__})
