"""The harness that every stage script runs in: arguments, parameters, output, provenance, errors.

`python stages/NAME.py --help` imports neither torch nor pandas. A user's mistake ends with exit code 2
and one sentence; SIGTERM ends with 143 after what was done is safe.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imdm.errors import UserError
from imdm.files import said
from imdm.params import Params, load_params
from imdm.stage.artifact import verify
from imdm.stage.output import AlreadyMade, Output
from imdm.stage.reads import resolve

_ROOT = Path(__file__).resolve().parents[3]
_EXHAUSTED = f"{os.strerror(errno.EMFILE)}; raise `ulimit -n`, then run again."
LIBRARIES = ("torch", "lightning", "transformers", "tokenizers", "datasets", "numpy", "pandas", "mauve-text")


class StageParser(argparse.ArgumentParser):
    """ArgumentParser that knows which arguments are inputs, so that the harness can check and record them."""

    def __init__(self, stage: str, doc: str):
        super().__init__(prog=f"stages/{stage}.py", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.inputs: list[str] = []
        self.computed: Callable[[Params, argparse.Namespace], list[Path]] = lambda params, args: []
        self.file = self.published = False
        files = "parameter files, each over those before it (default: params.yaml)"
        self.add_argument("--params", nargs="+", default=["params.yaml"], metavar="FILE", help=files)
        self.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace one parameter, for example noise_dim=64")
        self.out = self.add_argument("--out", required=True, help="folder to write; appears only when complete")

    def input(self, flag: str, help: str, nargs: str | None = None, required: bool = True) -> None:
        """Add an argument that names one file (or several) of another stage."""
        self.inputs.append(flag.removeprefix("--").replace("-", "_"))
        self.add_argument(flag, help=help, nargs=nargs, required=required)

    def writes_file(self, help: str) -> None:
        """--out names a file, of a folder that several stages write to, and no folder."""
        self.file, self.out.help = True, help

    def publishes(self) -> None:
        """--out is to be uploaded: its meta.json names no machine and no paths of it."""
        self.published = True

    def inputs_by(self, files: Callable[[Params, argparse.Namespace], list[Path]]) -> None:
        """Further inputs, which follow from the parameters and arguments."""
        self.computed = files


@dataclass
class Job:
    """One run of a stage.

    Attributes:
        dir: where to write files; hidden names (`.resume`) survive an interruption but aren't part of the artifact.
        metrics: figures of the run for meta.json, for example tokens a second.
    """

    stage: str
    args: argparse.Namespace
    params: Params
    dir: Path
    metrics: dict[str, Any] = field(default_factory=dict)

    def progress(self, total: int | None, unit: str, initial: int = 0) -> Any:
        """A tqdm bar with ETA: live on a terminal, a line every 30 s in a log."""
        from tqdm import tqdm

        least, most = (0.2, 0.5) if sys.stderr.isatty() else (30, 60)
        return tqdm(total=total, initial=initial, unit=unit, desc=self.stage, mininterval=least, maxinterval=most)


def run_stage(
    script: str,
    doc: str,
    reads: tuple[str, ...],
    arguments: Callable[[StageParser], None],
    run: Callable[[Job], None],
    argv: list[str] | None = None,
) -> int:
    """Run a stage and return its exit code: 0, 2 for a user's mistake, 143 after SIGTERM.

    Args:
        script: `__file__` of the stage.
        doc: its docstring, shown by --help.
        reads: the parameters that it reads, as `imdm.stage.reads` has them.
        arguments: adds the stage's own arguments.
        run: does the work, writing below `job.dir`.
    """
    stage = Path(script).stem
    parser = StageParser(stage, doc)
    arguments(parser)
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        _run(stage, script, reads, parser, args, run)
    except AlreadyMade:
        print(f"{stage}: {args.out} was made by the process that was waited for.", file=sys.stderr)
    except UserError as error:
        # Libraries take a file that they can't open for a broken one.
        print(f"{stage}: {_EXHAUSTED if _EXHAUSTED.partition(';')[0] in str(error) else error}", file=sys.stderr)
        return 2
    except Exception as error:
        if isinstance(error, MemoryError | RuntimeError) and re.search("MemoryError|out of memory|allocate memory", repr(error)):
            print(f"{stage}: there is too little memory ({said(error)}); lower the batch size or the network's sizes.", file=sys.stderr)
            return 2
        # torch and safetensors report a full disk in words of their own, so the disk itself is asked.
        full = _disk_full(args.out)
        if not isinstance(error, OSError) and not full:
            raise
        print(f"{stage}: {_unusable(error, args.out, full)}", file=sys.stderr)
        return 2
    return 0


def _unusable(error: Exception, out: str, full: bool) -> str:
    """A sentence for what the operating system refuses: it blames the file that was refused, and --out where none is known."""
    number = errno.ENOSPC if full else getattr(error, "errno", None)
    reason = os.strerror(number) if number else said(error)
    if number in (errno.EMFILE, errno.ENFILE):
        return _EXHAUSTED
    file = getattr(error, "filename", None)
    if isinstance(file, str | os.PathLike) and number not in (errno.ENOSPC, errno.EDQUOT) and not str(file).startswith(f"{out}."):
        return f"{file} can't be used: {reason}; correct the path or its permissions, then run again."
    return f"{out} can't be written: {reason}; free space or choose another --out, then run again."


def _disk_full(out: str) -> bool:
    """Whether less than 64 KiB are free where `out` goes."""
    place = next((parent for parent in Path(out).absolute().parents if parent.exists()), Path("/"))
    return shutil.disk_usage(place).free < 1 << 16


def _run(
    stage: str, script: str, reads: tuple[str, ...], parser: StageParser, args: argparse.Namespace, run: Callable[[Job], None]
) -> None:
    start = time.perf_counter()
    params = load_params(args.params, args.set)
    for name, value in vars(args).items():
        setattr(args, name, _placed(value, params))
    named = [getattr(args, name) or [] for name in parser.inputs]
    paths = [path for value in named for path in ([value] if isinstance(value, str) else value)]
    inputs = {path: verify(path) for path in [*paths, *map(str, parser.computed(params, args))]}
    resolved = resolve(params, reads, vars(args).get("variant"))
    arguments = {key: value for key, value in vars(args).items() if key not in ("params", "set", "out")}
    code = code_digest(script)
    identity = json.dumps([stage, resolved, arguments, inputs], sort_keys=True)
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()
    output = Output(args.out, stage, fingerprint, code, parser.file, params.runtime.lock)
    job = Job(stage, args, params, output.partial)
    if _rank() > 0:
        output.follow()
        run(job)
        raise AssertionError(f"{stage} has no training, in which the other processes end")
    with output:
        run(job)
        about = {
            "parameters": resolved,
            "outputs": output.digests(),
            "metrics": job.metrics,
            "seconds": round(time.perf_counter() - start, 2),
            "resumed": output.resumed,
            "peak_memory_mib": _peak_memory(),
            "code": code,
            "older_code": output.older_code,
            "git": _git(),
            "libraries": {name: library_version(name) for name in LIBRARIES},
        }
        if parser.published:
            output.commit(about | {"inputs": {Path(path).name: digest for path, digest in inputs.items()}})
        else:
            machine = {"platform": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version(), "gpu": _gpu()}
            output.commit(about | {"arguments": arguments, "inputs": inputs, "machine": machine})


def _placed(value: Any, params: Params) -> Any:
    """An argument with the folders' names in place of {run} and {corpus}, which dvc.yaml's commands have: DVC hands a parameter to a
    shell as it stands, before anything has checked it."""
    if isinstance(value, list):
        return [_placed(word, params) for word in value]
    return value.replace("{run}", params.run).replace("{corpus}", params.corpus.folder) if isinstance(value, str) else value


def _rank() -> int:
    """0 for the first process of a training on several devices, as Lightning, torchrun or srun tell it."""
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", *(["SLURM_PROCID"] if "SLURM_NTASKS" in os.environ else []))
    return max(int(os.environ.get(name, "0")) for name in names)


def code_digest(script: str) -> str:
    """One digest of the stage script and the library, to notice artifacts of older code."""
    digest = hashlib.sha256()
    for path in [Path(script), *sorted(path for path in Path(__file__).parents[1].rglob("*.*") if path.suffix in (".py", ".j2", ".csv"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _git() -> str | None:
    """Commit of the checkout, with `+changes` where tracked files differ; None outside git."""
    try:
        ask = ["git", "-C", str(_ROOT), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes"]
        return subprocess.run(ask, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def library_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _peak_memory() -> dict[str, float]:
    peak = {"host": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        peak["gpu"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return peak


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None
