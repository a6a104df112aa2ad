"""Credentials, blacked out.

What it is: pure functions on the heads of HTTP and on URLs. What is blacked out keeps its length,
and what says which credential it was stays: the name of a header, of a cookie, of a parameter.

What it must not know: messages. A log-in inside of one cannot be told from anything else.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

__all__ = ["redact_head", "redact_parameters", "redact_url"]

#: What the name of a parameter, or of a header, has in it if its value is a credential.
SECRET = re.compile(
    r"auth|token|secret|key|passw|passphrase|pwd|signature|credential|jwt|session|bearer"
    r"|hmac|csrf|xsrf|(?:^|[-_.])(?:sig|sign|sid|pass|code|otp|pin|ticket)(?:$|[-_.])",
    re.IGNORECASE,
)

#: Headers that have such a name, and no credential: Wireshark and a replay need them.
HARMLESS = {"sec-websocket-key", "sec-websocket-accept"}

#: A subprotocol that is none: browsers can send a token in no other way.
TOKEN = re.compile(r"eyJ.*|(?=.*[0-9])[!-~]{24,}")

#: A part of a path that is none: a key of a stream, which whoever knows it may read.
KEY = re.compile(r"(?<=/)(?:eyJ[\w.-]+|(?=[\w-]*[0-9])(?=[\w-]*[A-Za-z])[\w-]{32,})(?=[/?#\s]|$)")

BLACK = "x"

_QUERY = re.compile(r"([^?#&;=]*)=([^&;#\s]*)")
_END = re.compile(r"\n\r?\n")
_USERINFO = re.compile(r"(?<=//)[^/?#@]*(?=@)")


def _black(text: str) -> str:
    return BLACK * len(text)


def redact_url(url: str) -> str:
    """Return a URL, or the target of a request, without its credentials.

    Args:
        url: its userinfo, the values of parameters whose names say so, and parts of its path that
            look like keys, are blacked out.
    """
    at = min((place for mark in "?#" if (place := url.find(mark)) >= 0), default=len(url))
    before = _USERINFO.sub(lambda found: _black(found[0]), url[:at])
    before = KEY.sub(lambda found: _black(found[0]), before)
    return before + redact_parameters(url[at:])


def redact_parameters(text: str) -> str:
    """Return a text without the values of parameters, ``token=...``, that are credentials.

    Args:
        text: a query, a fragment of a URL, or a text with some in it.
    """
    return _QUERY.sub(_parameter, text)


def _parameter(found: re.Match[str]) -> str:
    name, value = found.groups()
    return f"{name}={_black(value)}" if SECRET.search(unquote_plus(name)) else found[0]


def redact_head(head: bytes) -> bytes:
    """Return the head of a request or of a response, of the same length, without credentials.

    Args:
        head: complete or not, or with the body behind it; its line ends stay as they are.
    """
    text = head.decode("latin-1")
    end = _END.search(text)
    body = "" if end is None else text[end.end() :]
    first, *lines = text.removesuffix(body).split("\n")
    method, space, rest = first.partition(" ")
    if not method.startswith("HTTP/"):
        first = method + space + redact_url(rest)
    lines = [first, *map(_line, lines)]
    return ("\n".join(lines) + redact_parameters(body)).encode("latin-1")


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
        return space + (scheme + gap + _black(credentials) if gap else _black(text))
    if name == "cookie":
        return ";".join(map(_cookie, value.split(";")))
    if name == "set-cookie":
        cookie, mark, attributes = value.partition(";")
        return _cookie(cookie) + mark + attributes
    if name == "sec-websocket-protocol":
        return _subprotocols(value)
    if name not in HARMLESS and SECRET.search(name):
        return space + _black(text)
    return redact_url(value) if "?" in value or "//" in value else value


def _cookie(text: str) -> str:
    """Black out the value of a cookie; one without a name is all value (RFC 6265 section 5.2)."""
    name, mark, value = text.partition("=")
    if mark:
        return name + mark + _black(value)
    bare = text.strip()
    return text.replace(bare, _black(bare)) if bare else text


def _subprotocols(value: str) -> str:
    shown = []
    follows = False  # behind the name of a credential
    for element in value.split(","):
        name = element.strip()
        secret = follows or TOKEN.fullmatch(name) is not None
        shown.append(element.replace(name, _black(name)) if secret and name else element)
        follows = not secret and SECRET.search(name) is not None
    return ",".join(shown)
