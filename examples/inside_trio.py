"""Native: a reactor inside of trio (which this one needs)."""

import sys

from embedded import echo_server

from reactor import WebSocketProtocol

try:
    import trio
except ImportError:
    sys.exit(print("inside_trio.py needs trio"))

from reactor.hosting.trio import trio_host


class Hosted(WebSocketProtocol):
    def __init__(self):
        self.answered = trio.Event()

    def on_open(self):
        self.send("Hello from a reactor inside trio")

    def on_message(self, message):
        print(message)
        self.answered.set()


async def main(url):
    async with trio_host() as host:
        hosted = host.connect(url, Hosted)
        await hosted.answered.wait()


with echo_server() as url:
    trio.run(main, url)
