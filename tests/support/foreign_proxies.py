"""Proxies that nobody here wrote: pproxy, proxy.py and tiny-proxy, each in a child process.

:class:`ForeignProxy` is the parent's side. This file is also the child's program: it starts the
proxy on ports of the system's choice, prints them, and serves until its standard input ends,
which it does at the latest when the parent ends. The child's half imports nothing of the tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

#: What each of them speaks, some of them within TLS. pproxy takes a SOCKS4a name for a part of the
#: stream.
PEERS = {
    "pproxy": ("http", "socks4", "socks5", "socks5h"),
    "proxy.py": ("http",),
    "tiny-proxy": ("http", "socks4", "socks4a", "socks5", "socks5h"),
    "pproxy+tls": ("https",),
    "proxy.py+tls": ("https",),
}


class ForeignProxy:
    """A running proxy. Several of them start side by side: a port is waited for when asked for.

    Parameters:
        name: one of PEERS.
        username, password: what it demands; None: nothing.
        certificate: paths to a certificate and its key, for those that speak TLS.
    """

    def __init__(
        self,
        name: str,
        username: str | None = None,
        password: str | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        credentials = [] if username is None else [username, password or ""]
        self._name = name
        name, _, tls = name.partition("+")
        options = json.dumps([credentials, certificate if tls else None])
        self._process = subprocess.Popen(
            [sys.executable, __file__, name, options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ports: dict[str, int] = {}

    def port(self, kind: str) -> int:
        """Return the port for a kind of proxy."""
        if not self._ports:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            assert line, f"{self._name} did not start"
            self._ports = json.loads(line)
        return self._ports["http" if kind == "https" else kind.rstrip("ah")]

    def url(self, kind: str, credentials: str = "") -> str:
        """Return the URL of the proxy; *credentials* are "user:password" as a URL has them."""
        return f"{kind}://{credentials}{'@' if credentials else ''}127.0.0.1:{self.port(kind)}"

    def close(self) -> None:
        """Stop the proxy and wait for its end."""
        try:
            self._process.communicate(timeout=10)  # which first ends its standard input
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def __enter__(self) -> ForeignProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


# --- in the child ---------------------------------------------------------------------------------


def announce(**ports: int) -> None:
    print(json.dumps(ports), flush=True)


def serve_pproxy(credentials: list[str], certificate: list[str] | None) -> None:
    import asyncio

    import pproxy

    async def serve() -> None:
        users = f"#{':'.join(credentials)}" if credentials else ""
        kinds = "http+socks4+socks5" if certificate is None else "http+ssl"
        server = pproxy.Server(f"{kinds}://127.0.0.1:0{users}")
        if certificate is not None:
            server.sslserver.load_cert_chain(*certificate)
        # authtime: by default, whoever was let in once needs no password any more.
        listening = await server.start_server({"rserver": [], "authtime": -1})
        port = listening.sockets[0].getsockname()[1]
        announce(http=port, socks4=port, socks5=port)
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(serve())


def serve_proxy_py(credentials: list[str], certificate: list[str] | None) -> None:
    arguments = ["--hostname=127.0.0.1", "--port=0", "--num-acceptors=1", "--num-workers=1"]
    arguments += ["--log-level=CRITICAL"]
    if credentials:
        arguments += [f"--basic-auth={':'.join(credentials)}"]
    if certificate is not None:
        arguments += [f"--cert-file={certificate[0]}", f"--key-file={certificate[1]}"]
    with TemporaryDirectory() as folder:
        os.environ["HOME"] = folder  # it makes a directory there, already when imported
        import proxy

        with proxy.Proxy(arguments) as running:
            announce(http=running.flags.port)
            sys.stdin.read()


def serve_tiny_proxy(credentials: list[str], _: list[str] | None) -> None:
    import logging

    import anyio
    import tiny_proxy

    async def serve() -> None:
        handlers: dict[str, Any] = {
            "http": tiny_proxy.HttpProxyHandler(*credentials),
            "socks4": tiny_proxy.Socks4ProxyHandler(*credentials[:1]),
            "socks5": tiny_proxy.Socks5ProxyHandler(*credentials),
        }
        ports = {}
        async with anyio.create_task_group() as group:
            for kind, handler in handlers.items():
                listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
                ports[kind] = listener.extra(anyio.abc.SocketAttribute.local_port)
                group.start_soon(listener.serve, handler.handle)
            announce(**ports)
            await anyio.to_thread.run_sync(sys.stdin.read)
            group.cancel_scope.cancel()

    logging.disable()
    anyio.run(serve)


SERVERS = {"pproxy": serve_pproxy, "proxy.py": serve_proxy_py, "tiny-proxy": serve_tiny_proxy}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](*json.loads(sys.argv[2]))
