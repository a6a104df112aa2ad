"""The Autobahn test suite over every face of the package.

What is here:

    faces.py     echo programs, one for each face, run in processes of their own
    runner.py    runs a face against the suite, and judges each case
    report.py    the table, the list of misses, and docs/conformance.md
    __main__.py  python -m tests.autobahn
    test_autobahn.py   the fast part of it, for pytest
    test_judging.py    what counts as a miss

The suite itself is the PyPI package `kosoku`, which runs the case files of Autobahn.
"""
