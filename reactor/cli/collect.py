"""Many topics as one Feed against a difficult service, with a table of what happens.

Starts the exchange (see exchange.py) in a child process, with some of its difficulties, and
collects from it; or from one that runs already, with ``--url``. Ends after the given time with a
summary. The exit status is 0 only when every topic got updates.
"""

from __future__ import annotations

import argparse
import json
import signal
from typing import Any

from ..base.printable import printable
from ..feeds import Feed, Gap, Link, Pace, Refused, Subscribed, Unsubscribed, Update
from ..reactor import Reactor
from ..timers import Backoff
from .arguments import duration, share, whole
from .arguments import url as a_url
from .board import about_us
from .monitor import PATIENCE
from .serving import child_server, raise_descriptor_limit

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
        self.last_error = ""

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
            return Update(d["topic"], d, d.get("seq"), time=d.get("ts"))
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

    def on_error(self, error: Exception) -> None:
        """See Feed."""
        self.last_error = printable(f"{type(error).__name__}: {error}")


class Table:
    """Prints a line every second, and a summary at the end.

    Args:
        loop: where the feed lives.
        feed: whose figures are shown.
    """

    def __init__(self, loop: Reactor, feed: Collector) -> None:
        self._loop = loop
        self._feed = feed
        self._begun = loop.time()
        self._before = 0
        self._shown = ""  # the error that was shown last
        self._progress = (0, loop.time())  # topics that have got updates, and since when
        self._timer = loop.call_later(1.0, self._tick)
        print("   time  links    live   asked  wanted   stale   updates/s    gaps  asked again")

    def _tick(self) -> None:
        self._timer = self._loop.call_later(1.0, self._tick)
        stats = self._feed.stats()
        rate, self._before = stats.updates - self._before, stats.updates
        states = stats.topics
        print(
            f"{self._loop.time() - self._begun:6.1f}s  {stats.open_links:5d}"
            f"  {states['LIVE']:6d}  {states['ASKED']:6d}  {states['WANTED']:6d}"
            f"  {states['STALE']:6d}  {rate:10d}  {sum(stats.gaps.values()):6d}"
            f"  {stats.asked - stats.wanted:11d}",
            flush=True,
        )
        if self._feed.last_error != self._shown:
            self._shown = self._feed.last_error
            print(f"{'':7}  {self._shown}", flush=True)

    def end(self) -> None:
        """Stop the loop, unless more topics still get their first update: on a busy machine."""
        served, since = self._progress
        now = self._loop.time()
        if len(self._feed.served) != served:
            served, since = self._progress = len(self._feed.served), now
        if served < self._feed.stats().wanted and now - since < PATIENCE:
            self._loop.call_later(0.1, self.end)
        else:
            self._loop.stop()

    def summary(self) -> bool:
        """Print what came of it; return whether every topic got updates."""
        self._timer.cancel()
        feed, stats = self._feed, self._feed.stats()
        print()
        print(f"topics        {stats.wanted}, of which {len(feed.served)} got updates")
        print(f"links         {stats.links}")
        print(f"updates       {stats.updates}, and {stats.duplicates} duplicates that were dropped")
        print(f"gaps          {dict(stats.gaps) or 'none'}")
        print(f"asked again   {stats.asked - stats.wanted}")
        print(f"unanswered    {stats.unanswered}, and {stats.ignored} answers to nothing")
        if feed.last_error:
            print(f"last error    {feed.last_error}")
        return len(feed.served) == stats.wanted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    parser.add_argument("-n", "--count", type=whole, default=1000, help="topics")
    parser.add_argument("--duration", type=duration, default=10.0, help="seconds")
    parser.add_argument("--rate", type=share, default=1.0, help="updates per second of each topic")
    parser.add_argument("--url", type=a_url, help="an exchange that runs already")


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    print(about_us(raise_descriptor_limit()), flush=True)
    if arguments.url:
        return _collect(arguments, arguments.url)
    with child_server("exchange", *DIFFICULTIES, "--rate", str(arguments.rate)) as url:
        return _collect(arguments, url)


def _collect(arguments: argparse.Namespace, url: str) -> int:
    with Reactor() as loop:
        feed = Collector(loop, url, reconnect=Backoff(first=0.5, cap=5.0))
        table = Table(loop, feed)
        feed.subscribe_many([f"T{number:05d}" for number in range(arguments.count)])
        loop.signal(signal.SIGTERM, loop.stop)
        loop.call_later(arguments.duration, table.end)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            pass  # the user wants to see the summary then
        complete = table.summary()
        feed.close()
    return 0 if complete else 1
