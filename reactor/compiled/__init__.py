"""The compiled twins of the methods that every message passes, and the list of these methods."""
