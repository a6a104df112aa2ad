"""Tests of reactor.asyncio; their folder is not called so, for the sake of the standard module."""
