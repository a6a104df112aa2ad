"""What is given wrongly is an error at once, which says what is expected or may have been meant."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import reactor
from reactor import Accept, Backoff, Reactor, WebSocketApp, WebSocketProtocol
from reactor.base.mistakes import check_delay, not_seconds, warn_if_misspelt
from reactor.hosting.rel import host
from reactor.timers import ManualClock

from ..support.recorder import Recorder
from ..support.scene import in_thread
from ..support.threads import Background

pytestmark = pytest.mark.usefixtures("no_leaks")

URL = "ws://127.0.0.1:1/"


async def asynchronous(*_: Any) -> Any:
    """What nobody would await."""


class Awaiting:
    """An object that is called, and has to be awaited."""

    async def __call__(self, *_: Any) -> None:
        """See above."""


def wrong(call: Callable[..., object], *args: Any, **options: Any) -> str:
    """Return the text of the TypeError that a call raises."""
    with pytest.raises(TypeError) as caught:
        call(*args, **options)
    return str(caught.value)


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("headers", "header"),
        ("extra_headers", "header"),
        ("ping_intervall", "ping_interval"),
        ("timeout", "connect_timeout"),
        ("subprotocol", "subprotocols"),
        ("ssl", "sslopt"),
        ("max_size", "max_message_size"),
    ],
)
def test_a_name_that_connect_does_not_know(loop: Reactor, name: str, meant: str) -> None:
    text = wrong(loop.connect, URL, Recorder, **{name: 1})
    assert text == f"Reactor.connect() has no option {name!r} (did you mean {meant!r}?)"
    assert not loop.connections


@pytest.mark.parametrize(
    ("name", "meant"),
    [("headers", "response_headers"), ("ssl_context", "ssl"), ("origin", "origins")],
)
def test_a_name_that_listen_does_not_know(loop: Reactor, name: str, meant: str) -> None:
    text = wrong(loop.listen, "127.0.0.1", 0, Recorder, **{name: 1})
    assert text == f"Reactor.listen() has no option {name!r} (did you mean {meant!r}?)"
    assert not loop.listeners


def test_a_name_like_no_other(loop: Reactor) -> None:
    assert wrong(loop.connect, URL, Recorder, xyz=1) == "Reactor.connect() has no option 'xyz'"


def test_a_name_that_accept_does_not_know() -> None:
    text = wrong(Accept, max_mesage_size=1)
    expected = "a client has no option 'max_mesage_size' of its own"
    assert text == f"{expected} (did you mean 'max_message_size'?)"


def test_a_name_that_create_connection_does_not_know_is_ignored_with_a_hint_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("DEBUG", "websocket"), pytest.raises(ConnectionRefusedError):
        reactor.create_connection(URL, headers={})
    assert "no option 'headers' (did you mean 'header'?): ignored" in caplog.text


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["ping_interval", "close_timeout", "max_message_size", "connect_timeout", "reconnect"],
)
def test_text_for_a_number(loop: Reactor, name: str) -> None:
    text = wrong(loop.connect, URL, Recorder, **{name: "3"})
    assert text.startswith(f"{name} must be ")
    assert text.endswith("not the str '3' (did you mean 3?)")
    assert wrong(loop.connect, URL, Recorder, **{name: "x"}).endswith("not the str 'x'")


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_for_a_number(loop: Reactor, value: bool) -> None:
    expected = "reconnect must be None, a Backoff (as Backoff()), or 0 or more seconds"
    assert wrong(loop.connect, URL, Recorder, reconnect=value) == f"{expected}, not {value}"
    assert "not True" in wrong(loop.listen, "127.0.0.1", 0, Recorder, max_connections=True)


@pytest.mark.parametrize("name", ["first", "factor", "cap", "max_attempts", "reset_after"])
def test_text_for_a_number_of_a_backoff(name: str) -> None:
    text = wrong(Backoff, **{name: "3"})
    assert text == f"{name} must be a number, not the str '3' (did you mean 3?)"


@pytest.mark.parametrize("name", ["ping_interval", "ping_timeout"])
def test_text_for_a_number_of_an_app(name: str) -> None:
    text = wrong(WebSocketApp(URL).run_forever, **{name: "3"})
    assert text.startswith(f"{name} must be ")
    assert text.endswith("not the str '3' (did you mean 3?)")


def test_an_app_that_is_told_to_reconnect_waits_a_second_as_with_websocket_client(
    loop: Reactor,
) -> None:
    app = WebSocketApp(URL)
    app.run_forever(dispatcher=loop, reconnect=True)
    (connection,) = loop.connections
    assert connection.options.backoff == Backoff.fixed(1, retry_after_cap=0)  # type: ignore[attr-defined]


# --- functions -----------------------------------------------------------------------------------


def test_an_object_where_something_is_to_be_called_for_every_connection(loop: Reactor) -> None:
    text = wrong(loop.listen, "127.0.0.1", 0, Recorder())
    assert text.endswith("(did you mean the class, Recorder?)")
    for nothing in (None, "Recorder", 3):
        assert f"not {nothing!r}" in wrong(loop.listen, "127.0.0.1", 0, nothing)
        assert f"not {nothing!r}" in wrong(loop.connect, URL, nothing)
    assert not loop.listeners


HANDLERS = [name for name in vars(WebSocketProtocol) if name.startswith("on_")]


@pytest.mark.parametrize("name", HANDLERS)
def test_a_handler_that_would_have_to_be_awaited(loop: Reactor, name: str) -> None:
    kind = type("Protocol", (WebSocketProtocol,), {name: asynchronous})
    expected = f"Protocol.{name} must be a plain function, not an async def"
    for _ in range(2):
        assert wrong(loop.connect, URL, kind).startswith(expected)
    protocol = WebSocketProtocol()
    setattr(protocol, name, asynchronous)
    assert f"{name} must be a plain function" in wrong(loop.connect, URL, protocol)
    assert not loop.connections


@pytest.mark.parametrize("name", ["header", "cookie", "mask_key"])
@pytest.mark.parametrize("function", [asynchronous, partial(asynchronous, 1), Awaiting()])
def test_a_function_of_connect_that_would_have_to_be_awaited(
    loop: Reactor, name: str, function: Any
) -> None:
    text = wrong(loop.connect, URL, Recorder, **{name: function})
    assert text.startswith(f"{name} must be a plain function, not an async def")


def test_a_url_or_a_factory_that_would_have_to_be_awaited(loop: Reactor) -> None:
    assert wrong(loop.connect, asynchronous, Recorder).startswith("url must be a plain function")
    for text in (
        wrong(loop.connect, URL, asynchronous),
        wrong(loop.listen, "127.0.0.1", 0, asynchronous),
        wrong(Accept, asynchronous),
    ):
        assert text.startswith("protocol must be a plain function")


@pytest.mark.parametrize("name", ["subprotocols", "response_headers"])
def test_a_function_of_listen_that_would_have_to_be_awaited(loop: Reactor, name: str) -> None:
    text = wrong(loop.listen, "127.0.0.1", 0, Recorder, **{name: asynchronous})
    assert text.startswith(f"{name} must be a plain function")


def test_process_request_may_be_awaited(loop: Reactor) -> None:
    loop.listen("127.0.0.1", 0, Recorder, process_request=asynchronous)


@pytest.mark.parametrize("name", ["header", "cookie"])
def test_a_function_of_an_app_that_would_have_to_be_awaited(name: str) -> None:
    app = WebSocketApp(URL, **{name: asynchronous})
    assert wrong(app.run_forever).startswith(f"{name} must be a plain function")


@pytest.mark.parametrize("name", ["header", "cookie"])
def test_a_function_of_create_connection_that_would_have_to_be_awaited(name: str) -> None:
    text = wrong(reactor.create_connection, URL, **{name: asynchronous})
    assert text.startswith(f"{name} must be a plain function")


# --- threads -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda loop: loop.connect(URL, Recorder),
        lambda loop: loop.listen("127.0.0.1", 0, Recorder),
        lambda loop: WebSocketApp(URL).run_forever(dispatcher=loop),
    ],
    ids=["connect", "listen", "app"],
)
def test_another_thread_than_the_one_that_runs_the_loop_is_refused(
    loop: Reactor, call: Callable[[Reactor], object]
) -> None:
    up = threading.Event()
    loop.call_soon(up.set)
    running = Background(loop.run_forever)
    assert up.wait(10)
    try:
        with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
            call(loop)
        assert not loop.connections
        assert not loop.listeners
    finally:
        loop.stop()
        running.result()


def test_before_a_loop_runs_any_thread_may_connect(loop: Reactor) -> None:
    """Whoever runs it next finds what was asked for; even one that has just begun to wait."""
    recorders: list[Recorder] = []
    in_thread(lambda: recorders.append(loop.connect(URL, Recorder)))
    loop.run_once(None)
    loop.run_once(None)
    while not recorders[0].names:
        loop.run_once(None)
    assert recorders[0].names == ["error", "close"]


def test_a_connection_that_is_asked_for_while_another_thread_begins_to_wait_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop was not running yet when connect() looked."""
    with Reactor(clock=ManualClock()) as loop:
        loop.loop.thread_id = -1  # another one has it by now
        loop.connect(URL, Recorder)
        (reader,) = loop.loop.poller.readers
        assert [fd for fd, _ in loop.loop.poller.poll(0)] == [reader]


