"""What the user of a server says about requests: process_request, and what it can answer."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from reactor import (
    Accept,
    HTTPResponse,
    Listener,
    Reactor,
    WebSocketBadStatusException,
    WebSocketProtocol,
)
from reactor.loop.steps import in_thread, sleep
from reactor.protocols.http.http11 import Request
from reactor.timers import ManualClock

from ..support.certificates import Authority
from ..support.clients import REQUEST, RawClient, head
from ..support.driving import run_until
from ..support.recorder import Recorder
from ..support.serving import Echo, Served, echoes
from ..support.websocket_frames import CLOSE, TEXT, build_frame, close_payload

pytestmark = pytest.mark.usefixtures("no_leaks")

#: No time passes by itself: see conftest.py.
STILL = True

Client = Callable[..., RawClient]
Hook = Callable[[Request, Any], Any]

HEALTH = head("GET /healthz HTTP/1.1", "Host: server.example")


@pytest.fixture
def listen(loop: Reactor, served: Served) -> Callable[..., Listener]:
    def listen(process_request: Hook, **options: Any) -> Listener:
        return loop.listen("127.0.0.1", 0, served, process_request=process_request, **options)

    return listen


def status(client: RawClient, request: bytes = head(*REQUEST)) -> int:
    client.send(request)
    return int(client.head()[0].split()[1])


# --- what it sees ---------------------------------------------------------------------------------


def test_it_sees_the_request_and_the_socket(
    listen: Callable[..., Listener], raw_client: Client
) -> None:
    seen: list[Any] = []

    def look(request: Request, sock: Any) -> None:
        seen.append((request.method, request.target, request.headers["x-token"]))
        seen.append(sock.getpeername())

    client = raw_client(listen(look))
    client.upgrade("X-Token: 7")
    assert seen == [("GET", "/chat?x=1", "7"), client.sock.getsockname()]
    assert echoes(client)


@pytest.mark.parametrize("request_", [b"\x16\x03\x01", b"GET / HTTP/2.0\r\n\r\n", b"GET / x\r\n"])
def test_it_is_not_asked_about_what_is_no_request(
    listen: Callable[..., Listener], raw_client: Client, request_: bytes
) -> None:
    asked: list[Request] = []
    client = raw_client(listen(lambda request, sock: asked.append(request)))
    assert status(client, request_) in (400, 505)
    assert asked == []


# --- answers of its own ---------------------------------------------------------------------------


def healthy(request: Request, sock: Any) -> HTTPResponse | None:
    return HTTPResponse(200, body="fine\n") if request.target == "/healthz" else None


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (HEALTH, b"fine\n"),
        (head("GET /healthz HTTP/1.0"), b"fine\n"),
        (head("HEAD /healthz HTTP/1.1", "Host: server.example"), b""),
        (head("POST /healthz HTTP/1.1", "Host: a", "Content-Length: 3") + b"abc", b"fine\n"),
        (head("GET /healthz HTTP/1.1", *REQUEST[1:]), b"fine\n"),
    ],
    ids=["GET", "HTTP/1.0", "HEAD", "POST", "an upgrade"],
)
def test_a_health_check_is_answered(
    listen: Callable[..., Listener],
    raw_client: Client,
    served: Served,
    caplog: pytest.LogCaptureFixture,
    request_: bytes,
    body: bytes,
) -> None:
    caplog.set_level(logging.INFO, "reactor")
    listener = listen(healthy)
    client = raw_client(listener)
    client.send(request_)
    assert client.head() == [
        "HTTP/1.1 200 OK",
        "Connection: close",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Length: 5",
    ]
    assert client.until_closed() == body
    assert client.ended == "EOF"
    assert served == []
    assert caplog.text == ""  # it comes every second
    client.close()
    other = raw_client(listener)
    other.upgrade()
    assert echoes(other)


def fail(request: Request, sock: Any) -> None:
    raise LookupError("of the user")


async def linger(request: Request, sock: Any) -> None:
    await sleep(60.0)


@pytest.mark.parametrize(
    ("hook", "status_"),
    [
        (lambda request, sock: HTTPResponse(404, body="no\n"), 404),
        (lambda request, sock: HTTPResponse(503), 503),
        (fail, 500),
        (linger, 503),
    ],
)
def test_errors_have_a_date_and_are_taken_for_what_they_say(
    listen: Callable[..., Listener],
    raw_client: Client,
    clock: ManualClock,
    loop: Reactor,
    hook: Hook,
    status_: int,
) -> None:
    client = raw_client(listen(hook))
    client.send(head(*REQUEST))
    if hook is linger:
        run_until(loop, lambda: loop.stats().timers)
        clock.advance(11.0)
    start, *lines = client.head()
    assert int(start.split()[1]) == status_
    assert lines.count("X-Content-Type-Options: nosniff") == 1
    assert len([line for line in lines if line.startswith("Date: ")]) == 1


def test_what_an_error_says_of_these_itself_counts(
    listen: Callable[..., Listener], raw_client: Client
) -> None:
    own = {"date": "Thu, 01 Jan 1970 00:00:00 GMT", "X-content-type-options": "none"}
    client = raw_client(listen(lambda request, sock: HTTPResponse(404, own)))
    client.send(head(*REQUEST))
    lines = [line for line in client.head() if line.lower().startswith(("date", "x-content"))]
    assert lines == [f"{name}: {value}" for name, value in own.items()]


def test_what_is_let_through_is_still_checked(
    listen: Callable[..., Listener], raw_client: Client
) -> None:
    for hook in (lambda request, sock: None, lambda request, sock: Accept(Echo)):
        assert status(raw_client(listen(hook)), HEALTH) == 426


def test_a_client_may_have_subprotocols_of_its_own(
    listen: Callable[..., Listener], raw_client: Client
) -> None:
    listener = listen(
        lambda request, sock: Accept(subprotocols=("v2", "v1")), subprotocols=("v1", "v2")
    )
    client = raw_client(listener)
    client.send(head(*REQUEST, "Sec-WebSocket-Protocol: v1, v2"))
    assert "Sec-WebSocket-Protocol: v2" in client.head()


def test_the_answer_that_accepts_may_be_changed_or_taken_back(
    listen: Callable[..., Listener], raw_client: Client
) -> None:
    async def later(answer: bytes) -> bytes | HTTPResponse:
        await sleep(0.0)
        return answer.replace(b"\r\n\r\n", b"\r\nX-Later: 1\r\n\r\n")

    def refuse(answer: bytes) -> bytes | HTTPResponse:
        return HTTPResponse(503, body="full\n")

    hooks = [later, refuse]
    listener = listen(lambda request, sock: Accept(process_response=hooks.pop(0)))
    client = raw_client(listener)
    client.send(head(*REQUEST))
    lines = client.head()
    assert lines[0].split()[1] == "101"
    assert "X-Later: 1" in lines
    assert status(raw_client(listener)) == 503


def test_a_client_of_ours_sees_status_headers_and_body(
    loop: Reactor, listen: Callable[..., Listener]
) -> None:
    def authenticate(request: Request, sock: Any) -> HTTPResponse | None:
        expected = "Basic " + base64.b64encode(b"me:sesame").decode()
        if request.headers.get("Authorization") == expected:
            return None
        challenge = {"WWW-Authenticate": 'Basic realm="chat"'}
        return HTTPResponse(401, challenge, "who are you?\n")

    listener = listen(authenticate)
    url = f"127.0.0.1:{listener.port}"
    known = loop.connect(f"ws://{url}", Recorder, header={"Authorization": "Basic bWU6c2VzYW1l"})
    stranger = loop.connect(f"ws://{url}", Recorder)
    run_until(loop, lambda: known.events and stranger.closes)
    assert known.names == ["open"]
    (error,) = stranger.errors
    assert isinstance(error, WebSocketBadStatusException)
    assert (error.status_code, error.resp_body) == (401, b"who are you?\n")
    assert error.resp_headers is not None
    assert error.resp_headers["www-authenticate"] == 'Basic realm="chat"'


def test_an_answer_reaches_a_client_that_goes_on_sending(
    listen: Callable[..., Listener], raw_client: Client
) -> None:
    client = raw_client(listen(healthy))
    client.send(head("POST /healthz HTTP/1.1", "Host: a", "Content-Length: 1000000"))
    client.send(b"x" * 1_000_000)
    assert client.head()[0] == "HTTP/1.1 200 OK"
    assert client.until_closed() == b"fine\n"
    assert client.ended == "EOF"


def test_a_large_answer_has_as_long_as_a_handshake(
    loop: Reactor, clock: ManualClock, listen: Callable[..., Listener], raw_client: Client
) -> None:
    body = b"x" * 8_000_000  # more than the kernel takes
    listener = listen(lambda request, sock: HTTPResponse(200, body=body), handshake_timeout=9)
    patient, asleep = raw_client(listener, receive=4096), raw_client(listener, receive=4096)
    for client in (patient, asleep):
        client.send(HEALTH)
    for _ in range(3):
        loop.run_once(0.01)
    clock.advance(5)
    loop.run_once(0.01)
    assert "HTTP/1.1 200 OK" in patient.head()
    assert patient.until_closed() == body
    clock.advance(4.001)
    run_until(loop, lambda: not listener._handshakes)  # who reads nothing is not waited for
    assert len(asleep.until_closed()) < len(body)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((101,), ValueError, "status must be 200 to 599, not 101"),
        ((99,), ValueError, "status must be"),
        ((600,), ValueError, "status must be"),
        (("404",), TypeError, "status must not be str: '404'"),
        ((200, {"A b": "c"}), ValueError, "'A b'"),
        ((200, {"A": "b\r\nEvil: 1"}), ValueError, "header A"),
        ((200, {"Content-Length": 3}), ValueError, "Content-Length"),
        ((200, "A: b"), TypeError, "header must be"),
        ((200, None, 5), TypeError, "body must not be int"),
        ((200, None, None), TypeError, "body must not be NoneType"),
    ],
)
def test_an_answer_that_cannot_be_sent_cannot_be_made(
    arguments: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        HTTPResponse(*arguments)


def test_headers_of_an_answer_can_be_an_iterator() -> None:
    response = HTTPResponse(302, iter([("Location", "/elsewhere")]))
    expected = b"HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\n"
    for _ in range(2):
        assert response.to_bytes() == expected + b"Location: /elsewhere\r\n\r\n"


# --- when it fails --------------------------------------------------------------------------------


def raises(request: Request, sock: Any) -> None:
    raise LookupError("the secret of the database")


async def raises_later(request: Request, sock: Any) -> None:
    await sleep(0)
    raise LookupError("the secret of the database")


def cancelled(request: Request, sock: Any) -> None:
    raise asyncio.CancelledError


def exits(request: Request, sock: Any) -> None:
    raise GeneratorExit


async def exits_later(request: Request, sock: Any) -> None:
    await sleep(0)
    raise GeneratorExit


async def waits_for_asyncio(request: Request, sock: Any) -> None:
    await asyncio.sleep(1)


class NotAStep:
    def __await__(self) -> Iterator[int]:
        yield 5


FAILURES: dict[str, tuple[Hook, str]] = {
    "raises": (raises, "LookupError: the secret of the database"),
    "raises later": (raises_later, "LookupError: the secret of the database"),
    "True": (lambda request, sock: True, "an HTTPResponse or an Accept, not True"),
    "a class": (lambda request, sock: Echo, "or an Accept, not <class"),
    "exits later": (exits_later, "GeneratorExit"),
    "asyncio": (waits_for_asyncio, ""),
    "not a step": (lambda request, sock: NotAStep(), "cannot be awaited here. What can: the steps"),
    "a wrong option": (
        lambda request, sock: Accept(max_message_size=0),
        "max_message_size must be greater than 0",
    ),
    "a wrong header": (
        lambda request, sock: Accept(headers={"Upgrade": "h2c"}),
        "header Upgrade is set by the handshake itself",
    ),
    "a wrong name": (lambda request, sock: Accept(handshake_timeout=5), "'handshake_timeout'"),
    "no protocol": (lambda request, sock: Accept(5), "not 5"),  # type: ignore[arg-type]
    "no subprotocols": (lambda request, sock: Accept(subprotocols="chat"), "subprotocols"),
    "the answer": (
        lambda request, sock: Accept(process_response=lambda answer: answer[1]),  # type: ignore[arg-type,return-value]
        "process_response must return bytes or an HTTPResponse, not 84",
    ),
}


@pytest.mark.parametrize(("hook", "words"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_logged_and_costs_one_client(
    listen: Callable[..., Listener],
    raw_client: Client,
    caplog: pytest.LogCaptureFixture,
    hook: Hook,
    words: str,
) -> None:
    hooks: list[Hook] = [healthy, hook, healthy]
    listener = listen(lambda request, sock: hooks.pop(0)(request, sock), max_connections=3)
    before = raw_client(listener)
    before.upgrade()
    unlucky = raw_client(listener)
    assert status(unlucky) == 500
    assert unlucky.until_closed() == b"internal error\n"  # and nothing of the secret
    unlucky.close()
    after = raw_client(listener)
    after.upgrade()
    assert echoes(before)
    assert echoes(after)
    assert words in caplog.text
    (line,) = caplog.messages
    assert line.startswith("GET /chat?... from 127.0.0.1:")
    assert line.endswith(": exception in the opening handshake")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["hook", "factory"])
def test_who_leaves_the_loop_leaves_nothing_behind(
    loop: Reactor,
    listen: Callable[..., Listener],
    raw_client: Client,
    error: type[BaseException],
    where: str,
) -> None:
    errors = [error()]

    def make() -> Echo:
        if errors:
            raise errors.pop()
        return Echo()

    def leave(request: Request, sock: Any) -> Accept:
        if where == "hook" and errors:
            raise errors.pop()
        return Accept(make)

    listener = listen(leave, max_connections=1)
    client = raw_client(listener)
    client.send(head(*REQUEST))
    with pytest.raises(error):
        run_until(loop, lambda: False)
    answer = client.until_closed()
    assert answer == b"" if where == "hook" else answer.startswith(b"HTTP/1.1 101 ")
    other = raw_client(listener)
    other.upgrade()
    assert echoes(other)


# --- when it has to wait --------------------------------------------------------------------------


def test_it_may_ask_a_database_while_others_are_served(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client, served: Served
) -> None:
    answer = threading.Event()

    def look_up(token: str) -> str | None:
        answer.wait(20)
        return {"7": "ann"}.get(token)

    async def authenticate(request: Request, sock: Any) -> HTTPResponse | None:
        token = request.headers.get("x-token")
        if token is None:
            return None
        user = await in_thread(look_up, token)
        return None if user else HTTPResponse(403)

    listener = listen(authenticate)
    known, unknown, quick = raw_client(listener), raw_client(listener), raw_client(listener)
    # What comes behind the request is not lost meanwhile.
    known.send(head(*REQUEST, "X-Token: 7") + build_frame(TEXT, b"early", key=b"abcd"))
    known.send(build_frame(TEXT, b"next", key=b"abcd"))
    unknown.send(head(*REQUEST, "X-Token: 8"))
    quick.upgrade()
    assert echoes(quick)
    assert len(served) == 1
    answer.set()
    assert known.head()[0] == "HTTP/1.1 101 Switching Protocols"
    assert (known.frame().payload, known.frame().payload) == (b"early", b"next")
    assert unknown.head()[0] == "HTTP/1.1 403 Forbidden"


@pytest.mark.parametrize("wrapped", [True, False])
def test_it_may_return_what_can_be_awaited(
    listen: Callable[..., Listener], raw_client: Client, wrapped: bool
) -> None:
    async def later() -> HTTPResponse:
        return HTTPResponse(418)

    def hook(request: Request, sock: Any) -> Any:
        return later() if wrapped else in_thread(HTTPResponse, 418)

    assert status(raw_client(listen(hook))) == 418


def test_the_handshake_timeout_holds_for_it(
    loop: Reactor,
    clock: ManualClock,
    listen: Callable[..., Listener],
    raw_client: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[BaseException] = []

    async def authenticate(request: Request, sock: Any) -> None:
        while True:
            try:
                await sleep(3600)
            except BaseException as exc:
                ended.append(exc)
                raise

    client = raw_client(listen(authenticate, handshake_timeout=3))
    client.send(head(*REQUEST))
    for _ in range(3):
        loop.run_once(0.01)
    clock.advance(2.99)
    loop.run_once(0)
    client.pump()
    assert (client.data, client.ended, ended) == (b"", "", [])
    clock.advance(0.02)
    assert client.head()[0] == "HTTP/1.1 503 Service Unavailable"
    client.until_closed()
    assert "authenticate timed out" in caplog.text
    assert [type(exc) for exc in ended] == [GeneratorExit]
    run_until(loop, lambda: loop.stats().readers == 1)
    assert loop.stats().timers == 0


def test_a_call_that_hangs_is_given_up_at_the_handshake_timeout(
    loop: Reactor, clock: ManualClock, listen: Callable[..., Listener], raw_client: Client
) -> None:
    release = threading.Event()

    async def stubborn(request: Request, sock: Any) -> None:
        while True:
            try:
                await in_thread(release.wait, 20)
            except Exception:
                continue  # this does not save it

    client = raw_client(listen(stubborn, handshake_timeout=3))
    client.send(head(*REQUEST))
    for _ in range(3):
        loop.run_once(0.01)
    clock.advance(3.001)
    assert client.head()[0].startswith("HTTP/1.1 503 ")
    release.set()
    assert loop.loop.awaited == 0


@pytest.mark.parametrize("way", ["close", "reset", "end"])
def test_a_client_that_leaves_meanwhile_is_forgotten(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client, served: Served, way: str
) -> None:
    go_on = threading.Event()

    async def wait(request: Request, sock: Any) -> None:
        await in_thread(go_on.wait, 20)

    listener = listen(wait)
    client = raw_client(listener)
    client.send(head(*REQUEST))
    run_until(loop, lambda: loop.loop.awaited == 1)
    getattr(client, way)()
    go_on.set()
    run_until(loop, lambda: not loop.loop.awaited and not listener.connections)
    run_until(loop, lambda: loop.stats().readers == 1)
    assert listener._handshakes == {}
    assert all(protocol.names[-1] == "close" for protocol in served)


def test_closing_the_listener_ends_it(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client
) -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def wait(request: Request, sock: Any) -> None:
        begun.append(1)
        try:
            await sleep(5)
        finally:
            ended.append(1)

    listener = listen(wait)
    client = raw_client(listener)
    client.send(head(*REQUEST))
    run_until(loop, lambda: begun)
    listener.close()
    assert ended == [1]
    assert client.until_closed() == b""
    assert loop.stats().timers == 0


@pytest.mark.parametrize("raised", [LookupError, asyncio.CancelledError, None])
def test_closing_the_listener_drops_all_clients_whatever_their_clean_up_raises(
    loop: Reactor,
    listen: Callable[..., Listener],
    raw_client: Client,
    raised: type[BaseException] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun: list[int] = []

    async def untidy(request: Request, sock: Any) -> None:
        begun.append(1)
        try:
            await sleep(5)
        finally:
            if raised is None:
                await sleep(1)
            else:
                raise raised

    listener = listen(untidy)
    clients = [raw_client(listener) for _ in range(2)]
    for client in clients:
        client.send(head(*REQUEST))
    run_until(loop, lambda: len(begun) == 2)
    listener.close()
    for client in clients:
        client.until_closed()
    assert listener._handshakes == {}
    assert len([record for record in caplog.records if record.exc_info]) == 2
    assert loop.stats().timers == 0


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_in_a_clean_up_passes_when_all_clients_are_dropped(
    loop: Reactor, listen: Callable[..., Listener], raw_client: Client, end: type[BaseException]
) -> None:
    begun: list[int] = []

    async def untidy(request: Request, sock: Any) -> None:
        begun.append(1)
        try:
            await sleep(5)
        finally:
            raise end

    listener = listen(untidy)
    clients = [raw_client(listener) for _ in range(2)]
    for client in clients:
        client.send(head(*REQUEST))
    run_until(loop, lambda: len(begun) == 2)
    with pytest.raises(end):
        listener.close()
    for client in clients:
        assert client.until_closed() == b""
    assert listener._handshakes == {}


@pytest.mark.parametrize("hook", [cancelled, exits])
def test_what_is_no_exception_ends_the_handshake_and_not_the_loop(
    loop: Reactor,
    listen: Callable[..., Listener],
    raw_client: Client,
    hook: Hook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = listen(hook)
    client = raw_client(listener)
    client.send(head(*REQUEST))
    assert client.until_closed() == b""
    assert listener._handshakes == {}
    assert "exception in the opening handshake" in caplog.text


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("answer", [None, HTTPResponse(503)])
def test_it_may_close_the_listener(
    loop: Reactor,
    served: Served,
    authority: Authority,
    secure: bool,
    answer: HTTPResponse | None,
) -> None:
    def close(request: Request, sock: Any) -> HTTPResponse | None:
        listener.close()
        return answer

    context = authority.server_context if secure else None
    listener = loop.listen("127.0.0.1", 0, served, process_request=close, ssl=context)
    url = f"{'wss' if secure else 'ws'}://127.0.0.1:{listener.port}"
    peer = loop.connect(url, Recorder, sslopt=authority.sslopt)
    run_until(loop, lambda: peer.closes)
    gc.collect()  # a socket that was not closed would warn, which is an error
    assert served == []
    assert loop.connections == set()


# --- Accept ---------------------------------------------------------------------------------------


class Room(Echo):
    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name

    def on_open(self) -> None:
        super().on_open()
        self.send(f"welcome to {self.name}")


def test_the_protocol_object_can_depend_on_the_path(
    listen: Callable[..., Listener], raw_client: Client, served: Served
) -> None:
    lobby = Room("the lobby")

    def route(request: Request, sock: Any) -> Accept | HTTPResponse:
        _, kind, *rest = request.target.split("/")
        if kind == "rooms":
            return Accept(partial(Room, rest[0]))
        if kind == "lobby":
            return Accept(lobby)
        return Accept() if kind == "echo" else HTTPResponse(404, body="no such path\n")

    listener = listen(route)

    def at(path: str) -> RawClient:
        client = raw_client(listener)
        client.send(head(f"GET {path} HTTP/1.1", *REQUEST[1:]))
        return client

    room, hall, plain, nothing = at("/rooms/tea"), at("/lobby"), at("/echo"), at("/x")
    assert room.head()[0].startswith("HTTP/1.1 101")
    assert room.frame().payload == b"welcome to tea"
    assert hall.head()[0].startswith("HTTP/1.1 101")
    assert hall.frame().payload == b"welcome to the lobby"
    assert plain.head()[0].startswith("HTTP/1.1 101")
    assert echoes(plain)
    assert nothing.head()[0] == "HTTP/1.1 404 Not Found"
    assert nothing.until_closed() == b"no such path\n"
    assert len(served) == 1
    second = at("/lobby")  # an object serves one client
    second.head()
    assert second.frame().payload[:2] == close_payload(1011)


def test_headers_and_subprotocol_go_with_it(
    listen: Callable[..., Listener], raw_client: Client
) -> None:
    async def hook(request: Request, sock: Any) -> Accept:
        return Accept(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])

    client = raw_client(listen(hook, subprotocols=["v1"], response_headers={"Server": "ours"}))
    answer = client.upgrade("Sec-WebSocket-Protocol: v1")
    assert answer[-4:] == [
        "Sec-WebSocket-Protocol: v1",
        "Server: ours",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
    ]
    assert echoes(client)


def test_a_client_can_have_limits_of_its_own(
    listen: Callable[..., Listener], raw_client: Client, served: Served
) -> None:
    def hook(request: Request, sock: Any) -> Accept | None:
        return Accept(max_message_size=4) if "x-guest" in request.headers else None

    listener = listen(hook, max_message_size=100)
    member, guest, another = raw_client(listener), raw_client(listener), raw_client(listener)
    member.upgrade()
    guest.upgrade("X-Guest: 1")
    another.upgrade("X-Guest: 2")
    # Two options for three: a thousand guests would share one object, too.
    assert len({id(connection.options) for connection in listener.connections}) == 2
    for client in (member, guest):
        client.send_frame(TEXT, b"12345")
    assert member.frame().payload == b"12345"
    frame = guest.frame()
    assert (frame.opcode, frame.payload[:2]) == (CLOSE, close_payload(1009))


def test_of_what_can_differ_the_names_are_known() -> None:
    assert Accept(write_limit=5, ping_interval=None).options == {
        "write_limit": 5,
        "ping_interval": None,
    }
    for name in ("backlog", "ssl", "max_message_sise"):
        options: dict[str, Any] = {name: 1}
        with pytest.raises(TypeError, match=name):
            Accept(WebSocketProtocol, **options)
