"""Credentials in the heads of HTTP, blacked out.

What it is: a pure function on heads; base/credentials.py is for URLs. What is blacked out keeps its
length, and what says which credential it was stays: the name of a header, of a cookie, of a
parameter.

What it must not know: messages. A log-in inside of one cannot be told from anything else.
"""

from __future__ import annotations

import re

from ...base.credentials import SECRET, black, redact_url

__all__ = ["redact_head"]

#: Headers that have such a name, and no credential: Wireshark and a replay need them.
HARMLESS = {"sec-websocket-key", "sec-websocket-accept"}

#: A subprotocol that is none: browsers can send a token in no other way.
TOKEN = re.compile(r"eyJ.*|(?=.*[0-9])[!-~]{24,}")


def redact_head(head: bytes) -> bytes:
    """Return the head of a request or of a response, of the same length, without credentials.

    Args:
        head: complete or not; its line ends stay as they are.
    """
    first, *lines = head.decode("latin-1").split("\n")
    method, space, rest = first.partition(" ")
    if not method.startswith("HTTP/"):
        first = method + space + redact_url(rest)
    return "\n".join([first, *map(_line, lines)]).encode("latin-1")


def _line(line: str) -> str:
    name, colon, value = line.partition(":")
    end = "\r" if value.endswith("\r") else ""
    value = value.removesuffix("\r")
    return name + colon + _value(name.strip().lower(), value) + end


def _value(name: str, value: str) -> str:
    space = value[: len(value) - len(value.lstrip())]
    text = value[len(space) :]
    if name in ("authorization", "proxy-authorization"):
        scheme, gap, credentials = text.partition(" ")
        return space + (scheme + gap + black(credentials) if gap else black(text))
    if name == "cookie":
        return ";".join(map(_cookie, value.split(";")))
    if name == "set-cookie":
        cookie, mark, attributes = value.partition(";")
        return _cookie(cookie) + mark + attributes
    if name == "sec-websocket-protocol":
        return _subprotocols(value)
    if name not in HARMLESS and SECRET.search(name):
        return space + black(text)
    return redact_url(value) if "?" in value or "//" in value else value


def _cookie(text: str) -> str:
    """Black out the value of a cookie; one without a name is all value (RFC 6265 section 5.2)."""
    name, mark, value = text.partition("=")
    if mark:
        return name + mark + black(value)
    bare = text.strip()
    return text.replace(bare, black(bare)) if bare else text


def _subprotocols(value: str) -> str:
    shown = []
    follows = False  # behind the name of a credential
    for element in value.split(","):
        name = element.strip()
        secret = follows or TOKEN.fullmatch(name) is not None
        shown.append(element.replace(name, black(name)) if secret and name else element)
        follows = not secret and SECRET.search(name) is not None
    return ",".join(shown)
