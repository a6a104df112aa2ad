"""Connections, on a clock that stands still and over socket pairs (tests/support/scene.py).

What is the same for both roles is tried with the client's, which Reactor.connect makes. Here is
what comes in; test_closing.py has how connections end, and test_connection_writing.py, ..._time.py
and ..._handlers.py have the rest.
"""

from __future__ import annotations

from typing import Any

import pytest

from reactor import (
    State,
    WebSocketProtocol,
    WebSocketQueueFullException,
)
from reactor.connection.connection import Connection
from reactor.connection.handlers import check_protocol
from reactor.connection.over import NOBODY
from reactor.connection.phase import Phase
from reactor.server.lifecycle import ServerLifecycle
from reactor.server.options import ServerOptions

from ..support.driving import run_until
from ..support.recorder import Recorder
from ..support.scene import (
    GOODBYE,
    Actor,
    Scene,
    echo,
    in_thread,
    text,
    watched_pair,
)
from ..support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    build_frame,
    close_payload,
    read_frames,
)
from ..support.zlib_peer import agreements


class TestEvents:
    def test_messages_pings_and_pongs_are_delivered_in_order(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(
            text("one"), build_frame(PING, b"2"), build_frame(BINARY, b"3"), build_frame(PONG, b"4")
        )
        scene.turn()
        assert recorder.events == [
            ("open",),
            ("message", "one"),
            ("ping", b"2"),
            ("message", b"3"),
            ("pong", b"4"),
        ]

    def test_what_came_with_the_handshake_is_delivered_after_on_open(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, text("early"), text("in two pieces")[:5])
        assert recorder.events == [("open",), ("message", "early")]
        peer.send(text("in two pieces")[5:])
        scene.turn()
        assert recorder.messages == ["early", "in two pieces"]

    def test_a_ping_is_answered_before_its_handler_is_called(self, scene: Scene) -> None:
        actor = Actor(ping=lambda actor: actor.send("after"))
        peer = scene.open(actor)
        peer.send(build_frame(PING, b"data"))
        scene.turn()
        assert peer.told() == [(PONG, b"data"), (TEXT, b"after")]

    def test_one_byte_at_a_time(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        for octet in text("one") + build_frame(PING, b"2") + GOODBYE:
            peer.send(bytes([octet]))
            scene.turn()
        assert recorder.events == [
            ("open",),
            ("message", "one"),
            ("ping", b"2"),
            ("close", 1000, "bye"),
        ]

    def test_a_message_in_fragments_is_one_event(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(build_frame(TEXT, b"a", fin=False), build_frame(PING))
        scene.turn()
        peer.send(build_frame(CONT, b"b", fin=False), build_frame(CONT, b"c"))
        scene.turn()
        assert recorder.names == ["open", "ping", "message"]
        assert recorder.messages == ["abc"]

    def test_fragments_may_be_had_singly(self, scene: Scene) -> None:
        actor = Actor()
        peer = scene.open(actor, fragments=True)
        peer.send(
            build_frame(TEXT, b"a", fin=False),
            build_frame(PING),
            build_frame(CONT, b"b"),
            text("c"),
        )
        scene.turn()
        assert actor.events[1:] == [
            ("data", "a", TEXT, False),
            ("ping", b""),
            ("data", "b", CONT, True),
            ("message", "c"),
        ]

    def test_text_may_be_had_undecoded(self, scene: Scene) -> None:
        actor = Actor()
        peer = scene.open(actor, decode_text=False)
        peer.send(build_frame(TEXT, b"\xff"), build_frame(BINARY, b"\xff"))
        scene.turn()
        assert actor.events[1:] == [("data", b"\xff", TEXT, True), ("message", b"\xff")]

    def test_at_most_one_bounded_read_is_made_in_a_turn(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reactor.transports.stream.READ_SIZE", 65536)
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(*[text("x" * 1000)] * 150)
        scene.turn()
        assert scene.sock.receives == [65536]
        assert 0 < len(recorder.messages) < 150
        scene.turn()
        assert scene.sock.receives == [65536] * 2

    def test_what_there_is_to_know(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, url="ws://scene/path")
        assert (recorder.state, recorder.sock) == (State.CONNECTING, None)
        assert (recorder.response, recorder.request, recorder.subprotocol) == (None, None, None)
        peer = scene.succeed(subprotocol="chat")
        assert (recorder.state, recorder.sock) == (State.OPEN, scene.sock)
        assert (recorder.url, recorder.subprotocol) == ("ws://scene/path", "chat")
        assert recorder.response is not None
        assert recorder.response.status == 101
        recorder.close()
        assert recorder.state is State.CLOSING
        peer.say_goodbye()
        scene.turn()
        assert (recorder.state, recorder.sock) == (State.CLOSED, None)

    def test_what_is_known_besides(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, compression="deflate")
        assert recorder.compression is None
        assert recorder.stats.activity == "connecting"
        agreement = agreements()[0]
        scene.succeed(text("x"), agreement=agreement)
        assert recorder.compression is agreement
        assert (recorder.stats.activity, recorder.stats.messages_in) == ("open", 1)
        assert recorder.last_activity == scene.clock.now()
        recorder.abort()
        scene.turn(count=2)
        assert recorder.compression is None
        assert recorder.stats.activity == "ended"

    def test_a_name_that_it_does_not_have_is_an_error(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        connection: Any = recorder._reactor_connection
        with pytest.raises(AttributeError, match="a Connection has no attribute 'protocoll'"):
            _ = connection.protocoll

    def test_when_it_is_over_it_knows_its_protocol_object_as_long_as_there_is_one(
        self, scene: Scene
    ) -> None:
        recorder = Recorder()
        scene.open(recorder).close()
        scene.turn(count=3)
        connection: Any = recorder._reactor_connection
        assert connection.protocol is recorder
        del recorder
        assert connection.protocol is NOBODY


class TestOfTheUser:
    """What a protocol object asks of its connection besides sending and closing."""

    def test_to_be_opened_anew(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        recorder.reconnect(5.0, "another token")
        scene.turn()
        assert peer.told() == [(CLOSE, close_payload(1001, b"another token"))]
        assert recorder.closes == [(1006, "another token")]
        scene.turn(5.0, count=3)
        scene.succeed()
        assert recorder.names[-1] == "reconnect"

    def test_a_function_to_be_called_on_another_thread(self, scene: Scene) -> None:
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

    def test_and_what_that_raises_is_told(self, scene: Scene) -> None:
        actor = Actor(message=lambda actor: actor.run_in_thread(lambda: 1 / 0))
        peer = scene.open(actor)
        peer.text("go")
        run_until(scene.loop, lambda: actor.errors)
        assert isinstance(actor.errors[0], ZeroDivisionError)


class Books:
    """What a connection needs of a listener."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.place = "192.0.2.9:80"

    def connection_over(self, connection: Connection) -> None:
        self.told.append("over")

    def leave(self, address: str | None) -> None:
        self.told.append(address)


class TestWithAServersLifecycle:
    """Without a listener, and before there is a stream."""

    def make(
        self, scene: Scene, protocol: WebSocketProtocol, books: Any = None, **options: Any
    ) -> Connection:
        checked = ServerOptions(ping_interval=None, **options)
        head = b"GET /target HTTP/1.1\r\n\r\n"
        lifecycle = ServerLifecycle(books or Books(), head, "192.0.2.1")
        registry = scene.loop.connections
        connection = Connection(scene.loop.loop, registry, checked, lifecycle, protocol)
        assert not registry
        connection.start()
        return connection

    def test_its_life(self, scene: Scene) -> None:
        actor = Actor(message=echo)
        connection = self.make(scene, actor)
        phases = [connection.phase]
        assert scene.loop.connections == {connection}
        sock, peer = watched_pair()
        connection.attach(sock, b"", actor.on_open)
        phases.append(connection.phase)
        peer.send(build_frame(TEXT, b"hello", key=KEY))
        scene.turn()
        counts: list[int] = []
        in_thread(lambda: counts.append(actor.send("more")))
        scene.turn()
        peer.send(build_frame(CLOSE, close_payload(1000), key=KEY))
        scene.turn()
        assert [*phases, connection.phase] == [Phase.CONNECTING, Phase.ATTACHED, Phase.OVER]
        assert not scene.loop.connections
        frames = read_frames(peer.look())
        assert [frame.payload for frame in frames] == [b"hello", b"more", close_payload(1000)]
        assert all(frame.mask is None for frame in frames)
        assert counts == [6]
        peer.close()
        scene.turn(count=2)

    def test_before_it_is_attached_there_is_nothing_to_end(self, scene: Scene) -> None:
        actor = Actor()
        connection = self.make(scene, actor)
        connection.close()
        connection.abort()
        scene.turn()
        assert actor.events == []
        scene.loop.connections.clear()

    def test_what_its_request_says(self, scene: Scene) -> None:
        connection = self.make(scene, Actor())
        assert connection.request is not None
        assert connection.request.target == connection.url == "/target"
        assert connection.response is None
        scene.loop.connections.clear()

    def test_the_listener_hears_of_the_end_and_of_the_sockets_end(self, scene: Scene) -> None:
        books = Books()
        connection = self.make(scene, Actor(), books)
        sock, peer = watched_pair()
        connection.attach(sock, b"", connection.protocol.on_open)
        connection.close()
        scene.turn()
        assert books.told == []
        peer.send(build_frame(CLOSE, close_payload(1000), key=KEY))
        scene.turn()
        assert books.told == ["over"]
        peer.close()
        scene.turn(count=2)
        assert books.told == ["over", "192.0.2.1"]

    def test_it_is_called_by_its_url(self, scene: Scene) -> None:
        actor = Actor()
        connection = self.make(scene, actor, write_limit=1)
        sock, peer = watched_pair()
        connection.attach(sock, b"", actor.on_open)
        sock.room = 0
        actor.send("x")
        with pytest.raises(WebSocketQueueFullException, match="/target"):
            actor.send("x")
        peer.close()

    def test_it_takes_protocol_objects_that_are_free(self, scene: Scene) -> None:
        recorder = Recorder()
        check_protocol(recorder)
        with pytest.raises(TypeError, match="WebSocketProtocol"):
            check_protocol(object())
        scene.connect(recorder)
        with pytest.raises(ValueError, match="has a connection already"):
            check_protocol(recorder)
