# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True, embedsignature=False
"""io_uring: many receives, or many sends, in one system call.

What it is: :class:`Ring`, which batch.pyx uses. Linux 5.18 and newer; liburing is not needed.

What it must not know: streams, frames, what bytes mean.

How it works. Requests are written into memory that is shared with the kernel, and one system call
has it do them all. Each is done at once or not at all (MSG_DONTWAIT): when the call returns, the
results are there, and the kernel has no more to do with the memory that was named. So nothing is
ever in flight, and a descriptor that is closed and used again needs no attention.

What the kernel has answered to the request at place *i* is in ``results[i]``: a size, or an error
as a negative number. A request that it has not accepted has -EAGAIN: not now.
"""

from libc.errno cimport EAGAIN, EBUSY, EINTR, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

import os

from reactor.compiled.slots cimport require

from ..transports.stream import READ_SIZE

cdef extern from *:
    """
    #include <errno.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/socket.h>
    #ifdef __linux__
    #include <sys/mman.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    #else
    #define MAP_FAILED ((void *)-1)
    #endif
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    /* Their numbers, where the C library does not know them, are those of all newer systems. */
    #if defined(__linux__) && !defined(__NR_io_uring_setup) && !defined(__alpha__) \\
        && !defined(__mips__)
    #define __NR_io_uring_setup 425
    #define __NR_io_uring_enter 426
    #endif
    #if defined(__linux__) && defined(__NR_io_uring_setup)
    #define HAS_URING 1
    #else
    #define HAS_URING 0
    #endif

    /* The kernel's interface (io_uring_setup(2), io_uring_enter(2)): <linux/io_uring.h> is not
       there, or too old, where wheels are built. */
    struct uring_request {
        uint8_t operation, flags;
        uint16_t priority;
        int32_t descriptor;
        uint64_t offset, address;
        uint32_t size, message_flags;
        uint64_t user_data, unused[3];
    };
    struct uring_answer { uint64_t user_data; int32_t result; uint32_t flags; };
    struct uring_offsets {
        uint32_t head, tail, mask, entries, flags, dropped, array, unused;
        uint64_t address;
    };
    struct uring_answer_offsets {
        uint32_t head, tail, mask, entries, overflow, answers, flags, unused;
        uint64_t address;
    };
    struct uring_parameters {
        uint32_t entries, answer_entries, flags, cpu, idle, features, other, unused[3];
        struct uring_offsets requests;
        struct uring_answer_offsets answers;
    };
    _Static_assert(sizeof(struct uring_request) == 64, "");
    _Static_assert(sizeof(struct uring_answer) == 16, "");
    _Static_assert(sizeof(struct uring_parameters) == 120, "");
    enum {
        URING_SEND = 26, URING_RECV = 27,
        URING_SUBMIT_ALL = 1 << 7, URING_ONE_MAP = 1 << 0, URING_GET_EVENTS = 1 << 0,
        URING_AT_REQUESTS = 0x10000000
    };

    static int uring_setup(uint32_t entries, struct uring_parameters *parameters)
    {
    #if HAS_URING
        memset(parameters, 0, sizeof *parameters);
        parameters->flags = URING_SUBMIT_ALL;
        return (int)syscall(__NR_io_uring_setup, entries, parameters);
    #else
        errno = ENOSYS;
        return -1;
    #endif
    }

    static int uring_enter(int descriptor, uint32_t requests, uint32_t least)
    {
    #if HAS_URING
        return (int)syscall(__NR_io_uring_enter, descriptor, requests, least,
                            least ? URING_GET_EVENTS : 0, NULL, 0);
    #else
        errno = ENOSYS;
        return -1;
    #endif
    }

    static void *uring_map(int descriptor, size_t size, uint64_t at)
    {
    #if HAS_URING
        return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor,
                    (off_t)at);
    #else
        return MAP_FAILED;
    #endif
    }

    static void uring_unmap(void *address, size_t size)
    {
    #if HAS_URING
        munmap(address, size);
    #endif
    }

    static void uring_close(int descriptor)
    {
    #if HAS_URING
        close(descriptor);
    #endif
    }

    static uint32_t uring_load(const uint32_t *place)
    {
        return __atomic_load_n(place, __ATOMIC_ACQUIRE);
    }

    static void uring_store(uint32_t *place, uint32_t value)
    {
        __atomic_store_n(place, value, __ATOMIC_RELEASE);
    }
    """
    struct uring_request:
        uint8_t operation
        int descriptor
        uint64_t address
        uint32_t size
        uint32_t message_flags
        uint64_t user_data
    struct uring_answer:
        uint64_t user_data
        int result
    struct uring_offsets:
        uint32_t head, tail, mask, entries, array
    struct uring_answer_offsets:
        uint32_t head, tail, mask, entries, answers
    struct uring_parameters:
        uint32_t entries, answer_entries, features
        uring_offsets requests
        uring_answer_offsets answers
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL
        URING_SEND
        URING_RECV
        URING_ONE_MAP
        URING_AT_REQUESTS
    void *MAP_FAILED
    int uring_setup(uint32_t entries, uring_parameters *parameters)
    int uring_enter(int descriptor, uint32_t requests, uint32_t least)
    void *uring_map(int descriptor, size_t size, uint64_t at)
    void uring_unmap(void *address, size_t size)
    void uring_close(int descriptor)
    uint32_t uring_load(const uint32_t *place)
    void uring_store(uint32_t *place, uint32_t value)
    void *memset(void *target, int value, size_t size)

