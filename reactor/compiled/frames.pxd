# What other compiled modules use of frames.pyx.

from libc.stdint cimport uint8_t, uint64_t

from reactor.compiled.counters cimport Counters

cdef void xor_into(
    uint8_t *target, const uint8_t *source, Py_ssize_t length, const uint8_t *mask
) noexcept nogil
cdef int draw(uint8_t *key) except -1
cdef bytes build(int opcode, payload, const uint8_t *mask, bint fin, int rsv)
cdef bytes build_of(
    int opcode, const uint8_t *source, Py_ssize_t length, const uint8_t *mask, bint fin, int rsv
)
cdef Py_ssize_t find_payload(
    const uint8_t *buffer, Py_ssize_t end, Py_ssize_t pos, bint masked, uint64_t limit,
    uint64_t *payload
) noexcept
cdef Py_ssize_t parse(
    const uint8_t *buffer, Py_ssize_t end, Py_ssize_t pos, list messages, bint masked,
    uint64_t limit, Py_ssize_t most, Counters counters
) except -1
