"""Tokens a second of packing beside the predecessors' path, one process and one thread each, in turn, CPU seconds.

Every round starts from an empty memo; `known` is a second pass over the same text, as of a corpus that is long.

Examples: python -m benchmarks.packing
          python -m benchmarks.packing --tokenizer tokenizers/gpt2 pages.jsonl
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from benchmarks.peers_packing import blocks
from imdm.data import pydocs
from imdm.data.packing import Packer, pack
from imdm.data.tokenizer import as_text, end_and_mask, limit_threads, load_tokenizer, train_bpe
from imdm.stage.processes import worker_processes

_SEQ_LEN, _VOCABULARY = 128, 512


def texts_of(paths: Sequence[str]) -> list[str]:
    """Each line of the files, of .jsonl its `text`; Python's own documentation where there are none."""
    if not paths:
        return list(pydocs.documents())
    lines = [(path, line) for path in paths for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [json.loads(line)["text"] if path.endswith(".jsonl") else line for path, line in lines]


def run_side(side: str, texts: list[str], tokenizer_json: str) -> dict[str, Any]:
    """CPU seconds of one side in this process, tokens in blocks, and the peak MiB that packing added to what was held."""
    limit_threads(1)
    tokenizer = as_text(Tokenizer.from_str(tokenizer_json))
    end_id, _ = end_and_mask(tokenizer)
    tokenizer.encode(texts[0])  # whatever is made at the first use
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:

        def ours(passes: int) -> float:
            packer = Packer(Path(folder) / "ours.bin", _SEQ_LEN, end_id, "per_batch")
            start = time.process_time()
            sum(pack(((text, "train") for _ in range(passes) for text in texts), tokenizer, {"train": packer}))
            return time.process_time() - start

        if side == "ours":
            result = {"seconds": ours(1)}
        elif side == "known":
            once = ours(1)
            result = {"seconds": ours(2) - once}
        else:
            start = time.process_time()
            np.array(blocks(texts, tokenizer, _SEQ_LEN, end_id), "<u2").tofile(Path(folder) / "peers.bin")
            result = {"seconds": time.process_time() - start}
        packed = (Path(folder) / ("peers.bin" if side == "peers" else "ours.bin")).read_bytes()
    result["peak_mib"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return result | {"tokens": len(packed) // 2, "sha256": hashlib.sha256(packed).hexdigest()}


def measure(paths: Sequence[str] = (), vocabulary: str = "trained", rounds: int = 5) -> list[dict[str, Any]]:
    """A row each for a cold memo and for known text: seconds of each round, and the ratio peers / ours (median, least, greatest).

    Args:
        vocabulary: `corpus.tokenizer`.

    Raises:
        RuntimeError: the two paths gave different blocks.
    """
    texts = texts_of(paths)
    tokenizer = train_bpe(texts, _VOCABULARY) if vocabulary == "trained" else load_tokenizer(vocabulary)
    sides: dict[str, list[dict[str, Any]]] = {"ours": [], "known": [], "peers": []}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            with worker_processes(1) as executor:  # a fresh one, with a peak of its own
                sides[name].append(executor.submit(run_side, name, texts, tokenizer.to_str()).result())
    if sides["ours"][0]["sha256"] != sides["peers"][0]["sha256"]:
        raise RuntimeError("the two paths gave different blocks")
    peers, tokens, rows = sides["peers"], sides["peers"][0]["tokens"], []
    for name in ("ours", "known"):
        ratios = [other["seconds"] / own["seconds"] for own, other in zip(sides[name], peers)]
        own_s, peers_s = (median(run["seconds"] for run in runs) for runs in (sides[name], peers))
        rows.append(
            {
                "name": "packing" if name == "ours" else "packing, known text",
                "unit": "CPU s",
                "rounds": rounds,
                "ours_s": own_s,
                "peers_s": peers_s,
                "ratio": median(ratios),
                "low": min(ratios),
                "high": max(ratios),
                "tokens": tokens,
                "tokens_per_s": tokens / own_s,
                "peers_tokens_per_s": tokens / peers_s,
                "peak_mib": max(run["peak_mib"] for run in sides[name]),
                "peers_peak_mib": max(run["peak_mib"] for run in peers),
            }
        )
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        "python -m benchmarks.packing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", help="files of text (default: Python's own documentation)")
    parser.add_argument("--tokenizer", default="trained", help="as corpus.tokenizer")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print(json.dumps(measure(args.paths, args.tokenizer, args.rounds), indent=1))
