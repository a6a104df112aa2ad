"""What the tests of the blocking faces share: scripts that note down what the client sends."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from .peers import PATIENCE, Script, ScriptedPeer, Talk
from .websocket_frames import CLOSE, Frame, build_frame


class Says:
    """A script: accepts the upgrade, sends this at once, and notes down the client's frames.

    Parameters:
        data: what is sent, glued to the head.
        lines: further lines of the head.
        answer_close: whether the client's close frame is answered, with the same content.

    Attributes:
        heard: a queue of what the client sends, as Frame; None when its connection has ended.
    """

    def __init__(self, *data: bytes, lines: tuple[str, ...] = (), answer_close: bool = True):
        self._data = b"".join(data)
        self._lines = lines
        self._answer_close = answer_close
        self.heard: queue.Queue[Frame | None] = queue.Queue()

    def __call__(self, talk: Talk) -> None:
        talk.upgrade(*self._lines, then=self._data)
        try:
            while True:
                frame = talk.frame()
                self.heard.put(frame)
                if frame.opcode == CLOSE:
                    if self._answer_close:
                        talk.send(build_frame(CLOSE, frame.payload))
                    return talk.end()
        finally:
            self.heard.put(None)

    def next(self) -> Frame:
        """Wait for the next frame of the client."""
        frame = self.heard.get(timeout=PATIENCE)
        assert frame is not None, "the client has left"
        return frame

    def said(self) -> tuple[int, bytes]:
        """Wait for the next frame; return its opcode and payload."""
        frame = self.next()
        return frame.opcode, frame.payload

    def until_left(self) -> list[Frame]:
        """Wait until the client has left; return what it sent before."""
        return list(iter(lambda: self.heard.get(timeout=PATIENCE), None))


class Clients(ExitStack):
    """Connects one of the two libraries to scripted peers, and ends everything with the test.

    Parameters:
        library: `reactor` or `websocket`.
    """

    def __init__(self, library: Any) -> None:
        super().__init__()
        self.library = library

    def serve(self, *scripts: Script, **options: Any) -> ScriptedPeer:
        """Return a running peer."""
        return self.enter_context(ScriptedPeer(*scripts, **options))

    def connect(self, script: Script, path: str = "/", **options: Any) -> Any:
        """Return a connection to a peer that plays *script*; with ten seconds of time-out."""
        return self.connect_to(self.serve(script).url + path, **options)

    def connect_to(self, url: str, **options: Any) -> Any:
        """Return a connection to a URL."""
        ws = self.library.create_connection(url, **{"timeout": 10, **options})
        self.callback(ws.shutdown)
        return ws

    def request(self, path: str = "/", **options: Any) -> list[str]:
        """Return the lines of the request that a connection with these options sends."""
        peer = self.serve(Says())
        self.connect_to(peer.url + path, **options)
        head = peer.requests[-1]
        return [head.request_line, *head.lines]


def clients_of(library: Any) -> Iterator[Clients]:
    """For fixtures."""
    with Clients(library) as clients:
        yield clients
