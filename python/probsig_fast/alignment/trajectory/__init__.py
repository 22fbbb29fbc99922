"""How the geometry of an embedding comes to follow signatures over a training."""

from .checkpoints import Checkpoint, find_checkpoints
from .row import TrajectoryRow
from .table import Trajectory
from .track import trajectory

__all__ = ["Checkpoint", "Trajectory", "TrajectoryRow", "find_checkpoints", "trajectory"]
