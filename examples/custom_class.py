"""A class of your own that sees every frame."""

import socket

from embedded import echo_server

from reactor import WebSocket, create_connection


class MyWebSocket(WebSocket):
    def recv_frame(self):
        frame = super().recv_frame()
        print("yay! I got this frame: ", frame)
        return frame


with echo_server() as url:
    ws = create_connection(
        url, sockopt=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),), class_=MyWebSocket
    )
    ws.send("Hello, Server")
    print(ws.recv())
    ws.close()
