"""permessage-deflate (RFC 7692): our client, and servers that nobody here wrote.

Each case says what either side wants, and what they must agree on.
"""

from __future__ import annotations

from typing import Any

import pytest

from reactor import Deflate, WebSocketApp, create_connection
from tests.support.threads import Background

from .conftest import SERVERS
from .support.deflating import (
    CLIENT_9,
    CLIENT_FORGETS,
    FAR,
    MEBIBYTE,
    MESSAGES,
    NOISE,
    SERVER_9,
    SERVER_10,
    SERVER_FORGETS,
    SIZE,
    TEXT,
    TIMES,
    agreed,
    check_traffic,
    elements,
    wants,
)
from .support.processes import Json, new_path
from .support.sides import OurClient
from .support.steps import order
from .support.wire import Traffic, traffic


def check_client(our_client: OurClient, serve: Json, ours: Deflate) -> set[str]:
    """Exchange messages with a server; check the wire; return what was agreed."""
    client = our_client.open(serve, compression=ours)
    assert client.response is not None
    chosen = elements(client.response.headers["Sec-WebSocket-Extensions"])
    before = traffic(client.sock)
    for message in MESSAGES:
        assert our_client.exchange(client, message) == message
    between = traffic(client.sock)
    for _ in range(TIMES):
        assert our_client.exchange(client, NOISE) == NOISE
    after = traffic(client.sock)
    check_traffic(
        between.since(before),
        after.since(between),
        ours="client_no_context_takeover" not in chosen and not ours.client_no_context_takeover,
        theirs="server_no_context_takeover" not in chosen,
    )
    client.close()
    our_client.until(lambda: client.closes)
    assert client.errors == []
    return chosen


#: What node wants as a server, what we want, what is agreed.
NODE_SERVER: list[tuple[Json, Json, set[str]]] = [
    ({}, {}, agreed()),
    ({"serverMaxWindowBits": 9}, {}, agreed(SERVER_9)),
    ({"serverMaxWindowBits": 15}, {}, agreed("server_max_window_bits=15")),
    ({"clientMaxWindowBits": 8}, {}, agreed("client_max_window_bits=8")),
    ({"clientMaxWindowBits": 9}, {}, agreed(CLIENT_9)),
    ({"clientMaxWindowBits": 15}, {}, agreed("client_max_window_bits=15")),
    ({"serverNoContextTakeover": True}, {}, agreed(SERVER_FORGETS)),
    ({"clientNoContextTakeover": True}, {}, agreed(CLIENT_FORGETS)),
    ({}, {"server_max_window_bits": 8}, agreed("server_max_window_bits=8")),
    ({}, {"server_max_window_bits": 10}, agreed(SERVER_10)),
    ({"serverMaxWindowBits": 9}, {"server_max_window_bits": 10}, agreed(SERVER_9)),
    ({}, {"client_max_window_bits": 9}, agreed(CLIENT_9)),
    ({"clientMaxWindowBits": 9}, {"client_max_window_bits": 10}, agreed(CLIENT_9)),
    ({}, {"client_max_window_bits": 15}, agreed()),
    ({}, {"client_max_window_bits": None}, agreed()),
    ({"clientMaxWindowBits": False}, {}, agreed()),
    ({}, {"server_no_context_takeover": True}, agreed(SERVER_FORGETS)),
    ({}, {"client_no_context_takeover": True}, agreed(CLIENT_FORGETS)),
    (
        {"serverMaxWindowBits": 9, "clientMaxWindowBits": 9, "serverNoContextTakeover": True},
        {"client_no_context_takeover": True, "level": 9, "mem_level": 9},
        agreed(SERVER_9, CLIENT_9, SERVER_FORGETS, CLIENT_FORGETS),
    ),
]


@pytest.mark.parametrize("our_client", ["node"], indirect=True)
@pytest.mark.parametrize(("theirs", "ours", "expected"), NODE_SERVER)
def test_with_node(our_client: OurClient, theirs: Json, ours: Json, expected: set[str]) -> None:
    serve = {"deflate": {"threshold": 0} | theirs}
    assert check_client(our_client, serve, wants(**ours)) == expected


