"""Handlers of connections: what they raise, what they may do, and that others do not notice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from reactor import (
    State,
    WebSocketConnectionClosedException,
)

from ..support.recorder import Recorder
from ..support.scene import (
    FAULT,
    GOODBYE,
    Actor,
    Peer,
    Scene,
    echo,
    in_thread,
    text,
)
from ..support.websocket_frames import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    build_frame,
    close_payload,
)


class TestHandlersThatRaise:
    def test_on_open(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actor = Actor(open=lambda _: 1 / 0)
        peer = scene.open(actor, text("came with the handshake"))
        self._check(actor, caplog, "open")
        assert actor.names == ["open", "error", "message"]
        self._goes_on(scene, actor, peer)

    @pytest.mark.parametrize("handler", ["message", "ping", "pong"])
    def test_on_what_comes(
        self, scene: Scene, caplog: pytest.LogCaptureFixture, handler: str
    ) -> None:
        actor = Actor(**{handler: lambda _: 1 / 0})
        peer = scene.open(actor)
        frames = {"message": text("x"), "ping": build_frame(PING), "pong": build_frame(PONG)}
        peer.send(frames[handler])
        scene.turn()
        self._check(actor, caplog, handler)
        actor.actions.clear()
        self._goes_on(scene, actor, peer)

    def test_on_reconnect(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actor = Actor(reconnect=lambda _: 1 / 0)
        scene.open(actor, reconnect=1.0).say_goodbye()
        scene.turn()
        scene.turn(1.0, count=2)
        peer = scene.succeed()
        self._check(actor, caplog, "reconnect")
        self._goes_on(scene, actor, peer)

    def test_on_writable(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actor = Actor(writable=lambda _: 1 / 0)
        peer = scene.open(actor, high_water=10, low_water=5)
        scene.sock.room = 0
        actor.send("more than ten bytes")
        scene.sock.room = None
        scene.turn()
        self._check(actor, caplog, "writable")
        self._goes_on(scene, actor, peer)

    def test_on_close(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actor, other = Actor(close=lambda _: 1 / 0), Actor(message=echo)
        peer = scene.open(actor)
        other_peer = scene.open(other)
        peer.send(GOODBYE)
        scene.turn()
        self._check(actor, caplog, "close")
        assert actor.names == ["open", "close", "error"]
        self._goes_on(scene, other, other_peer)

    def test_on_error_is_only_logged(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actor = Actor(message=lambda _: 1 / 0, error=lambda _: [].pop())
        peer = scene.open(actor)
        peer.text("x")
        scene.turn()
        self._check(actor, caplog, "message", count=2)
        assert "IndexError" in caplog.text
        actor.actions.clear()
        self._goes_on(scene, actor, peer)

    def test_on_error_about_the_connection(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        actor = Actor(error=lambda _: 1 / 0)
        peer = scene.open(actor)
        peer.send(FAULT)
        scene.turn()
        assert actor.names == ["open", "error", "close"]
        assert len(caplog.records) == 1
        assert "ZeroDivisionError" in caplog.text

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    @pytest.mark.parametrize("handler", ["message", "ping", "pong", "error", "close", "writable"])
    def test_what_ends_the_program_leaves_the_loop(
        self, scene: Scene, handler: str, kind: type[BaseException]
    ) -> None:
        def leave(_: Actor) -> None:
            raise kind

        actor = Actor(**{handler: leave})
        peer = scene.open(actor, high_water=10, low_water=5)
        if handler == "writable":
            scene.sock.room = 0
            actor.send("more than ten bytes")
            scene.sock.room = None
        frames = {
            "message": text("x"),
            "ping": build_frame(PING),
            "pong": build_frame(PONG),
            "error": FAULT,
            "close": GOODBYE,
        }
        peer.send(frames.get(handler, b""))
        with pytest.raises(kind):
            scene.loop.run_forever()
        assert actor.names[1] == handler
        # The loop can be run again, and what is owed comes exactly once.
        actor.actions.clear()
        actor.abort()
        scene.turn(count=3)
        assert len(actor.closes) == 1

    def test_and_what_was_read_behind_it_is_delivered_in_the_next_turn(self, scene: Scene) -> None:
        def leave(_: Actor) -> None:
            raise KeyboardInterrupt

        actor = Actor(message=leave)
        peer = scene.open(actor)
        peer.send(text("1"), build_frame(PING, b"2"), text("3"))
        with pytest.raises(KeyboardInterrupt):
            scene.turn()
        assert actor.messages == ["1"]
        assert scene.loop.next_timeout() == 0  # there is something to do
        actor.actions["message"] = echo
        peer.send(text("4"), GOODBYE)
        scene.turn()
        assert actor.events[1:] == [
            ("message", "1"),
            ("ping", b"2"),
            ("message", "3"),
            ("message", "4"),
            ("close", 1000, "bye"),
        ]
        assert [payload for _, payload in peer.told()] == [
            b"2", b"3", b"4", close_payload(1000, b"bye")
        ]  # fmt: skip

    def test_but_not_when_the_connection_was_ended_meanwhile(self, scene: Scene) -> None:
        def leave(_: Actor) -> None:
            raise SystemExit

        actor = Actor(message=leave)
        peer = scene.open(actor, reconnect=1.0)
        peer.text("1", "2")
        with pytest.raises(SystemExit):
            scene.turn()
        actor.abort()
        scene.turn(count=2)
        assert actor.events == [("open",), ("message", "1"), ("close", 1006, "")]

    def test_what_ends_the_program_in_on_open(self, scene: Scene) -> None:
        def leave(_: Actor) -> None:
            raise KeyboardInterrupt

        actor = Actor(open=leave)
        scene.connect(actor)
        peer = scene.attempts[-1].succeed(text("came with the handshake"))
        with pytest.raises(KeyboardInterrupt):
            scene.loop.run_forever()
        peer.text("still there")
        scene.turn()
        assert actor.events == [
            ("open",),
            ("message", "came with the handshake"),
            ("message", "still there"),
        ]
        peer.close()

    def _check(
        self, actor: Actor, caplog: pytest.LogCaptureFixture, handler: str, count: int = 1
    ) -> None:
        (error,) = actor.errors
        assert isinstance(error, ZeroDivisionError)
        position = actor.names.index("error")
        assert actor.names[position - 1] == handler
        assert len(caplog.records) == count
        assert caplog.records[0].levelno == logging.ERROR
        assert "ZeroDivisionError" in caplog.text
        assert "Traceback" in caplog.text

    def _goes_on(self, scene: Scene, actor: Actor, peer: Peer) -> None:
        actor.actions["message"] = echo
        peer.look()
        peer.text("go on")
        scene.turn()
        assert peer.told() == [(TEXT, b"go on")]


HANDLERS = ["open", "reconnect", "message", "ping", "pong", "writable", "error", "close"]


def provoke(scene: Scene, actor: Actor, handler: str) -> Peer:
    """Bring about that the next turn calls one handler of *actor*; return the far end."""
    options: dict[str, Any] = {"high_water": 100, "low_water": 50, "close_timeout": 3.0}
    if handler in ("open", "reconnect"):
        scene.connect(actor, reconnect=1.0, **options)
        if handler == "reconnect":
            scene.succeed().close()
            scene.turn()
            scene.turn(1.0, count=2)
        return scene.attempts[-1].succeed()
    peer = scene.open(actor, **options)
    if handler == "writable":
        scene.sock.room = 0
        actor.send(bytes(200))
        scene.sock.room = None
    elif handler == "error":
        original = actor.on_message

        def fail(message: str | bytes) -> None:
            original(message)
            raise RuntimeError("on purpose")

        actor.on_message = fail  # type: ignore[method-assign]
        peer.text("x")
    else:
        frames = {
            "message": text("x"),
            "ping": build_frame(PING),
            "pong": build_frame(PONG),
            "close": GOODBYE,
        }
        peer.send(frames[handler])
    return peer


Call = Callable[[Callable[[], object]], None]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize(
    "call", [lambda function: function(), in_thread], ids=["same thread", "other thread"]
)
class TestFromInsideEveryHandler:
    """Each verb, from inside each handler, on its thread and on another that it waits for."""

    def test_send(self, scene: Scene, handler: str, call: Call) -> None:
        outcome: list[object] = []

        def act(actor: Actor) -> None:
            try:
                call(lambda: outcome.append(actor.send("from inside")))
            except WebSocketConnectionClosedException as exc:
                outcome.append(exc)

        actor = Actor(**{handler: act})
        peer = provoke(scene, actor, handler)
        scene.turn(count=2)
        assert actor.names.count(handler) == 1
        told = [payload for opcode, payload in peer.told() if opcode == TEXT]
        if handler == "close":
            assert isinstance(outcome[0], WebSocketConnectionClosedException)
        else:
            assert outcome == [2 + 4 + len("from inside")]
            assert told == [b"from inside"]
        peer.close()

    def test_close(self, scene: Scene, handler: str, call: Call) -> None:
        actor = Actor(**{handler: lambda actor: call(actor.close)})
        peer = provoke(scene, actor, handler)
        scene.turn(count=2)
        assert [frame for frame in peer.told() if frame[0] == CLOSE] == [
            (CLOSE, close_payload(1000, b"bye" if handler == "close" else b""))
        ]
        if handler != "close":
            assert actor.state is State.CLOSING
            peer.send(text("dropped"), GOODBYE)
        scene.turn(count=2)
        self._is_over(scene, actor, peer, handler, (1000, "bye"))

    def test_abort(self, scene: Scene, handler: str, call: Call) -> None:
        actor = Actor(**{handler: lambda actor: call(actor.abort)})
        peer = provoke(scene, actor, handler)
        scene.turn(count=3)
        frames = peer.told()
        assert peer.ended
        assert (CLOSE, close_payload(1000)) not in frames
        code = (1000, "bye") if handler == "close" else (1006, "")
        self._is_over(scene, actor, peer, handler, code)

    def test_stop(self, scene: Scene, handler: str, call: Call) -> None:
        actor = Actor(**{handler: lambda actor: call(scene.loop.stop)})
        peer = provoke(scene, actor, handler)
        scene.loop.run_forever()
        assert handler in actor.names
        actor.actions.clear()
        if handler != "close":
            peer.send(build_frame(PONG, b"goes on"))
            scene.turn()
            assert actor.of("pong")[-1] == (b"goes on",)
        peer.close()

    def _is_over(
        self, scene: Scene, actor: Actor, peer: Peer, handler: str, code: tuple[int, str]
    ) -> None:
        opens = actor.names.count("open") + actor.names.count("reconnect")
        assert len(actor.closes) == opens
        assert actor.closes[-1] == code
        assert actor.names[-1] == "close"
        assert actor.state is State.CLOSED
        peer.close()
        scene.turn(count=2)
        assert scene.nothing_goes_on()
        scene.turn(100.0, count=2)
        assert len(scene.attempts) == opens  # and no attempt more
        assert len(actor.closes) == opens


class TestOneTroubleIsNoOther:
    def test_a_firehose_does_not_starve_a_quiet_connection(self, scene: Scene) -> None:
        firehose, quiet = Recorder(), Actor(message=echo)
        firehose_peer = scene.open(firehose)
        quiet_peer = scene.open(quiet)
        firehose_peer.send(*[text("x" * 1000)] * 190)  # three reads
        quiet_peer.text("me too")
        scene.turn()
        assert quiet_peer.told() == [(TEXT, b"me too")]
        assert 0 < len(firehose.messages) < 190

    def test_handlers_that_raise(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        actors = [
            Actor(message=lambda _: 1 / 0) if i % 2 else Actor(message=echo) for i in range(6)
        ]
        peers = [scene.open(actor) for actor in actors]
        for peer in peers:
            peer.text("x")
        scene.turn()
        assert [len(actor.errors) for actor in actors] == [0, 1] * 3
        assert [len(peer.told()) for peer in peers] == [1, 0] * 3

    def test_a_handler_may_end_another_connection(self, scene: Scene) -> None:
        """Although both have events in the same turn: the one that comes first wins."""
        first, second = Actor(), Actor()
        first.actions["message"] = lambda _: second.abort()
        second.actions["message"] = lambda _: first.abort()
        peers = [scene.open(first), scene.open(second)]
        for peer in peers:
            peer.text("x")
        scene.turn(count=3)
        assert sorted([first.names, second.names]) == [["open", "close"], ["open", "message"]]

    def test_a_slow_reader_holds_nobody_up(self, scene: Scene) -> None:
        slow, quick = Recorder(), Recorder()
        scene.open(slow)
        scene.sock.room = 0
        quick_peer = scene.open(quick)
        for i in range(10):
            slow.send(bytes(1000))
            quick.send(f"{i}")
        assert len(quick_peer.told()) == 10
        assert slow.buffered_amount == 10 * 1008
