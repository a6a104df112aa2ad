"""The server's side of SOCKS, for scripts: what a client asks for, byte by byte from RFC 1928.

Knows nothing of `reactor` or of python-socks.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

from .peers import Script, Talk, http, silence

#: The kinds of proxies to which nobody speaks TLS. For the other kind: tests/test_https_proxies.py.
PLAIN_KINDS = ("http", "socks4", "socks4a", "socks5", "socks5h")

OK4 = b"\x00\x5a\x00\x00\x00\x00\x00\x00"
OK5 = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"


class Asked(NamedTuple):
    """What a client has asked a SOCKS server for; *named* tells a name from an address."""

    host: str
    port: int
    named: bool = False
    username: str = ""
    password: str = ""


def read_socks4(talk: Talk) -> Asked:
    """Read a SOCKS4 or 4a request."""
    assert talk.exactly(2) == b"\x04\x01"
    port = int.from_bytes(talk.exactly(2), "big")
    address = talk.exactly(4)
    user = _until_nul(talk)
    if address[:3] == b"\0\0\0" and address[3]:  # 4a: no address; a name follows
        return Asked(_until_nul(talk), port, True, user)
    return Asked(socket.inet_ntoa(address), port, False, user)


def read_socks5(talk: Talk, credentials: bool = False) -> Asked:
    """Read a SOCKS5 request, up to and without the last answer; ask for *credentials*."""
    version, count = talk.exactly(2)
    methods = talk.exactly(count)
    assert version == 5
    username = password = ""
    if credentials:
        assert 2 in methods
        talk.send(b"\x05\x02")
        assert talk.exactly(1) == b"\x01"  # RFC 1929
        username = talk.exactly(talk.exactly(1)[0]).decode()
        password = talk.exactly(talk.exactly(1)[0]).decode()
        talk.send(b"\x01\x00")
    else:
        assert 0 in methods
        talk.send(b"\x05\x00")
    assert talk.exactly(3) == b"\x05\x01\x00"
    kind = talk.exactly(1)[0]
    if kind == 3:
        host = talk.exactly(talk.exactly(1)[0]).decode()
    else:
        family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
        host = socket.inet_ntop(family, talk.exactly(size))
    port = int.from_bytes(talk.exactly(2), "big")
    return Asked(host, port, kind == 3, username, password)


def read_request(talk: Talk, kind: str) -> None:
    """Read what a client sends to a proxy of that kind before the last answer."""
    if kind == "http":
        talk.head()
    elif kind.startswith("socks4"):
        read_socks4(talk)
    else:
        read_socks5(talk)


def accept(talk: Talk, kind: str) -> None:
    """Accept what a client asks a proxy of that kind for."""
    read_request(talk, kind)
    accepted = {"4": OK4, "5": OK5}.get(kind[5:6], http("HTTP/1.1 200 Connection established"))
    talk.send(accepted)


def accepting(kind: str, then: Script = silence) -> Script:
    """Return the script of a proxy that accepts, and plays the target itself."""

    def script(talk: Talk) -> None:
        accept(talk, kind)
        then(talk)

    return script


def _until_nul(talk: Talk) -> str:
    data = b""
    while (octet := talk.exactly(1)) != b"\0":
        data += octet
    return data.decode()
