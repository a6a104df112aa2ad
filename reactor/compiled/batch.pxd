# What turn.pyx uses of batch.pyx.

from reactor.compiled.uring cimport Ring

cdef Ring usable_ring(poller, Py_ssize_t count)
cdef bint is_read(handler) noexcept
cdef int receive(poller, Ring ring, object handler) except -1
cdef int receive_all(poller, Ring ring) except -1
cdef bint take_received(stream, Ring ring, int place) except -1
cdef int put_back(Ring ring) except -1
cdef int send_all(loop, poller, Ring ring) except -1
