"""send_frame(): what RFC 6455 section 5.5 forbids, at the session, the connection and app.sock."""

from __future__ import annotations

from typing import Any

import pytest

import reactor
from reactor.protocols.session import WebSocketSession

from ..support.apps import RecordedApp
from ..support.peers import ScriptedPeer, Talk
from ..support.recorder import Recorder
from ..support.scene import Scene, in_thread
from ..support.websocket_frames import CLOSE, PING, TEXT, Frame, build_frame, close_payload

FORBIDDEN = pytest.mark.parametrize(
    ("frame", "words"),
    [
        ((PING, bytes(126), True), "126 bytes exceeds 125"),
        ((PING, b"", False), "cannot be a fragment"),
        ((CLOSE, close_payload(1000), True), r"is sent by close\(\)"),
    ],
)


@FORBIDDEN
def test_a_session_refuses(frame: tuple[int, bytes, bool], words: str) -> None:
    session = WebSocketSession()
    session.opened()
    with pytest.raises(ValueError, match=words):
        session.send_frame(*frame)
    assert session.output == []


@FORBIDDEN
@pytest.mark.parametrize("thread", ["the loop's", "another"])
def test_a_connection_refuses(
    scene: Scene, frame: tuple[int, bytes, bool], words: str, thread: str
) -> None:
    recorder = Recorder()
    peer = scene.open(recorder)

    def send() -> None:
        with pytest.raises(ValueError, match=words):
            recorder._reactor_connection.sender.send_frame(*frame)

    if thread == "another":
        in_thread(send)
    else:
        send()
    scene.turn()
    assert peer.told() == []
    assert recorder.names == ["open"]
    recorder.abort()
    scene.turn()


class Listening:
    """A script that notes down all frames, and answers the close frame."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def __call__(self, talk: Talk) -> None:
        talk.upgrade()
        while not self.frames or self.frames[-1].opcode != CLOSE:
            self.frames.append(talk.frame())
        talk.send(build_frame(CLOSE, self.frames[-1].payload))
        assert talk.until_closed() == b""


def run_app(on_open: Any) -> tuple[RecordedApp, list[Frame]]:
    script = Listening()
    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"open": on_open})
        recorded.run()
    return recorded, script.frames


@pytest.mark.parametrize("thread", ["the loop's", "another"])
def test_the_socket_of_an_app_refuses(thread: str) -> None:
    def tries(app: Any) -> None:
        with pytest.raises(ValueError, match="126 bytes exceeds 125"):
            app.sock.send(bytes(126), reactor.ABNF.OPCODE_PING)
        with pytest.raises(ValueError, match="cannot be a fragment"):
            app.sock.send_frame(reactor.ABNF.create_frame(b"", reactor.ABNF.OPCODE_PING, 0))

    def on_open(app: Any) -> None:
        if thread == "another":
            in_thread(lambda: tries(app))
        else:
            tries(app)
        app.send("done")
        app.close()

    recorded, frames = run_app(on_open)
    assert [frame.opcode for frame in frames] == [TEXT, CLOSE]
    assert recorded.names == ["open", "close"]


@pytest.mark.parametrize("payload", [b"", close_payload(4000, b"enough")])
def test_a_close_frame_of_the_socket_of_an_app_is_a_closing_handshake(payload: bytes) -> None:
    recorded, frames = run_app(lambda app: app.sock.send(payload, reactor.ABNF.OPCODE_CLOSE))
    assert [(frame.opcode, frame.payload) for frame in frames] == [(CLOSE, payload)]
    assert recorded.names == ["open", "close"]
    assert recorded.result is False
