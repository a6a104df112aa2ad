"""The sink of Kafka: updates as messages of a topic of Kafka's.

What it is: :class:`Kafka` and its writer; the only importer of confluent_kafka.

What it must not know: feeds, leases.

How it works. Up to some hundred records are handed to librdkafka, which sends them in batches on
threads of its own, each once and in order within a partition. When it has said of all what became
of them, the next ones follow. What could not be delivered within ``message.timeout.ms`` goes again,
by another producer, and may be there twice, or behind newer ones. Kafka is not asked who may write:
each message names shard and epoch (see plain.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ...exceptions import WebSocketConnectionLostException
from ...feeds import Update
from ..rules.records import Record, columns_of, encode_data
from .base import Post, Sink, Writer, need_package
from .plain import PlainWriter

__all__ = ["Kafka"]

_log = logging.getLogger("reactor.fleet")

#: Seconds between two looks at what became of messages.
LOOK = 0.002

#: Of the producer, unless they are given. A shard that has lost its lease sends no longer than
#: message.timeout.ms.
OPTIONS = {
    "enable.idempotence": True,
    "message.timeout.ms": 5000,
    "linger.ms": 2,
}


@dataclass(frozen=True)
class Kafka(Sink):
    """Updates as messages of one topic of Kafka's.

    The key is the topic of the update, so all of its updates are in one partition, in order; the
    value is its data. The headers ``kind``, ``sequence``, ``time``, ``shard`` and ``epoch`` are
    text. A notice has the same key, and is JSON.

    Args:
        servers: of Kafka: ``"host:9092,host:9092"``.
        topic: of Kafka's; None: the name of the fleet.
        encode: returns the data of an update as bytes; None: text and bytes as they are, else
            JSON.
        options: further settings of librdkafka.
        maxlen, drop: as for every sink.

    Raises:
        WebSocketStateException: The package confluent-kafka is not there.
    """

    servers: str
    topic: str | None = None
    encode: Callable[[Update], bytes] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        need_package("confluent_kafka", "fleet-kafka")

    def writer(self, post: Post) -> Writer:
        """See Sink."""
        return _KafkaWriter(self, post)


class _KafkaWriter(PlainWriter):
    def __init__(self, sink: Kafka, post: Post) -> None:
        super().__init__(sink, post)
        self._topic = sink.topic or post.names.name
        self._encode = sink.encode or encode_data
        self._options = {**OPTIONS, **sink.options, "bootstrap.servers": sink.servers}
        self._producer: Any = None

    async def open(self) -> None:
        from confluent_kafka import Producer

        self._forget()
        self._producer = Producer(self._options, logger=_log)

    async def write(self, records: list[Record]) -> None:
        waiting = dict(enumerate(records))
        trouble: list[Any] = []

        def delivered(number: int, error: Any, _: Any = None) -> None:
            if error is None:
                self.sent += 1
            elif _is_hopeless(error):
                self._give_up(waiting[number], error)
            else:
                trouble.append(error)
                return
            del waiting[number]

        try:
            for number, record in enumerate(records):
                self._produce(record, partial(delivered, number))
            while len(waiting) > len(trouble):
                self._producer.poll(0)
                await asyncio.sleep(LOOK)
        finally:
            records[:] = waiting.values()
        if trouble:
            raise WebSocketConnectionLostException(f"Kafka: {trouble[0]}")

    def _produce(self, record: Record, delivered: Callable[..., None]) -> None:
        from confluent_kafka import KafkaException

        said = columns_of(record, self.shard, self.epoch, self._encode)
        headers = [
            (name, str(getattr(said, name)))
            for name in ("kind", "sequence", "time", "shard", "epoch")
            if getattr(said, name) is not None
        ]
        try:
            self._producer.produce(
                self._topic, said.data, said.topic, headers=headers, on_delivery=delivered
            )
        except KafkaException as exc:  # it is not queued
            delivered(exc.args[0])

    def _give_up(self, record: Record, error: Any) -> None:
        self.failed += 1
        _log.error("%s: Kafka does not take it: %s", record.topic, error)

    def _forget(self) -> None:
        """Have the producer send nothing more."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(0)
            self._producer = None

    async def close(self) -> None:
        await super().close()
        self._forget()


def _is_hopeless(error: Any) -> bool:
    """Whether the same message would fail again, whatever happens."""
    from confluent_kafka import KafkaError

    return error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG)
