"""Export a checkpoint as a folder to publish, which transformers loads without this project.

Writes model.safetensors (one set of weights), config.json, tokenizer.json, tokenizer_config.json, dataset.json (which block and
tokens it writes), modeling_imdm.py (network and sampler, for `AutoModel.from_pretrained(FOLDER, trust_remote_code=True)`) and
README.md, a model card. meta.json says nothing of the machine, since the folder is to be uploaded. `load_public`, `load_mdlm`,
`imdm write` and `imdm play` read the folder too, and run none of its code.

Example: python stages/export.py --data data/pydocs-carry-32/dataset.json
    --model results/tiny/models/imdm/redi/model.safetensors --scores results/tiny/scores/imdm/redi/scores.json
    --license mit --out results/tiny/export/imdm-redi
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ()


def arguments(parser: StageParser) -> None:
    parser.publishes()
    parser.input("--data", help="dataset.json of tokenize_pack: tokenizer and corpus of the model")
    parser.input("--model", help="model.safetensors of any stage")
    parser.input("--scores", help="scores.json of score, for the model card", required=False)
    parser.add_argument("--license", metavar="ID", help="licence for the model card, for example mit (default: a line to fill in)")
    parser.add_argument("--base-model", metavar="ID", help="hub's id of the model that it was made from (default: the loaded checkpoint)")
    parser.add_argument("--weights", choices=("ema", "online"), default="ema", help="which weights (default: ema)")


def run(job: Job) -> None:
    from imdm.data.blocks import Dataset
    from imdm.publish.export import export_model

    args = job.args
    data = Dataset.open(args.data)
    public = export_model(args.model, data, job.dir, args.weights, args.scores, args.license, base=args.base_model)
    job.metrics |= {"network": public.kind, "weights": public.used}


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
