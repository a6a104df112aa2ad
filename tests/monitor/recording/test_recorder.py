"""What is recorded, and of whom; and that no connection suffers from it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor import Deflate, Reactor, WebSocketProtocol
from reactor.exceptions import WebSocketRecordingException
from reactor.feeds import Feed, Subscribed, Update
from reactor.monitor import record
from reactor.monitor.recording import recorder as module
from reactor.monitor.recording.playing import server_events
from reactor.monitor.recording.reading import Recorded, read_recording
from reactor.server.decisions import HTTPResponse
from reactor.testing import faults, in_thread
from reactor.transports.stream import Stream

from ...support.certificates import Authority
from ...support.clients import RawClient
from ...support.driving import run_until
from ...support.peers import Serve, Talk
from ...support.recorder import Recorder
from ...support.serving import Echo, Served
from ...support.websocket_frames import BINARY, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.pcapng"


class Says(Recorder):
    """Says some things when it is open, one after the answer to the other, and closes."""

    def __init__(self, *things: str | bytes) -> None:
        super().__init__()
        self.things = list(things)

    def on_open(self) -> None:
        super().on_open()
        self.go_on()

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.go_on()

    def go_on(self) -> None:
        if self.things:
            self.send(self.things.pop(0))
        else:
            self.close()


def serve_echo(loop: Reactor, **options: Any) -> str:
    """Listen; return the URL."""
    listener = loop.listen("127.0.0.1", 0, Echo, **options)
    return f"{'wss' if 'ssl' in options else 'ws'}://127.0.0.1:{listener.port}"


def run(loop: Reactor, client: Recorder) -> None:
    run_until(loop, lambda: client.closes and not loop.connections and not loop.loop.lingering)


def answers(recorded: Recorded) -> list[Any]:
    return [cue.event for cue in server_events(recorded) if isinstance(cue.event, (str, bytes))]


class TestWhose:
    def test_all_connections_of_a_reactor_in_both_roles(self, loop: Reactor, path: Path) -> None:
        url = serve_echo(loop)
        with record(loop, path):
            clients = [loop.connect(url, Says("a")), loop.connect(url, Says("b"))]
            for client in clients:
                run(loop, client)
        recordings = read_recording(path)
        assert sorted(answers(each)[0] for each in recordings) == ["a", "a", "b", "b"]
        by_server = ["recorded by the server" in each.comments for each in recordings]
        assert sorted(by_server) == [False, False, True, True]

    def test_one_protocol_object_before_it_is_connected(self, loop: Reactor, path: Path) -> None:
        url = serve_echo(loop)
        one, other = Says("one"), Says("other")
        with record(one, path):
            for client in (one, other):
                loop.connect(url, client)
                run(loop, client)
        (recorded,) = read_recording(path)
        assert answers(recorded) == ["one"]
        assert recorded.url == f"{url}/"

    def test_a_server_protocol_object_from_its_on_open_on(
        self, loop: Reactor, path: Path, raw_client: Callable[..., RawClient]
    ) -> None:
        recorders = []

        class Watched(Echo):
            def on_open(self) -> None:
                recorders.append(record(self, path))

        listener = loop.listen("127.0.0.1", 0, Watched)
        client = raw_client(listener)
        client.upgrade()
        client.send_frame(TEXT, b"hi")
        assert client.frame().payload == b"hi"
        recorders[0].close()
        (recorded,) = read_recording(path)
        assert answers(recorded) == ["hi"]
        assert recorded.target == "/chat?x=1"

    def test_an_app_of_the_classic_face(self, loop: Reactor, path: Path) -> None:
        url = serve_echo(loop)
        app = reactor.WebSocketApp(
            url, on_open=lambda app: app.send("hi"), on_message=lambda app, _text: app.close()
        )
        with record(loop, path):
            app.run_forever(dispatcher=loop)
            run_until(loop, lambda: not app.keep_running and not loop.connections)
        assert answers(read_recording(path)[0]) == ["hi"]

    def test_the_links_of_a_feed_and_their_topics(self, loop: Reactor, path: Path) -> None:
        class Service(WebSocketProtocol):
            def on_message(self, message: str | bytes) -> None:
                self.send(f"ack {message!s}")
                self.send(f"update {message!s}")

        class Quotes(Feed):
            topics_per_link = 2
            topics_per_message = 1
            message_pace = None

            def subscribe_message(self, topics: list[Any], link: Any) -> str:
                return str(topics[0])

            def parse(self, message: str | bytes, link: Any) -> Any:
                kind, _, topic = str(message).partition(" ")
                return Subscribed([topic]) if kind == "ack" else Update(topic, message)

        listener = loop.listen("127.0.0.1", 0, Service)
        feed = Quotes(loop, f"ws://127.0.0.1:{listener.port}/")
        other = loop.connect(f"ws://127.0.0.1:{listener.port}/", Says("x"))
        updates: list[Any] = []
        with record(feed, path):
            feed.subscribe_many(["a", "b", "c"], updates.append)
            run_until(loop, lambda: len(updates) == 3)
        feed.close()
        other.abort()
        recordings = read_recording(path)
        assert [each.feed for each in recordings] == ["Quotes", "Quotes"]
        assert sorted(topic for each in recordings for topic in each.topics) == ["a", "b", "c"]

    def test_something_else_is_refused(self, path: Path) -> None:
        wrong: Any = "ws://host/"
        with pytest.raises(TypeError, match="a Reactor or a Feed, not 'ws://host/'"):
            record(wrong, path)
        assert not path.exists()


class TestWhat:
    def test_tls_in_the_clear(self, loop: Reactor, path: Path, authority: Authority) -> None:
        url = serve_echo(loop, ssl=authority.server_context)
        client = Says("secret of TLS", b"x" * 300_000)
        with record(client, path):
            loop.connect(url, client, sslopt=authority.sslopt)
            run(loop, client)
        (recorded,) = read_recording(path)
        assert answers(recorded) == ["secret of TLS", b"x" * 300_000]
        assert any(
            end.by_client for end in recorded.ends
        )  # the server's may come with its close frame

    def test_compressed_frames_as_they_were_on_the_wire(self, loop: Reactor, path: Path) -> None:
        url = serve_echo(loop, compression="deflate")
        client = Says("a" * 1000, "a" * 1000)
        with record(client, path):
            loop.connect(url, client, compression="deflate")
            run(loop, client)
        (recorded,) = read_recording(path)
        assert answers(recorded) == ["a" * 1000, "a" * 1000]
        assert sum(len(said.data) for said in recorded.said) < 500

    def test_credentials_are_black_unless_told(self, loop: Reactor, tmp_path: Path) -> None:
        url = serve_echo(loop, response_headers={"Set-Cookie": "sid=s3cr3t"})
        url = f"{url.replace('//', '//user:s3cr3t@')}/?token=s3cr3t"
        for told in (False, True):
            path = tmp_path / f"{told}.pcapng"
            client = Says("x")
            with record(loop, path, credentials=told):
                loop.connect(url, client, cookie="sid=s3cr3t", header={"X-Api-Key": "s3cr3t"})
                run(loop, client)
            assert (b"s3cr3t" in path.read_bytes()) is told

    def test_a_refusal_that_quotes_the_request_gives_nothing_away(
        self, loop: Reactor, path: Path
    ) -> None:
        def process(request: Any, sock: Any) -> Any:
            return HTTPResponse(404, body=f"there is no {request.target}\n")

        url = serve_echo(loop, process_request=process)
        with record(loop, path):
            refused = Recorder()
            loop.connect(f"{url}/no?token=s3cr3t", refused)
            run(loop, refused)
        assert path.read_bytes().count(b"there is no /no?token=xxxxxx") == 2
        assert b"s3cr3t" not in path.read_bytes()

    def test_refusals_and_redirects(self, loop: Reactor, path: Path) -> None:
        def process(request: Any, sock: Any) -> Any:
            if request.target == "/old":
                return HTTPResponse(302, {"Location": "/new"})
            return HTTPResponse(401, body="who are you?") if request.target == "/no" else None

        url = serve_echo(loop, process_request=process)
        with record(loop, path):
            client = Says("x")
            loop.connect(f"{url}/old", client)
            run(loop, client)
            refused = Recorder()
            loop.connect(f"{url}/no", refused)
            run(loop, refused)
        assert [each.target for each in read_recording(path)] == ["/new", "/new"]
        data = path.read_bytes()
        assert data.count(b"who are you?") == 2
        assert data.count(b"GET /old HTTP/1.1") == 2

    def test_an_attempt_that_fails_before_its_request_and_a_refusal_without_a_body(
        self, loop: Reactor, path: Path
    ) -> None:
        url = serve_echo(loop, process_request=lambda *_: HTTPResponse(403))
        with record(loop, path) as recorder:
            for each in (url.replace("ws:", "wss:"), url):
                client = Recorder()
                loop.connect(each, client)
                run(loop, client)
            run_until(loop, lambda: not recorder._begun)
            assert recorder.error is None
        assert path.read_bytes().count(b"HTTP/1.1 403 Forbidden") == 2

    def test_a_connection_that_is_lost(self, loop: Reactor, serve: Serve, path: Path) -> None:
        def script(talk: Talk) -> None:
            talk.upgrade(then=build_frame(BINARY, bytes(1000))[:500])
            talk.end()

        client = Recorder()
        with record(client, path):
            loop.connect(serve(script).url, client)
            run(loop, client)
        (recorded,) = read_recording(path)
        assert sum(len(said.data) for said in recorded.said) >= 500
        assert recorded.ends[0].by_client is False

    def test_a_reset(self, loop: Reactor, serve: Serve, path: Path) -> None:
        client = Recorder()
        with record(client, path):
            loop.connect(serve(faults.reset()).url, client)
            run(loop, client)
        data = path.read_bytes()
        assert client.closes[0][0] == 1006
        assert data

    def test_a_connection_that_is_open_in_the_middle_of_a_frame(
        self, loop: Reactor, path: Path, raw_client: Callable[..., RawClient]
    ) -> None:
        served = Served()
        client = raw_client(loop.listen("127.0.0.1", 0, served))
        client.upgrade()
        frame = build_frame(TEXT, b"a" * 1000, key=b"abcd")
        client.send(frame[:500])
        run_until(loop, lambda: served and served[0]._reactor_connection.session.within_frame)
        with record(loop, path):
            client.send(frame[500:] + build_frame(TEXT, b"whole", key=b"abcd"))
            run_until(loop, lambda: len(served[0].messages) == 2)
            assert [client.frame().payload for _ in range(2)] == [b"a" * 1000, b"whole"]
        (recorded,) = read_recording(path)
        by_client = b"".join(said.data for said in recorded.said if said.by_client)
        assert by_client == build_frame(TEXT, b"whole", key=b"abcd")

    def test_a_connection_that_is_open_in_the_middle_of_a_head(
        self, loop: Reactor, path: Path, raw_client: Callable[..., RawClient]
    ) -> None:
        served = Served()
        client = raw_client(loop.listen("127.0.0.1", 0, served))
        client.upgrade()
        frame = build_frame(TEXT, b"a" * 1000, key=b"abcd")
        client.send(frame[:3])
        run_until(loop, lambda: served and served[0]._reactor_connection.session.within_frame)
        with record(loop, path):
            client.send(frame[3:])
            run_until(loop, lambda: served[0].messages)
        (recorded,) = read_recording(path)
        assert b"".join(said.data for said in recorded.said if said.by_client) == frame

    @pytest.mark.parametrize("of", ["client", "server"])
    def test_a_compressed_connection_that_was_open_before(
        self, loop: Reactor, path: Path, of: str
    ) -> None:
        forgets = Deflate(server_no_context_takeover=True, client_no_context_takeover=True)
        served = Served()
        listener = loop.listen("127.0.0.1", 0, served, compression=forgets, subprotocols=["p"])
        url, client = f"ws://127.0.0.1:{listener.port}/?key=word", Recorder()
        loop.connect(url, client, compression=forgets, subprotocols=["p"])
        run_until(loop, lambda: client.events and served)
        with record(client if of == "client" else served[0], path, credentials=True):
            client.send("a" * 1000)
            run_until(loop, lambda: client.messages)
        (recorded,) = read_recording(path)
        assert answers(recorded) == ["a" * 1000]
        assert b"Sec-WebSocket-Protocol: p" in recorded.response
        assert recorded.target == "/?key=word"

    def test_a_protocol_object_that_is_recorded_as_soon_as_it_is_made(
        self, loop: Reactor, path: Path, raw_client: Callable[..., RawClient]
    ) -> None:
        recorders = []

        class Watched(Echo):
            def __init__(self) -> None:
                super().__init__()
                recorders.append(record(self, path))

        client = raw_client(loop.listen("127.0.0.1", 0, Watched))
        client.upgrade()
        client.send_frame(TEXT, b"hi")
        assert client.frame().payload == b"hi"
        recorders[0]._tap_open()  # as if another thread had asked for it meanwhile
        assert repr(recorders[0]).endswith("open, 7 packets>")
        recorders[0].close()
        assert answers(read_recording(path)[0]) == ["hi"]

    def test_handshakes_that_nothing_came_of_are_forgotten(
        self,
        loop: Reactor,
        path: Path,
        raw_client: Callable[..., RawClient],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(module, "MANY", 2)

        def fails() -> Any:
            raise RuntimeError("no protocol object")

        listener = loop.listen("127.0.0.1", 0, fails)
        with record(loop, path) as recorder:
            for _ in range(5):
                client = raw_client(listener)
                client.upgrade()
                run_until(loop, lambda client=client: client.frame() is not None)
            assert len(recorder._begun) <= 2

    def test_times_are_those_of_the_wall(self, loop: Reactor, path: Path) -> None:
        first = time.time_ns()
        client = Says("x")
        with record(client, path):
            loop.connect(serve_echo(loop), client)
            run(loop, client)
        (recorded,) = read_recording(path)
        times = [said.time for said in recorded.said]
        assert times == sorted(times)
        assert first - 50_000_000 <= times[0] <= times[-1] <= time.time_ns() + 50_000_000


class TestFiles:
    def test_two_recorders_at_once(self, loop: Reactor, tmp_path: Path) -> None:
        client = Says("a", "b")
        with record(loop, tmp_path / "loop.pcapng"):
            with record(client, tmp_path / "client.pcapng"):
                loop.connect(serve_echo(loop), client)
                run_until(loop, lambda: client.messages)
            run(loop, client)
        assert answers(read_recording(tmp_path / "loop.pcapng")[0]) == ["a", "b"]
        assert answers(read_recording(tmp_path / "client.pcapng")[0]) == ["a"]

    def test_the_same_file_twice_is_refused(self, loop: Reactor, path: Path) -> None:
        with record(loop, path), pytest.raises(FileExistsError):
            record(loop, path)
        with record(loop, path, overwrite=True):
            pass

    def test_only_the_latest_files_are_kept(self, loop: Reactor, tmp_path: Path) -> None:
        client = Says(*[bytes(30_000)] * 20)
        with record(client, tmp_path / "a.pcapng", max_bytes=100_000, keep=2) as recorder:
            loop.connect(serve_echo(loop), client)
            run(loop, client)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == [f"a.{recorder.file - 1:05}.pcapng", f"a.{recorder.file:05}.pcapng"]
        assert recorder.file > 5
        assert recorder.path.name == names[-1]
        assert all(path.stat().st_size < 250_000 for path in tmp_path.iterdir())

    def test_compressed_by_zstandard(self, loop: Reactor, tmp_path: Path) -> None:
        pytest.importorskip("zstandard")
        path = tmp_path / "a.pcapng.zst"
        client = Says("x" * 50_000)
        with record(client, path):
            loop.connect(serve_echo(loop), client)
            run(loop, client)
        assert path.stat().st_size < 10_000
        assert answers(read_recording(path)[0]) == ["x" * 50_000]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_bytes": 10}, "max_bytes must be 65536 or greater"),
            ({"keep": 2}, "keep needs max_bytes"),
            ({"keep": 0, "max_bytes": 100_000}, "keep must be 1 or greater"),
            ({"max_queue": -1}, "max_queue must be"),
        ],
    )
    def test_wrong_limits(
        self, loop: Reactor, path: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            record(loop, path, **options)
        assert not path.exists()


class TestNobodySuffers:
    def test_a_slow_disk_drops_and_counts(
        self, loop: Reactor, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        go_on = threading.Event()
        write = module.Writer._write_pieces

        def slow(self: Any, pieces: list[bytes]) -> None:
            go_on.wait(20.0)
            write(self, pieces)

        monkeypatch.setattr(module.Writer, "_write_pieces", slow)
        client = Says(*[bytes([number]) * 40_000 for number in range(10)])
        with record(client, path, max_queue=65536) as recorder:
            loop.connect(serve_echo(loop), client)
            run(loop, client)
            assert len(client.messages) == 10  # the connection has not waited
            assert recorder.dropped > 0
            go_on.set()
        assert recorder.dropped < recorder.packets
        assert answers(read_recording(path)[0])[0] == bytes(40_000)

    def test_what_follows_on_a_drop_can_be_read(
        self, loop: Reactor, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = Recorder()
        with record(client, path) as recorder:
            loop.connect(serve_echo(loop), client)
            run_until(loop, lambda: client.events)
            client.send("before")
            run_until(loop, lambda: client.messages)
            with monkeypatch.context() as patched:
                patched.setattr(recorder._writer, "put", lambda data, must: False)
                client.send("lost" * 100_000)
                run_until(loop, lambda: len(client.messages) == 2)
            client.send("after")
            run_until(loop, lambda: len(client.messages) == 3)
        (recorded,) = read_recording(path)
        assert answers(recorded) == ["before", "after"]
        assert [said.torn for said in recorded.said if not said.by_client] == [False, True]

    def test_a_fault_of_the_recorder_ends_the_recording_and_no_connection(
        self,
        loop: Reactor,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("no idea")

        client = Says("a", "b", "c")
        with record(client, path) as recorder:
            loop.connect(serve_echo(loop), client)
            run_until(loop, lambda: client.messages)
            monkeypatch.setattr(module.Conversation, "turn_over", broken, raising=False)
            monkeypatch.setattr(recorder, "turn_over", broken)
            run(loop, client)
            assert isinstance(recorder.error, RuntimeError)
        assert client.messages == ["a", "b", "c"]
        lines = [line for line in caplog.records if line.name == "reactor.monitor"]
        assert [line.levelno for line in lines] == [logging.ERROR]

    def test_after_close_the_stream_is_an_ordinary_one_again(
        self, loop: Reactor, path: Path
    ) -> None:
        client = Recorder()
        loop.connect(serve_echo(loop), client)
        run_until(loop, lambda: client.events)
        stream: Any = client._reactor_connection.stream  # type: ignore[attr-defined]
        engine = stream._engine
        with record(client, path):
            assert type(stream) is not Stream
        assert type(stream) is Stream
        assert stream._engine is engine
        client.send("x")
        run_until(loop, lambda: client.messages)
        assert client._reactor_wiretaps == ()
        assert loop.loop.wiretaps == ()

    def test_it_may_begin_and_end_on_another_thread(self, loop: Reactor, path: Path) -> None:
        client = Recorder()
        loop.connect(serve_echo(loop), client)
        run_until(loop, lambda: client.events)
        recorder = in_thread(lambda: record(client, path))
        client.send("x")
        run_until(loop, lambda: client.messages)
        assert in_thread(recorder.close)
        assert recorder.close()  # again
        assert answers(read_recording(path)[0]) == ["x"]

    def test_it_may_begin_and_end_while_another_thread_runs_the_loop(
        self, loop: Reactor, path: Path
    ) -> None:
        client = Recorder()
        loop.connect(serve_echo(loop), client)
        run_until(loop, lambda: client.events)
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        with record(loop, path):
            heard = threading.Event()
            client.on_pong = lambda payload: heard.set()  # type: ignore[method-assign]
            client.ping(b"x")
            assert heard.wait(20.0)
        loop.stop()
        thread.join(20.0)
        assert len(read_recording(path)) == 2

    def test_a_recorder_that_is_closed_hears_no_handshakes(self, loop: Reactor, path: Path) -> None:
        record(loop, path).close()
        client = Says("x")
        loop.connect(serve_echo(loop), client)
        run(loop, client)
        with pytest.raises(WebSocketRecordingException, match="no WebSocket connection"):
            read_recording(path)
