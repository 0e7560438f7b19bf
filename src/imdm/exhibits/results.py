"""What an exhibit reads of a run, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imdm.errors import UserError
from imdm.exhibits.plan import Needs, scores_file, validation_file
from imdm.exhibits.tables import Column, Table
from imdm.report.tables import read_json
from imdm.stage.artifact import verify

Triple = tuple[float, float, float]  # value, low, high


def check(results: Path, needed: Needs) -> None:
    """Check every file that an exhibit needs.

    Args:
        results: the folder results/RUN.

    Raises:
        UserError: one is missing, empty, damaged or edited.
    """
    for file in needed.files():
        path = results / file
        if not path.exists():
            raise UserError(f"{path} does not exist; run `snakemake {path}` for it.")
        verify(path)


class Scores:
    """Scores and held-out perplexities of the models of a table.

    Raises:
        UserError: a file is not what its stage writes, or models were scored by different judges.
    """

    def __init__(self, results: Path, table: Table):
        scored = set(table.metrics) != {"val_ppl"}
        self.scores: dict[str, dict[str, Any]] = {}  # by head of the column
        self.validation: dict[str, dict[str, Any]] = {}
        self.samples = 0
        for column in table.columns:
            if "val_ppl" in table.metrics:
                file = results / validation_file(column.model)
                stage = "finetune" if column.model.endswith("/finetune") else "pretrain"
                self.validation[column.head] = read_json(file, ("valid_perplexity", "low", "high"), stage)
            if scored:
                self._read(results / scores_file(column.kind, column.model), column.head)

    def _read(self, file: Path, head: str) -> None:
        from pyarrow.parquet import read_metadata

        found = read_json(file, ("judge", "precision", "temperature", "conditional", "matching", "rows"), "score")
        self.scores[head] = found
        first = next(iter(self.scores.values()))
        if found["judge"] != first["judge"]:
            raise UserError(f"{file} was scored by another judge than the other models of this table; run stages/score.py again.")
        verify(file.with_name("per_sample.parquet"))
        self.samples = max(self.samples, read_metadata(file.with_name("per_sample.parquet")).num_rows // len(found["temperature"]))

    def measured(self, column: Column, metric: str) -> dict[int | None, Triple]:
        """value, low and high of a metric by steps; by None for held-out perplexity; none where it was not measured."""
        if metric == "val_ppl":
            found = self.validation[column.head]
            return {None: (found["valid_perplexity"], found["low"], found["high"])}
        scored = self.scores[column.head]
        if metric == "temperature":
            return {int(n): (t, t, t) for n, t in scored["temperature"].items()} if column.kind == "matched" else {}
        rows = [row for row in scored["rows"] if row["metric"] == metric and row["value"] is not None]
        return {row["steps"]: (row["value"], row["low"], row["high"]) for row in rows}
