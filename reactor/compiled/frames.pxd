# What other compiled modules use of frames.pyx.

from libc.stdint cimport uint8_t, uint64_t

from reactor.compiled.counters cimport Counters

cdef int draw(uint8_t *key) except -1
cdef bytes build(int opcode, payload, const uint8_t *mask, bint fin, int rsv)
cdef Py_ssize_t parse(
    const uint8_t *buffer, Py_ssize_t end, Py_ssize_t pos, list messages, bint masked,
    uint64_t limit, Py_ssize_t most, Counters counters
) except -1
