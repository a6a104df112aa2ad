"""broadcast(): one message to many connections."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from reactor import (
    Deflate,
    Reactor,
    WebSocketProtocol,
    WebSocketQueueFullException,
    broadcast,
)
from reactor.connection.handover import CALL_SIZE
from reactor.protocols.session import WebSocketSession

from ..support.clients import RawClient
from ..support.driving import run_until
from ..support.recorder import Recorder
from ..support.scene import Actor, Scene, in_thread
from ..support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    TEXT,
    Frame,
    build_frame,
    close_payload,
    read_frames,
)
from ..support.zlib_peer import RSV1, ZlibPeer, agreements

LONG = "news " * 100

#: Where frames for several receivers are made.
shared: Any = import_module("reactor.protocols.shared")


class Room:
    """A server, and clients of it.

    Attributes:
        members: the protocol objects of the server, in the order of the clients.
    """

    def __init__(self, loop: Reactor, raw_client: Callable[..., RawClient], **options: Any) -> None:
        self.loop = loop
        self.members: list[Recorder] = []
        self._raw_client = raw_client
        self.listener = loop.listen("127.0.0.1", 0, self._member, ping_interval=None, **options)

    def _member(self) -> Recorder:
        self.members.append(Recorder())
        return self.members[-1]

    def enter(self, *lines: str, **options: Any) -> RawClient:
        """Return a client that is connected; *lines* are in its request."""
        client = self._raw_client(self.listener, **options)
        count = len(self.members)
        client.upgrade(*lines)
        run_until(self.loop, lambda: len(self.members) > count)
        return client

    def enter_with_compression(self, parameters: str = "") -> RawClient:
        """The same, where the client offers this."""
        return self.enter(f"Sec-WebSocket-Extensions: permessage-deflate{parameters}")


@pytest.fixture
def room(loop: Reactor, raw_client: Callable[..., RawClient]) -> Room:
    return Room(loop, raw_client, compression="deflate")


@pytest.fixture
def serialized(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The payloads that were made frames of, for several receivers."""
    payloads: list[bytes] = []
    serialize = shared.serialize

    def serialize_and_tell(opcode: int, payload: bytes, *args: Any, **options: Any) -> bytes:
        payloads.append(payload)
        frame: bytes = serialize(opcode, payload, *args, **options)
        return frame

    monkeypatch.setattr(shared, "serialize", serialize_and_tell)
    return payloads


