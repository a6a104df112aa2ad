"""Where a server listens: unix sockets, ports that are shared, sockets of others, certificates."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reactor import HTTPResponse, Listener, Reactor
from reactor.transports.bind import bind_tcp, bind_unix

from ..support.certificates import Authority
from ..support.clients import REQUEST, RawClient, head
from ..support.driving import run_until
from ..support.recorder import Recorder
from ..support.serving import Echo, Served, echoes

pytestmark = pytest.mark.usefixtures("no_leaks")

Client = Callable[..., RawClient]

LOOPBACK = "127.0.0.1"


def dead_socket(path: str) -> None:
    """Leave at *path* what a server leaves that was killed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()


def in_use(caught: pytest.ExceptionInfo[OSError]) -> bool:
    return caught.value.errno == errno.EADDRINUSE


# --- unix sockets ---------------------------------------------------------------------------------


def test_a_dead_socket_is_replaced(loop: Reactor, raw_client: Client, unix_path: str) -> None:
    dead_socket(unix_path)
    listener = loop.listen(unix_path=unix_path, protocol=Echo)
    client = raw_client(listener)
    client.upgrade()
    assert echoes(client)
    listener.close()
    assert not os.path.exists(unix_path)


def test_a_socket_in_use_is_left_alone(loop: Reactor, unix_path: str) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(unix_path)
        other.listen(0)
        full = []
        try:
            while True:  # also when its backlog is full
                full.append(socket.socket(socket.AF_UNIX))
                full[-1].setblocking(False)
                full[-1].connect(unix_path)
        except BlockingIOError:
            pass
        with pytest.raises(OSError) as caught:
            loop.listen(unix_path=unix_path)
        for sock in full:
            sock.close()
    assert in_use(caught)
    assert os.path.exists(unix_path)


@pytest.mark.parametrize("kind", ["file", "folder", "link to nowhere", "link to a file"])
def test_what_is_no_socket_is_left_alone(loop: Reactor, unix_path: str, kind: str) -> None:
    path, target = Path(unix_path), Path(f"{unix_path}.target")
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("dear diary")
    else:
        path.symlink_to(target)
        if kind == "link to a file":
            target.write_text("dear diary")
    with pytest.raises(OSError) as caught:
        loop.listen(unix_path=unix_path)
    assert in_use(caught)
    assert path.is_symlink() or path.exists()
    assert loop.listeners == set()


def test_the_permissions(loop: Reactor, unix_path: str) -> None:
    for mode in (0o600, 0o666, 0):
        listener = loop.listen(unix_path=unix_path, unix_mode=mode)
        assert stat.S_IMODE(os.stat(unix_path).st_mode) == mode
        listener.close()


def test_nobody_can_connect_before_the_permissions_are_set(
    monkeypatch: pytest.MonkeyPatch, loop: Reactor, unix_path: str
) -> None:
    tried: list[int] = []
    chmod = os.chmod

    def look(path: Any, mode: int) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            tried.append(sock.connect_ex(unix_path))
        chmod(path, mode)

    monkeypatch.setattr(os, "chmod", look)
    loop.listen(unix_path=unix_path, unix_mode=0o600)
    assert tried == [errno.ECONNREFUSED]


def test_a_name_that_is_not_ascii_is_read_as_everywhere() -> None:
    with bind_tcp("\uff11\uff12\uff17.0.0.1", 0) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
    with pytest.raises(ValueError, match=r"host 'a\\u200db' is invalid: Joiner"):
        bind_tcp("a\u200db", 0)


def test_a_failure_behind_the_bind_leaves_no_path(
    monkeypatch: pytest.MonkeyPatch, loop: Reactor, unix_path: str
) -> None:
    def fail(path: Any, mode: int) -> None:
        raise PermissionError(errno.EPERM, "not here")

    monkeypatch.setattr(os, "chmod", fail)
    with pytest.raises(PermissionError):
        loop.listen(unix_path=unix_path, unix_mode=0o600)
    assert not os.path.exists(unix_path)
    with pytest.raises(OverflowError):
        loop.listen(unix_path=unix_path, backlog=1 << 40)
    assert not os.path.exists(unix_path)


def test_a_path_that_has_become_somebody_else_s_stays(loop: Reactor, unix_path: str) -> None:
    first = loop.listen(unix_path=unix_path)
    os.rename(unix_path, f"{unix_path}.old")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(unix_path)
        first.close()
        assert os.path.exists(unix_path)


def test_a_path_that_has_gone_is_no_error(loop: Reactor, unix_path: str) -> None:
    listener = loop.listen(unix_path=unix_path)
    os.unlink(unix_path)
    listener.close()


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
@pytest.mark.parametrize("kind", [str, str.encode])
def test_an_abstract_socket(
    loop: Reactor, raw_client: Client, unix_path: str, kind: Callable[[str], Any]
) -> None:
    name = kind(f"\0{unix_path}")
    listener = loop.listen(unix_path=name, protocol=Echo)
    client = raw_client(listener)
    client.upgrade()
    assert echoes(client)
    with pytest.raises(OSError) as caught:
        loop.listen(unix_path=name)
    assert in_use(caught)
    listener.close()
    loop.listen(unix_path=name).close()
    with pytest.raises(ValueError, match="unix_mode cannot be given with an abstract socket"):
        loop.listen(unix_path=name, unix_mode=0o600)


def test_a_path_in_bytes(unix_path: str) -> None:
    dead_socket(unix_path)
    sock, unlink = bind_unix(unix_path.encode())
    sock.close()
    unlink()
    assert not os.path.exists(unix_path)


