# What other compiled modules use of _hotpath.pyx.

cdef int flush(connection) except -1
