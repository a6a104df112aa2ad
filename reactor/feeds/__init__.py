"""Subscriptions that outlive connections.

    from reactor.feeds import Feed, Pace, Update

The public names; docs/feeds.md tells what they do.
"""

from __future__ import annotations

from ..timers import Pace
from .consumers import Handler, Subscription
from .events import (
    Ended,
    Event,
    Gap,
    Refused,
    Subscribed,
    Topic,
    TopicState,
    Unsubscribed,
    Update,
)
from .feed import Feed, Message, Messages
from .links.heartbeat import Heartbeat
from .links.link import Link
from .links.requests import Reply
from .mailbox import Drop, Mailbox
from .policy import OnStale, Sequences
from .roster import feeds_of
from .signatures import FeedArguments
from .stats import FeedStats

__all__ = [
    "Drop",
    "Ended",
    "Event",
    "Feed",
    "FeedArguments",
    "FeedStats",
    "Gap",
    "Handler",
    "Heartbeat",
    "Link",
    "Mailbox",
    "Message",
    "Messages",
    "OnStale",
    "Pace",
    "Refused",
    "Reply",
    "Sequences",
    "Subscribed",
    "Subscription",
    "Topic",
    "TopicState",
    "Unsubscribed",
    "Update",
    "feeds_of",
]
