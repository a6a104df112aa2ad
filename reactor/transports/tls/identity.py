"""The identity of a TLS context: which options lead to the same one.

What it is: :func:`identity_of`, a pure function but for the age and size of the files that the
options name. A certificate file that was renewed leads to another identity.

What it must not know: what the options mean.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from hashlib import blake2b
from typing import Any

__all__ = ["KEYLOG_VARIABLE", "identity_of"]

KEYLOG_VARIABLE = "SSLKEYLOGFILE"

_SECRET_KEY = os.urandom(16)


class _ById:
    """Stands for a value that can't be hashed, and keeps it alive, so that its id is not reused."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def identity_of(options: Mapping[str, Any], variables: Mapping[str, str]) -> Hashable:
    """Return the value that distinguishes the context of these options from others.

    Args:
        options: those of ``sslopt`` that shape a context.
        variables: the environment variables that act on it, with their values.
    """
    chain = options.get("cert_chain")
    paths = [options.get(key) for key in ("ca_certs", "ca_cert_path", "certfile", "keyfile")]
    paths += list(chain)[:2] if isinstance(chain, (list, tuple)) else []
    paths += [value for name, value in variables.items() if name != KEYLOG_VARIABLE]
    if isinstance(chain, (list, tuple)) and len(chain) == 3:
        options = {**options, "cert_chain": (*chain[:2], _secret(chain[2]))}
    if "password" in options:
        options = {**options, "password": _secret(options["password"])}
    return (
        frozenset((key, _hashable(value)) for key, value in options.items()),
        frozenset(variables.items()),
        tuple(_file_stamp(path) for path in paths),
    )


def _hashable(value: object) -> Hashable:
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashable, value))
    if isinstance(value, bytearray):
        value = bytes(value)
    try:
        hash(value)
    except TypeError:
        return _ById(value)
    return type(value), value  # the type, because b"" == "" warns under python -b


def _secret(value: object) -> object:
    """Return a substitute for a password, which must not be found in a dump of the memory."""
    if isinstance(value, str):
        value = value.encode(errors="surrogatepass")
    if isinstance(value, (bytes, bytearray)):
        return blake2b(value, key=_SECRET_KEY).digest()
    return value  # a function that returns it


def _file_stamp(path: Any) -> Hashable:
    """Return a value that changes when the file is replaced; None if there is no file."""
    try:
        status = os.stat(path)
    except (OSError, TypeError, ValueError):
        return None  # _build_context reports it
    return status.st_mtime_ns, status.st_size, status.st_ino
