# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True, embedsignature=False
"""The compiled twins of the methods that every message passes between a socket and the handlers.

What it is: for each of a handful of methods, a function that does in C what the method nearly
always does: a whole message is received, over a plain socket, by an open connection; or a message
is sent there, and leaves at once. replace.py replaces the methods with these functions.

What it must not know: what to do in any other case. Then, every function calls the method that it
replaces, so that each rule is in one place, the Python module.

How it works. The objects are the ordinary ones, of ordinary classes. C gains its speed by how it
reads their attributes: see slots.pxd. A read goes to a buffer that all connections of a thread
share, and is parsed there, so that a message is one object, and nothing else is made for it.

The system calls are made without releasing the GIL: they never block, and a thread that releases it
must wait for the thread that takes it, 5 ms if that thread computes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc

from reactor.compiled.slots cimport (
    FALSE, NONE, TRUE, SocketHead, find_slot, get, get_shared, holds, is_a, is_exactly, number, put,
    require, slot,
)
from reactor.compiled.spares cimport Spare, init_spare, keep_spare, take_spare
from reactor.compiled.counters cimport Counters
from reactor.compiled.deflate cimport Spent, compressed_frame, parse_compressed
from reactor.compiled.tls cimport OpenSSL
from reactor.compiled.frames cimport build, draw, parse

import os
from socket import socket
from ssl import SSLEOFError, SSLSocket

from ..connection.closing import broken
from ..connection.connection import Connection
from ..connection.dispatcher import deliver as python_deliver
from ..connection.dispatcher import report
from ..connection.phase import Phase
from ..connection.reader import Reader
from ..connection.sender import Sender
from ..loop.event_loop import EventLoop
from ..protocols import frames
from ..protocols.events import OPEN
from ..protocols.frames import new_mask, serialize
from ..protocols.output import Output
from ..protocols.receiving import MAX_FRAMES, Receiving
from ..protocols.session import WebSocketSession
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
    """
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

# The buffer of reads: all connections of a thread share one, see spares.pxd.
cdef Spare spare_buffer
if init_spare(&spare_buffer, free):
    raise ImportError("no key for a buffer is left in this process")


cdef uint8_t *take_buffer() except NULL:
    cdef uint8_t *buffer = <uint8_t *>take_spare(&spare_buffer)
    if buffer is NULL:
        buffer = <uint8_t *>malloc(BUFFER)
        if buffer is NULL:
            raise MemoryError
    return buffer


cdef void give_back(uint8_t *buffer) noexcept:
    if not keep_spare(&spare_buffer, buffer):
        free(buffer)


# The classes that are looked for, where C finds them: in a module's dict they would be looked up by
# name.
cdef PyObject *A_CONNECTION = <PyObject *>Connection
cdef PyObject *A_LOOP = <PyObject *>EventLoop
cdef PyObject *A_READER = <PyObject *>Reader
cdef PyObject *A_SENDER = <PyObject *>Sender
cdef PyObject *A_SESSION = <PyObject *>WebSocketSession
cdef PyObject *A_STREAM = <PyObject *>Stream
cdef PyObject *A_TLS_STREAM = <PyObject *>TLSStream
cdef object AN_SSL_SOCKET = SSLSocket

cdef Py_ssize_t MOST = MAX_FRAMES
cdef PyObject *IS_OPEN = <PyObject *>OPEN
cdef PyObject *ATTACHED = <PyObject *>Phase.ATTACHED
cdef PyObject *STREAM_OPEN = <PyObject *>StreamState.OPEN
cdef PyObject *COMPILED_NEW_MASK = <PyObject *>new_mask
cdef PyObject *PYTHON_DELIVER = <PyObject *>python_deliver
# The class of eventlet's sockets has no such method: they are handled in Python.
cdef object direct_socket = socket if hasattr(socket, "fileno") else None
cdef object descriptor_of = getattr(socket, "fileno", None)


