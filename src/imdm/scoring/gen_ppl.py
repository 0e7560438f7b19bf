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
    from imdm.scoring.judge import Judge
    from imdm.scoring.texts import Texts

_LOGITS = 2**28  # most logits held at once, 1 GiB


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


def counted(ids: Tensor, lengths: Tensor, context: Tensor, end_id: int) -> Tensor:
    """Which targets count: every token after the first that isn't end-of-text, and the first end-of-text.

    Text after an end-of-text counts (packed samples hold several documents), the later end-of-texts don't. A packed
    sample starts with one, which is context only: then no other counts (the rule of MDLM, Duo and IMDM).

    Args:
        ids: [n, T], padded on the right.
        lengths: int64 [n].
        context: leading tokens that are context only, int64 [n].

    Returns:
        bool [n, T - 1], for the targets ids[:, 1:].
    """
    ends = ids == end_id
    first_end = ends & (ends.cumsum(1) == 1)
    position = torch.arange(ids.shape[1], device=ids.device)
    inside = (position < lengths[:, None]) & (position >= context[:, None])
    return ((~ends | first_end) & inside)[:, 1:]


@torch.inference_mode()
def judge_texts(judge: Judge, texts: Texts, batch_size: int) -> Judged:
    """Score texts, in batches of similar length; the result does not depend on batching but for rounding.

    Args:
        batch_size: most texts in one pass; fewer where their logits would take more than 1 GiB.

    Raises:
        UserError: a text is empty.
    """
    device, rows = judge.model.device, texts.ids
    lengths = np.array([len(row) for row in rows])
    if lengths.min() == 0:
        raise UserError(f"sample {int(lengths.argmin())} is empty after decoding; score it with scoring.retokenize: false.")
    order = np.argsort(-lengths, kind="stable")  # what needs most memory comes first
    nll, tokens, features = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64), [None] * len(rows)
    hidden: list[Tensor] = []  # what a causal LM projects to logits; output_hidden_states would keep every layer's
    hook = judge.model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
    start = 0
    while start < len(rows):
        size = max(1, min(batch_size, _LOGITS // (int(lengths[order[start]]) * judge.model.config.vocab_size)))
        chosen = order[start : start + size]
        start += size
        sizes, context = (torch.from_numpy(values[chosen]).to(device) for values in (lengths, texts.context))
        ids = torch.full((len(chosen), int(sizes.max())), judge.end_id, device=device)
        for i, row in enumerate(chosen):
            ids[i, : lengths[row]] = torch.tensor(rows[row], device=device)
        # Padding is on the right of a causal model: no mask is needed, and it sees what it would see alone.
        logits = judge.model(ids, use_cache=False).logits
        loss = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none")
        counts = counted(ids, sizes, context, judge.end_id)
        nll[chosen] = (loss.double() * counts).sum(1).cpu().numpy()
        tokens[chosen] = counts.sum(1).cpu().numpy()
        last = hidden.pop()[torch.arange(len(chosen), device=device), sizes - 1].float().cpu().numpy()
        for i, row in enumerate(chosen):
            features[row] = last[i]
    hook.remove()
    return Judged(nll, tokens, np.stack(features))


def gen_ppl(nll: np.ndarray, tokens: np.ndarray) -> float:
    """Corpus level, as MDLM, Duo and the paper: exp(sum of NLL / sum of tokens)."""
    return float(np.exp(nll.sum() / tokens.sum()))


def gen_ppl_mean(nll: np.ndarray, tokens: np.ndarray) -> float:
    """exp of the mean over samples of their mean NLL, as SDTT and Di4C."""
    kept = tokens > 0
    return float(np.exp((nll[kept] / tokens[kept]).mean()))
