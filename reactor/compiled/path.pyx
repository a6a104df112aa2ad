# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=False, embedsignature=False
"""The compiled twin of what every message passes between a readable socket and the handlers.

What it is: for each of a handful of methods, a function that does in C what the method does
nearly always: a message that came whole, over a plain socket, to an open connection; a message
that is sent there and leaves at once. replace.py puts these functions in the methods' place.

What it must not know: what to do in any other case. There every function calls the method that
it stands for, so that each rule has one place, and that is the Python module.

How it works. The objects are the ordinary ones, of ordinary classes. What C gains is how it
looks at them: see slots.pxd. A read goes to a buffer that all connections share and is parsed
there, so that a message is one object, and nothing else is made for it.

The calls of the kernel are made without releasing the GIL: they never block, and whoever lets
go of it has to wait for whichever thread takes it, 5 ms if that one computes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc

from reactor.compiled.slots cimport (
    find_slot, get, holds, is_a, number, put, require, slot,
)
from reactor.compiled.frames cimport build, draw, parse

import os
from socket import socket
from ssl import SSLEOFError, SSLSocket

from ..connection.connection import Connection
from ..connection.dispatcher import deliver as python_deliver
from ..connection.dispatcher import report
from ..connection.holding import Holding
from ..loop.event_loop import EventLoop
from ..protocols import frames
from ..protocols.events import OPEN
from ..protocols.frames import new_mask, serialize
from ..protocols.receiving import MAX_FRAMES, Receiving
from ..protocols.session import WebSocketSession
from ..connection.sending import Phase, Sending
from ..transports.stream import READ_SIZE, WOULD_BLOCK, Stream, StreamState
from ..transports.tls_stream import MAX_RECORD, MAX_WRITE, TLSStream

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()
    object PyObject_CallOneArg(object, object)

cdef extern from *:
    """
    #include <sys/types.h>
    #include <sys/socket.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0  /* there Python has the process ignore SIGPIPE */
    #endif
    /* How the object of a socket begins: see has_known_layout(). */
    typedef struct { PyObject_HEAD int descriptor; } SocketHead;
    """
    ctypedef struct SocketHead:
        int descriptor
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL
    Py_ssize_t recv(int fd, void *buffer, size_t size, int flags)
    Py_ssize_t send(int fd, const void *buffer, size_t size, int flags)

cdef enum:
    OP_TEXT = 1
    OP_BINARY = 2
    BUFFER = 120 * 1024

require("OP_TEXT", frames.OP_TEXT, OP_TEXT)
require("OP_BINARY", frames.OP_BINARY, OP_BINARY)
require("READ_SIZE", READ_SIZE, BUFFER)

# Where reads go to. Whoever reads takes it, and another one is made meanwhile for whoever else
# reads: wherever Python code can run, so can another thread's loop, or a finalizer.
cdef uint8_t *spare_buffer = NULL


cdef uint8_t *take_buffer() except NULL:
    global spare_buffer
    cdef uint8_t *buffer = spare_buffer
    spare_buffer = NULL
    if buffer is NULL:
        buffer = <uint8_t *>malloc(BUFFER)
        if buffer is NULL:
            raise MemoryError
    return buffer


cdef void give_back(uint8_t *buffer) noexcept:
    global spare_buffer
    if spare_buffer is NULL:
        spare_buffer = buffer
    else:
        free(buffer)


cdef Py_ssize_t MOST = MAX_FRAMES
cdef object IS_OPEN = OPEN
cdef object ATTACHED = Phase.ATTACHED
cdef object STREAM_OPEN = StreamState.OPEN
cdef object compiled_new_mask = new_mask
# eventlet's sockets have no method for it in their class: they go the Python way.
cdef object direct_socket = socket if hasattr(socket, "fileno") else None
cdef object descriptor_of = getattr(socket, "fileno", None)


cdef bint has_known_layout() except -1:
    """Whether an object of Python's socket class begins with its descriptor, as it always has."""
    if direct_socket is None:
        return False
    try:
        probe = socket()
    except OSError:
        return False
    with probe:
        known = (<SocketHead *><PyObject *>probe).descriptor == probe.fileno()
    return known and (<SocketHead *><PyObject *>probe).descriptor == -1


cdef bint IS_LAYOUT_KNOWN = has_known_layout()

