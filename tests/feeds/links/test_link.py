"""What a feed does with its links: pace, login, requests, heartbeat, silence, replacement."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from reactor import (
    Backoff,
    Reactor,
    WebSocketConnectionClosedException,
    WebSocketQueueFullException,
    WebSocketStateException,
    WebSocketTimeoutException,
)
from reactor.feeds import Heartbeat, Link, Pace, TopicState
from reactor.tasks import in_thread, sleep

from ..service import Connection, Recorder, Stage

NAMES = [f"T{number}" for number in range(20)]


def fails(*_: Any) -> Any:
    """The user's function that has a mistake."""
    raise RuntimeError("on purpose")


# -- the pace ------------------------------------------------------------------------------------


def test_no_window_has_more_messages_than_the_pace_allows(stage: Stage) -> None:
    feed = stage.feed(message_pace=Pace(3, per=1.0), topics_per_message=1)
    feed.subscribe_many(NAMES)
    took = stage.advance_until(lambda: "live" in feed.names())
    times = [when for when, _ in stage.service.connections[0].received]
    assert len(times) == 20
    assert all(later - first >= 0.95 for first, later in zip(times, times[3:], strict=False))
    assert took <= 6.0 * 1.1 + 1


def test_a_builder_may_return_several_messages_which_count_one_by_one(stage: Stage) -> None:
    class Split(Recorder):
        def subscribe_message(self, topics: Any, link: Link) -> Any:
            return [json.dumps({"op": "subscribe", "args": [topic]}) for topic in topics]

    feed = stage.feed(Split, message_pace=Pace(2, per=1.0), ack_timeout=2.0)
    feed.subscribe_many(["A", "B", "C", "D"])
    stage.until(lambda: len(stage.service.connections) == 1)
    stage.turns()
    assert len(stage.service.connections[0].received) == 2
    stage.advance(1.1)
    assert [said["args"] for _, said in stage.service.connections[0].received] == [
        ["A"],
        ["B"],
        ["C"],
        ["D"],
    ]
    assert feed.names()[-1] == "live"


def test_what_a_user_sends_counts_for_the_pace(stage: Stage) -> None:
    feed = stage.feed(message_pace=Pace(2, per=1.0))
    stage.live(feed, "A")
    link: Link = feed.links[0]
    for _ in range(3):
        link.send(json.dumps({"op": "hello"}))
    stage.turns()
    assert len(stage.service.connections[0].received) == 2
    stage.advance(2.0)
    assert len(stage.service.connections[0].received) == 4


def test_a_link_that_is_not_open_sends_nothing(stage: Stage) -> None:
    feed = stage.feed()
    feed.subscribe("A")
    link: Link = feed.links[0]
    assert link.age == 0.0
    with pytest.raises(WebSocketStateException, match="not open"):
        link.send("x")
    with pytest.raises(TypeError, match="str or bytes"):
        link.send(5)  # type: ignore[arg-type]


def test_a_link_says_what_it_is_without_the_secrets_of_its_url(stage: Stage) -> None:
    feed = stage.feed(url=f"{stage.service.url}?token=secret")
    feed.subscribe("A")
    link: Link = feed.links[0]
    assert repr(link) == f"<Link {stage.service.url}?... not open, 0 topics>"
    stage.until(lambda: "live" in feed.names())
    assert repr(link) == f"<Link {stage.service.url}?... open, 1 topics>"
    assert (link.feed, link.topics, link.updates) == (feed, ["A"], 0)
    feed.close()
    assert repr(link) == f"<Link {stage.service.url}?... over, 1 topics>"
    assert not link.is_open
    with pytest.raises(WebSocketStateException, match="over, 1 topics> is not open"):
        link.send("to nobody")


def test_a_link_that_could_not_be_connected_has_no_url() -> None:
    class Closed(Reactor):
        def connect(self, *args: Any, **options: Any) -> Any:
            raise RuntimeError("no more links")

    with Closed() as loop:
        feed = Recorder(loop, "ws://service.example/")
        feed.subscribe("A")
        assert repr(feed.links[0]) == "<Link ? not open, 0 topics>"
        feed.close()
        assert feed.links == []
        assert [str(error) for error in feed.of("error")] == ["no more links"]


