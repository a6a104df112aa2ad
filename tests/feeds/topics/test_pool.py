"""Which topic is on which link, how many links there are, and how one is replaced."""

from __future__ import annotations

from typing import Any

from reactor.feeds.topics.board import Order
from reactor.feeds.topics.topic import Place

from .world import Answer, World, asked, live, world


def test_a_link_is_replaced_by_one_on_which_all_topics_are_live_first() -> None:
    made = live("A", "B", max_link_age=100.0)
    old = made.places[0]
    made.update(old, "A", 1)
    made.advance(92.0)
    new = made.places[1]
    assert old in made.connections
    made.update(old, "A", 2)
    made.answer(new)
    made.update(new, "A", 2)
    made.update(new, "A", 3)
    made.update(old, "A", 3)
    assert made.delivered == [1, 2, 3]
    made.advance(1.0)
    assert old not in made.places
    made.check_settled()
    assert made.gaps == []
    assert made.of(Order.SUBSCRIBED) == []


def test_without_sequences_the_old_links_updates_count_until_it_is_closed() -> None:
    made = live("A", max_link_age=100.0)
    old = made.places[0]
    made.update(old, "A", None)
    made.advance(92.0)
    made.answer_all()
    new = made.places[1]
    for _ in range(3):
        made.update(old, "A", None)
        made.update(new, "A", None)
    assert len(made.delivered) == 4
    made.advance(1.0)
    made.update(new, "A", None)
    assert len(made.delivered) == 5
    assert made.gaps == []


def test_an_old_link_that_is_lost_before_it_is_replaced_leaves_a_hole() -> None:
    made = live("A", max_link_age=100.0)
    old = made.places[0]
    made.update(old, "A", None)
    made.blocked = True
    made.advance(92.0)
    made.kill(old)
    made.open(made.places[0])
    made.answer_all()
    assert made.gaps == [("A", "reconnect")]
    made.check_settled()


def test_ages_are_jittered() -> None:
    made = world(topics_per_link=1, max_link_age=1000.0)
    made.subscribe(*"ABCDEFGH")
    ages = {place.retire_at - made.now for place in made.places}
    assert len(ages) == 8
    assert all(750 <= age <= 900 for age in ages)


def test_links_that_unsubscriptions_have_thinned_out_are_merged_slowly() -> None:
    made = live(*"ABCDEFGH", topics_per_link=2)
    made.held = False
    made.unsubscribe(*"BDFH")
    made.answer_all()
    assert len(made.places) == 4
    made.advance(12.0)
    assert len(made.places) == 3
    made.advance(30.0)
    assert len(made.places) == 2
    made.check_settled()
    assert made.gaps == []


def test_a_feed_without_topics_closes_its_links() -> None:
    made = live("A")
    made.held = False
    made.unsubscribe("A")
    made.advance(11.0)
    assert made.places == []
    made.subscribe("A")
    made.answer_all()
    made.check_settled()


def test_topics_that_are_ending_keep_their_place() -> None:
    made = live("A", "B", topics_per_link=2, max_links=1)
    made.unsubscribe("A")
    made.subscribe("C")
    assert made.state("C") == "WANTED"
    made.answer_all()
    assert made.state("C") == "LIVE"


def test_what_does_not_fit_waits_and_is_told_once() -> None:
    made = world(topics_per_link=2, max_links=2)
    made.subscribe(*"ABCDEF")
    assert len(made.places) == 2
    assert len(made.of(Order.OVERFULL)) == 1
    assert [made.state(name) for name in "EF"] == ["WANTED", "WANTED"]
    made.answer_all()
    made.unsubscribe("A")
    made.answer_all()
    assert made.state("E") == "LIVE"


def test_after_a_loss_topics_go_to_open_links_with_room_and_the_rest_waits() -> None:
    made = live("A", "B", "C", "D", topics_per_link=3)
    first, second = made.places
    made.kill(first)
    assert sorted(second.legs) == ["A", "B", "D"]
    assert made.state("C") == "WANTED"
    made.open(first)
    made.answer_all()
    made.check_settled()


def test_a_topic_that_is_given_up_while_it_waits_for_a_place_takes_none() -> None:
    made = world(topics_per_link=1, max_links=1)
    made.subscribe("A", "B", "C")
    made.answer_all()
    made.unsubscribe("B")
    made.unsubscribe("A")
    made.answer_all()
    made.check_settled()
    assert made.wanted == {"C"}


def test_a_link_without_a_limit_has_room_for_all() -> None:
    names = [f"T{number}" for number in range(200)]
    made = world(topics_per_link=None)
    made.subscribe(*names)
    made.answer_all()
    made.check_settled()
    assert len(made.places) == 1


def test_what_the_service_ends_is_asked_for_again_on_the_same_link() -> None:
    made = live("A", "B", topics_per_link=2, max_links=1)
    (place,) = made.places
    made.connections[place].subscribed.discard("A")
    made.give(place, Answer("unsubscribed", ("A",)))
    made.answer_all()
    assert asked(made) == [["A", "B"], ["A"]]
    made.check_settled()


def test_what_is_ending_on_a_link_that_is_lost_is_over() -> None:
    made = live("A", "B")
    (place,) = made.places
    made.unsubscribe("A")
    made.kill(place)
    assert made.state("A") is None
    made.open(place)
    assert asked(made) == [["B"]]
    made.answer_all()
    made.check_settled()