#: aiohttp as a server says nothing of the client's window, or of its context.
AIOHTTP_SERVER: list[tuple[Json, set[str]]] = [
    ({}, agreed()),
    *[
        ({"server_max_window_bits": bits}, agreed(f"server_max_window_bits={bits}"))
        for bits in range(9, 15)
    ],
    ({"server_max_window_bits": 15}, agreed()),
    ({"client_max_window_bits": 9}, agreed()),
    ({"client_max_window_bits": None}, agreed()),
    ({"server_no_context_takeover": True}, agreed(SERVER_FORGETS)),
    ({"client_no_context_takeover": True}, agreed()),
]


@pytest.mark.parametrize("our_client", ["aiohttp"], indirect=True)
@pytest.mark.parametrize(("ours", "expected"), AIOHTTP_SERVER)
def test_with_aiohttp(our_client: OurClient, ours: Json, expected: set[str]) -> None:
    assert check_client(our_client, {"deflate": True}, wants(**ours)) == expected


#: What websockets wants as a server, what we want, what is agreed.
WEBSOCKETS_SERVER: list[tuple[Json, Json, set[str]]] = [
    ({}, {}, agreed()),
    *[
        (
            {"server_max_window_bits": bits, "client_max_window_bits": bits},
            {},
            agreed(f"server_max_window_bits={bits}", f"client_max_window_bits={bits}"),
        )
        for bits in range(9, 16)
    ],
    ({}, {"server_max_window_bits": 9, "client_max_window_bits": 9}, agreed(SERVER_9, CLIENT_9)),
    ({"server_no_context_takeover": True}, {}, agreed(SERVER_FORGETS)),
    ({"client_no_context_takeover": True}, {}, agreed(CLIENT_FORGETS)),
    ({}, {"server_no_context_takeover": True}, agreed(SERVER_FORGETS)),
    ({}, {"client_no_context_takeover": True}, agreed(CLIENT_FORGETS)),
]


@pytest.mark.parametrize("our_client", ["websockets"], indirect=True)
@pytest.mark.parametrize(("theirs", "ours", "expected"), WEBSOCKETS_SERVER)
def test_with_websockets(
    our_client: OurClient, theirs: Json, ours: Json, expected: set[str]
) -> None:
    assert check_client(our_client, {"deflate": theirs}, wants(**ours)) == expected


ASGI = [name for name in SERVERS if name.startswith(("uvicorn", "hypercorn"))]


@pytest.mark.parametrize("our_client", ASGI, indirect=True)
@pytest.mark.parametrize(
    "ours",
    [
        {},
        {"server_max_window_bits": 10},
        {"client_max_window_bits": 9},
        {"server_no_context_takeover": True},
        {"client_no_context_takeover": True},
    ],
)
def test_with_asgi_servers(our_client: OurClient, ours: Json) -> None:
    chosen = check_client(our_client, {"deflate": True}, wants(**ours))
    assert "permessage-deflate" in chosen
    if "server_max_window_bits" in ours:
        assert any(f"server_max_window_bits={bits}" in chosen for bits in (8, 9, 10))
    if "server_no_context_takeover" in ours:
        assert SERVER_FORGETS in chosen


DEFLATING = {"node": {"threshold": 0}, "aiohttp": True, "websockets": {}}
deflating = pytest.mark.parametrize("our_client", DEFLATING, indirect=True)


@deflating
def test_a_mebibyte_goes_compressed_both_ways(our_client: OurClient) -> None:
    client = our_client.open({"deflate": DEFLATING[our_client.server.name]}, compression="deflate")
    before = traffic(client.sock)
    assert our_client.exchange(client, MEBIBYTE) == MEBIBYTE
    used = traffic(client.sock).since(before)
    assert 100 < used.sent < len(MEBIBYTE) / 4
    assert 100 < used.received < len(MEBIBYTE) / 4


