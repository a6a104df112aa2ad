"""More than one turn may deliver, over real sockets and TLS.

Every test runs both ways. What the rules are is in test_connection_held_back.py.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from reactor import Reactor
from reactor.protocols.receiving import MAX_FRAMES
from reactor.protocols.session import Role
from reactor.transports.stream import READ_SIZE

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.sockets import Sockets
from ..support.websocket_frames import CLOSE, KEY, PING, PONG, TEXT, build_frame, close_payload
from .acting import BUILT, Act, as_client, texts_of
from .twins import attach, with_tls

pytestmark = BUILT

COUNT = 3 * MAX_FRAMES + 10
NUMBERS = [str(number) for number in range(COUNT)]


def test_a_piece_a_turn(loop: Reactor, sockets: Sockets) -> None:
    protocol = Act()
    far = as_client(loop, protocol, sockets)
    far.send(texts_of(*NUMBERS))
    counts = []
    while len(protocol.messages) < COUNT:
        before = len(protocol.messages)
        loop.run_once(1)
        counts.append(len(protocol.messages) - before)
    assert protocol.messages == NUMBERS
    assert max(counts) <= 2 * MAX_FRAMES


@pytest.mark.parametrize("role", Role)
def test_messages_and_others_in_one_piece(loop: Reactor, sockets: Sockets, role: Role) -> None:
    key = KEY if role is Role.SERVER else None
    near, far = sockets.pair()
    protocol = Act()
    attach(loop, role, near, protocol)
    group = [(TEXT, b"a"), (TEXT, b"b"), (PONG, b"c"), (PING, b"d")]
    far.send(b"".join(build_frame(opcode, data, key=key) for opcode, data in group) * MAX_FRAMES)
    run_until(loop, lambda: len(protocol.events) == 1 + 4 * MAX_FRAMES)
    names = {TEXT: "message", PING: "ping", PONG: "pong"}
    expected = [(names[op], data.decode() if op == TEXT else data) for op, data in group]
    assert protocol.events[1:] == expected * MAX_FRAMES


def test_a_whole_read_of_ordinary_messages_is_delivered_at_once(
    loop: Reactor, sockets: Sockets
) -> None:
    protocol = Act()
    far = as_client(loop, protocol, sockets)
    frame = texts_of("x" * 150)
    count = READ_SIZE // len(frame)
    far.send(frame * count)
    loop.run_once(1)
    assert len(protocol.messages) == count
    assert loop.stats().calls == 0


@pytest.fixture(scope="module")
def contexts(authority: Authority) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return authority.server_context, authority.client_context()


class TestTLS:
    @pytest.fixture
    def far(
        self, loop: Reactor, sockets: Sockets, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
    ) -> Any:
        self.protocol = Act()
        near, far = with_tls(*sockets.pair(), contexts)
        sockets.enter_context(far)
        attach(loop, Role.CLIENT, near, self.protocol)
        return far

    def test_the_end_comes_behind_what_came_with_it(self, loop: Reactor, far: Any) -> None:
        far.send(texts_of(*NUMBERS))
        with pytest.raises(ssl.SSLWantReadError):
            far.unwrap()  # close_notify
        run_until(loop, lambda: self.protocol.closes)
        assert self.protocol.messages == NUMBERS
        assert self.protocol.names[-2:] == ["error", "close"]

    def test_what_openssl_holds_is_read_behind_the_rest(self, loop: Reactor, far: Any) -> None:
        for _ in range(6):  # records, of which four are read at a time
            far.send(texts_of(*NUMBERS[:1500]))
        far.send(build_frame(CLOSE, close_payload(1000, b"bye")))
        run_until(loop, lambda: self.protocol.closes)
        assert self.protocol.messages == NUMBERS[:1500] * 6
        assert self.protocol.closes == [(1000, "bye")]


def test_a_loop_of_its_own_kind_of_socket(loop: Reactor, sockets: Sockets) -> None:
    """The rest of what a socket of the user's own class has given goes the same way."""

    class Own(socket.socket):
        pass

    near, far = sockets.pair()
    own = Own(near.family, near.type, near.proto, fileno=near.detach())
    protocol = Act()
    attach(loop, Role.CLIENT, own, protocol)
    far.send(texts_of(*NUMBERS))
    run_until(loop, lambda: len(protocol.messages) == COUNT)
    assert protocol.messages == NUMBERS


def test_a_socket_closed_behind_our_back_is_not_read_again(loop: Reactor, sockets: Sockets) -> None:
    def close(_: object) -> None:
        sock = protocol.sock
        if sock is not None:
            sock.close()

    protocol = Act(close)
    far = as_client(loop, protocol, sockets)
    far.send(texts_of(*NUMBERS))
    run_until(loop, lambda: protocol.closes)
    assert protocol.messages == NUMBERS
    assert protocol.closes == [(1006, "")]
    assert "Bad file descriptor" in str(protocol.errors[0])
