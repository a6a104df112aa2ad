"""The reactor of an asyncio loop: all connections on that loop share one.

What it is: :func:`get_host`, which returns it and makes it at the first call.

What it must not know: connections.

How it works. The asyncio loop watches the reactor's descriptor, and so keeps it alive and ends it:
see hosting/asyncio.py. This module finds the reactor by the id of the loop, which is unique as long
as the reactor exists and refers to the loop.
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
