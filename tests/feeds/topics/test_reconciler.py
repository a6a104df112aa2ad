"""The rules for what is asked, and what answers mean, without a network."""

from __future__ import annotations

import pytest

from reactor.feeds import Update
from reactor.feeds.topics.batch import Ask
from reactor.feeds.topics.board import Order
from reactor.feeds.topics.lifecycle import TABLE, Phase, Signal
from reactor.feeds.topics.reconciler import MAX_LEFT
from reactor.feeds.topics.topic import Place
from reactor.timers import Backoff

from .world import Answer, World, asked, live, world

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


# -- after a loss --------------------------------------------------------------------------------


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


# -- second thoughts -----------------------------------------------------------------------------


def test_subscribing_to_what_is_wanted_already_asks_for_nothing_and_keeps_its_priority() -> None:
    made = world(topics_per_message=1)
    made.blocked = True
    made.subscribe("A", "B")
    made.subscribe("B", priority=5)
    made.open(made.places[0])
    assert asked(made) == [["A"], ["B"]]


def test_a_topic_that_nobody_knows_can_be_given_up() -> None:
    made = world()
    made.unsubscribe("A")
    assert made.places == []
    assert made.told == []


def test_what_was_not_confirmed_yet_is_given_up_for_a_moment() -> None:
    made = world()
    made.held = True
    made.subscribe("A")
    (place,) = made.places
    made.core.unwant("A")
    made.core.want("A", object(), now=made.now)
    made.run()
    assert asked(made) == [["A"]]
    assert asked(made, Ask.UNSUBSCRIBE) == []
    made.connections[place].answers.clear()
    made.advance(5.0 + 1.1)  # its answer is due in time, as ever
    assert asked(made) == [["A"], ["A"]]
    made.answer_all()
    assert made.state("A") == "LIVE"


def test_a_confirmation_of_what_was_just_given_up_does_not_bring_it_back() -> None:
    made = world()
    made.held = True
    made.subscribe("A")
    (place,) = made.places
    made.core.unwant("A")
    made.wanted.clear()
    made.answer(place)
    assert made.of(Order.SUBSCRIBED) == []
    assert asked(made, Ask.UNSUBSCRIBE) == [["A"]]
    made.answer_all()
    assert made.state("A") is None


@pytest.mark.parametrize("kind", ["final", "refused"])
def test_a_refusal_of_what_was_just_given_up_is_its_end(kind: str) -> None:
    made = world()
    made.held = True
    made.subscribe("A")
    (place,) = made.places
    made.core.unwant("A")
    made.wanted.clear()
    made.give(place, Answer(kind, ("A",)))
    assert made.state("A") is None
    assert made.told == []
    assert asked(made, Ask.UNSUBSCRIBE) == []


def test_an_end_by_the_service_of_what_was_just_given_up_is_its_end() -> None:
    made = live("A")
    (place,) = made.places
    made.core.unwant("A")
    made.wanted.clear()
    made.connections[place].subscribed.clear()
    made.give(place, Answer("unsubscribed", ("A",)))
    assert made.state("A") is None
    assert asked(made, Ask.UNSUBSCRIBE) == []
    made.core.ended(place, ("A",), "delisted", made.now)
    made.run()
    assert made.told == []


def test_what_the_service_ends_for_good_while_it_is_given_up_is_not_told() -> None:
    made = live("A")
    (place,) = made.places
    made.unsubscribe("A")
    made.core.ended(place, ("A",), "delisted", made.now)
    made.run()
    assert made.state("A") is None
    assert made.told == []


def test_what_is_wanted_again_while_it_ends_may_be_given_up_again() -> None:
    made = live("A")
    made.unsubscribe("A")
    made.subscribe("A")
    made.unsubscribe("A")
    made.answer_all()
    assert made.state("A") is None
    assert asked(made) == [["A"]]


def test_a_topic_goes_on_after_the_last_update_of_an_earlier_run() -> None:
    made = world(resumes=True)
    made.blocked = True
    made.subscribe("A", "B")
    made.core.go_on_after(made.core.board.topics["A"], Update("A", None, 7))
    (place,) = made.places
    made.open(place)
    assert asked(made, Ask.RESUME) == [["A"]]
    made.answer_all()
    for number in (7, 10):
        made.update(place, "A", number)
    assert made.delivered == [10]
    assert made.gaps == [("A", "reconnect")]


# -- a link that is being replaced ---------------------------------------------------------------


def replaced(*names: str) -> tuple[World, Place]:
    """Topics on a link that is being replaced and to which no other one has confirmed them."""
    made = live(*names)
    (old,) = made.places
    made.core.pool.retire(old, made.now)
    made.run()
    return made, old


def test_what_is_given_up_there_for_a_moment_is_waited_for_as_before() -> None:
    made, old = replaced("A")
    made.core.unwant("A")
    made.core.want("A", object(), now=made.now)
    made.run()
    made.advance(2.0)
    assert old in made.places
    assert made.state("A") == "LIVE"
    made.answer_all()
    made.advance(1.0)
    assert old not in made.places
    made.check_settled()


def test_what_was_given_up_before_it_was_replaced_is_wanted_again_and_moves() -> None:
    made = live("A", "B")
    (old,) = made.places
    made.core.unwant("A")
    made.core.pool.retire(old, made.now)
    made.core.want("A", object(), now=made.now)
    made.run()
    made.answer_all()
    assert asked(made, Ask.UNSUBSCRIBE) == []
    made.advance(1.0)
    assert old not in made.places
    made.check_settled()
    assert made.gaps == []


