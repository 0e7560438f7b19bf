"""Take in samples that another system wrote for the same corpus, to be scored and tabulated beside those of models.

Token ids [samples, corpus.seq_len] of the corpus's tokenizer (.npy, .npz, .safetensors), or text: a document a line (.txt), or
`text` of each record (.jsonl), packed as the corpus is. As many are taken as models have, sampling.count.

Example: python stages/external.py --data data/pydocs-carry-32/dataset.json --samples theirs.npy --name theirs --steps 32
    --out results/tiny/samples/external/theirs
"""

import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("sampling.count",)


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")
    parser.input("--samples", help="the file that the other system wrote")
    parser.add_argument("--name", required=True, help="what tables call the system")
    parser.add_argument("--steps", required=True, type=int, help="sampling steps; of an autoregressive model, as many as tokens")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.errors import UserError
    from imdm.sampling.files import read_external, sample_file, save_samples

    if job.args.steps < 1:
        raise UserError(f"--steps {job.args.steps} must be 1 or more.")
    data, path = Dataset.open(job.args.data), job.args.samples
    tokens = read_external(path, data, job.params.sampling.count)
    save_samples(job.dir / "samples.safetensors", sample_file(tokens, job.args.name, job.args.steps, data, Path(path).name))
    job.metrics["samples"] = len(tokens)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
