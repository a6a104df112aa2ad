"""Wishes: what a fleet is to be like, as one of its shards sees it.

What it is: :class:`Wishes`: a copy of the bucket of what is wanted, which is kept up to date.

What it must not know: what a shard does about it.

How it works. A watcher of the bucket brings everything, then each change. A server that was
restarted has forgotten its watchers, and the client does not notice; so once a second the last
sequence of the bucket is compared with what was seen, and if the watcher is behind for two looks,
a new one begins, which brings everything again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import nats.errors

from .cancelling import cancel
from .names import Names
from .store import FLEET, Plan, Store, decode_plan, decode_topics, is_drained

__all__ = ["Wishes"]

#: Seconds between two looks at whether the watcher is behind.
LOOK = 1.0


class Wishes:
    """See the module.

    Args:
        store: of the fleet.
        node: whose state is looked at.
        changed: called after each change, or several at once.

    Attributes:
        plan: how many shards there are to be; None: nobody has said.
        topics: by slot; a slot without topics may be missing.
        drained: whether this node is to have no shards.
    """

    def __init__(self, store: Store, node: str, changed: Callable[[], object]) -> None:
        self._store = store
        self._node = Names.node(node)
        self._changed = changed
        self._revision = 0
        self._told = False
        self.plan: Plan | None = None
        self.topics: dict[int, frozenset[str]] = {}
        self.drained = False
        self.ready = asyncio.Event()  # everything was seen once
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch; returns when everything was seen once."""
        self._task = asyncio.ensure_future(self._watch())
        await self.ready.wait()

    async def stop(self) -> None:
        """Watch no longer."""
        if self._task is not None:
            await cancel([self._task])

    async def _watch(self) -> None:
        while True:
            try:
                await self._watch_once()
            except Exception:  # noqa: BLE001 - the store is away: again
                await asyncio.sleep(0.2)

    async def _watch_once(self) -> None:
        watcher = await self._store.wanted.watchall()
        behind = False
        try:
            while True:
                try:
                    entry = await watcher.updates(LOOK)  # type: ignore[no-untyped-call]
                    self._take(entry)
                except nats.errors.TimeoutError:
                    last = await self._store.last_wanted()
                    if last > self._revision and behind:
                        return
                    behind = last > self._revision
        finally:
            try:
                await asyncio.wait_for(watcher.stop(), 1.0)  # type: ignore[no-untyped-call]
            except Exception:  # noqa: BLE001 - it is of a connection that is lost
                pass

    def _take(self, entry: Any) -> None:
        """Take in one key; None: these were all that there are."""
        if entry is None:
            self.ready.set()
            self._tell()
            return
        revision, key = entry.revision or 0, entry.key
        value = None if entry.operation in ("DEL", "PURGE") else entry.value
        self._revision = max(self._revision, revision)
        if key == FLEET:
            self.plan = None if value is None else decode_plan(value)
        elif key == self._node:
            self.drained = is_drained(value)
        elif key.startswith("slot."):
            slot = int(key.partition(".")[2])
            topics = frozenset(decode_topics(value))
            if topics:
                self.topics[slot] = topics
            else:
                self.topics.pop(slot, None)
        self._tell()

    def _tell(self) -> None:
        """Have the changes of this turn told at once."""
        if self.ready.is_set() and not self._told:
            self._told = True
            asyncio.get_running_loop().call_later(0.005, self._tell_now)

    def _tell_now(self) -> None:
        self._told = False
        self._changed()
