"""websocket-client's ``_app``: WebSocketApp."""

# ruff: noqa: F401

from __future__ import annotations

import inspect
import socket
import threading
import time
from ssl import SSLError

from reactor.classic import app, app_run, app_socket, app_steps, defaults, options
from reactor.classic.app import WebSocketApp
from reactor.classic.client import WebSocket
from reactor.classic.defaults import getdefaulttimeout, set_reconnect
from reactor.classic.frame import ABNF
from reactor.classic.legacy import parse_url
from reactor.classic.legacy_dispatcher import (
    Dispatcher,
    DispatcherBase,
    SSLDispatcher,
    WrappedDispatcher,
)
from reactor.classic.patching import follow
from reactor.classic.tracing import debug, error, info, warning
from reactor.exceptions import (
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
)

__all__ = ["WebSocketApp"]

follow(__name__, app, app_run, app_socket, app_steps, options, state={"RECONNECT": defaults})
