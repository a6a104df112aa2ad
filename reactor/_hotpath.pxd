# What other compiled modules use of _hotpath.pyx.

cdef object os_error(int code)
cdef int flush(connection) except -1
