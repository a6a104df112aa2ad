"""What a fleet counts, by name: the metrics of all its shards.

What it is: :func:`collect_fleet`, which makes :class:`Metric` objects of a FleetStats.

What it must not know: where the figures come from; Prometheus.

How it works. The labels are ``fleet``, ``shard`` (its number) and ``state``. A shard keeps its
number when another process runs it; then its counters begin at zero again, as Prometheus expects it
of processes. At most :data:`MOST` shards are told apart; those beyond are summed up as "others".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...base.printable import printable
from ..metrics import Kind, Metric, Sample

if TYPE_CHECKING:
    from ...fleet.stats import FleetStats

__all__ = ["MOST", "collect_fleet"]

#: Shards that are told apart.
MOST = 1000

#: States of shards, and of their topics.
SHARD_STATES = ("running", "settling", "silent", "missing")
TOPIC_STATES = ("live", "stale", "refused")

#: name, kind, unit, help, and what it is of a shard's figures.
_OF_SHARDS: tuple[tuple[str, Kind, str, str, str], ...] = (
    ("reactor_fleet_topics_wanted", "gauge", "", "Topics that the shard is to have.", "topics"),
    ("reactor_fleet_links_open", "gauge", "", "Links of the feed that are open.", "links"),
    ("reactor_fleet_updates", "counter", "", "Updates that have come.", "updates"),
    ("reactor_fleet_duplicates", "counter", "", "Updates dropped as known.", "repeated"),
    ("reactor_fleet_gaps", "counter", "", "Gaps that were told.", "gaps"),
    ("reactor_fleet_sink_sent", "counter", "", "Records handed to the sink.", "sent"),
    ("reactor_fleet_sink_stored", "counter", "", "Updates confirmed by JetStream.", "stored"),
    (
        *("reactor_fleet_sink_duplicates", "counter", ""),
        *("Messages that JetStream had already.", "duplicates"),
    ),
    ("reactor_fleet_sink_refused", "counter", "", "Messages refused by the fence.", "fenced"),
    ("reactor_fleet_sink_resent", "counter", "", "Messages that were sent again.", "resent"),
    ("reactor_fleet_sink_dropped", "counter", "", "Records dropped by a full buffer.", "dropped"),
    ("reactor_fleet_sink_failed", "counter", "", "Records that could not be sent.", "failed"),
    ("reactor_fleet_sink_errors", "counter", "", "How often the sink has failed.", "errors"),
    ("reactor_fleet_sink_pending", "gauge", "", "Messages not confirmed yet.", "pending"),
    ("reactor_fleet_sink_buffered", "gauge", "", "Records that wait to be sent.", "buffered"),
    ("reactor_fleet_messages_received", "counter", "", "Messages received.", "messages"),
    (
        *("reactor_fleet_wire_received_bytes", "counter", "bytes"),
        *("Frames received, before TLS and TCP.", "wire"),
    ),
    (
        *("reactor_fleet_loop_busy_seconds", "counter", "seconds"),
        *("Time spent in callbacks of the reactor.", "busy"),
    ),
)


def collect_fleet(name: str, stats: FleetStats, age: float) -> list[Metric]:
    """Return all metrics of a fleet.

    Args:
        name: of the fleet.
        stats: what its shards count.
        age: seconds since that was read.
    """
    fleet = printable(name)
    states = Counter(shard.state for shard in stats.shards)
    figures: dict[str, Counter[str]] = {}
    for shard in stats.shards:
        label = str(shard.shard) if shard.shard < MOST else "others"
        figures.setdefault(label, Counter()).update(_numbers(shard.figures))
    return [
        Metric(
            *("reactor_fleet_stats_age_seconds", "gauge", "seconds"),
            *("Time since the figures of the fleet were read.", ("fleet",)),
            samples=[Sample((fleet,), age)],
        ),
        Metric(
            *("reactor_fleet_shards", "gauge", "", "Shards, by state.", ("fleet", "state")),
            samples=[Sample((fleet, state), states[state]) for state in SHARD_STATES],
        ),
        Metric(
            *("reactor_fleet_topics", "gauge", "", "Topics, by state."),
            ("fleet", "shard", "state"),
            samples=[
                Sample((fleet, shard, state), numbers[state])
                for shard, numbers in figures.items()
                for state in TOPIC_STATES
            ],
        ),
        Metric(
            *("reactor_fleet_shard_epoch", "gauge", "", "How often the shard was taken."),
            ("fleet", "shard"),
            samples=[
                Sample((fleet, str(shard.shard)), shard.epoch) for shard in stats.shards[:MOST]
            ],
        ),
        *[
            Metric(
                *(metric, kind, unit, text, ("fleet", "shard")),
                samples=[
                    Sample((fleet, shard), numbers[figure]) for shard, numbers in figures.items()
                ],
            )
            for metric, kind, unit, text, figure in _OF_SHARDS
        ],
    ]


def _numbers(figures: Mapping[str, object]) -> dict[str, float]:
    """Return the figures that are numbers: they come from other processes."""
    return {name: value for name, value in figures.items() if isinstance(value, (int, float))}
