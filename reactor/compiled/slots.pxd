# Attributes in __slots__, as C sees them: an ordinary object has a pointer for each, at an offset
# that its class knows. find_slot() asks the class once; from then on, a look-up is one instruction,
# where the interpreter's look-up by name takes some hundred.
#
# The caller must know that the object is of that class (is_a): nothing here checks it.
#
# In a free-threaded Python, a slot that only this thread assigns is read as ever. put() assigns as
# Python does, with the object locked, so that other threads can read the slot; get_shared() reads
# one that another thread may be assigning.

from cpython.long cimport PyLong_AsSsize_t
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF

cdef extern from "Python.h":
    PyTypeObject PyMemberDescr_Type
    ctypedef struct PyMemberDescrObject:
        PyMemberDef *d_member
    bint PyObject_TypeCheck(object, PyTypeObject *)
    PyTypeObject *Py_TYPE(object)
    PyObject *TRUE "Py_True"
    PyObject *FALSE "Py_False"
    PyObject *NONE "Py_None"

cdef extern from "structmember.h":
    ctypedef struct PyMemberDef:
        Py_ssize_t offset

cdef extern from *:
    """
    /* How the object of a socket begins: path.pyx and tls.pyx make sure that it does. */
    typedef struct { PyObject_HEAD int descriptor; } SocketHead;
    """
    ctypedef struct SocketHead:
        int descriptor

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    static inline PyObject *exchange_slot(PyObject *owner, Py_ssize_t place, PyObject *value)
    {
        PyObject **slot = (PyObject **)((char *)owner + place);
        PyObject *old;
        Py_BEGIN_CRITICAL_SECTION(owner);
        old = *slot;
        __atomic_store_n(slot, value, __ATOMIC_RELEASE);
        Py_END_CRITICAL_SECTION();
        return old;
    }

    static inline PyObject *new_slot_ref(PyObject *owner, Py_ssize_t place)
    {
        PyObject *value;
        Py_BEGIN_CRITICAL_SECTION(owner);
        value = *(PyObject **)((char *)owner + place);
        Py_XINCREF(value);
        Py_END_CRITICAL_SECTION();
        return value;
    }
    #else
    static inline PyObject *exchange_slot(PyObject *owner, Py_ssize_t place, PyObject *value)
    {
        PyObject **slot = (PyObject **)((char *)owner + place);
        PyObject *old = *slot;
        *slot = value;
        return old;
    }

    static inline PyObject *new_slot_ref(PyObject *owner, Py_ssize_t place)
    {
        PyObject *value = *(PyObject **)((char *)owner + place);
        Py_XINCREF(value);
        return value;
    }
    #endif
    """
    PyObject *exchange_slot(object owner, Py_ssize_t place, object value) noexcept
    PyObject *new_slot_ref(object owner, Py_ssize_t place) noexcept


cdef inline Py_ssize_t find_slot(kind, str name) except -1:
    """Return the offset of the attribute *name* in objects of the class *kind*."""
    member = kind.__dict__.get(name)
    if not PyObject_TypeCheck(member, &PyMemberDescr_Type):
        raise ImportError(f"{kind.__name__}.{name} is not a slot")
    return (<PyMemberDescrObject *>member).d_member.offset


cdef inline int require(str name, there, here) except -1:
    """Refuse the import if a constant that was copied into C has another value in Python."""
    if there != here:
        raise ImportError(f"compiled for {name} = {here!r}, not {there!r}")
    return 0


cdef inline PyObject *slot(object owner, Py_ssize_t place) noexcept:
    """Return the object in a slot: borrowed, and NULL if none was assigned."""
    return (<PyObject **>(<char *><PyObject *>owner + place))[0]


cdef inline object get(object owner, Py_ssize_t place):
    """Return the object in a slot, as an owned reference."""
    cdef PyObject *value = slot(owner, place)
    if value is NULL:
        raise AttributeError(f"an attribute of {owner!r} is not set yet")
    return <object>value


cdef inline object get_shared(object owner, Py_ssize_t place):
    """Return the object in a slot that another thread may be assigning."""
    cdef PyObject *value = new_slot_ref(owner, place)
    if value is NULL:
        raise AttributeError(f"an attribute of {owner!r} is not set yet")
    found = <object>value
    Py_DECREF(found)
    return found


cdef inline int put(object owner, Py_ssize_t place, object value) except -1:
    Py_INCREF(value)
    Py_XDECREF(exchange_slot(owner, place, value))
    return 0


# What is compared with is a pointer, and what it points to a global name keeps alive: passed as an
# object, it would be counted up and down, and all threads would wait for each other to do so.

cdef inline bint holds(object owner, Py_ssize_t place, PyObject *value) noexcept:
    """Return whether a slot has this very object."""
    return slot(owner, place) == value


cdef inline Py_ssize_t number(owner, Py_ssize_t place) except? -1:
    return PyLong_AsSsize_t(get(owner, place))


cdef inline bint is_a(owner, PyObject *kind) noexcept:
    """Return whether an object is of a class, or of a subclass, whose slots begin alike."""
    return PyObject_TypeCheck(owner, <PyTypeObject *>kind)


cdef inline bint is_exactly(owner, PyObject *kind) noexcept:
    return <PyObject *>Py_TYPE(owner) == kind
