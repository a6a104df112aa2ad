"""Any number of WebSockets on one thread.

    from reactor import Reactor, WebSocketProtocol

The public names; see docs/architecture.md for what is where.
"""

from __future__ import annotations

from types import ModuleType

from .classic.abnf import continuous_frame, frame_buffer
from .classic.app import WebSocketApp, run_forever
from .classic.blocking import recv, recv_line, send
from .classic.client import WebSocket, create_connection
from .classic.compat import install_as_websocket, private_module
from .classic.defaults import (
    DEFAULT_SOCKET_OPTION,
    getdefaulttimeout,
    set_reconnect,
    setdefaulttimeout,
    sock_opt,
)
from .classic.frame import (
    ABNF,
    STATUS_ABNORMAL_CLOSED,
    STATUS_BAD_GATEWAY,
    STATUS_GOING_AWAY,
    STATUS_INVALID_EXTENSION,
    STATUS_INVALID_PAYLOAD,
    STATUS_MESSAGE_TOO_BIG,
    STATUS_NORMAL,
    STATUS_POLICY_VIOLATION,
    STATUS_PROTOCOL_ERROR,
    STATUS_SERVICE_RESTART,
    STATUS_STATUS_NOT_AVAILABLE,
    STATUS_TLS_HANDSHAKE_ERROR,
    STATUS_TRY_AGAIN_LATER,
    STATUS_UNEXPECTED_CONDITION,
    STATUS_UNSUPPORTED_DATA_TYPE,
)
from .classic.trace import (
    debug,
    dump,
    enableTrace,
    error,
    isEnabledForDebug,
    isEnabledForError,
    isEnabledForTrace,
    warning,
)
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
from .protocols.deflate import Deflate
from .protocols.ending import Ending
from .protocols.session import State
from .protocols.websocket import WebSocketProtocol
from .reactor import Reactor, ReactorStats
from .server.decisions import Accept, HTTPResponse
from .server.listener import Listener
from .timers import Backoff, Pace
from .tracing import trace

__version__ = "0.1.0"

__all__ = [
    "ABNF",
    "DEFAULT_SOCKET_OPTION",
    "STATUS_ABNORMAL_CLOSED",
    "STATUS_BAD_GATEWAY",
    "STATUS_GOING_AWAY",
    "STATUS_INVALID_EXTENSION",
    "STATUS_INVALID_PAYLOAD",
    "STATUS_MESSAGE_TOO_BIG",
    "STATUS_NORMAL",
    "STATUS_POLICY_VIOLATION",
    "STATUS_PROTOCOL_ERROR",
    "STATUS_SERVICE_RESTART",
    "STATUS_STATUS_NOT_AVAILABLE",
    "STATUS_TLS_HANDSHAKE_ERROR",
    "STATUS_TRY_AGAIN_LATER",
    "STATUS_UNEXPECTED_CONDITION",
    "STATUS_UNSUPPORTED_DATA_TYPE",
    "Accept",
    "Backoff",
    "CloseCode",
    "Deflate",
    "Ending",
    "HTTPResponse",
    "Listener",
    "Pace",
    "Reactor",
    "ReactorStats",
    "State",
    "WebSocket",
    "WebSocketAddressException",
    "WebSocketApp",
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
    "continuous_frame",
    "create_connection",
    "debug",
    "dump",
    "enableTrace",
    "error",
    "frame_buffer",
    "getdefaulttimeout",
    "install_as_websocket",
    "isEnabledForDebug",
    "isEnabledForError",
    "isEnabledForTrace",
    "recv",
    "recv_line",
    "run_forever",
    "send",
    "set_reconnect",
    "setdefaulttimeout",
    "sock_opt",
    "trace",
    "warning",
]


def __getattr__(name: str) -> ModuleType:
    """Make websocket-client's private modules when somebody asks: ``websocket._exceptions``."""
    return private_module(name)
