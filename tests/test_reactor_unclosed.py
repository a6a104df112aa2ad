"""Programs that end without closing their loop: nothing is printed about it, whatever is going on.

(asyncio warns by itself of tasks that are left; so none is left here.)
"""

from __future__ import annotations

import subprocess
import sys

import pytest

#: What the programs share: turns until something is true, in a loop that nobody closes.
BEGIN = """
import socket
from reactor import Reactor, WebSocketProtocol
loop = Reactor(max_connecting=1)
def until(true):
    while not true(): loop.run_once(1)
"""

PROGRAMS = {
    "a client that has sent half a request": """
listener = loop.listen("127.0.0.1", 0, max_connections=5, max_connections_per_address=5)
client = socket.create_connection(("127.0.0.1", listener.port))
client.send(b"GET / HTTP/1.1")
until(lambda: listener._handshakes)
""",
    "a client that waits for process_request": """
from reactor.tasks import sleep
asked = []
async def ask(request, sock):
    asked.append(request)
    await sleep(1000)
listener = loop.listen("127.0.0.1", 0, process_request=ask, max_connections=5)
loop.connect(f"ws://127.0.0.1:{listener.port}/", WebSocketProtocol)
until(lambda: asked)
""",
    "the same within a function": """
def main():
    loop = Reactor()
    listener = loop.listen("127.0.0.1", 0, max_connections=5)
    client = socket.create_connection(("127.0.0.1", listener.port))
    while not listener._handshakes: loop.run_once(1)
main()
import gc
gc.collect()
""",
    "attempts at a mute server, and at the gate": """
server = socket.create_server(("127.0.0.1", 0))
url = f"ws://127.0.0.1:{server.getsockname()[1]}/"
clients = [loop.connect(way, WebSocketProtocol) for way in (url, "wss" + url[2:], url)]
server.setblocking(False)
for _ in range(50): loop.run_once(0)
""",
    "the login of a feed": """
from reactor.feeds import Feed
from reactor.tasks import sleep
begun = []
class Topics(Feed):
    def subscribe_message(self, topics, link): return "x"
    async def login(self, link):
        begun.append(link)
        if len(begun) == 1: await sleep(1000)
        await link.request("x", match=lambda message: False)
listener = loop.listen("127.0.0.1", 0)
feeds = [Topics(loop, f"ws://127.0.0.1:{listener.port}/") for _ in range(2)]
for feed in feeds: feed.subscribe("A")
until(lambda: len(begun) == 2)
""",
    "connections, a page and a recording": """
import tempfile, reactor.monitor
page = reactor.monitor.serve(loop, port=0)
recorder = reactor.monitor.record(loop, tempfile.mkdtemp() + "/x.pcapng")
listener = loop.listen("127.0.0.1", 0, compression="deflate", max_connections=5)
client = loop.connect(f"ws://127.0.0.1:{listener.port}/", WebSocketProtocol, reconnect=1)
until(lambda: listener.protocols)
""",
    "a host in asyncio": """
import asyncio
from reactor.hosting.asyncio import asyncio_host
asyncio_loop = asyncio.new_event_loop()
async def main():
    global host, listener, client
    host = asyncio_host()
    listener = host.listen("127.0.0.1", 0, max_connections=5)
    client = socket.create_connection(("127.0.0.1", listener.port))
    while not listener._handshakes: await asyncio.sleep(0)
asyncio_loop.run_until_complete(main())
""",
    "connections of reactor.asyncio": """
import asyncio
from reactor.asyncio import connect, serve
asyncio_loop = asyncio.new_event_loop()
async def nothing(ws): pass
async def main():
    global server, ws, client
    server = await serve(nothing, "127.0.0.1", 0)
    place = server.sockets[0].getsockname()
    ws = await connect(f"ws://127.0.0.1:{place[1]}/")
    await ws.wait_closed()
    client = socket.create_connection(place)
    while not server._listeners[0]._handshakes: await asyncio.sleep(0)
asyncio_loop.run_until_complete(main())
""",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_loop_that_nobody_closes_ends_without_a_word(program: str) -> None:
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", BEGIN + program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
