"""Our client and servers that nobody here wrote.

tests/test_interop.py has `websockets`; here it is only asked what that leaves out.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from reactor import (
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    create_connection,
)
from tests.support.certificates import Authority
from tests.support.recorder import Recorder
from tests.support.threads import Background

from .conftest import SERVERS
from .support.processes import new_path
from .support.sides import OurClient
from .support.steps import order

MESSAGES: dict[str, str | bytes] = {
    "text": "hello",
    "not ASCII": "gr\u00fc\u00dfe \U0001f600",
    "empty text": "",
    "binary": b"\x00\xff\x80",
    "empty binary": b"",
    "64 KiB": os.urandom(65536),
    "1 MiB": os.urandom(1 << 20),
    "1 MiB of text": "\u00e9" * (1 << 19),
}

CODES = [(1000, ""), (1001, "going away"), (3000, "x" * 123), (4000, "gr\u00fc\u00dfe")]

NEW = [name for name in SERVERS if name != "websockets"]
ASGI = [name for name in NEW if name not in ("node", "aiohttp")]

new_servers = pytest.mark.parametrize("our_client", NEW, indirect=True)


def servers(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("our_client", names, indirect=True)


@new_servers
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_messages_of_every_size(our_client: OurClient, message: str | bytes) -> None:
    client = our_client.open()
    answer = our_client.exchange(client, message)
    assert answer == message
    assert type(answer) is type(message)


@new_servers
def test_two_hundred_messages_in_order(our_client: OurClient) -> None:
    client = our_client.open()
    messages = [f"{i} " + "x" * (i * 37 % 3000) for i in range(200)]
    for message in messages:
        client.send(message)
    our_client.until(lambda: len(client.messages) == 200)
    assert client.messages == messages


@new_servers
def test_we_send_fragments(our_client: OurClient) -> None:
    client = our_client.open()
    text = "gr\u00fc\u00dfe".encode()
    client.send_frame(1, text[:3], fin=False)  # within a character
    client.ping(b"between")
    client.send_frame(0, b"", fin=False)
    client.send_frame(0, text[3:])
    our_client.until(lambda: client.messages)
    assert client.messages == ["gr\u00fc\u00dfe"]
    assert client.of("pong") == [(b"between",)]


@servers("node")
def test_they_send_fragments(our_client: OurClient) -> None:
    client = our_client.open()
    parts = ["frag", "", "men", "t\u00e9", "d" * 70000]
    assert our_client.exchange(client, order("fragments", parts=parts)) == "".join(parts)


@servers("node")
def test_fragments_come_one_by_one_where_we_ask_for_them(our_client: OurClient) -> None:
    class Fragments(Recorder):
        def on_data(self, data: str | bytes, opcode: int, fin: bool) -> None:
            self.events.append(("data", data, opcode, fin))

    client = our_client.start(Fragments, fragments=True)
    our_client.until(lambda: client.events)
    client.send(order("fragments", parts=["one", "two", "three"]))
    our_client.until(lambda: len(client.of("data")) == 3)
    assert client.of("data") == [("one", 1, False), ("two", 0, False), ("three", 0, True)]
    assert client.messages == []


@new_servers
def test_they_answer_pings(our_client: OurClient) -> None:
    client = our_client.open()
    client.ping(b"one")
    client.ping(b"x" * 125)
    client.ping()
    our_client.until(lambda: len(client.of("pong")) == 3)
    assert client.of("pong") == [(b"one",), (b"x" * 125,), (b"",)]


@servers("node", "aiohttp")
def test_we_answer_pings(our_client: OurClient) -> None:
    client = our_client.open()
    client.send(order("ping", payload="there?"))
    our_client.until(lambda: client.messages)
    assert client.events == [("open",), ("ping", b"there?"), ("message", "pong: there?")]


@new_servers
def test_the_keep_alive_is_answered(our_client: OurClient) -> None:
    client = our_client.open(ping_interval=0.02, ping_timeout=15.0)
    our_client.until(lambda: len(client.of("pong")) >= 3)
    assert client.latency is not None
    assert client.errors == []


@new_servers
@pytest.mark.parametrize(("code", "reason"), CODES)
def test_we_close(our_client: OurClient, code: int, reason: str) -> None:
    client = our_client.open()
    client.close(code, reason)
    our_client.until(lambda: client.closes and our_client.server.endings(client))
    if our_client.server.name == "hypercorn":  # whose applications are not told
        assert our_client.server.endings(client) == [(1006, None)]
    else:
        assert our_client.server.endings(client) == [(code, reason)]
    if our_client.server.name == "aiohttp":  # which says 1000 whatever it hears
        code, reason = 1000, ""
    assert client.events == [("open",), ("close", code, reason)]


@new_servers
@pytest.mark.parametrize(("code", "reason"), CODES)
def test_they_close(our_client: OurClient, code: int, reason: str) -> None:
    client = our_client.open()
    client.send("last")
    client.send(order("close", code=code, reason=reason))
    our_client.until(lambda: client.closes)
    assert client.events == [("open",), ("message", "last"), ("close", code, reason)]


@servers("node", "aiohttp", "uvicorn-websockets", "uvicorn-websockets-sansio", "uvicorn-wsproto")
def test_they_drop_the_connection(our_client: OurClient) -> None:
    client = our_client.open()
    client.send(order("drop"))
    our_client.until(lambda: client.closes)
    assert client.names == ["open", "error", "close"]
    assert client.closes == [(1006, "")]
    assert isinstance(client.errors[0], WebSocketConnectionClosedException)


@servers("hypercorn")
def test_their_application_fails(our_client: OurClient) -> None:
    client = our_client.open()
    client.send(order("drop"))
    our_client.until(lambda: client.closes)
    assert client.events == [("open",), ("close", 1011, "")]


@new_servers
def test_we_drop_the_connection(our_client: OurClient) -> None:
    client = our_client.open()
    assert our_client.exchange(client, "last") == "last"
    client.abort()
    our_client.until(lambda: client.closes and our_client.server.endings(client))
    assert client.closes == [(1006, "")]
    ((code, _),) = our_client.server.endings(client)
    assert code in (1005, 1006)  # there was no code, or no close frame: they do not agree


@new_servers
@pytest.mark.parametrize(
    ("ours", "chosen"), [(["chat.v1", "chat.v2"], "chat."), (["chat.v3"], None), ([], None)]
)
def test_the_subprotocol_is_the_same_on_both_sides(
    our_client: OurClient, ours: list[str], chosen: str | None
) -> None:
    client = our_client.open(subprotocols=ours)
    if chosen is None:
        assert client.subprotocol is None
    else:  # which of the two is for the server to say
        assert client.subprotocol in ours
    assert (our_client.report(client)["protocol"] or None) == client.subprotocol


@new_servers
def test_headers_are_seen(our_client: OurClient) -> None:
    client = our_client.open(header={"X-Client": "7"}, cookie="a=1", origin="https://app.example")
    report = our_client.report(client)
    assert client.url.endswith(report["path"])
    assert report["headers"]["x-client"] == "7"
    assert report["headers"]["cookie"] == "a=1"
    assert report["headers"]["origin"] == "https://app.example"
    assert report["headers"]["host"] == client.url.split("/")[2]
    assert client.response is not None
    expected = "asgi" if our_client.server.name in ASGI else our_client.server.name
    assert client.response.headers["X-Peer"] == expected


@new_servers
def test_a_refusal_is_reported_with_its_status(our_client: OurClient) -> None:
    client = Recorder()
    our_client.loop.connect(our_client.server.url() + "/refuse", client)
    our_client.until(lambda: client.closes)
    assert client.names == ["error", "close"]
    (error,) = client.errors
    assert isinstance(error, WebSocketBadStatusException)
    assert error.status_code == (401 if our_client.server.name == "node" else 403)


@new_servers
def test_fifty_connections_at_once(our_client: OurClient) -> None:
    clients = [our_client.start(Recorder) for _ in range(50)]
    our_client.until(lambda: all(client.events for client in clients))
    for number, client in enumerate(clients):
        client.send(f"I am {number}")
    our_client.until(lambda: all(client.messages for client in clients))
    for client in clients:
        client.close()
    our_client.until(lambda: all(client.closes for client in clients))
    assert [client.events for client in clients] == [
        [("open",), ("message", f"I am {number}"), ("close", 1000, "")] for number in range(50)
    ]


@servers("node", "aiohttp", "websockets")
def test_all_of_it_over_tls(
    our_client: OurClient, authority: Authority, certificate: dict[str, str]
) -> None:
    client = our_client.open({"tls": certificate}, sslopt=authority.sslopt)
    for message in MESSAGES.values():
        assert our_client.exchange(client, message) == message
    client.send(order("close", code=4000, reason="enough"))
    our_client.until(lambda: client.closes)
    assert client.closes == [(4000, "enough")]
    assert client.errors == []


def _use_the_blocking_client(url: str) -> tuple[list[Any], str | None]:
    connection = create_connection(url, timeout=15.0, subprotocols=["chat.v1"])
    answers: list[Any] = []
    for message in MESSAGES.values():
        if isinstance(message, str):
            connection.send(message)
        else:
            connection.send_binary(message)
        answers.append(connection.recv())
    connection.close()
    return answers, connection.subprotocol


@new_servers
def test_the_blocking_client(our_client: OurClient) -> None:
    using = Background(_use_the_blocking_client, our_client.server.url() + new_path())
    assert using.result() == (list(MESSAGES.values()), "chat.v1")
