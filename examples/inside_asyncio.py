"""Native: a reactor hosted by another event loop, here asyncio's.

To its host, a reactor is one descriptor to watch and one point in time to come back at; any loop
will do. Work that is requested between two turns may be due earlier: then it calls ``on_wanted``.
"""

import asyncio

from embedded import echo_server

from reactor import Reactor, WebSocketProtocol


class Hosted(WebSocketProtocol):
    def __init__(self, done):
        self.done = done

    def on_open(self):
        self.send("Hello from a reactor inside asyncio")

    def on_message(self, message):
        self.done.set_result(message)


class Host:
    """Runs a turn whenever the reactor has something to do."""

    def __init__(self, reactor):
        self.reactor = reactor
        self.loop = asyncio.get_running_loop()
        self.alarm = None
        self.loop.add_reader(reactor.fileno(), self.turn)
        reactor.loop.on_wanted = self.wanted
        self.turn()

    def wanted(self):  # on any thread
        self.loop.call_soon_threadsafe(self.turn)

    def turn(self):
        self.reactor.run_once(0)
        if self.alarm is not None:
            self.alarm.cancel()
        timeout = self.reactor.next_timeout()
        self.alarm = None if timeout is None else self.loop.call_later(timeout, self.turn)

    def close(self):
        self.reactor.loop.on_wanted = None
        self.loop.remove_reader(self.reactor.fileno())
        if self.alarm is not None:
            self.alarm.cancel()


async def main(url):
    with Reactor() as reactor:
        host = Host(reactor)
        done = asyncio.get_running_loop().create_future()
        reactor.connect(url, Hosted(done))
        print(await done)
        host.close()


with echo_server() as url:
    asyncio.run(main(url))
