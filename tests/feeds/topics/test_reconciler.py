"""The rules for what is asked, and what answers mean, without a network."""

from __future__ import annotations

from typing import Any

import pytest

from reactor.feeds import Update
from reactor.feeds.topics.batch import Ask
from reactor.feeds.topics.board import Order
from reactor.feeds.topics.lifecycle import TABLE, Phase, Signal
from reactor.timers import Backoff

from .world import Answer, World

FIXED = Backoff(first=1.0, factor=2.0, cap=60.0, jitter=False)


def world(**options: Any) -> World:
    options.setdefault("ask_again", FIXED)
    options.setdefault("stale_after", None)
    options.setdefault("max_link_age", None)
    return World(**options)


def live(*names: str, **options: Any) -> World:
    """A world in which these topics are live on one link."""
    made = world(**options)
    made.subscribe(*names)
    made.answer_all()
    assert {made.state(name) for name in names} == {"LIVE"}
    made.told.clear()
    made.held = True
    return made


def asked(world: World, ask: Ask = Ask.SUBSCRIBE) -> list[list[Any]]:
    """The topics of each message of a kind, over all connections."""
    return [
        batch.topics
        for connection in world.connections.values()
        for batch in connection.asked
        if batch.ask is ask
    ]


# -- wanted, then made so ------------------------------------------------------------------------


def test_the_table_has_no_way_into_gone_that_comes_back() -> None:
    assert not any(phase is Phase.GONE for phase, _ in TABLE)
    assert {phase for phase, _ in TABLE} == set(Phase) - {Phase.GONE}
    assert {signal for _, signal in TABLE} == set(Signal)


def test_fifty_changes_of_mind_before_anything_was_sent_ask_once() -> None:
    made = world()
    for _ in range(50):
        made.core.want("A", object())
        made.core.unwant("A")
    made.subscribe("A")
    assert asked(made) == [["A"]]
    assert asked(made, Ask.UNSUBSCRIBE) == []


def test_an_unsubscription_that_was_not_sent_is_taken_back() -> None:
    made = live("A")
    made.core.unwant("A")
    made.core.want("A", object())
    made.run()
    assert made.state("A") == "LIVE"
    assert asked(made, Ask.UNSUBSCRIBE) == []
    assert made.told == []


def test_subscribing_while_it_ends_waits_for_the_answer_and_begins_a_new_stream() -> None:
    made = live("A")
    place = made.places[0]
    made.update(place, "A", 7)
    made.unsubscribe("A")
    made.subscribe("A")
    made.update(place, "A", 8)  # of the old stream
    assert made.state("A") == "WANTED"
    assert len(asked(made)) == 1
    made.answer(place)
    assert len(asked(made)) == 2
    made.answer(place)
    made.update(place, "A", 1)
    assert made.delivered == [7, 1]
    assert made.gaps == []


def test_topics_that_are_ending_keep_their_place() -> None:
    made = live("A", "B", topics_per_link=2, max_links=1)
    made.unsubscribe("A")
    made.subscribe("C")
    assert made.state("C") == "WANTED"
    made.answer_all()
    assert made.state("C") == "LIVE"


def test_priority_comes_before_age() -> None:
    made = world(topics_per_message=2)
    made.blocked = True
    made.subscribe("A", "B")
    made.subscribe("C", priority=1)
    made.open(made.places[0])
    assert asked(made) == [["C", "A"], ["B"]]


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


# -- after a loss --------------------------------------------------------------------------------


def test_after_a_loss_topics_go_to_open_links_with_room_and_the_rest_waits() -> None:
    made = live("A", "B", "C", "D", topics_per_link=3)
    first, second = made.places
    made.kill(first)
    assert sorted(second.legs) == ["A", "B", "D"]
    assert made.state("C") == "WANTED"
    made.open(first)
    made.answer_all()
    made.check_settled()


def test_without_sequences_a_loss_is_told_once_when_the_topic_is_live_again() -> None:
    made = live("A")
    place = made.places[0]
    made.update(place, "A", None)
    made.kill(place)
    made.open(place)
    made.kill(place)  # lost again before it was live: still one hole
    made.open(place)
    assert made.gaps == []
    made.answer_all()
    assert made.gaps == [("A", "reconnect")]
    assert made.last_gap.next is None
    assert made.last_gap.last is not None


def test_a_topic_that_was_never_live_has_no_hole() -> None:
    made = world()
    made.held = True
    made.subscribe("A")
    made.kill(made.places[0])
    made.open(made.places[0])
    made.answer_all()
    assert made.state("A") == "LIVE"
    assert made.gaps == []


