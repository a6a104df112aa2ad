"""Small things of the public API: names, threads, timers, requests."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from reactor import Listener, Reactor, State, WebSocketProtocol
from reactor.feeds import Feed
from reactor.protocols.http.headers import Headers
from reactor.protocols.http.http11 import Request
from reactor.timers import ManualClock, Timer

from .support.driving import run_until
from .support.recorder import Recorder
from .support.scene import Actor, Scene, in_thread, text
from .support.websocket_frames import BINARY, PONG, TEXT, build_frame


class TestTextAndBinary:
    def test_on_message_hands_over_by_the_type(self, scene: Scene) -> None:
        came: list[Any] = []

        class Both(WebSocketProtocol):
            def on_text(self, text: str) -> None:
                came.append(("text", text))

            def on_binary(self, data: bytes) -> None:
                came.append(("binary", data))

        scene.open(Both(), text("a"), build_frame(BINARY, b"b"))
        assert came == [("text", "a"), ("binary", b"b")]

    def test_who_overrides_on_message_hears_of_neither(self, scene: Scene) -> None:
        class One(Recorder):
            def on_text(self, text: str) -> None:
                raise AssertionError

        one = One()
        scene.open(one, text("a"))
        assert one.messages == ["a"]
        assert one.errors == []

    def test_an_async_def_is_refused(self, scene: Scene) -> None:
        class Wrong(WebSocketProtocol):
            async def on_text(self, text: str) -> None:  # type: ignore[override]
                pass

        with pytest.raises(TypeError, match="on_text"):
            scene.loop.connect("ws://scene/", Wrong)


class TestNames:
    @pytest.mark.parametrize(
        "name", ["url", "state", "ending", "request", "response", "sock", "latency"]
    )
    def test_one_that_is_taken_is_an_error_that_says_so(self, name: str) -> None:
        class Mine(WebSocketProtocol):
            def __init__(self) -> None:
                setattr(self, name, "mine")

        with pytest.raises(AttributeError, match=rf"Mine\.{name} .* the name is taken"):
            Mine()

    def test_a_reactor_may_be_kept_under_its_name(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder)
        assert recorder.loop is scene.loop
        recorder.loop = "mine"  # type: ignore[misc, assignment]
        assert vars(recorder)["loop"] == "mine"
        recorder.close()

    @pytest.mark.parametrize("base", [WebSocketProtocol, Feed])
    def test_private_names_are_the_users(self, base: type) -> None:
        ours = [name for name in vars(base) if name.startswith("_") and not name.endswith("__")]
        assert [name for name in ours if not name.startswith("_reactor_")] == []

    def test_names_that_look_like_ours_do_no_harm(self, scene: Scene) -> None:
        class Mine(Recorder):
            _trace = "mine"
            _wiretaps = 5

            def __init__(self) -> None:
                super().__init__()
                self._connection = self._error_log = "mine"

            def on_pong(self, payload: bytes) -> None:
                raise LookupError

        mine = Mine()
        peer = scene.open(mine, text("a"), build_frame(PONG, b""))
        mine.send("b")
        assert peer.told() == [(TEXT, b"b")]
        assert mine.messages == ["a"]
        assert isinstance(mine.errors[0], LookupError)
        assert (mine._connection, mine._error_log) == ("mine", "mine")

    def test_a_state_prints_as_its_name_and_is_a_number(self) -> None:
        assert str(State.OPEN) == f"{State.OPEN}" == "OPEN"
        assert f"{State.OPEN:>6}" == "  OPEN"
        assert f"{State.OPEN:d}" == "1"
        assert State.OPEN == 1

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("open_timeout", "connect_timeout"),
            ("timeout", "connect_timeout"),
            ("heartbeat", "ping_interval"),
            ("max_size", "max_message_size"),
            ("additional_headers", "header"),
            ("extra_headers", "header"),
            ("receive_timeout", "idle_timeout"),
            ("pong_timeout", "ping_timeout"),
            ("ping_timout", "ping_timeout"),
            ("user_agent_header", "header"),
            ("max_retries", "reconnect"),
            ("sock_opt", "sockopt"),
        ],
    )
    def test_an_option_of_another_library_is_known(
        self, scene: Scene, name: str, meant: str
    ) -> None:
        with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
            scene.loop.connect("ws://scene/", Recorder, **{name: 1})


class TestRunInThread:
    def test_the_result_comes_to_the_loops_thread(self, loop: Reactor) -> None:
        came: list[Any] = []
        loop.run_in_thread(
            lambda a, b: (a + b, threading.get_ident()),
            1,
            2,
            then=lambda *answer: came.append((*answer, threading.get_ident())),
        )
        run_until(loop, lambda: came)
        ((total, worker), error, here) = came[0]
        assert (total, error, here) == (3, None, threading.get_ident())
        assert worker != here

    def test_so_does_an_exception(self, loop: Reactor) -> None:
        came: list[Any] = []
        loop.run_in_thread(lambda: 1 / 0, then=lambda *answer: came.append(answer))
        run_until(loop, lambda: came)
        assert came[0][0] is None
        assert isinstance(came[0][1], ZeroDivisionError)

    def test_without_then_it_is_logged(
        self, loop: Reactor, caplog: pytest.LogCaptureFixture
    ) -> None:
        loop.run_in_thread(lambda: 1 / 0)
        run_until(loop, lambda: caplog.records)
        assert "ZeroDivisionError" in caplog.text

    def test_another_thread_may_ask(self, loop: Reactor) -> None:
        came: list[Any] = []
        in_thread(lambda: loop.run_in_thread(lambda: 7, then=lambda *answer: came.append(answer)))
        run_until(loop, lambda: came)
        assert came == [(7, None)]

    def test_what_is_no_function_is_an_error(self, loop: Reactor) -> None:
        async def wrong() -> None: ...

        for each in (wrong, 5):
            with pytest.raises(TypeError):
                loop.run_in_thread(each)  # type: ignore[arg-type]

    def test_a_connection_has_it_and_hears_of_what_then_raises(self, scene: Scene) -> None:
        came: list[Any] = []

        def then(result: Any, error: Exception | None) -> None:
            came.append((result, error))
            raise KeyError("then")

        actor = Actor(message=lambda actor: actor.run_in_thread(lambda: 7, then=then))
        peer = scene.open(actor)
        peer.text("go")
        run_until(scene.loop, lambda: actor.errors)
        assert came == [(7, None)]
        assert isinstance(actor.errors[0], KeyError)

    def test_and_of_what_the_function_raises(self, scene: Scene) -> None:
        actor = Actor(message=lambda actor: actor.run_in_thread(lambda: 1 / 0))
        peer = scene.open(actor)
        peer.text("go")
        run_until(scene.loop, lambda: actor.errors)
        assert isinstance(actor.errors[0], ZeroDivisionError)


class TestCallEvery:
    def test_it_calls_again_and_again_until_it_is_cancelled(self, scene: Scene) -> None:
        calls: list[float] = []
        timer = scene.loop.call_every(1.0, lambda: calls.append(scene.clock.now()))
        assert isinstance(timer, Timer)
        assert timer.active
        for _ in range(12):
            scene.turn(0.25)
        assert calls == [1001.0, 1002.0, 1003.0]
        timer.cancel()
        timer.cancel()
        assert not timer.active
        scene.turn(5.0)
        assert len(calls) == 3
        assert scene.timers == 0

    def test_what_was_missed_is_left_out_and_the_rhythm_stays(self, scene: Scene) -> None:
        calls: list[float] = []
        timer = scene.loop.call_every(1.0, lambda: calls.append(scene.clock.now()))
        scene.turn(5.5)
        scene.turn(0.5)
        assert calls == [1005.5, 1006.0]
        timer.cancel()

    def test_it_may_be_cancelled_from_within(self, scene: Scene) -> None:
        calls: list[int] = []

        def call(number: int) -> None:
            calls.append(number)
            timer.cancel()

        timer = scene.loop.call_every(1.0, call, 7)
        scene.turn(1.0)
        scene.turn(1.0)
        assert calls == [7]
        assert scene.timers == 0

    def test_an_exception_does_not_end_it(self, caplog: pytest.LogCaptureFixture) -> None:
        clock = ManualClock(1000.0)
        with Reactor(clock=clock) as loop:
            timer = loop.call_every(1.0, lambda: 1 / 0)
            for _ in range(2):
                clock.advance(1.0)
                loop.run_once(0)
            timer.cancel()
        assert len(caplog.records) == 2

    @pytest.mark.parametrize("interval", [0, -1, "1", True, float("inf"), float("nan")])
    def test_nonsense_is_an_error(self, loop: Reactor, interval: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="interval"):
            loop.call_every(interval, print)


class TestRequest:
    def test_its_target_is_taken_apart(self) -> None:
        request = Request("GET", "/a%20b/%C3%BC?id=1&id=2&empty=&x=%26", Headers())
        assert request.path == "/a b/\u00fc"
        assert request.query == {"id": ["1", "2"], "empty": [""], "x": ["&"]}

    def test_without_a_query_it_is_empty(self) -> None:
        request = Request("GET", "/", Headers())
        assert (request.path, request.query, request.cookies) == ("/", {}, {})

    def test_its_cookies_are_by_name_and_the_first_counts(self) -> None:
        headers = Headers([("Cookie", 'a=1; b="two"; a=3; nonsense; =x'), ("Cookie", "c=x=y")])
        assert Request("GET", "/", headers).cookies == {"a": "1", "b": "two", "c": "x=y"}


def test_a_listener_is_generic_in_its_protocol_class(loop: Reactor) -> None:
    listener: Listener[Recorder] = loop.listen("127.0.0.1", 0, Recorder)
    assert listener.protocols == []
    listener.close()
