"""Offer subprotocols. A server that chooses none is fine: subprotocol is None then."""

from embedded import echo_server

import reactor as websocket


def on_open(wsapp):
    print("the app got", wsapp.sock.subprotocol)
    wsapp.close()


with echo_server() as url:
    ws = websocket.WebSocket()
    ws.connect(url, subprotocols=["testproto"])
    print("the server chose", ws.subprotocol)
    ws.close()

    wsapp = websocket.WebSocketApp(url, subprotocols=["testproto"], on_open=on_open)
    wsapp.run_forever()
