"""Credentials in URLs, blacked out.

What it is: functions on URLs, for what others get to see: the log, a recording. What is blacked out
keeps its length, and the name of a parameter stays.

What it must not know: where the URL goes. Programs get URLs as they are.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

__all__ = ["SECRET", "black", "redact_parameters", "redact_url"]

#: What the name of a parameter, or of a header, has in it if its value is a credential.
SECRET = re.compile(
    r"auth|token|secret|key|passw|passphrase|pwd|signature|credential|jwt|session|bearer"
    r"|hmac|csrf|xsrf|(?:^|[-_.])(?:sig|sign|sid|pass|code|otp|pin|ticket)(?:$|[-_.])",
    re.IGNORECASE,
)

#: A part of a path that is a key, of a stream for example: whoever knows it may read that.
KEY = re.compile(r"(?<=/)(?:eyJ[\w.-]+|(?=[\w-]*[0-9])(?=[\w-]*[A-Za-z])[\w-]{32,})(?=[/?#\s]|$)")

BLACK = "x"

_QUERY = re.compile(r"([^?#&;=]*)=([^&;#\s]*)")
_USERINFO = re.compile(r"(?<=//)[^/?#@]*(?=@)")


def black(text: str) -> str:
    """Return as many characters, which say nothing."""
    return BLACK * len(text)


def redact_url(url: str) -> str:
    """Return a URL, or the target of a request, without its credentials.

    Args:
        url: its userinfo, the values of parameters whose names say so, and parts of its path that
            look like keys, are blacked out.
    """
    at = min((place for mark in "?#" if (place := url.find(mark)) >= 0), default=len(url))
    before = _USERINFO.sub(lambda found: black(found[0]), url[:at])
    before = KEY.sub(lambda found: black(found[0]), before)
    return before + redact_parameters(url[at:])


def redact_parameters(text: str) -> str:
    """Return a text without the values of parameters, ``token=...``, that are credentials.

    Args:
        text: a query, a fragment of a URL, or a text with some in it.
    """
    return _QUERY.sub(_parameter, text)


def _parameter(found: re.Match[str]) -> str:
    name, value = found.groups()
    return f"{name}={black(value)}" if SECRET.search(unquote_plus(name)) else found[0]
