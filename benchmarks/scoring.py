"""Gen-PPL of samples at several step counts beside the predecessors' path: a random GPT-2, in turn, CPU seconds of one thread,
or seconds of a GPU.

Theirs loads the judge for each step count. The texts' lengths vary by a fifth, as where BERT's tokens are read by GPT-2.

Example: python -m benchmarks.scoring
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inputs import device
from benchmarks.peers_scoring import nll_and_tokens
from benchmarks.trace import clock
from imdm.scoring.gen_ppl import judge_texts

_END = 50_256
# Width, blocks, length, texts a step count.
SCALES = {
    "toy": (16, 2, 16, 4),
    "quick": (256, 4, 128, 16),
    "small": (768, 12, 128, 16),
    "small64": (768, 12, 128, 16),
    "gpu": (768, 12, 1024, 64),
}


def measure(scale: str = "quick", step_counts: int = 4, rounds: int = 3) -> list[dict[str, Any]]:
    """One row: seconds of each side, their ratio peers / ours (median, least, greatest), and the operations of ours.

    Raises:
        RuntimeError: the two Gen-PPLs differ by more than 1e-5.
    """
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    width, blocks, length, count = SCALES[scale]
    now, unit = (clock, "s") if device().type == "cuda" else (time.process_time, "CPU s")
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")  # what is scored is so on both sides
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    sets = [
        [draw.integers(_END, size=size).tolist() for size in draw.integers(length * 4 // 5, length + 1, count)] for _ in range(step_counts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        GPT2LMHeadModel(GPT2Config(n_embd=width, n_layer=blocks, n_head=max(1, width // 64), n_positions=length)).save_pretrained(folder)

        def load() -> Any:
            return GPT2LMHeadModel.from_pretrained(folder).to(device()).eval()

        def ours() -> list[float]:
            judge = SimpleNamespace(model=load(), end_id=_END)
            judged = [judge_texts(judge, rows, 64) for rows in sets]
            return [math.exp(one.nll.sum() / one.tokens.sum()) for one in judged]

        def peers() -> list[float]:
            sums = [nll_and_tokens(load(), rows, length, _END) for rows in sets]
            return [math.exp(nll / tokens) for nll, tokens in sums]

        sides, values, seconds = {"ours": ours, "peers": peers}, {}, {"ours": [], "peers": []}
        with FlopCounterMode(display=False) as counted:
            ours()
        for number in range(-1, rounds):  # round -1 warms up
            for name in list(sides)[:: -1 if number % 2 else 1]:
                start = now()
                values[name] = sides[name]()
                if number >= 0:
                    seconds[name].append(now() - start)
    if not np.allclose(values["ours"], values["peers"], rtol=1e-5):
        raise RuntimeError("the two paths gave different perplexities")
    ratios = [other / own for own, other in zip(seconds["ours"], seconds["peers"])]
    return [
        {
            "name": "scoring",
            "unit": unit,
            "rounds": rounds,
            "ours_s": median(seconds["ours"]),
            "peers_s": median(seconds["peers"]),
            "ratio": median(ratios),
            "low": min(ratios),
            "high": max(ratios),
            "flops": counted.get_total_flops(),
            "tokens": sum(len(row) for rows in sets for row in rows),
        }
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        "python -m benchmarks.scoring", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", choices=SCALES, default="quick")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(json.dumps(measure(args.scale, rounds=args.rounds), indent=1))
