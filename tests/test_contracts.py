"""The contracts that the design promises, one class for each; a test fails when one is broken.

They speak of what users can see, mostly over real sockets, in both roles. The fine print is in
the tests of the single modules.
"""

from __future__ import annotations

import errno
import fcntl
import re
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reactor import (
    Backoff,
    Listener,
    Reactor,
    State,
    WebSocketBadStatusException,
    WebSocketCertificateException,
    WebSocketConnectionClosedException,
    WebSocketConnectRefusedException,
    WebSocketException,
    WebSocketHandshakeException,
    WebSocketMessageTooBigException,
    WebSocketProtocol,
    WebSocketQueueFullException,
    WebSocketTimeoutException,
)
from reactor.timers import ManualClock, Timer, TimerWheel
from reactor.transports.stream import READ_SIZE

from .support.certificates import Authority
from .support.driving import replace_method, run_until
from .support.peers import ScriptedPeer, Talk, answer, echo, silence
from .support.recorder import Recorder
from .support.scene import Actor, Peer, Scene, in_thread, text
from .support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    build_frame,
    build_header,
    close_payload,
    read_frames,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


class Echo(WebSocketProtocol):
    """Sends back what it gets."""

    def on_message(self, message: str | bytes) -> None:
        self.send(message)


@pytest.fixture
def slow_loop(clock: ManualClock) -> Iterator[Reactor]:
    """A reactor with real sockets, whose time passes as the test says."""
    with Reactor(clock=clock) as loop:
        yield loop


def url_of(listener: Listener) -> str:
    return f"ws://127.0.0.1:{listener.port}"


