"""Addresses of sockets, as URLs, headers and people write them.

What it is: functions from an address to its text.

What it must not know: whose addresses they are.
"""

from __future__ import annotations

import os
from typing import Any

from .printable import printable

__all__ = ["host_and_port", "written"]


def host_and_port(host: str, port: int) -> str:
    """Return host and port as the authority of a URL; IPv6 in brackets (RFC 3986 section 3.2.2).

    Args:
        host: a name, or an address without brackets.
        port: the port.
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def written(address: Any) -> str:
    """Return an address as ``socket.getsockname()`` and ``getpeername()`` have it, safe to show.

    Args:
        address: a tuple that begins with host and port; or the path of a unix socket.
    """
    if isinstance(address, tuple):
        host, port = address[:2]
        return host_and_port(host, port)
    return printable(os.fsdecode(address))