def test_with_sequences_nothing_is_told_if_no_number_is_missing() -> None:
    made = live("A")
    place = made.places[0]
    made.update(place, "A", 1)
    made.kill(place)
    made.open(place)
    made.answer_all()
    made.update(place, "A", 2)
    assert made.gaps == []
    made.update(place, "A", 3)
    assert made.delivered == [1, 2, 3]


def test_with_sequences_a_hole_is_told_before_the_next_update() -> None:
    made = live("A")
    place = made.places[0]
    made.update(place, "A", 1)
    made.kill(place)
    made.open(place)
    made.answer_all()
    made.update(place, "A", 5)
    made.update(place, "A", 6)
    assert made.gaps == [("A", "reconnect")]
    gap = made.last_gap
    assert gap.last is not None
    assert gap.next is not None
    assert (gap.last.sequence, gap.next.sequence) == (1, 5)
    orders = [each[0] for each in made.told if each[0] in (Order.GAP, Order.DELIVER)]
    assert orders == [Order.DELIVER, Order.GAP, Order.DELIVER, Order.DELIVER]


def test_a_replay_that_overlaps_fills_the_hole() -> None:
    made = live("A")
    place = made.places[0]
    for number in (1, 2, 3):
        made.update(place, "A", number)
    made.kill(place)
    made.open(place)
    made.answer_all()
    for number in (2, 3, 4, 5):
        made.update(place, "A", number)
    assert made.delivered == [1, 2, 3, 4, 5]
    assert made.gaps == []


def test_increasing_sequences_cannot_tell_holes() -> None:
    made = live("A", sequences="increasing")
    place = made.places[0]
    for number in (1, 10, 10, 9, 30):
        made.update(place, "A", number)
    assert made.delivered == [1, 10, 30]
    assert made.gaps == []
    made.kill(place)
    made.open(place)
    made.answer_all()
    assert made.gaps == [("A", "reconnect")]


def test_recovered_means_that_nothing_is_missing() -> None:
    made = live("A")
    place = made.places[0]
    made.update(place, "A", None)
    made.kill(place)
    made.open(place)
    made.core.subscribed(place, ("A",), True, made.now)
    made.run()
    assert made.state("A") == "LIVE"
    assert made.gaps == []


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


def test_with_two_links_the_loss_of_one_is_no_hole() -> None:
    made = live("A", redundancy=2)
    one, other = made.places
    for number in (1, 2):
        made.update(one, "A", number)
        made.update(other, "A", number)
    made.kill(one)
    made.update(other, "A", 3)
    made.open(one)
    made.answer_all()
    assert made.delivered == [1, 2, 3]
    assert made.gaps == []
    assert made.of(Order.SUBSCRIBED) == []


def test_with_two_links_a_hole_of_one_is_filled_by_the_other() -> None:
    made = live("A", redundancy=2)
    one, other = made.places
    made.update(one, "A", 1)
    made.update(other, "A", 1)
    made.update(one, "A", 4)
    made.update(one, "A", 5)
    assert made.delivered == [1]
    made.update(other, "A", 2)
    made.update(other, "A", 3)
    assert made.delivered == [1, 2, 3, 4, 5]
    assert made.gaps == []


def test_a_hole_is_told_when_no_link_can_fill_it_any_longer() -> None:
    made = live("A", redundancy=2)
    one, other = made.places
    made.update(one, "A", 1)
    made.update(other, "A", 1)
    made.update(one, "A", 4)
    assert made.gaps == []
    made.update(other, "A", 4)  # it has passed the hole, too
    assert made.gaps == [("A", "sequence")]
    assert made.delivered == [1, 4]


def test_a_hole_is_told_when_the_link_that_could_fill_it_is_lost() -> None:
    made = live("A", redundancy=2)
    one, other = made.places
    made.update(one, "A", 1)
    made.update(other, "A", 1)
    made.update(one, "A", 4)
    made.kill(other)
    assert made.gaps == [("A", "sequence")]
    assert made.delivered == [1, 4]


def test_a_link_that_does_not_fill_a_hole_is_waited_for_two_seconds() -> None:
    made = live("A", redundancy=2)
    one, other = made.places
    made.update(one, "A", 1)
    made.update(other, "A", 1)
    made.update(one, "A", 4)
    made.advance(1.9)
    assert made.gaps == []
    made.advance(0.2)
    assert made.gaps == [("A", "sequence")]


