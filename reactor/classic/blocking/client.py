"""WebSocket and create_connection: the blocking face of websocket-client.

What it is: a connection that is driven by its caller, in the caller's thread.

What it must not know: the event loop. There is no reader thread, and no hidden reactor.

How it works. The methods call one another as in websocket-client, because programs override them:
``recv`` calls ``recv_data``, which calls ``recv_data_frame``, which calls ``recv_frame``. The
methods that send are in sending.py, the socket in sock.py. The session (protocols/session.py) knows
the state of the connection and what is due in the closing handshake; the frames are read by a
``frame_buffer``, no byte earlier than needed.

Threads. One thread may send while another one receives: ``lock`` is held while a frame is written,
``readlock`` while one is read. ``close``, ``abort`` and ``shutdown`` may be called by any thread;
they first shut the connection down, which wakes the thread that reads, and close the descriptor
when that thread has released it.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator
from math import inf
from types import TracebackType
from typing import Any, TypeVar

from ...exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketPeerException,
    WebSocketProtocolException,
)
from ...protocols.deflate import Compression
from ...protocols.frames import MAX_CONTROL_PAYLOAD, OP_CLOSE, OP_CONT, OP_PING, OP_TEXT
from ...protocols.messages import MessageLimits, check_decoded_size
from ...protocols.session import Close, Failure
from ..abnf import continuous_frame, frame_buffer
from ..defaults import check_timeout, getdefaulttimeout, sock_opt
from ..frame import ABNF, STATUS_NORMAL
from ..options import MAX_MESSAGE_SIZE
from ..tracing import debug, isEnabledForTrace, trace
from .connect import handshake_response, headers_of, note_unknown
from .sending import SendingSocket
from .sock import close_content, held, log_close_status
from .steps import open_connection

__all__ = ["WebSocket", "create_connection"]

W = TypeVar("W", bound="WebSocket")


class WebSocket(SendingSocket):
    """A WebSocket connection for callers that block.

        >>> ws = WebSocket()
        >>> ws.connect("ws://localhost:8765/")
        >>> ws.send("Hello, Server")
        19
        >>> ws.recv()
        'Hello, Server'
        >>> ws.close()

    It can be used in a ``with`` block, which closes it.

    Args:
        get_mask_key: see :meth:`set_mask_key`.
        sockopt: arguments of setsockopt() calls, a list of tuples.
        sslopt: options for TLS, a dict; see ``transports/tls/contexts.py``.
        fire_cont_frame: every fragment of a message is returned separately.
        enable_multithread: whether several threads use the connection.
        skip_utf8_validation: do not check whether text is UTF-8, until it is decoded.
        dispatcher: an object whose ``send(sock, data)`` does the writing.
        max_message_size: bytes of a message; a larger one ends the connection with 1009. A
            compressed text of more than 64 MiB counts by the memory that its str takes.
        max_fragments: frames of a message; likewise.

    Attributes:
        sock: the socket, or None. Setting it attaches a socket of your own.
        connected: whether messages can be sent.
        handshake_response: the server's answer, with status, headers, subprotocol; or None.
        close_frame: the server's close frame, an ABNF, once it has been received; or None.
        sock_opt: socket options and time-out.
        frame_buffer, cont_frame: read frames, and join them into messages.
        lock, readlock: held while a frame is written, or read.

    Other keyword arguments are ignored; the log mentions them on level DEBUG.
    """

    def __init__(
        self,
        get_mask_key: Callable[[int], str | bytes] | None = None,
        sockopt: Any = None,
        sslopt: dict[str, Any] | None = None,
        fire_cont_frame: bool = False,
        enable_multithread: bool = True,
        skip_utf8_validation: bool = False,
        dispatcher: Any = None,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_fragments: int = 65536,
        **unknown: Any,
    ) -> None:
        note_unknown(unknown, "WebSocket")
        self.handshake_response: handshake_response | None = None
        self.close_frame: ABNF | None = None
        self.frame_buffer = frame_buffer(
            self._recv,
            skip_utf8_validation,
            MessageLimits(max_message_size, max_fragments),
        )
        self.cont_frame = continuous_frame(fire_cont_frame, skip_utf8_validation)
        self._decoder = codecs.getincrementaldecoder("utf-8")()  # for what recv() returns
        self._text = False  # whether the fragments that recv() returns are text
        self._known: frozenset[str] = frozenset()  # options that the constructor has checked
        self._max_message_size = max_message_size
        settings = sock_opt(sockopt, sslopt)
        super().__init__(settings, dispatcher, get_mask_key, threads=enable_multithread)

    # -- information about the connection ------------------------------------------------

    def getsubprotocol(self) -> str | None:
        """Return the subprotocol that the server chose, or None."""
        return self.handshake_response.subprotocol if self.handshake_response else None

    subprotocol = property(getsubprotocol)

    def getstatus(self) -> int | None:
        """Return the HTTP status of the server's answer, or None."""
        return self.handshake_response.status if self.handshake_response else None

    status = property(getstatus)

    def getheaders(self) -> dict[str, str] | None:
        """Return the headers of the server's answer, names in lower case, or None."""
        return self.handshake_response.headers if self.handshake_response else None

    headers = property(getheaders)

    # -- connecting ----------------------------------------------------------------------

    def connect(self, url: str, **options: Any) -> None:
        """Connect, and do the opening handshake.

        Args:
            url: ws:// or wss://.
            header: list of "Name: value" lines, or a dict (None as a value: left out), or a
                function that returns one of them.
            cookie: value of the Cookie header.
            origin: value of the Origin header; default: the server's own origin.
            connection: a whole line instead of "Connection: Upgrade".
            suppress_origin, suppress_host: send no such header.
            host: value of the Host header.
            timeout: as for :meth:`settimeout`; here it is the time for the whole call.
            http_proxy_host, http_proxy_port, http_proxy_auth (user and password),
            http_no_proxy (list of hosts), http_proxy_timeout, proxy_type ("http", "https",
            "socks4", "socks4a", "socks5", "socks5h"): a proxy. Without a host the environment
            decides.
            redirect_limit: how many redirects are followed, default 3.
            compression: "deflate" or a Deflate offers permessage-deflate (RFC 7692), and
                compresses what :meth:`send` sends, if the server agrees; None: no compression.
            lenient: False: any violation by the server ends the connection, even a harmless one;
                see ClientOptions.
            subprotocols: list of names to offer. The server may choose none.
            socket: a connected stream socket; then no name is resolved, no proxy used, and no TLS
                started. If no time-out is set here, the socket's own applies. For wss:// it must
                already speak TLS, unless plain_socket is True.

        Other keyword arguments are ignored; the log mentions them on level DEBUG. After an
        exception nothing is left open.

        Raises:
            ValueError: the URL or an option cannot be used.
            OSError: the exception of the system or of ``ssl`` if there is no connection, such as
                ConnectionRefusedError or ``ssl.SSLCertVerificationError``.
            WebSocketTimeoutException: the time-out is 0.
            WebSocketException: everything else, as a member of the exception tree.
        """
        note_unknown(set(options) - self._known, "WebSocket.connect()")
        if "timeout" in options:
            check_timeout(options["timeout"])
            self.sock_opt.timeout = options["timeout"]
        if self.sock is not None:
            self.shutdown()
        self.handshake_response = self.close_frame = None
        given = options.get("socket")
        timeout = self.sock_opt.timeout
        if given is not None and timeout is None:
            timeout = given.gettimeout()
        upgraded = open_connection(url, self.sock_opt, options)
        self.sock = upgraded.sock
        self.frame_buffer.lenient = options.get("lenient", True)
        self._stream.settimeout(timeout)
        self.frame_buffer.recv_buffer = [upgraded.leftover] if upgraded.leftover else []
        if upgraded.agreement is not None:
            self._compression = Compression(upgraded.agreement)
            self.frame_buffer.compression = self._compression
        response = upgraded.response
        self.handshake_response = handshake_response(
            response.status, headers_of(response), upgraded.subprotocol
        )
        self._session.opened()

    # -- receiving -----------------------------------------------------------------------

    def recv(self) -> str | bytes:
        """Wait for a message, and return it: str for text, bytes for binary.

        Pings are answered. A close frame is answered with the same code, and "" is returned;
        ``connected`` is False then. With ``fire_cont_frame``, fragments are returned.

        Raises:
            WebSocketTimeoutException: nothing was received within the time-out.
            WebSocketConnectionClosedException: the connection is closed, or has ended without a
                close frame.
            WebSocketProtocolException, WebSocketPayloadException, WebSocketMessageTooBigException:
                the server has sent something that it must not send; it is told so with the close
                code 1002, 1007 or 1009.
            UnicodeDecodeError: a text was not checked (skip_utf8_validation) and is not UTF-8.
            OSError: the exception of the system or of ``ssl`` if the connection broke, such as
                ConnectionResetError.
        """
        with self.readlock:
            opcode, data = self.recv_data()
            if opcode >= OP_CLOSE:
                return ""
            if opcode != OP_CONT:
                self._text = opcode == OP_TEXT
            if not self._text:
                return data
            complete = self.cont_frame.recving_frames is None
            if complete and opcode != OP_CONT:
                self._check_memory(data)
                return str(data, "utf-8")
            try:
                # A character may be split over two fragments.
                return self._decoder.decode(data, complete)
            except UnicodeDecodeError:
                self._decoder.reset()
                raise

    def _check_memory(self, data: bytes) -> None:
        """A text that was not checked (skip_utf8_validation) may still be too large as a str."""
        try:
            check_decoded_size(data, self._max_message_size)
        except WebSocketPeerException as exc:
            self._finish(Failure(exc))
            raise

    def recv_data(self, control_frame: bool = False) -> tuple[int, bytes]:
        """Wait for a message, and return its opcode and its data, always bytes.

        Args:
            control_frame: return pings and pongs, too. Close frames are always returned.

        Raises:
            WebSocketException: as for :meth:`recv`, which also says what is answered.
        """
        opcode, frame = self.recv_data_frame(control_frame)
        return opcode, frame.data

    def recv_data_frame(self, control_frame: bool = False) -> tuple[int, ABNF]:
        """Wait for a message, and return its opcode and its last frame, with all of its data.

        Args:
            control_frame: return pings and pongs, too. Close frames are always returned.

        Raises:
            WebSocketException: as for :meth:`recv`, which also says what is answered.
        """
        with self.readlock:
            try:
                while True:
                    result = self._take(self.recv_frame(), control_frame)
                    if result is not None:
                        return result
            except WebSocketPeerException as exc:
                self._finish(Failure(exc))
                raise

    def _take(self, frame: ABNF, control_frame: bool) -> tuple[int, ABNF] | None:
        """Process a frame; return what the caller is to get, if anything."""
        if isEnabledForTrace():
            trace(f"++Rcv raw: {frame.format()!r}")
            trace(f"++Rcv decoded: {frame}")
        if frame.opcode < OP_CLOSE:
            assembler = self.cont_frame
            assembler.validate(frame)
            assembler.add(frame)
            return assembler.extract(frame) if assembler.is_fire(frame) else None
        if frame.opcode == OP_CLOSE:
            self._take_close(frame)
            return frame.opcode, frame
        if frame.opcode == OP_PING:
            if len(frame.data) > MAX_CONTROL_PAYLOAD:
                raise WebSocketProtocolException("Ping message is too long")
            try:
                self.pong(frame.data)
            except (WebSocketConnectionClosedException, OSError):
                pass  # there may still be something to read
        return (frame.opcode, frame) if control_frame else None

    def _take_close(self, frame: ABNF) -> None:
        frame.validate(skip_utf8_validation=True)  # an overridden recv_frame() may not do this
        self.close_frame = frame
        data = frame.data
        code = int.from_bytes(data[:2], "big") if data else CloseCode.NO_STATUS
        self._finish(Close(code, data[2:].decode(errors="ignore")))

    def _forget_input(self) -> None:
        self.frame_buffer.reset()
        self._compression = self.frame_buffer.compression = None
        self.cont_frame.cont_data = self.cont_frame.recving_frames = None
        self._decoder.reset()

    def _finish(self, last: Close | Failure) -> None:
        """Answer the server's last frame. It does not matter whether the server still reads."""
        try:
            with self.lock:
                self._session.end(last)
        except (WebSocketException, OSError) as exc:
            debug(f"the close frame could not be sent: {exc}")
        self._forget_input()

    def recv_frame(self) -> ABNF:
        """Wait for a frame and return it as it is: nothing is answered, nothing reassembled.

        Raises:
            WebSocketException: as for :meth:`recv`, but the server is not told.
        """
        with self.readlock:
            return self.frame_buffer.recv_frame()

    def __iter__(self) -> Iterator[str | bytes]:
        """Iterate over messages, as returned by :meth:`recv`."""
        while True:
            yield self.recv()

    def __next__(self) -> str | bytes:
        return self.recv()

    def next(self) -> str | bytes:
        """The same as :meth:`recv`."""
        return self.__next__()

    # -- closing -------------------------------------------------------------------------

    def close(
        self,
        status: int = STATUS_NORMAL,
        reason: str | bytes = b"",
        timeout: float | None = 3,
    ) -> None:
        """Close the connection, with the closing handshake of RFC 6455 section 7.

        May be called on any thread. If another thread waits in :meth:`recv`, that thread receives
        the server's answer. After the call the connection is closed in any case.

        Args:
            status: the close code; sent as it is.
            reason: str or bytes. It is cut to the 123 bytes that a close frame can hold.
            timeout: seconds for the whole call; then the connection is closed without an answer.
                0: do not wait for the answer. None: no limit.

        Raises:
            ValueError: the code is not in 0 to 65535, and the connection is open. Nothing else is
                raised.
        """
        if not self.connected:
            self.shutdown()
            return
        content = close_content(status, reason)
        check_timeout(timeout)
        until = inf if timeout is None else time.monotonic() + timeout
        self.close_frame = None
        try:
            with held(self.lock, until):
                self._write_until = until
                try:
                    self._session.begin_close(status, content)
                finally:
                    self._write_until = None
            self._await_close(until)
        except Exception as exc:  # noqa: BLE001 - the object may only look like a socket
            debug(f"the closing handshake failed: {exc}")
        finally:
            self.shutdown()

    def _await_close(self, until: float) -> None:
        """Read until the server's close frame is received, unless another thread reads."""
        session = self._session
        while session.received_close is None and time.monotonic() < until:
            with held(self.readlock, until):
                if self.sock is None or session.received_close is not None:
                    break
                self._read_until = until
                try:
                    frame = self.recv_frame()
                finally:
                    self._read_until = None
                if frame.opcode == OP_CLOSE:
                    self._take_close(frame)
        if session.received_close is not None:
            log_close_status(session.received_close.code)

    def __enter__(self: W) -> W:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def create_connection(
    url: str, timeout: float | None = None, class_: type[Any] = WebSocket, **options: Any
) -> WebSocket:
    """Connect, and return the WebSocket.

        >>> ws = create_connection("ws://localhost:8765/", header=["User-Agent: MyProgram"])

    Args:
        url: ws:// or wss://.
        timeout: as for WebSocket.settimeout(), and the budget for connecting; None: that of
            setdefaulttimeout().
        class_: the class to use; its constructor takes the options of WebSocket's.
        options: those of the constructor of WebSocket, and of WebSocket.connect().

    Raises:
        WebSocketException: as for WebSocket.connect(), which lists further exceptions.
    """
    constructor = {
        "sockopt": options.pop("sockopt", []),
        "sslopt": options.pop("sslopt", {}),
        "fire_cont_frame": options.pop("fire_cont_frame", False),
        "enable_multithread": options.pop("enable_multithread", True),
        "skip_utf8_validation": options.pop("skip_utf8_validation", False),
    }
    websock: Any = class_(**constructor, **options)
    if isinstance(websock, WebSocket):
        websock._known = frozenset(options)  # the constructor has already logged unknown ones
    websock.settimeout(timeout if timeout is not None else getdefaulttimeout())
    websock.connect(url, **options)
    made: WebSocket = websock
    return made
