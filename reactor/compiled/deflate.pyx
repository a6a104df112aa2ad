# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True, embedsignature=False
"""Compressed messages in C: zlib called directly, and the usual case of both directions.

What it is: :class:`Deflater` and :class:`Inflater`, which act as the objects of Python's ``zlib``
do, for Compression of protocols/deflate.py; and, for path.pyx, a message that becomes a compressed
frame, and compressed frames that become messages.

What it must not know: sessions, connections; what to do in any but the usual case.

How it works. The library is the one that Python's ``zlib`` has loaded; nothing is linked, and no
header of zlib is needed: its functions are looked up by name. If they are not found, ``refused``
says why, and Python's objects are used. Those release the GIL for every call, so that a thread that
computes would hold up each message by several times 5 ms; here, only large pieces release it.

A received frame is inflated into a buffer that all connections of a thread share. Where that turns
out not to be the usual case, after all (the message is too long, not UTF-8, not to be inflated),
the frame is left to Python: it calls ``decompress`` with the same bytes, and gets what has been
inflated of them already, and then the rest. See :meth:`Inflater.decompress`.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append, PyList_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from reactor.compiled.counters cimport Counters
from reactor.compiled.frames cimport build_of, draw, find_payload, xor_into
from reactor.compiled.slots cimport find_slot, get, put, require
from reactor.compiled.spares cimport Spare, init_spare, keep_spare, take_spare

import zlib

from ..protocols import deflate, frames, rules
from ..protocols.deflate import Agreement, Compression
from ..protocols.frames import new_mask, serialize
from ..protocols.messages import LARGE_TEXT
from ..protocols.receiving import FRAME_ALONE, MAX_FRAMES, MAX_INFLATED

__all__ = ["Deflater", "Inflater", "refused"]

cdef extern from "Python.h":
    object PyUnicode_DecodeUTF8(const char *data, Py_ssize_t size, const char *errors)
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    int PyUnicode_KIND(object text)
    Py_ssize_t PY_SSIZE_T_MAX
    void *PyMem_RawMalloc(size_t) nogil
    void PyMem_RawFree(void *) nogil

cdef extern from *:
    """
    #include <dlfcn.h>
    #ifndef RTLD_NOLOAD
    #define RTLD_NOLOAD 0
    #endif
    """
    enum:
        RTLD_LAZY
        RTLD_NOLOAD
    void *dlopen(const char *path, int flags)
    void *dlsym(void *handle, const char *name)

# The functions of zlib that are called. All of them are public, and have been there since 1.2.3.4.
cdef struct Library:
    const char *(*version)() noexcept nogil
    int (*deflate_init)(
        zstream *stream, int level, int method, int bits, int mem_level, int strategy,
        const char *version, int size
    ) noexcept nogil
    int (*deflate)(zstream *stream, int flush) noexcept nogil
    int (*deflate_end)(zstream *stream) noexcept nogil
    int (*inflate_init)(zstream *stream, int bits, const char *version, int size) noexcept nogil
    int (*inflate)(zstream *stream, int flush) noexcept nogil
    int (*inflate_end)(zstream *stream) noexcept nogil
    int (*inflate_reset)(zstream *stream, int bits) noexcept nogil

cdef Library lib

cdef enum:
    # zlib.h
    NO_FLUSH = 0
    SYNC_FLUSH = 2
    Z_OK = 0
    STREAM_END = 1
    STREAM_ERROR = -2
    DATA_ERROR = -3
    MEM_ERROR = -4
    BUF_ERROR = -5

    OP_TEXT = 1
    OP_BINARY = 2
    FIN_TEXT = 0xC1  # with RSV1
    FIN_BINARY = 0xC2
    RSV1 = 4
    TAIL_SIZE = 4

    # A piece of more bytes is compressed, or inflated, without the GIL.
    LARGE = 16 * 1024
    # Room for what one compressed frame inflates to, and how much is inflated of one read here.
    ROOM = 256 * 1024
    # Room for the unmasked payload of a frame.
    PLAIN = 120 * 1024
    MOST_AT_ONCE = 1 << 30  # bytes; zlib counts them in an unsigned int

require("OP_TEXT", frames.OP_TEXT, OP_TEXT)
require("OP_BINARY", frames.OP_BINARY, OP_BINARY)
require("OP_TEXT | RSV1", frames.OP_TEXT | frames._FIN | rules.RSV1 << 4, FIN_TEXT)
require("OP_BINARY | RSV1", frames.OP_BINARY | frames._FIN | rules.RSV1 << 4, FIN_BINARY)
require("RSV1", rules.RSV1, RSV1)
require("_TAIL", deflate._TAIL, b"\x00\x00\xff\xff")
# No step of receive() inflates less than one here, and no str is too large.
require("MAX_INFLATED >= 2 * ROOM", MAX_INFLATED >= 2 * ROOM, True)
require("LARGE_TEXT >= 4 * ROOM", LARGE_TEXT >= 4 * ROOM, True)

cdef object A_COMPRESSION = Compression
cdef object compiled_new_mask = new_mask
cdef bytes TAIL = deflate._TAIL
cdef Py_ssize_t ALONE = FRAME_ALONE
cdef Py_ssize_t MOST_FRAMES = MAX_FRAMES

cdef Py_ssize_t AGREEMENT = find_slot(Compression, "agreement")
cdef Py_ssize_t COMPRESSOR = find_slot(Compression, "_compressor")
cdef Py_ssize_t DECOMPRESSOR = find_slot(Compression, "_decompressor")
cdef Py_ssize_t CONFIG = find_slot(Agreement, "config")
cdef Py_ssize_t RECEIVE_TAKEOVER = find_slot(Agreement, "receive_takeover")
cdef Py_ssize_t SEND_TAKEOVER = find_slot(Agreement, "send_takeover")


# -- zlib's objects ----------------------------------------------------------------------------


cdef object failure(const zstream *stream, int code, str what):
    """Return the error that Python's zlib raises."""
    if stream.msg is not NULL:
        text = stream.msg.decode("utf-8", "replace")
    else:
        text = {
            BUF_ERROR: "incomplete or truncated stream",
            STREAM_ERROR: "inconsistent stream state",
            DATA_ERROR: "invalid input data",
        }.get(code)
    return zlib.error(f"Error {code} {what}" + (f": {text}" if text else ""))


