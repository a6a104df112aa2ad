"""Recordings of connections: files for Wireshark, and for a replay."""
