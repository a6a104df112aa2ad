"""Every function with the mark ``calls_user_code`` needs it.

For each of them there is a scene in which user code runs that it has called, with no other marked
frame in between, and presses Ctrl-C. With the mark, KeyboardInterrupt is raised there and then.
Without it, it would wait for the end of the turn: then a handler that hangs could not be
interrupted.
"""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import copy_context
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import CodeType, SimpleNamespace
from typing import Any, cast

import pytest

import reactor
from reactor import Reactor, WebSocketProtocol
from reactor.asyncio.inbox import PythonInbox
from reactor.base import marks
from reactor.feeds import Feed, Heartbeat, Subscribed, Update
from reactor.testing import Head, ScriptedPeer, Talk, build_frame, faults
from reactor.testing.frames import TEXT
from reactor.timers import Backoff

from ..compiled.twins import python_way
from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.serving import Echo
from ..support.sockets import Sockets

SCENES: dict[str, Callable[[Stage], object]] = {}

#: Scenes in which the compiled twin is what calls: there is no Python frame of it.
COMPILED = set()


class Pressed(Exception):
    """User code has pressed Ctrl-C, and that was enough."""


class Stage:
    """What a scene has: a loop, sockets, a way to press Ctrl-C."""

    def __init__(self, loop: Reactor, sockets: Sockets, authority: Authority) -> None:
        self.loop = loop
        self.sockets = sockets
        self.authority = authority
        self.at_once: list[bool] = []

    def press(self, *_: object, **__: object) -> bool:
        """Press Ctrl-C; take note of whether KeyboardInterrupt was raised here."""
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            self.at_once.append(True)
        else:
            self.at_once.append(False)
        return False

    def until_pressed(self) -> None:
        run_until(self.loop, lambda: self.at_once)

    def serve(self, kind: Any = Echo, **options: Any) -> str:
        listener = self.loop.listen("127.0.0.1", 0, kind, **options)
        return f"ws://127.0.0.1:{listener.port}/"

    def connect(self, url: str, kind: Any = WebSocketProtocol, **options: Any) -> Any:
        return self.loop.connect(url, kind, proxy=None, **options)

    def open(self, url: str, kind: Any = WebSocketProtocol, **options: Any) -> Any:
        protocol = self.connect(url, kind, **options)
        run_until(self.loop, lambda: protocol.state == reactor.State.OPEN)
        return protocol


def scene(name: str, compiled: bool = False) -> Callable[[Any], Any]:
    """Register the scene of a marked function: ``module:function``."""

    def register(function: Callable[[Stage], object]) -> Callable[[Stage], object]:
        SCENES[name] = function
        if compiled:
            COMPILED.add(name)
        return function

    return register


def name_of(code: CodeType) -> str:
    path = Path(code.co_filename).relative_to(Path(reactor.__file__).parent)
    return f"{'.'.join(path.with_suffix('').parts)}:{code.co_name}"


def all_marked() -> dict[str, CodeType]:
    """Everything that has the mark, when every module was imported."""
    for module in walk_packages(reactor.__path__, "reactor."):
        if "__main__" not in module.name and "__pyinstaller" not in module.name:
            with suppress(ImportError):  # what needs an extra that is not installed
                import_module(module.name)
    return {name_of(code): code for code in marks._marked}


# --- the loop -----------------------------------------------------------------------------------


@scene("loop.turn:run_calls")
def a_call(stage: Stage) -> None:
    stage.loop.call_soon(stage.press)
    stage.until_pressed()


@scene("loop.turn:run_handlers")
def a_reader(stage: Stage) -> None:
    stage.loop.add_reader(stage.sockets.readable().fileno(), stage.press)
    stage.until_pressed()


@scene("loop.lifetime:_run", compiled=True)
def a_reader_in_one_turn(stage: Stage) -> None:
    stage.loop.add_reader(stage.sockets.readable().fileno(), stage.press)
    stage.loop.run_once(0)


@scene("loop.lifetime:_run_turns", compiled=True)
def a_reader_while_it_runs(stage: Stage) -> None:
    def press() -> None:
        stage.loop.stop()
        stage.press()

    stage.loop.add_reader(stage.sockets.readable().fileno(), press)
    stage.loop.run_forever()


@scene("loop.event_loop:_want")
def a_host_of_another_loop(stage: Stage) -> None:
    with Reactor() as other:
        other.loop.on_wanted = stage.press
        stage.loop.call_soon(lambda: other.call_soon(int))
        stage.until_pressed()
        other.loop.on_wanted = None


