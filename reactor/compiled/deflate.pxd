# What other compiled modules use of deflate.pyx.

from libc.stdint cimport uint8_t, uint64_t

from reactor.compiled.counters cimport Counters

cdef extern from *:
    """
    #include <stdint.h>
    /* z_stream, as zlib.h has had it since version 1.0. */
    typedef struct {
        const uint8_t *next_in;
        unsigned avail_in;
        unsigned long total_in;
        uint8_t *next_out;
        unsigned avail_out;
        unsigned long total_out;
        const char *msg;
        void *state;
        void *(*zalloc)(void *, unsigned, unsigned);
        void (*zfree)(void *, void *);
        void *opaque;
        int data_type;
        unsigned long adler, reserved;
    } zstream;
    """
    ctypedef struct zstream:
        const uint8_t *next_in
        unsigned avail_in
        uint8_t *next_out
        unsigned avail_out
        const char *msg
        void *(*zalloc)(void *, unsigned, unsigned) noexcept nogil
        void (*zfree)(void *, void *) noexcept nogil


cdef class Deflater:
    cdef zstream *stream
    cdef bint busy

    cdef bytes run(self, data, int flush)


cdef class Inflater:
    cdef zstream *stream
    cdef bint busy
    cdef list _taken
    cdef readonly bint eof
    cdef readonly bytes unconsumed_tail, unused_data


cdef bytes compressed_frame(compression, int opcode, message, new_mask, Py_ssize_t *size)
cdef struct Spent:
    Py_ssize_t frames  # see FRAME_ALONE in receiving.py
    Py_ssize_t memory  # of what was inflated, in bytes

cdef Py_ssize_t parse_compressed(
    compression, const uint8_t *buffer, Py_ssize_t end, Py_ssize_t pos, list events, bint masked,
    uint64_t limit, Spent *spent, Counters counters
) except -1
