"""Which file of a checkpoint's folder holds the model."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import ArgumentError, SourceNotFoundError

#: Kinds of files, the one that is taken first where there are several.
_KINDS = (
    (".safetensors", ".safetensors.index.json"),
    (".bin", ".bin.index.json", ".pt", ".pth", ".ckpt"),
    (".gguf",),
    (".npy",),
)
SUFFIXES = tuple(suffix for kind in _KINDS for suffix in kind)
#: What transformers writes, and looks for.
_USUAL = re.compile(r"(model\.safetensors|pytorch_model\.bin)(\.index\.json)?")
#: Other things that training leaves beside the model.
_OTHER = re.compile(
    r"(training_args|optimizer|scheduler|scaler|rng_state|random_states).*|.*optim_states.*|adapter_model.*"
)
_PART = re.compile(r"-\d+-of-\d+$")


def is_part(path: Path) -> bool:
    """Whether a file is one of several by its name: model-00001-of-00003.safetensors."""
    return _PART.search(path.stem) is not None


def model_file(folder: Path) -> Path:
    """The file, or the index, that holds the model.

    Safetensors go before what `torch.save` wrote, as the same model is often there as both.

    Raises:
        SourceNotFoundError: there is none.
        ArgumentError: several of a kind, none of which has the usual name.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for suffixes in _KINDS:
        found = [path for path in files if _of_model(path, suffixes)]
        if any(path.name.endswith(".index.json") for path in found):
            found = [path for path in found if not is_part(path)]
        if len(found) > 1:
            found = [path for path in found if _USUAL.fullmatch(path.name)] or found
        if len(found) > 1:
            names = ", ".join(repr(path.name) for path in found)
            raise ArgumentError(
                f"source: expected one model in the folder {str(folder)!r}, got {names}: give one"
            )
        if found:
            return found[0]
    raise SourceNotFoundError(
        f"source: expected a file ending in {', '.join(SUFFIXES)} in the folder "
        f"{str(folder)!r}, got none"
    )


def could_be_model(path: Path) -> bool:
    """Whether a file has the name of a model's."""
    return path.is_file() and _of_model(path, SUFFIXES)


def _of_model(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.endswith(suffixes) and not _OTHER.fullmatch(path.name)
