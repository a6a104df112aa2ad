"""A reactor on a clock that is moved by hand, its monitor, and a page that is only a WebSocket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from reactor import WebSocketProtocol
from reactor.monitor.page import Monitor, serve
from reactor.testing import ManualReactor

from ...support.clients import RawClient


class Page(WebSocketProtocol):
    """What the page's script would hear."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None

    def on_message(self, message: str | bytes) -> None:
        self.told.append(json.loads(message))

    def on_close(self, code: int, reason: str) -> None:
        self.closed = code, reason

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.told if each["kind"] == kind]

    @property
    def rows(self) -> dict[int, dict[str, Any]]:
        """The latest row of each connection, as the page would have it."""
        fields = self.of("hello")[0]["fields"]
        rows: dict[int, dict[str, Any]] = {}
        for message in self.told:
            for values in message.get("rows", ()):
                row = dict(zip(fields, values, strict=True))
                rows[row["id"]] = row
            for gone in message.get("ids", ()):
                del rows[gone]
        return rows

    def ask(self, **what: Any) -> None:
        asked = {"rows": [], "detail": None, "topics": None, "find": "", **what}
        self.send(json.dumps(asked))


class Watched:
    """A reactor that is watched."""

    def __init__(self, loop: ManualReactor, **options: Any) -> None:
        self.loop = loop
        self.pages: list[Page] = []
        self.monitor: Monitor = serve(loop, port=0, **options)

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Make a request; return status and body."""
        head, body = self.fetch(path, method, **headers)
        return int(head.split()[1]), body

    def fetch(self, path: str, method: str = "GET", **headers: str) -> tuple[str, str]:
        """Make a request; return head and body."""
        client = RawClient(self.loop, ("127.0.0.1", self.monitor.port))
        headers = {"Host": f"localhost:{self.monitor.port}", **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        client.send("\r\n".join([*lines, "", ""]).encode())
        answer = client.until_closed()
        client.close()
        head, _, body = answer.decode().partition("\r\n\r\n")
        return head, body

    def open_page(self, query: str = "") -> Page:
        page = Page()
        self.pages.append(page)
        url = f"ws://127.0.0.1:{self.monitor.port}/live{query}"
        self.loop.connect(url, page, ping_interval=None)
        self.loop.run_until(lambda: page.told or page.closed)
        return page

    def until(self, condition: Callable[[], object]) -> None:
        """Let time pass, a tenth of a second after the other, until *condition* is true."""
        for _ in range(600):
            if condition():
                return
            self.loop.advance(0.1)
            self.loop.run_until(self.nothing_is_on_its_way)
        raise AssertionError("it has not come true in a minute")

    def nothing_is_on_its_way(self) -> bool:
        """Whether each message that a viewer has sent was received by its page."""
        sent = sum(viewer.stats.messages_out for viewer in self.monitor.viewers)
        return sent <= sum(page.stats.messages_in for page in self.pages if page.closed is None)
