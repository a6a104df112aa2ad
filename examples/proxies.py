"""Through an HTTP or a SOCKS proxy, with both classes.

Usage: proxies.py [URL PROXY_HOST PROXY_PORT]. Without them, the package pproxy is the proxy.
"""

import socket
import subprocess
import sys
from contextlib import contextmanager

from embedded import echo_server

import reactor as websocket

#: pproxy expects an event loop that newer Pythons and uvloop do not create by themselves.
PPROXY = """
import asyncio, sys
sys.modules["uvloop"] = None
asyncio.set_event_loop(asyncio.new_event_loop())
from pproxy.server import main
main()
"""


@contextmanager
def proxy():
    """Yield host and port of a proxy that speaks http, socks4 and socks5 on the same port."""
    if len(sys.argv) > 3:
        yield sys.argv[2], sys.argv[3]
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ["-l", f"http+socks4+socks5://127.0.0.1:{port}"]
    with subprocess.Popen(
        [sys.executable, "-u", "-c", PPROXY, *arguments], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            while "Serving on" not in (line := child.stdout.readline()):
                assert line, "pproxy did not start"
            yield "127.0.0.1", str(port)
        finally:
            child.terminate()


def on_open(wsapp):
    wsapp.send("Hello from the app")


def on_message(wsapp, message):
    print(message)
    wsapp.close()


with echo_server() as url, proxy() as (host, port):
    for kind in ("http", "socks4", "socks5"):
        options = {"http_proxy_host": host, "http_proxy_port": port, "proxy_type": kind}
        ws = websocket.WebSocket()
        ws.connect(url, **options)
        ws.send(f"Hello through {kind}")
        print(ws.recv())
        ws.close()

        wsapp = websocket.WebSocketApp(url, on_open=on_open, on_message=on_message)
        wsapp.run_forever(**options)
