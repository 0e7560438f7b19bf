"""The jobs behind a target, as Snakemake's dry run has them: for DVC's stages, the preflight and the tests."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_LOG = r" > \S+ 2>&1$"


@dataclass(frozen=True)
class Job:
    """One run of a stage.

    Attributes:
        rule: of the Snakefile.
        stage: name of the script.
        command: without its log.
        arguments: values by flag, without dashes; a flag with several values has a list.
        inputs, outputs: files, relative to the project.
    """

    rule: str
    stage: str
    command: str
    arguments: dict[str, str | list[str]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def out(self) -> str:
        """Where the stage writes; names the job."""
        return str(self.arguments["out"])


def jobs(project: Path, *words: str, force: bool = True, scripts: str = "stages/") -> list[Job]:
    """Every job of a stage that `snakemake WORDS` would run.

    Args:
        words: targets and options, such as `--configfile presets/lm1b.yaml`.
        force: also those whose outputs are there already.
        scripts: where the stages lie, as a regular expression.

    Raises:
        RuntimeError: Snakemake refuses, with its words.
    """
    options = ["--dry-run", "--printshellcmds", "--nocolor", "--nolock", "--workflow-profile=none", *(["--forceall"] if force else [])]
    for _ in range(2):  # once more, since Snakemake ends where a stage that finishes just then moves its files
        done = snakemake(project, *options, *words)
        if not done.returncode:
            return parse(done.stdout, scripts)
    raise RuntimeError(done.stdout.strip())


def snakemake(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Snakemake in a project: its exit code, and what it printed."""
    command = [sys.executable, "-m", "snakemake", *words]
    return subprocess.run(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def parse(text: str, scripts: str = "stages/") -> list[Job]:
    """The jobs in the words of a dry run with --printshellcmds."""
    read = []
    for block in re.split(r"(?m)^\[.*\]\n(?=(?:local)?rule )", text)[1:]:
        command = re.search(rf"(?m)^Shell command: exec (python {scripts}.*)$", block)
        if command:
            lines = dict(re.findall(r"(?m)^    (input|output): (.*)$", block))
            words = re.sub(_LOG, "", command[1])
            files = (tuple(lines[key].split(", ")) if key in lines else () for key in ("input", "output"))
            rule = block.partition(":")[0].split()[-1]  # `rule NAME:` or `localrule NAME:`
            read.append(Job(rule, Path(words.split()[1]).stem, words, _arguments(words), *files))
    return read


def _arguments(command: str) -> dict[str, str | list[str]]:
    values: dict[str, list[str]] = {}
    flag = ""
    for word in shlex.split(command)[2:]:
        if word.startswith("--"):
            flag = word.removeprefix("--")
            values.setdefault(flag, [])
        else:
            values[flag].append(word)
    return {flag: words[0] if len(words) == 1 else words for flag, words in values.items()}
