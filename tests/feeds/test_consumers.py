"""Who wants a topic: nobody, one subscription, or several."""

from __future__ import annotations

from typing import Any
from unittest import mock

from reactor.feeds.consumers import Consumers, Subscription, each, with_one, without


def subscription(topic: str = "A") -> Subscription:
    feed: Any = mock.Mock()
    return Subscription(feed, topic, None)


def test_consumers_come_and_go_in_order() -> None:
    one, two, three = (subscription() for _ in range(3))
    consumers: Consumers = None
    assert each(consumers) == ()
    for new in (one, two, three):
        consumers = with_one(consumers, new)
    assert each(consumers) == (one, two, three)
    consumers = without(consumers, two)
    assert each(consumers) == (one, three)
    consumers = without(consumers, one)
    assert consumers is three
    assert without(consumers, one) is three
    assert without(consumers, three) is None


def test_a_subscription_says_what_it_is_for_and_closes_by_its_feed() -> None:
    one = subscription("BTC-USD")
    assert repr(one) == "<Subscription 'BTC-USD'>"
    one.closed = True
    assert repr(one) == "<Subscription 'BTC-USD', closed>"
    one.close()
    feed: Any = one.feed
    feed.close_subscription.assert_called_once_with(one)
