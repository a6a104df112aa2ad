"""What is measured, and who is measured: the tables of scenarios and clients."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE / "build"
LIMIT = "c"  # the client that the others are compared with

#: Who takes part where an hour would not be enough for all.
FAST = ("c", "reactor", "reactor-pure", "picows-uvloop", "aiohttp-uvloop", "websockets-uvloop")
#: Who has permessage-deflate.
DEFLATE = (
    "reactor", "reactor-pure", "aiohttp-uvloop", "aiohttp", "websockets-uvloop", "websockets",
    "tornado",
)  # fmt: skip
#: Who can resume a TLS session: asyncio's and websocket-client's interfaces have no room for it.
RESUMING = ("reactor", "reactor-pure")


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What is measured. The figure is the client's CPU time, divided by a count of its report.

    Parameters:
        title: heading of its table.
        kind: what the clients' --scenario gets, or "timers".
        per: the entry of the report that the CPU time is divided by.
        unit: of the figure.
        factor: from seconds (memory: bytes) to the unit.
        connections, messages: how many, and how many of each.
        size: bytes of a message.
        idle: further connections that are open and silent.
        tls, resume, deflate: whether there is that.
        pattern, timers: for timers.py.
        what: what the unit is a measure of.
        max_rounds: where another round would show nothing new.
        clients: who takes part; () for all that can.
    """

    title: str
    kind: str
    per: str = "messages"
    unit: str = "us"
    factor: float = 1e6
    connections: int = 0
    messages: int = 0
    size: int = 150
    idle: int = 0
    tls: bool = False
    resume: bool = False
    deflate: bool = False
    pattern: str = ""
    timers: int = 0
    what: str = "of CPU per message"
    max_rounds: int = 1000
    clients: tuple[str, ...] = ()

    def heading(self) -> str:
        return f"{self.title} ({' '.join(filter(None, [self.unit, self.what]))})"

    def takes(self, name: str) -> bool:
        """Whether the client takes part."""
        return self.kind in CLIENTS[name].kinds and (not self.clients or name in self.clients)


@dataclasses.dataclass(frozen=True)
class Client:
    """Who is measured.

    Parameters:
        command: a script of this directory, or a program, and its arguments.
        kinds: of the scenarios that it can do.
        share: of the messages; less for the slow, to bound the time.
        max_connections: more are not tried.
        pure: ours, without its compiled part.
    """

    command: tuple[str, ...]
    kinds: tuple[str, ...] = ("echo", "fanin", "idle", "idle-cpu", "connect")
    share: float = 1.0
    max_connections: int = 1_000_000
    pure: bool = False


CLIENTS = {
    "c": Client((str(BUILD / "client"),), ("echo", "fanin", "blocking")),
    "reactor": Client(("client_reactor.py",)),
    "reactor-pure": Client(("client_reactor.py",), pure=True),
    "reactor-hosted-uvloop": Client(("client_reactor_hosted.py", "--loop", "uvloop")),
    "reactor-hosted": Client(("client_reactor_hosted.py",)),
    "reactor-asyncio-uvloop": Client(
        ("client_reactor_asyncio.py", "--loop", "uvloop"), share=0.5
    ),
    "reactor-asyncio": Client(("client_reactor_asyncio.py",), share=0.5),
    "picows-uvloop": Client(("client_picows.py", "--loop", "uvloop")),
    "picows": Client(("client_picows.py",)),
    "aiohttp-uvloop": Client(("client_aiohttp.py", "--loop", "uvloop"), share=0.5),
    "aiohttp": Client(("client_aiohttp.py",), share=0.5),
    "websockets-uvloop": Client(("client_websockets.py", "--loop", "uvloop"), share=0.25),
    "websockets": Client(("client_websockets.py",), share=0.25),
    "tornado": Client(("client_tornado.py",), share=0.2),
    # A thread per connection, two with keep-alive.
    "websocket-client": Client(
        ("client_websocket_client.py",), ("echo", "fanin", "idle", "connect"),
        share=0.2, max_connections=500,
    ),
    "reactor-blocking": Client(("client_blocking.py", "reactor"), ("blocking",)),
    "reactor-pure-blocking": Client(("client_blocking.py", "reactor"), ("blocking",), pure=True),
    "websocket-client-blocking": Client(("client_blocking.py", "websocket-client"), ("blocking",)),
    "websockets-sync": Client(("client_blocking.py", "websockets"), ("blocking",)),
    "wheel": Client(("timers.py", "--kind", "wheel"), ("timers",)),
    "call_later": Client(("timers.py", "--kind", "call_later"), ("timers",)),
    "heapq": Client(("timers.py", "--kind", "heapq"), ("timers",)),
    "asyncio": Client(("timers.py", "--kind", "asyncio"), ("timers",)),
    "uvloop": Client(("timers.py", "--kind", "uvloop"), ("timers",)),
}  # fmt: skip


def plural(count: int) -> str:
    return "1 connection" if count == 1 else f"{count:,} connections"