class RawClient:
    """A client in raw bytes, for what the reactor does as a server."""

    def __init__(self, loop: Reactor, listener: Listener) -> None:
        self._loop = loop
        self.sock = socket.create_connection(listener.address)
        self.sock.setblocking(False)
        self.received = b""
        self.ended = False

    def upgrade(self, *lines: str) -> None:
        self.sock.send(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        run_until(self._loop, lambda: b"\r\n\r\n" in self.look())
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        assert b" 101 " in head

    def look(self) -> bytes:
        """Return all that has come."""
        while not self.ended:
            try:
                data = self.sock.recv(1 << 16)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            self.ended = not data
            self.received += data
        return self.received

    def send(self, *frames: bytes) -> None:
        self.sock.sendall(b"".join(frames))

    def told(self) -> list[tuple[int, bytes]]:
        """Wait for the end; return the frames that came before it."""
        run_until(self._loop, lambda: [self.look(), self.ended][1])
        return [(frame.opcode, frame.payload) for frame in read_frames(self.received)]

    def close(self) -> None:
        self.sock.close()


# --- 1 -------------------------------------------------------------------------------------------

#: One life: `open [message | ping | pong]* [error]? close`, or a failed attempt. Behind a close()
#: of a handler's own there are no messages; behind an abort() there is nothing but the end.
LIFE = re.compile(
    r"(?:(open|reconnect) (?:(?:message|ping|pong|writable) )*(?:closed )*)?"
    r"(?:error )?(?:(?:closed|aborted) )*close (?:(?:closed|aborted) )*"
)

FRAMES = {
    "text": build_frame(TEXT, b"text"),
    "binary": build_frame(BINARY, b"\x00\xff"),
    "fragment": build_frame(TEXT, b"a", fin=False) + build_frame(CONT, b"b"),
    "half": build_frame(TEXT, b"half")[:3],
    "ping": build_frame(PING),
    "pong": build_frame(PONG),
    "close": build_frame(CLOSE, close_payload(1000)),
    "fault": build_frame(TEXT, b"x", rsv=2),
    "not utf-8": build_frame(TEXT, b"\xff"),
}
FRAMES["all"] = b"".join(FRAMES[name] for name in ("text", "ping", "pong", "binary", "close"))
FRAMES["all, and a fault"] = b"".join(FRAMES[name] for name in ("pong", "ping", "text", "fault"))
HANDLERS = ["open", "reconnect", "message", "ping", "pong", "writable", "error", "close"]
DEEDS = ["nothing", "send", "send much", "close", "abort", "raise", "stop", "pause", "thread"]
STEPS = [*FRAMES, "end", "vanish", "turn", "wait", "close it", "refuse"]


class OnPurpose(Exception):
    """What the handlers of these tests raise."""


def do(deed: str) -> Callable[[Actor], None]:
    def action(actor: Actor) -> None:
        try:
            if deed == "send":
                actor.send("x")
            elif deed == "send much":
                actor.send(bytes(5000))
            elif deed == "close":
                actor.close()
                actor.events.append(("closed",))
            elif deed == "abort":
                actor.abort()
                actor.events.append(("aborted",))
            elif deed == "pause":
                actor.pause_reading()
            elif deed == "thread":
                in_thread(actor.close)
        except WebSocketException:
            pass  # it is closing already
        if deed == "raise":
            raise OnPurpose

    return action


class TestContract1Order:
    """Per connection: open, messages, perhaps an error, close; close exactly once."""

    @example(deeds={"message": "abort"}, script=["turn", "all", "turn"], reconnect=False)
    @example(deeds={"ping": "abort"}, script=["turn", "all, and a fault", "turn"], reconnect=True)
    @example(deeds={"pong": "close"}, script=["turn", "all, and a fault", "turn"], reconnect=True)
    @example(deeds={"open": "abort"}, script=["all", "turn", "turn"], reconnect=True)
    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        deeds=st.dictionaries(st.sampled_from(HANDLERS), st.sampled_from(DEEDS), max_size=4),
        script=st.lists(st.sampled_from(STEPS), max_size=25),
        reconnect=st.booleans(),
    )
    def test_whatever_happens(
        self, deeds: dict[str, str], script: list[str], reconnect: bool
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("reactor.connection.dispatcher.logger.error", lambda *_, **__: None)
            scene = Scene()
            actor = Actor(**{handler: do(deed) for handler, deed in deeds.items()})
            for handler, deed in deeds.items():
                if deed == "stop":
                    actor.actions[handler] = lambda _: scene.loop.stop()
            options = {"reconnect": Backoff.fixed(1.0)} if reconnect else {}
            scene.connect(
                actor, ping_interval=4, ping_timeout=2, close_timeout=3, high_water=100,
                low_water=10, **options,
            )  # fmt: skip
            self._play(scene, script)
            scene.loop.close()
            scene.end()
            self._check(scene, actor)

    def _play(self, scene: Scene, script: list[str]) -> None:
        peer: Peer | None = None
        for step in script:
            attempt = scene.attempts[-1]
            if attempt.fate == "pending":
                if step == "refuse":
                    scene.fail(WebSocketConnectRefusedException(errno.ECONNREFUSED, "refused"))
                else:
                    peer = scene.succeed(FRAMES.get(step, b""))
                    continue
            if peer is not None and peer.sock.fileno() >= 0:
                try:
                    if step in FRAMES:
                        peer.send(FRAMES[step])
                    elif step == "end":
                        peer.end()
                    elif step == "vanish":
                        peer.close()
                except OSError:
                    pass  # the near end has gone
            if step == "wait":
                scene.turn(1.0, count=2)
            elif step == "turn":
                scene.turn()

    def _check(self, scene: Scene, actor: Actor) -> None:
        events = [
            event
            for event in actor.events
            if not (event[0] == "error" and isinstance(event[1], OnPurpose))
        ]
        story = "".join(f"{event[0]} " for event in events)
        lives = list(LIFE.finditer(story))
        assert "".join(life.group() for life in lives) == story, story
        assert len(lives) == len(scene.attempts)
        opened = [attempt.fate == "opened" for attempt in scene.attempts]
        told = [bool(life.group(1)) for life in lives]
        # An attempt may have been called off in the turn in which it succeeded.
        assert all(attempt or not life for attempt, life in zip(opened, told, strict=True))
        assert [life.group(1) for life in lives if life.group(1)] == (
            (["open"] + ["reconnect"] * len(lives))[: sum(told)]
        )

    def test_the_state_is_consistent_in_every_handler(self, scene: Scene) -> None:
        seen: list[tuple[str, State]] = []
        actor = Actor()
        for handler in HANDLERS:
            actor.actions[handler] = lambda actor, handler=handler: seen.append(  # type: ignore[misc]
                (handler, actor.state)
            )
        peer = scene.open(actor)
        peer.send(text("x"), build_frame(PING), build_frame(PONG), FRAMES["fault"])
        scene.turn()
        assert seen == [
            ("open", State.OPEN),
            ("message", State.OPEN),
            ("ping", State.OPEN),
            ("pong", State.OPEN),
            ("error", State.CLOSED),
            ("close", State.CLOSED),
        ]

    @pytest.mark.parametrize("handler", ["open", "message", "ping", "pong", "error", "close"])
    def test_another_connection_may_be_opened_in_any_handler(
        self, loop: Reactor, handler: str
    ) -> None:
        listener = loop.listen("127.0.0.1", 0, Echo)
        second = Recorder()
        actor = Actor()
        actor.actions[handler] = lambda _: loop.connect(url_of(listener), second)

        def script(talk: Talk) -> None:
            talk.upgrade(then=text("x") + build_frame(PING) + build_frame(PONG))
            talk.send(FRAMES["fault"])
            talk.end()

        with ScriptedPeer(script) as peer:
            loop.connect(peer.url, actor)
            run_until(loop, lambda: actor.closes and second.names)
        assert second.names == ["open"]
        assert actor.names == ["open", "message", "ping", "pong", "error", "close"]

    def test_in_the_server_s_role(self, loop: Reactor) -> None:
        servers: list[Recorder] = []

        def make() -> Recorder:
            servers.append(Recorder())
            return servers[-1]

        listener = loop.listen("127.0.0.1", 0, make)
        for last, names in [
            (build_frame(CLOSE, close_payload(1000), key=KEY), ["open", "message", "close"]),
            (build_frame(TEXT, b"not masked"), ["open", "message", "error", "close"]),
            (b"", ["open", "message", "error", "close"]),
        ]:
            client = RawClient(loop, listener)
            client.upgrade()
            client.send(build_frame(TEXT, b"x", key=KEY), last)
            client.sock.shutdown(socket.SHUT_WR)
            run_until(loop, lambda: servers[-1].closes)
            client.close()
            assert servers[-1].names == names


# --- 2 -------------------------------------------------------------------------------------------


class TestContract2Errors:
    """What a handler raises stays with it; what the peer does wrong ends its connection only."""

    @pytest.mark.parametrize("handler", ["open", "message", "ping", "pong", "close"])
    @pytest.mark.parametrize("role", ["client", "server"])
    def test_a_handler_that_raises(
        self, loop: Reactor, handler: str, role: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_: Actor) -> None:
            raise OnPurpose(handler)

        victim, talker = Actor(**{handler: fail}), Actor()

        def talk(talker: Actor) -> None:
            talker.send("x")
            talker.ping()
            talker.pong()
            talker.close()

        talker.actions["open"] = talk
        server, client = (victim, talker) if role == "server" else (talker, victim)
        listener = loop.listen("127.0.0.1", 0, lambda: server)
        bystander = loop.connect(url_of(loop.listen("127.0.0.1", 0, Echo)), Recorder)
        loop.connect(url_of(listener), client)
        run_until(loop, lambda: victim.closes and talker.closes and bystander.names)
        assert [type(error) for error in victim.errors] == [OnPurpose]
        assert [name for name in victim.names if name != "error"] == [
            "open", "message", "ping", "pong", "close"
        ]  # fmt: skip
        assert len([r for r in caplog.records if r.exc_info and r.exc_info[0] is OnPurpose]) == 1
        assert "Traceback" in caplog.text
        bystander.send("still here")
        run_until(loop, lambda: bystander.messages)

    def test_on_error_is_not_told_of_what_it_raises_itself(
        self, loop: Reactor, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_: Actor) -> None:
            raise OnPurpose("again")

        actor = Actor(open=fail, error=fail)
        loop.connect(url_of(loop.listen("127.0.0.1", 0, Echo)), actor)
        run_until(loop, lambda: actor.names)
        assert actor.names == ["open", "error"]
        assert [r.exc_info[0] for r in caplog.records if r.exc_info] == [OnPurpose] * 2

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_what_ends_the_program_leaves_run_forever(
        self, loop: Reactor, kind: type[BaseException]
    ) -> None:
        def leave(_: Actor) -> None:
            raise kind

        actor = Actor(message=leave, open=lambda actor: actor.send("x"))
        loop.connect(url_of(loop.listen("127.0.0.1", 0, Echo)), actor)
        with pytest.raises(kind):
            loop.run_forever()
        assert actor.errors == []
        actor.actions.clear()
        actor.send("the loop can be run again")
        run_until(loop, lambda: len(actor.messages) == 2)

    @pytest.mark.parametrize("handler", ["error", "close"])
    def test_also_from_the_last_handlers_of_a_server_s_connection(
        self, loop: Reactor, handler: str
    ) -> None:
        """And the place of the connection is free for the next one."""

        def leave(_: Actor) -> None:
            raise KeyboardInterrupt

        servers = [Actor(**{handler: leave}), Actor()]
        waiting = iter(servers)
        listener = loop.listen("127.0.0.1", 0, lambda: next(waiting), max_connections=1)
        client = RawClient(loop, listener)
        client.upgrade()
        client.send(build_frame(TEXT, b"not masked"))
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        assert len(servers[0].closes) == 1
        client.close()
        second = RawClient(loop, listener)
        second.upgrade()
        assert servers[1].names == ["open"]
        second.close()

    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            (build_frame(TEXT, b"x", rsv=1), 1002),
            (build_frame(11), 1002),
            (build_frame(PING, b"x", fin=False), 1002),
            (build_frame(TEXT, b"\xc3\x28"), 1007),
            (build_header(BINARY, 1 << 40), 1009),
        ],
    )
    def test_the_peer_is_told_what_it_did_wrong(
        self, loop: Reactor, fault: bytes, code: int
    ) -> None:
        frames: list[tuple[int, bytes]] = []

        def script(talk: Talk) -> None:
            talk.upgrade(then=text("valid") + fault)
            for _ in range(2):
                frame = talk.frame()
                frames.append((frame.opcode, frame.payload))
            talk.until_closed()

        actor = Actor(message=lambda actor: actor.send("answered first"))
        bystander = loop.connect(url_of(loop.listen("127.0.0.1", 0, Echo)), Recorder)
        with ScriptedPeer(script) as peer:
            loop.connect(peer.url, actor)
            run_until(loop, lambda: actor.closes and len(frames) == 2 and bystander.names)
        assert actor.closes[0][0] == code
        assert frames[0] == (TEXT, b"answered first")
        assert (frames[1][0], frames[1][1][:2]) == (CLOSE, close_payload(code))
        assert bystander.names == ["open"]

    def test_every_failure_to_connect_is_of_the_public_tree(
        self, loop: Reactor, authority: Authority
    ) -> None:
        def reset(talk: Talk) -> None:
            talk.head()
            talk.reset()

        with (
            socket.create_server(("127.0.0.1", 0)) as bound,
            ScriptedPeer(answer("HTTP/1.1 403 Forbidden")) as forbidding,
            ScriptedPeer(answer("garbage")) as garbage,
            ScriptedPeer(reset) as resetting,
            ScriptedPeer(silence) as silent,
            ScriptedPeer(silence, context=authority.server_context) as secure,
        ):
            port = bound.getsockname()[1]
            bound.close()
            cases: list[tuple[str, dict[str, Any], type[Exception]]] = [
                (f"ws://127.0.0.1:{port}", {}, WebSocketConnectRefusedException),
                (forbidding.url, {}, WebSocketBadStatusException),
                (garbage.url, {}, WebSocketHandshakeException),
                (resetting.url, {}, WebSocketException),
                (silent.url, {"connect_timeout": 0.05}, WebSocketTimeoutException),
                (secure.url, {}, WebSocketCertificateException),
            ]
            recorders = [loop.connect(url, Recorder, **options) for url, options, _ in cases]
            run_until(loop, lambda: all(recorder.closes for recorder in recorders))
        for recorder, (_, _, kind) in zip(recorders, cases, strict=True):
            assert recorder.names == ["error", "close"]
            assert isinstance(recorder.errors[0], kind)
            assert isinstance(recorder.errors[0], WebSocketException)
            assert recorder.closes == [(1006, "")]

    def test_every_loss_is_of_the_public_tree(self, loop: Reactor) -> None:
        def reset(talk: Talk) -> None:
            talk.upgrade()
            talk.reset()

        def end(talk: Talk) -> None:
            talk.upgrade()
            talk.end()

        with ScriptedPeer(reset, end) as peer:
            for _ in range(2):
                recorder = loop.connect(peer.url, Recorder)
                run_until(loop, lambda recorder=recorder: recorder.closes)  # type: ignore[misc]
                assert recorder.names == ["open", "error", "close"]
                assert isinstance(recorder.errors[0], WebSocketConnectionClosedException)
                assert str(recorder.errors[0]).startswith("Connection to remote host was lost.")


