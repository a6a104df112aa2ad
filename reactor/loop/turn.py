"""One turn of an event loop.

What it is: functions over the attributes of an EventLoop (event_loop.py), whose other half they
are; :func:`turn` is its method.

What it must not know: what a callback does.

How it works.

1. **poll**: wait for descriptors, at most until the next timer is due; do not wait when calls are
   queued. The time is read once afterwards and cached for the turn.
2. **I/O**: call the handler of every ready descriptor. A handler is looked up at the moment
   it is called, and events of a descriptor that was removed since the poll are dropped.
3. **timers**: collect all timers that are due, then run them. A timer that is armed by a timer
   never runs in the same turn, so a chain of zero delays cannot starve I/O.
4. **calls**: run the calls that were queued when this phase began.

After each callback, the transports that it left in ``dirty`` are flushed: several writes to one
transport by one callback leave the process together. And the clock is read, once: the time that a
callback takes is that since the one before has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.marks import calls_user_code
from ..timers import to_ticks_early
from ..timers.clock import TICKS_PER_SECOND
from .names import describe

if TYPE_CHECKING:
    from .event_loop import EventLoop

__all__ = ["MAX_SLEEP", "note_longest", "run_calls", "run_handlers", "run_timers", "sleep", "turn"]

#: The longest sleep: a day. Keeps every timeout within what the kernel's calls accept.
MAX_SLEEP = 86400.0


# Twin: turn() in compiled/turn.pyx.
def turn(loop: EventLoop, limit: float | None) -> None:
    """Run one turn; wait for events for at most *limit* seconds (None: until there is one)."""
    if loop._before_turn is not None:
        loop._before_turn()
    if loop.dirty:
        loop._flush()
    events = loop.poller.poll(sleep(loop, limit))
    loop.now = loop._mark = now = loop.time()
    loop._turns += 1
    if events:
        run_handlers(loop, events)
    loop._due.extend(loop.wheel.advance(to_ticks_early(loop.now)))
    if loop._due:
        run_timers(loop)
    if loop._calls:
        run_calls(loop)
    loop._busy_for += max(0.0, loop._mark - now)
    if loop._interrupted:
        loop._raise_interrupt()


def sleep(loop: EventLoop, limit: float | None) -> float | None:
    """Return how long this turn may wait for events; None: until there is one."""
    timeout = loop.next_timeout()
    if limit is None:
        return 0.0 if loop._stopping else timeout
    if timeout is None or limit < timeout:
        return min(max(0.0, limit), MAX_SLEEP)
    return timeout


@calls_user_code
def run_handlers(loop: EventLoop, events: Any) -> None:
    """Call the handlers of the descriptors that are ready."""
    poller = loop.poller
    readers, writers, stale = poller.readers, poller.writers, poller.stale
    read_mask, write_mask = poller.read_mask, poller.write_mask
    dirty = loop.dirty  # flushed here, without a call, after every handler
    time, began = loop.time, loop._mark
    for fd, mask in events:
        if stale and fd in stale:
            continue
        if mask & read_mask:
            handler = readers.get(fd)
            if handler is not None:
                try:
                    handler()
                    while dirty:
                        dirty.pop().flush()
                except Exception as exc:  # noqa: BLE001 - it must not affect other handlers
                    loop.report(exc, handler)
                    loop._flush()
                ended = time()
                if ended - began > loop._longest:
                    note_longest(loop, handler, began, ended)
                began = ended
                if stale and fd in stale:
                    continue
        if mask & write_mask:
            handler = writers.get(fd)
            if handler is not None:
                try:
                    handler()
                    while dirty:
                        dirty.pop().flush()
                except Exception as exc:  # noqa: BLE001 - it must not affect other handlers
                    loop.report(exc, handler)
                    loop._flush()
                ended = time()
                if ended - began > loop._longest:
                    note_longest(loop, handler, began, ended)
                began = ended
    loop._mark = began


def run_timers(loop: EventLoop) -> None:
    """Run the timers that have been collected."""
    due = loop._due
    began = loop._mark
    while due:
        timer = due.popleft()
        callback = timer.callback
        if callback is not None:  # else it was cancelled
            loop._timer_lag.add(began - timer.when / TICKS_PER_SECOND)
        try:
            timer.fire()
        except Exception as exc:  # noqa: BLE001 - it must not affect other callbacks
            loop.report(exc, timer)
        if loop.dirty:
            loop._flush()
        ended = loop.time()
        if ended - began > loop._longest:
            note_longest(loop, callback, began, ended)
        loop._mark = began = ended


@calls_user_code
def run_calls(loop: EventLoop) -> None:
    """Run the calls that are queued now."""
    calls = loop._calls
    began = loop._mark
    for _ in range(len(calls)):
        callback, args = calls.popleft()
        try:
            callback(*args)
        except Exception as exc:  # noqa: BLE001 - it must not affect other callbacks
            loop.report(exc, callback)
        if loop.dirty:
            loop._flush()
        ended = loop.time()
        if ended - began > loop._longest:
            note_longest(loop, callback, began, ended)
        loop._mark = began = ended


def note_longest(loop: EventLoop, callback: object, began: float, ended: float) -> None:
    """Remember a callback that has taken longer than all before, as far as the caller knows."""
    if ended - began <= loop._longest:
        return  # a turn within the callback has seen a longer one
    loop._longest_of = describe(callback)
    loop._longest_at = ended
    loop._longest = ended - began
