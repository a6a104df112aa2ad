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
from .connection import Connection, Data
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
from .hooks import Handler, ProcessRequest, ProcessResponse, SelectSubprotocol
from .server import Server, ServerConnection, serve, unix_serve
from .transport import Transport

__all__ = [
    "ClientConnection",
    "Close",
    "ConcurrencyError",
    "ConnectArguments",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Data",
    "Handler",
    "Headers",
    "InvalidHandshake",
    "InvalidMessage",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "NegotiationError",
    "OpenTimeout",
    "PayloadTooBig",
    "ProcessRequest",
    "ProcessResponse",
    "ProtocolError",
    "ProxyError",
    "Request",
    "Response",
    "SelectSubprotocol",
    "ServeArguments",
    "Server",
    "ServerConnection",
    "State",
    "Transport",
    "WebSocketException",
    "broadcast",
    "connect",
    "process_exception",
    "serve",
    "unix_connect",
    "unix_serve",
]
