"""A nats-server, a stream, and writers for it, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from reactor.fleet.embedded import EmbeddedNats
from reactor.fleet.ledger import Ledger
from reactor.fleet.names import Names
from reactor.fleet.rules.epochs import Epoch
from reactor.fleet.sinks.base import Post, Sink, Writer
from reactor.fleet.store import Store, connect

NAMES = Names("t")


class Stage:
    """See the module.

    Attributes:
        fenced: the reasons that writers have left for.
        held: whether the lease is said to be ours.
    """

    def __init__(self, server: EmbeddedNats, client: Any, sink: Sink) -> None:
        self.server = server
        self.client = client
        self.sink = sink
        self.ledger = Ledger(client, NAMES)
        self.fenced: list[str] = []
        self.held = True
        self.valid = True
        self.writers: list[Writer] = []

    async def writer(self, instance: str = "me", start: bool = True) -> Any:
        epoch = Epoch(0, 1, instance)
        if self.sink.fences:
            epoch = await self.ledger.begin_epoch(0, instance)

        async def holds() -> bool:
            return self.held

        post = Post(
            NAMES,
            epoch,
            self.server.url,
            {},
            self.ledger if self.sink.fences else None,
            lambda: self.valid,
            holds,
            self.fenced.append,
        )
        writer = self.sink.writer(post)
        self.writers.append(writer)
        if start:
            writer.start()
        return writer

    async def stream(self) -> list[tuple[str, str, bytes]]:
        """Subject, id and data of all that is stored, the epochs apart."""
        js = self.client.jetstream()
        state = (await js.stream_info("t")).state
        found: list[tuple[str, str, bytes]] = []
        for number in range(state.first_seq, state.last_seq + 1):
            message = await js.get_msg("t", number)
            identity = (message.headers or {}).get("Nats-Msg-Id", "")
            if ".epoch." not in message.subject:
                found.append((message.subject, identity, message.data))
        return found

    async def kill_server(self) -> None:
        """kill -9, and wait until it is there again."""
        import os
        import signal

        pid = self.server.pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: self.server.pid != pid and self.client.is_connected)


@asynccontextmanager
async def stage(sink: Sink) -> AsyncIterator[Stage]:
    server = EmbeddedNats()
    await server.start()
    client = await connect(server.url)
    made = Stage(server, client, sink)
    try:
        await Store(client, NAMES).open(create=True)
        options = sink.stream_options()
        if options is not None:
            await made.ledger.open(options)
        yield made
    finally:
        for writer in made.writers:
            await writer.close()
        await client.close()
        await server.stop()


async def until(condition: Callable[[], object], timeout: float = 90.0) -> None:
    """Wait until something is true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not condition():
        assert loop.time() < deadline, f"{condition} did not come true within {timeout} s"
        await asyncio.sleep(0.01)


def staged(sink: Sink, scene: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a scene on a stage."""

    async def main() -> None:
        async with stage(sink) as made:
            await scene(made)

    asyncio.run(main())
