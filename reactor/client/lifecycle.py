"""The life of a client connection: attempts, losses, and reconnecting.

What it is: :class:`ClientLifecycle`, which every connection that we open has.

What it must not know: sessions, frames, how the connect pipeline works.

How it works. An Attempt (attempt.py) lives until its outcome is known. When an attempt has failed,
or an open connection has ended, ``over`` asks Retries (retries.py) whether another attempt follows.
If so, the phase becomes WAITING and a timer starts it; otherwise the phase becomes OVER. Before a
wait, ``on_retry`` asks the protocol object; then ``on_error`` and ``on_close`` are called in both
cases. A handler may still give up then.

``reconnect`` notes the wish for a new connection and ends the present one or the attempt; ``over``
finds the wish. If there is nothing to end, ``reconnect`` sets the timer itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..base.marks import calls_user_code
from ..base.mistakes import check_delay
from ..base.printable import printable, quoted, without_secrets
from ..connection.closing import break_off
from ..connection.dispatcher import report
from ..connection.handlers import overrides_on_error
from ..connection.over import let_go_soon, take_up
from ..connection.phase import Change, Phase, change
from ..exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketStateException,
)
from ..protocols.frames import new_mask
from ..protocols.history import Step
from ..protocols.http.http11 import parse_again
from ..protocols.session import Role, State, WebSocketSession, check_close
from .attempt import Attempt, Pipeline
from .options import ClientOptions
from .pipeline import ClientUpgrade, check_arguments, connect
from .retries import BY_POLICY, Retries, asked_by
from .tapped import tap_handshakes
from .url import parse_url, shown_endpoint

if TYPE_CHECKING:
    from ..connection.connection import Connection
    from ..protocols.http.http11 import Response
    from ..protocols.websocket import WebSocketProtocol
    from ..timers import Timer
    from .gate import Endpoint, Gate
    from .journal import Journal

__all__ = ["ClientLifecycle"]


class ClientLifecycle:
    """Opens one connection, and opens it again. See the module. The loop's thread only.

    Args:
        url: ws:// or wss://, or a function that returns one and is called before every attempt.
        options: see ClientOptions.
        gate: the gate that every attempt passes before it dials; None: it dials at once.
        pipeline: the coroutine function that connects; default: that of pipeline.py.

    Raises:
        TypeError: The URL or an option has a wrong type.
        ValueError: The URL or an option cannot be used.
    """

    __slots__ = (
        *("_connection", "_current", "_gate", "_head", "_opened_at", "_options", "_pipeline"),
        *("_retries", "_source", "_timer", "_url"),
    )

    role = Role.CLIENT
    request = None
    session_class = WebSocketSession

    _connection: Connection

    def __init__(
        self,
        url: str | Callable[[], str],
        options: ClientOptions,
        gate: Gate | None = None,
        pipeline: Pipeline = connect,
    ) -> None:
        check_arguments(url, options)
        self._options = options
        self._source = url
        self._url = url if isinstance(url, str) else ""
        self._retries = Retries(options.backoff)
        self._opened_at: float | None = None  # when it was open for the first or latest time
        self._head = b""  # the head of the latest response
        self._gate = gate
        self._pipeline = pipeline
        self._current: Attempt | None = None  # the attempt that is waiting or in flight
        self._timer: Timer | None = None  # for the next attempt

    def start(self, connection: Connection) -> None:
        """See Lifecycle. The first attempt begins with the loop's next batch of calls."""
        self._connection = connection
        loop = connection.loop
        loop.call_soon(self._connect)
        if threading.get_ident() != loop.thread_id:
            loop._wake_up()  # another thread may have begun to run the loop since it was checked

    # -- state ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The URL of the latest attempt, as it was given."""
        return self._url

    @property
    def place(self) -> str:
        """The URL without username, password and query."""
        return parse_url(self._url).shown

    @property
    def response(self) -> Response | None:
        """The head of the server's latest response."""
        # It is parsed on demand: parsed heads took a third of a connection's memory.
        return parse_again("response", self._head) if self._head else None

    @property
    def attempt(self) -> int:
        """How many attempts have failed in a row."""
        return self._retries.attempt

    @property
    def lenient(self) -> bool:
        """See ClientOptions."""
        return self._options.lenient

    @property
    def new_mask(self) -> Callable[[], bytes | str]:
        """See ClientOptions.mask_key."""
        source = self._options.mask_key
        return new_mask if source is None else lambda: source(4)

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        return self._connection.whose()

    # -- attempts ------------------------------------------------------------------------

    @calls_user_code
    def _connect(self) -> None:
        # No local variable has the connection, which keeps what a function of the user raises: that
        # exception has this frame.
        if self._connection.phase is Phase.OVER:
            return
        self._timer = None
        self._connection.begin_attempt()
        self._connection.counters.attempts += 1
        self._connection.note(Step.ATTEMPT, str(self._connection.counters.attempts))
        try:
            source = self._source
            url = source if isinstance(source, str) else source()
            if not isinstance(url, str):
                raise TypeError(f"the function given as url must return a str, not {quoted(url)}")
            self._url = url
            address = self._address()
            if not self._connection.host:
                self._connection.host = shown_endpoint(*address)
        except Exception as exc:  # noqa: BLE001 - the user's function; reported
            self._connected(None, exc)
            return
        if self._connection.state is State.CLOSED or self._retries.wish is not None:
            return  # the function has closed the connection, or asked to reconnect
        options = tap_handshakes(self._connection, self._options)
        self._current = current = Attempt(
            self._connection.loop,
            self._url,
            options,
            self._gate,
            self._pipeline,
            self._connected,
            self._connection.note,
            self.whose,
        )
        current.start(address, self._retries.attempt, again=self._opened_at is not None)

    def _address(self) -> Endpoint:
        url = parse_url(self._url)
        return url.host, url.port

    def _connected(self, upgrade: ClientUpgrade | None, error: Exception | None) -> None:
        """Open the connection, or go on after a failure: the attempt has ended."""
        self._current = None
        connection = self._connection
        if connection.phase is Phase.OVER:  # a function among the options has closed it
            return
        if upgrade is None:
            self._drop_given_socket()
            self.over(CloseCode.ABNORMAL, "", error)
            return
        self._head = upgrade.head
        connection.subprotocol = upgrade.subprotocol
        again = self._opened_at is not None
        self._opened_at = connection.loop.now
        connection.note(Step.OPENED)
        if (journal := self._journal) is not None and journal.hears:
            journal.opened(self.place, again)
        protocol = connection.protocol
        on_open = protocol.on_reconnect if again else protocol.on_open
        connection.attach(upgrade.sock, upgrade.leftover, on_open, upgrade.agreement)

    def _stop_attempt(self) -> None:
        """Give up the attempt, if there is one."""
        if self._current is not None:
            self._current.stop()
            self._current = None
        self._drop_given_socket()

    # -- ending for good, and reconnecting -----------------------------------------------

    def retire(self) -> None:
        """See Lifecycle. No further attempt will follow."""
        self._retries.retire()

    def give_up(self) -> None:
        """See Lifecycle."""
        connection = self._connection
        phase = connection.phase
        if phase is Phase.OVER:
            return
        connection.by_us = True
        self._stop_attempt()
        if phase is Phase.CONNECTING:
            connection.ending = connection.describe_end(CloseCode.ABNORMAL, "", None)
            connection.note_end(connection.ending)
        self._finish()
        if phase is Phase.CONNECTING:
            # on_close is still due for this attempt, but not from within the caller's close().
            connection.loop.call_soon(connection.tell, CloseCode.ABNORMAL, "", None)
        else:
            let_go_soon(connection)

    def _finish(self) -> None:
        """End the connection for good: there will be no further attempt."""
        connection = self._connection
        connection.note(Step.OVER)
        connection.finish()
        self._stop_timer()
        if connection.ending is not None and not connection.ending.final:
            connection.ending = replace(connection.ending, final=True, delay=None)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reconnect(
        self,
        connection: Connection,
        protocol: WebSocketProtocol,
        delay: float | None,
        reason: str,
    ) -> None:
        """See Lifecycle."""
        if delay is not None:
            check_delay("delay", delay)
        check_close(CloseCode.GOING_AWAY, reason)
        if self._options.sock is not None:
            raise WebSocketStateException("it cannot be opened again: sock serves one connection")
        if not self._retries.wanted or connection.sender.closing_soon:
            self._refuse_to_reconnect()
        if threading.get_ident() == connection.loop.thread_id:
            self._reconnect(connection, protocol, delay, reason)
        else:
            args = connection, protocol, delay, reason
            connection.loop.call_soon_threadsafe(self._reconnect, *args)

    def _refuse_to_reconnect(self) -> None:
        self._connection.loop.check_process()
        raise WebSocketConnectionClosedException(
            "the connection was ended for good, by close() or abort()"
        )

    def _reconnect(
        self,
        connection: Connection,
        protocol: WebSocketProtocol,
        delay: float | None,
        reason: str,
    ) -> None:
        if not self._retries.wanted:
            return  # another thread has asked, and it has been closed since
        wish = delay
        if wish is None:
            wish = 0.0 if self._options.backoff is None else BY_POLICY
        phase = connection.phase
        connection.note(Step.RECONNECTING, printable(reason))
        if phase is Phase.WAITING:
            if delay is not None:
                self._wait(delay)
        elif phase is Phase.OVER:
            self._reopen(connection, protocol, wish)
        else:
            begun = self._retries.wish is None  # else the attempt is being dropped already
            self._retries.wish = wish
            if phase is Phase.ATTACHED:
                if connection.session.state is State.OPEN:
                    break_off(connection, reason, None)
            elif begun:
                connection.by_us = True
                self._stop_attempt()
                connection.loop.call_soon(self._attempt_dropped, reason)

    def _reopen(self, connection: Connection, protocol: WebSocketProtocol, wish: float) -> None:
        if protocol._reactor_connection is not connection or connection.loop._closed:
            self._refuse_to_reconnect()
        take_up(connection, protocol)
        connection.enlist()
        change(connection, Change.REOPENED)
        self._retries.wish = wish
        planned = self._plan(None)
        if planned is None:
            self._finish()
            let_go_soon(connection)
        else:
            self._wait(planned)

    def _attempt_dropped(self, reason: str) -> None:
        if self._connection.phase is Phase.CONNECTING and self._retries.wish is not None:
            self.over(CloseCode.ABNORMAL, reason, None)

    def _drop_given_socket(self) -> None:
        """Close ``options.sock``: the attempt may have ended before it used the socket."""
        if self._options.sock is not None:
            self._options.sock.close()

    # -- parts of Lifecycle with little or nothing to do -----------------------------------

    def pinging(self) -> None:
        """See Lifecycle."""

    def when_closed(self) -> None:
        """See Lifecycle."""

    def forked(self) -> None:
        """See Lifecycle."""

    def let_go(self) -> None:
        """See Lifecycle."""
        if self._current is not None:
            self._current.let_go()

    # -- what comes next -----------------------------------------------------------------

    def over(self, code: int, reason: str, error: Exception | None) -> None:
        """See Lifecycle. Also called when an attempt has failed."""
        connection = self._connection
        delay = self._plan(error)
        ending = connection.describe_end(code, reason, error, self._retries.attempt)
        connection.ending = ending
        connection.note_end(ending)
        if delay is None:
            self._finish()
        else:
            change(connection, Change.DROPPED)
            self._wait(delay)
        try:
            if delay is not None:
                self._ask_about(delay, error)
        finally:  # KeyboardInterrupt and SystemExit pass through, but on_close must be called
            self._note_end()
            connection.tell(code, reason, error)  # a handler may still give up

    @property
    def _journal(self) -> Journal | None:
        return None if self._gate is None else self._gate.journal

    def _note_end(self) -> None:
        """Log how the connection or the attempt ended."""
        connection, journal = self._connection, self._journal
        if journal is None or connection.ending is None:
            return
        if connection.ending.error is None and not journal.hears:
            return
        try:
            place, address = self.place, self._address()
        except Exception:  # noqa: BLE001 - there is no usable URL
            place, address = printable(without_secrets(self._url)), None
        seen = overrides_on_error(connection.protocol)
        journal.ended(place, address, connection.ending, self._options.opens_again, seen)

    def _wait(self, delay: float) -> None:
        """Begin the next attempt after *delay* seconds."""
        self._stop_timer()
        connection = self._connection
        self._timer = connection.loop.call_later(delay, self._connect)
        connection.note(Step.WAITING, f"{delay:.3f}")
        if connection.ending is not None:
            connection.ending = replace(
                connection.ending, final=False, attempt=self._retries.attempt, delay=delay
            )

    @calls_user_code
    def _ask_about(self, delay: float, error: Exception | None) -> None:
        """Call ``on_retry``, and do what it returns.

        Args:
            delay: seconds of the wait that has begun.
            error: why the connection or the attempt ended, or None.
        """
        connection = self._connection
        try:
            answer = connection.protocol.on_retry(self._retries.attempt, delay, error)
            if answer is not None and answer is not False:
                check_delay("what on_retry returns", answer)
        except Exception as exc:  # noqa: BLE001 - reported, not swallowed
            report(connection.protocol, exc)
            return
        if answer is None or connection.phase is not Phase.WAITING:
            return
        if answer is False:
            self._finish()
        else:
            self._wait(answer)

    def _plan(self, error: Exception | None) -> float | None:
        """Return the seconds before the next attempt, and count it; None: there is none."""
        connection, retries = self._connection, self._retries
        asked = asked_by(error)
        if asked > 0 and self._gate is not None:
            retries.hold_others_back(self._gate, self._address(), asked)
        open_for = None
        if self._opened_at is not None and connection.phase is Phase.ATTACHED:
            open_for = connection.loop.now - self._opened_at
        return retries.next_delay(open_for, asked)
