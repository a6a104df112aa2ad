"""Rows: a connection as the page's table has it, and the feeds of a loop.

What it is: functions from connections and feeds to lists and dicts that JSON can hold.

What it must not know: who looks at them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base.printable import named, printable
from ...connection.counting import activity_of, public_place
from ...feeds.feed import Feed
from ...feeds.links.wire import Wire
from ...protocols.counters import NEVER

if TYPE_CHECKING:
    from ...connection.connection import Connection

__all__ = ["FIELDS", "feed_card", "row", "topics_of"]

#: What is in a row, in this order; see ConnectionStats. ``id`` tells rows apart while they exist,
#: ``silence`` is how long ago the last message came, in seconds.
FIELDS = (
    *("id", "now", "activity", "role", "place", "host", "feed", "messages_in", "messages_out"),
    *("wire_in", "wire_out", "latency", "queued", "attempts", "opens", "losses", "silence"),
    "last_error",
)


def row(connection: Connection) -> list[Any]:
    """Return the row of a connection. The loop's thread only.

    It is made of the counters themselves, since a ConnectionStats takes three times as long, and an
    open page is told hundreds of rows a second.
    """
    counters, protocol = connection.counters, connection.protocol
    now = connection.loop.now
    message_at = counters.latest(connection.reader.message_at)
    return [
        id(connection),
        round(now, 2),
        activity_of(connection),
        "client" if connection.lifecycle.role == 0 else "server",
        public_place(connection),
        connection.host,
        name_of(protocol.link.feed) if isinstance(protocol, Wire) else "",
        counters.messages_in,
        counters.messages_out,
        counters.wire_in,
        counters.wire_out,
        connection.latency,
        connection.sender.buffered_amount,
        counters.attempts,
        counters.opens,
        counters.losses,
        None if message_at == NEVER else round(now - message_at, 2),
        counters.last_error,
    ]


def name_of(feed: Feed) -> str:
    """Return the name under which a feed is shown: that of its class."""
    return printable(type(feed).__name__)


def feed_card(feed: Feed) -> dict[str, Any]:
    """Return what the page says about a feed. Looks at every topic."""
    stats = feed.stats()
    return {
        "id": id(feed),
        "name": name_of(feed),
        "topics": dict(stats.topics),
        "links": stats.links,
        "open_links": stats.open_links,
        "updates": stats.updates,
        "gaps": dict(stats.gaps),
        "resubscribed": stats.resubscribed,
        "dropped": stats.mailbox_dropped,
    }


def topics_of(feed: Feed, find: str, most: int) -> dict[str, Any]:
    """Return the topics of a feed by name. Looks at every topic.

    Args:
        feed: the feed.
        find: what their names contain; case does not matter.
        most: how many are returned.
    """
    wanted = find.lower()
    names = [(named(topic), topic) for topic in feed.topics()]
    found = sorted((each for each in names if wanted in each[0].lower()), key=lambda each: each[0])
    shown = found[:most]
    return {
        "feed": id(feed),
        "name": name_of(feed),
        "found": len(found),
        "shown": len(shown),
        "topics": [[name, str(feed.state(topic))] for name, topic in shown],
    }