cdef void *allocate(void *opaque, unsigned count, unsigned size) noexcept nogil:
    return PyMem_RawMalloc(<size_t>count * size)  # which tracemalloc sees


cdef void release(void *opaque, void *block) noexcept nogil:
    PyMem_RawFree(block)


cdef zstream *new_stream() except NULL:
    cdef zstream *stream = <zstream *>calloc(1, sizeof(zstream))
    if stream is NULL:
        raise MemoryError
    stream.zalloc = allocate
    stream.zfree = release
    return stream


cdef struct Output:
    uint8_t *data
    Py_ssize_t size
    Py_ssize_t capacity


cdef bint has_room(Output *out, Py_ssize_t most) noexcept nogil:
    """Have some room at the end of the output, unless it has *most* bytes."""
    cdef Py_ssize_t capacity = out.capacity
    cdef uint8_t *data
    # Less than 7 bytes of room would make zlib repeat the end of a flush.
    if capacity - out.size >= 64 or capacity == most:
        return True
    capacity = min(2 * capacity + 1024, most)
    data = <uint8_t *>realloc(out.data, capacity)
    if data is NULL:
        return False
    out.data = data
    out.capacity = capacity
    return True


cdef int deflate_all(
    zstream *stream, const uint8_t *data, Py_ssize_t size, int flush, Output *out
) noexcept nogil:
    """Compress all of the data, and flush as asked for. Return the last code of zlib."""
    cdef unsigned room
    cdef int code
    stream.next_in = data
    while True:
        stream.avail_in = <unsigned>min(size, MOST_AT_ONCE)
        size -= stream.avail_in
        while True:
            if not has_room(out, PY_SSIZE_T_MAX):
                return MEM_ERROR
            room = stream.avail_out = <unsigned>min(out.capacity - out.size, MOST_AT_ONCE)
            stream.next_out = out.data + out.size
            code = lib.deflate(stream, NO_FLUSH if size else flush)
            out.size += room - stream.avail_out
            if code == STREAM_ERROR or stream.avail_out:
                break
        if code == STREAM_ERROR or not size:
            return code


