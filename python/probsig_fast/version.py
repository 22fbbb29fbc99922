"""The installed version, from the package's own metadata."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("probsig-fast")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
