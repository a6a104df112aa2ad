# What other compiled modules use of path.pyx.

from libc.stdint cimport uint8_t

cdef object os_error(int code)
cdef bint is_direct(stream) except -1
cdef int descriptor(stream) except -2
cdef bint read_stream(stream) except -1
cdef bint read_received(stream, uint8_t *buffer, Py_ssize_t size) except -1
cdef bint read_tls_stream(stream) except -1
cdef object stream_of(sender)
cdef bint may_wait(sender) except -1
cdef int flush(sender) except -1
cdef object take_output(sender)
cdef int written(stream, bytes data, Py_ssize_t sent) except -1