cdef enum:
    # From one buffer to the next: not a multiple of a page, so that their beginnings do not share
    # the few places that a cache has for each offset in a page.
    STRIDE = ROOM + 64 * 5
    FEWEST = 8  # below, the work for a batch takes what it saves
    MOST = 1 << 30  # bytes of one send: more is not sent at once

require("READ_SIZE", READ_SIZE, ROOM)


cdef class Ring:
    """Requests to the kernel, and its answers. One loop's, and used by nobody else.

    Args:
        fewest: how many requests must come together for a batch to be worth its while.

    Attributes:
        calls: how many system calls there were.

    Raises:
        OSError: the kernel has no io_uring (ENOSYS), or an old one (EINVAL), or does not allow it
            (EPERM); or there is no memory for one.
    """

    def __cinit__(self):
        self.descriptor = -1
        self.streams = []
        self.senders = []

    def __init__(self, Py_ssize_t fewest=FEWEST):
        cdef uring_parameters found
        cdef char *start
        cdef uint32_t i
        cdef uint32_t *order
        if self.descriptor >= 0:
            raise RuntimeError("a Ring is made once")
        self.fewest = fewest
        self.descriptor = uring_setup(BATCH, &found)
        if self.descriptor < 0:
            raise OSError(errno, os.strerror(errno))
        self.rings_size = max(
            found.requests.array + found.entries * sizeof(uint32_t),
            found.answers.answers + found.answer_entries * sizeof(uring_answer),
        )
        self.rings = uring_map(self.descriptor, self.rings_size, 0)
        self.requests = uring_map(
            self.descriptor, found.entries * sizeof(uring_request), URING_AT_REQUESTS
        )
        self.buffers = <uint8_t *>malloc(BATCH * STRIDE)
        if (
            self.rings == MAP_FAILED or self.requests == MAP_FAILED or self.buffers is NULL
            or not found.features & URING_ONE_MAP or found.entries != BATCH
        ):
            code = errno
            self.close()
            raise OSError(code, os.strerror(code))
        start = <char *>self.rings
        self.head = <uint32_t *>(start + found.requests.head)
        self.tail = <uint32_t *>(start + found.requests.tail)
        self.mask = (<uint32_t *>(start + found.requests.mask))[0]
        self.answers_head = <uint32_t *>(start + found.answers.head)
        self.answers_tail = <uint32_t *>(start + found.answers.tail)
        self.answers_mask = (<uint32_t *>(start + found.answers.mask))[0]
        self.answers = start + found.answers.answers
        order = <uint32_t *>(start + found.requests.array)
        for i in range(found.entries):
            order[i] = i
        memset(self.requests, 0, found.entries * sizeof(uring_request))

    def __dealloc__(self):
        self.release()

    def close(self):
        """Release what the kernel has for it. It is not used any more."""
        self.release()

    cdef void release(self) noexcept:
        if self.descriptor < 0:
            return
        if self.rings is not NULL and self.rings != MAP_FAILED:
            uring_unmap(self.rings, self.rings_size)
        if self.requests is not NULL and self.requests != MAP_FAILED:
            uring_unmap(self.requests, BATCH * sizeof(uring_request))
        free(self.buffers)
        self.rings = self.requests = self.buffers = NULL
        uring_close(self.descriptor)
        self.descriptor = -1

    cdef uint8_t *buffer(self, int place) noexcept:
        """Where the bytes are that were received for a place."""
        return self.buffers + <size_t>place * STRIDE

    cdef void receive(self, int place, int descriptor) noexcept:
        """Ask for what has come on a descriptor."""
        self.ask(URING_RECV, place, descriptor, self.buffer(place), ROOM, MSG_DONTWAIT)

    cdef void send(self, int place, int descriptor, const char *data, Py_ssize_t size) noexcept:
        """Ask to send *data*, which must stay where it is until submit() returns."""
        self.ask(
            URING_SEND, place, descriptor, data, <uint32_t>min(size, <Py_ssize_t>MOST),
            MSG_DONTWAIT | MSG_NOSIGNAL,
        )

    cdef void ask(
        self, uint8_t operation, int place, int descriptor, const void *data, uint32_t size,
        uint32_t flags
    ) noexcept:
        cdef uint32_t at = (self.tail[0] + self.asked) & self.mask
        cdef uring_request *request = <uring_request *>self.requests + at
        request.operation = operation
        request.descriptor = descriptor
        request.address = <uint64_t><size_t>data
        request.size = size
        request.message_flags = flags
        request.user_data = place
        self.results[place] = -EAGAIN
        self.asked += 1

    cdef bint submit(self) except -1:
        """Have the kernel do what was asked for.

        Returns:
            False: it does nothing any more, and the ring is of no use.
        """
        cdef uint32_t first = self.tail[0]
        cdef uint32_t count = self.asked
        cdef uint32_t accepted = 0
        cdef uint32_t answered = 0
        cdef uint32_t at, end
        cdef int got
        cdef bint usable = True
        cdef uring_answer *answer
        self.asked = 0
        self.calls += 1
        uring_store(self.tail, first + count)
        while answered < count:
            got = uring_enter(
                self.descriptor, count - accepted, count - answered if accepted == count else 0
            )
            if got >= 0:
                accepted += <uint32_t>got
            elif errno != EINTR:
                usable = errno == EAGAIN or errno == EBUSY  # it has no memory at the moment
                count = accepted
                uring_store(self.tail, first + count)
            at = self.answers_head[0]
            end = uring_load(self.answers_tail)
            while at != end:
                answer = <uring_answer *>self.answers + (at & self.answers_mask)
                self.results[answer.user_data] = answer.result
                at += 1
                answered += 1
            uring_store(self.answers_head, end)
            if not usable:
                break
        return usable
