"""The outbox: a message that is sent in fragments, and the messages that wait behind it.

What it is: the queue that keeps messages in order while one of them is incomplete. RFC 6455 section
5.4 allows only control frames between the fragments of a message.

What it must not know: frames, sockets, where the fragments come from.

How it works. The sender makes an outbox for the first fragment, and drops it when that message and
all that wait behind it are sent. The outbox takes fragments from an iterable while the write queue
is below its high mark. When the queue has fallen to its low mark, the connection calls ``run``
again. In one turn, the outbox sends at most as many bytes as the high mark, so that an endless
message to a fast peer leaves room for other connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.marks import calls_user_code
from ..exceptions import WebSocketStateException
from ..protocols.session import State

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from .sender import Sender

__all__ = ["Fragments", "Message", "Outbox"]

#: Bytes that an item counts in addition to its payload, for the objects around it.
ITEM_SIZE = 128


class Message(NamedTuple):
    """A whole message that waits."""

    opcode: int
    payload: bytes
    compress: bool | None  # see WebSocketProtocol.send


class Fragments(NamedTuple):
    """A message whose fragments an iterator yields."""

    fragments: Iterator[Any]
    compress: bool | None


class Outbox:
    """The queue of one connection. See the module. The loop's thread only.

    Args:
        sender: the connection's sender.
        loop: its event loop.
        share: how many bytes may be sent in one turn.

    Attributes:
        size: bytes that the waiting messages take, with ITEM_SIZE for each.
    """

    __slots__ = (
        *("_current", "_loop", "_running", "_scheduled", "_sender", "_share", "_waiting"),
        "size",
    )

    def __init__(self, sender: Sender, loop: EventLoop, share: int) -> None:
        self._sender = sender
        self._loop = loop
        self._share = share
        self._current: Fragments | None = None  # the message that is being sent
        self._waiting: deque[Message | Fragments] = deque()
        self._running = False  # run() is running; it calls iterators, which may call it again
        self._scheduled = False  # run() is among the loop's queued calls
        self.size = 0

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        return self._sender.whose()

    def add(self, item: Message | Fragments) -> None:
        """Send an item after everything that waits."""
        self._waiting.append(item)
        self.size += _size_of(item)
        self.run()

    def send_fragment(self, data: Any, fin: bool, compress: bool | None) -> None:
        """Send one fragment of a message whose fragments the user sends one by one.

        Args:
            data: the fragment: str, or bytes-like.
            fin: whether it is the last one.
            compress: see ``WebSocketProtocol.send``; the first fragment decides.

        Raises:
            WebSocketStateException: Another message in fragments has not ended yet.
        """
        session = self._sender.session
        if self._current is not None or (self._waiting and not session.sending):
            raise WebSocketStateException("another message in fragments has not ended yet")
        try:
            self._sender.sent(session.send_fragment(data, fin, compress))
        finally:
            if not session.sending:
                self.run()

    def run(self) -> None:
        """Send as much as there is room for, and as is left of this turn's share.

        An iterator may itself send on the connection. This is sent when the iterator has returned.
        """
        if self._running or self._scheduled:
            return
        self._running = True
        try:
            self._run()
        finally:
            self._running = False

    def _run(self) -> None:
        sender = self._sender
        session = sender.session
        share = self._share
        while session.state is State.OPEN:
            if self._current is None:
                if session.sending:
                    return  # the user will send the next fragment
                if not self._waiting:
                    sender.outbox_empty()
                    return
            if not sender.has_room():
                return
            if share <= 0:
                self._scheduled = True
                self._loop.call_soon(self._run_again)
                return
            if self._current is not None:
                share -= self._send_next(self._current)
            else:
                share -= self._send_waiting(self._waiting.popleft())

    def _run_again(self) -> None:
        self._scheduled = False
        if self._current is not None or self._waiting:  # else everything has been dropped since
            self.run()

    @calls_user_code
    def _send_next(self, message: Fragments) -> int:
        sender = self._sender
        session = sender.session
        try:
            fragment = next(message.fragments)
            if session.state is not State.OPEN:
                return 0  # the iterator has closed the connection
            size = session.send_fragment(fragment, False, message.compress)
        except StopIteration:
            self._current = None
            if session.state is not State.OPEN:
                return 0
            fragment = b""
            size = session.end_fragments()
        except Exception as exc:  # noqa: BLE001 - the user's iterator; reported
            sender.fragments_failed(exc)
            return 0
        except BaseException as exc:
            sender.fragments_failed(exc)  # else the message would seem to be complete
            raise
        sender.sent(size)
        return max(size, len(fragment))  # well-compressed data counts with its full length

    def _send_waiting(self, item: Message | Fragments) -> int:
        self.size -= _size_of(item)
        if isinstance(item, Fragments):
            self._current = item
            return 0
        size = self._sender.session.send_payload(*item)
        self._sender.sent(size)
        return max(size, len(item.payload))

    def drop(self) -> None:
        """Drop everything: the connection has ended, or is being closed."""
        self._current = None  # the last reference to a generator, whose finally blocks then run
        self._waiting.clear()
        self.size = 0


def _size_of(item: Message | Fragments) -> int:
    return ITEM_SIZE + (len(item.payload) if isinstance(item, Message) else 0)
