# Attributes in __slots__, as C sees them: an ordinary object has a pointer for each, at an offset
# that its class knows. find_slot() asks the class once; from then on, a look-up is one instruction,
# where the interpreter's look-up by name takes some hundred.
#
# The caller must know that the object is of that class (is_a): nothing here checks it.

from cpython.long cimport PyLong_AsSsize_t
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF

cdef extern from "Python.h":
    PyTypeObject PyMemberDescr_Type
    ctypedef struct PyMemberDescrObject:
        PyMemberDef *d_member
    bint PyObject_TypeCheck(object, PyTypeObject *)

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


cdef inline int put(object owner, Py_ssize_t place, object value) except -1:
    cdef PyObject **target = <PyObject **>(<char *><PyObject *>owner + place)
    cdef PyObject *old = target[0]
    Py_INCREF(value)
    target[0] = <PyObject *>value
    Py_XDECREF(old)
    return 0


cdef inline bint holds(object owner, Py_ssize_t place, object value) noexcept:
    """Return whether a slot has this very object."""
    return slot(owner, place) == <PyObject *>value


cdef inline Py_ssize_t number(owner, Py_ssize_t place) except? -1:
    return PyLong_AsSsize_t(get(owner, place))


cdef inline bint is_a(owner, kind) noexcept:
    """Return whether an object is of a class, or of a subclass, whose slots begin alike."""
    return PyObject_TypeCheck(owner, <PyTypeObject *>kind)
