"""The package's exceptions and warnings.

Each is also one of Python's own (`ValueError`, `OverflowError`, ...), so that callers may catch
either. A message names the argument, what was expected and what came.
"""

from __future__ import annotations


class ProbsigError(Exception):
    """Base of every error that this package raises on purpose."""


class ArgumentError(ProbsigError, ValueError):
    """An argument has a value that cannot be used."""


class ArgumentTypeError(ProbsigError, TypeError):
    """An argument has a type that cannot be used (float tokens, float weights, ...)."""


class SourceError(ProbsigError, ValueError):
    """A token source is unreadable: truncated, of another width, of too many dimensions."""


class SourceNotFoundError(ProbsigError, FileNotFoundError):
    """A path names no file, or a glob matches none."""


class TokenRangeError(ProbsigError, ValueError):
    """A token id is negative or not below `vocab_size`."""

    def __init__(self, token_id: int, position: int, where: str, vocab_size: int) -> None:
        self.token_id = token_id
        self.position = position
        self.where = where
        self.vocab_size = vocab_size
        super().__init__(
            f"tokens: expected ids from 0 to vocab_size - 1 = {vocab_size - 1}, "
            f"got id {token_id} at position {position} of {where}"
        )

    def __reduce__(self) -> tuple[type, tuple[int, int, str, int]]:
        return type(self), (self.token_id, self.position, self.where, self.vocab_size)


class CountOverflowError(ProbsigError, OverflowError):
    """A sum of counts passed 2^63 - 1."""


class MemoryLimitError(MemoryError, ProbsigError):  # in this order it survives being pickled
    """More memory is needed than there is, or than `memory` allows."""


class DeviceError(ProbsigError, RuntimeError):
    """A CUDA device or its driver refused or failed; the message says what was tried."""


class ClusterError(ProbsigError, RuntimeError):
    """A Dask cluster cannot run the count: lost, without this package, or of another version."""


class DeviceMemoryError(MemoryLimitError):
    """More memory is needed than a CUDA device has, or than PROBSIG_DEVICE_MEMORY allows."""


class CountsFileError(ProbsigError, ValueError):
    """A counts file is damaged, truncated, or no counts file."""


class WorkDirError(ArgumentError):
    """A `work_dir` holds something else than the count that is to go on in it, is damaged, or is
    in use."""


class MergeError(ProbsigError, ValueError):
    """Counts of different relation, vocabulary, boundaries or scale cannot be added."""


class BackendError(ProbsigError, RuntimeError):
    """The backend asked for is unknown, or this machine or installation lacks it."""


class BenchmarkError(ProbsigError, RuntimeError):
    """Contenders of a benchmark do not agree, so that nothing is timed."""


class MissingExtraError(ProbsigError, ImportError):
    """An optional dependency is needed; the message names the extra that brings it."""


class EosNeverOccursWarning(UserWarning):
    """`eos` was given, but no token of the source has that id."""


class SubsetNeverOccursWarning(UserWarning):
    """A subset was asked for, but no document of the files is of it."""


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    return MissingExtraError(
        f"{purpose} needs {package}, which is not installed: pip install 'probsig-fast[{extra}]'"
    )
