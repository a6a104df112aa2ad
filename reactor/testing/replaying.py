"""Replays: a recorded connection, said again to a client on a clock that the replay moves.

What it is: :func:`replay`. What it must not know: what the client makes of it.

How it works. The client connects as ever, but to a far end within the process, which gives the
recorded answer and then says the recorded bytes of the server, as they were on the wire:
fragments, compression, faults and all. Each piece is said when as much time has passed since the
connection was open as in the recording: the replay moves the clock from one to the next, and runs
the timers on the way; calls of the client on helper threads are waited for before. So a replay
takes no time but for the work, and is the same each time. If the client connects again, it finds
the next recorded connection.

The links of a feed have their topics in the order in which they are logged in. So connections open
as far apart as in the recording: a far end that is asked earlier takes its time to answer.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ..client.options import ClientOptions
from ..client.pipeline import ClientUpgrade, connect
from ..connection.phase import Phase
from ..exceptions import WebSocketConnectException
from ..feeds.feed import Feed
from ..monitor.recording.playing import Playlist, agreement_of
from ..monitor.recording.reading import End, Recorded, Said, merged, read_recording
from ..protocols.http.handshake import HeaderSource, accept_for
from ..protocols.http.http11 import HeadParser, Request, parse_again
from ..protocols.websocket import WebSocketProtocol
from .inside import calls_in_flight, connect_through
from .loop import ManualReactor

if TYPE_CHECKING:
    from os import PathLike

    from typing_extensions import Unpack  # type checkers know it: it need not be installed

    from ..client.options import ClientArguments
    from ..feeds.signatures import FeedArguments

__all__ = ["replay"]

F = TypeVar("F", bound=Feed)
P = TypeVar("P", bound=WebSocketProtocol)

#: Seconds of the clock that a client has to connect again after a loss.
PATIENCE = 3600.0

#: The share of its ``connect_timeout`` for which a client is made to wait for the answer at most;
#: and the seconds, if it has no such limit.
MOST_WAIT, MOST_SECONDS = 0.5, 5.0

#: Turns in which a client may leave bytes unread before the replay goes on without it.
MOST_TURNS = 10_000


@overload
def replay(
    file: str | PathLike[str],
    protocol: type[F] | F,
    *,
    url: str | None = None,
    loop: ManualReactor | None = None,
    **options: Unpack[FeedArguments],
) -> F: ...


@overload
def replay(
    file: str | PathLike[str],
    protocol: Callable[[], P] | P,
    *,
    url: str | None = None,
    loop: ManualReactor | None = None,
    **options: Unpack[ClientArguments],
) -> P: ...


def replay(
    file: str | PathLike[str],
    protocol: Any,
    *,
    url: str | None = None,
    loop: ManualReactor | None = None,
    **options: Any,
) -> Any:
    """Say to a client what its server said in a recording; return when all is said.

    No time passes: the clock of a ManualReactor is moved. The client meets what was recorded, with
    the times between, and so do its timers. What it says is not looked at.

    Args:
        file: a recording, see ``reactor.monitor.record``.
        protocol: who hears it. A subclass of WebSocketProtocol, a function that returns an object
            of one, or such an object. Or a subclass of Feed, which is subscribed to the topics of
            the recording; or a Feed that was made on a ManualReactor.
        url: where the client believes to connect to; default: the recorded URL.
        loop: the ManualReactor; default: that of a Feed, else a new one, which is closed in the
            end: connections that are still open hear of 1006.
        options: what ``Reactor.connect`` takes, or a Feed. Compression and subprotocols are those
            of the recording unless told otherwise.

    Returns:
        The protocol object, or the Feed.

    Raises:
        WebSocketRecordingException: the file cannot be read; the message names offset and reason.
        TypeError: *protocol* is something else, or a Feed lives on a loop that waits for real time.
        AssertionError: a call of the client on a helper thread has not ended within 10 real
            seconds.
    """
    recordings = read_recording(file)
    if isinstance(protocol, Feed):
        loop = cast("ManualReactor", protocol.loop)
    elif isinstance(protocol, WebSocketProtocol) or callable(protocol):
        pass
    else:
        raise TypeError(f"replay() takes a WebSocketProtocol or a Feed, not {protocol!r}")
    own = loop is None
    if loop is None:
        loop = ManualReactor(random=random.Random(0).random, connect_pace=None)
    if not isinstance(loop, ManualReactor):
        raise TypeError(f"a replay needs a ManualReactor, not {loop!r}")
    stage = _Stage(loop, recordings)
    try:
        with stage:
            heard = _connect(loop, protocol, recordings, url, options)
            stage.play()
    finally:
        if own:
            loop.close()
    return heard


def _connect(
    loop: ManualReactor,
    protocol: Any,
    recordings: list[Recorded],
    url: str | None,
    options: dict[str, Any],
) -> Any:
    """Have the client connect; return it."""
    if isinstance(protocol, Feed):
        return protocol
    first = recordings[0]
    asked = parse_again("request", first.request)
    options = {"subprotocols": asked.headers.tokens("Sec-WebSocket-Protocol"), **options}
    if agreement_of(first) is not None:
        options.setdefault("compression", "deflate")
    url = first.url if url is None else url
    if isinstance(protocol, type) and issubclass(protocol, Feed):
        feed = protocol(loop, url, **options)
        feed.subscribe_many(_topics_of(recordings))
        return feed
    return loop.connect(url, protocol, **options)


def _topics_of(recordings: list[Recorded]) -> list[Any]:
    """Return the topics of all links, in the order in which the links were given them.

    A link is given topics when it is open, or when its login was answered. What the recording has
    is the packet that asks for them, and links that are ready in one turn ask in any order.
    """
    given: list[tuple[int, int, Any]] = []
    for each in recordings:
        heard = sorted((said.offset, said.time) for said in each.said if not said.by_client)
        for offset, topic in zip(each.added, each.topics, strict=True):
            before = bisect.bisect(heard, (offset, 0))
            ready = heard[before - 1][1] if before else each.opened
            given.append((ready, offset, topic))
    return list(dict.fromkeys(topic for *_, topic in sorted(given, key=lambda one: one[:2])))


class _Stage:
    """Where a replay takes place: the far ends, and the clock.

    Args:
        loop: the ManualReactor. While the stage is entered, its connections lead here.
        recordings: what is played.
    """

    def __init__(self, loop: ManualReactor, recordings: list[Recorded]) -> None:
        self._loop = loop
        self._list = Playlist(recordings)
        self._ends: list[_FarEnd] = []
        # When which far end says its next piece: (time, number, far end).
        self._due: list[tuple[float, int, _FarEnd]] = []
        self._numbers = itertools.count()
        # When the latest connection opens: by the clock, and in the recording.
        self._latest: tuple[float, int] | None = None
        self._timer_at = 0.0  # when the next timer of the loop is due; earlier is harmless

    def __enter__(self) -> _Stage:
        self._before = connect_through(self._loop, self._pipeline)
        return self

    def __exit__(self, *_: object) -> None:
        connect_through(self._loop, self._before)
        for end in self._ends:
            end.close()

    async def _pipeline(
        self, url: str, options: ClientOptions, header: HeaderSource, cookie: str | None
    ) -> ClientUpgrade:
        """Open a connection to a far end; what an attempt runs."""
        if not self._list.left:
            raise WebSocketConnectException(None, "the recording has no further connection")
        near, far = socket.socketpair()
        limit = options.connect_timeout
        most = MOST_SECONDS if limit is None else limit * MOST_WAIT
        end = _FarEnd(self._loop, far, self._list, partial(self._asked, most))
        self._ends.append(end)
        _scheme, _, rest = url.partition("://")
        options = replace(options, sock=near, reconnect=None, unix_path=None)
        return await connect(f"ws://{rest}", options, header, cookie)

    def _asked(self, most: float, end: _FarEnd, recorded: Recorded) -> None:
        """A far end has a request: have it answer, within *most* seconds."""
        now = at = self._loop.clock.now()
        if self._latest is not None:
            opened, recorded_opened = self._latest
            at = opened + (recorded.opened - recorded_opened) / 1e9
            at = min(max(at, now), now + most)
        self._latest = (at, recorded.opened)
        if at > now:
            heapq.heappush(self._due, (at, next(self._numbers), end))
        else:
            end.open()
            self._schedule(end)

    def _schedule(self, end: _FarEnd) -> None:
        after = end.next_after()
        if after is not None:
            heapq.heappush(self._due, (end.began + after, next(self._numbers), end))

    def play(self) -> None:
        """Say all that is to be said."""
        loop = self._loop
        loop.settle()
        until = loop.clock.now() + PATIENCE
        while True:
            if self._due:
                if not self._pass(self._due[0][0] - loop.clock.now()):
                    continue
                end = heapq.heappop(self._due)[2]
                if end.say():
                    self._settle(end)
                self._schedule(end)
                until = loop.clock.now() + PATIENCE
            elif not self._list.left or not self._wait(until):
                break
        loop.settle()

    def _wait(self, until: float) -> bool:
        """Let time pass until a client may connect. False: it does not."""
        loop = self._loop
        wants = (Phase.CONNECTING, Phase.WAITING)
        wait = loop.next_timeout()
        if wait is None or not any(each.phase in wants for each in loop.connections):
            return False
        loop.advance(wait)
        self._timer_at = 0.0
        return loop.clock.now() < until

    def _pass(self, seconds: float) -> bool:
        """Move the clock, by so much or to the next timer. False: to a timer, which has run."""
        loop = self._loop
        if seconds <= 0:
            return True
        if self._timer_at > loop.clock.now() + seconds:
            loop.clock.advance(seconds)
            return True
        wait = loop.next_timeout()
        passed = wait is None or wait >= seconds
        loop.clock.advance(seconds if wait is None or passed else wait)
        loop.settle()
        self._timer_at = 0.0
        return passed

    def _settle(self, end: _FarEnd) -> None:
        """Have the client hear what was said, and do what it does at once."""
        loop = self._loop
        for _ in range(MOST_TURNS):
            loop.run_once()
            wait = loop.next_timeout()
            if wait != 0.0 and not end.unsent:
                break
            end.flush()
        if calls_in_flight(loop):
            loop.settle()  # else the next piece would be said before their results are there
            wait = loop.next_timeout()
        self._timer_at = inf if wait is None else loop.clock.now() + wait


class _FarEnd:
    """The server's end of one connection.

    Args:
        loop: the loop.
        sock: its socket.
        playlist: where the connection is found that the request is for.
        asked: called with this object and the recorded connection when there is a request; to have
            it answered, :meth:`open` is called, or :meth:`say`.

    Attributes:
        began: when it has answered, by the clock.
        unsent: bytes that the client has not taken yet.
    """

    def __init__(
        self,
        loop: ManualReactor,
        sock: socket.socket,
        playlist: Playlist,
        asked: Callable[[_FarEnd, Recorded], object],
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._list = playlist
        self._asked = asked
        self._answer = b""  # until it is given
        self._parser: HeadParser[Request] | None = HeadParser("request")
        self._pieces: Iterator[Said | End] = iter(())
        self._next: Said | End | None = None
        self._recorded: Recorded | None = None
        self.began = 0.0
        self.unsent = b""
        loop.add_reader(sock.fileno(), self._read)

    def _read(self) -> None:
        try:
            data = self._sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif self._parser is not None:
            request = self._parser.feed(data)
            if request is not None:
                self._parser = None
                self._take(request)

    def _take(self, request: Request) -> None:
        recorded = self._recorded = self._list.take(request.target)
        if recorded is None:
            self.close()
            return
        self._pieces = (
            each for each in merged(recorded) if isinstance(each, End) or not each.by_client
        )
        self._next = next(self._pieces, None)
        accept = accept_for(request.headers.get("Sec-WebSocket-Key") or "")
        self._answer = _with_accept(recorded.response, accept)
        self._asked(self, recorded)

    def open(self) -> None:
        """Answer the request."""
        self.began = self._loop.clock.now()
        answer, self._answer = self._answer, b""
        self._write(answer)

    def next_after(self) -> float | None:
        """Return after how many seconds the next piece is due; None: there is none."""
        if self._next is None or self._recorded is None or self._sock.fileno() < 0:
            return None
        return max(0.0, (self._next.time - self._recorded.opened) / 1e9)

    def say(self) -> bool:
        """Say the answer, or the next piece. Whether there was anything to say."""
        if self._answer:
            self.open()
            return True
        piece, self._next = self._next, next(self._pieces, None)
        if self._sock.fileno() < 0 or piece is None:
            return False
        if isinstance(piece, Said):
            self._write(piece.data)
        elif not piece.by_client:
            self.close()
        return True

    def _write(self, data: bytes) -> None:
        self.unsent += data
        self.flush()

    def flush(self) -> None:
        """Write what the client takes."""
        try:
            while self.unsent and self._sock.fileno() >= 0:
                self.unsent = self.unsent[self._sock.send(self.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def close(self) -> None:
        """End the connection. Idempotent."""
        self.unsent = b""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()


def _with_accept(head: bytes, accept: str) -> bytes:
    """Return the head of an answer with this value of Sec-WebSocket-Accept."""
    name = b"sec-websocket-accept:"
    lines = head.split(b"\r\n")
    shown = [
        b"Sec-WebSocket-Accept: " + accept.encode() if line.lower().startswith(name) else line
        for line in lines
    ]
    return b"\r\n".join(shown)