cdef int inflate_all(
    zstream *stream, const uint8_t *data, Py_ssize_t size, Py_ssize_t most, Output *out
) noexcept nogil:
    """Inflate the data until *most* bytes have come out. Return the last code of zlib."""
    cdef unsigned room
    cdef int code = Z_OK
    stream.next_in = data
    while True:
        stream.avail_in = <unsigned>min(size, MOST_AT_ONCE)
        size -= stream.avail_in
        while True:
            if not has_room(out, most):
                return MEM_ERROR
            room = stream.avail_out = <unsigned>min(out.capacity - out.size, MOST_AT_ONCE)
            if room == 0:
                return code
            stream.next_out = out.data + out.size
            code = lib.inflate(stream, SYNC_FLUSH)
            out.size += room - stream.avail_out
            if (code != Z_OK and code != BUF_ERROR) or stream.avail_out:
                break
        if (code != Z_OK and code != BUF_ERROR) or not size:
            return code


cdef class Deflater:
    """Acts as what ``zlib.compressobj`` returns."""

    def __cinit__(self, int level, int method, int bits, int mem_level):
        cdef int code
        self.stream = new_stream()
        code = lib.deflate_init(
            self.stream, level, method, bits, mem_level, 0, lib.version(), sizeof(zstream)
        )
        if code == MEM_ERROR:
            raise MemoryError("Can't allocate memory for compression object")
        if code == STREAM_ERROR:
            raise ValueError("Invalid initialization option")
        if code != Z_OK:
            raise failure(self.stream, code, "while creating compression object")

    def __dealloc__(self):
        if self.stream is not NULL:
            lib.deflate_end(self.stream)
            free(self.stream)

    # The locks are those of a free-threaded Python. Both are let go where the GIL is released.

    @cython.critical_section
    def compress(self, data):
        """Return compressed bytes: those that zlib does not hold back."""
        return self.run(data, NO_FLUSH)

    @cython.critical_section
    def flush(self, int mode):
        """Return the rest of the compressed bytes."""
        return self.run(b"", mode)

    cdef bytes run(self, data, int flush):
        cdef Py_buffer view
        cdef Output out = [NULL, 0, 0]
        cdef int code
        if self.busy:
            raise RuntimeError("another thread is compressing with this object")
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if view.len > LARGE:
                self.busy = True
                with nogil:
                    code = deflate_all(
                        self.stream, <const uint8_t *>view.buf, view.len, flush, &out
                    )
                self.busy = False
            else:
                code = deflate_all(self.stream, <const uint8_t *>view.buf, view.len, flush, &out)
            if code == MEM_ERROR:
                raise MemoryError
            if code == STREAM_ERROR:
                raise failure(self.stream, code, "while compressing data")
            return PyBytes_FromStringAndSize(<char *>out.data, out.size)
        finally:
            free(out.data)
            PyBuffer_Release(&view)


cdef void end_inflating(void *stream) noexcept nogil:
    lib.inflate_end(<zstream *>stream)
    free(stream)


# What inflated for an Inflater that has gone: making one costs more than using it. zlib forgets
# all that it has seen when it is reset.
cdef Spare spare_stream


