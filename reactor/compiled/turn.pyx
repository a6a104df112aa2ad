# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True, embedsignature=False
"""The compiled twins of loop/turn.py, which says what a turn is, and of EventLoop._flush.

What it is: the same turn, with epoll called directly, and without a Python function between the
poll and the handlers; with io_uring, if the loop has that, in batches of handlers. replace.py puts
it in the method's place.

What it must not know: what handlers do, except that the output that a connection has collected is
written by the compiled twin of flush().

How it works. As the method does; rarely needed parts are the Python ones (``sleep`` with a limit,
``run_timers``, ``run_calls``, ``report``). See slots.pxd for how it reads attributes. Events are
in an array on the stack, since a handler may run a loop of its own.
"""

from cpython.dict cimport PyDict_GetItemWithError
from cpython.exc cimport PyErr_CheckSignals
from cpython.float cimport PyFloat_AsDouble
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.errno cimport EINTR, errno
from libc.math cimport ceil, rint
from libc.stdint cimport int64_t, uint32_t

from reactor.compiled.batch cimport (
    is_read, put_back, receive, receive_all, send_all, take_received, usable_ring,
)
from reactor.compiled.path cimport (
    flush, may_wait, os_error, read_stream, read_tls_stream,
)
from reactor.compiled.slots cimport (
    NONE, TRUE, find_slot, get, holds, is_a, is_exactly, number, put, require,
)
from reactor.compiled.uring cimport BATCH, Ring

from time import monotonic

from .path import tls_read
from ..loop.event_loop import EventLoop
from ..loop.poller import EpollPoller, Poller
from ..loop.turn import MAX_SLEEP, note_longest, run_calls, run_timers
from ..loop.turn import sleep as python_sleep
from ..connection.sender import Sender
from ..timers.clock import TICKS_PER_SECOND, MonotonicClock
from ..timers.clock import to_ticks_early as python_to_ticks_early
from ..timers.wheel import LAST_TICK, TimerWheel

cdef extern from "Python.h":
    Py_ssize_t PySet_GET_SIZE(object)
    object PyObject_CallNoArgs(object)
    bint PyMethod_Check(object)
    PyObject *PyMethod_GET_FUNCTION(object)
    PyObject *PyMethod_GET_SELF(object)

cdef extern from *:
    """
    #include <stdint.h>
    #ifdef __linux__
    #include <sys/epoll.h>
    #include <time.h>
    #define HAS_EPOLL 1
    /* As time.monotonic() has it: rounded in the same way. */
    static double monotonic_seconds(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)((int64_t)now.tv_sec * 1000000000 + now.tv_nsec) / 1e9;
    }
    #else  /* never called */
    #define HAS_EPOLL 0
    struct epoll_event { uint32_t events; union { int fd; } data; };
    static int epoll_wait(int descriptor, struct epoll_event *events, int count, int timeout)
    {
        return -1;
    }
    static double monotonic_seconds(void) { return 0.0; }
    #endif
    """
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    enum:
        HAS_EPOLL
    double monotonic_seconds() noexcept nogil
    int epoll_wait(int descriptor, epoll_event *events, int count, int timeout) nogil

cdef enum:
    EVENTS = 512  # in one poll; the next poll returns the others

cdef PyObject *A_LOOP = <PyObject *>EventLoop
cdef PyObject *A_POLLER = <PyObject *>Poller
cdef PyObject *A_SENDER = <PyObject *>Sender
cdef PyObject *A_WHEEL = <PyObject *>TimerWheel
cdef PyObject *AN_EPOLL_POLLER = <PyObject *>EpollPoller
cdef PyObject *TLS_READ = <PyObject *>tls_read
cdef PyObject *SYSTEM_TIME = <PyObject *>monotonic if MonotonicClock.now is monotonic else NULL
cdef Py_ssize_t LATEST = LAST_TICK
cdef double LONGEST = MAX_SLEEP
cdef double TICKS = TICKS_PER_SECOND

