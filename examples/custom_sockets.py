"""Sockets that are already connected: a unix socket, and one bound to a local address."""

import os
import socket
import tempfile
import threading

from embedded import echo_server

from reactor import Reactor, WebSocketProtocol, create_connection
from reactor.client.url import parse_url


class Echo(WebSocketProtocol):
    def on_message(self, message):
        self.send(message)


def over_a_unix_socket():
    with tempfile.TemporaryDirectory() as folder, Reactor() as loop:
        path = os.path.join(folder, "my.socket")
        loop.listen(unix_path=path, protocol=Echo)
        server = threading.Thread(target=loop.run_forever)
        server.start()
        try:
            my_socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            my_socket.connect(path)
            ws = create_connection(
                "ws://localhost/",  # a dummy
                socket=my_socket,
                sockopt=((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),),
            )
            ws.send("Hello over a unix socket")
            print(ws.recv())
            ws.close()
        finally:
            loop.stop()
            server.join()


def from_a_local_address():
    with echo_server() as url:
        target = parse_url(url)
        my_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        my_socket.bind(("127.0.0.1", 0))
        my_socket.connect((target.host, target.port))
        ws = create_connection(url, socket=my_socket)
        ws.send("Hello from a bound socket")
        print(ws.recv())
        ws.close()


over_a_unix_socket()
from_a_local_address()
