"""Reads files of torch.save without running anything in them.

Lightning's checkpoints pickle more than tensors: the run's settings (omegaconf), tokenizers, callbacks. torch's
own restricted unpickler reads them, and every class or function that it does not allow, whatever its name, is
replaced by one inert class that keeps the state it is given. Nothing of the file is imported or called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from imdm.errors import UserError


class Inert:
    """Stands for an object of any foreign class."""

    def __new__(cls, *_: Any) -> Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any):
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_torch_file(path: Path, origin: str) -> Any:
    """What torch.save wrote, tensors mapped from the file. Raises UserError: it is damaged, or holds what a checkpoint has no use for."""
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(Inert, name) for name in foreign]):
            return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # a damaged or hostile pickle can make the unpickler raise anything
        said = " ".join(str(error).split())[:160]
        raise UserError(f"{origin} can't be read safely ({said}); download it again, or convert it to safetensors.") from None


def plain(value: Any) -> Any:
    """The dicts and scalars inside omegaconf's objects; anything else inert becomes None."""
    if isinstance(value, Inert):
        state = value.state if isinstance(value.state, dict) else {}
        return plain(state.get("_content", state.get("_val")))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value if isinstance(value, bool | int | float | str) else None
