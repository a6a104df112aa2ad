"""RFC 6455 sections 5 to 8, seen from both ends of a connection.

The peer's frames are built by tests/support/websocket_frames.py, which shares no code with
the session. Nearly every test runs in both roles: fixture ``end``. What a peer may not send is
in test_session_faults.py, the closing handshake in test_session_closing.py, random traffic in
test_session_random.py.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from reactor.exceptions import (
    WebSocketConnectionClosedException,
    WebSocketProtocolException,
    WebSocketStateException,
)
from reactor.protocols.output import TRANSITIONS, Input
from reactor.protocols.session import (
    Close,
    Data,
    Failure,
    Ping,
    Pong,
    Role,
    State,
    WebSocketSession,
)
from tests.support.peer_faults import BROKEN_TEXTS
from tests.support.session_end import End, failure_in, octets, receive_pieces
from tests.support.websocket_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload


@pytest.fixture(params=list(Role), ids=["client", "server"])
def role(request) -> Role:
    return request.param


@pytest.fixture
def end(role) -> End:
    return End(role)


class TestStates:
    def test_the_numbers_are_those_of_ready_state(self):
        assert [*State] == [State.CONNECTING, State.OPEN, State.CLOSING, State.CLOSED]
        assert [*State] == [0, 1, 2, 3]

    def test_a_session_begins_connecting_with_nothing_said(self, role):
        session = WebSocketSession(role)
        assert session.state is State.CONNECTING
        assert session.role is role
        assert (session.output, session.sent_close, session.received_close) == ([], None, None)
        assert not session.ended

    def test_a_session_is_a_clients_by_default(self):
        assert WebSocketSession().role is Role.CLIENT


STATES: dict[State, Callable[[WebSocketSession], object]] = {
    State.CONNECTING: lambda session: None,
    State.OPEN: lambda session: session.opened(),
    State.CLOSING: lambda session: (session.opened(), session.close()),
    State.CLOSED: lambda session: (session.opened(), session.lost()),
}

#: What brings an input about.
INPUTS: dict[str, Callable[[WebSocketSession], object]] = {
    "opened": lambda session: session.opened(),
    "got close": lambda session: session.take_last_word(Close(1000, "")),
    "fault": lambda session: session.take_last_word(Failure(WebSocketProtocolException("fault"))),
    "lost": lambda session: session.lost(),
}

LEGAL = {
    (State.CONNECTING, "opened"): State.OPEN,
    (State.CONNECTING, "lost"): State.CLOSED,
    (State.OPEN, "got close"): State.CLOSING,
    (State.OPEN, "fault"): State.CLOSING,
    (State.OPEN, "lost"): State.CLOSED,
    (State.CLOSING, "got close"): State.CLOSING,
    (State.CLOSING, "fault"): State.CLOSING,
    (State.CLOSING, "lost"): State.CLOSED,
}


def session_in(state: State, role: Role) -> WebSocketSession:
    session = WebSocketSession(role)
    STATES[state](session)
    assert session.state is state
    session.output.clear()
    return session


class TestTransitions:
    @pytest.mark.parametrize("name", INPUTS)
    @pytest.mark.parametrize("state", State)
    def test_every_input_in_every_state_is_legal_or_refused_without_effect(self, role, state, name):
        session = session_in(state, role)
        before = (session.sent_close, session.received_close)
        if (state, name) in LEGAL:
            INPUTS[name](session)
            assert session.state is LEGAL[state, name]
        else:
            with pytest.raises(WebSocketStateException, match=state.name):
                INPUTS[name](session)
            assert session.state is state
            assert (session.sent_close, session.received_close) == before
            assert session.output == []

    def test_the_table_has_the_arrows_of_the_modules_picture_and_no_other(self):
        closing = {Input.SENT_CLOSE, Input.GOT_CLOSE}
        assert {
            (State.CONNECTING, Input.OPENED): State.OPEN,
            **{(State.OPEN, what): State.CLOSING for what in closing},
            **{(State.CLOSING, what): State.CLOSING for what in closing},
            **{(state, Input.LOST): State.CLOSED for state in State if state is not State.CLOSED},
        } == TRANSITIONS


class TestSending:
    @pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536])
    def test_text_and_binary_of_every_form_of_length(self, end, length):
        size = end.session.send("a" * length)
        assert size == sum(map(len, end.session.output))
        assert end.said() == [(TEXT, b"a" * length)]
        size = end.session.send(b"\xff" * length)
        assert size == sum(map(len, end.session.output))
        assert end.said() == [(BINARY, b"\xff" * length)]

    def test_text_goes_out_as_utf8(self, end):
        size = end.session.send("µ€\U0001d11e\ufffe")
        assert size == len(end.session.output[0])
        assert end.said() == [(TEXT, "µ€\U0001d11e\ufffe".encode())]

    @pytest.mark.parametrize(
        "message",
        [bytearray(b"abc"), memoryview(b"abc"), memoryview(b"cXbXa")[::-2]],
        ids=["bytearray", "memoryview", "memoryview with a stride"],
    )
    def test_other_buffers_go_out_as_binary(self, end, message):
        end.session.send(message)
        assert end.said() == [(BINARY, b"abc")]

    def test_what_goes_out_is_a_copy(self, end):
        message = bytearray(b"abc")
        end.session.send(message)
        message[:] = b"xyz"
        assert end.said() == [(BINARY, b"abc")]

    @pytest.mark.parametrize("message", [None, 1, 1.5, ["a"], {"a": 1}])
    def test_other_types_are_refused(self, end, message):
        with pytest.raises(TypeError, match=type(message).__name__):
            end.session.send(message)
        assert end.said() == []

    def test_text_that_utf8_cannot_say_is_refused(self, end):
        with pytest.raises(ValueError):
            end.session.send("half a pair: \ud834")
        assert end.said() == []

    def test_frames_leave_in_the_order_of_the_calls(self, end):
        end.session.send("1")
        end.session.ping(b"2")
        end.session.send(b"3")
        end.session.pong(b"4")
        end.session.close(1000, "5")
        assert end.said() == [
            (TEXT, b"1"),
            (PING, b"2"),
            (BINARY, b"3"),
            (PONG, b"4"),
            (CLOSE, close_payload(1000, b"5")),
        ]

    def test_fragments_with_control_frames_between_them(self, end):
        sizes = [
            end.session.send_frame(TEXT, b"on", fin=False),
            end.session.send_frame(CONT, b"", fin=False),
            end.session.ping(),
            end.session.send_frame(CONT, b"e"),
        ]
        assert sizes == [len(frame) for frame in end.session.output]
        assert [frame[:3] + frame[4:] for frame in end.put_out()] == [
            (False, 0, TEXT, b"on"),
            (False, 0, CONT, b""),
            (True, 0, PING, b""),
            (True, 0, CONT, b"e"),
        ]

    def test_any_opcode_of_four_bits_can_be_sent_but_that_of_close(self, end):
        opcodes = [opcode for opcode in range(16) if opcode != CLOSE]
        for opcode in opcodes:
            end.session.send_frame(opcode, b"x")
        assert end.said() == [(opcode, b"x") for opcode in opcodes]
        with pytest.raises(ValueError, match="closing handshake"):
            end.session.send_frame(CLOSE, b"")

    @pytest.mark.parametrize("opcode", [-1, 16, 128])
    def test_no_other_opcode_can(self, end, opcode):
        with pytest.raises(ValueError, match=str(opcode)):
            end.session.send_frame(opcode, b"")
        assert end.said() == []

    @pytest.mark.parametrize(("name", "opcode"), [("ping", PING), ("pong", PONG)])
    def test_control_frames_hold_up_to_125_bytes(self, end, name, opcode):
        send = getattr(end.session, name)
        assert send() == len(end.session.output[-1])
        assert send(b"a" * 125) == len(end.session.output[-1])
        assert end.said() == [(opcode, b""), (opcode, b"a" * 125)]
        with pytest.raises(ValueError, match="125"):
            send(b"a" * 126)
        assert end.said() == []

    def test_every_frame_of_a_client_has_a_fresh_key(self):
        end = End(Role.CLIENT)
        for _ in range(300):
            end.session.send("a")
            end.session.ping()
            end.take(end.frame(PING, b"p"))
        end.session.close()
        drawn = [frame.mask for frame in end.put_out()]
        assert len(drawn) == 901
        assert len(set(drawn)) > 895  # chance may let two of 2**32 be equal

    def test_a_client_may_bring_its_own_source_of_keys(self):
        drawn = [bytes([i] * 4) for i in range(1, 8)]
        end = End(Role.CLIENT, new_mask=iter(drawn).__next__)
        end.session.send("text")
        end.session.send(b"binary")
        end.session.send_frame(TEXT, b"frame")
        end.session.ping(b"ping")
        end.session.pong(b"pong")
        end.take(end.frame(PING, b"automatic"))
        end.session.close()
        frames = end.put_out()
        assert [frame.mask for frame in frames] == drawn
        assert frames[0].payload == b"text"

    @pytest.mark.parametrize(
        ("key", "error"),
        [
            (b"", ValueError),
            (b"abc", ValueError),
            (b"abcde", ValueError),
            ("abc", ValueError),
            (None, TypeError),
            (1234, TypeError),
            ([1, 2, 3, 4], TypeError),
        ],
    )
    def test_a_key_of_its_own_source_that_is_none_is_an_error(self, key, error):
        end = End(Role.CLIENT, new_mask=lambda: key)
        for send in (
            lambda: end.session.send("text"),
            lambda: end.session.send(b"binary"),
            lambda: end.session.send_fragment("a", False),
            lambda: end.session.ping(b"ping"),
            lambda: end.take(end.frame(PING, b"automatic")),
        ):
            with pytest.raises(error, match="a masking key is four bytes"):
                send()
        assert not end.session.output

    def test_a_key_may_be_a_text_of_four_characters(self):
        end = End(Role.CLIENT, new_mask=lambda: "\xff\x00ab")
        end.session.send("text")
        assert [frame.mask for frame in end.put_out()] == [b"\xff\x00ab"]

    def test_a_server_draws_no_keys(self):
        def draw() -> bytes:
            raise AssertionError("a key was drawn")

        end = End(Role.SERVER, new_mask=draw)
        end.session.send("text")
        assert end.said() == [(TEXT, b"text")]

    def test_two_clients_do_not_share_keys(self):
        ends = [End(Role.CLIENT), End(Role.CLIENT)]
        for _ in range(300):
            for end in ends:
                end.session.send("a")
        one, two = ({frame.mask for frame in end.put_out()} for end in ends)
        assert len(one & two) < 3


SENDERS: dict[str, Callable[[WebSocketSession], object]] = {
    "text": lambda session: session.send("a"),
    "binary": lambda session: session.send(b"a"),
    "frame": lambda session: session.send_frame(TEXT, b"a", fin=False),
    "ping": lambda session: session.ping(b"a"),
    "pong": lambda session: session.pong(b"a"),
}


class TestSendingInEveryState:
    @pytest.mark.parametrize("name", SENDERS)
    def test_before_the_connection_is_open(self, role, name):
        session = session_in(State.CONNECTING, role)
        with pytest.raises(WebSocketStateException):
            SENDERS[name](session)
        assert session.output == []

    @pytest.mark.parametrize("name", SENDERS)
    def test_while_it_is_open(self, role, name):
        session = session_in(State.OPEN, role)
        SENDERS[name](session)
        assert len(session.output) == 1

    @pytest.mark.parametrize("name", SENDERS)
    @pytest.mark.parametrize("state", [State.CLOSING, State.CLOSED])
    def test_once_it_is_closing_or_closed(self, role, state, name):
        session = session_in(state, role)
        with pytest.raises(WebSocketConnectionClosedException):
            SENDERS[name](session)
        assert session.output == []

    @pytest.mark.parametrize("name", SENDERS)
    def test_once_the_peers_close_was_accepted(self, end, name):
        (close,) = end.take(end.frame(CLOSE))
        end.session.take_last_word(close)
        end.said()
        with pytest.raises(WebSocketConnectionClosedException):
            SENDERS[name](end.session)
        assert end.said() == []


class TestReceivingMessages:
    @pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 128, 65535, 65536, 100_000])
    def test_text_and_binary_of_every_form_of_length(self, end, length):
        assert end.take(end.frame(TEXT, b"a" * length)) == ["a" * length]
        assert end.take(end.frame(BINARY, b"\xff" * length)) == [b"\xff" * length]

    @pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 128, 65535, 65536])
    def test_the_same_one_octet_at_a_time(self, end, length):
        payload = bytes(i % 251 for i in range(length))
        text = payload.decode("latin-1")
        assert end.take_octets(end.frame(BINARY, payload)) == [payload]
        assert end.take_octets(end.frame(TEXT, text.encode())) == [text]

    def test_many_messages_in_one_read(self, end):
        frames = [end.frame(TEXT, str(i).encode()) for i in range(100)]
        assert end.take(*frames) == [str(i) for i in range(100)]

    def test_the_types_of_empty_messages(self, end):
        events = end.take(end.frame(TEXT), end.frame(BINARY), *end.fragments(TEXT, b"", b"", b""))
        assert events == ["", b"", ""]
        assert [type(event) for event in events] == [str, bytes, str]

    def test_fragments_make_one_message(self, end):
        frames = end.fragments(TEXT, b"one, ", b"", b"two") + end.fragments(BINARY, b"\0", b"\xff")
        assert end.take(*frames) == ["one, two", b"\0\xff"]
        assert end.take_octets(*frames) == ["one, two", b"\0\xff"]

    def test_a_character_may_be_split_by_fragments(self, end):
        parts = octets("κόσμε €\U0001d11e".encode())
        frames = end.fragments(TEXT, *parts)
        assert end.take(*frames) == ["κόσμε €\U0001d11e"]

    def test_whole_messages_after_a_fragmented_one(self, end):
        frames = [*end.fragments(TEXT, b"a", b"b"), end.frame(TEXT, b"c")]
        assert end.take(*frames, *frames) == ["ab", "c", "ab", "c"]

    def test_each_frame_is_unmasked_with_its_own_key(self):
        end = End(Role.SERVER)
        keys = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04"]
        for text in ("first", "second and longer, €"):
            frames = [end.frame(TEXT, text.encode(), key=key) for key in keys]
            assert end.take(*frames) == [text] * 3
            assert end.take_octets(*frames) == [text] * 3

    def test_nothing_comes_of_an_empty_read(self, end):
        first, second = end.fragments(BINARY, b"abc", b"def")
        assert receive_pieces(end.session, [b"", first[:4], b"", first[4:], b"", second, b""]) == [
            b"abcdef"
        ]

    @pytest.mark.parametrize("text", ["\ufffe\uffff", "\ufdd0", "\U0001ffff\U0010ffff", "\0"])
    def test_noncharacters_are_text_too(self, end, text):
        assert end.take(end.frame(TEXT, text.encode())) == [text]
        assert end.take_octets(end.frame(TEXT, text.encode())) == [text]


class TestReceivingFragments:
    @pytest.fixture
    def end(self, role) -> End:
        return End(role, fragments=True)

    @pytest.mark.parametrize("whole", [True, False], ids=["one read", "octets"])
    def test_each_comes_as_data_with_the_opcode_of_its_frame(self, end, whole):
        text = end.fragments(TEXT, b"one", b"", b"two")
        binary = end.fragments(BINARY, b"\xff", b"\0")
        ping = end.frame(PING)
        events = (end.take if whole else end.take_octets)(*text, binary[0], ping, binary[1])
        assert events == [
            Data(TEXT, "one", False),
            Data(CONT, "", False),
            Data(CONT, "two", True),
            Data(BINARY, b"\xff", False),
            Ping(b""),
            Data(CONT, b"\0", True),
        ]

    def test_a_message_in_one_frame_is_a_message(self, end):
        frames = [end.frame(TEXT, b"text"), end.frame(BINARY, b"\xff"), end.frame(TEXT)]
        assert end.take(*frames) == ["text", b"\xff", ""]
        assert end.take_octets(*frames) == ["text", b"\xff", ""]

    def test_a_split_character_comes_with_the_fragment_that_completes_it(self, end):
        events = end.take(*end.fragments(TEXT, b"a\xe2", b"\x82", b"\xacb"))
        assert events == [Data(TEXT, "a", False), Data(CONT, "", False), Data(CONT, "€b", True)]

    def test_what_came_before_a_wrong_octet_is_delivered(self, end):
        events = end.take(*end.fragments(TEXT, b"valid", b"\xff", b"never"))
        assert events[:-1] == [Data(TEXT, "valid", False)]
        assert failure_in(events).close_code == 1007

    def test_the_limits_are_those_of_the_message(self, role):
        end = End(role, fragments=True, max_message_size=5)
        events = end.take(*end.fragments(BINARY, b"abc", b"de", b"f"))
        assert events[:-1] == [Data(BINARY, b"abc", False), Data(CONT, b"de", False)]
        assert failure_in(events).close_code == 1009
        end = End(role, fragments=True, max_fragments=2)
        events = end.take(*end.fragments(BINARY, b"", b"", b""))
        assert len(events) == 3
        assert failure_in(events).close_code == 1009

    def test_the_rules_of_sequence_hold(self, end):
        events = end.take(*end.fragments(TEXT, b"a", b"b"), end.frame(CONT))
        assert len(events) == 3
        assert failure_in(events).close_code == 1002
        fresh = End(end.role, fragments=True)
        events = fresh.take(fresh.frame(TEXT, b"a", fin=False), fresh.frame(TEXT))
        assert events[:-1] == [Data(TEXT, "a", False)]
        assert failure_in(events).close_code == 1002

    def test_nothing_is_kept_of_a_long_stream(self, role):
        end = End(role, fragments=True)
        frames = [end.frame(CONT, b"a" * 10_000, fin=False) for _ in range(50)]
        end.take(end.frame(BINARY, fin=False))
        tracemalloc.start()
        try:
            for frame in frames:
                assert len(end.take(frame)) == 1
            left, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert left < 50_000


class TestReceivingUndecodedText:
    @pytest.fixture
    def end(self, role) -> End:
        return End(role, decode_text=False)

    @pytest.mark.parametrize("whole", [True, False], ids=["one read", "octets"])
    def test_a_text_comes_as_data_with_its_bytes(self, end, whole):
        for payload in (b"", "€".encode(), b"a" * 126, *BROKEN_TEXTS):
            frames = [end.frame(TEXT, payload), *end.fragments(TEXT, payload[:1], payload[1:])]
            events = (end.take if whole else end.take_octets)(*frames)
            assert events == [Data(TEXT, payload, True)] * 2

    def test_binary_messages_are_as_ever(self, end):
        frames = [end.frame(BINARY, b"\xff"), *end.fragments(BINARY, b"\xff", b"\0")]
        assert end.take(*frames) == [b"\xff", b"\xff\0"]

    def test_the_limit_holds(self, role):
        end = End(role, decode_text=False, max_message_size=3)
        events = end.take(end.frame(TEXT, b"abc"), end.header(TEXT, 4))
        assert events[:-1] == [Data(TEXT, b"abc", True)]
        assert failure_in(events).close_code == 1009

    def test_fragments_of_text_come_as_bytes_too(self, role):
        end = End(role, decode_text=False, fragments=True)
        frames = [*end.fragments(TEXT, b"\xe2", b"\xff"), end.frame(TEXT, b"\xff")]
        assert end.take(*frames) == [
            Data(TEXT, b"\xe2", False),
            Data(CONT, b"\xff", True),
            Data(TEXT, b"\xff", True),
        ]


class TestReceivingControlFrames:
    @pytest.mark.parametrize("payload", [b"", b"Hello", b"\0\xff\xfe", b"a" * 125])
    def test_a_ping_is_answered_with_its_payload(self, end, payload):
        assert end.take(end.frame(PING, payload)) == [Ping(payload)]
        assert end.said() == [(PONG, payload)]
        assert end.take_octets(end.frame(PING, payload)) == [Ping(payload)]
        assert end.said() == [(PONG, payload)]

    def test_each_ping_is_answered_in_order(self, end):
        pings = [str(i).encode() for i in range(10)]
        events = end.take(*(end.frame(PING, payload) for payload in pings))
        assert events == [Ping(payload) for payload in pings]
        assert end.said() == [(PONG, payload) for payload in pings]

    @pytest.mark.parametrize("payload", [b"", b"unsolicited", b"a" * 125])
    def test_a_pong_is_not_answered(self, end, payload):
        assert end.take(end.frame(PONG, payload)) == [Pong(payload)]
        assert end.take_octets(end.frame(PONG, payload)) == [Pong(payload)]
        assert end.said() == []

    @pytest.mark.parametrize("whole", [True, False], ids=["one read", "octets"])
    def test_between_fragments_they_come_first(self, end, whole):
        first, second, third = end.fragments(TEXT, b"one ", b"two ", b"three")
        ping, pong = end.frame(PING, b"ping"), end.frame(PONG, b"pong")
        take = end.take if whole else end.take_octets
        events = take(first, ping, second, pong, ping, third)
        assert events == [Ping(b"ping"), Pong(b"pong"), Ping(b"ping"), "one two three"]
        assert end.said() == [(PONG, b"ping")] * 2

    def test_one_splits_a_character_of_a_text(self, end):
        first, second = end.fragments(TEXT, b"\xe2\x82", b"\xac")
        assert end.take(first, end.frame(PING, b"\x82"), second) == [Ping(b"\x82"), "€"]

    def test_a_ping_is_answered_although_a_fault_follows_in_the_same_read(self, end):
        events = end.take(end.frame(PING, b"first"), end.frame(TEXT, rsv=4))
        assert events[:-1] == [Ping(b"first")]
        assert end.said() == [(PONG, b"first")]

    def test_a_ping_is_answered_although_we_have_sent_our_close(self, end):
        # 5.5.2: "MUST send a Pong frame in response, unless it already received a Close frame";
        # what 5.5.1 forbids after a close frame are data frames.
        end.session.close()
        end.said()
        assert end.take(end.frame(PING, b"late")) == [Ping(b"late")]
        assert end.said() == [(PONG, b"late")]

    def test_a_ping_is_not_answered_after_the_peers_close(self, end):
        end.take(end.frame(CLOSE))
        assert end.take(end.frame(PING, b"late")) == []
        assert end.said() == []

    def test_a_ping_is_not_answered_where_nothing_can_be_written(self, end):
        end.session.lost()
        end.take(end.frame(PING))
        assert end.said() == []


class TestLimits:
    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("limit", [0, 1, 125, 126, 65535, 65536])
    def test_exactly_the_limit_is_allowed(self, role, limit, opcode):
        end = End(role, max_message_size=limit)
        message = "a" * limit if opcode == TEXT else b"a" * limit
        frame = end.frame(opcode, b"a" * limit)
        half = limit // 2
        fragments = end.fragments(opcode, b"a" * half, b"a" * (limit - half), b"")
        assert end.take(frame, frame, *fragments, frame) == [message] * 4
        assert end.take(frame[:3]) + end.take(frame[3:]) == [message]

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("limit", [0, 1, 125, 126, 65535, 65536])
    def test_one_more_is_refused_before_the_payload_comes(self, role, limit, opcode):
        end = End(role, max_message_size=limit)
        error = failure_in(end.take(end.header(opcode, limit + 1)))
        assert error.close_code == 1009
        assert str(limit) in str(error)

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_one_more_is_refused_when_its_payload_comes_too(self, role, opcode):
        end = End(role, max_message_size=10)
        fine, long = end.frame(opcode, b"a" * 10), end.frame(opcode, b"a" * 11)
        events = end.take(fine, long, fine)
        assert len(events) == 2
        assert failure_in(events).close_code == 1009

    def test_the_fragment_that_passes_the_limit_is_refused_before_its_payload_comes(self, role):
        end = End(role, max_message_size=10)
        assert end.take(end.frame(BINARY, b"a" * 6, fin=False)) == []
        assert end.take(end.frame(CONT, b"a" * 4, fin=False)) == []
        assert failure_in(end.take(end.header(CONT, 1))).close_code == 1009

    def test_the_limit_counts_the_octets_of_a_text(self, role):
        end = End(role, max_message_size=6)
        assert end.take(end.frame(TEXT, "€€".encode())) == ["€€"]
        assert failure_in(end.take(end.frame(TEXT, "€€a".encode()))).close_code == 1009

    def test_control_frames_are_not_counted(self, role):
        end = End(role, max_message_size=2, max_fragments=2)
        first, second = end.fragments(TEXT, b"a", b"b")
        ping = end.frame(PING, b"longer than the limit")
        expected = Ping(b"longer than the limit")
        assert end.take(first, ping, ping, ping, second) == [expected] * 3 + ["ab"]

    def test_exactly_as_many_fragments_as_the_limit(self, role):
        end = End(role, max_fragments=3)
        fragments = end.fragments(TEXT, b"a", b"b", b"c")
        assert end.take(*fragments, *fragments) == ["abc", "abc"]
        events = end.take(*end.fragments(TEXT, b"a", b"b", b"c", b"d"))
        assert failure_in(events).close_code == 1009

    def test_the_default_message_size_is_16_mib(self, role):
        end = End(role)
        assert end.take(end.header(BINARY, 16 * 1024 * 1024)) == []
        end = End(role)
        assert failure_in(end.take(end.header(BINARY, 16 * 1024 * 1024 + 1))).close_code == 1009


class TestMemory:
    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_a_message_in_tiny_pieces_costs_what_it_holds(self, end, opcode):
        size = 60_000
        frame = end.frame(opcode, b"ab" * (size // 2))
        tracemalloc.start()
        try:
            events = receive_pieces(
                end.session, (frame[i : i + 2] for i in range(0, len(frame), 2))
            )
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(events) == 1
        assert peak < 5 * size  # an object per piece would be twenty times as much

    def test_nothing_is_stored_of_a_frame_that_is_too_big(self, end):
        header = end.header(BINARY, 2**40)
        tracemalloc.start()
        try:
            failure_in(end.take(header))
            for _ in range(100):
                end.take(bytes(100_000))
            left, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert left < 50_000

    def test_sessions_have_no_dict(self, end):
        assert not hasattr(end.session, "__dict__")
