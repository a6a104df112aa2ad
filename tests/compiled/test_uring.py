"""Loops with io_uring: many connections receive in one system call, and send in another.

What their users see is what they see without. The traps are in what handlers do to other
connections whose bytes have already been received.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import reactor
from reactor import Reactor, explain_compiled
from reactor.connection.connection import Connection
from reactor.loop import backend
from reactor.protocols.session import Role
from reactor.transports.tapped import add_tap

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.forking import fork, in_child
from ..support.serving import Echo
from ..support.sockets import Sockets, received, reset, take_number
from ..support.threads import Background
from ..support.websocket_frames import TEXT, build_frame, read_frames
from .acting import Act, payloads
from .twins import attach


def refusal() -> str:
    """Why there can be no ring here; or nothing."""
    if not reactor.compiled:
        return "the compiled twin was not built, or is switched off"
    with Reactor(backend="io_uring") as loop:
        return loop.loop.no_ring


REFUSED = refusal()
pytestmark = [
    pytest.mark.skipif(bool(REFUSED), reason=f"no io_uring: {REFUSED}"),
    pytest.mark.usefixtures("no_leaks"),
]

MANY = 70  # more than a batch has


@pytest.fixture
def way() -> str:
    """In the place of the package's fixture: only the compiled turn has a ring."""
    return "compiled"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few connections are enough for a batch."""
    from reactor.compiled.uring import Ring

    monkeypatch.setattr(backend, "new_ring", partial(Ring, 2))


@pytest.fixture
def loop(no_leaks: None) -> Iterator[Reactor]:
    with Reactor(backend="io_uring") as loop:
        loop.run_once(0)
        yield loop


class Side:
    """A connection of the loop, and the peer's socket."""

    def __init__(
        self, loop: Reactor, sockets: Sockets, action: Callable[[Any], object] | None = None
    ) -> None:
        self.protocol = Act() if action is None else Act(action)
        near, self.far = sockets.pair()
        self.number = near.fileno()
        self.connection: Connection = attach(loop, Role.SERVER, near, self.protocol)
        self.count = 0

    def say(self, *messages: str) -> None:
        self.far.send(b"".join(build_frame(TEXT, each.encode(), key=b"mask") for each in messages))

    def heard(self) -> list[bytes]:
        return payloads(received(self.far))

    @property
    def messages(self) -> list[Any]:
        return self.protocol.messages


def sides(loop: Reactor, sockets: Sockets, count: int = 6) -> list[Side]:
    return [Side(loop, sockets) for _ in range(count)]


def take(sock: socket.socket, heard: list[bytes]) -> None:
    heard.append(sock.recv(9))


def first_to_act(everyone: list[Side], action: Callable[[int], object]) -> None:
    """Have the connection whose handler is called first do something, given its number."""
    log: list[int] = []

    def act(number: int) -> None:
        log.append(number)
        if len(log) == 1:
            action(number)

    for number, side in enumerate(everyone):
        side.protocol.action = lambda message, number=number: act(number)


def calls(loop: Reactor) -> int:
    ring: Any = loop.loop.poller.ring
    return int(ring.calls)


# --- what it is for -----------------------------------------------------------------------------


def test_a_turn_is_one_call_for_a_batch_and_one_for_its_answers(
    loop: Reactor, sockets: Sockets
) -> None:
    everyone = sides(loop, sockets, MANY)
    for number, side in enumerate(everyone):
        side.protocol.action = side.protocol.send
        side.say(f"one {number}", "two")
    before = calls(loop)
    loop.run_once(0)
    assert calls(loop) - before == 4  # 64 and 6, in and out
    for number, side in enumerate(everyone):
        assert side.messages == [f"one {number}", "two"]
        assert side.heard() == [f"one {number}".encode(), b"two"]


