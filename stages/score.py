"""Score a model's samples at every step count with one load of the judge.

Gen-PPL (corpus level and mean over samples), entropy, MAUVE against the test split, n-gram diversity; 95% bootstrap
intervals over samples (MAUVE: plus and minus the standard deviation over k-means seeds). Per-sample values are kept.

Example: python stages/score.py --data data/pydocs/dataset.json --judge results/tiny/judge/model.safetensors
    --samples results/tiny/samples/imdm/redi/samples.safetensors --out results/tiny/scores/imdm/redi
"""

import json
import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.job import Job, StageParser, run_stage


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack: tokenizer and reference text")
    parser.input("--judge", help="model.safetensors of train_judge; unused where scoring.judge names another model")
    parser.input("--samples", help="samples.safetensors of sample")


def run(job: Job) -> None:
    import pandas as pd
    import torch

    from imdm.artifact import write_json
    from imdm.data.blocks import Dataset, block_order
    from imdm.runtime import setup
    from imdm.sampling.files import load_samples
    from imdm.scoring.gen_ppl import gen_ppl, judge_ids, judge_texts
    from imdm.scoring.judge import load_judge
    from imdm.scoring.rows import score_rows

    params, settings = job.params, job.params.scoring
    device, _ = setup(params.runtime)
    data = Dataset.open(job.args.data)
    samples = load_samples(job.args.samples, data)
    torch.set_float32_matmul_precision("highest")  # scores are full float32 on every device
    judge = load_judge(job.args.judge if settings.judge == "trained" else settings.judge, device)
    judge.check_vocabulary(data, settings.retokenize)
    tokenizer = data.tokenizer()

    most = max(map(len, samples.tokens.values()))  # blocks of each split: as many as samples, where it has them

    def judge_split(name: str):
        blocks = data.split(name)
        chosen = blocks[block_order(len(blocks), params.seeds.scoring, 0)[:most]]
        return judge_texts(judge, judge_ids(chosen, tokenizer, judge, settings.retokenize), settings.batch_size)

    reference = judge_split("test")
    if judge.trained:
        held_out = json.loads(Path(job.args.judge).with_name("judge.json").read_text())["held_out_perplexity"]
    else:
        valid = judge_split("valid")
        held_out = gen_ppl(valid.nll, valid.tokens)
    rows, per_sample = [], []
    for steps in job_bar(job, samples.about["steps"]):
        tokens = samples.tokens[steps]
        judged = judge_texts(judge, judge_ids(tokens, tokenizer, judge, settings.retokenize), settings.batch_size)
        found, columns = score_rows(tokens, samples.calls[steps], judged, reference.features, settings, params.seeds.scoring)
        rows += [{"steps": steps} | row for row in found]
        per_sample.append(pd.DataFrame({"model": samples.about["model"], "steps": steps, "sample": range(len(tokens))} | columns))
    pd.concat(per_sample, ignore_index=True).to_parquet(job.dir / "per_sample.parquet")
    metrics: dict[str, dict[str, float]] = {}  # the values once more, as the tree that `dvc metrics` and `dvc exp show` read
    for row in rows:
        metrics.setdefault(row["metric"], {})[str(row["steps"])] = row["value"]
    scores = {
        "model": samples.about["model"],
        "judge": {"name": judge.name, "precision": judge.precision, "held_out_perplexity": held_out},
        "precision": samples.about["precision"],
        "temperature": samples.about["temperature"],
        "rows": rows,
        "metrics": metrics,
    }
    write_json(job.dir / "scores.json", json.loads(json.dumps(scores)))
    job.metrics["samples"] = sum(len(frame) for frame in per_sample)


def job_bar(job: Job, items: list[int]):
    """`items`, with the job's progress bar."""
    with job.progress(len(items), "step count") as bar:
        for item in items:
            yield item
            bar.update()


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, arguments, run))
