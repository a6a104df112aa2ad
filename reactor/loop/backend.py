"""Backends: by which system calls the connections of a loop receive and send.

What it is: the values of ``Reactor(backend=...)``, and :func:`give_ring`, which gives a poller what
"io_uring" needs.

What it must not know: what is received and sent.

How it works. Without a backend, every connection makes its own system calls. With "io_uring", the
poller still waits by epoll, and has a ring besides: the compiled turn (compiled/turn.pyx) has the
kernel receive from many connections in one call, and send to many in another. That takes the
compiled part, Linux 5.18 or newer, and a process that is allowed to use io_uring; Docker, for one,
forbids it by default. Where one of these is missing, the loop works as without a backend, and says
so in the log: once, as INFO.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from typing import Any

from .poller import EpollPoller, Poller

__all__ = ["IO_URING", "give_ring", "wants_ring"]

logger = logging.getLogger("reactor.loop")

IO_URING = "io_uring"

#: The backend of loops that are not told of one.
VARIABLE = "REACTOR_BACKEND"

#: Makes a ring, or raises an OSError. It is compiled/replace.py that puts it here; None: the
#: compiled part is not in use.
new_ring: Callable[[], Any] | None = None

#: What the errors of the kernel mean.
_REASONS = {
    errno.ENOSYS: "this system has no io_uring",
    errno.EINVAL: "this kernel is older than Linux 5.18",
    errno.EPERM: "this process is not allowed to use it: by seccomp, as in containers, or by "
    "sysctl kernel.io_uring_disabled",
    errno.EACCES: "this process is not allowed to use it",
}


def wants_ring(backend: str | None) -> bool:
    """Return whether the backend is io_uring.

    Args:
        backend: "io_uring"; None: what the environment variable REACTOR_BACKEND says, if anything.

    Raises:
        ValueError: there is no such backend.
    """
    name = "backend"
    if backend is None:
        name, backend = VARIABLE, os.environ.get(VARIABLE) or None
    if backend is not None and backend != IO_URING:
        raise ValueError(f"{name} is {backend!r}; it must be {IO_URING!r} or None")
    return backend is not None


def give_ring(poller: Poller) -> str:
    """Give a poller a ring, if there can be one.

    Args:
        poller: the poller of a new loop.

    Returns:
        Why there is none; else "".
    """
    refused = ""
    if new_ring is None:
        refused = "the compiled part of reactor is not in use"
    elif not isinstance(poller, EpollPoller):
        refused = f"the poller is a {type(poller).__name__}, and not epoll's"
    else:
        try:
            poller.ring = new_ring()
        except OSError as exc:
            refused = _REASONS.get(exc.errno or 0, str(exc))
    if refused:
        logger.info("io_uring is not used: %s", refused)
    return refused
