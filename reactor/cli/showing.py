"""How ``reactor dump`` shows what comes: for people at a terminal, in lines for a pipe, or as JSON.

What it is: three classes with the same methods. What it must not know: connections.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from codecs import getincrementaldecoder
from typing import Any

from ..base.printable import printable, quoted
from ..classic.frame import ABNF
from .output import write

__all__ = ["LONGEST", "JSONLines", "Lines", "Terminal", "unpack"]

#: Characters of what came that are shown to people.
LONGEST = 65536


class Lines:
    """One line for each message, in plain text: for pipes and ``--raw``.

    Args:
        verbose: show opcodes, and control frames as well.
        timings: show the seconds since the start.
    """

    def __init__(self, verbose: int = 0, timings: bool = False) -> None:
        self._verbose = verbose
        self._timings = timings
        self._started = time.monotonic()

    def begin(self) -> None:
        """The program begins."""

    def opened(self, label: str, url: str) -> None:
        """A connection is open."""

    def data(self, label: str, url: str, opcode: int, data: str | bytes) -> None:
        """A message, or its control frame, has come."""
        control = opcode in (ABNF.OPCODE_PING, ABNF.OPCODE_PONG)
        if control and not self._verbose:
            return
        text = data if isinstance(data, str) else unpack(data)
        self._show(label, opcode, repr(data) if control else text)

    def closed(self, label: str, url: str, code: int | None, reason: str | None) -> None:
        """A connection is over, or an attempt has failed."""
        if self._verbose:
            words = [str(word) for word in (code, reason) if word]
            self._show(label, ABNF.OPCODE_CLOSE, " ".join(words))

    def error(self, label: str, url: str, error: BaseException) -> None:
        """Something has failed."""
        self._line(f"{label}{error}")

    def _show(self, label: str, opcode: int, text: str) -> None:
        if self._verbose:
            text = f"{ABNF.OPCODE_MAP.get(opcode)}: {text}"
        if self._timings:
            text = f"{time.monotonic() - self._started:.3f}: {text}"
        self._line(label + text)

    def _line(self, text: str) -> None:
        write(printable(text, LONGEST) + "\n")


class Terminal(Lines):
    """The same in colour; with a prompt, where there is somebody to type.

    Args:
        prompt: whether there is.
    """

    def __init__(self, verbose: int = 0, timings: bool = False, prompt: bool = True) -> None:
        super().__init__(verbose, timings)
        self._prompt = prompt

    def begin(self) -> None:
        """Say how to leave."""
        write("Press Ctrl+C to quit\n")

    def _line(self, text: str) -> None:
        text = printable(text, LONGEST)
        if self._prompt:
            # Clear the prompt's line; the text in blue; the prompt again.
            write(f"\033[2K\033[E\033[34m< {text}\033[39m\n> ")
        else:
            write(f"\033[34m< {text}\033[39m\n")


class JSONLines(Lines):
    """An object of JSON on each line.

    Each has ``type``, ``url`` and ``time`` (seconds since 1970). A ``text`` message, a ``ping``
    and a ``pong`` have ``data`` (str), a ``binary`` one ``base64``, a ``close`` has ``code`` (or
    null) and ``reason``, an ``error`` has ``error`` (its class) and ``message``; an ``open`` has no
    more.
    """

    def opened(self, label: str, url: str) -> None:
        """A connection is open."""
        self._object("open", url)

    def data(self, label: str, url: str, opcode: int, data: str | bytes) -> None:
        """A message, or its control frame, has come."""
        kind = ABNF.OPCODE_MAP.get(opcode, str(opcode))
        if isinstance(data, str):
            self._object(kind, url, data=data)
        elif opcode in (ABNF.OPCODE_PING, ABNF.OPCODE_PONG):
            self._object(kind, url, data=data.decode(errors="backslashreplace"))
        else:
            self._object(kind, url, base64=base64.b64encode(data).decode())

    def closed(self, label: str, url: str, code: int | None, reason: str | None) -> None:
        """A connection is over, or an attempt has failed."""
        self._object("close", url, code=code, reason=reason or "")

    def error(self, label: str, url: str, error: BaseException) -> None:
        """Something has failed."""
        self._object("error", url, error=type(error).__name__, message=str(error))

    def _object(self, kind: str, url: str, **values: Any) -> None:
        # In ASCII: nothing that came can steer a terminal.
        write(json.dumps({"type": kind, "url": url, "time": time.time(), **values}) + "\n")


def unpack(data: bytes) -> str:
    """Show bytes: unpacked, where they are gzip or raw deflate, as far as they are shown."""
    kind, wbits = ("gzip", 31) if data[:2] == b"\x1f\x8b" else ("zlib", -zlib.MAX_WBITS)
    unpacker = zlib.decompressobj(wbits)
    try:
        unpacked = unpacker.decompress(data, LONGEST)
        if unpacker.eof:
            return f"[{kind}] {unpacked.decode()}"
        if len(unpacked) == LONGEST:
            # The last character may have been cut in two, which is no fault.
            text = getincrementaldecoder("utf-8")().decode(unpacked)
            return f"[{kind}] {text[: LONGEST - 100]}... (and more)"
    except (zlib.error, UnicodeDecodeError):
        pass
    return quoted(data, LONGEST)
