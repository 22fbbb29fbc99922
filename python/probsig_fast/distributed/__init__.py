"""The same counts, made on a Dask cluster: chunk plan -> tasks -> tree of merges -> `Counts`."""

from .count import count

__all__ = ["count"]