cdef bint has_known_layout() except -1:
    """Return whether an object of Python's socket class still begins with its descriptor."""
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
cdef Py_ssize_t LOOP_NOW = find_slot(EventLoop, "now")
cdef Py_ssize_t LOOP_RUNNING = find_slot(EventLoop, "running")
cdef Py_ssize_t LOOP_THREAD = find_slot(EventLoop, "thread_id")
cdef Py_ssize_t STREAM_ENGINE = find_slot(Stream, "_engine")
cdef Py_ssize_t STREAM_ABOVE_HIGH = find_slot(Stream, "above_high")
cdef Py_ssize_t STREAM_RECEIVER = find_slot(Stream, "_receiver")
cdef Py_ssize_t STREAM_SOCK = find_slot(Stream, "sock")
cdef Py_ssize_t STREAM_STATE = find_slot(Stream, "state")
cdef Py_ssize_t STREAM_QUEUED = find_slot(Stream, "queued")

cdef Py_ssize_t SESSION_ASSEMBLER = find_slot(Receiving, "_assembler")
cdef Py_ssize_t SESSION_COMPRESSION = find_slot(Receiving, "_compression")
cdef Py_ssize_t SESSION_COUNTERS = find_slot(Output, "counters")
cdef Py_ssize_t SESSION_CONTROLS = find_slot(Receiving, "controls")
cdef Py_ssize_t SESSION_DECODE_TEXT = find_slot(Receiving, "_decode_text")
cdef Py_ssize_t SESSION_ENDED = find_slot(Receiving, "_ended")
cdef Py_ssize_t SESSION_FRAME = find_slot(Receiving, "_frame")
cdef Py_ssize_t SESSION_LONGEST = find_slot(Receiving, "_longest")
cdef Py_ssize_t SESSION_MASKED = find_slot(Receiving, "_masked")
cdef Py_ssize_t SESSION_NEW_MASK = find_slot(Output, "_new_mask")
cdef Py_ssize_t SESSION_SENDING = find_slot(WebSocketSession, "_sending")
cdef Py_ssize_t SESSION_TAIL = find_slot(Receiving, "_tail")
cdef Py_ssize_t SESSION_OUTPUT = find_slot(Output, "output")
cdef Py_ssize_t SESSION_STATE = find_slot(Output, "state")
cdef Py_ssize_t SESSION_UNFINISHED = find_slot(Receiving, "unfinished")

cdef Py_ssize_t LOOP = find_slot(Connection, "loop")
cdef Py_ssize_t PHASE = find_slot(Connection, "phase")
cdef Py_ssize_t PROTOCOL = find_slot(Connection, "protocol")
cdef Py_ssize_t SENDER = find_slot(Connection, "sender")
cdef Py_ssize_t SESSION = find_slot(Connection, "session")
cdef Py_ssize_t STREAM = find_slot(Connection, "stream")

cdef Py_ssize_t SENDER_CONNECTION = find_slot(Sender, "_connection")
cdef Py_ssize_t CORK_LIMIT = find_slot(Sender, "_cork_limit")
cdef Py_ssize_t CORKED = find_slot(Sender, "_corked")
cdef Py_ssize_t OUTBOX = find_slot(Sender, "outbox")
cdef Py_ssize_t WRITE_LIMIT = find_slot(Sender, "_write_limit")

cdef Py_ssize_t READER_CONNECTION = find_slot(Reader, "_connection")
cdef Py_ssize_t DELIVER = find_slot(Reader, "_deliver")
cdef Py_ssize_t MESSAGE_AT = find_slot(Reader, "message_at")


# The method that each function replaces, and falls back on.
cdef object python_read = Stream._read
cdef object python_tls_read = TLSStream._read
cdef object python_data_received = Reader.data_received
cdef object python_send = Sender.send
cdef object python_flush = Sender.flush

# -- receiving ---------------------------------------------------------------------------------


cdef object os_error(int code):
    return OSError(code, os.strerror(code))


cdef bint is_direct(stream) except -1:
    """Return whether the stream's bytes are the socket's, with nothing in between."""
    return (
        is_exactly(stream, A_STREAM)
        and type(get(stream, STREAM_SOCK)) is direct_socket
        and slot(stream, STREAM_ENGINE) == slot(stream, STREAM_SOCK)
    )


