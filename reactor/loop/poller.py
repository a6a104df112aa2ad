"""The poller: which file descriptors are ready, and who handles them.

What it is: a map ``fd -> handler`` for reading and one for writing, over a selector of the
``selectors2`` package. This is the only module that imports ``selectors2`` or ``select``.

What it must not know: timers, calls, transports, WebSocket.

How it works. ``add_reader`` and ``add_writer`` change the maps and tell the kernel; ``poll`` asks
the kernel and returns ``(fd, mask)`` pairs. The event loop looks up their handlers itself, in
``readers`` and ``writers``. A reused fd must not reach the wrong handler; there are two defences. A
handler is looked up at the moment it is called, not when the events were collected. And an fd that
was removed since the last ``poll`` stays in the set ``stale`` until the next one: events that were
collected earlier must not reach the new owner of that number.

An fd must be removed *before* it is closed. If it is closed first, epoll forgets it silently and
the next socket with that number inherits the handler; or, while a duplicate of it is open, epoll
reports it for ever.

``EpollPoller`` goes straight to the epoll object inside ``selectors2.EpollSelector``: the
selector's own ``select()`` costs half as much again per ready fd, ``modify()`` is DEL + ADD, and
``register()`` leaves its key behind when the kernel refuses. ``SelectorPoller`` drives any
object with the interface of ``selectors.BaseSelector``, and guards against the same faults.

eventlet and gevent remove the functions that block from ``select``, before this module is imported
or at any later time: so these functions are looked up when they are needed.
"""

from __future__ import annotations

import collections
import collections.abc
import errno
import os
import select
import stat
import sys
from collections.abc import Callable, Iterable
from inspect import isbuiltin
from typing import Any, Protocol

# selectors2 2.0.2 says `from collections import namedtuple, Mapping`; Python 3.10 moved that
# name to collections.abc. It is lent for the duration of the import, and taken back.
_lend_mapping = not hasattr(collections, "Mapping")
if _lend_mapping:
    collections.Mapping = collections.abc.Mapping  # type: ignore[attr-defined]
try:
    import selectors2
finally:
    if _lend_mapping:
        del collections.Mapping  # type: ignore[attr-defined]

__all__ = [
    "EpollPoller",
    "Poller",
    "Selector",
    "SelectorPoller",
    "bad_descriptor",
    "make_poller",
    "wait_for",
]

Handler = Callable[[], object]

EVENT_READ: int = selectors2.EVENT_READ
EVENT_WRITE: int = selectors2.EVENT_WRITE

#: poll() counts milliseconds in a C int, which is enough for 24 days. A longer wait, in seconds,
#: has no limit.
LONGEST_TIMEOUT = 2_000_000.0


