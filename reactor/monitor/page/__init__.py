"""The page: what a reactor does, live in a browser."""

from .serving import Monitor, serve

__all__ = ["Monitor", "serve"]
