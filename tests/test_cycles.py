"""No cycle of references is left of a message or a connection: reference counts free everything.

The cyclic collector is off while a scene is played. Then it is asked what it finds.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from reactor import Backoff, HTTPResponse, Listener, Reactor, WebSocketProtocol
from reactor.exceptions import WebSocketConnectException
from reactor.hosting.asyncio import asyncio_host
from reactor.testing import MemoryServer, in_thread

from .support.certificates import Authority
from .support.cycles import no_cycles
from .support.driving import run_until
from .support.scene import FAULT, GOODBYE, Actor, Scene, text

#: A socket with this option sends a reset when it is closed.
RESETS = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Client(WebSocketProtocol):
    opens = closes = messages = 0

    def on_open(self) -> None:
        self.opens += 1

    def on_message(self, message: str | bytes) -> None:
        self.messages += 1

    def on_close(self, code: int, reason: str) -> None:
        self.closes += 1


class Pair:
    """A connection over loopback, and both its ends."""

    def __init__(self, loop: Reactor, tls: Authority | None = None, **options: Any) -> None:
        self.loop = loop
        scheme = "ws" if tls is None else "wss"
        self.listener: Listener[Client] = loop.listen(
            "127.0.0.1", 0, Client, ssl=None if tls is None else tls.server_context
        )
        if tls is not None:
            options["sslopt"] = tls.sslopt
        options.setdefault("proxy", None)
        url = f"{scheme}://127.0.0.1:{self.listener.port}/"
        self.client = loop.connect(url, Client, **options)
        run_until(loop, lambda: self.client.opens and self.listener.protocols)
        self.server = self.listener.protocols[0]

    def end(self) -> None:
        """Wait for the end of everything."""
        self.listener.close()
        run_until(self.loop, lambda: not self.loop.connections and not self.loop.loop.lingering)
        assert self.client.closes == self.client.opens
        for each in (self.client, self.server):
            ask_everything(each)


def ask_everything(protocol: Client) -> None:
    """What may be asked of a protocol object after its end is there, and makes no cycle."""
    assert protocol.state == 3
    assert protocol.url
    assert protocol.sock is None
    assert protocol.ending is not None
    assert protocol.stats.activity == "ended"
    assert protocol.buffered_amount == 0
    protocol.close()
    protocol.abort()
    protocol.pause_reading()
    protocol.resume_reading()
    for method in (protocol.send, protocol.ping):
        with pytest.raises(Exception, match=r"already closed"):
            method(b"x")
    with pytest.raises(Exception, match=r"ended for good|cannot be opened again"):
        protocol.reconnect()


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def client_closes(pair: Pair) -> None:
    pair.client.close()


def server_closes(pair: Pair) -> None:
    pair.server.close()


def client_aborts(pair: Pair) -> None:
    pair.client.abort()


def server_resets(pair: Pair) -> None:
    pair.server.sock.setsockopt(*RESETS)
    pair.server.abort()


def from_a_thread(pair: Pair) -> None:
    in_thread(lambda: (pair.client.send("x"), pair.client.close()))


def after_messages(pair: Pair) -> None:
    for size in (0, 10, 200, 70_000):
        pair.client.send("x" * size)
        pair.server.send(b"x" * size)
        pair.client.send_fragments(["x" * size, "y"])
        pair.client.ping()
    run_until(pair.loop, lambda: pair.server.messages == 8 and pair.client.messages == 4)
    pair.client.close()


def after_a_call_on_a_thread(pair: Pair) -> None:
    results: list[Any] = []
    pair.client.run_in_thread(len, "abc", then=lambda *answer: results.append(answer))
    pair.client.run_in_thread(int, "abc", then=lambda *answer: results.append(answer[0]))
    run_until(pair.loop, lambda: len(results) == 2)
    pair.client.close()


def opened_again(pair: Pair) -> None:
    pair.server.close()
    run_until(pair.loop, lambda: pair.client.closes)
    assert pair.client.state == 3
    pair.client.reconnect()
    run_until(pair.loop, lambda: pair.client.opens == 2)
    pair.client.close()


def reconnected(pair: Pair) -> None:
    pair.client.reconnect()
    run_until(pair.loop, lambda: pair.client.opens == 2)
    pair.client.close()


ENDS = [
    *(client_closes, server_closes, client_aborts, server_resets, from_a_thread, after_messages),
    *(after_a_call_on_a_thread, opened_again, reconnected),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_connection(
    loop: Reactor, authority: Authority, end: Callable[[Pair], None], tls: bool
) -> None:
    def play() -> None:
        pair = Pair(loop, authority if tls else None)
        end(pair)
        pair.end()

    play()  # what is made only once
    with no_cycles():
        play()


def test_options_that_have_objects_of_their_own(loop: Reactor) -> None:
    def play() -> None:
        pair = Pair(loop, on_overflow="pause", idle_timeout=60, compression="deflate")
        pair.server.send("x" * 10_000)
        run_until(loop, lambda: pair.client.messages)
        pair.client.close()
        pair.end()

    play()
    with no_cycles():
        play()


def test_a_connection_in_memory(loop: Reactor) -> None:
    def play() -> None:
        with MemoryServer(loop, Client) as server:
            client = server.connect(Client)
            client.close()
            run_until(loop, lambda: client.closes and not loop.loop.lingering)

    play()
    with no_cycles():
        play()


def play_attempt(loop: Reactor, url: Any, **options: Any) -> None:
    """Have an attempt fail, and perhaps further ones."""
    clients = [loop.connect(url, Client, **{"proxy": None, **options})]
    run_until(loop, lambda: all(each.closes >= 3 or is_final(each) for each in clients))
    clients[0].close()
    run_until(loop, lambda: not loop.connections)
    assert clients[0].ending is not None
    assert clients[0].ending.error is not None
    assert clients[0].opens == 0
    clients.clear()  # the frames of a test are among those of an exception, too


def is_final(protocol: Client) -> bool:
    return protocol.ending is not None and protocol.ending.final


@pytest.mark.parametrize("reconnect", [None, Backoff(0.001)], ids=["once", "again"])
def test_a_refused_dial(loop: Reactor, reconnect: Backoff | None) -> None:
    url = f"ws://127.0.0.1:{refused_port()}/"
    play_attempt(loop, url)
    with no_cycles():
        play_attempt(loop, url, reconnect=reconnect)


def fail(*_: object) -> Any:
    raise ValueError("a function of the user")


def test_a_function_of_the_user_that_raises(loop: Reactor) -> None:
    url = f"ws://127.0.0.1:{refused_port()}/"
    play_attempt(loop, fail)
    with no_cycles():
        play_attempt(loop, fail)
        play_attempt(loop, url, header=fail)
        play_attempt(loop, fail, reconnect=Backoff(0.001))


def test_an_answer_that_does_not_come(loop: Reactor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"ws://127.0.0.1:{mute.getsockname()[1]}/"
        play_attempt(loop, url, connect_timeout=0.001)
        with no_cycles():
            play_attempt(loop, url, connect_timeout=0.001)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_refused_upgrade(loop: Reactor, scheme: str) -> None:
    def refuse(*_: object) -> HTTPResponse:
        return HTTPResponse(403, "no")

    def play() -> None:
        listener = loop.listen("127.0.0.1", 0, Client, process_request=refuse)
        play_attempt(loop, f"{scheme}://127.0.0.1:{listener.port}/")
        run_until(loop, lambda: not listener._held)
        listener.close()

    play()
    with no_cycles():
        play()


def test_certificates_that_are_not_trusted(loop: Reactor, authority: Authority) -> None:
    def play() -> None:
        listener = loop.listen("127.0.0.1", 0, Client, ssl=authority.server_context)
        play_attempt(loop, f"wss://127.0.0.1:{listener.port}/")
        run_until(loop, lambda: not listener._held)
        listener.close()

    play()
    with no_cycles():
        play()


def test_a_request_that_is_none(loop: Reactor) -> None:
    def play() -> None:
        listener = loop.listen("127.0.0.1", 0, Client)
        with socket.create_connection(listener.address) as client:
            client.sendall(b"NONSENSE\r\n\r\n")
            run_until(loop, lambda: listener._held)
            run_until(loop, lambda: not listener._held)
        listener.close()

    play()
    with no_cycles():
        play()


def test_a_coroutine_that_judges_a_request_and_raises(loop: Reactor) -> None:
    async def judge(*_: Any) -> None:
        await loop.run_in_thread(int, "x")

    def play() -> None:
        listener = loop.listen("127.0.0.1", 0, Client, process_request=judge)
        play_attempt(loop, f"ws://127.0.0.1:{listener.port}/")
        run_until(loop, lambda: not listener._held)
        listener.close()

    play()
    with no_cycles():
        play()


@pytest.mark.parametrize("client_leaves", [False, True])
def test_a_coroutine_that_asyncio_runs_for_a_request(client_leaves: bool) -> None:
    async def main() -> None:
        begun, closed = asyncio.Event(), asyncio.Event()

        async def judge(*_: Any) -> None:
            begun.set()
            await asyncio.sleep(60 if client_leaves else 0)
            raise ValueError

        class Told(Client):
            def on_close(self, code: int, reason: str) -> None:
                closed.set()

        async def play(host: Any, port: int) -> None:
            begun.clear()
            closed.clear()
            client = host.connect(f"ws://127.0.0.1:{port}/", Told, proxy=None)
            await begun.wait()
            if client_leaves:
                client.abort()
            await closed.wait()
            del client
            while listener._held:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.001)
            for _ in range(5):
                await asyncio.sleep(0)

        async with asyncio_host() as host:
            listener = host.listen("127.0.0.1", 0, Client, process_request=judge)
            await play(host, listener.port)
            with no_cycles():
                await play(host, listener.port)

    asyncio.run(main())


@pytest.mark.parametrize(
    "last", [GOODBYE, FAULT, text("x") + FAULT, b""], ids=["close", "fault", "message", "end"]
)
def test_the_last_of_a_peer(scene: Scene, last: bytes) -> None:
    def play() -> None:
        actor = Actor()
        peer = scene.open(actor)
        peer.send(last)
        peer.end()
        scene.turn(count=3)
        assert actor.state == 3
        peer.close()
        scene.turn(count=2)
        scene.attempts.clear()
        scene._peers.clear()

    play()
    with no_cycles():
        play()


@pytest.mark.parametrize("raises", [False, True], ids=["quiet", "raises"])
@pytest.mark.parametrize("seconds", [5.0, 20.0], ids=["pinged", "dead"])
def test_time(scene: Scene, seconds: float, raises: bool) -> None:
    def play() -> None:
        actor = Actor(close=fail) if raises else Actor()
        peer = scene.open(actor, ping_interval=5.0, ping_timeout=4.0)
        scene.turn(seconds)
        actor.close()
        scene.turn(30.0, count=3)
        assert actor.state == 3
        peer.close()
        scene.turn(count=2)
        scene.attempts.clear()
        scene._peers.clear()

    play()
    with no_cycles():
        play()


def test_ends_while_it_waits_or_connects(scene: Scene) -> None:
    def play() -> None:
        waiting = scene.connect(Client(), reconnect=Backoff())
        scene.fail(WebSocketConnectException(0, "gone"))
        assert waiting.closes == 1
        waiting.close()
        connecting = scene.connect(Client())
        connecting.close()
        scene.turn()
        asked = scene.connect(Client())
        asked.reconnect()
        scene.turn()
        asked.abort()
        scene.turn(count=2)
        assert not scene.loop.connections
        assert connecting.closes == 1
        scene.attempts.clear()

    play()
    with no_cycles():
        play()


def test_many_that_are_open_when_the_loop_is_closed() -> None:
    with no_cycles():
        loop = Reactor()  # is kept: it has cycles itself, but there is one of it
        clients = [Pair(loop).client for _ in range(5)]
        assert len(loop.connections) == 10
        loop.close()
        assert all(client.closes for client in clients)
        clients.clear()
