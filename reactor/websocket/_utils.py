"""websocket-client's ``_utils``."""

from __future__ import annotations

from reactor.classic.names import legacy
from reactor.classic.names.legacy import (
    NoLock,
    extract_err_message,
    extract_error_code,
    validate_utf8,
)
from reactor.classic.names.patching import follow

__all__ = ["NoLock", "extract_err_message", "extract_error_code", "validate_utf8"]

_validate_utf8 = validate_utf8

follow(__name__, legacy)
