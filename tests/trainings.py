"""A small training of each kind, in the parts of several devices: in this process, or as a script in processes of their own.

    python tests/trainings.py FOLDER NAMES --devices 2 --micro-batches 8 4

writes the gradients of the trainings' first step on the CPU to FOLDER/NAME-8.safetensors and FOLDER/NAME-4.safetensors.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

if __name__ == "__main__":  # the processes that Lightning starts have no path but that of this file
    sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from imdm.diffusion.counter import row_seeds
from imdm.distill.couplings import CouplingSet
from imdm.distill.di4c import Di4cTraining, mixture_student
from imdm.distill.keyed import KeyedTraining, keyed_student
from imdm.distill.redi import RediTraining
from imdm.distill.sdtt import SdttTraining
from imdm.network.network import Network
from imdm.params import Di4c, Finetune, Keyed, Pretrain, Redi, Runtime, Sdtt
from imdm.training.devices import OneDevice, open_devices
from imdm.training.loop import accumulate
from imdm.training.pretrain import Pretraining
from imdm.training.training import Training
from networks import small_network

BLOCKS = np.random.default_rng(0).integers(0, 3, (30, 5)).astype(np.uint16)
STEPS = {"steps": 4, "batch_size": 16, "warmup": 0}
# Of the stage pretrain with the micro parameters, which then has a checkpoint soon.
SETS = [
    "pretrain.optimizer=adamw",
    "pretrain.steps=60",
    "pretrain.warm_start=10",
    "runtime.checkpoint_seconds=0.001",
    "network.dropout=0.1",
]


def couplings() -> CouplingSet:
    t = (torch.arange(30, dtype=torch.float64) + 0.5) / 30
    masked = torch.rand(30, 5, generator=torch.Generator().manual_seed(0)) < t[:, None]
    return CouplingSet(torch.from_numpy(BLOCKS.astype(np.int32)), masked, t, row_seeds(0, 0, 30), {})


def _network(seed: int = 0) -> Network:
    return small_network(seed, mask="infinite").train()


def _sdtt(divergence: str) -> Training:
    return SdttTraining(_network(), _network(1), Sdtt(**STEPS, base_steps=8, rounds=1, divergence=divergence), 1, 0, BLOCKS)


def _di4c(small_time: float) -> Training:
    teacher = small_network(1, mask="single")
    times = {"time_steps": 8, "small_time": small_time, "small_time_share": 0.5}
    student = mixture_student(teacher, 8, 0)
    for parameter in student.latent_projection.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return Di4cTraining(student, teacher, Di4c(**STEPS, latents=3, latent_hidden=8, **times), 1, 0, BLOCKS)


TRAININGS: dict[str, Callable[[], Training]] = {
    "warm-start": lambda: Pretraining(_network(), Pretrain(**STEPS, warm_start=4), 0, BLOCKS),
    "pretrain": lambda: Pretraining(_network(), Pretrain(**STEPS), 0, BLOCKS),
    "pretrain-counted": lambda: Pretraining(_network(), Pretrain(**STEPS, masks="counted"), 0, BLOCKS),
    "finetune": lambda: Pretraining(_network(), Finetune(**STEPS), 0, BLOCKS),
    "sdtt": partial(_sdtt, "reverse_kl"),
    "sdtt-forward": partial(_sdtt, "forward_kl"),
    "keyed": lambda: KeyedTraining(keyed_student(_network()), _network(1), Keyed(**STEPS, teacher_steps=4), 0, BLOCKS),
    "di4c-consistency": partial(_di4c, 0.13),
    "di4c-distillation": partial(_di4c, 1.0),
    "redi": lambda: RediTraining(_network(), Redi(**STEPS), 0, couplings()),
    "redi-fresh": lambda: RediTraining(_network(), Redi(**STEPS, keys="fresh"), 0, couplings()),
}


def gradients(name: str, runtime: Runtime, devices: OneDevice, double: bool = True) -> dict[str, Tensor]:
    """The loss and every gradient of a training's first step, on all devices together."""
    training = TRAININGS[name]()
    for network in (training.network, *getattr(training, "frozen", ())) if double else ():
        network.double()
    training.ema.shadow = [parameter.detach().clone() for parameter in training.network.parameters()]
    training.place(runtime, devices.device)
    devices.wrap(training)
    loss = devices.mean(accumulate(training, devices, 0, runtime.micro_batch))
    grads = {name: parameter.grad for name, parameter in training.network.named_parameters() if parameter.grad is not None}
    return grads | {"loss": loss}


def killed(words: list[str], partial: Path) -> Path:
    """Start a training and kill it once there is a checkpoint in its unfinished folder; the checkpoint."""
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    checkpoint = partial / ".resume/last.ckpt"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    return checkpoint


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--devices", type=int)
    parser.add_argument("--micro-batches", type=int, nargs="+")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    runtime = Runtime(device="cpu", threads=1, gpus=args.devices, compile=args.compile)
    with open_devices(runtime, torch.device("cpu"), STEPS["batch_size"]) as devices:
        for name, most in itertools.product(args.names, args.micro_batches):
            found = gradients(name, runtime.model_copy(update={"micro_batch": most}), devices, double=not args.compile)
            if devices.rank == 0:
                save_file(found, args.folder / f"{name}-{most}.safetensors")


if __name__ == "__main__":
    main()
