"""websocket-client's ``_dispatcher``: its loops, for programs that subclass them."""

# ruff: noqa: F401

from __future__ import annotations

import inspect
import socket
import time

from reactor.classic import legacy_dispatcher
from reactor.classic.blocking import send
from reactor.classic.legacy_dispatcher import (
    Dispatcher,
    DispatcherBase,
    SSLDispatcher,
    WrappedDispatcher,
)
from reactor.classic.patching import follow
from reactor.classic.tracing import info

follow(__name__, legacy_dispatcher)
