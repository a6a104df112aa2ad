# What other compiled modules use of counters.pyx.

from libc.stdint cimport int64_t

cdef class Counters:
    cdef public int64_t messages_in, messages_out, payload_in, payload_out, wire_in, wire_out
    cdef public int64_t pings_in, pings_out, most_queued, attempts, opens, losses
    cdef public double opened_at, error_at
    cdef double message_at
    cdef int64_t messages_before
    cdef object _last_error, _round_trips
    cpdef double latest(self, double read_at)
