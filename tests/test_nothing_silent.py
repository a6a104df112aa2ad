"""Nothing fails silently: the log, the trace, and callbacks that hold the loop."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import pytest

from reactor import Backoff, Reactor, WebSocketProtocol
from reactor.timers import ManualClock

from .support.recorder import Recorder
from .support.scene import Scene


class Quiet(WebSocketProtocol):
    """Has no on_error."""


def lines(caplog: pytest.LogCaptureFixture, name: str, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelno) == (name, level)
    ]


class TestTheLog:
    def test_a_refusal_is_a_warning_where_nobody_hears_of_it(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        scene.connect(Quiet())
        scene.fail(ConnectionRefusedError("nobody there"))
        (line,) = lines(caplog, "reactor.connect", logging.WARNING)
        assert line == (
            "ws://scene/: ConnectionRefusedError: nobody there; there is no further attempt"
        )

    @pytest.mark.parametrize("way", ["class", "object"])
    def test_and_is_not_where_on_error_does(
        self, scene: Scene, caplog: pytest.LogCaptureFixture, way: str
    ) -> None:
        caplog.set_level(logging.INFO, "reactor")
        protocol = Recorder() if way == "class" else Quiet()
        if way == "object":
            protocol.on_error = lambda error: None  # type: ignore[method-assign]
        scene.connect(protocol)
        scene.fail(ConnectionRefusedError("nobody there"))
        assert lines(caplog, "reactor.connect", logging.WARNING) == []
        assert len(lines(caplog, "reactor.connect", logging.INFO)) == 1

    def test_further_failures_are_for_who_debugs_and_giving_up_is_not(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "reactor")
        scene.connect(Quiet(), reconnect=Backoff.fixed(1.0, max_attempts=2))
        for error in (OSError("a"), OSError("b"), ValueError("c")):
            scene.fail(error)
            scene.turn(1.1, count=2)
        warnings = lines(caplog, "reactor.connect", logging.WARNING)
        assert [line.split("; ")[1] for line in warnings] == [
            "next attempt in 1.0 s",
            "giving up after 2 attempts",
        ]
        debug = lines(caplog, "reactor.connect", logging.DEBUG)
        assert "connecting to ws://scene/ (attempt 2)" in debug
        assert any("OSError: b" in line for line in debug)

    def test_a_thousand_that_fail_alike_are_one_line(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(100):
            scene.connect(Quiet())
            scene.fail(OSError("no"))
        assert len(lines(caplog, "reactor.connect", logging.WARNING)) == 1

    def test_every_change_of_state_is_there(
        self, scene: Scene, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "reactor")
        peer = scene.open(Quiet(), reconnect=5)
        peer.say_goodbye()
        scene.turn()
        scene.turn(5.1, count=2)
        scene.succeed()
        assert lines(caplog, "reactor.connect", logging.INFO) == [
            "ws://scene/ is open",
            "ws://scene/: ended by peer (1000); next attempt in 5.0 s",
            "ws://scene/ is open again",
        ]

    def test_a_servers_connections_are_in_its_log(
        self, loop: Reactor, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "reactor.server")

        class Leaves(WebSocketProtocol):
            def on_open(self) -> None:
                self.close()

            def on_close(self, code: int, reason: str) -> None:
                loop.stop()

        listener = loop.listen("127.0.0.1", 0, Quiet)
        loop.connect(f"ws://127.0.0.1:{listener.port}/chat", Leaves)
        loop.run_forever()
        loop.shutdown()
        opened, ended = lines(caplog, "reactor.server", logging.INFO)
        client = opened.removeprefix("/chat from ").removesuffix(" is open")
        assert re.fullmatch(r"127\.0\.0\.1:\d+", client)
        assert ended == f"/chat from {client} ended: 1000"


class TestSlowCallbacks:
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(1000.0)

    @pytest.mark.parametrize("debug", [True, False])
    def test_a_slow_handler_is_named_in_debug_mode(
        self, clock: ManualClock, caplog: pytest.LogCaptureFixture, debug: bool
    ) -> None:
        class Slow(WebSocketProtocol):
            def on_close(self, code: int, reason: str) -> None:
                clock.advance(0.25)

        with Reactor(clock=clock, debug=debug) as loop:
            slow = loop.connect("ws://127.0.0.1:9/", Slow)
            slow.close()
            loop.run_once(0)
        found = lines(caplog, "reactor.loop", logging.WARNING)
        assert len(found) == debug
        if debug:
            assert "Slow.on_close" in found[0]
            assert "took 0.250 seconds" in found[0]

    @pytest.mark.parametrize(
        "ask",
        [
            lambda loop, callback: loop.call_soon(callback),
            lambda loop, callback: loop.call_soon_threadsafe(callback),
            lambda loop, callback: loop.call_later(0, callback),
            lambda loop, callback: loop.call_at(0, callback),
            lambda loop, callback: loop.call_later(delay=0, callback=callback),
        ],
    )
    def test_so_is_a_slow_callback(
        self,
        clock: ManualClock,
        caplog: pytest.LogCaptureFixture,
        ask: Callable[[Reactor, Callable[[], object]], object],
    ) -> None:
        def dawdle() -> None:
            clock.advance(1.5)

        with Reactor(clock=clock, slow_callback=1.0) as loop:
            ask(loop, dawdle)
            loop.run_once(0)
        (line,) = lines(caplog, "reactor.loop", logging.WARNING)
        assert "dawdle" in line

    def test_what_is_quick_enough_is_not(
        self, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Reactor(clock=clock, debug=True) as loop:
            loop.call_soon(clock.advance, 0.05)
            loop.run_once(0)
        assert caplog.records == []
