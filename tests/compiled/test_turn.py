"""The turn of the loop, and signals in it; both ways."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType
from typing import Any

import pytest

from reactor import Reactor
from reactor.protocols.session import Role, State
from reactor.timers import ManualClock

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.sockets import Sockets, received
from ..support.threads import Background
from ..support.websocket_frames import TEXT, build_frame
from .acting import BUILT, Act, as_client, echo, payloads, texts_of
from .twins import attach

pytestmark = BUILT


# --- the turn -----------------------------------------------------------------------------------


def test_more_descriptors_than_a_poll_tells_of_are_all_served(
    loop: Reactor, sockets: Sockets
) -> None:
    source = sockets.readable()
    counts: Counter[int] = Counter()
    duplicates = [sockets.enter_context(source.dup()) for _ in range(700)]
    for duplicate in duplicates:
        number = duplicate.fileno()
        loop.add_reader(number, counts.update, [number])
    for _ in range(6):  # 512 of 700 at a time, or more
        loop.run_once(0)
    assert len(counts) == 700
    assert min(counts.values()) >= 3
    for duplicate in duplicates:
        loop.remove_reader(duplicate.fileno())


@pytest.mark.parametrize("timeout", [0, -1, 0.0, 0.002, 0.0101])
def test_run_once_with_nothing_to_do(loop: Reactor, timeout: float) -> None:
    before = time.monotonic()
    loop.run_once(timeout)
    assert time.monotonic() - before >= timeout
    assert loop.stats().turns == 1


def test_timers_never_fire_early_whatever_else_goes_on(loop: Reactor, sockets: Sockets) -> None:
    early: list[float] = []
    fired: list[float] = []

    def fire(when: float) -> None:
        fired.append(when)
        if loop.time() < when:
            early.append(when - loop.time())

    ours, theirs = sockets.pair()
    client, server = Act(), echo()
    attach(loop, Role.CLIENT, ours, client)
    attach(loop, Role.SERVER, theirs, server)
    start = loop.time()
    whens = sorted(start + number * 0.00037 for number in range(150))
    for when in whens:
        loop.call_at(when, fire, when)
        loop.call_later(when - start, fire, when)
    client.action = client.send
    client.send("ball")
    run_until(loop, lambda: len(fired) == 300 and len(client.messages) > 3)
    assert early == []
    assert sorted(fired) == sorted(whens * 2)


def test_a_wait_for_a_timer_is_one_wait(loop: Reactor) -> None:
    """Not many that are too short by less than a millisecond."""
    for delay in (0.0109, 0.0213):
        loop.call_later(delay, lambda: None)
    loop.call_later(0.0307, loop.stop)
    loop.run_forever()
    assert loop.stats().turns <= 6  # the wheel may be early where it has many levels


def test_a_clock_that_is_moved_by_hand(sockets: Sockets) -> None:
    clock = ManualClock(1000.0)
    log: list[Any] = []
    with Reactor(clock=clock) as loop:
        protocol = Act(lambda message: log.append((message, loop.loop.now)))
        far = as_client(loop, protocol, sockets)
        for delay in (0.5, 0.001, 300.0):
            loop.call_later(delay, log.append, delay)
        loop.run_once(0)
        assert log == []
        clock.advance(0.0009)
        loop.run_once(0)
        assert log == []
        clock.advance(0.5)
        far.send(texts_of("a"))
        loop.run_once(0)
        assert log == [("a", clock.now()), 0.001, 0.5]
        clock.advance(1000)
        loop.run_once(0)
        assert log[3:] == [300.0]


def test_other_threads_run_while_the_loop_waits(loop: Reactor) -> None:
    log: list[str] = []
    thread = Background(loop.call_soon_threadsafe, log.append, "called")
    run_until(loop, lambda: log, timeout=30.0)
    thread.result()
    started = threading.Event()
    loop.call_soon(started.set)

    def work() -> None:
        started.wait(10)
        for _ in range(20):
            sum(range(1000))
        loop.call_soon_threadsafe(loop.stop)

    before = time.monotonic()
    thread = Background(work)
    loop.call_later(20, loop.stop)
    loop.run_forever()
    thread.result()
    assert time.monotonic() - before < 15


# --- signals ------------------------------------------------------------------------------------


@contextmanager
def restored(number: int, handler: Any) -> Iterator[None]:
    """Handle a signal so, for the block."""
    previous = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, previous)


def while_it_polls(loop: Reactor, number: int) -> Background:
    """Send this thread a signal when the loop waits, or is about to."""
    main = threading.get_ident()
    started = threading.Event()
    loop.call_soon(started.set)

    def send() -> None:
        started.wait(10)
        signal.pthread_kill(main, number)

    return Background(send)


def test_stop_in_a_signal_handler_during_the_poll(loop: Reactor) -> None:
    with restored(signal.SIGUSR1, lambda *_: loop.stop()):
        thread = while_it_polls(loop, signal.SIGUSR1)
        loop.run_forever()
        thread.result()


def test_a_call_of_a_signal_handler_during_the_poll(loop: Reactor) -> None:
    log: list[str] = []

    def call() -> None:
        log.append("called")
        loop.stop()

    with restored(signal.SIGUSR1, lambda *_: loop.call_soon_threadsafe(call)):
        thread = while_it_polls(loop, signal.SIGUSR1)
        loop.run_forever()
        thread.result()
    assert log == ["called"]


def test_a_signal_during_the_wait_of_run_once(loop: Reactor) -> None:
    """No other file descriptor tells of it: the wait itself is interrupted."""
    log: list[str] = []
    with restored(signal.SIGALRM, lambda *_: loop.call_soon_threadsafe(log.append, "x")):
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        try:
            run_until(loop, lambda: log)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def test_a_signal_that_concerns_nobody_does_not_shorten_the_wait(loop: Reactor) -> None:
    """PEP 475."""
    signals: list[int] = []
    with restored(signal.SIGALRM, lambda number, _: signals.append(number)):
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        try:
            while len(signals) < 2:  # on a busy machine one wait may see fewer
                began = time.monotonic()
                loop.run_once(0.1)
                assert time.monotonic() >= began + 0.1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def test_ctrl_c_during_the_poll(loop: Reactor, sockets: Sockets) -> None:
    protocol = Act()
    far = as_client(loop, protocol, sockets)
    thread = while_it_polls(loop, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    thread.result()
    far.send(texts_of("still there"))
    loop.run_once(1)
    assert protocol.messages == ["still there"]


def test_ctrl_c_in_a_handler_is_raised_there(loop: Reactor, sockets: Sockets) -> None:
    def press(message: str | bytes) -> None:
        if message == "b":
            signal.raise_signal(signal.SIGINT)
            protocol.send("not reached")

    protocol = Act(press)
    far = as_client(loop, protocol, sockets)
    far.send(texts_of("a", "b", "c"))
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert protocol.messages == ["a", "b"]
    loop.run_once(0)
    assert protocol.messages == ["a", "b", "c"]
    assert received(far) == b""


def test_ctrl_c_in_the_library_beneath_a_handler_waits_for_the_call(
    loop: Reactor, sockets: Sockets
) -> None:
    """What is being sent is not torn apart; the handler is interrupted at the end of the turn."""

    def key(size: int) -> bytes:
        signal.raise_signal(signal.SIGINT)
        return b"mask"[:size]

    namespace = {**key.__globals__, "__name__": "reactor.protocols.any"}
    key = FunctionType(key.__code__, namespace)
    protocol = echo()
    far = as_client(loop, protocol, sockets, mask_key=key)
    other = Act()
    other_far = as_client(loop, other, sockets)
    far.send(texts_of("a"))
    other_far.send(texts_of("b"))
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert payloads(received(far)) == [b"a"]
    assert other.messages == ["b"]
    assert loop.stats().turns == 1


def test_ctrl_c_that_comes_between_two_handlers_costs_no_message(
    loop: Reactor, sockets: Sockets
) -> None:
    """It comes in the library's own code, where nothing of Python may run: in a call of libc."""
    interrupt = partial(ctypes.PyDLL(None)["raise"], int(signal.SIGINT))
    trigger = sockets.readable()
    loop.add_reader(trigger.fileno(), interrupt)
    protocol = Act()
    far = as_client(loop, protocol, sockets)
    far.send(texts_of("a", "b"))
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    loop.remove_reader(trigger.fileno())
    loop.run_once(0)
    assert protocol.messages == ["a", "b"]


