"""Frames built and read byte by byte: those of the test kit, under a name that says so."""

from __future__ import annotations

from reactor.testing.frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    Frame,
    build_frame,
    build_header,
    close_payload,
    mask_naively,
    read_frames,
)

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "KEY",
    "PING",
    "PONG",
    "TEXT",
    "Frame",
    "build_frame",
    "build_header",
    "close_payload",
    "mask_naively",
    "read_frames",
]
