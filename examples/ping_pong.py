"""Pings and pongs: by hand, and kept up by run_forever."""

from embedded import echo_server

import reactor as websocket


def on_ping(wsapp, message):
    print("Got a ping!")


def on_pong(wsapp, message):
    print("Got a pong! No need to respond:", message)
    wsapp.close()


with echo_server() as url:
    ws = websocket.WebSocket()
    ws.connect(url)
    ws.ping()
    ws.ping("This is an optional ping payload")
    ws.pong()
    opcode, payload = ws.recv_data(control_frame=True)
    print("answer:", websocket.ABNF.OPCODE_MAP[opcode], payload)
    ws.close()

    wsapp = websocket.WebSocketApp(url, on_ping=on_ping, on_pong=on_pong)
    wsapp.run_forever(ping_interval=0.3, ping_timeout=0.2, ping_payload="a ping's payload")