@pytest.fixture
def compressed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages that were compressed for several receivers."""
    messages: list[bytes] = []
    compress = shared.compress_alone

    def compress_and_tell(agreement: Any, message: bytes) -> bytes:
        messages.append(message)
        result: bytes = compress(agreement, message)
        return result

    monkeypatch.setattr(shared, "compress_alone", compress_and_tell)
    return messages


def plain(frame: Frame) -> tuple[int, bytes]:
    assert (frame.fin, frame.rsv, frame.mask) == (True, 0, None)
    return frame.opcode, frame.payload


class TestReceivers:
    @pytest.mark.parametrize(
        ("message", "expected"),
        [
            ("grüße", (TEXT, "grüße".encode())),
            (b"\x00", (BINARY, b"\x00")),
            (bytearray(b"\x01"), (BINARY, b"\x01")),
            (memoryview(b"\x02"), (BINARY, b"\x02")),
            ("", (TEXT, b"")),
            (bytes(70_000), (BINARY, bytes(70_000))),
        ],
    )
    def test_all_get_it(self, room: Room, message: Any, expected: tuple[int, bytes]) -> None:
        clients = [room.enter() for _ in range(3)]
        assert broadcast(room.members, message) == 3
        assert [plain(client.frame()) for client in clients] == [expected] * 3

    def test_it_is_serialized_once(self, room: Room, serialized: list[bytes]) -> None:
        clients = [room.enter() for _ in range(5)]
        assert broadcast(room.members, "news") == 5
        assert broadcast(iter(room.members[:2]), LONG) == 2
        assert serialized == [b"news", LONG.encode()]
        assert [plain(client.frame()) for client in clients] == [(TEXT, b"news")] * 5

    def test_nothing_is_serialized_for_nobody(self, room: Room, serialized: list[bytes]) -> None:
        assert broadcast([], "news") == 0
        assert broadcast([WebSocketProtocol()], "news") == 0
        assert serialized == []

    @pytest.mark.parametrize("message", [None, 1, ["x"], object()])
    def test_another_type_is_an_error_of_the_call(self, room: Room, message: Any) -> None:
        client = room.enter()
        for members in (room.members, []):
            with pytest.raises(TypeError, match=type(message).__name__):
                broadcast(members, message)
        broadcast(room.members, "good")
        assert plain(client.frame()) == (TEXT, b"good")

    def test_those_that_are_not_open_are_passed_over(self, room: Room) -> None:
        clients = [room.enter() for _ in range(4)]
        _, closing, aborted, closed = room.members
        closing.close()
        clients[3].close()
        run_until(room.loop, lambda: closed.closes)
        aborted.abort()
        never = WebSocketProtocol()
        assert broadcast([never, *room.members], "news") == 1
        assert plain(clients[0].frame()) == (TEXT, b"news")
        assert plain(clients[1].frame()) == (CLOSE, close_payload(1000))
        assert all(member.errors == [] for member in (closing, aborted))

    def test_its_place_is_that_of_the_call(self, room: Room) -> None:
        client = room.enter()
        (member,) = room.members
        member.send("1")
        broadcast([member], "2")
        member.send("3")
        broadcast([member], "4")
        assert [client.frame().payload for _ in range(4)] == [b"1", b"2", b"3", b"4"]

    def test_who_stands_in_the_list_twice_gets_it_twice(self, room: Room) -> None:
        client = room.enter()
        assert broadcast(room.members * 2, "news") == 2
        assert [plain(client.frame()) for _ in range(2)] == [(TEXT, b"news")] * 2

    def test_a_handler_can_broadcast_to_all(
        self, loop: Reactor, raw_client: Callable[..., RawClient]
    ) -> None:
        """What most servers of this kind are."""
        members: set[WebSocketProtocol] = set()

        class Member(WebSocketProtocol):
            def on_open(self) -> None:
                members.add(self)

            def on_message(self, message: str | bytes) -> None:
                broadcast(members, message)

            def on_close(self, code: int, reason: str) -> None:
                members.discard(self)

        listener = loop.listen("127.0.0.1", 0, Member)
        clients = [raw_client(listener) for _ in range(3)]
        for client in clients:
            client.upgrade()
        clients[1].send_frame(TEXT, b"hello")
        assert [plain(client.frame()) for client in clients] == [(TEXT, b"hello")] * 3

    def test_it_waits_behind_fragments(self, room: Room) -> None:
        clients = [room.enter() for _ in range(2)]
        room.members[0].send_fragment("one ")
        assert broadcast(room.members, "news") == 2
        assert plain(clients[1].frame()) == (TEXT, b"news")
        room.members[0].send_fragment("two", fin=True)
        frames = [clients[0].frame() for _ in range(3)]
        assert [(frame.opcode, frame.payload) for frame in frames] == [
            (TEXT, b"one "),
            (CONT, b"two"),
            (TEXT, b"news"),
        ]


class TestSlowReceivers:
    @pytest.fixture
    def slow_room(self, loop: Reactor, raw_client: Callable[..., RawClient]) -> Room:
        return Room(loop, raw_client, write_limit=100_000)

    def test_one_at_its_limit_goes_without(self, slow_room: Room) -> None:
        slow = slow_room.enter(receive=4096)
        fast = slow_room.enter()
        message = bytes(50_000)
        member, other = slow_room.members
        count = 0
        while not member.errors:
            assert broadcast(slow_room.members, message) == 2
            assert plain(fast.frame()) == (BINARY, message)
            count += 1
            assert count < 1000
        assert [type(error) for error in member.errors] == [WebSocketQueueFullException]
        assert other.errors == []
        assert member.closes == []
        for _ in range(count - 1):
            assert plain(slow.frame()) == (BINARY, message)
        assert broadcast(slow_room.members, "again") == 2
        assert plain(slow.frame()) == plain(fast.frame()) == (TEXT, b"again")

    def test_what_its_on_error_does_harms_nobody(self, scene: Scene) -> None:
        """It raises, closes itself or another one."""

        def fail(_: Actor) -> None:
            raise LookupError

        others = [Recorder() for _ in range(3)]
        slow = [
            Actor(error=fail),
            Actor(error=lambda actor: actor.close()),
            Actor(error=lambda actor: actor.abort()),
            Actor(error=lambda actor: others[1].close()),
        ]
        for actor in slow:
            scene.open(actor, write_limit=100)
            scene.sock.room = 0
            actor.send(bytes(100))
        peers = [scene.open(other) for other in others]
        assert broadcast([*slow, *others], "news") == 7
        scene.turn()
        for actor in slow:
            assert isinstance(actor.errors[0], WebSocketQueueFullException)
        assert [peer.told() for peer in peers] == [
            [(TEXT, b"news")],
            [(CLOSE, close_payload(1000))],
            [(TEXT, b"news")],
        ]

    def test_one_that_is_ended_by_it_is_told_why(self, scene: Scene) -> None:
        slow, other = Recorder(), Recorder()
        scene.open(slow, write_limit=100, on_overflow="close")
        scene.sock.room = 0
        slow.send(bytes(100))
        peer = scene.open(other)
        assert broadcast([slow, other], "news") == 2
        scene.turn(count=2)
        assert slow.names == ["open", "error", "close"]
        assert isinstance(slow.errors[0], WebSocketQueueFullException)
        assert peer.told() == [(TEXT, b"news")]

    def test_a_set_may_change_meanwhile(self, scene: Scene) -> None:
        members: set[WebSocketProtocol] = set()
        slow = Actor(error=lambda actor: members.discard(actor))
        scene.open(slow, write_limit=100)
        scene.sock.room = 0
        slow.send(bytes(100))
        others = [Recorder() for _ in range(3)]
        peers = [scene.open(other) for other in others]
        members.update([slow, *others])
        assert broadcast(members, "news") == 4
        assert slow not in members
        assert [peer.told() for peer in peers] == [[(TEXT, b"news")]] * 3


class TestCompression:
    def test_it_is_compressed_once(
        self, room: Room, serialized: list[bytes], compressed: list[bytes]
    ) -> None:
        clients = [room.enter_with_compression() for _ in range(4)]
        assert broadcast(room.members, LONG) == 4
        payloads = set()
        for client in clients:
            frame = client.frame()
            assert (frame.opcode, frame.rsv) == (TEXT, RSV1)
            assert ZlibPeer().inflate(frame.payload) == LONG.encode()
            payloads.add(frame.payload)
        assert compressed == [LONG.encode()]
        assert serialized == [*payloads]

    def test_once_for_each_kind_of_agreement(
        self, room: Room, serialized: list[bytes], compressed: list[bytes]
    ) -> None:
        """Those without compression get the same bytes as each other."""
        kinds = [
            "",
            "; server_no_context_takeover",
            "; server_max_window_bits=9",
            "; server_max_window_bits=9",
            "; server_max_window_bits=8; server_no_context_takeover",
        ]
        clients = [room.enter_with_compression(kind) for kind in kinds]
        others = [room.enter() for _ in range(2)]
        assert broadcast(room.members, LONG) == 7
        for client, bits in zip(clients, (15, 15, 9, 9, 8), strict=True):
            frame = client.frame()
            assert frame.rsv == RSV1
            assert ZlibPeer(their_bits=bits).inflate(frame.payload) == LONG.encode()
        assert [plain(other.frame()) for other in others] == [(TEXT, LONG.encode())] * 2
        assert 2 <= len(compressed) <= 4
        assert len(serialized) == len(compressed) + 1

    @pytest.mark.parametrize("bits", range(8, 16))
    def test_later_messages_with_takeover_are_in_step(self, room: Room, bits: int) -> None:
        """Broadcasts between messages of the connection's own; the peer has one window."""
        client = room.enter_with_compression(f"; server_max_window_bits={bits}")
        other = room.enter_with_compression()
        member = room.members[0]
        source = random.Random(bits)
        peers = (ZlibPeer(their_bits=bits), ZlibPeer())
        for _ in range(10):
            own = source.choice([LONG.encode(), source.randbytes(200) * 2])
            news = source.choice([LONG.encode(), source.randbytes(200) * 2])
            member.send(own)
            broadcast(room.members, news)
            member.send(own)
            member.send(own)
            got = [peers[0].inflate(client.frame().payload) for _ in range(4)]
            assert got == [own, news, own, own]
            assert peers[1].inflate(other.frame().payload) == news

    def test_within_a_compressed_message_in_fragments(self, room: Room) -> None:
        client = room.enter_with_compression()
        (member,) = room.members
        member.send_fragment(LONG)
        broadcast(room.members, LONG)
        member.send_fragment(LONG, fin=True)
        member.send(LONG)
        frames = [client.frame() for _ in range(4)]
        peer = ZlibPeer()
        assert [frame.rsv for frame in frames] == [RSV1, 0, RSV1, RSV1]
        assert peer.inflate(frames[0].payload, frames[1].payload) == LONG.encode() * 2
        assert [peer.inflate(frame.payload) for frame in frames[2:]] == [LONG.encode()] * 2

    @pytest.mark.parametrize("compress", [True, False, None])
    def test_whether_it_is_compressed(
        self, room: Room, compressed: list[bytes], compress: bool | None
    ) -> None:
        client = room.enter_with_compression()
        broadcast(room.members, "short", compress)
        broadcast(room.members, LONG, compress=compress)
        short, long = client.frame(), client.frame()
        assert short.rsv == (RSV1 if compress else 0)
        assert long.rsv == (0 if compress is False else RSV1)
        if compress is False:
            assert compressed == []

    def test_each_connection_s_threshold_counts(
        self, loop: Reactor, raw_client: Callable[..., RawClient]
    ) -> None:
        rooms = [Room(loop, raw_client, compression=Deflate(threshold=n)) for n in (5, 50)]
        clients = [room.enter_with_compression() for room in rooms]
        broadcast([room.members[0] for room in rooms], "ten bytes!")
        assert [client.frame().rsv for client in clients] == [RSV1, 0]

    def test_one_that_goes_without_it_stays_in_step(self, scene: Scene) -> None:
        """The window of a connection whose queue was full is as its peer's."""
        clients, _ = agreements()
        recorder = Recorder()
        scene.connect(recorder, write_limit=300)
        peer = scene.succeed(agreement=clients)
        text = random.Random(1).randbytes(400)
        scene.sock.room = 0
        recorder.send(text)
        broadcast([recorder], LONG)
        assert [type(error) for error in recorder.errors] == [WebSocketQueueFullException]
        scene.sock.room = None
        scene.turn()
        recorder.send(text)
        broadcast([recorder], LONG)
        recorder.send(text)
        zlib_peer = ZlibPeer()
        messages = [zlib_peer.inflate(frame.payload) for frame in peer.frames() if frame.rsv]
        assert messages == [text, text, LONG.encode(), text]


