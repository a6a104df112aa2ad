"""``python -m reactor.websocket``: a program that says ``import websocket``, without a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from reactor.websocket.__main__ import USAGE

from ..support.installed import run_python

PROGRAM = """
import os, pickle, sys
import websocket
import beside

class Thing: pass

assert __name__ == "__main__"
assert type(pickle.loads(pickle.dumps(Thing()))) is Thing
print(websocket.WebSocketApp.__module__, os.path.basename(sys.argv[0]), sys.argv[1:], beside.here)
if "fail" in sys.argv: sys.exit(3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "beside.py").write_text("here = True\n")
    return tmp_path


def test_a_script_runs_with_its_arguments_and_its_folder(folder: Path) -> None:
    result = run_python("-m", "reactor.websocket", str(folder / "program.py"), "-x", "1")
    assert result.stdout == "reactor.classic.app.app program.py ['-x', '1'] True\n", result.stderr
    assert result.returncode == 0


def test_a_module_runs_with_its_arguments(folder: Path) -> None:
    result = run_python("-m", "reactor.websocket", "-m", "program", "-m", "y", cwd=folder)
    assert result.stdout == "reactor.classic.app.app program.py ['-m', 'y'] True\n", result.stderr


def test_its_exit_status_is_that_of_the_script(folder: Path) -> None:
    result = run_python("-m", "reactor.websocket", str(folder / "program.py"), "fail")
    assert result.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "status"), [((), 2), (("-m",), 2), (("-h",), 0), (("--help",), 0)]
)
def test_without_a_script_it_says_how_it_is_used(arguments: tuple[str, ...], status: int) -> None:
    result = run_python("-m", "reactor.websocket", *arguments)
    assert (result.returncode, result.stdout + result.stderr) == (status, USAGE + "\n")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes_that_it_starts_have_it_too(tmp_path: Path, method: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"""
import multiprocessing
import websocket, websocket._core

def work(queue):
    queue.put((websocket.__version__, websocket.WebSocket.__module__))

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    queue = context.SimpleQueue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(*queue.get())
    process.join()
""")
    result = run_python("-m", "reactor.websocket", str(program), warnings="default")
    assert result.stdout == "1.9.2 reactor.classic.blocking.client\n", result.stderr
