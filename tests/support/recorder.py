"""A protocol object that writes down what happens to it: that of the test kit."""

from __future__ import annotations

from reactor.testing import Recorder

__all__ = ["Recorder"]