cdef class Inflater:
    """Acts as what ``zlib.decompressobj`` returns.

    Attributes:
        eof, unconsumed_tail, unused_data: those of Python's object.
    """

    # _taken: what has come out of data that decompress() will be given: its bytes, and how many
    # bytes of the data they were made of; one for each call.

    def __cinit__(self, int bits):
        cdef int code
        self.unconsumed_tail = self.unused_data = b""
        self.stream = <zstream *>take_spare(&spare_stream)
        if self.stream is not NULL:
            code = lib.inflate_reset(self.stream, bits)
        else:
            self.stream = new_stream()
            code = lib.inflate_init(self.stream, bits, lib.version(), sizeof(zstream))
        if code == MEM_ERROR:
            raise MemoryError("Can't allocate memory for decompression object")
        if code == STREAM_ERROR:
            raise ValueError("Invalid initialization option")
        if code != Z_OK:
            raise failure(self.stream, code, "while creating decompression object")

    def __dealloc__(self):
        if self.stream is not NULL and not keep_spare(&spare_stream, self.stream):
            end_inflating(self.stream)

    @cython.critical_section
    def decompress(self, data, Py_ssize_t max_length=0):
        """Return inflated bytes; at most *max_length*, if that is not 0.

        Where parse_compressed() has inflated some of the data already, this goes on from there, as
        if it had done all.
        """
        cdef Py_buffer view
        cdef Output out = [NULL, 0, 0]
        cdef Py_ssize_t most = max_length if max_length > 0 else PY_SSIZE_T_MAX
        cdef Py_ssize_t done = 0
        cdef const uint8_t *source
        cdef int code
        if self.busy:
            raise RuntimeError("another thread is inflating with this object")
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            source = <const uint8_t *>view.buf
            if self._taken:
                ahead, done = self._taken.pop(0)
                out.data = <uint8_t *>malloc(max(len(<bytes>ahead), 1))
                if out.data is NULL:
                    raise MemoryError
                out.size = out.capacity = len(<bytes>ahead)
                memcpy(out.data, PyBytes_AS_STRING(ahead), out.size)
                if done > view.len or out.size > most:
                    raise RuntimeError("these are not the data that were inflated already")
                if self._taken:  # the library has gone on to the data of the next call
                    self.unconsumed_tail = b""
                    return ahead
            if view.len > LARGE:
                self.busy = True
                with nogil:
                    code = inflate_all(self.stream, source + done, view.len - done, most, &out)
                self.busy = False
            else:
                code = inflate_all(self.stream, source + done, view.len - done, most, &out)
            if code == MEM_ERROR:
                raise MemoryError
            rest = PyBytes_FromStringAndSize(
                <char *>self.stream.next_in, source + view.len - self.stream.next_in
            )
            if code == STREAM_END:
                self.eof = True
                self.unused_data += rest
                self.unconsumed_tail = b""
            else:
                self.unconsumed_tail = rest
                if code != Z_OK and code != BUF_ERROR:
                    raise failure(self.stream, code, "while decompressing data")
            return PyBytes_FromStringAndSize(<char *>out.data, out.size)
        finally:
            free(out.data)
            PyBuffer_Release(&view)


# -- the usual case ----------------------------------------------------------------------------

# Room for what is inflated or compressed, then for an unmasked payload.
cdef Spare spare_room

if init_spare(&spare_stream, end_inflating) or init_spare(&spare_room, free):
    raise ImportError("no key for a buffer is left in this process")


cdef uint8_t *take_room() except NULL:
    cdef uint8_t *room = <uint8_t *>take_spare(&spare_room)
    if room is NULL:
        room = <uint8_t *>malloc(ROOM + PLAIN)
        if room is NULL:
            raise MemoryError
    return room


cdef void give_back(uint8_t *room) noexcept:
    if not keep_spare(&spare_room, room):
        free(room)


cdef bytes compressed_frame(compression, int opcode, message, new_mask, Py_ssize_t *size):
    """Return the frame of a message where compression was agreed; None: leave it to Python.

    Args:
        compression: the session's.
        opcode: that of a str or bytes.
        message: the str or the bytes.
        new_mask: the session's source of masking keys.
        size: gets the size of the message, in bytes.
    """
    cdef Output out
    cdef const uint8_t *source
    cdef int code
    cdef bytes plain = None
    if type(compression) is not A_COMPRESSION:
        return None
    if opcode == OP_TEXT and PyUnicode_IS_COMPACT_ASCII(message):
        source = <const uint8_t *>PyUnicode_DATA(message)  # it is its own UTF-8
        size[0] = PyUnicode_GET_LENGTH(message)
    else:
        plain = message if opcode == OP_BINARY else (<str>message).encode()
        source = <const uint8_t *>PyBytes_AS_STRING(plain)
        size[0] = PyBytes_GET_SIZE(plain)
    agreement = get(compression, AGREEMENT)
    if size[0] < <Py_ssize_t>get(agreement, CONFIG).threshold or size[0] == 0:
        return masked_frame(opcode, source, size[0], new_mask, 0)
    compressor = get(compression, COMPRESSOR)
    if (
        size[0] > LARGE
        or type(compressor) is not Deflater
        or (<Deflater>compressor).busy
        or get(agreement, SEND_TAKEOVER) is not True
    ):
        if plain is None:
            plain = PyBytes_FromStringAndSize(<const char *>source, size[0])
        plain = compression.compress(plain)
        source = <const uint8_t *>PyBytes_AS_STRING(plain)
        return masked_frame(opcode, source, PyBytes_GET_SIZE(plain), new_mask, RSV1)
    out.data = take_room()
    out.size = 0
    out.capacity = ROOM
    try:
        code = deflate_all((<Deflater>compressor).stream, source, size[0], SYNC_FLUSH, &out)
        if code == MEM_ERROR:
            raise MemoryError
        if code == STREAM_ERROR or out.size <= TAIL_SIZE:
            raise failure((<Deflater>compressor).stream, code, "while compressing data")
        return masked_frame(opcode, out.data, out.size - TAIL_SIZE, new_mask, RSV1)
    finally:
        give_back(out.data)


