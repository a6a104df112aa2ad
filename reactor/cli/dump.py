"""Talk to WebSocket servers from the terminal: shows what comes, sends what is typed.

The flags and the output are those of websocket-client's ``wsdump``. New: several URLs at once,
``--reconnect``, ``--ping-interval``, ``--json`` and ``--record``. What comes is shown on one line,
its control characters escaped, and cut where it is very long; in colour where standard output is a
terminal.

What is piped in is sent line by line when the connections are open. After its end the answers are
waited for: until a ping that follows the last line is answered, and as many messages as lines have
come, or nothing comes for two seconds. The exit status is 0 when all connections were open, and
none was lost.
"""

from __future__ import annotations

import argparse
import os
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..classic.app.app import WebSocketApp
from ..classic.frame import ABNF
from ..classic.tracing import enableTrace
from ..client.proxy_choice import parse_proxy
from ..exceptions import WebSocketException
from ..reactor import Reactor
from .arguments import Parser, complain, fill_standard_streams, seconds, version
from .arguments import url as a_url
from .showing import JSONLines, Lines, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import termios
except ImportError:  # not on this platform
    termios = None  # type: ignore[assignment]

try:  # line editing and history for input()
    import readline as _readline  # noqa: F401
except ImportError:
    pass

__all__ = ["add_arguments", "main", "run"]

#: Bytes that may wait to be sent, or for a connection, while more of the input is read.
MOST_UNSENT = 1 << 20

#: Seconds between two looks at what is left to do.
LOOK = 0.05

# After the end of the input, in seconds: how long nothing comes when all is answered; how much
# longer a stream of messages is shown that never pauses; how long a silence is waited for an
# answer; and how long a server may take nothing of what is sent.
QUIET, FLOOD, SILENCE, STUCK = 0.25, 1.0, 2.0, 30.0

#: Seconds that the servers have for the closing handshake.
FAREWELL = 1.0

#: What the ping after the last line carries.
LAST_PING = b"reactor dump: was that all"