cdef Py_ssize_t LOOP_BEFORE_TURN = find_slot(EventLoop, "_before_turn")
cdef Py_ssize_t LOOP_BUSY = find_slot(EventLoop, "_busy_for")
cdef Py_ssize_t LOOP_CALLS = find_slot(EventLoop, "_calls")
cdef Py_ssize_t LOOP_DIRTY = find_slot(EventLoop, "dirty")
cdef Py_ssize_t LOOP_DUE = find_slot(EventLoop, "_due")
cdef Py_ssize_t LOOP_INTERRUPTED = find_slot(EventLoop, "_interrupted")
cdef Py_ssize_t LOOP_LONGEST = find_slot(EventLoop, "_longest")
cdef Py_ssize_t LOOP_MARK = find_slot(EventLoop, "_mark")
cdef Py_ssize_t LOOP_NOW = find_slot(EventLoop, "now")
cdef Py_ssize_t LOOP_POLLER = find_slot(EventLoop, "poller")
cdef Py_ssize_t LOOP_STOPPING = find_slot(EventLoop, "_stopping")
cdef Py_ssize_t LOOP_TIME = find_slot(EventLoop, "time")
cdef Py_ssize_t LOOP_TURNS = find_slot(EventLoop, "_turns")
cdef Py_ssize_t LOOP_WHEEL = find_slot(EventLoop, "wheel")
cdef Py_ssize_t POLLER_READERS = find_slot(Poller, "readers")
cdef Py_ssize_t POLLER_READ_MASK = find_slot(Poller, "read_mask")
cdef Py_ssize_t POLLER_STALE = find_slot(Poller, "stale")
cdef Py_ssize_t POLLER_WRITERS = find_slot(Poller, "writers")
cdef Py_ssize_t POLLER_WRITE_MASK = find_slot(Poller, "write_mask")
cdef Py_ssize_t POLLER_DESCRIPTOR = find_slot(EpollPoller, "descriptor")
cdef Py_ssize_t WHEEL_NEXT = find_slot(TimerWheel, "_next")
cdef Py_ssize_t WHEEL_NOW = find_slot(TimerWheel, "_now")
cdef Py_ssize_t WHEEL_ROUND_END = find_slot(TimerWheel, "_round_end")

cdef object python_turn = EventLoop._turn
cdef object python_flush = EventLoop._flush


def turn(loop, limit):
    cdef epoll_event ready[EVENTS]
    cdef int i, count
    cdef double began
    cdef Laps laps
    if not (
        is_a(loop, A_LOOP)
        and is_a(get(loop, LOOP_POLLER), A_POLLER)
        and is_exactly(get(loop, LOOP_WHEEL), A_WHEEL)
    ):
        return python_turn(loop, limit)
    poller = get(loop, LOOP_POLLER)
    calls = get(loop, LOOP_CALLS)
    due = get(loop, LOOP_DUE)
    if not holds(loop, LOOP_BEFORE_TURN, NONE):
        loop._before_turn()
    if PyList_GET_SIZE(get(loop, LOOP_DIRTY)):
        loop._flush()
    timeout = sleep(loop, calls, due, limit)
    if HAS_EPOLL and is_exactly(poller, AN_EPOLL_POLLER):
        count = wait(poller, timeout, ready)
        began = begin(loop, &laps)
        serve_all(loop, poller, ready, count, &laps)
    else:
        events = poller.poll(timeout)
        began = begin(loop, &laps)
        for fd, mask_of_events in events:
            serve(loop, poller, fd, mask_of_events, &laps, None, 0)
    advance(get(loop, LOOP_WHEEL), PyFloat_AsDouble(get(loop, LOOP_NOW)), due)
    if due or calls:
        put(loop, LOOP_MARK, laps.mark)
        if due:
            run_timers(loop)
        if calls:
            run_calls(loop)
        laps.mark = PyFloat_AsDouble(get(loop, LOOP_MARK))
    if laps.mark > began:
        put(loop, LOOP_BUSY, PyFloat_AsDouble(get(loop, LOOP_BUSY)) + (laps.mark - began))
    if holds(loop, LOOP_INTERRUPTED, TRUE):
        loop._raise_interrupt()


cdef struct Laps:
    double mark  # when the latest callback ended, or the turn began
    double longest  # the longest callback so far, in seconds


cdef inline double time_of(loop) except? -1.0:
    """Return the time of the loop's clock."""
    if HAS_EPOLL and holds(loop, LOOP_TIME, SYSTEM_TIME):
        return monotonic_seconds()  # the very clock, without an object for the answer
    return PyFloat_AsDouble(PyObject_CallNoArgs(get(loop, LOOP_TIME)))


