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
