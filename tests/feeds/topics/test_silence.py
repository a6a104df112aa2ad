"""Topics from which nothing comes: when that is found, and what follows."""

from __future__ import annotations

from itertools import pairwise

import pytest

from reactor.feeds import Update
from reactor.feeds.topics.batch import Ask
from reactor.feeds.topics.board import Order

from .world import asked, live, world


@pytest.mark.parametrize("limit", [10.0, 30.0])
def test_silence_is_found_in_time_and_ended_and_asked_for_again(limit: float) -> None:
    made = live("A", "B", stale_after=limit)
    made.held = False
    place = made.places[0]
    steps = int(limit / 0.25)
    for _ in range(steps - 1):
        made.advance(0.25)
        made.update(place, "B", None)
        assert made.of(Order.STALE) == []
    for _ in range(int(limit * 0.05 / 0.25) + 1):
        made.advance(0.25)
        made.update(place, "B", None)
    ((name, silence),) = made.of(Order.STALE)
    assert name == "A"
    assert limit <= silence <= limit * 1.05
    assert asked(made, Ask.UNSUBSCRIBE) == [["A"]]
    assert asked(made)[-1] == ["A"]
    assert made.state("A") == "STALE"
    made.update(place, "A", None)
    assert made.state("A") == "LIVE"


def test_each_time_in_vain_waits_longer_and_the_third_replaces_the_link() -> None:
    made = live("A", stale_after=10.0)
    made.held = False
    place = made.places[0]
    made.advance(10.5)
    assert len(made.of(Order.STALE)) == 1
    made.advance(10.5)
    assert len(made.of(Order.STALE)) == 1
    made.advance(5.0)
    assert len(made.of(Order.STALE)) == 2
    assert place in made.places
    made.advance(21.0)
    assert len(made.of(Order.STALE)) == 3
    made.advance(2.0)
    assert place not in made.places
    assert made.state("A") == "STALE"
    made.update(made.places[0], "A", None)
    assert made.state("A") == "LIVE"


def test_where_it_is_only_to_be_reported_nothing_is_asked() -> None:
    made = live("A", stale_after=10.0, on_stale_do="report")
    made.advance(100.0)
    assert len(made.of(Order.STALE)) == 1
    assert len(asked(made)) == 1
    made.update(made.places[0], "A", None)
    assert made.state("A") == "LIVE"
    made.advance(10.6)
    assert len(made.of(Order.STALE)) == 2


def test_a_topic_may_have_a_limit_of_its_own() -> None:
    made = world(stale_after=10.0, on_stale_do="report")
    made.subscribe("A", stale_after=float("inf"))
    made.subscribe("B", stale_after=2.0)
    made.answer_all()
    made.advance(60.0)
    assert [name for name, _ in made.of(Order.STALE)] == ["B"]


def test_where_only_old_numbers_come_for_long_the_count_has_begun_anew() -> None:
    made = live("A", stale_after=30.0)
    place = made.places[0]
    made.update(place, "A", 100)
    for number in range(1, 32):
        made.advance(1.0)
        made.update(place, "A", number)
    made.update(place, "A", 32)
    assert made.delivered[-1] == 32
    assert made.gaps == [("A", "reset")]
    assert made.of(Order.STALE) == []


def test_the_limit_of_a_topic_may_be_changed_later() -> None:
    made = live("A", "B", stale_after=30.0, on_stale_do="report")
    made.subscribe("A", stale_after=2.0)
    made.advance(2.5)
    assert [name for name, _ in made.of(Order.STALE)] == ["A"]
    made.advance(27.0)
    made.subscribe("B", stale_after=60.0)
    made.advance(20.0)
    assert [name for name, _ in made.of(Order.STALE)] == ["A"]


def test_the_limit_of_a_topic_that_waits_for_a_link_counts_when_it_has_one() -> None:
    made = world(topics_per_link=1, max_links=1)
    made.subscribe("A", "B")
    made.subscribe("B", stale_after=2.0)
    made.answer_all()
    made.unsubscribe("A")
    made.answer_all()
    made.held = True
    made.advance(2.5)
    assert [name for name, _ in made.of(Order.STALE)] == ["B"]


def test_a_topic_that_is_silent_on_one_of_its_links_only_is_asked_for_again_there() -> None:
    made = live("A", redundancy=2, stale_after=10.0)
    made.held = False
    one, other = made.places
    for number in range(1, 43):
        made.advance(0.25)
        made.update(other, "A", number)
    assert made.of(Order.STALE) == []
    assert made.state("A") == "LIVE"
    said = {place: [batch.ask for batch in made.connections[place].asked] for place in made.places}
    assert said[one] == [Ask.SUBSCRIBE, Ask.UNSUBSCRIBE, Ask.SUBSCRIBE]
    assert said[other] == [Ask.SUBSCRIBE]


def test_the_wait_grows_to_ten_times_the_limit_and_no_further() -> None:
    made = live("A", stale_after=10.0)
    made.held = False
    times: list[float] = []
    for _ in range(2000):
        made.advance(1.0)
        if len(made.of(Order.STALE)) > len(times):
            times.append(made.now)
    waits = [later - before for before, later in pairwise(times)]
    assert len(waits) > 20
    assert waits == sorted(waits)
    assert 100.0 <= waits[-1] <= 110.0


def test_an_update_before_the_service_was_told_that_it_is_silent_saves_it() -> None:
    made = live("A", stale_after=10.0)
    (place,) = made.places
    made.now += 10.5
    made.core.silence.scan(place, made.now)
    made.core.update(place, Update("A", "in the last moment"), made.now)
    made.run()
    assert asked(made, Ask.UNSUBSCRIBE) == []
    assert made.state("A") == "LIVE"
    assert made.delivered == ["in the last moment"]


def test_topics_that_fall_silent_one_after_the_other_are_found_each_in_time() -> None:
    made = live("A", "B", "C", stale_after=10.0, on_stale_do="report")
    (place,) = made.places
    made.advance(0.25)
    made.update(place, "B", 1)
    made.advance(2.75)
    made.update(place, "C", 1)
    made.advance(10.0)
    silences = dict(made.of(Order.STALE))
    assert silences.keys() == {"A", "B", "C"}
    assert all(10.0 <= silence <= 10.5 for silence in silences.values())
