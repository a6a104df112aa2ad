"""Helper threads: for functions that can only block.

What it is: :class:`HelperThreads`, and its two instances: ``helpers`` for the functions that users
pass to ``in_thread``, and ``look_ups`` for names. So neither can hold up the other.

What it must not know: event loops, coroutines, what the functions do.

How it works. A call waits in a queue until it has a place and a thread. Threads are started when
there is work, and end when there is none left. A function cannot be interrupted: a caller that
gives up can only stop listening. So a call that nobody waits for is dropped if it has not begun;
otherwise it goes on.

For names this is not enough. A DNS server that does not answer blocks a thread for half a minute,
and a name that does resolve must not wait for that. So a look-up holds a place only while it is
fresh, for the *patience*; then the next look-up begins beside it, up to the *ceiling* of threads.
The thread that will run that next call is started when the call is queued, and sleeps until there
is a place.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from copy import copy
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .steps import InThread

__all__ = ["HelperThreads", "helpers", "look_ups"]

OnAnswer = Callable[[Any, BaseException | None], object]


class _Call:
    """One call, and the requests that wait for its result.

    Attributes:
        request: the first request.
        answers: what to call with the result, by the id of each request that waits for it.
        began: when its function was called, by time.monotonic().
        elder: a call with the same key that had been given up when this one was made.
    """

    __slots__ = ("answers", "began", "elder", "request")

    def __init__(self, request: InThread, elder: _Call | None) -> None:
        self.request = request
        self.answers: dict[int, OnAnswer] = {}
        self.began = 0.0
        self.elder = elder


class HelperThreads:
    """Threads for functions that can only block. All methods may be called on any thread.

    Args:
        limit: how many calls have a place at a time.
        name: the name of the threads.
        patience: how long a call holds its place, in seconds; inf: until its function returns.
        ceiling: the greatest number of threads; default *limit*.
    """

    def __init__(
        self,
        limit: int = 32,
        *,
        name: str = "reactor-helper",
        patience: float = inf,
        ceiling: int | None = None,
    ) -> None:
        self._limit = limit
        self._name = name
        self._patience = patience
        self._ceiling = limit if ceiling is None else ceiling
        self.reset()

    def reset(self) -> None:
        """Start afresh: in a forked child, which has none of the threads."""
        self._made_by = threading.Lock
        self._lock = threading.Condition()
        self._queue: OrderedDict[_Call, None] = OrderedDict()
        self._running: dict[_Call, None] = {}  # the longest first
        self._shared: dict[Hashable, _Call] = {}  # the latest call of each key
        self._wanted: dict[int, _Call] = {}  # by the id of each request that waits
        self._threads = 0
        self._sleeping = False  # whether one of the threads waits for a place

    @property
    def full(self) -> bool:
        """Whether there are as many threads as are allowed, and all of them are busy."""
        return len(self._running) >= self._ceiling

    def submit(self, request: InThread, answer: OnAnswer) -> None:
        """Have the request served; *answer* is called on a helper thread.

        Requests with the same key that are in flight together share a call.

        Raises:
            RuntimeError: a new thread is needed and cannot be had.
        """
        if self._made_by is not threading.Lock and not self._threads:
            self.reset()  # eventlet or gevent has replaced threads; this lock would block them
        with self._lock:
            call = self._shared.get(request.key)
            if call is None or not self._may_be_joined(call):
                call = self._add(request, call)
            call.answers[id(request)] = answer
            self._wanted[id(request)] = call

    def abandon(self, request: InThread) -> None:
        """Nobody waits for this request any more. If its call has not begun, it never will."""
        with self._lock:
            call = self._wanted.pop(id(request), None)
            if call is None:
                return
            del call.answers[id(request)]
            if not call.answers and call in self._queue:
                del self._queue[call]
                self._unshare(call)
                if not self._queue:
                    self._lock.notify_all()

    def _may_be_joined(self, call: _Call) -> bool:
        """Whether a new request for the same thing may wait for this call.

        Not if all others have given it up: it may never end, although a new call might succeed. But
        at most one such call is left behind for each key.
        """
        return (
            bool(call.answers)
            or self._is_fresh(call, time.monotonic())
            or call.elder in self._running
        )

    def _add(self, request: InThread, elder: _Call | None) -> _Call:
        may_hang = self._patience < inf
        if may_hang and self.full and not any(call.answers for call in self._running):
            raise RuntimeError(
                f"{self._ceiling} earlier calls were given up, and none of them has ended"
            )
        call = _Call(request, elder)
        if elder is not None:
            elder.elder = None  # otherwise they would form an endless chain
        self._queue[call] = None
        try:
            self._provide_thread()
        except RuntimeError:
            del self._queue[call]
            raise
        if request.key is not None:
            self._shared[request.key] = call
        return call

    def _unshare(self, call: _Call) -> None:
        if self._shared.get(call.request.key) is call:
            del self._shared[call.request.key]

    # -- places --------------------------------------------------------------------------

    def _is_fresh(self, call: _Call, moment: float) -> bool:
        """Whether a call that has begun still holds its place."""
        return moment - call.began < self._patience

    def _held(self, moment: float) -> list[_Call]:
        return [call for call in self._running if self._is_fresh(call, moment)]

    def _time_to_a_place(self) -> float:
        """Return the seconds until a place is free; 0: there is one now."""
        moment = time.monotonic()
        held = self._held(moment)
        if len(held) < self._limit:
            return 0.0
        return held[0].began + self._patience - moment

    # -- threads -------------------------------------------------------------------------

    def _provide_thread(self) -> None:
        """Start a thread, if the queue needs one more. It finds its work when the lock is free.

        One thread more than there are places waits for the next place.
        """
        idle = self._threads - len(self._running)
        useful = max(1, self._limit - len(self._held(time.monotonic())))
        if idle >= min(len(self._queue), useful) or self._threads >= self._ceiling:
            return
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._threads += 1
        try:
            thread.start()
        except RuntimeError:
            self._threads -= 1
            if not self._threads:
                raise

    def _work(self) -> None:
        while (call := self._next()) is not None:
            result, error = None, None
            try:
                result = call.request.function(*call.request.args)
            except BaseException as exc:  # noqa: BLE001 - handed to the requests
                error = exc
            with self._lock:
                del self._running[call]
                self._unshare(call)
                for request in call.answers:
                    del self._wanted[request]
            self._tell(call, result, error)
            del call, result, error  # else they stay until the next call; and the error has this

    def _tell(self, call: _Call, result: Any, error: BaseException | None) -> None:
        shared = len(call.answers) > 1
        for answer in call.answers.values():
            # Each gets its own exception: a traceback grows wherever an exception is raised.
            answer(result, _copied(error) if shared else error)

    def _next(self) -> _Call | None:
        """Return the call that this thread is to make; None: the thread is to end."""
        with self._lock:
            while self._queue and (pause := self._time_to_a_place()) and not self._sleeping:
                self._sleeping = True
                self._lock.wait(pause)
                self._sleeping = False
            if not self._queue or pause:
                self._threads -= 1
                return None
            call, _ = self._queue.popitem(last=False)
            call.began = time.monotonic()
            self._running[call] = None
            if self._queue:
                self._provide_thread()
            else:
                self._lock.notify_all()  # nobody needs to wait for a place any more
            return call


def _copied(error: BaseException | None) -> BaseException | None:
    try:
        return copy(error)
    except Exception:  # noqa: BLE001 - some exceptions cannot be copied; then they are shared
        return error


#: For the functions that users pass.
helpers = HelperThreads()

#: For names: most DNS answers arrive within the patience. The ceiling bounds the cost of names that
#: are never answered.
look_ups = HelperThreads(name="reactor-helper-names", patience=0.25, ceiling=256)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=helpers.reset)
    os.register_at_fork(after_in_child=look_ups.reset)