class _Verbosity(argparse.Action):
    """``-v`` is 1, ``-v 2`` and ``-vv`` are 2."""

    def __call__(self, _parser: Any, namespace: Any, values: Any, _option: Any = None) -> None:
        text = "1" if values is None else str(values)
        setattr(namespace, self.dest, int(text) if text.isdigit() else text.count("v") + 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    parser.add_argument("urls", nargs="+", metavar="ws_url", type=a_url, help="ws:// or wss://")
    parser.add_argument("-p", "--proxy", help="proxy URL, for example http://127.0.0.1:8080")
    parser.add_argument(
        "-v",
        "--verbose",
        nargs="?",
        default=0,
        action=_Verbosity,
        help="1: show opcodes; 2: trace heads and frames",
    )
    parser.add_argument("-n", "--nocert", action="store_true", help="accept any certificate")
    parser.add_argument("-r", "--raw", action="store_true", help="no prompt, no colours")
    parser.add_argument("-j", "--json", action="store_true", help="show an object of JSON a line")
    parser.add_argument("-s", "--subprotocols", nargs="*", help="subprotocols to offer")
    parser.add_argument("-o", "--origin", help="value of the Origin header")
    parser.add_argument(
        "--eof-wait",
        type=seconds,
        default=0.0,
        help="seconds to go on at least, once connected, after the end of the input",
    )
    parser.add_argument("-t", "--text", help="text to send when connected")
    parser.add_argument("--timings", action="store_true", help="show when a message came")
    parser.add_argument("--headers", help="further headers, separated by commas")
    parser.add_argument(
        "--reconnect",
        type=seconds,
        default=0.0,
        help="seconds after which a lost connection is remade; 0: never",
    )
    parser.add_argument(
        "--ping-interval", type=seconds, default=0.0, help="seconds between pings; 0: no pings"
    )
    parser.add_argument(
        "--record", metavar="FILE", help="record to this file (pcapng, for Wireshark)"
    )
    parser.add_argument("--version", action="version", version=version())


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``reactor-dump``; return the exit status."""
    parser = Parser(prog="reactor-dump", description=(__doc__ or "").partition("\n")[0])
    add_arguments(parser)
    fill_standard_streams()
    return run(parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    if arguments.verbose > 1:
        enableTrace(True)
    with Reactor() as loop, _same_terminal(), ExitStack() as stack:
        show = _shower(arguments)
        try:
            if arguments.record:
                from ..monitor.recording.recorder import record  # loaded when it is needed

                stack.enter_context(record(loop, arguments.record))
            dump = _Dump(loop, arguments, show)
        except (ValueError, TypeError, WebSocketException) as exc:
            return complain(exc)
        except (OSError, ImportError) as exc:
            return complain(f"argument --record: {exc}")
        show.begin()
        dump.start_input()
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            if sys.stdin.isatty() and sys.stderr.isatty():
                print(file=sys.stderr)  # a line of its own for the shell's prompt
        loop.shutdown(timeout=FAREWELL)
    return 1 if dump.failed else 0


def _shower(arguments: argparse.Namespace) -> Lines:
    kind = (arguments.verbose, arguments.timings)
    if arguments.json:
        return JSONLines(*kind)
    if arguments.raw or not sys.stdout.isatty():
        return Lines(*kind)
    return Terminal(*kind, prompt=sys.stdin.isatty())


@contextmanager
def _same_terminal() -> Iterator[None]:
    """Leave the terminal as it was: a thread that is in input() then cannot."""
    before = None
    if termios is not None and sys.stdin.isatty():
        before = termios.tcgetattr(sys.stdin.fileno())
    try:
        yield
    finally:
        if before is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


class _Line:
    """One of the connections.

    Attributes:
        app, url, label: the app, its URL, and what is put in front of each of its lines.
        unsent: lines for it that came before it was open.
        opened: when it was open for the first time (seconds of the monotonic clock), or None.
        sent, answers: how many messages have gone and come.
        changed: when something has come, or left, for the last time.
        pinged, ponged: whether the last ping was sent, and answered.
    """

    def __init__(self, number: int, url: str, one_of_many: bool) -> None:
        self.app: WebSocketApp
        self.url = url
        self.label = f"[{number}] " if one_of_many else ""
        self.unsent: list[str] = []
        self.opened: float | None = None
        self.sent = 0
        self.answers = 0
        self.changed = 0.0
        self.pinged = False
        self.ponged = False
        self.answered: float | None = None  # since when all is

    def send(self, text: str) -> None:
        """Send a message now."""
        self.sent += 1
        self.app.send(text)

    def is_done(self, since: float, now: float) -> bool:
        """Whether everything is sent, and its answers have come. *since*: the earliest moment."""
        if not self.pinged:
            self.pinged = True
            self.changed = now
            self.app.sock.ping(LAST_PING)
            return False
        if not self.ponged or self.answers < self.sent:
            self.answered = None
            return now - max(self.changed, since) > SILENCE
        if self.answered is None:
            self.answered = now
        quiet = now - max(self.changed, since)
        return quiet > QUIET or now - self.answered > FLOOD


class _Dump:
    """The connections, and the input."""

    def __init__(self, loop: Reactor, arguments: argparse.Namespace, show: Lines) -> None:
        self._loop = loop
        self._arguments = arguments
        self._show = show
        self._unfinished = b""  # a line of the input that has no end yet
        self._input_ended: float | None = None
        self._buffered = (0, 0.0)  # what waited to be sent, and since when it is that
        self._failed = False  # a connection could not be made, or was lost
        header = [part.strip() for part in (arguments.headers or "").split(",") if part.strip()]
        options: dict[str, Any] = {
            "origin": arguments.origin,
            "ping_interval": arguments.ping_interval,
            "reconnect": arguments.reconnect,
        }
        if arguments.proxy:
            options.update(_proxy(arguments.proxy))
        if arguments.nocert:
            options["sslopt"] = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
        many = len(arguments.urls) > 1
        self._lines = [_Line(number, url, many) for number, url in enumerate(arguments.urls)]
        for line in self._lines:
            line.app = self._app(line, header)
            line.app.run_forever(dispatcher=loop, **options)

    @property
    def failed(self) -> bool:
        """Whether a connection was never open, or was lost."""
        return self._failed or any(line.opened is None for line in self._lines)

    def _app(self, line: _Line, header: list[str]) -> WebSocketApp:
        show = self._show
        app = WebSocketApp(
            line.url,
            header=header,
            subprotocols=self._arguments.subprotocols,
            on_open=lambda _app: self._on_open(line),
            on_data=lambda _app, data, opcode, _fin: self._on_data(line, data, opcode),
            on_ping=lambda _app, data: show.data(line.label, line.url, ABNF.OPCODE_PING, data),
            on_pong=lambda _app, data: self._on_pong(line, data),
            on_error=lambda _app, error: self._on_error(line, error),
            on_close=lambda _app, code, reason: self._on_close(line, code, reason),
        )
        app.error_on_close = False
        return app

    # -- what comes ----------------------------------------------------------------------

    def _on_open(self, line: _Line) -> None:
        line.changed = time.monotonic()
        if line.opened is None:
            line.opened = line.changed
        self._show.opened(line.label, line.url)
        if self._arguments.text:
            line.send(self._arguments.text)
        early, line.unsent = line.unsent, []
        for text in early:
            line.send(text)

    def _on_data(self, line: _Line, data: str | bytes, opcode: int) -> None:
        line.answers += 1
        line.changed = time.monotonic()
        self._show.data(line.label, line.url, opcode, data)

    def _on_pong(self, line: _Line, data: bytes) -> None:
        if line.pinged and bytes(data) == LAST_PING:
            line.ponged = True
        else:
            self._show.data(line.label, line.url, ABNF.OPCODE_PONG, data)

    def _on_error(self, line: _Line, error: BaseException) -> None:
        self._failed = not self._arguments.reconnect
        ours = error.__cause__  # says more than what the operating system has said
        self._show.error(
            line.label, line.url, ours if isinstance(ours, WebSocketException) else error
        )

    def _on_close(self, line: _Line, code: int | None, reason: str | None) -> None:
        self._show.closed(line.label, line.url, code, reason)
        line.pinged = line.ponged = False  # for the next connection, if there is one
        if not any(each.app.keep_running for each in self._lines):
            self._loop.stop()

    # -- what is typed -------------------------------------------------------------------

    def start_input(self) -> None:
        """Begin to send what is typed, line by line."""
        if sys.stdin.isatty() and sys.stdout.isatty():
            # On a thread: input() blocks, and has history and line editing.
            threading.Thread(target=self._read_terminal, daemon=True).start()
            return
        self._await_input()

    def _await_input(self) -> None:
        try:
            self._loop.add_reader(sys.stdin.fileno(), self._read_input)
        except OSError:  # a file on a disk, which is always ready
            self._loop.call_soon(self._read_input)

    def _read_terminal(self) -> None:
        silent = self._arguments.raw or self._arguments.json
        while True:
            try:
                line = input("" if silent else "> ")
            except (EOFError, OSError):
                break
            self._loop.call_soon_threadsafe(self._send, line)
        self._loop.call_soon_threadsafe(self._end_input)

    def _read_input(self) -> None:
        """Read and send a part of the input, and wait for the next, or for room for it."""
        fd = sys.stdin.fileno()
        self._loop.remove_reader(fd)
        if self._unsent() > MOST_UNSENT:
            self._loop.call_later(LOOK, self._read_input)
            return
        data = os.read(fd, 65536)
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if not data and self._unfinished:
            lines.append(self._unfinished)
        for line in lines:
            self._send(line.decode(errors="replace"))
        if data:
            self._await_input()
        else:
            self._end_input()

    def _send(self, text: str) -> None:
        for line in self._lines:
            if line.app.ready():
                try:
                    line.send(text)
                except WebSocketException as exc:  # it is being closed
                    self._on_error(line, exc)
            elif line.app.keep_running:
                line.unsent.append(text)

    def _unsent(self) -> int:
        """How many bytes wait to be sent, or for a connection."""
        waiting = max(
            (sum(map(len, line.unsent)) for line in self._lines if line.app.keep_running), default=0
        )
        return waiting + max(
            (each.sender.buffered_amount for each in self._loop.connections), default=0
        )

    # -- the end -------------------------------------------------------------------------

    def _end_input(self) -> None:
        self._input_ended = time.monotonic()
        self._loop.call_every(LOOK, self._perhaps_stop)

    def _perhaps_stop(self) -> None:
        now = time.monotonic()
        unsent = self._unsent()
        if unsent != self._buffered[0]:
            self._buffered = unsent, now
        if unsent and any(line.app.ready() for line in self._lines):
            if now - self._buffered[1] > STUCK:
                self._failed = True
                self._loop.stop()
            return
        if all(self._is_done(line, now) for line in self._lines):
            self._loop.stop()

    def _is_done(self, line: _Line, now: float) -> bool:
        if not line.app.keep_running:
            return True
        if line.opened is None:
            return False
        since = max(line.opened, self._input_ended or 0.0)
        waited = now - since >= self._arguments.eof_wait
        if not line.app.ready():  # lost, and to be opened anew
            return waited and not line.unsent
        return line.is_done(since, now) and waited


def _proxy(url: str) -> dict[str, Any]:
    proxy = parse_proxy(url if "://" in url else f"http://{url}")
    auth = (proxy.username, proxy.password or "") if proxy.username else None
    return {
        "http_proxy_host": proxy.host,
        "http_proxy_port": proxy.port,
        "http_proxy_auth": auth,
        "proxy_type": proxy.kind,
    }
