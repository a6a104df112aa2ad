# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True, embedsignature=False
"""TLS by calls of OpenSSL itself: the engine of a TLSStream, and sessions.

What it is: :class:`OpenSSL`, which reads and writes for a TLSStream as ``_Engine`` of tls_stream.py
does, and :class:`Session`. Python's ``ssl`` makes two reads of the kernel for each record, and
takes one record for each call; this reads ahead, and takes what has come.

What it must not know: handshakes, certificates, WebSocket; where the bytes go.

How it works. The connection remains the ``ssl.SSLSocket`` that made the handshake, with all that
users ask of it. Only reading and writing go past it, to the ``SSL`` of OpenSSL that is inside of
it. The library is the one that Python's ``_ssl`` has loaded; nothing is linked, and no header of
OpenSSL is needed: the functions are looked up by name.

Where the object of Python has the pointer is not documented. :func:`examine` finds it, without
following a pointer that it does not know to be good, and tries what it has found. If anything is
not as expected it says what, and Python's ``ssl`` is used as if this module were not there.

The GIL is kept: the calls never block. In a free-threaded Python, Python's object is locked during
a call, as it is by its own methods.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.errno cimport errno
from libc.stdint cimport uint8_t, uintptr_t
from libc.stdlib cimport free, malloc

from reactor.compiled.slots cimport SocketHead

import _ssl
import os
import ssl
from _socket import socket as plain_socket

from ..loop.poller import bad_descriptor
from ..transports.tls_stream import MAX_RECORD, MAX_WRITE

__all__ = ["OpenSSL", "Session", "engine_of", "refused", "session_of"]

cdef extern from *:
    """
    #include <dlfcn.h>
    #ifndef RTLD_NOLOAD
    #define RTLD_NOLOAD 0
    #endif
    """
    enum:
        RTLD_LAZY
        RTLD_NOLOAD
    void *dlopen(const char *path, int flags)
    void *dlsym(void *handle, const char *name)

cdef extern from *:
    """
    #include <unistd.h>
    #ifdef __linux__
    #include <sys/syscall.h>
    /* Past what AddressSanitizer puts around write(): see has_method(). */
    #define kernel_write(fd, data, size) syscall(SYS_write, fd, data, size)
    #else
    #define kernel_write write
    #endif
    """
    Py_ssize_t c_read "read"(int fd, void *buffer, size_t size)
    Py_ssize_t kernel_write(int fd, const void *data, size_t size)

# The functions of OpenSSL that are called. All of them are public, and unchanged since 1.1.1.
cdef struct Library:
    int (*read)(void *ssl, void *buffer, int size) noexcept
    int (*write)(void *ssl, const void *data, int size) noexcept
    int (*get_error)(const void *ssl, int result) noexcept
    int (*has_pending)(const void *ssl) noexcept
    void (*set_read_ahead)(void *ssl, int yes) noexcept
    int (*get_fd)(const void *ssl) noexcept
    int (*in_init)(const void *ssl) noexcept
    void *(*get_context)(const void *ssl) noexcept
    int (*get_verify_mode)(const void *context) noexcept
    const char *(*get_servername)(const void *ssl, int kind) noexcept
    const void *(*client_method)() noexcept
    unsigned long (*version_number)() noexcept
    unsigned long (*peek_error)() noexcept
    const char *(*error_text)(unsigned long error) noexcept
    void (*clear_error)() noexcept
    void *(*get_session)(const void *ssl) noexcept
    void *(*copy_session)(const void *session) noexcept
    int (*set_session)(void *ssl, void *session) noexcept
    int (*is_resumable)(const void *session) noexcept
    void (*free_session)(void *session) noexcept

cdef Library lib

cdef enum:
    # openssl/ssl.h
    ERROR_WANT_READ = 2
    ERROR_WANT_WRITE = 3
    ERROR_SYSCALL = 5
    ERROR_ZERO_RETURN = 6
    VERIFY_NONE = 0
    VERIFY_REQUIRED = 1 | 2  # SSL_VERIFY_PEER, SSL_VERIFY_FAIL_IF_NO_PEER_CERT
    # How many words of a struct of OpenSSL are looked at. In all versions from 1.1.1 on, SSL and
    # SSL_CTX have the pointer to their method in the first four.
    WORDS = 4

cdef Py_ssize_t RECORD = MAX_RECORD
cdef Py_ssize_t MOST = MAX_WRITE
cdef object THE_SOCKET = ssl.SSLSocket
cdef object THE_OBJECT = getattr(_ssl, "_SSLSocket", None)

# Where the pointers are in Python's objects: see examine().
cdef Py_ssize_t SSL_PLACE = -1


cdef inline void *pointer_at(object owner, Py_ssize_t place) noexcept:
    return (<void **>(<char *><PyObject *>owner + place))[0]


# -- the engine --------------------------------------------------------------------------------


cdef class OpenSSL:
    """The engine of a TLSStream: see the module, and ``_Engine`` in transports/tls_stream.py.

    The object of Python is looked up for each call: it is gone once other code has closed the
    socket, and then the number of the descriptor may be another socket's.

    Attributes:
        failure: what has ended the reading, until somebody takes it; None: nothing yet.
        more: whether the last read has left records in OpenSSL, for lack of room.
    """

    # dry: nothing but the poller can say when there is something to be read again.

    cdef object inner(self):
        """Return Python's object; None if the socket is not what it was."""
        inner = self.sock._sslobj
        if (
            type(inner) is not THE_OBJECT
            or (<SocketHead *><PyObject *>self.sock).descriptor != self.descriptor
        ):
            return None
        return inner

    cdef Py_ssize_t receive(self, uint8_t *buffer, Py_ssize_t room) except -1:
        """Take all records that are there and have room. Nothing is raised: see ``failure``.

        Towards the end of the room it does not read ahead any more, so that it ends with nothing
        left in OpenSSL, and the poller tells of the rest: one bounded read in a turn.
        """
        cdef Py_ssize_t total = 0
        cdef int got, code
        cdef int kind = 0
        cdef bint ahead = True
        cdef void *pointer
        self.more = False
        if self.failure is not None:
            return 0
        inner = self.inner()
        if inner is None:
            self.failure = bad_descriptor()
            return 0
        pointer = pointer_at(inner, SSL_PLACE)
        self.dry = False
        with cython.critical_section(inner):
            while True:
                lib.clear_error()
                got = lib.read(pointer, buffer + total, <int>(room - total))
                if got <= 0:
                    break
                total += got
                if room - total < RECORD:
                    break
                # A record of full length has rarely come alone.
                if (got < RECORD or not ahead) and not lib.has_pending(pointer):
                    break
                # What may have been read ahead is less than two records.
                if ahead and room - total < 3 * RECORD:
                    ahead = False
                    lib.set_read_ahead(pointer, 0)
            code = errno
            if not ahead:
                lib.set_read_ahead(pointer, 1)
            if got > 0:
                self.more = lib.has_pending(pointer)
            else:
                kind = lib.get_error(pointer, got)
        if got > 0:
            return total
        if kind == ERROR_WANT_READ or kind == ERROR_WANT_WRITE:
            self.dry = True
        elif kind == ERROR_ZERO_RETURN:
            self.failure = ssl.SSLZeroReturnError()
        else:
            self.failure = failure_of(inner, kind, code, None)
        return total

    cdef Py_ssize_t transmit(self, const char *data, Py_ssize_t size) except -1:
        """Write; return how many bytes, or 0 if that is not possible now.

        As OpenSSL demands, the next write then begins with the same bytes.
        """
        cdef int sent, code
        cdef int kind = 0
        cdef bint shaking
        cdef void *pointer
        if size == 0:
            return 0
        inner = self.inner()
        if inner is None:
            raise bad_descriptor()
        pointer = pointer_at(inner, SSL_PLACE)
        # A write within a handshake (renegotiation) reads. It must not read ahead: the poller would
        # not know of what came behind the handshake.
        with cython.critical_section(inner):
            shaking = lib.in_init(pointer)
            if shaking:
                lib.set_read_ahead(pointer, 0)
            lib.clear_error()
            sent = lib.write(pointer, data, <int>min(size, MOST))
            code = errno
            if shaking:
                lib.set_read_ahead(pointer, 1)
            if sent <= 0:
                kind = lib.get_error(pointer, sent)
        if sent > 0:
            return sent
        if kind == ERROR_WANT_READ or kind == ERROR_WANT_WRITE:
            return 0
        raise failure_of(inner, kind, code, PyBytes_FromStringAndSize(data, min(size, MOST)))

    def recv(self, Py_ssize_t size):
        """Return some bytes. Raises as ``read`` of Python's object does."""
        cdef uint8_t *buffer = <uint8_t *>malloc(max(size, 1))
        cdef Py_ssize_t got
        if buffer is NULL:
            raise MemoryError
        try:
            got = self.receive(buffer, size)
            if got:
                return PyBytes_FromStringAndSize(<char *>buffer, got)
        finally:
            free(buffer)
        if self.failure is None:
            raise ssl.SSLWantReadError
        failure, self.failure = self.failure, None
        raise failure

    def send(self, data):
        """Write; return how many bytes. Raises as ``write`` of Python's object does."""
        cdef Py_buffer view
        cdef Py_ssize_t sent
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            sent = self.transmit(<const char *>view.buf, view.len)
            if not sent and view.len:
                raise ssl.SSLWantWriteError
        finally:
            PyBuffer_Release(&view)
        return sent

    def pending(self):
        """Return whether the next read does not need the poller."""
        if self.failure is not None:
            return True
        inner = self.inner()
        return inner is not None and not self.dry and lib.has_pending(pointer_at(inner, SSL_PLACE))

    def unwrap(self):
        """Say close_notify, and look for the peer's, which may read ahead."""
        self.dry = False
        self.sock.unwrap()


