"""WebSocketApp: what comes from the server and what is sent; callbacks, arguments, order.

Whatever gets the fixture ``library`` is played with this package and with websocket-client.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest

import reactor

from ...support.apps import (
    ALL,
    FRAGMENTS,
    RecordedApp,
    code,
    dropped,
    play,
    said,
)
from ...support.peers import ScriptedPeer, Talk, answer, echo
from ...support.websocket_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("sockets_of_websocket_client")

LOST = ("error", "WebSocketConnectionClosedException", "Connection to remote host was lost.")


# --- what the server does ------------------------------------------------------------------------


def test_all_callbacks_of_a_connection_that_the_server_closes(library: Any) -> None:
    frames = (
        build_frame(TEXT, "hé".encode()),
        build_frame(BINARY, b"\x00\xff"),
        build_frame(PING, b"p"),
        build_frame(PONG, b"q"),
        build_frame(CLOSE, code(1000, b"bye")),
    )
    names = tuple(name for name in ALL if name != "cont_message")
    recorded = play(library, said(*frames), names)
    assert recorded.events == [
        ("open",),
        ("data", "hé", 1, True),
        ("message", "hé"),
        ("data", b"\x00\xff", 2, True),
        ("message", b"\x00\xff"),
        ("ping", b"p"),
        ("pong", b"q"),
        (
            "error",
            "WebSocketConnectionClosedException",
            "Connection closed normally (code 1000): bye",
        ),
        ("close", 1000, "bye"),
    ]
    assert recorded.result is False
    assert recorded.app.has_errored is False


@pytest.mark.parametrize(
    ("payload", "error", "close"),
    [
        (b"", "Connection closed", (None, None)),
        (code(1000), "Connection closed normally (code 1000)", (1000, None)),
        (code(1001), "Connection closed (code 1001)", (1001, None)),
        (code(4001, b"nope"), "Connection closed (code 4001): nope", (4001, "nope")),
        (code(3000, "ü".encode()), "Connection closed (code 3000): ü", (3000, "ü")),
    ],
)
def test_close_codes_of_the_server(
    library: Any, payload: bytes, error: str, close: tuple[Any, ...]
) -> None:
    recorded = play(library, said(build_frame(CLOSE, payload)))
    assert recorded.events == [
        ("open",),
        ("error", "WebSocketConnectionClosedException", error),
        ("close", *close),
    ]
    assert recorded.result is False


def test_error_of_a_close_has_code_and_reason(library: Any) -> None:
    seen: list[Any] = []

    def on_error(app: Any, exc: Any) -> None:
        seen.extend([exc.status_code, exc.reason])

    frame = build_frame(CLOSE, code(4001, b"nope"))
    play(library, said(frame), reactions={"error": on_error})
    assert seen == [4001, "nope"]


def test_server_that_drops_the_connection(library: Any) -> None:
    recorded = play(library, dropped())
    assert recorded.events == [("open",), LOST, ("close", None, None)]
    assert recorded.result is True
    assert recorded.app.has_errored is True


def test_server_that_resets_the_connection(library: Any) -> None:
    kinds: list[type[Exception]] = []

    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"x"))
        talk.frame()
        talk.reset()

    recorded = play(
        library,
        script,
        reactions={
            "message": lambda app, _: app.send("y"),
            "error": lambda _, exc: kinds.append(type(exc)),
        },
    )
    assert recorded.names == ["open", "message", "error", "close"]
    assert issubclass(kinds[0], ConnectionResetError)
    assert recorded.result is True


def test_refused_connection(library: Any) -> None:
    with ScriptedPeer(echo) as peer:
        url = peer.url
    recorded = RecordedApp(library, url)
    recorded.run()
    assert recorded.events == [("error", "ConnectionRefusedError", ANY), ("close", None, None)]
    assert recorded.result is True


def test_refused_upgrade(library: Any) -> None:
    seen: list[Any] = []

    def on_error(app: Any, exc: Any) -> None:
        seen.extend([exc.status_code, exc.status_message, exc.resp_body])

    script = answer("HTTP/1.1 403 Forbidden", "Content-Length: 2", body=b"no")
    recorded = play(library, script, reactions={"error": on_error})
    assert recorded.events == [("error", "WebSocketBadStatusException", ANY), ("close", None, None)]
    assert recorded.events[0][2].startswith("Handshake status 403 Forbidden -+-+- {")
    assert recorded.events[0][2].endswith("} -+-+- no")
    assert seen == [403, "Forbidden", b"no"]
    assert recorded.result is True


def test_server_that_ends_within_the_opening_handshake(library: Any) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        talk.send(b"HTTP/1.1 101 Swi")

    assert play(library, script).events == [
        ("error", "WebSocketConnectionClosedException", "Connection to remote host was lost."),
        ("close", None, None),
    ]


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (build_frame(TEXT, b"\xff\xfe"), "WebSocketPayloadException"),
        (build_frame(TEXT, b"x", rsv=4), "WebSocketProtocolException"),
        (build_frame(3, b"x"), "WebSocketProtocolException"),
        (build_frame(CONT, b"x"), "WebSocketProtocolException"),
        (build_frame(CLOSE, b"\x03"), "WebSocketProtocolException"),
        (build_frame(PING, b"x", fin=False), "WebSocketProtocolException"),
    ],
    ids=["utf8", "rsv", "opcode", "continuation", "close", "ping"],
)
def test_server_that_breaks_the_protocol(library: Any, frame: bytes, kind: str) -> None:
    recorded = play(library, said(frame))
    assert recorded.events == [("open",), ("error", kind, ANY), ("close", None, None)]
    assert recorded.result is True


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (build_frame(TEXT, b"\xff"), 1007),
        (build_frame(TEXT, b"x", rsv=4), 1002),
        (build_frame(CONT, b"x"), 1002),
    ],
)
def test_server_that_breaks_the_protocol_is_told_so(frame: bytes, expected: int) -> None:
    codes: list[int] = []

    def script(talk: Talk) -> None:
        talk.upgrade(then=frame)
        codes.append(int.from_bytes(talk.frame().payload[:2], "big"))

    play(reactor, script)
    assert codes == [expected]


def test_close_frame_of_the_server_is_answered_with_its_code() -> None:
    payloads: list[bytes] = []

    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(CLOSE, code(4001)))
        payloads.append(talk.frame().payload)

    play(reactor, script)
    assert payloads == [code(4001)]


def test_ping_is_answered_before_on_ping(library: Any) -> None:
    order: list[str] = []

    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(PING, b"p"))
        order.extend(f"{talk.frame().opcode}" for _ in range(2))
        talk.send(build_frame(CLOSE, code(1000)))
        talk.until_closed()

    play(library, script, reactions={"ping": lambda app, _: app.send("after")})
    assert order == [str(PONG), str(TEXT)]


def test_error_on_close_can_be_switched_off() -> None:
    with ScriptedPeer(said(build_frame(CLOSE, code(4001, b"x")))) as peer:
        recorded = RecordedApp(reactor, peer.url)
        recorded.app.error_on_close = False
        recorded.run()
    assert recorded.events == [("open",), ("close", 4001, "x")]
    assert recorded.result is False


def test_error_on_close_can_be_switched_off_for_a_class() -> None:
    events: list[str] = []

    class Quiet(reactor.WebSocketApp):
        error_on_close = False

    with ScriptedPeer(said(build_frame(CLOSE, code(1000)))) as peer:
        app = Quiet(
            peer.url,
            on_error=lambda *_: events.append("error"),
            on_close=lambda *_: events.append("close"),
        )
        assert app.run_forever() is False
    assert events == ["close"]


# --- fragments, text and bytes -------------------------------------------------------------------


def test_fragments_with_on_cont_message(library: Any) -> None:
    recorded = play(library, said(*FRAGMENTS), ALL)
    assert recorded.events[:-2] == [
        ("open",),
        ("data", "one", 1, True),
        ("message", "one"),
        ("ping", b"between"),
        ("data", b"two", 0, 0),
        ("cont_message", b"two", 0),
        ("data", b"three", 0, 1),
        ("cont_message", b"three", 1),
        ("data", b"\xff", 2, True),
        ("message", b"\xff"),
        ("data", b"\xfe", 0, 1),
        ("cont_message", b"\xfe", 1),
        ("data", "whole", 1, True),
        ("message", "whole"),
    ]
    assert [type(event[3]) for event in recorded.events if event[0] == "data"] == [
        *(bool, int, int, bool, int, bool)
    ]


def test_fragments_without_on_cont_message_are_put_together(library: Any) -> None:
    recorded = play(library, said(*FRAGMENTS), ("message", "ping"))
    assert recorded.events == [
        ("ping", b"between"),
        ("message", "onetwothree"),
        ("message", b"\xff\xfe"),
        ("message", "whole"),
    ]


def test_opcode_of_a_message_in_fragments_is_that_of_the_message() -> None:
    recorded = play(reactor, said(*FRAGMENTS), ("data",))
    assert recorded.events == [
        ("data", "onetwothree", 1, True),
        ("data", b"\xff\xfe", 2, True),
        ("data", "whole", 1, True),
    ]


def test_character_split_over_fragments_with_on_cont_message() -> None:
    frames = (
        build_frame(TEXT, b"a\xc3", fin=False),
        build_frame(CONT, b"\xa9z"),
        build_frame(CLOSE, code(1000)),
    )
    recorded = play(reactor, said(*frames), ("message", "cont_message", "error"))
    parts = [
        part if isinstance(part, bytes) else part.encode() for _, part, *_ in recorded.events[:2]
    ]
    assert b"".join(parts) == "aéz".encode()
    assert recorded.names == ["message", "cont_message", "error"]
    assert recorded.events[2][2].startswith("Connection closed normally")


@pytest.mark.parametrize("callbacks", [("message", "data"), ("message", "data", "cont_message")])
def test_text_is_bytes_without_validation(library: Any, callbacks: tuple[str, ...]) -> None:
    frames = (build_frame(TEXT, b"a\xff"), build_frame(CLOSE, code(1000)))
    with ScriptedPeer(said(*frames)) as peer:
        recorded = RecordedApp(library, peer.url, callbacks)
        recorded.run(skip_utf8_validation=True)
    assert recorded.events == [("data", b"a\xff", 1, True), ("message", b"a\xff")]


def test_large_messages_both_ways(library: Any) -> None:
    text = "é" * 200_000

    def on_message(app: Any, message: Any) -> None:
        if message == text:
            app.send(bytes(300_000), 2)
        else:
            app.close()

    recorded = play(
        library,
        echo,
        ("message", "close"),
        {"message": on_message},
        on_open=lambda app: app.send(text),
    )
    assert recorded.events == [
        ("message", text),
        ("message", bytes(300_000)),
        ("close", 1000, None),
    ]


# --- sending -------------------------------------------------------------------------------------


def sent(library: Any, *calls: tuple[Any, ...]) -> list[tuple[bool, int, bytes]]:
    """Have on_open call methods, each given as its name and arguments; return the frames."""
    frames: list[tuple[bool, int, bytes]] = []

    def script(talk: Talk) -> None:
        talk.upgrade()
        for _ in calls:
            frame = talk.frame()
            frames.append((frame.fin, frame.opcode, frame.payload))
        talk.send(build_frame(CLOSE, code(1000)))
        talk.until_closed()

    def on_open(app: Any) -> None:
        for name, *args in calls:
            owner = app
            for part in name.split("."):
                owner = getattr(owner, part)
            assert owner(*args) in (None, *range(2, 200))

    recorded = play(library, script, ("error",), on_open=on_open)
    assert recorded.of("error")[0][1].startswith("Connection closed normally"), recorded.events
    return frames


def test_what_can_be_sent(library: Any) -> None:
    calls = [
        ("send", "té"),
        ("send", b"bytes as text"),
        ("send", b"\xff", 2),
        ("send", "ping", 9),
        ("send", bytearray(b"array"), 2),
        ("send_text", "text"),
        ("send_bytes", b"b"),
        ("send_bytes", bytearray(b"c")),
        ("send", "cont", 0),
    ]
    assert sent(library, *calls) == [
        (True, TEXT, "té".encode()),
        (True, TEXT, b"bytes as text"),
        (True, BINARY, b"\xff"),
        (True, PING, b"ping"),
        (True, BINARY, b"array"),
        (True, TEXT, b"text"),
        (True, BINARY, b"b"),
        (True, BINARY, b"c"),
        (True, CONT, b"cont"),
    ]


def test_str_with_a_binary_opcode_is_utf8() -> None:
    assert sent(reactor, ("send", "é", 2)) == [(True, BINARY, "é".encode())]


def test_verbs_of_the_socket(library: Any) -> None:
    frame = library.ABNF.create_frame("part", library.ABNF.OPCODE_TEXT, 0)
    calls = [
        ("sock.send", "a"),
        ("sock.send_binary", b"b"),
        ("sock.send_bytes", b"c"),
        ("sock.send_text", "d"),
        ("sock.ping", "e"),
        ("sock.pong", b"f"),
        ("sock.send_frame", frame),
        ("sock.send", "end", 0),
    ]
    assert sent(library, *calls) == [
        (True, TEXT, b"a"),
        (True, BINARY, b"b"),
        (True, BINARY, b"c"),
        (True, TEXT, b"d"),
        (True, PING, b"e"),
        (True, PONG, b"f"),
        (False, TEXT, b"part"),
        (True, CONT, b"end"),
    ]


def test_send_of_the_socket_returns_the_bytes_on_the_wire(library: Any) -> None:
    seen: list[Any] = []

    def on_open(app: Any) -> None:
        seen.append(app.sock.send("Hello, Server"))
        seen.append(app.sock.send_bytes(bytes(200)))
        seen.append(app.send("x"))
        app.close()

    play(library, echo, (), on_open=on_open)
    assert seen == [19, 208, None]


@pytest.mark.parametrize(
    ("args", "kind"), [(("x", 3), ValueError), ((5,), TypeError), ((object(),), TypeError)]
)
def test_what_cannot_be_sent(library: Any, args: tuple[Any, ...], kind: type[Exception]) -> None:
    seen: list[Exception] = []

    def on_open(app: Any) -> None:
        try:
            app.send(*args)
        except Exception as exc:
            seen.append(exc)
        app.close()

    play(library, echo, (), on_open=on_open)
    assert [isinstance(exc, kind) for exc in seen] == [True]


@pytest.mark.parametrize("method", ["send", "send_text", "send_bytes"])
def test_sending_without_a_connection(library: Any, method: str) -> None:
    app = library.WebSocketApp("ws://127.0.0.1:1")
    data = b"x" if method == "send_bytes" else "x"
    for _ in range(2):
        with pytest.raises(
            library.WebSocketConnectionClosedException, match=r"^Connection is already closed\.$"
        ):
            getattr(app, method)(data)
        with ScriptedPeer(said(build_frame(CLOSE, code(1000)))) as peer:
            app.url = peer.url
            app.run_forever()  # and once more when a run is over


def test_a_callback_method_of_a_subclass_sees_events_without_a_callback(library: Any) -> None:
    seen: list[Any] = []

    class Seeing(library.WebSocketApp):  # type: ignore[misc]
        def _callback(self, callback: Any, *args: Any) -> None:
            seen.append((callback is not None, *args[:1]))
            super()._callback(callback, *args)

    frames = [build_frame(TEXT, b"a"), build_frame(PING, b"b"), build_frame(CLOSE, code(1000))]
    with ScriptedPeer(said(*frames)) as peer:
        Seeing(peer.url, on_message=lambda *_: None).run_forever()
    error = seen.pop(-2)
    assert seen == [(False,), (False, "a"), (True, "a"), (False, b"b"), (False, None)]
    assert str(error[1]) == "Connection closed normally (code 1000)"


def test_an_async_callback_is_called_and_not_awaited(library: Any) -> None:
    async def on_message(_app: Any, _message: str) -> None:
        raise AssertionError

    frames = [build_frame(TEXT, b"a"), build_frame(CLOSE, code(1000))]
    with ScriptedPeer(said(*frames)) as peer:
        recorded = RecordedApp(library, peer.url, ("error", "close"))
        recorded.app.on_message = on_message
        with pytest.warns(RuntimeWarning, match="on_message' was never awaited"):
            recorded.run()
    assert recorded.names == ["error", "close"]


def test_sending_when_there_is_no_connection(library: Any) -> None:
    seen: list[str] = []

    def send(app: Any, *_args: Any) -> None:
        with pytest.raises(library.WebSocketConnectionClosedException) as caught:
            app.send("hello")
        seen.append(str(caught.value))

    app = library.WebSocketApp("ws://127.0.0.1:1/", on_error=send, on_close=send)
    app.run_forever()
    assert seen == ["socket is already closed.", "Connection is already closed."]
