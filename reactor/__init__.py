"""Any number of WebSockets on one thread.

    from reactor import Reactor, WebSocketProtocol

The public names; see docs/architecture.md for what is where.
"""

from __future__ import annotations

from .exceptions import (
    CloseCode,
    WebSocketAddressException,
    WebSocketBadStatusException,
    WebSocketCertificateException,
    WebSocketConnectException,
    WebSocketConnectionClosedException,
    WebSocketConnectRefusedException,
    WebSocketException,
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
)
from .protocols.session import State
from .protocols.websocket import WebSocketProtocol
from .reactor import Reactor, ReactorStats
from .server import Listener
from .timers import Backoff

__version__ = "0.1.0"

__all__ = [
    "Backoff",
    "CloseCode",
    "Listener",
    "Reactor",
    "ReactorStats",
    "State",
    "WebSocketAddressException",
    "WebSocketBadStatusException",
    "WebSocketCertificateException",
    "WebSocketConnectException",
    "WebSocketConnectRefusedException",
    "WebSocketConnectionClosedException",
    "WebSocketException",
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
    "WebSocketTimeoutException",
]