def test_what_cannot_be_sent_is_told_and_the_link_is_opened_again(stage: Stage) -> None:
    feed = stage.feed(options={"write_limit": 1000})
    stage.live(feed, "A")
    link: Link = feed.links[0]
    link.send("x" * (12 << 20))  # more than the kernel takes
    link.send("y")
    (error,) = feed.of("error")
    assert isinstance(error, WebSocketQueueFullException)
    stage.advance_until(lambda: feed.names().count("live") == 2)
    assert feed.of("link_close")[0][2] == "cannot send"


def test_a_feed_may_be_closed_when_something_could_not_be_sent(stage: Stage) -> None:
    class Curt(Recorder):
        def on_error(self, error: Exception) -> None:
            super().on_error(error)
            self.close()

    feed = stage.feed(Curt, options={"write_limit": 1000})
    stage.live(feed, "A")
    for text in ("x" * (12 << 20), "y"):
        feed.links[0].send(text)
    stage.until(lambda: not stage.service.connections)
    stage.turns()
    assert len(stage.service.attempts) == 1
    assert len(feed.of("error")) == 1


# -- builders ------------------------------------------------------------------------------------


def test_a_service_that_need_not_be_asked_has_topics_as_soon_as_a_link_is_open(
    stage: Stage,
) -> None:
    class Firehose(Recorder):
        def subscribe_message(self, topics: Any, link: Link) -> Any:
            return None

        def unsubscribe_message(self, topics: Any, link: Link) -> Any:
            return None

    feed = stage.feed(Firehose, ack_timeout=None)
    stage.live(feed, "A")
    feed.unsubscribe("A")
    stage.until(lambda: feed.state("A") is None)
    assert stage.service.connections[0].received == []


def test_a_builder_that_raises_asks_later(stage: Stage) -> None:
    class Raising(Recorder):
        faults = 2

        def subscribe_message(self, topics: Any, link: Link) -> Any:
            if self.faults:
                type(self).faults -= 1
                fails()
            return super().subscribe_message(topics, link)

    feed = stage.feed(Raising)
    feed.subscribe_many(["A", "B"])
    stage.advance_until(lambda: "live" in feed.names(), at_most=5)
    assert [str(error) for error in feed.of("error")] == ["on purpose"] * 2


@pytest.mark.parametrize("nonsense", [5, [5], {"a": 1}])
def test_a_builder_that_returns_nonsense_is_reported(stage: Stage, nonsense: Any) -> None:
    feed = stage.feed(
        type("Odd", (Recorder,), {"subscribe_message": lambda self, topics, link: nonsense})
    )
    feed.subscribe("A")
    stage.advance_until(lambda: feed.of("error"), at_most=5)
    assert isinstance(feed.of("error")[0], TypeError)


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_a_builder_passes_and_its_topics_are_asked_for_later(
    stage: Stage, end: type[BaseException]
) -> None:
    class Interrupted(Recorder):
        ends = True

        def subscribe_message(self, topics: Any, link: Link) -> Any:
            if self.ends:
                self.ends = False
                raise end
            return super().subscribe_message(topics, link)

    feed = stage.feed(Interrupted)
    feed.subscribe("A")
    with pytest.raises(end):
        stage.turns(1000)
    assert feed.of("error") == []
    stage.advance_until(lambda: "live" in feed.names())


def test_a_builder_may_close_the_feed(stage: Stage) -> None:
    class Closing(Recorder):
        def subscribe_message(self, topics: Any, link: Link) -> Any:
            self.close()
            return super().subscribe_message(topics, link)

    feed = stage.feed(Closing)
    feed.subscribe("A")
    stage.until(lambda: feed.of("link_close"))
    stage.turns()
    assert feed.of("error") == []
    assert stage.service.connections == []


# -- login and requests --------------------------------------------------------------------------


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_a_login_passes_and_the_link_logs_in_again(
    stage: Stage, end: type[BaseException]
) -> None:
    class Interrupted(Recorder):
        ends = True

        async def login(self, link: Link) -> None:
            if self.ends:
                self.ends = False
                raise end

    feed = stage.feed(Interrupted)
    feed.subscribe("A")
    with pytest.raises(end):
        stage.turns(1000)
    stage.advance_until(lambda: "live" in feed.names())
    assert feed.of("link_close")[0][2] == "login failed"


