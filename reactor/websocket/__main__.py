"""``python -m reactor.websocket SCRIPT [ARGUMENTS]``: run a program that uses websocket-client.

``python -m reactor.websocket -m MODULE [ARGUMENTS]`` runs a module. The program is not changed,
and finds its arguments, its ``__main__`` and its folder as it does under ``python``.
"""

from __future__ import annotations

import os
import runpy
import sys

from reactor import install_as_websocket

#: Where processes spawned by multiprocessing find ``websocket``: they are given ``sys.path``.
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_path")

USAGE = "usage: python -m reactor.websocket SCRIPT [ARGUMENTS] | -m MODULE [ARGUMENTS]"


def main() -> int:
    """Run the script or module of the command line."""
    arguments = sys.argv[1:]
    if arguments[:1] in ([], ["-h"], ["--help"]) or arguments == ["-m"]:
        print(USAGE, file=sys.stdout if arguments[:1] in (["-h"], ["--help"]) else sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    install_as_websocket()
    sys.path.insert(1, PATH)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