# --- ports ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="the system has no SO_REUSEPORT")
def test_two_reactors_share_a_port(loop: Reactor) -> None:
    listener = loop.listen(LOOPBACK, 0, Echo, reuse_port=True)
    with Reactor() as other:
        with pytest.raises(OSError) as caught:
            other.listen(LOOPBACK, listener.port, Echo)
        assert in_use(caught)
        twin = other.listen(LOOPBACK, listener.port, Echo, reuse_port=True)
        assert twin.address == listener.address
        listener.close()
        with RawClient(other, twin.address) as client:  # what comes now comes to the other
            client.upgrade()
            assert echoes(client)


def test_without_reuse_port_a_port_is_one_s_own() -> None:
    with bind_tcp(LOOPBACK, 0) as sock:
        sock.listen()
        with pytest.raises(OSError) as caught:
            bind_tcp(LOOPBACK, sock.getsockname()[1], reuse_port=True)
        assert in_use(caught)


def test_a_socket_that_listens_already(loop: Reactor, raw_client: Client) -> None:
    sock = socket.create_server((LOOPBACK, 0))  # as systemd hands it over
    client = socket.create_connection(sock.getsockname())
    listener = loop.listen(sock=sock, protocol=Echo)
    with client:
        client.sendall(head(*REQUEST))
        run_until(loop, lambda: listener.connections)
    other = raw_client(listener)
    other.upgrade()
    assert echoes(other)


def test_a_socket_that_cannot_listen(loop: Reactor) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        with pytest.raises(OSError):
            loop.listen(sock=sock)
        assert sock.fileno() != -1
    assert loop.listeners == set()


# --- several --------------------------------------------------------------------------------------


def opened(loop: Reactor, url: str, **options: Any) -> Recorder:
    peer = loop.connect(url, Recorder, **options)
    run_until(loop, lambda: peer.events)
    assert peer.names == ["open"], peer.events
    return peer


def test_one_class_over_tcp_tls_and_a_unix_socket_at_once(
    loop: Reactor, authority: Authority, unix_path: str
) -> None:
    served = Served()
    plain = loop.listen(LOOPBACK, 0, served, subprotocols=["v1"], max_message_size=10)
    secure = loop.listen(LOOPBACK, 0, served, ssl=authority.server_context, subprotocols=["v2"])
    local = loop.listen(unix_path=unix_path, protocol=served, subprotocols=["v3"])
    offer = ["v1", "v2", "v3"]
    peers = [
        opened(loop, f"ws://{LOOPBACK}:{plain.port}", subprotocols=offer),
        opened(
            loop,
            f"wss://{LOOPBACK}:{secure.port}",
            subprotocols=offer,
            sslopt=authority.sslopt,
        ),
        opened(loop, "ws://server.example/", subprotocols=offer, unix_path=unix_path),
    ]
    assert [peer.subprotocol for peer in peers] == offer
    for peer in peers:
        peer.send("eleven byte")
    run_until(loop, lambda: peers[0].closes and peers[1].messages and peers[2].messages)
    assert peers[0].closes[0][0] == 1009
    for listener in (plain, secure, local):
        assert len(listener.connections) == (0 if listener is plain else 1)
    loop.shutdown()
    assert [peer.closes[0][0] for peer in peers] == [1009, 1001, 1001]
    assert not os.path.exists(unix_path)


# --- certificates of clients ----------------------------------------------------------------------


@pytest.fixture
def demanding(loop: Reactor, authority: Authority) -> tuple[Listener, Served, list[Any]]:
    """A listener that asks for certificates, whom it served, and what the hook saw."""
    context = authority.issue(LOOPBACK)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    served, seen = Served(), []

    def look(request: Any, sock: Any) -> HTTPResponse | None:
        names = [name for _, name in sock.getpeercert()["subjectAltName"]]
        seen.append(names)
        return HTTPResponse(403, body="not you\n") if "mallory" in names else None

    return loop.listen(LOOPBACK, 0, served, ssl=context, process_request=look), served, seen


def with_certificate(authority: Authority, name: str | None) -> dict[str, Any]:
    """Return the TLS options of a client; None: it has no certificate."""
    if name is None:
        return {"context": authority.client_context()}
    return {"context": authority.client_context(name)}


def test_the_certificate_of_a_client_can_be_seen(
    loop: Reactor,
    authority: Authority,
    demanding: tuple[Listener, Served, list[Any]],
) -> None:
    listener, served, seen = demanding
    url = f"wss://{LOOPBACK}:{listener.port}"
    opened(loop, url, sslopt=with_certificate(authority, "ann"))
    assert seen == [["ann"]]
    assert served[0].sock.getpeercert()["subjectAltName"] == (("DNS", "ann"),)


@pytest.mark.parametrize(("name", "words"), [("mallory", "403"), (None, "")])
def test_without_the_right_one_a_client_is_refused(
    loop: Reactor,
    authority: Authority,
    demanding: tuple[Listener, Served, list[Any]],
    name: str | None,
    words: str,
) -> None:
    listener, served, _ = demanding
    url = f"wss://{LOOPBACK}:{listener.port}"
    peer = loop.connect(url, Recorder, sslopt=with_certificate(authority, name))
    run_until(loop, lambda: peer.closes)
    assert peer.names == ["error", "close"]
    assert words in str(peer.errors[0])
    assert served == []
    run_until(loop, lambda: not listener._handshakes)
