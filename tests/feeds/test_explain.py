"""What is known of a topic, in words."""

from __future__ import annotations

from typing import Any

from reactor.feeds.explain import explain
from reactor.feeds.topics.reconciler import Reconciler
from reactor.feeds.topics.topic import Place

from .topics.world import World
from .topics.world import world as calm


def world(**options: Any) -> World:
    made = calm(**options)
    made.held = True
    return made


def said(made: World, topic: str = "A") -> list[str]:
    core: Reconciler = made.core
    lines = explain(core, topic, made.now).split("\n")
    places = {repr(place): f"link {number}" for number, place in enumerate(made.places)}
    for shown, name in places.items():
        lines = [line.replace(shown, name) for line in lines]
    return lines


def test_a_topic_that_nobody_knows() -> None:
    assert said(world()) == ["'A' is not known: nobody has subscribed it, or it is over."]


def test_a_topic_on_its_way() -> None:
    made = world(ack_timeout=5.0)
    made.blocked = True
    made.subscribe("A")
    assert said(made)[0] == "'A' is WANTED: it has one consumer."
    made.open(made.places[0])
    assert said(made)[1].startswith("On link 0 it ")
    assert said(made)[1].endswith("and that changes in 5.0 s.")
    made.answer_all()
    made.now += 2.5
    assert said(made) == [
        "'A' is LIVE: it has one consumer.",
        "On link 0 it is live and no update has come yet, in 2.5 s.",
    ]
    made.update(made.places[0], "A", 7)
    made.now += 1.5
    assert said(made)[1] == "On link 0 it is live and was last heard of 1.5 s ago."
    assert said(made)[-1] == "An update has come, with the sequence 7."


def test_several_consumers_and_none() -> None:
    made = world()
    made.subscribe("A")
    record = made.core.board.topics["A"]
    record.consumers = (object(), object())
    assert said(made)[0] == "'A' is ASKED: it has 2 consumers."
    record.consumers = object()
    made.unsubscribe("A")
    assert "nobody wants it any longer" in said(made)[0]


def test_a_topic_for_which_there_is_no_room() -> None:
    made = world(topics_per_link=1, max_links=1)
    made.subscribe("A", "B")
    assert said(made, "B")[1] == (
        "It waits for a link that is open and has room and all links are full."
    )


def test_a_topic_that_was_refused_for_good() -> None:
    made = world()
    made.final.add("A")
    made.subscribe("A")
    made.answer_all()
    assert said(made)[:2] == [
        "'A' is REFUSED: it is not asked for again until it is subscribed anew.",
        "The service has refused it for good: no.",
    ]


def test_a_topic_that_is_asked_for_again() -> None:
    made = world()
    made.refuse.add("A")
    made.subscribe("A")
    made.answer_all()
    assert said(made)[1].endswith("after 1 attempts in vain.")


def test_a_hole_that_another_link_may_fill() -> None:
    made = world(redundancy=2)
    made.subscribe("A")
    made.answer_all()
    one, other = made.places
    made.update(one, "A", 1)
    made.update(other, "A", 1)
    made.update(one, "A", 3)
    assert said(made)[-1] == "1 updates wait for those that are missing before them."


def test_a_hole_that_is_told_with_the_next_update() -> None:
    made = world()
    made.subscribe("A")
    made.answer_all()
    made.update(made.places[0], "A", 1)
    made.kill(made.places[0])
    assert said(made)[-1] == "Updates may be missing before the next one (reconnect)."


def test_a_topic_that_was_found_silent_on_a_link_that_is_replaced() -> None:
    made = world()
    made.subscribe("A")
    made.answer_all()
    record = made.core.board.topics["A"]
    record.rare.vain = 2
    place: Place = made.places[0]
    place.retiring = True
    lines = said(made)
    place.retiring = False
    assert lines[1].endswith("; the link is being replaced.")
    assert lines[-1] == "It was found silent 2 times in a row."
