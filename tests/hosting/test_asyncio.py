"""A reactor inside of asyncio's event loop, and of uvloop's."""

from __future__ import annotations

import asyncio
import gc
import selectors
import threading
import warnings
from typing import Any

import pytest

from reactor import Reactor, WebSocketProtocol
from reactor.feeds import Feed, Link, Subscribed
from reactor.hosting.asyncio import AsyncioHost, asyncio_host
from reactor.tasks import in_thread, now, sleep

from ..support.asyncio_loops import Run
from ..support.hosted import Conversation, EchoServer
from ..support.leaks import nothing_left
from ..support.recorder import Recorder


async def settle() -> None:
    """Let the loop run until it has nothing to do."""
    for _ in range(50):
        await asyncio.sleep(0)


class Pair:
    """A host with a client that is open, and a listener: on it, or on another one."""

    def __init__(self, host: AsyncioHost, serving: AsyncioHost | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.opened = loop.create_future()
        self.closed = loop.create_future()
        self.listener = (serving or host).listen("127.0.0.1", 0, EchoServer)
        pair = self

        class Client(Recorder):
            def on_open(self) -> None:
                pair.opened.set_result(None)

            def on_close(self, code: int, reason: str) -> None:
                super().on_close(code, reason)
                if not pair.closed.done():
                    pair.closed.set_result(code)

        self.client = host.connect(f"ws://127.0.0.1:{self.listener.port}", Client, proxy=None)


def test_what_is_asked_for_anywhere_in_the_loop_takes_effect(run: Run) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        host = asyncio_host()
        conversation = Conversation(host, loop.call_soon, lambda: done.set_result(None))
        await settle()
        conversation.start()
        await done
        await host.shutdown()
        return conversation.log

    assert tuple(run(main())) == Conversation.EXPECTED


def test_a_host_is_a_reactor_and_ends_with_its_loop(run: Run) -> None:
    async def main() -> tuple[AsyncioHost, Pair]:
        host = asyncio_host(max_connecting=3)
        pair = Pair(host)
        await pair.opened
        return host, pair

    host, pair = run(main())
    assert isinstance(host, Reactor)
    assert pair.client.closes == [(1001, "")]
    with pytest.raises(RuntimeError, match="closed"):
        host.connect("ws://127.0.0.1:1", Recorder)


def test_shutdown_awaits_the_ends_and_closes_the_reactor(run: Run) -> None:
    async def main() -> None:
        host = asyncio_host()
        pair = Pair(host)
        await pair.opened
        await asyncio.gather(host.shutdown(), host.shutdown())
        assert pair.client.closes == [(1001, "")]
        await host.shutdown()
        with pytest.raises(RuntimeError, match="closed"):
            host.call_soon_threadsafe(print)

    run(main())


def test_shutdown_gives_up_on_a_mute_peer_at_its_timeout(run: Run) -> None:
    async def main() -> None:
        host, mute = asyncio_host(), asyncio_host()
        pair = Pair(host, mute)
        await pair.opened
        await settle()
        (server,) = pair.listener.protocols
        server.pause_reading()
        await host.shutdown(0.0)
        assert [code for code, _ in pair.client.closes] == [1006]

    run(main())


def test_a_shutdown_that_is_cancelled_aborts_what_is_left(run: Run) -> None:
    async def main() -> None:
        host, mute = asyncio_host(), asyncio_host()
        pair = Pair(host, mute)
        await pair.opened
        await settle()
        (server,) = pair.listener.protocols
        server.pause_reading()
        task = asyncio.ensure_future(host.shutdown(1000))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(pair.client.closes) == 1

    run(main())


def test_shutdown_wants_a_timeout_that_is_not_negative(run: Run) -> None:
    async def main() -> None:
        async with asyncio_host() as host:
            pair = Pair(host)
            await pair.opened
            host_two = asyncio_host()
            with pytest.raises(ValueError, match="0 or more"):
                await host_two.shutdown(-1)
        assert await pair.closed == 1001

    run(main())


def test_leaving_the_block_closes_everything(run: Run) -> None:
    async def main() -> None:
        with asyncio_host() as host:
            pair = Pair(host)
            await pair.opened
        assert len(pair.client.closes) == 1
        async with asyncio_host() as host:
            pair = Pair(host)
            await pair.opened
        assert pair.client.closes == [(1001, "")]

    run(main())


def test_a_handler_may_begin_tasks_and_ask_for_the_end(run: Run) -> None:
    async def main() -> None:
        host = asyncio_host()
        begun: asyncio.Future[asyncio.Task[None]] = asyncio.get_running_loop().create_future()

        class Client(Recorder):
            def on_open(self) -> None:
                begun.set_result(asyncio.ensure_future(host.shutdown()))

        listener = host.listen("127.0.0.1", 0, EchoServer)
        client = host.connect(f"ws://127.0.0.1:{listener.port}", Client, proxy=None)
        await (await begun)
        assert client.closes == [(1001, "")]

    run(main())


def test_a_loop_with_nothing_to_do_sleeps(run: Run) -> None:
    async def main() -> None:
        async with asyncio_host() as host:
            pair = Pair(host)
            await pair.opened
            await settle()
            before = host.stats().turns
            await settle()
            assert host.stats().turns == before

    run(main())


def test_exceptions_of_handlers_stay_with_their_connection(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with asyncio_host() as host:
            pair = Pair(host)
            await pair.opened
            host.call_soon(lambda: 1 / 0)
            pair.client.close()
            assert await pair.closed == 1000

    run(main())
    assert "exception in callback" in caplog.text


def test_outside_of_a_loop_it_says_where_to_call_it() -> None:
    with pytest.raises(RuntimeError, match="call it in a coroutine"):
        asyncio_host()


def test_another_thread_cannot_end_it(run: Run) -> None:
    async def main() -> None:
        async with asyncio_host() as host:
            pair = Pair(host)
            await pair.opened
            errors: list[Exception] = []

            def end() -> None:
                try:
                    host.shutdown().send(None)
                except RuntimeError as exc:
                    errors.append(exc)

            thread = threading.Thread(target=end)
            thread.start()
            thread.join()
            assert "thread" in str(errors[0])

    run(main())


def test_a_selector_without_a_descriptor_is_refused(no_leaks: None) -> None:
    class NoDescriptor(selectors.SelectSelector):
        """As on platforms that have nothing else."""

    async def main() -> None:
        with pytest.raises(ValueError, match="no file descriptor"):
            asyncio_host(selector=NoDescriptor())

    asyncio.run(main())


def test_a_loop_that_cannot_watch_descriptors_is_refused(
    no_leaks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    async def main() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
        with pytest.raises(
            RuntimeError, match=r"cannot watch a descriptor: use a SelectorEventLoop"
        ):
            asyncio_host()

    asyncio.run(main())


def test_a_loop_that_is_closed_without_ado_takes_its_host_along() -> None:
    """asyncio.run() closes asynchronous generators; whoever runs a loop by hand may not."""

    async def main() -> None:
        pair = Pair(asyncio_host())
        await pair.opened

    with nothing_left(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        del loop
        gc.collect()


# -- coroutines of users ---------------------------------------------------------------------------


class Service(WebSocketProtocol):
    """Confirms what it is asked for."""

    def on_text(self, text: str) -> None:
        self.send(text)


class Topics(Feed):
    """Says what happens by resolving ``over``."""

    def __init__(self, host: AsyncioHost, **knobs: Any) -> None:
        self.errors: list[Exception] = []
        self.over = host.asyncio_loop.create_future()
        listener = host.listen("127.0.0.1", 0, Service)
        super().__init__(host, f"ws://127.0.0.1:{listener.port}", proxy=None, **knobs)

    def subscribe_message(self, topics: list[str], link: Link) -> str:
        return f"subscribed {topics[0]}"

    def parse(self, message: str | bytes, link: Link) -> Subscribed | None:
        topic = str(message).removeprefix("subscribed ")
        return Subscribed([topic]) if topic != message else None

    def on_error(self, error: Exception) -> None:
        self.errors.append(error)

    def on_live(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


def test_a_mailbox_ends_with_the_host(run: Run) -> None:
    async def main() -> None:
        async with asyncio_host() as host:
            box = Topics(host).mailbox()

            async def take() -> list[Any]:
                return [update async for update in box]

            task = asyncio.ensure_future(take())
            await asyncio.sleep(0)
        assert await asyncio.wait_for(task, 10) == []

    run(main())


def test_a_login_may_await_what_asyncio_has_and_what_the_reactor_has(run: Run) -> None:
    came: list[Any] = []

    class Mixed(Topics):
        async def login(self, link: Link) -> None:
            assert asyncio.current_task() is not None
            came.append(await asyncio.to_thread(lambda: "asyncio"))
            came.append(await link.request("question", match=lambda m: m == "question"))
            came.append(await self.loop.run_in_thread(lambda: "reactor"))
            came.append(await asyncio.wait_for(asyncio.sleep(0, "timed"), 60))
            came.append(await in_thread(lambda: "step"))
            assert await now() == pytest.approx(self.loop.time(), abs=60)
            await sleep(0.001)
            with pytest.raises(ZeroDivisionError):
                await self.loop.run_in_thread(lambda: 1 / 0)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(link.request("x", match=lambda m: False), 0.001)

    async def main() -> None:
        async with asyncio_host() as host:
            feed = Mixed(host)
            feed.subscribe("A")
            await feed.over
            assert feed.errors == []

    run(main())
    assert came == ["asyncio", "question", "reactor", "timed", "step"]


def test_any_task_may_await_what_the_host_runs_on_a_thread(run: Run) -> None:
    async def main() -> list[Any]:
        async with asyncio_host() as host:
            both = asyncio.gather(host.run_in_thread(lambda: 1), host.run_in_thread(lambda: 2))
            return [await host.run_in_thread(lambda: 0), *await both]

    assert run(main()) == [0, 1, 2]


def test_a_login_in_asyncio_that_raises_is_reported(run: Run) -> None:
    class Refused(Topics):
        tries = 0

        async def login(self, link: Link) -> None:
            self.tries += 1
            await asyncio.sleep(0)
            if self.tries == 1:
                raise PermissionError("no")
            if self.tries == 2:
                raise asyncio.CancelledError
            if self.tries == 3:
                raise GeneratorExit

    async def main() -> None:
        async with asyncio_host() as host:
            feed = Refused(host, reconnect=0.001)
            feed.subscribe("A")
            await feed.over
            kinds = [type(error) for error in feed.errors]
            assert kinds == [PermissionError, RuntimeError, RuntimeError]

    run(main())


def test_what_the_clean_up_of_a_login_in_asyncio_raises_is_reported(run: Run) -> None:
    async def main() -> None:
        begun, told = asyncio.Event(), asyncio.Event()

        class Untidy(Topics):
            def on_error(self, error: Exception) -> None:
                super().on_error(error)
                told.set()

            async def login(self, link: Link) -> None:
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    raise PermissionError("no")

        async with asyncio_host() as host:
            feed = Untidy(host)
            feed.subscribe("A")
            await begun.wait()
            feed.close()
            await told.wait()
            assert [type(error) for error in feed.errors] == [PermissionError]

    run(main())


def test_a_login_in_asyncio_ends_with_its_link(run: Run) -> None:
    async def main() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        class Waiting(Topics):
            async def login(self, link: Link) -> None:
                if ended.is_set():
                    return
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()

        async with asyncio_host() as host:
            feed = Waiting(host, reconnect=0.001)
            feed.subscribe("A")
            await begun.wait()
            (listener,) = host.listeners
            listener.protocols[0].abort()
            await ended.wait()
            await feed.over
            assert not [e for e in feed.errors if isinstance(e, RuntimeError)]

    run(main())
