"""Cookies that servers set in the opening handshake, as websocket-client keeps them.

What it is: a jar for the cookies with a Domain attribute, and the jar that the whole process
shares.

What it must not know: connections.

How it works. Domains are kept in lower case with a dot in front, and apply to the host of that
name and to all below it. A cookie is sent where its Path and Secure attributes allow it, until
Max-Age or Expires (RFC 6265 section 5). Several cookies in one header, which only websocket-client
supports, share its attributes. Set-Cookie is parsed here, in time that grows with its length: the
parser of ``http.cookies`` takes a second and more for some values.
"""

from __future__ import annotations

import re
import time
from email.utils import mktime_tz, parsedate_tz
from http.cookies import CookieError, Morsel, SimpleCookie
from ipaddress import ip_address
from math import inf

__all__ = ["CookieJar", "SimpleCookieJar"]

#: The least that a browser should keep (RFC 6265 section 6.1), and the most that we keep.
MAX_COOKIE_SIZE = 4096
MAX_COOKIES = 50  # per domain
MAX_ALL_COOKIES = 3000

#: Cookies and attributes in one header; each takes time.
MAX_PARTS = 100

#: The longest lifetime of a cookie, in seconds (RFC 6265bis section 5.5).
MAX_AGE = 400 * 86400

ATTRIBUTES = frozenset(
    {
        "comment",
        "domain",
        "expires",
        "httponly",
        "max-age",
        "partitioned",
        "path",
        "priority",
        "samesite",
        "secure",
        "version",
    }
)

_ESCAPE = re.compile(r"\\(?:([0-3][0-7]{2})|(.))", re.DOTALL)  # in a quoted value


class _Cookie(Morsel[str]):
    """One cookie. *expires_at*: seconds since 1970."""

    expires_at = inf


class SimpleCookieJar:
    """Cookies by domain.

    Attributes:
        jar: maps a domain, such as ".example.org", to a SimpleCookie. In it, the key of a cookie is
            its name; for a cookie with its own path, the name and the path.
    """

    def __init__(self) -> None:
        self.jar: dict[str, SimpleCookie] = {}

    def add(self, set_cookie: str | None, host: str | None = None) -> None:
        """Keep the cookies of a Set-Cookie header, in addition to others of the same domain.

        Args:
            set_cookie: the value of the header. It is ignored without a Domain attribute, or if it
                has more than 4096 characters or 100 parts. The newest 50 of a domain are kept.
            host: the server that sent it. A domain that it does not belong to is ignored
                (RFC 6455 section 4.1 with RFC 6265 section 5.3): one server must not set the
                cookies of another. None: any domain.
        """
        domain, cookies = _parse(set_cookie)
        if domain and (host is None or _covers(domain, host)):
            self._keep(domain, self.jar.get(domain, {}), cookies)

    def set(self, set_cookie: str | None) -> None:
        """Keep the cookies of a Set-Cookie header, and drop others of the same domain."""
        domain, cookies = _parse(set_cookie)
        if domain:
            self._keep(domain, {}, cookies)

    def get(self, host: str | None, path: str | None = None, secure: bool = True) -> str:
        """Return the value of the Cookie header for a request; "" for none.

        Args:
            host: the server.
            path: the path of the resource; None: also cookies for other paths.
            secure: whether the connection is over TLS; Secure cookies are sent only then.
        """
        if not host:
            return ""
        now = time.time()
        found = [
            (-len(cookie["path"]), f"{cookie.key}={cookie.value}")
            for domain, cookies in list(self.jar.items())
            if _covers(domain, host)
            for cookie in cookies.values()
            if (secure or not cookie["secure"])
            and (path is None or _is_within(path, cookie["path"]))
            and getattr(cookie, "expires_at", inf) > now
            # A quoted value may contain anything: a line end would break every later request.
            and cookie.value.isprintable()
        ]
        # Longer paths come first (RFC 6265 section 5.4).
        return "; ".join(pair for _, pair in sorted(found))

    def _keep(self, domain: str, before: dict[str, Morsel[str]], cookies: list[_Cookie]) -> None:
        # A new object, because another thread may be reading the old one.
        kept = SimpleCookie(before)
        now = time.time()
        for cookie in cookies:
            path = cookie["path"]
            key = cookie.key if path in ("", "/") else f"{cookie.key};{path}"
            kept.pop(key, None)  # the newest comes last
            if cookie.expires_at > now:
                kept[key] = cookie
        for key in list(kept)[:-MAX_COOKIES]:
            del kept[key]
        if kept:
            self.jar[domain] = kept
        else:
            self.jar.pop(domain, None)
        while sum(map(len, list(self.jar.values()))) > MAX_ALL_COOKIES:
            self.jar.pop(next(iter(self.jar)), None)


def _parse(set_cookie: str | None) -> tuple[str, list[_Cookie]]:
    """Return the domain of a Set-Cookie header, "" if it has none, and its cookies.

    Parts that cannot be parsed are ignored, as RFC 6265 section 5.2 says.
    """
    if not set_cookie or len(set_cookie) > MAX_COOKIE_SIZE or set_cookie.count(";") > MAX_PARTS:
        return "", []
    pairs, attributes = [], {}
    for part in set_cookie.split(";"):
        name, equals, value = (piece.strip(" \t") for piece in part.partition("="))
        if name.lower() in ATTRIBUTES:
            attributes[name.lower()] = value
        elif equals:
            pairs.append((name, value))
    domain = attributes.get("domain", "").lower().lstrip(".")
    if not domain:
        return "", []
    expires_at = _expiry(attributes)
    cookies = []
    for name, value in pairs[-MAX_COOKIES:]:
        cookie = _Cookie()
        try:
            cookie.set(name, _unquoted(value), value)
        except CookieError:  # not a valid name
            continue
        cookie["domain"], cookie["secure"] = domain, "secure" in attributes
        cookie["path"] = attributes.get("path", "")
        cookie.expires_at = expires_at
        cookies.append(cookie)
    return f".{domain}", cookies


def _unquoted(value: str) -> str:
    if len(value) < 2 or not value[0] == value[-1] == '"':
        return value
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)) if found[1] else found[2], value[1:-1])


def _expiry(attributes: dict[str, str]) -> float:
    """Return when cookies with these attributes expire, in seconds since 1970."""
    now = time.time()
    max_age = attributes.get("max-age", "")
    if re.fullmatch(r"-?[0-9]+", max_age):  # it takes precedence over Expires: RFC 6265 section 5.3
        return now + min(int(max_age), MAX_AGE) if not max_age.startswith("-") else 0.0
    try:
        date = parsedate_tz(attributes.get("expires", ""))
        return inf if date is None else mktime_tz(date)
    except (ValueError, OverflowError, IndexError, TypeError):
        return inf  # there is no such day


def _is_within(path: str, of_cookie: str) -> bool:
    """RFC 6265 section 5.1.4. A cookie without a path applies to all paths."""
    if not of_cookie.startswith("/"):
        return True
    return path.startswith(of_cookie) and (
        of_cookie.endswith("/") or path[len(of_cookie) :][:1] in ("", "/")
    )


def _covers(domain: str, host: str) -> bool:
    """RFC 6265 section 5.1.3: the same, or a parent domain; an address covers only itself.

    A domain of one label ("com") is never a parent: every site would be in it.
    """
    host = host.lower()
    if host == domain[1:]:
        return True
    return host.endswith(domain) and "." in domain[1:] and not _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


#: The cookies of the whole process.
CookieJar = SimpleCookieJar()