def test_a_feed_may_be_closed_before_a_login_begins(stage: Stage) -> None:
    class Closing(Recorder):
        def on_link_open(self, link: Link) -> None:
            super().on_link_open(link)
            self.close()

        async def login(self, link: Link) -> None:
            pytest.fail("there is nothing to log in for")

    feed = stage.feed(Closing)
    feed.subscribe("A")
    stage.until(lambda: feed.of("link_open") and not stage.service.connections)
    stage.turns()
    assert feed.of("error") == []


def test_what_a_request_is_given_is_checked(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    link: Link = feed.links[0]
    with pytest.raises(TypeError, match="match must be a function, not 'yes'"):
        link.request("x", match="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a message is str or bytes, not 5"):
        link.request(5, match=bool)  # type: ignore[arg-type]
    stage.service.connections[0].abort()
    stage.until(lambda: feed.of("link_close"))
    with pytest.raises(WebSocketStateException, match="is not open"):
        link.request("x", match=bool)


class Private(Recorder):
    """Logs in before anything is asked for."""

    async def login(self, link: Link) -> None:
        self.told.append(("login", link))
        reply = await link.request(
            json.dumps({"op": "login"}), match=lambda message: "logged" in str(message), timeout=5
        )
        self.told.append(("logged_in", json.loads(reply)["logged"]))


def answer_login(connection: Connection, said: Any) -> bool:
    if said["op"] != "login":
        return False
    connection.say(logged="in")
    return True


def test_login_runs_on_every_link_before_anything_is_asked_for(stage: Stage) -> None:
    stage.service.on_receive = answer_login
    feed = stage.feed(Private)
    stage.live(feed, "A")
    assert feed.names() == ["link_open", "login", "logged_in", "subscribed", "live"]
    stage.service.connections[0].abort()
    stage.advance_until(lambda: feed.names().count("live") == 2)
    assert feed.names().count("logged_in") == 2
    ops = [said["op"] for _, said in stage.service.connections[0].received]
    assert ops == ["login", "subscribe"]


def test_a_login_without_an_answer_is_reported_and_tried_again_on_a_new_connection(
    stage: Stage,
) -> None:
    stage.service.on_receive = lambda connection, said: said["op"] == "login"
    feed = stage.feed(Private)
    feed.subscribe("A")
    stage.until(lambda: stage.service.connections)
    stage.advance(5.1)
    assert isinstance(feed.of("error")[0], WebSocketTimeoutException)
    stage.service.on_receive = answer_login
    stage.advance_until(lambda: "live" in feed.names())
    assert stage.service.opened >= 2


def test_a_login_that_raises_asks_for_nothing(stage: Stage) -> None:
    class Wrong(Recorder):
        async def login(self, link: Link) -> None:
            raise ValueError("no key")

    feed = stage.feed(Wrong)
    feed.subscribe("A")
    stage.advance_until(lambda: stage.service.opened >= 2)
    assert all(isinstance(error, ValueError) for error in feed.of("error"))
    assert all(not each.received for each in stage.service.connections)


def test_a_login_may_await_nothing_else(stage: Stage) -> None:
    class Wrong(Recorder):
        async def login(self, link: Link) -> None:
            await Strange()

    class Strange:
        def __await__(self) -> Any:
            yield "something of another framework"

    feed = stage.feed(Wrong)
    feed.subscribe("A")
    stage.advance_until(lambda: feed.of("error"))
    (error,) = feed.of("error")
    assert isinstance(error, TypeError)
    assert "link.request()" in str(error)
    assert "run_in_thread()" in str(error)


def test_a_login_may_await_what_runs_on_a_thread_and_the_steps_of_tasks(stage: Stage) -> None:
    class Fetching(Private):
        async def login(self, link: Link) -> None:
            self.told.append(("token", await self.loop.run_in_thread(lambda: "secret")))
            self.told.append(("again", await in_thread(lambda: "another")))
            await sleep(1.0)
            self.told.append(("slept", None))
            with pytest.raises(ZeroDivisionError):
                await self.loop.run_in_thread(lambda: 1 / 0)
            await super().login(link)

    stage.service.on_receive = answer_login
    feed = stage.feed(Fetching)
    feed.subscribe("A")
    stage.until(lambda: feed.of("again"))
    stage.advance_until(lambda: feed.of("slept"))
    stage.until(lambda: feed.of("logged_in"))  # a thread takes real time
    stage.advance_until(lambda: "live" in feed.names())
    assert feed.of("token") == ["secret"]
    assert feed.of("again") == ["another"]
    assert feed.of("error") == []


def test_an_answer_that_comes_after_the_loss_of_the_link_is_dropped(stage: Stage) -> None:
    go_on = threading.Event()
    ended: list[str] = []

    class Slow(Recorder):
        async def login(self, link: Link) -> None:
            if not ended:
                try:
                    await self.loop.run_in_thread(go_on.wait)
                finally:
                    ended.append("ended")

    feed = stage.feed(Slow)
    feed.subscribe("A")
    stage.until(lambda: stage.service.connections)
    stage.turns()
    stage.service.connections[0].abort()
    stage.until(lambda: ended)
    go_on.set()
    stage.advance_until(lambda: "live" in feed.names())
    assert feed.of("link_open") == feed.links * 2


def test_a_login_whose_link_is_lost_ends_with_it(stage: Stage) -> None:
    ended: list[str] = []

    class Careful(Private):
        async def login(self, link: Link) -> None:
            try:
                await super().login(link)
            finally:
                ended.append("ended")

    stage.service.on_receive = lambda connection, said: said["op"] == "login"
    feed = stage.feed(Careful)
    feed.subscribe("A")
    stage.until(lambda: stage.service.connections and stage.service.connections[0].received)
    stage.service.connections[0].abort()
    stage.until(lambda: ended)
    assert not [e for e in feed.of("error") if isinstance(e, WebSocketTimeoutException)]


class Untidy(Recorder):
    """Its login waits, and its clean-up fails."""

    raises: BaseException = ValueError("on purpose")
    begun = 0

    async def login(self, link: Link) -> None:
        self.begun += 1
        if self.begun > 2:
            return
        try:
            await link.request('{"op": "login"}', match=lambda _: False, timeout=1000)
        finally:
            await self.clean_up()

    async def clean_up(self) -> None:
        raise self.raises


class Waits(Untidy):
    async def clean_up(self) -> None:
        await sleep(1)


class Cancelled(Untidy):
    raises = asyncio.CancelledError()


def untidy_logins(stage: Stage, kind: type[Untidy]) -> Any:
    """Return a feed with two links, on which the login waits."""
    stage.service.on_receive = lambda connection, said: said["op"] == "login"
    feed: Any = stage.feed(kind, topics_per_link=1)
    feed.subscribe_many(["A", "B"])
    stage.until(lambda: len(stage.service.connections) == 2 and feed.begun == 2)
    return feed


KINDS = [(Untidy, ValueError), (Waits, RuntimeError), (Cancelled, RuntimeError)]


@pytest.mark.parametrize(("kind", "error"), KINDS)
def test_a_feed_is_closed_whatever_the_clean_up_of_a_login_raises(
    stage: Stage, kind: type[Untidy], error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    feed = untidy_logins(stage, kind)
    feed.close()
    assert [type(each) for each in feed.of("error")] == [error, error]
    assert "login of" in caplog.text
    stage.until(lambda: not stage.service.connections)
    assert feed.links == []


@pytest.mark.parametrize(("kind", "error"), KINDS)
def test_a_link_that_is_lost_is_opened_again_whatever_the_clean_up_of_its_login_raises(
    stage: Stage, kind: type[Untidy], error: type[Exception]
) -> None:
    feed = untidy_logins(stage, kind)
    for connection in list(stage.service.connections):
        connection.abort()
    stage.advance_until(lambda: "live" in feed.names())
    assert [each for each in feed.of("error") if type(each) is error]
    assert feed.names().count("link_close") == 2


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_in_the_clean_up_of_a_login_passes_when_the_feed_is_closed(
    stage: Stage, end: type[BaseException]
) -> None:
    class Ends(Untidy):
        raises = end()

    feed = untidy_logins(stage, Ends)
    with pytest.raises(end):
        feed.close()
    stage.until(lambda: not stage.service.connections)
    assert feed.links == []


@pytest.mark.parametrize("raised", [asyncio.CancelledError, GeneratorExit])
def test_a_login_that_raises_what_no_loop_dies_of_has_failed(
    stage: Stage, raised: type[BaseException]
) -> None:
    class Raises(Recorder):
        tries = 0

        async def login(self, link: Link) -> None:
            self.tries += 1
            if self.tries == 1:
                raise raised

    feed = stage.feed(Raises)
    feed.subscribe("A")
    stage.advance_until(lambda: "live" in feed.names())
    (error,) = [each for each in feed.of("error") if isinstance(each, RuntimeError)]
    assert isinstance(error.__cause__, raised)


def test_what_a_login_raises_after_it_has_closed_the_feed_is_reported(stage: Stage) -> None:
    class Closing(Recorder):
        async def login(self, link: Link) -> None:
            self.close()
            raise ValueError("on purpose")

    feed = stage.feed(Closing)
    feed.subscribe("A")
    stage.until(lambda: feed.of("error") and not stage.service.connections)
    assert [type(error) for error in feed.of("error")] == [ValueError]


def test_a_feed_may_be_closed_from_within_login(stage: Stage) -> None:
    class Closing(Recorder):
        async def login(self, link: Link) -> None:
            self.close()
            await link.request("x", match=bool)

    feed = stage.feed(Closing)
    feed.subscribe("A")
    stage.until(lambda: feed.names() and not stage.service.connections)
    assert feed.links == []


def test_a_request_is_matched_among_other_messages(stage: Stage) -> None:
    replies: list[Any] = []

    class Asking(Recorder):
        async def login(self, link: Link) -> None:
            self.first = link.request('{"op": "x"}', match=lambda m: '"answer": 1' in str(m))
            other = link.request('{"op": "y"}', match=lambda m: '"answer": 2' in str(m))
            replies.append(await other)
            replies.append(await self.first)

    def answer(connection: Connection, said: Any) -> bool:
        if said["op"] == "y":
            for number in (1, 2):
                connection.say(answer=number)
        return said["op"] in ("x", "y")

    stage.service.on_receive = answer
    feed = stage.feed(Asking)
    stage.live(feed, "A")
    assert [json.loads(reply)["answer"] for reply in replies] == [2, 1]
    assert feed.of("error") == []


# -- heartbeat -----------------------------------------------------------------------------------


def ping(answered: bool) -> Any:
    def receive(connection: Connection, said: Any) -> bool:
        if said["op"] == "ping" and answered:
            connection.say(pong=True)
        return bool(said["op"] == "ping")

    return receive


BEAT = Heartbeat(
    '{"op": "ping"}', every=20.0, expect=lambda message: "pong" in str(message), timeout=10.0
)


def test_the_heartbeat_is_sent_and_its_answer_need_not_be_known_to_parse(stage: Stage) -> None:
    stage.service.on_receive = ping(True)
    feed = stage.feed(heartbeat=BEAT)
    stage.live(feed, "A")
    stage.advance(61.0, step=0.5)
    said = [said["op"] for _, said in stage.service.connections[0].received]
    assert said == ["subscribe", "ping", "ping", "ping"]
    assert stage.service.opened == 1
    assert feed.of("error") == []


def test_a_heartbeat_without_an_answer_replaces_the_link(stage: Stage) -> None:
    stage.service.on_receive = ping(False)
    feed = stage.feed(heartbeat=BEAT)
    stage.live(feed, "A")
    stage.advance(29.5, step=0.5)
    assert stage.service.opened == 1
    stage.advance_until(lambda: stage.service.opened == 2, at_most=3.0)
    assert feed.stats().silent_links == 1


def test_an_answer_to_the_heartbeat_that_is_news_too_is_taken(stage: Stage) -> None:
    stage.service.on_receive = ping(False)
    feed = stage.feed(heartbeat=replace(BEAT, expect=lambda message: "seq" in str(message)))
    stage.live(feed, "A")
    stage.advance(20.5, step=0.5)
    stage.service.publish("A", numbered=True)
    stage.until(lambda: feed.of("update"))
    stage.advance(15.0, step=0.5)
    assert stage.service.opened == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"message": lambda: 1 / 0}, "division by zero"),
        ({"message": lambda: 5}, "a message is str or bytes, not 5"),
    ],
)
def test_a_message_of_the_heartbeat_that_cannot_be_made_is_told_and_the_link_goes_on(
    stage: Stage, wrong: dict[str, Any], says: str
) -> None:
    stage.service.on_receive = ping(True)
    feed = stage.feed(heartbeat=replace(BEAT, **wrong))
    stage.live(feed, "A")
    stage.advance(20.5, step=0.5)
    stage.service.publish("A")
    stage.until(lambda: feed.of("update"))
    assert says in str(feed.of("error")[0])
    assert stage.service.opened == 1


