"""Choose the opcode of a message, with both classes."""

from embedded import echo_server

import reactor as websocket


def on_open(wsapp):
    wsapp.send("This is a ping", websocket.ABNF.OPCODE_PING)
    wsapp.send(b"\x00\x01\x02", websocket.ABNF.OPCODE_BINARY)


def on_data(wsapp, data, opcode, fin):
    print("the app got", websocket.ABNF.OPCODE_MAP[opcode], data)
    wsapp.close()


with echo_server() as url:
    ws = websocket.WebSocket()
    ws.connect(url)
    ws.send("Hello, Server", websocket.ABNF.OPCODE_TEXT)
    print(ws.recv())
    ws.send("This is a ping", websocket.ABNF.OPCODE_PING)
    ws.send(b"bytes", websocket.ABNF.OPCODE_BINARY)
    print(ws.recv())
    ws.close()

    wsapp = websocket.WebSocketApp(url, on_open=on_open, on_data=on_data)
    wsapp.run_forever()
