"""Writes a page of samples side by side: a table for each of the first samples, a line a model, a column a step count.

As results/reference/sentences/samples.md:
    python docs/side_by_side.py --run results/sentences --data data/files-document-24/dataset.json
    --out results/reference/sentences/samples.md teacher mdlm/sdtt3 mdlm/redi imdm/redi imdm-gumbel/keyed
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imdm.data.blocks import Dataset
from imdm.data.speller import BREAK, Speller
from imdm.results.names import name_of
from imdm.results.pages import open_samples, spell
from imdm.results.plan import DILATED
from imdm.results.view import Cell, View, markdown


def main(argv: list[str] | None = None) -> None:
    """Read the samples and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="results/RUN")
    parser.add_argument("--data", required=True, help="its dataset.json")
    parser.add_argument("--rows", type=int, default=5, help="how many samples; all models draw one with the same seed")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="dilated/MODEL: its samples in dilated steps")
    args = parser.parse_args(argv)
    views = page(args.run, args.models, Dataset.open(args.data), args.rows)
    args.out.write_text("# The first samples, not picked\n\n" + "\n".join(markdown(view) for view in views), encoding="utf-8")


def page(run: Path, models: list[str], data: Dataset, rows: int) -> list[View]:
    """A table for each of the first `rows` samples. Raises UserError: samples are missing, damaged or of another tokenizer."""
    speller, columns = Speller.of(data), ["Model"]
    bodies: list[list[list[Cell]]] = [[] for _ in range(rows)]
    for model in models:
        name = model.removeprefix(f"{DILATED}/")
        folder = run / "samples" if name == model else run / DILATED / "samples"
        with open_samples(folder / name / "samples.safetensors", data) as (file, about):
            texts = {n: ["".join(text for text, _ in pieces) for pieces in spell(file, n, range(rows), speller)] for n in about["steps"]}
        columns = ["Model", *(f"{n} step{'s' * (n > 1)}" for n in texts)]
        for row, body in enumerate(bodies):
            texts_of_row = (of_step[row].strip(BREAK).strip().replace("\n", " ") for of_step in texts.values())
            body.append([Cell(name_of(name) + ", dilated" * (name != model)), *map(Cell, texts_of_row)])
    note = f"All with one seed. {BREAK} is an end of text in the middle."
    return [View(f"sample{row}", f"Sample {row}", note, columns, body) for row, body in enumerate(bodies)]


if __name__ == "__main__":
    main()
