"""The last lines of a program: what they send and close leaves, though the loop's thread dies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..support.certificates import Authority
from ..support.classic import Says
from ..support.clients import REQUEST, head
from ..support.peers import PATIENCE, ScriptedPeer
from ..support.websocket_frames import (
    BINARY,
    CLOSE,
    KEY,
    TEXT,
    build_frame,
    close_payload,
    read_frames,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

GOODBYE = [(TEXT, b"bye"), (CLOSE, close_payload(1000))]

#: However slow this machine is.
PATIENT = """
import sys, threading, reactor.loop.lifetime
reactor.loop.lifetime.LAST_MOMENT = 1000
"""

#: A program up to the moment when its connection is open, by a loop in a daemon thread.
NATIVE = f"""{PATIENT}
from reactor import Reactor, WebSocketProtocol
url, options = sys.argv[1], dict(sslopt=dict(ca_certs=sys.argv[2])) if sys.argv[2:] else dict()
up = threading.Event()
class Protocol(WebSocketProtocol):
    def on_message(self, message): up.set()
loop = Reactor()
connection = loop.connect(url, Protocol, **options)
def begin():
    threading.Thread(target=loop.run_forever, daemon=True).start()
    up.wait()
"""

APP = f"""{PATIENT}
url, options = sys.argv[1], dict(sslopt=dict(ca_certs=sys.argv[2])) if sys.argv[2:] else dict()
up = threading.Event()
connection = reactor.WebSocketApp(url, on_message=lambda app, message: up.set())
def begin():
    threading.Thread(target=connection.run_forever, kwargs=options, daemon=True).start()
    up.wait()
"""

END = """
begin()
connection.send("bye")
connection.close()
"""

both = pytest.mark.parametrize("face", [NATIVE, APP], ids=["native", "app"])


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedPeer]]:
    with ExitStack() as stack:
        yield lambda *scripts, **options: stack.enter_context(ScriptedPeer(*scripts, **options))


def run(program: str, *args: str) -> str:
    """Run a Python program to its end; return what it has printed."""
    child = subprocess.run(
        [sys.executable, "-c", program, *args],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (child.returncode, child.stderr) == (0, "")
    return child.stdout


def heard(says: Says) -> list[tuple[int, bytes]]:
    """What the client has sent, up to its end."""
    return [(frame.opcode, frame.payload) for frame in says.until_left()]


@both
def test_a_message_and_a_close_leave(serve: Callable[..., ScriptedPeer], face: str) -> None:
    says = Says(build_frame(TEXT, b"hi"))
    run(face + END, serve(says).url)
    assert heard(says) == GOODBYE


@both
def test_they_leave_over_tls(
    serve: Callable[..., ScriptedPeer], face: str, authority: Authority
) -> None:
    says = Says(build_frame(TEXT, b"hi"))
    run(face + END, serve(says, context=authority.server_context).url, authority.ca_file)
    assert heard(says) == GOODBYE


@pytest.mark.parametrize(
    "end",
    [
        "import atexit; atexit.register(connection.close); begin(); connection.send('bye')",
        "begin(); connection.send('bye'); connection.close(); sys.exit()",
        "begin(); threading.Thread(target=lambda: (c.send('bye'), c.close())).start()",
    ],
    ids=["atexit", "sys.exit", "another thread"],
)
def test_the_program_may_end_in_any_way(serve: Callable[..., ScriptedPeer], end: str) -> None:
    says = Says(build_frame(TEXT, b"hi"))
    run(f"{NATIVE}\nc = connection\n{end}", serve(says).url)
    assert heard(says) == GOODBYE


@both
def test_what_the_kernel_does_not_take_at_once_leaves_too(
    serve: Callable[..., ScriptedPeer], face: str
) -> None:
    says = Says(build_frame(TEXT, b"hi"))
    send = "connection.send_bytes(b'x' * size)" if face is APP else "connection.send(b'x' * size)"
    run(f"{face}\nsize = 8 << 20\nbegin()\n{send}\nconnection.close()", serve(says).url)
    payloads = [frame.payload for frame in says.until_left()]
    assert [len(payload) for payload in payloads] == [8 << 20, 2]


def test_a_message_without_a_close_leaves(serve: Callable[..., ScriptedPeer]) -> None:
    says = Says(build_frame(TEXT, b"hi"))
    run(NATIVE + "begin(); connection.send('bye')", serve(says).url)
    assert heard(says) == GOODBYE[:1]


def test_what_was_handed_over_to_a_loop_that_nobody_runs_any_more_leaves(
    serve: Callable[..., ScriptedPeer],
) -> None:
    end = """
loop.call_later(0, lambda: None)
while not up.is_set():
    loop.run_once()
