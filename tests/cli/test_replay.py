"""reactor replay: the server's side of a recording, at its own pace or another, to any client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reactor import Reactor, WebSocketProtocol
from reactor.cli.main import main
from reactor.cli.replay import Played
from reactor.monitor import record
from reactor.monitor.recording.playing import Playlist
from reactor.monitor.recording.reading import End, Recorded, Said, read_recording
from reactor.protocols.http.answers import build_response
from reactor.protocols.http.handshake import build_request
from reactor.testing import ManualReactor, MemoryServer, Recorder
from tests.support.driving import run_until

from ..support.websocket_frames import CLOSE, KEY, PING, PONG, TEXT, build_frame, close_payload
from .test_main import server

SAMPLE = "dGhlIHNhbXBsZSBub25jZQ=="
SECOND = 1_000_000_000

Play = Callable[..., Recorder]


def recorded(*pieces: tuple[float, str, bytes], target: str = "/", torn: bool = False) -> Recorded:
    """Return a connection; pieces are (second, "client" or "server", bytes or nothing: the end)."""
    found = Recorded("a.pcapng", 24, [], None, None)  # type: ignore[arg-type]
    found.request = build_request("host", target, SAMPLE)
    found.response = build_response(SAMPLE)
    for second, who, data in pieces:
        time = int(second * SECOND)
        if data:
            found.said.append(Said(time, who == "client", data, 100, torn))
        else:
            found.ends.append(End(time, who == "client", False))
    return found


def text(message: str, key: bytes | None = None) -> bytes:
    return build_frame(TEXT, message.encode(), key=key)


@pytest.fixture
def stage() -> Any:
    with ManualReactor() as loop:
        yield loop


def play(loop: ManualReactor, *recordings: Recorded, speed: float = 1.0) -> MemoryServer[Any]:
    playlist = Playlist(recordings)
    return MemoryServer(loop, lambda: Played(playlist, speed, loop), ping_interval=None)


class TestPace:
    def test_as_recorded(self, stage: ManualReactor) -> None:
        with play(stage, recorded((1, "server", text("a")), (3, "server", text("b")))) as service:
            client = service.connect(Recorder, ping_interval=None)
            for seconds, messages in ((0.9, []), (0.2, ["a"]), (1.8, ["a"]), (0.2, ["a", "b"])):
                stage.advance(seconds)
                assert client.messages == messages

    def test_ten_times_as_fast(self, stage: ManualReactor) -> None:
        with play(stage, recorded((10, "server", text("a"))), speed=10) as service:
            client = service.connect(Recorder)
            stage.advance(0.9)
            assert client.messages == []
            stage.advance(0.2)
            assert client.messages == ["a"]

    def test_as_fast_as_it_is_read(self, stage: ManualReactor) -> None:
        class Pauses(Recorder):
            def on_open(self) -> None:
                self.pause_reading()

        pieces = [(number, "server", text("x" * 1000)) for number in range(5000)]
        with play(stage, recorded(*pieces), speed=0) as service:
            client = service.connect(Pauses)
            assert len(client.messages) < 1000  # those that came with the answer
            # It waits for who does not read.
            assert service.protocols[0].buffered_amount < 2 << 20
            client.resume_reading()
            stage.run_until(lambda: len(client.messages) == 5000)


class TestWhat:
    def test_an_answer_waits_for_its_question_but_not_for_ever(self, stage: ManualReactor) -> None:
        asks = recorded(
            (1, "client", text("subscribe", KEY)),
            (1, "server", text("confirmed")),
            (2, "client", text("never said again", KEY)),
            (2, "server", text("update")),
        )
        with play(stage, asks, speed=0) as service:
            client = service.connect(Recorder)
            assert client.messages == []
            client.send("subscribe, please")
            stage.settle()
            assert client.messages == ["confirmed"]
            stage.advance(0.9)
            assert client.messages == ["confirmed"]
            stage.advance(0.2)
            assert client.messages == ["confirmed", "update"]

    def test_pings_and_the_close_frame(self, stage: ManualReactor) -> None:
        pieces = build_frame(PING, b"?") + build_frame(PONG, b"unasked")
        ends = build_frame(CLOSE, close_payload(1012, b"later"))
        with play(stage, recorded((1, "server", pieces), (2, "server", ends))) as service:
            client = service.connect(Recorder)
            stage.advance(3)
            assert client.of("ping") == [(b"?",)]
            assert client.closes == [(1012, "later")]

    def test_an_end_without_a_close_frame(self, stage: ManualReactor) -> None:
        with play(stage, recorded((1, "server", b""))) as service:
            client = service.connect(Recorder)
            stage.advance(2)
            assert client.closes == [(1006, "")]

    def test_what_the_client_has_ended_stays_open(self, stage: ManualReactor) -> None:
        said = build_frame(CLOSE, close_payload(1000), key=KEY)
        answer = build_frame(CLOSE, close_payload(1000))
        with play(stage, recorded((1, "client", said), (1, "server", answer))) as service:
            client = service.connect(Recorder)
            stage.advance(5)
            assert client.closes == []

    def test_a_close_frame_without_a_code(self, stage: ManualReactor) -> None:
        with play(stage, recorded((1, "server", build_frame(CLOSE)))) as service:
            client = service.connect(Recorder)
            stage.advance(2)
            assert client.closes == [(1005, "")]

    def test_where_the_server_broke_the_protocol_it_ends(
        self, stage: ManualReactor, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with play(stage, recorded((1, "server", build_frame(TEXT, b"x", rsv=4)))) as service:
            client = service.connect(Recorder)
            stage.advance(2)
            assert client.closes[0][0] == 1011
        assert "a.pcapng, offset 100: the server has broken the protocol" in capsys.readouterr().err


class TestWho:
    def test_clients_are_given_the_connections_with_their_paths_in_order(
        self, stage: ManualReactor
    ) -> None:
        every = [
            recorded((0, "server", text("btc 1")), target="/btc?token=x"),
            recorded((0, "server", text("eth")), target="/eth"),
            recorded((0, "server", text("btc 2")), target="/btc"),
        ]
        with play(stage, *every) as service:
            paths = ("btc?token=other", "btc", "unknown", "eth")
            heard = [
                service.connect(Recorder, f"ws://in-memory.test/{path}").messages for path in paths
            ]
        assert heard == [["btc 1"], ["btc 2"], ["eth"], ["eth"]]


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "echo.pcapng"

    class Greets(WebSocketProtocol):
        def on_open(self) -> None:
            self.send("hello")
            self.send(b"\0\xff")
            self.close(1000, "that was all")

    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Greets, subprotocols=["chat"])
        client = Recorder()
        with record(client, path):
            loop.connect(f"ws://127.0.0.1:{listener.port}/", client, subprotocols=["chat"])
            run_until(loop, lambda: client.closes)
    assert len(read_recording(path)) == 1
    with server("replay", str(path), "--speed", "max") as url, Reactor() as loop:
        again = loop.connect(url, Recorder(), subprotocols=["chat"], compression="deflate")
        run_until(loop, lambda: again.closes)
        assert again.events == client.events
        assert again.response is not None
        assert again.response.headers["Sec-WebSocket-Protocol"] == "chat"


def test_files_that_cannot_be_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.pcapng"
    assert main(["replay", str(path)]) == 2
    path.write_bytes(b"hello")
    assert main(["replay", str(path)]) == 2
    missing, foreign = capsys.readouterr().err.splitlines()
    assert "No such file" in missing
    assert f"{path}, offset 0: this is no pcapng file" in foreign


def test_a_speed_that_is_none() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "reactor", "replay", "x", "--speed", "fast"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 2
    assert "must be a number of 0 or more, not 'fast'" in result.stderr
