"""Too many clients, slow ones and malicious ones: what they cost the others, which is nothing."""

from __future__ import annotations

import gc
import logging
import socket
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from reactor import Accept, Listener, Reactor
from reactor.loop.steps import sleep
from reactor.server import listener as server
from reactor.server.options import ServerOptions
from reactor.server.pipeline import accept_upgrade
from reactor.timers import ManualClock

from ..support.certificates import Authority
from ..support.clients import REQUEST, RawClient, RawTLSClient, head
from ..support.driving import run_until
from ..support.leaks import open_descriptors
from ..support.recorder import Recorder
from ..support.serving import Served, echoes
from ..support.turns import run_counted, told_singly
from ..support.websocket_frames import CLOSE, TEXT, build_frame, close_payload

pytestmark = pytest.mark.usefixtures("no_leaks")

#: No time passes by itself: see conftest.py.
STILL = True

Client = Callable[..., RawClient]


@pytest.fixture
def listen(loop: Reactor, served: Served) -> Callable[..., Listener]:
    def listen(host: str | None = "127.0.0.1", **options: Any) -> Listener:
        return loop.listen(host, 0, served, **options)

    return listen


def turn(loop: Reactor, count: int = 4) -> None:
    for _ in range(count):
        loop.run_once(0.01)


# --- what is kept of a request --------------------------------------------------------------------


def test_a_connection_keeps_of_its_request_no_more_than_the_bytes_that_came(
    listen: Callable[..., Listener], raw_client: Client, served: Served
) -> None:
    request = head(*REQUEST, *[f"X-{number}: {'y' * 500}" for number in range(100)])
    listener = listen()
    clients = []
    tracemalloc.start()
    try:
        for _ in range(11):
            clients.append(raw_client(listener))
            clients[-1].send(request)
            assert clients[-1].head()[0] == "HTTP/1.1 101 Switching Protocols"
            if len(clients) == 1:  # what is made once for all has been made
                gc.collect()
                before, _ = tracemalloc.get_traced_memory()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / 10 < 1.2 * len(request)
    for protocol in served:
        assert protocol.url == "/chat?x=1"
        assert protocol.request is not None
        assert protocol.request.target == "/chat?x=1"
        assert len(protocol.request.headers) == len(REQUEST) - 1 + 100
        assert protocol.request.headers["x-99"] == "y" * 500


def test_the_request_is_there_whatever_limits_its_client_gets(
    listen: Callable[..., Listener], raw_client: Client, served: Served
) -> None:
    client = raw_client(
        listen(process_request=lambda _request, _sock: Accept(max_head_size=10, max_header_count=1))
    )
    client.send(b"\r\n" + head(*REQUEST))
    assert client.head()[0] == "HTTP/1.1 101 Switching Protocols"
    assert served[0].url == "/chat?x=1"
    assert served[0].request is not None
    assert served[0].request.headers["host"] == "server.example"


# --- handshakes in progress -----------------------------------------------------------------------


def test_a_request_in_the_smallest_records_of_tls_leaves_the_loop_to_others(
    authority: Authority,
) -> None:
    request = head(*REQUEST, f"Cookie: {'x' * 1000}")
    with told_singly(authority, request) as sock:
        coroutine = accept_upgrade(sock, ServerOptions())
        upgraded, reads = run_counted(coroutine, sock)
    assert upgraded.head == request
    assert max(reads) == 1


def test_who_says_nothing_makes_way_for_who_comes(
    loop: Reactor,
    listen: Callable[..., Listener],
    raw_client: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "reactor")
    listener = listen(max_handshakes=3)
    open_one = raw_client(listener)
    open_one.upgrade()
    silent = [raw_client(listener) for _ in range(3)]
    silent[0].send(b"GET / HTTP/1.1\r\nX: ")  # a part of a request is no request
    turn(loop)
    assert "max_handshakes" not in caplog.text
    quick = raw_client(listener)
    quick.upgrade()  # its request came with it: no reason to drop anybody
    assert "max_handshakes" not in caplog.text
    late = raw_client(listener)
    assert silent[0].until_closed() == b""
    late.upgrade()
    assert "opening handshake failed: there are more than max_handshakes" in caplog.text
    for peer in silent[1:]:
        peer.pump()
        assert peer.ended == ""
    silent[2].upgrade()  # it only took its time
    for peer in (open_one, quick, late, silent[2]):
        assert echoes(peer)