def test_a_hosted_loop_belongs_to_the_thread_of_its_dispatcher() -> None:
    """It runs between the turns of the loop as well."""

    class Dispatcher:
        read = timeout = signal = abort = lambda *_: None

    loop = host(Dispatcher())
    loop.run_once(0)
    with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
        in_thread(lambda: loop.connect(URL, Recorder))
    loop.close()


def test_a_server_s_class_is_looked_at_when_it_listens(loop: Reactor) -> None:
    class Protocol(WebSocketProtocol):
        async def on_message(self, message: str | bytes) -> None:  # type: ignore[override]
            pass

    with pytest.raises(TypeError, match=r"^Protocol.on_message must be a plain function"):
        loop.listen("127.0.0.1", 0, Protocol)


def test_a_port_is_a_number(loop: Reactor) -> None:
    with pytest.raises(TypeError, match=r"^port must be .*did you mean 9001\?"):
        loop.listen("127.0.0.1", "9001", WebSocketProtocol)  # type: ignore[arg-type]


# --- numbers of seconds --------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 0.5, 10**9])
def test_a_delay_may_be_any_finite_number_from_0_on(delay: float) -> None:
    check_delay("delay", delay)


@pytest.mark.parametrize("delay", [-0.1, float("inf"), float("nan")])
def test_a_delay_that_is_negative_or_not_finite(delay: float) -> None:
    with pytest.raises(ValueError, match=r"^delay must be 0 or more seconds and finite"):
        check_delay("delay", delay)


