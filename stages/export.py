"""Export a checkpoint in the layout of the public ones, to publish it or to use it in the authors' code.

Writes model.safetensors (one set of weights), config.json, tokenizer.json and README.md, a model card that lacks only the
licence. `load_public` and `load_mdlm` read the folder, here or on the hub.

Example: python stages/export.py --data data/pydocs-carry-32/dataset.json
    --model results/tiny/models/imdm/redi/model.safetensors --out results/tiny/export/imdm-redi
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.job import Job, StageParser, run_stage


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack: tokenizer and corpus of the model")
    parser.input("--model", help="model.safetensors of any stage")
    parser.add_argument("--weights", choices=("ema", "online"), default="ema", help="which weights (default: ema)")
    parser.add_argument("--layout", choices=("backbone", "bare"), default="backbone", help="prefix of the names (default: backbone)")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.models.export import export_model

    args = job.args
    public = export_model(args.model, Dataset.open(args.data), job.dir, args.weights, args.layout)
    job.metrics |= {"network": public.kind, "weights": public.used}


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, arguments, run))
