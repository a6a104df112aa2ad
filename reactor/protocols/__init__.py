"""Bytes in, bytes out: RFC 6455 without sockets, threads or time."""
