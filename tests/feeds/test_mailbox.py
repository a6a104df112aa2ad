from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from reactor import WebSocketConnectionClosedException, WebSocketTimeoutException
from reactor.feeds import Mailbox, TopicState, Update

from .service import Stage


def put(box: Mailbox, *topics: str) -> None:
    for number, topic in enumerate(topics):
        box(Update(topic, number))


def test_updates_are_taken_in_order() -> None:
    box = Mailbox()
    put(box, "A", "B", "A")
    assert len(box) == 3
    assert [box.get().data for _ in range(2)] == [0, 1]
    assert [update.data for update in box.get_many(10)] == [2]
    with pytest.raises(WebSocketTimeoutException):
        box.get(timeout=0)
    assert box.get_many(5, timeout=0) == []


def test_when_it_is_full_the_oldest_is_dropped_and_counted_and_told_once() -> None:
    told: list[tuple[Update, Update | None]] = []
    box = Mailbox(2, on_drop=lambda *what: told.append(what))
    put(box, "A", "A", "A", "A")
    assert box.dropped == 2
    assert [(update.data, last) for update, last in told] == [(0, None)]
    taken = box.get_many(5)
    assert [update.data for update in taken] == [2, 3]
    put(box, "A", "A", "A")
    assert len(told) == 2
    assert told[1][1] is taken[-1]


def test_conflation_keeps_the_latest_of_each_topic_and_its_turn() -> None:
    box = Mailbox(2, drop="latest")
    put(box, "A", "B", "A")
    assert [(update.topic, update.data) for update in box.get_many(5)] == [("A", 2), ("B", 1)]
    assert box.dropped == 1
    put(box, "A", "B", "C")
    assert [update.topic for update in box.get_many(5)] == ["B", "C"]


def test_a_topic_whose_latest_is_dropped_for_want_of_room_is_told() -> None:
    told: list[tuple[Update, Update | None]] = []
    box = Mailbox(2, drop="latest", on_drop=lambda *what: told.append(what))
    put(box, "A")
    taken = box.get()
    put(box, "A", "A", "B", "C")
    assert [(update.topic, update.data, last) for update, last in told] == [("A", 1, taken)]
    assert box.dropped == 2


def test_it_remembers_no_more_topics_than_it_holds_updates() -> None:
    told: list[tuple[Update, Update | None]] = []
    box = Mailbox(2, on_drop=lambda *what: told.append(what))
    for topic in ("A", "B", "C"):
        put(box, topic)
        box.get()
    put(box, "A", "B", "C", "C")
    assert [update and update.topic for _, update in told] == [None, "B"]


def test_it_tells_the_age_of_what_it_holds() -> None:
    now = [10.0]
    box = Mailbox(clock=lambda: now[0])
    assert box.age == 0.0
    put(box, "A")
    now[0] = 15.0
    put(box, "B")
    assert box.age == 5.0
    box.get()
    assert box.age == 0.0


def test_another_thread_waits_for_updates_until_it_is_closed() -> None:
    box = Mailbox()
    got: list[Any] = []

    def consume() -> None:
        got.extend(update.data for update in box)

    thread = threading.Thread(target=consume)
    thread.start()
    put(box, *"ABC")
    box.close()
    thread.join(10)
    assert got == [0, 1, 2]
    put(box, "D")
    with pytest.raises(WebSocketConnectionClosedException):
        box.get()


def test_a_coroutine_takes_updates() -> None:
    box = Mailbox()

    async def consume() -> list[Any]:
        return [update.data async for update in box]

    async def main() -> list[Any]:
        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        await asyncio.to_thread(put, box, *"ABC")
        await asyncio.to_thread(box.close)
        return await task

    assert asyncio.run(main()) == [0, 1, 2]


@pytest.mark.parametrize("arguments", [(0,), (5, "newest"), ("5",), (1.5,), (True,)])
def test_arguments_that_cannot_be_used_are_errors(arguments: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"maxlen|drop"):
        Mailbox(*arguments)


def test_a_feed_counts_what_its_mailboxes_have_dropped(stage: Stage) -> None:
    feed = stage.feed()
    box = feed.mailbox(drop="latest")
    feed.subscribe("A", box)
    stage.until(lambda: feed.state("A") is TopicState.LIVE)
    for _ in range(3):
        stage.service.publish("A", numbered=True)
    stage.turns()
    assert feed.stats().mailbox_dropped == 2
    del box
    feed.close()
    assert feed.stats().mailbox_dropped == 2


def test_a_feed_tells_what_its_mailbox_drops_and_closes_it(stage: Stage) -> None:
    feed = stage.feed()
    box = feed.mailbox(maxlen=1)
    feed.subscribe("A", box)
    stage.until(lambda: feed.state("A") is TopicState.LIVE)
    stage.service.publish("A", numbered=True)
    stage.until(lambda: len(box))
    first = box.get()
    for _ in range(3):
        stage.service.publish("A", numbered=True)
    stage.turns()
    ((topic, gap),) = feed.of("gap")
    assert (topic, gap.reason, gap.last, gap.next) == ("A", "dropped", first, None)
    assert feed.stats().gaps["dropped"] == 1
    assert feed.stats().mailbox_dropped == 2
    feed.close()
    assert box.get().sequence == 4
    with pytest.raises(WebSocketConnectionClosedException):
        box.get()


def test_the_age_is_that_of_the_update_that_is_next() -> None:
    for drop in ("oldest", "latest"):
        now = [10.0]
        box = Mailbox(drop=drop, clock=lambda now=now: now[0])  # type: ignore[arg-type, misc]
        assert box.age == 0.0
        put(box, "A")
        now[0] = 12.5
        put(box, "B")
        assert box.age == 2.5


def test_a_coroutine_whose_loop_has_gone_or_who_waits_no_longer_does_no_harm() -> None:
    box = Mailbox()

    async def wait() -> None:
        async for _ in box:
            pytest.fail("nothing comes")

    async def give_up() -> None:
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        put(box, "A")  # its future is cancelled by now
        await asyncio.sleep(0)
        box.get()
        waiting.append(wait().__await__())
        next(waiting[0])  # nobody ends it

    waiting: list[Any] = []
    asyncio.run(give_up())
    put(box, "B")
    assert box.get().topic == "B"
    waiting[0].close()
