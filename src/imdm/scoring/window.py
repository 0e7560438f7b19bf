"""Which part of a sample is scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Window:
    """The leading `end` tokens of each sample; of these the first `context` are read by the judge, but not scored.

    The authors' code scores the first 100 tokens of a completion, the prompt of 50 among them (context 0). The
    paper's words are that 100 generated tokens are scored, which is end 150 and context 50.
    """

    end: int
    context: int = 0

    def read(self, samples: np.ndarray) -> np.ndarray:
        """What the judge reads of token ids [n, L]: [n, end]."""
        return samples[:, : self.end]

    def scored(self, samples: np.ndarray) -> np.ndarray:
        """What entropy and diversity are of: [n, end - context]."""
        return samples[:, self.context : self.end]


def window_of(conditional: dict[str, Any] | None, length: int) -> Window:
    """The window of a samples file.

    Args:
        conditional: its settings of params.Conditional, None for unconditional samples.
        length: L of unconditional samples, which are scored as a whole.
    """
    if conditional is None:
        return Window(length)
    return Window(conditional["scored_tokens"], conditional["prompt_tokens"] if conditional["scored"] == "generated" else 0)
