"""Controls: texts that no language model wrote, scored like a model's samples. A metric that prefers one to a good model is fooled by it.

All are blocks as the corpus is packed: BOS, L - 2 tokens, EOS.
"""

from __future__ import annotations

import numpy as np

from imdm.data.blocks import Dataset, block_order, token_counts
from imdm.scoring.diversity import entropy

HELD_OUT, SHUFFLED, NGRAM, PERIODIC = "held-out", "shuffled", "5-gram", "periodic"
ORDER = 5
_TRAIN_TOKENS = 2**22  # of the training text, which the n-gram model reads
Texts = dict[str, np.ndarray]


def reference_blocks(data: Dataset, split: str, count: int, seed: int) -> np.ndarray:
    """Real text that samples are compared with: up to `count` blocks [n, L] of a split, in the order that `seed` gives."""
    blocks = data.split(split)
    return blocks[block_order(len(blocks), seed, 0)[:count]]


def make_controls(data: Dataset, split: str, count: int, seed: int) -> Texts:
    """Every control, int32 [n, L], n at most `count`.

    Args:
        split: that of the reference, test or valid. Held-out text is what the reference leaves of it, then of the other one.
        count: of the samples and of the reference.
        seed: of the reference.
    """
    draw = np.random.default_rng(seed)
    held_out = [data.split(split)[block_order(data.splits[split]["blocks"], seed, 0)[count:]]]
    other = "valid" if split == "test" else "test"
    if data.splits[other]["blocks"]:
        held_out.append(data.split(other)[block_order(data.splits[other]["blocks"], seed, 0)])
    real = np.concatenate(held_out)[:count]
    controls = {HELD_OUT: real} if len(real) > 1 else {}
    real = real if len(real) > 1 else reference_blocks(data, split, count, seed)
    shuffled = np.array(real)
    shuffled[:, 1:-1] = draw.permuted(shuffled[:, 1:-1], axis=1)
    blocks = data.split("train")
    train = blocks[block_order(len(blocks), seed, 0)[: max(1, _TRAIN_TOKENS // data.seq_len)]]
    controls |= {SHUFFLED: shuffled, NGRAM: ngram_text(train, count, ORDER, draw)}
    counts = token_counts(train, data.vocab_size)
    counts[[data.bos_id, data.eos_id, data.mask_id]] = 0
    period = min(round(float(np.exp(entropy(real).mean()))), int((counts > 0).sum()))
    controls[PERIODIC] = np.tile(periodic_text(counts, period, real[0]), (count, 1))
    return {name: texts.astype(np.int32) for name, texts in controls.items()}


def periodic_text(counts: np.ndarray, period: int, block: np.ndarray) -> np.ndarray:
    """The `period` most frequent tokens by counts [V], in their order again and again (Franca and Tong, arXiv 2606.08417).

    All of a block [L] but its first and last token, which are kept.
    """
    text = np.array(block)
    text[1:-1] = np.argsort(-counts, kind="stable")[np.arange(len(text) - 2) % period]
    return text


def ngram_text(train: np.ndarray, count: int, order: int, draw: np.random.Generator) -> np.ndarray:
    """Texts [count, L] of the n-gram model of training blocks [n, L] by maximum likelihood, the last token as in these.

    A text's state is a place in the training text where its last order - 1 tokens stand. To draw the next token is to go to one of all
    such places, each as likely, and to take what follows there. Where none has a successor, fewer tokens are looked at.
    """
    tokens, length = train.astype(np.int64), train.shape[1]
    size, followed = int(tokens.max()) + 1, np.ones(tokens.shape, bool)
    followed[:, -2:] = False  # a block's last token ends it anywhere in a document
    places, ids, levels = np.flatnonzero(followed), np.zeros(tokens.shape, np.int64), []
    for k in range(order):
        if k:  # the last k tokens, or those since the block's start, numbered from 1
            before = np.concatenate([np.zeros((len(ids), 1), np.int64), ids[:, :-1]], axis=1)
            ids = np.unique(before * size + tokens, return_inverse=True)[1].reshape(tokens.shape) + 1
        groups = ids.ravel()[places]
        sizes = np.bincount(groups, minlength=ids.max() + 1)
        levels.append((ids.ravel(), places[np.argsort(groups, kind="stable")], np.cumsum(sizes) - sizes, sizes))
    texts, flat = np.empty((count, length), train.dtype), tokens.ravel()
    place = draw.integers(len(tokens), size=count) * length
    texts[:, 0] = flat[place]
    for column in range(1, length):
        chosen, uniform = np.full(count, -1), draw.random(count)
        for numbers, ordered, starts, sizes in reversed(levels):
            group = numbers[place]
            fits = np.flatnonzero((chosen < 0) & (sizes[group] > 0))
            chosen[fits] = ordered[starts[group[fits]] + (uniform[fits] * sizes[group[fits]]).astype(np.int64)]
        place = chosen + 1
        texts[:, column] = flat[place]
    texts[:, -1] = train[0, -1]
    return texts
