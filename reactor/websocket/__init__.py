"""websocket-client's package, made of ours.

What it is: the names that ``import websocket`` gives, and its private modules, which programs
import all the same. ``reactor.install_as_websocket()`` puts it in the place of ``websocket``;
``python -m reactor.websocket SCRIPT`` runs a script so.

What it must not know: what the names do.

How it works. Each module has the names that websocket-client's has; they come from where we have
them. What a program sets in one of the private modules takes effect (classic/names/patching.py).
What is ours alone (``websocket.Reactor``) is found too, but not by ``from websocket import *``.
"""

# ruff: noqa: F401, F403

from typing import Any as _Any

import reactor as _reactor

from . import _cookiejar, _dispatcher, _handshake, _http, _ssl_compat, _url, _utils
from ._abnf import *
from ._app import *
from ._app import set_reconnect  # type: ignore[attr-defined]
from ._core import *
from ._exceptions import *
from ._logging import *
from ._socket import *

#: The release of websocket-client that this stands for.
__version__ = "1.9.2"


def __getattr__(name: str) -> _Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_reactor, name)
