"""The command `probsig`: one file a command, and `entry`, which runs them."""

from .entry import main

__all__ = ["main"]