cdef bytes masked_frame(
    int opcode, const uint8_t *payload, Py_ssize_t length, new_mask, int rsv
):
    cdef uint8_t key[4]
    if new_mask is None:
        return build_of(opcode, payload, length, NULL, True, rsv)
    if new_mask is compiled_new_mask:
        draw(key)
        return build_of(opcode, payload, length, key, True, rsv)
    plain = PyBytes_FromStringAndSize(<const char *>payload, length)
    return serialize(opcode, plain, new_mask(), True, rsv)


cdef Py_ssize_t parse_compressed(
    compression, const uint8_t *buffer, Py_ssize_t end, Py_ssize_t pos, list events, bint masked,
    uint64_t limit, Spent *spent, Counters counters
) except -1:
    """Append the messages in a run of compressed frames; return the position after them.

    See parse_messages() in frames.py for the arguments. *limit* is for what a message inflates to;
    *spent* is what was taken of the limits of one call of receive().
    """
    cdef Py_ssize_t start, size
    cdef uint64_t length
    cdef uint8_t first
    if type(compression) is not A_COMPRESSION:
        return pos
    takeover = get(get(compression, AGREEMENT), RECEIVE_TAKEOVER)
    while (
        end - pos >= 2
        and spent.frames + PyList_GET_SIZE(events) < MOST_FRAMES
        and spent.memory < ROOM
    ):
        first = buffer[pos]
        if first != FIN_TEXT and first != FIN_BINARY:
            break
        start = find_payload(buffer, end, pos, masked, PLAIN, &length)
        if not start:
            break
        inflater = get(compression, DECOMPRESSOR)
        if inflater is None:
            inflater = compression._new_decompressor()
            put(compression, DECOMPRESSOR, inflater)
        if type(inflater) is not Inflater or (<Inflater>inflater).busy:
            break
        if (<Inflater>inflater)._taken:
            break  # this frame was left to Python already, and its bytes have been inflated
        size = take(
            inflater, events, buffer + start, length, masked, first == FIN_TEXT, limit, spent
        )
        if size < 0:
            break
        spent.frames += ALONE
        counters.payload_in += size
        counters.messages_in += 1
        if takeover is not True:
            put(compression, DECOMPRESSOR, None)
        pos = start + <Py_ssize_t>length
    return pos


cdef Py_ssize_t take(
    Inflater inflater, list events, const uint8_t *payload, Py_ssize_t length, bint masked,
    bint text, uint64_t limit, Spent *spent
) except -2:
    """Append a message and return its size; -1: it is left to Python."""
    cdef uint8_t *room = take_room()
    cdef zstream *stream = inflater.stream
    cdef Output out = [room, 0, <Py_ssize_t>min(limit + 1, <uint64_t>ROOM)]
    cdef Output behind = [room + ROOM, 0, TAIL_SIZE]
    try:
        if masked:
            xor_into(room + ROOM, payload, length, payload - 4)
            payload = room + ROOM
        if not inflate_step(stream, payload, length, &out):
            inflater._taken = [made_of(&out, length - stream.avail_in)]
            return -1
        # Section 7.2.2. Nothing may come out of that, and the room is for what may not.
        if inflate_step(stream, <uint8_t *>PyBytes_AS_STRING(TAIL), TAIL_SIZE, &behind) and (
            behind.size == 0
        ):
            if not text:
                message = PyBytes_FromStringAndSize(<char *>room, out.size)
            else:
                try:
                    message = PyUnicode_DecodeUTF8(<char *>room, out.size, NULL)
                except UnicodeDecodeError:
                    message = None
            if message is not None:
                PyList_Append(events, message)
                spent.memory += memory_of(message) if text else out.size
                return out.size
        inflater._taken = [made_of(&out, length), made_of(&behind, TAIL_SIZE - stream.avail_in)]
        return -1
    finally:
        give_back(room)


