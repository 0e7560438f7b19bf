"""The values of each real text, beside reference.json; reading them needs no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imdm.files import read_tensors, require_array
from imdm.stage.artifact import verify

TENSORS = "reference.safetensors"


def read_tensor(reference: Path, name: str) -> np.ndarray:
    """One value a text: unconditional.entropy [n] in nats, conditional.features [n, d], and so on.

    Args:
        reference: the reference.json.

    Raises:
        UserError: the file beside it is missing, truncated, edited or foreign.
    """
    path, again = reference.with_name(TENSORS), "run stage reference again"
    verify(path)
    tensors, _ = read_tensors(path, again)
    kind, shape = ("float32", (None, None)) if name.endswith(".features") else ("float64", (None,))
    return require_array(path, tensors, name, kind, shape, remedy=again)
