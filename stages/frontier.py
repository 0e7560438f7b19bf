"""Sample a model at every step count over a range of temperatures, and score each set: Gen-PPL against entropy.

Gen-PPL falls where entropy falls, so models compare fairly at equal entropy only. Writes frontier.json (a row for each
step count, temperature and metric, with 95% bootstrap intervals) and per_sample.parquet (nll, tokens and entropy of each
sample). The draws of sample i are those of stage sample at every temperature, and so common to all models.

Example: python stages/frontier.py --data data/pydocs-carry-32/dataset.json --judge results/tiny/judge/judge.json
    --model results/tiny/models/imdm/redi/model.safetensors --out results/tiny/frontier/imdm/redi
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("sampling", "frontier", "scoring", "seeds.sampling", "seeds.scoring")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack, for its tokenizer")
    parser.input("--judge", help="judge.json of train_judge or load_judge")
    parser.input("--model", help="model.safetensors; its EMA weights are used")


def run(job: Job) -> None:
    import pandas as pd

    from imdm.data.blocks import Dataset
    from imdm.sampling.generate import Sampler
    from imdm.scoring.judge import load_judge
    from imdm.scoring.metrics import judge_each, per_sample, text_figures
    from imdm.stage.artifact import write_json
    from imdm.stage.device import precision_name, setup

    params, settings = job.params, job.params.scoring
    data = Dataset.open(job.args.data)
    judge = load_judge(job.args.judge, setup(params.runtime)[0], settings.precision)
    judge.check_vocabulary(data, settings.retokenize)
    sampler = Sampler.load(job.args.model, params.runtime, params.sampling, params.seeds.sampling)
    data.check_vocabulary(sampler.network.config, job.args.model)
    index = range(params.frontier.count)
    samples = {
        (steps, temperature): sampler.draw_range(job.dir, index, steps, temperature, job.progress)[0]["tokens"].numpy()
        for steps in params.sampling.steps
        for temperature in params.temperatures()
    }

    judged = judge_each(judge, list(samples.values()), data.tokenizer(), settings, job.dir, progress=job.progress)
    rows, frames = [], []
    for ((steps, temperature), tokens), verdict in zip(samples.items(), judged, strict=True):
        figures = text_figures(tokens, verdict, settings.bootstrap, params.seeds.scoring)
        for metric in ("gen_ppl", "entropy"):
            value, low, high = figures[metric]
            rows.append({"steps": steps, "temperature": temperature, "metric": metric, "value": value, "low": low, "high": high})
        frames.append(per_sample(tokens, verdict, model=sampler.model, steps=steps, temperature=temperature))
    pd.concat(frames, ignore_index=True).to_parquet(job.dir / "per_sample.parquet")
    about = {"model": sampler.model, "precision": precision_name(sampler.network.body_dtype), "sampled_at": params.sampling.temperature}
    write_json(job.dir / "frontier.json", about | {"judge": judge.named(settings), "rows": rows})
    job.metrics["samples"] = sum(map(len, frames))


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
