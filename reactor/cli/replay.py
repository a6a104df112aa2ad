"""A WebSocket server that says what another one has said, from a recording.

Each client is given the next recorded connection with the path that it asks for, or else the next
one; when all were given, they are given again. What followed on a message of the client waits
until this client has said as many, but for a second at most: a service does not confirm what
nobody has asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..exceptions import CloseCode, WebSocketRecordingException
from ..monitor.recording.playing import Cue, Playlist, server_events
from ..monitor.recording.reading import Recorded, read_recording
from ..protocols.events import Close, Ping, Pong
from ..protocols.http.http11 import parse_again
from ..protocols.session import State, check_close
from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor
from .arguments import complain, share
from .serving import add_server_arguments, serve

if TYPE_CHECKING:
    from ..protocols.http.http11 import Request
    from ..timers import Timer

__all__ = ["Played", "add_arguments", "run"]

#: Bytes that a client may leave untaken before more is said.
MOST_UNSENT = 1 << 20

#: Messages that are said in one turn.
AT_ONCE = 256

#: Seconds for which a message of the client is waited for.
PATIENCE = 1.0


class Played(WebSocketProtocol):
    """One client, who is told what was recorded.

    Args:
        playlist: where its connection is found.
        speed: how many times as fast as recorded; 0: as fast as it is read.
        loop: the Reactor.
    """

    def __init__(self, playlist: Playlist, speed: float, loop: Reactor) -> None:
        self._playlist = playlist
        self._speed = speed
        self._reactor = loop
        self._cues: Iterator[Cue] = iter(())
        self._cue: Cue | None = None
        self._began = 0.0
        self._heard = 0
        self._patient_until: float | None = None  # while a message of the client is waited for
        self._timer: Timer | None = None

    def on_open(self) -> None:
        """See WebSocketProtocol."""
        self._began = self._reactor.time()
        assert self.request is not None
        self._cues = server_events(_next(self._playlist, self.request.target))
        self._next_cue()
        self._go_on()

    def on_message(self, message: str | bytes) -> None:
        """See WebSocketProtocol."""
        self._heard += 1
        self._go_on()

    def on_writable(self) -> None:
        """See WebSocketProtocol."""
        self._go_on()

    def on_close(self, code: int, reason: str) -> None:
        """See WebSocketProtocol."""
        self._cue = None
        self._stop_timer()

    def _next_cue(self) -> None:
        try:
            self._cue = next(self._cues, None)
        except WebSocketRecordingException as exc:
            self._cue = None
            complain(exc)
            self.close(CloseCode.INTERNAL_ERROR, "the recording ends here")

    def _go_on(self) -> None:
        """Say what is due; see to it that the rest follows."""
        self._stop_timer()
        for _ in range(AT_ONCE):
            cue = self._cue
            if cue is None or self.state is not State.OPEN:
                return
            if self.buffered_amount > MOST_UNSENT:
                return  # on_writable follows
            wait = self._wait(cue)
            if wait > 0:
                self._timer = self._reactor.call_later(wait, self._go_on)
                return
            self._patient_until = None
            self._say(cue)
            self._next_cue()
        self._timer = self._reactor.call_later(0, self._go_on)

    def _wait(self, cue: Cue) -> float:
        """Return for how many seconds the next thing has to wait."""
        now = self._reactor.time()
        wait = self._began + cue.after / 1e9 / self._speed - now if self._speed else 0.0
        if wait <= 0 and cue.heard > self._heard:
            if self._patient_until is None:
                self._patient_until = now + PATIENCE
            wait = self._patient_until - now
            if wait <= 0:
                self._heard = cue.heard  # it will not come
        return wait

    def _say(self, cue: Cue) -> None:
        event = cue.event
        if event is None:
            self.abort()
        elif isinstance(event, (str, bytes)):
            self.send(event)
        elif isinstance(event, Ping):
            self.ping(event.payload)
        elif isinstance(event, Close):
            try:
                check_close(event.code, event.reason)
            except ValueError:
                self.close()  # it had no code, or none that we may send
            else:
                self.close(event.code, event.reason)
        else:
            # A pong was an answer, and this client's pings are answered anyway.
            assert isinstance(event, Pong)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _next(playlist: Playlist, target: str) -> Recorded:
    """Return what a client with this target is told."""
    found = playlist.take(target)
    if found is None:
        playlist.begin_again()
        found = playlist.take(target)
    assert found is not None  # a recording has at least one connection
    return found


def _subprotocols(recordings: list[Recorded]) -> list[str]:
    found = [
        parse_again("response", each.response).headers.get("Sec-WebSocket-Protocol")
        for each in recordings
    ]
    return list(dict.fromkeys(name for name in found if name))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    parser.add_argument("file", help="a recording: pcapng, as it is, or in zstd or gzip")
    parser.add_argument(
        "--speed",
        type=_speed,
        metavar="N",
        default=1.0,
        help="times as fast as recorded; 0 or max: as fast as it is read (default: 1)",
    )
    add_server_arguments(parser, port=9001)


def _speed(text: str) -> float:
    return 0.0 if text == "max" else share(text)


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    try:
        recordings = read_recording(arguments.file)
    except (OSError, ImportError, WebSocketRecordingException) as exc:
        return complain(exc)
    playlist = Playlist(recordings)
    offered = _subprotocols(recordings)

    def choose(_request: Request, names: tuple[str, ...]) -> str | None:
        return next((name for name in offered if name in names), None)

    with Reactor() as loop:
        return serve(
            loop,
            arguments,
            lambda: Played(playlist, arguments.speed, loop),
            subprotocols=choose,
            ping_interval=None,
        )
