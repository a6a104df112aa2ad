"""HTTP/1.1 without I/O, and the opening handshake of RFC 6455 section 4 on top of it."""
