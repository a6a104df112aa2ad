"""The classic faces: the API of websocket-client, under the same names.

``WebSocketApp`` (app/) runs on the reactor; ``WebSocket`` and ``create_connection`` (blocking/) run
in the thread of the caller. abnf and frame have their vocabulary; options and watch translate
options to ours, errors and socks_errors translate our errors back; defaults, tracing and cookies
are websocket-client's settings. names/ installs our package websocket/ in place of
websocket-client, contains what only its private modules have, and makes what a program sets in them
take effect.

The names of websocket-client are those of ``__all__``. The package reactor has them as well, and
looks them up here on demand.
"""

from __future__ import annotations

from ..exceptions import (
    WebSocketAddressException,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketPayloadException,
    WebSocketProtocolException,
    WebSocketProxyException,
    WebSocketTimeoutException,
)
from ..tracing import trace  # which writes a str to websocket-client's log
from .abnf import continuous_frame, frame_buffer
from .app.app import WebSocketApp, run_forever
from .blocking.client import WebSocket, create_connection
from .blocking.socket_io import recv, recv_line, send
from .defaults import (
    DEFAULT_SOCKET_OPTION,
    getdefaulttimeout,
    set_reconnect,
    setdefaulttimeout,
    sock_opt,
)
from .frame import (
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
from .names.compat import install_as_websocket
from .tracing import (
    debug,
    dump,
    enableTrace,
    error,
    isEnabledForDebug,
    isEnabledForError,
    isEnabledForTrace,
    warning,
)

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
    "WebSocket",
    "WebSocketAddressException",
    "WebSocketApp",
    "WebSocketBadStatusException",
    "WebSocketConnectionClosedException",
    "WebSocketException",
    "WebSocketPayloadException",
    "WebSocketProtocolException",
    "WebSocketProxyException",
    "WebSocketTimeoutException",
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
