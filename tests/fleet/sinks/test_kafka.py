"""The sink of Kafka, against the brokers that librdkafka has for tests.

They speak Kafka's protocol on loopback, in the process of the producer that has them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

pytest.importorskip("confluent_kafka")
import confluent_kafka as kafka

from reactor.feeds import Update
from reactor.fleet import Kafka, Notice

from ..support import needs_server
from .stage import Stage, staged, until

pytestmark = [needs_server, pytest.mark.timeout(120)]


class Brokers:
    """A cluster of one broker."""

    def __init__(self) -> None:
        self.owner = kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored"})
        (broker,) = self.owner.list_topics(timeout=30).brokers.values()
        self.servers = f"{broker.host}:{broker.port}"

    def read(self, count: int, topic: str = "t") -> list[tuple[str, bytes, dict[str, str]]]:
        """Key, value and headers of so many messages."""
        consumer = kafka.Consumer({"bootstrap.servers": self.servers, "group.id": "reader"})
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        begin = kafka.OFFSET_BEGINNING
        # Assigned, not subscribed: a group would take its time until it has settled.
        consumer.assign([kafka.TopicPartition(topic, number, begin) for number in partitions])
        try:
            found: list[tuple[str, bytes, dict[str, str]]] = []
            while len(found) < count:
                message = consumer.poll(0.1)
                if message is not None and message.error() is None:
                    headers = {name: value.decode() for name, value in message.headers()}
                    found.append((message.key().decode(), message.value(), headers))
            return found
        finally:
            consumer.close()


@pytest.fixture(scope="module")
def brokers() -> Iterator[Brokers]:
    brokers = Brokers()
    yield brokers
    brokers.owner.flush(0)


def test_messages_have_the_topic_as_key_and_headers_say_who_has_written_them(
    brokers: Brokers,
) -> None:
    records = [Update("A", {"n": 1}, 1), Notice("gap", "A", "reset"), Update("A", b"\xff\x00", 2)]

    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        for record in records:
            writer.put(record)
        assert await writer.flush(60.0)
        assert writer.figures()["sent"] == 3
        one, gap, two = await asyncio.to_thread(brokers.read, 3)
        who = {"shard": "0", "epoch": "1"}
        assert one == ("A", b'{"n":1}', {"kind": "update", "sequence": "1", **who})
        assert two == ("A", b"\xff\x00", {"kind": "update", "sequence": "2", **who})
        assert (gap[0], gap[2]) == ("A", {"kind": "gap", **who})
        assert json.loads(gap[1])["reason"] == "reset"

    staged(Kafka(brokers.servers), scene)


def test_many_come_in_order_and_once(brokers: Brokers) -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        for number in range(3000):
            writer.put(Update("A", str(number), number))
        assert await writer.flush(60.0)
        found = await asyncio.to_thread(brokers.read, 3000, "many")
        assert [int(value) for _, value, _ in found] == list(range(3000))

    staged(Kafka(brokers.servers, "many"), scene)


def test_one_that_is_too_big_is_left_out_and_counted(brokers: Brokers) -> None:
    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        writer.put(Update("A", b"x" * (2 << 20), 1))
        writer.put(Update("A", b"y", 2))
        assert await writer.flush(60.0)
        assert (writer.failed, writer.sent, writer.errors) == (1, 1, 0)
        assert [value for _, value, _ in await asyncio.to_thread(brokers.read, 1, "big")] == [b"y"]

    staged(Kafka(brokers.servers, "big"), scene)


def test_brokers_that_are_gone_are_waited_for_within_a_bound(brokers: Brokers) -> None:
    settings = {"message.timeout.ms": 50}

    async def scene(stage: Stage) -> None:
        writer = await stage.writer()
        writer.put(Update("A", "1", 1))
        await until(lambda: writer.errors)
        for number in range(2, 32):
            writer.put(Update("A", str(number), number))
        assert writer.figures()["dropped"] == 20
        writer._options["bootstrap.servers"] = brokers.servers  # they are there again
        writer._options["message.timeout.ms"] = 60_000
        assert await writer.flush(60.0)
        found = await asyncio.to_thread(brokers.read, 12, "late")
        kinds = [headers["kind"] for _, _, headers in found]
        assert kinds == ["update", "gap", *["update"] * 10]
        assert [value for _, value, _ in found][2:] == [b"%d" % n for n in range(22, 32)]

    staged(Kafka("127.0.0.1:9", "late", options=settings, maxlen=10), scene)
