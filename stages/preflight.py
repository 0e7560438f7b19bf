"""What an experiment costs and what is missing for it, before anything runs. Writes nothing.

Prints the jobs behind `snakemake paper` (or `all`, or `extras`) by stage with their tokens, operations, GPU hours, memory
and disk space, a bound of the wall time, and what this machine lacks. Without a GPU here, and with runtime.device: cpu, hours
are those of this machine's cores. All jobs count, done or not. Exit code 0 when nothing is missing, 1 otherwise.

Example: python stages/preflight.py --params presets/lm1b.yaml --gpu h100 --gpus 4
"""

import argparse
import math
import os
import sys
import tempfile
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.errors import UserError, exit_code

PROJECT = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> int:
    from imdm.cost.estimate import SUSTAINED
    from imdm.stage.gpus import GPUS

    parser = argparse.ArgumentParser(prog="stages/preflight.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", nargs="+", default=["params.yaml"], metavar="FILE", help="parameter files (default: params.yaml)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace one parameter, for example noise_dim=64")
    parser.add_argument("--target", choices=("all", "extras", "paper"), default="paper", help="what snakemake is to build (default: paper)")
    parser.add_argument("--gpu", help=f"kind of GPU where the jobs will run: {', '.join(GPUS)} (default: the one here)")
    parser.add_argument("--gpus", type=int, metavar="N", help="number of GPUs, or cores (default: 1 GPU, all cores)")
    rate = f"sustained bfloat16 TFLOP/s of one (default: {100 * SUSTAINED:.0f}%% of its peak)"
    parser.add_argument("--tflops", type=float, metavar="X", help=rate)
    args = parser.parse_args(argv)
    return exit_code("preflight", lambda: report(args))


def report(args: argparse.Namespace) -> int:
    """Print the estimate and what is missing; the exit code."""
    from imdm.cost import ready
    from imdm.cost.estimate import Machine, estimate, table
    from imdm.params import load_params
    from imdm.stage.gpus import find_gpu, recognise, visible_gpus
    from imdm.stage.reads import of_stages

    if (args.gpus is not None and args.gpus < 1) or (args.tflops is not None and not 0 < args.tflops < math.inf):
        raise UserError("--gpus and --tflops must be positive.")
    params, root, reads = load_params(args.params, args.set), Path.cwd(), of_stages(PROJECT / "stages")
    device = params.runtime.device
    here = args.gpu is None and device != "cpu"  # else the jobs run elsewhere, or need no GPU
    visible = visible_gpus() if here else []
    by_core = not (args.gpu or visible or device == "cuda")
    count = args.gpus or (len(os.sched_getaffinity(0)) if by_core else 1)
    if count < params.runtime.planned_gpus:
        raise UserError(f"--gpus {count} must be {params.runtime.planned_gpus} or more, as many as a training takes (runtime.gpus).")
    gpu = find_gpu(args.gpu) if args.gpu else visible and recognise(*visible[0]) or find_gpu("h100")
    machine = Machine.core(args.tflops) if by_core else Machine.of(gpu, args.tflops)
    missing = list(ready.packages(PROJECT))
    if not missing:  # Snakemake, which lists the jobs, is one of them
        costs = estimate(params, jobs_of(params, args.target), reads, machine, root)
        print(f"{' '.join(args.params)}: snakemake {args.target}\n\n{table(costs, machine, count)}\n")
        missing += ready.gpus(len(visible), count) if here and device == "cuda" else ()
        missing += ready.memory(costs, machine.gpu) if args.gpu or visible else ()
        missing += ready.shares(set(costs.stages.values()), params, reads)
        external = ready.External(params, root)
        missing += [*external.missing(), *ready.disk(costs.disk(count) + external.corpus_bytes(), root)]
    print("\n".join(["Missing:", *map(str, missing)]) if missing else "Nothing is missing.")
    return 1 if missing else 0


def jobs_of(params, target: str) -> list:
    """The jobs of a target, by Snakemake's dry run.

    Raises:
        UserError: Snakemake refuses.
    """
    sys.path.insert(0, str(PROJECT / "workflow"))
    from graph import jobs

    from imdm.params import resolved_yaml

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        file.write_text(resolved_yaml(params), encoding="utf-8")
        try:
            return jobs(PROJECT, target, "--configfile", str(file))
        except RuntimeError as error:
            raise UserError(f"snakemake {target} can't be planned: {str(error).splitlines()[-1].strip()}") from None


if __name__ == "__main__":
    sys.exit(main())
