"""nginx as a reverse proxy, with and without TLS: before our server, and before `websockets`.

Whoever serves listens on the unix socket that nginx connects to.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

import pytest

from reactor import Deflate, Reactor, State, WebSocketBadStatusException, create_connection
from tests.support.certificates import Authority
from tests.support.driving import run_until
from tests.support.recorder import Recorder
from tests.support.threads import Background

from .support.nginx import IMPATIENCE, Nginx
from .support.processes import Peer, new_path
from .support.sides import PATIENCE, Echo, OurServer, TheirClient
from .support.steps import close, order, ping, receive, send, wait_closed
from .support.wire import traffic
from .test_their_servers import CODES, MESSAGES


class Front:
    """nginx, with our ends before and behind it. Parameters: what the fixtures give."""

    def __init__(self, nginx: Nginx, loop: Reactor, authority: Authority, secure: bool) -> None:
        self.nginx = nginx
        self.loop = loop
        self.url = nginx.secure_url if secure else nginx.url
        self.options: dict[str, Any] = {"ping_interval": None}
        if secure:
            self.options["sslopt"] = authority.sslopt
        self.served: list[Any] = []

    def until(self, condition: Callable[[], object]) -> None:
        """Run the loop until *condition* is true."""
        run_until(self.loop, condition, PATIENCE)

    def listen(self, factory: Callable[[], Recorder] = Echo, **options: Any) -> None:
        """Start our server behind nginx."""

        def make() -> Recorder:
            self.served.append(factory())
            return self.served[-1]  # type: ignore[no-any-return]

        options = {"ping_interval": None} | options
        self.loop.listen(unix_path=self.nginx.backend, protocol=make, **options)

    def start(self, path: str | None = None, **options: Any) -> Recorder:
        """Begin to connect our client to nginx."""
        url = self.url + (path or new_path())
        return self.loop.connect(url, Recorder, **self.options | options)

    def open(self, path: str | None = None, **options: Any) -> Recorder:
        """Connect our client; return when the connection is open."""
        client = self.start(path, **options)
        self.until(lambda: client.events)
        assert client.names[0] == "open", client.events
        return client

    def exchange(self, client: Recorder, message: str | bytes) -> str | bytes:
        """Send a message; return the next that comes."""
        before = len(client.messages)
        client.send(message)
        self.until(lambda: len(client.messages) > before or client.state is not State.OPEN)
        return client.messages[before]


@pytest.fixture(params=["tcp", "tls"])
def front(request: pytest.FixtureRequest, nginx: Nginx, authority: Authority) -> Front:
    request.getfixturevalue("no_leaks")
    loop: Reactor = request.getfixturevalue("loop")
    return Front(nginx, loop, authority, request.param == "tls")


# --- our client, nginx, our server ----------------------------------------------------------------


def test_messages_of_every_size(front: Front) -> None:
    front.listen()
    client = front.open()
    for message in MESSAGES.values():
        assert front.exchange(client, message) == message
    assert front.served[0].messages == list(MESSAGES.values())


def test_both_ends_send_at_once(front: Front) -> None:
    class Talkative(Recorder):
        def on_open(self) -> None:
            super().on_open()
            for _ in range(16):
                self.send(blob)

    blob = os.urandom(1 << 18)
    front.listen(Talkative)
    client = front.open()
    for _ in range(16):
        client.send(blob)
    front.until(lambda: len(client.messages) == len(front.served[0].messages) == 16)
    assert client.messages == front.served[0].messages == [blob] * 16


def test_fragments_and_pings(front: Front) -> None:
    front.listen()
    client = front.open()
    client.send_frame(1, b"gr\xc3", fin=False)  # within a character
    client.ping(b"between")
    client.send_frame(0, b"\xbcn")
    front.until(lambda: client.messages)
    assert client.messages == ["gr\u00fcn"]
    assert client.of("pong") == [(b"between",)]
    assert front.served[0].of("ping") == [(b"between",)]


def test_compression_passes(front: Front) -> None:
    front.listen(compression="deflate")
    client = front.open(compression=Deflate(client_max_window_bits=9))
    assert client.response is not None
    chosen = client.response.headers["Sec-WebSocket-Extensions"]
    assert chosen == "permessage-deflate; client_max_window_bits=9"
    text = "the same again; " * 10_000
    before = traffic(client.sock)
    assert front.exchange(client, text) == text
    used = traffic(client.sock).since(before)
    assert used.sent < len(text) / 4
    assert used.received < len(text) / 4


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_the_client_closes(front: Front, code: int, reason: str) -> None:
    front.listen()
    client = front.open()
    client.close(code, reason)
    front.until(lambda: client.closes and front.served[0].closes)
    assert front.served[0].events == [("open",), ("close", code, reason)]
    assert client.events == [("open",), ("close", code, reason)]


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_the_server_closes(front: Front, code: int, reason: str) -> None:
    front.listen()
    client = front.open()
    front.until(lambda: front.served)
    front.served[0].send("last")
    front.served[0].close(code, reason)
    front.until(lambda: client.closes and front.served[0].closes)
    assert client.events == [("open",), ("message", "last"), ("close", code, reason)]
    assert front.served[0].events == [("open",), ("close", code, reason)]


@pytest.mark.parametrize("dropped", ["client", "server"])
def test_a_drop_is_heard_on_the_other_side(front: Front, dropped: str) -> None:
    front.listen()
    client = front.open()
    assert front.exchange(client, "hello") == "hello"
    ours, theirs = client, front.served[0]
    if dropped == "server":
        ours, theirs = theirs, ours
    ours.abort()
    front.until(lambda: theirs.closes)
    assert theirs.closes == [(1006, "")]
    assert len(theirs.errors) == 1


def test_subprotocol_and_headers_pass(front: Front) -> None:
    front.listen(subprotocols=["v2", "v1"])
    client = front.open(subprotocols=["v1", "v2"], header={"X-Client": "7"}, cookie="a=1")
    front.until(lambda: front.served)
    assert client.subprotocol == front.served[0].subprotocol == "v2"
    headers = front.served[0].request.headers
    assert client.url.endswith(front.served[0].request.target)
    assert headers["X-Client"] == "7"
    assert headers["Cookie"] == "a=1"
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == ("https" if "wss" in front.url else "http")
    assert client.response is not None
    assert client.response.headers["X-Proxy"] == "nginx"
    assert client.response.headers["Server"].startswith("nginx")


def test_fifty_connections_at_once(front: Front) -> None:
    front.listen()
    clients = [front.start() for _ in range(50)]
    front.until(lambda: all(client.events for client in clients))
    for number, client in enumerate(clients):
        client.send(f"I am {number}")
    front.until(lambda: all(client.messages for client in clients))
    for client in clients:
        client.close()
    front.until(lambda: all(client.closes for client in clients))
    assert [client.events for client in clients] == [
        [("open",), ("message", f"I am {number}"), ("close", 1000, "")] for number in range(50)
    ]


def test_without_a_server_the_client_hears_of_a_bad_gateway(front: Front) -> None:
    client = front.start()
    front.until(lambda: client.closes)
    (error,) = client.errors
    assert isinstance(error, WebSocketBadStatusException)
    assert error.status_code == 502
    assert client.closes == [(1006, "")]


def test_a_refusal_of_our_server_reaches_the_client(front: Front, authority: Authority) -> None:
    def ask() -> tuple[int, str | None]:
        host = front.url.split("/")[2]
        client: HTTPConnection
        if front.url.startswith("wss"):
            client = HTTPSConnection(host, timeout=15.0, context=authority.client_context())
        else:
            client = HTTPConnection(host, timeout=15.0)
        client.request("GET", "/")  # not an upgrade
        response = client.getresponse()
        response.read()
        client.close()
        return response.status, response.headers["X-Proxy"]

    front.listen()
    asking = Background(ask)
    front.until(lambda: not asking.running)
    assert asking.result() == (426, "nginx")
    assert front.served == []


def test_the_client_comes_back_when_the_server_has_restarted(front: Front) -> None:
    front.listen()
    client = front.open(reconnect=0.01)
    front.until(lambda: front.served)
    for listener in list(front.loop.listeners):
        listener.close()
    front.until(lambda: len(client.errors) >= 2)  # attempts, answered 502
    front.listen()
    front.until(lambda: "reconnect" in client.names)
    assert client.closes[0] == (1001, "")
    assert isinstance(client.errors[0], WebSocketBadStatusException)
    assert front.exchange(client, "again") == "again"


@pytest.mark.parametrize("front", ["tcp"], indirect=True)
def test_without_pings_nginx_drops_a_silent_connection(front: Front) -> None:
    front.listen()
    client = front.open("/impatient/")
    front.until(lambda: client.closes and front.served[0].closes)
    assert client.closes == front.served[0].closes == [(1006, "")]


@pytest.mark.parametrize(
    ("front", "pings"), [("tcp", "client"), ("tls", "server")], indirect=["front"]
)
def test_with_pings_nginx_keeps_a_silent_connection(front: Front, pings: str) -> None:
    interval = IMPATIENCE / 1000 / 20
    keep_alive: dict[str, Any] = {"ping_interval": interval, "ping_timeout": PATIENCE}
    front.listen(**keep_alive if pings == "server" else {})
    client = front.open("/impatient/", **keep_alive if pings == "client" else {})
    front.until(lambda: front.served)
    pinging = client if pings == "client" else front.served[0]
    front.until(lambda: client.closes or len(pinging.of("pong")) == 25)  # its patience is over
    assert client.closes == []
    assert front.exchange(client, "still here") == "still here"


def test_the_blocking_client(front: Front) -> None:
    def use() -> list[Any]:
        connection = create_connection(front.url, timeout=15.0, sslopt=front.options.get("sslopt"))
        answers: list[Any] = []
        for message in MESSAGES.values():
            if isinstance(message, str):
                connection.send(message)
            else:
                connection.send_binary(message)
            answers.append(connection.recv())
        connection.close(status=4000, reason=b"enough")
        return answers

    front.listen()
    using = Background(use)
    front.until(lambda: not using.running)
    assert using.result() == list(MESSAGES.values())
    front.until(lambda: front.served[0].closes)
    assert front.served[0].closes == [(4000, "enough")]


# --- their client, nginx, our server --------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("name", ["node", "websockets"])
def test_their_client(
    request: pytest.FixtureRequest, nginx: Nginx, authority: Authority, name: str, secure: bool
) -> None:
    peer: Peer = request.getfixturevalue(f"{name}_peer")
    request.getfixturevalue("no_leaks")
    server = OurServer(
        request.getfixturevalue("loop"), TheirClient(name, peer, {"ca": authority.ca_file})
    )
    served: list[Echo] = []

    def make() -> Echo:
        served.append(Echo())
        return served[-1]

    server.loop.listen(unix_path=nginx.backend, protocol=make)
    steps = [ping("there?")]
    for message in MESSAGES.values():
        steps += [send(message), receive()]
    steps += [close(4000, "enough"), wait_closed()]
    run = server.run((nginx.secure_url if secure else nginx.url) + new_path(), *steps)
    assert run.messages == ["there?", *MESSAGES.values()]
    assert run.headers["x-proxy"] == "nginx"
    assert run.end["code"] == 4000
    server.until(lambda: served[0].closes)
    assert served[0].closes == [(4000, "enough")]


# --- our client, nginx, their server --------------------------------------------------------------


@pytest.fixture
def behind(websockets_peer: Peer, nginx: Nginx) -> Iterator[None]:
    """A server of `websockets` behind nginx."""
    websockets_peer.ask("listen", unix_path=nginx.backend).get()
    yield
    websockets_peer.ask("stop", unix_path=nginx.backend).get()


def test_their_server(behind: None, front: Front) -> None:
    client = front.open(subprotocols=["chat.v1"])
    assert client.subprotocol == "chat.v1"
    for message in MESSAGES.values():
        assert front.exchange(client, message) == message
    client.ping(b"there?")
    front.until(lambda: client.of("pong"))
    assert client.of("pong") == [(b"there?",)]
    client.send(order("close", code=4000, reason="enough"))
    front.until(lambda: client.closes)
    assert client.closes == [(4000, "enough")]
    assert client.errors == []


def test_their_server_drops_the_connection(behind: None, front: Front) -> None:
    client = front.open()
    client.send(order("drop"))
    front.until(lambda: client.closes)
    assert client.closes == [(1006, "")]