cdef object failure_of(inner, int kind, int code, bytes data):
    """Return the exception for a call that has failed, *data* being what it had to write.

    The error that OpenSSL has left in its queue is made an exception by Python's own object: asked
    again after such an error, OpenSSL fails again, and changes nothing. (OpenSSL 3.6 does not
    where it has sent no alert: then it drops the error, and waits for more.)
    """
    cdef unsigned long error = lib.peek_error()
    cdef const char *reason
    if kind == ERROR_SYSCALL and code and not error:
        return OSError(code, os.strerror(code))
    try:
        if data is None:
            inner.read(1)
        else:
            inner.write(data)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        pass
    except OSError as exc:
        return exc
    finally:
        lib.clear_error()
    reason = lib.error_text(error) if error else NULL
    if reason is NULL:
        return ssl.SSLError(kind, "OpenSSL has failed, and does not say why")
    text = reason.decode("ascii", "replace")
    failure = ssl.SSLError(kind, f"[SSL] {text}")
    failure.library, failure.reason = "SSL", text.upper().replace(" ", "_")
    return failure


def engine_of(sock):
    """Return an engine for a socket after its handshake; None if Python's ssl has to serve it."""
    cdef OpenSSL engine
    cdef object inner
    if refused or type(sock) is not THE_SOCKET:
        return None
    inner = getattr(sock, "_sslobj", None)
    if (
        type(inner) is not THE_OBJECT
        or not isinstance(sock, plain_socket)
        or (<SocketHead *><PyObject *>sock).descriptor != sock.fileno()
        or lib.get_fd(pointer_at(inner, SSL_PLACE)) != sock.fileno()
        # What such a callback raises, only Python's own calls pass on.
        or getattr(sock.context, "_msg_callback", None) is not None
    ):
        return None
    engine = OpenSSL.__new__(OpenSSL)
    engine.sock = sock
    engine.descriptor = sock.fileno()
    lib.set_read_ahead(pointer_at(inner, SSL_PLACE), 1)
    return engine