# -- refusals on one of several links ------------------------------------------------------------


def test_a_final_refusal_on_one_link_ends_the_topic_on_the_others() -> None:
    made = world(redundancy=2)
    made.held = True
    made.subscribe("A")
    one, other = made.places
    made.give(one, Answer("final", ("A",)))
    made.answer_all()
    assert made.of(Order.REFUSED) == [("A", "no", True)]
    assert asked(made, Ask.UNSUBSCRIBE) == [["A"]]
    assert other.legs == {}


def test_a_topic_that_was_refused_on_one_link_is_given_up() -> None:
    made = world(redundancy=2)
    made.held = True
    made.subscribe("A")
    one, _ = made.places
    made.core.refused(one, ("A",), "no", False, made.now)
    made.core.unwant("A")  # while the other link is to be told
    made.wanted.clear()
    made.run()
    assert made.core.board.counts["ignored"] == 0
    made.answer_all()
    assert made.state("A") is None


def test_a_refusal_of_what_another_link_has_is_not_believed() -> None:
    made = world(redundancy=2)
    made.held = True
    made.subscribe("A")
    one, other = made.places
    made.answer(other)
    made.give(one, Answer("final", ("A",)))
    assert made.state("A") == "LIVE"
    made.advance(1.1)
    made.answer_all()
    made.check_settled()


def test_a_refusal_of_a_topic_that_nobody_asked_for_is_ignored() -> None:
    made = live("A")
    made.give(made.places[0], Answer("final", ("B",)))
    assert made.state("A") == "LIVE"
    assert made.core.board.counts["ignored"] == 1


# -- attempts that are used up -------------------------------------------------------------------

TWICE = Backoff(first=1.0, jitter=False, max_attempts=2)


def test_what_is_never_confirmed_is_refused_when_its_attempts_are_used_up() -> None:
    made = world(ask_again=TWICE)
    made.mute = True
    made.subscribe("A")
    made.advance(60.0)
    assert made.of(Order.REFUSED) == [("A", "not confirmed", True)]
    assert made.core.board.counts["asked"] == 3


def test_what_is_refused_for_now_again_and_again_is_refused_for_good() -> None:
    made = world(ask_again=TWICE)
    made.refuse = {"A"}
    made.subscribe("A")
    made.advance(60.0)
    assert made.of(Order.REFUSED) == [("A", "no", False)] * 2 + [("A", "no", True)]


def test_what_cannot_be_asked_for_is_refused_when_its_attempts_are_used_up() -> None:
    made = world(ask_again=TWICE)
    made.unbuildable = {"A"}
    made.subscribe("A", "B")
    made.advance(60.0)
    assert made.of(Order.REFUSED) == [("A", "not asked for", True), ("B", "not asked for", True)]


# -- messages that were not sent -----------------------------------------------------------------


def test_what_could_not_be_asked_for_is_asked_for_later() -> None:
    made = world()
    made.unbuildable = {"A"}
    made.subscribe("A", "B")
    assert made.state("B") == "WANTED"
    made.unbuildable = set()
    made.advance(1.5)
    made.check_settled()
    assert made.of(Order.REFUSED) == []


def test_an_unsubscription_that_could_not_be_made_is_over_after_a_while() -> None:
    made = live("A")
    made.unbuildable = {"A"}
    made.unsubscribe("A")
    made.advance(4.9)
    assert made.state("A") == "ENDING"
    made.connections[made.places[0]].subscribed.clear()
    made.advance(0.2)
    assert made.state("A") is None


def test_a_message_whose_link_is_lost_while_it_is_made_is_no_attempt() -> None:
    made = world(ask_again=Backoff(max_attempts=0))
    made.blocked = True
    made.subscribe("A")
    (place,) = made.places
    made.core.opened(place, made.now)
    batch = made.core.batches.take(place)
    assert batch is not None
    made.kill(place)
    made.core.not_sent(place, batch, made.now)
    made.open(place)
    made.answer_all()
    made.check_settled()


def test_an_unsubscription_whose_link_is_lost_while_it_is_made_is_over() -> None:
    made = live("A")
    (place,) = made.places
    made.core.unwant("A")
    made.wanted.clear()
    batch = made.core.batches.take(place)
    assert batch is not None
    made.kill(place)
    made.core.unsaid(place, batch, made.now)
    assert made.state("A") is None


def test_where_there_is_nothing_to_say_what_ends_is_over_and_the_rest_awaits_its_answer() -> None:
    made = world(saying=False)
    made.held = True
    made.subscribe("A")
    assert made.state("A") == "ASKED"
    made.answer_all()
    assert made.state("A") == "LIVE"
    made.unsubscribe("A")
    assert made.state("A") is None


# -- what is remembered of topics that have left -------------------------------------------------


def test_what_a_link_remembers_is_bounded() -> None:
    names = [f"T{number}" for number in range(MAX_LEFT + 10)]
    made = world(topics_per_link=None, topics_per_message=None)
    made.subscribe(*names)
    made.answer_all()
    (place,) = made.places
    for name in names:
        made.core.unwant(name)
    made.wanted.clear()
    made.run()
    made.answer_all()
    assert len(place.left) == MAX_LEFT
    made.update(place, names[0])  # forgotten
    made.update(place, names[-1])
    assert made.core.board.counts["strays"] == 1
    assert made.core.board.counts["unwanted"] == 1
