# What other compiled modules use of path.pyx.

cdef object os_error(int code)
cdef int flush(sender) except -1
cdef bint read_stream(stream) except -1
cdef bint read_tls_stream(stream) except -1
