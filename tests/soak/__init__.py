"""``python -m tests.soak``: many TLS connections that are killed all the time, and what they cost.

A server process echoes over TLS and kills a share of its connections every second: by a reset, by
a plain end, or by a close frame. This process holds the connections, which open anew by their
reconnect policy, and sends numbered messages over each.

It fails when a message came twice, out of order or changed, when connections stay away, or when
either process holds more memory at the end than after its first minute.
"""
