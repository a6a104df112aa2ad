"""Requests that coroutines of users judge, on a reactor that asyncio or trio hosts."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reactor import Accept, HTTPResponse, Listener, Request
from reactor.exceptions import WebSocketBadStatusException
from reactor.hosting.asyncio import AsyncioHost, asyncio_host
from reactor.tasks import in_thread, sleep

from ..support.asyncio_loops import Run
from ..support.leaks import nothing_left
from ..support.recorder import Recorder

Judge = Callable[[Request, Any], Awaitable[Any]]


def listen(host: AsyncioHost, judge: Judge, **options: Any) -> Listener[Any]:
    return host.listen("127.0.0.1", 0, Recorder, process_request=judge, **options)


class Client(Recorder):
    """Resolves ``over`` with True when it is open, or with the status that refused it."""

    def __init__(self) -> None:
        super().__init__()
        self.over: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def on_open(self) -> None:
        super().on_open()
        self.over.set_result(True)

    def on_error(self, error: Exception) -> None:
        super().on_error(error)
        status = error.status_code if isinstance(error, WebSocketBadStatusException) else None
        if not self.over.done():
            self.over.set_result(status)


def ask(listener: Listener[Any], host: AsyncioHost) -> Client:
    return host.connect(f"ws://127.0.0.1:{listener.port}/", Client(), proxy=None)


def test_a_request_may_be_judged_with_what_asyncio_and_the_reactor_have(run: Run) -> None:
    came: list[Any] = []

    async def main() -> None:
        lock = asyncio.Lock()

        async def judge(request: Request, sock: Any) -> Accept:
            assert asyncio.current_task() is not None
            async with lock:
                came.append(await asyncio.to_thread(lambda: "asyncio"))
            came.append(await host.run_in_thread(lambda: "reactor"))
            came.append(await in_thread(lambda: "step"))
            came.append(await asyncio.wait_for(asyncio.sleep(0, "timed"), 60))
            await sleep(0.001)
            with pytest.raises(ZeroDivisionError):
                await host.run_in_thread(lambda: 1 / 0)
            return Accept(headers={"X-Judged": "1"}, process_response=answer)

        async def answer(head: bytes) -> bytes:
            await asyncio.sleep(0)
            return head.replace(b"X-Judged: 1", b"X-Judged: 2")

        async with asyncio_host() as host:
            client = ask(listen(host, judge), host)
            assert await client.over is True
            assert client.response is not None
            assert client.response.headers["X-Judged"] == "2"

    run(main())
    assert came == ["asyncio", "reactor", "step", "timed"]


def test_what_is_awaitable_need_not_be_a_coroutine(run: Run) -> None:
    async def main() -> None:
        def judge(request: Request, sock: Any) -> asyncio.Task[Any]:
            return asyncio.ensure_future(asyncio.sleep(0, HTTPResponse(404)))

        async with asyncio_host() as host:
            assert await ask(listen(host, judge), host).over == 404

    run(main())


def test_the_time_of_the_turn_is_right_when_a_connection_opens(run: Run) -> None:
    """Nothing wakes the reactor while asyncio waits; a message would seem to have come long ago."""

    async def main() -> None:
        async with asyncio_host() as host:
            before = 0.0

            async def judge(request: Request, sock: Any) -> None:
                nonlocal before
                await asyncio.sleep(0.002)
                before = host.time()

            listener = listen(host, judge)
            await ask(listener, host).over
            (server,) = listener.protocols
            assert server.stats.opened_at >= before

    run(main())


@pytest.mark.parametrize("ours", [ValueError, asyncio.CancelledError, GeneratorExit])
def test_a_coroutine_that_raises_is_logged_and_its_client_refused(
    run: Run, ours: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async def judge(request: Request, sock: Any) -> None:
            await asyncio.sleep(0)
            raise ours

        async with asyncio_host() as host:
            listener = listen(host, judge)
            for _ in range(2):
                assert await ask(listener, host).over == 500

    run(main())
    assert caplog.text.count("exception in the opening handshake") == 2


class Forever:
    """Waits for something of asyncio; says when it has begun, and when it was cancelled."""

    def __init__(self, clean_up: Callable[[], object] = int) -> None:
        self.begun, self.ended = asyncio.Event(), asyncio.Event()
        self._clean_up = clean_up

    async def __call__(self, request: Request, sock: Any) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended.set()
            self._clean_up()
            raise


def test_it_is_cancelled_when_the_client_leaves(run: Run) -> None:
    async def main() -> None:
        async with asyncio_host() as host:
            judge = Forever()
            client = ask(listen(host, judge), host)
            await judge.begun.wait()
            client.abort()
            await judge.ended.wait()

    run(main())


def test_it_is_cancelled_when_the_listener_is_closed(run: Run) -> None:
    async def main() -> None:
        async with asyncio_host() as host:
            judge = Forever()
            listener = listen(host, judge)
            client = ask(listener, host)
            await judge.begun.wait()
            listener.close()
            await judge.ended.wait()
            assert await client.over is None

    run(main())


def test_it_is_cancelled_with_the_reactor(run: Run) -> None:
    async def main() -> None:
        host, other = asyncio_host(), asyncio_host()
        judge = Forever()
        client = ask(listen(host, judge), other)
        await judge.begun.wait()
        await host.shutdown()
        await judge.ended.wait()
        assert await client.over is None
        await other.shutdown()

    run(main())


def test_it_is_cancelled_when_it_takes_too_long(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with asyncio_host() as host:
            judge = Forever()
            client = ask(listen(host, judge, handshake_timeout=0.05), host)
            assert await client.over == 503
            await judge.ended.wait()

    run(main())
    assert "timed out" in caplog.text


def test_what_its_clean_up_raises_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise PermissionError("of the clean-up")

    async def main() -> None:
        async with asyncio_host() as host:
            judge = Forever(fail)
            client = ask(listen(host, judge), host)
            await judge.begun.wait()
            client.abort()
            await judge.ended.wait()

    run(main())
    assert "of the clean-up" in caplog.text


def test_a_loop_that_is_closed_meanwhile_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        host = asyncio_host()
        judge = Forever()
        ask(listen(host, judge), host)
        await judge.begun.wait()

    with nothing_left(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        logging.getLogger("asyncio").disabled = True  # it says that a task was pending
        loop.close()
        del loop
        gc.collect()
        logging.getLogger("asyncio").disabled = False
    assert "Event loop is closed" not in caplog.text


def test_on_trio_it_says_what_can_be_awaited(caplog: pytest.LogCaptureFixture) -> None:
    trio = pytest.importorskip("trio")
    from reactor.hosting.trio import trio_host

    class Refused(Recorder):
        def on_close(self, code: int, reason: str) -> None:
            super().on_close(code, reason)
            refused.set()

    async def judge(request: Request, sock: Any) -> None:
        await trio.sleep(0)

    async def main() -> None:
        async with trio_host() as host:
            listener = host.listen("127.0.0.1", 0, Recorder, process_request=judge)
            host.connect(f"ws://127.0.0.1:{listener.port}/", Refused, proxy=None)
            await refused.wait()

    refused = trio.Event()
    trio.run(main)
    assert "cannot be awaited here" in caplog.text
    assert "asyncio_host()" in caplog.text