cdef int descriptor(stream) except -2:
    """Return the descriptor that its socket has now; -1 if other code has closed it."""
    cdef PyObject *sock = slot(stream, STREAM_SOCK)
    if IS_LAYOUT_KNOWN:
        return (<SocketHead *>sock).descriptor
    return PyObject_CallOneArg(descriptor_of, <object>sock)


def read(stream):
    return read_stream(stream)


cdef inline object take(receiver, uint8_t *buffer, Py_ssize_t size):
    """Return what was read: its events, if the receiver can have them; else the bytes.

    The buffer may be used again when this returns.
    """
    if is_a(receiver, A_READER) and is_between_messages(session_of(receiver)):
        return parse_events(receiver, buffer, size)
    return PyBytes_FromStringAndSize(<char *>buffer, size)


cdef inline int hand_over(receiver, found) except -1:
    """Give a receiver what take() has returned."""
    if type(found) is bytes:
        receiver.data_received(found)
    else:
        handle(receiver, <list>found)
    return 0


cdef bint read_stream(stream) except -1:
    """Do the work of read(), for compiled callers."""
    cdef Py_ssize_t size
    cdef uint8_t *buffer
    if not is_direct(stream):
        return python_read(stream)
    buffer = take_buffer()
    try:
        size = recv(descriptor(stream), buffer, BUFFER, MSG_DONTWAIT)
        if size < 0:
            size = -errno
        receiver = get(stream, STREAM_RECEIVER)
        found = take(receiver, buffer, size) if size > 0 else None
    finally:
        give_back(buffer)
    return received(stream, receiver, found, size)


cdef bint read_received(stream, uint8_t *buffer, Py_ssize_t size) except -1:
    """Do the work of read(), when the kernel has received already."""
    receiver = get(stream, STREAM_RECEIVER)
    found = take(receiver, buffer, size) if size > 0 else None
    return received(stream, receiver, found, size)


cdef bint received(stream, receiver, found, Py_ssize_t size) except -1:
    """Hand over what was received; *size* is the kernel's answer, or its error, negative."""
    if size > 0:
        hand_over(receiver, found)
        return True
    if size == 0:
        stream._on_eof()
        return True
    if size == -EAGAIN or size == -EINTR:
        return False
    stream._read_failed(os_error(-size))
    return True


cdef bint read_openssl(stream, OpenSSL engine) except -1:
    """Do the work of tls_read() where OpenSSL can be called directly."""
    cdef Py_ssize_t size
    cdef uint8_t *buffer = take_buffer()
    try:
        size = engine.receive(buffer, BUFFER)
        receiver = get(stream, STREAM_RECEIVER)
        if size > 0:
            found = take(receiver, buffer, size)
    finally:
        give_back(buffer)
    if size > 0:
        if engine.more:  # before the handlers: one may raise KeyboardInterrupt
            stream._loop.call_soon(stream._read_pending)
        hand_over(receiver, found)
    if engine.failure is None:
        return size > 0
    failure, engine.failure = engine.failure, None
    stream._after_read(failure)
    return True


cdef inline object tls_engine(stream):
    """Return the object that does the work in the socket of a TLSStream; None if it has none."""
    if not is_exactly(stream, A_TLS_STREAM):
        return None
    sock = get(stream, STREAM_SOCK)
    return getattr(sock, "_sslobj", None) if type(sock) is AN_SSL_SOCKET else None


def tls_read(stream):
    return read_tls_stream(stream)


cdef bint read_tls_stream(stream) except -1:
    """Do the work of tls_read(), for compiled callers."""
    cdef list chunks
    if is_exactly(stream, A_TLS_STREAM) and type(get(stream, STREAM_ENGINE)) is OpenSSL:
        return read_openssl(stream, <OpenSSL>get(stream, STREAM_ENGINE))
    chunks = []
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
        if engine is None:  # another thread has closed the socket; the next read reports it
            break
    if chunks:
        get(stream, STREAM_RECEIVER).data_received(
            chunks[0] if PyList_GET_SIZE(chunks) == 1 else b"".join(chunks)
        )
    stream._after_read(failure)
    return PyList_GET_SIZE(chunks) > 0 or failure is not None


