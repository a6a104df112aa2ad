"""websocket-client's ``_http``: from a URL to a connected socket."""

# ruff: noqa: F401

from __future__ import annotations

import errno
import os
import socket
import ssl
from base64 import encodebytes as base64encode

from reactor.classic.blocking.socket_io import recv_line, send
from reactor.classic.defaults import DEFAULT_SOCKET_OPTION
from reactor.classic.names import http as legacy_http
from reactor.classic.names.http import (
    _get_addrinfo_list,
    _open_socket,
    _ssl_socket,
    _start_proxied_socket,
    _tunnel,
    _wrap_sni_socket,
    connect,
    proxy_info,
    read_headers,
)
from reactor.classic.names.legacy import (
    HAVE_PYTHON_SOCKS,
    HAVE_SSL,
    ProxyConnectionError,
    ProxyError,
    ProxyTimeoutError,
    get_proxy_info,
    parse_url,
)
from reactor.classic.names.patching import follow
from reactor.classic.tracing import debug, dump, trace
from reactor.exceptions import (
    WebSocketAddressException,
    WebSocketException,
    WebSocketProxyException,
)

__all__ = ["connect", "proxy_info", "read_headers"]

follow(__name__, legacy_http)
