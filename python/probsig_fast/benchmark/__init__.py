"""`probsig bench`: our backends, what people count with today, and the machine's own limits, on the
same tokens; verified equal first, timed in turn."""

from .run import Settings, benchmark

__all__ = ["Settings", "benchmark"]
