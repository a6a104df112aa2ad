"""WebSocketApp: how a run ends: by close(), by keep_running, by an exception in a callback.

Whatever gets the fixture ``library`` is played with this package and with websocket-client.
"""

from __future__ import annotations

import errno
import logging
import struct
from importlib import import_module
from typing import Any

import pytest

import reactor

from ...support.apps import (
    ALL,
    FRAGMENTS,
    RecordedApp,
    code,
    fail,
    mute,
    play,
    raise_again,
    said,
    send_x,
)
from ...support.peers import ScriptedPeer, Talk, echo
from ...support.websocket_frames import CLOSE, PONG, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("sockets_of_websocket_client")

# --- ending --------------------------------------------------------------------------------------


def test_close_in_a_callback(library: Any) -> None:
    seen: list[Any] = []

    def on_message(app: Any, message: str) -> None:
        app.close()
        seen.extend([app.sock, app.keep_running])
        with pytest.raises(library.WebSocketConnectionClosedException):
            app.send("too late")

    recorded = play(library, echo, reactions={"open": send_x, "message": on_message})
    assert recorded.events == [("open",), ("message", "x"), ("close", 1000, None)]
    assert seen == [None, False]
    assert recorded.result is False
    assert recorded.app.last_close_frame.data == code(1000)


@pytest.mark.parametrize(
    ("options", "payload"),
    [
        ({}, code(1000)),
        ({"status": 4000, "reason": b"because"}, code(4000, b"because")),
        ({"status": 3001, "reason": "wegen ü"}, code(3001, "wegen ü".encode())),
        ({"reason": None}, code(1000)),
        ({"timeout": 1}, code(1000)),
        ({"timeout": None}, code(1000)),
    ],
)
def test_close_with_status_and_reason(
    library: Any, options: dict[str, Any], payload: bytes
) -> None:
    payloads: list[bytes] = []

    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"go"))
        frame = talk.frame()
        payloads.append(frame.payload)
        talk.send(build_frame(CLOSE, frame.payload))
        talk.until_closed()

    recorded = play(library, script, reactions={"message": lambda app, _: app.close(**options)})
    assert payloads == [payload]
    status, text = struct.unpack("!H", payload[:2])[0], payload[2:].decode() or None
    assert recorded.events == [("open",), ("message", "go"), ("close", status, text)]
    assert recorded.result is False


def test_on_close_gets_the_code_that_the_server_answers(library: Any) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"go"))
        talk.frame()
        talk.send(build_frame(TEXT, b"not heard") + build_frame(CLOSE, code(4002, b"mine")))
        talk.until_closed()

    recorded = play(library, script, reactions={"message": lambda app, _: app.close()})
    assert recorded.events == [("open",), ("message", "go"), ("close", 4002, "mine")]


def test_code_that_may_not_be_sent(library: Any) -> None:
    seen: list[Exception] = []

    def on_open(app: Any) -> None:
        try:
            app.close(status=70_000)
        except ValueError as exc:
            seen.append(exc)
        app.close()

    play(library, echo, reactions={"open": on_open})
    assert len(seen) == 1


@pytest.mark.parametrize("status", [999, 1004, 1006, 1015, 2999, 5000, -1])
def test_code_that_may_not_be_on_the_wire(status: int) -> None:
    def on_open(app: Any) -> None:
        with pytest.raises(ValueError, match=str(status)):
            app.close(status=status)
        assert app.keep_running is True
        app.close()

    recorded = play(reactor, echo, reactions={"open": on_open})
    assert recorded.events == [("open",), ("close", 1000, None)]


def test_mute_server_is_waited_for_as_long_as_close_says(library: Any) -> None:
    script = mute(build_frame(TEXT, b"go"))
    recorded = play(library, script, reactions={"message": lambda app, _: app.close(timeout=0.05)})
    assert recorded.events == [("open",), ("message", "go"), ("close", None, None)]
    assert recorded.result is False