def test_a_storm_of_silent_clients_keeps_nobody_out(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client
) -> None:
    listener = listen(max_handshakes=10)
    resident = raw_client(listener)
    resident.upgrade()
    before = len(open_descriptors())
    storm = [raw_client(listener) for _ in range(300)]
    newcomer = raw_client(listener)
    newcomer.upgrade()
    assert echoes(newcomer)
    assert echoes(resident)
    assert len(open_descriptors()) <= before + len(storm) + 10 + 2
    assert len(listener._handshakes) <= 10
    for peer in storm[:200]:
        peer.pump()
        assert peer.ended


def test_who_waits_for_process_request_counts_too(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client
) -> None:
    dropped: list[str] = []

    async def slow(request: Any, sock: Any) -> None:
        if "x-slow" in request.headers:
            try:
                await sleep(5)
            except GeneratorExit:
                dropped.append(request.headers["x-slow"])
                raise

    listener = listen(process_request=slow, max_handshakes=2)
    waiting = []
    for number in range(4):
        waiting.append(raw_client(listener))
        waiting[-1].send(head(*REQUEST, f"X-Slow: {number}"))
        turn(loop)
    assert len(listener._handshakes) == 2
    for peer in waiting[:2]:
        assert peer.until_closed() == b""
    assert dropped == ["0", "1"]
    raw_client(listener).upgrade()  # who need not wait takes the place of nobody
    for peer in waiting[2:]:
        peer.pump()
        assert (peer.data, peer.ended) == (b"", "")


def test_a_client_that_never_finishes_tls_makes_way_too(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client, authority: Authority
) -> None:
    listener = listen(ssl=authority.server_context, max_handshakes=2)
    halves = [raw_client(listener) for _ in range(3)]
    for peer in halves:
        peer.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        turn(loop)
    assert halves[0].until_closed() == b""
    good = loop.connect(f"wss://127.0.0.1:{listener.port}", Recorder, sslopt=authority.sslopt)
    run_until(loop, lambda: good.events)
    assert good.names == ["open"]
    assert len(listener._handshakes) <= 2


# --- connections of one address -------------------------------------------------------------------


def test_an_address_has_its_limit(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client, served: Served
) -> None:
    listener = listen(max_connections_per_address=2)
    first, second, third = (raw_client(listener) for _ in range(3))
    first.upgrade()
    second.upgrade()
    third.send(head(*REQUEST))
    assert third.head()[0] == "HTTP/1.1 429 Too Many Requests"
    assert third.until_closed() == b"too many connections from your address\n"
    assert third.ended == "EOF"
    third.close()
    assert echoes(first)
    assert len(served) == 2
    # When one has gone there is room for one.
    first.send_frame(CLOSE, close_payload(1000))
    first.frame()
    first.close()
    run_until(loop, lambda: listener._addresses == {"127.0.0.1": 1})
    fourth, fifth = raw_client(listener), raw_client(listener)
    fourth.upgrade()
    assert echoes(fourth)
    fifth.send(head(*REQUEST))
    assert fifth.head()[0].startswith("HTTP/1.1 429 ")


def test_handshakes_count_and_those_that_fail_are_forgotten(
    loop: Reactor,
    clock: ManualClock,
    listen: Callable[..., Listener],
    raw_client: Client,
) -> None:
    listener = listen(max_connections_per_address=1, handshake_timeout=3)
    silent, refused = raw_client(listener), raw_client(listener)
    turn(loop)
    refused.send(head(*REQUEST))
    assert refused.head()[0].startswith("HTTP/1.1 429 ")
    refused.close()
    clock.advance(3.001)
    silent.until_closed()
    turn(loop)
    assert listener._addresses == {}
    bad = raw_client(listener)
    bad.send(b"\x00")
    assert bad.head()[0].startswith("HTTP/1.1 400 ")
    bad.close()
    run_until(loop, lambda: not listener._addresses)
    raw_client(listener).upgrade()
    assert listener._addresses == {"127.0.0.1": 1}


