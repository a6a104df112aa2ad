"""That a connection can say what of it goes Python's way, and why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor import Deflate, Reactor, WebSocketProtocol, explain_compiled

from ..support.driving import run_until
from ..support.serving import Echo

ROOT = Path(__file__).parents[2]


@pytest.fixture
def way() -> str:
    """In the place of the package's fixture: what is asked here is which way is in use."""
    return "compiled"


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reactor]:
    monkeypatch.delenv("REACTOR_BACKEND", raising=False)
    with Reactor() as loop:
        yield loop


def opened(
    loop: Reactor, kind: type[WebSocketProtocol] = WebSocketProtocol, **options: Any
) -> WebSocketProtocol:
    shared = {name: options[name] for name in ("compression",) if name in options}
    listener = loop.listen("127.0.0.1", 0, Echo, **shared)
    protocol = loop.connect(f"ws://127.0.0.1:{listener.port}/", kind, proxy=None, **options)
    run_until(loop, lambda: protocol.state == reactor.State.OPEN)
    return protocol


pytestmark = pytest.mark.skipif(not reactor.compiled, reason="the twins are not in use")


def test_of_the_process() -> None:
    # A second line says so where OpenSSL is not called directly: test_tls.py has its reasons.
    assert explain_compiled().splitlines()[0] == "compiled"


def test_of_a_plain_connection(loop: Reactor) -> None:
    assert explain_compiled(opened(loop)) == "compiled"


def test_of_a_connection_with_compression(loop: Reactor) -> None:
    assert explain_compiled(opened(loop, compression=Deflate())) == "compiled"


def test_before_there_is_a_connection() -> None:
    assert "no connection" in explain_compiled(WebSocketProtocol())


def test_before_it_is_open(loop: Reactor) -> None:
    protocol = loop.connect("ws://127.0.0.1:1/", WebSocketProtocol, proxy=None)
    assert "CONNECTING" in explain_compiled(protocol)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"decode_text": False}, "decode_text=False"),
        ({"compression": Deflate(engine="isal")}, "isal compresses"),
        ({"compression": Deflate(client_no_context_takeover=True)}, "no context takeover"),
        ({"mask_key": lambda size: bytes(size)}, "mask_key"),
    ],
)
def test_options_that_go_the_python_way(
    loop: Reactor, options: dict[str, Any], reason: str
) -> None:
    first, *others = explain_compiled(opened(loop, **options)).split("\n")
    assert first == "compiled"
    assert len(others) == 1
    assert others[0].startswith(reason)


def test_a_subclass_with_a_send_of_its_own(loop: Reactor) -> None:
    class Counting(WebSocketProtocol):
        def send(self, message: Any, compress: bool | None = None) -> int:
            return super().send(message, compress)

    assert "Counting.send" in explain_compiled(opened(loop, Counting))


def test_a_poller_that_is_not_epolls() -> None:
    from reactor.loop.poller import selectors2

    with Reactor(selector=selectors2.SelectSelector()) as loop:
        assert "poll() is called" in explain_compiled(opened(loop))


# --- what was copied into C, and is another thing in Python now ----------------------------------

COPIES = {
    "an opcode": "import reactor.protocols.frames as m; m.OP_TEXT = 3",
    "another opcode": "import reactor.protocols.frames as m; m.OP_BINARY = 3",
    "FIN": "import reactor.protocols.frames as m; m._FIN = 0x40",
    "MASKED": "import reactor.protocols.frames as m; m._MASKED = 0x40",
    "the size of a ping": "import reactor.protocols.frames as m; m.MAX_CONTROL_PAYLOAD = 100",
    "the size of a read": "import reactor.transports.stream as m; m.READ_SIZE = 100",
    "the tail of a message": "import reactor.protocols.deflate as m; m._TAIL = b''",
    "what is inflated at a time": "import reactor.protocols.receiving as m; m.MAX_INFLATED = 1",
    "the fields of a header": (
        "import collections, reactor.protocols.frames as m;"
        "m.FrameHeader = collections.namedtuple('FrameHeader', 'fin opcode')"
    ),
    "the rounding of time": "import reactor.timers.clock as m; m.to_ticks_early = lambda s: 0",
    "a slot": "import reactor.timers.wheel as m; del m.TimerWheel._round_end",
}


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_a_copy_that_differs_is_refused_with_its_reason(change: str) -> None:
    """Everything is imported the Python way; then a constant changes; then the twins come."""
    done = run(
        "import os, sys, warnings; os.environ['REACTOR_PURE_PYTHON'] = '1'; import reactor\n"
        f"{change}\n"
        "errors = []\n"
        "for name in ('frames', 'deflate', 'path', 'turn'):\n"
        "    try: __import__('reactor.compiled.' + name)\n"
        "    except (ImportError, AttributeError) as exc: errors.append(str(exc))\n"
        "print(errors)"
    )
    assert done.returncode == 0, done.stderr
    assert "compiled for" in done.stdout or "not a slot" in done.stdout


def test_the_ticks_of_the_clock_are_those_of_python() -> None:
    done = run(
        "import os; os.environ['REACTOR_PURE_PYTHON'] = '1'; import reactor\n"
        "import reactor.timers.clock as m; m.TICKS_PER_SECOND = 500\n"
        "import reactor.compiled.turn; print('taken over')"
    )
    assert (done.returncode, done.stdout) == (0, "taken over\n"), done.stderr


@pytest.mark.parametrize("name", ["frames", "deflate", "path", "turn"])
def test_a_build_that_is_refused_is_told_of_and_not_used(name: str) -> None:
    done = run(
        "import sys\n"
        "class Refusing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'reactor.compiled.{name}':\n"
        "            raise ImportError('compiled for X = 1, not 2')\n"
        "sys.meta_path.insert(0, Refusing())\n"
        "import reactor\n"
        "print(reactor.compiled, reactor.explain_compiled())"
    )
    assert done.stdout == "False not compiled: compiled for X = 1, not 2\n", done.stderr
    assert "compiled for X = 1, not 2" in done.stderr
    assert "RuntimeWarning" in done.stderr


def test_the_switch_is_a_reason() -> None:
    done = run(
        "import os; os.environ['REACTOR_PURE_PYTHON'] = '1'\n"
        "import reactor; print(reactor.explain_compiled())"
    )
    assert done.stdout.startswith("not compiled: ")
    assert "REACTOR_PURE_PYTHON" in done.stdout


def test_every_function_with_a_twin_says_so() -> None:
    """In the line above it, with the name of the file."""
    pattern = {"path.pyx": 7, "turn.pyx": 3, "frames.pyx": 6, "deflate.pyx": 2}
    remarks = [
        line.strip()
        for path in sorted((ROOT / "reactor").rglob("*.py"))
        for line in path.read_text().splitlines()
        if line.strip().startswith("# Twin: ")
    ]
    assert len(remarks) == len(set(remarks))
    for file, count in pattern.items():
        named = [line for line in remarks if line.endswith(f"compiled/{file}.")]
        assert len(named) >= count, (file, named)
        source = (ROOT / "reactor" / "compiled" / file).read_text()
        for line in named:
            name = line.removeprefix("# Twin: ").partition("(")[0]
            assert f" {name}(" in source, line
