"""Taps hear what a stream reads and writes, in order, and the stream is none the worse for it."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from reactor import Reactor, explain_compiled
from reactor.transports.stream import Stream
from reactor.transports.tapped import add_tap, remove_tap
from reactor.transports.tls_stream import make_stream

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.recorder import Recorder
from ..support.scene import watched_pair
from ..support.serving import Echo
from ..support.sockets import Sockets, received, reset
from ..support.tls_peer import TLSPeer, tls_pair

pytestmark = pytest.mark.usefixtures("no_leaks")


class Notes:
    """A Tap that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def received(self, data: bytes) -> None:
        self.heard.append(("received", data))

    def sent(self, data: bytes) -> None:
        self.heard.append(("sent", data))

    def ended(self, ours: bool, reset: bool) -> None:
        self.heard.append(("ended", ours, reset))

    def closed(self) -> None:
        self.heard.append("closed")

    @property
    def sent_bytes(self) -> bytes:
        return b"".join(event[1] for event in self.heard if event[0] == "sent")


class User:
    """A Receiver that keeps what comes."""

    def __init__(self) -> None:
        self.data = b""
        self.ends: list[Any] = []

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        self.ends.append("eof")

    def queue_filled(self) -> None: ...
    def queue_drained(self) -> None: ...
    def write_failed(self) -> None: ...

    def connection_lost(self, error: Exception | None) -> None:
        self.ends.append("lost")


def stream_on(loop: Reactor, sock: socket.socket) -> tuple[Stream, User]:
    user = User()
    return Stream(loop.loop, sock, user, 65536, 16384), user


def test_what_is_read_and_written_and_both_ends(loop: Reactor, sockets: Sockets) -> None:
    ours, theirs = sockets.pair()
    stream, user = stream_on(loop, ours)
    notes = Notes()
    add_tap(stream, notes)
    stream.start_reading()
    stream.write(b"question")
    theirs.send(b"answer")
    run_until(loop, lambda: user.data)
    assert received(theirs) == b"question"
    stream.close()
    theirs.close()
    run_until(loop, lambda: user.ends)
    assert notes.heard == [
        ("sent", b"question"),
        ("received", b"answer"),
        ("ended", True, False),
        ("ended", False, False),
        "closed",
    ]


def test_only_what_the_kernel_has_taken_counts_as_sent(loop: Reactor) -> None:
    ours, peer = watched_pair()
    with ours, peer.sock:
        stream, _ = stream_on(loop, ours)
        notes = Notes()
        add_tap(stream, notes)
        ours.room = 3
        stream.write(b"abcdef")
        assert notes.heard == [("sent", b"abc")]
        assert stream.unsent == 3
        ours.room = None
        run_until(loop, lambda: not stream.queued)
        assert notes.sent_bytes == b"abcdef"
        stream.abort()
        loop.run_once(0)
        assert notes.heard[-1] == "closed"


def test_a_reset(loop: Reactor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
    ours.setblocking(False)
    stream, user = stream_on(loop, ours)
    notes = Notes()
    add_tap(stream, notes)
    stream.start_reading()
    reset(theirs)
    run_until(loop, lambda: user.ends)
    assert ("ended", False, True) in notes.heard


def test_two_taps_may_go_in_any_order(loop: Reactor, sockets: Sockets) -> None:
    ours, _ = sockets.pair()
    stream, _user = stream_on(loop, ours)
    engine = stream._engine
    first, second = Notes(), Notes()
    add_tap(stream, first)
    add_tap(stream, second)
    stream.write(b"1")
    remove_tap(stream, first)
    stream.write(b"2")
    remove_tap(stream, first)  # again
    remove_tap(stream, second)
    stream.write(b"3")
    assert (first.sent_bytes, second.sent_bytes) == (b"1", b"12")
    assert type(stream) is Stream
    assert stream._engine is engine
    remove_tap(stream, second)
    stream.abort()
    loop.run_once(0)


def test_the_connections_beside_it_stay_compiled(loop: Reactor) -> None:
    listener = loop.listen("127.0.0.1", 0, Echo)
    url = f"ws://127.0.0.1:{listener.port}/"
    tapped, other = (loop.connect(url, Recorder()) for _ in range(2))
    run_until(loop, lambda: tapped.events and other.events)
    before = explain_compiled(other)
    notes = Notes()
    add_tap(tapped._reactor_connection.stream, notes)  # type: ignore[attr-defined]
    assert explain_compiled(other) == before
    if before == "compiled":
        assert "TappedStream" in explain_compiled(tapped)
    tapped.send("heard")
    other.send("not heard")
    run_until(loop, lambda: tapped.messages and other.messages)
    assert [event[0] for event in notes.heard] == ["sent", "received"]


def tapped_tls(loop: Reactor, authority: Authority) -> tuple[Stream, Notes, User, TLSPeer]:
    sock, peer = tls_pair(authority)
    user, notes = User(), Notes()
    stream = make_stream(loop.loop, sock, user, 65536, 16384)
    add_tap(stream, notes)
    stream.start_reading()
    return stream, notes, user, peer


def test_with_tls_what_is_said_inside_is_heard(loop: Reactor, authority: Authority) -> None:
    stream, notes, user, peer = tapped_tls(loop, authority)
    stream.write(b"question")
    peer.send(b"answer")
    run_until(loop, lambda: user.data)
    assert peer.look() == b"question"
    peer.end()
    run_until(loop, lambda: user.ends)
    stream.close()
    run_until(loop, lambda: "lost" in user.ends)
    assert peer.look() == b""
    assert peer.ended == "close_notify"
    peer.close()
    assert notes.heard == [
        ("sent", b"question"),
        ("received", b"answer"),
        ("ended", False, False),
        ("ended", True, False),
        "closed",
    ]


def test_with_tls_what_is_left_in_openssl_is_heard_in_the_next_turn(
    loop: Reactor, authority: Authority
) -> None:
    stream, notes, user, peer = tapped_tls(loop, authority)
    for _ in range(8):
        peer.send(bytes(16384))
    run_until(loop, lambda: len(user.data) == 8 * 16384)
    assert b"".join(event[1] for event in notes.heard) == user.data
    stream.abort()
    loop.run_once(0)
    peer.close()


def test_a_write_that_fails_is_the_end_of_what_the_peer_says(loop: Reactor) -> None:
    ours, peer = watched_pair()
    with ours, peer.sock:
        stream, _ = stream_on(loop, ours)
        notes = Notes()
        add_tap(stream, notes)
        ours.room = 0
        stream.write(b"waits")
        assert notes.heard == []
        ours.fault = ConnectionResetError(errno.ECONNRESET, "reset")
        ours.room = None
        run_until(loop, lambda: notes.heard)
        assert notes.heard == [("ended", False, True)]
        stream.abort()
        loop.run_once(0)
