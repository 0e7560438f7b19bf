"""Kills every stage again and again: `python tests/kills.py 200` kills 200 times and prints a table of what came of it.

Each stage is killed at random changes of its files, run again, killed again, until it has been killed often enough, and then left in
peace. It must end with the bytes of a run that nothing disturbed, without doing finished work twice.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from signal import SIGKILL

if __name__ == "__main__":  # as pytest's configuration has it
    root = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(root / folder) for folder in ("src", "tests")]
    sys.path.append(str(root / "stages"))

import fake_run
import killing
from checkout import ROOT
from corpora import few_words
from imdm.errors import UserError
from imdm.stage.artifact import verify

# Checkpoints after every step, several chunks, dropout.
SETS = (
    "runtime.checkpoint_seconds=0.001",
    "network.dropout=0.1",
    "sampling.batch_size=8",
    "couplings.batch_size=4",
    *(f"{stage}.steps=8" for stage in ("pretrain", "finetune", "judge", "sdtt", "di4c", "redi")),
)
LANGUAGE, OF_LANGUAGE = "{}/tokenize_pack:language/dataset.json", ("tokenize_pack:language", "oracle", "exact_judge")
DATA, TEACHER = ("--data", "{}/tokenize_pack/dataset.json"), "{}/pretrain/model.safetensors"
JUDGE, SAMPLES = ("--judge", "{}/train_judge/judge.json"), "{}/sample/samples.safetensors"
RUN = ("--params", str(ROOT / "params.yaml"), "--results", "{}/invented/results/tiny")
OF_RUN = (*RUN, "--data", f"{{}}/invented/data/{fake_run.DATA}/dataset.json")
# By stage; what follows a colon tells several runs of one stage apart.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "tokenize_pack": (),
    "train_judge": DATA,
    "pretrain": DATA,
    "reference": (*DATA, *JUDGE),
    "finetune": (*DATA, "--init", TEACHER),
    "di4c": (*DATA, "--teacher", TEACHER, "--round", "1"),
    "sdtt": (*DATA, "--teacher", TEACHER, "--round", "1"),
    "couple": (*DATA, "--teacher", TEACHER),
    "redi": ("--couplings", "{}/couple/couplings.safetensors", "--init", TEACHER),
    "sample": ("--model", TEACHER),
    "complete": (*DATA, "--model", TEACHER),
    "score": (*DATA, *JUDGE, "--reference", "{}/reference/reference.json", "--samples", SAMPLES),
    "external": (*DATA, "--samples", "{}/text.txt", "--name", "theirs", "--steps", "3"),
    "controls": (*DATA, *JUDGE, "--reference", "{}/reference/reference.json"),
    "match_entropy": ("--model", TEACHER, "--target", "{}/score/scores.json"),
    "frontier": (*DATA, *JUDGE, "--model", TEACHER),
    "initialize": ("--teacher", TEACHER, "--variant", "imdm-signs"),
    "keyed": (*DATA, "--teacher", "{}/initialize/model.safetensors"),
    "factorization": (*DATA, "--model", TEACHER, "--teacher", TEACHER),
    "audit": (*DATA, "--model", TEACHER, "--samples", SAMPLES, "--baseline", SAMPLES),
    "load_mdlm": (*DATA, "--set", "teacher.stage=load_mdlm", "--set", f"teacher.checkpoint={TEACHER}"),
    "load_judge": (*DATA, "--set", "judge.stage=load_judge", "--set", "judge.model={}/train_judge"),
    "export": (*DATA, "--model", TEACHER, "--scores", "{}/score/scores.json"),
    "sample:1": ("--model", TEACHER, "--shard", "1/2"),
    "sample:2": ("--model", TEACHER, "--shard", "2/2"),
    "merge": ("--parts", "{}/sample:1/samples.safetensors", "{}/sample:2/samples.safetensors"),
    "synthetic": (),
    "tokenize_pack:language": (),
    "oracle": ("--data", LANGUAGE),
    "exact_judge": ("--data", LANGUAGE),
    "tabulate": RUN,
    "plot": RUN,
    "exhibit": OF_RUN,
    "report": OF_RUN,
}
STAGES = [name for name in ARGUMENTS if ":" not in name]
FILES = {"tabulate": "tables/tables.csv", "plot": "figures/figure02.png", "exhibit": "tables/table06.csv", "report": "report.html"}
MODES = (SIGKILL, killing.OPENED, killing.POWER)


class Project:
    """A small corpus and an invented run, and stages' outputs of one undisturbed run, made when they are asked for."""

    def __init__(self, folder: Path):
        self.folder, self.ended = folder, {}
        few_words(folder)
        self.text = ("corpus.name=files", f"corpus.path={folder}/text.txt", "corpus.vocab_size=280")
        self.language = ("corpus.name=language", "corpus.language=chain", "corpus.states=4", "corpus.entropy_rate=0.7")
        self.language += ("corpus.texts=200", "corpus.packing=document", "corpus.seq_len=7", "conditional.scored_tokens=6")

    def undisturbed(self, name: str) -> killing.Ended:
        """The run of a stage that nothing stopped, after those that it needs; its output lies in `folder`."""
        if name not in self.ended:
            for argument in ARGUMENTS[name]:
                needed = re.search(r"\{\}/([\w:]+)", argument)
                if needed and needed[1] == "invented":
                    self._invent()
                elif needed and needed[1] in ARGUMENTS:
                    self.undisturbed(needed[1])
            self.ended[name] = self.run(name, self.place(name, self.folder))
            assert self.ended[name].code == 0, self.ended[name].said
        return self.ended[name]

    def place(self, name: str, folder: Path) -> Path:
        """--out of a stage below a folder."""
        return folder / name / FILES[name] if name in FILES else folder / name

    def run(self, name: str, out: Path, *sets: str, stop: killing.Stop | None = None) -> killing.Ended:
        out.parent.mkdir(parents=True, exist_ok=True)
        arguments = [argument.format(self.folder) for argument in ARGUMENTS[name]]
        corpus = self.language if name in OF_LANGUAGE else self.text
        own = () if "--results" in arguments else (*SETS, *corpus, *sets)
        return killing.run(name.partition(":")[0], out, *arguments, sets=own, stop=stop)

    def _invent(self) -> None:
        if not (self.folder / "invented").exists():
            run = fake_run.build(self.folder / "invented")
            fake_run.add_paper(run)
            assert fake_run.tabulate(run) == 0 == fake_run.plot(run)
            assert not any(fake_run.exhibit(run, name) for name in ("tables/frontier.csv", "figures/frontier.png"))


