"""A reactor on a clock that stands still, and far ends that do what the test says.

:class:`Scene` takes the place of the connect pipeline: every attempt to connect waits until the
test makes it succeed, with one end of a socket pair, or fail. The other end is a :class:`Peer`.
Nothing happens but in :meth:`Scene.turn`, and no time passes but what that is told.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, TypeVar

from reactor import Reactor, WebSocketProtocol
from reactor.client.options import ClientOptions
from reactor.client.pipeline import ClientUpgrade
from reactor.client.url import parse_url
from reactor.loop.steps import wait
from reactor.protocols.deflate import Agreement
from reactor.protocols.http.headers import Headers
from reactor.protocols.http.http11 import Response
from reactor.testing import in_thread
from reactor.timers import ManualClock

from .recorder import Recorder
from .websocket_frames import CLOSE, TEXT, Frame, build_frame, close_payload, read_frames

__all__ = [
    "FAULT",
    "GOODBYE",
    "START",
    "Actor",
    "Attempt",
    "Peer",
    "Scene",
    "WatchedSocket",
    "closes",
    "echo",
    "in_thread",
    "text",
    "watched_pair",
]

P = TypeVar("P", bound=WebSocketProtocol)

START = 1000.0

#: What peers may send.
GOODBYE = build_frame(CLOSE, close_payload(1000, b"bye"))
FAULT = build_frame(TEXT, b"x", rsv=4)


def text(message: str) -> bytes:
    """Return a text message as a server sends it."""
    return build_frame(TEXT, message.encode())


def closes(*codes: int) -> list[tuple[int, bytes]]:
    """Return what :meth:`Peer.told` returns for close frames with these codes."""
    return [(CLOSE, close_payload(code)) for code in codes]


class WatchedSocket(socket.socket):
    """A socket that writes down what is asked of it, and takes no more than it is told to.

    Attributes:
        sends: the size of each ``send``, and what was taken of it.
        receives: how many bytes each ``recv`` got; -1 where there was nothing.
        room: how many bytes ``send`` still takes; None: as many as the kernel does.
        fault: an exception that the next ``send`` or ``recv`` raises.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.setblocking(False)
        self.sends: list[tuple[int, int]] = []
        self.receives: list[int] = []
        self.room: int | None = None
        self.fault: OSError | None = None

    def send(self, data: Any, flags: int = 0) -> int:
        self._fail()
        size = len(data)
        if self.room == 0:
            self.sends.append((size, 0))
            raise BlockingIOError
        part = memoryview(data) if self.room is None else memoryview(data)[: self.room]
        try:
            taken = super().send(part, flags)
        except BlockingIOError:
            self.sends.append((size, 0))
            raise
        if self.room is not None:
            self.room -= taken
        self.sends.append((size, taken))
        return taken

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        self._fail()
        try:
            data = super().recv(bufsize, flags)
        except BlockingIOError:
            self.receives.append(-1)
            raise
        self.receives.append(len(data))
        return data

    def _fail(self) -> None:
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault


def watched_pair() -> tuple[WatchedSocket, Peer]:
    """Return a socket for the code under test, and its far end."""
    near, far = socket.socketpair()
    return WatchedSocket(near), Peer(far)


class Peer:
    """A far end: a raw, non-blocking socket.

    Attributes:
        sock: that socket.
        received: all bytes that came and were looked at by :meth:`look`.
        ended: whether their end was seen.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.ended = False
        sock.setblocking(False)

    def send(self, *frames: bytes) -> None:
        """Send all of it, as one piece."""
        data = b"".join(frames)
        assert self.sock.send(data) == len(data), "the kernel has no room: send less"

    def text(self, *messages: str) -> None:
        """Send text messages, as one piece."""
        self.send(*map(text, messages))

    def say_goodbye(self, code: int = 1000, reason: bytes = b"") -> None:
        """Send a close frame."""
        self.send(build_frame(CLOSE, close_payload(code, reason)))

    def look(self) -> bytes:
        """Return what has come since the last look."""
        data = b""
        while not self.ended:
            try:
                piece = self.sock.recv(1 << 20)
            except BlockingIOError:
                break
            except ConnectionResetError:
                piece = b""
            self.ended = not piece
            data += piece
        self.received += data
        return data

    def frames(self) -> list[Frame]:
        """Return the frames that have come since the last look."""
        return read_frames(self.look())

    def told(self) -> list[tuple[int, bytes]]:
        """Return opcodes and payloads of the frames that have come since the last look."""
        return [(frame.opcode, frame.payload) for frame in self.frames()]

    def end(self) -> None:
        """End our side, without a word."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket. With unread bytes in it, the near end sees a reset (Linux)."""
        self.sock.close()


