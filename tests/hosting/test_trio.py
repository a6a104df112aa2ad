"""A reactor inside of trio."""

from __future__ import annotations

import math
from typing import Any

import pytest

from reactor.hosting.trio import TrioHost, trio_host

from ..support.hosted import Conversation, EchoServer
from ..support.recorder import Recorder

trio = pytest.importorskip("trio")

pytestmark = pytest.mark.usefixtures("no_leaks")


async def talk(host: TrioHost) -> list[Any]:
    done = trio.Event()
    token = trio.lowlevel.current_trio_token()
    conversation = Conversation(host, token.run_sync_soon, done.set)
    await trio.sleep(0)
    conversation.start()
    await done.wait()
    return conversation.log


def test_what_is_asked_for_anywhere_in_trio_takes_effect() -> None:
    async def main() -> list[Any]:
        async with trio_host() as host:
            return await talk(host)

    assert tuple(trio.run(main)) == Conversation.EXPECTED


def test_it_ends_with_trio() -> None:
    async def main() -> TrioHost:
        host = trio_host()
        await talk(host)
        return host

    host = trio.run(main)
    with pytest.raises(RuntimeError, match="closed"):
        host.call_soon_threadsafe(print)


def test_shutdown_closes_connections() -> None:
    async def main() -> None:
        host = trio_host()
        opened = trio.Event()

        class Client(Recorder):
            def on_open(self) -> None:
                opened.set()

        listener = host.listen("127.0.0.1", 0, EchoServer)
        client = host.connect(f"ws://127.0.0.1:{listener.port}", Client, proxy=None)
        await opened.wait()
        await host.shutdown(60)
        assert client.closes == [(1001, "")]
        await host.shutdown()

    trio.run(main)


def test_a_timer_far_away_does_not_hold_up_an_earlier_one() -> None:
    async def main() -> None:
        async with trio_host() as host:
            fired = trio.Event()
            host.call_later(1000, math.floor, 1)
            await trio.sleep(0)
            host.call_later(0.002, fired.set)
            await fired.wait()

    trio.run(main)


def test_outside_of_trio_it_is_refused() -> None:
    with pytest.raises(RuntimeError, match="async context"):
        trio_host()


def test_a_handler_may_close_it() -> None:
    async def main() -> None:
        host = trio_host()
        closed = trio.Event()

        def close() -> None:
            host._host.finish()
            closed.set()

        host.call_soon(close)
        await closed.wait()
        with pytest.raises(RuntimeError, match="closed"):
            host.call_soon_threadsafe(print)

    trio.run(main)


def test_a_reactor_that_trio_has_left_behind_can_still_be_closed() -> None:
    """As when Ctrl-C interrupts its end."""

    class Interrupted(TrioHost):
        interrupts = 1

        def close(self) -> None:
            if self.interrupts:
                self.interrupts -= 1
                raise KeyboardInterrupt
            super().close()

    hosts: list[TrioHost] = []

    async def main() -> None:
        hosts.append(Interrupted())

    with pytest.raises((KeyboardInterrupt, trio.TrioInternalError)):
        trio.run(main)
    hosts[0].close()