def test_a_topic_that_was_silent_on_a_link_that_is_lost_is_not_silent_on_the_next_one() -> None:
    made = live("A", stale_after=10.0, on_stale_do="report")
    (place,) = made.places
    made.advance(10.5)
    assert made.state("A") == "STALE"
    made.kill(place)
    assert made.state("A") == "WANTED"
    made.open(place)
    made.answer_all()
    assert made.state("A") == "LIVE"


# -- a link that is being replaced ---------------------------------------------------------------


def replacing(*names: str, **options: Any) -> tuple[World, Place, Place]:
    """Topics on a link that is being replaced, and its successor, which has not answered yet."""
    made = live(*names, **options)
    (old,) = made.places
    made.core.pool.retire(old, made.now)
    made.run()
    (new,) = (place for place in made.places if place is not old)
    return made, old, new


def test_it_is_replaced_once() -> None:
    made, old, new = replacing("A")
    made.core.pool.retire(old, made.now)
    made.run()
    assert made.places == [old, new]
    assert made.core.board.counts["replaced"] == 1


def test_what_it_was_not_asked_for_yet_moves_at_once() -> None:
    made = live("A")
    (old,) = made.places
    made.core.want("B", object())
    made.wanted.add("B")
    made.core.pool.retire(old, made.now)
    made.run()
    assert asked(made) == [["A"], ["A", "B"]]
    made.answer_all()
    made.advance(1.0)
    made.check_settled()


def test_what_is_ending_there_does_not_move() -> None:
    made = live("A", "B")
    (old,) = made.places
    made.unsubscribe("A")
    made.core.pool.retire(old, made.now)
    made.run()
    made.answer_all()
    assert asked(made) == [["A", "B"], ["B"]]
    made.advance(1.0)
    assert old not in made.places
    made.check_settled()


def test_what_is_wanted_again_while_it_ends_there_begins_elsewhere() -> None:
    made = live("A", "B")
    (old,) = made.places
    made.unsubscribe("A")
    made.subscribe("A")
    made.core.pool.retire(old, made.now)
    made.run()
    assert asked(made) == [["A", "B"], ["B"]]
    made.answer_all()
    assert asked(made)[1:] == [["B"], ["A"]]
    made.advance(1.0)
    assert old not in made.places
    made.check_settled()


def test_what_the_service_ends_there_has_a_successor_already() -> None:
    made, old, new = replacing("A")
    made.connections[old].subscribed.clear()
    made.give(old, Answer("unsubscribed", ("A",)))
    assert asked(made) == [["A"], ["A"]]
    made.advance(1.0)
    assert made.places == [new]
    made.answer_all()
    made.check_settled()


def test_what_nobody_wants_any_longer_need_not_arrive() -> None:
    made, old, _ = replacing("A")
    made.unsubscribe("A")
    made.answer_all()
    made.advance(1.0)
    assert old not in made.places
    assert made.state("A") is None


def test_it_goes_though_its_topics_were_given_up_for_a_moment() -> None:
    made, _, new = replacing("A", "B")
    made.answer_all()
    made.core.unwant("A")
    made.core.want("A", object(), now=made.now)
    made.run()
    made.advance(1.0)
    assert made.places == [new]
    made.check_settled()


def test_it_stays_when_its_successor_is_lost_before_it_has_a_topic() -> None:
    made, old, new = replacing("A")
    made.update(old, "A", 1)
    made.kill(new)
    made.advance(5.0)
    assert old in made.places
    made.update(old, "A", 2)
    made.open(new)
    made.answer_all()
    made.update(new, "A", 3)
    made.advance(1.0)
    assert made.places == [new]
    assert made.delivered == [1, 2, 3]
    assert made.gaps == []


def test_it_stays_when_its_successor_is_lost_in_its_last_half_second() -> None:
    made, old, new = replacing("A")
    made.answer_all()
    made.advance(0.25)
    made.kill(new)
    made.advance(5.0)
    assert old in made.places
    assert made.state("A") == "LIVE"
    made.open(new)
    made.answer_all()
    made.advance(1.0)
    made.check_settled()
    assert made.gaps == []


def test_it_is_not_waited_for_a_topic_that_another_link_has() -> None:
    """A link that is replaced before its successor has all topics: there are three then."""
    made, oldest, old = replacing("A", "B")
    made.answer_all()
    made.core.pool.retire(old, made.now)
    made.run()
    (new,) = (place for place in made.places if place not in (oldest, old))
    made.answer_all()
    made.kill(old)
    made.advance(1.0)
    assert made.places == [new]
    made.check_settled()


def test_what_is_on_its_way_there_is_waited_for_no_longer_than_it_has_lived() -> None:
    made = live("A", max_link_age=2.0)
    (old,) = made.places
    made.advance(1.8, step=0.05)
    made.answer_all()
    made.advance(0.15, step=0.05)  # a twentieth of two seconds
    assert old not in made.places


# -- links that are not needed -------------------------------------------------------------------


def test_a_link_that_is_not_open_goes_before_one_that_has_topics() -> None:
    made = live(*"ABCD", topics_per_link=2)
    first, second = made.places
    made.unsubscribe("A", "B")
    made.answer_all()
    made.kill(first)
    made.advance(11.0)
    assert made.places == [second]
    made.check_settled()


def test_a_link_that_is_needed_again_by_then_stays() -> None:
    made = live(*"ABCD", topics_per_link=2)
    made.unsubscribe("A", "B")
    made.answer_all()
    made.advance(9.0)
    made.subscribe("E", "F")
    made.answer_all()
    made.advance(15.0)
    assert len(made.places) == 2
    assert made.core.board.counts["replaced"] == 0
    made.check_settled()
