"""The store: what a fleet keeps in NATS beside its updates.

What it is: :class:`Store`, which reads and writes the two buckets by compare-and-set, and
:func:`connect`, the one way in which a fleet connects for that.

What it must not know: feeds, sinks, processes.

How it works. What is wanted is in one bucket: the key ``fleet`` has the number of shards and the
generation, which goes up with it; ``slot.N`` has the topics of a slot. Leases are in another one,
so that the first changes only when something is wanted anew: its last sequence tells a shard
whether it has seen everything. Whoever changes a key names the revision that it has read, and
reads again when it has lost the race.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import (
    BucketNotFoundError,
    KeyDeletedError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NotFoundError,
)
from nats.js.kv import KeyValue

from ..exceptions import WebSocketStateException
from .names import Names
from .rules.leases import Lease
from .rules.share import slot_of

__all__ = ["FLEET", "Plan", "Store", "connect"]

#: The key of the plan.
FLEET = "fleet"

#: Keys that are read or written at a time.
AT_A_TIME = 100

#: Tries at a key that others change as well.
TRIES = 50


@dataclass(frozen=True)
class Plan:
    """How many shards there are to be.

    Args:
        shards: 1 or more; 0: the fleet is stopped.
        generation: goes up by one with each change.
        previous: how many there were before; 0: none.
    """

    shards: int
    generation: int = 1
    previous: int = 0


async def connect(servers: str | Sequence[str], **options: Any) -> Client:
    """Return a connection that comes back by itself, for all but updates.

    Args:
        servers: URLs of NATS.
        options: as for ``nats.connect``.

    Raises:
        OSError: None of them can be reached within 10 s.
    """

    async def ignore(error: Exception) -> None:
        """A lost connection is not news: it is looked at where something is awaited."""

    options = {
        "reconnect_time_wait": 0.1,
        "max_reconnect_attempts": -1,
        "connect_timeout": 2,
        "error_cb": ignore,
        **options,
    }
    try:
        urls = servers if isinstance(servers, str) else list(servers)
        return await asyncio.wait_for(nats.connect(urls, **options), 10.0)
    except Exception as exc:
        raise OSError(f"NATS at {servers} cannot be reached: {exc or type(exc).__name__}") from exc


class Store:
    """See the module.

    Args:
        client: a connection.
        names: of the fleet.
    """

    def __init__(self, client: Client, names: Names) -> None:
        self.client = client
        self.names = names
        self.js: JetStreamContext = client.jetstream(timeout=2.0)
        self._wanted: KeyValue | None = None
        self._leases: KeyValue | None = None

    async def open(self, create: bool = False, replicas: int = 1) -> Store:
        """Find the buckets; returns itself.

        Args:
            create: make them where they are missing.
            replicas: of those that are made.

        Raises:
            WebSocketStateException: There is no such fleet.
        """
        self._wanted = await self._bucket(self.names.wanted, create, replicas)
        self._leases = await self._bucket(self.names.leases, create, replicas)
        return self

    async def _bucket(self, name: str, create: bool, replicas: int) -> KeyValue:
        try:
            return await self.js.key_value(name)
        except (BucketNotFoundError, NotFoundError):
            if not create:
                raise WebSocketStateException(
                    f"there is no fleet {self.names.name!r} in this NATS"
                ) from None
        return await self.js.create_key_value(
            KeyValueConfig(bucket=name, history=1, storage=StorageType.FILE, replicas=replicas)
        )

    @property
    def wanted(self) -> KeyValue:
        """The bucket of what is wanted."""
        assert self._wanted is not None, "open() comes first"
        return self._wanted

    @property
    def leases(self) -> KeyValue:
        """The bucket of leases."""
        assert self._leases is not None, "open() comes first"
        return self._leases

    async def read(self, bucket: KeyValue, key: str) -> tuple[int, bytes | None]:
        """Return revision and value of a key; (0, None) if there never was one."""
        try:
            entry = await bucket.get(key)
            return entry.revision or 0, entry.value
        except KeyDeletedError as exc:
            return (exc.entry.revision or 0 if exc.entry else 0), None
        except KeyNotFoundError:
            return 0, None

    async def change(
        self, bucket: KeyValue, key: str, how: Callable[[bytes | None], bytes | None]
    ) -> int:
        """Change a key by compare-and-set.

        Args:
            bucket: which.
            key: which.
            how: takes the value, or None, and returns another one; None: nothing is to change. It
                may be called several times.

        Returns:
            The revision of what is there then.

        Raises:
            WebSocketStateException: Others have changed it all the time.
        """
        for attempt in range(TRIES):
            revision, value = await self.read(bucket, key)
            wanted = how(value)
            if wanted is None:
                return revision
            try:
                return await bucket.update(key, wanted, last=revision)
            except KeyWrongLastSequenceError:
                await asyncio.sleep(random.random() * 0.01 * min(attempt + 1, 20))
        raise WebSocketStateException(f"{key} could not be changed: others change it all the time")

    async def last_wanted(self) -> int:
        """Return the last revision of what is wanted."""
        info = await self.js.stream_info(f"KV_{self.names.wanted}")
        return info.state.last_seq

    # -- the plan ------------------------------------------------------------------------------

    async def plan(self) -> Plan | None:
        """Return the plan; None: there was never one."""
        _, value = await self.read(self.wanted, FLEET)
        return None if value is None else decode_plan(value)

    async def set_shards(self, shards: int) -> Plan:
        """Have so many shards from now on; returns the plan."""
        made: list[Plan] = []

        def how(value: bytes | None) -> bytes | None:
            old = None if value is None else decode_plan(value)
            if old is not None and old.shards == shards:
                made.append(old)
                return None
            if old is None:
                made.append(Plan(shards))
            else:
                # A fleet that was stopped has handed over nothing: nobody is to be waited for.
                made.append(Plan(shards, old.generation + 1, old.shards))
            return json.dumps(asdict(made[-1])).encode()

        await self.change(self.wanted, FLEET, how)
        return made[-1]

    # -- topics ----------------------------------------------------------------------------------

    async def add_topics(self, topics: Iterable[str]) -> None:
        """Want topics."""
        await self._change_topics(topics, lambda old, new: old | new)

    async def remove_topics(self, topics: Iterable[str]) -> None:
        """Want topics no longer."""
        await self._change_topics(topics, lambda old, new: old - new)

    async def _change_topics(
        self, topics: Iterable[str], combine: Callable[[set[str], set[str]], set[str]]
    ) -> None:
        by_slot: dict[int, set[str]] = defaultdict(set)
        for topic in topics:
            if not isinstance(topic, str) or not topic:
                raise TypeError(f"a fleet's topics must be text, not {topic!r}")
            by_slot[slot_of(topic)].add(topic)

        async def change(slot: int, some: set[str]) -> None:
            def how(value: bytes | None) -> bytes | None:
                old = set(decode_topics(value))
                new = combine(old, some)
                return None if new == old else json.dumps(sorted(new)).encode()

            await self.change(self.wanted, self.names.slot(slot), how)

        await in_parts([change(slot, some) for slot, some in by_slot.items()])

    async def topics(self) -> list[str]:
        """Return all topics that are wanted."""
        found: list[str] = []
        watcher = await self.wanted.watch("slot.>", ignore_deletes=True)
        try:
            async for entry in watcher:
                if entry is None:
                    break
                found += decode_topics(entry.value)
        finally:
            await watcher.stop()  # type: ignore[no-untyped-call]
        return found

    # -- nodes -----------------------------------------------------------------------------------

    async def set_drained(self, node: str, drained: bool) -> None:
        """Have no shards on a node, or have them again."""
        await self.wanted.put(self.names.node(node), json.dumps({"drained": drained}).encode())

    async def is_drained(self, node: str) -> bool:
        """Return whether there are to be no shards on a node."""
        _, value = await self.read(self.wanted, self.names.node(node))
        return is_drained(value)

    # -- leases ----------------------------------------------------------------------------------

    async def lease(self, shard: int) -> tuple[int, Lease | None]:
        """Return revision and lease of a shard."""
        revision, value = await self.read(self.leases, self.names.lease(shard))
        return revision, None if value is None else Lease.decode(value)

    async def all_leases(self, shards: Iterable[int]) -> dict[int, tuple[int, Lease] | None]:
        """Return revisions and leases of several shards; None where there is none."""

        async def one(shard: int) -> tuple[int, tuple[int, Lease] | None]:
            revision, lease = await self.lease(shard)
            return shard, None if lease is None else (revision, lease)

        return dict(await in_parts([one(shard) for shard in shards]))

    async def write_lease(self, lease: Lease, revision: int) -> int | None:
        """Write a lease, if it is as it was read.

        Returns:
            Its new revision; None: somebody else has written it.
        """
        try:
            key = self.names.lease(lease.shard)
            return await self.leases.update(key, lease.encode(), last=revision)
        except KeyWrongLastSequenceError:
            return None


def decode_plan(value: bytes) -> Plan:
    """Return the plan that is written so."""
    said = json.loads(value)
    return Plan(int(said["shards"]), int(said["generation"]), int(said["previous"]))


def decode_topics(value: bytes | None) -> list[str]:
    """Return the topics that are written in a slot."""
    return [] if not value else [str(topic) for topic in json.loads(value)]


def is_drained(value: bytes | None) -> bool:
    """Return what is written of a node."""
    return bool(value) and bool(json.loads(value or b"{}").get("drained"))


async def in_parts(coroutines: Sequence[Any]) -> list[Any]:
    """Await many coroutines, not too many at a time."""
    done: list[Any] = []
    for start in range(0, len(coroutines), AT_A_TIME):
        done += await asyncio.gather(*coroutines[start : start + AT_A_TIME])
    return done