@scene("timers.wheel:fire")
def a_timer(stage: Stage) -> None:
    stage.loop.call_later(0, stage.press)
    stage.until_pressed()


@scene("loop.repeating:fire")
def a_repeating_timer(stage: Stage) -> None:
    timer = stage.loop.call_every(0.001, stage.press)
    stage.until_pressed()
    timer.cancel()


@scene("loop.slow:call")
def a_callback_that_is_timed(stage: Stage) -> None:
    with Reactor(slow_callback=1.0) as loop:
        loop.call_soon(stage.press)
        run_until(loop, lambda: stage.at_once)


@scene("reactor:finish")
def the_answer_of_a_helper_thread(stage: Stage) -> None:
    stage.loop.run_in_thread(int, then=stage.press)
    stage.until_pressed()


@scene("loop.within:_awaiting")
def a_coroutine_of_a_server(stage: Stage) -> None:
    async def process_request(*_: object) -> None:
        stage.press()

    stage.connect(stage.serve(process_request=process_request))
    stage.until_pressed()


# --- the verbs of a dispatcher --------------------------------------------------------------------


@scene("hosting.verbs:_on_readable")
def a_verb_read(stage: Stage) -> None:
    loop: Any = stage.loop
    loop.read(stage.sockets.readable(), stage.press)
    stage.until_pressed()


@scene("hosting.verbs:_read_pending")
def a_reader_in_the_place_of_a_verb_read(stage: Stage) -> None:
    def script(talk: Talk) -> None:
        talk.send(b"xy")  # one record of TLS
        talk.until_closed()

    loop: Any = stage.loop
    with ScriptedPeer(script, context=stage.authority.server_context) as peer:
        plain = socket.create_connection(("127.0.0.1", peer.port))
        context = stage.authority.client_context()
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
            assert sock.recv(1) == b"x"  # OpenSSL holds the other one
            sock.setblocking(False)
            loop.read(sock, print)
            loop.add_reader(sock.fileno(), stage.press)
            try:
                stage.until_pressed()
            finally:
                loop.remove_reader(sock.fileno())


@scene("hosting.verbs:_on_writable")
def a_verb_write(stage: Stage) -> None:
    loop: Any = stage.loop
    loop.write(stage.sockets.pair()[0], stage.press)
    stage.until_pressed()


@scene("hosting.verbs:on_time")
def a_verb_timeout(stage: Stage) -> None:
    loop: Any = stage.loop
    loop.timeout(0, stage.press)
    stage.until_pressed()


@scene("hosting.verbs:_send_at_once")
def a_verb_send(stage: Stage) -> None:
    def send(_sock: object, data: bytes) -> int:
        stage.press()
        return len(data)

    loop: Any = stage.loop
    sock = stage.sockets.pair()[0]
    loop.call_soon(loop.buffwrite, sock, b"x", send, print)
    stage.until_pressed()


@scene("hosting.verbs:go_on")
def a_verb_that_is_told_of_a_loss(stage: Stage) -> None:
    def send(_sock: object, _data: bytes) -> int:
        raise OSError("lost")

    loop: Any = stage.loop
    sock = stage.sockets.pair()[0]
    loop.call_soon(loop.buffwrite, sock, b"x", send, stage.press)
    stage.until_pressed()


# --- connections ----------------------------------------------------------------------------------


def pressing(stage: Stage, *handlers: str) -> type[WebSocketProtocol]:
    """A protocol class whose handlers press Ctrl-C."""
    return type("Pressing", (WebSocketProtocol,), dict.fromkeys(handlers, stage.press))


@scene("opening:connect")
def a_factory(stage: Stage) -> None:
    def factory() -> WebSocketProtocol:
        stage.press()
        return WebSocketProtocol()

    url = stage.serve()
    stage.loop.call_soon(lambda: stage.connect(url, factory))
    stage.until_pressed()


@scene("client.lifecycle:_connect")
def a_function_for_the_url(stage: Stage) -> None:
    def url() -> str:
        stage.press()
        return "ws://127.0.0.1:1/"

    stage.loop.connect(url, WebSocketProtocol)
    stage.until_pressed()


@scene("client.attempt:_dial")
def a_function_for_the_header(stage: Stage) -> None:
    def header() -> dict[str, str]:
        stage.press()
        return {}

    stage.connect(stage.serve(), header=header)
    stage.until_pressed()


@scene("client.lifecycle:_ask_about")
def a_handler_that_is_asked_about_a_wait(stage: Stage) -> None:
    kind = pressing(stage, "on_retry")
    protocol = stage.connect("ws://127.0.0.1:1/", kind, reconnect=Backoff.fixed(1000))
    stage.until_pressed()
    protocol.close()


