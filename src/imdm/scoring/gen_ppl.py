"""Generative perplexity: what a judge thinks of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from imdm.data.tokenizer import END
from imdm.errors import UserError
from imdm.scoring.judge import Judge

_LOGITS = 2**28  # most logits held at once, 1 GiB
# What transformers' clean_up_tokenization replaces, in its order.
_CLEANED: tuple[tuple[str, str], ...] = ((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"))
_CLEANED += tuple((f" {end}", end) for end in ("'m", "'s", "'ve", "'re"))
_ROWS = 64  # whose log-softmax is made at once: GPT-2's stays in a CPU's cache


@dataclass
class Judged:
    """A judge's verdict on n texts.

    Attributes:
        nll: summed negative log-likelihood in nats, float64 [n].
        tokens: counted judge tokens, int64 [n].
        features: last hidden state at each text's last token that MAUVE reads, float32 [n, d].
    """

    nll: np.ndarray
    tokens: np.ndarray
    features: np.ndarray


def scored(samples: np.ndarray, conditional: dict[str, Any] | None) -> np.ndarray:
    """The tokens of samples [n, L] that are scored: all; of completions the first `scored_tokens`, the prompt among them.

    The authors' code scores the first 100 tokens with the prompt of 50; the paper's words are 100 generated tokens.

    Args:
        conditional: the samples' settings of params.Conditional; None for unconditional ones.
    """
    return samples if conditional is None else samples[:, : conditional["scored_tokens"]]


def decode(samples: np.ndarray, tokenizer: Tokenizer, clean_up: bool) -> list[str]:
    """The texts of samples [n, L], special tokens as strings, as transformers decodes them.

    Args:
        clean_up: as its clean_up_tokenization_spaces: `i don ' t .` becomes `i don't.`
    """
    texts = tokenizer.decode_batch(samples.tolist(), skip_special_tokens=False)
    for before, after in _CLEANED if clean_up else ():
        texts = [text.replace(before, after) for text in texts]
    return texts


def judge_ids(
    samples: np.ndarray, tokenizer: Tokenizer, judge: Judge, retokenize: bool, clean_up: bool = False, most: int | None = None
) -> list[list[int]]:
    """Samples in the judge's tokens, cut to the judge's longest input.

    Args:
        samples: token ids [n, L] of `tokenizer`.
        retokenize: `decode`, with `clean_up`, and encode with the judge's tokenizer, as MDLM, Duo and IMDM do; otherwise the ids
            are the judge's own, which `Judge.check_vocabulary` makes sure of.
        most: longest text in judge tokens, where shorter than what the judge reads.
    """
    if retokenize:
        texts = decode(samples, tokenizer, clean_up)
        end = judge.tokenizer.id_to_token(judge.end_id)
        if end and judge.tokenizer.token_to_id(END) is None:  # what begins and ends a text of the corpus must do so for the judge
            texts = [text.replace(END, end) for text in texts]
        ids = [text.ids for text in judge.tokenizer.encode_batch(texts, add_special_tokens=False)]
    else:
        ids = samples.tolist()
    most = min(judge.max_length, most or judge.max_length)
    return [text[:most] for text in ids]


def counted(ids: Tensor, lengths: Tensor, end_id: int) -> Tensor:
    """Which targets count: every token after the first that isn't end-of-text, and the first end-of-text.

    Text after an end-of-text counts (packed samples hold several documents), the later end-of-texts don't. A packed
    sample starts with one, which is never a target: then no other counts (the rule of MDLM, Duo and IMDM).

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
def judge_texts(judge: Judge, texts: list[list[int]], batch_size: int, mauve_tokens: int | None = None) -> Judged:
    """Score texts, in batches of similar length; the result does not depend on batching but for rounding.

    Args:
        texts: the judge's token ids of each.
        batch_size: most texts in one pass; fewer where their logits would take more than 1 GiB.
        mauve_tokens: how many tokens of a text MAUVE reads; None: all.

    Raises:
        UserError: a text is empty, or has no finite likelihood.
    """
    torch.set_float32_matmul_precision("highest")  # no TF32: what is scored in float32 is so on every device
    device, lengths = judge.model.device, np.array([len(text) for text in texts])
    if lengths.min() == 0:
        raise UserError(f"sample {int(lengths.argmin())} is empty after decoding; score it with scoring.retokenize: false.")
    order = np.argsort(-lengths, kind="stable")  # what needs most memory comes first
    nll, tokens = np.zeros(len(texts)), np.zeros(len(texts), dtype=np.int64)
    features, start = [], 0
    while start < len(texts):
        size = max(1, min(batch_size, _LOGITS // (int(lengths[order[start]]) * judge.model.config.vocab_size)))
        chosen = order[start : start + size]
        start += size
        sizes = torch.from_numpy(lengths[chosen]).to(device)
        padded = pad_sequence([torch.tensor(texts[number]) for number in chosen], batch_first=True, padding_value=judge.end_id)
        ids = padded.to(device)
        counts = counted(ids, sizes, judge.end_id)
        loss, last = _forward(judge, ids, counts, sizes.clamp(max=mauve_tokens or ids.shape[1]))
        by_target = torch.zeros(counts.shape, dtype=torch.float64, device=device).masked_scatter(counts, loss.double())
        nll[chosen], tokens[chosen] = by_target.sum(1).cpu().numpy(), counts.sum(1).cpu().numpy()
        features.append(last.float().cpu().numpy())
    if not np.isfinite(nll).all():
        first = int(np.argmin(np.isfinite(nll)))
        raise UserError(f"judge {judge.name} gives text {first} no finite likelihood; use another, or scoring.precision: float32.")
    return Judged(nll, tokens, np.concatenate(features)[order.argsort()])


def _forward(judge: Judge, ids: Tensor, counts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """NLL of the targets that count, float32 [counts.sum()], and the last hidden state at the end of so many tokens of each text [n, d]."""
    last: list[Tensor] = []

    def select(_, inputs: tuple[Tensor]) -> tuple[Tensor]:
        """What reaches the head: only positions whose target counts, so that no other logits are made."""
        last.append(inputs[0][torch.arange(len(ids), device=ids.device), lengths - 1])
        return (inputs[0][:, :-1][counts],)

    hook = judge.model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        # Padding is on the right of a causal model: no mask is needed, and it sees what it would see alone.
        logits = judge.model(ids, use_cache=False).logits
    finally:
        hook.remove()
    parts = zip(logits.split(_ROWS), ids[:, 1:][counts].split(_ROWS), strict=True)
    return torch.cat([F.cross_entropy(part.float(), targets, reduction="none") for part, targets in parts]), last[0]


def gen_ppl(nll: np.ndarray, tokens: np.ndarray) -> float:
    """Corpus level, as MDLM, Duo and the paper: exp(sum of NLL / sum of tokens)."""
    return float(np.exp(nll.sum() / tokens.sum()))


def gen_ppl_mean(nll: np.ndarray, tokens: np.ndarray) -> float:
    """exp of the mean over samples of their mean NLL, as SDTT and Di4C."""
    kept = tokens > 0
    return float(np.exp((nll[kept] / tokens[kept]).mean()))
