"""The names that this machine knows without the DNS: localhost, and those of the hosts file.

What it is: one function, :func:`known_addresses`.

What it must not know: DNS, sockets.

How it works. Such a name must not wait for a helper thread behind names for which the DNS gives no
answer. So the hosts file is read here, as every resolver reads it before it asks the DNS. It is
read again after each change. A file that is too large to be read on the loop's thread is left to
the system.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from .names import without_final_dot

__all__ = ["known_addresses"]

#: The path of the file.
HOSTS_FILE = "/etc/hosts"

#: The largest file that is read here, in bytes: some milliseconds of work.
MAX_SIZE = 256 * 1024

LOOPBACK = ("::1", "127.0.0.1")


def known_addresses(name: str) -> Sequence[str]:
    """Return the addresses of a name, as text; none if this machine does not know the name.

    localhost and names below it are always known (RFC 6761 section 6.3). May be called on any
    thread.
    """
    name = without_final_dot(name).lower()
    found = _file.names().get(name, ())
    if not found and (name == "localhost" or name.endswith(".localhost")):
        return LOOPBACK
    return found


class _HostsFile:
    """The file's content, and when it was read. Threads that find a change at once each read it."""

    def __init__(self) -> None:
        self._known: tuple[tuple[object, ...], dict[str, list[str]]] = (), {}

    def names(self) -> dict[str, list[str]]:
        """Return the addresses of each name."""
        try:
            status = os.stat(HOSTS_FILE)
            stamp = (HOSTS_FILE, status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._known[0]:
                self._known = stamp, _read() if status.st_size <= MAX_SIZE else {}
            return self._known[1]
        except OSError:  # it does not exist, or is not readable: the system may know better
            return {}


def _read() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with open(HOSTS_FILE, encoding="utf-8", errors="replace") as file:
        for line in file:
            address, *names = line.partition("#")[0].split() or [""]
            for name in names:
                found.setdefault(name.lower(), []).append(address)
    return found


_file = _HostsFile()
