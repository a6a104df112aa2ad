"""websocket-client's ``_cookiejar``: the cookies of the process."""

# ruff: noqa: F401

from __future__ import annotations

import http.cookies

from reactor.classic import cookies
from reactor.classic.cookies import SimpleCookieJar
from reactor.classic.names.patching import follow

follow(__name__, cookies)
