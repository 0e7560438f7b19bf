"""The values of each real text, beside reference.json; reading them needs no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from imdm.errors import UserError
from imdm.stage.artifact import verify

TENSORS = "reference.safetensors"


def read_tensor(reference: Path, name: str) -> np.ndarray:
    """One value a text: unconditional.entropy [n] in nats, conditional.features [n, d], and so on.

    Args:
        reference: the reference.json.

    Raises:
        UserError: the file beside it is missing, truncated, edited or foreign.
    """
    path = reference.with_name(TENSORS)
    verify(path)
    try:
        with safe_open(path, framework="np") as file:
            return file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is truncated or foreign ({error}); run stage reference again.") from None
