"""websocket-client's ``_socket``: reading and writing, and the defaults for sockets."""

# ruff: noqa: F401

from __future__ import annotations

import errno
import socket
from ssl import SSLEOFError, SSLError, SSLWantReadError, SSLWantWriteError

from reactor.classic import defaults
from reactor.classic.blocking import socket_io as blocking
from reactor.classic.blocking.socket_io import recv, recv_line, send
from reactor.classic.defaults import (
    DEFAULT_SOCKET_OPTION,
    getdefaulttimeout,
    setdefaulttimeout,
    sock_opt,
)
from reactor.classic.names.legacy import extract_err_message, extract_error_code
from reactor.classic.names.patching import follow
from reactor.exceptions import (
    WebSocketConnectionClosedException,
    WebSocketTimeoutException,
)

__all__ = [
    "DEFAULT_SOCKET_OPTION",
    "getdefaulttimeout",
    "recv",
    "recv_line",
    "send",
    "setdefaulttimeout",
    "sock_opt",
]

follow(__name__, blocking, defaults, state={"_default_timeout": defaults})
