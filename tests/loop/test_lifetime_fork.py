"""A process forks while it has an event loop: the child's copy does no harm to the parent's."""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

import reactor
from reactor import Reactor, WebSocketForkException

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.forking import fork, in_child
from ..support.recorder import Recorder
from ..support.scene import Actor, Scene, echo
from ..support.websocket_frames import TEXT

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here"),
]

REFUSED = "WebSocketForkException: this event loop and its connections belong to the process"


def leave_by_exit(loop: Reactor) -> None:
    """What sys.exit() does inside of the block."""
    with loop:
        raise SystemExit


def drop(loop: Reactor) -> None:
    del loop
    gc.collect()


WAYS: list[Callable[[Reactor], object]] = [leave_by_exit, Reactor.close, drop]


@pytest.mark.parametrize("way", WAYS)
def test_a_child_that_lets_go_of_the_loop_leaves_the_parent_s_as_it_is(
    scene: Scene, way: Callable[[Reactor], object]
) -> None:
    attempting, actor = Actor(), Actor(message=echo)
    peer = scene.open(actor)
    scene.connect(attempting)
    in_child(way, scene.loop)
    peer.text("x")
    scene.turn()
    assert peer.told() == [(TEXT, b"x")]
    scene.succeed()
    assert attempting.names == ["open"]
    assert actor.names == ["open", "message"]


@pytest.mark.parametrize("way", WAYS)
def test_the_same_over_tls_in_both_roles(
    reactor: Reactor, authority: Authority, way: Callable[[Reactor], object]
) -> None:
    class Echo(Recorder):
        def on_message(self, message: str | bytes) -> None:
            self.send(message)

    listener = reactor.listen("127.0.0.1", 0, Echo, ssl=authority.server_context)
    url = f"wss://127.0.0.1:{listener.port}"
    first = reactor.connect(url, Recorder, sslopt=authority.sslopt)
    run_until(reactor, lambda: first.names)
    in_child(way, reactor)
    first.send("x")
    second = reactor.connect(url, Recorder, sslopt=authority.sslopt)
    run_until(reactor, lambda: first.messages and second.names)
    assert (first.messages, second.names) == (["x"], ["open"])


def test_a_loop_that_was_closed_before_is_just_that(capfd: pytest.CaptureFixture[str]) -> None:
    loop = Reactor()
    loop.close()
    assert in_child(loop.run_once) == "RuntimeError: the event loop is closed"
    assert capfd.readouterr() == ("", "")  # Python writes there what a hook raises


def test_the_path_of_a_listener_stays(reactor: Reactor, unix_path: str) -> None:
    reactor.listen(unix_path=unix_path)
    in_child(reactor.close)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(unix_path)


def test_close_in_a_child_closes_its_descriptors_and_tells_nobody(scene: Scene) -> None:
    actor, ended = Actor(), Actor()
    scene.open(ended).say_goodbye()
    scene.open(actor)
    lingering, sock = scene.attempts[0].sock, scene.sock
    listener = scene.loop.listen("127.0.0.1")

    def close() -> list[Any]:
        scene.loop.close()
        scene.loop.close()
        left = [each.fileno() for each in (lingering, sock, listener.sock)]
        return [left, actor.names, scene.loop.connections]

    assert in_child(close) == "[[-1, -1, -1], ['open'], set()]"
    assert all(each.fileno() >= 0 for each in (lingering, sock, listener.sock))
    listener.close()


USES: dict[str, Callable[[Reactor, Recorder], object]] = {
    "run_forever": lambda loop, _: loop.run_forever(),
    "run_once": lambda loop, _: loop.run_once(0),
    "run_until_idle": lambda loop, _: loop.loop.run_until_idle(),
    "shutdown": lambda loop, _: loop.shutdown(),
    "connect": lambda loop, _: loop.connect("ws://scene/", Recorder),
    "listen": lambda loop, _: loop.listen("127.0.0.1"),
    "call_soon": lambda loop, _: loop.call_soon(print),
    "call_later": lambda loop, _: loop.call_later(1, print),
    "call_at": lambda loop, _: loop.call_at(1, print),
    "call_soon_threadsafe": lambda loop, _: loop.call_soon_threadsafe(print),
    "add_reader": lambda loop, _: loop.add_reader(0, print),
    "add_writer": lambda loop, _: loop.add_writer(0, print),
    "remove_reader": lambda loop, _: loop.remove_reader(0),
    "signal": lambda loop, _: loop.signal(signal.SIGUSR1, print),
    "send": lambda _, recorder: recorder.send("x"),
    "ping": lambda _, recorder: recorder.ping(),
    "send_fragments": lambda _, recorder: recorder.send_fragments(["x"]),
    "send_fragment": lambda _, recorder: recorder.send_fragment("x"),
    "pause_reading": lambda _, recorder: recorder.pause_reading(),
}


