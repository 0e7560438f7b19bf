"""Processes that begin at once, since the server that forks them has imported what they need: of stages, and of Snakemake's dry runs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "torch",
        "transformers.models.gpt2.modeling_gpt2",
        "lightning.fabric",
        "pandas",
        "safetensors.torch",
        "scipy.stats",
        "mauve",
        "datasets",
        "snakemake.cli",
    ]
)


def snakemake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`snakemake WORDS` in a folder, of which no job is run: exit code and output."""
    with tempfile.NamedTemporaryFile("r") as out:
        process = SERVER.Process(target=_snakemake, args=(folder, words, out.name))
        process.start()
        process.join(300)
        if process.is_alive():
            process.kill()
            process.join()
        return subprocess.CompletedProcess(["snakemake", *words], process.exitcode, out.read())


def _snakemake(folder: Path, words: Sequence[str], out: str) -> None:
    opened = os.open(out, os.O_WRONLY | os.O_APPEND)
    os.dup2(opened, 1), os.dup2(opened, 2)
    os.chdir(folder)
    os.environ["COLUMNS"] = "400"
    sys.argv = ["snakemake", *words]
    from snakemake.cli import main

    main(list(words))
