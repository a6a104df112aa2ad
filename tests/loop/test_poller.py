"""The poller: interest, readiness, refusals, and descriptors that are used again.

Most tests run over every selector that the platform offers.
"""

from __future__ import annotations

import collections
import errno
import fcntl
import importlib.util
import itertools
import math
import os
import select
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import reactor.loop.poller
from reactor.loop.poller import (
    EVENT_READ,
    EVENT_WRITE,
    EpollPoller,
    Poller,
    SelectorPoller,
    make_poller,
    selector_classes,
    wait_for,
)

from ..support.every_selector import SELECTORS, SelectorFactory
from ..support.leaks import nothing_left
from ..support.sockets import Sockets, closed_number, drain, fill, take_number


@pytest.fixture(params=list(SELECTORS.values()), ids=list(SELECTORS))
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    poller = make_poller(request.param())
    yield poller
    poller.close()


@pytest.fixture(params=["reader", "writer"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def nothing() -> None:
    """A handler."""


def add(poller: Poller, kind: str, fd: int, handler: Callable[[], object] = nothing) -> None:
    (poller.add_reader if kind == "reader" else poller.add_writer)(fd, handler)


def ready(poller: Poller, timeout: float = 0.0) -> dict[int, str]:
    """Poll, and say for which descriptors which handlers are to be called."""
    found = {}
    for fd, mask in poller.poll(timeout):
        reads = "r" if mask & poller.read_mask and fd in poller.readers else ""
        writes = "w" if mask & poller.write_mask and fd in poller.writers else ""
        found[fd] = reads + writes
    return found


# --- interest -----------------------------------------------------------------------------------


OPERATIONS = ("add_reader", "add_writer", "remove_reader", "remove_writer", "remove")


def test_every_sequence_of_additions_and_removals_leaves_just_what_was_asked_for(
    poller: Poller, sockets: Sockets
) -> None:
    fd = sockets.readable().fileno()  # and writable
    for sequence in itertools.product(OPERATIONS, repeat=4):
        expected: set[str] = set()
        for name in sequence:
            what = "r" if name.endswith("reader") else "w"
            if name == "remove":
                poller.remove(fd)
                expected.clear()
            elif name.startswith("add"):
                getattr(poller, name)(fd, nothing)
                expected.add(what)
            else:
                assert getattr(poller, name)(fd) == (what in expected), sequence
                expected.discard(what)
            assert (fd in poller.readers) == ("r" in expected), sequence
            assert (fd in poller.writers) == ("w" in expected), sequence
            assert ready(poller) == ({fd: "".join(sorted(expected))} if expected else {}), sequence
        poller.remove(fd)


def test_a_later_handler_replaces_an_earlier_one(
    poller: Poller, sockets: Sockets, kind: str
) -> None:
    fd = sockets.readable().fileno()
    add(poller, kind, fd, lambda: "first")
    add(poller, kind, fd, lambda: "second")
    handlers = poller.readers if kind == "reader" else poller.writers
    assert handlers[fd]() == "second"
    assert ready(poller) == {fd: "r" if kind == "reader" else "w"}


def test_only_what_is_ready_is_reported(poller: Poller, sockets: Sockets) -> None:
    ours, theirs = sockets.pair()
    stuffed, peer = sockets.stuffed()
    poller.add_reader(ours.fileno(), nothing)
    poller.add_writer(stuffed.fileno(), nothing)
    assert ready(poller) == {}
    theirs.send(b"x")
    assert ready(poller) == {ours.fileno(): "r"}
    drain(peer)
    assert ready(poller) == {ours.fileno(): "r", stuffed.fileno(): "w"}


def test_of_a_reader_and_a_writer_only_the_one_that_is_ready_is_woken(
    poller: Poller, sockets: Sockets
) -> None:
    ours, theirs = sockets.stuffed()
    poller.add_reader(ours.fileno(), nothing)
    poller.add_writer(ours.fileno(), nothing)
    assert ready(poller) == {}
    theirs.send(b"x")
    assert ready(poller) == {ours.fileno(): "r"}
    drain(ours)
    drain(theirs)
    assert ready(poller) == {ours.fileno(): "w"}


def test_a_descriptor_is_stale_from_its_removal_to_the_next_poll(
    poller: Poller, sockets: Sockets
) -> None:
    fd = sockets.readable().fileno()
    poller.add_reader(fd, nothing)
    poller.add_writer(fd, nothing)
    poller.remove_reader(fd)
    assert fd not in poller.stale  # somebody is still there
    poller.remove_writer(fd)
    assert poller.stale == {fd}
    poller.add_reader(fd, nothing)
    assert poller.stale == {fd}  # a new owner does not make old events his own
    assert ready(poller) == {fd: "r"}
    assert poller.stale == set()
    poller.remove(fd)
    assert poller.stale == {fd}


def test_removing_what_is_not_watched_does_nothing(poller: Poller, sockets: Sockets) -> None:
    fd = sockets.readable().fileno()
    assert poller.remove_reader(fd) is False
    assert poller.remove_writer(fd) is False
    poller.remove(fd)
    assert poller.stale == set()


# --- readiness ----------------------------------------------------------------------------------


def test_a_hang_up_of_the_peer_wakes_reader_and_writer(poller: Poller, sockets: Sockets) -> None:
    ours, theirs = sockets.stuffed()
    poller.add_reader(ours.fileno(), nothing)
    poller.add_writer(ours.fileno(), nothing)
    assert ready(poller) == {}
    theirs.close()
    assert ready(poller) == {ours.fileno(): "rw"}


def test_a_hang_up_wakes_a_reader_that_is_alone(poller: Poller) -> None:
    reading, writing = os.pipe()
    try:
        poller.add_reader(reading, nothing)
        os.close(writing)
        assert ready(poller) == {reading: "r"}
    finally:
        poller.remove(reading)
        os.close(reading)


def test_an_error_wakes_a_writer_that_is_alone(poller: Poller) -> None:
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        while True:
            try:
                os.write(writing, bytes(65536))
            except BlockingIOError:
                break
        poller.add_writer(writing, nothing)
        assert ready(poller) == {}
        os.close(reading)
        assert ready(poller) == {writing: "w"}
    finally:
        poller.remove(writing)
        os.close(writing)


def test_a_refused_connection_wakes_its_writer(poller: Poller, sockets: Sockets) -> None:
    nobody = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    address = nobody.getsockname()
    nobody.close()
    sock = sockets.enter_context(socket.socket())
    sock.setblocking(False)
    sock.connect_ex(address)
    poller.add_writer(sock.fileno(), nothing)
    assert ready(poller, 5.0) == {sock.fileno(): "w"}
    poller.remove(sock.fileno())


def test_a_reset_wakes_reader_and_writer(poller: Poller, sockets: Sockets) -> None:
    server = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    ours = sockets.enter_context(socket.create_connection(server.getsockname()))
    theirs = sockets.enter_context(server.accept()[0])
    ours.setblocking(False)
    fill(ours)
    poller.add_reader(ours.fileno(), nothing)
    poller.add_writer(ours.fileno(), nothing)
    theirs.close()  # with unread bytes: a reset
    assert ready(poller, 5.0) == {ours.fileno(): "rw"}


def test_poll_waits_no_shorter_than_it_was_told(poller: Poller, sockets: Sockets) -> None:
    poller.add_reader(sockets.pair()[0].fileno(), nothing)
    for timeout in (0.0001, 0.0012, 0.0025):
        start = time.monotonic()
        assert not poller.poll(timeout)
        assert time.monotonic() - start >= timeout


def test_without_a_timeout_poll_waits_for_an_event(poller: Poller, sockets: Sockets) -> None:
    ours, theirs = sockets.pair()
    fd = ours.fileno()
    poller.add_reader(fd, nothing)
    about_to_poll = threading.Event()

    def send() -> None:
        about_to_poll.wait()
        theirs.send(b"x")

    thread = threading.Thread(target=send)
    thread.start()
    about_to_poll.set()
    assert [event[0] for event in poller.poll(None)] == [fd]
    thread.join()


def test_the_pollers_own_descriptor_is_readable_when_there_are_events(
    poller: Poller, sockets: Sockets
) -> None:
    ours, theirs = sockets.pair()
    poller.add_reader(ours.fileno(), nothing)
    if isinstance(poller, SelectorPoller) and not hasattr(poller._selector, "fileno"):
        with pytest.raises(ValueError, match="Selector has no file descriptor"):
            poller.fileno()
        return
    fd = poller.fileno()
    assert wait_for([fd], [], 0) == set()
    theirs.send(b"x")
    assert wait_for([fd], [], 5.0) == {fd}


# --- refusals -----------------------------------------------------------------------------------


def assert_nobody_is_watched(poller: Poller) -> None:
    assert not poller.readers
    assert not poller.writers
    assert not poller.poll(0)


def test_a_regular_file_is_refused_and_the_next_socket_with_its_number_works(
    poller: Poller, sockets: Sockets, kind: str, tmp_path: Path
) -> None:
    sock = sockets.readable()
    number = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    with pytest.raises(PermissionError):
        add(poller, kind, number)
    os.close(number)
    assert_nobody_is_watched(poller)
    with take_number(sock, number):
        add(poller, kind, number)
        assert ready(poller) == {number: "r" if kind == "reader" else "w"}
        poller.remove(number)


def test_a_directory_is_refused(poller: Poller, kind: str, tmp_path: Path) -> None:
    number = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(PermissionError):
            add(poller, kind, number)
    finally:
        os.close(number)
    assert_nobody_is_watched(poller)


def test_a_closed_descriptor_is_refused_and_the_next_socket_with_its_number_works(
    poller: Poller, sockets: Sockets, kind: str
) -> None:
    sock = sockets.readable()
    number = closed_number()
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        add(poller, kind, number)
    assert caught.value.errno == errno.EBADF
    assert_nobody_is_watched(poller)
    with take_number(sock, number):
        add(poller, kind, number)
        assert ready(poller) == {number: "r" if kind == "reader" else "w"}
        poller.remove(number)


def test_the_number_of_a_closed_socket_object_is_refused(
    poller: Poller, sockets: Sockets, kind: str
) -> None:
    sock = sockets.readable()
    sock.close()
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        add(poller, kind, sock.fileno())
    assert caught.value.errno == errno.EBADF
    assert_nobody_is_watched(poller)


class Grudging:
    """A selector that refuses to watch for some events, after it has taken the key."""

    def __init__(self) -> None:
        self.selector = selectors.PollSelector()
        self.refused = 0

    def register(self, fileobj: int, events: int, data: Any = None) -> Any:
        key = self.selector.register(fileobj, events, data)
        if events & self.refused:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return key

    def unregister(self, fileobj: int) -> Any:
        return self.selector.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        return self.selector.select(timeout)

    def get_map(self) -> Any:
        return self.selector.get_map()

    def close(self) -> None:
        self.selector.close()


def test_whoever_was_there_before_a_refusal_is_still_served(sockets: Sockets) -> None:
    selector = Grudging()
    poller = make_poller(selector)
    fd = sockets.readable().fileno()
    poller.add_reader(fd, nothing)
    selector.refused = EVENT_WRITE
    with pytest.raises(OSError, match="No space left"):
        poller.add_writer(fd, nothing)
    assert ready(poller) == {fd: "r"}
    poller.remove_reader(fd)
    selector.refused = EVENT_READ
    poller.add_writer(fd, nothing)
    with pytest.raises(OSError, match="No space left"):
        poller.add_reader(fd, nothing)
    assert ready(poller) == {fd: "w"}
    poller.close()


def test_what_a_selector_takes_before_it_refuses_does_not_block_the_next_attempt(
    sockets: Sockets,
) -> None:
    selector = Grudging()
    poller = make_poller(selector)
    fd = sockets.readable().fileno()
    selector.refused = EVENT_READ
    with pytest.raises(OSError, match="No space left"):
        poller.add_reader(fd, nothing)
    selector.refused = 0
    poller.add_reader(fd, nothing)
    assert ready(poller) == {fd: "r"}
    poller.close()


# --- descriptors that were closed before they were removed --------------------------------------


@pytest.mark.parametrize("first", ["reader", "writer"])
@pytest.mark.parametrize("watched", ["reader", "writer", "both"])
def test_removal_after_the_close_is_too_late_but_does_no_harm(
    poller: Poller, sockets: Sockets, watched: str, first: str
) -> None:
    sock = sockets.readable()
    successor, _ = sockets.pair()
    fd = sock.fileno()
    if watched != "writer":
        poller.add_reader(fd, nothing)
    if watched != "reader":
        poller.add_writer(fd, nothing)
    sock.close()
    removals = [poller.remove_reader, poller.remove_writer]
    for remove in removals if first == "reader" else reversed(removals):
        remove(fd)
    assert_nobody_is_watched(poller)
    with take_number(successor, fd):
        poller.add_writer(fd, nothing)
        assert ready(poller) == {fd: "w"}
        poller.remove(fd)


def test_a_closed_poller_watches_nobody_and_can_still_be_asked_to_forget(
    poller: Poller, sockets: Sockets
) -> None:
    fd = sockets.readable().fileno()
    poller.add_reader(fd, nothing)
    poller.add_writer(fd, nothing)
    poller.close()
    assert not poller.readers
    assert not poller.writers
    assert poller.remove_reader(fd) is False
    assert poller.remove_writer(fd) is False
    poller.remove(fd)


@pytest.mark.parametrize("make_selector", list(SELECTORS.values()), ids=list(SELECTORS))
def test_close_releases_the_kernels_object(make_selector: SelectorFactory) -> None:
    with nothing_left():
        make_poller(make_selector()).close()


# --- which poller -------------------------------------------------------------------------------


@pytest.mark.parametrize("make_selector", list(SELECTORS.values()), ids=list(SELECTORS))
def test_only_the_epoll_selector_of_selectors2_is_driven_by_its_epoll_object(
    make_selector: SelectorFactory,
) -> None:
    poller = make_poller(make_selector())
    expected = (
        EpollPoller
        if SELECTORS.get("selectors2-EpollSelector") is make_selector
        else SelectorPoller
    )
    assert type(poller) is expected
    poller.close()


def test_the_default_is_the_best_selector_of_the_platform() -> None:
    poller = make_poller()
    assert type(poller._selector) is selector_classes()[0]  # type: ignore[attr-defined]
    poller.close()


def test_where_there_is_no_epoll_any_selector_goes_by_its_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    selector = selector_classes()[-1]()
    monkeypatch.delattr("selectors2.EpollSelector", raising=False)
    poller = make_poller(selector)
    assert type(poller) is SelectorPoller
    poller.close()


def test_every_selector_class_of_selectors2_is_listed() -> None:
    names = [getattr(cls, "__name__", "") for cls in selector_classes()]
    offered = {
        "EpollSelector": hasattr(select, "epoll"),
        "KqueueSelector": hasattr(select, "kqueue"),
        "DevpollSelector": hasattr(select, "devpoll"),
        "PollSelector": hasattr(select, "poll"),
        "SelectSelector": True,
    }
    assert names == [name for name, there in offered.items() if there]


def test_select_refuses_at_once_what_it_cannot_count_to(sockets: Sockets) -> None:
    poller = make_poller(reactor.loop.poller.selectors2.SelectSelector())
    near, far = sockets.pair()
    high = fcntl.fcntl(near.fileno(), fcntl.F_DUPFD, 1024)
    try:
        with pytest.raises(OSError, match=f"select.. cannot watch {high}, only up to 1024"):
            poller.add_reader(high, nothing)
        poller.add_reader(near.fileno(), nothing)
        far.send(b"x")
        assert ready(poller, 5.0) == {near.fileno(): "r"}
    finally:
        os.close(high)
        poller.close()


class TestPatched:
    """eventlet and gevent take what blocks out of ``select``, at any time."""

    @pytest.fixture(autouse=True)
    def _patched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_poller().close()  # as a reactor that has run before
        for name in ("epoll", "kqueue", "devpoll", "poll"):
            monkeypatch.delattr(select, name, raising=False)

    def test_the_default_is_what_is_left(self) -> None:
        poller = make_poller()
        assert type(poller._selector).__name__ == "SelectSelector"  # type: ignore[attr-defined]
        poller.close()

    def test_blocking_callers_wait(self, sockets: Sockets) -> None:
        quiet, _ = sockets.pair()
        noisy = sockets.readable()
        fds = [quiet.fileno(), noisy.fileno()]
        assert wait_for(fds, [], 5.0) == {noisy.fileno()}
        assert wait_for([], fds, 5.0) == set(fds)
        assert wait_for([quiet.fileno()], [], 0.0) == set()

    def test_a_select_that_is_no_system_call_has_no_limit(
        self, sockets: Sockets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            select, "select", lambda reads, _writes, _errors, _timeout: (reads, [], [])
        )
        poller = make_poller()
        high = fcntl.fcntl(sockets.readable().fileno(), fcntl.F_DUPFD, 1024)
        try:
            poller.add_reader(high, nothing)
            assert ready(poller, 5.0) == {high: "r"}
        finally:
            os.close(high)
            poller.close()


def test_who_waits_for_nothing_waits_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[Any] = []
    monkeypatch.setattr(select, "select", lambda *args: waited.append(args) or ([], [], []))
    assert wait_for([], [], 3.5) == set()
    assert waited == [([], [], [], 3.5)]


def test_a_poller_must_say_how_it_talks_to_the_kernel() -> None:
    poller = Poller(~EVENT_WRITE, ~EVENT_READ)
    calls: list[Callable[[], object]] = [
        lambda: poller.poll(0),
        poller.fileno,
        lambda: poller.add_reader(0, nothing),
        lambda: poller._unwatch(0),
    ]
    for call in calls:
        with pytest.raises(NotImplementedError):
            call()


# --- the import of selectors2 -------------------------------------------------------------------


def test_the_import_lends_collections_mapping_and_takes_it_back() -> None:
    program = """
import collections, sys
assert not hasattr(collections, "Mapping")
assert "selectors2" not in sys.modules
try:
    import selectors2
except ImportError as exc:  # what the loan is for
    assert "Mapping" in str(exc)
else:
    raise SystemExit("selectors2 no longer needs the loan")
import reactor.loop.poller
assert not hasattr(collections, "Mapping")
assert "selectors2" in sys.modules
print(reactor.loop.poller.make_poller().poll(0))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_the_loan_is_taken_back_when_the_import_fails() -> None:
    program = """
import collections, sys
sys.modules["selectors2"] = None
try:
    import reactor.loop.poller
except ImportError:
    pass
else:
    raise SystemExit("imported")
assert not hasattr(collections, "Mapping")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_name_that_somebody_else_has_lent_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    marker = object()
    monkeypatch.setattr(collections, "Mapping", marker, raising=False)
    spec = importlib.util.spec_from_file_location("poller_again", reactor.loop.poller.__file__)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert collections.Mapping is marker  # type: ignore[attr-defined]


# --- wait_for: for callers that block -----------------------------------------------------------


def test_wait_for_returns_the_descriptors_that_are_ready(sockets: Sockets) -> None:
    readable, silent = sockets.readable(), sockets.pair()[0]
    writable, stuffed = sockets.pair()[0], sockets.stuffed()[0]
    ready = wait_for(
        [readable.fileno(), silent.fileno()], [writable.fileno(), stuffed.fileno()], None
    )
    assert ready == {readable.fileno(), writable.fileno()}


def test_wait_for_takes_a_descriptor_for_both_directions(sockets: Sockets) -> None:
    ours, theirs = sockets.stuffed()
    fds = [ours.fileno()]
    assert wait_for(fds, fds, 0) == set()
    theirs.send(b"x")
    assert wait_for(fds, fds, 0) == set(fds)
    drain(ours)
    drain(theirs)
    assert wait_for(fds, fds, 0) == set(fds)
    assert wait_for(fds, [], 0) == set()


def test_wait_for_comes_back_empty_handed_but_not_early(sockets: Sockets) -> None:
    fds = [sockets.pair()[0].fileno()]
    start = time.monotonic()
    assert wait_for(fds, [], 0.0012) == set()
    assert time.monotonic() - start >= 0.0012
    assert wait_for(fds, [], 0) == set()
    assert wait_for(fds, [], -1.0) == set()


def test_wait_for_can_just_wait() -> None:
    start = time.monotonic()
    assert wait_for([], [], 0.0012) == set()
    assert time.monotonic() - start >= 0.0012


@pytest.mark.parametrize("timeout", [3e6, 1e12, math.inf])
def test_wait_for_takes_timeouts_beyond_what_the_kernel_does(
    sockets: Sockets, timeout: float
) -> None:
    fds = [sockets.readable().fileno()]
    assert wait_for(fds, [], timeout) == set(fds)


def test_wait_for_has_no_limit_on_the_number_of_a_descriptor(sockets: Sockets) -> None:
    sock = sockets.high(sockets.readable())
    assert sock.fileno() > 1024
    assert wait_for([sock.fileno()], [], 0) == {sock.fileno()}
    assert wait_for([], [sock.fileno()], 0) == {sock.fileno()}


def test_wait_for_sees_a_hang_up(sockets: Sockets) -> None:
    ours, theirs = sockets.stuffed()
    theirs.close()
    assert wait_for([ours.fileno()], [], 0) == {ours.fileno()}
    assert wait_for([], [ours.fileno()], 0) == {ours.fileno()}


def test_wait_for_refuses_what_cannot_be_waited_for(sockets: Sockets, tmp_path: Path) -> None:
    number = closed_number()
    for reads, writes in ([number], []), ([], [number]), ([-1], []), ([], [-1]):
        with pytest.raises(OSError, match="Bad file descriptor"):
            wait_for(reads, writes, 0)
    with (tmp_path / "file").open("wb") as file, pytest.raises(PermissionError):
        wait_for([file.fileno()], [], 0)


def test_wait_for_leaves_nothing_open(sockets: Sockets) -> None:
    fd = sockets.readable().fileno()
    with nothing_left():
        wait_for([fd], [fd], 0)
        with pytest.raises(OSError, match="Bad file descriptor"):
            wait_for([-1], [], 0)


def test_where_there_is_no_poll_wait_for_makes_do_with_select(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("selectors2.PollSelector", raising=False)
    readable, silent = sockets.readable(), sockets.pair()[0]
    assert wait_for([readable.fileno(), silent.fileno()], [], None) == {readable.fileno()}
