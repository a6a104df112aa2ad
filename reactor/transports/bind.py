"""Sockets to listen on.

What it is: TCP and unix sockets for the server's side. Nothing here waits, except for the name of
an interface, which the system resolves.

What it must not know: what listens, and which protocol is spoken there.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable

from .dial.names import to_ascii

__all__ = ["bind_tcp", "bind_unix", "open_to_listen"]


def open_to_listen(
    host: str | None,
    port: int,
    sock: socket.socket | None,
    unix_path: str | os.PathLike[str] | None,
    *,
    backlog: int,
    reuse_port: bool,
    unix_mode: int | None,
) -> tuple[socket.socket, Callable[[], None] | None]:
    """Return a socket that listens, and a function that removes its path if it has one.

    Args:
        host, port: see :func:`bind_tcp`.
        sock: a bound socket to use instead of both; it stays open if this fails.
        unix_path: a path to use instead of *host* and *port*; see :func:`bind_unix`.
        backlog: clients that the kernel may hold.
        reuse_port, unix_mode: see :func:`bind_tcp` and :func:`bind_unix`.

    Raises:
        OSError: the address cannot be used.
        ValueError: as the functions named above do.
    """
    bound, unlink = sock, None
    if bound is None and unix_path is not None:
        bound, unlink = bind_unix(unix_path, unix_mode)
    elif bound is None:
        bound = bind_tcp(host, port, reuse_port)
    try:
        bound.setblocking(False)
        bound.listen(backlog)
    except BaseException:
        if sock is None:
            bound.close()
        if unlink is not None:
            unlink()
        raise
    return bound, unlink


def bind_tcp(host: str | None, port: int, reuse_port: bool = False) -> socket.socket:
    """Return a socket that is bound to an interface.

    Args:
        host: address or name; None: all interfaces, IPv4 and, if possible, IPv6.
        port: the port; 0 lets the system choose.
        reuse_port: whether other processes may bind to the same port (default False).

    Raises:
        OSError: the address cannot be used.
        ValueError: *host* is not a valid name, or the system does not have *reuse_port*.
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
    r"""Return a unix socket that is bound to a path, and a function that removes the path.

    A dead socket at the path, on which no process listens any more, is replaced.

    Args:
        path: in the file system; or abstract, with "\0" as its first character (Linux).
        mode: the permissions of the path; None (default): those of the umask. No client can connect
            before they are set.

    Raises:
        OSError: the path cannot be used; EADDRINUSE if it is anything but a dead socket.
        ValueError: *mode* was given for an abstract socket, which has none.
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
    """Return whether a path is that of a socket on which no process listens."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)  # EAGAIN: a process listens, and its backlog is full
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
