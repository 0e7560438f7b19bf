"""Prompts: the first tokens of held-out blocks (paper Sec. 5.3; which blocks, as the authors' code)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imdm.data.blocks import Dataset, block_order
from imdm.errors import UserError
from imdm.params import Conditional


@dataclass(frozen=True)
class Prompts:
    """Blocks whose beginnings are completed.

    Attributes:
        blocks: whole blocks int64 [prompts, L], the text from which the prompts are.
        settings: number of prompts and completions, lengths.
        seed: which blocks.
    """

    blocks: np.ndarray
    settings: Conditional
    seed: int

    @property
    def rows(self) -> int:
        """Completions in all; row r is completion r % completions of prompt r // completions."""
        return len(self.blocks) * self.settings.completions

    def visible(self, first: int, count: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """What the sampler is given for rows first .. first+count-1: mask bool [count, L], tokens int64 [count, L].

        The tokens behind a prompt are zeros, so that no completion can depend on them.
        """
        prompt = np.arange(first, first + count) // self.settings.completions
        given = torch.zeros(count, self.blocks.shape[1], dtype=torch.bool, device=device)
        given[:, : self.settings.prompt_tokens] = True
        return given, torch.from_numpy(self.blocks[prompt]).to(device) * given

    def about(self) -> dict[str, Any]:
        """The settings that samples of these prompts, and the real text beside them, carry along."""
        return self.settings.model_dump() | {"seed": self.seed}


def obstacle(data: Dataset, settings: Conditional) -> str | None:
    """Why `data` has no such prompts, as a sentence for the user; None where it has."""
    blocks = data.splits[settings.split]["blocks"]
    if not settings.prompt_tokens < settings.scored_tokens <= data.seq_len:
        wanted = f"more than conditional.prompt_tokens ({settings.prompt_tokens}) and at most the {data.seq_len} tokens of a block"
        return f"conditional.scored_tokens ({settings.scored_tokens}) must be {wanted} of {data.path}."
    if settings.prompts > blocks:
        return f"conditional.prompts is {settings.prompts}, but {data.path} has {blocks} {settings.split} blocks; lower it."
    return None


def choose_prompts(data: Dataset, settings: Conditional, seed: int) -> Prompts:
    """Prompts from blocks that a permutation by `seed` chooses.

    Raises:
        UserError: the split has too few blocks, or they are shorter than what is scored.
    """
    reason = obstacle(data, settings)
    if reason:
        raise UserError(reason)
    blocks = data.split(settings.split)
    chosen = block_order(len(blocks), seed, 0)[: settings.prompts]
    return Prompts(blocks[chosen].astype(np.int64), settings, seed)
