"""Join the shards of couplings or samples to the file that one job would have written.

Refuses shards of different settings, and a set with rows missing or double.

Example: python stages/merge.py --parts results/tiny/couplings-*-of-2/teacher/couplings.safetensors --out results/tiny/couplings/teacher
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ()


def arguments(parser: StageParser) -> None:
    parser.input("--parts", help="couplings.safetensors or samples.safetensors of every shard", nargs="+")


def run(job: Job) -> None:
    from imdm.stage.shards import merge_shards

    job.metrics["rows"] = merge_shards(job.args.parts, job.dir / Path(job.args.parts[0]).name)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
