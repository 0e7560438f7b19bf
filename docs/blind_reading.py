"""Asks a reader which texts a person wrote: held-out text and a model's, in random order, without names.

As docs/results.md has it of captions, a model after the other:
    python docs/blind_reading.py --model results/sentences/models/teacher --data data/files-document-24/dataset.json
    --out results/reference/sentences/reading.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from imdm.data.speller import BREAK, Pieces
from imdm.play.writer import Writer

REAL = "held-out text"


def main(argv: list[str] | None = None) -> None:
    """Print the texts, read the answer from standard input, print the table and write what was said."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", required=True, help="its dataset.json")
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0, 0.8, 0.7], metavar="T")
    parser.add_argument("--count", type=int, default=20, help="texts of each temperature, and of held-out text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, help="a CSV file of every text but the held-out ones, where it is from and what the reader said"
    )
    args = parser.parse_args(argv)
    writer, rng = Writer.open(str(args.model), args.data), np.random.default_rng(args.seed)
    texts = []
    for temperature in args.temperatures:
        written = writer.write("", args.steps, args.seed, temperature, args.count)
        texts += [(f"temperature {temperature:g}", plain(sample.pieces)) for sample in written]
    held_out = writer.data.split("test")
    rows = held_out[rng.choice(len(held_out), args.count, replace=False)]
    texts += [(REAL, plain(writer.speller.pieces(row.tolist(), [-1] * len(row)))) for row in rows]
    texts = [texts[i] for i in rng.permutation(len(texts))]
    for number, (_, text) in enumerate(texts):
        print(number, text)
    wrong = {int(number) for number in input("Numbers of the texts that no person would write so: ").split()}
    answers = pd.DataFrame(texts, columns=["texts", "text"])
    answers["taken"] = [number not in wrong for number in answers.index]
    answers.loc[answers["texts"] == REAL, "text"] = None  # a corpus may not be ours to give away
    if args.out:
        answers.to_csv(args.out, index_label="number")
    print(answers.groupby("texts")["taken"].agg(["sum", "count"]).to_string())


def plain(pieces: Pieces) -> str:
    """A text in a line, without the ends around it."""
    return "".join(text for text, _ in pieces).strip(BREAK).strip().replace("\n", " ")


if __name__ == "__main__":
    main()
