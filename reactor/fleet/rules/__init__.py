"""What a fleet decides, without I/O and without a clock: shares, leases, epochs, what waits."""
