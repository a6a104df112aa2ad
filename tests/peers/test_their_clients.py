"""Our server and clients that nobody here wrote: node's `ws`, aiohttp, and a browser.

tests/test_interop.py has `websockets`.
"""

from __future__ import annotations

from typing import Any

import pytest

from reactor import WebSocketConnectionClosedException
from tests.support.certificates import Authority
from tests.support.recorder import Recorder

from .support.sides import Echo, OurServer
from .support.steps import close, drop, fragments, ping, receive, send, wait_closed
from .test_their_servers import MESSAGES

#: What every peer may say; a browser has no other codes.
CODES = [(1000, ""), (3000, "x" * 123), (4999, "gr\u00fc\u00dfe")]


def clients(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("our_server", names, indirect=True)


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_messages_of_every_size(our_server: OurServer, message: str | bytes) -> None:
    run = our_server.run(our_server.listen(), send(message), receive())
    assert run.messages == [message]
    assert our_server.served[0].messages == [message]


def test_two_hundred_messages_in_order(our_server: OurServer) -> None:
    messages = [f"{i} " + "x" * (i * 37 % 3000) for i in range(200)]
    steps = [send(message) for message in messages] + [receive()] * 200
    run = our_server.run(our_server.listen(), *steps)
    assert run.messages == messages
    assert our_server.served[0].messages == messages


class SendsFragments(Recorder):
    def on_open(self) -> None:
        super().on_open()
        self.send_frame(1, b"gr\xc3", fin=False)  # within a character
        self.ping(b"between")
        self.send_frame(0, b"", fin=False)
        self.send_frame(0, b"\xbcn")
        self.send_frame(2, b"\xc3" * 70000, fin=False)
        self.send_frame(0, b"end")


def test_we_send_fragments(our_server: OurServer) -> None:
    run = our_server.run(our_server.listen(SendsFragments), receive(), receive())
    assert run.messages == ["gr\u00fcn", b"\xc3" * 70000 + b"end"]
    assert our_server.served[0].of("pong") == [(b"between",)]


@clients("node")
def test_they_send_fragments(our_server: OurServer) -> None:
    parts = ["frag", "", "men", "t\u00e9", "d" * 70000]
    run = our_server.run(our_server.listen(), fragments(*parts), receive())
    assert run.messages == ["".join(parts)]


@clients("node", "aiohttp")
def test_we_answer_pings(our_server: OurServer) -> None:
    run = our_server.run(our_server.listen(), ping("one"), ping("x" * 125), ping(""))
    assert run.messages == ["one", "x" * 125, ""]
    assert our_server.served[0].of("ping") == [(b"one",), (b"x" * 125,), (b"",)]


class Pings(Echo):
    def on_open(self) -> None:
        super().on_open()
        self.ping(b"one")
        self.ping(b"x" * 125)
        self.ping()
        self.send("that was all")


def test_they_answer_pings(our_server: OurServer) -> None:
    run = our_server.run(our_server.listen(Pings), receive(), send("answered"), receive())
    assert run.messages == ["that was all", "answered"]
    assert our_server.served[0].of("pong") == [(b"one",), (b"x" * 125,), (b"",)]


def test_the_keep_alive_is_answered(our_server: OurServer) -> None:
    class Patient(Recorder):
        def on_pong(self, payload: bytes) -> None:
            super().on_pong(payload)
            latencies.append(self.latency)
            if len(latencies) == 3:
                self.send("enough")

    latencies: list[float | None] = []

    url = our_server.listen(Patient, ping_interval=0.02, ping_timeout=15.0)
    assert our_server.run(url, receive()).messages == ["enough"]
    assert our_server.served[0].errors == []
    assert None not in latencies


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_they_close(our_server: OurServer, code: int, reason: str) -> None:
    run = our_server.run(our_server.listen(), close(code, reason), wait_closed())
    our_server.until(lambda: our_server.served[0].closes)
    assert our_server.served[0].events == [("open",), ("close", code, reason)]
    assert run.end["code"] == code


@clients("node", "chromium")
def test_they_close_without_a_code(our_server: OurServer) -> None:
    run = our_server.run(our_server.listen(), close(None), wait_closed())
    our_server.until(lambda: our_server.served[0].closes)
    assert our_server.served[0].events == [("open",), ("close", 1005, "")]
    assert run.end["code"] == 1005


@pytest.mark.parametrize(("code", "reason"), [*CODES, (1001, "going away"), (1011, "sorry")])
def test_we_close(our_server: OurServer, code: int, reason: str) -> None:
    class Closes(Recorder):
        def on_message(self, message: str | bytes) -> None:
            self.send("last")
            self.close(code, reason)

    run = our_server.run(our_server.listen(Closes), send("go"), receive(), wait_closed())
    assert run.messages == ["last"]
    assert (run.end["code"], run.end["reason"]) == (code, reason)
    assert run.end.get("clean") in (None, True)
    our_server.until(lambda: our_server.served[0].closes)
    # aiohttp answers 1000 whatever it hears.
    assert our_server.served[0].closes in ([(code, reason)], [(1000, "")])
    assert our_server.served[0].errors == []


@clients("node", "aiohttp")
def test_they_drop_the_connection(our_server: OurServer) -> None:
    our_server.run(our_server.listen(), send("last"), receive(), drop())
    our_server.until(lambda: our_server.served[0].closes)
    assert our_server.served[0].closes == [(1006, "")]
    assert isinstance(our_server.served[0].errors[0], WebSocketConnectionClosedException)


def test_we_drop_the_connection(our_server: OurServer) -> None:
    class Drops(Recorder):
        def on_message(self, message: str | bytes) -> None:
            self.abort()

    run = our_server.run(our_server.listen(Drops), send("go"), wait_closed())
    assert run.end["code"] == 1006
    assert run.end.get("clean") in (None, False)


@clients("node", "chromium")
@pytest.mark.parametrize(
    ("opcode", "payload", "code"),
    [(3, b"?", 1002), (0, b"of nothing", 1002), (1, b"\xff", 1007)],
    ids=["unknown opcode", "lost fragment", "not UTF-8"],
)
def test_they_notice_faults_that_we_make(
    our_server: OurServer, opcode: int, payload: bytes, code: int
) -> None:
    class Faulty(Recorder):
        def on_message(self, message: str | bytes) -> None:
            self.send_frame(opcode, payload)

    run = our_server.run(our_server.listen(Faulty), send("go"), wait_closed())
    assert run.end["code"] == 1006
    our_server.until(lambda: our_server.served[0].closes)
    # Chromium sends 1002 for each of them.
    assert our_server.served[0].closes[0][0] in (code, 1002)


def test_a_message_over_the_limit_is_refused(our_server: OurServer) -> None:
    url = our_server.listen(max_message_size=1000)
    run = our_server.run(url, send("x" * 1000), receive(), send("x" * 1001), wait_closed())
    assert run.messages == ["x" * 1000]
    assert run.end["code"] == 1009
    assert our_server.served[0].closes[0][0] == 1009


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [(["v2", "v1"], ["v1", "v2"], "v2"), (["v1"], ["v0", "v1"], "v1"), (["v2"], None, "")],
)
def test_the_subprotocol_is_the_same_on_both_sides(
    our_server: OurServer, ours: list[str], theirs: list[str] | None, chosen: str
) -> None:
    run = our_server.run(our_server.listen(subprotocols=ours), protocols=theirs)
    assert run.protocol == chosen
    assert (our_server.served[0].subprotocol or "") == chosen


