"""websocket-client's ``_ssl_compat``: Python's ssl, which we always have."""

from __future__ import annotations

import ssl
from ssl import SSLEOFError, SSLError, SSLWantReadError, SSLWantWriteError

from reactor.classic.names.legacy import HAVE_SSL

__all__ = [
    "HAVE_SSL",
    "SSLEOFError",
    "SSLError",
    "SSLWantReadError",
    "SSLWantWriteError",
    "ssl",
]
