"""websocket-client's ``_handshake``: the opening handshake over a plain socket."""

# ruff: noqa: F401

from __future__ import annotations

import hashlib
import hmac
import os
import socket
from base64 import encodebytes as base64encode
from http import HTTPStatus

from reactor.classic import cookies, watch
from reactor.classic.blocking.connect import handshake_response
from reactor.classic.blocking.socket_io import send
from reactor.classic.cookies import CookieJar, SimpleCookieJar
from reactor.classic.names import handshake as legacy_handshake
from reactor.classic.names.handshake import (
    _HEADERS_TO_CHECK,
    _create_sec_websocket_key,
    _get_handshake_headers,
    _get_resp_headers,
    _pack_hostname,
    _validate,
    handshake,
)
from reactor.classic.names.http import read_headers
from reactor.classic.names.legacy import SUCCESS_STATUSES, SUPPORTED_REDIRECT_STATUSES, VERSION
from reactor.classic.names.patching import follow
from reactor.classic.tracing import dump, error
from reactor.exceptions import WebSocketBadStatusException, WebSocketException

__all__ = ["SUPPORTED_REDIRECT_STATUSES", "handshake", "handshake_response"]

follow(__name__, legacy_handshake, cookies, watch)