cdef inline object session_of(reader):
    """The session of a Reader's connection. Objects of other classes have none that is known."""
    connection = get(reader, READER_CONNECTION)
    return get(connection, SESSION) if is_a(connection, A_CONNECTION) else None


def data_received(reader, data):
    if (
        type(data) is not bytes
        or not is_a(reader, A_READER)
        or not is_between_messages(session_of(reader))
    ):
        python_data_received(reader, data)
        return
    handle(
        reader,
        parse_events(reader, <uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)),
    )


cdef list parse_events(reader, const uint8_t *buffer, Py_ssize_t size):
    """Return the events in bytes that begin between two messages; None: parsing has failed."""
    cdef list events = []
    cdef Py_ssize_t pos
    connection = get(reader, READER_CONNECTION)
    session = get(connection, SESSION)
    cdef Counters counters = <Counters>get(session, SESSION_COUNTERS)
    cdef bint masked = holds(session, SESSION_MASKED, TRUE)
    cdef uint64_t longest = get(session, SESSION_LONGEST)
    cdef Spent spent = [0, 0]
    try:
        pos = parse(buffer, size, 0, events, masked, longest, MOST, counters)
        if pos < size and not holds(session, SESSION_COMPRESSION, NONE):
            pos = parse_mixed(session, buffer, size, pos, events, masked, longest, &spent, counters)
        counters.wire_in += pos
        if pos < size:
            session.receive(
                PyBytes_FromStringAndSize(<char *>buffer + pos, size - pos), events,
                spent.frames, spent.memory,
            )
            if holds(session, SESSION_CONTROLS, TRUE):
                reader._controls_came(events)
                return events
    except Exception as exc:
        broken(connection, exc)
        return None
    loop = get(connection, LOOP)
    put(reader, MESSAGE_AT, get(loop, LOOP_NOW) if is_a(loop, A_LOOP) else loop.now)
    return events


cdef Py_ssize_t parse_mixed(
    session, const uint8_t *buffer, Py_ssize_t size, Py_ssize_t pos, list events, bint masked,
    uint64_t longest, Spent *spent, Counters counters
) except -1:
    """Go on behind parse() where some messages are compressed; return the position."""
    cdef Py_ssize_t before
    cdef bint done = False
    while not done:
        before = pos
        pos = parse_compressed(
            get(session, SESSION_COMPRESSION), buffer, size, pos, events, masked, longest, spent,
            counters,
        )
        done = pos == before
        if pos < size:
            pos = parse(
                buffer, size, pos, events, masked, longest,
                MOST - spent.frames - PyList_GET_SIZE(events), counters,
            )
    return pos


cdef int handle(reader, list events) except -1:
    """Do what Reader.data_received does with the events of a read."""
    if events is None:
        return 0
    connection = get(reader, READER_CONNECTION)
    session = get(connection, SESSION)
    if PyList_GET_SIZE(get(session, SESSION_OUTPUT)):
        connection.sender.answer()
    if holds(session, SESSION_UNFINISHED, TRUE):
        reader.hold_back()
    if PyList_GET_SIZE(events):
        if holds(reader, DELIVER, PYTHON_DELIVER) or is_alone(connection, events):
            deliver(connection, session, events)
        else:
            get(reader, DELIVER)(connection, events)
    return 0


cdef bint is_alone(connection, list events) except -1:
    """Return whether pacing.py would hold nothing back: one event, and room for an answer."""
    stream = get(connection, STREAM)
    sender = get(connection, SENDER)
    return (
        PyList_GET_SIZE(events) == 1
        and is_a(sender, A_SENDER)
        and holds(sender, OUTBOX, NONE)
        and is_a(stream, A_STREAM)
        and holds(stream, STREAM_ABOVE_HIGH, FALSE)
    )


cdef bint is_between_messages(session) except -1:
    """Return whether the next byte begins a message, and only its opcode decides about it."""
    if not is_exactly(session, A_SESSION):
        return False
    if not (
        holds(session, SESSION_DECODE_TEXT, TRUE)
        and holds(session, SESSION_FRAME, NONE)
        and holds(session, SESSION_ENDED, FALSE)
        and holds(session, SESSION_UNFINISHED, FALSE)
        and PyBytes_GET_SIZE(get(session, SESSION_TAIL)) == 0
    ):
        return False
    assembler = get(session, SESSION_ASSEMBLER)
    return assembler is None or not assembler.in_progress


