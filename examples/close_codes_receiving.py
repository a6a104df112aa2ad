"""See with which status code the server closes, with both classes.

Without a URL, a server is started that closes with 4001 at the first message.
"""

import struct
import sys
import threading

import reactor as websocket
from reactor import Reactor, WebSocketProtocol


class Closing(WebSocketProtocol):
    def on_message(self, message):
        self.close(4001, "see you")


def on_open(wsapp):
    wsapp.send("Hello")


def on_close(wsapp, close_status_code, close_msg):
    # on_close was called, so the opcode was 8.
    print("on_close args:")
    if close_status_code or close_msg:
        print("close status code:", close_status_code)
        print("close message:", close_msg)


with Reactor() as loop:
    listener = loop.listen("127.0.0.1", 0, Closing)
    server = threading.Thread(target=loop.run_forever)
    server.start()
    try:
        url = sys.argv[1] if len(sys.argv) > 1 else f"ws://127.0.0.1:{listener.port}/"
        ws = websocket.WebSocket()
        ws.connect(url)
        ws.send("Hello")
        resp_opcode, msg = ws.recv_data()
        print("Response opcode:", resp_opcode)
        if resp_opcode == 8 and len(msg) >= 2:
            print("Response close code:", struct.unpack("!H", msg[0:2])[0])
            print("Response message:", msg[2:])
        else:
            print("Response message:", msg)
        ws.shutdown()

        wsapp = websocket.WebSocketApp(url, on_open=on_open, on_close=on_close)
        wsapp.run_forever()
    finally:
        loop.stop()
        server.join()
