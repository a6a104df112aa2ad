"""Replaces the methods that every message passes with their compiled twins.

What it is: one list of the methods that have a twin in turn.pyx or path.pyx, and the reason if the
twins are not in use; what tls.pyx has for streams over TLS, and uring.pyx for loops.

What it must not know: what the methods do.

The twins are in use if they were built, unless the environment variable REACTOR_PURE_PYTHON is set
to anything but "" or "0". ``compiled`` says whether they are. OpenSSL is called directly if tls.pyx
has found everything as it expects it, unless REACTOR_PYTHON_TLS is set; zlib if deflate.pyx has
found its functions.
"""

from __future__ import annotations

import warnings
from functools import update_wrapper

from ..connection.reader import Reader
from ..connection.sender import Sender
from ..loop import backend
from ..loop.event_loop import EventLoop
from ..protocols import deflate, frames
from ..protocols.websocket import WebSocketProtocol
from ..transports import tls_stream
from ..transports.stream import Stream
from ..transports.tls import sessions
from ..transports.tls_stream import TLSStream

__all__ = ["compiled", "python_tls", "python_zlib", "reason"]

#: Whether all compiled modules are in use. (If this is False and frames.compiled is True, only
#: frames.pyx is in use, for example on a system without POSIX sockets.)
compiled = False

#: Why they are not; empty if they are.
reason = frames.not_compiled

#: Why Python's ssl reads and writes where there is TLS; empty if OpenSSL is called directly.
python_tls = "the compiled part is not in use"

#: Why Python's zlib compresses and inflates; empty if zlib is called directly.
python_zlib = "the compiled part is not in use"

if frames.compiled:
    try:
        from .deflate import Deflater, Inflater
        from .deflate import refused as zlib_refused
        from .path import (
            data_received,
            protocol_send,
            read,
            sender_flush,
            sender_send,
            tls_read,
        )
        from .tls import engine_of, refused, session_of
        from .turn import flush_dirty, turn
        from .uring import Ring
    except ModuleNotFoundError as exc:
        reason = f"it was not built: {exc}"
    except (ImportError, TypeError) as exc:
        # They were built from other versions of the sources.
        reason = str(exc)
        warnings.warn(f"the compiled hot path is not used: {exc}", RuntimeWarning, stacklevel=2)
    else:
        for owner, name, twin in (
            (EventLoop, "_turn", turn),
            (EventLoop, "_flush", flush_dirty),
            (Stream, "_read", read),
            (TLSStream, "_read", tls_read),
            (Reader, "data_received", data_received),
            (WebSocketProtocol, "send", protocol_send),
            (Sender, "send", sender_send),
            (Sender, "flush", sender_flush),
        ):
            setattr(owner, name, update_wrapper(twin, getattr(owner, name)))
        compiled = True
        backend.new_ring = Ring
        python_tls = refused
        if not refused:
            tls_stream.direct_engine = engine_of
            sessions.newest_session = session_of
        python_zlib = zlib_refused
        if not zlib_refused:
            deflate.new_compressor = Deflater
            deflate.new_decompressor = Inflater
