"""The client of reactor.asyncio: connecting, cancelling, reconnecting, and what goes wrong."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reactor import State, WebSocketException
from reactor.asyncio import (
    ClientConnection,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidStatus,
    OpenTimeout,
    ServerConnection,
    connect,
    process_exception,
    serve,
    unix_connect,
    unix_serve,
)
from reactor.asyncio.hosts import get_host

from ..support.asyncio_loops import Run
from .serving import echo


@asynccontextmanager
async def server(handler: Any = echo, **options: Any) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, **options) as serving:
        yield f"ws://127.0.0.1:{serving.sockets[0].getsockname()[1]}/"


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def test_a_connection_may_be_awaited(run: Run) -> None:
    async def main() -> None:
        async with server() as url:
            ws = await connect(url)
            assert isinstance(ws, ClientConnection)
            await ws.send("hello")
            assert await ws.recv() == "hello"
            await ws.close()

    run(main())


def test_a_loop_has_one_reactor_and_takes_it_along(run: Run) -> None:
    async def main() -> tuple[Any, Any]:
        async with server() as url:
            ws = await connect(url)
            assert get_host() is get_host()
            assert len(get_host().connections) == 2
            return get_host(), ws

    host, ws = run(main())
    assert ws.state is State.CLOSED
    with pytest.raises(RuntimeError):
        host.call_soon_threadsafe(print)


def test_recv_that_is_cancelled_loses_no_message(run: Run) -> None:
    async def main() -> None:
        async with server() as url, connect(url) as ws:
            for number in range(100):
                task = asyncio.ensure_future(ws.recv())
                await asyncio.sleep(0)
                await ws.send(str(number))
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    assert await task == str(number)
                except asyncio.CancelledError:
                    assert await ws.recv() == str(number)

    run(main())


def test_a_fragmented_message_survives_a_cancelled_recv(run: Run) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def slowly() -> AsyncIterator[str]:
            yield "first "
            yield "second "
            await go.wait()
            yield "third"

        async def handler(ws: ServerConnection) -> None:
            await ws.send(slowly())
            await ws.send(slowly())
            await ws.wait_closed()

        async with server(handler) as url, connect(url) as ws:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ws.recv(), 0.05)
            go.set()
            assert await ws.recv() == "first second third"
            assert await ws.recv() == "first second third"

    run(main())


def test_a_message_that_is_received_in_fragments_after_a_cancelled_recv_is_whole(run: Run) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"1"
            yield b"2"
            await go.wait()
            yield b"3"

        async def handler(ws: ServerConnection) -> None:
            await ws.send(slowly())
            await ws.wait_closed()

        async with server(handler) as url, connect(url) as ws:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ws.recv(), 0.05)
            go.set()
            assert [piece async for piece in ws.recv_streaming() if piece] == [b"1", b"2", b"3"]

    run(main())


def test_sending_fragments_that_is_cancelled_ends_the_connection(run: Run) -> None:
    async def main() -> None:
        async def stuck() -> AsyncIterator[str]:
            yield "one"
            yield "two"
            await asyncio.Event().wait()

        async with server() as url, connect(url) as ws:
            task = asyncio.ensure_future(ws.send(stuck()))
            await settle()
            waiting = asyncio.ensure_future(ws.send("behind it"))
            await settle()
            assert not waiting.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(ConnectionClosedError) as caught:
                await waiting
            assert caught.value.sent is not None
            assert caught.value.sent.code == 1011

    run(main())


def test_what_is_no_message_is_refused(run: Run) -> None:
    async def main() -> None:
        async with server() as url, connect(url) as ws:
            for wrong in (None, 5, {"a": 1}):
                with pytest.raises(TypeError):
                    await ws.send(wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="all str, or all bytes"):
                await ws.send(["a", "b", b"c"])
            await ws.wait_closed()
            assert ws.close_code is not None

    run(main())


def test_two_tasks_cannot_wait_for_the_same_message(run: Run) -> None:
    async def main() -> None:
        async with server() as url, connect(url) as ws:
            first = asyncio.ensure_future(ws.recv())
            await asyncio.sleep(0)
            with pytest.raises(ConcurrencyError, match="another task"):
                await ws.recv()
            with pytest.raises(ConcurrencyError, match="another task"):
                async for _ in ws.recv_streaming():
                    pass
            await ws.send("for the first")
            assert await first == "for the first"
            await ws.ping(b"same")
            with pytest.raises(ConcurrencyError, match="payload"):
                await ws.ping(b"same")

    run(main())


def test_a_batch_of_messages_wakes_the_task_once(run: Run) -> None:
    async def main() -> None:
        async def handler(ws: ServerConnection) -> None:
            await ws.recv()
            await ws.send(b"x" * 10)
            for number in range(1, 500):
                await ws.send(f"{number}")
            await ws.wait_closed()

        async with server(handler, compression=None) as url:  # noqa: SIM117
            async with connect(url, compression=None, max_queue=None) as ws:
                await ws.send("go")
                steps = got = 0
                inbox = ws._received.inbox
                while got < 500:
                    await inbox
                    steps += 1
                    while inbox.take() is not None:
                        got += 1
                assert steps < 250

    run(main())


def test_reading_is_paused_while_messages_wait(run: Run) -> None:
    async def main() -> None:
        sent = 0

        async def handler(ws: ServerConnection) -> None:
            nonlocal sent
            for sent in range(1, 101):  # noqa: B007
                await ws.send(b"x" * 200_000)

        async with server(handler, compression=None) as url:  # noqa: SIM117
            async with connect(url, max_queue=4, compression=None) as ws:
                await ws.recv()
                for _ in range(10):
                    await settle()
                assert ws._received.inbox.paused
                assert sent < 100
                count = 1
                async for _ in ws:
                    count += 1
                assert count == 100

    run(main())


def test_the_end_reaches_everybody_who_waits(run: Run) -> None:
    async def main() -> None:
        async def handler(ws: ServerConnection) -> None:
            await ws.recv()
            ws._protocol.abort()

        async with server(handler) as url:
            ws = await connect(url, ping_interval=None)
            tasks = [asyncio.ensure_future(ws.recv()), asyncio.ensure_future(ws.wait_closed())]
            await settle()
            await ws.send("go")
            await tasks[1]
            with pytest.raises(ConnectionClosedError, match="no close frame") as caught:
                await tasks[0]
            assert (caught.value.rcvd, caught.value.sent) == (None, None)
            assert caught.value.code == 1006
            assert isinstance(caught.value, WebSocketException)
            assert isinstance(caught.value.__cause__, WebSocketException)
            assert ws.close_code == 1006

    run(main())


def test_a_pong_that_never_comes_is_no_unheard_error(run: Run) -> None:
    async def main() -> None:
        async with server() as url:
            ws = await connect(url)
            pong = await ws.ping()
            ws._protocol.abort()
            await ws.wait_closed()
            with pytest.raises(ConnectionClosed):
                await pong
            del pong
        gc.collect()

    run(main())


def test_a_refusal_is_raised(run: Run) -> None:
    async def main() -> None:
        def refuse(ws: ServerConnection, request: Any) -> Any:
            return ws.respond(403, "not you\n")

        async with server(process_request=refuse) as url:
            with pytest.raises(InvalidStatus) as caught:
                await connect(url)
            assert caught.value.status_code == 403

    run(main())


def test_nobody_listens_is_an_oserror(run: Run) -> None:
    async def main() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectionRefusedError):
                await connect(f"ws://127.0.0.1:{sock.getsockname()[1]}")

    run(main())


def test_a_server_that_says_nothing_is_a_timeout(run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            with pytest.raises(TimeoutError) as caught:
                await connect(f"ws://127.0.0.1:{sock.getsockname()[1]}", open_timeout=0.05)
            assert isinstance(caught.value, OpenTimeout)

    run(main())


def test_connecting_may_be_cancelled(run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:

            async def open_it() -> None:
                await connect(f"ws://127.0.0.1:{sock.getsockname()[1]}")

            task = asyncio.ensure_future(open_it())
            await settle()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await settle()
            assert not get_host().connections

    run(main())


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"pingintervall": 3}, TypeError, "pingintervall"),
        ({"max_queue": -1}, ValueError, "max_queue"),
        ({"write_limit": (1, 2)}, ValueError, "write_limit"),
        ({"write_limit": None}, ValueError, "write_limit"),
        ({"ssl": "yes"}, TypeError, "ssl must be"),
        ({"reactor": {"nonsense": 1}}, TypeError, "nonsense"),
    ],
)
def test_wrong_options_are_errors_that_name_them(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    async def main() -> None:
        with pytest.raises(error, match=text):
            await connect("ws://127.0.0.1:1", **options)
        with pytest.raises(ValueError, match="http"):
            await connect("http://127.0.0.1:1")

    asyncio.run(main())


def test_async_for_connects_anew(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reactor.timers.backoff.Backoff.delay", lambda *_: 0.0)

    async def main() -> None:
        refusals = 2
        served = 0

        def sometimes(ws: ServerConnection, request: Any) -> Any:
            nonlocal refusals
            refusals -= 1
            return ws.respond(503, "soon") if refusals >= 0 else None

        async def handler(ws: ServerConnection) -> None:
            nonlocal served
            served += 1
            await ws.send(f"{served}")

        got = []
        async with server(handler, process_request=sometimes) as url:
            async for ws in connect(url):
                try:
                    while True:
                        got.append(await ws.recv())
                except ConnectionClosedOK:
                    if len(got) == 3:
                        break
                    continue
        assert got == ["1", "2", "3"]
        assert refusals == -3

    run(main())


def test_the_log_of_async_for_does_not_say_that_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "reactor")

    async def main() -> None:
        refusals = iter([True, False, False])

        def sometimes(ws: ServerConnection, request: Any) -> Any:
            return ws.respond(503, "soon") if next(refusals) else None

        opened = 0
        async with server(process_request=sometimes) as url:
            async for ws in connect(url, reconnect_delays=lambda: [0.0]):
                opened += 1
                if opened == 2:
                    break
                await ws.close()

    asyncio.run(main())
    of_client = [each.getMessage() for each in caplog.records if each.name == "reactor.connect"]
    ends = [line for line in of_client if "ended by" in line or "503" in line]
    assert len(ends) == 3
    assert "no further attempt" not in caplog.text
    assert "again in 0.0 seconds" in caplog.text


def test_async_for_gives_up_where_there_is_no_hope(run: Run) -> None:
    async def main() -> None:
        def refuse(ws: ServerConnection, request: Any) -> Any:
            return ws.respond(401, "who are you?")

        def translate(exc: Exception) -> Exception:
            return LookupError("given up")

        async with server(process_request=refuse) as url:
            with pytest.raises(InvalidStatus):
                async for _ in connect(url):
                    pass
            with pytest.raises(LookupError, match="given up"):
                async for _ in connect(url, process_exception=translate):
                    pass

    run(main())


def test_which_failures_are_worth_another_attempt() -> None:
    assert process_exception(ConnectionRefusedError()) is None
    assert process_exception(OpenTimeout()) is None
    assert process_exception(InvalidStatus("", 503)) is None
    for hopeless in (InvalidStatus("", 404), ValueError()):
        assert process_exception(hopeless) is hopeless


def test_unix_sockets(run: Run, unix_path: str) -> None:
    async def main() -> None:
        async with unix_serve(echo, unix_path), unix_connect(unix_path) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"

    run(main())


def test_options_of_the_reactor_may_be_given(run: Run) -> None:
    async def main() -> None:
        async with (
            server(subprotocols=["b", "a"]) as url,
            connect(
                url, subprotocols=["a", "b"], origin="http://x", reactor={"cookie": "a=1"}
            ) as ws,
        ):
            assert ws.subprotocol == "b"
            assert ws.request is not None
            assert ws.request.headers["Cookie"] == "a=1"
            assert ws.request.headers["Origin"] == "http://x"

    run(main())
