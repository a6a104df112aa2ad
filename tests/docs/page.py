"""Run the code of a page, from top to bottom, as its reader would.

    python -m tests.docs.page docs/tutorial/first-server.md

What becomes of a block depends on its language:

- ``python`` whose first line is a comment with the name of a file is written into that file, in an
  empty folder that the page has for itself.
- ``console`` has commands, each behind ``$ ``, and what they print. A command is run until it has
  printed those lines, in this order (others may be in between; ``...`` stands for anything). What
  still runs then goes on until ``^C`` on the page, or its end; what ends must end with status 0.
- ``python`` with functions named ``test_`` is a file of tests; pytest runs them all at the end.
- Any other ``python`` is executed here, in one namespace for the page. ``run_forever()`` of a
  Reactor returns when the loop is stopped, when the lines of the ``text`` block that follows have
  been printed, or, where there is none, when the hidden function ``until`` is true.
- ``text`` directly behind such a block is what that block prints.
- ``sh``, ``json``, ``toml``, ``ini``, ``nginx`` and ``dockerfile`` are not run, but checked.

The numbers of ports on the page are replaced by those of free ports.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from reactor import Reactor, WebSocketProtocol

from .blocks import ROOT, Block, blocks_of
from .configurations import check_dockerfile, check_ini, check_nginx

#: What a page may use as the number of a port.
PORTS = re.compile(r"\b(1080|3128|8000|8001|8080|8443|8765|900[1-9])\b")

#: Seconds for anything to appear.
PATIENCE = 40.0

#: Languages of blocks that are neither run nor checked.
SHOWN = {"text", "{eval-rst}", "{toctree}"}


class Failure(Exception):
    """A block does not do what the page says."""


class Expected:
    """Lines that have to come, in this order; ``...`` in them stands for anything."""

    def __init__(self, text: str) -> None:
        self.left = [line.rstrip() for line in text.splitlines() if line.strip()]

    def came(self, line: str) -> None:
        if self.left:
            pattern = re.escape(self.left[0]).replace(r"\.\.\.", ".*")
            if re.fullmatch(pattern, line.rstrip()):
                del self.left[0]


class Command:
    """A command of a console block, which runs in the folder of the page."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str]) -> None:
        self.command = command
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.shown: list[str] = []
        self.child = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def wait_for(self, text: str) -> None:
        """Wait until the lines of *text* have been printed."""
        expected, end = Expected(text), time.monotonic() + PATIENCE
        while expected.left:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise Failure(
                    f"$ {self.command}\ndid not print {expected.left[0]!r}, but:\n"
                    + "".join(self.shown)
                )
            self.shown.append(line)
            expected.came(line)

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        os.killpg(self.child.pid, signal.SIGINT)

    def wait(self) -> None:
        """Wait for its end, which must be a good one."""
        self.child.wait(PATIENCE)
        self.check()

    def check(self) -> None:
        if self.child.poll() not in (None, 0):
            while (line := self.lines.get()) is not None:
                self.shown.append(line)
            raise Failure(
                f"$ {self.command}\nended with status {self.child.returncode}:\n"
                + "".join(self.shown)
            )

    def end(self) -> None:
        """End what still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


class Shown(io.TextIOBase):
    """Where the blocks print; remembers the lines, and passes them on."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        self.lines += lines
        return sys.__stdout__.write(text) if sys.__stdout__ else len(text)


