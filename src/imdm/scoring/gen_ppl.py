"""Gen-PPL: the perplexity of samples under the judge.

What is counted, as in MDLM and Duo: every target that is not the end-of-text token, and the first end-of-text of
the row. The token at position 0 is context only. A packed sample starts with BOS, which is the end-of-text token, so of
those exactly the other tokens count; text after an inner end-of-text counts too. Padding never counts (the predecessors
count one padding token of a row without BOS if a longer row happens to share its batch).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imdm.errors import UserError
from imdm.scoring.judge import Judge

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LOGITS = 2**28  # most logits held at once, 1 GiB


@dataclass(frozen=True)
class Scores:
    """What the judge says of each row.

    Attributes:
        nll: summed over the counted tokens, nats, float64 [n].
        tokens: how many were counted, int64 [n].
        features: the judge's last hidden state at the row's last token, float32 [n, d].
    """

    nll: np.ndarray
    tokens: np.ndarray
    features: np.ndarray

    def rates(self) -> np.ndarray:
        """Mean NLL of each row that has a counted token, nats a token."""
        some = self.tokens > 0
        return self.nll[some] / self.tokens[some]

    def perplexity(self) -> float:
        """Corpus level: exp(sum of NLL / sum of tokens), as MDLM and Duo report it.

        Raises:
            UserError: nothing was counted.
        """
        self._check()
        return math.exp(self.nll.sum() / self.tokens.sum())

    def mean_perplexity(self) -> float:
        """exp of the mean over rows of their mean NLL, as SDTT and Di4C report it; rows without a counted token are left out."""
        self._check()
        return math.exp(self.rates().mean())

    def _check(self) -> None:
        if not self.tokens.sum():
            raise UserError("no sample has a token besides end-of-text, so Gen-PPL is undefined; train the model longer.")


def counted_targets(ids: Tensor, lengths: Tensor, eos_id: int) -> Tensor:
    """Which targets count (module docstring), bool [b, L-1]; entry i is for the token at position i+1.

    Args:
        ids: int64 [b, L], padded on the right with anything.
        lengths: tokens of each row, int64 [b].
    """
    is_eos = ids == eos_id
    inside = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
    first_eos = is_eos & (is_eos.cumsum(1) == 1)
    return ((~is_eos | first_eos) & inside)[:, 1:]


def retokenize(rows: np.ndarray, source: Tokenizer, judge: Judge) -> tuple[list[list[int]], int]:
    """Decode samples, special tokens kept as strings, and encode the text for the judge.

    A row is cut to as many tokens as it had before, or as the judge can read, as in MDLM and Duo.

    Args:
        rows: int [n, L] in the vocabulary of `source`.

    Returns:
        the judge's ids of each row, and how many rows were cut.
    """
    limit = min(rows.shape[1], judge.max_length)
    texts = source.decode_batch(rows.tolist(), skip_special_tokens=False)
    found = [encoding.ids or [judge.eos_id] for encoding in judge.tokenizer.encode_batch(texts)]
    return [ids[:limit] for ids in found], sum(len(ids) > limit for ids in found)


@torch.inference_mode()
def score_rows(judge: Judge, rows: Sequence[Sequence[int]], batch_size: int, done: Callable[[int], object] | None = None) -> Scores:
    """Score rows of the judge's ids; neither their order nor the batch size matters beyond rounding.

    Args:
        rows: n rows of at least one token.
        batch_size: most rows in one pass; fewer where their logits would take more than 1 GiB.
        done: told the number of rows after each pass, for a progress bar.

    Raises:
        UserError: a row is longer than the judge can read.
    """
    width = max(map(len, rows), default=0)
    if width > judge.max_length:
        raise UserError(f"judge {judge.name} reads {judge.max_length} tokens, but a row has {width}; choose a judge with a longer context.")
    model, head = judge.model, judge.model.get_output_embeddings()
    hidden: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))  # what any causal LM projects to logits
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)  # little padding; what needs most memory comes first
    nll, tokens = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
    features: list[np.ndarray] = [np.empty(0)] * len(rows)
    try:
        start = 0
        while start < len(rows):
            longest = len(rows[order[start]])
            size = max(1, min(batch_size, _LOGITS // (longest * model.config.vocab_size)))
            index = order[start : start + size]
            lengths = torch.tensor([len(rows[i]) for i in index], device=model.device)
            ids = torch.tensor([[*rows[i], *[judge.eos_id] * (longest - len(rows[i]))] for i in index], device=model.device)
            logits = model(input_ids=ids, use_cache=False).logits  # causal, padded on the right: no attention mask needed
            last = hidden.pop()[torch.arange(len(index)), lengths - 1]
            counted = counted_targets(ids, lengths, judge.eos_id)
            each = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none").view_as(counted)
            nll[index] = each.double().where(counted, 0.0).sum(1).cpu()
            tokens[index] = counted.sum(1).cpu()
            for i, feature in zip(index, last.float().cpu().numpy(), strict=True):
                features[i] = feature
            start += len(index)
            if done is not None:
                done(len(index))
    finally:
        hook.remove()
    return Scores(nll, tokens, np.stack(features))
