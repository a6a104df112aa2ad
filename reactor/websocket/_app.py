"""websocket-client's ``_app``: WebSocketApp."""

# ruff: noqa: F401

from __future__ import annotations

import inspect
import socket
import threading
import time
from ssl import SSLError

from reactor.classic import defaults, options
from reactor.classic.app import app
from reactor.classic.app import run as app_run
from reactor.classic.app import sock as app_socket
from reactor.classic.app import steps as app_steps
from reactor.classic.app.app import WebSocketApp
from reactor.classic.blocking.client import WebSocket
from reactor.classic.defaults import getdefaulttimeout, set_reconnect
from reactor.classic.frame import ABNF
from reactor.classic.names.dispatcher import (
    Dispatcher,
    DispatcherBase,
    SSLDispatcher,
    WrappedDispatcher,
)
from reactor.classic.names.legacy import parse_url
from reactor.classic.names.patching import follow
from reactor.classic.tracing import debug, error, info, warning
from reactor.exceptions import (
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
)

__all__ = ["WebSocketApp"]

follow(__name__, app, app_run, app_socket, app_steps, options, state={"RECONNECT": defaults})
