"""The ledger: what is read from the stream of the updates, and how epochs begin in it.

What it is: :class:`Ledger`: makes the stream, takes epochs, and tells how far topics have come.

What it must not know: who publishes updates, leases.

How it works. The last message of a topic tells by its id how far the topic has come (see
rules/positions.py). Those of many topics come by one request, if the stream has one copy; with
several, another copy than the leader's might answer, which may be behind, so the leader is asked,
topic by topic.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from ..exceptions import WebSocketStateException, WebSocketTimeoutException
from .names import Names, topic_token
from .rules.epochs import Epoch, fence_headers
from .rules.positions import Position, position_of
from .store import in_parts

__all__ = ["Ledger"]

#: Topics in one request; the server answers 1,024 at most.
TOPICS = 512

#: Seconds that an answer may take.
TIMEOUT = 5.0

#: The server's code for a message whose expected sequence is not the last one.
WRONG_LAST_SEQUENCE = 10071


class Ledger:
    """See the module.

    Args:
        client: a connection.
        names: of the fleet.
    """

    def __init__(self, client: Client, names: Names) -> None:
        self._client = client
        self._names = names
        self._js = client.jetstream(timeout=TIMEOUT)
        self._replicas = 1

    async def open(self, options: dict[str, Any] | None = None) -> StreamInfo:
        """Find the stream, or make it if there is none; return what it is like.

        Args:
            options: of the stream that is made, as ``nats.js.api.StreamConfig`` has them; None:
                make none.

        Raises:
            WebSocketStateException: There is none; or it does not store what a fleet sends.
        """
        names = self._names
        try:
            info = await self._js.stream_info(names.stream)
        except NotFoundError:
            if options is None:
                raise WebSocketStateException(f"there is no stream {names.stream!r}") from None
            config = StreamConfig(
                name=names.stream,
                subjects=names.subjects,
                **{"storage": StorageType.FILE, "allow_direct": True, **options},
            )
            info = await self._js.add_stream(config)
        missing = set(names.subjects) - set(info.config.subjects or ())
        if missing:
            raise WebSocketStateException(
                f"the stream {names.stream!r} is another one: it does not store {sorted(missing)}"
            )
        self._replicas = info.config.num_replicas or 1
        if not info.config.allow_direct:
            self._replicas = max(self._replicas, 2)  # the leader is asked
        return info

    async def info(self) -> StreamInfo:
        """Return what the stream is like now."""
        return await self._js.stream_info(self._names.stream)

    # -- epochs --------------------------------------------------------------------------------

    async def last_epoch(self, shard: int) -> Epoch | None:
        """Return the epoch of a shard that the server goes by; None: there is none."""
        message = await self._leaders(self._names.epoch(shard))
        if message is None:
            return None
        return Epoch.decode(base64.b64decode(message.get("data", "")), message["seq"])

    async def begin_epoch(self, shard: int, instance: str, at_least: int = 0) -> Epoch:
        """Begin the next epoch of a shard: whoever published in the one before is refused.

        Args:
            shard: which.
            instance: who begins it.
            at_least: the number that it has at least, where the last message was rolled out.

        Raises:
            WebSocketStateException: Others have begun epochs all the time.
        """
        for _ in range(20):
            last = await self.last_epoch(shard)
            number = max(at_least, 1 + (last.number if last else 0))
            epoch = Epoch(shard, number, instance)
            sequence = await self.write_epoch(epoch, last.sequence if last else 0)
            if sequence is not None:
                return Epoch(shard, number, instance, sequence)
            await asyncio.sleep(0.01)
        raise WebSocketStateException(f"shard {shard} is taken by others all the time")

    async def write_epoch(self, epoch: Epoch, after: int) -> int | None:
        """Write an epoch message, if the last one is the one that it is to follow.

        Args:
            epoch: what to write.
            after: the sequence of the last one; 0: there is none.

        Returns:
            Its sequence; None: the last one is another.
        """
        subject = self._names.epoch(epoch.shard)
        headers = fence_headers(after, subject)
        try:
            ack = await self._js.publish(subject, epoch.encode(), headers=headers, timeout=TIMEOUT)
        except APIError as exc:
            if exc.err_code == WRONG_LAST_SEQUENCE:
                return None
            raise
        return ack.seq

    # -- positions -----------------------------------------------------------------------------

    async def positions(self, topics: Sequence[str]) -> dict[str, Position]:
        """Return how far topics have come, of those that have a message in the stream."""
        topic_of = {self._names.update(topic_token(topic)): topic for topic in topics}
        ids = await self.last_ids(list(topic_of))
        return {topic_of[subject]: position_of(identity) for subject, identity in ids.items()}

    async def last_ids(self, subjects: Sequence[str]) -> dict[str, str]:
        """Return the id of the last message of each subject that has one; "" if it has no id."""
        found: dict[str, str] = {}
        if self._replicas > 1:
            answers = await in_parts([self._leaders(subject) for subject in subjects])
            for subject, message in zip(subjects, answers, strict=True):
                if message is not None:
                    found[subject] = _id_in(base64.b64decode(message.get("hdrs", "")))
            return found
        for start in range(0, len(subjects), TOPICS):
            for message in await self._last_of(list(subjects[start : start + TOPICS])):
                headers = message.headers or {}
                found[headers.get("Nats-Subject", "")] = headers.get("Nats-Msg-Id", "")
        return found

    async def _last_of(self, subjects: list[str]) -> list[Msg]:
        """Return the last messages of subjects, by one request."""
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox)
        found: list[Msg] = []
        try:
            await self._client.publish(
                f"$JS.API.DIRECT.GET.{self._names.stream}",
                json.dumps({"multi_last": subjects}).encode(),
                reply=inbox,
            )
            while True:
                message = await subscription.next_msg(TIMEOUT)
                status = (message.headers or {}).get("Status")
                if status in ("204", "404"):
                    return found
                if status is not None:
                    raise WebSocketStateException(f"the stream does not answer: {status}")
                found.append(message)
        except (TimeoutError, asyncio.TimeoutError) as exc:
            raise WebSocketTimeoutException("the stream does not answer") from exc
        finally:
            if self._client.is_connected:
                await subscription.unsubscribe()

    async def _leaders(self, subject: str) -> dict[str, Any] | None:
        """Return the last message of a subject, by the leader of the stream."""
        answer = await self._client.request(
            f"$JS.API.STREAM.MSG.GET.{self._names.stream}",
            json.dumps({"last_by_subj": subject}).encode(),
            timeout=TIMEOUT,
        )
        said = json.loads(answer.data)
        error = said.get("error")
        if error is not None:
            if error.get("code") == 404:
                return None
            raise WebSocketStateException(f"the stream does not answer: {error}")
        message: dict[str, Any] = said["message"]
        return message


def _id_in(headers: bytes) -> str:
    """Return the id of a message from its headers as they are stored."""
    for line in headers.decode().split("\r\n"):
        name, _, value = line.partition(":")
        if name == "Nats-Msg-Id":
            return value.strip()
    return ""