@pytest.mark.parametrize("use", list(USES.values()), ids=list(USES))
def test_its_use_in_a_child_is_a_clear_error(
    scene: Scene, use: Callable[[Reactor, Recorder], object]
) -> None:
    actor = Actor()
    peer = scene.open(actor)
    assert in_child(use, scene.loop, actor).startswith(REFUSED)
    assert peer.told() == []


def test_the_verbs_that_end_things_do_nothing_in_a_child(scene: Scene) -> None:
    actor = Actor()
    peer = scene.open(actor)

    def end() -> list[str]:
        actor.close()
        actor.abort()
        scene.loop.stop()
        return actor.names

    assert in_child(end) == "['open']"
    scene.turn()
    assert peer.told() == []
    assert not peer.ended


def test_the_error_is_one_of_the_state_and_a_runtime_error() -> None:
    assert issubclass(WebSocketForkException, reactor.WebSocketStateException)
    assert issubclass(WebSocketForkException, RuntimeError)


def test_a_child_that_a_handler_forks_goes_on_with_nothing_of_the_turn(scene: Scene) -> None:
    forked: list[int] = []
    reader, writer = os.pipe()

    def fork_off(_: Actor) -> None:
        scene.loop.call_soon(os.write, writer, b"call ")
        scene.loop.call_later(0, os.write, writer, b"timer ")
        forked.append(fork())

    first, second = Actor(message=fork_off), Actor(message=lambda _: os.write(writer, b"message "))
    peers = [scene.open(first), scene.open(second)]
    for peer in peers:
        peer.text("1", "2")
    scene.clock.advance(1)
    try:
        scene.loop.run_once(0)
    except WebSocketForkException:
        os.write(writer, b"refused ")
        os._exit(0)
    finally:
        if 0 in forked:
            os._exit(1)
    for child in forked:
        os.waitpid(child, 0)
    scene.turn(1)
    os.close(writer)
    with open(reader) as log:
        words = log.read().split()
    # Two children, for two messages; all the rest is done once, by the parent.
    assert sorted(words) == sorted(["refused"] * 2 + ["message"] * 2 + ["call", "timer"] * 2)
    assert first.messages == ["1", "2"]


def test_signals_are_the_child_s_own_again(scene: Scene) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    scene.loop.signal(signal.SIGUSR1, print)
    outcomes: list[str] = []

    def look() -> list[bool]:
        fd = signal.set_wakeup_fd(-1)
        default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        return [signal.getsignal(signal.SIGUSR1) == before, default, fd == -1]

    scene.loop.call_soon(lambda: outcomes.append(in_child(look)))
    scene.loop.call_soon(scene.loop.stop)
    scene.loop.run_forever()
    assert outcomes == ["[True, True, True]"]
    assert signal.getsignal(signal.SIGUSR1) != before


def test_a_child_may_have_a_loop_of_its_own(reactor: Reactor) -> None:
    def talk(own: Reactor) -> list[str]:
        listener = own.listen("127.0.0.1", 0, Recorder)
        recorder = own.connect(f"ws://127.0.0.1:{listener.port}", Recorder)
        run_until(own, lambda: recorder.names)
        own.close()
        return recorder.names

    assert in_child(lambda: talk(Reactor())) == "['open', 'close']"
    assert talk(reactor) == ["open", "close"]


class TestApp:
    def open(self, scene: Scene, **handlers: Any) -> tuple[Any, Any]:
        app = reactor.WebSocketApp("ws://scene/", **handlers)
        app.run_forever(dispatcher=scene.loop)
        scene.turn(count=2)
        return app, scene.succeed()

    def test_to_send_in_a_child_is_the_same_error(self, scene: Scene) -> None:
        app, peer = self.open(scene)
        assert in_child(app.send, "x").startswith(REFUSED)
        in_child(app.close)
        assert peer.told() == []
        app.send("y")
        assert peer.told() == [(TEXT, b"y")]

    def test_a_callback_that_forks_and_exits_calls_no_other(self, scene: Scene) -> None:
        log: list[str] = []
        outcomes: list[str] = []

        def exit_in_child(*_: object) -> None:
            outcomes.append(in_child(leave))

        def leave() -> list[str]:
            try:
                app._current_run.interrupt(SystemExit())
            finally:
                log.append("left")
            return log

        app, peer = self.open(
            scene,
            on_message=exit_in_child,
            on_error=lambda *_: log.append("error"),
            on_close=lambda *_: log.append("close"),
        )
        peer.text("x")
        scene.turn()
        assert outcomes == ["['left']"]
        assert log == []

    def test_the_app_can_be_run_anew_in_a_child(self, scene: Scene) -> None:
        app, _peer = self.open(scene)

        def run() -> bool:
            app.on_error = lambda *_: None
            app.url = "ws://127.0.0.1:1/"
            with Reactor() as loop:
                return bool(app.run_forever(dispatcher=loop))

        assert in_child(run) == "False"
