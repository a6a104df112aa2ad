"""Client connections: attempts, what follows on their failure, and reconnecting.

The network is that of tests/support/scene.py; the connect pipeline has tests of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from reactor import (
    Backoff,
    State,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketConnectRefusedException,
    WebSocketProtocol,
    WebSocketProtocolException,
    WebSocketQueueFullException,
    WebSocketStateException,
    WebSocketTimeoutException,
)
from reactor.connection.connection import Connection

from ..support.recorder import Recorder
from ..support.scene import START, Actor, Scene, in_thread
from ..support.websocket_frames import CLOSE, TEXT, build_frame, close_payload

REFUSED = WebSocketConnectRefusedException(111, "refused")

#: Without chance: waits of 1, 2, 4, 8, 8, ... seconds.
STEADY = Backoff(first=1.0, factor=2.0, cap=8.0, jitter=False, reset_after=60.0)

NAMES = ["open", "error", "close"]


def connection_of(recorder: WebSocketProtocol) -> Connection:
    connection = recorder._reactor_connection
    assert isinstance(connection, Connection)
    return connection


class TestFirstAttempt:
    def test_nothing_happens_within_the_call(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.loop.connect("ws://scene/", recorder)
        assert (scene.attempts, recorder.events) == ([], [])
        assert recorder.state is State.CONNECTING
        assert recorder.response is None
        scene.turn(count=2)
        assert len(scene.attempts) == 1
        assert recorder.events == []

    def test_it_begins_in_the_turn_that_follows_the_call(self, scene: Scene) -> None:
        scene.loop.connect("ws://scene/", Recorder())
        scene.turn()
        assert len(scene.attempts) == 1

    def test_what_the_attempt_is_told(self, scene: Scene) -> None:
        scene.connect(
            Recorder(), url="ws://scene/path", header={"A": "1"}, cookie="c=1", connect_timeout=7
        )
        (attempt,) = scene.attempts
        assert attempt.url == "ws://scene/path"
        assert (attempt.header, attempt.cookie) == ({"A": "1"}, "c=1")
        assert attempt.options.connect_timeout == 7

    def test_success(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder)
        scene.succeed(subprotocol="chat", tag="first")
        assert recorder.events == [("open",)]
        assert recorder.subprotocol == "chat"
        assert recorder.response is not None
        assert recorder.response.headers["tag"] == "first"

    @pytest.mark.parametrize(
        "error",
        [
            REFUSED,
            WebSocketTimeoutException("too slow"),
            WebSocketBadStatusException("Handshake status 403", 403),
            ValueError("a URL that cannot be used"),
        ],
    )
    def test_failure_is_told_once_without_on_open(self, scene: Scene, error: Exception) -> None:
        recorder = Recorder()
        scene.connect(recorder)
        scene.fail(error)
        assert recorder.events == [("error", error), ("close", 1006, "")]
        assert recorder.state is State.CLOSED
        assert scene.nothing_goes_on()
        scene.turn(1000, count=2)
        assert len(scene.attempts) == 1

    @pytest.mark.parametrize("verb", ["close", "abort"])
    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    @pytest.mark.parametrize("turns", [0, 1, 2])
    def test_it_can_be_called_off(
        self, scene: Scene, verb: str, call: Callable[[Any], None], turns: int
    ) -> None:
        """Before the first turn, before the attempt, and during it."""
        recorder = Recorder()
        scene.loop.connect("ws://scene/", recorder)
        scene.turn(count=turns)
        call(getattr(recorder, verb))
        assert recorder.events == []  # not within the call
        scene.turn(count=3)
        assert recorder.events == [("close", 1006, "")]
        assert all(attempt.fate == "cancelled" for attempt in scene.attempts)
        assert scene.nothing_goes_on()
        call(recorder.close)
        call(recorder.abort)
        scene.turn(100, count=3)
        assert recorder.events == [("close", 1006, "")]

    def test_it_is_over_for_the_caller_at_once(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder)
        recorder.close()
        assert recorder.state is State.CLOSED
        assert not scene.loop.connections
        with pytest.raises(WebSocketConnectionClosedException):
            recorder.send("x")
        scene.turn()

    def test_called_off_in_the_turn_in_which_it_succeeds(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder)
        peer = scene.attempts[-1].succeed()
        recorder.close()
        scene.turn(count=3)
        assert recorder.events == [("close", 1006, "")]
        peer.look()
        assert peer.ended
        peer.close()

    @pytest.mark.parametrize("turns", [0, 1, 2])
    def test_a_given_socket_belongs_to_it(self, scene: Scene, turns: int) -> None:
        """Also when the attempt that it was for never begins."""
        ours, theirs = socket.socketpair()
        recorder = Recorder()
        scene.loop.connect("ws://scene/", recorder, sock=ours)
        scene.turn(count=turns)
        recorder.close()
        scene.turn()
        assert ours.fileno() == -1
        theirs.close()

    def test_an_error_of_the_call_registers_nothing(self, scene: Scene) -> None:
        recorder = Recorder()
        cases: list[tuple[str, dict[str, Any]]] = [
            ("http://scene/", {}),
            ("ws://", {}),
            ("ws://scene/", {"header": ["no colon"]}),
            ("ws://scene/", {"header": {"A": "line\nbreak"}}),
            ("wss://scene/", {"sslopt": {"ca_certs": "/no/such/file"}}),
            ("wss://scene/", {"sslopt": {"no_such_option": 1}}),
        ]
        for url, options in cases:
            with pytest.raises((ValueError, TypeError, OSError)):
                scene.loop.connect(url, recorder, **options)
            assert not scene.loop.connections
            assert recorder.state is State.CLOSED
        scene.turn(count=2)
        assert recorder.events == []
        assert scene.nothing_goes_on()

    @pytest.mark.parametrize("url", [None, 7, b"ws://scene/", ["ws://scene/"]])
    def test_a_url_is_a_str_or_a_function(self, scene: Scene, url: Any) -> None:
        with pytest.raises(TypeError, match=type(url).__name__):
            scene.loop.connect(url, Recorder())
        assert not scene.loop.connections


class TestReconnect:
    def test_after_a_drop_the_same_object_hears_on_reconnect(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, reconnect=STEADY)
        scene.succeed(subprotocol="a", tag="first").close()
        scene.turn()
        assert recorder.names == NAMES
        scene.turn(1.0, count=2)
        peer = scene.succeed(subprotocol="b", tag="second")
        assert recorder.names == [*NAMES, "reconnect"]
        assert recorder.subprotocol == "b"
        assert recorder.response is not None
        assert recorder.response.headers["tag"] == "second"
        peer.text("hello again")
        scene.turn()
        assert recorder.messages == ["hello again"]

    def test_on_reconnect_is_on_open_for_who_does_not_say_otherwise(self, scene: Scene) -> None:
        class Subscriber(WebSocketProtocol):
            def on_open(self) -> None:
                self.send("subscribe")

        subscriber = Subscriber()
        peer = scene.open(subscriber, reconnect=1.0)
        assert peer.told() == [(TEXT, b"subscribe")]
        peer.close()
        scene.turn()
        scene.turn(1.0, count=2)
        assert scene.succeed().told() == [(TEXT, b"subscribe")]

    def test_every_drop_is_reported(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, reconnect=1.0).close()
        scene.turn()
        for _ in range(3):
            scene.turn(1.0, count=2)
            scene.succeed().close()
            scene.turn()
        assert recorder.names == NAMES + ["reconnect", "error", "close"] * 3
        assert {type(error) for error in recorder.errors} == {WebSocketConnectionClosedException}
        assert recorder.closes == [(1006, "")] * 4

    def test_so_is_every_failed_attempt(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, reconnect=1.0)
        for _ in range(3):
            scene.fail(REFUSED)
            scene.turn(1.0, count=2)
        assert recorder.events == [("error", REFUSED), ("close", 1006, "")] * 3
        scene.succeed()
        assert recorder.names[-1] == "open"  # it is the first time

    @pytest.mark.parametrize(
        ("ending", "code", "reported"),
        [
            (build_frame(CLOSE, close_payload(1000, b"bye")), 1000, None),
            (build_frame(CLOSE, close_payload(1012)), 1012, None),
            (build_frame(TEXT, b"x", rsv=1), 1002, WebSocketProtocolException),
        ],
    )
    def test_whatever_the_peer_ends_it_with(
        self, scene: Scene, ending: bytes, code: int, reported: type[Exception] | None
    ) -> None:
        recorder = Recorder()
        scene.open(recorder, reconnect=1.0).send(ending)
        scene.turn()
        assert recorder.closes[0][0] == code
        assert [type(error) for error in recorder.errors] == ([reported] if reported else [])
        scene.turn(1.0, count=2)
        assert len(scene.attempts) == 2

    def test_a_peer_that_fell_silent(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, reconnect=STEADY, ping_interval=10, ping_timeout=5)
        scene.turn(10)
        scene.turn(5)
        assert recorder.names == NAMES
        assert isinstance(recorder.errors[0], WebSocketTimeoutException)
        scene.turn(1.0, count=2)
        peer = scene.succeed()
        assert recorder.names[-1] == "reconnect"
        scene.turn(10)  # the keep-alive has begun anew
        assert len(peer.told()) == 1

    def test_it_is_a_timer_and_not_a_recursion(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, reconnect=Backoff.fixed(0.002))
        for _ in range(2000):
            scene.fail(REFUSED)
            assert (scene.timers, scene.loop.stats().waiting) == (1, 1)
            scene.turn(0.003, count=2)
        assert len(recorder.closes) == 2000

    def test_the_handlers_are_called_before_the_next_attempt(self, scene: Scene) -> None:
        seen: list[int] = []
        actor = Actor(
            error=lambda _: seen.append(len(scene.attempts)),
            close=lambda _: seen.append(len(scene.attempts)),
        )
        scene.connect(actor, reconnect=1.0)
        scene.fail(REFUSED)
        assert seen == [1, 1]
        assert connection_of(actor).lifecycle.attempt == 1

    def test_without_a_policy_a_drop_is_the_end(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder).close()
        scene.turn()
        assert recorder.state is State.CLOSED
        scene.turn(1000)
        assert len(scene.attempts) == 1
        assert scene.nothing_goes_on()

    def test_what_was_cut_off_does_not_go_into_the_next_connection(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, reconnect=1.0)
        peer.send(build_frame(TEXT, b"half a mess")[:-2])
        scene.turn()
        scene.sock.room = 0
        recorder.send("queued")
        peer.close()
        scene.turn()
        scene.turn(1.0, count=2)
        peer = scene.succeed()
        peer.text("age")
        scene.turn()
        assert recorder.messages == ["age"]
        assert peer.told() == []
        assert recorder.buffered_amount == 0

    def test_what_another_thread_has_sent_into_the_old_connection_is_dropped(
        self, scene: Scene
    ) -> None:
        """The loop gets to it only after the reconnect; it was not meant for this one."""
        recorder = Recorder()
        peer = scene.open(recorder, reconnect=1.0)
        connection = connection_of(recorder)
        calls: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                scene.loop.loop,
                "call_soon_threadsafe",
                lambda call, *args: calls.append((call, args)),
            )
            in_thread(lambda: recorder.send("stale"))
        peer.close()
        scene.turn()
        scene.turn(1.0, count=2)
        peer = scene.succeed()
        ((call, args),) = calls
        scene.loop.call_soon(call, *args)
        scene.turn()
        recorder.send("fresh")
        assert connection is connection_of(recorder)
        assert peer.told() == [(TEXT, b"fresh")]
        assert recorder.buffered_amount == 0

    def test_a_handler_may_use_the_object_again_when_it_is_over(self, scene: Scene) -> None:
        """Reconnecting by hand, from on_close."""
        actor = Actor()
        actor.actions["close"] = lambda actor: scene.loop.connect(
            "ws://other/", actor, ping_interval=None
        )
        scene.open(actor).close()
        scene.turn()
        scene.turn(count=2)
        assert [attempt.url for attempt in scene.attempts] == ["ws://scene/", "ws://other/"]
        actor.actions.clear()
        peer = scene.succeed()
        peer.text("hello")
        scene.turn()
        assert actor.names == [*NAMES, "open", "message"]


class TestBackoff:
    def waits(self, scene: Scene) -> list[float]:
        times = [attempt.at for attempt in scene.attempts]
        return [round(later - sooner, 3) for sooner, later in pairwise(times)]

    def fail_and_wait(self, scene: Scene, error: Exception = REFUSED) -> None:
        """Let the attempt fail, and let time pass until the next one."""
        scene.fail(error)
        self.wait(scene)

    def wait(self, scene: Scene) -> None:
        attempts = len(scene.attempts)
        for _ in range(100_000):
            if len(scene.attempts) > attempts or not scene.timers:
                break
            timeout = scene.loop.next_timeout()
            assert timeout is not None
            scene.turn(max(timeout, 0.0005))

    def test_waits_grow_from_attempt_to_attempt(self, scene: Scene) -> None:
        scene.connect(Recorder(), reconnect=STEADY)
        for _ in range(6):
            self.fail_and_wait(scene)
        assert self.waits(scene) == [1, 2, 4, 8, 8, 8]

    def test_never_early(self, scene: Scene) -> None:
        scene.connect(Recorder(), reconnect=STEADY)
        scene.fail(REFUSED)
        scene.turn(0.999, count=3)
        assert len(scene.attempts) == 1
        scene.turn(0.001, count=2)
        assert [attempt.at for attempt in scene.attempts] == [START, START + 1.0]

    def test_a_fixed_number_of_seconds(self, scene: Scene) -> None:
        scene.connect(Recorder(), reconnect=2.5)
        for _ in range(4):
            self.fail_and_wait(scene)
        assert self.waits(scene) == [2.5] * 4

    def test_a_connection_that_dropped_soon_does_not_reset_it(self, scene: Scene) -> None:
        """A server that accepts and drops at once is not called without any backoff."""
        scene.connect(Recorder(), reconnect=STEADY)
        for _ in range(3):
            scene.succeed().close()
            scene.turn()
            self.wait(scene)
        assert self.waits(scene) == [1, 2, 4]

    def test_a_connection_that_was_stable_resets_it(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, reconnect=STEADY)
        self.fail_and_wait(scene)
        self.fail_and_wait(scene)
        assert connection_of(recorder).lifecycle.attempt == 2
        for open_for, wait in [(59.9, 4), (60.0, 1), (59.9, 2)]:
            peer = scene.succeed()
            scene.turn(open_for)
            peer.close()
            scene.turn()
            dropped_at = scene.clock.now()
            self.wait(scene)
            assert scene.attempts[-1].at - dropped_at == pytest.approx(wait, abs=0.002)

    def test_jitter_is_up_to_the_policy(self, scene: Scene) -> None:
        scene.connect(Recorder(), reconnect=Backoff(first=4.0, factor=1.0, cap=4.0))
        for _ in range(10):
            self.fail_and_wait(scene)
        waits = self.waits(scene)
        assert all(0 <= wait <= 4.001 for wait in waits)
        assert len(set(waits)) > 1

    @pytest.mark.parametrize("limit", [0, 1, 3])
    def test_after_max_attempts_it_is_over(self, scene: Scene, limit: int) -> None:
        recorder = Recorder()
        scene.connect(recorder, reconnect=Backoff.fixed(1.0, max_attempts=limit))
        for _ in range(limit + 5):
            if recorder.state is State.CLOSED:
                break
            self.fail_and_wait(scene)
        assert len(scene.attempts) == 1 + limit
        assert len(recorder.errors) == len(recorder.closes) == 1 + limit
        assert scene.nothing_goes_on()

    def test_max_attempts_counts_from_the_drop_of_a_stable_connection(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, reconnect=Backoff.fixed(1.0, max_attempts=2, reset_after=60))
        self.fail_and_wait(scene)
        self.fail_and_wait(scene)
        peer = scene.succeed()
        scene.turn(60)
        peer.close()
        scene.turn()
        self.wait(scene)
        self.fail_and_wait(scene)
        scene.fail(REFUSED)
        assert recorder.state is State.CLOSED
        assert len(scene.attempts) == 5


class TestRetryAfter:
    """RFC 9110 section 10.2.3."""

    def wait_after(
        self,
        scene: Scene,
        headers: dict[str, str] | None,
        backoff: Backoff | None = None,
    ) -> float:
        recorder = Recorder()
        backoff = backoff or Backoff(first=2.0, cap=3600.0, jitter=False)
        # Each at another host: all that go to this one are held back.
        url = f"ws://scene-{len(scene.attempts)}/"
        scene.connect(recorder, url=url, reconnect=backoff)
        scene.fail(WebSocketBadStatusException("no", 503, "Unavailable", headers, b""))
        # Not next_timeout(), which may be that of a cancelled timer: of another connection.
        assert recorder.ending is not None
        delay = recorder.ending.delay
        assert delay is not None
        recorder.close()
        return round(delay, 2)

    @pytest.mark.parametrize(
        ("value", "wait"),
        [
            ("30", 30.0),
            ("1", 2.0),  # the policy's is longer
            ("0", 2.0),
            ("86400", 3600.0),  # the policy's cap
            ("9" * 400, 3600.0),
            ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
            ("Wed, 21 Oct 2015 07:27:00 GMT", 2.0),  # has been
            ("Wed, 21 Oct 9999 07:28:00 GMT", 3600.0),
            ("-5", 2.0),
            ("1.5", 2.0),
            ("", 2.0),
            ("\u0663", 2.0),  # a digit, but not of ASCII
        ],
    )
    def test_the_server_may_ask_for_a_longer_wait(
        self, scene: Scene, value: str, wait: float
    ) -> None:
        headers = {"retry-after": value, "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
        assert self.wait_after(scene, headers) == wait

    def test_a_date_counts_from_our_clock_where_the_server_tells_no_other(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.time", lambda: 1445412480.0)
        headers = {"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}
        assert self.wait_after(scene, headers) == 30.0

    def test_many_that_are_told_the_same_do_not_come_back_together(self, scene: Scene) -> None:
        backoff = Backoff(first=1.0, cap=60.0)
        waits = {self.wait_after(scene, {"retry-after": "40"}, backoff) for _ in range(50)}
        assert len(waits) > 1
        assert 40.0 <= min(waits) <= max(waits) <= 60.0

    def test_a_fixed_wait_is_what_it_says_unless_told_otherwise(self, scene: Scene) -> None:
        headers = {"retry-after": "30"}
        assert self.wait_after(scene, headers, Backoff.fixed(2.0)) == 2.0

    def test_a_fixed_wait_may_heed_the_server(self, scene: Scene) -> None:
        heeding = Backoff.fixed(2.0, retry_after_cap=20.0)
        assert self.wait_after(scene, {"retry-after": "30"}, heeding) == 20.0

    @pytest.mark.parametrize("headers", [None, {}])
    def test_it_need_not(self, scene: Scene, headers: dict[str, str] | None) -> None:
        assert self.wait_after(scene, headers) == 2.0

    def test_it_does_not_bring_back_who_has_given_up(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, reconnect=Backoff.fixed(2.0, max_attempts=0))
        scene.fail(WebSocketBadStatusException("no", 503, "", {"retry-after": "1"}, b""))
        assert recorder.state is State.CLOSED
        assert scene.nothing_goes_on()


class TestGivingUp:
    @pytest.mark.parametrize("verb", ["close", "abort"])
    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    def test_while_waiting(self, scene: Scene, verb: str, call: Callable[[Any], None]) -> None:
        recorder = Recorder()
        scene.open(recorder, reconnect=1.0).close()
        scene.turn()
        call(getattr(recorder, verb))
        scene.turn()
        assert recorder.state is State.CLOSED
        assert scene.timers == 0
        assert recorder.names == NAMES  # the drop has been told of
        scene.turn(100, count=3)
        assert len(scene.attempts) == 1
        assert recorder.names == NAMES
        assert scene.nothing_goes_on()

    @pytest.mark.parametrize("verb", ["close", "abort"])
    @pytest.mark.parametrize("call", [lambda function: function(), in_thread])
    def test_during_a_later_attempt(
        self, scene: Scene, verb: str, call: Callable[[Any], None]
    ) -> None:
        recorder = Recorder()
        scene.open(recorder, reconnect=1.0).close()
        scene.turn()
        scene.turn(1.0, count=2)
        call(getattr(recorder, verb))
        scene.turn(count=2)
        assert scene.attempts[-1].fate == "cancelled"
        assert recorder.events[-1] == ("close", 1006, "")
        assert recorder.names == [*NAMES, "close"]
        assert scene.nothing_goes_on()

    @pytest.mark.parametrize("handler", ["error", "close"])
    @pytest.mark.parametrize("verb", ["close", "abort"])
    def test_from_the_handlers_of_a_failed_attempt(
        self, scene: Scene, handler: str, verb: str
    ) -> None:
        actor = Actor(**{handler: lambda actor: getattr(actor, verb)()})
        scene.connect(actor, reconnect=1.0)
        scene.fail(REFUSED)
        assert actor.events == [("error", REFUSED), ("close", 1006, "")]
        assert actor.state is State.CLOSED
        scene.turn(100, count=3)
        assert len(scene.attempts) == 1
        assert len(actor.closes) == 1
        assert scene.nothing_goes_on()

    @pytest.mark.parametrize("verb", ["close", "abort"])
    def test_who_ends_the_connection_does_not_want_another(self, scene: Scene, verb: str) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, reconnect=1.0)
        getattr(recorder, verb)()
        peer.close()
        scene.turn(count=2)
        assert recorder.closes == [(1006, "")]
        assert recorder.state is State.CLOSED
        scene.turn(100, count=3)
        assert len(scene.attempts) == 1
        assert scene.nothing_goes_on()

    def test_nor_does_who_has_tried_to_when_the_peer_was_faster(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, reconnect=1.0)
        peer.say_goodbye(1001)
        recorder.close()
        scene.turn(count=2)
        assert recorder.closes == [(1001, "")]
        scene.turn(100, count=3)
        assert len(scene.attempts) == 1


class TestCallables:
    """URL, headers and cookie may be functions, which are called for each attempt."""

    def test_they_are_called_for_every_attempt(self, scene: Scene) -> None:
        count = iter(range(100))
        scene.connect(
            Recorder(),
            url=lambda: f"ws://scene/{next(count)}",
            header=lambda: [f"N: {next(count)}"],
            cookie=lambda: f"n={next(count)}",
            reconnect=1.0,
        )
        for _ in range(2):
            scene.fail(REFUSED)
            scene.turn(1.0, count=2)
        assert [(a.url, a.header, a.cookie) for a in scene.attempts] == [
            ("ws://scene/0", ["N: 1"], "n=2"),
            ("ws://scene/3", ["N: 4"], "n=5"),
            ("ws://scene/6", ["N: 7"], "n=8"),
        ]

    def test_they_are_not_called_before(self, scene: Scene) -> None:
        called: list[str] = []

        def url() -> str:
            called.append("url")
            return "ws://scene/"

        recorder = Recorder()
        scene.loop.connect(url, recorder)
        assert called == []
        assert recorder.url == ""
        scene.turn()
        assert called == ["url"]
        assert recorder.url == "ws://scene/"

    @pytest.mark.parametrize("which", ["url", "header", "cookie"])
    def test_one_that_raises_is_reported_like_a_failed_attempt(
        self, scene: Scene, which: str
    ) -> None:
        error = LookupError("no token")

        def fail() -> Any:
            raise error

        recorder = Recorder()
        scene.connect(recorder, **{which: fail})
        assert recorder.events == [("error", error), ("close", 1006, "")]
        assert scene.nothing_goes_on()

    @pytest.mark.parametrize("which", ["url", "header", "cookie"])
    def test_and_is_tried_again(self, scene: Scene, which: str) -> None:
        good = {"url": "ws://scene/", "header": ["A: 1"], "cookie": "c=1"}[which]
        answers: list[Any] = [LookupError("1"), LookupError("2"), good]

        def answer() -> Any:
            value = answers.pop(0)
            if isinstance(value, Exception):
                raise value
            return value

        recorder = Recorder()
        scene.connect(recorder, reconnect=STEADY, **{which: answer})
        scene.turn(1.0, count=2)
        scene.turn(2.0, count=2)
        assert [str(error) for error in recorder.errors] == ["1", "2"]
        scene.succeed()
        assert recorder.names == ["error", "close"] * 2 + ["open"]

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_what_ends_the_program_leaves_the_loop(
        self, scene: Scene, kind: type[BaseException]
    ) -> None:
        def leave() -> str:
            raise kind

        recorder = Recorder()
        scene.loop.connect(leave, recorder)
        with pytest.raises(kind):
            scene.loop.run_forever()
        recorder.close()
        scene.turn()
        assert recorder.events == [("close", 1006, "")]

    @pytest.mark.parametrize("which", ["url", "header", "cookie"])
    @pytest.mark.parametrize("verb", ["close", "abort"])
    @pytest.mark.parametrize("raises", [False, True])
    def test_one_may_call_the_attempt_off(
        self, scene: Scene, which: str, verb: str, raises: bool
    ) -> None:
        recorder = Recorder()
        good = {"url": "ws://scene/", "header": None, "cookie": None}[which]

        def give_up() -> Any:
            getattr(recorder, verb)()
            if raises:
                raise LookupError("no token, and there never will be one")
            return good

        scene.connect(recorder, reconnect=1.0, **{which: give_up})
        scene.turn(count=3)
        assert recorder.events == [("close", 1006, "")]
        assert scene.attempts == []
        scene.turn(100, count=3)
        assert scene.nothing_goes_on()


class TestStates:
    def test_nothing_can_be_sent_before_the_first_attempt_is_done(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.loop.connect("ws://scene/", recorder)
        with pytest.raises(WebSocketStateException):
            recorder.send("x")
        scene.turn(count=2)
        with pytest.raises(WebSocketStateException):
            recorder.send("x")

    def test_the_state_of_one_that_waits_is_connecting(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, reconnect=1.0).close()
        scene.turn()
        stats = scene.loop.stats()
        assert recorder.state is State.CONNECTING
        assert (stats.waiting, stats.connecting, stats.open) == (1, 0, 0)
        scene.turn(1.0)
        stats = scene.loop.stats()
        assert (stats.waiting, stats.connecting, stats.open) == (0, 1, 0)

    def test_no_password_is_in_an_error_message(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, url=lambda: "ws://user:sesame@scene/slow", write_limit=1)
        scene.sock.room = 0
        recorder.send("x")
        with pytest.raises(WebSocketQueueFullException) as caught:
            recorder.send("x")
        assert "ws://scene/slow" in str(caught.value)
        assert "sesame" not in str(caught.value)

    def test_one_connection_s_failures_touch_no_other(self, scene: Scene) -> None:
        good = Recorder()
        peer = scene.open(good)
        bad = Recorder()
        scene.connect(bad, reconnect=1.0)
        for _ in range(3):
            scene.fail(REFUSED)
            peer.text("hello")
            scene.turn(1.0, count=2)
        assert good.names == ["open"] + ["message"] * 3
        assert len(bad.closes) == 3


class TestMaskKey:
    """A function may make the masking keys, as tests and old habits want it."""

    @pytest.mark.parametrize("key", [b"\x01\x02\x03\xff", "\x01\x02\x03\xff"])
    def test_its_keys_are_used(self, scene: Scene, key: bytes | str) -> None:
        asked: list[int] = []

        def source(size: int) -> bytes | str:
            asked.append(size)
            return key

        recorder = Recorder()
        peer = scene.open(recorder, mask_key=source)
        recorder.send("hello")
        recorder.close()
        assert [frame.mask for frame in peer.frames()] == [b"\x01\x02\x03\xff"] * 2
        assert asked == [4, 4]

    @pytest.mark.parametrize("key", [b"", b"123", b"12345", "12345"])
    def test_one_of_another_size_is_an_error(self, scene: Scene, key: bytes | str) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, mask_key=lambda _: key)
        with pytest.raises(ValueError, match="a masking key is four bytes, not"):
            recorder.send("hello")
        assert peer.told() == []

    def test_by_default_they_are_not_to_be_foreseen(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        for _ in range(20):
            recorder.send("hello")
        assert len({frame.mask for frame in peer.frames()}) > 1