class TestClientsAsReceivers:
    """Connections that we have opened: each frame has a mask of its own."""

    def test_each_gets_it_masked(self, scene: Scene, serialized: list[bytes]) -> None:
        recorders = [Recorder() for _ in range(3)]
        peers = [scene.open(recorder) for recorder in recorders]
        assert broadcast(recorders, "news") == 3
        frames = [frame for peer in peers for frame in peer.frames()]
        assert [(frame.opcode, frame.payload) for frame in frames] == [(TEXT, b"news")] * 3
        assert len({frame.mask for frame in frames} - {None}) == 3
        assert serialized == []

    def test_one_that_connects_or_waits_is_passed_over(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder, reconnect=1.0)
        assert broadcast([recorder], "news") == 0
        peer = scene.succeed()
        assert broadcast([recorder], "news") == 1
        assert peer.told() == [(TEXT, b"news")]
        peer.close()
        scene.turn()
        assert broadcast([recorder], "news") == 0
        assert [error for error in recorder.errors if "queue" in str(error)] == []

    def test_what_is_read_in_the_same_turn_is_not_disturbed(self, scene: Scene) -> None:
        recorders = [Recorder(), Recorder()]
        peers = [scene.open(recorder) for recorder in recorders]
        actor = Actor(message=lambda _: broadcast(recorders, "news"))
        source = scene.open(actor)
        source.text("go", "go")
        scene.turn()
        assert [peer.told() for peer in peers] == [[(TEXT, b"news")] * 2] * 2


