"""Two protocol objects that are connected within the process."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from reactor import (
    Accept,
    Backoff,
    HTTPResponse,
    Reactor,
    State,
    WebSocketProtocol,
    broadcast,
    tasks,
)
from reactor.feeds import Feed, Link, Update
from reactor.tasks import sleep
from reactor.testing import ManualReactor, MemoryServer, Recorder, connect_pair, in_thread
from reactor.testing import pair as pair_module


@pytest.fixture
def loop() -> Iterator[ManualReactor]:
    with ManualReactor() as manual:
        yield manual


class Echo(Recorder):
    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.send(message)


def test_both_are_open_and_no_time_has_passed(loop: ManualReactor) -> None:
    client, server = connect_pair(loop, Recorder, Recorder, url="ws://any.test/path?a=1")
    assert (client.names, server.names) == (["open"], ["open"])
    assert (client.state, server.state) == (State.OPEN, State.OPEN)
    assert server.request.target == "/path?a=1"
    assert loop.time() == 1000.0


def test_messages_go_both_ways(loop: ManualReactor) -> None:
    client, server = connect_pair(loop, Recorder, Echo)
    client.send("text")
    client.send(bytes(1_000_000))
    loop.settle()
    assert server.messages == client.messages == ["text", bytes(1_000_000)]
    server.close(4000, "that was all")
    loop.settle()
    assert client.closes == server.closes == [(4000, "that was all")]


def test_an_object_may_be_given_for_the_client(loop: ManualReactor) -> None:
    mine = Recorder()
    assert connect_pair(loop, mine).client is mine


def test_options_of_both_sides_are_those_of_connect_and_listen(loop: ManualReactor) -> None:
    client, server = connect_pair(
        loop,
        Recorder,
        Recorder,
        client_options={"subprotocols": ["a", "b"], "compression": "deflate"},
        server_options={"subprotocols": ["b"], "compression": "deflate"},
    )
    assert client.subprotocol == server.subprotocol == "b"
    assert client.compression is not None


def test_a_pair_that_cannot_be_connected_is_an_error_with_its_cause(loop: ManualReactor) -> None:
    refuse = {"process_request": lambda _request, _sock: HTTPResponse(403)}
    with pytest.raises(ConnectionError, match="403") as caught:
        connect_pair(loop, Recorder, server_options=refuse)
    assert "403" in str(caught.value.__cause__)


def _fails() -> WebSocketProtocol:
    raise ValueError("on purpose")


@pytest.mark.parametrize("options", [{}, {"process_request": lambda *_: Accept(lambda: 3)}])
def test_a_server_without_a_protocol_object_is_an_error_that_points_to_the_log(
    loop: ManualReactor, options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConnectionError, match=r"closed with 1011 .*log has the traceback"):
        connect_pair(loop, Recorder, _fails, server_options=options)
    assert [record.exc_info is not None for record in caplog.records] == [True]


@pytest.mark.parametrize("chosen", [Echo, Echo(), lambda: Echo()])
def test_what_process_request_chooses_is_the_servers_side(loop: ManualReactor, chosen: Any) -> None:
    options: Any = {"process_request": lambda _request, _sock: Accept(chosen)}
    client, server = connect_pair(loop, Recorder, Recorder, server_options=options)
    assert isinstance(server, Echo)
    client.send("a")
    loop.settle()
    assert client.messages == ["a"]


def test_all_protocol_objects_of_a_server_are_listed(loop: ManualReactor) -> None:
    choices = iter([Accept(Echo), None])
    with MemoryServer(
        loop, Recorder, process_request=lambda _request, _sock: next(choices)
    ) as server:
        server.connect(Recorder).close()
        server.connect(Recorder)
        assert [type(each) for each in server.protocols] == [Echo, Recorder]


def test_all_clients_of_a_server_have_one_address(loop: ManualReactor) -> None:
    with MemoryServer(loop, Recorder, max_connections_per_address=2) as server:
        first, second, third = (server.connect(Recorder) for _ in range(3))
        assert (first.state, second.state) == (State.OPEN, State.OPEN)
        assert "429" in str(third.errors[0])
        first.close()
        loop.settle()
        assert server.connect(Recorder).state is State.OPEN


def test_a_process_request_may_await_a_helper_thread(loop: ManualReactor) -> None:
    async def process_request(_request: Any, _sock: Any) -> None:
        await tasks.in_thread(threading.Event().wait, 0.02)  # a thread that blocks

    with MemoryServer(loop, Recorder, process_request=process_request) as server:
        assert server.connect(Recorder).names == ["open"]
    options: Any = {"process_request": process_request}
    client, _ = connect_pair(loop, Recorder, Recorder, server_options=options)
    assert client.names == ["open"]


class Quotes(Feed):
    def subscribe_message(self, topics: list[Any], link: Link) -> list[str]:
        return [str(topic) for topic in topics]

    def parse(self, message: str | bytes, link: Link) -> Update:
        return Update(message, "echo")


def test_a_feed_connects_to_its_path(loop: ManualReactor) -> None:
    with MemoryServer(loop, Echo) as server:
        feed = Quotes(loop, "ws://exchange.example/", unix_path=server.unix_path)
        updates: list[Update] = []
        feed.subscribe_many(["a", "b"], updates.append)
        loop.settle()
        assert [update.topic for update in updates] == ["a", "b"]
        assert server.protocols[0].messages == ["a", "b"]


def test_its_clients_have_the_empty_address(loop: ManualReactor) -> None:
    seen: list[Any] = []

    def process_request(_request: Any, sock: Any) -> None:
        seen.append(sock.getpeername())

    with MemoryServer(loop, Recorder, process_request=process_request) as server:
        server.connect(Recorder)
    assert seen == [""]


def test_a_server_takes_so_many_connections(loop: ManualReactor) -> None:
    with MemoryServer(loop, Recorder, max_connections=1) as server:
        first, second = server.connect(Recorder), server.connect(Recorder)
        assert (first.state, second.state) == (State.OPEN, State.CONNECTING)
        first.close()
        loop.settle()
        assert second.state is State.OPEN


def test_pings_and_their_absence_are_a_matter_of_advance(loop: ManualReactor) -> None:
    options = {"ping_interval": 20.0, "ping_timeout": 10.0}
    quiet = {"ping_interval": None}
    client, server = connect_pair(
        loop, Recorder, Recorder, client_options=options, server_options=quiet
    )
    loop.advance(20.0)
    assert "ping" in server.names
    server.pause_reading()
    loop.advance(60.0)
    assert client.closes[0][0] == 1006


def test_a_thread_may_send(loop: ManualReactor) -> None:
    client, server = connect_pair(loop, Recorder, Recorder)
    in_thread(lambda: client.send("from a thread"))
    loop.settle()
    assert server.messages == ["from a thread"]


def test_what_another_thread_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        in_thread(lambda: 1 / 0)
    assert in_thread(threading.get_ident) != threading.get_ident()


def test_a_server_of_many_can_broadcast(loop: ManualReactor) -> None:
    with MemoryServer(loop, Recorder) as server:
        clients = [server.connect(Recorder) for _ in range(3)]
        broadcast(server.protocols, "to all")
        loop.settle()
        assert [client.messages for client in clients] == [["to all"]] * 3
        in_thread(lambda: broadcast(server.protocols, "and again"))
        loop.settle()
        assert [client.messages[1:] for client in clients] == [["and again"]] * 3


def test_a_client_reconnects_when_its_wait_is_over(loop: ManualReactor) -> None:
    policy = Backoff(first=5.0, jitter=False)
    with MemoryServer(loop, Recorder) as server:
        client = server.connect(Recorder, reconnect=policy)
        server.protocols[0].abort()
        loop.advance(4.9)
        assert client.names == ["open", "error", "close"]
        loop.advance(0.2)
        assert client.names[-1] == "reconnect"
        assert len(server.protocols) == 2


def test_a_server_that_is_closed_refuses(loop: ManualReactor) -> None:
    server = MemoryServer(loop, Recorder)
    server.close()
    client = server.connect(Recorder)
    assert client.closes[0][0] == 1006


def test_it_works_on_a_reactor_with_real_time() -> None:
    with Reactor() as loop:
        client, server = connect_pair(loop, Recorder, Echo)
        assert (client.state, server.state) == (State.OPEN, State.OPEN)


def test_a_plain_protocol_object_serves_as_the_other_end(loop: ManualReactor) -> None:
    client, server = connect_pair(loop, Recorder)
    assert type(server) is WebSocketProtocol
    server.send("hello")
    loop.settle()
    assert client.messages == ["hello"]


def test_where_names_are_paths_the_folder_is_removed(
    loop: ManualReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[str] = []

    class Watched(tempfile.TemporaryDirectory):  # type: ignore[type-arg]
        def __init__(self, **options: str) -> None:
            super().__init__(**options)
            folders.append(self.name)

    monkeypatch.setattr("reactor.testing.pair.sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr("reactor.testing.pair.tempfile.TemporaryDirectory", Watched)
    client = connect_pair(loop, Recorder, Echo).client
    client.send("x")
    loop.settle()
    assert client.messages == ["x"]
    assert [os.path.exists(folder) for folder in folders] == [False]


def test_a_server_that_takes_its_time_is_an_error(loop: ManualReactor) -> None:
    async def take_an_hour(_request: object, _sock: object) -> None:
        await sleep(3600)

    with pytest.raises(ConnectionError, match="the server has not answered"):
        connect_pair(loop, Recorder, server_options={"process_request": take_an_hour})


def test_a_function_that_does_not_end_on_its_thread_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pair_module, "PATIENCE", 0.0)
    end = threading.Event()
    with pytest.raises(AssertionError, match=r"did not end within 0\.0 s"):
        in_thread(end.wait)
    end.set()
