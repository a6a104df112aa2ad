"""The connections that we open, and open again.

What it is: :class:`ClientConnection`, which adds to a Connection how it comes to be: attempts,
and what follows on a failed one or a drop.

What it must not know: sessions, frames, how the connect pipeline works.

How it works. An attempt is a task that runs the connect pipeline. What it ends in, and what a
connection ends in, goes through ``_over``: with a reconnect policy, the phase is WAITING and a
timer starts the next attempt; without, or when the user has closed, the phase is OVER. The
protocol object is told in both cases, after the decision and before the next attempt, so a
handler may still give up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..base.marks import calls_user_code
from ..base.mistakes import check_called
from ..connection.connection import Connection, Phase
from ..exceptions import CloseCode, WebSocketBadStatusException
from ..loop.tasks import Task
from ..protocols.frames import new_mask
from ..protocols.http.handshake import normalize_headers
from ..protocols.http.http11 import parse_again
from ..protocols.http.retry_after import retry_after
from ..protocols.session import Role
from ..transports.tls.contexts import make_context
from .options import ClientOptions
from .pipeline import Upgraded, check_sock, connect
from .url import parse_url

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from ..protocols.http.http11 import Response
    from ..protocols.websocket import WebSocketProtocol

__all__ = ["ClientConnection"]


class ClientConnection(Connection):
    """A connection that we open, and open again.

    Parameters:
        loop, registry: see Connection.
        url: ws:// or wss://, or a function that is called before every attempt.
        protocol: whose handlers are called.
        options: see ClientOptions.
    """

    __slots__ = ("_attempt", "_backoff", "_head", "_opened_at", "_source", "_task", "_url")

    options: ClientOptions

    def __init__(
        self,
        loop: EventLoop,
        registry: set[Connection],
        url: str | Callable[[], str],
        protocol: WebSocketProtocol,
        options: ClientOptions,
    ) -> None:
        # What can be wrong already is an error of this call, not of an attempt.
        if not isinstance(url, str) and not callable(url):
            raise TypeError(f"url must be a str or a function, not {type(url).__name__}")
        check_called("url", url)
        if isinstance(url, str) and parse_url(url).secure:
            make_context(options.sslopt)
            check_sock(parse_url(url), options)
        if options.proxy_sslopt is not None:
            make_context(options.proxy_sslopt)
        if not callable(options.header):
            normalize_headers(options.header)
        super().__init__(loop, registry, options, Role.CLIENT)
        self.protocol = protocol
        protocol._connection = self
        self._source = url
        self._url = url if isinstance(url, str) else ""
        #: The policy for the next drop; None: this attempt is the last one.
        self._backoff = options.backoff
        self._attempt = 0  # attempts in a row that did not lead to a stable connection
        self._opened_at: float | None = None  # when it was open for the first or latest time
        self._head = b""  # of the response to the latest upgrade
        self._task: Task[Upgraded] | None = None
        loop.call_soon(self._connect)
        if threading.get_ident() != loop.thread_id:
            loop._wake_up()  # another thread may have begun to run it meanwhile

    @property
    def url(self) -> str:
        """The URL of the latest attempt, as it was given."""
        return self._url

    @property
    def _place(self) -> str:
        return str(parse_url(self._url))  # without username and password

    @property
    def response(self) -> Response | None:
        """The head of the server's answer to the latest upgrade."""
        # Parsed when somebody asks: parsed heads were a third of a connection's memory.
        return parse_again("response", self._head) if self._head else None

    @property
    def attempt(self) -> int:
        """Failed attempts in a row."""
        return self._attempt

    @calls_user_code
    def _connect(self) -> None:
        if self._phase is Phase.OVER:
            return
        self._timer = None
        self._phase = Phase.CONNECTING
        try:
            source = self._source
            self._url = source if isinstance(source, str) else source()
            header = self.options.header
            header = header() if callable(header) else header
            cookie = self.options.cookie
            cookie = cookie() if callable(cookie) else cookie
        except Exception as exc:  # noqa: BLE001 - the user's function; reported
            self._connected(None, exc)
            return
        if self.phase is Phase.OVER:  # closed by one of the functions
            return
        coroutine = connect(self._url, self.options, header, cookie)
        self._task = task = Task(self._loop, coroutine, self._connected, soon=False)
        task.start()

    def _connected(self, upgraded: Upgraded | None, error: Exception | None) -> None:
        """The attempt has come to an end."""
        self._task = None
        if self._phase is Phase.OVER:  # closed by one of the functions called for it
            return
        if upgraded is None:
            self._drop_given_socket()
            self._over(CloseCode.ABNORMAL, "", error)
            return
        self._head = upgraded.head
        self.subprotocol = upgraded.subprotocol
        again = self._opened_at is not None
        self._opened_at = self._loop.now
        protocol = self.protocol
        self._attach(
            upgraded.sock,
            upgraded.leftover,
            protocol.on_reconnect if again else protocol.on_open,
            upgraded.agreement,
        )

    @property
    def _lenient(self) -> bool:
        return self.options.lenient

    def _new_mask(self) -> Callable[[], bytes | str]:
        source = self.options.mask_key
        return new_mask if source is None else lambda: source(4)

    def _close(self, code: int, reason: str, timeout: float | None = None) -> None:
        self._backoff = None
        super()._close(code, reason, timeout)

    def _abort(self) -> None:
        self._backoff = None
        super()._abort()

    def _give_up(self) -> None:
        phase = self._phase
        if phase is Phase.OVER:
            return
        self._phase = Phase.OVER
        self._registry.discard(self)
        self._stop_timer()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._drop_given_socket()
        if phase is Phase.CONNECTING:
            # This attempt has not been told of. Not from within the caller's close().
            self._loop.call_soon(self._tell, CloseCode.ABNORMAL, "", None)

    def let_go(self) -> None:
        """See Connection."""
        super().let_go()
        if self._task is not None:
            self._task.cancel()  # its coroutine closes what it has

    def _drop_given_socket(self) -> None:
        """The attempt that ``options.sock`` was for may never have got to it."""
        if self.options.sock is not None:
            self.options.sock.close()

    def _over(self, code: int, reason: str, error: Exception | None) -> None:
        delay = self._next_delay(error)
        if delay is None:
            super()._over(code, reason, error)
            return
        self._phase = Phase.WAITING
        self._timer = self._loop.call_later(delay, self._connect)
        self._tell(code, reason, error)  # a handler may still give up

    def _next_delay(self, error: Exception | None) -> float | None:
        """How long to wait before the next attempt; None: there is none."""
        backoff = self._backoff
        if backoff is None:
            return None
        if self._phase is Phase.ATTACHED and self._opened_at is not None:
            open_for = self._loop.now - self._opened_at
            self._attempt = backoff.attempts_after(self._attempt, open_for)
        asked = 0.0
        if isinstance(error, WebSocketBadStatusException):
            asked = retry_after(error.resp_headers or {}, time.time())
        delay = backoff.delay(self._attempt, asked=asked)
        self._attempt += 1
        return delay