cdef Py_ssize_t LOOP_DIRTY = find_slot(EventLoop, "dirty")
cdef Py_ssize_t LOOP_RUNNING = find_slot(EventLoop, "running")
cdef Py_ssize_t LOOP_THREAD = find_slot(EventLoop, "thread_id")
cdef Py_ssize_t STREAM_ABOVE_HIGH = find_slot(Stream, "above_high")
cdef Py_ssize_t STREAM_RECEIVER = find_slot(Stream, "_receiver")
cdef Py_ssize_t STREAM_SOCK = find_slot(Stream, "sock")
cdef Py_ssize_t STREAM_STATE = find_slot(Stream, "state")
cdef Py_ssize_t STREAM_QUEUED = find_slot(Stream, "queued")

cdef Py_ssize_t SESSION_ASSEMBLER = find_slot(Receiving, "_assembler")
cdef Py_ssize_t SESSION_COMPRESSION = find_slot(Receiving, "_compression")
cdef Py_ssize_t SESSION_CONTROLS = find_slot(Receiving, "controls")
cdef Py_ssize_t SESSION_DECODE_TEXT = find_slot(Receiving, "_decode_text")
cdef Py_ssize_t SESSION_ENDED = find_slot(Receiving, "_ended")
cdef Py_ssize_t SESSION_FRAME = find_slot(Receiving, "_frame")
cdef Py_ssize_t SESSION_LONGEST = find_slot(Receiving, "_longest")
cdef Py_ssize_t SESSION_MASKED = find_slot(Receiving, "_masked")
cdef Py_ssize_t SESSION_NEW_MASK = find_slot(WebSocketSession, "_new_mask")
cdef Py_ssize_t SESSION_SENDING = find_slot(WebSocketSession, "_sending")
cdef Py_ssize_t SESSION_TAIL = find_slot(Receiving, "_tail")
cdef Py_ssize_t SESSION_OUTPUT = find_slot(WebSocketSession, "output")
cdef Py_ssize_t SESSION_STATE = find_slot(WebSocketSession, "state")
cdef Py_ssize_t SESSION_UNFINISHED = find_slot(Receiving, "unfinished")

cdef Py_ssize_t CORK_LIMIT = find_slot(Sending, "_cork_limit")
cdef Py_ssize_t CORKED = find_slot(Sending, "_corked")
cdef Py_ssize_t LOOP = find_slot(Sending, "_loop")
cdef Py_ssize_t OUTBOX = find_slot(Sending, "_outbox")
cdef Py_ssize_t PHASE = find_slot(Sending, "_phase")
cdef Py_ssize_t PROTOCOL = find_slot(Sending, "protocol")
cdef Py_ssize_t SESSION = find_slot(Sending, "session")
cdef Py_ssize_t STREAM = find_slot(Sending, "stream")
cdef Py_ssize_t WRITE_LIMIT = find_slot(Sending, "_write_limit")
cdef Py_ssize_t DELIVER = find_slot(Holding, "_deliver")
cdef Py_ssize_t MESSAGE_AT = find_slot(Connection, "message_at")


# What each function stands for, and falls back on.
cdef object python_read = Stream._read
cdef object python_tls_read = TLSStream._read
cdef object python_data_received = Connection.data_received
cdef object python_send = Sending.send
cdef object python_flush = Sending.flush

# -- in ----------------------------------------------------------------------------------------


cdef object os_error(int code):
    return OSError(code, os.strerror(code))


cdef inline bint is_direct(stream) except -1:
    """Whether the stream's bytes are what its socket has, with nothing in between."""
    return type(stream) is Stream and type(get(stream, STREAM_SOCK)) is direct_socket


cdef inline int descriptor(stream) except -2:
    """The number that its socket has now: -1 where somebody else has closed it."""
    cdef PyObject *sock = slot(stream, STREAM_SOCK)
    if IS_LAYOUT_KNOWN:
        return (<SocketHead *>sock).descriptor
    return PyObject_CallOneArg(descriptor_of, <object>sock)


def read(stream):
    return read_stream(stream)


cdef bint read_stream(stream) except -1:
    """The same, for those that are compiled."""
    cdef Py_ssize_t size
    cdef int code
    cdef list events
    cdef uint8_t *buffer
    if not is_direct(stream):
        return python_read(stream)
    buffer = take_buffer()
    try:
        size = recv(descriptor(stream), buffer, BUFFER, MSG_DONTWAIT)
        code = errno
        receiver = get(stream, STREAM_RECEIVER)
        data = None
        events = None
        if size > 0:
            if is_a(receiver, Connection) and is_between_messages(get(receiver, SESSION)):
                events = parse_events(receiver, buffer, size)
            else:
                data = PyBytes_FromStringAndSize(<char *>buffer, size)
    finally:
        give_back(buffer)
    if size > 0:
        if data is None:
            handle(receiver, events)
        else:
            receiver.data_received(data)
        return True
    if size == 0:
        stream._on_eof()
        return True
    if code == EAGAIN or code == EINTR:
        return False
    stream._read_failed(os_error(code))
    return True


