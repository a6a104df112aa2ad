# cython: language_level=3
# cython: freethreading_compatible=True, embedsignature=False
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

    # Other threads read these two, too: hence the locks of a free-threaded Python.

    @property
    @cython.critical_section
    def last_error(self):
        return self._last_error

    @last_error.setter
    @cython.critical_section
    def last_error(self, value):
        self._last_error = value

    @property
    @cython.critical_section
    def round_trips(self):
        return self._round_trips

    @round_trips.setter
    @cython.critical_section
    def round_trips(self, value):
        self._round_trips = value

    cpdef double latest(self, double read_at):
        return read_at if self.messages_in > self.messages_before else self.message_at
