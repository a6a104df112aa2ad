"""Connections over plain sockets, and the same script with the compiled twin and without it.

Unlike a scene's, these sockets are of the very class ``socket.socket``, so that the compiled
functions act on them directly. A :class:`Script` says what the peers, the handlers and the user
do; :func:`play` returns a list of all that can be seen of it.
"""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from reactor import Reactor, WebSocketProtocol
from reactor.client.lifecycle import ClientLifecycle
from reactor.client.options import ClientOptions
from reactor.client.pipeline import ClientUpgrade
from reactor.client.url import parse_url
from reactor.connection.connection import Connection
from reactor.connection.reader import Reader
from reactor.connection.sender import Sender
from reactor.loop.event_loop import EventLoop
from reactor.loop.poller import Selector
from reactor.protocols import deflate
from reactor.protocols.deflate import Agreement
from reactor.protocols.http.headers import Headers
from reactor.protocols.http.http11 import Response
from reactor.protocols.session import Role
from reactor.server.lifecycle import ServerLifecycle
from reactor.server.options import ServerOptions
from reactor.server.pipeline import ServerUpgrade
from reactor.timers import ManualClock
from reactor.transports.stream import Stream
from reactor.transports.tls_stream import TLSStream

from ..support.threads import Background
from ..support.websocket_frames import mask_naively

#: The methods that hotpath.py replaces.
TWINS: tuple[tuple[Any, str], ...] = (
    (EventLoop, "_turn"),
    (EventLoop, "_flush"),
    (Stream, "_read"),
    (TLSStream, "_read"),
    (Reader, "data_received"),
    (WebSocketProtocol, "send"),
    (Sender, "send"),
    (Sender, "flush"),
)


@contextmanager
def python_way() -> Iterator[None]:
    """Put back what the compiled functions and objects have replaced, for the block."""
    compiled = [owner.__dict__[name] for owner, name in TWINS]
    of_zlib = deflate.new_compressor, deflate.new_decompressor
    for (owner, name), twin in zip(TWINS, compiled, strict=True):
        setattr(owner, name, twin.__wrapped__)
    deflate.new_compressor, deflate.new_decompressor = zlib.compressobj, zlib.decompressobj
    deflate._scratch.clear()
    try:
        yield
    finally:
        for (owner, name), twin in zip(TWINS, compiled, strict=True):
            setattr(owner, name, twin)
        deflate.new_compressor, deflate.new_decompressor = of_zlib
        deflate._scratch.clear()


def attach(
    loop: Reactor,
    role: Role,
    sock: socket.socket,
    protocol: WebSocketProtocol,
    leftover: bytes = b"",
    agreement: Agreement | None = None,
    **options: Any,
) -> Connection:
    """Open a connection on *sock*, as if the opening handshake were over. Not within a run."""
    sock.setblocking(False)
    options.setdefault("ping_interval", None)
    connection: Any
    if role is Role.CLIENT:
        of_client = ClientOptions(**options)
        lifecycle = ClientLifecycle("ws://twin/", of_client)
        connection = Connection(loop.loop, loop.connections, of_client, lifecycle, protocol)
        connection.start()
        loop.loop._calls.pop()  # that it connects
        response = Response(101, "Switching Protocols", Headers([]))
        url = parse_url("ws://twin/")
        upgrade = ClientUpgrade(sock, url, response, b"", None, leftover, agreement)
        lifecycle._connected(upgrade, None)
    else:
        listener: Any = SimpleNamespace(
            registry=loop.connections,
            connections=set(),
            place="twin:1",
            connection_over=lambda connection: None,
            leave=lambda address: None,
        )
        checked = ServerOptions(**options)
        upgraded = ServerUpgrade(sock, b"", leftover, None, checked, None, agreement)
        serving = ServerLifecycle(listener, b"GET /twin HTTP/1.1\r\n\r\n", None)
        connection = Connection(loop.loop, loop.connections, checked, serving, protocol)
        connection.start()
        serving.open(upgraded)
    return connection


