"""What an experiment needs and does not find on this machine."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from imdm.cost.cost import LOADED_FILE
from imdm.cost.data import DOWNLOAD_BYTES, folder
from imdm.cost.estimate import Estimate
from imdm.cost.judge import judge_shape
from imdm.params import PUBLIC, Params
from imdm.stage.gpus import Gpu, recognise

_HUB = ("huggingface.co", 443)
_MEMORY_SHARE = 0.92  # of a GPU's memory: the rest is the CUDA context's and fragmentation's
_TRAININGS = {"train_judge": "judge"} | {stage: stage for stage in ("pretrain", "finetune", "sdtt", "di4c", "redi")}  # block of params
_BATCH_OF = {
    **dict.fromkeys(_TRAININGS, "runtime.micro_batch"),
    **dict.fromkeys(("sample", "complete", "match", "frontier"), "sampling.batch_size"),
    **dict.fromkeys(("load_judge", "reference", "score"), "scoring.batch_size"),
    "couple": "couplings.batch_size",
    "audit": "audit.batch_size",
    "factorization": "factorization.batch_size",
    "load_mdlm": "pretrain.eval_batch_size",
}


@dataclass(frozen=True)
class Missing:
    """What is missing, and what to do."""

    what: str
    remedy: str


def packages(project: Path) -> Iterator[Missing]:
    """Dependencies of pyproject.toml that are not installed."""
    wanted = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    absent = []
    for name in (re.match(r"[\w.-]+", requirement)[0] for requirement in wanted):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
    if absent:
        yield Missing(f"Python packages {', '.join(absent)}", "pip install -r requirements.lock")


def visible_gpus() -> list[tuple[str, float]]:
    """Name and memory in GB of each GPU that nvidia-smi lists; empty without it."""
    ask = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        text = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = (line.rsplit(",", 1) for line in text.strip().splitlines())
    return [(name.strip(), float(memory) * 2**20 / 1e9) for name, memory in rows]


def gpus(found: list[tuple[str, float]], wanted: int) -> Iterator[Missing]:
    """GPUs that this machine lacks."""
    if len(found) < wanted:
        yield Missing(
            f"{wanted} GPU{'s' * (wanted > 1)} (nvidia-smi lists {len(found)})",
            "run on a machine with GPUs; where Slurm has them, name their kind with --gpu",
        )


def detected(found: list[tuple[str, float]]) -> Gpu | None:
    """The first GPU here, None where there is none that is known."""
    return recognise(*found[0]) if found else None


def memory(estimate: Estimate, gpu: Gpu) -> Iterator[Missing]:
    """Batches that do not fit on one GPU."""
    needed: dict[str, tuple[float, str]] = {}
    for job in estimate.jobs:
        if job.out in estimate.on_gpu:
            peak = (estimate.costs[job.out].memory, job.stage)
            needed[_BATCH_OF[job.stage]] = max(needed.get(_BATCH_OF[job.stage], (0.0, "")), peak)
    for key, (most, stage) in needed.items():
        if most > _MEMORY_SHARE * gpu.memory * 1e9:
            yield Missing(f"GPU memory: {stage} needs about {most / 1e9:.0f} GB of {gpu.memory:.0f}", f"lower {key}")


def shares(stages: set[str], params: Params, devices: int) -> Iterator[Missing]:
    """Batches that the GPUs of a training can't share evenly."""
    for stage, block in _TRAININGS.items():
        size = getattr(params, block).batch_size
        if stage in stages and size % devices:
            yield Missing(f"equal parts of {block}.batch_size = {size} for {devices} GPUs", "change it, runtime.devices or runtime.nodes")


