"""What is asked for next on a link, and what goes into one message."""

from __future__ import annotations

from typing import Any

from reactor.feeds import Update
from reactor.feeds.topics.batch import Ask
from reactor.feeds.topics.topic import Place

from .world import FIXED, Connection, World, asked, live, world


def said(world: World, place: Place) -> list[tuple[str, list[Any]]]:
    """What was asked for on a link, message by message."""
    return [(batch.ask.value, batch.topics) for batch in world.connections[place].asked]


def closed(*names: str, **options: Any) -> tuple[World, Place]:
    """A world with topics that wait for its only link, which is not open."""
    made = world(**options)
    made.blocked = True
    made.subscribe(*names)
    return made, made.places[0]


def test_no_message_has_more_topics_than_are_allowed() -> None:
    made, place = closed(*"ABCDE", topics_per_message=2)
    made.open(place)
    assert said(made, place) == [
        ("subscribe", ["A", "B"]),
        ("subscribe", ["C", "D"]),
        ("subscribe", ["E"]),
    ]
    made.answer_all()
    made.unsubscribe(*"ABC")
    assert said(made, place)[3:] == [("unsubscribe", ["A", "B"]), ("unsubscribe", ["C"])]


def test_without_a_limit_one_message_has_all() -> None:
    names = [f"T{number}" for number in range(40)]
    made, place = closed(*names, topics_per_message=None)
    made.open(place)
    assert said(made, place) == [("subscribe", names)]


def test_what_is_not_wanted_any_longer_comes_first() -> None:
    made = live("A", "B")
    place = made.places[0]
    made.core.want("C", object())
    made.core.unwant("A")
    made.wanted = {"B", "C"}
    made.run()
    assert said(made, place)[1:] == [("unsubscribe", ["A"]), ("subscribe", ["C"])]


def test_each_of_several_topics_that_were_refused_together_has_a_message_of_its_own() -> None:
    made, place = closed(*"ABCD")
    made.open(place)
    made.connections[place].answers.clear()
    made.core.refused(place, ("B", "C"), "no", False, made.now)
    made.subscribe("E", "F")
    assert said(made, place)[1:] == [
        ("subscribe", ["B"]),
        ("subscribe", ["C"]),
        ("subscribe", ["E", "F"]),
    ]


def test_unsubscriptions_that_are_repeated_go_with_the_others() -> None:
    made = live(*"ABC", topics_per_message=2)
    place = made.places[0]
    made.mute = True
    made.unsubscribe("A", "B")
    made.advance(20.0)
    for name in ("A", "B"):
        made.core.update(place, Update(name), made.now)
    made.unsubscribe("C")
    assert said(made, place)[2:] == [
        ("unsubscribe", ["A", "B"]),
        ("unsubscribe", ["C", "A"]),
        ("unsubscribe", ["B"]),
    ]


def test_an_unsubscription_is_not_repeated_where_the_topic_is_wanted_again() -> None:
    made = live("A", "B")
    place = made.places[0]
    made.mute = True
    made.unsubscribe("A")
    made.advance(20.0)
    made.core.update(place, Update("A"), made.now)
    made.subscribe("A")
    assert said(made, place)[1:] == [("unsubscribe", ["A"]), ("subscribe", ["A"])]


def test_a_message_that_is_over_before_it_is_taken_is_not_said() -> None:
    made, place = closed("A")
    made.connections[place] = Connection()
    made.core.opened(place, made.now)
    made.core.unwant("A")
    assert made.core.batches.take(place) is None


def test_a_topic_that_is_ended_because_it_is_silent_may_miss_something_from_then_on() -> None:
    made = live("A", stale_after=10.0)
    made.held = False
    (place,) = made.places
    made.update(place, "A", None)
    made.advance(10.5)
    assert said(made, place)[1:] == [("unsubscribe", ["A"]), ("subscribe", ["A"])]
    made.update(place, "A", None)
    assert made.gaps == [("A", "resubscribe")]


def test_priority_comes_before_age() -> None:
    made = world(topics_per_message=2)
    made.blocked = True
    made.subscribe("A", "B")
    made.subscribe("C", priority=1)
    made.open(made.places[0])
    assert asked(made) == [["C", "A"], ["B"]]


def test_a_topic_with_a_position_is_resumed() -> None:
    made = World(resumes=True, ask_again=FIXED)
    made.subscribe("A", "B")
    made.answer_all()
    place = made.places[0]
    made.update(place, "A", 1)
    made.kill(place)
    connection = made.open(place)
    assert [(batch.ask, batch.topics) for batch in connection.asked] == [
        (Ask.RESUME, ["A"]),
        (Ask.SUBSCRIBE, ["B"]),
    ]
