"""The Reactor: connect, listen, shutdown, close and stats, and what they do with arguments."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reactor import (
    Backoff,
    Listener,
    Reactor,
    State,
    WebSocketConnectionClosedException,
    WebSocketProtocol,
)
from reactor.hosting.verbs import VERBS
from reactor.loop.event_loop import EventLoop
from reactor.timers import ManualClock

from .support.driving import run_until
from .support.peers import ScriptedPeer, Talk, silence
from .support.recorder import Recorder
from .support.scene import Actor, Scene, in_thread
from .support.websocket_frames import CLOSE, TEXT, build_frame, close_payload

pytestmark = pytest.mark.usefixtures("no_leaks")


class Echo(WebSocketProtocol):
    def on_message(self, message: str | bytes) -> None:
        self.send(message)


def url_of(listener: Listener, host: str = "127.0.0.1") -> str:
    return f"ws://{host}:{listener.port}"


def opened(loop: Reactor, url: str, **options: Any) -> Recorder:
    """Return a client that is connected to *url*."""
    recorder = loop.connect(url, Recorder, **options)
    run_until(loop, lambda: recorder.events)
    assert recorder.names[0] == "open", recorder.events
    return recorder


def echoed(loop: Reactor, recorder: Recorder) -> None:
    """Fail unless *recorder* gets an echo."""
    recorder.send("hello")
    run_until(loop, lambda: recorder.messages)
    assert recorder.messages == ["hello"]


class TestNames:
    def test_it_shows_what_its_users_need_and_nothing_else(self, loop: Reactor) -> None:
        names = """
            connect listen run_forever run_once stop shutdown close
            call_soon call_soon_threadsafe call_later call_at call_every run_in_thread
            add_reader add_writer remove_reader remove_writer signal
            fileno next_timeout stats connections listeners time loop
        """
        assert {name for name in dir(loop) if not name.startswith("_")} == set(names.split())

    @pytest.mark.parametrize("name", sorted(VERBS))
    def test_what_a_dispatcher_is_asked_for_is_there_but_not_shown(
        self, loop: Reactor, name: str
    ) -> None:
        assert callable(getattr(loop, name))
        assert getattr(loop, name) == getattr(loop, name)
        assert name not in dir(loop)
        assert not hasattr(Reactor, name)

    def test_a_name_that_is_not_there_is_an_ordinary_error(self, loop: Reactor) -> None:
        with pytest.raises(AttributeError, match="'Reactor' object has no attribute 'aborts'"):
            _ = loop.aborts  # type: ignore[attr-defined]

    def test_what_is_called_often_is_the_loop_s_own_unless_a_subclass_has_another(self) -> None:
        class Own(Reactor):
            def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
                super().call_soon(callback, *args, "through the subclass")

        called: list[str] = []
        with Own() as loop:
            assert loop.call_later == loop.loop.call_later
            loop.call_soon(called.append)
            loop.run_once(0)
        assert called == ["through the subclass"]


class TestConnect:
    def test_the_protocol_may_be_a_class(self, scene: Scene) -> None:
        recorder = scene.loop.connect("ws://scene/", Recorder)
        assert type(recorder) is Recorder
        assert recorder.state is State.CONNECTING

    def test_or_a_function(self, scene: Scene) -> None:
        made: list[Actor] = []

        def make() -> Actor:
            made.append(Actor())
            return made[-1]

        assert scene.loop.connect("ws://scene/", make) is made[0]
        assert len(made) == 1

    def test_or_an_object(self, scene: Scene) -> None:
        recorder = Recorder()
        assert scene.loop.connect("ws://scene/", recorder) is recorder

    @pytest.mark.parametrize("wrong", [object, lambda: None, lambda: "protocol", lambda: Recorder])
    def test_but_nothing_else(self, scene: Scene, wrong: Any) -> None:
        with pytest.raises(TypeError, match="WebSocketProtocol"):
            scene.loop.connect("ws://scene/", wrong)
        assert not scene.loop.connections

    def test_an_object_has_one_connection_at_a_time(self, scene: Scene) -> None:
        recorder = Recorder()

        def refused() -> None:
            with pytest.raises(ValueError, match="has a connection already"):
                scene.loop.connect("ws://scene/", recorder)

        scene.loop.connect("ws://scene/", recorder, reconnect=1.0, ping_interval=None)
        refused()
        scene.turn(count=2)
        refused()
        peer = scene.succeed()
        refused()
        peer.close()
        scene.turn()
        refused()
        scene.turn(1.0, count=2)
        scene.succeed()
        recorder.close()
        refused()
        recorder.abort()
        scene.turn()
        scene.loop.connect("ws://scene/", recorder)

    def test_an_unknown_option_is_named(self, scene: Scene) -> None:
        with pytest.raises(TypeError, match="ping_intervall"):
            scene.loop.connect("ws://scene/", Recorder, ping_intervall=20)
        assert not scene.loop.connections

    def test_a_wrong_one_is_named(self, scene: Scene) -> None:
        with pytest.raises(ValueError, match="close_timeout must be greater than 0"):
            scene.loop.connect("ws://scene/", Recorder, close_timeout=-1)
        assert not scene.loop.connections

    @pytest.mark.parametrize("url", ["http://scene/", "scene", "ws://", "ws://host:port/", ""])
    def test_a_url_that_cannot_be_used_is_an_error_of_the_call(
        self, scene: Scene, url: str
    ) -> None:
        with pytest.raises(ValueError):
            scene.loop.connect(url, Recorder)
        assert not scene.loop.connections

    def test_the_object_is_free_after_an_error_of_the_call(self, scene: Scene) -> None:
        recorder = Recorder()
        with pytest.raises(ValueError):
            scene.loop.connect("http://scene/", recorder)
        assert scene.loop.connect("ws://scene/", recorder) is recorder

    def test_connections_that_are_opened_alike_share_their_options(self, scene: Scene) -> None:
        backoff = Backoff()
        for _ in range(3):
            scene.connect(Recorder(), reconnect=backoff, header={"A": "1"})
        scene.connect(Recorder(), reconnect=backoff, header={"A": "2"})
        first, second, third, other = (attempt.options for attempt in scene.attempts)
        assert first is second is third is not other
        assert [attempt.header for attempt in scene.attempts] == [{"A": "1"}] * 3 + [{"A": "2"}]

    @pytest.mark.parametrize("turns", [0, 1, 2, 3])
    def test_a_given_socket_is_closed_when_the_attempt_is_called_off(
        self, loop: Reactor, turns: int
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            recorder = loop.connect("ws://localhost/", Recorder, sock=ours)
            for _ in range(turns):
                loop.run_once(0)
            recorder.close()
            run_until(loop, lambda: recorder.closes)
            assert ours.fileno() == -1

    def test_a_given_socket_is_closed_when_the_attempt_never_begins(self, loop: Reactor) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            recorder = loop.connect("ws://localhost/", Recorder, sock=ours, cookie=lambda: 1 / 0)
            run_until(loop, lambda: recorder.closes)
            assert isinstance(recorder.errors[0], ZeroDivisionError)
            assert ours.fileno() == -1

    def test_not_on_another_thread_in_debug_mode(self) -> None:
        with Reactor(debug=True) as loop:

            def elsewhere() -> None:
                with pytest.raises(RuntimeError, match="thread"):
                    loop.connect("ws://scene/", Recorder)
                with pytest.raises(RuntimeError, match="thread"):
                    loop.listen("127.0.0.1")

            loop.call_soon(in_thread, elsewhere)
            loop.run_once(0)
            assert (loop.connections, loop.listeners) == (set(), set())

    def test_not_after_close(self) -> None:
        loop = Reactor()
        loop.close()
        with pytest.raises(RuntimeError, match="closed"):
            loop.connect("ws://scene/", Recorder)
        with pytest.raises(RuntimeError, match="closed"):
            loop.listen("127.0.0.1")


class TestListen:
    def test_on_an_address_and_a_port_of_the_system_s_choice(self, loop: Reactor) -> None:
        listener = loop.listen("127.0.0.1", 0, Echo)
        assert listener.port > 0
        assert listener.address == ("127.0.0.1", listener.port)
        echoed(loop, opened(loop, url_of(listener)))

    @pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
    def test_on_all_interfaces(self, loop: Reactor, host: str) -> None:
        if host == "::1" and not socket.has_dualstack_ipv6():
            pytest.skip("no IPv6 here")
        listener = loop.listen(None, 0, Echo)
        echoed(loop, opened(loop, url_of(listener, f"[{host}]" if ":" in host else host)))

    def test_on_all_interfaces_where_ipv6_is_not_to_be_had(
        self, loop: Reactor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
        listener = loop.listen(None, 0, Echo)
        assert listener.sock.family == socket.AF_INET
        echoed(loop, opened(loop, url_of(listener)))

    def test_on_an_ipv6_address(self, loop: Reactor) -> None:
        if not socket.has_ipv6:
            pytest.skip("no IPv6 here")
        listener = loop.listen("::1", 0, Echo)
        echoed(loop, opened(loop, url_of(listener, "[::1]")))

    def test_on_a_socket_of_one_s_own(self, loop: Reactor) -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        listener = loop.listen(protocol=Echo, sock=sock)
        assert listener.address == sock.getsockname()
        echoed(loop, opened(loop, url_of(listener)))

    @pytest.mark.parametrize("kind", [str, Path])
    def test_on_a_unix_socket(
        self, loop: Reactor, tmp_path: Path, kind: Callable[[str], Any]
    ) -> None:
        path = str(tmp_path / "socket")
        listener = loop.listen(unix_path=kind(path), protocol=Echo)
        assert listener.address == path
        echoed(loop, opened(loop, "ws://localhost/", unix_path=path))

    def test_an_address_in_use_is_an_error_of_the_call(self, loop: Reactor, tmp_path: Path) -> None:
        listener = loop.listen("127.0.0.1")
        with pytest.raises(OSError):
            loop.listen("127.0.0.1", listener.port)
        with pytest.raises(OSError):
            loop.listen(unix_path=tmp_path)
        assert loop.listeners == {listener}

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"reconnect": 1}, TypeError),
            ({"handshake_timeout": 0}, ValueError),
            ({"backlog": 1.5}, TypeError),
            ({"port": 65536}, ValueError),
            ({"port": -1}, ValueError),
            ({"backlog": 1 << 40}, OverflowError),
        ],
    )
    def test_a_wrong_option_leaves_nothing_open(
        self, loop: Reactor, options: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            loop.listen("127.0.0.1", **options)
        assert not loop.listeners

    def test_a_socket_of_one_s_own_stays_one_s_own_after_an_error(self, loop: Reactor) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            with pytest.raises(OverflowError):
                loop.listen(sock=sock, backlog=1 << 40)
            assert sock.fileno() != -1
            listener = loop.listen(sock=sock)
            assert listener.sock is sock
            listener.close()


class TestStats:
    def test_what_is_counted(self, scene: Scene) -> None:
        def counts() -> tuple[int, ...]:
            stats = scene.loop.stats()
            return stats.connecting, stats.open, stats.closing, stats.waiting

        recorder = Recorder()
        seen = [counts()]
        scene.connect(recorder, reconnect=1.0)
        seen.append(counts())
        peer = scene.succeed()
        seen.append(counts())
        peer.close()
        scene.turn()
        seen.append(counts())
        scene.turn(1.0, count=2)
        seen.append(counts())
        scene.succeed()
        recorder.close()
        seen.append(counts())
        recorder.abort()
        seen.append(counts())
        scene.turn()
        seen.append(counts())
        assert seen == [
            (0, 0, 0, 0),
            (1, 0, 0, 0),
            (0, 1, 0, 0),
            (0, 0, 0, 1),
            (1, 0, 0, 0),
            (0, 0, 1, 0),
            (0, 0, 1, 0),
            (0, 0, 0, 0),
        ]

    def test_listeners(self, loop: Reactor) -> None:
        assert loop.stats().listeners == 0
        first, second = loop.listen("127.0.0.1"), loop.listen("127.0.0.1")
        assert loop.stats().listeners == 2
        first.close()
        assert loop.stats().listeners == 1
        second.stop_accepting()
        assert loop.stats().listeners == 0

    def test_what_the_loop_counts(self, scene: Scene) -> None:
        scene.open(Recorder(), ping_interval=10)
        stats = scene.loop.stats()
        assert (stats.readers, stats.writers, stats.timers, stats.calls) == (1, 0, 1, 0)
        scene.turn()
        assert scene.loop.stats().turns == stats.turns + 1


class TestClose:
    def test_every_end_is_told_once(self, scene: Scene) -> None:
        connecting, waiting, closing, is_open = (Recorder() for _ in range(4))
        scene.connect(connecting)
        scene.open(waiting, reconnect=1000.0).close()
        scene.turn()
        scene.open(closing, reconnect=1.0)
        closing.close()
        peer = scene.open(is_open, reconnect=1.0)
        scene.loop.close()
        assert connecting.events == [("close", 1006, "")]
        assert waiting.names == ["open", "error", "close"]
        assert closing.events == is_open.events == [("open",), ("close", 1006, "")]
        assert not scene.loop.connections
        assert len(scene.attempts) == 4
        peer.look()
        assert peer.ended

    def test_twice(self, scene: Scene) -> None:
        scene.open(Recorder())
        scene.loop.close()
        scene.loop.close()

    def test_it_can_send_nothing_any_more(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        scene.loop.close()
        for call in (lambda function: function(), in_thread):
            with pytest.raises(WebSocketConnectionClosedException):
                call(lambda: recorder.send("x"))
            call(recorder.close)
            call(recorder.abort)

    def test_sockets_that_wait_for_the_peer_s_end_are_closed(self, scene: Scene) -> None:
        """After the close handshake nobody but the reactor knows of them."""
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.say_goodbye()
        scene.turn()
        assert not scene.loop.connections
        assert scene.sock.fileno() != -1
        scene.loop.close()
        assert scene.sock.fileno() == -1

    def test_listeners_and_handshakes_are_closed(self) -> None:
        with Reactor() as loop, socket.socket() as client:
            listener = loop.listen("127.0.0.1")
            client.connect(listener.address)
            run_until(loop, lambda: loop.stats().readers == 2)
            loop.close()
            assert listener.sock.fileno() == -1
            client.settimeout(5)
            assert client.recv(1) == b""

    def test_not_from_within_a_callback(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        errors: list[Exception] = []

        def close() -> None:
            try:
                scene.loop.close()
            except RuntimeError as exc:
                errors.append(exc)

        scene.loop.call_soon(close)
        scene.turn(count=2)
        assert len(errors) == 1
        peer.text("still there")  # and nothing was done
        scene.turn()
        assert recorder.events == [("open",), ("message", "still there")]

    def test_a_handler_that_connects_again(self, scene: Scene) -> None:
        """It is told that this is not possible any more; else close() would never end."""
        actor = Actor()
        actor.actions["close"] = lambda actor: scene.loop.connect("ws://scene/", actor)
        scene.open(actor)
        scene.loop.close()
        assert not scene.loop.connections
        assert actor.names == ["open", "close", "error"]
        (error,) = actor.errors
        assert type(error) is RuntimeError
        assert actor.state is State.CLOSED

    def test_a_handler_that_raises(self, scene: Scene) -> None:
        actor, other = Actor(close=lambda _: 1 / 0), Recorder()
        scene.open(actor)
        scene.open(other)
        scene.loop.close()
        assert actor.names == ["open", "close", "error"]
        assert other.names == ["open", "close"]

    def test_leaving_the_block_closes(self) -> None:
        with Reactor() as loop:
            assert isinstance(loop.loop, EventLoop)
            listener = loop.listen("127.0.0.1", 0, Echo)
            recorder = opened(loop, url_of(listener))
        assert recorder.closes == [(1006, "")]
        with pytest.raises(RuntimeError):
            loop.run_once(0)

    def test_also_when_it_is_left_by_an_exception(self) -> None:
        recorder = Recorder()

        def interrupted() -> None:
            with Reactor() as loop:
                loop.connect("ws://127.0.0.1:1/", recorder)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert recorder.closes == [(1006, "")]

    def test_a_reactor_that_did_nothing(self) -> None:
        Reactor().close()


class TestShutdown:
    def test_everybody_is_told_that_we_are_going_away(self, loop: Reactor) -> None:
        listener = loop.listen("127.0.0.1", 0, Recorder)
        clients = [opened(loop, url_of(listener)) for _ in range(3)]
        run_until(loop, lambda: len(listener.connections) == 3)
        servers = [connection.protocol for connection in listener.connections]
        loop.shutdown()
        assert not loop.connections
        assert not loop.listeners
        for recorder in clients + servers:
            assert isinstance(recorder, Recorder)
            assert recorder.closes == [(1001, "")]

    def test_it_waits_for_the_answers(self, loop: Reactor) -> None:
        answered = threading.Event()

        def slow(talk: Talk) -> None:
            talk.upgrade()
            frame = talk.frame()
            assert (frame.opcode, frame.payload) == (CLOSE, close_payload(1001))
            answered.set()
            talk.send(build_frame(CLOSE, frame.payload))
            talk.end()

        with ScriptedPeer(slow) as peer:
            recorder = opened(loop, peer.url)
            loop.shutdown()
            assert answered.is_set()
            assert recorder.closes == [(1001, "")]

    def test_who_does_not_answer_is_aborted(self, loop: Reactor) -> None:
        def mute(talk: Talk) -> None:
            talk.upgrade()
            talk.until_closed()

        with ScriptedPeer(mute) as peer:
            recorder = opened(loop, peer.url, close_timeout=60)
            loop.shutdown(0.05)
            assert recorder.closes == [(1006, "")]
            assert not loop.connections

    def test_without_patience(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        scene.loop.shutdown(0)
        assert recorder.closes == [(1006, "")]
        assert peer.told() == [(CLOSE, close_payload(1001))]
        assert not scene.loop.connections

    def test_attempts_and_waits_are_given_up(self, loop: Reactor) -> None:
        with ScriptedPeer(silence) as peer:
            connecting = loop.connect(peer.url, Recorder)
            waiting = loop.connect("ws://127.0.0.1:1/", Recorder, reconnect=Backoff.fixed(1000))
            run_until(loop, lambda: waiting.closes and peer.connections)
            loop.shutdown()
        assert connecting.events == [("close", 1006, "")]
        assert waiting.names == ["error", "close"]

    def test_clients_that_are_not_connected_yet_are_dropped(self, loop: Reactor) -> None:
        listener = loop.listen("127.0.0.1")
        with socket.create_connection(listener.address) as client:
            run_until(loop, lambda: loop.stats().readers == 2)
            loop.shutdown()
            client.settimeout(5)
            assert client.recv(1) == b""

    def test_not_from_within_a_callback(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        errors: list[Exception] = []

        def shut_down() -> None:
            try:
                scene.loop.shutdown()
            except RuntimeError as exc:
                errors.append(exc)

        scene.loop.call_soon(shut_down)
        scene.turn(count=2)
        assert len(errors) == 1
        assert recorder.state is State.OPEN  # and nothing was done
        assert peer.told() == []

    def test_with_nothing_to_do_it_returns_at_once(self) -> None:
        loop = Reactor(clock=ManualClock())  # on which a wait would never end
        loop.shutdown()
        loop.shutdown()
        loop.close()

    def test_it_waits_for_streams_whose_connection_is_over(self, scene: Scene) -> None:
        actor = Actor()
        peer = scene.open(actor)
        peer.say_goodbye()
        scene.turn()
        assert actor.names == ["open", "close"]
        assert scene.sock.fileno() >= 0
        scene.loop.call_soon(peer.close)
        scene.loop.shutdown()
        assert scene.sock.fileno() == -1

    def test_streams_whose_peer_does_not_end_them_are_aborted(self, scene: Scene) -> None:
        peer = scene.open(Actor())
        peer.say_goodbye()
        scene.turn()
        scene.loop.shutdown(0)
        assert scene.sock.fileno() == -1
        assert scene.timers == 0

    def test_the_reactor_can_be_used_afterwards(self, loop: Reactor) -> None:
        listener = loop.listen("127.0.0.1", 0, Echo)
        opened(loop, url_of(listener))
        loop.shutdown()
        echoed(loop, opened(loop, url_of(loop.listen("127.0.0.1", 0, Echo))))


class TestTogether:
    def test_many_connections_on_one_thread(self, loop: Reactor) -> None:
        before = set(threading.enumerate())
        listener = loop.listen("127.0.0.1", 0, Echo)
        clients = [loop.connect(url_of(listener), Recorder) for _ in range(50)]
        run_until(loop, lambda: all(client.names for client in clients))
        for i, client in enumerate(clients):
            client.send(f"{i}")
        run_until(loop, lambda: all(client.messages for client in clients))
        assert [client.messages for client in clients] == [[f"{i}"] for i in range(50)]
        begun = set(threading.enumerate()) - before
        assert {thread.name for thread in begun} <= {"reactor-helper"}
        assert loop.stats().open == 100

    def test_it_goes_on_after_stop(self, loop: Reactor) -> None:
        listener = loop.listen("127.0.0.1", 0, Echo)
        actor = loop.connect(url_of(listener), Actor)
        actor.actions["open"] = actor.actions["message"] = lambda _: loop.stop()
        loop.run_forever()
        assert actor.names == ["open"]
        actor.send("hello")
        loop.run_forever()
        assert actor.messages == ["hello"]

    def test_a_frame_that_comes_with_the_handshake_is_not_lost(self, loop: Reactor) -> None:
        def eager(talk: Talk) -> None:
            talk.upgrade(then=build_frame(TEXT, b"first") + build_frame(TEXT, b"second")[:4])
            talk.frame()
            talk.send(build_frame(TEXT, b"second")[4:])
            talk.until_closed()

        with ScriptedPeer(eager) as peer:
            recorder = opened(loop, peer.url)
            run_until(loop, lambda: recorder.messages)
            recorder.send("go on")
            run_until(loop, lambda: len(recorder.messages) == 2)
            assert recorder.messages == ["first", "second"]
            recorder.abort()
            run_until(loop, lambda: recorder.closes)
