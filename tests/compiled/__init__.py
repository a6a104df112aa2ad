"""The compiled twin of the hot path, held against the Python methods that it stands for."""
