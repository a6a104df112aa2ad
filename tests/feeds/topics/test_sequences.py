"""Rules 2 and 3: whatever is lost, late or repeated on the links of a topic, its consumer sees each
number once, in order, and hears of each hole before the update behind it; and of no others.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.feeds import Gap, Update
from reactor.feeds.topics.board import Order
from reactor.feeds.topics.sequences import Judgement, judge
from reactor.timers import Backoff

from .world import Answer, live, world

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 3)),
        st.tuples(st.just("deliver"), st.integers(0, 2)),
        st.tuples(st.just("deliver"), st.integers(0, 2)),
        st.tuples(st.just("lose"), st.integers(0, 2)),
        st.tuples(st.just("repeat"), st.integers(0, 2)),
        st.tuples(st.just("kill"), st.integers(0, 2)),
        st.tuples(st.just("replace"), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.integers(1, 5)),
    ),
    max_size=60,
)


@settings(max_examples=300, derandomize=True, database=None)
@given(steps=steps, redundancy=st.integers(1, 3), jumps=st.booleans())
def test_each_number_once_in_order_and_each_hole_told_before_what_follows(
    steps: list[tuple[str, int]], redundancy: int, jumps: bool
) -> None:
    made = world(redundancy=redundancy, ask_again=Backoff(first=0.5, cap=1.0))
    made.subscribe("A")
    made.answer_all()
    queues: dict[Any, list[Update]] = {}
    number = 0
    for what, amount in steps:
        open_places = [place for place in made.places if place in made.connections]
        for place in list(queues):
            if place not in made.connections:
                del queues[place]
        if what == "publish":
            for _ in range(amount):
                previous, number = number, number + (3 if jumps else 1)
                for place in open_places:
                    if "A" in made.connections[place].subscribed:
                        queues.setdefault(place, []).append(
                            Update("A", number, number, previous if jumps else None)
                        )
        elif what == "wait":
            made.advance(amount / 2)
        elif open_places:
            place = open_places[amount % len(open_places)]
            queue = queues.setdefault(place, [])
            if what == "kill":
                made.kill(place)
                if place in made.places:
                    made.open(place)
                made.answer_all()
            elif what == "replace":
                made.core.pool.retire(place, made.now)
                made.run()
                made.answer_all()
            elif queue:
                update = queue[0] if what == "repeat" else queue.pop(0)
                if what != "lose":
                    made.core.update(place, update, made.now)
                    made.run()
    made.advance(3.0)
    check(made.told, 3 if jumps else 1)


def check(told: list[tuple[Any, ...]], step: int) -> None:
    """See the module."""
    last, gap = None, None
    for order, *what in told:
        if order is Order.GAP:
            one: Gap = what[1]
            if one.next is None:
                assert last is None, "a hole is told that numbers could show"
                continue
            assert gap is None, "two gaps for one hole"
            assert one.last is not None
            assert one.last.sequence == last
            gap = one
        elif order is Order.DELIVER:
            update: Update = what[1]
            if last is not None:
                assert update.sequence > last, "twice, or out of order"
                if update.sequence == last + step:
                    assert gap is None, "a gap that is none"
                else:
                    assert gap is not None, "a hole that was not told"
                    assert gap.next is update
            last, gap = update.sequence, None
    assert gap is None


@pytest.mark.parametrize(
    ("mark", "update", "contiguous", "expected"),
    [
        (None, (5,), True, Judgement.NEXT),
        ((5,), (None,), True, Judgement.NEXT),
        ((5,), (6,), True, Judgement.NEXT),
        ((5,), (7,), True, Judgement.AHEAD),
        ((5,), (7,), False, Judgement.NEXT),
        ((5,), (5,), False, Judgement.SEEN),
        ((5,), (4,), True, Judgement.SEEN),
        ((5,), (9, 5), True, Judgement.NEXT),
        ((5,), (9, 3), True, Judgement.NEXT),
        ((5,), (9, 6), True, Judgement.AHEAD),
        ((5, None, "x"), (1, None, "y"), True, Judgement.RESET),
        ((5, None, "x"), (6, None, None), True, Judgement.NEXT),
        ((5, None, None), (6, None, "x"), True, Judgement.NEXT),
        ((5, None, "x"), (5, None, "x"), True, Judgement.SEEN),
    ],
)
def test_an_update_is_judged_by_the_latest_one(
    mark: Any, update: Any, contiguous: bool, expected: Judgement
) -> None:
    latest = None if mark is None else Update("A", None, *mark)
    assert judge(latest, Update("A", None, *update), contiguous) is expected


def test_an_update_without_a_number_leaves_the_count_where_it_was() -> None:
    made = live("A")
    for number in (1, None, 1, 2, 5):
        made.update(made.places[0], "A", number)
    assert made.delivered == [1, None, 2, 5]
    assert made.gaps == [("A", "sequence")]


def test_what_is_held_back_is_bounded() -> None:
    made = live("A", redundancy=2)
    one, other = made.places
    made.update(one, "A", 1)
    made.update(other, "A", 1)
    for number in range(3, 1004):
        made.core.update(one, Update("A", number, number), made.now)
    made.run()
    assert made.gaps == [("A", "sequence")]
    assert len(made.delivered) == 1002


def test_a_number_that_is_text_cannot_go_up_by_one() -> None:
    made = live("A")
    with pytest.raises(TypeError, match="a contiguous sequence is a number, not '7'"):
        made.core.update(made.places[0], Update("A", None, "7"), made.now)
    assert made.delivered == []


# -- which link's updates count where there are no numbers ---------------------------------------


def test_while_nothing_is_confirmed_those_of_the_first_link_count() -> None:
    made = world(redundancy=2)
    made.held = True
    made.subscribe("A")
    one, other = made.places
    for place in (other, one, other):
        made.update(place, "A", None)
    assert len(made.delivered) == 1


def test_when_the_first_link_is_lost_those_of_the_other_one_count() -> None:
    made = live("A", redundancy=2)
    one, other = made.places
    made.update(other, "A", None)
    assert made.delivered == []
    made.kill(one)
    made.update(other, "A", None)
    assert len(made.delivered) == 1


def test_when_all_links_were_refused_those_of_the_first_one_count() -> None:
    made = world(redundancy=2)
    made.held = True
    made.subscribe("A")
    one, other = made.places
    for place in (one, other):
        made.give(place, Answer("refused", ("A",)))
    for place in (other, one, other):  # the service sends them all the same
        made.update(place, "A", None)
    assert len(made.delivered) == 1


def test_no_update_of_a_topic_that_was_refused_is_delivered() -> None:
    made = world(redundancy=2)
    made.held = True
    made.subscribe("A")
    one, other = made.places
    made.give(one, Answer("final", ("A",)))
    assert made.state("A") == "REFUSED"
    made.update(other, "A", 1)
    assert made.delivered == []
    assert made.core.board.counts["unwanted"] == 1
