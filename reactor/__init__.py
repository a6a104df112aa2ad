"""Any number of WebSockets on one thread.

    from reactor import Reactor, WebSocketProtocol

What it is: the public names; docs/architecture.md says what is where. Those of ``__all__`` are
native. The names of websocket-client (``reactor.classic.__all__``) are found here as well, so that
its programs run with ``import reactor as websocket``; they are loaded when one is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .base.histogram import Distribution
from .client.options import ClientArguments, ClientOptions, HandshakeWatch, TextSource
from .client.url import WebSocketURL
from .compiled.explain import explain_compiled
from .compiled.replace import compiled
from .connection.broadcast import broadcast
from .connection.connections import HostStats
from .connection.options import ConnectionArguments, ConnectionOptions
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
from .loop.answers import Answer
from .loop.event_loop import EventLoop
from .loop.poller import Selector
from .loop.stats import LoopStats
from .protocols.deflate import Agreement, Deflate, Engine
from .protocols.ending import Ending, Initiator
from .protocols.http.handshake import HeaderSource
from .protocols.http.headers import Headers
from .protocols.http.http11 import Request, Response
from .protocols.session import State
from .protocols.stats import Activity, ConnectionStats
from .protocols.websocket import WebSocketProtocol
from .reactor import Reactor, ReactorStats
from .server.decisions import Accept, HTTPResponse, ProcessRequest, ProcessResponse, Subprotocols
from .server.listener import Listener
from .server.options import ServerArguments, ServerOptions
from .signatures import ReactorArguments
from .timers import Backoff, Clock, Pace, Timer
from .tracing import trace
from .transports.proxy import Proxy
from .transports.tls.nested import AnySocket

if TYPE_CHECKING:
    from .classic import *  # noqa: F403

__version__ = "0.1.0"

__all__ = [
    "Accept",
    "Activity",
    "Agreement",
    "Answer",
    "AnySocket",
    "Backoff",
    "ClientArguments",
    "ClientOptions",
    "Clock",
    "CloseCode",
    "ConnectionArguments",
    "ConnectionOptions",
    "ConnectionStats",
    "Deflate",
    "Distribution",
    "Ending",
    "Engine",
    "EventLoop",
    "HTTPResponse",
    "HandshakeWatch",
    "HeaderSource",
    "Headers",
    "HostStats",
    "Initiator",
    "Listener",
    "LoopStats",
    "Pace",
    "ProcessRequest",
    "ProcessResponse",
    "Proxy",
    "Reactor",
    "ReactorArguments",
    "ReactorStats",
    "Request",
    "Response",
    "Selector",
    "ServerArguments",
    "ServerOptions",
    "State",
    "Subprotocols",
    "TextSource",
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
    "WebSocketURL",
    "broadcast",
    "compiled",
    "explain_compiled",
    "trace",
]


if not TYPE_CHECKING:  # it would let any misspelt name pass

    def __getattr__(name: str) -> Any:
        """Find a name of websocket-client, or one of its private modules."""
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        classic = import_module(".classic", __name__)
        compat = import_module(".classic.names.compat", __name__)
        known = name in classic.__all__
        value = getattr(classic, name) if known else compat.private_module(name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module(".classic", __name__).__all__})
