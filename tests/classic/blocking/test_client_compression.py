"""permessage-deflate with the blocking WebSocket and with WebSocketApp.

The server is our own, on a thread, or a script whose compression is zlib's.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest

import reactor
from reactor import (
    ABNF,
    Deflate,
    WebSocket,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketProtocol,
    WebSocketProtocolException,
    WebSocketTimeoutException,
)
from reactor.classic.abnf import frame_buffer
from reactor.protocols.deflate import Compression

from ...support.apps import RecordedApp
from ...support.classic import Clients, Says, clients_of
from ...support.peers import ScriptedPeer, Talk
from ...support.servers import serve_with_reactor
from ...support.threads import Background
from ...support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Frame,
    build_frame,
    close_payload,
)
from ...support.zlib_peer import MEGABYTE, RSV1, ZlibPeer, agreements, compressed_frames

pytestmark = pytest.mark.usefixtures("no_leaks")

AGREED = "Sec-WebSocket-Extensions: permessage-deflate"

LONG = "a text that is worth it, " * 40

HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")


@pytest.fixture
def clients() -> Iterator[Clients]:
    yield from clients_of(reactor)


def says(*frames: bytes, **options: Any) -> Says:
    """A script that agrees to compression, and sends this."""
    return Says(*frames, lines=(AGREED,), **options)


Connect = Callable[..., WebSocket]


@pytest.fixture
def connect(clients: Clients) -> Connect:
    """Connects to a script that agrees to compression and sends some frames."""

    def connect_to(*frames: bytes, **options: Any) -> WebSocket:
        ws: WebSocket = clients.connect(says(*frames), compression="deflate", **options)
        return ws

    return connect_to


class TestHandshake:
    def test_it_is_not_offered_unless_asked_for(self, clients: Clients) -> None:
        for options in ({}, {"compression": None}):
            given: dict[str, Any] = options
            lines = clients.request(**given)
            assert not any("extensions" in line.lower() for line in lines)

    def test_the_offer(self, clients: Clients) -> None:
        offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
        assert offer in clients.request(compression="deflate")
        own = Deflate(client_max_window_bits=9)
        assert f"{offer}=9" in clients.request(compression=own)

    @pytest.mark.parametrize(("value", "error"), [("gzip", ValueError), (True, TypeError)])
    def test_another_value_is_an_error_of_the_call(
        self, clients: Clients, value: Any, error: type[Exception]
    ) -> None:
        peer = clients.serve(Says())
        with pytest.raises(error, match="compression"):
            clients.connect_to(peer.url, compression=value)

    def test_a_server_may_decline(self, clients: Clients) -> None:
        script = Says(build_frame(TEXT, b"plain"))
        ws = clients.connect(script, compression="deflate")
        assert ws.recv() == "plain"
        ws.send(LONG)
        frame = script.next()
        assert (frame.rsv, frame.payload) == (0, LONG.encode())

    def test_then_a_compressed_frame_is_a_fault(self, clients: Clients) -> None:
        script = Says(build_frame(TEXT, HELLO, rsv=RSV1))
        ws = clients.connect(script, compression="deflate")
        with pytest.raises(WebSocketProtocolException):
            ws.recv()
        assert script.next().payload[:2] == close_payload(1002)

    @pytest.mark.parametrize(
        "answer",
        [
            "permessage-deflate; unknown",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate, permessage-deflate",
        ],
    )
    def test_an_answer_that_is_none(self, clients: Clients, answer: str) -> None:
        script = Says(lines=(f"Sec-WebSocket-Extensions: {answer}",))
        with pytest.raises(WebSocketException, match=r"^Invalid WebSocket Header"):
            clients.connect(script, compression="deflate")

    @pytest.mark.parametrize("answer", ["foo", "permessage-deflate, foo"])
    def test_another_extension_is_ignored_if_that_is_wanted(
        self, clients: Clients, answer: str
    ) -> None:
        script = Says(build_frame(TEXT, b"x"), lines=(f"Sec-WebSocket-Extensions: {answer}",))
        assert clients.connect(script, compression="deflate").recv() == "x"
        with pytest.raises(WebSocketException, match="'foo', which was not offered"):
            clients.connect(script, compression="deflate", lenient=False)

    def test_an_answer_without_an_offer(self, clients: Clients) -> None:
        ws = clients.connect(says(build_frame(TEXT, HELLO, rsv=RSV1)))
        with pytest.raises(WebSocketProtocolException, match="rsv"):
            ws.recv()
        with pytest.raises(WebSocketException, match="was not offered"):
            clients.connect(says(), lenient=False)

    def test_an_answer_of_several_lines(self, clients: Clients) -> None:
        """RFC 6455 section 9.1 takes header fields of the same name together."""
        lines = (AGREED, AGREED)
        with pytest.raises(WebSocketException, match="comes twice"):
            clients.connect(Says(lines=lines), compression="deflate")

    def test_a_second_connection_begins_anew(self, clients: Clients) -> None:
        """Also with an agreement of its own."""
        ws = WebSocket()
        clients.callback(ws.shutdown)
        for _ in range(2):
            script = says(build_frame(TEXT, HELLO, rsv=RSV1))
            ws.connect(clients.serve(script).url, compression="deflate", timeout=10)
            assert ws.recv() == "Hello"
            ws.send(LONG)
            assert ZlibPeer().inflate(script.next().payload) == LONG.encode()
            ws.close()
        script = Says(build_frame(TEXT, b"plain"))
        ws.connect(clients.serve(script).url, timeout=10)
        assert ws.recv() == "plain"
        ws.send(LONG)
        assert script.next().payload == LONG.encode()


class TestReceiving:
    def test_messages(self, connect: Connect) -> None:
        peer = ZlibPeer()
        ws = connect(
            *compressed_frames(TEXT, peer.compress("Grüße".encode())),
            build_frame(TEXT, b"plain"),
            *compressed_frames(BINARY, peer.compress(bytes(100_000))),
            *compressed_frames(TEXT, *peer.fragments(b"one ", b"", b"two")),
            *compressed_frames(TEXT, b"\x00"),
            *compressed_frames(TEXT, peer.compress("Grüße".encode())),
        )
        got = [ws.recv() for _ in range(6)]
        assert got == ["Grüße", "plain", bytes(100_000), "one two", "", "Grüße"]

    @pytest.mark.parametrize("method", ["recv_data", "recv_data_frame"])
    def test_its_other_forms(self, connect: Connect, method: str) -> None:
        peer = ZlibPeer()
        ws = connect(
            *compressed_frames(TEXT, peer.compress(LONG.encode())),
            *compressed_frames(BINARY, *peer.fragments(b"\x01", b"\x02")),
        )
        for expected in ((TEXT, LONG.encode()), (BINARY, b"\x01\x02")):
            opcode, data = getattr(ws, method)()
            assert (opcode, data.data if method == "recv_data_frame" else data) == expected

    def test_pings_within_a_message(self, clients: Clients) -> None:
        first, second = compressed_frames(TEXT, *ZlibPeer().fragments(b"one ", b"two"))
        script = says(first, build_frame(PING, b"p"), second)
        ws = clients.connect(script, compression="deflate")
        assert ws.recv() == "one two"
        assert script.said() == (PONG, b"p")

    def test_fragments(self, connect: Connect) -> None:
        """With ``fire_cont_frame``, each is inflated when it comes."""
        peer = ZlibPeer()
        ws = connect(
            *compressed_frames(TEXT, *peer.fragments(b"one", b"two", b"three")),
            *compressed_frames(BINARY, *peer.fragments(b"\xff", b"\xfe")),
            *compressed_frames(TEXT, peer.compress(b"one")),
            fire_cont_frame=True,
        )
        data = [ws.recv_data() for _ in range(6)]
        assert data == [
            (TEXT, b"one"),
            (CONT, b"two"),
            (CONT, b"three"),
            (BINARY, b"\xff"),
            (CONT, b"\xfe"),
            (TEXT, b"one"),
        ]

    def test_a_character_in_two_fragments(self, connect: Connect) -> None:
        euro = "€".encode()
        frames = compressed_frames(TEXT, *ZlibPeer().fragments(euro[:1], euro[1:]))
        ws = connect(*frames, fire_cont_frame=True)
        assert str(ws.recv()) + str(ws.recv()) == "€"

    def test_frames(self, connect: Connect) -> None:
        """recv_frame puts nothing together, but what it returns can be read."""
        ws = connect(
            *compressed_frames(TEXT, *ZlibPeer().fragments(b"one", b"two")),
            build_frame(PING, b"p"),
            *compressed_frames(TEXT, HELLO),
        )
        frames = [ws.recv_frame() for _ in range(4)]
        assert [frame.rsv1 for frame in frames] == [0] * 4  # they are not compressed any more
        assert [(frame.fin, frame.opcode, frame.data) for frame in frames] == [
            (0, TEXT, b"one"),
            (1, CONT, b"two"),
            (1, PING, b"p"),
            (1, TEXT, b"Hello"),
        ]

    @pytest.mark.parametrize("fire_cont_frame", [False, True])
    def test_a_time_out_in_the_middle_of_a_frame(
        self, clients: Clients, fire_cont_frame: bool
    ) -> None:
        """Wherever it was interrupted, the next call goes on."""
        text = random.Random(1).randbytes(40).hex()
        frames = compressed_frames(TEXT, *ZlibPeer().fragments(b"one", text.encode()))
        stream = b"".join(frames)
        turns = threading.Semaphore(0)

        def script(talk: Talk) -> None:
            talk.upgrade(AGREED)
            for i in range(len(stream)):
                assert turns.acquire(timeout=10)
                talk.send(stream[i : i + 1])
            talk.until_closed()

        ws = clients.connect(script, compression="deflate", fire_cont_frame=fire_cont_frame)
        ws.settimeout(0.001)
        messages: list[str | bytes] = []
        interrupted = 0
        for _ in range(len(stream)):
            try:
                messages.append(ws.recv())
            except WebSocketTimeoutException:
                interrupted += 1
            turns.release()
        ws.settimeout(10)
        while len(messages) < 1 + fire_cont_frame:
            messages.append(ws.recv())
        assert "".join(map(str, messages)) == f"one{text}"
        assert interrupted > 20

    def test_select_shows_what_has_not_been_read(self, connect: Connect) -> None:
        """No byte of the next frame is taken off the socket (test_client.py has more)."""
        peer = ZlibPeer()
        frames = [*compressed_frames(TEXT, peer.compress(b"1"))]
        ws = connect(*frames, *compressed_frames(TEXT, peer.compress(b"2")))
        assert ws.recv() == "1"
        assert ws.sock.recv(1, socket.MSG_PEEK) == b"\xc1"
        assert ws.recv() == "2"


class TestFaults:
    @pytest.mark.parametrize("skip", [False, True])
    def test_text_that_is_not_utf8(self, clients: Clients, skip: bool) -> None:
        script = says(*compressed_frames(TEXT, ZlibPeer().compress(b"a\xff")))
        ws = clients.connect(script, compression="deflate", skip_utf8_validation=skip)
        if skip:
            assert ws.recv_data() == (TEXT, b"a\xff")
            return
        with pytest.raises(WebSocketPayloadException):
            ws.recv()
        assert script.next().payload[:2] == close_payload(1007)

    @pytest.mark.parametrize("skip", [False, True])
    def test_text_that_is_small_as_bytes_and_large_as_str(
        self, clients: Clients, monkeypatch: pytest.MonkeyPatch, skip: bool
    ) -> None:
        """One wide character makes all of them wide."""
        monkeypatch.setattr("reactor.protocols.messages.LARGE_TEXT", 1000)
        text = "x" * 900 + "\U0001f600"
        script = says(*compressed_frames(TEXT, ZlibPeer().compress(text.encode())))
        ws = clients.connect(
            script, compression="deflate", skip_utf8_validation=skip, max_message_size=1000
        )
        with pytest.raises(WebSocketMessageTooBigException, match="of memory, which exceeds"):
            ws.recv()
        assert script.next().payload[:2] == close_payload(1009)

    def test_it_is_found_at_once(self, clients: Clients) -> None:
        """In a message that never ends."""
        first, _ = compressed_frames(TEXT, *ZlibPeer().fragments(b"bad\xff", b"never sent"))
        script = says(first)
        ws = clients.connect(script, compression="deflate")
        with pytest.raises(WebSocketPayloadException):
            ws.recv()
        assert script.next().payload[:2] == close_payload(1007)

    @pytest.mark.parametrize("method", ["recv", "recv_data", "recv_data_frame"])
    @pytest.mark.parametrize("skip", [False, True])
    def test_what_cannot_be_inflated(self, clients: Clients, method: str, skip: bool) -> None:
        script = says(build_frame(BINARY, b"\xff" * 10, rsv=RSV1))
        ws = clients.connect(script, compression="deflate", skip_utf8_validation=skip)
        with pytest.raises(WebSocketPayloadException):
            getattr(ws, method)()
        frame = script.next()
        assert (frame.opcode, frame.payload[:2]) == (CLOSE, close_payload(1007))
        assert not ws.connected

    @pytest.mark.parametrize(
        "frames",
        [
            [build_frame(PING, b"", rsv=RSV1)],
            [build_frame(TEXT, HELLO[:3], fin=False, rsv=4), build_frame(CONT, HELLO[3:], rsv=4)],
            [build_frame(CONT, HELLO, rsv=RSV1)],
            [build_frame(TEXT, HELLO, rsv=2)],
            [build_frame(TEXT, HELLO, rsv=5)],
        ],
        ids=["control", "further fragment", "no message", "RSV2", "RSV1 and RSV3"],
    )
    def test_reserved_bits(self, clients: Clients, frames: list[bytes]) -> None:
        script = says(*frames)
        ws = clients.connect(script, compression="deflate")
        with pytest.raises(WebSocketProtocolException):
            ws.recv()
        assert script.next().payload[:2] == close_payload(1002)

    @pytest.mark.parametrize("fire_cont_frame", [False, True])
    @pytest.mark.parametrize("skip", [False, True])
    def test_a_bomb(self, clients: Clients, fire_cont_frame: bool, skip: bool) -> None:
        script = says(build_frame(BINARY, MEGABYTE * 40 + b"\x00", rsv=RSV1))
        ws = clients.connect(
            script,
            compression="deflate",
            max_message_size=100_000,
            fire_cont_frame=fire_cont_frame,
            skip_utf8_validation=skip,
        )
        with pytest.raises(WebSocketMessageTooBigException):
            ws.recv()
        assert script.next().payload[:2] == close_payload(1009)

    @pytest.mark.parametrize("method", ["recv", "recv_data", "recv_frame"])
    def test_a_large_text_counts_what_it_takes_in_memory(
        self, clients: Clients, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        monkeypatch.setattr("reactor.protocols.messages.LARGE_TEXT", 100_000)
        octets = ("a" * 99_000 + "\U0001f600").encode()
        script = says(*compressed_frames(TEXT, ZlibPeer().compress(octets)))
        ws = clients.connect(script, compression="deflate", max_message_size=100_000)
        with pytest.raises(WebSocketMessageTooBigException, match="bytes of memory"):
            getattr(ws, method)()
        if method != "recv_frame":
            assert script.next().payload[:2] == close_payload(1009)

    def test_what_is_inflated_is_in_memory_once(self) -> None:
        """And never more of it, as text or as a copy, than what one step has brought."""
        agreement, _ = agreements()
        data = build_frame(TEXT, MEGABYTE * 16 + b"\x00", rsv=RSV1)
        source = BytesIO(data)
        buffer = frame_buffer(source.read, False, compression=Compression(agreement))
        tracemalloc.start()
        try:
            payload = buffer.recv_frame().data
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert payload == bytes(16 << 20)
        assert peak < 22 << 20

    def test_the_limit_counts_what_is_inflated(self, connect: Connect) -> None:
        peer = ZlibPeer()
        message = random.Random(1).randbytes(1000)
        ws = connect(
            *compressed_frames(BINARY, peer.compress(message)),
            *compressed_frames(BINARY, *peer.fragments(message[:500], message[500:])),
            *compressed_frames(BINARY, *peer.fragments(message, b"x")),
            max_message_size=1000,
        )
        assert [ws.recv(), ws.recv()] == [message, message]
        with pytest.raises(WebSocketMessageTooBigException):
            ws.recv()


class TestSending:
    def test_messages(self, clients: Clients) -> None:
        script = says()
        ws = clients.connect(script, compression="deflate")
        sizes = [ws.send(LONG), ws.send_text(LONG), ws.send_bytes(LONG.encode()), ws.send("x")]
        frames = [script.next() for _ in range(4)]
        assert [(frame.opcode, frame.rsv) for frame in frames] == [
            (TEXT, RSV1),
            (TEXT, RSV1),
            (BINARY, RSV1),
            (TEXT, 0),
        ]
        peer = ZlibPeer()
        assert [peer.inflate(frame.payload) for frame in frames[:3]] == [LONG.encode()] * 3
        assert sizes == [len(frame.payload) + 6 for frame in frames]
        assert max(sizes) < 100

    def test_control_frames_and_frames_of_one_s_own_are_not_compressed(
        self, clients: Clients
    ) -> None:
        script = says()
        ws = clients.connect(script, compression=Deflate(threshold=0))
        ws.ping("p" * 100)
        ws.pong(b"q" * 100)
        ws.send_frame(ABNF.create_frame(LONG, ABNF.OPCODE_TEXT, 0))
        ws.send(LONG, ABNF.OPCODE_CONT)
        ws.send_close(1000, b"r" * 100)
        frames = [script.next() for _ in range(5)]
        assert [frame.rsv for frame in frames] == [0] * 5
        assert [frame.opcode for frame in frames] == [PING, PONG, TEXT, CONT, CLOSE]
        assert frames[2].payload == frames[3].payload == LONG.encode()

    @pytest.mark.parametrize("bits", range(8, 16))
    def test_a_server_with_a_small_window(self, clients: Clients, bits: int) -> None:
        script = Says(lines=(f"{AGREED}; client_max_window_bits={bits}",))
        ws = clients.connect(script, compression="deflate")
        peer = ZlibPeer(their_bits=bits)
        block = random.Random(bits).randbytes(min(1 << bits, 2000) - 3)
        for message in (block, block, block * 2):
            ws.send_binary(message)
            assert peer.inflate(script.next().payload) == message

    def test_from_two_threads(self, clients: Clients) -> None:
        """They are compressed in the order in which they go out."""
        script = says()
        ws = clients.connect(script, compression=Deflate(threshold=0))
        source = random.Random(2)
        blocks = [source.randbytes(60).hex() for _ in range(8)]

        def work(name: str) -> None:
            for i in range(100):
                ws.send(f"{name} {i} {blocks[i % 8] * 3}")

        threads = [Background(work, name) for name in "ab"]
        for thread in threads:
            thread.result()
        peer = ZlibPeer()
        got = [peer.inflate(script.next().payload).decode() for _ in range(200)]
        for name in "ab":
            assert [message for message in got if message[0] == name] == [
                f"{name} {i} {blocks[i % 8] * 3}" for i in range(100)
            ]

    def test_one_that_was_not_sent_leaves_the_window_as_the_peer_has_it(
        self, clients: Clients
    ) -> None:
        """A time-out before the first byte: "it is as if it had not been sent"."""

        class Full:
            """Writes in place of the WebSocket; while it is full, nothing goes out."""

            full = False

            def send(self, sock: socket.socket, data: bytes) -> int:
                if self.full:
                    raise WebSocketTimeoutException("timed out")
                return sock.send(data)

        script = says()
        dispatcher = Full()
        ws = clients.connect(script, compression="deflate", dispatcher=dispatcher)
        source = random.Random(4)
        first, refused = source.randbytes(500), source.randbytes(500)
        ws.send_binary(first)
        dispatcher.full = True
        with pytest.raises(WebSocketTimeoutException):
            ws.send_binary(refused)
        dispatcher.full = False
        for message in (refused, first, refused):
            ws.send_binary(message)
        peer = ZlibPeer()
        got = [peer.inflate(script.next().payload) for _ in range(4)]
        assert got == [first, refused, first, refused]

    def test_nor_does_one_that_failed(self, clients: Clients) -> None:
        """For want of a masking key, for example."""
        script = says()
        ws = clients.connect(script, compression="deflate")
        text = random.Random(6).randbytes(500)

        def no_key(_: int) -> bytes:
            raise LookupError("no key")

        ws.set_mask_key(no_key)
        with pytest.raises(LookupError):
            ws.send_binary(text)
        ws.set_mask_key(None)
        ws.send_binary(text)
        frame = script.next()
        assert ZlibPeer().inflate(frame.payload) == text

    def test_nothing_is_sent_after_the_close_frame(self, clients: Clients) -> None:
        script = says(answer_close=False)
        ws = clients.connect(script, compression="deflate")
        ws.send_close()
        with pytest.raises(WebSocketConnectionClosedException):
            ws.send(LONG)


class TestOurServer:
    """Both ends are ours: an echo."""

    @pytest.fixture(params=["deflate", Deflate(threshold=0, server_no_context_takeover=True)])
    def url(self, request: pytest.FixtureRequest) -> Iterator[str]:
        with serve_with_reactor(compression=request.param) as url:
            yield url

    @pytest.mark.parametrize(
        "compression",
        [
            "deflate",
            None,
            Deflate(threshold=0),
            Deflate(client_no_context_takeover=True, server_no_context_takeover=True),
            Deflate(client_max_window_bits=8, server_max_window_bits=8),
            Deflate(client_max_window_bits=15, server_max_window_bits=15, level=9, mem_level=9),
        ],
    )
    @pytest.mark.parametrize("fire_cont_frame", [False, True])
    def test_messages(
        self, clients: Clients, url: str, compression: Any, fire_cont_frame: bool
    ) -> None:
        ws = clients.connect_to(url, compression=compression, fire_cont_frame=fire_cont_frame)
        assert (ws.headers.get("sec-websocket-extensions") is None) is (compression is None)
        source = random.Random(7)
        binary = source.randbytes(1000)
        for message in ("", "x", LONG, LONG, binary, binary * 3, bytes(1 << 20), "Grüße" * 99):
            if isinstance(message, str):
                ws.send(message)
            else:
                ws.send_binary(message)
            assert ws.recv() == message
        ws.close()

    def test_messages_in_fragments(self, clients: Clients) -> None:
        class Fragmenting(WebSocketProtocol):
            def on_message(self, message: str | bytes) -> None:
                parts = [message[i : i + 100] for i in range(0, len(message), 100)]
                self.send_fragments(parts)  # type: ignore[arg-type]
                self.send_fragment("after ")
                self.ping(b"p")
                self.send_fragment(message[:10], fin=True)

        with serve_with_reactor(Fragmenting, compression="deflate") as url:
            ws = clients.connect_to(url, compression="deflate")
            for _ in range(3):
                ws.send(LONG)
                assert ws.recv() == LONG
                assert ws.recv() == f"after {LONG[:10]}"
            ws.close()

    def test_fragments_of_ours(self, clients: Clients, url: str) -> None:
        """They go uncompressed, among messages that do not."""
        ws = clients.connect_to(url, compression="deflate")
        for _ in range(2):
            ws.send(LONG)
            ws.send_frame(ABNF.create_frame("one ", ABNF.OPCODE_TEXT, 0))
            ws.send_frame(ABNF.create_frame("two", ABNF.OPCODE_CONT, 1))
            ws.send(LONG)
            assert [ws.recv() for _ in range(3)] == [LONG, "one two", LONG]
        ws.close()

    def test_one_thread_sends_while_another_receives(self, clients: Clients, url: str) -> None:
        ws = clients.connect_to(url, compression="deflate")
        texts = [f"{i} {LONG}" for i in range(200)]
        receiving = Background(lambda: [ws.recv() for _ in texts])
        for text in texts:
            ws.send(text)
        assert receiving.result() == texts
        ws.close()


#: What on_error of an app is told when the server has closed (as in websocket-client).
NORMAL = [("WebSocketConnectionClosedException", "Connection closed normally (code 1000)")]


def app_frames(script: Says, recorded: RecordedApp) -> list[Frame]:
    """Run the app against the script; return the frames that it sent."""
    with ScriptedPeer(script) as peer:
        recorded.app.url = peer.url
        recorded.run()
    return script.until_left()


class TestApp:
    def test_messages(self) -> None:
        peer = ZlibPeer()
        frames = [
            *compressed_frames(TEXT, peer.compress("Grüße".encode())),
            *compressed_frames(BINARY, *peer.fragments(b"\x01", b"\x02")),
            *compressed_frames(TEXT, peer.compress("Grüße".encode())),
            build_frame(CLOSE, close_payload(1000)),
        ]

        def send(app: Any) -> None:
            app.send(LONG)
            app.send_bytes(LONG.encode())
            app.send("short")
            app.send(LONG)

        recorded = RecordedApp(reactor, "", reactions={"open": send}, compression="deflate")
        sent = app_frames(says(*frames), recorded)
        assert [args[0] for args in recorded.of("message")] == ["Grüße", b"\x01\x02", "Grüße"]
        assert recorded.of("error") == NORMAL
        assert [frame.rsv for frame in sent] == [RSV1, RSV1, 0, RSV1, 0]
        zlib_peer = ZlibPeer()
        for i in (0, 1, 3):
            assert zlib_peer.inflate(sent[i].payload) == LONG.encode()

    def test_fragments_go_to_on_cont_message(self) -> None:
        peer = ZlibPeer()
        frames = [
            *compressed_frames(TEXT, *peer.fragments(b"one", b"two", b"three")),
            build_frame(CLOSE, close_payload(1000)),
        ]
        callbacks = ("message", "data", "cont_message", "error")
        recorded = RecordedApp(reactor, "", callbacks, compression="deflate")
        app_frames(says(*frames), recorded)
        assert recorded.of("error") == NORMAL
        told = [event for event in recorded.events if event[0] == "cont_message"]
        payloads = [args[1] for args in told]
        assert b"".join(p.encode() if isinstance(p, str) else p for p in payloads).endswith(
            b"twothree"
        )

    def test_without_the_option_nothing_is_offered(self) -> None:
        recorded = RecordedApp(reactor, "")
        with ScriptedPeer(Says(build_frame(CLOSE, close_payload(1000)))) as peer:
            recorded.app.url = peer.url
            recorded.run()
            assert "sec-websocket-extensions" not in peer.requests[0].headers

    def test_text_that_is_not_utf8(self) -> None:
        recorded = RecordedApp(reactor, "", compression="deflate")
        script = says(*compressed_frames(TEXT, ZlibPeer().compress(b"a\xff")))
        sent = app_frames(script, recorded)
        assert [args[0] for args in recorded.of("error")] == ["WebSocketPayloadException"]
        assert sent[-1].payload[:2] == close_payload(1007)

    def test_our_own_server(self) -> None:
        """With several threads that send."""
        texts = [f"{i} {LONG}" for i in range(50)]

        def start(app: Any) -> None:
            def work() -> None:
                for text in texts:
                    app.send(text)

            workers.append(Background(work))
            workers.append(Background(work))

        def count(app: Any, _: Any) -> None:
            if len(recorded.of("message")) == 100:
                app.close()

        workers: list[Background] = []
        reactions: dict[str, Callable[..., object]] = {"open": start, "message": count}
        with serve_with_reactor(compression="deflate") as url:
            recorded = RecordedApp(reactor, url, reactions=reactions, compression="deflate")
            recorded.run()
        for worker in workers:
            worker.result()
        assert recorded.of("error") == []
        got = [args[0] for args in recorded.of("message")]
        assert sorted(got) == sorted(texts * 2)


class Lines(logging.Handler):
    """Collects what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def trace() -> Iterator[list[str]]:
    handler, logger = Lines(), logging.getLogger("websocket")
    level = logger.level
    reactor.enableTrace(True, handler)
    yield handler.lines
    reactor.enableTrace(False)
    logger.setLevel(level)


