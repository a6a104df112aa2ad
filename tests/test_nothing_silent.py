"""Nothing fails silently: the log."""

from __future__ import annotations

import logging
import re

import pytest

from reactor import Backoff, Reactor, WebSocketProtocol

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
