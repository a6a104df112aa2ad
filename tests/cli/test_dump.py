"""reactor dump: the flags and output of websocket-client's wsdump, pipes, and a real terminal."""

from __future__ import annotations

import gzip
import json
import os
import pty
import select
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor import Reactor, WebSocketProtocol
from reactor.cli.dump import main
from reactor.cli.echo import Echo
from reactor.cli.showing import LONGEST, unpack
from reactor.monitor.recording.playing import server_events
from reactor.monitor.recording.reading import read_recording
from reactor.testing import Talk, build_frame, closed_port, faults

from ..support.peers import Serve, answer
from ..support.programs import run_command
from ..support.websocket_frames import PONG, TEXT


@contextmanager
def server(protocol: Callable[[], WebSocketProtocol] = Echo) -> Iterator[str]:
    """Serve on a thread; yield the URL."""
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, protocol, subprotocols=["chat"])
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listener.port}/"
        finally:
            loop.stop()
            thread.join()


def dump(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run it with something on its standard input."""
    return run_command("dump", *arguments, typed=typed)


def dump_alone(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "reactor", "dump", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )


class Speaker(WebSocketProtocol):
    """Says one thing of each kind, and closes."""

    def on_open(self) -> None:
        self.send("text")
        self.send(b"\x00\xff")
        self.send(gzip.compress(b"squeezed"))
        squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self.send(squeezer.compress(b"deflated") + squeezer.flush())
        self.ping(b"are you there")
        self.close(4000, "that was all")


def test_what_comes_is_shown_line_by_line() -> None:
    with server(Speaker) as url:
        result = dump("-r", "--eof-wait", "20", url)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "text",
        r"b'\x00\xff'",
        "[gzip] squeezed",
        "[zlib] deflated",
    ]


class Wild(WebSocketProtocol):
    """Says what would clear the screen, go back a line, or turn the writing around."""

    def on_open(self) -> None:
        self.send("a\x1b[2J\x9b1A\r\n\u202eb")
        self.send("x" * 100_000)
        self.send(bytes(100_000))
        self.send(gzip.compress(b"\x1b]0;title\x07"))
        self.ping(b"\x1b")
        self.close(4000, "\x1b[2J\nfake")


def squeezed(data: bytes, kind: str) -> bytes:
    """Return *data* compressed, as dump unpacks it."""
    if kind == "gzip":
        return gzip.compress(data)
    squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeezer.compress(data) + squeezer.flush()


@pytest.mark.parametrize("kind", ["gzip", "zlib"])
def test_no_more_is_unpacked_than_is_shown(kind: str) -> None:
    bomb = squeezed(bytes(20_000_000), kind)
    tracemalloc.start()
    try:
        text = unpack(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
    assert text.startswith(f"[{kind}] \0\0")
    assert text.endswith("\0... (and more)")
    assert len(text) <= LONGEST


@pytest.mark.parametrize("kind", ["gzip", "zlib"])
@pytest.mark.parametrize("text", ["", "a", "é" * LONGEST, "a" + "é" * LONGEST, "x" * LONGEST])
def test_text_of_any_length_is_unpacked(text: str, kind: str) -> None:
    shown = unpack(squeezed(text.encode(), kind))
    assert shown.startswith(f"[{kind}] {text[:30_000]}")
    assert len(text.encode()) <= LONGEST or shown.endswith("... (and more)")


@pytest.mark.parametrize("kind", ["gzip", "zlib"])
def test_what_cannot_be_unpacked_is_shown_as_it_is(kind: str) -> None:
    for data in (squeezed(b"x" * 1000, kind)[:-2], squeezed(b"\xff", kind), b"\x1f\x8b", b"\0"):
        assert unpack(data) == repr(data)


@pytest.mark.parametrize("raw", [["-r"], []])
def test_what_comes_cannot_steer_the_terminal(raw: list[str]) -> None:
    with server(Wild) as url:
        result = dump(*raw, "-v", "--eof-wait", "20", url)
    lines = result.stdout.splitlines()
    assert lines == [
        r"text: a\x1b[2J\x9b1A\r\n\u202eb",
        f"text: {'x' * 65530}... (100006 characters)",
        lines[2],
        r"binary: [gzip] \x1b]0;title\x07",
        r"ping: b'\x1b'",
        r"close: 4000 \x1b[2J\nfake",
    ]
    assert lines[2].startswith(r"binary: b'\x00\x00")
    assert len(lines[2]) < 66_000


def test_an_error_of_the_server_cannot_steer_the_terminal(serve: Serve) -> None:
    body = b"\x1b[2J" + "\x9b2J\u202e".encode()
    peer = serve(answer("HTTP/1.1 403 No", f"Content-Length: {len(body)}", body=body))
    result = dump("-r", "--eof-wait", "20", peer.url)
    (line,) = result.stdout.splitlines()
    assert line.startswith("Handshake status 403 No -+-+- ")
    assert line.endswith(r" -+-+- \x1b[2J\x9b2J\u202e")


def test_verbose_shows_opcodes_and_control_frames() -> None:
    with server(Speaker) as url:
        result = dump("-r", "-v", "--eof-wait", "20", url)
    assert result.stdout.splitlines() == [
        "text: text",
        r"binary: b'\x00\xff'",
        "binary: [gzip] squeezed",
        "binary: [zlib] deflated",
        "ping: b'are you there'",
        "close: 4000 that was all",
    ]


@pytest.mark.parametrize("flags", [["-v", "2"], ["-vv"]])
def test_twice_verbose_traces_the_handshake(flags: list[str]) -> None:
    with server(Speaker) as url:
        result = dump("-r", *flags, "--eof-wait", "20", "-o", "https://origin.example", url)
    assert "--- request header ---" in result.stderr
    assert "Origin: https://origin.example" in result.stderr


def test_the_text_and_what_is_typed_are_sent_in_order() -> None:
    with server() as url:
        result = dump("-r", "-t", "first", url, typed="second\nthird\n")
    assert result.stdout.splitlines() == ["first", "second", "third"]


class Headers(WebSocketProtocol):
    """Shows what the client has asked for."""

    def on_open(self) -> None:
        assert self.request is not None
        names = ("a", "b", "origin")
        self.send(" ".join(self.request.headers.get(name) or "-" for name in names))
        self.send(str(self.subprotocol))
        self.close()


def test_headers_origin_and_subprotocols_are_sent() -> None:
    arguments = ["--headers", "A: 1,B: 2", "-o", "http://o.example", "-s", "chat", "--raw"]
    with server(Headers) as url:
        result = dump(url, *arguments, "--eof-wait", "20")
    assert result.stdout.splitlines() == ["1 2 http://o.example", "chat"]


def test_several_urls_are_told_apart() -> None:
    with server(Headers) as one, server(Headers) as two:
        result = dump("-r", "--eof-wait", "20", one, two)
    assert sorted(result.stdout.splitlines()) == sorted(
        f"[{number}] {text}"
        for number, url in enumerate((one, two))
        for text in (f"- - {url.rstrip('/').replace('ws', 'http')}", "None")
    )


def test_timings_are_seconds_since_the_start() -> None:
    with server(Headers) as url:
        result = dump("-r", "--timings", "--eof-wait", "20", url)
    seconds, _, text = result.stdout.splitlines()[1].partition(": ")
    assert text == "None"
    assert 0 <= float(seconds) < 20


def test_a_host_that_refuses_is_an_error() -> None:
    result = dump("-r", "--eof-wait", "20", "ws://127.0.0.1:1/")
    assert result.returncode == 1
    assert "127.0.0.1 port 1 refused" in result.stdout


def test_a_url_that_is_none_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["http://example.com"])
    assert caught.value.code == 2
    assert "'http://example.com': scheme http is invalid" in capsys.readouterr().err


class OnceOnly(WebSocketProtocol):
    """Drops the first connection, and greets the second."""

    visits = 0

    def on_open(self) -> None:
        OnceOnly.visits += 1
        if OnceOnly.visits == 1:
            self.abort()
        else:
            self.send("welcome back")


def test_it_reconnects_when_asked_to() -> None:
    OnceOnly.visits = 0
    with server(OnceOnly) as url:
        result = dump("-r", "--reconnect", "0.1", "--eof-wait", "1", url)
    assert result.stdout.splitlines() == ["Connection to remote host was lost.", "welcome back"]


def read_until(terminal: int, text: bytes) -> bytes:
    """Read what a terminal shows until *text* is there."""
    shown = b""
    deadline = time.monotonic() + 20
    while text not in shown:
        ready, _, _ = select.select([terminal], [], [], deadline - time.monotonic())
        assert ready, shown
        shown += os.read(terminal, 4096)
    return shown


def read_answer(terminal: int, answer: bytes) -> bytes:
    """Read an answer with the prompt behind it, and the prompt of the thread that reads lines.

    That one is there before the answer comes, or follows it.
    """
    shown = read_until(terminal, b"\x1b[34m< " + answer + b"\x1b[39m\r\n> ")
    if b"> " not in shown.partition(b"\x1b[2K")[0]:
        read_until(terminal, b"> ")
    return shown


def test_in_a_terminal_it_has_a_prompt_and_ends_with_ctrl_c() -> None:
    with server() as url:
        terminal, child_side = pty.openpty()
        command = [sys.executable, "-m", "reactor", "dump", "-t", "first", url]
        with subprocess.Popen(
            command, stdin=child_side, stdout=child_side, stderr=child_side, start_new_session=True
        ) as child:
            os.close(child_side)
            try:
                shown = read_answer(terminal, b"first")
                assert b"Press Ctrl+C to quit" in shown
                os.write(terminal, b"typed\n")
                read_answer(terminal, b"typed")
                child.send_signal(2)
                assert child.wait(10) == 0
                assert read_until(terminal, b"\n").lstrip(b"^C") == b"\r\n"
            finally:
                child.kill()
                os.close(terminal)


def test_typed_lines_are_sent_where_the_answers_go_into_a_pipe() -> None:
    with server() as url:
        terminal, child_side = pty.openpty()
        command = [sys.executable, "-m", "reactor", "dump", url]
        with subprocess.Popen(
            command, stdin=child_side, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child:
            os.close(child_side)
            try:
                assert child.stdout is not None
                assert child.stderr is not None
                os.write(terminal, b"typed\n")
                assert child.stdout.readline() == b"typed\n"
                child.send_signal(2)
                assert child.wait(10) == 0
                assert child.stdout.read() + child.stderr.read() == b""
            finally:
                child.kill()
                os.close(terminal)


class Repeater(WebSocketProtocol):
    """Sends back what comes, and closes after the third message."""

    def __init__(self) -> None:
        self._left = 3

    def on_message(self, message: str | bytes) -> None:
        self.send(message)
        self._left -= 1
        if not self._left:
            self.close()


def test_input_that_never_ends_does_not_keep_it_from_ending() -> None:
    with server(Speaker) as url:
        command = [sys.executable, "-m", "reactor", "dump", "-r", url]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child:
            try:
                assert child.wait(20) == 0
                assert child.stderr is not None
                assert child.stderr.read() == b""
            finally:
                child.kill()


def test_a_last_line_without_an_end_is_sent() -> None:
    with server(Repeater) as url:
        result = dump("-r", "--eof-wait", "20", url, typed="first\nsecond\nlast")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["first", "second", "last"]


def test_input_from_a_file_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text("first\nsecond\nlast")
    with server(Repeater) as url, path.open("rb") as file:
        result = dump_alone("-r", "--eof-wait", "20", url, stdin=file)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["first", "second", "last"]


def test_a_proxy_that_is_none_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-p", "ftp://127.0.0.1:1", "ws://127.0.0.1:1/"]) == 2
    message = capsys.readouterr().err
    assert "its scheme must be one of http, https, socks4" in message
    assert "Traceback" not in message


# --- pipes ---------------------------------------------------------------------------------------


@pytest.fixture
def rude(monkeypatch: pytest.MonkeyPatch) -> None:
    """No closing handshake is waited for: the peer has none."""
    monkeypatch.setattr("reactor.cli.dump.FAREWELL", 0.0)


@pytest.mark.usefixtures("rude")
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_what_is_piped_is_sent_and_answered_before_it_ends(serve: Serve, pause: float) -> None:
    def script(talk: Talk) -> None:
        """Take its time for the handshake, and for each answer."""
        head = talk.head()
        talk.pause(pause)
        talk.send(head.response())
        for _ in range(3):
            frame = talk.frame()
            talk.pause(pause)
            talk.send(build_frame(TEXT, frame.payload.upper()))
        talk.until_closed()

    result = dump(serve(script).url, typed="a\nb\nc")
    assert (result.returncode, result.stdout, result.stderr) == (0, "A\nB\nC\n", "")


def test_much_is_piped_in_order() -> None:
    lines = [f"{number} {'x' * 1000}" for number in range(5000)]
    with server() as url:
        result = dump_alone(url, input="\n".join(lines))
    assert result.returncode == 0
    assert result.stdout.splitlines() == lines


def test_a_text_is_answered_though_there_is_no_input() -> None:
    with server() as url:
        result = dump(url, "-t", "hello")
    assert (result.returncode, result.stdout) == (0, "hello\n")


@pytest.mark.usefixtures("rude")
def test_a_stream_that_never_pauses_does_not_keep_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reactor.cli.dump.FLOOD", 0.1)

    def script(talk: Talk) -> None:
        talk.upgrade()
        while not talk.pause(0.01):
            talk.send(build_frame(TEXT, b"tick") + build_frame(PONG, b"reactor dump: was that all"))

    result = dump(serve(script).url, typed="subscribe\n")
    assert result.returncode == 0
    assert "tick" in result.stdout


@pytest.mark.usefixtures("rude")
def test_a_server_that_answers_nothing_does_not_keep_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reactor.cli.dump.SILENCE", 0.1)
    result = dump(serve(faults.mute()).url, typed="anybody there\n")
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.usefixtures("rude")
def test_waiting_begins_when_it_is_open(serve: Serve) -> None:
    def script(talk: Talk) -> None:
        head = talk.head()
        talk.pause(1.0)
        talk.send(head.response())
        talk.pause(0.7)
        talk.send(build_frame(TEXT, b"late"))
        talk.until_closed()

    result = dump(serve(script).url, "--eof-wait", "1.2")
    assert (result.returncode, result.stdout) == (0, "late\n")


def test_who_was_never_connected_has_failed(serve: Serve) -> None:
    result = dump(serve(faults.refuse(503)).url, typed="lost\n")
    assert result.returncode == 1
    assert "503" in result.stdout


def test_a_host_that_refuses_does_not_keep_the_others() -> None:
    with server() as url, closed_port() as closed:
        result = dump(url, closed, typed="hello\n")
    assert result.returncode == 1
    assert "[0] hello\n" in result.stdout
    assert "[1] [Errno" in result.stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_standard_streams_may_be_closed(closed: str) -> None:
    with server(Speaker) as url:
        command = f"{sys.executable} -m reactor dump {url} {closed}"
        result = subprocess.run(
            command, shell=True, capture_output=True, text=True, timeout=30, check=False
        )
    assert (result.returncode, result.stderr) == (0, "")


def test_nothing_that_is_for_terminals_goes_into_a_pipe() -> None:
    with server(Speaker) as url:
        result = dump(url)
    assert "\033" not in result.stdout
    assert result.stdout.splitlines()[0] == "text"


def test_a_reader_that_leaves_ends_it() -> None:
    with server(Speaker) as url:
        command = f"{sys.executable} -m reactor dump {url} | head -1"
        result = subprocess.run(
            command, shell=True, capture_output=True, text=True, timeout=30, check=False
        )
    assert (result.stdout, result.stderr) == ("text\n", "")


def test_json_has_an_object_on_each_line(serve: Serve) -> None:
    with server(Speaker) as url:
        result = dump("--json", url)
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["type"] for each in objects] == [
        "open",
        "text",
        "binary",
        "binary",
        "binary",
        "ping",
        "close",
    ]
    assert all(each["url"] == url and each["time"] > 0 for each in objects)
    assert objects[1]["data"] == "text"
    assert objects[2]["base64"] == "AP8="
    assert objects[5]["data"] == "are you there"
    assert (objects[6]["code"], objects[6]["reason"]) == (4000, "that was all")


def test_json_tells_errors_and_stays_ascii(serve: Serve) -> None:
    result = dump("--json", serve(faults.refuse(403, body="\x1b\u202e".encode())).url)
    assert result.returncode == 1
    assert result.stdout.isascii()
    error, close = (json.loads(line) for line in result.stdout.splitlines())
    assert (error["type"], error["error"]) == ("error", "WebSocketBadStatusException")
    assert (close["type"], close["code"]) == ("close", None)


def test_it_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"reactor {reactor.__version__}\n"


def test_there_is_no_script_named_wsdump() -> None:
    scripts = {
        script.name
        for script in metadata.entry_points(group="console_scripts")
        if script.value.startswith("reactor.")
    }
    assert {"reactor", "reactor-dump"} <= scripts
    assert "wsdump" not in scripts


def test_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "feed.pcapng"
    with server() as url:
        result = dump(url, "--record", str(path), typed="hello\n")
        assert (result.returncode, result.stdout) == (0, "hello\n")
        (recorded,) = read_recording(path)
        assert next(server_events(recorded)).event == "hello"
        again = dump(url, "--record", str(path), typed="hello\n")
        assert again.returncode == 2
        assert "argument --record: [Errno 17] File exists" in again.stderr
