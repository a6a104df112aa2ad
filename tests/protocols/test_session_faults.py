"""What a peer may not send, and the close code that tells it so: RFC 6455 sections 5, 7.4, 8.1."""

from __future__ import annotations

import pytest

from reactor.exceptions import (
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketProtocolException,
)
from reactor.protocols.session import Close, Failure, Ping, Role, State
from tests.support.peer_faults import FAULTS
from tests.support.session_end import End, failure_in, octets
from tests.support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    close_payload,
)

KINDS = {
    1002: WebSocketProtocolException,
    1007: WebSocketPayloadException,
    1009: WebSocketMessageTooBigException,
}


@pytest.fixture(params=list(Role), ids=["client", "server"])
def end(request) -> End:
    return End(request.param)


class TestFaults:
    @pytest.mark.parametrize("name", FAULTS[Role.CLIENT])
    def test_ends_with_its_code_after_what_came_before_it(self, end, name):
        fault = FAULTS[end.role][name]
        valid = [end.frame(TEXT, b"valid"), end.frame(PING, b"ping"), end.frame(BINARY, b"\xff")]
        events = end.take(*valid, *fault.frames)
        pings = [event for event in events if isinstance(event, Ping)]
        assert events[:3] == ["valid", Ping(b"ping"), b"\xff"]
        error = failure_in(events)
        assert type(error) is KINDS[fault.code]
        assert error.close_code == fault.code
        assert str(error)

        # It has had no effect yet, but that nothing more is heard.
        assert end.session.state is State.OPEN
        assert end.session.ended
        assert end.session.sent_close is None
        assert end.take(*valid) == []
        end.session.send("an answer to what came before")
        assert [opcode for opcode, _ in end.said()] == [PONG] * len(pings) + [TEXT]

        end.session.take_last_word(events[-1])
        assert end.session.state is State.CLOSING
        ((opcode, payload),) = end.said()
        assert opcode == CLOSE
        assert payload[:2] == close_payload(fault.code)
        assert end.session.sent_close == Close(fault.code, payload[2:].decode())
        assert end.session.received_close is None
        assert end.take(*valid) == []
        assert end.said() == []

    def test_one_octet_at_a_time_it_is_the_same_fault(self, end):
        for name, fault in FAULTS[end.role].items():
            *before, wrong = fault.frames
            step = 1 if len(wrong) < 1000 else 999
            fresh = End(end.role)
            events = fresh.take_octets(fresh.frame(TEXT, b"valid"), *before)
            for start in range(0, len(wrong), step):
                events += fresh.take(wrong[start : start + step])
            whole = End(end.role).take(*fault.frames)
            assert events[0] == "valid", name
            assert events[1:-1] == whole[:-1], name
            assert failure_in(events).close_code == fault.code, name

    def test_what_is_wrong_in_a_header_is_found_before_any_payload_comes(self, end):
        other = KEY if end.role is Role.CLIENT else None
        for header in (
            end.header(TEXT, 1000, rsv=1),
            end.header(3, 1000),
            end.header(11, 100),
            end.header(CONT, 1000),
            end.header(TEXT, 1000, key=other),
            end.header(PING, 100, key=other),
            end.header(BINARY, 1000, length_bits=64),
            end.header(PING, 1000),
            end.header(CLOSE, 100, fin=False),
        ):
            fresh = End(end.role)
            assert failure_in(fresh.take(header)).close_code == 1002

    def test_a_fault_after_our_own_close_is_reported_without_a_second_close_frame(self, end):
        end.session.close(1001, "bye")
        end.said()
        (failure,) = end.take(end.frame(TEXT, rsv=4))
        assert isinstance(failure, Failure)
        end.session.take_last_word(failure)
        assert end.said() == []
        assert end.session.state is State.CLOSING
        assert end.session.sent_close == Close(1001, "bye")

    def test_the_reason_says_what_was_wrong(self, end):
        end.session.take_last_word(Failure(WebSocketProtocolException("reserved bits are set")))
        assert end.said() == [(CLOSE, close_payload(1002, b"reserved bits are set"))]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("a" * 123, "a" * 123),
            ("a" * 124, "a" * 123),
            ("ö" * 100, "ö" * 61),
            ("€" * 100, "€" * 41),
            ("a" + "€" * 100, "a" + "€" * 40),
            ("\U0001d11e" * 100, "\U0001d11e" * 30),
        ],
    )
    def test_a_long_reason_is_cut_at_the_end_of_a_character(self, end, text, reason):
        end.session.take_last_word(Failure(WebSocketProtocolException(text)))
        assert end.said() == [(CLOSE, close_payload(1002, reason.encode()))]
        assert end.session.sent_close == Close(1002, reason)


#: What could still become UTF-8, and the octet with which it cannot (RFC 3629 section 4).
FATAL_OCTETS = [
    (b"", b"\x80"),
    (b"", b"\xc0"),
    (b"", b"\xf5"),
    (b"\xe0", b"\x9f"),
    (b"\xed", b"\xa0"),
    (b"\xf0", b"\x8f"),
    (b"\xf4", b"\x90"),
    (b"\xe2\x82", b"a"),
    (b"\xf0\x9d\x84", b"\xc3"),
    ("κόσμε".encode() + b"\xf4", b"\x90"),
]


class TestUTF8FailsFast:
    @pytest.mark.parametrize(("start", "fatal"), FATAL_OCTETS)
    def test_within_a_frame_that_comes_in_pieces(self, end, start, fatal):
        frame = end.frame(TEXT, start + fatal + b"a" * 1000)
        at = len(end.header(TEXT, 1000)) + len(start)
        assert end.take_octets(frame[:at]) == []
        assert failure_in(end.take(frame[at : at + 1])).close_code == 1007

    @pytest.mark.parametrize(("start", "fatal"), FATAL_OCTETS)
    def test_within_a_piece(self, end, start, fatal):
        frame = end.frame(TEXT, b"valid " + start + fatal + b"a" * 1000)
        at = len(end.header(TEXT, 1000)) + len(b"valid " + start)
        assert failure_in(end.take(frame[: at + 1])).close_code == 1007

    @pytest.mark.parametrize(("start", "fatal"), FATAL_OCTETS)
    def test_over_fragments(self, end, start, fatal):
        opcode = TEXT
        for octet in octets(b"valid " + start):
            assert end.take(end.frame(opcode, octet, fin=False)) == []
            opcode = CONT
        assert failure_in(end.take(end.frame(CONT, fatal, fin=False))).close_code == 1007

    def test_a_character_that_is_cut_short_fails_with_the_last_fragment(self, end):
        first, second = end.fragments(TEXT, b"\xf0\x9d\x84", b"")
        assert end.take(first) == []
        assert failure_in(end.take(second)).close_code == 1007

    def test_a_new_message_does_not_continue_the_text_before_it(self, end):
        assert end.take(*end.fragments(TEXT, b"\xe2\x82", b"\xac")) == ["€"]
        first, second = end.fragments(TEXT, b"a", b"\xac")
        assert failure_in(end.take(first, second)).close_code == 1007