# --- 3 -------------------------------------------------------------------------------------------


class TestContract3Threads:
    """send, close and call_soon_threadsafe are for any thread; the rest is the loop's."""

    def test_the_order_of_each_thread_is_kept_while_the_loop_runs(self, loop: Reactor) -> None:
        listener = loop.listen("127.0.0.1", 0, Echo)
        opened, done = threading.Event(), threading.Event()
        recorder = Actor(
            open=lambda _: opened.set(),
            message=lambda actor: done.set() if len(actor.messages) == 400 else None,
            close=lambda _: loop.stop(),
        )
        loop.connect(url_of(listener), recorder)

        def work(name: str) -> None:
            assert opened.wait(10)
            for i in range(100):
                recorder.send(f"{name} {i}")

        def finish() -> None:
            assert done.wait(10)
            recorder.close(4000, "done")

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        threads.append(threading.Thread(target=finish))
        for thread in threads:
            thread.start()
        loop.run_forever()
        for thread in threads:
            thread.join(10)
        messages = [str(message).split() for message in recorder.messages]
        for name in "abcd":
            assert [int(i) for who, i in messages if who == name] == list(range(100))
        assert recorder.closes == [(4000, "done")]

    def test_a_loop_that_sleeps_is_woken(self, loop: Reactor) -> None:
        ready, called = threading.Event(), threading.Event()
        poll = loop.loop.poller.poll

        def watched(timeout: float | None) -> Any:
            ready.set()
            return poll(timeout)

        replace_method(loop.loop.poller, "poll", watched)

        def call() -> None:
            assert ready.wait(10)
            loop.call_soon_threadsafe(called.set)
            assert called.wait(10)
            loop.stop()

        thread = threading.Thread(target=call)
        thread.start()
        loop.run_forever()  # nothing else would ever end this
        thread.join(10)
        assert called.is_set()

    def test_a_closed_connection_is_an_error_at_once(self, loop: Reactor) -> None:
        listener = loop.listen("127.0.0.1", 0, Echo)
        recorder = loop.connect(url_of(listener), Recorder)
        with pytest.raises(WebSocketException, match="not open yet"):
            in_thread(lambda: recorder.send("too early"))
        run_until(loop, lambda: recorder.names)
        recorder.close()
        with pytest.raises(WebSocketConnectionClosedException):
            in_thread(lambda: recorder.send("too late"))
        run_until(loop, lambda: recorder.closes)
        with pytest.raises(WebSocketConnectionClosedException):
            in_thread(lambda: recorder.send("far too late"))
        in_thread(recorder.close)

    def test_everything_else_belongs_to_the_loop_s_thread(self) -> None:
        with Reactor(debug=True) as loop:
            forbidden: list[Callable[[], object]] = [
                lambda: loop.call_soon(print),
                lambda: loop.call_later(1, print),
                lambda: loop.call_at(1, print),
                lambda: loop.add_reader(0, print),
                lambda: loop.add_writer(0, print),
                lambda: loop.remove_reader(0),
                lambda: loop.remove_writer(0),
                lambda: loop.connect("ws://localhost/", Recorder),
                lambda: loop.listen("127.0.0.1"),
            ]
            recorder = loop.connect("ws://127.0.0.1:1/", Recorder)
            forbidden += [recorder.pause_reading, recorder.resume_reading]
            caught: list[Exception] = []

            def elsewhere() -> None:
                for call in forbidden:
                    try:
                        call()
                    except RuntimeError as exc:
                        caught.append(exc)

            loop.call_soon(in_thread, elsewhere)
            loop.run_once(0)
            assert len(caught) == len(forbidden)
            assert all("thread" in str(exc) for exc in caught)