def steady(
    kind: str, connections: int, messages: int, size: int, suffix: str = "", **options: Any
) -> Scenario:
    """An echo or fan-in scenario."""
    title = "Echo" if kind == "echo" else "Fan-in"
    length = {65536: "64 KiB", 4096: "4 KiB", 1024: "1 KiB", 1 << 20: "1 MiB"}.get(
        size, f"{size} bytes"
    )
    return Scenario(
        f"{title}, {plural(connections)}, {length}{suffix}", kind,
        connections=connections, messages=messages, size=size, **options,
    )  # fmt: skip


def memory(connections: int, suffix: str = "", **options: Any) -> Scenario:
    return Scenario(
        f"Memory of an idle connection with keep-alive, {connections:,} open{suffix}",
        "idle", "connections", "KB", 1e-3, connections, what="", max_rounds=3, **options,
    )  # fmt: skip


def connecting(suffix: str, connections: int, **options: Any) -> Scenario:
    return Scenario(
        f"Opening and closing a connection, 50 in flight{suffix}",
        "connect", "connections", "us", 1e6, connections,
        what="of CPU per connection", **options,
    )  # fmt: skip


def timers() -> dict[str, Scenario]:
    titles = {
        "fresh": "Timer set and cancelled",
        "random": "Live timer cancelled and another set, in random order",
        "expire": "Timers expiring together",
    }
    return {
        f"timers-{pattern}-{count}": Scenario(
            f"{title}, {count:,} live", "timers", "timers" if pattern == "expire" else "pairs",
            "ns", 1e9, pattern=pattern, timers=count,
            what=f"of CPU per {'timer' if pattern == 'expire' else 'pair'}",
        )
        for pattern, title in titles.items()
        for count in (1_000, 10_000, 100_000, 1_000_000)
    }  # fmt: skip


SCENARIOS = {
    "echo-1": steady("echo", 1, 6000, 150),
    "echo-200": steady("echo", 200, 300, 150),
    "echo-2000": steady("echo", 2000, 30, 150),
    "echo-15000": steady("echo", 15_000, 8, 150, clients=FAST, max_rounds=3),
    "echo-64k": steady("echo", 8, 300, 65536),
    "echo-1m": steady("echo", 4, 40, 1 << 20),
    "fanin-1": steady("fanin", 1, 200_000, 150),
    "fanin-200": steady("fanin", 200, 1000, 150),
    "fanin-2000": steady("fanin", 2000, 100, 150),
    "fanin-1-4k": steady("fanin", 1, 60_000, 4096),
    "fanin-200-4k": steady("fanin", 200, 300, 4096),
    "fanin-2000-4k": steady("fanin", 2000, 60, 4096),
    "echo-1-tls": steady("echo", 1, 4000, 150, ", TLS", tls=True),
    "echo-200-tls": steady("echo", 200, 200, 150, ", TLS", tls=True),
    "echo-64k-tls": steady("echo", 8, 200, 65536, ", TLS", tls=True),
    "fanin-200-tls": steady("fanin", 200, 500, 150, ", TLS", tls=True),
    "fanin-200-4k-tls": steady("fanin", 200, 200, 4096, ", TLS", tls=True),
    "echo-200-deflate": steady(
        "echo", 200, 100, 1024, " of JSON, permessage-deflate", deflate=True, clients=DEFLATE
    ),
    "blocking": dataclasses.replace(
        steady("blocking", 1, 6000, 150), title="Blocking echo, 1 connection, 150 bytes"
    ),
    "connect": connecting("", 1000),
    "connect-tls": connecting(", TLS", 500, tls=True),
    "connect-tls-resumed": connecting(
        ", TLS session resumed", 500, tls=True, resume=True, clients=RESUMING
    ),
    "memory-1000": memory(1000),
    "memory-5000": memory(5000),
    "memory-15000": memory(15_000),
    "memory-1000-tls": memory(1000, ", TLS", tls=True),
    "idle-cpu": Scenario(
        "10,000 idle connections with ping_interval 20", "idle-cpu", "wall_seconds", "%", 100.0,
        10_000, what="of a core", max_rounds=2, clients=(*FAST, "tornado"),
    ),
    **{
        f"scale-{idle}": steady(
            "echo", 200, 300, 150, f", beside {idle:,} idle ones",
            idle=idle, clients=FAST, max_rounds=5,
        )
        for idle in (0, 5_000, 10_000, 15_000)
    },
    **timers(),
}  # fmt: skip


def quicker(scenario: Scenario) -> Scenario:
    """The same, with about a fifth of the work: whether it runs, and a first impression."""
    connections, messages = scenario.connections, scenario.messages
    if scenario.messages:
        messages = max(2, messages // 5)
    else:
        connections //= 5
    title = f"{scenario.title}; a fifth of it"
    return dataclasses.replace(
        scenario,
        title=title,
        connections=connections,
        messages=messages,
        timers=scenario.timers // 5,
    )
