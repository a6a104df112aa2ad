"""The life of a connection, as its handlers can follow and steer it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from reactor import (
    Backoff,
    Ending,
    Reactor,
    State,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketProtocol,
    WebSocketStateException,
)
from reactor.client.options import HandshakeWatch

from ..support.recorder import Recorder
from ..support.scene import FAULT, Actor, Scene, in_thread, text

FIXED = Backoff.fixed(5.0)


class Watcher(Actor):
    """Writes down what on_retry is told, and the ending at each on_close.

    Attributes:
        answer: what on_retry returns.
    """

    def __init__(self, answer: Any = None, **actions: Callable[[Actor], object]) -> None:
        super().__init__(**actions)
        self.answer = answer
        self.endings: list[Ending | None] = []

    def on_retry(self, attempt: int, delay: float, error: Exception | None) -> Any:
        self.events.append(("retry", attempt, delay, error))
        self._act("retry")
        return self.answer

    def on_close(self, code: int, reason: str) -> None:
        self.endings.append(self.ending)
        super().on_close(code, reason)

    @property
    def last(self) -> Ending:
        ending = self.endings[-1]
        assert ending is not None
        return ending


class TestEnding:
    def test_there_is_none_while_the_connection_is_open(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.connect(watcher)
        assert watcher.ending is None
        scene.succeed()
        assert watcher.ending is None

    def test_the_peer_closes(self, scene: Scene) -> None:
        watcher = Watcher()
        peer = scene.open(watcher)
        peer.say_goodbye(4001, b"bye")
        scene.turn()
        assert watcher.endings == [Ending(4001, "bye", None, "peer")]

    def test_we_close(self, scene: Scene) -> None:
        watcher = Watcher()
        peer = scene.open(watcher, reconnect=FIXED)
        watcher.close()
        scene.turn()
        peer.say_goodbye()
        scene.turn()
        assert watcher.endings == [Ending(1000, "", None, "us")]

    @pytest.mark.parametrize("way", ["abort", "fault"])
    def test_it_is_our_doing(self, scene: Scene, way: str) -> None:
        watcher = Watcher()
        peer = scene.open(watcher)
        if way == "abort":
            watcher.abort()
        else:
            peer.send(FAULT)
        scene.turn(count=2)
        assert watcher.last.initiator == "us"
        assert watcher.last.error is (watcher.errors[0] if watcher.errors else None)

    def test_the_connection_is_lost_and_comes_back(self, scene: Scene) -> None:
        watcher = Watcher()
        peer = scene.open(watcher, reconnect=FIXED)
        peer.close()
        scene.turn()
        assert watcher.endings == [
            Ending(1006, "", watcher.errors[0], "network", final=False, attempt=1, delay=5.0)
        ]
        scene.turn(5.1, count=2)
        scene.succeed()
        assert watcher.ending is None

    def test_a_refusal_is_the_peers(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.connect(watcher)
        scene.fail(WebSocketBadStatusException("no", 403, "Forbidden", {}, b""))
        assert (watcher.last.initiator, watcher.last.final) == ("peer", True)

    def test_a_wrong_function_is_ours(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.loop.connect(lambda: 1 / 0, watcher)  # type: ignore[arg-type, return-value]
        scene.turn()
        assert watcher.last.initiator == "us"

    def test_giving_up_in_on_error_makes_it_final(self, scene: Scene) -> None:
        watcher = Watcher(error=lambda actor: actor.close())
        scene.connect(watcher, reconnect=FIXED)
        scene.fail(OSError("no"))
        assert watcher.last.final
        assert watcher.last.delay is None
        assert scene.nothing_goes_on()

    def test_the_last_attempt_is_final_and_counted(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.connect(watcher, reconnect=Backoff.fixed(1.0, max_attempts=1))
        scene.fail(OSError("no"))
        scene.turn(1.1, count=2)
        scene.fail(OSError("no"))
        seen = [(each.final, each.attempt, each.delay) for each in watcher.endings if each]
        assert seen == [(False, 1, 1.0), (True, 1, None)]

    def test_a_connection_closed_before_it_was_open_says_so(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.connect(watcher)
        watcher.close()
        scene.turn()
        assert watcher.endings == [Ending(1006, "", None, "us")]


class TestOnRetry:
    def test_it_is_told_before_every_wait_and_before_the_rest(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.connect(watcher, reconnect=FIXED)
        error = OSError("no")
        scene.fail(error)
        assert watcher.events == [("retry", 1, 5.0, error), ("error", error), ("close", 1006, "")]
        scene.turn(5.1, count=2)
        scene.fail(error)
        assert watcher.of("retry") == [(1, 5.0, error), (2, 5.0, error)]

    def test_it_may_say_another_wait(self, scene: Scene) -> None:
        watcher = Watcher(answer=0.5)
        scene.connect(watcher, reconnect=FIXED)
        scene.fail(OSError("no"))
        assert watcher.last.delay == 0.5
        scene.turn(0.6, count=2)
        assert len(scene.attempts) == 2

    def test_nothing_is_a_wait_too(self, scene: Scene) -> None:
        watcher = Watcher(answer=0)
        scene.connect(watcher, reconnect=FIXED)
        scene.fail(OSError("no"))
        scene.turn(0.01, count=2)
        assert len(scene.attempts) == 2

    def test_false_gives_up(self, scene: Scene) -> None:
        watcher = Watcher(answer=False)
        scene.connect(watcher, reconnect=FIXED)
        scene.fail(OSError("no"))
        assert watcher.last.final
        assert watcher.state is State.CLOSED
        assert scene.nothing_goes_on()

    @pytest.mark.parametrize("answer", [True, "1", -1, float("nan"), float("inf"), object()])
    def test_nonsense_is_reported_and_changes_nothing(self, scene: Scene, answer: Any) -> None:
        watcher = Watcher(answer=answer)
        scene.connect(watcher, reconnect=FIXED)
        scene.fail(OSError("no"))
        assert "what on_retry returns" in str(watcher.errors[0])
        assert watcher.last.delay == 5.0

    def test_what_it_raises_is_reported_and_changes_nothing(self, scene: Scene) -> None:
        watcher = Watcher(retry=lambda actor: 1 / 0)
        scene.connect(watcher, reconnect=FIXED)
        scene.fail(OSError("no"))
        assert [type(each) for each in watcher.errors] == [ZeroDivisionError, OSError]
        scene.turn(5.1, count=2)
        assert len(scene.attempts) == 2

    def test_it_may_close(self, scene: Scene) -> None:
        watcher = Watcher(answer=1.0, retry=lambda actor: actor.close())
        scene.connect(watcher, reconnect=FIXED)
        scene.fail(OSError("no"))
        assert watcher.last.final
        assert len(watcher.closes) == 1
        assert scene.nothing_goes_on()

    def test_ctrl_c_in_it_costs_nobody_their_close(self, scene: Scene) -> None:
        def interrupt(_: Actor) -> None:
            raise KeyboardInterrupt

        watcher = Watcher(retry=interrupt)
        scene.connect(watcher, reconnect=FIXED)
        with pytest.raises(KeyboardInterrupt):
            scene.fail(OSError("no"))
        assert watcher.names == ["retry", "error", "close"]
        scene.turn(5.1, count=2)
        assert len(scene.attempts) == 2

    def test_without_a_policy_there_is_nothing_to_be_told(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.connect(watcher)
        scene.fail(OSError("no"))
        assert watcher.names == ["error", "close"]


class TestReconnect:
    def test_it_drops_the_connection_and_opens_it_anew(self, scene: Scene) -> None:
        watcher = Watcher()
        peer = scene.open(watcher, reconnect=FIXED)
        watcher.reconnect(reason="new token")
        assert watcher.state is State.CLOSED
        scene.turn()
        assert watcher.names == ["open", "retry", "close"]
        assert watcher.endings == [
            Ending(1006, "new token", None, "us", final=False, attempt=1, delay=5.0)
        ]
        ((_, payload),) = peer.told()
        assert payload == b"\x03\xe9new token"
        scene.turn(5.1, count=2)
        scene.succeed()
        assert watcher.names[-1] == "reconnect"

    def test_no_message_comes_after_it(self, scene: Scene) -> None:
        watcher = Watcher(message=lambda actor: actor.reconnect())
        scene.open(watcher, text("a"), text("b"), reconnect=FIXED)
        scene.turn(count=2)
        assert watcher.messages == ["a"]
        assert watcher.closes == [(1006, "")]

    def test_what_was_sent_before_it_leaves(self, scene: Scene) -> None:
        watcher = Watcher()
        peer = scene.open(watcher, reconnect=FIXED)
        watcher.send("last words")
        watcher.reconnect()
        scene.turn(count=2)
        assert [payload for _, payload in peer.told()] == [b"last words", b"\x03\xe9"]

    def test_it_may_say_the_delay(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.open(watcher, reconnect=FIXED)
        watcher.reconnect(0)
        scene.turn(0.01, count=3)
        assert len(scene.attempts) == 2

    def test_without_a_policy_it_comes_back_at_once(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.open(watcher)
        watcher.reconnect()
        scene.turn(0.01, count=3)
        assert len(scene.attempts) == 2
        scene.succeed()
        assert watcher.names == ["open", "retry", "close", "reconnect"]

    def test_without_a_policy_the_next_loss_is_final(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.open(watcher)
        watcher.reconnect()
        scene.turn(0.01, count=3)
        scene.fail(OSError("no"))
        assert watcher.last.final
        assert not scene.loop.connections

    def test_in_on_close_it_brings_back_what_had_no_policy(self, scene: Scene) -> None:
        watcher = Watcher(close=lambda actor: actor.reconnect(2.0))
        scene.connect(watcher)
        scene.fail(OSError("no"))
        assert watcher.state is State.CONNECTING
        assert watcher.ending is not None
        assert (watcher.ending.final, watcher.ending.delay) == (False, 2.0)
        scene.turn(2.1, count=2)
        assert len(scene.attempts) == 2
        scene.succeed()
        watcher.close()
        scene.turn()

    def test_while_it_waits_the_wait_is_changed(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.connect(watcher, reconnect=FIXED)
        scene.fail(OSError("no"))
        watcher.reconnect(1.0)
        scene.turn(1.1, count=2)
        assert len(scene.attempts) == 2
        scene.fail(OSError("no"))
        watcher.reconnect(60.0)
        scene.turn(59.0, count=2)
        assert len(scene.attempts) == 2
        assert len(watcher.closes) == 2

    def test_while_it_waits_no_delay_changes_nothing(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.connect(watcher, reconnect=FIXED)
        scene.fail(OSError("no"))
        scene.turn(4.0)
        watcher.reconnect()
        scene.turn(1.1, count=2)
        assert len(scene.attempts) == 2

    def test_an_attempt_is_dropped_too(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.connect(watcher, reconnect=FIXED)
        watcher.reconnect(1.0, "sooner")
        watcher.reconnect(2.0)
        scene.turn()
        assert scene.attempts[0].fate == "cancelled"
        assert watcher.closes == [(1006, "sooner")]
        scene.turn(2.1, count=2)
        assert len(scene.attempts) == 2

    def test_an_attempt_that_is_dropped_and_closed_is_told_once(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.connect(watcher, reconnect=FIXED)
        watcher.reconnect(1.0)
        watcher.close()
        scene.turn(count=2)
        assert watcher.closes == [(1006, "")]
        assert scene.nothing_goes_on()

    @pytest.mark.parametrize("way", ["close", "abort"])
    def test_what_was_ended_for_good_stays_so(self, scene: Scene, way: str) -> None:
        watcher = Watcher()
        scene.open(watcher, reconnect=FIXED)
        getattr(watcher, way)()
        with pytest.raises(WebSocketConnectionClosedException, match="for good"):
            watcher.reconnect()

    def test_any_thread_may_ask(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.open(watcher)
        in_thread(watcher.reconnect)
        scene.turn(0.01, count=4)
        assert len(scene.attempts) == 2
        in_thread(watcher.close)
        with pytest.raises(WebSocketConnectionClosedException):
            in_thread(watcher.reconnect)

    def test_a_policy_that_has_an_end_is_heeded(self, scene: Scene) -> None:
        watcher = Watcher()
        scene.open(watcher, reconnect=Backoff.fixed(1.0, max_attempts=0))
        watcher.reconnect()
        scene.turn()
        assert watcher.last.final
        assert not scene.loop.connections

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ((-1,), ValueError),
            (("1",), TypeError),
            ((True,), TypeError),
            ((0, "x" * 124), ValueError),
        ],
    )
    def test_nonsense_is_an_error(
        self, scene: Scene, arguments: tuple[Any, ...], error: type[Exception]
    ) -> None:
        watcher = Watcher()
        scene.open(watcher)
        with pytest.raises(error):
            watcher.reconnect(*arguments)
        assert watcher.state is State.OPEN

    def test_a_servers_connection_says_that_it_cannot(self) -> None:
        said: list[Exception] = []

        class Server(WebSocketProtocol):
            def on_open(self) -> None:
                assert self.loop is loop
                try:
                    self.reconnect()
                except WebSocketStateException as exc:
                    said.append(exc)
                self.close()

            def on_close(self, code: int, reason: str) -> None:
                assert self.ending is not None
                assert self.ending.final
                loop.stop()

        with Reactor() as loop:
            listener = loop.listen("127.0.0.1", 0, Server)
            client = loop.connect(f"ws://127.0.0.1:{listener.port}/", Recorder)
            loop.run_forever()
            assert client.loop is loop
        assert "only the client" in str(said[0])


# --- at the edges ---------------------------------------------------------------------------------


def test_openings_and_ends_are_for_the_log_of_those_who_want_them(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "reactor.connect")
    recorder = Recorder()
    peer = scene.open(recorder, reconnect=FIXED)
    peer.say_goodbye()
    scene.turn(count=2)
    scene.turn(5.0, count=2)
    scene.succeed()
    recorder.abort()
    assert caplog.messages[:3] == [
        "ws://scene/ is open",
        "ws://scene/: ended by peer (1000); next attempt in 5.0 s",
        "ws://scene/ is open again",
    ]


def test_who_connects_again_by_himself_is_not_told_that_nobody_does(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    class Watch(HandshakeWatch):
        connects_again = True

    for watch in (Watch(), HandshakeWatch()):
        scene.connect(WebSocketProtocol(), watch=watch, url=f"ws://{type(watch).__name__}/")
        scene.fail(OSError("no"))
        scene.turn(count=2)
    assert [message.partition("no")[2] for message in caplog.messages] == [
        "",
        "; there is no further attempt",
    ]


def test_a_connection_on_a_given_socket_is_not_opened_again(scene: Scene) -> None:
    recorder = Recorder()
    sock = socket.socket()
    scene.connect(recorder, sock=sock)
    with pytest.raises(WebSocketStateException, match="sock serves one connection"):
        recorder.reconnect()
    recorder.abort()
    scene.turn(count=2)
    assert sock.fileno() == -1


def test_a_thread_that_asks_too_late_is_not_heard(scene: Scene) -> None:
    recorder = Recorder()
    peer = scene.open(recorder)
    in_thread(recorder.reconnect)
    recorder.close()
    scene.turn(count=2)
    peer.say_goodbye()
    scene.turn(count=2)
    assert len(recorder.closes) == 1
    assert len(scene.attempts) == 1


def test_a_loop_that_is_closed_opens_nothing_again() -> None:
    scene = Scene()
    recorder = Recorder()
    peer = scene.open(recorder)
    peer.say_goodbye()
    scene.turn(count=2)
    assert recorder.closes
    peer.close()
    scene.end()
    with pytest.raises(WebSocketConnectionClosedException, match="ended for good"):
        recorder.reconnect()


def test_a_policy_that_is_used_up_has_no_attempt_for_reconnect_either(scene: Scene) -> None:
    recorder = Recorder()
    scene.connect(recorder, reconnect=Backoff(first=1.0, jitter=False, max_attempts=1))
    scene.fail(OSError("no"))
    scene.turn(1.0, count=2)
    scene.fail(OSError("no"))
    scene.turn(count=2)
    recorder.reconnect()
    scene.turn(60.0, count=2)
    assert len(scene.attempts) == 2
    assert scene.nothing_goes_on()


def test_a_forked_child_closes_what_it_has_of_an_attempt(scene: Scene) -> None:
    recorder = Recorder()
    scene.connect(recorder)
    recorder._reactor_connection.lifecycle.let_go()
    assert scene.attempts[-1].fate == "cancelled"
    recorder.abort()
    opened = Recorder()
    scene.open(opened)
    opened._reactor_connection.lifecycle.let_go()  # there is none
    assert opened.state is State.OPEN
    opened.abort()


def test_a_connection_may_be_asked_for_while_another_thread_begins_to_run_the_loop(
    scene: Scene,
) -> None:
    recorder = Recorder()
    in_thread(lambda: scene.loop.connect("ws://scene/", recorder, ping_interval=None))
    scene.turn(count=2)
    scene.succeed()
    assert recorder.names == ["open"]
    recorder.abort()