cdef double begin(loop, Laps *laps) except? -1.0:
    """Begin to serve: the poll is over, and time has passed. Returns the time."""
    laps.mark = time_of(loop)
    put(loop, LOOP_NOW, laps.mark)
    put(loop, LOOP_TURNS, number(loop, LOOP_TURNS) + 1)
    laps.longest = PyFloat_AsDouble(get(loop, LOOP_LONGEST))
    return laps.mark


cdef inline int lap(loop, handler, Laps *laps) except -1:
    """Note that a callback has ended that had begun at the mark, where the next one begins."""
    cdef double now = time_of(loop)
    if now - laps.mark > laps.longest:
        note_longest(loop, handler, laps.mark, now)
        laps.longest = now - laps.mark
    laps.mark = now
    return 0


cdef int wait(poller, timeout, epoll_event *ready) except -1:
    """Wait for events; return how many there are."""
    cdef set stale = <set>get(poller, POLLER_STALE)
    cdef int descriptor = number(poller, POLLER_DESCRIPTOR)
    cdef double seconds = -1.0 if timeout is None else timeout
    cdef double until = 0.0
    cdef int count
    if PySet_GET_SIZE(stale):
        stale.clear()
    if seconds == 0.0:
        count = epoll_wait(descriptor, ready, EVENTS, 0)
        if count >= 0:
            return count
    elif seconds > 0.0:
        until = monotonic_seconds() + seconds
    while True:
        with nogil:
            count = epoll_wait(descriptor, ready, EVENTS, milliseconds(seconds))
        if count >= 0:
            return count
        if errno != EINTR:
            raise os_error(errno)
        PyErr_CheckSignals()  # PEP 475: only a handler that raises ends the wait
        if seconds > 0.0:
            seconds = max(0.0, until - monotonic_seconds())


cdef inline int milliseconds(double seconds) noexcept nogil:
    """Return milliseconds, rounded up: a timer never fires early."""
    return -1 if seconds < 0.0 else <int>ceil(seconds * 1000)


cdef int serve_all(loop, poller, epoll_event *ready, int count, Laps *laps) except -1:
    """Call the handlers of all descriptors that are ready."""
    cdef int i, some
    cdef int done = 0
    ring = usable_ring(poller, count)
    if ring is None:
        for i in range(count):
            serve(loop, poller, ready[i].data.fd, ready[i].events, laps, None, 0)
        return 0
    while done < count:
        some = min(count - done, BATCH)
        serve_batch(loop, poller, ring, ready + done, some, laps)
        done += some
    return 0


cdef int serve_batch(
    loop, poller, Ring ring, epoll_event *ready, int count, Laps *laps
) except -1:
    """Call the handlers of a batch: see batch.pyx."""
    cdef int i
    cdef PyObject *handler
    cdef long mask = number(poller, POLLER_READ_MASK)
    cdef set stale = <set>get(poller, POLLER_STALE)
    readers = get(poller, POLLER_READERS)
    ring.busy = True
    try:
        for i in range(count):
            fd = ready[i].data.fd
            handler = NULL
            if ready[i].events & mask and not (PySet_GET_SIZE(stale) and fd in stale):
                handler = PyDict_GetItemWithError(readers, fd)
            receive(poller, ring, None if handler is NULL else <object>handler)
        receive_all(poller, ring)
        laps.mark = time_of(loop)
        for i in range(count):
            serve(loop, poller, ready[i].data.fd, ready[i].events, laps, ring, i)
        put_back(ring)
        send_all(loop, poller, ring)
        laps.mark = time_of(loop)
    finally:
        if PyList_GET_SIZE(ring.streams):  # KeyboardInterrupt and SystemExit pass through
            put_back(ring)
        leave(loop, ring)
    return 0


def flush_dirty(loop):
    cdef list dirty = <list>get(loop, LOOP_DIRTY)
    poller = get(loop, LOOP_POLLER)
    ring = usable_ring(poller, PyList_GET_SIZE(dirty))
    if ring is None:
        python_flush(loop)
        return
    ring.busy = True
    try:
        while PyList_GET_SIZE(dirty):
            transport = dirty.pop()
            try:
                flush_or_wait(transport, ring)
            except Exception as exc:
                loop.report(exc, transport)
        send_all(loop, poller, ring)
    finally:
        leave(loop, ring)


