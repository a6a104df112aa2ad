"""Cookies that servers set in the opening handshake, as websocket-client keeps them.

What it is: a jar for the cookies with a Domain attribute, and the one that the whole process
shares.

What it must not know: connections.

How it works. Domains are kept in lower case with a dot in front, and hold for the host of that
name and for all below it. Paths and expiry are not looked at.
"""

from __future__ import annotations

from http.cookies import CookieError, Morsel, SimpleCookie
from ipaddress import ip_address

__all__ = ["CookieJar", "SimpleCookieJar"]


class SimpleCookieJar:
    """Cookies by domain.

    Attributes:
        jar: from domain, such as ".example.org", to a SimpleCookie.
    """

    def __init__(self) -> None:
        self.jar: dict[str, SimpleCookie] = {}

    def add(self, set_cookie: str | None, host: str | None = None) -> None:
        """Keep the cookies of a Set-Cookie header, besides those of the same domain.

        Parameters:
            set_cookie: the value of the header. Without a Domain attribute nothing is kept.
            host: the server that sent it. A domain that it does not belong to is ignored
                (RFC 6455 section 4.1 with RFC 6265 section 5.3): one server must not set the
                cookies of another. None: any domain.
        """
        for domain, cookies in self._parse(set_cookie):
            if host is None or _covers(domain, host):
                # A new object, because another thread may be reading the old one.
                merged = SimpleCookie(self.jar.get(domain))
                merged.update(cookies)
                self.jar[domain] = merged

    def set(self, set_cookie: str | None) -> None:
        """Keep the cookies of a Set-Cookie header in place of those of the same domain."""
        for domain, cookies in self._parse(set_cookie):
            self.jar[domain] = cookies

    def get(self, host: str | None) -> str:
        """Return the value of the Cookie header for a host; "" for none."""
        if not host:
            return ""
        pairs = [
            f"{name}={morsel.value}"
            for domain, cookies in list(self.jar.items())
            if _covers(domain, host)
            for name, morsel in cookies.items()
            # A quoted value may hold anything: a line end would break every later request.
            if morsel.value.isprintable()
        ]
        return "; ".join(sorted(pairs))

    @staticmethod
    def _parse(set_cookie: str | None) -> list[tuple[str, SimpleCookie]]:
        if not set_cookie:
            return []
        try:
            cookies = SimpleCookie(set_cookie)
        except CookieError:
            return []  # RFC 6265 section 5.2: what cannot be parsed is ignored
        morsels: list[Morsel[str]] = list(cookies.values())
        return [
            (f".{morsel['domain'].lower().lstrip('.')}", cookies)
            for morsel in morsels
            if morsel["domain"]
        ]


def _covers(domain: str, host: str) -> bool:
    """RFC 6265 section 5.1.3: the same, or a parent domain; of an address, only itself.

    A domain of one label ("com") is nobody's parent: every site would be in it.
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
