"""What Wireshark makes of a file: every frame of WebSocket in it, read by tshark."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

__all__ = ["Dissected", "comments", "complaints", "dissect", "fields", "has_wireshark"]

#: What Wireshark has to check, and to leave alone.
SETTINGS = (
    "tcp.check_checksum:TRUE",
    "ip.check_checksum:TRUE",
)


class Dissected(NamedTuple):
    """A frame, as Wireshark shows it; *time* in nanoseconds since 1970."""

    from_client: bool
    time: int
    fin: bool
    rsv: int
    opcode: int
    mask: bytes | None
    payload: bytes


def has_wireshark() -> str:
    """Return the program; skip the test where there is none."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not on PATH; as root, tests/peers/install.sh installs it")
    return program


def _tshark(path: Path, *arguments: str) -> str:
    settings = [part for setting in SETTINGS for part in ("-o", setting)]
    result = subprocess.run(
        [has_wireshark(), "-r", str(path), *settings, *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
        env={**os.environ, "HOME": str(path.parent)},  # no settings of whoever runs the tests
    )
    return result.stdout


def fields(path: Path, *names: str, only: str = "tcp") -> list[list[str]]:
    """Return some fields of every packet that a display filter lets through."""
    wanted = [part for name in names for part in ("-e", name)]
    text = _tshark(path, "-Y", only, "-T", "fields", *wanted)
    return [line.split("\t") for line in text.splitlines()]


def complaints(path: Path) -> list[list[str]]:
    """Return what Wireshark finds wrong: bad checksums, holes, malformed packets."""
    names = ("frame.number", "_ws.expert.message")
    wrong = "_ws.malformed || _ws.expert.severity >= 0x00600000 || tcp.analysis.flags"
    return fields(path, *names, only=wrong)


def comments(path: Path) -> list[str]:
    """Return the comments of all packets."""
    return [line[0] for line in fields(path, "frame.comment", only="frame.comment")]


def dissect(path: Path) -> list[Dissected]:
    """Return every frame of WebSocket in a file, in order."""
    packets = json.loads(_tshark(path, "-Y", "tcp", "-T", "jsonraw"), object_pairs_hook=_Fields)
    times = fields(path, "frame.time_epoch")
    found = []
    for packet, (epoch,) in zip(packets, times, strict=True):
        layers = packet.first("_source").first("layers")
        seconds, _, rest = epoch.partition(".")
        time = int(seconds) * 1_000_000_000 + int(rest.ljust(9, "0"))
        from_client = layers.first("tcp").raw("tcp.dstport") == (80).to_bytes(2, "big")
        found += [_frame(each, from_client, time) for each in layers.every("websocket")]
    return found


class _Fields(list[tuple[str, Any]]):
    """An object of JSON that has the same name several times."""

    def every(self, name: str) -> list[Any]:
        return [value for key, value in self if key == name]

    def first(self, name: str) -> Any:
        return self.every(name)[0]

    def raw(self, name: str) -> bytes:
        """The bytes of a field; b"" if it is not there."""
        found = self.every(f"{name}_raw")
        return bytes.fromhex(found[0][0]) if found else b""


def _frame(own: _Fields, from_client: bool, time: int) -> Dissected:
    def number(name: str) -> int:
        return int(own.first(f"websocket.{name}_raw")[0], 16)

    return Dissected(
        from_client,
        time,
        bool(number("fin")),
        number("rsv"),
        number("opcode"),
        own.raw("websocket.masking_key") or None,
        own.raw("websocket.payload"),
    )
