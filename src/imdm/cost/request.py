"""What each job asks of a scheduler: memory, time, CPUs, GPUs and nodes, by the same numbers as the estimate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from imdm.cost.estimate import Machine
from imdm.cost.stages import Reads, StageCosts
from imdm.cost.work import Cost
from imdm.params import Params
from imdm.stage.gpus import find_gpu, recognise

PROCESS_MB = 4000  # of one process besides its weights: Python, torch, CUDA's context, buffers
CPUS_PER_GPU = 4  # the process, CUDA's threads, and the compiler at the start
# A job that is given too much time only waits longer for its turn. The estimate knows neither the disk nor the machine's load.
LEAST_MINUTES, TIMES_ESTIMATED = 240, 3
_VOCABULARY = 2**17  # of a tokenizer that is not known before the corpus is packed
_USUAL_GPU = "a100-80"  # where the site names none


@dataclass(frozen=True)
class Request:
    """Of one job.

    Attributes:
        mem_mb: host memory of a node, MB.
        minutes: time.
        cpus: of a process that Slurm starts; one starts all of a job on one node, and on several there is one a GPU.
        gpus: of a node; 0 without any.
        nodes: that train together.
        tasks: processes of a node that Slurm starts.
        training: whether it saves what it has when it is told to stop.
    """

    mem_mb: int
    minutes: int
    cpus: int
    gpus: int
    nodes: int
    tasks: int
    training: bool


class Requests:
    """What the jobs of an experiment ask for; `reads` and `root` are those of `StageCosts`, `gpu` the site's name of its GPU or nothing."""

    def __init__(self, params: Params, reads: Reads, root: Path, gpu: str = ""):
        self.runtime = params.runtime
        self.costs = StageCosts(params, reads, root, _VOCABULARY)
        self.machine = Machine.of(recognise(gpu, memory=80) or find_gpu(_USUAL_GPU))

    def of(self, stage: str, out: str, model: str = "") -> Request:
        """Of a job before its command is there, by what it makes: `out`, and with the model `model` where it reads one."""
        shard, turn = re.search(r"-(\d+)-of-(\d+)/", out), re.search(r"(?:sdtt|di4c)(\d+)$", out)
        arguments = {"shard": f"{shard[1]}/{shard[2]}"} if shard else {}
        arguments |= {"round": turn[1]} if turn else {}
        arguments |= {"model": f"results/models/{model}/model.safetensors"} if model else {}
        return self.by(self.costs.of(SimpleNamespace(stage=stage, out=out, arguments=arguments)))

    def by(self, cost: Cost) -> Request:
        """Of a job whose cost is known."""
        nodes = self.runtime.nodes if cost.temporary else 1
        computing = cost.gpus // nodes if cost.flops else 0  # processes that compute, each on its GPU where there are GPUs
        on_gpu = self.runtime.device != "cpu"
        held = cost.host if on_gpu else cost.host + cost.memory
        # Beside them runs Snakemake; without a GPU, each CPU's process may hold as much.
        memory = PROCESS_MB + max(computing, cost.cpus) * (PROCESS_MB + held / 1e6)
        tasks = computing if nodes > 1 else 1
        return Request(
            mem_mb=1000 * round(memory / 1000),
            minutes=LEAST_MINUTES + round(TIMES_ESTIMATED * self.machine.seconds(cost) / 60),
            cpus=max(cost.cpus, CPUS_PER_GPU * computing // tasks),
            gpus=computing if on_gpu else 0,
            nodes=nodes,
            tasks=tasks,
            training=cost.temporary > 0,
        )
