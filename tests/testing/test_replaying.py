"""A recording is said again to a client: the same each time, and in no time."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from reactor import Backoff, Reactor, WebSocketProtocol
from reactor.exceptions import WebSocketProtocolException, WebSocketRecordingException
from reactor.feeds import Feed, Subscribed, TopicState, Update
from reactor.loop.poller import wait_for
from reactor.monitor import record
from reactor.testing import ManualReactor, Recorder, connect_pair, replay, replaying

from ..support.clients import RawClient
from ..support.driving import run_until
from ..support.peers import Serve, Talk
from ..support.websocket_frames import CLOSE, CONT, PING, TEXT, build_frame, close_payload

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.pcapng"


def record_script(
    loop: Reactor, serve: Serve, path: Path, script: Callable[[Talk], Any], **options: Any
) -> Recorder:
    """Record what a client hears of a script; return the client."""
    client = Recorder()
    with record(client, path):
        loop.connect(serve(script).url, client, **options)
        run_until(loop, lambda: client.closes)
        run_until(loop, lambda: not loop.loop.lingering)
    return client


def chatty(talk: Talk) -> None:
    talk.upgrade("X-Of: the recording")
    talk.send(build_frame(TEXT, b"one"))
    talk.send(build_frame(TEXT, b"tw", fin=False) + build_frame(PING, b"?"))
    talk.send(build_frame(CONT, b"o"))
    talk.send(build_frame(CLOSE, close_payload(1012, b"later")))
    talk.end()


def test_a_client_hears_what_was_recorded(loop: Reactor, serve: Serve, path: Path) -> None:
    client = record_script(loop, serve, path, chatty)
    again = replay(path, Recorder)
    assert again.events == client.events
    assert again.messages == ["one", "two"]
    assert again.closes == [(1012, "later")]


def test_it_is_given_an_object_or_a_function_and_the_recorded_url(
    loop: Reactor, serve: Serve, path: Path
) -> None:
    client = record_script(loop, serve, path, chatty)
    mine = Recorder()
    assert replay(path, mine) is mine
    assert mine.url == f"{client.url}/"
    assert replay(path, lambda: mine, url="wss://other.example/") is mine
    assert mine.url == "wss://other.example/"
    assert mine.response is not None
    assert mine.response.headers["X-Of"] == "the recording"


def test_a_fault_of_the_server_is_a_test_in_one_line(
    loop: Reactor, serve: Serve, path: Path
) -> None:
    def faulty(talk: Talk) -> None:
        talk.upgrade()
        talk.send(build_frame(TEXT, b"x", rsv=4))
        talk.until_closed()

    record_script(loop, serve, path, faulty)
    assert isinstance(replay(path, Recorder).errors[0], WebSocketProtocolException)


def test_compression_is_that_of_the_recording(loop: Reactor, path: Path) -> None:
    class Server(WebSocketProtocol):
        def on_open(self) -> None:
            self.send("a" * 1000)
            self.send("a" * 1000)
            self.close()

    listener = loop.listen("127.0.0.1", 0, Server, compression="deflate", subprotocols=["p"])
    client = Recorder()
    with record(client, path):
        loop.connect(
            f"ws://127.0.0.1:{listener.port}/", client, compression="deflate", subprotocols=["p"]
        )
        run_until(loop, lambda: client.closes)
    assert replay(path, Recorder).messages == ["a" * 1000] * 2


def test_the_clock_shows_the_times_of_the_recording(
    loop: Reactor, serve: Serve, path: Path
) -> None:
    def slow(talk: Talk) -> None:
        talk.upgrade()
        for number in range(3):
            talk.pause(0.05)
            talk.send(build_frame(TEXT, b"%d" % number))
        talk.send(build_frame(CLOSE, close_payload(1000)))
        talk.end()

    record_script(loop, serve, path, slow)

    class Timed(WebSocketProtocol):
        def __init__(self) -> None:
            self.times: list[float] = []
            self.ticks = 0

        def on_open(self) -> None:
            self.times.append(self.loop.time())
            self.loop.call_every(0.01, self.tick)

        def tick(self) -> None:
            self.ticks += 1

        def on_message(self, message: str | bytes) -> None:
            self.times.append(self.loop.time())

    first, second = replay(path, Timed), replay(path, Timed)
    assert first.times == second.times
    waits = [after - before for before, after in zip(first.times, first.times[1:], strict=False)]
    assert all(wait >= 0.04 for wait in waits)  # at least so long the script has paused
    assert first.ticks == second.ticks >= 15


def test_who_connects_again_finds_the_next_connection(
    loop: Reactor, serve: Serve, path: Path
) -> None:
    def lost(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"lost"))
        talk.end()

    client = Recorder()
    with record(client, path):
        loop.connect(serve(lost, chatty).url, client, reconnect=0.01)
        run_until(loop, lambda: len(client.closes) == 2)
        client.close()
        run_until(loop, lambda: not loop.connections and not loop.loop.lingering)
    again = replay(path, Recorder, reconnect=Backoff())
    assert again.messages == ["lost", "one", "two"]
    assert again.names.count("reconnect") == 1


def test_who_does_not_connect_again_hears_the_first_connection_only(
    loop: Reactor, serve: Serve, path: Path
) -> None:
    def lost(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"lost"))
        talk.end()

    client = Recorder()
    with record(client, path):
        loop.connect(serve(lost, chatty).url, client, reconnect=0.01)
        run_until(loop, lambda: len(client.closes) == 2)
        client.close()
        run_until(loop, lambda: not loop.connections and not loop.loop.lingering)
    assert replay(path, Recorder).messages == ["lost"]
    late = Backoff(first=7200.0, cap=7200.0, jitter=False)  # longer than a replay waits
    assert replay(path, Recorder, reconnect=late).messages == ["lost"]


class Hearing(Recorder):
    """Tells the server of each message that it has heard, so that each is a piece of its own."""

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.send("heard")


@pytest.fixture
def talkative(loop: Reactor, serve: Serve, path: Path) -> Path:
    """A recording of five messages, with some milliseconds between them."""

    def script(talk: Talk) -> None:
        talk.upgrade()
        for number in range(5):
            talk.pause(0.003)
            talk.send(build_frame(TEXT, b"%d" % number))
            talk.frame()
        talk.send(build_frame(CLOSE, close_payload(1000)))
        talk.end()

    client = Hearing()
    with record(client, path):
        loop.connect(serve(script).url, client)
        run_until(loop, lambda: client.closes)
        run_until(loop, lambda: not loop.loop.lingering)
    return path


@pytest.mark.parametrize("way", ["close", "abort"])
@pytest.mark.parametrize("ticking", [False, True])
def test_who_leaves_early_does_not_hear_the_rest(talkative: Path, way: str, ticking: bool) -> None:
    class Leaving(Hearing):
        def on_open(self) -> None:
            super().on_open()
            if ticking:
                self.loop.call_every(0.001, int)

        def on_message(self, message: str | bytes) -> None:
            super().on_message(message)
            getattr(self, way)()

    assert replay(talkative, Hearing).messages == ["0", "1", "2", "3", "4"]
    left = replay(talkative, Leaving)
    assert left.messages == ["0"]
    assert len(left.closes) == 1


def test_who_connects_beside_it_finds_no_recorded_connection(talkative: Path) -> None:
    class WithAnother(Hearing):
        def on_open(self) -> None:
            super().on_open()
            self.other = self.loop.connect("ws://elsewhere.example/", Recorder)

    heard = replay(talkative, WithAnother)
    assert heard.messages == ["0", "1", "2", "3", "4"]
    assert "the recording has no further connection" in str(heard.other.errors[0])


def test_more_clients_than_recorded_connections_find_none(talkative: Path) -> None:
    with ManualReactor() as mine:
        others = [mine.connect("ws://elsewhere.example/", Recorder) for _ in range(2)]
        heard = replay(talkative, Hearing, loop=mine)
    clients = [heard, *others]
    assert sorted(len(client.messages) for client in clients) == [0, 0, 5]
    assert sorted("open" in client.names for client in clients) == [False, False, True]


def test_a_client_may_leave_without_having_read_what_was_said(talkative: Path) -> None:
    class Impatient(Recorder):
        def on_open(self) -> None:
            super().on_open()
            self.pause_reading()
            self.loop.call_every(0.001, self.look)

        def look(self) -> None:
            sock = self.sock
            if sock is not None and wait_for([sock.fileno()], [], 0):
                self.abort()

    left = replay(talkative, Impatient)
    assert left.messages == []
    assert left.closes == [(1006, "")]


def test_a_client_that_does_not_read_holds_up_nothing(
    loop: Reactor, serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "MOST_TURNS", 3)
    large = "x" * 3_000_000  # more than a socket holds

    def script(talk: Talk) -> None:
        talk.upgrade()
        talk.send(build_frame(TEXT, large.encode()) + build_frame(CLOSE, close_payload(1000)))
        talk.end()

    class Pausing(Recorder):
        def on_open(self) -> None:
            super().on_open()
            self.pause_reading()
            self.loop.call_later(3600.0, self.resume_reading)

    record_script(loop, serve, path, script)
    assert replay(path, Recorder).messages == [large]
    with ManualReactor() as mine:
        heard = replay(path, Pausing, loop=mine, ping_interval=None)
        assert heard.names == ["open"]
        mine.advance(3600)
    assert heard.messages == []  # it has not heard the end of the message
    assert len(heard.closes) == 1


def test_other_connections_of_the_loop_go_on(loop: Reactor, serve: Serve, path: Path) -> None:
    record_script(loop, serve, path, chatty)
    with ManualReactor() as mine:
        client, server = connect_pair(mine, Recorder, Recorder)
        assert replay(path, Recorder, loop=mine).messages == ["one", "two"]
        client.send("still there")
        mine.settle()
        assert server.messages == ["still there"]


def test_a_connection_that_is_open_in_the_end_is_closed(
    loop: Reactor, path: Path, raw_client: Callable[..., RawClient]
) -> None:
    listener = loop.listen("127.0.0.1", 0, Recorder)
    client = Recorder()
    with record(client, path):
        loop.connect(f"ws://127.0.0.1:{listener.port}/", client)
        run_until(loop, lambda: listener.protocols)
        listener.protocols[0].send("hi")
        run_until(loop, lambda: client.messages)
    assert replay(path, Recorder).closes == [(1006, "")]
    with ManualReactor() as mine:
        again = replay(path, Recorder, loop=mine)
        assert again.messages == ["hi"]
        assert again.closes == []


class Quotes(Feed):
    """Its topics are confirmed, and then have updates with numbers."""

    topics_per_link = 2
    topics_per_message = 1

    def subscribe_message(self, topics: list[Any], link: Any) -> str:
        return str(topics[0])

    def parse(self, message: str | bytes, link: Any) -> Any:
        kind, topic, *number = str(message).split()
        if kind == "ack":
            return Subscribed([topic])
        return Update(topic, message, sequence=int(number[0]))

    def on_gap(self, topic: Any, gap: Any) -> None:
        self.gaps = [*getattr(self, "gaps", []), (topic, gap.reason)]


class Service(WebSocketProtocol):
    """Leaves out a number."""

    def on_message(self, message: str | bytes) -> None:
        self.send(f"ack {message!s}")
        for number in (1, 2, 4):
            self.send(f"update {message!s} {number}")


@pytest.fixture
def recorded_feed(loop: Reactor, path: Path) -> Path:
    """A recording of a Feed with three topics on two links."""
    listener = loop.listen("127.0.0.1", 0, Service)
    feed = Quotes(loop, f"ws://127.0.0.1:{listener.port}/")
    updates: list[Any] = []
    with record(feed, path):
        feed.subscribe_many(["a", "b", "c"], updates.append)
        run_until(loop, lambda: len(updates) == 9)
    feed.close()
    run_until(loop, lambda: not loop.connections and not loop.loop.lingering)
    return path


def test_a_class_of_feeds_is_subscribed_to_the_recorded_topics(recorded_feed: Path) -> None:
    feed = replay(recorded_feed, Quotes)
    assert isinstance(feed, Quotes)
    assert sorted(feed.topics()) == ["a", "b", "c"]
    assert sorted(feed.gaps) == [("a", "sequence"), ("b", "sequence"), ("c", "sequence")]


def test_a_feed_that_was_made_before(recorded_feed: Path) -> None:
    with ManualReactor() as loop:
        feed = Quotes(loop, "wss://exchange.example/")
        updates: list[Any] = []
        feed.subscribe_many(["a", "b", "c"], updates.append)
        assert replay(recorded_feed, feed) is feed
        assert len(updates) == 9
        assert feed.state("a") is TopicState.LIVE


def test_a_feed_on_real_time_is_refused(recorded_feed: Path, loop: Reactor) -> None:
    feed = Quotes(loop, "ws://exchange.example/")
    with pytest.raises(TypeError, match="needs a ManualReactor"):
        replay(recorded_feed, feed)
    wrong: Any = 5
    with pytest.raises(TypeError, match="takes a WebSocketProtocol or a Feed"):
        replay(recorded_feed, wrong)


class Bouncer(WebSocketProtocol):
    """Confirms a login, then each topic, and has updates of topics only."""

    def on_message(self, message: str | bytes) -> None:
        if message == "login":
            self.send("ok login")
            return
        self.send(f"ack {message!s}")
        for number in (1, 2, 3):
            self.send(f"update {message!s} {number}")


def test_a_login_that_awaits_a_helper_thread_is_over_before_its_answer(
    loop: Reactor, path: Path
) -> None:
    class WithToken(Quotes):
        async def login(self, link: Any) -> None:
            await self.loop.run_in_thread(threading.Event().wait, 0.05)  # a thread that blocks
            await link.request("login", match=lambda message: message == "ok login")

    listener = loop.listen("127.0.0.1", 0, Bouncer)
    feed = WithToken(loop, f"ws://127.0.0.1:{listener.port}/")
    updates: list[Any] = []
    with record(feed, path):
        feed.subscribe("a", updates.append)
        run_until(loop, lambda: len(updates) == 3)
    feed.close()
    run_until(loop, lambda: not loop.connections and not loop.loop.lingering)
    stats = replay(path, WithToken).stats()
    assert (stats.updates, stats.unwanted, stats.ignored) == (3, 0, 0)


class Slow(WebSocketProtocol):
    """The first connection has its login confirmed at once; or, *late*, after the second one."""

    late = False
    waiting: ClassVar[list[WebSocketProtocol]] = []

    def on_message(self, message: str | bytes) -> None:
        if message != "login":
            self.send(f"ack {message!s}")
            self.send(f"update {message!s} 1")
            return
        self.waiting.append(self)
        if len(self.waiting) == 2:
            for each in self.waiting[:: -1 if self.late else 1]:
                each.send("ok login")
            self.waiting.clear()


@pytest.mark.parametrize("late", [False, True])
def test_links_that_log_in_have_their_topics_where_they_had_them(
    loop: Reactor, path: Path, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LogsIn(Quotes):
        topics_per_link = 1

        async def login(self, link: Any) -> None:
            await link.request("login", match=lambda message: message == "ok login")

    monkeypatch.setattr(Slow, "late", late)
    listener = loop.listen("127.0.0.1", 0, Slow)
    feed = LogsIn(loop, f"ws://127.0.0.1:{listener.port}/")
    updates: list[Any] = []
    with record(feed, path):
        feed.subscribe_many(["a", "b"], updates.append)
        run_until(loop, lambda: len(updates) == 2)
    feed.close()
    run_until(loop, lambda: not loop.connections and not loop.loop.lingering)
    stats = replay(path, LogsIn).stats()
    assert (stats.updates, stats.unwanted, stats.ignored) == (2, 0, 0)


def test_a_connection_opens_as_long_after_another_as_in_the_recording(
    loop: Reactor, serve: Serve, path: Path
) -> None:
    def late(talk: Talk) -> None:
        talk.upgrade()
        talk.send(build_frame(TEXT, b"late"))
        talk.until_closed()

    def early(talk: Talk) -> None:
        talk.upgrade()
        talk.until_closed()

    peer = serve(early, late)
    clients = [Recorder(), Recorder()]
    with record(loop, path):
        loop.connect(peer.url, clients[0])
        run_until(loop, lambda: clients[0].names)
        passed = threading.Event()
        loop.call_later(0.05, passed.set)
        run_until(loop, passed.is_set)
        loop.connect(peer.url, clients[1])
        run_until(loop, lambda: clients[1].messages)

    class Timed(Recorder):
        opened = 0.0

        def on_open(self) -> None:
            super().on_open()
            self.opened = self.loop.time()

    with ManualReactor(start=0.0) as mine:
        first, second = Timed(), Timed()
        mine.connect("ws://elsewhere.example/", second, connect_timeout=None)
        replay(path, first, loop=mine)
    assert abs(second.opened - first.opened) >= 0.05
    assert sorted([first.messages, second.messages]) == [[], ["late"]]


def test_the_results_of_helper_threads_are_there_before_the_next_message(talkative: Path) -> None:
    class Thinking(Hearing):
        def on_message(self, message: str | bytes) -> None:
            super().on_message(message)
            self.run_in_thread(
                threading.Event().wait, 0.002, then=lambda _, __: self.events.append(("thought",))
            )

    names = replay(talkative, Thinking).names
    assert names == ["open", *["message", "thought"] * 5, "close"]


def test_a_recording_in_gzip(loop: Reactor, serve: Serve, path: Path, tmp_path: Path) -> None:
    record_script(loop, serve, path, chatty)
    packed = tmp_path / "feed.pcapng.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert replay(packed, Recorder).messages == ["one", "two"]
    packed.write_bytes(gzip.compress(path.read_bytes())[:-20])
    with pytest.raises(WebSocketRecordingException, match="offset"):
        replay(packed, Recorder)


def test_a_million_messages_take_a_minute_at_most(loop: Reactor, path: Path) -> None:
    """In CPU time, of which a busy machine gives less per second, and with margin."""
    count = 20_000

    class Server(WebSocketProtocol):
        def on_open(self) -> None:
            for number in range(count):
                self.send(f'{{"number": {number}, "price": 1.5, "symbol": "BTCUSDT"}}')
            self.close()

    class Counts(WebSocketProtocol):
        messages = 0

        def on_message(self, message: str | bytes) -> None:
            self.messages += 1

    listener = loop.listen("127.0.0.1", 0, Server)
    client = Recorder()
    with record(client, path):
        loop.connect(f"ws://127.0.0.1:{listener.port}/", client)
        run_until(loop, lambda: client.closes)
    began = time.process_time()
    counts = replay(path, Counts)
    assert counts.messages == count
    assert time.process_time() - began < 60 * count / 1_000_000
