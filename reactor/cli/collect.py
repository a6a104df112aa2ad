"""Many topics as one Feed against a difficult service, with a table of what happens.

Starts the exchange (see exchange.py) in a child process, with some of its difficulties, and
collects from it; or from one that runs already, with ``--url``. Ends after the given time with a
summary, or later where a busy machine still gets topics their first update then; Ctrl-C and SIGTERM
end it earlier. The exit status is 0 only when every topic got updates.
"""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

from ..exceptions import CloseCode
from ..feeds import (
    Feed,
    FeedStats,
    Gap,
    Link,
    Pace,
    Refused,
    Subscribed,
    TopicState,
    Unsubscribed,
    Update,
)
from ..reactor import Reactor
from ..timers import Backoff
from .arguments import complain, share
from .board import Second, Summary, make_board
from .serving import child_server
from .watching import PATIENCE, Causes, add_watch_arguments, prepare, watch

__all__ = ["Collector", "add_arguments", "run"]

#: What the exchange that is started is difficult in.
DIFFICULTIES = (
    *("--ack-delay", "0.05", "--ack-twice", "0.1", "--ack-never", "0.02", "--busy", "0.02"),
    *("--topics", "50", "--args", "10", "--messages", "10", "--replay", "100", "--kicks", "0.02"),
    *("--attempts", "100"),
)


class Collector(Feed):
    """Collects the updates of an exchange."""

    message_pace = Pace(5, per=1.0)
    ack_timeout = 2.0
    stale_after = 10.0

    def __init__(self, loop: Reactor, url: str, **options: Any) -> None:
        super().__init__(loop, url, **options)
        self.served: set[Any] = set()
        self.causes = Causes()

    def subscribe_message(self, topics: list[Any], link: Link) -> str:
        """See Feed."""
        return json.dumps({"op": "subscribe", "args": topics})

    def unsubscribe_message(self, topics: list[Any], link: Link) -> str:
        """See Feed."""
        return json.dumps({"op": "unsubscribe", "args": topics})

    def resume_message(self, positions: dict[Any, Update], link: Link) -> str:
        """See Feed."""
        origin = {topic: update.sequence for topic, update in positions.items()}
        return json.dumps({"op": "subscribe", "args": list(positions), "from": origin})

    def parse(self, message: str | bytes, link: Link) -> Any:
        """See Feed."""
        d = json.loads(message)
        if "topic" in d:
            return Update(d["topic"], d, d.get("seq"), epoch=d.get("epoch"), time=d.get("ts"))
        if d.get("op") == "subscribe":
            if d["ok"]:
                return Subscribed(d["args"], recovered=d["recovered"])
            return Refused(d["args"], d["error"], retry=d["retry"])
        if d.get("op") == "unsubscribe":
            return Unsubscribed(d["args"])
        return None

    def on_update(self, topic: Any, update: Update) -> None:
        """See Feed."""
        self.served.add(topic)

    def on_gap(self, topic: Any, gap: Gap) -> None:
        """See Feed."""
        # counted: see stats()

    def on_link_close(self, link: Link, code: int, reason: str) -> None:
        """See Feed."""
        if code != CloseCode.ABNORMAL and not link.over:  # else on_error tells why, or we did it
            self.causes.add(f"closed with {code} {reason}".rstrip())

    def on_error(self, error: Exception) -> None:
        """See Feed."""
        self.causes.add_error(error)


