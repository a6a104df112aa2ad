"""Mailboxes: updates for a thread, or a coroutine, that takes them at its own speed.

What it is: a bounded queue between the loop's thread and another one.

What it must not know: feeds, links.

How it works. A mailbox is called with each update, as any other handler, and never waits: when it
is full, something is dropped and counted. Whoever takes waits on a condition, or, in a coroutine
of asyncio, on a future.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from threading import Condition
from typing import Any, Literal

from ..base.mistakes import check_number
from ..exceptions import WebSocketConnectionClosedException, WebSocketTimeoutException
from .events import Topic, Update

__all__ = ["Drop", "Mailbox"]

#: What goes when a mailbox is full.
Drop = Literal["oldest", "latest"]


class Mailbox:
    """A thread-safe consumer of updates: give it to ``subscribe`` as the handler.

    Args:
        maxlen: how many updates it holds at most; 1 or more (default 10,000).
        drop: what goes when it is full. "oldest" (default): the update that waits for longest.
            "latest": it keeps one update for each topic, the latest (conflation); one that takes
            the place of another counts as dropped, too.
        clock: returns seconds that never go back, for :attr:`age`.
        on_drop: called, on the loop's thread, with an update that was dropped and the one of its
            topic that was last taken (None: not known), when none of its topic was dropped since.
            Not for conflation, where a later one took its place.
        counts: where "mailbox dropped" counts what is dropped, beside ``dropped``; for a feed.

    Raises:
        ValueError: *maxlen* is less than 1, or *drop* is neither word.
        TypeError: *maxlen* is no int.
    """

    def __init__(
        self,
        maxlen: int = 10_000,
        drop: Drop = "oldest",
        clock: Callable[[], float] = time.monotonic,
        on_drop: Callable[[Update, Update | None], object] | None = None,
        counts: Counter[str] | None = None,
    ) -> None:
        check_number("maxlen", maxlen, "1 or more")
        if not isinstance(maxlen, int):
            raise TypeError(f"maxlen must be 1 or more, not {maxlen!r}")
        if maxlen < 1:
            raise ValueError(f"maxlen must be 1 or more, not {maxlen!r}")
        if drop not in ("oldest", "latest"):
            raise ValueError(f"drop must be 'oldest' or 'latest', not {drop!r}")
        self.maxlen = maxlen
        self.drop = drop
        #: How many updates were dropped.
        self.dropped = 0
        self._clock = clock
        self._on_drop = on_drop
        self._counts: Counter[str] = Counter() if counts is None else counts
        self._changed = Condition()
        self._queue: deque[tuple[Update, float]] = deque()
        self._latest: OrderedDict[Topic, tuple[Update, float]] = OrderedDict()
        self._taken: dict[Topic, Update] = {}  # the last of each topic, of the latest topics
        self._holed: set[Topic] = set()  # topics of which some were dropped since one was taken
        self._waiting: list[tuple[Any, Any]] = []  # loops of asyncio, and futures
        self._closed = False

    def __call__(self, update: Update) -> None:
        """Put an update in. It never waits. The loop's thread only."""
        tell = False
        with self._changed:
            if self._closed:
                return
            dropped = self._conflate(update) if self.drop == "latest" else self._append(update)
            if dropped is not None:
                self._count_drop()
                tell = dropped.topic not in self._holed
                self._holed.add(dropped.topic)
                last = self._taken.get(dropped.topic)
            self._wake()
        if tell and dropped is not None and self._on_drop is not None:
            self._on_drop(dropped, last)

    def _append(self, update: Update) -> Update | None:
        """Put an update in, and return the one that had to go."""
        self._queue.append((update, self._clock()))
        return self._queue.popleft()[0] if len(self._queue) > self.maxlen else None

    def _conflate(self, update: Update) -> Update | None:
        """Put an update in the place of an older one; return another topic's that had to go."""
        latest = self._latest
        before = latest.get(update.topic)
        if before is not None:
            self._count_drop()
            latest[update.topic] = (update, before[1])  # it keeps its turn
            return None
        latest[update.topic] = (update, self._clock())
        return latest.popitem(last=False)[1][0] if len(latest) > self.maxlen else None

    def _count_drop(self) -> None:
        self.dropped += 1
        self._counts["mailbox dropped"] += 1

    def _wake(self) -> None:
        self._changed.notify()
        waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            try:
                loop.call_soon_threadsafe(_finish, future)
            except RuntimeError:
                pass  # that loop is closed, and nobody waits in it any longer

    # -- taking ------------------------------------------------------------------------------

    def get(self, timeout: float | None = None) -> Update:
        """Take the update that waits for longest; wait for one if there is none. Any thread.

        Args:
            timeout: seconds to wait at most; None (default): for ever; 0: do not wait.

        Raises:
            WebSocketTimeoutException: None came in time.
            WebSocketConnectionClosedException: The mailbox is closed, and empty.
        """
        taken = self.get_many(1, timeout)
        if not taken:
            raise WebSocketTimeoutException(f"no update came within {timeout!r} s")
        return taken[0]

    def get_many(self, n: int, timeout: float | None = None) -> list[Update]:
        """Take up to *n* updates; wait for the first if there is none. Any thread.

        Args:
            n: how many at most; 1 or more.
            timeout: as for :meth:`get`.

        Returns:
            At least one update; none if none came in time.

        Raises:
            WebSocketConnectionClosedException: The mailbox is closed, and empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self) or self._closed, timeout)
            if self._closed and not len(self):
                raise WebSocketConnectionClosedException("the mailbox is closed")
            return [self._take() for _ in range(min(n, len(self)))]

    def _take(self) -> Update:
        queue = self._latest.popitem(last=False)[1] if self._latest else self._queue.popleft()
        update = queue[0]
        topic, taken = update.topic, self._taken
        self._holed.discard(topic)
        taken.pop(topic, None)  # the latest last
        taken[topic] = update
        if len(taken) > self.maxlen:
            del taken[next(iter(taken))]
        return update

    def __iter__(self) -> Iterator[Update]:
        """Take updates, waiting for each, until the mailbox is closed and empty."""
        while True:
            try:
                yield self.get()
            except WebSocketConnectionClosedException:
                return

    def __aiter__(self) -> Mailbox:
        """The same in a coroutine of asyncio, whose loop need not be ours."""
        return self

    async def __anext__(self) -> Update:
        import asyncio

        loop = asyncio.get_running_loop()
        while True:
            with self._changed:
                if len(self):
                    return self._take()
                if self._closed:
                    raise StopAsyncIteration
                future = loop.create_future()
                self._waiting.append((loop, future))
            await future

    # -- what there is to know ---------------------------------------------------------------

    def __len__(self) -> int:
        """How many updates wait."""
        return len(self._queue) or len(self._latest)

    @property
    def age(self) -> float:
        """For how many seconds the update that is next has waited; 0.0 if there is none."""
        with self._changed:
            if self._queue:
                since = self._queue[0][1]
            elif self._latest:
                since = next(iter(self._latest.values()))[1]
            else:
                return 0.0
            return self._clock() - since

    def close(self) -> None:
        """Accept no further updates; those that wait can still be taken. Any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._wake()


def _finish(future: Any) -> None:
    if not future.done():
        future.set_result(None)
