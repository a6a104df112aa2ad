"""One limit of connects for several reactors."""

from __future__ import annotations

import asyncio

import pytest

from reactor import Pace
from reactor.fleet.cancelling import cancel
from reactor.fleet.connects import Connects
from reactor.fleet.sinks.plain import CoreNats
from reactor.fleet.store import Store
from reactor.hosting.asyncio import asyncio_host

from .sinks.stage import NAMES, Stage, staged, until
from .support import needs_server


class TestTheGate:
    def test_without_permits_nobody_begins_and_somebody_is_told(self) -> None:
        async def main() -> None:
            async with asyncio_host() as loop:
                gate = loop._opener.gate
                begun: list[int] = []
                short: list[bool] = []
                gate.permits = 0
                gate.on_short = lambda: short.append(True)
                for number in range(3):
                    gate.ask(lambda number=number: begun.append(number), ("h", 1), False, None)  # type: ignore[misc]
                assert (begun, bool(short)) == ([], True)
                gate.grant(2)
                assert (begun, gate.permits) == ([0, 1], 0)
                gate.grant(5)
                assert (begun, gate.permits) == ([0, 1, 2], 4)

        asyncio.run(main())


@needs_server
@pytest.mark.timeout(120)
def test_several_reactors_together_never_exceed_the_limit_in_any_window() -> None:
    pace = Pace(20, per=0.5)

    async def scene(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        store = await Store(stage.client, NAMES).open()
        async with asyncio_host() as one, asyncio_host() as other:
            tasks = []
            for reactor in (one, other):
                connects = Connects(store, reactor._opener.gate, pace)
                tasks.append(asyncio.ensure_future(connects.run()))

                def begin(reactor: object = reactor) -> None:
                    times.append(loop.time())
                    reactor._opener.gate.done()  # type: ignore[attr-defined]

                for _ in range(35):
                    reactor._opener.gate.ask(lambda begin=begin: begin(), ("h", 1), False, None)  # type: ignore[misc]
            await until(lambda: len(times) == 70)
            await cancel(tasks)
        for first, last in zip(times, times[pace.count :], strict=False):
            assert last - first >= pace.per

    staged(CoreNats(), scene)