class TestThreads:
    def test_from_another_thread(self, scene: Scene) -> None:
        recorders = [Recorder() for _ in range(3)]
        peers = [scene.open(recorder) for recorder in recorders]
        recorders[2].close()
        counts: list[int] = []
        in_thread(lambda: counts.append(broadcast(recorders, "news")))
        assert counts == [2]
        scene.turn()
        assert [peer.told() for peer in peers[:2]] == [[(TEXT, b"news")]] * 2
        assert peers[2].told() == [(CLOSE, close_payload(1000))]

    def test_another_type_is_an_error_of_the_call_there_too(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder)
        with pytest.raises(TypeError):
            in_thread(lambda: broadcast([recorder], 1))  # type: ignore[arg-type]

    def test_a_buffer_may_be_changed_afterwards(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)
        buffer = bytearray(b"good")
        in_thread(lambda: broadcast([recorder], buffer))
        buffer[:] = b"evil"
        scene.turn()
        assert peer.told() == [(BINARY, b"good")]

    def test_one_that_has_closed_meanwhile_is_passed_over(self, scene: Scene) -> None:
        recorder, other = Recorder(), Recorder()
        peer, other_peer = scene.open(recorder), scene.open(other)
        in_thread(lambda: broadcast([recorder, other], "news"))
        recorder.close()
        scene.turn()
        assert peer.told() == [(CLOSE, close_payload(1000))]
        assert other_peer.told() == [(TEXT, b"news")]
        assert recorder.errors == []

    def test_its_place_among_the_thread_s_messages(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder)

        def send() -> None:
            for i in range(5):
                recorder.send(f"own {i}")
                broadcast([recorder], f"news {i}")

        in_thread(send)
        scene.turn()
        expected = [f"{kind} {i}".encode() for i in range(5) for kind in ("own", "news")]
        assert [payload for _, payload in peer.told()] == expected

    def test_errors_are_told_on_the_loop_s_thread(self, scene: Scene) -> None:
        threads: list[int] = []
        slow = Actor(error=lambda _: threads.append(threading.get_ident()))
        scene.open(slow, write_limit=100)
        scene.sock.room = 0
        slow.send(bytes(100))
        in_thread(lambda: broadcast([slow], "news"))
        assert threads == []
        scene.turn()
        assert threads == [threading.get_ident()]

    def test_what_waits_for_the_loop_counts_as_queued(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, write_limit=1000 + CALL_SIZE)
        in_thread(lambda: [broadcast([recorder], bytes(600)) for _ in range(5)])
        assert recorder.buffered_amount == 1200 + 2 * CALL_SIZE
        scene.turn()
        assert peer.told() == [(BINARY, bytes(600))] * 2
        assert [type(error) for error in recorder.errors] == [WebSocketQueueFullException]
        assert recorder.buffered_amount == 0

    def test_what_is_refused_keeps_nothing(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.open(recorder, write_limit=100)
        in_thread(lambda: [broadcast([recorder], bytes(600)) for _ in range(1000)])
        assert len(scene.loop.loop._calls) == 2  # the first one, and the word of the others
        scene.turn()
        assert len(recorder.errors) == 1
        assert recorder.errors[0].__traceback__ is None
        in_thread(lambda: [broadcast([recorder], bytes(600)) for _ in range(3)])
        scene.turn()
        assert len(recorder.errors) == 2  # told anew

    def test_one_that_has_reconnected_meanwhile_is_passed_over(self, scene: Scene) -> None:
        recorder = Recorder()
        peer = scene.open(recorder, reconnect=1.0)
        in_thread(lambda: broadcast([recorder], "news"))
        connection: Any = recorder._reactor_connection
        connection.session.lost()
        connection.session = WebSocketSession()
        connection.session.opened()
        scene.turn()
        assert peer.told() == []

    def test_one_that_the_thread_has_closed_before_is_passed_over(self, scene: Scene) -> None:
        """The loop has not heard of it yet."""
        closed, other = Recorder(), Recorder()
        peer, other_peer = scene.open(closed), scene.open(other)

        def close_and_send() -> None:
            closed.close()
            broadcast([closed], "nobody")
            broadcast([closed, other], "news")

        in_thread(close_and_send)
        scene.turn()
        assert peer.told() == [(CLOSE, close_payload(1000))]
        assert other_peer.told() == [(TEXT, b"news")]
        assert closed.errors == []

    def test_receivers_whose_loop_has_just_been_closed_are_passed_over(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the look at a connection and the call to its loop."""
        recorder, slow = Recorder(), Recorder()
        peer = scene.open(recorder)
        scene.open(slow, write_limit=100)
        scene.sock.room = 0
        slow.send(bytes(100))

        def closed(*_: object) -> None:
            raise RuntimeError("the event loop is closed")

        with monkeypatch.context() as patch:
            patch.setattr(scene.loop.loop, "call_soon_threadsafe", closed)
            in_thread(lambda: broadcast([recorder, slow], "news"))
        scene.turn()
        assert peer.told() == []
        assert slow.errors == []
        in_thread(lambda: broadcast([slow], "news"))
        scene.turn()
        assert len(slow.errors) == 1  # it does not wait for what was never told

    @pytest.mark.usefixtures("no_leaks")
    def test_receivers_on_several_reactors(self) -> None:
        """Each gets it from its own thread."""
        got: list[tuple[str, str | bytes]] = []
        changed = threading.Condition()
        members: list[WebSocketProtocol] = []

        class Member(WebSocketProtocol):
            def on_open(self) -> None:
                with changed:
                    members.append(self)
                    changed.notify_all()

        class Listening(WebSocketProtocol):
            def on_message(self, message: str | bytes) -> None:
                with changed:
                    got.append((threading.current_thread().name, message))
                    changed.notify_all()

        loops = [Reactor() for _ in range(3)]
        threads = []
        try:
            for i, loop in enumerate(loops):
                listener = loop.listen("127.0.0.1", 0, Member, compression="deflate")
                url = f"ws://127.0.0.1:{listener.port}/"
                loop.connect(url, Listening, compression="deflate")
                loop.connect(url, Listening)
                threads.append(threading.Thread(target=loop.run_forever, name=f"loop {i}"))
                threads[-1].start()
            with changed:
                assert changed.wait_for(lambda: len(members) == 6, 10)
            for _ in range(20):
                assert broadcast(members, LONG) == 6
            with changed:
                assert changed.wait_for(lambda: len(got) == 120, 10)
        finally:
            for loop in loops:
                loop.stop()
            for thread in threads:
                thread.join(10)
            for loop in loops:
                loop.close()
        assert {message for _, message in got} == {LONG}
        assert sorted({name for name, _ in got}) == ["loop 0", "loop 1", "loop 2"]


def test_frames_of_a_broadcast_are_whole_frames(room: Room) -> None:
    """Octets of many broadcasts, read as the protocol has it."""
    client = room.enter()
    sizes = [0, 1, 125, 126, 127, 65535, 65536]
    for size in sizes:
        broadcast(room.members, bytes(size))
    total = b"".join(build_frame(BINARY, bytes(size)) for size in sizes)
    assert client.take(len(total)) == total
    assert [len(frame.payload) for frame in read_frames(total)] == sizes
