"""websocket-client's ``_exceptions``: those of ours that it has."""

# ruff: noqa: F401

from typing import Any, Optional  # two leaks of its, in "from websocket import *" as well

from reactor.exceptions import (
    WebSocketAddressException,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketPayloadException,
    WebSocketProtocolException,
    WebSocketProxyException,
    WebSocketTimeoutException,
)
