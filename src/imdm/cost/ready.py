"""What an experiment needs and does not find on this machine."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import socket
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path

from imdm.cost.estimate import Estimate
from imdm.cost.known import DOWNLOAD_BYTES, dataset_file
from imdm.cost.stages import Reads, trainings
from imdm.data import openwebtext, text_files
from imdm.errors import UserError
from imdm.params import PUBLIC, Params
from imdm.publish.foreign import locate
from imdm.stage.gpus import Gpu

_HUB = ("huggingface.co", 443)
_MEMORY_SHARE = 0.92  # of a GPU's memory: the rest is the CUDA context's and fragmentation's


@dataclass(frozen=True)
class Missing:
    """What is missing, and what to do."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"- {self.what}: {self.remedy}."


def packages(project: Path) -> Iterator[Missing]:
    """Dependencies of pyproject.toml that are not installed."""
    wanted = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = [re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in wanted]
    if absent := [name for name in names if not list(importlib.metadata.distributions(name=name))]:
        yield Missing(f"Python packages {', '.join(absent)}", "pip install -r requirements.lock")


def gpus(visible: int, wanted: int) -> Iterator[Missing]:
    """GPUs that this machine lacks."""
    if visible < wanted:
        remedy = "run on a machine with GPUs; where Slurm has them, name their kind with --gpu"
        yield Missing(f"{wanted} GPU{'s' * (wanted > 1)} (nvidia-smi lists {visible})", remedy)


def memory(estimate: Estimate, gpu: Gpu) -> Iterator[Missing]:
    """Batches that do not fit on one GPU."""
    on_gpu = [(cost.memory, estimate.stages[out], cost.batch) for out, cost in estimate.costs.items() if cost.flops]
    for batch in dict.fromkeys(batch for _, _, batch in on_gpu):
        most, stage, _ = max(job for job in on_gpu if job[2] == batch)
        if most > _MEMORY_SHARE * gpu.memory * 1e9:
            yield Missing(f"GPU memory: {stage} needs about {most / 1e9:.0f} GB of {gpu.memory:.0f}", f"lower {batch}")


def shares(stages: set[str], params: Params, reads: Reads) -> Iterator[Missing]:
    """Batches that the GPUs of a training can't share evenly."""
    devices = params.runtime.planned_gpus
    for block in sorted({block for stage in stages for block in trainings(params, reads[stage])}):
        size = dict(params)[block].batch_size
        if size % devices:
            yield Missing(f"equal parts of {block}.batch_size = {size} for {devices} GPUs", "change it, runtime.gpus or runtime.nodes")


def refused(stage: Callable[[], object]) -> Iterator[Missing]:
    """What a stage would refuse, in its own words."""
    try:
        stage()
    except UserError as error:
        what, _, remedy = str(error).removesuffix(".").rpartition("; ")
        yield Missing(what, remedy)


class External:
    """What an experiment reads from elsewhere: checkpoints, judge, tokenizer and corpus. Paths are relative to the `project`."""

    def __init__(self, params: Params, project: Path):
        self.params, self.project, self.corpus = params, project, params.corpus
        self.packed = dataset_file(params.corpus, project).is_file()
        self.names = {f"{PUBLIC}.{name}.checkpoint": entry.checkpoint for name, entry in params.public.items()}
        if params.teacher.stage == "load_mdlm" and params.teacher.checkpoint:
            self.names["teacher.checkpoint"] = params.teacher.checkpoint
        if params.judge.stage == "load_judge" and params.judge.model:
            self.names["judge.model"] = params.judge.model
        if params.corpus.tokenizer != "trained" and not self.packed:
            self.names["corpus.tokenizer"] = params.corpus.tokenizer

    def missing(self) -> Iterator[Missing]:
        """Paths that do not exist, and what only an unreachable hub has."""
        for key, name in self.names.items():
            if self._is_path(name) and not self._exists(name):
                yield Missing(f"{key}: {name}", f"download it to that path, or set {key} to where it is")
            elif key.endswith("checkpoint") and self._path(name).exists():
                yield from refused(partial(locate, str(self._path(name))))
            elif key == "judge.model" and (at := self._path(name)).is_dir() and not [*at.glob("config.json"), *at.glob("*.gguf")]:
                yield Missing(f"judge.model: {name} holds no config.json and no GGUF file", "set it to a causal LM's folder or hub id")
        path = self.corpus.path or ""
        streamed = self.corpus.name == "hub" and not self.packed and not self._exists(path)
        if path and not self.packed and not streamed:
            suffixes = {"files": text_files.SUFFIXES, "openwebtext": openwebtext.SUFFIXES}.get(self.corpus.name)
            if not self._exists(path):
                hub = "" if self.corpus.name == "files" else ", or set it to null to load the corpus from the hub"
                yield Missing(f"corpus.path: {path} does not exist", f"correct the path{hub}")
            elif suffixes:
                yield from refused(partial(text_files.find_files, str(self._path(path)), suffixes))
        wanted = [f"{key} ({name})" for key, name in self.names.items() if not self._is_path(name) and not cached(name)]
        wanted += [f"corpus ({self.corpus.name})"] * (self.corpus_bytes() > 0 or streamed)
        if wanted and not hub_reachable():
            remedy = "download them where there is a network (HF_HOME names the cache), or give local paths"
            yield Missing(f"{_HUB[0]} can't be reached from here, for {', '.join(wanted)}", remedy)

    def corpus_bytes(self) -> float:
        """Of a corpus that still has to be fetched; models are small beside it."""
        return 0 if self.packed or self.corpus.path else DOWNLOAD_BYTES.get(self.corpus.name, 0)

    def _path(self, name: str) -> Path:
        return self.project / Path(name).expanduser()

    def _exists(self, pattern: str) -> bool:
        return self._path(pattern).exists() or bool(glob(str(self._path(pattern)), recursive=True))

    def _is_path(self, name: str) -> bool:
        """Whether a checkpoint, judge or tokenizer is on this machine, and not ORG/NAME or NAME on the hub."""
        return name.startswith(("/", ".", "~", "data/")) or name.endswith((".ckpt", ".safetensors", ".pt", ".gguf")) or self._exists(name)


def disk(needed: float, project: Path) -> Iterator[Missing]:
    """Space that is not free where the project lies."""
    free = shutil.disk_usage(project).free
    if free < needed:
        yield Missing(f"{needed / 1e9:.0f} GB of disk ({free / 1e9:.0f} GB are free)", "free space, or run in a folder on a larger disk")


def cached(name: str) -> bool:
    """Whether the hub's cache holds the revision of NAME, ORG/NAME or ORG/NAME@REVISION, either with /FILE."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    repo, _, revision = name.partition("@")
    repo, revision = "/".join(repo.split("/")[:2]), revision.partition("/")[0]
    return (cache / f"models--{repo.replace('/', '--')}" / "refs" / (revision or "main")).is_file()


def hub_reachable() -> bool:
    """Whether a connection to the hub can be opened."""
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        return False
    try:
        socket.create_connection(_HUB, timeout=3).close()
    except OSError:
        return False
    return True
