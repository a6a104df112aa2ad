"""The outbox: a message that is sent in fragments, and what waits behind it.

What it is: the order of messages on one connection while one of them is not complete. RFC 6455
section 5.4 lets only control frames come in between.

What it must not know: frames, sockets, where the fragments come from.

How it works. A connection makes one for the first fragment, and drops it when the message and
all that waits is sent. Fragments of an iterable are asked for as long as the write queue is
below its high mark; when it falls to its low mark, the connection calls ``run`` again. In one
turn at most as many bytes go out as the high mark allows, so that an endless message to a fast
peer leaves room for others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..base.marks import calls_user_code
from ..exceptions import CloseCode, WebSocketStateException
from ..protocols.session import State, WebSocketSession

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop

__all__ = ["Fragments", "Message", "Outbox"]

#: Bytes that an item counts beside its payload: what the objects around it take.
ITEM_SIZE = 128


class Message(NamedTuple):
    """A whole message that waits."""

    opcode: int
    payload: bytes
    compress: bool | None


class Fragments(NamedTuple):
    """A message whose fragments an iterator yields."""

    fragments: Iterator[Any]
    compress: bool | None


class Owner(Protocol):
    """What an outbox needs of its connection."""

    session: WebSocketSession

    def has_room(self) -> bool:
        """Whether the write queue is below its high mark."""

    def sent(self, size: int) -> None:
        """Bytes were added to the session's output."""

    def outbox_empty(self) -> None:
        """Nothing waits any longer."""

    def fragments_failed(self, error: Exception) -> None:
        """The message in progress cannot be ended, because of what its iterator raised."""

    def close(self, code: int) -> None:
        """Close the connection."""


class Outbox:
    """See the module.

    Parameters:
        owner: the connection.
        loop: its event loop.
        share: how many bytes may go out in one turn.

    Attributes:
        size: bytes that the waiting messages take, each with ITEM_SIZE for the objects around it.
    """

    __slots__ = (
        *("_current", "_loop", "_owner", "_running", "_scheduled", "_share", "_waiting"),
        "size",
    )

    def __init__(self, owner: Owner, loop: EventLoop, share: int) -> None:
        self._owner = owner
        self._loop = loop
        self._share = share
        self._current: Fragments | None = None  # whose fragments are being sent
        self._waiting: deque[Message | Fragments] = deque()
        self._running = False  # run() is: it calls iterators, which may use the connection
        self._scheduled = False  # run() is in the loop's list of calls
        self.size = 0

    def add(self, item: Message | Fragments) -> None:
        """Send this behind everything that waits."""
        self._waiting.append(item)
        self.size += _size_of(item)
        self.run()

    def send_fragment(self, data: Any, fin: bool, compress: bool | None) -> None:
        """Send a fragment of a message whose fragments come one by one.

        Raises WebSocketStateException when another message is in progress.
        """
        session = self._owner.session
        if self._current is not None or (self._waiting and not session.sending):
            raise WebSocketStateException("another message in fragments has not ended yet")
        try:
            self._owner.sent(session.send_fragment(data, fin, compress))
        finally:
            if not session.sending:
                self.run()

    def run(self) -> None:
        """Send what there is room for. What an iterator sends, goes out when it has returned."""
        if self._running:
            return
        self._running = True
        try:
            self._run()
        finally:
            self._running = False

    def _run(self) -> None:
        owner = self._owner
        session = owner.session
        share = self._share
        while session.state is State.OPEN:
            if self._current is None:
                if session.sending:
                    return  # the next fragment is the user's
                if not self._waiting:
                    owner.outbox_empty()
                    return
            if not owner.has_room():
                return
            if share <= 0:
                if not self._scheduled:
                    self._scheduled = True
                    self._loop.call_soon(self._run_again)
                return
            if self._current is not None:
                share -= self._send_next(self._current)
            else:
                share -= self._send_waiting(self._waiting.popleft())

    def _run_again(self) -> None:
        self._scheduled = False
        if self._current is not None or self._waiting:  # nothing was dropped meanwhile
            self.run()

    @calls_user_code
    def _send_next(self, message: Fragments) -> int:
        owner = self._owner
        session = owner.session
        try:
            fragment = next(message.fragments)
            if session.state is not State.OPEN:
                return 0  # the iterator itself has closed the connection
            size = session.send_fragment(fragment, False, message.compress)
        except StopIteration:
            self._current = None
            if session.state is not State.OPEN:
                return 0
            fragment = b""
            size = session.end_fragments()
        except Exception as exc:  # noqa: BLE001 - the user's iterator; reported
            owner.fragments_failed(exc)
            return 0
        except BaseException:
            owner.close(CloseCode.INTERNAL_ERROR)  # else the message would seem to be complete
            raise
        owner.sent(size)
        return max(size, len(fragment))  # of what compresses well, not any amount in one turn

    def _send_waiting(self, item: Message | Fragments) -> int:
        self.size -= _size_of(item)
        if isinstance(item, Fragments):
            self._current = item
            return 0
        size = self._owner.session.send_payload(*item)
        self._owner.sent(size)
        return max(size, len(item.payload))

    def drop(self) -> None:
        """The connection has ended, or is being closed: let go of everything."""
        self._current = None  # a generator's finally blocks run when nobody holds it any longer
        self._waiting.clear()
        self.size = 0


def _size_of(item: Message | Fragments) -> int:
    return ITEM_SIZE + (len(item.payload) if isinstance(item, Message) else 0)
