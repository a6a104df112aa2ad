# cython: language_level=3
# cython: freethreading_compatible=False, embedsignature=False
"""The compiled twin of Counters: see protocols/counters.py for what it is.

What it is: the same attributes, as numbers in C, which the other compiled modules count in without
making an object for each sum.

What it must not know: who counts, and who reads.
"""

cimport cython


@cython.no_gc  # a str and a Histogram are in no circles
cdef class Counters:

    def __init__(self):
        self.message_at = self.opened_at = self.error_at = -1.0

    def note_opening(self, double now, double read_at):
        self.message_at = self.latest(read_at)
        self.messages_before = self.messages_in
        self.opens += 1
        self.opened_at = now

    cpdef double latest(self, double read_at):
        return read_at if self.messages_in > self.messages_before else self.message_at
