"""Sockets to listen on: bound, not yet listening.

What it is: TCP and unix sockets for the server's side. All of it is immediate, but for the name
of an interface, which the system resolves.

What it must not know: who listens, and what is spoken there.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable

from .dial.names import to_ascii

__all__ = ["bind_tcp", "bind_unix"]


def bind_tcp(host: str | None, port: int, reuse_port: bool = False) -> socket.socket:
    """Return a socket that is bound to an interface.

    Args:
        host: address or name; None: all interfaces, IPv4 and, where possible, IPv6.
        port: 0 lets the system choose.
        reuse_port: let other processes bind to the same port.

    Raises OSError when the address cannot be used, ValueError for a *host* that is no name, and
    for *reuse_port* where the system has no such thing.
    """
    if host is not None and not host.isascii():
        try:
            host = to_ascii(host)
        except ValueError as exc:
            raise ValueError(f"host {host!r} is invalid: {exc}") from None
    dual = host is None and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual or (host is not None and ":" in host) else socket.AF_INET
    return socket.create_server(
        (host or "", port), family=family, dualstack_ipv6=dual, reuse_port=reuse_port
    )


def bind_unix(
    path: str | bytes | os.PathLike[str], mode: int | None = None
) -> tuple[socket.socket, Callable[[], None]]:
    """Return a unix socket that is bound to a path, and a function that removes the path.

    A socket at the path that nobody listens on any more is replaced.

    Args:
        path: in the file system; or abstract, with "\\0" as its first character (Linux).
        mode: permissions of the path; None: as the umask says. Nobody can connect before they
            are set.

    Raises OSError when the path cannot be used: EADDRINUSE when there is something else than a
    dead socket. ValueError for a *mode* of an abstract socket, which has none.
    """
    name = os.fspath(path)
    abstract = name[:1] in ("\0", b"\0")
    if abstract and mode is not None:
        raise ValueError("unix_mode cannot be given with an abstract socket, which has none")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(name)
        except OSError as exc:
            if abstract or exc.errno != errno.EADDRINUSE or not _is_dead(name):
                raise
            os.unlink(name)
            sock.bind(name)
    except BaseException:
        sock.close()
        raise
    if abstract:
        return sock, lambda: None
    try:
        if mode is not None:
            os.chmod(name, mode)
        ours = _identity(name)
    except BaseException:
        os.unlink(name)
        sock.close()
        raise
    return sock, lambda: _remove(name, ours)


def _is_dead(path: str | bytes) -> bool:
    """Say whether a path is that of a socket that nobody listens on."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)  # EAGAIN: somebody listens, whose backlog is full
            return probe.connect_ex(path) == errno.ECONNREFUSED
    except OSError:
        return False


def _identity(path: str | bytes) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _remove(path: str | bytes, ours: tuple[int, int]) -> None:
    """Remove a path, unless another process has put its own socket there."""
    try:
        if _identity(path) == ours:
            os.unlink(path)
    except FileNotFoundError:
        pass
