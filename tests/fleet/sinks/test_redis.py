"""The sink of Redis, against a server of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("redis")
import redis

from reactor.feeds import Update
from reactor.fleet import Notice, RedisStreams

from ..support import needs_server
from .stage import Stage, staged, until

pytestmark = [
    needs_server,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not there"),
    pytest.mark.timeout(120),
]


class Server:
    """A redis-server on a socket of the file system, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/redis.sock"
        self.client = redis.Redis.from_url(self.url)
        self.start()

    def start(self) -> None:
        settings = {"port": 0, "unixsocket": f"{self.folder}/redis.sock", "dir": self.folder}
        settings |= {"appendonly": "yes", "appendfsync": "always", "save": ""}
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def there(self) -> None:
        def ping() -> bool:
            try:
                return bool(self.client.ping())
            except redis.RedisError:
                return False

        await until(ping)

    def entries(self, stream: str = "t") -> list[dict[str, Any]]:
        return [
            {name.decode(): value.decode() for name, value in fields.items()}
            for _, fields in self.client.xrange(stream)
        ]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("sockets of the file system")
    server = Server(tmp_path)
    yield server
    server.client.close()
    server.kill()


def test_entries_say_who_has_written_them(server: Server) -> None:
    async def scene(stage: Stage) -> None:
        await server.there()
        writer = await stage.writer()
        for record in (Update("A", {"n": 1}, 1), Notice("gap", "A", "reset"), Update("B", "two")):
            writer.put(record)
        assert await writer.flush(30.0)
        one, gap, two = server.entries()
        who = {"shard": "0", "epoch": "1"}
        assert one == {"kind": "update", "topic": "A", "sequence": "1", "data": '{"n":1}', **who}
        assert two == {"kind": "update", "topic": "B", "data": "two", **who}
        assert (gap["kind"], json.loads(gap["data"])["reason"]) == ("gap", "reset")
        assert writer.figures()["sent"] == 3

    staged(RedisStreams(server.url), scene)


def test_a_server_that_is_gone_is_waited_for_within_a_bound_and_the_gap_is_told(
    server: Server,
) -> None:
    async def scene(stage: Stage) -> None:
        await server.there()
        writer = await stage.writer()
        writer.put(Update("A", "1", 1))
        assert await writer.flush(30.0)
        server.kill()
        writer.put(Update("A", "2", 2))
        await until(lambda: writer.errors)
        for number in range(3, 33):
            writer.put(Update("A", str(number), number))
        server.start()
        assert await writer.flush(60.0)
        entries = server.entries()
        numbers = [int(each["sequence"]) for each in entries if each["kind"] == "update"]
        assert sorted(set(numbers)) == [1, 2, *range(23, 33)]
        (gap,) = [json.loads(each["data"]) for each in entries if each["kind"] == "gap"]
        assert (gap["reason"], gap["count"], gap["next"]["sequence"]) == ("dropped", 20, 23)
        assert writer.figures()["dropped"] == 20

    staged(RedisStreams(server.url, maxlen=10), scene)


def test_a_stream_keeps_about_so_many(server: Server) -> None:
    async def scene(stage: Stage) -> None:
        await server.there()
        writer = await stage.writer()
        for number in range(2000):
            writer.put(Update("A", "x", number))
        assert await writer.flush(30.0)
        assert 100 <= len(server.entries("mine")) < 1000

    staged(RedisStreams(server.url, "mine", keep=100), scene)


@pytest.mark.parametrize(("name", "value"), [("keep", 0), ("maxlen", 0), ("drop", "x")])
def test_settings_say_what_is_wrong(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        RedisStreams("redis://localhost", **{name: value})


def test_nothing_connects_before_there_is_something_to_do() -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        await asyncio.sleep(0)
        assert writer.errors == 0

    staged(RedisStreams("redis://127.0.0.1:9"), scene)