def test_faults_of_match_and_expect_are_reported(stage: Stage) -> None:
    class Asking(Recorder):
        async def login(self, link: Link) -> None:
            link.request('{"op": "x"}', match=fails, timeout=1000)

    beat = Heartbeat('{"op": "ping"}', every=1.0, expect=fails, timeout=1000)
    feed = stage.feed(Asking, heartbeat=beat)
    stage.service.on_receive = lambda connection, said: said["op"] in ("x", "ping")
    stage.live(feed, "A")
    stage.advance(1.5)
    stage.service.publish("A")
    stage.until(lambda: feed.of("update"))
    assert {str(error) for error in feed.of("error")} == {"on purpose"}


# -- silence -------------------------------------------------------------------------------------


def test_a_link_from_which_nothing_comes_is_replaced(stage: Stage) -> None:
    feed = stage.feed(idle_after=60.0)
    stage.live(feed, "A")
    stage.advance(59.0, step=0.5)
    stage.service.publish("A")
    stage.advance(59.5, step=0.5)
    assert stage.service.opened == 1
    stage.advance_until(lambda: stage.service.opened == 2, at_most=4.0)
    stage.advance_until(lambda: feed.names().count("live") == 2)
    assert [gap.reason for _, gap in feed.of("gap")] == ["reconnect"]
    assert feed.of("link_close")[0][2] == "silent"


