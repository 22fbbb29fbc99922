"""`probsig demo`: everything from text to pictures on the Python standard library's own source."""

from .run import run_demo

__all__ = ["run_demo"]