def test_who_does_not_take_no_for_an_answer_gets_none(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client
) -> None:
    listener = listen(max_connections_per_address=2)
    good = [raw_client(listener), raw_client(listener)]
    for peer in good:
        peer.upgrade()
    flood = [raw_client(listener) for _ in range(50)]
    turn(loop)
    ends = []
    for peer in flood:
        peer.pump()
        ends.append(peer.ended)
    assert ends == ["", ""] + ["EOF"] * 48
    assert all(echoes(peer) for peer in good)


def test_refused_clients_are_not_asked_about(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client
) -> None:
    asked: list[Any] = []
    listener = listen(
        max_connections_per_address=1,
        process_request=lambda request, sock: asked.append(request),
    )
    first, second = raw_client(listener), raw_client(listener)
    first.upgrade()
    second.send(head(*REQUEST))
    second.until_closed()
    assert len(asked) == 1


def test_other_addresses_and_listeners_are_not_concerned(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client, unix_path: str
) -> None:
    listener, other = (listen(max_connections_per_address=1) for _ in range(2))
    first = raw_client(listener)
    first.upgrade()
    raw_client(other).upgrade()
    with socket.socket() as sock:
        sock.bind(("127.0.0.2", 0))
        sock.connect(listener.address)
        sock.send(head(*REQUEST))
        run_until(loop, lambda: len(listener.connections) == 2)
    local = loop.listen(unix_path=unix_path, protocol=Served(), max_connections_per_address=1)
    raw_client(local).upgrade()  # a unix socket has no addresses
    raw_client(local).upgrade()
    assert len(local.connections) == 2


def test_over_tls_the_refusal_can_be_read(
    loop: Reactor, listen: Callable[..., Listener], authority: Authority
) -> None:
    listener = listen(ssl=authority.server_context, max_connections_per_address=1)
    url = f"wss://127.0.0.1:{listener.port}"
    first, second = (loop.connect(url, Recorder, sslopt=authority.sslopt) for _ in range(2))
    run_until(loop, lambda: first.events and second.events)
    (error,) = first.errors + second.errors
    assert "Handshake status 429 Too Many Requests" in str(error)
    assert "too many connections from your address" in str(error)


# --- clients whose connection is over, and who stay -----------------------------------------------

FAULT = build_frame(TEXT, b"x", rsv=4, key=b"abcd")
GOODBYE = build_frame(CLOSE, close_payload(1000), key=b"abcd")


def answered(peer: RawClient) -> bool:
    """Say whether anything has come."""
    peer.pump()
    return bool(peer.data)


@pytest.mark.parametrize(("last_word", "patience"), [(FAULT, 1.0), (GOODBYE, 5.0)])
@pytest.mark.parametrize("secure", [False, True])
def test_who_stays_counts_until_the_socket_is_closed(
    loop: Reactor,
    clock: ManualClock,
    listen: Callable[..., Listener],
    raw_client: Client,
    served: Served,
    authority: Authority,
    last_word: bytes,
    patience: float,
    secure: bool,
) -> None:
    listener = listen(max_connections=1, ssl=authority.server_context if secure else None)
    if secure:
        stays: RawClient = RawTLSClient(loop, listener.address, authority.client_context())
    else:
        stays = raw_client(listener)
    stays.upgrade()
    stays.send(last_word)
    assert stays.frame().opcode == CLOSE
    run_until(loop, lambda: served[0].names[-1] == "close")
    assert not listener.connections
    waits = raw_client(listener)  # in the kernel's backlog
    turn(loop)
    assert len(listener._handshakes) == 0
    clock.advance(patience - 0.01)
    turn(loop)
    assert len(listener._handshakes) == 0
    clock.advance(0.02)
    run_until(loop, lambda: listener._handshakes)
    assert not loop.loop.lingering
    stays.close()
    waits.close()