cdef int flush_or_wait(transport, Ring ring) except -1:
    """Flush a transport; a plain connection's output waits for the others, if there is a ring."""
    if not is_a(transport, A_SENDER):
        transport.flush()
    elif ring is not None and may_wait(transport):
        ring.senders.append(transport)
    else:
        flush(transport)
    return 0


cdef int leave(loop, Ring ring) except -1:
    """Be done with a batch; what it has not sent is flushed by the next turn."""
    ring.busy = False
    ring.asked = 0
    if ring.descriptor >= 0:  # else this is a forked child
        (<list>get(loop, LOOP_DIRTY)).extend(ring.senders)
    ring.senders.clear()
    return 0


cdef int serve(loop, poller, fd, long mask, Laps *laps, Ring ring, int place) except -1:
    """Call the handlers of a descriptor that is ready; with a ring, it has a place in its batch."""
    cdef PyObject *handler
    cdef set stale = <set>get(poller, POLLER_STALE)
    if PySet_GET_SIZE(stale) and fd in stale:
        return 0
    if mask & number(poller, POLLER_READ_MASK):
        handler = PyDict_GetItemWithError(get(poller, POLLER_READERS), fd)
        if handler is not NULL:
            callback = <object>handler  # owned: it may take itself out of the map
            run(loop, callback, ring, place)
            lap(loop, callback, laps)
            if PySet_GET_SIZE(stale) and fd in stale:
                return 0
    if mask & number(poller, POLLER_WRITE_MASK):
        handler = PyDict_GetItemWithError(get(poller, POLLER_WRITERS), fd)
        if handler is not NULL:
            callback = <object>handler
            run(loop, callback, ring, place)
            lap(loop, callback, laps)
    return 0


cdef int run(loop, handler, Ring ring, int place) except -1:
    """Call a handler, and write the output that it has collected."""
    cdef list dirty = <list>get(loop, LOOP_DIRTY)
    PyErr_CheckSignals()  # see deliver() in path.pyx
    try:
        if is_read(handler):
            stream = <object>PyMethod_GET_SELF(handler)
            if ring is None or not take_received(stream, ring, place):
                read_stream(stream)
        elif PyMethod_Check(handler) and PyMethod_GET_FUNCTION(handler) == TLS_READ:
            read_tls_stream(<object>PyMethod_GET_SELF(handler))
        else:
            PyObject_CallNoArgs(handler)
        if ring is None and PyList_GET_SIZE(dirty) > 1:  # a message to many
            if usable_ring(get(loop, LOOP_POLLER), PyList_GET_SIZE(dirty)) is not None:
                flush_dirty(loop)
        while PyList_GET_SIZE(dirty):
            flush_or_wait(dirty.pop(), ring)
    except Exception as exc:
        loop.report(exc, handler)
        loop._flush()
    return 0


cdef object sleep(loop, calls, due, limit):
    """Return how long the turn may wait for events, in seconds; None: without a limit."""
    if limit is not None or calls or due or holds(loop, LOOP_STOPPING, TRUE):
        return python_sleep(loop, limit)
    cdef Py_ssize_t tick = number(get(loop, LOOP_WHEEL), WHEEL_NEXT)
    if tick > LATEST:
        return None
    return min(max(0.0, tick / TICKS - time_of(loop)), LONGEST)


cdef int advance(wheel, double now, due) except -1:
    """Advance the wheel, and append the timers that are due to *due*."""
    cdef int64_t tick = to_ticks_early(now)
    cdef int64_t old = number(wheel, WHEEL_NOW)
    if old <= tick < min(number(wheel, WHEEL_NEXT), number(wheel, WHEEL_ROUND_END)):
        put(wheel, WHEEL_NOW, tick)
    else:
        due.extend(wheel.advance(tick))
    return 0


cdef inline int64_t to_ticks_early(double seconds) noexcept:
    cdef double tick = rint(seconds * TICKS)
    return <int64_t>(tick if tick / TICKS <= seconds else tick - 1)


# Half ticks, which are rounded, and times without an exact binary form.
for seconds in (0.0, 0.0005, 0.0015, 0.001, 0.29, 1.0049999999999999, 123456.7890625):
    require(
        f"to_ticks_early({seconds})", python_to_ticks_early(seconds), to_ticks_early(seconds)
    )