cdef inline object tls_engine(stream):
    """What does the work in the socket of a TLSStream; None if it is not there."""
    if type(stream) is not TLSStream:
        return None
    sock = get(stream, STREAM_SOCK)
    return getattr(sock, "_sslobj", None) if type(sock) is SSLSocket else None


def tls_read(stream):
    cdef list chunks = []
    engine = tls_engine(stream)
    if engine is None:
        return python_tls_read(stream)
    failure = None
    for _ in range(stream.RECORDS_PER_READ):
        try:
            data = engine.read(READ_SIZE)
        except WOULD_BLOCK:
            break
        except OSError as exc:
            failure = exc
            break
        if not data:
            failure = SSLEOFError()
            break
        chunks.append(data)
        if len(<bytes>data) < MAX_RECORD and not engine.pending():
            break
        engine = tls_engine(stream)
        if engine is None:  # another thread has closed the socket; the next read will tell
            break
    if chunks:
        get(stream, STREAM_RECEIVER).data_received(
            chunks[0] if PyList_GET_SIZE(chunks) == 1 else b"".join(chunks)
        )
    stream._after_read(failure)
    return bool(chunks) or failure is not None


def data_received(connection, data):
    if (
        type(data) is not bytes
        or not is_a(connection, Connection)
        or not is_between_messages(get(connection, SESSION))
    ):
        python_data_received(connection, data)
        return
    handle(
        connection,
        parse_events(connection, <uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)),
    )


cdef list parse_events(connection, const uint8_t *buffer, Py_ssize_t size):
    """What came between two messages; None: it could not be looked at, and that was the end."""
    cdef list events = []
    cdef Py_ssize_t pos
    session = get(connection, SESSION)
    try:
        pos = parse(
            buffer, size, 0, events, holds(session, SESSION_MASKED, True),
            get(session, SESSION_LONGEST), MOST,
        )
        if pos < size:
            session.receive(PyBytes_FromStringAndSize(<char *>buffer + pos, size - pos), events)
            if holds(session, SESSION_CONTROLS, True):
                connection._controls_came(events)
                return events
    except Exception as exc:
        connection._broken(exc)
        return None
    put(connection, MESSAGE_AT, get(connection, LOOP).now)
    return events


cdef int handle(connection, list events) except -1:
    """What Connection.data_received does with the events of a read."""
    if events is None:
        return 0
    session = get(connection, SESSION)
    if PyList_GET_SIZE(get(session, SESSION_OUTPUT)):
        connection._answer()
    if holds(session, SESSION_UNFINISHED, True):
        connection.hold_back()
    if PyList_GET_SIZE(events):
        if holds(connection, DELIVER, python_deliver) or is_alone(connection, events):
            deliver(connection, session, events)
        else:
            get(connection, DELIVER)(connection, events)
    return 0


cdef bint is_alone(connection, list events) except -1:
    """Whether pacing.py would hold nothing back: one event, and room for an answer."""
    stream = get(connection, STREAM)
    return (
        PyList_GET_SIZE(events) == 1
        and holds(connection, OUTBOX, None)
        and is_a(stream, Stream)
        and holds(stream, STREAM_ABOVE_HIGH, False)
    )


cdef bint is_between_messages(session) except -1:
    """Whether the next byte begins a message that nothing but its opcode decides about."""
    if type(session) is not WebSocketSession:
        return False
    if not (
        holds(session, SESSION_DECODE_TEXT, True)
        and holds(session, SESSION_FRAME, None)
        and holds(session, SESSION_ENDED, False)
        and holds(session, SESSION_UNFINISHED, False)
        and PyBytes_GET_SIZE(get(session, SESSION_TAIL)) == 0
    ):
        return False
    assembler = get(session, SESSION_ASSEMBLER)
    return assembler is None or not assembler.in_progress


cdef int deliver(owner, session, list events) except -1:
    """Deliver messages; from the first event that is none on, dispatcher.py does."""
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t count = PyList_GET_SIZE(events)
    protocol = get(owner, PROTOCOL)
    while i < count:
        event = <object>PyList_GET_ITEM(events, i)
        if not holds(session, SESSION_STATE, IS_OPEN) or (
            type(event) is not str and type(event) is not bytes
        ):
            python_deliver(owner, events[i:])
            return 0
        try:
            # Else a signal that came before would be dealt with at the handler's first
            # instruction: a KeyboardInterrupt there would cost it this message.
            PyErr_CheckSignals()
            i += 1
            try:
                protocol.on_message(event)
            except Exception as exc:
                report(protocol, exc)
        except BaseException:
            owner.deliver_later(events[i:])
            raise
    return 0


