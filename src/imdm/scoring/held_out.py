"""A judge's own perplexity on held-out text, which stands beside every table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from imdm.data.blocks import Dataset, block_order
from imdm.scoring.bootstrap import ratio_interval
from imdm.scoring.gen_ppl import gen_ppl, judge_texts
from imdm.scoring.texts import judge_ids

if TYPE_CHECKING:
    from imdm.scoring.judge import Judge

_TOKENS = 2**20  # held-out tokens that are scored; a perplexity needs no more
_RESAMPLES = 1000


def held_out(judge: Judge, data: Dataset, retokenize: bool, batch_size: int, seed: int) -> dict[str, float]:
    """Perplexity of blocks of the valid split that `seed` chooses, with its 95% interval: entries of judge.json."""
    blocks = data.split("valid")
    chosen = blocks[block_order(len(blocks), seed, 0)[: max(1, _TOKENS // data.seq_len)]]
    judged = judge_texts(judge, judge_ids(chosen, data.tokenizer(), judge, retokenize), batch_size)
    low, high = ratio_interval(judged.nll, judged.tokens, _RESAMPLES, seed)
    return {"held_out_perplexity": gen_ppl(judged.nll, judged.tokens), "low": math.exp(low), "high": math.exp(high)}
