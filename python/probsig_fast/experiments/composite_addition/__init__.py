"""Composite addition: small models trained on labelled tasks, their geometry beside the counts.

    >>> from probsig_fast.experiments.composite_addition import custom, train
    >>> result = train(custom(lambda z, a1, a2: z + a1 * a2, "product"), steps=5, seeds=[0])
    >>> result.task.n_labels
    91

(arXiv 2509.20124; THEORY, section 3)
"""

from .models import MODELS
from .reproduction import Check, Reproduction, Result, reproduce
from .results import Training
from .tasks import TASKS, Task, add, custom, make_task, modular, permuted, random_table, xor
from .training import Setup, task_counts, train

__all__ = [
    "MODELS",
    "TASKS",
    "Check",
    "Reproduction",
    "Result",
    "Setup",
    "Task",
    "Training",
    "add",
    "custom",
    "make_task",
    "modular",
    "permuted",
    "random_table",
    "reproduce",
    "task_counts",
    "train",
    "xor",
]
