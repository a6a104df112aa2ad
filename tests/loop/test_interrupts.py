"""Ctrl-C at any point of the library's code: no connection is torn, whichever way the loop runs.

The tests press it themselves, at the n-th of the points at which Python looks for signals: where a
function is entered or left, or a function in C has returned.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import FrameType

import pytest

from reactor import Reactor
from reactor.timers import Backoff

from ..support.driving import as_library_code
from ..support.programs import run_program
from ..support.scene import Actor, Scene, in_thread

pytestmark = pytest.mark.usefixtures("no_leaks")


@contextmanager
def ctrl_c_at(point: int) -> Iterator[list[int]]:
    """Press Ctrl-C once, at a point in the library's code; gives a list of the points that came."""
    came: list[int] = []

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "c_call" or not frame.f_globals["__name__"].startswith("reactor."):
            return
        came.append(len(came))
        if came[-1] == point:
            signal.raise_signal(signal.SIGINT)

    # As a part of the library: what runs in its place is not the user's code.
    sys.setprofile(as_library_code(look))
    try:
        yield came
    finally:
        sys.setprofile(None)


class Cast:
    """Connections in all states: one that attempts to connect, one that waits, three open."""

    def __init__(self) -> None:
        self.scene = scene = Scene()
        self.loop = scene.loop
        self.waiting = scene.connect(Actor(), reconnect=Backoff.fixed(1000))
        scene.fail(OSError("refused"))
        self.open = [Actor() for _ in range(3)]
        self.peers = [scene.open(actor) for actor in self.open]
        self.attempting = scene.connect(Actor())

        # What turns will find: messages, a goodbye, a loss, a close that was begun, a failure.
        for peer in self.peers:
            peer.text("1", "2")
        self.peers[0].say_goodbye()
        self.peers[1].end()
        self.open[2].close()
        scene.attempts[-1].fail(OSError("refused"))

    def run_once(self) -> None:
        for _ in range(4):
            self.loop.run_once(0)

    def shutdown(self) -> None:
        self.loop.shutdown(0)

    def close(self) -> None:
        self.loop.close()

    def end(self) -> None:
        """Close everything; every connection must have been told of its end, once."""
        self.scene.end()
        for actor in self.open:
            assert actor.names[0] == "open", actor.events
            assert actor.names[-1] == "close", actor.events
            assert actor.names.count("close") == 1, actor.events
        assert self.attempting.names in (["close"], ["error", "close"])
        assert self.waiting.names == ["error", "close"]


@pytest.mark.parametrize("way", ["run_once", "shutdown", "close"])
def test_ctrl_c_tears_no_connection_whichever_way_the_loop_runs(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    for point in count():
        cast = Cast()
        act: Callable[[], None] = getattr(cast, way)
        with ctrl_c_at(point) as came:
            try:
                act()
            except KeyboardInterrupt:
                interrupted = True
            else:
                interrupted = False
        cast.end()
        assert interrupted == (len(came) > point)
        if not interrupted:
            break
    assert point > 50, "there was nothing to interrupt"


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_the_waiting_of_shutdown_and_closes_what_is_left(scene: Scene) -> None:
    polite, mute = Actor(), Actor()
    polite.actions["close"] = lambda _: scene.loop.call_soon(as_library_code(press_ctrl_c))
    peer = scene.open(polite)
    scene.open(mute)
    peer.say_goodbye()
    with pytest.raises(KeyboardInterrupt):
        scene.loop.shutdown(1000)
    assert polite.closes == [(1000, "")]
    assert mute.closes == [(1006, "")]
    assert not scene.loop.connections


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("how", [lambda loop: loop.shutdown(0), Reactor.close])
def test_a_handler_that_leaves_the_end_of_a_loop_keeps_no_other_from_being_told(
    scene: Scene, how: Callable[[Reactor], None], kind: type[BaseException]
) -> None:
    def leave(_: Actor) -> None:
        raise kind

    actors = [Actor(close=leave) for _ in range(3)]
    for actor in actors:
        scene.open(actor)
    with pytest.raises(kind):
        how(scene.loop)
    assert [actor.names for actor in actors] == [["open", "close"]] * 3


def test_the_thread_that_closes_a_loop_need_not_be_the_one_that_has_run_it(scene: Scene) -> None:
    actor = Actor()
    scene.open(actor)
    in_thread(scene.loop.close)
    assert actor.names == ["open", "close"]


def test_ctrl_c_ends_a_loop_that_a_callback_of_another_loop_runs(scene: Scene) -> None:
    log: list[str] = []

    def run_another() -> None:
        with Reactor() as inner:
            inner.call_soon(as_library_code(press_ctrl_c))
            try:
                inner.run_forever()
            finally:
                log.append("left")

    scene.loop.call_soon(run_another)
    with pytest.raises(KeyboardInterrupt):
        scene.loop.run_forever()
    assert log == ["left"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- where Python lets nobody handle signals -----------------------------------------------------

RUN_A_LOOP = """
import socket
from reactor import Reactor
with Reactor() as loop:
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.run_once(0)
    loop.shutdown(0)
print("done", flush=True)
"""


def test_a_loop_runs_where_threading_takes_another_thread_for_the_main_one() -> None:
    """It takes the first one that imports it: with mod_wsgi, one that was not Python's first."""
    program = f"""
import _thread, os, sys, traceback
assert "threading" not in sys.modules
lock = _thread.allocate_lock()
lock.acquire()
def work():
    try:
        import threading
        exec({RUN_A_LOOP!r})
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
_thread.start_new_thread(work, ())
lock.acquire()
"""
    assert run_program(program) == "done\n"


def test_a_loop_runs_in_a_sub_interpreter() -> None:
    program = f"""
import sys
try:
    import _interpreters as interpreters
    legacy = interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    legacy = interpreters.create(isolated=False)
failure = interpreters.run_string(legacy, "import sys; sys.path[:] = %r" % sys.path)
failure = failure or interpreters.run_string(legacy, {RUN_A_LOOP!r})
interpreters.destroy(legacy)
sys.exit(failure and str(failure))
"""
    assert run_program(program) == "done\n"