# -- out ---------------------------------------------------------------------------------------


def protocol_send(protocol, message, compress=None):
    connection = protocol._connection
    if is_a(connection, Sending):
        return send_message(connection, message, compress)
    return connection.send(message, compress)


def sending_send(connection, message, compress=None):
    if is_a(connection, Sending):
        return send_message(connection, message, compress)
    return python_send(connection, message, compress)


cdef object send_message(connection, message, compress):
    """Sending.send and WebSocketSession.send in one."""
    cdef Py_ssize_t size
    cdef bytes frame
    cdef list output
    cdef int opcode
    loop = get(connection, LOOP)
    stream = get(connection, STREAM) if holds(connection, PHASE, ATTACHED) else None
    if (
        not is_a(loop, EventLoop)
        or not is_a(stream, Stream)
        or PyThread_get_thread_ident() != <unsigned long>get(loop, LOOP_THREAD)
        or not holds(connection, OUTBOX, None)
        or not holds(loop, LOOP_RUNNING, True)
    ):
        return python_send(connection, message, compress)
    session = get(connection, SESSION)
    if (
        type(session) is not WebSocketSession
        or not holds(session, SESSION_STATE, IS_OPEN)
        or not holds(session, SESSION_SENDING, None)
        or not holds(session, SESSION_COMPRESSION, None)
    ):
        return python_send(connection, message, compress)
    if type(message) is str:
        opcode = OP_TEXT
    elif type(message) is bytes:
        opcode = OP_BINARY
    else:
        return python_send(connection, message, compress)
    if get(stream, STREAM_QUEUED) >= get(connection, WRITE_LIMIT):
        return python_send(connection, message, compress)
    frame = make_frame(session, opcode, message)
    size = PyBytes_GET_SIZE(frame)
    output = <list>get(session, SESSION_OUTPUT)
    output.append(frame)
    corked = get(connection, CORKED) + size
    put(connection, CORKED, corked)
    if corked >= get(connection, CORK_LIMIT):
        # Not flush(): OpenSSL looks at signals when it has written, and event_loop.py puts off a
        # KeyboardInterrupt only where a Python function of ours is the innermost.
        python_flush(connection)
    elif PyList_GET_SIZE(output) == 1:
        (<list>get(loop, LOOP_DIRTY)).append(connection)
    return size


cdef bytes make_frame(session, int opcode, message):
    cdef uint8_t key[4]
    if holds(session, SESSION_NEW_MASK, None):
        return build(opcode, message, NULL, True, 0)
    if holds(session, SESSION_NEW_MASK, compiled_new_mask):
        draw(key)
        return build(opcode, message, key, True, 0)
    return serialize(opcode, message, get(session, SESSION_NEW_MASK)())


def sending_flush(connection):
    if is_a(connection, Sending):
        flush(connection)
    else:
        python_flush(connection)


cdef int flush(connection) except -1:
    """Write what has collected: Sending.flush and Stream.write in one."""
    cdef list output
    cdef bytes data
    cdef Py_ssize_t sent
    session = get(connection, SESSION)
    if not is_a(session, WebSocketSession):
        python_flush(connection)
        return 0
    output = <list>get(session, SESSION_OUTPUT)
    if not PyList_GET_SIZE(output):
        return 0
    stream = get(connection, STREAM)
    data = <bytes>output[0] if PyList_GET_SIZE(output) == 1 else b"".join(output)
    output.clear()
    put(connection, CORKED, 0)
    if (
        not is_a(stream, Stream)
        or not holds(stream, STREAM_STATE, STREAM_OPEN)
        or number(stream, STREAM_QUEUED)
    ):
        stream.write(data)
        return 0
    if is_direct(stream):
        sent = send(
            descriptor(stream), PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data),
            MSG_DONTWAIT | MSG_NOSIGNAL,
        )
        if sent < 0:
            if errno != EAGAIN and errno != EINTR:
                stream._write_failed(os_error(errno))
                return 0
            sent = 0
    else:
        engine = tls_engine(stream)
        if engine is None:
            stream.write(data)
            return 0
        try:
            if PyBytes_GET_SIZE(data) <= MAX_WRITE:
                sent = engine.write(data)
            else:
                sent = engine.write(memoryview(data)[:MAX_WRITE])
        except WOULD_BLOCK:
            sent = 0
        except OSError as exc:
            stream._write_failed(exc)
            return 0
    if sent < PyBytes_GET_SIZE(data):
        stream._queue_rest(data, sent)
    return 0