def test_who_leaves_makes_room_at_once(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client
) -> None:
    listener = listen(max_connections=1, max_connections_per_address=1)
    for last_word in (FAULT, GOODBYE, b""):
        client = raw_client(listener)
        client.upgrade()
        client.send(last_word)
        client.close()
        run_until(loop, lambda: not listener._addresses)
        assert listener._held == 0


def test_an_address_counts_those_who_stay(
    loop: Reactor, clock: ManualClock, listen: Callable[..., Listener], raw_client: Client
) -> None:
    listener = listen(max_connections_per_address=2)
    before = len(open_descriptors())
    crowd = []
    for _ in range(50):
        client = raw_client(listener)
        crowd.append(client)
        client.send(head(*REQUEST) + FAULT)
        turn(loop)
    # Two connections; two more that were told so, and are heard for a second.
    assert len(open_descriptors()) - before - len(crowd) <= 4
    clock.advance(1.001)
    run_until(loop, lambda: not listener._addresses)
    raw_client(listener).upgrade()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [(head("GET / HTTP/1.1", "Host: a"), "426"), (b"nonsense\r\n\r\n", "400")],
)
def test_who_is_refused_and_stays_counts_for_a_second(
    loop: Reactor,
    clock: ManualClock,
    listen: Callable[..., Listener],
    raw_client: Client,
    request_head: bytes,
    status: str,
) -> None:
    listener = listen(max_connections=1)
    refused, waits = raw_client(listener), raw_client(listener)
    refused.send(request_head)
    assert refused.head()[0].startswith(f"HTTP/1.1 {status} ")
    waits.send(head(*REQUEST))
    clock.advance(0.99)
    turn(loop)
    assert not answered(waits)
    clock.advance(0.02)
    assert waits.head()[0] == "HTTP/1.1 101 Switching Protocols"


def test_nothing_is_kept_for_who_breaks_the_rules(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client, served: Served
) -> None:
    listener = listen()
    client = raw_client(listener, receive=4096)
    client.upgrade()
    run_until(loop, lambda: served)
    for number in range(64):
        served[0].send(b"%d " % number + b"x" * 65536)
        loop.run_once(0)
    stream = next(iter(listener.connections)).stream
    assert stream.queued > 1 << 20
    client.send(FAULT)
    run_until(loop, lambda: served[0].names[-1] == "close")
    assert stream.queued < 1 << 17
    # What it still gets is whole frames, in order, and last why.
    frames = []
    while not frames or frames[-1].opcode != CLOSE:
        frames.append(client.frame())
    assert frames[-1].payload[:2] == close_payload(1002)
    numbers = [int(frame.payload.split()[0]) for frame in frames[:-1]]
    assert numbers == list(range(len(numbers)))
    assert client.until_closed() == b""


# --- clients that do it wrong ---------------------------------------------------------------------

CHUNKED = "Transfer-Encoding: chunked"
LENGTH = "Content-Length: 1000000"
WRONG: dict[str, tuple[bytes, str]] = {
    "a body": (head(*REQUEST, "Content-Length: 4") + b"abcd", "400"),
    "a large body": (head(*REQUEST, LENGTH) + b"x" * 1_000_000, "400"),
    "a chunked body": (head(*REQUEST, CHUNKED) + b"4\r\nabcd\r\n0\r\n\r\n", "400"),
    "HTTP/1.0": (head("GET / HTTP/1.0", *REQUEST[1:]), "400"),
    "HTTP/0.9": (b"GET /\r\n", "400"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
    "no request": (bytes(range(256)) * 100, "400"),
    "TLS to the plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), "400"),
    "a second request": (head(*REQUEST) * 2, "101"),
    "garbage behind the request": (head(*REQUEST) + b"\xff" * 1000, "101"),
    "another request first": (head("GET / HTTP/1.1", "Host: a") + head(*REQUEST), "426"),
    "an endless line": (b"GET /" + b"x" * 100_000, "414"),
    "endless headers": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000, "431"),
    "endless empty lines": (b"\r\n" * 1000, "400"),
}


