"""Publishing to JetStream: stored, confirmed, and fenced by the server.

What it is: the writer of the sink JetStream.

What it must not know: feeds, leases, what moves topics between shards.

How it works. Everything that was sent stays in a window until the server has confirmed it; the
confirmations come to an inbox of our own, numbered, so that thousands are under way at once. A
connection is used until it is lost, and never mended: then a new one is made, everything in the
window is sent again in the same order with the same ids, and new messages follow. The server
stores a message with an id that it knows only once, but it remembers ids for ``duplicate_window``
seconds. After a longer outage, the stream itself is asked how far it has come: what one connection
sends is stored in order, so what is stored is a beginning of the window.

A refusal by the fence stops everything until it is judged: see rules/epochs.py.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import MaxPayloadError

from ...exceptions import WebSocketConnectionLostException
from ..cancelling import cancel
from ..ledger import WRONG_LAST_SEQUENCE
from ..names import topic_token
from ..rules.epochs import Epoch, Verdict, fence_headers, judge_refusal, renewal_due
from ..rules.positions import Position, message_id, numbered_id
from ..rules.records import Notice, Record, encode_data, encode_notice
from ..rules.window import Window
from .base import Post, Writer

if TYPE_CHECKING:
    from .jetstream import JetStream

__all__ = ["JetStreamWriter", "Sent"]

_log = logging.getLogger("reactor.fleet")

#: Messages between two looks at what else there is to do in the process.
AT_ONCE = 128

#: Why a connection ends that has nothing wrong: everything is sent again under another epoch.
RENEWED = "the epoch was renewed"

#: Seconds without a confirmation after which a connection is given up.
STALLED = 5.0

#: Seconds between two looks at whether the epoch is to be renewed.
LOOK = 1.0


class Sent(NamedTuple):
    """A message that is not confirmed yet; the fence is added when it is sent."""

    subject: str
    payload: bytes
    identity: str
    updates: int


class JetStreamWriter(Writer):
    """See the module.

    Attributes:
        stored: updates that are in the stream.
        duplicates: messages that were there already.
        refused: messages that the fence has refused.
        resent: messages that were sent again.
    """

    def __init__(self, sink: JetStream, post: Post) -> None:
        super().__init__(sink, post)
        assert post.ledger is not None
        self.sink = sink
        self.stored = self.duplicates = self.refused = self.resent = 0
        self.window: Window[Sent] = Window(sink.window)
        self._ledger = post.ledger
        self._shard = post.epoch.shard
        self._epoch = post.epoch
        self._encode = sink.encode or encode_data
        self._numbered = 0
        self._subjects: dict[str, tuple[str, str]] = {}  # topic -> subject, token
        self._marks: dict[str, str] = {}  # of counts that began anew
        self._resets = 0
        self._trouble: str | None = None  # why the connection is given up
        self._doubt = False  # the fence has refused something
        self._heard = 0  # answers that have come
        self._lost_at: float | None = None  # since when the window is without a connection
        self._renewal_wanted = False
        self._epoch_at = asyncio.get_running_loop().time()
        self._looked_at = self._epoch_at

    # -- for the shard -------------------------------------------------------------------------

    def forget(self, topic: str) -> None:
        """See Writer."""
        super().forget(topic)
        self._subjects.pop(topic, None)
        self._marks.pop(topic, None)

    async def positions(self, topics: Sequence[str]) -> dict[str, Position]:
        """See Writer."""
        return await self._ledger.positions(topics)

    def seed(self, positions: Mapping[str, Position]) -> None:
        """See Writer."""
        for topic, position in positions.items():
            if position.mark:
                self._marks[topic] = position.mark

    @property
    def is_idle(self) -> bool:
        """See Writer."""
        return not len(self.buffer) and not len(self.window)

    def figures(self) -> dict[str, int]:
        """See Writer."""
        return {
            **super().figures(),
            "stored": self.stored,
            "duplicates": self.duplicates,
            "fenced": self.refused,
            "resent": self.resent,
            "pending": len(self.window),
        }

    # -- one connection after the other ----------------------------------------------------------

    async def run(self) -> None:
        """See Writer."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                client = await self._connect()
            except (OSError, nats.errors.Error, TimeoutError, asyncio.TimeoutError):
                await asyncio.sleep(0.1)
                continue
            try:
                await self._settle()
                await self._serve(client)
            finally:
                if self._lost_at is None:
                    self._lost_at = loop.time()
                await _end(client)

    async def _connect(self) -> Client:
        post = self.post
        servers = post.servers if isinstance(post.servers, str) else list(post.servers)

        async def ignore(error: Exception) -> None:
            """It is looked at, all the time, whether the connection is still there."""

        options = {
            **post.options,
            "allow_reconnect": False,
            "connect_timeout": 2,
            "max_reconnect_attempts": 1,
            "error_cb": ignore,
            "skip_subject_validation": True,  # topic_token() has seen to it
        }
        return await nats.connect(servers, **options)

    async def _settle(self) -> None:
        """After an outage: find out what the fence is, and what of the window is stored."""
        if self._doubt:
            await self._judge()
        lost_at, self._lost_at = self._lost_at, None
        if lost_at is None or not len(self.window):
            return
        try:
            away = asyncio.get_running_loop().time() - lost_at
            if away > self.sink.duplicate_window / 2:
                await self._compare()
        except BaseException:
            self._lost_at = lost_at
            raise

    async def _compare(self) -> None:
        """Take what is in the stream out of the window: a beginning of it, if anything."""
        pending = list(self.window)
        subjects = {sent.subject for _, sent in pending}
        last = set((await self._ledger.last_ids(sorted(subjects))).values())
        stored = max((number for number, sent in pending if sent.identity in last), default=0)
        for number, _ in pending:
            if number <= stored:
                self._confirm(number, False)

    async def _serve(self, client: Client) -> None:
        """Send the window again, then what is new, until the connection is lost."""
        self._trouble = None
        inbox = client.new_inbox()
        await client.subscribe(
            f"{inbox}.>",
            cb=self._acknowledged,
            pending_msgs_limit=4 * self.window.size,
            pending_bytes_limit=1 << 30,
        )
        fence = self._fence()
        for number, sent in self.window:
            if number in self.window:
                await self._publish(client, inbox, number, sent, fence)
                self.resent += 1
                if self.resent % AT_ONCE == 0:
                    await asyncio.sleep(0)
        watch = asyncio.ensure_future(self._watch(client))
        try:
            await self._pump(client, inbox, fence)
        finally:
            await cancel([watch])
        if self._trouble not in (None, RENEWED):
            raise WebSocketConnectionLostException(self._trouble)

    async def _pump(self, client: Client, inbox: str, fence: dict[str, str]) -> None:
        buffer, window = self.buffer, self.window
        while client.is_connected and self._trouble is None:
            if not self.ready() or window.full or self._doubt:
                await self.more()
                continue
            for _ in range(min(AT_ONCE, window.size - len(window))):
                if not self.ready():
                    break
                sent = self._next()
                number = window.add(sent)
                try:
                    await self._publish(client, inbox, number, sent, fence)
                except MaxPayloadError:
                    window.discard(number)
                    self.failed += 1
                    _log.error("%s: %d bytes are too many", sent.subject, len(sent.payload))
            self.sent = window.confirmed + len(window)
            await asyncio.sleep(0)  # confirmations, and the feed
            if not len(buffer) and self.is_idle:
                self._idle.set()
            if self._renewal_wanted:
                fence = await self._renew(client)

    def _next(self) -> Sent:
        """Return the next message."""
        return self._message(self.buffer.take())

    def _message(self, record: Record) -> Sent:
        """Return the message of one record."""
        topic = str(record.topic)
        names = self._subjects.get(topic)
        if names is None:
            token = topic_token(topic)
            names = self._subjects[topic] = self.post.names.update(token), token
        if isinstance(record, Notice):
            payload = encode_notice(record, self._shard, self._epoch.number)
            if record.kind == "gap" and record.reason == "reset":
                self._begin_count(topic)
            return Sent(self.post.names.notice(names[1]), payload, self._number(), 0)
        payload = self._encode(record)
        if type(record.sequence) is int:
            mark = self._marks.get(topic, "")
            identity = message_id(names[1], record.sequence, record.epoch, mark)
        else:
            identity = self._number()
        return Sent(names[0], payload, identity, 1)

    def _begin_count(self, topic: str) -> None:
        """The service has begun a new count of a topic: the same numbers mean other updates."""
        self._resets += 1
        self._marks[topic] = f"{self._epoch.number}.{self._resets}"

    def _number(self) -> str:
        self._numbered += 1
        return numbered_id(self._shard, self._epoch.number, self._numbered)

    def _fence(self) -> dict[str, str]:
        return fence_headers(self._epoch.sequence, self.post.names.epoch(self._shard))

    async def _publish(
        self, client: Client, inbox: str, number: int, sent: Sent, fence: dict[str, str]
    ) -> None:
        await client.publish(
            sent.subject,
            sent.payload,
            reply=f"{inbox}.{number}",
            headers={"Nats-Msg-Id": sent.identity, **fence},
        )

    async def _watch(self, client: Client) -> None:
        """See what no message tells: a lost connection, a server that is silent."""
        loop = asyncio.get_running_loop()
        heard, heard_at = self._heard, loop.time()
        while client.is_connected:
            await asyncio.sleep(0.02)
            now = loop.time()
            if heard != self._heard or not len(self.window):
                heard, heard_at = self._heard, now
            if self._doubt:
                try:
                    await self._judge()
                except Exception as exc:  # noqa: BLE001 - the next connection judges it
                    self._trouble = f"{type(exc).__name__}: {exc}"
                self._trouble = self._trouble or RENEWED
                break
            if now - heard_at > STALLED:
                self._trouble = f"nothing was confirmed for {STALLED:.0f} s"
                break
            if now - self._looked_at > LOOK:
                await self._look(now)
        self.poke()

    # -- confirmations ---------------------------------------------------------------------------

    async def _acknowledged(self, message: Msg) -> None:
        number = int(message.subject[message.subject.rindex(".") + 1 :])
        data = message.data
        self._heard += 1
        if data.startswith(b'{"stream"'):
            self._confirm(number, b'"duplicate": true' in data or b'"duplicate":true' in data)
        elif not data:
            self._trouble = "JetStream is not there"  # 503: no responders
        else:
            self._failed(number, data)
        if self._waiting:
            self.poke()

    def _confirm(self, number: int, duplicate: bool) -> None:
        sent = self.window.confirm(number)
        if sent is not None:
            self.stored += sent.updates
            self.duplicates += duplicate
            self.confirmed(sent)

    def confirmed(self, sent: Sent) -> None:
        """A message is stored."""

    def _failed(self, number: int, data: bytes) -> None:
        try:
            error = json.loads(data)["error"]
            code = error.get("err_code")
        except (ValueError, KeyError, TypeError, AttributeError):
            error, code = data[:100], None
        if code == WRONG_LAST_SEQUENCE:
            self.refused += 1
            self._doubt = True
        else:
            self._trouble = f"JetStream does not store: {error}"

    # -- the fence -------------------------------------------------------------------------------

    async def _judge(self) -> None:
        """The fence has refused something: leave for good, or find the epoch that holds."""
        epoch, ledger = self._epoch, self._ledger
        last = await ledger.last_epoch(self._shard)
        holder = epoch.instance if last is None and await self.post.holds() else None
        verdict = judge_refusal(last, epoch.instance, holder)
        if verdict is Verdict.LEAVE:
            self.post.fenced(f"shard {self._shard} has a newer epoch")
            await asyncio.Event().wait()  # until close(): nothing is sent any more
        if verdict is Verdict.RENEW:
            sequence = await ledger.write_epoch(epoch, 0)
            if sequence is None:
                return  # judged anew
        else:
            assert last is not None
            sequence = last.sequence
        self._began(sequence)
        self._doubt = False

    def _began(self, sequence: int) -> None:
        old = self._epoch
        self._epoch = Epoch(old.shard, old.number, old.instance, sequence)
        self._epoch_at = asyncio.get_running_loop().time()
        self._renewal_wanted = False

    async def _look(self, now: float) -> None:
        """See whether the epoch is to be renewed, before limits roll it out."""
        self._looked_at = now
        try:
            info = await self._ledger.info()
        except Exception:  # noqa: BLE001 - as long as that fails, nothing is rolled out by us
            return
        config, state = info.config, info.state
        bounded = (config.max_bytes or -1) > 0 or (config.max_msgs or -1) > 0
        age, max_age = now - self._epoch_at, config.max_age
        if renewal_due(
            self._epoch.sequence, age, state.first_seq, state.last_seq, max_age, bounded
        ):
            self._renewal_wanted = True
            self.poke()

    async def _renew(self, client: Client) -> dict[str, str]:
        """Write the epoch anew, on our connection: behind all that names the old one."""
        self._renewal_wanted = False
        epoch = self._epoch
        subject = self.post.names.epoch(epoch.shard)
        answer = await client.request(
            subject, epoch.encode(), timeout=STALLED, headers=self._fence()
        )
        said = json.loads(answer.data or b"{}")
        if "seq" in said:
            self._began(said["seq"])
        else:
            self._doubt = True
        return self._fence()


async def _end(client: Client) -> None:
    try:
        await asyncio.wait_for(client.close(), 2.0)
    except Exception:  # noqa: BLE001 - it is lost anyway
        pass
