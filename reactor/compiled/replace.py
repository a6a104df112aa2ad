"""Puts the compiled twins in the place of the methods that every message passes.

What it is: one list, of which methods turn.pyx and path.pyx have a twin, and why none is in use
where that is so.

What it must not know: what the methods do.

The twins are there where they were built, unless the environment variable REACTOR_PURE_PYTHON is
set to anything but "" or "0". ``compiled`` tells.
"""

from __future__ import annotations

import warnings
from functools import update_wrapper

from ..connection.connection import Connection
from ..connection.sending import Sending
from ..loop.event_loop import EventLoop
from ..protocols import frames
from ..protocols.websocket import WebSocketProtocol
from ..transports.stream import Stream
from ..transports.tls_stream import TLSStream

__all__ = ["compiled", "reason"]

#: Whether all compiled modules are in use. (False, with frames.compiled True: only frames.pyx is,
#: as where there are no POSIX sockets.)
compiled = False

#: Why they are not; empty where they are.
reason = frames.not_compiled

if frames.compiled:
    try:
        from .path import (
            data_received,
            protocol_send,
            read,
            sending_flush,
            sending_send,
            tls_read,
        )
        from .turn import turn
    except ModuleNotFoundError as exc:
        reason = f"it was not built: {exc}"
    except (ImportError, TypeError) as exc:
        # Built from sources that these modules have left behind.
        reason = str(exc)
        warnings.warn(f"the compiled hot path is not used: {exc}", RuntimeWarning, stacklevel=2)
    else:
        for owner, name, twin in (
            (EventLoop, "_turn", turn),
            (Stream, "_read", read),
            (TLSStream, "_read", tls_read),
            (Connection, "data_received", data_received),
            (WebSocketProtocol, "send", protocol_send),
            (Sending, "send", sending_send),
            (Sending, "flush", sending_flush),
        ):
            setattr(owner, name, update_wrapper(twin, getattr(owner, name)))
        compiled = True
