"""The counters of a feed.

What it is: :class:`FeedStats`, and the function that makes one.

What it must not know: when the figures change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .topics.board import Board

if TYPE_CHECKING:
    from .links.link import Link

__all__ = ["FeedStats", "count"]


@dataclass(frozen=True)
class FeedStats:
    """The counters of a feed at one moment.

    Attributes:
        topics: how many topics are in each state, by its name (``stats.topics["LIVE"]``).
        wanted: topics with a subscription.
        links: links, open or not.
        open_links: links that are open.
        updates: updates that were delivered.
        duplicates: updates that were dropped because they, or later ones, were delivered before.
        unwanted: updates that were dropped because their topics have no subscription any more, or
            were not asked for on the link that they came by.
        strays: updates of topics that were never asked for.
        gaps: calls of ``on_gap``, by reason.
        asked: how often topics were asked for.
        resubscribed: how often topics were asked for again on a link that was not lost.
        unanswered: how often topics were not confirmed in time.
        ignored: answers that belong to no question.
        stale: how often topics were found silent.
        replaced: links that were replaced, make before break.
        silent_links: links that were replaced because nothing came, or no answer to the heartbeat.
        mailbox_dropped: updates that the feed's mailboxes have dropped because they were full, or
            a later one took their place.
    """

    topics: Mapping[str, int] = field(default_factory=Counter)
    wanted: int = 0
    links: int = 0
    open_links: int = 0
    updates: int = 0
    duplicates: int = 0
    unwanted: int = 0
    strays: int = 0
    gaps: Mapping[str, int] = field(default_factory=Counter)
    asked: int = 0
    resubscribed: int = 0
    unanswered: int = 0
    ignored: int = 0
    stale: int = 0
    replaced: int = 0
    silent_links: int = 0
    mailbox_dropped: int = 0


def count(board: Board, links: Collection[Link], updates: int) -> FeedStats:
    """Return a snapshot. Looks at every topic. Any thread."""
    counts = board.counts.copy()  # in one step: any thread may call this
    links = list(links)
    prefix = "gap "
    same = ("duplicates", "unwanted", "strays", "asked", "resubscribed", "unanswered", "ignored")
    return FeedStats(
        topics=Counter(str(record.state) for record in list(board.topics.values())),
        wanted=board.wanted,
        links=len(links),
        open_links=sum(link.is_open for link in links),
        updates=updates + counts["updates"] + sum(link.updates for link in links),
        gaps=Counter(
            {
                name.removeprefix(prefix): number
                for name, number in counts.items()
                if name.startswith(prefix)
            }
        ),
        stale=counts["stale"],
        replaced=counts["replaced"],
        silent_links=counts["idle"] + counts["no heartbeat"],
        mailbox_dropped=counts["mailbox dropped"],
        **{name: counts[name] for name in same},
    )
