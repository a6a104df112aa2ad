"""A first connection, short-lived: connect, send, receive, close."""

from embedded import echo_server

import reactor as websocket

with echo_server() as url:
    ws = websocket.WebSocket()
    ws.connect(url)
    ws.send("Hello, Server")
    print(ws.recv())
    ws.close()