def test_a_link_without_topics_is_not_silent(stage: Stage) -> None:
    feed = stage.feed(idle_after=5.0)
    stage.live(feed, "A")
    feed.unsubscribe("A")
    stage.advance(8.0, step=0.5)
    stage.live(feed, "B")
    stage.advance(4.0, step=0.5)
    assert stage.service.opened == 1
    stage.advance(2.0)
    assert stage.service.opened == 2


def test_a_clock_that_has_slept_for_an_hour_fakes_no_silence(stage: Stage) -> None:
    feed = stage.feed(idle_after=60.0, stale_after=30.0)
    stage.live(feed, "A")
    stage.service.publish("A")  # in the kernel, and not read yet
    stage.clock.advance(3600.0)
    stage.turns()
    assert feed.of("stale") == []
    assert stage.service.opened == 1
    assert len(feed.of("update")) == 1


def test_a_slow_handler_fakes_no_silence(stage: Stage) -> None:
    feed = stage.feed(idle_after=60.0, stale_after=30.0, topics_per_link=1)
    stage.live(feed, "B")
    slow = feed.subscribe("A", lambda update: stage.clock.advance(100.0))
    stage.until(lambda: feed.names().count("live") == 2)
    stage.service.publish("A", "B")
    stage.turns()
    assert feed.of("stale") == []
    assert stage.service.opened == 2
    assert slow.topic == "A"


