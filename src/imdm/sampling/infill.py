"""A user's own text as what the sampler is given: a beginning, or text with gaps."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from imdm.data.blocks import Dataset
from imdm.errors import UserError

_GAP = re.compile(r"(_{3,})")


@dataclass(frozen=True)
class TextBlock:
    """A block around a text, as those of the training: BOS, the text, room for more, EOS.

    Attributes:
        tokens: int64 [L], the mask's id where the model writes.
        given: bool [L], where it doesn't.
        shown: positions of what the user asked for; behind a text with gaps the model writes too, but nobody asked.
    """

    tokens: Tensor
    given: Tensor
    shown: slice

    def visible(self, count: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """`visible` of the sampler for `count` rows; what the model writes is zero, so that nothing can depend on it."""
        rows = (self.given, self.tokens * self.given)
        return tuple(row.to(device).expand(count, -1) for row in rows)


def text_block(data: Dataset, text: str, gaps: bool) -> TextBlock:
    """Put a text at the beginning of a block.

    Args:
        gaps: whether three underscores and more are a gap, of as many tokens as underscores; else they are text.

    Raises:
        UserError: the text is too long for a block.
    """
    tokenizer, room = data.tokenizer(), data.seq_len - 2
    parts = _GAP.split(text) if gaps else [text]
    coded = [
        [data.mask_id] * len(part) if number % 2 else tokenizer.encode(part, add_special_tokens=False).ids
        for number, part in enumerate(parts)
    ]
    ids = [token for part in coded for token in part]
    if len(ids) > room:
        raise UserError(f"the text has {len(ids)} tokens, gaps included, but the model's blocks have room for {room}; shorten it.")
    tokens = torch.tensor([data.bos_id, *ids, *[data.mask_id] * (room - len(ids)), data.eos_id])
    return TextBlock(tokens, tokens != data.mask_id, slice(1, 1 + (len(ids) if gaps else room)))