@pytest.mark.parametrize("delay", [None, [], object()])
def test_a_delay_that_is_no_number(delay: object) -> None:
    with pytest.raises(TypeError, match=r"^delay must be 0 or more seconds, not"):
        check_delay("delay", delay)


def test_a_delay_that_is_a_number_in_quotes() -> None:
    assert wrong(check_delay, "delay", "5").endswith("(did you mean 5?)")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("5", "not the str '5' (did you mean 5?)"),
        ("soon", "not the str 'soon'"),
        (None, "not None"),
        ([1], "not [1]"),
    ],
)
def test_the_error_about_a_time_with_which_one_cannot_calculate(given: object, says: str) -> None:
    error = not_seconds("delay", given)
    assert str(error) == f"delay must be a number of seconds, {says}"
    assert error.__traceback__ is None  # it is raised by whoever has asked for it


# --- names in classes ----------------------------------------------------------------------------


class Checking:
    """A class whose subclasses are looked at when they are defined."""

    def __init_subclass__(cls) -> None:
        cls.check()

    @classmethod
    def check(cls) -> None:
        """Look at every name."""
        for name in vars(cls):
            warn_if_misspelt(cls, name, ["on_update", "on_gap"], "a Checking")


def test_a_misspelt_name_is_warned_of_where_the_class_is_defined() -> None:
    with pytest.warns(UserWarning, match="Mine.on_updte") as caught:

        class Mine(Checking):
            on_updte = None

    (warning,) = caught
    assert str(warning.message) == (
        "Mine.on_updte means nothing to a Checking (did you mean 'on_update'?)"
    )
    assert warning.filename == __file__
    code = test_a_misspelt_name_is_warned_of_where_the_class_is_defined.__code__
    assert warning.lineno == code.co_firstlineno + 3


def test_a_name_that_is_like_none_is_the_users_own(recwarn: pytest.WarningsRecorder) -> None:
    class Mine(Checking):
        on_trade = None
        update = None

    assert Mine.on_trade is None
    assert not recwarn.list