class Attempt:
    """One run of the connect pipeline, as the script has it.

    Attributes:
        url, options, header, cookie: what the pipeline was called with.
        at: when, by the scene's clock.
        fate: "pending", "opened", "failed" or "cancelled".
        sock: the near end, once it has succeeded.
    """

    def __init__(self, url: str, options: ClientOptions, header: Any, cookie: Any, at: float):
        self.url = url
        self.options = options
        self.header = header
        self.cookie = cookie
        self.at = at
        self.fate = "pending"
        self.sock: WatchedSocket
        self._ours, self._theirs = socket.socketpair()
        self._outcome: ClientUpgrade | Exception | None = None

    def succeed(
        self,
        *leftover: bytes,
        subprotocol: str | None = None,
        tag: str = "scene",
        agreement: Agreement | None = None,
    ) -> Peer:
        """Let it succeed in the next turn; *leftover* came with the server's head."""
        self.sock, peer = watched_pair()
        self._outcome = ClientUpgrade(
            sock=self.sock,
            url=parse_url("ws://scene/"),
            response=Response(101, "Switching Protocols", Headers([("Tag", tag)])),
            head=f"HTTP/1.1 101 Switching Protocols\r\nTag: {tag}\r\n\r\n".encode(),
            subprotocol=subprotocol,
            leftover=b"".join(leftover),
            agreement=agreement,
        )
        self._ours.send(b"!")
        return peer

    def fail(self, error: Exception) -> None:
        """Let it fail in the next turn."""
        self._outcome = error
        self._ours.send(b"!")

    async def run(self) -> ClientUpgrade:
        """What the connection awaits in place of the pipeline."""
        try:
            while self._outcome is None:
                await wait(reads=[self._theirs.fileno()])
            if isinstance(self._outcome, Exception):
                self.fate = "failed"
                raise self._outcome
            self.fate = "opened"
            return self._outcome
        finally:
            if self.fate == "pending":
                self.fate = "cancelled"
                if isinstance(self._outcome, ClientUpgrade):
                    self._outcome.sock.close()
            self._ours.close()
            self._theirs.close()


class Scene:
    """See the module. Ends with :meth:`end`.

    Attributes:
        clock, loop: the clock, and the reactor that goes by it.
        attempts: all that were begun, in order.
    """

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        # The first ping comes after exactly one interval, not after a random part of it.
        self.loop = Reactor(clock=self.clock, random=lambda: 0.0)
        self.attempts: list[Attempt] = []
        self._peers: list[Peer] = []
        self._faults: list[BaseException] = []
        self.loop.loop.report = self._report  # type: ignore[method-assign]
        self.loop._opener.pipeline = self._connect

    def _report(self, exc: BaseException, source: object) -> None:
        """What a callback of the loop raises: not a handler's fault, but one of our own."""
        self._faults.append(exc)

    async def _connect(
        self, url: str, options: ClientOptions, header: Any = None, cookie: Any = None
    ) -> ClientUpgrade:
        attempt = Attempt(url, options, header, cookie, self.clock.now())
        self.attempts.append(attempt)
        return await attempt.run()

    def turn(self, seconds: float = 0.0, *, count: int = 1) -> None:
        """Let *seconds* pass, then run *count* turns that do not wait."""
        self.clock.advance(seconds)
        for _ in range(count):
            self.loop.run_once(0)

    def connect(self, protocol: P, **options: Any) -> P:
        """Have *protocol* connected, up to the point where the attempt waits for its fate."""
        options.setdefault("ping_interval", None)
        self.loop.connect(options.pop("url", "ws://scene/"), protocol, **options)
        self.turn(count=2)
        return protocol

    def succeed(self, *leftover: bytes, **response: Any) -> Peer:
        """Let the latest attempt succeed."""
        peer = self.attempts[-1].succeed(*leftover, **response)
        self._peers.append(peer)
        self.turn()
        return peer

    def fail(self, error: Exception) -> None:
        """Let the latest attempt fail."""
        self.attempts[-1].fail(error)
        self.turn()

    def open(self, protocol: WebSocketProtocol, *leftover: bytes, **options: Any) -> Peer:
        """Have *protocol* connected, and return the far end."""
        self.connect(protocol, **options)
        return self.succeed(*leftover)

    @property
    def sock(self) -> WatchedSocket:
        """The near end of the connection that was opened last."""
        return self.attempts[-1].sock

    @property
    def timers(self) -> int:
        """How many timers are armed."""
        return self.loop.stats().timers

    def nothing_goes_on(self) -> bool:
        """Whether the reactor has forgotten everything: connections, timers, descriptors."""
        stats = self.loop.stats()
        return not self.loop.connections and (
            (stats.timers, stats.calls, stats.readers, stats.writers) == (0, 0, 0, 0)
        )

    def end(self) -> None:
        """Close the reactor and all far ends."""
        self.loop.close()
        for peer in self._peers:
            peer.close()
        if self._faults:
            raise AssertionError("an exception has come up to the loop") from self._faults[0]
        assert not self.loop.connections
        assert all(attempt.fate != "pending" for attempt in self.attempts)


class Actor(Recorder):
    """A Recorder that does something in its handlers.

    Parameters:
        actions: by the name of the handler without ``on_``, what to call there with the actor.
    """

    def __init__(self, **actions: Callable[[Actor], object]) -> None:
        super().__init__()
        self.actions = actions

    def _act(self, name: str) -> None:
        action = self.actions.get(name)
        if action is not None:
            action(self)

    def on_open(self) -> None:
        super().on_open()
        self._act("open")

    def on_reconnect(self) -> None:
        super().on_reconnect()
        self._act("reconnect")

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self._act("message")

    def on_data(self, data: str | bytes, opcode: int, fin: bool) -> None:
        self.events.append(("data", data, opcode, fin))
        self._act("data")

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(payload)
        self._act("ping")

    def on_pong(self, payload: bytes) -> None:
        super().on_pong(payload)
        self._act("pong")

    def on_writable(self) -> None:
        super().on_writable()
        self._act("writable")

    def on_error(self, error: Exception) -> None:
        super().on_error(error)
        self._act("error")

    def on_close(self, code: int, reason: str) -> None:
        super().on_close(code, reason)
        self._act("close")


def echo(actor: Actor) -> None:
    """An action for on_message: send it back."""
    actor.send(actor.messages[-1])