class TestTrace:
    """Each frame has its two lines, also where it was compressed."""

    def decoded(self, lines: list[str], way: str) -> list[str]:
        return [line for line in lines if line.startswith(f"++{way} decoded")]

    def test_the_blocking_face(self, connect: Connect, trace: list[str]) -> None:
        ws = connect(*compressed_frames(TEXT, HELLO))
        assert ws.recv() == "Hello"
        ws.send(LONG)
        (received,) = self.decoded(trace, "Rcv")
        assert "opcode=1" in received
        assert "Hello" in received
        (sent,) = self.decoded(trace, "Sent")
        assert "fin=1 opcode=1" in sent
        raw = next(line for line in trace if line.startswith("++Sent raw"))
        assert r"\xc1" in raw[:20]

    def test_the_app(self, trace: list[str]) -> None:
        def send(app: Any) -> None:
            app.send(LONG)
            app.send("short")

        frames = compressed_frames(TEXT, *ZlibPeer().fragments(b"one", b"two"))
        script = says(*frames, build_frame(CLOSE, close_payload(1000)))
        recorded = RecordedApp(reactor, "", reactions={"open": send}, compression="deflate")
        sent = app_frames(script, recorded)
        assert [args[0] for args in recorded.of("message")] == ["onetwo"]
        assert recorded.of("error") == NORMAL
        assert [frame.rsv for frame in sent] == [RSV1, 0, 0]
        assert len(self.decoded(trace, "Sent")) == 3
        assert len(self.decoded(trace, "Rcv")) == 3
        assert sum(line.startswith("++Sent raw") for line in trace) == 3
        assert any(r"\xc1" in line[:20] for line in trace)
