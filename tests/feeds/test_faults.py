"""What user code raises costs nobody else anything; and days on which everything goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from reactor import Backoff, Reactor
from reactor.feeds import (
    Feed,
    Link,
    Pace,
    Refused,
    Subscribed,
    TopicState,
    Update,
)

from .service import Recorder, Stage


def boom(*args: Any) -> None:
    raise RuntimeError("boom")


# -- faults of user code -------------------------------------------------------------------------


def test_a_handler_that_raises_costs_other_consumers_nothing(stage: Stage) -> None:
    got: list[Update] = []
    feed = stage.feed()
    stage.live(feed, "A", handler=boom)
    feed.subscribe("A", got.append)
    feed.subscribe("B", got.append)
    stage.until(lambda: feed.state("B") is TopicState.LIVE)
    for _ in range(2):
        stage.service.publish("A", "B", numbered=True)
    stage.until(lambda: len(got) == 4)
    assert [str(error) for error in feed.of("error")] == ["boom", "boom"]
    assert feed.of("gap") == []


def test_the_short_way_reports_what_a_handler_raises_with_the_message_cut(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    feed = stage.feed()
    stage.live(feed, "A", handler=boom)
    for _ in range(3):
        stage.service.publish("A", filler="x" * 1000)
    stage.until(lambda: len(feed.of("error")) == 3)
    assert all("A" in text and "xxx" in text and len(text) < 500 for text in caplog.messages)
    assert caplog.messages


def test_the_log_of_a_handler_shows_the_topic(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    class Mistaken(Recorder):
        def on_stale(self, topic: Any) -> None:  # type: ignore[override]
            """Its signature is wrong."""

    feed = stage.feed(Mistaken)
    feed._reactor_driver.faults.guard(feed.on_stale, "the topic", 3.007)
    assert caplog.messages[0].startswith("exception in ")
    assert "given 'the topic'" in caplog.messages[0]


def test_a_topic_whose_message_could_not_be_made_is_explained_as_that(stage: Stage) -> None:
    class Mistaken(Recorder):
        def subscribe_message(self, topics: Any, link: Link) -> Any:
            raise RuntimeError("no message")

    feed = stage.feed(Mistaken)
    feed.subscribe("A")
    stage.until(lambda: feed.of("error"))
    assert "could not be asked for, because its message could not be made" in feed.explain("A")
    assert "refused" not in feed.explain("A")
    feed.subscribe_message = lambda topics, link: None
    stage.advance_until(lambda: "could not" not in feed.explain("A"))


@pytest.mark.parametrize(
    "name", ["on_subscribed", "on_live", "on_link_open", "on_update", "on_gap", "on_link_close"]
)
def test_any_handler_may_raise(stage: Stage, name: str) -> None:
    feed = stage.feed(type("Raising", (Recorder,), {name: boom}))
    feed.subscribe("A")
    stage.until(lambda: feed.state("A") is TopicState.LIVE)
    stage.service.publish("A", numbered=True)
    stage.turns()
    stage.service.connections[0].abort()
    stage.service.sequences["A"] = 5
    stage.advance_until(lambda: feed.state("A") is TopicState.LIVE and stage.service.opened == 2)
    stage.service.publish("A", numbered=True)
    stage.turns()
    assert {str(error) for error in feed.of("error")} - {"boom"} <= {
        str(error) for error in feed.of("error") if not isinstance(error, RuntimeError)
    }
    assert "boom" in [str(error) for error in feed.of("error")]
    assert feed.state("A") is TopicState.LIVE


def test_on_error_may_raise(stage: Stage) -> None:
    feed = stage.feed(type("Raising", (Recorder,), {"on_error": boom}))
    feed.subscribe("A", boom)
    stage.until(lambda: feed.state("A") is TopicState.LIVE)
    stage.service.publish("A")
    stage.turns()
    assert feed.state("A") is TopicState.LIVE


@pytest.mark.parametrize("nonsense", [5, "text", [5], object(), {"topic": "A"}])
def test_a_parse_that_returns_nonsense_is_reported(stage: Stage, nonsense: Any) -> None:
    class Odd(Recorder):
        def parse(self, message: str | bytes, link: Link) -> Any:
            event = super().parse(message, link)
            return nonsense if isinstance(event, Update) else event

    feed = stage.feed(Odd)
    stage.live(feed, "A")
    stage.service.publish("A")
    stage.until(lambda: feed.of("error"))
    assert isinstance(feed.of("error")[0], TypeError)
    assert feed.state("A") is TopicState.LIVE


def test_a_parse_that_raises_is_reported_and_the_next_message_is_parsed(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    stage.service.connections[0].send("no JSON")
    stage.service.publish("A")
    stage.until(lambda: feed.of("update"))
    assert isinstance(feed.of("error")[0], json.JSONDecodeError)


def test_ten_thousand_events_of_one_message_are_taken(stage: Stage) -> None:
    class Many(Recorder):
        def parse(self, message: str | bytes, link: Link) -> Any:
            event = super().parse(message, link)
            if isinstance(event, Update):
                return (Update("A", number, number) for number in range(10_000))
            return event

    feed = stage.feed(Many)
    stage.live(feed, "A")
    stage.service.publish("A")
    stage.until(lambda: len(feed.of("update")) == 10_000)
    assert feed.of("gap") == []


def test_a_generator_of_events_that_raises_has_delivered_those_before(stage: Stage) -> None:
    class Broken(Recorder):
        def parse(self, message: str | bytes, link: Link) -> Any:
            event = super().parse(message, link)
            return self.pieces() if isinstance(event, Update) else event

        def pieces(self) -> Iterator[Update]:
            yield Update("A", 1)
            raise RuntimeError("boom")

    feed = stage.feed(Broken)
    stage.live(feed, "A")
    stage.service.publish("A")
    stage.until(lambda: feed.of("error"))
    assert len(feed.of("update")) == 1


# -- what handlers may do ------------------------------------------------------------------------


def test_a_handler_may_unsubscribe_everything(stage: Stage) -> None:
    feed = stage.feed()
    topics = [f"T{number}" for number in range(30)]

    def stop(update: Update) -> None:
        for topic in topics:
            feed.unsubscribe(topic)

    stage.live(feed, *topics, handler=stop)
    stage.service.publish(*topics)
    stage.until(lambda: feed.state("T0") is None)
    assert feed.topics() == []
    assert stage.service.everything_subscribed() == []


@pytest.mark.parametrize("name", ["on_subscribed", "on_live", "on_link_open", "on_gap"])
def test_a_handler_may_close_the_feed(stage: Stage, name: str) -> None:
    def close(self: Feed, *args: Any) -> None:
        self.close()

    feed = stage.feed(type("Closing", (Recorder,), {name: close}))
    feed.subscribe_many(["A", "B"])
    stage.turns()
    stage.service.publish("A", numbered=True)
    stage.turns()
    stage.service.sequences["A"] = 7
    stage.service.publish("A", numbered=True)
    stage.turns()
    assert feed.links == []
    assert stage.service.connections == []


def test_a_handler_may_subscribe_more(stage: Stage) -> None:
    class Growing(Recorder):
        def on_subscribed(self, topic: Any) -> None:
            super().on_subscribed(topic)
            if len(self.topics()) < 20:
                self.subscribe(f"{topic}+")

    feed = stage.feed(Growing)
    feed.subscribe("A")
    stage.until(lambda: "live" in feed.names())
    assert len(feed.topics()) == 20


def test_a_handler_may_close_the_loop_after_it_has_stopped(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A", handler=lambda update: stage.loop.stop())
    stage.service.publish("A")
    stage.loop.run_forever()
    assert feed.state("A") is TopicState.LIVE


# -- bad days ------------------------------------------------------------------------------------


def test_a_service_that_spells_topics_otherwise_is_asked_again_and_its_answers_are_counted(
    stage: Stage,
) -> None:
    class Lower(Recorder):
        def parse(self, message: str | bytes, link: Link) -> Any:
            event = super().parse(message, link)
            if isinstance(event, Subscribed):
                return Subscribed([topic.lower() for topic in event.topics])
            return event

    feed = stage.feed(Lower, ack_timeout=1.0)
    feed.subscribe("A")
    stage.until(lambda: stage.service.connections)
    stage.advance(3.0)
    assert feed.state("A") in (TopicState.ASKED, TopicState.WANTED)
    assert feed.stats().ignored >= 2
    stage.service.publish("A")
    stage.advance(1.5)
    assert feed.state("A") is TopicState.LIVE


def test_a_refusal_of_everything_is_believed_for_each_alone(stage: Stage) -> None:
    topics = [f"T{number}" for number in range(10)]
    stage.service.refused = dict.fromkeys(topics, "closed for today")
    feed = stage.feed()
    feed.subscribe_many(topics)
    stage.until(lambda: "live" in feed.names())
    assert sorted(feed.of("refused")) == [(topic, "closed for today", True) for topic in topics]
    said = [said["args"] for _, said in stage.service.connections[0].received]
    assert said[0] == topics
    assert sorted(said[1:]) == [[topic] for topic in topics]


def test_acks_for_topics_that_nobody_asked_for_are_ignored(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    stage.service.connections[0].say(op="subscribe", ok=True, args=["X", "A"])
    stage.service.connections[0].say(op="unsubscribe", args=["Y"])
    stage.turns()
    assert feed.topics() == ["A"]
    assert feed.stats().ignored == 3


def test_a_link_that_is_accepted_and_dropped_at_once_for_ever_is_asked_for_ever_more_seldom(
    stage: Stage,
) -> None:
    stage.service.greeting = lambda connection: connection.close()
    feed = stage.feed(options={"reconnect": Backoff(first=1.0, cap=60.0, jitter=False)})
    feed.subscribe("A")
    stage.advance(600.0, step=1.0)
    assert len(stage.service.attempts) <= 8 + 600 / 60


def test_names_that_cannot_be_resolved_are_told_and_tried_again(
    loop: Reactor, stage: Stage
) -> None:
    urls = iter(["ws://nowhere.invalid/", stage.service.url])
    feed = stage.feed(url=lambda: next(urls))
    feed.subscribe("A")
    stage.until(lambda: feed.of("error"))
    stage.advance_until(lambda: "live" in feed.names())


def test_updates_before_the_ack_are_delivered(stage: Stage) -> None:
    stage.service.acks = False
    feed = stage.feed()
    feed.subscribe("A")
    stage.until(lambda: stage.service.connections and stage.service.connections[0].subscribed)
    stage.service.publish("A")
    stage.until(lambda: feed.of("update"))
    assert feed.state("A") is TopicState.ASKED


def test_more_topics_than_links_may_carry_wait_and_are_told_of_once(stage: Stage) -> None:
    feed = stage.feed(max_links=2, topics_per_link=3)
    feed.subscribe_many([f"T{number}" for number in range(10)])
    stage.until(lambda: len(stage.service.everything_subscribed()) == 6)
    stage.turns()
    assert len(feed.of("error")) == 1
    assert "max_links=2" in str(feed.of("error")[0])
    assert "all links are full" in feed.explain("T9")
    for number in range(6):
        feed.unsubscribe(f"T{number}")
    stage.until(lambda: "live" in feed.names())


def test_a_storm_over_all_links_asks_for_nothing_twice_and_tells_each_hole_once(
    stage: Stage,
) -> None:
    feed = stage.feed(topics_per_link=5, message_pace=Pace(5, per=1.0), topics_per_message=1)
    topics = [f"T{number}" for number in range(50)]
    stage.live(feed, *topics)
    for connection in list(stage.service.connections):
        connection.abort()
    stage.advance_until(lambda: feed.names().count("live") == 2)
    assert sorted(topic for topic, _ in feed.of("gap")) == sorted(topics)
    assert feed.stats().asked == 100
    assert stage.service.everything_subscribed() == sorted(topics)


def test_refusals_and_answers_take_one_topic_as_a_str() -> None:
    assert Refused("ABC", "no").topics == ("ABC",)
    assert repr(Subscribed("ABC", True)) == "Subscribed(recovered=True, topics=('ABC',))"


def test_failures_that_nobody_hears_of_are_logged_once_a_minute(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.service.status = 503
    deaf = stage.feed(type("Deaf", (Recorder,), {"on_error": Feed.on_error}))
    deaf.subscribe("A")
    stage.advance(50.0, step=0.5)
    warnings = [record for record in caplog.records if record.name == "reactor.feeds"]
    assert len(warnings) == 1
    assert "Deaf" in warnings[0].getMessage()
    assert "503" in warnings[0].getMessage()
