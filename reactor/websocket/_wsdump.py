"""websocket-client's ``_wsdump``: our command of that name."""

from __future__ import annotations

from reactor.classic.frame import ABNF
from reactor.cli.dump import main

OPCODE_DATA = (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY)

if __name__ == "__main__":
    main()