class Collection:
    """What is shown of a collector: see watching.py.

    Args:
        loop: where it lives.
        feed: the collector.
        count: how many topics it has.
    """

    def __init__(self, loop: Reactor, feed: Collector, count: int) -> None:
        self._loop = loop
        self._feed = feed
        self._count = count
        self._begun = loop.time()
        self._last = (loop.time(), 0)  # time and updates of the previous second
        self._progress = (0, loop.time())  # topics that have got updates, and since when

    @property
    def is_complete(self) -> bool:
        """Whether every topic got updates."""
        return len(self._feed.served) == self._count

    def is_getting_on(self) -> bool:
        """Whether more topics still get their first update: on a busy machine."""
        served, since = self._progress
        now = self._loop.time()
        if len(self._feed.served) != served:
            served, since = self._progress = len(self._feed.served), now
        return not self.is_complete and now - since < PATIENCE

    def finish(self) -> None:
        """The time is over."""

    def second(self) -> Second:
        """Return what has happened since the last one."""
        stats, now = self._feed.stats(), self._loop.time()
        rate = (stats.updates - self._last[1]) / max(now - self._last[0], 1e-9)
        self._last = (now, stats.updates)
        connecting, seconds = self._loop.stats().connecting, now - self._begun
        states = {str(state): stats.topics[str(state)] for state in TopicState}
        values = {
            "seconds": round(seconds, 3),
            "links": stats.open_links,
            "connecting": connecting,
            "topics": states,
            "rate": round(rate, 1),
            "gaps": dict(stats.gaps),
            "asked_again": _again(stats),
        }
        cells = {
            "time": f"{seconds:.1f}s",
            "links": str(stats.open_links),
            "connecting": str(connecting),
            **{name.lower(): str(states[name]) for name in ("LIVE", "ASKED", "WANTED", "STALE")},
            "updates/s": f"{rate:.0f}",
            "gaps": str(sum(stats.gaps.values())),
            "asked again": str(_again(stats)),
        }
        return Second(cells, values, self._feed.causes.all(), self._feed.causes.news())

    def summary(self) -> Summary:
        """Return what came of it."""
        feed, stats = self._feed, self._feed.stats()
        values = {
            "topics": stats.wanted,
            "served": len(feed.served),
            "links": stats.links,
            "updates": stats.updates,
            "duplicates": stats.duplicates,
            "gaps": dict(stats.gaps),
            "asked_again": _again(stats),
            "unanswered": stats.unanswered,
            "ignored": stats.ignored,
        }
        gaps = ", ".join(f"{number} by {reason}" for reason, number in stats.gaps.items())
        lines = {
            "topics": f"{stats.wanted}, of which {len(feed.served)} got updates",
            "links": stats.links,
            "updates": f"{stats.updates}, and {stats.duplicates} duplicates that were dropped",
            "gaps": gaps or "none",
            "asked again": _again(stats),
            "unanswered": f"{stats.unanswered}, and {stats.ignored} answers to nothing",
        }
        return Summary(lines, values, feed.causes.all())


def _again(stats: FeedStats) -> int:
    """How often topics were asked for beyond the first time."""
    return max(0, stats.asked - stats.wanted)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    add_watch_arguments(parser, "topics", "an exchange that runs already")
    parser.add_argument("--rate", type=share, default=1.0, help="updates per second of each topic")


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    assert Collector.topics_per_link is not None
    links = math.ceil(arguments.count / Collector.topics_per_link)
    try:
        options, limit = prepare(arguments, connections=2 * links)  # each may be being replaced
    except ValueError as exc:
        return complain(exc)
    if arguments.url:
        return _collect(arguments, arguments.url, options, limit)
    with child_server("exchange", *DIFFICULTIES, "--rate", str(arguments.rate)) as url:
        return _collect(arguments, url, options, limit)


def _collect(
    arguments: argparse.Namespace, url: str, options: dict[str, Any], limit: int | None
) -> int:
    with Reactor() as loop:
        feed = Collector(loop, url, reconnect=Backoff(first=0.5, cap=5.0), **options)
        feed.subscribe_many([f"T{number:05d}" for number in range(arguments.count)])
        about = {"url": url, "descriptors": limit}
        collection = Collection(loop, feed, arguments.count)
        status = watch(loop, collection, make_board(arguments.json), arguments, about)
        feed.close()
        loop.shutdown(timeout=2.0)
    return status
