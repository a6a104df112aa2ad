"""websocket-client's ``_url``: URLs and proxies."""

# ruff: noqa: F401

from __future__ import annotations

import ipaddress
import os
from urllib.parse import unquote, urlparse

from reactor.classic.names import legacy
from reactor.classic.names.legacy import (
    _is_address_in_network,
    _is_ip_address,
    _is_no_proxy_host,
    _is_subnet_address,
    get_proxy_info,
    parse_url,
)
from reactor.classic.names.patching import follow
from reactor.exceptions import WebSocketProxyException

__all__ = ["get_proxy_info", "parse_url"]

follow(__name__, legacy)
