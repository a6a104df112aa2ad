# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True, embedsignature=False
"""Batches: what many streams receive, and what they send, in one system call each.

What it is: the functions by which turn.pyx has a Ring (uring.pyx) receive before the handlers of a
batch are called, and send after them.

What it must not know: which descriptors are ready; how the kernel is asked; what bytes mean.

How it works. Everything is received, then the handlers are called as ever, and each finds its bytes
here. What they send stays in the sessions until the end of the batch. So nothing is in flight while
Python code runs, and no code there need know of batches. With one exception: a handler may pause,
close or replace a stream that was received for. What such a stream has not read by the end of the
batch, it takes back, and reads next (Stream.unread).
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, EINTR

from reactor.compiled.path cimport (
    descriptor, is_direct, os_error, read_received, stream_of, take_output, written,
)
from reactor.compiled.slots cimport find_slot, get, put
from reactor.compiled.uring cimport BATCH, Ring

import logging

from .path import read
from ..loop.poller import Poller

cdef extern from "Python.h":
    bint PyMethod_Check(object)
    PyObject *PyMethod_GET_FUNCTION(object)
    PyObject *PyMethod_GET_SELF(object)

cdef object logger = logging.getLogger("reactor.loop")
cdef PyObject *READ = <PyObject *>read
cdef Py_ssize_t POLLER_RING = find_slot(Poller, "ring")


cdef Ring usable_ring(poller, Py_ssize_t count):
    """Return the poller's ring for so many requests.

    None: there is none, it is in the middle of a batch, or these are too few.
    """
    found = get(poller, POLLER_RING)
    if type(found) is not Ring:
        return None
    ring = <Ring>found
    return ring if count >= ring.fewest and not ring.busy else None


cdef int submit(poller, Ring ring) except -1:
    """Have the kernel do what the ring was asked for."""
    if ring.asked and not ring.submit():
        put(poller, POLLER_RING, None)
        logger.warning("io_uring has failed, and is not used any more")
    return 0


# -- receiving ---------------------------------------------------------------------------------


cdef bint is_read(handler) noexcept:
    """Return whether a handler is the method by which plain streams read."""
    return PyMethod_Check(handler) and PyMethod_GET_FUNCTION(handler) == READ


cdef int receive(poller, Ring ring, object handler) except -1:
    """Take the next place in the batch, and ask for what has come if *handler* reads a stream."""
    stream = <object>PyMethod_GET_SELF(handler) if is_read(handler) else None
    if stream is not None and is_direct(stream):
        ring.receive(PyList_GET_SIZE(ring.streams), descriptor(stream))
    else:
        stream = None
    ring.streams.append(stream)
    return 0


cdef int receive_all(poller, Ring ring) except -1:
    """Receive what was asked for."""
    return submit(poller, ring)


cdef bint take_received(stream, Ring ring, int place) except -1:
    """Read what was received for a stream; return False if it has to receive by itself."""
    if PyList_GET_ITEM(ring.streams, place) != <PyObject *>stream:
        return False
    if not is_direct(stream) or descriptor(stream) < 0:  # other code has closed the socket
        return False
    ring.streams[place] = None
    read_received(stream, ring.buffer(place), ring.results[place])
    return True


cdef int put_back(Ring ring) except -1:
    """Give back to streams what they have not read. The end of the peer is there to be read again.
    """
    cdef int size
    streams, ring.streams = ring.streams, []
    if ring.descriptor < 0:  # this is a forked child
        return 0
    for place, stream in enumerate(streams):
        size = ring.results[<int>place]
        if stream is None or size == 0 or size == -EAGAIN or size == -EINTR:
            continue
        if size > 0:
            stream.unread(PyBytes_FromStringAndSize(<char *>ring.buffer(place), size))
        else:
            stream.unread(os_error(-size))
    return 0


# -- sending -----------------------------------------------------------------------------------


cdef int send_all(loop, poller, Ring ring) except -1:
    """Have the kernel send what the ring's senders have collected."""
    while PyList_GET_SIZE(ring.senders) and ring.descriptor >= 0:
        send_batch(loop, poller, ring, ring.senders)
    return 0


cdef int send_batch(loop, poller, Ring ring, list senders) except -1:
    cdef list streams = []
    cdef list pieces = []
    cdef bytes piece
    cdef int i
    while PyList_GET_SIZE(senders) and PyList_GET_SIZE(pieces) < BATCH:
        sender = senders.pop()
        stream = stream_of(sender)
        if stream is None:  # another handler has ended this connection, and its stream is closed
            continue
        try:
            output = take_output(sender)
        except Exception as exc:
            loop.report(exc, sender)
            continue
        if output is not None:
            streams.append(stream)
            pieces.append(output)
    for i, output in enumerate(pieces):
        piece = <bytes>output
        ring.send(
            i, descriptor(streams[i]), PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece)
        )
    submit(poller, ring)
    for i, stream in enumerate(streams):
        piece = <bytes>PyList_GET_ITEM(pieces, i)
        if ring.results[i] == PyBytes_GET_SIZE(piece):
            continue
        try:
            written(stream, piece, ring.results[i])
        except Exception as exc:
            loop.report(exc, stream)
    return 0
