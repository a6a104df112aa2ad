"""What the user's code does at awkward moments, and what it returns."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from reactor import Backoff
from reactor.feeds import Heartbeat, Link, Pace, TopicState, Update

from .service import Connection, Recorder, Stage


class Several(Recorder):
    """Understands one message that says several things."""

    events: Callable[[], Any]

    def parse(self, message: str | bytes, link: Link) -> Any:
        return self.events() if "several" in str(message) else super().parse(message, link)


def numbers(first: int, last: int) -> list[Update]:
    return [Update("A", number, sequence=number) for number in range(first, last + 1)]


def test_a_handler_unsubscribes_at_once_though_another_thread_has_just_asked_for_something(
    stage: Stage,
) -> None:
    got: list[Any] = []

    def handler(update: Update) -> None:
        got.append(update.data)
        if len(got) == 2:
            thread = threading.Thread(target=feed.subscribe, args=("B",))
            thread.start()
            thread.join()
            feed.unsubscribe("A")

    feed = stage.feed(type("Numbers", (Several,), {"events": lambda self: numbers(1, 5)}))
    stage.live(feed, "A", handler=handler)
    stage.service.connections[0].say(several=True)
    stage.until(lambda: feed.state("B") is TopicState.LIVE)
    assert got == [1, 2]
    assert feed.topics() == ["B"]


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_an_event_that_is_none_costs_the_others_of_its_message_nothing(
    stage: Stage, kind: Callable[[list[Any]], Any]
) -> None:
    said = [Update("A", 1), 5, Update(["no topic"]), Update("A", 2)]
    feed = stage.feed(type("Mixed", (Several,), {"events": lambda self: kind(said)}))
    stage.live(feed, "A")
    stage.service.connections[0].say(several=True)
    stage.until(lambda: feed.of("error"))
    assert [update.data for _, update in feed.of("update")] == [1, 2]
    assert [type(error) for error in feed.of("error")] == [TypeError, TypeError]


def test_the_last_update_is_not_replayed_while_it_is_still_to_be_delivered(stage: Stage) -> None:
    late: list[Any] = []

    def handler(update: Update) -> None:
        if update.sequence == 3:
            feed.subscribe("A", lambda update: late.append(update.sequence), replay_last=True)

    feed = stage.feed(redundancy=2)
    stage.live(feed, "A", handler=handler)
    one, other = stage.service.connections
    for number in (1, 3, 4):
        one.say(topic="A", seq=number)
    other.say(topic="A", seq=1)
    stage.turns()
    other.say(topic="A", seq=2)  # fills the hole: 2, 3 and 4 are delivered in one go
    stage.until(lambda: late)
    stage.turns()
    assert late == [4]


def test_a_sequence_that_is_text_is_an_error_that_says_so(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    stage.service.publish("A", seq="1")
    stage.until(lambda: feed.of("error"))
    assert "a contiguous sequence is a number, not '1'" in str(feed.of("error")[0])
    assert feed.of("update") == []


def test_text_may_be_an_increasing_sequence(stage: Stage) -> None:
    feed = stage.feed(sequences="increasing")
    stage.live(feed, "A")
    for when in ("2026-11-27T21:00", "2026-11-27T21:05", "2026-11-27T20:00"):
        stage.service.publish("A", seq=when)
    stage.until(lambda: feed.stats().duplicates)
    assert len(feed.of("update")) == 2


def test_topics_that_wait_again_after_all_had_a_link_are_told_of_again(stage: Stage) -> None:
    feed = stage.feed(max_links=1, topics_per_link=2)
    feed.subscribe_many(["A", "B", "C"])
    stage.until(lambda: feed.of("error"))
    feed.unsubscribe("A")
    stage.until(lambda: "live" in feed.names())
    assert len(feed.of("error")) == 1
    feed.subscribe_many(["D", "E"])
    stage.turns()
    assert [str(error).rpartition(": ")[2] for error in feed.of("error")] == [
        "1 topics wait",
        "1 topics wait",
    ]


def test_an_update_in_the_moment_of_the_question_counts_as_the_answer(stage: Stage) -> None:
    def answer(connection: Connection, said: Any) -> bool:
        connection.subscribed += said["args"]
        stage.service.publish(*said["args"])
        return True

    stage.service.on_receive = answer
    feed = stage.feed(ack_timeout=2.0, ask_again=Backoff(first=1.0))
    feed.subscribe("A")
    stage.until(lambda: feed.of("update"))  # the clock stands still
    stage.advance(2.1)
    assert feed.state("A") is TopicState.LIVE
    assert len(stage.service.connections[0].received) == 1


def test_heartbeats_that_the_pace_holds_back_do_not_pile_up(stage: Stage) -> None:
    feed = stage.feed(
        message_pace=Pace(1, per=10.0), heartbeat=Heartbeat('{"op": "ping"}', every=1.0)
    )
    stage.service.on_receive = lambda connection, said: said["op"] == "ping"
    stage.live(feed, "A")
    stage.advance(30.0, step=0.5)
    (link,) = feed.links
    for number in range(2):
        link.send(json.dumps({"op": "subscribe", "args": [f"X{number}"]}))
    stage.advance(31.0, step=0.5)
    said = [said["op"] for _, said in stage.service.connections[0].received]
    assert said.count("subscribe") == 3