class Selector(Protocol):
    """The part of the interface of ``selectors.BaseSelector`` that is used here."""

    def register(self, fileobj: int, events: int, data: Any = None) -> Any:
        """Begin to watch a descriptor."""

    def unregister(self, fileobj: int) -> Any:
        """Stop watching a descriptor."""

    def select(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        """Return pairs of a key and its events."""

    def get_map(self) -> Any:
        """Return the keys by descriptor."""

    def close(self) -> None:
        """Release the kernel's object."""


class Poller:
    """The maps, and what all pollers share. Subclasses talk to the kernel."""

    __slots__ = ("read_mask", "readers", "ring", "stale", "write_mask", "writers")

    def __init__(self, read_mask: int, write_mask: int) -> None:
        #: ``mask & read_mask`` is true when the reader of an fd must run, likewise for writers.
        #: Both are true for errors and hang-ups, so that either handler finds out.
        self.read_mask = read_mask
        self.write_mask = write_mask
        self.readers: dict[int, Handler] = {}
        self.writers: dict[int, Handler] = {}
        self.stale: set[int] = set()
        #: What receives and sends for many descriptors at once, for the compiled turn; or None.
        self.ring: Any = None

    def add_reader(self, fd: int, handler: Handler) -> None:
        """Have *handler* called whenever *fd* is readable. Replaces an earlier reader.

        Raises:
            OSError: the kernel refuses (EBADF, EPERM, ...); nothing is changed then.
        """
        if fd not in self.readers:
            had_writer = fd in self.writers
            self._watch(fd, EVENT_READ | (EVENT_WRITE if had_writer else 0), had_writer)
        self.readers[fd] = handler

    def add_writer(self, fd: int, handler: Handler) -> None:
        """Have *handler* called whenever *fd* is writable. See :meth:`add_reader`."""
        if fd not in self.writers:
            had_reader = fd in self.readers
            self._watch(fd, EVENT_WRITE | (EVENT_READ if had_reader else 0), had_reader)
        self.writers[fd] = handler

    def remove_reader(self, fd: int) -> bool:
        """Stop watching *fd* for reading; return whether it was watched."""
        if self.readers.pop(fd, None) is None:
            return False
        self._forget(fd, EVENT_WRITE if fd in self.writers else 0)
        return True

    def remove_writer(self, fd: int) -> bool:
        """Stop watching *fd* for writing; return whether it was watched."""
        if self.writers.pop(fd, None) is None:
            return False
        self._forget(fd, EVENT_READ if fd in self.readers else 0)
        return True

    def remove(self, fd: int) -> None:
        """Stop watching *fd* altogether. This must be done before the fd is closed."""
        reader = self.readers.pop(fd, None)
        writer = self.writers.pop(fd, None)
        if reader is not None or writer is not None:
            self._forget(fd, 0)

    def _forget(self, fd: int, remaining: int) -> None:
        if remaining:
            try:
                self._watch(fd, remaining, True)
            except OSError:
                pass  # closed too early: the other half will be removed too
        else:
            self.stale.add(fd)
            self._unwatch(fd)

    def poll(self, timeout: float | None) -> Iterable[tuple[int, int]]:
        """Wait for events.

        It never returns early for lack of precision: a timeout is rounded up to what the kernel
        offers.

        Args:
            timeout: seconds; None: until something happens.

        Returns:
            Pairs ``(fd, mask)``.
        """
        raise NotImplementedError

    def fileno(self) -> int:
        """The descriptor of the kernel's poll object, which is itself pollable."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the kernel's poll object, and forget all handlers."""
        self.readers.clear()
        self.writers.clear()
        if self.ring is not None:
            self.ring.close()
            self.ring = None

    def _watch(self, fd: int, events: int, known: bool) -> None:
        raise NotImplementedError

    def _unwatch(self, fd: int) -> None:
        raise NotImplementedError


#: The limit of the system's select() (POSIX, sys/select.h); on Windows it is a different one.
FD_SETSIZE = 1024 if os.name == "posix" else sys.maxsize


class EpollPoller(Poller):
    """Linux: the epoll object of a ``selectors2.EpollSelector``, used directly."""

    __slots__ = ("_epoll", "_poll", "_selector", "descriptor")

    def __init__(self, selector: Any) -> None:
        super().__init__(~select.EPOLLOUT, ~select.EPOLLIN)
        self._selector = selector
        self._epoll = selector._epoll
        self.descriptor = selector._epoll.fileno()
        self._poll = selector._epoll.poll

    def poll(self, timeout: float | None) -> Iterable[tuple[int, int]]:
        """See Poller."""
        if self.stale:
            self.stale.clear()
        # A negative timeout means "no timeout". epoll_wait() counts in milliseconds;
        # CPython rounds up.
        events: list[tuple[int, int]] = self._poll(-1 if timeout is None else timeout)
        return events

    def fileno(self) -> int:
        """See Poller."""
        return int(self._epoll.fileno())

    def close(self) -> None:
        """See Poller."""
        super().close()
        self._selector.close()

    def _watch(self, fd: int, events: int, known: bool) -> None:
        mask = 0
        if events & EVENT_READ:
            mask |= select.EPOLLIN
        if events & EVENT_WRITE:
            mask |= select.EPOLLOUT
        if known:
            self._epoll.modify(fd, mask)
        elif fd < 0:
            raise bad_descriptor()  # fileno() of a closed socket; epoll would raise a ValueError
        else:
            self._epoll.register(fd, mask)

    def _unwatch(self, fd: int) -> None:
        try:
            self._epoll.unregister(fd)
        except OSError:
            # The fd was closed too early, and the kernel has already forgotten it. Nothing is left
            # to be undone.
            pass


class SelectorPoller(Poller):
    """Any selector: of ``selectors2``, of ``selectors``, or a user's own."""

    __slots__ = ("_selector",)

    def __init__(self, selector: Selector) -> None:
        super().__init__(~EVENT_WRITE, ~EVENT_READ)
        self._selector = selector

    def poll(self, timeout: float | None) -> Iterable[tuple[int, int]]:
        """See Poller."""
        if self.stale:
            self.stale.clear()
        return [(key.fd, events) for key, events in self._selector.select(timeout)]

    def fileno(self) -> int:
        """See Poller."""
        fileno = getattr(self._selector, "fileno", None)
        if fileno is None:
            name = type(self._selector).__name__
            raise ValueError(f"{name} has no file descriptor that a host could watch")
        return int(fileno())

    def close(self) -> None:
        """See Poller."""
        super().close()
        self._selector.close()

    def _watch(self, fd: int, events: int, known: bool) -> None:
        if known:
            # Not modify(): that of selectors2 drops the registration when it fails half-way.
            self._unwatch(fd)
        else:
            _check_watchable(fd)
            limited = isbuiltin(select.select)  # the select of eventlet or gevent is not
            if limited and fd >= FD_SETSIZE and type(self._selector).__name__ == "SelectSelector":
                # Otherwise every poll() would fail from now on.
                raise OSError(errno.EINVAL, f"select() cannot watch {fd}, only up to {FD_SETSIZE}")
        try:
            self._selector.register(fd, events)
        except OSError:
            # selectors2 leaves its key behind when the kernel refuses, so that the next
            # socket with this number would get a KeyError.
            self._unwatch(fd)
            if known:
                self._selector.register(fd, self._interest(fd))
            raise

    def _interest(self, fd: int) -> int:
        """Return the events that the maps ask for."""
        reads = EVENT_READ if fd in self.readers else 0
        return reads | (EVENT_WRITE if fd in self.writers else 0)

    def _unwatch(self, fd: int) -> None:
        try:
            self._selector.unregister(fd)
        except (KeyError, OSError):
            pass


def bad_descriptor() -> OSError:
    """Return the error of a descriptor that is not open."""
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def _check_watchable(fd: int) -> None:
    """Raise the OSError that epoll raises for closed descriptors and for files on a disk.

    poll() and select() accept both. For a closed descriptor, poll() reports an event that never
    ends, and select() fails for all descriptors together; a file on a disk is always ready.
    """
    if fd < 0:
        raise bad_descriptor()
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def make_poller(selector: Selector | None = None) -> Poller:
    """Return the poller for *selector* (default: the best that selectors2 finds here)."""
    if selector is None:
        selector = best_selector()
    epoll_selector = getattr(selectors2, "EpollSelector", None)
    if epoll_selector is not None and type(selector) is epoll_selector:
        return EpollPoller(selector)
    return SelectorPoller(selector)


def best_selector() -> Selector:
    """Return a selector of the best class that works here."""
    *better, last = selector_classes()
    for selector_class in better:
        try:
            return selector_class()
        except (AttributeError, OSError):
            pass  # removed from ``select`` since then, or not supported by this kernel
    return last()


def selector_classes() -> list[Callable[[], Selector]]:
    """Return the classes of selectors2 that this platform offers, in the order of selectors2."""
    names = ("EpollSelector", "KqueueSelector", "DevpollSelector", "PollSelector", "SelectSelector")
    return [getattr(selectors2, name) for name in names if hasattr(selectors2, name)]


def wait_for(reads: Iterable[int], writes: Iterable[int], timeout: float | None) -> set[int]:
    """Block the calling thread until one of a few descriptors is ready; for blocking callers.

    Args:
        reads, writes: descriptors to wait for.
        timeout: seconds, None for no limit.

    Returns:
        The descriptors that are ready; an empty set if the time ran out first.

    Raises:
        OSError: a descriptor cannot be waited for (a regular file, a closed one).
    """
    if timeout is not None and timeout > LONGEST_TIMEOUT:
        timeout = None
    interest: dict[int, int] = {}
    for fd in reads:
        interest[fd] = interest.get(fd, 0) | EVENT_READ
    for fd in writes:
        interest[fd] = interest.get(fd, 0) | EVENT_WRITE
    if not interest:  # SelectSelector would not wait
        select.select([], [], [], timeout)
        return set()
    # poll() has no limit on descriptor numbers, unlike select(), and no object in the kernel that
    # must be released, unlike epoll.
    selector_class = selectors2.SelectSelector
    if hasattr(select, "poll"):
        selector_class = getattr(selectors2, "PollSelector", selector_class)
    selector = selector_class()
    try:
        for fd, events in interest.items():
            _check_watchable(fd)
            selector.register(fd, events)
        return {key.fd for key, _ in selector.select(timeout)}
    finally:
        selector.close()
