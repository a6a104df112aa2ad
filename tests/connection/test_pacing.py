"""What becomes of a peer that sends, and takes less than it is sent: the option on_overflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reactor import (
    Backoff,
    Listener,
    Reactor,
    WebSocketConnectionClosedException,
    WebSocketQueueFullException,
    broadcast,
)
from reactor.connection.connection import Connection
from reactor.protocols.receiving import MAX_FRAMES
from reactor.timers import ManualClock

from ..support.certificates import Authority
from ..support.clients import RawClient, RawTLSClient
from ..support.recorder import Recorder
from ..support.scene import FAULT, GOODBYE, Actor, Peer, Scene, echo, in_thread, text
from ..support.serving import Served
from ..support.websocket_frames import CLOSE, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("no_leaks")

BODY = "x" * 490
MESSAGES = [f"{number:03}{BODY}" for number in range(20)]

#: Two echoes fill the queue.
PACED: dict[str, Any] = {"on_overflow": "pause", "high_water": 900, "low_water": 100}


def open_stuck(scene: Scene, actor: Recorder, *last: bytes, **options: Any) -> Peer:
    """Open a connection whose peer sends all messages in one piece, and takes nothing."""
    peer = scene.open(actor, **(PACED | options))
    scene.sock.room = 0
    peer.send(*map(text, MESSAGES), *last)
    scene.turn(count=3)
    return peer


def echoes(peer: Peer) -> list[str]:
    return [payload.decode() for opcode, payload in peer.told() if opcode == TEXT]


# --- pause ----------------------------------------------------------------------------------------


def test_what_was_read_is_held_back_while_the_peer_takes_nothing(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = open_stuck(scene, actor)
    assert actor.messages == MESSAGES[:2]
    assert scene.loop.stats().readers == 0
    peer.text("more")
    scene.turn(count=3)
    assert actor.messages == MESSAGES[:2]


def test_it_goes_on_where_it_was_when_the_peer_takes_again(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = open_stuck(scene, actor)
    peer.text("more")
    received = []
    for _ in range(60):
        scene.sock.room = 400  # a little at a time
        scene.turn()
        received.append(peer.look())
        connection = actor._reactor_connection
        assert isinstance(connection, Connection)
        assert connection.stream.queued <= 900 + 2 * 500
    scene.sock.room = None
    scene.turn(count=20)
    assert actor.messages == [*MESSAGES, "more"]
    assert actor.errors == []
    assert scene.loop.stats().readers == 1


def test_nothing_is_lost_and_nothing_turned_around(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = open_stuck(scene, actor)
    scene.sock.room = None
    scene.turn(count=20)
    assert echoes(peer) == MESSAGES
    peer.text("after")
    scene.turn(count=2)
    assert echoes(peer) == ["after"]


def test_who_takes_everything_is_never_paused(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = scene.open(actor, **PACED)
    peer.send(*map(text, MESSAGES))
    scene.turn()
    assert echoes(peer) == MESSAGES


def test_reading_that_the_user_has_paused_stays_paused(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = open_stuck(scene, actor)
    actor.pause_reading()
    actor.resume_reading()
    assert scene.loop.stats().readers == 0  # for the other reason
    actor.pause_reading()
    scene.sock.room = None
    scene.turn(count=20)
    assert actor.messages == MESSAGES  # they had been read
    peer.text("more")
    scene.turn(count=3)
    assert actor.messages == MESSAGES
    actor.resume_reading()
    scene.turn(count=3)
    assert actor.messages == [*MESSAGES, "more"]


@pytest.mark.parametrize(
    ("last", "code"), [(GOODBYE, 1000), (FAULT, 1002)], ids=["close frame", "fault"]
)
def test_the_last_word_waits_behind_the_messages(scene: Scene, last: bytes, code: int) -> None:
    actor = Actor(message=echo)
    peer = open_stuck(scene, actor, last)
    assert actor.closes == []
    scene.sock.room = None
    scene.turn(count=20)
    assert actor.messages == MESSAGES
    assert [given for given, _ in actor.closes] == [code]
    assert echoes(peer) == MESSAGES


def test_a_connection_that_is_lost_has_its_messages_delivered_first(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = open_stuck(scene, actor)
    scene.sock.room = None
    scene.sock.fault = BrokenPipeError(32, "Broken pipe")
    peer.close()
    scene.turn(count=5)
    assert actor.messages == MESSAGES
    assert actor.closes == [(1006, "")]
    assert actor.names[-1] == "close"


def test_a_handler_that_closes_hears_no_more_of_what_is_held_back(scene: Scene) -> None:
    def twice_then_close(actor: Actor) -> None:
        echo(actor)
        if len(actor.messages) == 3:
            actor.close(4000)

    actor = Actor(message=twice_then_close)
    peer = open_stuck(scene, actor, GOODBYE)
    scene.sock.room = None
    scene.turn(count=20)
    assert actor.messages == MESSAGES[:3]
    assert actor.closes == [(1000, "bye")]
    assert [opcode for opcode, _ in peer.told()] == [TEXT, TEXT, TEXT, CLOSE]


def test_close_from_outside_has_the_answer_read(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = open_stuck(scene, actor)
    actor.close()
    scene.sock.room = None
    scene.turn(count=5)
    assert actor.messages == MESSAGES[:2]
    peer.say_goodbye()
    scene.turn(count=3)
    assert actor.closes == [(1000, "")]


def test_abort_drops_what_is_held_back(scene: Scene) -> None:
    actor = Actor(message=echo)
    open_stuck(scene, actor)
    actor.abort()
    scene.turn(count=3)
    assert actor.messages == MESSAGES[:2]
    assert actor.closes == [(1006, "")]


def test_the_next_connection_begins_anew(scene: Scene) -> None:
    actor = Actor(message=echo)
    open_stuck(scene, actor, reconnect=Backoff(jitter=False))
    connection = actor._reactor_connection
    assert isinstance(connection, Connection)
    connection.stream.abort()
    scene.turn(count=3)
    scene.turn(60.0, count=2)
    peer = scene.succeed()
    peer.text("hello")
    scene.turn(count=2)
    assert echoes(peer) == ["hello"]
    assert actor.messages == [*MESSAGES, "hello"]


@pytest.mark.parametrize("interrupted", [2, 3, 4])
def test_ctrl_c_in_a_handler_loses_nothing(scene: Scene, interrupted: int) -> None:
    def interrupt(actor: Actor) -> None:
        echo(actor)
        if len(actor.messages) == interrupted:
            raise KeyboardInterrupt

    actor = Actor(message=interrupt)
    peer = scene.open(actor, **PACED)
    scene.sock.room = 0
    peer.send(*map(text, MESSAGES))
    interrupts = 0
    for _ in range(40):
        try:
            scene.turn()
        except KeyboardInterrupt:
            interrupts += 1
        scene.sock.room = None
    assert interrupts == 1
    assert actor.messages == MESSAGES
    assert echoes(peer) == MESSAGES
    peer.text("after")
    scene.turn(count=2)
    assert echoes(peer) == ["after"]


def test_a_peer_that_takes_nothing_is_found_by_the_keep_alive(scene: Scene) -> None:
    actor = Actor(message=echo)
    open_stuck(scene, actor, ping_interval=20.0, ping_timeout=10.0)
    scene.turn(20.0, count=2)
    assert actor.closes == []
    scene.turn(11.0, count=3)
    assert [str(error) for error in actor.errors] == ["ping/pong timed out"]
    assert actor.closes == [(1006, "")]


def test_a_peer_that_takes_little_by_little_is_alive(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = open_stuck(scene, actor, ping_interval=20.0, ping_timeout=10.0)
    for _ in range(20):
        scene.sock.room = 10
        scene.turn(8.0, count=2)
    assert actor.closes == []
    scene.sock.room = None
    scene.turn(count=20)
    assert echoes(peer) == MESSAGES


def test_who_takes_an_endless_message_is_read_meanwhile(scene: Scene) -> None:
    actor = Actor()
    peer = scene.open(actor, **PACED)
    actor.send_fragments(iter(lambda: BODY, ""))
    for number in range(5):
        peer.text(f"{number}")
        scene.turn(count=3)
        peer.look()
    assert actor.messages == list("01234")


def test_answers_that_wait_behind_an_endless_message_are_not_without_bounds(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = scene.open(actor, **PACED)
    actor.send_fragment("begun ")
    peer.send(*map(text, MESSAGES))
    scene.turn(count=3)
    assert actor.messages == MESSAGES[:2]
    assert scene.loop.stats().readers == 0
    actor.send_fragment("ended", fin=True)
    scene.turn(count=20)
    assert actor.messages == MESSAGES
    received = [payload.decode() for _, payload in peer.told()]
    assert received == ["begun ", "ended", *MESSAGES]
    assert scene.loop.stats().readers == 1


def test_a_peer_that_has_taken_everything_is_not_found_dead(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = scene.open(actor, **PACED, ping_interval=20.0, ping_timeout=10.0)
    actor.send_fragment("begun ")
    peer.send(*map(text, MESSAGES))
    for _ in range(5):
        scene.turn(20.0, count=2)
        scene.turn(11.0, count=2)
    assert actor.closes == []


def test_a_handler_that_sends_more_than_the_limit_at_one_go_is_told(scene: Scene) -> None:
    def flood(actor: Actor) -> None:
        for _ in range(20):
            actor.send(BODY)

    actor = Actor(message=flood)
    open_stuck(scene, actor, write_limit=4000)
    assert {type(error) for error in actor.errors} == {WebSocketQueueFullException}
    assert len(actor.messages) == 1


def test_marks_at_the_limit_leave_room_for_one_more_answer(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = open_stuck(scene, actor, high_water=2000, low_water=1000, write_limit=2000)
    scene.sock.room = None
    scene.turn(count=20)
    assert echoes(peer) == MESSAGES
    assert actor.errors == []


# --- over the network -----------------------------------------------------------------------------

CHUNK = "y" * 65_000


class Generous(Recorder):
    """Answers a word with a lot."""

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.send(f"{message!s:10}{CHUNK}")


@pytest.fixture
def loop(clock: ManualClock) -> Iterator[Reactor]:
    with Reactor(clock=clock) as reactor:
        yield reactor


def connect(loop: Reactor, listener: Listener, authority: Authority, secure: bool) -> RawClient:
    if secure:
        return RawTLSClient(loop, listener.address, authority.client_context())
    return RawClient(loop, listener.address, receive=4096)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_many_small_requests_with_large_answers(
    loop: Reactor, authority: Authority, caplog: pytest.LogCaptureFixture, secure: bool
) -> None:
    served = Generous()
    listener = loop.listen(
        "127.0.0.1",
        0,
        lambda: served,
        on_overflow="pause",
        write_limit=1 << 20,
        ssl=authority.server_context if secure else None,
    )
    with connect(loop, listener, authority, secure) as client:
        client.upgrade()
        client.send(b"".join(build_frame(TEXT, b"%d" % n, key=b"abcd") for n in range(200)))
        most = 0
        for _ in range(50):
            loop.run_once(0)
            most = max(most, served.buffered_amount)
        assert len(served.messages) < 100
        assert most < 300_000
        answers = [client.frame().payload for _ in range(200)]
        assert [int(answer[:10]) for answer in answers] == list(range(200))
        assert served.errors == []
        assert not caplog.records


def test_a_client_that_sends_for_ever_and_never_reads_is_held_back_by_tcp(
    loop: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served()
    listener = loop.listen("127.0.0.1", 0, served, on_overflow="pause")
    with RawClient(loop, listener.address, receive=4096) as client:
        client.upgrade()
        frame = build_frame(TEXT, b"z" * 1000, key=b"abcd")
        data = memoryview(frame * 1000)
        sent, idle = 0, 0
        while idle < 100:
            try:
                sent += client.sock.send(data[sent % len(frame) :])
                idle = 0
            except BlockingIOError:
                idle += 1
            loop.run_once(0)
        assert served[0].buffered_amount < 400_000
        assert served[0].errors == []
        assert not caplog.records
        with RawClient(loop, listener.address) as other:
            other.upgrade()
            other.send_frame(TEXT, b"hello")
            assert other.frame().payload == b"hello"


# --- close ----------------------------------------------------------------------------------------

CLOSING: dict[str, Any] = {
    "on_overflow": "close",
    "write_limit": 2000,
    "high_water": 900,
    "low_water": 100,
}


def test_who_does_not_take_what_it_is_sent_is_cut_off(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    actor = Actor(message=echo)
    open_stuck(scene, actor, **CLOSING)
    assert len(actor.messages) < len(MESSAGES)
    assert [type(error) for error in actor.errors] == [WebSocketQueueFullException]
    assert actor.closes == [(1006, "")]
    assert actor.names[-2:] == ["error", "close"]
    assert not caplog.records
    assert scene.nothing_goes_on()


def fill(scene: Scene, protocol: Recorder, **options: Any) -> None:
    """Open a connection and send until its queue is full."""
    scene.open(protocol, **CLOSING, **options)
    scene.sock.room = 0
    while protocol.buffered_amount < 2000:
        protocol.send(BODY)
        scene.turn()


def test_send_says_nothing_and_the_handlers_do_when_it_has_returned(scene: Scene) -> None:
    recorder = Recorder()
    fill(scene, recorder)
    assert recorder.send("too much") == 0
    assert recorder.names == ["open"]
    with pytest.raises(WebSocketConnectionClosedException):
        recorder.send("more")
    scene.turn(count=2)
    assert recorder.names == ["open", "error", "close"]


@pytest.mark.parametrize(
    "verb",
    [
        lambda protocol: protocol.ping(),
        lambda protocol: protocol.send_frame(TEXT, b"x"),
        lambda protocol: protocol.send_fragment("x"),
        lambda protocol: protocol.send_fragments(["x"]),
    ],
)
@pytest.mark.parametrize("there", [False, True], ids=["here", "another thread"])
def test_other_verbs_find_the_connection_closed(
    scene: Scene, verb: Callable[[Recorder], object], there: bool
) -> None:
    recorder = Recorder()
    fill(scene, recorder)
    with pytest.raises(WebSocketConnectionClosedException):
        in_thread(lambda: verb(recorder)) if there else verb(recorder)
    scene.turn(count=3)
    assert [type(error) for error in recorder.errors] == [WebSocketQueueFullException]
    assert recorder.closes == [(1006, "")]


def test_another_thread_that_sends_finds_it_closed(scene: Scene) -> None:
    recorder = Recorder()
    fill(scene, recorder)
    with pytest.raises(WebSocketConnectionClosedException):
        in_thread(lambda: recorder.send("too much"))
    scene.turn(count=3)
    assert recorder.names == ["open", "error", "close"]


def test_a_broadcast_cuts_off_who_does_not_take_it_and_reaches_the_others(scene: Scene) -> None:
    slow, other = Recorder(), Recorder()
    fill(scene, slow)
    peer = scene.open(other, **CLOSING)
    assert broadcast([slow, other], "news") == 2
    scene.turn(count=3)
    assert echoes(peer) == ["news"]
    assert slow.names == ["open", "error", "close"]
    assert other.names == ["open"]


def test_a_client_that_was_cut_off_connects_again(scene: Scene) -> None:
    recorder = Recorder()
    fill(scene, recorder, reconnect=Backoff(jitter=False))
    with pytest.raises(WebSocketConnectionClosedException):
        in_thread(lambda: recorder.send("too much"))
    scene.turn(count=3)
    scene.turn(60.0, count=2)
    peer = scene.succeed()
    in_thread(lambda: recorder.send("again"))
    scene.turn(count=2)
    assert echoes(peer) == ["again"]


# --- the option -----------------------------------------------------------------------------------


def test_by_default_it_is_an_error_of_send(scene: Scene) -> None:
    actor = Actor(message=echo)
    open_stuck(scene, actor, on_overflow="raise", write_limit=2000)
    assert actor.messages == MESSAGES
    assert {type(error) for error in actor.errors} == {WebSocketQueueFullException}
    assert actor.closes == []


def test_a_failed_write_ends_the_waiting_for_room(scene: Scene) -> None:
    """Nothing leaves any more, so nothing that came is held back for it."""
    actor = Actor(message=echo)
    peer = open_stuck(scene, actor, GOODBYE)
    assert len(actor.messages) < len(MESSAGES)
    peer.close()
    scene.sock.room = None
    scene.turn(count=10)
    assert actor.messages == MESSAGES
    assert actor.closes == [(1000, "bye")]
    assert scene.nothing_goes_on()


def test_more_than_a_turn_may_deliver_waits_for_room_too(scene: Scene) -> None:
    actor = Actor(message=echo)
    peer = scene.open(actor, **PACED)
    scene.sock.room = 0
    numbers = [f"{number}" for number in range(3 * MAX_FRAMES)]
    peer.send(b"".join(map(text, numbers)))
    scene.turn(count=10)
    assert len(actor.messages) < MAX_FRAMES
    assert actor.buffered_amount < 2000
    scene.sock.room = None
    got: list[str] = []
    for _ in range(200):
        got += echoes(peer)
        scene.turn()
    assert got == actor.messages == numbers


@pytest.mark.parametrize("end", ["end", "close"])
def test_all_of_more_than_a_turn_may_deliver_comes_before_the_end(scene: Scene, end: str) -> None:
    actor = Actor(message=echo)
    peer = scene.open(actor, **PACED)
    scene.sock.room = 0
    numbers = [f"{number}" for number in range(3 * MAX_FRAMES)]
    peer.send(b"".join(map(text, numbers)))
    scene.turn(count=3)
    getattr(peer, end)()
    scene.sock.room = None
    for _ in range(200):
        if not peer.sock._closed:  # type: ignore[attr-defined]
            peer.look()
        scene.turn()
    assert actor.messages == numbers
    assert actor.closes == [(1006, "")]
    assert scene.nothing_goes_on()