# -- sessions ----------------------------------------------------------------------------------


cdef class Session:
    """A TLS session, to be resumed; it is freed with this object.

    OpenSSL marks a session as unusable when a connection that has it breaks off. So this has a copy
    of its own, and so has every connection that it is offered for.
    """

    cdef object context  # for which the server was verified
    cdef void *session

    def __cinit__(self):
        self.session = NULL

    def __dealloc__(self):
        if self.session is not NULL:
            lib.free_session(self.session)

    def offer(self, tls):
        """Offer the session to the server, in the handshake that follows.

        Args:
            tls: an SSLSocket, SSLObject or NestedTLS, before its handshake.

        Raises:
            ValueError: the session was made with another context.
            ssl.SSLError: OpenSSL refuses the session.
        """
        cdef object inner = object_of(tls)
        cdef void *copy
        if inner is None or inner.context is not self.context:
            raise ValueError("Session refers to a different SSLContext.")
        copy = lib.copy_session(self.session)
        if copy is NULL or lib.set_session(pointer_at(inner, SSL_PLACE), copy) != 1:
            lib.clear_error()
            raise ssl.SSLError(1, "OpenSSL refuses the session")
        lib.free_session(copy)  # the connection has it now


cdef object object_of(tls):
    """Return Python's object in an SSLSocket, SSLObject or NestedTLS; None if it has none."""
    inner = getattr(getattr(tls, "_inner", tls), "_sslobj", None)
    return inner if type(inner) is THE_OBJECT else None


