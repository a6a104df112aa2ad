# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True, embedsignature=False
"""The compiled twin of frames.py: the same functions, the same results, in C.

What it is: the functions of frames.py that every frame passes. frames.py says what they do, and
uses its own if this module was not built or is switched off.

What it must not know: anything that frames.py does not.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.list cimport PyList_Append
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

import os
from sys import maxsize

from reactor.compiled.counters cimport Counters
from reactor.compiled.slots cimport require

from ..protocols import frames
from ..protocols.events import Ping, Pong
from ..protocols.frames import FrameHeader

cdef extern from *:
    """
    #include <stdint.h>
    #define POOL 2048  /* bytes of masking keys, drawn at a time */
    #ifdef Py_GIL_DISABLED
    #define OF_THREAD _Thread_local  /* two threads may draw at once */
    #else
    #define OF_THREAD
    #endif
    static OF_THREAD uint8_t pool[POOL];
    static OF_THREAD Py_ssize_t pool_left = 0;
    """
    enum:
        POOL
    uint8_t *pool
    Py_ssize_t pool_left

cdef extern from "Python.h":
    object PyUnicode_DecodeUTF8(const char *data, Py_ssize_t size, const char *errors)
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef enum:
    FIN = 0x80
    MASKED = 0x80
    FIN_TEXT = 0x81
    FIN_BINARY = 0x82
    FIN_PING = 0x89
    FIN_PONG = 0x8A
    MAX_CONTROL_PAYLOAD = 125

require("OP_TEXT | FIN", frames.OP_TEXT | frames._FIN, FIN_TEXT)
require("OP_BINARY | FIN", frames.OP_BINARY | frames._FIN, FIN_BINARY)
require("OP_PING | FIN", frames.OP_PING | frames._FIN, FIN_PING)
require("OP_PONG | FIN", frames.OP_PONG | frames._FIN, FIN_PONG)
require("_FIN", frames._FIN, FIN)
require("_MASKED", frames._MASKED, MASKED)
require("MAX_CONTROL_PAYLOAD", frames.MAX_CONTROL_PAYLOAD, MAX_CONTROL_PAYLOAD)
require(
    "FrameHeader", FrameHeader._fields,
    ("fin", "rsv", "opcode", "mask", "length", "minimal", "start"),
)
require("Ping", Ping._fields, ("payload",))
require("Pong", Pong._fields, ("payload",))

# Makes a named tuple without its Python function.
cdef object new_tuple = tuple.__new__


cdef void xor_into(
    uint8_t *target, const uint8_t *source, Py_ssize_t length, const uint8_t *mask
) noexcept nogil:
    """Write *source*, masked, to *target*; the two may be the same."""
    cdef uint32_t key
    cdef uint64_t wide, word
    cdef Py_ssize_t i = 0
    memcpy(&key, mask, 4)
    wide = (<uint64_t>key << 32) | key  # the same four bytes twice, in any byte order
    while length - i >= 8:
        memcpy(&word, source + i, 8)  # the compiler turns it into one instruction, or into vectors
        word ^= wide
        memcpy(target + i, &word, 8)
        i += 8
    while i < length:
        target[i] = source[i] ^ mask[i & 3]
        i += 1


cdef int draw(uint8_t *key) except -1:
    """Put a masking key into *key*, from the pool of unpredictable bytes."""
    global pool_left
    cdef Py_ssize_t size
    if pool_left < 4:
        drawn = os.urandom(POOL)  # may have been replaced by a user's function
        if not isinstance(drawn, bytes) or len(drawn) < 4:
            raise ValueError(f"os.urandom must return at least four bytes, not {drawn!r:.60}")
        size = min(PyBytes_GET_SIZE(drawn), POOL) & ~3
        memcpy(pool, PyBytes_AS_STRING(drawn), size)
        pool_left = size
    pool_left -= 4
    memcpy(key, pool + pool_left, 4)
    return 0


def _forget_masks():
    """Empty the pool after a fork: the child must not use the keys that its parent uses."""
    global pool_left
    pool_left = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_masks)


def new_mask():
    cdef uint8_t key[4]
    draw(key)
    return PyBytes_FromStringAndSize(<char *>key, 4)


def apply_mask(bytes data not None, bytes mask not None):
    cdef Py_ssize_t length = PyBytes_GET_SIZE(data)
    cdef bytes masked = PyBytes_FromStringAndSize(NULL, length)
    if PyBytes_GET_SIZE(mask) != 4:
        raise ValueError("the mask must be four bytes")
    xor_into(
        <uint8_t *>PyBytes_AS_STRING(masked), <uint8_t *>PyBytes_AS_STRING(data), length,
        <uint8_t *>PyBytes_AS_STRING(mask),
    )
    return masked


def serialize(int opcode, payload, bytes mask, bint fin=True, int rsv=0):
    if mask is None:
        return build(opcode, payload, NULL, fin, rsv)
    if PyBytes_GET_SIZE(mask) != 4:
        raise ValueError("the mask must be four bytes")
    return build(opcode, payload, <const uint8_t *>PyBytes_AS_STRING(mask), fin, rsv)


cdef bytes build(int opcode, payload, const uint8_t *mask, bint fin, int rsv):
    """Return the frame; *mask* is NULL for an unmasked one."""
    if isinstance(payload, str):
        if PyUnicode_IS_COMPACT_ASCII(payload):  # it is its own UTF-8
            return build_of(
                opcode, <const uint8_t *>PyUnicode_DATA(payload), PyUnicode_GET_LENGTH(payload),
                mask, fin, rsv,
            )
        payload = (<str>payload).encode()
    elif not isinstance(payload, bytes):
        raise TypeError(f"the payload must be bytes or str, not {type(payload).__name__}")
    return build_of(
        opcode, <const uint8_t *>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), mask, fin,
        rsv,
    )


cdef bytes build_of(
    int opcode, const uint8_t *source, Py_ssize_t length, const uint8_t *mask, bint fin, int rsv
):
    """Return the frame with a payload of *length* bytes."""
    cdef Py_ssize_t start
    cdef bytes frame
    cdef uint8_t *target
    cdef int i
    start = 2 if length < 126 else 4 if length < 65536 else 10
    if mask is not NULL:
        start += 4
    frame = PyBytes_FromStringAndSize(NULL, start + length)
    target = <uint8_t *>PyBytes_AS_STRING(frame)
    target[0] = (FIN if fin else 0) | rsv << 4 | opcode
    if length < 126:
        target[1] = length
    elif length < 65536:
        target[1] = 126
        target[2] = length >> 8
        target[3] = length & 0xFF
    else:
        target[1] = 127
        for i in range(8):
            target[2 + i] = (<uint64_t>length >> (56 - 8 * i)) & 0xFF
    if mask is NULL:
        memcpy(target + start, source, length)
    else:
        target[1] |= MASKED
        memcpy(target + start - 4, mask, 4)
        xor_into(target + start, source, length, target + start - 4)
    return frame


def parse_messages(
    bytes data not None, Py_ssize_t pos, list messages not None, bint masked, uint64_t limit,
    Py_ssize_t most=maxsize, Counters counters=None
):
    return parse(
        <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), pos, messages, masked,
        limit, most, counters,
    )


cdef Py_ssize_t parse(
    const uint8_t *buffer, Py_ssize_t end, Py_ssize_t pos, list messages, bint masked,
    uint64_t limit, Py_ssize_t most, Counters counters
) except -1:
    """Do the work of parse_messages() over a buffer that ends at *end*."""
    cdef Py_ssize_t start
    cdef Py_ssize_t before = most
    cdef int64_t size = 0
    cdef uint64_t length
    cdef uint8_t first
    while most > 0 and end - pos >= 2:
        first = buffer[pos]
        if first != FIN_TEXT and first != FIN_BINARY:
            break
        start = find_payload(buffer, end, pos, masked, limit, &length)
        if not start or not take(messages, buffer + start, length, masked, first == FIN_TEXT):
            break
        pos = start + <Py_ssize_t>length
        most -= 1
        size += <int64_t>length
    if counters is not None:
        counters.messages_in += before - most
        counters.payload_in += size
    return pos


cdef Py_ssize_t find_payload(
    const uint8_t *buffer, Py_ssize_t end, Py_ssize_t pos, bint masked, uint64_t limit,
    uint64_t *payload
) noexcept:
    """Return where the payload of a frame begins, and its length in *payload*.

    0: the frame is not there as a whole, or cannot be taken in a run. The buffer has two bytes of
    it at least.
    """
    cdef Py_ssize_t start
    cdef uint64_t length
    cdef uint8_t second = buffer[pos + 1]
    cdef int i
    if (second >= MASKED) != masked:
        return 0
    length = second & 0x7F
    if length < 126:
        start = pos + 2
    elif length == 126:
        start = pos + 4
        if start > end:
            return 0
        length = <uint64_t>buffer[pos + 2] << 8 | buffer[pos + 3]
        if length < 126:
            return 0
    else:
        start = pos + 10
        if start > end:
            return 0
        length = 0
        for i in range(8):
            length = length << 8 | buffer[pos + 2 + i]
        if length < 65536:
            return 0
    if length > limit:
        return 0
    if masked:
        start += 4
    if start > end or length > <uint64_t>(end - start):
        return 0
    payload[0] = length
    return start


cdef bint take(
    list messages, const uint8_t *payload, Py_ssize_t length, bint masked, bint text
) except -1:
    """Append a message; return False if it is a text that is not UTF-8."""
    cdef bytes plain
    if masked:
        plain = PyBytes_FromStringAndSize(NULL, length)
        xor_into(<uint8_t *>PyBytes_AS_STRING(plain), payload, length, payload - 4)
        payload = <const uint8_t *>PyBytes_AS_STRING(plain)
    elif not text:
        plain = PyBytes_FromStringAndSize(<const char *>payload, length)
    if not text:
        PyList_Append(messages, plain)
        return True
    try:
        PyList_Append(messages, PyUnicode_DecodeUTF8(<const char *>payload, length, NULL))
    except UnicodeDecodeError:
        return False
    return True


def parse_pings(
    bytes data not None, Py_ssize_t pos, list events not None, bint masked, Py_ssize_t most
):
    cdef const uint8_t *buffer = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t start, length
    cdef uint8_t first, second
    cdef bytes payload
    while most > 0 and end - pos >= 2:
        first = buffer[pos]
        second = buffer[pos + 1]
        if first != FIN_PING and first != FIN_PONG:
            break
        length = second & 0x7F
        if (second >= MASKED) != masked or length > MAX_CONTROL_PAYLOAD:
            break
        start = pos + (6 if masked else 2)
        if end - start < length:
            break
        if masked:
            payload = PyBytes_FromStringAndSize(NULL, length)
            xor_into(
                <uint8_t *>PyBytes_AS_STRING(payload), buffer + start, length, buffer + start - 4
            )
        else:
            payload = PyBytes_FromStringAndSize(<const char *>buffer + start, length)
        PyList_Append(events, new_tuple(Ping if first == FIN_PING else Pong, (payload,)))
        pos = start + length
        most -= 1
    return pos


def parse_header(bytes data not None, Py_ssize_t pos):
    cdef const uint8_t *buffer = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t start = pos + 2
    cdef uint64_t length
    cdef uint8_t first, second
    cdef bint minimal = True
    cdef int i, size
    if end - pos < 2:
        return None
    first = buffer[pos]
    second = buffer[pos + 1]
    length = second & 0x7F
    if length >= 126:
        size = 2 if length == 126 else 8
        start += size
        if start > end:
            return None
        length = 0
        for i in range(size):
            length = length << 8 | buffer[pos + 2 + i]
        minimal = length >= <uint64_t>(126 if size == 2 else 65536)
    mask = None
    if second & MASKED:
        start += 4
        if start > end:
            return None
        mask = PyBytes_FromStringAndSize(<const char *>buffer + start - 4, 4)
    return new_tuple(FrameHeader, (
        (first & FIN) != 0, first >> 4 & 7, first & 0xF, mask, length, minimal, start,
    ))
