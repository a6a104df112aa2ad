"""Scripted peers, and what a client makes of each fault."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from reactor import (
    Backoff,
    WebSocketBadStatusException,
    WebSocketConnectRefusedException,
    WebSocketException,
    WebSocketProtocolException,
    WebSocketTimeoutException,
)
from reactor.testing import (
    Frame,
    ManualReactor,
    Recorder,
    Script,
    ScriptedPeer,
    Talk,
    build_frame,
    closed_port,
    faults,
)
from reactor.testing.frames import BINARY, TEXT

from ..support.certificates import Authority


@pytest.fixture
def loop() -> Iterator[ManualReactor]:
    with ManualReactor() as manual:
        yield manual


def meet(loop: ManualReactor, script: Script, **options: object) -> Recorder:
    """Return what a client has written down that has met a peer to the end."""
    with ScriptedPeer(script) as peer:
        client = loop.connect(peer.url, Recorder, **options)  # type: ignore[arg-type]
        loop.run_until(lambda: client.closes)
    return client


@pytest.mark.parametrize("slow", [False, True])
def test_peers_that_behave_say_something_and_send_back(loop: ManualReactor, slow: bool) -> None:
    script = faults.slow("a", b"b", piece=7) if slow else faults.say("a", b"b")
    with ScriptedPeer(script) as peer:
        client = loop.connect(peer.url, Recorder)
        loop.run_until(lambda: len(client.messages) == 2)
        client.send("c")
        client.ping(b"d")
        loop.run_until(lambda: "pong" in client.names)
        client.close()
        loop.run_until(lambda: client.closes)
    assert client.messages == ["a", b"b", "c"]
    assert client.closes == [(1000, "")]


def test_a_port_that_nobody_listens_on_refuses(loop: ManualReactor) -> None:
    with closed_port() as url:
        client = loop.connect(url, Recorder)
        loop.run_until(lambda: client.closes)
    assert isinstance(client.errors[0], WebSocketConnectRefusedException)


def test_a_refusal_has_its_status_and_body(loop: ManualReactor) -> None:
    client = meet(loop, faults.refuse(418, headers={"Tag": "x"}, body=b"tea"))
    (error,) = client.errors
    assert isinstance(error, WebSocketBadStatusException)
    assert error.status_code == 418
    assert error.resp_headers is not None
    assert error.resp_headers["tag"] == "x"
    assert error.resp_body == b"tea"


def test_retry_after_is_waited_for_without_waiting(loop: ManualReactor) -> None:
    policy = Backoff(first=1.0, cap=60.0, jitter=False)
    with ScriptedPeer(faults.too_many_requests(30), faults.echo()) as peer:
        client = loop.connect(peer.url, Recorder, reconnect=policy)
        loop.run_until(lambda: client.closes)
        loop.advance(29.0)
        assert peer.connections == 1
        loop.advance(2.0)
        loop.run_until(lambda: "open" in client.names)
        assert peer.connections == 2


def test_a_peer_that_is_mute_from_the_start_times_out(loop: ManualReactor) -> None:
    with ScriptedPeer(faults.mute(upgrade=False)) as peer:
        client = loop.connect(peer.url, Recorder, connect_timeout=10.0)
        loop.run_until(lambda: peer.connections)
        loop.advance(10.5)
    assert isinstance(client.errors[0], WebSocketTimeoutException)


@pytest.mark.parametrize("script", [faults.mute(), faults.half_open(), faults.half_open("hello")])
def test_a_peer_that_falls_silent_is_noticed_by_its_missing_pongs(
    loop: ManualReactor, script: Script
) -> None:
    with ScriptedPeer(script) as peer:
        client = loop.connect(peer.url, Recorder, ping_interval=20.0, ping_timeout=10.0)
        loop.run_until(lambda: "open" in client.names)
        loop.advance(60.0)
        assert client.closes[0][0] == 1006
    assert isinstance(client.errors[0], WebSocketTimeoutException)


def test_a_frame_that_is_torn_off_is_no_message(loop: ManualReactor) -> None:
    client = meet(loop, faults.torn_frame("never whole"))
    assert client.names == ["open", "error", "close"]
    assert client.closes[0][0] == 1006


def test_a_reset_is_a_lost_connection(loop: ManualReactor) -> None:
    with ScriptedPeer(faults.reset()) as peer:
        client = loop.connect(peer.url, Recorder)
        loop.run_until(lambda: "open" in client.names)
        client.send("anything")
        loop.run_until(lambda: client.closes)
    assert client.closes[0][0] == 1006
    assert isinstance(client.errors[0], WebSocketException)


@pytest.mark.parametrize(
    ("code", "seen"), [(1000, 1000), (1012, 1012), (4999, 4999), (1005, 1005), (1006, 1006)]
)
def test_close_codes_come_as_they_are(loop: ManualReactor, code: int, seen: int) -> None:
    client = meet(loop, faults.close_with(code, "", "before"))
    assert client.messages == ["before"]
    assert client.closes[0][0] == seen


def test_a_close_code_that_may_not_be_sent_can_be(loop: ManualReactor) -> None:
    client = meet(loop, faults.close_with(1015, "no"))
    assert isinstance(client.errors[0], WebSocketProtocolException)


@pytest.mark.parametrize("upgrade", [True, False])
def test_garbage_is_an_error(loop: ManualReactor, upgrade: bool) -> None:
    client = meet(loop, faults.garbage(upgrade=upgrade))
    assert isinstance(client.errors[0], WebSocketException)
    assert ("open" in client.names) is upgrade


def test_each_connection_gets_its_script_and_further_ones_the_last(loop: ManualReactor) -> None:
    with ScriptedPeer(faults.say("one"), faults.say("two")) as peer:
        for expected in ("one", "two", "two"):
            client = loop.connect(peer.url, Recorder)
            loop.run_until(lambda: client.messages)  # noqa: B023 - called at once
            assert client.messages == [expected]
    assert [head.request_line for head in peer.requests] == ["GET / HTTP/1.1"] * 3


def test_what_a_script_raises_fails_the_test(loop: ManualReactor) -> None:
    def broken(talk: Talk) -> None:
        raise ValueError("mine")

    with pytest.raises(AssertionError, match="a script failed") as caught:
        meet(loop, broken)
    assert isinstance(caught.value.__cause__, ValueError)


def test_the_test_that_fails_is_not_hidden_by_a_script() -> None:
    def broken(talk: Talk) -> None:
        raise ValueError("mine")

    with pytest.raises(KeyError), ScriptedPeer(broken):
        raise KeyError


def test_a_peer_needs_a_script() -> None:
    with pytest.raises(TypeError, match="at least one script"):
        ScriptedPeer()


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_of_every_length_are_read(loop: ManualReactor, size: int) -> None:
    read: list[Frame] = []

    def script(talk: Talk) -> None:
        talk.upgrade()
        read.append(talk.frame())
        talk.send(build_frame(BINARY, b"read"))
        talk.until_closed()

    with ScriptedPeer(script) as peer:
        client = loop.connect(peer.url, Recorder)
        loop.run_until(lambda: "open" in client.names)
        client.send(bytes(size))
        loop.run_until(lambda: client.messages)
    (frame,) = read
    assert (frame.opcode, frame.payload) == (BINARY, bytes(size))


def test_bytes_can_be_sent_one_by_one(loop: ManualReactor) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade()
        talk.send_singly(build_frame(TEXT, b"piece by piece"))
        talk.until_closed()

    with ScriptedPeer(script) as peer:
        client = loop.connect(peer.url, Recorder)
        loop.run_until(lambda: client.messages)
    assert client.messages == ["piece by piece"]


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (Talk.head, "the client left within its head: b'GET'"),
        (Talk.frame, "the client left within 69 bytes: b'T'"),
        (lambda talk: talk.exactly(4), "the client left within 4 bytes: b'GET'"),
    ],
)
def test_a_client_that_leaves_ends_the_script_and_is_no_fault(
    read: Callable[[Talk], object], fault: str
) -> None:
    faults_of_client: list[str] = []

    def script(talk: Talk) -> None:
        try:
            read(talk)
        except ConnectionResetError as exc:
            faults_of_client.append(str(exc))
            raise

    with ScriptedPeer(script) as peer, socket.create_connection(("127.0.0.1", peer.port)) as client:
        client.sendall(b"GET")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert faults_of_client == [fault]


def test_a_peer_with_a_context_speaks_tls(loop: ManualReactor, authority: Authority) -> None:
    with ScriptedPeer(faults.say("over TLS"), context=authority.server_context) as peer:
        client = loop.connect(peer.url, Recorder, sslopt=authority.sslopt)
        loop.run_until(lambda: client.messages)
        assert peer.url.startswith("wss://")
    assert client.messages == ["over TLS"]


def test_a_client_that_rejects_the_certificate_is_no_fault_of_the_script(
    loop: ManualReactor, authority: Authority
) -> None:
    with ScriptedPeer(faults.echo(), context=authority.server_context) as peer:
        client = loop.connect(peer.url, Recorder)
        loop.run_until(lambda: client.closes)
    assert "open" not in client.names


def test_a_pong_is_not_sent_back(loop: ManualReactor) -> None:
    with ScriptedPeer(faults.echo()) as peer:
        client = loop.connect(peer.url, Recorder)
        loop.run_until(lambda: "open" in client.names)
        client.pong(b"unasked")
        client.send("asked")
        loop.run_until(lambda: client.messages)
        assert "pong" not in client.names
        client.close()
        loop.run_until(lambda: client.closes)


def test_a_refusal_may_have_words_of_its_own(loop: ManualReactor) -> None:
    (error,) = meet(loop, faults.refuse(599, "Not Today")).errors
    assert isinstance(error, WebSocketBadStatusException)
    assert (error.status_code, error.status_message) == (599, "Not Today")


def test_a_slow_peer_ends_with_the_test(loop: ManualReactor) -> None:
    with ScriptedPeer(faults.slow("never heard", pause=3600)) as peer:
        client = loop.connect(peer.url, Recorder)
        loop.run_until(lambda: peer.requests)
    assert client.messages == []