class Sources:
    """What the experiment reads from elsewhere.

    Args:
        project: folder of the project, to which paths are relative.
    """

    def __init__(self, params: Params, project: Path):
        self.params, self.project = params, project
        self.checkpoints = {}
        if params.teacher.stage == "load_mdlm":
            self.checkpoints["teacher.checkpoint"] = params.teacher.checkpoint
        self.checkpoints |= {f"{PUBLIC}.{name}.checkpoint": entry.checkpoint for name, entry in params.public.items()}

    def missing(self) -> Iterator[Missing]:
        """Paths that do not exist, and what only an unreachable hub has."""
        from_hub = []
        for key, name in self._names().items():
            if is_path(name, self.project):
                if not (self.project / Path(name).expanduser()).exists():
                    yield Missing(f"{key}: {name}", f"download it to that path, or set {key} to where it is")
            elif not cached(name):
                from_hub.append(f"{key} ({name})")
        corpus = self.params.corpus
        if not self._packed():
            if corpus.path and not self._corpus_found():
                yield Missing(f"corpus.path: {corpus.path}", "correct the path, or set it to null to load the corpus from the hub")
            elif corpus.path is None and corpus.name in ("lm1b", "openwebtext"):
                from_hub.append(f"corpus ({corpus.name})")
        if from_hub and not hub_reachable():
            yield Missing(
                f"{_HUB[0]} can't be reached from here, for {', '.join(from_hub)}",
                "download them where there is a network (HF_HOME names the cache), or give local paths",
            )

    def download_bytes(self, estimate: Estimate) -> float:
        """Of what still has to be fetched."""
        sizes = {job.model: estimate.costs[job.out].disk for job in estimate.jobs if job.stage == "load_mdlm"}
        of_key = {"teacher.checkpoint": "teacher"} | {f"{PUBLIC}.{name}.checkpoint": f"{PUBLIC}/{name}" for name in self.params.public}
        total = 0.0
        for key, name in self._names().items():
            if key in of_key and not is_path(name, self.project) and not cached(name):
                total += sizes.get(of_key[key], 0)
        judge = self.params.judge
        if judge.stage == "load_judge" and not is_path(judge.model, self.project) and not cached(judge.model):
            total += LOADED_FILE * judge_shape(judge, 0).parameters
        return total + (DOWNLOAD_BYTES[self.params.corpus.name] if not self._packed() and self.params.corpus.path is None else 0)

    def _names(self) -> dict[str, str]:
        """Key and name of each checkpoint, judge and tokenizer."""
        found = dict(self.checkpoints)
        if self.params.judge.stage == "load_judge":
            found["judge.model"] = self.params.judge.model
        if self.params.corpus.tokenizer != "trained" and not self._packed():
            found["corpus.tokenizer"] = self.params.corpus.tokenizer
        return found

    def _packed(self) -> bool:
        return (self.project / folder(self.params.corpus) / "dataset.json").is_file()

    def _corpus_found(self) -> bool:
        return bool(glob(str(self.project / Path(self.params.corpus.path).expanduser()), recursive=True))


def is_path(name: str, project: Path) -> bool:
    """Whether a checkpoint, judge or tokenizer is on this machine, and not ORG/NAME or NAME on the hub."""
    return (
        (project / Path(name).expanduser()).exists() or name.startswith(("/", ".", "~")) or name.endswith((".ckpt", ".safetensors", ".pt"))
    )


def cached(name: str) -> bool:
    """Whether the hub's cache holds the revision of NAME, ORG/NAME or ORG/NAME@REVISION, either with /FILE."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    repo, _, revision = name.partition("@")
    repo, revision = "/".join(repo.split("/")[:2]), revision.partition("/")[0]
    return (cache / f"models--{repo.replace('/', '--')}" / "refs" / (revision or "main")).is_file()


def hub_reachable(timeout: float = 3.0) -> bool:
    """Whether a connection to the hub can be opened."""
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        return False
    try:
        socket.create_connection(_HUB, timeout).close()
    except OSError:
        return False
    return True


def disk(needed: float, project: Path) -> Iterator[Missing]:
    """Space that is not free where the project lies."""
    free = shutil.disk_usage(project).free
    if free < needed:
        yield Missing(f"{needed / 1e9:.0f} GB of disk ({free / 1e9:.0f} GB are free)", "free space, or run in a folder on a larger disk")
