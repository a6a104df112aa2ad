"""Subscriptions that outlive connections.

    from reactor.feeds import Feed, Pace, Update

The public names; docs/feeds.md tells what they do.
"""

from __future__ import annotations

from ..timers import Pace
from .consumers import Subscription
from .events import (
    Ended,
    Gap,
    Refused,
    Subscribed,
    TopicState,
    Unsubscribed,
    Update,
)
from .feed import Feed
from .links.heartbeat import Heartbeat
from .links.link import Link
from .mailbox import Mailbox
from .roster import feeds_of
from .signatures import FeedArguments
from .stats import FeedStats

__all__ = [
    "Ended",
    "Feed",
    "FeedArguments",
    "FeedStats",
    "Gap",
    "Heartbeat",
    "Link",
    "Mailbox",
    "Pace",
    "Refused",
    "Subscribed",
    "Subscription",
    "TopicState",
    "Unsubscribed",
    "Update",
    "feeds_of",
]
