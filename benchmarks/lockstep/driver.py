"""What the Python clients of the lock-step benchmark share: the peer, and when it has to step.

Every client has a function that is called for each message and returns nothing; see Run.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

BUILD = Path(__file__).parents[1] / "build"


class Run:
    """One run: counts messages, steps the peer, and prints the result.

    Args:
        stop: ends the client's loop.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        parser = argparse.ArgumentParser()
        for name in ("echo", "connections", "ready", "per", "rounds", "size"):
            parser.add_argument(f"--{name}", type=int, required=True)
        parser.add_argument("--library", help="of client_asyncio.py")
        parser.add_argument("--loop", help="of client_asyncio.py: asyncio or uvloop")
        args = parser.parse_args()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.library = args.library
        self.loop = args.loop
        self.echo = bool(args.echo)
        self.connections = args.connections
        self.size = args.size
        self._burst = (args.ready, args.per, args.size)
        self._each = args.ready * args.per
        self._left = self._each
        self._rounds = args.rounds
        self.messages = args.rounds * self._each
        self._stop = stop
        # PyDLL: the GIL is kept, as nobody else runs.
        self._peer = peer = ctypes.PyDLL(str(BUILD / "peer.so"))
        peer.peer_spent.restype = peer.peer_clock.restype = ctypes.c_int64
        self.url = f"ws://127.0.0.1:{peer.peer_start(self.connections)}/"

    def begin(self) -> None:
        """All connections are open."""
        self._peer.peer_wait()
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
