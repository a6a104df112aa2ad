"""WebSockets for asyncio: ``connect``, ``serve``, ``broadcast``, as users of websockets know them.

    from reactor.asyncio import connect

What it is: the public names. All connections of an asyncio loop live on one reactor, which that
loop hosts. docs/asyncio.md says what differs from websockets.
"""

from __future__ import annotations

from ..protocols.session import State
from .arguments import ConnectArguments, ServeArguments
from .broadcasting import broadcast
from .client import ClientConnection, connect, process_exception, unix_connect
from .connection import Connection
from .exceptions import (
    Close,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidMessage,
    InvalidState,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
    OpenTimeout,
    PayloadTooBig,
    ProtocolError,
    ProxyError,
    WebSocketException,
)
from .heads import Headers, Request, Response
from .server import Server, ServerConnection, serve, unix_serve

__all__ = [
    "ClientConnection",
    "Close",
    "ConcurrencyError",
    "ConnectArguments",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Headers",
    "InvalidHandshake",
    "InvalidMessage",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "NegotiationError",
    "OpenTimeout",
    "PayloadTooBig",
    "ProtocolError",
    "ProxyError",
    "Request",
    "Response",
    "ServeArguments",
    "Server",
    "ServerConnection",
    "State",
    "WebSocketException",
    "broadcast",
    "connect",
    "process_exception",
    "serve",
    "unix_connect",
    "unix_serve",
]
