"""WebSocketApp: several threads, and what interrupts the one that runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import reactor

from ...support.apps import RecordedApp, Running, code, dropped, mute, play, raising, said
from ...support.certificates import Authority
from ...support.classic import Says
from ...support.driving import run_until
from ...support.peers import ScriptedPeer, Talk
from ...support.scene import Scene, in_thread
from ...support.servers import serve_with_reactor
from ...support.websocket_frames import CLOSE, PING, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("no_leaks", "sockets_of_websocket_client")

HI = said(build_frame(TEXT, b"hi"))
BYE = said(build_frame(CLOSE, code(1000)))


def end(app: Any, how: str) -> None:
    if how == "close":
        app.close()
    else:
        app.keep_running = False


# --- ended by another thread ----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "keep_running"])
def test_another_thread_ends_the_run(how: str) -> None:
    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(reactor, peer.url)
        with Running(recorded) as running:
            recorded.wait_for("message")
            end(recorded.app, how)
            assert recorded.app.keep_running is False
    assert running.seconds < 0.5
    answer = (1000, None) if how == "close" else (None, None)
    assert recorded.events == [("open",), ("message", "hi"), ("close", *answer)]
    assert recorded.result is False


@pytest.mark.parametrize("how", ["close", "keep_running"])
def test_another_thread_ends_the_run_while_it_connects(how: str) -> None:
    asked = threading.Event()

    def script(talk: Talk) -> None:
        talk.head()
        asked.set()
        talk.until_closed()

    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(reactor, peer.url)
        with Running(recorded) as running:
            assert asked.wait(10)
            end(recorded.app, how)
    assert running.seconds < 0.5
    assert recorded.events == [("close", None, None)]
    assert recorded.result is False


def test_mute_server_costs_another_thread_nothing() -> None:
    with ScriptedPeer(mute(build_frame(TEXT, b"hi"))) as peer:
        recorded = RecordedApp(reactor, peer.url)
        with Running(recorded):
            recorded.wait_for("message")
            recorded.app.close(timeout=0.05)
            with pytest.raises(reactor.WebSocketConnectionClosedException):
                recorded.app.send("too late")
    assert recorded.events[-1] == ("close", None, None)
    assert recorded.result is False


def test_close_without_a_limit_for_the_answer(loop: reactor.Reactor) -> None:
    def on_message(app: Any, _: str) -> None:
        app.close(timeout=None)
        loop.stop()

    with ScriptedPeer(mute(build_frame(TEXT, b"hi"))) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"message": on_message})
        recorded.run(dispatcher=loop)
        loop.run_forever()
        run_until(loop, lambda: loop.stats().calls == 0)
        assert (loop.next_timeout() or 0) > 3600
        loop.close()
    assert recorded.names == ["open", "message", "close"]


def test_closing_twice_and_before_and_after_a_run(library: Any) -> None:
    def on_message(app: Any, _: str) -> None:
        app.close()
        app.close(status=3000)

    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(library, peer.url, reactions={"message": on_message})
        recorded.app.close()
        recorded.app.keep_running = False
        recorded.run()
        recorded.app.close()
        recorded.app.keep_running = False
    assert recorded.events == [("open",), ("message", "hi"), ("close", 1000, None)]


def test_closing_in_the_moment_of_the_end() -> None:
    recorded = RecordedApp(reactor, "")
    closing = threading.Event()

    def close_often() -> None:
        while not closing.is_set():
            recorded.app.close()

    thread = threading.Thread(target=close_often)
    with ScriptedPeer(BYE) as peer:
        recorded.app.url = peer.url
        thread.start()
        try:
            for _ in range(50):
                recorded.run()
        finally:
            closing.set()
            thread.join()
    assert recorded.names.count("close") == 50


# --- sending by other threads ---------------------------------------------------------------------


def test_messages_of_many_threads_arrive_in_the_order_of_each() -> None:
    threads: list[threading.Thread] = []
    got: list[str] = []

    def on_open(app: Any) -> None:
        def send(name: int) -> None:
            for number in range(50):
                app.send(f"{name} {number}")

        threads.extend(threading.Thread(target=send, args=(name,)) for name in range(4))
        for thread in threads:
            thread.start()

    def on_message(app: Any, message: str) -> None:
        got.append(message)
        if len(got) == 200:
            app.close()

    with serve_with_reactor() as url:
        reactor.WebSocketApp(url, on_open=on_open, on_message=on_message).run_forever()
    for thread in threads:
        thread.join()
    for name in range(4):
        assert [m for m in got if m.startswith(f"{name} ")] == [f"{name} {n}" for n in range(50)]


def test_program_that_sends_and_closes_on_a_thread(library: Any) -> None:
    """The long-lived example of websocket-client's manual; its loop ends by the server's doing."""
    threads: list[threading.Thread] = []

    def on_open(app: Any) -> None:
        def run() -> None:
            for number in range(3):
                app.send(f"Hello {number}")
            app.send("bye")

        threads.append(threading.Thread(target=run))
        threads[0].start()

    def script(talk: Talk) -> None:
        talk.upgrade()
        while (frame := talk.frame()).payload != b"bye":
            talk.send(build_frame(TEXT, frame.payload))
        talk.send(build_frame(CLOSE, code(1000)))
        talk.frame()

    recorded = play(library, script, ("message", "close"), on_open=on_open)
    threads[0].join()
    assert recorded.events == [
        *[("message", f"Hello {number}") for number in range(3)],
        ("close", 1000, None),
    ]


# --- threads --------------------------------------------------------------------------------------


def test_no_thread_is_started() -> None:
    before = set(threading.enumerate())
    seen: list[set[threading.Thread]] = []

    def look(app: Any, *_: object) -> None:
        seen.append(set(threading.enumerate()) - before)
        assert app.ping_thread is None
        if recorded.of("pong"):
            app.close()

    with serve_with_reactor() as url:
        before = set(threading.enumerate())
        recorded = RecordedApp(reactor, url, reactions={"open": look, "pong": look})
        recorded.run(ping_interval=0.5, ping_timeout=0.49, reconnect=5)
    assert seen == [set()] * 2


# --- KeyboardInterrupt and SystemExit -------------------------------------------------------------


@pytest.mark.parametrize("name", ["open", "message", "ping"])
def test_system_exit_in_a_callback(library: Any, name: str) -> None:
    frames = (build_frame(PING, b"p"), build_frame(TEXT, b"hi"))
    with ScriptedPeer(said(*frames)) as peer:
        recorded = RecordedApp(
            library, peer.url, ("open", name, "error", "close"), {name: raising(SystemExit(3))}
        )
        with pytest.raises(SystemExit) as caught:
            recorded.run()
    assert caught.value.code == 3
    assert recorded.names == [*dict.fromkeys(["open", name]), "error", "close"]
    assert recorded.events[-2:] == [("error", "SystemExit", "3"), ("close", None, None)]
    assert recorded.app.keep_running is False


@pytest.mark.parametrize("exc", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("name", ["open", "message", "ping", "error", "close"])
@pytest.mark.parametrize("reconnect", [None, 600])
def test_interrupt_in_a_callback_leaves_the_run(
    exc: type[BaseException], name: str, reconnect: Any
) -> None:
    frames = (build_frame(PING, b"p"), build_frame(TEXT, b"hi"))
    with ScriptedPeer(dropped(*frames)) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={name: raising(exc)})
        with pytest.raises(exc):
            recorded.run(reconnect=reconnect)
        assert peer.connections == 1
    told_of_the_drop = reconnect is not None and name in ("error", "close")
    assert recorded.names.count("close") == (2 if told_of_the_drop else 1)
    assert recorded.app.keep_running is False
    assert recorded.app.sock is None
    recorded.app.close()
    with ScriptedPeer(BYE) as peer:  # the app can be run again
        recorded._reactions.clear()
        recorded.app.url = peer.url
        recorded.run()
    assert recorded.events[-1] == ("close", 1000, None)


@pytest.mark.parametrize("exc", [KeyboardInterrupt(), SystemExit(3)])
def test_what_leaves_the_run_says_goodbye_to_the_server(library: Any, exc: BaseException) -> None:
    says = Says(build_frame(TEXT, b"hi"))
    with ScriptedPeer(says) as peer:
        recorded = RecordedApp(library, peer.url, reactions={"message": raising(exc)})
        with suppress(KeyboardInterrupt, SystemExit):  # websocket-client swallows the former
            recorded.run()
        assert says.said() == (CLOSE, code(1000))
    assert recorded.events[-1] == ("close", None, None)


def test_what_leaves_the_run_says_goodbye_over_tls(authority: Authority) -> None:
    says = Says(build_frame(TEXT, b"hi"))
    with ScriptedPeer(says, context=authority.server_context) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"message": raising(SystemExit())})
        with pytest.raises(SystemExit):
            recorded.run(sslopt=authority.sslopt)
        assert says.said() == (CLOSE, code(1000))


def test_what_leaves_the_run_of_many_says_goodbye_for_all_of_them() -> None:
    scripts = [Says(), Says(build_frame(TEXT, b"hi"))]
    opened: list[Any] = []

    def leave(*_: object) -> None:
        opened.append(None)
        if len(opened) == 2:
            raise KeyboardInterrupt

    with ScriptedPeer(scripts[0]) as first, ScriptedPeer(scripts[1]) as second:
        apps = [
            RecordedApp(reactor, first.url, reactions={"open": leave}),
            RecordedApp(reactor, second.url, reactions={"message": leave}),
        ]
        with pytest.raises(KeyboardInterrupt):
            reactor.run_forever(*(each.app for each in apps))
        assert [script.said() for script in scripts] == [(CLOSE, code(1000))] * 2


def test_what_leaves_a_shared_loop_says_goodbye_though_the_loop_is_left_alone(
    loop: reactor.Reactor,
) -> None:
    says = Says(build_frame(TEXT, b"hi"))
    with ScriptedPeer(says) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"message": raising(SystemExit())})
        recorded.run(dispatcher=loop)
        with pytest.raises(SystemExit):
            loop.run_forever()
        assert says.said() == (CLOSE, code(1000))
        loop.close()


@pytest.mark.parametrize("reconnect", [None, 600])
def test_ctrl_c(reconnect: Any) -> None:
    def interrupt(*_: object) -> None:
        if not timers:
            timers.append(threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)))
            timers[0].start()

    timers: list[threading.Timer] = []
    name = "message" if reconnect is None else "close"
    script = HI if reconnect is None else dropped()
    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={name: interrupt})
        with pytest.raises(KeyboardInterrupt):
            recorded.run(reconnect=reconnect)
    timers[0].join()
    assert recorded.events[-2:] == [("error", "KeyboardInterrupt", ""), ("close", None, None)]
    assert recorded.app.has_errored is True


def test_ctrl_c_when_on_close_has_run_the_app_again() -> None:
    def on_message(app: Any, _: str) -> None:
        timers.append(threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)))
        timers[0].start()

    def on_close(app: Any, *_: object) -> None:
        if len(recorded.of("close")) == 1:
            app.run_forever()

    timers: list[threading.Timer] = []
    with ScriptedPeer(BYE, HI) as peer:
        recorded = RecordedApp(
            reactor, peer.url, reactions={"message": on_message, "close": on_close}
        )
        with pytest.raises(KeyboardInterrupt):
            recorded.run()
    timers[0].join()
    assert recorded.names == ["open", "error", "close", "open", "message", "error", "close"]
    assert recorded.events[-2:] == [("error", "KeyboardInterrupt", ""), ("close", None, None)]


def test_ctrl_c_interrupts_a_callback_that_hangs() -> None:
    def hang(*_: object) -> None:
        threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
        end = time.monotonic() + 10
        while time.monotonic() < end:
            pass

    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"message": hang})
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            recorded.run()
        assert time.monotonic() - start < 5
    assert recorded.events[-2:] == [("error", "KeyboardInterrupt", ""), ("close", None, None)]


@pytest.mark.parametrize("name", ["on_open", "on_message"])
def test_ctrl_c_in_a_process_whose_callback_hangs(name: str) -> None:
    program = f"""
