"""TLS: contexts, the handshake, resumption, and TLS within TLS."""
