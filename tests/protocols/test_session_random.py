"""Sessions under random traffic: any cuts give the same events, and two sessions agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from reactor.protocols.session import (
    Close,
    Data,
    Event,
    Failure,
    Ping,
    Pong,
    Role,
    State,
    WebSocketSession,
)
from tests.support.peer_faults import FAULTS, Fault
from tests.support.session_end import End, cut, failure_in, octets, receive_pieces
from tests.support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    build_frame,
    close_payload,
)

messages = st.text(max_size=40) | st.binary(max_size=40)
long_messages = st.sampled_from(["a" * 125, "€" * 42, b"\xff" * 127, "ö" * 200])
longest_messages = long_messages | st.just(b"ab" * 33_000)
control_payloads = st.binary(max_size=20) | st.just(b"a" * 125)
keys = st.binary(min_size=4, max_size=4)

#: The faults that let no event come before them.
BARE_FAULTS = {
    role: [fault for fault in FAULTS[role].values() if len(End(role).take(*fault.frames)) == 1]
    for role in Role
}


@dataclass
class Script:
    """What a peer sends, and the events that it must cause."""

    stream: bytes
    events: list[Event]
    fault: Fault | None


@st.composite
def scripts(draw: st.DrawFn, role: Role, short: bool = False) -> Script:
    """Messages in random fragments, with control frames among them; maybe a last word."""
    long = long_messages if short else longest_messages
    end = End(role)
    frames: list[bytes] = []
    events: list[Event] = []

    def add_frame(opcode: int, payload: bytes, fin: bool = True) -> None:
        key = draw(keys) if role is Role.SERVER else None
        frames.append(build_frame(opcode, payload, fin=fin, key=key))

    def add_control_frames() -> None:
        for opcode in draw(st.lists(st.sampled_from([PING, PONG]), max_size=2)):
            payload = draw(control_payloads)
            add_frame(opcode, payload)
            events.append(Ping(payload) if opcode == PING else Pong(payload))

    for message in draw(st.lists(messages | long, max_size=5)):
        add_control_frames()
        payload = message.encode() if isinstance(message, str) else message
        opcode = TEXT if isinstance(message, str) else BINARY
        parts = cut(payload, draw(st.lists(st.integers(0, 2**16), max_size=3)))
        for i, part in enumerate(parts):
            if i:
                add_control_frames()
            last = i == len(parts) - 1
            add_frame(CONT if i else opcode, part, fin=last)
        events.append(message)
    add_control_frames()
    ending = draw(st.sampled_from(["open", "close", "fault"]))
    fault = None
    if ending == "close":
        reason = draw(st.text(max_size=30))
        add_frame(CLOSE, close_payload(1000, reason.encode()))
        events.append(Close(1000, reason))
    elif ending == "fault":
        faults = [fault for fault in BARE_FAULTS[role] if not (short and fault.size > 500)]
        fault = draw(st.sampled_from(faults))
        frames += fault.frames
    if ending != "open":
        frames.append(end.frame(TEXT, b"never heard"))
    return Script(b"".join(frames), events, fault)


def check_script(role: Role, script: Script, pieces: Iterable[bytes]) -> None:
    end = End(role)
    events = receive_pieces(end.session, pieces)
    if script.fault is not None:
        assert failure_in(events).close_code == script.fault.code
        events.pop()
    assert events == script.events
    assert [type(event) for event in events] == [type(event) for event in script.events]
    assert end.said() == [(PONG, event.payload) for event in events if isinstance(event, Ping)]
    assert end.session.state is State.OPEN


def join_fragments(events: Iterable[Event]) -> list[Event]:
    """Make messages of the fragments, at the place of the last one."""
    joined: list[Event] = []
    parts: list[Any] = []
    for event in events:
        if isinstance(event, Data):
            assert (event.opcode == CONT) is bool(parts)
            parts.append(event.payload)
            if event.fin:
                joined.append("".join(parts) if isinstance(parts[0], str) else b"".join(parts))
                parts.clear()
        else:
            joined.append(event)
    return joined


class TestAnyCuts:
    @pytest.mark.parametrize("role", Role)
    @given(data=st.data())
    def test_the_events_do_not_depend_on_the_cuts(self, role, data):
        script = data.draw(scripts(role))
        check_script(role, script, [script.stream])
        cuts = data.draw(st.lists(st.integers(0, 2**17), max_size=20))
        check_script(role, script, cut(script.stream, cuts))

    @pytest.mark.parametrize("role", Role)
    @settings(max_examples=50)
    @given(data=st.data())
    def test_one_octet_at_a_time_gives_the_same(self, role, data):
        script = data.draw(scripts(role, short=True))
        check_script(role, script, octets(script.stream))

    @pytest.mark.parametrize("role", Role)
    @given(data=st.data())
    def test_the_fragments_of_a_message_make_up_the_message(self, role, data):
        script = data.draw(scripts(role))
        cuts = data.draw(st.lists(st.integers(0, 2**17), max_size=20))
        end = End(role, fragments=True)
        events = join_fragments(receive_pieces(end.session, cut(script.stream, cuts)))
        if script.fault is not None:
            assert failure_in(events).close_code == script.fault.code
            events.pop()
        assert events == script.events


class Side:
    """One of two sessions that talk to each other, and a record of both directions."""

    def __init__(self, role: Role) -> None:
        self.session = WebSocketSession(role)
        self.session.opened()
        self.wire = bytearray()  # put out, and not received yet
        self.said: list[Event] = []  # what the other side has to hear
        self.heard: list[Event] = []
        self.last: Close | None = None  # heard, and not accepted yet
        self.message: str | bytes = ""  # of which the fragments are being sent
        self.fragments: list[bytes] = []

    @property
    def open(self) -> bool:
        return self.session.state is State.OPEN

    def put_out(self) -> None:
        self.wire += b"".join(self.session.output)
        self.session.output.clear()

    def hear(self, data: bytes) -> None:
        for event in self.session.receive(data):
            assert not isinstance(event, Failure)
            self.heard.append(event)
            if isinstance(event, Ping):
                self.said.append(Pong(event.payload))
            elif isinstance(event, Close):
                self.last = event
        self.put_out()

    def accept(self) -> None:
        assert self.last is not None
        if self.session.sent_close is None:
            self.said.append(self.last)
        self.session.take_last_word(self.last)
        self.last = None
        self.put_out()


sides = st.sampled_from(list(Role))


class Conversation(RuleBasedStateMachine):
    """A client and a server, back to back, with any operations and any delivery."""

    @initialize()
    def begin(self) -> None:
        self.sides = [Side(Role.CLIENT), Side(Role.SERVER)]

    @rule(role=sides, message=messages | longest_messages)
    def send(self, role: Role, message: str | bytes) -> None:
        side = self.sides[role]
        if side.open and not side.fragments:
            side.session.send(message)
            side.said.append(message)
            side.put_out()

    @rule(role=sides, message=messages, cuts=st.lists(st.integers(0, 50), max_size=3))
    def begin_fragments(self, role: Role, message: str | bytes, cuts: list[int]) -> None:
        side = self.sides[role]
        if side.open and not side.fragments:
            text = isinstance(message, str)
            side.message = message
            side.fragments = cut(message.encode() if isinstance(message, str) else message, cuts)
            first = side.fragments.pop(0)
            side.session.send_frame(TEXT if text else BINARY, first, fin=not side.fragments)
            if not side.fragments:
                side.said.append(message)
            side.put_out()

    @rule(role=sides)
    def send_fragment(self, role: Role) -> None:
        side = self.sides[role]
        if side.open and side.fragments:
            part = side.fragments.pop(0)
            side.session.send_frame(CONT, part, fin=not side.fragments)
            if not side.fragments:
                side.said.append(side.message)
            side.put_out()

    @rule(role=sides, payload=control_payloads)
    def ping(self, role: Role, payload: bytes) -> None:
        side = self.sides[role]
        if side.open:
            side.session.ping(payload)
            side.said.append(Ping(payload))
            side.put_out()

    @rule(role=sides, payload=control_payloads)
    def pong(self, role: Role, payload: bytes) -> None:
        side = self.sides[role]
        if side.open:
            side.session.pong(payload)
            side.said.append(Pong(payload))
            side.put_out()

    @rule(
        role=sides,
        code=st.sampled_from([1000, 1001, 1005, 3000, 4999]),
        reason=st.text(max_size=30),
    )
    def close(self, role: Role, code: int, reason: str) -> None:
        side = self.sides[role]
        reason = "" if code == 1005 else reason
        was_open = side.open
        assert side.session.close(code, reason) is was_open
        if was_open:
            side.said.append(Close(code, reason))
        side.put_out()

    @rule(role=sides, size=st.integers(0, 300))
    def deliver(self, role: Role, size: int) -> None:
        sender, receiver = self.sides[role], self.sides[1 - role]
        data = bytes(sender.wire[:size])
        del sender.wire[:size]
        receiver.hear(data)

    @rule(role=sides)
    def deliver_all(self, role: Role) -> None:
        self.deliver(role, len(self.sides[role].wire))

    @precondition(lambda self: any(side.last for side in self.sides))
    @rule()
    def accept(self) -> None:
        for side in self.sides:
            if side.last:
                side.accept()

    @invariant()
    def each_hears_what_the_other_said(self) -> None:
        for role in Role:
            heard, said = self.sides[role].heard, self.sides[1 - role].said
            assert heard == said[: len(heard)]

    def teardown(self) -> None:
        while any(side.wire or side.last for side in self.sides):
            for role in Role:
                self.deliver_all(role)
            self.accept()
        client, server = self.sides
        assert client.session.state is server.session.state
        for role in Role:
            side, other = self.sides[role], self.sides[1 - role]
            closes = [event for event in other.said if isinstance(event, Close)]
            assert len(closes) == bool(side.session.received_close)
            complete = other.said.index(closes[0]) + 1 if closes else len(other.said)
            assert side.heard == other.said[:complete]
            assert side.session.received_close == other.session.sent_close
            side.session.lost()
            assert side.session.state is State.CLOSED


def test_two_sessions_back_to_back_agree():
    run_state_machine_as_test(
        Conversation, settings=settings(max_examples=80, stateful_step_count=40)
    )