def test_few_are_served_without_it(sockets: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    from reactor.compiled.uring import Ring

    monkeypatch.setattr(backend, "new_ring", Ring)
    with Reactor(backend="io_uring") as loop:
        few = sides(loop, sockets, 7)
        for side in few:
            side.say("x")
        before = calls(loop)
        loop.run_once(0)
        assert [side.messages for side in few] == [["x"]] * 7
        assert calls(loop) == before


@pytest.mark.parametrize("phase", ["call", "timer", "handler"])
def test_one_message_to_many_leaves_in_a_call_for_each_batch(
    loop: Reactor, sockets: Sockets, phase: str
) -> None:
    everyone = sides(loop, sockets, MANY)

    def tell_all(_: object = None) -> None:
        for side in everyone:
            side.protocol.send("news")
            side.protocol.send("more")

    if phase == "call":
        loop.call_soon(tell_all)
    elif phase == "timer":
        loop.call_later(0, tell_all)
    else:
        everyone[0].protocol.action = tell_all
        everyone[0].say("go")
    before = calls(loop)
    run_until(loop, lambda: calls(loop) >= before + 2)
    assert [side.heard() for side in everyone] == [[b"news", b"more"]] * MANY
    assert calls(loop) - before <= 3


def test_it_says_so(loop: Reactor, sockets: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    (side,) = sides(loop, sockets, 1)
    assert explain_compiled(side.protocol) == "compiled, and with io_uring"

    def forbidden() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(backend, "new_ring", forbidden)
    with Reactor(backend="io_uring") as without:
        (side,) = sides(without, sockets, 1)
        first, second = explain_compiled(side.protocol).split("\n")
        assert first == "compiled"
        assert second.startswith("io_uring is not used: this process is not allowed to")


# --- what a handler does to the others of its batch ---------------------------------------------


def test_one_that_was_paused_meanwhile_reads_it_later_and_first(
    loop: Reactor, sockets: Sockets
) -> None:
    everyone = sides(loop, sockets)

    def pause_others(me: int) -> None:
        for side in everyone[:me] + everyone[me + 1 :]:
            side.protocol.pause_reading()

    first_to_act(everyone, pause_others)
    for side in everyone:
        side.say("first")
    for _ in range(3):
        loop.run_once(0)
    assert sorted(len(side.messages) for side in everyone) == [0, 0, 0, 0, 0, 1]
    for side in everyone:
        side.say("second")
    loop.run_once(0)
    for side in everyone:
        side.protocol.resume_reading()
    for _ in range(3):
        loop.run_once(0)
    assert [side.messages for side in everyone] == [["first", "second"]] * 6
    # And it is on the usual way again.
    for side in everyone:
        assert side.connection.stream._engine is side.connection.stream.sock


def test_one_that_was_paused_and_resumed_reads_it_in_this_turn(
    loop: Reactor, sockets: Sockets
) -> None:
    everyone = sides(loop, sockets)

    def blink(me: int) -> None:
        for side in everyone:
            side.protocol.pause_reading()
            side.protocol.resume_reading()

    first_to_act(everyone, blink)
    for side in everyone:
        side.say("x")
    loop.run_once(0)
    assert [side.messages for side in everyone] == [["x"]] * 6


def test_one_that_was_aborted_hears_nothing_more(loop: Reactor, sockets: Sockets) -> None:
    everyone = sides(loop, sockets)

    def abort_others(me: int) -> None:
        for side in everyone[:me] + everyone[me + 1 :]:
            side.protocol.abort()

    first_to_act(everyone, abort_others)
    for side in everyone:
        side.say("x")
    loop.run_once(0)
    loop.run_once(0)
    assert sorted(len(side.messages) for side in everyone) == [0, 0, 0, 0, 0, 1]
    assert sum(side.protocol.names[-1] == "close" for side in everyone) == 5


def test_one_that_has_sent_and_is_aborted_by_the_next_one(
    loop: Reactor, sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    everyone = sides(loop, sockets)
    order: list[int] = []

    def send_and_abort_the_last(number: int) -> None:
        everyone[number].protocol.send("x")
        if order:
            everyone[order[-1]].protocol.abort()
        order.append(number)

    for number, side in enumerate(everyone):
        side.protocol.action = lambda message, number=number: send_and_abort_the_last(number)
        side.say("x")
    loop.run_once(0)
    loop.run_once(0)
    assert len(order) == 6
    assert everyone[order[-1]].heard() == [b"x"]
    assert [everyone[number].protocol.names[-1] for number in order[:-1]] == ["close"] * 5
    assert caplog.records == []


def test_one_that_was_closed_still_answers_the_closing_handshake(
    loop: Reactor, sockets: Sockets
) -> None:
    everyone = sides(loop, sockets)

    def close_others(me: int) -> None:
        for side in everyone[:me] + everyone[me + 1 :]:
            side.protocol.close(1001)

    first_to_act(everyone, close_others)
    for side in everyone:
        side.say("x")
    loop.run_once(0)
    told = [read_frames(received(side.far)) for side in everyone]
    assert sorted(len(frames) for frames in told) == [0, 1, 1, 1, 1, 1]
    assert sorted(len(side.messages) for side in everyone) == [0, 0, 0, 0, 0, 1]


def test_a_number_that_is_used_again_does_not_get_the_bytes_of_its_last_owner(
    loop: Reactor, sockets: Sockets
) -> None:
    everyone = sides(loop, sockets)
    new: list[Any] = []
    pairs = [sockets.pair() for _ in everyone]

    def replace_others(me: int) -> None:
        for side in everyone[:me] + everyone[me + 1 :]:
            side.protocol.abort()
            near, far = pairs.pop()
            taken = sockets.enter_context(take_number(near, side.number))
            heard: list[bytes] = []
            loop.add_reader(side.number, partial(take, taken, heard))
            new.append((far, heard, side.number))

    first_to_act(everyone, replace_others)
    for side in everyone:
        side.say("old")
    loop.run_once(0)
    assert [heard for _, heard, _ in new] == [[]] * 5
    for far, _, _ in new:
        far.send(b"new")
    loop.run_once(0)
    assert [heard for _, heard, _ in new] == [[b"new"]] * 5
    assert sorted(len(side.messages) for side in everyone) == [0, 0, 0, 0, 0, 1]
    for _, _, number in new:
        loop.remove_reader(number)


def test_a_tap_that_was_put_on_meanwhile_hears_it(loop: Reactor, sockets: Sockets) -> None:
    everyone = sides(loop, sockets)
    heard: list[bytes] = []

    class Tap:
        def received(self, data: bytes) -> None:
            heard.append(data)

        def sent(self, data: bytes) -> None: ...
        def ended(self, ours: bool, reset: bool) -> None: ...
        def closed(self) -> None: ...

    def tap_others(me: int) -> None:
        for side in everyone[:me] + everyone[me + 1 :]:
            add_tap(side.connection.stream, Tap())

    first_to_act(everyone, tap_others)
    for side in everyone:
        side.say("x")
    loop.run_once(0)
    loop.run_once(0)
    assert [side.messages for side in everyone] == [["x"]] * 6
    assert heard == [build_frame(TEXT, b"x", key=b"mask")] * 5


def test_a_handler_that_fails_costs_the_others_nothing(
    loop: Reactor, sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    everyone = sides(loop, sockets)

    def fail(message: object) -> None:
        raise ValueError("on purpose")

    for number, side in enumerate(everyone):
        side.protocol.action = fail if number % 2 else side.protocol.send
        side.say("x")
    loop.run_once(0)
    assert [side.heard() for side in everyone] == [[b"x"], []] * 3
    assert [side.protocol.names.count("error") for side in everyone] == [0, 1] * 3


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_what_an_interrupt_leaves_behind_comes_with_the_next_run(
    loop: Reactor, sockets: Sockets, interrupt: type[BaseException]
) -> None:
    everyone = sides(loop, sockets)
    log: list[int] = []

    def third_raises(side: Side) -> None:
        log.append(1)
        side.protocol.send("heard")
        if len(log) == 3:
            raise interrupt

    for side in everyone:
        side.protocol.action = lambda message, side=side: third_raises(side)
        side.say("x")
    with pytest.raises(interrupt):
        loop.run_once(0)
    assert len(log) == 3
    for side in everyone:
        side.say("y")
    for _ in range(3):
        loop.run_once(0)
    assert [side.messages for side in everyone] == [["x", "y"]] * 6
    assert [side.heard() for side in everyone] == [[b"heard", b"heard"]] * 6


def test_ctrl_c_in_a_handler(loop: Reactor, sockets: Sockets) -> None:
    everyone = sides(loop, sockets)
    first_to_act(everyone, lambda me: signal.raise_signal(signal.SIGINT))
    for side in everyone:
        side.say("x")
    with pytest.raises(KeyboardInterrupt):
        loop.run_once(0)
    loop.run_once(0)
    assert [side.messages for side in everyone] == [["x"]] * 6


# --- the kernel does not take or give what was asked --------------------------------------------


def test_what_the_kernel_does_not_take_is_queued_and_follows(
    loop: Reactor, sockets: Sockets
) -> None:
    everyone = sides(loop, sockets)
    big = "b" * 60_000  # below what is written at once
    for side in everyone:
        side.connection.stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        side.protocol.action = lambda message, side=side: side.protocol.send(big)
    for side in everyone:
        side.say("x")
    loop.run_once(0)
    assert all(side.connection.stream.queued > 0 for side in everyone)
    for side in everyone:
        side.say("x")
    loop.run_once(0)
    data = [b""] * len(everyone)
    wanted = 2 * (len(big) + 4)

    def all_there() -> bool:
        for number, side in enumerate(everyone):
            data[number] += received(side.far)
        return all(len(each) >= wanted for each in data)

    run_until(loop, all_there)
    assert [payloads(each) for each in data] == [[big.encode()] * 2] * len(everyone)


def test_a_reset_ends_a_connection_and_no_other(loop: Reactor) -> None:
    listener = loop.listen("127.0.0.1", 0, Echo)
    clients = [loop.connect(f"ws://127.0.0.1:{listener.port}/", Act, proxy=None) for _ in range(6)]
    run_until(loop, lambda: all(client.names == ["open"] for client in clients))
    for number, client in enumerate(clients):
        client.send(f"{number}")
    for end in listener.protocols[:3]:
        end.abort()
    run_until(loop, lambda: sum(bool(client.messages) for client in clients) >= 3)
    run_until(loop, lambda: sum("close" in client.names for client in clients) == 3)


@pytest.mark.parametrize("paused", [False, True])
def test_the_error_of_a_reset_is_not_lost(loop: Reactor, sockets: Sockets, paused: bool) -> None:
    everyone: list[Side] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(6):
            side = Side.__new__(Side)
            side.protocol = Act()
            near = socket.create_connection(server.getsockname())
            side.far, _ = server.accept()
            side.connection = attach(loop, Role.SERVER, near, side.protocol)
            everyone.append(side)

    def pause_others(me: int) -> None:
        for side in everyone[1:]:
            side.protocol.pause_reading()

    if paused:
        everyone[0].protocol.action = lambda message: pause_others(0)
    everyone[0].say("x")  # so its handler is the first
    for side in everyone[1:]:
        reset(side.far)
    loop.run_once(0)
    for side in everyone[1:]:
        if paused and "close" not in side.protocol.names:
            side.protocol.resume_reading()
    run_until(loop, lambda: all("close" in side.protocol.names for side in everyone[1:]))
    for side in everyone[1:]:
        (error,) = (event[1] for event in side.protocol.events if event[0] == "error")
        assert isinstance(error, ConnectionResetError)
    everyone[0].protocol.abort()
    loop.run_once(0)
    everyone[0].far.close()


def test_the_end_of_a_peer(loop: Reactor, sockets: Sockets) -> None:
    everyone = sides(loop, sockets)
    for side in everyone:
        side.say("last")
        side.far.shutdown(socket.SHUT_WR)
    run_until(loop, lambda: all("close" in side.protocol.names for side in everyone))
    assert [side.messages for side in everyone] == [["last"]] * 6


# --- among others -------------------------------------------------------------------------------


def test_tls_goes_its_own_way_beside_it(loop: Reactor, authority: Authority) -> None:
    plain = loop.listen("127.0.0.1", 0, Echo)
    secure = loop.listen("127.0.0.1", 0, Echo, ssl=authority.server_context)
    urls = [f"ws://127.0.0.1:{plain.port}/", f"wss://127.0.0.1:{secure.port}/"] * 5
    clients = [
        loop.connect(url, Act, proxy=None, sslopt=authority.sslopt if "wss" in url else None)
        for url in urls
    ]
    run_until(loop, lambda: all(client.names for client in clients))
    for number, client in enumerate(clients):
        client.send(f"{number}")
        client.send("x" * 30_000)
    run_until(loop, lambda: all(len(client.messages) == 2 for client in clients))
    expected = [[f"{number}", "x" * 30_000] for number in range(10)]
    assert [client.messages for client in clients] == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
def test_a_fork_in_the_middle_of_a_batch(loop: Reactor, sockets: Sockets) -> None:
    everyone = sides(loop, sockets)
    log: list[str] = []

    def fork_in(number: int) -> None:
        def in_the_child() -> str:
            loop.close()
            return "closed"

        log.append(in_child(in_the_child))

    first_to_act(everyone, fork_in)
    for side in everyone:
        side.say("x")
    loop.run_once(0)
    assert log == ["closed"]
    assert [side.messages for side in everyone] == [["x"]] * 6
    for side in everyone:
        side.protocol.action = side.protocol.send
        side.say("y")
    before = calls(loop)
    loop.run_once(0)
    assert calls(loop) > before
    assert [side.heard() for side in everyone] == [[b"y"]] * 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
def test_a_child_that_goes_on_with_the_turn_does_nothing_of_it(
    loop: Reactor, sockets: Sockets
) -> None:
    everyone = sides(loop, sockets)
    parent = os.getpid()
    children: list[int] = []

    def fork_in(number: int) -> None:
        everyone[number].protocol.send("of the parent")
        child = fork()
        if child:
            children.append(child)

    first_to_act(everyone, fork_in)
    for side in everyone:
        side.say("x")
    try:
        loop.run_once(0)
        outcome = "no error"
    except BaseException as exc:
        outcome = type(exc).__name__
    if os.getpid() != parent:
        os._exit(0 if outcome == "WebSocketForkException" else 1)
    assert outcome == "no error"
    _, status = os.waitpid(children[0], 0)
    assert status == 0
    assert [side.messages for side in everyone] == [["x"]] * 6
    assert sorted(b"".join(side.heard()) for side in everyone)[-1] == b"of the parent"
    assert sum(bool(side.heard()) for side in everyone) == 0


def test_another_thread_may_run_the_loop_later(sockets: Sockets) -> None:
    with Reactor(backend="io_uring") as loop:
        everyone = sides(loop, sockets)
        for side in everyone:
            side.protocol.action = side.protocol.send
        for text in ("here", "there"):
            for side in everyone:
                side.say(text)
            if text == "here":
                loop.run_once(0)
            else:
                Background(loop.run_once, 0).result()
        assert [side.heard() for side in everyone] == [[b"here", b"there"]] * 6


def test_a_loop_within_a_handler_has_its_own(loop: Reactor, sockets: Sockets) -> None:
    everyone = sides(loop, sockets)
    with Reactor(backend="io_uring") as inner:
        within = sides(inner, sockets)
        for side in (*everyone, *within):
            side.protocol.action = side.protocol.send

        def run_inner(me: int) -> None:
            for side in within:
                side.say("inner")
            inner.run_once(0)

        first_to_act(everyone, run_inner)
        for side in everyone:
            side.say("outer")
        loop.run_once(0)
        assert [side.heard() for side in within] == [[b"inner"]] * 6
        assert [side.messages for side in everyone] == [["outer"]] * 6


def test_a_ring_that_fails_is_given_up(
    loop: Reactor, sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    everyone = sides(loop, sockets)
    for side in everyone:
        side.protocol.action = side.protocol.send
        side.say("x")
    ring: Any = loop.loop.poller.ring
    os.close(ring.descriptor)  # as a program does that closes what it does not know
    with caplog.at_level(logging.WARNING, "reactor.loop"):
        loop.run_once(0)
    loop.run_once(0)
    assert [side.heard() for side in everyone] == [[b"x"]] * 6
    assert "io_uring has failed" in caplog.text
    assert loop.loop.poller.ring is None