@scene("connection.dispatcher:deliver")
def a_message(stage: Stage) -> None:
    client = stage.open(stage.serve(pressing(stage, "on_message")))
    client.send("hello")
    stage.until_pressed()


@scene("connection.dispatcher:call_handler")
def on_open(stage: Stage) -> None:
    stage.connect(stage.serve(pressing(stage, "on_open")))
    stage.until_pressed()


@scene("connection.dispatcher:call_on_error")
def on_error(stage: Stage) -> None:
    stage.connect("ws://127.0.0.1:1/", pressing(stage, "on_error"))
    stage.until_pressed()


@scene("connection.outbox:_send_next")
def an_iterator_of_fragments(stage: Stage) -> None:
    def fragments() -> Iterator[str]:
        stage.press()
        yield "one"

    client = stage.open(stage.serve())
    stage.loop.call_soon(client.send_fragments, fragments())
    stage.until_pressed()
    run_until(stage.loop, lambda: not client.buffered_amount)


@scene("connection.connection:attach", compiled=True)
def a_message_that_came_with_the_handshake(stage: Stage) -> None:
    with ScriptedPeer(faults.say("hello")) as peer:
        stage.connect(peer.url, pressing(stage, "on_message"))
        stage.until_pressed()


@scene("transports.stream:read_now", compiled=True)
def a_message_that_is_read_before_the_peer_is_declared_dead(stage: Stage) -> None:
    client, peer = over_a_pair(stage, pressing(stage, "on_message"))
    peer.sendall(build_frame(TEXT, b"hello"))
    stage.loop.call_soon(client._reactor_connection.reader.read_now)
    # One turn, in which nothing but the call is due: the poll would read as well.
    stage.loop.remove_reader(client.sock.fileno())
    stage.until_pressed()


@scene("transports.tls_stream:_read_pending", compiled=True)
def a_message_that_openssl_holds_when_reading_goes_on(stage: Stage) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade()
        talk.send(b"x" + build_frame(TEXT, b"hello"))  # one record of TLS
        talk.until_closed()

    class Paused(pressing(stage, "on_message")):  # type: ignore[misc]
        def on_open(self) -> None:
            self.pause_reading()

    with ScriptedPeer(script, context=stage.authority.server_context) as peer:
        client = stage.open(peer.url, Paused, sslopt=stage.authority.sslopt)

        def read_one() -> bool:
            with suppress(ssl.SSLWantReadError):
                return bool(client.sock.recv(1))
            return False

        run_until(stage.loop, read_one)
        stage.loop.call_soon(client.resume_reading)
        stage.until_pressed()


@scene("transports.stream:_read", compiled=True)
def a_message_that_was_received_before_its_time(stage: Stage) -> None:
    client, _peer = over_a_pair(stage, pressing(stage, "on_message"))
    frame = build_frame(TEXT, b"hello")
    stage.loop.call_soon(lambda: client._reactor_connection.stream.unread(frame))
    stage.until_pressed()


@scene("transports.stream:_drain", compiled=True)
def a_message_of_a_peer_that_takes_nothing_any_more(stage: Stage) -> None:
    client, peer = over_a_pair(stage, pressing(stage, "on_message"))

    def lose() -> None:
        peer.sendall(build_frame(TEXT, b"hello"))
        peer.shutdown(socket.SHUT_RD)
        client.send("nobody reads this")

    stage.loop.call_soon(lose)
    stage.until_pressed()


def over_a_pair(stage: Stage, kind: Any) -> tuple[Any, socket.socket]:
    """Open a connection over a pair of sockets; return the client and the server's socket."""
    ours, theirs = stage.sockets.pair()
    client = stage.connect("ws://in-memory.test/", kind, sock=ours)
    theirs.setblocking(False)
    request = bytearray()

    def answered() -> bool:
        with suppress(BlockingIOError):
            request.extend(theirs.recv(65536))
        return b"\r\n\r\n" in request

    run_until(stage.loop, answered)
    theirs.sendall(Head(bytes(request)).response())
    run_until(stage.loop, lambda: client.state == reactor.State.OPEN)
    return client, theirs


@scene("registry:shut_down", compiled=True)
def a_reader_during_shutdown(stage: Stage) -> None:
    stage.open(stage.serve())
    stage.loop.add_reader(stage.sockets.readable().fileno(), stage.press)
    stage.loop.shutdown(0.1)


