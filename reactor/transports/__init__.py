"""Sockets: how connections are made, and the streams over them."""