def test_a_silent_topic_is_asked_for_again_on_the_same_link(stage: Stage) -> None:
    feed = stage.feed(stale_after=30.0)
    stage.live(feed, "A", "B")
    for _ in range(61):
        stage.advance(0.5)
        stage.service.publish("B")
    stage.advance(1.0)
    ((topic, silence),) = feed.of("stale")
    assert topic == "A"
    assert 30.0 <= silence <= 31.5
    stage.advance(1.0)
    assert feed.state("A") is TopicState.STALE
    ops = [(said["op"], said["args"]) for _, said in stage.service.connections[0].received]
    assert ops[-2:] == [("unsubscribe", ["A"]), ("subscribe", ["A"])]
    stage.service.publish("A")
    stage.until(lambda: feed.state("A") is TopicState.LIVE)
    assert [gap.reason for _, gap in feed.of("gap")] == ["resubscribe"]


# -- replacement ---------------------------------------------------------------------------------


def test_an_old_link_is_replaced_without_a_hole_or_a_duplicate(stage: Stage) -> None:
    got: list[int] = []
    feed = stage.feed(max_link_age=100.0)
    feed.subscribe("A", lambda update: got.append(update.sequence))
    stage.until(lambda: "live" in feed.names())
    old = feed.links[0]
    while old in feed.links:
        stage.advance(0.5)
        stage.service.publish("A", numbered=True)
        assert stage.clock.now() < 1100.0
    for _ in range(5):
        stage.advance(0.5)
        stage.service.publish("A", numbered=True)
    stage.turns()
    assert got == list(range(1, stage.service.sequences["A"] + 1))
    assert feed.of("gap") == []
    assert len(stage.service.connections) == 1
    assert feed.stats().replaced == 1


