"""The blocking faces of both libraries against servers that are no scripts.

Descriptors are not counted here: a server may not release all of its own at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import reactor

from ..support.certificates import Authority
from ..support.classic import Clients, clients_of
from ..support.servers import serve_with_reactor, serve_with_websockets
from ..support.websocket_frames import PONG


@pytest.fixture
def clients(library: Any) -> Iterator[Clients]:
    yield from clients_of(library)


@pytest.mark.parametrize("serve", [serve_with_reactor, serve_with_websockets])
def test_servers_that_are_real(clients: Clients, serve: Any) -> None:
    with serve() as url:
        ws = clients.connect_to(url)
        for message in ("Grüße", b"\x00\xff", "x" * 70_000, b""):
            ws.send(message) if isinstance(message, str) else ws.send_binary(message)
            assert ws.recv() == message
        ws.ping("still there?")
        assert ws.recv_data(True) == (PONG, b"still there?")
        ws.close()
        assert not ws.connected


@pytest.mark.parametrize("serve", [serve_with_reactor, serve_with_websockets])
def test_servers_with_tls(clients: Clients, serve: Any, authority: Authority) -> None:
    with serve(ssl=authority.server_context) as url:
        ws = clients.connect_to(url, sslopt=authority.sslopt)
        assert ws.is_ssl()
        for message in ("Grüße", "x" * 200_000):
            ws.send(message)
            assert ws.recv() == message
        ws.close()


def test_every_name_of_websocket_client_is_there() -> None:
    names: dict[str, Any] = {}
    exec("from websocket import *", names)
    leaked = {"Any", "Optional", "__builtins__"}
    assert set(names) - leaked <= set(reactor.classic.__all__)
    assert all(hasattr(reactor, name) for name in (*reactor.__all__, *reactor.classic.__all__))