cdef int deliver(connection, session, list events) except -1:
    """Deliver messages; dispatcher.py delivers from the first event on that is not a message."""
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t count = PyList_GET_SIZE(events)
    protocol = get(connection, PROTOCOL)
    while i < count:
        event = <object>PyList_GET_ITEM(events, i)
        if not holds(session, SESSION_STATE, IS_OPEN) or (
            type(event) is not str and type(event) is not bytes
        ):
            python_deliver(connection, events[i:])
            return 0
        try:
            # Otherwise, an earlier signal would be handled at the handler's first instruction: a
            # KeyboardInterrupt there would lose this message.
            PyErr_CheckSignals()
            i += 1
            try:
                protocol.on_message(event)
            except Exception as exc:
                report(protocol, exc)
        except BaseException:
            connection.deliver_later(events[i:])
            raise
    return 0


# -- sending -----------------------------------------------------------------------------------


def protocol_send(protocol, message, compress=None):
    connection = protocol._reactor_connection
    sender = get(connection, SENDER) if is_a(connection, A_CONNECTION) else None
    if is_a(sender, A_SENDER):
        return send_message(sender, message, compress)
    return connection.sender.send(message, compress)


def sender_send(sender, message, compress=None):
    if is_a(sender, A_SENDER):
        return send_message(sender, message, compress)
    return python_send(sender, message, compress)


cdef object send_message(sender, message, compress):
    """Do the work of Sender.send and WebSocketSession.send in one."""
    cdef Py_ssize_t size, plain
    cdef bytes frame
    cdef list output
    cdef int opcode
    cdef Counters counters
    connection = get_shared(sender, SENDER_CONNECTION)
    if not is_a(connection, A_CONNECTION):
        return python_send(sender, message, compress)
    loop = get(connection, LOOP)
    if (
        not is_a(loop, A_LOOP)
        or PyThread_get_thread_ident() != <unsigned long>get_shared(loop, LOOP_THREAD)
    ):
        return python_send(sender, message, compress)
    # From here on this is the loop's thread.
    stream = get(connection, STREAM) if holds(connection, PHASE, ATTACHED) else None
    if (
        not is_a(stream, A_STREAM)
        or not holds(sender, OUTBOX, NONE)
        or not holds(loop, LOOP_RUNNING, TRUE)
    ):
        return python_send(sender, message, compress)
    session = get(connection, SESSION)
    if (
        not is_exactly(session, A_SESSION)
        or not holds(session, SESSION_STATE, IS_OPEN)
        or not holds(session, SESSION_SENDING, NONE)
    ):
        return python_send(sender, message, compress)
    if type(message) is str:
        opcode = OP_TEXT
    elif type(message) is bytes:
        opcode = OP_BINARY
    else:
        return python_send(sender, message, compress)
    if get(stream, STREAM_QUEUED) >= get(sender, WRITE_LIMIT):
        return python_send(sender, message, compress)
    if holds(session, SESSION_COMPRESSION, NONE):
        frame = make_frame(session, opcode, message)
        size = PyBytes_GET_SIZE(frame)
        plain = size - header_size(frame)
    else:
        frame = None
        if compress is None:
            frame = compressed_frame(
                get(session, SESSION_COMPRESSION), opcode, message,
                get(session, SESSION_NEW_MASK), &plain,
            )
        if frame is None:
            return python_send(sender, message, compress)
        size = PyBytes_GET_SIZE(frame)
    counters = <Counters>get(session, SESSION_COUNTERS)
    counters.messages_out += 1
    counters.payload_out += plain
    counters.wire_out += size
    output = <list>get(session, SESSION_OUTPUT)
    output.append(frame)
    corked = get(sender, CORKED) + size
    put(sender, CORKED, corked)
    if corked >= get(sender, CORK_LIMIT):
        # Not flush(): OpenSSL checks for signals after it has written, and event_loop.py defers a
        # KeyboardInterrupt only if a Python function of ours is the innermost.
        python_flush(sender)
    elif PyList_GET_SIZE(output) == 1:
        (<list>get(loop, LOOP_DIRTY)).append(sender)
    return size


