"""websocket-client's ``_abnf``: frames, and their reader."""

# ruff: noqa: F401

from __future__ import annotations

import array
import os
import struct
import sys
from threading import Lock

from reactor.classic import abnf, frame
from reactor.classic.abnf import continuous_frame, frame_buffer
from reactor.classic.frame import (
    ABNF,
    STATUS_ABNORMAL_CLOSED,
    STATUS_BAD_GATEWAY,
    STATUS_GOING_AWAY,
    STATUS_INVALID_EXTENSION,
    STATUS_INVALID_PAYLOAD,
    STATUS_MESSAGE_TOO_BIG,
    STATUS_NORMAL,
    STATUS_POLICY_VIOLATION,
    STATUS_PROTOCOL_ERROR,
    STATUS_SERVICE_RESTART,
    STATUS_STATUS_NOT_AVAILABLE,
    STATUS_TLS_HANDSHAKE_ERROR,
    STATUS_TRY_AGAIN_LATER,
    STATUS_UNEXPECTED_CONDITION,
    STATUS_UNSUPPORTED_DATA_TYPE,
    VALID_CLOSE_STATUS,
)
from reactor.classic.names.legacy import validate_utf8
from reactor.classic.names.patching import follow
from reactor.exceptions import WebSocketPayloadException, WebSocketProtocolException

__all__ = [
    "ABNF",
    "STATUS_ABNORMAL_CLOSED",
    "STATUS_BAD_GATEWAY",
    "STATUS_GOING_AWAY",
    "STATUS_INVALID_EXTENSION",
    "STATUS_INVALID_PAYLOAD",
    "STATUS_MESSAGE_TOO_BIG",
    "STATUS_NORMAL",
    "STATUS_POLICY_VIOLATION",
    "STATUS_PROTOCOL_ERROR",
    "STATUS_SERVICE_RESTART",
    "STATUS_STATUS_NOT_AVAILABLE",
    "STATUS_TLS_HANDSHAKE_ERROR",
    "STATUS_TRY_AGAIN_LATER",
    "STATUS_UNEXPECTED_CONDITION",
    "STATUS_UNSUPPORTED_DATA_TYPE",
    "continuous_frame",
    "frame_buffer",
]

native_byteorder = sys.byteorder


def _mask(mask_value: array.array[int], data_value: array.array[int]) -> bytes:
    """Return data masked with four bytes (RFC 6455 section 5.3)."""
    return frame.ABNF.mask(bytes(mask_value), bytes(data_value))


if __name__ == "websocket._abnf":  # installed: see _exceptions
    ABNF.__module__ = __name__

follow(__name__, frame, abnf)