import sys, reactor
def hang(*_):
    print("hangs", flush=True)
    while True:
        pass
try:
    reactor.WebSocketApp(sys.argv[1], {name}=hang).run_forever()
except KeyboardInterrupt:
    print("interrupted")
"""
    with ScriptedPeer(HI) as peer:
        command = [sys.executable, "-W", "error", "-c", program, peer.url]
        with subprocess.Popen(
            command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True
        ) as child:
            try:
                assert child.stdout is not None
                assert child.stdout.readline() == "hangs\n"
                child.send_signal(signal.SIGINT)
                assert child.communicate(timeout=10)[0] == "interrupted\n"
            finally:
                child.kill()


# --- in the moment in which it opens --------------------------------------------------------------


def test_an_app_that_is_closed_while_it_opens_has_no_socket_any_more(scene: Scene) -> None:
    sockets: list[Any] = []
    recorded = RecordedApp(
        reactor, "ws://scene/", reactions={"open": lambda app: sockets.append(app.sock)}
    )
    recorded.run(dispatcher=scene.loop)
    scene.turn(count=2)
    peer = scene.attempts[-1].succeed()
    in_thread(recorded.app.close)
    scene.turn(count=3)
    peer.say_goodbye()
    scene.turn(count=3)
    peer.close()
    assert recorded.events == [("open",), ("close", 1000, None)]
    assert sockets == [None]


def test_an_app_can_be_run_anew_where_its_process_was_forked(scene: Scene) -> None:
    """tests/loop/test_lifetime_fork.py does it in a child."""
    recorded = RecordedApp(reactor, "ws://scene/")
    recorded.run(dispatcher=scene.loop)
    scene.turn(count=2)
    with pytest.raises(reactor.WebSocketException, match="socket is already opened"):
        recorded.app.run_forever()
    (connection,) = scene.loop.connections
    connection.lifecycle.forked()
    assert recorded.app.run_forever(dispatcher=scene.loop) is False
    scene.turn(count=2)
    assert len(scene.attempts) == 2
