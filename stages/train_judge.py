"""Train the judge: a small GPT-2 on its own half of the corpus, for runs without GPT-2 Large.

Writes a folder that transformers loads, and judge.json: its perplexity on held-out text, beside every table.

Example: python stages/train_judge.py --data data/pydocs/dataset.json --out results/tiny/judge
"""

import shutil
import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.job import Job, StageParser, run_stage


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")


def run(job: Job) -> None:
    import torch

    from imdm.artifact import write_json
    from imdm.data.blocks import Dataset, unigram_perplexity
    from imdm.diffusion.counter import root_seed
    from imdm.scoring.bootstrap import ratio_interval
    from imdm.scoring.diversity import entropy
    from imdm.scoring.gen_ppl import gen_ppl, judge_ids, judge_texts
    from imdm.scoring.judge import build_judge, load_judge
    from imdm.training.judge import JudgeTraining
    from imdm.training.loop import fit

    params, data = job.params, Dataset.open(job.args.data)
    torch.manual_seed(root_seed(params.seeds.train, "judge"))
    model = build_judge(params.judge, data.vocab_size, data.seq_len, data.eos_id)
    training = JudgeTraining(model, params.judge, params.seeds.train, data.split("judge"))
    fit(job, training, params.judge.batch_size * data.seq_len)
    training.ema.copy_to(model)
    model.save_pretrained(job.dir)
    (job.dir / "generation_config.json").unlink(missing_ok=True)
    shutil.copy(data.path.with_name("tokenizer.json"), job.dir / "tokenizer.json")
    (job.dir / "judge.json").write_text("{}")  # marks the folder as a trained judge

    judge = load_judge(str(job.dir / "model.safetensors"), model.device)
    scoring, tokenizer = params.scoring, data.tokenizer()
    texts = {split: judge_ids(data.split(split), tokenizer, judge, scoring.retokenize) for split in ("valid", "test")}
    valid, test = (judge_texts(judge, rows, scoring.batch_size) for rows in texts.values())
    low, high = ratio_interval(valid.nll, valid.tokens, scoring.bootstrap, params.seeds.scoring)
    # the unigram's perplexity of the same targets as the judge's, which don't include end-of-text
    own, targets = (data.split(split)[:, 1:] for split in ("judge", "valid"))
    unigram = unigram_perplexity(own[own != data.eos_id], targets[targets != data.eos_id], data.vocab_size)
    summary = {
        "name": judge.name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "precision": judge.precision,
        "held_out_perplexity": gen_ppl(valid.nll, valid.tokens),
        "low": low,
        "high": high,
        "test_perplexity": gen_ppl(test.nll, test.tokens),
        "test_entropy": float(entropy(data.split("test")).mean()),
        "unigram_perplexity": unigram,
    }
    write_json(job.dir / "judge.json", summary)
    job.metrics |= summary


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, arguments, run))
