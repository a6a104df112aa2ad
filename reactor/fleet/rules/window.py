"""What waits in a sink: a bounded buffer before it is sent, and a window until it is confirmed.

What it is: :class:`Buffer` and :class:`Window`.

What it must not know: what sends, what confirms, clocks.

How it works. The buffer never has anybody wait. When it is full, it drops by the same rules as a
feed's Mailbox: the record that waits for longest, or all but the latest update of each topic. It
counts what it drops, and a topic of which something was dropped gets a notice of the gap before
its next record. The window keeps what was sent until it is confirmed, in order, so that it can be
sent again.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from ...base.mistakes import check_number
from ...feeds import Update
from .records import Notice, Record

__all__ = ["Buffer", "Window"]

T = TypeVar("T")


class Buffer:
    """Records that wait for being sent.

    Args:
        maxlen: how many at most; 1 or more.
        drop: "oldest" or "latest": see :class:`reactor.feeds.Mailbox`. What conflation replaces
            is counted and makes no gap: whoever asks for the latest wants no more.

    Raises:
        ValueError: *maxlen* is less than 1, or *drop* is neither word.
        TypeError: *maxlen* is no number.
    """

    def __init__(self, maxlen: int = 100_000, drop: str = "oldest") -> None:
        check_number("maxlen", maxlen, "1 or more")
        if maxlen < 1:
            raise ValueError(f"maxlen must be 1 or more, not {maxlen!r}")
        if drop not in ("oldest", "latest"):
            raise ValueError(f"drop must be 'oldest' or 'latest', not {drop!r}")
        self.maxlen = maxlen
        self.drop = drop
        #: How many records were dropped.
        self.dropped = 0
        self._queue: deque[Record] = deque()
        self._latest: OrderedDict[object, Record] = OrderedDict()
        self._holes: dict[object, Notice] = {}  # of topics of which something was dropped
        self._taken: dict[object, Update] = {}  # the last update of each topic that was taken
        self._next: Record | None = None  # before which a notice was taken
        self._serial = 0

    def __len__(self) -> int:
        """How many records wait, and notices of what was dropped."""
        waiting = len(self._queue) + len(self._latest) + len(self._holes)
        return waiting if self._next is None else waiting + 1

    def put(self, record: Record) -> None:
        """Put a record in; never waits."""
        if self.drop == "latest":
            self._conflate(record)
            return
        self._queue.append(record)
        if len(self._queue) > self.maxlen:
            self._drop(self._queue.popleft())

    def _conflate(self, record: Record) -> None:
        if isinstance(record, Update):
            key: object = record.topic
            if key in self._latest:
                self.dropped += 1
        else:
            self._serial += 1
            key = (self._serial,)  # notices are not news that replace older ones
        self._latest[key] = record
        if len(self._latest) > self.maxlen:
            self._drop(self._latest.popitem(last=False)[1])

    def _drop(self, record: Record) -> None:
        self.dropped += 1
        hole = self._holes.get(record.topic)
        if hole is None:
            last = self._taken.get(record.topic)
            hole = self._holes[record.topic] = Notice(
                "gap", str(record.topic), "dropped", last, None, 0
            )
        hole.count = (hole.count or 0) + 1

    def take(self) -> Record:
        """Take the record that is next: a notice first, where something was dropped before it.

        Raises:
            IndexError: There is none.
        """
        record, self._next = self._next, None
        if record is not None:
            return record
        if self._queue:
            record = self._queue.popleft()
        elif self._latest:
            record = self._latest.popitem(last=False)[1]
        elif self._holes:
            return self._holes.popitem()[1]  # nothing of that topic has followed yet
        else:
            raise IndexError("nothing waits")
        hole = self._holes.pop(record.topic, None) if self._holes else None
        if type(record) is Update:
            self._taken[record.topic] = record
        if hole is None:
            return record
        hole.next = record if isinstance(record, Update) else record.next
        self._next = record  # it cannot be dropped any more
        return hole

    def forget(self, topic: object) -> None:
        """A topic is over: nothing has to be remembered of it."""
        self._taken.pop(topic, None)
        self._holes.pop(topic, None)


class Window(Generic[T]):
    """What was sent and is not confirmed yet.

    Args:
        size: how much at most; 1 or more.

    Attributes:
        confirmed: how many were confirmed.
    """

    def __init__(self, size: int = 8_000) -> None:
        check_number("window", size, "1 or more")
        if size < 1:
            raise ValueError(f"window must be 1 or more, not {size!r}")
        self.size = size
        self.confirmed = 0
        self._number = 0
        self._pending: dict[int, T] = {}  # in the order in which they were sent

    def __len__(self) -> int:
        """How many are not confirmed."""
        return len(self._pending)

    def __contains__(self, number: object) -> bool:
        """Whether the item of that number is not confirmed."""
        return number in self._pending

    def __iter__(self) -> Iterator[tuple[int, T]]:
        """Those with their numbers, the oldest first."""
        return iter(list(self._pending.items()))

    @property
    def full(self) -> bool:
        """Whether something has to be confirmed before more is sent."""
        return len(self._pending) >= self.size

    def add(self, item: T) -> int:
        """Keep an item; returns its number, by which it is confirmed."""
        self._number += 1
        self._pending[self._number] = item
        return self._number

    def confirm(self, number: int) -> T | None:
        """It is stored. Returns the item; None where it was confirmed before."""
        item = self._pending.pop(number, None)
        if item is not None:
            self.confirmed += 1
        return item

    def discard(self, number: int) -> T | None:
        """It will never be stored. Returns the item."""
        return self._pending.pop(number, None)