cdef inline int header_size(bytes frame) noexcept:
    cdef uint8_t second = <uint8_t>PyBytes_AS_STRING(frame)[1]
    cdef int length = second & 127
    return (2 if length < 126 else 4 if length == 126 else 10) + (second >> 7) * 4


cdef bytes make_frame(session, int opcode, message):
    cdef uint8_t key[4]
    if holds(session, SESSION_NEW_MASK, NONE):
        return build(opcode, message, NULL, True, 0)
    if holds(session, SESSION_NEW_MASK, COMPILED_NEW_MASK):
        draw(key)
        return build(opcode, message, key, True, 0)
    if type(message) is str:
        message = (<str>message).encode()  # before the key: a text that cannot be sent takes none
    return serialize(opcode, message, get(session, SESSION_NEW_MASK)())


def sender_flush(sender):
    if is_a(sender, A_SENDER):
        flush(sender)
    else:
        python_flush(sender)


cdef object stream_of(sender):
    """Return the stream of a Sender's connection; None if that is over, or of another class."""
    connection = get(sender, SENDER_CONNECTION)
    return get(connection, STREAM) if is_a(connection, A_CONNECTION) else None


cdef bint may_wait(sender) except -1:
    """Return whether a Sender's output goes to the kernel, and its connection lives on."""
    connection = get(sender, SENDER_CONNECTION)
    return (
        is_a(connection, A_CONNECTION)
        and holds(connection, PHASE, ATTACHED)
        and is_direct(get(connection, STREAM))
    )


cdef int flush(sender) except -1:
    """Write the collected output: Sender.flush and Stream.write in one."""
    data = take_output(sender)
    if data is not None:
        write(stream_of(sender), data)
    return 0


cdef object take_output(sender):
    """Return the collected output, if it is to be given to the kernel, or to OpenSSL, now."""
    cdef list output
    connection = get(sender, SENDER_CONNECTION)
    session = get(connection, SESSION) if is_a(connection, A_CONNECTION) else None
    if not is_a(session, A_SESSION):
        python_flush(sender)
        return None
    output = <list>get(session, SESSION_OUTPUT)
    if not PyList_GET_SIZE(output):
        return None
    stream = get(connection, STREAM)
    data = <bytes>output[0] if PyList_GET_SIZE(output) == 1 else b"".join(output)
    output.clear()
    put(sender, CORKED, 0)
    if not takes_bytes(stream):
        stream.write(data)
        return None
    return data


cdef bint takes_bytes(stream) except -1:
    return (
        is_a(stream, A_STREAM)
        and holds(stream, STREAM_STATE, STREAM_OPEN)
        and not number(stream, STREAM_QUEUED)
    )


cdef int write(stream, bytes data) except -1:
    """Give data to the kernel, or to OpenSSL; the stream takes bytes."""
    cdef Py_ssize_t sent
    if is_direct(stream):
        sent = send(
            descriptor(stream), PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data),
            MSG_DONTWAIT | MSG_NOSIGNAL,
        )
        return written(stream, data, sent if sent >= 0 else -errno)
    elif is_exactly(stream, A_TLS_STREAM) and type(get(stream, STREAM_ENGINE)) is OpenSSL:
        try:
            sent = (<OpenSSL>get(stream, STREAM_ENGINE)).transmit(
                PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
            )
        except OSError as exc:
            stream._write_failed(exc)
            return 0
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
    return written(stream, data, sent)


cdef int written(stream, bytes data, Py_ssize_t sent) except -1:
    """Queue what was not sent; *sent* is the kernel's answer, or its error, negative."""
    if sent < 0:
        if sent != -EAGAIN and sent != -EINTR:
            stream._write_failed(os_error(-sent))
            return 0
        sent = 0
    if sent < PyBytes_GET_SIZE(data):
        stream._queue_rest(data, sent)
    return 0
