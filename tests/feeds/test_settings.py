"""The URLs and options that a feed is given."""

from __future__ import annotations

import math
from typing import Any

import pytest

from reactor import Backoff, Pace, Reactor
from reactor.feeds import feeds_of
from reactor.feeds.feed import Feed
from reactor.feeds.policy import Policy, check_limit, check_seconds
from reactor.feeds.settings import LIVED, check_options, check_urls

from .service import Recorder

POLICY = Policy.of(Feed)


def url() -> str:
    return "ws://made.example/"


@pytest.mark.parametrize(
    ("given", "urls"),
    [
        ("ws://a.example/", ["ws://a.example/"]),
        (url, [url]),
        (["ws://a.example/", url], ["ws://a.example/", url]),
    ],
)
def test_one_url_or_several(given: Any, urls: list[Any]) -> None:
    assert check_urls(given) == urls


@pytest.mark.parametrize(
    ("given", "error", "reason"),
    [
        ([], ValueError, "url must be one URL at least, not an empty list"),
        (["http://a.example/"], ValueError, "http"),
        ([5], TypeError, "url must be a str or a function, or a list of them, not 5"),
    ],
)
def test_urls_that_cannot_be(given: Any, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        check_urls(given)


def test_a_link_counts_its_attempts_until_it_has_lived() -> None:
    assert check_options({}, POLICY)["reconnect"].reset_after == LIVED
    soon = check_options({"reconnect": Backoff(reset_after=3.0)}, POLICY)
    assert soon["reconnect"].reset_after == 3.0
    assert check_options({"reconnect": 5}, POLICY)["reconnect"] == 5
    assert check_options({"reconnect": None}, POLICY)["reconnect"] is None


def test_the_pace_of_the_policy_is_that_of_the_links_unless_they_have_one() -> None:
    paced = Policy(**{**_knobs(), "connect_pace": Pace(1, per=2.0)})
    assert check_options({}, paced)["connect_pace"] == Pace(1, per=2.0)
    own = {"connect_pace": Pace(9, per=1.0)}
    assert check_options(own, paced)["connect_pace"] == Pace(9, per=1.0)
    assert "connect_pace" not in check_options({}, Policy(**{**_knobs(), "connect_pace": None}))


def _knobs() -> dict[str, Any]:
    return {name: getattr(POLICY, name) for name in POLICY.__dataclass_fields__}


@pytest.mark.parametrize("options", [{"fragments": True}, {"decode_text": False}])
def test_a_feed_takes_whole_messages(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a feed takes whole messages"):
        check_options(options, POLICY)


@pytest.mark.parametrize("value", [None, 1, 0.5])
def test_a_number_of_seconds_or_none(value: Any) -> None:
    check_seconds("idle_after", value)
    check_limit("stale_after", value)
    check_limit("stale_after", math.inf)


@pytest.mark.parametrize(
    ("value", "error"),
    [("5", TypeError), (0, ValueError), (-1, ValueError), (math.nan, ValueError)],
)
def test_what_is_no_number_of_seconds(value: Any, error: type[Exception]) -> None:
    for check in (check_seconds, check_limit):
        with pytest.raises(error, match="idle_after must be None, or more than 0 seconds"):
            check("idle_after", value)
    with pytest.raises(ValueError, match="idle_after"):
        check_seconds("idle_after", math.inf)


@pytest.mark.parametrize("name", ["on_gap", "on_live", "parse", "unsubscribe_message"])
def test_what_a_feed_calls_is_no_coroutine_function(loop: Reactor, name: str) -> None:
    async def called(*args: Any) -> None: ...

    mine = type("Mine", (Recorder,), {name: called})
    with pytest.raises(TypeError, match=rf"Mine\.{name} must be a plain function"):
        mine(loop, "ws://localhost/")
    assert feeds_of(loop) == []