@scene("registry:_abort_all", compiled=True)
def a_reader_during_close(stage: Stage) -> None:
    fd = stage.sockets.readable().fileno()

    def press() -> None:
        stage.loop.remove_reader(fd)
        stage.press()

    stage.loop.add_reader(fd, press)
    stage.loop.close()


# --- servers --------------------------------------------------------------------------------------


@scene("server.listener:_upgraded")
def the_factory_of_a_server(stage: Stage) -> None:
    def factory() -> WebSocketProtocol:
        stage.press()
        return WebSocketProtocol()

    stage.connect(stage.serve(factory))
    stage.until_pressed()


@scene("server.pipeline:_ask")
def process_request(stage: Stage) -> None:
    def process_request(*_: object) -> None:
        stage.press()

    stage.connect(stage.serve(process_request=process_request))
    stage.until_pressed()


@scene("server.admission:choose_subprotocol")
def a_function_for_the_subprotocol(stage: Stage) -> None:
    def choose(*_: object) -> None:
        stage.press()

    stage.connect(stage.serve(subprotocols=choose), subprotocols=["chat"])
    stage.until_pressed()


@scene("server.admission:further_headers")
def a_function_for_the_headers_of_the_answer(stage: Stage) -> None:
    def headers(_: object) -> dict[str, str]:
        stage.press()
        return {}

    stage.connect(stage.serve(response_headers=headers))
    stage.until_pressed()


# --- websocket-client's app -----------------------------------------------------------------------


@scene("classic.app.callbacks:call")
def a_callback_of_an_app(stage: Stage) -> None:
    app = reactor.WebSocketApp(stage.serve(), on_open=stage.press)
    app.run_forever(dispatcher=stage.loop, http_no_proxy=["*"])
    stage.until_pressed()


@scene("classic.app.run:_url")
def the_url_of_an_app(stage: Stage) -> None:
    address = stage.serve()

    def url() -> str:
        stage.press()
        return address

    app = reactor.WebSocketApp("ws://127.0.0.1:1/")
    app.run_forever(dispatcher=stage.loop, http_no_proxy=["*"])
    app.url = url  # type: ignore[assignment]
    stage.until_pressed()


@scene("classic.options:_current_header")
def the_header_of_an_app(stage: Stage) -> None:
    def header() -> list[str]:
        stage.press()
        return []

    app = reactor.WebSocketApp(stage.serve(), header=header)
    app.run_forever(dispatcher=stage.loop, http_no_proxy=["*"])
    stage.until_pressed()


@scene("classic.options:_current_cookie")
def the_cookie_of_an_app(stage: Stage) -> None:
    def cookie() -> str:
        stage.press()
        return "a=b"

    app = reactor.WebSocketApp(stage.serve())
    app.cookie = cookie  # type: ignore[assignment]
    app.run_forever(dispatcher=stage.loop, http_no_proxy=["*"])
    stage.until_pressed()


# --- feeds ----------------------------------------------------------------------------------------


class Market(WebSocketProtocol):
    """A service of one topic, with two updates."""

    def on_message(self, message: str | bytes) -> None:
        for answer in {"ask": ["ack", "1", "2"], "ping": ["pong"]}.get(str(message), []):
            self.send(answer)


class Collecting(Feed):
    """A feed of it. What a scene puts in the place of a method presses Ctrl-C."""

    def subscribe_message(self, topics: Any, link: Any) -> Any:
        return "ask"

    def parse(self, message: str | bytes, link: Any) -> Any:
        if message == "ack":
            return Subscribed("A")
        return Update("A", None, int(message)) if message != "pong" else None


def collect(stage: Stage, handler: Any = None, **changes: Any) -> None:
    feed = type("Changed", (Collecting,), changes)(stage.loop, stage.serve(Market), proxy=None)
    feed.subscribe("A", handler)
    try:
        stage.until_pressed()
    finally:
        feed.close()


@scene("feeds.faults:guard")
def a_handler_of_a_feed(stage: Stage) -> None:
    collect(stage, on_subscribed=stage.press)


@scene("feeds.driver:build")
def a_builder_of_a_feed(stage: Stage) -> None:
    def subscribe_message(feed: Any, topics: Any, link: Any) -> str:
        stage.press()
        return "ask"

    collect(stage, subscribe_message=subscribe_message)


@scene("feeds.driver:take")
def a_generator_of_events(stage: Stage) -> None:
    def parse(feed: Any, message: Any, link: Any) -> Any:
        yield Subscribed("A")
        stage.press()

    collect(stage, parse=parse)