cdef inline Py_ssize_t memory_of(text) noexcept:
    return PyUnicode_GET_LENGTH(text) * PyUnicode_KIND(text)


cdef bint inflate_step(zstream *stream, const uint8_t *data, Py_ssize_t size, Output *out) noexcept:
    """Inflate data; return whether all of it was read, and there was more room than needed."""
    cdef int code = inflate_all(stream, data, size, out.capacity, out)
    return (
        (code == Z_OK or code == BUF_ERROR) and stream.avail_in == 0 and out.size < out.capacity
    )


cdef object made_of(Output *out, Py_ssize_t size):
    """Return what decompress() has to know of bytes that were inflated already."""
    return PyBytes_FromStringAndSize(<char *>out.data, out.size), size


# -- the library -------------------------------------------------------------------------------


def find_functions():
    """Look zlib's functions up, and try them. Return why they are not to be used; "" if they are."""
    global lib
    cdef Library found
    cdef void *handle
    path = getattr(zlib, "__file__", None)  # None: it is a part of the interpreter
    if path is None:
        handle = dlopen(NULL, RTLD_LAZY)
    else:
        handle = dlopen(<bytes>path.encode(), RTLD_LAZY | RTLD_NOLOAD)
    if handle is NULL:
        return "the library of Python's zlib was not found"
    found.version = <const char *(*)() noexcept nogil>dlsym(handle, "zlibVersion")
    found.deflate_init = <int (*)(
        zstream *, int, int, int, int, int, const char *, int
    ) noexcept nogil>dlsym(handle, "deflateInit2_")
    found.deflate = <int (*)(zstream *, int) noexcept nogil>dlsym(handle, "deflate")
    found.deflate_end = <int (*)(zstream *) noexcept nogil>dlsym(handle, "deflateEnd")
    found.inflate_init = <int (*)(
        zstream *, int, const char *, int
    ) noexcept nogil>dlsym(handle, "inflateInit2_")
    found.inflate = <int (*)(zstream *, int) noexcept nogil>dlsym(handle, "inflate")
    found.inflate_end = <int (*)(zstream *) noexcept nogil>dlsym(handle, "inflateEnd")
    found.inflate_reset = <int (*)(zstream *, int) noexcept nogil>dlsym(handle, "inflateReset2")
    for name, there in (
        ("zlibVersion", found.version is not NULL),
        ("deflateInit2_", found.deflate_init is not NULL),
        ("deflate", found.deflate is not NULL),
        ("deflateEnd", found.deflate_end is not NULL),
        ("inflateInit2_", found.inflate_init is not NULL),
        ("inflate", found.inflate is not NULL),
        ("inflateEnd", found.inflate_end is not NULL),
        ("inflateReset2", found.inflate_reset is not NULL),
    ):
        if not there:
            return f"the library of Python's zlib does not show its function {name}"
    lib = found
    version = lib.version().decode()
    if version != zlib.ZLIB_RUNTIME_VERSION:
        return f"a zlib {version} was found, which is not Python's"
    try:
        if not works():
            return f"zlib {version} put out what was not expected"
    except (zlib.error, ValueError) as exc:
        return f"zlib {version}: {exc}"  # such as another layout of z_stream
    return ""


cdef bint works() except -1:
    """Return whether both objects do as those of Python's zlib do."""
    text = b"reactor" * 100
    ours, pythons = Deflater(5, 8, -12, 5), zlib.compressobj(5, 8, -12, 5)
    squeezed = ours.compress(text) + ours.flush(SYNC_FLUSH)
    return (
        squeezed == pythons.compress(text) + pythons.flush(SYNC_FLUSH)
        and Inflater(-12).decompress(squeezed, 1000) == text
    )


#: Why Python's objects are used; empty if they are not.
refused = find_functions()
