"""Timeouts. For WebSocket: the time that a call may wait. For WebSocketApp: the time to connect."""

import socket

from embedded import echo_server

import reactor as websocket


def on_error(wsapp, err):
    print("Got an error: ", err)


with echo_server() as url:
    ws = websocket.WebSocket()
    ws.connect(url, timeout=0.5)
    try:
        print(ws.recv())  # nothing was sent, so nothing is received
    except websocket.WebSocketTimeoutException as exc:
        print("recv:", exc)
    ws.close()

with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, and sends nothing
    websocket.setdefaulttimeout(0.5)
    wsapp = websocket.WebSocketApp(f"ws://127.0.0.1:{silent.getsockname()[1]}", on_error=on_error)
    wsapp.run_forever()