@pytest.mark.parametrize(("data", "status"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("trickle", [False, True])
def test_who_does_it_wrong_is_told_and_nobody_else_is_disturbed(
    loop: Reactor,
    clock: ManualClock,
    listen: Callable[..., Listener],
    raw_client: Client,
    data: bytes,
    status: str,
    trickle: bool,
) -> None:
    listener = listen()
    good = raw_client(listener)
    good.upgrade()
    half_done = raw_client(listener)
    half_done.send(head(*REQUEST)[:40])
    turn(loop)
    before = set(open_descriptors())
    bad = raw_client(listener)
    try:
        for start in range(30) if trickle else ():
            bad.send(data[start : start + 1])
            loop.run_once(0)
        bad.send(data[30 if trickle else 0 :])
    except ConnectionError:
        pass  # it had sent more than enough
    bad.wait_for(len(f"HTTP/1.1 {status} "))
    assert bad.data.startswith(f"HTTP/1.1 {status} ".encode())
    assert echoes(good)
    bad.close()
    clock.advance(1.001)  # nobody is listened to for longer than this
    run_until(loop, lambda: len(listener.connections) == 1)
    run_until(loop, lambda: set(open_descriptors()) <= before)
    half_done.send(head(*REQUEST)[40:])
    half_done.head()
    assert echoes(half_done)
    assert echoes(good)


def test_garbage_behind_the_request_is_a_fault_of_the_protocol(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client, served: Served
) -> None:
    client = raw_client(listen())
    client.send(head(*REQUEST) + build_frame(TEXT, b"good", key=b"abcd") + head(*REQUEST))
    client.head()
    assert client.frame().payload == b"good"
    frame = client.frame()
    assert (frame.opcode, frame.payload[:2]) == (CLOSE, close_payload(1002))
    client.close()
    assert served[0].names == ["open", "message", "error", "close"]


def test_plain_http_to_the_tls_port_disturbs_nobody(
    loop: Reactor,
    listen: Callable[..., Listener],
    raw_client: Client,
    authority: Authority,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "reactor")
    listener = listen(ssl=authority.server_context)
    url = f"wss://127.0.0.1:{listener.port}"
    good = loop.connect(url, Recorder, sslopt=authority.sslopt)
    run_until(loop, lambda: good.events)
    before = set(open_descriptors())
    for data in (
        head(*REQUEST),
        b"GET / HTTP/1.1\r\n",
        b"\x80" * 1000,
        b"\x16\x03\x01\x00\x05abcde",
    ):
        bad = raw_client(listener)
        bad.send(data)
        bad.until_closed()
        bad.close()
    assert caplog.text.count("opening handshake failed: the TLS handshake") == 4
    assert {record.levelno for record in caplog.records} == {logging.INFO}
    run_until(loop, lambda: set(open_descriptors()) <= before)
    good.send("hello?")
    run_until(loop, lambda: good.messages)


def test_a_hundred_that_trickle_hold_up_nobody_and_end_at_the_timeout(
    loop: Reactor, clock: ManualClock, listen: Callable[..., Listener], raw_client: Client
) -> None:
    listener = listen(handshake_timeout=5)
    good = raw_client(listener)
    good.upgrade()
    slow = [raw_client(listener) for _ in range(100)]
    began = clock.now()
    for byte in head(*REQUEST):
        for peer in slow:
            if not peer.ended:
                peer.send(bytes([byte]))
        turn(loop, 1)
        assert echoes(good)
        clock.advance(0.1)
        turn(loop, 2)
        for peer in slow:
            peer.pump()
        if all(peer.ended for peer in slow):
            break
    assert 5 <= clock.now() - began < 6
    assert not listener._handshakes
    assert echoes(good)
    assert loop.stats().timers == 1  # the keep-alive of the good one


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_client_is_counted_by_its_network(address: str, counted: str) -> None:
    assert server._network(address) == counted
