"""Put the teacher's weights into a variant's network (paper, "Implementation of IMDM").

What the variant adds to a mask state's embedding starts at zero, so the network computes the same function to
the bit. This is the only stage that reads the mask settings; all later ones find them, and which
training seed is theirs, in the checkpoint.

Example: python stages/initialize.py --teacher results/tiny/models/teacher/model.safetensors --variant imdm
    --out results/tiny/models/imdm/teacher
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("mask_settings", "seeds.train")


def arguments(parser: StageParser) -> None:
    parser.input("--teacher", help="model.safetensors of pretrain")
    parser.add_argument("--variant", required=True, help="name of a variant in params.yaml, or NAME-seedN for its training seed N")


def run(job: Job) -> None:
    import torch

    from imdm.diffusion.counter import root_seed, training_seed
    from imdm.network.checkpoint import load_network, save_network, share_weights
    from imdm.network.config import NetworkConfig
    from imdm.network.network import Network
    from imdm.params import MaskSettings, parse_variant

    mask = job.params.mask_settings(job.args.variant)
    if mask.mask == "single":
        mask = MaskSettings(mask="single")  # an MDLM's file does not depend on the noise settings
    _, replicate = parse_variant(job.args.variant)
    teacher = load_network(job.args.teacher)
    config = teacher.config.model_dump() | mask.model_dump() | {"replicate": replicate}
    torch.manual_seed(root_seed(training_seed(job.params.seeds.train, replicate), "adopt"))
    network = Network(NetworkConfig(**config))
    share_weights(network, teacher)
    save_network(job.dir / "model.safetensors", network)
    job.metrics["parameters"] = sum(p.numel() for p in network.parameters())


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))
