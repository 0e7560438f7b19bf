"""The paper's code path on pieces of its corpora: parameter files for WebText with GPT-2's vocabulary and LM1B with BERT's.

By hand, at sizes where something is learnt (about 20 minutes on two cores): `python tests/real_text.py FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from checkout import ROOT, clone, run
from fixtures import HELD_OUT, TRAINING, fixture
from imdm.params import load_params

EXHIBITS = ["table04", "table07", "figure04", "figure12"]
SMALL = {"hidden_size": 64, "blocks": 2, "heads": 2}
TRAINED = {"batch_size": 8, "warmup": 20, "ema": 0.98}
LARGER = {
    "noise_dim": 128,
    "network": SMALL | {"cond_dim": 32, "learned_positions": False, "dropout": 0.1},
    "pretrain": TRAINED | {"steps": 300, "warm_start": 100, "eval_batches": 16, "lr": 3.0e-3},
    "judge": TRAINED | SMALL | {"steps": 300, "lr": 3.0e-3},
    "sdtt": TRAINED | {"steps": 40, "lr": 1.0e-3, "base_steps": 32},
    "couplings": {"pairs": 96, "steps": 64, "batch_size": 32},
    "redi": TRAINED | {"steps": 120, "lr": 1.0e-3},
    "sampling": {"steps": [2, 4, 8], "count": 64, "batch_size": 32},
    "conditional": {"prompts": 32, "completions": 5, "prompt_tokens": 16, "scored_tokens": 48},
    "scoring": {"bootstrap": 200, "mauve_seeds": 5},
    "corpus": {"seq_len": 64},
}


def parameters(run_name: str, *changes: dict[str, Any]) -> dict[str, Any]:
    """The micro parameters with the paper's packing, vocabularies, network options and scoring, and further changes."""
    tree = load_params(ROOT / "tests/micro.yaml").model_dump(mode="json")
    paper = {
        "run": run_name,
        "corpus": {"packing": "per_batch", "valid_documents": 200, "test_fraction": 0.0},
        "network": {"learned_positions": False},
        "scoring": {"reference": "valid", "retokenize": True},
        "paper": {"exhibits": EXHIBITS, "di4c": None},
    }
    for change in (paper, *changes):
        for key, value in change.items():
            tree[key] = tree[key] | value if isinstance(value, dict) else value
    return tree


def webtext(folder: Path, *changes: dict[str, Any]) -> dict[str, Any]:
    """WebText as OpenWebText: GPT-2's vocabulary, IMDM alone as in presets/owt.yaml, and a judge trained here."""
    text = fixture("webtext/webtext.train.head3.8MB.jsonl").read_text(encoding="utf-8")
    (folder / "pages.jsonl").write_text(text[: text.rindex("\n") + 1], encoding="utf-8")  # the last line is cut
    corpus = {
        "name": "openwebtext",
        "path": str(folder / "pages.jsonl"),
        "tokenizer": str(fixture("tokenizers/gpt2")),
        "judge_fraction": 0.3,
    }
    return parameters("webtext", {"corpus": corpus | {"judge_fraction": 0.3}, "compare": {"variants": ["imdm"]}}, *changes)


def lm1b(folder: Path, judge: Path, *changes: dict[str, Any], held_out: int = 6000) -> dict[str, Any]:
    """LM1B shards with BERT's vocabulary, the authors' network options, and a judge of another vocabulary, as GPT-2 Large is.

    Args:
        held_out: sentences of the held-out shard, all of which the judge reads.
    """
    pieces = {f"{TRAINING}00001-of-00003": "1b_benchmark.dev.tokens", f"{TRAINING}00002-of-00003": "1b_benchmark.test.tokens"}
    pieces |= {f"{HELD_OUT}00000-of-00001": "news.en.heldout-00000-of-00050"}
    for name, piece in pieces.items():
        (folder / "lm1b" / name).parent.mkdir(parents=True, exist_ok=True)
        lines = fixture(f"lm1b/{piece}").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / "lm1b" / name).write_text("".join(lines[:held_out] if name.startswith(HELD_OUT) else lines), encoding="utf-8")
    tokenizer = str(fixture("tokenizers/bert_base_uncased"))
    return parameters(
        "lm1b",
        {"corpus": {"name": "lm1b", "path": str(folder / "lm1b"), "tokenizer": tokenizer, "judge_fraction": 0.0}},
        {"network": {"softcap": 50.0, "init_std": 0.02}, "judge": {"stage": "load_judge", "model": str(judge)}},
        *changes,
    )


def build(folder: Path, tree: dict[str, Any], *targets: str) -> Path:
    """Run Snakemake on a clone with these parameters; the run's results."""
    folder.mkdir()
    clone(folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    run(folder, "snakemake", "--profile", "workflow/profiles/default", "--cores", "2", *targets)
    return folder / "results" / tree["run"]


if __name__ == "__main__":
    place = Path(sys.argv[1]).resolve()
    place.mkdir(parents=True)
    pages = build(place / "webtext", webtext(place, LARGER), "all", "paper")
    print(pages / "paper.html")
    print(build(place / "sentences", lm1b(place, pages / "judge", LARGER), "all", "paper") / "paper.html")
