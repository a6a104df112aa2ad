"""Clients and servers that are connected within the process: no network, no port, no thread.

What it is: ``connect_pair`` for two protocol objects, ``MemoryServer`` for more clients or for
reconnecting. What it must not know: how a connection works.

How it works. Both ends live on one loop. The bytes go through a Unix socket that has no name in any
file system (Linux), or one in a directory that is removed at the end. So everything that a program
does is done as over the network: the opening handshake with all its options, compression,
``broadcast``, sends from other threads, back-pressure, reconnecting.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, cast

from ..base.arguments import parameters, shows
from ..client.options import ClientOptions
from ..exceptions import CloseCode
from ..protocols.session import State
from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor
from ..server.options import ServerOptions
from .inside import watch_clients
from .loop import PATIENCE, ManualReactor, run_until

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers know it: it need not be installed

    from ..client.options import ClientArguments
    from ..server.options import ServerArguments

__all__ = ["MemoryServer", "Pair", "PairFactory", "connect_pair", "in_thread"]

C = TypeVar("C", bound=WebSocketProtocol)
S = TypeVar("S", bound=WebSocketProtocol)
T = TypeVar("T")

_numbers = itertools.count(1)


class MemoryServer(Generic[S]):
    """A server that only this process can reach. A context manager; or call :meth:`close`.

    Args:
        loop: where it lives, and its clients.
        protocol: a subclass of WebSocketProtocol, or a function that returns an object of one;
            called for every connection.
        options: what ``Reactor.listen`` takes (origins, subprotocols, process_request, ...). To
            ``max_connections_per_address``, all clients have the same address.

    Attributes:
        loop: the loop.
        listener: the Listener.
        unix_path: where it listens, for what :meth:`connect` does not make: a Feed, or
            ``loop.connect``, with this option. Whatever the URL, it leads here.
        protocols: the protocol objects of all connections, the ones that are over included, in the
            order in which they were made; also those that ``process_request`` has chosen (Accept).
    """

    @shows(parameters(ServerOptions))
    def __init__(
        self, loop: Reactor, protocol: Callable[[], S], **options: Unpack[ServerArguments]
    ) -> None:
        self.loop = loop
        self.protocols = protocols = list[S]()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if sys.platform == "linux":
            self.unix_path = f"\0reactor-testing-{os.getpid()}-{next(_numbers)}"
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="ws")
            self.unix_path = os.path.join(self._folder.name, "s")

        self.listener = loop.listen(protocol=protocol, unix_path=self.unix_path, **options)
        watch_clients(self.listener, lambda made: protocols.append(cast("S", made)), "memory")

    @shows(each for each in parameters(ClientOptions) if each.name != "unix_path")
    def connect(
        self,
        protocol: Callable[[], C] | C,
        url: str = "ws://in-memory.test/",
        **options: Unpack[ClientArguments],
    ) -> C:
        """Connect a client, and run the loop until the connection is open or has failed.

        Args:
            protocol: a subclass of WebSocketProtocol, a function that returns an object of one, or
                such an object.
            url: its path and query are what the server's ``request`` shows.
            options: what ``Reactor.connect`` takes (reconnect, subprotocols, header, ...).

        Returns:
            The client's protocol object. If connecting fails, its handlers are called as usual.
        """
        client = self.loop.connect(
            *(url, protocol),
            unix_path=self.unix_path,
            **options,  # type: ignore[misc]  # without a path
        )
        if isinstance(self.loop, ManualReactor):
            self.loop.settle()
        else:
            run_until(self.loop, lambda: client.state is not State.CONNECTING or client.ending)
        return client

    def close(self) -> None:
        """Accept no more connections; those that there are stay."""
        self.listener.stop_accepting()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> MemoryServer[S]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


if TYPE_CHECKING:

    class Pair(NamedTuple, Generic[C, S]):
        """See below: before Python 3.11 a NamedTuple cannot be generic when it runs."""

        client: C
        server: S

else:

    class Pair(NamedTuple):
        """Two protocol objects that are connected: ``client, server = connect_pair(...)``.

        Generic in their classes, for type checkers: ``"Pair[Client, Server]"``.

        Attributes:
            client: the client's side.
            server: the server's side of the first connection.
        """

        client: Any
        server: Any


def connect_pair(
    loop: Reactor,
    client: Callable[[], C] | C,
    server: Callable[[], S] = WebSocketProtocol,  # type: ignore[assignment]
    *,
    url: str = "ws://in-memory.test/",
    client_options: ClientArguments | None = None,
    server_options: ServerArguments | None = None,
) -> Pair[C, S]:
    """Connect two protocol objects within the process, and return them when they are open.

    No further connection can be made; see :class:`MemoryServer` for that.

    Args:
        loop: a Reactor that does not run; with a ManualReactor, no time passes.
        client: a subclass of WebSocketProtocol, a function that returns an object of one, or such
            an object.
        server: a subclass of WebSocketProtocol, or a function that returns an object of one.
        url: its path and query are what the server's ``request`` shows.
        client_options: what ``Reactor.connect`` takes.
        server_options: what ``Reactor.listen`` takes.

    Returns:
        The two.

    Raises:
        ConnectionError: They could not be connected. It says why; so does its cause, if there is
            one. What the function of the server has raised is in the log.
    """
    with MemoryServer(loop, server, **(server_options or {})) as listening:
        opened = listening.connect(client, url, **(client_options or {}))
        ending = opened.ending
        if ending is not None and not listening.protocols:
            why = ending.error or ending.reason or f"closed with {ending.code}"
            if ending.code == CloseCode.INTERNAL_ERROR:
                why = f"{why} (internal error of the server, whose log has the traceback)"
            raise ConnectionError(f"the pair is not connected: {why}") from ending.error
        if not listening.protocols:
            raise ConnectionError("the pair is not connected: the server has not answered")
        return Pair(opened, listening.protocols[0])


class PairFactory(Protocol):
    """The type of the pytest fixture ``reactor_pair``: :func:`connect_pair` on ``reactor_loop``."""

    def __call__(
        self,
        client: Callable[[], C] | C,
        server: Callable[[], S] = WebSocketProtocol,  # type: ignore[assignment]
        *,
        url: str = "ws://in-memory.test/",
        client_options: ClientArguments | None = None,
        server_options: ServerArguments | None = None,
    ) -> Pair[C, S]:
        """See :func:`connect_pair`."""
        ...


def in_thread(function: Callable[[], T]) -> T:
    """Call *function* on another thread, wait for its end, and return what it returned.

    For sends from threads: ``in_thread(lambda: client.send("x"))``, then let the loop run.

    Args:
        function: what to call.

    Raises:
        BaseException: What the function raised.
        AssertionError: It did not end within 10 real seconds.
    """
    results: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as exc:  # noqa: BLE001 - raised below
            raised.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        raise AssertionError(f"{function!r} did not end within {PATIENCE} s")
    if raised:
        raise raised[0]
    return results[0]
