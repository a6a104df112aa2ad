"""websocket-client's ``_dispatcher``: its loops, for programs that subclass them."""

# ruff: noqa: F401

from __future__ import annotations

import inspect
import socket
import time

from reactor.classic.blocking.socket_io import send
from reactor.classic.names import dispatcher as legacy_dispatcher
from reactor.classic.names.dispatcher import (
    Dispatcher,
    DispatcherBase,
    SSLDispatcher,
    WrappedDispatcher,
)
from reactor.classic.names.patching import follow
from reactor.classic.tracing import info

follow(__name__, legacy_dispatcher)
