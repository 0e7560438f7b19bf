"""What samples are given: the first tokens of held-out blocks (paper Sec. 5.3; which blocks, as the authors' code), or a user's text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imdm.data.blocks import Dataset, block_order
from imdm.errors import UserError
from imdm.params import Conditional

_GAP = re.compile(r"(_{3,})")


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
    """Prompts from blocks that a permutation by `seed` chooses; a UserError where `obstacle` has a reason."""
    reason = obstacle(data, settings)
    if reason:
        raise UserError(reason)
    blocks = data.split(settings.split)
    chosen = block_order(len(blocks), seed, 0)[: settings.prompts]
    return Prompts(blocks[chosen].astype(np.int64), settings, seed)


@dataclass(frozen=True)
class TextBlock:
    """A block around a text, as those of the training: BOS, the text, room for more, EOS.

    Attributes:
        tokens: int64 [L], the mask's id where the model writes.
        given: bool [L], where it doesn't.
        shown: positions of what the user asked for. Of a text with gaps that is no more than the text: behind it the model writes
            too, but nobody asked. Of one without, it is all of the block.
    """

    tokens: Tensor
    given: Tensor
    shown: slice

    def visible(self, count: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """`visible` of the sampler for `count` rows; what the model writes is zero, so that nothing can depend on it."""
        given, tokens = (row.to(device).expand(count, -1) for row in (self.given, self.tokens * self.given))
        return given, tokens


def text_block(data: Dataset, text: str) -> TextBlock:
    """Put a text at the beginning of a block. Three underscores and more are a gap, of as many tokens as underscores.

    Raises:
        UserError: the text is too long for a block.
    """
    tokenizer, room = data.tokenizer(), data.seq_len - 2
    parts = _GAP.split(text)
    coded = [
        [data.mask_id] * len(part) if number % 2 else tokenizer.encode(part, add_special_tokens=False).ids
        for number, part in enumerate(parts)
    ]
    ids = [token for part in coded for token in part]
    if len(ids) > room:
        raise UserError(f"the text has {len(ids)} tokens, gaps included, but the model's blocks have room for {room}; shorten it.")
    tokens = torch.tensor([data.bos_id, *ids, *[data.mask_id] * (room - len(ids)), data.eos_id])
    return TextBlock(tokens, tokens != data.mask_id, slice(1, 1 + (len(ids) if len(parts) > 1 else room)))
