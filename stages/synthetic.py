"""The {00, 11} task: Tables 1 and 2 of the paper, for several seeds.

mdm and imdm are rectified on the same few couplings; imdm-driven on couplings whose teacher draws from the noise that
the student sees (a map that can be learnt, not only memorised); random is the reference of independent tokens.

Example: python stages/synthetic.py --out results/tiny/synthetic
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("synthetic",)


def arguments(parser: StageParser) -> None:
    pass


def run(job: Job) -> None:
    from imdm.stage.artifact import write_json
    from imdm.stage.chunks import side_by_side
    from imdm.stage.device import setup
    from imdm.synthetic import seed_records

    settings = job.params.synthetic
    setup(job.params.runtime)
    parts = {str(seed): (settings, seed) for seed in settings.seeds}
    records = side_by_side(job.dir, parts, seed_records, settings.workers, "seed", job.progress)
    write_json(job.dir / "synthetic.json", {"rows": records})


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