def kept(ended: killing.Ended) -> list[str]:
    """The chunks, checkpoints and seeds that a run has put aside for the next one."""
    return [change for change in ended.changes if re.fullmatch(r"rename \S+ \S+\.partial/\.\w+/\S+", change)]


def content(out: Path) -> dict[str, object]:
    """Every file of an output but for times and for what its metadata say of the run."""
    folder = out.parent if out.suffix else out
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    found = {name: path.read_bytes() for name, path in files.items() if not name.startswith(".") and not name.endswith(".log")}
    (name,) = (name for name in found if name.endswith("meta.json"))
    meta = json.loads(found[name])
    found[name] = [meta.get(key) for key in ("stage", "arguments", "parameters", "code")]  # an export keeps no arguments
    found["digests"] = meta["outputs"]
    if log := found.pop("train_log.csv", None):
        found["train_log.csv"] = [row[:3] for row in csv.reader(log.decode().splitlines())]
        del found["digests"]["train_log.csv"]
    return found


def kill(project: Project, name: str, folder: Path, count: int, draw: Random) -> tuple[Counter[str], list[str]]:
    """Kill a stage `count` times in a row, and let it end.

    Args:
        folder: where its output goes; empty.

    Returns:
        the kills by their mode, and what went wrong: `silent: ...`, `stuck: ...` or `lost: ...`.
    """
    whole, out = project.undisturbed(name), project.place(name, folder)
    before, wanted, first = project.place(name, project.folder).parent, content(project.place(name, project.folder)), out.name + ".partial"
    placing = whole.changes.index(f"rename {first} {out.name}" if name not in FILES else f"rename {first}/meta.json {out.stem}.meta.json")
    kills, wrong, pieces = Counter(), [], Counter()
    while True:
        left = count - kills.total()
        mode, fresh = draw.choice(MODES), not out.with_name(first).exists()
        low = placing - 2 if fresh and draw.random() < 0.3 else 0  # there most is at stake
        moment = low + int((len(whole.changes) - low) * draw.random() ** (1 if fresh else 2))  # after a kill fewer changes are left
        ended = project.run(name, out, stop=(moment, mode) if left > 0 else None)
        kills[str(mode)] += ended.code == -SIGKILL
        pieces.update(kept(ended))
        where = f"{name}, {mode} at {moment}"
        if ended.code not in (0, -SIGKILL) or "Traceback" in ended.said:
            wrong.append(f"stuck: {where}: {ended.code} {ended.said.strip()[-300:]}")
            shutil.rmtree(folder)
            folder.mkdir()
            pieces.clear()
        elif ended.code == 0 or any(change.startswith(f"rename {first} ") for change in ended.changes):
            if content(out) != wanted or pieces != Counter(kept(whole)):
                wrong.append(f"lost: {where}: {(pieces - Counter(kept(whole))) or 'other bytes'}")
            if ended.code == 0 and out.with_name(first).exists():
                wrong.append(f"lost: {where}: a work folder stays")
            pieces.clear()
        elif out.exists():
            wrong += [
                f"silent: {where}: {file}" for file in trusted(out) if (out.parent / file).read_bytes() != (before / file).read_bytes()
            ]
        if left <= 0 and ended.code == 0:
            return kills, wrong


def trusted(out: Path) -> list[Path]:
    """The files of an output that a consumer would take, relative to its parent."""
    taken = []
    for path in (out.parent if out.suffix else out).glob("[!.]*"):
        with contextlib.suppress(UserError):
            if path.is_file() and not path.name.endswith((".log", "meta.json", "train_log.csv")):  # the last has times
                verify(path)
                taken.append(path.relative_to(out.parent))
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200, help="kills, over all stages (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, metavar="STAGE", help="which (default: all)")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    total, faults = Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        print("| stage | killed before a change | between open and write | with the machine | silent, stuck, lost |\n|---|---|---|---|---|")
        for number, name in enumerate(args.stages):
            share = args.count * (number + 1) // len(args.stages) - args.count * number // len(args.stages)
            place = Path(folder) / "killed" / name
            place.mkdir(parents=True)
            kills, wrong = kill(project, name, place, share, Random(f"{args.seed} {name}"))
            total, faults = total + kills, faults + wrong
            print(f"| {name} | {' | '.join(str(kills[str(mode)]) for mode in MODES)} | {len(wrong)} |", flush=True)
            print(*wrong, sep="\n", end="", file=sys.stderr, flush=True)
    print(f"| all {total.total()} | {' | '.join(str(total[str(mode)]) for mode in MODES)} | {len(faults)} |")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
