"""The server of the soak: echoes, and kills a share of its connections every second."""

from __future__ import annotations

import argparse
import random
import socket
import ssl
import struct
import sys

from reactor import Reactor, WebSocketProtocol

#: A linger of 0 seconds: closing sends a reset.
RESET = struct.pack("ii", 1, 0)

TICK = 0.1


class Echo(WebSocketProtocol):
    """Sends back what comes."""

    def on_message(self, message: str | bytes) -> None:
        """See WebSocketProtocol."""
        self.send(message)


def kill(protocol: WebSocketProtocol, rng: random.Random) -> None:
    """End a connection in one of the ways in which connections end."""
    way = rng.randrange(3)
    if way == 0:
        protocol.close(1012, "restart")
    elif protocol.sock is not None:
        if way == 1:
            protocol.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        protocol.abort()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("certificate")
    parser.add_argument("key")
    parser.add_argument("--kills", type=float, help="share of the connections, a second")
    args = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(args.certificate, args.key)
    rng = random.Random(1)
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Echo, ssl=context)
        owed = 0.0

        def tick() -> None:
            nonlocal owed
            loop.call_later(TICK, tick)
            protocols = listener.protocols
            owed += len(protocols) * args.kills * TICK
            for protocol in rng.sample(protocols, min(int(owed), len(protocols))):
                kill(protocol, rng)
            owed -= int(owed)

        loop.call_later(TICK, tick)
        loop.add_reader(sys.stdin.fileno(), loop.stop)
        print(listener.port, flush=True)
        loop.run_forever()


if __name__ == "__main__":
    main()
