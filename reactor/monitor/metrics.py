"""What is measured, by name: the one list that every exporter goes by.

What it is: :func:`collect`, which asks a reactor for its figures and returns :class:`Metric`
objects; and :class:`Watched`, the reactors that an exporter shows.

What it must not know: Prometheus, OpenTelemetry.

How it works. Names and units are those that Prometheus recommends: seconds and bytes, counters that
end in ``_total``. The labels are ``loop``, ``role`` and ``host``, ``state``, ``feed`` and
``reason``, and none has many values: at most 100 hosts are told apart, a feed goes by the name of
its class, and there are no URLs and no topics. Collecting looks at every connection, about 5 us for
each, and may be done on any thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from weakref import ref

from ..base.histogram import Distribution
from ..base.printable import printable
from ..connection.connections import HostStats
from ..feeds.roster import feeds_of
from ..feeds.stats import FeedStats
from ..reactor import Reactor, ReactorStats

__all__ = ["Metric", "Sample", "Watched", "collect"]

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric.

    Attributes:
        labels: the values of the metric's labels, in their order.
        value: the number; for a histogram a Distribution.
    """

    labels: tuple[str, ...]
    value: float | Distribution


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and its values.

    Attributes:
        name: as Prometheus has it, without ``_total``: ``"reactor_messages_received"``.
        kind: "counter", "gauge" or "histogram".
        unit: "seconds", "bytes", or "" for numbers of things.
        help: what it is, in a sentence.
        labels: the names of its labels.
        samples: its values.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]
    samples: list[Sample] = field(default_factory=list)


#: name, kind, unit, help, and what it is of ReactorStats.
_OF_LOOP: tuple[tuple[str, Kind, str, str, str], ...] = (
    ("reactor_loop_turns", "counter", "", "Turns of the event loop.", "turns"),
    ("reactor_loop_busy_seconds", "counter", "seconds", "Time spent in callbacks.", "busy"),
    ("reactor_loop_timers", "gauge", "", "Timers that are armed.", "timers"),
    ("reactor_loop_calls", "gauge", "", "Calls that are queued.", "calls"),
    ("reactor_loop_timer_lag_seconds", "histogram", "seconds", "Lateness of timers.", "timer_lag"),
    (
        *("reactor_loop_longest_callback_seconds", "gauge", "seconds"),
        *("The longest time that one callback has taken.", "longest_callback"),
    ),
    ("reactor_listeners", "gauge", "", "Listening sockets.", "listeners"),
)

#: The same of HostStats.
_OF_HOSTS: tuple[tuple[str, Kind, str, str, str], ...] = (
    ("reactor_messages_received", "counter", "", "Messages received.", "messages_in"),
    ("reactor_messages_sent", "counter", "", "Messages sent.", "messages_out"),
    (
        *("reactor_payload_received_bytes", "counter", "bytes"),
        *("Payload of the messages received, uncompressed.", "payload_in"),
    ),
    (
        *("reactor_payload_sent_bytes", "counter", "bytes"),
        *("Payload of the messages sent, uncompressed.", "payload_out"),
    ),
    (
        *("reactor_wire_received_bytes", "counter", "bytes"),
        *("Frames received, before TLS and TCP.", "wire_in"),
    ),
    (
        *("reactor_wire_sent_bytes", "counter", "bytes"),
        *("Frames sent, before TLS and TCP.", "wire_out"),
    ),
    ("reactor_pings_received", "counter", "", "Pings received.", "pings_in"),
    ("reactor_pings_sent", "counter", "", "Pings sent.", "pings_out"),
    ("reactor_connection_attempts", "counter", "", "Attempts to connect.", "attempts"),
    ("reactor_connections_opened", "counter", "", "Connections opened.", "opens"),
    (
        *("reactor_connections_lost", "counter", ""),
        *("Open connections that have ended without our asking.", "losses"),
    ),
    (
        *("reactor_write_queue_bytes", "gauge", "bytes"),
        *("Bytes that were sent and have not left the process.", "queued"),
    ),
    (
        *("reactor_round_trip_seconds", "histogram", "seconds"),
        *("From a ping of the keep-alive to its pong.", "round_trips"),
    ),
)

#: The same of FeedStats.
_OF_FEEDS: tuple[tuple[str, Kind, str, str, str], ...] = (
    ("reactor_feed_updates", "counter", "", "Updates delivered.", "updates"),
    ("reactor_feed_duplicates", "counter", "", "Updates dropped as known.", "duplicates"),
    ("reactor_feed_resubscriptions", "counter", "", "Topics asked for again.", "resubscribed"),
    ("reactor_feed_links", "gauge", "", "Links that there are.", "links"),
    ("reactor_feed_links_open", "gauge", "", "Links that are open.", "open_links"),
    ("reactor_feed_links_replaced", "counter", "", "Links replaced.", "replaced"),
    (
        *("reactor_feed_mailbox_dropped", "counter", ""),
        *("Updates dropped by mailboxes.", "mailbox_dropped"),
    ),
)