def test_ctrl_c_while_much_is_sent_over_tls_costs_nothing(
    loop: Reactor, authority: Authority
) -> None:
    """OpenSSL looks at signals once it has written."""
    servers: list[Act] = []

    def factory() -> Act:
        servers.append(Act())
        return servers[-1]

    much = bytes(8 << 20)
    listener = loop.listen("127.0.0.1", 0, factory, ssl=authority.server_context)
    url = f"wss://127.0.0.1:{listener.port}/"
    client = loop.connect(url, Act(), sslopt=authority.sslopt)
    run_until(loop, lambda: client.state is State.OPEN and servers)

    def send() -> None:
        # It comes while the message is masked, which takes longer.
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        client.send(much)

    def ctrl_c(_number: int, frame: Any) -> None:
        if not client.buffered_amount:  # a busy machine: it has come before the message was sent
            signal.setitimer(signal.ITIMER_REAL, 0.0005)
            return
        interrupt = signal.getsignal(signal.SIGINT)
        assert callable(interrupt)
        interrupt(signal.SIGINT, frame)

    loop.call_soon(send)
    with restored(signal.SIGALRM, ctrl_c), pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    client.send("behind it")
    run_until(loop, lambda: len(servers[0].messages) == 2)
    assert servers[0].messages == [much, "behind it"]


def test_ctrl_c_in_a_handler_of_what_came_with_the_handshake_is_raised_there(
    loop: Reactor, sockets: Sockets
) -> None:
    def press(_message: str | bytes) -> None:
        signal.raise_signal(signal.SIGINT)
        protocol.events.append(("not reached",))

    protocol = Act(press)
    near, _far = sockets.pair()
    loop.call_soon(attach, loop, Role.CLIENT, near, protocol, build_frame(TEXT, b"at once"))
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert protocol.names == ["open", "message"]