@clients("node", "aiohttp")
def test_headers_are_seen(our_server: OurServer) -> None:
    url = our_server.listen()
    headers = {"X-Client": "7", "Cookie": "a=1", "Origin": "https://app.example"}
    run = our_server.run(url, headers=headers)
    request = our_server.served[0].request
    assert url.endswith(request.target)
    assert {name: request.headers[name] for name in headers} == headers
    assert run.headers["upgrade"].lower() == "websocket"
    assert run.headers["connection"].lower() == "upgrade"


@clients("chromium")
def test_headers_of_a_browser_are_seen(our_server: OurServer) -> None:
    url = our_server.listen()
    our_server.run(url)
    request = our_server.served[0].request
    assert url.endswith(request.target)
    assert request.headers["Host"] == url.split("/")[2]
    assert request.headers["Origin"].startswith("http://127.0.0.1:")
    assert "Mozilla" in request.headers["User-Agent"]
    # It offers compression to everybody; nobody has asked us for it.
    assert "permessage-deflate" in request.headers["Sec-WebSocket-Extensions"]


def test_no_extension_is_chosen_unasked(our_server: OurServer) -> None:
    assert our_server.run(our_server.listen()).extensions == ""


def test_many_connections_at_once(our_server: OurServer) -> None:
    # A browser delays those that are too many at once.
    times = 12 if our_server.client == "chromium" else 50

    class Numbered(Echo):
        def on_open(self) -> None:
            super().on_open()
            self.send(f"You are {len(our_server.served)}")

    steps = [receive(), send("hello"), receive(), close(), wait_closed()]
    runs = our_server.runs(our_server.listen(Numbered), *steps, times=times)
    assert {run.messages[0] for run in runs} == {f"You are {n}" for n in range(1, times + 1)}
    assert {run.messages[1] for run in runs} == {"hello"}
    assert {run.end["code"] for run in runs} == {1000}
    our_server.until(lambda: all(served.closes for served in our_server.served))
    assert {served.closes[0] for served in our_server.served} == {(1000, "")}


def test_all_of_it_over_tls(our_server: OurServer, authority: Authority) -> None:
    url = our_server.listen(ssl=authority.server_context)
    exchanges: list[Any] = []
    for message in MESSAGES.values():
        exchanges += [send(message), receive()]
    run = our_server.run(url, *exchanges, close(4000, "enough"), wait_closed())
    assert run.messages == list(MESSAGES.values())
    our_server.until(lambda: our_server.served[0].closes)
    assert our_server.served[0].closes == [(4000, "enough")]
    assert our_server.served[0].errors == []
