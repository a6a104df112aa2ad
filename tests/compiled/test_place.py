"""What the compiled functions leave in memory, and the place that they take."""

from __future__ import annotations

import gc
import inspect
import sys
import tracemalloc
from typing import Any

import pytest

import reactor
from reactor import Reactor, WebSocketProtocol
from reactor.compiled import replace as hotpath
from reactor.exceptions import (
    WebSocketStateException,
)
from reactor.protocols.session import Role

from ..support.sockets import Sockets, received
from ..support.websocket_frames import (
    KEY,
    PING,
    TEXT,
    build_frame,
)
from .acting import BUILT, Act, as_client, payloads, run_program
from .twins import TWINS, attach

pytestmark = BUILT


# --- memory -------------------------------------------------------------------------------------


class Mirror(WebSocketProtocol):
    def on_message(self, message: str | bytes) -> None:
        self.send(message)


class Player(WebSocketProtocol):
    left = 0

    def on_message(self, message: str | bytes) -> None:
        self.left -= 1
        if self.left > 0:
            self.send(message)


def test_twenty_thousand_messages_leave_nothing_behind(loop: Reactor, sockets: Sockets) -> None:
    ours, theirs = sockets.pair()
    client, server = Player(), Mirror()
    connections = [
        attach(loop, Role.CLIENT, ours, client),
        attach(loop, Role.SERVER, theirs, server),
    ]
    watched: list[Any] = [
        None,
        True,
        False,
        loop,
        loop.loop.dirty,
        loop.loop._calls,
        client,
        server,
        "ball",
    ]
    for connection in connections:
        watched += [connection, connection.session, connection.stream, connection.session.output]
    client.left = 500

    def play() -> None:
        client.send("ball" * 10)
        client.send(b"\xff" * 10)
        while client.left > 0:
            loop.run_once(1)
        loop.run_once(0)

    play()
    gc.collect()
    tracemalloc.start()
    try:
        client.left = 500
        play()
        gc.collect()
        before = [sys.getrefcount(each) for each in watched]
        objects = len(gc.get_objects())
        traced = tracemalloc.get_traced_memory()[0]
        client.left = 20_000
        play()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - traced < 20_000
    finally:
        tracemalloc.stop()
    assert abs(len(gc.get_objects()) - objects) < 50
    for each, count in zip(watched, before, strict=True):
        assert abs(sys.getrefcount(each) - count) < 50, each


def test_blocks_of_memory_do_not_become_more(loop: Reactor, sockets: Sockets) -> None:
    """Of what tracemalloc and the garbage collector do not see: int, float, str, bytes."""
    near, far = sockets.pair()
    attach(loop, Role.SERVER, near, Mirror())
    data = build_frame(TEXT, b"ball" * 9, key=KEY) * 50 + build_frame(PING, b"?", key=KEY)

    def play(rounds: int) -> int:
        for _ in range(rounds):
            far.send(data)
            loop.run_once(1)
            far.recv(1 << 20)
        gc.collect()
        return sys.getallocatedblocks()

    play(10)
    before = play(10)
    assert play(200) - before < 200


# --- the place that they take -------------------------------------------------------------------


@pytest.mark.parametrize("way", ["compiled"], indirect=True)
@pytest.mark.parametrize(("owner", "name"), TWINS, ids=[name for _, name in TWINS])
def test_a_twin_looks_like_what_it_replaces(owner: Any, name: str) -> None:
    twin = owner.__dict__[name]
    original = twin.__wrapped__
    assert inspect.isfunction(original)
    assert not inspect.isfunction(twin)
    assert inspect.signature(twin) == inspect.signature(original)
    for attribute in ("__doc__", "__name__", "__qualname__", "__module__", "__annotations__"):
        assert getattr(twin, attribute) == getattr(original, attribute)


def test_no_twin_is_left_out_here() -> None:
    from reactor.compiled import path, turn

    functions = [*vars(path).items(), *vars(turn).items()]
    taken = {name for name, function in functions if hasattr(function, "__wrapped__")}
    assert len(taken) == len(TWINS)


def test_arguments_may_be_given_by_name(loop: Reactor, sockets: Sockets) -> None:
    protocol = Act()
    far = as_client(loop, protocol, sockets)
    assert protocol.send(message="a", compress=False) == 7
    assert protocol.send(b"b", compress=True) == 7
    assert payloads(received(far)) == [b"a", b"b"]
    with pytest.raises(TypeError):
        protocol.send()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        protocol.send("a", None, None)  # type: ignore[call-arg]


def test_without_a_connection_there_is_nothing_to_send_on() -> None:
    with pytest.raises(WebSocketStateException, match="no send without a connection"):
        Act().send("a")


CALLS = ["EventLoop._turn({}, None)", "Reader.data_received({}, b'')"]
CALLS += ["Sender.send({}, '')", "Sender.flush({})", "Stream._read({})"]


@pytest.mark.parametrize("call", [*CALLS, "WebSocketProtocol.send({}, '')"])
def test_an_object_of_another_class_is_an_error_and_no_crash(call: str, way: str) -> None:
    program = f"""
from reactor.connection.reader import Reader
from reactor.loop.event_loop import EventLoop
from reactor.protocols.websocket import WebSocketProtocol
from reactor.connection.sender import Sender
from reactor.transports.stream import Stream
try:
    {call.format("Exception()")}
except (AttributeError, TypeError):
    print("refused")
"""
    done = run_program(program, way)
    assert (done.returncode, done.stdout) == (0, "refused\n")


def test_the_switch(way: str) -> None:
    program = """
import inspect
from reactor import compiled
from reactor.compiled import replace as hotpath
from reactor.loop.event_loop import EventLoop
from reactor.protocols.websocket import WebSocketProtocol
from reactor.connection.sender import Sender
from reactor.transports.stream import Stream
from reactor.connection.reader import Reader
methods = (
    EventLoop._turn, Stream._read, Reader.data_received, WebSocketProtocol.send,
    Sender.send, Sender.flush,
)
print(compiled, hotpath.compiled, {inspect.isfunction(method) for method in methods})
"""
    done = run_program(program, way)
    yes = way == "compiled"
    assert (done.stdout, done.stderr) == (f"{yes} {yes} {{{not yes}}}\n", "")


def test_the_package_tells_which_is_in_use() -> None:
    assert reactor.compiled is hotpath.compiled is True
