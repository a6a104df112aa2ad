# Memory that is kept to be used again. Who needs a block takes the spare one, or makes another if
# there is none, and gives it back: wherever Python code can run, another thread's loop or a
# finalizer can run, too.
#
# There is one spare block of a kind, and the GIL guards it; in a free-threaded Python there is one
# for each thread, which is released when the thread ends.

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #include <pthread.h>
    typedef pthread_key_t Spare;

    static inline int init_spare(Spare *spare, void (*release)(void *))
    {
        return pthread_key_create(spare, release);
    }

    static inline void *take_spare(Spare *spare)
    {
        void *block = pthread_getspecific(*spare);
        if (block != NULL)
            pthread_setspecific(*spare, NULL);
        return block;
    }

    /* Return whether the block is kept; else the caller releases it. */
    static inline int keep_spare(Spare *spare, void *block)
    {
        return pthread_getspecific(*spare) == NULL && pthread_setspecific(*spare, block) == 0;
    }
    #else
    typedef struct { void *block; } Spare;

    static inline int init_spare(Spare *spare, void (*release)(void *))
    {
        spare->block = NULL;  /* it is never released */
        return 0;
    }

    static inline void *take_spare(Spare *spare)
    {
        void *block = spare->block;
        spare->block = NULL;
        return block;
    }

    static inline int keep_spare(Spare *spare, void *block)
    {
        if (spare->block != NULL)
            return 0;
        spare->block = block;
        return 1;
    }
    #endif
    """
    ctypedef struct Spare:
        pass
    int init_spare(Spare *spare, void (*release)(void *) noexcept nogil) nogil
    void *take_spare(Spare *spare) noexcept nogil
    bint keep_spare(Spare *spare, void *block) noexcept nogil
