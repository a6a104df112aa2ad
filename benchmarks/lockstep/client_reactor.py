"""The `reactor` client of the lock-step benchmark."""

from __future__ import annotations

from driver import SETTLE, Run, common

import reactor
from reactor import Deflate, Reactor, WebSocketProtocol

common.require_compiled(reactor.compiled)
loop = Reactor()
run = Run(loop.stop)
trust = run.certificate and {"ca_certs": run.certificate}
compression = Deflate(engine=run.engine) if run.deflate else None
AT_ONCE = 40
opened = started = 0


def open_more() -> None:
    """Keep some connects going until there are enough."""
    global started
    while started < run.connections and started - opened < AT_ONCE:
        started += 1
        loop.connect(
            run.url,
            Client,
            ping_interval=None,
            proxy=None,
            sslopt=trust,
            compression=compression,
        )


class Client(WebSocketProtocol):
    """Counts what comes, and answers it in an echo."""

    def on_open(self) -> None:
        """See WebSocketProtocol."""
        global opened
        opened += 1
        open_more()
        if run.deflate:
            self.send(next(run.payloads))
        if opened == run.connections:
            loop.call_later(SETTLE, run.begin)

    def on_message(self, message: str | bytes) -> None:
        """See WebSocketProtocol."""
        if len(message) != run.size:
            raise AssertionError("a message that nobody expected")
        if run.echo:
            self.send(next(run.payloads))
        run.received()


open_more()
loop.run_forever()
