"""The reactor of an asyncio loop: one for all connections there, made when the first is asked for.

What it is: :func:`get_host`.

What it must not know: connections.

How it works. The asyncio loop keeps the reactor alive, since it watches its descriptor, and ends
it: see hosting/asyncio.py. Here it is only found, by the id of the loop, which is nobody else's as
long as the reactor is there and refers to the loop.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from ..hosting.asyncio import AsyncioHost, asyncio_host

__all__ = ["get_host"]

_hosts: WeakValueDictionary[int, AsyncioHost] = WeakValueDictionary()


def get_host() -> AsyncioHost:
    """Return the reactor of the running asyncio loop.

    Raises:
        RuntimeError: no loop is running, or it cannot host a reactor.
    """
    key = id(asyncio.get_running_loop())
    host = _hosts.get(key)
    if host is None or host.loop._closed:
        host = _hosts[key] = asyncio_host()
    return host