# -- URLs and refusals ---------------------------------------------------------------------------


def test_redundant_links_go_to_different_urls(stage: Stage) -> None:
    urls = [f"{stage.service.url}{name}" for name in ("one", "two")]
    feed = stage.feed(url=urls, redundancy=2, topics_per_link=2)
    stage.live(feed, *NAMES[:6])
    stage.advance_until(lambda: len(stage.service.everything_subscribed()) == 12)
    for name in NAMES[:6]:
        assert sorted(link.url for link in feed.links if name in link.topics) == urls


def test_a_url_may_be_a_function_that_is_called_before_every_attempt(stage: Stage) -> None:
    calls: list[int] = []

    def url() -> str:
        calls.append(1)
        return f"{stage.service.url}?token={len(calls)}"

    feed = stage.feed(url=url)
    stage.live(feed, "A")
    stage.service.connections[0].abort()
    stage.advance_until(lambda: feed.names().count("live") == 2)
    assert feed.links[0].url.endswith("?token=2")


def test_429_for_an_hour_is_asked_as_seldom_as_the_service_says(stage: Stage) -> None:
    stage.service.status, stage.service.retry_after = 429, 30
    feed = stage.feed(topics_per_link=1, options={"reconnect": Backoff(first=1.0, cap=60.0)})
    feed.subscribe_many(NAMES[:4])
    stage.advance(3600.0, step=5.0)
    links = 4
    assert len(stage.service.attempts) <= links * (1 + 3600 / 30)
    stage.service.status = None
    stage.advance_until(lambda: "live" in feed.names(), at_most=120)
    assert len(stage.service.connections) == 4


def test_attempts_count_until_a_link_has_lived_for_ten_seconds(stage: Stage) -> None:
    stage.service.greeting = lambda connection: connection.abort()
    feed = stage.feed(options={"reconnect": Backoff(first=1.0, cap=64.0, jitter=False)})
    feed.subscribe("A")
    stage.advance(130.0, step=0.5)
    assert len(stage.service.attempts) == 8  # the first, and after 1, 2, 4, 8, 16, 32, 64 s
    assert feed.links[0].attempt == 8
    stage.service.greeting = None
    stage.advance_until(lambda: "live" in feed.names(), at_most=65)
    stage.advance(10.5, step=0.5)
    stage.service.connections[0].abort()
    stage.turns()
    assert feed.links[0].attempt == 0


def test_a_link_that_is_given_up_is_told(stage: Stage) -> None:
    stage.service.status = 503
    feed = stage.feed(options={"reconnect": Backoff(max_attempts=2, first=0.1)})
    feed.subscribe("A")
    stage.advance(5.0)
    assert "given up" in str(feed.of("error")[-1])
    assert len(stage.service.attempts) == 3


# -- threads -------------------------------------------------------------------------------------


def test_topics_change_from_three_threads_fifty_times_in_a_turn(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "B")

    def change() -> None:
        for _ in range(50):
            feed.subscribe("A")
            feed.unsubscribe("A")

    threads = [threading.Thread(target=change) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    feed.subscribe("A")
    stage.until(lambda: feed.state("A") is TopicState.LIVE)
    said = [said["args"] for _, said in stage.service.connections[0].received]
    assert said.count(["A"]) <= 2
    assert stage.service.everything_subscribed() == ["A", "B"]


def test_a_feed_is_closed_from_another_thread(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    thread = threading.Thread(target=feed.close)
    thread.start()
    thread.join()
    stage.until(lambda: not stage.service.connections)


def test_requests_end_when_the_link_is_closed(stage: Stage) -> None:
    errors: list[Exception] = []

    class Asking(Recorder):
        async def login(self, link: Link) -> None:
            try:
                await link.request('{"op": "x"}', match=bool, timeout=50)
            except WebSocketConnectionClosedException as exc:
                errors.append(exc)
                raise

    feed = stage.feed(Asking)
    stage.service.on_receive = lambda connection, said: True
    feed.subscribe("A")
    stage.until(lambda: stage.service.connections and stage.service.connections[0].received)
    feed.close()
    stage.until(lambda: not stage.service.connections)
    assert feed.of("error") == []
