"""What a cluster's own failures are to the caller."""

from __future__ import annotations

from ..errors import ClusterError, SourceNotFoundError

#: Dask's errors where the scheduler is gone or has dropped what was asked of it.
_LOST = {"CancelledError", "FutureCancelledError", "FuturesCancelledError", "CommClosedError"}


def told(error: BaseException) -> BaseException:
    """The error that the caller is to see for one that came from the cluster."""
    kind = type(error).__name__
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("probsig_fast"):
        return ClusterError(f"client: expected probsig_fast on all machines, got {error}")
    if isinstance(error, RuntimeError) and "deserializ" in str(error):
        cause = error.__cause__ or error
        return ClusterError(
            "client: expected a scheduler and workers with the same versions of Python, Dask and "
            f"probsig_fast as here, got {type(cause).__name__}: {cause}"
        )
    if kind == "KilledWorker":
        return ClusterError(
            f"client: expected workers that live, got several that died at one task, for lack of "
            f"memory as a rule; give fewer chunk_tokens=, or less memory= ({error})"
        )
    if kind in _LOST:
        return ClusterError(f"client: expected the cluster to stay, got {kind}: {error}")
    return error


def not_found(error: SourceNotFoundError, worker: str) -> SourceNotFoundError:
    return SourceNotFoundError(
        f"{error}, on worker {worker}: files must be at the same path on all machines"
    )
