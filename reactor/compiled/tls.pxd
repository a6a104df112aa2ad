# What path.pyx uses of tls.pyx.

from libc.stdint cimport uint8_t

cdef class OpenSSL:
    cdef object sock
    cdef int descriptor
    cdef bint dry
    cdef readonly bint more
    cdef public object failure
    cdef object inner(self)
    cdef Py_ssize_t receive(self, uint8_t *buffer, Py_ssize_t room) except -1
    cdef Py_ssize_t transmit(self, const char *data, Py_ssize_t size) except -1
