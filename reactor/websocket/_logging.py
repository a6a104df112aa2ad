"""websocket-client's ``_logging``: the logger "websocket", and its trace."""

# ruff: noqa: F401

from __future__ import annotations

import logging
from logging import NullHandler

from reactor.classic import tracing as _home
from reactor.classic.names.patching import follow
from reactor.classic.tracing import (
    debug,
    dump,
    enableTrace,
    error,
    info,
    isEnabledForDebug,
    isEnabledForError,
    isEnabledForTrace,
    trace,
    warning,
)

__all__ = [
    "debug",
    "dump",
    "enableTrace",
    "error",
    "isEnabledForDebug",
    "isEnabledForError",
    "isEnabledForTrace",
    "trace",
    "warning",
]

if "__state__" in globals():  # importlib.reload() starts the trace afresh
    _home.forget()

follow(
    __name__,
    _home,
    state=dict.fromkeys(["_default_level", "_logger", "_traceEnabled", "_trace_handler"], _home),
)
