"""The connects of a shard, under one limit for the whole fleet.

What it is: :class:`Connects`: gets permits for the gate of a shard's reactor.

What it must not know: who connects, and where to.

How it works. When attempts wait at the gate, ten tokens are taken from the store at a time; they
become permits. When they are used, a window of time goes by, then the tokens are given back. Those
that nobody uses for a second are given back at once. While the store is away, nothing is granted.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time

from ..client.gate import Gate
from ..timers import Pace
from .rules.tokens import Witness, decode_shares, encode_shares, give_back, take
from .store import Store

__all__ = ["Connects"]

#: The key of the tokens.
CONNECTS = "connects"

#: Tokens that are taken at a time.
AT_A_TIME = 10

#: Seconds that permits may lie unused.
UNUSED = 1.0


class Connects:
    """See the module.

    Args:
        store: of the fleet.
        gate: of the reactor.
        pace: the limit for all shards together.
    """

    def __init__(self, store: Store, gate: Gate, pace: Pace) -> None:
        self._store = store
        self._gate = gate
        self._pace = pace
        self._short = asyncio.Event()
        self._witness = Witness(pace.per)
        self._returns: set[asyncio.Task[None]] = set()
        gate.permits = 0
        gate.on_short = self._short.set

    async def run(self) -> None:
        """Get permits whenever some are wanted, until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._short.wait()
                self._short.clear()
                who = secrets.token_hex(4)
                taken = await self._take(who)
                self._gate.grant(taken)
                deadline = loop.time() + UNUSED
                while self._gate.permits and loop.time() < deadline:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                unused, self._gate.permits = self._gate.permits or 0, 0
                task = asyncio.ensure_future(self._give_back(who, taken - unused, unused))
                self._returns.add(task)
                task.add_done_callback(self._returns.discard)
        finally:
            for task in self._returns:
                task.cancel()

    async def _take(self, who: str) -> int:
        """Take tokens; wait until there are some."""
        while True:
            taken = 0

            def how(value: bytes | None) -> bytes | None:
                nonlocal taken
                shares = self._witness.without_abandoned(decode_shares(value), time.monotonic())
                shares, taken = take(shares, who, AT_A_TIME, self._pace.count)
                return encode_shares(shares) if taken else None

            try:
                await self._store.change(self._store.leases, CONNECTS, how)
            except Exception:  # noqa: BLE001 - the store is away: again
                taken = 0
            if taken:
                return taken
            await asyncio.sleep(self._pace.per / 20 * (1 + random.random()))

    async def _give_back(self, who: str, used: int, unused: int) -> None:
        if unused:
            await self._set(who, used)
        if used:
            await asyncio.sleep(self._pace.per)
            await self._set(who, 0)

    async def _set(self, who: str, kept: int) -> None:
        def how(value: bytes | None) -> bytes:
            return encode_shares(give_back(decode_shares(value), who, kept))

        while True:
            try:
                await self._store.change(self._store.leases, CONNECTS, how)
                return
            except Exception:  # noqa: BLE001 - the store is away: again
                await asyncio.sleep(0.2)
