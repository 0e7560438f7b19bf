"""Generative perplexity: what a judge thinks of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imdm.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

    from imdm.scoring.judge import Judge


@dataclass
class Judged:
    """A judge's verdict on n texts.

    Attributes:
        nll: summed negative log-likelihood in nats, float64 [n].
        tokens: counted judge tokens, int64 [n].
        features: last hidden state at each text's last token, float32 [n, d], MAUVE's features.
    """

    nll: np.ndarray
    tokens: np.ndarray
    features: np.ndarray


def judge_ids(samples: np.ndarray, tokenizer: Tokenizer, judge: Judge, retokenize: bool) -> list[list[int]]:
    """Token ids for the judge, cut to the judge's longest input.

    Args:
        samples: token ids [n, L] of `tokenizer`.
        retokenize: decode and encode with the judge's tokenizer, as MDLM and Duo do (special tokens stay as
            strings); otherwise the ids are the judge's own.

    Raises:
        UserError: ids are taken as they are, but the judge's vocabulary is smaller.
    """
    if retokenize:
        ids = judge.encode(tokenizer.decode_batch(samples.tolist(), skip_special_tokens=False))
    else:
        ids = samples.tolist()
        if samples.max() >= judge.model.config.vocab_size:
            raise UserError("scoring.retokenize is false, but samples hold ids that the judge does not have; set it to true.")
    return [row[: judge.max_length] for row in ids]


def counted(ids: Tensor, lengths: Tensor, end_id: int) -> Tensor:
    """Which targets count: every token after the first that isn't end-of-text, and the first end-of-text.

    Text after an end-of-text counts (packed samples hold several documents), the later end-of-texts don't. A packed
    sample starts with one, which is context only: then no other counts (the rule of MDLM and Duo).

    Args:
        ids: [n, T], padded on the right.
        lengths: int64 [n].

    Returns:
        bool [n, T - 1], for the targets ids[:, 1:].
    """
    ends = ids == end_id
    first_end = ends & (ends.cumsum(1) == 1)
    inside = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
    return ((~ends | first_end) & inside)[:, 1:]


@torch.inference_mode()
def judge_texts(judge: Judge, rows: Sequence[Sequence[int]], batch_size: int) -> Judged:
    """Score token rows, in batches of similar length; the result does not depend on batching but for rounding.

    Raises:
        UserError: a row is empty.
    """
    device = judge.model.device
    lengths = np.array([len(row) for row in rows])
    if lengths.min() == 0:
        raise UserError(f"sample {int(lengths.argmin())} is empty after decoding; score it with scoring.retokenize: false.")
    order = np.argsort(lengths, kind="stable")
    nll, tokens, features = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64), [None] * len(rows)
    for start in range(0, len(rows), batch_size):
        chosen = order[start : start + batch_size]
        sizes = torch.from_numpy(lengths[chosen]).to(device)
        ids = torch.full((len(chosen), int(sizes.max())), judge.end_id, device=device)
        for i, row in enumerate(chosen):
            ids[i, : lengths[row]] = torch.tensor(rows[row], device=device)
        # Padding is on the right of a causal model: no mask is needed, and it sees what it would see alone.
        out = judge.model(ids, output_hidden_states=True)
        loss = F.cross_entropy(out.logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none")
        counts = counted(ids, sizes, judge.end_id)
        nll[chosen] = (loss.double() * counts).sum(1).cpu().numpy()
        tokens[chosen] = counts.sum(1).cpu().numpy()
        last = out.hidden_states[-1][torch.arange(len(chosen), device=device), sizes - 1].float().cpu().numpy()
        for i, row in enumerate(chosen):
            features[row] = last[i]
    return Judged(nll, tokens, np.stack(features))


def gen_ppl(nll: np.ndarray, tokens: np.ndarray) -> float:
    """Corpus level, as MDLM, Duo and the paper: exp(sum of NLL / sum of tokens)."""
    return float(np.exp(nll.sum() / tokens.sum()))


def gen_ppl_mean(nll: np.ndarray, tokens: np.ndarray) -> float:
    """exp of the mean over samples of their mean NLL, as SDTT and Di4C."""
    kept = tokens > 0
    return float(np.exp((nll[kept] / tokens[kept]).mean()))
