"""The embedded nats-server: for one machine, tests and demonstrations.

What it is: :class:`EmbeddedNats`: starts the program ``nats-server`` on a free port of loopback,
starts it again when it dies, and ends it.

What it must not know: fleets.

How it works. The server writes its port to a file. Between us and it there is a shell that ends
it when our end of its standard input closes, so that it does not outlive a process that was
killed. A server that is started again has the same port and finds what it has stored.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

from ..exceptions import WebSocketStateException, WebSocketTimeoutException
from .cancelling import cancel

__all__ = ["EmbeddedNats", "find_server"]

#: Starts the program, and ends it when standard input or the shell itself is ended.
_SHELL = (
    'exec 3<&0; "$0" "$@" </dev/null 3<&- & child=$!; '
    'trap "kill $child 2>/dev/null" TERM; '
    "(read -r _ <&3; kill $child 2>/dev/null) & watch=$!; "
    "wait $child; wait $child 2>/dev/null; kill $watch 2>/dev/null"
)

#: Seconds in which a server has to be there.
PATIENCE = 15.0


def find_server() -> str | None:
    """Return the path of nats-server: beside this Python, or in PATH; None: there is none."""
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")


class EmbeddedNats:
    """A nats-server of our own. See the module.

    Args:
        store: a folder for what is to outlast it; None: a temporary one, which goes with it.
        options: further arguments of the program.

    Attributes:
        url: where it listens, after :meth:`start`.
        pid: of the server itself.
    """

    def __init__(self, store: str | None = None, options: tuple[str, ...] = ()) -> None:
        self.url = ""
        self.pid = 0
        self._store = store
        self._options = options
        self._folder = ""
        self._process: Popen[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Start it, and again whenever it dies; return its URL.

        Raises:
            WebSocketStateException: There is no such program.
            WebSocketTimeoutException: It does not start.
        """
        self._folder = tempfile.mkdtemp(prefix="reactor-nats-")
        await self._run(-1)
        self._watch = asyncio.ensure_future(self._keep())
        return self.url

    async def _run(self, port: int) -> None:
        process = self._launch(port)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            if self._read_port():
                return
            await asyncio.sleep(0.005)
        self._end()
        raise WebSocketTimeoutException(f"nats-server did not start: {self._last_words()}")

    def _launch(self, port: int) -> Popen[bytes]:
        program = find_server()
        if program is None:
            raise WebSocketStateException(
                "there is no nats-server: pip install 'reactor-websocket[fleet]', or name one"
            )
        for old in Path(self._folder).glob("*.ports"):
            old.unlink()
        arguments = ["-a", "127.0.0.1", "-p", str(port), "--ports_file_dir", self._folder]
        arguments += ["-js", "-sd", self._store or os.path.join(self._folder, "store")]
        with open(os.path.join(self._folder, "log"), "ab") as log:
            self._process = Popen(
                ["/bin/sh", "-c", _SHELL, program, *arguments, *self._options],
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us
            )
        return self._process

    def _read_port(self) -> bool:
        """Whether the server has written its port."""
        for path in Path(self._folder).glob("*.ports"):
            try:
                self.url = json.loads(path.read_text())["nats"][0]
                self.pid = int(path.stem.rpartition("_")[2])
                return True
            except (ValueError, KeyError, IndexError):
                pass  # it is still being written
        return False

    def _last_words(self) -> str:
        try:
            lines = Path(self._folder, "log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return " ".join(lines[-1:])

    async def _keep(self) -> None:
        """Start it again whenever it dies."""
        port = int(self.url.rpartition(":")[2])
        while True:
            assert self._process is not None
            if self._process.poll() is None:
                await asyncio.sleep(0.05)
                continue
            self._close_pipe()
            try:
                await self._run(port)
            except WebSocketTimeoutException:
                await asyncio.sleep(1.0)

    async def stop(self) -> None:
        """End it; idempotent."""
        if self._watch is not None:
            await cancel([self._watch])
            self._watch = None
        await asyncio.to_thread(self._end)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(5.0)
        except Exception:  # noqa: BLE001 - it has had its time
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()
