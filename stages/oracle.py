"""Make the oracle of a language: a model whose every step is drawn from the exact marginals, as no MDM can do better.

Example: python stages/oracle.py --params presets/language.yaml --data data/language-document-32/dataset.json
    --out results/language/models/oracle
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("corpus",)


def arguments(parser: StageParser) -> None:
    parser.input("--data", help="dataset.json of tokenize_pack")


def run(job: Job) -> None:
    import torch

    from imdm.data.blocks import Dataset
    from imdm.errors import UserError
    from imdm.network.checkpoint import save_network
    from imdm.network.oracle import oracle_of

    corpus = job.params.corpus
    if corpus.name != "language":
        raise UserError(f"corpus.name is {corpus.name}, and an oracle is of a language; set it to language.")
    data = Dataset.open(job.args.data)
    torch.manual_seed(0)  # of weights that nothing reads
    network = oracle_of(corpus, data.seq_len, data.tokenizer_sha256)
    data.check_vocabulary(network.config, "the oracle")
    save_network(job.dir / "model.safetensors", network)


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
