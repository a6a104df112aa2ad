"""Sending, closing and aborting from other threads than the loop's: connection/handover.py."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from reactor import (
    State,
    WebSocketConnectionClosedException,
    WebSocketQueueFullException,
    WebSocketStateException,
    broadcast,
)
from reactor.connection.handover import CALL_SIZE, reserve, send_reserved
from reactor.protocols.shared import SharedMessage

from ..support.driving import replace_method
from ..support.recorder import Recorder
from ..support.scene import (
    GOODBYE,
    Scene,
    closes,
    in_thread,
)
from ..support.websocket_frames import (
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close_payload,
    read_frames,
)


class TestThreads:
    """``send``, ``ping``, ``pong``, ``send_frame``, ``close`` and ``abort`` from other threads."""

    def test_the_order_of_the_calls_is_kept(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)

        def calls() -> None:
            for i in range(100):
                recorder.send(f"{i}")
            recorder.ping(b"p")
            recorder.pong(b"q")
            recorder.send_frame(TEXT, b"a", fin=False)
            recorder.send_frame(CONT, b"b")
            recorder.close(4000)

        in_thread(calls)
        assert peer.told() == []
        scene.turn()
        told = peer.told()
        assert told[:100] == [(TEXT, b"%d" % i) for i in range(100)]
        assert told[100:] == [(PING, b"p"), (PONG, b"q"), (TEXT, b"a"), (CONT, b"b"), *closes(4000)]

    def test_several_threads_each_keep_theirs(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        start = threading.Barrier(4)

        def calls(name: int) -> None:
            start.wait(10)
            for i in range(200):
                recorder.send(f"{name} {i}")

        threads = [threading.Thread(target=calls, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) or recorder.buffered_amount:
            scene.turn()
            peer.look()
        for thread in threads:
            thread.join(10)
        told = [frame.payload.decode().split() for frame in read_frames(peer.received)]
        assert len(told) == 800
        for name in "0123":
            assert [int(i) for who, i in told if who == name] == list(range(200))
        assert recorder.buffered_amount == 0

    def test_what_a_thread_sends_counts_toward_the_limit_at_once(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=100 + 2 * CALL_SIZE)

        def calls() -> None:
            recorder.send(bytes(60))
            assert recorder.buffered_amount == 60 + CALL_SIZE
            recorder.send(bytes(40))
            with pytest.raises(WebSocketQueueFullException, match="write_limit is 740"):
                recorder.send(b"x")

        in_thread(calls)
        scene.turn()
        assert recorder.buffered_amount == 0
        in_thread(lambda: recorder.send(b"there is room again"))

    @pytest.mark.parametrize(
        "send",
        [
            lambda recorder: recorder.send(b""),
            lambda recorder: recorder.ping(),
            lambda recorder: recorder.send_fragment(b""),
            lambda recorder: recorder.send_fragments([]),
            lambda recorder: broadcast([recorder], "") and None,
        ],
    )
    def test_what_is_empty_counts_too(
        self, scene: Scene, send: Callable[[Recorder], object]
    ) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=10 * CALL_SIZE)

        def calls() -> None:
            for _ in range(10):
                send(recorder)
            with pytest.raises(WebSocketQueueFullException):
                recorder.send(b"")

        in_thread(calls)

    def test_so_does_what_is_queued(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=100)
        scene.sock.room = 0
        recorder.send(bytes(100))
        with pytest.raises(WebSocketQueueFullException):
            in_thread(lambda: recorder.send(b"x"))

    @pytest.mark.parametrize("verb", ["close", "abort"])
    def test_who_has_ended_the_connection_cannot_send_any_more(
        self, scene: Scene, verb: str
    ) -> None:
        """Although the loop has not got to it yet."""
        recorder = Recorder()
        peer = scene.open(recorder)

        def calls() -> None:
            recorder.send("before")
            getattr(recorder, verb)()
            with pytest.raises(WebSocketConnectionClosedException):
                recorder.send("after")

        in_thread(calls)
        scene.turn()
        assert b"after" not in [payload for _, payload in peer.told()]

    def test_what_comes_too_late_is_dropped(self, scene: Scene) -> None:
        """The loop closes between the call and its turn."""
        recorder = Recorder()
        peer = scene.open(recorder)
        in_thread(lambda: recorder.send("too late"))
        recorder.close()
        scene.turn()
        assert peer.told() == closes(1000)
        assert recorder.buffered_amount == 0

    def test_so_is_what_comes_when_the_peer_has_closed(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        peer.send(GOODBYE)
        in_thread(lambda: recorder.send("too late"))
        scene.turn()
        assert recorder.names == ["open", "close"]
        assert peer.told() == [(CLOSE, close_payload(1000, b"bye"))]

    @pytest.mark.parametrize("verb", ["close", "abort"])
    def test_ending(self, scene: Scene, verb: str) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        in_thread(getattr(recorder, verb))
        assert recorder.state is State.OPEN
        scene.turn(count=2)
        if verb == "close":
            assert peer.told() == closes(1000)
            peer.send(GOODBYE)
            scene.turn()
        assert recorder.names == ["open", "close"]

    def test_the_loop_is_woken(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        asleep = threading.Event()
        poll = scene.loop.loop.poller.poll

        def watched(timeout: float | None) -> Any:
            asleep.set()
            return poll(timeout)

        replace_method(scene.loop.loop.poller, "poll", watched)

        def call() -> None:
            assert asleep.wait(10)
            recorder.send("wake up")

        thread = threading.Thread(target=call)
        thread.start()
        while not peer.told():
            scene.loop.run_once(30)  # there are no timers: only the wake-up ends this
        thread.join(10)

    def test_a_full_queue_may_end_the_connection(self, scene: Scene) -> None:
        """The thread hears that it is over, and ``on_error`` why."""
        recorder = Recorder()
        scene.open(recorder, write_limit=100, on_overflow="close")
        scene.sock.room = 0
        recorder.send(bytes(100))
        with pytest.raises(WebSocketConnectionClosedException):
            in_thread(lambda: recorder.send(b"x"))
        scene.turn(count=2)
        assert recorder.names == ["open", "error", "close"]
        assert isinstance(recorder.errors[0], WebSocketQueueFullException)

    def test_where_there_is_no_open_connection(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder)
        with pytest.raises(WebSocketStateException, match="not open yet"):
            in_thread(lambda: recorder.send(b"x"))

    def test_room_is_reserved_for_a_broadcast_and_given_back(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        connection = recorder._reactor_connection
        session = in_thread(lambda: reserve(connection, 60))
        assert recorder.buffered_amount == 60 + CALL_SIZE
        send_reserved(connection, session, SharedMessage(TEXT, bytes(60), None))
        assert recorder.buffered_amount == 0
        assert peer.told() == [(TEXT, bytes(60))]
