"""Leases: who has a shard, and whether it still lives.

What it is: what is written in a lease, when somebody may take it, and what an observer makes of it.

What it must not know: where leases are stored, clocks.

How it works. The holder of a lease writes it anew every second; each time it gets a new revision.
An observer compares no clocks of machines: a lease whose revision has not changed for
:data:`LEASE` seconds of the observer's own time is SILENT. Only time in which the observer could
look counts: when it could not (the store was away), all silences begin anew, since holders could
not write, either. A lease that was taken and not renewed yet has more time, :data:`FIRST`: its
process is starting, and on a machine that has too much to do another one in its place would only
add to that.

    VACANT --beat--> HELD --lapse--> SILENT
       ^              | ^               |
       +---release----+ +-----beat------+
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

__all__ = ["FIRST", "LEASE", "RENEW", "TABLE", "Lease", "LeaseTable", "Seat", "Signal", "may_take"]

#: Seconds of silence after which a lease may be taken by another one.
LEASE = 3.0

#: The same before its first renewal.
FIRST = 10.0

#: Seconds between two renewals.
RENEW = 1.0


@dataclass(frozen=True)
class Lease:
    """What is written in the lease of a shard.

    Args:
        shard: its number.
        holder: who runs it: a name that lasts over restarts, such as that of a pod. Of one name
            only one runs at a time, so a new incarnation knows that the one before is dead.
        incarnation: which run of it.
        node: the machine.
        pid: the process.
        generation: of the shares that are in effect here: everything is given up that belongs to
            others since then.
        epoch: the number of the epoch; 0 before there is one.
        released: it was given back.
        figures: what the shard counts; see stats.py. Every renewal has them.
    """

    shard: int
    holder: str
    incarnation: str
    node: str = ""
    pid: int = 0
    generation: int = 0
    epoch: int = 0
    released: bool = False
    figures: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self)).encode()

    @property
    def lapses_after(self) -> float:
        """Seconds of silence after which another one may take it."""
        return LEASE if self.figures else FIRST

    @classmethod
    def decode(cls, value: bytes) -> Lease:
        """Return what :meth:`encode` has made.

        Raises:
            ValueError: This is no lease.
        """
        try:
            said, known = json.loads(value), cls.__dataclass_fields__
            if not isinstance(said.get("figures", {}), dict):
                raise TypeError("figures")
            return cls(**{key: each for key, each in said.items() if key in known})
        except (ValueError, TypeError, AttributeError) as exc:
            raise ValueError(f"this is no lease: {value[:100]!r}") from exc


class Seat(Enum):
    """What an observer knows of a lease."""

    VACANT = "vacant"
    HELD = "held"
    SILENT = "silent"


class Signal(Enum):
    """What may happen to a lease."""

    BEAT = "beat"  #: it was taken, or renewed
    LAPSE = "lapse"  #: it was not, for too long
    RELEASE = "release"  #: it was given back, or deleted


#: Everything else leaves a seat as it is.
TABLE = {
    (Seat.VACANT, Signal.BEAT): Seat.HELD,
    (Seat.HELD, Signal.LAPSE): Seat.SILENT,
    (Seat.HELD, Signal.RELEASE): Seat.VACANT,
    (Seat.SILENT, Signal.BEAT): Seat.HELD,
    (Seat.SILENT, Signal.RELEASE): Seat.VACANT,
}


def may_take(lease: Lease | None, seat: Seat, holder: str, incarnation: str) -> bool:
    """Return whether somebody may take a lease.

    Args:
        lease: what is written in it; None: nothing.
        seat: what who asks knows of it.
        holder, incarnation: who asks.
    """
    if lease is None or lease.released or seat is Seat.SILENT:
        return True
    return lease.holder == holder and lease.incarnation != incarnation


class _Seen:
    __slots__ = ("lease", "revision", "seat", "since")

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.revision = -1
        self.seat = Seat.VACANT
        self.since = 0.0


class LeaseTable:
    """What one observer knows of all leases."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._looked = float("-inf")

    def look(self, found: Mapping[int, tuple[int, Lease] | None], now: float) -> list[int]:
        """Take in what was read.

        Args:
            found: for each shard that was looked at, the revision and what is written; None:
                there is no lease.
            now: seconds on a clock that never goes back.

        Returns:
            The shards whose leases have become SILENT by this look.
        """
        blind = now - self._looked > LEASE / 2
        self._looked = now
        lapsed = []
        for shard, entry in found.items():
            seen = self._seen.setdefault(shard, _Seen())
            if blind:
                seen.since = now
            if entry is None or entry[1].released:
                seen.lease = None if entry is None else entry[1]
                self._step(seen, Signal.RELEASE)
                continue
            if entry[0] != seen.revision:
                seen.revision, seen.lease = entry
                seen.since = now
                self._step(seen, Signal.BEAT)
            elif seen.seat is Seat.HELD and now - seen.since >= entry[1].lapses_after:
                self._step(seen, Signal.LAPSE)
                lapsed.append(shard)
        return lapsed

    def _step(self, seen: _Seen, signal: Signal) -> None:
        seen.seat = TABLE.get((seen.seat, signal), seen.seat)

    def shards(self) -> list[int]:
        """Return the shards whose leases were looked at."""
        return list(self._seen)

    def seat(self, shard: int) -> Seat:
        """Return what is known of a shard's lease."""
        seen = self._seen.get(shard)
        return Seat.VACANT if seen is None else seen.seat

    def lease(self, shard: int) -> Lease | None:
        """Return what was last read of it."""
        seen = self._seen.get(shard)
        return None if seen is None else seen.lease
