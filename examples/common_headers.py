"""The headers Cookie, Origin and Host, with both classes."""

from embedded import echo_server

import reactor as websocket


def on_open(wsapp):
    wsapp.send("Hello from the app")


def on_message(wsapp, message):
    print(message)
    wsapp.close()


with echo_server() as url:
    ws = websocket.WebSocket()
    ws.connect(url, cookie="chocolate", origin="testing_websockets.com", host="echo.example")
    ws.send("Hello, Server")
    print(ws.recv())
    ws.close()

    wsapp = websocket.WebSocketApp(url, cookie="chocolate", on_open=on_open, on_message=on_message)
    wsapp.run_forever(origin="testing_websockets.com", host="127.0.0.1")
