"""The {00, 11} task: Tables 1 and 2 of the paper, for several seeds.

mdm and imdm are rectified on the same few couplings; imdm-driven on couplings whose teacher draws from the noise that
the student sees (a map that can be learnt, not only memorised); random is the reference of independent tokens.

Example: python stages/synthetic.py --out results/tiny/synthetic
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.job import Job, StageParser, run_stage


def arguments(parser: StageParser) -> None:
    pass


def run(job: Job) -> None:
    import torch

    from imdm.artifact import write_json
    from imdm.runtime import setup
    from imdm.synthetic.measure import table1, table2, validity
    from imdm.synthetic.task import build, couplings, rectify, teacher

    settings = job.params.synthetic
    setup(job.params.runtime)
    rows = []
    models = (  # mask kind, couplings, how the teacher draws, steps
        ("mdm", "single", settings.pairs, "independent", settings.steps),
        ("imdm", "infinite", settings.pairs, "independent", settings.steps),
        ("imdm-driven", "infinite", settings.driven_pairs, "from_noise", settings.driven_steps),
    )
    bar = job.progress(len(settings.seeds) * (1 + len(models)), "model")
    for seed in settings.seeds:
        source = teacher(settings, seed)
        bar.update()
        for name, mask, pairs, draws, steps in models:
            z, x = couplings(source, pairs, draws, seed)
            network = rectify(build(settings, mask, seed), source, z, x, settings, steps, seed)
            found = [{"table": 1, "setting": "1 step, fresh noise"} | row for row in table1(network, settings.samples, settings.noise_draws, seed)]
            found += [{"table": 2, "low": row["value"], "high": row["value"]} | row for row in table2(network, seed)]
            rows += [{"model": name, "seed": seed} | row for row in found]
            bar.update()
        x = torch.randint(2, (settings.samples, 2), generator=torch.Generator().manual_seed(seed))
        rows += [
            {"table": 1, "model": "random", "setting": "independent tokens", "seed": seed, "metric": name, "value": value, "low": low, "high": high}
            for name, (value, low, high) in validity(x).items()
        ]
    write_json(job.dir / "synthetic.json", {"rows": rows})


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, arguments, run))
