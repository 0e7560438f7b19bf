"""The values of each real text, beside reference.json; reading them needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from imdm.files import read_tensors, require_array
from imdm.stage.artifact import verify

TENSORS = "reference.safetensors"


class Real(NamedTuple):
    """Real text that samples are compared with.

    Attributes:
        features: the judge's last hidden states, float32 [n, d].
        ids: the scored token ids, int32 [n, L].
    """

    features: np.ndarray
    ids: np.ndarray


_SHAPES = {"features": ("float32", (None, None)), "ids": ("int32", (None, None))}


def read_tensor(reference: Path, name: str) -> np.ndarray:
    """Of each text: unconditional.entropy [n] in nats, conditional.features [n, d], conditional.ids [n, L], and so on.

    Raises:
        UserError: the file beside the reference.json is missing, truncated, edited or foreign.
    """
    path, again = reference.with_name(TENSORS), "run stage reference again"
    verify(path)
    tensors, _ = read_tensors(path, again)
    kind, shape = _SHAPES.get(name.partition(".")[2], ("float64", (None,)))
    return require_array(path, tensors, name, kind, shape, remedy=again)
