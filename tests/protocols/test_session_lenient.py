"""A client that lets through what a server must not do and what harms nobody."""

from __future__ import annotations

import pytest

from reactor.protocols.session import Close, Pong, Role
from tests.support.session_end import End, failure_in, receive_pieces
from tests.support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    build_header,
    close_payload,
)

LONGER = [{"length_bits": 16}, {"length_bits": 64}]


def end(**options) -> End:
    return End(Role.CLIENT, lenient=True, **options)


def conversation(end: End, **form) -> bytes:
    """Every kind of frame, each in the same wrong form."""
    return b"".join(
        [
            end.frame(TEXT, b"hello", **form),
            end.frame(BINARY, bytes(range(100)), **form),
            end.frame(TEXT, b"", **form),
            end.frame(TEXT, "d\u00e9".encode()[:2], fin=False, **form),
            end.frame(PING, b"ping", **form),
            end.frame(CONT, "d\u00e9".encode()[2:], **form),
            end.frame(PONG, b"pong", **form),
            end.frame(CLOSE, close_payload(1001, b"bye"), **form),
        ]
    )


@pytest.mark.parametrize("form", [{"key": KEY}, *LONGER, {"key": KEY, "length_bits": 64}])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_frames_in_a_wrong_form_are_read(form, size):
    client = end()
    data = conversation(client, **form)
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    *events, last = receive_pieces(client.session, pieces)
    messages = [event for event in events if isinstance(event, (str, bytes))]
    assert messages == ["hello", bytes(range(100)), "", "d\u00e9"]
    assert events[-1] == Pong(b"pong")
    assert client.said() == [(PONG, b"ping")]
    assert last == Close(1001, "bye")


def test_right_and_wrong_forms_may_alternate():
    client = end()
    frames = [client.frame(TEXT, b"%d" % i, key=KEY if i % 3 else None) for i in range(30)]
    assert client.take(*frames) == [str(i) for i in range(30)]


def test_a_large_masked_message():
    client = end()
    payload = bytes(range(256)) * 1000
    data = client.frame(BINARY, payload, key=KEY)
    assert receive_pieces(client.session, [data[:7], data[7:100_001], data[100_001:]]) == [payload]


@pytest.mark.parametrize(
    "frame",
    [
        build_header(TEXT, 1, rsv=1) + b"x",
        build_header(3, 1, key=KEY) + b"xxxx",
        build_header(CONT, 1, key=KEY) + b"xxxx",
        build_header(PING, 1, fin=False, key=KEY) + b"x",
        build_header(PING, 126, key=KEY) + bytes(126),
        build_header(BINARY, 1 << 63),
    ],
    ids=["reserved bit", "opcode", "nothing to continue", "fragment", "long ping", "endless"],
)
def test_everything_else_is_a_fault_as_always(frame):
    assert failure_in(end().take(frame)).close_code == 1002


def test_text_must_be_text_and_a_message_within_its_limit():
    client = end(max_message_size=10)
    assert failure_in(client.take(client.frame(TEXT, b"\xff", key=KEY))).close_code == 1007
    client = end(max_message_size=10)
    assert failure_in(client.take(client.frame(TEXT, bytes(11), key=KEY))).close_code == 1009


def test_by_default_and_in_the_role_of_a_server_nothing_is_let_through():
    for strict in (End(Role.CLIENT), End(Role.SERVER), End(Role.SERVER, lenient=True)):
        wrong = KEY if strict.role is Role.CLIENT else None
        assert failure_in(strict.take(strict.frame(TEXT, b"x", key=wrong))).close_code == 1002
    for form in LONGER:
        strict = End(Role.CLIENT)
        assert failure_in(strict.take(strict.frame(TEXT, b"x", **form))).close_code == 1002
