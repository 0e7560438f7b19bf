"""Score what no language model wrote, as samples are scored: a metric that prefers it to a model is fooled.

Four controls: held-out text (what each metric gives to text itself), the same with the tokens of each block shuffled, a 5-gram
model of the training text, and the most frequent tokens again and again. Writes controls.json: their figures with 95%
intervals, and the first text of each.

Example: python stages/controls.py --data data/pydocs-carry-32/dataset.json --judge results/tiny/judge/judge.json
    --reference results/tiny/reference/reference.json --out results/tiny/controls
"""

import sys
from typing import Any

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("scoring", "sampling.count", "seeds.scoring")


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.input("--judge", help="judge.json of train_judge or load_judge")
    parser.input("--reference", help="reference.json of reference")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.scoring.controls import make_controls
    from imdm.scoring.exact import exact_figures
    from imdm.scoring.gen_ppl import decode
    from imdm.scoring.judge import load_judge
    from imdm.scoring.metrics import judge_each, sample_figures
    from imdm.scoring.reference import common_settings, load_real
    from imdm.stage.artifact import write_json
    from imdm.stage.device import setup

    settings, seed = job.params.scoring, job.params.seeds.scoring
    device, _ = setup(job.params.runtime)
    data = Dataset.open(job.args.data)
    judge = load_judge(job.args.judge, device, settings.precision)
    judge.check_vocabulary(data, settings.retokenize)
    real = load_real(job.args.reference, common_settings(job.args.judge, judge, data, settings), None)
    controls, tokenizer = make_controls(data, settings.reference, job.params.sampling.count, seed), data.tokenizer()
    rows: list[dict[str, Any]] = []
    verdicts = judge_each(judge, list(controls.values()), tokenizer, settings, job.dir, progress=job.progress)
    for (name, tokens), judged in zip(controls.items(), verdicts, strict=True):
        figures = sample_figures(tokens, judged, real, settings, seed) | exact_figures(judge, tokens, settings.bootstrap, seed)
        for metric, (value, low, high) in figures.items():
            rows.append({"model": name, "steps": None, "metric": metric, "value": value, "low": low, "high": high})
    texts = {name: decode(tokens[:1], tokenizer, settings.clean_up)[0] for name, tokens in controls.items()}
    write_json(job.dir / "controls.json", {"judge": judge.named(settings), "rows": rows, "texts": texts})
    job.metrics["samples"] = sum(map(len, controls.values()))


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
