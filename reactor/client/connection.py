"""The connections that we open, and open again.

What it is: :class:`ClientConnection`, which adds to a Connection how it comes to be: attempts,
and what follows on a failed one or a drop.

What it must not know: sessions, frames, how the connect pipeline works.

How it works. An attempt waits at the gate (gate.py); then it is a task that runs the connect
pipeline. What it ends in, and what a connection ends in, goes through ``_over``: with a reconnect
policy, the phase is WAITING and a timer starts the next attempt; without, or when the user has
closed, the phase is OVER. The protocol object is asked (``on_retry``), and then told in both cases,
before the next attempt, so a handler may still give up.

``reconnect`` notes what is wanted, and ends what there is; ``_over`` finds the note. Where there is
nothing to be ended, it sets the timer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..base.marks import calls_user_code
from ..base.mistakes import check_called, check_delay
from ..base.printable import printable
from ..connection.connection import Connection, Phase
from ..connection.dispatcher import report
from ..connection.handlers import overrides_on_error
from ..exceptions import (
    CloseCode,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketStateException,
)
from ..loop.tasks import Task
from ..protocols.frames import new_mask
from ..protocols.http.handshake import normalize_headers
from ..protocols.http.http11 import parse_again
from ..protocols.http.retry_after import retry_after
from ..protocols.session import Role, State, check_close
from ..timers import Backoff
from ..transports.tls.contexts import make_context
from .options import ClientOptions
from .pipeline import Upgraded, check_sock, connect
from .url import parse_url

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from ..protocols.ending import Initiator
    from ..protocols.http.http11 import Response
    from ..protocols.websocket import WebSocketProtocol
    from .gate import Address, Gate
    from .journal import Journal

__all__ = ["ClientConnection"]

#: What bounds the wishes of a server (Retry-After) where there is no reconnect policy.
NO_POLICY = Backoff()

#: A wait as long as the policy says.
BY_POLICY = -1.0


class ClientConnection(Connection):
    """A connection that we open, and open again.

    Parameters:
        loop, registry: see Connection.
        url: ws:// or wss://, or a function that is called before every attempt.
        protocol: whose handlers are called.
        options: see ClientOptions.
        gate: what every attempt passes before it dials; None: nothing.
    """

    __slots__ = (
        "_attempt",
        "_backoff",
        "_gate",
        "_head",
        "_opened_at",
        "_source",
        "_task",
        "_url",
        "_wanted",
        "_wish",
    )

    options: ClientOptions

    def __init__(
        self,
        loop: EventLoop,
        registry: set[Connection],
        url: str | Callable[[], str],
        protocol: WebSocketProtocol,
        options: ClientOptions,
        gate: Gate | None = None,
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
        self._belong_to(protocol)
        self._source = url
        self._url = url if isinstance(url, str) else ""
        #: The policy for the next drop; None: this attempt is the last one.
        self._backoff = options.backoff
        self._attempt = 0  # attempts in a row that did not lead to a stable connection
        self._opened_at: float | None = None  # when it was open for the first or latest time
        self._head = b""  # of the response to the latest upgrade
        self._gate = gate
        self._task: Task[Upgraded] | None = None  # the attempt that is in flight
        self._wanted = True  # nobody has ended it for good
        # After how many seconds somebody wants it to be opened anew; None: nobody does.
        self._wish: float | None = None

    def start(self) -> None:
        """Begin the first attempt, with the loop's next batch of calls."""
        self._loop.call_soon(self._connect)
        if threading.get_ident() != self._loop.thread_id:
            self._loop._wake_up()  # another thread may have begun to run it meanwhile

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

    # -- attempts ------------------------------------------------------------------------

    @calls_user_code
    def _connect(self) -> None:
        if self._phase is Phase.OVER:
            return
        self._timer = None
        self._phase = Phase.CONNECTING
        self._by_us = False
        try:
            source = self._source
            self._url = source if isinstance(source, str) else source()
            address = self._address()
        except Exception as exc:  # noqa: BLE001 - the user's function; reported
            self._connected(None, exc)
            return
        if self.phase is Phase.OVER or self._wish is not None:
            return  # ended by the function
        if self._gate is None:
            self._dial()
        else:
            again = self._attempt > 0 or self._opened_at is not None
            self._gate.ask(self._dial, address, again, self.options.connect_pace)

    def _address(self) -> Address:
        url = parse_url(self._url)
        return url.host, url.port

    @calls_user_code
    def _dial(self) -> None:
        """The gate is open: begin the attempt, which has a time-out from now on."""
        try:
            header = self.options.header
            header = header() if callable(header) else header
            cookie = self.options.cookie
            cookie = cookie() if callable(cookie) else cookie
        except BaseException as exc:
            self._landed()
            if not isinstance(exc, Exception):
                raise  # KeyboardInterrupt and SystemExit leave the loop
            self._connected(None, exc)
            return
        if self._phase is not Phase.CONNECTING or self._wish is not None:
            self._landed()  # ended by one of the functions
            return
        coroutine = connect(self._url, self.options, header, cookie)
        if (journal := self._journal) is not None and journal.hears:
            journal.attempt(self._place, self._attempt)
        self._task = task = Task(self._loop, coroutine, self._connected, soon=False)
        task.start()

    def _landed(self) -> None:
        """The attempt is in flight no longer."""
        self._task = None
        if self._gate is not None:
            self._gate.done()

    def _connected(self, upgraded: Upgraded | None, error: Exception | None) -> None:
        """The attempt has come to an end."""
        if self._task is not None:
            self._landed()
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
        if (journal := self._journal) is not None and journal.hears:
            journal.opened(self._place, again)
        protocol = self.protocol
        self._attach(
            upgraded.sock,
            upgraded.leftover,
            protocol.on_reconnect if again else protocol.on_open,
            upgraded.agreement,
        )

    def _stop_attempt(self) -> None:
        """Give up the attempt, if there is one, whether it is in flight or waits at the gate."""
        if self._task is not None:
            self._task.cancel()
            self._landed()
        elif self._gate is not None:
            self._gate.leave(self._dial)
        self._drop_given_socket()

    @property
    def _lenient(self) -> bool:
        return self.options.lenient

    def _new_mask(self) -> Callable[[], bytes | str]:
        source = self.options.mask_key
        return new_mask if source is None else lambda: source(4)

    # -- for good, or not ----------------------------------------------------------------

    def _close(self, code: int, reason: str, timeout: float | None = None) -> None:
        self._backoff = None
        self._wanted = False
        super()._close(code, reason, timeout)

    def _abort(self) -> None:
        self._backoff = None
        self._wanted = False
        super()._abort()

    def _give_up(self) -> None:
        phase = self._phase
        if phase is Phase.OVER:
            return
        self._by_us = True
        self._stop_attempt()
        if phase is Phase.CONNECTING:
            self.ending = self._ended(CloseCode.ABNORMAL, "", None)
        self._finish()
        if phase is Phase.CONNECTING:
            # This attempt has not been told of. Not from within the caller's close().
            self._loop.call_soon(self._tell, CloseCode.ABNORMAL, "", None)

    def _finish(self) -> None:
        """There will be no further attempt."""
        self._phase = Phase.OVER
        self._registry.discard(self)
        self._stop_timer()
        if self.ending is not None:
            self.ending = replace(self.ending, final=True, delay=None)

    def reconnect(self, delay: float | None = None, reason: str = "") -> None:
        """See WebSocketProtocol."""
        if delay is not None:
            check_delay("delay", delay)
        check_close(CloseCode.GOING_AWAY, reason)
        if self.options.sock is not None:
            raise WebSocketStateException("it cannot be opened anew: sock serves one connection")
        if not self._wanted or self._ending:
            self._refuse_to_reconnect()
        if threading.get_ident() == self._loop.thread_id:
            self._reconnect(delay, reason)
        else:
            self._loop.call_soon_threadsafe(self._reconnect_later, delay, reason)

    def _refuse_to_reconnect(self) -> None:
        self._loop.check_process()
        raise WebSocketConnectionClosedException(
            "the connection was ended for good, by close() or abort()"
        )

    def _reconnect_later(self, delay: float | None, reason: str) -> None:
        if self._wanted:  # else it was closed meanwhile, and whoever asked has gone on
            self._reconnect(delay, reason)

    def _reconnect(self, delay: float | None, reason: str) -> None:
        wish = delay
        if wish is None:
            wish = 0.0 if self.options.backoff is None else BY_POLICY
        phase = self._phase
        if phase is Phase.WAITING:
            if delay is not None:
                self._wait(delay)
        elif phase is Phase.OVER:
            if self.protocol._connection is not self or self._loop._closed:
                self._refuse_to_reconnect()
            self._registry.add(self)
            self._phase = Phase.WAITING
            self._wish = wish
            planned = self._plan(None)
            if planned is None:
                self._finish()
            else:
                self._wait(planned)
        else:
            begun = self._wish is None  # else an end is on its way already
            self._wish = wish
            if phase is Phase.ATTACHED:
                if self.session.state is State.OPEN:
                    self.break_off(reason, None)
            elif begun:
                self._by_us = True
                self._stop_attempt()
                self._loop.call_soon(self._attempt_dropped, reason)

    def _attempt_dropped(self, reason: str) -> None:
        if self._phase is Phase.CONNECTING and self._wish is not None:
            self._over(CloseCode.ABNORMAL, reason, None)

    def let_go(self) -> None:
        """See Connection."""
        super().let_go()
        if self._task is not None:
            self._task.cancel()  # its coroutine closes what it has

    def _drop_given_socket(self) -> None:
        """The attempt that ``options.sock`` was for may never have got to it."""
        if self.options.sock is not None:
            self.options.sock.close()

    # -- what comes next -----------------------------------------------------------------

    def _over(self, code: int, reason: str, error: Exception | None) -> None:
        ending = self._ended(code, reason, error)
        delay = self._plan(error)
        self.ending = replace(ending, attempt=self._attempt)
        if delay is None:
            self._finish()
        else:
            self._phase = Phase.WAITING
            self._wait(delay)
        try:
            if delay is not None:
                self._ask_about(delay, error)
        finally:  # KeyboardInterrupt and SystemExit pass through, and on_close is still owed
            self._note_end()
            self._tell(code, reason, error)  # a handler may still give up

    @property
    def _journal(self) -> Journal | None:
        return None if self._gate is None else self._gate.journal

    def _note_end(self) -> None:
        """Have the log hear how it ended."""
        if self._journal is None or self.ending is None:
            return
        try:
            place, address = self._place, self._address()
        except Exception:  # noqa: BLE001 - no URL, or none that can be used
            place, address = printable(self._url), None
        seen = overrides_on_error(self.protocol)
        self._journal.ended(place, address, self.ending, self.options.backoff is not None, seen)

    def _wait(self, delay: float) -> None:
        """Have the next attempt begin after so many seconds."""
        self._stop_timer()
        self._timer = self._loop.call_later(delay, self._connect)
        if self.ending is not None:
            self.ending = replace(self.ending, final=False, attempt=self._attempt, delay=delay)

    @calls_user_code
    def _ask_about(self, delay: float, error: Exception | None) -> None:
        """Tell the protocol object of a wait, and heed what it says."""
        try:
            answer = self.protocol.on_retry(self._attempt, delay, error)
            if answer is not None and answer is not False:
                check_delay("what on_retry returns", answer)
        except Exception as exc:  # noqa: BLE001 - reported, not swallowed
            report(self.protocol, exc)
            return
        if answer is None or self._phase is not Phase.WAITING:
            return
        if answer is False:
            self._finish()
        else:
            self._wait(answer)

    def _initiator(self, error: Exception | None) -> Initiator:
        attached = self._phase is Phase.ATTACHED
        if not attached and error is not None and not isinstance(error, WebSocketException):
            return "us"  # a function or an option of the user
        return super()._initiator(error)

    def _plan(self, error: Exception | None) -> float | None:
        """How long to wait before the next attempt; None: there is none. Counts it."""
        wish, self._wish = self._wish, None
        if wish is None or wish == BY_POLICY or not self._wanted:
            return self._next_delay(error)
        self._count_from_stable(self._backoff or NO_POLICY)
        self._attempt += 1
        return wish

    def _count_from_stable(self, backoff: Backoff) -> None:
        if self._opened_at is not None and self._phase is Phase.ATTACHED:
            open_for = self._loop.now - self._opened_at
            self._attempt = backoff.attempts_after(self._attempt, open_for)

    def _next_delay(self, error: Exception | None) -> float | None:
        """The same by the policy alone."""
        backoff = self._backoff
        asked = 0.0
        if isinstance(error, WebSocketBadStatusException):
            asked = retry_after(error.resp_headers or {}, time.time())
            self._hold_others_back(backoff or NO_POLICY, asked)
        if backoff is None:
            return None
        self._count_from_stable(backoff)
        delay = backoff.delay(self._attempt, asked=asked)
        if delay is not None:
            self._attempt += 1
        return delay

    def _hold_others_back(self, backoff: Backoff, asked: float) -> None:
        """The server has asked for some seconds of peace: from us all."""
        seconds = backoff.heed(asked)
        if seconds and self._gate is not None:
            spread = seconds / 2 if backoff.jitter else 0.0
            self._gate.hold(self._address(), seconds, spread)
