"""What an experiment costs and what is missing for it, before anything runs. Writes nothing.

Prints the jobs behind `snakemake paper` (or `all`) with their tokens, operations, GPU hours, memory and disk space, the
wall time, and what this machine lacks. Exit code 0 when nothing is missing, 1 otherwise.

With --scaling, the wall time on several numbers of GPUs instead: with a job a GPU, and with the best number of GPUs
for a training (runtime.devices) and of jobs for a generation (shards).

Example: python stages/preflight.py --params presets/lm1b.yaml --gpu h100 --gpus 4
"""

import argparse
import sys
from pathlib import Path

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.errors import UserError


def main(argv: list[str] | None = None) -> int:
    from imdm.cost.machines import SUSTAINED
    from imdm.stage.gpus import GPUS

    parser = argparse.ArgumentParser(prog="stages/preflight.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", default="params.yaml", help="parameter file (default: params.yaml)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace one parameter, for example noise_dim=64")
    parser.add_argument("--target", choices=("all", "paper"), default="paper", help="what snakemake is to build (default: paper)")
    parser.add_argument("--gpu", help=f"kind of GPU where the jobs will run: {', '.join(GPUS)} (default: the one here)")
    parser.add_argument("--gpus", type=int, default=1, metavar="N", help="number of GPUs (default: 1)")
    parser.add_argument("--scaling", type=int, nargs="+", metavar="N", help="numbers of GPUs to compare")
    parser.add_argument(
        "--tflops", type=float, metavar="X", help=f"sustained bfloat16 TFLOP/s of one (default: {100 * SUSTAINED:.0f}%% of its peak)"
    )
    args = parser.parse_args(argv)
    try:
        return report(args)
    except UserError as error:
        print(f"preflight: {error}", file=sys.stderr)
        return 2


def report(args: argparse.Namespace) -> int:
    """Print the estimate and what is missing; the exit code."""
    from imdm.cost import ready
    from imdm.cost.estimate import estimate
    from imdm.cost.machines import Machine
    from imdm.cost.scaling import plans
    from imdm.cost.stages import gpus_of_a_training
    from imdm.cost.table import missing_table, scaling_table, table
    from imdm.params import load_params
    from imdm.stage.gpus import find_gpu

    if min([args.gpus, *(args.scaling or ())]) < 1 or (args.tflops is not None and args.tflops <= 0):
        raise UserError("--gpus, --scaling and --tflops must be positive.")
    params, project = load_params(args.params, args.set), Path(__file__).resolve().parents[1]
    here = args.gpu is None and params.runtime.device != "cpu"  # else the jobs run elsewhere, or need no GPU
    found = ready.visible_gpus() if here else []
    machine = Machine.of(find_gpu(args.gpu) if args.gpu else ready.detected(found) or find_gpu("h100"), args.tflops)
    if args.scaling:
        found = [plan for gpus in args.scaling for plan in plans(params, args.target, machine, Path.cwd(), gpus)]
        print(f"{args.params}: snakemake {args.target}\n\n{scaling_table(found, machine)}")
        return 0
    devices = gpus_of_a_training(params)
    if args.gpus < devices:
        raise UserError(f"--gpus {args.gpus} is less than the {devices} of a training; raise it or lower runtime.devices.")
    costs = estimate(params, args.target, machine, Path.cwd())
    print(f"{args.params}: snakemake {args.target}\n\n{table(costs, machine, args.gpus)}\n")

    sources = ready.Sources(params, Path.cwd())
    missing = [*ready.packages(project), *(ready.gpus(found, args.gpus) if here and params.runtime.device == "cuda" else ())]
    if args.gpu or found:
        missing += ready.memory(costs, machine.gpu)
    missing += ready.shares({job.stage for job in costs.jobs}, params, devices)
    missing += [*sources.missing(), *ready.disk(costs.disk(args.gpus) + sources.download_bytes(costs), Path.cwd())]
    print(missing_table(missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