_STATES = ("connecting", "open", "closing", "waiting")


class Watched:
    """The reactors that an exporter shows, each under a name. They are not kept alive by this."""

    def __init__(self) -> None:
        self._reactors: dict[str, ref[Reactor]] = {}

    def add(self, loop: Reactor, name: str) -> None:
        """Show a reactor.

        Raises:
            TypeError: *loop* is no Reactor.
            ValueError: Another one is shown under this name.
        """
        if not isinstance(loop, Reactor):
            raise TypeError(f"loop must be a Reactor, not {loop!r}")
        known = self._reactors.get(name)
        if known is not None and known() not in (None, loop):
            raise ValueError(f"another reactor is shown as {name!r}: give each a name of its own")
        self._reactors[name] = ref(loop)

    def remove(self, loop: Reactor) -> None:
        """Show a reactor no longer."""
        for name, known in list(self._reactors.items()):
            if known() is loop:
                del self._reactors[name]

    def __iter__(self) -> Iterator[tuple[str, Reactor]]:
        for name, known in list(self._reactors.items()):
            loop = known()
            if loop is not None:
                yield name, loop


def collect(reactors: Iterable[tuple[str, Reactor]]) -> list[Metric]:
    """Return all metrics of some reactors, each with the values of all. Any thread.

    Args:
        reactors: names, and the reactors.
    """
    taken = [(printable(name), loop, loop.stats(hosts=True)) for name, loop in reactors]
    metrics = [_of_loop(row, taken) for row in _OF_LOOP]
    metrics += [_of_hosts(row, taken) for row in _OF_HOSTS]
    metrics.append(_connections(taken))
    feeds = [
        (name, kind, stats)
        for name, loop, _ in taken
        for kind, stats in _feeds_by_name(loop).items()
    ]
    metrics += [_of_feeds(row, feeds) for row in _OF_FEEDS]
    metrics += _topics_and_gaps(feeds)
    return metrics


Taken = list[tuple[str, Reactor, ReactorStats]]
Row = tuple[str, Kind, str, str, str]


def _of_loop(row: Row, taken: Taken) -> Metric:
    name, kind, unit, text, attribute = row
    samples = [Sample((loop,), getattr(stats, attribute)) for loop, _, stats in taken]
    return Metric(name, kind, unit, text, ("loop",), samples)


def _of_hosts(row: Row, taken: Taken) -> Metric:
    name, kind, unit, text, attribute = row
    samples = [
        Sample((loop, host.role, host.host), getattr(host, attribute))
        for loop, host in _hosts(taken)
    ]
    return Metric(name, kind, unit, text, ("loop", "role", "host"), samples)


def _hosts(taken: Taken) -> Iterator[tuple[str, HostStats]]:
    for loop, _, stats in taken:
        for host in stats.hosts:
            yield loop, host


def _connections(taken: Taken) -> Metric:
    samples = [
        Sample((loop, host.role, host.host, state), getattr(host, state))
        for loop, host in _hosts(taken)
        for state in _STATES
    ]
    labels = ("loop", "role", "host", "state")
    return Metric("reactor_connections", "gauge", "", "Connections now.", labels, samples)


Feeds = list[tuple[str, str, list[FeedStats]]]


def _feeds_by_name(loop: Reactor) -> dict[str, list[FeedStats]]:
    found: dict[str, list[FeedStats]] = {}
    for feed in feeds_of(loop):
        found.setdefault(printable(type(feed).__qualname__), []).append(feed.stats())
    return found


def _of_feeds(row: Row, feeds: Feeds) -> Metric:
    name, kind, unit, text, attribute = row
    samples = [
        Sample((loop, feed), sum(getattr(each, attribute) for each in stats))
        for loop, feed, stats in feeds
    ]
    return Metric(name, kind, unit, text, ("loop", "feed"), samples)


def _topics_and_gaps(feeds: Feeds) -> Iterator[Metric]:
    for name, kind, text, label, attribute in (
        ("reactor_feed_topics", "gauge", "Topics, by state.", "state", "topics"),
        ("reactor_feed_gaps", "counter", "Gaps that were told.", "reason", "gaps"),
    ):
        samples = []
        for loop, feed, stats in feeds:
            numbers: Counter[str] = Counter()
            for each in stats:
                numbers.update(getattr(each, attribute))
            samples += [
                Sample((loop, feed, value), number) for value, number in sorted(numbers.items())
            ]
        kinds: Any = kind
        yield Metric(name, kinds, "", text, ("loop", "feed", label), samples)
