"""The command line: ``python -m reactor COMMAND``."""
