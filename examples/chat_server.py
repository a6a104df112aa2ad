"""Native: a chat server with a room for each path, log-in, an origin check and a health check.

With a port as its argument it serves until SIGTERM or Ctrl-C; without one, it runs a demonstration.
"""

import re
import signal
import sys
from functools import partial
from queue import Queue
from threading import Thread
from urllib.request import urlopen

from reactor import (
    Accept,
    HTTPResponse,
    Reactor,
    WebSocketBadStatusException,
    WebSocketProtocol,
    broadcast,
    create_connection,
)
from reactor.tasks import in_thread

rooms = {}  # name -> its members
users = {"secret-of-ann": "Ann", "secret-of-bob": "Bob"}


class Member(WebSocketProtocol):
    def __init__(self, room, user):
        self.room = rooms.setdefault(room, set())
        self.user = user

    def on_open(self):
        self.room.add(self)
        broadcast(self.room, f"{self.user} has come")

    def on_message(self, message):
        broadcast(self.room, f"{self.user}: {message}")

    def on_close(self, code, reason):
        self.room.discard(self)
        broadcast(self.room, f"{self.user} has gone")


async def process_request(request, sock):
    path, _, token = request.target.partition("?token=")
    if path == "/healthz":
        return HTTPResponse(200, body="fine\n")
    if not (room := re.fullmatch(r"/rooms/(\w+)", path)):
        return HTTPResponse(404, body="there are only /rooms/<name> and /healthz\n")
    user = await in_thread(users.get, token)  # a database would take its time
    if user is None:
        return HTTPResponse(401, body="who are you?\n")
    return Accept(partial(Member, room[1], user), max_message_size=4096)


def serve(port, started=None):
    with Reactor() as loop:
        listener = loop.listen(
            "127.0.0.1",
            port,
            process_request=process_request,
            # None: clients that send no Origin, as most clients other than browsers do.
            origins=["https://chat.example", re.compile(r"http://127\.0\.0\.1(:\d+)?"), None],
            max_connections_per_address=20,
            handshake_timeout=5,
        )
        if started is None:
            print("listening on port", listener.port, flush=True)
            loop.signal(signal.SIGTERM, loop.stop)
        else:
            started.put((loop, listener.port))
        try:
            loop.run_forever()
        finally:
            loop.shutdown(timeout=5)  # sends 1001 to all clients, and waits for their answers


def show():
    started = Queue()
    thread = Thread(target=serve, args=(0, started))
    thread.start()
    loop, port = started.get()
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
            print("health:", answer.status)
        room = f"ws://127.0.0.1:{port}/rooms/tea"
        ann = create_connection(f"{room}?token=secret-of-ann")
        bob = create_connection(f"{room}?token=secret-of-bob")
        bob.send("Hello")
        print([ann.recv() for _ in range(3)])
        for url, origin in (
            (f"{room}?token=guess", None),
            (f"ws://127.0.0.1:{port}/", None),
            (f"{room}?token=secret-of-ann", "https://evil.example"),
        ):
            try:
                create_connection(url, origin=origin)
            except WebSocketBadStatusException as exc:
                print("refused:", exc.status_code, exc.resp_body.decode().strip())
        ann.close()
        bob.close()
    finally:
        loop.stop()
        thread.join()


if len(sys.argv) > 1:
    serve(int(sys.argv[1]))
else:
    show()