@scene("feeds.driver:_without_handler")
def updates_without_a_handler(stage: Stage) -> None:
    collect(stage, on_update=stage.press)


@scene("feeds.links.wire:on_message")
def parse(stage: Stage) -> None:
    def parse(feed: Any, message: Any, link: Any) -> Any:
        stage.press()

    collect(stage, parse=parse)


@scene("feeds.links.wire:take")
def an_update_that_takes_the_short_way(stage: Stage) -> None:
    def handler(update: Update) -> None:
        if update.sequence == 2:
            stage.press()

    collect(stage, handler)


@scene("feeds.links.requests:take")
def a_request_in_a_feed(stage: Stage) -> None:
    async def login(feed: Any, link: Any) -> None:
        await link.request("ping", match=stage.press)

    collect(stage, login=login)


@scene("feeds.links.link:_log_in")
def login_of_a_feed(stage: Stage) -> None:
    async def login(feed: Any, link: Any) -> None:
        stage.press()

    collect(stage, login=login)


@scene("feeds.links.heartbeat:message")
def the_message_of_a_heartbeat(stage: Stage) -> None:
    def message() -> str:
        stage.press()
        return "ping"

    collect(stage, heartbeat=Heartbeat(message, every=0.01))


@scene("feeds.links.heartbeat:answers")
def what_a_heartbeat_expects(stage: Stage) -> None:
    collect(stage, heartbeat=Heartbeat("ping", every=0.01, expect=stage.press))


@scene("feeds.links.link:_take_quietly")
def parse_of_the_answer_to_a_heartbeat(stage: Stage) -> None:
    def parse(feed: Any, message: Any, link: Any) -> Any:
        if message == "pong":
            stage.press()
        else:
            return Collecting.parse(feed, message, link)
        return None

    beat = Heartbeat("ping", every=0.01, expect=lambda message: message == "pong")
    collect(stage, parse=parse, heartbeat=beat)


# --- the tests ------------------------------------------------------------------------------------


@pytest.fixture
def stage(authority: Authority) -> Iterator[Stage]:
    with Sockets() as sockets, Reactor() as loop:
        yield Stage(loop, sockets, authority)
        for connection in list(loop.connections):
            connection.abort()


@scene("asyncio.inbox:flush")
def a_task_that_waits_for_a_message(stage: Stage) -> None:
    host = SimpleNamespace(
        loop=stage.loop.loop, asyncio_loop=None, runner=SimpleNamespace(running=True)
    )
    inbox = PythonInbox(cast("Any", None), cast("Any", host), None, 0)
    inbox.add_done_callback(stage.press, context=copy_context())  # as a task does
    stage.loop.call_soon(inbox.put, "message")
    stage.until_pressed()


@contextmanager
def without(code: CodeType | None) -> Iterator[None]:
    """Take the mark off a function, for the block."""
    if code is None:
        yield
        return
    marks._marked.discard(code)
    try:
        yield
    finally:
        marks._marked.add(code)


def play(name: str, stage: Stage, code: CodeType | None) -> list[bool]:
    """Play a scene, with the mark on or off; return whether Ctrl-C was raised in user code."""
    with suppress(KeyboardInterrupt), without(code):
        if name in COMPILED:
            SCENES[name](stage)
        else:
            with python_way() if reactor.compiled else nullcontext():
                SCENES[name](stage)
    return stage.at_once


#: Marked functions whose scenes are elsewhere, and where.
ELSEWHERE = {
    "classic.app.run:on_close": "classic/app/test_app_threads.py",
}


#: They are made, and marked, with every call of another function.
MADE_ANEW = {"hosting.verbs:on_time", "loop.slow:call", "reactor:finish"}


def test_every_marked_function_has_a_scene() -> None:
    marked = set(all_marked())
    assert marked - set(ELSEWHERE) - set(SCENES) == set()
    assert set(ELSEWHERE) <= marked - set(SCENES)
    assert set(SCENES) - marked <= MADE_ANEW


@pytest.mark.parametrize("name", SCENES)
def test_with_the_mark_user_code_is_interrupted_at_once(stage: Stage, name: str) -> None:
    if name in COMPILED and not reactor.compiled:
        pytest.skip("the compiled twin is what leaves no frame here")
    assert True in play(name, stage, None)


@pytest.mark.parametrize("name", sorted(set(SCENES) - MADE_ANEW))
def test_without_the_mark_it_would_not_be(stage: Stage, name: str) -> None:
    if name in COMPILED and not reactor.compiled:
        pytest.skip("the compiled twin is what leaves no frame here")
    assert False in play(name, stage, all_marked()[name])
