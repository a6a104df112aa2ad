"""Talk to WebSocket servers from the terminal: show what is received, send what is typed.

The flags and the output are those of websocket-client's ``wsdump``. New: several URLs at once,
``--reconnect`` and ``--ping-interval``. A message is shown on one line, its control characters
escaped, and cut if it is very long.
"""

from __future__ import annotations

import argparse
import os
import ssl
import sys
import threading
import time
import zlib
from codecs import getincrementaldecoder
from collections.abc import Sequence
from typing import Any

from ..base.printable import printable, quoted
from ..classic.app.app import WebSocketApp
from ..classic.frame import ABNF
from ..classic.tracing import enableTrace
from ..client.proxies import parse_proxy
from ..exceptions import WebSocketException
from ..reactor import Reactor

try:  # line editing and history for input()
    import readline as _readline  # noqa: F401
except ImportError:
    pass

__all__ = ["add_arguments", "main", "run"]

#: The number of characters of a message that are shown.
LONGEST = 65536


class _Verbosity(argparse.Action):
    """``-v`` is 1, ``-v 2`` and ``-vv`` are 2."""

    def __call__(self, _parser: Any, namespace: Any, values: Any, _option: Any = None) -> None:
        text = "1" if values is None else str(values)
        setattr(namespace, self.dest, int(text) if text.isdigit() else text.count("v") + 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    parser.add_argument("urls", nargs="+", metavar="ws_url", help="ws:// or wss://")
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
    parser.add_argument("-s", "--subprotocols", nargs="*", help="subprotocols to offer")
    parser.add_argument("-o", "--origin", help="value of the Origin header")
    parser.add_argument(
        "--eof-wait", type=float, default=0, help="seconds to go on after the end of the input"
    )
    parser.add_argument("-t", "--text", help="text to send when connected")
    parser.add_argument("--timings", action="store_true", help="show when a message was received")
    parser.add_argument("--headers", help="further headers, separated by commas")
    parser.add_argument(
        "--reconnect", type=float, default=0, help="seconds until a lost connection is reopened"
    )
    parser.add_argument("--ping-interval", type=float, default=0, help="seconds between pings")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``wsdump``; return the exit status."""
    parser = argparse.ArgumentParser(prog="wsdump", description=(__doc__ or "").partition("\n")[0])
    add_arguments(parser)
    return run(parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    if arguments.verbose > 1:
        enableTrace(True)
    with Reactor() as loop:
        try:
            dump = _Dump(loop, arguments)
        except (ValueError, TypeError, WebSocketException) as exc:
            print(exc, file=sys.stderr)
            return 2
        if not arguments.raw:
            print("Press Ctrl+C to quit")
        dump.start_input()
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            pass
        loop.shutdown(timeout=3.0)
    return 1 if dump.failed else 0


class _Dump:
    """The connections, and the terminal."""

    def __init__(self, loop: Reactor, arguments: argparse.Namespace) -> None:
        self._loop = loop
        self._arguments = arguments
        self._started = time.monotonic()
        self._open = len(arguments.urls)
        self._unfinished = b""  # the last line of the input, if it has no end yet
        self._typed_early: dict[WebSocketApp, list[str]] = {}  # lines typed before it was connected
        self.failed = False  # a connection could not be made, or was lost
        header = [part.strip() for part in (arguments.headers or "").split(",") if part.strip()]
        options: dict[str, Any] = {
            "origin": arguments.origin,
            "ping_interval": arguments.ping_interval,
            "reconnect": arguments.reconnect,
            "proxy": arguments.proxy,
        }
        if arguments.nocert:
            options["sslopt"] = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
        self._apps = [
            self._app(number, url, header, options) for number, url in enumerate(arguments.urls)
        ]

    def _app(
        self, number: int, url: str, header: list[str], options: dict[str, Any]
    ) -> WebSocketApp:
        # With several connections, every line is labelled with its connection.
        label = f"[{number}] " if len(self._arguments.urls) > 1 else ""
        app = WebSocketApp(
            url,
            header=header,
            subprotocols=self._arguments.subprotocols,
            on_open=self._on_open,
            on_data=lambda _app, data, opcode, _fin: self._show(label, opcode, data),
            on_ping=lambda _app, data: self._show_control(label, ABNF.OPCODE_PING, data),
            on_pong=lambda _app, data: self._show_control(label, ABNF.OPCODE_PONG, data),
            on_error=lambda _app, error: self._on_error(label, error),
            on_close=lambda app, code, reason: self._on_close(label, app, code, reason),
        )
        app.error_on_close = False
        options = dict(options)
        proxy = options.pop("proxy")
        if proxy:
            options.update(_proxy(proxy))
        app.run_forever(dispatcher=self._loop, **options)
        return app

    # -- what is received ----------------------------------------------------------------

    def _on_open(self, app: WebSocketApp) -> None:
        if self._arguments.text:
            app.send(self._arguments.text)
        for line in self._typed_early.pop(app, []):
            app.send(line)

    def _show(self, label: str, opcode: int, data: str | bytes) -> None:
        text = data if isinstance(data, str) else _unpack(data)
        if self._arguments.verbose:
            text = f"{ABNF.OPCODE_MAP.get(opcode)}: {text}"
        if self._arguments.timings:
            text = f"{time.monotonic() - self._started:.3f}: {text}"
        self._print(label + text)

    def _show_control(self, label: str, opcode: int, data: bytes) -> None:
        if self._arguments.verbose:
            self._show(label, opcode, repr(data))

    def _on_error(self, label: str, error: Exception) -> None:
        self.failed = not self._arguments.reconnect
        ours = error.__cause__  # it says more than the operating system's message
        self._print(f"{label}{ours if isinstance(ours, WebSocketException) else error}")

    def _on_close(
        self, label: str, app: WebSocketApp, code: int | None, reason: str | None
    ) -> None:
        if self._arguments.verbose:
            words = [str(word) for word in (code, reason) if word]
            self._show(label, ABNF.OPCODE_CLOSE, " ".join(words))
        if not app.keep_running:
            self._open -= 1
            if not self._open:
                self._loop.stop()

    def _print(self, text: str) -> None:
        text = printable(text, LONGEST)
        if self._arguments.raw:
            print(text, flush=True)
        else:
            # Clear the prompt's line; print the text in blue; print the prompt again.
            print(f"\033[2K\033[E\033[34m< {text}\033[39m\n> ", end="", flush=True)

    # -- what is typed -------------------------------------------------------------------

    def start_input(self) -> None:
        """Begin to send what is typed, line by line."""
        if sys.stdin.isatty():
            # On a thread: input() blocks, and has history and line editing.
            threading.Thread(target=self._read_terminal, daemon=True).start()
            return
        try:
            self._loop.add_reader(sys.stdin.fileno(), self._read_input)
        except OSError:  # a file on a disk, which is always readable
            self._loop.call_soon(self._read_input)

    def _read_terminal(self) -> None:
        prompt = "" if self._arguments.raw else "> "
        while True:
            try:
                line = input(prompt)
            except (EOFError, OSError):
                break
            self._loop.call_soon_threadsafe(self._send, line)
        self._loop.call_soon_threadsafe(self._end_input)

    def _read_input(self) -> None:
        fd = sys.stdin.fileno()
        data = os.read(fd, 65536)
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if not data and self._unfinished:
            lines.append(self._unfinished)
        for line in lines:
            self._send(line.decode(errors="replace"))
        if not data:
            self._loop.remove_reader(fd)
            self._end_input()
        elif fd not in self._loop.loop.poller.readers:
            self._loop.call_soon(self._read_input)

    def _end_input(self) -> None:
        self._loop.call_later(self._arguments.eof_wait, self._loop.stop)

    def _send(self, line: str) -> None:
        for app in self._apps:
            if app.ready():
                app.send(line)
            elif app.keep_running:
                self._typed_early.setdefault(app, []).append(line)


def _proxy(url: str) -> dict[str, Any]:
    proxy = parse_proxy(url if "://" in url else f"http://{url}")
    auth = (proxy.username, proxy.password or "") if proxy.username else None
    return {
        "http_proxy_host": proxy.host,
        "http_proxy_port": proxy.port,
        "http_proxy_auth": auth,
        "proxy_type": proxy.kind,
    }


def _unpack(data: bytes) -> str:
    """Return bytes as text for display; unpack gzip and raw deflate, as far as it is shown."""
    kind, wbits = ("gzip", 31) if data[:2] == b"\x1f\x8b" else ("zlib", -zlib.MAX_WBITS)
    unpacker = zlib.decompressobj(wbits)
    try:
        unpacked = unpacker.decompress(data, LONGEST)
        if unpacker.eof:
            return f"[{kind}] {unpacked.decode()}"
        if len(unpacked) == LONGEST:
            # The last character may have been cut in two, which is not an error.
            text = getincrementaldecoder("utf-8")().decode(unpacked)
            return f"[{kind}] {text[: LONGEST - 100]}... (and more)"
    except (zlib.error, UnicodeDecodeError):
        pass
    return quoted(data, LONGEST)
