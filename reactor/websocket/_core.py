"""websocket-client's ``_core``: WebSocket and create_connection."""

# ruff: noqa: F401

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from reactor.classic.abnf import continuous_frame, frame_buffer
from reactor.classic.blocking import client, sending, steps
from reactor.classic.blocking import sock as client_socket
from reactor.classic.blocking.client import WebSocket, create_connection
from reactor.classic.blocking.connect import handshake_response
from reactor.classic.blocking.sock import NoLock
from reactor.classic.blocking.socket_io import recv, send
from reactor.classic.defaults import getdefaulttimeout, sock_opt
from reactor.classic.frame import ABNF, STATUS_NORMAL
from reactor.classic.names.dispatcher import DispatcherBase, WrappedDispatcher
from reactor.classic.names.handshake import handshake
from reactor.classic.names.http import connect, proxy_info
from reactor.classic.names.legacy import SUPPORTED_REDIRECT_STATUSES
from reactor.classic.names.patching import follow
from reactor.classic.tracing import debug, error, isEnabledForError, isEnabledForTrace, trace
from reactor.exceptions import (
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketProtocolException,
    WebSocketTimeoutException,
)

__all__ = ["WebSocket", "create_connection"]


def _normalize_close_reason(reason: str | bytes | None) -> bytes:
    """Return the reason of a close frame as bytes."""
    return reason.encode() if isinstance(reason, str) else bytes(reason or b"")


def _without_point_in_time(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Adapt a program's ``send`` or ``recv`` of two parameters; ours may be passed a third."""
    return lambda sock, data, until=None: function(sock, data)


follow(
    __name__,
    client,
    client_socket,
    sending,
    steps,
    adapters={"send": _without_point_in_time, "recv": _without_point_in_time},
)