def session_of(tls):
    """Return the newest session of a connection; None if there is none that can be resumed.

    Args:
        tls: an SSLSocket, SSLObject or NestedTLS, after its handshake.
    """
    cdef Session session
    cdef void *own
    cdef object inner = object_of(tls)
    if inner is None:
        return None
    own = lib.get_session(pointer_at(inner, SSL_PLACE))
    if own is NULL or not lib.is_resumable(own):
        return None
    session = Session.__new__(Session)
    session.context = inner.context
    session.session = lib.copy_session(own)
    return None if session.session is NULL else session


# -- is everything as expected? ----------------------------------------------------------------


class Unexpected(Exception):
    """Something is not as expected; the text says what."""


def expect(condition, text):
    """Raise Unexpected if a condition does not hold."""
    if not condition:
        raise Unexpected(text)


cdef int look_up(void *handle) except -1:
    """Look up all functions."""
    cdef dict names = {
        "SSL_read": <uintptr_t>&lib.read, "SSL_write": <uintptr_t>&lib.write,
        "SSL_get_error": <uintptr_t>&lib.get_error, "SSL_has_pending": <uintptr_t>&lib.has_pending,
        "SSL_set_read_ahead": <uintptr_t>&lib.set_read_ahead, "SSL_get_fd": <uintptr_t>&lib.get_fd,
        "SSL_in_init": <uintptr_t>&lib.in_init, "SSL_get_SSL_CTX": <uintptr_t>&lib.get_context,
        "SSL_CTX_get_verify_mode": <uintptr_t>&lib.get_verify_mode,
        "SSL_get_servername": <uintptr_t>&lib.get_servername,
        "TLS_client_method": <uintptr_t>&lib.client_method,
        "OpenSSL_version_num": <uintptr_t>&lib.version_number,
        "ERR_peek_error": <uintptr_t>&lib.peek_error,
        "ERR_reason_error_string": <uintptr_t>&lib.error_text,
        "ERR_clear_error": <uintptr_t>&lib.clear_error,
        "SSL_get_session": <uintptr_t>&lib.get_session,
        "SSL_SESSION_dup": <uintptr_t>&lib.copy_session,
        "SSL_set_session": <uintptr_t>&lib.set_session,
        "SSL_SESSION_is_resumable": <uintptr_t>&lib.is_resumable,
        "SSL_SESSION_free": <uintptr_t>&lib.free_session,
    }
    cdef void *found
    for name, place in names.items():
        found = dlsym(handle, name.encode())
        expect(found is not NULL, f"{name} is not among the symbols of _ssl")
        (<void **><uintptr_t>place)[0] = found
    return 0


cdef bint has_method(uintptr_t place, int out, int back) except -1:
    """Return whether a struct with the client's method may be at an address.

    The kernel looks at the address: it refuses one that cannot be read, where we would crash. What
    is not such a struct may be shorter, and what is behind it is read as well.
    """
    cdef void *words[WORDS]
    cdef size_t size = sizeof(words)
    cdef int i
    if place == 0 or place % sizeof(void *):
        return False
    if kernel_write(out, <void *>place, size) != <Py_ssize_t>size:
        return False
    expect(c_read(back, words, size) == <Py_ssize_t>size, "a pipe does not work")
    for i in range(WORDS):
        if words[i] == lib.client_method():
            return True
    return False


