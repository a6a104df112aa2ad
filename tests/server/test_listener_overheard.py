"""Who records a listener hears each opening handshake, as it is within TLS, and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reactor import HTTPResponse, Listener, Reactor

from ..support.certificates import Authority
from ..support.clients import REQUEST, RawClient, RawTLSClient, head
from ..support.driving import run_until

pytestmark = pytest.mark.usefixtures("no_leaks")

Client = Callable[..., RawClient]


class Ear:
    """A Wiretap, and the tap of every handshake.

    Attributes:
        heard: what was said, in order.
    """

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def handshake(self, connection: object) -> Ear:
        assert connection is None
        return self

    def attached(self, connection: object, leftover: bytes) -> None:
        self.heard.append(("attached", leftover))

    def connected(self, sock: Any, place: str) -> None:
        self.heard.append(("connected", place, sock.fileno() >= 0))

    def sent(self, data: bytes) -> None:
        self.heard.append(("sent", data.partition(b"\r\n")[0]))

    def received(self, data: bytes) -> None:
        self.heard.append(("received", data))

    def closed(self) -> None:
        self.heard.append("closed")


@pytest.fixture
def ear(loop: Reactor) -> Ear:
    ear = Ear()
    loop.loop.wiretaps = (ear,)
    return ear


BEGIN = [("connected", "", True), ("received", head(*REQUEST))]
SWITCHING = ("sent", b"HTTP/1.1 101 Switching Protocols")


def test_a_client_that_is_accepted(loop: Reactor, raw_client: Client, ear: Ear) -> None:
    raw_client(loop.listen("127.0.0.1", 0)).upgrade()
    assert ear.heard == [*BEGIN, SWITCHING, ("attached", b"")]


def test_a_client_over_tls(loop: Reactor, authority: Authority, ear: Ear) -> None:
    listener = loop.listen("127.0.0.1", 0, ssl=authority.server_context)
    with RawTLSClient(loop, listener.address, authority.client_context()) as client:
        client.upgrade()
    assert ear.heard == [*BEGIN, SWITCHING, ("attached", b"")]


def serve(loop: Reactor, **options: Any) -> Listener:
    return loop.listen("127.0.0.1", 0, **options)


def test_a_client_that_is_answered_otherwise(loop: Reactor, raw_client: Client, ear: Ear) -> None:
    client = raw_client(serve(loop, process_request=lambda *_: HTTPResponse(204)))
    client.send(head(*REQUEST))
    assert client.until_closed().startswith(b"HTTP/1.1 204")
    client.close()
    run_until(loop, lambda: "closed" in ear.heard)
    assert ear.heard == [*BEGIN, ("sent", b"HTTP/1.1 204 No Content"), "closed"]


def test_a_client_that_is_rejected(loop: Reactor, raw_client: Client, ear: Ear) -> None:
    client = raw_client(serve(loop, origins=["https://a.example"]))
    client.send(head(*REQUEST))
    assert client.until_closed().startswith(b"HTTP/1.1 403")
    client.close()
    run_until(loop, lambda: "closed" in ear.heard)
    assert ear.heard == [*BEGIN, ("sent", b"HTTP/1.1 403 Forbidden"), "closed"]


def test_a_client_that_leaves(loop: Reactor, raw_client: Client, ear: Ear) -> None:
    raw_client(serve(loop)).reset()
    run_until(loop, lambda: "closed" in ear.heard)
    assert ear.heard == [("connected", "", True), "closed"]
