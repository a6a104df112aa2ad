"""A feed and a service over real connections."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reactor import Reactor
from reactor.feeds import Feed, Link, TopicState, Update

from ..support.driving import run_until
from .service import Recorder, Service, Stage

MakeFeed = Callable[..., Any]


def test_topics_are_asked_for_confirmed_and_delivered(
    loop: Reactor, service: Service, make_feed: MakeFeed
) -> None:
    feed = make_feed()
    got: list[Any] = []
    feed.subscribe("A", got.append)
    feed.subscribe("B")
    assert feed.state("A") is TopicState.WANTED
    run_until(loop, lambda: "live" in feed.names())
    assert feed.names() == ["link_open", "subscribed", "subscribed", "live"]
    assert [said for _, said in service.connections[0].received] == [
        {"op": "subscribe", "args": ["A", "B"]}
    ]
    service.publish("A", "B")
    run_until(loop, lambda: feed.of("update"))
    assert [update.topic for update in got] == ["A"]
    assert [topic for topic, _ in feed.of("update")] == ["B"]
    assert feed.topics() == ["A", "B"]
    assert feed.state("A") is TopicState.LIVE
    assert "'A' is LIVE" in feed.explain("A")


def test_topics_are_spread_over_links_in_messages_of_the_size_that_is_allowed(
    loop: Reactor, service: Service, make_feed: MakeFeed
) -> None:
    feed = make_feed(topics_per_link=5, topics_per_message=2)
    feed.subscribe_many([f"T{number}" for number in range(12)])
    run_until(loop, lambda: "live" in feed.names())
    assert len(feed.links) == 3
    assert sorted(len(each.subscribed) for each in service.connections) == [2, 5, 5]
    for connection in service.connections:
        assert all(len(said["args"]) <= 2 for _, said in connection.received)


def test_a_lost_link_is_opened_again_and_what_may_be_missing_is_told(
    loop: Reactor, service: Service, make_feed: MakeFeed
) -> None:
    feed = make_feed()
    feed.subscribe("A")
    run_until(loop, lambda: "live" in feed.names())
    service.publish("A", x=1)
    run_until(loop, lambda: feed.of("update"))
    service.connections[0].abort()
    run_until(loop, lambda: feed.names().count("live") == 2)
    (topic, gap), *rest = feed.of("gap")
    assert (topic, gap.reason, gap.next, rest) == ("A", "reconnect", None, [])
    assert gap.last.data["x"] == 1
    assert len(feed.of("link_close")) == 1
    assert feed.of("link_open")[0] is feed.of("link_open")[1]


def test_unsubscribing_the_last_consumer_ends_the_topic(
    loop: Reactor, service: Service, make_feed: MakeFeed
) -> None:
    feed = make_feed()
    one, other = feed.subscribe("A"), feed.subscribe("A")
    run_until(loop, lambda: "live" in feed.names())
    one.close()
    assert feed.state("A") is TopicState.LIVE
    other.close()
    other.close()
    assert feed.state("A") is TopicState.ENDING
    run_until(loop, lambda: feed.state("A") is None)
    assert service.connections[0].subscribed == []


def test_close_ends_everything(loop: Reactor, service: Service, make_feed: MakeFeed) -> None:
    feed = make_feed(topics_per_link=1)
    feed.subscribe_many(["A", "B", "C"])
    run_until(loop, lambda: "live" in feed.names())
    feed.close()
    feed.close()
    run_until(loop, lambda: not service.connections)
    assert feed.links == []
    assert feed.topics() == []
    with pytest.raises(Exception, match="closed"):
        feed.subscribe("D")


def test_a_final_refusal_is_told_once_and_survives_reconnects(
    loop: Reactor, service: Service, make_feed: MakeFeed
) -> None:
    service.refused["B"] = "no such thing"
    feed = make_feed()
    feed.subscribe_many(["A", "B"])
    run_until(loop, lambda: "live" in feed.names())
    assert feed.state("B") is TopicState.REFUSED
    service.connections[0].abort()
    run_until(loop, lambda: feed.names().count("live") == 2)
    assert feed.of("refused") == [("B", "no such thing", True)]
    assert feed.state("B") is TopicState.REFUSED
    del service.refused["B"]
    feed.subscribe("B")
    run_until(loop, lambda: feed.state("B") is TopicState.LIVE)


def test_a_feed_made_of_nothing_opens_nothing(
    loop: Reactor, service: Service, make_feed: MakeFeed
) -> None:
    feed: Recorder = make_feed()
    for _ in range(5):
        loop.run_once(0)
    assert feed.links == []
    assert service.attempts == []


def test_a_service_without_unsubscriptions_is_asked_nothing(
    loop: Reactor, service: Service, make_feed: MakeFeed
) -> None:
    feed = make_feed(type("Plain", (Recorder,), {"unsubscribe_message": Feed.unsubscribe_message}))
    feed.subscribe_many(["A", "B"])
    run_until(loop, lambda: "live" in feed.names())
    feed.unsubscribe("A")
    for _ in range(5):
        loop.run_once(0)
    assert feed.state("A") is None
    service.publish("A", "B")
    run_until(loop, lambda: feed.of("update"))
    assert [topic for topic, _ in feed.of("update")] == ["B"]


def test_a_loop_may_be_closed_under_a_feed(caplog: pytest.LogCaptureFixture) -> None:
    with Reactor() as loop:
        service = Service(loop)
        feed = Recorder(loop, service.url)
        feed.subscribe("A")
        run_until(loop, lambda: "live" in feed.names())
    assert caplog.messages == []
    assert feed.names()[-1] in ("link_close", "error")


@pytest.mark.parametrize(
    ("reason", "numbered"),
    [
        ("reconnect", True),
        ("reconnect", False),
        ("resubscribe", True),
        ("resubscribe", False),
        ("sequence", True),
        ("reset", True),
    ],
)
def test_a_gap_has_the_updates_around_it(
    loop: Reactor, service: Service, make_feed: MakeFeed, reason: str, numbered: bool
) -> None:
    feed = make_feed()
    feed.subscribe("A")
    run_until(loop, lambda: "live" in feed.names())
    service.publish("A", **({"seq": 1, "epoch": "a"} if numbered else {}))
    run_until(loop, lambda: feed.of("update"))
    lives = feed.names().count("live")
    if reason == "reconnect":
        service.connections[0].abort()
        run_until(loop, lambda: feed.names().count("live") > lives)
    elif reason == "resubscribe":
        service.connections[0].subscribed.clear()
        service.connections[0].say(op="unsubscribe", args=["A"])
        run_until(loop, lambda: feed.names().count("live") > lives)
    if numbered:
        service.publish("A", seq=9, epoch="b" if reason == "reset" else "a")
    else:
        service.publish("A")
    run_until(loop, lambda: len(feed.of("update")) == 2)
    first, second = (update for _, update in feed.of("update"))
    ((topic, gap),) = feed.of("gap")
    assert (topic, gap.reason, gap.last) == ("A", reason, first)
    assert gap.next is (second if numbered else None)


class TestGoingOnAfterAnEarlierRun:
    def test_what_was_taken_is_dropped_and_a_hole_is_told_with_its_bounds(
        self, loop: Reactor, service: Service, make_feed: MakeFeed
    ) -> None:
        feed = make_feed()
        feed.subscribe_many(
            ["A", "B"], after={"A": Update("A", None, 7), "B": Update("B", None, 7)}
        )
        run_until(loop, lambda: "live" in feed.names())
        for number in (6, 7, 8):
            service.publish("A", seq=number)
        for number in (7, 10):
            service.publish("B", seq=number)
        run_until(loop, lambda: len(feed.of("update")) == 2)
        assert [(topic, update.sequence) for topic, update in feed.of("update")] == [
            ("A", 8),
            ("B", 10),
        ]
        ((topic, gap),) = feed.of("gap")
        assert (topic, gap.reason, gap.last.sequence, gap.next.sequence) == (
            "B",
            "reconnect",
            7,
            10,
        )

    def test_without_sequences_the_gap_is_told_when_the_topic_is_live(
        self, loop: Reactor, service: Service, make_feed: MakeFeed
    ) -> None:
        feed = make_feed()
        feed.subscribe_many(["A", "B"], after={"A": Update("A", "old")})
        run_until(loop, lambda: "live" in feed.names())
        ((topic, gap),) = feed.of("gap")
        assert (topic, gap.last.data, gap.next) == ("A", "old", None)

    def test_it_is_resumed_from_there(
        self, loop: Reactor, service: Service, make_feed: MakeFeed
    ) -> None:
        class Resuming(Recorder):
            def resume_message(self, positions: Any, link: Any) -> Any:
                origin = {topic: update.sequence for topic, update in positions.items()}
                return json.dumps({"op": "subscribe", "args": list(positions), "from": origin})

        feed = make_feed(kind=Resuming)
        feed.subscribe_many(["A", "B"], after={"A": Update("A", None, 7)})
        run_until(loop, lambda: "live" in feed.names())
        said = [said for _, said in service.connections[0].received]
        assert {"op": "subscribe", "args": ["A"], "from": {"A": 7}} in said
        assert {"op": "subscribe", "args": ["B"]} in said

    def test_a_topic_that_is_subscribed_already_goes_on_as_it_is(
        self, loop: Reactor, service: Service, make_feed: MakeFeed
    ) -> None:
        feed = make_feed()
        feed.subscribe("A")
        run_until(loop, lambda: "live" in feed.names())
        service.publish("A", seq=3)
        run_until(loop, lambda: feed.of("update"))
        got: list[Any] = []
        feed.subscribe_many(["A"], got.append, after={"A": Update("A", None, 9)})
        service.publish("A", seq=4)
        run_until(loop, lambda: got)
        assert [update.sequence for update in got] == [4]
        assert feed.of("gap") == []


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"topics_per_link": 0}, "topics_per_link"),
        ({"topics_per_message": "5"}, "topics_per_message"),
        ({"max_links": 1, "redundancy": 2}, "max_links"),
        ({"message_pace": 5}, "message_pace"),
        ({"ack_timeout": 0}, "ack_timeout"),
        ({"ask_again": 1.0}, "ask_again"),
        ({"stale_after": -1}, "stale_after"),
        ({"on_stale_do": "cry"}, "on_stale_do"),
        ({"idle_after": "60"}, "idle_after"),
        ({"max_link_age": True}, "max_link_age"),
        ({"redundancy": 1.5}, "redundancy"),
        ({"sequences": "none"}, "sequences"),
        ({"heartbeat": "ping"}, "heartbeat"),
    ],
)
def test_knobs_that_cannot_be_used_are_errors_that_name_them(
    stage: Stage, knobs: dict[str, Any], named: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        stage.feed(**knobs)


@pytest.mark.parametrize(
    ("url", "options", "error"),
    [
        ("http://x/", {}, ValueError),
        ([], {}, ValueError),
        ([5], {}, TypeError),
        ("ws://x/", {"pingintervall": 3}, TypeError),
        ("ws://x/", {"fragments": True}, ValueError),
        ("ws://x/", {"decode_text": False}, ValueError),
    ],
)
def test_urls_and_options_that_cannot_be_used_are_errors_of_the_constructor(
    stage: Stage, url: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Recorder(stage.loop, url, **options)


def test_arguments_of_subscribe_are_checked_where_they_are_given(stage: Stage) -> None:
    feed = stage.feed()

    async def handler(update: Update) -> None:
        pass

    with pytest.raises(TypeError, match="handler"):
        feed.subscribe("A", 5)
    with pytest.raises(TypeError, match="async"):
        feed.subscribe("A", handler)
    with pytest.raises(TypeError, match="unhashable"):
        feed.subscribe([])
    with pytest.raises(TypeError, match="several topics"):
        feed.subscribe_many("ABC")
    with pytest.raises(ValueError, match="stale_after"):
        feed.subscribe("A", stale_after=0)


def test_a_knob_may_be_given_to_one_feed(loop: Reactor) -> None:
    class Mine(Recorder):
        topics_per_link = 5

    options: Any = {"topics_per_link": 7, "ack_timeout": None, "ping_interval": 3.0}
    feed = Mine(loop, "ws://localhost/", **options)
    assert (feed.topics_per_link, feed.ack_timeout, feed.stale_after) == (7, None, 30.0)
    assert (Mine.topics_per_link, Mine.ack_timeout) == (5, 5.0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"priority": "high"}, "priority"),
        ({"priority": None}, "priority"),
        ({"priority": float("nan")}, "priority"),
        ({"replay_last": "no"}, "replay_last"),
        ({"stale_after": "3"}, "stale_after"),
        ({"handler": "print"}, "handler"),
        ({"stale_afterr": 3}, "stale_afterr"),
    ],
)
def test_a_wrong_argument_of_subscribe_is_an_error_that_names_it(
    loop: Reactor, arguments: Any, says: str
) -> None:
    feed = Recorder(loop, "ws://localhost/")
    for subscribe in (feed.subscribe, feed.subscribe_many):
        with pytest.raises(TypeError, match=says):
            subscribe(("A",), **arguments)
    assert feed.topics() == []


def test_what_resumes_may_leave_the_message_to_what_subscribes(
    loop: Reactor, service: Service, make_feed: MakeFeed
) -> None:
    class Noting(Recorder):
        def resume_message(self, positions: Any, link: Link) -> Any:
            self.told.append(("resume", list(positions)))
            return super().resume_message(positions, link)

    feed = make_feed(kind=Noting)
    feed.subscribe_many(["A"], after={"A": Update("A", None, 7)})
    run_until(loop, lambda: "live" in feed.names())
    assert feed.of("resume") == [["A"]]
    assert [said for _, said in service.connections[0].received] == [
        {"op": "subscribe", "args": ["A"]}
    ]


def test_a_mailbox_takes_what_another_thread_is_to_have(
    loop: Reactor, service: Service, make_feed: MakeFeed
) -> None:
    feed = make_feed()
    box = feed.mailbox(maxlen=2)
    feed.subscribe("A", box)
    run_until(loop, lambda: "live" in feed.names())
    for number in range(3):
        service.publish("A", seq=number)
    run_until(loop, lambda: feed.of("gap"))
    assert [update.sequence for update in box.get_many(5)] == [1, 2]
    stats = feed.stats()
    assert (stats.updates, stats.mailbox_dropped, stats.gaps) == (3, 1, {"dropped": 1})
    assert (stats.wanted, stats.links, stats.open_links, stats.topics) == (1, 1, 1, {"LIVE": 1})