@deflating
@pytest.mark.parametrize("forgets", [False, True], ids=["takeover", "no takeover"])
def test_fragments_go_compressed(our_client: OurClient, forgets: bool) -> None:
    client = our_client.open(
        {"deflate": DEFLATING[our_client.server.name]},
        compression=Deflate(client_no_context_takeover=forgets),
    )
    before = traffic(client.sock)
    for _ in range(2):
        client.send_fragments(TEXT[i : i + 1000] for i in range(0, len(TEXT), 1000))
    our_client.until(lambda: len(client.messages) == 2)
    client.send_fragment(FAR[:30_000])
    client.ping(b"between")
    client.send_fragment(FAR[30_000:], fin=True)
    our_client.until(lambda: len(client.messages) == 3)
    assert client.messages == [TEXT, TEXT, FAR]
    assert client.of("pong") == [(b"between",)]
    assert traffic(client.sock).since(before).sent < (2 * len(TEXT) + len(FAR)) / 2


@pytest.mark.parametrize("our_client", ["node", "websockets"], indirect=True)
def test_their_fragments_come_compressed(our_client: OurClient) -> None:
    client = our_client.open({"deflate": DEFLATING[our_client.server.name]}, compression="deflate")
    parts = [TEXT[:10_000], "", TEXT[10_000:10_001], TEXT[10_001:]]
    before = traffic(client.sock)
    assert our_client.exchange(client, order("fragments", parts=parts)) == TEXT
    assert traffic(client.sock).since(before).received < len(TEXT) / 2


@deflating
def test_messages_chosen_one_by_one(our_client: OurClient) -> None:
    client = our_client.open({"deflate": DEFLATING[our_client.server.name]}, compression="deflate")
    for number in range(12):
        message = f"{number}: " + "so it goes; " * 100
        before = traffic(client.sock)
        assert our_client.exchange(client, message, compress=number % 3 > 0) == message
        sent = traffic(client.sock).since(before).sent
        assert (sent < len(message) / 2) == (number % 3 > 0)


@deflating
def test_a_server_without_compression_is_spoken_to_without(our_client: OurClient) -> None:
    client = our_client.open(compression=wants(server_max_window_bits=9))
    assert client.response is not None
    assert "Sec-WebSocket-Extensions" not in client.response.headers
    before = traffic(client.sock)
    assert our_client.exchange(client, TEXT) == TEXT
    assert traffic(client.sock).since(before).sent > len(TEXT)


@deflating
def test_nothing_is_offered_unasked(our_client: OurClient) -> None:
    client = our_client.open({"deflate": DEFLATING[our_client.server.name]})
    assert client.response is not None
    assert "Sec-WebSocket-Extensions" not in client.response.headers
    assert "sec-websocket-extensions" not in our_client.report(client)["headers"]
    assert our_client.exchange(client, TEXT) == TEXT


@deflating
def test_the_blocking_client(our_client: OurClient) -> None:
    def use(url: str) -> tuple[list[Any], str, Traffic]:
        connection = create_connection(url, timeout=15.0, compression="deflate")
        before = traffic(connection.sock)
        answers: list[Any] = []
        for message in [*MESSAGES, MEBIBYTE]:
            if isinstance(message, str):
                connection.send(message)
            else:
                connection.send_binary(message)
            answers.append(connection.recv())
        used = traffic(connection.sock).since(before)
        chosen = connection.headers["sec-websocket-extensions"]
        connection.close()
        return answers, chosen, used

    url = our_client.server.url(deflate=DEFLATING[our_client.server.name])
    answers, chosen, used = Background(use, url + new_path()).result()
    assert answers == [*MESSAGES, MEBIBYTE]
    assert "permessage-deflate" in elements(chosen)
    assert used.sent < (SIZE + len(MEBIBYTE)) / 2
    assert used.received < (SIZE + len(MEBIBYTE)) / 2


@deflating
def test_the_classic_app(our_client: OurClient) -> None:
    def on_open(app: WebSocketApp) -> None:
        app.send(TEXT)

    def on_message(app: WebSocketApp, message: str) -> None:
        answers.append(message)
        assert app.sock is not None
        used.append(traffic(app.sock.sock))
        app.close()

    answers: list[str] = []
    used: list[Traffic] = []
    url = our_client.server.url(deflate=DEFLATING[our_client.server.name])
    app = WebSocketApp(
        url + new_path(), on_open=on_open, on_message=on_message, compression="deflate"
    )
    Background(app.run_forever).result()
    assert answers == [TEXT]
    assert used[0].sent < len(TEXT) / 2
    assert used[0].received < len(TEXT) / 2
