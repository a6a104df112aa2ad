"""The short way of an update and the long one come to the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Reactor
from reactor.feeds import Link, Update
from reactor.feeds.topics.board import Board

from ..service import Recorder


class Direct(Recorder):
    """Takes events in the place of messages."""

    stale_after = None
    idle_after = None

    def parse(self, message: Any, link: Link) -> Any:
        return message


class NoNetwork(Reactor):
    """A reactor whose connections never open."""

    def connect(self, url: Any, protocol: Any, **options: Any) -> Any:  # type: ignore[override]
        return protocol


@contextmanager
def live(sequences: str) -> Iterator[tuple[Direct, Any]]:
    """A feed with one live topic, and the function that takes its messages."""
    with NoNetwork() as loop:
        feed = type("Feed", (Direct,), {"sequences": sequences})(loop, "ws://x/")
        feed.subscribe("A")
        (link,) = feed.links
        core = feed._reactor_driver.core
        core.opened(link, 1.0)
        batch = core.batches.take(link)
        assert batch is not None
        core.sent(link, batch, 1.0)
        core.subscribed(link, ["A"], False, 1.0)
        feed._reactor_driver.perform()
        feed.told.clear()
        yield feed, link._wire.on_message


numbers = st.one_of(st.none(), st.integers(0, 12))
updates = st.builds(
    lambda number, previous, epoch: Update("A", None, number, previous, epoch),
    numbers,
    st.one_of(st.none(), st.none(), st.integers(0, 12)),
    st.sampled_from([None, None, "x", "y"]),
)


@settings(max_examples=300, derandomize=True, database=None)
@given(st.lists(updates, max_size=30), st.sampled_from(["contiguous", "increasing"]))
def test_both_ways_deliver_and_tell_the_same(sent: list[Update], sequences: str) -> None:
    told = []
    for short in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not short:
                patch.setattr(Board, "_set_fast", lambda board, record: None)
            with live(sequences) as (feed, take):
                for update in sent:
                    take(update)
                told.append(
                    [
                        (name, what[1] if name == "update" else vars_of(what[1]))
                        for name, *what in feed.told
                    ]
                )
    assert told[0] == told[1]


def vars_of(gap: Any) -> tuple[Any, ...]:
    return (gap.reason, gap.last, gap.next)


def test_ordinary_updates_take_the_short_way() -> None:
    with live("contiguous") as (feed, take):
        for number in range(1, 11):
            take(Update("A", None, number))
        assert feed.links[0].updates == 9  # all but the first
        assert feed.stats().updates == 10
    with live("increasing") as (feed, take):
        for number in (1, 5, 7):
            take(Update("A", None, number))
        assert feed.links[0].updates == 2
    with live("contiguous") as (feed, take):
        for _ in range(3):
            take(Update("A"))
        assert feed.links[0].updates == 2


def test_after_a_change_of_consumers_the_new_ones_get_the_next_update() -> None:
    with live("contiguous") as (feed, take):
        got: list[str] = []
        take(Update("A", None, 1))
        take(Update("A", None, 2))
        more = feed.subscribe("A", lambda update: got.append("more"))
        take(Update("A", None, 3))
        more.close()
        take(Update("A", None, 4))
        feed.unsubscribe("A")
        take(Update("A", None, 5))
        assert got == ["more"]
        assert len(feed.of("update")) == 4


def test_updates_in_a_list_take_the_short_way_and_a_fault_costs_only_its_own() -> None:
    with live("contiguous") as (feed, take):
        got: list[int] = []

        def handler(update: Update) -> None:
            got.append(update.sequence)
            if update.sequence == 3:
                raise RuntimeError("boom")

        feed.subscribe("A", handler)
        take([Update("A", None, number) for number in range(1, 6)])
        take([Update("A", None, 6), 5, Update("A", None, 7)])
        assert got == [1, 2, 3, 4, 5, 6, 7]
        assert feed.links[0].updates == 6
        assert [type(error) for error in feed.of("error")] == [RuntimeError, TypeError]
