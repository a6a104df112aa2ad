"""A feed in many processes, on NATS JetStream.

    from reactor.fleet import Fleet

Needs ``pip install 'reactor-websocket[fleet]'``; docs/fleet.md tells what it does.
"""

from __future__ import annotations

from typing import Any

from .coordinator import Coordinator
from .fleet import Fleet
from .ledger import Ledger
from .names import Names
from .placements.base import External, Placement
from .placements.local import Local
from .rules.epochs import Epoch
from .rules.leases import Lease
from .rules.positions import Position
from .rules.records import Notice, Record
from .seat import Identity
from .sinks.base import Post, Sink, Writer
from .sinks.jetstream import JetStream
from .sinks.kafka import Kafka
from .sinks.parquet import Parquet
from .sinks.plain import Call, CoreNats, Lines
from .sinks.redis import RedisStreams
from .spec import ShardSpec
from .stats import FleetStats, ShardStats
from .store import Plan

__all__ = [
    "Call",
    "Coordinator",
    "CoreNats",
    "Epoch",
    "External",
    "Fleet",
    "FleetStats",
    "Identity",
    "JetStream",
    "Kafka",
    "Lease",
    "Ledger",
    "Lines",
    "Local",
    "Names",
    "Notice",
    "Parquet",
    "Placement",
    "Plan",
    "Position",
    "Post",
    "Record",
    "RedisStreams",
    "ShardSpec",
    "ShardStats",
    "Sink",
    "Writer",
]


def __getattr__(name: str) -> Any:
    """Import Ray's placement when it is asked for: it needs the extra ``fleet-ray``."""
    if name == "Ray":
        from .placements.ray import Ray

        return Ray
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
