"""Keeps some models of a run in a small folder, to be committed or given away: bfloat16 weights without the time embedding, tokenizer,
code and card of each.

Example: imdm keep results/captions teacher imdm-gumbel/keyed --judge --license mit --out results/reference/captions
Then:    imdm play results/reference/captions
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import torch

from imdm.data.blocks import Dataset
from imdm.errors import UserError, exit_code
from imdm.play.writer import WEIGHTS, data_of, models_in
from imdm.publish.export import export_model
from imdm.scoring.judge import Judge, load_judge
from imdm.stage.artifact import verify, write_json

MOST = 10.0  # MB of models and judge together


def keep(run: Path, models: list[str], out: Path, judge: bool, licence: str | None, most: float) -> float:
    """Write out/models/NAME of each model and, where asked for, out/judge; all of it, or nothing.

    Args:
        most: of all files together, in MB (10^6 bytes).

    Returns:
        their size in MB.

    Raises:
        UserError: the run lacks a model or a trained judge, `out` has such folders already, or they would be too large.
    """
    known, parts = models_in(run), ["models", *(["judge"] if judge else [])]
    for name in models:
        if name not in known:
            raise UserError(f"{run} has no model {name}; it has {', '.join(known)}.")
    for part in parts:
        if (out / part).exists():
            raise UserError(f"{out / part} exists already; remove it, or choose another --out.")
    corpora = {name: Dataset.open(data_of(str(known[name] / WEIGHTS))) for name in models}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=out) as place:
        beside = Path(place)
        for name in models:
            weights, scores, folder = known[name] / WEIGHTS, run / f"scores/{name}/scores.json", beside / "models" / name
            folder.mkdir(parents=True)
            verify(weights)
            export_model(weights, corpora[name], folder, scores=scores if scores.is_file() else None, licence=licence, small=True)
        if judge:
            _keep_judge(run / "judge/judge.json", beside / "judge")
        size = sum(path.stat().st_size for path in beside.rglob("*") if path.is_file()) / 1e6
        if size > most:
            raise UserError(f"the files have {size:.1f} MB, more than {most:g}; keep fewer models, leave out --judge, or raise --most.")
        for part in parts:
            os.replace(beside / part, out / part)
    return size


def _keep_judge(file: Path, folder: Path) -> None:
    """A trained judge with bfloat16 weights, as `load_judge` reads it. Raises UserError: there is none, or it is of another kind."""
    judge = load_judge(file)
    if not isinstance(judge, Judge) or not judge.trained:
        raise UserError(f"{file} is no judge that was trained in this run; leave out --judge.")
    folder.mkdir()
    judge.model.to(torch.bfloat16).save_pretrained(folder)
    shutil.copyfile(file.with_name("tokenizer.json"), folder / "tokenizer.json")
    write_json(folder / "judge.json", judge.describe() | {"held_out_perplexity": judge.held_out_perplexity})


def main(argv: list[str] | None = None) -> int:
    """Write the folder; 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="imdm keep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="results/RUN")
    parser.add_argument("models", nargs="+", metavar="MODEL", help="teacher or VARIANT/RECIPE")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where models/ and judge/ are written")
    parser.add_argument("--judge", action="store_true", help="keep the run's trained judge too")
    parser.add_argument("--license", metavar="ID", help="licence for the model cards, for example mit")
    parser.add_argument("--most", type=float, default=MOST, metavar="MB", help=f"largest size of all (default: {MOST:g})")
    args = parser.parse_args(argv)

    def work() -> None:
        size = keep(args.run, args.models, args.out, args.judge, args.license, args.most)
        print(f"{args.out}: {size:.1f} MB; `imdm play {args.out}` lets them write")

    return exit_code("keep", work)
