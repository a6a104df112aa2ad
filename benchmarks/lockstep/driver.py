"""What the Python clients of the lock-step benchmark share: the peer, and when it has to step.

Every client has a function that is called for each message and returns nothing; see Run.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1]))

import common

BUILD = Path(__file__).parents[1] / "build"

#: Seconds until what the clients have sent first, with permessage-deflate, has surely left.
SETTLE = 0.05


class Run:
    """One run: counts messages, steps the peer, and prints the result.

    Args:
        stop: ends the client's loop.

    Attributes:
        payloads: what the client sends, without end. With ``deflate`` it sends one on every
            connection before it calls :meth:`begin`, as the peer has nothing else to answer with.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        parser = argparse.ArgumentParser()
        for name in ("echo", "connections", "ready", "per", "rounds", "size", "tls", "deflate"):
            parser.add_argument(f"--{name}", type=int, required=True)
        parser.add_argument("--library", help="of client_asyncio.py")
        parser.add_argument("--loop", help="of client_asyncio.py: asyncio or uvloop")
        parser.add_argument("--engine", default="zlib", help="of reactor's compression")
        args = parser.parse_args()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.library = args.library
        self.loop = args.loop
        self.echo = bool(args.echo)
        self.connections = args.connections
        self.size = args.size
        self.deflate = bool(args.deflate)
        self.engine = args.engine
        self.payloads: Iterator[str] = (
            itertools.cycle(common.json_texts(args.size))
            if args.deflate
            else itertools.repeat("x" * args.size)
        )
        self._burst = (args.ready, args.per, args.size)
        self._each = args.ready * args.per
        self._left = self._each
        self._rounds = args.rounds
        self.messages = args.rounds * self._each
        self._stop = stop
        # PyDLL: the GIL is kept, as nobody else runs.
        self._peer = peer = ctypes.PyDLL(str(BUILD / "peer.so"))
        peer.peer_spent.restype = peer.peer_clock.restype = ctypes.c_int64
        self.certificate: str | None = None  # of the peer, to be trusted
        if args.tls:
            handle, self.certificate = tempfile.mkstemp(suffix=".pem")
            os.close(handle)
        name = self.certificate and self.certificate.encode()
        port = peer.peer_start(self.connections, name, args.deflate)
        self.url = f"{'wss' if args.tls else 'ws'}://127.0.0.1:{port}/"

    def begin(self) -> None:
        """All connections are open."""
        self._peer.peer_wait()
        if self.certificate is not None:
            os.unlink(self.certificate)
        gc.collect()
        self._begun = self._peer.peer_clock()
        self._peers = self._peer.peer_spent()
        self._peer.peer_step(*self._burst)

    def received(self) -> None:
        """A message has come, and was answered where it has to be."""
        self._left -= 1
        if self._left:
            return
        self._left = self._each
        self._rounds -= 1
        if self._rounds:
            self._peer.peer_step(*self._burst)
        else:
            self._end()

    def _end(self) -> None:
        peer = self._peer
        spent = peer.peer_clock() - self._begun - (peer.peer_spent() - self._peers)
        print(json.dumps({"messages": self.messages, "cpu_seconds": spent / 1e9}), flush=True)
        self._stop()
        sys.stdout.flush()
        os._exit(0)  # without taking hundreds of connections apart