class Page:
    """A page that is being run."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.ports: dict[str, str] = {}
        self.commands: list[Command] = []
        self.files: set[str] = set()
        self.names: dict[str, Any] = {"__name__": "__main__", "serve": serve}
        self.shown = Shown()
        self.environment = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }
        (folder / "bin").mkdir()
        python = f"{sys.executable} -W error -W ignore::ResourceWarning"
        for name, program in (("python", python), ("reactor", f"{python} -m reactor")):
            script = folder / "bin" / name
            script.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
            script.chmod(0o755)

    def run(self) -> None:
        """Run all blocks."""
        blocks = blocks_of(self.path)
        try:
            for block, following in zip(blocks, [*blocks[1:], None], strict=False):
                printed = following and following.language == "text" and following.follows
                output = following.code if following and printed else ""
                self.run_block(block, self.replace_ports(output))
            if tests := sorted(path.name for path in self.folder.glob("test_line_*.py")):
                self.run_tests(tests)
            for command in self.commands:
                command.check()
        finally:
            for command in self.commands:
                command.end()
        commands = " ".join(command.command for command in self.commands)
        for name in self.files:
            module = name.removesuffix(".py")
            if not re.search(rf"\b{module}\b", commands) and not any(
                f"import {module}" in block.code or f"from {module}" in block.code
                for block in blocks
            ):
                raise Failure(f"{name} is never run")

    def run_block(self, block: Block, output: str) -> None:
        code = self.replace_ports(block.code)
        try:
            if block.file:
                (self.folder / block.file).write_text(code)
                self.files.add(block.file)
            elif block.language == "python" and re.search(r"^ *def test_", code, re.MULTILINE):
                (self.folder / f"test_line_{block.line}.py").write_text(code)
            elif block.language in ("python", "hidden"):
                self.execute(code, block.line, output)
            elif block.language == "console":
                self.run_console(code)
            else:
                check_syntax(block.language, code)
        except Exception as exc:
            said = exc if isinstance(exc, Failure) else f"{type(exc).__name__}: {exc}"
            raise Failure(f"{self.path}:{block.line}: {said}") from exc

    def replace_ports(self, code: str) -> str:
        def port(match: re.Match[str]) -> str:
            return self.ports.setdefault(match[0], str(free_port()))

        return PORTS.sub(port, code)

    def execute(self, code: str, line: int, output: str) -> None:
        begin = len(self.shown.lines)

        def missing() -> list[str]:
            expected = Expected(output)
            for each in self.shown.lines[begin:]:
                expected.came(each)
            return expected.left

        def satisfied() -> bool:
            if output:
                return not missing()
            return "until" in self.names and bool(self.names["until"]())

        program = compile("\n" * (line - 1) + code, str(self.path), "exec")
        with contextlib.redirect_stdout(self.shown), running_until(satisfied):
            exec(program, self.names)
        if left := missing():
            raise Failure(f"did not print {left[0]!r}, but {self.shown.lines[begin:]}")

    def run_console(self, code: str) -> None:
        for step in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
            while re.match(r".*\\\n", step):
                step = step.replace("\\\n", "", 1)  # the command goes on in the next line
            line, _, output = step.partition("\n")
            command = Command(line, self.folder, self.environment)
            self.commands.append(command)
            before, interrupted, after = output.partition("^C\n")
            command.wait_for(before)
            if interrupted:
                command.interrupt()
                command.wait_for(after)
                command.wait()

    def run_tests(self, files: list[str]) -> None:
        options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-rA"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *files],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )
        missing = [name for name in files if f"PASSED {name}" not in done.stdout]
        if done.returncode or missing:
            raise Failure(f"{self.path}: {missing}\n{done.stdout}{done.stderr}")


@contextlib.contextmanager
def running_until(satisfied: Callable[[], bool]) -> Iterator[None]:
    """Have run_forever() of any Reactor of this thread return when the page is satisfied."""
    original, thread = Reactor.run_forever, threading.current_thread()

    def run_forever(self: Reactor) -> None:
        if threading.current_thread() is not thread:
            original(self)
            return
        failures: list[Failure] = []
        end = time.monotonic() + PATIENCE

        def check() -> None:
            try:
                if satisfied():
                    self.stop()
                elif time.monotonic() > end:
                    raise Failure("what run_forever() waits for did not come")
            except Failure as exc:
                failures.append(exc)
                self.stop()

        timer = self.call_every(0.01, check)
        original(self)
        timer.cancel()
        if failures:
            raise failures[0]

    Reactor.run_forever = run_forever  # type: ignore[method-assign]
    try:
        yield
    finally:
        Reactor.run_forever = original  # type: ignore[method-assign]


class Echo(WebSocketProtocol):
    """What serve() serves unless it is told otherwise."""

    def on_message(self, message: str | bytes) -> None:
        self.send(message)


def serve(protocol: Callable[[], WebSocketProtocol] = Echo, **options: Any) -> str:
    """Start a server in a thread of its own, and return its URL. For hidden blocks."""
    started: queue.Queue[int] = queue.Queue()

    def run() -> None:
        with Reactor() as loop:
            started.put(loop.listen("127.0.0.1", 0, protocol, **options).port)
            loop.run_forever()

    threading.Thread(target=run, daemon=True).start()
    return f"{'wss' if options.get('ssl') else 'ws'}://127.0.0.1:{started.get()}/"


def free_port() -> int:
    """Return the number of a port below those that the system gives to others by itself."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return port


def check_syntax(language: str, code: str) -> None:
    """Raise an exception for a block that is not run, if it is not well formed."""
    if language == "json":
        json.loads(code)
    elif language == "toml":
        if sys.version_info >= (3, 11):
            import tomllib

            tomllib.loads(code)
    elif language == "ini":
        check_ini(code)
    elif language == "sh":
        subprocess.run(["bash", "-n"], input=code, text=True, check=True)
    elif language == "nginx":
        check_nginx(code)
    elif language == "dockerfile":
        check_dockerfile(code)
    elif language not in SHOWN:
        raise Failure(f"a block of the language {language!r}, of which nothing is known")


def main(path: str) -> None:
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Page(ROOT / path, Path(folder)).run()
        except Failure as exc:
            sys.exit(str(exc))
        finally:
            os.chdir(ROOT)


if __name__ == "__main__":
    main(sys.argv[1])
