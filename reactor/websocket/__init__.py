"""websocket-client's package, built from ours.

What it is: the names that ``import websocket`` gives, and its private modules, which programs
import nevertheless. ``reactor.install_as_websocket()`` installs it as ``websocket``;
``python -m reactor.websocket SCRIPT`` runs a script with it.

What it must not know: what the names do.

How it works. Each module has the names of websocket-client's module; they are imported from our
modules. If a program sets a name in one of the private modules, that takes effect
(classic/names/patching.py). Names that only we have (``websocket.Reactor``) are found too, but not
by ``from websocket import *``.
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

#: The release of websocket-client that this package replaces.
__version__ = "1.9.2"


def __getattr__(name: str) -> _Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_reactor, name)
