# What other compiled modules use of uring.pyx.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    BATCH = 64  # requests in one system call
    ROOM = 120 * 1024  # bytes for a receive

cdef class Ring:
    cdef readonly int descriptor
    cdef void *rings
    cdef void *requests
    cdef size_t rings_size
    cdef uint8_t *buffers
    cdef uint32_t *head
    cdef uint32_t *tail
    cdef uint32_t *answers_head
    cdef uint32_t *answers_tail
    cdef void *answers
    cdef uint32_t mask
    cdef uint32_t answers_mask
    cdef uint32_t asked
    cdef Py_ssize_t fewest
    cdef bint busy
    cdef readonly uint64_t calls
    cdef list streams
    cdef list senders
    cdef int results[BATCH]
    cdef uint8_t *buffer(self, int place) noexcept
    cdef void receive(self, int place, int descriptor) noexcept
    cdef void send(self, int place, int descriptor, const char *data, Py_ssize_t size) noexcept
    cdef void ask(
        self, uint8_t operation, int place, int descriptor, const void *data, uint32_t size,
        uint32_t flags
    ) noexcept
    cdef bint submit(self) except -1
    cdef void release(self) noexcept