# --- 4 -------------------------------------------------------------------------------------------


class TestContract4Time:
    """Monotonic time, read once a turn; no timer early; traffic touches no timer."""

    def test_the_time_of_a_turn_is_the_same_for_all_handlers(self, scene: Scene) -> None:
        seen: list[float] = []

        def slow(_: Actor) -> None:
            seen.append(scene.loop.loop.now)
            scene.clock.advance(5)

        peers = [scene.open(Actor(message=slow)) for _ in range(3)]
        for peer in peers:
            peer.text("x")
        scene.turn(1.0)
        assert seen == [1001.0] * 3
        assert scene.loop.time() == 1016.0

    def test_no_timer_is_early(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, ping_interval=0.0105, ping_timeout=0.0205)
        opened_at = scene.clock.now()
        while not recorder.closes:
            scene.turn(0.0001)
            if peer.look():
                assert scene.clock.now() >= opened_at + 0.0105
        assert len(read_frames(peer.received)) == 2
        assert scene.clock.now() >= opened_at + 0.0105 + 0.0205

    def test_traffic_writes_one_attribute_and_touches_no_timer(self, scene: Scene) -> None:
        peer = scene.open(Actor(message=lambda actor: actor.send("y")))
        keep_alive_peer = scene.open(Recorder(), ping_interval=20, ping_timeout=20)
        (connection,) = (c for c in scene.loop.connections if c.options.ping_interval)
        touched: list[object] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TimerWheel, "schedule", lambda *args: touched.append(args))
            patch.setattr(Timer, "cancel", touched.append)
            for _ in range(100):
                peer.text("x")
                keep_alive_peer.text("x")
                scene.turn(0.1)
        assert touched == []
        assert connection.last_activity == scene.clock.now()

    def test_the_wheel_is_touched_once_per_interval(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        peer = scene.open(Recorder(), ping_interval=10, ping_timeout=None)
        schedule = TimerWheel.schedule
        touched: list[float] = []

        def counted(wheel: TimerWheel, *args: Any) -> Timer:
            touched.append(scene.clock.now())
            return schedule(wheel, *args)

        monkeypatch.setattr(TimerWheel, "schedule", counted)
        for _ in range(200):
            peer.text("x")
            scene.turn(0.5)
        assert 9 <= len(touched) <= 11

    @pytest.mark.parametrize("when_idle", [True, False])
    def test_a_slow_handler_causes_no_false_timeout(
        self, slow_loop: Reactor, clock: ManualClock, when_idle: bool
    ) -> None:
        """The pong is in the kernel while the handler of another connection works."""
        pong_sent, go_on = threading.Event(), threading.Event()

        def script(talk: Talk) -> None:
            talk.upgrade()
            assert talk.frame().opcode == PING
            talk.send(build_frame(PONG))
            pong_sent.set()
            go_on.wait(20)

        recorder = Recorder()

        def hog() -> None:
            assert pong_sent.wait(10)
            clock.advance(60)

        with ScriptedPeer(script) as peer:
            slow_loop.connect(
                peer.url, recorder, ping_interval=10, ping_timeout=5, ping_when_idle=when_idle
            )
            run_until(slow_loop, lambda: recorder.names)
            clock.advance(10)
            slow_loop.run_once(0)  # the ping goes out
            clock.advance(4.9)
            slow_loop.call_soon(hog)
            slow_loop.run_once(0)
            for _ in range(5):
                slow_loop.run_once(0)
            go_on.set()
            assert recorder.names == ["open", "pong"]
            recorder.abort()
            slow_loop.run_once(0)

    def test_nor_does_a_backlog_in_the_kernel(self, slow_loop: Reactor, clock: ManualClock) -> None:
        """There is more before the pong than one bounded read can take."""
        sent, go_on = threading.Event(), threading.Event()

        def script(talk: Talk) -> None:
            talk.upgrade()
            assert talk.frame().opcode == PING
            talk.send(text("x" * 1000) * 150 + build_frame(PONG))
            sent.set()
            go_on.wait(20)

        recorder = Recorder()
        with ScriptedPeer(script) as peer:
            slow_loop.connect(
                peer.url, recorder, ping_interval=10, ping_timeout=5, ping_when_idle=False
            )
            run_until(slow_loop, lambda: recorder.names)
            clock.advance(10)
            slow_loop.run_once(0)  # the ping goes out
            assert sent.wait(10)
            clock.advance(60)
            for _ in range(10):
                slow_loop.run_once(0)
            go_on.set()
            assert len(recorder.messages) == 150
            assert recorder.names[-1] == "pong"
            recorder.abort()
            slow_loop.run_once(0)

    def test_a_dead_peer_is_found_out_all_the_same(
        self, slow_loop: Reactor, clock: ManualClock
    ) -> None:
        def script(talk: Talk) -> None:
            talk.upgrade()
            talk.until_closed()

        recorder = Recorder()
        with ScriptedPeer(script) as peer:
            slow_loop.connect(peer.url, recorder, ping_interval=10, ping_timeout=5)
            run_until(slow_loop, lambda: recorder.names)
            clock.advance(10)
            slow_loop.run_once(0)
            clock.advance(5)
            slow_loop.run_once(0)
            assert recorder.names == ["open", "error", "close"]
            assert str(recorder.errors[0]) == "ping/pong timed out"


# --- 5 -------------------------------------------------------------------------------------------


class TestContract5OneBudget:
    """One timeout for the whole way to an open connection; and no byte behind it is lost."""

    def test_a_silent_host(self, slow_loop: Reactor, clock: ManualClock) -> None:
        with ScriptedPeer(silence) as peer:
            recorder = slow_loop.connect(peer.url, Recorder, connect_timeout=10)
            run_until(slow_loop, lambda: peer.connections)
            clock.advance(9.999)
            for _ in range(3):
                slow_loop.run_once(0)
            assert recorder.events == []
            clock.advance(0.002)
            run_until(slow_loop, lambda: recorder.closes)
            assert isinstance(recorder.errors[0], WebSocketTimeoutException)

    def test_it_is_one_for_all_steps_and_redirects(
        self, slow_loop: Reactor, clock: ManualClock
    ) -> None:
        go_on = threading.Semaphore(0)

        def script(talk: Talk) -> None:
            talk.head()
            assert go_on.acquire(timeout=10)
            talk.send(b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n")
            talk.end()

        with ScriptedPeer(script) as peer:
            recorder = slow_loop.connect(peer.url, Recorder, connect_timeout=10, redirect_limit=100)
            for count in (1, 2, 3):  # 4 seconds for each
                run_until(slow_loop, lambda count=count: len(peer.requests) == count)  # type: ignore[misc]
                assert recorder.events == []
                clock.advance(4)
                go_on.release()
            run_until(slow_loop, lambda: recorder.closes)
            go_on.release()
            assert isinstance(recorder.errors[0], WebSocketTimeoutException)
            assert len(peer.requests) <= 4

    def test_a_trickle_does_not_extend_it(self, slow_loop: Reactor, clock: ManualClock) -> None:
        go_on = threading.Semaphore(0)
        sent = threading.Semaphore(0)

        def script(talk: Talk) -> None:
            talk.head()
            for octet in b"HTTP/1.1 101 Switching Protocols":
                if not go_on.acquire(timeout=10):
                    break
                talk.send(bytes([octet]))
                sent.release()

        with ScriptedPeer(script) as peer:
            recorder = slow_loop.connect(peer.url, Recorder, connect_timeout=10)
            run_until(slow_loop, lambda: peer.requests)
            for _ in range(12):
                if recorder.closes:
                    break
                go_on.release()
                assert sent.acquire(timeout=10)
                clock.advance(1)
                for _ in range(3):
                    slow_loop.run_once(0)
            assert recorder.names == ["error", "close"]
            assert isinstance(recorder.errors[0], WebSocketTimeoutException)
            for _ in range(40):
                go_on.release()

    @pytest.mark.parametrize("secure", [False, True])
    @pytest.mark.parametrize("cut", [1, 3, 7, 60])
    def test_what_comes_with_the_handshake_is_not_lost(
        self, loop: Reactor, authority: Authority, secure: bool, cut: int
    ) -> None:
        frames = text("first") + build_frame(PING, b"?") + text("x" * 70)

        def script(talk: Talk) -> None:
            talk.upgrade(then=frames[:cut])
            assert talk.frame().opcode == TEXT
            talk.send(frames[cut:])
            talk.until_closed()

        context = authority.server_context if secure else None
        with ScriptedPeer(script, context=context) as peer:
            actor = Actor(open=lambda actor: actor.send("open"))
            loop.connect(peer.url, actor, sslopt=authority.sslopt)
            run_until(loop, lambda: len(actor.messages) == 2)
            assert actor.names == ["open", "message", "ping", "message"]
            assert actor.messages == ["first", "x" * 70]
            actor.abort()
            run_until(loop, lambda: actor.closes)


# --- 6 -------------------------------------------------------------------------------------------


class TestContract6Turn:
    """poll, I/O, timers, calls; nobody is starved; a reused descriptor inherits nothing."""

    def test_the_order_of_a_turn(self, scene: Scene) -> None:
        order: list[str] = []
        peer = scene.open(Actor(message=lambda _: order.append("I/O")))
        scene.loop.call_soon(order.append, "call")
        scene.loop.call_later(1.0, order.append, "timer")
        peer.text("x")
        scene.turn(1.0)
        assert order == ["I/O", "timer", "call"]

    def test_one_firehose_and_many_quiet_connections(self, scene: Scene) -> None:
        firehose = Recorder()
        firehose_peer = scene.open(firehose)
        firehose_sock = scene.sock
        quiet = [Actor(message=lambda actor: actor.send("y")) for _ in range(10)]
        quiet_peers = [scene.open(actor) for actor in quiet]
        firehose_peer.send(*[text("x" * 1000)] * 190)
        for peer in quiet_peers:
            peer.text("x")
        scene.turn()
        assert firehose_sock.receives == [READ_SIZE]
        assert [peer.told() for peer in quiet_peers] == [[(TEXT, b"y")]] * 10

    @pytest.mark.parametrize("secure", [False, True])
    def test_at_most_one_bounded_read_in_a_turn(
        self, loop: Reactor, authority: Authority, secure: bool
    ) -> None:
        def script(talk: Talk) -> None:
            talk.upgrade()
            for _ in range(16):
                talk.send(build_frame(BINARY, bytes(4092)) * 16)  # four full records of TLS
            talk.until_closed()

        def waiting() -> int:
            return int(struct.unpack("i", fcntl.ioctl(recorder.sock, termios.FIONREAD, b"    "))[0])

        recorder = Actor(open=lambda actor: actor.pause_reading())
        context = authority.server_context if secure else None
        room = (socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * READ_SIZE)
        with ScriptedPeer(script, context=context) as peer:
            loop.connect(peer.url, recorder, sslopt=authority.sslopt, sockopt=[room])
            run_until(loop, lambda: recorder.names)
            run_until(loop, lambda: waiting() > 2 * READ_SIZE)
            recorder.resume_reading()
            before = len(recorder.messages)  # those that came with the handshake
            while before < 256:
                loop.run_once(5)
                assert len(recorder.messages) - before <= READ_SIZE // 4096
                before = len(recorder.messages)
            recorder.abort()
            run_until(loop, lambda: recorder.closes)

    def test_a_call_that_calls_itself_starves_nobody(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        count = 0

        def again() -> None:
            nonlocal count
            count += 1
            scene.loop.call_soon(again)
            scene.loop.call_later(0, again_by_timer)

        def again_by_timer() -> None:
            scene.loop.call_later(0, again_by_timer)

        again()
        for i in range(3):
            peer.text(f"{i}")
            scene.turn()
        assert recorder.messages == ["0", "1", "2"]
        assert count == 4

    def test_a_descriptor_that_is_used_again_inherits_no_event(self, scene: Scene) -> None:
        """Two connections have something to read; one handler ends the other connection, and
        makes a socket that gets its number."""
        made: list[socket.socket] = []
        called: list[str] = []

        def take_over(other: Actor) -> None:
            number = other.sock.fileno()
            other.abort()
            while True:
                ours, theirs = socket.socketpair()
                made.extend((ours, theirs))
                for sock in (ours, theirs):
                    if sock.fileno() == number:
                        scene.loop.add_reader(number, called.append, "reader")
                        scene.loop.add_writer(number, called.append, "writer")
                        return

        first, second = Actor(), Actor()
        first.actions["message"] = lambda _: take_over(second)
        second.actions["message"] = lambda _: take_over(first)
        for peer in [scene.open(first), scene.open(second)]:
            peer.text("x")
        try:
            scene.turn()
            assert called == []
            assert len(first.messages) + len(second.messages) == 1
            scene.turn()
            assert called == ["writer"]  # which is true of the new socket
        finally:
            for sock in made:
                scene.loop.loop.poller.remove(sock.fileno())
                sock.close()


# --- 7 -------------------------------------------------------------------------------------------


class TestContract7Writes:
    """At once if possible, together if from one handler call, else from a bounded queue."""

    def test_at_once(self, scene: Scene) -> None:
        """In the callback that sends, or right after it: not in some later turn."""
        actor = Actor(message=lambda actor: actor.send("answer"))
        peer = scene.open(actor)
        peer.text("question")
        scene.turn()
        assert peer.told() == [(TEXT, b"answer")]
        assert scene.loop.stats().writers == 0

    def test_together(self, scene: Scene) -> None:
        actor = Actor(message=lambda actor: [actor.send("y") for _ in range(100)])
        peer = scene.open(actor)
        peer.text("x")
        scene.turn()
        assert len(scene.sock.sends) == 1
        assert len(peer.told()) == 100

    def test_the_rest_waits_and_only_then_is_writing_watched_for(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        scene.sock.room = 4
        recorder.send("1")
        recorder.send("2")
        assert (recorder.buffered_amount, scene.loop.stats().writers) == (10, 1)
        scene.sock.room = None
        scene.turn()
        assert (recorder.buffered_amount, scene.loop.stats().writers) == (0, 0)
        assert peer.told() == [(TEXT, b"1"), (TEXT, b"2")]

    def test_the_marks(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, high_water=100, low_water=20)
        scene.sock.room = 0
        recorder.send(bytes(95))  # 101 bytes on the wire
        for room in (80, 1):
            assert recorder.names == ["open"]
            scene.sock.room = room
            scene.turn()
        assert recorder.names == ["open", "writable"]

    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    def test_the_limit(self, scene: Scene, call: Callable[[Callable[[], object]], None]) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=1000)
        scene.sock.room = 0

        def flood() -> None:
            for _ in range(100):
                recorder.send(bytes(100))

        with pytest.raises(WebSocketQueueFullException, match="write_limit is 1000"):
            call(flood)
        scene.turn()
        assert recorder.buffered_amount < 1300

    def test_a_peer_that_pings_and_never_reads_is_owed_one_pong_and_not_cut_off(
        self, loop: Reactor
    ) -> None:
        count = 40_000

        def flood(talk: Talk) -> None:
            talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            talk.upgrade()
            for number in range(0, count, 500):
                talk.send(build_frame(PING, b"%d" % number * 20) * 500)
            assert done.wait(20)

        class Pinged(WebSocketProtocol):
            pings = most = 0

            def on_ping(self, payload: bytes) -> None:
                self.pings += 1
                self.most = max(self.most, self.buffered_amount)

        done = threading.Event()
        sndbuf = (socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with ScriptedPeer(flood) as peer:
            protocol = loop.connect(peer.url, Pinged, write_limit=1000, sockopt=[sndbuf])
            run_until(loop, lambda: protocol.pings == count, timeout=30)
            assert 0 < protocol.buffered_amount <= protocol.most < 200_000  # of one read
            assert protocol.state is State.OPEN
            done.set()
            protocol.abort()
            run_until(loop, lambda: protocol.state is State.CLOSED)

    @pytest.mark.parametrize("secure", [False, True])
    def test_a_large_message_to_a_slow_reader_arrives_whole(
        self, loop: Reactor, authority: Authority, secure: bool
    ) -> None:
        message = bytes(range(256)) * 16384
        received: list[bytes] = []
        go_on = threading.Event()

        def script(talk: Talk) -> None:
            talk.upgrade()
            assert go_on.wait(10)
            received.append(talk.frame().payload)
            talk.until_closed()

        context = authority.server_context if secure else None
        with ScriptedPeer(script, context=context) as peer:
            recorder = loop.connect(peer.url, Recorder, sslopt=authority.sslopt)
            run_until(loop, lambda: recorder.names)
            recorder.send(message)
            assert recorder.buffered_amount > 0
            go_on.set()
            run_until(loop, lambda: received, timeout=20)
            assert received == [message]
            assert recorder.buffered_amount == 0
            assert recorder.names == ["open", "writable"]
            recorder.abort()
            run_until(loop, lambda: recorder.closes)


# --- 8 -------------------------------------------------------------------------------------------


#: The beginning of a message.
FRAGMENT = build_frame(TEXT, bytes(60), fin=False)


class TestContract8Limits:
    """Bad input ends one connection with a clear error, never the process."""

    @pytest.mark.parametrize(
        ("option", "frames"),
        [
            ("max_message_size", [build_frame(TEXT, bytes(101))]),
            ("max_message_size", [FRAGMENT, build_frame(CONT, bytes(60))]),
            ("max_fragments", [FRAGMENT, *[build_frame(CONT, fin=False)] * 100]),
        ],
    )
    def test_of_messages(self, loop: Reactor, option: str, frames: list[bytes]) -> None:
        told: list[bytes] = []

        def script(talk: Talk) -> None:
            talk.upgrade(then=b"".join(frames))
            told.append(talk.frame().payload)
            talk.until_closed()

        with ScriptedPeer(script) as peer:
            recorder = loop.connect(peer.url, Recorder, **{option: 100})
            run_until(loop, lambda: recorder.closes and told)
        assert told[0][:2] == close_payload(1009)
        assert isinstance(recorder.errors[0], WebSocketMessageTooBigException)
        assert option in str(recorder.errors[0])
        assert recorder.closes[0][0] == 1009

    @pytest.mark.parametrize(
        ("option", "lines"),
        [
            ("max_head_size", ["A: " + "x" * 2000]),
            ("max_header_count", [f"A{i}: x" for i in range(101)]),
        ],
    )
    def test_of_the_server_s_head(self, loop: Reactor, option: str, lines: list[str]) -> None:
        def script(talk: Talk) -> None:
            talk.upgrade(*lines)
            talk.until_closed()

        with ScriptedPeer(script) as peer:
            limits = {"max_head_size": 1500} if option == "max_head_size" else {option: 100}
            recorder = loop.connect(peer.url, Recorder, **limits)
            run_until(loop, lambda: recorder.closes)
        assert recorder.names == ["error", "close"]
        assert isinstance(recorder.errors[0], WebSocketHandshakeException)

    def test_of_a_head_without_an_end(self, loop: Reactor) -> None:
        def script(talk: Talk) -> None:
            talk.head()
            talk.send(b"HTTP/1.1 101 Switching Protocols\r\n")
            while True:
                talk.send(b"A: x\r\n" * 1000)

        with ScriptedPeer(script) as peer:
            recorder = loop.connect(peer.url, Recorder, connect_timeout=None)
            run_until(loop, lambda: recorder.closes)
        assert isinstance(recorder.errors[0], WebSocketHandshakeException)

    def test_of_the_client_s_head(self, loop: Reactor) -> None:
        made: list[Echo] = []

        def make() -> Echo:
            made.append(Echo())
            return made[-1]

        listener = loop.listen("127.0.0.1", 0, make, max_head_size=1000)
        client = RawClient(loop, listener)
        client.send(b"GET / HTTP/1.1\r\n" + b"A: x\r\n" * 200)
        run_until(loop, lambda: [client.look(), client.ended][1])
        assert client.received.startswith(b"HTTP/1.1 431 ")
        assert made == []
        client.close()

    @pytest.mark.parametrize(
        "garbage",
        [b"\xff" * 1000, b"\x00" * 1000, bytes(range(256)), build_header(TEXT, 1 << 63, key=KEY)],
    )
    def test_garbage_ends_one_connection_only(self, loop: Reactor, garbage: bytes) -> None:
        listener = loop.listen("127.0.0.1", 0, Echo)
        bystander = loop.connect(url_of(listener), Recorder)
        run_until(loop, lambda: bystander.names)
        client = RawClient(loop, listener)
        client.upgrade()
        client.send(garbage)
        ((opcode, payload),) = client.told()
        assert opcode == CLOSE
        assert payload[:2] in (close_payload(1002), close_payload(1009))
        client.close()
        bystander.send("still here")
        run_until(loop, lambda: bystander.messages)

    def test_there_is_a_default_for_everything(self, loop: Reactor) -> None:
        recorder = loop.connect("ws://127.0.0.1:1/", Recorder)
        (connection,) = loop.connections
        options = connection.options
        for limit in (
            options.max_message_size,
            options.max_fragments,
            options.max_head_size,
            options.max_header_count,
            options.write_limit,
        ):
            assert 0 < limit <= 1 << 26
        recorder.abort()


# --- 9 -------------------------------------------------------------------------------------------


class TestContract9Close:
    """Prompt, from any thread; a mute peer costs a timer, not a blocked loop."""

    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    @pytest.mark.parametrize("secure", [False, True])
    def test_prompt(
        self,
        loop: Reactor,
        authority: Authority,
        secure: bool,
        call: Callable[[Callable[[], object]], None],
    ) -> None:
        context = authority.server_context if secure else None
        with ScriptedPeer(echo, context=context) as peer:
            recorder = loop.connect(peer.url, Recorder, sslopt=authority.sslopt, close_timeout=1000)
            run_until(loop, lambda: recorder.names)
            call(lambda: recorder.close(4000, "enough"))
            run_until(loop, lambda: recorder.closes)
            assert recorder.closes == [(4000, "enough")]
            run_until(loop, lambda: loop.stats().readers == 0)
            assert loop.stats().timers == 0

    def test_it_does_not_wait_for_the_peer(self, slow_loop: Reactor, clock: ManualClock) -> None:
        def mute(talk: Talk) -> None:
            talk.upgrade()
            talk.until_closed()

        listener = slow_loop.listen("127.0.0.1", 0, Echo)
        with ScriptedPeer(mute) as peer:
            recorder = slow_loop.connect(peer.url, Recorder, close_timeout=5)
            busy = slow_loop.connect(url_of(listener), Recorder)
            run_until(slow_loop, lambda: recorder.names and busy.names)
            recorder.close()  # returns
            assert recorder.state is State.CLOSING
            busy.send("meanwhile")
            run_until(slow_loop, lambda: busy.messages)
            assert recorder.closes == []
            clock.advance(5)
            run_until(slow_loop, lambda: recorder.closes)
            assert recorder.closes == [(1006, "")]
            assert recorder.errors == []

    def test_a_connect_can_be_called_off_at_any_moment(self, loop: Reactor) -> None:
        def stuck(talk: Talk) -> None:
            talk.head()
            talk.send(b"HTTP/1.1 101 Switching")
            talk.until_closed()

        for steps in range(12):
            with ScriptedPeer(stuck) as peer:
                recorder = loop.connect(peer.url, Recorder)
                for _ in range(steps):
                    loop.run_once(0.01)
                recorder.close()
                run_until(loop, lambda recorder=recorder: recorder.closes)  # type: ignore[misc]
                assert recorder.events == [("close", 1006, "")]
                stats = loop.stats()
                assert (stats.readers, stats.writers, stats.timers) == (0, 0, 0)

    def test_nobody_waits_for_a_peer_that_has_gone(self, loop: Reactor) -> None:
        """The other side resets in the middle of the close handshake."""

        def script(talk: Talk) -> None:
            talk.upgrade()
            talk.frame()
            talk.reset()

        with ScriptedPeer(script) as peer:
            recorder = loop.connect(peer.url, Recorder, close_timeout=1000)
            run_until(loop, lambda: recorder.names)
            recorder.close()
            run_until(loop, lambda: recorder.closes)
            assert recorder.events == [("open",), ("close", 1006, "")]
            run_until(loop, lambda: loop.stats().timers == 0)


# --- 10 ------------------------------------------------------------------------------------------


class TestContract10Reconnect:
    """A timer event; every drop reported; the same object; callables for each attempt."""

    def test_a_server_that_drops_in_every_way(self, loop: Reactor) -> None:
        def refuse(talk: Talk) -> None:
            answer("HTTP/1.1 503 Service Unavailable", "Content-Length: 0")(talk)

        def end(talk: Talk) -> None:
            talk.upgrade()
            talk.end()

        def reset(talk: Talk) -> None:
            talk.upgrade()
            talk.frame()  # a reset destroys what the client has not read
            talk.reset()

        def goodbye(talk: Talk) -> None:
            talk.upgrade(then=build_frame(CLOSE, close_payload(1012)))
            talk.until_closed()

        def garbage(talk: Talk) -> None:
            talk.upgrade(then=b"\xff" * 20)
            talk.until_closed()

        tokens = iter(range(100))
        with ScriptedPeer(refuse, end, reset, goodbye, garbage, echo) as peer:
            actor = Actor(reconnect=lambda actor: actor.send("subscribe"))
            loop.connect(
                lambda: f"{peer.url}/{next(tokens)}",
                actor,
                header=lambda: {"Token": str(next(tokens))},
                cookie=lambda: f"n={next(tokens)}",
                reconnect=0.001,
            )
            run_until(loop, lambda: actor.messages)
            actor.close()
            run_until(loop, lambda: not loop.connections)
            requests = [
                (head.request_line.split()[1], head.headers["token"], head.headers["cookie"])
                for head in peer.requests
            ]
        assert [code for code, _ in actor.closes] == [1006, 1006, 1006, 1012, 1002, 1000]
        assert [name for name in actor.names if name not in ("error", "close")] == [
            "open", *["reconnect"] * 4, "message",
        ]  # fmt: skip
        assert len(actor.errors) == 4  # all but the close frame
        assert actor.messages == ["subscribe"]
        assert requests == [(f"/{3 * i}", str(3 * i + 1), f"n={3 * i + 2}") for i in range(6)]

    def test_it_is_a_timer_event(self, slow_loop: Reactor, clock: ManualClock) -> None:
        with socket.create_server(("127.0.0.1", 0)) as bound:
            port = bound.getsockname()[1]
        recorder = slow_loop.connect(
            f"ws://127.0.0.1:{port}", Recorder, reconnect=Backoff(first=8, jitter=False)
        )
        bystander = slow_loop.connect(url_of(slow_loop.listen("127.0.0.1", 0, Echo)), Recorder)
        run_until(slow_loop, lambda: bystander.names)
        for count in range(1, 4):
            run_until(slow_loop, lambda count=count: len(recorder.closes) == count)  # type: ignore[misc]
            assert slow_loop.stats().waiting == 1
            bystander.send(f"{count}")  # nobody sleeps
            run_until(slow_loop, lambda count=count: len(bystander.messages) == count)  # type: ignore[misc]
            assert len(recorder.closes) == count
            clock.advance(60)
        recorder.close()
        slow_loop.run_once(0)
        assert slow_loop.stats().waiting == 0

    def test_the_stack_does_not_grow(self, scene: Scene) -> None:
        import inspect

        depths: list[int] = []
        actor = Actor(close=lambda _: depths.append(len(inspect.stack())))
        scene.connect(actor, reconnect=Backoff.fixed(1.0))
        for _ in range(50):
            scene.succeed().close()
            scene.turn()
            scene.turn(1.0, count=2)
        assert len(depths) == 50
        assert len(set(depths)) == 1

    def test_a_name_that_cannot_be_resolved_now_may_be_later(
        self, loop: Reactor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = socket.getaddrinfo
        calls: list[str] = []

        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(host)
            if len(calls) <= 2:
                raise socket.gaierror(socket.EAI_AGAIN, "try again")
            return real("127.0.0.1", *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with ScriptedPeer(echo) as peer:
            recorder = loop.connect(
                f"ws://name.invalid:{peer.port}", Recorder, reconnect=Backoff.fixed(0.001)
            )
            run_until(loop, lambda: "open" in recorder.names)
            assert recorder.names == ["error", "close"] * 2 + ["open"]
            recorder.close()
            run_until(loop, lambda: not loop.connections)

    def test_over_tls(self, loop: Reactor, authority: Authority) -> None:
        def drop(talk: Talk) -> None:
            talk.upgrade()
            talk.frame()
            talk.reset()

        with ScriptedPeer(drop, echo, context=authority.server_context) as peer:
            actor = Actor(
                open=lambda actor: actor.send("first"),
                reconnect=lambda actor: actor.send("again"),
            )
            loop.connect(peer.url, actor, sslopt=authority.sslopt, reconnect=0.001)
            run_until(loop, lambda: "again" in actor.messages)
            assert isinstance(actor.sock, ssl.SSLSocket)
            assert actor.names.count("close") == 1
            assert actor.names[-2:] == ["reconnect", "message"]
            actor.close()
            run_until(loop, lambda: not loop.connections)
