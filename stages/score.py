"""Score a model's samples at every step count with one load of the judge: of sample, complete, match_entropy or external.

Gen-PPL (corpus level and mean over samples), entropy, n-gram diversity, and against real text MAUVE, energy and Fréchet
distance and the divergence of n-grams; 95% bootstrap intervals over samples or prompts (MAUVE: plus and minus the
standard deviation over k-means seeds). Per-sample values are kept. Of completions, the window that the samples' own
settings name is scored.

Example: python stages/score.py --data data/pydocs-carry-32/dataset.json --judge results/tiny/judge/judge.json
    --reference results/tiny/reference/reference.json --samples results/tiny/samples/imdm/redi/samples.safetensors
    --out results/tiny/scores/imdm/redi
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("scoring", "seeds.scoring")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack, for its tokenizer")
    parser.input("--judge", help="judge.json of train_judge or load_judge")
    parser.input("--reference", help="reference.json of reference")
    parser.input("--samples", help="samples.safetensors of sample, complete, match_entropy or external")


def run(job: Job) -> None:
    import pandas as pd

    from imdm.data.blocks import Dataset
    from imdm.params import EXTERNAL
    from imdm.sampling.files import load_samples
    from imdm.scoring.bootstrap import mean_interval
    from imdm.scoring.exact import ExactJudge, exact_figures
    from imdm.scoring.gen_ppl import scored
    from imdm.scoring.judge import load_judge
    from imdm.scoring.metrics import judge_each, per_sample, sample_figures
    from imdm.scoring.reference import common_settings, load_real
    from imdm.stage.artifact import write_json
    from imdm.stage.device import setup

    settings, seed = job.params.scoring, job.params.seeds.scoring
    device, _ = setup(job.params.runtime)
    data = Dataset.open(job.args.data)
    samples = load_samples(job.args.samples, data)
    about, tokenizer = samples.about, data.tokenizer()
    judge = load_judge(job.args.judge, device, settings.precision)
    judge.check_vocabulary(data, settings.retokenize)
    real = load_real(job.args.reference, common_settings(job.args.judge, judge, data, settings), about["conditional"])
    group = about["conditional"]["completions"] if about["conditional"] else 1

    tokens = {steps: scored(samples.tokens[steps], about["conditional"]) for steps in about["steps"]}
    rows, frames = [], []
    metrics: dict[str, dict[str, float]] = {}  # the values once more, as the tree that `dvc metrics` and `dvc exp show` read
    verdicts = judge_each(judge, list(tokens.values()), tokenizer, settings, job.dir, progress=job.progress)
    with job.progress(len(about["steps"]), "step count") as bar:
        for steps, judged in zip(about["steps"], verdicts, strict=True):
            calls = samples.calls[steps]
            figures = sample_figures(tokens[steps], judged, real, settings, seed, group)
            figures |= exact_figures(judge, tokens[steps], settings.bootstrap, seed, group)
            if about["task"] != EXTERNAL:  # of another system they are not known
                figures["calls"] = (float(calls.mean()), *mean_interval(calls.astype(float), settings.bootstrap, seed, group))
            for metric, (value, low, high) in figures.items():
                rows.append({"steps": steps, "metric": metric, "value": value, "low": low, "high": high})
                metrics.setdefault(metric, {})[str(steps)] = value
            frames.append(per_sample(tokens[steps], judged, model=about["model"], steps=steps).assign(calls=calls))
            bar.update()
    pd.concat(frames, ignore_index=True).to_parquet(job.dir / "per_sample.parquet")
    scores = {key: about[key] for key in ("task", "model", "precision", "temperature", "conditional", "matching")}
    if isinstance(judge, ExactJudge):
        scores["examples"] = judge.examples(tokens)
    scores["corpus"] = {"name": data.corpus, "source": data.statistics.get("source")}
    write_json(job.dir / "scores.json", scores | {"judge": judge.named(settings), "rows": rows, "metrics": metrics})
    job.metrics["samples"] = sum(map(len, frames))


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
