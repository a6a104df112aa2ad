"""Clients and servers of reactor.asyncio, and of websockets, with one another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import pytest

import reactor.asyncio as ours

from ..support.asyncio_loops import Run
from .serving import echo

websockets = import_module("websockets.asyncio.client"), import_module("websockets.asyncio.server")


class Library:
    """``connect`` and ``serve`` of one of the two."""

    def __init__(self, connect: Any, serve: Any) -> None:
        self.connect = connect
        self.serve = serve


OURS = Library(ours.connect, ours.serve)
THEIRS = Library(websockets[0].connect, websockets[1].serve)

#: (client, server)
PAIRS = {
    "ours": (OURS, OURS),
    "our client": (OURS, THEIRS),
    "our server": (THEIRS, OURS),
}


@pytest.fixture(params=PAIRS.values(), ids=PAIRS)
def sides(request: pytest.FixtureRequest) -> tuple[Library, Library]:
    client, server = request.param
    return client, server


@asynccontextmanager
async def talking(
    sides: tuple[Library, Library], handler: Any = echo, path: str = "/", **options: Any
) -> AsyncIterator[Any]:
    """Yield a client's connection to a server with a handler."""
    client, server = sides
    async with server.serve(handler, "127.0.0.1", 0) as serving:
        port = next(iter(serving.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}{path}"
        async with client.connect(url, proxy=None, **options) as ws:
            yield ws


def test_messages_go_both_ways_as_they_are(run: Run, sides: tuple[Library, Library]) -> None:
    async def main() -> None:
        async with talking(sides) as ws:
            for message in ("text", b"binary", "", b"", "ä" * 70_000, b"\0" * 70_000):
                await ws.send(message)
                assert await ws.recv() == message
            await ws.send(bytearray(b"array"))
            assert await ws.recv() == b"array"
            await ws.send(memoryview(b"view"))
            assert await ws.recv() == b"view"

    run(main())


def test_text_and_decode_change_the_type(run: Run, sides: tuple[Library, Library]) -> None:
    async def main() -> None:
        async with talking(sides) as ws:
            await ws.send("ä", text=False)
            assert await ws.recv() == "ä".encode()
            await ws.send("ä".encode(), text=True)
            assert await ws.recv() == "ä"
            await ws.send("ä")
            assert await ws.recv(decode=False) == "ä".encode()
            await ws.send("ä".encode())
            assert await ws.recv(decode=True) == "ä"

    run(main())


def test_a_message_may_be_sent_and_received_in_fragments(
    run: Run, sides: tuple[Library, Library]
) -> None:
    async def more() -> AsyncIterator[str]:
        for piece in ("c", "d"):
            await asyncio.sleep(0)
            yield piece

    def some() -> Iterator[bytes]:
        yield from (b"a", b"b")

    async def in_pieces(ws: Any) -> None:
        async for message in ws:
            await ws.send([message[:1], message[1:]])

    async def main() -> None:
        async with talking(sides, in_pieces) as ws:
            await ws.send(some())
            assert [piece async for piece in ws.recv_streaming() if piece] == [b"a", b"b"]
            await ws.send(more())
            assert await ws.recv() == "cd"
            await ws.send([])
            await ws.send("ef")
            assert [piece async for piece in ws.recv_streaming() if piece] == ["e", "f"]

    run(main())


def test_a_fragment_leaves_when_it_is_there(run: Run, sides: tuple[Library, Library]) -> None:
    async def main() -> None:
        heard = asyncio.Event()

        async def slowly() -> AsyncIterator[str]:
            yield "first"
            await heard.wait()
            yield "second"

        async def handler(ws: Any) -> None:
            await ws.send(slowly())
            await ws.send("next")

        async with talking(sides, handler) as ws:
            pieces = []
            async for piece in ws.recv_streaming():
                pieces.append(piece)
                heard.set()
            assert "".join(pieces) == "firstsecond"
            assert await ws.recv() == "next"

    run(main())


def test_a_ping_tells_the_latency(run: Run, sides: tuple[Library, Library]) -> None:
    async def main() -> None:
        async with talking(sides) as ws:
            assert ws.latency == 0
            latency = await (await ws.ping())
            assert latency >= 0
            assert ws.latency == pytest.approx(latency)
            first, second = await ws.ping("one"), await ws.ping(b"two")
            assert await second >= 0
            assert first.done()
            await ws.pong(b"unasked")
            await ws.send("still there")
            assert await ws.recv() == "still there"

    run(main())


def test_who_closes_is_told_how_it_ended(run: Run, sides: tuple[Library, Library]) -> None:
    ended: list[tuple[Any, ...]] = []

    async def handler(ws: Any) -> None:
        try:
            await ws.recv()
        except Exception as exc:
            rcvd = exc.rcvd  # type: ignore[attr-defined]
            first = exc.rcvd_then_sent  # type: ignore[attr-defined]
            ended.append((type(exc).__name__, rcvd.code, rcvd.reason, first))

    async def main() -> None:
        async with talking(sides, handler) as ws:
            await ws.close(4000, "enough")
            assert (ws.close_code, ws.close_reason) == (4000, "enough")
            assert ws.state.name == "CLOSED"
            with pytest.raises(Exception, match="enough") as caught:
                await ws.recv()
            assert type(caught.value).__name__ == "ConnectionClosedError"
            with pytest.raises(Exception, match="enough"):
                await ws.send("too late")
            with pytest.raises(Exception, match="enough"):
                await ws.ping()
            await ws.close()
            await ws.wait_closed()

    run(main())
    assert ended == [("ConnectionClosedError", 4000, "enough", True)]


def test_an_end_is_described_alike(run: Run, sides: tuple[Library, Library]) -> None:
    ends = [(1000, ""), (1001, "bye"), (1011, ""), (3000, "x"), (4999, "")]
    told: list[str] = []

    async def handler(ws: Any) -> None:
        try:
            await ws.recv()
        except Exception as exc:
            told.append(str(exc))

    async def main() -> None:
        for code, reason in ends:
            async with talking(sides, handler) as ws:
                await ws.close(code, reason)
                with pytest.raises(Exception, match=str(code)) as caught:
                    await ws.recv()
                name = NAMES[code]
                text = f"{code} ({name}) {reason}".rstrip()
                assert str(caught.value) == f"sent {text}; then received {text}"
        assert told == [_swapped(*end) for end in ends]

    run(main())


#: As IANA has registered them.
NAMES = {
    1000: "OK",
    1001: "going away",
    1011: "internal error",
    3000: "registered",
    4999: "private use",
}


def _swapped(code: int, reason: str) -> str:
    text = f"{code} ({NAMES[code]}) {reason}".rstrip()
    return f"received {text}; then sent {text}"


def test_iteration_ends_at_a_normal_close_and_raises_at_another(
    run: Run, sides: tuple[Library, Library]
) -> None:
    async def handler(ws: Any) -> None:
        await ws.send("last words")
        if ws.request.path == "/bad":
            await ws.close(1011, "out of order")

    async def main() -> None:
        async with talking(sides, handler) as ws:
            assert [message async for message in ws] == ["last words"]
            assert ws.close_code == 1000
        async with talking(sides, handler, "/bad") as ws:
            messages = []
            with pytest.raises(Exception, match="out of order") as caught:  # noqa: PT012
                async for message in ws:
                    messages.append(message)  # noqa: PERF401
            assert messages == ["last words"]
            assert caught.value.rcvd.code == 1011  # type: ignore[attr-defined]

    run(main())


def test_what_is_known_of_a_connection(run: Run, sides: tuple[Library, Library]) -> None:
    async def handler(ws: Any) -> None:
        assert ws.request.path == "/chat?room=1"
        assert ws.request.headers["X-Token"] == "abc"
        assert "User-Agent" in ws.request.headers
        await ws.send(str(ws.remote_address[1]))
        await ws.wait_closed()

    async def main() -> None:
        headers = {"X-Token": "abc"}
        async with talking(
            sides, handler, "/chat?room=1", additional_headers=headers, compression=None
        ) as ws:
            assert await ws.recv() == str(ws.local_address[1])
            assert ws.subprotocol is None
            assert ws.request.path == "/chat?room=1"
            assert ws.response.status_code == 101
            assert ws.response.headers["Upgrade"] == "websocket"
            assert ws.state.name == "OPEN"
            assert ws.id != ws.logger

    run(main())


def test_the_message_that_is_too_big_ends_the_connection(
    run: Run, sides: tuple[Library, Library]
) -> None:
    async def main() -> None:
        async with talking(sides, max_size=100) as ws:
            await ws.send("x" * 101)
            with pytest.raises(Exception, match="1009") as caught:
                await ws.recv()
            assert caught.value.sent.code == 1009  # type: ignore[attr-defined]

    run(main())


def test_send_waits_until_the_peer_reads(run: Run, sides: tuple[Library, Library]) -> None:
    async def main() -> None:
        begin = asyncio.Event()
        got: list[int] = []

        async def handler(ws: Any) -> None:
            await begin.wait()
            async for message in ws:
                got.append(len(message))
                await ws.send("ok")

        async with talking(sides, handler, compression=None) as ws:
            sent = 0

            async def flood() -> None:
                nonlocal sent
                for _ in range(60):
                    await ws.send(b"x" * 500_000)
                    sent += 1

            task = asyncio.ensure_future(flood())
            for _ in range(300):
                await asyncio.sleep(0)
            assert sent < 60
            begin.set()
            await task
            for _ in range(60):
                assert await ws.recv() == "ok"
            assert got == [500_000] * 60

    run(main())
