"""Native: a reactor inside of asyncio's event loop.

``asyncio_host()`` is a Reactor. The loop that runs the coroutines runs its turns as well, so
handlers and coroutines need no lock between them.
"""

import asyncio

from embedded import echo_server

from reactor import WebSocketProtocol
from reactor.hosting.asyncio import asyncio_host


class Hosted(WebSocketProtocol):
    def __init__(self, answer):
        self.answer = answer

    def on_open(self):
        self.send("Hello from a reactor inside asyncio")

    def on_message(self, message):
        self.answer.set_result(message)


async def main(url):
    host = asyncio_host()
    answer = asyncio.get_running_loop().create_future()
    host.connect(url, Hosted(answer))
    print(await answer)
    await host.shutdown()


with echo_server() as url:
    asyncio.run(main(url))