threading.Thread(target=lambda: (connection.send("bye"), connection.close())).start()
"""
    says = Says(build_frame(TEXT, b"hi"))
    run(NATIVE + end, serve(says).url)
    assert heard(says) == GOODBYE


def test_a_loop_that_nobody_has_run_is_not_run(serve: Callable[..., ScriptedPeer]) -> None:
    peer = serve(Says())
    run(NATIVE, peer.url)
    assert peer.connections == 0


@pytest.mark.parametrize("answers", [True, False])
def test_the_end_does_not_wait_for_a_handler_that_hangs_nor_for_a_mute_server(
    serve: Callable[..., ScriptedPeer], answers: bool
) -> None:
    hang = "Protocol.on_message = lambda *_: (up.set(), threading.Event().wait())\n"
    last = "reactor.loop.lifetime.LAST_MOMENT = 0.1\n"
    says = Says(build_frame(TEXT, b"hi"), answer_close=answers)
    run(NATIVE + last + (hang if answers else "") + END, serve(says).url)
    assert heard(says) == ([] if answers else GOODBYE)


def test_ctrl_c_ends_the_waiting(serve: Callable[..., ScriptedPeer]) -> None:
    end = """
import os
def press():  # asked by the loop's thread, while the main one waits
    while presses:
        os.kill(os.getpid(), presses.pop())
    return True
presses = [2]
begin()
loop.loop.unsent = press
connection.close()
"""
    says = Says(build_frame(TEXT, b"hi"), answer_close=False)
    run(NATIVE + end, serve(says).url)
    assert heard(says) == GOODBYE[1:]


def test_a_loop_that_nobody_holds_any_more_is_forgotten() -> None:
    program = """
import gc, weakref
from reactor import Reactor
from reactor.loop import lifetime
loop = Reactor()
loop.close()
gone = weakref.ref(loop)
del loop
gc.collect()
print(gone(), len(lifetime._loops))
"""
    assert run(program) == "None 0\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
def test_a_child_of_multiprocessing_sends_its_last_lines(
    serve: Callable[..., ScriptedPeer],
) -> None:
    program = """
import multiprocessing, sys
def work(program):
    exec(program, {})
if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=work, args=(%r,))
    import reactor
    child.start()
    child.join()
"""
    says = Says(build_frame(TEXT, b"hi"))
    run(program % (NATIVE + END), serve(says).url)
    assert heard(says) == GOODBYE


def test_what_a_server_sends_last_reaches_its_clients() -> None:
    program = """
import sys, threading
from reactor import Reactor, WebSocketProtocol, broadcast
up = threading.Event()
class Protocol(WebSocketProtocol):
    def on_message(self, message): up.set()
loop = Reactor()
listener = loop.listen("127.0.0.1", 0, Protocol)
print(listener.port, flush=True)
threading.Thread(target=loop.run_forever, daemon=True).start()
up.wait()
broadcast(listener.protocols, b"bye")
for protocol in listener.protocols:
    protocol.close()
"""
    command = [sys.executable, "-c", program]
    place = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(head(*REQUEST) + build_frame(TEXT, b"go", key=KEY))
            data = b"".join(iter(lambda: client.recv(65536), b""))
        assert server.wait(PATIENCE) == 0
    frames = read_frames(data.partition(b"\r\n\r\n")[2])
    last = [(BINARY, b"bye"), (CLOSE, close_payload(1000))]
    assert [(frame.opcode, frame.payload) for frame in frames] == last


@pytest.mark.parametrize("size", [3, 8 << 20])
def test_what_the_thread_that_has_run_the_loop_sends_leaves_too(
    serve: Callable[..., ScriptedPeer], size: int
) -> None:
    end = f"""
while not up.is_set():
    loop.run_once()
connection.send(b"x" * {size})
connection.send("bye")
connection.close()
"""
    says = Says(build_frame(TEXT, b"hi"))
    run(NATIVE + end, serve(says).url)
    payloads = [frame.payload for frame in says.until_left()]
    assert [len(payload) for payload in payloads] == [size, 3, 2]


def test_a_loop_that_hangs_takes_no_time_from_one_that_nobody_runs(
    serve: Callable[..., ScriptedPeer],
) -> None:
    end = """
reactor.loop.lifetime.LAST_MOMENT = 1
hung = threading.Event()
class Hung(WebSocketProtocol):
    def on_message(self, message): hung.set(); threading.Event().wait()
first = Reactor()
first.connect(url, Hung)
threading.Thread(target=first.run_forever, daemon=True).start()
hung.wait()
while not up.is_set():
    loop.run_once()
other = threading.Thread(target=lambda: (connection.send("bye"), connection.close()))
other.start()
other.join()
first.call_soon_threadsafe(int)
"""
    said = [Says(build_frame(TEXT, b"hi")) for _ in range(2)]
    run(NATIVE + end, serve(*said).url)
    assert GOODBYE in [heard(says) for says in said]