def test_without_sequences_updates_of_one_link_count() -> None:
    made = live("A", redundancy=2)
    one, other = made.places
    for place in (one, other, one, other):
        made.update(place, "A", None)
    assert len(made.delivered) == 2


# -- nothing twice, nothing unwanted -------------------------------------------------------------


def test_updates_at_or_below_the_last_sequence_are_dropped() -> None:
    made = live("A")
    place = made.places[0]
    for number in (5, 5, 4, 6):
        made.update(place, "A", number)
    assert made.delivered == [5, 6]
    assert made.core.board.counts["duplicates"] == 2


def test_previous_says_what_an_update_follows() -> None:
    made = live("A")
    place = made.places[0]
    made.update(place, "A", 10)
    made.update(place, "A", 20, previous=10)
    made.update(place, "A", 25, previous=18)  # overlaps
    assert made.gaps == []
    made.update(place, "A", 40, previous=30)
    assert made.gaps == [("A", "sequence")]
    assert made.delivered == [10, 20, 25, 40]


def test_a_new_epoch_begins_a_new_count() -> None:
    made = live("A")
    place = made.places[0]
    made.update(place, "A", 10, epoch="x")
    made.update(place, "A", 1, epoch="y")
    made.update(place, "A", 11, epoch="x")  # late
    made.update(place, "A", 2, epoch="y")
    assert made.delivered == [10, 1, 2]
    assert made.gaps == [("A", "reset")]


def test_no_update_is_delivered_once_nobody_wants_the_topic() -> None:
    made = live("A")
    place = made.places[0]
    made.core.unwant("A")
    made.wanted.clear()
    made.core.update(place, Update("A"), made.now)  # before the service was told
    made.run()
    made.update(place, "A")
    made.answer_all()
    made.update(place, "A")
    assert made.delivered == []
    assert made.of(Order.STRAY) == []


def test_updates_of_topics_that_nobody_asked_for_are_strays() -> None:
    made = live("A")
    made.update(made.places[0], "B")
    assert [update.topic for (update,) in made.of(Order.STRAY)] == ["B"]
    assert made.core.board.counts["strays"] == 1


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


# -- acks ----------------------------------------------------------------------------------------


def test_what_is_not_confirmed_is_asked_for_again_after_a_wait_that_grows() -> None:
    made = world()
    made.mute = made.held = True
    made.subscribe("A")
    made.advance(4.9)
    assert len(asked(made)) == 1
    made.advance(0.2 + 1.2)
    assert len(asked(made)) == 2
    made.advance(5.0 + 1.0)
    assert len(asked(made)) == 2
    made.advance(1.1)
    assert len(asked(made)) == 3
    assert made.told == []


def test_updates_count_as_the_confirmation_that_did_not_come() -> None:
    made = world()
    made.mute = made.held = True
    made.subscribe("A")
    made.advance(1.0)
    made.update(made.places[0], "A", None)
    assert made.state("A") == "ASKED"
    assert made.delivered == [None]
    made.advance(4.5)
    assert made.state("A") == "LIVE"
    made.advance(60)
    assert len(asked(made)) == 1


def test_an_update_while_it_waits_to_be_asked_again_confirms_it() -> None:
    made = world()
    made.mute = made.held = True
    made.subscribe("A")
    made.advance(5.5)
    made.update(made.places[0], "A", None)
    assert made.state("A") == "LIVE"


def test_a_late_confirmation_counts_while_it_is_waited_for() -> None:
    made = world()
    made.held = True
    made.subscribe("A")
    made.advance(5.5)
    made.answer_all()
    assert made.state("A") == "LIVE"
    made.advance(60)
    assert len(asked(made)) == 1


def test_without_confirmations_what_was_asked_for_is_live() -> None:
    made = world(ack_timeout=None)
    made.mute = True
    made.subscribe("A")
    assert made.state("A") == "LIVE"
    made.unsubscribe("A")
    assert made.state("A") is None


def test_a_confirmation_that_comes_twice_is_told_once() -> None:
    made = world()
    made.held = True
    made.subscribe("A")
    place = made.places[0]
    made.answer(place, keep=True)
    made.answer(place)
    assert made.of(Order.SUBSCRIBED) == [("A",)]
    assert made.core.board.counts["ignored"] == 1


def test_a_confirmation_for_a_topic_that_is_gone_brings_nothing_back() -> None:
    made = world()
    made.held = True
    made.subscribe("A")
    place = made.places[0]
    late = made.connections[place].answers.pop()
    made.unsubscribe("A")
    made.give(place, late)
    assert made.state("A") == "ENDING"
    made.answer_all()
    assert made.state("A") is None
    made.give(place, late)
    assert made.state("A") is None


