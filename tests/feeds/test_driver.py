"""What the user's code does at awkward moments, and what it returns."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reactor import Backoff, CloseCode, Reactor
from reactor.feeds import Ended, Heartbeat, Link, Pace, TopicState, Unsubscribed, Update

from ..support.driving import run_until
from .service import Connection, Recorder, Service, Stage


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


def by_a_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function on a thread of its own, which has ended when this returns."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(function, *args).result(10)


def says(*events: Any) -> type[Recorder]:
    """A feed for which the message ``several`` says these events."""
    return type("Saying", (Several,), {"events": lambda self: list(events)})


# -- a feed that is closed -------------------------------------------------------------------------


def test_a_handler_closes_the_feed_and_gets_nothing_more_of_the_same_message(stage: Stage) -> None:
    got: list[Any] = []

    def handler(update: Update) -> None:
        got.append(update.data)
        if len(got) == 2:
            feed.close()

    feed = stage.feed(says(*numbers(1, 5)))
    stage.live(feed, "A", handler=handler)
    stage.service.connections[0].say(several=True)
    stage.until(lambda: not stage.service.connections)
    assert got == [1, 2]
    assert feed.of("error") == []


def test_what_another_thread_subscribes_to_after_it_has_closed_the_feed_is_closed(
    stage: Stage,
) -> None:
    feed = stage.feed()
    stage.live(feed, "A")

    def close_and_subscribe() -> Any:
        feed.close()
        return feed.subscribe("B")

    subscription = by_a_thread(close_and_subscribe)
    stage.until(lambda: not stage.service.connections)
    assert subscription.closed
    assert feed.topics() == []


def test_the_replay_of_a_last_update_closes_the_feed(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    stage.service.publish("A")
    stage.until(lambda: feed.of("update"))
    subscriptions = feed.subscribe_many(["A", "B"], lambda update: feed.close(), replay_last=True)
    stage.until(lambda: not stage.service.connections)
    assert [one.closed for one in subscriptions] == [True, True]
    assert feed.topics() == []


def test_a_feed_that_two_threads_close_is_closed_once(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    for _ in range(2):
        by_a_thread(feed.close)
    stage.until(lambda: feed.of("link_close"))
    stage.turns()
    assert feed.names() == ["link_open", "subscribed", "live", "link_close"]


def test_a_feed_whose_loop_ends_says_goodbye_and_can_still_be_read() -> None:
    with Reactor() as loop:
        service = Service(loop)
        feed = Recorder(loop, service.url)
        subscription = feed.subscribe("A")
        run_until(loop, lambda: feed.state("A") is TopicState.LIVE)
        (connection,) = service.connections
        loop.shutdown()
        assert connection.code == CloseCode.GOING_AWAY
    assert subscription.closed
    assert feed.topics() == ["A"]
    assert feed.links == []


def test_what_is_done_to_a_feed_that_is_closed_changes_nothing(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    feed.close()
    feed.unsubscribe("A")
    feed.close()
    stage.until(lambda: feed.of("link_close"))
    stage.turns()
    assert feed.stats().wanted == 0
    assert feed.names() == ["link_open", "subscribed", "live", "link_close"]


# -- several consumers -----------------------------------------------------------------------------


def test_a_handler_closes_the_subscription_that_would_have_had_its_turn_next(stage: Stage) -> None:
    got: list[str] = []

    def first(update: Update) -> None:
        got.append("first")
        second.close()

    feed = stage.feed()
    stage.live(feed, "A", handler=first)
    second = feed.subscribe("A", lambda update: got.append("second"))
    feed.subscribe("A", lambda update: got.append("third"))
    for _ in range(2):
        stage.service.publish("A")
    stage.until(lambda: len(got) == 4)
    assert got == ["first", "third"] * 2
    assert feed.topics() == ["A"]


def test_a_replay_closes_the_next_subscription_of_the_same_call(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    stage.service.publish("A")
    stage.until(lambda: feed.of("update"))
    got: list[Any] = []

    def handler(update: Update) -> None:
        got.append(update.topic)
        subscriptions[1].close()

    subscriptions = by_a_thread(lambda: feed.subscribe_many(["A", "B"], handler, replay_last=True))
    stage.until(lambda: got)
    stage.turns()
    assert got == ["A"]
    assert [one.closed for one in subscriptions] == [False, True]
    assert feed.topics() == ["A"]


def test_the_last_of_several_subscriptions_ends_the_topic(stage: Stage) -> None:
    feed = stage.feed()
    one, other = feed.subscribe("A"), feed.subscribe("A")
    stage.until(lambda: "live" in feed.names())
    for _ in range(2):
        one.close()
    assert feed.topics() == ["A"]
    other.close()
    assert feed.topics() == []
    stage.until(lambda: feed.state("A") is None)


def test_a_topic_that_nobody_has_subscribed_can_be_unsubscribed(stage: Stage) -> None:
    feed = stage.feed()
    feed.unsubscribe("A")
    assert feed.topics() == feed.links == []


# -- handlers about topics that nobody wants any more ----------------------------------------------


def test_a_handler_unsubscribes_the_topic_that_would_have_been_told_next(stage: Stage) -> None:
    class Curt(Recorder):
        def on_refused(self, topic: Any, reason: Any, final: bool) -> None:
            super().on_refused(topic, reason, final)
            self.unsubscribe("B")

        def on_subscribed(self, topic: Any) -> None:
            super().on_subscribed(topic)
            self.unsubscribe("D")

    stage.service.refused = {"A": "not now", "B": "not now"}
    stage.service.retried = {"A", "B"}
    feed = stage.feed(Curt, topics_per_message=4)
    feed.subscribe_many(["A", "B", "C", "D"])
    stage.until(lambda: feed.state("C") is TopicState.LIVE and feed.state("D") is None)
    stage.until(lambda: feed.of("refused"))
    assert feed.of("subscribed") == ["C"]
    assert {topic for topic, _, _ in feed.of("refused")} == {"A"}


def test_a_handler_unsubscribes_the_topic_that_would_have_been_found_silent_next(
    stage: Stage,
) -> None:
    class Curt(Recorder):
        def on_stale(self, topic: Any, silence: float) -> None:
            super().on_stale(topic, silence)
            self.unsubscribe("B")

    feed = stage.feed(Curt, stale_after=10.0)
    stage.live(feed, "A", "B")
    stage.advance(10.6)
    assert [topic for topic, _ in feed.of("stale")] == ["A"]


def test_a_handler_unsubscribes_the_topic_whose_hole_would_have_been_told_next(
    stage: Stage,
) -> None:
    class Curt(Recorder):
        def on_gap(self, topic: Any, gap: Any) -> None:
            super().on_gap(topic, gap)
            self.unsubscribe("B")

    feed = stage.feed(Curt)
    stage.live(feed, "A", "B")
    stage.service.publish("A", "B")
    stage.until(lambda: len(feed.of("update")) == 2)
    stage.service.connections[0].abort()
    stage.advance_until(lambda: feed.state("B") is None and feed.state("A") is TopicState.LIVE)
    assert [topic for topic, _ in feed.of("gap")] == ["A"]


def test_no_update_is_delivered_that_came_before_the_handler_has_unsubscribed(
    stage: Stage,
) -> None:
    got: list[Any] = []

    def handler(update: Update) -> None:
        got.append(update.sequence)
        if update.sequence == 2:
            feed.unsubscribe("A")

    feed = stage.feed(redundancy=2)
    stage.live(feed, "A", handler=handler)
    one, other = stage.service.connections
    for number in (1, 3, 4):
        one.say(topic="A", seq=number)
    other.say(topic="A", seq=1)
    stage.turns()
    other.say(topic="A", seq=2)  # fills the hole: 2, 3 and 4 are to be delivered in one go
    stage.until(lambda: feed.state("A") is None)
    assert got == [1, 2]


# -- what the service says -------------------------------------------------------------------------


def test_a_topic_that_the_service_ends_is_told_and_its_subscriptions_are_closed(
    stage: Stage,
) -> None:
    feed = stage.feed(says(Ended(["A"], "delisted")))
    subscriptions = [feed.subscribe("A"), feed.subscribe("A"), feed.subscribe("B")]
    stage.until(lambda: "live" in feed.names())
    stage.service.connections[0].say(several=True)
    stage.until(lambda: feed.of("ended"))
    assert feed.of("ended") == [("A", "delisted")]
    assert [one.closed for one in subscriptions] == [True, True, False]
    assert feed.topics() == ["B"]


def test_a_topic_that_the_service_unsubscribes_is_asked_for_again(stage: Stage) -> None:
    feed = stage.feed(says(Unsubscribed("A")))
    stage.live(feed, "A")
    stage.service.connections[0].say(several=True)
    stage.until(lambda: feed.names().count("live") == 2)
    assert feed.stats().resubscribed == 1


def test_a_message_that_says_nothing_does_nothing(stage: Stage) -> None:
    feed = stage.feed(type("Deaf", (Several,), {"events": lambda self: None}))
    stage.live(feed, "A")
    stage.service.connections[0].say(several=True)
    stage.service.publish("A")
    stage.until(lambda: feed.of("update"))
    assert feed.of("error") == []


def test_wildcards_go_to_on_update_and_are_counted(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    connection: Connection = stage.service.connections[0]
    connection.say(topic="OTHER")
    stage.until(lambda: feed.of("update"))
    assert feed.of("update")[0][0] == "OTHER"
    assert feed.stats().strays == 1


def test_replay_last_gives_a_new_consumer_the_last_update(stage: Stage) -> None:
    got: list[Update] = []
    feed = stage.feed()
    stage.live(feed, "A")
    feed.subscribe("A", got.append, replay_last=True)
    assert got == []
    stage.service.publish("A", x=1)
    stage.until(lambda: got)
    late: list[Update] = []
    feed.subscribe("A", late.append, replay_last=True)
    assert late == got


# -- builders --------------------------------------------------------------------------------------


def test_topics_are_resumed_where_an_earlier_run_of_the_program_has_left_them(
    stage: Stage,
) -> None:
    class Resuming(Recorder):
        def resume_message(self, positions: Any, link: Link) -> Any:
            self.told.append(("resume", {name: last.sequence for name, last in positions.items()}))
            return self.subscribe_message(list(positions), link)

    feed = stage.feed(Resuming)
    stage.live(feed, "A", "B", after={"A": Update("A", None, 7)})
    assert feed.of("resume") == [{"A": 7}]
    feed.unsubscribe("B")
    stage.until(lambda: feed.state("B") is None)
    said = [said for _, said in stage.service.connections[0].received]
    assert said == [
        {"op": "subscribe", "args": ["A"]},
        {"op": "subscribe", "args": ["B"]},
        {"op": "unsubscribe", "args": ["B"]},
    ]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_a_builder_of_one_link_costs_the_other_links_nothing(
    stage: Stage, end: type[BaseException]
) -> None:
    class Interrupted(Recorder):
        ends = 1

        def subscribe_message(self, topics: Any, link: Link) -> Any:
            if self.ends:
                self.ends -= 1
                raise end
            return super().subscribe_message(topics, link)

    feed = stage.feed(Interrupted, topics_per_link=1)
    feed.subscribe_many(["A", "B", "C"])
    with pytest.raises(end):
        stage.advance_until(lambda: "live" in feed.names())
    stage.advance_until(lambda: "live" in feed.names())
    assert feed.of("error") == []


# -- links -----------------------------------------------------------------------------------------


def test_a_link_that_cannot_be_connected_is_told_and_the_others_are_not_concerned() -> None:
    class Fussy(Reactor):
        def connect(self, url: Any, *args: Any, **options: Any) -> Any:
            if "wrong" in url:
                raise ValueError("no such place")
            return super().connect(url, *args, **options)

    with Fussy() as loop:
        service = Service(loop)
        feed = Recorder(loop, ["ws://wrong.example/", service.url], redundancy=2)
        feed.subscribe("A")
        run_until(loop, lambda: feed.state("A") is TopicState.LIVE)
        assert [str(error) for error in feed.of("error")] == ["no such place"]
        feed.close()
        assert feed.links == []


def test_urls_take_turns(stage: Stage) -> None:
    urls = [f"{stage.service.url}{name}" for name in ("one", "two")]
    feed = stage.feed(url=urls, topics_per_link=1)
    stage.live(feed, *"ABCD")
    assert [link.url for link in feed.links] == [*urls, *urls]


def test_a_link_that_has_no_attempt_left_is_told(stage: Stage) -> None:
    stage.service.status = 503
    feed = stage.feed(options={"reconnect": None})
    feed.subscribe("A")
    stage.until(lambda: len(feed.of("error")) == 2)
    assert "is given up, and its topics wait" in str(feed.of("error")[1])
    assert feed.state("A") is TopicState.WANTED


def test_a_link_that_is_lost_while_it_is_replaced_is_not_opened_again(stage: Stage) -> None:
    feed = stage.feed(max_link_age=100.0)
    stage.live(feed, "A")
    (old,) = feed.links
    stage.service.acks = False  # so its successor never has the topic, and it is not closed
    stage.advance_until(lambda: len(feed.links) == 2, at_most=91.0)
    stage.service.connections[0].abort()
    stage.until(lambda: old not in feed.links)
    stage.advance(4.0)
    assert len(feed.links) == 1
    assert len(stage.service.attempts) == 2


def test_a_feed_that_has_lost_its_last_topic_closes_its_links_after_a_while(stage: Stage) -> None:
    feed = stage.feed(redundancy=2)
    stage.live(feed, "A")
    feed.unsubscribe("A")
    stage.advance(11.0)
    assert feed.links == []
    assert stage.service.connections == []
    assert feed.stats().updates == 0


def test_updates_of_links_that_are_closed_are_counted_still(stage: Stage) -> None:
    feed = stage.feed()
    stage.live(feed, "A")
    for _ in range(5):
        stage.service.publish("A", numbered=True)
    stage.until(lambda: len(feed.of("update")) == 5)
    feed.unsubscribe("A")
    stage.advance(11.0)
    assert feed.links == []
    assert feed.stats().updates == 5


def test_what_holds_up_the_loop_is_named_by_the_feed_s_class(stage: Stage) -> None:
    class Slow(Recorder):
        def subscribe_message(self, topics: Any, link: Link) -> Any:
            stage.clock.advance(3.0)
            return super().subscribe_message(topics, link)

    feed = stage.feed(Slow)
    stage.live(feed, "A")
    assert stage.loop.stats().longest_callback_of == "Driver._pump for Slow"


# -- mailboxes -------------------------------------------------------------------------------------


def test_a_mailbox_tells_what_it_drops_only_of_topics_that_are_wanted(stage: Stage) -> None:
    feed = stage.feed()
    box = feed.mailbox(maxlen=1)
    stage.live(feed, "A", "B", handler=box)
    stage.service.publish("A")
    stage.until(lambda: len(box))
    feed.unsubscribe("A")
    stage.service.publish("B")
    stage.until(lambda: box.dropped)
    assert feed.of("gap") == []
    stage.service.publish("B")
    stage.until(lambda: feed.of("gap"))
    assert [(topic, gap.reason) for topic, gap in feed.of("gap")] == [("B", "dropped")]
    assert feed.stats().gaps == {"dropped": 1}
    feed.close()
    assert box.get().topic == "B"
