# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True, embedsignature=False, binding=False
"""The compiled twin of the inbox of reactor.asyncio: see asyncio/inbox.py for what it is.

What it is: the same class. asyncio/inbox.py puts it in the place of its own.

What it must not know: what its owner does.

How it works. As the Python class does, but for waiting: there a generator waits, here the inbox
itself is the iterator that a task runs, since only one task may wait.
"""

from cpython.list cimport PyList_Append
from cpython.object cimport PyObject

from reactor.compiled.slots cimport TRUE, find_slot, get, holds, is_a

import asyncio
from collections import deque

from ..loop.event_loop import EventLoop

cdef extern from "Python.h":
    object PyObject_CallNoArgs(object)
    object PyObject_CallOneArg(object, object)
    Py_ssize_t PyObject_Size(object) except -1
    int PyContext_Enter(object) except -1
    int PyContext_Exit(object) except -1

cdef PyObject *A_LOOP = <PyObject *>EventLoop
cdef object NOTHING = ()
cdef Py_ssize_t LOOP_DIRTY = find_slot(EventLoop, "dirty")
cdef Py_ssize_t LOOP_RUNNING = find_slot(EventLoop, "running")


cdef class Inbox:
    """See asyncio/inbox.py."""

    cdef object _append, _cancelled, _context, _owner, _popleft, _reactor, _runner, _wake
    cdef Py_ssize_t _high, _low
    cdef bint _in_place, _rung
    cdef readonly object _loop, items
    cdef public object error
    cdef public bint _asyncio_future_blocking, busy, paused
    cdef readonly bint waiting
    cdef object __weakref__

    def __init__(self, owner, host, high, Py_ssize_t low):
        if not is_a(host.loop, A_LOOP):
            raise TypeError("the reactor has another kind of loop")
        self.items = deque()
        self._append = self.items.append
        self._popleft = self.items.popleft
        self._owner = owner
        self._high = -1 if high is None else high
        self._low = low
        self._reactor = host.loop
        self._runner = host.runner
        self._in_place = not hasattr(asyncio, "_nest_patched")
        self._loop = host.asyncio_loop

    def put(self, item):
        """Something has come."""
        PyObject_CallOneArg(self._append, item)
        if self._wake is not None:
            self._ring()
        if self._high >= 0 and not self.paused and PyObject_Size(self.items) > self._high:
            self.paused = True
            self._owner.pause()

    def end(self, error):
        """Nothing more will come. What is there can still be taken."""
        self.error = error
        if self._wake is not None:
            self._ring()

    def take(self):
        """Return the next whole message; None if it has not come. Raises as ``owner.refuse``."""
        if self.busy:
            self._owner.refuse()
        while PyObject_Size(self.items):
            item = PyObject_CallNoArgs(self._popleft)
            if self.paused:
                self.taken()
            if type(item) is str or type(item) is bytes:
                return item
            message = self._owner.assemble(item)
            if message is not None:
                return message
        return None

    cpdef taken(self):
        """Something was taken out of ``items`` while there was a pause."""
        if PyObject_Size(self.items) <= self._low:
            self.paused = False
            if self.error is None:
                self._owner.resume()

    def __await__(self):
        """Wait until there is something. Raises what ended it, and as ``owner.refuse``."""
        if self.waiting:
            self._owner.refuse()
        return self

    def __iter__(self):
        return self

    def __next__(self):
        """Begin to wait, or go on."""
        self._rung = False
        if PyObject_Size(self.items):
            self.waiting = False
            raise StopIteration
        if self.error is not None:
            self.waiting = False
            raise self.error()
        self.waiting = self._asyncio_future_blocking = True
        return self

    def throw(self, kind, value=None, traceback=None):
        """The wait ends with an exception."""
        self.close()
        if value is None:
            value = kind if isinstance(kind, BaseException) else kind()
        raise value

    def close(self):
        """The wait ends: the coroutine is closed."""
        self.waiting = self._rung = False
        self._wake = None

    cdef int _ring(self) except -1:
        """Have the task go on."""
        if self._rung:
            return 0
        self._rung = True
        if holds(self._reactor, LOOP_RUNNING, TRUE):
            PyList_Append(get(self._reactor, LOOP_DIRTY), self)
        else:
            self._resume_later()
        return 0

    def flush(self):
        """The callback that has rung is over: resume the task, unless it is gone."""
        wake, context = self._wake, self._context
        if wake is None or context is None:
            return
        if not self._in_place or not self._runner.running:
            self._resume_later()
            return
        self._wake = None
        PyContext_Enter(context)
        try:
            PyObject_CallOneArg(wake, self)
        finally:
            PyContext_Exit(context)

    cdef int _resume_later(self) except -1:
        wake, self._wake = self._wake, None
        if wake is not None:
            self._loop.call_soon(wake, self, context=self._context)
        return 0

    def add_done_callback(self, callback, *, context=None):
        """The task waits."""
        self._wake = callback
        self._context = context

    def cancel(self, msg=None):
        """The task is cancelled. Returns False if it is about to go on: then it is told."""
        if self._wake is None or self._rung:
            return False
        self._cancelled = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        self._resume_later()
        return True

    def result(self):
        """The task goes on. Raises CancelledError where that is why."""
        if self._cancelled is not None:
            error, self._cancelled = self._cancelled, None
            raise error
