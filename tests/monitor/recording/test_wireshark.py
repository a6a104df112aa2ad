"""What Wireshark reads in a recording: every frame, as it was on the wire."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reactor import Reactor
from reactor.monitor import record

from ...support.certificates import Authority
from ...support.clients import RawClient
from ...support.driving import run_until
from ...support.peers import Serve, Talk
from ...support.recorder import Recorder
from ...support.serving import Served
from ...support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Frame,
    build_frame,
    close_payload,
)
from ...support.wireshark import Dissected, comments, complaints, dissect, fields, has_wireshark

pytestmark = pytest.mark.usefixtures("no_leaks")

#: What a server sends: every opcode, every form of length, fragments with a ping between them.
SERVERS = [
    build_frame(TEXT, b"hello"),
    build_frame(TEXT, "\u00e4\u20ac\U0001f600".encode()),
    build_frame(BINARY, bytes(range(256))),
    build_frame(TEXT, b""),
    build_frame(BINARY, bytes(range(256)) * 800),
    build_frame(TEXT, b"one ", fin=False),
    build_frame(PING, b"between"),
    build_frame(CONT, b"two"),
    build_frame(TEXT, b"x" * 125),
    build_frame(TEXT, b"y" * 65536),
    build_frame(PONG, b"unasked"),
]

#: Nanoseconds by which two clocks of one machine may differ.
SLACK = 50_000_000


class Chatty(Recorder):
    """Says all that can be said, and closes when it was told as much."""

    def on_open(self) -> None:
        super().on_open()
        self.send("hi")
        self.send(b"\0" * 300)
        self.send("z" * 70_000)
        self.send_fragments(iter(["a", "b", "c"]))
        self.ping(b"ping")

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        if message == "y" * 65536:
            self.send("that was all")
            self.close(1000, "good bye")


class Script:
    """The server: says what it has to, and writes down what came."""

    def __init__(self) -> None:
        self.came: list[Frame] = []

    def __call__(self, talk: Talk) -> None:
        talk.upgrade(then=SERVERS[0])
        for frame in SERVERS[1:]:
            talk.send(frame)
        while not self.came or self.came[-1].opcode != CLOSE:
            self.came.append(talk.frame())
        talk.send(build_frame(CLOSE, self.came[-1].payload))
        talk.end()


def shown(frames: list[Dissected], by_client: bool) -> list[tuple[Any, ...]]:
    return [
        (frame.fin, frame.rsv, frame.opcode, frame.mask, frame.payload)
        for frame in frames
        if frame.from_client is by_client
    ]


def plain(frames: list[Frame]) -> list[tuple[Any, ...]]:
    return [(frame.fin, frame.rsv, frame.opcode, frame.mask, frame.payload) for frame in frames]


def sent_by_server(came: list[Frame]) -> list[tuple[Any, ...]]:
    from ...support.websocket_frames import read_frames

    return plain(read_frames(b"".join(SERVERS) + build_frame(CLOSE, came[-1].payload)))


def talk_to(loop: Reactor, url: str, path: Path, **options: Any) -> tuple[int, int]:
    """Have Chatty talk to a server, and record it; returns when that was."""
    began = time.time_ns()
    with record(loop, path):
        client = loop.connect(url, Chatty(), **options)
        run_until(loop, lambda: client.closes and not loop.loop.lingering)
    assert client.errors == []
    return began - SLACK, time.time_ns() + SLACK


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_every_frame_of_a_client(
    loop: Reactor, serve: Serve, tmp_path: Path, authority: Authority, secure: bool
) -> None:
    has_wireshark()
    path = tmp_path / "client.pcapng"
    script = Script()
    context = authority.server_context if secure else None
    peer = serve(script, context=context)
    first, last = talk_to(loop, peer.url, path, sslopt=authority.sslopt)
    frames = dissect(path)
    assert shown(frames, by_client=True) == plain(script.came)
    assert all(frame.mask is not None for frame in script.came)
    assert shown(frames, by_client=False) == sent_by_server(script.came)
    assert complaints(path) == []
    times = [frame.time for frame in frames]
    assert times == sorted(times)
    assert first <= times[0] <= times[-1] <= last
    # The order in which the client has heard and said things.
    opcodes = [(frame.from_client, frame.opcode) for frame in frames]
    assert opcodes.index((False, PING)) < opcodes.index((True, PONG))
    assert opcodes[-1] == (False, CLOSE)
    requests = fields(path, "http.request.uri", "http.upgrade", only="http.request")
    assert requests == [["/", "websocket"]]
    assert fields(path, "http.response.code", only="http.response") == [["101"]]
    assert [line for line in comments(path) if f"url: {peer.url}/" in line]


def test_every_frame_of_a_server(
    loop: Reactor, tmp_path: Path, raw_client: Callable[..., RawClient]
) -> None:
    has_wireshark()
    path = tmp_path / "server.pcapng"
    served = Served()
    listener = loop.listen("127.0.0.1", 0, served)
    with record(loop, path):
        client = raw_client(listener)
        client.upgrade()
        ours = [(TEXT, b"one"), (BINARY, bytes(1000)), (PING, b"?"), (CLOSE, close_payload(1000))]
        for opcode, payload in ours:
            client.send_frame(opcode, payload)
        theirs = [client.frame() for _ in ours]
        run_until(loop, lambda: served[0].closes and not loop.loop.lingering)
    frames = dissect(path)
    assert [(f.opcode, f.payload) for f in frames if f.from_client] == ours
    assert all(f.mask is not None for f in frames if f.from_client)
    assert shown(frames, by_client=False) == plain(theirs)
    assert complaints(path) == []
    assert [line for line in comments(path) if "recorded by the server" in line]


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
def test_ipv6_and_a_unix_socket(loop: Reactor, unix_path: str, tmp_path: Path) -> None:
    has_wireshark()
    path = tmp_path / "both.pcapng"
    try:
        over_ip = loop.listen("::1", 0, Served())
    except OSError as exc:
        pytest.skip(f"there is no IPv6: {exc}")
    loop.listen(protocol=Served(), unix_path=unix_path)

    class Short(Recorder):
        def on_open(self) -> None:
            self.send("short")

        def on_message(self, message: str | bytes) -> None:
            self.close()

    with record(loop, path):
        clients = [
            loop.connect(f"ws://[::1]:{over_ip.port}/", Short()),
            loop.connect("ws://unix/", Short(), unix_path=unix_path),
        ]
        run_until(loop, lambda: all(client.closes for client in clients))
        run_until(loop, lambda: not loop.loop.lingering and not loop.connections)
    frames = dissect(path)
    assert [frame.payload for frame in frames].count(b"short") == 8  # two ends of two connections
    assert complaints(path) == []


def test_each_file_of_a_rotation_can_be_read_alone(loop: Reactor, tmp_path: Path) -> None:
    has_wireshark()
    listener = loop.listen("127.0.0.1", 0, Served())
    path = tmp_path / "many.pcapng"

    class Asks(Recorder):
        def on_open(self) -> None:
            self.send("0" * 5000)

        def on_message(self, message: str | bytes) -> None:
            super().on_message(message)
            if len(self.messages) < 60:
                self.send(f"{len(self.messages)}" * 2500)

    asks = Asks()
    with record(asks, path, max_bytes=350_000) as recorder:
        loop.connect(f"ws://127.0.0.1:{listener.port}/", asks)
        run_until(loop, lambda: len(asks.messages) == 60)
    files = sorted(tmp_path.glob("many.*.pcapng"))
    assert len(files) == recorder.file > 1
    found = [dissect(file) for file in files]
    payloads = [frame.payload for frames in found for frame in frames if not frame.from_client]
    assert payloads == [str(message).encode() for message in asks.messages]
    for file in files:
        assert complaints(file) == []
        assert fields(file, "http.response.code", only="http.response") == [["101"]]


def test_a_connection_that_was_open_before_is_recorded_from_then_on(
    loop: Reactor, tmp_path: Path
) -> None:
    has_wireshark()
    served = Served()
    listener = loop.listen("127.0.0.1", 0, served, subprotocols=["chat"])
    client = loop.connect(f"ws://127.0.0.1:{listener.port}/late", Recorder(), subprotocols=["chat"])
    run_until(loop, lambda: client.events)
    client.send("unheard")
    run_until(loop, lambda: client.messages)
    path = tmp_path / "late.pcapng"
    with record(client, path):
        client.send("heard")
        run_until(loop, lambda: len(client.messages) == 2)
    assert [(f.from_client, f.payload) for f in dissect(path)] == [
        (True, b"heard"),
        (False, b"heard"),
    ]
    assert complaints(path) == []
    assert "made up: the connection was open before" in comments(path)[0]
