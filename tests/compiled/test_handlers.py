"""Handlers that raise, end connections, and run loops of their own; both ways."""

from __future__ import annotations

import gc
import socket
import sys

import pytest

from reactor import Reactor
from reactor.exceptions import (
    WebSocketConnectionClosedException,
)
from reactor.protocols.messages import MessageAssembler
from reactor.protocols.session import Role

from ..support.sockets import Sockets, received, take_number
from ..support.threads import Background
from ..support.websocket_frames import (
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    build_frame,
    read_frames,
)
from .acting import BUILT, Act, as_client, echo, payloads, run_program, texts_of
from .twins import attach

pytestmark = BUILT


# --- handlers that raise, end, and reach across -------------------------------------------------


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("handler", ["on_message", "on_error"])
def test_what_is_left_of_a_read_is_delivered_by_the_next_run(
    loop: Reactor, sockets: Sockets, kind: type[BaseException], handler: str
) -> None:
    class Leaving(Act):
        def on_error(self, error: Exception) -> None:
            super().on_error(error)
            raise kind

    def leave(message: str | bytes) -> None:
        if message == "b":
            raise kind if handler == "on_message" else ValueError(message)

    protocol = Leaving(leave)
    far = as_client(loop, protocol, sockets)
    far.send(texts_of("a", "b") + build_frame(PING, b"?") + texts_of("c"))
    with pytest.raises(kind):
        loop.run_once(1)
    assert protocol.messages == ["a", "b"]
    far.send(texts_of("d"))
    loop.run_once(0)
    assert protocol.messages == ["a", "b", "c", "d"]
    assert protocol.of("ping") == [(b"?",)]
    assert read_frames(received(far))[0].opcode == PONG


