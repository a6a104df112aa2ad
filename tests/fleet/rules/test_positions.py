"""Ids of messages, and what they tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.fleet.names import Names, topic_of, topic_token
from reactor.fleet.rules.positions import Position, message_id, numbered_id, position_of


@given(
    st.text(min_size=1).filter(lambda text: text < "\ud800" or text.isprintable()),
    st.integers(),
    st.none() | st.integers() | st.text(),
    st.sampled_from(["", "4.1"]),
)
def test_an_id_tells_how_far_its_topic_has_come(
    topic: str, sequence: int, epoch: Any, mark: str
) -> None:
    try:
        topic.encode()
    except UnicodeEncodeError:
        return
    identity = message_id(topic_token(topic), sequence, epoch, mark)
    assert position_of(identity) == Position(sequence, epoch, mark)
    assert "\n" not in identity


def test_the_same_numbers_of_another_count_have_other_ids() -> None:
    ids = {
        message_id("A", 1),
        message_id("A", 1, "e"),
        message_id("A", 1, "f"),
        message_id("A", 1, None, "4.1"),
        message_id("B", 1),
        numbered_id(0, 1, 1),
        numbered_id(0, 2, 1),
        numbered_id(1, 1, 1),
    }
    assert len(ids) == 8


@pytest.mark.parametrize("identity", ["", "A", numbered_id(0, 1, 2), "A x", "of somebody else"])
def test_an_id_of_another_kind_tells_nothing(identity: str) -> None:
    assert position_of(identity).sequence is None


def test_a_position_is_what_a_feed_goes_on_after() -> None:
    update = Position(7, "e").update("A")
    assert (update.topic, update.sequence, update.epoch, update.data) == ("A", 7, "e", None)


@given(st.text(min_size=1))
def test_a_topic_is_one_or_several_tokens_of_a_subject_and_comes_back(topic: str) -> None:
    try:
        topic.encode()
    except UnicodeEncodeError:
        return
    token = topic_token(topic)
    assert topic_of(token) == topic
    assert all(token.split("."))
    assert not set(token) & set(" *>\t\r\n")
    assert token.isascii()


def test_dots_stay_so_that_consumers_can_filter() -> None:
    assert topic_token("spot.BTC-USD") == "spot.BTC-USD"
    assert topic_token("a..b") == "a%2E%2Eb"
    assert topic_token("*.>") == "%2A.%3E"
    with pytest.raises(ValueError, match="empty"):
        topic_token("")


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a>", "x" * 65])
def test_a_fleet_has_a_name_that_can_stand_in_subjects(name: str) -> None:
    with pytest.raises(ValueError, match="name must be"):
        Names(name)


def test_names_of_nodes_become_keys() -> None:
    assert Names.node("host.example_1") == "node.host=2Eexample_1"