def test_sending_before_the_connection_is_open(library: Any) -> None:
    seen: list[bool] = []

    def header() -> list[str]:
        with pytest.raises(library.WebSocketConnectionClosedException):
            app.send("too early")
        seen.append(app.sock.connected)
        return []

    with ScriptedPeer(said(build_frame(CLOSE, code(1000)))) as peer:
        app = library.WebSocketApp(peer.url, header=header)
        app.run_forever()
    assert seen == [False]


def test_keep_running_ends_the_run(library: Any) -> None:
    def on_message(app: Any, message: str) -> None:
        assert app.keep_running is True
        app.keep_running = False

    recorded = play(library, echo, reactions={"open": send_x, "message": on_message})
    assert recorded.events == [("open",), ("message", "x"), ("close", None, None)]
    assert recorded.result is False


@pytest.mark.parametrize("how", ["close", "keep_running"])
def test_fault_of_the_server_after_our_close_is_no_error(library: Any, how: str) -> None:
    def end(app: Any, _message: str) -> None:
        if how == "close":
            app.close()
        else:
            app.keep_running = False

    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"go") + build_frame(3, b"wrong"))
        talk.until_closed()

    recorded = play(library, script, reactions={"message": end})
    assert recorded.events == [("open",), ("message", "go"), ("close", None, None)]
    assert recorded.result is False


def test_keep_running_in_on_error_comes_too_late_to_hide_the_code(library: Any) -> None:
    def on_error(app: Any, _exc: Exception) -> None:
        app.keep_running = False

    script = said(build_frame(CLOSE, code(1001, b"bye")))
    recorded = play(library, script, reactions={"error": on_error})
    assert recorded.names == ["open", "error", "close"]
    assert recorded.events[-1] == ("close", 1001, "bye")
    assert recorded.result is False


@pytest.mark.parametrize(
    ("answered", "level"), [(1000, None), (1001, logging.ERROR), (4002, logging.DEBUG)]
)
def test_code_that_the_server_answers_is_logged(
    library: Any, answered: int, level: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"go"))
        talk.frame()
        talk.send(build_frame(CLOSE, code(answered)))
        talk.until_closed()

    with caplog.at_level(logging.DEBUG, "websocket"):
        play(library, script, reactions={"message": lambda app, _: app.close()})
    records = [record for record in caplog.records if "close status" in record.getMessage()]
    assert [(record.levelno, record.getMessage()) for record in records] == (
        [] if level is None else [(level, f"close status: {answered}")]
    )


@pytest.mark.parametrize(
    "name", ["open", "message", "data", "cont_message", "ping", "pong", "error", "close"]
)
@pytest.mark.parametrize("how", ["close", "keep_running"])
def test_each_callback_can_end_the_run(name: str, how: str) -> None:
    def end(app: Any, *_: object) -> None:
        if how == "close":
            app.close()
        else:
            app.keep_running = False

    def script(talk: Talk) -> None:
        talk.upgrade(then=b"".join(FRAGMENTS[:4]) + build_frame(PONG, b""))
        frame = talk.frame()
        while frame.opcode != CLOSE:
            if frame.payload == b"between":
                talk.send(build_frame(CLOSE, code(1000)))
            frame = talk.frame()
        talk.send(build_frame(CLOSE, frame.payload))
        talk.until_closed()

    recorded = play(reactor, script, ALL, {name: end})
    assert name in recorded.names
    assert recorded.names[-1] == "close"
    assert recorded.names.count("close") == 1
    assert recorded.app.keep_running is False


