"""Headless Chromium, whose own WebSocket runs our scenarios.

A page from a small HTTP server asks that server for commands, runs them, and posts the answers.
The server is here too, so that what it opens does not disturb the process of the tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

from ..support.browser import FLAGS
from .commands import Json, obey

SCENARIO = Path(__file__).parents[1] / "node" / "scenario.js"

PAGE = b"""<!doctype html>
<title>peer</title>
<link rel="icon" href="data:,">
<script src="/scenario.js"></script>
<script>
async function connect({ url, protocols, steps }) {
  return runScenario(new WebSocket(url, protocols ?? []), steps);
}
async function obey({ id, times, ...scenario }) {
  let answer;
  try {
    const runs = await Promise.all(Array.from({ length: times ?? 1 }, () => connect(scenario)));
    answer = { id, runs };
  } catch (error) {
    answer = { id, failure: String(error) };
  }
  await fetch("/answer", { method: "POST", body: JSON.stringify(answer) });
}
(async () => {
  for (;;) {
    const command = await fetch("/command");
    await obey(await command.json());
  }
})();
</script>
"""


class _Handler(BaseHTTPRequestHandler):
    server: Page

    def do_GET(self) -> None:
        if self.path == "/":
            self._reply("text/html", PAGE)
        elif self.path == "/scenario.js":
            self._reply("text/javascript", SCENARIO.read_bytes())
        elif self.path == "/command":
            self._reply("application/json", json.dumps(self.server.commands.get()).encode())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._reply("text/plain", b"")
        answer = self.server.answers.pop(fields.pop("id"))
        answer.get_loop().call_soon_threadsafe(answer.set_result, fields)

    def _reply(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Page(ThreadingHTTPServer):
    """Serves the page, and talks to it.

    Attributes:
        commands: for the page.
        answers: where those go that it gives, by the numbers of the commands.
    """

    daemon_threads = True  # the one that waits for a command does not end

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.commands: SimpleQueue[Json] = SimpleQueue()
        self.answers: dict[int, asyncio.Future[Json]] = {}
        self._last = 0

    async def run(self, **scenario: Any) -> Json:
        """Let the page run a scenario."""
        self._last += 1
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self.answers[self._last] = answer
        self.commands.put({"id": self._last} | scenario)
        return await answer


def main(program: str) -> None:
    """Run Chromium, and obey."""
    page = Page()
    threading.Thread(target=page.serve_forever, daemon=True).start()
    with TemporaryDirectory(prefix="chromium", ignore_cleanup_errors=True) as folder:
        command = [
            program,
            *FLAGS,
            f"--user-data-dir={folder}/profile",
            f"http://127.0.0.1:{page.server_port}/",
        ]
        browser = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"HOME": folder, "XDG_RUNTIME_DIR": folder},
            start_new_session=True,  # it has children
        )
        try:
            asyncio.run(obey(run=page.run))
        finally:
            os.killpg(browser.pid, signal.SIGKILL)  # nothing that it would save is of any worth
            browser.wait()


if __name__ == "__main__":
    main(sys.argv[1])