cdef Py_ssize_t find(owner, Py_ssize_t size, int out, int back) except -1:
    """Return where an object has its only pointer to a struct with the client's method."""
    cdef Py_ssize_t place
    cdef list found = [
        place for place in range(sizeof(PyObject), size - sizeof(void *) + 1, sizeof(void *))
        if has_method(<uintptr_t>pointer_at(owner, place), out, back)
    ]
    expect(len(found) == 1, f"{len(found)} pointers to OpenSSL are in a {type(owner).__name__}")
    return found[0]


cdef object ssl_of(context, incoming):
    return context.wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="localhost")._sslobj


def reason_of(action):
    """Return the kind and OpenSSL's reason of the exception that a function raises."""
    try:
        action()
    except ssl.SSLError as exc:
        return type(exc), exc.reason
    return None


cdef object read_nonsense(context, bint directly):
    """Return how it ends when something is read that nobody says in TLS."""
    cdef char byte = 0
    cdef int got
    cdef void *pointer
    incoming = ssl.MemoryBIO()
    incoming.write(b"\x16\x03\x03\x00\x04\x63\x00\x00\x00")  # a message of a handshake: 0x63
    inner = ssl_of(context, incoming)
    if not directly:
        return reason_of(lambda: inner.read(1))
    pointer = pointer_at(inner, SSL_PLACE)
    got = lib.read(pointer, &byte, 1)
    failure = failure_of(inner, lib.get_error(pointer, got), errno, None)
    return type(failure), failure.reason


cdef int examine() except -1:
    """Look up the library, find the pointers, and try them. Raises Unexpected."""
    global SSL_PLACE
    cdef void *handle
    cdef void *pointer
    cdef void *above
    cdef bytes path
    cdef int back, out
    expect(
        os.environ.get("REACTOR_PYTHON_TLS", "0") in ("", "0"),
        "the environment variable REACTOR_PYTHON_TLS is set",
    )
    version = ssl.OPENSSL_VERSION
    expect(version.startswith("OpenSSL "), f"{version} is not known")
    expect(0x10101000 <= ssl.OPENSSL_VERSION_NUMBER < 0x40000000, f"{version} is not known")
    expect(THE_OBJECT is not None, "_ssl has no _SSLSocket")
    file = getattr(_ssl, "__file__", None)
    if file is None:  # a part of the interpreter
        handle = dlopen(NULL, RTLD_LAZY)
    else:
        path = os.fsencode(file)
        handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD)
    expect(handle is not NULL, "Python's _ssl is not a library that can be opened")
    look_up(handle)
    expect(
        lib.version_number() == ssl.OPENSSL_VERSION_NUMBER, "there is another OpenSSL than Python's"
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming = ssl.MemoryBIO()
    inner = ssl_of(context, incoming)
    expect(type(inner) is THE_OBJECT, f"the object in an SSLObject is a {type(inner).__name__}")
    back, out = os.pipe()
    try:
        SSL_PLACE = find(inner, THE_OBJECT.__basicsize__, out, back)
        place = find(context, _ssl._SSLContext.__basicsize__, out, back)
    finally:
        os.close(back)
        os.close(out)
    pointer = pointer_at(inner, SSL_PLACE)
    above = pointer_at(context, place)
    expect(lib.get_context(pointer) == above, "the context of a connection is another one")
    context.check_hostname = False
    for mode, value in ((ssl.CERT_NONE, VERIFY_NONE), (ssl.CERT_REQUIRED, VERIFY_REQUIRED)):
        context.verify_mode = mode
        expect(lib.get_verify_mode(above) == value, f"{mode!r} does not show")
    name = lib.get_servername(pointer, 0)
    expect(name is not NULL and name == b"localhost", "the name of the server does not show")
    expect(lib.get_fd(pointer) == -1, "a connection in memory has a descriptor")
    expect(lib.in_init(pointer), "a handshake that has not begun is over")
    expect(
        read_nonsense(context, True) == read_nonsense(context, False),
        "errors are not what they are in Python",
    )
    return 0


#: Why the library is not used; "" if it is.
refused = ""
try:
    examine()
except Unexpected as exc:
    refused = str(exc)
except Exception as exc:  # in a process without descriptors, or with a module ssl of others
    refused = f"it could not be tried: {exc!r}"