# --- exceptions in callbacks ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["open", "message", "data", "ping", "pong", "cont_message"])
def test_exception_in_a_callback(library: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    recorded = play(
        library,
        said(
            *FRAGMENTS[1:2], *FRAGMENTS[:1], *FRAGMENTS[2:4], build_frame(PONG, b""), FRAGMENTS[-1]
        ),
        ALL,
        {name: fail},
    )
    at = recorded.names.index(name)
    assert recorded.events[at + 1] == ("error", "LookupError", "of the user")
    assert recorded.events[-2][2].startswith("Connection closed normally")
    assert recorded.events[-1] == ("close", 1000, None)
    assert recorded.result is False
    logged = [r for r in caplog.records if r.name == "websocket" and r.levelno == logging.ERROR]
    assert logged[0].getMessage().startswith("error from callback <function ")
    assert logged[0].getMessage().endswith(": of the user")


def test_exception_in_a_callback_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    play(reactor, said(build_frame(CLOSE, code(1000))), reactions={"open": fail})
    logged = [record for record in caplog.records if record.exc_info]
    assert [record.exc_info[0] for record in logged if record.exc_info] == [LookupError]


def test_exception_in_on_close(library: Any) -> None:
    recorded = play(library, said(build_frame(CLOSE, code(1000))), reactions={"close": fail})
    assert recorded.names == ["open", "error", "close", "error"]
    assert recorded.events[-1] == ("error", "LookupError", "of the user")
    assert recorded.result is False


def test_exception_in_on_error_when_the_library_calls_it(
    library: Any, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = play(library, said(build_frame(CLOSE, code(1000))), reactions={"error": fail})
    assert recorded.names == ["open", "error", "close"]
    assert recorded.result is False
    assert any(
        record.getMessage().endswith(": of the user")
        for record in caplog.records
        if record.levelno == logging.ERROR
    )


@pytest.mark.parametrize("name", ["open", "message"])
def test_on_error_that_raises_ends_the_run(library: Any, name: str) -> None:
    reactions = {"error": raise_again, name: fail}
    recorded = play(library, said(build_frame(TEXT, b"x"), FRAGMENTS[-1]), reactions=reactions)
    assert recorded.events == [
        *[("open",), ("message", "x")][: 1 if name == "open" else 2],
        ("error", "LookupError", "of the user"),
        ("error", "LookupError", "of the user"),
        ("close", None, None),
    ]
    assert recorded.result is True
    assert recorded.app.has_errored is True


def test_on_error_that_raises_what_on_close_has_raised(library: Any) -> None:
    recorded = play(
        library,
        said(build_frame(CLOSE, code(1000))),
        reactions={"close": fail, "error": raise_again},
    )
    assert recorded.names[:4] == ["open", "error", "close", "error"]
    assert recorded.names[4:] == ([] if library is reactor else ["error"])
    assert recorded.names.count("close") == 1


def test_without_any_callback(library: Any) -> None:
    with ScriptedPeer(said(*FRAGMENTS)) as peer:
        app = library.WebSocketApp(peer.url)
        assert app.run_forever() is False


def test_without_on_error(library: Any) -> None:
    app = RecordedApp(library, "ws://127.0.0.1:1", ("close",))
    assert app.run() == [("close", None, None)]
    assert app.result is True


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_interrupt_in_on_close_reaches_on_error(library: Any, kind: type[BaseException]) -> None:
    seen: list[Any] = []

    def on_close(app: Any, *_: object) -> None:
        raise kind("of the user")

    with ScriptedPeer(said(build_frame(CLOSE, code(1000)))) as peer:
        app = library.WebSocketApp(
            peer.url, on_close=on_close, on_error=lambda _app, exc: seen.append(type(exc))
        )
        try:
            app.run_forever()
        except kind:
            pass
    assert seen == [library.WebSocketConnectionClosedException, kind]


def test_no_descriptor_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(import_module("reactor.classic.app.app"), "Reactor", full)
    recorded = RecordedApp(reactor, "ws://127.0.0.1:1")
    assert recorded.run() == [
        ("error", "OSError", "[Errno 24] Too many open files"),
        ("close", None, None),
    ]
    assert recorded.result is True
    assert recorded.app.has_errored is True
    with pytest.raises(ValueError, match="scheme"):
        reactor.WebSocketApp("http://x").run_forever()
