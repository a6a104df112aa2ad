"""Consumers: the subscriptions that get the updates of a topic.

What it is: :class:`Subscription`, which ``subscribe`` returns, and functions for the consumers of
one topic.

What it must not know: links, and what is asked for on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .events import Topic, Update

if TYPE_CHECKING:
    from .feed import Feed

__all__ = ["Handler", "Subscription", "with_one", "without"]

Handler = Callable[[Update], object]


class Subscription:
    """One consumer of a topic. At the service, all consumers of a topic are one subscription.

    Attributes:
        topic: the topic.
        handler: the function that gets the updates; None: the feed's ``on_update``.
        closed: whether it has ended (bool).
    """

    __slots__ = ("closed", "feed", "handler", "topic")

    def __init__(self, feed: Feed, topic: Topic, handler: Handler | None) -> None:
        self.feed = feed
        self.topic = topic
        self.handler = handler
        self.closed = False

    def close(self) -> None:
        """End the subscription. The last one of a topic ends it at the service, too. Any thread."""
        self.feed.close_subscription(self)

    def __repr__(self) -> str:
        return f"<Subscription {self.topic!r}{', closed' if self.closed else ''}>"


Consumers = Subscription | tuple[Subscription, ...] | None


def each(consumers: Consumers) -> tuple[Subscription, ...]:
    """Return consumers as a tuple."""
    if consumers is None:
        return ()
    return consumers if isinstance(consumers, tuple) else (consumers,)


def with_one(consumers: Consumers, one: Subscription) -> Consumers:
    """Return the consumers with one more."""
    return one if consumers is None else (*each(consumers), one)


def without(consumers: Consumers, one: Subscription) -> Consumers:
    """Return the consumers without one of them."""
    rest = tuple(other for other in each(consumers) if other is not one)
    if not rest:
        return None
    return rest[0] if len(rest) == 1 else rest