def with_tls(
    near: socket.socket, far: socket.socket, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Do the handshake of TLS between two sockets of a pair; the near one is TLS's server."""
    server, client = contexts
    ends = (
        server.wrap_socket(near, server_side=True, do_handshake_on_connect=False),
        client.wrap_socket(far, server_hostname="localhost", do_handshake_on_connect=False),
    )
    waiting = list(ends)
    while waiting:
        sock = waiting.pop(0)
        sock.setblocking(False)
        try:
            sock.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            waiting.append(sock)
    return ends


def unmask(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return first octet, length and plain payload of each frame; of the last, what there is."""
    found = []
    while len(data) >= 2:
        length, start = data[1] & 127, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(data[2:start], "big")
        key = data[start : start + 4] if data[1] & 128 else bytes(4)
        start += 4 if data[1] & 128 else 0
        payload = data[start : start + length]
        found.append((data[0], length, mask_naively(payload, key) if len(key) == 4 else b""))
        data = data[start + length :]
    return found


# --- scripts ------------------------------------------------------------------------------------


class Text(str):
    """A str of a class of the user's own."""

    __slots__ = ()


class Octets(bytes):
    """The same of bytes."""


#: How the value of a send is made of what the script has.
MAKERS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda value: value,
    "subclass": lambda value: Text(value) if isinstance(value, str) else Octets(value),
    "bytearray": lambda value: bytearray(value.encode() if isinstance(value, str) else value),
    "memoryview": lambda value: memoryview(value.encode() if isinstance(value, str) else value),
    "int": len,
}


@dataclass
class Script:
    """What happens. Two connections on one loop; *which* is the number of one.

    Attributes:
        role: of both connections.
        options: of both connections.
        own_masks: whether the client's keys are those of the option ``mask_key``.
        agreement: on compression.
        packets: the sockets keep the bounds of what is written, so that these are seen.
        contexts: TLS lies in between, with these of the near and the far end; None: it does not.
        room: the size of the send buffers; None: the system's.
        selector: makes the loop's; None: the default.
        reactions: for each call of a handler in turn, what it does.
        steps: ``("peer", which, bytes)``, ``("turn",)``, ``("advance", seconds)``,
            ``("do", which, action)``, ``("soon", which, action)``, ``("look", which, bytes)``,
            ``("end", which)``, ``("reset", which)``.
    """

    role: Role
    options: dict[str, Any]
    own_masks: bool = True
    agreement: Agreement | None = None
    packets: bool = False
    contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
    room: int | None = None
    selector: Callable[[], Selector] | None = None
    reactions: list[list[tuple[Any, ...]]] = field(default_factory=list)
    steps: list[tuple[Any, ...]] = field(default_factory=list)


class Puppet(WebSocketProtocol):
    """Writes down every call of a handler, and does what the script says."""

    def __init__(self, stage: _Stage, name: int) -> None:
        self.stage = stage
        self.name = name

    def _called(self, handler: str, *args: object) -> None:
        self.stage.log.append((self.name, handler, *args))
        if self.stage.reactions:
            for action in self.stage.reactions.pop(0):
                self.act(*action)

    def act(self, verb: str, *args: Any) -> None:
        """Do one thing, and write down what came of it."""
        try:
            done: object = getattr(self, f"do_{verb}")(*args)
        except Exception as exc:
            self.stage.log.append((self.name, verb, type(exc), str(exc)))
            if verb == "raise":
                raise
        else:
            self.stage.log.append((self.name, verb, done))

    def do_send(self, kind: str, value: str | bytes, compress: bool | None = None) -> int:
        return self.send(MAKERS[kind](value), compress)

    def do_send_in_thread(self, value: str | bytes) -> int:
        size = Background(self.send, value).result()
        assert isinstance(size, int)
        return size

    def do_raise(self) -> None:
        raise ValueError(f"raised by {self.name}")

    def do_interrupt(self, kind: type[BaseException]) -> None:
        raise kind("out of a handler")

    def do_fragment(self, data: str | bytes, fin: bool) -> None:
        self.send_fragment(data, fin)

    def do_fragments(self, data: list[str] | list[bytes]) -> None:
        self.send_fragments(data)

    def do_ping(self, payload: bytes) -> int:
        return self.ping(payload)

    def do_close(self, code: int) -> None:
        self.close(code, "enough")

    def do_abort(self) -> None:
        self.abort()

    def do_pause(self) -> None:
        self.pause_reading()

    def do_resume(self) -> None:
        self.resume_reading()

    def do_timer(self, delay: float) -> None:
        self.stage.loop.call_later(delay, self._called, "timer")

    def do_soon(self) -> None:
        self.stage.loop.call_soon(self._called, "call")

    def do_other(self, *action: Any) -> None:
        self.stage.puppets[1 - self.name].act(*action)

    def on_open(self) -> None:
        self._called("open")

    def on_message(self, message: str | bytes) -> None:
        self._called("message", type(message), message)

    def on_data(self, data: str | bytes, opcode: int, fin: bool) -> None:
        self._called("data", type(data), data, opcode, fin)

    def on_ping(self, payload: bytes) -> None:
        self._called("ping", payload)

    def on_pong(self, payload: bytes) -> None:
        self._called("pong", payload)

    def on_writable(self) -> None:
        self._called("writable", self.buffered_amount)

    def on_error(self, error: Exception) -> None:
        self._called("error", type(error), str(error), sys.exc_info()[1] is error)

    def on_close(self, code: int, reason: str) -> None:
        self._called("close", code, reason)


class _Stage:
    """One performance of a script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.log: list[Any] = []
        self.reactions = list(script.reactions)
        self.clock = ManualClock(1000.0)
        selector = None if script.selector is None else script.selector()
        self.loop = Reactor(clock=self.clock, selector=selector)
        self.loop.loop.report = self._report  # type: ignore[method-assign]
        self.puppets = [Puppet(self, 0), Puppet(self, 1)]
        self.connections: list[Connection] = []
        self.far: list[socket.socket] = []
        self.left = [b"", b""]
        self._drawn = 0

    def _report(self, exc: BaseException, source: object) -> None:
        self.log.append(("reported", type(exc), str(exc)))

    def _mask(self, size: int) -> bytes | str:
        self._drawn += 1
        key = bytes((self._drawn * 7 + i * 31) & 255 for i in range(size))
        return key.decode("latin-1") if self._drawn % 3 == 0 else key

    def _open(self) -> None:
        script = self.script
        options = dict(script.options)
        if script.role is Role.CLIENT and script.own_masks:
            options["mask_key"] = self._mask
        kind = socket.SOCK_SEQPACKET if script.packets else socket.SOCK_STREAM
        for puppet in self.puppets:
            near, far = socket.socketpair(socket.AF_UNIX, kind)
            if script.room is not None:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, script.room)
            if script.contexts is not None:
                near, far = with_tls(near, far, script.contexts)
            far.setblocking(False)
            self.far.append(far)
            self._guard(
                lambda near=near, puppet=puppet: self.connections.append(  # type: ignore[misc]
                    attach(
                        self.loop,
                        script.role,
                        near,
                        puppet,
                        agreement=script.agreement,
                        **options,
                    )
                )
            )

    def _guard(self, function: Callable[[], object]) -> None:
        """Call *function*; what leaves it is written down."""
        try:
            function()
        except (KeyboardInterrupt, SystemExit, ValueError) as exc:
            self.log.append(("left", type(exc), str(exc)))

    def perform(self) -> list[Any]:
        try:
            self._open()
            for step in self.script.steps:
                self._step(*step)
                self._look_at_all()
            for _ in range(3):
                self._step("turn")
            for which in range(len(self.connections)):
                self._step("look", which, None)
            self._look_at_all()
            self.reactions.clear()
            for which in range(len(self.connections)):
                self._step("do", which, ("abort",))
            self._step("turn")
            self._look_at_all()
        finally:
            seen, self.log = self.log, []  # what follows has no order of its own
            self.reactions.clear()
            self._guard(self.loop.close)
            for sock in self.far:
                sock.close()
            for puppet in self.puppets:
                sock_left = puppet.sock
                assert sock_left is None or sock_left.fileno() < 0
        return seen

    def _step(self, what: str, *args: Any) -> None:
        if what in ("peer", "look", "do", "soon", "end", "reset"):
            which = args[0]
            if which >= len(self.connections):  # an interrupted on_open
                return
        self._guard(lambda: getattr(self, f"_{what}")(*args))

    def _turn(self) -> None:
        self.loop.run_once(0)

    def _advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def _peer(self, which: int, data: bytes) -> None:
        try:
            self.log.append(("came", which, self.far[which].send(data)))
        except OSError as exc:
            self.log.append(("came not", which, self._fault(exc)))

    def _do(self, which: int, action: tuple[Any, ...]) -> None:
        self.puppets[which].act(*action)

    def _soon(self, which: int, action: tuple[Any, ...]) -> None:
        self.loop.call_soon(self.puppets[which].act, *action)

    def _end(self, which: int) -> None:
        far: Any = self.far[which]
        try:
            if self.script.contexts is None:
                far.shutdown(socket.SHUT_WR)
            elif far.fileno() >= 0:
                far._sslobj.shutdown()  # close_notify; and it can still read
        except OSError as exc:
            self.log.append(("end", which, self._fault(exc)))

    def _reset(self, which: int) -> None:
        self.far[which].close()

    def _fault(self, error: OSError) -> type[OSError]:
        """What a peer's call has come to. In TLS, that may hang on an errno of long ago."""
        return type(error) if self.script.contexts is None else OSError

    def _look(self, which: int, most: int | None) -> None:
        """Read what has left for a peer: *most* bytes (or one packet), or all."""
        taken = 0
        while most is None or taken < most:
            size = 1 << 20 if most is None or self.script.packets else most - taken
            try:
                data = self.far[which].recv(size)
            except OSError as exc:
                self.log.append(("left", which, self._fault(exc)))
                break
            if not data:
                self.log.append(("left", which, "the end"))
                break
            taken += len(data)
            self.left[which] += data
            if self.script.own_masks:
                self.log.append(("left", which, data))
            else:
                self.log.append(("left", which, len(data), unmask(self.left[which])))

    def _look_at_all(self) -> None:
        stats = self.loop.stats()
        self.log.append(
            (stats, len(self.loop.loop.dirty), len(self.loop.loop.lingering), self.loop.loop.now)
        )
        for connection, puppet in zip(self.connections, self.puppets, strict=False):
            session, stream = connection.session, connection.stream
            self.log.append(
                (
                    puppet.state,
                    connection.phase,
                    puppet.buffered_amount,
                    connection.last_activity,
                    stream.state,
                    stream.queued,
                    stream.above_high,
                    stream.reading,
                    session.state,
                    session.sent_close,
                    session.received_close,
                    session.unfinished,
                    session.ended,
                    session.sending,
                    session._tail,
                    sum(map(len, session.output)),
                )
            )


def play(script: Script) -> list[Any]:
    """Perform *script*, and return all that could be seen."""
    logging.disable(logging.CRITICAL)  # tracebacks take most of the time
    try:
        return _Stage(script).perform()
    finally:
        logging.disable(logging.NOTSET)