def test_a_refusal_that_may_be_retried_is_told_and_asked_again() -> None:
    made = world()
    made.refuse = {"A"}
    made.subscribe("A")
    made.answer_all()
    assert made.of(Order.REFUSED) == [("A", "no", False)]
    made.refuse = set()
    made.advance(1.5)
    assert made.state("A") == "LIVE"


def test_a_refusal_of_what_is_live_is_ignored() -> None:
    made = live("A")
    made.give(made.places[0], Answer("final", ("A",)))
    assert made.state("A") == "LIVE"
    assert made.told == []


def test_a_final_refusal_of_several_is_believed_only_for_each_alone() -> None:
    made = world()
    made.held = True
    made.subscribe(*"ABC")
    place = made.places[0]
    made.connections[place].answers.clear()
    made.final = {"B"}
    made.give(place, Answer("final", ("A", "B", "C")))
    assert asked(made)[1:] == [["A"], ["B"], ["C"]]
    assert made.of(Order.REFUSED) == []
    made.answer_all()
    assert made.of(Order.REFUSED) == [("B", "no", True)]
    assert [made.state(name) for name in "ABC"] == ["LIVE", "REFUSED", "LIVE"]


def test_a_final_refusal_survives_reconnects_and_ends_with_a_new_subscription() -> None:
    made = world()
    made.final = {"A"}
    made.subscribe("A", "B")
    made.answer_all()
    place = made.places[0]
    made.kill(place)
    made.open(place)
    made.answer_all()
    assert made.state("A") == "REFUSED"
    assert made.of(Order.REFUSED) == [("A", "no", True)]
    made.final = set()
    made.subscribe("A")
    made.answer_all()
    assert made.state("A") == "LIVE"


def test_an_end_that_nobody_asked_for_is_a_hole_and_asked_again() -> None:
    made = live("A")
    place = made.places[0]
    made.update(place, "A", None)
    made.connections[place].subscribed.clear()
    made.give(place, Answer("unsubscribed", ("A",)))
    assert made.state("A") == "ASKED"
    made.answer_all()
    assert made.state("A") == "LIVE"
    assert made.gaps == [("A", "resubscribe")]


def test_what_the_service_has_ended_is_given_up() -> None:
    made = live("A", "B")
    place = made.places[0]
    made.wanted.discard("A")
    made.connections[place].subscribed.discard("A")
    made.core.ended(place, ("A",), "delisted", made.now)
    made.run()
    assert made.state("A") is None
    assert [each[:2] for each in made.of(Order.ENDED)] == [("A", "delisted")]
    made.kill(place)
    made.open(place)
    assert asked(made) == [["B"]]


def test_an_unsubscription_without_an_answer_is_over_after_a_while() -> None:
    made = live("A")
    made.mute = True
    made.unsubscribe("A")
    assert made.state("A") == "ENDING"
    made.advance(5.1)
    assert made.state("A") is None


def test_one_late_answer_to_an_unsubscription_is_forgiven() -> None:
    made = live("A")
    place = made.places[0]
    made.unsubscribe("A")
    late = made.connections[place].answers.pop()
    made.advance(5.1)
    made.subscribe("A")
    made.answer_all()
    assert made.state("A") == "LIVE"
    made.give(place, late)
    assert made.state("A") == "LIVE"
    assert made.gaps == []
    made.connections[place].subscribed.clear()
    made.give(place, late)  # the second one is not
    assert made.state("A") == "ASKED"


def test_an_unsubscription_is_repeated_only_while_updates_keep_coming() -> None:
    made = live("A", "B")
    place = made.places[0]
    made.mute = True
    made.unsubscribe("A")
    made.advance(20)
    assert len(asked(made, Ask.UNSUBSCRIBE)) == 1
    for _ in range(20):
        made.update(place, "A")
    assert len(asked(made, Ask.UNSUBSCRIBE)) == 2
    made.advance(6)
    made.update(place, "A")
    assert len(asked(made, Ask.UNSUBSCRIBE)) == 3


def test_answers_on_another_link_mean_nothing() -> None:
    made = world(topics_per_link=1)
    made.held = True
    made.subscribe("A", "B")
    first, second = made.places
    answer = made.connections[first].answers[0]
    made.give(second, answer)
    assert made.state("A") == "ASKED"


# -- silence -------------------------------------------------------------------------------------


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


# -- make before break ---------------------------------------------------------------------------


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
