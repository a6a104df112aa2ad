"""Sockets to listen on. What a listener makes of them: tests/server/test_listener_sockets.py."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from reactor.transports.bind import bind_tcp, bind_unix, open_to_listen

pytestmark = pytest.mark.usefixtures("no_leaks")


def listen(**options: Any) -> tuple[socket.socket, Any]:
    """Call open_to_listen(), with defaults."""
    given = {"backlog": 10, "reuse_port": False, "unix_mode": None, **options}
    place = [given.pop(name, None) for name in ("host", "port", "sock", "unix_path")]
    return open_to_listen(*place, **given)


# --- TCP ------------------------------------------------------------------------------------------


def test_an_address_of_ipv4_and_one_of_ipv6() -> None:
    with bind_tcp("127.0.0.1", 0) as four, bind_tcp("::1", 0) as six:
        assert (four.family, four.getsockname()[0]) == (socket.AF_INET, "127.0.0.1")
        assert (six.family, six.getsockname()[0]) == (socket.AF_INET6, "::1")


def test_without_a_host_all_interfaces_are_meant() -> None:
    with bind_tcp(None, 0) as sock:
        assert sock.getsockname()[0] in ("::", "0.0.0.0")
        socket.create_connection(("127.0.0.1", sock.getsockname()[1])).close()


def test_a_name_that_is_not_ascii_is_read_as_browsers_read_it() -> None:
    with bind_tcp("\uff4c\uff4fcalhost", 0) as sock:  # full-width l and o
        assert sock.getsockname()[0] == "127.0.0.1"


def test_a_name_that_cannot_be_one_is_an_error_that_shows_it() -> None:
    with pytest.raises(ValueError, match=r"host 'a\\u200db' is invalid"):
        bind_tcp("a\u200db", 0)


def test_a_port_is_shared_on_request_only() -> None:
    with bind_tcp("127.0.0.1", 0, True) as first:
        port = first.getsockname()[1]
        bind_tcp("127.0.0.1", port, True).close()
        with pytest.raises(OSError) as caught:
            bind_tcp("127.0.0.1", port)
    assert caught.value.errno == errno.EADDRINUSE


# --- unix sockets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_a_path_is_removed_in_the_end(unix_path: str, kind: Any) -> None:
    sock, remove = bind_unix(kind(unix_path))
    with sock:
        assert stat.S_ISSOCK(os.stat(unix_path).st_mode)
    remove()
    assert not os.path.exists(unix_path)
    remove()  # again


def test_a_path_that_is_somebody_elses_by_now_stays(unix_path: str) -> None:
    sock, remove = bind_unix(unix_path)
    sock.close()
    os.rename(unix_path, f"{unix_path}.old")  # so that the number of its inode is not free
    Path(unix_path).touch()
    remove()
    assert os.path.exists(unix_path)


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_a_path_has_the_permissions_that_are_asked_for(unix_path: str, mode: int) -> None:
    sock, remove = bind_unix(unix_path, mode)
    with sock:
        assert stat.S_IMODE(os.stat(unix_path).st_mode) == mode
    remove()


def test_permissions_that_cannot_be_set_leave_nothing(unix_path: str) -> None:
    wrong: Any = "rw"
    with pytest.raises(TypeError):
        bind_unix(unix_path, wrong)
    assert not os.path.exists(unix_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
@pytest.mark.parametrize("prefix", ["\0", b"\0"])
def test_an_abstract_socket_has_no_path_and_no_permissions(prefix: Any) -> None:
    name = f"reactor-test-bind-{os.getpid()}"
    path = prefix + (name.encode() if isinstance(prefix, bytes) else name)
    sock, remove = bind_unix(path)
    with sock:
        remove()
        with pytest.raises(OSError) as caught:
            bind_unix(path)
        assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(ValueError, match="unix_mode cannot be given with an abstract socket"):
        bind_unix(path, 0o600)


def test_a_dead_socket_is_replaced(unix_path: str) -> None:
    bind_unix(unix_path)[0].close()
    sock, remove = bind_unix(unix_path)
    sock.close()
    remove()


def test_a_socket_on_which_somebody_listens_is_left_alone(unix_path: str) -> None:
    sock, remove = listen(unix_path=unix_path)
    with sock:
        with pytest.raises(OSError) as caught:
            bind_unix(unix_path)
        assert caught.value.errno == errno.EADDRINUSE
    remove()


@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_what_is_not_a_socket_is_left_alone(unix_path: str, kind: str) -> None:
    if kind == "file":
        Path(unix_path).touch()
    else:
        os.symlink(f"{unix_path}.nowhere", unix_path)
    with pytest.raises(OSError) as caught:
        bind_unix(unix_path)
    assert caught.value.errno == errno.EADDRINUSE
    assert os.path.lexists(unix_path)


# --- what listens ---------------------------------------------------------------------------------


def test_what_is_returned_listens_and_never_blocks(unix_path: str) -> None:
    tcp, no_path = listen(host="127.0.0.1", port=0)
    unix, remove = listen(unix_path=unix_path, unix_mode=0o600)
    with tcp, unix:
        assert no_path is None
        assert not tcp.getblocking()
        socket.create_connection(tcp.getsockname()).close()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(unix_path)
    remove()


def test_a_socket_that_was_given_stays_open_if_it_cannot_listen() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(OSError) as caught:
            listen(sock=sock)
        assert caught.value.errno == errno.EOPNOTSUPP
        assert sock.fileno() != -1
    with bind_tcp("127.0.0.1", 0) as bound:
        assert listen(sock=bound, unix_path="unused") == (bound, None)


def test_what_was_made_here_is_closed_and_removed_if_it_cannot_listen(unix_path: str) -> None:
    with pytest.raises(TypeError):
        listen(unix_path=unix_path, backlog="many")
    assert not os.path.exists(unix_path)
    with pytest.raises(TypeError):
        listen(host="127.0.0.1", port=0, backlog="many")