def test_what_on_message_raises_is_reported_once_and_costs_no_other_message(
    loop: Reactor, sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(message: str | bytes) -> None:
        protocol.send(message)
        if message == "b":
            raise LookupError(message)

    protocol = Act(fail)
    far = as_client(loop, protocol, sockets)
    far.send(texts_of("a", "b", "c"))
    loop.run_once(1)
    assert protocol.names == ["open", "message", "message", "error", "message"]
    assert [repr(error) for error in protocol.errors] == ["LookupError('b')"]
    assert payloads(received(far)) == [b"a", b"b", b"c"]
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is protocol.errors[0]
    assert record.exc_info[2] is not None


@pytest.mark.parametrize("end", ["close", "abort"])
def test_who_ends_the_connection_hears_no_more(loop: Reactor, sockets: Sockets, end: str) -> None:
    protocol = Act(lambda message: getattr(protocol, end)())
    far = as_client(loop, protocol, sockets)
    far.send(texts_of("a", "b") + build_frame(PING) + texts_of("c"))
    loop.run_once(1)
    assert protocol.names == ["open", "message", *(["close"] if end == "abort" else [])]
    with pytest.raises(WebSocketConnectionClosedException):
        protocol.send("too late")
    left = read_frames(received(far)) if end == "close" else []
    assert [frame.opcode for frame in left] == ([PONG, CLOSE] if end == "close" else [])


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_connection_that_another_of_the_same_poll_has_ended_hears_nothing(
    loop: Reactor, sockets: Sockets, end: str
) -> None:
    first = Act(lambda message: getattr(second, end)())
    second = Act(lambda message: getattr(first, end)())
    feeds = [as_client(loop, protocol, sockets) for protocol in (first, second)]
    for feed in feeds:
        feed.send(texts_of("a"))
    loop.run_once(1)
    assert sorted([first.messages, second.messages]) == [[], ["a"]]


def test_whoever_gets_a_number_within_the_turn_is_not_told_of_its_former_owners_bytes(
    loop: Reactor, sockets: Sockets
) -> None:
    def replace(_: object) -> None:
        sock = second.sock
        assert sock is not None
        number = sock.fileno()
        second.abort()
        calls.append("replaced")
        taken.append(sockets.enter_context(take_number(other, number)))
        loop.add_reader(number, calls.append, "read")

    calls: list[str] = []
    taken: list[socket.socket] = []
    other, _ = sockets.pair()
    first, second = Act(replace), Act()
    feeds = [as_client(loop, protocol, sockets) for protocol in (first, second)]
    for feed in feeds:
        feed.send(texts_of("a"))
    loop.run_once(1)
    loop.run_once(0)
    assert calls == ["replaced"]
    assert second.messages == []
    loop.remove_reader(taken[0].fileno())


@pytest.mark.parametrize("form", ["method", "partial"])
def test_a_handler_that_removes_itself_and_raises_is_still_there_to_be_reported(
    form: str, way: str
) -> None:
    """In a process of its own: what was released too early is a crash."""
    program = f"""
import socket
from reactor.loop.event_loop import EventLoop
loop = EventLoop()
ours, theirs = socket.socketpair()
theirs.send(b"x")
class Handler:
    def read(self, *args):
        loop.remove_reader(ours.fileno())
        raise ValueError("mine")
loop.report = lambda exc, source: print(repr(exc), "Handler.read" in repr(source))
loop.add_reader(ours.fileno(), Handler().read, {"1" if form == "partial" else "*()"})
loop.run_once(1)
"""
    done = run_program(program, way)
    assert (done.returncode, done.stdout) == (0, "ValueError('mine') True\n")


# --- one buffer for the whole process -----------------------------------------------------------


def test_a_loop_within_a_handler_of_another_loop(loop: Reactor, sockets: Sockets) -> None:
    with Reactor() as inner_loop:
        inner = echo()
        inner_far = as_client(inner_loop, inner, sockets)

        def nested(message: str | bytes) -> None:
            inner_far.send(texts_of("inner" * 30, f"{message!s:.3}"))
            inner_loop.run_once(1)

        outer = Act(nested)
        far = as_client(loop, outer, sockets)
        far.send(texts_of("one" * 50, "two" * 50) + texts_of("three" * 30)[:-9])
        loop.run_once(1)
        far.send(texts_of("three" * 30)[-9:])
        loop.run_once(1)
        assert outer.messages == ["one" * 50, "two" * 50, "three" * 30]
        short = ["one", "two", "thr"]
        assert inner.messages == [text for name in short for text in ("inner" * 30, name)]
        assert [text.decode() for text in payloads(received(inner_far))] == inner.messages


def test_other_code_between_the_read_and_the_parsing_may_read_too(
    loop: Reactor, sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever Python code runs, another thread with a loop of its own may take over.

    Or a signal handler, a finalizer, a profiler. Here the other loop has its turn at a place
    where that can happen: where a session that has had fragments is asked for its state.
    """
    with Reactor() as other_loop:
        ours, others = Act(), Act()
        far = as_client(loop, ours, sockets)
        other_far = as_client(other_loop, others, sockets)
        far.send(build_frame(TEXT, b"frag", fin=False) + build_frame(CONT, b"ments"))
        loop.run_once(1)
        in_progress = MessageAssembler.in_progress.fget  # type: ignore[attr-defined]

        def switch(assembler: MessageAssembler) -> bool:
            if not others.messages:
                other_loop.run_once(0)
            return bool(in_progress(assembler))

        monkeypatch.setattr(MessageAssembler, "in_progress", property(switch))
        far.send(texts_of("ours: secret"))
        other_far.send(texts_of("others: secret"))
        loop.run_once(1)
        assert others.messages == ["others: secret"]
        assert ours.messages == ["fragments", "ours: secret"]


def test_a_garbage_collection_in_the_middle_of_a_read_may_read_too(
    loop: Reactor, sockets: Sockets
) -> None:
    with Reactor() as other_loop:
        ours, others = Act(), Act()
        far = as_client(loop, ours, sockets)
        other_far = as_client(other_loop, others, sockets)

        def collect(phase: str, _: object) -> None:
            if phase == "start" and not other_loop.loop.running:
                other_far.send(texts_of("aa", "others"))
                other_loop.run_once(0)

        far.send(texts_of("aa") + build_frame(TEXT, b"\xff-ours"))
        threshold = gc.get_threshold()
        gc.collect()
        gc.callbacks.append(collect)
        gc.set_threshold(1)
        try:
            loop.run_once(1)
        finally:
            gc.set_threshold(*threshold)
            gc.callbacks.remove(collect)
        assert ours.messages == ["aa"]
        assert ours.closes == [(1007, ours.closes[0][1])]


def test_two_loops_in_two_threads(sockets: Sockets) -> None:
    rounds = 150

    def work(letter: str) -> None:
        with Reactor() as loop:
            near, far = socket.socketpair()
            with far:
                protocol = Act()
                attach(loop, Role.CLIENT, near, protocol)
                far.send(build_frame(TEXT, b"frag", fin=False) + build_frame(CONT, b"ments"))
                loop.run_once(1)
                for number in range(rounds):
                    expected = f"{letter}{number:06}" * 100
                    far.send(texts_of(expected))
                    count = len(protocol.messages)
                    while len(protocol.messages) == count:
                        loop.run_once(1)
                    assert protocol.messages[-1] == expected

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [Background(work, letter) for letter in "ab"]
        for thread in threads:
            thread.result()
    finally:
        sys.setswitchinterval(interval)
