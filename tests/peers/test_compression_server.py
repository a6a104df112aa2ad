"""permessage-deflate (RFC 7692): our server, and clients that nobody here wrote.

Each case says what either side wants, and what they must agree on.
"""

from __future__ import annotations

from typing import Any

import pytest

from reactor import Deflate

from .support.deflating import (
    CLIENT_9,
    CLIENT_10,
    CLIENT_FORGETS,
    FAR,
    MEBIBYTE,
    MESSAGES,
    NOISE,
    SERVER_9,
    SERVER_10,
    SERVER_FORGETS,
    TEXT,
    TIMES,
    agreed,
    check_traffic,
    elements,
    wants,
)
from .support.processes import Json
from .support.sides import Echo, OurServer, Run
from .support.steps import fragments, receive, send, wait_closed
from .support.wire import Traffic, traffic


class Measuring(Echo):
    """Notes what has been on the wire whenever it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.measured: list[Traffic] = []

    def on_message(self, message: str | bytes) -> None:
        if message == "measure":  # the client has all that was sent before
            self.measured.append(traffic(self.sock))
        super().on_message(message)


def _steps() -> list[Json]:
    steps: list[Json] = []
    for message in ["measure", *MESSAGES, "measure", *[NOISE] * TIMES, "measure"]:
        steps += [send(message), receive()]
    return steps


STEPS = _steps()


def check_server(our_server: OurServer, theirs: Any, ours: Deflate) -> set[str]:
    """Exchange messages with a client; check the wire; return what was agreed."""
    run: Run = our_server.run(
        our_server.listen(Measuring, compression=ours), *STEPS, deflate=theirs
    )
    chosen = elements(run.extensions)
    assert [message for message in run.messages if message not in ("measure", NOISE)] == MESSAGES
    assert run.messages.count(NOISE) == TIMES
    before, between, after = our_server.served[0].measured
    check_traffic(
        between.since(before),
        after.since(between),
        ours="server_no_context_takeover" not in chosen,
        theirs="client_no_context_takeover" not in chosen,
    )
    our_server.until(lambda: our_server.served[0].closes)
    assert our_server.served[0].errors == []
    return chosen


#: What node wants as a client, what we want, what is agreed.
NODE_CLIENT: list[tuple[Json, Json, set[str]]] = [
    ({}, {}, agreed()),
    ({}, {"client_max_window_bits": 9}, agreed(CLIENT_9)),
    ({}, {"client_max_window_bits": 8}, agreed("client_max_window_bits=8")),
    ({}, {"server_max_window_bits": 9}, agreed(SERVER_9)),
    ({}, {"server_max_window_bits": 8}, agreed("server_max_window_bits=8")),
    ({"serverMaxWindowBits": 8}, {}, agreed("server_max_window_bits=8")),
    ({"serverMaxWindowBits": 10}, {}, agreed(SERVER_10)),
    ({"serverMaxWindowBits": 15}, {}, agreed("server_max_window_bits=15")),
    ({"serverMaxWindowBits": 10}, {"server_max_window_bits": 9}, agreed(SERVER_9)),
    ({"clientMaxWindowBits": 8}, {}, agreed("client_max_window_bits=8")),
    ({"clientMaxWindowBits": 12}, {"client_max_window_bits": 10}, agreed(CLIENT_10)),
    ({"clientMaxWindowBits": False}, {"client_max_window_bits": 10}, agreed()),
    ({"serverNoContextTakeover": True}, {}, agreed(SERVER_FORGETS)),
    ({"clientNoContextTakeover": True}, {}, agreed(CLIENT_FORGETS)),
    ({}, {"server_no_context_takeover": True}, agreed(SERVER_FORGETS)),
    ({}, {"client_no_context_takeover": True}, agreed(CLIENT_FORGETS)),
    (
        {"serverMaxWindowBits": 9, "clientMaxWindowBits": 9, "serverNoContextTakeover": True},
        {"client_no_context_takeover": True, "level": 9, "mem_level": 9},
        agreed(SERVER_9, CLIENT_9, SERVER_FORGETS, CLIENT_FORGETS),
    ),
]


@pytest.mark.parametrize("our_server", ["node"], indirect=True)
@pytest.mark.parametrize(("theirs", "ours", "expected"), NODE_CLIENT)
def test_with_node(our_server: OurServer, theirs: Json, ours: Json, expected: set[str]) -> None:
    deflate = {"threshold": 0} | theirs
    assert check_server(our_server, deflate, wants(**ours)) == expected


#: The bits that aiohttp wants as a client, what we want, what is agreed.
AIOHTTP_CLIENT: list[tuple[int, Json, set[str]]] = [
    *[(bits, {}, agreed(f"server_max_window_bits={bits}")) for bits in range(9, 15)],
    (15, {}, agreed()),
    (15, {"client_max_window_bits": 9}, agreed(CLIENT_9)),
    (12, {"server_max_window_bits": 9}, agreed(SERVER_9)),
    (15, {"server_no_context_takeover": True}, agreed(SERVER_FORGETS)),
    (15, {"client_no_context_takeover": True}, agreed(CLIENT_FORGETS)),
]


@pytest.mark.parametrize("our_server", ["aiohttp"], indirect=True)
@pytest.mark.parametrize(("theirs", "ours", "expected"), AIOHTTP_CLIENT)
def test_with_aiohttp(our_server: OurServer, theirs: int, ours: Json, expected: set[str]) -> None:
    assert check_server(our_server, theirs, wants(**ours)) == expected


#: What websockets wants as a client, what we want, what is agreed.
WEBSOCKETS_CLIENT: list[tuple[Json, Json, set[str]]] = [
    ({"client_max_window_bits": True}, {}, agreed()),
    *[
        (
            {"server_max_window_bits": bits, "client_max_window_bits": bits},
            {},
            agreed(f"server_max_window_bits={bits}", f"client_max_window_bits={bits}"),
        )
        for bits in range(9, 15)
    ],
    ({"server_max_window_bits": 15}, {}, agreed("server_max_window_bits=15")),
    ({"client_max_window_bits": True}, {"client_max_window_bits": 9}, agreed(CLIENT_9)),
    ({"server_max_window_bits": 12}, {"server_max_window_bits": 9}, agreed(SERVER_9)),
    ({"server_no_context_takeover": True}, {}, agreed(SERVER_FORGETS)),
    ({"client_no_context_takeover": True}, {}, agreed(CLIENT_FORGETS)),
    ({}, {"server_no_context_takeover": True}, agreed(SERVER_FORGETS)),
    ({}, {"client_no_context_takeover": True}, agreed(CLIENT_FORGETS)),
]


@pytest.mark.parametrize("our_server", ["websockets"], indirect=True)
@pytest.mark.parametrize(("theirs", "ours", "expected"), WEBSOCKETS_CLIENT)
def test_with_websockets(
    our_server: OurServer, theirs: Json, ours: Json, expected: set[str]
) -> None:
    assert check_server(our_server, theirs, wants(**ours)) == expected


@pytest.mark.parametrize("our_server", ["chromium"], indirect=True)
@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ({}, agreed()),
        ({"server_max_window_bits": 8}, agreed("server_max_window_bits=8")),
        ({"server_max_window_bits": 9}, agreed(SERVER_9)),
        ({"client_max_window_bits": 8}, agreed("client_max_window_bits=8")),
        ({"client_max_window_bits": 10}, agreed(CLIENT_10)),
        ({"server_no_context_takeover": True}, agreed(SERVER_FORGETS)),
        ({"client_no_context_takeover": True}, agreed(CLIENT_FORGETS)),
    ],
)
def test_with_chromium(our_server: OurServer, ours: Json, expected: set[str]) -> None:
    assert check_server(our_server, None, wants(**ours)) == expected


#: What each client needs to offer compression.
OFFERS = {"node": {"threshold": 0}, "aiohttp": 15, "websockets": {}, "chromium": None}
offering = pytest.mark.parametrize("our_server", OFFERS, indirect=True)


@offering
def test_sends_fragments_compressed(our_server: OurServer) -> None:
    class Fragments(Measuring):
        def on_open(self) -> None:
            super().on_open()
            self.send_fragments(TEXT[i : i + 1000] for i in range(0, len(TEXT), 1000))

        def on_message(self, message: str | bytes) -> None:
            super().on_message(message)
            self.send_fragment(FAR[:30_000])
            self.ping(b"between")
            self.send_fragment(FAR[30_000:], fin=True)

    url = our_server.listen(Fragments, compression="deflate")
    steps = [receive(), send("measure"), receive(), receive()]
    run = our_server.run(url, *steps, deflate=OFFERS[our_server.client])
    assert run.messages == [TEXT, "measure", FAR]
    assert our_server.served[0].measured[0].sent < len(TEXT) / 2


@pytest.mark.parametrize("our_server", ["node", "websockets"], indirect=True)
def test_gets_fragments_compressed(our_server: OurServer) -> None:
    parts = [TEXT[:10_000], "", TEXT[10_000:10_001], TEXT[10_001:]]
    url = our_server.listen(Measuring, compression="deflate")
    steps = [fragments(*parts), receive(), send("measure"), receive()]
    run = our_server.run(url, *steps, deflate=OFFERS[our_server.client])
    assert run.messages == [TEXT, "measure"]
    assert our_server.served[0].measured[0].received < len(TEXT) / 2


@offering
def test_exchanges_a_mebibyte(our_server: OurServer) -> None:
    url = our_server.listen(Measuring, compression="deflate")
    steps = [send(MEBIBYTE), receive(), send("measure"), receive()]
    run = our_server.run(url, *steps, deflate=OFFERS[our_server.client])
    assert run.messages == [MEBIBYTE, "measure"]
    used = our_server.served[0].measured[0]
    assert used.sent < len(MEBIBYTE) / 4
    assert used.received < len(MEBIBYTE) / 4


@offering
def test_what_inflates_to_too_much_is_refused(our_server: OurServer) -> None:
    url = our_server.listen(max_message_size=100_000, compression="deflate")
    bomb = "x" * 3_000_000
    run = our_server.run(url, send(bomb), wait_closed(), deflate=OFFERS[our_server.client])
    assert run.end["code"] == 1009
    assert our_server.served[0].messages == []
    assert our_server.served[0].closes[0][0] == 1009
