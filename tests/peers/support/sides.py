"""Both sides of a connection between one of our ends and a peer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, TypeVar

from reactor import Reactor, State
from tests.support.driving import run_until
from tests.support.recorder import Recorder

from .processes import Answer, Json, Peer, new_path
from .steps import order

#: Seconds that nothing takes, however slow the machine is.
PATIENCE = 20.0

R = TypeVar("R", bound=Recorder)


class Echo(Recorder):
    """Sends messages back."""

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.send(message)


# --- our client, their server ---------------------------------------------------------------------


class TheirServer:
    """A peer's server.

    Parameters:
        name: what it is, for those differences that there are.
        peer: the process.
        options: those of its command "listen".
    """

    def __init__(self, name: str, peer: Peer, **options: Any) -> None:
        self.name = name
        self._peer = peer
        self._options = options

    def url(self, **options: Any) -> str:
        """Return where it listens, with these further options, without a path."""
        return self._peer.serve(**self._options, **options)

    def endings(self, client: Recorder) -> list[tuple[Any, Any]]:
        """Return codes and reasons with which the server's end of *client* has ended."""
        return [
            (event["code"], event["reason"])
            for event in self._peer.events
            if event["event"] == "closed" and client.url.endswith(event["path"])
        ]


class OurClient:
    """Our end as the client of a peer's server. Parameters: what it says."""

    def __init__(self, loop: Reactor, server: TheirServer) -> None:
        self.loop = loop
        self.server = server

    def until(self, condition: Callable[[], object]) -> None:
        """Run the loop until *condition* is true."""
        run_until(self.loop, condition, PATIENCE)

    def start(self, factory: Callable[[], R], serve: Json | None = None, **options: Any) -> R:
        """Begin to connect; *serve* are options of the server."""
        url = self.server.url(**serve or {}) + new_path()
        return self.loop.connect(url, factory, **{"ping_interval": None} | options)

    def open(self, serve: Json | None = None, **options: Any) -> Recorder:
        """Connect; return when the connection is open."""
        client = self.start(Recorder, serve, **options)
        self.until(lambda: client.events)
        assert client.names[0] == "open", client.events
        return client

    def exchange(
        self, client: Recorder, message: str | bytes, compress: bool | None = None
    ) -> str | bytes:
        """Send a message; return the next that comes."""
        before = len(client.messages)
        client.send(message, compress)
        self.until(lambda: len(client.messages) > before or client.state is not State.OPEN)
        return client.messages[before]

    def report(self, client: Recorder) -> Json:
        """Return what the server knows of the connection: path, headers, protocol."""
        report: Json = json.loads(self.exchange(client, order("report")))
        return report


# --- our server, their client ---------------------------------------------------------------------


def message_in(result: Json) -> str | bytes:
    """Return the message that a result has."""
    return str(result["text"]) if "text" in result else base64.b64decode(result["base64"])


class Run:
    """What a peer tells of one connection of its client.

    Attributes:
        opened: whether it ever was.
        protocol: the subprotocol, or "".
        headers: those of our response; lower-case names. Empty where the peer hides them.
        extensions: those of our response.
        results: of the steps that have one; messages are str and bytes.
        end: as the last step, if it is "wait_closed", says: code, reason, perhaps clean.
    """

    def __init__(self, fields: Json) -> None:
        assert fields["error"] is None, fields["error"]
        self.opened: bool = fields["opened"]
        self.protocol: str = fields["protocol"]
        self.headers: Json = fields.get("headers", {})
        self.extensions: str = self.headers.get(
            "sec-websocket-extensions", fields.get("extensions", "")
        )
        results = fields["results"]
        self.end: Json = results.pop() if results and "code" in results[-1] else {}
        self.messages = [message_in(result) for result in results]


class TheirClient:
    """A peer's client.

    Parameters:
        name: what it is, for those differences that there are.
        peer: who runs the scenarios.
        tls: what it needs to trust our certificate.
    """

    def __init__(self, name: str, peer: Peer, tls: Json) -> None:
        self.name = name
        self._peer = peer
        self._tls = tls

    def ask(self, url: str, steps: list[Json], **options: Any) -> Answer:
        """Begin to run a scenario."""
        tls = self._tls if url.startswith("wss") else {}
        return self._peer.ask("run", url=url, steps=steps, **tls, **options)


class OurServer:
    """Our end as the server of a peer's client. Parameters: what it says.

    Attributes:
        client: the name of the peer.
        served: the protocol objects of all connections that were open.
    """

    def __init__(self, loop: Reactor, client: TheirClient) -> None:
        self.loop = loop
        self._client = client
        self.client = client.name
        self.served: list[Any] = []

    def until(self, condition: Callable[[], object]) -> None:
        """Run the loop until *condition* is true."""
        run_until(self.loop, condition, PATIENCE)

    def listen(self, factory: Callable[[], Recorder] = Echo, **options: Any) -> str:
        """Start our server; return its URL."""

        def make() -> Recorder:
            self.served.append(factory())
            return self.served[-1]  # type: ignore[no-any-return]

        listener = self.loop.listen("127.0.0.1", 0, make, **options)
        scheme = "wss" if options.get("ssl") else "ws"
        return f"{scheme}://127.0.0.1:{listener.port}{new_path()}"

    def runs(self, url: str, *steps: Json, **options: Any) -> list[Run]:
        """Let the peer connect, as often as ``times`` says; return what it tells of each."""
        answer = self._client.ask(url, list(steps), **options)
        self.until(lambda: answer.done)
        return [Run(fields) for fields in answer.get()["runs"]]

    def run(self, url: str, *steps: Json, **options: Any) -> Run:
        """Let the peer connect once."""
        (run,) = self.runs(url, *steps, **options)
        return run
